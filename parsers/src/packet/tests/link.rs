use super::*;

#[test]
fn a_plain_frame_gives_every_field() {
    let frame = plain(b"data");
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!(
        packet.ethernet,
        Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 2], ethertype: IPV4 })
    );
    let ip = packet.ip.as_ref().unwrap();
    assert_eq!((ip.header.clone(), ip.payload.clone(), packet.payload.clone()), (14..34, 34..58, 54..58));
    assert_eq!((packet.tunnel, packet.tunnel_depth, packet.redundancy), (Tunnel::None, 0, None));
}

#[test]
fn padding_is_no_payload() {
    let mut frame = plain(b"");
    frame.resize(60, 0);
    assert_plain(&decode_frame(&frame), b"");
    let mut frame = ethernet(IPV6, &ipv6(UDP, &udp(1000, b"xy")));
    frame.resize(80, 0xaa);
    assert_eq!(clean_payload(&decode_frame(&frame)), b"xy");
    let mut frame = ethernet(0x0806, &arp());
    frame.resize(60, 0);
    assert_eq!(clean_payload(&decode_frame(&frame)), arp());
    let mut frame = ethernet(3, &[0x42, 0x42, 0x03]);
    frame.resize(60, 0);
    assert_eq!(clean_payload(&decode_frame(&frame)), [0x42, 0x42, 0x03]);
}

fn arp() -> [u8; 28] {
    let mut arp = [0; 28];
    arp[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    arp
}

#[test]
fn vlan_tags_of_every_ethertype_are_kept_outermost_first() {
    for outer in [0x8100, 0x88a8, 0x9100] {
        let frame = ethernet(outer, &tag(0x601e, VLAN, &tag(7, IPV4, &ipv4(TCP, &tcp(b"data")))));
        let packet = decode_frame(&frame);
        assert_plain(&packet, b"data");
        assert_eq!(packet.vlans.ids(), [30, 7]);
        assert_eq!(packet.ethernet.unwrap().ethertype, IPV4);
    }
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let frame = ethernet(VLAN, &tag(0xe000, IPV4, &ipv4(TCP, &tcp(b"data"))));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert!(packet.vlans.ids().is_empty());
}

#[test]
fn a_tag_that_the_network_card_took_off_comes_first() {
    let frame = ethernet(VLAN, &tag(7, IPV4, &ipv4(TCP, &tcp(b"data"))));
    let captured = Captured {
        number: 9,
        timestamp: Timestamp(5),
        link: LinkType::Ethernet,
        frame: &frame,
        wire_length: 66,
        stripped_vlan: Some((0x201e, 0x88a8)),
    };
    let packet = decode(&captured, &DecodeLimits::default());
    assert_eq!(packet.vlans.ids(), [30, 7]);
    assert_eq!((packet.number, packet.timestamp), (9, Timestamp(5)));
}

#[test]
fn more_tags_than_are_kept_are_walked() {
    let inner = tag(4, IPV4, &ipv4(TCP, &tcp(b"data")));
    let frame = ethernet(VLAN, &tag(1, VLAN, &tag(2, VLAN, &tag(3, VLAN, &inner))));
    let packet = decode_frame(&frame);
    assert_eq!(names(&packet), ["vlan.too_many_layers"]);
    assert_eq!((packet.vlans.ids(), packet.payload()), (&[1, 2, 3][..], &b"data"[..]));
}

#[test]
fn bridge_tags_lead_to_the_packet() {
    let inner = ipv4(TCP, &tcp(b"data"));
    let frames = [
        ethernet(0x8926, &cat(&[&[0, 0, 0, 0, 8, 0], &inner])),
        ethernet(0x893f, &cat(&[&[0, 0, 0, 0, 0, 0, 8, 0], &inner])),
        ethernet(0x88e7, &cat(&[&[0, 0, 0, 1], &plain(b"data")])),
        ethernet(0x8903, &cat(&[&[0, 1], &plain(b"data")])),
        ethernet(0x8909, &cat(&[&[1, 1, 0, 1, 0, 9, 8, 0], &inner])),
    ];
    for frame in &frames {
        assert_plain(&decode_frame(frame), b"data");
    }
}

#[test]
fn snap_leads_to_the_packet_and_other_llc_stays_payload() {
    let inner = ipv4(TCP, &tcp(b"data"));
    let snap = cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &inner]);
    let mut frame = ethernet(u16::try_from(snap.len()).unwrap(), &snap);
    frame.resize(90, 0);
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!(packet.ethernet.unwrap().ethertype, IPV4);

    let cdp = [0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 1, 2];
    let frame = ethernet(10, &cdp);
    let packet = decode_frame(&frame);
    assert_eq!((clean_payload(&packet), packet.ethernet.unwrap().ethertype), (&[1, 2][..], 0x2000));

    let frame = ethernet(4, &[0xfe, 0xfe, 3, 0x83]);
    let packet = decode_frame(&frame);
    assert_eq!((clean_payload(&packet), packet.ethernet.unwrap().ethertype), (&[0xfe, 0xfe, 3, 0x83][..], 0xfe));
    let frame = ethernet(3, &[0xfe, 0xfd, 3]);
    assert_eq!(decode_frame(&frame).ethernet.unwrap().ethertype, 0);
}

