//! One worker: the whole path of a packet, from the captured frame to its fate.
//!
//! ```text
//! frame ─ decode ─ duplicate? ─ checksums ─ defragment ─ flow ─ stream ─ dissect ─ detect ─ events
//!          packet    flow::duplicate          flow::defrag  table  tcp   conversation  rules   event::Output
//! ```
//!
//! **Invariants.** A worker is one thread that owns all it touches: no lock and no hand-off within the path. Every packet
//! ends in exactly one [`Fate`], and its counter follows from that. Packet time drives every timer. The events of a
//! packet depend on the packets before it, not on how many workers share the capture.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use vigia_parsers::packet::{
    Captured, DecodeEvent, DecodeLimits, Packet, RedundancyKind, Transport, decode, decode_ip,
};
use vigia_parsers::{Protocol, Timestamp};
use vigia_rules::Engine;

use crate::capture::{InterfaceId, Source, SourceCounts};
use crate::config::Dissection;
use crate::event::{Output, Ruleset};
use crate::evidence::marks::Mark;
use crate::flow::{self, Defragmenter, Duplicates, EndedFlow, FlowTable};
use crate::histogram::Histogram;
use crate::inspection::{Inspector, Names, Observer};
use crate::metrics::{Counter, Counters, DropCause};
use crate::shunting::Shunting;
use crate::tagging::Tags;

/// What a worker is made from.
pub struct Parts {
    /// Which share of the packets is this worker's.
    pub share: Share,
    /// Flows, streams, fragments and duplicates.
    pub flow: flow::Settings,
    /// Bounds of decoding.
    pub decode: DecodeLimits,
    /// Bounds of what dissectors keep of a flow.
    pub dissection: Dissection,
    /// Drop packets with a wrong checksum, unless it is that of UDP.
    pub verify_checksums: bool,
    /// The protocols that are dissected.
    pub protocols: &'static [&'static Protocol],
    /// The rules in force.
    pub rules: Rules,
    /// What events call the source's interfaces and the capture file.
    pub names: Names,
    /// Counters of the second interface and those after it.
    pub counters: Vec<Counters>,
    /// Where events go.
    pub output: Output,
    /// What rules have tagged.
    pub tags: Tags,
    /// Count the values of every field.
    pub histogram: bool,
    /// Leaves flows to the kernel of which nobody needs to see more; live only.
    pub shunting: Option<Shunting>,
}

/// Rules with their place in the row of reloads.
#[derive(Clone)]
pub struct Rules {
    /// The compiled rules.
    pub engine: Arc<Engine>,
    /// Their generation and hash.
    pub ruleset: Ruleset,
}

/// How packets are shared out among workers that all read the same capture file: by the innermost addresses, so that
/// both directions of a flow, its fragments and the copies of a frame meet one worker.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    index: u32,
    of: u32,
}

impl Share {
    /// Everything: a live worker's, whose share the kernel has chosen already.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// Share `index` of `of`.
    pub fn new(index: u32, of: u32) -> Self {
        Self { index, of }
    }

    fn has(&self, packet: &Packet<'_>) -> bool {
        self.of == 1 || self.index == (host_pair(packet) % u64::from(self.of)) as u32
    }
}

