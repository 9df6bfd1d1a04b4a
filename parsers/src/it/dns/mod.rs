//! DNS, and the two protocols that speak its messages on a link: multicast DNS and LLMNR.
//!
//! Standards: Domain Names (RFC 1034, RFC 1035) with the clarifications of RFC 2181, EDNS(0) (RFC 6891), dynamic update
//! (RFC 2136), notification (RFC 1996), the record types of IANA's registry "Domain Name System (DNS) Parameters",
//! multicast DNS (RFC 6762), Link-Local Multicast Name Resolution (RFC 4795).
//!
//! Five [`Protocol`]s over one dissector: [`PROTOCOL`] in datagrams and [`TCP`] in streams, where two octets of length
//! stand before each message (RFC 1035 §4.2.2), both `dns`; [`MDNS`] and [`LLMNR`] with [`LLMNR_TCP`], which only their
//! ports tell from DNS.
//!
//! **Pairing.** A response answers the request with its identifier. Each message is a transaction of its own all the same,
//! so that a signature can speak of a question and of the answer; the response's record has the time since its request,
//! and a request that got no response is told once more when it is given up. Multicast has no pairs.
//!
//! **Names** are read through compression pointers, wherever these point within the message; a pointer that leads back
//! to where the name was, or further than any name can, ends it.

mod eve;
mod message;
mod name;
mod names;
mod probe;
mod rdata;
mod record;
mod state;
#[cfg(test)]
mod tests;

use crate::dissector::{AnomalyKind, Protocol};
use state::{Flavour, State};

/// Octets in front of a message in a stream: its length.
const PREFIX: usize = 2;
/// The longest message: what the length in front of it can say.
const LONGEST_MESSAGE: usize = PREFIX + 65_535;

const MALFORMED_DATA: &str = "malformed_data";
const INVALID_AUTHORITIES: &str = "invalid_authorities";
const INVALID_ADDITIONALS: &str = "invalid_additionals";
const NOT_REQUEST: &str = "not_request";
const NOT_RESPONSE: &str = "not_response";
const Z_FLAG_SET: &str = "z_flag_set";
const INVALID_OPCODE: &str = "invalid_opcode";
const NAME_TOO_LONG: &str = "name_too_long";
const INFINITE_LOOP: &str = "infinite_loop";
const TOO_MANY_LABELS: &str = "too_many_labels";
const TOO_MANY_RECORDS: &str = "too_many_records";
const INVALID_RDATA: &str = "invalid_rdata";
const TRAILING_DATA: &str = "trailing_data";
const UNSOLICITED_RESPONSE: &str = "unsolicited_response";
const QUESTION_MISMATCH: &str = "question_mismatch";

static ANOMALIES: &[AnomalyKind] = &[
    kind(MALFORMED_DATA, "The header, a question or an answer is cut off or not laid out as RFC 1035 §4.1 has it"),
    kind(INVALID_AUTHORITIES, "A record of the authority section is cut off; neither it nor what follows is read"),
    kind(INVALID_ADDITIONALS, "A record of the additional section is cut off; neither it nor what follows is read"),
    kind(NOT_REQUEST, "A message to the server has the response flag set"),
    kind(NOT_RESPONSE, "A message to the client has the response flag not set"),
    kind(Z_FLAG_SET, "The reserved bit Z of the header is set"),
    kind(INVALID_OPCODE, "An opcode of 7 or more, none of which is assigned"),
    kind(NAME_TOO_LONG, "A name has more than 255 octets (RFC 1035 §2.3.4)"),
    kind(INFINITE_LOOP, "A compression pointer leads back into its own name, or on and on; the name is cut there"),
    kind(TOO_MANY_LABELS, "A name has more than 255 labels; it is cut there"),
    kind(TOO_MANY_RECORDS, "More questions and records in one message than 2048; those beyond are not read"),
    kind(INVALID_RDATA, "Data of a record do not have the length or layout of its type"),
    kind(TRAILING_DATA, "Octets follow the last record that the header announces"),
    kind(UNSOLICITED_RESPONSE, "A response to no outstanding request, in a flow whose requests are seen"),
    kind(QUESTION_MISMATCH, "A response has the identifier of a request, but answers another question"),
];

const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

/// DNS in datagrams.
pub static PROTOCOL: Protocol = Protocol {
    name: "dns",
    title: "DNS (RFC 1035) over UDP",
    tcp_ports: &[],
    udp_ports: &[53],
    only_on_ports: false,
    ethertypes: &[],
    ot: false,
    longest_message: LONGEST_MESSAGE,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: probe::datagram,
    frame: probe::frame_datagram,
    open: |limits| Box::new(State::new(&PROTOCOL, Flavour::Paired, limits)),
};

/// DNS in streams.
pub static TCP: Protocol = Protocol {
    title: "DNS (RFC 1035) over TCP",
    tcp_ports: &[53],
    udp_ports: &[],
    probe: probe::stream,
    frame: probe::frame_stream,
    ..PROTOCOL
};

/// Multicast DNS.
pub static MDNS: Protocol = Protocol {
    name: "mdns",
    title: "Multicast DNS (RFC 6762)",
    udp_ports: &[5353],
    only_on_ports: true,
    probe: probe::datagram_on_port,
    open: |limits| Box::new(State::new(&MDNS, Flavour::Multicast, limits)),
    ..PROTOCOL
};

/// LLMNR in datagrams.
pub static LLMNR: Protocol = Protocol {
    name: "llmnr",
    title: "Link-Local Multicast Name Resolution (RFC 4795) over UDP",
    udp_ports: &[5355],
    open: |limits| Box::new(State::new(&LLMNR, Flavour::Multicast, limits)),
    ..MDNS
};

/// LLMNR in streams.
pub static LLMNR_TCP: Protocol = Protocol {
    title: "Link-Local Multicast Name Resolution (RFC 4795) over TCP",
    tcp_ports: &[5355],
    udp_ports: &[],
    probe: probe::stream_on_port,
    frame: probe::frame_stream,
    ..LLMNR
};
