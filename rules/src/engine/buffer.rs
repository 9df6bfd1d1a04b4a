//! The buffers that steps look into, and how a packet's headers give them.

use std::fmt;
use std::net::IpAddr;

use vigia_parsers::packet::{Packet, Transport};

use crate::keyword;

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Buffer {
    /// Packet payload or stream bytes.
    Payload,
    /// A header of the packet.
    Header(HeaderBuffer),
    /// Each value of a field of the record.
    Field(usize),
    /// What `base64_decode` gave.
    Decoded,
    /// One that nothing gives yet: its number among the registered keywords.
    Waiting(u16),
}

impl fmt::Display for Buffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload => out.write_str("payload"),
            Self::Header(header) => write!(out, "header {header:?}"),
            Self::Field(field) => write!(out, "field {field}"),
            Self::Decoded => out.write_str("base64_data"),
            Self::Waiting(number) => out.write_str(keyword::waiting(*number)),
        }
    }
}

/// A header of the packet, as its bytes stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum HeaderBuffer {
    /// Ethernet, with its first ethertype.
    Ethernet,
    /// IPv4 with its options.
    Ipv4,
    /// IPv6 with its extension headers.
    Ipv6,
    /// TCP with its options.
    Tcp,
    Udp,
    Icmpv4,
    Icmpv6,
    /// The whole IGMP message.
    Igmp,
    /// SCTP with all chunks.
    Sctp,
    /// User data of each SCTP DATA chunk.
    SctpData,
    /// The address of the sender, 4 or 16 bytes.
    Source,
    /// The address of the receiver.
    Destination,
}

/// IP protocol number of IGMP.
pub(crate) const IGMP: u8 = 2;

impl HeaderBuffer {
    /// Hands the buffer to `out`, as often as the packet has it.
    pub(crate) fn visit(self, packet: &Packet<'_>, out: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Ethernet => ethernet(packet).into_iter().for_each(out),
            Self::Ipv4 => ip(packet, false).into_iter().for_each(out),
            Self::Ipv6 => ip(packet, true).into_iter().for_each(out),
            Self::Tcp => {
                if let Transport::Tcp(tcp) = packet.transport {
                    first(packet, tcp.header_length.into()).into_iter().for_each(out);
                }
            }
            Self::Udp if packet.transport == Transport::Udp => first(packet, 8).into_iter().for_each(out),
            Self::Icmpv4 if is_icmp(packet, false) => first(packet, 8).into_iter().for_each(out),
            Self::Icmpv6 if is_icmp(packet, true) => first(packet, 8).into_iter().for_each(out),
            Self::Igmp if is_igmp(packet) => segment(packet).into_iter().for_each(out),
            Self::Sctp if packet.transport == Transport::Sctp => segment(packet).into_iter().for_each(out),
            Self::SctpData => chunks(packet).filter_map(user_data).for_each(out),
            Self::Source => address(packet, out, |packet| packet.source),
            Self::Destination => address(packet, out, |packet| packet.destination),
            _ => {}
        }
    }
}

/// What follows the IP header: the transport header with its payload.
pub(crate) fn segment<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    packet.bytes.get(packet.ip.as_ref()?.payload.clone())
}

fn first<'a>(packet: &Packet<'a>, length: usize) -> Option<&'a [u8]> {
    segment(packet)?.get(..length)
}

/// The Ethernet header nearest to the packet.
fn ethernet<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    packet.bytes.get(packet.ethernet_header? as usize..)?.get(..14)
}

/// The IP header of that version.
pub(crate) fn ip<'a>(packet: &Packet<'a>, v6: bool) -> Option<&'a [u8]> {
    let ip = packet.ip.as_ref().filter(|ip| ip.source.is_ipv6() == v6)?;
    packet.bytes.get(ip.header.clone())
}

pub(crate) fn is_icmp(packet: &Packet<'_>, v6: bool) -> bool {
    matches!(packet.transport, Transport::Icmp { .. }) && packet.ip.as_ref().is_some_and(|ip| ip.source.is_ipv6() == v6)
}

pub(crate) fn is_igmp(packet: &Packet<'_>) -> bool {
    packet.ip.as_ref().is_some_and(|ip| ip.protocol == IGMP && ip.fragment.is_none())
}

fn address(packet: &Packet<'_>, out: &mut dyn FnMut(&[u8]), end: fn(&vigia_parsers::packet::Ip) -> IpAddr) {
    match packet.ip.as_ref().map(end) {
        Some(IpAddr::V4(address)) => out(&address.octets()),
        Some(IpAddr::V6(address)) => out(&address.octets()),
        None => {}
    }
}

/// The chunks of an SCTP packet, each with its header (RFC 9260, 3.2).
pub(crate) fn chunks<'a>(packet: &Packet<'a>) -> impl Iterator<Item = &'a [u8]> {
    let all = segment(packet).filter(|_| packet.transport == Transport::Sctp);
    let mut rest = all.and_then(|segment| segment.get(12..)).unwrap_or_default();
    std::iter::from_fn(move || {
        let &[_, _, high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let chunk = rest.get(..length.max(4))?;
        rest = rest.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
        Some(chunk)
    })
}

/// User data of a DATA chunk (RFC 9260, 3.3.1).
fn user_data(chunk: &[u8]) -> Option<&[u8]> {
    chunk.get(16..).filter(|_| chunk.first() == Some(&0))
}
