//! Modbus: over TCP and UDP with the MBAP header, and RTU frames in a TCP stream, as serial gateways send them.
//!
//! Standards: MODBUS Application Protocol Specification V1.1b3 (functions), MODBUS Messaging on TCP/IP Implementation
//! Guide V1.0b (MBAP header), MODBUS over Serial Line V1.02 (RTU frames).
//!
//! The two ways of carrying a PDU are two [`Protocol`]s for detection and framing, [`PROTOCOL`] and [`RTU`]: which of
//! them a flow speaks is decided once, because single messages of one can pass for the other. They share the name, the
//! field table and the records, so rules and events see one protocol, `modbus`.
//!
//! **Framing.** [`Protocol::frame`] accepts a wrong protocol identifier in the middle of a session as long as the
//! length is one that the standard allows, so that it is reported as `invalid_protocol_id` instead of breaking the
//! framing; no record comes of it, since a device discards such a message (Messaging Guide §4.4.2.3).
//! [`Protocol::probe`] never takes it for the start of a message, so resynchronisation does not rely on it. Lengths
//! beyond the standard's 254 are accepted up to [`LONGEST_MESSAGE`]: UMAS of Modicon controllers uses them; elsewhere
//! they are an `invalid_length`.

mod check;
mod eve;
mod mbap;
mod message;
mod names;
mod operation;
mod pdu;
mod record;
mod rtu;
mod state;
#[cfg(test)]
mod tests;

use crate::dissector::{AnomalyKind, Protocol};
use message::Transport;
use state::State;

/// The longest message framed, in bytes: what UMAS uses, beyond the 260 of the standard.
pub const LONGEST_MESSAGE: usize = 1100;

/// The greatest length field that the standard allows (Messaging Guide §3.1.3: 253 bytes of PDU and the unit).
const LONGEST_STANDARD_LENGTH: usize = 254;

const INVALID_PROTOCOL_ID: &str = "invalid_protocol_id";
const UNSOLICITED_RESPONSE: &str = "unsolicited_response";
const INVALID_LENGTH: &str = "invalid_length";
const INVALID_UNIT_IDENTIFIER: &str = "invalid_unit_identifier";
const INVALID_FUNCTION_CODE: &str = "invalid_function_code";
const INVALID_VALUE: &str = "invalid_value";
const INVALID_EXCEPTION_CODE: &str = "invalid_exception_code";
const VALUE_MISMATCH: &str = "value_mismatch";
const FLOODED: &str = "flooded";
const INVALID_CHECKSUM: &str = "invalid_checksum";

static ANOMALIES: &[AnomalyKind] = &[
    AnomalyKind {
        name: INVALID_PROTOCOL_ID,
        doc: "Protocol identifier of the MBAP header is not 0; the message is not dissected",
    },
    AnomalyKind { name: UNSOLICITED_RESPONSE, doc: "Response to no outstanding request; the request may be lost" },
    AnomalyKind {
        name: INVALID_LENGTH,
        doc: "Length of the message does not suit its function, or is beyond the standard's limit",
    },
    AnomalyKind {
        name: INVALID_UNIT_IDENTIFIER,
        doc: "Unit identifier is reserved (248 to 254), or not that of the request answered",
    },
    AnomalyKind {
        name: INVALID_FUNCTION_CODE,
        doc: "Function code 0, request with the exception bit, or response to another function than was asked",
    },
    AnomalyKind {
        name: INVALID_VALUE,
        doc: "Value, quantity, address range or byte count that the standard does not allow for the function",
    },
    AnomalyKind { name: INVALID_EXCEPTION_CODE, doc: "Exception code that the standard does not define" },
    AnomalyKind { name: VALUE_MISMATCH, doc: "Response carries another address, value or quantity than its request" },
    AnomalyKind { name: FLOODED, doc: "More requests outstanding within ten seconds than are kept" },
    AnomalyKind { name: INVALID_CHECKSUM, doc: "CRC of an RTU frame is wrong; the frame is not dissected" },
];

/// Modbus over TCP or UDP with the MBAP header. Every record of Modbus says that it belongs to this.
pub static PROTOCOL: Protocol = Protocol {
    name: "modbus",
    title: "Modbus over TCP and UDP (MODBUS Application Protocol Specification V1.1b3)",
    tcp_ports: &[502],
    udp_ports: &[502],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: LONGEST_MESSAGE,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: mbap::probe,
    frame: mbap::frame,
    open: |limits| Box::new(State::new(Transport::Mbap, limits)),
};

/// Modbus RTU frames in a TCP stream. No port is its own: it is found by its checksum.
pub static RTU: Protocol = Protocol {
    name: "modbus",
    title: "Modbus RTU over TCP (MODBUS over Serial Line Specification V1.02)",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: rtu::LONGEST,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: rtu::probe,
    frame: rtu::frame,
    open: |limits| Box::new(State::new(Transport::Rtu, limits)),
};
