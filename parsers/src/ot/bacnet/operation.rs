//! What services do to a device, in the vocabulary of all protocols, and what they tell of it.

use super::apdu::{Apdu, kind};
use super::link::function;
use super::names;
use super::network::kind as network;
use super::record::Exchange;
use super::schema::{DEVICE, VENDOR};
use super::tag::{Kind, Object, Primitive, Tags, application};
use super::walk::{Item, Leaf, Step, items, walk};
use crate::dissector::Direction;
use crate::field::{Names, Value, name_of};
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};

/// Types of objects (clause 12).
mod object {
    pub(crate) const ANALOG_OUTPUT: u16 = 1;
    pub(crate) const BINARY_OUTPUT: u16 = 4;
    pub(crate) const COMMAND: u16 = 7;
    pub(crate) const DEVICE: u16 = 8;
    pub(crate) const MULTI_STATE_OUTPUT: u16 = 14;
    pub(crate) const PROGRAM: u16 = 16;
    pub(crate) const LIFE_SAFETY_POINT: u16 = 21;
    pub(crate) const LIFE_SAFETY_ZONE: u16 = 22;
    pub(crate) const LOAD_CONTROL: u16 = 28;
    pub(crate) const ACCESS_DOOR: u16 = 30;
    pub(crate) const CHANNEL: u16 = 53;
    pub(crate) const LIGHTING_OUTPUT: u16 = 54;
    pub(crate) const BINARY_LIGHTING_OUTPUT: u16 = 55;
    pub(crate) const NETWORK_PORT: u16 = 56;
    pub(crate) const ESCALATOR: u16 = 58;
    pub(crate) const LIFT: u16 = 59;
}

/// Properties (clause 12).
mod property {
    pub(crate) const APPLICATION_SOFTWARE_VERSION: u32 = 12;
    pub(crate) const DESCRIPTION: u32 = 28;
    pub(crate) const FIRMWARE_REVISION: u32 = 44;
    pub(crate) const LOCATION: u32 = 58;
    pub(crate) const MODEL_NAME: u32 = 70;
    pub(crate) const OBJECT_LIST: u32 = 76;
    pub(crate) const OBJECT_NAME: u32 = 77;
    pub(crate) const PRESENT_VALUE: u32 = 85;
    pub(crate) const PROGRAM_CHANGE: u32 = 90;
    pub(crate) const VENDOR_IDENTIFIER: u32 = 120;
    pub(crate) const VENDOR_NAME: u32 = 121;
    pub(crate) const SERIAL_NUMBER: u32 = 372;
}

/// The operation of a message; an answer has that of its request.
pub(super) fn operation(record: &Exchange<'_>) -> Option<Operation> {
    if let Some(apdu) = subject(record) {
        return match (apdu.confirmed_service(), apdu.unconfirmed_service()) {
            (Some(service), _) => confirmed(service, &apdu),
            (_, Some(service)) => unconfirmed(service),
            _ => None,
        };
    }
    if let Some(message) = record.message.npdu.and_then(|npdu| npdu.message) {
        return match message.kind {
            network::WHO_IS_ROUTER
            | network::I_AM_ROUTER
            | network::I_COULD_BE_ROUTER
            | network::WHAT_IS_NETWORK_NUMBER
            | network::NETWORK_NUMBER_IS
            | network::INITIALIZE_ROUTING_TABLE_ACK => Some(Operation::Discover),
            // Without ports, the routing table is only asked for (6.4.7).
            network::INITIALIZE_ROUTING_TABLE => {
                Some(if message.ports().next().is_some() { Operation::Configure } else { Operation::Discover })
            }
            network::ESTABLISH_CONNECTION | network::DISCONNECT => Some(Operation::Configure),
            _ => None,
        };
    }
    match asked_function(record)? {
        function::WRITE_BDT | function::REGISTER_FOREIGN_DEVICE | function::DELETE_FDT_ENTRY => {
            Some(Operation::Configure)
        }
        function::READ_BDT | function::READ_BDT_ACK | function::READ_FDT | function::READ_FDT_ACK => {
            Some(Operation::Discover)
        }
        _ => None,
    }
}

