//! The thread that keeps what workers see, and collects the evidence of alerts from it.
//!
//! It gets the blocks of each worker in order. An alert in a block opens the evidence of its flow, with the packets that the
//! buffer has of the time before it, unless that is open already: then it joins. What comes later of the flow is added as its
//! blocks come, and when the time after the alert is over, the file goes to the thread that writes it. So what is collected
//! depends on the packets and alerts of the flow, on what the bounds left of them, and on nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use vigia_parsers::Timestamp;

use super::block::{Block, Claim, Kind, Record, records};
use super::opened::{Limits, Opened};
use super::ring::{Ring, Search};
use super::store::Finished;
use crate::metrics::{self, Counter};
use crate::priority::Rank;

/// Flows whose evidence is collected at the same time.
const MOST_OPEN: usize = 256;

/// The same in a replay, where nothing else tells the collector to hurry.
const MOST_OPEN_OF_REPLAY: usize = 65_536;

/// What workers send.
pub(super) enum Message {
    /// What a worker saw.
    Block(Block),
    /// A worker sees nothing, up to this time.
    Now { worker: usize, now: Timestamp },
    /// Nothing that a worker sees from now on has to do with what was before; it is of the capture file `next`, or nothing
    /// will come.
    Ends { worker: usize, next: String },
}

/// What a collector is made from.
pub(super) struct Parts {
    pub(super) limits: Limits,
    /// Bytes of the buffer.
    pub(super) memory: u64,
    /// Packets of evidence that is open, in bytes.
    pub(super) open_bytes: u64,
    pub(super) blocks: Receiver<Message>,
    /// Where blocks go back to, by worker.
    pub(super) free: Vec<Sender<Block>>,
    /// What is collected goes to be written.
    pub(super) finished: Sender<Finished>,
    /// The interfaces of each worker.
    pub(super) interfaces: Vec<Vec<String>>,
    /// Nobody waits for the collector. In a replay the capture does.
    pub(super) live: bool,
    pub(super) counters: Arc<metrics::Block>,
}

/// What is collected of a worker's flows.
#[derive(Default)]
struct Watched {
    /// By flow.
    open: BTreeMap<u64, Opened>,
    /// The flows that packets of a key may belong to.
    keys: HashMap<u64, Vec<u64>>,
    interfaces: Vec<String>,
    /// The latest time that it saw.
    now: Timestamp,
}

impl Watched {
    /// The flows of open evidence that is such, in the order of their first alerts.
    fn over(&self, is_such: impl Fn(&Opened) -> bool) -> Vec<u64> {
        let such = self.open.iter().filter(|(_, opened)| is_such(opened));
        let mut flows: Vec<_> = such.map(|(flow, opened)| (opened.first_alert(), *flow)).collect();
        flows.sort_unstable();
        flows.into_iter().map(|(_, flow)| flow).collect()
    }
}

pub(super) struct Collector {
    parts: Parts,
    ring: Ring,
    workers: Vec<Watched>,
    /// Bytes of packets in open evidence.
    open_bytes: u64,
}

impl Collector {
    pub(super) fn new(mut parts: Parts) -> Self {
        let named = std::mem::take(&mut parts.interfaces);
        let workers = named.into_iter().map(|interfaces| Watched { interfaces, ..Watched::default() }).collect();
        Self { ring: Ring::new(parts.memory), workers, open_bytes: 0, parts }
    }

    /// Works until all workers are gone.
    pub(super) fn run(mut self) {
        Rank::Idle.take();
        while let Ok(message) = self.parts.blocks.recv() {
            match message {
                Message::Block(block) => self.block(block),
                Message::Now { worker, now } => self.now(worker, now),
                Message::Ends { worker, next } => self.ends(worker, next),
            }
            self.gauge();
        }
        (0..self.workers.len()).for_each(|worker| self.ends(worker, String::new()));
        self.gauge();
    }

    fn gauge(&self) {
        let open: usize = self.workers.iter().map(|watched| watched.open.len()).sum();
        self.parts.counters.set(Counter::EvidenceBlocks, self.parts.blocks.len() as u64);
        self.parts.counters.set(Counter::EvidenceWaiting, self.parts.finished.len() as u64);
        self.parts.counters.set(Counter::EvidenceMemory, self.ring.bytes());
        self.parts.counters.set(Counter::EvidenceOpen, open as u64);
        self.parts.counters.set(Counter::EvidenceOpenBytes, self.open_bytes);
    }

