//! Flows and streams: everything between a decoded packet and the conversation in it.
//!
//! Per packet, the pipeline goes through this module from top to bottom:
//!
//! 1. [`Duplicates::check`]: copies of redundant networks and of mirror ports end here, counted.
//! 2. [`Defragmenter::push`], for fragments: the datagram goes through [`vigia_parsers::packet::decode_ip`].
//! 3. [`FlowTable::lookup`]: the packet's flow, made when it is the first.
//! 4. [`Reassembler::push`], for TCP: bytes in order, or gaps, to a [`Deliver`].
//! 5. [`FlowTable::settle`]: files the flow under the timeout of the state it is in now.
//!
//! Once per batch [`FlowTable::advance`] ends what has timed out. Of every flow that ends, by whichever way,
//! [`Reassembler::finish`] hands out what is still buffered.
//!
//! **Invariants.** One worker owns all of it: no locks. Packet time drives it, and whether a packet continues a flow
//! depends on that flow and packet alone. Of other flows only those between the same hosts tell who is the client of one that
//! is picked up midstream ([`servers`]), and all of them are one worker's: so the number of workers changes nothing.
//! Each part is bounded by its settings and counts when the bound bites.

pub mod defrag;
pub mod duplicate;
mod index;
mod key;
mod overlap;
mod servers;
mod slab;
pub mod table;
pub mod tcp;
#[cfg(test)]
mod testing;
mod timer;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vigia_parsers::conversation::Conversation;
use vigia_parsers::packet::{Packet, Tcp, Transport, Vlans};
use vigia_parsers::{Direction, Protocol, Timestamp};
use vigia_rules::{FlowMemory, Route};

pub use defrag::Defragmenter;
pub use duplicate::{DuplicateKind, Duplicates};
pub use overlap::OverlapPolicy;
pub use table::{EndReason, EndedFlow, FlowId, FlowTable, Found};
pub use tcp::{Connection, Deliver, Reassembler, StreamEvent, TcpState};

/// Flows, streams, fragments and duplicates, for each worker.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The flow table.
    pub table: table::Settings,
    /// TCP streams.
    pub tcp: tcp::Settings,
    /// IP fragments.
    pub defrag: defrag::Settings,
    /// Frames that are seen more than once.
    pub duplicates: duplicate::Settings,
}

/// Where a flow is in its life; EVE's `flow.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowState {
    /// One side has spoken, or the TCP handshake is not over.
    New,
    /// Both have, or TCP is established (picked up midstream too).
    Established,
    /// TCP has ended.
    Closed,
}

impl FlowState {
    /// EVE's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Closed => "closed",
        }
    }
}

/// Who sees what is still to come of a direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Custody {
    /// The worker, until it is decided that nobody needs to.
    #[default]
    Open,
    /// The same; application data of TLS has been seen.
    Encrypted,
    /// The worker, to the end.
    Worker,
    /// The kernel, which counts it. Only what begins or ends a TCP connection comes to the worker.
    Kernel,
}

impl Custody {
    /// Is it not decided yet?
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Encrypted)
    }
}

/// A flow. Arrays of two are by [`Direction::index`]: to the server, then to the client.
pub struct Flow {
    tuple: key::Tuple,
    client_is_low: bool,
    vlans: [Vlans; 2],
    vlans_known: [bool; 2],
    id: u64,
    start: Timestamp,
    last: Timestamp,
    /// Packets by direction.
    pub packets: [u64; 2],
    /// Bytes on the wire by direction, link layer included.
    pub bytes: [u64; 2],
    /// All TCP flags seen, by direction.
    pub tcp_flags: [u8; 2],
    /// Type and code of the flow's first ICMP message.
    pub icmp: [u8; 2],
    /// An alert was raised on it.
    pub alerted: bool,
    /// TCP state and streams.
    pub tcp: Connection,
    /// The protocol spoken, once detected: an OT protocol makes it an OT flow.
    pub protocol: Option<&'static Protocol>,
    /// No protocol of the registry: its payload need not be looked at any more.
    pub foreign: bool,
    /// Transactions of its protocol reported.
    pub transactions: u32,
    /// The application layer; the pipeline makes it.
    pub conversation: Option<Box<Conversation>>,
    /// A rule asked that the rest of it be passed by: it is counted, and no more.
    pub bypass: bool,
    /// Who sees the rest of it, by direction.
    pub custody: [Custody; 2],
    /// Where its packets go among the rules.
    pub route: Route,
    /// What rules remember of it.
    pub memory: Option<Box<FlowMemory>>,
    links: timer::Links,
}

/// Where a flow with this connection and so many packets is in its life.
pub(crate) fn state_of(tcp: &Connection, packets: [u64; 2]) -> FlowState {
    match tcp.state() {
        TcpState::None if packets[0] > 0 && packets[1] > 0 => FlowState::Established,
        TcpState::None | TcpState::SynSent | TcpState::SynRecv => FlowState::New,
        TcpState::Closed | TcpState::TimeWait | TcpState::LastAck | TcpState::Closing => FlowState::Closed,
        _ => FlowState::Established,
    }
}

