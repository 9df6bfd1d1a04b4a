//! The layout of a TPACKET_V3 block: a descriptor, then frames, each with a header that says where the next one is.
//! The kernel wrote it, but nothing here depends on that: every access is checked.

use std::mem::offset_of;

use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};

use crate::capture::SourceCounts;

/// EtherType of a customer VLAN tag, where the kernel does not say which it took off.
const ETHERTYPE_VLAN: u16 = 0x8100;

// The layout that the patterns below spell out.
const _: () = {
    assert!(offset_of!(libc::tpacket_block_desc, hdr) == 8);
    assert!(offset_of!(libc::tpacket_hdr_v1, num_pkts) == 4);
    assert!(offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt) == 8);
    assert!(offset_of!(libc::tpacket3_hdr, tp_status) == 20);
    assert!(offset_of!(libc::tpacket3_hdr, tp_mac) == 24);
    assert!(offset_of!(libc::tpacket3_hdr, hv1) == 28);
    assert!(offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid) == 8);
};

/// Hands over all frames of a block and counts them. Frames that do not lie within the block count as malformed.
pub(super) fn frames(
    block: &[u8],
    link: LinkType,
    number: &mut u64,
    counts: &mut SourceCounts,
    each: &mut dyn FnMut(&Captured<'_>),
) {
    let Some([_, _, _, count, first]) = words(block) else { return };
    let mut at = first as usize;
    for left in (1..=count).rev() {
        let Some((captured, next)) = frame(block, at, link, *number + 1) else {
            counts.malformed += u64::from(left);
            return;
        };
        *number += 1;
        counts.received += 1;
        counts.bytes += captured.frame.len() as u64;
        each(&captured);
        at += next;
    }
}

/// The frame whose header is at `at`, and the distance to the next one's.
fn frame(block: &[u8], at: usize, link: LinkType, number: u64) -> Option<(Captured<'_>, usize)> {
    let header = block.get(at..)?;
    let [next, seconds, nanoseconds, length, wire_length, status, mac_net, _hash, tci, tpid_padding] = words(header)?;
    let start = usize::from(first_half(mac_net));
    let frame = header.get(start..)?.get(..length as usize)?;
    let has = |flag| status & flag != 0;
    let tpid = if has(libc::TP_STATUS_VLAN_TPID_VALID) { first_half(tpid_padding) } else { ETHERTYPE_VLAN };
    let captured = Captured {
        number,
        timestamp: Timestamp::new(u64::from(seconds), nanoseconds),
        link,
        frame,
        wire_length,
        stripped_vlan: has(libc::TP_STATUS_VLAN_VALID).then_some((tci as u16, tpid)),
    };
    Some((captured, next as usize))
}

/// The first numbers of 32 bits, in the machine's order.
fn words<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    Some(bytes.as_chunks::<4>().0.first_chunk::<N>()?.map(u32::from_ne_bytes))
}

/// The number of 16 bits in the first half of a word, as it lies in memory.
fn first_half(word: u32) -> u16 {
    let [first, second, ..] = word.to_ne_bytes();
    u16::from_ne_bytes([first, second])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: usize = 64;

    /// A block with the given frames, as the kernel lays it out.
    fn block(payloads: &[&[u8]], vlan: Option<(u16, u16)>) -> Vec<u8> {
        let mut block = vec![0; 64];
        block[12..16].copy_from_slice(&(payloads.len() as u32).to_ne_bytes());
        block[16..20].copy_from_slice(&64_u32.to_ne_bytes());
        for payload in payloads {
            let next = (HEADER + payload.len()).next_multiple_of(16);
            let status = vlan.map_or(0, |_| libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID);
            let (tci, tpid) = vlan.unwrap_or_default();
            let length = payload.len() as u32;
            let mut frame = Vec::new();
            for word in [next as u32, 7, 9, length, length + 4, status] {
                frame.extend(word.to_ne_bytes());
            }
            frame.extend((HEADER as u16).to_ne_bytes());
            frame.extend([0; 6]);
            frame.extend(u32::from(tci).to_ne_bytes());
            frame.extend(tpid.to_ne_bytes());
            frame.resize(HEADER, 0);
            frame.extend(*payload);
            frame.resize(next, 0);
            block.extend(frame);
        }
        block
    }

    fn read(block: &[u8]) -> (Vec<Vec<u8>>, SourceCounts) {
        let (mut frames_read, mut number, mut counts) = (Vec::new(), 0, SourceCounts::default());
        frames(block, LinkType::Ethernet, &mut number, &mut counts, &mut |captured| {
            frames_read.push(captured.frame.to_vec());
        });
        (frames_read, counts)
    }

    #[test]
    fn frames_are_read_in_order_with_time_lengths_and_the_stripped_tag() {
        let block = block(&[b"first", b"second one"], Some((0x6005, 0x88a8)));
        let (mut number, mut counts) = (10, SourceCounts::default());
        let mut seen = Vec::new();
        frames(&block, LinkType::Ethernet, &mut number, &mut counts, &mut |captured| {
            assert_eq!(captured.timestamp, Timestamp::new(7, 9));
            assert_eq!(captured.stripped_vlan, Some((0x6005, 0x88a8)));
            seen.push((captured.number, captured.frame.to_vec(), captured.wire_length));
        });
        assert_eq!(seen, [(11, b"first".to_vec(), 9), (12, b"second one".to_vec(), 14)]);
        assert_eq!((number, counts.received, counts.bytes, counts.malformed), (12, 2, 15, 0));
    }

    #[test]
    fn frames_beyond_the_block_count_as_malformed() {
        let whole = block(&[b"first", b"second one"], None);
        let (frames_read, counts) = read(&whole[..whole.len() - 16]);
        assert_eq!(frames_read, [b"first"]);
        assert_eq!((counts.received, counts.malformed), (1, 1));
    }

    proptest! {
        #[test]
        fn never_panics_on_arbitrary_blocks(block in proptest::collection::vec(any::<u8>(), 0..300), count in 0_u32..9) {
            let mut block = block;
            if let Some(field) = block.get_mut(12..16) {
                field.copy_from_slice(&count.to_ne_bytes());
            }
            let (frames_read, counts) = read(&block);
            prop_assert_eq!(frames_read.len() as u64, counts.received);
        }
    }
}
