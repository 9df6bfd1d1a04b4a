//! What a rule asks, in parts that can be put into words, and why it does not match what it is shown.
//!
//! Both work on the rule's text, taken apart anew: the engine knows nothing of it and pays nothing for it. A [`Probe`]
//! tries the conditions of one rule one after the other, as the engine does, and keeps which one failed first.

use std::net::IpAddr;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Direction, Protocol};

use crate::anatomy::{Anatomy, environment};
pub use crate::engine::chain::Shortfall;
use crate::engine::chain::Step;
use crate::engine::counter::Track;
use crate::engine::program::{Header, Scope, is_joined};
use crate::engine::value::Registers;
use crate::engine::view::{Key, View, same};
use crate::engine::{FlowMemory, Moment, PASSED, Rule, Subject, TCP, direction_number};
use crate::keyword::Place;
use crate::language::header::Resolver;
use crate::language::syntax::{Arrow, Statement, statements};
use crate::language::{Diagnostic, Severity, Source, Variables};

/// One option of a rule, with the modifiers that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The keyword.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
    /// What is said of it besides: `nocase`, `depth` and their like.
    pub modifiers: Vec<(String, Option<String>)>,
    /// What it does.
    pub role: Role,
    /// Names of the numbers in its value, where the protocol has some.
    pub names: Vec<String>,
}

/// What an option does in its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Something is asked.
    Test,
    /// Names the buffer that the following tests are about, or changes it.
    Buffer,
    /// Says something of the rule, asks nothing.
    Remark,
}

/// When a rule is inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// Every packet.
    Packets,
    /// Packets with this decode event.
    DecodeEvent(String),
    /// Stream bytes in order.
    Streams,
    /// What one end of a TCP stream says over several packets before the other answers.
    Turns,
    /// This event of reassembly.
    StreamEvent(String),
    /// Messages of a protocol.
    Messages(&'static str),
    /// Anomalies of a protocol, or of any.
    Anomalies(Option<&'static str>),
}

/// A key by which rules are told apart before they are inspected, with the values that this one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey {
    /// `ip_proto`, `direction`, `source_port`, `destination_port`, or a field.
    pub name: String,
    /// Ranges, both ends inclusive.
    pub values: Vec<(u64, u64)>,
}

/// What is done when the rule is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Contents that are searched for.
    pub contents: usize,
    /// Regular expressions.
    pub expressions: usize,
    /// Numbers read, lengths and other steps in buffers.
    pub steps: usize,
    /// Conditions on fields and headers.
    pub conditions: usize,
}

/// What a rule asks.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What is known of the rule.
    pub rule: Rule,
    /// Its text.
    pub text: String,
    /// Its header, word by word: action, protocol, source, port, arrow, destination, port.
    pub header: [String; 7],
    /// Its options, in their order.
    pub clauses: Vec<Clause>,
    /// When it is inspected.
    pub occasions: Vec<Occasion>,
    /// By what it is told apart from others then.
    pub keys: Vec<IndexKey>,
    /// The buffer and bytes that are looked for before it is inspected.
    pub fast_pattern: Option<(String, Vec<u8>)>,
    /// The buffers that it looks into.
    pub buffers: Vec<String>,
    /// What its inspection takes.
    pub work: Work,
    /// Speaks once for each direction of a flow.
    pub once_a_flow: bool,
}

/// Options that say something of a rule and ask nothing.
pub(crate) const REMARKS: &[&str] =
    &["msg", "sid", "rev", "gid", "classtype", "reference", "priority", "metadata", "target"];

/// What one rule needs of what it is shown, in the order in which it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What kind of thing is asked.
    pub kind: Asked,
    /// As the rule spells it.
    pub text: String,
}

/// What kind of thing a rule asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The IP protocol.
    Transport,
    /// The version of IP.
    IpVersion,
    /// The flow's protocol.
    Protocol,
    /// An address.
    Address(End),
    /// A port.
    Port(End),
    /// Whether the flow is established, or whether there is one.
    Established,
    /// Which way it goes.
    Direction,
    /// Whether the packet was put together from fragments.
    Fragment,
    /// A flowbit.
    Flowbit,
    /// A `flowint`.
    Count,
    /// A field or header.
    Condition,
    /// A step in this buffer.
    Step(String),
}

/// An end of what is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

