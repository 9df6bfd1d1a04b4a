//! Tunnels: GRE (RFC 2784, 2890, 1701, 2637) with ERSPAN, VXLAN (RFC 7348), Geneve (RFC 8926), GTP-U (3GPP TS 29.281),
//! Teredo (RFC 4380).
//!
//! The UDP tunnels are known by their port alone, which anyone may use. A datagram is taken for a tunnel only when its
//! header is as the standard asks and a plausible packet follows; otherwise it stays a UDP datagram with its payload.

use super::Tunnel;
use super::decoder::{Decoder, Layer, be16};
use super::event::DecodeEvent;
use super::link::{MAX_LENGTH, ethertype, is_payload_ethertype, is_vlan};

/// Port of VXLAN (IANA).
pub(super) const VXLAN_PORT: u16 = 4789;
/// Port of VXLAN in Linux before it was assigned.
pub(super) const VXLAN_LINUX_PORT: u16 = 8472;
/// Port of Geneve (IANA).
pub(super) const GENEVE_PORT: u16 = 6081;
/// Port of GTP-U.
pub(super) const GTP_PORT: u16 = 2152;
/// Port of Teredo servers (IANA).
pub(super) const TEREDO_PORT: u16 = 3544;

/// GRE protocol of ERSPAN I and II.
const ERSPAN: u16 = 0x88be;
/// GRE protocol of ERSPAN III.
const ERSPAN_III: u16 = 0x22eb;
/// GRE protocol of packets redirected by WCCP.
const WCCP: u16 = 0x883e;

/// Flags of the first 16 bits of a GRE header (RFC 1701; RFC 2637 for the acknowledgement).
mod gre_flag {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    pub(super) const STRICT_ROUTE: u16 = 0x0800;
    pub(super) const RECURSION: u16 = 0x0700;
    pub(super) const ACKNOWLEDGEMENT: u16 = 0x0080;
    pub(super) const RESERVED_0: u16 = 0x00f8;
    pub(super) const RESERVED_1: u16 = 0x0078;
    pub(super) const VERSION: u16 = 0x0007;
}

impl Decoder<'_, '_> {
    pub(super) fn gre(&mut self) -> Layer {
        let Some([f0, f1, p0, p1]) = self.header() else { return self.short(DecodeEvent::GrePktTooSmall) };
        let flags = u16::from_be_bytes([*f0, *f1]);
        let protocol = u16::from_be_bytes([*p0, *p1]);
        match flags & gre_flag::VERSION {
            0 => self.gre_0(flags, protocol),
            1 => self.gre_1(flags, protocol),
            _ => self.fault(DecodeEvent::GreWrongVersion),
        }
    }

    /// Version 0. Bits that should be zero are named, and move nothing.
    fn gre_0(&mut self, flags: u16, protocol: u16) -> Layer {
        if flags & gre_flag::RECURSION != 0 {
            self.event(DecodeEvent::GreVersion0Recur);
        }
        if flags & gre_flag::RESERVED_0 != 0 {
            self.event(DecodeEvent::GreVersion0Flags);
        }
        let mut length = 4;
        // Checksum and offset come together.
        for flag in [gre_flag::CHECKSUM | gre_flag::ROUTING, gre_flag::KEY, gre_flag::SEQUENCE] {
            length += if flags & flag != 0 { 4 } else { 0 };
        }
        if flags & gre_flag::ROUTING != 0 {
            // Source route entries: family, offset, length, data, up to one of family 0 and length 0.
            loop {
                let Some([a0, a1, _, size]) = self.rest().get(length..).and_then(|tail| tail.first_chunk()) else {
                    return self.short(DecodeEvent::GreVersion0MalformedSreHdr);
                };
                length += 4 + usize::from(*size);
                if (*a0, *a1, *size) == (0, 0, 0) {
                    break;
                }
            }
        }
        if length > self.end() - self.at() {
            return self.short(DecodeEvent::GreVersion0HdrTooBig);
        }
        let sequenced = flags & gre_flag::SEQUENCE != 0;
        match protocol {
            ERSPAN if !sequenced => {
                self.skip(length);
                self.erspan_frame(0)
            }
            ERSPAN | ERSPAN_III => {
                self.skip(length);
                self.erspan()
            }
            _ => {
                let layer = match protocol {
                    WCCP => self.wccp(&mut length),
                    _ => self.by_ethertype(protocol, DecodeEvent::GreUnknownProtocol),
                };
                self.skip(length);
                if layer != Layer::Payload {
                    self.enter_tunnel(Tunnel::Gre);
                }
                layer
            }
        }
    }