fn confirmed(service: u8, apdu: &Apdu<'_>) -> Option<Operation> {
    Some(match service {
        12 | 14 => read(apdu),
        1..=5 | 13 | 26 | 28..=33 => Operation::Read,
        15 | 16 => written(apdu),
        0 | 8 | 9 => Operation::Write,
        6 | 7 => Operation::File,
        10 | 11 | 17 | 21 | 23 => Operation::Configure,
        20 => match unsigned(apdu, "state") {
            Some(2..=6) => Operation::Program,
            _ => Operation::Restart,
        },
        24 | 25 | 34 => Operation::Authenticate,
        27 => Operation::Control,
        _ => return None,
    })
}

fn unconfirmed(service: u8) -> Option<Operation> {
    Some(match service {
        0 | 1 | 7 | 8 | 13 => Operation::Discover,
        2 | 3 | 11 | 12 => Operation::Read,
        6 | 9 | 14 => Operation::Configure,
        10 => Operation::Control,
        _ => return None,
    })
}

/// Is it asked who the device is? Most reads are not, and begin with an object that says so.
fn read(apdu: &Apdu<'_>) -> Operation {
    let first = Tags::new(apdu.parameters).next().filter(|tag| tag.kind == Kind::Context(0));
    if let Some(Primitive::Object(first)) = first.and_then(|tag| Primitive::read(application::OBJECT, tag.contents))
        && first.kind != object::DEVICE
    {
        return Operation::Read;
    }
    let (mut any, mut identity) = (false, true);
    items(apdu, &mut |item| {
        any = true;
        identity &= item.object.kind == object::DEVICE && item.property.is_some_and(is_identity);
    });
    if any && identity { Operation::Discover } else { Operation::Read }
}

const fn is_identity(property: u32) -> bool {
    use property::*;
    matches!(
        property,
        APPLICATION_SOFTWARE_VERSION
            | DESCRIPTION
            | FIRMWARE_REVISION
            | LOCATION
            | MODEL_NAME
            | OBJECT_LIST
            | OBJECT_NAME
            | VENDOR_IDENTIFIER
            | VENDOR_NAME
            | SERIAL_NUMBER
    )
}

/// The gravest of what is written.
fn written(apdu: &Apdu<'_>) -> Operation {
    let mut gravest = Operation::Write;
    items(apdu, &mut |item| {
        let operation = write(item);
        if gravity(operation) > gravity(gravest) {
            gravest = operation;
        }
    });
    gravest
}

fn write(item: &Item<'_>) -> Operation {
    use object::*;
    match (item.object.kind, item.property) {
        (PROGRAM, Some(property::PROGRAM_CHANGE)) => match item.value.and_then(|leaf| leaf.value.unsigned()) {
            Some(2) => Operation::Start,
            Some(3) => Operation::Stop,
            Some(4) => Operation::Restart,
            _ => Operation::Program,
        },
        (
            ANALOG_OUTPUT
            | BINARY_OUTPUT
            | COMMAND
            | MULTI_STATE_OUTPUT
            | LIFE_SAFETY_POINT
            | LIFE_SAFETY_ZONE
            | LOAD_CONTROL
            | ACCESS_DOOR
            | CHANNEL
            | LIGHTING_OUTPUT
            | BINARY_LIGHTING_OUTPUT
            | ESCALATOR
            | LIFT,
            Some(property::PRESENT_VALUE),
        ) => Operation::Control,
        (DEVICE | NETWORK_PORT, _) => Operation::Configure,
        _ => Operation::Write,
    }
}

const fn gravity(operation: Operation) -> u8 {
    match operation {
        Operation::Configure => 1,
        Operation::Control => 2,
        Operation::Program => 3,
        Operation::Start => 4,
        Operation::Stop => 5,
        Operation::Restart => 6,
        _ => 0,
    }
}

/// The APDU that says what is done: the request of an answer.
fn subject<'a>(record: &Exchange<'a>) -> Option<Apdu<'a>> {
    record.request.and_then(|request| request.apdu).or(record.message.apdu)
}

