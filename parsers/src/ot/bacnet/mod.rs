//! BACnet: building automation over UDP and Ethernet.
//!
//! Standard: ANSI/ASHRAE 135-2020. Virtual link control (Annex J), network layer (clause 6), application layer (clauses 5
//! and 20), services (13 to 17). Of BACnet/SC (Annex AB), which is WebSockets over TLS, nothing of this can be seen.
//!
//! Two [`Protocol`]s give the same records: [`PROTOCOL`] is BACnet/IP, [`ETHERNET`] are frames of ISO 8802-3.
//!
//! **Pairing.** A confirmed request and its answer share the invoke identifier, and the addresses behind routers the other
//! way round. Requests of virtual link control are paired with what answers their function. Segments are joined; the
//! last of them is the message.

mod apdu;
mod eve;
mod link;
mod message;
mod names;
mod network;
mod operation;
mod record;
mod schema;
mod state;
mod tag;
#[cfg(test)]
mod tests;
mod walk;

use crate::dissector::{AnomalyKind, Protocol};
use link::Carrier;
use state::State;

const INVALID_LENGTH: &str = "invalid_length";
const UNKNOWN_FUNCTION: &str = "unknown_function";
const INVALID_NPDU: &str = "invalid_npdu";
const UNKNOWN_NETWORK_MESSAGE: &str = "unknown_network_message";
const INVALID_APDU: &str = "invalid_apdu";
const UNKNOWN_PDU_TYPE: &str = "unknown_pdu_type";
const UNKNOWN_SERVICE: &str = "unknown_service";
const INVALID_TAG: &str = "invalid_tag";
const INVALID_PARAMETER: &str = "invalid_parameter";
const MISSING_PARAMETER: &str = "missing_parameter";
const INVALID_VALUE: &str = "invalid_value";
const SEGMENT_LOST: &str = "segment_lost";
const UNSOLICITED_RESPONSE: &str = "unsolicited_response";
const TOO_MANY_TRANSACTIONS: &str = "too_many_transactions";

const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

static ANOMALIES: &[AnomalyKind] = &[
    kind(INVALID_LENGTH, "Data of virtual link control do not have the length of their function (J.2)"),
    kind(UNKNOWN_FUNCTION, "Function of virtual link control that the standard does not define (J.2)"),
    kind(
        INVALID_NPDU,
        "Header or message of the network layer is cut off, or has what the standard does not allow (6.2)",
    ),
    kind(UNKNOWN_NETWORK_MESSAGE, "Network layer message of a type that is reserved (6.2.4)"),
    kind(INVALID_APDU, "Header of the APDU is cut off (20.1)"),
    kind(UNKNOWN_PDU_TYPE, "APDU of a type that is reserved (20.1.1)"),
    kind(
        UNKNOWN_SERVICE,
        "Service that the standard does not define, or that has no acknowledgement with parameters (21)",
    ),
    kind(INVALID_TAG, "A tag is cut off, or opening and closing tags do not match (20.2.1)"),
    kind(INVALID_PARAMETER, "Parameter that the service does not have, or not there (13 to 17)"),
    kind(MISSING_PARAMETER, "A parameter that the service must have is missing (13 to 17)"),
    kind(INVALID_VALUE, "Value that does not have the form of its type, or priority beyond 1 to 16 (20.2, 19.2)"),
    kind(SEGMENT_LOST, "Segments before this one were not seen (5.4)"),
    kind(UNSOLICITED_RESPONSE, "Answer to no outstanding request; the request may be lost"),
    kind(TOO_MANY_TRANSACTIONS, "More requests outstanding than are kept; the oldest was given up"),
];

/// BACnet/IP.
pub static PROTOCOL: Protocol = Protocol {
    name: "bacnet",
    title: "BACnet/IP (ANSI/ASHRAE 135-2020, Annex J)",
    tcp_ports: &[],
    udp_ports: &[47808],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: link::LONGEST,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: link::probe,
    frame: |bytes, _| Carrier::Ip.frame(bytes),
    open: |limits| Box::new(State::new(Carrier::Ip, limits)),
};

/// BACnet in frames of Ethernet, known by their service access point.
pub static ETHERNET: Protocol = Protocol {
    name: "bacnet",
    title: "BACnet over Ethernet (ANSI/ASHRAE 135-2020, clause 7)",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[link::SERVICE_ACCESS_POINT],
    ot: true,
    longest_message: 1500,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: |_, _| crate::dissector::Probe::No,
    frame: |bytes, _| Carrier::Ethernet.frame(bytes),
    open: |limits| Box::new(State::new(Carrier::Ethernet, limits)),
};
