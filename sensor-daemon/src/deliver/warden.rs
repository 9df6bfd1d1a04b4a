//! Warns of certificates that are about to expire.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vigia_parsers::Timestamp;

use super::certificate::{Expiry, Owner};
use crate::event::{Health, HealthOutput};
use crate::metrics::subject::Subject;

/// So long before the end it is told.
const BEFORE: Duration = Duration::from_secs(21 * 86_400);

/// It is told again this often.
const AGAIN: Duration = Duration::from_secs(86_400);

/// Looks at the certificates of all ways up.
pub(super) struct Warden {
    health: HealthOutput,
    /// When it was told of a certificate of a way, and of which.
    told: HashMap<(Subject, String, Owner), (u64, Instant)>,
}

impl Warden {
    pub(super) fn new(health: HealthOutput) -> Self {
        Self { health, told: HashMap::new() }
    }

    /// Tells of each certificate that is about to expire, or has: once a day, and at once of another one.
    pub(super) fn look<'w>(&mut self, ways: impl Iterator<Item = (Subject, &'w str, &'w Expiry)>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for (subject, name, expiry) in ways {
            for owner in Owner::ALL {
                let Some(end) = expiry.of(owner) else { continue };
                if end > (now + BEFORE).as_secs() {
                    continue;
                }
                let told = self.told.entry((subject, name.to_owned(), owner)).or_insert((0, Instant::now()));
                if told.0 == end && told.1.elapsed() < AGAIN {
                    continue;
                }
                *told = (end, Instant::now());
                let days = (i128::from(end) - i128::from(now.as_secs())).div_euclid(86_400) as i64;
                let (of, certificate) = (subject.label(), owner.name(subject));
                tracing::warn!(of, name, certificate, days, "a certificate expires");
                let expires = Timestamp::new(end, 0);
                let health = Health::CertificateExpires { subject, name, certificate, expires };
                self.health.report(Timestamp::new(now.as_secs(), now.subsec_nanos()), "", &health);
            }
        }
    }
}
