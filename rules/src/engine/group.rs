//! Which rules of a group can match at all: a bit a rule, narrowed by exact keys and by fast patterns.
//!
//! A column maps the value of one key (a function code, a port) to the set of rules which allow it. Rules with a fast
//! pattern remain only when one multi-pattern search over their buffer found it. What remains is inspected.

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, Input, MatchKind};
use vigia_parsers::Direction;

use super::view::{Key, View, as_number};
use crate::engine::buffer::Buffer;
use crate::language::set::RangeSet;

/// Columns of a group: each costs a look-up as long as rules are left, so only those that divide most are kept.
const COLUMNS: usize = 8;
/// Words of all rows of a column; a column that would need more is left out.
const COLUMN_WORDS: usize = 1 << 18;

/// What a group needs to know of a rule.
pub(crate) struct Member {
    /// Index of the rule in the engine.
    pub(crate) rule: u32,
    /// Values of keys that it needs.
    pub(crate) domains: Vec<(Key, RangeSet<u64>)>,
    /// Bytes that must occur in a buffer, in lower case.
    pub(crate) pattern: Option<(Buffer, Vec<u8>)>,
}

/// Rules inspected at one moment.
#[derive(Default)]
pub(crate) struct Group {
    /// The engine's index of each rule, ascending.
    rules: Box<[u32]>,
    /// All rules.
    all: Box<[u64]>,
    /// Rules without a pattern.
    unpatterned: Box<[u64]>,
    columns: Box<[Column]>,
    patterns: Box<[Patterns]>,
}

/// Reused bit sets.
#[derive(Debug, Default)]
pub(crate) struct Work {
    live: Vec<u64>,
    row: Vec<u64>,
    hits: Vec<u64>,
}

impl Group {
    pub(crate) fn new(mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.rule);
        let words = members.len().div_ceil(64);
        let mut all = vec![0; words];
        let mut unpatterned = vec![0; words];
        for (at, member) in members.iter().enumerate() {
            set(&mut all, at);
            if member.pattern.is_none() {
                set(&mut unpatterned, at);
            }
        }
        Self {
            rules: members.iter().map(|member| member.rule).collect(),
            all: all.into(),
            unpatterned: unpatterned.into(),
            columns: columns(&members),
            patterns: Patterns::build(&members),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Length of the longest fast pattern of the payload.
    pub(crate) fn longest(&self) -> usize {
        self.patterns
            .iter()
            .filter(|patterns| patterns.buffer == Buffer::Payload)
            .map(|p| p.longest())
            .max()
            .unwrap_or(0)
    }

    /// Appends the rules that the view may match, in ascending order.
    pub(crate) fn select(&self, view: &View<'_>, work: &mut Work, candidates: &mut Vec<u32>) {
        if self.rules.is_empty() {
            return;
        }
        work.live.clear();
        work.live.extend_from_slice(&self.all);
        for column in &self.columns {
            column.narrow(view, &mut work.live, &mut work.row);
            if work.live.iter().all(|&word| word == 0) {
                return;
            }
        }
        if !self.patterns.is_empty() {
            work.hits.clear();
            work.hits.extend_from_slice(&self.unpatterned);
            for patterns in &self.patterns {
                patterns.search(view, &work.live, &mut work.hits);
            }
            and(&mut work.live, &work.hits);
        }
        for (index, &word) in work.live.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                let at = index * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                candidates.extend(self.rules.get(at));
            }
        }
    }
}

