//! Counting of matches: `threshold` and `detection_filter`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use vigia_parsers::Timestamp;

use super::changes::SetChanges;
use super::counter::{Counter, End, Mode, Threshold, Track};
use super::dataset::Noted;
use super::hosts::{HostBit, Hosts};
use super::{Engine, RuleId};
use crate::language::header::AddressSet;

/// What a [`Gate`] says to a match of a gated rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Report it.
    Report,
    /// Below or above its threshold: count it, do not report it.
    Suppress,
}

/// For how long the matches of a rule between the same ends are all suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// From then on, as far as the clock is set back.
    pub(super) from: Timestamp,
    /// Until then.
    pub(super) until: Timestamp,
}

impl Silence {
    pub(super) const ALWAYS: Self = Self { from: Timestamp(0), until: Timestamp(u64::MAX) };

    pub(super) fn covers(&self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&now)
    }

    /// As long as both last.
    pub(super) fn and(&self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// Addresses for which a rule does not report.
#[derive(Debug, Clone)]
pub(crate) struct Suppression {
    pub(crate) end: Suppressed,
    pub(crate) addresses: AddressSet,
}

/// Whose address a [`Suppression`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suppressed {
    Source,
    Destination,
    Either,
}

impl Suppression {
    fn covers(&self, found: &Match) -> bool {
        let (source, destination) = (found.source.0, found.destination.0);
        match self.end {
            Suppressed::Source => self.addresses.contains(source),
            Suppressed::Destination => self.addresses.contains(destination),
            Suppressed::Either => self.addresses.contains(source) || self.addresses.contains(destination),
        }
    }
}

/// What silences a rule for a while when it matches too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateFilter {
    pub(crate) track: Track,
    /// So many matches within the window begin the silence.
    pub(crate) count: u32,
    /// Length of the window in seconds.
    pub(crate) seconds: u32,
    /// Length of the silence in seconds.
    pub(crate) timeout: u32,
    /// It does silence; other actions mean nothing to who never blocks.
    pub(crate) silences: bool,
}

/// What the gate needs to know of a rule.
pub(super) struct Gated<'e> {
    pub(super) rule: u64,
    pub(super) threshold: Option<&'e Threshold>,
    pub(super) suppressions: &'e [Suppression],
    pub(super) rate: Option<&'e RateFilter>,
    pub(super) bits: &'e [HostBit],
    pub(super) silent: bool,
}

/// A match as the gate sees it: sender, receiver and time of what matched.
#[derive(Debug, Clone)]
pub struct Match {
    /// Address and port of the sender.
    pub source: (IpAddr, u16),
    /// Address and port of the receiver.
    pub destination: (IpAddr, u16),
    /// When.
    pub timestamp: Timestamp,
    /// The values that it noted for sets ([`Scratch::noted`](super::Scratch::noted)).
    pub noted: Box<[Noted]>,
}

impl Match {
    /// Bytes of the values that it noted.
    pub fn noted_bytes(&self) -> usize {
        self.noted.iter().map(Noted::len).sum()
    }
}

/// Entries of a gate that was not told another bound.
const CAPACITY: usize = 65_536;

/// Cross-flow counting of matches: `threshold` and `detection_filter`, by source, destination, both, or rule. One gate
/// sees the matches of all workers in packet order, so that the number of workers changes nothing. Its table is bounded:
/// when it is full, windows that ended go first, then the oldest ones.
#[derive(Debug)]
pub struct Gate {
    counters: HashMap<Key, Entry, foldhash::fast::RandomState>,
    full: Box<[Option<Full>]>,
    hosts: Hosts,
    session: u32,
    capacity: usize,
    evicted: u64,
    silence: Option<Silence>,
    forgotten: u64,
}

/// A counter with the length of its window, and the ports that were counted in it.
#[derive(Debug)]
struct Entry {
    counter: Counter,
    window: u64,
    ports: Vec<u16>,
    /// Of a rate filter: the end of the silence.
    silent_until: Timestamp,
}

