//! Transforms: what a buffer becomes before it is searched.

use std::io::Read;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::{GzDecoder, ZlibDecoder};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::regex::Expression;
use super::value::Registers;

/// One transform.
#[derive(Debug, Clone)]
pub(crate) enum Transform {
    Lowercase,
    Uppercase,
    Md5,
    Sha1,
    Sha256,
    StripWhitespace,
    CompressWhitespace,
    DotPrefix,
    UrlDecode,
    Xor(Xor),
    Expression(Expression),
    Base64(Base64),
    /// The public suffix of a host name (`co.uk`), by the public suffix list.
    TopLevelDomain,
    /// The public suffix with the label before it (`example.co.uk`).
    Domain,
    /// Names of header lines in lower case.
    HeaderLowercase,
    /// Without the lines that begin with a colon (HTTP/2's pseudo-headers).
    StripPseudoHeaders,
    /// Inflated: gzip (true) or zlib, up to so many bytes.
    Inflate {
        gzip: bool,
        limit: u64,
    },
    /// From this byte on (negative: from the end), so many bytes (negative: up to so many before the end). Of a part that
    /// lies not wholly in the buffer nothing stays or, with `truncate`, what is there.
    Subslice {
        offset: i64,
        count: Option<i64>,
        truncate: bool,
    },
}

/// `xor`: the buffer from `offset` on, with a key over and over.
#[derive(Debug, Clone)]
pub(crate) struct Xor {
    pub(crate) offset: usize,
    pub(crate) key: XorKey,
}

/// Where the key comes from.
#[derive(Debug, Clone)]
pub(crate) enum XorKey {
    /// The rule states it.
    Stated(Box<[u8]>),
    /// So many bytes of the buffer, from this place on.
    Extracted { length: usize, at: usize },
}

impl Xor {
    fn apply(&self, input: &[u8], out: &mut Vec<u8>) {
        let key = match &self.key {
            XorKey::Stated(key) => key,
            &XorKey::Extracted { length, at } => {
                input.get(at..).and_then(|rest| rest.get(..length)).unwrap_or_default()
            }
        };
        let rest = input.get(self.offset..).unwrap_or_default();
        if key.is_empty() {
            return out.extend_from_slice(rest);
        }
        out.extend(rest.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}

impl Transform {
    /// Bytes, in any letter case, that must stand in what is transformed for `pattern` to stand in what becomes of it; none
    /// where nothing can be said.
    pub(crate) fn before<'p>(&self, pattern: &'p [u8]) -> Option<&'p [u8]> {
        match self {
            Self::Lowercase | Self::Uppercase | Self::HeaderLowercase => Some(pattern),
            // A part of it in one piece.
            Self::Domain | Self::TopLevelDomain | Self::Subslice { .. } => Some(pattern),
            Self::DotPrefix => Some(pattern.strip_prefix(b".").unwrap_or(pattern)).filter(|rest| !rest.is_empty()),
            _ => None,
        }
    }

    /// Is what becomes of the end of a buffer, but for letter case, the end of what becomes of it?
    pub(crate) fn keeps_end(&self) -> bool {
        matches!(self, Self::Lowercase | Self::Uppercase | Self::DotPrefix)
    }

