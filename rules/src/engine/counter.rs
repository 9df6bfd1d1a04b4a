//! Counting of matches within windows of time: one rule, one address.

use vigia_parsers::Timestamp;

use super::gate::Verdict;

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

impl Threshold {
    /// Length of the window in nanoseconds.
    pub(super) fn window(&self) -> u64 {
        u64::from(self.seconds) * 1_000_000_000
    }
}

/// The count of one rule and address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    pub(super) start: Timestamp,
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

    /// Does it let nothing through any more until its window ends?
    pub(super) fn is_full(&self, threshold: &Threshold) -> bool {
        matches!(threshold.mode, Mode::Limit | Mode::Both) && self.count >= threshold.count
    }

    /// Did its window end before `now`, or has the clock been set?
    pub(super) fn is_over(&self, threshold: &Threshold, now: Timestamp) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(mode: Mode, count: u32, seconds: u32, times: &[u64]) -> Vec<u64> {
        let threshold = Threshold { mode, track: Track::Source, count, seconds, unique: None };
        let at = |&time: &u64| Timestamp::new(time, 0);
        let mut counter = Counter::new(times.first().map(at).unwrap_or_default());
        times.iter().filter(|time| counter.count(&threshold, at(time)) == Verdict::Report).copied().collect()
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
}
