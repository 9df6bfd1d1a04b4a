//! What a flow remembers: requests that wait for their answers, and the connections that are open.

use super::check::findings;
use super::cip::connection::Connections;
use super::cip::record::Record as CipRecord;
use super::cip::service::{Service, code};
use super::encapsulation::{Message, command};
use super::record::Exchange;
use super::{PROTOCOL, TOO_MANY_TRANSACTIONS, UNSOLICITED_RESPONSE};
use crate::dissector::{Direction, Dissector, Envelope, Pairing, Sink};
use crate::limits::{Kept, Limits};
use crate::pairing::{Outstanding, Request};
use crate::time::Timestamp;

/// What a request and its answer have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Key {
    command: u16,
    context: [u8; 8],
    /// Sequence count and service of a connected message.
    connected: Option<(u16, u8)>,
    connection: Option<u32>,
    asker: Direction,
}

/// The state of a flow.
pub(super) struct State {
    /// Number of the last transaction.
    last: u64,
    requests: Outstanding<Key>,
    connections: Connections,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        match Message::new(bytes, envelope.direction) {
            Ok(message) if asks(&message) => self.request(envelope, bytes, &message, sink),
            Ok(message) => self.response(envelope, &message, sink),
            Err(anomaly) => sink.anomaly(envelope, &PROTOCOL, anomaly),
        }
    }

    fn kept(&self) -> Kept {
        self.requests.kept()
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        self.requests.expire(until, |request| unanswered(request, sink));
    }
}

/// Is it a request? Over a connection, or by Send RR Data, either side may ask: the reply bit of the service tells.
fn asks(message: &Message<'_>) -> bool {
    message.service().map_or(message.request, Service::is_request)
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { last: 0, requests: Outstanding::new(limits), connections: Connections::new(limits) }
    }

    fn request(&mut self, envelope: &Envelope, bytes: &[u8], message: &Message<'_>, sink: &mut dyn Sink) {
        let mut findings = findings(message);
        let service = message.service();
        let number = self.last + 1;
        // The answer has the next number: signatures raise an alert for each of the two, as Suricata's do, which inspects
        // the directions of this protocol apart.
        self.last = number + 1 + service.map_or(0, Service::count);
        let is_answered = !matches!(message.command, command::NOP | command::UNREGISTER_SESSION);
        if is_answered {
            let key = key(message, envelope.direction);
            self.requests.keep(key, number, envelope, bytes, |bound, request| {
                findings.push(TOO_MANY_TRANSACTIONS, 0);
                sink.bounded(bound);
                unanswered(request, sink);
            });
        }
        let record = Exchange { message, request: None, transaction: number, pairing: Pairing::None };
        sink.message(envelope, &record, findings.as_slice());
        if !is_answered {
            sink.transaction(envelope, &record);
        }
        let Some(service) = service else { return };
        let carrier = message.connection().and_then(|id| self.connections.by_id(id));
        let mut connection = carrier.or_else(|| self.connections.closed_by(service));
        let mut transaction = number + 1;
        service.walk(
            &mut |service| {
                transaction += 1;
                let record = CipRecord {
                    service,
                    request: None,
                    sent_by: None,
                    message,
                    connection: connection.take(),
                    transaction,
                    pairing: Pairing::None,
                };
                sink.message(envelope, &record, &[]);
            },
            &mut |_| {},
        );
    }

    fn response(&mut self, envelope: &Envelope, message: &Message<'_>, sink: &mut dyn Sink) {
        let mut findings = findings(message);
        let service = message.service();
        let wanted = key(message, envelope.direction.opposite());
        let connections = &self.connections;
        let joined = |asked: Option<u32>| match (asked, wanted.connection) {
            // Identifiers differ by direction; which belong together, the Forward Open told, if it was seen.
            (Some(one), Some(other)) => match connections.by_id(one).or(connections.by_id(other)) {
                Some(connection) => connection.joins(one, other),
                None => true,
            },
            (one, other) => one == other,
        };
        let found = self.requests.answered_where(|asked| {
            Key { connection: wanted.connection, ..*asked } == wanted && joined(asked.connection)
        });
        let Some(request) = found else {
            // One search can find many devices.
            let of_many = envelope.datagram && message.command == command::LIST_IDENTITY;
            if !of_many {
                findings.push(UNSOLICITED_RESPONSE, 0);
            }
            self.last += 1;
            let record = Exchange { message, request: None, transaction: self.last, pairing: Pairing::None };
            sink.message(envelope, &record, findings.as_slice());
            sink.transaction(envelope, &record);
            let mut answers =
                Answers { envelope, message, connections: &mut self.connections, pairing: Pairing::None, sink };
            if let Some(service) = service {
                self.last = answers.lone(service, true, self.last + 1) - 1;
            }
            return;
        };
        let asked = Message::new(request.bytes, request.envelope.direction).ok();
        let number = request.transaction + 1;
        let pairing = Pairing::Answered(request.envelope.timestamp);
        let record = Exchange { message, request: asked.as_ref(), transaction: number, pairing };
        sink.message(envelope, &record, findings.as_slice());
        sink.transaction(envelope, &record);
        let mut answers = Answers { envelope, message, connections: &mut self.connections, pairing, sink };
        match (service, asked.as_ref().and_then(|asked| Some((asked, asked.service()?)))) {
            (Some(service), Some((_, request))) => answers.pair(service, request, None, number + 1, true),
            (Some(service), None) => self.last = answers.lone(service, true, self.last + 1) - 1,
            // The encapsulation refused it: what it carried got no answer.
            (None, Some((asked, request))) => {
                each_unanswered(asked, request, number + 1, |record| answers.sink.transaction(envelope, record));
            }
            (None, None) => {}
        }
    }
}