fn asked_function(record: &Exchange<'_>) -> Option<u8> {
    Some(record.request.and_then(|request| request.bvlc).or(record.message.bvlc)?.function)
}

/// Hands out each value that the parameters have under this name.
pub(super) fn leaves<'a>(apdu: &Apdu<'a>, name: &str, out: &mut dyn FnMut(&Leaf<'a>)) {
    walk(apdu, &mut |step| match step {
        Step::Value(leaf) if leaf.name == name => out(&leaf),
        _ => {}
    });
}

/// The first number that the parameters have under this name.
fn unsigned(apdu: &Apdu<'_>, name: &str) -> Option<u64> {
    let mut found = None;
    leaves(apdu, name, &mut |leaf| found = found.or(leaf.value.unsigned()));
    found
}

fn first_object(apdu: &Apdu<'_>, name: &str) -> Option<Object> {
    let mut found = None;
    leaves(apdu, name, &mut |leaf| {
        if let Primitive::Object(object) = leaf.value {
            found = found.or(Some(object));
        }
    });
    found
}

pub(super) fn points(record: &Exchange<'_>, out: &mut VisitPoints<'_>) {
    let mut point = |target: std::fmt::Arguments<'_>| out(Point { target, value: None });
    let Some(apdu) = subject(record) else {
        if let Some(message) = record.message.npdu.and_then(|npdu| npdu.message) {
            return message.networks().for_each(|network| point(format_args!("network {network}")));
        }
        return match asked_function(record) {
            Some(function::REGISTER_FOREIGN_DEVICE) => point(format_args!("foreign device")),
            Some(function::DELETE_FDT_ENTRY) => {
                let bvlc = record.request.and_then(|request| request.bvlc).or(record.message.bvlc);
                match bvlc.and_then(|bvlc| bvlc.address()) {
                    Some(address) => point(format_args!("foreign device {address}")),
                    None => point(format_args!("foreign device")),
                }
            }
            Some(function::WRITE_BDT | function::READ_BDT | function::READ_BDT_ACK) => {
                point(format_args!("broadcast distribution table"));
            }
            Some(function::READ_FDT | function::READ_FDT_ACK) => point(format_args!("foreign device table")),
            _ => {}
        };
    };
    match (apdu.kind, apdu.confirmed_service(), apdu.unconfirmed_service()) {
        (kind::CONFIRMED_REQUEST, Some(20), _) => {
            named(&apdu, "device", "state", names::REINITIALIZE_STATES, &mut point)
        }
        (kind::CONFIRMED_REQUEST, Some(17), _) => {
            named(&apdu, "communication", "communication", names::COMMUNICATION, &mut point);
        }
        (.., Some(6 | 9)) => point(format_args!("clock")),
        (.., Some(8)) => match (unsigned(&apdu, "low_limit"), unsigned(&apdu, "high_limit")) {
            (Some(low), Some(high)) => point(format_args!("devices {low}-{high}")),
            _ => point(format_args!("devices")),
        },
        (.., Some(0)) => {
            if let Some(device) = first_object(&apdu, DEVICE) {
                point(format_args!("device {}", device.instance));
            }
        }
        _ => {
            let reads = matches!(operation(record), Some(Operation::Read | Operation::Discover | Operation::File));
            items(&apdu, &mut |item| target(item, reads, out));
        }
    }
}

/// What is done to the device as a whole.
fn named(apdu: &Apdu<'_>, what: &str, parameter: &str, names: Names, point: &mut dyn FnMut(std::fmt::Arguments<'_>)) {
    match unsigned(apdu, parameter).and_then(|number| name_of(names, number)) {
        Some(name) => point(format_args!("{what} {name}")),
        None => point(format_args!("{what}")),
    }
}

