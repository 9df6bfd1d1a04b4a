//! Tests of decoding, on frames put together here by hand.

mod events;
mod ip;
mod link;
mod properties;
mod redundancy;
mod transport;
mod tunnel;

use super::*;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const VLAN: u16 = 0x8100;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Decodes a whole frame of a link type.
pub(super) fn decode_as(link: LinkType, frame: &[u8]) -> Packet<'_> {
    decode_cut(link, frame, frame.len())
}

/// Decodes an Ethernet frame that was captured whole.
pub(super) fn decode_frame(frame: &[u8]) -> Packet<'_> {
    decode_as(LinkType::Ethernet, frame)
}

/// Decodes what was captured of a frame of `wire_length` bytes.
pub(super) fn decode_cut(link: LinkType, frame: &[u8], wire_length: usize) -> Packet<'_> {
    let captured = Captured {
        number: 1,
        timestamp: Timestamp(0),
        link,
        frame,
        wire_length: u32::try_from(wire_length).unwrap(),
        stripped_vlan: None,
    };
    decode(&captured, &DecodeLimits::default())
}

pub(super) fn names(packet: &Packet<'_>) -> Vec<&'static str> {
    packet.events.iter().map(DecodeEvent::name).collect()
}

/// The innermost payload, of a packet without events.
#[track_caller]
pub(super) fn clean_payload<'a>(packet: &Packet<'a>) -> &'a [u8] {
    assert_eq!(names(packet), [""; 0]);
    packet.payload()
}

pub(super) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[2, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes(), payload])
}

/// A tag and the ethertype behind it.
pub(super) fn tag(id: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&id.to_be_bytes(), &ethertype.to_be_bytes(), payload])
}

/// IPv4 from 10.0.0.1 to 10.0.0.2, with any options.
pub(super) fn ipv4_with(options: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let total = u16::try_from(header + payload.len()).unwrap();
    let start = [0x40 | u8::try_from(header / 4).unwrap(), 0];
    let middle = [0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    cat(&[&start, &total.to_be_bytes(), &middle, options, payload])
}

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(&[], protocol, payload)
}

/// IPv6 from fd00::1 to fd00::2.
pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut source = [0; 16];
    (source[0], source[15]) = (0xfd, 1);
    let mut destination = source;
    destination[15] = 2;
    cat(&[&[0x60, 0, 0, 0], &length.to_be_bytes(), &[next, 64], &source, &destination, payload])
}

/// TCP from port 40000 to port 502, sequence 1000, acknowledging 2000, PSH ACK, window 8192.
pub(super) fn tcp_with(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = u8::try_from((20 + options.len()) / 4).unwrap() << 4;
    let start = [0x9c, 0x40, 0x01, 0xf6, 0, 0, 0x03, 0xe8, 0, 0, 0x07, 0xd0, offset, 0x18, 0x20, 0, 0, 0, 0, 0];
    cat(&[&start, options, payload])
}

pub(super) fn tcp(payload: &[u8]) -> Vec<u8> {
    tcp_with(&[], payload)
}

/// UDP from port 40000.
pub(super) fn udp(destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    cat(&[&[0x9c, 0x40], &destination.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload])
}

/// An Ethernet frame with IPv4, TCP and the payload.
pub(super) fn plain(payload: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &ipv4(TCP, &tcp(payload)))
}

/// Is this the packet of [`plain`], wherever it was found?
#[track_caller]
pub(super) fn assert_plain(packet: &Packet<'_>, payload: &[u8]) {
    let ip = packet.ip.as_ref().expect("an IP header");
    assert_eq!((ip.source, ip.destination), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
    assert_eq!((ip.protocol, ip.ttl, ip.fragment), (TCP, 64, None));
    assert_eq!(packet.ports, [40_000, 502]);
    let Transport::Tcp(tcp) = packet.transport else { panic!("{:?}", packet.transport) };
    assert_eq!((tcp.sequence, tcp.acknowledgement, tcp.flags, tcp.window), (1000, 2000, 0x18, 8192));
    assert_eq!(clean_payload(packet), payload);
}
