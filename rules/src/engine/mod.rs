//! The compiled engine: rules grouped so that a packet or message meets only rules which can match it.
//!
//! A rule is inspected at exactly one of the moments a [`Subject`] names: at the message when it asks for fields or
//! events of a protocol; in the stream when it has contents without a fixed place and the flow is TCP; otherwise at the
//! packet. Within a moment a `Group` finds the candidates, and each is inspected in the order of its [`RuleId`].
//!
//! **Architecture invariants.** Inspection changes nothing but the flow's memory and the scratch, and allocates nothing
//! unless a rule has something to remember.

pub(crate) mod buffer;
pub(crate) mod build;
pub(crate) mod bytes;
pub(crate) mod chain;
mod changes;
mod column;
pub(crate) mod content;
pub(crate) mod counter;
pub(crate) mod dataset;
pub(crate) mod gate;
pub(crate) mod group;
pub(crate) mod hosts;
mod line;
mod memory;
mod plain;
pub(crate) mod program;
pub(crate) mod regex;
mod route;
mod sieve;
mod standing;
mod tail;
mod told;
pub(crate) mod transform;
pub(crate) mod value;
pub(crate) mod view;

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Anomaly, Direction, Protocol, Record, Timestamp};

pub(crate) use buffer::{Buffer, HeaderBuffer};
pub use changes::SetChanges;
use dataset::Dataset;
pub use dataset::{Noted, SavedSet};
pub use gate::{Gate, Match, Silence, Verdict};
pub use memory::{Delayed, FlowMemory, Tagged};

use crate::language::{Diagnostic, Source, Variables};
use crate::tuning::{Change, Override, Unmatched};
pub(crate) use column::direction as direction_number;
use counter::Track;
use gate::Gated;
use group::{Group, Reach, Work};
use memory::Spare;
use plain::Word;
use program::{Extent, Program, Scope};
use route::{Classes, GROUPS, Routes};
pub use route::{Route, Ways};
use standing::Standings;
use tail::SEAM;
pub use told::{Remark, Told};
pub use value::GivenUp;
use value::Registers;
use view::View;

/// Index of a rule in its engine: also its rank, for rules are inspected and reported in this order. Pass rules come
/// first, then those that set flowbits before those that ask for them, then by priority and signature id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// What an alert says of the rule that raised it, and what `vigia rules list` shows.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Generator id, 1 unless the rule says otherwise.
    pub gid: u32,
    /// Signature id.
    pub sid: u32,
    /// Revision.
    pub rev: u32,
    /// The `msg`.
    pub message: String,
    /// Long name of the class, from the classifications.
    pub category: String,
    /// 1 is the most severe.
    pub priority: u8,
    /// `reference` options: the system, what it has there, and the link to it.
    pub references: Vec<Reference>,
    /// `metadata` keys with their values, in the order of the rule.
    pub metadata: Vec<(String, Vec<String>)>,
    /// What the rule's author asked for; Vigía never blocks, so it is only recorded.
    pub action: Action,
    /// The file it stands in, and its line there.
    pub origin: (Arc<str>, u32),
    /// The endpoint that is the victim, when the rule says so.
    pub target: Option<Target>,
    /// Cross-flow counting: the caller asks a [`Gate`] before it reports the match.
    pub gated: bool,
    /// Packets to be recorded after a match.
    pub tags: Vec<Tag>,
    /// The field of its protocol that is the frame it looks into.
    pub frame: Option<usize>,
}

/// Where to read more of what a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The system: `cve`.
    pub system: String,
    /// What it has there: `2020-7491`.
    pub value: String,
    /// The link, where the system is known; else both with a colon.
    pub link: String,
}

/// What a rule wants recorded after it matched (`tag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Whose packets.
    pub scope: TagScope,
    /// How many of them.
    pub limit: TagLimit,
}

/// Whose packets a tag is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagScope {
    /// The flow's.
    Session,
    /// The sender's of what matched.
    Source,
    /// The receiver's.
    Destination,
}

/// How far a tag goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagLimit {
    /// So many packets.
    Packets(u32),
    /// Packets with so many bytes in all.
    Bytes(u32),
    /// Packets of so many seconds.
    Seconds(u32),
}

