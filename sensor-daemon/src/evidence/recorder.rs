//! A worker's end: every packet is copied into a block, and full blocks are handed over.
//!
//! # Keys
//!
//! A packet is kept under the id of its flow, a number of 51 bits. One without a flow has a key with the highest bit set: a
//! fragment that of its two hosts (its ports are in another fragment), a frame without IP that of its ethertype.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, Packet};

use super::block::{Block, Kind, Record};
use super::collector::Message;
use crate::capture::InterfaceId;
use crate::metrics::{self, Counter};

/// Live, this often what there is is handed over, or at least the time, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// Bytes of an alert's line that are kept: what a comment in pcapng can hold.
pub(super) const LINE_BYTES: usize = 65_000;

/// Marks keys that are no flow's id.
const NO_FLOW: u64 = 1 << 63;

/// The key of fragments between two hosts.
fn key_of_hosts(hosts: [IpAddr; 2]) -> u64 {
    let folded = hosts.map(|host| match host {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64 ^ (address.to_bits() as u64).rotate_left(17),
    });
    let mixed = folded.map(|word| (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let both = mixed[0].wrapping_add(mixed[1]);
    NO_FLOW | (both ^ both >> 32)
}

/// The key of a packet that has no flow.
fn key_without_flow(packet: &Packet<'_>) -> u64 {
    match &packet.ip {
        Some(ip) => key_of_hosts([ip.source, ip.destination]),
        None => NO_FLOW | packet.ethernet.map_or(0, |ethernet| u64::from(ethernet.ethertype) | 1 << 32),
    }
}

/// Keeps what one worker sees. Nothing is allocated, locked or waited for, but in a replay, where the capture waits.
pub struct Recorder {
    block: Block,
    /// Blocks to be filled anew.
    free: Receiver<Block>,
    full: Sender<Message>,
    /// Wait for a free block rather than lose one.
    waits: bool,
    counters: Arc<metrics::Block>,
    /// Packets lost since the last block that was handed over.
    lost: u64,
    /// When it was last seen whether something waits.
    settled: Timestamp,
    /// The VLAN tag that the network card took off the frame in hand.
    stripped: Option<(u16, u16)>,
    /// The keys under which the frame in hand is kept, the first and the last; none while it is not.
    keys: Option<[u64; 2]>,
}

impl Recorder {
    pub(super) fn new(
        block: Block,
        free: Receiver<Block>,
        full: Sender<Message>,
        waits: bool,
        counters: Arc<metrics::Block>,
    ) -> Self {
        Self { block, free, full, waits, counters, lost: 0, settled: Timestamp(0), stripped: None, keys: None }
    }

    /// Another frame is in hand.
    #[inline]
    pub fn begin(&mut self, captured: &Captured<'_>) {
        self.stripped = captured.stripped_vlan;
        self.keys = None;
    }

    /// The frame in hand is of this flow. The first who says so has to show the frame itself as `packet`, no datagram put
    /// together from several.
    #[inline]
    pub fn of_flow(&mut self, packet: &Packet<'_>, interface: InterfaceId, flow: u64) {
        self.keep(packet, interface, flow);
    }

    /// The frame in hand has no flow, or as a fragment cannot tell it. It is to be shown as in [`Recorder::of_flow`].
    pub fn without_flow(&mut self, packet: &Packet<'_>, interface: InterfaceId) {
        self.keep(packet, interface, key_without_flow(packet));
    }

    #[inline]
    fn keep(&mut self, packet: &Packet<'_>, interface: InterfaceId, key: u64) {
        let record = Record {
            kind: Kind::Packet,
            key,
            timestamp: packet.timestamp,
            wire_length: packet.wire_length,
            link: packet.link.number(),
            interface,
            bytes: &[],
        };
        match self.keys {
            Some([_, last]) if last == key => return,
            Some(_) => self.belonging(&Record { kind: Kind::Also, wire_length: 0, ..record }, []),
            None => self.frame(&record, packet.bytes),
        }
        self.keys = Some([self.keys.map_or(key, |[first, _]| first), key]);
    }

    #[inline]
    fn frame(&mut self, record: &Record<'_>, frame: &[u8]) {
        // What the card took off is put back.
        const TAG: usize = 4;
        if !self.block.has_room(frame.len() + TAG) {
            self.hand_over();
        }
        let kept = match (self.stripped, frame.split_at_checked(12)) {
            (Some((tag, ethertype)), Some((addresses, rest))) => {
                let tag = (u32::from(ethertype) << 16 | u32::from(tag)).to_be_bytes();
                let wire_length = record.wire_length + TAG as u32;
                self.block.push(&Record { wire_length, ..*record }, [addresses, &tag, rest])
            }
            _ => self.block.push(record, [frame]),
        };
        match kept {
            true => self.block.packets += 1,
            // Longer than a block.
            false => {
                self.lost += 1;
                self.counters.add(Counter::EvidencePacketsLost, 1);
            }
        }
    }

    /// A record that belongs to the packet before it.
    fn belonging<const N: usize>(&mut self, record: &Record<'_>, parts: [&[u8]; N]) {
        if self.block.push(record, parts) {
            return;
        }
        self.hand_over();
        // The packet stands in the other block.
        let kind = if record.kind == Kind::Alert { Kind::Silent } else { record.kind };
        self.block.push(&Record { kind, ..*record }, parts);
    }

    /// An alert: its flow (0: none), the hosts that it is about, and its line. `raised` tells whether the packet in hand
    /// raised it.
    #[cold]
    pub fn alert(&mut self, flow: u64, hosts: Option<[IpAddr; 2]>, timestamp: Timestamp, line: &[u8], raised: bool) {
        let raised = self.keys.filter(|_| raised);
        let Some(key) = (flow != 0).then_some(flow).or(raised.map(|[_, last]| last)) else { return };
        // The fragments that the packet was put together from may be those of a tunnel around it.
        let fragment = raised.map(|[first, _]| first).filter(|first| first & NO_FLOW != 0);
        let fragments = fragment.or(hosts.map(key_of_hosts)).unwrap_or(0);
        let kind = if raised.is_some() { Kind::Alert } else { Kind::Silent };
        let record = Record { kind, key, timestamp, wire_length: 0, link: 0, interface: 0, bytes: &[] };
        let line = line.trim_ascii_end();
        let line = line.get(..line.len().min(LINE_BYTES)).unwrap_or_default();
        self.belonging(&record, [&fragments.to_le_bytes(), line]);
        self.block.alerts += 1;
    }

    /// What is still to come of a flow is left to the kernel.
    #[cold]
    pub fn left_to_kernel(&mut self, flow: u64, timestamp: Timestamp) {
        let record =
            Record { kind: Kind::Left, key: flow, timestamp, wire_length: 0, link: 0, interface: 0, bytes: &[] };
        self.belonging(&record, []);
    }

    /// A batch of packets is done, at this time. In a replay nobody waits for what is in hand.
    pub fn settle(&mut self, now: Timestamp) {
        if self.waits || now.since(self.settled) < PATIENCE {
            return;
        }
        self.settled = now;
        if self.block.is_empty() {
            // Where there is no place for it, there is news to come.
            let _ = self.full.try_send(Message::Now { worker: self.block.worker, now });
        } else {
            self.hand_over();
        }
    }

    /// What comes is of this capture file, and has nothing to do with what was before.
    pub fn begin_capture(&mut self, name: &str) {
        let name = Path::new(name).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.ends(name);
    }

    fn ends(&mut self, next: String) {
        self.hand_over();
        // Where the thread is gone, there is nobody to tell.
        let _ = self.full.send(Message::Ends { worker: self.block.worker, next });
    }

    #[cold]
    fn hand_over(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let (packets, alerts) = (self.block.packets, self.block.alerts);
        let next = if self.waits { self.free.recv().ok() } else { self.free.try_recv().ok() };
        let handed_over = match next {
            Some(next) => {
                let mut block = std::mem::replace(&mut self.block, next);
                block.lost = std::mem::take(&mut self.lost);
                // There are no more blocks than places; but the thread may be gone.
                self.full.try_send(Message::Block(block)).is_ok()
            }
            None => {
                self.block.clear();
                false
            }
        };
        if handed_over {
            return self.counters.add(Counter::EvidencePackets, packets);
        }
        self.lost += packets;
        self.counters.add(Counter::EvidencePacketsLost, packets);
        self.counters.add(Counter::EvidenceLostQueue, alerts);
    }
}

/// What it holds still counts, also when the worker ends by a panic.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.ends(String::new());
    }
}
