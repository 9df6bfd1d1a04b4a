use super::*;
use std::net::Ipv6Addr;

fn with_fragment(flags_and_offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(UDP, payload);
    packet[6..8].copy_from_slice(&flags_and_offset.to_be_bytes());
    ethernet(IPV4, &packet)
}

#[test]
fn ipv4_options_belong_to_the_header() {
    // Router alert, then two no-operations and the end of the list.
    let options = [148, 4, 0, 0, 1, 1, 0, 0];
    let frame = ethernet(IPV4, &ipv4_with(&options, TCP, &tcp(b"data")));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!(packet.ip.unwrap().header, 14..42);
}

#[test]
fn ipv4_fragments_stop_at_their_header() {
    let frame = with_fragment(0x2000, &udp(4789, b"first"));
    let packet = decode_frame(&frame);
    let ip = packet.ip.as_ref().unwrap();
    assert_eq!(ip.fragment, Some(Fragment { id: 0x1234, offset: 0, more: true }));
    assert_eq!((packet.transport, packet.ports), (Transport::None, [0, 0]));
    assert_eq!(clean_payload(&packet).len(), 13);

    let frame = with_fragment(0x0003, b"rest");
    let packet = decode_frame(&frame);
    assert_eq!(packet.ip.as_ref().unwrap().fragment, Some(Fragment { id: 0x1234, offset: 24, more: false }));
    assert_eq!(clean_payload(&packet), b"rest");
}

#[test]
fn a_total_length_of_zero_is_the_frames() {
    let mut packet = ipv4(TCP, &tcp(b"to be divided by the card"));
    packet[2..4].fill(0);
    let frame = ethernet(IPV4, &packet);
    assert_plain(&decode_frame(&frame), b"to be divided by the card");
    let mut packet = ipv6(TCP, &tcp(b"to be divided by the card"));
    packet[4..6].fill(0);
    let frame = ethernet(IPV6, &packet);
    assert_eq!(clean_payload(&decode_frame(&frame)), b"to be divided by the card");
}

#[test]
fn what_the_capture_cut_is_no_fault_of_the_packet() {
    let whole = plain(b"a payload that is cut");
    for length in 0..whole.len() {
        let packet = decode_cut(LinkType::Ethernet, &whole[..length], whole.len());
        assert_eq!(names(&packet), [""; 0], "{length}");
        if length >= 54 {
            assert_plain(&packet, &whole[54..length]);
        }
        assert!(packet.payload.end <= length);
    }
}

#[test]
fn a_total_length_beyond_the_frame_is_one_event_and_what_is_there_is_decoded() {
    let mut frame = plain(b"data");
    frame[16..18].copy_from_slice(&1500u16.to_be_bytes());
    let packet = decode_frame(&frame);
    assert_eq!(names(&packet), ["ipv4.trunc_pkt"]);
    assert_eq!((packet.ports, packet.payload()), ([40_000, 502], &b"data"[..]));
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let hop_by_hop = [60, 0, 5, 2, 0, 0, 0, 0];
    let destination = [43, 0, 4, 1, 1, 1, 1, 0];
    let routing = [51, 0, 4, 0, 0, 0, 0, 0];
    let authentication = [TCP, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2];
    let chain = cat(&[&hop_by_hop, &destination, &routing, &authentication, &tcp(b"data")]);
    let frame = ethernet(IPV6, &ipv6(0, &chain));
    let packet = decode_frame(&frame);
    assert_eq!(clean_payload(&packet), b"data");
    let ip = packet.ip.unwrap();
    assert_eq!((ip.protocol, ip.header, ip.payload), (TCP, 14..102, 102..126));
    assert_eq!(ip.source, "fd00::1".parse::<Ipv6Addr>().unwrap());
    assert_eq!(ip.destination, "fd00::2".parse::<Ipv6Addr>().unwrap());
}

