//! One inspection: which rules are candidates, and which of them match.

use vigia_parsers::packet::Packet;

use super::counter::Track;
use super::program::{Extent, Program, Scope};
use super::route::{FLOWS, PACKETS, STREAMS, TURNS};
use super::tail::SEAM;
use super::view::View;
use super::{Engine, FlowMemory, GivenUp, Left, Moment, RuleId, Scratch, Subject, TCP, Verdict, column};

/// What may look over the inspection of rules. Inspection without it takes `()`, which compiles to nothing.
pub trait Watch {
    /// A rule is about to be inspected: `inspect` does it and says whether it matches.
    fn rule(&mut self, rule: RuleId, inspect: impl FnOnce() -> bool) -> bool;
}

impl Watch for () {
    #[inline(always)]
    fn rule(&mut self, _: RuleId, inspect: impl FnOnce() -> bool) -> bool {
        inspect()
    }
}

/// New bytes of a stream that are searched at once with the end of the old ones, at the most.
const AT_ONCE: usize = 2048;

/// The rule that stands for "passed" in the memory of a transaction.
pub(crate) const PASSED: u64 = u64::MAX;

impl Engine {
    /// Inspects one subject; the matches are in `scratch` afterwards.
    ///
    /// A rule speaks once for each transaction of a protocol that numbers them; a rule about addresses alone, or the
    /// protocol that was detected, speaks once for each direction of a flow. A pass rule that matches silences everything else at the same
    /// moment; beyond that, one that asks for fields silences its transaction, and one about addresses, the protocol or
    /// stream bytes silences the flow.
    pub fn inspect(
        &self,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    ) {
        self.inspect_watched(moment, subject, memory, scratch, &mut ());
    }

    /// As [`Engine::inspect`], with every inspection of a rule shown to `watch`.
    pub fn inspect_watched(
        &self,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
        watch: &mut impl Watch,
    ) {
        scratch.matches.clear();
        scratch.candidates.clear();
        scratch.noted.clear();
        scratch.remarks.clear();
        scratch.remarked.clear();
        scratch.bypass = false;
        (scratch.cut, scratch.steps, scratch.given_up) = (false, 0, GivenUp::default());
        let payload = || moment.packet.map(Packet::payload).unwrap_or_default();
        let registers = scratch.registers.take().unwrap_or_default();
        let mut joined = Vec::new();
        let mut view = View::new(moment, &registers);
        match *subject {
            Subject::Packet => {
                view.payload = payload();
                self.select_packet(&view, scratch);
            }
            Subject::Stream(bytes) => {
                view.payload = bytes;
                joined = std::mem::take(&mut scratch.joined);
                let last = memory.as_deref().zip(moment.direction).map_or(&[][..], |(it, way)| it.last(way));
                self.select_stream(&view, last, scratch);
                let fresh = scratch.candidates.len();
                let waiting = memory.as_deref().zip(moment.direction).map(|(it, way)| it.waiting(way, self.stamp));
                scratch.candidates.extend(waiting.into_iter().flatten());
                let turn = memory.as_deref().zip(moment.direction).and_then(|(it, way)| it.turn(way));
                let turn = turn.filter(|_| !self.turns.is_empty());
                if turn.is_some() || !scratch.candidates.is_empty() {
                    let tail = memory.as_deref().zip(moment.direction).map(|(it, way)| it.tail(way));
                    joined.clear();
                    tail.into_iter().flatten().for_each(|part| joined.extend_from_slice(part));
                    let seen = joined.len();
                    joined.extend_from_slice(bytes);
                    view = View { payload: &joined, seen, turn: turn.unwrap_or(0), ..view };
                }
                if let Some(turn) = turn {
                    let payload = joined.get(view.seen.saturating_sub(turn)..).unwrap_or_default();
                    let path = scratch.routes.of(self, view.moment).through(TURNS);
                    self.turns.select_on(path, &View { payload, ..view }, &mut scratch.work, &mut scratch.candidates);
                }
                if let Some(direction) = moment.direction {
                    let found = scratch.candidates.iter().take(fresh).copied();
                    let found = found.filter(|&rule| self.has_pattern(rule));
                    let memory = memory.get_or_insert_with(|| scratch.spare.take());
                    memory.follow(direction, bytes, self.stamp, found);
                }
            }
            Subject::StreamEvent(event) => {
                view.payload = payload();
                scratch.candidates.extend(self.stream_events.get(event).into_iter().flatten());
            }
            Subject::Message { record, anomalies, left } => {
                view = View { payload: payload(), record, anomalies, ..view };
                self.select_message(&view, left, scratch);
            }
        }
        if !scratch.candidates.is_empty() {
            self.select_passing(&view, subject, scratch);
            scratch.in_order();
            registers.begin(self.step_limit);
            self.evaluate(&view, subject, memory, scratch, watch);
            (scratch.cut, scratch.steps) = (registers.is_spent(), registers.steps());
            scratch.given_up = registers.given_up();
        }
        scratch.registers = Some(registers);
        if joined.capacity() > 0 {
            scratch.joined = joined;
        }
    }

