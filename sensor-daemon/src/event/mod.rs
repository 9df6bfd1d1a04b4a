//! What is reported, and its wire form: EVE JSON, one event a line.
//!
//! This is the one place that knows the wire form. [`Eve`] writes a line straight into the batch that the journal gets
//! ([`Lines`]): an envelope ([`Header`]) that all events share, then what the event says. Records write themselves, through
//! [`vigia_parsers::Record::tree`] into a writer of JSON, under the name of their protocol. The layout is Suricata 8's;
//! what is Vigía's own stands under one top-level object `vigia`, which a setting switches off for strict consumers.
//!
//! [`Output`] is what a worker reports to: each of its methods counts an event *and* writes its line, so a line without
//! its counter does not exist. It collects lines by stream and hands whole batches to the journal.
//!
//! An event gets its `event_id` on the way out of the journal ([`identify`]), for that is where it gets its place.

mod address;
mod clock;
mod digits;
mod ends;
mod envelope;
mod escape;
mod eve;
mod evidence;
#[cfg(test)]
mod golden;
mod headers;
mod health;
mod json;
mod lines;
mod metadata;
mod output;
mod phrases;
mod read;
mod relief;

pub(crate) use address::address_text;
pub use address::community_id;
pub(crate) use clock::{compact_time, now_text, rfc3339, text_of};
pub use envelope::{Endpoints, Header, PacketSource};
pub use eve::{Alert, Anomalous, Eve, FlowReason, FlowSoFar, FlowState, FlowSummary, Ruleset, TcpState, TcpSummary};
pub use evidence::{EvidenceOutput, EvidenceTold};
pub use health::{Health, HealthOutput};
pub use lines::Lines;
pub use output::Output;
pub(crate) use read::parse_time;
pub use read::{AlertColumns, AlertFacts, Facts, RuleColumns, flow_of, identify, time_of};

/// Version of what stands under `vigia` in every event: it changes when a consumer has to.
pub const SCHEMA: u64 = 1;

/// Which events are written, and what they hold.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventSettings {
    /// Write `alert` events.
    pub alert: bool,
    /// Write `flow` events: one at the end of every flow, and interim ones for long flows.
    pub flow: bool,
    /// Write `anomaly` events: what standards do not allow, with its offset.
    pub anomaly: bool,
    /// Write protocol records (`modbus`, `dnp3`, ...): one a transaction.
    pub records: bool,
    /// Write `packet` events: the packets that rules tag (`tag`).
    pub packets: bool,
    /// Write `stats` events: the counters in Suricata's shape.
    pub stats: bool,
    /// Write `health` events: what befalls the sensor and its interfaces.
    pub health: bool,
    /// Write `evidence` events: one for each file of evidence, with its hash.
    pub evidence: bool,
    /// Time between two `stats` events in seconds.
    #[schemars(range(min = 1))]
    pub stats_interval_s: u64,
    /// Share of the capture ring, in percent, from which on records, flows and anomalies are not written but counted as
    /// lost, so that no packet is lost; until the ring has come down to half of it. Alerts are always written.
    #[schemars(range(min = 1, max = 100))]
    pub shed_at_percent: u8,
    /// Write `community_id`, the hash of the five-tuple that other tools share (version 1).
    pub community_id: bool,
    /// Seed of `community_id`; must be the same in every tool that is to be joined.
    pub community_id_seed: u16,
    /// Write `ether` (MAC addresses) in every event of a packet. Packets without IP always have it.
    pub ethernet: bool,
    /// Write `payload` (base64) in alerts: the bytes that were inspected.
    pub payload: bool,
    /// Write `payload_printable` in alerts: the same as text.
    pub payload_printable: bool,
    /// Bytes of payload that an alert holds at the most.
    pub payload_bytes: usize,
    /// Name of this sensor; written as `host` unless empty. The setting is `sensor.name`.
    #[serde(skip)]
    pub sensor_name: String,
    /// Write the object `vigia`, which Suricata's schema does not know: event schema version, ruleset, offsets.
    pub vigia: bool,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            alert: true,
            flow: true,
            anomaly: true,
            records: true,
            packets: true,
            stats: true,
            health: true,
            evidence: true,
            stats_interval_s: 60,
            shed_at_percent: 25,
            community_id: true,
            community_id_seed: 0,
            ethernet: false,
            payload: false,
            payload_printable: false,
            payload_bytes: 4096,
            sensor_name: String::new(),
            vigia: true,
        }
    }
}