/// A hash of the innermost addresses, the same for both directions; 0 without IP.
fn host_pair(packet: &Packet<'_>) -> u64 {
    // Each end is mixed before both are added: a sum or an exclusive or of raw addresses puts most pairs together.
    let mix = |address: IpAddr| {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let folded = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (folded ^ (folded >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    };
    packet.ip.as_ref().map_or(0, |ip| mix(ip.source).wrapping_add(mix(ip.destination)) >> 32)
}

/// Where a packet ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Processed,
    Dropped(DropCause),
}

/// A worker.
pub struct Worker {
    share: Share,
    decode: DecodeLimits,
    verify_checksums: bool,
    flow: flow::Settings,
    state: State,
    inspector: Inspector,
    counters: Vec<Counters>,
    counted: Vec<SourceCounts>,
    progress: Progress,
    through: u64,
    now: Timestamp,
    /// The latest time of a packet, which is not the last packet's where time steps back.
    latest: Timestamp,
}

/// What a panic may leave half done, and what is therefore made anew after one.
struct State {
    duplicates: Duplicates,
    defragmenter: Defragmenter,
    flows: FlowTable,
}

impl State {
    fn new(settings: &flow::Settings) -> Self {
        Self {
            duplicates: Duplicates::new(&settings.duplicates),
            defragmenter: Defragmenter::new(&settings.defrag),
            flows: FlowTable::new(&settings.table),
        }
    }
}

impl Worker {
    /// A worker that has seen nothing yet.
    pub fn new(parts: Parts) -> Self {
        let mut inspector = Inspector::new(
            parts.rules,
            &parts.flow.tcp,
            (parts.protocols, &parts.dissection),
            parts.output,
            parts.tags,
            parts.histogram,
            parts.names,
        );
        if let Some(shunting) = parts.shunting {
            inspector.leave_to_kernel(shunting);
        }
        Self {
            share: parts.share,
            decode: parts.decode,
            verify_checksums: parts.verify_checksums,
            state: State::new(&parts.flow),
            inspector,
            flow: parts.flow,
            counters: parts.counters,
            counted: Vec::new(),
            progress: Progress::default(),
            through: 0,
            now: Timestamp::default(),
            latest: Timestamp::default(),
        }
    }

    /// Takes a frame to its fate.
    #[inline]
    pub fn frame(&mut self, captured: &Captured<'_>, interface: InterfaceId) {
        self.through = captured.number;
        self.now = captured.timestamp;
        self.latest = self.latest.max(self.now);
        if let Some(recorder) = &mut self.inspector.output.evidence {
            recorder.begin(captured);
        }
        // A packet that cannot be decoded tells nobody whose it is: it is the first worker's.
        let mut mine = self.share.index == 0;
        let taken = catch_unwind(AssertUnwindSafe(|| {
            let mut packet = Packet::undecoded(captured);
            packet.decode(captured, &self.decode);
            let packet = &packet;
            mine = self.share.has(packet);
            if mine || packet.ip.as_ref().is_some_and(|ip| ip.fragment.is_some()) {
                let fate = self.packet(packet, interface, mine);
                if mine {
                    self.account(packet, interface, fate);
                }
            }
            // Each of the packets that carry its tunnels is this worker's when its addresses are.
            for tunnels in 0..packet.tunnel_depth {
                let carrier = decode(captured, &DecodeLimits { tunnels, ..self.decode });
                if self.share.has(&carrier) {
                    self.inspector.carrier(&mut self.state.flows, &carrier, interface);
                }
            }
        }));
        if taken.is_err() {
            self.restart();
            if mine {
                self.count(captured.wire_length, interface, Fate::Dropped(DropCause::WorkerPanic));
            }
        }
    }

    /// `mine` is false for fragments of others. They take the same way up to the whole datagram, since only that tells
    /// whose it is; what was odd about them is told by their own worker.
    fn packet(&mut self, packet: &Packet<'_>, interface: InterfaceId, mine: bool) -> Fate {
        if !packet.events.is_empty() {
            if mine {
                self.inspector.decode_events(packet, interface);
            }
            if packet.events.contains(DecodeEvent::TooManyLayers) {
                return Fate::Dropped(DropCause::DecodeLimit);
            }
        }
        if self.state.duplicates.check(packet).is_some() {
            return Fate::Dropped(DropCause::Duplicate);
        }
        let checksums = packet.checksums();
        if checksums.ip_bad || checksums.transport_bad {
            if mine {
                self.inspector.output.counters.add(Counter::BadChecksums, 1);
            }
            // A datagram disturbs no stream, and many hosts leave its checksum to hardware: it is taken all the same.
            let refused = checksums.ip_bad || packet.transport != Transport::Udp;
            if self.verify_checksums && refused {
                if mine {
                    self.inspector.refused(&mut self.state.flows, packet, interface);
                }
                return Fate::Dropped(DropCause::Checksum);
            }
        }
        if packet.ip.as_ref().is_some_and(|ip| ip.fragment.is_some()) {
            self.fragment(packet, interface, mine);
        } else {
            self.inspector.packet(&mut self.state.flows, packet, interface);
        }
        Fate::Processed
    }

    fn fragment(&mut self, packet: &Packet<'_>, interface: InterfaceId, mine: bool) {
        let six = packet.ip.as_ref().is_some_and(|ip| ip.source.is_ipv6());
        if mine {
            let counter = if six { Counter::FragmentsIpv6 } else { Counter::FragmentsIpv4 };
            self.inspector.output.counters.add(counter, 1);
        }
        if let Some(recorder) = &mut self.inspector.output.evidence {
            recorder.without_flow(packet, interface);
        }
        if let Some(datagram) = self.state.defragmenter.push(packet) {
            let whole = decode_ip(datagram, packet, &self.decode);
            if self.share.has(&whole) {
                let counter = if six { Counter::ReassembledIpv6 } else { Counter::ReassembledIpv4 };
                self.inspector.output.counters.add(counter, 1);
                if !whole.events.is_empty() {
                    self.inspector.decode_events(&whole, interface);
                }
                self.inspector.packet(&mut self.state.flows, &whole, interface);
            }
            for tunnels in 0..whole.tunnel_depth {
                let carrier = decode_ip(datagram, packet, &DecodeLimits { tunnels, ..self.decode });
                if self.share.has(&carrier) {
                    self.inspector.carrier(&mut self.state.flows, &carrier, interface);
                }
            }
        }
        if mine {
            self.inspector.fragment(packet, self.state.defragmenter.event(), interface);
        }
    }

    fn account(&mut self, packet: &Packet<'_>, interface: InterfaceId, fate: Fate) {
        self.count(packet.wire_length, interface, fate);
        let counters = &mut self.inspector.output.counters;
        count_layers(packet, counters);
        if packet.wire_length as usize > packet.bytes.len() {
            counters.add(Counter::TruncatedPackets, 1);
        }
    }

    fn count(&mut self, wire_length: u32, interface: InterfaceId, fate: Fate) {
        let wire = u64::from(wire_length);
        let counters = match (interface as usize).checked_sub(1).and_then(|index| self.counters.get_mut(index)) {
            Some(counters) => counters,
            None => &mut self.inspector.output.counters,
        };
        counters.add(Counter::PacketsSeen, 1);
        counters.add(Counter::BytesSeen, wire);
        match fate {
            Fate::Processed => {
                counters.add(Counter::PacketsProcessed, 1);
                counters.add(Counter::BytesProcessed, wire);
            }
            Fate::Dropped(cause) => counters.dropped(cause, 1),
        }
    }

    /// After a panic: flows and fragments begin anew, since they may be half changed. Events that were written stay, and
    /// matches that only wait for an acknowledgement are reported first: nobody will wait for it any more.
    #[cold]
    fn restart(&mut self) {
        tracing::error!(packet = self.through, "a worker failed and begins anew; its flows are forgotten");
        self.release_held();
        self.state = State::new(&self.flow);
        self.inspector.restart();
    }

    /// Reports what flows hold. One that makes this fail, too, is lost with what it holds; the others are not.
    fn release_held(&mut self) {
        loop {
            let Self { state, inspector, now, .. } = self;
            let released = || inspector.release_late(&mut state.flows, *now, true);
            if catch_unwind(AssertUnwindSafe(released)).is_ok() {
                return;
            }
            self.inspector.output.counters.add(Counter::HeldMatchesLost, 1);
        }
    }

    /// Ends flows. Their ends dissect, match and report as packets do, and what can panic there costs the flows only.
    fn end_flows(&mut self, end: impl FnOnce(&mut FlowTable, &mut dyn FnMut(EndedFlow))) {
        let Self { state, inspector, .. } = self;
        let ended = catch_unwind(AssertUnwindSafe(|| end(&mut state.flows, &mut |ended| inspector.ended(ended))));
        if ended.is_err() {
            self.restart();
        }
    }

    /// A batch is done: timers, gauges, counters, and the events on their way. `idle` says that no packet is waiting.
    pub fn settle(&mut self, source: &mut dyn Source, idle: bool) {
        let now = self.now;
        self.end_flows(|flows, ended| flows.advance(now, ended));
        self.inspector.release_late(&mut self.state.flows, now, false);
        self.inspector.settle_tags(now);
        self.inspector.settle_shunts(&mut self.state.flows);
        if let Some(recorder) = &mut self.inspector.output.evidence {
            recorder.settle(now);
        }
        self.count_source(source);
        let fill = source.fill();
        self.inspector.output.counters.set(Counter::RingFill, (100.0 * fill) as u64);
        self.inspector.output.relieve(fill, now);
        self.publish();
        self.inspector.output.flush(self.through, idle);
    }

    /// No packet came for a while: timers follow the clock of the capturing host.
    pub fn idle(&mut self, source: &mut dyn Source, now: Timestamp) {
        self.now = self.now.max(now);
        self.latest = self.latest.max(self.now);
        self.settle(source, true);
    }

    /// The source is at its end: every flow ends, and what is held goes out.
    pub fn finish(&mut self, source: &mut dyn Source) {
        let latest = std::mem::take(&mut self.latest);
        self.end_flows(|flows, ended| flows.finish(latest, ended));
        self.state = State::new(&self.flow);
        self.inspector.forget_waiting();
        self.settle(source, true);
        self.inspector.output.finish(self.through);
    }

    /// Events from now on are of this capture file; what the source counts begins anew.
    pub fn use_capture(&mut self, name: &str) {
        self.counted.clear();
        self.inspector.use_capture(name);
    }

    /// An alert that another reading of the capture has raised here.
    pub fn mark(&mut self, mark: &Mark) {
        if let Some(recorder) = &mut self.inspector.output.evidence {
            recorder.alert(mark.flow, mark.hosts, mark.timestamp, &mark.line, mark.raised);
        }
    }

    /// From now on the rules are asked through this.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.inspector.observe(observer);
    }

    /// Takes over new rules between two batches.
    pub fn use_rules(&mut self, rules: &Rules) {
        // What was matched is told in the terms of the rules that it matched.
        self.inspector.release_late(&mut self.state.flows, self.now, true);
        self.inspector.use_rules(rules);
    }

    /// Generation of the rules in force.
    pub fn generation(&self) -> u64 {
        self.inspector.generation()
    }

    /// Reports the counters of the whole sensor as an event.
    pub fn report_stats(&mut self, metrics: &crate::metrics::Metrics) {
        self.inspector.output.stats(self.now, metrics);
    }

    /// The values counted, if they were to be.
    pub fn into_histogram(self) -> Option<Histogram> {
        self.inspector.into_histogram()
    }

    /// What the kernel and the source dropped, each with its cause.
    fn count_source(&mut self, source: &mut dyn Source) {
        if self.share.index != 0 {
            return;
        }
        let interfaces = source.interfaces();
        self.counted.resize(interfaces.len(), SourceCounts::default());
        for (index, (interface, before)) in interfaces.iter().zip(&mut self.counted).enumerate() {
            let counters = match index.checked_sub(1).and_then(|index| self.counters.get_mut(index)) {
                Some(counters) => counters,
                None => &mut self.inspector.output.counters,
            };
            let now = interface.counts;
            for (cause, now, before) in [
                (DropCause::Kernel, now.kernel_dropped, before.kernel_dropped),
                (DropCause::NoBuffer, now.no_buffer, before.no_buffer),
                (DropCause::UnsupportedLink, now.unsupported_link, before.unsupported_link),
                (DropCause::Malformed, now.malformed, before.malformed),
            ] {
                let packets = now.saturating_sub(before);
                counters.add(Counter::PacketsSeen, packets);
                counters.dropped(cause, packets);
            }
            *before = now;
        }
    }

    /// Hands the numbers that the parts keep themselves to the metrics.
    fn publish(&mut self) {
        let table = self.state.flows.stats();
        let defrag = self.state.defragmenter.stats();
        let copies = self.state.duplicates.stats();
        let streams = self.inspector.streams();
        let (held, ways) = (self.inspector.held(), self.inspector.ways());
        let evicted = table.evicted_closed + table.evicted_new + table.evicted_established + table.evicted_ot;
        let counters = &mut self.inspector.output.counters;
        for (gauge, value) in [
            (Counter::FlowsActive, table.active),
            (Counter::FlowsLimit, self.flow.table.max_flows.into()),
            (Counter::FlowMemory, table.memory_bytes),
            (Counter::FlowServers, table.servers),
            (Counter::StreamMemory, streams.memory_bytes),
            (Counter::StreamMemoryLimit, self.flow.tcp.memory_bytes),
            (Counter::DefragMemory, defrag.memory_bytes),
            (Counter::ConversationMemory, held.messages),
            (Counter::Requests, held.requests),
            (Counter::RequestMemory, held.request_bytes),
            (Counter::JoinedMemory, held.joined_bytes),
            (Counter::RuleMemories, held.remembered),
            (Counter::RuleWays, ways.known),
        ] {
            counters.set(gauge, value);
        }
        self.progress.forward(
            counters,
            [
                (Counter::FlowServersForgotten, table.servers_begun_anew),
                (Counter::RuleWaysForgotten, ways.begun_anew),
                (Counter::FlowsTimeout, table.timed_out),
                (Counter::FlowsReused, table.reused),
                (Counter::FlowsShutdown, table.shut_down),
                (Counter::FlowsForced, evicted),
                (Counter::FlowsEvicted, evicted),
                (Counter::StreamGaps, streams.gaps),
                (Counter::StreamGapBytes, streams.gap_bytes),
                (Counter::SegmentsBuffered, streams.out_of_order),
                (Counter::SegmentsRefused, streams.gaps_limited + streams.gaps_memory),
                (Counter::SegmentOverlaps, streams.retransmitted),
                (Counter::SegmentOverlapsDifferent, streams.overlap_different),
                (Counter::Midstream, streams.midstream),
                (Counter::DuplicatesPrp, copies.prp),
                (Counter::DuplicatesHsr, copies.hsr),
                (Counter::DuplicatesMirrored, copies.mirrored),
                (Counter::RedundantLanA, copies.prp_lan_a + copies.hsr_path_a),
                (Counter::RedundantLanB, copies.prp_lan_b + copies.hsr_path_b),
                (Counter::RedundantMismatch, copies.redundant_mismatch),
                (Counter::DefragExpired, defrag.timed_out),
                (Counter::DefragRefused, defrag.limited_fragments + defrag.limited_datagrams + defrag.limited_memory),
            ],
        );
        for counters in &self.counters {
            counters.publish();
        }
    }
}

