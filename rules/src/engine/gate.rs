//! Counting of matches: `threshold` and `detection_filter`.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::Timestamp;

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

/// Which matches of a window are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The first `count`.
    Limit,
    /// Every `count`-th.
    Threshold,
    /// The `count`-th only.
    Both,
    /// Every one after the first `count` (`detection_filter`).
    Filter,
    /// The `count`-th, then each time the number has grown by the factor; no window.
    Backoff(u32),
}

/// What matches are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Track {
    Source,
    Destination,
    /// The pair of addresses, whichever sends.
    Both,
    Rule,
    Flow,
}

/// A parsed `threshold` or `detection_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threshold {
    pub(crate) mode: Mode,
    pub(crate) track: Track,
    pub(crate) count: u32,
    /// Length of the window in seconds.
    pub(crate) seconds: u32,
    /// Counts each port of this end once in a window, not each match.
    pub(crate) unique: Option<End>,
}

/// An end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
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
#[derive(Debug, Clone, Copy)]
pub struct Match {
    /// Address and port of the sender.
    pub source: (IpAddr, u16),
    /// Address and port of the receiver.
    pub destination: (IpAddr, u16),
    /// When.
    pub timestamp: Timestamp,
    /// The value that it noted for a set ([`Scratch::noted`](super::Scratch::noted)).
    pub value: u64,
}

impl Threshold {
    fn window(&self) -> u64 {
        u64::from(self.seconds) * 1_000_000_000
    }
}

/// The count of one rule and address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    start: Timestamp,
    count: u32,
    /// Of [`Mode::Backoff`]: the next count that is reported.
    next: u32,
}

impl Counter {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { start, count: 0, next: 0 }
    }

    /// Counts a match. A window begins with the first match in it and lasts as many seconds as the rule says; where time
    /// steps back by more than that (a clock set right, an older capture replayed next), another begins.
    pub(crate) fn count(&mut self, threshold: &Threshold, now: Timestamp) -> Verdict {
        if let Mode::Backoff(factor) = threshold.mode {
            return self.back_off(threshold.count, factor);
        }
        if self.is_over(threshold, now) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        let report = match threshold.mode {
            Mode::Limit => self.count <= threshold.count,
            Mode::Both => self.count == threshold.count,
            Mode::Filter => self.count > threshold.count,
            Mode::Threshold | Mode::Backoff(_) => {
                let full = self.count >= threshold.count;
                if full {
                    *self = Self::new(now);
                }
                full
            }
        };
        if report { Verdict::Report } else { Verdict::Suppress }
    }

    /// Did its window end before `now`, or has the clock been set?
    fn is_over(&self, threshold: &Threshold, now: Timestamp) -> bool {
        now.since(self.start).max(self.start.since(now)) > threshold.window()
    }

    fn back_off(&mut self, count: u32, factor: u32) -> Verdict {
        self.count = self.count.saturating_add(1);
        self.next = self.next.max(count);
        if self.count != self.next {
            return Verdict::Suppress;
        }
        self.next = self.next.saturating_mul(factor.max(2));
        Verdict::Report
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
    hosts: Hosts,
    session: u32,
    capacity: usize,
    evicted: u64,
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
}

/// Session, rule, what is counted for, and whom.
type Key = (u32, u64, Purpose, Tracked);

/// What a counter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    Threshold,
    Rate,
}

