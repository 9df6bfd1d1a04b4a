//! A rule in the making, from its syntax tree to a program and the places where it is inspected.

use vigia_parsers::Protocol;

use super::kind::Kind;
use super::{Environment, Need, hook, names, option};
use crate::engine::build::Ready;
use crate::engine::chain::{Absence, Chain, Step};
use crate::engine::content::Content;
use crate::engine::counter::Threshold;
use crate::engine::group::Pattern;
use crate::engine::hosts::HostBits;
use crate::engine::program::{
    BitEffect, BitTest, CountEffect, CountTest, Extent, FlowTest, Header, Program, Scope, VariableTest,
};
use crate::engine::transform::Transform;
use crate::engine::value::{Number, SLOTS};
use crate::engine::view::{Condition, Key};
use crate::engine::{Action, Buffer, Rule, TCP};
use crate::language::header::Resolver;
use crate::language::integer::IntegerTest;
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::{Arrow, Tree, Word};
use crate::language::{Problem, nearest};

/// Bytes of a buffer that are soon searched: a content that can only lie there is looked for first, if it says enough.
const NEAR: usize = 256;
/// The [strength](Content::strength) of four bytes that differ.
const STRONG: usize = 16;

/// Where a rule is inspected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Every packet.
    Packet,
    /// Packets with this decode event.
    DecodeEvent(u8),
    /// Stream bytes.
    Stream,
    /// Stream bytes that a sender says before the other answers, over several packets.
    Turn,
    /// When reassembly met this.
    StreamEvent(&'static str),
    /// Messages of the protocol.
    Message(&'static Protocol),
    /// Nowhere yet: what is to give its buffers is not there, a protocol's dissector for one.
    Waiting(&'static str),
    /// Anomalies of the protocol, or of the application layer at large.
    Anomaly(Option<&'static Protocol>),
}

/// What became of a rule.
pub(crate) enum Fate {
    /// It compiled.
    Ready(Box<Ready>),
    /// It is left out on purpose; a warning says why.
    Skipped,
    /// It is right, but waits for what its keywords need.
    Waiting(Waiting),
}

/// A rule that is switched off because some of its keywords wait for something.
pub(crate) struct Waiting {
    pub(crate) sid: u32,
    /// The keywords, where they stand, and what they wait for.
    pub(crate) keywords: Vec<(String, std::ops::Range<usize>, Need)>,
}

/// Where the header or `flow` want a rule to be inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    Packet,
    Stream,
}

/// A rule in the making.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) rule: Rule,
    /// The protocol of the header, or of the fields asked for.
    pub(crate) protocol: Option<&'static Protocol>,
    /// The protocols there are.
    protocols: &'static [&'static Protocol],
    /// Asks for fields of a message.
    pub(crate) message: bool,
    /// Asks for an anomaly of the protocol, or of none.
    pub(crate) anomaly: Option<Option<&'static Protocol>>,
    pub(crate) decode_event: Option<u8>,
    pub(crate) stream_event: Option<&'static str>,
    /// Asks for what only a packet has.
    pub(crate) packet: bool,
    pub(crate) only: Option<Only>,
    /// `flow` with its options; `None` when the rule has none.
    pub(crate) flow: Option<FlowTest>,
    pub(crate) conditions: Vec<Box<dyn Condition>>,
    /// Asks for what may be another at each packet: it is not about addresses or the protocol alone.
    pub(crate) selective: bool,
    /// What is asked of each buffer, in the order of the rule.
    pub(crate) sections: Vec<Section>,
    /// The sticky buffer that steps go to, and its place in `sections`.
    sticky: Option<Sticky>,
    /// Names of extracted values, by slot.
    values: Vec<String>,
    pub(crate) bit_tests: Vec<BitTest>,
    pub(crate) bit_effects: Vec<BitEffect>,
    pub(crate) transaction_effects: Vec<BitEffect>,
    pub(crate) count_tests: Vec<CountTest>,
    pub(crate) count_effects: Vec<CountEffect>,
    pub(crate) variable_tests: Vec<VariableTest>,
    pub(crate) captures: bool,
    pub(crate) host_bits: HostBits,
    pub(crate) bits: Vec<(u64, String)>,
    pub(crate) silent: bool,
    pub(crate) bypass: bool,
    /// `alert`: it reports, though it is a pass rule.
    pub(crate) alerts: bool,
    /// How far its action says that it reaches.
    extent: Option<Extent>,
    pub(crate) threshold: Option<Threshold>,
    /// `priority` was given: classtype does not override it.
    pub(crate) own_priority: bool,
    pub(crate) warnings: Vec<Problem>,
    /// Why the rule is to be left out.
    pub(crate) unmet: Option<Problem>,
    /// It requires a version, which it may do once.
    pub(crate) versioned: bool,
    /// Its header allows what has no ports.
    pub(crate) portless: bool,
    /// Its author has chosen a content that is looked for first.
    pub(crate) has_fast_pattern: bool,
    /// Keywords that wait for something.
    waiting: Vec<(String, std::ops::Range<usize>, Need)>,
}

