//! What a message does to the plant, in one vocabulary over all protocols.
//!
//! A protocol maps its own functions and services to an [`Operation`] ([`crate::Record::operation`]) and names what is
//! operated on as [`Point`]s ([`crate::Record::points`]). From these derive the keywords `ot.operation`, `ot.target` and
//! `ot.value`, and the object `ot` of records and alerts, so one rule and one policy speak of every protocol.

use std::fmt;

use crate::dissector::Record;
use crate::field::{Field, Names, Value, Visit};
use crate::text::Line;

/// What is asked of a device, or answered to have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Operation {
    /// Values or states are read, subscribed to or reported.
    Read = 1,
    /// Values are written: registers, tags, variables, set points stored.
    Write = 2,
    /// An output, breaker or process is commanded.
    Control = 3,
    /// Control logic is changed: program or block transferred to or deleted from a device.
    Program = 4,
    /// A device's settings are changed: clock, address, name, communication, data sets.
    Configure = 5,
    /// A device or part of it is restarted or reset.
    Restart = 6,
    /// A program or device is stopped.
    Stop = 7,
    /// A program or device is started.
    Start = 8,
    /// Firmware is transferred or activated.
    Firmware = 9,
    /// A file or block is read, written, listed or deleted.
    File = 10,
    /// A station identifies itself: password, key, login.
    Authenticate = 11,
    /// Devices are searched for or asked who they are.
    Discover = 12,
}

/// The vocabulary: values and names of `ot.operation`.
pub const OPERATIONS: Names = &[
    (1, "read"),
    (2, "write"),
    (3, "control"),
    (4, "program"),
    (5, "configure"),
    (6, "restart"),
    (7, "stop"),
    (8, "start"),
    (9, "firmware"),
    (10, "file"),
    (11, "authenticate"),
    (12, "discover"),
];

impl Operation {
    /// Its name in rules and events.
    pub fn name(self) -> &'static str {
        crate::field::name_of(OPERATIONS, self as u64).unwrap_or_default()
    }
}

/// One thing that an operation is about.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    /// What is addressed, as an engineer of the protocol writes it: `holding 100`, `DB1.DBX0.0`, `Pump1.Speed`.
    pub target: fmt::Arguments<'a>,
    /// What is written to it or commanded, where that is one value.
    pub value: Option<Value<'a>>,
}

/// The points of an operation are handed to a visitor one by one.
pub type VisitPoints<'v> = dyn FnMut(Point<'_>) + 'v;

/// The prefix of the fields that records of every industrial protocol have: `ot.operation`.
pub const PREFIX: &str = "ot";

/// Longest target shown to rules, in bytes; what is longer is cut.
const LONGEST_TARGET: usize = 256;

crate::fields! {
    /// What rules can ask of a message of any industrial protocol.
    pub static FIELDS, visit(record: &dyn Record, out) {
        operation: Unsigned { bits: 8, names: OPERATIONS }, Optional, "What the message does to the plant"
            => if let Some(operation) = record.operation() { out(Value::Unsigned(operation as u64)) };
        target: Text, Many, "What it is done to, as the protocol's engineers write it"
            => record.points(&mut |point| out(Value::Text(Line::<LONGEST_TARGET>::of(point.target).as_str())));
        value: Float, Many, "Values written or commanded, as numbers"
            => record.points(&mut |point| {
                if let Some(number) = point.value.and_then(number) {
                    out(Value::Float(number));
                }
            });
    }
}

/// Indexes from here on are of [`FIELDS`], below of the protocol's own table.
const COMMON: usize = 1 << 16;

/// The index, for [`visit_any`], of a field of [`FIELDS`].
pub fn field(name: &str) -> Option<usize> {
    FIELDS.iter().position(|field| field.name == name).map(|at| COMMON + at)
}

/// The description of a field by its index, in the table of `protocol` or in [`FIELDS`].
pub fn description(own: &'static [Field], index: usize) -> Option<&'static Field> {
    match index.checked_sub(COMMON) {
        Some(at) => FIELDS.get(at),
        None => own.get(index),
    }
}

/// Hands the values of a field to `out`: one of the record's own, or one of [`FIELDS`].
pub fn visit_any(record: &dyn Record, index: usize, out: &mut Visit<'_>) {
    match index.checked_sub(COMMON) {
        Some(at) => visit(record, at, out),
        None => record.visit(index, out),
    }
}

/// A value as the number that conditions compare.
fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Unsigned(number) => Some(number as f64),
        Value::Signed(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        Value::Flag(flag) => Some(f64::from(u8::from(flag))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_the_name_of_its_value() {
        for &(value, name) in OPERATIONS {
            assert_eq!(crate::field::name_of(OPERATIONS, value), Some(name));
        }
        assert_eq!(Operation::Read.name(), "read");
        assert_eq!(Operation::Discover.name(), "discover");
    }
}
