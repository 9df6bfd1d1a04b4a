//! Internet checksums (RFC 1071) of the innermost headers.

use std::net::IpAddr;

use super::decoder::be16;
use super::{Checksums, Ip, Packet, Transport};

/// Compares the checksums of `packet` with its bytes.
pub(super) fn check(packet: &Packet<'_>) -> Checksums {
    let Some(ip) = &packet.ip else { return Checksums::default() };
    let Some(header) = packet.bytes.get(ip.header.clone()) else { return Checksums::default() };
    Checksums { ip_bad: header_bad(ip, header), transport_bad: transport_bad(packet, ip, header) }
}

/// Only IPv4 has a header checksum.
fn header_bad(ip: &Ip, header: &[u8]) -> bool {
    if !ip.source.is_ipv4() {
        return false;
    }
    if let Some(plain) = header.first_chunk::<20>()
        && plain[0] & 0x0f == 5
    {
        // Nearly all headers: of a known length the sum is a row of additions.
        return !Sum(0).and(plain).is_right();
    }
    let length = header.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4);
    header.get(..length).is_some_and(|header| !Sum::of(header).is_right())
}

fn transport_bad(packet: &Packet<'_>, ip: &Ip, header: &[u8]) -> bool {
    let number = match packet.transport {
        Transport::Tcp(_) => 6,
        Transport::Udp => 17,
        Transport::Icmp { .. } if ip.source.is_ipv4() => 1,
        Transport::Icmp { .. } => 58,
        Transport::None | Transport::Sctp => return false,
    };
    let Some(segment) = packet.bytes.get(ip.payload.start..packet.payload.end) else { return false };
    // Total length of IPv4, payload length of IPv6.
    let (stated, fixed) = if ip.source.is_ipv4() { (be16(header, 2), 0) } else { (be16(header, 4), 40) };
    // A length of 0 belongs to packets that the network card was yet to divide, and to sum up.
    let left_to_the_card = stated == 0;
    // Does a part of what the checksum covers lack?
    let cut = ip.header.start + fixed + usize::from(stated) > ip.payload.end
        || (number == 17 && usize::from(be16(segment, 4)) > segment.len());
    let udp_without = number == 17 && ip.source.is_ipv4() && be16(segment, 6) == 0;
    if cut || left_to_the_card || udp_without {
        return false;
    }
    // ICMP of IPv4 has no pseudo-header, in which the length has 32 bits.
    let ends = match (ip.source, ip.destination) {
        _ if number == 1 => return !Sum::of(segment).is_right(),
        (IpAddr::V4(source), IpAddr::V4(destination)) => Sum(0).and(&source.octets()).and(&destination.octets()),
        (IpAddr::V6(_), IpAddr::V6(_)) if is_source_routed(header) => return false,
        (IpAddr::V6(source), IpAddr::V6(destination)) => Sum(0).and(&source.octets()).and(&destination.octets()),
        _ => return false,
    };
    let length = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let pseudo_header = ends.and(&[0, number]).and(&length.to_be_bytes());
    !Sum(pseudo_header.0 + Sum::of(segment).0).is_right()
}

/// The one's complement sum of 16-bit words, which comes out the same in either byte order and folded only in the end
/// (RFC 1071 §2): so words of 32 bits are added as the machine has them. No packet is so long that they run over.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    fn of(bytes: &[u8]) -> Self {
        Self(0).and(bytes)
    }

    /// With `bytes` added; an odd one at their end is followed by a zero.
    #[inline(always)]
    fn and(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<32>();
        let (words, rest) = rest.as_chunks::<4>();
        let (halves, rest) = rest.as_chunks::<2>();
        let word = |word: &[u8; 4]| u64::from(u32::from_ne_bytes(*word));
        // Eight sums side by side, which the processor adds several of at once.
        let mut sums: [u64; 8] = [0; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            sums = std::array::from_fn(|at| sums[at] + word(&words[at]));
        }
        let sum = words.iter().fold(self.0 + sums.iter().sum::<u64>(), |sum, next| sum + word(next));
        let sum = halves.iter().fold(sum, |sum, half| sum + u64::from(u16::from_ne_bytes(*half)));
        Self(rest.iter().fold(sum, |sum, last| sum + u64::from(u16::from_ne_bytes([*last, 0]))))
    }

    /// Is it the sum of words and their right checksum? Folded to 16 bits that is 0xffff, and to fold leaves the remainder
    /// of 0xffff as it is.
    fn is_right(self) -> bool {
        self.0 != 0 && self.0.is_multiple_of(0xffff)
    }
}

/// Does a routing header stand in this IPv6 header? Then the destination of the pseudo-header is not the header's.
fn is_source_routed(header: &[u8]) -> bool {
    let Some(&(mut next)) = header.get(6) else { return false };
    let mut rest = header.get(40..).unwrap_or_default();
    while let [following, units, ..] = rest {
        let length = match next {
            43 => return true,
            44 => 8,
            51 => 4 * (usize::from(*units) + 2),
            _ => 8 + 8 * usize::from(*units),
        };
        next = *following;
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use etherparse::checksum::Sum16BitWords;
    use proptest::prelude::*;

    use super::Sum;

    proptest! {
        #[test]
        fn bytes_behind_their_checksum_are_right_and_others_are_not(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            wrong in 1..=u16::MAX,
        ) {
            let checksum = Sum16BitWords::new().add_slice(&bytes).ones_complement();
            let sum = |checksum: u16| Sum::of(&checksum.to_ne_bytes()).and(&bytes);
            prop_assert!(sum(checksum).is_right());
            // Zero has two forms.
            let other = checksum ^ wrong;
            prop_assert_eq!(sum(other).is_right(), checksum == 0 && other == 0xffff);
        }
    }

    #[test]
    fn carries_come_in_again_and_zeros_have_no_checksum() {
        assert!(Sum::of(&[0xff; 65_536]).is_right());
        assert!(!Sum::of(&[0; 64]).is_right());
    }
}