/// Whom a counter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
            hosts: Hosts::default(),
            session: 0,
            capacity: capacity.max(1),
            evicted: 0,
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

    /// Counts a match and says whether it is to be reported. What rules mark on hosts is asked and done here too.
    pub fn admit(&mut self, engine: &Engine, rule: RuleId, found: &Match) -> Verdict {
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
        gated.threshold.map_or(Verdict::Report, |threshold| self.count(gated.rule, threshold, found))
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
        let key = self.key(rule, Purpose::Rate, filter.track, found, now);
        let entry = self.counters.entry(key).or_insert_with(|| Entry::new(now));
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

    /// Whose counter it is; room is made for it.
    fn key(&mut self, rule: u64, purpose: Purpose, track: Track, found: &Match, now: Timestamp) -> Key {
        let (source, destination) = (found.source.0, found.destination.0);
        let tracked = match track {
            Track::Source => Tracked::One(source),
            Track::Destination => Tracked::One(destination),
            Track::Both => Tracked::Pair(source.min(destination), source.max(destination)),
            Track::Rule | Track::Flow => Tracked::Rule,
        };
        let key = (self.session, rule, purpose, tracked);
        if self.counters.len() >= self.capacity && !self.counters.contains_key(&key) {
            self.make_room(now);
        }
        key
    }

    fn count(&mut self, rule: u64, threshold: &Threshold, found: &Match) -> Verdict {
        let now = found.timestamp;
        let key = self.key(rule, Purpose::Threshold, threshold.track, found, now);
        let entry = self.counters.entry(key).or_insert_with(|| Entry::new(now));
        entry.window = threshold.window();
        if let Some(end) = threshold.unique {
            if entry.counter.is_over(threshold, now) {
                entry.ports.clear();
            }
            let port = if end == End::Source { found.source.1 } else { found.destination.1 };
            match entry.ports.binary_search(&port) {
                Ok(_) => return Verdict::Suppress,
                Err(at) => entry.ports.insert(at, port),
            }
        }
        entry.counter.count(threshold, now)
    }

    /// Forgets windows that ended; when there are none, the oldest eighth.
    fn make_room(&mut self, now: Timestamp) {
        let before = self.counters.len();
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
        Match { source: (source, 1), destination: (destination, 2), timestamp, value: 0 }
    }

    fn reported(mode: Mode, count: u32, seconds: u32, times: &[u64]) -> Vec<u64> {
        let threshold = Threshold { mode, track: Track::Source, count, seconds, unique: None };
        let mut gate = Gate::default();
        let report = |&time: &u64| gate.count(1, &threshold, &found(A, B, Timestamp::new(time, 0))) == Verdict::Report;
        let mut report = report;
        times.iter().filter(|time| report(time)).copied().collect()
    }

    #[test]
    fn limit_reports_the_first_of_a_window() {
        assert_eq!(reported(Mode::Limit, 2, 10, &[0, 1, 2, 10, 11, 12, 13]), [0, 1, 11, 12]);
    }

    #[test]
    fn threshold_reports_every_nth_within_the_window() {
        assert_eq!(reported(Mode::Threshold, 3, 10, &[0, 1, 2, 3, 4, 5]), [2, 5]);
        assert_eq!(reported(Mode::Threshold, 3, 10, &[0, 6, 12, 13, 14]), [14]);
        assert_eq!(reported(Mode::Threshold, 1, 10, &[0, 1, 20]), [0, 1, 20]);
    }

    #[test]
    fn both_reports_once_a_window() {
        assert_eq!(reported(Mode::Both, 2, 10, &[0, 1, 2, 3, 11, 12, 13]), [1, 12]);
    }

    #[test]
    fn detection_filter_reports_all_after_the_first_ones() {
        assert_eq!(reported(Mode::Filter, 2, 10, &[0, 1, 2, 3, 11, 12, 13]), [2, 3, 13]);
    }

    #[test]
    fn a_clock_set_back_begins_another_window() {
        assert_eq!(reported(Mode::Limit, 1, 10, &[1000, 1001, 500, 501, 511]), [1000, 500, 511]);
        // Packets a little out of order do not.
        assert_eq!(reported(Mode::Limit, 1, 10, &[1000, 995, 1001]), [1000]);
    }

    #[test]
    fn backoff_reports_ever_rarer() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!(reported(Mode::Backoff(10), 1, 0, &times), [1, 10, 100]);
        assert_eq!(reported(Mode::Backoff(5), 5, 0, &times), [5, 25, 125]);
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
