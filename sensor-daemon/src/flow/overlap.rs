//! Bytes that came out of order, kept sorted and without overlap: what TCP reassembly and IP defragmentation share.

use serde::{Deserialize, Serialize};

/// Which bytes count when two segments or fragments give different ones for the same place. Endpoints differ here, and
/// an attacker who knows how a station decides can show the sensor one thing and the station another: so set what the
/// protected stations do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OverlapPolicy {
    /// What came first stands.
    First,
    /// What came last stands.
    Last,
    /// What came first stands, unless the later one begins before it (BSD and most embedded stacks descended from it).
    #[default]
    Bsd,
    /// As `bsd`; and the later one also stands when both begin at the same place and it reaches further.
    Linux,
    /// What came first stands, unless the later one begins before it and ends after it.
    Windows,
}

impl OverlapPolicy {
    /// Do the bytes of `new` replace those of `old`, which came before it? Both as start and end.
    fn replaces(self, old: (u64, u64), new: (u64, u64)) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Bsd => new.0 < old.0,
            Self::Linux => new.0 < old.0 || (new.0 == old.0 && new.1 > old.1),
            Self::Windows => new.0 < old.0 && new.1 > old.1,
        }
    }
}

/// What [`Pieces::insert`] met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Met {
    /// Some of the bytes were there already.
    pub(crate) overlap: bool,
    /// And they were others.
    pub(crate) different: bool,
}

/// Byte buffers to use again, so that reordering costs no allocation once warm.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    /// Buffers kept, and the largest capacity worth keeping: 256 × 2 KiB at the most.
    const KEPT: usize = 256;
    const LARGEST: usize = 2048;

    /// A buffer with these bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.free.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        if self.free.len() < Self::KEPT && buffer.capacity() <= Self::LARGEST {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

/// Consecutive bytes and where they stand.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Position of the first byte.
    pub(crate) start: u64,
    /// The bytes; never empty.
    pub(crate) bytes: Vec<u8>,
}

impl Piece {
    /// Position after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// Pieces sorted by position, none overlapping another.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    list: std::collections::VecDeque<Piece>,
    bytes: usize,
}

impl Pieces {
    /// Bytes kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pieces kept.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Nothing kept?
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Memory held, with what a piece itself costs.
    pub(crate) fn footprint(&self) -> usize {
        self.bytes + self.list.len() * (size_of::<Piece>() + 16)
    }

    /// The first piece.
    pub(crate) fn first(&self) -> Option<&Piece> {
        self.list.front()
    }

    /// The last piece.
    pub(crate) fn last(&self) -> Option<&Piece> {
        self.list.back()
    }

    /// All pieces, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.list.iter()
    }

    /// Takes the first piece out.
    pub(crate) fn pop(&mut self) -> Option<Piece> {
        let piece = self.list.pop_front()?;
        self.bytes -= piece.bytes.len();
        Some(piece)
    }

    /// Empties it.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.bytes = 0;
        for piece in self.list.drain(..) {
            pool.put(piece.bytes);
        }
    }

    /// Puts `data` at `start`. Where it overlaps what is there, `policy` decides.
    pub(crate) fn insert(&mut self, start: u64, data: &[u8], policy: OverlapPolicy, pool: &mut Pool) -> Met {
        let end = start + data.len() as u64;
        let mut met = Met::default();
        let mut cursor = start;
        let mut index = self.list.partition_point(|piece| piece.end() <= start);
        while cursor < end {
            let Some(old) = self.list.get_mut(index).filter(|old| old.start < end) else { break };
            if cursor < old.start {
                let until = old.start;
                self.add(index, cursor, part(data, start, cursor, until), pool);
                cursor = until;
                index += 1;
                continue;
            }
            let until = end.min(old.end());
            let new = part(data, start, cursor, until);
            let extent = (old.start, old.end());
            let from = (cursor - old.start) as usize;
            if let Some(bytes) = old.bytes.get_mut(from..from + new.len()) {
                met.overlap = true;
                met.different |= bytes != new;
                if policy.replaces(extent, (start, end)) {
                    bytes.copy_from_slice(new);
                }
            }
            cursor = until;
            index += 1;
        }
        if cursor < end {
            self.add(index, cursor, part(data, start, cursor, end), pool);
        }
        met
    }

    fn add(&mut self, index: usize, start: u64, bytes: &[u8], pool: &mut Pool) {
        self.bytes += bytes.len();
        self.list.insert(index, Piece { start, bytes: pool.copy(bytes) });
    }
}

