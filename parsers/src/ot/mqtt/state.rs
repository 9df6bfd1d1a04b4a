//! What a flow remembers: its version, packets that wait for their answers, topics and metrics that have aliases.

use super::packet::{self, Body, Packet, kind};
use super::property::TOPIC_ALIAS;
use super::record::Exchange;
use super::sparkplug::{self, Aliases, Payload};
use super::{
    DOUBLE_CONNECT, INVALID_PAYLOAD, MISSING_CONNECT, MISSING_PUBLISH, MISSING_SUBSCRIBE, MISSING_UNSUBSCRIBE,
    PROTOCOL, TOO_MANY_TRANSACTIONS, UNINTRODUCED_MESSAGE,
};
use crate::dissector::{Direction, Dissector, Envelope, Pairing, Sink};
use crate::findings::Findings;
use crate::limits::{Bound, Kept, Limits};
use crate::pairing::{Outstanding, Request};
use crate::time::Timestamp;

/// Which packet a flow waits to be answered.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Key {
    asker: Direction,
    /// Packet type of the request.
    kind: u8,
    id: Option<u16>,
}

/// Topics that one side gave a number to (MQTT 5.0 §3.3.2.3.4).
#[derive(Debug, Default)]
struct Topics {
    known: Vec<(u64, Vec<u8>)>,
    bytes: usize,
}

