//! What a message does to the plant, to what, and what it tells of devices.

use super::super::data::{self, Datum};
use super::control::{self, Action, Command};
use super::object::{Access, Target, Variable};
use super::pdu::kind;
use super::record::Exchange;
use super::report::Report;
use super::service::{self, number};
use crate::dissector::Direction;
use crate::encoding::ber::Elements;
use crate::field::Value;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Utf8;

pub(super) fn operation(record: &Exchange<'_>) -> Option<Operation> {
    let asked = record.asked();
    if asked.association.is_some_and(|association| association.proof.is_some()) {
        return Some(Operation::Authenticate);
    }
    let pdu = asked.pdu?;
    if let Some((service, _)) = pdu.of(kind::CONFIRMED_REQUEST) {
        let access = pdu.access();
        let items = || access.iter().flat_map(Access::variables).filter_map(|variable| variable.name());
        return match service {
            number::WRITE => items().map(|name| written(name.item())).max_by_key(weight).or(Some(Operation::Write)),
            number::READ
                if items().any(|name| control::action(name.item()).is_some_and(|found| found.0 == Action::Select)) =>
            {
                Some(Operation::Control)
            }
            _ => service::operation(service),
        };
    }
    // A response to what was not seen still tells its service, and what is unconfirmed reports.
    match pdu.kind {
        kind::CONFIRMED_RESPONSE => service::operation(pdu.service?.tag.number),
        kind::UNCONFIRMED => Some(Operation::Read),
        _ => None,
    }
}

/// What it is to write an item, by its functional constraint (IEC 61850-7-2 §12.3.3.2): commands, settings and control
/// blocks are more than values.
fn written(item: &[u8]) -> Operation {
    match constraint(item) {
        Some(b"CO") => Operation::Control,
        Some(b"CF" | b"DC" | b"SP" | b"SG" | b"SE" | b"BR" | b"RP" | b"LG" | b"GO" | b"GS" | b"MS" | b"US") => {
            Operation::Configure
        }
        _ => Operation::Write,
    }
}

/// Of several in one message, which the message is told by.
fn weight(operation: &Operation) -> u8 {
    match operation {
        Operation::Control => 2,
        Operation::Configure => 1,
        _ => 0,
    }
}

/// The functional constraint of an item: what stands between the first two dollar signs, two letters.
pub(super) fn constraint(item: &[u8]) -> Option<&[u8]> {
    item.split(|&octet| octet == b'$').nth(1).filter(|part| part.len() == 2 && part.iter().all(u8::is_ascii_uppercase))
}

pub(super) fn points(record: &Exchange<'_>, out: &mut VisitPoints<'_>) {
    if let Some(target) = &record.open {
        return out(Point { target: format_args!("{target}"), value: None });
    }
    let Some(pdu) = record.asked().pdu else { return };
    if let Some(report) = record.report() {
        return reported(&report, out);
    }
    match pdu.of(kind::CONFIRMED_REQUEST) {
        Some((number::WRITE, _)) => {
            let (Some(access), Some(values)) = (pdu.access(), pdu.values()) else { return };
            write_points(&access, values, out);
        }
        Some((service, argument)) => {
            service::targets(service, &argument, &mut |target| {
                out(Point { target: format_args!("{target}"), value: None });
            });
        }
        None => {
            for variable in pdu.access().iter().flat_map(Access::variables) {
                out(Point { target: format_args!("{variable}"), value: None });
            }
        }
    }
}

/// Each variable with the value written to it: of a command what is commanded; of structures each value within.
fn write_points(access: &Access<'_>, values: Elements<'_>, out: &mut VisitPoints<'_>) {
    if let Some(name) = access.list_name() {
        return leaf_points(&Target::Object(name), values, out);
    }
    let mut values = values;
    for variable in access.variables() {
        let value = values.next();
        let command = value.and_then(|value| command(&variable, &value));
        match (command, value) {
            (Some(command), _) => {
                let value = command.value.map(Datum::value);
                out(Point { target: format_args!("{variable}"), value });
            }
            (None, Some(value)) if data::is_composite(&value) => {
                leaf_points(&Target::Variable(variable), value.elements(), out);
            }
            (None, value) => {
                let value = value.and_then(|value| data::datum(&value)).map(Datum::value);
                out(Point { target: format_args!("{variable}"), value });
            }
        }
    }
}

fn leaf_points(target: &Target<'_>, values: Elements<'_>, out: &mut VisitPoints<'_>) {
    let mut number = 0;
    data::leaves(values, &mut |datum| {
        number += 1;
        out(Point { target: format_args!("{target}[{number}]"), value: Some(datum.value()) });
    });
}

/// What is written to a control object.
pub(super) fn command<'a>(variable: &Variable<'a>, value: &crate::encoding::ber::Element<'a>) -> Option<Command<'a>> {
    let (_, part) = control::action(variable.name()?.item())?;
    Command::read(part, value)
}

/// Each member reported: by its reference, or by the data set and its number in it.
fn reported(report: &Report<'_>, out: &mut VisitPoints<'_>) {
    let data_set = Utf8(report.data_set.unwrap_or(report.id));
    for entry in report.entries() {
        match entry.reference {
            Some(reference) => out(Point { target: format_args!("{}", Utf8(reference)), value: None }),
            None => out(Point { target: format_args!("{data_set}[{}]", entry.number), value: None }),
        }
    }
}

pub(super) fn facts(record: &Exchange<'_>, out: &mut VisitFacts<'_>) {
    let of = match record.message.direction {
        Direction::ToServer => End::Client,
        Direction::ToClient => End::Server,
    };
    let mut tell = |kind, text: &[u8]| {
        if !text.is_empty() {
            out(Fact { of, kind, value: Value::Bytes(text) });
        }
    };
    if let Some(identity) = record.identity() {
        for (kind, text) in [FactKind::Vendor, FactKind::Model, FactKind::Firmware].into_iter().zip(identity) {
            tell(kind, text.unwrap_or_default());
        }
    }
    let (Some(asked), Some(values)) = (record.request.and_then(|request| request.pdu?.access()), record.values())
    else {
        return;
    };
    for (variable, value) in asked.variables().zip(values) {
        let (Some(name), Some(Datum::Text(text))) = (variable.name(), data::datum(&value)) else { continue };
        if let Some(kind) = name_plate(name.item()) {
            tell(kind, text);
        }
    }
}

/// What an attribute of the physical name plate tells (IEC 61850-7-3 §7.9.2).
fn name_plate(item: &[u8]) -> Option<FactKind> {
    let mut parts = item.rsplit(|&octet| octet == b'$');
    let attribute = parts.next()?;
    parts.next().filter(|object| *object == b"PhyNam")?;
    Some(match attribute {
        b"vendor" => FactKind::Vendor,
        b"model" => FactKind::Model,
        b"serNum" => FactKind::Serial,
        b"swRev" => FactKind::Firmware,
        b"hwRev" => FactKind::Hardware,
        b"name" => FactKind::Name,
        b"location" => FactKind::Location,
        _ => return None,
    })
}
