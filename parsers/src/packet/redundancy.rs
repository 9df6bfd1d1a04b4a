//! PRP trailers and HSR tags (IEC 62439-3).
//!
//! A PRP trailer stands at the end of an ordinary frame, and nothing in the header announces it: six bytes that hold a
//! sequence number, the LAN, the size of the frame's data, and a suffix. Receivers that do not know it take it for
//! padding. It is believed only when the size is right, and when the IP packet in the frame does not reach into it.

use super::decoder::{Decoder, Layer, be16};
use super::event::DecodeEvent;
use super::link::{ethertype, is_vlan};
use super::{Redundancy, RedundancyKind};

/// Length of the trailer.
const TRAILER: usize = 6;
/// The suffix that ends it.
const SUFFIX: [u8; 2] = [0x88, 0xfb];
/// Longest frame, with its frame check sequence, that a sender may have padded behind a trailer.
const SHORT_DATA: usize = 64 - 14;

impl Decoder<'_, '_> {
    /// Looks for a PRP trailer in the frame whose header ended with `outer`, and takes it off (clause 4.2.7).
    pub(super) fn prp(&mut self, outer: u16) {
        let data = self.rest();
        if let Some(end) = trailer_end(data) {
            self.check_trailer(data, end, outer);
        }
    }

    #[cold]
    fn check_trailer(&mut self, data: &[u8], end: usize, outer: u16) {
        let start = end - TRAILER;
        let sequence = be16(data, start);
        let lan_and_size = be16(data, start + 2);
        let (lan, size) = ((lan_and_size >> 12) as u8, usize::from(lan_and_size & 0x0fff));
        let (mut lsdu, mut kind) = (0, outer);
        // The size leaves out VLAN tags, which bridges add and remove; some senders count them.
        let mut right = end == size;
        while is_vlan(kind) && lsdu + 4 <= start {
            kind = be16(data, lsdu + 2);
            lsdu += 4;
            right |= end - lsdu == size;
        }
        let ip_end = match kind {
            ethertype::IPV4 => Some(lsdu + usize::from(be16(data, lsdu + 2))),
            ethertype::IPV6 => Some(lsdu + 40 + usize::from(be16(data, lsdu + 4))),
            _ => None,
        };
        // The stated length is 0 when the sending card was to divide the packet.
        if ip_end.is_some_and(|ip_end| ip_end > start || ip_end <= lsdu) {
            return;
        }
        let place = self.at() + start;
        let known_lan = matches!(lan, 0xa | 0xb);
        if right {
            if !known_lan {
                self.packet.events.push(DecodeEvent::PrpInvalidLan, place);
            }
            self.packet.redundancy = Some(Redundancy { kind: RedundancyKind::Prp, lan, sequence });
            self.packet.payload.end = place;
        } else if known_lan && ip_end.is_some() {
            self.packet.events.push(DecodeEvent::PrpSizeMismatch, place);
        }
    }

    /// HSR tag: path and size, sequence number, ethertype (clause 5.3).
    pub(super) fn hsr(&mut self) -> Layer {
        let Some([p0, p1, n0, n1, t0, t1]) = self.header() else { return self.short(DecodeEvent::HsrHeaderTooSmall) };
        let path_and_size = u16::from_be_bytes([*p0, *p1]);
        let size = usize::from(path_and_size & 0x0fff);
        if size < TRAILER || (size > self.end() - self.at() && !self.cut) {
            self.event(DecodeEvent::HsrSizeMismatch);
        }
        self.packet.redundancy = Some(Redundancy {
            kind: RedundancyKind::Hsr,
            lan: (path_and_size >> 12) as u8,
            sequence: u16::from_be_bytes([*n0, *n1]),
        });
        self.skip(6);
        self.by_length_or_type(u16::from_be_bytes([*t0, *t1]), DecodeEvent::HsrUnknownType)
    }
}

/// Where a PRP trailer would end in a frame's data: at its end, before a frame check sequence that was captured with it,
/// or, in a short frame, before the zeros that filled it up.
fn trailer_end(data: &[u8]) -> Option<usize> {
    let suffix_before = |end: usize| end >= TRAILER && data.get(end - SUFFIX.len()..end) == Some(&SUFFIX);
    let length = data.len();
    if suffix_before(length) {
        return Some(length);
    }
    if length <= SHORT_DATA && data.last() == Some(&0) {
        let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        return suffix_before(end).then_some(end);
    }
    let without_fcs = length.saturating_sub(4);
    suffix_before(without_fcs).then_some(without_fcs)
}