/// The action of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Action {
    /// Nothing is to be reported of what it matches.
    Pass,
    /// Raise an alert; would drop the packet in an inline system.
    Drop,
    /// Raise an alert; would reset the connection in an inline system.
    Reject,
    /// Raise an alert.
    #[default]
    Alert,
}

/// The endpoint that a rule calls its target (`target:src_ip`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The sender of what matched.
    Source,
    /// The receiver.
    Destination,
}

/// What [`Engine::compile`] gives.
pub struct Compiled {
    /// The engine over all rules that compile.
    pub engine: Engine,
    /// Everything wrong in the sources, in their order.
    pub diagnostics: Vec<Diagnostic>,
    /// Rules left out because of an error.
    pub failed: usize,
    /// Rules left out on purpose: superseded by a higher revision, or what they require is not there.
    pub skipped: usize,
    /// Rules switched off because a keyword of theirs waits for a dissector or a feature.
    pub switched_off: usize,
    /// What overrides changed, in the order of the overrides of each rule.
    pub changes: Vec<Change>,
    /// Signature ids that overrides name and no rule has.
    pub unmatched: Vec<Unmatched>,
}

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

/// The compiled rules. Immutable; shared by all workers.
pub struct Engine {
    rules: Vec<Rule>,
    programs: Vec<Program>,
    /// Rules about addresses alone, and about the protocol that was detected.
    flows: Group,
    packets: Group,
    /// Those of both that are pass rules: they have their say before anything else of a packet is reported.
    passing: Group,
    /// What packets these are about.
    reach: Reach,
    /// What the groups on the way tell apart.
    classes: Classes,
    /// By [`vigia_parsers::packet::DecodeEvent`].
    decode_events: Vec<Vec<u32>>,
    streams: Group,
    /// Rules with places in packets, which are looked for in what is said over several packets, too.
    turns: Group,
    stream_events: HashMap<&'static str, Vec<u32>>,
    messages: Box<[Messages]>,
    /// By protocol: those among `messages` that are about it, its variants' too.
    protocols: Box<[(&'static Protocol, Option<usize>)]>,
    /// Rules on events of the application layer that belong to no protocol.
    events: Vec<u32>,
    /// Names of flowbits, counts and captured values.
    bits: HashMap<u64, String>,
    /// The sets that rules look values up in, by the numbers of their names.
    sets: Vec<(u64, Arc<Dataset>)>,
    hash: String,
    /// Rules that wait for a dissector or another feature.
    #[expect(dead_code, reason = "held so that its memory is measured; see `Engine::compile_whole`")]
    waiting: Box<[Group]>,
    /// Some are pass rules.
    passes: bool,
    /// Steps that one inspection may take.
    step_limit: Option<u64>,
    /// A part of the hash: what flows remember by rule number holds for this engine only.
    stamp: u64,
}

/// The rules on messages of one protocol.
struct Messages {
    records: Group,
    /// Rules that ask for an anomaly.
    events: Vec<u32>,
}

/// What the fields of a message leave of the rules on it ([`Engine::asked`]).
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The place of its protocol's rules among `messages`.
    of: usize,
    rules: Word,
}

/// What fields and flow leave of the rules on a message ([`Engine::left`]).
#[derive(Debug, Clone, Copy)]
pub struct Left {
    asked: Asked,
    /// Where what is known of its flow and direction stands.
    place: usize,
}

/// What [`Engine::left`] finds.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// The rules to be inspected; `None` when there is none.
    pub left: Option<Left>,
    /// Matches that nobody is to see: these are counted, and that is all.
    pub silent: u64,
}

