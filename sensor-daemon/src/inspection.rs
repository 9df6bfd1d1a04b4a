//! From a packet in its flow to events: streams, conversations, rules, and what is reported of them.
//!
//! [`Inspector`] holds what a worker needs for every flow; [`Inspection`] is one packet's (or a flow's end's) pass
//! through it. As a [`Deliver`] it takes stream bytes from reassembly and hands them to the flow's conversation; as a
//! [`Sink`] it takes messages from the conversation and shows them to the rules.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use vigia_parsers::conversation::{self, Conversation, Medium, Opening};
use vigia_parsers::packet::{DecodeEvent, DecodeEvents, Packet, Tcp, Transport, Vlans};
use vigia_parsers::{Anomaly, Bound, Direction, Envelope, Protocol, Record, Sink, Timestamp, registry};
use vigia_rules::{
    Asked, Delayed, Engine, FlowFacts, FlowMemory, GivenUp, Left, Match, Moment, Noted, Route, RuleId, Scratch,
    Subject, Told, Ways,
};

use crate::capture::InterfaceId;
use crate::config::Dissection;
use crate::event::{
    self, Alert, Anomalous, Endpoints, FlowReason, FlowSoFar, FlowSummary, Header, Output, PacketSource, TcpSummary,
};
use crate::flow::{
    self, Connection, Custody, Deliver, EndReason, EndedFlow, Flow, FlowId, FlowState, FlowTable, Reassembler,
    StreamEvent,
};
use crate::histogram::Histogram;
use crate::journal::AlertEntry;
use crate::metrics::Counter;
use crate::pipeline::Rules;
use crate::shunting::Shunting;
use crate::tagging::Tags;

/// What stands for the address and port of a packet without IP.
const NOWHERE: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Asks the rules in the inspector's place, and looks on. A sensor has none; the tools for those who tune rules do.
pub trait Observer: Send {
    /// Does what [`Engine::inspect`] does.
    fn inspect(
        &mut self,
        engine: &Engine,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    );
}

/// Shows a subject to the rules, through the observer if there is one.
#[inline]
fn ask(
    observer: Option<&mut (dyn Observer + 'static)>,
    engine: &Engine,
    moment: &Moment<'_>,
    subject: &Subject<'_>,
    memory: &mut Option<Box<FlowMemory>>,
    scratch: &mut Scratch,
) {
    match observer {
        None => engine.inspect(moment, subject, memory, scratch),
        Some(observer) => observer.inspect(engine, moment, subject, memory, scratch),
    }
}

/// Counts the limits that bit in the last inspection.
#[inline]
fn count_limits(output: &mut Output, scratch: &Scratch, subject: &Subject<'_>) {
    let given_up = scratch.given_up();
    if !scratch.is_cut() && given_up == GivenUp::default() {
        return;
    }
    let cut = match subject {
        Subject::Packet => Counter::CutPackets,
        Subject::Stream(_) | Subject::StreamEvent(_) => Counter::CutStreams,
        Subject::Message { .. } => Counter::CutMessages,
    };
    output.counters.add(cut, scratch.is_cut().into());
    output.counters.add(Counter::GivenUpExpressions, given_up.expressions.into());
    output.counters.add(Counter::GivenUpPlaces, given_up.places.into());
}

/// What a worker needs to inspect any flow.
pub struct Inspector {
    /// Where events go, with the worker's counters.
    pub output: Output,
    rules: Rules,
    scratch: Scratch,
    reassembler: Reassembler,
    streams: flow::tcp::Settings,
    protocols: &'static [&'static Protocol],
    dissection: Dissection,
    histogram: Option<Box<Histogram>>,
    names: Names,
    observer: Option<Box<dyn Observer>>,
    held: Held,
    /// Packets that rules want recorded.
    pub tags: Tags,
    /// Leaves flows to the kernel; live only.
    shunting: Option<Shunting>,
    /// Flows with matches that wait for an acknowledgement, and since when.
    waiting: VecDeque<(Timestamp, FlowId)>,
}

/// Bytes of unfinished messages that a flow may hold though all together hold too many: whoever floods the sensor with
/// beginnings of long messages must not make it lose the short ones of others.
const FEW_UNFINISHED: u64 = 4096;
/// How long an answer may take. What is older at an interim record of its flow is reported as unanswered.
const PATIENCE_NS: u64 = 60 * 1_000_000_000;

/// How long a match in stream bytes waits for their acknowledgement before it is reported all the same, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// Matches of a flow that wait at the most; further ones are reported at once.
const HELD: usize = 64;

/// Is what was said in the flow of no known protocol, as far as can be told?
#[inline]
fn has_failed(flow: &Flow, conversation: Option<&Conversation>) -> bool {
    flow.foreign || conversation.is_some_and(Conversation::has_failed)
}

/// Are there matches of the flow that are not reported yet?
fn holds(flow: &Flow) -> bool {
    flow.memory.as_ref().is_some_and(|memory| !memory.held.is_empty())
}