impl Entry {
    fn new(now: Timestamp) -> Self {
        Self { counter: Counter::new(now), window: 0, ports: Vec::new(), silent_until: Timestamp(0) }
    }

    /// Counts a match; with the counter as it is then.
    fn count(&mut self, threshold: &Threshold, found: &Match) -> (Verdict, Counter) {
        let now = found.timestamp;
        self.window = threshold.window();
        if let Some(end) = threshold.unique {
            if self.counter.is_over(threshold, now) {
                self.ports.clear();
            }
            let port = if end == End::Source { found.source.1 } else { found.destination.1 };
            match self.ports.binary_search(&port) {
                Ok(_) => return (Verdict::Suppress, self.counter),
                Err(at) => self.ports.insert(at, port),
            }
        }
        (self.counter.count(threshold, now), self.counter)
    }
}

/// Counters remembered as full; one more takes the place of another.
const FULL: usize = 512;

/// A counter that lets nothing through until its window ends. Most matches meet such a one: then no more than this is looked
/// at.
#[derive(Debug, Clone, Copy)]
struct Full {
    key: Key,
    threshold: Threshold,
    counter: Counter,
}

impl Full {
    fn silence(&self) -> Silence {
        let (start, window) = (self.counter.start.0, self.threshold.window());
        Silence { from: Timestamp(start.saturating_sub(window)), until: Timestamp(start.saturating_add(window)) }
    }
}

/// Whose counter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    session: u32,
    rule: u64,
    purpose: Purpose,
    whom: Tracked,
}

impl Key {
    /// The addresses as numbers.
    fn addresses(&self) -> (u128, u128) {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        };
        match self.whom {
            Tracked::One(address) => (bits(address), 0),
            Tracked::Pair(low, high) => (bits(low), bits(high)),
            Tracked::Rule => (0, 0),
        }
    }

    /// Its place among those that are remembered as full.
    fn place(&self) -> usize {
        let (first, second) = self.addresses();
        let mixed = self.rule ^ (first as u64) << 24 ^ (second as u64) << 8;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FULL.trailing_zeros())) as usize
    }
}

/// In a few words: a derived hash takes an address by its parts.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (first, second) = self.addresses();
        state.write_u64(self.rule);
        state.write_u64(u64::from(self.session) << 1 | u64::from(self.purpose == Purpose::Rate));
        state.write_u128(first);
        state.write_u128(second);
    }
}

/// What a counter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Threshold,
    Rate,
}