    /// Candidates in the new bytes of a stream, and where they meet the old ones. To search a few bytes apart takes longer than to
    /// copy so many that all are searched at once.
    fn select_stream(&self, view: &View<'_>, last: &[u8], scratch: &mut Scratch) {
        let at_once = view.payload.len() <= AT_ONCE;
        if !last.is_empty() {
            let new = if at_once { view.payload } else { view.payload.get(..SEAM).unwrap_or_default() };
            scratch.seam.clear();
            scratch.seam.extend_from_slice(last);
            scratch.seam.extend_from_slice(new);
        }
        let (payload, seam) = match (last, at_once) {
            ([], _) => (view.payload, &[][..]),
            (_, true) => (&*scratch.seam, &[][..]),
            (_, false) => (view.payload, &*scratch.seam),
        };
        let view = View { payload, seam, ..*view };
        let path = scratch.routes.of(self, view.moment).through(STREAMS);
        self.streams.select_on(path, &view, &mut scratch.work, &mut scratch.candidates);
    }

    fn has_pattern(&self, rule: u32) -> bool {
        self.programs.get(rule as usize).is_some_and(|program| program.pattern.is_some())
    }

    fn select_packet(&self, view: &View<'_>, scratch: &mut Scratch) {
        let path = scratch.routes.of(self, view.moment).through(PACKETS);
        self.packets.select_on(path, view, &mut scratch.work, &mut scratch.candidates);
        // Rules about nothing but addresses and protocol have their say about a direction's first packet, and about the
        // first one once the protocol is known.
        let passed = view.moment.route.zip(view.moment.direction).is_some_and(|(route, way)| route.pass(way));
        if !passed {
            let path = scratch.routes.of(self, view.moment).through(FLOWS);
            self.flows.select_on(path, view, &mut scratch.work, &mut scratch.candidates);
        }
        let Some(packet) = view.moment.packet.filter(|packet| !packet.events.is_empty()) else { return };
        for event in packet.events.iter() {
            scratch.candidates.extend(self.decode_events.get(event as usize).into_iter().flatten());
        }
    }

    /// Pass rules on packets, where something of the packet is about to be reported before it is inspected itself. They come
    /// first, as all pass rules do.
    fn select_passing(&self, view: &View<'_>, subject: &Subject<'_>, scratch: &mut Scratch) {
        if self.passing.is_empty() || matches!(subject, Subject::Packet) || view.moment.packet.is_none() {
            return;
        }
        self.passing.select_left(None, &view.of_packet(), &mut scratch.work, &mut scratch.candidates);
    }

    fn select_message(&self, view: &View<'_>, left: Option<Left>, scratch: &mut Scratch) {
        let protocol = || view.record.map(|record| record.protocol()).or(view.moment.protocol);
        let messages = match left {
            Some(left) => self.messages.get(left.asked.of),
            None => protocol().and_then(|protocol| self.about(protocol)),
        };
        if let Some(messages) = messages.filter(|_| view.record.is_some()) {
            let left = left.and_then(|left| left.asked.rules);
            messages.records.select_left(left, view, &mut scratch.work, &mut scratch.candidates);
        }
        if !view.anomalies.is_empty() {
            scratch.candidates.extend(messages.iter().flat_map(|messages| &messages.events));
            scratch.candidates.extend(&self.events);
        }
    }

