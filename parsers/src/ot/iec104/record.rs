//! The record of IEC 60870-5-104: an APDU, and what is known of it from those before.

use super::apci::{Apdu, Control};
use super::asdu::Asdu;
use super::element::{Datum, SELECT, VALUE};
use super::{PROTOCOL, names, operation};
use crate::dissector::{Pairing, Protocol, Record};
use crate::field::{Names, Tree, Value, Visit, name_of};
use crate::operation::{Operation, VisitPoints};

/// An APDU with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) apdu: Apdu<'a>,
    pub(super) asdu: Option<Asdu<'a>>,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
    /// Of an execute command: was the point selected before?
    pub(super) selected: Option<bool>,
}

impl Record for Message<'_> {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        tree_of(self, tree);
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    fn pairing(&self) -> Pairing {
        self.pairing
    }

    fn operation(&self) -> Option<Operation> {
        self.asdu.as_ref().and_then(operation::operation)
    }

    fn points(&self, out: &mut VisitPoints<'_>) {
        if let Some(asdu) = &self.asdu {
            operation::points(asdu, out);
        }
    }
}

impl<'a> Message<'a> {
    fn send(&self) -> Option<u16> {
        match self.apdu.control {
            Control::I { send, .. } => Some(send),
            _ => None,
        }
    }

    fn receive(&self) -> Option<u16> {
        match self.apdu.control {
            Control::I { receive, .. } | Control::S { receive } => Some(receive),
            Control::U { .. } => None,
        }
    }

    fn function(&self) -> Option<u8> {
        match self.apdu.control {
            Control::U { function } => Some(function),
            _ => None,
        }
    }

    fn asdu<T>(&self, get: impl Fn(&Asdu<'a>) -> T) -> Option<T> {
        self.asdu.as_ref().map(get)
    }

    /// The parts with this name, object by object.
    fn parts(&self, wanted: &'static str, out: &mut Visit<'_>) {
        for object in self.asdu.iter().flat_map(Asdu::objects) {
            object.each(&mut |name, datum| {
                if name == wanted {
                    value_of(datum, out);
                }
            });
        }
    }

    /// As [`Message::parts`], as numbers with a fraction.
    fn numbers(&self, wanted: &'static str, out: &mut Visit<'_>) {
        for object in self.asdu.iter().flat_map(Asdu::objects) {
            object.each(&mut |name, datum| {
                if let (true, Some(number)) = (name == wanted, number_of(datum)) {
                    out(Value::Float(number));
                }
            });
        }
    }
}

/// Quality is told bit by bit; a time only if it is one.
fn value_of(datum: Datum<'_>, out: &mut Visit<'_>) {
    match datum {
        Datum::Unsigned(number) | Datum::Named(number, _) => out(Value::Unsigned(number)),
        Datum::Signed(number) => out(Value::Signed(number)),
        Datum::Float(number) => out(Value::Float(number)),
        Datum::Flag(flag) => out(Value::Flag(flag)),
        Datum::Quality(bits) => qualities(bits).for_each(|(bit, _)| out(Value::Unsigned(bit))),
        Datum::Time(time) => {
            if let Some(time) = time.utc() {
                out(Value::Time(time));
            }
        }
        Datum::Octets(octets) => out(Value::Bytes(octets)),
    }
}

pub(super) fn number_of(datum: Datum<'_>) -> Option<f64> {
    match datum {
        Datum::Unsigned(number) | Datum::Named(number, _) => Some(number as f64),
        Datum::Signed(number) => Some(number as f64),
        Datum::Float(number) => Some(number),
        _ => None,
    }
}

fn qualities(bits: u8) -> impl Iterator<Item = (u64, &'static str)> {
    names::QUALITIES.iter().copied().filter(move |(bit, _)| u64::from(bits) & bit != 0)
}

fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

fn flag(value: Option<bool>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Flag(value));
    }
}

