//! What rules count on a flow (`flowint`), mark on hosts (`xbits`, `hostbits`), and ask of a flow's size and age.

use vigia_parsers::Direction;

use super::flow::identify;
use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::hosts::{HostBit, Mark, Owner};
use crate::engine::program::{BitEffect, BitTest, Compare, CountEffect, CountTest, Holder, Operand};
use crate::engine::view::{Condition, View};
use crate::engine::{FlowFacts, Tag, TagLimit, TagScope};
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

type Outcome = Result<(), Problem>;

const fn keyword(
    name: &'static str,
    doc: &'static str,
    compile: fn(&mut Draft, &Environment<'_>, Use<'_>) -> Outcome,
) -> Keyword {
    Keyword { name, aliases: &[], doc, arity: Arity::Required, compile }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword("flowint", "Counts on the flow: name, operator, value", flowint),
    keyword("xbits", "Marks on hosts: set|unset|toggle|isset|isnotset, name, track, expire", xbits),
    keyword(
        "hostbits",
        "Marks on hosts: set|unset|toggle|isset|isnotset, name, src|dst|both, seconds that it lasts",
        hostbits,
    ),
    keyword("flow.age", "Seconds since the flow's first packet", |draft, _, it| {
        facts(draft, it.value, 32, Of::One(|facts, now| now.saturating_sub(facts.start.0) / 1_000_000_000))
    }),
    keyword("flow.pkts", "Packets of the flow: toserver|toclient|either|both, condition", |draft, _, it| {
        by_direction(draft, it, 32, |facts| facts.packets)
    }),
    keyword("flow.bytes", "Bytes of the flow: toserver|toclient|either|both, condition", |draft, _, it| {
        by_direction(draft, it, 64, |facts| facts.bytes)
    }),
    keyword("flow.pkts_toserver", "Packets of the flow to the server", |draft, _, it| {
        facts(draft, it.value, 32, Of::One(|facts, _| facts.packets[0]))
    }),
    keyword("flow.pkts_toclient", "Packets of the flow to the client", |draft, _, it| {
        facts(draft, it.value, 32, Of::One(|facts, _| facts.packets[1]))
    }),
    keyword("flow.bytes_toserver", "Bytes of the flow to the server", |draft, _, it| {
        facts(draft, it.value, 64, Of::One(|facts, _| facts.bytes[0]))
    }),
    keyword("flow.bytes_toclient", "Bytes of the flow to the client", |draft, _, it| {
        facts(draft, it.value, 64, Of::One(|facts, _| facts.bytes[1]))
    }),
    keyword(
        "stream_size",
        "Sequence numbers that TCP has used: server|client|both|either, operator, number",
        stream_size,
    ),
    keyword(
        "tag",
        "Packets after the alert are recorded: session, or host with src|dst; count, packets|bytes|seconds",
        tag,
    ),
];

/// Which of a flow's numbers a condition is about.
#[derive(Clone, Copy)]
enum Of {
    One(fn(&FlowFacts, u64) -> u64),
    /// Either direction's.
    Either(fn(&FlowFacts) -> [u64; 2]),
    /// Both directions'.
    Both(fn(&FlowFacts) -> [u64; 2]),
}

struct Facts {
    of: Of,
    test: IntegerTest,
}

impl Condition for Facts {
    fn holds(&self, view: &View<'_>) -> bool {
        let Some(facts) = &view.moment.flow else { return false };
        match self.of {
            Of::One(read) => self.test.holds(read(facts, view.moment.timestamp.0)),
            Of::Either(read) => read(facts).iter().any(|&value| self.test.holds(value)),
            Of::Both(read) => read(facts).iter().all(|&value| self.test.holds(value)),
        }
    }
}

fn facts(draft: &mut Draft, value: Word<'_>, bits: u8, of: Of) -> Outcome {
    let test = integer::parse(value, Domain::unsigned(bits))?;
    draft.conditions.push(Box::new(Facts { of, test }));
    Ok(())
}

