//! JSON straight into lines: no map of values, no allocation.

use vigia_parsers::field::Tree;

use super::digits::{NUMBER, SHORT_NUMBER, hex, short_number, with_comma};
use super::escape::{escape, quoted};
use super::lines::Lines;
use super::phrases::{BLOCK, Id, Phrases, Rest};

/// Writes JSON values at the end of lines. Whatever the order of calls, the outcome is one well-formed value: an `end`
/// too many is ignored, and [`JsonWriter::finish_line`] closes what was left open.
///
/// Each member ends with a comma, which the end of its container takes back: no member has to know whether it is the first.
#[derive(Debug)]
pub(super) struct JsonWriter<'b> {
    out: &'b mut Lines,
    phrases: &'b mut Phrases,
    /// The containers that are open, the innermost lowest: is it a list? Of [`LIST_DEPTH`]; those within them are objects.
    lists: u64,
    depth: u32,
    in_list: bool,
    /// `end` never closes this or what is around it.
    floor: u32,
}

/// Containers within containers that can be lists.
const LIST_DEPTH: u32 = u64::BITS;

impl<'b> JsonWriter<'b> {
    /// Opens an object at the end of `out`.
    pub(super) fn object(out: &'b mut Lines, phrases: &'b mut Phrases) -> Self {
        out.push(b'{');
        Self { out, phrases, lists: 0, depth: 1, in_list: false, floor: 1 }
    }

    /// Closes everything.
    #[cfg(test)]
    pub(super) fn finish(mut self) {
        self.close(0);
        self.out.take_back(b',');
    }

    /// Closes everything and ends the line.
    pub(super) fn finish_line(mut self) {
        self.close(0);
        self.out.take_back(b',');
        self.out.end_line();
    }

    /// Writes the members that `write` adds as an object; what `write` leaves open is closed, and it cannot close more.
    pub(super) fn nested(&mut self, key: &'static str, write: impl FnOnce(&mut Self)) {
        Tree::object(self, key);
        self.guarded(write);
    }

    /// As [`Self::nested`], for a list.
    pub(super) fn nested_list(&mut self, key: &'static str, write: impl FnOnce(&mut Self)) {
        Tree::list(self, key);
        self.guarded(write);
    }

    /// As [`Self::nested`], for a key from elsewhere.
    pub(super) fn nested_at(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        self.foreign_key(key);
        self.open(false);
        self.guarded(write);
    }

    /// As [`Self::nested`], for an object whose beginning is the end of what is written `before`.
    pub(super) fn nested_behind(&mut self, before: &[u8], write: impl FnOnce(&mut Self)) {
        self.out.append(before);
        self.opened(false);
        self.guarded(write);
    }

