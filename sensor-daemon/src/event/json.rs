//! JSON straight into a line: no map of values, no allocation.

use vigia_parsers::field::Tree;

use super::line::{Line, SHORT, short};

/// Writes JSON values at the end of a line. Whatever the order of calls, the outcome is one well-formed value: an `end`
/// too many is ignored, and [`JsonWriter::finish`] closes what was left open.
///
/// Each member ends with a comma, which the end of its container takes back: no member has to know whether it is the first.
#[derive(Debug)]
pub struct JsonWriter<'b> {
    out: &'b mut Line,
    /// Bit n: the container at depth n is a list. Containers deeper than that are objects.
    lists: u64,
    depth: u32,
    in_list: bool,
    /// `end` never closes this or what is around it.
    floor: u32,
}

/// Containers within containers that can be lists.
const LIST_DEPTH: u32 = 64;

impl<'b> JsonWriter<'b> {
    /// Opens an object at the end of `out`.
    pub fn object(out: &'b mut Line) -> Self {
        out.push(b'{');
        Self::resume(out)
    }

    /// Goes on with an object at the end of `out`; what members it has end with a comma.
    pub(super) fn resume(out: &'b mut Line) -> Self {
        Self { out, lists: 0, depth: 1, in_list: false, floor: 1 }
    }

    /// Closes everything.
    pub fn finish(mut self) {
        self.close(0);
        self.out.pop();
    }

    /// Closes everything and ends the line.
    pub(super) fn finish_line(mut self) {
        self.close(0);
        self.out.pop();
        self.out.push(b'\n');
    }

    /// Writes the members that `write` adds as an object; what `write` leaves open is closed, and it cannot close more.
    pub fn nested(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        self.foreign_key(key);
        self.open(false);
        self.guarded(write);
    }

    /// As [`Self::nested`], for a list.
    pub fn nested_list(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        self.foreign_key(key);
        self.open(true);
        self.guarded(write);
    }

    fn guarded(&mut self, write: impl FnOnce(&mut Self)) {
        let (depth, floor) = (self.depth, self.floor);
        self.floor = depth;
        write(self);
        self.floor = floor;
        self.close(depth - 1);
    }

    /// A member whose value `write` appends raw: numbers and text that need no escape.
    pub(super) fn raw(&mut self, key: &'static str, write: impl FnOnce(&mut Line)) {
        self.key(key);
        write(self.out);
        self.out.push(b',');
    }

    /// As [`Self::number`], for a key from elsewhere.
    pub(super) fn number_at(&mut self, key: &str, value: u64) {
        self.foreign_key(key);
        number(self.out, value);
        self.out.push(b',');
    }

    /// An unsigned number.
    #[inline]
    pub fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        number(self.out, value);
        self.out.push(b',');
    }

    /// Text.
    #[inline]
    pub fn string(&mut self, key: &'static str, value: &str) {
        self.key(key);
        quoted(self.out, value.as_bytes());
        self.out.push(b',');
    }

    /// True or false.
    #[inline]
    pub fn boolean(&mut self, key: &'static str, value: bool) {
        self.key(key);
        match value {
            true => self.out.fixed(b"true,"),
            false => self.out.fixed(b"false,"),
        }
    }

    /// Begins a member. Keys that are part of the program need no escape.
    #[inline]
    fn key(&mut self, key: &'static str) {
        debug_assert_eq!(clean_prefix(key.as_bytes()), key.len());
        if self.in_list {
            return;
        }
        if key.len() > SHORT {
            return self.foreign_key(key);
        }
        self.out.put::<{ SHORT + 3 }>(|[begin, room @ ..]| {
            *begin = b'"';
            let length = short(room, key.as_bytes());
            if let Some(end) = room.get_mut(length..).and_then(|rest| rest.first_chunk_mut()) {
                *end = *b"\":";
            }
            length + 3
        });
    }

    /// As [`Self::key`], for a key from elsewhere.
    fn foreign_key(&mut self, key: &str) {
        if !self.in_list {
            quoted(self.out, key.as_bytes());
            self.out.push(b':');
        }
    }

    fn open(&mut self, list: bool) {
        let list = list && self.depth < LIST_DEPTH;
        if self.depth < LIST_DEPTH {
            self.lists = self.lists & !(1 << self.depth) | u64::from(list) << self.depth;
        }
        self.depth += 1;
        self.in_list = list;
        self.out.push(if list { b'[' } else { b'{' });
    }

    fn close(&mut self, depth: u32) {
        while self.depth > depth {
            if self.out.last() == Some(b',') {
                self.out.pop();
            }
            match self.in_list {
                true => self.out.fixed(b"],"),
                false => self.out.fixed(b"},"),
            }
            self.depth -= 1;
            self.in_list = (1..=LIST_DEPTH).contains(&self.depth) && self.lists >> (self.depth - 1) & 1 == 1;
        }
    }
}

/// Text that becomes part of a JSON string.
struct Escaped<'b>(&'b mut Line);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        escape(self.0, text.as_bytes());
        Ok(())
    }
}

