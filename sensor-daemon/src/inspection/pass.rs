//! One pass: a packet through its flow, or a flow through its end. Stream bytes come from reassembly and go to the
//! flow's conversation; messages come from the conversation and are shown to the rules.

use vigia_parsers::conversation::{self, Conversation};
use vigia_parsers::packet::Packet;
use vigia_parsers::{Anomaly, Bound, Direction, Envelope, Protocol, Record, Sink, Timestamp, registry};
use vigia_rules::{Asked, Engine, FlowFacts, FlowMemory, Left, Moment, Route, Scratch, Subject};

use super::Inspector;
use super::conversations::{Held, has_failed};
use super::facts::Facts;
use super::observer::{Observer, ask, count_limits};
use crate::capture::InterfaceId;
use crate::event::{Anomalous, Header, Output};
use crate::flow::{self, Connection, Deliver, Flow, FlowState, Reassembler, StreamEvent};
use crate::histogram::Histogram;
use crate::metrics::Counter;
use crate::tagging::Tags;

/// One pass, with what hands it the bytes of the flow's streams.
pub(super) struct Pass<'p> {
    pub(super) inspection: Inspection<'p>,
    pub(super) reassembler: &'p mut Reassembler,
    pub(super) tcp: &'p mut Connection,
}

/// One pass: a packet through its flow, or a flow through its end.
pub(super) struct Inspection<'p> {
    pub(super) rules: &'p Engine,
    pub(super) scratch: &'p mut Scratch,
    pub(super) output: &'p mut Output,
    histogram: Option<&'p mut Histogram>,
    observer: Option<&'p mut (dyn Observer + 'static)>,
    pub(super) facts: Facts<'p>,
    pub(super) conversation: Option<Box<Conversation>>,
    /// The conversation has been spoken to, and what it holds is for now not counted in `held`.
    pub(super) touched: bool,
    /// What was read in this pass showed that client and server are the other way round. The flow learns it at its end, and
    /// who feeds bytes goes by the flow.
    turned: bool,
    pub(super) memory: &'p mut Option<Box<FlowMemory>>,
    route: &'p Route,
    held: &'p mut Held,
    pub(super) alerted: &'p mut bool,
    bypass: &'p mut bool,
    pub(super) tags: &'p Tags,
    transactions: &'p mut u32,
}

impl Inspector {
    /// One pass through a flow and its conversation.
    #[inline]
    pub(super) fn begin<'p>(
        &'p mut self,
        flow: &'p mut Flow,
        packet: Option<&'p Packet<'p>>,
        interface: InterfaceId,
        timestamp: Timestamp,
    ) -> Pass<'p> {
        let conversation = flow.conversation.take();
        self.pass(flow, conversation, packet, interface, timestamp)
    }

    /// A pass through a flow; without its conversation it has nothing to say to it.
    #[inline]
    pub(super) fn pass<'p>(
        &'p mut self,
        flow: &'p mut Flow,
        conversation: Option<Box<Conversation>>,
        packet: Option<&'p Packet<'p>>,
        interface: InterfaceId,
        timestamp: Timestamp,
    ) -> Pass<'p> {
        let failed = has_failed(flow, conversation.as_deref());
        let facts = Facts::of(flow, failed, packet, interface, &self.names, timestamp);
        let inspection = Inspection {
            rules: &self.rules.engine,
            scratch: &mut self.scratch,
            output: &mut self.output,
            histogram: self.histogram.as_deref_mut(),
            observer: self.observer.as_deref_mut(),
            facts,
            conversation,
            touched: false,
            turned: false,
            memory: &mut flow.memory,
            route: &flow.route,
            held: &mut self.held,
            alerted: &mut flow.alerted,
            bypass: &mut flow.bypass,
            tags: &self.tags,
            transactions: &mut flow.transactions,
        };
        Pass { inspection, reassembler: &mut self.reassembler, tcp: &mut flow.tcp }
    }
}

impl<'p> Inspection<'p> {
    /// A datagram of the flow.
    pub(super) fn datagram(&mut self, direction: Direction, payload: &[u8]) {
        self.said(&Envelope { direction, timestamp: self.facts.timestamp, datagram: true }, payload);
    }

    /// To be called before the conversation is spoken to: what it holds may change.
    pub(super) fn touch(&mut self) {
        if !self.touched
            && let Some(conversation) = &self.conversation
        {
            self.held.change(&Held::of(conversation), u64::wrapping_sub);
            self.touched = true;
        }
    }

