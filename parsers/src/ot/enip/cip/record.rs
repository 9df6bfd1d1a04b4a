//! The record of CIP: one service, embedded or not, and the request that it answers.

use super::super::CIP;
use super::super::encapsulation::Message;
use super::super::read::uint;
use super::connection::{Connection, Opening};
use super::identity::Attributes;
use super::path::{Logical, Path};
use super::pccc::{self, Pccc};
use super::service::{Service, code};
use super::tag::Tag;
use super::{eve, names, operation};
use crate::dissector::Pairing;
use crate::field::{Value, Visit};
use crate::text::Line;

/// A CIP message with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) service: &'a Service<'a>,
    /// What it answers, if that was seen.
    pub(crate) request: Option<&'a Service<'a>>,
    /// The Unconnected Send that the request was embedded in, when this is its answer.
    pub(crate) sent_by: Option<&'a Service<'a>>,
    /// What carries it.
    pub(crate) message: &'a Message<'a>,
    /// The connection that carries it, or that it closes; of the outermost message alone.
    pub(crate) connection: Option<&'a Connection>,
    pub(crate) transaction: u64,
    pub(crate) pairing: Pairing,
}

crate::dissector::record!(Record<'_>, CIP, visit, eve::write, operation);

impl<'a> Record<'a> {
    /// The request: itself, or the one that it answers.
    pub(crate) fn asked(&self) -> Option<&'a Service<'a>> {
        if self.service.is_request() { Some(self.service) } else { self.request }
    }

    /// The paths that the message is about, in order: the request's, and that of a connection it opens, closes or
    /// travels in.
    pub(crate) fn paths(&self) -> impl Iterator<Item = Path<'a>> + use<'a> {
        let asked = self.asked();
        let opening = asked.and_then(|asked| Opening::new(asked, asked)).map(|opening| opening.path);
        let sent_by = self.sent_by.map(|outer| outer.path);
        let carrier = self.connection.map(Connection::path);
        [sent_by, asked.map(|asked| asked.path), opening, carrier].into_iter().flatten()
    }

    fn numbers(&self, kind: Logical, out: &mut Visit<'_>) {
        self.paths().flat_map(|path| path.numbers(kind)).for_each(|number| out(Value::Unsigned(number.into())));
    }

    pub(crate) fn opening(&self) -> Option<Opening<'a>> {
        Opening::new(self.service, self.asked()?)
    }

    fn way(&self, index: usize) -> Option<super::connection::Way> {
        self.opening()?.ways?.get(index).copied()
    }

    pub(crate) fn pccc(&self) -> Option<Pccc<'a>> {
        Pccc::new(self.service, self.asked()?)
    }

    pub(crate) fn tag(&self) -> Option<Tag<'a>> {
        Tag::new(self.service, self.asked()?)
    }

    pub(crate) fn identity(&self) -> Option<Attributes<'a>> {
        Attributes::new(self.service, self.request?)
    }

    /// The attribute numbers that a list service names in its data (volume 1 appendix A-4).
    fn listed(&self) -> impl Iterator<Item = u16> + use<'a> {
        let data = match self.service.raw {
            code::GET_ATTRIBUTE_LIST => self.service.data,
            _ => &[],
        };
        let count = uint(data, 0).unwrap_or(0);
        (0..usize::from(count)).map_while(move |at| uint(data, 2 + 2 * at))
    }

    fn attributes(&self, out: &mut Visit<'_>) {
        self.numbers(Logical::Attribute, out);
        self.listed().for_each(|number| out(Value::Unsigned(number.into())));
    }
}

pub(crate) fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

fn text(value: Option<impl std::fmt::Display>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Text(Line::<256>::of(format_args!("{value}")).as_str()));
    }
}

