//! What a rule asks of one buffer, one step after the other: contents, expressions, numbers, lengths.

use std::sync::Arc;

use super::buffer::Buffer;
use super::bytes::{ByteExtract, ByteJump, ByteMath, ByteTest};
use super::content::{Content, Needle};
use super::dataset::{DatasetTest, ReputationTest};
use super::regex::Expression;
use super::told::Note;
use super::transform::{Base64, Transform};
use super::value::{Number, Registers};
use super::view::{Condition, View};
use crate::language::decimal::DecimalTest;
use crate::language::integer::IntegerTest;

/// Steps that searching so many bytes for a content takes, beside the first: about as long as anything else that is a step.
fn search_steps(bytes: usize) -> u64 {
    bytes as u64 / 32
}

/// Steps that matching an expression with so many bytes may take: from each of them, if the worst comes, a good part of
/// those that follow is looked at.
fn expression_steps(bytes: usize) -> u64 {
    let bytes = bytes as u64;
    8 + bytes + bytes * bytes.min(1500) / 256
}

/// Places where the steps of one chain are tried before it counts as not matching.
const BUDGET: u32 = 3000;

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Content(Content),
    Expression(Expression),
    ByteTest(ByteTest),
    ByteJump(ByteJump),
    ByteExtract(ByteExtract),
    ByteMath(ByteMath),
    IsDataAt(IsDataAt),
    /// Length of the buffer.
    Length(IntegerTest),
    Base64(Base64),
    Entropy(Entropy),
    Dataset(DatasetTest),
    Reputation(ReputationTest),
}

/// `entropy`: Shannon's, in bits a byte, of a part of the buffer.
#[derive(Debug, Clone)]
pub(crate) struct Entropy {
    /// Name of the buffer, by which what was found is told.
    pub(crate) buffer: Arc<str>,
    pub(crate) offset: Number,
    /// So many bytes; all that follow without.
    pub(crate) bytes: Option<Number>,
    pub(crate) test: DecimalTest,
}

impl Entropy {
    fn holds(&self, buffer: &[u8], registers: &Registers) -> bool {
        let rest = buffer.get(self.offset.count(registers)..).unwrap_or_default();
        let count = self.bytes.map_or(rest.len(), |bytes| bytes.count(registers));
        let part = rest.get(..count).unwrap_or(rest);
        if part.is_empty() {
            return false;
        }
        let found = entropy(part);
        registers.note(Note::Entropy(Arc::clone(&self.buffer), found));
        self.test.holds(found)
    }
}

/// Shannon's entropy in bits a byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let total = bytes.len() as f64;
    let bits = |&count: &u32| f64::from(count) / total * (total / f64::from(count)).log2();
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// `isdataat`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IsDataAt {
    pub(crate) at: Number,
    pub(crate) relative: bool,
    pub(crate) negated: bool,
}

impl IsDataAt {
    fn holds(&self, length: usize, previous: usize, registers: &Registers) -> bool {
        let at = self.at.count(registers);
        // Counted from a match, its own last byte is at 0.
        let there = if self.relative { previous.saturating_add(at) <= length } else { at < length };
        there != self.negated
    }
}

impl Step {
    /// Does it depend on where the step before it ended?
    fn relative(&self) -> bool {
        match self {
            Self::Content(content) => content.relative(),
            Self::Expression(expression) => expression.relative,
            Self::ByteTest(test) => test.reading.relative,
            Self::ByteJump(jump) => jump.reading.relative,
            Self::ByteExtract(extract) => extract.reading.relative,
            Self::ByteMath(math) => math.reading.relative,
            Self::IsDataAt(it) => it.relative,
            Self::Base64(base64) => base64.relative,
            Self::Length(_) | Self::Entropy(_) | Self::Dataset(_) | Self::Reputation(_) => false,
        }
    }