#[test]
fn ot_frames_without_ip_are_payload_under_their_ethertype() {
    for ethertype in [0x8892, 0x88a4, 0x88b8, 0x88ba, 0x88cc, 0x88fb] {
        let frame = ethernet(VLAN, &tag(5, ethertype, b"telegram"));
        let packet = decode_frame(&frame);
        assert_eq!(clean_payload(&packet), b"telegram");
        assert_eq!((packet.ethernet.unwrap().ethertype, packet.ip.is_none()), (ethertype, true));
    }
}

#[test]
fn mpls_carries_ip_by_version_and_ethernet_with_and_without_control_word() {
    let label = |value: u32, bottom: u32| (value << 12 | bottom << 8 | 64).to_be_bytes();
    let (v4, v6) = (ipv4(TCP, &tcp(b"data")), ipv6(TCP, &tcp(b"data")));
    for ethertype in [0x8847, 0x8848] {
        for payload in [v4.clone(), plain(b"data"), cat(&[&[0, 0, 0, 0], &plain(b"data")])] {
            let frame = ethernet(ethertype, &cat(&[&label(100, 0), &label(200, 1), &payload]));
            assert_plain(&decode_frame(&frame), b"data");
        }
    }
    let explicit = ethernet(0x8847, &cat(&[&label(0, 1), &v4]));
    assert_plain(&decode_frame(&explicit), b"data");
    for null in [2, 300] {
        let frame = ethernet(0x8847, &cat(&[&label(null, 1), &v6]));
        assert_eq!(clean_payload(&decode_frame(&frame)), b"data");
    }
}

#[test]
fn pppoe_sessions_lead_to_ip_of_both_versions() {
    let session = |ppp: &[u8]| {
        let length = u16::try_from(ppp.len()).unwrap().to_be_bytes();
        let mut frame = ethernet(0x8864, &cat(&[&[0x11, 0, 0, 9], &length, ppp]));
        frame.resize(frame.len().max(60) + 4, 0);
        frame
    };
    let frame = session(&cat(&[&[0, 0x21], &ipv4(TCP, &tcp(b"data"))]));
    assert_plain(&decode_frame(&frame), b"data");
    let frame = session(&cat(&[&[0, 0x57], &ipv6(TCP, &tcp(b"data"))]));
    assert_eq!(clean_payload(&decode_frame(&frame)), b"data");
    let frame = session(&[0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0]);
    assert_eq!(clean_payload(&decode_frame(&frame)), [9, 1, 0, 8, 0, 0, 0, 0]);
}

#[test]
fn pppoe_discovery_is_checked_and_left_as_payload() {
    let frame = ethernet(0x8863, &[0x11, 0x09, 0, 0, 0, 8, 1, 1, 0, 0, 1, 3, 0, 0, 0, 0]);
    let packet = decode_frame(&frame);
    assert_eq!(clean_payload(&packet), &frame[14..28]);
}

