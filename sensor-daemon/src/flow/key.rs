//! What names a flow: addresses, ports, protocol and, as the setting says, VLANs; and which of its ends is the client.
//! A flow of the link layer is named by its stations' addresses and the ethertype.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vigia_parsers::packet::{Packet, Tcp, Transport, Vlans};
use vigia_parsers::{Timestamp, registry};

/// Addresses, ports and protocol, the same for both directions: the end with the smaller address (then port) is *low*.
///
/// All of it is kept as whole words, so that it is built in registers and compared at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tuple {
    low: [u64; 2],
    high: [u64; 2],
    /// Port of the low end, of the high end (16 bits each), 16 bits unused, IP protocol, and the [`Layer`]. Of a flow of
    /// the link layer the ethertype stands for both ports.
    rest: u64,
}

/// What the addresses are; the lowest byte of [`Tuple::rest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Layer {
    V4 = 0,
    V6 = 1,
    Link = 2,
}

impl Tuple {
    /// Of a packet, and whether its source is the low end. `None` for fragments, and for packets without IP that no
    /// protocol of the registry is carried in.
    #[inline]
    pub(super) fn of(packet: &Packet<'_>) -> Option<(Self, bool)> {
        let Some(ip) = &packet.ip else { return Self::of_frame(packet) };
        if ip.fragment.is_some() {
            return None;
        }
        let ports = match packet.transport {
            Transport::Icmp { kind, code } => icmp_ports(packet, kind, code),
            _ => packet.ports,
        };
        let (source, layer) = bits_of(ip.source);
        let (destination, _) = bits_of(ip.destination);
        let source_is_low = source < destination || (source == destination && ports[0] <= ports[1]);
        let (low, high) = if source_is_low { (source, destination) } else { (destination, source) };
        let (first, second) = (u64::from(ports[0]), u64::from(ports[1]));
        let ports = if source_is_low { first << 48 | second << 32 } else { second << 48 | first << 32 };
        let rest = ports | u64::from(ip.protocol) << 8 | layer as u64;
        Some((Self { low: words(low), high: words(high), rest }, source_is_low))
    }

    fn of_frame(packet: &Packet<'_>) -> Option<(Self, bool)> {
        let ethernet = packet.ethernet?;
        registry::by_ethertype(ethernet.ethertype)?;
        let [source, destination] = [ethernet.source, ethernet.destination].map(|station| {
            let [a, b, c, d, e, f] = station;
            u64::from_be_bytes([0, 0, a, b, c, d, e, f])
        });
        let source_is_low = source <= destination;
        let (low, high) = if source_is_low { (source, destination) } else { (destination, source) };
        let kind = u64::from(ethernet.ethertype);
        let rest = kind << 48 | kind << 32 | Layer::Link as u64;
        Some((Self { low: [0, low], high: [0, high], rest }, source_is_low))
    }

    fn is(&self, layer: Layer) -> bool {
        self.rest as u8 == layer as u8
    }

    /// Is it of the link layer, so that its ends have no IP addresses?
    pub(super) fn is_link(&self) -> bool {
        self.is(Layer::Link)
    }

    pub(super) fn protocol(&self) -> u8 {
        (self.rest >> 8) as u8
    }

    /// The low end, or the high one; of no meaning in a flow of the link layer.
    pub(super) fn end(&self, low: bool) -> (IpAddr, u16) {
        let (words, port) = if low { (self.low, self.rest >> 48) } else { (self.high, self.rest >> 32) };
        let address = if self.is(Layer::V6) {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(words[0]) << 64 | u128::from(words[1])))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(words[1] as u32))
        };
        (address, port as u16)
    }

    /// Everything in it, for a hash; IPv4 needs fewer words.
    #[inline]
    pub(super) fn hash(&self, mut word: impl FnMut(u64)) {
        if self.is(Layer::Link) {
            word(self.low[1]);
            word(self.high[1]);
        } else if self.is(Layer::V6) {
            word(self.low[0]);
            word(self.low[1]);
            word(self.high[0]);
            word(self.high[1]);
        } else {
            word(self.low[1] << 32 | self.high[1]);
        }
        word(self.rest);
    }

    /// What stands for the port of one of its ends, towards the host at the other: the same in all flows between the two.
    pub(super) fn service(&self, low: bool) -> u64 {
        // The other end's port is left out, and which end it is stands in the unused bits.
        let (kept, side) = if low { (!(0xffff << 32), 1) } else { (!(0xffff << 48), 2) };
        let service = Self { rest: self.rest & kept | side << 16, ..*self };
        let mut hash = 0x9e37_79b9_7f4a_7c15;
        service.hash(|word| hash = mix(hash, word));
        hash
    }

    /// EVE's `flow_id`: 51 bits of key and start. Unkeyed, so that the same capture gives the same ids everywhere.
    pub(super) fn flow_id(&self, vlans: &Vlans, start: Timestamp) -> u64 {
        let mut hash = 0x9e37_79b9_7f4a_7c15;
        self.hash(|word| hash = mix(hash, word));
        let vlans = vlans.ids().iter().fold(vlans.ids().len() as u64, |all, &id| all << 12 | u64::from(id));
        mix(mix(hash, vlans), start.0) >> 13
    }
}

