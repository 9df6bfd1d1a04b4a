//! What a flow remembers: requests that wait for their answers, and segments that wait for the rest.

use super::apdu::{Apdu, Segment};
use super::link::Carrier;
use super::message::Message;
use super::network::{Address, Npdu};
use super::record::Exchange;
use super::{PROTOCOL, SEGMENT_LOST, TOO_MANY_TRANSACTIONS, UNSOLICITED_RESPONSE};
use crate::dissector::{Direction, Dissector, Envelope, Pairing, Sink};
use crate::findings::Findings;
use crate::limits::{Bound, Kept, Limits};
use crate::pairing::{Outstanding, Request};
use crate::time::Timestamp;

/// By what an answer finds its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    asker: Direction,
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A function of virtual link control.
    Function(u8),
    /// A confirmed service: invoke identifier, and hash of the addresses behind routers of who asks and who is asked.
    Service(u8, u64),
}

/// A message whose segments come in.
#[derive(Debug)]
struct Join {
    key: Key,
    /// Are they segments of the request, or of the answer?
    request: bool,
    transaction: u64,
    /// Time of the first segment.
    timestamp: Timestamp,
    /// Number of the segment expected next.
    next: u8,
    /// The message as if it were whole.
    bytes: Vec<u8>,
}

/// The state of a flow.
pub(super) struct State {
    carrier: Carrier,
    limits: Limits,
    last: u64,
    waiting: Outstanding<Key>,
    joins: Vec<Join>,
    /// What was answered last, by which an answer that comes twice and the acknowledgement of its last segment are known.
    answered: Option<(Key, u64)>,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let (message, mut findings) = match Message::new(self.carrier, bytes) {
            Ok(read) => read,
            Err(anomaly) => return sink.anomaly(envelope, &PROTOCOL, anomaly),
        };
        message.check(&mut findings);
        let wire = Wire { envelope, message: &message, segment: None };
        match (&message.apdu, message.npdu, message.bvlc) {
            (Some(apdu), Some(npdu), _) => self.apdu(wire, bytes, apdu, &npdu, findings, sink),
            (None, None, Some(bvlc)) if bvlc.is_request() => {
                let key = Key { asker: envelope.direction, asked: Asked::Function(bvlc.function) };
                self.request(wire, key, bytes, findings, sink);
            }
            (None, None, Some(bvlc)) => match bvlc.answers() {
                Some(function) => self.link_answer(wire, function, findings, sink),
                None => self.lone(wire, findings, sink),
            },
            _ => self.lone(wire, findings, sink),
        }
    }

    fn gap(&mut self, _: Direction) {
        self.joins.clear();
    }

    fn kept(&self) -> Kept {
        Kept { joined_bytes: self.joined() as u32, ..self.waiting.kept() }
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        let carrier = self.carrier;
        self.waiting.expire(until, |request| unanswered(carrier, request, sink));
    }
}

/// A message as it came.
#[derive(Clone, Copy)]
struct Wire<'a> {
    envelope: &'a Envelope,
    message: &'a Message<'a>,
    /// The segment that completed it.
    segment: Option<Segment>,
}

impl<'a> Wire<'a> {
    fn record(&self, transaction: u64) -> Exchange<'a> {
        Exchange {
            message: self.message,
            request: None,
            segment: self.segment.or(self.message.apdu.and_then(|apdu| apdu.segment)),
            direction: self.envelope.direction,
            transaction,
            pairing: Pairing::None,
        }
    }
}

impl State {
    pub(super) fn new(carrier: Carrier, limits: &Limits) -> Self {
        Self { carrier, limits: *limits, last: 0, waiting: Outstanding::new(limits), joins: Vec::new(), answered: None }
    }

    fn joined(&self) -> usize {
        self.joins.iter().map(|join| join.bytes.len()).sum()
    }

    fn apdu(
        &mut self,
        wire: Wire<'_>,
        bytes: &[u8],
        apdu: &Apdu<'_>,
        npdu: &Npdu<'_>,
        findings: Findings,
        sink: &mut dyn Sink,
    ) {
        let Some(id) = apdu.invoke_id else { return self.lone(wire, findings, sink) };
        // A client may give up its own request, and acknowledges the segments of its answer.
        let by_asker = apdu.is_request() || apdu.by_server() == Some(false);
        let direction = wire.envelope.direction;
        let (asker, near, far) = match by_asker {
            true => (direction, npdu.source, npdu.destination),
            false => (direction.opposite(), npdu.destination, npdu.source),
        };
        let key = Key { asker, asked: Asked::Service(id, hash(near, far)) };
        if apdu.is_part() {
            self.part(wire, key, bytes, apdu, findings, sink);
        } else if apdu.is_request() {
            self.request(wire, key, bytes, findings, sink);
        } else if apdu.is_answer() {
            self.answer(wire, key, findings, sink);
        } else {
            let transaction = self.transaction(key);
            sink.message(wire.envelope, &wire.record(transaction), findings.as_slice());
        }
    }