/// Why a requirement is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The IP protocol is this one.
    Transport(u8),
    /// The flow's protocol is this one, or not known.
    Protocol(Option<&'static str>),
    /// The address is this one. With the ends swapped, the whole header would hold.
    Address {
        /// The address there.
        was: IpAddr,
        /// The header would hold the other way round.
        reversed: bool,
    },
    /// The port is this one. With the ends swapped, the whole header would hold.
    Port {
        /// The port there.
        was: u16,
        /// The header would hold the other way round.
        reversed: bool,
    },
    /// The flow is not established, or is.
    Established(bool),
    /// It goes this way, or is part of no flow.
    Direction(Option<Direction>),
    /// A field or header has these values; none at all when it is not there.
    Values(Vec<String>),
    /// A step in a buffer does not hold.
    Buffer(Shortfall),
    /// It is not so; there is no more to say.
    Unmet,
}

/// Why a rule of which everything holds does not report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// `noalert`: it only sets flowbits.
    Quiet,
    /// It has spoken for this transaction, or for this direction of the flow.
    Repeated,
    /// A pass rule matched the flow or transaction before.
    Passed,
}

/// How far a rule came with one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Requirements met before the first that is not: all of them when it matches.
    pub met: usize,
    /// Why the next one is not met.
    pub reason: Option<Reason>,
    /// It matches, but is not to report.
    pub silence: Option<Silence>,
}

/// One check of a probe, in the order of [`Probe::requirements`].
#[derive(Debug, Clone, Copy)]
enum Check {
    Transport,
    IpVersion,
    Protocol,
    Ends(usize),
    Established,
    Direction,
    OfFlow,
    Joined,
    Bit(usize),
    Count(usize),
    Variable(usize),
    Condition(usize),
    Chain { condition: usize, steps: usize },
}

/// One rule, ready to be tried against what the engine is shown.
pub struct Probe {
    anatomy: Anatomy,
    requirements: Vec<Requirement>,
    checks: Vec<Check>,
    ends: Vec<Ending>,
}

/// An address or port of the header.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Address(End),
    Port(End),
}

/// The statement of a rule in the sources, by file and line.
fn find<'s>(sources: &'s [Source], rule: &Rule) -> Option<(&'s Source, Statement<'s>)> {
    let source = sources.iter().find(|source| source.name == rule.origin.0)?;
    let line = rule.origin.1.checked_sub(1)? as usize;
    let start = match line {
        0 => 0,
        _ => memchr::memchr_iter(b'\n', source.text.as_bytes()).nth(line - 1)? + 1,
    };
    let rest = source.text.get(start..)?;
    // A rule that an override switched on stands behind a `#`.
    let marks = rest.len() - rest.trim_start_matches(['#', ' ', '\t']).len();
    let statement = statements(rest.get(marks..)?).next()?;
    Some((source, Statement { start: statement.start + start + marks, ..statement }))
}

fn take_apart(rule: &Rule, sources: &[Source], variables: &Variables) -> Option<Result<(Anatomy, String), Diagnostic>> {
    let (source, statement) = find(sources, rule)?;
    let made = Anatomy::of(statement, &environment(variables), &mut Resolver::new(variables));
    match made.map_err(|problem| problem.diagnostic(Severity::Error, source)) {
        Ok(anatomy) => Some(Ok((anatomy?, statement.text.to_owned()))),
        Err(diagnostic) => Some(Err(diagnostic)),
    }
}

/// What a rule of an engine asks; `sources` are those that the engine was compiled from. None when the rule is not in
/// them.
pub fn explain(rule: &Rule, sources: &[Source], variables: &Variables) -> Option<Explanation> {
    let (anatomy, text) = take_apart(rule, sources, variables)?.ok()?;
    let program = &anatomy.ready.program;
    let member = program.member(0);
    let occasions = anatomy.ready.places.iter().map(|place| occasion(*place)).collect();
    let keys = member.domains.iter().map(|(key, values)| IndexKey {
        name: key_name(*key, anatomy.ready.places.first()),
        values: values.ranges().to_vec(),
    });
    let keys = keys.collect();
    let fast_pattern = anatomy.pattern.as_ref().map(|(buffer, bytes)| {
        let at = anatomy.sections.iter().position(|section| section.buffer == *buffer);
        (at.and_then(|at| anatomy.buffers.get(at)).cloned().unwrap_or_default(), bytes.clone())
    });
    let mut work = Work::default();
    for step in anatomy.sections.iter().flat_map(|section| &section.steps) {
        match step {
            Step::Content(_) => work.contents += 1,
            Step::Expression(_) => work.expressions += 1,
            _ => work.steps += 1,
        }
    }
    work.conditions = program.conditions.len() - anatomy.sections.len() + program.bit_tests.len();
    let mut buffers = anatomy.buffers.clone();
    buffers.dedup();
    Some(Explanation {
        rule: rule.clone(),
        text,
        header: anatomy.header.clone(),
        clauses: clauses(&anatomy, variables),
        occasions,
        keys,
        fast_pattern,
        buffers,
        work,
        once_a_flow: program.scope == Scope::Flow,
    })
}

