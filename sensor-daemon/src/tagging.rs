//! Packets that rules want recorded after an alert (`tag`).
//!
//! A tag on a session is kept with its flow. One on a host is on a board that all workers see, since other flows of the host
//! may be those of other workers. Which of them comes first with the last packets that are recorded is chance, live; a replay
//! is by one worker where rules ask for such a thing ([`ties_flows`]).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vigia_parsers::Timestamp;
use vigia_parsers::packet::Packet;
use vigia_rules::{Engine, FlowMemory, Tag, TagScope, Tagged};

use crate::metrics::{Block, Counter};

/// Hosts that are tagged at the most; further tags on hosts are not followed.
const HOSTS: usize = 1024;
/// A tag on a host that has been silent for so long is over, in nanoseconds.
const SILENCE: u64 = 600 * 1_000_000_000;
/// How often such tags are looked for.
const INTERVAL: u64 = 60 * 1_000_000_000;

/// Does it depend on other flows which packets of a flow rules want recorded? It does where a rule tags a host, and where
/// matches of other flows say whether a match becomes an alert.
pub fn ties_flows(engine: &Engine) -> bool {
    engine.rules().iter().any(|rule| rule.tags.iter().any(|tag| tag.scope != TagScope::Session || rule.gated))
}

/// The tagged hosts of all workers.
#[derive(Debug)]
struct Board {
    /// Grows when a host is put on it or taken off.
    version: AtomicU64,
    hosts: Mutex<HashMap<IpAddr, TaggedHost>>,
    /// When tags that are over were looked for last.
    settled: AtomicU64,
    counters: Arc<Block>,
}

/// A host on the board.
#[derive(Debug)]
struct TaggedHost {
    tagged: Tagged,
    /// When it was tagged, or a packet of it was seen last.
    seen: Timestamp,
}

impl TaggedHost {
    fn is_over(&self, now: Timestamp) -> bool {
        self.tagged.is_over(now) || now.since(self.seen) > SILENCE
    }
}

impl Board {
    fn hosts(&self) -> MutexGuard<'_, HashMap<IpAddr, TaggedHost>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, hosts: &HashMap<IpAddr, TaggedHost>) {
        self.counters.set(Counter::TaggedHosts, hosts.len() as u64);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn follow(&self, host: IpAddr, tagged: Tagged, now: Timestamp) {
        let mut hosts = self.hosts();
        if hosts.len() >= HOSTS && !hosts.contains_key(&host) {
            hosts.retain(|_, host| !host.is_over(now));
            if hosts.len() >= HOSTS {
                self.counters.add(Counter::TagsRefused, 1);
                return;
            }
        }
        hosts.insert(host, TaggedHost { tagged, seen: now });
        self.changed(&hosts);
    }

    /// Takes all hosts off.
    fn clear(&self) {
        let mut hosts = self.hosts();
        self.settled.store(0, Ordering::Relaxed);
        hosts.clear();
        self.changed(&hosts);
    }

    /// Takes hosts off whose tags are over.
    fn settle(&self, now: Timestamp) {
        if now.since(Timestamp(self.settled.load(Ordering::Relaxed))) < INTERVAL {
            return;
        }
        self.settled.store(now.0, Ordering::Relaxed);
        let mut hosts = self.hosts();
        let before = hosts.len();
        hosts.retain(|_, host| !host.is_over(now));
        if hosts.len() < before {
            self.changed(&hosts);
        }
    }

    /// Is a packet of this host to be recorded?
    fn takes(&self, host: IpAddr, packet: &Packet<'_>) -> bool {
        let mut hosts = self.hosts();
        let Some(known) = hosts.get_mut(&host) else { return false };
        known.seen = known.seen.max(packet.timestamp);
        let takes = known.tagged.takes(packet);
        if !takes {
            hosts.remove(&host);
            self.changed(&hosts);
        }
        takes
    }
}

/// Tags as a worker follows them.
#[derive(Debug, Clone)]
pub struct Tags {
    board: Arc<Board>,
    /// What the worker knows of the board, as of this version.
    version: u64,
    hosts: HashSet<IpAddr>,
}

