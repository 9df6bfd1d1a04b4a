//! The ledger of an interface: where its frames went, from its own counter to the workers.
//!
//! ```text
//! received (the interface's count) = tap = ignored + duplicate + shunted + shed + held + delivered
//! delivered                              = read by workers + lost by full rings + in flight
//! ```
//!
//! The three counters stand in three places and are read one after another while frames come. So each is held against a
//! reading of the other from a little earlier, too ([`Looks`]): what is missing stays missing, what was on its way has come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Frames of an interface since the tap was put there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Ledger {
    /// By the interface's own count; `None` while it is away.
    pub received: Option<u64>,
    /// By the count of the program that sees every frame first.
    pub tap: u64,
    /// Dropped there because the configuration says so.
    pub ignored: u64,
    /// Dropped there as second copies.
    pub duplicate: u64,
    /// Dropped there as frames of flows that nobody needs to see any more.
    pub shunted: u64,
    /// Dropped there under overload, by class.
    pub shed: BTreeMap<String, u64>,
    /// Dropped there while nobody read: before the start, after the stop, while a socket was made anew.
    pub held: u64,
    /// Handed on to the workers' rings.
    pub delivered: u64,
    /// Taken from there by workers.
    pub read: u64,
    /// Lost there because a ring was full.
    pub ring_dropped: u64,
    /// Delivered, but neither read nor lost yet: they wait in the rings.
    pub in_flight: i64,
    /// Frames that are missing somewhere (or, negative, were counted somewhere only): 0.
    pub difference: i64,
}

impl Ledger {
    /// Is every frame accounted for?
    pub fn balances(&self) -> bool {
        self.difference == 0
    }

    /// Frames that were shed.
    pub fn shed_frames(&self) -> u64 {
        self.shed.values().sum()
    }

    /// Fills in what follows from the rest: what is in flight, what the interface counted since the tap is there, and what
    /// is missing. `counter` is what the interface counted since it came into being; what it was ahead of the tap when that
    /// was put there is between the two numbers of `before`.
    pub fn settle(&mut self, counter: Option<u64>, before: [i64; 2], looks: &mut Looks, now: Instant) {
        let fates = self.ignored + self.duplicate + self.shunted + self.shed_frames() + self.held + self.delivered;
        self.in_flight = signed(self.delivered, self.read + self.ring_dropped);
        self.difference = signed(self.tap, fates) + self.in_flight.min(0);
        let Some(counter) = counter else { return };
        let [least, most] = before;
        let ahead = signed(counter, self.tap);
        self.received = Some(counter.wrapping_sub(ahead.clamp(least, most).cast_unsigned()));
        let old = looks.past(now, Look { counter, tap: self.tap });
        let Some(old) = old else { return };
        // What the interface had counted then the tap has seen by now, and the other way round.
        let missed = signed(old.counter, self.tap) - most;
        let invented = signed(old.tap, counter) + least;
        self.difference += if missed > 0 { missed } else { -invented.max(0) };
    }
}

fn signed(one: u64, less: u64) -> i64 {
    one.wrapping_sub(less).cast_signed()
}

/// Both counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    counter: u64,
    tap: u64,
}

/// Earlier readings of an interface.
#[derive(Debug, Default)]
pub struct Looks {
    /// The last but one, the last; a [`Looks::APART`] between them.
    kept: [Option<(Instant, Look)>; 2],
}

impl Looks {
    /// Time in which an interface's own counter, which drivers renew now and then, is up to date.
    const APART: Duration = Duration::from_millis(900);

    /// A reading that is old enough; `None` while there is none of this interface.
    fn past(&mut self, now: Instant, look: Look) -> Option<Look> {
        // A counter that goes back is another interface's.
        if self.kept.iter().flatten().any(|(_, kept)| kept.counter > look.counter) {
            self.kept = [None; 2];
        }
        let is_old = |(then, _): &(Instant, Look)| now.duration_since(*then) >= Self::APART;
        if self.kept[1].as_ref().is_none_or(is_old) {
            self.kept = [self.kept[1], Some((now, look))];
        }
        self.kept[0].map(|(_, look)| look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let shed = BTreeMap::from([("bulk".to_owned(), 4)]);
        let (ignored, duplicate, shunted, held, delivered, read, ring_dropped) = (1, 2, 3, 5, 85, 80, 5);
        Ledger { tap: 100, ignored, duplicate, shunted, shed, held, delivered, read, ring_dropped, ..Ledger::default() }
    }

    /// Settles a ledger against an interface's count, a while after the same numbers were seen before.
    fn settled(mut ledger: Ledger, counter: u64, before: [i64; 2]) -> Ledger {
        let (mut looks, start) = (Looks::default(), Instant::now());
        for seconds in 0..3 {
            ledger.settle(Some(counter), before, &mut looks, start + Duration::from_secs(seconds));
        }
        ledger
    }

    #[test]
    fn it_balances_when_every_frame_has_one_place() {
        let settled = settled(ledger(), 107, [7, 7]);
        assert_eq!((settled.received, settled.in_flight, settled.difference), (Some(100), 0, 0));
        assert!(settled.balances());
    }

    #[test]
    fn what_waits_in_a_ring_is_in_flight_and_what_was_read_without_being_delivered_is_a_fault() {
        assert_eq!(settled(Ledger { read: 79, ..ledger() }, 100, [0, 0]).in_flight, 1);
        assert_eq!(settled(Ledger { read: 81, ..ledger() }, 100, [0, 0]).difference, -1);
    }

    #[test]
    fn a_frame_without_a_fate_or_one_that_only_the_interface_or_the_tap_saw_is_missing() {
        assert_eq!(settled(Ledger { ignored: 0, ..ledger() }, 100, [0, 0]).difference, 1);
        let unseen = settled(ledger(), 103, [0, 0]);
        assert_eq!((unseen.received, unseen.difference), (Some(103), 3));
        assert_eq!(settled(ledger(), 98, [0, 0]).difference, -2);
    }

    #[test]
    fn frames_that_came_while_the_tap_was_put_there_may_have_been_before_it() {
        let unsure = [7, 12];
        assert_eq!(settled(ledger(), 110, unsure).difference, 0);
        assert_eq!(settled(ledger(), 113, unsure).difference, 1);
        assert_eq!(settled(ledger(), 106, unsure).difference, -1);
    }

    #[test]
    fn what_is_on_its_way_between_two_readings_is_not_missing() {
        let (mut looks, start, mut ledger) = (Looks::default(), Instant::now(), Ledger::default());
        for (second, (counter, tap)) in [(0, 0), (100, 90), (190, 200), (300, 299), (300, 299)].into_iter().enumerate()
        {
            (ledger.tap, ledger.delivered, ledger.read) = (tap, tap, tap);
            ledger.settle(Some(counter), [0, 0], &mut looks, start + Duration::from_secs(second as u64));
            assert_eq!(ledger.difference, i64::from(second == 4), "second {second}");
        }
    }

    #[test]
    fn an_interface_that_is_away_or_begins_anew_is_no_fault() {
        let mut looks = Looks::default();
        let mut ledger = ledger();
        ledger.settle(None, [0, 0], &mut looks, Instant::now());
        assert_eq!((ledger.received, ledger.difference), (None, 0));
        for seconds in 0..3 {
            ledger.settle(Some(200), [100, 100], &mut looks, Instant::now() + Duration::from_secs(seconds));
        }
        ledger.settle(Some(5), [-95, -95], &mut looks, Instant::now() + Duration::from_secs(9));
        assert_eq!((ledger.received, ledger.difference), (Some(100), 0));
    }
}
