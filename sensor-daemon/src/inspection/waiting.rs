//! Matches in stream bytes, which wait until the receiver has acknowledged these.

use vigia_parsers::packet::Packet;
use vigia_parsers::{Direction, Timestamp};
use vigia_rules::{Delayed, RuleId};

use super::Inspector;
use super::pass::{Inspection, Pass};
use crate::capture::InterfaceId;
use crate::event::Alert;
use crate::flow::{Flow, FlowTable};
use crate::metrics::Counter;

/// How long a match in stream bytes waits for their acknowledgement before it is reported all the same, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// Matches of a flow that wait at the most; further ones are reported at once.
const HELD: usize = 64;

/// Are there matches of the flow that are not reported yet?
pub(super) fn holds(flow: &Flow) -> bool {
    flow.memory.as_ref().is_some_and(|memory| !memory.held.is_empty())
}

impl Inspector {
    /// Reports the matches held of a flow that wait no longer: the receiver has acknowledged their bytes, it is not seen,
    /// or they have waited long enough; `all` of them when the flow ends. True when some began to wait now.
    #[cold]
    pub(super) fn release(
        &mut self,
        flow: &mut Flow,
        packet: Option<&Packet<'_>>,
        interface: InterfaceId,
        now: Timestamp,
        all: bool,
    ) -> bool {
        let Some(memory) = flow.memory.as_deref_mut() else { return false };
        let (mut fresh, mut ready) = (false, Vec::new());
        let tcp = &flow.tcp;
        memory.held.retain_mut(|held| {
            let begins = held.end.is_none();
            let end = *held.end.get_or_insert_with(|| tcp.next(held.direction));
            let waits =
                !all && tcp.has_acknowledged(held.direction, end) == Some(false) && now.since(held.since) < PATIENCE;
            fresh |= begins && waits;
            if !waits {
                ready.push(held.clone());
            }
            waits
        });
        if !ready.is_empty() {
            let Pass { mut inspection, .. } = self.begin(flow, packet, interface, now);
            inspection.facts.flow_ends = all;
            for held in ready {
                inspection.report_held(&held);
            }
            let (conversation, touched) = (inspection.conversation.take(), inspection.touched);
            self.keep(flow, conversation, touched);
        }
        fresh
    }

    /// All flows are over, and what they held is reported.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
        if let Some(shunting) = &mut self.shunting {
            shunting.finish();
        }
    }

    /// Reports what flows have held for long enough, or `all` of it: those whose rules are about to be replaced. Each is
    /// forgotten before it is reported, so that after a panic the rest can be.
    pub fn release_late(&mut self, flows: &mut FlowTable, now: Timestamp, all: bool) {
        while let Some(&(since, id)) = self.waiting.front()
            && (all || now.since(since) >= PATIENCE)
        {
            self.waiting.pop_front();
            let flow = flows.get_mut(id);
            if holds(flow) {
                self.release(flow, None, 0, since.max(now), all);
            }
        }
    }
}

impl Inspection<'_> {
    /// Holds the matches back until it is known what became of their bytes; false when too many are held already.
    #[cold]
    pub(super) fn hold(&mut self, direction: Direction, bytes: &[u8]) -> bool {
        let held = &mut self.memory.get_or_insert_default().held;
        if held.len() + self.scratch.matches().len() > HELD {
            self.output.counters.add(Counter::BoundedRuleMemory, 1);
            return false;
        }
        let one = |&rule: &RuleId| Delayed {
            rule,
            noted: self.scratch.noted(rule),
            remarks: self.scratch.remarks(rule).into(),
            direction,
            end: None,
            since: self.facts.timestamp,
            payload: self.output.kept(bytes).into(),
        };
        held.extend(self.scratch.matches().iter().map(one));
        true
    }

    /// Reports a match that was held back.
    fn report_held(&mut self, held: &Delayed) {
        let Some(entry) = self.admit(held.rule, held.direction, held.noted.clone(), None) else { return };
        let header = self.facts.header(held.direction);
        let protocol = self.conversation.as_ref().and_then(|conversation| conversation.protocol());
        let alert = self.alert(held.direction, protocol.or(self.facts.protocol), None, &held.payload, true);
        let rules = self.rules;
        let told = rules.told(self.memory.as_deref(), self.scratch);
        self.output.alert(entry, &header, &Alert { told: &told, remarks: &held.remarks, ..alert });
    }
}
