//! Frames that are seen more than once: copies of redundant networks, and frames that were mirrored twice.
//!
//! Two rules, each of which must never take a frame for a copy that the station sent anew:
//!
//! *Redundant networks* (PRP and HSR, IEC 62439-3): a frame is a copy when one with the same source address, sequence
//! number and contents came over the *other* LAN or path within the aging time. Over the same one it is not: the
//! sequence number wrapped, or the sender restarted. Contents count because a station without redundancy ignores the
//! trailer: were they not compared, an attacker's frame could hide behind the sequence number of a harmless one.
//!
//! *Mirrored twice* (two mirror sessions, or both sides of a router): a frame is a copy when one with the same IP header
//! (TTL, checksum and VLAN aside, which a router changes) and the same payload came within a few milliseconds. What is
//! sent anew differs in the IP identification (RFC 6864: senders count it up), so this finds no retransmissions. Where the
//! identification says nothing (IPv6, or 0 as Linux sends with "don't fragment"), the TTL must be the same too and the
//! time far shorter, less than any station needs to send the same datagram again on purpose: even a fast TCP
//! retransmission waits a round trip and more. Only TCP segments without data come again at once, as acknowledgements of
//! several segments do: without identification they are never taken for copies. All bytes are hashed, with a key made at
//! start, so that nobody can make a frame that passes for the copy of another.

use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Packet, Redundancy, RedundancyKind, Transport};

/// Frames that are seen more than once.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Discard the second copy of PRP and HSR frames.
    pub redundant: bool,
    /// How long a PRP or HSR frame waits for its copy, in milliseconds (EntryForgetTime of IEC 62439-3: 400).
    pub redundant_window_ms: u32,
    /// PRP and HSR frames remembered by each worker.
    pub redundant_entries: u32,
    /// Discard frames that were mirrored more than once. Off unless asked for: a station that sends the same datagram
    /// anew with the same identification would lose the second one. TCP needs it not: reassembly takes each byte once.
    pub mirrored: bool,
    /// How far apart two copies of a mirrored frame may be, in microseconds.
    pub mirrored_window_us: u32,
    /// The same for IP packets without identification, in microseconds.
    pub mirrored_unidentified_us: u32,
    /// Mirrored frames remembered by each worker.
    pub mirrored_entries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            redundant: true,
            redundant_window_ms: 400,
            redundant_entries: 65_536,
            mirrored: false,
            mirrored_window_us: 5_000,
            mirrored_unidentified_us: 200,
            mirrored_entries: 16_384,
        }
    }
}

impl Settings {
    /// No copy is discarded.
    pub fn none() -> Self {
        Self { redundant: false, mirrored: false, ..Self::default() }
    }
}

/// Of what a frame is a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateKind {
    /// Of a PRP frame on the other LAN.
    Prp,
    /// Of an HSR frame on the other path.
    Hsr,
    /// Of a frame that was mirrored before.
    Mirrored,
}

/// What was seen since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// PRP frames over LAN A.
    pub prp_lan_a: u64,
    /// PRP frames over LAN B.
    pub prp_lan_b: u64,
    /// HSR frames over path A.
    pub hsr_path_a: u64,
    /// HSR frames over path B.
    pub hsr_path_b: u64,
    /// PRP copies discarded.
    pub prp: u64,
    /// HSR copies discarded.
    pub hsr: u64,
    /// Mirrored copies discarded.
    pub mirrored: u64,
    /// PRP and HSR frames with the source and number of another within the window, but other contents: a fault, or an
    /// attempt to hide one frame behind another. They are processed.
    pub redundant_mismatch: u64,
    /// Frames forgotten before their window was over, because too many were remembered.
    pub forgotten_early: u64,
}

/// Remembers frames to recognise their copies. Its tables take memory when the first frame of their kind comes.
#[derive(Debug)]
pub struct Duplicates {
    settings: Settings,
    redundant: Window<Sequence>,
    mirrored: Window<()>,
    seed: foldhash::quality::RandomState,
    stats: Stats,
}

/// What is remembered of a PRP or HSR frame besides its name.
#[derive(Debug, Clone, Copy, Default)]
struct Sequence {
    contents: u64,
    /// LANs it came over, as bits.
    lans: u16,
}

impl Duplicates {
    /// With nothing seen.
    pub fn new(settings: &Settings) -> Self {
        Self {
            redundant: Window::new(settings.redundant_entries),
            mirrored: Window::new(settings.mirrored_entries),
            settings: settings.clone(),
            seed: Default::default(),
            stats: Stats::default(),
        }
    }

    /// Takes new settings over.
    pub fn configure(&mut self, settings: &Settings) {
        let stats = self.stats;
        *self = Self { stats, ..Self::new(settings) };
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let forgotten_early = self.redundant.forgotten + self.mirrored.forgotten + self.stats.forgotten_early;
        Stats { forgotten_early, ..self.stats }
    }

    /// Is the packet the copy of one that was seen? Then it is counted, and not to be processed.
    pub fn check(&mut self, packet: &Packet<'_>) -> Option<DuplicateKind> {
        let redundancy = packet.redundancy.filter(|_| self.settings.redundant);
        let mirrored = self.settings.mirrored && packet.ip.is_some();
        if redundancy.is_none() && !mirrored {
            return None;
        }
        let (contents, identified) = self.contents(packet);
        if let Some(redundancy) = redundancy
            && let Some(kind) = self.check_redundant(packet, redundancy, contents)
        {
            return Some(kind);
        }
        let telling = identified || !packet.payload.is_empty() || !matches!(packet.transport, Transport::Tcp(_));
        (mirrored && telling && self.is_mirrored(packet, contents, identified)).then_some(DuplicateKind::Mirrored)
    }