/// What all conversations of a worker hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// Bytes of unfinished messages.
    pub messages: u64,
    /// Requests that wait for their answers.
    pub requests: u64,
    /// Bytes of these requests.
    pub request_bytes: u64,
    /// Bytes of messages that are being joined.
    pub joined_bytes: u64,
    /// Flows of which rules remember something.
    pub remembered: u64,
}

impl Held {
    fn of(conversation: &Conversation) -> Self {
        let kept = conversation.kept();
        Self {
            messages: conversation.buffered() as u64,
            requests: kept.requests.into(),
            request_bytes: kept.request_bytes.into(),
            joined_bytes: kept.joined_bytes.into(),
            remembered: 0,
        }
    }

    /// Changes each part by that of `other`.
    fn change(&mut self, other: &Self, change: fn(u64, u64) -> u64) {
        self.messages = change(self.messages, other.messages);
        self.requests = change(self.requests, other.requests);
        self.request_bytes = change(self.request_bytes, other.request_bytes);
        self.joined_bytes = change(self.joined_bytes, other.joined_bytes);
    }
}

/// What events call the places that packets come from.
pub struct Names {
    /// The source's interfaces.
    pub interfaces: Vec<String>,
    /// The capture file; empty when live.
    pub capture: String,
}

impl Inspector {
    /// Made once a worker.
    pub fn new(
        rules: Rules,
        streams: &flow::tcp::Settings,
        (protocols, dissection): (&'static [&'static Protocol], &Dissection),
        output: Output,
        tags: Tags,
        histogram: bool,
        names: Names,
    ) -> Self {
        Self {
            output,
            rules,
            scratch: Scratch::default(),
            reassembler: Reassembler::new(streams),
            streams: streams.clone(),
            protocols,
            dissection: dissection.clone(),
            histogram: histogram.then(Box::default),
            names,
            observer: None,
            held: Held::default(),
            tags,
            shunting: None,
            waiting: VecDeque::new(),
        }
    }

    /// From now on flows of which nobody needs to see more are left to the kernel.
    pub fn leave_to_kernel(&mut self, shunting: Shunting) {
        self.shunting = Some(shunting);
    }

    /// Hands verdicts on flows to the kernel, and takes over what it counted.
    pub fn settle_shunts(&mut self, flows: &mut FlowTable) {
        let Some(mut shunting) = self.shunting.take() else { return };
        let mut due = Vec::new();
        shunting.settle(flows, &mut self.output.counters, &mut |id| due.push(id));
        for id in due {
            let flow = flows.get(id);
            self.report_flow(flow, FlowReason::Interim, flow.last());
        }
        self.shunting = Some(shunting);
    }

    /// From now on the rules are asked through this.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// Begins anew after a panic: what it held of flows is forgotten.
    pub fn restart(&mut self) {
        self.reassembler = Reassembler::new(&self.streams);
        self.scratch = Scratch::default();
        self.held = Held::default();
        self.waiting.clear();
        if let Some(shunting) = &mut self.shunting {
            shunting.restart(&mut self.output.counters);
        }
        self.output.counters.add(Counter::WorkerRestarts, 1);
    }

    /// Events from now on are of this capture file.
    pub fn use_capture(&mut self, name: &str) {
        name.clone_into(&mut self.names.capture);
        if let Some(recorder) = &mut self.output.evidence {
            recorder.begin_capture(name);
        }
        self.output.begin_session();
        // Another session has counters of its own.
        self.scratch = Scratch::default();
    }

    /// Takes over new rules.
    pub fn use_rules(&mut self, rules: &Rules) {
        self.rules = rules.clone();
        self.output.set_engine(Arc::clone(&rules.engine), rules.ruleset.clone());
    }

    /// Generation of the rules in force.
    pub fn generation(&self) -> u64 {
        self.rules.ruleset.generation
    }

    /// What all conversations hold.
    pub fn held(&self) -> Held {
        self.held
    }

    /// The ways that flows go among the rules.
    pub fn ways(&self) -> Ways {
        self.scratch.ways()
    }

    /// What reassembly did.
    pub fn streams(&self) -> flow::tcp::Stats {
        self.reassembler.stats()
    }

    /// The values counted, if they were to be.
    pub fn into_histogram(self) -> Option<Histogram> {
        self.histogram.map(|histogram| *histogram)
    }

    /// Reports what was wrong or odd in a packet's headers.
    #[cold]
    pub fn decode_events(&mut self, packet: &Packet<'_>, interface: InterfaceId) {
        self.output.counters.add(Counter::Invalid, 1);
        let header = packet_header(packet, &self.names, interface, 0);
        for event in packet.events.iter() {
            self.output.anomaly(&header, &Anomalous::Decode(event));
        }
    }

    /// Shows a fragment to the rules that look at packets: its headers, for the payload is the whole datagram's. `event`
    /// is what joining it met.
    pub fn fragment(&mut self, packet: &Packet<'_>, event: Option<DecodeEvent>, interface: InterfaceId) {
        if event.is_none() && !self.rules.engine.wants_packets() {
            return;
        }
        let mut packet = packet.clone();
        packet.payload.end = packet.payload.start;
        if let Some(event) = event.filter(|event| !packet.events.contains(*event)) {
            let offset = packet.ip.as_ref().map_or(0, |ip| ip.header.start);
            packet.events.push(event, offset);
            let header = packet_header(&packet, &self.names, interface, 0);
            self.output.anomaly(&header, &Anomalous::Decode(event));
        }
        self.without_flow(&packet, interface);
    }

    /// Shows a packet with a wrong checksum to the rules that look at packets: its headers, for its receiver would not
    /// take what it carries. It has no part in streams and conversations.
    pub fn refused(&mut self, flows: &mut FlowTable, packet: &Packet<'_>, interface: InterfaceId) {
        if !self.rules.engine.wants_packet(packet) {
            return;
        }
        let mut packet = packet.clone();
        packet.payload.end = packet.payload.start;
        let packet = &packet;
        let Some(found) = flows.lookup(packet) else { return self.flowless(packet, interface) };
        if let Some(ended) = found.replaced {
            self.ended(*ended);
        }
        self.keep_packet(flows.get_mut(found.id), packet, interface);
        self.inspect_packet(flows.get_mut(found.id), found.direction, packet, interface);
        flows.settle(found.id);
    }

    /// Takes a packet, which is no fragment, through its flow.
    pub fn packet(&mut self, flows: &mut FlowTable, packet: &Packet<'_>, interface: InterfaceId) {
        let Some(found) = flows.lookup(packet) else { return self.flowless(packet, interface) };
        if let Some(ended) = found.replaced {
            self.ended(*ended);
        }
        let flow = flows.get_mut(found.id);
        if let (Some(memory), false) = (flow.memory.as_deref(), packet.payload.is_empty()) {
            memory.fetch(found.direction);
        }
        self.keep_packet(flow, packet, interface);
        if found.created {
            self.count_flow(packet);
        }
        if found.interim {
            self.interim(flow, packet.timestamp);
        }
        if self.tags.wants(packet, &mut flow.memory) {
            self.output.packet(&packet_header(packet, &self.names, interface, flow.id()), packet);
        }
        let unseen = flow.bypass || flow.custody[found.direction.index()] == Custody::Kernel;
        if unseen && let Transport::Tcp(header) = &packet.transport {
            flow.tcp.resume(header, found.direction);
        }
        if flow.custody[found.direction.index()] == Custody::Kernel
            && let Some(recorder) = &mut self.output.evidence
        {
            recorder.left_to_kernel(flow.id(), packet.timestamp);
        }
        if flow.bypass {
            if let Transport::Tcp(header) = &packet.transport {
                self.reassembler.push(&mut flow.tcp, header, &[], found.direction, packet.timestamp, &mut Deaf);
            }
            self.consider(flow, found.id, packet, found.direction);
            return flows.settle(found.id);
        }
        let payload = packet.payload();
        if !payload.is_empty() && flow.conversation.is_none() && !flow.foreign {
            flow.conversation = self.converse(packet, flow);
        }
        // Used where it is: to move it would take as long as to make it.
        let mut pass = self.begin(flow, Some(packet), interface, packet.timestamp);
        let inspection = &mut pass.inspection;
        match packet.transport {
            Transport::Tcp(header) => {
                pass.reassembler.push(pass.tcp, &header, payload, found.direction, packet.timestamp, inspection);
            }
            Transport::Udp if !payload.is_empty() => inspection.datagram(found.direction, payload),
            _ if packet.ip.is_none() => inspection.datagram(found.direction, payload),
            _ => {}
        }
        let direction = inspection.way(found.direction);
        if !inspection.facts.link && inspection.wants_packet(packet, direction) {
            inspection.update(pass.tcp);
            inspection.inspect(direction, &Subject::Packet, payload);
        }
        let (conversation, touched) = (inspection.conversation.take(), inspection.touched);
        self.keep(flow, conversation, touched);
        if holds(flow) {
            let fresh = self.release(flow, Some(packet), interface, packet.timestamp, false);
            if fresh {
                self.waiting.push_back((packet.timestamp, found.id));
            }
        }
        if flow.is_link() {
            self.without_flow(packet, interface);
        } else {
            self.consider(flow, found.id, packet, direction);
        }
        flows.settle(found.id);
    }

    /// Keeps the frame in hand for evidence of its flow.
    #[inline]
    fn keep_packet(&mut self, flow: &Flow, packet: &Packet<'_>, interface: InterfaceId) {
        if let Some(recorder) = &mut self.output.evidence {
            recorder.of_flow(packet, interface, flow.id());
        }
    }

    /// Keeps a packet without a flow, and shows it to the rules that look at packets.
    #[cold]
    fn flowless(&mut self, packet: &Packet<'_>, interface: InterfaceId) {
        if let Some(recorder) = &mut self.output.evidence {
            recorder.without_flow(packet, interface);
        }
        self.without_flow(packet, interface);
    }

    #[inline]
    fn consider(&mut self, flow: &mut Flow, id: FlowId, packet: &Packet<'_>, direction: Direction) {
        let Some(shunting) = &mut self.shunting else { return };
        if shunting.consider(flow, id, packet, direction) {
            if let Some(recorder) = &mut self.output.evidence {
                recorder.left_to_kernel(flow.id(), packet.timestamp);
            }
            // What comes after a gap that nobody notices would mislead it.
            if let Some(conversation) = flow.conversation.take() {
                self.held.change(&Held::of(&conversation), u64::wrapping_sub);
            }
            flow.foreign |= flow.protocol.is_none();
        }
    }

    /// Takes the packet that carries a tunnel through its flow. Rules see it; what it carries has a flow of its own, so no
    /// protocol is looked for here. What is odd in its headers was told of the packet within.
    pub fn carrier(&mut self, flows: &mut FlowTable, packet: &Packet<'_>, interface: InterfaceId) {
        let mut packet = packet.clone();
        packet.events = DecodeEvents::default();
        let Some(found) = flows.lookup(&packet) else { return self.flowless(&packet, interface) };
        if let Some(ended) = found.replaced {
            self.ended(*ended);
        }
        let flow = flows.get_mut(found.id);
        self.keep_packet(flow, &packet, interface);
        if found.created {
            self.count_flow(&packet);
            flow.foreign = true;
        }
        if found.interim {
            self.report_flow(flow, FlowReason::Interim, packet.timestamp);
        }
        self.inspect_packet(flow, found.direction, &packet, interface);
        flows.settle(found.id);
    }

    /// A flow goes on for long: it is reported, and with it what was asked in it and never answered.
    #[cold]
    fn interim(&mut self, flow: &mut Flow, now: Timestamp) {
        self.report_flow(flow, FlowReason::Interim, now);
        let Some(until) = now.0.checked_sub(PATIENCE_NS).map(Timestamp) else { return };
        let Pass { mut inspection, .. } = self.begin(flow, None, 0, now);
        inspection.touch();
        let mut conversation = inspection.conversation.take();
        if let Some(conversation) = &mut conversation {
            conversation.expire(until, &mut inspection);
        }
        let touched = inspection.touched;
        self.keep(flow, conversation, touched);
    }

    /// A flow is over: what it still holds is handed out, and its record written.
    pub fn ended(&mut self, ended: EndedFlow) {
        let EndedFlow { mut flow, reason, mut at } = ended;
        if let Some(shunting) = &mut self.shunting {
            shunting.ended(&mut flow, &mut self.output.counters);
            at = at.max(flow.last());
        }
        if holds(&flow) {
            self.release(&mut flow, None, 0, at, true);
        }
        let Pass { mut inspection, reassembler, tcp } = self.begin(&mut flow, None, 0, at);
        reassembler.finish(tcp, &mut inspection);
        inspection.touch();
        let mut failed = false;
        if let Some(mut conversation) = inspection.conversation.take() {
            conversation.expire(Timestamp::MAX, &mut inspection);
            failed = conversation.has_failed();
        }
        flow.foreign |= failed;
        let reason = match reason {
            EndReason::Timeout => FlowReason::Timeout,
            EndReason::Forced => FlowReason::Forced,
            EndReason::Shutdown => FlowReason::Shutdown,
            EndReason::TcpReuse => FlowReason::TcpReuse,
        };
        self.report_flow(&flow, reason, at);
        if let Some(memory) = flow.memory {
            self.held.remembered = self.held.remembered.wrapping_sub(1);
            memory.close(&mut self.scratch);
        }
    }

    /// Reports the matches held of a flow that wait no longer: the receiver has acknowledged their bytes, it is not seen,
    /// or they have waited long enough; `all` of them when the flow ends. True when some began to wait now.
    #[cold]
    fn release(
        &mut self,
        flow: &mut Flow,
        packet: Option<&Packet<'_>>,
        interface: InterfaceId,
        now: Timestamp,
        all: bool,
    ) -> bool {
        let Some(memory) = flow.memory.as_deref_mut() else { return false };
        let (mut fresh, mut ready) = (false, Vec::new());
        let tcp = &flow.tcp;
        memory.held.retain_mut(|held| {
            let begins = held.end.is_none();
            let end = *held.end.get_or_insert_with(|| tcp.next(held.direction));
            let waits =
                !all && tcp.has_acknowledged(held.direction, end) == Some(false) && now.since(held.since) < PATIENCE;
            fresh |= begins && waits;
            if !waits {
                ready.push(held.clone());
            }
            waits
        });
        if !ready.is_empty() {
            let Pass { mut inspection, .. } = self.begin(flow, packet, interface, now);
            inspection.facts.flow_ends = all;
            for held in ready {
                inspection.report_held(&held);
            }
            let (conversation, touched) = (inspection.conversation.take(), inspection.touched);
            self.keep(flow, conversation, touched);
        }
        fresh
    }

    /// All flows are over, and what they held is reported.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
        if let Some(shunting) = &mut self.shunting {
            shunting.finish();
        }
    }

    /// Reports what flows have held for long enough, or `all` of it: those whose rules are about to be replaced. Each is
    /// forgotten before it is reported, so that after a panic the rest can be.
    pub fn release_late(&mut self, flows: &mut FlowTable, now: Timestamp, all: bool) {
        while let Some(&(since, id)) = self.waiting.front()
            && (all || now.since(since) >= PATIENCE)
        {
            self.waiting.pop_front();
            let flow = flows.get_mut(id);
            if holds(flow) {
                self.release(flow, None, 0, since.max(now), all);
            }
        }
    }

    fn count_flow(&mut self, packet: &Packet<'_>) {
        let counters = &mut self.output.counters;
        match packet.transport {
            _ if packet.ip.is_none() => {}
            Transport::Tcp(_) => {
                counters.add(Counter::FlowsTcp, 1);
                counters.add(Counter::TcpSessions, 1);
            }
            Transport::Udp => counters.add(Counter::FlowsUdp, 1),
            _ => counters.add(Counter::FlowsOther, 1),
        }
    }

    /// A conversation for the flow's first payload. Nothing is made for a flow that no protocol may be expected in.
    fn converse(&self, packet: &Packet<'_>, flow: &Flow) -> Option<Box<Conversation>> {
        if packet.ip.is_none() {
            let protocol = registry::by_ethertype(packet.ethernet?.ethertype)?;
            return Some(Box::new(Conversation::on_link(protocol, &self.dissection.limits(&[]))));
        }
        let medium = match packet.transport {
            Transport::Tcp(_) => Medium::Stream,
            Transport::Udp => Medium::Datagram,
            _ => return None,
        };
        let [(client, client_port), (server, server_port)] = [flow.client(), flow.server()];
        let limits = self.dissection.limits(&[server, client]);
        let opening = Opening {
            client_port,
            server_port,
            medium,
            roles_known: (flow.tcp_flags[0] | flow.tcp_flags[1]) & Tcp::SYN != 0,
        };
        Some(Box::new(Conversation::new(opening, self.protocols, &limits)))
    }

    /// One pass through a flow and its conversation.
    #[inline]
    fn begin<'p>(
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
    fn pass<'p>(
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

    /// Puts the conversation back and, if it was spoken to, takes over what it found out about the flow.
    fn keep(&mut self, flow: &mut Flow, conversation: Option<Box<Conversation>>, touched: bool) {
        if !touched {
            flow.conversation = conversation;
            return;
        }
        let Some(mut conversation) = conversation else { return };
        if flow.protocol.is_none()
            && let Some(protocol) = conversation.protocol()
        {
            flow.protocol = Some(protocol);
            self.output.counters.detected(protocol);
        }
        if conversation.take_reversed() {
            flow.reverse();
        }
        flow.foreign = conversation.is_unknown();
        let unfinished = conversation.buffered() as u64;
        if unfinished > FEW_UNFINISHED && self.held.messages + unfinished > self.dissection.max_unfinished_bytes {
            conversation.forget_unfinished();
            self.output.counters.add(Counter::BoundedUnfinished, 1);
        }
        self.held.change(&Held::of(&conversation), u64::wrapping_add);
        flow.conversation = (!flow.foreign).then_some(conversation);
    }

    /// Shows a packet of a flow to the rules that look at packets.
    fn inspect_packet(&mut self, flow: &mut Flow, direction: Direction, packet: &Packet<'_>, interface: InterfaceId) {
        if !self.rules.engine.wants_packet(packet) {
            return;
        }
        let Pass { mut inspection, .. } = self.pass(flow, None, Some(packet), interface, packet.timestamp);
        inspection.inspect(direction, &Subject::Packet, packet.payload());
    }

    /// Shows a packet without a flow (ARP, bare Ethernet) to the rules that look at packets.
    fn without_flow(&mut self, packet: &Packet<'_>, interface: InterfaceId) {
        if !self.rules.engine.wants_packet(packet) {
            return;
        }
        let ends = packet.ip.as_ref().map_or([NOWHERE; 2], |ip| [(ip.source, 0), (ip.destination, 0)]);
        let moment = Moment {
            packet: Some(packet),
            source: ends[0],
            destination: ends[1],
            direction: None,
            ip_protocol: packet.ip.as_ref().map_or(0, |ip| ip.protocol),
            established: false,
            protocol: None,
            timestamp: packet.timestamp,
            flow: None,
            route: None,
        };
        let (observer, engine) = (self.observer.as_deref_mut(), &self.rules.engine);
        // Of a packet without a flow nothing is remembered; what was found in it is told with it.
        let mut memory = None;
        ask(observer, engine, &moment, &Subject::Packet, &mut memory, &mut self.scratch);
        count_limits(&mut self.output, &self.scratch, &Subject::Packet);
        let header = packet_header(packet, &self.names, interface, 0);
        let alert = Alert {
            flow: None,
            protocol: None,
            packet: Some(packet),
            record: None,
            direction: None,
            payload: packet.payload(),
            stream: false,
            told: Told::nothing(),
            remarks: &[],
        };
        let [source, destination] = header.endpoints.map_or([NOWHERE; 2], |ends| [ends.source, ends.destination]);
        let told = OnceCell::new();
        for &rule in self.scratch.matches() {
            let noted = self.scratch.noted(rule);
            let found = Match { source, destination, timestamp: header.timestamp, noted };
            if let Some(entry) = self.output.matched(rule, header.number, found) {
                let told = told.get_or_init(|| self.rules.engine.told(memory.as_deref(), &self.scratch));
                let remarks = self.scratch.remarks(rule);
                self.output.alert(entry, &header, &Alert { told, remarks, ..alert });
            }
        }
    }

    /// Writes the record of a flow; those of the link layer have none, for consumers expect addresses and ports in it.
    fn report_flow(&mut self, flow: &Flow, reason: FlowReason, at: Timestamp) {
        if flow.is_link() {
            return;
        }
        let may_speak = matches!(flow.ip_protocol(), 6 | 17);
        let failed = may_speak && has_failed(flow, flow.conversation.as_deref());
        let tcp = (flow.ip_protocol() == 6).then(|| TcpSummary {
            flags: flow.tcp_flags,
            state: tcp_state(flow.tcp.state()),
            gap: [flow.tcp.has_gap(Direction::ToServer), flow.tcp.has_gap(Direction::ToClient)],
        });
        let summary = FlowSummary {
            packets: flow.packets,
            bytes: flow.bytes,
            start: flow.start(),
            end: flow.last(),
            state: if flow.bypass { event::FlowState::Bypassed } else { flow_state(flow.state()) },
            reason,
            alerted: flow.alerted,
            protocol: flow.protocol.or(failed.then_some(&registry::FAILED)),
            transactions: flow.transactions.into(),
            tcp,
        };
        let header = Header {
            timestamp: at,
            flow_id: flow.id(),
            pcap_filename: &self.names.capture,
            vlans: flow.vlans(),
            endpoints: Some(Endpoints {
                source: flow.client(),
                destination: flow.server(),
                protocol: flow.ip_protocol(),
            }),
            icmp: (flow.ip_protocol() == 1 || flow.ip_protocol() == 58).then_some((flow.icmp[0], flow.icmp[1])),
            ..Header::default()
        };
        let told = self.rules.engine.told_of_flow(flow.memory.as_deref());
        self.output.flow(&header, &summary, &told);
    }
}

