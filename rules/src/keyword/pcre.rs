//! `pcre`, and what its groups capture: `flowvar`, `pktvar`.

use super::flow::identify;
use super::{Arity, Draft, Environment, Keyword, Need, Use, payload};
use crate::engine::chain::Step;
use crate::engine::program::VariableTest;
use crate::engine::regex::{Expression, Flags};
use crate::language::Problem;
use crate::language::said::say;
use crate::language::syntax::Word;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "pcre",
        aliases: &[],
        doc: "A Perl-compatible regular expression that must (with ! must not) match: /expression/flags, and where what its groups capture is kept: flow:NAME, pkt:NAME",
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
    let (pattern, tail) = inner.rsplit_once('/').ok_or_else(wrong)?;
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
    let listed = word.part(names).split(',').filter(|name| !name.text.is_empty()).enumerate();
    for (at, name) in listed.map(|(at, name)| (at + 1, name)) {
        let (of_flow, name) = match name.text.split_once(':') {
            Some(("flow", variable)) => (true, name.part(variable)),
            Some(("pkt", variable)) => (false, name.part(variable)),
            _ => {
                return Err(Problem::new(
                    "invalid-value",
                    say!("`{}` is not where to keep a value", name.text),
                    name.span(),
                )
                .help(say!("expected `flow:NAME` or `pkt:NAME`")));
            }
        };
        if at >= expression.groups().len() {
            return Err(Problem::new("conflict", say!("the expression has no group for `{}`", name.text), name.span()));
        }
        capture(draft, &mut expression, at, of_flow, name.text);
    }
    let groups: Vec<_> = expression.groups().iter().map(Option::clone).enumerate().collect();
    for (at, group) in groups {
        let Some(group) = group else { continue };
        match (group.strip_prefix("flow_"), group.strip_prefix("pkt_")) {
            (Some(name), _) => capture(draft, &mut expression, at, true, name),
            (_, Some(name)) => capture(draft, &mut expression, at, false, name),
            _ => {}
        }
    }
    Ok(expression)
}

fn capture(draft: &mut Draft, expression: &mut Expression, group: usize, of_flow: bool, name: &str) {
    let number = identify(name);
    draft.bits.push((number, name.to_owned()));
    draft.captures = true;
    expression.captures.push((group, of_flow, number));
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
