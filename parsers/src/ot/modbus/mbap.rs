//! Detection and framing by the MBAP header: transaction, protocol (always 0), length, unit
//! (MODBUS Messaging on TCP/IP Implementation Guide V1.0b §3.1.3).

use super::check::findings;
use super::message::{MBAP, Message, Transport};
use super::pdu::{Body, function, is_assigned, word};
use super::{LONGEST_MESSAGE, LONGEST_STANDARD_LENGTH, rtu};
use crate::dissector::{Direction, Frame, Probe};

/// MBAP header with the unit, and a function code.
const SHORTEST: usize = 8;

/// Where the message that begins here ends, by its length field.
pub(super) fn frame(bytes: &[u8], _: Direction) -> Frame {
    let (Some(protocol), Some(length)) = (word(bytes, 2), word(bytes, 4)) else { return Frame::Need(SHORTEST) };
    let length = usize::from(length);
    let longest = if protocol == 0 { LONGEST_MESSAGE - MBAP } else { LONGEST_STANDARD_LENGTH };
    if !(2..=longest).contains(&length) {
        return Frame::Not;
    }
    let end = MBAP + length;
    if bytes.len() >= end { Frame::Whole(end) } else { Frame::Need(end) }
}

/// Certain of a whole, faultless message of a public function with a layout, when what follows it begins like another.
/// Whole messages of any other kind are a Maybe: on a port of Modbus worth a try, elsewhere not for one alone.
/// Beginnings are a Maybe too unless they contradict themselves: they say nothing until more is there.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> Probe {
    if !begins(bytes) {
        return Probe::No;
    }
    let (Some(length), true) = (word(bytes, 4), bytes.len() >= SHORTEST) else { return Probe::Maybe };
    // A read from address 0 in an RTU frame has what looks like an MBAP header.
    if rtu::is_frame(bytes, direction) {
        return Probe::No;
    }
    let end = MBAP + usize::from(length);
    let Some((whole, rest)) = bytes.split_at_checked(end) else {
        let known = bytes.get(7).is_some_and(|raw| is_assigned(*raw) || *raw == function::UMAS);
        return if known { Probe::Maybe } else { Probe::No };
    };
    if !begins(rest) {
        return Probe::No;
    }
    match Message::new(Transport::Mbap, whole, direction) {
        Ok(message) if is_certain(&message) => Probe::Certain,
        Ok(_) if whole.starts_with(&LONG_SEQUENCE) => Probe::No,
        Ok(_) => Probe::Maybe,
        Err(_) => Probe::No,
    }
}

/// A BER sequence with its length in four bytes, as Windows writes LDAP: zeros and a right length in the same places.
const LONG_SEQUENCE: [u8; 2] = [0x30, 0x84];

/// Can a message begin so? True of no bytes at all.
fn begins(bytes: &[u8]) -> bool {
    let zero = bytes.iter().skip(2).take(2).all(|byte| *byte == 0);
    let longest = match bytes.get(7) {
        Some(&function::UMAS) | None => LONGEST_MESSAGE - MBAP,
        Some(_) => LONGEST_STANDARD_LENGTH,
    };
    zero && word(bytes, 4).is_none_or(|length| (2..=longest).contains(&length.into()))
}

/// Chance would have to hit the protocol, the length and the function code, and a value or count that suits them.
fn is_certain(message: &Message<'_>) -> bool {
    is_assigned(message.function()) && !matches!(message.body, Body::Opaque(_)) && findings(message, None).is_empty()
}
