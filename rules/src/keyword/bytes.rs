//! `byte_test`, `byte_jump`, `byte_extract` and `byte_math`.

use super::payload::{literal, number};
use super::{Arity, Draft, Environment, Keyword, Need, Use};
use crate::engine::bytes::{ByteExtract, ByteJump, ByteMath, ByteTest, Comparison, Operation, Origin, Reading};
use crate::engine::chain::Step;
use crate::engine::value::Number;
use crate::language::Problem;
use crate::language::said::{Said, say};
use crate::language::syntax::Word;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "byte_test",
        aliases: &[],
        doc: "Compares a number in the buffer: bytes, operator, value, offset, options",
        arity: Arity::Required,
        compile: byte_test,
    },
    Keyword {
        name: "byte_jump",
        aliases: &[],
        doc: "Moves on by a number in the buffer: bytes, offset, options",
        arity: Arity::Required,
        compile: byte_jump,
    },
    Keyword {
        name: "byte_extract",
        aliases: &[],
        doc: "Keeps a number in the buffer for later keywords: bytes, offset, name, options",
        arity: Arity::Required,
        compile: byte_extract,
    },
    Keyword {
        name: "byte_math",
        aliases: &[],
        doc: "Computes with a number in the buffer: bytes, offset, oper, rvalue, result, options",
        arity: Arity::Required,
        compile: byte_math,
    },
];

type Outcome = Result<(), Problem>;

/// The furthest that positions can be set.
const FAR: i64 = 65_535;

/// The commas of a value part what stands there in order from the options.
struct Parts<'a> {
    words: std::vec::IntoIter<Word<'a>>,
    whole: Word<'a>,
}

impl<'a> Parts<'a> {
    fn of(value: Word<'a>) -> Self {
        Self { words: value.split(',').collect::<Vec<_>>().into_iter(), whole: value }
    }

    fn next(&mut self, missing: Said) -> Result<Word<'a>, Problem> {
        self.words
            .next()
            .filter(|word| !word.text.is_empty())
            .ok_or_else(|| Problem::new("missing-value", missing, self.whole.span()))
    }
}

fn reading(length: Number, offset: Number) -> Reading {
    Reading { length, offset, relative: false, little: false, text: None, mask: None }
}

