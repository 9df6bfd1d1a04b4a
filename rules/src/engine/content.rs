//! `content` with its modifiers: where does a buffer hold these bytes?

use memchr::memmem;

use super::value::{Number, Registers};

/// One `content` with its modifiers.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The bytes; in lower case with `nocase`.
    pub(crate) bytes: Vec<u8>,
    pub(crate) nocase: bool,
    pub(crate) negated: bool,
    pub(crate) offset: Option<Number>,
    pub(crate) depth: Option<Number>,
    pub(crate) distance: Option<Number>,
    pub(crate) within: Option<Number>,
    /// Said so, not by `offset` and `depth`.
    pub(crate) startswith: bool,
    pub(crate) endswith: bool,
    /// Chosen by the author: the whole content, or a part of it.
    pub(crate) fast_pattern: Option<std::ops::Range<usize>>,
}

impl Content {
    pub(crate) fn new(bytes: Vec<u8>, negated: bool) -> Self {
        Self {
            bytes,
            nocase: false,
            negated,
            offset: None,
            depth: None,
            distance: None,
            within: None,
            startswith: false,
            endswith: false,
            fast_pattern: None,
        }
    }

    /// Does its place depend on where the content before it was found?
    pub(crate) fn relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }

    /// How much it says that its bytes were met: a run of the same byte says little, and zeros least, for much is padded.
    pub(crate) fn strength(&self) -> usize {
        let mut before = None;
        let said = self.bytes.iter().map(|&byte| {
            let again = before.replace(byte) == Some(byte);
            match byte {
                _ if again => 1,
                0 => 2,
                _ => 4,
            }
        });
        said.sum()
    }

    /// Where in a buffer it ends at the latest, as far as that does not depend on the traffic.
    pub(crate) fn reach(&self) -> usize {
        let literal = |number: Number| match number {
            Number::Literal(number) => usize::try_from(number).ok(),
            Number::Extracted(_) => None,
        };
        let offset = self.offset.map_or(Some(0), literal);
        let depth = self.depth.and_then(literal).filter(|_| !self.relative());
        offset.zip(depth).map_or(usize::MAX, |(offset, depth)| offset.saturating_add(depth))
    }

    /// The part of a buffer of `length` bytes in which it must lie, when the match before it ended at `previous`.
    fn window(&self, length: usize, previous: usize, registers: &Registers) -> (usize, usize) {
        let clamp = |at: i64| at.clamp(0, length as i64) as usize;
        let signed = |number: Number| number.signed(registers);
        if self.relative() {
            let from = (previous as i64).saturating_add(self.distance.map_or(0, signed));
            (clamp(from), self.within.map_or(length, |within| clamp(from.saturating_add(signed(within)))))
        } else {
            let from = self.offset.map_or(0, |offset| offset.count(registers)).min(length);
            let depth = |depth: Number| from.saturating_add(depth.count(registers)).min(length);
            (from, self.depth.map_or(length, depth))
        }
    }
}

/// A content ready to be searched for.
pub(crate) struct Needle {
    pub(crate) content: Content,
    finder: memmem::Finder<'static>,
}

impl Needle {
    pub(crate) fn new(content: Content) -> Self {
        Self { finder: memmem::Finder::new(&content.bytes).into_owned(), content }
    }

    /// The places in `buffer` where it may begin and must end, after a match that ended at `previous`.
    pub(crate) fn window(&self, buffer: &[u8], previous: usize, registers: &Registers) -> (usize, usize) {
        self.content.window(buffer.len(), previous, registers)
    }

    /// Where it begins first in `buffer[from..to]`.
    pub(crate) fn find(&self, buffer: &[u8], from: usize, to: usize) -> Option<usize> {
        let length = self.content.bytes.len();
        let haystack = buffer.get(from..to)?;
        if self.content.endswith {
            let at = buffer.len().checked_sub(length)?;
            return (at >= from && to == buffer.len() && self.equals(&buffer[at..])).then_some(at);
        }
        if !self.content.nocase {
            return self.finder.find(haystack).map(|at| from + at);
        }
        let first = *self.content.bytes.first()?;
        let starts = haystack.get(..(haystack.len() + 1).checked_sub(length)?)?;
        memchr::memchr2_iter(first, first.to_ascii_uppercase(), starts)
            .find(|&at| haystack.get(at..at + length).is_some_and(|part| self.equals(part)))
            .map(|at| from + at)
    }

    fn equals(&self, part: &[u8]) -> bool {
        if self.content.nocase { part.eq_ignore_ascii_case(&self.content.bytes) } else { part == self.content.bytes }
    }
}