    fn block(&mut self, mut block: Block) {
        if block.worker < self.workers.len() {
            self.look(&block);
            // In a hurry the buffer reaches less far back, rather than losing what is new.
            let hurries = self.parts.live && self.parts.blocks.len() > self.parts.free.len();
            let gone = self.ring.push(&block, !hurries);
            self.parts.counters.add(Counter::EvidenceBlocksGone, gone);
        }
        let home = self.parts.free.get(block.worker);
        block.clear();
        // There is a place for each block. A worker that is gone needs none.
        let _ = home.map(|home| home.try_send(block));
    }

    /// Adds to what is open, and opens.
    fn look(&mut self, block: &Block) {
        let (worker, bytes) = (block.worker, block.as_bytes());
        let mut past = if block.alerts > 0 { self.past(block) } else { HashMap::new() };
        if block.lost > 0 {
            self.workers[worker].open.values_mut().for_each(Opened::lost);
        }
        let mut frame: Option<Record<'_>> = None;
        // The keys of the frame that were told already.
        let mut keys = Vec::new();
        let mut at = 0;
        for record in records(bytes) {
            match record.kind {
                Kind::Packet => {
                    keys.clear();
                    self.add(worker, (&keys, record.key), &record);
                    frame = Some(record);
                }
                Kind::Also => {
                    frame.iter().for_each(|frame| self.add(worker, (&keys, record.key), frame));
                }
                Kind::Left => self.left(worker, &record),
                Kind::Alert | Kind::Silent => {
                    let seen = bytes.get(..at).unwrap_or_default();
                    let past = past.remove(&at);
                    self.alert(worker, &record, seen, past);
                }
            }
            if matches!(record.kind, Kind::Packet | Kind::Also) {
                keys.push(record.key);
            }
            at += record.size();
        }
        self.now(worker, block.last);
    }

    /// A worker has come to this time: closes what is over.
    fn now(&mut self, worker: usize, now: Timestamp) {
        let Some(watched) = self.workers.get_mut(worker) else { return };
        watched.now = watched.now.max(now);
        let now = watched.now;
        for flow in watched.over(|opened| opened.is_over(now)) {
            self.close(worker, flow, !self.parts.live);
        }
    }

    /// What was before those alerts of a block that seem to open evidence, by their place in it: for all of them the buffer
    /// is searched in one pass.
    fn past(&mut self, block: &Block) -> HashMap<usize, Search> {
        let bytes = block.as_bytes();
        let mut searches: HashMap<usize, Search> = HashMap::new();
        let mut flows = HashSet::new();
        let mut at = 0;
        for record in records(bytes) {
            let seen = bytes.get(..at).unwrap_or_default();
            at += record.size();
            if !matches!(record.kind, Kind::Alert | Kind::Silent) {
                continue;
            }
            let open = &self.workers[block.worker].open;
            let joins = open.get(&record.key).is_some_and(|opened| opened.holds(record.timestamp));
            if !joins && searches.len() < self.most_open() && flows.insert(record.key) {
                let mut search = self.search(&record);
                search.search(seen);
                searches.insert(seen.len(), search);
            }
        }
        self.ring.search(block.worker, &mut searches.values_mut().collect::<Vec<_>>());
        searches
    }

    /// The search for what was before an alert.
    fn search(&self, alert: &Record<'_>) -> Search {
        let limits = &self.parts.limits;
        // What no packet raised tells of packets that came long before.
        let since = match alert.kind {
            Kind::Alert => Timestamp(alert.timestamp.0.saturating_sub(limits.before)),
            _ => Timestamp(0),
        };
        Search::new([alert.key, alert.claim().fragments], since, limits.bytes / 2)
    }

    fn most_open(&self) -> usize {
        if self.parts.live { MOST_OPEN } else { MOST_OPEN_OF_REPLAY }
    }

    /// Adds a packet to what is open under a key, and was not under those told `before`.
    fn add(&mut self, worker: usize, (before, key): (&[u64], u64), record: &Record<'_>) {
        let Watched { open, keys, interfaces, .. } = &mut self.workers[worker];
        let Some(flows) = keys.get(&key) else { return };
        for flow in flows {
            let Some(opened) = open.get_mut(flow).filter(|opened| !opened.has_any(before)) else { continue };
            let room = self.parts.open_bytes.saturating_sub(self.open_bytes) as usize;
            self.open_bytes += opened.packet(record, interfaces, room, &self.parts.limits);
        }
    }

    fn left(&mut self, worker: usize, record: &Record<'_>) {
        let opened = self.workers[worker].open.get_mut(&record.key);
        opened.into_iter().for_each(|opened| opened.left_to_kernel(record.timestamp));
    }

