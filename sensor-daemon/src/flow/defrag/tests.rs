use proptest::prelude::*;

use super::super::testing::*;
use super::*;

const V4: (&str, &str) = ("10.0.0.1", "10.0.0.2");
const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");

fn part(ends: (&str, &str), id: u32, offset: usize, more: bool, data: &[u8]) -> Frame {
    fragment(ends.0, ends.1, 17, (id, offset as u32, more), data)
}

/// The payload of a whole datagram, its header checked.
fn payload(datagram: &[u8]) -> &[u8] {
    if datagram[0] >> 4 == 4 {
        assert_eq!(usize::from(u16::from_be_bytes([datagram[2], datagram[3]])), datagram.len());
        assert_eq!(datagram[6..8], [0, 0], "no longer a fragment");
        assert_eq!(checksum(&datagram[..20]), 0);
        assert_eq!(datagram[9], 17);
        &datagram[20..]
    } else {
        assert_eq!(usize::from(u16::from_be_bytes([datagram[4], datagram[5]])) + 40, datagram.len());
        assert_eq!(datagram[6], 17, "no fragment header");
        &datagram[40..]
    }
}

#[test]
fn fragments_in_any_order_make_the_datagram() {
    for ends in [V4, V6] {
        let mut defrag = Defragmenter::new(&Settings::default());
        assert!(defrag.push(&part(ends, 1, 16, false, b"last").packet()).is_none());
        assert!(defrag.push(&part(ends, 1, 0, true, b"01234567").packet()).is_none());
        let whole = defrag.push(&part(ends, 1, 8, true, b"89abcdef").packet()).expect("complete");
        assert_eq!(payload(whole), b"0123456789abcdeflast");
        let stats = defrag.stats();
        assert_eq!((stats.completed, stats.waiting, stats.memory_bytes), (1, 0, 0));
    }
}