/// The part of `data`, which stands at `start`, from position `from` to `until`.
fn part(data: &[u8], start: u64, from: u64, until: u64) -> &[u8] {
    data.get((from - start) as usize..(until - start) as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(pieces: &Pieces) -> Vec<(u64, Vec<u8>)> {
        pieces.iter().map(|piece| (piece.start, piece.bytes.clone())).collect()
    }

    /// What stands after `old` and then `new` under a policy, as text.
    fn resolve(policy: OverlapPolicy, old: (u64, &str), new: (u64, &str)) -> String {
        let (mut pieces, mut pool) = (Pieces::default(), Pool::default());
        pieces.insert(old.0, old.1.as_bytes(), policy, &mut pool);
        let met = pieces.insert(new.0, new.1.as_bytes(), policy, &mut pool);
        assert!(met.overlap && met.different);
        pieces.iter().map(|piece| String::from_utf8(piece.bytes.clone()).unwrap()).collect()
    }

    #[test]
    fn policies_differ_as_documented() {
        use OverlapPolicy::*;
        let cases = [
            // old and new, then what stands under first, last, bsd, linux, windows
            ((2, "oooo"), (4, "nnnn"), ["oooonn", "oonnnn", "oooonn", "oooonn", "oooonn"]),
            ((2, "oooo"), (0, "nnnn"), ["nnoooo", "nnnnoo", "nnnnoo", "nnnnoo", "nnoooo"]),
            ((2, "oo"), (0, "nnnnnn"), ["nnoonn", "nnnnnn", "nnnnnn", "nnnnnn", "nnnnnn"]),
            ((2, "oo"), (2, "nnnn"), ["oonn", "nnnn", "oonn", "nnnn", "oonn"]),
            ((2, "oooo"), (3, "nn"), ["oooo", "onno", "oooo", "oooo", "oooo"]),
        ];
        for (old, new, expected) in cases {
            for (policy, expected) in [First, Last, Bsd, Linux, Windows].into_iter().zip(expected) {
                assert_eq!(resolve(policy, old, new), expected, "{policy:?} {old:?} {new:?}");
            }
        }
    }

    #[test]
    fn a_segment_over_several_pieces_fills_the_holes_between() {
        let (mut pieces, mut pool) = (Pieces::default(), Pool::default());
        pieces.insert(10, b"aa", OverlapPolicy::First, &mut pool);
        pieces.insert(14, b"bb", OverlapPolicy::First, &mut pool);
        let met = pieces.insert(9, b"xaaxxbbx", OverlapPolicy::First, &mut pool);
        assert_eq!(met, Met { overlap: true, different: false });
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        assert_eq!(joined, b"xaaxxbbx");
        assert_eq!(pieces.bytes(), 8);
    }

    proptest! {
        /// Against a byte map: the first or the last writer of each byte wins.
        #[test]
        fn first_and_last_agree_with_a_byte_map(
            writes in proptest::collection::vec((0u64..60, proptest::collection::vec(any::<u8>(), 1..20)), 1..20),
            last in any::<bool>(),
        ) {
            let policy = if last { OverlapPolicy::Last } else { OverlapPolicy::First };
            let (mut pieces, mut pool) = (Pieces::default(), Pool::default());
            let mut model = std::collections::BTreeMap::new();
            for (start, data) in &writes {
                pieces.insert(*start, data, policy, &mut pool);
                for (at, byte) in (*start..).zip(data) {
                    if last { model.insert(at, *byte); } else { model.entry(at).or_insert(*byte); }
                }
            }
            let got: Vec<(u64, u8)> = flat(&pieces).into_iter().flat_map(|(start, bytes)| (start..).zip(bytes)).collect();
            prop_assert_eq!(got, model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(pieces.bytes(), flat(&pieces).iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
        }
    }
}
