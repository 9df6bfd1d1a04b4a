//! The record of Modbus: a message, and the request it answers.

use super::message::Message;
use super::names::{self, Access};
use super::pdu::{Body, DeviceIdentification, EXCEPTION, MEI_DEVICE_IDENTIFICATION, is_bits};
use super::{PROTOCOL, eve, operation};
use crate::dissector::Pairing;
use crate::field::{Value, Visit};

/// Registers or bits that one message can name: what the standard lets a function read (§6.1). Bounds the work that a
/// false quantity can cause.
const MOST_ADDRESSES: u16 = 2000;

/// A message with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) message: &'a Message<'a>,
    /// What it answers, if that was seen.
    pub(super) request: Option<&'a Message<'a>>,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

crate::dissector::record!(Exchange<'_>, PROTOCOL, visit, eve::write, operation);

impl<'a> Exchange<'a> {
    /// A message without its request or answer.
    pub(super) fn lone(message: &'a Message<'a>, transaction: u64) -> Self {
        Self { message, request: None, transaction, pairing: Pairing::None }
    }

    /// What the message or else its request says.
    fn either<T>(&self, get: impl Fn(&Body<'a>) -> Option<T>) -> Option<T> {
        get(&self.message.body).or_else(|| get(&self.request?.body))
    }

    fn access(&self) -> Option<Access> {
        names::access(self.message.function())
    }

    pub(super) fn read_range(&self) -> Option<(u16, u16)> {
        self.either(Body::read_range)
    }

    pub(super) fn write_range(&self) -> Option<(u16, u16)> {
        self.either(Body::write_range)
    }

    /// Address and quantity: of the write where a function does both. A FIFO has an address only.
    fn range(&self) -> Option<(u16, u16)> {
        self.write_range().or_else(|| self.read_range())
    }

    fn fifo(&self) -> Option<u16> {
        self.either(|body| if let Body::Fifo { address } = body { Some(*address) } else { None })
    }

    fn registers(&self, out: &mut Visit<'_>) {
        for (address, quantity) in [self.read_range(), self.write_range()].into_iter().flatten() {
            let end = u32::from(address) + u32::from(quantity.min(MOST_ADDRESSES));
            (u32::from(address)..end.min(0x1_0000)).for_each(|address| out(Value::Unsigned(address.into())));
        }
    }

    /// Values that the message carries, from the address on.
    fn values(&self, out: &mut Visit<'_>) {
        let code = self.message.function();
        match self.message.body {
            Body::WriteSingle { value, .. } => {
                out(Value::Unsigned(if is_bits(code) { u64::from(value != 0) } else { value.into() }));
            }
            Body::WriteMultiple { quantity, data, .. } if is_bits(code) => bits(data, quantity.into(), out),
            Body::WriteMultiple { quantity, data, .. } | Body::ReadWrite { quantity, data, .. } => {
                words(data, quantity.into(), out);
            }
            Body::Values { count, data } => {
                let data = data.get(..count.into()).unwrap_or(data);
                if is_bits(code) {
                    let asked = self.read_range().map_or(usize::MAX, |(_, quantity)| quantity.into());
                    bits(data, asked, out);
                } else {
                    words(data, usize::MAX, out);
                }
            }
            Body::FifoValues { fifo_count, data, .. } => words(data, fifo_count.into(), out),
            Body::File { .. } => {
                for record in self.message.body.file_records().into_iter().flatten() {
                    words(record.data, usize::MAX, out);
                }
            }
            _ => {}
        }
    }

    /// One number of each group of functions 20 and 21: of the request where the answer leaves them out.
    fn files(&self, pick: fn((u16, u16, u16)) -> u16, out: &mut Visit<'_>) {
        let own = self.message.body.file_records().into_iter().flatten();
        let asked = self.request.filter(|_| own.clone().all(|record| record.place.is_none()));
        let asked = asked.and_then(|request| request.body.file_records()).into_iter().flatten();
        own.chain(asked).filter_map(|record| record.place).for_each(|place| out(Value::Unsigned(pick(place).into())));
    }

    /// What follows the MEI type of a Read Device Identification.
    fn device(&self) -> Option<&'a [u8]> {
        match self.message.body {
            Body::Mei { kind: MEI_DEVICE_IDENTIFICATION, data } => Some(data),
            _ => None,
        }
    }

    pub(super) fn identification(&self) -> Option<DeviceIdentification<'a>> {
        if self.message.request { None } else { DeviceIdentification::new(self.device()?) }
    }

    fn object(&self, id: u8, out: &mut Visit<'_>) {
        let objects = self.identification().map(|answer| answer.objects);
        objects.into_iter().flatten().filter(|object| object.0 == id).for_each(|object| out(Value::Bytes(object.1)));
    }

    fn objects(&self, out: &mut Visit<'_>) {
        match self.identification() {
            Some(answer) => answer.objects.for_each(|(id, _)| out(Value::Unsigned(id.into()))),
            None => unsigned(self.device().and_then(|data| data.get(1)).copied(), out),
        }
    }

    fn server_id(&self) -> Option<&'a [u8]> {
        if let Body::ServerId { data, .. } = self.message.body { Some(data) } else { None }
    }
}

fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Bytes(value));
    }
}

/// The first `quantity` bits, least significant of the first byte first (§6.1).
fn bits(data: &[u8], quantity: usize, out: &mut Visit<'_>) {
    let all = data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
    all.take(quantity).for_each(|bit| out(Value::Unsigned(bit.into())));
}

/// The first `quantity` big-endian words.
fn words(data: &[u8], quantity: usize, out: &mut Visit<'_>) {
    let all = data.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
    all.take(quantity).for_each(|word| out(Value::Unsigned(word.into())));
}

crate::fields! {
    /// What a rule can ask of a Modbus message.
    pub(super) static FIELDS, visit(record: &Exchange<'_>, out) {
        function: Unsigned { bits: 7, names: names::FUNCTIONS }, One,
            "Function code without the exception bit (V1.1b3 §4.1)"
            => out(Value::Unsigned(record.message.function().into()));
        function_raw: Unsigned { bits: 8, names: &[] }, One, "Function code as on the wire, exception bit included (§7)"
            => out(Value::Unsigned(record.message.raw.into()));
        category: Unsigned { bits: 4, names: names::CATEGORIES }, One, "Category of the function code (§5)"
            => out(Value::Unsigned(names::category(record.message)));
        request: Flag, One, "Is it a request?" => out(Value::Flag(record.message.request));
        exception: Flag, One, "Is the exception bit of the function code set? (§7)"
            => out(Value::Flag(record.message.raw & EXCEPTION != 0));
        exception_code: Unsigned { bits: 8, names: names::EXCEPTIONS }, Optional, "Exception code of a response (§7)"
            => if let Body::Exception(code) = record.message.body { out(Value::Unsigned(code.into())) };
        unit_id: Unsigned { bits: 8, names: &[] }, One, "Unit identifier, or address on the serial line"
            => out(Value::Unsigned(record.message.unit.into()));
        transaction_id: Unsigned { bits: 16, names: &[] }, Optional, "Transaction identifier of the MBAP header"
            => unsigned(record.message.mbap.map(|mbap| mbap.transaction), out);
        protocol_id: Unsigned { bits: 16, names: &[] }, Optional, "Protocol identifier of the MBAP header: 0"
            => unsigned(record.message.mbap.map(|_| 0u16), out);
        length: Unsigned { bits: 16, names: &[] }, Optional, "Length of the MBAP header: unit and PDU, in bytes"
            => unsigned(record.message.mbap.map(|mbap| mbap.length), out);
        read: Flag, One, "Does the function read coils, inputs or registers? (1 to 4, 23)"
            => out(Value::Flag(record.access().is_some_and(|access| access.read)));
        write: Flag, One, "Does the function write coils or registers? (5, 6, 15, 16, 22, 23)"
            => out(Value::Flag(record.access().is_some_and(|access| access.write)));
        table: Unsigned { bits: 3, names: names::TABLES }, Optional, "Table of the data model that is accessed (§4.3)"
            => unsigned(record.access().map(|access| access.table as u64), out);
        address: Unsigned { bits: 16, names: &[] }, Optional,
            "First address accessed, from 0; of what is written in function 23; in a response, that of its request"
            => unsigned(record.range().map(|range| range.0).or_else(|| record.fifo()), out);
        quantity: Unsigned { bits: 16, names: &[] }, Optional, "How many coils, inputs or registers from the address on"
            => unsigned(record.range().map(|range| range.1), out);
        end_address: Unsigned { bits: 16, names: &[] }, Optional, "Last address accessed, at most 65535"
            => unsigned(record.range().filter(|range| range.1 > 0).map(|range| range.0.saturating_add(range.1 - 1)), out);
        read_address: Unsigned { bits: 16, names: &[] }, Optional, "First address read, in functions 1 to 4 and 23"
            => unsigned(record.read_range().map(|range| range.0), out);
        read_quantity: Unsigned { bits: 16, names: &[] }, Optional, "How many coils, inputs or registers are read"
            => unsigned(record.read_range().map(|range| range.1), out);
        write_address: Unsigned { bits: 16, names: &[] }, Optional,
            "First address written, in functions 5, 6, 15, 16, 22 and 23"
            => unsigned(record.write_range().map(|range| range.0), out);
        write_quantity: Unsigned { bits: 16, names: &[] }, Optional, "How many coils or registers are written"
            => unsigned(record.write_range().map(|range| range.1), out);
        register: Unsigned { bits: 16, names: &[] }, Many,
            "Every address accessed, read before written; at most 2000 of a range"
            => record.registers(out);
        value: Unsigned { bits: 16, names: &[] }, Many,
            "Values that the message carries, in order: in a request those written from the address on, in a response those read; coils and inputs are 0 or 1"
            => record.values(out);
        and_mask: Unsigned { bits: 16, names: &[] }, Optional, "AND mask of function 22 (§6.16)"
            => if let Body::Mask { and_mask, .. } = record.message.body { out(Value::Unsigned(and_mask.into())) };
        or_mask: Unsigned { bits: 16, names: &[] }, Optional, "OR mask of function 22 (§6.16)"
            => if let Body::Mask { or_mask, .. } = record.message.body { out(Value::Unsigned(or_mask.into())) };
        byte_count: Unsigned { bits: 16, names: &[] }, Optional, "Byte count as the message states it"
            => unsigned(record.message.body.byte_count(), out);
        sub_function: Unsigned { bits: 16, names: names::DIAGNOSTICS }, Optional,
            "Sub-function of function 8, diagnostics (§6.8)"
            => if let Body::Diagnostic { code, .. } = record.message.body { out(Value::Unsigned(code.into())) };
        exception_status: Unsigned { bits: 8, names: &[] }, Optional, "Exception status outputs of function 7 (§6.7)"
            => if let Body::ExceptionStatus(status) = record.message.body { out(Value::Unsigned(status.into())) };
        event_status: Unsigned { bits: 16, names: &[] }, Optional,
            "Status word of functions 11 and 12: 65535 while a command is in progress (§6.9)"
            => match record.message.body {
                Body::EventCounter { status, .. } | Body::EventLog { status, .. } => out(Value::Unsigned(status.into())),
                _ => {}
            };
        event_count: Unsigned { bits: 16, names: &[] }, Optional, "Event count of functions 11 and 12 (§6.9)"
            => match record.message.body {
                Body::EventCounter { events, .. } | Body::EventLog { events, .. } => out(Value::Unsigned(events.into())),
                _ => {}
            };
        message_count: Unsigned { bits: 16, names: &[] }, Optional, "Message count of function 12 (§6.10)"
            => if let Body::EventLog { messages, .. } = record.message.body { out(Value::Unsigned(messages.into())) };
        events: Bytes, Optional, "Event bytes of function 12, newest first (§6.10)"
            => if let Body::EventLog { log, .. } = record.message.body { out(Value::Bytes(log)) };
        server_id: Bytes, Optional, "What function 17 reports: device-specific (§6.13)"
            => bytes(record.server_id(), out);
        run_indicator: Flag, Optional,
            "Run indicator of function 17, where the second byte has the form of one (§6.13): is the device running?"
            => match record.server_id().and_then(|data| data.get(1)) {
                Some(0) => out(Value::Flag(false)),
                Some(0xff) => out(Value::Flag(true)),
                _ => {}
            };
        file_number: Unsigned { bits: 16, names: &[] }, Many, "File numbers of functions 20 and 21 (§6.14)"
            => record.files(|place| place.0, out);
        record_number: Unsigned { bits: 16, names: &[] }, Many, "First record numbers of functions 20 and 21 (§6.14)"
            => record.files(|place| place.1, out);
        record_length: Unsigned { bits: 16, names: &[] }, Many, "Lengths of functions 20 and 21, in registers (§6.14)"
            => record.files(|place| place.2, out);
        fifo_count: Unsigned { bits: 16, names: &[] }, Optional, "Registers queued, of function 24 (§6.18)"
            => if let Body::FifoValues { fifo_count, .. } = record.message.body { out(Value::Unsigned(fifo_count.into())) };
        mei_type: Unsigned { bits: 8, names: names::MEI_TYPES }, Optional,
            "Encapsulated interface type of function 43 (§6.19)"
            => if let Body::Mei { kind, .. } = record.message.body { out(Value::Unsigned(kind.into())) };
        device_id_code: Unsigned { bits: 8, names: names::DEVICE_ID_CODES }, Optional,
            "Read Device ID code of function 43/14 (§6.21)"
            => unsigned(record.device().and_then(|data| data.first()).copied(), out);
        conformity_level: Unsigned { bits: 8, names: &[] }, Optional, "Conformity level of function 43/14 (§6.21)"
            => unsigned(record.identification().map(|answer| answer.conformity), out);
        more_follows: Flag, Optional, "Are more objects to be asked for? (§6.21)"
            => if let Some(answer) = record.identification() { out(Value::Flag(answer.more_follows != 0)) };
        next_object_id: Unsigned { bits: 8, names: names::OBJECTS }, Optional, "Object to ask for next (§6.21)"
            => unsigned(record.identification().map(|answer| answer.next_object), out);
        object_id: Unsigned { bits: 8, names: names::OBJECTS }, Many,
            "Object asked for, or those that the response carries (§6.21)"
            => record.objects(out);
        vendor: Bytes, Optional, "VendorName of the device (§6.21, object 0)" => record.object(0, out);
        product_code: Bytes, Optional, "ProductCode of the device (§6.21, object 1)" => record.object(1, out);
        revision: Bytes, Optional, "MajorMinorRevision of the device (§6.21, object 2)" => record.object(2, out);
        vendor_url: Bytes, Optional, "VendorUrl of the device (§6.21, object 3)" => record.object(3, out);
        product_name: Bytes, Optional, "ProductName of the device (§6.21, object 4)" => record.object(4, out);
        model: Bytes, Optional, "ModelName of the device (§6.21, object 5)" => record.object(5, out);
        user_application: Bytes, Optional, "UserApplicationName of the device (§6.21, object 6)" => record.object(6, out);
        data: Bytes, One, "Everything after the function code" => out(Value::Bytes(record.message.data));
    }
}
