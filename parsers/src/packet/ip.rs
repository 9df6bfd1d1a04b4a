//! IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200), the authentication header (RFC 4302), and IP in IP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::decoder::{Decoder, Layer, be16};
use super::event::DecodeEvent;
use super::{Carrier, Fragment, Ip, Tunnel};

/// IP protocol numbers (IANA) that lead to a header decoded here.
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ICMP: u8 = 1;
    pub(super) const IGMP: u8 = 2;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const ESP: u8 = 50;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const NO_NEXT_HEADER: u8 = 59;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const SCTP: u8 = 132;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const MPLS: u8 = 137;
    pub(super) const HOST_IDENTITY: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
    /// The first number that is not assigned; from here to 255 none is.
    pub(super) const FIRST_UNASSIGNED: u8 = 148;
}

/// Largest datagram, joined from fragments.
const MAX_DATAGRAM: usize = 65_535;

impl Decoder<'_, '_> {
    /// IP of either version, where nothing but the header says which.
    pub(super) fn ip(&mut self) -> Layer {
        match self.rest().first().map(|byte| byte >> 4) {
            Some(4) => Layer::Ipv4,
            Some(6) => Layer::Ipv6,
            Some(_) => self.fault(DecodeEvent::IprawInvalidIpVersion),
            None => self.short(DecodeEvent::IprawInvalidIpVersion),
        }
    }

    pub(super) fn ipv4(&mut self) -> Layer {
        let Some(header) = self.header::<20>() else { return self.short(DecodeEvent::Ipv4PktTooSmall) };
        if header[0] >> 4 != 4 {
            return self.fault(DecodeEvent::Ipv4WrongIpVersion);
        }
        let header_length = usize::from(header[0] & 0x0f) * 4;
        if header_length < 20 {
            return self.fault(DecodeEvent::Ipv4HlenTooSmall);
        }
        // 0 in captures of a host whose network card divides the packet: it is as long as the frame.
        let total_length = match u16::from_be_bytes([header[2], header[3]]) {
            0 => self.end() - self.at(),
            stated => usize::from(stated),
        };
        if total_length < header_length {
            return self.fault(DecodeEvent::Ipv4IplenSmallerThanHlen);
        }
        self.bound(total_length, DecodeEvent::Ipv4TruncPkt);
        if header_length > 20 {
            let Some(options) = self.rest().get(20..header_length) else {
                return self.short(DecodeEvent::Ipv4PktTooSmall);
            };
            self.ipv4_options(options);
        }
        let start = self.at();
        let fragment = ipv4_fragment(header);
        if let Some(fragment) = &fragment
            && fragment.offset as usize + total_length > MAX_DATAGRAM
        {
            self.event(DecodeEvent::Ipv4FragPktTooLarge);
        }
        self.skip(header_length);
        self.packet.ip = Some(Ip {
            source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
            destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
            protocol: header[9],
            ttl: header[8],
            header: start..self.at(),
            payload: self.at()..self.end(),
            fragment,
        });
        match fragment {
            None => self.by_protocol(header[9]),
            Some(_) => Layer::Payload,
        }
    }

