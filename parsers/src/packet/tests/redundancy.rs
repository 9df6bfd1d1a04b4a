use super::*;

/// The frame with a PRP trailer of LAN A, sequence 0x0102.
fn with_trailer(frame: &[u8], header: usize) -> Vec<u8> {
    let size = u16::try_from(frame.len() - header + 6).unwrap();
    cat(&[frame, &[1, 2], &(0xa000 | size).to_be_bytes(), &[0x88, 0xfb]])
}

fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(60), 0);
    frame
}

const LAN_A: Redundancy = Redundancy { kind: RedundancyKind::Prp, lan: 0xa, sequence: 0x0102 };

#[test]
fn a_prp_trailer_is_found_behind_padding_and_payload() {
    for payload in [&b""[..], &[7; 300]] {
        let frame = with_trailer(&padded(plain(payload)), 14);
        let packet = decode_frame(&frame);
        assert_plain(&packet, payload);
        assert_eq!(packet.redundancy, Some(LAN_A));
    }
}

#[test]
fn a_prp_trailer_is_taken_off_a_frame_without_ip() {
    let frame = with_trailer(&padded(ethernet(0x88b8, b"goose")), 14);
    let packet = decode_frame(&frame);
    assert_eq!(packet.redundancy, Some(LAN_A));
    assert_eq!(clean_payload(&packet).len(), 60 - 14);
}

#[test]
fn a_prp_trailer_before_padding_or_a_frame_check_sequence_is_found() {
    let frame = padded(with_trailer(&plain(b""), 14));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"");
    assert_eq!((frame.len(), packet.redundancy), (60, Some(LAN_A)));

    let mut frame = with_trailer(&plain(&[7; 100]), 14);
    frame.extend_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    let packet = decode_frame(&frame);
    assert_plain(&packet, &[7; 100]);
    assert_eq!(packet.redundancy, Some(LAN_A));
}

#[test]
fn the_size_in_a_prp_trailer_may_leave_out_vlan_tags_or_count_them() {
    let tagged = padded(ethernet(VLAN, &tag(5, IPV4, &ipv4(TCP, &tcp(b"data")))));
    for header in [14, 18] {
        let frame = with_trailer(&tagged, header);
        let packet = decode_frame(&frame);
        assert_plain(&packet, b"data");
        assert_eq!(packet.redundancy, Some(LAN_A));
    }
}

#[test]
fn bytes_like_a_prp_trailer_inside_the_ip_packet_are_payload() {
    let size = u16::try_from(20 + 20 + 6).unwrap();
    let payload = cat(&[&[1, 2], &(0xa000 | size).to_be_bytes(), &[0x88, 0xfb]]);
    let frame = plain(&payload);
    let packet = decode_frame(&frame);
    assert_plain(&packet, &payload);
    assert_eq!(packet.redundancy, None);
}

#[test]
fn a_prp_trailer_with_a_wrong_size_is_named_and_not_believed() {
    let mut frame = with_trailer(&padded(plain(b"data")), 14);
    let size = frame.len() - 3;
    frame[size] ^= 1;
    let packet = decode_frame(&frame);
    assert_eq!((names(&packet), packet.redundancy), (vec!["prp.size_mismatch"], None));
    assert_eq!(packet.payload(), b"data");
    assert_eq!(packet.events.located().next().unwrap().offset, 60);
}

#[test]
fn the_suffix_alone_is_no_trailer() {
    // Not IP, wrong size: any frame may end like this.
    let frame = ethernet(0x88b8, &[1, 2, 0xa3, 0x00, 0x88, 0xfb]);
    let packet = decode_frame(&frame);
    assert_eq!((clean_payload(&packet).len(), packet.redundancy), (6, None));
}

#[test]
fn a_mirrored_frame_keeps_its_prp_trailer() {
    let inner = with_trailer(&padded(plain(b"data")), 14);
    let erspan = cat(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0x10, 0, 0, 1, 0, 0, 0, 0], &inner]);
    let frame = ethernet(IPV4, &ipv4(47, &erspan));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!((packet.redundancy, packet.tunnel), (Some(LAN_A), Tunnel::Erspan));
}

#[test]
fn an_hsr_tag_gives_path_and_sequence() {
    let inner = ipv4(TCP, &tcp(b"data"));
    let size = u16::try_from(inner.len() + 6).unwrap();
    let frame = ethernet(0x892f, &cat(&[&(0x3000 | size).to_be_bytes(), &[0xab, 0xcd, 8, 0], &inner]));
    let packet = decode_frame(&frame);
    assert_plain(&packet, b"data");
    assert_eq!(packet.redundancy, Some(Redundancy { kind: RedundancyKind::Hsr, lan: 3, sequence: 0xabcd }));
    assert_eq!(packet.ethernet.unwrap().ethertype, IPV4);
}

#[test]
fn hsr_supervision_is_payload_under_its_ethertype() {
    let supervision = [0, 1, 0, 9, 23, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let size = u16::try_from(supervision.len() + 6).unwrap();
    let frame = ethernet(0x892f, &cat(&[&size.to_be_bytes(), &[0, 1, 0x88, 0xfb], &supervision]));
    let packet = decode_frame(&frame);
    assert_eq!(clean_payload(&packet), supervision);
    assert_eq!(packet.ethernet.unwrap().ethertype, 0x88fb);
}