fn by_direction(draft: &mut Draft, it: Use<'_>, bits: u8, read: fn(&FlowFacts) -> [u64; 2]) -> Outcome {
    let Some((side, condition)) = it.value.split_once(',') else {
        return Err(Problem::new("missing-value", say!("the condition is missing"), it.value.span())
            .help(say!("expected `toserver|toclient|either|both, condition`")));
    };
    let side = match side.text {
        "toserver" => Direction::ToServer,
        "toclient" => Direction::ToClient,
        "either" => return facts(draft, condition, bits, Of::Either(read)),
        "both" => return facts(draft, condition, bits, Of::Both(read)),
        text => {
            return Err(Problem::new("unknown-value", say!("`{}` is not a direction", text), side.span())
                .help(say!("expected toserver, toclient, either or both")));
        }
    };
    let test = integer::parse(condition, Domain::unsigned(bits))?;
    draft.conditions.push(Box::new(OneSide { read, side, test }));
    Ok(())
}

fn stream_size(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let parts: Vec<_> = it.value.split(',').collect();
    let &[side, operator, number] = parts.as_slice() else {
        return Err(Problem::new("invalid-value", say!("this is not a size of a stream"), it.value.span())
            .help(say!("expected `server|client|both|either, operator, number`")));
    };
    let domain = Domain::unsigned(32);
    let condition = format!("{}{}", operator.text, number.text);
    let test = integer::parse(Word { text: &condition, start: operator.start }, domain)?;
    let read: fn(&FlowFacts) -> [u64; 2] = |facts| facts.sent.map(u64::from);
    draft.conditions.push(match side.text {
        // The sender of what goes to the server is the client.
        "client" => Box::new(OneSide { read, side: Direction::ToServer, test }) as Box<dyn Condition>,
        "server" => Box::new(OneSide { read, side: Direction::ToClient, test }),
        "both" => Box::new(Facts { of: Of::Both(read), test }),
        "either" => Box::new(Facts { of: Of::Either(read), test }),
        text => {
            return Err(Problem::new("unknown-value", say!("`{}` is not a side", text), side.span())
                .help(say!("expected server, client, both or either")));
        }
    });
    Ok(())
}

/// A number of one direction.
struct OneSide {
    read: fn(&FlowFacts) -> [u64; 2],
    side: Direction,
    test: IntegerTest,
}

impl Condition for OneSide {
    fn holds(&self, view: &View<'_>) -> bool {
        let facts = view.moment.flow.as_ref();
        facts
            .and_then(|facts| (self.read)(facts).get(self.side.index()).copied())
            .is_some_and(|value| self.test.holds(value))
    }
}

/// `flowint` and `flowbits` of the same name are two.
fn count_name(word: Word<'_>) -> Result<u64, Problem> {
    if word.text.is_empty() || word.text.contains(char::is_whitespace) {
        return Err(Problem::new("invalid-value", say!("this is not the name of a flowint"), word.span()));
    }
    Ok(identify(word.text))
}

fn flowint(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let parts: Vec<_> = it.value.split(',').collect();
    let (name, operator, value) = match *parts.as_slice() {
        [name, operator] => (name, operator, None),
        [name, operator, value] => (name, operator, Some(value)),
        _ => {
            return Err(Problem::new("invalid-value", say!("this is not a flowint"), it.value.span())
                .help(say!("expected `name, operator, value` or `name, isset`")));
        }
    };
    draft.bits.push((count_name(name)?, name.text.to_owned()));
    let name = count_name(name)?;
    // A rule that only gives a value is about what it would be about without.
    draft.selective |= operator.text != "=";
    match operator.text {
        "isset" => draft.count_tests.push(CountTest { name, test: Compare::IsSet(true) }),
        "isnotset" | "notset" => draft.count_tests.push(CountTest { name, test: Compare::IsSet(false) }),
        _ => {
            let operand = operand(
                value.ok_or_else(|| Problem::new("missing-value", say!("the value is missing"), it.value.span()))?,
            )?;
            if let Some(change) = change(operator.text) {
                draft.count_effects.push(CountEffect { name, change, operand });
                return Ok(());
            }
            let compare: fn(u32, u32) -> bool = match operator.text {
                "==" => |value, operand| value == operand,
                "!=" => |value, operand| value != operand,
                "<" => |value, operand| value < operand,
                "<=" => |value, operand| value <= operand,
                ">" => |value, operand| value > operand,
                ">=" => |value, operand| value >= operand,
                text => {
                    return Err(Problem::new("unknown-value", say!("`{}` is not an operator", text), operator.span())
                        .help(say!("expected =, +, -, ==, !=, <, <=, >, >=, isset or isnotset")));
                }
            };
            draft.count_tests.push(CountTest { name, test: Compare::With(compare, operand) });
        }
    }
    Ok(())
}

