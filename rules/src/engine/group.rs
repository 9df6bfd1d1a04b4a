//! Which rules of a group can match at all.
//!
//! Rules with a fast pattern are found by it. They stand on *shelves*, by what their headers ask for: those for a few
//! ports of the receiver, those for a few ports of the sender, and the others; on each shelf one [`Sieve`] a buffer holds
//! the patterns of just those rules which allow the packet's port, IP protocol, direction and kind of addresses. Where the
//! others are few, they stand on the first shelf, too, for each shelf is one more walk over the bytes. Rules without a pattern
//! are narrowed by exact keys: function codes, flags, ports, addresses ([`Plain`]). What remains is inspected.

use std::collections::HashMap;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Protocol, Record};

use super::Moment;
use super::buffer::Buffer;
use super::column::{Column, Domains, and, ones, or, set};
use super::plain::{Plain, Word};
use super::sieve::{Found, Pool, Sieve, Wanted};
use super::view::{Key, View, protocol_number};
use crate::keyword::payload_length;
use crate::language::set::RangeSet;

/// Kinds of packets that shelves tell apart by protocol, direction and addresses, at the most.
const PLACES: usize = 1024;
/// Ports of a rule that stands on a shelf by ports, at the most: it stands there once for each kind of port.
const NARROW: u64 = 1024;
/// Rules for any port in one place that are few enough to stand with those for ports: bytes are walked once for both then.
const GUESTS: usize = 16;

/// What a group needs to know of a rule.
pub(crate) struct Member {
    /// Index of the rule in the engine.
    pub(crate) rule: u32,
    /// Values of keys that it needs.
    pub(crate) domains: Vec<(Key, RangeSet<u64>)>,
    /// Bytes that must occur in a buffer.
    pub(crate) pattern: Option<Pattern>,
}

/// Longest pattern that is looked for in streams: the more is longer, the more of what was seen is searched again.
pub(super) const LONGEST: usize = 24;

impl Member {
    /// What it first asks of a key.
    fn allowed(&self, key: Key) -> Option<&RangeSet<u64>> {
        self.domains.iter().find(|domain| domain.0 == key).map(|domain| &domain.1)
    }

    /// The same for a group that inspects traffic of every protocol, where the rule is about one.
    pub(super) fn of(mut self, protocol: Option<&Protocol>) -> Self {
        let only = |protocol| (Key::Protocol, RangeSet::one(protocol_number(Some(protocol))));
        self.domains.extend(protocol.map(only));
        self
    }

    /// The same for streams: what was said before the protocol was detected may be a part of what a rule looks for.
    pub(super) fn early(mut self) -> Self {
        let protocols = self.domains.iter_mut().filter(|domain| domain.0 == Key::Protocol);
        let undecided = RangeSet::one(protocol_number(None));
        protocols.for_each(|domain| domain.1 = domain.1.union(&undecided));
        self
    }

    /// The same for streams, in which places do not count, and what is looked for may be spread over segments.
    pub(super) fn anywhere(mut self) -> Self {
        if let Some(pattern) = &mut self.pattern {
            pattern.reach = usize::MAX;
            pattern.at_end = false;
            pattern.first = None;
            pattern.bytes.drain(..pattern.bytes.len().saturating_sub(LONGEST));
        }
        self
    }
}

/// What can be said of a packet at once that any of some rules is about.
pub(super) struct Reach {
    /// The ports of receivers that they allow, a bit each; `None` when one of them does not ask for it.
    receivers: Option<Box<[u64]>>,
    /// The shortest and the longest payload that they allow.
    lengths: (u64, u64),
}

impl Reach {
    pub(super) fn new(members: &[Member]) -> Self {
        let lengths = members.iter().map(|member| {
            let ranges = member.allowed(Key::PayloadLength).map(|set| set.ranges());
            let ends = ranges
                .map(|ranges| (ranges.first().map_or(1, |first| first.0), ranges.last().map_or(0, |last| last.1)));
            ends.unwrap_or((0, u64::MAX))
        });
        let lengths = lengths.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))).unwrap_or((1, 0));
        Self { receivers: receivers(members), lengths }
    }

    /// May any of the rules be about this packet?
    #[inline]
    pub(super) fn covers(&self, packet: &Packet<'_>) -> bool {
        let [_, port] = packet.ports.map(usize::from);
        let goes_there = |ports: &[u64]| ports.get(port / 64).is_some_and(|word| word >> (port % 64) & 1 == 1);
        let (shortest, longest) = self.lengths;
        shortest <= longest
            && self.receivers.as_deref().is_none_or(goes_there)
            && (self.lengths == (0, u64::MAX) || (shortest..=longest).contains(&payload_length(packet)))
    }
}