/// What a pass is about: where it is, and what it needs to know of its flow, copied so that the flow's parts are free to
/// change.
struct Facts<'p> {
    packet: Option<&'p Packet<'p>>,
    interface: InterfaceId,
    names: &'p Names,
    timestamp: Timestamp,
    /// What is told is of a flow that ends; without it and without a packet, of one that was silent.
    flow_ends: bool,
    id: u64,
    client: (IpAddr, u16),
    server: (IpAddr, u16),
    ip_protocol: u8,
    vlans: Vlans,
    packets: [u64; 2],
    bytes: [u64; 2],
    start: Timestamp,
    sent: [u32; 2],
    established: bool,
    protocol: Option<&'static Protocol>,
    link: bool,
}

impl<'p> Facts<'p> {
    #[inline]
    fn of(
        flow: &Flow,
        failed: bool,
        packet: Option<&'p Packet<'p>>,
        interface: InterfaceId,
        names: &'p Names,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            packet,
            interface,
            names,
            timestamp,
            flow_ends: packet.is_none(),
            id: flow.id(),
            client: flow.client(),
            server: flow.server(),
            ip_protocol: flow.ip_protocol(),
            vlans: flow.vlans(),
            packets: flow.packets,
            bytes: flow.bytes,
            start: flow.start(),
            sent: flow.tcp.sent(),
            established: flow.state() == FlowState::Established,
            protocol: flow.protocol.or(failed.then_some(&registry::FAILED)),
            link: flow.is_link(),
        }
    }

    /// Client and server change places.
    fn turn(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        self.packets.swap(0, 1);
        self.bytes.swap(0, 1);
        self.sent.swap(0, 1);
    }

    /// Sender and receiver; nowhere on the link layer.
    fn ends(&self, direction: Direction) -> [(IpAddr, u16); 2] {
        match direction {
            _ if self.link => [NOWHERE; 2],
            Direction::ToServer => [self.client, self.server],
            Direction::ToClient => [self.server, self.client],
        }
    }

    /// Sender and receiver; `None` on the link layer.
    fn endpoints(&self, direction: Direction) -> Option<Endpoints> {
        let [source, destination] = self.ends(direction);
        (!self.link).then_some(Endpoints { source, destination, protocol: self.ip_protocol })
    }

    /// The header of an event that goes this way: endpoints as sender and receiver.
    fn header(&self, direction: Direction) -> Header<'p> {
        let base = match self.packet {
            Some(packet) => packet_header(packet, self.names, self.interface, self.id),
            None => Header {
                timestamp: self.timestamp,
                flow_id: self.id,
                pcap_filename: &self.names.capture,
                vlans: self.vlans,
                source: Some(if self.flow_ends { PacketSource::FlowEnd } else { PacketSource::Silence }),
                ..Header::default()
            },
        };
        Header { endpoints: self.endpoints(direction), ..base }
    }
}

