//! Batches of events on their way from a worker to a writer, and the buffers that come back.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, TrySendError};
use vigia_parsers::Timestamp;
use vigia_rules::{Engine, Gate, Match, RuleId, Silence};

use crate::event::Lines;
use crate::metrics::{Block, Counter};

use super::Stream;
use super::merge::{self, Outcome};

/// Lines of the record stream.
#[derive(Debug, Default)]
pub struct RecordBatch {
    /// Whole lines.
    pub lines: Lines,
    /// Number of lines.
    pub events: u64,
    /// Time of the first event.
    pub first: Timestamp,
}

/// A match of a signature, and its line in [`AlertBatch::lines`].
#[derive(Debug, Clone)]
pub struct AlertEntry {
    /// Number of the packet that raised it; 0 when the end of a flow did, and live.
    pub packet: u64,
    /// The session it belongs to: a capture file, or the one of live capture. What counts across flows ends with it.
    pub session: u32,
    /// The worker was told already that its threshold lets it pass.
    pub admitted: bool,
    /// The rule.
    pub rule: RuleId,
    /// Sender, receiver and time of what matched.
    pub found: Match,
    /// Length of its line in bytes; 0 when alerts are not written.
    pub length: usize,
}

/// Matches of signatures of one worker, in packet order.
pub struct AlertBatch {
    /// The worker, from 0.
    pub worker: usize,
    /// The worker has done all packets up to this number; not one of them will raise another alert.
    pub through: u64,
    /// The worker is done with a capture file.
    pub capture_ends: bool,
    /// The rules that the entries refer to.
    pub engine: Arc<Engine>,
    /// The matches.
    pub entries: Vec<AlertEntry>,
    /// Their lines, one after another.
    pub lines: Lines,
}

impl AlertBatch {
    /// A batch of `worker` without matches.
    pub fn new(worker: usize, engine: Arc<Engine>) -> Self {
        Self { worker, through: 0, capture_ends: false, engine, entries: Vec::new(), lines: Lines::default() }
    }

    /// Bytes that it takes: lines, and values that its matches noted.
    pub(super) fn bytes(&self) -> usize {
        self.lines.len() + self.entries.iter().map(|entry| entry.found.noted_bytes()).sum::<usize>()
    }
}

/// What a writer receives.
pub(super) enum Message {
    Records(RecordBatch),
    Alerts(AlertBatch),
    /// Write what has been submitted, then end.
    Stop,
}

/// Buffers that come back from the writers to be filled anew. Where none waits, one is made.
#[derive(Default)]
pub(super) struct Pools {
    records: Pool<Lines>,
    alerts: Pool<Lines>,
    entries: Pool<Vec<AlertEntry>>,
}

/// Buffers kept for reuse, of each kind.
const POOLED: usize = 64;

/// A buffer that grew beyond this (a flood of alerts) is not kept.
const LARGEST_POOLED: usize = 4 << 20;

/// Bytes of records after which a batch goes to the journal: big enough for cheap writes, small enough for the cache.
pub(crate) const BATCH_BYTES: usize = 256 * 1024;

/// Room beyond that for the record that fills the batch.
const LAST_RECORD: usize = 64 * 1024;

impl Pools {
    pub(super) fn give_back_records(&self, lines: Lines) {
        self.records.give_back_lines(lines);
    }

    pub(super) fn give_back(&self, batch: AlertBatch) {
        let AlertBatch { mut entries, lines, .. } = batch;
        self.alerts.give_back_lines(lines);
        if entries.capacity() > 0 {
            entries.clear();
            self.entries.give_back(entries);
        }
    }
}

/// Buffers of one kind. The one that came back last is the first to be taken: of its memory most is still in the
/// processor's cache, and no more buffers go round than are needed at a time.
struct Pool<T>(Mutex<Vec<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::with_capacity(POOLED)))
    }
}

impl<T> Pool<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, buffer: T) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full pool has buffers enough.
        if waiting.len() < POOLED {
            waiting.push(buffer);
        }
    }
}

impl Pool<Lines> {
    fn give_back_lines(&self, mut lines: Lines) {
        if (1..=LARGEST_POOLED).contains(&lines.capacity()) {
            lines.clear();
            self.give_back(lines);
        }
    }
}

/// What becomes of a match, and how long that holds.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// Is it an alert?
    pub outcome: Outcome,
    /// For how long its rule is silent about its ends, when it has said enough.
    pub silence: Option<Silence>,
    /// How often counters of matches were forgotten.
    pub forgotten: u64,
}

/// A worker's way into the journal.
pub struct Submitter {
    worker: usize,
    live: bool,
    alerts: Sender<Message>,
    records: Sender<Message>,
    pools: Arc<Pools>,
    counters: Arc<Block>,
    gate: Option<Arc<Mutex<Gate>>>,
}

