//! One compiled rule, and how it is inspected.

use std::net::IpAddr;
use std::sync::Arc;

use vigia_parsers::{Direction, Protocol};

use super::chain::Chain;
use super::column;
use super::counter::{Threshold, Track};
use super::gate::{RateFilter, Suppression};
use super::group::{Member, Pattern};
use super::hosts::HostBits;
use super::memory::FlowMemory;
use super::view::{Condition, Key, View, same};
use super::{Moment, TCP};
use crate::language::header::{AddressSet, PortSet};
use crate::language::set::RangeSet;
use crate::language::syntax::Arrow;

/// Whom a rule is about.
pub(crate) struct Header {
    /// IP protocol numbers; 0 stands for packets without IP.
    pub(crate) transports: RangeSet<u64>,
    /// IPv6 only (true) or IPv4 only (false).
    pub(crate) v6: Option<bool>,
    /// The protocol of the flow.
    pub(crate) protocol: Option<&'static Protocol>,
    pub(crate) source: Option<Arc<AddressSet>>,
    pub(crate) source_ports: Option<Arc<PortSet>>,
    pub(crate) arrow: Arrow,
    pub(crate) destination: Option<Arc<AddressSet>>,
    pub(crate) destination_ports: Option<Arc<PortSet>>,
}

impl Header {
    fn admits(&self, moment: &Moment<'_>) -> bool {
        if !self.transports.contains(moment.ip_protocol.into())
            || self.v6.is_some_and(|v6| moment.source.0.is_ipv6() != v6)
            || self.protocol.is_some_and(|protocol| !moment.protocol.is_some_and(|of| same(protocol, of)))
        {
            return false;
        }
        let forward = || self.joins(moment.source, moment.destination);
        let backward = || self.joins(moment.destination, moment.source);
        match self.arrow {
            Arrow::Directed => forward(),
            Arrow::Both => forward() || backward(),
            Arrow::Transaction if moment.direction == Some(Direction::ToClient) => backward(),
            Arrow::Transaction => forward(),
        }
    }

    /// Is one of its addresses said by what is not in it?
    pub(crate) fn has_negated_address(&self) -> bool {
        self.source.iter().chain(&self.destination).any(|set| set.is_negated())
    }

    pub(crate) fn joins(&self, source: (IpAddr, u16), destination: (IpAddr, u16)) -> bool {
        self.source_ports.as_ref().is_none_or(|ports| ports.contains(source.1))
            && self.destination_ports.as_ref().is_none_or(|ports| ports.contains(destination.1))
            && self.source.as_ref().is_none_or(|set| set.contains(source.0))
            && self.destination.as_ref().is_none_or(|set| set.contains(destination.0))
    }

    fn domains(&self) -> Vec<(Key, RangeSet<u64>)> {
        let mut domains = Vec::new();
        if !self.transports.is_everything() {
            domains.push((Key::IpProtocol, self.transports.clone()));
        }
        if self.arrow == Arrow::Directed {
            let wide = |ports: &PortSet| {
                RangeSet::new(ports.ranges().iter().map(|range| (range.0.into(), range.1.into())).collect())
            };
            domains.extend(self.source_ports.iter().map(|ports| (Key::SourcePort, wide(ports))));
            domains.extend(self.destination_ports.iter().map(|ports| (Key::DestinationPort, wide(ports))));
            domains.extend(self.source.iter().map(|set| (Key::Source, column::addresses(set))));
            domains.extend(self.destination.iter().map(|set| (Key::Destination, column::addresses(set))));
        }
        domains
    }
}

/// The `flow` keyword.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FlowTest {
    pub(crate) established: Option<bool>,
    pub(crate) direction: Option<Direction>,
    /// Only what is of a flow, whichever its state.
    pub(crate) stateless: bool,
    /// Only datagrams put together from fragments, or only others.
    pub(crate) joined: Option<bool>,
}

impl FlowTest {
    fn admits(&self, moment: &Moment<'_>) -> bool {
        self.established.is_none_or(|established| established == moment.established)
            && (self.direction.is_none() || self.direction == moment.direction)
            && (!self.stateless || moment.direction.is_some())
            && self.joined.is_none_or(|wanted| wanted == is_joined(moment))
    }
}

/// Was the packet put together from fragments?
pub(crate) fn is_joined(moment: &Moment<'_>) -> bool {
    moment.packet.is_some_and(|packet| packet.joined)
}