    /// An alert joins the evidence of its flow, or opens it. `seen` are the records before it in its block.
    fn alert(&mut self, worker: usize, alert: &Record<'_>, seen: &[u8], past: Option<Search>) {
        let flow = alert.key;
        let open = &mut self.workers[worker].open;
        if open.get(&flow).is_some_and(|opened| !opened.holds(alert.timestamp)) {
            self.close(worker, flow, !self.parts.live);
        }
        if !self.workers[worker].open.contains_key(&flow) && !self.open(worker, alert, seen, past) {
            self.parts.counters.add(Counter::EvidenceLostBound, 1);
            return;
        }
        let Some(opened) = self.workers[worker].open.get_mut(&flow) else { return };
        self.open_bytes += opened.alert(alert, &self.parts.limits);
        self.parts.counters.add(Counter::EvidenceAlerts, 1);
    }

    /// Opens the evidence of an alert's flow with what was before; false when too much is open.
    fn open(&mut self, worker: usize, alert: &Record<'_>, seen: &[u8], past: Option<Search>) -> bool {
        let open: usize = self.workers.iter().map(|watched| watched.open.len()).sum();
        if open >= self.most_open() {
            return false;
        }
        let search = past.unwrap_or_else(|| {
            // Opened for the second time in a block.
            let mut search = self.search(alert);
            search.search(seen);
            self.ring.search(worker, &mut [&mut search]);
            search
        });
        let gone = self.ring.gone(worker).filter(|gone| *gone >= search.since && search.since.0 > 0);
        let Watched { open, keys, interfaces, .. } = &mut self.workers[worker];
        let Claim { fragments, .. } = alert.claim();
        let mut opened = Opened::new(alert, [alert.key, fragments], &self.parts.limits);
        let room = self.parts.open_bytes.saturating_sub(self.open_bytes) as usize;
        self.open_bytes += opened.begin(search, gone, interfaces, room, &self.parts.limits);
        for key in opened.keys() {
            keys.entry(key).or_default().push(alert.key);
        }
        open.insert(alert.key, opened);
        true
    }

    /// Hands evidence over to be written. Where that `waits`, none is lost.
    fn close(&mut self, worker: usize, flow: u64, waits: bool) {
        let Watched { open, keys, .. } = &mut self.workers[worker];
        let Some(opened) = open.remove(&flow) else { return };
        for key in opened.keys() {
            if let Some(flows) = keys.get_mut(&key) {
                flows.retain(|one| *one != flow);
                if flows.is_empty() {
                    keys.remove(&key);
                }
            }
        }
        self.open_bytes -= opened.size();
        let finished = opened.finish(flow);
        let lost = match waits {
            true => self.parts.finished.send(finished).err().map(|error| error.0),
            false => self.parts.finished.try_send(finished).err().map(TrySendError::into_inner),
        };
        if let Some(lost) = lost {
            self.parts.counters.add(Counter::EvidenceLostQueue, lost.alerts);
        }
    }

