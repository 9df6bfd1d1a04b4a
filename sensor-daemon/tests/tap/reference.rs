//! What the tap is to decide of a frame, said once more in plain Rust: slices instead of offsets, recursion instead of a
//! loop, a map of whole frames instead of hashes. The tests hold the kernel's program against it.

#![allow(unreachable_pub)] // A module of one test.

use std::collections::{BTreeMap, HashMap};

use vigia_probes_abi::tap::{CLASS_BITS, FlowKey, IGNORED_BIT, NO_CLASS, Numbers, SIZES, class_place};

/// What is decided of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    Delivered,
    Ignored,
    Duplicate,
    Shunted,
    Shed,
}

/// What is known of a frame.
#[derive(Debug, Clone, Default)]
pub struct Known<'f> {
    pub ethertype: u16,
    pub vlans: Vec<u16>,
    pub packet: Option<Packet<'f>>,
    /// LAN, sequence number where it is not among the bytes, and the bytes that a copy shares.
    pub redundancy: Option<(usize, u16, Vec<u8>)>,
}

/// The innermost IP packet.
#[derive(Debug, Clone, Default)]
pub struct Packet<'f> {
    pub bytes: &'f [u8],
    pub source: Vec<u8>,
    pub destination: Vec<u8>,
    pub fragment: bool,
    pub ports: Option<(u8, u16, u16)>,
    pub tcp_flags: u8,
    pub tcp_payload: bool,
}

const DEPTH: u32 = 12;
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

struct Walk<'f> {
    known: Known<'f>,
    left: u32,
    /// The Ethernet frame around the place reached, from its header to its end.
    frame: &'f [u8],
}