fn clauses(anatomy: &Anatomy, variables: &Variables) -> Vec<Clause> {
    let environment = environment(variables);
    let mut clauses: Vec<Clause> = Vec::new();
    for part in &anatomy.parts {
        if part.is_modifier()
            && let Some(last) = clauses.last_mut().filter(|last| last.role == Role::Test)
        {
            last.modifiers.push((part.name.clone(), part.value.clone()));
            continue;
        }
        let adds = !part.conditions.is_empty() || part.steps.is_some();
        let role = match part.name.as_str() {
            name if REMARKS.contains(&name) => Role::Remark,
            _ if part.value.is_none() && !adds && part.bit_tests.is_empty() => Role::Buffer,
            _ => Role::Test,
        };
        let field = part.name.split_once('.').and_then(|(protocol, field)| {
            let protocol = environment.protocol(protocol)?;
            protocol.fields.get(protocol.field(field)?)
        });
        let names = match (field.map(|field| field.kind), &part.value) {
            (Some(vigia_parsers::field::Kind::Unsigned { names, .. }), Some(value)) => value
                .split(',')
                .filter_map(|number| number.trim().parse::<u64>().ok())
                .filter_map(|number| names.iter().find(|name| name.0 == number))
                .map(|name| name.1.to_owned())
                .collect(),
            _ => Vec::new(),
        };
        clauses.push(Clause { name: part.name.clone(), value: part.value.clone(), modifiers: Vec::new(), role, names });
    }
    clauses
}

fn occasion(place: Place) -> Occasion {
    match place {
        Place::Packet => Occasion::Packets,
        Place::DecodeEvent(event) => {
            let all = vigia_parsers::packet::DecodeEvent::ALL;
            let name = all.iter().find(|known| **known as u8 == event).map(|event| event.name().to_owned());
            Occasion::DecodeEvent(name.unwrap_or_default())
        }
        Place::Stream => Occasion::Streams,
        Place::Turn => Occasion::Turns,
        Place::StreamEvent(event) => Occasion::StreamEvent(event.to_owned()),
        Place::Message(protocol) => Occasion::Messages(protocol.name),
        Place::Waiting(protocol) => Occasion::Messages(protocol),
        Place::Anomaly(protocol) => Occasion::Anomalies(protocol.map(|protocol| protocol.name)),
    }
}

fn key_name(key: Key, place: Option<&Place>) -> String {
    match (key, place) {
        (Key::IpProtocol, _) => "ip_proto".to_owned(),
        (Key::Direction, _) => "direction".to_owned(),
        (Key::Protocol, _) => "protocol".to_owned(),
        (Key::DestinationPort, _) => "destination_port".to_owned(),
        (Key::SourcePort, _) => "source_port".to_owned(),
        (Key::Source, _) => "source_address".to_owned(),
        (Key::Destination, _) => "destination_address".to_owned(),
        (Key::TcpFlags, _) => "tcp.flags".to_owned(),
        (Key::IcmpType, _) => "itype".to_owned(),
        (Key::PayloadLength, _) => "dsize".to_owned(),
        (Key::Field(field), Some(Place::Message(protocol))) => {
            let name = protocol.fields.get(field).map_or("", |field| field.name);
            format!("{}.{name}", protocol.name)
        }
        (Key::Field(_), _) => String::new(),
    }
}

impl Probe {
    /// A probe for a rule of an engine; `sources` are those that the engine was compiled from. None when the rule is not
    /// in them.
    pub fn new(rule: &Rule, sources: &[Source], variables: &Variables) -> Option<Self> {
        let (anatomy, _) = take_apart(rule, sources, variables)?.ok()?;
        let mut probe = Self { anatomy, requirements: Vec::new(), checks: Vec::new(), ends: Vec::new() };
        probe.header();
        probe.flow();
        probe.conditions();
        Some(probe)
    }

