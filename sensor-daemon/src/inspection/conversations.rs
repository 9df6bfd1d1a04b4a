//! The conversations of flows: made for the first payload, put back after a pass, and what they hold all together.

use vigia_parsers::conversation::{Conversation, Medium, Opening};
use vigia_parsers::packet::{Packet, Tcp, Transport};
use vigia_parsers::registry;

use super::Inspector;
use crate::flow::Flow;
use crate::metrics::Counter;

/// Bytes of unfinished messages that a flow may hold though all together hold too many: whoever floods the sensor with
/// beginnings of long messages must not make it lose the short ones of others.
const FEW_UNFINISHED: u64 = 4096;

/// Is what was said in the flow of no known protocol, as far as can be told?
#[inline]
pub(super) fn has_failed(flow: &Flow, conversation: Option<&Conversation>) -> bool {
    flow.foreign || conversation.is_some_and(Conversation::has_failed)
}

/// What all conversations of a worker hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// Bytes of unfinished messages.
    pub messages: u64,
    /// Requests that wait for their answers.
    pub requests: u64,
    /// Bytes of these requests.
    pub request_bytes: u64,
    /// Bytes of messages that are being joined.
    pub joined_bytes: u64,
    /// Flows of which rules remember something.
    pub remembered: u64,
}

impl Held {
    pub(super) fn of(conversation: &Conversation) -> Self {
        let kept = conversation.kept();
        Self {
            messages: conversation.buffered() as u64,
            requests: kept.requests.into(),
            request_bytes: kept.request_bytes.into(),
            joined_bytes: kept.joined_bytes.into(),
            remembered: 0,
        }
    }

    /// Changes each part by that of `other`.
    pub(super) fn change(&mut self, other: &Self, change: fn(u64, u64) -> u64) {
        self.messages = change(self.messages, other.messages);
        self.requests = change(self.requests, other.requests);
        self.request_bytes = change(self.request_bytes, other.request_bytes);
        self.joined_bytes = change(self.joined_bytes, other.joined_bytes);
    }
}

impl Inspector {
    /// A conversation for the flow's first payload. Nothing is made for a flow that no protocol may be expected in.
    pub(super) fn converse(&self, packet: &Packet<'_>, flow: &Flow) -> Option<Box<Conversation>> {
        if packet.ip.is_none() {
            let protocol = registry::by_ethertype(packet.ethernet?.ethertype)?;
            return Some(Box::new(Conversation::on_link(protocol, &self.dissection.limits(&[]))));
        }
        let medium = match packet.transport {
            Transport::Tcp(_) => Medium::Stream,
            Transport::Udp => Medium::Datagram,
            _ => return None,
        };
        let [(client, client_port), (server, server_port)] = [flow.client(), flow.server()];
        let limits = self.dissection.limits(&[server, client]);
        let opening = Opening {
            client_port,
            server_port,
            medium,
            roles_known: (flow.tcp_flags[0] | flow.tcp_flags[1]) & Tcp::SYN != 0,
        };
        Some(Box::new(Conversation::new(opening, self.protocols, &limits)))
    }

    /// Puts the conversation back and, if it was spoken to, takes over what it found out about the flow.
    pub(super) fn keep(&mut self, flow: &mut Flow, conversation: Option<Box<Conversation>>, touched: bool) {
        if !touched {
            flow.conversation = conversation;
            return;
        }
        let Some(mut conversation) = conversation else { return };
        if flow.protocol.is_none()
            && let Some(protocol) = conversation.protocol()
        {
            flow.protocol = Some(protocol);
            self.output.counters.detected(protocol);
        }
        if conversation.take_reversed() {
            flow.reverse();
        }
        flow.foreign = conversation.is_unknown();
        let unfinished = conversation.buffered() as u64;
        if unfinished > FEW_UNFINISHED && self.held.messages + unfinished > self.dissection.max_unfinished_bytes {
            conversation.forget_unfinished();
            self.output.counters.add(Counter::BoundedUnfinished, 1);
        }
        self.held.change(&Held::of(&conversation), u64::wrapping_add);
        flow.conversation = (!flow.foreign).then_some(conversation);
    }
}
