//! What an ASDU does to the plant, in the vocabulary of all protocols.

use super::asdu::Asdu;
use super::element::{Datum, VALUE};
use crate::field::Value;
use crate::operation::{Operation, Point, VisitPoints};

/// Confirmations, terminations and refusals have the type of what was asked, and so its operation.
pub(super) fn operation(asdu: &Asdu<'_>) -> Option<Operation> {
    Some(match asdu.type_id {
        1..=41 | 100 | 102 => Operation::Read,
        // Freezing and resetting change counters; as DNP3's freezes do.
        101 if freezes(asdu) => Operation::Write,
        101 => Operation::Read,
        45..=51 | 58..=64 => Operation::Control,
        81..=95 => Operation::Authenticate,
        103 | 106 | 110..=113 => Operation::Configure,
        105 => Operation::Restart,
        120..=127 => Operation::File,
        _ => return None,
    })
}

fn freezes(asdu: &Asdu<'_>) -> bool {
    let mut freezes = false;
    for object in asdu.objects() {
        object.each(&mut |name, datum| {
            freezes |= name == "counter_freeze" && matches!(datum, Datum::Named(1.., _));
        });
    }
    freezes
}

/// Every information object with the value that is commanded or loaded; files by name; of what is about a whole station,
/// the station.
pub(super) fn points(asdu: &Asdu<'_>, out: &mut VisitPoints<'_>) {
    let Some(operation) = operation(asdu) else { return };
    let station = asdu.common_address;
    for object in asdu.objects() {
        let (mut value, mut file) = (None, None);
        object.each(&mut |name, datum| match (name, datum) {
            (VALUE, Datum::Unsigned(number)) => value = Some(Value::Unsigned(number)),
            (VALUE, Datum::Signed(number)) => value = Some(Value::Signed(number)),
            (VALUE, Datum::Float(number)) => value = Some(Value::Float(number)),
            ("file", Datum::Named(number, _)) => file = Some(number),
            _ => {}
        });
        // What is reported was not written.
        let value = value.filter(|_| operation != Operation::Read);
        let address = object.address;
        match file {
            Some(file) => out(Point { target: format_args!("ca {station} ioa {address} file {file}"), value }),
            None if address == 0 => out(Point { target: format_args!("ca {station}"), value }),
            None => out(Point { target: format_args!("ca {station} ioa {address}"), value }),
        }
    }
}