/// Stirs a word into a hash (the finisher of MurmurHash3, 64 bits).
fn mix(hash: u64, word: u64) -> u64 {
    let mut x = hash.rotate_left(25) ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// An address as a number, and what it is.
fn bits_of(address: IpAddr) -> (u128, Layer) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), Layer::V4),
        IpAddr::V6(address) => (address.to_bits(), Layer::V6),
    }
}

fn words(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}

/// ICMP has no ports: what asks and answers by identifier (echo, timestamp, ...) is one flow per identifier, anything
/// else one per type, code and sender.
fn icmp_ports(packet: &Packet<'_>, kind: u8, code: u8) -> [u16; 2] {
    let with_identifier: &[u8] = match packet.ip.as_ref().map(|ip| ip.protocol) {
        Some(1) => &[0, 8, 13, 14, 15, 16, 17, 18],
        _ => &[128, 129],
    };
    let start = packet.ip.as_ref().map_or(0, |ip| ip.payload.start);
    match packet.bytes.get(start + 4..start + 6) {
        Some(&[a, b]) if with_identifier.contains(&kind) => [u16::from_be_bytes([a, b]); 2],
        _ => [u16::from(kind), u16::from(code)],
    }
}

/// Ports on which a protocol of the registry is served, as bits.
pub(super) struct ServicePorts {
    tcp: Box<[u64; 1024]>,
    udp: Box<[u64; 1024]>,
}

impl ServicePorts {
    pub(super) fn new() -> Self {
        let mut ports = Self { tcp: Box::new([0; 1024]), udp: Box::new([0; 1024]) };
        for protocol in registry::PROTOCOLS {
            protocol.tcp_ports.iter().for_each(|&port| ports.tcp[usize::from(port >> 6)] |= 1 << (port & 63));
            protocol.udp_ports.iter().for_each(|&port| ports.udp[usize::from(port >> 6)] |= 1 << (port & 63));
        }
        ports
    }

    fn serves(&self, tcp: bool, port: u16) -> bool {
        let bits = if tcp { &self.tcp } else { &self.udp };
        bits[usize::from(port >> 6)] >> (port & 63) & 1 != 0
    }

    /// Is the sender of a flow's first packet its client? The handshake knows; without one the ports may say; else who spoke
    /// first.
    pub(super) fn sender_is_client(&self, packet: &Packet<'_>) -> bool {
        let tcp = match packet.transport {
            Transport::Tcp(tcp) if tcp.has(Tcp::SYN) => return !tcp.has(Tcp::ACK),
            Transport::Tcp(_) => true,
            Transport::Udp | Transport::Sctp => false,
            Transport::Icmp { kind, .. } => return !is_icmp_reply(packet, kind),
            Transport::None => return true,
        };
        // Whoever writes to a group asks.
        if packet.ip.as_ref().is_some_and(|ip| to_many(ip.destination)) {
            return true;
        }
        self.by_ports(packet.ports, tcp).unwrap_or(true)
    }

    /// Whether the sender is the client by its port and the receiver's alone; `None` where they say nothing. A registered
    /// service says most. A TCP connection that is picked up midstream may begin with anyone's segment: there a privileged port
    /// tells the server, too, and one below the ephemeral range against one within it. Of datagrams the first one mostly asks,
    /// so only the port of a well-known service tells otherwise.
    pub(super) fn by_ports(&self, ports: [u16; 2], tcp: bool) -> Option<bool> {
        let by = |looks_like_client: &dyn Fn(u16) -> bool| {
            let [source, destination] = ports.map(looks_like_client);
            (source != destination).then_some(source)
        };
        let registered = by(&|port| !self.serves(tcp, port));
        registered.or_else(|| match tcp {
            true => by(&|port| port >= 1024).or_else(|| by(&|port| port >= EPHEMERAL)),
            false => by(&|port| !ANSWERS_FROM.contains(&port)),
        })
    }
}

/// Ports of UDP from which answers come and nothing else: Kerberos, port mapper, NTP, SNMP, LDAP, QUIC, RADIUS and its accounting,
/// NFS.
const ANSWERS_FROM: [u16; 9] = [88, 111, 123, 161, 389, 443, 1812, 1813, 2049];

/// First ephemeral port of Linux; Windows and IANA begin later (49152).
const EPHEMERAL: u16 = 32768;

