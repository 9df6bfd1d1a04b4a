//! Alerts of several workers, put in packet order.
//!
//! A rule that counts across flows (`threshold`, `detection_filter`) gives the same alerts with any number of workers only
//! if its matches are counted in one order. Each worker sends its matches in packet order, and says through which packet it
//! is done; what all of them are done with is released.
//!
//! What the end of a flow raises has no packet, and when a worker notices that end depends on its other flows. Such alerts
//! wait for the end of their capture, and come then in the order of their times.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use vigia_rules::{Engine, Gate, Match, Verdict};

use super::batch::{AlertBatch, AlertEntry};

/// Bytes of lines held back at the most: beyond it the earliest alerts are released although a worker is behind.
const HELD_BYTES: usize = 256 << 20;

/// Puts alerts in packet order and asks the gate.
pub struct AlertMerge {
    workers: Vec<Worker>,
    ordered: bool,
    late: Vec<Late>,
    gate: Arc<Mutex<Gate>>,
    held: usize,
}

/// What becomes of a match: the gate is asked where the rule counts across flows. It is to be asked in packet order: by the
/// merge, or by the worker itself where there is no other whose matches could come before
/// ([`super::Submitter::outcome`]), which spares it the lines of matches that nobody is to see.
pub(super) fn outcome(gate: &mut Gate, engine: &Engine, entry: &AlertEntry) -> Outcome {
    let gated = engine.rules().get(entry.rule.0 as usize).is_some_and(|rule| rule.gated);
    if !gated || entry.admitted {
        return Outcome::Alert;
    }
    gate.enter(entry.session);
    match gate.admit(engine, entry.rule, &entry.found) {
        Verdict::Report => Outcome::Alert,
        Verdict::Suppress => Outcome::Suppressed,
    }
}

#[derive(Default)]
struct Worker {
    through: u64,
    /// Captures it is done with.
    captures: u64,
    batches: VecDeque<Held>,
}

/// A batch of which some entries may be released already.
struct Held {
    batch: AlertBatch,
    entry: usize,
    line: usize,
}

/// A match without a packet, which waits for the end of its capture.
struct Late {
    capture: u64,
    entry: AlertEntry,
    line: Vec<u8>,
    engine: Arc<Engine>,
}

impl Late {
    /// Bytes that it takes.
    fn bytes(&self) -> usize {
        self.line.len() + self.entry.found.noted_bytes()
    }

    /// Tells any two apart that differ.
    fn place(&self) -> impl Ord {
        let AlertEntry { found: Match { timestamp, source, destination, noted }, rule, .. } = &self.entry;
        (self.capture, *timestamp, *source, *destination, rule.0, &self.line, noted)
    }
}

/// What becomes of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is an alert.
    Alert,
    /// Its threshold says no.
    Suppressed,
}

impl AlertMerge {
    /// A merge of so many workers.
    pub fn new(workers: usize) -> Self {
        let workers = (0..workers.max(1)).map(|_| Worker::default()).collect();
        Self { workers, ordered: true, late: Vec::new(), gate: Arc::default(), held: 0 }
    }

    /// Releases everything as it comes: live, one worker's packet numbers say nothing of another's.
    pub fn unordered() -> Self {
        Self { ordered: false, ..Self::new(1) }
    }

    /// Bytes held back: of lines, and of values that matches noted.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// What counts across flows.
    pub(super) fn gate(&self) -> &Arc<Mutex<Gate>> {
        &self.gate
    }

    /// Takes a batch. A worker that is not known counts as the last one.
    pub fn push(&mut self, batch: AlertBatch) {
        let last = self.workers.len() - 1;
        let worker = &mut self.workers[batch.worker.min(last)];
        self.held += batch.bytes();
        if self.ordered {
            let mut start = 0;
            for entry in &batch.entries {
                if entry.packet == 0 {
                    let line = batch.lines.as_bytes().get(start..start + entry.length).unwrap_or_default().to_vec();
                    let (capture, engine) = (worker.captures, Arc::clone(&batch.engine));
                    let late = Late { capture, entry: entry.clone(), line, engine };
                    self.held += late.bytes();
                    self.late.push(late);
                }
                start += entry.length;
            }
        }
        worker.through = worker.through.max(batch.through);
        worker.captures += u64::from(batch.capture_ends);
        worker.batches.push_back(Held { batch, entry: 0, line: 0 });
    }

