//! MQTT: control packets, and the Sparkplug B messages that plants publish with them.
//!
//! Standards: MQTT 3.1 (IBM), MQTT 3.1.1 and 5.0 (OASIS), Eclipse Sparkplug Specification 3.0.0.
//!
//! **Version.** CONNECT says which version a flow speaks. Where it was not seen, the first packet that reads differently
//! in version 5 decides.
//!
//! **Pairing.** A packet and its answers are one transaction: CONNECT and CONNACK, PUBLISH and PUBACK, PUBLISH, PUBREC,
//! PUBREL and PUBCOMP, SUBSCRIBE and SUBACK, UNSUBSCRIBE and UNSUBACK, PINGREQ and PINGRESP.

mod compound;
mod eve;
mod names;
mod operation;
mod packet;
mod property;
mod read;
mod record;
mod sparkplug;
mod state;
#[cfg(test)]
mod tests;

use crate::dissector::{AnomalyKind, Protocol};
use crate::field;
use state::State;

/// What a reason code of version 5 is called (section 2.4); none where the standard has no such code.
pub fn reason_name(code: u8) -> Option<&'static str> {
    field::name_of(names::REASONS, code.into())
}

/// The longest packet that is held, in bytes. The standard allows 256 MiB; no flow shall hold as much while one arrives.
pub const LONGEST_MESSAGE: usize = 1 << 20;

/// What is read of a PUBLISH that is longer: topic, properties and the beginning of the payload.
const HEAD: usize = 128 << 10;

const MISSING_CONNECT: &str = "missing_connect";
const MISSING_PUBLISH: &str = "missing_publish";
const MISSING_SUBSCRIBE: &str = "missing_subscribe";
const MISSING_UNSUBSCRIBE: &str = "missing_unsubscribe";
const DOUBLE_CONNECT: &str = "double_connect";
const UNINTRODUCED_MESSAGE: &str = "unintroduced_message";
const INVALID_QOS_LEVEL: &str = "invalid_qos_level";
const MISSING_MSG_ID: &str = "missing_msg_id";
const UNASSIGNED_MSG_TYPE: &str = "unassigned_msg_type";
const TOO_MANY_TRANSACTIONS: &str = "too_many_transactions";
const MALFORMED_TRAFFIC: &str = "malformed_traffic";
const INVALID_PAYLOAD: &str = "invalid_payload";

static ANOMALIES: &[AnomalyKind] = &[
    AnomalyKind { name: MISSING_CONNECT, doc: "CONNACK without a CONNECT" },
    AnomalyKind { name: MISSING_PUBLISH, doc: "PUBACK, PUBREC, PUBREL or PUBCOMP without its PUBLISH" },
    AnomalyKind { name: MISSING_SUBSCRIBE, doc: "SUBACK without its SUBSCRIBE" },
    AnomalyKind { name: MISSING_UNSUBSCRIBE, doc: "UNSUBACK without its UNSUBSCRIBE" },
    AnomalyKind { name: DOUBLE_CONNECT, doc: "A second CONNECT in one connection" },
    AnomalyKind { name: UNINTRODUCED_MESSAGE, doc: "The first packet seen is no CONNECT; told once a flow" },
    AnomalyKind { name: INVALID_QOS_LEVEL, doc: "Quality of service 3; the packet is not dissected" },
    AnomalyKind { name: MISSING_MSG_ID, doc: "Packet identifier 0, where there must be one" },
    AnomalyKind { name: UNASSIGNED_MSG_TYPE, doc: "Packet type 0; the packet is not dissected" },
    AnomalyKind {
        name: TOO_MANY_TRANSACTIONS,
        doc: "More packets wait for answers than are kept; the oldest was given up",
    },
    AnomalyKind { name: MALFORMED_TRAFFIC, doc: "The packet does not have the layout or the flags of its type" },
    AnomalyKind { name: INVALID_PAYLOAD, doc: "Payload under a Sparkplug topic that is no Sparkplug payload" },
    AnomalyKind { name: "too_many_messages", doc: "Never met here: a transaction has as many packets as its kind has" },
];

/// MQTT over TCP.
pub static PROTOCOL: Protocol = Protocol {
    name: "mqtt",
    title: "MQTT 3.1, 3.1.1 and 5.0, with Sparkplug B",
    tcp_ports: &[1883],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: LONGEST_MESSAGE,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: packet::probe,
    frame: packet::frame,
    open: |limits| Box::new(State::new(limits)),
};
