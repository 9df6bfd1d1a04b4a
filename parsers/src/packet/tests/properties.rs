use etherparse::{PacketBuilder, VlanId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LINKS: [LinkType; 7] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::Loopback,
    LinkType::Ppp,
    LinkType::CiscoHdlc,
];

/// Starts that lead random bytes deep into the decoder.
fn fronts() -> impl Strategy<Value = Vec<u8>> {
    let tails: Vec<Vec<u8>> = vec![
        vec![],
        ethernet(VLAN, &[0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 200, 0, 64]),
        ethernet(IPV4, &[0x45, 0, 0, 200, 0, 0, 0, 0, 64, 47, 0, 0]),
        ethernet(IPV4, &[0x4f, 0, 0, 200, 0, 0, 0, 0, 64, 6, 0, 0]),
        ethernet(0x8847, &[0, 0, 1, 64]),
        ethernet(0x8864, &[0x11, 0, 0, 1, 0, 100]),
        ethernet(0x892f, &[0, 50, 0, 1]),
        ethernet(IPV4, &ipv4(47, &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 0, 0x10, 0, 0, 0])),
        ethernet(IPV4, &ipv4(47, &[0x40, 0, 8, 0, 0, 0, 0, 0])),
        ethernet(IPV4, &ipv4(UDP, &udp(4789, &[8, 0, 0, 0, 0, 0, 1, 0]))),
        ethernet(IPV4, &ipv4(UDP, &udp(2152, &[0x34, 255, 0, 20, 0, 0, 0, 0, 0, 0, 0, 1]))),
        ethernet(IPV4, &ipv4(132, &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0])),
        ethernet(IPV6, &ipv6(0, &[60, 1])),
        ipv4(4, &[0x45]),
    ];
    proptest::sample::select(tails)
}

/// Every range of a packet lies within its bytes, and its views hold together.
fn check(packet: &Packet<'_>) {
    let length = packet.bytes.len();
    let inside = |range: &Range<usize>| range.start <= range.end && range.end <= length;
    assert!(inside(&packet.payload), "{:?}", packet.payload);
    assert_eq!(packet.payload().len(), packet.payload.len());
    if let Some(ip) = &packet.ip {
        assert!(inside(&ip.header) && inside(&ip.payload), "{ip:?}");
        assert_eq!(ip.header.end, ip.payload.start);
        assert!(ip.payload.start <= packet.payload.start && packet.payload.end <= ip.payload.end);
    } else {
        assert_eq!(packet.transport, Transport::None);
    }
    for located in packet.events.located() {
        assert!(located.offset <= length, "{located:?}");
    }
    let _ = packet.checksums();
    let _ = packet.carrier();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_ranges_stay_inside(
        front in fronts(),
        tail in vec(any::<u8>(), 0..200),
        link in 0..LINKS.len(),
        missing in prop_oneof![Just(0usize), 0..2000usize],
        stripped in proptest::option::of(any::<(u16, u16)>()),
        layers in 0u8..20,
    ) {
        let frame = cat(&[&front, &tail]);
        let captured = Captured {
            number: 1,
            timestamp: Timestamp(0),
            link: LINKS[link],
            frame: &frame,
            wire_length: u32::try_from(frame.len() + missing).unwrap(),
            stripped_vlan: stripped,
        };
        let limits = DecodeLimits { layers, ..DecodeLimits::default() };
        let packet = decode(&captured, &limits);
        check(&packet);
        check(&decode_ip(&tail, &packet, &limits));
    }

    #[test]
    fn a_damaged_frame_never_panics_and_ranges_stay_inside(
        front in fronts(),
        payload in vec(any::<u8>(), 0..40),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut frame = cat(&[&front, &plain(&payload)]);
        for (place, value) in damage {
            let place = place.index(frame.len());
            frame[place] = value;
        }
        for link in LINKS {
            check(&decode_as(link, &frame));
        }
    }

    #[test]
    fn a_generated_frame_gives_back_its_fields(made in generated()) {
        let packet = decode_frame(&made.frame);
        check(&packet);
        prop_assert_eq!(names(&packet), [""; 0]);
        prop_assert_eq!(packet.vlans.ids(), &made.vlans[..]);
        prop_assert_eq!((packet.tunnel, packet.tunnel_depth), made.tunnel);
        let ip = packet.ip.as_ref().unwrap();
        prop_assert_eq!((ip.source, ip.destination, ip.ttl), made.addresses);
        prop_assert_eq!(packet.ports, made.ports);
        match packet.transport {
            Transport::Tcp(tcp) => {
                prop_assert_eq!(Some((tcp.sequence, tcp.acknowledgement, tcp.window)), made.tcp);
                prop_assert!(tcp.has(Tcp::ACK));
            }
            other => prop_assert_eq!((other, made.tcp), (Transport::Udp, None)),
        }
        prop_assert_eq!(packet.payload(), &made.payload[..]);
        prop_assert_eq!(packet.checksums(), Checksums::default());
        prop_assert_eq!(packet.redundancy.map(|redundancy| redundancy.sequence), made.prp);
    }
}

