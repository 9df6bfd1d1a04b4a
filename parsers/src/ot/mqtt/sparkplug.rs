//! Sparkplug B: what edge nodes of a plant publish over MQTT (Eclipse Sparkplug Specification 3.0.0; the payload's
//! definition is in §6.4, the topics in §4).
//!
//! The payload is a protobuf message, read here field by field without the heap, as far as it goes.

use std::collections::HashMap;

use super::compound::{self, Array, DataSet, Named, Template};
use crate::field::{Names, Value};
use crate::limits::Limits;

/// Types of messages, as the topic names them (§4.1.4).
pub(super) const MESSAGES: Names = &[
    (1, "nbirth"),
    (2, "ndeath"),
    (3, "dbirth"),
    (4, "ddeath"),
    (5, "ndata"),
    (6, "ddata"),
    (7, "ncmd"),
    (8, "dcmd"),
    (9, "state"),
];

/// Data types of metrics (§6.4.16).
pub(super) const TYPES: Names = &[
    (1, "int8"),
    (2, "int16"),
    (3, "int32"),
    (4, "int64"),
    (5, "uint8"),
    (6, "uint16"),
    (7, "uint32"),
    (8, "uint64"),
    (9, "float"),
    (10, "double"),
    (11, "boolean"),
    (12, "string"),
    (13, "date_time"),
    (14, "text"),
    (15, "uuid"),
    (16, "data_set"),
    (17, "bytes"),
    (18, "file"),
    (19, "template"),
    (20, "property_set"),
    (21, "property_set_list"),
    (22, "int8_array"),
    (23, "int16_array"),
    (24, "int32_array"),
    (25, "int64_array"),
    (26, "uint8_array"),
    (27, "uint16_array"),
    (28, "uint32_array"),
    (29, "uint64_array"),
    (30, "float_array"),
    (31, "double_array"),
    (32, "boolean_array"),
    (33, "string_array"),
    (34, "date_time_array"),
];

/// What a message is, as its topic says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Message {
    NodeBirth = 1,
    NodeDeath = 2,
    DeviceBirth = 3,
    DeviceDeath = 4,
    NodeData = 5,
    DeviceData = 6,
    NodeCommand = 7,
    DeviceCommand = 8,
    State = 9,
}

impl Message {
    fn new(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"NBIRTH" => Self::NodeBirth,
            b"NDEATH" => Self::NodeDeath,
            b"DBIRTH" => Self::DeviceBirth,
            b"DDEATH" => Self::DeviceDeath,
            b"NDATA" => Self::NodeData,
            b"DDATA" => Self::DeviceData,
            b"NCMD" => Self::NodeCommand,
            b"DCMD" => Self::DeviceCommand,
            b"STATE" => Self::State,
            _ => return None,
        })
    }

    pub(super) const fn is_command(self) -> bool {
        matches!(self, Self::NodeCommand | Self::DeviceCommand)
    }

    pub(super) const fn is_birth(self) -> bool {
        matches!(self, Self::NodeBirth | Self::DeviceBirth)
    }
}

/// A topic of Sparkplug: `spBv1.0/group/DDATA/edge/device`, `spBv1.0/STATE/host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic<'a> {
    pub(super) message: Message,
    pub(super) group: &'a [u8],
    pub(super) node: &'a [u8],
    pub(super) device: Option<&'a [u8]>,
}

impl<'a> Topic<'a> {
    pub(super) fn new(topic: &'a [u8]) -> Option<Self> {
        let mut parts = topic.split(|byte| *byte == b'/');
        // Before version 3, hosts told their state outside the name space.
        let first = parts.next()?;
        let second = parts.next()?;
        let state = |node| Some(Self { message: Message::State, group: &[], node, device: None });
        match (first, second) {
            (b"STATE", host) => return if parts.next().is_none() { state(host) } else { None },
            (b"spBv1.0", b"STATE") => return state(parts.next()?),
            (b"spBv1.0", _) => {}
            _ => return None,
        }
        let message = Message::new(parts.next()?)?;
        let (node, device) = (parts.next()?, parts.next());
        parts.next().is_none().then_some(Self { message, group: second, node, device })
    }

    /// Names the edge node among those that a flow carries.
    fn scope(&self) -> u64 {
        self.group.iter().chain(b"/").chain(self.node).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            // FNV-1a: an alias is looked up in names, and what collides shows a wrong name at the worst.
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// One field of a protobuf message (protobuf.dev/programming-guides/encoding).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wire<'a> {
    Number(u64),
    Long([u8; 8]),
    Bytes(&'a [u8]),
    Short([u8; 4]),
}

/// The fields of a protobuf message, as far as they can be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The contents of each field with this number that has any.
    pub(super) fn all(self, wanted: u32) -> impl Iterator<Item = &'a [u8]> {
        self.filter_map(move |field| match field {
            (number, Wire::Bytes(bytes)) if number == wanted => Some(bytes),
            _ => None,
        })
    }

