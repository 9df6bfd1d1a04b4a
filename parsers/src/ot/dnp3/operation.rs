//! What a fragment does to the plant, in the vocabulary of all protocols, and what it tells of the outstation.

use super::message::Message;
use super::objects::Datum;
use crate::field::Value;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Utf8;

/// Of a response only what shows by itself: DNP3 does not repeat in it what was asked.
pub(super) fn operation(message: &Message<'_>) -> Option<Operation> {
    let fragment = message.application.as_ref()?;
    Some(match fragment.function {
        1 | 130 => Operation::Read,
        // Time and internal indications are settings of the outstation, anything else are values (§4.2.2).
        2 if fragment.objects().all(|header| matches!(header.group, 50 | 51 | 80)) => Operation::Configure,
        2 => Operation::Write,
        3..=6 => Operation::Control,
        // Freezes copy counters into frozen counters, and may clear them.
        7..=12 => Operation::Write,
        13 | 14 => Operation::Restart,
        15 | 19..=22 | 24 | 31 => Operation::Configure,
        16 | 17 => Operation::Start,
        18 => Operation::Stop,
        25..=28 | 30 => Operation::File,
        29 | 32 | 33 | 131 => Operation::Authenticate,
        _ => return None,
    })
}

/// Outputs commanded and points written, each with its value; files by name.
pub(super) fn points(message: &Message<'_>, out: &mut VisitPoints<'_>) {
    let Some(fragment) = message.application.as_ref() else { return };
    if !matches!(fragment.function, 2..=6 | 25..=30) {
        return;
    }
    for header in fragment.objects() {
        for point in header.points() {
            let (mut value, mut file) = (None, None);
            point.parts(&mut |part, datum| match (header.group, part, datum) {
                (70, "filename", Datum::Text(name)) => file = Some(name),
                (12, "op_type", _) | (13, "commanded_state", _) | (_, "value" | "state" | "timestamp", _) => {
                    value = value.or(number(datum));
                }
                _ => {}
            });
            match (header.group, file) {
                (70, Some(name)) => {
                    out(Point { target: format_args!("file {}", Utf8(name)), value: None });
                }
                (70, None) => {}
                (group, _) => out(Point { target: format_args!("{} {}", kind(group), point.index), value }),
            }
        }
    }
}

fn number(datum: Datum<'_>) -> Option<Value<'static>> {
    match datum {
        Datum::Unsigned(number) | Datum::Milliseconds(number) => Some(Value::Unsigned(number)),
        Datum::Signed(number) => Some(Value::Signed(number)),
        Datum::Float(number) => Some(Value::Float(number)),
        Datum::Text(_) | Datum::Octets(_) => None,
    }
}

/// What an engineer calls the points of a group.
fn kind(group: u8) -> &'static str {
    match group {
        10..=13 => "binary output",
        20..=23 => "counter",
        34 => "analog deadband",
        40..=43 => "analog output",
        50 | 51 => "time",
        80 => "internal indication",
        110..=113 => "octet string",
        _ => crate::field::name_of(super::names::GROUPS, group.into()).unwrap_or("point"),
    }
}

/// Device attributes (group 0) by their variation.
pub(super) fn facts(message: &Message<'_>, out: &mut VisitFacts<'_>) {
    let Some(fragment) = message.application.as_ref().filter(|fragment| fragment.is_response()) else { return };
    for header in fragment.objects().filter(|header| header.group == 0) {
        let kind = match header.variation {
            242 => FactKind::Firmware,
            243 => FactKind::Hardware,
            245 => FactKind::Location,
            247 => FactKind::Name,
            248 => FactKind::Serial,
            250 => FactKind::Model,
            252 => FactKind::Vendor,
            _ => continue,
        };
        for point in header.points() {
            point.parts(&mut |part, datum| {
                if let ("value", Datum::Octets(octets) | Datum::Text(octets)) = (part, datum) {
                    out(Fact { of: End::Server, kind, value: Value::Bytes(octets) });
                }
            });
        }
    }
}
