//! Counting of matches: `threshold` and `detection_filter`.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::Timestamp;

use super::{Engine, RuleId};

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
        if now.since(self.start).max(self.start.since(now)) > threshold.window() {
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
    counters: HashMap<(u32, u64, Tracked), (Counter, u64)>,
    session: u32,
    capacity: usize,
    evicted: u64,
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
        Self { counters: HashMap::new(), session: 0, capacity: capacity.max(1), evicted: 0 }
    }

    /// What is counted from now on belongs to this session, and has nothing to do with what was counted in others.
    pub fn enter(&mut self, session: u32) {
        self.session = session;
    }

    /// Counters in use.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// No counter in use?
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// Counters that were given up before their window ended, because the table was full.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Counts a match and says whether it is to be reported.
    pub fn admit(
        &mut self,
        engine: &Engine,
        rule: RuleId,
        source: IpAddr,
        destination: IpAddr,
        timestamp: Timestamp,
    ) -> Verdict {
        let Some((identity, threshold)) = engine.threshold(rule) else { return Verdict::Report };
        self.count(identity, threshold, source, destination, timestamp)
    }

    fn count(
        &mut self,
        rule: u64,
        threshold: &Threshold,
        source: IpAddr,
        destination: IpAddr,
        now: Timestamp,
    ) -> Verdict {
        let tracked = match threshold.track {
            Track::Source => Tracked::One(source),
            Track::Destination => Tracked::One(destination),
            Track::Both => Tracked::Pair(source.min(destination), source.max(destination)),
            Track::Rule | Track::Flow => Tracked::Rule,
        };
        let key = (self.session, rule, tracked);
        if self.counters.len() >= self.capacity && !self.counters.contains_key(&key) {
            self.make_room(now);
        }
        let (counter, window) = self.counters.entry(key).or_insert((Counter::new(now), 0));
        *window = threshold.window();
        counter.count(threshold, now)
    }

    /// Forgets windows that ended; when there are none, the oldest eighth.
    fn make_room(&mut self, now: Timestamp) {
        let before = self.counters.len();
        self.counters.retain(|_, (counter, window)| now.since(counter.start) <= *window);
        if self.counters.len() < before {
            return;
        }
        let mut starts: Vec<Timestamp> = self.counters.values().map(|(counter, _)| counter.start).collect();
        let eighth = starts.len() / 8;
        let (_, &mut limit, _) = starts.select_nth_unstable(eighth);
        self.counters.retain(|_, (counter, _)| counter.start > limit);
        self.evicted += (before - self.counters.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn reported(mode: Mode, count: u32, seconds: u32, times: &[u64]) -> Vec<u64> {
        let threshold = Threshold { mode, track: Track::Source, count, seconds };
        let mut gate = Gate::default();
        let report = |&time: &u64| gate.count(1, &threshold, A, B, Timestamp::new(time, 0)) == Verdict::Report;
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
        let by = |track| Threshold { mode: Mode::Limit, track, count: 1, seconds: 60 };
        assert_eq!(gate.count(1, &by(Track::Source), A, B, now), Verdict::Report);
        assert_eq!(gate.count(1, &by(Track::Source), B, A, now), Verdict::Report);
        assert_eq!(gate.count(1, &by(Track::Source), A, B, now), Verdict::Suppress);
        assert_eq!(gate.count(2, &by(Track::Both), A, B, now), Verdict::Report);
        assert_eq!(gate.count(2, &by(Track::Both), B, A, now), Verdict::Suppress);
        assert_eq!(gate.count(3, &by(Track::Rule), A, B, now), Verdict::Report);
        assert_eq!(gate.count(3, &by(Track::Rule), B, B, now), Verdict::Suppress);
    }

    #[test]
    fn sessions_are_counted_apart_in_whatever_order_they_come() {
        let threshold = Threshold { mode: Mode::Limit, track: Track::Rule, count: 1, seconds: 60 };
        let mut gate = Gate::default();
        let mut reported = |session| {
            gate.enter(session);
            gate.count(1, &threshold, A, B, Timestamp::new(1, 0)) == Verdict::Report
        };
        assert_eq!([1, 1, 2, 1, 2, 3].map(&mut reported), [true, false, true, false, false, true]);
    }

    #[test]
    fn a_full_gate_gives_up_the_oldest_and_counts_it() {
        let threshold = Threshold { mode: Mode::Limit, track: Track::Source, count: 1, seconds: 3600 };
        let mut gate = Gate::new(16);
        for host in 0..64u32 {
            let source = IpAddr::V4(host.into());
            gate.count(1, &threshold, source, B, Timestamp::new(u64::from(host), 0));
        }
        assert!(gate.len() <= 16 && gate.evicted() >= 48, "{} kept, {} evicted", gate.len(), gate.evicted());
        let newest = IpAddr::V4(63.into());
        assert_eq!(gate.count(1, &threshold, newest, B, Timestamp::new(64, 0)), Verdict::Suppress);
    }
}
