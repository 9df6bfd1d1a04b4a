//! What a flow remembers: the requests that wait for their answers.

use super::check::findings;
use super::message::{MBAP, Message, Transport};
use super::pdu::{EXCEPTION, word};
use super::record::Exchange;
use super::{FLOODED, PROTOCOL, UNSOLICITED_RESPONSE, VALUE_MISMATCH, names};
use crate::dissector::{Direction, Dissector, Envelope, Pairing, Sink};
use crate::findings::Findings;
use crate::limits::{Bound, Kept, Limits};
use crate::requests::{Request, Requests};
use crate::time::Timestamp;

/// Bytes kept of a request: the longest of the standard. Only UMAS exceeds it, and loses the end of its data in the
/// logged transaction.
const MOST_KEPT: usize = 260;
/// Giving up a request that waited longer than this is no flood: its answer was lost.
const FLOOD_WINDOW_NS: u64 = 10_000_000_000;
/// The same datagram within this time is the same message seen twice (a mirrored port, a repeated frame).
const REPEAT_WINDOW_NS: u64 = 100_000_000;
/// Serial line address that all units listen to; a write to it is not answered (MODBUS over Serial Line V1.02 §2.1).
const BROADCAST: u8 = 0;

/// By what an answer finds its request, and a repeated answer the one before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    /// None for RTU.
    id: Option<u16>,
    unit: u8,
    /// The function code as it stands on the wire.
    raw: u8,
}

impl Key {
    fn of(message: &Message<'_>) -> Self {
        Self { id: message.mbap.map(|mbap| mbap.transaction), unit: message.unit, raw: message.raw }
    }

    /// That of a request that waits.
    fn read(transport: Transport, bytes: &[u8]) -> Option<Self> {
        let (id, pdu) = match transport {
            Transport::Mbap => (Some(word(bytes, 0)?), bytes.get(MBAP..)?),
            Transport::Rtu => (None, bytes),
        };
        let &[unit, raw, ..] = pdu else { return None };
        Some(Self { id, unit, raw })
    }
}

/// What was answered last, by which a repeated answer is known.
struct Answered {
    transaction: u64,
    timestamp: Timestamp,
    key: Key,
}

/// The state of a flow.
pub(super) struct State {
    transport: Transport,
    /// The flow is one of datagrams.
    datagram: bool,
    /// Requests are given up for want of room since the last time none waited.
    flooded: bool,
    /// Bytes were lost: without transaction identifiers nothing says any more what an answer belongs to.
    lost: bool,
    /// Number of the last transaction.
    last: u64,
    waiting: Requests,
    /// For datagrams, the only ones to come twice.
    answered: Option<Box<Answered>>,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        self.datagram = envelope.datagram;
        if self.lost {
            self.lost = false;
            self.give_up(self.waiting.len(), sink);
        }
        match Message::new(self.transport, message, envelope.direction) {
            Ok(request) if request.request => self.request(envelope, message, &request, sink),
            Ok(response) => self.response(envelope, &response, sink),
            Err(anomaly) => sink.anomaly(envelope, &PROTOCOL, anomaly),
        }
    }

    fn gap(&mut self, _: Direction) {
        self.lost = self.transport == Transport::Rtu;
    }

    fn kept(&self) -> Kept {
        self.waiting.kept()
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        while self.waiting.has_made(until) {
            self.give_up(1, sink);
        }
    }
}

impl State {
    pub(super) fn new(transport: Transport, limits: &Limits) -> Self {
        Self {
            transport,
            datagram: false,
            flooded: false,
            lost: false,
            last: 0,
            waiting: Requests::new(limits),
            answered: None,
        }
    }

    fn request(&mut self, envelope: &Envelope, bytes: &[u8], message: &Message<'_>, sink: &mut dyn Sink) {
        let mut findings = findings(message, None);
        if let Some((at, before)) = self.superseded(message, bytes) {
            if is_repeat(envelope, before.timestamp) && kept(bytes) == before.bytes {
                let record = Exchange::lone(message, before.transaction);
                return sink.message(envelope, &record, findings.as_slice());
            }
            self.remove(at);
            self.log_unanswered(sink);
        }
        while let Some(bound) = self.waiting.bound(kept(bytes).len()) {
            self.make_room(envelope, bound, &mut findings, sink);
        }
        self.last += 1;
        sink.message(envelope, &Exchange::lone(message, self.last), findings.as_slice());
        self.waiting.push(self.last, envelope.timestamp, kept(bytes));
        let write = names::access(message.function()).is_some_and(|access| access.write);
        if self.transport == Transport::Rtu && message.unit == BROADCAST && write {
            self.remove(self.waiting.len() - 1);
            self.log_unanswered(sink);
        }
    }

    /// Gives up the oldest request because a bound bit. That is a flood, unless its answer was merely lost.
    fn make_room(&mut self, envelope: &Envelope, bound: Bound, findings: &mut Findings, sink: &mut dyn Sink) {
        sink.bounded(bound);
        let oldest = self.waiting.iter().next().map(|oldest| oldest.timestamp);
        let recent = oldest.is_some_and(|oldest| envelope.timestamp.since(oldest) < FLOOD_WINDOW_NS);
        if recent && !std::mem::replace(&mut self.flooded, true) {
            findings.put_first(FLOODED);
        }
        self.give_up(1, sink);
    }

