//! A number line cut into segments, each with a number: which rules allow a value, or what no rule tells from it.

use std::collections::HashMap;

/// What values are of. It decides how the segment of one is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// IPv4 addresses, and [`V6`].
    Address,
    /// Ports.
    Port,
    /// Anything else: mostly small values.
    Other,
}

/// What stands for every IPv6 address among addresses.
pub(super) const V6: u64 = 1 << 32;

/// Values below this are looked up, not looked for, on every line.
pub(super) const SMALL: u64 = PAGE as u64;

/// For each value, the number of its segment; 0 on a line that is not cut.
#[derive(Default)]
pub(super) struct Line {
    /// First value of each segment; the first is 0.
    starts: Box<[u64]>,
    /// Number of each segment.
    numbers: Box<[u32]>,
    /// Of addresses: by their upper bits, how many segments begin below them.
    blocks: Box<[u32]>,
    /// Number of each small value, so that the segment need not be looked for.
    small: Small,
}

/// Numbers of the values from 0 on, by pages of 256 of which equal ones are kept once: those of all ports so take no more than the
/// processor's nearest cache has room for.
#[derive(Default)]
struct Small {
    /// By the upper bits of a value: where its page begins; the first at 0.
    pages: Box<[u32]>,
    numbers: Box<[u32]>,
}

const PAGE: usize = 256;

/// Addresses by their upper bits: in blocks of a million.
const BLOCK_BITS: u32 = 20;
/// Segments of so few addresses that one is found among them all as fast as in its block.
const FEW_ADDRESSES: usize = 4;
/// Segments of so few ports.
const FEW_PORTS: usize = 8;

impl Small {
    fn new(values: impl Iterator<Item = u32>) -> Self {
        let values: Vec<u32> = values.collect();
        let mut known: HashMap<&[u32], u32> = HashMap::new();
        let mut numbers = Vec::new();
        let pages = values.chunks_exact(PAGE).map(|page| {
            *known.entry(page).or_insert_with(|| {
                numbers.extend_from_slice(page);
                (numbers.len() - PAGE) as u32
            })
        });
        Self { pages: pages.collect(), numbers: numbers.into() }
    }

    #[inline]
    fn get(&self, value: u64) -> Option<u32> {
        if value < SMALL {
            return self.numbers.get(value as usize).copied();
        }
        let page = self.pages.get(usize::try_from(value / SMALL).ok()?)?;
        self.numbers.get(*page as usize + (value % SMALL) as usize).copied()
    }
}

impl Line {
    /// The line on which segments begin at these values, ascending from 0, and have these numbers.
    pub(super) fn new(kind: Kind, starts: Vec<u64>, numbers: Vec<u32>) -> Self {
        let ports = kind == Kind::Port && starts.len() > FEW_PORTS;
        let mut segment = 0;
        let small = (0..if ports { 256 * SMALL } else { SMALL }).map(|value| {
            segment += usize::from(starts.get(segment + 1).is_some_and(|&next| next <= value));
            numbers[segment]
        });
        let small = Small::new(small);
        let addresses = kind == Kind::Address && starts.len() > FEW_ADDRESSES;
        let below = |block: u64| starts.partition_point(|&start| start < block << BLOCK_BITS) as u32;
        let blocks = (0..=V6 >> BLOCK_BITS).filter(|_| addresses).map(below).collect();
        Self { starts: starts.into(), numbers: numbers.into(), blocks, small }
    }

    /// The line that tells apart what any of these does. Its numbers count the kinds of values from 0.
    pub(super) fn union(kind: Kind, lines: &[&Self]) -> Self {
        let mut edges: Vec<u64> = lines.iter().flat_map(|line| &line.starts).copied().chain([0]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        let (mut starts, mut numbers) = (Vec::new(), Vec::new());
        for start in edges {
            let fresh = known.len() as u32;
            let number = *known.entry(lines.iter().map(|line| line.at(start)).collect()).or_insert(fresh);
            if numbers.last() != Some(&number) {
                starts.push(start);
                numbers.push(number);
            }
        }
        Self::new(kind, starts, numbers)
    }

    /// The number of a value's segment.
    #[inline]
    pub(super) fn at(&self, value: u64) -> u32 {
        if let Some(number) = self.small.get(value) {
            return number;
        }
        let block = (value >> BLOCK_BITS) as usize;
        let (from, to) = match (self.blocks.get(block), self.blocks.get(block + 1)) {
            (Some(&from), Some(&to)) => (from as usize, to as usize),
            _ => (0, self.starts.len()),
        };
        let within = self.starts.get(from..to).unwrap_or_default();
        let segment = (from + within.partition_point(|&start| start <= value)).saturating_sub(1);
        self.numbers.get(segment).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_number_of_its_segment_on_a_line_of_every_kind() {
        for kind in [Kind::Address, Kind::Port, Kind::Other] {
            let starts: Vec<u64> = (0..20).map(|at| at * at * at * 7).collect();
            let line = Line::new(kind, starts.clone(), (0..20).collect());
            for (number, &start) in starts.iter().enumerate() {
                assert_eq!(line.at(start), number as u32, "{kind:?} {start}");
                assert_eq!(line.at(start + 1), number as u32, "{kind:?} {start} and one");
            }
            assert_eq!(line.at(V6), 19);
        }
    }

    #[test]
    fn a_union_tells_apart_what_any_of_its_lines_does_and_no_more() {
        let ports = Line::new(Kind::Port, vec![0, 80, 81], vec![0, 1, 0]);
        let others = Line::new(Kind::Port, vec![0, 80, 443, 444], vec![3, 5, 4, 5]);
        let union = Line::union(Kind::Port, &[&ports, &others]);
        let number = |value| union.at(value);
        assert_eq!([0, 79, 80, 81, 443, 444, 65535].map(number), [0, 0, 1, 2, 3, 2, 2]);
    }
}