/// The packet and flow around what is inspected.
pub struct Moment<'a> {
    /// The packet in hand; none when a flow is flushed at its end.
    pub packet: Option<&'a Packet<'a>>,
    /// Sender of what is inspected.
    pub source: (IpAddr, u16),
    /// Receiver of it.
    pub destination: (IpAddr, u16),
    /// Its direction in the flow; `None` for packets without a flow.
    pub direction: Option<Direction>,
    /// IP protocol number; 0 without IP.
    pub ip_protocol: u8,
    /// The flow is established: TCP handshake seen or picked up midstream, or both directions of UDP seen.
    pub established: bool,
    /// The flow's protocol, once detected.
    pub protocol: Option<&'static Protocol>,
    /// Time of it.
    pub timestamp: Timestamp,
    /// How far the flow has come; `None` for packets without a flow.
    pub flow: Option<FlowFacts>,
    /// What the flow keeps of its way among the rules. Without it, what they ask of addresses and ports is looked up each time.
    pub route: Option<&'a Route>,
}

/// How far a flow has come, what is inspected included. Arrays of two are by [`Direction::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowFacts {
    /// Time of its first packet.
    pub start: Timestamp,
    /// Packets by direction.
    pub packets: [u64; 2],
    /// Bytes by direction, link layer included.
    pub bytes: [u64; 2],
    /// How far the sequence numbers of TCP have come since the SYN, by sender.
    pub sent: [u32; 2],
}

/// What is inspected.
pub enum Subject<'a> {
    /// The packet itself: headers and payload.
    Packet,
    /// Bytes of a TCP stream in order.
    Stream(&'a [u8]),
    /// Something odd that reassembly met, in `stream-event` spelling: `reassembly_seq_gap`.
    StreamEvent(&'static str),
    /// A message of the flow's protocol, or anomalies without one.
    Message {
        /// The record; `None` when only the anomalies are known.
        record: Option<&'a dyn Record>,
        /// What was wrong in it.
        anomalies: &'a [Anomaly],
        /// What [`Engine::left`] leaves of the rules on it, where that was asked.
        left: Option<Left>,
    },
}

/// Working memory of one worker; reused, so that inspection does not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    matches: Vec<RuleId>,
    candidates: Vec<u32>,
    work: Work,
    routes: Routes,
    standings: Standings,
    registers: Option<Box<Registers>>,
    /// The end of a stream with what was added to it.
    joined: Vec<u8>,
    /// Values that matches noted for the gate.
    noted: Vec<(RuleId, Noted)>,
    /// What matches found out, and which of it each.
    remarks: Vec<Remark>,
    remarked: Vec<(RuleId, Range<usize>)>,
    bypass: bool,
    /// The part of it in which a pattern may stand that began before.
    seam: Vec<u8>,
    spare: Spare,
    /// The last inspection ended early.
    cut: bool,
    /// Steps that it took.
    steps: u64,
    given_up: GivenUp,
}

impl Scratch {
    /// Did the last inspection try any rule? If not, nothing but the end of a stream was remembered.
    #[inline]
    pub fn has_tried(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Did the last inspection end before all candidates were tried, since it had used up its steps?
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Steps that the last inspection took: a candidate, a place tried, some bytes searched are one.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How often limits of single rules bit in the last inspection.
    pub fn given_up(&self) -> GivenUp {
        self.given_up
    }

    /// Rules that matched in the last inspection and want an alert, in the order in which they are to be reported.
    pub fn matches(&self) -> &[RuleId] {
        &self.matches
    }

    /// What a match of the last inspection found out.
    pub fn remarks(&self, rule: RuleId) -> &[Remark] {
        let found = self.remarked.iter().find(|found| found.0 == rule);
        found.and_then(|found| self.remarks.get(found.1.clone())).unwrap_or_default()
    }

    /// How often the gate has forgotten counters ([`Gate::forgotten`]): whoever was silent then is asked anew.
    #[inline]
    pub fn hear(&mut self, forgotten: u64) {
        self.standings.hear(forgotten);
    }

    /// The ways that flows go among the rules, which are looked up once each.
    pub fn ways(&self) -> Ways {
        self.routes.ways()
    }

    /// Did a rule of the last inspection ask that its flow be passed by (`bypass`)?
    pub fn bypass(&self) -> bool {
        self.bypass
    }
}

/// New bytes of a stream that are searched at once with the end of the old ones, at the most.
const AT_ONCE: usize = 2048;

/// The rule that stands for "passed" in the memory of a transaction.
pub(crate) const PASSED: u64 = u64::MAX;

impl Engine {
    /// Compiles the rules of `sources`.
    pub fn compile(sources: &[Source], variables: &Variables) -> Compiled {
        Self::compile_for(sources, variables, vigia_parsers::registry::PROTOCOLS)
    }