/// The ports of receivers that any of these rules allows, a bit each; `None` when one of them does not ask for it.
fn receivers(members: &[Member]) -> Option<Box<[u64]>> {
    let mut ports = vec![0; usize::from(u16::MAX) / 64 + 1];
    for member in members {
        for &(low, high) in member.allowed(Key::DestinationPort)?.ranges() {
            (low..=high.min(u16::MAX.into())).for_each(|port| set(&mut ports, port as usize));
        }
    }
    Some(ports.into())
}

/// Bytes that must occur in a buffer for a rule to match.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) buffer: Buffer,
    /// In any case.
    pub(crate) bytes: Vec<u8>,
    /// Where in the buffer they end at the latest.
    pub(crate) reach: usize,
    /// They can only be its end.
    pub(crate) at_end: bool,
    /// The byte that the buffer must begin with, in lower case.
    pub(crate) first: Option<u8>,
}

/// Rules inspected at one moment.
#[derive(Default)]
pub(crate) struct Group {
    plain: Plain,
    shelves: Shelves,
    /// Patterns are looked for only when exact keys leave a rule that has one. Of messages.
    keyed: bool,
}

/// Reused working memory.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(super) live: Vec<u64>,
    pub(super) row: Vec<u64>,
    found: Found,
}

impl Group {
    pub(crate) fn new(mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.rule);
        let (patterned, plain): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.pattern.is_some());
        Self { plain: Plain::new(&plain), shelves: Shelves::new(&patterned), keyed: false }
    }

    /// Rules on messages. A function code is found faster than bytes are: where all rules with a pattern ask for an exact
    /// field besides, that comes first.
    pub(crate) fn of_messages(mut members: Vec<Member>) -> Self {
        let is_keyed = |member: &Member| member.domains.iter().any(|domain| matches!(domain.0, Key::Field(_)));
        if members.iter().any(|member| member.pattern.is_some() && !is_keyed(member)) {
            return Self::new(members);
        }
        members.sort_by_key(|member| member.rule);
        let plain = Plain::new(&members);
        members.retain(|member| member.pattern.is_some());
        Self { plain, shelves: Shelves::new(&members), keyed: true }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.shelves.is_empty()
    }

    /// Are all patterns looked for in the payload?
    pub(super) fn seeks_payload_only(&self) -> bool {
        self.shelves.is_empty() || self.shelves.payload_only
    }

    /// Appends the words of the [`Path`] that the packets of one direction of a flow have in common.
    pub(super) fn path(&self, moment: &Moment<'_>, words: &mut Vec<u64>) {
        words.extend(self.shelves.path(moment).map(u64::from));
        self.plain.path(moment, words);
    }

    /// The columns that decide a path.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        let ports = self.shelves.shelves.iter().filter_map(|shelf| shelf.ports.as_ref());
        self.shelves.places.iter().chain(ports).chain(self.plain.flow_columns())
    }

    /// The words of a path through this group.
    pub(super) fn width(&self) -> usize {
        SHELVES + self.plain.width()
    }

    /// What the fields of a message leave of the rules; `None` when it is nothing.
    #[inline]
    pub(super) fn asked(&self, record: &dyn Record) -> Option<Word> {
        self.plain.asked(record).or((!self.keyed).then_some(None))
    }

    /// Those of the first 64 rules on messages that addresses, ports and direction leave.
    pub(super) fn allowed(&self, moment: &Moment<'_>) -> u64 {
        self.plain.allowed(moment)
    }

    /// Is there nothing left to look for where exact keys leave none of the rules?
    pub(super) fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// The engine's indices of up to 64 of the rules on messages.
    pub(super) fn rules(&self) -> &[u32] {
        self.plain.rules()
    }

    /// Appends the rules that a message may match, each once, in no order; it is known what fields and path leave.
    pub(super) fn select_left(&self, left: Word, view: &View<'_>, work: &mut Work, candidates: &mut Vec<u32>) {
        let sought = self.plain.select_left(left, view, work, candidates);
        self.search(sought, view, work, candidates);
    }

    /// The same for a view whose path is known.
    #[inline]
    pub(super) fn select_on(&self, path: Path<'_>, view: &View<'_>, work: &mut Work, candidates: &mut Vec<u32>) {
        self.plain.select_on(path.plain, view, work, candidates);
        self.shelves.select(path.cells, view, work, candidates);
    }

    /// Looks for patterns, unless exact keys leave no rule that has one.
    fn search(&self, sought: bool, view: &View<'_>, work: &mut Work, candidates: &mut Vec<u32>) {
        if sought || !self.keyed && !self.shelves.is_empty() {
            self.shelves.select(self.shelves.path(view.moment), view, work, candidates);
        }
    }
}

