//! S7comm-plus: what S7-1200 and S7-1500 speak. Told apart from S7 communication by its first byte, and recorded with the
//! header of its PDUs: version, opcode, function, session.
//!
//! What the functions carry is a language of objects and attributes without a published standard. Of that, only what
//! says who a device is and what changes the mode of a CPU is read.

use memchr::memmem;

use super::{PLUS, names};
use crate::dissector::{Direction, Pairing, Probe, Protocol, Record};
use crate::field::{Tree, Value, Visit, name_of};
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Line;

/// First byte of a PDU.
pub(super) const PROTOCOL_ID: u8 = 0x72;

const HEADER: usize = 4;
/// Length of the digest of an integrity part.
const DIGEST: u8 = 32;

pub(super) const REQUEST: u8 = 0x31;
pub(super) const RESPONSE: u8 = 0x32;
pub(super) const RESPONSE_2: u8 = 0x02;
pub(super) const NOTIFICATION: u8 = 0x33;

/// Bit of the transport flags: the request is not answered.
const UNANSWERED: u8 = 0x40;

mod function {
    pub(super) const EXPLORE: u16 = 0x04bb;
    pub(super) const CREATE_OBJECT: u16 = 0x04ca;
    pub(super) const DELETE_OBJECT: u16 = 0x04d4;
    pub(super) const SET_VARIABLE: u16 = 0x04f2;
    pub(super) const GET_VARIABLE: u16 = 0x04fc;
    pub(super) const GET_LINK: u16 = 0x0524;
    pub(super) const SET_MULTI_VARIABLES: u16 = 0x0542;
    pub(super) const GET_MULTI_VARIABLES: u16 = 0x054c;
    pub(super) const SET_VAR_SUBSTREAMED: u16 = 0x057c;
    pub(super) const GET_VAR_SUBSTREAMED: u16 = 0x0586;
    pub(super) const GET_VARIABLES_ADDRESS: u16 = 0x0590;
}

/// The object that executes the program, its attribute that asks for a mode, and two modes.
const EXECUTION_UNIT: u32 = 52;
const MODE_REQUEST: u32 = 2167;
const MODE_STOP: u32 = 1;
const MODE_RUN: u32 = 3;

/// The object that sessions are made in.
const SESSIONS: u32 = 285;
/// Sessions, subscriptions and the like: of communication, not of the plant.
const COMMUNICATION: std::ops::Range<u32> = 0x7000_0000..0x8000_0000;
/// Objects of the program: data blocks, code.
const PROGRAM: std::ops::Range<u32> = 0x8a00_0000..0xb000_0000;

/// Attribute 319 as text: `1;6ES7 212-1HE30-0XB0 ;V2.2`.
const DEVICE: [u8; 4] = [0x82, 0x3f, 0x00, 0x15];
/// The identification and maintenance data of PROFINET (I&M0, block type 0x0020 of 56 bytes, version 1.0).
const IDENTIFICATION: [u8; 6] = [0x00, 0x20, 0x00, 0x38, 0x01, 0x00];

/// A view of one PDU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pdu<'a> {
    pub(super) version: u8,
    /// Length that the header says.
    pub(super) length: u16,
    /// The integrity part.
    pub(super) digest: Option<&'a [u8]>,
    pub(super) content: Content<'a>,
    /// More PDUs of the same message follow: this one has no trailer.
    pub(super) more: bool,
    /// Do header, content and trailer fill the bytes exactly?
    pub(super) whole: bool,
}

