//! A TCP session in a capture file, from handshake to end.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Time between packets, in microseconds.
const PACE: u32 = 10_000;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

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
    seconds: u32,
    micros: u32,
    pcap: Vec<u8>,
}

impl Session {
    /// Shakes hands at `seconds` since 1970.
    pub fn open(client: Ipv4Addr, server: SocketAddrV4, seconds: u32) -> Self {
        let mut pcap = Vec::new();
        // Classic pcap: microseconds, version 2.4, whole packets, Ethernet.
        for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 0x4_0000, 1] {
            pcap.extend(word.to_le_bytes());
        }
        let ends = [
            End { address: server, next: 0x5000_0000 },
            End { address: SocketAddrV4::new(client, 49_152), next: 0x1000_0000 },
        ];
        let mut session = Self { ends, seconds, micros: 0, pcap };
        session.packet(true, SYN, &[]);
        session.packet(false, SYN | ACK, &[]);
        session.packet(true, ACK, &[]);
        session
    }

    /// One side sends a segment.
    pub fn say(&mut self, from_client: bool, payload: &[u8]) {
        self.packet(from_client, PSH | ACK, payload);
    }

    /// Ends the session; the whole capture file.
    pub fn close(mut self) -> Vec<u8> {
        self.packet(true, FIN | ACK, &[]);
        self.packet(false, FIN | ACK, &[]);
        self.packet(true, ACK, &[]);
        self.pcap
    }

    fn packet(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (own, other) = (usize::from(from_client), usize::from(!from_client));
        let acknowledged = if flags & ACK == 0 { 0 } else { self.ends[other].next };
        let (from, to) = (&self.ends[own], &self.ends[other]);
        let packet = ethernet(from.address, to.address, from.next, acknowledged, flags, payload);
        self.ends[own].next += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let length = packet.len() as u32;
        for word in [self.seconds, self.micros, length, length] {
            self.pcap.extend(word.to_le_bytes());
        }
        self.pcap.extend(packet);
        self.micros += PACE;
        self.seconds += self.micros / 1_000_000;
        self.micros %= 1_000_000;
    }
}

fn ethernet(
    from: SocketAddrV4,
    to: SocketAddrV4,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledged.to_be_bytes());
    // Header of five words; window; checksum, set below; no urgent data.
    tcp.extend([0x50, flags, 0x10, 0x00, 0, 0, 0, 0]);
    tcp.extend(payload);
    let (source, destination) = (from.ip().octets(), to.ip().octets());
    let length = tcp.len() as u16;
    let pseudo = [&source[..], &destination, &[0, 6], &length.to_be_bytes(), &tcp].concat();
    tcp[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());

    let mut ip = vec![0x45, 0];
    ip.extend((20 + length).to_be_bytes());
    // No fragment; 64 hops; TCP; checksum, set below.
    ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    ip.extend(source);
    ip.extend(destination);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    // Locally administered addresses, after the IP addresses.
    let mac = |ip: [u8; 4]| [&[0x02, 0x42], &ip[..]].concat();
    [mac(destination), mac(source), vec![0x08, 0x00], ip, tcp].concat()
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded + (folded >> 16)) as u16)
}
