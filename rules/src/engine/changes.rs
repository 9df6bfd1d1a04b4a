//! What rules have changed of sets since these were loaded: `dataset: set` and `unset`.
//!
//! A change says whether the value is in the set now, whatever the set was loaded with. So it stays true when rules are
//! loaded anew, be their sets read with the value or without it.

use std::collections::HashMap;
use std::sync::Arc;

use super::dataset::Noted;

/// Changes kept at the most, and bytes of the values among them that are to be saved.
const CAPACITY: usize = 65_536;
const BYTES: usize = 16 << 20;

/// Session, set and value.
type Key = (u32, u64, u64);

/// What became of a value of a set.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Is it in the set now?
    pub(super) is_in: bool,
    /// The later the higher.
    revision: u64,
    /// The value itself, when it was added to a set that is saved.
    pub(super) bytes: Option<Arc<[u8]>>,
}

impl Change {
    fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }
}

/// The changes, bounded: when they are too many, the oldest go, and their values are in their sets again as these were
/// loaded.
#[derive(Debug)]
pub(super) struct Changes {
    changes: HashMap<Key, Change, foldhash::fast::RandomState>,
    bytes: usize,
    capacity: usize,
    /// Goes up with every change.
    revision: u64,
    pub(super) evicted: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Self { changes: HashMap::default(), bytes: 0, capacity: CAPACITY, revision: 0, evicted: 0 }
    }
}

impl Changes {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Is the value that a match noted in the set now?
    pub(super) fn has(&self, session: u32, set: u64, noted: &Noted) -> bool {
        self.changes.get(&(session, set, noted.value)).map_or(noted.loaded, |change| change.is_in)
    }

    /// From now on it is, or is not.
    pub(super) fn put(&mut self, session: u32, set: u64, noted: &Noted, is_in: bool) {
        self.revision += 1;
        let change = Change { is_in, revision: self.revision, bytes: noted.bytes.clone() };
        let key = (session, set, noted.value);
        self.bytes -= self.changes.remove(&key).map_or(0, |known| known.len());
        while !self.changes.is_empty() && (self.changes.len() >= self.capacity || self.bytes + change.len() > BYTES) {
            self.make_room();
        }
        self.bytes += change.len();
        self.changes.insert(key, change);
    }

    /// Forgets the oldest eighth.
    fn make_room(&mut self) {
        let before = self.changes.len();
        let mut revisions: Vec<u64> = self.changes.values().map(|change| change.revision).collect();
        let (_, &mut limit, _) = revisions.select_nth_unstable(before / 8);
        self.changes.retain(|_, change| change.revision > limit);
        self.bytes = self.changes.values().map(Change::len).sum();
        self.evicted += (before - self.changes.len()) as u64;
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn copy(&self) -> SetChanges {
        SetChanges { changes: self.changes.iter().map(|(key, change)| (*key, change.clone())).collect() }
    }
}

/// What rules had changed of sets at a moment.
#[derive(Debug, Clone, Default)]
pub struct SetChanges {
    changes: Vec<(Key, Change)>,
}

impl SetChanges {
    /// What became of the values of a set. Of several sessions that changed the same one, the last says it.
    pub(super) fn of(&self, set: u64) -> HashMap<u64, &Change> {
        let mut changes: Vec<_> = self.changes.iter().filter(|(key, _)| key.1 == set).collect();
        changes.sort_unstable_by_key(|((session, ..), _)| *session);
        changes.into_iter().map(|((.., value), change)| (*value, change)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(value: u64, loaded: bool, bytes: usize) -> Noted {
        Noted { step: 0, value, loaded, bytes: Some(vec![0; bytes].into()) }
    }

    #[test]
    fn a_change_holds_whatever_the_set_is_loaded_with_later() {
        let mut changes = Changes::default();
        changes.put(0, 1, &noted(5, false, 3), true);
        assert!(changes.has(0, 1, &noted(5, false, 3)) && changes.has(0, 1, &noted(5, true, 3)));
        changes.put(0, 1, &noted(5, true, 3), false);
        assert!(!changes.has(0, 1, &noted(5, false, 3)) && !changes.has(0, 1, &noted(5, true, 3)));
        assert!(!changes.has(0, 2, &noted(5, false, 3)) && changes.has(1, 1, &noted(5, true, 3)), "of others nothing");
    }

    #[test]
    fn too_many_changes_cost_the_oldest_and_are_counted() {
        let mut changes = Changes { capacity: 16, ..Changes::default() };
        (0..64).for_each(|value| changes.put(0, 1, &noted(value, false, 1), true));
        assert!(changes.len() <= 16 && changes.evicted >= 48, "{} kept, {} evicted", changes.len(), changes.evicted);
        assert!(changes.has(0, 1, &noted(63, false, 1)) && !changes.has(0, 1, &noted(0, false, 1)));
        assert_eq!(changes.bytes, changes.len());
    }

    #[test]
    fn values_that_are_to_be_saved_have_a_bound_in_bytes() {
        let mut changes = Changes::default();
        (0..64).for_each(|value| changes.put(0, 1, &noted(value, false, BYTES / 8), true));
        assert!(
            changes.bytes <= BYTES && changes.evicted >= 56,
            "{} bytes, {} evicted",
            changes.bytes,
            changes.evicted
        );
        assert!(changes.has(0, 1, &noted(63, false, 1)));
    }

    #[test]
    fn of_several_sessions_the_last_one_that_changed_a_value_says_whether_it_is_in() {
        let mut changes = Changes::default();
        for (session, value, is_in) in [(2, 5, false), (1, 5, true), (1, 6, true)] {
            changes.put(session, 1, &noted(value, false, 1), is_in);
        }
        let of = changes.copy();
        let of = of.of(1);
        assert_eq!([5, 6].map(|value| of[&value].is_in), [false, true]);
    }
}
