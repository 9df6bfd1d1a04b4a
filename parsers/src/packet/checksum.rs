//! Internet checksums (RFC 1071) of the innermost headers. The sums are `etherparse`'s, which adds 8 bytes at a time.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use super::decoder::be16;
use super::{Checksums, Ip, Packet, Transport};

/// Compares the checksums of `packet` with its bytes.
pub(super) fn check(packet: &Packet<'_>) -> Checksums {
    let Some(ip) = &packet.ip else { return Checksums::default() };
    Checksums { ip_bad: header_bad(packet, ip), transport_bad: transport_bad(packet, ip) }
}

/// Only IPv4 has a header checksum.
fn header_bad(packet: &Packet<'_>, ip: &Ip) -> bool {
    let Some(header) = packet.bytes.get(ip.header.clone()) else { return false };
    let length = header.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4);
    match (ip.source, header.get(..length)) {
        (IpAddr::V4(_), Some(header)) => Sum16BitWords::new().add_slice(header).ones_complement() != 0,
        _ => false,
    }
}

fn transport_bad(packet: &Packet<'_>, ip: &Ip) -> bool {
    let number = match packet.transport {
        Transport::Tcp(_) => 6,
        Transport::Udp => 17,
        Transport::Icmp { .. } if ip.source.is_ipv4() => 1,
        Transport::Icmp { .. } => 58,
        Transport::None | Transport::Sctp => return false,
    };
    let Some(segment) = packet.bytes.get(ip.payload.start..packet.payload.end) else { return false };
    // A length of 0 belongs to packets that the network card was yet to divide, and to sum up.
    let left_to_the_card = packet.bytes.get(ip.header.clone()).is_none_or(|header| stated_length(header) == 0);
    let udp_without = number == 17 && ip.source.is_ipv4() && be16(segment, 6) == 0;
    if cut(packet, ip, segment.len()) || left_to_the_card || udp_without || is_source_routed(packet, ip) {
        return false;
    }
    let sum = Sum16BitWords::new().add_slice(segment);
    let sum = match (ip.source, ip.destination) {
        // ICMP of IPv4 has no pseudo-header.
        _ if number == 1 => sum,
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            pseudo_header(sum.add_slice(&source.octets()).add_slice(&destination.octets()), number, segment.len())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            pseudo_header(sum.add_slice(&source.octets()).add_slice(&destination.octets()), number, segment.len())
        }
        _ => return false,
    };
    sum.ones_complement() != 0
}

fn pseudo_header(sum: Sum16BitWords, number: u8, length: usize) -> Sum16BitWords {
    sum.add_2bytes([0, number]).add_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes())
}

/// Total length of IPv4, payload length of IPv6.
fn stated_length(header: &[u8]) -> usize {
    let offset = if header.first().is_some_and(|byte| byte >> 4 == 4) { 2 } else { 4 };
    usize::from(be16(header, offset))
}

/// Does a part of what the checksum covers lack?
fn cut(packet: &Packet<'_>, ip: &Ip, length: usize) -> bool {
    let Some(header) = packet.bytes.get(ip.header.clone()) else { return true };
    let fixed = if ip.source.is_ipv4() { 0 } else { 40 };
    let end = ip.header.start + fixed + stated_length(header);
    let udp_length = match packet.transport {
        Transport::Udp => usize::from(be16(packet.bytes.get(ip.payload.clone()).unwrap_or_default(), 4)),
        _ => 0,
    };
    end > ip.payload.end || udp_length > length
}

/// Does an IPv6 routing header stand in the packet? Then the destination of the pseudo-header is not the header's.
fn is_source_routed(packet: &Packet<'_>, ip: &Ip) -> bool {
    let Some(mut rest) = packet.bytes.get(ip.header.clone()) else { return false };
    let (IpAddr::V6(_), Some(&next)) = (ip.source, rest.get(6)) else { return false };
    let mut next = next;
    rest = rest.get(40..).unwrap_or_default();
    while let [following, units, ..] = rest {
        let length = match next {
            43 => return true,
            44 => 8,
            51 => 4 * (usize::from(*units) + 2),
            _ => 8 + 8 * usize::from(*units),
        };
        next = *following;
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}
