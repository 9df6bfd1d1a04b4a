//! The rules of a group by the value of one exact key: a bit a rule.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::packet::Transport;
use vigia_parsers::{Direction, Record, operation};

use super::Moment;
use super::line::{Kind, Line, SMALL, V6};
use super::view::{Key, View, as_number, protocol_number};
use crate::keyword::payload_length;
use crate::language::header::AddressSet;
use crate::language::set::RangeSet;

/// What a rule needs of keys.
pub(super) type Domains = [(Key, RangeSet<u64>)];

/// For each value of a key, the rules which allow it. Values with the same rules share a row.
pub(super) struct Column {
    key: Key,
    words: usize,
    /// Number of rows.
    count: usize,
    /// Row of each value.
    line: Line,
    rows: Box<[u64]>,
    /// Of up to 64 rules: what small values leave of them.
    few: Box<[u64]>,
    /// The row of the rules that do not ask for the key: what remains when it has no value.
    indifferent: u32,
    /// The rules that ask for it.
    asking: Box<[u64]>,
}

/// What decides the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The message alone.
    Record,
    /// The packet.
    Packet,
    /// The flow and the direction: all its packets have the same.
    Flow,
}

impl Column {
    /// The column of `key` for rules with these domains; `None` when no rule asks for the key.
    pub(super) fn new<'m>(key: Key, rules: impl ExactSizeIterator<Item = &'m Domains>) -> Option<Self> {
        let (count, words) = (rules.len(), rules.len().div_ceil(64));
        let mut row = vec![0u64; words];
        let mut edges = Vec::new();
        for (at, domains) in rules.enumerate() {
            let mut sets = domains.iter().filter(|domain| domain.0 == key).map(|domain| domain.1.clone());
            let Some(first) = sets.next() else {
                set(&mut row, at);
                continue;
            };
            // A rule may constrain a key more than once: all must hold. Of a field's values each may be what another
            // condition asks for, so there the first one counts.
            let allowed = match key {
                Key::Field(_) => first,
                _ => sets.fold(first, |a, b| a.intersection(&b)),
            };
            for &(low, high) in allowed.ranges() {
                edges.push((low, at));
                edges.extend(high.checked_add(1).map(|after| (after, at)));
            }
        }
        if edges.is_empty() && row.iter().map(|word| word.count_ones()).sum::<u32>() > 0 {
            return None;
        }
        edges.sort_unstable();
        let asking = all(count).iter().zip(&row).map(|(all, indifferent)| all & !indifferent).collect();
        let mut rows = Rows::default();
        let indifferent = rows.number(&row);
        let (mut starts, mut segments) = (vec![0], vec![indifferent]);
        for same in edges.chunk_by(|a, b| a.0 == b.0) {
            for edge in same {
                flip(&mut row, edge.1);
            }
            let (start, number) = (same[0].0, rows.number(&row));
            if start == 0 {
                segments[0] = number;
            } else if segments.last() != Some(&number) {
                starts.push(start);
                segments.push(number);
            }
        }
        let line = Line::new(kind(key), starts, segments);
        let few = (0..SMALL).filter(|_| words == 1).filter_map(|value| rows.words.get(line.at(value) as usize));
        let few = few.copied().collect();
        Some(Self { key, words, count: rows.numbers.len(), line, few, rows: rows.words.into(), indifferent, asking })
    }

    /// What its values are of.
    pub(super) fn source(&self) -> Source {
        match self.key {
            Key::Field(_) => Source::Record,
            Key::TcpFlags | Key::IcmpType | Key::PayloadLength => Source::Packet,
            _ => Source::Flow,
        }
    }

    /// Number of distinct rows.
    pub(super) fn rows(&self) -> usize {
        self.count
    }

    /// How many rules ask for the key.
    pub(super) fn askers(&self) -> u32 {
        self.asking.iter().map(|word| word.count_ones()).sum()
    }

    /// Those rules.
    #[inline]
    pub(super) fn asking(&self) -> &[u64] {
        &self.asking
    }

    /// Does any of these rules ask for the key?
    #[inline]
    pub(super) fn is_asked(&self, rules: &[u64]) -> bool {
        rules.iter().zip(&self.asking).any(|(rule, asking)| rule & asking != 0)
    }

    #[inline]
    pub(super) fn row(&self, number: u32) -> &[u64] {
        let from = number as usize * self.words;
        self.rows.get(from..from + self.words).unwrap_or_default()
    }

    /// The row of each value of its key.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// What its values are of.
    pub(super) fn kind(&self) -> Kind {
        kind(self.key)
    }

    /// The row of what is inspected, for keys that have one value there.
    #[inline]
    pub(super) fn find(&self, moment: &Moment<'_>) -> u32 {
        value(self.key, moment).map_or(self.indifferent, |value| self.line.at(value))
    }

    /// Leaves those rules that allow what is inspected.
    pub(super) fn narrow(&self, view: &View<'_>, live: &mut [u64], row: &mut Vec<u64>) {
        let Key::Field(field) = self.key else { return and(live, self.row(self.find(view.moment))) };
        row.clear();
        row.extend_from_slice(self.row(self.indifferent));
        view.visit(field, &mut |value| {
            if let Some(value) = as_number(value) {
                or(row, self.row(self.line.at(value)));
            }
        });
        and(live, row);
    }

    /// Up to 64 rules are one word: those of them that allow what is inspected.
    #[inline]
    pub(super) fn few(&self, view: &View<'_>) -> u64 {
        match (self.key, view.record) {
            (Key::Field(_), Some(record)) => self.few_of(record),
            _ => self.few_at(view.moment),
        }
    }

    /// The same for a key that has one value at a moment.
    #[inline]
    pub(super) fn few_at(&self, moment: &Moment<'_>) -> u64 {
        self.word(self.find(moment))
    }

    /// The same for a field of a record.
    #[inline]
    pub(super) fn few_of(&self, record: &dyn Record) -> u64 {
        let mut rules = self.word(self.indifferent);
        if let Key::Field(field) = self.key {
            operation::visit_any(record, field, &mut |value| {
                if let Some(value) = as_number(value) {
                    rules |= self.few_with(value);
                }
            });
        }
        rules
    }

    /// Those of up to 64 rules that allow this value.
    #[inline]
    fn few_with(&self, value: u64) -> u64 {
        let small = usize::try_from(value).ok().and_then(|value| self.few.get(value));
        small.copied().unwrap_or_else(|| self.word(self.line.at(value)))
    }

    /// The first word of a row.
    #[inline]
    fn word(&self, row: u32) -> u64 {
        self.rows.get(row as usize * self.words).copied().unwrap_or_default()
    }
}