    fn said(&mut self, envelope: &Envelope, bytes: &[u8]) {
        self.touch();
        let Some(mut conversation) = self.conversation.take() else { return };
        conversation.data(envelope, bytes, self);
        self.conversation = Some(conversation);
    }

    /// The direction of what is said to go this way by the flow.
    pub(super) fn way(&self, direction: Direction) -> Direction {
        if self.turned { direction.opposite() } else { direction }
    }

    /// Is the packet to be shown to the rules? An observer wants to see all that any rule may be about.
    #[inline]
    pub(super) fn wants_packet(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        let is_idle = || {
            let known = self.conversation.as_ref().and_then(|conversation| conversation.protocol());
            let protocol = known.or(self.facts.protocol);
            self.rules.is_idle(packet, (self.route, direction), protocol, self.scratch)
        };
        self.rules.wants_packet(packet) && (self.observer.is_some() || !is_idle())
    }

    /// The packet has been through its flow: what rules are told of the flow is what it is now.
    pub(super) fn update(&mut self, tcp: &Connection) {
        self.facts.sent = tcp.sent();
        if self.turned {
            self.facts.sent.swap(0, 1);
        }
        self.facts.established = flow::state_of(tcp, self.facts.packets) == FlowState::Established;
        if self.conversation.as_ref().is_some_and(|conversation| conversation.has_failed()) {
            self.facts.protocol.get_or_insert(&registry::FAILED);
        }
    }

    /// What surrounds a subject that goes this way, of which the protocol may be known.
    #[inline]
    fn moment(&self, direction: Direction, protocol: Option<&'static Protocol>) -> Moment<'p> {
        let [source, destination] = self.facts.ends(direction);
        let known = || self.conversation.as_ref().and_then(|conversation| conversation.protocol());
        Moment {
            packet: self.facts.packet,
            source,
            destination,
            direction: Some(direction),
            ip_protocol: self.facts.ip_protocol,
            established: self.facts.established,
            protocol: protocol.or_else(known).or(self.facts.protocol),
            timestamp: self.facts.timestamp,
            flow: Some(FlowFacts {
                start: self.facts.start,
                packets: self.facts.packets,
                bytes: self.facts.bytes,
                sent: self.facts.sent,
            }),
            route: Some(self.route),
        }
    }

    /// Shows a subject to the rules and reports what matches.
    pub(super) fn inspect(&mut self, direction: Direction, subject: &Subject<'_>, bytes: &[u8]) {
        let protocol = match subject {
            Subject::Message { record, .. } => record.map(|record| record.protocol()),
            _ => None,
        };
        let moment = self.moment(direction, protocol);
        self.inspect_at(moment, direction, subject, bytes);
    }

    fn inspect_at(&mut self, mut moment: Moment<'_>, direction: Direction, subject: &Subject<'_>, bytes: &[u8]) {
        // Stream bytes and messages of TCP come only after a handshake, or of a session picked up midstream.
        moment.established |= moment.ip_protocol == 6 && !matches!(subject, Subject::Packet);
        let is_new = self.memory.is_none();
        ask(self.observer.as_deref_mut(), self.rules, &moment, subject, self.memory, self.scratch);
        *self.bypass |= self.scratch.bypass();
        count_limits(self.output, self.scratch, subject);
        if !self.scratch.matches().is_empty() {
            self.matched(direction);
            let stream = matches!(subject, Subject::Stream(_));
            if !(stream && self.facts.packet.is_some() && self.hold(direction, bytes)) {
                self.report(direction, moment.protocol, subject, bytes);
            }
        }
        if self.scratch.has_tried() || is_new {
            self.remember(is_new);
        }
    }

    /// What fields and flow leave of the rules on a message; `None` when there is nothing to be inspected.
    fn left(&mut self, asked: Asked, moment: &Moment<'_>, record: &dyn Record) -> Option<Left> {
        let is_new = self.memory.is_none();
        let leaving = self.rules.left(asked, moment, record.transaction(), self.memory, self.scratch);
        if leaving.silent > 0 {
            *self.alerted = true;
            self.output.silenced(leaving.silent);
            self.remember(is_new);
        }
        leaving.left
    }

    /// Counts what rules remember of the flow, which they may have begun to.
    #[inline]
    fn remember(&mut self, is_new: bool) {
        if let Some(memory) = self.memory.as_deref_mut() {
            self.held.remembered += u64::from(is_new);
            let bounded = memory.take_bounded();
            if bounded > 0 {
                self.output.counters.add(Counter::BoundedRuleMemory, bounded.into());
            }
        }
    }
}

impl Deliver for Inspection<'_> {
    fn data(&mut self, direction: Direction, bytes: &[u8]) {
        let sent = &mut self.facts.sent[self.way(direction).index()];
        *sent = sent.wrapping_add(bytes.len() as u32);
        self.said(&Envelope { direction, timestamp: self.facts.timestamp, datagram: false }, bytes);
        if self.rules.wants_stream() {
            self.inspect(self.way(direction), &Subject::Stream(bytes), bytes);
        }
    }

