//! Transforms of sticky buffers, `base64_decode` and `base64_data`.

use super::payload::literal;
use super::{Arity, Draft, Environment, Keyword, Use, pcre};
use crate::engine::Buffer;
use crate::engine::chain::Step;
use crate::engine::transform::{Base64, Strictness, Transform, Xor, XorKey};
use crate::language::Problem;
use crate::language::said::say;
use crate::language::syntax::Word;

type Outcome = Result<(), Problem>;

const fn keyword(
    name: &'static str,
    doc: &'static str,
    arity: Arity,
    compile: fn(&mut Draft, &Environment<'_>, Use<'_>) -> Outcome,
) -> Keyword {
    Keyword { name, aliases: &[], doc, arity, compile }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword("to_lowercase", "Transform: letters in lower case", Arity::None, |draft, _, it| {
        draft.transform(Transform::Lowercase, it.name)
    }),
    keyword("to_uppercase", "Transform: letters in upper case", Arity::None, |draft, _, it| {
        draft.transform(Transform::Uppercase, it.name)
    }),
    keyword("to_md5", "Transform: MD5 of the buffer, 16 bytes", Arity::None, |draft, _, it| {
        draft.transform(Transform::Md5, it.name)
    }),
    keyword("to_sha1", "Transform: SHA-1 of the buffer, 20 bytes", Arity::None, |draft, _, it| {
        draft.transform(Transform::Sha1, it.name)
    }),
    keyword("to_sha256", "Transform: SHA-256 of the buffer, 32 bytes", Arity::None, |draft, _, it| {
        draft.transform(Transform::Sha256, it.name)
    }),
    keyword("strip_whitespace", "Transform: without white space", Arity::None, |draft, _, it| {
        draft.transform(Transform::StripWhitespace, it.name)
    }),
    keyword("compress_whitespace", "Transform: white space in a row becomes one", Arity::None, |draft, _, it| {
        draft.transform(Transform::CompressWhitespace, it.name)
    }),
    keyword("dotprefix", "Transform: with a dot in front", Arity::None, |draft, _, it| {
        draft.transform(Transform::DotPrefix, it.name)
    }),
    keyword("url_decode", "Transform: %41 becomes A, + a space", Arity::None, |draft, _, it| {
        draft.transform(Transform::UrlDecode, it.name)
    }),
    keyword("tld", "Transform: the public suffix of a host name", Arity::None, |draft, _, it| {
        draft.transform(Transform::TopLevelDomain, it.name)
    }),
    keyword("domain", "Transform: the registered domain of a host name", Arity::None, |draft, _, it| {
        draft.transform(Transform::Domain, it.name)
    }),
    keyword("header_lowercase", "Transform: names of header lines in lower case", Arity::None, |draft, _, it| {
        draft.transform(Transform::HeaderLowercase, it.name)
    }),
    keyword("strip_pseudo_headers", "Transform: without HTTP/2's pseudo-headers", Arity::None, |draft, _, it| {
        draft.transform(Transform::StripPseudoHeaders, it.name)
    }),
    keyword("gunzip", "Transform: gzip inflated; max-size in bytes", Arity::Optional, |draft, _, it| {
        inflate(draft, it, true)
    }),
    keyword("zlib_deflate", "Transform: zlib inflated; max-size in bytes", Arity::Optional, |draft, _, it| {
        inflate(draft, it, false)
    }),
    keyword(
        "xor",
        "Transform: exclusive or with a key in hexadecimal, or of the buffer: offset n, extract length place",
        Arity::Required,
        xor,
    ),
    keyword("pcrexform", "Transform: the first group of an expression", Arity::Required, |draft, _, it| {
        let expression = pcre::plain(it.value.unquoted())?;
        draft.transform(Transform::Expression(expression), it.name)
    }),
    keyword("subslice", "Transform: a part of the buffer: offset, length, truncate", Arity::Required, subslice),
    keyword("from_base64", "Transform: base64 decoded: bytes, offset, mode", Arity::Optional, |draft, _, it| {
        let base64 = base64(it)?;
        draft.transform(Transform::Base64(base64), it.name)
    }),
    keyword("base64_decode", "Decodes base64: bytes, offset, relative", Arity::Optional, |draft, _, it| {
        let base64 = base64(it)?;
        draft.push_step(Step::Base64(base64));
        Ok(())
    }),
    keyword("base64_data", "What base64_decode gave; a sticky buffer", Arity::None, |draft, _, it| {
        if !draft.decodes() {
            return Err(Problem::new(
                "misplaced",
                say!("`base64_data` belongs after a `base64_decode`"),
                it.name.span(),
            ));
        }
        draft.stick(Buffer::Decoded, false, it.name)
    }),
];