    /// The first number that the field with this number has.
    pub(super) fn number(mut self, wanted: u32) -> Option<u64> {
        self.find_map(|field| match field {
            (number, Wire::Number(value)) if number == wanted => Some(value),
            _ => None,
        })
    }

    fn is_whole(mut self) -> bool {
        self.by_ref().for_each(drop);
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = varint(self.rest)?;
        let (wire, rest) = match tag & 7 {
            0 => {
                let (number, rest) = varint(rest)?;
                (Wire::Number(number), rest)
            }
            1 => {
                let (bytes, rest) = rest.split_first_chunk()?;
                (Wire::Long(*bytes), rest)
            }
            2 => {
                let (length, rest) = varint(rest)?;
                let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Wire::Bytes(bytes), rest)
            }
            5 => {
                let (bytes, rest) = rest.split_first_chunk()?;
                (Wire::Short(*bytes), rest)
            }
            _ => return None,
        };
        self.rest = rest;
        Some((u32::try_from(tag >> 3).ok()?, wire))
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// Numbers one after the other, as far as they can be read.
pub(super) fn varints(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (number, left) = varint(rest)?;
        rest = left;
        Some(number)
    })
}

/// A single value in one of the forms that metrics, parameters, properties and elements of data sets have in common: 0 an
/// integer of 32 bits, 1 of 64, 2 a float, 3 a double, 4 a truth value, 5 text. The type says what an integer is.
pub(super) fn scalar<'a>(form: u32, wire: Wire<'a>, kind: Option<u32>) -> Option<Value<'a>> {
    Some(match (form, wire) {
        // Negative numbers are two's complement, in as many bits as the type has.
        (0, Wire::Number(number)) => match kind {
            Some(1) => Value::Signed((number as i8).into()),
            Some(2) => Value::Signed((number as i16).into()),
            Some(3) => Value::Signed((number as i32).into()),
            _ => Value::Unsigned(number & 0xffff_ffff),
        },
        (1, Wire::Number(number)) => match kind {
            Some(4) => Value::Signed(number as i64),
            _ => Value::Unsigned(number),
        },
        (2, Wire::Short(bytes)) => Value::Float(f32::from_le_bytes(bytes).into()),
        (3, Wire::Long(bytes)) => Value::Float(f64::from_le_bytes(bytes)),
        (4, Wire::Number(flag)) => Value::Flag(flag != 0),
        (5, Wire::Bytes(bytes)) => Value::Bytes(bytes),
        _ => return None,
    })
}

/// A payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a> {
    fields: Fields<'a>,
}

impl<'a> Payload<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { fields: Fields::new(bytes) }
    }

    /// Is it the protobuf message that it should be, with all its metrics?
    pub(super) fn is_sound(&self) -> bool {
        self.fields.is_whole() && self.parts().all(|fields| fields.is_whole())
    }

    fn parts(&self) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        self.fields.all(2).map(Fields::new)
    }

    /// When it was sent, in milliseconds from 1970 on.
    pub(super) fn timestamp_ms(&self) -> Option<u64> {
        self.fields.number(1)
    }

    pub(super) fn sequence(&self) -> Option<u64> {
        self.fields.number(3)
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = Metric<'a>> + use<'a> {
        self.parts().map(Metric::new)
    }
}

/// A metric: a value of the plant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Metric<'a> {
    pub(super) name: Option<&'a [u8]>,
    pub(super) alias: Option<u64>,
    pub(super) timestamp_ms: Option<u64>,
    /// Only in a birth, by rule.
    pub(super) kind: Option<u32>,
    pub(super) is_null: bool,
    pub(super) is_historical: bool,
    /// What is told beside the value.
    properties: &'a [u8],
    value: Option<Wire<'a>>,
    /// The field of the payload's definition that holds the value.
    form: u32,
}

/// The fields of a metric that hold its value.
mod form {
    pub(super) const INTEGER: u32 = 10;
    pub(super) const TEXT: u32 = 15;
    pub(super) const BYTES: u32 = 16;
    pub(super) const DATA_SET: u32 = 17;
    pub(super) const TEMPLATE: u32 = 18;
}

