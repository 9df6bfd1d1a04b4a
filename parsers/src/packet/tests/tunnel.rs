use super::*;

fn gre(header: &[u8], payload: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &ipv4(47, &cat(&[header, payload])))
}

fn in_udp(port: u16, header: &[u8], payload: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &ipv4(UDP, &udp(port, &cat(&[header, payload]))))
}

#[track_caller]
fn assert_tunnel(frame: &[u8], tunnel: Tunnel) {
    let packet = decode_frame(frame);
    assert_plain(&packet, b"data");
    assert_eq!((packet.tunnel, packet.tunnel_depth), (tunnel, 1));
    let carrier = packet.carrier().expect("the carrier");
    assert_eq!((carrier.source.0, carrier.destination.0), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
    assert!(matches!(carrier.protocol, UDP | 47 | 4));
    assert_eq!(carrier.source.1, if carrier.protocol == UDP { 40_000 } else { 0 });
}

#[test]
fn gre_with_every_optional_field_leads_to_the_packet() {
    let inner = ipv4(TCP, &tcp(b"data"));
    assert_tunnel(&gre(&[0, 0, 8, 0], &inner), Tunnel::Gre);
    assert_tunnel(&gre(&[0x80, 0, 8, 0, 1, 2, 0, 0], &inner), Tunnel::Gre);
    assert_tunnel(&gre(&[0x20, 0, 8, 0, 0, 0, 0, 1], &inner), Tunnel::Gre);
    assert_tunnel(&gre(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1], &inner), Tunnel::Gre);
    // Routing: checksum and offset, one entry of four bytes, the last entry.
    let routing = [0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 10, 0, 0, 3, 0, 0, 0, 0];
    assert_tunnel(&gre(&routing, &inner), Tunnel::Gre);
}

#[test]
fn gre_carries_ethernet_vlan_and_redirected_packets() {
    assert_tunnel(&gre(&[0, 0, 0x65, 0x58], &plain(b"data")), Tunnel::Gre);
    let inner = ipv4(TCP, &tcp(b"data"));
    assert_tunnel(&gre(&[0, 0, 0x81, 0], &tag(5, IPV4, &inner)), Tunnel::Gre);
    assert_tunnel(&gre(&[0, 0, 0x88, 0x3e], &inner), Tunnel::Gre);
    assert_tunnel(&gre(&[0, 0, 0x88, 0x3e, 1, 2, 3, 4], &inner), Tunnel::Gre);
}

#[test]
fn gre_version_1_carries_ppp_up_to_its_length() {
    let ppp = cat(&[&[0xff, 3, 0, 0x21], &ipv4(TCP, &tcp(b"data"))]);
    let length = u16::try_from(ppp.len()).unwrap().to_be_bytes();
    let header = cat(&[&[0x30, 0x81, 0x88, 0x0b], &length, &[0, 1, 0, 0, 0, 1, 0, 0, 0, 2]]);
    assert_tunnel(&gre(&header, &cat(&[&ppp, &[0; 5]])), Tunnel::Gre);
    // An acknowledgement alone.
    let frame = gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 2], &[]);
    let packet = decode_frame(&frame);
    assert_eq!((clean_payload(&packet), packet.tunnel), (&[][..], Tunnel::None));
}

#[test]
fn erspan_of_all_types_leads_to_the_mirrored_frame() {
    let frame = plain(b"data");
    let (ii, iii) = ([0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1]);
    assert_tunnel(&gre(&[0, 0, 0x88, 0xbe], &frame), Tunnel::Erspan);
    assert_tunnel(&gre(&ii, &cat(&[&[0x10, 0x07, 0, 1, 0, 0, 0, 0], &frame])), Tunnel::Erspan);
    let header = [0x20, 0x07, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_tunnel(&gre(&iii, &cat(&[&header, &frame])), Tunnel::Erspan);
    // With 8 bytes of the platform's, announced and not announced.
    let mut announced = header;
    announced[11] = 1;
    for header in [announced, header] {
        assert_tunnel(&gre(&iii, &cat(&[&header, &[0xa5; 8], &frame])), Tunnel::Erspan);
    }
    // Frame type 2: an IP packet.
    let mut ip = header;
    ip[10] = 2 << 2;
    assert_tunnel(&gre(&iii, &cat(&[&ip, &frame[14..]])), Tunnel::Erspan);
}

#[test]
fn the_vlan_of_erspan_counts_where_the_frame_has_no_tag() {
    let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0x07, 0, 1, 0, 0, 0, 0];
    assert_eq!(decode_frame(&gre(&header, &plain(b"data"))).vlans.ids(), [7]);
    let tagged = ethernet(VLAN, &tag(9, IPV4, &ipv4(TCP, &tcp(b"data"))));
    assert_eq!(decode_frame(&gre(&header, &tagged)).vlans.ids(), [9]);
}