fn change(operator: &str) -> Option<fn(u32, u32) -> u32> {
    match operator {
        "=" => Some(|_, operand| operand),
        "+" => Some(u32::saturating_add),
        "-" => Some(u32::saturating_sub),
        _ => None,
    }
}

fn operand(word: Word<'_>) -> Result<Operand, Problem> {
    match word.text.parse() {
        Ok(value) => Ok(Operand::Literal(value)),
        Err(_) if word.text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Err(Problem::new("value-out-of-range", say!("`{}` is out of range", word.text), word.span())
                .help(say!("expected 0 to {}", u32::MAX)))
        }
        Err(_) => Ok(Operand::Count(count_name(word)?)),
    }
}

/// Seconds that a mark lasts, unless the rule says how long.
const XBITS_EXPIRE_S: u32 = 30;
/// The same of `hostbits`.
const HOSTBITS_EXPIRE_S: u32 = 300;

fn mark(word: Word<'_>, seconds: u32) -> Result<Mark, Problem> {
    Ok(match word.text {
        "set" => Mark::Set(seconds),
        "unset" => Mark::Unset,
        "toggle" => Mark::Toggle(seconds),
        "isset" => Mark::Is(true),
        "isnotset" => Mark::Is(false),
        text => {
            let commands = ["set", "unset", "toggle", "isset", "isnotset", "noalert"];
            return Err(Problem::new("unknown-value", say!("`{}` is not a command", text), word.span()).help(
                match nearest(text, commands.into_iter()) {
                    Some(near) => say!("did you mean `{}`?", near),
                    None => say!("expected {}", commands.join(", ")),
                },
            ));
        }
    })
}

fn push(draft: &mut Draft, name: Word<'_>, owner: Owner, mark: Mark) -> Outcome {
    if name.text.is_empty() {
        return Err(Problem::new("missing-value", say!("the name of the mark is missing"), name.span()));
    }
    // A rule that only marks is about addresses alone, as it would be without.
    draft.selective |= matches!(mark, Mark::Is(_));
    draft.host_bits.push(HostBit { name: identify(name.text), owner, mark });
    Ok(())
}

