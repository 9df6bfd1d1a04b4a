//! Sources to engine: every rule is compiled, the best revision of each kept, all ranked and put into their groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use vigia_parsers::Protocol;
use vigia_parsers::packet::DecodeEvent;

use super::group::{Group, Member, Reach};
use super::hosts::Mark;
use super::program::{BitEffect, Program, Scope};
use super::route::Classes;
use super::view::same;
use super::{Compiled, Engine, Messages, Rule};
use crate::keyword::{Environment, Fate, Need, Place, Waiting};
use crate::language::header::Resolver;
use crate::language::said::{Said, say};
use crate::language::syntax::{self, Statement};
use crate::language::{Diagnostic, Problem, Severity, Source, Variables};
use crate::tuning::{self, Change, Override};

/// A rule that compiled.
pub(crate) struct Ready {
    pub(crate) rule: Rule,
    pub(crate) program: Program,
    pub(crate) places: Vec<Place>,
    /// Names of its flowbits.
    pub(crate) bits: Vec<(u64, String)>,
    /// Its statement: source and bytes.
    pub(crate) statement: (usize, std::ops::Range<usize>),
    /// Its file has it commented out; an override switches it on.
    pub(crate) commented: bool,
}

pub(crate) fn compile(
    sources: &[Source],
    variables: &Variables,
    protocols: &'static [&'static Protocol],
    overrides: &[Override],
    whole: bool,
) -> Compiled {
    let enabled = tuning::enabled(sources, variables, protocols, overrides);
    let sources = enabled.as_deref().unwrap_or(sources);
    let mut environment = Environment::new(variables, protocols);
    environment.whole = whole;
    let mut resolver = Resolver::new(variables);
    let mut diagnostics = Vec::new();
    let (mut failed, mut skipped) = (0, 0);
    let mut waiting = WaitingRules::default();
    let mut ready: Vec<Ready> = Vec::new();
    let mut known: HashMap<u64, usize> = HashMap::new();
    for (number, source) in sources.iter().enumerate() {
        let mut lines = Lines::default();
        for statement in syntax::statements(&source.text) {
            let mut warnings = Vec::new();
            let line = lines.of(&source.text, statement.start);
            let fate = compile_one(statement, &environment, &mut resolver, &mut warnings);
            diagnostics.extend(warnings.into_iter().map(|warning| warning.diagnostic(Severity::Warning, source)));
            match fate {
                Ok(Fate::Skipped) => skipped += 1,
                Ok(Fate::Waiting(rule)) => waiting.add(rule, number),
                Ok(Fate::Ready(one)) => {
                    let mut one = *one;
                    one.rule.origin = (Arc::clone(&source.name), line);
                    one.commented = enabled.is_some() && tuning::is_commented(&source.text, statement.start);
                    one.statement = (number, statement.start..statement.start + statement.text.len());
                    match known.get(&one.program.identity) {
                        None => {
                            known.insert(one.program.identity, ready.len());
                            ready.push(one);
                        }
                        Some(&at) => {
                            skipped += 1;
                            let loser = if one.rule.rev > ready[at].rule.rev {
                                std::mem::replace(&mut ready[at], one)
                            } else {
                                one
                            };
                            let kept = &ready[at].rule;
                            let (file, line) = &kept.origin;
                            diagnostics.push(
                                Problem::new(
                                    "duplicate-sid",
                                    say!("sid {} stands at {}:{} with revision {}", kept.sid, file, line, kept.rev),
                                    loser.statement.1,
                                )
                                .help(say!("the higher revision is kept"))
                                .diagnostic(Severity::Warning, &sources[loser.statement.0]),
                            );
                        }
                    }
                }
                Err(problem) => {
                    failed += 1;
                    diagnostics.push(problem.diagnostic(Severity::Error, source));
                }
            }
        }
    }
    let switched_off = waiting.count;
    diagnostics.extend(waiting.diagnostics(sources));
    let (changes, unmatched) = tuning::apply(&mut ready, variables, overrides);
    diagnostics.extend(variables.thresholds.apply(&mut ready));
    let mut engine = assemble(ready, sources, variables, protocols, &changes);
    engine.sets = environment.into_sets();
    Compiled { engine, diagnostics, failed, skipped, switched_off, changes, unmatched }
}

