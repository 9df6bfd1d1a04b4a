//! What is counted: one table, published per batch, read by `/metrics`, the `stats` event, `vigia status` and the summary
//! of a replay.
//!
//! - [`table`] declares every series once: name, labels, kind, help, and its path in the `stats` event where Suricata has
//!   one. Nothing else names a metric.
//! - A worker counts in plain integers ([`Counters`]) and publishes them once a batch into its [`Block`] of shared atomics;
//!   threads beside the workers (journal, command line) count in the shared block directly. No lock, no read-modify-write
//!   and no allocation on the way of a packet.
//! - [`Metrics`] reads the blocks: the Prometheus text ([`Metrics::encode`], served by [`serve`]), what is pushed
//!   ([`crate::deliver::Push`]), and [`Snapshot`].
//!
//! **Invariant.** `seen = processed + shunted + dropped by cause`, in packets: [`Snapshot::packets`] says whether it holds.
//! A packet can only be dropped by naming its [`DropCause`].

mod block;
mod export;
mod histogram;
pub mod ledger;
mod server;
mod snapshot;
pub mod subject;
pub mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

pub use block::{Block, Counters};
pub use export::{peak_memory, resident_memory};
pub(crate) use histogram::BOUNDS;
pub use histogram::Histogram;
use ledger::Ledger;
pub use server::{MetricsSettings, Server, serve};
pub use snapshot::{PacketBalance, Snapshot};
use subject::{Reading, Subject};
pub use table::{Counter, DropCause};

/// The rules in force, as `/metrics` and the `stats` event tell them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RulesetInfo {
    /// Counts up with every reload, from 1; 0 before the first ruleset.
    pub generation: u64,
    /// Hash of the rule sources, hexadecimal.
    pub hash: String,
    /// Rules in force.
    pub loaded: u64,
    /// Rules left out because they do not compile.
    pub failed: u64,
    /// Rules left out on purpose: a higher revision of them is there, or what they require or wait for is not.
    pub skipped: u64,
    /// When it was loaded, seconds since the epoch.
    pub loaded_at_s: u64,
}

/// Streams of the journal, for what is measured of each.
pub(crate) const STREAMS: [&str; 2] = ["alerts", "records"];

/// Everything counted in this process.
#[derive(Debug)]
pub struct Metrics {
    blocks: Mutex<Vec<Arc<Block>>>,
    shared: Arc<Block>,
    ruleset: Mutex<RulesetInfo>,
    subjects: Mutex<BTreeMap<(Subject, String), Vec<Reading>>>,
    ledgers: Mutex<BTreeMap<String, Ledger>>,
    sync: [Histogram; 2],
    latency: [Histogram; 2],
    started: Instant,
    started_at: SystemTime,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            blocks: Mutex::default(),
            shared: Arc::new(Block::shared()),
            ruleset: Mutex::default(),
            subjects: Mutex::default(),
            ledgers: Mutex::default(),
            sync: Default::default(),
            latency: Default::default(),
            started: Instant::now(),
            started_at: SystemTime::now(),
        }
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The counters of a worker on an interface (or capture file label). A worker that is restarted gets the counts of
    /// its predecessor, so that none goes backward; gauges start at 0.
    pub fn worker(&self, worker: usize, interface: &str) -> Counters {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = blocks.iter().find(|block| block.is(worker, interface));
        let block = known.cloned().unwrap_or_else(|| {
            let block = Arc::new(Block::of(worker, interface));
            blocks.push(Arc::clone(&block));
            block
        });
        Counters::resume(block)
    }

    /// The counters of threads that are not workers.
    pub fn shared(&self) -> &Arc<Block> {
        &self.shared
    }

    /// A new ruleset is in force.
    pub fn set_ruleset(&self, ruleset: RulesetInfo) {
        *self.ruleset.lock().unwrap_or_else(PoisonError::into_inner) = ruleset;
    }

    /// The ruleset in force.
    pub fn ruleset(&self) -> RulesetInfo {
        self.ruleset.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is told of an interface, in place of what was told before.
    pub fn set_interface(&self, interface: &str, readings: Vec<Reading>) {
        self.set_subject(Subject::Interface, interface, readings);
    }

    /// What is told of a sink, in place of what was told before.
    pub fn set_sink(&self, sink: &str, readings: Vec<Reading>) {
        self.set_subject(Subject::Sink, sink, readings);
    }

    /// What is told of a server that metrics are sent to, in place of what was told before.
    pub fn set_push(&self, push: &str, readings: Vec<Reading>) {
        self.set_subject(Subject::Push, push, readings);
    }

    /// When this process began to count.
    pub(crate) fn started_at(&self) -> SystemTime {
        self.started_at
    }

    fn set_subject(&self, subject: Subject, name: &str, readings: Vec<Reading>) {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.insert((subject, name.to_owned()), readings);
    }

    /// The ledger of an interface, in place of the one before.
    pub fn set_ledger(&self, interface: &str, ledger: Ledger) {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).insert(interface.to_owned(), ledger);
    }

    /// Frames of an interface that workers took from their rings, and those that the rings lost.
    pub fn taken(&self, interface: &str) -> [u64; 2] {
        let mut taken = [0; 2];
        for block in self.blocks().iter().filter(|block| block.is_of(interface)) {
            taken[0] += block.get(Counter::PacketsProcessed);
            for cause in DropCause::ALL {
                taken[usize::from(cause.is_of_rings())] += block.dropped_by(*cause);
            }
        }
        taken
    }

    /// What is told of all subjects: the name of each, and a number.
    fn readings(&self) -> Vec<(String, Reading)> {
        let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = |((_, name), readings): (&(Subject, String), &Vec<Reading>)| -> Vec<_> {
            readings.iter().map(|reading| (name.clone(), reading.clone())).collect()
        };
        subjects.iter().flat_map(of_one).collect()
    }

    /// Time that syncs of a journal stream take (0 alerts, 1 records).
    pub fn sync_latency(&self, stream: usize) -> &Histogram {
        &self.sync[stream & 1]
    }

    /// Time from a packet's capture until its event is written, of each event (0 alerts, 1 records).
    pub fn journal_latency(&self, stream: usize) -> &Histogram {
        &self.latency[stream & 1]
    }

    fn blocks(&self) -> Vec<Arc<Block>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        blocks.push(Arc::clone(&self.shared));
        blocks
    }
}
