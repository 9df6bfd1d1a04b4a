//! Community ID, version 1 with seed 0: one string for a flow in every tool that knows the standard.
//!
//! <https://github.com/corelight/community-id-spec>: SHA-1 over seed, addresses, protocol and ports, the smaller
//! endpoint first, in base64. ICMP has no ports: types that ask and answer are paired, others count as one-way.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// A rendered Community ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommunityId([u8; 30]);

impl CommunityId {
    /// As it stands in EVE's `community_id`.
    pub fn as_str(&self) -> &str {
        // Base64 and a prefix: ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Of a flow between two endpoints. For ICMP the ports are type and code of a message from `source`.
    pub fn new(protocol: u8, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let (mut first, mut second) = (source, destination);
        let mut one_way = false;
        if let 1 | 58 = protocol {
            match answer(protocol, source.1) {
                Some(answer) => second.1 = answer,
                None => one_way = true,
            }
        }
        if !one_way && second < first {
            std::mem::swap(&mut first, &mut second);
        }
        let mut hash = Sha1::new();
        hash.update([0, 0]);
        for (address, _) in [first, second] {
            match address {
                IpAddr::V4(address) => hash.update(address.octets()),
                IpAddr::V6(address) => hash.update(address.octets()),
            }
        }
        hash.update([protocol, 0]);
        if let 1 | 6 | 17 | 58 | 132 = protocol {
            hash.update(first.1.to_be_bytes());
            hash.update(second.1.to_be_bytes());
        }
        let mut text = *b"1:............................";
        let written = STANDARD.encode_slice(hash.finalize(), &mut text[2..]);
        debug_assert_eq!(written, Ok(28));
        Self(text)
    }
}

/// The type that answers an ICMP (1) or ICMPv6 (58) type, or asks for it.
pub(crate) fn answer(protocol: u8, kind: u16) -> Option<u16> {
    const V4: [(u16, u16); 5] = [(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)];
    const V6: [(u16, u16); 6] = [(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];
    let pairs: &[(u16, u16)] = if protocol == 1 { &V4 } else { &V6 };
    pairs.iter().find_map(|&(request, reply)| match kind {
        _ if kind == request => Some(reply),
        _ if kind == reply => Some(request),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(protocol: u8, source: &str, destination: &str, from: u16, to: u16) -> String {
        CommunityId::new(protocol, (source.parse().unwrap(), from), (destination.parse().unwrap(), to))
            .as_str()
            .to_owned()
    }

    /// Values published with the specification's reference implementation.
    #[test]
    fn published_values() {
        let v = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(id(6, "128.232.110.120", "66.35.250.204", 34855, 80), v);
        assert_eq!(id(6, "66.35.250.204", "128.232.110.120", 80, 34855), v);
        assert_eq!(id(6, "10.0.0.1", "10.0.0.2", 10, 11569), "1:SXBGMX1lBOwhhoDrZynfROxnhnM=");
        assert_eq!(id(17, "192.168.1.52", "8.8.8.8", 54585, 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        assert_eq!(id(17, "8.8.8.8", "192.168.1.52", 53, 54585), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        assert_eq!(id(132, "192.168.170.8", "192.168.170.56", 7, 80), "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=");
        assert_eq!(id(46, "10.1.24.4", "10.1.12.1", 0, 0), "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4=");
    }

    #[test]
    fn published_values_of_icmp() {
        let echo = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";
        assert_eq!(id(1, "192.168.0.89", "192.168.0.1", 8, 0), echo);
        assert_eq!(id(1, "192.168.0.1", "192.168.0.89", 0, 8), echo);
        assert_eq!(id(1, "192.168.0.1", "192.168.0.89", 0, 20), echo);
        assert_eq!(id(1, "192.168.0.89", "192.168.0.1", 20, 0), "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=");
        assert_eq!(id(1, "192.168.0.89", "192.168.0.1", 20, 1), "1:tz/fHIDUHs19NkixVVoOZywde+I=");
        let solicit = "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=";
        assert_eq!(id(58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0), solicit);
        assert_eq!(id(58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0), solicit);
        let (a, b) = ("3ffe:507:0:1:260:97ff:fe07:69ea", "3ffe:507:0:1:200:86ff:fe05:80da");
        assert_eq!(id(58, a, b, 3, 0), "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=");
        assert_eq!(id(58, b, a, 3, 0), "1:/OGBt9BN1ofenrmSPWYicpij2Vc=");
    }
}