fn to_many(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

/// Does a message of this type answer another, so that its receiver asked? What is sent to a group does not.
fn is_icmp_reply(packet: &Packet<'_>, kind: u8) -> bool {
    packet.ip.as_ref().is_some_and(|ip| {
        let reply = match ip.protocol {
            // Echo, router advertisement, timestamp, information, address mask.
            1 => matches!(kind, 0 | 9 | 14 | 16 | 18),
            // Echo, listener report, router and neighbour advertisement, node information, home agent.
            _ => matches!(kind, 129 | 131 | 134 | 136 | 140 | 145),
        };
        reply && !to_many(ip.destination)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn client(frame: &Frame) -> bool {
        ServicePorts::new().sender_is_client(&frame.packet())
    }

    #[test]
    fn both_directions_have_one_tuple() {
        for (a, b) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2"), ("10.0.0.1", "10.0.0.1")] {
            let there = udp((a, 5000), (b, 6000), b"x");
            let back = udp((b, 6000), (a, 5000), b"x");
            let (one, source_is_low) = Tuple::of(&there.packet()).unwrap();
            let (other, source_is_high) = Tuple::of(&back.packet()).unwrap();
            assert_eq!(one, other);
            assert_ne!(source_is_low, source_is_high);
            assert_eq!(one.end(source_is_low), (a.parse().unwrap(), 5000));
            assert_eq!(one.end(!source_is_low), (b.parse().unwrap(), 6000));
        }
    }

    #[test]
    fn an_echo_and_its_reply_are_one_flow_by_identifier() {
        let tuple = |frame: &Frame| Tuple::of(&frame.packet()).unwrap().0;
        let request = icmp("10.0.0.1", "10.0.0.2", 8, 0, 7);
        assert_eq!(tuple(&request), tuple(&icmp("10.0.0.2", "10.0.0.1", 0, 0, 7)));
        assert_ne!(tuple(&request), tuple(&icmp("10.0.0.1", "10.0.0.2", 8, 0, 8)));
        assert_ne!(tuple(&request), tuple(&icmp("10.0.0.2", "10.0.0.1", 3, 1, 7)));
    }

    #[test]
    fn the_client_is_told_by_handshake_then_port_then_order() {
        let (a, b) = ("10.0.0.1", "10.0.0.2");
        assert!(client(&tcp((a, 502), (b, 40000), Tcp::SYN, 1, 0, b"")));
        assert!(!client(&tcp((a, 40000), (b, 502), Tcp::SYN | Tcp::ACK, 1, 2, b"")));
        assert!(client(&tcp((a, 40000), (b, 20000), Tcp::ACK, 1, 2, b"x")));
        assert!(!client(&tcp((a, 20000), (b, 40000), Tcp::ACK, 1, 2, b"x")));
        assert!(!client(&tcp((a, 502), (b, 500), Tcp::ACK, 1, 2, b"x")), "a registered service before a low port");
        assert!(!client(&tcp((a, 80), (b, 5000), Tcp::ACK, 1, 2, b"x")));
        assert!(!client(&tcp((a, 8080), (b, 50000), Tcp::ACK, 1, 2, b"x")));
        assert!(client(&tcp((a, 8080), (b, 8081), Tcp::ACK, 1, 2, b"x")));
        assert!(client(&udp((a, 20000), (b, 20000), b"x")));
        assert!(!client(&udp((a, 20000), (b, 30000), b"x")), "a registered service");
        assert!(!client(&udp((a, 161), (b, 5000), b"x")), "a well-known service");
        assert!(client(&udp((a, 123), (b, 161), b"x")), "two of them");
        for port in [80, 1000, 5095, 1883] {
            assert!(client(&udp((a, port), (b, 50000), b"x")), "who sends the first datagram from port {port} asks");
        }
        assert!(client(&udp((a, 502), ("239.0.0.1", 50000), b"x")), "a group is never the client");
        assert!(client(&icmp(a, b, 8, 0, 1)));
        assert!(!client(&icmp(a, b, 0, 0, 1)));
        assert!(client(&icmp(a, b, 3, 1, 1)));
    }

    #[test]
    fn flow_ids_are_stable_and_fit_51_bits() {
        let (tuple, _) = Tuple::of(&udp(("10.0.0.1", 1), ("10.0.0.2", 2), b"").packet()).unwrap();
        let id = tuple.flow_id(&Vlans::default(), Timestamp::new(1, 0));
        assert_eq!(id, 1367037540020445);
        assert!(id < 1 << 51);
        assert_ne!(id, tuple.flow_id(&Vlans::default(), Timestamp::new(1, 1)));
        let mut vlans = Vlans::default();
        vlans.push(0);
        assert_ne!(id, tuple.flow_id(&vlans, Timestamp::new(1, 0)));
    }
}