impl Tree for JsonWriter<'_> {
    fn unsigned(&mut self, key: &'static str, value: u64) {
        self.number(key, value);
    }

    fn signed(&mut self, key: &'static str, value: i64) {
        self.key(key);
        self.out.append(itoa::Buffer::new().format(value).as_bytes());
        self.out.push(b',');
    }

    fn float(&mut self, key: &'static str, value: f64) {
        self.key(key);
        if value.is_finite() {
            self.out.append(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.out.fixed(b"null");
        }
        self.out.push(b',');
    }

    fn flag(&mut self, key: &'static str, value: bool) {
        self.boolean(key, value);
    }

    fn text(&mut self, key: &'static str, value: &str) {
        self.string(key, value);
    }

    fn formatted(&mut self, key: &'static str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        self.out.push(b'"');
        // Escaping never fails.
        let _ = std::fmt::Write::write_fmt(&mut Escaped(self.out), value);
        self.out.fixed(b"\",");
    }

    fn octets(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        for chunk in value.utf8_chunks() {
            escape(self.out, chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                self.out.append("\u{fffd}".as_bytes());
            }
        }
        self.out.fixed(b"\",");
    }

    fn hex(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        hex(self.out, value);
        self.out.fixed(b"\",");
    }

    fn object(&mut self, key: &'static str) {
        self.key(key);
        self.open(false);
    }

    fn list(&mut self, key: &'static str) {
        self.key(key);
        self.open(true);
    }

    fn end(&mut self) {
        if self.depth > self.floor {
            self.close(self.depth - 1);
        }
    }
}

/// Appends lower-case hexadecimal digits.
pub(super) fn hex(out: &mut Line, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.fixed(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Appends an unsigned number.
#[inline]
pub(super) fn number(out: &mut Line, value: u64) {
    match value {
        // Most numbers of a record are of one digit.
        0..=9 => out.push(b'0' + value as u8),
        _ => out.append(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends UTF-8 text as a JSON string.
#[inline]
pub(super) fn quoted(out: &mut Line, text: &[u8]) {
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
pub(super) fn escape(out: &mut Line, mut text: &[u8]) {
    loop {
        let (clean, rest) = text.split_at(clean_prefix(text));
        out.append(clean);
        let Some((special, rest)) = rest.split_first() else { return };
        escape_one(out, *special);
        text = rest;
    }
}

#[cold]
fn escape_one(out: &mut Line, byte: u8) {
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
    use serde_json::Value;

    fn written(write: impl FnOnce(&mut JsonWriter<'_>)) -> Value {
        let mut line = Line::default();
        let mut json = JsonWriter::object(&mut line);
        write(&mut json);
        json.finish();
        let out = line.as_bytes();
        assert!(!out.contains(&b'\n'), "a line is one line");
        serde_json::from_slice(out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(out)))
    }

    #[test]
    fn values_of_every_kind_read_back() {
        let value = written(|json| {
            json.unsigned("unsigned", u64::MAX);
            json.signed("signed", i64::MIN);
            json.float("float", 0.1);
            json.float("whole", 20.0);
            json.float("nan", f64::NAN);
            json.flag("flag", true);
            json.hex("hex", &[0x05, 0x64, 0xff]);
            json.list("list");
            json.unsigned("", 1);
            json.object("");
            json.text("text", "a\"b\\c\u{1}\n");
            json.end();
            json.list("");
            json.end();
            json.end();
            json.octets("octets", b"ok\xff\xfe\xc3(");
        });
        let expected = serde_json::json!({
            "unsigned": u64::MAX, "signed": i64::MIN, "float": 0.1, "whole": 20.0, "nan": null, "flag": true,
            "hex": "0564ff", "list": [1, {"text": "a\"b\\c\u{1}\n"}, []], "octets": "ok\u{fffd}\u{fffd}\u{fffd}(",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_record_can_neither_leave_open_nor_close_what_is_not_its_own() {
        let value = written(|json| {
            json.nested("open", |json| {
                json.list("a");
                json.object("");
            });
            json.nested("closing", |json| {
                json.end();
                json.end();
                json.unsigned("still", 1);
            });
            json.unsigned("after", 2);
        });
        assert_eq!(value, serde_json::json!({"open": {"a": [{}]}, "closing": {"still": 1}, "after": 2}));
    }

    #[test]
    fn nesting_beyond_the_bound_stays_well_formed() {
        let value = written(|json| (0..100).for_each(|_| json.list("deep")));
        assert!(value["deep"].is_array());
    }

    /// What a record could ask of the writer.
    #[derive(Debug, Clone)]
    enum Call {
        Unsigned(u64),
        Float(f64),
        Octets(Vec<u8>),
        Text(String),
        Object,
        List,
        End,
    }

    fn call() -> impl Strategy<Value = Call> {
        prop_oneof![
            any::<u64>().prop_map(Call::Unsigned),
            any::<f64>().prop_map(Call::Float),
            any::<Vec<u8>>().prop_map(Call::Octets),
            any::<String>().prop_map(Call::Text),
            Just(Call::Object),
            Just(Call::List),
            Just(Call::End),
        ]
    }

    proptest! {
        #[test]
        fn any_order_of_calls_gives_json(calls in proptest::collection::vec(call(), 0..60)) {
            written(|json| {
                for call in &calls {
                    match call {
                        Call::Unsigned(value) => json.unsigned("u", *value),
                        Call::Float(value) => json.float("f", *value),
                        Call::Octets(value) => json.octets("o", value),
                        Call::Text(value) => json.text("t", value),
                        Call::Object => json.object("object"),
                        Call::List => json.list("list"),
                        Call::End => json.end(),
                    }
                }
            });
        }

        #[test]
        fn text_reads_back(text in any::<String>()) {
            let value = written(|json| json.text("t", &text));
            prop_assert_eq!(value["t"].as_str(), Some(&*text));
        }

        #[test]
        fn octets_read_back_as_lossy_text(octets in any::<Vec<u8>>()) {
            let value = written(|json| json.octets("o", &octets));
            prop_assert_eq!(value["o"].as_str(), Some(&*String::from_utf8_lossy(&octets)));
        }

        #[test]
        fn every_byte_to_escape_is_found(octets in proptest::collection::vec(0u8..0x80, 0..64)) {
            let slow = octets.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte)).unwrap_or(octets.len());
            prop_assert_eq!(clean_prefix(&octets), slow);
            prop_assert_eq!(is_clean(&octets), slow == octets.len());
        }
    }
}