/// What the addresses, ports, protocol and direction of what is inspected decide in a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'w> {
    /// On each shelf the sieves of this number, from 1; 0 for none.
    cells: [u32; SHELVES],
    /// Those of the rules without a pattern that they leave, a bit each.
    plain: &'w [u64],
}

impl<'w> Path<'w> {
    /// The path with these words.
    #[inline]
    pub(super) fn of(words: &'w [u64]) -> Self {
        let (cells, plain) = words.split_first_chunk().unwrap_or((&[0; SHELVES], &[]));
        Self { cells: cells.map(|cell| cell as u32), plain }
    }

    /// Does it leave no rule without a pattern?
    #[inline]
    pub(super) fn is_bare(&self) -> bool {
        self.plain.iter().all(|&word| word == 0)
    }
}

/// The sieves of one place on a shelf, each for its buffer.
type Sieves = Box<[(Buffer, Sieve)]>;

/// Rules with a pattern.
#[derive(Default)]
struct Shelves {
    pool: Pool,
    /// By pattern: the rules that have it.
    rules: Box<[Box<[u32]>]>,
    /// What tells places apart: IP protocol, direction, addresses.
    places: Box<[Column]>,
    /// Number of places.
    count: usize,
    shelves: [Shelf; SHELVES],
    sieves: Box<[Sieves]>,
    /// All patterns are looked for in the payload.
    payload_only: bool,
}

/// Shelves of a group: by the receiver's port, by the sender's, and the others.
const SHELVES: usize = 3;

/// Sieves by port and place.
#[derive(Default)]
struct Shelf {
    ports: Option<Column>,
    /// By row of the ports, then by place: the sieves of this number, from 1; 0 for none.
    cells: Box<[u32]>,
}

