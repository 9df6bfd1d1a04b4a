//! Packets made by hand, for the tests of this module.

use std::net::IpAddr;

use vigia_parsers::Timestamp;
use vigia_parsers::packet::{DecodeEvents, Ethernet, Fragment, Ip, Packet, Redundancy, Tcp, Transport, Tunnel, Vlans};

/// A packet that owns its bytes: an IP header, a transport header, a payload.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: Timestamp,
    pub(crate) vlans: Vlans,
    pub(crate) ethernet: Option<Ethernet>,
    pub(crate) redundancy: Option<Redundancy>,
    pub(crate) ip: Ip,
    transport: Transport,
    ports: [u16; 2],
    payload: usize,
}

impl Frame {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet {
            number: 1,
            timestamp: self.at,
            bytes: &self.bytes,
            wire_length: self.bytes.len() as u32 + 14,
            ethernet: self.ethernet,
            ethernet_header: None,
            joined: false,
            link: vigia_parsers::packet::LinkType::Ethernet,
            vlans: self.vlans,
            redundancy: self.redundancy,
            tunnel: Tunnel::None,
            tunnel_depth: 0,
            tunnel_header: None,
            ip: Some(self.ip.clone()),
            transport: self.transport,
            ports: self.ports,
            payload: self.payload..self.bytes.len(),
            events: DecodeEvents::default(),
        }
    }

    pub(crate) fn at(mut self, nanoseconds: u64) -> Self {
        self.at = Timestamp(nanoseconds);
        self
    }

    pub(crate) fn at_s(self, seconds: u64) -> Self {
        self.at(seconds * 1_000_000_000)
    }

    pub(crate) fn vlan(mut self, ids: &[u16]) -> Self {
        self.vlans = Vlans::default();
        ids.iter().for_each(|&id| assert!(self.vlans.push(id)));
        self
    }

    pub(crate) fn ip_id(mut self, id: u16) -> Self {
        self.bytes[4..6].copy_from_slice(&id.to_be_bytes());
        self
    }

    pub(crate) fn ttl(mut self, ttl: u8) -> Self {
        let at = if self.ip.source.is_ipv4() { 8 } else { 7 };
        self.bytes[at] = ttl;
        self.ip.ttl = ttl;
        self
    }
}

fn build(source: &str, destination: &str, protocol: u8, transport: &[u8], payload: &[u8]) -> Frame {
    let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let length = transport.len() + payload.len();
    let mut bytes = Vec::new();
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend([0x45, 0]);
            bytes.extend(((20 + length) as u16).to_be_bytes());
            bytes.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend((length as u16).to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
        }
        _ => panic!("one family"),
    }
    let header = 0..bytes.len();
    bytes.extend(transport);
    let start = bytes.len();
    bytes.extend(payload);
    let ip = Ip { source, destination, protocol, ttl: 64, payload: header.end..bytes.len(), header, fragment: None };
    Frame {
        bytes,
        at: Timestamp::new(1_000, 0),
        vlans: Vlans::default(),
        ethernet: None,
        redundancy: None,
        ip,
        transport: Transport::None,
        ports: [0, 0],
        payload: start,
    }
}

type End<'a> = (&'a str, u16);

pub(crate) fn udp(source: End<'_>, destination: End<'_>, payload: &[u8]) -> Frame {
    let mut header = Vec::new();
    header.extend(source.1.to_be_bytes());
    header.extend(destination.1.to_be_bytes());
    header.extend((8 + payload.len() as u16).to_be_bytes());
    header.extend([0, 0]);
    let frame = build(source.0, destination.0, 17, &header, payload);
    Frame { transport: Transport::Udp, ports: [source.1, destination.1], ..frame }
}

pub(crate) fn tcp(source: End<'_>, destination: End<'_>, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Frame {
    let mut header = Vec::new();
    header.extend(source.1.to_be_bytes());
    header.extend(destination.1.to_be_bytes());
    header.extend(seq.to_be_bytes());
    header.extend(ack.to_be_bytes());
    header.extend([0x50, flags, 0xfa, 0, 0, 0, 0, 0]);
    let frame = build(source.0, destination.0, 6, &header, payload);
    let tcp = Tcp {
        sequence: seq,
        acknowledgement: ack,
        flags,
        window: 0xfa00,
        header_length: 20,
        timestamps: None,
        window_scale: None,
    };
    Frame { transport: Transport::Tcp(tcp), ports: [source.1, destination.1], ..frame }
}

pub(crate) fn icmp(source: &str, destination: &str, kind: u8, code: u8, id: u16) -> Frame {
    let [a, b] = id.to_be_bytes();
    let protocol = if source.contains(':') { 58 } else { 1 };
    let frame = build(source, destination, protocol, &[kind, code, 0, 0, a, b, 0, 1], b"ping");
    Frame { transport: Transport::Icmp { kind, code }, ..frame }
}

/// A fragment of a datagram of `protocol`, as the decoder leaves it.
pub(crate) fn fragment(
    source: &str,
    destination: &str,
    protocol: u8,
    (id, offset, more): (u32, u32, bool),
    payload: &[u8],
) -> Frame {
    let mut frame = if source.contains(':') {
        let [a, b, c, d] = id.to_be_bytes();
        let [e, f] = ((offset as u16) | u16::from(more)).to_be_bytes();
        let mut frame = build(source, destination, 44, &[protocol, 0, e, f, a, b, c, d], payload);
        frame.ip.header.end += 8;
        frame.ip.payload.start += 8;
        frame.ip.protocol = protocol;
        frame
    } else {
        let mut frame = build(source, destination, protocol, &[], payload).ip_id(id as u16);
        let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
        frame.bytes[6..8].copy_from_slice(&field.to_be_bytes());
        frame
    };
    frame.ip.fragment = Some(Fragment { id, offset, more });
    frame
}
