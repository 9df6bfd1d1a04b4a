//! `pcre`, and what its groups capture: `flowvar`, `pktvar`.

use super::flow::identify;
use super::{Arity, Draft, Environment, Keyword, Need, Use, payload};
use crate::engine::chain::Step;
use crate::engine::program::VariableTest;
use crate::engine::regex::{Expression, Flags, Kept};
use crate::language::Problem;
use crate::language::said::say;
use crate::language::syntax::Word;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "pcre",
        aliases: &[],
        doc: "A Perl-compatible regular expression that must (with ! must not) match: /expression/flags, and where what its groups capture is kept: flow:NAME, pkt:NAME, alert:NAME, or pkt:key and pkt:value",
        arity: Arity::Required,
        compile: pcre,
    },
    Keyword {
        name: "flowvar",
        aliases: &[],
        doc: "A value that an expression captured for the flow contains bytes: name,\"content\"",
        arity: Arity::Required,
        compile: |draft, _, it| variable(draft, it, true),
    },
    Keyword {
        name: "pktvar",
        aliases: &[],
        doc: "The same of a value captured for the packet",
        arity: Arity::Required,
        compile: |draft, _, it| variable(draft, it, false),
    },
];

/// Flags of old rules that say which buffer of HTTP or SIP is meant.
const HTTP_BUFFERS: &str = "UIPQHDMCSYVW";

fn pcre(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (negated, value) = match it.value.text.strip_prefix('!') {
        Some(rest) => (true, it.value.part(rest).trim()),
        None => (false, it.value),
    };
    let expression = parse(draft, value.unquoted(), negated)?;
    draft.push_step(Step::Expression(expression));
    Ok(())
}

/// `/expression/flags`.
fn parse(draft: &mut Draft, word: Word<'_>, negated: bool) -> Result<Expression, Problem> {
    let wrong = || {
        Problem::new("invalid-value", say!("this is not an expression"), word.span())
            .help(say!("expected `/expression/flags`"))
    };
    let inner = word.text.strip_prefix('/').ok_or_else(wrong)?;
    let (pattern, tail) = end(inner).ok_or_else(wrong)?;
    let (letters, names) = tail.split_once(',').unwrap_or((tail, ""));
    let (mut flags, mut relative) = (Flags::default(), false);
    for (at, letter) in letters.trim_end().char_indices() {
        match letter {
            'i' => flags.caseless = true,
            'm' => flags.multi_line = true,
            's' => flags.dot_all = true,
            'x' => flags.extended = true,
            'G' => flags.ungreedy = true,
            'A' => flags.anchored = true,
            'R' => relative = true,
            // Raw bytes are all that there are; E differs only before a final line break; the limits always hold.
            'B' | 'E' | 'O' => {}
            _ if HTTP_BUFFERS.contains(letter) => {
                draft.wait(word.part(&letters[at..at + letter.len_utf8()]), Need::Protocol("http"));
            }
            _ => {
                let span = word.part(&letters[at..at + letter.len_utf8()]).span();
                return Err(Problem::new("unknown-value", say!("`{}` is not a flag of pcre", letter), span)
                    .help(say!("expected i, m, s, x, A, E, G, R, B or O")));
            }
        }
    }
    let mut expression = Expression::new(pattern, flags, relative, negated)
        .map_err(|error| Problem::new("invalid-expression", say!("{}", error), word.part(pattern).span()))?;
    // Names after the flags go to the groups in their order; older rules name the groups themselves.
    let mut captures = Vec::new();
    let listed = word.part(names).split(',').filter(|name| !name.text.is_empty()).enumerate();
    for (at, name) in listed.map(|(at, name)| (at + 1, name)) {
        let Some((scope, variable)) = scope(name.text) else {
            let message = say!("`{}` is not where to keep a value", name.text);
            return Err(Problem::new("invalid-value", message, name.span())
                .help(say!("expected `flow:NAME`, `pkt:NAME` or `alert:NAME`")));
        };
        let variable = name.part(variable);
        if at >= expression.groups().len() {
            let message = say!("the expression has no group for `{}`", variable.text);
            return Err(Problem::new("conflict", message, variable.span()));
        }
        captures.push((at, scope, variable.text.to_owned()));
    }
    for (at, group) in expression.groups().iter().enumerate() {
        let group = group.as_deref().unwrap_or_default();
        if let Some((scope, name)) =
            SCOPES.iter().find_map(|of| Some((of.1, group.strip_prefix(of.0)?.strip_prefix('_')?)))
        {
            captures.push((at, scope, name.to_owned()));
        }
    }
    let groups_of = |name: &str| -> Vec<usize> {
        let found = captures.iter().filter(|it| (it.1, it.2.as_str()) == (Scope::Packet, name));
        found.map(|it| it.0).collect()
    };
    let (keys, values) = (groups_of(KEY), groups_of(VALUE));
    if keys.len() != values.len() {
        return Err(Problem::new("conflict", say!("`pkt:key` and `pkt:value` go together"), word.part(names).span()));
    }
    expression.captures = keys.into_iter().zip(values).map(|(key, value)| (key, Kept::Pair(value))).collect();
    for (group, scope, name) in captures {
        let number = identify(&name);
        let kept = match scope {
            Scope::Alert => Kept::Alert(name.into()),
            Scope::Packet if matches!(name.as_str(), KEY | VALUE) => continue,
            _ => {
                draft.bits.push((number, name));
                if scope == Scope::Flow { Kept::Flow(number) } else { Kept::Packet(number) }
            }
        };
        draft.captures |= !matches!(kept, Kept::Alert(_));
        expression.captures.push((group, kept));
    }
    Ok(expression)
}

