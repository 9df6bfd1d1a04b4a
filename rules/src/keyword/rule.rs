//! A rule in the making, from its syntax tree to a program and the places where it is inspected.

use vigia_parsers::Protocol;

use super::{Environment, names};
use crate::engine::build::Ready;
use crate::engine::content::{Content, Contents};
use crate::engine::gate::{Threshold, Track};
use crate::engine::program::{BitEffect, BitTest, FlowTest, Header, Program, Scope};
use crate::engine::view::Condition;
use crate::engine::{Action, Buffer, Rule, TCP};
use crate::language::header::Resolver;
use crate::language::set::RangeSet;
use crate::language::syntax::{Tree, Word};
use crate::language::{Problem, nearest};

/// Where a rule is inspected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Every packet.
    Packet,
    /// Packets with this decode event.
    DecodeEvent(u8),
    /// Stream bytes.
    Stream,
    /// When reassembly met this.
    StreamEvent(&'static str),
    /// Messages of the protocol.
    Message(&'static Protocol),
    /// Anomalies of the protocol, or of the application layer at large.
    Anomaly(Option<&'static Protocol>),
}

/// What became of a rule.
pub(crate) enum Fate {
    /// It compiled.
    Ready(Box<Ready>),
    /// It is left out on purpose; a warning says why.
    Skipped,
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
    /// What stands in the way of being about addresses or the protocol alone.
    pub(crate) selective: bool,
    /// Contents by buffer, in the order of the rule.
    contents: Vec<(Buffer, Vec<Content>)>,
    /// The sticky buffer that contents go to, and its place in `contents`.
    sticky: Option<Sticky>,
    pub(crate) bit_tests: Vec<BitTest>,
    pub(crate) bit_effects: Vec<BitEffect>,
    pub(crate) bits: Vec<(u64, String)>,
    pub(crate) silent: bool,
    pub(crate) threshold: Option<Threshold>,
    /// `priority` was given: classtype does not override it.
    pub(crate) own_priority: bool,
    pub(crate) warnings: Vec<Problem>,
    /// Why the rule is to be left out.
    pub(crate) unmet: Option<Problem>,
}

/// A sticky buffer, until it has its first content.
struct Sticky {
    buffer: Buffer,
    list: Option<usize>,
    span: std::ops::Range<usize>,
}

impl Draft {
    /// Contents from here on are looked for in `buffer`. With `anew` they need not be in the same value as earlier ones.
    pub(crate) fn stick(&mut self, buffer: Buffer, anew: bool, name: Word<'_>) -> Result<(), Problem> {
        self.check_sticky()?;
        let list = if anew { None } else { self.contents.iter().position(|list| list.0 == buffer) };
        self.sticky = Some(Sticky { buffer, list, span: name.span() });
        Ok(())
    }

    /// A sticky buffer without a content is a mistake.
    fn check_sticky(&self) -> Result<(), Problem> {
        match &self.sticky {
            Some(Sticky { list: None, span, buffer: Buffer::Field(_) }) => {
                Err(Problem::new("empty-buffer", "nothing is asked of this buffer", span.clone())
                    .help("expected `content` after it"))
            }
            _ => Ok(()),
        }
    }

    /// Adds a content to the buffer in force.
    pub(crate) fn push_content(&mut self, content: Content) {
        let contents = &mut self.contents;
        let sticky = self.sticky.get_or_insert(Sticky { buffer: Buffer::Payload, list: None, span: 0..0 });
        let at = *sticky.list.get_or_insert_with(|| {
            contents.push((sticky.buffer, Vec::new()));
            contents.len() - 1
        });
        contents[at].1.push(content);
    }

    /// The content that a modifier belongs to.
    pub(crate) fn last_content(&mut self, name: Word<'_>) -> Result<&mut Content, Problem> {
        let at = self.sticky.as_ref().and_then(|sticky| sticky.list);
        at.and_then(|at| self.contents.get_mut(at))
            .and_then(|list| list.1.last_mut())
            .ok_or_else(|| Problem::new("misplaced", format!("`{}` belongs after a `content`", name.text), name.span()))
    }

    /// The rule asks for messages of `protocol`.
    pub(crate) fn need(&mut self, protocol: &'static Protocol, name: Word<'_>) -> Result<(), Problem> {
        match self.protocol {
            Some(other) if other != protocol => Err(Problem::new(
                "protocol-conflict",
                format!("`{}` is of protocol {}, but the rule is about {}", name.text, protocol.name, other.name),
                name.span(),
            )),
            _ => {
                self.protocol = Some(protocol);
                Ok(())
            }
        }
    }

    /// The bytes whose presence is looked for first: the author's choice, else the longest content.
    fn pattern(&self) -> Option<(Buffer, Vec<u8>)> {
        let all = self.contents.iter().flat_map(|(buffer, list)| list.iter().map(|content| (*buffer, content)));
        let positive = all.filter(|(_, content)| !content.negated);
        let rank = |content: &Content| (content.fast_pattern.is_some(), content.bytes.len());
        let (buffer, content) = positive.reduce(|a, b| if rank(b.1) > rank(a.1) { b } else { a })?;
        let part = content.fast_pattern.clone().and_then(|part| content.bytes.get(part));
        Some((buffer, part.unwrap_or(&content.bytes).to_ascii_lowercase()))
    }

    /// Where the rule is inspected, and whether that is the stream for TCP.
    fn places(&self, transports: &RangeSet<u64>) -> (Vec<Place>, bool) {
        if let Some(event) = self.decode_event {
            return (vec![Place::DecodeEvent(event)], false);
        }
        if let Some(event) = self.stream_event {
            return (vec![Place::StreamEvent(event)], false);
        }
        if let Some(protocol) = self.anomaly {
            return (vec![Place::Anomaly(protocol)], false);
        }
        if let (true, Some(protocol)) = (self.message, self.protocol) {
            return (vec![Place::Message(protocol)], false);
        }
        match self.only {
            Some(Only::Packet) => return (vec![Place::Packet], false),
            Some(Only::Stream) => return (vec![Place::Stream], false),
            None => {}
        }
        let mut contents = self.contents.iter().flat_map(|list| &list.1).peekable();
        let loose = contents.peek().is_some() && contents.all(|c| c.offset.is_none() && c.depth.is_none());
        if self.packet || !loose || !transports.contains(TCP.into()) {
            return (vec![Place::Packet], false);
        }
        if *transports == RangeSet::one(TCP.into()) {
            return (vec![Place::Stream], true);
        }
        (vec![Place::Packet, Place::Stream], true)
    }
}

/// Compiles a rule.
pub(crate) fn compile(
    tree: &Tree<'_>,
    environment: &Environment<'_>,
    resolver: &mut Resolver<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Fate, Problem> {
    let mut draft = Draft::default();
    draft.rule.gid = 1;
    draft.rule.priority = 3;
    draft.rule.action = action(tree.action)?;
    for option in &tree.options {
        // What a rule requires decides before anything in it can be wrong.
        if option.name.text == "requires" {
            environment.apply(&mut draft, option)?;
        }
    }
    if let Some(unmet) = draft.unmet.take() {
        warnings.push(unmet);
        return Ok(Fate::Skipped);
    }
    let (transports, v6) = protocol(tree.protocol, environment, &mut draft)?;
    let header_protocol = draft.protocol;
    let source = resolver.addresses(tree.source)?;
    let source_ports = resolver.ports(tree.source_port)?;
    let destination = resolver.addresses(tree.destination)?;
    let destination_ports = resolver.ports(tree.destination_port)?;
    for option in tree.options.iter().filter(|option| option.name.text != "requires") {
        environment.apply(&mut draft, option)?;
    }
    draft.check_sticky()?;
    warnings.append(&mut draft.warnings);
    if draft.rule.sid == 0 {
        return Err(Problem::new("missing-sid", "the rule has no sid", tree.action.span())
            .help("every rule needs `sid:number;`"));
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
    Ok(Fate::Ready(Box::new(finish(draft, header))))
}

fn finish(mut draft: Draft, header: Header) -> Ready {
    let (places, in_stream) = draft.places(&header.transports);
    let pattern = draft.pattern();
    let plain = draft.conditions.is_empty() && draft.contents.is_empty() && !draft.selective && draft.flow.is_none();
    let no_ports = header.source_ports.is_none() && header.destination_ports.is_none();
    let scope = if plain && (no_ports || header.protocol.is_some()) { Scope::Flow } else { Scope::Each };
    let contents = std::mem::take(&mut draft.contents);
    let contents =
        contents.into_iter().map(|(buffer, list)| Box::new(Contents::new(buffer, list)) as Box<dyn Condition>);
    draft.conditions.extend(contents);
    draft.rule.gated = draft.threshold.as_ref().is_some_and(|threshold| threshold.track != Track::Flow);
    Ready {
        program: Program {
            identity: u64::from(draft.rule.gid) << 32 | u64::from(draft.rule.sid),
            header,
            flow: draft.flow.unwrap_or_default(),
            bit_tests: draft.bit_tests,
            conditions: draft.conditions,
            pattern,
            bit_effects: draft.bit_effects,
            pass: draft.rule.action == Action::Pass,
            silent: draft.silent,
            scope,
            threshold: draft.threshold,
            in_stream,
        },
        rule: draft.rule,
        places,
        bits: draft.bits,
        statement: (0, 0..0),
    }
}

const ACTIONS: &[(&str, Action)] = &[
    ("alert", Action::Alert),
    ("pass", Action::Pass),
    ("drop", Action::Drop),
    ("reject", Action::Reject),
    ("rejectsrc", Action::Reject),
    ("rejectdst", Action::Reject),
    ("rejectboth", Action::Reject),
];

fn action(word: Word<'_>) -> Result<Action, Problem> {
    ACTIONS.iter().find(|action| action.0 == word.text).map(|action| action.1).ok_or_else(|| {
        let near = nearest(word.text, ACTIONS.iter().map(|action| action.0));
        Problem::new("unknown-action", format!("`{}` is not an action", word.text), word.span()).help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "expected alert, pass, drop or reject".to_owned(),
        })
    })
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
    ("pkthdr", &[(0, u64::MAX)]),
];

/// Resolves the protocol of a header: IP protocol numbers, IP version; the protocol of the flow goes to the draft.
fn protocol(
    word: Word<'_>,
    environment: &Environment<'_>,
    draft: &mut Draft,
) -> Result<(RangeSet<u64>, Option<bool>), Problem> {
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
        draft.selective |= *name == "pkthdr";
        return Ok((RangeSet::new(numbers.to_vec()), v6));
    }
    if let Some(protocol) = environment.protocol(word.text) {
        draft.protocol = Some(protocol);
        return Ok((RangeSet::everything(), None));
    }
    if names::PROTOCOLS.contains(&word.text) {
        return Err(Problem::new("not-dissected", format!("{} is not dissected yet", word.text), word.span()));
    }
    let known = TRANSPORTS.iter().map(|transport| transport.0).chain(environment.protocols.iter().map(|p| p.name));
    Err(Problem::new("unknown-protocol", format!("unknown protocol `{}`", word.text), word.span()).maybe_help(
        nearest(word.text, known.chain(names::PROTOCOLS.iter().copied())).map(|near| format!("did you mean `{near}`?")),
    ))
}