    /// Options of IPv4 (RFC 791, 3.1, and the registry of IANA).
    #[cold]
    fn ipv4_options(&mut self, options: &[u8]) {
        let mut seen = [0u64; 4];
        let mut at = 0;
        while let Some(&kind) = options.get(at) {
            let place = self.at() + 20 + at;
            match kind {
                0 => {
                    if options[at..].iter().any(|byte| *byte != 0) {
                        self.packet.events.push(DecodeEvent::Ipv4OptPadRequired, place);
                    }
                    return;
                }
                1 => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let Some(length) = options.get(at + 1) else {
                self.packet.events.push(DecodeEvent::Ipv4OptEolRequired, place);
                return;
            };
            let length = usize::from(*length);
            let Some(option) = options.get(at..at + length).filter(|option| option.len() >= 2) else {
                self.packet.events.push(DecodeEvent::Ipv4OptInvalidLen, place);
                return;
            };
            if let Some(event) = ipv4_option_fault(option) {
                self.packet.events.push(event, place);
            }
            let (word, bit) = (&mut seen[usize::from(kind >> 6)], 1u64 << (kind & 0x3f));
            if *word & bit != 0 {
                self.packet.events.push(DecodeEvent::Ipv4OptDuplicate, place);
            }
            *word |= bit;
            at += length;
        }
    }

    pub(super) fn ipv6(&mut self) -> Layer {
        let Some(header) = self.header::<40>() else { return self.short(DecodeEvent::Ipv6PktTooSmall) };
        if header[0] >> 4 != 6 {
            return self.fault(DecodeEvent::Ipv6WrongIpVersion);
        }
        let start = self.at();
        let payload_length = u16::from_be_bytes([header[4], header[5]]);
        // 0 in jumbograms (RFC 2675), and where the network card divides the packet: it is as long as the frame.
        if payload_length != 0 || header[6] == protocol::NO_NEXT_HEADER {
            self.bound(40 + usize::from(payload_length), DecodeEvent::Ipv6TruncPkt);
        }
        self.skip(40);
        let mut chain = Chain { next: header[6], fragment: None, seen: Seen::default() };
        let whole = self.extensions(&mut chain);
        self.packet.ip = Some(Ip {
            source: address(header, 8),
            destination: address(header, 24),
            protocol: chain.next,
            ttl: header[7],
            header: start..self.at(),
            payload: self.at()..self.end(),
            fragment: chain.fragment,
        });
        match chain.fragment {
            None if whole => self.by_protocol(chain.next),
            _ => Layer::Payload,
        }
    }

    /// Walks extension headers up to the payload's; false when one could not be walked.
    fn extensions(&mut self, chain: &mut Chain) -> bool {
        loop {
            let kind = chain.next;
            let known = match kind {
                protocol::HOP_BY_HOP
                | protocol::DESTINATION_OPTIONS
                | protocol::ROUTING
                | protocol::MOBILITY
                | protocol::HOST_IDENTITY
                | protocol::SHIM6 => self.enter() && self.extension(chain),
                protocol::FRAGMENT => self.enter() && self.fragment_header(chain),
                protocol::AUTHENTICATION => self.enter() && self.ipv6_authentication(chain),
                _ => return true,
            };
            if !known {
                return false;
            }
            if chain.fragment.is_some() {
                return true;
            }
        }
    }

    /// An extension header of the common form: next header, length in 8 bytes beyond the first 8.
    #[cold]
    fn extension(&mut self, chain: &mut Chain) -> bool {
        let rest = self.rest();
        let header = rest.get(1).and_then(|units| rest.get(..8 + 8 * usize::from(*units)));
        let Some(header) = header else {
            self.short(DecodeEvent::Ipv6TruncExthdr);
            return false;
        };
        match chain.next {
            protocol::HOP_BY_HOP => {
                self.duplicate(&mut chain.seen.hop_by_hop, 1, DecodeEvent::Ipv6ExthdrDuplHh);
                self.ipv6_options(header, DecodeEvent::Ipv6HopoptsUnknownOpt, DecodeEvent::Ipv6HopoptsOnlyPadding);
            }
            // One for every node of a route, one for the destination.
            protocol::DESTINATION_OPTIONS => {
                self.duplicate(&mut chain.seen.destination, 2, DecodeEvent::Ipv6ExthdrDuplDh);
                self.ipv6_options(header, DecodeEvent::Ipv6DstoptsUnknownOpt, DecodeEvent::Ipv6DstoptsOnlyPadding);
            }
            protocol::ROUTING => {
                self.duplicate(&mut chain.seen.routing, 1, DecodeEvent::Ipv6ExthdrDuplRh);
                if header.get(2) == Some(&0) {
                    self.event(DecodeEvent::Ipv6RhType0);
                }
            }
            _ => {}
        }
        chain.next = header.first().copied().unwrap_or(protocol::NO_NEXT_HEADER);
        self.skip(header.len());
        true
    }

    fn duplicate(&mut self, count: &mut u8, allowed: u8, event: DecodeEvent) {
        *count = count.saturating_add(1);
        if *count > allowed {
            self.event(event);
        }
    }

    /// Options of a hop-by-hop or destination options header (RFC 8200, 4.2).
    fn ipv6_options(&mut self, header: &[u8], unknown: DecodeEvent, only_padding: DecodeEvent) {
        let mut padding = true;
        let mut at = 2;
        while let Some(&kind) = header.get(at) {
            if kind == 0 {
                at += 1;
                continue;
            }
            let place = self.at() + at;
            let length = header.get(at + 1).copied().map(usize::from);
            let Some(data) = length.and_then(|length| header.get(at + 2..at + 2 + length)) else {
                self.packet.events.push(DecodeEvent::Ipv6ExthdrInvalidOptlen, place);
                return;
            };
            if kind == 1 {
                if data.is_empty() {
                    self.packet.events.push(DecodeEvent::Ipv6ZeroLenPadn, place);
                }
            } else {
                padding = false;
                if !ipv6_option_is_known(kind) {
                    self.packet.events.push(unknown, place);
                } else if !ipv6_option_length_is_right(kind, data.len()) {
                    self.packet.events.push(DecodeEvent::Ipv6ExthdrInvalidOptlen, place);
                }
            }
            at += 2 + data.len();
        }
        if padding {
            self.event(only_padding);
        }
    }

    /// Fragment header (RFC 8200, 4.5).
    #[cold]
    fn fragment_header(&mut self, chain: &mut Chain) -> bool {
        let Some([next, reserved, o0, o1, i0, i1, i2, i3]) = self.header() else {
            self.short(DecodeEvent::Ipv6TruncExthdr);
            return false;
        };
        self.duplicate(&mut chain.seen.fragment, 1, DecodeEvent::Ipv6ExthdrDuplFh);
        let offset_and_flags = u16::from_be_bytes([*o0, *o1]);
        let offset = u32::from(offset_and_flags & 0xfff8);
        let more = offset_and_flags & 1 != 0;
        if *reserved != 0 || offset_and_flags & 6 != 0 {
            self.event(DecodeEvent::Ipv6FhNonZeroReservedField);
        }
        let length = self.end() - self.at() - 8;
        // The header of what was fragmented belongs in the first fragment (RFC 7112); the shortest has 8 bytes.
        if offset == 0 && length < 8 {
            self.short(DecodeEvent::Ipv6TruncExthdr);
        }
        if offset == 0 && !more {
            self.event(DecodeEvent::Ipv6ExthdrUselessFh);
        } else {
            chain.fragment = Some(Fragment { id: u32::from_be_bytes([*i0, *i1, *i2, *i3]), offset, more });
            if more && !length.is_multiple_of(8) && !self.cut {
                self.event(DecodeEvent::Ipv6FragInvalidLength);
            }
            if offset as usize + length > MAX_DATAGRAM {
                self.event(DecodeEvent::Ipv6FragPktTooLarge);
            }
        }
        chain.next = *next;
        self.skip(8);
        true
    }

    #[cold]
    fn ipv6_authentication(&mut self, chain: &mut Chain) -> bool {
        self.duplicate(&mut chain.seen.authentication, 1, DecodeEvent::Ipv6ExthdrDuplAh);
        if self.header().is_some_and(|[_, _, r0, r1]| *r0 != 0 || *r1 != 0) {
            self.event(DecodeEvent::Ipv6ExthdrAhResNotNull);
        }
        match self.authentication() {
            Some(next) => {
                chain.next = next;
                true
            }
            None => {
                self.short(DecodeEvent::Ipv6TruncExthdr);
                false
            }
        }
    }

    /// Moves behind an authentication header (its length in 4 bytes, less 2) and returns the protocol of what it covers.
    fn authentication(&mut self) -> Option<u8> {
        let rest = self.rest();
        let length = (usize::from(*rest.get(1)?) + 2) * 4;
        let next = *rest.get(..length.max(12))?.first()?;
        self.skip(length.max(12));
        Some(next)
    }

    /// The layer behind an IP header.
    fn by_protocol(&mut self, number: u8) -> Layer {
        let v4 = self.packet.ip.as_ref().is_some_and(|ip| ip.source.is_ipv4());
        match number {
            protocol::TCP => Layer::Tcp,
            protocol::UDP => Layer::Udp,
            protocol::ICMP if v4 => Layer::Icmp,
            protocol::ICMP => self.fault(DecodeEvent::Ipv6Icmpv4),
            protocol::ICMPV6 if v4 => self.fault(DecodeEvent::Ipv4Icmpv6),
            protocol::ICMPV6 => Layer::Icmpv6,
            protocol::IGMP => Layer::Igmp,
            protocol::SCTP => Layer::Sctp,
            protocol::GRE => Layer::Gre,
            protocol::IPV4 | protocol::IPV6 => self.ip_in_ip(number, v4),
            protocol::MPLS => Layer::Mpls,
            protocol::AUTHENTICATION if v4 => self.ipv4_authentication(),
            protocol::ESP if self.header::<8>().is_none() => self.short(DecodeEvent::EspPktTooSmall),
            protocol::NO_NEXT_HEADER if !v4 && self.at() < self.end() => {
                self.fault(DecodeEvent::Ipv6DataAfterNoneHeader)
            }
            protocol::FIRST_UNASSIGNED.. if v4 => self.fault(DecodeEvent::Ipv4UnknownProtocol),
            protocol::FIRST_UNASSIGNED.. => self.fault(DecodeEvent::Ipv6UnknownNextHeader),
            _ => Layer::Payload,
        }
    }

    /// The authentication header in IPv4 counts as a part of the IP header, as in IPv6.
    fn ipv4_authentication(&mut self) -> Layer {
        if !self.enter() {
            return Layer::Payload;
        }
        let Some(next) = self.authentication() else { return self.short(DecodeEvent::AhPktTooSmall) };
        let start = self.at();
        if let Some(ip) = &mut self.packet.ip {
            ip.protocol = next;
            ip.header.end = start;
            ip.payload.start = start;
        }
        self.by_protocol(next)
    }

    /// IP in IP. The outer packet stays the packet when no IP header of the stated version follows.
    fn ip_in_ip(&mut self, number: u8, outer_v4: bool) -> Layer {
        if !self.may_tunnel() {
            return Layer::Payload;
        }
        let inner_v4 = number == protocol::IPV4;
        let (too_small, wrong_version) = match (outer_v4, inner_v4) {
            (true, true) => (DecodeEvent::Ipv4PktTooSmall, DecodeEvent::Ipv4WrongIpVersion),
            (true, false) => (DecodeEvent::Ipv6PktTooSmall, DecodeEvent::Ipv6WrongIpVersion),
            (false, true) => (DecodeEvent::Ipv6Ipv4InIpv6TooSmall, DecodeEvent::Ipv6Ipv4InIpv6WrongVersion),
            (false, false) => (DecodeEvent::Ipv6Ipv6InIpv6TooSmall, DecodeEvent::Ipv6Ipv6InIpv6WrongVersion),
        };
        let (length, version) = if inner_v4 { (20, 4) } else { (40, 6) };
        let rest = self.rest();
        if rest.len() < length {
            return self.short(too_small);
        }
        if rest.first().is_none_or(|byte| byte >> 4 != version) {
            return self.fault(wrong_version);
        }
        self.enter_tunnel(if outer_v4 { Tunnel::Ipv4 } else { Tunnel::Ipv6 });
        if inner_v4 { Layer::Ipv4 } else { Layer::Ipv6 }
    }
}

/// Where the walk over extension headers stands.
struct Chain {
    next: u8,
    fragment: Option<Fragment>,
    seen: Seen,
}

/// How often each extension header was met.
#[derive(Default)]
struct Seen {
    hop_by_hop: u8,
    destination: u8,
    routing: u8,
    fragment: u8,
    authentication: u8,
}

/// What the IP header at the front of `bytes` says of the packet that carries a tunnel (its protocol before extension
/// headers).
pub(super) fn carrier(bytes: &[u8]) -> Option<Carrier> {
    let (source, destination, protocol, length) = match bytes.first()? >> 4 {
        4 => {
            let header = bytes.first_chunk::<20>()?;
            let [first, .., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
            let length = usize::from(first & 0x0f) * 4;
            (Ipv4Addr::new(s0, s1, s2, s3).into(), Ipv4Addr::new(d0, d1, d2, d3).into(), header[9], length)
        }
        _ => {
            let header = bytes.first_chunk::<40>()?;
            (address(header, 8), address(header, 24), header[6], 40)
        }
    };
    let port = |at| if protocol == protocol::UDP { be16(bytes, length + at) } else { 0 };
    Some(Carrier { source: (source, port(0)), destination: (destination, port(2)), protocol })
}

fn address(header: &[u8; 40], offset: usize) -> IpAddr {
    let octets = header.get(offset..).and_then(|tail| tail.first_chunk::<16>());
    octets.map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets)).into()
}