#[test]
fn a_mirrored_frame_shows_its_own_addresses_and_ethertype() {
    let mut inner = ethernet(0x88b8, b"goose");
    inner[6..12].copy_from_slice(b"device");
    let frame = gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &cat(&[&[0x10, 0, 0, 1, 0, 0, 0, 0], &inner]));
    let packet = decode_frame(&frame);
    let ethernet = packet.ethernet.unwrap();
    assert_eq!((&ethernet.source, ethernet.ethertype), (b"device", 0x88b8));
    assert!(packet.ip.is_none());
    assert_eq!(clean_payload(&packet), b"goose");
}

#[test]
fn vxlan_on_both_ports_leads_to_the_frame() {
    for port in [4789, 8472] {
        assert_tunnel(&in_udp(port, &[8, 0, 0, 0, 0, 0, 42, 0], &plain(b"data")), Tunnel::Vxlan);
    }
    // Group policy.
    assert_tunnel(&in_udp(4789, &[0x88, 0, 0, 9, 0, 0, 42, 0], &plain(b"data")), Tunnel::Vxlan);
}

#[test]
fn geneve_with_options_leads_to_the_packet() {
    let header = [1, 0x40, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 0];
    assert_tunnel(&in_udp(6081, &header, &plain(b"data")), Tunnel::Geneve);
    let header = [0, 0, 8, 0, 0, 0, 42, 0];
    assert_tunnel(&in_udp(6081, &header, &ipv4(TCP, &tcp(b"data"))), Tunnel::Geneve);
}

#[test]
fn gtp_with_optional_fields_and_extension_headers_leads_to_the_packet() {
    let inner = ipv4(TCP, &tcp(b"data"));
    let gtp = |flags: u8, fields: &[u8], inner: &[u8]| {
        let length = u16::try_from(fields.len() + inner.len()).unwrap().to_be_bytes();
        in_udp(2152, &cat(&[&[flags, 255], &length, &[0, 0, 0, 1], fields]), inner)
    };
    assert_tunnel(&gtp(0x30, &[], &inner), Tunnel::Gtp);
    assert_tunnel(&gtp(0x32, &[0, 1, 0, 0], &inner), Tunnel::Gtp);
    assert_tunnel(&gtp(0x34, &[0, 0, 0, 0x85, 1, 0, 9, 0x40, 1, 1, 2, 0], &inner), Tunnel::Gtp);
    assert_tunnel(&gtp(0x30, &[], &plain(b"data")), Tunnel::Gtp);
}