fn key(message: &Message<'_>, asker: Direction) -> Key {
    let connected = message.sequence().map(|sequence| (sequence, message.service().map_or(0, Service::code)));
    let mut context = [0; 8];
    if connected.is_none() {
        context.copy_from_slice(message.context.get(..8).unwrap_or(&[0; 8]));
    }
    Key { command: message.command, context, connected, connection: message.connection(), asker }
}

/// Logs a request, with all that it carries, that got no answer.
fn unanswered(request: &Request<'_, Key>, sink: &mut dyn Sink) {
    let Ok(message) = Message::new(request.bytes, request.envelope.direction) else { return };
    let pairing = Pairing::Unanswered;
    let record = Exchange { message: &message, request: None, transaction: request.transaction, pairing };
    sink.transaction(&request.envelope, &record);
    if let Some(service) = message.service() {
        each_unanswered(&message, service, request.transaction + 2, |record| {
            sink.transaction(&request.envelope, record);
        });
    }
}

fn each_unanswered(message: &Message<'_>, service: &Service<'_>, first: u64, mut log: impl FnMut(&CipRecord<'_>)) {
    let mut transaction = first;
    service.walk(
        &mut |service| {
            log(&CipRecord {
                service,
                request: None,
                sent_by: None,
                message,
                connection: None,
                transaction,
                pairing: Pairing::Unanswered,
            });
            transaction += 1;
        },
        &mut |_| {},
    );
}

/// One answer being told, with all that is embedded in it.
struct Answers<'s> {
    envelope: &'s Envelope,
    message: &'s Message<'s>,
    connections: &'s mut Connections,
    pairing: Pairing,
    sink: &'s mut dyn Sink,
}

impl Answers<'_> {
    /// Tells an answer and what it answers; `number` is the transaction of the request.
    fn pair(
        &mut self,
        answer: &Service<'_>,
        request: &Service<'_>,
        sent_by: Option<&Service<'_>>,
        number: u64,
        outermost: bool,
    ) {
        if let Some((Ok(embedded), _)) = request.sent_on() {
            if answer.code() != code::UNCONNECTED_SEND || embedded.code() == answer.code() {
                // What was sent on is answered in place of the sending.
                self.log(request, None, number, self.pairing);
                return self.pair(answer, &embedded, Some(request), number + 1, outermost);
            }
            self.tell(answer, Some(request), sent_by, number, outermost);
            let (message, sink) = (self.message, &mut *self.sink);
            each_unanswered(message, &embedded, number + 1, |record| sink.transaction(self.envelope, record));
            return;
        }
        self.tell(answer, Some(request), sent_by, number, outermost);
        self.connections.follow(answer, request, self.sink);
        let mut number = number + 1;
        let mut answers = answer.packed();
        for asked in request.packed().flatten() {
            match answers.next() {
                Some(Ok(answer)) => self.pair(&answer, &asked, None, number, false),
                _ => {
                    let (message, sink) = (self.message, &mut *self.sink);
                    each_unanswered(message, &asked, number, |record| sink.transaction(self.envelope, record));
                }
            }
            number += asked.count();
        }
    }

    /// Tells an answer to what was not seen. Gives the number of the next transaction.
    fn lone(&mut self, answer: &Service<'_>, outermost: bool, number: u64) -> u64 {
        self.tell(answer, None, None, number, outermost);
        let mut number = number + 1;
        for embedded in answer.packed().flatten() {
            self.tell(&embedded, None, None, number, false);
            number += 1;
        }
        number
    }

    fn tell(
        &mut self,
        answer: &Service<'_>,
        request: Option<&Service<'_>>,
        sent_by: Option<&Service<'_>>,
        transaction: u64,
        outermost: bool,
    ) {
        let carrier = self.message.connection().filter(|_| outermost);
        let record = CipRecord {
            service: answer,
            request,
            sent_by,
            message: self.message,
            connection: carrier.and_then(|id| self.connections.by_id(id)),
            transaction,
            pairing: self.pairing,
        };
        self.sink.message(self.envelope, &record, &[]);
        self.sink.transaction(self.envelope, &record);
    }

    fn log(&mut self, service: &Service<'_>, request: Option<&Service<'_>>, transaction: u64, pairing: Pairing) {
        let message = self.message;
        let record = CipRecord { service, request, sent_by: None, message, connection: None, transaction, pairing };
        self.sink.transaction(self.envelope, &record);
    }
}
