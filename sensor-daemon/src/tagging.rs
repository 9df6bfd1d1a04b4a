//! Packets that rules want recorded after an alert (`tag`).
//!
//! A tag on a session is kept with its flow. One on a host is kept for the two hosts of the flow, so that it does not
//! depend on which workers other flows of the host meet: what is recorded is what both say to each other.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::Timestamp;
use vigia_parsers::packet::Packet;
use vigia_rules::{Tag, TagLimit, TagScope};

/// Pairs of hosts that are tagged at the most; further tags on hosts are not followed.
const PAIRS: usize = 1024;

/// What is still to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// So many packets.
    Packets(u32),
    /// Packets with so many bytes on the wire.
    Bytes(u32),
    /// Packets up to this time.
    Until(Timestamp),
}

impl Tagged {
    fn new(limit: TagLimit, now: Timestamp) -> Self {
        match limit {
            TagLimit::Packets(count) => Self::Packets(count),
            TagLimit::Bytes(count) => Self::Bytes(count),
            TagLimit::Seconds(count) => Self::Until(Timestamp(now.0.saturating_add(u64::from(count) * 1_000_000_000))),
        }
    }

    /// Is this packet to be recorded? If so, it is counted.
    fn takes(&mut self, packet: &Packet<'_>) -> bool {
        match self {
            Self::Packets(left) => take(left, 1),
            Self::Bytes(left) => take(left, packet.wire_length),
            Self::Until(end) => packet.timestamp <= *end,
        }
    }
}

/// Takes up to `count` off; false when nothing was left.
fn take(left: &mut u32, count: u32) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(count);
    any
}

/// The tags of one worker on pairs of hosts.
#[derive(Debug, Default)]
pub struct HostTags {
    pairs: HashMap<(IpAddr, IpAddr), Tagged>,
}

impl HostTags {
    /// Follows a tag from now on: on the flow, whose own is `session`, or on the two hosts.
    pub fn follow(&mut self, tag: Tag, session: &mut Option<Tagged>, ends: [IpAddr; 2], now: Timestamp) {
        let tagged = Tagged::new(tag.limit, now);
        if tag.scope == TagScope::Session {
            *session = Some(tagged);
        } else if self.pairs.len() < PAIRS || self.pairs.contains_key(&pair(ends)) {
            self.pairs.insert(pair(ends), tagged);
        }
    }

    /// Is a packet of a flow to be recorded?
    #[inline]
    pub fn wants(&mut self, packet: &Packet<'_>, session: &mut Option<Tagged>) -> bool {
        if session.is_none() && self.pairs.is_empty() {
            return false;
        }
        self.is_tagged(packet, session)
    }

    #[cold]
    fn is_tagged(&mut self, packet: &Packet<'_>, session: &mut Option<Tagged>) -> bool {
        let by_session = session.as_mut().is_some_and(|tagged| tagged.takes(packet));
        if !by_session {
            *session = None;
        }
        let Some(ip) = &packet.ip else { return by_session };
        let key = pair([ip.source, ip.destination]);
        let Some(tagged) = self.pairs.get_mut(&key) else { return by_session };
        let by_hosts = tagged.takes(packet);
        if !by_hosts {
            self.pairs.remove(&key);
        }
        by_session || by_hosts
    }
}

fn pair([a, b]: [IpAddr; 2]) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}