impl Shelves {
    fn new(members: &[Member]) -> Self {
        let places = places(members);
        let mut patterns = Patterns::default();
        let wanted: Vec<(Buffer, Wanted)> = members.iter().filter_map(|member| patterns.add(member)).collect();
        let mut maker = Maker {
            wanted: &wanted,
            places: &places,
            pool: &patterns.pool,
            guests: Vec::new(),
            known: HashMap::new(),
            made: Vec::new(),
        };
        let narrow = |key: Key, member: &Member| {
            let mut sets = member.domains.iter().filter(|domain| domain.0 == key);
            let width = |set: &RangeSet<u64>| set.ranges().iter().map(|range| range.1 - range.0 + 1).sum::<u64>();
            sets.any(|domain| width(&domain.1) <= NARROW)
        };
        let shelf_of = |member: &Member| match () {
            () if narrow(Key::DestinationPort, member) => Some(Key::DestinationPort),
            () if narrow(Key::SourcePort, member) => Some(Key::SourcePort),
            () => None,
        };
        let on = |key: Option<Key>| {
            let mut on = vec![0; members.len().div_ceil(64)];
            let chosen = members.iter().enumerate().filter(|(_, member)| shelf_of(member) == key);
            chosen.for_each(|(at, _)| set(&mut on, at));
            on
        };
        let column = |key: Key| Column::new(key, members.iter().map(|member| &*member.domains));
        let for_receivers = on(Some(Key::DestinationPort));
        if for_receivers.iter().any(|&word| word != 0) {
            maker.guests = maker.guests(&on(None));
        }
        let shelves = [
            maker.shelf(column(Key::DestinationPort), &for_receivers, Guests::Added),
            maker.shelf(column(Key::SourcePort), &on(Some(Key::SourcePort)), Guests::Ignored),
            maker.shelf(None, &on(None), Guests::Removed),
        ];
        let sieves = maker.made.into();
        patterns.pool.shrink();
        Self {
            payload_only: wanted.iter().all(|(buffer, _)| *buffer == Buffer::Payload),
            pool: patterns.pool,
            rules: patterns.rules.into_iter().map(Into::into).collect(),
            count: places.iter().map(Column::rows).product(),
            places,
            shelves,
            sieves,
        }
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn path(&self, moment: &Moment<'_>) -> [u32; SHELVES] {
        let place = self.places.iter().fold(0, |place, column| place * column.rows() + column.find(moment) as usize);
        self.shelves.each_ref().map(|shelf| {
            let row = shelf.ports.as_ref().map_or(0, |ports| ports.find(moment) as usize);
            shelf.cells.get(row * self.count + place).copied().unwrap_or(0)
        })
    }

    fn select(&self, cells: [u32; SHELVES], view: &View<'_>, work: &mut Work, candidates: &mut Vec<u32>) {
        if cells == [0; SHELVES] || self.payload_only && view.payload.is_empty() {
            return;
        }
        work.found.begin(&self.pool);
        for cell in cells {
            let Some(sieves) = (cell as usize).checked_sub(1).and_then(|at| self.sieves.get(at)) else { continue };
            for (buffer, sieve) in sieves {
                if *buffer == Buffer::Payload && !view.seam.is_empty() {
                    sieve.search(&self.pool, view.seam, &mut work.found);
                }
                match buffer {
                    Buffer::Payload => sieve.search(&self.pool, view.payload, &mut work.found),
                    _ => view.buffer(*buffer, &mut |bytes| sieve.search(&self.pool, bytes, &mut work.found)),
                }
            }
        }
        for &pattern in work.found.patterns() {
            candidates.extend(self.rules.get(pattern as usize).into_iter().flatten());
        }
    }
}

/// The distinct patterns of a group: the same bytes in another buffer are another.
#[derive(Default)]
struct Patterns {
    pool: Pool,
    rules: Vec<Vec<u32>>,
    known: HashMap<(Buffer, Vec<u8>), u32>,
}

impl Patterns {
    fn add(&mut self, member: &Member) -> Option<(Buffer, Wanted)> {
        let Pattern { buffer, bytes, reach, at_end, first } = member.pattern.as_ref()?;
        let number = *self.known.entry((*buffer, bytes.to_ascii_lowercase())).or_insert_with(|| {
            self.rules.push(Vec::new());
            self.pool.push(bytes)
        });
        if let Some(rules) = self.rules.get_mut(number as usize) {
            rules.push(member.rule);
        }
        Some((*buffer, Wanted { pattern: number, reach: *reach, at_end: *at_end, first: *first }))
    }
}

/// The columns by which shelves tell places apart, with few rows each.
fn places(members: &[Member]) -> Box<[Column]> {
    let keys = [Key::IpProtocol, Key::Protocol, Key::Direction, Key::Source, Key::Destination];
    let mut columns: Vec<Column> = keys
        .iter()
        .filter_map(|&key| {
            // Sets that few rules ask for would make many places and spare little.
            let mut counts: HashMap<&RangeSet<u64>, usize> = HashMap::new();
            for domain in members.iter().flat_map(|member| &member.domains).filter(|domain| domain.0 == key) {
                *counts.entry(&domain.1).or_default() += 1;
            }
            let common = |set: &RangeSet<u64>| counts.get(set).is_some_and(|&count| count * 64 >= members.len());
            let domains: Vec<Vec<(Key, RangeSet<u64>)>> = members
                .iter()
                .map(|member| member.domains.iter().filter(|(of, set)| *of == key && common(set)).cloned().collect())
                .collect();
            Column::new(key, domains.iter().map(|domains| -> &Domains { domains }))
        })
        .collect();
    while columns.iter().map(Column::rows).product::<usize>() > PLACES {
        let widest = (0..columns.len()).max_by_key(|&at| columns[at].rows()).unwrap_or(0);
        columns.remove(widest);
    }
    columns.into()
}

/// Makes shelves; the same rules in several cells have the same sieves.
struct Maker<'a> {
    wanted: &'a [(Buffer, Wanted)],
    places: &'a [Column],
    pool: &'a Pool,
    /// By place: the rules for any port that stand with those for ports of receivers.
    guests: Vec<Vec<u64>>,
    known: HashMap<Box<[u64]>, u32>,
    made: Vec<Sieves>,
}

