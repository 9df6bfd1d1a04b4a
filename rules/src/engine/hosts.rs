//! `xbits` and `hostbits`: marks on hosts and on pairs of hosts, across flows. A value that stands in a set is marked in the
//! same way; what rules change of that is kept by `changes.rs`.
//!
//! Flows of one host meet different workers, so no worker can answer for its marks. A rule that asks for them is matched
//! in every other respect by the worker, and the gate, which sees the matches of all workers in packet order, has the last
//! word: what is reported does not depend on the number of workers.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::Timestamp;

use super::changes::Changes;
use super::dataset::Noted;
use super::gate::Match;

/// Whose mark it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Source,
    Destination,
    /// The pair of hosts, whichever sends.
    Pair,
    /// The value that this use of a set noted: what is marked is whether it is in there.
    Value(usize),
}

/// What is done with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Set for so many seconds.
    Set(u32),
    Unset,
    Toggle(u32),
    /// The rule matches only when it is (or is not) set.
    Is(bool),
    /// Puts the value into its set; the rule matches only when it was not in it.
    Add,
    /// Takes the value out of its set; the rule matches only when it was in it.
    Remove,
}

/// One use of a mark in a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostBit {
    pub(crate) name: u64,
    pub(crate) owner: Owner,
    pub(crate) mark: Mark,
}

/// All of a rule.
pub(crate) type HostBits = Vec<HostBit>;

/// Marks that a table was not told another bound for.
const CAPACITY: usize = 65_536;

/// Session, mark and owner.
type Key = (u32, u64, Whose);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Host(IpAddr),
    Pair(IpAddr, IpAddr),
}

/// The marks set now, until when, and what is in sets. Bounded: when the table of marks is full, what expired goes first, then
/// what expires first.
#[derive(Debug)]
pub(super) struct Hosts {
    marks: HashMap<Key, Timestamp, foldhash::fast::RandomState>,
    pub(super) sets: Changes,
    /// Marks of other sessions are none of this one's.
    pub(super) session: u32,
    capacity: usize,
    pub(super) evicted: u64,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { marks: HashMap::default(), sets: Changes::default(), session: 0, capacity: CAPACITY, evicted: 0 }
    }
}

impl Hosts {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Do the marks of a match allow it? If so, it leaves its own.
    pub(super) fn admit(&mut self, bits: &[HostBit], found: &Match) -> bool {
        let allowed = bits.iter().all(|bit| {
            let is_set = || self.is_set(bit, found);
            match bit.mark {
                // Of a value that was not noted the worker knew what it had to.
                Mark::Is(wanted) => is_set().is_none_or(|is_set| is_set == wanted),
                Mark::Add => is_set() != Some(true),
                Mark::Remove => is_set() != Some(false),
                Mark::Set(_) | Mark::Unset | Mark::Toggle(_) => true,
            }
        });
        if allowed {
            bits.iter().for_each(|bit| self.mark(bit, found));
        }
        allowed
    }

    /// Does the mark stand? `None` for a value that was not noted.
    fn is_set(&self, bit: &HostBit, found: &Match) -> Option<bool> {
        match whose(bit.owner, found) {
            Some(whose) => Some(self.is_marked(&(self.session, bit.name, whose), found.timestamp)),
            None => Some(self.sets.has(self.session, bit.name, value(bit.owner, found)?)),
        }
    }

    fn is_marked(&self, key: &Key, now: Timestamp) -> bool {
        self.marks.get(key).is_some_and(|until| now <= *until)
    }