#[test]
fn ipv6_extension_headers_before_the_fragment_header_stay() {
    let mut defrag = Defragmenter::new(&Settings::default());
    let with_options = |frame: Frame| {
        let mut frame = frame;
        // Hop-by-hop options (PadN) between the IPv6 and the fragment header.
        frame.bytes[6] = 0;
        frame.bytes.splice(40..40, [44, 0, 1, 4, 0, 0, 0, 0]);
        frame.ip.header.end += 8;
        frame.ip.payload = frame.ip.payload.start + 8..frame.bytes.len();
        frame
    };
    assert!(defrag.push(&with_options(part(V6, 1, 0, true, b"01234567")).packet()).is_none());
    let whole = defrag.push(&with_options(part(V6, 1, 8, false, b"89")).packet()).expect("complete");
    assert_eq!(whole[4..8], [0, 18, 0, 64]);
    assert_eq!(whole[40..48], [17, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(&whole[48..], b"0123456789");
}

#[test]
fn an_atomic_fragment_is_a_datagram_and_joins_no_other() {
    let mut defrag = Defragmenter::new(&Settings::default());
    assert!(defrag.push(&part(V6, 1, 0, true, b"01234567").packet()).is_none());
    let whole = defrag.push(&part(V6, 1, 0, false, b"alone").packet()).expect("complete");
    assert_eq!(payload(whole), b"alone");
    assert_eq!(defrag.stats().waiting, 1);
}

#[test]
fn fragments_of_other_datagrams_do_not_mix() {
    let first = part(V4, 1, 0, true, b"01234567");
    for other in [
        part(V4, 2, 8, false, b"x"),
        part((V4.1, V4.0), 1, 8, false, b"x"),
        fragment(V4.0, V4.1, 6, (1, 8, false), b"x"),
        part(V4, 1, 8, false, b"x").vlan(&[5]),
    ] {
        let mut defrag = Defragmenter::new(&Settings::default());
        assert!(defrag.push(&first.packet()).is_none());
        assert!(defrag.push(&other.packet()).is_none());
        assert_eq!(defrag.stats().waiting, 2);
    }
}

#[test]
fn overlaps_follow_the_policy_and_different_data_is_an_event() {
    for (overlap, expected) in
        [(OverlapPolicy::First, b"AAAAAAAABBBBBBBBcc"), (OverlapPolicy::Last, b"AAAAAAAAXXXXXXXXcc")]
    {
        let mut defrag = Defragmenter::new(&Settings { overlap, ..Settings::default() });
        assert!(defrag.push(&part(V4, 1, 8, true, b"BBBBBBBB").packet()).is_none());
        assert!(defrag.push(&part(V4, 1, 8, true, b"XXXXXXXX").packet()).is_none());
        assert_eq!(defrag.event(), Some(DecodeEvent::Ipv4FragOverlap));
        assert!(defrag.push(&part(V4, 1, 16, false, b"cc").packet()).is_none());
        assert_eq!(defrag.event(), None);
        let whole = defrag.push(&part(V4, 1, 0, true, b"AAAAAAAA").packet()).expect("complete");
        assert_eq!(payload(whole), expected);
        assert_eq!(defrag.stats().overlap_different, 1);
    }
}

#[test]
fn fragments_beyond_the_end_are_refused() {
    let mut defrag = Defragmenter::new(&Settings::default());
    assert!(defrag.push(&part(V4, 1, 65_528, true, &[0; 16]).packet()).is_none());
    assert_eq!(defrag.event(), Some(DecodeEvent::Ipv4FragPktTooLarge));
    assert!(defrag.push(&part(V4, 2, 8, false, b"end").packet()).is_none());
    assert!(defrag.push(&part(V4, 2, 8, true, b"beyond..").packet()).is_none());
    assert_eq!(defrag.event(), Some(DecodeEvent::Ipv4FragPktTooLarge));
    assert!(defrag.push(&part(V4, 2, 8, false, b"shorter").packet()).is_none());
    assert_eq!(defrag.stats().too_large, 3);
    let whole = defrag.push(&part(V4, 2, 0, true, b"01234567").packet()).expect("the rest is sound");
    assert_eq!(payload(whole), b"01234567end");
}

#[test]
fn a_datagram_longer_than_its_length_field_is_refused() {
    let mut defrag = Defragmenter::new(&Settings::default());
    for offset in (0..65_520).step_by(6_552) {
        assert!(defrag.push(&part(V4, 1, offset, true, &[0; 6_552]).packet()).is_none());
    }
    assert!(defrag.push(&part(V4, 1, 65_520, false, b"1234567").packet()).is_none());
    assert_eq!((defrag.event(), defrag.stats().waiting), (Some(DecodeEvent::Ipv4FragPktTooLarge), 0));
}

#[test]
fn empty_and_uneven_fragments_are_counted() {
    let mut defrag = Defragmenter::new(&Settings::default());
    assert!(defrag.push(&part(V4, 1, 0, true, b"").packet()).is_none());
    assert!(defrag.push(&part(V4, 1, 0, true, b"1234567").packet()).is_none());
    let stats = defrag.stats();
    assert_eq!((stats.malformed, stats.waiting), (2, 0));
}

#[test]
fn incomplete_datagrams_time_out_by_packet_time() {
    let mut defrag = Defragmenter::new(&Settings::default());
    assert!(defrag.push(&part(V4, 1, 0, true, b"01234567").at_s(100).packet()).is_none());
    assert!(defrag.push(&part(V4, 2, 0, true, b"01234567").at_s(130).packet()).is_none());
    assert!(defrag.push(&part(V4, 1, 8, false, b"x").at_s(131).packet()).is_none());
    let stats = defrag.stats();
    assert_eq!((stats.timed_out, stats.waiting), (1, 2));
    assert!(defrag.push(&part(V4, 2, 8, false, b"x").at_s(131).packet()).is_some());
}

#[test]
fn every_bound_bites_and_is_counted() {
    let many = |settings: Settings, ids: bool| {
        let mut defrag = Defragmenter::new(&settings);
        for n in 0..200 {
            let (id, offset) = if ids { (n, 0) } else { (0, n as usize * 16) };
            assert!(defrag.push(&part(V4, id, offset, true, b"01234567").packet()).is_none());
        }
        defrag.stats()
    };
    let stats = many(Settings { max_datagrams: 10, ..Settings::default() }, true);
    assert_eq!((stats.waiting, stats.limited_datagrams), (10, 190));
    let stats = many(Settings { memory_bytes: 10_000, ..Settings::default() }, true);
    assert!(stats.memory_bytes < 10_500 && stats.limited_memory > 100);
    let stats = many(Settings { max_fragments: 50, ..Settings::default() }, false);
    assert_eq!((stats.limited_fragments, stats.waiting), (3, 1));
}

proptest! {
    /// Any cutting, order, repetition and (equal) overlap of fragments gives the datagram, once.
    #[test]
    fn any_fragmentation_gives_the_datagram(
        body in proptest::collection::vec(any::<u8>(), 17..600),
        cuts in proptest::collection::vec((0usize..75, 1usize..12), 0..40),
        seed in any::<u64>(),
        v6 in any::<bool>(),
    ) {
        let ends = if v6 { V6 } else { V4 };
        let units = body.len().div_ceil(8);
        let mut parts: Vec<(usize, usize)> = cuts.into_iter().map(|(start, n)| (start % units, n)).collect();
        parts.extend((0..units).step_by(2).map(|start| (start, 2)));
        // Not a whole datagram in one.
        parts.retain(|&(start, n)| !(start == 0 && n >= units));
        parts.sort_by_key(|&(start, n)| (start as u64 * 31 + n as u64).wrapping_mul(seed | 1));
        let mut defrag = Defragmenter::new(&Settings::default());
        let mut seen = vec![false; units];
        let mut complete = 0;
        for (start, n) in parts {
            let end = ((start + n) * 8).min(body.len());
            let frame = part(ends, 9, start * 8, end < body.len(), &body[start * 8..end]);
            let got = defrag.push(&frame.packet()).map(<[u8]>::to_vec);
            seen[start..(start + n).min(units)].fill(true);
            prop_assert_eq!(got.is_some(), seen.iter().all(|seen| *seen));
            if let Some(whole) = got {
                complete += 1;
                prop_assert_eq!(payload(&whole), &body[..]);
                seen.fill(false);
            }
        }
        prop_assert!(complete >= 1);
        prop_assert_eq!(defrag.stats().overlap_different, 0);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        header in 0usize..60, start in 0usize..60, end in 0usize..120,
        offset in 0u32..70_000, more in any::<bool>(),
    ) {
        let mut frame = part(V4, 1, 0, more, b"");
        frame.bytes = bytes;
        frame.ip.header = header..start;
        frame.ip.payload = start..end;
        frame.ip.fragment = Some(Fragment { id: 1, offset, more });
        let mut defrag = Defragmenter::new(&Settings::default());
        for _ in 0..2 {
            let mut packet = frame.packet();
            packet.payload = 0..0;
            let _ = defrag.push(&packet);
        }
    }
}
