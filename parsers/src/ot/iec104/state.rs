//! What a flow remembers: sequence numbers, activations that wait for their confirmation, selections.

use super::apci::{Apdu, Control, HEADER, is_confirmation};
use super::asdu::{Asdu, Sizes, Suited};
use super::element::{Datum, SELECT, VALUE};
use super::record::{Message, number_of};
use super::{
    ACKNOWLEDGED_UNSENT, EXECUTE_DIFFERS, EXECUTE_WITHOUT_SELECT, INVALID_COMMON_ADDRESS, INVALID_LENGTH, INVALID_TIME,
    INVALID_VALUE, NO_OBJECTS, PROTOCOL, SEQUENCE_LOST, SEQUENCE_REPEATED, TRANSFER_STOPPED, UNEXPECTED_CAUSE,
    UNKNOWN_CAUSE, UNKNOWN_TYPE, UNSOLICITED_CONFIRMATION, WRONG_DIRECTION, names,
};
use crate::dissector::{Anomaly, Direction, Dissector, Envelope, Pairing, Sink};
use crate::findings::Findings;
use crate::limits::{Bound, Kept, Limits};
use crate::pairing::{Outstanding, Request};
use crate::time::Timestamp;

/// Sequence numbers are counted modulo this (104 §5.1).
const MODULUS: u16 = 1 << 15;

mod cause {
    pub(super) const REQUEST: u8 = 5;
    pub(super) const ACTIVATION: u8 = 6;
    pub(super) const ACTIVATION_CONFIRMATION: u8 = 7;
    pub(super) const DEACTIVATION: u8 = 8;
    pub(super) const DEACTIVATION_CONFIRMATION: u8 = 9;
    pub(super) const ACTIVATION_TERMINATION: u8 = 10;
    pub(super) const UNKNOWN_TYPE: u8 = 44;
    pub(super) const UNKNOWN_OBJECT: u8 = 47;
}

const READ_COMMAND: u8 = 102;

/// What an answer has in common with its request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    /// A control function of the U format, by its activation.
    Function { from: Direction, function: u8 },
    /// An activation or deactivation; a read command.
    Activation { from: Direction, what: Target, deactivation: bool },
}

/// A type and the object that an ASDU of it is about.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Target {
    type_id: u8,
    common: u16,
    object: u32,
}

/// A point that is operated by select and execute.
struct Selection {
    common: u16,
    object: u32,
    /// The value that is selected now.
    selected: Option<f64>,
}

/// The state of a flow.
pub(super) struct State {
    suited: Suited,
    /// The next send sequence number of each direction.
    next: [Option<u16>; 2],
    stopped: bool,
    /// Number of the last transaction.
    last: u64,
    waiting: Outstanding<Key>,
    /// Activations that were confirmed and are not terminated yet.
    active: Outstanding<Key>,
    selections: Vec<Selection>,
    most_selections: usize,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let Some(apdu) = Apdu::read(bytes) else {
            return sink.anomaly(envelope, &PROTOCOL, Anomaly { kind: INVALID_LENGTH, offset: bytes.len() });
        };
        let mut findings = Findings::NONE;
        apdu.check(&mut findings);
        match apdu.control {
            Control::U { function } => self.unnumbered(envelope, bytes, apdu, function, findings, sink),
            Control::S { receive } => {
                self.acknowledge(envelope.direction, receive, &mut findings);
                let message = self.message(apdu);
                sink.message(envelope, &message, findings.as_slice());
            }
            Control::I { send, receive } => {
                self.number(envelope.direction, send, &mut findings);
                self.acknowledge(envelope.direction, receive, &mut findings);
                if self.stopped {
                    findings.push(TRANSFER_STOPPED, 2);
                }
                self.information(envelope, bytes, apdu, findings, sink);
            }
        }
    }

    fn gap(&mut self, direction: Direction) {
        self.next[direction.index()] = None;
        // The start of transfer, or a select, may be among what was lost.
        self.stopped = false;
        self.selections.clear();
    }

    fn kept(&self) -> Kept {
        let (waiting, active) = (self.waiting.kept(), self.active.kept());
        Kept { requests: waiting.requests + active.requests, ..waiting }
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        let sizes = self.suited.sizes();
        self.waiting.expire(until, |request| unanswered(request, sizes, sink));
    }
}