crate::fields! {
    /// What a rule can ask of an APDU.
    pub(super) static FIELDS, visit(message: &Message<'_>, out) {
        format: Unsigned { bits: 2, names: names::FORMATS }, One, "Format of the APDU (104 §5.1)"
            => out(Value::Unsigned(message.apdu.format().into()));
        length: Unsigned { bits: 8, names: &[] }, One, "Length of the APDU without start octet and length (104 §5.1)"
            => out(Value::Unsigned(message.apdu.length.into()));
        u_function: Unsigned { bits: 6, names: names::U_FUNCTIONS }, Optional,
            "Unnumbered control function (104 §5.1); one bit each"
            => unsigned(message.function(), out);
        send_sequence: Unsigned { bits: 15, names: &[] }, Optional, "Send sequence number N(S) (104 §5.1)"
            => unsigned(message.send(), out);
        receive_sequence: Unsigned { bits: 15, names: &[] }, Optional, "Receive sequence number N(R) (104 §5.1)"
            => unsigned(message.receive(), out);
        type_id: Unsigned { bits: 8, names: names::TYPES }, Optional, "Type identification of the ASDU (101 §7.2.1)"
            => unsigned(message.asdu(|asdu| asdu.type_id), out);
        cause: Unsigned { bits: 6, names: names::CAUSES }, Optional, "Cause of transmission (101 §7.2.3)"
            => unsigned(message.asdu(|asdu| asdu.cause), out);
        negative: Flag, Optional, "Is the confirmation negative? (P/N, 101 §7.2.3)"
            => flag(message.asdu(|asdu| asdu.negative), out);
        test: Flag, Optional, "Is it a test, without effect on the process? (T, 101 §7.2.3)"
            => flag(message.asdu(|asdu| asdu.test), out);
        originator: Unsigned { bits: 8, names: &[] }, Optional, "Originator address, where causes have two octets (101 §7.2.3.2)"
            => unsigned(message.asdu(|asdu| asdu.originator).flatten(), out);
        common_address: Unsigned { bits: 16, names: &[] }, Optional,
            "Common address: the station; 65535 (or 255, in one octet) is all of them (101 §7.2.4)"
            => unsigned(message.asdu(|asdu| asdu.common_address), out);
        sequence: Flag, Optional, "Is it a sequence of elements from one address on? (SQ, 101 §7.2.2)"
            => flag(message.asdu(|asdu| asdu.sequence), out);
        object_count: Unsigned { bits: 7, names: &[] }, Optional, "Number of information objects or elements (101 §7.2.2)"
            => unsigned(message.asdu(|asdu| asdu.count), out);
        object_address: Unsigned { bits: 24, names: &[] }, Many, "Address of each information object (101 §7.2.5)"
            => message.asdu.iter().flat_map(Asdu::objects).for_each(|object| out(Value::Unsigned(object.address.into())));
        value: Float, Many,
            "Each value measured, stated, counted or commanded: points are 0 and 1, double points 0 to 3 (1 off, 2 on), steps 1 lower and 2 higher, normalized values -1 to 1"
            => message.numbers(VALUE, out);
        quality: Unsigned { bits: 8, names: names::QUALITIES }, Many, "Each bit set in the quality of each object (101 §7.2.6.3)"
            => message.parts("quality", out);
        transient: Flag, Many, "Is the equipment of each step position in transition? (101 §7.2.6.5)"
            => message.parts("transient", out);
        changed: Unsigned { bits: 16, names: &[] }, Many, "Points that changed, of each status of 16 points (101 §7.2.6.40)"
            => message.parts("changed", out);
        counter_sequence: Unsigned { bits: 5, names: &[] }, Many, "Sequence number of each counter reading (101 §7.2.6.9)"
            => message.parts("counter_sequence", out);
        carry: Flag, Many, "Did each counter overflow in its integration period? (101 §7.2.6.9)"
            => message.parts("carry", out);
        adjusted: Flag, Many, "Was each counter set since the last reading? (101 §7.2.6.9)"
            => message.parts("adjusted", out);
        select: Flag, Many, "Does each command only select? (S/E, 101 §7.2.6.26)"
            => message.parts(SELECT, out);
        selected: Flag, Optional, "Was the point of an execute command selected before, in this flow?"
            => flag(message.selected, out);
        qualifier: Unsigned { bits: 7, names: names::COMMAND_QUALIFIERS }, Many,
            "Qualifier of each command or set point (101 §7.2.6.26, §7.2.6.39)"
            => message.parts("qualifier", out);
        interrogation: Unsigned { bits: 8, names: names::INTERROGATIONS }, Many, "Qualifier of interrogation (101 §7.2.6.22)"
            => message.parts("interrogation", out);
        counter_request: Unsigned { bits: 6, names: names::COUNTER_REQUESTS }, Many, "Counters interrogated (101 §7.2.6.23)"
            => message.parts("counter_request", out);
        counter_freeze: Unsigned { bits: 2, names: names::COUNTER_FREEZES }, Many, "What is done to the counters (101 §7.2.6.23)"
            => message.parts("counter_freeze", out);
        reset: Unsigned { bits: 8, names: names::RESETS }, Many, "Qualifier of reset process (101 §7.2.6.27)"
            => message.parts("reset", out);
        initialization: Unsigned { bits: 7, names: names::INITIALIZATIONS }, Many, "Cause of initialization (101 §7.2.6.21)"
            => message.parts("initialization", out);
        parameters_changed: Flag, Many, "Were local parameters changed before initialization? (101 §7.2.6.21)"
            => message.parts("parameters_changed", out);
        parameter: Unsigned { bits: 6, names: names::PARAMETERS }, Many, "Kind of each parameter loaded (101 §7.2.6.24)"
            => message.parts("parameter", out);
        local_change: Flag, Many, "Was each parameter changed locally? (101 §7.2.6.24)"
            => message.parts("local_change", out);
        in_operation: Flag, Many, "Is each parameter in operation? (101 §7.2.6.24)"
            => message.parts("in_operation", out);
        parameter_activation: Unsigned { bits: 8, names: names::PARAMETER_ACTIVATIONS }, Many,
            "Qualifier of parameter activation (101 §7.2.6.25)"
            => message.parts("parameter_activation", out);
        test_pattern: Unsigned { bits: 16, names: &[] }, Many, "Pattern of a test command, which is 21930 (hexadecimal 55AA) (101 §7.2.6.14)"
            => message.parts("test_pattern", out);
        test_counter: Unsigned { bits: 16, names: &[] }, Many, "Counter of a test command with time (104 §8.7)"
            => message.parts("test_counter", out);
        time: Time, Many, "Each date and time, as if it were UTC (CP56Time2a, 101 §7.2.6.18)"
            => message.parts("time", out);
        range: Time, Many, "Begin and end of the times asked for of an archive file (104 §8.9)"
            => message.parts("range", out);
        hour_ms: Unsigned { bits: 32, names: &[] }, Many, "Each time, in milliseconds of the hour (CP24Time2a, 101 §7.2.6.19)"
            => message.parts("hour_ms", out);
        time_invalid: Flag, Many, "Is each time marked invalid? (IV, 101 §7.2.6.18)"
            => message.parts("time_invalid", out);
        elapsed_ms: Unsigned { bits: 16, names: &[] }, Many,
            "Each duration or delay, in milliseconds (CP16Time2a, 101 §7.2.6.20)"
            => message.parts("elapsed_ms", out);
        file: Unsigned { bits: 16, names: names::FILES }, Many, "Name of each file (101 §7.2.6.33)"
            => message.parts("file", out);
        section: Unsigned { bits: 8, names: &[] }, Many, "Name of each section (101 §7.2.6.34)"
            => message.parts("section", out);
        file_length: Unsigned { bits: 24, names: &[] }, Many, "Length of each file or section, in octets (101 §7.2.6.35)"
            => message.parts("file_length", out);
        ready: Flag, Many, "Is the file or section ready? (101 §7.2.6.28, §7.2.6.29)"
            => message.parts("ready", out);
        file_call: Unsigned { bits: 4, names: names::FILE_CALLS }, Many, "Select and call qualifier (101 §7.2.6.30)"
            => message.parts("file_call", out);
        file_end: Unsigned { bits: 8, names: names::FILE_ENDS }, Many, "Last section or segment qualifier (101 §7.2.6.31)"
            => message.parts("file_end", out);
        file_acknowledgement: Unsigned { bits: 4, names: names::FILE_ACKNOWLEDGEMENTS }, Many,
            "Acknowledge qualifier (101 §7.2.6.32)"
            => message.parts("file_acknowledgement", out);
        file_error: Unsigned { bits: 4, names: names::FILE_ERRORS }, Many,
            "What kept a file service from being done (101 §7.2.6.30, §7.2.6.32)"
            => message.parts("file_error", out);
        file_status: Unsigned { bits: 5, names: &[] }, Many, "Status of each file of a directory (101 §7.2.6.38)"
            => message.parts("file_status", out);
        checksum: Unsigned { bits: 8, names: &[] }, Many, "Checksum of a file's section or segment (101 §7.2.6.37)"
            => message.parts("checksum", out);
        segment: Bytes, Many, "Each segment of a file (101 §7.3.6.6)"
            => message.parts("segment", out);
        data: Bytes, Optional, "The ASDU"
            => if !message.apdu.asdu.is_empty() { out(Value::Bytes(message.apdu.asdu)) };
    }
}

