//! Distribution of durations, shared between threads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets in seconds; one more holds what is longer.
pub(super) const BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Counts durations by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
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
        assert_eq!(buckets[4], (0.0025, 1));
        assert_eq!(buckets[5], (0.005, 2));
        assert_eq!(buckets[13], (5.0, 2));
        assert_eq!(histogram.count(), 3);
        assert!((sum - 60.0031).abs() < 1e-9);
    }
}