/// What is asked of one buffer.
#[derive(Clone)]
pub(crate) struct Section {
    pub(crate) buffer: Buffer,
    pub(crate) transforms: Vec<Transform>,
    pub(crate) absence: Option<Absence>,
    pub(crate) steps: Vec<Step>,
}

/// A sticky buffer, until it has its first step.
struct Sticky {
    buffer: Buffer,
    transforms: Vec<Transform>,
    section: Option<usize>,
    span: std::ops::Range<usize>,
    name: String,
}

impl Draft {
    /// Steps from here on are about `buffer`. With `anew` they need not hold in the same value as earlier ones.
    pub(crate) fn stick(&mut self, buffer: Buffer, anew: bool, name: Word<'_>) -> Result<(), Problem> {
        self.check_sticky()?;
        let same = |section: &Section| section.buffer == buffer && section.transforms.is_empty();
        let section = if anew { None } else { self.sections.iter().position(same) };
        self.sticky =
            Some(Sticky { buffer, transforms: Vec::new(), section, span: name.span(), name: name.text.to_owned() });
        Ok(())
    }

    /// What the rule waits for first.
    fn awaited(&self) -> Option<&'static str> {
        self.waiting.first().map(|(_, _, need)| need.name())
    }

    /// The rule is switched off: it uses `name`, which waits for something.
    pub(crate) fn wait(&mut self, name: Word<'_>, need: Need) {
        if !self.waiting.iter().any(|known| known.0 == name.text) {
            self.waiting.push((name.text.to_owned(), name.span(), need));
        }
    }

    /// A sticky buffer of which nothing is asked is a mistake.
    fn check_sticky(&self) -> Result<(), Problem> {
        match &self.sticky {
            Some(Sticky { section: None, span, buffer, .. }) if *buffer != Buffer::Payload => {
                Err(Problem::new("empty-buffer", say!("nothing is asked of this buffer"), span.clone())
                    .help(say!("expected `content` after it")))
            }
            _ => Ok(()),
        }
    }

    /// What the buffer in force becomes before it is looked into.
    pub(crate) fn transform(&mut self, transform: Transform, name: Word<'_>) -> Result<(), Problem> {
        let misplaced = || {
            Problem::new("misplaced", say!("`{}` belongs after a sticky buffer", name.text), name.span())
                .help(say!("before the first `content`"))
        };
        let sticky = self.sticky.as_mut().ok_or_else(misplaced)?;
        // The buffer as it stands and the buffer transformed are two; steps may be asked of both.
        let begun = sticky.section.and_then(|at| self.sections.get(at)).is_some_and(|it| !it.transforms.is_empty());
        if begun {
            return Err(misplaced());
        }
        sticky.section = None;
        sticky.transforms.push(transform);
        Ok(())
    }

    /// The section that steps go to.
    fn section(&mut self) -> &mut Section {
        let sections = &mut self.sections;
        let sticky = self.sticky.get_or_insert_with(|| Sticky {
            buffer: Buffer::Payload,
            transforms: Vec::new(),
            section: sections.iter().position(|s| s.buffer == Buffer::Payload && s.transforms.is_empty()),
            span: 0..0,
            name: "payload".to_owned(),
        });
        let at = *sticky.section.get_or_insert_with(|| {
            let transforms = std::mem::take(&mut sticky.transforms);
            sections.push(Section { buffer: sticky.buffer, transforms, absence: None, steps: Vec::new() });
            sections.len() - 1
        });
        &mut sections[at]
    }

    /// Adds a step in the buffer in force.
    pub(crate) fn push_step(&mut self, step: Step) {
        self.section().steps.push(step);
    }

    /// The buffer in force need not, or must not, be there.
    pub(crate) fn set_absence(&mut self, absence: Absence) {
        self.section().absence = Some(absence);
    }

    /// What the rule calls the buffer that steps go to now.
    pub(crate) fn buffer_name(&self) -> &str {
        self.sticky.as_ref().map_or("payload", |sticky| &sticky.name)
    }

    /// The buffer that steps go to now.
    pub(crate) fn buffer(&self) -> Buffer {
        self.sticky.as_ref().map_or(Buffer::Payload, |sticky| sticky.buffer)
    }

    /// Does it use a keyword that is not there yet, so that the rule is switched off?
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Where the name of the sticky buffer in force stands.
    pub(crate) fn sticking(&self) -> Option<usize> {
        self.sticky.as_ref().map(|sticky| sticky.span.start).filter(|&start| start > 0)
    }

    /// Has anything been decoded by `base64_decode`?
    pub(crate) fn decodes(&self) -> bool {
        self.sections.iter().flat_map(|section| &section.steps).any(|step| matches!(step, Step::Base64(_)))
    }

    /// The contents that are looked for in the buffer in force.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        let section = self.sticky.as_ref().and_then(|sticky| self.sections.get(sticky.section?));
        section.into_iter().flat_map(Section::contents).map(|(_, content)| content)
    }

    /// The content that a modifier belongs to.
    pub(crate) fn last_content(&mut self, name: Word<'_>) -> Result<&mut Content, Problem> {
        let at = self.sticky.as_ref().and_then(|sticky| sticky.section);
        at.and_then(|at| self.sections.get_mut(at))
            .and_then(|section| {
                section.steps.iter_mut().rev().find_map(|step| match step {
                    Step::Content(content) => Some(content),
                    _ => None,
                })
            })
            .ok_or_else(|| Problem::new("misplaced", say!("`{}` belongs after a `content`", name.text), name.span()))
    }

    /// The slot of a value that the rule extracts under this name.
    pub(crate) fn define(&mut self, name: Word<'_>) -> Result<u8, Problem> {
        let known = self.values.iter().position(|value| value == name.text);
        let at = known.unwrap_or_else(|| {
            self.values.push(name.text.to_owned());
            self.values.len() - 1
        });
        u8::try_from(at).ok().filter(|_| at < SLOTS).ok_or_else(|| {
            Problem::new("value-out-of-range", say!("a rule extracts at most {} values", SLOTS), name.span())
        })
    }

    /// The value extracted earlier under this name.
    pub(crate) fn extracted(&self, name: Word<'_>) -> Result<Number, Problem> {
        let at = self.values.iter().position(|value| value == name.text);
        at.and_then(|at| u8::try_from(at).ok()).map(Number::Extracted).ok_or_else(|| {
            let near = nearest(name.text, self.values.iter().map(String::as_str));
            Problem::new("unknown-value", say!("no value `{}` is extracted before this", name.text), name.span())
                .maybe_help(near.map(|near| say!("did you mean `{}`?", near)))
        })
    }

    /// The rule asks for messages of `protocol`.
    pub(crate) fn need(&mut self, protocol: &'static Protocol, name: Word<'_>) -> Result<(), Problem> {
        match self.protocol {
            Some(other) if other != protocol => Err(Problem::new(
                "protocol-conflict",
                say!("`{}` is of protocol {}, but the rule is about {}", name.text, protocol.name, other.name),
                name.span(),
            )),
            _ => {
                self.protocol = Some(protocol);
                Ok(())
            }
        }
    }

    /// The bytes whose presence is looked for first: the author's choice, else a content near the beginning, else the longest.
    pub(crate) fn pattern(&self) -> Option<Pattern> {
        pattern_of(self.sections.iter())
    }

    /// Is it about messages of both directions (`=>`), and asks of them more than one thing?
    fn joins(&self, header: &Header) -> bool {
        header.arrow == Arrow::Transaction
            && self.anomaly.is_none()
            && self.flow.is_none_or(|flow| flow.direction.is_none())
            && !self.conditions.iter().any(|it| matches!(it.domain(), Some((Key::Direction, _))))
            && self.conditions.len() + self.sections.len() > 1
    }

    /// Where the rule is inspected.
    fn places(&self, transports: &RangeSet<u64>) -> Vec<Place> {
        if let Some(event) = self.decode_event {
            return vec![Place::DecodeEvent(event)];
        }
        if let Some(event) = self.stream_event {
            return vec![Place::StreamEvent(event)];
        }
        if let Some(protocol) = self.anomaly {
            return vec![Place::Anomaly(protocol)];
        }
        if let (true, Some(protocol)) = (self.message, self.protocol) {
            return vec![Place::Message(protocol)];
        }
        if self.message {
            // Asked of no protocol in particular: of every industrial one.
            let industrial = self.protocols.iter().filter(|protocol| protocol.ot);
            return industrial.map(|protocol| Place::Message(protocol)).collect();
        }
        match self.only {
            Some(Only::Packet) => return vec![Place::Packet],
            Some(Only::Stream) => return vec![Place::Stream],
            None => {}
        }
        let headers = self.sections.iter().any(|section| matches!(section.buffer, Buffer::Header(_)));
        let steps = || self.sections.iter().flat_map(|section| &section.steps);
        if self.packet || headers || steps().next().is_none() || !transports.contains(TCP.into()) {
            return vec![Place::Packet];
        }
        let placed = |step: &Step| match step {
            Step::Content(content) => content.offset.is_some() || content.depth.is_some(),
            _ => false,
        };
        if steps().any(placed) {
            return vec![Place::Packet, Place::Turn];
        }
        if *transports == RangeSet::one(TCP.into()) {
            return vec![Place::Stream];
        }
        vec![Place::Packet, Place::Stream]
    }
}