    /// As [`Self::nested_list`], for a key from elsewhere.
    pub(super) fn nested_list_at(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
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

    /// Members that `write` appends whole, each with a comma behind it.
    pub(super) fn members(&mut self, write: impl FnOnce(&mut Lines)) {
        write(self.out);
    }

    /// A member whose value `write` appends raw: numbers and text that need no escape.
    pub(super) fn raw(&mut self, key: &'static str, write: impl FnOnce(&mut Lines)) {
        self.key(key);
        write(self.out);
        self.out.push(b',');
    }

    /// As [`Self::number`], for a key from elsewhere.
    pub(super) fn number_at(&mut self, key: &str, value: u64) {
        self.foreign_key(key);
        with_comma(self.out, value);
    }

    /// As [`Tree::octets`], for a key from elsewhere.
    pub(super) fn octets_at(&mut self, key: &str, value: &[u8]) {
        self.foreign_key(key);
        self.quote(value);
    }

    /// As [`Tree::float`], for a key from elsewhere.
    pub(super) fn float_at(&mut self, key: &str, value: f64) {
        self.foreign_key(key);
        self.decimal(value);
    }

    /// As [`Self::raw`], for a key from elsewhere.
    pub(super) fn raw_at(&mut self, key: &str, write: impl FnOnce(&mut Lines)) {
        self.foreign_key(key);
        write(self.out);
        self.out.push(b',');
    }

    /// The value of a member, as text.
    fn quote(&mut self, value: &[u8]) {
        self.out.push(b'"');
        for chunk in value.utf8_chunks() {
            escape(self.out, chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                self.out.append("\u{fffd}".as_bytes());
            }
        }
        self.out.fixed(b"\",");
    }

    /// The value of a member, as a number with a fraction.
    fn decimal(&mut self, value: f64) {
        if value.is_finite() {
            self.out.append(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.out.fixed(b"null");
        }
        self.out.push(b',');
    }

    /// An unsigned number.
    pub(super) fn number(&mut self, key: &'static str, value: u64) {
        if !self.short_number(key, value) {
            self.long_number(key, value);
        }
    }

    /// Writes a number at one go, if its key is at hand and it is not long; else it writes nothing and returns false.
    #[inline(always)]
    fn short_number(&mut self, key: &'static str, value: u64) -> bool {
        if self.in_list || value >= SHORT_NUMBER {
            return false;
        }
        let Some(phrase) = self.phrases.first(&Id::of(key, Rest::Value, false)) else { return false };
        self.out.put_in_room::<{ BLOCK + NUMBER }>(|room| {
            let length = room.first_chunk_mut().map_or(0, |room| phrase.write(room));
            let rest = room.get_mut(length..).and_then(|rest| rest.first_chunk_mut());
            length + rest.map_or(0, |room| short_number(room, value))
        })
    }

    /// As [`Self::number`], piece by piece.
    #[inline(never)]
    fn long_number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        with_comma(self.out, value);
    }

    /// Text.
    #[inline]
    pub(super) fn string(&mut self, key: &'static str, value: &str) {
        self.key(key);
        quoted(self.out, value.as_bytes());
        self.out.push(b',');
    }

    /// Text that is part of the program.
    pub(super) fn name(&mut self, key: &'static str, name: &'static str) {
        self.phrase(key, Rest::Name(name));
    }

    /// True or false.
    #[inline]
    pub(super) fn boolean(&mut self, key: &'static str, value: bool) {
        self.phrase(key, if value { Rest::True } else { Rest::False });
    }

    /// Begins a member.
    #[inline]
    fn key(&mut self, key: &'static str) {
        if !self.in_list {
            self.phrase(key, Rest::Value);
        }
    }

    /// Writes a key and what follows it.
    #[inline(always)]
    fn phrase(&mut self, key: &'static str, rest: Rest) {
        let at_hand = self.phrases.first(&Id::of(key, rest, self.in_list));
        if !at_hand.is_some_and(|phrase| self.out.put_in_room(|room| phrase.write(room))) {
            self.other_phrase(key, rest);
        }
    }

    /// Writes a phrase that is not at hand, or for which there is no room yet.
    #[inline(never)]
    fn other_phrase(&mut self, key: &'static str, rest: Rest) {
        let id = Id::of(key, rest, self.in_list);
        match self.phrases.find(&id) {
            Some(phrase) => self.out.put(|room| phrase.write(room)),
            None => self.compose(key, rest, id),
        }
    }

    /// Puts a phrase together, for now and the next time.
    #[cold]
    fn compose(&mut self, key: &'static str, rest: Rest, id: Id) {
        let from = self.out.written().len();
        self.foreign_key(key);
        match rest {
            Rest::Value => {}
            Rest::Object => self.out.push(b'{'),
            Rest::List => self.out.push(b'['),
            Rest::True => self.out.fixed(b"true,"),
            Rest::False => self.out.fixed(b"false,"),
            Rest::Name(name) => {
                quoted(self.out, name.as_bytes());
                self.out.push(b',');
            }
        }
        self.phrases.keep(id, self.out.written().get(from..).unwrap_or_default());
    }

    fn foreign_key(&mut self, key: &str) {
        if !self.in_list {
            quoted(self.out, key.as_bytes());
            self.out.push(b':');
        }
    }

    fn open(&mut self, list: bool) {
        self.out.push(if list && self.depth < LIST_DEPTH { b'[' } else { b'{' });
        self.opened(list);
    }

    /// Goes into a container that has just been opened.
    #[inline]
    fn opened(&mut self, list: bool) {
        self.in_list = list && self.depth < LIST_DEPTH;
        if self.depth < LIST_DEPTH {
            self.lists = self.lists << 1 | u64::from(list);
        }
        self.depth += 1;
    }

    fn close(&mut self, depth: u32) {
        while self.depth > depth {
            self.close_one();
        }
    }

    #[inline]
    fn close_one(&mut self) {
        self.out.close(if self.in_list { b']' } else { b'}' });
        if self.depth <= LIST_DEPTH {
            self.lists >>= 1;
        }
        self.depth -= 1;
        self.in_list = self.depth <= LIST_DEPTH && self.lists & 1 == 1;
    }
}

/// Text that becomes part of a JSON string.
struct Escaped<'b>(&'b mut Lines);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        escape(self.0, text.as_bytes());
        Ok(())
    }

    fn write_char(&mut self, character: char) -> std::fmt::Result {
        self.write_str(character.encode_utf8(&mut [0; 4]))
    }
}