    fn need(&mut self, check: Check, kind: Asked, text: impl Into<String>) {
        self.checks.push(check);
        self.requirements.push(Requirement { kind, text: text.into() });
    }

    fn header(&mut self) {
        let words = self.anatomy.header.clone();
        let header = &self.anatomy.ready.program.header;
        let (transports, version) = (!header.transports.is_everything(), header.v6.is_some());
        let protocol = header.protocol.is_some();
        let ends = [
            (header.source.is_some(), Ending::Address(End::Source), &words[2]),
            (header.source_ports.is_some(), Ending::Port(End::Source), &words[3]),
            (header.destination.is_some(), Ending::Address(End::Destination), &words[5]),
            (header.destination_ports.is_some(), Ending::Port(End::Destination), &words[6]),
        ];
        if transports {
            self.need(Check::Transport, Asked::Transport, &words[1]);
        }
        if version {
            self.need(Check::IpVersion, Asked::IpVersion, &words[1]);
        }
        if protocol {
            self.need(Check::Protocol, Asked::Protocol, &words[1]);
        }
        for (_, ending, word) in ends.into_iter().filter(|end| end.0) {
            self.ends.push(ending);
            let kind = match ending {
                Ending::Address(end) => Asked::Address(end),
                Ending::Port(end) => Asked::Port(end),
            };
            self.need(Check::Ends(self.ends.len() - 1), kind, word);
        }
    }

    fn flow(&mut self) {
        let flow = self.anatomy.ready.program.flow;
        if let Some(established) = flow.established {
            let text = if established { "established" } else { "not_established" };
            self.need(Check::Established, Asked::Established, text);
        }
        if let Some(direction) = flow.direction {
            let text = match direction {
                Direction::ToServer => "to_server",
                Direction::ToClient => "to_client",
            };
            self.need(Check::Direction, Asked::Direction, text);
        }
        if flow.stateless {
            self.need(Check::OfFlow, Asked::Established, "stateless");
        }
        if let Some(joined) = flow.joined {
            self.need(Check::Joined, Asked::Fragment, if joined { "only_frag" } else { "no_frag" });
        }
    }

    fn conditions(&mut self) {
        let program = &self.anatomy.ready.program;
        let (bits, counts, conditions) = (program.bit_tests.len(), program.count_tests.len(), program.conditions.len());
        let variables = program.variable_tests.len();
        for bit in 0..bits {
            let text = self.anatomy.text_of(|part| part.bit_tests.contains(&bit));
            self.need(Check::Bit(bit), Asked::Flowbit, text);
        }
        for count in 0..counts {
            let text = self.anatomy.text_of(|part| part.count_tests.contains(&count));
            self.need(Check::Count(count), Asked::Count, text);
        }
        for variable in 0..variables {
            let text = self.anatomy.text_of(|part| part.variable_tests.contains(&variable));
            self.need(Check::Variable(variable), Asked::Condition, text);
        }
        let sections = self.anatomy.sections.len();
        for condition in 0..conditions.saturating_sub(sections) {
            let text = self.anatomy.text_of(|part| part.conditions.contains(&condition));
            self.need(Check::Condition(condition), Asked::Condition, text);
        }
        // The chains of the sections come last, in their order.
        for section in 0..sections {
            let steps = self.anatomy.sections.get(section).map_or(0, |section| section.steps.len());
            let buffer = self.anatomy.buffers.get(section).cloned().unwrap_or_default();
            let condition = conditions - sections + section;
            self.checks.push(Check::Chain { condition, steps });
            if steps == 0 {
                let text = buffer.clone();
                self.requirements.push(Requirement { kind: Asked::Step(buffer), text });
                continue;
            }
            for step in 0..steps {
                let has = |steps: &(usize, std::ops::Range<usize>)| steps.0 == section && steps.1.contains(&step);
                let text = self.anatomy.text_of(|part| part.steps.as_ref().is_some_and(has));
                self.requirements.push(Requirement { kind: Asked::Step(buffer.clone()), text });
            }
        }
    }

    /// What the rule needs, in the order in which it is asked.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Are its matches counted in their flow, and only some of them reported?
    pub fn counts_by_flow(&self) -> bool {
        self.anatomy.ready.program.threshold.as_ref().is_some_and(|threshold| threshold.track == Track::Flow)
    }

    /// When the rule is inspected.
    pub fn occasions(&self) -> Vec<Occasion> {
        self.anatomy.ready.places.iter().map(|place| occasion(*place)).collect()
    }

