//! Distribution of durations, shared between threads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets in seconds; one more holds what is longer.
pub(crate) const BOUNDS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    5.0,
];

/// Counts durations by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        self.observe_each(1, duration);
    }

    /// Counts a duration for each of so many.
    pub fn observe_each(&self, times: u64, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(times, Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos.saturating_mul(times), Relaxed);
    }

    /// Durations counted so far.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// For each bound the number of durations up to it, and the sum of all in seconds.
    pub(super) fn cumulative(&self) -> (Vec<(f64, u64)>, f64) {
        let mut total = 0;
        let cumulative = BOUNDS.iter().zip(&self.buckets).map(|(bound, bucket)| {
            total += bucket.load(Relaxed);
            (*bound, total)
        });
        (cumulative.collect(), self.sum_nanos.load(Relaxed) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(100));
        histogram.observe(Duration::from_millis(3));
        histogram.observe(Duration::from_secs(60));
        let (buckets, sum) = histogram.cumulative();
        assert_eq!(buckets[0], (0.0001, 1));
        assert_eq!(buckets[4], (0.002, 1));
        assert_eq!(buckets[5], (0.003, 2));
        assert_eq!(buckets[17], (5.0, 2));
        assert_eq!(histogram.count(), 3);
        assert!((sum - 60.0031).abs() < 1e-9);
    }

    #[test]
    fn a_duration_of_several_counts_for_each() {
        let histogram = Histogram::default();
        histogram.observe_each(3, Duration::from_millis(2));
        let (buckets, sum) = histogram.cumulative();
        assert_eq!((buckets[3].1, buckets[4].1, histogram.count()), (0, 3, 3));
        assert!((sum - 0.006).abs() < 1e-9);
    }
}
