//! The thread that writes: takes batches from its queue and appends their lines.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use vigia_parsers::Timestamp;

use crate::metrics::{Counter, Metrics};
use crate::priority::Rank;

use super::batch::{AlertBatch, Message, Pools, RecordBatch};
use super::log::{Log, PlainFile};
use super::merge::{AlertMerge, Outcome};
use super::{JournalError, Stream};

/// Lines are written once there are this many bytes of them, or nothing more waits in the queue.
const GROUP_BYTES: usize = 256 * 1024;

/// An idle writer looks this often whether a sync or rotation is due.
const TICK: Duration = Duration::from_millis(50);

/// Where a writer writes.
pub(super) enum Sink {
    Log(Box<Log>),
    File(PlainFile),
}

impl Sink {
    fn append(&mut self, stream: Stream, lines: &[u8], events: u64, first: Timestamp) {
        match self {
            Self::Log(log) => log.append(lines, events, first),
            Self::File(file) => file.append(stream, lines, events),
        }
    }

    fn rank(&self) -> Rank {
        match self {
            Self::Log(log) => log.stream().rank(),
            Self::File(_) => Rank::Prompt,
        }
    }

    fn close(self) -> Result<(), JournalError> {
        match self {
            Self::Log(log) => {
                log.close();
                Ok(())
            }
            Self::File(file) => file.close(),
        }
    }
}

/// Alerts released and not yet written.
#[derive(Default)]
struct Group {
    lines: Vec<u8>,
    events: u64,
    first: Timestamp,
}

pub(super) struct Writer {
    queue: Receiver<Message>,
    sink: Sink,
    merge: AlertMerge,
    group: Group,
    pools: Arc<Pools>,
    metrics: Arc<Metrics>,
    /// Shows the use of the queue; a replay has none, and no latency that would mean anything.
    gauge: Option<Counter>,
}

impl Writer {
    pub(super) fn new(
        queue: Receiver<Message>,
        sink: Sink,
        merge: AlertMerge,
        pools: &Arc<Pools>,
        metrics: &Arc<Metrics>,
        gauge: Option<Counter>,
    ) -> Self {
        let (pools, metrics) = (Arc::clone(pools), Arc::clone(metrics));
        Self { queue, sink, merge, group: Group::default(), pools, metrics, gauge }
    }

    pub(super) fn spawn(self) -> io::Result<JoinHandle<Result<(), JournalError>>> {
        std::thread::Builder::new().name("journal".to_string()).spawn(move || self.run())
    }

    fn run(mut self) -> Result<(), JournalError> {
        self.sink.rank().take();
        loop {
            match self.queue.recv_timeout(TICK) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.queue.is_empty() || self.group.lines.len() >= GROUP_BYTES {
                self.write_group();
            }
            self.tick();
        }
        // What was submitted beside the order to stop counts as submitted.
        while let Ok(message) = self.queue.try_recv() {
            self.take(message);
        }
        self.release(true);
        self.write_group();
        self.sink.close()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Records(batch) => self.records(batch),
            Message::Alerts(batch) => self.alerts(batch),
            Message::Stop => {}
        }
    }

    fn records(&mut self, batch: RecordBatch) {
        self.write_group();
        self.append(Stream::Records, batch.lines.as_bytes(), batch.events, batch.first);
        self.pools.give_back_records(batch.lines);
    }

    fn alerts(&mut self, batch: AlertBatch) {
        self.merge.push(batch);
        self.release(false);
        let counters = self.metrics.shared();
        counters.set(Counter::MergeHeld, self.merge.held_bytes() as u64);
        let gate = self.merge.gate().lock().unwrap_or_else(PoisonError::into_inner);
        counters.set(Counter::ThresholdEntries, gate.len() as u64);
        counters.set(Counter::ThresholdsEvicted, gate.evicted());
    }

    fn release(&mut self, all: bool) {
        let Self { merge, group, pools, metrics, .. } = self;
        let counters = metrics.shared();
        let emit = |engine: &vigia_rules::Engine, entry: &super::AlertEntry, line: &[u8], outcome| {
            if outcome == Outcome::Suppressed {
                counters.add(Counter::AlertsSuppressed, 1);
                return;
            }
            counters.alert(engine.rules().get(entry.rule.0 as usize).map_or(0, |rule| rule.priority));
            if !line.is_empty() {
                group.add(line, entry.found.timestamp);
            }
        };
        let done = |batch| pools.give_back(batch);
        if all {
            merge.finish(emit, done);
        } else {
            counters.add(Counter::AlertsForced, merge.release(emit, done));
        }
    }

    fn write_group(&mut self) {
        if self.group.events > 0 {
            let mut group = std::mem::take(&mut self.group);
            self.append(Stream::Alerts, &group.lines, group.events, group.first);
            group.lines.clear();
            self.group = Group { lines: group.lines, ..Group::default() };
        }
    }

    fn append(&mut self, stream: Stream, lines: &[u8], events: u64, first: Timestamp) {
        self.sink.append(stream, lines, events, first);
        if self.gauge.is_some() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let latency = now.saturating_sub(Duration::from_nanos(first.0));
            // None of them waited for longer than the first.
            self.metrics.journal_latency(stream as usize).observe_each(events, latency);
        }
    }

    fn tick(&mut self) {
        if let Some(gauge) = self.gauge {
            self.metrics.shared().set(gauge, self.queue.len() as u64);
        }
        if let Sink::Log(log) = &mut self.sink {
            log.tick();
        }
    }
}

impl Group {
    fn add(&mut self, line: &[u8], timestamp: Timestamp) {
        if self.events == 0 {
            self.first = timestamp;
        }
        self.events += 1;
        self.lines.extend_from_slice(line);
    }
}
