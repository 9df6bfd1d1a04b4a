//! The type of a rule, as the chapter "Rule Types and Categorization" of Suricata's guide has it: what it asks decides of
//! which packets it speaks, and how far its action reaches.

use super::Draft;
use super::rule::Place;
use crate::engine::program::{Extent, Header, Scope};
use crate::engine::view::Key;

/// The types of rules. Those on decode events are of packets here, as are those on events of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `pkt`: about what each packet has of its own.
    Packet,
    /// `ip_only`: about addresses alone, none of them negated.
    Addresses,
    /// `like_ip_only`: about addresses alone, some of them negated.
    NegatedAddresses,
    /// `pd_only`: about the flow's protocol alone, as `app-layer-protocol` asks for it.
    Detection,
    /// `app_layer`: about the flow's protocol alone, as the header names it.
    Protocol,
    /// `stream` and `pkt_stream`: about bytes that are said over segments.
    Stream,
    /// `app_tx`: about messages of a protocol.
    Transaction,
}

impl Kind {
    /// The type of a rule that is inspected at these places, were it about more than addresses and protocol.
    pub(super) fn of(draft: &Draft, header: &Header, places: &[Place]) -> Self {
        if draft.decode_event.is_some() || draft.stream_event.is_some() {
            return Self::Packet;
        }
        if draft.message || draft.anomaly.is_some() {
            return Self::Transaction;
        }
        if !draft.sections.is_empty() {
            let streamed = places.iter().any(|place| matches!(place, Place::Stream | Place::Turn));
            return if streamed { Self::Stream } else { Self::Packet };
        }
        let flow = draft.flow.unwrap_or_default();
        let varies = draft.selective || flow.established.is_some() || flow.joined.is_some();
        if varies || !draft.conditions.iter().all(|it| matches!(it.domain(), Some((Key::Protocol, _)))) {
            return Self::Packet;
        }
        let ports = header.source_ports.is_some() || header.destination_ports.is_some();
        match () {
            () if header.protocol.is_some() => Self::Protocol,
            () if !draft.conditions.is_empty() => Self::Detection,
            () if ports || draft.flow.is_some() => Self::Packet,
            () if header.has_negated_address() => Self::NegatedAddresses,
            () => Self::Addresses,
        }
    }

    /// How often a rule of this type speaks.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Addresses | Self::Detection => Scope::Flow,
            _ => Scope::Each,
        }
    }

    /// How far a pass rule of this type reaches, unless its action says so.
    pub(super) fn extent(self) -> Extent {
        match self {
            Self::Packet => Extent::Packet,
            Self::Stream => Extent::Stream,
            _ => Extent::Flow,
        }
    }
}
