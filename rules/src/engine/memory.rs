//! What rules remember of a flow.
//!
//! Rules are remembered by their own numbers, not by their place in an engine, so that the memory outlives a reload.

use std::sync::Arc;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Direction, Timestamp};

use super::counter::{Counter, Threshold};
use super::dataset::Noted;
use super::tail::{StreamTail, TAIL};
use super::told::Remark;
use super::{RuleId, Scratch, TagLimit, Verdict};

/// Transactions that raised something or are marked, and are remembered; older ones are forgotten first.
const FIRED: usize = 64;
/// Rules whose single alert on this flow is remembered.
const ONCE: usize = 1024;
/// Rules counted by flow.
const COUNTERS: usize = 64;
/// Flowbits set at a time.
const BITS: usize = 256;
/// `flowint` counts set at a time.
const INTEGERS: usize = 64;

/// Captured values kept at a time.
const VARIABLES: usize = 32;

/// Buffers of which the entropy is kept.
const ENTROPIES: usize = 16;

/// What rules remember of a flow: bits, and which transactions raised what. Made on first use; bounded.
#[derive(Debug, Default)]
pub struct FlowMemory {
    bits: Vec<u64>,
    /// Rules by the transactions that they fired for.
    fired: Recent,
    /// Marks by the transactions that they are set on.
    marks: Recent,
    /// The last transaction that raised something: one after it has not.
    newest: u64,
    once: Vec<(u64, u64)>,
    counters: Vec<(u64, Counter)>,
    integers: Vec<(u64, u32)>,
    /// Values that expressions captured.
    variables: Vec<(u64, Box<[u8]>)>,
    /// Entropies found last, by buffer.
    entropies: Vec<(Arc<str>, f64)>,
    streams: [StreamTail; 2],
    waiting: [Waiting; 2],
    passed: Passed,
    bounded: u32,
    /// Packets of the flow that a rule wants recorded.
    pub tagged: Option<Tagged>,
    /// Matches in stream bytes that the receiver has not acknowledged; whoever inspects keeps and reports them.
    pub held: Vec<Delayed>,
}

/// What pass rules have let pass.
#[derive(Debug, Default)]
enum Passed {
    #[default]
    Nothing,
    /// The packet with this number and time.
    Packet(u64, Timestamp),
    Flow,
}

/// What is known of transactions, by their numbers; beyond [`FIRED`] the oldest is forgotten.
#[derive(Debug, Default)]
struct Recent {
    entries: Vec<(u64, u64)>,
    oldest: usize,
}

impl Recent {
    fn has(&self, transaction: u64, what: u64) -> bool {
        self.entries.contains(&(transaction, what))
    }

    /// Adds an entry; true when another was forgotten for it.
    fn add(&mut self, transaction: u64, what: u64) -> bool {
        if self.entries.len() < FIRED {
            self.entries.push((transaction, what));
            return false;
        }
        if let Some(slot) = self.entries.get_mut(self.oldest) {
            *slot = (transaction, what);
        }
        self.oldest = (self.oldest + 1) % FIRED;
        true
    }

    /// Takes an entry out. Transactions count from 1, so what stays in its place is none.
    fn remove(&mut self, transaction: u64, what: u64) {
        if let Some(slot) = self.entries.iter_mut().find(|entry| **entry == (transaction, what)) {
            *slot = (0, 0);
        }
    }
}

/// A match in stream bytes that is not reported yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Delayed {
    /// The rule, of the engine in force.
    pub rule: RuleId,
    /// The values that the match noted ([`Scratch::noted`](super::Scratch::noted)).
    pub noted: Box<[Noted]>,
    /// What it found out.
    pub remarks: Box<[Remark]>,
    /// Direction of the bytes.
    pub direction: Direction,
    /// Sequence number behind the bytes, once known.
    pub end: Option<u32>,
    /// When they came.
    pub since: Timestamp,
    /// The bytes, as far as an alert is to hold them.
    pub payload: Box<[u8]>,
}

/// What is still to be recorded of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// So many packets.
    Packets(u32),
    /// Packets with so many bytes on the wire.
    Bytes(u32),
    /// Packets up to this time.
    Until(Timestamp),
}

impl Tagged {
    /// A tag that begins now.
    pub fn new(limit: TagLimit, now: Timestamp) -> Self {
        match limit {
            TagLimit::Packets(count) => Self::Packets(count),
            TagLimit::Bytes(count) => Self::Bytes(count),
            TagLimit::Seconds(count) => Self::Until(Timestamp(now.0.saturating_add(u64::from(count) * 1_000_000_000))),
        }
    }