    fn evaluate(
        &self,
        view: &View<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
        watch: &mut impl Watch,
    ) {
        let transaction = view.record.map(|record| record.transaction());
        let packet = view.moment.packet;
        let fired = |memory: &FlowMemory| transaction.is_some_and(|transaction| memory.has_fired(transaction, PASSED));
        if memory.as_deref().is_some_and(|memory| memory.passed(packet) || self.passes && fired(memory)) {
            return;
        }
        let known = |memory: &FlowMemory| transaction.is_some_and(|transaction| memory.knows(transaction));
        let known = memory.as_deref().is_some_and(known);
        let at_packet = matches!(subject, Subject::Packet);
        let segment = view.moment.ip_protocol == TCP && at_packet;
        for &candidate in &scratch.candidates {
            let Some(program) = self.programs.get(candidate as usize) else { continue };
            if !view.registers.spend(1) {
                return;
            }
            if program.in_stream && segment {
                continue;
            }
            view.registers.forget_notes();
            // A pass rule on packets may match the packet before that is inspected.
            let early = program.pass && program.on_packets && !at_packet && packet.is_some();
            let transaction = transaction.filter(|_| !early);
            let matches = || match (transaction, &program.joined) {
                (Some(transaction), Some(_)) => program.matches_joined(view, transaction, memory),
                _ if early && program.matches_packet(view, memory.as_deref()) => true,
                _ => !(early && program.is_of_packets_alone()) && program.matches_stream(view, memory.as_deref()),
            };
            if !watch.rule(RuleId(candidate), matches) {
                if view.registers.has_notes.get() {
                    view.registers.keep_entropies(memory);
                }
                continue;
            }
            let fresh = match (program.scope, transaction) {
                (Scope::Flow, _) if view.moment.direction.is_some() => {
                    let direction = column::direction(view.moment.direction);
                    memory.get_or_insert_default().first(program.identity, direction)
                }
                (_, Some(transaction)) => fires(program, transaction, known, memory),
                _ => true,
            };
            if !fresh {
                continue;
            }
            program.apply(transaction, memory);
            if view.registers.has_notes.get() {
                let from = scratch.remarks.len();
                let noted = &mut |value| scratch.noted.push((RuleId(candidate), value));
                view.registers.keep_notes(memory, &mut |remark| scratch.remarks.push(remark), noted);
                scratch.remarked.push((RuleId(candidate), from..scratch.remarks.len()));
            }
            scratch.bypass |= program.bypass;
            if program.pass {
                let_pass(program, view.moment, transaction, at_packet, memory);
            }
            if is_heard(program, view.moment, memory) {
                scratch.matches.push(RuleId(candidate));
            }
            if program.pass {
                return;
            }
        }
    }
}

/// Is a match to be reported, or the gate's to hear of, as a silent rule's that marks hosts? The gate keeps the marks, and quiet.
fn is_heard(program: &Program, moment: &Moment<'_>, memory: &mut Option<Box<FlowMemory>>) -> bool {
    if program.silent && program.host_bits.is_empty() {
        return false;
    }
    let by_flow = program.threshold.as_ref().filter(|threshold| threshold.track == Track::Flow);
    let verdict =
        by_flow.map(|threshold| memory.get_or_insert_default().count(program.identity, threshold, moment.timestamp));
    verdict != Some(Verdict::Suppress)
}

/// A pass rule has matched: nothing more is reported of all that it reaches. Of a packet that is inspected itself nothing comes
/// after it, and what is of no flow has nothing else.
fn let_pass(
    program: &Program,
    moment: &Moment<'_>,
    transaction: Option<u64>,
    at_packet: bool,
    memory: &mut Option<Box<FlowMemory>>,
) {
    if moment.direction.is_none() {
        return;
    }
    match (program.extent, transaction, moment.packet) {
        (Extent::Flow, ..) => memory.get_or_insert_default().pass(),
        (Extent::Stream, ..) if moment.ip_protocol == TCP => memory.get_or_insert_default().pass(),
        (Extent::Transaction, Some(transaction), _) => memory.get_or_insert_default().fire(transaction, PASSED),
        (_, _, Some(packet)) if !at_packet => memory.get_or_insert_default().pass_packet(packet),
        _ => {}
    }
}

/// A rule speaks once for each transaction: true the first time that it is asked of this one. Of a transaction that was not
/// `known` before the message, which is newer than all that raised something, it is the first time for every rule.
pub(super) fn fires(program: &Program, transaction: u64, known: bool, memory: &mut Option<Box<FlowMemory>>) -> bool {
    let memory = memory.get_or_insert_default();
    let fresh = !(known && memory.has_fired(transaction, program.identity));
    if fresh {
        memory.fire(transaction, program.identity);
    }
    fresh
}
