//! EtherNet/IP: the encapsulation of CIP over TCP and UDP, the CIP messages within, and implicit messages.
//!
//! Standards: CIP Networks Library volume 1 (Common Industrial Protocol) and volume 2 (EtherNet/IP Adaptation of CIP);
//! for the services of Logix controllers, Logix 5000 Controllers Data Access (Rockwell Automation 1756-PM020); for PCCC,
//! DF1 Protocol and Command Set (1770-6.5.16).
//!
//! Three [`Protocol`]s: [`PROTOCOL`] is the encapsulation (`enip`); [`CIP`] (`cip`) is never found in a flow by itself,
//! its records come from messages of the first, one for each service, embedded ones too; [`IO`] (`cip_io`) are the
//! datagrams of implicit connections.
//!
//! **Pairing.** Send RR Data pairs by sender context, Send Unit Data by sequence count, service and connection. Every
//! service in a Multiple Service Packet is a transaction of its own. What an Unconnected Send carries is answered in its
//! place.

mod check;
mod cip;
mod encapsulation;
mod eve;
mod io;
mod item;
mod names;
mod read;
mod record;
mod state;
#[cfg(test)]
mod tests;

use crate::dissector::{AnomalyKind, Frame, Probe, Protocol};
pub use io::IO;
use state::State;

/// The longest message framed, in bytes: a length field of 16 bits and the header, as the standard bounds it.
pub const LONGEST_MESSAGE: usize = 65_535;

const INVALID_PDU: &str = "invalid_pdu";
const INVALID_ITEM: &str = "invalid_item";
const INVALID_PATH: &str = "invalid_path";
const INVALID_OFFSET: &str = "invalid_offset";
const UNKNOWN_COMMAND: &str = "unknown_command";
const UNSOLICITED_RESPONSE: &str = "unsolicited_response";
const TOO_MANY_TRANSACTIONS: &str = "too_many_transactions";
const SEQUENCE_GAP: &str = "sequence_gap";
const REPEATED_SEQUENCE: &str = "repeated_sequence";

static ANOMALIES: &[AnomalyKind] = &[
    AnomalyKind {
        name: INVALID_PDU,
        doc: "Data of the message do not have the layout of its command, or end too early",
    },
    AnomalyKind { name: INVALID_ITEM, doc: "An item of the common packet format is not whole" },
    AnomalyKind { name: INVALID_PATH, doc: "The path of a CIP request is cut off, or has a segment that there is not" },
    AnomalyKind { name: INVALID_OFFSET, doc: "A Multiple Service Packet points outside itself" },
    AnomalyKind { name: UNKNOWN_COMMAND, doc: "Command that the standard does not define" },
    AnomalyKind { name: UNSOLICITED_RESPONSE, doc: "Response to no outstanding request; the request may be lost" },
    AnomalyKind {
        name: TOO_MANY_TRANSACTIONS,
        doc: "More requests outstanding than are kept; the oldest was given up",
    },
];

/// The encapsulation over TCP and UDP.
pub static PROTOCOL: Protocol = Protocol {
    name: "enip",
    title: "EtherNet/IP encapsulation (CIP Networks Library volume 2)",
    tcp_ports: &[44818],
    udp_ports: &[44818],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: LONGEST_MESSAGE,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: encapsulation::probe,
    frame: encapsulation::frame,
    open: |limits| Box::new(State::new(limits)),
};

/// CIP messages. No flow speaks CIP alone: its records come from EtherNet/IP.
pub static CIP: Protocol = Protocol {
    name: "cip",
    title: "Common Industrial Protocol (CIP Networks Library volume 1), within EtherNet/IP",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: true,
    ethertypes: &[],
    ot: true,
    longest_message: LONGEST_MESSAGE,
    fields: cip::record::FIELDS,
    anomalies: &[],
    probe: |_, _| Probe::No,
    frame: |_, _| Frame::Not,
    open: |limits| Box::new(State::new(limits)),
};