impl Section {
    /// Is a content of it the end of its buffer, before the transforms too?
    fn ends_with(&self, content: &Content) -> bool {
        let length = RangeSet::one(content.bytes.len() as u64);
        let whole = |step: &Step| matches!(step, Step::Length(IntegerTest::In(lengths)) if *lengths == length);
        (content.endswith || self.steps.iter().any(whole)) && self.transforms.iter().all(Transform::keeps_end)
    }

    /// The byte that a content of it wants at the beginning of its buffer, in lower case.
    fn first_byte(&self) -> Option<u8> {
        let begins =
            |content: &Content| !content.negated && !content.relative() && content.reach() == content.bytes.len();
        let contents = self.contents().filter(|_| self.transforms.is_empty());
        let first = contents.map(|(_, content)| content).find(|content| begins(content))?.bytes.first()?;
        Some(first.to_ascii_lowercase())
    }

    fn contents(&self) -> impl Iterator<Item = (&Self, &Content)> {
        self.steps.iter().filter_map(move |step| match step {
            Step::Content(content) => Some((self, content)),
            _ => None,
        })
    }
}

/// The bytes whose presence in one of these sections is looked for first.
fn pattern_of<'s>(sections: impl Iterator<Item = &'s Section>) -> Option<Pattern> {
    // Only what is always looked for can be looked for first, and only as it stands in a buffer before its transforms.
    let always = |section: &&Section| section.absence.is_none() && section.buffer != Buffer::Decoded;
    let contents = sections.filter(always).flat_map(Section::contents);
    let patterns = contents.filter(|(_, content)| !content.negated).filter_map(|(section, content)| {
        let part = content.fast_pattern.clone().and_then(|part| content.bytes.get(part)).unwrap_or(&content.bytes);
        let bytes = section.transforms.iter().rev().try_fold(part, |part, transform| transform.before(part))?;
        let reach = if section.transforms.is_empty() { content.reach() } else { usize::MAX };
        let last = content.fast_pattern.as_ref().is_none_or(|part| part.end == content.bytes.len());
        let at_end = last && section.ends_with(content);
        let first = section.first_byte();
        let near = reach <= NEAR && content.strength() >= STRONG;
        let rank = (content.fast_pattern.is_some(), near, content.strength());
        Some((rank, Pattern { buffer: section.buffer, bytes: bytes.to_vec(), reach, at_end, first }))
    });
    patterns.reduce(|a, b| if b.0 > a.0 { b } else { a }).map(|(_, pattern)| pattern)
}