    /// Does it set anew where relative steps count from, whatever stood before?
    fn anchors(&self) -> bool {
        match self {
            Self::Content(content) => !content.negated && !content.relative(),
            Self::Expression(expression) => !expression.negated && !expression.relative,
            Self::ByteJump(jump) => !jump.reading.relative,
            Self::ByteExtract(extract) => !extract.reading.relative,
            Self::ByteMath(math) => !math.reading.relative,
            Self::ByteTest(_) | Self::IsDataAt(_) | Self::Length(_) | Self::Base64(_) => false,
            Self::Entropy(_) | Self::Dataset(_) | Self::Reputation(_) => false,
        }
    }

    fn prepare(self) -> Prepared {
        let retry = false;
        match self {
            Self::Content(content) => Prepared { step: Ready::Content(Box::new(Needle::new(content))), retry },
            other => Prepared { step: Ready::Other(other), retry },
        }
    }
}

/// A step ready to be taken.
struct Prepared {
    step: Ready,
    /// A later step depends on where this one matches: its other places are tried as well.
    retry: bool,
}

enum Ready {
    Content(Box<Needle>),
    Other(Step),
}

/// When a buffer need not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It must not be there.
    Required,
    /// It need not be, but if it is, the steps hold.
    Allowed,
}

/// The steps of a rule in one buffer, in the order of the rule.
pub(crate) struct Chain {
    buffer: Buffer,
    transforms: Box<[Transform]>,
    absence: Option<Absence>,
    steps: Box<[Prepared]>,
}

impl Chain {
    pub(crate) fn new(buffer: Buffer, transforms: Vec<Transform>, absence: Option<Absence>, steps: Vec<Step>) -> Self {
        let retry: Vec<bool> = (0..steps.len())
            .map(|at| {
                let later = steps.get(at + 1..).unwrap_or_default();
                later.iter().take_while(|step| !step.anchors()).any(Step::relative)
            })
            .collect();
        let steps = steps.into_iter().zip(retry).map(|(step, retry)| Prepared { retry, ..step.prepare() }).collect();
        Self { buffer, transforms: transforms.into(), absence, steps }
    }

    /// Does it hold where its buffer is not there?
    pub(crate) fn may_be_absent(&self) -> bool {
        self.absence.is_some()
    }

    /// Do all steps hold in these bytes?
    fn within(&self, bytes: &[u8], registers: &Registers) -> bool {
        self.within_watched(bytes, registers, &mut ())
    }

    fn within_watched(&self, bytes: &[u8], registers: &Registers, watch: &mut impl Watch) -> bool {
        let Some((first, rest)) = self.transforms.split_first() else {
            return Search { buffer: bytes, registers, budget: BUDGET, watch }.from(&self.steps, 0);
        };
        let (mut done, mut next) = (registers.take(), registers.take());
        first.apply(bytes, &mut done, registers);
        for transform in rest {
            next.clear();
            transform.apply(&done, &mut next, registers);
            std::mem::swap(&mut done, &mut next);
        }
        let holds = Search { buffer: &done, registers, budget: BUDGET, watch }.from(&self.steps, 0);
        registers.put(done);
        registers.put(next);
        holds
    }

    /// How far the steps come in the buffer's values: in the one where they come furthest.
    pub(crate) fn trace(&self, view: &View<'_>) -> ChainTrace {
        let mut best: Option<ChainTrace> = None;
        view.buffer(self.buffer, &mut |bytes| {
            if best.as_ref().is_some_and(|best| best.failed.is_none()) {
                return;
            }
            let mut furthest = Furthest { left: usize::MAX, ..Furthest::default() };
            let holds = self.within_watched(bytes, view.registers, &mut furthest);
            let passed = self.steps.len() - if holds { 0 } else { furthest.left.min(self.steps.len()) };
            if holds || best.as_ref().is_none_or(|best| best.passed < passed) {
                let failed = self.steps.get(passed).filter(|_| !holds);
                let failed = failed.map(|step| step.explain(&furthest.buffer, furthest.previous, view.registers));
                best = Some(ChainTrace { passed, failed });
            }
        });
        match (self.absence, best) {
            (Some(Absence::Required), Some(_)) => ChainTrace { passed: 0, failed: Some(Shortfall::Present) },
            (Some(_), None) => ChainTrace { passed: self.steps.len(), failed: None },
            (_, Some(best)) => best,
            (None, None) => ChainTrace { passed: 0, failed: Some(Shortfall::NoBuffer) },
        }
    }
}

