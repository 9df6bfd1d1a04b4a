//! The working memory of one worker, and what it says of the last inspection.

use std::ops::Range;

use super::group::Work;
use super::memory::Spare;
use super::route::Routes;
use super::standing::Standings;
use super::value::Registers;
use super::{GivenUp, Noted, Remark, RuleId, Ways};

/// Working memory of one worker; reused, so that inspection does not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) matches: Vec<RuleId>,
    pub(super) candidates: Vec<u32>,
    pub(super) work: Work,
    pub(super) routes: Routes,
    pub(super) standings: Standings,
    pub(super) registers: Option<Box<Registers>>,
    /// The end of a stream with what was added to it.
    pub(super) joined: Vec<u8>,
    /// Values that matches noted for the gate.
    pub(super) noted: Vec<(RuleId, Noted)>,
    /// What matches found out, and which of it each.
    pub(super) remarks: Vec<Remark>,
    pub(super) remarked: Vec<(RuleId, Range<usize>)>,
    pub(super) bypass: bool,
    /// The part of it in which a pattern may stand that began before.
    pub(super) seam: Vec<u8>,
    pub(super) spare: Spare,
    /// The last inspection ended early.
    pub(super) cut: bool,
    /// Steps that it took.
    pub(super) steps: u64,
    pub(super) given_up: GivenUp,
}

impl Scratch {
    /// Did the last inspection try any rule? If not, nothing but the end of a stream was remembered.
    #[inline]
    pub fn has_tried(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Did the last inspection end before all candidates were tried, since it had used up its steps?
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Steps that the last inspection took: a candidate, a place tried, some bytes searched are one.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How often limits of single rules bit in the last inspection.
    pub fn given_up(&self) -> GivenUp {
        self.given_up
    }

    /// Rules that matched in the last inspection and want an alert, in the order in which they are to be reported.
    pub fn matches(&self) -> &[RuleId] {
        &self.matches
    }

    /// What a match of the last inspection found out.
    pub fn remarks(&self, rule: RuleId) -> &[Remark] {
        let found = self.remarked.iter().find(|found| found.0 == rule);
        found.and_then(|found| self.remarks.get(found.1.clone())).unwrap_or_default()
    }

    /// How often the gate has forgotten counters ([`Gate::forgotten`](super::Gate::forgotten)): whoever was silent then is
    /// asked anew.
    #[inline]
    pub fn hear(&mut self, forgotten: u64) {
        self.standings.hear(forgotten);
    }

    /// The ways that flows go among the rules, which are looked up once each.
    pub fn ways(&self) -> Ways {
        self.routes.ways()
    }

    /// Did a rule of the last inspection ask that its flow be passed by (`bypass`)?
    pub fn bypass(&self) -> bool {
        self.bypass
    }

    /// Candidates of several groups in one order, each once.
    pub(super) fn in_order(&mut self) {
        if self.candidates.len() > 1 {
            self.candidates.sort_unstable();
            self.candidates.dedup();
        }
    }
}
