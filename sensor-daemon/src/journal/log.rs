//! Where lines end up: the segments of a stream, or the one file of a replay.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use vigia_parsers::Timestamp;

use crate::metrics::{Block, Counter, Metrics};

use super::keeper::Closed;
use super::segment;
use super::space::{Space, sync_directory};
use super::{At, Cursor, Extent, JournalError, JournalSettings, Recovery, Stream, SyncPolicy};

/// After a refused write, records are not tried again for this long.
const RETRY: Duration = Duration::from_millis(500);

/// One stream of the journal: its segment being written, and what it takes to write on.
pub(super) struct Log {
    stream: Stream,
    directory: PathBuf,
    segment_bytes: u64,
    segment_age: Duration,
    space: Arc<Space>,
    current: Option<Current>,
    next_number: u64,
    syncer: Syncer,
    /// Set while the disk refuses: events lost since, and when to try again.
    refused: Option<Refused>,
    pub(super) keeper: Option<Sender<Closed>>,
}

struct Current {
    number: u64,
    path: PathBuf,
    file: Arc<File>,
    /// Bytes of whole lines.
    length: u64,
    opened: Instant,
}

struct Refused {
    events: u64,
    retry: Instant,
}

impl Log {
    /// Opens a stream: repairs its directory and starts a new segment number, beyond all that its consumers have `read`.
    /// Returns what is to be sealed, too.
    pub(super) fn open(
        settings: &JournalSettings,
        stream: Stream,
        space: &Arc<Space>,
        metrics: &Arc<Metrics>,
        read: Cursor,
        recovery: &mut Recovery,
    ) -> Result<(Self, Vec<Closed>), JournalError> {
        let directory = space.directory(stream);
        fs::create_dir_all(&directory).at(&directory)?;
        let (closed, next_number) = segment::repair(&directory, stream, recovery).at(&directory)?;
        let next_number = next_number.max(read.segment + 1);
        space.set_active(stream, next_number);
        space.catalogue.begin(stream, next_number);
        let policy = match stream {
            Stream::Alerts => (settings.alerts_sync, settings.alerts_sync_interval_ms),
            Stream::Records => (settings.records_sync, settings.records_sync_interval_ms),
        };
        let log = Self {
            stream,
            segment_bytes: settings.segment_bytes,
            segment_age: Duration::from_secs(settings.segment_age_s),
            space: Arc::clone(space),
            current: None,
            next_number,
            syncer: Syncer::start(stream, policy, &directory, metrics).at(&directory)?,
            directory,
            refused: None,
            keeper: None,
        };
        Ok((log, closed))
    }

    /// The stream that it is.
    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Appends whole lines, or loses and counts them.
    pub(super) fn append(&mut self, lines: &[u8], events: u64, first: Timestamp) {
        let written = match self.admits(lines.len()) {
            true => self.write(lines, first),
            false => 0,
        };
        let kept = if written == lines.len() { events } else { count_lines(&lines[..written]) };
        let counters = &self.space.counters;
        counters.add(self.stream.of((Counter::JournalAlertEvents, Counter::JournalRecordEvents)), kept);
        counters.add(self.stream.of((Counter::JournalAlertBytes, Counter::JournalRecordBytes)), written as u64);
        if written > 0 {
            // The segment written last, also where the write ended it.
            let extent = Extent { events: kept, bytes: written as u64 };
            self.space.catalogue.wrote(self.stream, self.next_number - 1, extent);
        }
        if written == lines.len() {
            self.recovered();
        } else {
            self.lost(events - kept, lines.len() - written);
        }
    }

    /// Closes a segment that is old enough, and has the written lines synced when it is time.
    pub(super) fn tick(&mut self) {
        if self.current.as_ref().is_some_and(|current| current.opened.elapsed() >= self.segment_age) {
            self.rotate();
        }
        if let Some(current) = &self.current {
            self.syncer.tick(&current.file);
        }
    }

    /// Syncs what was written.
    pub(super) fn close(mut self) {
        if let Some(current) = self.current.take() {
            self.syncer.force(current.file);
        }
        self.syncer.stop();
    }

    /// Alerts are always tried; records only when they were not refused lately and do not take what alerts need.
    fn admits(&self, bytes: usize) -> bool {
        if self.stream == Stream::Alerts {
            return true;
        }
        match &self.refused {
            Some(refused) => Instant::now() >= refused.retry && self.space.has_room(bytes as u64),
            None => !self.space.short(),
        }
    }

