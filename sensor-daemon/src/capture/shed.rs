//! Overload: when the rings fill up, the tap drops what matters least before the kernel would drop anything.
//!
//! Each worker says how full its rings are, a batch at a time. Above the fill of the settings the first class is shed; the
//! fuller, the more, until above [`ALL_AT`] no IT is left. OT is never shed. It ends class by class, each when the rings have
//! come down to half of what began it, and no sooner than [`CALM`] after the last change, so that it does not flutter.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::probes::tap::Tap;

/// Fill in percent at which all of IT is shed; the rest of the rings is OT's.
const ALL_AT: u8 = 90;

/// Time without a change before a class is taken again.
const CALM: Duration = Duration::from_secs(1);

/// Sheds for all workers.
pub(super) struct Shedder {
    tap: Arc<Tap>,
    /// Fill in percent at which it begins; 0 for never.
    at: AtomicU8,
    /// How full the rings of each worker are, in percent.
    fills: Box<[AtomicU8]>,
    level: AtomicUsize,
    /// When the level changed last.
    changed: Mutex<Instant>,
}

/// One worker's word.
pub(super) struct Pressure {
    pub(super) shedder: Arc<Shedder>,
    pub(super) worker: usize,
}

impl Pressure {
    pub(super) fn report(&self, fill: f32) {
        self.shedder.report(self.worker, (100.0 * fill) as u8);
    }
}

impl Shedder {
    pub(super) fn new(tap: Arc<Tap>, workers: usize, at_percent: u8) -> Self {
        let fills = (0..workers).map(|_| AtomicU8::new(0)).collect();
        Self { tap, at: at_percent.into(), fills, level: AtomicUsize::new(0), changed: Mutex::new(Instant::now()) }
    }

    /// Takes over another beginning; what is shed now is taken back as if it had begun there.
    pub(super) fn begin_at(&self, percent: u8) {
        self.at.store(percent, Relaxed);
    }

    /// Classes that are shed now.
    pub(super) fn level(&self) -> usize {
        self.level.load(Relaxed)
    }

    fn report(&self, worker: usize, fill: u8) {
        if let Some(own) = self.fills.get(worker) {
            own.store(fill, Relaxed);
        }
        let level = self.level();
        if level == 0 && (fill == 0 || fill < self.at.load(Relaxed)) {
            return;
        }
        // Another worker is at it: it has the same numbers.
        let Ok(mut changed) = self.changed.try_lock() else { return };
        let fullest = self.fills.iter().map(|fill| fill.load(Relaxed)).max().unwrap_or(0);
        let scale = Scale { at: self.at.load(Relaxed), levels: self.tap.levels() };
        let next = scale.next(self.level(), fullest, changed.elapsed());
        if next == level {
            return;
        }
        match self.tap.shed(next) {
            Ok(()) if level == 0 => tracing::warn!(ring_percent = fullest, "overload: frames of IT are shed, by class"),
            Ok(()) if next == 0 => tracing::info!("the overload is over; no frame is shed any more"),
            Ok(()) => tracing::debug!(classes = next, ring_percent = fullest, "shedding"),
            Err(error) => return tracing::error!("{error}"),
        }
        self.level.store(next, Relaxed);
        *changed = Instant::now();
    }
}

/// How many classes are shed at which fill.
struct Scale {
    at: u8,
    levels: usize,
}

impl Scale {
    /// Fill that begins a level, from 1.
    fn begins(&self, level: usize) -> u8 {
        let (at, most) = (usize::from(self.at), usize::from(ALL_AT.max(self.at)));
        (at + (most - at) * (level - 1) / self.levels.saturating_sub(1).max(1)) as u8
    }

    fn next(&self, level: usize, fill: u8, unchanged: Duration) -> usize {
        let wanted = (1..=self.levels).take_while(|level| self.at != 0 && fill >= self.begins(*level)).count();
        if wanted >= level {
            return wanted;
        }
        if self.at == 0 {
            return 0;
        }
        level - usize::from(unchanged >= CALM && fill <= self.begins(level.min(self.levels)) / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { at: 60, levels: 6 };

    #[test]
    fn the_fuller_the_rings_the_more_classes_are_shed_and_at_the_latest_all() {
        let shed = |fill| SCALE.next(0, fill, Duration::ZERO);
        assert_eq!([0, 59, 60, 65, 66, 89, 90, 100].map(shed), [0, 0, 1, 1, 2, 5, 6, 6]);
        assert_eq!(Scale { at: 95, levels: 6 }.next(0, 95, CALM), 6);
        assert_eq!(Scale { at: 60, levels: 1 }.next(0, 60, CALM), 1);
    }

    #[test]
    fn a_class_is_taken_again_when_the_rings_are_half_empty_and_all_is_calm() {
        assert_eq!(SCALE.next(2, 33, Duration::ZERO), 2, "too soon");
        assert_eq!(SCALE.next(2, 34, CALM), 2, "too full");
        assert_eq!(SCALE.next(2, 33, CALM), 1);
        assert_eq!(SCALE.next(1, 31, CALM), 1);
        assert_eq!(SCALE.next(1, 0, CALM), 0);
        assert_eq!(SCALE.next(0, 0, CALM), 0);
    }

    #[test]
    fn nothing_is_shed_where_that_is_not_wanted_and_what_was_comes_back() {
        let never = Scale { at: 0, levels: 6 };
        assert_eq!(never.next(0, 100, CALM), 0);
        assert_eq!(never.next(4, 100, Duration::ZERO), 0);
    }
}