/// Carries counts that the parts keep themselves over to the metrics, by what they grew since the last time: a part that
/// begins anew begins at 0, the metric goes on.
#[derive(Default)]
struct Progress {
    before: Vec<u64>,
}

impl Progress {
    fn forward<const N: usize>(&mut self, counters: &mut Counters, now: [(Counter, u64); N]) {
        self.before.resize(N, 0);
        for ((counter, now), before) in now.into_iter().zip(&mut self.before) {
            counters.add(counter, now.checked_sub(*before).unwrap_or(now));
            *before = now;
        }
    }
}

/// Counts a packet's layers: what stands around it, network, transport.
fn count_layers(packet: &Packet<'_>, counters: &mut Counters) {
    let six = packet.ip.as_ref().map(|ip| ip.source.is_ipv6());
    match six {
        Some(true) => counters.add(Counter::Ipv6, 1),
        Some(false) => counters.add(Counter::Ipv4, 1),
        None if packet.ethernet.is_some_and(|ethernet| ethernet.ethertype == 0x0806) => counters.add(Counter::Arp, 1),
        None => {}
    }
    match packet.transport {
        Transport::Tcp(_) => counters.add(Counter::Tcp, 1),
        Transport::Udp => counters.add(Counter::Udp, 1),
        Transport::Sctp => counters.add(Counter::Sctp, 1),
        Transport::Icmp { .. } if six == Some(true) => counters.add(Counter::Icmpv6, 1),
        Transport::Icmp { .. } => counters.add(Counter::Icmpv4, 1),
        Transport::None => {}
    }
    match packet.redundancy.map(|redundancy| redundancy.kind) {
        Some(RedundancyKind::Prp) => counters.add(Counter::Prp, 1),
        Some(RedundancyKind::Hsr) => counters.add(Counter::Hsr, 1),
        None => {}
    }
    if packet.tunnel_depth > 0 {
        counters.add(Counter::Tunnelled, 1);
    }
    if !packet.vlans.ids().is_empty() {
        counters.add(Counter::Vlan, 1);
    }
}
