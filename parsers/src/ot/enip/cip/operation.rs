//! What a CIP service does to the plant, and what it tells of devices.

use super::identity::{self, Attributes};
use super::names;
use super::pccc::Pccc;
use super::record::Record;
use super::service::{Service, class, code};
use super::tag::{self, Tag};
use crate::field::{Value, name_of};
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Line;

pub(crate) fn operation(record: &Record<'_>) -> Option<Operation> {
    let request = record.asked()?;
    if let Some(pccc) = Pccc::new(request, request) {
        return pccc.operation();
    }
    if let Some(writes) = tag::writes(request) {
        return Some(if writes { Operation::Write } else { Operation::Read });
    }
    let class = request.path.class();
    of_class(class, request.raw).or_else(|| common(class, request))
}

/// Services that classes have for themselves, from 0x4b on. Those of Logix controllers are known from what development
/// software sends, not from a standard.
fn of_class(class: Option<u32>, service: u8) -> Option<Operation> {
    use class::*;
    Some(match (class?, service) {
        (_, ..=0x4a) => return None,
        (CONNECTION_MANAGER, _) => return None,
        (NONVOLATILE_STORAGE, _) => Operation::Firmware,
        (FILE, _) => Operation::File,
        (SEMAPHORE, 0x4b | 0x4c) => Operation::Authenticate,
        (SYMBOL | TEMPLATE | DATA_TABLE | TAG_LIST, 0x4c | 0x4f | 0x52 | 0x55) => Operation::Read,
        (DATA_TABLE, 0x4e) => Operation::Read,
        (SYMBOL | DATA_TABLE, 0x4d | 0x4e | 0x53) => Operation::Write,
        (PROGRAM | MODULE | BACKUP | TEMPLATE | ROUTINE | TASK, 0x4c | 0x4d | 0x4f..=0x53) => Operation::Program,
        (SECURITY | SECURITY_EIP | SECURITY_CERTIFICATE, _) => Operation::Configure,
        _ => return None,
    })
}

fn common(class: Option<u32>, request: &Service<'_>) -> Option<Operation> {
    use code::*;
    Some(match request.raw {
        _ if identity::asks(request) => Operation::Discover,
        GET_ATTRIBUTES_ALL | GET_ATTRIBUTE_LIST | GET_ATTRIBUTE_SINGLE | FIND_NEXT_INSTANCE | GET_MEMBER => {
            Operation::Read
        }
        SET_ATTRIBUTES_ALL | SET_ATTRIBUTE_LIST | SET_ATTRIBUTE_SINGLE | SET_MEMBER | INSERT_MEMBER | REMOVE_MEMBER => {
            changed(class)
        }
        RESET => Operation::Restart,
        START => Operation::Start,
        STOP => Operation::Stop,
        CREATE | DELETE if is_logic(class) => Operation::Program,
        CREATE | DELETE | APPLY_ATTRIBUTES | RESTORE | SAVE => Operation::Configure,
        _ => return None,
    })
}

/// Parts of the control logic of a Logix controller.
fn is_logic(class: Option<u32>) -> bool {
    use class::*;
    matches!(class, Some(PROGRAM | MODULE | BACKUP | SYMBOL | TEMPLATE | ROUTINE | TASK | 0x6e | 0x7e))
}

/// What setting attributes of a class does: settings of the device are one thing, process values another.
fn changed(class: Option<u32>) -> Operation {
    use class::*;
    match class {
        _ if is_logic(class) => Operation::Program,
        Some(IDENTITY | MESSAGE_ROUTER | CONNECTION_MANAGER | 0x05 | TIME_SYNC | CONTROLLER | WALL_CLOCK | MODE) => {
            Operation::Configure
        }
        Some(0x45..=0x48 | 0x4d | 0x52..=0x57 | SECURITY..=0x62 | 0xac | 0xf0..=0xf9) => Operation::Configure,
        _ => Operation::Write,
    }
}

pub(crate) fn points(record: &Record<'_>, out: &mut VisitPoints<'_>) {
    let Some(request) = record.asked() else { return };
    if let Some(pccc) = Pccc::new(request, request) {
        if let Some(address) = pccc.address() {
            out(Point { target: format_args!("{address}"), value: pccc.written().map(Value::Float) });
        }
        return;
    }
    if !request.path.bytes.is_empty() && !request.is_about_connection() && !request.is_unconnected_send() {
        out(Point { target: format_args!("{}", request.path), value: written(request) });
    }
}

/// The value written, where it is one.
fn written<'a>(request: &Service<'a>) -> Option<Value<'a>> {
    if let Some(tag) = Tag::new(request, request) {
        let mut values = tag.each();
        return values.next().filter(|_| values.next().is_none());
    }
    if request.raw != code::SET_ATTRIBUTE_SINGLE {
        return None;
    }
    // The type is the attribute's, which the message does not tell: an unsigned number for want of it.
    match *request.data {
        [value] => Some(Value::Unsigned(value.into())),
        [low, high] => Some(Value::Unsigned(u16::from_le_bytes([low, high]).into())),
        [a, b, c, d] => Some(Value::Unsigned(u32::from_le_bytes([a, b, c, d]).into())),
        _ => None,
    }
}

pub(crate) fn facts(record: &Record<'_>, out: &mut VisitFacts<'_>) {
    let Some(request) = record.request else { return };
    if let Some(attributes) = Attributes::new(record.service, request) {
        tell(&attributes, out);
    }
    if let Some(name) = identity::host_name(record.service, request) {
        out(Fact { of: End::Server, kind: FactKind::Name, value: Value::Bytes(name) });
    }
    let status = record.pccc().zip(Pccc::new(request, request)).and_then(|(answer, asked)| answer.diagnosed(&asked));
    if let Some(status) = status {
        let (series, release) = (char::from(b'A' + status.series), status.release);
        let firmware = Line::<24>::of(format_args!("series {series} FRN {release}"));
        out(Fact { of: End::Server, kind: FactKind::Model, value: Value::Bytes(status.name) });
        out(Fact { of: End::Server, kind: FactKind::Firmware, value: Value::Text(firmware.as_str()) });
    }
}

/// Tells what is known of the device that answers.
pub(crate) fn tell(attributes: &Attributes<'_>, out: &mut VisitFacts<'_>) {
    let mut tell = |kind, value: Value<'_>| out(Fact { of: End::Server, kind, value });
    if let Some(vendor) = attributes.vendor {
        match name_of(names::VENDORS, vendor.into()) {
            Some(name) => tell(FactKind::Vendor, Value::Text(name)),
            None => tell(FactKind::Vendor, Value::Unsigned(vendor.into())),
        }
    }
    if let Some(name) = attributes.product_name.filter(|name| !name.is_empty()) {
        tell(FactKind::Model, Value::Bytes(name));
    }
    if let Some(serial) = attributes.serial {
        tell(FactKind::Serial, Value::Unsigned(serial.into()));
    }
    if let Some([major, minor]) = attributes.revision {
        tell(FactKind::Firmware, Value::Text(Line::<7>::of(format_args!("{major}.{minor}")).as_str()));
    }
    if let Some(role) = attributes.device_type.and_then(|kind| name_of(names::DEVICE_TYPES, kind.into())) {
        tell(FactKind::Role, Value::Text(role));
    }
}
