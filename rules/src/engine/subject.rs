//! What is inspected, and the packet and flow around it.

use std::net::IpAddr;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Anomaly, Direction, Protocol, Record, Timestamp};

use super::{Left, Route};

/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;

/// The packet and flow around what is inspected.
pub struct Moment<'a> {
    /// The packet in hand; none when a flow is flushed at its end.
    pub packet: Option<&'a Packet<'a>>,
    /// Sender of what is inspected.
    pub source: (IpAddr, u16),
    /// Receiver of it.
    pub destination: (IpAddr, u16),
    /// Its direction in the flow; `None` for packets without a flow.
    pub direction: Option<Direction>,
    /// IP protocol number; 0 without IP.
    pub ip_protocol: u8,
    /// The flow is established: TCP handshake seen or picked up midstream, or both directions of UDP seen.
    pub established: bool,
    /// The flow's protocol, once detected.
    pub protocol: Option<&'static Protocol>,
    /// Time of it.
    pub timestamp: Timestamp,
    /// How far the flow has come; `None` for packets without a flow.
    pub flow: Option<FlowFacts>,
    /// What the flow keeps of its way among the rules. Without it, what they ask of addresses and ports is looked up each time.
    pub route: Option<&'a Route>,
}

/// How far a flow has come, what is inspected included. Arrays of two are by [`Direction::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowFacts {
    /// Time of its first packet.
    pub start: Timestamp,
    /// Packets by direction.
    pub packets: [u64; 2],
    /// Bytes by direction, link layer included.
    pub bytes: [u64; 2],
    /// How far the sequence numbers of TCP have come since the SYN, by sender.
    pub sent: [u32; 2],
}

/// What is inspected.
pub enum Subject<'a> {
    /// The packet itself: headers and payload.
    Packet,
    /// Bytes of a TCP stream in order.
    Stream(&'a [u8]),
    /// Something odd that reassembly met, in `stream-event` spelling: `reassembly_seq_gap`.
    StreamEvent(&'static str),
    /// A message of the flow's protocol, or anomalies without one.
    Message {
        /// The record; `None` when only the anomalies are known.
        record: Option<&'a dyn Record>,
        /// What was wrong in it.
        anomalies: &'a [Anomaly],
        /// What [`Engine::left`](super::Engine::left) leaves of the rules on it, where that was asked.
        left: Option<Left>,
    },
}