#[test]
fn ipv6_fragments_stop_behind_the_fragment_header() {
    let header = [UDP, 0, 0x00, 0x11, 0xde, 0xad, 0xbe, 0xef];
    let frame = ethernet(IPV6, &ipv6(44, &cat(&[&header, b"8 bytes."])));
    let packet = decode_frame(&frame);
    let ip = packet.ip.as_ref().unwrap();
    assert_eq!(ip.fragment, Some(Fragment { id: 0xdead_beef, offset: 16, more: true }));
    assert_eq!((ip.protocol, ip.header.clone()), (UDP, 14..62));
    assert_eq!(clean_payload(&packet), b"8 bytes.");
}

#[test]
fn an_atomic_fragment_is_whole() {
    let header = [TCP, 0, 0, 0, 0, 0, 0, 1];
    let frame = ethernet(IPV6, &ipv6(44, &cat(&[&header, &tcp(b"data")])));
    let packet = decode_frame(&frame);
    assert_eq!(names(&packet), ["ipv6.exthdr_useless_fh"]);
    assert_eq!((packet.ip.as_ref().unwrap().fragment, packet.payload()), (None, &b"data"[..]));
}

#[test]
fn an_authentication_header_in_ipv4_counts_as_header() {
    let authentication = [TCP, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2];
    let frame = ethernet(IPV4, &ipv4(51, &cat(&[&authentication, &tcp(b"data")])));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!(packet.ip.unwrap().header, 14..58);
}

#[test]
fn a_joined_datagram_keeps_what_stood_around_its_fragments() {
    let fragment = ethernet(VLAN, &tag(9, IPV4, &with_fragment(0x0001, b"rest")[14..]));
    let last = decode_frame(&fragment);
    let datagram = ipv4(TCP, &tcp(b"data"));
    let packet = decode_ip(&datagram, &last, &DecodeLimits::default());
    assert_plain(&packet, b"data");
    assert_eq!((packet.vlans, packet.ethernet, packet.number), (last.vlans, last.ethernet, last.number));
    assert_eq!(packet.payload, 40..44);
}

#[test]
fn checksums_are_compared_where_all_bytes_are_there() {
    use etherparse::PacketBuilder;
    let eth = || PacketBuilder::ethernet2([2; 6], [3; 6]);
    let mut frames = vec![Vec::new(); 6];
    let (v4, v6) = (([10, 0, 0, 1], [10, 0, 0, 2]), ([0xfd; 16], [0xfe; 16]));
    eth().ipv4(v4.0, v4.1, 9).tcp(1, 2, 3, 4).write(&mut frames[0], b"odd").unwrap();
    eth().ipv4(v4.0, v4.1, 9).udp(1, 2).write(&mut frames[1], b"even").unwrap();
    eth().ipv4(v4.0, v4.1, 9).icmpv4_echo_request(1, 2).write(&mut frames[2], b"echo").unwrap();
    eth().ipv6(v6.0, v6.1, 9).tcp(1, 2, 3, 4).write(&mut frames[3], b"odd").unwrap();
    eth().ipv6(v6.0, v6.1, 9).udp(1, 2).write(&mut frames[4], b"even").unwrap();
    eth().ipv6(v6.0, v6.1, 9).icmpv6_echo_request(1, 2).write(&mut frames[5], b"echo").unwrap();
    for frame in &mut frames {
        assert_eq!(decode_frame(frame).checksums(), Checksums::default());
        *frame.last_mut().unwrap() ^= 0x10;
        assert_eq!(decode_frame(frame).checksums(), Checksums { ip_bad: false, transport_bad: true });
        // The last byte was not captured: nothing to say.
        let cut = decode_cut(LinkType::Ethernet, &frame[..frame.len() - 1], frame.len());
        assert_eq!(cut.checksums(), Checksums::default());
    }
    frames[0][22] ^= 1;
    assert!(decode_frame(&frames[0]).checksums().ip_bad);
    // A UDP checksum of 0 was left out in IPv4.
    frames[1][40..42].fill(0);
    assert_eq!(decode_frame(&frames[1]).checksums(), Checksums::default());
}