/// Compiles a rule.
pub(crate) fn compile(
    tree: &Tree<'_>,
    environment: &Environment<'_>,
    resolver: &mut Resolver<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Fate, Problem> {
    Ok(match draft(tree, environment, resolver, warnings, |_, _| {})? {
        None => Fate::Skipped,
        Some((draft, header)) => match draft.awaited() {
            None => Fate::Ready(Box::new(finish(draft, header))),
            Some(what) if environment.whole => {
                Fate::Ready(Box::new(Ready { places: vec![Place::Waiting(what)], ..finish(draft, header) }))
            }
            Some(_) => Fate::Waiting(Waiting { sid: draft.rule.sid, keywords: draft.waiting }),
        },
    })
}

/// The draft of a whole rule with its header; none when what it requires is not there. `after` sees the draft after each
/// option of the tree, by its index: so what an option added to the rule can be told.
pub(crate) fn draft(
    tree: &Tree<'_>,
    environment: &Environment<'_>,
    resolver: &mut Resolver<'_>,
    warnings: &mut Vec<Problem>,
    mut after: impl FnMut(&Draft, Option<usize>),
) -> Result<Option<(Draft, Header)>, Problem> {
    let mut draft = Draft { protocols: environment.protocols, ..Draft::default() };
    draft.rule.gid = 1;
    draft.rule.priority = 3;
    (draft.rule.action, draft.extent) = action(tree.action)?;
    // A rule that configures is as silent as one with `noalert`.
    draft.silent = tree.action.text.split(':').next() == Some("config");
    for option in &tree.options {
        // What a rule requires decides before anything in it can be wrong.
        if option.name.text == "requires" {
            environment.apply(&mut draft, option)?;
        }
    }
    if let Some(unmet) = draft.unmet.take() {
        warnings.push(unmet);
        return Ok(None);
    }
    let (transports, v6) = protocol(tree.protocol, environment, &mut draft)?;
    let header_protocol = draft.protocol;
    let source = resolver.addresses(tree.source)?;
    let source_ports = resolver.ports(tree.source_port)?;
    let destination = resolver.addresses(tree.destination)?;
    let destination_ports = resolver.ports(tree.destination_port)?;
    after(&draft, None);
    for (at, option) in tree.options.iter().enumerate().filter(|(_, option)| option.name.text != "requires") {
        environment.apply(&mut draft, option)?;
        after(&draft, Some(at));
    }
    draft.check_sticky()?;
    warnings.append(&mut draft.warnings);
    if draft.rule.sid == 0 {
        return Err(Problem::new("missing-sid", say!("the rule has no sid"), tree.action.span())
            .help(say!("every rule needs `sid:number;`")));
    }
    let header = Header {
        transports,
        v6,
        protocol: header_protocol,
        source,
        source_ports,
        arrow: tree.arrow,
        destination,
        destination_ports,
    };
    Ok(Some((draft, header)))
}

/// The program of a draft, and the places where it is inspected.
pub(crate) fn finish(mut draft: Draft, header: Header) -> Ready {
    let places = draft.places(&header.transports);
    let (pattern, pass) = (draft.pattern(), draft.rule.action == Action::Pass);
    let kind = Kind::of(&draft, &header, &places);
    let scope = kind.scope();
    // There are bytes of a stream only later, or never.
    let places = if scope == Scope::Flow { vec![Place::Packet] } else { places };
    let joined = (kind == Kind::Transaction && draft.joins(&header)).then(|| {
        let patterns = draft.sections.iter().map(|section| pattern_of(std::iter::once(section)));
        draft.conditions.iter().map(|_| None).chain(patterns).collect()
    });
    let sections = std::mem::take(&mut draft.sections).into_iter().map(|section| {
        Box::new(Chain::new(section.buffer, section.transforms, section.absence, section.steps)) as Box<dyn Condition>
    });
    draft.conditions.extend(sections);
    let mut ready = Ready {
        program: Program {
            identity: u64::from(draft.rule.gid) << 32 | u64::from(draft.rule.sid),
            header,
            flow: draft.flow.unwrap_or_default(),
            bit_tests: draft.bit_tests,
            conditions: draft.conditions,
            pattern,
            bit_effects: draft.bit_effects,
            transaction_effects: draft.transaction_effects,
            count_tests: draft.count_tests,
            count_effects: draft.count_effects,
            variable_tests: draft.variable_tests,
            captures: draft.captures,
            host_bits: draft.host_bits,
            pass,
            extent: draft.extent.unwrap_or(kind.extent()),
            on_packets: places.iter().any(|place| matches!(place, Place::Packet | Place::DecodeEvent(_))),
            bypass: draft.bypass,
            silent: draft.silent || pass && !draft.alerts,
            scope,
            threshold: draft.threshold,
            suppressions: Vec::new(),
            rate: None,
            in_stream: places.iter().any(|place| matches!(place, Place::Stream)),
            in_turns: places.iter().any(|place| matches!(place, Place::Turn)),
            joined,
        },
        rule: draft.rule,
        places,
        bits: draft.bits,
        statement: (0, 0..0),
        commented: false,
    };
    ready.rule.gated = ready.program.is_gated();
    ready
}

const ACTIONS: &[(&str, Action)] = &[
    ("alert", Action::Alert),
    ("config", Action::Alert),
    ("pass", Action::Pass),
    ("drop", Action::Drop),
    ("reject", Action::Reject),
    ("rejectsrc", Action::Reject),
    ("rejectdst", Action::Reject),
    ("rejectboth", Action::Reject),
];

/// How far an action reaches. Only of a pass rule it makes a difference: nothing is blocked here.
const SCOPES: &[(&str, Extent)] = &[
    ("packet", Extent::Packet),
    ("flow", Extent::Flow),
    ("tx", Extent::Transaction),
    // The states of a transaction are one here.
    ("hook", Extent::Transaction),
];

/// An action, and how far it says that it reaches: `alert`, `pass:flow`.
fn action(word: Word<'_>) -> Result<(Action, Option<Extent>), Problem> {
    let (name, scope) = match word.text.split_once(':') {
        Some((name, scope)) => (word.part(name), Some(word.part(scope))),
        None => (word, None),
    };
    if name.text == "accept" {
        return Err(Problem::new(
            "unknown-action",
            say!("`accept` is of firewalls; a sensor lets all pass"),
            word.span(),
        )
        .help(say!("expected alert, pass, drop or reject")));
    }
    let known = ACTIONS.iter().find(|action| action.0 == name.text).map(|action| action.1).ok_or_else(|| {
        let near = nearest(name.text, ACTIONS.iter().map(|action| action.0));
        Problem::new("unknown-action", say!("`{}` is not an action", name.text), name.span()).help(match near {
            Some(near) => say!("did you mean `{}`?", near),
            None => say!("expected alert, pass, drop or reject"),
        })
    })?;
    let extent = scope.map(|scope| {
        let extent = SCOPES.iter().find(|known| known.0 == scope.text).map(|known| known.1);
        extent.ok_or_else(|| {
            let problem = say!("`{}` is not how far an action reaches", scope.text);
            Problem::new("unknown-action", problem, scope.span())
                .help(say!("expected {}", SCOPES.iter().map(|known| known.0).collect::<Vec<_>>().join(", ")))
        })
    });
    Ok((known, extent.transpose()?))
}

/// Names of the IP protocols that a header can have.
const TRANSPORTS: &[(&str, &[(u64, u64)])] = &[
    ("ip", &[(1, 255)]),
    ("ipv4", &[(1, 255)]),
    ("ip4", &[(1, 255)]),
    ("ipv6", &[(1, 255)]),
    ("ip6", &[(1, 255)]),
    ("tcp", &[(6, 6)]),
    ("tcp-pkt", &[(6, 6)]),
    ("tcp-stream", &[(6, 6)]),
    ("udp", &[(17, 17)]),
    ("icmp", &[(1, 1), (58, 58)]),
    ("icmpv4", &[(1, 1)]),
    ("icmpv6", &[(58, 58)]),
    ("igmp", &[(2, 2)]),
    ("gre", &[(47, 47)]),
    ("esp", &[(50, 50)]),
    ("ah", &[(51, 51)]),
    ("sctp", &[(132, 132)]),
    ("arp", &[(0, 0)]),
    ("ether", &[(0, u64::MAX)]),
    ("pkthdr", &[(0, u64::MAX)]),
];

/// Resolves the protocol of a header: IP protocol numbers, IP version; the protocol of the flow goes to the draft.
fn protocol(
    word: Word<'_>,
    environment: &Environment<'_>,
    draft: &mut Draft,
) -> Result<(RangeSet<u64>, Option<bool>), Problem> {
    let (word, hook) = hook::split(word);
    if let Some((name, numbers)) = TRANSPORTS.iter().find(|transport| transport.0 == word.text) {
        let v6 = match *name {
            "ipv4" | "ip4" => Some(false),
            "ipv6" | "ip6" => Some(true),
            _ => None,
        };
        draft.only = match *name {
            "tcp-pkt" => Some(Only::Packet),
            "tcp-stream" => Some(Only::Stream),
            _ => None,
        };
        draft.selective |= matches!(*name, "pkthdr" | "ether");
        draft.portless = !numbers.iter().all(|of| matches!(of, (6, 6) | (17, 17) | (132, 132)));
        if *name == "arp" {
            draft.conditions.push(Box::new(option::arp()));
        }
        if let Some(hook) = hook {
            hook::of_packets(draft, hook)?;
        }
        return Ok((RangeSet::new(numbers.to_vec()), v6));
    }
    if let Some(protocol) = environment.protocol(word.text) {
        draft.protocol = Some(protocol);
        if let Some(hook) = hook {
            hook::of_messages(draft, hook, true)?;
        }
        return Ok((RangeSet::everything(), None));
    }
    if let Some(&name) = names::PROTOCOLS.iter().find(|name| **name == word.text) {
        draft.wait(word, Need::Protocol(name));
        if let Some(hook) = hook {
            hook::of_messages(draft, hook, false)?;
        }
        return Ok((RangeSet::everything(), None));
    }
    let known = TRANSPORTS.iter().map(|transport| transport.0).chain(environment.protocols.iter().map(|p| p.name));
    Err(Problem::new("unknown-protocol", say!("unknown protocol `{}`", word.text), word.span()).maybe_help(
        nearest(word.text, known.chain(names::PROTOCOLS.iter().copied())).map(|near| say!("did you mean `{}`?", near)),
    ))
}