#[test]
fn other_link_types_lead_to_the_packet() {
    let v4 = ipv4(TCP, &tcp(b"data"));
    let frames = [
        (LinkType::RawIp, v4.clone()),
        (LinkType::LinuxSll, cat(&[&[0; 14], &[8, 0], &v4])),
        (LinkType::LinuxSll2, cat(&[&[8, 0], &[0; 18], &v4])),
        (LinkType::Loopback, cat(&[&[2, 0, 0, 0], &v4])),
        (LinkType::Loopback, cat(&[&[0, 0, 0, 2], &v4])),
        (LinkType::Ppp, cat(&[&[0, 0x21], &v4])),
        (LinkType::Ppp, cat(&[&[0xff, 3, 0x21], &v4])),
        (LinkType::CiscoHdlc, cat(&[&[0x0f, 0, 8, 0], &v4])),
    ];
    for (link, frame) in &frames {
        let packet = decode_as(*link, frame);
        assert_plain(&packet, b"data");
        assert_eq!(packet.ethernet, None);
    }
    let v6 = ipv6(TCP, &tcp(b"data"));
    for family in [10, 23, 24, 28, 30] {
        let frame = cat(&[&[0, 0, 0, family], &v6]);
        assert_eq!(clean_payload(&decode_as(LinkType::Loopback, &frame)), b"data");
    }
}

#[test]
fn a_cooked_header_tells_the_sender_and_what_follows() {
    let sender = [2, 0, 0, 0, 0, 7];
    let request = cat(&[&[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]]);
    let one = cat(&[&[0, 1, 0, 1, 0, 6], &sender, &[0, 0, 8, 6], &request]);
    let two = cat(&[&[8, 6, 0, 0, 0, 0, 0, 2, 0, 1, 1, 6], &sender, &[0, 0], &request]);
    for (link, frame) in [(LinkType::LinuxSll, one), (LinkType::LinuxSll2, two)] {
        let packet = decode_as(link, &frame);
        let expected = Ethernet { source: sender, destination: [0; 6], ethertype: 0x0806 };
        assert_eq!(packet.ethernet, Some(expected));
        assert_eq!(packet.payload(), request);
    }
}

#[test]
fn nesting_is_bounded() {
    let mut packet = ipv4(TCP, &tcp(b"data"));
    for _ in 0..40 {
        packet = ipv4(4, &packet);
    }
    let frame = ethernet(IPV4, &packet);
    let packet = decode_frame(&frame);
    assert_eq!(names(&packet), ["too_many_layers"]);
    assert_eq!(packet.tunnel_depth, 15);
    assert_eq!(packet.transport, Transport::None);
}

#[test]
fn link_types_have_their_registered_numbers() {
    let known = [0, 1, 9, 12, 14, 50, 101, 104, 108, 113, 228, 229, 276];
    for number in 0..400 {
        assert_eq!(LinkType::from_number(number).is_some(), known.contains(&number), "{number}");
    }
}

#[test]
fn network_service_headers_lead_to_the_packet_behind_their_metadata() {
    let nsh = |words: u8, metadata: u8, next: u8, inner: &[u8]| {
        cat(&[&[0x0f, 0xc0 | words, metadata, next, 0, 0, 7, 255], &vec![0x55; 4 * usize::from(words) - 8], inner])
    };
    let (four, six) = (ipv4(TCP, &tcp(b"four")), ipv6(TCP, &tcp(b"six")));
    for (header, payload) in [
        (nsh(6, 1, 1, &four), &b"four"[..]),
        (nsh(2, 2, 1, &four), b"four"),
        (nsh(63, 2, 2, &six), b"six"),
        (nsh(6, 1, 3, &ethernet(IPV4, &four)), b"four"),
        (nsh(6, 1, 3, &ethernet(VLAN, &tag(7, IPV4, &four))), b"four"),
        (nsh(2, 2, 4, &nsh(3, 2, 1, &four)), b"four"),
        (nsh(2, 2, 5, &cat(&[&[0, 1, 1, 64], &four])), b"four"),
    ] {
        let frame = ethernet(0x894f, &header);
        let packet = decode_frame(&frame);
        assert_eq!(clean_payload(&packet), payload);
        assert_eq!((packet.tunnel, packet.tunnel_depth), (Tunnel::None, 0));
    }
    // Where the capture ends within it, that is no fault of its own.
    let frame = ethernet(0x894f, &nsh(6, 1, 1, &four));
    for length in 14..14 + 24 {
        assert_eq!(names(&decode_cut(LinkType::Ethernet, &frame[..length], frame.len())), [""; 0], "{length}");
    }
}