fn xbits(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut parts = it.value.split(',');
    let command = parts.next().unwrap_or(it.value);
    if command.text == "noalert" {
        draft.silent = true;
        return Ok(());
    }
    let name = parts.next().unwrap_or(it.value.part(""));
    let (mut owner, mut seconds, mut of_transaction) = (None, XBITS_EXPIRE_S, false);
    for option in parts {
        let (key, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value = option.part(value).trim();
        match (key, value.text) {
            ("track", "ip_src") => owner = Some(Owner::Source),
            ("track", "ip_dst") => owner = Some(Owner::Destination),
            ("track", "ip_pair") => owner = Some(Owner::Pair),
            ("track", "tx") => of_transaction = true,
            ("expire", _) => seconds = expiry(value)?,
            _ => {
                return Err(Problem::new("unknown-value", say!("`{}` is not an option", option.text), option.span())
                    .help(say!("expected `track ip_src|ip_dst|ip_pair|tx` and `expire seconds`")));
            }
        }
    }
    if of_transaction {
        return transaction_bit(draft, name, mark(command, seconds)?);
    }
    let owner = owner.ok_or_else(|| {
        Problem::new("missing-value", say!("`track` is missing"), it.value.span())
            .help(say!("track ip_src, ip_dst, ip_pair or tx"))
    })?;
    push(draft, name, owner, mark(command, seconds)?)
}

/// Seconds that a mark lasts.
fn expiry(word: Word<'_>) -> Result<u32, Problem> {
    word.text
        .parse()
        .ok()
        .filter(|&seconds| seconds > 0)
        .ok_or_else(|| Problem::new("invalid-value", say!("`{}` is not a number of seconds", word.text), word.span()))
}

/// A mark on the transaction, which a worker answers for: it lasts as long as the transaction.
fn transaction_bit(draft: &mut Draft, name: Word<'_>, mark: Mark) -> Outcome {
    if name.text.is_empty() {
        return Err(Problem::new("missing-value", say!("the name of the mark is missing"), name.span()));
    }
    let bit = identify(name.text);
    draft.message = true;
    match mark {
        Mark::Is(set) => {
            draft.selective = true;
            draft.bit_tests.push(BitTest { bits: vec![bit], set, of: Holder::Transaction });
        }
        Mark::Toggle(_) => draft.transaction_effects.push(BitEffect::Toggle(bit)),
        Mark::Unset | Mark::Remove => draft.transaction_effects.push(BitEffect::Unset(bit)),
        Mark::Set(_) | Mark::Add => draft.transaction_effects.push(BitEffect::Set(bit)),
    }
    Ok(())
}

fn hostbits(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut parts = it.value.split(',');
    let command = parts.next().unwrap_or(it.value);
    if command.text == "noalert" {
        draft.silent = true;
        return Ok(());
    }
    let name = parts.next().unwrap_or(it.value.part(""));
    let side = parts.next();
    let mark = mark(command, parts.next().map_or(Ok(HOSTBITS_EXPIRE_S), expiry)?)?;
    if let Some(extra) = parts.next() {
        return Err(Problem::new("unknown-value", say!("`{}` is not an option", extra.text), extra.span()));
    }
    match side.map(|side| (side.text, side)) {
        None | Some(("src", _)) => push(draft, name, Owner::Source, mark),
        Some(("dst", _)) => push(draft, name, Owner::Destination, mark),
        Some(("both", _)) => {
            push(draft, name, Owner::Source, mark)?;
            push(draft, name, Owner::Destination, mark)
        }
        Some((text, side)) => Err(Problem::new("unknown-value", say!("`{}` is not a direction", text), side.span())
            .help(say!("expected src, dst or both"))),
    }
}

/// Packets recorded after a match, unless the rule says how many.
const TAGGED: u32 = 256;

fn tag(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let parts: Vec<_> = it.value.split(',').collect();
    let (kind, count, metric, side) = match *parts.as_slice() {
        [kind] => (kind, None, None, None),
        [kind, side] if matches!(side.text, "src" | "dst") => (kind, None, None, Some(side)),
        [kind, count, metric] => (kind, Some(count), Some(metric), None),
        [kind, count, metric, side] => (kind, Some(count), Some(metric), Some(side)),
        _ => {
            return Err(Problem::new("invalid-value", say!("this is not a tag"), it.value.span())
                .help(say!("expected `session|host, count, packets|bytes|seconds`, of a host also src or dst")));
        }
    };
    let scope = match (kind.text, side.map(|side| side.text)) {
        ("session", None) => TagScope::Session,
        ("host", Some("src")) => TagScope::Source,
        ("host", Some("dst") | None) => TagScope::Destination,
        ("session" | "host", Some(text)) => {
            let span = side.map_or(it.value.span(), |side| side.span());
            return Err(Problem::new("unknown-value", say!("`{}` is not a host to tag", text), span)
                .help(say!("expected src or dst, and only after `host`")));
        }
        (text, _) => {
            let near = nearest(text, ["session", "host"].into_iter());
            return Err(Problem::new("unknown-value", say!("`{}` cannot be tagged", text), kind.span()).help(
                match near {
                    Some(near) => say!("did you mean `{}`?", near),
                    None => say!("expected session or host"),
                },
            ));
        }
    };
    let count =
        count.map_or(Ok(TAGGED), |count| super::payload::literal(count, 1, u32::MAX.into()).map(|n| n as u32))?;
    let limit = match metric.map(|metric| (metric.text, metric)) {
        None | Some(("packets", _)) => TagLimit::Packets(count),
        Some(("bytes", _)) => TagLimit::Bytes(count),
        Some(("seconds", _)) => TagLimit::Seconds(count),
        Some((text, metric)) => {
            return Err(Problem::new("unknown-value", say!("`{}` is not a measure", text), metric.span())
                .help(say!("expected packets, bytes or seconds")));
        }
    };
    draft.rule.tags.push(Tag { scope, limit });
    Ok(())
}