    /// Is this packet to be recorded? If so, it is counted.
    pub fn takes(&mut self, packet: &Packet<'_>) -> bool {
        match self {
            Self::Packets(left) => take(left, 1),
            Self::Bytes(left) => take(left, packet.wire_length),
            Self::Until(end) => packet.timestamp <= *end,
        }
    }

    /// Is nothing more to be recorded at `now`?
    pub fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Packets(left) | Self::Bytes(left) => *left == 0,
            Self::Until(end) => now > *end,
        }
    }
}

/// Takes up to `count` off; false when nothing was left.
fn take(left: &mut u32, count: u32) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(count);
    any
}

/// Rules remembered because their fast pattern stands in the end of a stream.
const WAITING: usize = 32;

/// The rules to come back to when a stream goes on.
#[derive(Debug, Default)]
struct Waiting {
    /// Each with how far its fast pattern may be looked back to.
    rules: Vec<(u32, u64)>,
    /// The engine that they are of.
    engine: u64,
}

impl Waiting {
    /// So many bytes of the stream were inspected, and these rules found: forgets those whose patterns are too far back, and
    /// returns how many there was no room for.
    fn follow(&mut self, through: u64, engine: u64, found: impl Iterator<Item = u32>) -> u32 {
        if self.engine != engine {
            self.rules.clear();
            self.engine = engine;
        }
        self.rules.retain(|entry| entry.1 >= through);
        let (until, mut refused) = (through + TAIL as u64, 0);
        for rule in found {
            if let Some(entry) = self.rules.iter_mut().find(|entry| entry.0 == rule) {
                entry.1 = until;
            } else if self.rules.len() < WAITING {
                self.rules.push((rule, until));
            } else {
                refused += 1;
            }
        }
        refused
    }
}

/// Memories of flows that are over, kept for others: what a new flow writes is then near the processor, and nothing is
/// allocated for it.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes go to flows and come back")]
pub(super) struct Spare(Vec<Box<FlowMemory>>);

/// Memories kept for others at the most.
const SPARE: usize = 256;

impl Spare {
    pub(super) fn take(&mut self) -> Box<FlowMemory> {
        self.0.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut memory: Box<FlowMemory>) {
        if self.0.len() < SPARE {
            let mut streams = std::mem::take(&mut memory.streams);
            streams.iter_mut().for_each(StreamTail::begin_anew);
            *memory = FlowMemory { streams, ..FlowMemory::default() };
            self.0.push(memory);
        }
    }
}

impl FlowMemory {
    /// How often a bound made it forget the oldest of what it kept, or keep nothing new, since this was asked last.
    pub fn take_bounded(&mut self) -> u32 {
        std::mem::take(&mut self.bounded)
    }

    fn bite(&mut self, times: u32) {
        self.bounded = self.bounded.saturating_add(times);
    }

    pub(crate) fn bit(&self, bit: u64) -> bool {
        self.bits.contains(&bit)
    }

    pub(crate) fn bits(&self) -> &[u64] {
        &self.bits
    }

    pub(crate) fn set(&mut self, bit: u64) {
        match self.bit(bit) {
            true => {}
            false if self.bits.len() < BITS => self.bits.push(bit),
            false => self.bite(1),
        }
    }

    pub(crate) fn unset(&mut self, bit: u64) {
        self.bits.retain(|&known| known != bit);
    }

