//! From a packet in its flow to events: streams, conversations, rules, and what is reported of them.
//!
//! [`Inspector`] holds what a worker needs for every flow, and is handed every packet and every flow that is over. What it
//! does with one is one pass (`pass::Inspection`).

mod conversations;
mod facts;
mod flow_record;
mod flowless;
mod matches;
mod observer;
mod pass;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use vigia_parsers::packet::{DecodeEvent, DecodeEvents, Packet, Transport};
use vigia_parsers::{Direction, Protocol, Timestamp};
use vigia_rules::{Scratch, Subject, Ways};

use crate::capture::InterfaceId;
use crate::config::Dissection;
use crate::event::{Anomalous, FlowReason, Output};
use crate::flow::{self, Custody, Flow, FlowId, FlowTable, Reassembler};
use crate::histogram::Histogram;
use crate::metrics::Counter;
use crate::pipeline::Rules;
use crate::shunting::Shunting;
use crate::tagging::Tags;
pub use conversations::Held;
use facts::packet_header;
pub use observer::Observer;
use pass::{Deaf, Pass};
use waiting::holds;

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
    tags: Tags,
    /// Leaves flows to the kernel; live only.
    shunting: Option<Shunting>,
    /// Flows with matches that wait for an acknowledgement, and since when.
    waiting: VecDeque<(Timestamp, FlowId)>,
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

    /// Ends tags on hosts that have fallen silent.
    pub fn settle_tags(&self, now: Timestamp) {
        self.tags.settle(now);
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
        // Another session has counters and tags of its own.
        self.scratch = Scratch::default();
        self.tags.begin_session();
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

    /// Shows a packet of a flow to the rules that look at packets.
    fn inspect_packet(&mut self, flow: &mut Flow, direction: Direction, packet: &Packet<'_>, interface: InterfaceId) {
        if !self.rules.engine.wants_packet(packet) {
            return;
        }
        let Pass { mut inspection, .. } = self.pass(flow, None, Some(packet), interface, packet.timestamp);
        inspection.inspect(direction, &Subject::Packet, packet.payload());
    }
}
