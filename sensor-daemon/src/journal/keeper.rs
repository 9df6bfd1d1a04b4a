//! The thread that looks after what is written: seals closed segments, keeps the journal within its size, rebuilds the
//! reserve.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use crate::metrics::Counter;
use crate::priority::Rank;

use super::chain::{self, Chain, Reason};
use super::segment::{self, PLAIN, SEALED, Segment};
use super::space::{Space, sync_directory};
use super::{JournalSettings, Stream};

/// Size and reserve are looked at this often.
const TICK: Duration = Duration::from_millis(500);

/// A segment that will not be written to again.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) stream: Stream,
    pub(super) path: PathBuf,
    /// Nothing was in it, and it was removed.
    pub(super) empty: bool,
}

pub(super) struct Keeper {
    // Unbounded, but a message stands for a file of `segment_bytes`: the bound on the journal's size is the bound here.
    closed: Sender<Closed>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

struct Work {
    compress: bool,
    level: i32,
    total: u64,
    headroom: u64,
    space: Arc<Space>,
    /// Alerts, records; none where they cannot be kept.
    chains: Option<[Chain; 2]>,
}

impl Keeper {
    /// Gives the chain of the evidence, too, where the chains can be kept.
    pub(super) fn start(
        settings: &JournalSettings,
        space: Arc<Space>,
        waiting: Vec<Closed>,
    ) -> io::Result<(Self, Option<Chain>)> {
        let (closed, receiver) = unbounded();
        let (stop, stopped) = crossbeam_channel::bounded(1);
        let chains = Chain::open_all(&settings.directory).inspect_err(|error| {
            // A full disk keeps no sensor from starting. What is sealed until the next start is signed then.
            space.counters.add(Counter::SealErrors, 1);
            tracing::error!(%error, "the journal's segments cannot be signed");
        });
        let (chains, evidence) = match chains {
            Ok([alerts, records, evidence]) => (Some([alerts, records]), Some(evidence)),
            Err(_) => (None, None),
        };
        let mut waiting = waiting;
        let of_streams = Stream::ALL.into_iter().zip(chains.iter().flatten());
        waiting.extend(of_streams.flat_map(|(stream, chain)| unstated(stream, chain, &space)));
        waiting.sort_by(|one, other| one.path.cmp(&other.path));
        for segment in waiting {
            // The receiver stands right here.
            let _ = closed.send(segment);
        }
        space.counters.set(Counter::JournalLimit, settings.total_bytes);
        let work = Work {
            compress: settings.compress,
            level: settings.compression_level,
            total: settings.total_bytes,
            // What may be written until the next look.
            headroom: settings.segment_bytes.min(settings.total_bytes / 4),
            space,
            chains,
        };
        let thread =
            std::thread::Builder::new().name("keeper".to_string()).spawn(move || work.run(&receiver, &stopped))?;
        Ok((Self { closed, stop, thread }, evidence))
    }

    pub(super) fn sender(&self) -> Sender<Closed> {
        self.closed.clone()
    }

    /// Ends after the segment in hand; what waits is sealed after the next start.
    pub(super) fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

impl Work {
    fn run(mut self, closed: &Receiver<Closed>, stopped: &Receiver<()>) {
        Rank::Last.take();
        let mut last_look = None::<Instant>;
        while stopped.is_empty() {
            select! {
                recv(stopped) -> _ => return,
                recv(closed) -> segment => segment.iter().for_each(|segment| self.seal(segment)),
                default(TICK) => {}
            }
            if last_look.is_none_or(|at| at.elapsed() >= TICK) || self.space.pressed() {
                self.look();
                last_look = Some(Instant::now());
            }
        }
    }

    fn seal(&mut self, closed: &Closed) {
        let Some(segment) = Segment::parse(closed.path.clone()) else { return };
        if closed.empty {
            return self.state(closed.stream, |chain| chain.removed(segment.number, Reason::Empty));
        }
        // What was sealed under other settings stays as it is. It may also have been removed to make room.
        let stated = self.chains.as_ref().is_some_and(|chains| chains[closed.stream as usize].holds(segment.number));
        if stated || !closed.path.exists() {
            return;
        }
        let segment = match self.compress && !segment.sealed {
            true => compress(&closed.path, self.level).map(|path| Segment { sealed: true, path, ..segment }),
            false => Ok(segment),
        };
        match segment {
            Ok(segment) => {
                self.space.counters.add(closed.stream.of((Counter::SealedAlerts, Counter::SealedRecords)), 1);
                self.state(closed.stream, |chain| chain.sealed(&segment.path));
            }
            Err(error) => {
                self.space.counters.add(Counter::SealErrors, 1);
                tracing::warn!(segment = %closed.path.display(), %error, "a segment stays as it is");
            }
        }
    }