/// A frame, and what decoding it must give.
#[derive(Debug, Clone)]
struct Made {
    frame: Vec<u8>,
    vlans: Vec<u16>,
    tunnel: (Tunnel, u8),
    addresses: (IpAddr, IpAddr, u8),
    ports: [u16; 2],
    tcp: Option<(u32, u32, u16)>,
    payload: Vec<u8>,
    prp: Option<u16>,
}

fn generated() -> impl Strategy<Value = Made> {
    let vlans = vec(1u16..4095, 0..3);
    let addresses = prop_oneof![
        any::<([u8; 4], [u8; 4], u8)>().prop_map(|(s, d, ttl)| (IpAddr::from(s), IpAddr::from(d), ttl)),
        any::<([u8; 16], [u8; 16], u8)>().prop_map(|(s, d, ttl)| (IpAddr::from(s), IpAddr::from(d), ttl)),
    ];
    // The destination is no port of a tunnel.
    let ports = (any::<u16>(), 1u16..2000).prop_map(|(source, destination)| [source, destination]);
    let tcp = proptest::option::of(any::<(u32, u32, u16)>());
    let payload = vec(any::<u8>(), 0..300);
    let around = (0usize..9, any::<bool>(), proptest::option::of(any::<u16>()));
    (vlans, addresses, ports, tcp, payload, around).prop_map(|(vlans, addresses, ports, tcp, payload, around)| {
        let mut inner = inner_frame(&vlans, addresses, ports, tcp, &payload);
        let (kind, pad, prp) = around;
        if pad || prp.is_some() {
            inner.resize(inner.len().max(60), 0);
        }
        if let Some(sequence) = prp {
            let size = u16::try_from(inner.len() - 14 - 4 * vlans.len() + 6).unwrap();
            inner = cat(&[&inner, &sequence.to_be_bytes(), &(0xb000 | size).to_be_bytes(), &[0x88, 0xfb]]);
        }
        let (frame, tunnel) = wrapped(kind, &inner);
        Made { frame, vlans, tunnel, addresses, ports, tcp, payload, prp }
    })
}

/// The frame as the independent encoder writes it, tagged.
fn inner_frame(
    vlans: &[u16],
    addresses: (IpAddr, IpAddr, u8),
    ports: [u16; 2],
    tcp: Option<(u32, u32, u16)>,
    payload: &[u8],
) -> Vec<u8> {
    let eth = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let ip = |eth: etherparse::PacketBuilderStep<etherparse::Ethernet2Header>| match addresses {
        (IpAddr::V4(s), IpAddr::V4(d), ttl) => eth.ipv4(s.octets(), d.octets(), ttl),
        (IpAddr::V6(s), IpAddr::V6(d), ttl) => eth.ipv6(s.octets(), d.octets(), ttl),
        _ => unreachable!("both of one version"),
    };
    let vlan = |id: u16| VlanId::try_new(id).unwrap();
    let step = match vlans {
        [] => ip(eth),
        _ => {
            let tagged = match vlans {
                [one] => eth.single_vlan(vlan(*one)),
                [outer, inner, ..] => eth.double_vlan(vlan(*outer), vlan(*inner)),
                [] => unreachable!(),
            };
            match addresses {
                (IpAddr::V4(s), IpAddr::V4(d), ttl) => tagged.ipv4(s.octets(), d.octets(), ttl),
                (IpAddr::V6(s), IpAddr::V6(d), ttl) => tagged.ipv6(s.octets(), d.octets(), ttl),
                _ => unreachable!("both of one version"),
            }
        }
    };
    let mut frame = Vec::new();
    match tcp {
        Some((sequence, acknowledgement, window)) => {
            step.tcp(ports[0], ports[1], sequence, window).ack(acknowledgement).write(&mut frame, payload).unwrap();
        }
        None => step.udp(ports[0], ports[1]).write(&mut frame, payload).unwrap(),
    }
    frame
}

/// The frame in a tunnel of some kind.
fn wrapped(kind: usize, inner: &[u8]) -> (Vec<u8>, (Tunnel, u8)) {
    let gre = |header: &[u8]| ethernet(IPV4, &ipv4(47, &cat(&[header, inner])));
    let in_udp = |port, header: &[u8]| ethernet(IPV6, &ipv6(UDP, &udp(port, &cat(&[header, inner]))));
    match kind {
        0 => (gre(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1]), (Tunnel::Gre, 1)),
        1 => (gre(&[0, 0, 0x88, 0xbe]), (Tunnel::Erspan, 1)),
        2 => (gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 1, 0, 0, 0, 0]), (Tunnel::Erspan, 1)),
        3 => {
            let header = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
            (gre(&header), (Tunnel::Erspan, 1))
        }
        4 => (in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0]), (Tunnel::Vxlan, 1)),
        5 => (in_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 42, 0]), (Tunnel::Geneve, 1)),
        _ => (inner.to_vec(), (Tunnel::None, 0)),
    }
}