impl Tags {
    /// Nothing is tagged yet. Clones are for other workers, and see the same tags on hosts.
    pub fn new(counters: &Arc<Block>) -> Self {
        let (version, hosts) = (AtomicU64::new(0), Mutex::default());
        let board = Board { version, hosts, settled: AtomicU64::new(0), counters: Arc::clone(counters) };
        Self { board: Arc::new(board), version: 0, hosts: HashSet::new() }
    }

    /// Follows a tag from now on: on the flow, in whose memory it is kept, or on the sender or receiver of what matched.
    pub fn follow(&self, tag: Tag, memory: &mut Option<Box<FlowMemory>>, ends: [IpAddr; 2], now: Timestamp) {
        let tagged = Tagged::new(tag.limit, now);
        match tag.scope {
            TagScope::Session => memory.get_or_insert_default().tagged = Some(tagged),
            TagScope::Source => self.board.follow(ends[0], tagged, now),
            TagScope::Destination => self.board.follow(ends[1], tagged, now),
        }
    }

    /// Packets from now on are of another session, in which nothing is tagged yet. Where rules tag hosts, one worker reads all
    /// captures ([`ties_flows`]), so none of another's tags go with it.
    pub fn begin_session(&self) {
        self.board.clear();
    }

    /// To be called now and then: tags on hosts that have fallen silent end.
    pub fn settle(&self, now: Timestamp) {
        self.board.settle(now);
    }

    /// Is a packet of a flow to be recorded?
    #[inline]
    pub fn wants(&mut self, packet: &Packet<'_>, memory: &mut Option<Box<FlowMemory>>) -> bool {
        if self.board.version.load(Ordering::Acquire) != self.version {
            self.look();
        }
        match memory.as_deref_mut().map(|memory| &mut memory.tagged) {
            Some(session) if session.is_some() => self.is_tagged(packet, session),
            _ if !self.hosts.is_empty() => self.is_tagged(packet, &mut None),
            _ => false,
        }
    }

    /// Looks at the board, which has changed.
    #[cold]
    fn look(&mut self) {
        let hosts = self.board.hosts();
        self.version = self.board.version.load(Ordering::Acquire);
        self.hosts = hosts.keys().copied().collect();
    }

    #[cold]
    fn is_tagged(&self, packet: &Packet<'_>, session: &mut Option<Tagged>) -> bool {
        let mut wanted = session.as_mut().is_some_and(|tagged| tagged.takes(packet));
        if !wanted {
            *session = None;
        }
        let Some(ip) = &packet.ip else { return wanted };
        // Each end's tag counts the packet.
        for host in [ip.source, ip.destination] {
            wanted |= self.hosts.contains(&host) && self.board.takes(host, packet);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use vigia_parsers::packet::{self, Captured, DecodeLimits, LinkType};
    use vigia_rules::TagLimit;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    /// A datagram of the host, without options and payload.
    const FRAME: [u8; 28] =
        [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 53, 0, 8, 0, 0];

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    fn is_recorded(tags: &mut Tags, seconds: u64) -> bool {
        let captured = Captured {
            number: 1,
            timestamp: at(seconds),
            link: LinkType::RawIp,
            frame: &FRAME,
            wire_length: FRAME.len() as u32,
            stripped_vlan: None,
        };
        tags.wants(&packet::decode(&captured, &DecodeLimits::default()), &mut None)
    }

    #[test]
    fn a_tag_on_a_host_ends_after_ten_minutes_of_its_silence_and_not_before() {
        let metrics = crate::metrics::Metrics::default();
        let counters = metrics.shared();
        let mut tags = Tags::new(counters);
        let other = tags.clone();
        let tag = Tag { scope: TagScope::Source, limit: TagLimit::Packets(100) };
        other.follow(tag, &mut None, [HOST, HOST], at(1000));
        assert!(is_recorded(&mut tags, 1500));
        let tagged_at = |seconds| {
            other.settle(at(seconds));
            counters.get(Counter::TaggedHosts)
        };
        assert_eq!([2040, 2100, 2160].map(tagged_at), [1, 1, 0]);
        assert!(!is_recorded(&mut tags, 2161));
    }
}
