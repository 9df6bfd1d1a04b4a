//! IP fragments joined to datagrams.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{DecodeEvent, Fragment, Packet, Vlans};

use super::overlap::{OverlapPolicy, Pieces, Pool};

/// IP fragments of each worker.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which bytes count where fragments overlap with different data.
    pub overlap: OverlapPolicy,
    /// Datagrams that are joined at a time; the oldest gives way to a new one.
    #[schemars(range(min = 1))]
    pub max_datagrams: u32,
    /// Fragments of one datagram.
    #[schemars(range(min = 1))]
    pub max_fragments: u32,
    /// Memory of all fragments that wait, in bytes; the oldest datagram gives way.
    pub memory_bytes: u64,
    /// A datagram must be complete this long after its first fragment, in seconds.
    #[schemars(range(min = 1))]
    pub timeout_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            overlap: OverlapPolicy::default(),
            max_datagrams: 4096,
            max_fragments: 1024,
            memory_bytes: 8 * 1024 * 1024,
            timeout_s: 30,
        }
    }
}

/// What defragmentation did since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Datagrams that wait for fragments now (gauge).
    pub waiting: u64,
    /// Bytes of memory in them now (gauge).
    pub memory_bytes: u64,
    /// Fragments taken.
    pub fragments: u64,
    /// Datagrams completed.
    pub completed: u64,
    /// Fragments that overlapped others with the same bytes.
    pub overlap_same: u64,
    /// Fragments that overlapped others with different bytes: a sign of evasion.
    pub overlap_different: u64,
    /// Fragments that reach beyond 65,535 bytes, or beyond the end that another fragment gave.
    pub too_large: u64,
    /// Fragments without data, or, except the last, not a multiple of eight bytes long.
    pub malformed: u64,
    /// Datagrams given up after the timeout.
    pub timed_out: u64,
    /// Datagrams given up because they had too many fragments.
    pub limited_fragments: u64,
    /// Datagrams given up because there were too many.
    pub limited_datagrams: u64,
    /// Datagrams given up because all together took too much memory.
    pub limited_memory: u64,
}

/// What names a datagram. IPv6 leaves the protocol out (RFC 8200, clause 4.5): there it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    protocol: u8,
    tunnel_depth: u8,
    vlans: Vlans,
}

/// A datagram with fragments missing.
#[derive(Debug)]
struct Datagram {
    since: Timestamp,
    /// Distinguishes it from a later one with the same key in [`Defragmenter::order`].
    serial: u64,
    pieces: Pieces,
    /// Length of the payload, once the last fragment came.
    length: Option<u32>,
    /// Header of the first fragment, repaired but for length and checksum.
    header: Vec<u8>,
}

/// Joins the fragments of a worker's packets.
#[derive(Debug)]
pub struct Defragmenter {
    settings: Settings,
    datagrams: HashMap<Key, Datagram, foldhash::fast::RandomState>,
    /// Oldest first; those of which the serial is gone are over.
    order: VecDeque<(u64, Key)>,
    serial: u64,
    memory: usize,
    pool: Pool,
    headers: Pool,
    whole: Vec<u8>,
    event: Option<DecodeEvent>,
    stats: Stats,
}

/// The longest payload or datagram: 16 bits of length.
const LARGEST: u64 = 65_535;

/// What a datagram costs besides its pieces.
const OVERHEAD: usize = 256;