fn xor(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut xor = Xor { offset: 0, key: XorKey::Stated(Box::default()) };
    for option in it.value.split(',') {
        match option.text.split_once(char::is_whitespace) {
            Some(("offset", offset)) => xor.offset = literal(option.part(offset).trim(), 0, 65_535)? as usize,
            Some(("extract", rest)) => {
                let rest = option.part(rest).trim();
                let (length, at) = rest.split_once(' ').ok_or_else(|| {
                    Problem::new("missing-value", say!("the place of the key is missing"), rest.span())
                        .help(say!("expected `extract length place`"))
                })?;
                xor.key = XorKey::Extracted {
                    length: literal(length, 1, 255)? as usize,
                    at: literal(at, 0, 65_535)? as usize,
                };
            }
            _ => xor.key = XorKey::Stated(hex_key(option.unquoted())?),
        }
    }
    if matches!(&xor.key, XorKey::Stated(key) if key.is_empty()) {
        return Err(Problem::new("missing-value", say!("the key is missing"), it.value.span())
            .help(say!("expected 1 to 255 bytes in hexadecimal, or `extract length place`")));
    }
    draft.transform(Transform::Xor(xor), it.name)
}

fn hex_key(word: Word<'_>) -> Result<Box<[u8]>, Problem> {
    let digits: Option<Vec<u8>> = word.text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2) && digits.len() <= 510);
    let digits = digits.ok_or_else(|| {
        Problem::new("invalid-hex", say!("this is not a key"), word.span())
            .help(say!("expected 1 to 255 bytes in hexadecimal"))
    })?;
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Inflated bytes, unless the rule says how many.
const INFLATED: u64 = 1024;

fn inflate(draft: &mut Draft, it: Use<'_>, gzip: bool) -> Outcome {
    let limit = match it.value.text.split_once(char::is_whitespace) {
        None if it.value.text.is_empty() => INFLATED,
        Some(("max-size", size)) => literal(it.value.part(size).trim(), 1, 1 << 20)? as u64,
        _ => {
            return Err(Problem::new("unknown-value", say!("this is not a bound"), it.value.span())
                .help(say!("expected `max-size bytes`")));
        }
    };
    draft.transform(Transform::Inflate { gzip, limit }, it.name)
}

fn subslice(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    const FAR: i64 = 1 << 31;
    let mut parts: Vec<_> = it.value.split(',').collect();
    let truncate = parts.pop_if(|last| last.text == "truncate").is_some();
    let (offset, count) = match *parts.as_slice() {
        [offset] => (literal(offset, -FAR, FAR)?, None),
        [offset, count] => (literal(offset, -FAR, FAR)?, Some(literal(count, -FAR, FAR)?)),
        _ => {
            return Err(Problem::new("syntax", say!("a slice has an offset and a length"), it.value.span())
                .help(say!("expected `offset[, length][, truncate]`")));
        }
    };
    draft.transform(Transform::Subslice { offset, count, truncate }, it.name)
}

fn base64(it: Use<'_>) -> Result<Base64, Problem> {
    // `base64_decode` reads what mail writes, across line breaks; the transform is strict unless it is told otherwise.
    let strictness = if it.name.text == "base64_decode" { Strictness::Rfc2045 } else { Strictness::Rfc4648 };
    let mut base64 = Base64 { bytes: None, offset: 0, relative: false, strictness };
    for option in it.value.split(',').filter(|option| !option.text.is_empty()) {
        let (name, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value: Word<'_> = option.part(value).trim();
        match name {
            "bytes" => base64.bytes = Some(literal(value, 1, 65_535)? as usize),
            "offset" => base64.offset = literal(value, 0, 65_535)? as usize,
            "relative" => base64.relative = true,
            // Its format is written with a colon, its examples without.
            "mode" | "mode:" => {
                base64.strictness = match value.text {
                    "rfc4648" => Strictness::Rfc4648,
                    "strict" => Strictness::Strict,
                    "rfc2045" => Strictness::Rfc2045,
                    text => {
                        return Err(Problem::new("unknown-value", say!("`{}` is not a mode", text), value.span())
                            .help(say!("expected rfc4648, rfc2045 or strict")));
                    }
                };
            }
            _ => {
                return Err(Problem::new("unknown-value", say!("`{}` is not an option here", name), option.span())
                    .help(say!("expected bytes, offset, relative or mode")));
            }
        }
    }
    Ok(base64)
}
