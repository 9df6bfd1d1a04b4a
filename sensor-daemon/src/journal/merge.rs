//! Alerts of several workers, put in packet order.
//!
//! A rule that counts across flows (`threshold`, `detection_filter`) gives the same alerts with any number of workers only
//! if its matches are counted in one order. Each worker sends its matches in packet order, and says through which packet it
//! is done; what all of them are done with is released.

use std::collections::VecDeque;

use vigia_rules::{Engine, Gate, Verdict};

use super::batch::{AlertBatch, AlertEntry};

/// Bytes of lines held back at the most: beyond it the earliest alerts are released although a worker is behind.
const HELD_BYTES: usize = 256 << 20;

/// Puts alerts in packet order and asks the gate.
pub struct AlertMerge {
    workers: Vec<Worker>,
    gate: Gate,
    held: usize,
}

#[derive(Default)]
struct Worker {
    through: u64,
    batches: VecDeque<Held>,
}

/// A batch of which some entries may be released already.
struct Held {
    batch: AlertBatch,
    entry: usize,
    line: usize,
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
    /// A merge of so many workers. With one, everything is released as it comes: its order is the packets'.
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers.max(1)).map(|_| Worker::default()).collect(), gate: Gate::default(), held: 0 }
    }

    /// Takes a batch. A worker that is not known counts as the last one.
    pub fn push(&mut self, mut batch: AlertBatch) {
        let last = self.workers.len() - 1;
        let worker = &mut self.workers[batch.worker.min(last)];
        let mut before = worker.last_packet();
        for entry in &mut batch.entries {
            // What a timer raises carries no packet of its own: it belongs to the one before.
            entry.packet = entry.packet.max(before);
            before = entry.packet;
        }
        worker.through = worker.through.max(batch.through);
        self.held += batch.lines.len();
        worker.batches.push_back(Held { batch, entry: 0, line: 0 });
    }

    /// Releases what every worker is done with, in packet order, to `emit`; batches that are used up go to `done`. Returns
    /// how many were released out of order because too many were held.
    pub fn release(
        &mut self,
        emit: impl FnMut(&Engine, &AlertEntry, &[u8], Outcome),
        done: impl FnMut(AlertBatch),
    ) -> u64 {
        let single = self.workers.len() == 1;
        let through = if single { u64::MAX } else { self.workers.iter().map(|w| w.through).min().unwrap_or(0) };
        self.release_through(through, emit, done)
    }

    /// Releases everything: no worker will send more.
    pub fn finish(&mut self, emit: impl FnMut(&Engine, &AlertEntry, &[u8], Outcome), done: impl FnMut(AlertBatch)) {
        self.release_through(u64::MAX, emit, done);
    }

    fn release_through(
        &mut self,
        through: u64,
        mut emit: impl FnMut(&Engine, &AlertEntry, &[u8], Outcome),
        mut done: impl FnMut(AlertBatch),
    ) -> u64 {
        let mut forced = 0;
        loop {
            self.workers.iter_mut().for_each(|worker| self.held -= worker.drop_used(&mut done));
            // Packets are told apart by their number; within one, the worker's order holds.
            let next = self.workers.iter_mut().filter_map(|worker| Some((worker.next_packet()?, worker)));
            let Some((packet, worker)) = next.min_by_key(|(packet, _)| *packet) else { break };
            if packet > through {
                if self.held <= HELD_BYTES {
                    break;
                }
                forced += 1;
            }
            worker.release_first(&mut self.gate, &mut emit);
        }
        forced
    }
}

impl Worker {
    fn next_packet(&self) -> Option<u64> {
        let held = self.batches.front()?;
        held.batch.entries.get(held.entry).map(|entry| entry.packet)
    }

    fn last_packet(&self) -> u64 {
        let last = self.batches.iter().rev().find_map(|held| held.batch.entries.last());
        last.map_or(0, |entry| entry.packet)
    }

    /// Drops batches of which everything is released, and returns the bytes of their lines.
    fn drop_used(&mut self, done: &mut impl FnMut(AlertBatch)) -> usize {
        let mut freed = 0;
        while let Some(held) = self.batches.pop_front_if(|held| held.entry >= held.batch.entries.len()) {
            freed += held.batch.lines.len();
            done(held.batch);
        }
        freed
    }

    fn release_first(&mut self, gate: &mut Gate, emit: &mut impl FnMut(&Engine, &AlertEntry, &[u8], Outcome)) {
        let Some(Held { batch, entry: at, line: start }) = self.batches.front_mut() else { return };
        let Some(entry) = batch.entries.get(*at) else { return };
        let line = batch.lines.get(*start..*start + entry.length).unwrap_or_default();
        let engine = &*batch.engine;
        let verdict = if engine.rule(entry.rule).gated {
            gate.admit(engine, entry.rule, entry.source, entry.destination, entry.timestamp)
        } else {
            Verdict::Report
        };
        let outcome = match verdict {
            Verdict::Report => Outcome::Alert,
            Verdict::Suppress => Outcome::Suppressed,
        };
        emit(engine, entry, line, outcome);
        *at += 1;
        *start += entry.length;
    }
}
