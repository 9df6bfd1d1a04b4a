//! `content` with its modifiers: does a buffer hold these bytes, one after the other, where the rule wants them?

use memchr::memmem;
use vigia_parsers::field::Value;

use super::view::{Condition, View};

/// Places where contents of one list are tried before the list counts as not matching: no payload may stall the sensor.
const BUDGET: u32 = 3000;

/// Where contents are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Buffer {
    /// Packet payload or stream bytes.
    Payload,
    /// Each value of a field of the record.
    Field(usize),
}

/// One `content` with its modifiers.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The bytes; in lower case with `nocase`.
    pub(crate) bytes: Vec<u8>,
    pub(crate) nocase: bool,
    pub(crate) negated: bool,
    pub(crate) offset: Option<usize>,
    pub(crate) depth: Option<usize>,
    pub(crate) distance: Option<i64>,
    pub(crate) within: Option<i64>,
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
            endswith: false,
            fast_pattern: None,
        }
    }

    /// Does its place depend on where the content before it was found?
    pub(crate) fn relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }

    /// The part of a buffer of `length` bytes in which it must lie, when the content before it ended at `previous`.
    fn window(&self, length: usize, previous: usize) -> (usize, usize) {
        let clamp = |at: i64| at.clamp(0, length as i64) as usize;
        if self.relative() {
            let from = previous as i64 + self.distance.unwrap_or(0);
            (clamp(from), self.within.map_or(length, |within| clamp(from.saturating_add(within))))
        } else {
            let from = self.offset.unwrap_or(0).min(length);
            (from, self.depth.map_or(length, |depth| from.saturating_add(depth).min(length)))
        }
    }
}

/// A content ready to be searched for.
struct Needle {
    content: Content,
    finder: memmem::Finder<'static>,
}

impl Needle {
    /// Where it begins first in `buffer[from..to]`.
    fn find(&self, buffer: &[u8], from: usize, to: usize) -> Option<usize> {
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

/// The contents of a rule in one buffer, in the order of the rule.
pub(crate) struct Contents {
    buffer: Buffer,
    needles: Box<[Needle]>,
}

impl Contents {
    pub(crate) fn new(buffer: Buffer, contents: Vec<Content>) -> Self {
        let needles = contents
            .into_iter()
            .map(|content| Needle { finder: memmem::Finder::new(&content.bytes).into_owned(), content });
        Self { buffer, needles: needles.collect() }
    }

    fn within(&self, bytes: &[u8]) -> bool {
        let mut budget = BUDGET;
        search(&self.needles, bytes, 0, &mut budget)
    }
}

impl Condition for Contents {
    fn holds(&self, view: &View<'_>) -> bool {
        match self.buffer {
            Buffer::Payload => self.within(view.payload),
            Buffer::Field(field) => view.any(field, |value| match value {
                Value::Bytes(bytes) => self.within(bytes),
                Value::Text(text) => self.within(text.as_bytes()),
                _ => false,
            }),
        }
    }
}

/// Are all of `needles` found, the first after `previous`? Other places of a needle are tried only where a later one
/// depends on it.
fn search(needles: &[Needle], buffer: &[u8], previous: usize, budget: &mut u32) -> bool {
    let Some((needle, rest)) = needles.split_first() else { return true };
    let (mut from, to) = needle.content.window(buffer.len(), previous);
    if needle.content.negated {
        return needle.find(buffer, from, to).is_none() && search(rest, buffer, previous, budget);
    }
    let retry = rest.iter().find(|next| !next.content.negated || next.content.relative());
    let retry = retry.is_some_and(|next| next.content.relative());
    while let Some(at) = needle.find(buffer, from, to) {
        if search(rest, buffer, at + needle.content.bytes.len(), budget) {
            return true;
        }
        *budget = budget.saturating_sub(1);
        if !retry || *budget == 0 {
            return false;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(text: &str) -> Content {
        Content::new(text.as_bytes().to_vec(), false)
    }

    #[track_caller]
    fn check(contents: &[Content], matching: &[&str], other: &[&str]) {
        let list = Contents::new(Buffer::Payload, contents.to_vec());
        for text in matching {
            assert!(list.within(text.as_bytes()), "matches {text}");
        }
        for text in other {
            assert!(!list.within(text.as_bytes()), "does not match {text}");
        }
    }

    #[test]
    fn depth_counts_from_the_offset() {
        let it = Content { offset: Some(2), depth: Some(3), ..content("ab") };
        check(&[it], &["__ab", "___ab", "a_ab"], &["ab___", "____ab"]);
    }

    #[test]
    fn distance_and_within_count_from_the_end_of_the_content_before() {
        let second = Content { distance: Some(1), within: Some(3), ..content("cd") };
        check(&[content("ab"), second], &["ab_cd", "ab__cd"], &["abcd", "ab___cd", "cdab"]);
    }

    #[test]
    fn another_place_of_the_first_is_tried_when_the_second_depends_on_it() {
        let second = Content { distance: Some(0), within: Some(2), ..content("cd") };
        check(&[content("ab"), second], &["ab ab abcd"], &["ab ab ab cd"]);
    }

    #[test]
    fn a_negated_content_must_be_absent_from_its_window() {
        let not = Content { negated: true, distance: Some(0), within: Some(4), ..content("cd") };
        check(&[content("ab"), not], &["ab", "ab___cd", "cdab", "abcd abxx__"], &["ab_cd"]);
    }

    #[test]
    fn endswith_means_the_last_bytes_and_nocase_any_case() {
        let end = Content { endswith: true, ..content("cd") };
        check(std::slice::from_ref(&end), &["cdcd", "cd"], &["cd_", "d", ""]);
        let nocase = Content { nocase: true, ..content("get") };
        check(&[nocase], &["GET", "xgEt"], &["ge", "g e t"]);
    }

    proptest! {
        #[test]
        fn agrees_with_naive_search(text in "[ab]{0,12}", a in "[ab]{1,3}", b in "[ab]{1,2}",
                                    distance in -3i64..4, within in 1i64..6, nocase: bool) {
            let found = Contents::new(Buffer::Payload, vec![
                Content { nocase, ..content(&a) },
                Content { distance: Some(distance), within: Some(within), nocase, ..content(&b) },
            ]).within(text.as_bytes());
            let naive = (0..text.len()).filter(|&i| text[i..].starts_with(&a)).any(|i| {
                let from = (i + a.len()) as i64 + distance;
                (0..text.len()).any(|j| text[j..].starts_with(&b)
                    && j as i64 >= from && (j + b.len()) as i64 <= from + within)
            });
            prop_assert_eq!(found, naive);
        }
    }
}
