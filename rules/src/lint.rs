//! What compiles and is worth a look all the same: rules that cost much, that cannot match, or that others stand before.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::anatomy::{Anatomy, Part, environment};
use crate::engine::Buffer;
use crate::engine::chain::Step;
use crate::engine::content::Content;
use crate::engine::program::{BitEffect, Scope};
use crate::engine::value::Number;
use crate::engine::view::Key;
use crate::explain::REMARKS;
use crate::keyword::{Place, Section};
use crate::language::header::Resolver;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::{Said, say};
use crate::language::set::RangeSet;
use crate::language::syntax::{Word, statements};
use crate::language::{Diagnostic, Problem, Severity, Source, Variables};
use vigia_parsers::field::Cardinality;

/// A fast pattern of fewer bytes stands in too many packets to spare anything.
const SHORT: usize = 3;
/// So many ports are as good as none to tell a rule's packets from others.
const MANY_PORTS: u64 = 256;

/// What the lints find in rules that compile, in the order of the sources. What does not compile is the compiler's to
/// tell.
pub fn lint(sources: &[Source], variables: &Variables) -> Vec<Diagnostic> {
    let environment = environment(variables);
    let mut resolver = Resolver::new(variables);
    let mut found = Vec::new();
    let mut set = Ruleset::default();
    for source in sources {
        for statement in statements(&source.text) {
            let Ok(Some(anatomy)) = Anatomy::of(statement, &environment, &mut resolver) else { continue };
            let span = statement.start..statement.start + head(statement.text);
            // Of a rule that is switched off, only the marks count: another may rely on them.
            let problems = cost(&anatomy, &span).into_iter().chain(impossible(&anatomy, &span));
            let problems = problems.filter(|_| !anatomy.waiting);
            found.extend(problems.map(|problem| problem.diagnostic(Severity::Warning, source)));
            set.add(&anatomy, source, span);
        }
    }
    found.extend(set.flowbits());
    found.extend(set.shadowed());
    let order = |name: &Arc<str>| sources.iter().position(|source| source.name == *name);
    found.sort_by_key(|diagnostic| (order(&diagnostic.source.name), diagnostic.span.start));
    found
}

/// The part of a rule that stands for the whole: its header.
fn head(text: &str) -> usize {
    text.find('(').map_or(text.len(), |at| text[..at].trim_end().len())
}

/// Spot a rule is inspected by content only: where the fast pattern counts.
fn is_searched(anatomy: &Anatomy) -> bool {
    anatomy.ready.places.iter().any(|place| matches!(place, Place::Packet | Place::Stream))
}

/// Do exact keys tell the rule's packets from most others?
fn is_selective(anatomy: &Anatomy) -> bool {
    let many = [6, 17].map(RangeSet::one).into_iter().any(|of| {
        let transports = &anatomy.ready.program.header.transports;
        !transports.intersection(&of).is_empty()
    });
    let size =
        |set: &RangeSet<u64>| set.ranges().iter().map(|range| (range.1 - range.0).saturating_add(1)).sum::<u64>();
    !many
        || anatomy.ready.program.member(0).domains.iter().any(|(key, values)| match key {
            Key::SourcePort | Key::DestinationPort => size(values) <= MANY_PORTS,
            Key::Field(_) | Key::TcpFlags | Key::IcmpType => true,
            Key::IpProtocol | Key::Direction | Key::Protocol | Key::Source | Key::Destination | Key::PayloadLength => {
                false
            }
        })
}

fn contents(section: &Section) -> impl Iterator<Item = &Content> {
    section.steps.iter().filter_map(|step| match step {
        Step::Content(content) => Some(content),
        _ => None,
    })
}