    /// A packet that a router redirected to a cache: IP, in WCCP's version 2 behind four bytes, which `length` takes in.
    fn wccp(&self, length: &mut usize) -> Layer {
        for redirect in [0, 4] {
            let inner = self.rest().get(*length + redirect..).unwrap_or_default();
            if looks_like_ip(inner, self.cut) {
                *length += redirect;
                return if inner.first().is_some_and(|byte| byte >> 4 == 4) { Layer::Ipv4 } else { Layer::Ipv6 };
            }
        }
        Layer::Payload
    }

    /// Version 1 (RFC 2637): PPP, with a key that holds the payload's length. Where a forbidden field is present, the
    /// place of the payload is unknown.
    fn gre_1(&mut self, flags: u16, protocol: u16) -> Layer {
        let forbidden = [
            (gre_flag::CHECKSUM, DecodeEvent::GreVersion1Chksum),
            (gre_flag::ROUTING, DecodeEvent::GreVersion1Route),
            (gre_flag::STRICT_ROUTE, DecodeEvent::GreVersion1Ssr),
            (gre_flag::RECURSION, DecodeEvent::GreVersion1Recur),
            (gre_flag::RESERVED_1, DecodeEvent::GreVersion1Flags),
        ];
        for (flag, event) in forbidden {
            if flags & flag != 0 {
                return self.fault(event);
            }
        }
        if flags & gre_flag::KEY == 0 {
            return self.fault(DecodeEvent::GreVersion1NoKey);
        }
        if protocol != ethertype::PPP {
            return self.fault(DecodeEvent::GreVersion1WrongProtocol);
        }
        let mut length = 8;
        for flag in [gre_flag::SEQUENCE, gre_flag::ACKNOWLEDGEMENT] {
            length += if flags & flag != 0 { 4 } else { 0 };
        }
        if length > self.end() - self.at() {
            return self.short(DecodeEvent::GreVersion1HdrTooBig);
        }
        let payload = usize::from(be16(self.rest(), 4));
        self.bound(length + payload, DecodeEvent::GreVersion1MalformedSreHdr);
        self.skip(length);
        // An acknowledgement alone carries nothing.
        if payload == 0 {
            return Layer::Payload;
        }
        self.enter_tunnel(Tunnel::Gre);
        Layer::Ppp
    }

    /// ERSPAN II and III: the header that says which mirror session the frame is from.
    fn erspan(&mut self) -> Layer {
        let Some([v0, v1, ..]) = self.header::<8>() else { return self.short(DecodeEvent::ErspanHeaderTooSmall) };
        let version_and_vlan = u16::from_be_bytes([*v0, *v1]);
        let vlan = version_and_vlan & 0x0fff;
        match version_and_vlan >> 12 {
            1 => {
                self.skip(8);
                self.erspan_frame(vlan)
            }
            2 => self.erspan_3(vlan),
            _ => self.fault(DecodeEvent::ErspanUnsupportedVersion),
        }
    }