/// How far the steps of a chain came.
#[derive(Debug, Clone)]
pub(crate) struct ChainTrace {
    /// Steps that hold before the first that does not.
    pub(crate) passed: usize,
    /// Why that one does not.
    pub(crate) failed: Option<Shortfall>,
}

/// Why a step does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortfall {
    /// The buffer is not there.
    NoBuffer,
    /// The buffer must not be there, and is.
    Present,
    /// A content that does not stand between two offsets of a buffer of some length. It may stand elsewhere, or in other
    /// letter case.
    Missing {
        /// Where it may begin.
        from: usize,
        /// Where it must end.
        to: usize,
        /// Length of the buffer.
        length: usize,
        /// Where it stands outside.
        elsewhere: Option<usize>,
        /// Where it stands in other letter case.
        other_case: Option<usize>,
    },
    /// A negated content that does stand there.
    Found {
        /// Where.
        at: usize,
    },
    /// A length that is not as asked for.
    Length {
        /// The length.
        was: usize,
    },
    /// Something else does not hold.
    Other {
        /// Where it was asked.
        at: usize,
        /// Length of the buffer.
        length: usize,
    },
}

/// What may look over a search. Inspection takes `()`, which compiles to nothing.
trait Watch {
    /// The search has come to where `left` steps remain, the first after a match that ended at `previous`.
    fn reached(&mut self, left: usize, buffer: &[u8], previous: usize);
}

impl Watch for () {
    #[inline(always)]
    fn reached(&mut self, _: usize, _: &[u8], _: usize) {}
}

/// The furthest that a search came, where it first came so far.
#[derive(Debug, Default)]
struct Furthest {
    left: usize,
    buffer: Vec<u8>,
    previous: usize,
}

impl Watch for Furthest {
    fn reached(&mut self, left: usize, buffer: &[u8], previous: usize) {
        if left < self.left {
            *self = Self { left, buffer: buffer.to_vec(), previous };
        }
    }
}

impl Prepared {
    /// Why it does not hold after a match that ended at `previous`.
    fn explain(&self, buffer: &[u8], previous: usize, registers: &Registers) -> Shortfall {
        let length = buffer.len();
        match &self.step {
            Ready::Content(needle) => {
                let (from, to) = needle.window(buffer, previous, registers);
                if needle.content.negated {
                    return Shortfall::Found { at: needle.find(buffer, from, to).unwrap_or(from) };
                }
                let bytes = &needle.content.bytes;
                let same = |part: &[u8]| part == bytes || needle.content.nocase && part.eq_ignore_ascii_case(bytes);
                let find = |like: &dyn Fn(&[u8]) -> bool| buffer.windows(bytes.len().max(1)).position(like);
                let other_case = find(&|part| part.eq_ignore_ascii_case(bytes));
                let elsewhere = find(&same);
                Shortfall::Missing {
                    from,
                    to,
                    length,
                    elsewhere,
                    other_case: other_case.filter(|_| elsewhere.is_none()),
                }
            }
            Ready::Other(Step::Length(_)) => Shortfall::Length { was: length },
            Ready::Other(step) => Shortfall::Other { at: if step.relative() { previous } else { 0 }, length },
        }
    }
}

impl Condition for Chain {
    fn chain(&self) -> Option<&Chain> {
        Some(self)
    }