/// Rules that are switched off, by the keywords that wait for something.
#[derive(Default)]
struct WaitingRules {
    count: usize,
    keywords: BTreeMap<(Need, String), Waited>,
}

/// A keyword that waits for something.
struct Waited {
    sids: Vec<u32>,
    /// Where it stands first.
    first: (usize, std::ops::Range<usize>),
}

/// Signature ids that the sentence of a warning names; the warning has them all.
const NAMED: usize = 5;

impl WaitingRules {
    fn add(&mut self, rule: Waiting, source: usize) {
        self.count += 1;
        for (name, span, need) in rule.keywords {
            let new = || Waited { sids: Vec::new(), first: (source, span) };
            self.keywords.entry((need, name)).or_insert_with(new).sids.push(rule.sid);
        }
    }

    /// One warning a keyword.
    fn diagnostics<'s>(self, sources: &'s [Source]) -> impl Iterator<Item = Diagnostic> + 's {
        self.keywords.into_iter().filter_map(|((need, name), Waited { sids, first: (source, span) })| {
            let named = sids.iter().take(NAMED).map(u32::to_string).collect::<Vec<_>>().join(", ");
            let rules = match (sids.len(), sids.len().saturating_sub(NAMED)) {
                (1, _) => say!("1 rule off (sid {})", named),
                (count, 0) => say!("{} rules off (sid {})", count, named),
                (count, more) => say!("{} rules off (sid {} and {} more)", count, named, more),
            };
            let (code, what) = match need {
                Need::Protocol(protocol) => ("not-dissected", say!("the dissector of {}", protocol)),
                Need::Feature(feature) => ("not-supported", Said::new(feature, Vec::new())),
            };
            let problem = Problem::new(code, say!("`{}` waits for {}: {}", name, what, rules), span);
            let warning = problem.diagnostic(Severity::Warning, sources.get(source)?);
            Some(Diagnostic { sids, ..warning })
        })
    }
}