    /// Writes lines and returns how many bytes of them are on disk: all, or whole lines up to where the disk refused.
    fn write(&mut self, lines: &[u8], first: Timestamp) -> usize {
        let full = |current: &Current| current.length > 0 && current.length + lines.len() as u64 > self.segment_bytes;
        if self.current.as_ref().is_some_and(full) {
            self.rotate();
        }
        let mut written = 0;
        loop {
            let error = match self.write_some(&lines[written..], first) {
                Ok(0) => return written,
                Ok(bytes) => {
                    written += bytes;
                    continue;
                }
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            let bytes = (lines.len() - written) as u64;
            let no_room = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            if no_room && self.stream == Stream::Alerts && self.space.release(bytes) {
                continue;
            }
            let whole = self.cut_back(lines, written);
            self.refuse(&error);
            return whole;
        }
    }

    fn write_some(&mut self, lines: &[u8], first: Timestamp) -> io::Result<usize> {
        if lines.is_empty() {
            return Ok(0);
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                let current = Current::create(&self.directory, self.next_number, first)?;
                self.next_number += 1;
                self.space.set_active(self.stream, current.number);
                self.syncer.created();
                none.insert(current)
            }
        };
        match (&*current.file).write(lines)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            bytes => {
                current.length += bytes as u64;
                self.syncer.wrote(&current.file);
                Ok(bytes)
            }
        }
    }

    /// After a write that stopped at `written`: takes back the unfinished line. Returns the bytes that stay.
    fn cut_back(&mut self, lines: &[u8], written: usize) -> usize {
        let whole = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |at| at + 1);
        if let Some(current) = self.current.as_mut().filter(|_| whole < written) {
            current.length -= (written - whole) as u64;
            if current.file.set_len(current.length).is_err() {
                // The unfinished line stays; the segment ends with it, and readers skip it.
                self.rotate();
            }
        }
        whole
    }

    fn refuse(&mut self, error: &io::Error) {
        let retry = Instant::now() + RETRY;
        if let Some(refused) = &mut self.refused {
            refused.retry = retry;
            return;
        }
        let stream = self.stream.name();
        tracing::error!(stream, %error, "the journal cannot be written: events are lost until it can");
        self.start_refusal(retry);
    }

    fn start_refusal(&mut self, retry: Instant) {
        self.refused = Some(Refused { events: 0, retry });
        self.space.set_full(self.stream, true);
    }

    fn lost(&mut self, events: u64, bytes: usize) {
        let counters = &self.space.counters;
        counters.add(self.stream.of((Counter::LostAlertsDisk, Counter::LostRecordsDisk)), events);
        counters.add(self.stream.of((Counter::LostAlertBytes, Counter::LostRecordBytes)), bytes as u64);
        if self.refused.is_none() {
            // Held back for the alerts' reserve rather than refused by the disk.
            self.start_refusal(Instant::now());
        }
        if let Some(refused) = &mut self.refused {
            refused.events += events;
        }
    }

    fn recovered(&mut self) {
        if let Some(refused) = self.refused.take() {
            let stream = self.stream.name();
            tracing::info!(stream, lost = refused.events, "the journal can be written again");
            self.space.set_full(self.stream, false);
        }
    }

    /// Ends the current segment: it is synced beside the writing, and the keeper gets it.
    fn rotate(&mut self) {
        let Some(current) = self.current.take() else { return };
        self.space.set_active(self.stream, self.next_number);
        self.syncer.force(current.file);
        if let Some(keeper) = &self.keeper {
            // Without a keeper the next start seals it.
            let _ = keeper.send(Closed { stream: self.stream, path: current.path, empty: false });
        }
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

impl Current {
    fn create(directory: &Path, number: u64, first: Timestamp) -> io::Result<Self> {
        let path = directory.join(segment::file_name(number, first));
        let file = Arc::new(File::options().append(true).create_new(true).open(&path)?);
        Ok(Self { number, path, file, length: 0, opened: Instant::now() })
    }
}

/// Syncs a stream as its policy says, beside the writing where the policy allows.
struct Syncer {
    policy: SyncPolicy,
    interval: Duration,
    due: Option<Instant>,
    /// A segment was created: its directory entry is to be synced, too.
    created: bool,
    jobs: Sender<Job>,
    work: Arc<SyncWork>,
    thread: JoinHandle<()>,
}

struct Job {
    file: Arc<File>,
    directory: bool,
}

struct SyncWork {
    stream: Stream,
    directory: PathBuf,
    metrics: Arc<Metrics>,
}

/// Syncs that may wait; rotated segments among them.
const SYNC_JOBS: usize = 4;

impl Syncer {
    fn start(
        stream: Stream,
        (policy, interval_ms): (SyncPolicy, u64),
        directory: &Path,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let (jobs, receiver) = bounded(SYNC_JOBS);
        let work = Arc::new(SyncWork { stream, directory: directory.to_path_buf(), metrics: Arc::clone(metrics) });
        let thread = {
            let work = Arc::clone(&work);
            let run = move |jobs: Receiver<Job>| {
                stream.rank().take();
                jobs.iter().for_each(|job| work.sync(&job));
            };
            std::thread::Builder::new().name(format!("sync-{}", stream.name())).spawn(move || run(receiver))?
        };
        let interval = Duration::from_millis(interval_ms);
        Ok(Self { policy, interval, due: None, created: false, jobs, work, thread })
    }

    fn created(&mut self) {
        self.created = true;
    }

    fn wrote(&mut self, file: &Arc<File>) {
        match self.policy {
            SyncPolicy::Always => {
                self.work.sync(&Job { file: Arc::clone(file), directory: std::mem::take(&mut self.created) })
            }
            SyncPolicy::Interval => self.due = self.due.or_else(|| Instant::now().checked_add(self.interval)),
            SyncPolicy::Never => {}
        }
    }

    fn tick(&mut self, file: &Arc<File>) {
        if self.due.is_some_and(|due| Instant::now() >= due) {
            let job = Job { file: Arc::clone(file), directory: self.created };
            // While the last sync still runs, what came since waits for the next.
            if self.jobs.try_send(job).is_ok() {
                self.due = None;
                self.created = false;
            }
        }
    }

    /// Syncs a file that will not be written to again.
    fn force(&mut self, file: Arc<File>) {
        self.due = None;
        if self.policy != SyncPolicy::Never {
            // The thread lives as long as this, so the job arrives.
            let _ = self.jobs.send(Job { file, directory: std::mem::take(&mut self.created) });
        }
    }

    fn stop(self) {
        drop(self.jobs);
        // It only syncs; a panic there has nothing to tell.
        let _ = self.thread.join();
    }
}

impl SyncWork {
    fn sync(&self, job: &Job) {
        let start = Instant::now();
        let outcome = job.file.sync_data().and_then(|()| match job.directory {
            true => sync_directory(&self.directory),
            false => Ok(()),
        });
        self.metrics.sync_latency(self.stream as usize).observe(start.elapsed());
        if let Err(error) = outcome {
            self.metrics.shared().add(Counter::SyncErrors, 1);
            tracing::error!(stream = self.stream.name(), %error, "the journal could not be synced");
        }
    }
}

/// The one file of a replay.
pub(super) struct PlainFile {
    path: PathBuf,
    file: File,
    counters: Arc<Block>,
    failed: Option<io::Error>,
}

impl PlainFile {
    /// Appends to a file.
    pub(super) fn open(path: &Path, counters: Arc<Block>) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { path: path.to_path_buf(), file, counters, failed: None })
    }

    pub(super) fn append(&mut self, stream: Stream, lines: &[u8], events: u64) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(lines).err();
        }
        let written = self.failed.is_none();
        let pick = |good, bad| if written { good } else { bad };
        let events_counter = pick(
            (Counter::JournalAlertEvents, Counter::JournalRecordEvents),
            (Counter::LostAlertsDisk, Counter::LostRecordsDisk),
        );
        let bytes_counter = pick(
            (Counter::JournalAlertBytes, Counter::JournalRecordBytes),
            (Counter::LostAlertBytes, Counter::LostRecordBytes),
        );
        self.counters.add(stream.of(events_counter), events);
        self.counters.add(stream.of(bytes_counter), lines.len() as u64);
    }

    pub(super) fn close(self) -> Result<(), JournalError> {
        self.failed.map_or(Ok(()), Err).at(&self.path)
    }
}
