//! What rules remember of a flow.
//!
//! Rules are remembered by their own numbers, not by their place in an engine, so that the memory outlives a reload.

use super::gate::{Counter, Threshold};
use super::{Timestamp, Verdict};

/// Transactions that raised something and are remembered; older ones are forgotten first.
const FIRED: usize = 64;
/// Rules whose single alert on this flow is remembered.
const ONCE: usize = 1024;
/// Rules counted by flow.
const COUNTERS: usize = 64;
/// Flowbits set at a time.
const BITS: usize = 256;
/// `flowint` counts set at a time.
const INTEGERS: usize = 64;

/// What rules remember of a flow: bits, and which transactions raised what. Made on first use; bounded.
#[derive(Debug, Default)]
pub struct FlowMemory {
    bits: Vec<u64>,
    fired: Vec<(u64, u64)>,
    oldest: usize,
    once: Vec<(u64, u64)>,
    counters: Vec<(u64, Counter)>,
    integers: Vec<(u64, u32)>,
    passed: bool,
}

impl FlowMemory {
    pub(crate) fn bit(&self, bit: u64) -> bool {
        self.bits.contains(&bit)
    }

    pub(crate) fn bits(&self) -> &[u64] {
        &self.bits
    }

    pub(crate) fn set(&mut self, bit: u64) {
        if !self.bit(bit) && self.bits.len() < BITS {
            self.bits.push(bit);
        }
    }

    pub(crate) fn unset(&mut self, bit: u64) {
        self.bits.retain(|&known| known != bit);
    }

    /// The value of a `flowint`, if it is set.
    pub(crate) fn integer(&self, name: u64) -> Option<u32> {
        self.integers.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// Changes the value of a `flowint`; one that is not set begins at 0.
    pub(crate) fn change_integer(&mut self, name: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(entry) = self.integers.iter_mut().find(|entry| entry.0 == name) {
            entry.1 = change(entry.1);
        } else if self.integers.len() < INTEGERS {
            self.integers.push((name, change(0)));
        }
    }

    /// Did this rule fire for this transaction?
    pub(crate) fn has_fired(&self, transaction: u64, rule: u64) -> bool {
        self.fired.contains(&(transaction, rule))
    }

    pub(crate) fn fire(&mut self, transaction: u64, rule: u64) {
        if self.fired.len() < FIRED {
            self.fired.push((transaction, rule));
        } else if let Some(slot) = self.fired.get_mut(self.oldest) {
            *slot = (transaction, rule);
            self.oldest = (self.oldest + 1) % FIRED;
        }
    }

    /// True the first time that it is asked of this rule and direction.
    pub(crate) fn first(&mut self, rule: u64, direction: u64) -> bool {
        if self.once.contains(&(rule, direction)) {
            return false;
        }
        if self.once.len() < ONCE {
            self.once.push((rule, direction));
        }
        true
    }

    /// Counts a match of a rule whose threshold tracks the flow.
    pub(crate) fn count(&mut self, rule: u64, threshold: &Threshold, now: Timestamp) -> Verdict {
        let at = self.counters.iter().position(|counter| counter.0 == rule);
        let at = at.unwrap_or_else(|| {
            if self.counters.len() >= COUNTERS {
                self.counters.remove(0);
            }
            self.counters.push((rule, Counter::new(now)));
            self.counters.len() - 1
        });
        self.counters.get_mut(at).map_or(Verdict::Report, |counter| counter.1.count(threshold, now))
    }

    pub(crate) fn passed(&self) -> bool {
        self.passed
    }

    pub(crate) fn pass(&mut self) {
        self.passed = true;
    }
}
