//! How far a rule comes with everything that it is shown, gathered into what a person wants to see first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use vigia_parsers::{Direction, Timestamp};
use vigia_rules::explain::{Asked, End, Probe, Reason, Requirement, Shortfall, Sighting, Silence};
use vigia_rules::{Action, Engine, FlowMemory, Moment, Scratch, Subject};

use crate::inspection::Observer;
use crate::language::{Language, Message, Phrase};

/// Different reasons that are kept for one requirement; what comes after them is only counted.
const REASONS: usize = 64;

/// What became of the rule on everything it was shown.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The capture that is being read.
    pub(super) capture: Arc<str>,
    /// What there was to see: packets, pieces of streams, messages by protocol.
    pub(super) seen: BTreeMap<String, u64>,
    /// Subjects that the rule was tried with.
    pub(super) tried: u64,
    /// Subjects that it matched and reported.
    pub(super) matched: u64,
    /// By how many requirements were met: the subjects that came so far.
    pub(super) stops: BTreeMap<usize, Stop>,
    /// Subjects that the engine reported although a requirement seemed not to be met: a fault of the probe.
    pub(super) disagreed: u64,
    /// Subjects that matched and were not reported, by why.
    pub(super) silent: BTreeMap<&'static str, (Silenced, u64)>,
}

/// Why what matched was not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silenced {
    Known(Silence),
    /// A pass rule matched the same packet or message.
    Outranked,
    /// Its threshold counts in the flow.
    Counted,
    /// A rule before it changed the marks of the flow on the same packet or message.
    Overtaken,
}

impl Silenced {
    const fn name(self) -> &'static str {
        match self {
            Self::Known(Silence::Quiet) => "noalert",
            Self::Known(Silence::Repeated) => "repeated",
            Self::Known(Silence::Passed) | Self::Outranked => "passed",
            Self::Counted => "threshold",
            Self::Overtaken => "marks_changed",
        }
    }

    pub(super) const fn message(self) -> Message {
        match self {
            Self::Known(Silence::Quiet) => Message::SilentQuiet,
            Self::Known(Silence::Repeated) => Message::SilentRepeated,
            Self::Known(Silence::Passed) | Self::Outranked => Message::SilentPassed,
            Self::Counted => Message::SilentCounted,
            Self::Overtaken => Message::SilentOvertaken,
        }
    }
}

/// Subjects that came equally far.
#[derive(Debug, Default)]
pub(super) struct Stop {
    pub(super) count: u64,
    /// Reasons, each with how often it stood in the way and the first subject that it did.
    pub(super) reasons: Vec<(Reason, u64, Example)>,
}

/// A subject.
#[derive(Debug, Clone)]
pub(super) struct Example {
    capture: Arc<str>,
    /// Number of the packet; 0 when a flow was flushed at its end.
    pub(super) packet: u64,
    pub(super) timestamp: Timestamp,
    pub(super) source: (IpAddr, u16),
    pub(super) destination: (IpAddr, u16),
}

impl Example {
    fn of(moment: &Moment<'_>, capture: &Arc<str>) -> Self {
        Self {
            capture: Arc::clone(capture),
            packet: moment.packet.map_or(0, |packet| packet.number),
            timestamp: moment.timestamp,
            source: moment.source,
            destination: moment.destination,
        }
    }

    pub(super) fn text(&self, language: Language) -> String {
        let ends = [self.source, self.destination].map(|(address, port)| match address {
            IpAddr::V6(address) => format!("[{address}]:{port}"),
            IpAddr::V4(address) => format!("{address}:{port}"),
        });
        let ends = ends.join(" -> ");
        match self.packet {
            0 => Message::TraceAtFlowEnd.with([ends.into(), (&*self.capture).into()]).text(language),
            number => {
                let number = number.to_string().into();
                Message::TracePacket.with([number, ends.into(), (&*self.capture).into()]).text(language)
            }
        }
    }

