//! The durable log that every consumer reads.
//!
//! # Constraints
//!
//! - Nobody waits for the disk on the way of a packet: a worker hands over whole batches through bounded queues.
//! - Bulk never costs an alert: alerts have a queue, a writer thread, a sync policy and space on disk of their own.
//! - What is lost is counted, by stream and cause, and told once when it begins and once when it ends.
//! - Files are plain NDJSON that `jq`, Filebeat or Vector read in place, also while they are written.
//!
//! # Layout on disk
//!
//! ```text
//! journal/
//!   lock                                      held by the process that writes
//!   reserve                                   space for alerts when the disk is full; shrinks as they take it
//!   identity                                  a random number that tells this journal from every other
//!   chain/                                    what proves that sealed segments were not changed (`chain`)
//!   delivery/soc.cursor                       where a consumer stands ([`Bookmark`])
//!   index.sqlite                              made from the alerts ([`crate::index`])
//!   alerts/00000001-20260102T030405.ndjson    a segment: number, time of its first event
//!   records/00000001-20260102T030405.ndjson.zst   sealed: compressed after rotation
//!   records/00000002-20260102T040405.ndjson   the segment being written is the last one, never compressed
//!   evidence/                                 packets of alerts, which have bounds of their own (`crate::evidence`)
//!   datasets/                                 sets that rules change, unless `rules.saved` says where (`crate::sensor`)
//! ```
//!
//! A segment only grows, until it is sealed. Sealing writes `*.zst.tmp`, syncs it, renames it and then removes the plain
//! file, so that at every moment at least one of the two is whole. Numbers only grow, and a position in the journal
//! ([`Cursor`]) is a segment's number with an offset in its uncompressed bytes: sealing does not move it. No number is used
//! twice, not even when a power cut took a segment away that a consumer had read already.
//!
//! # Invariants
//!
//! - A file holds whole lines, except that a crash may leave one unfinished line at the end of a stream. It is cut off and
//!   counted when the journal is opened ([`Recovery`]).
//! - A write that the disk refuses halfway is cut back to the last whole line; what follows is counted as lost.
//! - `kill -9` costs what is still in the worker's and writer's hands, nothing that a `write` took. Loss of power costs at
//!   most what came after the last sync: [`JournalSettings::alerts_sync_interval_ms`] and `records_sync_interval_ms`.
//! - When the journal is at its size, sealed records go first, oldest first; then sealed alerts, oldest first. The
//!   segments being written never go. On a full disk sealed records make room the same way; alerts do not.
//! - While the reserve is short, records wait (and are counted as lost) until it is whole again.
//!
//! # Threads
//!
//! One `Writer` a stream, each with a helper that syncs; one keeper of low priority that seals, removes and looks after
//! the reserve. A replay has one writer for both streams into one plain file ([`Journal::single_file`]); there nothing may
//! be lost, so workers wait for it. Alerts of several workers pass the merge (`merge`), which puts them in packet
//! order, so that rules that count across flows give the same alerts with any number of workers.

mod batch;
mod bookmark;
mod catalogue;
pub(crate) mod chain;
mod identity;
mod keeper;
mod log;
mod merge;
mod reader;
mod segment;
mod space;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};
use vigia_rules::Gate;

use crate::metrics::{Counter, Metrics};
use crate::priority::Rank;

pub use batch::{AlertBatch, AlertEntry, Decision, RecordBatch, Submitter};
pub use bookmark::{Bookmark, Positions};
pub use catalogue::{Catalogue, Extent};
pub use chain::{Fault, FaultKind, Proof, PublicKey, Verification, verify};
pub use identity::identity_of;
pub use merge::{AlertMerge, Outcome};
pub use reader::{Cursor, Reader, event_of};
pub use segment::Recovery;

pub(crate) use batch::BATCH_BYTES;
use batch::{Message, Pools};
use keeper::Keeper;
use log::{Log, PlainFile};
use space::Space;
pub(crate) use space::sync_directory;
use writer::{Sink, Writer};

/// The two streams of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Stream {
    /// Alerts.
    Alerts,
    /// Everything else.
    Records,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Alerts, Self::Records];

    /// Its name: folder in the journal, label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Records => "records",
        }
    }

    /// Of the threads that write and sync it: alerts are what packets are taken for, records are less than the packets that a
    /// worker could take meanwhile.
    const fn rank(self) -> Rank {
        self.of((Rank::Prompt, Rank::Last))
    }

    /// What stands for it in the ids of events.
    const fn letter(self) -> char {
        self.of(('a', 'r'))
    }

    /// The member of a pair (alerts, records).
    const fn of<T: Copy>(self, pair: (T, T)) -> T {
        match self {
            Self::Alerts => pair.0,
            Self::Records => pair.1,
        }
    }
}