/// The state of a flow.
pub(super) struct State {
    limits: Limits,
    /// 0 as long as it is not known.
    version: u8,
    /// A CONNECT was seen, or what was said without one is told.
    introduced: bool,
    connected: bool,
    last: u64,
    requests: Outstanding<Key>,
    topics: [Topics; 2],
    aliases: Aliases,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        if self.version == 0 {
            self.version = packet::version_of(bytes).unwrap_or(0);
        }
        let version = if self.version == 0 { packet::VERSION_3_1_1 } else { self.version };
        let packet = match Packet::new(bytes, version) {
            Ok(packet) => packet,
            Err(anomaly) => return sink.anomaly(envelope, &PROTOCOL, anomaly),
        };
        let mut findings = Findings::NONE;
        if let Some(fault) = packet.fault {
            findings.push(fault.kind, fault.offset);
        }
        self.introduce(&packet, &mut findings);
        let asker = envelope.direction.opposite();
        let (asked, missing) = match packet.kind {
            kind::CONNACK => (kind::CONNECT, MISSING_CONNECT),
            kind::PUBACK | kind::PUBREC | kind::PUBCOMP => (kind::PUBLISH, MISSING_PUBLISH),
            kind::SUBACK => (kind::SUBSCRIBE, MISSING_SUBSCRIBE),
            kind::UNSUBACK => (kind::UNSUBSCRIBE, MISSING_UNSUBSCRIBE),
            kind::PINGRESP => (kind::PINGREQ, ""),
            kind::PUBREL => return self.release(envelope, &packet, findings, sink),
            _ => return self.ask(envelope, bytes, &packet, findings, sink),
        };
        self.answer(envelope, &packet, Key { asker, kind: asked, id: packet.id }, missing, findings, sink);
    }

    fn kept(&self) -> Kept {
        let Kept { requests, request_bytes, .. } = self.requests.kept();
        let topics: usize = self.topics.iter().map(|topics| topics.bytes).sum();
        Kept { requests, request_bytes: request_bytes + topics as u32, joined_bytes: self.aliases.bytes() as u32 }
    }

    fn gap(&mut self, _: Direction) {
        // What introduced the flow, or gave a topic its alias, may have been lost.
        self.introduced = true;
        self.topics = Default::default();
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        let told = Told { version: self.version, aliases: &self.aliases };
        self.requests.expire(until, |request| told.unanswered(request, sink));
    }
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            version: 0,
            introduced: false,
            connected: false,
            last: 0,
            requests: Outstanding::new(limits),
            topics: Default::default(),
            aliases: Aliases::new(limits),
        }
    }

    /// Follows who is introduced to whom. What is said without a CONNECT is told once: a flow picked up in the middle
    /// goes on so for months.
    fn introduce(&mut self, packet: &Packet<'_>, findings: &mut Findings) {
        match packet.body {
            Body::Connect(connect) => {
                if std::mem::replace(&mut self.connected, true) {
                    findings.push(DOUBLE_CONNECT, 0);
                }
                self.introduced = true;
                self.version = connect.version;
            }
            Body::Connack { .. } => self.introduced = true,
            _ if !std::mem::replace(&mut self.introduced, true) => findings.push(UNINTRODUCED_MESSAGE, 0),
            _ => {}
        }
    }

    /// A packet that begins a transaction.
    fn ask(
        &mut self,
        envelope: &Envelope,
        bytes: &[u8],
        packet: &Packet<'_>,
        mut findings: Findings,
        sink: &mut dyn Sink,
    ) {
        self.last += 1;
        let side = envelope.direction.index();
        if let Body::Publish { topic, payload } = packet.body {
            if !self.name_topic(side, topic, packet) {
                sink.bounded(Bound::RequestBytes);
            }
            let topic = self.topics.get(side).map_or(topic, |topics| resolve(topics, topic, packet));
            if let Some(topic) = sparkplug::Topic::new(topic).filter(|topic| topic.message != sparkplug::Message::State)
            {
                let payload = Payload::new(payload);
                if packet.missing == 0 && !payload.is_sound() {
                    findings.push(INVALID_PAYLOAD, bytes.len() - packet.payload_length());
                }
                if !self.aliases.learn(&topic, &payload) {
                    sink.bounded(Bound::JoinedBytes);
                }
            }
        }
        let waits = match packet.kind {
            kind::CONNECT | kind::SUBSCRIBE | kind::UNSUBSCRIBE | kind::PINGREQ => true,
            kind::PUBLISH => packet.qos() > 0,
            _ => false,
        };
        if waits {
            let key = Key { asker: envelope.direction, kind: packet.kind, id: packet.id };
            let told = Told { version: self.version, aliases: &self.aliases };
            if let Some(before) = self.requests.answered(key) {
                told.unanswered(&before, sink);
            }
            // One long message is not to drive out all others; the record shows no more than its beginning.
            let kept = bytes.get(..self.limits.request_bytes as usize / 4).unwrap_or(bytes);
            self.requests.keep(key, self.last, envelope, kept, |bound, request| {
                findings.push(TOO_MANY_TRANSACTIONS, 0);
                sink.bounded(bound);
                told.unanswered(request, sink);
            });
        }
        let topic = match packet.body {
            Body::Publish { topic, .. } => self.topic(side, topic, packet),
            _ => &[],
        };
        let record = Exchange {
            packet,
            request: None,
            from_client: envelope.direction == Direction::ToServer,
            version: self.version,
            topic,
            aliases: &self.aliases,
            transaction: self.last,
            pairing: Pairing::None,
        };
        sink.message(envelope, &record, findings.as_slice());
        if !waits {
            sink.transaction(envelope, &record);
        }
    }

    /// A packet that answers one, and ends the transaction unless it is a PUBREC.
    fn answer(
        &mut self,
        envelope: &Envelope,
        packet: &Packet<'_>,
        key: Key,
        missing: &'static str,
        mut findings: Findings,
        sink: &mut dyn Sink,
    ) {
        // A refusal ends the exchange that a PUBREC else goes on with (§4.3.3).
        let refused = matches!(packet.body, Body::Acknowledge { code: Some(0x80..) });
        let goes_on = packet.kind == kind::PUBREC && !refused;
        let from_client = envelope.direction == Direction::ToServer;
        let found = match goes_on {
            true => self.requests.find(key),
            false => self.requests.answered(key),
        };
        let Some(request) = found else {
            if !missing.is_empty() {
                findings.push(missing, 0);
            }
            self.last += 1;
            let record = Exchange {
                packet,
                request: None,
                from_client,
                version: self.version,
                topic: &[],
                aliases: &self.aliases,
                transaction: self.last,
                pairing: Pairing::None,
            };
            sink.message(envelope, &record, findings.as_slice());
            return sink.transaction(envelope, &record);
        };
        let version = if self.version == 0 { packet::VERSION_3_1_1 } else { self.version };
        let asked = Packet::new(request.bytes, version).ok();
        let side = request.envelope.direction.index();
        let topic = match asked.map(|asked| (asked.body, asked)) {
            Some((Body::Publish { topic, .. }, asked)) => resolve(&self.topics[side], topic, &asked),
            _ => &[],
        };
        let record = Exchange {
            packet,
            request: asked.as_ref(),
            from_client,
            version: self.version,
            topic,
            aliases: &self.aliases,
            transaction: request.transaction,
            pairing: Pairing::Answered(request.envelope.timestamp),
        };
        sink.message(envelope, &record, findings.as_slice());
        if !goes_on {
            sink.transaction(envelope, &record);
        }
    }

    /// PUBREL: the publisher goes on with what it published.
    fn release(&mut self, envelope: &Envelope, packet: &Packet<'_>, mut findings: Findings, sink: &mut dyn Sink) {
        let key = Key { asker: envelope.direction, kind: kind::PUBLISH, id: packet.id };
        let request = self.requests.find(key);
        let known = request.map(|request| request.transaction);
        if known.is_none() {
            findings.push(MISSING_PUBLISH, 0);
            self.last += 1;
        }
        let record = Exchange {
            packet,
            request: None,
            from_client: envelope.direction == Direction::ToServer,
            version: self.version,
            topic: &[],
            aliases: &self.aliases,
            transaction: known.unwrap_or(self.last),
            pairing: Pairing::None,
        };
        sink.message(envelope, &record, findings.as_slice());
        if known.is_none() {
            sink.transaction(envelope, &record);
        }
    }

    /// Takes note of the number that a topic is given; false when there is no room for it.
    fn name_topic(&mut self, side: usize, topic: &[u8], packet: &Packet<'_>) -> bool {
        let Some(alias) = packet.properties.number(TOPIC_ALIAS) else { return true };
        let Some(topics) = self.topics.get_mut(side).filter(|_| !topic.is_empty()) else { return true };
        let before = topics.known.iter_mut().find(|known| known.0 == alias);
        let is_known = before.is_some();
        if let Some((_, known)) = before {
            topics.bytes -= known.len();
            known.clear();
        }
        let room = is_known || topics.known.len() < usize::from(self.limits.requests);
        if !room || topics.bytes + topic.len() > self.limits.request_bytes as usize {
            return false;
        }
        topics.bytes += topic.len();
        match topics.known.iter_mut().find(|known| known.0 == alias) {
            Some((_, known)) => known.extend_from_slice(topic),
            None => topics.known.push((alias, topic.to_vec())),
        }
        true
    }

    fn topic<'t>(&'t self, side: usize, topic: &'t [u8], packet: &Packet<'_>) -> &'t [u8] {
        self.topics.get(side).map_or(topic, |topics| resolve(topics, topic, packet))
    }
}

