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
}

impl Keeper {
    pub(super) fn start(settings: &JournalSettings, space: Arc<Space>, waiting: Vec<Closed>) -> io::Result<Self> {
        let (closed, receiver) = unbounded();
        let (stop, stopped) = crossbeam_channel::bounded(1);
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
        };
        let thread =
            std::thread::Builder::new().name("keeper".to_string()).spawn(move || work.run(&receiver, &stopped))?;
        Ok(Self { closed, stop, thread })
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
    fn run(&self, closed: &Receiver<Closed>, stopped: &Receiver<()>) {
        // Of this thread only: Linux keeps the priority by thread. Without it sealing is merely less polite.
        let _ = rustix::process::setpriority_process(None, 19);
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

    fn seal(&self, closed: &Closed) {
        // It may have been removed to make room.
        let compressed =
            if self.compress && closed.path.exists() { compress(&closed.path, self.level) } else { Ok(()) };
        if let Err(error) = compressed {
            self.space.counters.add(Counter::SealErrors, 1);
            tracing::warn!(segment = %closed.path.display(), %error, "a segment stays as it is");
            return;
        }
        self.space.counters.add(closed.stream.of((Counter::SealedAlerts, Counter::SealedRecords)), 1);
    }

    /// Keeps the journal within its size and the disk from being full, then mends the reserve.
    fn look(&self) {
        if let Err(error) = self.make_room() {
            self.space.counters.add(Counter::SealErrors, 1);
            tracing::warn!(%error, "old segments could not be removed");
        }
        self.space.rebuild();
    }

    fn make_room(&self) -> io::Result<()> {
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
        for stream in Stream::ALL {
            for entry in fs::read_dir(self.space.directory(stream))? {
                // A file that went away meanwhile takes no room.
                size += entry?.metadata().map_or(0, |file| file.len());
            }
        }
        Ok(size)
    }
}

/// Replaces a segment by its compressed form; at every moment one of the two is whole.
fn compress(plain: &Path, level: i32) -> io::Result<()> {
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
    outcome
}

fn write_compressed(plain: &Path, to: &Path, level: i32) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(File::create(to)?, level)?;
    encoder.include_checksum(true)?;
    io::copy(&mut File::open(plain)?, &mut encoder)?;
    encoder.finish()?.sync_all()
}
