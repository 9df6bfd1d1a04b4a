//! The beginnings of members that repeat, kept as they are written.
//!
//! Keys and the names of enumerations are part of the program, so where they stand tells them apart: what a key, or a key
//! with a name, becomes in JSON is put together once, and copied as one block from then on.

use super::lines::Lines;

/// What follows a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    /// A value that is written apart.
    Value,
    /// An object that is opened.
    Object,
    /// A list that is opened.
    List,
    /// `true`.
    True,
    /// `false`.
    False,
    /// A name, as a string.
    Name(&'static str),
}

/// Bytes of the longest phrase that is kept.
const LONGEST: usize = 64;
/// Phrases that are kept at the most; a power of two. What finds no place among them is put together every time.
const PLACES: usize = 2048;
/// Places that a phrase may have, one after another.
const TRIED: usize = 4;

/// What tells a phrase apart from all others.
#[derive(Debug, Clone, Copy)]
struct Id {
    /// Where the key stands.
    key: usize,
    /// Its length, what follows it, and whether all that is in a list, where keys are not written.
    kind: usize,
    /// Where the name stands, and its length.
    name: (usize, usize),
}

impl Id {
    /// Of no phrase: no text stands at 0.
    const NONE: Self = Self { key: 0, kind: 0, name: (0, 0) };

    #[inline(always)]
    fn of(key: &'static str, rest: Rest, in_list: bool) -> Self {
        let (follows, name) = match rest {
            Rest::Value => (0, (0, 0)),
            Rest::Object => (1, (0, 0)),
            Rest::List => (2, (0, 0)),
            Rest::True => (3, (0, 0)),
            Rest::False => (4, (0, 0)),
            Rest::Name(name) => (5, (name.as_ptr() as usize, name.len())),
        };
        Self { key: key.as_ptr() as usize, kind: key.len() << 4 | follows << 1 | usize::from(in_list), name }
    }

    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        self.key == other.key && self.kind == other.kind && self.name == other.name
    }

    /// The first place that the phrase may have.
    #[inline(always)]
    fn place(&self) -> usize {
        let both = (self.key as u64) ^ (self.name.0 as u64).rotate_left(32) ^ (self.kind as u64) << 56;
        (both.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as usize
    }
}

/// Two lines of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Phrase {
    id: Id,
    length: usize,
    text: [u8; LONGEST],
}

/// The phrases of a writer.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    /// Empty until the first is kept.
    places: Vec<Phrase>,
}

impl Phrases {
    /// Appends the phrase, if it is kept.
    #[inline(always)]
    pub(super) fn write(&self, key: &'static str, rest: Rest, in_list: bool, out: &mut Lines) -> bool {
        let Some(phrase) = self.find(key, rest, in_list) else { return false };
        out.put::<LONGEST>(|room| {
            *room = phrase.text;
            phrase.length
        });
        true
    }

    /// Appends a key and a number of one digit, which most numbers of a record are, with a comma; if the key is kept.
    #[inline(always)]
    pub(super) fn write_digit(&self, key: &'static str, digit: u8, out: &mut Lines) -> bool {
        let Some(phrase) = self.find(key, Rest::Value, false) else { return false };
        out.put::<{ LONGEST + 2 }>(|room| {
            if let Some(text) = room.first_chunk_mut() {
                *text = phrase.text;
            }
            if let Some(number) = room.get_mut(phrase.length..).and_then(|rest| rest.first_chunk_mut()) {
                *number = [b'0' + digit, b','];
            }
            phrase.length + 2
        });
        true
    }

    #[inline(always)]
    fn find(&self, key: &'static str, rest: Rest, in_list: bool) -> Option<&Phrase> {
        let id = Id::of(key, rest, in_list);
        match self.places.get(id.place()) {
            Some(phrase) if phrase.id.is(&id) => Some(phrase),
            _ => self.search(key, rest, in_list),
        }
    }

    /// Finds a phrase that did not get its first place.
    #[inline(never)]
    fn search(&self, key: &'static str, rest: Rest, in_list: bool) -> Option<&Phrase> {
        let id = Id::of(key, rest, in_list);
        self.places.iter().skip(id.place()).take(TRIED).find(|phrase| phrase.id.is(&id))
    }

    /// Keeps what the phrase became, if there is a place for it.
    #[cold]
    pub(super) fn keep(&mut self, key: &'static str, rest: Rest, in_list: bool, written: &[u8]) {
        if self.places.is_empty() {
            self.places = vec![Phrase { id: Id::NONE, length: 0, text: [0; LONGEST] }; PLACES + TRIED];
        }
        let id = Id::of(key, rest, in_list);
        let Some(place) = self.places.iter_mut().skip(id.place()).take(TRIED).find(|place| place.id.is(&Id::NONE))
        else {
            return;
        };
        if let Some(text) = place.text.get_mut(..written.len()) {
            text.copy_from_slice(written);
            (place.id, place.length) = (id, written.len());
        }
    }
}