    fn json(&self) -> Value {
        json!({
            "capture": &*self.capture,
            "packet": self.packet,
            "timestamp": crate::event::text_of(self.timestamp),
            "src_ip": self.source.0,
            "src_port": self.source.1,
            "dest_ip": self.destination.0,
            "dest_port": self.destination.1,
        })
    }
}

/// Tries one rule with all that the engine is shown, before the engine.
pub(super) struct Tracer {
    probe: Arc<Probe>,
    /// The rule, as generator and signature id.
    rule: (u32, u32),
    trace: Arc<Mutex<Trace>>,
}

impl Tracer {
    pub(super) fn new(probe: Arc<Probe>, rule: (u32, u32), trace: Arc<Mutex<Trace>>) -> Self {
        Self { probe, rule, trace }
    }
}

impl Tracer {
    /// Is a flowbit or count what the rule came no further than?
    fn waits_for_mark(&self, sighting: &Sighting) -> bool {
        let failed = self.probe.requirements().get(sighting.met).filter(|_| sighting.reason.is_some());
        failed.is_some_and(|failed| matches!(failed.kind, Asked::Flowbit | Asked::Count))
    }
}

impl Observer for Tracer {
    fn inspect(
        &mut self,
        engine: &Engine,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    ) {
        let mut sighting = self.probe.look(moment, subject, memory.as_deref());
        engine.inspect(moment, subject, memory, scratch);
        let mine = |id: &&vigia_rules::RuleId| {
            let rule = engine.rule(**id);
            (rule.gid, rule.sid) == self.rule
        };
        let reported = scratch.matches().iter().any(|id| mine(&id));
        // What rules before it set on the same packet or message counts for it. Of a stream, the memory now holds these
        // bytes as well, so that they cannot be shown again.
        if let Some(first) = &mut sighting
            && !reported
            && self.waits_for_mark(first)
            && !matches!(subject, Subject::Stream(_))
            && let Some(second) = self.probe.look(moment, subject, memory.as_deref())
            && second.met > first.met
            && second.reason.is_some()
        {
            *first = second;
        }
        let unexplained = || {
            if self.probe.counts_by_flow() {
                Silenced::Counted
            } else if engine.rules().iter().any(|rule| rule.action == Action::Pass) {
                Silenced::Outranked
            } else {
                Silenced::Overtaken
            }
        };
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        trace.saw(subject);
        match sighting {
            Some(sighting) if reported => {
                trace.disagreed += u64::from(sighting.reason.is_some() && !self.waits_for_mark(&sighting));
                trace.tried += 1;
                trace.matched += 1;
            }
            Some(sighting) => trace.add(sighting, unexplained, moment),
            None => trace.disagreed += u64::from(reported),
        }
    }
}

impl Trace {
    fn saw(&mut self, subject: &Subject<'_>) {
        let kind = match subject {
            Subject::Packet => "packets".to_owned(),
            Subject::Stream(_) => "streams".to_owned(),
            Subject::StreamEvent(_) => "stream events".to_owned(),
            Subject::Message { record: Some(record), .. } => format!("messages of {}", record.protocol().name),
            Subject::Message { record: None, .. } => "anomalies".to_owned(),
        };
        *self.seen.entry(kind).or_default() += 1;
    }

    /// Adds a subject that the rule did not report.
    fn add(&mut self, sighting: Sighting, unexplained: impl FnOnce() -> Silenced, moment: &Moment<'_>) {
        self.tried += 1;
        let Sighting { met, reason, silence } = sighting;
        match reason {
            None => {
                let why = silence.map_or_else(unexplained, Silenced::Known);
                self.silent.entry(why.name()).or_insert((why, 0)).1 += 1;
            }
            Some(reason) => {
                let stop = self.stops.entry(met).or_default();
                stop.count += 1;
                match stop.reasons.iter().position(|known| known.0 == reason) {
                    Some(at) => stop.reasons[at].1 += 1,
                    None if stop.reasons.len() < REASONS => {
                        stop.reasons.push((reason, 1, Example::of(moment, &self.capture)));
                    }
                    None => {}
                }
            }
        }
    }