/// How long a captured value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Flow,
    Packet,
    /// It is told with the match, and no rule can ask for it.
    Alert,
}

/// By their names.
const SCOPES: &[(&str, Scope)] = &[("flow", Scope::Flow), ("pkt", Scope::Packet), ("alert", Scope::Alert)];

/// What a packet's values are named that are a name and its value.
const KEY: &str = "key";
const VALUE: &str = "value";

/// Splits where a value is kept from its name.
fn scope(name: &str) -> Option<(Scope, &str)> {
    let (scope, variable) = name.split_once(':')?;
    Some((SCOPES.iter().find(|of| of.0 == scope)?.1, variable))
}

/// Splits an expression from what stands behind its end: names of values may have a `/`, too.
fn end(text: &str) -> Option<(&str, &str)> {
    let named = |tail: &str| {
        let (letters, names) = tail.split_once(',').unwrap_or((tail, ""));
        letters.trim_end().bytes().all(|letter| letter.is_ascii_alphabetic())
            && names.split(',').all(|name| scope(name.trim()).is_some())
    };
    let ends = text.match_indices('/').map(|(at, _)| (&text[..at], &text[at + 1..]));
    ends.into_iter().find(|(_, tail)| named(tail)).or_else(|| text.rsplit_once('/'))
}

/// `name,content`: what an earlier expression captured has these bytes.
fn variable(draft: &mut Draft, it: Use<'_>, of_flow: bool) -> Result<(), Problem> {
    let Some((name, content)) = it.value.split_once(',') else {
        return Err(Problem::new("invalid-value", say!("this is not a test of a captured value"), it.value.span())
            .help(say!("expected `name,\"content\"`")));
    };
    let (negated, content) = match content.text.strip_prefix('!') {
        Some(rest) => (true, content.part(rest).trim()),
        None => (false, content),
    };
    draft.selective = true;
    let bytes = payload::bytes(content)?;
    draft.variable_tests.push(VariableTest { name: identify(name.text), of_flow, bytes, negated });
    Ok(())
}

/// An expression without flags of its own, as transforms take it.
pub(super) fn plain(word: Word<'_>) -> Result<Expression, Problem> {
    Expression::new(word.text, Flags::default(), false, false)
        .map_err(|error| Problem::new("invalid-expression", say!("{}", error), word.span()))
}
