//! A session in a capture file: over TCP from handshake to end, datagrams of UDP, or frames of the link layer.

use std::net::{Ipv4Addr, SocketAddrV4};

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A connection.
    Tcp,
    /// Datagrams, without beginning and end.
    Udp,
    /// Frames that a publisher multicasts, each a message.
    Link { ethertype: u16 },
}

/// Time between packets, in milliseconds.
const PACE_MS: u32 = 10;
/// What one segment holds at the most, in bytes: as a sender hands it to a network card that cuts it up.
const SEGMENT: usize = 32_768;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// Protocol numbers of IP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// One end of the session.
struct End {
    address: SocketAddrV4,
    /// The next sequence number.
    next: u32,
}

/// The session, as the bytes of its capture so far.
pub struct Session {
    /// Server, client.
    ends: [End; 2],
    transport: Transport,
    seconds: u32,
    millis: u32,
    pcap: Vec<u8>,
}

impl Session {
    /// Begins at `seconds` since 1970; over TCP, with shaking hands.
    pub fn open(transport: Transport, client: Ipv4Addr, server: SocketAddrV4, seconds: u32) -> Self {
        let mut pcap = Vec::new();
        // Classic pcap: microseconds, version 2.4, whole packets, Ethernet.
        for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 0x4_0000, 1] {
            pcap.extend(word.to_le_bytes());
        }
        let ends = [
            End { address: server, next: 0x5000_0000 },
            End { address: SocketAddrV4::new(client, 49_152), next: 0x1000_0000 },
        ];
        let mut session = Self { ends, transport, seconds, millis: 0, pcap };
        session.shake_hands();
        session
    }

    /// The client ends the session and opens another, from its next port.
    pub fn renew(&mut self) {
        self.end();
        let address = &mut self.ends[1].address;
        address.set_port(address.port() + 1);
        self.shake_hands();
    }

    /// Nothing is said for some milliseconds more.
    pub fn wait(&mut self, millis: u32) {
        self.seconds += (self.millis + millis) / 1000;
        self.millis = (self.millis + millis) % 1000;
    }

    /// One side sends a datagram, a frame, or a segment; what is longer than one holds, in several.
    pub fn say(&mut self, from_client: bool, payload: &[u8]) {
        for part in payload.chunks(SEGMENT) {
            self.packet(from_client, PSH | ACK, part);
        }
    }

    /// Ends the session; the whole capture file.
    pub fn close(mut self) -> Vec<u8> {
        self.end();
        self.pcap
    }

    fn shake_hands(&mut self) {
        if self.transport == Transport::Tcp {
            self.packet(true, SYN, &[]);
            self.packet(false, SYN | ACK, &[]);
            self.packet(true, ACK, &[]);
        }
    }

    fn end(&mut self) {
        if self.transport == Transport::Tcp {
            self.packet(true, FIN | ACK, &[]);
            self.packet(false, FIN | ACK, &[]);
            self.packet(true, ACK, &[]);
        }
    }

    fn packet(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (own, other) = (usize::from(from_client), usize::from(!from_client));
        let acknowledged = if flags & ACK == 0 { 0 } else { self.ends[other].next };
        let (from, to) = (&self.ends[own], &self.ends[other]);
        let packet = match self.transport {
            Transport::Tcp => {
                let segment = segment(from.address, to.address, from.next, acknowledged, flags, payload);
                ethernet(from.address, to.address, TCP, segment)
            }
            Transport::Udp => ethernet(from.address, to.address, UDP, datagram(from.address, to.address, payload)),
            Transport::Link { ethertype } => {
                [&GROUP[..], &mac(from.address), &ethertype.to_be_bytes(), payload].concat()
            }
        };
        self.ends[own].next += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let length = packet.len() as u32;
        for word in [self.seconds, self.millis * 1000, length, length] {
            self.pcap.extend(word.to_le_bytes());
        }
        self.pcap.extend(packet);
        self.wait(PACE_MS);
    }
}

/// A TCP segment; its checksum is to be set.
fn segment(
    from: SocketAddrV4,
    to: SocketAddrV4,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp = ports(from, to);
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledged.to_be_bytes());
    // Header of five words; window; checksum; no urgent data.
    tcp.extend([0x50, flags, 0x10, 0x00, 0, 0, 0, 0]);
    tcp.extend(payload);
    tcp
}

/// A UDP datagram; its checksum is to be set.
fn datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut udp = ports(from, to);
    udp.extend((8 + payload.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    udp
}

fn ports(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    [from.port().to_be_bytes(), to.port().to_be_bytes()].concat()
}

/// The frame around a segment or datagram, whose checksum is set.
fn ethernet(from: SocketAddrV4, to: SocketAddrV4, protocol: u8, mut content: Vec<u8>) -> Vec<u8> {
    let (source, destination) = (from.ip().octets(), to.ip().octets());
    let length = content.len() as u16;
    let pseudo = [&source[..], &destination, &[0, protocol], &length.to_be_bytes(), &content].concat();
    let place = if protocol == TCP { 16 } else { 6 };
    content[place..place + 2].copy_from_slice(&checksum(&pseudo).to_be_bytes());

    let mut ip = vec![0x45, 0];
    ip.extend((20 + length).to_be_bytes());
    // No fragment; 64 hops; protocol; checksum, set below.
    ip.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    ip.extend(source);
    ip.extend(destination);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    [&mac(to)[..], &mac(from), &[0x08, 0x00], &ip, &content].concat()
}

/// A group address of IEC 61850 (IEC 61850-8-1 annex B).
const GROUP: [u8; 6] = [0x01, 0x0c, 0xcd, 0x01, 0x00, 0x01];

/// A locally administered address, after the IP address.
fn mac(address: SocketAddrV4) -> [u8; 6] {
    let [a, b, c, d] = address.ip().octets();
    [0x02, 0x42, a, b, c, d]
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded + (folded >> 16)) as u16)
}
