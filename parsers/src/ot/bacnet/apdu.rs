//! The header of an APDU (20.1).

use super::{INVALID_APDU, UNKNOWN_PDU_TYPE};
use crate::dissector::{Anomaly, Direction, Probe};

/// Kinds of APDU (20.1.1).
pub(super) mod kind {
    pub(crate) const CONFIRMED_REQUEST: u8 = 0;
    pub(crate) const UNCONFIRMED_REQUEST: u8 = 1;
    pub(crate) const SIMPLE_ACK: u8 = 2;
    pub(crate) const COMPLEX_ACK: u8 = 3;
    pub(crate) const SEGMENT_ACK: u8 = 4;
    pub(crate) const ERROR: u8 = 5;
    pub(crate) const REJECT: u8 = 6;
    pub(crate) const ABORT: u8 = 7;
}

const SEGMENTED: u8 = 0x08;
const MORE_FOLLOWS: u8 = 0x04;
const SEGMENTED_ACCEPTED: u8 = 0x02;
const NEGATIVE: u8 = 0x02;
const SERVER: u8 = 0x01;

/// Place of a segment in its message (5.2), or what a Segment Ack says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) sequence: u8,
    /// Proposed window size; of a Segment Ack, the actual.
    pub(super) window: u8,
    pub(super) more: bool,
}

/// An APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Apdu<'a> {
    /// Kind, 0 to 7.
    pub(super) kind: u8,
    flags: u8,
    /// Segments and length that the sender of a request accepts, as coded (20.1.2.4, 20.1.2.5).
    pub(super) accepts: Option<(u8, u8)>,
    pub(super) invoke_id: Option<u8>,
    pub(super) segment: Option<Segment>,
    /// Service; of a Reject or Abort, the reason.
    code: Option<u8>,
    /// Parameters of the service; of a segment, a part of them.
    pub(super) parameters: &'a [u8],
    /// Where they begin in the APDU.
    pub(super) offset: usize,
}

/// Reads an APDU; what stands in front of it has `base` octets.
pub(super) fn read(bytes: &[u8], base: usize) -> Result<Apdu<'_>, Anomaly> {
    let cut = Anomaly { kind: INVALID_APDU, offset: base + bytes.len() };
    let (&first, rest) = bytes.split_first().ok_or(cut)?;
    let kind = first >> 4;
    if kind > kind::ABORT {
        return Err(Anomaly { kind: UNKNOWN_PDU_TYPE, offset: base });
    }
    header(kind, first & 0x0f, rest).ok_or(cut)
}

fn header(kind: u8, flags: u8, bytes: &[u8]) -> Option<Apdu<'_>> {
    let mut at = 0;
    let mut octet = || {
        let octet = bytes.get(at).copied();
        at += 1;
        octet
    };
    let has_segment = match kind {
        kind::CONFIRMED_REQUEST | kind::COMPLEX_ACK => flags & SEGMENTED != 0,
        _ => kind == kind::SEGMENT_ACK,
    };
    let accepts = if kind == kind::CONFIRMED_REQUEST { Some(octet()?) } else { None };
    let invoke_id = if kind == kind::UNCONFIRMED_REQUEST { None } else { Some(octet()?) };
    let segment = match has_segment {
        true => {
            let more = kind != kind::SEGMENT_ACK && flags & MORE_FOLLOWS != 0;
            Some(Segment { sequence: octet()?, window: octet()?, more })
        }
        false => None,
    };
    let code = if kind == kind::SEGMENT_ACK { None } else { Some(octet()?) };
    Some(Apdu {
        kind,
        flags,
        accepts: accepts.map(|accepts| (accepts >> 4 & 7, accepts & 0x0f)),
        invoke_id,
        segment,
        code,
        parameters: bytes.get(at..)?,
        offset: 1 + at,
    })
}