/// Hears nothing of what a stream says: only its beginning and end are of interest.
struct Deaf;

impl Deliver for Deaf {
    fn data(&mut self, _: Direction, _: &[u8]) {}

    fn gap(&mut self, _: Direction, _: u64) {}

    fn event(&mut self, _: Direction, _: StreamEvent) {}
}

/// One pass, with what hands it the bytes of the flow's streams.
struct Pass<'p> {
    inspection: Inspection<'p>,
    reassembler: &'p mut Reassembler,
    tcp: &'p mut Connection,
}

/// One pass: a packet through its flow, or a flow through its end.
struct Inspection<'p> {
    rules: &'p Engine,
    scratch: &'p mut Scratch,
    output: &'p mut Output,
    histogram: Option<&'p mut Histogram>,
    observer: Option<&'p mut (dyn Observer + 'static)>,
    facts: Facts<'p>,
    conversation: Option<Box<Conversation>>,
    /// The conversation has been spoken to, and what it holds is for now not counted in `held`.
    touched: bool,
    /// What was read in this pass showed that client and server are the other way round. The flow learns it at its end, and
    /// who feeds bytes goes by the flow.
    turned: bool,
    memory: &'p mut Option<Box<FlowMemory>>,
    route: &'p Route,
    held: &'p mut Held,
    alerted: &'p mut bool,
    bypass: &'p mut bool,
    tags: &'p Tags,
    transactions: &'p mut u32,
}