fn set(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn and(bits: &mut [u64], other: &[u64]) {
    for (word, other) in bits.iter_mut().zip(other) {
        *word &= other;
    }
}

fn or(bits: &mut [u64], other: &[u64]) {
    for (word, other) in bits.iter_mut().zip(other) {
        *word |= other;
    }
}

/// Chooses the keys that divide the group best and makes their columns.
fn columns(members: &[Member]) -> Box<[Column]> {
    let mut keys: Vec<(usize, Key)> = Vec::new();
    for (key, _) in members.iter().flat_map(|member| &member.domains) {
        match keys.iter_mut().find(|known| known.1 == *key) {
            Some(known) => known.0 += 1,
            None => keys.push((1, *key)),
        }
    }
    // The look-up for a single rule would cost as much as its inspection.
    keys.retain(|&(count, _)| count > 1);
    keys.sort_by_key(|&(count, key)| (std::cmp::Reverse(count), key));
    keys.truncate(COLUMNS);
    keys.iter().filter_map(|&(_, key)| Column::new(key, members)).collect()
}

/// The rules of a group by the value of one key.
struct Column {
    key: Key,
    words: usize,
    /// First value of each segment of the number line; the first is 0.
    starts: Box<[u64]>,
    /// One row a segment: the rules that allow its values.
    rows: Box<[u64]>,
    /// Rules that do not ask for the key: what remains when it has no value.
    indifferent: Box<[u64]>,
    /// Segment of each value below 256.
    small: Box<[u32; 256]>,
}

impl Column {
    fn new(key: Key, members: &[Member]) -> Option<Self> {
        let words = members.len().div_ceil(64);
        // A rule may constrain a key more than once: all must hold.
        let constraints: Vec<Option<RangeSet<u64>>> = members
            .iter()
            .map(|member| {
                let sets = member.domains.iter().filter(|domain| domain.0 == key).map(|domain| domain.1.clone());
                sets.reduce(|a, b| a.intersection(&b))
            })
            .collect();
        let mut starts = vec![0];
        for &(low, high) in constraints.iter().flatten().flat_map(|set| set.ranges()) {
            starts.push(low);
            starts.extend(high.checked_add(1));
        }
        starts.sort_unstable();
        starts.dedup();
        if starts.len().saturating_mul(words) > COLUMN_WORDS {
            return None;
        }
        let mut indifferent = vec![0; words];
        for (at, _) in constraints.iter().enumerate().filter(|(_, constraint)| constraint.is_none()) {
            set(&mut indifferent, at);
        }
        let mut rows = indifferent.repeat(starts.len());
        for (at, constraint) in constraints.iter().enumerate() {
            for &(low, high) in constraint.iter().flat_map(|set| set.ranges()) {
                let first = starts.partition_point(|&start| start < low);
                let last = starts.partition_point(|&start| start <= high);
                for row in rows.chunks_exact_mut(words).take(last).skip(first) {
                    set(row, at);
                }
            }
        }
        let mut small = Box::new([0; 256]);
        for (value, segment) in small.iter_mut().enumerate() {
            *segment = (starts.partition_point(|&start| start <= value as u64) - 1) as u32;
        }
        Some(Self { key, words, starts: starts.into(), rows: rows.into(), indifferent: indifferent.into(), small })
    }

    fn row(&self, value: u64) -> &[u64] {
        let segment = match self.small.get(value as usize) {
            Some(&segment) => segment as usize,
            None => self.starts.partition_point(|&start| start <= value).saturating_sub(1),
        };
        self.rows.get(segment * self.words..(segment + 1) * self.words).unwrap_or(&self.indifferent)
    }

    fn narrow(&self, view: &View<'_>, live: &mut [u64], row: &mut Vec<u64>) {
        let moment = view.moment;
        let value = match self.key {
            Key::IpProtocol => moment.ip_protocol.into(),
            Key::SourcePort => moment.source.1.into(),
            Key::DestinationPort => moment.destination.1.into(),
            Key::Direction => direction(moment.direction),
            Key::Field(field) => return self.narrow_by_field(field, view, live, row),
        };
        and(live, self.row(value));
    }

    fn narrow_by_field(&self, field: usize, view: &View<'_>, live: &mut [u64], row: &mut Vec<u64>) {
        if let [live] = live {
            // Up to 64 rules: the whole row is one word.
            let mut word = 0;
            view.visit(field, &mut |value| {
                word |= as_number(value).map_or(0, |value| self.row(value).first().copied().unwrap_or_default())
            });
            *live &= word | self.indifferent.first().copied().unwrap_or_default();
            return;
        }
        row.clear();
        row.extend_from_slice(&self.indifferent);
        view.visit(field, &mut |value| {
            if let Some(value) = as_number(value) {
                or(row, self.row(value));
            }
        });
        and(live, row);
    }
}

/// The value of [`Key::Direction`].
pub(crate) fn direction(direction: Option<Direction>) -> u64 {
    direction.map_or(2, |direction| direction.index() as u64)
}

/// The fast patterns of a group in one buffer.
struct Patterns {
    buffer: Buffer,
    /// Rules with a pattern in this buffer: when none of them is left, the search is spared.
    members: Box<[u64]>,
    automaton: AhoCorasick,
    /// By pattern: the rules it is the pattern of.
    rules: Box<[Box<[u32]>]>,
}

impl Patterns {
    fn build(members: &[Member]) -> Box<[Self]> {
        let mut buffers: Vec<Buffer> = members.iter().flat_map(|m| &m.pattern).map(|pattern| pattern.0).collect();
        buffers.sort_unstable();
        buffers.dedup();
        buffers.iter().filter_map(|&buffer| Self::new(buffer, members)).collect()
    }

    fn new(buffer: Buffer, members: &[Member]) -> Option<Self> {
        let mut bits = vec![0; members.len().div_ceil(64)];
        let mut patterns: Vec<(&[u8], u32)> = Vec::new();
        for (at, member) in members.iter().enumerate() {
            if let Some((_, pattern)) = member.pattern.as_ref().filter(|pattern| pattern.0 == buffer) {
                set(&mut bits, at);
                patterns.push((pattern, at as u32));
            }
        }
        patterns.sort_unstable();
        let distinct: Vec<&[(&[u8], u32)]> = patterns.chunk_by(|a, b| a.0 == b.0).collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(distinct.iter().map(|same| same[0].0))
            .ok()?;
        let rules = distinct.iter().map(|same| same.iter().map(|pattern| pattern.1).collect()).collect();
        Some(Self { buffer, members: bits.into(), automaton, rules })
    }

    fn longest(&self) -> usize {
        self.automaton.max_pattern_len()
    }

    fn search(&self, view: &View<'_>, live: &[u64], hits: &mut [u64]) {
        if !self.members.iter().zip(live).any(|(member, live)| member & live != 0) {
            return;
        }
        view.buffer(self.buffer, &mut |bytes| self.search_bytes(bytes, hits));
    }

    fn search_bytes(&self, bytes: &[u8], hits: &mut [u64]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = OverlappingState::start();
        loop {
            // The automaton has standard match semantics, for which overlapping search does not fail.
            if self.automaton.try_find_overlapping(Input::new(bytes), &mut state).is_err() {
                return;
            }
            let Some(found) = state.get_match() else { return };
            for &rule in self.rules.get(found.pattern().as_usize()).into_iter().flatten() {
                set(hits, rule as usize);
            }
        }
    }
}
