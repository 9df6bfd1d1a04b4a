//! Where a flow stands in the slab, by the hash of its key.
//!
//! Open addressing with linear probing, in 256 shards that grow on their own: with a million flows a shard that doubles
//! moves four thousand entries of eight bytes, some tens of microseconds, and touches no flow, because an entry carries
//! the hash bits it needs. One table for all would stop the worker for tens of milliseconds instead.

use std::hash::{BuildHasher, Hasher};

use super::key::Tuple;

/// Hash of a flow's addresses, ports and protocol. Keyed per process, so that nobody can aim for collisions; nothing
/// that is visible outside depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(u64);

impl Hash {
    fn shard(self) -> usize {
        (self.0 >> 56) as usize
    }

    fn tag(self) -> u32 {
        self.0 as u32
    }
}

const SHARDS: usize = 256;

/// Hash to slot; several slots may share a hash.
pub(super) struct Index {
    shards: Vec<Shard>,
    seed: foldhash::quality::RandomState,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), seed: Default::default() }
    }

    #[inline]
    pub(super) fn hash(&self, tuple: &Tuple) -> Hash {
        let mut hasher = self.seed.build_hasher();
        tuple.hash(|word| hasher.write_u64(word));
        Hash(hasher.finish())
    }

    /// Slots that were inserted with this hash (or, one in four thousand million, with one alike).
    pub(super) fn candidates(&self, hash: Hash) -> impl Iterator<Item = u32> {
        self.shards[hash.shard()].candidates(hash.tag())
    }

    pub(super) fn insert(&mut self, hash: Hash, slot: u32) {
        self.shards[hash.shard()].insert(hash.tag(), slot);
    }

    pub(super) fn remove(&mut self, hash: Hash, slot: u32) {
        self.shards[hash.shard()].remove(hash.tag(), slot);
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.entries.capacity() * size_of::<u64>() + size_of::<Shard>()).sum()
    }
}

/// Entries: tag in the upper half, slot + 1 in the lower; 0 is vacant.
#[derive(Default)]
struct Shard {
    entries: Vec<u64>,
    used: usize,
}

fn entry(tag: u32, slot: u32) -> u64 {
    u64::from(tag) << 32 | (u64::from(slot) + 1)
}

impl Shard {
    fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    fn home(&self, entry: u64) -> usize {
        (entry >> 32) as usize & self.mask()
    }

    fn candidates(&self, tag: u32) -> impl Iterator<Item = u32> {
        let mask = self.mask();
        let mut at = tag as usize;
        std::iter::from_fn(move || {
            loop {
                let found = *self.entries.get(at & mask)?;
                at += 1;
                if found == 0 {
                    return None;
                }
                if (found >> 32) as u32 == tag {
                    return Some(found as u32 - 1);
                }
            }
        })
    }

    fn insert(&mut self, tag: u32, slot: u32) {
        if (self.used + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.used += 1;
        self.put(entry(tag, slot));
    }

    fn put(&mut self, new: u64) {
        let mask = self.mask();
        let mut at = self.home(new);
        while self.entries[at] != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = new;
    }

    fn grow(&mut self) {
        let larger = vec![0; (self.entries.len() * 2).max(16)];
        for old in std::mem::replace(&mut self.entries, larger) {
            if old != 0 {
                self.put(old);
            }
        }
    }

    /// Removes an entry and closes the run behind it, so that no tombstones are needed.
    fn remove(&mut self, tag: u32, slot: u32) {
        if self.entries.is_empty() {
            return;
        }
        let (mask, gone) = (self.mask(), entry(tag, slot));
        let mut hole = self.home(gone);
        while self.entries[hole] != gone {
            if self.entries[hole] == 0 {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let next = self.entries[at];
            if next == 0 {
                break;
            }
            // It may move into the hole if its home is not after the hole (counted round the end).
            let distance = at.wrapping_sub(self.home(next)) & mask;
            if distance >= at.wrapping_sub(hole) & mask {
                self.entries[hole] = next;
                hole = at;
            }
        }
        self.entries[hole] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few distinct tags and few entries: long runs, wrap-around, equal tags.
        #[test]
        fn a_shard_agrees_with_a_set(steps in proptest::collection::vec((any::<bool>(), 0u32..24, 0u32..8), 1..200)) {
            let mut shard = Shard::default();
            let mut model = std::collections::BTreeSet::new();
            for (add, tag, slot) in steps {
                if add {
                    if model.insert((tag, slot)) { shard.insert(tag, slot); }
                } else {
                    model.remove(&(tag, slot));
                    shard.remove(tag, slot);
                }
                prop_assert_eq!(shard.used, model.len());
            }
            for tag in 0..24 {
                let mut found: Vec<u32> = shard.candidates(tag).collect();
                found.sort_unstable();
                let expected: Vec<u32> = model.iter().filter(|(t, _)| *t == tag).map(|(_, s)| *s).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
