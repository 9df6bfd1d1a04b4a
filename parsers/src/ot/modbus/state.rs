//! What a flow remembers: the requests that wait for their answers.

use super::check::findings;
use super::message::{Message, Transport};
use super::pdu::EXCEPTION;
use super::record::Exchange;
use super::{FLOODED, PROTOCOL, UNSOLICITED_RESPONSE, VALUE_MISMATCH, names};
use crate::dissector::{Direction, Dissector, Envelope, Pairing, Sink};
use crate::limits::Limits;
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

/// A request that waits, as its raw bytes: reading them again is cheaper than a second form of every record.
struct Outstanding {
    transaction: u64,
    envelope: Envelope,
    /// None for RTU.
    id: Option<u16>,
    unit: u8,
    raw: u8,
    bytes: Vec<u8>,
}

impl Outstanding {
    fn message(&self, transport: Transport) -> Option<Message<'_>> {
        Message::new(transport, &self.bytes, Direction::ToServer).ok()
    }
}

/// What was answered last, by which a repeated answer is known.
struct Answered {
    transaction: u64,
    timestamp: Timestamp,
    id: Option<u16>,
    unit: u8,
    raw: u8,
}

/// The state of a flow.
pub(super) struct State {
    transport: Transport,
    /// Requests that can be outstanding; beyond, the oldest is given up.
    most_waiting: usize,
    /// Number of the last transaction.
    last: u64,
    /// The first `waiting` are outstanding, oldest first; those behind keep their buffers for the next.
    slots: Vec<Outstanding>,
    waiting: usize,
    answered: Option<Answered>,
    /// Requests are given up for want of room since the last time none waited.
    flooded: bool,
    /// Bytes were lost: without transaction identifiers nothing says any more what an answer belongs to.
    lost: bool,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        if self.lost {
            self.lost = false;
            self.give_up(self.waiting, sink);
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

    fn finish(&mut self, _: Timestamp, sink: &mut dyn Sink) {
        self.give_up(self.waiting, sink);
    }
}

impl State {
    pub(super) fn new(transport: Transport, limits: &Limits) -> Self {
        let most_waiting = usize::from(limits.requests.max(1));
        Self {
            transport,
            most_waiting,
            last: 0,
            slots: Vec::new(),
            waiting: 0,
            answered: None,
            flooded: false,
            lost: false,
        }
    }

    fn outstanding(&self) -> &[Outstanding] {
        self.slots.get(..self.waiting).unwrap_or_default()
    }

    fn request(&mut self, envelope: &Envelope, bytes: &[u8], message: &Message<'_>, sink: &mut dyn Sink) {
        let mut findings = findings(message, None);
        if let Some(at) = self.superseded(message, bytes) {
            let before = &self.slots[at];
            if is_repeat(envelope, before.envelope.timestamp) && kept(bytes) == before.bytes {
                let record = Exchange::lone(message, before.transaction);
                return sink.message(envelope, &record, findings.as_slice());
            }
            self.remove(at);
            self.log_unanswered(sink);
        }
        if self.waiting >= self.most_waiting {
            let oldest = self.outstanding().first().map(|oldest| oldest.envelope.timestamp);
            let recent = oldest.is_some_and(|oldest| envelope.timestamp.since(oldest) < FLOOD_WINDOW_NS);
            if recent && !std::mem::replace(&mut self.flooded, true) {
                findings.put_first(FLOODED);
            }
            self.give_up(1, sink);
        }
        self.last += 1;
        sink.message(envelope, &Exchange::lone(message, self.last), findings.as_slice());
        self.keep(envelope, message, bytes);
        let write = names::access(message.function()).is_some_and(|access| access.write);
        if self.transport == Transport::Rtu && message.unit == BROADCAST && write {
            self.remove(self.waiting - 1);
            self.log_unanswered(sink);
        }
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
        let Some(slot) = self.slots.get(self.waiting) else { return };
        let request = slot.message(self.transport);
        let record = Exchange {
            message,
            request: request.as_ref(),
            transaction: slot.transaction,
            pairing: Pairing::Answered(slot.envelope.timestamp),
        };
        let findings = findings(message, request.as_ref());
        sink.message(envelope, &record, findings.as_slice());
        sink.transaction(envelope, &record);
        self.answered = Some(Answered {
            transaction: slot.transaction,
            timestamp: envelope.timestamp,
            id: id(message),
            unit: message.unit,
            raw: message.raw,
        });
    }