fn unanswered(request: &Request<'_, Key>, sizes: Sizes, sink: &mut dyn Sink) {
    let Some(apdu) = Apdu::read(request.bytes) else { return };
    let message = Message {
        apdu,
        asdu: Asdu::read(apdu.asdu, sizes),
        transaction: request.transaction,
        pairing: Pairing::Unanswered,
        selected: None,
    };
    sink.transaction(&request.envelope, &message);
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            suited: Suited::new(limits.iec104_sizes),
            next: [None; 2],
            stopped: false,
            last: 0,
            waiting: Outstanding::new(limits),
            active: Outstanding::new(limits),
            selections: Vec::new(),
            most_selections: usize::from(limits.requests.max(1)),
        }
    }

    /// A message with a transaction of its own.
    fn message<'a>(&mut self, apdu: Apdu<'a>) -> Message<'a> {
        self.last += 1;
        Message { apdu, asdu: None, transaction: self.last, pairing: Pairing::None, selected: None }
    }

    fn keep(&mut self, key: Key, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let sizes = self.suited.sizes();
        self.waiting.keep(key, self.last, envelope, bytes, |bound, request| {
            sink.bounded(bound);
            unanswered(request, sizes, sink);
        });
    }

    /// Takes the transaction of the request that `message` answers, if that waits.
    fn pair(message: &mut Message<'_>, request: Option<Request<'_, Key>>) -> bool {
        if let Some(request) = request {
            message.transaction = request.transaction;
            message.pairing = Pairing::Answered(request.envelope.timestamp);
        }
        request.is_some()
    }

    fn unnumbered(
        &mut self,
        envelope: &Envelope,
        bytes: &[u8],
        apdu: Apdu<'_>,
        function: u8,
        mut findings: Findings,
        sink: &mut dyn Sink,
    ) {
        match function {
            names::STARTDT_ACT | names::STARTDT_CON => self.stopped = false,
            names::STOPDT_CON => self.stopped = true,
            _ => {}
        }
        // Either side tests; only the controlling station starts and stops.
        let to_server = match function {
            names::STARTDT_ACT | names::STOPDT_ACT => Some(true),
            names::STARTDT_CON | names::STOPDT_CON => Some(false),
            _ => None,
        };
        if to_server.is_some_and(|to_server| to_server != (envelope.direction == Direction::ToServer)) {
            findings.push(WRONG_DIRECTION, 2);
        }
        let mut message = self.message(apdu);
        if is_confirmation(function) {
            let key = Key::Function { from: envelope.direction.opposite(), function: function / 2 };
            if !Self::pair(&mut message, self.waiting.answered(key)) {
                findings.push(UNSOLICITED_CONFIRMATION, 2);
            }
            sink.message(envelope, &message, findings.as_slice());
            sink.transaction(envelope, &message);
        } else {
            sink.message(envelope, &message, findings.as_slice());
            self.keep(Key::Function { from: envelope.direction, function }, envelope, bytes, sink);
        }
    }

    fn number(&mut self, direction: Direction, send: u16, findings: &mut Findings) {
        let next = &mut self.next[direction.index()];
        if let Some(expected) = *next
            && send != expected
        {
            let ahead = send.wrapping_sub(expected) % MODULUS;
            findings.push(if ahead < MODULUS / 2 { SEQUENCE_LOST } else { SEQUENCE_REPEATED }, 2);
        }
        *next = Some((send + 1) % MODULUS);
    }

    fn acknowledge(&self, direction: Direction, receive: u16, findings: &mut Findings) {
        if let Some(next) = self.next[direction.opposite().index()]
            && next.wrapping_sub(receive) % MODULUS >= MODULUS / 2
        {
            findings.push(ACKNOWLEDGED_UNSENT, 4);
        }
    }

    fn information(
        &mut self,
        envelope: &Envelope,
        bytes: &[u8],
        apdu: Apdu<'_>,
        mut findings: Findings,
        sink: &mut dyn Sink,
    ) {
        let mut message = self.message(apdu);
        message.asdu = self.suited.read(apdu.asdu);
        let Some(asdu) = message.asdu else {
            if !findings.has(INVALID_LENGTH) {
                findings.push(INVALID_LENGTH, bytes.len());
            }
            sink.message(envelope, &message, findings.as_slice());
            return sink.transaction(envelope, &message);
        };
        check(&asdu, &mut findings);
        let what = Target {
            type_id: asdu.type_id,
            common: asdu.common_address,
            object: asdu.objects().next().map_or(0, |object| object.address),
        };
        let key = |from, deactivation| Key::Activation { from, what, deactivation };
        let asks = key(envelope.direction, asdu.cause == cause::DEACTIVATION);
        let from = envelope.direction.opposite();
        let answers = key(from, asdu.cause == cause::DEACTIVATION_CONFIRMATION);
        match asdu.cause {
            _ if !is_activated(asdu.type_id) => {
                let what = Target { type_id: READ_COMMAND, ..what };
                if asdu.cause == cause::REQUEST {
                    let read = Key::Activation { from, what, deactivation: false };
                    Self::pair(&mut message, self.waiting.answered(read));
                }
            }
            cause::REQUEST | cause::ACTIVATION | cause::DEACTIVATION => {
                message.selected = self.select(&asdu, what, &mut findings, sink);
                sink.message(envelope, &message, findings.as_slice());
                return self.keep(asks, envelope, bytes, sink);
            }
            cause::ACTIVATION_CONFIRMATION | cause::DEACTIVATION_CONFIRMATION => {
                if !Self::pair(&mut message, self.waiting.answered(answers)) {
                    findings.push(UNSOLICITED_CONFIRMATION, HEADER + 2);
                }
                self.confirm(&asdu, what, &message, answers);
            }
            cause::ACTIVATION_TERMINATION => {
                Self::pair(&mut message, self.active.answered(answers));
            }
            cause::UNKNOWN_TYPE..=cause::UNKNOWN_OBJECT => {
                self.deselect(what);
                let deactivation = Key::Activation { from, what, deactivation: true };
                let refused = |request: Request<'_, Key>| request.key == answers || request.key == deactivation;
                Self::pair(&mut message, self.waiting.take_where(refused));
            }
            _ => {}
        }
        sink.message(envelope, &message, findings.as_slice());
        sink.transaction(envelope, &message);
    }

    /// A positive confirmation of what is terminated later is remembered; a negative one ends a selection.
    fn confirm(&mut self, asdu: &Asdu<'_>, what: Target, message: &Message<'_>, key: Key) {
        if asdu.negative || asdu.cause == cause::DEACTIVATION_CONFIRMATION {
            return self.deselect(what);
        }
        if let Pairing::Answered(since) = message.pairing
            && matches!(asdu.type_id, 45..=51 | 58..=64 | 100 | 101)
            && command(asdu).is_none_or(|command| !command.select)
        {
            let asked = Envelope { direction: Direction::ToServer, timestamp: since, datagram: false };
            self.active.keep(key, message.transaction, &asked, &[], |_, _| {});
        }
    }

    /// Remembers a selection, or finds that of an execute command. Gives whether there was one.
    fn select(&mut self, asdu: &Asdu<'_>, what: Target, findings: &mut Findings, sink: &mut dyn Sink) -> Option<bool> {
        let command = command(asdu)?;
        if asdu.cause != cause::ACTIVATION {
            self.deselect(what);
            return None;
        }
        let known = self.selections.iter().position(|point| (point.common, point.object) == (what.common, what.object));
        if command.select {
            if known.is_none() && self.selections.len() >= self.most_selections {
                self.selections.remove(0);
                sink.bounded(Bound::Requests);
            }
            match known.and_then(|at| self.selections.get_mut(at)) {
                Some(point) => point.selected = Some(command.value),
                None => self.selections.push(Selection {
                    common: what.common,
                    object: what.object,
                    selected: Some(command.value),
                }),
            }
            return None;
        }
        let offset = HEADER + asdu.offset();
        let Some(point) = known.and_then(|at| self.selections.get_mut(at)) else { return Some(false) };
        let selected = point.selected.take();
        match selected {
            None => findings.push(EXECUTE_WITHOUT_SELECT, offset),
            Some(value) if value.to_bits() != command.value.to_bits() => findings.push(EXECUTE_DIFFERS, offset),
            Some(_) => {}
        }
        Some(selected.is_some())
    }

    fn deselect(&mut self, what: Target) {
        for point in &mut self.selections {
            if (point.common, point.object) == (what.common, what.object) {
                point.selected = None;
            }
        }
    }
}

