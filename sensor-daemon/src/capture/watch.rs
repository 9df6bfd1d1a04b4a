//! What is to be known of the captured interfaces beside their frames: how each is captured, whether it is guarded and what
//! the guard dropped, what the interface itself counted, and whether anything was sent on it all the same.
//!
//! The guard stands where the kernel's network stack sends. A privileged process can send past it (`PACKET_QDISC_BYPASS`,
//! the transmit ring of AF_XDP, XDP redirects); the interface's own count of sent frames shows that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vigia_probes_abi::Dropped;

use super::chain::Chosen;
use super::interface::{Statistics, statistics};
use super::probes::guard::{self, Guards, Standing};
use super::probes::tap::{Counted, Tap};

/// Watches the interfaces; asked by a thread that may wait.
pub struct Watch {
    chosen: Vec<Chosen>,
    guards: Arc<Guards>,
    tap: Option<Arc<Tap>>,
    sent: Mutex<HashMap<String, Sent>>,
}

/// What an interface sent.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    /// Its counter at the last look.
    counter: u64,
    /// Frames since the start.
    since_start: u64,
}

impl Sent {
    fn look(&mut self, counter: u64) -> u64 {
        // A counter that goes back is another interface's, which begins at 0.
        self.since_start += counter.checked_sub(self.counter).unwrap_or(counter);
        self.counter = counter;
        self.since_start
    }
}

/// What is known of an interface at one moment.
#[derive(Debug, Clone)]
pub struct Observation {
    /// How it is captured.
    pub chosen: Chosen,
    /// What it counted; `None` while it is away.
    pub statistics: Option<Statistics>,
    /// Its guard; `None` without one.
    pub guard: Option<guard::Status>,
    /// What the program in the kernel that sees every frame first counted; `None` where the interface has none.
    pub tap: Option<Counted>,
    /// Frames that it sent since the start; `None` where it has an address of its own, and so may send.
    pub transmitted: Option<u64>,
}

impl Watch {
    /// Frames that an interface sends count from now on.
    pub(super) fn new(chosen: Vec<Chosen>, guards: Arc<Guards>, tap: Option<Arc<Tap>>) -> Self {
        let now =
            |(name, statistics): (String, Statistics)| (name, Sent { counter: statistics.tx_packets, since_start: 0 });
        Self { chosen, guards, tap, sent: Mutex::new(statistics().into_iter().map(now).collect()) }
    }

    /// How the interfaces are captured.
    pub fn chosen(&self) -> &[Chosen] {
        &self.chosen
    }

    /// What is known now.
    pub fn observe(&self) -> Vec<Observation> {
        let statistics: HashMap<_, _> = statistics().into_iter().collect();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let observe = |chosen: &Chosen| {
            let name = &chosen.interface;
            let statistics = statistics.get(name).copied();
            let sent = sent.entry(name.clone()).or_default();
            let transmitted = statistics.map_or(sent.since_start, |now| sent.look(now.tx_packets));
            let (guard, may_send) = self.guards.standing(name, |standing| match standing {
                Standing::Guarded(guard) => (guard.status().ok(), false),
                Standing::Unguarded => (None, false),
                Standing::Host => (None, true),
            });
            let transmitted = (!may_send).then_some(transmitted);
            let tap = self.tap.as_ref().and_then(|tap| tap.counts(name).ok());
            Observation { chosen: chosen.clone(), statistics, guard, tap, transmitted }
        };
        self.chosen.iter().map(observe).collect()
    }

    /// Hands over what the guards report, with the interface: the first frame of each kind.
    pub fn reports(&self, each: impl FnMut(&str, &Dropped)) {
        self.guards.reports(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_sent_count_from_the_start_and_go_on_with_a_new_interface() {
        let mut sent = Sent { counter: 5, since_start: 0 };
        assert_eq!([5, 7, 7, 1, 3].map(|counter| sent.look(counter)), [0, 2, 2, 3, 5]);
    }
}