/// What becomes on a shelf of the rules that are guests on the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guests {
    Added,
    Ignored,
    Removed,
}

impl Maker<'_> {
    /// By place: the rules of `on` where they are few; none where they are many.
    fn guests(&self, on: &[u64]) -> Vec<Vec<u64>> {
        let few = |rules: &Vec<u64>| ones(rules).count() <= GUESTS;
        let none = || vec![0; on.len()];
        (0..self.count()).map(|place| Some(self.at(place, on)).filter(few).unwrap_or_else(none)).collect()
    }

    /// Number of places.
    fn count(&self) -> usize {
        self.places.iter().map(Column::rows).product()
    }

    /// Those of the rules that allow a place.
    fn at(&self, place: usize, rules: &[u64]) -> Vec<u64> {
        let (mut rules, mut rest) = (rules.to_vec(), place);
        for column in self.places.iter().rev() {
            and(&mut rules, column.row((rest % column.rows()) as u32));
            rest /= column.rows();
        }
        rules
    }

    /// The shelf of those rules whose bits are `on`.
    fn shelf(&mut self, ports: Option<Column>, on: &[u64], guests: Guests) -> Shelf {
        if on.iter().all(|&word| word == 0) {
            return Shelf::default();
        }
        let mut cells = Vec::new();
        for port in 0..ports.as_ref().map_or(1, Column::rows) {
            let mut of_port = on.to_vec();
            if let Some(ports) = &ports {
                and(&mut of_port, ports.row(port as u32));
            }
            let any = of_port.iter().any(|&word| word != 0);
            for place in 0..self.count() {
                let mut rules = if any { self.at(place, &of_port) } else { of_port.clone() };
                let few = self.guests.get(place).map_or(&[][..], |few| few);
                match guests {
                    Guests::Added => or(&mut rules, few),
                    Guests::Removed if few.iter().any(|&word| word != 0) => rules.fill(0),
                    Guests::Removed | Guests::Ignored => {}
                }
                cells.push(self.sieves(rules));
            }
        }
        Shelf { ports, cells: cells.into() }
    }

    /// Number of the sieves of these rules, from 1; 0 without a rule.
    fn sieves(&mut self, rules: Vec<u64>) -> u32 {
        if rules.iter().all(|&word| word == 0) {
            return 0;
        }
        if let Some(&number) = self.known.get(&*rules) {
            return number;
        }
        let mut wanted: Vec<(Buffer, Wanted)> = ones(&rules).filter_map(|at| self.wanted.get(at).copied()).collect();
        wanted.sort_unstable();
        // A pattern that several rules want is looked for wherever one of them does.
        wanted.dedup_by(|again, it| {
            let same = again.1.pattern == it.1.pattern;
            if same {
                it.1.reach = it.1.reach.max(again.1.reach);
                it.1.at_end &= again.1.at_end;
                it.1.first = it.1.first.filter(|_| it.1.first == again.1.first);
            }
            same
        });
        let buffers = wanted.chunk_by(|a, b| a.0 == b.0);
        let sieves = buffers.map(|same| {
            let patterns: Vec<Wanted> = same.iter().map(|it| it.1).collect();
            (same[0].0, Sieve::new(self.pool, &patterns))
        });
        self.made.push(sieves.collect());
        let number = self.made.len() as u32;
        self.known.insert(rules.into(), number);
        number
    }
}
