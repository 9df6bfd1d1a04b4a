//! Warns of certificates that are about to expire.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vigia_parsers::Timestamp;

use super::certificate::Owner;
use super::progress::Progress;
use crate::event::{Health, HealthOutput};

/// So long before the end it is told.
const BEFORE: Duration = Duration::from_secs(21 * 86_400);

/// It is told again this often.
const AGAIN: Duration = Duration::from_secs(86_400);

/// Looks at the certificates of all sinks.
pub(super) struct Warden {
    health: HealthOutput,
    /// When it was told of a sink's certificate, and of which.
    told: HashMap<(String, &'static str), (u64, Instant)>,
}

impl Warden {
    pub(super) fn new(health: HealthOutput) -> Self {
        Self { health, told: HashMap::new() }
    }

    /// Tells of each certificate that is about to expire, or has: once a day, and at once of another one.
    pub(super) fn look(&mut self, sinks: &[Arc<Progress>]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for sink in sinks {
            for owner in Owner::ALL {
                let Some(end) = sink.expiry(owner) else { continue };
                if end > (now + BEFORE).as_secs() {
                    continue;
                }
                let told = self.told.entry((sink.name.clone(), owner.name())).or_insert((0, Instant::now()));
                if told.0 == end && told.1.elapsed() < AGAIN {
                    continue;
                }
                *told = (end, Instant::now());
                let days = (i128::from(end) - i128::from(now.as_secs())).div_euclid(86_400) as i64;
                tracing::warn!(sink = sink.name, certificate = owner.name(), days, "a certificate expires");
                let expires = Timestamp::new(end, 0);
                let health = Health::CertificateExpires { sink: &sink.name, certificate: owner.name(), expires };
                self.health.report(Timestamp::new(now.as_secs(), now.subsec_nanos()), "", &health);
            }
        }
    }
}