    /// Appends what becomes of `input` to `out`.
    pub(crate) fn apply(&self, input: &[u8], out: &mut Vec<u8>, registers: &Registers) {
        match self {
            Self::Lowercase => out.extend(input.iter().map(u8::to_ascii_lowercase)),
            Self::Uppercase => out.extend(input.iter().map(u8::to_ascii_uppercase)),
            Self::Md5 => out.extend(Md5::digest(input)),
            Self::Sha1 => out.extend(Sha1::digest(input)),
            Self::Sha256 => out.extend(Sha256::digest(input)),
            Self::StripWhitespace => out.extend(input.iter().filter(|byte| !is_blank(**byte))),
            Self::CompressWhitespace => {
                let mut blank = false;
                for &byte in input {
                    if !(blank && is_blank(byte)) {
                        out.push(byte);
                    }
                    blank = is_blank(byte);
                }
            }
            Self::DotPrefix => {
                out.push(b'.');
                out.extend_from_slice(input);
            }
            Self::UrlDecode => url_decode(input, out),
            Self::Xor(xor) => xor.apply(input, out),
            Self::Expression(expression) => {
                out.extend_from_slice(expression.capture(input, registers).unwrap_or_default());
            }
            Self::Base64(base64) => drop(base64.decode(input, 0, out)),
            Self::TopLevelDomain => {
                out.extend_from_slice(end_of_name(input, |name| {
                    psl::suffix(name).map(|suffix| suffix.as_bytes().len())
                }));
            }
            Self::Domain => {
                out.extend_from_slice(end_of_name(input, |name| {
                    psl::domain(name).map(|domain| domain.as_bytes().len())
                }));
            }
            Self::HeaderLowercase => {
                for line in input.split_inclusive(|byte| *byte == b'\n') {
                    let name = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
                    out.extend(line.iter().take(name).map(u8::to_ascii_lowercase));
                    out.extend_from_slice(line.get(name..).unwrap_or_default());
                }
            }
            Self::StripPseudoHeaders => {
                let lines = input.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b":"));
                lines.for_each(|line| out.extend_from_slice(line));
            }
            &Self::Inflate { gzip, limit } => inflate(input, gzip, limit, out),
            &Self::Subslice { offset, count, truncate } => {
                out.extend_from_slice(subslice(input, offset, count, truncate));
            }
        }
    }
}

/// The longest host name (RFC 1035, 2.3.4).
const NAME: usize = 255;

/// The end of a host name that `find` gives the length of, from the name in lower case; the whole where it gives none.
fn end_of_name(input: &[u8], find: impl Fn(&[u8]) -> Option<usize>) -> &[u8] {
    let mut lower = [0; NAME];
    let Some(name) = lower.get_mut(..input.len()) else { return input };
    name.copy_from_slice(input);
    name.make_ascii_lowercase();
    let start = find(name).and_then(|length| input.len().checked_sub(length));
    start.and_then(|start| input.get(start..)).unwrap_or(input)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// `%41` becomes `A`, `+` a space; anything else stays.
fn url_decode(input: &[u8], out: &mut Vec<u8>) {
    let digit = |at: usize| input.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
}

/// What can be inflated before the data end, break off or exceed the limit.
fn inflate(input: &[u8], gzip: bool, limit: u64, out: &mut Vec<u8>) {
    // What was inflated before an error stands.
    let _ = match gzip {
        true => GzDecoder::new(input).take(limit).read_to_end(out),
        false => ZlibDecoder::new(input).take(limit).read_to_end(out),
    };
}

fn subslice(input: &[u8], offset: i64, count: Option<i64>, truncate: bool) -> &[u8] {
    let length = input.len() as i64;
    let from = if offset < 0 { length.saturating_add(offset) } else { offset };
    let from = if truncate { from.max(0) } else { from };
    let to = match count {
        None => length,
        Some(count) if count < 0 => length.saturating_add(count),
        Some(count) => from.saturating_add(count),
    };
    let to = if truncate { to.min(length) } else { to };
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) => input.get(from..to).unwrap_or_default(),
        _ => &[],
    }
}

/// How strict a base64 decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Nothing, unless all of it is of the alphabet, with padding at its end at most.
    Strict,
    /// As far as it is of the alphabet.
    Rfc4648,
    /// Characters outside the alphabet are left out (line breaks of mail).
    Rfc2045,
}

/// `base64_decode` and `from_base64`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base64 {
    /// Encoded bytes that are read; all without.
    pub(crate) bytes: Option<usize>,
    pub(crate) offset: usize,
    pub(crate) relative: bool,
    pub(crate) strictness: Strictness,
}

