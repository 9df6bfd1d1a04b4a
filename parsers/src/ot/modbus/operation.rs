//! What a message does to the plant, in the vocabulary of all protocols, and what it tells of the device.

use super::names::{self, Table};
use super::pdu::{Body, MEI_DEVICE_IDENTIFICATION, function, is_bits};
use super::record::Exchange;
use crate::field::Value;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Line;

pub(super) fn operation(record: &Exchange<'_>) -> Option<Operation> {
    use function::*;
    let request = record.request.unwrap_or(record.message);
    let code = request.function();
    if let Some(access) = names::access(code) {
        return Some(if access.write { Operation::Write } else { Operation::Read });
    }
    Some(match (code, request.body) {
        (READ_EXCEPTION_STATUS | GET_COMM_EVENT_COUNTER | GET_COMM_EVENT_LOG | READ_FIFO_QUEUE, _) => Operation::Read,
        (DIAGNOSTICS, Body::Diagnostic { code, .. }) => match code {
            1 => Operation::Restart,
            // Force listen only mode: the device no longer acts on requests.
            4 => Operation::Stop,
            3 | 10 | 20 => Operation::Configure,
            _ => Operation::Read,
        },
        (PROGRAM_484 | PROGRAM_CONTROLLER | PROGRAM_884, _) => Operation::Program,
        (POLL_484 | POLL_CONTROLLER, _) => Operation::Read,
        (RESET_COMM_LINK, _) => Operation::Restart,
        (REPORT_SERVER_ID, _) => Operation::Discover,
        (READ_FILE_RECORD | WRITE_FILE_RECORD, _) => Operation::File,
        (ENCAPSULATED_INTERFACE_TRANSPORT, Body::Mei { kind: MEI_DEVICE_IDENTIFICATION, .. }) => Operation::Discover,
        (UMAS, Body::Opaque(data)) if request.request => umas(*data.get(1)?)?,
        _ => return None,
    })
}

/// Requests of UMAS, by the function code after the pairing key. Their numbers are known from public research, not from
/// a standard.
fn umas(code: u8) -> Option<Operation> {
    Some(match code {
        0x01 | 0x03 | 0x0a => Operation::Configure,
        0x02 | 0x04 => Operation::Discover,
        0x10 | 0x11 => Operation::Authenticate,
        0x20 | 0x22 | 0x24 => Operation::Read,
        0x21 | 0x23 | 0x25 => Operation::Write,
        0x30..=0x35 => Operation::Program,
        0x40 => Operation::Start,
        0x41 => Operation::Stop,
        _ => return None,
    })
}

/// The ranges accessed: of a function that does both, what is read and what is written.
pub(super) fn points(record: &Exchange<'_>, out: &mut VisitPoints<'_>) {
    let Some(access) = names::access(record.message.function()) else { return };
    if access.read
        && let Some(range) = record.read_range()
    {
        point(access.table, range, None, out);
    }
    if access.write
        && let Some(range) = record.write_range()
    {
        point(access.table, range, single(record), out);
    }
}

fn point(table: Table, (address, quantity): (u16, u16), value: Option<Value<'_>>, out: &mut VisitPoints<'_>) {
    let table = crate::field::name_of(names::TABLES, table as u64).unwrap_or_default();
    let mut target = Line::<32>::new();
    target.add(table).add(" ").number(address);
    let last = address.saturating_add(quantity.saturating_sub(1));
    if last > address {
        target.add("-").number(last);
    }
    out(Point { target: format_args!("{}", target.as_str()), value });
}

/// The value written, where it is one.
fn single<'a>(record: &Exchange<'a>) -> Option<Value<'a>> {
    let bodies = [Some(record.message.body), record.request.map(|request| request.body)];
    bodies
        .into_iter()
        .flatten()
        .find_map(|body| match body {
            Body::WriteSingle { value, .. } if is_bits(record.message.function()) => Some(u64::from(value != 0)),
            Body::WriteSingle { value, .. } => Some(value.into()),
            Body::WriteMultiple { quantity: 1, data: [bits, ..], .. } if is_bits(record.message.function()) => {
                Some(u64::from(bits & 1))
            }
            Body::WriteMultiple { quantity: 1, data: &[high, low, ..], .. }
            | Body::ReadWrite { quantity: 1, data: &[high, low, ..], .. } => {
                Some(u16::from_be_bytes([high, low]).into())
            }
            _ => None,
        })
        .map(Value::Unsigned)
}

/// The objects of a device identification (§6.21).
pub(super) fn facts(record: &Exchange<'_>, out: &mut VisitFacts<'_>) {
    let objects = record.identification().map(|answer| answer.objects);
    for (id, value) in objects.into_iter().flatten() {
        let kind = match id {
            0 => FactKind::Vendor,
            1 | 5 => FactKind::Model,
            2 => FactKind::Firmware,
            4 => FactKind::Role,
            6 => FactKind::Name,
            _ => continue,
        };
        out(Fact { of: End::Server, kind, value: Value::Bytes(value) });
    }
}