/// Who has a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Flow,
    /// The transaction of the message; what is no message has no such bits, set or not set.
    Transaction,
}

/// A question about bits: does any of these have this state?
#[derive(Debug, Clone)]
pub(crate) struct BitTest {
    pub(crate) bits: Vec<u64>,
    pub(crate) set: bool,
    pub(crate) of: Holder,
}

/// What a match does to a flowbit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BitEffect {
    Set(u64),
    Unset(u64),
    Toggle(u64),
}

/// `flowvar`, `pktvar`: do these bytes stand in a captured value? Never in one that there is not, wanted or not.
#[derive(Debug, Clone)]
pub(crate) struct VariableTest {
    pub(crate) name: u64,
    pub(crate) of_flow: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) negated: bool,
}

impl VariableTest {
    pub(crate) fn holds(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> bool {
        let has = if self.of_flow {
            let variables = memory.map_or(&[][..], FlowMemory::variables).iter();
            let mut found = variables.filter(|variable| variable.0 == self.name);
            found.next().map(|variable| memchr::memmem::find(&variable.1, &self.bytes).is_some())
        } else {
            view.registers.packet_variable_has(self.name, &self.bytes)
        };
        has.is_some_and(|has| has != self.negated)
    }
}

/// A question about a `flowint`.
#[derive(Debug, Clone)]
pub(crate) struct CountTest {
    pub(crate) name: u64,
    pub(crate) test: Compare,
}

/// How a `flowint` is compared.
#[derive(Debug, Clone)]
pub(crate) enum Compare {
    IsSet(bool),
    /// With a number or another `flowint`; a count that is not set is none of these.
    With(fn(u32, u32) -> bool, Operand),
}

/// A number, or the value of another `flowint`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operand {
    Literal(u32),
    Count(u64),
}

impl Operand {
    fn value(self, memory: Option<&FlowMemory>) -> Option<u32> {
        match self {
            Self::Literal(value) => Some(value),
            Self::Count(name) => memory?.integer(name),
        }
    }
}

impl BitTest {
    pub(crate) fn holds(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> bool {
        let transaction = match self.of {
            Holder::Flow => None,
            Holder::Transaction => match view.record {
                Some(record) => Some(record.transaction()),
                None => return false,
            },
        };
        let state = |bit: &u64| {
            memory.is_some_and(|memory| transaction.map_or_else(|| memory.bit(*bit), |of| memory.marked(of, *bit)))
        };
        self.bits.iter().any(|bit| state(bit) == self.set)
    }
}

impl CountTest {
    pub(crate) fn holds(&self, memory: Option<&FlowMemory>) -> bool {
        let value = memory.and_then(|memory| memory.integer(self.name));
        match self.test {
            Compare::IsSet(set) => value.is_some() == set,
            Compare::With(compare, operand) => {
                value.zip(operand.value(memory)).is_some_and(|(value, operand)| compare(value, operand))
            }
        }
    }
}

/// What a match does to a `flowint`: its value (0 when it is not set) and the operand give the new value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CountEffect {
    pub(crate) name: u64,
    pub(crate) change: fn(u32, u32) -> u32,
    pub(crate) operand: Operand,
}

/// How often a rule speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// For each packet, piece of stream or message that matches; once for each transaction.
    Each,
    /// Once for each direction of a flow: rules about addresses alone, and about the protocol that was detected.
    Flow,
}

/// How far a pass rule that matches reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The packet, with all that it completes.
    Packet,
    /// The transaction of the message; of what is no message, the packet.
    Transaction,
    /// The flow where it is one of TCP, else the packet.
    Stream,
    /// The flow.
    Flow,
}