    fn mark(&mut self, bit: &HostBit, found: &Match) {
        let now = found.timestamp;
        match (bit.mark, whose(bit.owner, found).map(|whose| (self.session, bit.name, whose))) {
            (Mark::Set(seconds), Some(key)) => self.set(key, seconds, now),
            (Mark::Toggle(seconds), Some(key)) if !self.is_marked(&key, now) => self.set(key, seconds, now),
            (Mark::Unset | Mark::Toggle(_), Some(key)) => drop(self.marks.remove(&key)),
            (mark @ (Mark::Add | Mark::Remove), None) => {
                if let Some(noted) = value(bit.owner, found) {
                    self.sets.put(self.session, bit.name, noted, mark == Mark::Add);
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, key: Key, seconds: u32, now: Timestamp) {
        if self.marks.len() >= self.capacity && !self.marks.contains_key(&key) {
            self.make_room(now);
        }
        let until = Timestamp(now.0.saturating_add(u64::from(seconds) * 1_000_000_000));
        self.marks.insert(key, until);
    }

    fn make_room(&mut self, now: Timestamp) {
        let before = self.marks.len();
        self.marks.retain(|_, until| now <= *until);
        if self.marks.len() < before {
            return;
        }
        let mut ends: Vec<Timestamp> = self.marks.values().copied().collect();
        let eighth = ends.len() / 8;
        let (_, &mut limit, _) = ends.select_nth_unstable(eighth);
        self.marks.retain(|_, until| *until > limit);
        self.evicted += (before - self.marks.len()) as u64;
    }
}

/// The hosts that an owner stands for, if it does for hosts.
fn whose(owner: Owner, found: &Match) -> Option<Whose> {
    let (source, destination) = (found.source.0, found.destination.0);
    match owner {
        Owner::Source => Some(Whose::Host(source)),
        Owner::Destination => Some(Whose::Host(destination)),
        Owner::Pair => Some(Whose::Pair(source.min(destination), source.max(destination))),
        Owner::Value(_) => None,
    }
}

/// The value that an owner stands for, if the match noted it.
fn value(owner: Owner, found: &Match) -> Option<&Noted> {
    let Owner::Value(step) = owner else { return None };
    found.noted.iter().find(|noted| noted.step == step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    fn found(source: IpAddr, destination: IpAddr, timestamp: Timestamp) -> Match {
        Match { source: (source, 1), destination: (destination, 2), timestamp, noted: Box::default() }
    }

    fn bit(owner: Owner, mark: Mark) -> [HostBit; 1] {
        [HostBit { name: 1, owner, mark }]
    }

    #[test]
    fn a_mark_is_its_owners_until_it_expires() {
        let mut hosts = Hosts::default();
        assert!(hosts.admit(&bit(Owner::Source, Mark::Set(30)), &found(A, B, at(0))));
        assert!(hosts.admit(&bit(Owner::Source, Mark::Is(true)), &found(A, B, at(30))));
        assert!(hosts.admit(&bit(Owner::Destination, Mark::Is(true)), &found(B, A, at(30))));
        assert!(!hosts.admit(&bit(Owner::Source, Mark::Is(true)), &found(B, A, at(30))));
        assert!(!hosts.admit(&bit(Owner::Source, Mark::Is(true)), &found(A, B, at(31))));
    }

    #[test]
    fn a_pair_has_no_direction_and_is_not_its_members() {
        let mut hosts = Hosts::default();
        assert!(hosts.admit(&bit(Owner::Pair, Mark::Set(30)), &found(A, B, at(0))));
        assert!(hosts.admit(&bit(Owner::Pair, Mark::Is(true)), &found(B, A, at(1))));
        assert!(hosts.admit(&bit(Owner::Source, Mark::Is(false)), &found(A, B, at(1))));
        assert!(hosts.admit(&bit(Owner::Pair, Mark::Unset), &found(B, A, at(2))));
        assert!(hosts.admit(&bit(Owner::Pair, Mark::Is(false)), &found(A, B, at(2))));
    }

    #[test]
    fn a_match_that_is_refused_leaves_no_mark() {
        let mut hosts = Hosts::default();
        let bits = [
            HostBit { name: 1, owner: Owner::Source, mark: Mark::Is(true) },
            HostBit { name: 2, owner: Owner::Source, mark: Mark::Set(9) },
        ];
        assert!(!hosts.admit(&bits, &found(A, B, at(0))));
        assert_eq!(hosts.len(), 0);
    }

    fn noted(step: usize, value: u64, loaded: bool) -> Noted {
        Noted { step, value, loaded, bytes: None }
    }

    #[test]
    fn a_value_is_new_once_and_out_when_it_is_taken() {
        let mut hosts = Hosts::default();
        let mut admit = |mark, value, loaded| {
            let noted = [noted(0, value, loaded)].into();
            hosts.admit(&bit(Owner::Value(0), mark), &Match { noted, ..found(A, B, at(0)) })
        };
        let mut new = |mark, value| admit(mark, value, false);
        assert!(new(Mark::Is(false), 6) && new(Mark::Add, 6) && !new(Mark::Add, 6) && new(Mark::Add, 8));
        assert!(new(Mark::Is(true), 6) && new(Mark::Remove, 6) && !new(Mark::Remove, 6) && !new(Mark::Is(true), 6));
        let mut known = |mark| admit(mark, 7, true);
        assert!(known(Mark::Is(true)) && !known(Mark::Add) && known(Mark::Remove) && !known(Mark::Remove));
        assert!(known(Mark::Is(false)) && known(Mark::Add) && !known(Mark::Add) && known(Mark::Is(true)));
    }

    #[test]
    fn each_use_of_a_set_asks_for_its_own_value_and_none_where_the_worker_knew() {
        let mut hosts = Hosts::default();
        let one = |name, step, mark| HostBit { name, owner: Owner::Value(step), mark };
        let bits = [one(1, 0, Mark::Is(true)), one(2, 1, Mark::Is(true)), one(3, 2, Mark::Add)];
        let mut admit = |noted: &[Noted]| hosts.admit(&bits, &Match { noted: noted.into(), ..found(A, B, at(0)) });
        assert!(!admit(&[noted(1, 5, false), noted(2, 6, false)]), "5 is not in set 2");
        assert!(admit(&[noted(1, 5, true), noted(2, 6, false)]) && !admit(&[noted(2, 6, false)]), "6 is in set 3 now");
    }

    #[test]
    fn a_full_table_gives_up_what_expires_first_and_counts_it() {
        let mut hosts = Hosts { capacity: 16, ..Hosts::default() };
        for host in 0..64u32 {
            let source = IpAddr::V4(host.into());
            hosts.admit(&bit(Owner::Source, Mark::Set(3600)), &found(source, B, at(host.into())));
        }
        assert!(hosts.len() <= 16 && hosts.evicted >= 48, "{} kept, {} evicted", hosts.len(), hosts.evicted);
    }
}