/// Follows a frame's headers.
pub fn follow(frame: &[u8]) -> Known<'_> {
    let mut walk = Walk { known: Known::default(), left: DEPTH, frame };
    walk.ethernet(frame);
    walk.known
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'f> Walk<'f> {
    fn step(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    fn ethernet(&mut self, mut bytes: &'f [u8]) -> Option<()> {
        self.step()?;
        let kind = be16(bytes, 12)?;
        self.known.packet = None;
        self.frame = bytes;
        if let Some((end, lan, sequence)) = trailer(bytes, kind) {
            bytes = &bytes[..end];
            if lan == 0xa || lan == 0xb {
                self.known.redundancy = Some((usize::from(lan - 0xa), sequence, bytes.to_vec()));
            }
        }
        self.link(kind, bytes.get(14..)?)
    }

    /// `rest` follows a header that said `kind`.
    fn link(&mut self, kind: u16, rest: &'f [u8]) -> Option<()> {
        self.step()?;
        self.known.ethertype = kind;
        match kind {
            0x0800 => self.ipv4(rest),
            0x86dd => self.ipv6(rest),
            kind if VLAN.contains(&kind) => {
                let next = be16(rest, 2)?;
                self.push_vlan(be16(rest, 0)?);
                self.link(next, &rest[4..])
            }
            0x892f => {
                let (path, next) = (*rest.first()? >> 4 & 1, be16(rest, 4)?);
                // The frame with the path's bits cleared.
                let end = self.frame.len() - (self.tail_behind(rest));
                let mut bytes = self.frame[..end].to_vec();
                let at = bytes.len() - rest.len();
                bytes[at] &= 0x0f;
                self.known.redundancy = Some((2 + usize::from(path), be16(rest, 2)?, bytes));
                self.link(next, &rest[6..])
            }
            0x8847 | 0x8848 => self.mpls(kind, rest),
            0x8864 => {
                let length = usize::from(be16(rest, 4)?);
                let inner = rest.get(6..)?;
                let protocol = be16(inner, 0)?;
                if rest[..2] != [0x11, 0] {
                    return None;
                }
                let inner = &inner[..inner.len().min(length)];
                match protocol {
                    0x0021 => self.link(0x0800, inner.get(2..).unwrap_or_default()),
                    0x0057 => self.link(0x86dd, inner.get(2..).unwrap_or_default()),
                    _ => None,
                }
            }
            0..=1500 => {
                let (snap, next) = (rest.get(..6)?, be16(rest, 6)?);
                if snap != [0xaa, 0xaa, 3, 0, 0, 0] {
                    return None;
                }
                self.link(next, rest.get(8..rest.len().min(usize::from(kind))).unwrap_or_default())
            }
            _ => None,
        }
    }

    /// Bytes of the frame behind the end of `rest`.
    fn tail_behind(&self, rest: &[u8]) -> usize {
        let frame = self.frame.as_ptr() as usize + self.frame.len();
        frame - (rest.as_ptr() as usize + rest.len())
    }

    fn push_vlan(&mut self, tag: u16) {
        if tag & 0xfff != 0 && self.known.vlans.len() < 3 {
            self.known.vlans.push(tag & 0xfff);
        }
    }

    fn mpls(&mut self, kind: u16, rest: &'f [u8]) -> Option<()> {
        let entry = u32::from_be_bytes(*rest.first_chunk()?);
        let rest = &rest[4..];
        if entry & 0x100 == 0 {
            return self.link(kind, rest);
        }
        match (entry >> 12, rest.get(1).and(rest.first()).map(|first| first >> 4)) {
            (0, _) => self.link(0x0800, rest),
            (2, _) => self.link(0x86dd, rest),
            (13, _) => None,
            (_, Some(4)) => self.link(0x0800, rest),
            (_, Some(6)) => self.link(0x86dd, rest),
            (_, Some(0)) => self.ethernet(rest.get(4..)?),
            _ => None,
        }
    }

    fn ipv4(&mut self, bytes: &'f [u8]) -> Option<()> {
        let header = bytes.first_chunk::<20>()?;
        let length = usize::from(header[0] & 15) * 4;
        let total = usize::from(be16(header, 2)?);
        if header[0] >> 4 != 4 || length < 20 || (total != 0 && total < length) {
            return None;
        }
        let bytes = if total != 0 && total < bytes.len() { &bytes[..total] } else { bytes };
        let rest = bytes.get(length..)?;
        let fragment = be16(header, 6)? & 0x3fff != 0;
        let (source, destination) = (header[12..16].to_vec(), header[16..20].to_vec());
        self.known.packet = Some(Packet { bytes, source, destination, fragment, ..Default::default() });
        if fragment { None } else { self.transport(header[9], false, rest) }
    }

    fn ipv6(&mut self, bytes: &'f [u8]) -> Option<()> {
        let header = bytes.first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let length = usize::from(be16(header, 4)?);
        let bytes = if length != 0 && 40 + length < bytes.len() { &bytes[..40 + length] } else { bytes };
        let (source, destination) = (header[8..24].to_vec(), header[24..].to_vec());
        self.known.packet = Some(Packet { bytes, source, destination, ..Default::default() });
        self.transport(header[6], true, &bytes[40..])
    }

    fn transport(&mut self, kind: u8, six: bool, rest: &'f [u8]) -> Option<()> {
        self.step()?;
        match kind {
            6 => {
                let header = rest.first_chunk::<20>()?;
                let length = usize::from(header[12] >> 4) * 4;
                if length < 20 || length > rest.len() {
                    return None;
                }
                self.ports(kind, rest)?;
                let packet = self.known.packet.as_mut()?;
                packet.tcp_flags = header[13];
                packet.tcp_payload = rest.len() > length;
                None
            }
            17 => {
                let length = usize::from(be16(rest, 4)?);
                be16(rest, 6)?;
                if (1..8).contains(&length) {
                    return None;
                }
                self.ports(kind, rest)?;
                let rest = if length == 0 { rest } else { &rest[..rest.len().min(length)] };
                let vxlan = matches!(be16(rest, 2)?, 4789 | 8472);
                match rest.get(8..16)? {
                    [8, 0, 0, 0, _, _, _, 0] if vxlan => self.ethernet(&rest[16..]),
                    _ => None,
                }
            }
            132 => {
                rest.get(11)?;
                self.ports(kind, rest)
            }
            47 => self.gre(rest),
            4 => (rest.len() >= 20 && rest[0] >> 4 == 4).then(|| self.link(0x0800, rest))?,
            41 => (rest.len() >= 40 && rest[0] >> 4 == 6).then(|| self.link(0x86dd, rest))?,
            51 => {
                rest.get(11)?;
                let length = ((usize::from(rest[1]) + 2) * 4).max(12);
                self.transport(rest[0], six, rest.get(length..)?)
            }
            44 if six => {
                rest.get(7)?;
                if be16(rest, 2)? & 0xfff9 != 0 {
                    self.known.packet.as_mut()?.fragment = true;
                    return None;
                }
                self.transport(rest[0], six, &rest[8..])
            }
            0 | 43 | 60 | 135 | 139 | 140 if six => {
                let length = (usize::from(*rest.get(1)?) + 1) * 8;
                self.transport(rest[0], six, rest.get(length..)?)
            }
            _ => None,
        }
    }

    fn ports(&mut self, kind: u8, rest: &[u8]) -> Option<()> {
        let ports = (kind, be16(rest, 0)?, be16(rest, 2)?);
        self.known.packet.as_mut()?.ports = Some(ports);
        Some(())
    }

    fn gre(&mut self, rest: &'f [u8]) -> Option<()> {
        let (flags, protocol) = (be16(rest, 0)?, be16(rest, 2)?);
        if flags & 0x4007 != 0 {
            return None;
        }
        let optional = [0x8000, 0x2000, 0x1000].iter().filter(|flag| flags & **flag != 0).count();
        let sequenced = flags & 0x1000 != 0;
        let inner = rest.get(4 + 4 * optional..).unwrap_or_default();
        match protocol {
            0x6558 => self.ethernet(inner),
            0x88be if !sequenced => self.ethernet(inner),
            0x88be | 0x22eb => {
                let session = be16(inner, 0)?;
                inner.get(7)?;
                let (length, ip) = match session >> 12 {
                    1 => (8, false),
                    2 => {
                        let last = be16(inner, 10)?;
                        (if last & 1 != 0 { 20 } else { 12 }, last >> 10 & 31 == 2)
                    }
                    _ => return None,
                };
                let frame = inner.get(length..).unwrap_or_default();
                if ip {
                    self.step()?;
                    frame.get(1)?;
                    return match frame[0] >> 4 {
                        4 => self.ipv4(frame),
                        6 => self.ipv6(frame),
                        _ => None,
                    };
                }
                if !VLAN.contains(&be16(frame, 12)?) {
                    self.push_vlan(session);
                }
                self.ethernet(frame)
            }
            kind => self.link(kind, inner),
        }
    }
}

/// Where the trailer of a PRP frame begins, its LAN and number.
fn trailer(frame: &[u8], mut kind: u16) -> Option<(usize, u8, u16)> {
    let at = frame.len().checked_sub(6).filter(|at| *at >= 14)?;
    let trailer = &frame[at..];
    if trailer[4..] != [0x88, 0xfb] {
        return None;
    }
    let size = usize::from(be16(trailer, 2)? & 0xfff);
    let mut data = &frame[14..];
    let mut right = data.len() == size;
    for _ in 0..2 {
        if VLAN.contains(&kind) {
            kind = be16(data, 2)?;
            data = &data[4..];
            right |= data.len() == size;
        }
    }
    let data_length = data.len().checked_sub(6);
    let fits = match kind {
        0x0800 => (1..=data_length?).contains(&usize::from(be16(data, 2)?)),
        0x86dd => 40 + usize::from(be16(data, 4)?) <= data_length?,
        _ => true,
    };
    (right && fits).then_some((at, trailer[2] >> 4, be16(trailer, 0)?))
}

impl Known<'_> {
    /// The key of the flow, if the frame has ports.
    pub fn key(&self) -> Option<FlowKey> {
        let packet = self.packet.as_ref()?;
        let (protocol, source_port, destination_port) = packet.ports?;
        let mut key = FlowKey {
            source_port,
            destination_port,
            protocol,
            version: if packet.source.len() == 4 { 4 } else { 6 },
            ..Default::default()
        };
        key.source[..packet.source.len()].copy_from_slice(&packet.source);
        key.destination[..packet.destination.len()].copy_from_slice(&packet.destination);
        key.vlans[..self.vlans.len()].copy_from_slice(&self.vlans);
        Some(key)
    }
}

