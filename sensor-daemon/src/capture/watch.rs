//! What is to be known of the captured interfaces beside their frames: how each is captured, whether it is guarded and what
//! the guard dropped, what the interface itself and the tap counted, and whether anything was sent on it all the same. And what
//! is to be told to all of them while they are captured.
//!
//! The guard stands where the kernel's network stack sends. A privileged process can send past it (`PACKET_QDISC_BYPASS`,
//! the transmit ring of AF_XDP, XDP redirects); the interface's own count of sent frames shows that.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use vigia_probes_abi::{Dropped, FANOUT};

use super::chain::{self, Chosen, Mode};
use super::interface::{Statistics, statistics};
use super::probes::ProbeError;
use super::probes::guard::{self, Guards, Standing};
use super::probes::inventory::{Inventory, ProgramFile};
use super::probes::tap::{Counted, Tap};
use super::shed::Shedder;
use super::{Settings, TapSettings};
use crate::flow::duplicate;
use crate::metrics::Metrics;
use crate::metrics::ledger::{Ledger, Looks};
use crate::shunting::Shunting;

/// How often counters that do not add up are read anew.
const READ_AGAIN: u32 = 8;

/// Watches the interfaces; asked by a thread that may wait.
pub struct Watch {
    chosen: Vec<Chosen>,
    guards: Arc<Guards>,
    tap: Option<Arc<Tap>>,
    shedder: Option<Arc<Shedder>>,
    fanout: Option<Arc<OwnedFd>>,
    sent: Mutex<HashMap<String, Sent>>,
    looks: Mutex<HashMap<String, Looks>>,
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
    /// Where its frames went; `None` without a tap.
    pub ledger: Option<Ledger>,
    /// Frames that it sent since the start; `None` where it has an address of its own, and so may send.
    pub transmitted: Option<u64>,
}

impl Watch {
    /// Frames that an interface sends count from now on.
    pub(super) fn new(
        chosen: Vec<Chosen>,
        guards: Arc<Guards>,
        tap: Option<Arc<Tap>>,
        shedder: Option<Arc<Shedder>>,
        fanout: Option<Arc<OwnedFd>>,
    ) -> Self {
        let now =
            |(name, statistics): (String, Statistics)| (name, Sent { counter: statistics.tx_packets, since_start: 0 });
        let sent = Mutex::new(statistics().into_iter().map(now).collect());
        Self { chosen, guards, tap, shedder, fanout, sent, looks: Mutex::default() }
    }

    /// How the interfaces are captured.
    pub fn chosen(&self) -> &[Chosen] {
        &self.chosen
    }

    /// Has the tap take new settings over, while frames come. What is captured by which way, and sizes, stay as they are.
    ///
    /// # Errors
    /// The kernel does not let us write.
    pub fn configure(&self, settings: &Settings, duplicates: &duplicate::Settings) -> Result<(), ProbeError> {
        let plan = chain::plan(settings, duplicates);
        if let Some(shedder) = &self.shedder {
            shedder.begin_at(plan.settings.shed_at_percent);
        }
        self.tap.as_ref().map_or(Ok(()), |tap| tap.configure(&plan))
    }

    /// Holds every frame from now on: what was delivered by now is all there is to read.
    pub fn hold(&self) {
        for name in self.tap.iter().flat_map(|tap| tap.interfaces()) {
            if let Some(Err(error)) = self.tap.as_ref().map(|tap| tap.hold(&name)) {
                tracing::warn!(interface = name, "{error}");
            }
        }
    }

    /// What a worker leaves flows to the kernel by; `None` where that is not wanted, or no tap is there.
    pub fn shunting(&self, settings: &TapSettings) -> Option<Shunting> {
        let tap = self.tap.as_ref().filter(|_| settings.enabled)?;
        Some(Shunting::new(Arc::clone(tap) as Arc<_>, settings))
    }

    /// Classes of frames that are shed now.
    pub fn shed_level(&self) -> usize {
        self.shedder.as_ref().map_or(0, |shedder| shedder.level())
    }

    /// What is known now. `metrics` tells what the workers read.
    pub fn observe(&self, metrics: &Metrics) -> Vec<Observation> {
        // From the workers up to the interfaces: what one counted the other has counted by the time it is read.
        let accounts: Vec<_> = self.chosen.iter().map(|chosen| self.account(&chosen.interface, metrics)).collect();
        let now = Instant::now();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let statistics: HashMap<_, _> = statistics().into_iter().collect();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let observe = |(chosen, account): (&Chosen, Option<(Counted, Ledger)>)| {
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
            let (tap, ledger) = account.unzip();
            let ledger = ledger.zip(tap.as_ref()).map(|(mut ledger, tap): (Ledger, &Counted)| {
                let looks = looks.entry(name.clone()).or_default();
                ledger.settle(statistics.map(|now| now.met(tap.outgoing)), tap.before, looks, now);
                ledger
            });
            Observation { chosen: chosen.clone(), statistics, guard, tap, ledger, transmitted }
        };
        self.chosen.iter().zip(accounts).map(observe).collect()
    }

    /// What the tap counted of an interface, and a ledger of it that is to be settled.
    fn account(&self, name: &str, metrics: &Metrics) -> Option<(Counted, Ledger)> {
        let [read, ring_dropped] = metrics.taken(name);
        let tap = self.tap.as_ref()?;
        let mut counted = tap.counts(name).ok()?;
        // A frame that is counted while the counters are read may be in one of two.
        for _ in 0..READ_AGAIN {
            if counted.difference() == 0 {
                break;
            }
            counted = tap.counts(name).ok()?;
        }
        let ledger = Ledger {
            tap: counted.total[0],
            ignored: counted.ignored[0],
            duplicate: counted.duplicates[0],
            shunted: counted.shunted[0],
            shed: counted.shed.iter().map(|(class, [frames, _])| (class.clone(), *frames)).collect(),
            held: counted.held[0],
            delivered: counted.delivered[0],
            read,
            ring_dropped,
            ..Ledger::default()
        };
        Some((counted, ledger))
    }

    /// What is loaded into the kernel for the interfaces.
    pub fn inventory(&self) -> Inventory {
        let mut all = self.tap.as_ref().map(|tap| tap.inventory()).unwrap_or_default();
        if let Some(file) = self.fanout.as_ref().and_then(|fanout| ProgramFile::of(&**fanout).ok()) {
            let by = self.chosen.iter().filter(|chosen| chosen.mode == Mode::AfPacketEbpf);
            let attached = by.map(|chosen| format!("{} (fanout)", chosen.interface));
            all.programs.push(file.describe(FANOUT, attached.collect()));
        }
        let Inventory { programs, maps } = self.guards.inventory();
        all.programs.extend(programs);
        all.maps.extend(maps);
        all
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