/// Compiles one statement.
pub(crate) fn compile_one(
    statement: Statement<'_>,
    environment: &Environment<'_>,
    resolver: &mut Resolver<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Fate, Problem> {
    let (text, transaction) = syntax::normalise(statement.text);
    let tree = syntax::parse(&text, statement.start, transaction)?;
    crate::keyword::compile(&tree, environment, resolver, warnings)
}

/// Line numbers of ascending offsets.
#[derive(Default)]
struct Lines {
    line: u32,
    at: usize,
}

impl Lines {
    fn of(&mut self, text: &str, offset: usize) -> u32 {
        self.line += memchr::memchr_iter(b'\n', &text.as_bytes()[self.at..offset]).count() as u32;
        self.at = offset;
        self.line + 1
    }
}

/// Ranks the rules and puts them into groups.
fn assemble(
    mut ready: Vec<Ready>,
    sources: &[Source],
    variables: &Variables,
    protocols: &'static [&'static Protocol],
    changes: &[Change],
) -> Engine {
    ready.sort_by_cached_key(|one| {
        (one.rule.action, bit_rank(&one.program), one.rule.priority, one.rule.sid, one.rule.gid)
    });
    let hash = fingerprint(&ready, sources, variables, changes);
    let mut decode_events = vec![Vec::new(); DecodeEvent::ALL.iter().map(|&e| e as usize + 1).max().unwrap_or(0)];
    let mut stream_events: HashMap<&'static str, Vec<u32>> = HashMap::new();
    let (mut flows, mut packets, mut streams, mut events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut turns, mut passing) = (Vec::new(), Vec::new());
    let mut messages: Vec<(&'static Protocol, Vec<Member>, Vec<u32>)> = Vec::new();
    let mut waiting: HashMap<&'static str, Vec<_>> = HashMap::new();
    let mut bits = HashMap::new();
    for (id, one) in ready.iter_mut().enumerate() {
        let id = id as u32;
        bits.extend(one.bits.drain(..));
        let protocol = one.program.header.protocol;
        for place in &one.places {
            let mut of = |protocol: &'static Protocol| -> usize {
                messages.iter().position(|entry| entry.0 == protocol).unwrap_or_else(|| {
                    messages.push((protocol, Vec::new(), Vec::new()));
                    messages.len() - 1
                })
            };
            match *place {
                Place::Packet if one.program.scope == Scope::Flow => flows.push(one.program.member(id)),
                Place::Packet => packets.push(one.program.packet_member(id).of(protocol)),
                Place::DecodeEvent(event) => decode_events[event as usize].push(id),
                Place::Stream => streams.push(one.program.member(id).of(protocol).early().anywhere()),
                Place::Turn => turns.push(one.program.member(id).of(protocol).early()),
                Place::StreamEvent(event) => stream_events.entry(event).or_default().push(id),
                Place::Message(protocol) => {
                    let at = of(protocol);
                    messages[at].1.extend(one.program.message_members(id));
                }
                Place::Waiting(protocol) => waiting.entry(protocol).or_default().push(one.program.member(id)),
                Place::Anomaly(Some(protocol)) => {
                    let at = of(protocol);
                    messages[at].2.push(id);
                }
                Place::Anomaly(None) => events.push(id),
            }
        }
        if one.program.pass && one.program.on_packets {
            passing.push(one.program.packet_member(id).of(protocol));
        }
        let found_by_columns = one.program.pattern.is_none() && one.program.joined.is_none();
        if found_by_columns && one.places.iter().all(|place| matches!(place, Place::Message(_))) {
            one.program.trust_columns();
        }
    }
    let passes = ready.iter().any(|one| one.program.pass);
    let by_protocol = protocols.iter().map(|&protocol| {
        let about = |entry: &(&'static Protocol, Vec<Member>, Vec<u32>)| same(entry.0, protocol);
        (protocol, messages.iter().position(about))
    });
    let by_protocol = by_protocol.collect();
    let (rules, programs) = ready.into_iter().map(|one| (one.rule, one.program)).unzip();
    let reach = Reach::new(&packets);
    let [packets, streams, turns, flows] = [packets, streams, turns, flows].map(Group::new);
    Engine {
        rules,
        programs,
        classes: Classes::new(&[&packets, &streams, &turns, &flows]),
        flows,
        passing: Group::new(passing),
        reach,
        packets,
        decode_events,
        streams,
        turns,
        stream_events,
        messages: messages
            .into_iter()
            .map(|(_, records, events)| Messages { records: Group::of_messages(records), events })
            .collect(),
        protocols: by_protocol,
        events,
        waiting: waiting.into_values().map(Group::new).collect(),
        passes,
        step_limit: None,
        bits,
        sets: Vec::new(),
        stamp: u64::from_str_radix(hash.get(..16).unwrap_or_default(), 16).unwrap_or(0),
        hash,
    }
}

/// Rules that set marks (on the flow or on hosts) go before those that ask for them.
fn bit_rank(program: &Program) -> u8 {
    let mut effects = program.bit_effects.iter().chain(&program.transaction_effects);
    let sets = effects.any(|effect| matches!(effect, BitEffect::Set(_) | BitEffect::Toggle(_)))
        || program
            .host_bits
            .iter()
            .any(|bit| matches!(bit.mark, Mark::Set(_) | Mark::Toggle(_) | Mark::Add | Mark::Remove))
        || !program.count_effects.is_empty()
        || program.captures;
    let asks = !program.bit_tests.is_empty()
        || program.host_bits.iter().any(|bit| matches!(bit.mark, Mark::Is(_)))
        || !program.count_tests.is_empty()
        || !program.variable_tests.is_empty();
    match (sets, !asks) {
        (true, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (false, true) => 3,
    }
}

/// FNV-1a with 128 bits over the rules in their order and what they refer to.
fn fingerprint(ready: &[Ready], sources: &[Source], variables: &Variables, changes: &[Change]) -> String {
    let mut state: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut add = |text: &str| {
        for &byte in text.as_bytes().iter().chain(&[0]) {
            state = (state ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    };
    for one in ready {
        let (source, span) = &one.statement;
        add(sources.get(*source).and_then(|source| source.text.get(span.clone())).unwrap_or_default());
        add(&one.rule.category);
        add(&one.rule.priority.to_string());
    }
    for (name, text) in variables.addresses.iter().chain(&variables.ports) {
        add(name);
        add(text);
    }
    variables.thresholds.text().for_each(&mut add);
    for change in changes {
        add(&format!("{:?} {:?}", change.rule, change.what));
    }
    format!("{state:032x}")
}
