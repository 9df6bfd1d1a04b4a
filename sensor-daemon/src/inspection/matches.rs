//! What becomes of matches: the tags of their rules are followed, they are counted, and alerts are made of them.

use std::cell::OnceCell;

use vigia_parsers::{Direction, Protocol, Record};
use vigia_rules::{Left, Match, Noted, RuleId, Subject, Told};

use super::facts::packet_number;
use super::pass::Inspection;
use crate::event::{Alert, FlowSoFar};
use crate::journal::AlertEntry;

impl<'p> Inspection<'p> {
    /// What a match does at once, whenever it is reported.
    #[cold]
    pub(super) fn matched(&mut self, direction: Direction) {
        *self.alerted = true;
        for at in 0..self.scratch.matches().len() {
            let Some(&rule) = self.scratch.matches().get(at) else { return };
            if !self.rules.rule(rule).gated {
                self.tag(rule, direction);
            }
        }
    }

    /// Follows the tags of a rule: from its match on, or where its alerts are counted across flows, from its alert on.
    fn tag(&mut self, rule: RuleId, direction: Direction) {
        for &tag in &self.rules.rule(rule).tags {
            let ends = self.facts.ends(direction).map(|(address, _)| address);
            self.tags.follow(tag, self.memory, ends, self.facts.timestamp);
        }
    }

    #[cold]
    pub(super) fn report(
        &mut self,
        direction: Direction,
        protocol: Option<&'static Protocol>,
        subject: &Subject<'_>,
        payload: &[u8],
    ) {
        let (record, left) = match *subject {
            Subject::Message { record, left, .. } => (record, left),
            _ => (None, None),
        };
        let stream = matches!(subject, Subject::Stream(_));
        let (rules, told, mut written) = (self.rules, OnceCell::new(), None);
        for at in 0..self.scratch.matches().len() {
            let Some(&rule) = self.scratch.matches().get(at) else { return };
            let noted = self.scratch.noted(rule);
            let Some(entry) = self.admit(rule, direction, noted, left) else { continue };
            let whole = || (self.facts.header(direction), self.alert(direction, protocol, record, payload, stream));
            let (header, alert) = written.get_or_insert_with(whole);
            let told = told.get_or_init(|| rules.told(self.memory.as_deref(), self.scratch));
            let remarks = self.scratch.remarks(rule);
            self.output.alert(entry, header, &Alert { told, remarks, ..*alert });
        }
    }

    /// Counts a match; `None` when nobody is to see it. Most matches of rules with a threshold are such, so this comes
    /// before anything is made of them, and where a rule was `left` for a message, it is not inspected again for as long as
    /// it is silent.
    pub(super) fn admit(
        &mut self,
        rule: RuleId,
        direction: Direction,
        noted: Box<[Noted]>,
        left: Option<Left>,
    ) -> Option<AlertEntry> {
        let [source, destination] = self.facts.ends(direction);
        let number = self.facts.packet.map_or(0, |packet| packet_number(packet, self.facts.names));
        let found = Match { source, destination, timestamp: self.facts.timestamp, noted };
        let entry = self.output.matched(rule, number, found);
        self.scratch.hear(self.output.forgotten());
        if let Some((left, silence)) = left.zip(self.output.silence()) {
            self.rules.hush(left, rule, silence, self.scratch);
        }
        if entry.as_ref().is_some_and(|entry| entry.admitted) {
            self.tag(rule, direction);
        }
        entry
    }

    /// An alert as it stands now.
    pub(super) fn alert<'a>(
        &self,
        direction: Direction,
        protocol: Option<&'static Protocol>,
        record: Option<&'a dyn Record>,
        payload: &'a [u8],
        stream: bool,
    ) -> Alert<'a>
    where
        'p: 'a,
    {
        Alert {
            flow: self.facts.endpoints(Direction::ToServer).map(|endpoints| FlowSoFar {
                endpoints,
                packets: self.facts.packets,
                bytes: self.facts.bytes,
                start: self.facts.start,
            }),
            protocol,
            packet: self.facts.packet,
            record,
            direction: Some(direction),
            payload,
            stream,
            told: Told::nothing(),
            remarks: &[],
        }
    }
}