impl Flow {
    fn new(packet: &Packet<'_>, tuple: key::Tuple, client_is_low: bool, settings: &table::Settings) -> Self {
        let both = settings.vlan == table::VlanMode::Strict;
        let icmp = match packet.transport {
            Transport::Icmp { kind, code } => [kind, code],
            _ => [0, 0],
        };
        Self {
            id: tuple.flow_id(&packet.vlans, packet.timestamp),
            tuple,
            client_is_low,
            vlans: [packet.vlans; 2],
            vlans_known: [both; 2],
            start: packet.timestamp,
            last: packet.timestamp,
            packets: [0; 2],
            bytes: [0; 2],
            tcp_flags: [0; 2],
            icmp,
            alerted: false,
            tcp: Connection::default(),
            protocol: None,
            foreign: false,
            transactions: 0,
            conversation: None,
            bypass: false,
            custody: Default::default(),
            route: Route::default(),
            memory: None,
            links: timer::Links::new(packet.timestamp),
        }
    }

    /// What fills a slot without a flow.
    fn vacant() -> Self {
        Self {
            tuple: key::Tuple::default(),
            client_is_low: false,
            vlans: Default::default(),
            vlans_known: [false; 2],
            id: 0,
            start: Timestamp(0),
            last: Timestamp(0),
            packets: [0; 2],
            bytes: [0; 2],
            tcp_flags: [0; 2],
            icmp: [0; 2],
            alerted: false,
            tcp: Connection::default(),
            protocol: None,
            foreign: false,
            transactions: 0,
            conversation: None,
            bypass: false,
            custody: Default::default(),
            route: Route::default(),
            memory: None,
            links: timer::Links::new(Timestamp(0)),
        }
    }

    /// EVE's `flow_id`: a hash of key and start within 51 bits, the same in every run.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Address and port of the client. For ICMP the port is the identifier, or the type.
    pub fn client(&self) -> (IpAddr, u16) {
        self.tuple.end(self.client_is_low)
    }

    /// Address and port of the server. For ICMP the port is the identifier, or the code.
    pub fn server(&self) -> (IpAddr, u16) {
        self.tuple.end(!self.client_is_low)
    }

    /// Sender and receiver of a direction.
    pub fn ends(&self, direction: Direction) -> [(IpAddr, u16); 2] {
        match direction {
            Direction::ToServer => [self.client(), self.server()],
            Direction::ToClient => [self.server(), self.client()],
        }
    }

    /// Is it a flow of the link layer? Its ends have no IP addresses.
    pub fn is_link(&self) -> bool {
        self.tuple.is_link()
    }

    /// IP protocol number; 0 of the link layer.
    pub fn ip_protocol(&self) -> u8 {
        self.tuple.protocol()
    }

    /// Time of the first packet.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Time of the last packet.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// VLANs of the flow, for events that have no packet: those to the server, or where there was none, to the client.
    pub fn vlans(&self) -> Vlans {
        if self.vlans_known[0] { self.vlans[0] } else { self.vlans[1] }
    }

    /// VLANs of a direction; `None` while nothing came that way.
    pub fn vlans_of(&self, direction: Direction) -> Option<Vlans> {
        let side = direction.index();
        (self.vlans_known[side] && self.packets[side] > 0).then_some(self.vlans[side])
    }

    /// Is it a flow of TCP, UDP or SCTP, whose ends have ports?
    pub fn has_ports(&self) -> bool {
        matches!(self.ip_protocol(), 6 | 17 | 132)
    }

    /// Where it is in its life.
    pub fn state(&self) -> FlowState {
        state_of(&self.tcp, self.packets)
    }

    /// Does it speak an OT protocol?
    pub fn is_ot(&self) -> bool {
        self.protocol.is_some_and(|protocol| protocol.ot)
    }

    /// The client is the server and the other way round: swaps all that is kept by direction, but for what rules keep, who
    /// were told when what the conversation read showed that the ports misled.
    pub fn reverse(&mut self) {
        self.client_is_low = !self.client_is_low;
        self.vlans.swap(0, 1);
        self.vlans_known.swap(0, 1);
        self.packets.swap(0, 1);
        self.bytes.swap(0, 1);
        self.tcp_flags.swap(0, 1);
        self.custody.swap(0, 1);
        self.tcp.reverse();
    }

    /// Counts packets of a direction that only the kernel saw, the last of them at `last`.
    pub fn count_unseen(&mut self, side: usize, packets: u64, bytes: u64, tcp_flags: u8, last: Timestamp) {
        self.packets[side] += packets;
        self.bytes[side] += bytes;
        self.tcp_flags[side] |= tcp_flags;
        self.last = self.last.max(last);
    }

    fn direction(&self, source_is_low: bool) -> Direction {
        if source_is_low == self.client_is_low { Direction::ToServer } else { Direction::ToClient }
    }

    fn count(&mut self, packet: &Packet<'_>, direction: Direction) {
        let side = direction.index();
        self.last = packet.timestamp;
        self.packets[side] += 1;
        self.bytes[side] += u64::from(packet.wire_length);
        if !self.vlans_known[side] {
            self.vlans_known[side] = true;
            self.vlans[side] = packet.vlans;
        }
        if let Transport::Tcp(Tcp { flags, .. }) = packet.transport {
            self.tcp_flags[side] |= flags;
        }
    }
}