/// When written events are forced onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncPolicy {
    /// After every write, before the next one begins.
    Always,
    /// At an interval, beside the writing.
    Interval,
    /// Whenever the system likes.
    Never,
}

/// The durable log.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSettings {
    /// Directory of the journal.
    pub directory: PathBuf,
    /// Bytes that the journal may take on disk, reserve included. Oldest sealed records go first, then oldest sealed alerts.
    pub total_bytes: u64,
    /// Bytes kept on disk for alerts, for when it is full.
    pub reserve_bytes: u64,
    /// A segment is closed before it grows beyond this.
    #[schemars(range(min = 65_536))]
    pub segment_bytes: u64,
    /// A segment is closed when it is this old, in seconds.
    #[schemars(range(min = 1))]
    pub segment_age_s: u64,
    /// Compress closed segments with zstd.
    pub compress: bool,
    /// Level of compression (zstd).
    #[schemars(range(min = 1, max = 19))]
    pub compression_level: i32,
    /// When alerts are forced onto the disk.
    pub alerts_sync: SyncPolicy,
    /// Interval of `alerts_sync = "interval"` in milliseconds.
    #[schemars(range(min = 1))]
    pub alerts_sync_interval_ms: u64,
    /// When records are forced onto the disk.
    pub records_sync: SyncPolicy,
    /// Interval of `records_sync = "interval"` in milliseconds.
    #[schemars(range(min = 1))]
    pub records_sync_interval_ms: u64,
    /// Batches of alerts that may wait for the disk before alerts are lost.
    #[schemars(range(min = 1))]
    pub alerts_queue_batches: usize,
    /// Batches of records (about 256 KiB each) that may wait for the disk before records are lost.
    #[schemars(range(min = 1))]
    pub records_queue_batches: usize,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/vigia/journal"),
            total_bytes: 10 << 30,
            reserve_bytes: 32 << 20,
            segment_bytes: 128 << 20,
            segment_age_s: 3600,
            compress: true,
            compression_level: 3,
            alerts_sync: SyncPolicy::Interval,
            alerts_sync_interval_ms: 200,
            records_sync: SyncPolicy::Interval,
            records_sync_interval_ms: 5000,
            alerts_queue_batches: 4096,
            records_queue_batches: 128,
        }
    }
}

/// Why the journal cannot be opened or was not written in full.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file or directory of it.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process writes there.
    #[error("{path} is in use by another process", path = .0.display())]
    InUse(PathBuf),
    /// A thread of the journal failed.
    #[error("a thread of the journal failed")]
    Thread,
}

trait At<T> {
    fn at(self, path: &Path) -> Result<T, JournalError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, JournalError> {
        self.map_err(|cause| JournalError::Io { path: path.to_path_buf(), cause })
    }
}

/// The journal, open for writing.
pub struct Journal {
    alerts: Sender<Message>,
    records: Sender<Message>,
    pools: Arc<Pools>,
    live: bool,
    metrics: Arc<Metrics>,
    writers: Vec<JoinHandle<Result<(), JournalError>>>,
    gate: Arc<Mutex<Gate>>,
    /// Workers ask it themselves, since no other's matches could come before theirs.
    asked: bool,
    keeper: Option<Keeper>,
    /// Until somebody writes evidence.
    evidence: Mutex<Option<chain::Chain>>,
    catalogue: Arc<Catalogue>,
    identity: String,
    lock: Option<File>,
}

/// Batches of a replay that may wait for the disk; workers wait when there are more.
const REPLAY_QUEUE: usize = 32;