    /// Releases what every worker is done with, in packet order, to `emit`; batches that are used up go to `done`. Returns
    /// how many were released out of order because too many were held.
    pub fn release(
        &mut self,
        emit: impl FnMut(&Engine, &AlertEntry, &[u8], Outcome),
        done: impl FnMut(AlertBatch),
    ) -> u64 {
        let through = self.workers.iter().map(|worker| worker.through).min().unwrap_or(0);
        let captures = self.workers.iter().map(|worker| worker.captures).min().unwrap_or(0);
        // One worker's order is the packets'.
        let through = if self.workers.len() == 1 { u64::MAX } else { through };
        self.release_through(through, captures, emit, done)
    }

    /// Releases everything: no worker will send more.
    pub fn finish(&mut self, emit: impl FnMut(&Engine, &AlertEntry, &[u8], Outcome), done: impl FnMut(AlertBatch)) {
        self.release_through(u64::MAX, u64::MAX, emit, done);
    }

    fn release_through(
        &mut self,
        through: u64,
        captures: u64,
        mut emit: impl FnMut(&Engine, &AlertEntry, &[u8], Outcome),
        mut done: impl FnMut(AlertBatch),
    ) -> u64 {
        let mut forced = 0;
        let gate = Arc::clone(&self.gate);
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            self.workers.iter_mut().for_each(|worker| self.held -= worker.drop_used(&mut done));
            // Packets are told apart by their number; within one, the worker's order holds.
            let next = self.workers.iter_mut().filter_map(|worker| Some((worker.next_entry()?.packet, worker)));
            let Some((packet, worker)) = next.min_by_key(|(packet, _)| *packet) else { break };
            if packet > through {
                if self.held <= HELD_BYTES {
                    break;
                }
                forced += 1;
            }
            worker.release_first(&mut gate, self.ordered, &mut emit);
        }
        forced + self.release_late(captures, &mut gate, &mut emit)
    }

    /// Releases what waits for the end of one of the first `captures`; returns how many went before it.
    fn release_late(
        &mut self,
        captures: u64,
        gate: &mut Gate,
        emit: &mut impl FnMut(&Engine, &AlertEntry, &[u8], Outcome),
    ) -> u64 {
        if self.late.is_empty() {
            return 0;
        }
        self.late.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        let due = self.late.partition_point(|late| late.capture < captures);
        let count = if self.held > HELD_BYTES { self.late.len() } else { due };
        for late in self.late.drain(..count) {
            self.held -= late.bytes();
            let Late { entry, line, engine, .. } = late;
            emit(&engine, &entry, &line, outcome(gate, &engine, &entry));
        }
        (count - due) as u64
    }
}

impl Worker {
    fn next_entry(&self) -> Option<&AlertEntry> {
        let held = self.batches.front()?;
        held.batch.entries.get(held.entry)
    }

    /// Drops batches of which everything is released, and returns their bytes.
    fn drop_used(&mut self, done: &mut impl FnMut(AlertBatch)) -> usize {
        let mut freed = 0;
        while self.batches.front().is_some_and(|held| held.entry >= held.batch.entries.len()) {
            let Some(held) = self.batches.pop_front() else { break };
            freed += held.batch.bytes();
            done(held.batch);
        }
        freed
    }

