//! S7 communication of Siemens controllers over TPKT and COTP, and S7comm-plus told apart from it.
//!
//! Siemens published no standard of either. What is read here is known from the manuals of STEP 7 (areas, types, blocks,
//! system state lists: "System Software for S7-300/400, System and Standard Functions"), from open implementations of both
//! ends (snap7, libnodave), and from real devices; of the layers below, from RFC 1006 and ITU-T X.224.
//!
//! Two [`Protocol`]s: [`PROTOCOL`] is found in flows; the records of [`PLUS`] (`s7comm_plus`) come from messages of such
//! flows that begin with its byte.
//!
//! A *message* is a data unit of the transport, joined from its parts; a TPDU that makes, refuses or ends a connection is a
//! record of its own. **Pairing** is by the reference of the PDU and by who asks: a controller asks for the parts of a
//! download itself.

mod block;
mod check;
mod eve;
mod item;
mod names;
mod operation;
mod pdu;
mod plus;
mod record;
mod state;
mod szl;
#[cfg(test)]
mod tests;
mod userdata;

use crate::dissector::{AnomalyKind, Direction, Frame, Probe, Protocol};
use crate::layer::cotp::{self, Header};
use crate::layer::tpkt;
use state::State;

const INVALID_TRANSPORT: &str = "invalid_transport_header";
const INCOMPLETE: &str = "incomplete_message";
const TOO_LONG: &str = "message_too_long";
const UNKNOWN_PROTOCOL: &str = "unknown_protocol_id";
const INVALID_LENGTH: &str = "invalid_length";
const EXCEEDS_PDU_LENGTH: &str = "exceeds_pdu_length";
const UNKNOWN_MESSAGE_TYPE: &str = "unknown_message_type";
const UNKNOWN_FUNCTION: &str = "unknown_function";
const INVALID_ITEM: &str = "invalid_item";
const INVALID_USERDATA: &str = "invalid_userdata";
const INVALID_BLOCK: &str = "invalid_block_name";
const INVALID_TIME: &str = "invalid_time";
const UNSOLICITED_RESPONSE: &str = "unsolicited_response";
const FUNCTION_MISMATCH: &str = "function_mismatch";
const ITEM_MISMATCH: &str = "item_mismatch";

const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

static ANOMALIES: &[AnomalyKind] = &[
    kind(INVALID_TRANSPORT, "Length or code of the TPDU is none that the transport has (X.224 §13)"),
    kind(INCOMPLETE, "A part of a message whose beginning was lost; it is not dissected"),
    kind(TOO_LONG, "A message in more parts than can be joined; it is not dissected"),
    kind(UNKNOWN_PROTOCOL, "User data of the transport that begin as neither S7 communication nor S7comm-plus"),
    kind(
        INVALID_LENGTH,
        "Lengths in the header do not suit the message, or parameters are too short for their function",
    ),
    kind(EXCEEDS_PDU_LENGTH, "Message longer than was agreed upon when communication was set up"),
    kind(UNKNOWN_MESSAGE_TYPE, "Type of message that there is not"),
    kind(UNKNOWN_FUNCTION, "Function that is not known"),
    kind(INVALID_ITEM, "Addresses or data are cut off, or not as many as the message says"),
    kind(INVALID_USERDATA, "Parameters or length of userdata do not suit, or its group or type is not known"),
    kind(INVALID_BLOCK, "File name that is not the name of a block"),
    kind(INVALID_TIME, "Time of the clock that no clock shows"),
    kind(UNSOLICITED_RESPONSE, "Answer to no outstanding request; the request may be lost"),
    kind(FUNCTION_MISMATCH, "Answer with another function than its request"),
    kind(ITEM_MISMATCH, "Answer with another number of items than its request"),
];

static PLUS_ANOMALIES: &[AnomalyKind] = &[
    kind(INVALID_LENGTH, "Length in the header does not suit the PDU, or its trailer is none"),
    kind(UNSOLICITED_RESPONSE, "Response to no outstanding request; the request may be lost"),
];

/// Beginning of the selectors that S7-1200 and S7-1500 are called by.
const SIMATIC: &[u8] = b"SIMATIC-ROOT-";

fn probe(bytes: &[u8], direction: Direction) -> Probe {
    // Where who is who is not known, the one who asks is the client: the other way round nothing is certain.
    let upper = |data: &[u8]| match state::upper(data) {
        Probe::Certain if state::way(data) == Some(direction.opposite()) => Probe::Maybe,
        answer => answer,
    };
    let answer = cotp::probe(bytes, direction, upper);
    if answer == Probe::Shared && calls_simatic(bytes) { Probe::Certain } else { answer }
}

/// Is it a connection that names who is called, as nobody else is called?
fn calls_simatic(bytes: &[u8]) -> bool {
    let Ok(tpdu) = cotp::read(bytes) else { return false };
    match tpdu.header {
        Header::ConnectionRequest(connection) | Header::ConnectionConfirm(connection) => {
            connection.called_tsap().is_some_and(|tsap| tsap.starts_with(SIMATIC))
        }
        _ => false,
    }
}

/// S7 communication over TCP, and what carries S7comm-plus.
pub static PROTOCOL: Protocol = Protocol {
    name: "s7comm",
    title: "S7 communication of Siemens controllers, over TPKT and COTP (RFC 1006)",
    tcp_ports: &[102],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: tpkt::LONGEST,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe,
    frame: |bytes, _| tpkt::frame(bytes, tpkt::LONGEST),
    open: |limits| Box::new(State::new(limits)),
};

/// S7comm-plus. Flows that speak it are found as [`PROTOCOL`], which hands out its records.
pub static PLUS: Protocol = Protocol {
    name: "s7comm_plus",
    title: "S7comm-plus of S7-1200 and S7-1500 controllers, within the same transport",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: true,
    ethertypes: &[],
    ot: true,
    longest_message: tpkt::LONGEST,
    fields: plus::FIELDS,
    anomalies: PLUS_ANOMALIES,
    probe: |_, _| Probe::No,
    frame: |_, _| Frame::Not,
    open: |limits| Box::new(State::new(limits)),
};