impl Submitter {
    pub(super) fn new(
        worker: usize,
        live: bool,
        (alerts, records): (Sender<Message>, Sender<Message>),
        pools: Arc<Pools>,
        counters: Arc<Block>,
        gate: Option<Arc<Mutex<Gate>>>,
    ) -> Self {
        Self { worker, live, alerts, records, pools, counters, gate }
    }

    /// An empty batch to fill with records.
    pub fn record_batch(&self) -> RecordBatch {
        let lines = self.pools.records.take().unwrap_or_else(|| Lines::with_room(BATCH_BYTES + LAST_RECORD));
        RecordBatch { lines, ..RecordBatch::default() }
    }

    /// An empty batch to fill with matches of the rules of `engine`.
    pub fn alert_batch(&self, engine: Arc<Engine>) -> AlertBatch {
        let lines = self.pools.alerts.take().unwrap_or_default();
        let entries = self.pools.entries.take().unwrap_or_default();
        AlertBatch { entries, lines, ..AlertBatch::new(self.worker, engine) }
    }

    /// Hands records to the journal. Returns at once in a live sensor, where a batch that finds the queue full is lost and
    /// counted; waits in a replay.
    pub fn records(&self, batch: RecordBatch) {
        let (events, bytes) = (batch.events, batch.lines.len());
        if let Some(Message::Records(batch)) = self.submit(&self.records, Message::Records(batch)) {
            self.lost(Stream::Records, events, bytes);
            self.pools.give_back_records(batch.lines);
        }
    }

    /// Hands matches to the journal; as [`Submitter::records`].
    pub fn alerts(&self, batch: AlertBatch) {
        let (events, bytes) = (batch.entries.len() as u64, batch.lines.len());
        if let Some(Message::Alerts(batch)) = self.submit(&self.alerts, Message::Alerts(batch)) {
            self.lost(Stream::Alerts, events, bytes);
            self.pools.give_back(batch);
        }
    }

    /// What becomes of a match of a rule that counts across flows, where that can be said at once: live, and in a replay
    /// by one worker for what a packet raised. Else the merge says it. The outcome is final; suppressed ones are counted.
    pub(crate) fn outcome(&self, engine: &Engine, entry: &AlertEntry) -> Option<Decision> {
        let gate = self.gate.as_ref().filter(|_| self.live || entry.packet != 0)?;
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = merge::outcome(&mut gate, engine, entry);
        if outcome == Outcome::Suppressed {
            self.suppressed(1);
        }
        Some(Decision { outcome, silence: gate.silence(), forgotten: gate.forgotten() })
    }

    /// Counts matches of which it is known that they are suppressed.
    pub(crate) fn suppressed(&self, matches: u64) {
        self.counters.add(Counter::AlertsSuppressed, matches);
    }

    /// Are the alerts of several workers put in one order?
    pub(crate) fn is_merged(&self) -> bool {
        !self.live && self.gate.is_none()
    }

    /// Would records be lost now for want of room in the queue? Never in a replay, where workers wait.
    pub(crate) fn refuses_records(&self) -> bool {
        self.live && self.records.is_full()
    }

    /// Do both streams end in one file, in the order of submission?
    pub(crate) fn in_order(&self) -> bool {
        !self.live
    }

    /// Gives the message back when it is lost.
    fn submit(&self, queue: &Sender<Message>, message: Message) -> Option<Message> {
        if !self.live {
            return queue.send(message).err().map(|error| error.0);
        }
        match queue.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Some(message),
        }
    }

    fn lost(&self, stream: Stream, events: u64, bytes: usize) {
        self.counters.add(stream.of((Counter::LostAlertsQueue, Counter::LostRecordsQueue)), events);
        self.counters.add(stream.of((Counter::LostAlertBytes, Counter::LostRecordBytes)), bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_that_came_back_last_is_taken_first() {
        let pool = Pool::default();
        (0..POOLED + 2).for_each(|number| pool.give_back(number));
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken, (0..POOLED).rev().collect::<Vec<_>>(), "more are not kept");
    }

    #[test]
    fn lines_come_back_empty_and_none_that_a_flood_made_grow() {
        let pool = Pool::<Lines>::default();
        for room in [0, LARGEST_POOLED + 1, BATCH_BYTES] {
            let mut lines = Lines::with_room(room);
            if room > 0 {
                lines.append_lines(b"one\n");
            }
            pool.give_back_lines(lines);
        }
        let lines = pool.take().unwrap();
        assert_eq!((lines.len(), lines.capacity()), (0, BATCH_BYTES));
        assert!(pool.take().is_none());
    }
}