fn ipv4_fragment(header: &[u8; 20]) -> Option<Fragment> {
    let flags_and_offset = u16::from_be_bytes([header[6], header[7]]);
    if flags_and_offset & 0x3fff == 0 {
        return None;
    }
    Some(Fragment {
        id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        offset: u32::from(flags_and_offset & 0x1fff) * 8,
        more: flags_and_offset & 0x2000 != 0,
    })
}

/// What is wrong with one IPv4 option, whose length octet is right.
fn ipv4_option_fault(option: &[u8]) -> Option<DecodeEvent> {
    let [kind, _, data @ ..] = option else { return None };
    match (kind, data.len()) {
        // Record route, loose and strict source route: a pointer from 4 on, then addresses.
        (7 | 131 | 137, 0) => Some(DecodeEvent::Ipv4OptInvalidLen),
        (7 | 131 | 137, n) if !(n - 1).is_multiple_of(4) => Some(DecodeEvent::Ipv4OptInvalidLen),
        (7 | 131 | 137, _) => (data[0] < 4 || !data[0].is_multiple_of(4)).then_some(DecodeEvent::Ipv4OptMalformed),
        // Timestamp: pointer from 5 on, overflow and flag (0, 1 or 3), then words.
        (68, 0 | 1) => Some(DecodeEvent::Ipv4OptInvalidLen),
        (68, _) if data[0] < 5 => Some(DecodeEvent::Ipv4OptMalformed),
        (68, _) if !matches!(data[1] & 0x0f, 0 | 1 | 3) => Some(DecodeEvent::Ipv4OptInvalid),
        // Stream id, router alert: 4 bytes in all.
        (136 | 148, n) if n != 2 => Some(DecodeEvent::Ipv4OptInvalidLen),
        // Router alert: values are assigned up to 69 (IANA).
        (148, _) if be16(data, 0) > 69 => Some(DecodeEvent::Ipv4OptInvalid),
        // Security: 11 bytes in RFC 791, 3 or more in RFC 1108.
        (130, 0) => Some(DecodeEvent::Ipv4OptInvalidLen),
        // CIPSO: domain of interpretation, then tags.
        (134, n) if n < 4 => Some(DecodeEvent::Ipv4OptInvalidLen),
        (134, _) if be16(data, 0) == 0 && be16(data, 2) == 0 => Some(DecodeEvent::Ipv4OptMalformed),
        (10..=12 | 15 | 25 | 30 | 68 | 82 | 94 | 130 | 133 | 134 | 136 | 142 | 144 | 145, _) => None,
        (147..=149 | 151 | 152 | 158 | 205 | 222, _) => None,
        _ => Some(DecodeEvent::Ipv4OptUnknown),
    }
}

/// Is this IPv6 option assigned (IANA)?
fn ipv6_option_is_known(kind: u8) -> bool {
    matches!(kind, 0x04 | 0x05 | 0x07 | 0x08 | 0x0f | 0x11 | 0x12 | 0x23 | 0x26 | 0x30 | 0x31 | 0x63 | 0x6d)
        || matches!(kind, 0x8a..=0x8c | 0xc2 | 0xc9 | 0xee)
}

/// May the data of this IPv6 option have that length?
fn ipv6_option_length_is_right(kind: u8, length: usize) -> bool {
    match kind {
        0x04 => length == 1,  // Tunnel encapsulation limit (RFC 2473)
        0x05 => length == 2,  // Router alert (RFC 2711)
        0x26 => length == 6,  // Quick-start (RFC 4782)
        0xc2 => length == 4,  // Jumbo payload (RFC 2675)
        0xc9 => length == 16, // Home address (RFC 6275)
        _ => true,
    }
}
