//! `content` and its modifiers.

use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::Buffer;
use crate::engine::chain::{Absence, Entropy, IsDataAt, Step};
use crate::engine::content::Content;
use crate::engine::value::Number;
use crate::language::Problem;
use crate::language::decimal;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::syntax::Word;

const fn modifier(name: &'static str, doc: &'static str, arity: Arity, compile: Compile) -> Keyword {
    Keyword { name, aliases: &[], doc, arity, compile }
}

type Outcome = Result<(), Problem>;
type Compile = fn(&mut Draft, &Environment<'_>, Use<'_>) -> Outcome;

pub(super) const KEYWORDS: &[Keyword] = &[
    modifier("content", "Bytes that must (with ! must not) be in the buffer", Arity::Required, |draft, _, it| {
        content(draft, it)
    }),
    modifier("nocase", "Letters of the content in any case", Arity::None, nocase),
    modifier("offset", "The content begins at this byte or later", Arity::Required, offset),
    modifier("depth", "The content lies within so many bytes from the offset", Arity::Required, depth),
    modifier(
        "distance",
        "The content begins so many bytes after the one before it, or later",
        Arity::Required,
        distance,
    ),
    modifier("within", "The content lies within so many bytes after the one before it", Arity::Required, within),
    modifier("startswith", "The content is the beginning of the buffer", Arity::None, startswith),
    modifier("endswith", "The content is the end of the buffer", Arity::None, endswith),
    modifier("rawbytes", "Accepted for old rules; without effect", Arity::None, |draft, _, it| {
        draft.last_content(it.name).map(drop)
    }),
    modifier(
        "fast_pattern",
        "Look for this content first: fast_pattern, only, or offset,length",
        Arity::Optional,
        fast,
    ),
    modifier("isdataat", "There are (with ! are not) bytes at this place", Arity::Required, is_data_at),
    modifier("bsize", "Length of the buffer in bytes", Arity::Required, buffer_size),
    modifier(
        "entropy",
        "Shannon's entropy of the buffer in bits a byte: bytes n, offset n, value condition",
        Arity::Required,
        entropy,
    ),
    modifier("replace", "Accepted for old rules; traffic is never changed", Arity::Required, replace),
    modifier("absent", "The buffer is not there; with or_else it may be", Arity::Optional, absent),
    modifier("pkt_data", "Contents from here on are looked for in the payload again", Arity::None, |draft, _, it| {
        draft.stick(Buffer::Payload, false, it.name)
    }),
];

pub(super) fn content(draft: &mut Draft, it: Use<'_>) -> Outcome {
    let (negated, value) = match it.value.text.strip_prefix('!') {
        Some(rest) => (true, it.value.part(rest).trim()),
        None => (false, it.value),
    };
    draft.push_step(Step::Content(Content::new(bytes(value)?, negated)));
    Ok(())
}

