//! Packets that rules want recorded after an alert (`tag`).
//!
//! A tag on a session is kept with its flow. One on a host is kept for the two hosts of the flow, so that it does not
//! depend on which workers other flows of the host meet: what is recorded is what both say to each other.

use std::collections::HashMap;
use std::net::IpAddr;

use vigia_parsers::Timestamp;
use vigia_parsers::packet::Packet;
use vigia_rules::{FlowMemory, Tag, TagScope, Tagged};

/// Pairs of hosts that are tagged at the most; further tags on hosts are not followed.
const PAIRS: usize = 1024;

/// The tags of one worker on pairs of hosts.
#[derive(Debug, Default)]
pub struct HostTags {
    pairs: HashMap<(IpAddr, IpAddr), Tagged>,
    refused: u64,
}

impl HostTags {
    /// Follows a tag from now on: on the flow, in whose memory it is kept, or on the two hosts.
    pub fn follow(&mut self, tag: Tag, memory: &mut Option<Box<FlowMemory>>, ends: [IpAddr; 2], now: Timestamp) {
        let tagged = Tagged::new(tag.limit, now);
        if tag.scope == TagScope::Session {
            memory.get_or_insert_default().tagged = Some(tagged);
        } else if self.pairs.len() < PAIRS || self.pairs.contains_key(&pair(ends)) {
            self.pairs.insert(pair(ends), tagged);
        } else {
            self.refused += 1;
        }
    }

    /// Pairs of hosts that are tagged.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Tags that were not followed, because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Is a packet of a flow to be recorded?
    #[inline]
    pub fn wants(&mut self, packet: &Packet<'_>, memory: &mut Option<Box<FlowMemory>>) -> bool {
        match memory.as_deref_mut().map(|memory| &mut memory.tagged) {
            Some(session) if session.is_some() => self.is_tagged(packet, session),
            _ if !self.pairs.is_empty() => self.is_tagged(packet, &mut None),
            _ => false,
        }
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