/// Distinct rows.
#[derive(Default)]
struct Rows {
    numbers: HashMap<Box<[u64]>, u32>,
    words: Vec<u64>,
}

impl Rows {
    fn number(&mut self, row: &[u64]) -> u32 {
        if let Some(&number) = self.numbers.get(row) {
            return number;
        }
        let number = self.numbers.len() as u32;
        self.words.extend_from_slice(row);
        self.numbers.insert(row.into(), number);
        number
    }
}

/// The one value that a key has at a moment; none of a header that is not there.
#[inline]
fn value(key: Key, moment: &Moment<'_>) -> Option<u64> {
    let transport = || moment.packet.map(|packet| packet.transport);
    Some(match key {
        Key::IpProtocol => moment.ip_protocol.into(),
        Key::SourcePort => moment.source.1.into(),
        Key::DestinationPort => moment.destination.1.into(),
        Key::Source => address(moment.source.0),
        Key::Destination => address(moment.destination.0),
        Key::Direction => direction(moment.direction),
        Key::Protocol => protocol_number(moment.protocol),
        Key::TcpFlags => match transport() {
            Some(Transport::Tcp(tcp)) => tcp.flags.into(),
            _ => return None,
        },
        Key::IcmpType => match transport() {
            Some(Transport::Icmp { kind, .. }) => kind.into(),
            _ => return None,
        },
        Key::PayloadLength => payload_length(moment.packet?),
        Key::Field(_) => return None,
    })
}

/// The value of [`Key::Direction`].
pub(crate) fn direction(direction: Option<Direction>) -> u64 {
    direction.map_or(2, |direction| direction.index() as u64)
}

fn kind(key: Key) -> Kind {
    match key {
        Key::Source | Key::Destination => Kind::Address,
        Key::SourcePort | Key::DestinationPort => Kind::Port,
        _ => Kind::Other,
    }
}

/// The other way; of what goes no way, none.
pub(super) fn opposite(direction: u64) -> u64 {
    if direction < 2 { 1 - direction } else { direction }
}

/// Addresses as values of [`Key::Source`] and [`Key::Destination`].
pub(super) fn addresses(set: &AddressSet) -> RangeSet<u64> {
    let v4 = set.v4().ranges().iter().map(|range| (range.0.into(), range.1.into()));
    RangeSet::new(v4.chain(set.has_v6().then_some((V6, V6))).collect())
}

pub(super) fn address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(_) => V6,
    }
}

/// As many bits, all set.
pub(super) fn all(count: usize) -> Box<[u64]> {
    let mut bits = vec![0; count.div_ceil(64)];
    (0..count).for_each(|at| set(&mut bits, at));
    bits.into()
}

pub(super) fn set(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn flip(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word ^= 1 << (at % 64);
    }
}

pub(super) fn and(bits: &mut [u64], other: &[u64]) {
    for (word, other) in bits.iter_mut().zip(other) {
        *word &= other;
    }
}

pub(super) fn or(bits: &mut [u64], other: &[u64]) {
    for (word, other) in bits.iter_mut().zip(other) {
        *word |= other;
    }
}

/// The places of the bits that are set.
pub(super) fn ones(bits: &[u64]) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().flat_map(|(index, &word)| {
        let mut word = word;
        std::iter::from_fn(move || {
            let at = (word != 0).then(|| index * 64 + word.trailing_zeros() as usize)?;
            word &= word - 1;
            Some(at)
        })
    })
}
