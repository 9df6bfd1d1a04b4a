//! Events on their way up: every sink is a reader of the journal of its own, with a saved cursor.
//!
//! # Constraints
//!
//! - An outage upstream costs disk, not events: what a sink has not taken stays in the journal, within its bound.
//! - Nothing here reaches a worker: a [`Courier`] only reads files that the journal's writers have written. Its threads
//!   have a runtime of their own and a lower priority.
//! - Sinks know nothing of each other: one that is away or slow delays no other.
//!
//! # Invariants
//!
//! - **At least once.** A cursor moves past an event only when its sink has taken it, or refused it and it stands in the
//!   dead-letter file, synced. It is saved (synced, renamed) after that, so a crash repeats events and leaves none out.
//! - **In order.** Events of a stream are handed over in the order of the journal, and again from the first one that was
//!   not taken. A flow's events of one stream keep their order. Alerts go before records: whenever a batch is begun,
//!   alerts that wait go first.
//! - **One id.** The `event_id` of an event is its place: the journal's identity, stream, segment and offset. None of them
//!   changes when a segment is sealed, when it is read again, or for another sink; no place is used twice. It costs the
//!   way of a packet nothing, and the output of a replay, which is no journal, has none: so the same bytes give the same
//!   events with any number of workers.
//! - **Retention is the journal's.** Its bound on disk wins over a sink that is behind; what is removed unread is counted
//!   for that sink, in events and segments.
//!
//! # Adding a sink
//!
//! One file in `sink/` with its settings, which implement [`Kind`], and one line in [`exports!`] below.

mod backoff;
mod batch;
mod certificate;
mod connection;
mod courier;
mod dead_letter;
mod exporter;
mod filter;
mod http;
mod otlp;
mod progress;
mod push;
mod secret;
mod sink;
mod source;
mod warden;

pub use batch::Event;
pub use exporter::{Board, Exporter};
pub use push::Push;
pub use sink::{Delivery, Expiry, Failure, Kind, Refusal, Settled, Sink};

use courier::Courier;

use crate::config::Problem;
use crate::language::{Argument, Message};

/// Declares [`Export`]: the settings that all sinks share, then one line a kind of sink: its key, and its settings.
macro_rules! exports {
    ($($(#[$doc:meta])* $kind:ident: $settings:ty;)*) => {
        /// A sink that events are delivered to: its name, what it gets, and one table with the settings of its kind.
        #[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Export {
            /// Name of the sink: in metrics, in `vigia status`, and of the files that it has beside the journal. With another
            /// name it is another sink, which begins with the oldest event. Letters, digits, `-` and `_`.
            pub name: String,
            /// Types of the events that it gets (`alert`, `flow`, `anomaly`, `stats`, `modbus`, ...); all when empty. With
            /// `["alert"]` the records are not even read.
            #[serde(default)]
            pub events: Vec<String>,
            /// Least severe alerts that it gets: 1 is the most severe. Unset: all.
            #[serde(default)]
            #[schemars(range(min = 1))]
            pub severity: Option<u8>,
            /// Protocols whose events it gets: alerts, flows, anomalies and records of them; all events when empty.
            #[serde(default)]
            pub protocols: Vec<String>,
            /// Members of an event that it gets, with dots for those within others (`alert.signature`); all when empty.
            /// `event_id`, `timestamp` and `event_type` always go with it.
            #[serde(default)]
            pub keep: Vec<String>,
            /// Events that are handed over at once, at the most.
            #[serde(default = "defaults::batch_events")]
            #[schemars(range(min = 1, max = 100_000))]
            pub batch_events: usize,
            /// Bytes that are handed over at once, at the most; one event that is longer goes alone.
            #[serde(default = "defaults::batch_bytes")]
            #[schemars(range(min = 4096, max = 67_108_864))]
            pub batch_bytes: usize,
            /// Time that the sink has to take what is handed over, in seconds.
            #[serde(default = "defaults::timeout_s")]
            #[schemars(range(min = 1))]
            pub timeout_s: u64,
            /// Longest pause between two tries, in seconds. The first pause is a quarter of a second, and each is up to twice the
            /// one before.
            #[serde(default = "defaults::retry_max_s")]
            #[schemars(range(min = 1))]
            pub retry_max_s: u64,
            /// Size of the file of events that the sink refused (`delivery/NAME.refused.ndjson` in the journal's directory). When
            /// it is full, delivery waits until it is taken away: nothing is thrown away.
            #[serde(default = "defaults::refused_bytes")]
            #[schemars(range(min = 4096))]
            pub refused_bytes: u64,
            $($(#[$doc])* #[serde(default)] pub $kind: Option<$settings>,)*
        }

        impl Export {
            /// The kinds of sink that there are.
            pub const KINDS: &[&str] = &[$(stringify!($kind)),*];

            /// The kinds that it has settings for: one, in a valid configuration.
            fn kinds(&self) -> Vec<(&'static str, &dyn Kind)> {
                let mut kinds: Vec<(&'static str, &dyn Kind)> = Vec::new();
                $(kinds.extend(self.$kind.as_ref().map(|kind| (stringify!($kind), kind as &dyn Kind)));)*
                kinds
            }
        }
    };
}

exports! {
    /// Append to a file of EVE lines, as Suricata's `eve.json`.
    file: sink::file::Settings;
    /// Write EVE lines to a Unix socket, as Suricata does.
    unix: sink::unix::Settings;
    /// Post to a server over HTTP: Elasticsearch, OpenSearch, Splunk, OpenTelemetry, or one that takes lines of JSON.
    http: sink::http::Settings;
    /// Publish to a stream of NATS JetStream.
    nats: sink::nats::Settings;
    /// Publish to a topic of Kafka. The program must have been built with it (`--features kafka`).
    kafka: sink::kafka::Settings;
    /// Publish to a topic of an MQTT server.
    mqtt: sink::mqtt::Settings;
    /// Append to a stream of Redis.
    redis: sink::redis::Settings;
    /// Send to a syslog server: EVE JSON, CEF or LEEF over UDP, TCP or TLS.
    syslog: sink::syslog::Settings;
}

mod defaults {
    pub(super) fn batch_events() -> usize {
        1000
    }
    pub(super) fn batch_bytes() -> usize {
        1 << 20
    }
    pub(super) fn timeout_s() -> u64 {
        30
    }
    pub(super) fn retry_max_s() -> u64 {
        30
    }
    pub(super) fn refused_bytes() -> u64 {
        64 << 20
    }
}

/// Name of this machine; empty where it has none that is text.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// May a thing that files and metrics are named after be called so?
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// What the types allow of `[[export]]` and `[[metrics.push]]` and the sensor does not.
pub(crate) fn problems(exports: &[Export], pushes: &[Push]) -> Vec<Problem> {
    let mut problems = push::problems(pushes);
    for (index, export) in exports.iter().enumerate() {
        let mut found = |key: &str, reason: Argument| {
            let key = if key.is_empty() { String::new() } else { format!(".{key}") };
            problems.push(Problem { key: format!("export[{index}]{key}"), reason });
        };
        if !is_name(&export.name) {
            found("name", Message::ExportName.into());
        }
        if exports[..index].iter().any(|other| other.name == export.name) {
            found("name", Message::ExportNameTwice.into());
        }
        match export.kinds()[..] {
            [(kind, settings)] => {
                for (key, reason) in settings.problems() {
                    found(&format!("{kind}.{key}"), reason);
                }
            }
            _ => found("", Message::ExportKinds.with([Export::KINDS.join(", ").into()]).into()),
        }
    }
    problems
}