/// Does an APDU going this way begin here? Clients ask; servers answer, and notify their subscribers. To whom a broadcast
/// goes says nothing of who is who.
pub(super) fn probe(bytes: &[u8], direction: Direction, broadcast: bool) -> Probe {
    let Ok(apdu) = read(bytes, 0) else { return Probe::No };
    let by_client = match apdu.kind {
        kind::CONFIRMED_REQUEST | kind::SIMPLE_ACK | kind::COMPLEX_ACK | kind::ERROR => {
            apdu.is_request() != apdu.confirmed_service().is_some_and(is_notification)
        }
        kind::SEGMENT_ACK | kind::ABORT => apdu.flags & SERVER == 0,
        kind::UNCONFIRMED_REQUEST if broadcast => return Probe::Certain,
        // A device says who it is, or notifies.
        kind::UNCONFIRMED_REQUEST => !matches!(apdu.unconfirmed_service(), Some(0..=3 | 11 | 12)),
        _ => false,
    };
    if by_client == (direction == Direction::ToServer) { Probe::Certain } else { Probe::No }
}

/// Is it a notification, which goes from a device to who subscribed?
const fn is_notification(service: u8) -> bool {
    matches!(service, 1 | 2 | 31 | 32)
}

impl<'a> Apdu<'a> {
    /// Is an answer to be expected?
    pub(super) fn is_request(&self) -> bool {
        self.kind == kind::CONFIRMED_REQUEST
    }

    /// Does it end what its invoke identifier began?
    pub(super) fn is_answer(&self) -> bool {
        use kind::*;
        matches!(self.kind, SIMPLE_ACK | COMPLEX_ACK | ERROR | REJECT | ABORT)
    }

    /// The confirmed service that is asked for, acknowledged or failed.
    pub(super) fn confirmed_service(&self) -> Option<u8> {
        use kind::*;
        self.code.filter(|_| matches!(self.kind, CONFIRMED_REQUEST | SIMPLE_ACK | COMPLEX_ACK | ERROR))
    }

    /// The service of an unconfirmed request.
    pub(super) fn unconfirmed_service(&self) -> Option<u8> {
        self.code.filter(|_| self.kind == kind::UNCONFIRMED_REQUEST)
    }

    /// Why a request was rejected.
    pub(super) fn reject_reason(&self) -> Option<u8> {
        self.code.filter(|_| self.kind == kind::REJECT)
    }

    /// Why a transaction was aborted.
    pub(super) fn abort_reason(&self) -> Option<u8> {
        self.code.filter(|_| self.kind == kind::ABORT)
    }

    /// Does a Segment Ack say that segments are missing?
    pub(super) fn is_negative(&self) -> Option<bool> {
        (self.kind == kind::SEGMENT_ACK).then_some(self.flags & NEGATIVE != 0)
    }

    /// Is the sender of a Segment Ack or an Abort the server of the transaction?
    pub(super) fn by_server(&self) -> Option<bool> {
        matches!(self.kind, kind::SEGMENT_ACK | kind::ABORT).then_some(self.flags & SERVER != 0)
    }

    /// May the answer come in segments?
    pub(super) fn segmented_accepted(&self) -> Option<bool> {
        self.is_request().then_some(self.flags & SEGMENTED_ACCEPTED != 0)
    }

    /// Is it a part of a longer message?
    pub(super) fn is_part(&self) -> bool {
        self.segment.is_some() && self.kind != kind::SEGMENT_ACK
    }

    /// Its header as the whole message would have it that it is a part of.
    pub(super) fn whole_header(&self) -> ([u8; 4], usize) {
        let (id, service) = (self.invoke_id.unwrap_or_default(), self.code.unwrap_or_default());
        let first = self.kind << 4 | self.flags & !(SEGMENTED | MORE_FOLLOWS);
        match self.accepts {
            Some((segments, length)) => ([first, segments << 4 | length, id, service], 4),
            None => ([first, id, service, 0], 3),
        }
    }

    /// Segments of an answer that are accepted: 2 to 64; `None` when not said, or more (20.1.2.4).
    pub(super) fn max_segments(&self) -> Option<u8> {
        self.accepts.filter(|(segments, _)| (1..=6).contains(segments)).map(|(segments, _)| 1 << segments)
    }

    /// Octets of an APDU that are accepted (20.1.2.5).
    pub(super) fn max_length(&self) -> Option<u16> {
        [50, 128, 206, 480, 1024, 1476].get(usize::from(self.accepts?.1)).copied()
    }
}