    fn check_redundant(&mut self, packet: &Packet<'_>, tag: Redundancy, contents: u64) -> Option<DuplicateKind> {
        let [a, b, c, d, e, f] = packet.ethernet?.source;
        // The lowest bit of PRP's 0xA and 0xB and of HSR's path tells the two apart.
        let second = tag.lan & 1 != 0;
        let kind_bit = match tag.kind {
            RedundancyKind::Prp => 0,
            RedundancyKind::Hsr => 1,
        };
        *match (tag.kind, second) {
            (RedundancyKind::Prp, false) => &mut self.stats.prp_lan_a,
            (RedundancyKind::Prp, true) => &mut self.stats.prp_lan_b,
            (RedundancyKind::Hsr, false) => &mut self.stats.hsr_path_a,
            (RedundancyKind::Hsr, true) => &mut self.stats.hsr_path_b,
        } += 1;
        let [g, h] = tag.sequence.to_be_bytes();
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        hasher.write_u8(kind_bit);
        let name = hasher.finish();
        let lan = 1u16 << (tag.lan & 15);
        let window = u64::from(self.settings.redundant_window_ms) * 1_000_000;
        let now = packet.timestamp;
        let entry = match self.redundant.place(name, now, window) {
            Ok(entry) => entry,
            Err(entry) => {
                entry.value = Sequence { contents, lans: lan };
                return None;
            }
        };
        let seen = &mut entry.value;
        if seen.lans & lan != 0 || seen.contents != contents {
            self.stats.redundant_mismatch += u64::from(seen.lans & lan == 0);
            *entry = Entry { name, seen: now, value: Sequence { contents, lans: lan } };
            return None;
        }
        seen.lans |= lan;
        Some(match tag.kind {
            RedundancyKind::Prp => {
                self.stats.prp += 1;
                DuplicateKind::Prp
            }
            RedundancyKind::Hsr => {
                self.stats.hsr += 1;
                DuplicateKind::Hsr
            }
        })
    }

    fn is_mirrored(&mut self, packet: &Packet<'_>, contents: u64, identified: bool) -> bool {
        let microseconds =
            if identified { self.settings.mirrored_window_us } else { self.settings.mirrored_unidentified_us };
        let window = u64::from(microseconds) * 1_000;
        let copy = self.mirrored.place(contents, packet.timestamp, window).is_ok();
        self.stats.mirrored += u64::from(copy);
        copy
    }

    /// A hash of what a copy shares with its original, and whether an IP identification is among it.
    fn contents(&self, packet: &Packet<'_>) -> (u64, bool) {
        let mut hasher = self.seed.build_hasher();
        let Some(ip) = &packet.ip else {
            hasher.write(packet.payload());
            return (hasher.finish(), false);
        };
        let bytes = packet.bytes.get(ip.header.start..ip.payload.end).unwrap_or_default();
        let word = |at: usize| {
            let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).unwrap_or_default();
            u64::from_be_bytes(word)
        };
        let (start, rest) = (word(0), word(8));
        if start >> 60 == 4 {
            // Version to fragment offset; then TTL, protocol and checksum, of which the protocol; then addresses on.
            let identified = start >> 16 & 0xffff != 0;
            hasher.write_u64(start);
            let kept = if identified { 0x00ff_0000_ffff_ffff } else { 0xffff_0000_ffff_ffff };
            hasher.write_u64(rest & kept);
            hasher.write(bytes.get(16..).unwrap_or_default());
            (hasher.finish(), identified)
        } else {
            hasher.write(bytes);
            (hasher.finish(), false)
        }
    }
}

/// Ways of a set: entries that share a place. Four without a value are a cache line.
const WAYS: usize = 4;

/// A bounded memory of names with their times, in sets of [`WAYS`]: the oldest of a set gives way.
#[derive(Debug)]
struct Window<T> {
    sets: Vec<Set<T>>,
    count: usize,
    /// Entries that gave way within their window.
    forgotten: u64,
}

#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Set<T>([Entry<T>; WAYS]);

#[derive(Debug, Clone, Copy, Default)]
struct Entry<T> {
    name: u64,
    seen: Timestamp,
    value: T,
}

impl<T: Copy + Default> Window<T> {
    fn new(entries: u32) -> Self {
        let count = (entries as usize / WAYS).max(1).next_power_of_two();
        Self { sets: Vec::new(), count, forgotten: 0 }
    }

    /// The entry of a name that was seen within `window` nanoseconds of `now`, before or after; else a new entry for it,
    /// as an error.
    fn place(&mut self, name: u64, now: Timestamp, window: u64) -> Result<&mut Entry<T>, &mut Entry<T>> {
        if self.sets.is_empty() {
            self.sets.resize(self.count, Set::default());
        }
        let set = &mut self.sets[name as usize & (self.count - 1)].0;
        // One pass without a branch that could be mispredicted. The oldest is the farthest from now, since time may have
        // stepped back.
        let (mut found, mut oldest, mut age) = (WAYS, 0, 0);
        for (way, entry) in set.iter().enumerate() {
            let distance = entry.seen.0.abs_diff(now.0);
            let same = (entry.name == name) & (distance <= window);
            found = if same { way } else { found };
            oldest = if distance >= age { way } else { oldest };
            age = age.max(distance);
        }
        if found < WAYS {
            return Ok(&mut set[found]);
        }
        let entry = &mut set[oldest];
        self.forgotten += u64::from(age <= window && entry.name != 0);
        *entry = Entry { name, seen: now, value: T::default() };
        Err(entry)
    }
}

#[cfg(test)]
mod tests;