/// Rules that are inspected more often than they need be.
fn cost(anatomy: &Anatomy, span: &Range<usize>) -> Option<Problem> {
    let steps = || anatomy.sections.iter().flat_map(|section| &section.steps);
    let selective = is_selective(anatomy);
    let positive = anatomy.sections.iter().flat_map(contents).any(|content| !content.negated);
    if steps().any(|step| matches!(step, Step::Expression(_))) && !positive && !selective {
        let at = anatomy.parts.iter().find(|part| part.name == "pcre").map_or(span.clone(), |part| part.span.clone());
        let help = say!("add the bytes that every match contains as `content`");
        return Some(
            Problem::new("pcre-without-content", say!("this expression is tried without a content"), at).help(help),
        );
    }
    if anatomy.ready.program.scope == Scope::Flow || selective || !is_searched(anatomy) {
        return None;
    }
    match &anatomy.pattern {
        None => Some(
            Problem::new("no-fast-pattern", say!("nothing is looked for before this rule is inspected"), span.clone())
                .help(say!("add a `content`, or ports")),
        ),
        Some((_, pattern)) if pattern.len() < SHORT => {
            let message = say!("the fast pattern has {} of at least {} bytes", pattern.len(), SHORT);
            let part = anatomy.parts.iter().find(|part| part.name == "content");
            let at = part.map_or(span.clone(), |part| part.span.clone());
            Some(Problem::new("short-pattern", message, at).help(say!("look for more bytes, or name ports")))
        }
        Some(_) => None,
    }
}

/// A combination that nothing can fulfil, if there is one.
fn impossible(anatomy: &Anatomy, span: &Range<usize>) -> Option<Problem> {
    let never = |message: Said, at: Range<usize>| Some(Problem::new("never-matches", message, at));
    if let Some((message, at)) = transports(anatomy, span).or_else(|| keys(anatomy, span)) {
        return never(message, at);
    }
    for section in &anatomy.sections {
        if let Some((message, at)) = lengths(anatomy, section).or_else(|| contradiction(anatomy, section)) {
            return never(message, at.unwrap_or(span.clone()));
        }
    }
    let tests = &anatomy.ready.program.bit_tests;
    let both = tests.iter().find(|a| a.set && a.bits.len() == 1 && tests.iter().any(|b| !b.set && a.bits == b.bits))?;
    let name = anatomy.bits.iter().find(|bit| both.bits.contains(&bit.0)).map_or("", |bit| bit.1.as_str());
    never(say!("flowbit `{}` is to be set and not set", name), span.clone())
}

/// Keywords that ask for what only some IP protocols have.
const OF_TRANSPORTS: &[(&str, &[u64])] = &[
    ("flags", &[6]),
    ("seq", &[6]),
    ("ack", &[6]),
    ("window", &[6]),
    ("tcp.", &[6]),
    ("stream_size", &[6]),
    ("udp.", &[17]),
    ("itype", &[1, 58]),
    ("icode", &[1, 58]),
    ("icmp_id", &[1, 58]),
    ("icmp_seq", &[1, 58]),
    ("icmpv6.", &[58]),
    ("icmpv4.", &[1]),
    ("igmp.", &[2]),
    ("sctp.", &[132]),
];

fn transports(anatomy: &Anatomy, span: &Range<usize>) -> Option<(Said, Range<usize>)> {
    let header = &anatomy.ready.program.header;
    let has = |number: u64| header.transports.contains(number);
    let ports = header.source_ports.is_some() || header.destination_ports.is_some();
    if ports && ![6, 17, 132].into_iter().any(has) {
        return Some((say!("{} has no ports", &anatomy.header[1]), span.clone()));
    }
    let is = |part: &Part, name: &str| part.name == name || name.ends_with('.') && part.name.starts_with(name);
    anatomy.parts.iter().find_map(|part| {
        let (_, numbers) = OF_TRANSPORTS.iter().find(|of| is(part, of.0))?;
        let message = || say!("`{}` asks for what {} does not have", &part.name, &anatomy.header[1]);
        (!numbers.iter().any(|&number| has(number))).then(|| (message(), part.span.clone()))
    })
}