/// An option that goes with any of these keywords; false when it is none.
fn common(draft: &mut Draft, reading: &mut Reading, option: Word<'_>) -> Result<bool, Problem> {
    let (name, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
    let value = option.part(value).trim();
    match name {
        "relative" => reading.relative = true,
        "big" => reading.little = false,
        "little" => reading.little = true,
        "endian" => match value.text {
            "big" => reading.little = false,
            "little" => reading.little = true,
            "dce" => draft.wait(value, Need::Protocol("dcerpc")),
            _ => return Ok(false),
        },
        "string" => {
            reading.text = Some(match value.text {
                "" | "dec" => 10,
                "hex" => 16,
                "oct" => 8,
                _ => return Ok(false),
            });
        }
        "dec" => reading.text = Some(10),
        "hex" => reading.text = Some(16),
        "oct" => reading.text = Some(8),
        "bitmask" => reading.mask = Some(literal(value, 0, u32::MAX.into())? as u64),
        "dce" => draft.wait(option, Need::Protocol("dcerpc")),
        _ => return Ok(false),
    }
    Ok(true)
}

fn unknown(option: Word<'_>, it: Use<'_>) -> Problem {
    let message = say!("`{}` is not an option of {}", option.text, it.name.text);
    Problem::new("unknown-value", message, option.span())
}

/// A number of bytes that can be read: up to eight, of text up to 23 digits.
fn check_length(reading: &Reading, it: Use<'_>) -> Outcome {
    let most = if reading.text.is_some() { 23 } else { 8 };
    match reading.length {
        // As many digits as there are.
        Number::Literal(0) if reading.text.is_none() && it.name.text != "byte_jump" => {
            Err(Problem::new("value-out-of-range", say!("0 bytes are no number"), it.value.span())
                .help(say!("with `string` as many digits as there are")))
        }
        Number::Literal(length) if length > most => {
            Err(Problem::new("value-out-of-range", say!("at most {} bytes can be read", most), it.value.span()))
        }
        _ => Ok(()),
    }
}

fn byte_test(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut parts = Parts::of(it.value);
    let length = number(draft, parts.next(say!("the number of bytes is missing"))?, 0, 23)?;
    let operator = parts.next(say!("the operator is missing"))?;
    let (negated, symbol) = match operator.text.strip_prefix('!') {
        // `!` alone is "not equal".
        Some("") => (true, operator.part("=")),
        Some(rest) => (true, operator.part(rest).trim()),
        None => (false, operator),
    };
    let comparison = match symbol.text {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        "=" => Comparison::Equal,
        "&" => Comparison::And,
        "^" => Comparison::Xor,
        text => {
            return Err(Problem::new("unknown-value", say!("`{}` is not a comparison", text), operator.span())
                .help(say!("expected <, <=, >, >=, =, & or ^, negated with !")));
        }
    };
    let value = number(draft, parts.next(say!("the value is missing"))?, i64::MIN, i64::MAX)?;
    let offset = number(draft, parts.next(say!("the offset is missing"))?, -FAR, FAR)?;
    let mut reading = reading(length, offset);
    for option in parts.words {
        if !common(draft, &mut reading, option)? {
            return Err(unknown(option, it));
        }
    }
    check_length(&reading, it)?;
    draft.push_step(Step::ByteTest(ByteTest { reading, comparison, negated, value }));
    Ok(())
}

fn byte_jump(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut parts = Parts::of(it.value);
    let length = number(draft, parts.next(say!("the number of bytes is missing"))?, 0, 23)?;
    let offset = number(draft, parts.next(say!("the offset is missing"))?, -FAR, FAR)?;
    let mut jump = ByteJump {
        reading: reading(length, offset),
        multiplier: 1,
        align: false,
        origin: Origin::Here,
        post_offset: Number::Literal(0),
    };
    for option in parts.words {
        let (name, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value = option.part(value).trim();
        match name {
            "multiplier" => jump.multiplier = literal(value, 1, FAR)? as u64,
            "align" => jump.align = true,
            "from_beginning" => jump.origin = Origin::Beginning,
            "from_end" => jump.origin = Origin::End,
            "post_offset" => jump.post_offset = number(draft, value, -FAR, FAR)?,
            _ if common(draft, &mut jump.reading, option)? => {}
            _ => return Err(unknown(option, it)),
        }
    }
    check_length(&jump.reading, it)?;
    draft.push_step(Step::ByteJump(jump));
    Ok(())
}

/// The name of an extracted value.
fn name(word: Word<'_>) -> Result<Word<'_>, Problem> {
    let begins = word.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && word.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-') {
        return Ok(word);
    }
    Err(Problem::new("invalid-value", say!("`{}` cannot be the name of a value", word.text), word.span())
        .help(say!("expected a letter, then letters, digits and _")))
}

fn byte_extract(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut parts = Parts::of(it.value);
    let length = number(draft, parts.next(say!("the number of bytes is missing"))?, 1, 23)?;
    let offset = number(draft, parts.next(say!("the offset is missing"))?, -FAR, FAR)?;
    let slot = draft.define(name(parts.next(say!("the name is missing"))?)?)?;
    let mut extract = ByteExtract { reading: reading(length, offset), multiplier: 1, align: None, slot };
    for option in parts.words {
        let (name, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value = option.part(value).trim();
        match name {
            "multiplier" => extract.multiplier = literal(value, 1, FAR)? as u64,
            "align" if value.text == "3" => {
                let message = say!("`{}` is not a number in range", value.text);
                return Err(Problem::new("invalid-value", message, value.span()).help(say!("expected 2 or 4")));
            }
            "align" => extract.align = Some(literal(value, 2, 4)? as u64),
            _ if common(draft, &mut extract.reading, option)? => {}
            _ => return Err(unknown(option, it)),
        }
    }
    check_length(&extract.reading, it)?;
    draft.push_step(Step::ByteExtract(extract));
    Ok(())
}

fn byte_math(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let (mut length, mut offset, mut operation, mut operand, mut result) = (None, None, None, None, None);
    let mut read = reading(Number::Literal(0), Number::Literal(0));
    let mut seen = Vec::new();
    for option in it.value.split(',') {
        let (key, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value = option.part(value).trim();
        if seen.contains(&key) {
            return Err(Problem::new("conflict", say!("`{}` is given twice", key), option.span()));
        }
        seen.push(key);
        match key {
            "bytes" => length = Some(number(draft, value, 1, 10)?),
            "offset" => offset = Some(number(draft, value, -FAR, FAR)?),
            "oper" => operation = Some(operator(value)?),
            "rvalue" => operand = Some(number(draft, value, 0, u32::MAX.into())?),
            "result" => result = Some(name(value)?),
            _ if common(draft, &mut read, option)? => {}
            _ => return Err(unknown(option, it)),
        }
    }
    let missing = |what: &str| Problem::new("missing-value", say!("`{}` is missing", what), it.value.span());
    read.length = length.ok_or_else(|| missing("bytes"))?;
    read.offset = offset.ok_or_else(|| missing("offset"))?;
    let operation = operation.ok_or_else(|| missing("oper"))?;
    let operand = operand.ok_or_else(|| missing("rvalue"))?;
    check_length(&read, it)?;
    if matches!((operation, operand), (Operation::Divide, Number::Literal(0))) {
        draft.warnings.push(Problem::new("never-matches", say!("a division by zero"), it.value.span()));
    }
    let slot = draft.define(result.ok_or_else(|| missing("result"))?)?;
    draft.push_step(Step::ByteMath(ByteMath { reading: read, operation, operand, slot }));
    Ok(())
}

fn operator(word: Word<'_>) -> Result<Operation, Problem> {
    Ok(match word.text {
        "+" => Operation::Add,
        "-" => Operation::Subtract,
        "*" => Operation::Multiply,
        "/" => Operation::Divide,
        "<<" => Operation::ShiftLeft,
        ">>" => Operation::ShiftRight,
        text => {
            return Err(Problem::new("unknown-value", say!("`{}` is not an operation", text), word.span())
                .help(say!("expected +, -, *, /, << or >>")));
        }
    })
}
