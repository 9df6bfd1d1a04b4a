//! Flows of which nobody needs to see more: they are left to the kernel, which drops their frames before they are copied
//! and counts them. What it counted is added to the flow in time, so that its records are exact and it does not time out.
//!
//! Verdicts go to the kernel, and counts come back, by batches between two batches of packets. OT is not shunted unless a
//! rule asks for it (`bypass`). What begins or ends a TCP connection still comes to the worker, so a flow ends as it would.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vigia_parsers::packet::Packet;
use vigia_parsers::{Direction, Timestamp};
use vigia_probes_abi::tap::{FlowKey, Shunted};

use crate::capture::TapSettings;
use crate::capture::shunt::{Shunts, flow_key};
use crate::flow::{Custody, Flow, FlowId, FlowTable};
use crate::metrics::{Counter, Counters};

/// How often a shunted flow takes over what was counted. Less than the shortest idle time after which a flow ends.
const REFRESH: Duration = Duration::from_secs(5);

/// Flows that are refreshed at a time.
const REFRESH_AT_ONCE: usize = 256;

/// One worker's shunts.
pub struct Shunting {
    shunts: Arc<dyn Shunts>,
    encrypted: bool,
    bulk_bytes: u64,
    /// Directions of flows that are to be shunted after this batch.
    wanted: Vec<(FlowId, u64, Direction)>,
    /// By flow id.
    flows: HashMap<u64, Left>,
    /// Flow ids, the next to be refreshed first, with the time when.
    due: VecDeque<(Instant, u64)>,
    /// Keys for the kernel; kept for its memory.
    keys: Vec<FlowKey>,
}

/// A flow that is left to the kernel.
struct Left {
    place: FlowId,
    /// By direction; `None` of one that is not shunted.
    keys: [Option<FlowKey>; 2],
    /// What was taken over already.
    taken: [Shunted; 2],
}

impl Shunting {
    /// With none.
    pub fn new(shunts: Arc<dyn Shunts>, settings: &TapSettings) -> Self {
        let (wanted, flows, due, keys) = Default::default();
        let (encrypted, bulk_bytes) = (settings.shunt_encrypted, settings.shunt_bulk_bytes);
        Self { shunts, encrypted, bulk_bytes, wanted, flows, due, keys }
    }

    /// Decides whether this was the last packet of its direction that anybody needed to see; true if so.
    #[inline]
    pub fn consider(&mut self, flow: &mut Flow, id: FlowId, packet: &Packet<'_>, direction: Direction) -> bool {
        let (this, other) = (flow.custody[direction.index()], flow.custody[direction.opposite().index()]);
        // A packet within a tunnel is one of the tunnel's flow, too, and has to be counted there.
        if !this.is_open() || !flow.has_ports() || packet.tunnel_depth > 0 {
            return false;
        }
        let over = other == Custody::Kernel || flow.bypass || self.says_nothing_more(flow, packet, direction);
        if over {
            self.shunt(flow, id);
        }
        over
    }

    /// Is there nothing more to be learned from what no dissector reads?
    fn says_nothing_more(&self, flow: &mut Flow, packet: &Packet<'_>, direction: Direction) -> bool {
        if flow.protocol.is_some() || flow.alerted {
            return false;
        }
        let enough = flow.foreign && self.bulk_bytes != 0 && flow.bytes[0] + flow.bytes[1] >= self.bulk_bytes;
        if !(enough || (self.encrypted && is_encrypted(flow, packet, direction))) {
            return false;
        }
        let is_ot = self.shunts.is_ot(flow.ip_protocol(), [flow.client().1, flow.server().1]);
        if is_ot {
            flow.custody = [Custody::Worker; 2];
        }
        !is_ot
    }

