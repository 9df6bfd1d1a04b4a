//! The compiled engine: rules grouped so that a packet or message meets only rules which can match it.

use std::net::IpAddr;
use std::sync::Arc;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Anomaly, Direction, Protocol, Record, Timestamp};

use crate::language::{Diagnostic, Source, Variables};

/// Index of a rule in its engine.
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
    /// `reference` options, as `type,value`.
    pub references: Vec<(String, String)>,
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
}

/// The compiled rules. Immutable; shared by all workers.
pub struct Engine {
    rules: Vec<Rule>,
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
    },
}

/// What rules remember of a flow: bits, and which transactions raised what. Made on first use.
#[derive(Debug, Default)]
pub struct FlowMemory {}

/// Working memory of one worker; reused, so that inspection does not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    matches: Vec<RuleId>,
}

impl Scratch {
    /// Rules that matched in the last inspection and want an alert, in the order in which they are to be reported.
    pub fn matches(&self) -> &[RuleId] {
        &self.matches
    }
}

impl Engine {
    /// Compiles the rules of `sources`.
    pub fn compile(sources: &[Source], variables: &Variables) -> Compiled {
        let _ = (sources, variables);
        Compiled { engine: Self { rules: Vec::new() }, diagnostics: Vec::new(), failed: 0, skipped: 0 }
    }

    /// Is any rule inspected at [`Subject::Packet`]? When not, the caller need not ask for packets.
    pub fn wants_packets(&self) -> bool {
        true
    }

    /// Is any rule inspected at [`Subject::Stream`]? When not, the caller need not ask for stream bytes.
    pub fn wants_stream(&self) -> bool {
        true
    }

    /// Is any rule inspected at [`Subject::Message`] of this protocol?
    pub fn wants_messages(&self, protocol: &'static Protocol) -> bool {
        let _ = protocol;
        true
    }

    /// Hash of the rules in force, as hexadecimal digits: the same text and variables give the same hash everywhere.
    pub fn hash(&self) -> &str {
        ""
    }

    /// The rules, by [`RuleId`].
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What is known of a rule.
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// Inspects one subject; the matches are in `scratch` afterwards.
    pub fn inspect(
        &self,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    ) {
        let _ = (moment, subject, memory);
        scratch.matches.clear();
    }
}

/// What a [`Gate`] says to a match of a gated rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Report it.
    Report,
    /// Below or above its threshold: count it, do not report it.
    Suppress,
}

/// Cross-flow counting of matches: `threshold` and `detection_filter`, by source, destination, both, or rule. One gate
/// sees the matches of all workers in packet order, so that the number of workers changes nothing.
#[derive(Debug, Default)]
pub struct Gate {}

impl Gate {
    /// Counts a match and says whether it is to be reported.
    pub fn admit(
        &mut self,
        engine: &Engine,
        rule: RuleId,
        source: IpAddr,
        destination: IpAddr,
        timestamp: Timestamp,
    ) -> Verdict {
        let _ = (engine, rule, source, destination, timestamp);
        Verdict::Report
    }
}
