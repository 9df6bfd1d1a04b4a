//! What is left of the rules on a message before it is inspected: by its fields, by its flow, and by the gate's silence.

use vigia_parsers::Record;

use super::inspect::fires;
use super::plain::Word;
use super::program::Program;
use super::{Engine, FlowMemory, Moment, RuleId, Scratch, Silence, column};

/// What the fields of a message leave of the rules on it ([`Engine::asked`]).
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The place of its protocol's rules among `messages`.
    pub(super) of: usize,
    pub(super) rules: Word,
}

/// What fields and flow leave of the rules on a message ([`Engine::left`]).
#[derive(Debug, Clone, Copy)]
pub struct Left {
    pub(super) asked: Asked,
    /// Where what is known of its flow and direction stands.
    place: usize,
}

/// What [`Engine::left`] finds.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// The rules to be inspected; `None` when there is none.
    pub left: Option<Left>,
    /// Matches that nobody is to see: these are counted, and that is all.
    pub silent: u64,
}

impl Engine {
    /// What the fields of a message leave of the rules on it; `None` when it is nothing: then there is no point in inspecting
    /// it, unless for what is wrong in it. Much cheaper than that.
    #[inline]
    pub fn asked(&self, record: &dyn Record) -> Option<Asked> {
        let of = self.number(record.protocol())?;
        Some(Asked { of, rules: self.messages.get(of)?.records.asked(record)? })
    }

    /// What the flow leaves of the rules that fields have left: those that allow its ends, and are not silent about them
    /// ([`Engine::hush`]). A match of one that is silent is remembered as any other, for the message's transaction.
    pub fn left(
        &self,
        asked: Asked,
        moment: &Moment<'_>,
        transaction: u64,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    ) -> Leaving {
        let all = Leaving { left: Some(Left { asked, place: usize::MAX }), silent: 0 };
        let (Some(rules), Some(messages)) = (asked.rules, self.messages.get(asked.of)) else { return all };
        let group = &messages.records;
        let (allowed, silent, place) = scratch.standings.standing(self.stamp, moment, || group.allowed(moment));
        let (rules, silent) = (rules & allowed & !silent, rules & allowed & silent);
        let known = memory.as_deref().is_some_and(|memory| memory.knows(transaction));
        let mut matches = 0;
        for at in column::ones(&[silent]) {
            let program = group.rules().get(at).and_then(|&rule| self.programs.get(rule as usize));
            matches += u64::from(program.is_some_and(|program| fires(program, transaction, known, memory)));
        }
        let any = rules != 0 || !group.is_keyed();
        let left = Left { asked: Asked { rules: Some(rules), ..asked }, place };
        Leaving { left: any.then_some(left), silent: matches }
    }

    /// Matches of this rule with the ends of a message that it was left for are not reported for a while. From now on they
    /// are found without inspection.
    pub fn hush(&self, left: Left, rule: RuleId, silence: Silence, scratch: &mut Scratch) {
        let rules = self.messages.get(left.asked.of).map_or(&[][..], |messages| messages.records.rules());
        let number = rules.iter().take(64).position(|&known| known == rule.0);
        let settled = |rule: RuleId| {
            let program = self.programs.get(rule.0 as usize);
            !self.passes && program.is_some_and(Program::is_settled) && self.rule(rule).tags.is_empty()
        };
        if let Some(number) = number.filter(|_| settled(rule)) {
            scratch.standings.hush(left.place, 1 << number, silence);
        }
    }
}