    /// Has something stated in a stream's chain. What cannot be written now is tried again.
    fn state(&mut self, stream: Stream, state: impl FnOnce(&mut Chain) -> io::Result<()>) {
        let Some(chains) = &mut self.chains else { return };
        if let Err(error) = state(&mut chains[stream as usize]) {
            self.space.counters.add(Counter::SealErrors, 1);
            tracing::warn!(stream = stream.name(), %error, "the chain of the journal's segments cannot be written");
        }
    }

    /// Keeps the journal within its size and the disk from being full, then mends the reserve.
    fn look(&mut self) {
        if let Err(error) = self.make_room() {
            self.space.counters.add(Counter::SealErrors, 1);
            tracing::warn!(%error, "old segments could not be removed");
        }
        self.space.rebuild();
        for stream in Stream::ALL {
            self.state(stream, Chain::flush);
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        let [alerts, records] = Stream::ALL.map(|stream| self.removable(stream));
        let (alerts, records) = (alerts?, records?);
        let mut size = self.size()?;
        let mut pressed = self.space.pressed();
        let target = self.total.saturating_sub(self.headroom);
        let streams = [(Stream::Records, records), (Stream::Alerts, alerts)];
        for (stream, segment) in streams.iter().flat_map(|(stream, all)| all.iter().map(move |one| (*stream, one))) {
            if size <= target && !(pressed && stream == Stream::Records) {
                continue;
            }
            // Before it goes, so that nobody misses it; on a full disk it is written as soon as there is room.
            self.state(stream, |chain| chain.removed(segment.number, Reason::Retention));
            size = size.saturating_sub(segment::remove(&segment.path)?);
            self.space.catalogue.removed(stream, segment.number);
            self.space.counters.add(stream.of((Counter::EvictedAlerts, Counter::EvictedRecords)), 1);
            tracing::info!(segment = %segment.path.display(), "removed to make room");
            self.space.rebuild();
            // One segment makes room for many batches; the next look sees whether that was enough.
            pressed = false;
        }
        self.space.counters.set(Counter::JournalSize, size);
        Ok(())
    }

    /// Segments of a stream that are not being written, oldest first.
    fn removable(&self, stream: Stream) -> io::Result<Vec<Segment>> {
        let mut segments = segment::list(&self.space.directory(stream))?;
        segments.retain(|segment| segment.number < self.space.active(stream));
        Ok(segments)
    }

    fn size(&self) -> io::Result<u64> {
        let mut size = self.space.reserved();
        let chains = chain::folder(self.space.root());
        let streams = Stream::ALL.map(|stream| self.space.directory(stream));
        for directory in streams.iter().chain(Some(&chains).filter(|_| self.chains.is_some())) {
            for entry in fs::read_dir(directory)? {
                // A file that went away meanwhile takes no room.
                size += entry?.metadata().map_or(0, |file| file.len());
            }
        }
        Ok(size)
    }
}

/// Segments that were sealed, and not stated before a crash.
fn unstated(stream: Stream, chain: &Chain, space: &Space) -> Vec<Closed> {
    let segments = segment::list(&space.directory(stream)).unwrap_or_default();
    let newer = segments.into_iter().filter(|segment| segment.sealed && segment.number > chain.highest());
    newer.map(|Segment { path, .. }| Closed { stream, path, empty: false }).collect()
}

/// Replaces a segment by its compressed form and gives its path; at every moment one of the two is whole.
fn compress(plain: &Path, level: i32) -> io::Result<PathBuf> {
    let sealed = plain.with_extension(SEALED);
    debug_assert!(plain.extension().is_some_and(|ending| ending == PLAIN));
    let unfinished = plain.with_extension("ndjson.zst.tmp");
    let outcome = write_compressed(plain, &unfinished, level)
        .and_then(|()| fs::rename(&unfinished, &sealed))
        .and_then(|()| sync_directory(plain.parent().unwrap_or(Path::new("."))))
        .and_then(|()| fs::remove_file(plain));
    if outcome.is_err() {
        // Already gone when the renaming went well.
        let _ = fs::remove_file(&unfinished);
    }
    outcome.map(|()| sealed)
}

fn write_compressed(plain: &Path, to: &Path, level: i32) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(File::create(to)?, level)?;
    encoder.include_checksum(true)?;
    io::copy(&mut File::open(plain)?, &mut encoder)?;
    encoder.finish()?.sync_all()
}