    /// A worker's traffic is at its end, or goes on with another capture file.
    fn ends(&mut self, worker: usize, next: String) {
        let Some(watched) = self.workers.get_mut(worker) else { return };
        watched.now = Timestamp::default();
        let over = watched.over(|_| true);
        if !next.is_empty() {
            // What is open has named its interfaces already.
            watched.interfaces = vec![next];
        }
        over.into_iter().for_each(|flow| self.close(worker, flow, true));
        self.ring.forget(worker);
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::metrics::Metrics;

    const SECOND: u64 = 1_000_000_000;

    struct Bench {
        collector: Collector,
        finished: Receiver<Finished>,
        metrics: Arc<Metrics>,
    }

    impl Bench {
        fn new(live: bool, places: usize) -> Self {
            let metrics = Metrics::new();
            let (finished, receiver) = bounded(places);
            let collector = Collector::new(Parts {
                limits: Limits { before: 10 * SECOND, after: 5 * SECOND, bytes: 1 << 16 },
                memory: 1 << 20,
                open_bytes: 1 << 20,
                blocks: bounded(1).1,
                free: vec![bounded(1).0],
                finished,
                interfaces: vec![vec!["tap0".to_owned()]],
                live,
                counters: Arc::clone(metrics.shared()),
            });
            Self { collector, finished: receiver, metrics }
        }

        /// Blocks with these records: kind, flow, second.
        fn see(&mut self, records: &[(Kind, u64, u64)]) {
            let mut block = Block::new(0);
            for (kind, key, second) in records {
                let timestamp = Timestamp::new(*second, 0);
                let record =
                    Record { kind: *kind, key: *key, timestamp, wire_length: 4, link: 1, interface: 0, bytes: &[] };
                let held: &[u8] = if *kind == Kind::Packet { b"data" } else { b"\0\0\0\0\0\0\0\0{}" };
                assert!(block.push(&record, [held]));
                match kind {
                    Kind::Packet => block.packets += 1,
                    _ => block.alerts += 1,
                }
            }
            self.collector.block(block);
        }

        fn count(&self, counter: Counter) -> u64 {
            self.metrics.shared().get(counter)
        }

        /// Flow, packets and alerts of what is finished.
        fn finished(&self) -> Vec<(u64, u64, u64)> {
            self.finished.try_iter().map(|done| (done.flow, done.packets, done.alerts)).collect()
        }
    }

    #[test]
    fn a_flow_has_its_window_whether_its_packets_are_in_one_block_or_many() {
        let mut records = Vec::new();
        for second in 100..160 {
            records.extend([(Kind::Packet, 1, second), (Kind::Packet, 2, second)]);
            if second == 120 || second == 123 {
                records.push((Kind::Alert, 2, second));
            }
        }
        for size in [1, 7, 1000] {
            let mut bench = Bench::new(true, 10);
            records.chunks(size).for_each(|records| bench.see(records));
            // From ten seconds before the first alert to five after the second.
            assert_eq!(bench.finished(), [(2, 19, 2)], "blocks of {size}");
        }
    }

    #[test]
    fn an_alert_after_the_window_begins_another_file() {
        let mut bench = Bench::new(true, 10);
        bench.see(&[(Kind::Packet, 1, 100), (Kind::Alert, 1, 100), (Kind::Packet, 1, 106), (Kind::Alert, 1, 106)]);
        assert_eq!(bench.finished(), [(1, 1, 1)]);
        bench.collector.now(0, Timestamp::new(111, 0));
        assert_eq!(bench.finished(), []);
        bench.collector.now(0, Timestamp::new(112, 0));
        assert_eq!(bench.finished(), [(1, 2, 1)], "it has the packet before once more");
        assert_eq!((bench.collector.open_bytes, bench.count(Counter::EvidenceAlerts)), (0, 2));
    }

    #[test]
    fn only_so_many_flows_are_collected_at_a_time_and_the_others_are_counted() {
        let alerts: Vec<_> = (1..=300).flat_map(|flow| [(Kind::Packet, flow, 100), (Kind::Alert, flow, 100)]).collect();
        let mut bench = Bench::new(true, 200);
        bench.see(&alerts);
        assert_eq!((bench.count(Counter::EvidenceLostBound), bench.count(Counter::EvidenceAlerts)), (44, 256));
        bench.collector.now(0, Timestamp::new(200, 0));
        // The disk is behind.
        bench.collector.gauge();
        assert_eq!(bench.count(Counter::EvidenceWaiting), 200);
        assert_eq!((bench.finished().len(), bench.count(Counter::EvidenceLostQueue)), (200, 56));
        let mut bench = Bench::new(false, 300);
        bench.see(&alerts);
        bench.collector.ends(0, String::new());
        assert_eq!((bench.finished().len(), bench.count(Counter::EvidenceLostBound)), (300, 0), "a replay waits");
    }
    #[test]
    fn what_is_missing_is_known() {
        let mut bench = Bench::new(true, 10);
        bench.see(&[(Kind::Packet, 1, 100), (Kind::Alert, 1, 100), (Kind::Packet, 2, 100), (Kind::Alert, 2, 100)]);
        bench.see(&[(Kind::Packet, 3, 101), (Kind::Left, 1, 102)]);
        let mut block = Block::new(0);
        block.lost = 7;
        bench.collector.block(block);
        bench.collector.now(0, Timestamp::new(106, 0));
        let finished: Vec<_> = bench.finished.try_iter().collect();
        let missing: Vec<_> = finished.iter().map(|done| (done.missing.kernel_from, done.missing.busy)).collect();
        assert_eq!(missing, [(Some(Timestamp::new(102, 0)), true), (None, true)]);
        // It is known of later alerts, too, while the buffer has it.
        bench.see(&[(Kind::Packet, 1, 107), (Kind::Alert, 1, 107)]);
        bench.collector.ends(0, String::new());
        let missing = bench.finished.recv().unwrap().missing;
        assert_eq!((missing.kernel_from, missing.bound), (Some(Timestamp::new(102, 0)), false));
    }
}