/// The bytes of a pattern: text, `|hex|`, and `\` before `;`, `"`, `\` and `:`.
pub(super) fn bytes(value: Word<'_>) -> Result<Vec<u8>, Problem> {
    let word = value.unquoted();
    if value.text.starts_with('"') && word.text.len() == value.text.len() {
        return Err(Problem::new("syntax", say!("the pattern is not closed"), value.span()).help(say!("expected `\"`")));
    }
    let mut out = Vec::with_capacity(word.text.len());
    let mut hex: Option<usize> = None;
    let mut high: Option<u8> = None;
    let mut characters = word.text.char_indices();
    while let Some((at, c)) = characters.next() {
        let here = || word.part(&word.text[at..at + c.len_utf8()]).span();
        match (hex, c) {
            (None, '|') => hex = Some(at),
            (Some(_), '|') if high.is_some() => {
                return Err(Problem::new("invalid-hex", say!("half a byte before `|`"), here())
                    .help(say!("expected two digits a byte")));
            }
            (Some(_), '|') => hex = None,
            (Some(_), c) if c.is_whitespace() => {}
            (Some(_), c) => {
                let Some(digit) = c.to_digit(16) else {
                    return Err(Problem::new("invalid-hex", say!("`{}` is not a hexadecimal digit", c), here())
                        .help(say!("between `|` stand bytes as two hexadecimal digits")));
                };
                match high.take() {
                    None => high = Some(digit as u8),
                    Some(first) => out.push(first << 4 | digit as u8),
                }
            }
            (None, '\\') => match characters.next() {
                Some((_, c @ (';' | '"' | '\\' | ':'))) => out.push(c as u8),
                _ => {
                    return Err(Problem::new("invalid-escape", say!("unknown escape"), here())
                        .help(say!("expected \\; \\\" \\\\ or \\:, or bytes as |hex|")));
                }
            },
            (None, '"' | ';') => {
                return Err(Problem::new("syntax", say!("unexpected `{}`", c), here())
                    .help(say!("a semicolon or quotation mark inside is written \\; or \\\"")));
            }
            (None, c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if let Some(at) = hex {
        return Err(Problem::new(
            "invalid-hex",
            say!("these bytes are not closed"),
            word.part(&word.text[at..]).span(),
        )
        .help(say!("expected `|`")));
    }
    if out.is_empty() {
        return Err(Problem::new("invalid-value", say!("the pattern is empty"), value.span()));
    }
    Ok(out)
}

/// A whole number within bounds, or the name of a value that is extracted before.
pub(super) fn number(draft: &Draft, word: Word<'_>, low: i64, high: i64) -> Result<Number, Problem> {
    let word = word.unquoted();
    if word.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return draft.extracted(word);
    }
    literal(word, low, high).map(Number::Literal)
}

/// A whole number within bounds, decimal or hexadecimal.
pub(super) fn literal(word: Word<'_>, low: i64, high: i64) -> Result<i64, Problem> {
    let word = word.unquoted();
    let number = integer::parse_number(word.text.strip_prefix('+').unwrap_or(word.text));
    number.and_then(|number| i64::try_from(number).ok()).filter(|number| (low..=high).contains(number)).ok_or_else(
        || {
            Problem::new("invalid-value", say!("`{}` is not a number in range", word.text), word.span()).help(say!(
                "expected {} to {}",
                low,
                high
            ))
        },
    )
}

/// The furthest that positions can be set.
const FAR: i64 = 1_048_576;

fn nocase(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let content = draft.last_content(it.name)?;
    content.nocase = true;
    content.bytes.make_ascii_lowercase();
    Ok(())
}

fn replace(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let (new, old) = (bytes(it.value)?.len(), draft.last_content(it.name)?.bytes.len());
    if new == old {
        return Ok(());
    }
    Err(Problem::new("conflict", say!("a content of {} bytes cannot be replaced by {}", old, new), it.value.span()))
}

/// Length of the buffer, for which the contents before it must have room.
fn buffer_size(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let test = integer::parse(it.value, Domain::unsigned(64))?;
    let needed = draft.contents().filter(|content| !content.negated).map(|content| content.bytes.len()).max();
    let longest = match &test {
        IntegerTest::In(sizes) => sizes.ranges().last().map(|range| range.1),
        IntegerTest::Mask { .. } => None,
    };
    if let (Some(needed), Some(longest)) = (needed, longest)
        && longest < needed as u64
    {
        let message = say!("the buffer is to be shorter than the {} bytes that are looked for", needed);
        return Err(Problem::new("never-matches", message, it.value.span()));
    }
    draft.push_step(Step::Length(test));
    Ok(())
}

/// A content has its place either in the buffer or after the content before it.
fn check_mixed(content: &Content, it: Use<'_>) -> Outcome {
    if content.startswith {
        return Err(starts_elsewhere(it));
    }
    if content.relative() && (content.offset.is_some() || content.depth.is_some()) {
        return Err(Problem::new(
            "conflict",
            say!("offset and depth do not go with distance and within on the same content"),
            it.name.span(),
        ));
    }
    Ok(())
}

fn offset(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let offset = number(draft, it.value, 0, 65_535)?;
    let content = draft.last_content(it.name)?;
    content.offset = Some(offset);
    check_mixed(content, it)
}

fn depth(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let length = draft.last_content(it.name)?.bytes.len() as i64;
    let depth = number(draft, it.value, length, 65_535)?;
    let content = draft.last_content(it.name)?;
    content.depth = Some(depth);
    check_mixed(content, it)
}

fn distance(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let distance = number(draft, it.value, -FAR, FAR)?;
    let content = draft.last_content(it.name)?;
    content.distance = Some(distance);
    check_mixed(content, it)
}

fn within(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let length = draft.last_content(it.name)?.bytes.len() as i64;
    let within = number(draft, it.value, length, FAR)?;
    let content = draft.last_content(it.name)?;
    content.within = Some(within);
    check_mixed(content, it)
}

fn starts_elsewhere(it: Use<'_>) -> Problem {
    Problem::new("conflict", say!("startswith does not go with other positions"), it.name.span())
}

fn startswith(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let content = draft.last_content(it.name)?;
    if content.relative() || content.offset.is_some() || content.depth.is_some() {
        return Err(starts_elsewhere(it));
    }
    let length = content.bytes.len() as i64;
    content.startswith = true;
    (content.offset, content.depth) = (Some(Number::Literal(0)), Some(Number::Literal(length)));
    Ok(())
}

fn endswith(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.last_content(it.name)?.endswith = true;
    Ok(())
}

fn fast(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    if draft.buffer() == Buffer::Decoded {
        let message = say!("what `base64_decode` gave cannot be looked for first");
        return Err(Problem::new("misplaced", message, it.name.span()));
    }
    if std::mem::replace(&mut draft.has_fast_pattern, true) {
        return Err(Problem::new("conflict", say!("a rule has one fast pattern"), it.name.span()));
    }
    let content = draft.last_content(it.name)?;
    let length = content.bytes.len();
    if content.negated {
        // The absence of bytes cannot be looked for first; the content is still inspected.
        return Ok(());
    }
    content.fast_pattern = Some(match it.value.unquoted().split_once(',') {
        None if matches!(it.value.text, "" | "only") => 0..length,
        Some((from, count)) => {
            let from = literal(from, 0, length as i64)? as usize;
            let count = literal(count, 1, (length - from) as i64)? as usize;
            from..from + count
        }
        None => {
            return Err(Problem::new(
                "invalid-value",
                say!("`{}` is not a form of fast_pattern", it.value.text),
                it.value.span(),
            )
            .help(say!("expected nothing, only, or offset,length")));
        }
    });
    Ok(())
}

fn is_data_at(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let (negated, value) = match it.value.text.strip_prefix('!') {
        Some(rest) => (true, it.value.part(rest).trim()),
        None => (false, it.value),
    };
    let mut parts = value.split(',');
    let at = number(draft, parts.next().unwrap_or(value), 0, 65_535)?;
    let mut relative = false;
    for word in parts {
        match word.text {
            "relative" => relative = true,
            "rawbytes" => {}
            text => {
                return Err(Problem::new(
                    "unknown-value",
                    say!("`{}` is not an option of isdataat", text),
                    word.span(),
                )
                .help(say!("expected relative or rawbytes")));
            }
        }
    }
    draft.push_step(Step::IsDataAt(IsDataAt { at, relative, negated }));
    Ok(())
}

fn absent(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let absence = match it.value.text {
        "" => Absence::Required,
        "or_else" => Absence::Allowed,
        text => {
            return Err(Problem::new("unknown-value", say!("`{}` is not an option of absent", text), it.value.span())
                .help(say!("expected nothing or or_else")));
        }
    };
    if draft.buffer() == Buffer::Payload {
        return Err(Problem::new("misplaced", say!("`absent` belongs after a sticky buffer"), it.name.span()));
    }
    draft.set_absence(absence);
    Ok(())
}

fn entropy(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let (mut offset, mut count, mut test) = (Number::Literal(0), None, None);
    for option in it.value.split(',') {
        let (key, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value = option.part(value).trim();
        match key {
            // 0 are all that there are.
            "bytes" if matches!(value.text, "0") => count = None,
            "bytes" => count = Some(number(draft, value, 1, 65_535)?),
            "offset" => offset = number(draft, value, 0, 65_535)?,
            "value" => test = Some(decimal::parse(value)?),
            // Alone it needs no name.
            _ if !key.starts_with(char::is_alphabetic) => test = Some(decimal::parse(option)?),
            _ => {
                return Err(Problem::new(
                    "unknown-value",
                    say!("`{}` is not an option of entropy", key),
                    option.span(),
                )
                .help(say!("expected bytes, offset or value")));
            }
        }
    }
    let test = test.ok_or_else(|| {
        Problem::new("missing-value", say!("`value` is missing"), it.value.span())
            .help(say!("expected as `value >= 7.5`"))
    })?;
    let buffer = draft.buffer_name().into();
    draft.push_step(Step::Entropy(Entropy { buffer, offset, bytes: count, test }));
    Ok(())
}
