//! TPKT: packets of the ISO transport service on top of TCP (RFC 1006 §6, RFC 2126 §4.3).

use crate::dissector::Frame;

/// Version, reserved octet and the length of the packet, header included.
pub const HEADER: usize = 4;
/// The header and the shortest TPDU: a length indicator, a code and one octet.
pub const SHORTEST: usize = 7;
/// What the length can say.
pub const LONGEST: usize = 65_535;

const VERSION: u8 = 3;

/// Where the packet that begins here ends, if it is at most `longest` octets long.
pub fn frame(bytes: &[u8], longest: usize) -> Frame {
    match *bytes {
        [] => Frame::Need(SHORTEST),
        [version, ..] if version != VERSION => Frame::Not,
        [_, _, high, low, ..] => match usize::from(u16::from_be_bytes([high, low])) {
            length if !(SHORTEST..=longest).contains(&length) => Frame::Not,
            length if length > bytes.len() => Frame::Need(length),
            length => Frame::Whole(length),
        },
        _ => Frame::Need(SHORTEST),
    }
}

/// Can a packet begin so? True of no bytes at all.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|version| *version == VERSION)
        && bytes.get(1).is_none_or(|reserved| *reserved == 0)
        && match *bytes {
            [_, _, high, low, ..] => usize::from(u16::from_be_bytes([high, low])) >= SHORTEST,
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_the_header() {
        assert_eq!(frame(&[3, 0, 0, 7, 2, 0xf0, 0x80, 3], LONGEST), Frame::Whole(7));
        assert_eq!(frame(&[3, 0, 0, 8, 2, 0xf0, 0x80], LONGEST), Frame::Need(8));
        assert_eq!(frame(&[3, 0, 0], LONGEST), Frame::Need(7));
        assert_eq!(frame(&[], LONGEST), Frame::Need(7));
    }

    #[test]
    fn another_version_or_an_impossible_length_is_no_packet() {
        for bytes in [&[2, 0, 0, 7][..], &[3, 0, 0, 6], &[3, 0, 0, 0]] {
            assert_eq!(frame(bytes, LONGEST), Frame::Not);
            assert!(!begins(bytes));
        }
        assert_eq!(frame(&[3, 0, 4, 1], 1024), Frame::Not);
        assert!(begins(&[]) && begins(&[3]) && begins(&[3, 0, 0]) && !begins(&[3, 1]));
    }
}
