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
    hosts: Mutex<HashMap<IpAddr, Tagged>>,
    counters: Arc<Block>,
}

impl Board {
    fn hosts(&self) -> MutexGuard<'_, HashMap<IpAddr, Tagged>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, hosts: &HashMap<IpAddr, Tagged>) {
        self.counters.set(Counter::TaggedHosts, hosts.len() as u64);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn follow(&self, host: IpAddr, tagged: Tagged, now: Timestamp) {
        let mut hosts = self.hosts();
        if hosts.len() >= HOSTS && !hosts.contains_key(&host) {
            hosts.retain(|_, tagged| !tagged.is_over(now));
            if hosts.len() >= HOSTS {
                self.counters.add(Counter::TagsRefused, 1);
                return;
            }
        }
        hosts.insert(host, tagged);
        self.changed(&hosts);
    }

    /// Is a packet of this host to be recorded?
    fn takes(&self, host: IpAddr, packet: &Packet<'_>) -> bool {
        let mut hosts = self.hosts();
        let Some(tagged) = hosts.get_mut(&host) else { return false };
        let takes = tagged.takes(packet);
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
        let board = Board { version, hosts, counters: Arc::clone(counters) };
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
