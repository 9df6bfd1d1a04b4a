//! Is it DNS, and where does the message end?
//!
//! Nothing in a message says that it is one, but its parts must agree: counts in the header, a name, a type, a class, and
//! an end that is just the datagram's, or that of the length in front. All of that together is certain; a header and a
//! first question alone are believed where the port says so. The name service of NetBIOS has the same layout; its names
//! tell it apart (RFC 1001 §14.1).

use super::message::{Entry, HEADER, Header, Message, Section, word};
use super::name::Labels;
use super::{PREFIX, names};
use crate::dissector::{Direction, Frame, Probe};
use crate::field::name_of;
use crate::findings::Findings;

/// How far bytes agree with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// A header and what begins the first section.
    Beginning,
    /// All of it, to the last octet.
    Whole,
}

pub(super) fn datagram(bytes: &[u8], direction: Direction) -> Probe {
    match fit(bytes) {
        Fit::No => Probe::No,
        Fit::Beginning => Probe::OnPort,
        Fit::Whole => by_direction(bytes, direction),
    }
}

pub(super) fn datagram_on_port(bytes: &[u8], _: Direction) -> Probe {
    if fit(bytes) == Fit::No { Probe::No } else { Probe::OnPort }
}

pub(super) fn stream(bytes: &[u8], direction: Direction) -> Probe {
    let Some(length) = word(bytes, 0).map(usize::from) else { return Probe::Maybe };
    let begun = bytes.get(PREFIX..).unwrap_or_default();
    match begun.get(..length) {
        _ if length < HEADER => Probe::No,
        Some(message) => datagram(message, direction),
        None if !may_begin(begun) => Probe::No,
        // What its length has no room for will not be whole, however much is waited for.
        None if Header::read(begun).is_some_and(|header| header.shortest() > length) => Probe::OnPort,
        None => Probe::Maybe,
    }
}

pub(super) fn stream_on_port(bytes: &[u8], direction: Direction) -> Probe {
    if stream(bytes, direction) == Probe::No { Probe::No } else { Probe::OnPort }
}

/// A whole message goes the way that its response bit says; one that does not is believed where the port says so.
fn by_direction(message: &[u8], direction: Direction) -> Probe {
    let response = Header::read(message).is_some_and(Header::is_response);
    if response == (direction == Direction::ToClient) { Probe::Certain } else { Probe::Maybe }
}

/// A message of NetBIOS fits as well; its names are looked at last, since hardly anything comes so far.
fn fit(bytes: &[u8]) -> Fit {
    let fit = fit_of_either(bytes);
    if fit != Fit::No && is_netbios(bytes) { Fit::No } else { fit }
}

fn fit_of_either(bytes: &[u8]) -> Fit {
    let Some(header) = Header::read(bytes) else { return Fit::No };
    let ordinary = name_of(names::OPCODES, header.opcode().into()).is_some() && !header.reserved();
    let Some((entry, section)) = first(bytes, header) else {
        // A refusal may consist of nothing but its header; one question or answer may be damaged.
        let refusal = header.counts == [0; 4] && header.is_response() && bytes.len() == HEADER;
        let damaged = header.counts[Section::Question as usize] == 1 && header.shortest() <= bytes.len();
        return if ordinary && (refusal || damaged) { Fit::Beginning } else { Fit::No };
    };
    let fits = ordinary && header.shortest() <= bytes.len();
    if !fits && !has_class(&entry, section) {
        return Fit::No;
    }
    // A request has no response code; only an update or notification has answers.
    let asks = header.is_response()
        || (header.rcode() == 0 && (header.opcode() != names::QUERY || header.counts[Section::Answer as usize] == 0));
    let mut findings = Findings::NONE;
    let Some(message) = Message::read(bytes, &mut findings) else { return Fit::No };
    // Without a question the records must say what it is.
    let told = || match section {
        Section::Question => message.entries(section).all(|entry| has_class(&entry, section)),
        _ => message.records().all(|entry| has_class(&entry, section)),
    };
    if ordinary && asks && findings.is_empty() && told() { Fit::Whole } else { Fit::Beginning }
}

/// The first question or record that the header announces, if it is whole.
fn first(bytes: &[u8], header: Header) -> Option<(Entry<'_>, Section)> {
    let (_, section) = header.counts.iter().zip(Section::ALL).find(|(count, _)| **count > 0)?;
    Some((Entry::read(bytes, HEADER, section)?, section))
}

fn has_class(entry: &Entry<'_>, section: Section) -> bool {
    /// The bit by which multicast asks for a unicast answer, or has caches flushed (RFC 6762 §5.4, §10.2).
    const MULTICAST_BIT: u16 = 0x8000;
    let pseudo = section != Section::Question && entry.kind == names::OPT;
    pseudo || name_of(names::CLASSES, (entry.class & !MULTICAST_BIT).into()).is_some()
}

/// NetBIOS names are a label of 32 letters from A to P; where some were changed, most still are.
fn is_netbios(message: &[u8]) -> bool {
    const NAME: usize = 32;
    const MOST: usize = NAME / 4 * 3;
    let letters = |label: &[u8]| label.iter().filter(|octet| (b'A'..=b'P').contains(octet)).count();
    Labels::new(message, HEADER).next().is_some_and(|label| label.len() == NAME && letters(label) >= MOST)
}

/// May a message begin like this, of which the rest is still to come?
fn may_begin(begun: &[u8]) -> bool {
    let Some(header) = Header::read(begun) else {
        return word(begun, 2).is_none_or(|flags| flags >> 11 & 0xf < u16::from(names::FIRST_UNASSIGNED_OPCODE));
    };
    header.counts[Section::Question as usize] <= 1
        && header.counts != [0; 4]
        && !header.reserved()
        && name_of(names::OPCODES, header.opcode().into()).is_some()
        // The first entry may be cut off.
        && first(begun, header).is_none_or(|(entry, section)| has_class(&entry, section))
        && !is_netbios(begun)
}

pub(super) fn frame_datagram(bytes: &[u8], _: Direction) -> Frame {
    if bytes.len() < HEADER { Frame::Need(HEADER) } else { Frame::Whole(bytes.len()) }
}

pub(super) fn frame_stream(bytes: &[u8], _: Direction) -> Frame {
    match word(bytes, 0).map(|length| PREFIX + usize::from(length)) {
        None => Frame::Need(PREFIX),
        Some(length) if length < PREFIX + HEADER => Frame::Not,
        Some(length) if length <= bytes.len() => Frame::Whole(length),
        Some(length) => Frame::Need(length),
    }
}