    fn release_first(
        &mut self,
        gate: &mut Gate,
        ordered: bool,
        emit: &mut impl FnMut(&Engine, &AlertEntry, &[u8], Outcome),
    ) {
        let Some(Held { batch, entry: at, line: start }) = self.batches.front_mut() else { return };
        let Some(entry) = batch.entries.get(*at) else { return };
        // In order, what has no packet waits elsewhere.
        if !ordered || entry.packet != 0 {
            let line = batch.lines.as_bytes().get(*start..*start + entry.length).unwrap_or_default();
            emit(&batch.engine, entry, line, outcome(gate, &batch.engine, entry));
        }
        *at += 1;
        *start += entry.length;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use proptest::prelude::*;
    use vigia_parsers::Timestamp;
    use vigia_parsers::packet::{self, Captured, DecodeLimits, LinkType};
    use vigia_rules::{Match, Moment, RuleId, Scratch, Subject};

    use super::*;

    fn batch(worker: usize, engine: &Arc<Engine>, packets: &[u64], through: u64) -> AlertBatch {
        let mut batch = AlertBatch::new(worker, Arc::clone(engine));
        batch.through = through;
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        for packet in packets {
            let line = format!("{packet}\n");
            batch.lines.append_lines(line.as_bytes());
            batch.entries.push(AlertEntry {
                packet: *packet,
                session: 0,
                admitted: false,
                rule: RuleId(0),
                found: Match {
                    source: (nobody, 0),
                    destination: (nobody, 0),
                    timestamp: Timestamp(*packet),
                    noted: Box::default(),
                },
                length: line.len(),
            });
        }
        batch
    }

    fn engine() -> Arc<Engine> {
        Arc::new(Engine::compile(&[], &Default::default()).engine)
    }

    fn released(merge: &mut AlertMerge, all: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let emit =
            |_: &Engine, _: &AlertEntry, line: &[u8], _| lines.push(String::from_utf8_lossy(line).trim().to_string());
        match all {
            true => merge.finish(emit, |_| {}),
            false => assert_eq!(merge.release(emit, |_| {}), 0),
        }
        lines
    }

    /// A match of a rule that puts the payload of a datagram, so many bytes, into a set that is saved.
    fn noting(bytes: usize) -> (Arc<Engine>, Match) {
        let rule = "alert udp any any -> any any (pkt_data; dataset:set,seen,type string,save seen; sid:1;)";
        let source = vigia_rules::Source { name: "test.rules".into(), text: rule.into() };
        let engine = Arc::new(Engine::compile(&[source], &Default::default()).engine);
        let (ends, ports) = ([[10, 0, 0, 1], [10, 0, 0, 2]], [9u16, 9]);
        let [total, length] = [28 + bytes, 8 + bytes].map(|length| (length as u16).to_be_bytes());
        let mut frame = [&[0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0][..], &ends.concat()].concat();
        frame.extend(ports.iter().flat_map(|port| port.to_be_bytes()).chain(length).chain([0; 2]));
        frame.resize(frame.len() + bytes, b'a');
        let captured = Captured {
            number: 1,
            timestamp: Timestamp(1),
            link: LinkType::RawIp,
            frame: &frame,
            wire_length: frame.len() as u32,
            stripped_vlan: None,
        };
        let packet = packet::decode(&captured, &DecodeLimits::default());
        let [source, destination] = ends.map(|end| (IpAddr::from(end), ports[0]));
        let moment = Moment {
            packet: Some(&packet),
            source,
            destination,
            direction: None,
            ip_protocol: 17,
            established: false,
            protocol: None,
            timestamp: packet.timestamp,
            flow: None,
            route: None,
        };
        let mut scratch = Scratch::default();
        engine.inspect(&moment, &Subject::Packet, &mut None, &mut scratch);
        assert_eq!(scratch.matches(), [RuleId(0)]);
        let noted = scratch.noted(RuleId(0));
        (engine, Match { source, destination, timestamp: packet.timestamp, noted })
    }

    #[test]
    fn values_that_matches_noted_count_as_held_until_they_are_released() {
        let (engine, found) = noting(1000);
        let mut merge = AlertMerge::new(2);
        let mut noted = batch(0, &engine, &[7, 0], 9);
        noted.entries.iter_mut().for_each(|entry| entry.found.noted.clone_from(&found.noted));
        let lines = noted.lines.len() + "0\n".len();
        merge.push(noted);
        // The match without a packet waits apart besides.
        assert_eq!(merge.held_bytes(), lines + 3 * 1000);
        assert_eq!(released(&mut merge, true), ["7", "0"]);
        assert_eq!(merge.held_bytes(), 0);
    }

    #[test]
    fn what_counts_across_flows_begins_anew_with_another_capture() {
        let rule =
            "alert tcp any any -> any any (msg:\"x\"; sid:7; threshold:type limit, track by_rule, count 1, seconds 9;)";
        let source = vigia_rules::Source { name: "test.rules".into(), text: rule.into() };
        let engine = Arc::new(Engine::compile(&[source], &Default::default()).engine);
        let mut of_three_captures = batch(0, &engine, &[1, 2, 3, 4, 5], 5);
        for (entry, session) in of_three_captures.entries.iter_mut().zip([1, 1, 2, 2, 3]) {
            entry.session = session;
        }
        let mut merge = AlertMerge::new(1);
        merge.push(of_three_captures);
        let mut alerts = Vec::new();
        let emit = |_: &Engine, entry: &AlertEntry, _: &[u8], outcome| {
            if outcome == Outcome::Alert {
                alerts.push(entry.packet);
            }
        };
        merge.finish(emit, |_| {});
        assert_eq!(alerts, [1, 3, 5]);
    }

    #[test]
    fn an_alert_waits_for_the_workers_that_are_behind() {
        let engine = engine();
        let mut merge = AlertMerge::new(2);
        merge.push(batch(0, &engine, &[3, 9], 10));
        assert_eq!(released(&mut merge, false), [""; 0], "worker 1 has said nothing yet");
        merge.push(batch(1, &engine, &[2], 4));
        assert_eq!(released(&mut merge, false), ["2", "3"]);
        merge.push(batch(1, &engine, &[], 8));
        assert_eq!(released(&mut merge, false), [""; 0]);
        merge.push(batch(1, &engine, &[], 9));
        assert_eq!(released(&mut merge, false), ["9"]);
    }

    #[test]
    fn one_worker_waits_for_nobody() {
        let mut merge = AlertMerge::new(1);
        merge.push(batch(0, &engine(), &[5, 6], 0));
        assert_eq!(released(&mut merge, false), ["5", "6"]);
    }

    /// The last batch of a capture, with alerts at these times that have no packet.
    fn end(worker: usize, engine: &Arc<Engine>, times: &[u64], through: u64) -> AlertBatch {
        let mut batch = batch(worker, engine, times, through);
        batch.entries.iter_mut().for_each(|entry| entry.packet = 0);
        batch.capture_ends = true;
        batch
    }

    #[test]
    fn alerts_without_a_packet_wait_for_the_end_of_their_capture_and_go_by_time() {
        let engine = engine();
        let mut merge = AlertMerge::new(2);
        merge.push(AlertBatch { capture_ends: false, ..end(0, &engine, &[53], 3) });
        merge.push(batch(0, &engine, &[5], 7));
        merge.push(batch(1, &engine, &[4, 6], 7));
        assert_eq!(released(&mut merge, false), ["4", "5", "6"]);
        merge.push(end(0, &engine, &[52], 8));
        // Worker 0 is in the next capture already.
        merge.push(end(0, &engine, &[10], 12));
        assert_eq!(released(&mut merge, false), [""; 0]);
        merge.push(end(1, &engine, &[51, 54], 8));
        assert_eq!(released(&mut merge, false), ["51", "52", "53", "54"]);
        merge.push(batch(1, &engine, &[9], 12));
        assert_eq!(released(&mut merge, false), ["9"]);
        assert_eq!(released(&mut merge, true), ["10"]);
        assert_eq!(merge.held, 0);
    }

    #[test]
    fn a_live_alert_waits_for_nothing() {
        let mut merge = AlertMerge::unordered();
        merge.push(AlertBatch { capture_ends: false, ..end(0, &engine(), &[5, 3], 0) });
        assert_eq!(released(&mut merge, false), ["5", "3"]);
    }

    proptest! {
        /// Whatever worker each packet goes to and however the workers' batches interleave, the order is the packets'.
        #[test]
        fn order_does_not_depend_on_workers(
            owners in proptest::collection::vec(0usize..4, 1..200),
            cuts in proptest::collection::vec((0usize..4, 1usize..20), 0..100),
        ) {
            let engine = engine();
            let mut merge = AlertMerge::new(4);
            let mut done = [0usize; 4];
            let mut lines = Vec::new();
            for (worker, step) in cuts {
                let (from, to) = (done[worker], (done[worker] + step).min(owners.len()));
                let packets: Vec<u64> = (from..to).filter(|at| owners[*at] == worker).map(|at| at as u64 + 1).collect();
                merge.push(batch(worker, &engine, &packets, to as u64));
                done[worker] = to;
                lines.extend(released(&mut merge, false));
                let through = *done.iter().min().unwrap();
                let expected: Vec<_> = (1..=through).map(|packet| packet.to_string()).collect();
                prop_assert_eq!(&lines, &expected, "all that every worker is done with, and nothing else");
            }
            lines.extend(released(&mut merge, true));
            let sent: Vec<_> = (0..owners.len()).filter(|at| *at < done[owners[*at]]).map(|at| (at + 1).to_string()).collect();
            prop_assert_eq!(lines, sent);
            prop_assert_eq!(merge.held, 0);
        }
    }
}