impl Defragmenter {
    /// With nothing waiting.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            datagrams: HashMap::default(),
            order: VecDeque::new(),
            serial: 0,
            memory: 0,
            pool: Pool::default(),
            headers: Pool::default(),
            whole: Vec::new(),
            event: None,
            stats: Stats::default(),
        }
    }

    /// Takes new settings over; fragments stay.
    pub fn configure(&mut self, settings: &Settings) {
        self.settings = settings.clone();
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        Stats { waiting: self.datagrams.len() as u64, memory_bytes: self.memory as u64, ..self.stats }
    }

    /// What was odd about the last fragment pushed: it overlaps another with different bytes, or reaches beyond the largest
    /// datagram or the end of its own.
    pub fn event(&self) -> Option<DecodeEvent> {
        self.event
    }

    /// Takes a fragment ([`vigia_parsers::packet::Ip::fragment`] is set). When it completes its datagram: that, from its
    /// IP header on, as if it had never been fragmented.
    pub fn push(&mut self, packet: &Packet<'_>) -> Option<&[u8]> {
        self.event = None;
        let ip = packet.ip.as_ref()?;
        let fragment = ip.fragment?;
        let parts = Parts::of(packet)?;
        self.stats.fragments += 1;
        if parts.data.is_empty() || (fragment.more && parts.data.len() % 8 != 0) {
            self.stats.malformed += 1;
            return None;
        }
        if fragment.offset == 0 && !fragment.more {
            // An atomic fragment is a datagram of its own (RFC 6946).
            self.whole.clear();
            parts.write_header(&mut self.whole);
            self.whole.extend_from_slice(parts.data);
            return self.finished();
        }
        self.expire(packet.timestamp);
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            id: fragment.id,
            protocol: if parts.v6 { 0 } else { ip.protocol },
            tunnel_depth: packet.tunnel_depth,
            vlans: packet.vlans,
        };
        self.make_room(&key);
        if self.add(key, &fragment, &parts, packet.timestamp) { self.complete(&key) } else { None }
    }

    /// Adds a fragment; true when nothing is missing any more.
    fn add(&mut self, key: Key, fragment: &Fragment, parts: &Parts<'_>, now: Timestamp) -> bool {
        let start = u64::from(fragment.offset);
        let end = start + parts.data.len() as u64;
        if !self.datagrams.contains_key(&key) {
            self.serial += 1;
            self.order.push_back((self.serial, key));
            self.memory += OVERHEAD;
            let new = Datagram {
                since: now,
                serial: self.serial,
                pieces: Pieces::default(),
                length: None,
                header: self.headers.copy(&[]),
            };
            self.datagrams.insert(key, new);
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else { return false };
        let known_end = datagram.length.map_or(LARGEST, u64::from);
        let contradicts = !fragment.more && datagram.pieces.last().is_some_and(|last| last.end() > end);
        if end > known_end || contradicts || (!fragment.more && datagram.length.is_some_and(|l| u64::from(l) != end)) {
            self.stats.too_large += 1;
            self.event = Some(too_large(parts.v6));
            return false;
        }
        if !fragment.more {
            datagram.length = Some(end as u32);
        }
        let (before, held) = (datagram.pieces.footprint(), datagram.pieces.bytes());
        let met = datagram.pieces.insert(start, parts.data, self.settings.overlap, &mut self.pool);
        self.memory += datagram.pieces.footprint() - before;
        self.stats.overlap_same += u64::from(met.overlap && !met.different);
        self.stats.overlap_different += u64::from(met.different);
        // In IPv6 an overlap is wrong whatever it carries (RFC 5722), unless the fragment is a mere copy.
        if met.different || (parts.v6 && met.overlap && datagram.pieces.bytes() > held) {
            self.event = Some(overlap(parts.v6));
        }
        if start == 0 && datagram.header.is_empty() {
            parts.write_header(&mut datagram.header);
        }
        if datagram.pieces.len() > self.settings.max_fragments as usize {
            self.stats.limited_fragments += 1;
            self.forget(&key);
            return false;
        }
        datagram.length.is_some_and(|length| datagram.pieces.bytes() == length as usize)
    }

    fn complete(&mut self, key: &Key) -> Option<&[u8]> {
        let datagram = self.datagrams.get(key)?;
        self.whole.clear();
        self.whole.extend_from_slice(&datagram.header);
        for piece in datagram.pieces.iter() {
            self.whole.extend_from_slice(&piece.bytes);
        }
        self.forget(key);
        self.finished()
    }

    /// Sets length and checksum of what stands in `whole`.
    fn finished(&mut self) -> Option<&[u8]> {
        let length = self.whole.len();
        let v6 = self.whole.first()? >> 4 == 6;
        let value = if v6 { length.checked_sub(40)? } else { length };
        let Ok(value) = u16::try_from(value) else {
            self.stats.too_large += 1;
            self.event = Some(too_large(v6));
            return None;
        };
        let field = if v6 { 4..6 } else { 2..4 };
        self.whole.get_mut(field)?.copy_from_slice(&value.to_be_bytes());
        if !v6 {
            let header = usize::from(self.whole.first()? & 0x0f) * 4;
            let checksum = checksum(self.whole.get(..header)?);
            self.whole.get_mut(10..12)?.copy_from_slice(&checksum.to_be_bytes());
        }
        self.stats.completed += 1;
        Some(&self.whole)
    }

    /// Gives up what is too old.
    fn expire(&mut self, now: Timestamp) {
        let timeout = u64::from(self.settings.timeout_s) * 1_000_000_000;
        while let Some((serial, key)) = self.order.front().copied() {
            match self.datagrams.get(&key).filter(|datagram| datagram.serial == serial) {
                None => {}
                Some(datagram) if now.since(datagram.since) > timeout => {
                    self.stats.timed_out += 1;
                    self.forget(&key);
                }
                Some(_) => break,
            }
            self.order.pop_front();
        }
    }

    /// Gives up the oldest datagrams while there is no room for another fragment of `key`.
    fn make_room(&mut self, key: &Key) {
        loop {
            let many = self.datagrams.len() >= self.settings.max_datagrams.max(1) as usize
                && !self.datagrams.contains_key(key);
            let large = self.memory as u64 >= self.settings.memory_bytes;
            if !(many || large) {
                return;
            }
            let Some((serial, oldest)) = self.order.pop_front() else { return };
            if self.datagrams.get(&oldest).is_some_and(|datagram| datagram.serial == serial) {
                self.stats.limited_datagrams += u64::from(many);
                self.stats.limited_memory += u64::from(!many);
                self.forget(&oldest);
            }
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(mut datagram) = self.datagrams.remove(key) {
            self.memory -= datagram.pieces.footprint() + OVERHEAD;
            datagram.pieces.clear(&mut self.pool);
            self.headers.put(datagram.header);
        }
    }
}

/// A fragment taken apart.
struct Parts<'a> {
    v6: bool,
    /// The header, of IPv6 up to the fragment header.
    header: &'a [u8],
    /// Where the header says what follows it.
    next_header: usize,
    /// What follows the fragment header.
    protocol: u8,
    /// The fragment's part of the datagram's payload.
    data: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(packet: &Packet<'a>) -> Option<Self> {
        let ip = packet.ip.as_ref()?;
        let bytes = packet.bytes.get(ip.header.start..ip.payload.end)?;
        let first = *bytes.first()?;
        if first >> 4 == 4 {
            let (header, data) = bytes.split_at_checked(usize::from(first & 0x0f) * 4)?;
            return Some(Self { v6: false, header, next_header: 9, protocol: *bytes.get(9)?, data });
        }
        // The extension headers before the fragment header (RFC 8200, clause 4.1).
        let (mut next_header, mut at) = (6, 40);
        for _ in 0..8 {
            match *bytes.get(next_header)? {
                44 => {
                    let header = bytes.get(..at)?;
                    return Some(Self {
                        v6: true,
                        header,
                        next_header,
                        protocol: *bytes.get(at)?,
                        data: bytes.get(at + 8..)?,
                    });
                }
                0 | 43 | 60 | 135 => {
                    next_header = at;
                    at += (usize::from(*bytes.get(at + 1)?) + 1) * 8;
                }
                _ => return None,
            }
        }
        None
    }

    /// The header as it was before fragmentation, but for length and checksum.
    fn write_header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.header);
        if let Some(next) = out.get_mut(self.next_header) {
            *next = self.protocol;
        }
        if !self.v6
            && let Some(rest) = out.get_mut(6..12)
        {
            // Flags and offset to 0, and the checksum to what it is computed over.
            rest[..2].fill(0);
            rest[4..].fill(0);
        }
    }
}

fn overlap(v6: bool) -> DecodeEvent {
    if v6 { DecodeEvent::Ipv6FragOverlap } else { DecodeEvent::Ipv4FragOverlap }
}

fn too_large(v6: bool) -> DecodeEvent {
    if v6 { DecodeEvent::Ipv6FragPktTooLarge } else { DecodeEvent::Ipv4FragPktTooLarge }
}

/// The internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests;
