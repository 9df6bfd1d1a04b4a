//! What a flow remembers: the requests that wait for their responses.

use super::message::{HEADER, Message, Section, word};
use super::record::Exchange;
use super::{
    INVALID_OPCODE, MALFORMED_DATA, NOT_REQUEST, NOT_RESPONSE, PREFIX, QUESTION_MISMATCH, UNSOLICITED_RESPONSE,
    Z_FLAG_SET, name, names,
};
use crate::dissector::{Anomaly, Direction, Dissector, Envelope, Pairing, Protocol, Sink};
use crate::findings::Findings;
use crate::limits::{Bound, Kept, Limits};
use crate::requests::{Request, Requests};
use crate::time::Timestamp;

/// Octets kept of a request: more than any that is not an update needs.
const MOST_KEPT: usize = 512;

/// How messages belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Requests go to a server, which responds.
    Paired,
    /// Whoever knows responds, to all or from an address of its own.
    Multicast,
}

/// The state of a flow.
pub(super) struct State {
    protocol: &'static Protocol,
    flavour: Flavour,
    /// The flow is one of datagrams.
    datagram: bool,
    /// Requests are seen, and all that were are still known: a response without one is none's.
    complete: bool,
    /// The request that was answered last transfers a zone: its answer may take many messages.
    transfer: Option<u16>,
    /// Number of the last transaction.
    last: u64,
    waiting: Requests,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        self.datagram = envelope.datagram;
        let prefix = if envelope.datagram { 0 } else { PREFIX };
        let octets = bytes.get(prefix..).unwrap_or_default();
        let mut findings = Findings::NONE;
        let Some(message) = Message::read(octets, &mut findings) else {
            return sink.anomaly(envelope, self.protocol, Anomaly { kind: MALFORMED_DATA, offset: bytes.len() });
        };
        self.check(envelope, &message, &mut findings);
        self.last += 1;
        let record =
            Exchange { protocol: self.protocol, message: &message, transaction: self.last, pairing: Pairing::None };
        match (self.flavour, message.header.is_response()) {
            (Flavour::Multicast, _) => {
                sink.message(envelope, &record, findings.as_slice());
                sink.transaction(envelope, &record);
            }
            (Flavour::Paired, false) => {
                sink.message(envelope, &record, findings.as_slice());
                sink.transaction(envelope, &record);
                self.wait(envelope, octets, sink);
            }
            (Flavour::Paired, true) => {
                let pairing = self.answer(&message, &mut findings);
                let record = Exchange { pairing, ..record };
                sink.message(envelope, &record, findings.as_slice());
                sink.transaction(envelope, &record);
            }
        }
    }

    fn kept(&self) -> Kept {
        self.waiting.kept()
    }

    fn gap(&mut self, _: Direction) {
        self.complete = false;
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        while self.waiting.has_made(until) {
            self.give_up(0, sink);
        }
    }
}

impl State {
    pub(super) fn new(protocol: &'static Protocol, flavour: Flavour, limits: &Limits) -> Self {
        Self {
            protocol,
            flavour,
            datagram: false,
            complete: false,
            transfer: None,
            last: 0,
            waiting: Requests::new(limits),
        }
    }

    fn check(&self, envelope: &Envelope, message: &Message<'_>, findings: &mut Findings) {
        let header = message.header;
        if header.reserved() {
            findings.push(Z_FLAG_SET, 2);
        }
        if header.opcode() >= names::FIRST_UNASSIGNED_OPCODE {
            findings.push(INVALID_OPCODE, 2);
        }
        if self.flavour == Flavour::Paired {
            match (envelope.direction, header.is_response()) {
                (Direction::ToServer, true) => findings.push(NOT_REQUEST, 2),
                (Direction::ToClient, false) => findings.push(NOT_RESPONSE, 2),
                _ => {}
            }
        }
    }

    /// Keeps a request until it is answered.
    fn wait(&mut self, envelope: &Envelope, octets: &[u8], sink: &mut dyn Sink) {
        if self.waiting.is_empty() {
            self.complete = true;
        }
        // Who asks again with the same identifier no longer waits for what it asked before.
        let before = self.waiting.iter().position(|before| word(before.bytes, 0) == word(octets, 0));
        if let Some(at) = before {
            self.give_up(at, sink);
        }
        let kept = octets.get(..MOST_KEPT).unwrap_or(octets);
        while let Some(bound) = self.waiting.bound(kept.len()) {
            self.make_room(bound, sink);
        }
        self.waiting.push(self.last, envelope.timestamp, kept);
    }

    fn make_room(&mut self, bound: Bound, sink: &mut dyn Sink) {
        sink.bounded(bound);
        self.complete = false;
        self.give_up(0, sink);
    }

    /// Takes out the request that a response answers, and says when it was made.
    fn answer(&mut self, response: &Message<'_>, findings: &mut Findings) -> Pairing {
        let id = response.header.id;
        let Some(at) = self.waiting.iter().position(|request| word(request.bytes, 0) == Some(id)) else {
            if self.complete && self.transfer != Some(id) {
                findings.put_first(UNSOLICITED_RESPONSE);
            }
            return Pairing::None;
        };
        if self.waiting.iter().nth(at).is_some_and(|request| !is_same_question(request.bytes, response)) {
            findings.push(QUESTION_MISMATCH, HEADER);
            return Pairing::None;
        }
        self.waiting.remove(at);
        let kind = response.entries(Section::Question).next().map(|question| question.kind);
        self.transfer = kind.filter(|kind| matches!(*kind, names::AXFR | names::IXFR)).map(|_| id);
        self.waiting.removed().map_or(Pairing::None, |request| Pairing::Answered(request.timestamp))
    }

    /// Tells of a request that it got no answer.
    fn give_up(&mut self, at: usize, sink: &mut dyn Sink) {
        self.waiting.remove(at);
        let Some(Request { transaction, timestamp, bytes }) = self.waiting.removed() else { return };
        let Some(message) = Message::read(bytes, &mut { Findings::NONE }) else { return };
        let envelope = Envelope { direction: Direction::ToServer, timestamp, datagram: self.datagram };
        let record = Exchange { protocol: self.protocol, message: &message, transaction, pairing: Pairing::Unanswered };
        sink.transaction(&envelope, &record);
    }
}

/// Does a response repeat the question of its request? Some have none, and letters may have come in either case.
fn is_same_question(request: &[u8], response: &Message<'_>) -> bool {
    if response.header.counts[Section::Question as usize] == 0 {
        return true;
    }
    let question = |octets| {
        let end = name::skip(octets, HEADER)?;
        octets.get(HEADER..end + 4)
    };
    match (question(request), question(response.bytes)) {
        (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
        // What cannot be read says nothing against it.
        _ => true,
    }
}