    fn gap(&mut self, direction: Direction, bytes: u64) {
        let way = self.way(direction);
        if let Some(memory) = self.memory {
            memory.gap(way);
        }
        self.touch();
        if let Some(conversation) = &mut self.conversation {
            conversation.gap(direction, bytes);
        }
    }

    fn event(&mut self, direction: Direction, event: StreamEvent) {
        let direction = self.way(direction);
        let header = self.facts.header(direction);
        self.output.anomaly(&header, &Anomalous::Stream(event.name()));
        if self.rules.wants_stream_event(event.name()) {
            self.inspect(direction, &Subject::StreamEvent(event.name()), &[]);
        }
    }
}

impl Sink for Inspection<'_> {
    #[cold]
    fn turned(&mut self) {
        self.turned = true;
        self.facts.turn();
        self.route.forget();
        if let Some(memory) = self.memory.as_deref_mut() {
            memory.reverse();
        }
    }

    fn message(&mut self, envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let protocol = record.protocol();
        self.output.counters.message(protocol);
        if let Some(histogram) = &mut self.histogram {
            histogram.count(record);
        }
        for anomaly in anomalies {
            let header = self.facts.header(envelope.direction);
            self.output.anomaly(&header, &Anomalous::Application(protocol, *anomaly));
        }
        let asked = self.rules.asked(record);
        let about_anomalies = !anomalies.is_empty() && self.rules.wants_messages(protocol);
        if asked.is_none() && !about_anomalies && self.observer.is_none() {
            return;
        }
        let moment = self.moment(envelope.direction, Some(protocol));
        let left = match asked.filter(|_| self.observer.is_none()) {
            Some(asked) => self.left(asked, &moment, record),
            None => None,
        };
        if left.is_some() || about_anomalies || self.observer.is_some() {
            let subject = Subject::Message { record: Some(record), anomalies, left };
            let payload = self.facts.packet.map(Packet::payload).unwrap_or_default();
            self.inspect_at(moment, envelope.direction, &subject, payload);
        }
    }

    fn transaction(&mut self, _envelope: &Envelope, record: &dyn Record) {
        *self.transactions = self.transactions.saturating_add(1);
        self.output.record(record, || Header { source: None, ..self.facts.header(Direction::ToServer) });
    }

    fn undetected(&mut self, envelope: &Envelope, event: &'static str) {
        let anomalies = &[Anomaly { kind: event, offset: 0 }];
        self.inspect(envelope.direction, &Subject::Message { record: None, anomalies, left: None }, &[]);
    }

    fn bounded(&mut self, bound: Bound) {
        let counter = match bound {
            Bound::Requests => Counter::BoundedRequests,
            Bound::RequestBytes => Counter::BoundedRequestBytes,
            Bound::JoinedBytes => Counter::BoundedJoinedBytes,
            Bound::MessageBytes => Counter::BoundedMessage,
        };
        self.output.counters.add(counter, 1);
    }

    fn anomaly(&mut self, envelope: &Envelope, protocol: &'static Protocol, anomaly: Anomaly) {
        if anomaly.kind == conversation::RESYNCHRONISED {
            self.output.counters.add(Counter::Resynchronised, 1);
            self.output.counters.add(Counter::SkippedBytes, anomaly.offset as u64);
        }
        let header = self.facts.header(envelope.direction);
        self.output.anomaly(&header, &Anomalous::Application(protocol, anomaly));
        // The flow learns its protocol only after the bytes that are being dissected.
        self.facts.protocol.get_or_insert(protocol);
        let anomalies = &[anomaly];
        self.inspect(envelope.direction, &Subject::Message { record: None, anomalies, left: None }, &[]);
    }
}

/// Hears nothing of what a stream says: only its beginning and end are of interest.
pub(super) struct Deaf;

impl Deliver for Deaf {
    fn data(&mut self, _: Direction, _: &[u8]) {}

    fn gap(&mut self, _: Direction, _: u64) {}

    fn event(&mut self, _: Direction, _: StreamEvent) {}
}
