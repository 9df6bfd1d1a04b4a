//! GOOSE and Sampled Values in UDP datagrams (IEC/TR 61850-90-5 §8): a connectionless transport PDU, a session header with
//! what protects the payload, then the messages.

use super::header::Outer;
use super::{goose, sv};
use crate::dissector::{Direction, Dissector, Envelope, Frame, Probe, Protocol, Sink};

/// Routed GOOSE. Its records are those of [`goose::PROTOCOL`].
pub static GOOSE: Protocol = Protocol {
    title: "Routed GOOSE (IEC/TR 61850-90-5)",
    udp_ports: &[102],
    ethertypes: &[],
    longest_message: 65_507,
    probe: |bytes, _| probe(bytes, GOOSE_SESSION),
    frame,
    open: |limits| Box::new(RoutedGoose(goose::Publisher::new(limits.requests.into()))),
    ..goose::TEMPLATE
};

/// Routed Sampled Values. Its records are those of [`sv::PROTOCOL`].
pub static SV: Protocol = Protocol {
    title: "Routed Sampled Values (IEC/TR 61850-90-5)",
    udp_ports: &[102],
    ethertypes: &[],
    longest_message: 65_507,
    probe: |bytes, _| probe(bytes, SV_SESSION),
    frame,
    open: |limits| Box::new(RoutedSv(sv::Publisher::new(limits.requests.into()))),
    ..sv::TEMPLATE
};

/// Length and identifier of the transport's unit data (ISO 8602).
const UNIT_DATA: [u8; 2] = [0x01, 0x40];
const GOOSE_SESSION: u8 = 0xa1;
const SV_SESSION: u8 = 0xa2;
const COMMON_HEADER: u8 = 0x80;
const GOOSE_PDU: u8 = 0x81;
const SV_PDU: u8 = 0x82;
/// Transport, session identifier and length, header identifier and length.
const BEFORE_HEADER: usize = 6;
/// Length, number, version, times and algorithms, key (§8.1.3).
const SHORTEST_HEADER: usize = 22;
/// Type, simulation, application identifier, length.
const PDU_HEADER: usize = 6;

fn probe(bytes: &[u8], session: u8) -> Probe {
    match bytes {
        [a, b, identifier, _, header, length, ..]
            if [*a, *b] == UNIT_DATA
                && *identifier == session
                && *header == COMMON_HEADER
                && usize::from(*length) >= SHORTEST_HEADER =>
        {
            Probe::Certain
        }
        _ => Probe::No,
    }
}

/// A datagram is one session PDU.
fn frame(bytes: &[u8], _: Direction) -> Frame {
    if bytes.len() < BEFORE_HEADER { Frame::Need(BEFORE_HEADER) } else { Frame::Whole(bytes.len()) }
}

/// Hands every message of the kind in a session PDU to `take`. Encrypted payloads hold none that can be read.
fn messages<'a>(bytes: &'a [u8], wanted: u8, mut take: impl FnMut(Outer<'a>)) {
    let Some(&header) = bytes.get(BEFORE_HEADER - 1) else { return };
    // The payload's length stands behind the header.
    let start = BEFORE_HEADER + usize::from(header);
    let Some(length) = bytes.get(start..).and_then(|rest| rest.first_chunk::<4>()) else { return };
    let mut at = start + 4;
    let end = at.saturating_add(u32::from_be_bytes(*length) as usize).min(bytes.len());
    while let Some(&[kind, simulation, a, b, c, d]) =
        bytes.get(at..end).and_then(|rest| rest.first_chunk::<PDU_HEADER>())
    {
        let offset = at + PDU_HEADER;
        let next = offset + usize::from(u16::from_be_bytes([c, d]));
        if kind == wanted {
            let apdu = bytes.get(offset..next.min(end)).unwrap_or_default();
            let app_id = u16::from_be_bytes([a, b]);
            take(Outer::of_datagram(app_id, simulation != 0, apdu, offset, next > end));
        }
        at = next;
    }
}

struct RoutedGoose(goose::Publisher);

impl Dissector for RoutedGoose {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        messages(message, GOOSE_PDU, |outer| self.0.apdu(envelope, outer, sink));
    }
}

struct RoutedSv(sv::Publisher);

impl Dissector for RoutedSv {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        messages(message, SV_PDU, |outer| self.0.apdu(envelope, outer, sink));
    }
}