    /// Shunts those directions of a flow that have been seen.
    #[cold]
    fn shunt(&mut self, flow: &mut Flow, id: FlowId) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let side = direction.index();
            if flow.custody[side].is_open() && flow.vlans_of(direction).is_some() {
                flow.custody[side] = Custody::Kernel;
                self.wanted.push((id, flow.id(), direction));
            }
        }
    }

    /// Hands the verdicts of a batch to the kernel, and takes over what it counted of some flows. `due` is called for those of which
    /// an interim record is to be written.
    pub fn settle(&mut self, flows: &mut FlowTable, counters: &mut Counters, due: &mut dyn FnMut(FlowId)) {
        self.keys.clear();
        for (place, id, direction) in self.wanted.drain(..) {
            let flow = flows.get(place);
            // It may have ended since.
            let Some(key) = (flow.id() == id).then(|| key_of(flow, direction)).flatten() else { continue };
            let left = self.flows.entry(id).or_insert_with(|| {
                self.due.push_back((Instant::now() + REFRESH, id));
                Left { place, keys: [None; 2], taken: Default::default() }
            });
            left.keys[direction.index()] = Some(key);
            self.keys.push(key);
        }
        if !self.keys.is_empty() {
            let taken = self.shunts.shunt(&self.keys);
            counters.add(Counter::ShuntsRefused, (self.keys.len() - taken) as u64);
        }
        self.refresh(flows, counters, due);
        counters.set(Counter::FlowsShunted, self.flows.len() as u64);
    }

    fn refresh(&mut self, flows: &mut FlowTable, counters: &mut Counters, due: &mut dyn FnMut(FlowId)) {
        let Some((next, _)) = self.due.front() else { return };
        let now = Instant::now();
        if *next > now {
            return;
        }
        let clock = Clock::now();
        for _ in 0..REFRESH_AT_ONCE {
            let Some(&(_, id)) = self.due.front().filter(|(due, _)| *due <= now) else { break };
            self.due.pop_front();
            // Of one that is over nothing is left.
            let Some(left) = self.flows.get_mut(&id) else { continue };
            let read = left.keys.map(|key| key.and_then(|key| self.shunts.shunted(&key)));
            let place = left.place;
            take_over(flows.get_mut(place), left, read, &clock, counters);
            flows.settle(place);
            if flows.is_to_be_reported(place) {
                due(place);
            }
            self.due.push_back((now + REFRESH, id));
        }
    }

    /// A flow is over: what the kernel counted of it is added, and it is captured again.
    pub fn ended(&mut self, flow: &mut Flow, counters: &mut Counters) {
        if !flow.custody.contains(&Custody::Kernel) {
            return;
        }
        let Some(mut left) = self.flows.remove(&flow.id()) else { return };
        let read = left.keys.map(|key| key.and_then(|key| self.shunts.unshunt(&key)));
        take_over(flow, &mut left, read, &Clock::now(), counters);
    }

    /// All flows are over.
    pub fn finish(&mut self) {
        self.wanted.clear();
        self.due.clear();
    }

    /// Begins anew after a panic: what was shunted is captured again, and what was counted of it is in the sums only.
    pub fn restart(&mut self, counters: &mut Counters) {
        self.finish();
        for left in std::mem::take(&mut self.flows).into_values() {
            for (key, taken) in left.keys.iter().zip(left.taken) {
                if let Some(now) = key.and_then(|key| self.shunts.unshunt(&key)) {
                    count(counters, now.packets - taken.packets, now.bytes - taken.bytes);
                }
            }
        }
    }
}

fn key_of(flow: &Flow, direction: Direction) -> Option<FlowKey> {
    let [source, destination] = flow.ends(direction);
    let vlans = flow.vlans_of(direction)?;
    Some(flow_key(source, destination, flow.ip_protocol(), &vlans))
}

/// Adds what the kernel counted since the last time.
fn take_over(flow: &mut Flow, left: &mut Left, read: [Option<Shunted>; 2], clock: &Clock, counters: &mut Counters) {
    for (side, (now, taken)) in read.into_iter().zip(&mut left.taken).enumerate() {
        let Some(now) = now else { continue };
        let (packets, bytes) = (now.packets - taken.packets, now.bytes - taken.bytes);
        if packets > 0 {
            flow.count_unseen(side, packets, bytes, now.tcp_flags as u8, clock.timestamp(now.last_ns));
            count(counters, packets, bytes);
        }
        *taken = now;
    }
}

fn count(counters: &mut Counters, packets: u64, bytes: u64) {
    counters.add(Counter::PacketsSeen, packets);
    counters.add(Counter::BytesSeen, bytes);
    counters.add(Counter::PacketsShunted, packets);
}

/// Turns the kernel's monotonic clock into time.
struct Clock {
    /// What is to be added, in nanoseconds.
    offset: i128,
}

impl Clock {
    fn now() -> Self {
        let nanoseconds = |clock| {
            let time = rustix::time::clock_gettime(clock);
            i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
        };
        let monotonic = nanoseconds(rustix::time::ClockId::Monotonic);
        Self { offset: nanoseconds(rustix::time::ClockId::Realtime) - monotonic }
    }

    fn timestamp(&self, monotonic_ns: u64) -> Timestamp {
        Timestamp((i128::from(monotonic_ns) + self.offset).max(0) as u64)
    }
}

/// Have both sides of a TLS connection sent records of application data (RFC 8446, 5.1)? From version 1.3 on the rest of the
/// handshake is in such records, too.
#[inline]
fn is_encrypted(flow: &mut Flow, packet: &Packet<'_>, direction: Direction) -> bool {
    const APPLICATION_DATA: u8 = 23;
    const LONGEST: u16 = (1 << 14) + 2048;
    if flow.ip_protocol() != 6 {
        return false;
    }
    if let [APPLICATION_DATA, 3, 1..=4, high, low, ..] = packet.payload()
        && (1..=LONGEST).contains(&u16::from_be_bytes([*high, *low]))
    {
        flow.custody[direction.index()] = Custody::Encrypted;
    }
    flow.custody == [Custody::Encrypted; 2]
}
