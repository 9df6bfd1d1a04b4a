//! What a pass knows of its flow and packet, and the headers of events made from it.

use std::net::{IpAddr, Ipv4Addr};

use vigia_parsers::packet::{Packet, Transport, Vlans};
use vigia_parsers::{Direction, Protocol, Timestamp, registry};

use super::Names;
use crate::capture::InterfaceId;
use crate::event::{Endpoints, Header, PacketSource};
use crate::flow::{Flow, FlowState};

/// What stands for the address and port of a packet without IP.
pub(super) const NOWHERE: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What a pass is about: where it is, and what it needs to know of its flow, copied so that the flow's parts are free to
/// change.
pub(super) struct Facts<'p> {
    pub(super) packet: Option<&'p Packet<'p>>,
    interface: InterfaceId,
    pub(super) names: &'p Names,
    pub(super) timestamp: Timestamp,
    /// What is told is of a flow that ends; without it and without a packet, of one that was silent.
    pub(super) flow_ends: bool,
    id: u64,
    client: (IpAddr, u16),
    server: (IpAddr, u16),
    pub(super) ip_protocol: u8,
    vlans: Vlans,
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    pub(super) start: Timestamp,
    pub(super) sent: [u32; 2],
    pub(super) established: bool,
    pub(super) protocol: Option<&'static Protocol>,
    pub(super) link: bool,
}

impl<'p> Facts<'p> {
    #[inline]
    pub(super) fn of(
        flow: &Flow,
        failed: bool,
        packet: Option<&'p Packet<'p>>,
        interface: InterfaceId,
        names: &'p Names,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            packet,
            interface,
            names,
            timestamp,
            flow_ends: packet.is_none(),
            id: flow.id(),
            client: flow.client(),
            server: flow.server(),
            ip_protocol: flow.ip_protocol(),
            vlans: flow.vlans(),
            packets: flow.packets,
            bytes: flow.bytes,
            start: flow.start(),
            sent: flow.tcp.sent(),
            established: flow.state() == FlowState::Established,
            protocol: flow.protocol.or(failed.then_some(&registry::FAILED)),
            link: flow.is_link(),
        }
    }

    /// Client and server change places.
    pub(super) fn turn(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        self.packets.swap(0, 1);
        self.bytes.swap(0, 1);
        self.sent.swap(0, 1);
    }

    /// Sender and receiver; nowhere on the link layer.
    pub(super) fn ends(&self, direction: Direction) -> [(IpAddr, u16); 2] {
        match direction {
            _ if self.link => [NOWHERE; 2],
            Direction::ToServer => [self.client, self.server],
            Direction::ToClient => [self.server, self.client],
        }
    }

    /// Sender and receiver; `None` on the link layer.
    pub(super) fn endpoints(&self, direction: Direction) -> Option<Endpoints> {
        let [source, destination] = self.ends(direction);
        (!self.link).then_some(Endpoints { source, destination, protocol: self.ip_protocol })
    }

    /// The header of an event that goes this way: endpoints as sender and receiver.
    pub(super) fn header(&self, direction: Direction) -> Header<'p> {
        let base = match self.packet {
            Some(packet) => packet_header(packet, self.names, self.interface, self.id),
            None => Header {
                timestamp: self.timestamp,
                flow_id: self.id,
                pcap_filename: &self.names.capture,
                vlans: self.vlans,
                source: Some(if self.flow_ends { PacketSource::FlowEnd } else { PacketSource::Silence }),
                ..Header::default()
            },
        };
        Header { endpoints: self.endpoints(direction), ..base }
    }
}

/// The header of an event about a packet, in the packet's view.
pub(super) fn packet_header<'n>(
    packet: &Packet<'_>,
    names: &'n Names,
    interface: InterfaceId,
    flow_id: u64,
) -> Header<'n> {
    let endpoints = packet.ip.as_ref().map(|ip| Endpoints {
        source: (ip.source, packet.ports[0]),
        destination: (ip.destination, packet.ports[1]),
        protocol: ip.protocol,
    });
    let icmp = match packet.transport {
        Transport::Icmp { kind, code } => Some((kind, code)),
        _ => None,
    };
    Header {
        timestamp: packet.timestamp,
        flow_id,
        in_iface: if names.capture.is_empty() {
            names.interfaces.get(interface as usize).map_or("", String::as_str)
        } else {
            ""
        },
        pcap_filename: &names.capture,
        number: packet_number(packet, names),
        vlans: packet.vlans,
        endpoints,
        icmp,
        ethernet: packet.ethernet,
        source: Some(PacketSource::Wire(packet.tunnel)),
    }
}

/// Number of a packet in its capture file; 0 live.
pub(super) fn packet_number(packet: &Packet<'_>, names: &Names) -> u64 {
    if names.capture.is_empty() { 0 } else { packet.number }
}