/// What stands between header and trailer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// A request.
    Request { function: u16, sequence: u16, session: u32, flags: u8, data: &'a [u8] },
    /// A response, of the opcode 0x32 or 0x02.
    Response { opcode: u8, function: u16, sequence: u16, flags: u8, data: &'a [u8] },
    /// A notification to a subscription.
    Notification { subscription: u32, data: &'a [u8] },
    /// The middle or the end of a message that began in another PDU; a system event; a keep-alive.
    Other(&'a [u8]),
    /// A record of TLS, in its own framing.
    Tls(&'a [u8]),
}

impl<'a> Pdu<'a> {
    /// Reads a PDU; `continued` when it goes on with a message that began before. `None` when there is no header.
    pub(super) fn read(bytes: &'a [u8], continued: bool) -> Option<Self> {
        let (&[PROTOCOL_ID, version, l1, l0], rest) = bytes.split_first_chunk::<HEADER>()? else { return None };
        let length = u16::from_be_bytes([l1, l0]);
        let (body, trailer) = rest.split_at(usize::from(length).min(rest.len()));
        let (digest, data) = match body.split_first() {
            Some((&DIGEST, after)) if version == 3 && !continued => match after.split_at_checked(DIGEST.into()) {
                Some((digest, data)) => (Some(digest), data),
                None => (None, body),
            },
            _ => (None, body),
        };
        let content = if continued || version > 3 { None } else { content(data) };
        Some(Self {
            version,
            length,
            digest,
            content: content.unwrap_or(Content::Other(data)),
            more: trailer.is_empty() && version <= 3,
            whole: body.len() == usize::from(length) && (trailer.is_empty() || trailer == [PROTOCOL_ID, version, 0, 0]),
        })
    }

    /// A record of TLS, which these devices speak once that was agreed upon. `None` when it is none.
    pub(super) fn tls(bytes: &'a [u8]) -> Option<Self> {
        match *bytes {
            [0x14..=0x17, 3, 0..=4, l1, l0, ..] => Some(Self {
                version: 0,
                length: u16::from_be_bytes([l1, l0]),
                digest: None,
                content: Content::Tls(bytes),
                more: false,
                whole: true,
            }),
            _ => None,
        }
    }

    pub(super) fn opcode(&self) -> Option<u8> {
        Some(match self.content {
            Content::Request { .. } => REQUEST,
            Content::Response { opcode, .. } => opcode,
            Content::Notification { .. } => NOTIFICATION,
            Content::Other(_) | Content::Tls(_) => return None,
        })
    }

    pub(super) fn function(&self) -> Option<u16> {
        match self.content {
            Content::Request { function, .. } | Content::Response { function, .. } => Some(function),
            _ => None,
        }
    }

    pub(super) fn sequence(&self) -> Option<u16> {
        match self.content {
            Content::Request { sequence, .. } | Content::Response { sequence, .. } => Some(sequence),
            _ => None,
        }
    }

    fn session(&self) -> Option<u32> {
        if let Content::Request { session, .. } = self.content { Some(session) } else { None }
    }

    fn flags(&self) -> Option<u8> {
        match self.content {
            Content::Request { flags, .. } | Content::Response { flags, .. } => Some(flags),
            _ => None,
        }
    }

    fn data(&self) -> &'a [u8] {
        match self.content {
            Content::Request { data, .. } | Content::Response { data, .. } | Content::Notification { data, .. } => data,
            Content::Other(data) | Content::Tls(data) => data,
        }
    }

    /// Is an answer to be waited for?
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.content, Content::Request { flags, .. } if flags & UNANSWERED == 0)
    }

    /// The object that a request is about: it comes first.
    fn object(&self) -> Option<u32> {
        match self.content {
            Content::Request { data, .. } => data.first_chunk().map(|four| u32::from_be_bytes(*four)),
            _ => None,
        }
    }

    fn is_encrypted(&self) -> bool {
        matches!(self.content, Content::Tls(_))
    }

    /// The attribute that one variable is set in, and its value where that is a number.
    fn set_variable(&self) -> Option<(u32, Option<u32>)> {
        if self.function() != Some(function::SET_VARIABLE) {
            return None;
        }
        let Content::Request { data, .. } = self.content else { return None };
        // How many addresses: one.
        let rest = data.get(4..)?.strip_prefix(&[1])?;
        let (attribute, rest) = number(rest)?;
        let value = match rest {
            [0, kind, value @ ..] => match kind {
                1 | 2 | 6 => value.first().map(|byte| (*byte).into()),
                3 | 7 => value.first_chunk().map(|two| u16::from_be_bytes(*two).into()),
                4 | 8 => number(value).map(|(number, _)| number),
                _ => None,
            },
            _ => None,
        };
        Some((attribute, value))
    }
}

fn content(data: &[u8]) -> Option<Content<'_>> {
    let word = |at: usize| data.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two));
    let dword = |at: usize| data.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four));
    Some(match *data.first()? {
        REQUEST => Content::Request {
            function: word(3)?,
            sequence: word(7)?,
            session: dword(9)?,
            flags: *data.get(13)?,
            data: data.get(14..)?,
        },
        opcode @ (RESPONSE | RESPONSE_2) => Content::Response {
            opcode,
            function: word(3)?,
            sequence: word(7)?,
            flags: *data.get(9)?,
            data: data.get(10..)?,
        },
        NOTIFICATION => Content::Notification { subscription: dword(1)?, data: data.get(5..)? },
        _ => return None,
    })
}