#[test]
fn teredo_with_authentication_and_origin_leads_to_the_packet() {
    let inner = ipv6(TCP, &tcp(b"six"));
    let authentication: &[u8] = &[0, 1, 1, 2, 9, 8, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    let origin: &[u8] = &[0, 0, 0xf1, 0x2a, 0x47, 0x7b, 0xec, 0x86];
    for header in [&[][..], authentication, origin, &cat(&[authentication, origin])] {
        let frame = in_udp(3544, header, &inner);
        let packet = decode_frame(&frame);
        assert_eq!(clean_payload(&packet), b"six");
        assert_eq!((packet.tunnel, packet.tunnel_depth), (Tunnel::Teredo, 1));
    }
    let mut answer = in_udp(40_000, &[], &inner);
    answer[34..36].copy_from_slice(&3544u16.to_be_bytes());
    assert_eq!(decode_frame(&answer).tunnel, Tunnel::Teredo);
}

#[test]
fn the_packet_that_carries_a_tunnel_is_had_by_entering_fewer() {
    let vxlan = in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0], &plain(b"data"));
    let frame = gre(&[0, 0, 0x65, 0x58], &vxlan);
    let carrier = |tunnels| {
        let captured = Captured {
            number: 1,
            timestamp: Timestamp(0),
            link: LinkType::Ethernet,
            frame: &frame,
            wire_length: frame.len() as u32,
            stripped_vlan: None,
        };
        decode(&captured, &DecodeLimits { tunnels, ..DecodeLimits::default() })
    };
    let outer = carrier(0);
    assert_eq!((outer.ip.as_ref().unwrap().protocol, outer.tunnel_depth), (47, 0));
    assert_eq!((outer.ethernet_header, clean_payload(&outer).len()), (Some(0), 4 + vxlan.len()));
    let middle = carrier(1);
    assert_eq!((middle.ports, middle.tunnel), ([40_000, 4789], Tunnel::Gre));
    assert_eq!((middle.ethernet_header, clean_payload(&middle).len()), (Some(38), 8 + plain(b"data").len()));
    let inner = carrier(2);
    assert_plain(&inner, b"data");
    assert_eq!(inner.ethernet_header, Some(88));
    // An IP packet in an IP packet has the Ethernet header of its carrier.
    let frame = ethernet(IPV4, &ipv4(4, &ipv4(TCP, &tcp(b"data"))));
    assert_eq!(decode_frame(&frame).ethernet_header, Some(0));
}

#[test]
fn ip_in_ip_of_every_pair_of_versions_leads_to_the_packet() {
    let inner = ipv4(TCP, &tcp(b"data"));
    assert_tunnel(&ethernet(IPV4, &ipv4(4, &inner)), Tunnel::Ipv4);
    let frame = ethernet(IPV6, &ipv6(4, &inner));
    assert_plain(&decode_frame(&frame), b"data");
    let six = ipv6(TCP, &tcp(b"six"));
    for (frame, outer) in
        [(ethernet(IPV4, &ipv4(41, &six)), Tunnel::Ipv4), (ethernet(IPV6, &ipv6(41, &six)), Tunnel::Ipv6)]
    {
        let packet = decode_frame(&frame);
        assert_eq!(clean_payload(&packet), b"six");
        assert_eq!((packet.tunnel, packet.tunnel_depth), (outer, 1));
    }
}

#[test]
fn tunnels_in_tunnels_are_counted() {
    let vxlan = in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0], &plain(b"data"));
    let frame = gre(&[0, 0, 0x65, 0x58], &vxlan);
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!((packet.tunnel, packet.tunnel_depth), (Tunnel::Vxlan, 2));
    assert_eq!(packet.carrier().unwrap().protocol, UDP);
}

#[test]
fn a_datagram_to_a_tunnels_port_that_is_no_tunnel_stays_udp() {
    for port in [4789, 8472, 6081, 2152, 3544] {
        for payload in [&b""[..], b"hello", &[8, 0, 0, 0, 1], &[0x30, 255, 0, 1, 2, 3], &[0xff; 100]] {
            let frame = in_udp(port, &[], payload);
            let packet = decode_frame(&frame);
            assert_eq!((packet.transport, packet.ports), (Transport::Udp, [40_000, port]));
            assert_eq!((packet.tunnel, clean_payload(&packet)), (Tunnel::None, payload));
        }
    }
    // A right header, but no packet behind it: named, and still UDP.
    let frame = in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0], &[0x55; 40]);
    let packet = decode_frame(&frame);
    assert_eq!((packet.transport, packet.tunnel), (Transport::Udp, Tunnel::None));
    assert_eq!((names(&packet), packet.payload().len()), (vec!["vxlan.unknown_payload_type"], 48));
}

#[test]
fn an_unknown_payload_of_gre_leaves_the_outer_packet() {
    let frame = gre(&[0, 0, 0x12, 0x34], b"what");
    let packet = decode_frame(&frame);
    assert_eq!(names(&packet), ["gre.unknown_protocol"]);
    assert_eq!((packet.ip.as_ref().unwrap().protocol, packet.tunnel), (47, Tunnel::None));
    assert_eq!(packet.payload(), b"what");
}
