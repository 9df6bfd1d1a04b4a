//! The beginnings of members that repeat, kept as they are written.
//!
//! Keys and the names of enumerations are part of the program, so where they stand tells them apart: what a key, or a key
//! with a name, becomes in JSON is put together once, and copied as one block from then on.

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

/// Bytes of the longest phrase that is kept; with its id it fills a line of the processor's cache. Few are longer.
pub(super) const BLOCK: usize = 39;
/// Phrases that are kept at the most; a power of two. What finds no place among them is put together every time.
const PLACES: usize = 4096;
/// Places that a phrase may have, one after another.
const TRIED: usize = 4;

/// What tells a phrase apart from all others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Id {
    /// Where the key and the name stand; 0 without a name.
    key: usize,
    name: usize,
    /// Their lengths, what follows the key, and whether all that is in a list, where keys are not written.
    kind: u64,
}

impl Id {
    /// Of no phrase: no text stands at 0.
    const NONE: Self = Self { key: 0, name: 0, kind: 0 };

    #[inline(always)]
    pub(super) fn of(key: &'static str, rest: Rest, in_list: bool) -> Self {
        let (follows, name) = match rest {
            Rest::Value => (0, None),
            Rest::Object => (1, None),
            Rest::List => (2, None),
            Rest::True => (3, None),
            Rest::False => (4, None),
            Rest::Name(name) => (5, Some(name)),
        };
        // No text of the program is so long that the lengths could meet.
        let lengths = (key.len() as u64) << 4 | (name.map_or(0, str::len) as u64) << 34;
        let name = name.map_or(0, |name| name.as_ptr() as usize);
        Self { key: key.as_ptr() as usize, name, kind: lengths | follows << 1 | u64::from(in_list) }
    }

    /// The first place that the phrase may have.
    #[inline(always)]
    fn place(&self) -> usize {
        let both = (self.key as u64) ^ (self.name as u64).rotate_left(32) ^ self.kind << 56;
        (both.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as usize
    }
}

/// A line of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Phrase {
    id: Id,
    length: u8,
    text: [u8; BLOCK],
}

impl Phrase {
    /// Writes the phrase to the beginning of `room`; returns its length.
    #[inline(always)]
    pub(super) fn write(&self, room: &mut [u8; BLOCK]) -> usize {
        *room = self.text;
        self.length.into()
    }
}

/// The phrases of a writer.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    /// Empty until the first is kept.
    places: Vec<Phrase>,
}

impl Phrases {
    /// The phrase, if it is kept and got its first place.
    #[inline(always)]
    pub(super) fn first(&self, id: &Id) -> Option<&Phrase> {
        self.places.get(id.place()).filter(|phrase| phrase.id == *id)
    }

    /// The phrase, if it is kept.
    pub(super) fn find(&self, id: &Id) -> Option<&Phrase> {
        self.places.iter().skip(id.place()).take(TRIED).find(|phrase| phrase.id == *id)
    }

    /// Keeps what a phrase became, if there is a place for it.
    pub(super) fn keep(&mut self, id: Id, written: &[u8]) {
        if self.places.is_empty() {
            self.places = vec![Phrase { id: Id::NONE, length: 0, text: [0; BLOCK] }; PLACES + TRIED];
        }
        let free = self.places.iter_mut().skip(id.place()).take(TRIED).find(|place| place.id == Id::NONE);
        let Some(place) = free else { return };
        if let Some(text) = place.text.get_mut(..written.len()) {
            text.copy_from_slice(written);
            (place.id, place.length) = (id, written.len() as u8);
        }
    }
}