/// A number of variable length: seven bits a byte, the highest bit set in all but the last.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value = value << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// Do these bytes begin a PDU? The trailer that repeats the version is no chance.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    let &[PROTOCOL_ID, version @ (1..=3 | 0xfe | 0xff), l1, l0, ref rest @ ..] = bytes else {
        return match bytes {
            [PROTOCOL_ID] | [PROTOCOL_ID, 1..=3 | 0xfe | 0xff] | [PROTOCOL_ID, 1..=3 | 0xfe | 0xff, _] => Probe::Maybe,
            _ => Probe::No,
        };
    };
    match rest.get(usize::from(u16::from_be_bytes([l1, l0]))..) {
        Some(trailer) if trailer == [PROTOCOL_ID, version, 0, 0] => Probe::Certain,
        Some([]) | None => Probe::Maybe,
        Some(_) => Probe::No,
    }
}

/// The way that a PDU of these bytes goes.
pub(super) fn way(bytes: &[u8]) -> Option<Direction> {
    Some(match Pdu::read(bytes, false)?.opcode()? {
        REQUEST => Direction::ToServer,
        _ => Direction::ToClient,
    })
}

/// A PDU with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) pdu: Pdu<'a>,
    pub(super) request: Option<Pdu<'a>>,
    pub(super) direction: Direction,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

impl Record for Message<'_> {
    fn protocol(&self) -> &'static Protocol {
        &PLUS
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        let pdu = &self.pdu;
        match pdu.content {
            Content::Tls(_) => return tree.flag("encrypted", true),
            _ => tree.unsigned("version", pdu.version.into()),
        }
        let name = |names, value: Option<u64>| value.and_then(|value| name_of(names, value));
        if let Some(opcode) = name(names::OPCODES, pdu.opcode().map(u64::from)) {
            tree.text("opcode", opcode);
        }
        if let Some(function) = pdu.function() {
            tree.unsigned("function_code", function.into());
            tree.text("function", name(names::PLUS_FUNCTIONS, Some(function.into())).unwrap_or("unknown"));
        }
        if let Some(sequence) = pdu.sequence() {
            tree.unsigned("sequence", sequence.into());
        }
        if let Some(session) = self.session() {
            tree.unsigned("session", session.into());
        }
        if let Some(object) = self.object() {
            tree.unsigned("object", object.into());
        }
        if let Content::Notification { subscription, .. } = pdu.content {
            tree.unsigned("subscription", subscription.into());
        }
        tree.flag("integrity", pdu.digest.is_some());
        tree.unsigned("length", pdu.length.into());
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    fn pairing(&self) -> Pairing {
        self.pairing
    }

    fn operation(&self) -> Option<Operation> {
        self.asked().and_then(|request| operation(&request))
    }

    fn points(&self, out: &mut VisitPoints<'_>) {
        let Some(request) = self.asked() else { return };
        let Some(object) = request.object().filter(|_| operation(&request).is_some()) else { return };
        match request.set_variable() {
            Some((attribute, value)) => {
                let value = value.map(|value| Value::Unsigned(value.into()));
                out(Point { target: format_args!("object {object} attribute {attribute}"), value });
            }
            // Symbols are addressed below object 0.
            None if object == 0 => {}
            None => out(Point { target: format_args!("object {object}"), value: None }),
        }
    }

    fn facts(&self, out: &mut VisitFacts<'_>) {
        if matches!(self.pdu.content, Content::Response { .. }) && self.direction == Direction::ToClient {
            facts(&self.pdu, out);
        }
    }
}

impl<'a> Message<'a> {
    /// The request: the message itself or what it answers.
    fn asked(&self) -> Option<Pdu<'a>> {
        if matches!(self.pdu.content, Content::Request { .. }) { Some(self.pdu) } else { self.request }
    }

    fn session(&self) -> Option<u32> {
        self.asked().and_then(|request| request.session())
    }

    fn object(&self) -> Option<u32> {
        self.asked().and_then(|request| request.object())
    }
}

fn operation(request: &Pdu<'_>) -> Option<Operation> {
    use function::*;
    let object = request.object()?;
    Some(match request.function()? {
        EXPLORE | GET_VARIABLE | GET_LINK | GET_MULTI_VARIABLES | GET_VAR_SUBSTREAMED | GET_VARIABLES_ADDRESS => {
            Operation::Read
        }
        SET_VARIABLE | SET_VAR_SUBSTREAMED | SET_MULTI_VARIABLES => match request.set_variable() {
            Some((MODE_REQUEST, Some(MODE_STOP))) if object == EXECUTION_UNIT => Operation::Stop,
            Some((MODE_REQUEST, Some(MODE_RUN))) if object == EXECUTION_UNIT => Operation::Start,
            // The session's own settings.
            _ if COMMUNICATION.contains(&object) || Some(object) == request.session() => return None,
            _ => Operation::Write,
        },
        CREATE_OBJECT if object == SESSIONS => Operation::Authenticate,
        CREATE_OBJECT | DELETE_OBJECT if PROGRAM.contains(&object) => Operation::Program,
        _ => return None,
    })
}