    /// The value of a `flowint`, if it is set.
    pub(crate) fn integer(&self, name: u64) -> Option<u32> {
        self.integers.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// Changes the value of a `flowint`; one that is not set begins at 0.
    pub(crate) fn change_integer(&mut self, name: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(entry) = self.integers.iter_mut().find(|entry| entry.0 == name) {
            entry.1 = change(entry.1);
        } else if self.integers.len() < INTEGERS {
            self.integers.push((name, change(0)));
        } else {
            self.bite(1);
        }
    }

    /// The `flowint`s that are set.
    pub(crate) fn integers(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.integers.iter().copied()
    }

    /// Keeps a captured value in place of the one before it.
    pub(crate) fn keep_variable(&mut self, name: u64, value: Box<[u8]>) {
        if let Some(known) = self.variables.iter_mut().find(|known| known.0 == name) {
            known.1 = value;
        } else if self.variables.len() < VARIABLES {
            self.variables.push((name, value));
        } else {
            self.bite(1);
        }
    }

    /// Keeps an entropy in place of the one before it of this buffer.
    pub(crate) fn keep_entropy(&mut self, buffer: Arc<str>, value: f64) {
        if let Some(known) = self.entropies.iter_mut().find(|known| known.0 == buffer) {
            known.1 = value;
        } else if self.entropies.len() < ENTROPIES {
            self.entropies.push((buffer, value));
        } else {
            self.bite(1);
        }
    }

    /// The entropies found last, by buffer.
    pub(crate) fn entropies(&self) -> &[(Arc<str>, f64)] {
        &self.entropies
    }

    /// The captured values, by the numbers of their names.
    pub(crate) fn variables(&self) -> &[(u64, Box<[u8]>)] {
        &self.variables
    }

    /// May rules have fired for this transaction?
    pub(crate) fn knows(&self, transaction: u64) -> bool {
        transaction <= self.newest
    }

    /// Did this rule fire for this transaction?
    pub(crate) fn has_fired(&self, transaction: u64, rule: u64) -> bool {
        self.knows(transaction) && self.fired.has(transaction, rule)
    }

    pub(crate) fn fire(&mut self, transaction: u64, rule: u64) {
        self.newest = self.newest.max(transaction);
        let forgotten = self.fired.add(transaction, rule);
        self.bite(forgotten.into());
    }

    /// Is this mark set on the transaction?
    pub(crate) fn marked(&self, transaction: u64, mark: u64) -> bool {
        self.marks.has(transaction, mark)
    }

    /// Sets or takes off a mark of a transaction.
    pub(crate) fn mark(&mut self, transaction: u64, mark: u64, set: bool) {
        match (self.marked(transaction, mark), set) {
            (false, true) => {
                let forgotten = self.marks.add(transaction, mark);
                self.bite(forgotten.into());
            }
            (true, false) => self.marks.remove(transaction, mark),
            _ => {}
        }
    }

    /// Was [`FlowMemory::first`] asked of this rule and direction?
    pub(crate) fn spoke(&self, rule: u64, direction: u64) -> bool {
        self.once.contains(&(rule, direction))
    }

    /// True the first time that it is asked of this rule and direction.
    pub(crate) fn first(&mut self, rule: u64, direction: u64) -> bool {
        if self.once.contains(&(rule, direction)) {
            return false;
        }
        if self.once.len() < ONCE {
            self.once.push((rule, direction));
        } else {
            self.bite(1);
        }
        true
    }

    /// Counts a match of a rule whose threshold tracks the flow.
    pub(crate) fn count(&mut self, rule: u64, threshold: &Threshold, now: Timestamp) -> Verdict {
        let at = self.counters.iter().position(|counter| counter.0 == rule);
        let at = at.unwrap_or_else(|| {
            if self.counters.len() >= COUNTERS {
                self.counters.remove(0);
                self.bite(1);
            }
            self.counters.push((rule, Counter::new(now)));
            self.counters.len() - 1
        });
        self.counters.get_mut(at).map_or(Verdict::Report, |counter| counter.1.count(threshold, now))
    }

    /// What was inspected last of this direction's stream, in two parts.
    pub(crate) fn tail(&self, direction: Direction) -> [&[u8]; 2] {
        self.stream(direction).map(StreamTail::parts).unwrap_or_default()
    }

    /// The end of the tail: as much as a pattern may begin before new bytes.
    pub(crate) fn last(&self, direction: Direction) -> &[u8] {
        self.stream(direction).map(StreamTail::last).unwrap_or_default()
    }

    /// How many bytes at the end of the tail its sender has said in one turn; none when its turn begins now, or began
    /// further back than the tail goes.
    pub(crate) fn turn(&self, direction: Direction) -> Option<usize> {
        self.stream(direction)?.turn()
    }

    /// To be called some time before bytes of this direction's stream are inspected: what is kept of it is then on its way
    /// from memory while others work is done.
    #[inline]
    pub fn fetch(&self, direction: Direction) {
        std::hint::black_box(self.stream(direction).map(StreamTail::next));
    }

    fn stream(&self, direction: Direction) -> Option<&StreamTail> {
        self.streams.get(direction.index())
    }

    /// Rules of this engine whose fast pattern stands in the tail.
    pub(crate) fn waiting(&self, direction: Direction, engine: u64) -> impl Iterator<Item = u32> + '_ {
        let awaited = self.stream(direction).is_some_and(|stream| stream.awaited);
        let waiting = self.waiting.get(direction.index()).filter(|waiting| awaited && waiting.engine == engine);
        waiting.into_iter().flat_map(|waiting| waiting.rules.iter().map(|entry| entry.0))
    }

