//! What GOOSE and Sampled Values begin with on the link layer (IEC 61850-8-1 annex C, IEC 61850-9-2 §5.3.3).

use crate::dissector::{AnomalyKind, Frame, Probe};
use crate::encoding::ber::Elements;
use crate::findings::Findings;

/// Octets before the APDU.
const LENGTH: usize = 8;

const TRUNCATED: &str = "truncated_message";
const INVALID_LENGTH: &str = "invalid_length";
pub(super) const INVALID_ENCODING: &str = "invalid_encoding";
pub(super) const MISSING_FIELD: &str = "missing_field";

/// Anomalies of both protocols: they begin the table of each.
pub(super) const ANOMALIES: [AnomalyKind; 4] = [
    kind(TRUNCATED, "The frame or datagram ends before the message does; what is there is read"),
    kind(INVALID_LENGTH, "The length in the header is less than the header's own (IEC 61850-8-1 annex C)"),
    kind(INVALID_ENCODING, "The message does not follow the basic encoding rules, or a field is not of its type"),
    kind(MISSING_FIELD, "A mandatory field of the message is not there"),
];

pub(super) const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

/// An APDU, what stands around it, and what is wrong with that.
pub(super) struct Outer<'a> {
    pub(super) app_id: u16,
    pub(super) simulated: bool,
    /// It comes in a datagram.
    pub(super) routed: bool,
    pub(super) apdu: &'a [u8],
    /// Where in the message the APDU begins.
    pub(super) offset: usize,
    pub(super) findings: Findings,
}

impl<'a> Outer<'a> {
    /// Of a message on the link layer; `None` when it is shorter than the header.
    pub(super) fn of_frame(message: &'a [u8]) -> Option<Self> {
        let header = Header::read(message)?;
        let mut findings = Findings::NONE;
        if usize::from(header.length) < LENGTH {
            findings.push(INVALID_LENGTH, 2);
        } else if header.short {
            findings.push(TRUNCATED, message.len());
        }
        let Header { app_id, simulated, apdu, .. } = header;
        Some(Self { app_id, simulated, routed: false, apdu, offset: LENGTH, findings })
    }

    /// Of a message in a datagram, which ends before it does where it is `short`.
    pub(super) fn of_datagram(app_id: u16, simulated: bool, apdu: &'a [u8], offset: usize, short: bool) -> Self {
        let mut findings = Findings::NONE;
        if short {
            findings.push(TRUNCATED, offset + apdu.len());
        }
        Self { app_id, simulated, routed: true, apdu, offset, findings }
    }

    /// The fields of the PDU with this application tag, and whether its end is missing; `None` when it is another.
    pub(super) fn fields(&mut self, tag: u32) -> Option<(Elements<'a>, usize, bool)> {
        let mut outer = Elements::new(self.apdu, self.offset);
        let pdu = outer.next();
        let cut = outer.fault();
        if let Some(fault) = cut {
            self.findings.push(if fault.truncated { TRUNCATED } else { INVALID_ENCODING }, fault.offset);
        }
        let Some(pdu) = pdu.filter(|pdu| pdu.tag.is_application(tag)) else {
            if cut.is_none() {
                self.findings.push(INVALID_ENCODING, self.offset);
            }
            return None;
        };
        Some((pdu.elements(), pdu.offset, cut.is_some()))
    }
}

/// Does a frame begin with the header, and the APDU with this octet?
pub(super) fn probe(bytes: &[u8], pdu: u8) -> Probe {
    match Header::read(bytes) {
        Some(header) if header.apdu.first() == Some(&pdu) => Probe::Certain,
        Some(_) => Probe::Maybe,
        None => Probe::No,
    }
}

/// The whole message; of one that the frame cuts, what is there.
pub(super) fn frame(bytes: &[u8]) -> Frame {
    match Header::read(bytes) {
        Some(header) => Frame::Whole(LENGTH + header.apdu.len()),
        None => Frame::Need(LENGTH),
    }
}

/// FNV-1a, to know a name again without keeping it.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3))
}

/// The header of a frame, and the APDU behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header<'a> {
    /// Application identifier: GOOSE 0x0000 to 0x3FFF, Sampled Values 0x4000 to 0x7FFF.
    app_id: u16,
    /// Octets of header and APDU, as the sender says.
    length: u16,
    /// The S bit: the message comes from a test set.
    simulated: bool,
    /// The APDU, without padding.
    apdu: &'a [u8],
    /// The sender announced more than the frame holds.
    short: bool,
}

impl<'a> Header<'a> {
    /// Reads it; `None` when the frame is shorter than the header.
    fn read(frame: &'a [u8]) -> Option<Self> {
        let &[a, b, c, d, reserved, ..] = frame.first_chunk::<LENGTH>()?;
        let length = u16::from_be_bytes([c, d]);
        let end = usize::from(length).clamp(LENGTH, frame.len());
        Some(Self {
            app_id: u16::from_be_bytes([a, b]),
            length,
            simulated: reserved & 0x80 != 0,
            apdu: frame.get(LENGTH..end).unwrap_or_default(),
            short: usize::from(length) > frame.len(),
        })
    }
}