/// A decoder that takes padding or leaves it, and bits that are left over.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Base64 {
    /// Appends what stands in `input` after `previous`, decoded; false when that is nothing.
    pub(crate) fn decode(&self, input: &[u8], previous: usize, out: &mut Vec<u8>) -> bool {
        let from = self.offset.saturating_add(if self.relative { previous } else { 0 });
        let Some(rest) = input.get(from..) else { return false };
        let rest = rest.get(..self.bytes.unwrap_or(rest.len())).unwrap_or(rest);
        let is_of_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if self.strictness == Strictness::Strict {
            let padding = rest.iter().position(|&byte| byte == b'=').unwrap_or(rest.len());
            let (encoded, padding) = rest.split_at(padding);
            if !encoded.iter().all(is_of_alphabet) || padding.iter().any(|&byte| byte != b'=') {
                return false;
            }
        }
        let before = out.len();
        let mut group = [0u8; 4];
        let mut held = 0;
        for &byte in rest {
            if byte == b'=' {
                break;
            }
            if !is_of_alphabet(&byte) {
                match self.strictness {
                    Strictness::Rfc2045 => continue,
                    Strictness::Rfc4648 | Strictness::Strict => break,
                }
            }
            if let Some(slot) = group.get_mut(held) {
                *slot = byte;
                held += 1;
            }
            if held == group.len() {
                decode_group(&group, out);
                held = 0;
            }
        }
        decode_group(group.get(..held).unwrap_or_default(), out);
        out.len() > before
    }
}