    /// Compiles the rules of `sources` for traffic of `protocols`.
    pub fn compile_for(sources: &[Source], variables: &Variables, protocols: &'static [&'static Protocol]) -> Compiled {
        build::compile(sources, variables, protocols, &[], false)
    }

    /// Compiles the rules of `sources`, changed by `overrides` in their order.
    pub fn compile_tuned(sources: &[Source], variables: &Variables, overrides: &[Override]) -> Compiled {
        build::compile(sources, variables, vigia_parsers::registry::PROTOCOLS, overrides, false)
    }

    /// Compiles all rules of `sources`, those that wait for a dissector or another feature too: they are never inspected,
    /// but take the time and memory that they will take when it is there. For measuring.
    pub fn compile_whole(sources: &[Source], variables: &Variables) -> Compiled {
        build::compile(sources, variables, vigia_parsers::registry::PROTOCOLS, &[], true)
    }

    /// Is any rule inspected at [`Subject::Packet`], if only for decode events? When not, the caller need not ask for
    /// packets.
    pub fn wants_packets(&self) -> bool {
        !self.packets.is_empty() || !self.flows.is_empty() || self.decode_events.iter().any(|rules| !rules.is_empty())
    }

    /// Is any rule inspected at [`Subject::Packet`] for this packet? Cheaper than to inspect it: rules on decode events
    /// ask only for packets that have some, and those for ports or sizes for packets of these.
    #[inline]
    pub fn wants_packet(&self, packet: &Packet<'_>) -> bool {
        self.reach.covers(packet) || !self.flows.is_empty() || !packet.events.is_empty()
    }

    /// Is it known that no rule would be tried on this packet of a flow? It carries nothing, and all that is the same for
    /// the packets of its direction was looked up before. Much cheaper than to inspect it.
    #[inline]
    pub fn is_idle(
        &self,
        packet: &Packet<'_>,
        (route, direction): (&Route, Direction),
        protocol: Option<&'static Protocol>,
        scratch: &Scratch,
    ) -> bool {
        packet.payload.is_empty()
            && packet.events.is_empty()
            && self.packets.seeks_payload_only()
            && scratch.routes.is_bare(self, route, direction, route::protocol(protocol))
    }

    /// Is any rule inspected at [`Subject::Stream`]? When not, the caller need not ask for stream bytes.
    pub fn wants_stream(&self) -> bool {
        !self.streams.is_empty() || !self.turns.is_empty()
    }

    /// Is any rule inspected at this [`Subject::StreamEvent`]?
    pub fn wants_stream_event(&self, event: &str) -> bool {
        self.stream_events.contains_key(event)
    }

    /// Is any rule inspected at [`Subject::Message`] of this protocol?
    pub fn wants_messages(&self, protocol: &'static Protocol) -> bool {
        !self.events.is_empty() || self.about(protocol).is_some()
    }

    /// What the fields of a message leave of the rules on it; `None` when it is nothing: then there is no point in inspecting
    /// it, unless for what is wrong in it. Much cheaper than that.
    #[inline]
    pub fn asked(&self, record: &dyn Record) -> Option<Asked> {
        let of = self.number(record.protocol())?;
        Some(Asked { of, rules: self.messages.get(of)?.records.asked(record)? })
    }

    /// What the flow leaves of the rules that fields have left: those that allow its ends, and are not silent about them
    /// ([`Engine::hush`]). A match of one that is silent is remembered as any other, for the message's transaction.
    pub fn left(
        &self,
        asked: Asked,
        moment: &Moment<'_>,
        transaction: u64,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    ) -> Leaving {
        let all = Leaving { left: Some(Left { asked, place: usize::MAX }), silent: 0 };
        let (Some(rules), Some(messages)) = (asked.rules, self.messages.get(asked.of)) else { return all };
        let group = &messages.records;
        let (allowed, silent, place) = scratch.standings.standing(self.stamp, moment, || group.allowed(moment));
        let (rules, silent) = (rules & allowed & !silent, rules & allowed & silent);
        let known = memory.as_deref().is_some_and(|memory| memory.knows(transaction));
        let mut matches = 0;
        for at in column::ones(&[silent]) {
            let program = group.rules().get(at).and_then(|&rule| self.programs.get(rule as usize));
            matches += u64::from(program.is_some_and(|program| fires(program, transaction, known, memory)));
        }
        let any = rules != 0 || !group.is_keyed();
        let left = Left { asked: Asked { rules: Some(rules), ..asked }, place };
        Leaving { left: any.then_some(left), silent: matches }
    }