/// Whom a counter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tracked {
    One(IpAddr),
    Pair(IpAddr, IpAddr),
    Rule,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Gate {
    /// A gate that keeps at most `capacity` counters.
    pub fn new(capacity: usize) -> Self {
        Self {
            counters: HashMap::default(),
            full: vec![None; FULL].into(),
            hosts: Hosts::default(),
            session: 0,
            capacity: capacity.max(1),
            evicted: 0,
            silence: None,
            forgotten: 0,
        }
    }

    /// What is counted from now on belongs to this session, and has nothing to do with what was counted in others.
    pub fn enter(&mut self, session: u32) {
        self.session = session;
        self.hosts.session = session;
    }

    /// Counters and marks on hosts in use.
    pub fn len(&self) -> usize {
        self.counters.len() + self.hosts.len()
    }

    /// Nothing in use?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counters and marks that were given up before their time, because their table was full.
    pub fn evicted(&self) -> u64 {
        self.evicted + self.hosts.evicted
    }

    /// Values in use of which rules have changed whether they are in a set, and how many of them were forgotten because they
    /// were too many.
    pub fn set_values(&self) -> (usize, u64) {
        (self.hosts.sets.len(), self.hosts.sets.evicted)
    }

    /// Another number than before when rules have changed a set since.
    pub fn set_revision(&self) -> u64 {
        self.hosts.sets.revision()
    }

    /// What rules have changed of sets so far ([`Engine::saved_sets`]).
    pub fn set_changes(&self) -> SetChanges {
        self.hosts.sets.copy()
    }

    /// How often counters were forgotten to make room: what was said to be silent may not be any more.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// For how long the rule of the last match is silent about its ends, when it has said enough: until then none of its
    /// matches changes anything here.
    pub fn silence(&self) -> Option<Silence> {
        self.silence
    }

    /// Counts a match and says whether it is to be reported. What rules mark on hosts is asked and done here too.
    pub fn admit(&mut self, engine: &Engine, rule: RuleId, found: &Match) -> Verdict {
        self.silence = None;
        let Some(gated) = engine.gated(rule) else { return Verdict::Report };
        if !self.hosts.admit(gated.bits, found) || gated.silent {
            return Verdict::Suppress;
        }
        if gated.suppressions.iter().any(|suppression| suppression.covers(found)) {
            return Verdict::Suppress;
        }
        if gated.rate.is_some_and(|filter| self.is_too_often(gated.rule, filter, found)) {
            return Verdict::Suppress;
        }
        let verdict = gated.threshold.map_or(Verdict::Report, |threshold| self.count(gated.rule, threshold, found));
        // The matches of these do change something, be they silent or not.
        if gated.rate.is_some() || !gated.bits.is_empty() {
            self.silence = None;
        }
        verdict
    }

    /// Counts a match for its rate filter: is the rule silent?
    fn is_too_often(&mut self, rule: u64, filter: &RateFilter, found: &Match) -> bool {
        let window = Threshold {
            mode: Mode::Threshold,
            track: filter.track,
            count: filter.count,
            seconds: filter.seconds,
            unique: None,
        };
        let now = found.timestamp;
        let key = self.key(rule, Purpose::Rate, filter.track, found);
        let entry = self.entry(key, now);
        entry.window = window.window() + u64::from(filter.timeout) * 1_000_000_000;
        if now < entry.silent_until {
            return filter.silences;
        }
        if entry.counter.count(&window, now) == Verdict::Suppress {
            return false;
        }
        entry.silent_until = Timestamp(now.0.saturating_add(u64::from(filter.timeout) * 1_000_000_000));
        filter.silences
    }

    fn key(&self, rule: u64, purpose: Purpose, track: Track, found: &Match) -> Key {
        let (source, destination) = (found.source.0, found.destination.0);
        let whom = match track {
            Track::Source => Tracked::One(source),
            Track::Destination => Tracked::One(destination),
            Track::Both => Tracked::Pair(source.min(destination), source.max(destination)),
            Track::Rule | Track::Flow => Tracked::Rule,
        };
        Key { session: self.session, rule, purpose, whom }
    }

    /// The counter with this key; room is made for it.
    fn entry(&mut self, key: Key, now: Timestamp) -> &mut Entry {
        if self.counters.len() >= self.capacity && !self.counters.contains_key(&key) {
            self.make_room(now);
        }
        self.counters.entry(key).or_insert_with(|| Entry::new(now))
    }

    fn count(&mut self, rule: u64, threshold: &Threshold, found: &Match) -> Verdict {
        let now = found.timestamp;
        let key = self.key(rule, Purpose::Threshold, threshold.track, found);
        let place = key.place();
        if let Some(Some(full)) = self.full.get(place)
            && (full.key, full.threshold) == (key, *threshold)
            && !full.counter.is_over(threshold, now)
        {
            self.silence = Some(full.silence());
            return Verdict::Suppress;
        }
        let (verdict, counter) = self.entry(key, now).count(threshold, found);
        let is_full = counter.is_full(threshold) && threshold.unique.is_none();
        let full = is_full.then_some(Full { key, threshold: *threshold, counter });
        self.silence = full.map(|full| full.silence());
        if let Some(known) = self.full.get_mut(place) {
            *known = full;
        }
        verdict
    }

    /// Forgets windows that ended; when there are none, the oldest eighth.
    fn make_room(&mut self, now: Timestamp) {
        let before = self.counters.len();
        self.full.fill(None);
        self.forgotten += 1;
        self.counters.retain(|_, entry| now.since(entry.counter.start) <= entry.window);
        if self.counters.len() < before {
            return;
        }
        let mut starts: Vec<Timestamp> = self.counters.values().map(|entry| entry.counter.start).collect();
        let eighth = starts.len() / 8;
        let (_, &mut limit, _) = starts.select_nth_unstable(eighth);
        self.counters.retain(|_, entry| entry.counter.start > limit);
        self.evicted += (before - self.counters.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn found(source: IpAddr, destination: IpAddr, timestamp: Timestamp) -> Match {
        Match { source: (source, 1), destination: (destination, 2), timestamp, noted: Box::default() }
    }

    #[test]
    fn tracking_keeps_addresses_apart_and_pairs_together() {
        let now = Timestamp::new(1, 0);
        let mut gate = Gate::default();
        let by = |track| Threshold { mode: Mode::Limit, track, count: 1, seconds: 60, unique: None };
        assert_eq!(gate.count(1, &by(Track::Source), &found(A, B, now)), Verdict::Report);
        assert_eq!(gate.count(1, &by(Track::Source), &found(B, A, now)), Verdict::Report);
        assert_eq!(gate.count(1, &by(Track::Source), &found(A, B, now)), Verdict::Suppress);
        assert_eq!(gate.count(2, &by(Track::Both), &found(A, B, now)), Verdict::Report);
        assert_eq!(gate.count(2, &by(Track::Both), &found(B, A, now)), Verdict::Suppress);
        assert_eq!(gate.count(3, &by(Track::Rule), &found(A, B, now)), Verdict::Report);
        assert_eq!(gate.count(3, &by(Track::Rule), &found(B, B, now)), Verdict::Suppress);
    }

    #[test]
    fn sessions_are_counted_apart_in_whatever_order_they_come() {
        let threshold = Threshold { mode: Mode::Limit, track: Track::Rule, count: 1, seconds: 60, unique: None };
        let mut gate = Gate::default();
        let mut reported = |session| {
            gate.enter(session);
            gate.count(1, &threshold, &found(A, B, Timestamp::new(1, 0))) == Verdict::Report
        };
        assert_eq!([1, 1, 2, 1, 2, 3].map(&mut reported), [true, false, true, false, false, true]);
    }

    #[test]
    fn what_is_remembered_as_full_is_that_of_its_own_window_rule_and_addresses() {
        let threshold = |count| Threshold { mode: Mode::Limit, track: Track::Source, count, seconds: 10, unique: None };
        let mut gate = Gate::new(16);
        let mut report = |rule, source, seconds, count| {
            gate.count(rule, &threshold(count), &found(source, B, Timestamp::new(seconds, 0))) == Verdict::Report
        };
        assert_eq!([0, 1, 2, 3].map(|second| report(1, A, second, 2)), [true, true, false, false]);
        assert!(report(2, A, 3, 2) && report(1, B, 3, 2));
        // Other rules were loaded, which let more through.
        assert!(report(1, A, 4, 9));
        assert_eq!([11, 12, 13].map(|second| report(1, A, second, 2)), [true, true, false]);
        // The clock is set back, and right again.
        assert_eq!([0, 1, 13, 14].map(|second| report(1, A, second, 1)), [true, false, true, false]);
    }

    #[test]
    fn a_full_gate_gives_up_the_oldest_and_counts_it() {
        let threshold = Threshold { mode: Mode::Limit, track: Track::Source, count: 1, seconds: 3600, unique: None };
        let mut gate = Gate::new(16);
        for host in 0..64u32 {
            let source = IpAddr::V4(host.into());
            gate.count(1, &threshold, &found(source, B, Timestamp::new(u64::from(host), 0)));
        }
        assert!(gate.len() <= 16 && gate.evicted() >= 48, "{} kept, {} evicted", gate.len(), gate.evicted());
        let newest = IpAddr::V4(63.into());
        assert_eq!(gate.count(1, &threshold, &found(newest, B, Timestamp::new(64, 0))), Verdict::Suppress);
    }
}
