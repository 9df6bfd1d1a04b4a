//! MPLS (RFC 3032), with pseudo-wires (RFC 4448), network service headers (RFC 8300), PPPoE (RFC 2516) and PPP (RFC 1661).

use super::decoder::{Decoder, Layer, be16};
use super::event::DecodeEvent;
use super::tunnel::{looks_like_ethernet, looks_like_ip};

/// MPLS labels with a meaning of their own (RFC 3032, 2.1; RFC 5586).
mod label {
    pub(super) const IPV4_EXPLICIT_NULL: u32 = 0;
    pub(super) const ROUTER_ALERT: u32 = 1;
    pub(super) const IPV6_EXPLICIT_NULL: u32 = 2;
    pub(super) const IMPLICIT_NULL: u32 = 3;
    /// Behind it stands the associated channel of a transport profile.
    pub(super) const ASSOCIATED_CHANNEL: u32 = 13;
    /// The first label that a router may give.
    pub(super) const FIRST_FREE: u32 = 16;
}

impl Decoder<'_, '_> {
    /// A label stack, to its bottom.
    pub(super) fn mpls(&mut self) -> Layer {
        let value = loop {
            let Some(entry) = self.header::<4>() else { return self.short(DecodeEvent::MplsHeaderTooSmall) };
            let entry = u32::from_be_bytes(*entry);
            let value = entry >> 12;
            if value == label::IMPLICIT_NULL {
                self.event(DecodeEvent::MplsBadLabelImplicitNull);
            }
            let bottom = entry & 0x100 != 0;
            if bottom && value == label::ROUTER_ALERT {
                self.event(DecodeEvent::MplsBadLabelRouterAlert);
            } else if bottom && (4..label::FIRST_FREE).contains(&value) && value != label::ASSOCIATED_CHANNEL {
                self.event(DecodeEvent::MplsBadLabelReserved);
            }
            self.skip(4);
            if bottom {
                break value;
            }
            if !self.enter() {
                return Layer::Payload;
            }
        };
        match value {
            label::IPV4_EXPLICIT_NULL => Layer::Ipv4,
            label::IPV6_EXPLICIT_NULL => Layer::Ipv6,
            label::ASSOCIATED_CHANNEL => Layer::Payload,
            _ => self.mpls_payload(),
        }
    }

    /// What a label stack carries is known only to the routers that agreed on the label: IP by its version, else an
    /// Ethernet pseudo-wire, with a control word (first half-byte 0) or without.
    fn mpls_payload(&mut self) -> Layer {
        let rest = self.rest();
        let Some(first) = rest.first() else { return self.short(DecodeEvent::MplsPktTooSmall) };
        let version = first >> 4;
        match version {
            0 if rest.get(4..).is_some_and(|frame| looks_like_ethernet(frame, self.cut)) => {
                self.skip(4);
                Layer::Ethernet
            }
            // Associated channel of a pseudo-wire (RFC 4385).
            1 => Layer::Payload,
            4 | 6 if looks_like_ip(rest, self.cut) => self.ip(),
            _ if looks_like_ethernet(rest, self.cut) => Layer::Ethernet,
            // Damaged IP is named by its own events.
            4 => Layer::Ipv4,
            6 => Layer::Ipv6,
            _ if rest.len() < 4 => self.short(DecodeEvent::MplsPktTooSmall),
            _ => self.fault(DecodeEvent::MplsUnknownPayloadType),
        }
    }