    /// Matches of this rule with the ends of a message that it was left for are not reported for a while. From now on they
    /// are found without inspection.
    pub fn hush(&self, left: Left, rule: RuleId, silence: Silence, scratch: &mut Scratch) {
        let rules = self.messages.get(left.asked.of).map_or(&[][..], |messages| messages.records.rules());
        let number = rules.iter().take(64).position(|&known| known == rule.0);
        let settled = |rule: RuleId| {
            let program = self.programs.get(rule.0 as usize);
            !self.passes && program.is_some_and(Program::is_settled) && self.rule(rule).tags.is_empty()
        };
        if let Some(number) = number.filter(|_| settled(rule)) {
            scratch.standings.hush(left.place, 1 << number, silence);
        }
    }

    /// The rules on messages of this protocol.
    fn about(&self, protocol: &'static Protocol) -> Option<&Messages> {
        self.messages.get(self.number(protocol)?)
    }

    /// Their place among `messages`.
    #[inline]
    fn number(&self, protocol: &'static Protocol) -> Option<usize> {
        self.protocols.iter().find(|known| std::ptr::eq(known.0, protocol))?.1
    }

    /// Bounds the steps that one inspection may take; `None` for no bound. What is left then is not inspected, and
    /// [`Scratch::is_cut`] tells.
    pub fn limit_steps(&mut self, limit: Option<u64>) {
        self.step_limit = limit;
    }

    /// Hash of the rules in force, as hexadecimal digits: the same text and variables give the same hash everywhere.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The rules, by [`RuleId`].
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What is known of a rule.
    ///
    /// # Panics
    /// When the id is of another engine.
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// The fast pattern of each rule that has one, and the buffer in which it is looked for. For measuring.
    pub fn fast_patterns(&self) -> impl Iterator<Item = (String, &[u8])> {
        let patterns = self.programs.iter().filter_map(|program| program.pattern.as_ref());
        patterns.map(|pattern| (pattern.buffer.to_string(), &*pattern.bytes))
    }

    /// Identity and threshold of a rule that is counted across flows.
    fn gated(&self, id: RuleId) -> Option<Gated<'_>> {
        let program = self.programs.get(id.0 as usize)?;
        Some(Gated {
            rule: program.identity,
            threshold: program.threshold.as_ref().filter(|threshold| threshold.track != Track::Flow),
            suppressions: &program.suppressions,
            rate: program.rate.as_ref(),
            bits: &program.host_bits,
            silent: program.silent,
        })
    }

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

    /// The groups whose rules are chosen by the way of a flow, by their numbers.
    fn on_the_way(&self) -> [&Group; GROUPS] {
        [&self.packets, &self.streams, &self.turns, &self.flows]
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
fn fires(program: &Program, transaction: u64, known: bool, memory: &mut Option<Box<FlowMemory>>) -> bool {
    let memory = memory.get_or_insert_default();
    let fresh = !(known && memory.has_fired(transaction, program.identity));
    if fresh {
        memory.fire(transaction, program.identity);
    }
    fresh
}

/// Numbers of the groups that are [on the way](Engine::on_the_way).
const PACKETS: usize = 0;
const STREAMS: usize = 1;
const TURNS: usize = 2;
const FLOWS: usize = 3;

/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;

impl Scratch {
    /// Candidates of several groups in one order, each once.
    fn in_order(&mut self) {
        if self.candidates.len() > 1 {
            self.candidates.sort_unstable();
            self.candidates.dedup();
        }
    }
}