    /// Keeps the end of what was inspected of this direction's stream, of which `new` is new, and the rules to come
    /// back to.
    pub(super) fn follow(&mut self, direction: Direction, new: &[u8], engine: u64, found: impl Iterator<Item = u32>) {
        let mut found = found.peekable();
        let at = direction.index();
        if let (Some(stream), Some(waiting)) = (self.streams.get_mut(at), self.waiting.get_mut(at)) {
            stream.follow(new);
            if stream.awaited || found.peek().is_some() {
                let refused = waiting.follow(stream.through(), engine, found);
                stream.awaited = !waiting.rules.is_empty();
                self.bite(refused);
            }
        }
        if let Some(other) = self.streams.get_mut(direction.opposite().index()) {
            other.answered = true;
        }
    }

    /// Bytes of this direction's stream are missing: what follows does not continue what was before.
    pub fn gap(&mut self, direction: Direction) {
        let at = direction.index();
        if let (Some(stream), Some(waiting)) = (self.streams.get_mut(at), self.waiting.get_mut(at)) {
            (*stream, *waiting) = Default::default();
        }
    }

    /// The flow is over: its memory is for other flows. Not before: neither a FIN nor a reset ends a stream.
    pub fn close(self: Box<Self>, scratch: &mut Scratch) {
        scratch.spare.give_back(self);
    }

    /// The flow's client and server have changed places.
    pub fn reverse(&mut self) {
        self.streams.swap(0, 1);
        self.waiting.swap(0, 1);
        self.held.iter_mut().for_each(|held| held.direction = held.direction.opposite());
        for (_, direction) in &mut self.once {
            *direction = super::column::opposite(*direction);
        }
    }

    /// Is there nothing to be reported of this flow, or of this packet?
    pub(crate) fn passed(&self, packet: Option<&Packet<'_>>) -> bool {
        match self.passed {
            Passed::Nothing => false,
            Passed::Packet(number, at) => packet.is_some_and(|it| (it.number, it.timestamp) == (number, at)),
            Passed::Flow => true,
        }
    }

    /// Nothing more is to be reported of the flow.
    pub(crate) fn pass(&mut self) {
        self.passed = Passed::Flow;
    }

    /// Nothing more is to be reported of this packet.
    pub(crate) fn pass_packet(&mut self, packet: &Packet<'_>) {
        self.passed = Passed::Packet(packet.number, packet.timestamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_of_a_flow_that_is_over_remembers_nothing_for_the_next() {
        let mut spare = Spare::default();
        let mut memory = spare.take();
        memory.set(1);
        memory.fire(1, 1);
        memory.follow(Direction::ToServer, b"said", 1, std::iter::once(7));
        memory.pass();
        spare.give_back(memory);
        let memory = spare.take();
        assert!(spare.0.is_empty());
        assert!(!memory.bit(1) && !memory.has_fired(1, 1) && !memory.passed(None));
        assert_eq!(
            (memory.tail(Direction::ToServer).concat(), memory.waiting(Direction::ToServer, 1).count()),
            (vec![], 0)
        );
        for _ in 0..2 * SPARE {
            spare.give_back(Box::default());
        }
        assert_eq!(spare.0.len(), SPARE);
    }

    #[test]
    fn each_bound_is_told_when_it_bites() {
        let mut memory = FlowMemory::default();
        let mut told = |fill: &mut dyn FnMut(&mut FlowMemory, u64), room: usize| {
            (0..room as u64).for_each(|at| fill(&mut memory, at));
            assert_eq!(memory.take_bounded(), 0, "{room} fit");
            (0..3).for_each(|at| fill(&mut memory, room as u64 + at));
            assert_eq!(memory.take_bounded(), 3, "beyond {room}");
        };
        told(&mut |memory, at| memory.set(at), BITS);
        told(&mut |memory, at| memory.change_integer(at, |value| value + 1), INTEGERS);
        told(&mut |memory, at| memory.keep_variable(at, [].into()), VARIABLES);
        told(&mut |memory, at| memory.keep_entropy(at.to_string().into(), 1.0), ENTROPIES);
        told(&mut |memory, at| memory.fire(at, 1), FIRED);
        told(&mut |memory, at| memory.mark(at, 1, true), FIRED);
        told(&mut |memory, at| assert!(memory.first(at, 0)), ONCE);
        told(
            &mut |memory, at| {
                let threshold = Threshold {
                    mode: crate::engine::counter::Mode::Limit,
                    track: crate::engine::counter::Track::Flow,
                    count: 1,
                    seconds: 60,
                    unique: None,
                };
                memory.count(at, &threshold, Timestamp(1));
            },
            COUNTERS,
        );
        told(
            &mut |memory, at| {
                let waiting = std::iter::once(at as u32);
                memory.follow(Direction::ToServer, b"x", 1, waiting);
            },
            WAITING,
        );
    }
}