/// The tap as the tests expect it.
pub struct Reference {
    pub table: Vec<[u8; 8]>,
    pub of_ip: u8,
    pub of_fragments: u8,
    pub ignored_vlans: Vec<u16>,
    /// Prefixes as bytes and bits.
    pub ignored_networks: Vec<(Vec<u8>, usize)>,
    pub redundant: bool,
    pub mirrored: bool,
    /// Classes that are kept.
    pub keep: u8,
    pub shunts: HashMap<FlowKey, (u64, u64)>,
    pub counted: Counted,
    redundant_seen: HashMap<(u16, Vec<u8>), u8>,
    mirrored_seen: HashMap<Vec<u8>, ()>,
}

/// What it counted, frames and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    pub verdicts: BTreeMap<Verdict, [u64; 2]>,
    pub classes: BTreeMap<u8, [u64; 2]>,
    pub shed: BTreeMap<u8, [u64; 2]>,
    pub vlans: BTreeMap<u16, [u64; 2]>,
    pub sizes: [[u64; 2]; SIZES.len() + 1],
    pub lans: [[u64; 2]; 4],
}

fn add(tally: &mut [u64; 2], bytes: usize) {
    *tally = [tally[0] + 1, tally[1] + bytes as u64];
}

impl Reference {
    pub fn new(table: Vec<[u8; 8]>, of_ip: u8, of_fragments: u8) -> Self {
        Self {
            table,
            of_ip,
            of_fragments,
            ignored_vlans: Vec::new(),
            ignored_networks: Vec::new(),
            redundant: false,
            mirrored: false,
            keep: 64,
            shunts: HashMap::new(),
            counted: Counted::default(),
            redundant_seen: HashMap::new(),
            mirrored_seen: HashMap::new(),
        }
    }