    /// A response to nothing: an answer seen twice, or one whose request was not seen.
    fn unsolicited(&mut self, envelope: &Envelope, message: &Message<'_>, sink: &mut dyn Sink) {
        let mut findings = findings(message, None);
        let repeated = self.answered.as_ref().filter(|before| {
            is_repeat(envelope, before.timestamp)
                && (before.id, before.unit, before.raw) == (id(message), message.unit, message.raw)
        });
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
    fn superseded(&self, message: &Message<'_>, bytes: &[u8]) -> Option<usize> {
        self.outstanding().iter().position(|before| match id(message) {
            Some(id) => before.id == Some(id) && before.unit == message.unit,
            None => before.bytes == kept(bytes),
        })
    }

    /// The outstanding request that `message` answers.
    fn asked(&self, message: &Message<'_>) -> Option<usize> {
        let outstanding = self.outstanding();
        let Some(id) = id(message) else { return self.asked_in_order(message) };
        let same_id = |request: &Outstanding| request.id == Some(id);
        outstanding.iter().position(|request| same_id(request) && request.unit == message.unit).or_else(|| {
            // Some devices answer with a unit of their own; only without doubt is that an answer.
            let only = outstanding.iter().position(same_id)?;
            outstanding.iter().skip(only + 1).all(|request| !same_id(request)).then_some(only)
        })
    }

    /// The oldest request to the unit with the function, if possible one that the values suit.
    fn asked_in_order(&self, message: &Message<'_>) -> Option<usize> {
        let mut candidates = self.outstanding().iter().enumerate().filter_map(|(at, request)| {
            (request.unit == message.unit && request.raw & !EXCEPTION == message.function()).then_some((at, request))
        });
        let suits = |request: &Outstanding| {
            let request = request.message(self.transport);
            !findings(message, request.as_ref()).has(VALUE_MISMATCH)
        };
        let first = candidates.next()?;
        if suits(first.1) {
            return Some(first.0);
        }
        candidates.find(|candidate| suits(candidate.1)).or(Some(first)).map(|found| found.0)
    }

    fn keep(&mut self, envelope: &Envelope, message: &Message<'_>, bytes: &[u8]) {
        if self.waiting == self.slots.len() {
            self.slots.push(Outstanding {
                transaction: 0,
                envelope: *envelope,
                id: None,
                unit: 0,
                raw: 0,
                bytes: Vec::new(),
            });
        }
        let Some(slot) = self.slots.get_mut(self.waiting) else { return };
        slot.transaction = self.last;
        slot.envelope = *envelope;
        slot.id = id(message);
        slot.unit = message.unit;
        slot.raw = message.raw;
        slot.bytes.clear();
        slot.bytes.extend_from_slice(kept(bytes));
        self.waiting += 1;
    }

    /// Takes a request out of those outstanding; it lies in the first free slot then.
    fn remove(&mut self, at: usize) {
        if let Some(from) = self.slots.get_mut(at..self.waiting) {
            from.rotate_left(1);
            self.waiting -= 1;
        }
        self.flooded &= self.waiting > 0;
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
        let Some(slot) = self.slots.get(self.waiting) else { return };
        if let Some(message) = slot.message(self.transport) {
            sink.transaction(
                &slot.envelope,
                &Exchange { pairing: Pairing::Unanswered, ..Exchange::lone(&message, slot.transaction) },
            );
        }
    }
}

fn id(message: &Message<'_>) -> Option<u16> {
    message.mbap.map(|mbap| mbap.transaction)
}

fn kept(bytes: &[u8]) -> &[u8] {
    bytes.get(..MOST_KEPT).unwrap_or(bytes)
}

/// TCP delivers nothing twice; a datagram can be seen twice.
fn is_repeat(envelope: &Envelope, before: Timestamp) -> bool {
    envelope.datagram && envelope.timestamp.since(before) < REPEAT_WINDOW_NS
}
