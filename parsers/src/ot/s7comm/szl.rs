//! The system state list (SZL): partial lists that a CPU gives of itself, and who it says to be.

use super::pdu::word;
use super::userdata::trimmed;
use crate::field::Value;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::text::Line;

pub(super) const MODULE_IDENTIFICATION: u8 = 0x11;
pub(super) const COMPONENT_IDENTIFICATION: u8 = 0x1c;

/// Manufacturer identifier of Siemens, as PROFIBUS & PROFINET International assigns them.
const SIEMENS: u16 = 0x002a;

/// How Siemens's order numbers for automation begin.
const SIEMENS_ORDERS: [&[u8]; 6] = [b"6ES", b"6GK", b"6AG", b"6AV", b"6FC", b"6SL"];

/// A partial list, asked for or answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Szl<'a> {
    /// Class of modules, number of the extract, number of the list.
    pub(super) id: u16,
    pub(super) index: u16,
    /// Bytes of one record; 0 in a request.
    record_length: usize,
    records: &'a [u8],
}

impl<'a> Szl<'a> {
    /// From the payload of the message. `None` when it is too short.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let length = word(payload, 4).unwrap_or_default();
        let records = payload.get(8..).unwrap_or_default();
        Some(Self { id: word(payload, 0)?, index: word(payload, 2)?, record_length: length.into(), records })
    }

    /// The list, without the class of modules and the extract.
    pub(super) fn list(&self) -> u8 {
        self.id.to_be_bytes()[1]
    }

    /// The records that are whole.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let length = self.record_length;
        self.records.chunks_exact(length.max(1)).filter(move |_| length > 0)
    }

    /// Is it asked who the device is?
    pub(super) fn identifies(&self) -> bool {
        matches!(self.list(), MODULE_IDENTIFICATION | COMPONENT_IDENTIFICATION)
    }

    /// Every fact in it about the module.
    pub(super) fn facts(&self, of: End, out: &mut VisitFacts<'_>) {
        self.identity(&mut |kind, value| out(Fact { of, kind, value }));
    }

    /// Kind and value of every fact.
    pub(super) fn identity(&self, out: &mut dyn FnMut(FactKind, Value<'_>)) {
        for record in self.records() {
            match self.list() {
                MODULE_IDENTIFICATION => module(record, out),
                COMPONENT_IDENTIFICATION => component(record, out),
                _ => {}
            }
        }
    }
}

/// Index, order number in 20 characters, type, two words of versions.
fn module(record: &[u8], out: &mut dyn FnMut(FactKind, Value<'_>)) {
    let (Some(index), Some(order), Some(versions)) = (word(record, 0), record.get(2..22), record.get(24..28)) else {
        return;
    };
    let order = trimmed(order);
    match index {
        1 => {
            if SIEMENS_ORDERS.iter().any(|beginning| order.starts_with(beginning)) {
                out(FactKind::Vendor, Value::Text("Siemens"));
            }
            if !order.is_empty() {
                out(FactKind::Model, Value::Bytes(order));
            }
        }
        6 => {
            let [_, version, ..] = *versions else { return };
            let line = Line::<8>::of(format_args!("{version}"));
            // Version "V" and a number, in one word or two; devices without one leave 0.
            if version != 0 {
                out(FactKind::Hardware, Value::Text(line.as_str()));
            }
        }
        7 => {
            if let [b'V', major, minor, patch] = *versions {
                out(FactKind::Firmware, Value::Text(Line::<16>::of(format_args!("V{major}.{minor}.{patch}")).as_str()));
            }
        }
        _ => {}
    }
}

/// Index, then text or numbers in 32 bytes.
fn component(record: &[u8], out: &mut dyn FnMut(FactKind, Value<'_>)) {
    let (Some(index), Some(value)) = (word(record, 0), record.get(2..)) else { return };
    let text = trimmed(value);
    let kind = match index {
        1 => FactKind::Name,
        5 => FactKind::Serial,
        7 => FactKind::Model,
        // The plant designation says what the module is for; the location, where it stands.
        3 => FactKind::Role,
        0x0b => FactKind::Location,
        9 => {
            if word(value, 0) == Some(SIEMENS) {
                out(FactKind::Vendor, Value::Text("Siemens"));
            }
            return;
        }
        _ => return,
    };
    if !text.is_empty() {
        out(kind, Value::Bytes(text));
    }
}