impl Tree for JsonWriter<'_> {
    fn unsigned(&mut self, key: &'static str, value: u64) {
        self.number(key, value);
    }

    fn signed(&mut self, key: &'static str, value: i64) {
        self.key(key);
        if value < 0 {
            self.out.push(b'-');
        }
        with_comma(self.out, value.unsigned_abs());
    }

    fn float(&mut self, key: &'static str, value: f64) {
        self.key(key);
        self.decimal(value);
    }

    fn flag(&mut self, key: &'static str, value: bool) {
        self.boolean(key, value);
    }

    fn text(&mut self, key: &'static str, value: &'static str) {
        self.name(key, value);
    }

    fn formatted(&mut self, key: &'static str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        self.out.push(b'"');
        // Escaping never fails.
        let _ = std::fmt::Write::write_fmt(&mut Escaped(self.out), value);
        self.out.fixed(b"\",");
    }

    fn line(&mut self, key: &'static str, value: &str) {
        self.string(key, value);
    }

    fn octets(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.quote(value);
    }

    fn hex(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        hex(self.out, value);
        self.out.fixed(b"\",");
    }

    fn object(&mut self, key: &'static str) {
        self.phrase(key, Rest::Object);
        self.opened(false);
    }

    fn list(&mut self, key: &'static str) {
        if self.depth < LIST_DEPTH {
            self.phrase(key, Rest::List);
            self.opened(true);
        } else {
            self.object(key);
        }
    }

    fn end(&mut self) {
        if self.depth > self.floor {
            self.close_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn written(write: impl Fn(&mut JsonWriter<'_>)) -> Value {
        let mut lines = Lines::default();
        // The second time all phrases are kept.
        let mut phrases = Phrases::default();
        for _ in 0..2 {
            lines.clear();
            let mut json = JsonWriter::object(&mut lines, &mut phrases);
            write(&mut json);
            json.finish();
        }
        let out = lines.written();
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
            json.flag("flag", false);
            json.end();
            json.text("", "name");
            json.flag("", true);
            json.list("");
            json.end();
            json.end();
            json.octets("octets", b"ok\xff\xfe\xc3(");
        });
        let expected = serde_json::json!({
            "unsigned": u64::MAX, "signed": i64::MIN, "float": 0.1, "whole": 20.0, "nan": null, "flag": true,
            "hex": "0564ff", "list": [1, {"text": "a\"b\\c\u{1}\n", "flag": false}, "name", true, []], "octets": "ok\u{fffd}\u{fffd}\u{fffd}(",
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

    /// Longer than a phrase that is kept.
    const LONG: &str = "a name that is longer than any phrase that is kept, so that it is put together every time";

    #[test]
    fn more_names_than_are_kept_read_back() {
        let names: Vec<&'static str> = (0..5000).map(|number| &*format!("name {number}").leak()).collect();
        let value = written(|json| {
            json.list("names");
            names.iter().for_each(|name| json.text("", name));
        });
        assert_eq!(value["names"], serde_json::json!(names));
    }

    /// What a record could ask of the writer.
    #[derive(Debug, Clone)]
    enum Call {
        Unsigned(u64),
        Float(f64),
        Octets(Vec<u8>),
        Text(String),
        Name(&'static str),
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
            proptest::sample::select(&["", "plain", "\"quoted\"", LONG][..]).prop_map(Call::Name),
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
                        Call::Text(value) => json.formatted("t", format_args!("{value}")),
                        Call::Name(value) => json.text("n", value),
                        Call::Object => json.object("object"),
                        Call::List => json.list("list"),
                        Call::End => json.end(),
                    }
                }
            });
        }

        #[test]
        fn text_reads_back(text in any::<String>()) {
            let value = written(|json| {
                json.string("s", &text);
                json.formatted("f", format_args!("{text}"));
            });
            prop_assert_eq!(value["s"].as_str(), Some(&*text));
            prop_assert_eq!(value["f"].as_str(), Some(&*text));
        }

        #[test]
        fn octets_read_back_as_lossy_text(octets in any::<Vec<u8>>()) {
            let value = written(|json| json.octets("o", &octets));
            prop_assert_eq!(value["o"].as_str(), Some(&*String::from_utf8_lossy(&octets)));
        }
    }
}