    fn erspan_3(&mut self, vlan: u16) -> Layer {
        let Some([.., t0, t1]) = self.header::<12>() else { return self.short(DecodeEvent::ErspanHeaderTooSmall) };
        let last = u16::from_be_bytes([*t0, *t1]);
        // The last bit announces 8 bytes of the platform's; some switches send them without it.
        let platform = last & 1 != 0
            || self.rest().get(20..).is_some_and(|frame| looks_like_ethernet(frame, self.cut))
                && !looks_like_ethernet(self.rest().get(12..).unwrap_or_default(), self.cut);
        let length = if platform { 20 } else { 12 };
        if length > self.end() - self.at() {
            return self.short(DecodeEvent::ErspanHeaderTooSmall);
        }
        self.skip(length);
        // Frame type 2 is an IP packet, others are Ethernet.
        if last >> 10 & 0x1f == 2 {
            self.enter_tunnel(Tunnel::Erspan);
            return self.ip();
        }
        self.erspan_frame(vlan)
    }

    /// The mirrored frame. The header's VLAN counts where the frame has no tag: the switch took it off, or the port has
    /// but one.
    fn erspan_frame(&mut self, vlan: u16) -> Layer {
        let tagged = is_vlan(be16(self.rest(), 12));
        if vlan != 0 && !tagged && !self.packet.vlans.push(vlan) {
            self.event(DecodeEvent::ErspanTooManyVlanLayers);
        }
        self.enter_tunnel(Tunnel::Erspan);
        Layer::Ethernet
    }

    /// VXLAN: flags with the bit that says that there is an identifier, and zeros; of the group policy extension also
    /// its bit and the policy.
    pub(super) fn vxlan(&mut self) -> Layer {
        let rest = self.rest();
        let frame = match rest {
            [0x08, 0, 0, 0, _, _, _, 0, frame @ ..] | [0x88, _, _, _, _, _, _, 0, frame @ ..] => frame,
            _ => return Layer::Payload,
        };
        if !looks_like_ethernet(frame, self.cut) {
            return self.fault(DecodeEvent::VxlanUnknownPayloadType);
        }
        self.skip(8);
        self.enter_tunnel(Tunnel::Vxlan);
        Layer::Ethernet
    }

    /// Geneve: version 0, options in 4 bytes, ethertype, identifier, a zero.
    pub(super) fn geneve(&mut self) -> Layer {
        let rest = self.rest();
        let [version_and_length, flags, t0, t1, _, _, _, 0, ..] = rest else { return Layer::Payload };
        let length = 8 + 4 * usize::from(version_and_length & 0x3f);
        let Some(inner) = rest.get(length..) else { return Layer::Payload };
        if version_and_length >> 6 != 0 || flags & 0x3f != 0 {
            return Layer::Payload;
        }
        let protocol = u16::from_be_bytes([*t0, *t1]);
        let plausible = match protocol {
            ethertype::TRANSPARENT_ETHERNET => looks_like_ethernet(inner, self.cut),
            ethertype::IPV4 | ethertype::IPV6 => looks_like_ip(inner, self.cut),
            _ => false,
        };
        if !plausible {
            return self.fault(DecodeEvent::GeneveUnknownPayloadType);
        }
        let layer = self.by_ethertype(protocol, DecodeEvent::GeneveUnknownPayloadType);
        self.skip(length);
        self.enter_tunnel(Tunnel::Geneve);
        layer
    }

    /// GTP-U, version 1: the message that carries a packet (255); others stay UDP.
    pub(super) fn gtp(&mut self) -> Layer {
        let rest = self.rest();
        let [flags, 255, l0, l1, _, _, _, _, ..] = rest else { return Layer::Payload };
        let length = usize::from(u16::from_be_bytes([*l0, *l1])) + 8;
        // Version 1, GTP rather than GTP', a zero; then flags of the optional fields.
        if flags & 0xf8 != 0x30 || (length != rest.len() && !self.cut) {
            return Layer::Payload;
        }
        let Some(header) = gtp_header_length(rest, *flags) else { return Layer::Payload };
        let inner = rest.get(header..).unwrap_or_default();
        if looks_like_ip(inner, self.cut) {
            self.skip(header);
            self.enter_tunnel(Tunnel::Gtp);
            return self.ip();
        }
        if looks_like_ethernet(inner, self.cut) {
            self.skip(header);
            self.enter_tunnel(Tunnel::Gtp);
            return Layer::Ethernet;
        }
        self.fault(DecodeEvent::GtpUnknownPayloadType)
    }
}

