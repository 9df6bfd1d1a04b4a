use super::*;

#[test]
fn tcp_options_belong_to_the_header() {
    // Maximum segment size, SACK permitted, timestamps, no-operation, window scale.
    let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let frame = ethernet(IPV4, &ipv4(TCP, &tcp_with(&options, b"data")));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    let Transport::Tcp(tcp) = packet.transport else { panic!() };
    assert_eq!((tcp.header_length, tcp.timestamps, tcp.window_scale), (40, Some((1, 0)), Some(7)));
    assert!(tcp.has(Tcp::PSH | Tcp::ACK) && !tcp.has(Tcp::SYN));
}

#[test]
fn udp_payload_ends_with_the_udp_length() {
    let mut datagram = udp(20_000, b"datagram");
    datagram.extend_from_slice(b"surplus");
    let frame = ethernet(IPV4, &ipv4(UDP, &datagram));
    let packet = decode_frame(&frame);
    assert_eq!(names(&packet), ["udp.len_invalid"]);
    assert_eq!((packet.transport, packet.ports), (Transport::Udp, [40_000, 20_000]));
    assert_eq!(packet.payload(), b"datagram");
}

#[test]
fn icmp_gives_type_and_code_and_the_payload_behind_eight_bytes() {
    let frame = ethernet(IPV4, &ipv4(1, &[8, 0, 0, 0, 0, 1, 0, 2, b'p']));
    let packet = decode_frame(&frame);
    assert_eq!((packet.transport, clean_payload(&packet)), (Transport::Icmp { kind: 8, code: 0 }, &b"p"[..]));
    let quoted = ipv4(UDP, &udp(1, b""));
    let frame = ethernet(IPV4, &ipv4(1, &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted])));
    let packet = decode_frame(&frame);
    assert_eq!((packet.transport, clean_payload(&packet)), (Transport::Icmp { kind: 3, code: 3 }, &quoted[..]));
    let frame = ethernet(IPV6, &ipv6(58, &[129, 0, 0, 0, 0, 1, 0, 2, b'p']));
    let packet = decode_frame(&frame);
    assert_eq!((packet.transport, clean_payload(&packet)), (Transport::Icmp { kind: 129, code: 0 }, &b"p"[..]));
}

#[test]
fn the_payload_of_sctp_is_the_user_data_of_its_first_data_chunk_or_else_all_chunks() {
    let data = |user: &[u8]| {
        let padding = [0; 3];
        cat(&[
            &[0, 3, 0, 16 + user.len() as u8],
            &[0; 12],
            user,
            &padding[..user.len().next_multiple_of(4) - user.len()],
        ])
    };
    let heartbeat = [4, 0, 0, 8, 0, 1, 0, 4];
    for (chunks, payload) in [
        (data(b"x"), &b"x"[..]),
        (cat(&[&heartbeat, &data(b"first"), &data(b"second")]), b"first"),
        (heartbeat.to_vec(), &heartbeat),
        (Vec::new(), b""),
    ] {
        let sctp = cat(&[&[0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 7, 0, 0, 0, 0], &chunks]);
        let frame = ethernet(IPV4, &ipv4(132, &sctp));
        let packet = decode_frame(&frame);
        assert_eq!((packet.transport, packet.ports), (Transport::Sctp, [2905, 2906]));
        assert_eq!(clean_payload(&packet), payload);
        assert_eq!(packet.ip.as_ref().map(|ip| &packet.bytes[ip.payload.clone()]), Some(&sctp[..]), "headers stay");
    }
}

#[test]
fn a_data_chunk_of_sctp_that_is_cut_gives_what_there_is_of_its_user_data() {
    for (chunk, payload) in [
        (&[0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'x', b'y'][..], &b"xy"[..]),
        (&[0, 3, 0, 40, 0, 0][..], b""),
        (&[0, 3, 0, 8, 0, 0, 0, 1][..], b""),
    ] {
        let frame = ethernet(IPV4, &ipv4(132, &cat(&[&[0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 7, 0, 0, 0, 0], chunk])));
        assert_eq!(decode_frame(&frame).payload(), payload);
    }
}

#[test]
fn igmp_and_esp_are_payload_of_ip() {
    let report = [0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 251];
    let frame = ethernet(IPV4, &ipv4_with(&[148, 4, 0, 0], 2, &report));
    let packet = decode_frame(&frame);
    assert_eq!((packet.transport, clean_payload(&packet)), (Transport::None, &report[..]));
    let frame = ethernet(IPV4, &ipv4(50, b"encrypted"));
    let packet = decode_frame(&frame);
    assert_eq!((packet.transport, clean_payload(&packet)), (Transport::None, &b"encrypted"[..]));
}