impl<'p> Inspection<'p> {
    /// A datagram of the flow.
    fn datagram(&mut self, direction: Direction, payload: &[u8]) {
        self.said(&Envelope { direction, timestamp: self.facts.timestamp, datagram: true }, payload);
    }

    /// To be called before the conversation is spoken to: what it holds may change.
    fn touch(&mut self) {
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
    fn way(&self, direction: Direction) -> Direction {
        if self.turned { direction.opposite() } else { direction }
    }

    /// Is the packet to be shown to the rules? An observer wants to see all that any rule may be about.
    #[inline]
    fn wants_packet(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        let is_idle = || {
            let known = self.conversation.as_ref().and_then(|conversation| conversation.protocol());
            let protocol = known.or(self.facts.protocol);
            self.rules.is_idle(packet, (self.route, direction), protocol, self.scratch)
        };
        self.rules.wants_packet(packet) && (self.observer.is_some() || !is_idle())
    }

    /// The packet has been through its flow: what rules are told of the flow is what it is now.
    fn update(&mut self, tcp: &Connection) {
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
    fn inspect(&mut self, direction: Direction, subject: &Subject<'_>, bytes: &[u8]) {
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

    /// What a match does at once, whenever it is reported.
    #[cold]
    fn matched(&mut self, direction: Direction) {
        *self.alerted = true;
        for at in 0..self.scratch.matches().len() {
            let Some(&rule) = self.scratch.matches().get(at) else { return };
            if !self.rules.rule(rule).gated {
                self.tag(rule, direction);
            }
        }
    }

    /// Follows the tags of a rule: from its match on, or where its alerts are counted across flows, from its alert on.
    fn tag(&mut self, rule: RuleId, direction: Direction) {
        for &tag in &self.rules.rule(rule).tags {
            let ends = self.facts.ends(direction).map(|(address, _)| address);
            self.tags.follow(tag, self.memory, ends, self.facts.timestamp);
        }
    }

    /// Holds the matches back until it is known what became of their bytes; false when too many are held already.
    #[cold]
    fn hold(&mut self, direction: Direction, bytes: &[u8]) -> bool {
        let held = &mut self.memory.get_or_insert_default().held;
        if held.len() + self.scratch.matches().len() > HELD {
            self.output.counters.add(Counter::BoundedRuleMemory, 1);
            return false;
        }
        let one = |&rule: &RuleId| Delayed {
            rule,
            noted: self.scratch.noted(rule),
            remarks: self.scratch.remarks(rule).into(),
            direction,
            end: None,
            since: self.facts.timestamp,
            payload: self.output.kept(bytes).into(),
        };
        held.extend(self.scratch.matches().iter().map(one));
        true
    }

    /// Reports a match that was held back.
    fn report_held(&mut self, held: &Delayed) {
        let Some(entry) = self.admit(held.rule, held.direction, held.noted.clone(), None) else { return };
        let header = self.facts.header(held.direction);
        let protocol = self.conversation.as_ref().and_then(|conversation| conversation.protocol());
        let alert = self.alert(held.direction, protocol.or(self.facts.protocol), None, &held.payload, true);
        let rules = self.rules;
        let told = rules.told(self.memory.as_deref(), self.scratch);
        self.output.alert(entry, &header, &Alert { told: &told, remarks: &held.remarks, ..alert });
    }

    #[cold]
    fn report(
        &mut self,
        direction: Direction,
        protocol: Option<&'static Protocol>,
        subject: &Subject<'_>,
        payload: &[u8],
    ) {
        let (record, left) = match *subject {
            Subject::Message { record, left, .. } => (record, left),
            _ => (None, None),
        };
        let stream = matches!(subject, Subject::Stream(_));
        let (rules, told, mut written) = (self.rules, OnceCell::new(), None);
        for at in 0..self.scratch.matches().len() {
            let Some(&rule) = self.scratch.matches().get(at) else { return };
            let noted = self.scratch.noted(rule);
            let Some(entry) = self.admit(rule, direction, noted, left) else { continue };
            let whole = || (self.facts.header(direction), self.alert(direction, protocol, record, payload, stream));
            let (header, alert) = written.get_or_insert_with(whole);
            let told = told.get_or_init(|| rules.told(self.memory.as_deref(), self.scratch));
            let remarks = self.scratch.remarks(rule);
            self.output.alert(entry, header, &Alert { told, remarks, ..*alert });
        }
    }

    /// Counts a match; `None` when nobody is to see it. Most matches of rules with a threshold are such, so this comes
    /// before anything is made of them, and where a rule was `left` for a message, it is not inspected again for as long as
    /// it is silent.
    fn admit(
        &mut self,
        rule: RuleId,
        direction: Direction,
        noted: Box<[Noted]>,
        left: Option<Left>,
    ) -> Option<AlertEntry> {
        let [source, destination] = self.facts.ends(direction);
        let number = self.facts.packet.map_or(0, |packet| packet_number(packet, self.facts.names));
        let found = Match { source, destination, timestamp: self.facts.timestamp, noted };
        let entry = self.output.matched(rule, number, found);
        self.scratch.hear(self.output.forgotten());
        if let Some((left, silence)) = left.zip(self.output.silence()) {
            self.rules.hush(left, rule, silence, self.scratch);
        }
        if entry.as_ref().is_some_and(|entry| entry.admitted) {
            self.tag(rule, direction);
        }
        entry
    }

    /// An alert as it stands now.
    fn alert<'a>(
        &self,
        direction: Direction,
        protocol: Option<&'static Protocol>,
        record: Option<&'a dyn Record>,
        payload: &'a [u8],
        stream: bool,
    ) -> Alert<'a>
    where
        'p: 'a,
    {
        Alert {
            flow: self.facts.endpoints(Direction::ToServer).map(|endpoints| FlowSoFar {
                endpoints,
                packets: self.facts.packets,
                bytes: self.facts.bytes,
                start: self.facts.start,
            }),
            protocol,
            packet: self.facts.packet,
            record,
            direction: Some(direction),
            payload,
            stream,
            told: Told::nothing(),
            remarks: &[],
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

/// The header of an event about a packet, in the packet's view.
fn packet_header<'n>(packet: &Packet<'_>, names: &'n Names, interface: InterfaceId, flow_id: u64) -> Header<'n> {
    let endpoints = packet.ip.as_ref().map(|ip| Endpoints {
        source: (ip.source, packet.ports[0]),
        destination: (ip.destination, packet.ports[1]),
        protocol: ip.protocol,
    });
    let icmp = match packet.transport {
        Transport::Icmp { kind, code } => Some((kind, code)),
        _ => None,
    };
    Header {
        timestamp: packet.timestamp,
        flow_id,
        in_iface: if names.capture.is_empty() {
            names.interfaces.get(interface as usize).map_or("", String::as_str)
        } else {
            ""
        },
        pcap_filename: &names.capture,
        number: packet_number(packet, names),
        vlans: packet.vlans,
        endpoints,
        icmp,
        ethernet: packet.ethernet,
        source: Some(PacketSource::Wire(packet.tunnel)),
    }
}

/// Number of a packet in its capture file; 0 live.
fn packet_number(packet: &Packet<'_>, names: &Names) -> u64 {
    if names.capture.is_empty() { 0 } else { packet.number }
}

fn tcp_state(state: flow::TcpState) -> event::TcpState {
    use flow::TcpState;
    match state {
        TcpState::None => event::TcpState::None,
        TcpState::SynSent => event::TcpState::SynSent,
        TcpState::SynRecv => event::TcpState::SynReceived,
        TcpState::Established => event::TcpState::Established,
        TcpState::FinWait1 => event::TcpState::FinWait1,
        TcpState::FinWait2 => event::TcpState::FinWait2,
        TcpState::TimeWait => event::TcpState::TimeWait,
        TcpState::LastAck => event::TcpState::LastAck,
        TcpState::CloseWait => event::TcpState::CloseWait,
        TcpState::Closing => event::TcpState::Closing,
        TcpState::Closed => event::TcpState::Closed,
    }
}

fn flow_state(state: FlowState) -> event::FlowState {
    match state {
        FlowState::New => event::FlowState::New,
        FlowState::Established => event::FlowState::Established,
        FlowState::Closed => event::FlowState::Closed,
    }
}
