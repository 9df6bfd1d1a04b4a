//! `pcre`.

use super::{Arity, Draft, Environment, Keyword, Need, Use};
use crate::engine::chain::Step;
use crate::engine::regex::{Expression, Flags};
use crate::language::Problem;
use crate::language::said::say;
use crate::language::syntax::Word;

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "pcre",
    aliases: &[],
    doc: "A Perl-compatible regular expression that must (with ! must not) match: /expression/flags",
    arity: Arity::Required,
    compile: pcre,
}];

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
    let (letters, rest) = tail.split_once(',').unwrap_or((tail, ""));
    if !rest.is_empty() {
        // The rule matches as it would without; only what the groups held is not kept.
        draft.warnings.push(Problem::new(
            "not-supported",
            say!("what the groups of this expression capture is not kept"),
            word.part(rest).trim().span(),
        ));
    }
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
    Expression::new(pattern, flags, relative, negated)
        .map_err(|error| Problem::new("invalid-expression", say!("{}", error), word.part(pattern).span()))
}

/// An expression without flags of its own, as transforms take it.
pub(super) fn plain(word: Word<'_>) -> Result<Expression, Problem> {
    Expression::new(word.text, Flags::default(), false, false)
        .map_err(|error| Problem::new("invalid-expression", say!("{}", error), word.span()))
}
