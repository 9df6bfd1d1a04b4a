//! `xbits` and `hostbits`: marks on hosts and on pairs of hosts, across flows.
//!
//! Flows of one host meet different workers, so no worker can answer for its marks. A rule that asks for them is matched
//! in every other respect by the worker, and the gate, which sees the matches of all workers in packet order, has the last
//! word: what is reported does not depend on the number of workers.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::Timestamp;

use super::dataset::was_loaded;
use super::gate::Match;

/// Whose mark it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Source,
    Destination,
    /// The pair of hosts, whichever sends.
    Pair,
    /// The value that the rule noted: a mark on it makes it one of a set, or takes it out where the set was loaded with it.
    Value,
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
    /// Puts the value into its set for ever; the rule matches only when it was not in it.
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
    Value(u64),
}

/// The marks set now, until when. Bounded: when it is full, what expired goes first, then what expires first.
#[derive(Debug)]
pub(super) struct Hosts {
    marks: HashMap<Key, Timestamp, foldhash::fast::RandomState>,
    /// Marks of other sessions are none of this one's.
    pub(super) session: u32,
    capacity: usize,
    pub(super) evicted: u64,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { marks: HashMap::default(), session: 0, capacity: CAPACITY, evicted: 0 }
    }
}

impl Hosts {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Do the marks of a match allow it? If so, it leaves its own.
    pub(super) fn admit(&mut self, bits: &[HostBit], found: &Match) -> bool {
        let (source, destination, now) = (found.source.0, found.destination.0, found.timestamp);
        let session = self.session;
        let key = |bit: &HostBit| {
            let whose = match bit.owner {
                Owner::Source => Whose::Host(source),
                Owner::Destination => Whose::Host(destination),
                Owner::Pair => Whose::Pair(source.min(destination), source.max(destination)),
                Owner::Value => Whose::Value(found.value),
            };
            (session, bit.name, whose)
        };
        let is_marked = |hosts: &Self, bit: &HostBit| hosts.marks.get(&key(bit)).is_some_and(|until| now <= *until);
        let loaded = |bit: &HostBit| bit.owner == Owner::Value && was_loaded(found.value);
        let is_set = |hosts: &Self, bit: &HostBit| is_marked(hosts, bit) != loaded(bit);
        // Of a value that was not noted the worker knew what it had to.
        let known = |bit: &HostBit| bit.owner == Owner::Value && found.value == 0;
        let allowed = bits.iter().all(|bit| match bit.mark {
            _ if known(bit) => true,
            Mark::Is(wanted) => is_set(self, bit) == wanted,
            Mark::Add => !is_set(self, bit),
            Mark::Remove => is_set(self, bit),
            _ => true,
        });
        if !allowed {
            return false;
        }
        for bit in bits {
            match bit.mark {
                Mark::Is(_) => {}
                _ if known(bit) => {}
                Mark::Toggle(seconds) if !is_set(self, bit) => self.set(key(bit), seconds, now),
                Mark::Set(seconds) => self.set(key(bit), seconds, now),
                Mark::Add | Mark::Remove if !is_marked(self, bit) => self.set(key(bit), u32::MAX, now),
                Mark::Unset | Mark::Toggle(_) | Mark::Add | Mark::Remove => drop(self.marks.remove(&key(bit))),
            }
        }
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    fn found(source: IpAddr, destination: IpAddr, timestamp: Timestamp) -> Match {
        Match { source: (source, 1), destination: (destination, 2), timestamp, value: 0 }
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

    #[test]
    fn a_value_is_new_once_and_out_when_it_is_taken() {
        let mut hosts = Hosts::default();
        let mut admit = |mark, value| hosts.admit(&bit(Owner::Value, mark), &Match { value, ..found(A, B, at(0)) });
        assert!(admit(Mark::Is(false), 6) && admit(Mark::Add, 6) && !admit(Mark::Add, 6) && admit(Mark::Add, 8));
        assert!(admit(Mark::Is(true), 6) && admit(Mark::Remove, 6) && !admit(Mark::Remove, 6));
        assert!(!admit(Mark::Is(true), 6) && admit(Mark::Is(true), 0));
        // Its set was loaded with this one.
        assert!(admit(Mark::Is(true), 7) && !admit(Mark::Add, 7) && admit(Mark::Remove, 7) && !admit(Mark::Remove, 7));
        assert!(admit(Mark::Is(false), 7) && admit(Mark::Add, 7) && !admit(Mark::Add, 7) && admit(Mark::Is(true), 7));
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
