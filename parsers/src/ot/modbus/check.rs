//! What the standard does not allow, looked for in one message and against the request it answers.

use super::message::Message;
use super::pdu::{
    Body, DeviceIdentification, FileLayout, MEI_CANOPEN, MEI_DEVICE_IDENTIFICATION, bytes_for, function, is_assigned,
    is_bits, word,
};
use super::{
    INVALID_EXCEPTION_CODE, INVALID_FUNCTION_CODE, INVALID_LENGTH, INVALID_UNIT_IDENTIFIER, INVALID_VALUE,
    LONGEST_STANDARD_LENGTH, VALUE_MISMATCH,
};
use crate::findings::Findings;

/// Everything wrong with `message` by itself and, when it is the answer to `request`, together with it.
pub(super) fn findings(message: &Message<'_>, request: Option<&Message<'_>>) -> Findings {
    let mut findings = Findings::NONE;
    header(message, &mut findings);
    Check { message, request, findings: &mut findings }.body();
    if let Some(request) = request {
        pair(message, request, &mut findings);
    }
    findings
}

fn header(message: &Message<'_>, findings: &mut Findings) {
    let function_offset = message.data_offset() - 1;
    if let Some(mbap) = message.mbap
        && usize::from(mbap.length) > LONGEST_STANDARD_LENGTH
        && message.function() != function::UMAS
    {
        findings.push(INVALID_LENGTH, 4);
    }
    // 248 to 254 are reserved; 255 is what a device on TCP itself answers to (Messaging Guide §3.1.3, Serial §2.2).
    if matches!(message.unit, 248..=254) || (message.unit == 255 && message.mbap.is_none()) {
        findings.push(INVALID_UNIT_IDENTIFIER, message.unit_offset());
    }
    if message.function() == 0 || (message.request && message.raw != message.function()) {
        findings.push(INVALID_FUNCTION_CODE, function_offset);
    }
}

/// An answer must be to the unit and the function that were asked.
fn pair(message: &Message<'_>, request: &Message<'_>, findings: &mut Findings) {
    if message.unit != request.unit {
        findings.push(INVALID_UNIT_IDENTIFIER, message.unit_offset());
    }
    if message.function() != request.function() {
        findings.push(INVALID_FUNCTION_CODE, message.data_offset() - 1);
    }
}

struct Check<'c, 'a> {
    message: &'c Message<'a>,
    /// The request that the message answers.
    request: Option<&'c Message<'a>>,
    findings: &'c mut Findings,
}

impl Check<'_, '_> {
    /// Notes `kind` at `offset` of the PDU's data unless `good`.
    fn expect(&mut self, good: bool, kind: &'static str, offset: usize) {
        if !good {
            self.findings.push(kind, self.message.data_offset() + offset);
        }
    }

    /// The data must be `length` bytes long.
    fn length(&mut self, length: usize) {
        let actual = self.message.data.len();
        self.expect(actual == length, INVALID_LENGTH, actual.min(length));
    }

    /// Address and quantity within the 65,536 that exist and the limit of the function; `at` is the address's offset.
    fn range(&mut self, address: u16, quantity: u16, limit: u16, at: usize) {
        let inside = u32::from(address) + u32::from(quantity) <= 0x1_0000;
        self.expect((1..=limit).contains(&quantity) && inside, INVALID_VALUE, at + 2);
    }

    /// A stated byte count at `at` against the bytes present and against what the quantity needs.
    fn count(&mut self, stated: usize, present: usize, needed: usize, at: usize) {
        self.expect(stated == present && stated == needed, INVALID_VALUE, at);
    }

    /// The same value as in the request.
    fn same<T: PartialEq>(&mut self, answered: T, asked: T, at: usize) {
        self.expect(answered == asked, VALUE_MISMATCH, at);
    }

    fn body(&mut self) {
        let asked = self.request.map(|request| request.body);
        let code = self.message.function();
        match self.message.body {
            Body::Exception(exception) => {
                self.expect(matches!(exception, 1..=8 | 10 | 11), INVALID_EXCEPTION_CODE, 0);
                self.length(1);
            }
            Body::Read { address, quantity } => {
                self.range(address, quantity, if is_bits(code) { 2000 } else { 125 }, 0);
                self.length(4);
            }
            Body::Values { count, data } => self.values(count.into(), data, asked),
            Body::WriteSingle { address, value } => {
                let coil = code == function::WRITE_SINGLE_COIL;
                self.expect(!coil || value == 0 || value == 0xff00, INVALID_VALUE, 2);
                self.length(4);
                if let Some(Body::WriteSingle { address: asked, value: wanted }) = asked {
                    self.same(address, asked, 0);
                    self.same(value, wanted, 2);
                }
            }
            Body::WriteMultiple { address, quantity, count, data } => {
                self.range(address, quantity, if is_bits(code) { 1968 } else { 123 }, 0);
                self.count(count.into(), data.len(), bytes_for(code, quantity), 4);
            }
            Body::Written { address, quantity } => {
                self.range(address, quantity, if is_bits(code) { 1968 } else { 123 }, 0);
                self.length(4);
                if let Some(Body::WriteMultiple { address: asked, quantity: wanted, .. }) = asked {
                    self.same(address, asked, 0);
                    self.same(quantity, wanted, 2);
                }
            }
            Body::Mask { .. } => {
                self.length(6);
                if let Some(asked @ Body::Mask { .. }) = asked {
                    self.same(self.message.body, asked, 0);
                }
            }
            Body::ReadWrite { read_address, read_quantity, address, quantity, count, data } => {
                self.range(read_address, read_quantity, 125, 0);
                self.range(address, quantity, 121, 4);
                self.count(count.into(), data.len(), usize::from(quantity) * 2, 8);
            }
            Body::Diagnostic { code, data } => self.diagnostic(code, data, asked),
            Body::ExceptionStatus(_) => self.length(1),
            Body::EventCounter { status, .. } => {
                self.expect(status == 0 || status == 0xffff, INVALID_VALUE, 0);
                self.length(4);
            }
            Body::EventLog { count, status, log, .. } => {
                self.expect(status == 0 || status == 0xffff, INVALID_VALUE, 1);
                self.expect(usize::from(count) == log.len() + 6 && log.len() <= 64, INVALID_VALUE, 0);
            }
            Body::ServerId { count, data } => self.expect(usize::from(count) == data.len(), INVALID_VALUE, 0),
            Body::File { count, layout, groups } => self.file(count, layout, groups),
            Body::Fifo { .. } => self.length(2),
            Body::FifoValues { count, fifo_count, data } => {
                self.expect(fifo_count <= 31, INVALID_VALUE, 2);
                self.count(count.into(), data.len() + 2, usize::from(fifo_count) * 2 + 2, 0);
            }
            Body::Mei { kind, data } => self.encapsulated(kind, data, asked),
            Body::Opaque(data) => self.opaque(code, data),
        }
    }