/// Decodes up to four characters of the alphabet.
fn decode_group(group: &[u8], out: &mut Vec<u8>) {
    let mut bytes = [0; 3];
    if let Ok(count) = LENIENT.decode_slice(group, &mut bytes) {
        out.extend_from_slice(bytes.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(transform: &Transform, input: &str, expected: &str) {
        let mut out = Vec::new();
        transform.apply(input.as_bytes(), &mut out, &Registers::default());
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn text_transforms() {
        check(&Transform::Lowercase, "AbC1", "abc1");
        check(&Transform::Uppercase, "AbC1", "ABC1");
        check(&Transform::StripWhitespace, " a\tb \r\n", "ab");
        check(&Transform::CompressWhitespace, "a  \t b c", "a b c");
        check(&Transform::DotPrefix, "example.org", ".example.org");
        check(&Transform::UrlDecode, "a%41+%zz%4", "aA %zz%4");
        let xor = |offset, key| Transform::Xor(Xor { offset, key });
        check(&xor(0, XorKey::Stated(Box::new([1, 2]))), "AAA", "@C@");
        check(&xor(1, XorKey::Extracted { length: 1, at: 0 }), "\u{1}AAA", "@@@");
        check(&xor(1, XorKey::Extracted { length: 9, at: 0 }), "\u{1}AAA", "AAA");
        check(&Transform::TopLevelDomain, "www.example.org", "org");
        check(&Transform::TopLevelDomain, "www.Example.CO.UK", "CO.UK");
        check(&Transform::Domain, "www.Example.co.uk", "Example.co.uk");
        check(&Transform::Domain, "localhost", "localhost");
        check(
            &Transform::HeaderLowercase,
            "User-Agent: Mozilla\r\nHOST: A\r\n\r\n",
            "user-agent: Mozilla\r\nhost: A\r\n\r\n",
        );
        check(&Transform::StripPseudoHeaders, ":method: GET\r\nhost: a\r\n:path: /\r\n", "host: a\r\n");
    }

    #[test]
    fn slices_count_from_either_end() {
        let part = |offset, count, truncate| Transform::Subslice { offset, count, truncate };
        check(&part(2, Some(3), false), "abcdefg", "cde");
        check(&part(-3, None, false), "abcdefg", "efg");
        check(&part(1, Some(-2), false), "abcdefg", "bcde");
        // What lies not wholly in the buffer.
        check(&part(9, None, false), "abcdefg", "");
        check(&part(5, Some(9), false), "abcdefg", "");
        check(&part(-9, None, false), "abcdefg", "");
        check(&part(9, None, true), "abcdefg", "");
        check(&part(5, Some(9), true), "abcdefg", "fg");
        check(&part(-9, Some(3), true), "abcdefg", "abc");
    }

    #[test]
    fn base64_stops_or_skips_at_foreign_characters() {
        let base64 = |strictness| Base64 { bytes: None, offset: 0, relative: false, strictness };
        let mut out = Vec::new();
        assert!(base64(Strictness::Rfc2045).decode(b"SGVs\r\nbG8=", 0, &mut out));
        assert_eq!(out, b"Hello");
        out.clear();
        assert!(base64(Strictness::Rfc4648).decode(b"SGVs\r\nbG8=", 0, &mut out));
        assert_eq!(out, b"Hel");
        out.clear();
        assert!(!base64(Strictness::Rfc4648).decode(b"????", 0, &mut out));
        assert!(base64(Strictness::Strict).decode(b"SGVsbG8=", 0, &mut out));
        assert_eq!(out, b"Hello");
        for wrong in ["SGVs\r\nbG8=", "SGVsbG8=!!", "SGVsbG8=bG8="] {
            assert!(!base64(Strictness::Strict).decode(wrong.as_bytes(), 0, &mut out), "{wrong}");
        }
    }

    #[test]
    fn inflated_bytes_are_bounded() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &[b'a'; 5000]).expect("in memory");
        let packed = encoder.finish().expect("in memory");
        let mut out = Vec::new();
        Transform::Inflate { gzip: false, limit: 100 }.apply(&packed, &mut out, &Registers::default());
        assert_eq!(out, [b'a'; 100]);
        out.clear();
        Transform::Inflate { gzip: true, limit: 100 }.apply(&packed, &mut out, &Registers::default());
        assert_eq!(out, b"");
    }

    proptest! {
        #[test]
        fn no_transform_panics(
            input in proptest::collection::vec(any::<u8>(), 0..64),
            offset in -80i64..80,
            count in proptest::option::of(-80i64..80),
            truncate in any::<bool>(),
        ) {
            let base64 = Base64 { bytes: Some(7), offset: 3, relative: true, strictness: Strictness::Rfc2045 };
            for transform in [
                Transform::Subslice { offset, count, truncate },
                Transform::UrlDecode,
                Transform::Inflate { gzip: true, limit: 64 },
                Transform::Inflate { gzip: false, limit: 64 },
                Transform::CompressWhitespace,
                Transform::Base64(base64),
                Transform::TopLevelDomain,
                Transform::Domain,
                Transform::HeaderLowercase,
                Transform::StripPseudoHeaders,
            ] {
                transform.apply(&input, &mut Vec::new(), &Registers::default());
            }
        }

        /// Whatever stands in what becomes of a buffer: what is said to stand in the buffer before does.
        #[test]
        fn patterns_are_found_before_the_transform(
            input in "[a-bA-B.:\n]{0,24}",
            (from, length) in (0usize..24, 1usize..6),
            (offset, count, truncate) in (-30i64..30, proptest::option::of(-30i64..30), any::<bool>()),
        ) {
            for transform in [
                Transform::Lowercase,
                Transform::Uppercase,
                Transform::HeaderLowercase,
                Transform::Domain,
                Transform::TopLevelDomain,
                Transform::DotPrefix,
                Transform::Subslice { offset, count, truncate },
            ] {
                let mut out = Vec::new();
                transform.apply(input.as_bytes(), &mut out, &Registers::default());
                let Some(before) = out.get(from..from + length).and_then(|found| transform.before(found)) else { continue };
                let stands = input.as_bytes().windows(before.len()).any(|part| part.eq_ignore_ascii_case(before));
                prop_assert!(stands, "{:?} of {:?}", before, input);
            }
        }
    }
}
