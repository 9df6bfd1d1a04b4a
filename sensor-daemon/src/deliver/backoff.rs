//! Pauses between tries.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);

/// Pauses that double up to a bound. Each is drawn from its upper half, so that many sensors whose sink comes back do not
/// all knock at once.
#[derive(Debug)]
pub(super) struct Backoff {
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, failures: 0 }
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed again: how long to wait. A sink that names a time gets at least that, within the bound.
    pub(super) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        // The keys of the standard library's hash tables are random by design.
        let random = RandomState::new().hash_one(self.failures) as u32;
        let jittered = whole / 2 + whole.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0);
        jittered.max(asked.unwrap_or_default()).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(4));
        for whole in [250, 500, 1000, 2000, 4000, 4000] {
            let pause = backoff.pause(None).as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
        backoff.reset();
        assert!(backoff.pause(None).as_millis() <= 250);
        assert_eq!(backoff.pause(Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(backoff.pause(Some(Duration::from_secs(900))), Duration::from_secs(4));
    }
}