    fn values(&mut self, count: usize, data: &[u8], asked: Option<Body<'_>>) {
        let code = self.message.function();
        let registers = !is_bits(code);
        self.expect((1..=250).contains(&count) && (!registers || count.is_multiple_of(2)), INVALID_VALUE, 0);
        self.expect(count == data.len(), INVALID_VALUE, 0);
        if let Some((_, quantity)) = asked.and_then(|body| body.read_range()) {
            self.same(count, bytes_for(code, quantity), 0);
        }
    }

    /// §6.8: sub-function 0 and what follows 18 carry any data, the others one word that is mostly zero.
    fn diagnostic(&mut self, code: u16, data: &[u8], asked: Option<Body<'_>>) {
        if matches!(code, 1..=4 | 10..=20) {
            self.length(4);
        }
        if let (true, Some(value)) = (self.message.request, word(data, 0)) {
            let good = match code {
                1 => value == 0 || value == 0xff00,
                3 => value & 0xff == 0,
                2 | 10..=20 => value == 0,
                _ => true,
            };
            self.expect(good, INVALID_VALUE, 2);
        }
        if let Some(Body::Diagnostic { code: asked, data: query }) = asked {
            self.same(code, asked, 0);
            self.expect(code != 0 || data == query, VALUE_MISMATCH, 2);
        }
    }

    fn file(&mut self, count: u8, layout: FileLayout, groups: &[u8]) {
        let limits = match layout {
            FileLayout::ReadRequest => 0x07..=0xf5,
            // The standard says 7 here too, but one register read makes a group of 4 bytes.
            FileLayout::ReadResponse => 0x04..=0xf5,
            FileLayout::Write => 0x09..=0xfb,
        };
        self.expect(limits.contains(&count), INVALID_VALUE, 0);
        self.expect(usize::from(count) == groups.len(), INVALID_VALUE, 0);
        let Some(mut records) = self.message.body.file_records() else { return };
        let mut at = 1;
        let mut next = records.rest;
        while let Some(record) = records.next() {
            self.expect(record.reference == 6, INVALID_VALUE, at);
            at += next.len() - records.rest.len();
            next = records.rest;
        }
        self.expect(next.is_empty(), INVALID_LENGTH, at);
        if let Some(request) = self.request
            && layout == FileLayout::Write
        {
            self.same(self.message.data, request.data, 0);
        }
    }

    fn encapsulated(&mut self, kind: u8, data: &[u8], asked: Option<Body<'_>>) {
        self.expect(matches!(kind, MEI_CANOPEN | MEI_DEVICE_IDENTIFICATION), INVALID_VALUE, 0);
        if let Some(Body::Mei { kind: asked, .. }) = asked {
            self.same(kind, asked, 0);
        }
        if kind != MEI_DEVICE_IDENTIFICATION {
            return;
        }
        if let Some(code) = data.first() {
            self.expect((1..=4).contains(code), INVALID_VALUE, 1);
        }
        if self.message.request {
            return self.length(3);
        }
        let Some(mut answer) = DeviceIdentification::new(data) else {
            return self.expect(false, INVALID_LENGTH, self.message.data.len());
        };
        self.expect(matches!(answer.conformity & 0x7f, 1..=3), INVALID_VALUE, 2);
        self.expect(matches!(answer.more_follows, 0 | 0xff), INVALID_VALUE, 3);
        let count = answer.objects.by_ref().count();
        let complete = answer.objects.rest.is_empty();
        self.expect(complete && count == usize::from(answer.count), INVALID_LENGTH, 5);
        if let Some(Body::Mei { data: query, .. }) = asked {
            self.same(Some(&answer.code), query.first(), 1);
        }
    }

    /// Requests of a few functions are the function code alone; any other assigned function has a layout, and did not
    /// fill it.
    fn opaque(&mut self, code: u8, data: &[u8]) {
        use function::*;
        let bare =
            matches!(code, READ_EXCEPTION_STATUS | GET_COMM_EVENT_COUNTER | GET_COMM_EVENT_LOG | REPORT_SERVER_ID);
        if bare && self.message.request {
            self.length(0);
        } else if is_assigned(code) {
            self.expect(false, INVALID_LENGTH, data.len());
        }
    }
}