fn tree_of(message: &Message<'_>, tree: &mut dyn Tree) {
    named(tree, "format", names::FORMATS, message.apdu.format().into());
    if let Some(function) = message.function() {
        named(tree, "u_function", names::U_FUNCTIONS, function.into());
    }
    if let Some(send) = message.send() {
        tree.unsigned("send_sequence", send.into());
    }
    if let Some(receive) = message.receive() {
        tree.unsigned("receive_sequence", receive.into());
    }
    let Some(asdu) = &message.asdu else { return };
    tree.unsigned("type_id", asdu.type_id.into());
    if let Some(name) = name_of(names::TYPES, asdu.type_id.into()) {
        tree.text("type", name);
    }
    named(tree, "cause", names::CAUSES, asdu.cause.into());
    tree.flag("negative", asdu.negative);
    tree.flag("test", asdu.test);
    if let Some(originator) = asdu.originator {
        tree.unsigned("originator", originator.into());
    }
    tree.unsigned("common_address", asdu.common_address.into());
    if let Some(selected) = message.selected {
        tree.flag("selected", selected);
    }
    tree.list("objects");
    for object in asdu.objects() {
        tree.object("");
        tree.unsigned("address", object.address.into());
        object.each(&mut |name, datum| part(tree, name, datum));
        tree.end();
    }
    tree.end();
}

fn part(tree: &mut dyn Tree, name: &'static str, datum: Datum<'_>) {
    match datum {
        Datum::Unsigned(number) => tree.unsigned(name, number),
        Datum::Signed(number) => tree.signed(name, number),
        Datum::Float(number) => tree.float(name, number),
        Datum::Flag(flag) => tree.flag(name, flag),
        Datum::Named(number, table) => named(tree, name, table, number),
        Datum::Quality(0) => {}
        Datum::Quality(bits) => {
            tree.list(name);
            qualities(bits).for_each(|(_, quality)| tree.text("", quality));
            tree.end();
        }
        Datum::Time(time) => tree.formatted(name, format_args!("{time}")),
        Datum::Octets(octets) => tree.hex(name, octets),
    }
}

/// The name of a value, or the value where it has none.
fn named(tree: &mut dyn Tree, key: &'static str, names: Names, value: u64) {
    match name_of(names, value) {
        Some(name) => tree.text(key, name),
        None => tree.unsigned(key, value),
    }
}