impl Decoder<'_, '_> {
    /// Teredo (RFC 4380, 5.1.1): an IPv6 packet, with an authentication header or an origin indication before it, or
    /// both.
    pub(super) fn teredo(&mut self) -> Layer {
        let rest = self.rest();
        let mut header = match rest {
            // Lengths of identifier and value, both, a nonce and a confirmation.
            [0, 1, identifier, value, ..] => 4 + usize::from(*identifier) + usize::from(*value) + 9,
            _ => 0,
        };
        if let Some([0, 0, ..]) = rest.get(header..) {
            header += 8;
        }
        let inner = rest.get(header..).unwrap_or_default();
        if inner.first().is_none_or(|byte| byte >> 4 != 6) || !looks_like_ip(inner, self.cut) {
            return Layer::Payload;
        }
        self.skip(header);
        self.enter_tunnel(Tunnel::Teredo);
        Layer::Ipv6
    }
}

/// Length of a GTP-U header with its optional fields and extension headers (TS 29.281, 5.1 and 5.2).
fn gtp_header_length(packet: &[u8], flags: u8) -> Option<usize> {
    if flags & 7 == 0 {
        return Some(8);
    }
    let mut length = 12;
    let mut next = *packet.get(11)?;
    if flags & 4 == 0 {
        return Some(length);
    }
    while next != 0 {
        // In 4 bytes; the last of them says what follows.
        let units = usize::from(*packet.get(length)?);
        if units == 0 {
            return None;
        }
        length += 4 * units;
        next = *packet.get(length - 1)?;
    }
    Some(length)
}

/// Could these bytes be an IP packet? `cut`: the capture may have cut its end off.
pub(super) fn looks_like_ip(bytes: &[u8], cut: bool) -> bool {
    let (header, total) = match bytes {
        // A length of 0 is left to the network card.
        [first, _, 0, 0, ..] if first >> 4 == 4 => (usize::from(first & 0x0f) * 4, bytes.len()),
        [first, ..] if first >> 4 == 4 => (usize::from(first & 0x0f) * 4, usize::from(be16(bytes, 2))),
        [first, ..] if first >> 4 == 6 => (40, 40 + usize::from(be16(bytes, 4))),
        _ => return false,
    };
    header >= 20 && bytes.len() >= header && total >= header && (total <= bytes.len() || cut)
}

/// Could these bytes be an Ethernet frame that carries something known?
pub(super) fn looks_like_ethernet(bytes: &[u8], cut: bool) -> bool {
    let Some(mut payload) = bytes.get(14..) else { return false };
    let mut kind = be16(bytes, 12);
    while is_vlan(kind) {
        let Some(next) = payload.get(4..) else { return false };
        kind = be16(payload, 2);
        payload = next;
    }
    match kind {
        ethertype::IPV4 | ethertype::IPV6 => {
            let version = if kind == ethertype::IPV4 { 4 } else { 6 };
            payload.first().is_some_and(|byte| byte >> 4 == version) && looks_like_ip(payload, cut)
        }
        // 802.3: at least an LLC header.
        3..=MAX_LENGTH => usize::from(kind) <= payload.len() || cut,
        ethertype::ARP
        | ethertype::MPLS
        | ethertype::MPLS_UPSTREAM
        | ethertype::PPPOE_DISCOVERY
        | ethertype::PPPOE_SESSION
        | ethertype::HSR => true,
        kind => is_payload_ethertype(kind),
    }
}
