//! Values of Sparkplug that are more than one: arrays, data sets and templates, and the properties beside a value (Eclipse
//! Sparkplug Specification 3.0.0 §6.4.9 to §6.4.22).

use super::sparkplug::{Fields, Metric, Wire, scalar};
use crate::field::Value;

/// Types of arrays (§6.4.16).
mod array {
    pub(super) const INT8: u32 = 22;
    pub(super) const INT16: u32 = 23;
    pub(super) const INT32: u32 = 24;
    pub(super) const INT64: u32 = 25;
    pub(super) const UINT8: u32 = 26;
    pub(super) const UINT16: u32 = 27;
    pub(super) const UINT32: u32 = 28;
    pub(super) const UINT64: u32 = 29;
    pub(super) const FLOAT: u32 = 30;
    pub(super) const DOUBLE: u32 = 31;
    pub(super) const BOOLEAN: u32 = 32;
    pub(super) const STRING: u32 = 33;
    pub(super) const DATE_TIME: u32 = 34;
}

/// The elements of an array, packed in little-endian order (§6.4.16.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Array<'a> {
    kind: u32,
    rest: &'a [u8],
    /// Of truth values, which bit is next; and how many there are yet.
    bit: u8,
    left: u32,
}

impl<'a> Array<'a> {
    /// `None` of a type that is no array.
    pub(super) fn new(kind: u32, bytes: &'a [u8]) -> Option<Self> {
        if !(array::INT8..=array::DATE_TIME).contains(&kind) {
            return None;
        }
        let mut array = Self { kind, rest: bytes, bit: 0, left: 0 };
        if kind == array::BOOLEAN {
            array.left = array.octets().map_or(0, u32::from_le_bytes);
        }
        Some(array)
    }

    fn octets<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    /// The next truth value: they stand in octets, the first in the highest bit.
    fn flag(&mut self) -> Option<bool> {
        self.left = self.left.checked_sub(1)?;
        let flag = self.rest.first()? << self.bit & 0x80 != 0;
        self.bit = (self.bit + 1) % 8;
        if self.bit == 0 {
            self.rest = self.rest.get(1..)?;
        }
        Some(flag)
    }

    /// The next text, up to a zero.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|octet| *octet == 0)?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some(text)
    }
}

impl<'a> Iterator for Array<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        Some(match self.kind {
            array::INT8 => Value::Signed(i8::from_le_bytes(self.octets()?).into()),
            array::INT16 => Value::Signed(i16::from_le_bytes(self.octets()?).into()),
            array::INT32 => Value::Signed(i32::from_le_bytes(self.octets()?).into()),
            array::INT64 => Value::Signed(i64::from_le_bytes(self.octets()?)),
            array::UINT8 => Value::Unsigned(u8::from_le_bytes(self.octets()?).into()),
            array::UINT16 => Value::Unsigned(u16::from_le_bytes(self.octets()?).into()),
            array::UINT32 => Value::Unsigned(u32::from_le_bytes(self.octets()?).into()),
            array::UINT64 | array::DATE_TIME => Value::Unsigned(u64::from_le_bytes(self.octets()?)),
            array::FLOAT => Value::Float(f32::from_le_bytes(self.octets()?).into()),
            array::DOUBLE => Value::Float(f64::from_le_bytes(self.octets()?)),
            array::BOOLEAN => Value::Flag(self.flag()?),
            array::STRING => Value::Bytes(self.text()?),
            _ => return None,
        })
    }
}

/// A table of values (§6.4.18).
#[derive(Debug, Clone, Copy)]
pub(super) struct DataSet<'a> {
    fields: Fields<'a>,
}

impl<'a> DataSet<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { fields: Fields::new(bytes) }
    }

    /// Names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.all(2)
    }

    /// Types of the columns, each in a field of its own or all in one.
    pub(super) fn types(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.fields.filter(|field| field.0 == 3).flat_map(|(_, wire)| {
            let (one, packed) = match wire {
                Wire::Number(number) => (Some(number), &[][..]),
                Wire::Bytes(packed) => (None, packed),
                _ => (None, &[][..]),
            };
            one.into_iter().chain(super::sparkplug::varints(packed)).map(|kind| kind as u32)
        })
    }

    /// The rows, each with its values in the order of the columns; `None` for what has no value.
    pub(super) fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = Option<Value<'a>>> + use<'a>> + use<'a> {
        let set = *self;
        self.fields.all(4).map(move |row| {
            let mut types = set.types();
            Fields::new(row).all(1).map(move |element| {
                let kind = types.next();
                Fields::new(element).find_map(|(number, wire)| scalar(number.checked_sub(1)?, wire, kind))
            })
        })
    }
}

/// A value of a kind that users define: metrics under one name (§6.4.20).
#[derive(Debug, Clone, Copy)]
pub(super) struct Template<'a> {
    fields: Fields<'a>,
}

impl<'a> Template<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { fields: Fields::new(bytes) }
    }

    pub(super) fn version(&self) -> Option<&'a [u8]> {
        self.fields.all(1).next()
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = Metric<'a>> + use<'a> {
        self.fields.all(2).map(|bytes| Metric::new(Fields::new(bytes)))
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = Named<'a>> + use<'a> {
        self.fields.all(3).map(|bytes| {
            let fields = Fields::new(bytes);
            let kind = fields.number(2).map(|kind| kind as u32);
            Named { name: fields.all(1).next().unwrap_or_default(), kind, value: value(fields, kind) }
        })
    }

    /// The definition that it is an instance of.
    pub(super) fn reference(&self) -> Option<&'a [u8]> {
        self.fields.all(4).next()
    }

    pub(super) fn is_definition(&self) -> bool {
        self.fields.number(5).is_some_and(|flag| flag != 0)
    }
}

/// A parameter of a template, or a property of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Named<'a> {
    pub(super) name: &'a [u8],
    pub(super) kind: Option<u32>,
    /// `None` of what is null, or is itself made of properties.
    pub(super) value: Option<Value<'a>>,
}

/// The value of a parameter or property: one of fields 3 to 8.
fn value(mut fields: Fields<'_>, kind: Option<u32>) -> Option<Value<'_>> {
    fields.find_map(|(number, wire)| scalar(number.checked_sub(3)?, wire, kind))
}

/// Properties: names, and values in the same order (§6.4.10).
pub(super) fn properties(bytes: &[u8]) -> impl Iterator<Item = Named<'_>> {
    let fields = Fields::new(bytes);
    fields.all(1).zip(fields.all(2)).map(|(name, bytes)| {
        let fields = Fields::new(bytes);
        let kind = fields.number(1).map(|kind| kind as u32);
        Named { name, kind, value: value(fields, kind) }
    })
}