/// Who the device says to be, when a session begins or its identification is read.
fn facts(pdu: &Pdu<'_>, out: &mut VisitFacts<'_>) {
    let data = pdu.data();
    let mut fact = |kind, value: Value<'_>| out(Fact { of: End::Server, kind, value });
    if pdu.function() == Some(function::CREATE_OBJECT)
        && let Some(at) = memmem::find(data, &DEVICE)
        && let Some((length, text)) = data.get(at + DEVICE.len()..).and_then(number)
        && let Some(text) = text.get(..length as usize)
    {
        // A number, order number, version.
        let mut parts = text.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii);
        if let (Some(order), Some(version)) = (parts.next(), parts.next())
            && order.starts_with(b"6ES7")
        {
            fact(FactKind::Vendor, Value::Text("Siemens"));
            fact(FactKind::Model, Value::Bytes(order));
            fact(FactKind::Firmware, Value::Bytes(version));
        }
    }
    if pdu.function() == Some(function::GET_VAR_SUBSTREAMED)
        && let Some(at) = memmem::find(data, &IDENTIFICATION)
        && let Some(&identification) = data.get(at + IDENTIFICATION.len()..).and_then(<[u8]>::first_chunk::<44>)
    {
        // Vendor, order number, serial number, hardware, software.
        let (vendor, rest) = identification.split_at(2);
        let (order, rest) = rest.split_at(20);
        let (serial, versions) = rest.split_at(16);
        if vendor == [0x00, 0x2a] {
            fact(FactKind::Vendor, Value::Text("Siemens"));
        }
        fact(FactKind::Model, Value::Bytes(order.trim_ascii()));
        fact(FactKind::Serial, Value::Bytes(serial.trim_ascii()));
        if let [h1, h0, kind, major, minor, patch] = *versions {
            let hardware = u16::from_be_bytes([h1, h0]);
            fact(FactKind::Hardware, Value::Text(Line::<8>::of(format_args!("{hardware}")).as_str()));
            let letter = char::from(kind);
            let firmware = Line::<20>::of(format_args!("{letter}{major}.{minor}.{patch}"));
            fact(FactKind::Firmware, Value::Text(firmware.as_str()));
        }
    }
}

fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

crate::fields! {
    /// What a rule can ask of a PDU of S7comm-plus.
    pub(super) static FIELDS, visit(message: &Message<'_>, out) {
        version: Unsigned { bits: 8, names: names::VERSIONS }, Optional, "Version in the header; none within TLS"
            => if !message.pdu.is_encrypted() { out(Value::Unsigned(message.pdu.version.into())) };
        opcode: Unsigned { bits: 8, names: names::OPCODES }, Optional,
            "Opcode; none of later parts of a message, of system events and within TLS"
            => unsigned(message.pdu.opcode(), out);
        function: Unsigned { bits: 16, names: names::PLUS_FUNCTIONS }, Optional, "Function of a request or response"
            => unsigned(message.pdu.function(), out);
        sequence: Unsigned { bits: 16, names: &[] }, Optional, "Number that a request and its response share"
            => unsigned(message.pdu.sequence(), out);
        session: Unsigned { bits: 32, names: &[] }, Optional, "Session of the request"
            => unsigned(message.session(), out);
        transport_flags: Unsigned { bits: 8, names: &[] }, Optional, "Transport flags; 0x40: no answer is expected"
            => unsigned(message.pdu.flags(), out);
        object: Unsigned { bits: 32, names: &[] }, Optional, "Object that the request is about"
            => unsigned(message.object(), out);
        attribute: Unsigned { bits: 32, names: &[] }, Optional, "Attribute that a single variable is set in"
            => unsigned(message.asked().and_then(|request| request.set_variable()).map(|(attribute, _)| attribute), out);
        subscription: Unsigned { bits: 32, names: &[] }, Optional, "Subscription that a notification belongs to"
            => if let Content::Notification { subscription, .. } = message.pdu.content {
                out(Value::Unsigned(subscription.into()));
            };
        integrity: Flag, One, "Has the PDU a digest?" => out(Value::Flag(message.pdu.digest.is_some()));
        more_follows: Flag, One, "Is the message continued in the next PDU?" => out(Value::Flag(message.pdu.more));
        encrypted: Flag, One, "Is it a record of TLS?" => out(Value::Flag(message.pdu.is_encrypted()));
        length: Unsigned { bits: 16, names: &[] }, One, "Length in the header" => out(Value::Unsigned(message.pdu.length.into()));
        data: Bytes, One, "Everything after the fixed part of the opcode" => out(Value::Bytes(message.pdu.data()));
    }
}