crate::fields! {
    /// What a rule can ask of a CIP message.
    pub(crate) static FIELDS, visit(record: &Record<'_>, out) {
        service: Unsigned { bits: 7, names: names::SERVICES }, One,
            "Service code without the reply bit (CIP volume 1 §2-4, appendix A-3)"
            => out(Value::Unsigned(record.service.code().into()));
        request: Flag, One, "Is it a request?" => out(Value::Flag(record.service.is_request()));
        status: Unsigned { bits: 8, names: names::STATUS }, Optional,
            "General status of a response (volume 1 appendix B-1)"
            => if !record.service.is_request() { out(Value::Unsigned(record.service.status.into())) };
        extended_status: Unsigned { bits: 16, names: names::EXTENDED_STATUS }, Optional,
            "First word of a response's additional status; the names are those of the Connection Manager (volume 1 §3-5.6)"
            => unsigned(record.service.extended_status(), out);
        class: Unsigned { bits: 32, names: names::CLASSES }, Many,
            "Classes in the request's path (volume 1 appendix C-1), also in its response; then those of the connection that it opens, closes or travels in"
            => record.numbers(Logical::Class, out);
        instance: Unsigned { bits: 32, names: &[] }, Many, "Instances in the same paths as `class`"
            => record.numbers(Logical::Instance, out);
        attribute: Unsigned { bits: 32, names: &[] }, Many,
            "Attributes in the same paths as `class`, and those that Get Attribute List names"
            => record.attributes(out);
        member: Unsigned { bits: 32, names: &[] }, Many, "Members, or array indexes of a tag, in the same paths as `class`"
            => record.numbers(Logical::Member, out);
        connection_point: Unsigned { bits: 32, names: &[] }, Many, "Connection points in the same paths as `class`"
            => record.numbers(Logical::ConnectionPoint, out);
        target_class: Unsigned { bits: 32, names: names::CLASSES }, Optional,
            "Class that the service is asked of: the last one in the request's own path"
            => unsigned(record.asked().and_then(|asked| asked.path.class()), out);
        path: Text, Optional, "Path of the request, as `Pump1.Speed[3]` or `identity 1 attribute 7`; at most 256 characters"
            => text(record.asked().map(|asked| asked.path).filter(|path| !path.bytes.is_empty()), out);
        symbol: Bytes, Many, "Parts of the tag's name in the request's path, ANSI extended symbol segments (volume 1 appendix C-1.4.5)"
            => record.asked().into_iter().flat_map(|asked| asked.path.symbols()).for_each(|name| out(Value::Bytes(name)));
        connected: Flag, One, "Does it travel in a connection? (Send Unit Data)"
            => out(Value::Flag(record.message.connection().is_some()));
        connection_id: Unsigned { bits: 32, names: &[] }, Optional, "Identifier of the connection that it travels in"
            => unsigned(record.message.connection(), out);
        sequence: Unsigned { bits: 16, names: &[] }, Optional, "Sequence count of a connected message (volume 1 §3-6.2)"
            => unsigned(record.message.sequence(), out);
        connection_serial: Unsigned { bits: 16, names: &[] }, Optional,
            "Connection serial number of Forward Open and Forward Close (volume 1 §3-5.5)"
            => unsigned(record.opening().map(|opening| opening.serial.connection), out);
        originator_vendor: Unsigned { bits: 16, names: &[] }, Optional, "Vendor of the originator, of the same"
            => unsigned(record.opening().map(|opening| opening.serial.vendor), out);
        originator_serial: Unsigned { bits: 32, names: &[] }, Optional, "Serial number of the originator, of the same"
            => unsigned(record.opening().map(|opening| opening.serial.originator), out);
        o_to_t_connection_id: Unsigned { bits: 32, names: &[] }, Optional,
            "Connection identifier from originator to target, of a Forward Open and its answer"
            => unsigned(record.way(0).map(|way| way.id), out);
        t_to_o_connection_id: Unsigned { bits: 32, names: &[] }, Optional,
            "Connection identifier from target to originator, of a Forward Open and its answer"
            => unsigned(record.way(1).map(|way| way.id), out);
        o_to_t_interval_us: Unsigned { bits: 32, names: &[] }, Optional,
            "Requested or granted packet interval from originator to target, in microseconds"
            => unsigned(record.way(0).map(|way| way.interval_us), out);
        t_to_o_interval_us: Unsigned { bits: 32, names: &[] }, Optional,
            "Requested or granted packet interval from target to originator, in microseconds"
            => unsigned(record.way(1).map(|way| way.interval_us), out);
        transport_class: Unsigned { bits: 4, names: &[] }, Optional,
            "Transport class that a Forward Open asks for: 0 and 1 implicit, 2 and 3 explicit (volume 1 §3-4.4.3)"
            => unsigned(record.opening().and_then(|opening| opening.transport).map(|transport| transport & 0x0f), out);
        data_type: Unsigned { bits: 16, names: names::DATA_TYPES }, Optional, "Type of the values of a tag service"
            => unsigned(record.tag().and_then(|tag| tag.kind), out);
        elements: Unsigned { bits: 16, names: &[] }, Optional, "How many elements a tag service reads or writes"
            => unsigned(record.tag().and_then(|tag| tag.elements), out);
        value: Float, Many, "Values of a tag that the message carries, of elementary types"
            => record.tag().into_iter().flat_map(|tag| tag.each()).for_each(|value| match value {
                Value::Unsigned(value) => out(Value::Float(value as f64)),
                Value::Signed(value) => out(Value::Float(value as f64)),
                value => out(value),
            });
        pccc_command: Unsigned { bits: 8, names: pccc::COMMANDS }, Optional,
            "Command of an encapsulated PCCC message, without the reply bit (1770-6.5.16 §7)"
            => unsigned(record.pccc().map(|pccc| pccc.command), out);
        pccc_function: Unsigned { bits: 16, names: pccc::FUNCTIONS }, Optional,
            "Function of a PCCC request, as command × 256 + function"
            => unsigned(record.pccc().and_then(|pccc| pccc.operation_code()), out);
        pccc_status: Unsigned { bits: 8, names: &[] }, Optional, "Status of a PCCC message"
            => unsigned(record.pccc().map(|pccc| pccc.status), out);
        pccc_address: Text, Optional, "Address of a PCCC request, as `N7:0`"
            => text(record.pccc().and_then(|pccc| pccc.address()), out);
        vendor_id: Unsigned { bits: 16, names: &[] }, Optional, "Vendor of the device, read from its Identity object (volume 1 §5-2)"
            => unsigned(record.identity().and_then(|identity| identity.vendor), out);
        device_type: Unsigned { bits: 16, names: names::DEVICE_TYPES }, Optional, "Device type, read from the Identity object"
            => unsigned(record.identity().and_then(|identity| identity.device_type), out);
        product_code: Unsigned { bits: 16, names: &[] }, Optional, "Product code, read from the Identity object"
            => unsigned(record.identity().and_then(|identity| identity.product_code), out);
        revision: Unsigned { bits: 16, names: &[] }, Optional, "Revision as major × 256 + minor, read from the Identity object"
            => unsigned(record.identity().and_then(|identity| identity.revision).map(u16::from_be_bytes), out);
        serial: Unsigned { bits: 32, names: &[] }, Optional, "Serial number, read from the Identity object"
            => unsigned(record.identity().and_then(|identity| identity.serial), out);
        product_name: Bytes, Optional, "Product name, read from the Identity object"
            => if let Some(name) = record.identity().and_then(|identity| identity.product_name) { out(Value::Bytes(name)) };
        data: Bytes, One, "Everything after the path of a request or the status of a response"
            => out(Value::Bytes(record.service.data));
    }
}