/// Exact keys that are asked to have two values at once.
fn keys(anatomy: &Anatomy, span: &Range<usize>) -> Option<(Said, Range<usize>)> {
    let fields = anatomy.ready.places.iter().find_map(|place| match place {
        Place::Message(protocol) => Some(protocol.fields),
        _ => None,
    });
    let is_single = |key: Key| match key {
        Key::Field(field) => {
            fields.and_then(|fields| fields.get(field)).is_some_and(|field| field.cardinality != Cardinality::Many)
        }
        _ => true,
    };
    let domains = anatomy.ready.program.member(0).domains;
    domains.iter().enumerate().find_map(|(at, (key, values))| {
        let same = |other: &&(Key, RangeSet<u64>)| other.0 == *key && other.1.intersection(values).is_empty();
        domains.iter().take(at).filter(|_| is_single(*key)).find(same)?;
        let name = match key {
            Key::Field(field) => say!("`{}`", fields?.get(*field)?.name),
            Key::IpProtocol => say!("IP protocol"),
            Key::SourcePort | Key::DestinationPort => say!("port"),
            Key::Direction => say!("direction"),
            Key::Protocol => say!("protocol"),
            Key::Source | Key::Destination => say!("address"),
            Key::TcpFlags => say!("combination of TCP flags"),
            Key::IcmpType => say!("ICMP type"),
            Key::PayloadLength => say!("length of the payload"),
        };
        Some((say!("no {} fulfils all that is asked of it", name), span.clone()))
    })
}

type Spot = Option<Range<usize>>;

fn literal(number: Option<Number>) -> Option<usize> {
    match number? {
        Number::Literal(value) => usize::try_from(value).ok(),
        Number::Extracted(_) => None,
    }
}

/// Contents that do not fit where they are to stand.
fn lengths(anatomy: &Anatomy, section: &Section) -> Option<(Said, Spot)> {
    let positive = || contents(section).filter(|content| !content.negated);
    for content in positive() {
        let length = content.bytes.len();
        for (name, room) in [("depth", literal(content.depth)), ("within", literal(content.within))] {
            if let Some(room) = room.filter(|&room| room < length) {
                return Some((say!("{} bytes do not fit into a {} of {}", length, name, room), None));
            }
        }
    }
    let needed = |content: &Content| literal(content.offset).unwrap_or(0) + content.bytes.len();
    let needed = positive().filter(|content| !content.relative()).map(needed).max()?;
    let too_short = |set: &RangeSet<u64>| set.ranges().last().is_some_and(|range| range.1 < needed as u64);
    let bounded = section.steps.iter().any(|step| matches!(step, Step::Length(IntegerTest::In(set)) if too_short(set)));
    if bounded {
        return Some((say!("the buffer is to be shorter than the {} bytes that are looked for", needed), None));
    }
    if section.buffer != Buffer::Payload || !section.transforms.is_empty() {
        return None;
    }
    let part = anatomy.parts.iter().find(|part| part.name == "dsize")?;
    let value = Word { text: part.value.as_deref()?, start: 0 };
    match integer::parse(value, Domain::unsigned(16)).ok()? {
        IntegerTest::In(set) if too_short(&set) => Some((
            say!("the payload is to be shorter than the {} bytes that are looked for", needed),
            Some(part.span.clone()),
        )),
        _ => None,
    }
}

/// The same bytes are to stand anywhere and nowhere.
fn contradiction(anatomy: &Anatomy, section: &Section) -> Option<(Said, Spot)> {
    let free = |content: &&Content| content.offset.is_none() && content.depth.is_none() && !content.relative();
    let not = contents(section).filter(|content| content.negated && !content.endswith).filter(free);
    let text = |content: &Content| String::from_utf8_lossy(&content.bytes).into_owned();
    not.into_iter().find_map(|not| {
        let same = |content: &&Content| !content.negated && content.nocase <= not.nocase && content.bytes == not.bytes;
        contents(section).find(same)?;
        let part = anatomy.parts.iter().find(|part| {
            part.name == "content" && part.value.as_deref().is_some_and(|value| value.trim_start().starts_with('!'))
        });
        Some((say!("`{}` is to stand there and nowhere", text(not)), part.map(|part| part.span.clone())))
    })
}

/// What is known of rules that were seen.
#[derive(Default)]
struct Ruleset {
    rules: Vec<Seen>,
    bits: HashMap<String, Bit>,
}

struct Seen {
    sid: (u32, u32),
    pass: bool,
    header: [String; 7],
    /// What it asks, option by option.
    asks: Vec<String>,
    source: Source,
    span: Range<usize>,
}