    /// A network service header, which states how long it is, metadata included, and what follows (RFC 8300, 2.2).
    pub(super) fn nsh(&mut self) -> Layer {
        let Some([version, length, metadata, next, ..]) = self.header::<8>() else {
            return self.short(DecodeEvent::NshHeaderTooSmall);
        };
        if version >> 6 != 0 {
            return self.fault(DecodeEvent::NshUnsupportedVersion);
        }
        let length = 4 * usize::from(length & 0x3f);
        let fits = match metadata & 0x0f {
            1 => length == 24,
            2 => length >= 8,
            0 | 15 => return self.fault(DecodeEvent::NshReservedType),
            _ => return self.fault(DecodeEvent::NshUnsupportedType),
        };
        if !fits {
            return self.fault(DecodeEvent::NshBadHeaderLength);
        }
        if length > self.rest().len() {
            return self.short(DecodeEvent::NshBadHeaderLength);
        }
        let layer = match next {
            1 => Layer::Ipv4,
            2 => Layer::Ipv6,
            3 => Layer::Ethernet,
            4 => Layer::Nsh,
            5 => Layer::Mpls,
            _ => return self.fault(DecodeEvent::NshUnknownPayload),
        };
        self.skip(length);
        layer
    }

    /// PPPoE discovery: checked, and left as payload.
    pub(super) fn pppoe_discovery(&mut self) -> Layer {
        let Some([version, code, ..]) = self.header::<6>() else { return self.short(DecodeEvent::PppoePktTooSmall) };
        // PADI, PADO, PADR, PADS, PADT, PADM, PADN.
        if *version != 0x11 || !matches!(code, 0x09 | 0x07 | 0x19 | 0x65 | 0xa7 | 0xd3 | 0xd4) {
            return self.fault(DecodeEvent::PppoeWrongCode);
        }
        self.bound(6 + usize::from(be16(self.rest(), 4)), DecodeEvent::PppoePktTooSmall);
        let mut tags = self.rest().get(6..).unwrap_or_default();
        // Tag 0 ends the list.
        while let [t0, t1, l0, l1, data @ ..] = tags
            && (*t0, *t1) != (0, 0)
        {
            match data.get(usize::from(u16::from_be_bytes([*l0, *l1]))..) {
                Some(next) => tags = next,
                None => return self.short(DecodeEvent::PppoeMalformedTags),
            }
        }
        if (1..4).contains(&tags.len()) {
            return self.short(DecodeEvent::PppoeMalformedTags);
        }
        Layer::Payload
    }

    /// PPPoE session: version and type 1, code 0.
    pub(super) fn pppoe_session(&mut self) -> Layer {
        let Some([version, code, _, _, l0, l1]) = self.header() else {
            return self.short(DecodeEvent::PppoePktTooSmall);
        };
        if (*version, *code) != (0x11, 0) {
            return self.fault(DecodeEvent::PppoeWrongCode);
        }
        self.bound(6 + usize::from(u16::from_be_bytes([*l0, *l1])), DecodeEvent::PppoePktTooSmall);
        self.skip(6);
        Layer::Ppp
    }

    /// PPP, with or without HDLC's address and control, with a protocol of two bytes or one (RFC 1661, 6.5, 6.6).
    pub(super) fn ppp(&mut self) -> Layer {
        let rest = self.rest();
        let hdlc = if rest.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
        let (protocol, length) = match rest.get(hdlc..).unwrap_or_default() {
            [short, ..] if short & 1 != 0 => (u16::from(*short), hdlc + 1),
            [high, low, ..] => (u16::from_be_bytes([*high, *low]), hdlc + 2),
            _ => return self.short(DecodeEvent::PppPktTooSmall),
        };
        let available = rest.len() - length;
        let layer = match protocol {
            0x0021 if available < 20 => self.short(DecodeEvent::PppIp4PktTooSmall),
            0x0021 => Layer::Ipv4,
            0x0057 if available < 40 => self.short(DecodeEvent::PppIp6PktTooSmall),
            0x0057 => Layer::Ipv6,
            0x0281 | 0x0283 => Layer::Mpls,
            0x002f if available < 20 => self.short(DecodeEvent::PppVjuPktTooSmall),
            // The last byte of a protocol is odd, and the first even.
            _ if protocol & 0x0101 != 1 => self.fault(DecodeEvent::PppWrongType),
            // Control protocols carry no one's data.
            0x4000.. => Layer::Payload,
            _ => self.fault(DecodeEvent::PppUnsupProto),
        };
        self.skip(length);
        layer
    }
}