    fn response(&mut self, envelope: &Envelope, message: &Message<'_>, sink: &mut dyn Sink) {
        let Some(at) = self.asked(message) else { return self.unsolicited(envelope, message, sink) };
        if self.transport == Transport::Rtu {
            // Answers come in order: what was asked before has got none.
            self.give_up(at, sink);
            self.remove(0);
        } else {
            self.remove(at);
        }
        let Some(asked) = self.waiting.removed() else { return };
        let request = read(self.transport, &asked);
        let record = Exchange {
            message,
            request: request.as_ref(),
            transaction: asked.transaction,
            pairing: Pairing::Answered(asked.timestamp),
        };
        let findings = findings(message, request.as_ref());
        sink.message(envelope, &record, findings.as_slice());
        sink.transaction(envelope, &record);
        if envelope.datagram {
            let answered =
                Answered { transaction: asked.transaction, timestamp: envelope.timestamp, key: Key::of(message) };
            match &mut self.answered {
                Some(before) => **before = answered,
                none => *none = Some(Box::new(answered)),
            }
        }
    }

    /// A response to nothing: an answer seen twice, or one whose request was not seen.
    fn unsolicited(&mut self, envelope: &Envelope, message: &Message<'_>, sink: &mut dyn Sink) {
        let mut findings = findings(message, None);
        let repeated = self
            .answered
            .as_ref()
            .filter(|before| is_repeat(envelope, before.timestamp) && before.key == Key::of(message));
        if let Some(before) = repeated {
            let record = Exchange::lone(message, before.transaction);
            return sink.message(envelope, &record, findings.as_slice());
        }
        findings.put_first(UNSOLICITED_RESPONSE);
        self.last += 1;
        let record = Exchange::lone(message, self.last);
        sink.message(envelope, &record, findings.as_slice());
        sink.transaction(envelope, &record);
    }

    /// The outstanding request that a new one takes the place of: of the same transaction and unit; for RTU, the same
    /// request sent again after a time-out.
    fn superseded(&self, message: &Message<'_>, bytes: &[u8]) -> Option<(usize, Request<'_>)> {
        let new = Key::of(message);
        self.waiting.iter().enumerate().find(|(_, before)| match new.id {
            Some(_) => self.key(before).is_some_and(|key| (key.id, key.unit) == (new.id, new.unit)),
            None => before.bytes == kept(bytes),
        })
    }

    fn key(&self, request: &Request<'_>) -> Option<Key> {
        Key::read(self.transport, request.bytes)
    }

    /// The outstanding request that `message` answers.
    fn asked(&self, message: &Message<'_>) -> Option<usize> {
        let answer = Key::of(message);
        if answer.id.is_none() {
            return self.asked_in_order(message);
        }
        let mut same_id = self.waiting.iter().enumerate().filter_map(|(at, request)| {
            let key = self.key(&request)?;
            (key.id == answer.id).then_some((at, key.unit == answer.unit))
        });
        let first = same_id.next()?;
        if first.1 {
            return Some(first.0);
        }
        // Some devices answer with a unit of their own; only without doubt is that an answer.
        let mut others = false;
        let exact = same_id.inspect(|_| others = true).find(|(_, same_unit)| *same_unit).map(|(at, _)| at);
        exact.or((!others).then_some(first.0))
    }

    /// The oldest request to the unit with the function, if possible one that the values suit.
    fn asked_in_order(&self, message: &Message<'_>) -> Option<usize> {
        let mut candidates = self.waiting.iter().enumerate().filter(|(_, request)| {
            self.key(request).is_some_and(|key| key.unit == message.unit && key.raw & !EXCEPTION == message.function())
        });
        let suits = |request: &Request<'_>| {
            let request = read(self.transport, request);
            !findings(message, request.as_ref()).has(VALUE_MISMATCH)
        };
        let first = candidates.next()?;
        if suits(&first.1) {
            return Some(first.0);
        }
        candidates.find(|candidate| suits(&candidate.1)).or(Some(first)).map(|found| found.0)
    }

    /// Takes a request out of those outstanding.
    fn remove(&mut self, at: usize) {
        self.waiting.remove(at);
        self.flooded &= !self.waiting.is_empty();
    }

    /// Gives up the oldest `count` requests.
    fn give_up(&mut self, count: usize, sink: &mut dyn Sink) {
        for _ in 0..count {
            self.remove(0);
            self.log_unanswered(sink);
        }
    }

    /// Logs the request that was just removed, at the time it was made.
    fn log_unanswered(&self, sink: &mut dyn Sink) {
        let Some(request) = self.waiting.removed() else { return };
        if let Some(message) = read(self.transport, &request) {
            let (timestamp, datagram) = (request.timestamp, self.datagram);
            let envelope = Envelope { direction: Direction::ToServer, timestamp, datagram };
            sink.transaction(
                &envelope,
                &Exchange { pairing: Pairing::Unanswered, ..Exchange::lone(&message, request.transaction) },
            );
        }
    }
}

fn read<'r>(transport: Transport, request: &Request<'r>) -> Option<Message<'r>> {
    Message::new(transport, request.bytes, Direction::ToServer).ok()
}

fn kept(bytes: &[u8]) -> &[u8] {
    bytes.get(..MOST_KEPT).unwrap_or(bytes)
}

/// TCP delivers nothing twice; a datagram can be seen twice.
fn is_repeat(envelope: &Envelope, before: Timestamp) -> bool {
    envelope.datagram && envelope.timestamp.since(before) < REPEAT_WINDOW_NS
}