/// A compiled rule.
pub(crate) struct Program {
    /// Generator and signature id: the rule's name across reloads.
    pub(crate) identity: u64,
    pub(crate) header: Header,
    pub(crate) flow: FlowTest,
    pub(crate) bit_tests: Vec<BitTest>,
    pub(crate) conditions: Vec<Box<dyn Condition>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) bit_effects: Vec<BitEffect>,
    /// The same to bits of the transaction.
    pub(crate) transaction_effects: Vec<BitEffect>,
    pub(crate) count_tests: Vec<CountTest>,
    pub(crate) count_effects: Vec<CountEffect>,
    pub(crate) variable_tests: Vec<VariableTest>,
    /// Its expressions capture values that other rules may ask for.
    pub(crate) captures: bool,
    /// Marks on hosts, which the gate keeps.
    pub(crate) host_bits: HostBits,
    pub(crate) pass: bool,
    /// What it passes.
    pub(crate) extent: Extent,
    /// It is inspected at packets, so it has its say before anything else of them.
    pub(crate) on_packets: bool,
    /// Its flow is passed by after a match.
    pub(crate) bypass: bool,
    /// Never reports: only what it marks or passes counts.
    pub(crate) silent: bool,
    pub(crate) scope: Scope,
    pub(crate) threshold: Option<Threshold>,
    /// Addresses for which it does not report.
    pub(crate) suppressions: Vec<Suppression>,
    /// What silences it when it matches too often.
    pub(crate) rate: Option<RateFilter>,
    /// Inspected in the stream of a TCP flow, so not in its packets.
    pub(crate) in_stream: bool,
    /// Inspected in the packets of a TCP flow, and in what its sender says over several of them.
    pub(crate) in_turns: bool,
    /// It is about request and response (`=>`): each condition may hold of another message of the transaction. By condition:
    /// the bytes that must occur for it to hold.
    pub(crate) joined: Option<Box<[Option<Pattern>]>>,
}

impl Program {
    /// What the index needs to know of it.
    pub(crate) fn member(&self, rule: u32) -> Member {
        let mut domains = self.domains();
        domains.extend(self.conditions.iter().filter_map(|condition| condition.domain()));
        Member { rule, domains, pattern: self.pattern.clone() }
    }

    /// The same for messages, where one on request and response is to be found by any of its conditions.
    pub(crate) fn message_members(&self, rule: u32) -> Vec<Member> {
        let Some(patterns) = &self.joined else { return vec![self.member(rule)] };
        let conditions = self.conditions.iter().map(|condition| condition.domain());
        let members = conditions.zip(patterns).map(|(domain, pattern)| {
            let mut domains = self.domains();
            domains.extend(domain);
            Member { rule, domains, pattern: pattern.clone() }
        });
        members.collect()
    }

    /// What header and direction ask of keys.
    fn domains(&self) -> Vec<(Key, RangeSet<u64>)> {
        let mut domains = self.header.domains();
        let direction = self.flow.direction.map(|way| (Key::Direction, RangeSet::one(way.index() as u64)));
        domains.extend(direction);
        domains
    }

    /// Forgets the conditions that columns answer for, for where they alone find the rule: the first on each field.
    pub(crate) fn trust_columns(&mut self) {
        let mut answered = Vec::new();
        self.conditions.retain(|condition| match condition.domain() {
            Some((Key::Field(field), _)) if !answered.contains(&field) => {
                answered.push(field);
                false
            }
            _ => true,
        });
    }

    /// The same for packets: not those of TCP, when it is inspected in the stream there.
    pub(crate) fn packet_member(&self, rule: u32) -> Member {
        let mut member = self.member(rule);
        if self.in_stream {
            member
                .domains
                .push((Key::IpProtocol, RangeSet::new(vec![(0, u64::from(TCP) - 1), (u64::from(TCP) + 1, u64::MAX)])));
        }
        member
    }

    /// Does it count or mark across flows, so that a [`Gate`](super::Gate) must be asked?
    pub(crate) fn is_gated(&self) -> bool {
        self.threshold.as_ref().is_some_and(|threshold| threshold.track != Track::Flow)
            || !self.host_bits.is_empty()
            || !self.suppressions.is_empty()
            || self.rate.is_some()
    }

    /// Is a message that columns leave a match whenever another with the same ends and protocol, which way it goes
    /// included, was one? And does a match of it that is not reported change nothing but what has fired?
    pub(crate) fn is_settled(&self) -> bool {
        self.conditions.is_empty()
            && self.pattern.is_none()
            && self.flow.established.is_none()
            && self.flow.joined.is_none()
            && self.bit_tests.is_empty()
            && self.count_tests.is_empty()
            && self.variable_tests.is_empty()
            && self.bit_effects.is_empty()
            && self.transaction_effects.is_empty()
            && self.count_effects.is_empty()
            && !(self.pass || self.bypass || self.silent)
            && self.scope == Scope::Each
    }