    /// The subjects that did not match, those that came furthest first; of each, the most frequent reason first.
    pub(super) fn near_misses(&self) -> impl Iterator<Item = (usize, &Stop, Vec<&(Reason, u64, Example)>)> {
        self.stops.iter().rev().map(|(met, stop)| {
            let mut reasons: Vec<_> = stop.reasons.iter().collect();
            reasons.sort_by_key(|reason| std::cmp::Reverse((nearness(&reason.0), reason.1)));
            (*met, stop, reasons)
        })
    }

    pub(super) fn json(&self, requirements: &[Requirement]) -> Value {
        let misses: Vec<Value> = self.near_misses().map(|(met, stop, reasons)| {
            let reasons: Vec<Value> = reasons.iter().map(|(reason, count, example)| {
                let mut value = reason_json(reason);
                value["text"] = reason_text(reason, true).text(Language::English).into();
                json!({ "reason": value, "count": count, "first": example.json() })
            }).collect();
            let failed = requirements.get(met).map_or(Value::Null, requirement_json);
            json!({ "met": met, "of": requirements.len(), "count": stop.count, "failed": failed, "reasons": reasons })
        }).collect();
        let silent: BTreeMap<_, _> = self.silent.iter().map(|(name, (_, count))| (*name, count)).collect();
        json!({
            "seen": self.seen,
            "tried": self.tried,
            "matched": self.matched,
            "matched_silently": silent,
            "disagreed": self.disagreed,
            "near_misses": misses,
        })
    }
}

/// A content that stands elsewhere, or in other letter case, is nearer to a match than one that is nowhere.
fn nearness(reason: &Reason) -> u8 {
    match reason {
        Reason::Buffer(Shortfall::Missing { elsewhere: Some(_), .. }) => 2,
        Reason::Buffer(Shortfall::Missing { other_case: Some(_), .. }) => 2,
        Reason::Address { reversed: true, .. } | Reason::Port { reversed: true, .. } => 2,
        Reason::Buffer(Shortfall::NoBuffer) => 0,
        _ => 1,
    }
}

pub(super) fn requirement_json(requirement: &Requirement) -> Value {
    let (kind, buffer) = match &requirement.kind {
        Asked::Transport => ("transport", None),
        Asked::IpVersion => ("ip_version", None),
        Asked::Protocol => ("protocol", None),
        Asked::Address(End::Source) => ("source_address", None),
        Asked::Address(End::Destination) => ("destination_address", None),
        Asked::Port(End::Source) => ("source_port", None),
        Asked::Port(End::Destination) => ("destination_port", None),
        Asked::Established => ("established", None),
        Asked::Direction => ("direction", None),
        Asked::Fragment => ("fragment", None),
        Asked::Flowbit => ("flowbit", None),
        Asked::Count => ("flowint", None),
        Asked::Condition => ("condition", None),
        Asked::Step(buffer) => ("step", Some(buffer)),
    };
    json!({ "kind": kind, "text": requirement.text, "buffer": buffer })
}

/// A requirement as a person reads it.
pub(super) fn requirement_text(requirement: &Requirement) -> Phrase {
    let text = || requirement.text.as_str().into();
    match &requirement.kind {
        Asked::Transport => Message::AskedTransport.with([text()]),
        Asked::IpVersion => Message::AskedIpVersion.with([text()]),
        Asked::Protocol => Message::AskedProtocol.with([text()]),
        Asked::Address(End::Source) => Message::AskedSource.with([text()]),
        Asked::Address(End::Destination) => Message::AskedDestination.with([text()]),
        Asked::Port(End::Source) => Message::AskedSourcePort.with([text()]),
        Asked::Port(End::Destination) => Message::AskedDestinationPort.with([text()]),
        Asked::Established | Asked::Direction | Asked::Fragment => Message::AskedFlow.with([text()]),
        Asked::Step(buffer) if buffer != "payload" && *buffer != requirement.text => {
            Message::AskedIn.with([text(), buffer.as_str().into()])
        }
        Asked::Flowbit | Asked::Count | Asked::Condition | Asked::Step(_) => Message::Verbatim.with([text()]),
    }
}

