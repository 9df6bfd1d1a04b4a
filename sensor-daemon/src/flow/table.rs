//! The flow table of one worker.

use serde::{Deserialize, Serialize};
use vigia_parsers::packet::{Packet, Tcp, Transport, Vlans};
use vigia_parsers::{Direction, Timestamp};

use super::Flow;
use super::index::{Hash, Index};
use super::key::{ServicePorts, Tuple};
use super::servers::Servers;
use super::slab::Slab;
use super::timer::{Class, Lists, Timeouts};

/// What VLANs mean for flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VlanMode {
    /// Each direction of a flow has the VLANs of its first packet: a tap may tag one direction only or each with another
    /// tag, yet the same addresses in two VLANs are two flows.
    #[default]
    Auto,
    /// Both directions must have the same VLANs.
    Strict,
    /// VLANs do not tell flows apart.
    Ignore,
}

/// The flow table of each worker.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Flows at a time; when there are more, the least useful one ends: closed ones first, then those without an
    /// answer, then the one that is idle longest, OT flows last.
    #[schemars(range(min = 1))]
    pub max_flows: u32,
    /// What VLANs mean for flows.
    pub vlan: VlanMode,
    /// Idle time after which a TCP flow without a complete handshake ends, in seconds.
    pub tcp_new_s: u32,
    /// Idle time after which an established TCP flow ends, in seconds.
    pub tcp_established_s: u32,
    /// How long a closed TCP flow waits for late segments, in seconds.
    pub tcp_closed_s: u32,
    /// Idle time after which a UDP flow without an answer ends, in seconds.
    pub udp_new_s: u32,
    /// Idle time after which a UDP flow with packets both ways ends, in seconds.
    pub udp_established_s: u32,
    /// Idle time after which a flow of ICMP or another protocol ends, in seconds.
    pub other_s: u32,
    /// Interval of the records of flows that go on, in seconds; 0 for only one record at the end.
    pub interim_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_flows: 1_000_000,
            vlan: VlanMode::Auto,
            tcp_new_s: 60,
            tcp_established_s: 3600,
            tcp_closed_s: 60,
            udp_new_s: 30,
            udp_established_s: 300,
            other_s: 30,
            interim_s: 300,
        }
    }
}

/// What the table did since it began, and how full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Flows now (gauge).
    pub active: u64,
    /// Bytes held by table and index, without what flows own themselves (gauge).
    pub memory_bytes: u64,
    /// Flows made.
    pub created: u64,
    /// Flows ended by timeout.
    pub timed_out: u64,
    /// Flows ended by a new connection on the same addresses and ports.
    pub reused: u64,
    /// Flows ended at shutdown or reload.
    pub shut_down: u64,
    /// Closed flows ended because the table was full.
    pub evicted_closed: u64,
    /// Flows without an answer ended because the table was full.
    pub evicted_new: u64,
    /// Established IT flows ended because the table was full.
    pub evicted_established: u64,
    /// OT flows ended because the table was full.
    pub evicted_ot: u64,
    /// Services of hosts towards others that are known (gauge).
    pub servers: u64,
    /// Times that there were too many of them, and all were forgotten.
    pub servers_begun_anew: u64,
    /// Packets that joined a flow of another VLAN, because their addresses have too many flows already.
    pub vlan_limited: u64,
}

/// A flow in its table, valid until the flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowId(u32);

/// Why a flow ended; EVE's `flow.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Idle for as long as the settings allow.
    Timeout,
    /// The table was full.
    Forced,
    /// The sensor stops.
    Shutdown,
    /// A new TCP connection took over its addresses and ports.
    TcpReuse,
}

impl EndReason {
    /// EVE's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Forced => "forced",
            Self::Shutdown => "shutdown",
            Self::TcpReuse => "tcp_reuse",
        }
    }
}

/// A flow that is over. Hand it to [`super::Reassembler::finish`] before its conversation is finished and its record
/// written.
pub struct EndedFlow {
    /// The flow.
    pub flow: Flow,
    /// Why it ended.
    pub reason: EndReason,
    /// When: the end of its timeout, else its last packet. A function of the flow alone.
    pub at: Timestamp,
}

/// A packet's flow.
pub struct Found {
    /// The flow.
    pub id: FlowId,
    /// Which way the packet goes.
    pub direction: Direction,
    /// It is the flow's first packet.
    pub created: bool,
    /// It is time for an interim record (of all packets up to this one).
    pub interim: bool,
    /// A flow that had to end for this one, to be reported first.
    pub replaced: Option<Box<EndedFlow>>,
}

/// The flows of one worker.
pub struct FlowTable {
    settings: Settings,
    timeouts: Timeouts,
    services: ServicePorts,
    servers: Servers,
    index: Index,
    slab: Slab,
    lists: Lists,
    stats: Stats,
}