    /// The number of the transaction that a message is about which neither begins nor ends one.
    fn transaction(&mut self, key: Key) -> u64 {
        let joining = self.joins.iter().find(|join| join.key == key).map(|join| join.transaction);
        let waiting = self.waiting.find(key).map(|found| found.transaction);
        let answered = self.answered.filter(|answered| answered.0 == key).map(|answered| answered.1);
        joining.or(waiting).or(answered).unwrap_or_else(|| {
            self.last += 1;
            self.last
        })
    }

    /// A message that has, and is, no answer.
    fn lone(&mut self, wire: Wire<'_>, findings: Findings, sink: &mut dyn Sink) {
        self.last += 1;
        let record = wire.record(self.last);
        sink.message(wire.envelope, &record, findings.as_slice());
        sink.transaction(wire.envelope, &record);
    }

    fn request(&mut self, wire: Wire<'_>, key: Key, bytes: &[u8], findings: Findings, sink: &mut dyn Sink) {
        if let Some(before) = self.waiting.find(key).filter(|before| before.bytes == bytes) {
            // Sent again for want of an answer (5.4.4), or seen twice.
            let record = wire.record(before.transaction);
            return sink.message(wire.envelope, &record, findings.as_slice());
        }
        self.last += 1;
        self.begin(wire, key, self.last, bytes, findings, sink);
    }

    /// Keeps a request until it is answered.
    fn begin(
        &mut self,
        wire: Wire<'_>,
        key: Key,
        transaction: u64,
        bytes: &[u8],
        mut findings: Findings,
        sink: &mut dyn Sink,
    ) {
        let carrier = self.carrier;
        if let Some(before) = self.waiting.answered(key) {
            unanswered(carrier, &before, sink);
        }
        self.waiting.keep(key, transaction, wire.envelope, bytes, |bound, request| {
            findings.push(TOO_MANY_TRANSACTIONS, 0);
            sink.bounded(bound);
            unanswered(carrier, request, sink);
        });
        sink.message(wire.envelope, &wire.record(transaction), findings.as_slice());
    }

    fn answer(&mut self, wire: Wire<'_>, key: Key, mut findings: Findings, sink: &mut dyn Sink) {
        // A request may be refused after its first segments.
        let begun = self.joins.iter().position(|join| join.key == key && join.request);
        let begun = begun.map(|at| self.joins.remove(at));
        self.joins.retain(|join| join.key != key);
        if let Some(begun) = begun {
            self.answered = Some((key, begun.transaction));
            return answered(self.carrier, wire, begun.transaction, begun.timestamp, &begun.bytes, &findings, sink);
        }
        if let Some(asked) = self.waiting.answered(key) {
            self.answered = Some((key, asked.transaction));
            let timestamp = asked.envelope.timestamp;
            return answered(self.carrier, wire, asked.transaction, timestamp, asked.bytes, &findings, sink);
        }
        if let Some((_, transaction)) = self.answered.filter(|answered| answered.0 == key) {
            return sink.message(wire.envelope, &wire.record(transaction), findings.as_slice());
        }
        findings.put_first(UNSOLICITED_RESPONSE);
        self.lone(wire, findings, sink);
    }

    /// An answer of virtual link control to this function, or to the oldest request.
    fn link_answer(&mut self, wire: Wire<'_>, function: Option<u8>, mut findings: Findings, sink: &mut dyn Sink) {
        let asker = wire.envelope.direction.opposite();
        let asked = self.waiting.take_where(|request| match request.key.asked {
            Asked::Function(asked) => request.key.asker == asker && function.is_none_or(|function| function == asked),
            Asked::Service(..) => false,
        });
        match asked {
            Some(asked) => {
                let timestamp = asked.envelope.timestamp;
                answered(self.carrier, wire, asked.transaction, timestamp, asked.bytes, &findings, sink);
            }
            None => {
                // The refusal of a broadcast answers what is otherwise not answered.
                if function != Some(super::link::function::DISTRIBUTE_BROADCAST) {
                    findings.put_first(UNSOLICITED_RESPONSE);
                }
                self.lone(wire, findings, sink);
            }
        }
    }