    fn entry(&self, of: Numbers, number: u16) -> u8 {
        let (entry, byte) = class_place(of, number);
        self.table[entry as usize][byte]
    }

    /// Decides and counts.
    pub fn judge(&mut self, frame: &[u8]) -> Verdict {
        let known = follow(frame);
        let link = self.entry(Numbers::Ethertype, known.ethertype);
        let (mut class, mut ignored) = (link & CLASS_BITS, link & IGNORED_BIT != 0);
        if let Some(packet) = &known.packet {
            class = match packet.ports {
                _ if packet.fragment => self.of_fragments,
                None => self.of_ip,
                Some((protocol, source, destination)) => {
                    let of = match protocol {
                        6 => Numbers::Tcp,
                        17 => Numbers::Udp,
                        _ => Numbers::Sctp,
                    };
                    let both = [self.entry(of, source), self.entry(of, destination)];
                    ignored |= both.iter().any(|entry| entry & IGNORED_BIT != 0);
                    let named = both.iter().map(|entry| entry & CLASS_BITS).filter(|class| *class != NO_CLASS);
                    named.min().unwrap_or(self.of_ip)
                }
            };
            ignored |= [&packet.source, &packet.destination].into_iter().any(|address| self.ignores(address));
        }
        ignored |= known.vlans.iter().any(|vlan| self.ignored_vlans.contains(vlan));
        let verdict = self.verdict(&known, class, ignored, frame.len());
        self.count(&known, class, verdict, frame.len());
        verdict
    }

    fn ignores(&self, address: &[u8]) -> bool {
        let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        self.ignored_networks.iter().any(|(network, prefix)| {
            network.len() == address.len() && (0..*prefix).all(|at| bit(network, at) == bit(address, at))
        })
    }

    fn verdict(&mut self, known: &Known<'_>, class: u8, ignored: bool, length: usize) -> Verdict {
        if ignored {
            return Verdict::Ignored;
        }
        if let Some((lan, sequence, bytes)) = &known.redundancy {
            self.counted.lans[*lan][0] += 1;
            if self.redundant && (8..=1536).contains(&bytes.len()) {
                let seen = self.redundant_seen.entry((*sequence, bytes.clone())).or_default();
                let bit = 1 << lan;
                if *seen != 0 && *seen & bit == 0 {
                    *seen |= bit;
                    self.counted.lans[*lan][1] += 1;
                    return Verdict::Duplicate;
                }
                *seen = bit;
            }
        }
        if self.mirrored
            && let Some(packet) = &known.packet
            && (8..=1536).contains(&packet.bytes.len())
        {
            let mut bytes = packet.bytes.to_vec();
            let identified = bytes[0] >> 4 == 4 && bytes[4..6] != [0, 0];
            if bytes[0] >> 4 == 4 {
                bytes[10..12].fill(0);
                if identified {
                    bytes[8] = 0;
                }
            }
            let is_tcp = packet.ports.is_some_and(|(protocol, ..)| protocol == 6);
            let telling = identified || !is_tcp || packet.tcp_payload;
            if telling && self.mirrored_seen.insert(bytes, ()).is_some() {
                return Verdict::Duplicate;
            }
        }
        if let Some(packet) = &known.packet
            && packet.tcp_flags & 7 == 0
            && let Some(shunted) = known.key().and_then(|key| self.shunts.get_mut(&key))
        {
            *shunted = (shunted.0 + 1, shunted.1 + length as u64);
            return Verdict::Shunted;
        }
        if class >= self.keep { Verdict::Shed } else { Verdict::Delivered }
    }

    fn count(&mut self, known: &Known<'_>, class: u8, verdict: Verdict, length: usize) {
        let counted = &mut self.counted;
        add(counted.verdicts.entry(verdict).or_default(), length);
        add(counted.classes.entry(class).or_default(), length);
        if verdict == Verdict::Shed {
            add(counted.shed.entry(class).or_default(), length);
        }
        if let Some(vlan) = known.vlans.first() {
            add(counted.vlans.entry(*vlan).or_default(), length);
        }
        let size = SIZES.iter().position(|bound| length + 4 <= *bound as usize).unwrap_or(SIZES.len());
        add(&mut counted.sizes[size], length);
    }
}