/// Flows that may share addresses and ports in different VLANs before packets are no longer told apart.
const SAME_TUPLE: usize = 32;

/// Flows of a class that one call of [`FlowTable::advance`] ends or passes over, at most.
const WORK: usize = 128;

impl FlowTable {
    /// An empty table; it takes memory as flows come.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            timeouts: Timeouts::new(settings),
            services: ServicePorts::new(),
            servers: Servers::default(),
            index: Index::new(),
            slab: Slab::new(),
            lists: Lists::new(),
            stats: Stats::default(),
        }
    }

    /// Takes new settings over; flows stay.
    pub fn configure(&mut self, settings: &Settings) {
        self.timeouts = Timeouts::new(settings);
        self.settings = settings.clone();
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let memory_bytes = (self.slab.memory() + self.index.memory() + self.servers.memory()) as u64;
        let (servers, servers_begun_anew) = (self.servers.len() as u64, self.servers.begun_anew);
        Stats { active: self.slab.len() as u64, memory_bytes, servers, servers_begun_anew, ..self.stats }
    }

    /// The flow of a packet, which is counted in it. `None` for fragments, and for packets without IP that no protocol
    /// of the registry is carried in.
    pub fn lookup(&mut self, packet: &Packet<'_>) -> Option<Found> {
        let (tuple, source_is_low) = Tuple::of(packet)?;
        self.servers.see(packet, &tuple, source_is_low, &self.services);
        let hash = self.index.hash(&tuple);
        let mut replaced = None;
        if let Some(slot) = self.find(hash, &tuple, source_is_low, &packet.vlans) {
            match self.over(slot, source_is_low, packet) {
                None => return Some(self.continued(slot, source_is_low, packet)),
                Some(reason) => replaced = Some(Box::new(self.end(slot, reason))),
            }
        }
        if self.slab.len() >= self.settings.max_flows.max(1) as usize {
            replaced = self.evict().map(Box::new);
        }
        let known = self.servers.sender_is_client(packet, &tuple, source_is_low);
        let from_client = known.unwrap_or_else(|| self.services.sender_is_client(packet));
        let direction = if from_client { Direction::ToServer } else { Direction::ToClient };
        let mut flow = Flow::new(packet, tuple, from_client == source_is_low, &self.settings);
        flow.count(packet, direction);
        let slot = self.slab.insert(flow);
        self.index.insert(hash, slot);
        self.lists.file(&mut self.slab, slot);
        self.stats.created += 1;
        Some(Found { id: FlowId(slot), direction, created: true, interim: false, replaced })
    }

    /// The flow.
    pub fn get(&self, id: FlowId) -> &Flow {
        self.slab.get(id.0)
    }

    /// The flow.
    pub fn get_mut(&mut self, id: FlowId) -> &mut Flow {
        self.slab.get_mut(id.0)
    }

    /// To be called when a packet's work is done: from now on the flow has the timeout of the state it is in.
    pub fn settle(&mut self, id: FlowId) {
        self.lists.refile(&mut self.slab, id.0);
    }

    /// Ends flows that are idle for too long at `now`, which may step back. Bounded work: call it once a batch.
    pub fn advance(&mut self, now: Timestamp, ended: &mut dyn FnMut(EndedFlow)) {
        for class in Class::ALL {
            for _ in 0..WORK {
                let Some(slot) = self.lists.head(class) else { break };
                let flow = self.slab.get(slot);
                if self.timeouts.deadline(flow) < now {
                    ended(self.end(slot, EndReason::Timeout));
                } else if flow.last() > Timestamp(now.0.saturating_add(STEP)) {
                    // Time stepped back since: this flow must not hold up those behind it.
                    self.lists.rotate(&mut self.slab, slot);
                } else {
                    break;
                }
            }
        }
    }

    /// Ends all flows: by timeout those that were idle for too long at `now`, whether or not there was time to notice.
    pub fn finish(&mut self, now: Timestamp, ended: &mut dyn FnMut(EndedFlow)) {
        for class in Class::ALL {
            while let Some(slot) = self.lists.head(class) {
                let over = self.timeouts.deadline(self.slab.get(slot)) < now;
                ended(self.end(slot, if over { EndReason::Timeout } else { EndReason::Shutdown }));
            }
        }
    }

    /// The flow with these addresses, ports and VLANs.
    #[inline]
    fn find(&mut self, hash: Hash, tuple: &Tuple, source_is_low: bool, vlans: &Vlans) -> Option<u32> {
        let mut others = false;
        for slot in self.index.candidates(hash) {
            let flow = self.slab.get(slot);
            if flow.tuple != *tuple {
                continue;
            }
            let recorded = fit(flow, flow.direction(source_is_low), vlans) == Some(Fit::Recorded);
            if recorded || self.settings.vlan == VlanMode::Ignore {
                return Some(slot);
            }
            others = true;
        }
        if others { self.find_less_fit(hash, tuple, source_is_low, vlans) } else { None }
    }

    /// The flow that fits best, where none has recorded these VLANs for this direction.
    #[cold]
    fn find_less_fit(&mut self, hash: Hash, tuple: &Tuple, source_is_low: bool, vlans: &Vlans) -> Option<u32> {
        let (slab, index) = (&self.slab, &self.index);
        let same_tuple = || index.candidates(hash).filter(|&slot| slab.get(slot).tuple == *tuple);
        // Ties go by flow id, which no other flow and no other worker changes.
        let fit = |slot| {
            let flow = slab.get(slot);
            fit(flow, flow.direction(source_is_low), vlans).map(|fit| (fit, flow.id(), slot))
        };
        if let Some((.., slot)) = same_tuple().filter_map(fit).max() {
            return Some(slot);
        }
        if same_tuple().count() < SAME_TUPLE {
            return None;
        }
        self.stats.vlan_limited += 1;
        same_tuple().max_by_key(|&slot| slab.get(slot).id())
    }

    /// Is the flow over, now that this packet came?
    fn over(&self, slot: u32, source_is_low: bool, packet: &Packet<'_>) -> Option<EndReason> {
        let flow = self.slab.get(slot);
        if self.timeouts.deadline(flow) < packet.timestamp {
            return Some(EndReason::Timeout);
        }
        match packet.transport {
            Transport::Tcp(tcp) if tcp.has(Tcp::SYN) && flow.tcp.replaced_by(&tcp, flow.direction(source_is_low)) => {
                Some(EndReason::TcpReuse)
            }
            _ => None,
        }
    }

    /// Is it time for an interim record? Says yes once.
    pub fn is_to_be_reported(&mut self, id: FlowId) -> bool {
        is_to_be_reported(self.slab.get_mut(id.0), self.settings.interim_s)
    }

    fn continued(&mut self, slot: u32, source_is_low: bool, packet: &Packet<'_>) -> Found {
        let flow = self.slab.get_mut(slot);
        let direction = flow.direction(source_is_low);
        flow.count(packet, direction);
        let interim = is_to_be_reported(flow, self.settings.interim_s);
        Found { id: FlowId(slot), direction, created: false, interim, replaced: None }
    }

    fn end(&mut self, slot: u32, reason: EndReason) -> EndedFlow {
        self.lists.unfile(&mut self.slab, slot);
        let flow = self.slab.remove(slot);
        self.index.remove(self.index.hash(&flow.tuple), slot);
        match reason {
            EndReason::Timeout => self.stats.timed_out += 1,
            EndReason::Shutdown => self.stats.shut_down += 1,
            EndReason::TcpReuse => self.stats.reused += 1,
            EndReason::Forced => {}
        }
        let at = if reason == EndReason::Timeout { self.timeouts.deadline(&flow) } else { flow.last() };
        EndedFlow { flow, reason, at }
    }

    /// Ends the least useful flow.
    fn evict(&mut self) -> Option<EndedFlow> {
        let (rank, slot) = Class::RANKS.iter().enumerate().find_map(|(rank, classes)| {
            let heads = classes.iter().filter_map(|&class| self.lists.head(class));
            heads.min_by_key(|&slot| self.slab.get(slot).last()).map(|slot| (rank, slot))
        })?;
        match rank {
            0 => self.stats.evicted_closed += 1,
            1 => self.stats.evicted_new += 1,
            2 => self.stats.evicted_established += 1,
            _ => self.stats.evicted_ot += 1,
        }
        Some(self.end(slot, EndReason::Forced))
    }
}

/// Is it time for an interim record, with so many seconds from one to the next? Says yes once.
fn is_to_be_reported(flow: &mut Flow, interval: u32) -> bool {
    let now = flow.last().seconds() as u32;
    let interim = interval > 0 && now.saturating_sub(flow.links.reported) >= interval;
    if interim {
        flow.links.reported = now;
    }
    interim
}

/// Packet time that steps back by less than this is reordering, not another clock: nanoseconds.
const STEP: u64 = 60_000_000_000;

/// How well a packet's VLANs fit a flow; the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// This direction has none recorded; the other has others.
    Open,
    /// This direction has none recorded; the other has the same.
    Same,
    /// They are those of this direction.
    Recorded,
}

fn fit(flow: &Flow, direction: Direction, vlans: &Vlans) -> Option<Fit> {
    let (this, other) = (direction.index(), direction.opposite().index());
    match flow.vlans_known[this] {
        true => (flow.vlans[this] == *vlans).then_some(Fit::Recorded),
        false if flow.vlans[other] == *vlans => Some(Fit::Same),
        false => Some(Fit::Open),
    }
}

#[cfg(test)]
mod tests;