/// Who sets and asks for a flowbit first.
#[derive(Default)]
struct Bit {
    set: Option<(Source, Range<usize>)>,
    asked: Option<(Source, Range<usize>)>,
}

impl Ruleset {
    fn add(&mut self, anatomy: &Anatomy, source: &Source, span: Range<usize>) {
        let program = &anatomy.ready.program;
        for (bit, name) in &anatomy.bits {
            let part = anatomy.parts.iter().find(|part| {
                part.name == "flowbits" && part.value.as_deref().is_some_and(|value| names(value).any(|n| n == name))
            });
            let place = || Some((source.clone(), part.map_or(span.clone(), |part| part.span.clone())));
            let known = self.bits.entry(name.clone()).or_default();
            let sets = |effect: &BitEffect| match *effect {
                BitEffect::Set(set) | BitEffect::Toggle(set) => set == *bit,
                BitEffect::Unset(_) => false,
            };
            if program.bit_effects.iter().any(sets) {
                known.set = known.set.take().or_else(place);
            }
            if program.bit_tests.iter().any(|test| test.bits.contains(bit)) {
                known.asked = known.asked.take().or_else(place);
            }
        }
        if anatomy.waiting {
            return;
        }
        let asks = anatomy.parts.iter().filter(|part| !REMARKS.contains(&part.name.as_str()));
        self.rules.push(Seen {
            sid: (anatomy.ready.rule.gid, anatomy.ready.rule.sid),
            pass: program.pass,
            header: anatomy.header.clone(),
            asks: asks.map(Part::text).collect(),
            source: source.clone(),
            span,
        });
    }

    fn flowbits(&self) -> impl Iterator<Item = Diagnostic> {
        self.bits.iter().filter_map(|(name, bit)| {
            let (place, code, message) = match (&bit.set, &bit.asked) {
                (None, Some(place)) => (place, "flowbit-never-set", say!("no rule sets flowbit `{}`", name)),
                (Some(place), None) => (place, "flowbit-never-checked", say!("no rule asks for flowbit `{}`", name)),
                _ => return None,
            };
            Some(Problem::new(code, message, place.1.clone()).diagnostic(Severity::Warning, &place.0))
        })
    }

    /// Rules that ask what another one asks, or less than a pass rule before them.
    fn shadowed(&self) -> Vec<Diagnostic> {
        let mut first: HashMap<(&[String], &[String]), &Seen> = HashMap::new();
        let passes: Vec<&Seen> = self.rules.iter().filter(|rule| rule.pass).collect();
        let mut found = Vec::new();
        for rule in &self.rules {
            let pass = passes.iter().find(|pass| !rule.pass && pass.covers(rule));
            let twin = first.entry((&rule.header, &rule.asks)).or_insert(rule);
            let problem = match pass {
                Some(pass) => {
                    let message = say!("pass rule {} matches all that this rule matches", pass.name());
                    Problem::new("shadowed-rule", message, rule.span.clone()).help(say!("it never alerts"))
                }
                None if twin.sid != rule.sid => {
                    let message = say!("asks the same as rule {}", twin.name());
                    Problem::new("shadowed-rule", message, rule.span.clone())
                        .help(say!("both alert on the same traffic"))
                }
                None => continue,
            };
            found.push(problem.diagnostic(Severity::Warning, &rule.source));
        }
        found
    }
}

/// The flowbits that a `flowbits` names.
fn names(value: &str) -> impl Iterator<Item = &str> {
    value.split_once(',').map_or("", |(_, names)| names).split('|').map(str::trim)
}

impl Seen {
    fn name(&self) -> String {
        let line = self.source.text.get(..self.span.start).map_or(0, |before| before.matches('\n').count()) + 1;
        format!("{} ({}:{line})", self.sid.1, self.source.name)
    }

    /// Does it match whatever `other` matches?
    fn covers(&self, other: &Self) -> bool {
        // The action, the first word, is not what is compared.
        let words = self.header.iter().zip(&other.header).skip(1);
        words.into_iter().all(|(mine, theirs)| mine == theirs || mine == "any" || mine == "ip")
            && self.asks.iter().all(|ask| other.asks.contains(ask))
    }
}