    /// Does it match?
    pub(crate) fn matches(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> bool {
        self.admits(view, memory) && self.conditions.iter().all(|condition| condition.holds(view))
    }

    fn admits(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> bool {
        self.header.admits(view.moment)
            && self.flow.admits(view.moment)
            && self.bit_tests.iter().all(|test| test.holds(view, memory))
            && self.count_tests.iter().all(|test| test.holds(memory))
            && self.variable_tests.iter().all(|test| test.holds(view, memory))
    }

    /// Does it match, where its conditions may hold of several messages of this transaction? What this one shows is
    /// remembered for the next.
    pub(crate) fn matches_joined(
        &self,
        view: &View<'_>,
        transaction: u64,
        memory: &mut Option<Box<FlowMemory>>,
    ) -> bool {
        let fired = memory.as_deref().is_some_and(|memory| memory.has_fired(transaction, self.identity));
        if fired || !self.admits(view, memory.as_deref()) {
            return false;
        }
        let mut all = true;
        for (at, condition) in self.conditions.iter().enumerate() {
            // What may be absent is so of the transaction only when no message has it: there what does not hold stays.
            let absent = condition.chain().is_some_and(Chain::may_be_absent);
            let holds = condition.holds(view);
            let shown = self.is_shown(at, transaction, memory.as_deref());
            if holds != absent && !shown {
                memory.get_or_insert_default().mark(transaction, self.mark_of(at), true);
            }
            all &= if absent { holds && !shown } else { holds || shown };
        }
        all
    }

    /// Has a message of this transaction shown that this condition holds, or, of one on what is absent, that it does not?
    pub(crate) fn is_shown(&self, condition: usize, transaction: u64, memory: Option<&FlowMemory>) -> bool {
        memory.is_some_and(|memory| memory.marked(transaction, self.mark_of(condition)))
    }

    /// The mark of a transaction that stands for one of the conditions.
    fn mark_of(&self, condition: usize) -> u64 {
        self.identity ^ (condition as u64 + 1).rotate_right(8)
    }

    /// Does it match the packet in hand, whatever of it is inspected now?
    pub(crate) fn matches_packet(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> bool {
        !(self.in_stream && view.moment.ip_protocol == TCP) && self.matches(&view.of_packet(), memory)
    }

    /// Is it inspected at packets, and never in what is said over several of them?
    pub(crate) fn is_of_packets_alone(&self) -> bool {
        self.on_packets && !self.in_stream && !self.in_turns
    }

    /// Does it match bytes of a stream, of which some were inspected before? It does in the new ones alone, or in all
    /// where it did not in the old ones. What has its place in packets is seen in those when they alone match; places count
    /// from where the sender took its turn.
    pub(crate) fn matches_stream(&self, view: &View<'_>, memory: Option<&FlowMemory>) -> bool {
        let within = |payload| self.matches(&View { payload, ..*view }, memory);
        match view.payload.split_at_checked(view.seen) {
            None | Some(([], _)) => self.matches(view, memory),
            Some((old, new)) if self.in_turns => {
                let from = old.len().saturating_sub(view.turn);
                let (turn, before) = (view.payload.get(from..), old.get(from..));
                turn.is_some_and(within) && !before.is_some_and(within) && !within(new)
            }
            Some((old, new)) => within(new) || (within(view.payload) && !within(old)),
        }
    }

    /// Does what a match does to the bits and counts of the flow, and to the bits of the transaction.
    pub(crate) fn apply(&self, transaction: Option<u64>, memory: &mut Option<Box<FlowMemory>>) {
        if self.bit_effects.is_empty() && self.count_effects.is_empty() && self.transaction_effects.is_empty() {
            return;
        }
        let memory = memory.get_or_insert_default();
        for effect in &self.bit_effects {
            match *effect {
                BitEffect::Set(bit) => memory.set(bit),
                BitEffect::Unset(bit) => memory.unset(bit),
                BitEffect::Toggle(bit) if memory.bit(bit) => memory.unset(bit),
                BitEffect::Toggle(bit) => memory.set(bit),
            }
        }
        if let Some(of) = transaction {
            for effect in &self.transaction_effects {
                match *effect {
                    BitEffect::Set(bit) => memory.mark(of, bit, true),
                    BitEffect::Unset(bit) => memory.mark(of, bit, false),
                    BitEffect::Toggle(bit) => memory.mark(of, bit, !memory.marked(of, bit)),
                }
            }
        }
        for effect in &self.count_effects {
            if let Some(operand) = effect.operand.value(Some(memory)) {
                memory.change_integer(effect.name, |value| (effect.change)(value, operand));
            }
        }
    }
}
