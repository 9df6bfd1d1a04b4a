//! How a sink is doing: what its courier counts, and what metrics and `vigia status` tell of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vigia_parsers::Timestamp;

use super::certificate::Expiry;
use super::sink::Kind;
use super::source::{Met, lag};
use crate::journal::{Catalogue, Extent, Positions, Stream};
use crate::metrics::subject::{
    EXPORT_BYTES, EXPORT_CERTIFICATE, EXPORT_CIRCUIT, EXPORT_CURSOR_ERRORS, EXPORT_EVENTS, EXPORT_FAILURES,
    EXPORT_LAG_BYTES, EXPORT_LAG_EVENTS, EXPORT_LAG_SECONDS, EXPORT_MISSED, EXPORT_MISSED_SEGMENTS,
    EXPORT_REFUSED_BYTES, Family, Reading,
};

/// Whether events are offered to a sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Circuit {
    /// They are.
    #[default]
    Closed,
    /// It failed: it is tried again after a pause.
    Open,
    /// It refused so many that the file for them is full: a person has to look.
    Blocked,
}

impl Circuit {
    const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Blocked];

    const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Blocked => "blocked",
        }
    }
}

/// What is counted of a sink.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) delivered: u64,
    pub(super) delivered_bytes: u64,
    pub(super) refused: u64,
    pub(super) refused_bytes: u64,
    pub(super) filtered: u64,
    pub(super) missed: Extent,
    pub(super) missed_segments: u64,
    pub(super) failures: u64,
    pub(super) cursor_errors: u64,
    pub(super) circuit: Circuit,
    /// Why the last try failed; empty once one went well.
    pub(super) error: String,
    /// Everything before is settled.
    pub(super) positions: Positions,
    /// The stream in hand, and the time of its first event that waits.
    pub(super) waiting: Option<(Stream, Timestamp)>,
    /// Since when something of a stream waits, as far as was noticed.
    behind_since: [Option<Instant>; 2],
}

/// How a sink is doing.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) name: String,
    kind: &'static str,
    target: String,
    streams: Vec<Stream>,
    pub(super) expiry: Expiry,
    numbers: Mutex<Numbers>,
}

impl Progress {
    pub(super) fn new(
        name: &str,
        (kind, settings): (&'static str, &dyn Kind),
        streams: Vec<Stream>,
        positions: Positions,
    ) -> Arc<Self> {
        let numbers = Mutex::new(Numbers { positions, ..Numbers::default() });
        let (target, expiry) = (settings.target(), settings.expiry().unwrap_or_default());
        Arc::new(Self { name: name.to_owned(), kind, target, streams, expiry, numbers })
    }

    /// Can the sink get anything of a stream?
    pub(super) fn reads(&self, stream: Stream) -> bool {
        self.streams.contains(&stream)
    }

    pub(super) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was read.
    pub(super) fn met(&self, met: &Met) {
        let mut numbers = self.numbers();
        numbers.filtered += met.filtered;
        numbers.missed.events += met.missed.events;
        numbers.missed.bytes += met.missed.bytes;
        numbers.missed_segments += met.missed_segments;
    }

    /// How far behind each stream is: events and bytes, and seconds.
    fn lag(&self, catalogue: &Catalogue) -> [(Extent, u64); 2] {
        let mut numbers = self.numbers();
        let extents = lag(catalogue, &self.streams, &numbers.positions);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stream::ALL.map(|stream| {
            let extent = extents[stream as usize];
            let waiting = numbers.waiting.filter(|(of, _)| *of == stream).map(|(_, time)| time);
            let since = &mut numbers.behind_since[stream as usize];
            if extent.events == 0 {
                *since = None;
                return (extent, 0);
            }
            let noticed = since.get_or_insert_with(Instant::now).elapsed();
            let age = waiting.map(|time| now.saturating_sub(Duration::from_nanos(time.0))).unwrap_or_default();
            (extent, noticed.max(age).as_secs())
        })
    }

    /// What metrics tell.
    pub(super) fn readings(&self, catalogue: &Catalogue) -> Vec<Reading> {
        let lags = self.lag(catalogue);
        let numbers = self.numbers();
        let mut readings = Vec::new();
        let mut read = |family: &'static Family, label: &str, value| {
            readings.push(Reading { family, label: label.to_owned(), value });
        };
        read(&EXPORT_EVENTS, "delivered", numbers.delivered);
        read(&EXPORT_EVENTS, "refused", numbers.refused);
        read(&EXPORT_EVENTS, "filtered", numbers.filtered);
        read(&EXPORT_BYTES, "", numbers.delivered_bytes);
        read(&EXPORT_FAILURES, "", numbers.failures);
        read(&EXPORT_CURSOR_ERRORS, "", numbers.cursor_errors);
        read(&EXPORT_MISSED, "", numbers.missed.events);
        read(&EXPORT_MISSED_SEGMENTS, "", numbers.missed_segments);
        read(&EXPORT_REFUSED_BYTES, "", numbers.refused_bytes);
        for circuit in Circuit::ALL {
            read(&EXPORT_CIRCUIT, circuit.name(), (circuit == numbers.circuit).into());
        }
        for stream in &self.streams {
            let (extent, seconds) = lags[*stream as usize];
            read(&EXPORT_LAG_EVENTS, stream.name(), extent.events);
            read(&EXPORT_LAG_BYTES, stream.name(), extent.bytes);
            read(&EXPORT_LAG_SECONDS, stream.name(), seconds);
        }
        readings.extend(self.expiry.readings(&EXPORT_CERTIFICATE));
        readings
    }

    /// What `vigia status` has.
    pub(super) fn status(&self, catalogue: &Catalogue) -> Value {
        let lags = self.lag(catalogue);
        let numbers = self.numbers();
        let lag = |stream: &Stream| {
            let (Extent { events, bytes }, seconds) = lags[*stream as usize];
            (stream.name().to_owned(), json!({ "events": events, "bytes": bytes, "seconds": seconds }))
        };
        json!({
            "name": self.name,
            "kind": self.kind,
            "target": self.target,
            "circuit": numbers.circuit.name(),
            "error": if numbers.error.is_empty() { Value::Null } else { numbers.error.as_str().into() },
            "delivered": numbers.delivered,
            "refused": numbers.refused,
            "filtered": numbers.filtered,
            "failures": numbers.failures,
            "missed_events": numbers.missed.events,
            "missed_segments": numbers.missed_segments,
            "lag": self.streams.iter().map(lag).collect::<serde_json::Map<_, _>>(),
        })
    }
}