impl<'a> Metric<'a> {
    pub(super) fn new(fields: Fields<'a>) -> Self {
        let mut metric = Self {
            name: None,
            alias: None,
            timestamp_ms: None,
            kind: None,
            is_null: false,
            is_historical: false,
            properties: &[],
            value: None,
            form: 0,
        };
        for (number, wire) in fields {
            match (number, wire) {
                (1, Wire::Bytes(name)) => metric.name = Some(name),
                (2, Wire::Number(alias)) => metric.alias = Some(alias),
                (3, Wire::Number(time)) => metric.timestamp_ms = Some(time),
                (4, Wire::Number(kind)) => metric.kind = u32::try_from(kind).ok(),
                (5, Wire::Number(flag)) => metric.is_historical = flag != 0,
                (7, Wire::Number(flag)) => metric.is_null = flag != 0,
                (9, Wire::Bytes(properties)) => metric.properties = properties,
                (form::INTEGER..=form::TEMPLATE, wire) => (metric.form, metric.value) = (number, Some(wire)),
                _ => {}
            }
        }
        metric
    }

    /// The value, of the type that it or else its birth has; `None` for what is no single one, or null.
    pub(super) fn value(&self, born: Option<u32>) -> Option<Value<'a>> {
        if self.is_null {
            return None;
        }
        match (self.form, self.value?) {
            (form::BYTES, Wire::Bytes(bytes)) => Some(Value::Bytes(bytes)),
            (form, wire) => scalar(form.checked_sub(form::INTEGER)?, wire, self.kind.or(born)),
        }
    }

    fn contents(&self, form: u32) -> Option<&'a [u8]> {
        match self.value? {
            Wire::Bytes(bytes) if self.form == form && !self.is_null => Some(bytes),
            _ => None,
        }
    }

    /// The elements, of an array.
    pub(super) fn array(&self, born: Option<u32>) -> Option<Array<'a>> {
        Array::new(self.kind.or(born)?, self.contents(form::BYTES)?)
    }

    pub(super) fn data_set(&self) -> Option<DataSet<'a>> {
        self.contents(form::DATA_SET).map(DataSet::new)
    }

    pub(super) fn template(&self) -> Option<Template<'a>> {
        self.contents(form::TEMPLATE).map(Template::new)
    }

    pub(super) fn properties(&self) -> impl Iterator<Item = Named<'a>> + use<'a> {
        compound::properties(self.properties)
    }

    /// Is the value text?
    pub(super) fn is_text(&self) -> bool {
        self.form == form::TEXT
    }
}

/// Name and type of a metric, as its birth has them.
type Born = (Box<[u8]>, Option<u32>);

/// Names and types that births gave to aliases, for the data that have the alias alone (§6.4.7).
#[derive(Debug)]
pub(super) struct Aliases {
    /// By edge node and alias.
    names: HashMap<(u64, u64), Born>,
    bytes: usize,
    most_bytes: usize,
}

/// What an entry takes besides its name.
const ENTRY: usize = 64;

impl Aliases {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { names: HashMap::new(), bytes: 0, most_bytes: limits.joined_bytes as usize }
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Learns from a birth, as long as there is room; false when there is no more.
    pub(super) fn learn(&mut self, topic: &Topic<'_>, payload: &Payload<'_>) -> bool {
        if !topic.message.is_birth() {
            return true;
        }
        let scope = topic.scope();
        if topic.message == Message::NodeBirth {
            let bytes = &mut self.bytes;
            self.names.retain(|key, (name, _)| {
                let stays = key.0 != scope;
                *bytes -= if stays { 0 } else { ENTRY + name.len() };
                stays
            });
        }
        for metric in payload.metrics() {
            let (Some(name), Some(alias)) = (metric.name, metric.alias) else { continue };
            let size = ENTRY + name.len();
            if self.bytes + size > self.most_bytes {
                return false;
            }
            self.bytes += size;
            if let Some((old, _)) = self.names.insert((scope, alias), (name.into(), metric.kind)) {
                self.bytes -= ENTRY + old.len();
            }
        }
        true
    }

    fn born(&self, topic: &Topic<'_>, metric: &Metric<'_>) -> Option<&Born> {
        self.names.get(&(topic.scope(), metric.alias?))
    }

    /// The name of a metric, its own or that of its birth.
    pub(super) fn name<'n>(&'n self, topic: &Topic<'_>, metric: &Metric<'n>) -> Option<&'n [u8]> {
        metric.name.or_else(|| self.born(topic, metric).map(|(name, _)| &**name))
    }

    /// The type of a metric, its own or that of its birth.
    pub(super) fn kind(&self, topic: &Topic<'_>, metric: &Metric<'_>) -> Option<u32> {
        metric.kind.or_else(|| self.born(topic, metric)?.1)
    }
}