    /// A segment: the last of a message is the message.
    fn part(
        &mut self,
        wire: Wire<'_>,
        key: Key,
        bytes: &[u8],
        apdu: &Apdu<'_>,
        mut findings: Findings,
        sink: &mut dyn Sink,
    ) {
        let Some(segment) = apdu.segment else { return };
        let request = apdu.is_request();
        let mut place = self.joins.iter().position(|join| join.key == key && join.request == request);
        // The first segment begins anew, also when it is sent again; only of a message of more than 256 it is not the first.
        if segment.sequence == 0 && place.and_then(|at| self.joins.get(at)).is_none_or(|join| join.next != 0) {
            place = Some(self.join(key, place, bytes, wire, apdu, sink));
        }
        let Some((at, join)) = place.and_then(|at| Some((at, self.joins.get_mut(at)?))) else {
            findings.push(SEGMENT_LOST, wire.message.lower);
            return self.unjoined(wire, key, segment, request, findings, sink);
        };
        let ahead = segment.sequence.wrapping_sub(join.next);
        if ahead == 0 {
            join.next = join.next.wrapping_add(1);
            join.bytes.extend_from_slice(apdu.parameters);
        } else if ahead < 128 {
            findings.push(SEGMENT_LOST, wire.message.lower);
        }
        let transaction = join.transaction;
        if segment.more || ahead >= 128 {
            sink.message(wire.envelope, &wire.record(transaction), findings.as_slice());
            return self.bound(sink);
        }
        if ahead != 0 {
            return self.unjoined(wire, key, segment, request, findings, sink);
        }
        let mut whole = self.joins.remove(at);
        self.carrier.state_length(&mut whole.bytes);
        let Ok((message, mut findings)) = Message::new(self.carrier, &whole.bytes) else { return };
        message.check(&mut findings);
        let wire = Wire { envelope: wire.envelope, message: &message, segment: Some(segment) };
        match request {
            true => self.begin(wire, key, transaction, &whole.bytes, findings, sink),
            false => self.answer(wire, key, findings, sink),
        }
    }

    /// A segment of a message that cannot be joined. The last of an answer answers nevertheless.
    fn unjoined(
        &mut self,
        wire: Wire<'_>,
        key: Key,
        segment: Segment,
        request: bool,
        findings: Findings,
        sink: &mut dyn Sink,
    ) {
        if !segment.more && !request {
            return self.answer(wire, key, findings, sink);
        }
        let transaction = self.transaction(key);
        sink.message(wire.envelope, &wire.record(transaction), findings.as_slice());
    }

    /// Begins to join a message, in the place of one that is begun anew. Gives its place among those that are joined.
    fn join(
        &mut self,
        key: Key,
        before: Option<usize>,
        bytes: &[u8],
        wire: Wire<'_>,
        apdu: &Apdu<'_>,
        sink: &mut dyn Sink,
    ) -> usize {
        let request = apdu.is_request();
        let transaction = match before.map(|at| self.joins.remove(at).transaction) {
            Some(transaction) => transaction,
            None if request => {
                self.last += 1;
                self.last
            }
            None => self.transaction(key),
        };
        if self.joins.len() >= usize::from(self.limits.requests.max(1)) {
            self.joins.remove(0);
            sink.bounded(Bound::Requests);
        }
        let mut whole = bytes.get(..wire.message.lower).unwrap_or_default().to_vec();
        let (header, length) = apdu.whole_header();
        whole.extend_from_slice(header.get(..length).unwrap_or_default());
        let timestamp = wire.envelope.timestamp;
        self.joins.push(Join { key, request, transaction, timestamp, next: 0, bytes: whole });
        self.joins.len() - 1
    }

    /// Gives up the oldest of what is joined as long as it is too much.
    fn bound(&mut self, sink: &mut dyn Sink) {
        while self.joined() > self.limits.joined_bytes as usize {
            self.joins.remove(0);
            sink.bounded(Bound::JoinedBytes);
        }
    }
}

/// Tells of an answer, and logs the transaction with its request.
fn answered(
    carrier: Carrier,
    wire: Wire<'_>,
    transaction: u64,
    asked: Timestamp,
    request: &[u8],
    findings: &Findings,
    sink: &mut dyn Sink,
) {
    let request = Message::new(carrier, request).ok().map(|(request, _)| request);
    let record = Exchange { request: request.as_ref(), pairing: Pairing::Answered(asked), ..wire.record(transaction) };
    sink.message(wire.envelope, &record, findings.as_slice());
    sink.transaction(wire.envelope, &record);
}

fn unanswered(carrier: Carrier, asked: &Request<'_, Key>, sink: &mut dyn Sink) {
    if let Ok((message, _)) = Message::new(carrier, asked.bytes) {
        let wire = Wire { envelope: &asked.envelope, message: &message, segment: None };
        sink.transaction(&asked.envelope, &Exchange { pairing: Pairing::Unanswered, ..wire.record(asked.transaction) });
    }
}

/// A number for two addresses behind routers, by which transactions through one router are told apart (FNV-1a).
fn hash(near: Option<Address<'_>>, far: Option<Address<'_>>) -> u64 {
    let octets = |address: Option<Address<'_>>, hash: u64| {
        let network = address.map_or(0, |address| address.network).to_be_bytes();
        let station = address.map_or(&[][..], |address| address.station);
        let all = network.iter().chain(station).chain(&[0xff]);
        all.fold(hash, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
    };
    octets(far, octets(near, 0xcbf2_9ce4_8422_2325))
}
