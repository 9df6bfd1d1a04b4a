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
mod inspect;
mod line;
mod memory;
mod plain;
mod prefilter;
pub(crate) mod program;
pub(crate) mod regex;
mod route;
mod rule;
mod scratch;
mod sieve;
mod standing;
mod subject;
mod tail;
mod told;
pub(crate) mod transform;
pub(crate) mod value;
pub(crate) mod view;

use std::collections::HashMap;
use std::sync::Arc;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Direction, Protocol};

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
use group::{Group, Reach};
pub(crate) use inspect::PASSED;
pub use inspect::Watch;
pub use prefilter::{Asked, Leaving, Left};
use program::Program;
use route::Classes;
pub use route::{Route, Ways};
pub use rule::{Action, Reference, Rule, RuleId, Tag, TagLimit, TagScope, Target};
pub use scratch::Scratch;
pub(crate) use subject::TCP;
pub use subject::{FlowFacts, Moment, Subject};
pub use told::{Remark, Told};
pub use value::GivenUp;

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
}