    fn holds(&self, view: &View<'_>) -> bool {
        let (mut found, mut there) = (false, false);
        view.buffer(self.buffer, &mut |bytes| {
            there = true;
            found = found || self.within(bytes, view.registers);
        });
        match self.absence {
            None => found,
            Some(Absence::Required) => !there,
            Some(Absence::Allowed) => !there || found,
        }
    }
}

/// A search through one buffer.
struct Search<'a, W> {
    buffer: &'a [u8],
    registers: &'a Registers,
    budget: u32,
    watch: &'a mut W,
}

impl<W: Watch> Search<'_, W> {
    /// Do all of `steps` hold, the first after a match that ended at `previous`?
    fn from(&mut self, steps: &[Prepared], previous: usize) -> bool {
        self.watch.reached(steps.len(), self.buffer, previous);
        let Some((Prepared { step, retry }, rest)) = steps.split_first() else { return true };
        let (buffer, registers) = (self.buffer, self.registers);
        let step = match step {
            Ready::Content(needle) => return self.content(needle, *retry, rest, previous),
            Ready::Other(step) => step,
        };
        let next = match step {
            Step::Expression(expression) => return self.expression(expression, *retry, rest, previous),
            Step::ByteTest(test) => test.holds(buffer, previous, registers).then_some(previous),
            Step::ByteJump(jump) => jump.target(buffer, previous, registers),
            Step::ByteExtract(extract) => extract.extract(buffer, previous, registers),
            Step::ByteMath(math) => math.compute(buffer, previous, registers),
            Step::IsDataAt(it) => it.holds(buffer.len(), previous, registers).then_some(previous),
            Step::Length(test) => test.holds(buffer.len() as u64).then_some(previous),
            Step::Dataset(test) => test.holds(buffer, registers).then_some(previous),
            Step::Reputation(test) => test.holds(buffer).then_some(previous),
            Step::Entropy(entropy) => entropy.holds(buffer, registers).then_some(previous),
            Step::Base64(base64) => {
                // Decoding what was decoded, while it is read, is refused.
                let Ok(mut out) = registers.decoded.try_borrow_mut() else { return false };
                out.clear();
                let decoded = base64.decode(buffer, previous, &mut out);
                drop(out);
                decoded.then_some(previous)
            }
            Step::Content(_) => None,
        };
        next.is_some_and(|next| self.from(rest, next))
    }

    fn content(&mut self, needle: &Needle, retry: bool, rest: &[Prepared], previous: usize) -> bool {
        let (mut from, to) = needle.window(self.buffer, previous, self.registers);
        if !self.registers.spend(1 + search_steps(to.saturating_sub(from))) {
            return false;
        }
        if needle.content.negated {
            return needle.find(self.buffer, from, to).is_none() && self.from(rest, previous);
        }
        while let Some(at) = needle.find(self.buffer, from, to) {
            if self.from(rest, at + needle.content.bytes.len()) {
                return true;
            }
            if !retry || !self.spend(search_steps(at + 1 - from)) {
                return false;
            }
            from = at + 1;
        }
        false
    }

    fn expression(&mut self, expression: &Expression, retry: bool, rest: &[Prepared], previous: usize) -> bool {
        let start = if expression.relative { previous } else { 0 };
        // What a relative expression may see begins where it may match: `^` stands for that place.
        let Some(buffer) = self.buffer.get(start..) else { return false };
        let registers = self.registers;
        if !self.registers.spend(expression_steps(buffer.len())) {
            return false;
        }
        // What is given up does not match, whether it was to be there or not.
        let find = |from| expression.find(buffer, from).inspect_err(|_| registers.gave_up_expression());
        if expression.negated {
            return find(0) == Ok(None) && self.from(rest, previous);
        }
        let mut from = 0;
        while let Ok(Some(found)) = find(from) {
            if !expression.captures.is_empty() {
                expression.note(buffer, found.start, registers);
            }
            if self.from(rest, start + found.end) {
                return true;
            }
            if !retry || found.start >= buffer.len() || !self.spend(expression_steps(buffer.len() - found.start)) {
                return false;
            }
            from = found.start + 1;
        }
        false
    }

    /// One more place is tried, which takes so many steps more; false when that is one too many.
    fn spend(&mut self, steps: u64) -> bool {
        if self.budget == 1 {
            self.registers.gave_up_places();
        }
        self.budget = self.budget.saturating_sub(1);
        self.budget > 0 && self.registers.spend(1 + steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(text: &str) -> Content {
        Content::new(text.as_bytes().to_vec(), false)
    }

    fn chain(contents: &[Content]) -> Chain {
        Chain::new(Buffer::Payload, Vec::new(), None, contents.iter().cloned().map(Step::Content).collect())
    }

    #[track_caller]
    fn check(contents: &[Content], matching: &[&str], other: &[&str]) {
        let list = chain(contents);
        for text in matching {
            assert!(list.within(text.as_bytes(), &Registers::default()), "matches {text}");
        }
        for text in other {
            assert!(!list.within(text.as_bytes(), &Registers::default()), "does not match {text}");
        }
    }

    #[test]
    fn depth_counts_from_the_offset() {
        let it = Content { offset: Some(Number::Literal(2)), depth: Some(Number::Literal(3)), ..content("ab") };
        check(&[it], &["__ab", "___ab", "a_ab"], &["ab___", "____ab"]);
    }

    #[test]
    fn distance_and_within_count_from_the_end_of_the_content_before() {
        let second = Content { distance: Some(Number::Literal(1)), within: Some(Number::Literal(3)), ..content("cd") };
        check(&[content("ab"), second], &["ab_cd", "ab__cd"], &["abcd", "ab___cd", "cdab"]);
    }

    #[test]
    fn another_place_of_the_first_is_tried_when_the_second_depends_on_it() {
        let second = Content { distance: Some(Number::Literal(0)), within: Some(Number::Literal(2)), ..content("cd") };
        check(&[content("ab"), second], &["ab ab abcd"], &["ab ab ab cd"]);
    }

    #[test]
    fn a_negated_content_must_be_absent_from_its_window() {
        let not = Content {
            negated: true,
            distance: Some(Number::Literal(0)),
            within: Some(Number::Literal(4)),
            ..content("cd")
        };
        check(&[content("ab"), not], &["ab", "ab___cd", "cdab", "abcd abxx__"], &["ab_cd"]);
    }

    #[test]
    fn endswith_means_the_last_bytes_and_nocase_any_case() {
        let end = Content { endswith: true, ..content("cd") };
        check(std::slice::from_ref(&end), &["cdcd", "cd"], &["cd_", "d", ""]);
        let nocase = Content { nocase: true, ..content("get") };
        check(&[nocase], &["GET", "xgEt"], &["ge", "g e t"]);
    }

    #[test]
    fn entropy_is_zero_of_one_byte_and_eight_of_all() {
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert_eq!(entropy(b"abab"), 1.0);
        assert_eq!(entropy(&(0..=255).collect::<Vec<u8>>()), 8.0);
    }

    proptest! {
        #[test]
        fn agrees_with_naive_search(text in "[ab]{0,12}", a in "[ab]{1,3}", b in "[ab]{1,2}",
                                    distance in -3i64..4, within in 1i64..6, nocase: bool) {
            let found = chain(&[
                Content { nocase, ..content(&a) },
                Content {
                    distance: Some(Number::Literal(distance)),
                    within: Some(Number::Literal(within)),
                    nocase,
                    ..content(&b)
                },
            ]).within(text.as_bytes(), &Registers::default());
            let naive = (0..text.len()).filter(|&i| text[i..].starts_with(&a)).any(|i| {
                let from = (i + a.len()) as i64 + distance;
                (0..text.len()).any(|j| text[j..].starts_with(&b)
                    && j as i64 >= from && (j + b.len()) as i64 <= from + within)
            });
            prop_assert_eq!(found, naive);
        }
    }
}