    /// Tries the rule with a subject, as the engine is about to: `memory` is that of the flow before it is inspected.
    /// None when the rule is not inspected at such a subject.
    pub fn look(&self, moment: &Moment<'_>, subject: &Subject<'_>, memory: Option<&FlowMemory>) -> Option<Sighting> {
        if !self.anatomy.ready.places.iter().any(|place| self.is_inspected(*place, moment, subject, memory)) {
            return None;
        }
        let registers = Registers::default();
        let view = View::new(moment, &registers);
        let payload = moment.packet.map(Packet::payload).unwrap_or_default();
        let mut sighting = match *subject {
            Subject::Packet | Subject::StreamEvent(_) => self.try_all(&View { payload, ..view }, memory),
            Subject::Stream(bytes) => self.look_at_stream(&view, bytes, memory),
            Subject::Message { record, anomalies, .. } => {
                self.try_all(&View { payload, record, anomalies, ..view }, memory)
            }
        };
        if sighting.reason.is_none() {
            sighting.silence = self.silence(moment, subject, memory);
        }
        Some(sighting)
    }

    /// Stream bytes after those that were inspected before: what matched in those alone does not count again.
    fn look_at_stream(&self, view: &View<'_>, bytes: &[u8], memory: Option<&FlowMemory>) -> Sighting {
        let known = memory.zip(view.moment.direction);
        let tail = known.map(|(memory, direction)| memory.tail(direction).concat()).unwrap_or_default();
        let mut old = tail.as_slice();
        let program = &self.anatomy.ready.program;
        if program.in_turns {
            let turn = known.and_then(|(memory, direction)| memory.turn(direction)).unwrap_or(0);
            old = old.get(old.len().saturating_sub(turn)..).unwrap_or_default();
        }
        let joined = [old, bytes].concat();
        let matched = !old.is_empty() && program.matches(&View { payload: old, ..*view }, memory);
        self.try_all(&View { payload: if matched { bytes } else { &joined }, ..*view }, memory)
    }

    fn is_inspected(
        &self,
        place: Place,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: Option<&FlowMemory>,
    ) -> bool {
        let events = || moment.packet.into_iter().flat_map(|packet| packet.events.iter());
        match (place, subject) {
            (Place::Packet, Subject::Packet) => !self.anatomy.ready.program.in_stream || moment.ip_protocol != TCP,
            (Place::DecodeEvent(wanted), Subject::Packet) => events().any(|event| event as u8 == wanted),
            (Place::Stream, Subject::Stream(_)) => true,
            (Place::Turn, Subject::Stream(_)) => {
                memory.zip(moment.direction).is_some_and(|(memory, direction)| memory.turn(direction).is_some())
            }
            (Place::StreamEvent(wanted), Subject::StreamEvent(event)) => wanted == *event,
            (Place::Message(protocol), Subject::Message { record: Some(record), .. }) => {
                same(protocol, record.protocol())
            }
            (Place::Anomaly(protocol), Subject::Message { record, anomalies, .. }) => {
                let of = record.map(|record| record.protocol()).or(moment.protocol);
                let ours = |protocol: &'static Protocol| of.is_some_and(|of| same(protocol, of));
                !anomalies.is_empty() && protocol.is_none_or(ours)
            }
            _ => false,
        }
    }