/// The topic of a PUBLISH, which may be told by its number alone.
fn resolve<'t>(topics: &'t Topics, topic: &'t [u8], packet: &Packet<'_>) -> &'t [u8] {
    if !topic.is_empty() {
        return topic;
    }
    let alias = packet.properties.number(TOPIC_ALIAS);
    let known = topics.known.iter().find(|known| Some(known.0) == alias);
    known.map_or(topic, |(_, name)| name)
}

/// What is needed to tell of a packet that got no answer.
struct Told<'s> {
    version: u8,
    aliases: &'s Aliases,
}

impl Told<'_> {
    fn unanswered(&self, request: &Request<'_, Key>, sink: &mut dyn Sink) {
        let version = if self.version == 0 { packet::VERSION_3_1_1 } else { self.version };
        let Ok(packet) = Packet::new(request.bytes, version) else { return };
        let topic = match packet.body {
            Body::Publish { topic, .. } => topic,
            _ => &[],
        };
        let record = Exchange {
            packet: &packet,
            request: None,
            from_client: request.envelope.direction == Direction::ToServer,
            version: self.version,
            topic,
            aliases: self.aliases,
            transaction: request.transaction,
            pairing: Pairing::Unanswered,
        };
        sink.transaction(&request.envelope, &record);
    }
}