/// `analog_output 101 present_value`, `device 8 object_list[3]`.
fn target(item: &Item<'_>, reads: bool, out: &mut VisitPoints<'_>) {
    let value = item.value.filter(|_| !reads).and_then(|leaf| match leaf.value {
        Primitive::Boolean(flag) => Some(Value::Flag(flag)),
        Primitive::Unsigned(number) | Primitive::Enumerated(number) => Some(Value::Unsigned(number)),
        Primitive::Signed(number) => Some(Value::Signed(number)),
        Primitive::Real(number) => Some(Value::Float(number)),
        Primitive::Text(text) => Some(Value::Bytes(text.octets)),
        Primitive::Octets(octets) => Some(Value::Bytes(octets)),
        _ => None,
    });
    let mut line = item.object.line();
    if let Some(property) = item.property {
        match name_of(names::PROPERTIES, property.into()) {
            Some(name) => line.add(" ").add(name),
            None => line.add(" property_").number(property),
        };
        if let Some(index) = item.index {
            line.add("[").number(index).add("]");
        }
    }
    out(Point { target: format_args!("{}", line.as_str()), value });
}

/// What a device says of itself. Behind a router or a broadcast that was passed on stands another than who sent it here.
pub(super) fn facts(record: &Exchange<'_>, out: &mut VisitFacts<'_>) {
    let message = record.message;
    let (Some(apdu), Some(npdu)) = (&message.apdu, &message.npdu) else { return };
    let passed_on = message.bvlc.is_some_and(|bvlc| bvlc.function == function::FORWARDED_NPDU);
    if npdu.source.is_some() || passed_on {
        return;
    }
    let of = if record.direction == Direction::ToServer { End::Client } else { End::Server };
    let mut tell = |kind, value: Value<'_>| out(Fact { of, kind, value });
    match (apdu.kind, apdu.confirmed_service(), apdu.unconfirmed_service()) {
        (.., Some(0)) => {
            if let Some(device) = first_object(apdu, DEVICE) {
                tell(FactKind::Address, Value::Unsigned(device.instance.into()));
            }
            vendor(unsigned(apdu, VENDOR), &mut tell);
        }
        (.., Some(1)) => {
            if let (Some(device), Some(named)) = (first_object(apdu, DEVICE), first_object(apdu, "object")) {
                tell(FactKind::Address, Value::Unsigned(device.instance.into()));
                if named == device {
                    leaves(apdu, "object_name", &mut |leaf| text(FactKind::Name, leaf, &mut tell));
                }
            }
        }
        (.., Some(13)) => {
            vendor(unsigned(apdu, VENDOR), &mut tell);
            leaves(apdu, "model_name", &mut |leaf| text(FactKind::Model, leaf, &mut tell));
            leaves(apdu, "serial_number", &mut |leaf| text(FactKind::Serial, leaf, &mut tell));
        }
        (kind::COMPLEX_ACK, Some(12 | 14), _) => items(apdu, &mut |item| {
            let (object::DEVICE, Some(property), Some(leaf)) = (item.object.kind, item.property, &item.value) else {
                return;
            };
            let kind = match property {
                property::VENDOR_NAME => FactKind::Vendor,
                property::MODEL_NAME => FactKind::Model,
                property::SERIAL_NUMBER => FactKind::Serial,
                property::FIRMWARE_REVISION => FactKind::Firmware,
                property::APPLICATION_SOFTWARE_VERSION => FactKind::Software,
                property::OBJECT_NAME => FactKind::Name,
                property::DESCRIPTION => FactKind::Role,
                property::LOCATION => FactKind::Location,
                property::VENDOR_IDENTIFIER => return vendor(leaf.value.unsigned(), &mut tell),
                _ => return,
            };
            text(kind, leaf, &mut tell);
        }),
        _ => {}
    }
}

fn vendor(number: Option<u64>, tell: &mut dyn FnMut(FactKind, Value<'_>)) {
    let Some(number) = number else { return };
    match name_of(names::VENDORS, number) {
        Some(name) => tell(FactKind::Vendor, Value::Text(name)),
        None => tell(FactKind::Vendor, Value::Unsigned(number)),
    }
}

fn text(kind: FactKind, leaf: &Leaf<'_>, tell: &mut dyn FnMut(FactKind, Value<'_>)) {
    if let Primitive::Text(text) = leaf.value {
        text.with(|octets| {
            if !octets.is_empty() {
                tell(kind, Value::Bytes(octets));
            }
        });
    }
}