    fn try_all(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> Sighting {
        let mut met = 0;
        for check in &self.checks {
            if let Check::Chain { condition, steps } = *check {
                let chain = self.anatomy.ready.program.conditions.get(condition).and_then(|it| it.chain());
                let Some(trace) = chain.map(|chain| chain.trace(view)) else { continue };
                if let Some(shortfall) = trace.failed {
                    return Sighting {
                        met: met + trace.passed,
                        reason: Some(Reason::Buffer(shortfall)),
                        silence: None,
                    };
                }
                met += steps.max(1);
                continue;
            }
            if let Err(reason) = self.try_one(*check, view, memory) {
                return Sighting { met, reason: Some(reason), silence: None };
            }
            met += 1;
        }
        Sighting { met, reason: None, silence: None }
    }

    fn try_one(&self, check: Check, view: &View<'_>, memory: Option<&FlowMemory>) -> Result<(), Reason> {
        let program = &self.anatomy.ready.program;
        let (header, flow, moment) = (&program.header, &program.flow, view.moment);
        // Of a rule on request and response, another message may have shown it.
        let transaction = view.record.map(|record| record.transaction()).filter(|_| program.joined.is_some());
        let shown = |at| transaction.is_some_and(|transaction| program.is_shown(at, transaction, memory));
        let met = |holds: bool, reason: Reason| if holds { Ok(()) } else { Err(reason) };
        match check {
            Check::Transport => {
                met(header.transports.contains(moment.ip_protocol.into()), Reason::Transport(moment.ip_protocol))
            }
            Check::IpVersion => met(header.v6 == Some(moment.source.0.is_ipv6()), Reason::Unmet),
            Check::Protocol => {
                let holds = header.protocol.zip(moment.protocol).is_some_and(|(wanted, of)| same(wanted, of));
                met(holds, Reason::Protocol(moment.protocol.map(|protocol| protocol.name)))
            }
            Check::Ends(at) => self.ends.get(at).map_or(Ok(()), |ending| try_end(header, *ending, moment)),
            Check::Established => {
                met(flow.established == Some(moment.established), Reason::Established(moment.established))
            }
            Check::Direction => met(flow.direction == moment.direction, Reason::Direction(moment.direction)),
            Check::OfFlow => met(moment.direction.is_some(), Reason::Unmet),
            Check::Joined => met(flow.joined == Some(is_joined(moment)), Reason::Unmet),
            Check::Bit(at) => met(program.bit_tests.get(at).is_none_or(|test| test.holds(view, memory)), Reason::Unmet),
            Check::Count(at) => met(program.count_tests.get(at).is_none_or(|test| test.holds(memory)), Reason::Unmet),
            Check::Variable(at) => {
                met(program.variable_tests.get(at).is_none_or(|test| test.holds(view, memory)), Reason::Unmet)
            }
            Check::Condition(at) | Check::Chain { condition: at, .. } => match program.conditions.get(at) {
                Some(condition) if !condition.holds(view) && !shown(at) => Err(Reason::Values(condition.seen(view))),
                _ => Ok(()),
            },
        }
    }

    fn silence(&self, moment: &Moment<'_>, subject: &Subject<'_>, memory: Option<&FlowMemory>) -> Option<Silence> {
        let program = &self.anatomy.ready.program;
        let transaction = match subject {
            Subject::Message { record, .. } => record.map(|record| record.transaction()),
            _ => None,
        };
        let fired = |rule| memory.zip(transaction).is_some_and(|(memory, id)| memory.has_fired(id, rule));
        let spoke = |memory: &FlowMemory| memory.spoke(program.identity, direction_number(moment.direction));
        if memory.is_some_and(|memory| memory.passed(moment.packet)) || fired(PASSED) {
            return Some(Silence::Passed);
        }
        let once = program.scope == Scope::Flow && moment.direction.is_some();
        if once && memory.is_some_and(spoke) || !once && fired(program.identity) {
            return Some(Silence::Repeated);
        }
        (program.silent && !program.pass && program.host_bits.is_empty()).then_some(Silence::Quiet)
    }
}

/// Does one end of the header hold, in the direction in which the rule comes further?
fn try_end(header: &Header, ending: Ending, moment: &Moment<'_>) -> Result<(), Reason> {
    let forward = (moment.source, moment.destination);
    let backward = (moment.destination, moment.source);
    let joins = |ends: ((IpAddr, u16), (IpAddr, u16))| header.joins(ends.0, ends.1);
    let swapped = match header.arrow {
        Arrow::Directed => false,
        Arrow::Both => !joins(forward) && joins(backward),
        Arrow::Transaction => moment.direction == Some(Direction::ToClient),
    };
    let ends = if swapped { backward } else { forward };
    let reversed = header.arrow == Arrow::Directed && joins(backward);
    let of = |end: End| if end == End::Source { ends.0 } else { ends.1 };
    let holds = match ending {
        Ending::Address(end) => {
            let set = if end == End::Source { &header.source } else { &header.destination };
            set.as_ref().is_none_or(|set| set.contains(of(end).0))
        }
        Ending::Port(end) => {
            let set = if end == End::Source { &header.source_ports } else { &header.destination_ports };
            set.as_ref().is_none_or(|set| set.contains(of(end).1))
        }
    };
    match ending {
        _ if holds => Ok(()),
        Ending::Address(end) => Err(Reason::Address { was: of(end).0, reversed }),
        Ending::Port(end) => Err(Reason::Port { was: of(end).1, reversed }),
    }
}
