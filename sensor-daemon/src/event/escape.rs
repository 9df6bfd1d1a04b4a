//! Text as JSON strings have it.

use super::digits::hex;
use super::lines::{Lines, SHORT, short};

/// Appends UTF-8 text as a JSON string.
#[inline]
pub(super) fn quoted(out: &mut Lines, text: &[u8]) {
    if text.len() > SHORT || !is_clean(text) {
        out.push(b'"');
        escape(out, text);
        return out.push(b'"');
    }
    out.put::<{ SHORT + 2 }>(|[begin, room @ ..]| {
        *begin = b'"';
        let length = short(room, text);
        if let Some(end) = room.get_mut(length) {
            *end = b'"';
        }
        length + 2
    });
}

/// Appends UTF-8 text with `"`, `\` and control characters escaped (RFC 8259 §7).
#[inline]
pub(super) fn escape(out: &mut Lines, text: &[u8]) {
    if text.len() > SHORT || !is_clean(text) {
        return escape_runs(out, text);
    }
    out.put::<SHORT>(|room| short(room, text));
}

fn escape_runs(out: &mut Lines, mut text: &[u8]) {
    loop {
        let (clean, rest) = text.split_at(clean_prefix(text));
        out.append(clean);
        let Some((special, rest)) = rest.split_first() else { return };
        escape_one(out, *special);
        text = rest;
    }
}

#[cold]
fn escape_one(out: &mut Lines, byte: u8) {
    match byte {
        b'"' => out.fixed(b"\\\""),
        b'\\' => out.fixed(b"\\\\"),
        b'\n' => out.fixed(b"\\n"),
        b'\r' => out.fixed(b"\\r"),
        b'\t' => out.fixed(b"\\t"),
        _ => {
            out.fixed(b"\\u00");
            hex(out, &[byte]);
        }
    }
}

/// Does none of the text need an escape?
#[inline]
fn is_clean(text: &[u8]) -> bool {
    if let (Some(first), Some(last), ..=7) = (text.first_chunk::<4>(), text.last_chunk::<4>(), text.len()) {
        let both = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
        return specials(both) == 0;
    }
    clean_prefix(text) == text.len()
}

/// Length of the beginning that needs no escape; eight bytes at a time, then one by one.
#[inline]
fn clean_prefix(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let specials = specials(u64::from_le_bytes(*word));
        if specials != 0 {
            return at * 8 + specials.trailing_zeros() as usize / 8;
        }
    }
    // Where there is a whole last word, one look at it usually saves looking at the rest one by one.
    if text.last_chunk::<8>().is_some_and(|word| specials(u64::from_le_bytes(*word)) == 0) {
        return text.len();
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    words.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}

/// Sets the high bit of each byte below 0x20 or equal to `"` or `\`. Bytes above the lowest one found may be set wrongly
/// (the borrow of the subtraction), the lowest never is.
#[inline]
const fn specials(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_to_escape_is_found(octets in proptest::collection::vec(0u8..0x80, 0..64)) {
            let slow = octets.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte)).unwrap_or(octets.len());
            prop_assert_eq!(clean_prefix(&octets), slow);
            prop_assert_eq!(is_clean(&octets), slow == octets.len());
        }
    }
}