/// Types that are activated and confirmed.
fn is_activated(type_id: u8) -> bool {
    matches!(type_id, 45..=64 | 100..=113)
}

/// What a command commands.
struct Command {
    select: bool,
    value: f64,
}

/// `None` of what has no select bit.
fn command(asdu: &Asdu<'_>) -> Option<Command> {
    if !matches!(asdu.type_id, 45..=50 | 58..=63) {
        return None;
    }
    let mut command = Command { select: false, value: 0.0 };
    asdu.objects().next()?.each(&mut |name, datum| match (name, datum) {
        (SELECT, Datum::Flag(select)) => command.select = select,
        (VALUE, datum) => command.value = number_of(datum).unwrap_or_default(),
        _ => {}
    });
    Some(command)
}

/// What the standard does not allow in an ASDU.
fn check(asdu: &Asdu<'_>, findings: &mut Findings) {
    if crate::field::name_of(names::TYPES, asdu.type_id.into()).is_none() {
        findings.push(UNKNOWN_TYPE, HEADER);
    }
    if !asdu.has_known_cause() {
        findings.push(UNKNOWN_CAUSE, HEADER + 2);
    } else if !asdu.has_expected_cause() {
        findings.push(UNEXPECTED_CAUSE, HEADER + 2);
    }
    if asdu.common_address == 0 {
        findings.push(INVALID_COMMON_ADDRESS, HEADER + 2 + asdu.sizes.cause());
    }
    if asdu.layout().is_some() {
        if asdu.count == 0 {
            findings.push(NO_OBJECTS, HEADER + 1);
        } else if !asdu.fits() {
            findings.push(INVALID_LENGTH, HEADER + asdu.offset() + asdu.body.len());
        }
    }
    let mut fault = None;
    for object in asdu.objects() {
        let mut time = None;
        object.each(&mut |name, datum| match (name, datum) {
            (VALUE, Datum::Unsigned(0 | 3)) if matches!(asdu.type_id, 46 | 47 | 59 | 60) => {
                fault = fault.or(Some((INVALID_VALUE, object.offset)));
            }
            ("interrogation", Datum::Named(0..=19 | 37..=63, _)) => {
                fault = fault.or(Some((INVALID_VALUE, object.offset)));
            }
            ("time", Datum::Time(stated)) => time = Some(stated),
            ("year_from_1900", Datum::Flag(true)) => fault = fault.or(Some((INVALID_TIME, object.offset))),
            ("time_invalid", Datum::Flag(true)) => time = None,
            _ => {}
        });
        if time.is_some_and(|time| !time.is_valid()) {
            fault = fault.or(Some((INVALID_TIME, object.offset)));
        }
        if fault.is_some() {
            break;
        }
    }
    if let Some((kind, offset)) = fault {
        findings.push(kind, HEADER + asdu.offset() + offset);
    }
}