impl Journal {
    /// Opens the journal of a live sensor: repairs what a crash left, then starts its threads. A batch that finds its
    /// queue full is lost and counted.
    pub fn open(settings: &JournalSettings, metrics: &Arc<Metrics>) -> Result<(Self, Recovery), JournalError> {
        let directory = &settings.directory;
        fs::create_dir_all(directory).at(directory)?;
        let lock = lock(&directory.join("lock"))?;
        let space = Arc::new(Space::open(settings, Arc::clone(metrics.shared()))?);
        let identity = identity::of(directory).at(directory)?;
        let read = bookmark::furthest(directory);
        let mut recovery = Recovery::default();
        let mut closed = Vec::new();
        let mut logs = Vec::new();
        for stream in Stream::ALL {
            let (log, found) = Log::open(settings, stream, &space, metrics, read.get(stream), &mut recovery)?;
            logs.push(log);
            closed.extend(found);
        }
        recovery.count(metrics.shared());
        let catalogue = Arc::clone(&space.catalogue);
        let (keeper, evidence) = Keeper::start(settings, Arc::clone(&space), closed).at(directory)?;
        let pools = Arc::<Pools>::default();
        let mut writers = Vec::new();
        let mut gates = Vec::new();
        let mut start = |log: Log, queue: usize, gauges: (Counter, Counter)| {
            let (sender, receiver) = bounded(queue.max(1));
            metrics.shared().set(gauges.1, queue as u64);
            let sink = Sink::Log(Box::new(log));
            let merge = AlertMerge::unordered();
            gates.push(Arc::clone(merge.gate()));
            let writer = Writer::new(receiver, sink, merge, &pools, metrics, Some(gauges.0));
            writers.push(writer.spawn().at(directory)?);
            Ok(sender)
        };
        let mut logs = logs.into_iter().map(|mut log| {
            log.keeper = Some(keeper.sender());
            log
        });
        let (Some(alerts), Some(records)) = (logs.next(), logs.next()) else { return Err(JournalError::Thread) };
        let alerts = start(alerts, settings.alerts_queue_batches, (Counter::AlertsQueue, Counter::AlertsQueueLimit))?;
        let records =
            start(records, settings.records_queue_batches, (Counter::RecordsQueue, Counter::RecordsQueueLimit))?;
        let journal = Self {
            alerts,
            records,
            pools,
            live: true,
            metrics: Arc::clone(metrics),
            writers,
            // The alerts' writer is the first.
            gate: gates.into_iter().next().unwrap_or_default(),
            asked: true,
            keeper: Some(keeper),
            evidence: Mutex::new(evidence),
            catalogue,
            identity,
            lock: Some(lock),
        };
        Ok((journal, recovery))
    }

    /// The output of a replay by `workers` workers: both streams in one file, which is created or overwritten. Nothing is
    /// lost: workers wait for the disk. Alerts are put in packet order.
    pub fn single_file(path: &Path, workers: usize, metrics: &Arc<Metrics>) -> Result<Self, JournalError> {
        fs::write(path, "").at(path)?;
        Self::more_of_file(path, workers, metrics)
    }

    /// The same, behind what stands in the file.
    pub fn more_of_file(path: &Path, workers: usize, metrics: &Arc<Metrics>) -> Result<Self, JournalError> {
        let file = PlainFile::open(path, Arc::clone(metrics.shared())).at(path)?;
        let (sender, receiver) = bounded(REPLAY_QUEUE);
        let pools = Arc::<Pools>::default();
        let merge = AlertMerge::new(workers);
        let gate = Arc::clone(merge.gate());
        let writer = Writer::new(receiver, Sink::File(file), merge, &pools, metrics, None);
        Ok(Self {
            alerts: sender.clone(),
            records: sender,
            pools,
            live: false,
            metrics: Arc::clone(metrics),
            writers: vec![writer.spawn().at(path)?],
            gate,
            asked: workers == 1,
            keeper: None,
            evidence: Mutex::default(),
            catalogue: Arc::default(),
            identity: String::new(),
            lock: None,
        })
    }

    /// The way in for a worker, numbered from 0.
    pub fn submitter(&self, worker: usize) -> Submitter {
        Submitter::new(
            if self.live { 0 } else { worker },
            self.live,
            (self.alerts.clone(), self.records.clone()),
            Arc::clone(&self.pools),
            Arc::clone(self.metrics.shared()),
            self.asked.then(|| Arc::clone(&self.gate)),
        )
    }

    /// What counts matches across flows, and knows what rules have changed of sets: all of it once the journal is closed.
    pub fn gate(&self) -> &Arc<Mutex<Gate>> {
        &self.gate
    }

    /// What its segments hold.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The chain of files of evidence, for who writes them: once, and where the chains can be kept.
    pub(crate) fn take_evidence_chain(&self) -> Option<chain::Chain> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells it from every other journal; empty for the file of a replay.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Writes all that was submitted, syncs it and ends the threads. In a replay an error says that the file is not whole.
    pub fn close(self) -> Result<(), JournalError> {
        for sender in [&self.alerts, &self.records] {
            // A writer that has ended already says why below.
            let _ = sender.send(Message::Stop);
        }
        let mut outcome = Ok(());
        for writer in self.writers {
            outcome = outcome.and(writer.join().unwrap_or(Err(JournalError::Thread)));
        }
        if let Some(keeper) = self.keeper {
            keeper.stop();
        }
        if let Some(lock) = &self.lock {
            // By word: a process that is just being started from this one may still have the file open, too.
            let _ = lock.unlock();
        }
        outcome
    }
}

/// Numbers of the oldest and the newest segment of a stream of the journal in a directory; none where there is no segment.
pub fn span_of(journal: &Path, stream: Stream) -> io::Result<Option<RangeInclusive<u64>>> {
    let segments = match segment::list(&journal.join(stream.name())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        segments => segments?,
    };
    Ok(segments.first().zip(segments.last()).map(|(first, last)| first.number..=last.number))
}

fn lock(path: &Path) -> Result<File, JournalError> {
    let file = File::options().create(true).write(true).truncate(false).open(path).at(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse(path.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(error).at(path),
    }
}