fn way(direction: Option<Direction>) -> (&'static str, Message) {
    match direction {
        Some(Direction::ToServer) => ("to_server", Message::WayToServer),
        Some(Direction::ToClient) => ("to_client", Message::WayToClient),
        None => ("none", Message::WayNone),
    }
}

fn reason_json(reason: &Reason) -> Value {
    match reason {
        Reason::Transport(was) => json!({ "kind": "transport", "was": was }),
        Reason::Protocol(was) => json!({ "kind": "protocol", "was": was }),
        Reason::Address { was, reversed } => json!({ "kind": "address", "was": was, "reversed": reversed }),
        Reason::Port { was, reversed } => json!({ "kind": "port", "was": was, "reversed": reversed }),
        Reason::Established(was) => json!({ "kind": "established", "was": was }),
        Reason::Direction(was) => json!({ "kind": "direction", "was": way(*was).0 }),
        Reason::Values(was) => json!({ "kind": "values", "was": was }),
        Reason::Unmet => json!({ "kind": "unmet" }),
        Reason::Buffer(shortfall) => match shortfall {
            Shortfall::NoBuffer => json!({ "kind": "no_buffer" }),
            Shortfall::Present => json!({ "kind": "present" }),
            Shortfall::Missing { from, to, length, elsewhere, other_case } => json!({
                "kind": "missing",
                "from": from,
                "to": to,
                "length": length,
                "elsewhere": elsewhere,
                "other_case": other_case,
            }),
            Shortfall::Found { at } => json!({ "kind": "found", "at": at }),
            Shortfall::Length { was } => json!({ "kind": "length", "was": was }),
            Shortfall::Other { at, length } => json!({ "kind": "step", "at": at, "length": length }),
        },
    }
}

/// A reason as a person reads it, with what to try where that is known and `hint` asks for it.
pub(super) fn reason_text(reason: &Reason, hint: bool) -> Phrase {
    let reversed = |was: String, reversed: bool| match reversed && hint {
        true => Message::WasReversed.with([was.into()]),
        false => Message::Was.with([was.into()]),
    };
    match reason {
        Reason::Transport(was) => Message::WasTransport.with([was.to_string().into()]),
        Reason::Protocol(Some(was)) => Message::Was.with([(*was).into()]),
        Reason::Protocol(None) => Message::WasNoProtocol.into(),
        Reason::Address { was, reversed: back } => reversed(was.to_string(), *back),
        Reason::Port { was, reversed: back } => reversed(was.to_string(), *back),
        Reason::Established(true) => Message::WasEstablished.into(),
        Reason::Established(false) => Message::WasNotEstablished.into(),
        Reason::Direction(was) => Message::Was.with([way(*was).1.into()]),
        Reason::Values(was) if was.is_empty() => Message::WasNotSo.into(),
        Reason::Values(was) => Message::Was.with([was.join(", ").into()]),
        Reason::Unmet => Message::WasNotSo.into(),
        Reason::Buffer(shortfall) => shortfall_text(shortfall),
    }
}

fn shortfall_text(shortfall: &Shortfall) -> Phrase {
    match shortfall {
        Shortfall::NoBuffer => Message::WasNoBuffer.into(),
        Shortfall::Present => Message::WasPresent.into(),
        Shortfall::Missing { length: 0, .. } => Message::WasEmpty.into(),
        Shortfall::Missing { from, to, length, elsewhere, other_case } => {
            let (from, to, length) = ((*from).into(), (*to).into(), (*length).into());
            match (elsewhere, other_case) {
                (Some(at), _) => Message::WasElsewhere.with([from, to, (*at).into()]),
                (None, Some(at)) => Message::WasOtherCase.with([from, to, (*at).into()]),
                (None, None) => Message::WasMissing.with([from, to, length]),
            }
        }
        Shortfall::Found { at } => Message::WasFound.with([(*at).into()]),
        Shortfall::Length { was } => Message::WasLength.with([(*was).into()]),
        Shortfall::Other { at, length } => Message::WasStep.with([(*at).into(), (*length).into()]),
    }
}
