//! The headers of a frame, followed once from the link to the transport layer: through VLANs, redundancy tags, MPLS,
//! PPPoE and tunnels, to the innermost addresses that are to be found.
//!
//! It follows what the daemon's decoder follows and stops where that finds a fault, so that both give a flow one name.
//! Where the two may differ: tags that only switches of one maker use, Geneve and GTP are not entered here, nor is what
//! follows a label stack guessed from more than its first half-byte.
//!
//! How far the walk has come is kept in a map's value and read from there for each header: the verifier then knows nothing
//! of it but its bounds, and does not check the loop for every frame that could be.

use core::hint::black_box;
use core::ptr::{read_volatile, write_volatile};

use vigia_probes_abi::tap::{FlowKey, LANS};
use vigia_probes_abi::{HEADERS_MAX, mix};

use crate::copies::Range;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// Customer and service tags, and the older number of the latter.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const HSR: u16 = 0x892f;
const MPLS: [u16; 2] = [0x8847, 0x8848];
const PPPOE_SESSION: u16 = 0x8864;
/// Ethernet within GRE (transparent bridging), and ERSPAN of types I/II and III.
const BRIDGED: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
/// The port assigned to VXLAN, and Linux' before that.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// What ends a PRP trailer.
const PRP_SUFFIX: u16 = 0x88fb;
/// The largest value of an ethertype field that is a length (IEEE 802.3).
const LENGTH_MAX: u16 = 1500;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const GRE: u8 = 47;
const IPV4_WITHIN: u8 = 4;
const IPV6_WITHIN: u8 = 41;
const AUTHENTICATION: u8 = 51;
/// Extension headers of IPv6 of the common form: hop-by-hop, routing, destination options, mobility, host identity, shim.
const EXTENSIONS: [u8; 6] = [0, 43, 60, 135, 139, 140];
const FRAGMENT: u8 = 44;

/// A farther place is not read: the verifier wants a bound, and no header stands there.
pub(crate) const FARTHEST: u32 = 0x3fff;

/// Where a frame's bytes come from.
pub(crate) trait Frame {
    /// Bytes from an offset on; `None` if there are not as many.
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]>;

    /// Eight bytes as a number, in the machine's order.
    #[inline(always)]
    fn word(&self, at: u32) -> Option<u64> {
        self.load::<8>(at).map(u64::from_ne_bytes)
    }
}

/// What stands at the place that has been reached, as a number: its kind above, and what announced it below.
mod layer {
    /// Nothing that is followed.
    pub(super) const END: u32 = 0;
    /// An Ethernet header.
    pub(super) const ETHERNET: u32 = 1 << 16;
    /// What an ethertype announced.
    pub(super) const LINK: u32 = 2 << 16;
    /// What an IPv4 or IPv6 header announced.
    pub(super) const TRANSPORT_4: u32 = 3 << 16;
    pub(super) const TRANSPORT_6: u32 = 4 << 16;
    /// IP of the version that its first half-byte tells.
    pub(super) const IP: u32 = 5 << 16;
}

/// A frame of a redundant network (IEC 62439-3).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Redundancy {
    /// Of [`LANS`], and one more; 0 for none.
    pub(crate) lan: u32,
    /// With the source address it names the frame.
    pub(crate) sequence: u32,
    /// Where the Ethernet header of the tagged frame stands, and where the frame ends without a trailer.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Where the byte with HSR's path stands; 0 for PRP.
    pub(crate) path: u32,
}

/// What is known of a frame.
#[repr(C)]
pub(crate) struct Headers {
    at: u32,
    end: u32,
    layer: u32,
    /// Where the innermost Ethernet header stands.
    ethernet: u32,
    /// The ends of the flow, mixed.
    pub(crate) ends: [u64; 2],
    /// The innermost packet and what is around it. The addresses count if the version is not 0.
    pub(crate) key: FlowKey,
    /// VLANs in the key.
    vlans: u16,
    /// The last ethertype (or length) met.
    pub(crate) ethertype: u16,
    /// Of the innermost packet: its ports are known; a fragment of a datagram.
    pub(crate) has_ports: u32,
    pub(crate) is_fragment: u32,
    pub(crate) tcp_flags: u32,
    /// Where the payload of TCP begins.
    pub(crate) tcp_payload: u32,
    /// Where the innermost IP packet stands, and where it ends.
    pub(crate) ip: u32,
    pub(crate) ip_end: u32,
    pub(crate) redundancy: Redundancy,
    /// What is compared to find its copy.
    pub(crate) compared: Range,
    /// Its class, as `TAP_CLASSES` has it.
    pub(crate) class: u32,
    /// What becomes of it.
    pub(crate) fate: u32,
}

impl Headers {
    /// Forgets the frame before. What counts only together with something else that is set stays.
    #[inline(always)]
    fn begin(&mut self, layer: u32, length: u32) {
        (self.at, self.end, self.layer) = (0, length, layer);
        self.ends = [0; 2];
        self.key.vlans = [0; 3];
        self.vlans = 0;
        self.ethertype = 0;
        self.redundancy.lan = 0;
        self.leave_packet();
    }

    /// No IP packet is known any more.
    #[inline(always)]
    fn leave_packet(&mut self) {
        self.key.version = 0;
        self.has_ports = 0;
        self.is_fragment = 0;
        self.tcp_flags = 0;
    }

    /// Follows a frame that begins with an Ethernet header. `stripped` is a VLAN that was taken off before.
    #[inline(always)]
    pub(crate) fn follow_ethernet(&mut self, frame: &impl Frame, length: u32, stripped: u16) {
        self.begin(layer::ETHERNET, length);
        self.push_vlan(stripped);
        self.follow(frame);
    }

    /// Follows a packet that begins with an IP header.
    #[inline(always)]
    pub(crate) fn follow_ip(&mut self, frame: &impl Frame, length: u32) {
        self.begin(layer::IP, length);
        self.follow(frame);
    }

    /// Follows what an ethertype announced, within the addresses in the first words of a link header, from 0 and from 4 on.
    #[inline(always)]
    pub(crate) fn follow_link(&mut self, frame: &impl Frame, addresses: Option<[u64; 2]>, ethertype: u16) {
        self.begin(layer::LINK | u32::from(ethertype), u32::MAX);
        if let Some([first, second]) = addresses {
            self.take_link_addresses(first, second);
        }
        self.follow(frame);
    }

    #[inline(always)]
    fn follow(&mut self, frame: &impl Frame) {
        for _ in 0..HEADERS_MAX {
            // SAFETY: both are fields of a value that is borrowed.
            let layer = unsafe { read_volatile(&self.layer) };
            if layer == layer::END {
                break;
            }
            let next = Step { headers: self, frame }.take(layer).unwrap_or(layer::END);
            // SAFETY: as above.
            unsafe { write_volatile(&mut self.layer, next) };
            self.forget();
        }
    }

    /// Makes the compiler keep what is known in memory, and read it anew.
    #[inline(always)]
    pub(crate) fn forget(&mut self) {
        black_box(self);
    }

    /// VLAN 0 is a priority without a VLAN; a fourth VLAN is not kept.
    #[inline(always)]
    fn push_vlan(&mut self, tag: u16) {
        let id = tag & 0x0fff;
        if id == 0 {
            return;
        }
        let Some(place) = self.key.vlans.get_mut(self.vlans as usize) else { return };
        *place = id;
        self.vlans += 1;
    }

    /// Destination and source, and four bytes that the one or the other word has besides.
    #[inline(always)]
    fn take_link_addresses(&mut self, first: u64, second: u64) {
        self.ends = [mix(u64::from_be(second) & 0xffff_ffff_ffff), mix(u64::from_be(first) >> 16)];
    }
}

/// One header.
struct Step<'h, F> {
    headers: &'h mut Headers,
    frame: &'h F,
}

impl<F: Frame> Step<'_, F> {
    /// Takes the header at the place reached and says what follows; `None` at the end of what is followed.
    #[inline(always)]
    fn take(&mut self, layer: u32) -> Option<u32> {
        let announced = layer as u16;
        match layer & 0xffff_0000 {
            layer::ETHERNET => self.ethernet(),
            layer::LINK => self.link(announced),
            layer::TRANSPORT_4 => self.transport(announced as u8, false),
            layer::TRANSPORT_6 => self.transport(announced as u8, true),
            layer::IP => match self.load::<2>(0)?[0] >> 4 {
                4 => self.ipv4(),
                6 => self.ipv6(),
                _ => None,
            },
            _ => None,
        }
    }

    #[inline(always)]
    fn ethernet(&mut self) -> Option<u32> {
        let (first, second) = (self.word(0)?, self.word(4)?);
        let kind = self.load::<2>(12)?;
        let kind = number(kind[0], kind[1]);
        self.headers.take_link_addresses(first, second);
        // What carried this frame is no more than its carrier.
        self.headers.leave_packet();
        self.headers.ethernet = self.headers.at;
        self.trailer(kind);
        self.past(14, layer::LINK | u32::from(kind))
    }

    /// Takes a PRP trailer off the end of the frame whose header is at the place reached (IEC 62439-3, 4.2.7). It is
    /// believed if the size in it is right, and the IP packet in the frame does not reach into it.
    #[inline(always)]
    fn trailer(&mut self, mut kind: u16) -> Option<()> {
        let (start, end) = (self.at(), self.end());
        let trailer = end.checked_sub(6).filter(|trailer| *trailer >= start + 14)?;
        let bytes = self.frame.load::<6>(trailer)?;
        if number(bytes[4], bytes[5]) != PRP_SUFFIX {
            return None;
        }
        let (lan, size) = (u32::from(bytes[2] >> 4), u32::from(number(bytes[2], bytes[3]) & 0x0fff));
        let mut data = start + 14;
        let mut right = end - data == size;
        // The size leaves out VLAN tags, which bridges add and remove; some senders count them.
        for _ in 0..2 {
            if !VLAN.contains(&kind) {
                break;
            }
            let tag = self.frame.load::<4>(data)?;
            kind = number(tag[2], tag[3]);
            data += 4;
            right |= end - data == size;
        }
        let ip_end = match kind {
            IPV4 => {
                let header = self.frame.load::<4>(data)?;
                data + u32::from(number(header[2], header[3]))
            }
            IPV6 => {
                let header = self.frame.load::<6>(data)?;
                data + 40 + u32::from(number(header[4], header[5]))
            }
            _ => trailer,
        };
        // A length of 0 is stated when the sending card was to divide the packet.
        if !right || ip_end > trailer || ip_end <= data && kind == IPV4 {
            return None;
        }
        // The packet ends before it, whosever LAN it is.
        self.set_end(trailer);
        if lan == 0xa || lan == 0xb {
            let sequence = u32::from(number(bytes[0], bytes[1]));
            self.headers.redundancy = Redundancy { lan: lan - 0xa + 1, sequence, start, end: trailer, path: 0 };
        }
        Some(())
    }

    #[inline(always)]
    fn link(&mut self, kind: u16) -> Option<u32> {
        self.headers.ethertype = kind;
        match kind {
            IPV4 => self.ipv4(),
            IPV6 => self.ipv6(),
            HSR => self.hsr(),
            PPPOE_SESSION => self.pppoe(),
            kind if VLAN.contains(&kind) => {
                let tag = self.load::<4>(0)?;
                self.headers.push_vlan(number(tag[0], tag[1]));
                self.past(4, layer::LINK | u32::from(number(tag[2], tag[3])))
            }
            kind if MPLS.contains(&kind) => self.mpls(kind),
            kind if kind <= LENGTH_MAX => match self.load::<8>(0)? {
                // LLC with SNAP of the organisation 0: an ethertype.
                [0xaa, 0xaa, 0x03, 0, 0, 0, high, low] => {
                    let end = self.at() + u32::from(kind);
                    self.bound(end);
                    self.past(8, layer::LINK | u32::from(number(high, low)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// HSR's tag: path and size, sequence number, ethertype (IEC 62439-3, 5.3).
    #[inline(always)]
    fn hsr(&mut self) -> Option<u32> {
        let tag = self.load::<6>(0)?;
        // The lowest bit of the path tells the two ways round the ring apart.
        let lan = u32::from(tag[0] >> 4 & 1) + LANS as u32 / 2 + 1;
        let (start, path) = (self.headers.ethernet, self.at());
        let sequence = u32::from(number(tag[2], tag[3]));
        self.headers.redundancy = Redundancy { lan, sequence, start, end: self.end(), path };
        self.past(6, layer::LINK | u32::from(number(tag[4], tag[5])))
    }

    /// PPPoE (RFC 2516) with IP in it.
    #[inline(always)]
    fn pppoe(&mut self) -> Option<u32> {
        let [0x11, 0, _, _, high, low, protocol_high, protocol_low] = self.load::<8>(0)? else { return None };
        let end = self.at() + 6 + u32::from(number(high, low));
        self.bound(end);
        match number(protocol_high, protocol_low) {
            0x0021 => self.past(8, layer::LINK | u32::from(IPV4)),
            0x0057 => self.past(8, layer::LINK | u32::from(IPV6)),
            _ => None,
        }
    }

    /// A label (RFC 3032). What follows the last one is told by the label or by a first half-byte.
    #[inline(always)]
    fn mpls(&mut self, kind: u16) -> Option<u32> {
        let entry = u32::from_be_bytes(self.load::<4>(0)?);
        if entry & 0x100 == 0 {
            return self.past(4, layer::LINK | u32::from(kind));
        }
        match entry >> 12 {
            // Explicit null of either version; the associated channel carries no packet.
            0 => return self.past(4, layer::LINK | u32::from(IPV4)),
            2 => return self.past(4, layer::LINK | u32::from(IPV6)),
            13 => return None,
            _ => {}
        }
        match self.load::<2>(4)?[0] >> 4 {
            4 => self.past(4, layer::LINK | u32::from(IPV4)),
            6 => self.past(4, layer::LINK | u32::from(IPV6)),
            // A pseudo-wire's control word (RFC 4448), and Ethernet behind it.
            0 => self.past(8, layer::ETHERNET),
            _ => None,
        }
    }

    #[inline(always)]
    fn ipv4(&mut self) -> Option<u32> {
        let header = self.load::<20>(0)?;
        let length = u32::from(header[0] & 0x0f) * 4;
        let total = u32::from(number(header[2], header[3]));
        // A length of 0 is stated when the sending card was to divide the packet.
        if header[0] >> 4 != 4 || length < 20 || total != 0 && total < length {
            return None;
        }
        let at = self.at();
        if total != 0 {
            self.bound(at + total);
        }
        if at + length > self.end() {
            return None;
        }
        let addresses = self.word(12)?;
        let (source, destination) = (addresses as u32, (addresses >> 32) as u32);
        let ends = [mix(u64::from(u32::from_be(source))), mix(u64::from(u32::from_be(destination)))];
        self.take_packet(4, [u64::from(source), 0], [u64::from(destination), 0], ends);
        // More fragments, or an offset: a part of a datagram.
        if number(header[6], header[7]) & 0x3fff != 0 {
            self.headers.is_fragment = 1;
            return None;
        }
        self.past(length, layer::TRANSPORT_4 | u32::from(header[9]))
    }

    #[inline(always)]
    fn ipv6(&mut self) -> Option<u32> {
        let header = self.load::<8>(0)?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let at = self.at();
        let length = u32::from(number(header[4], header[5]));
        self.whole(40)?;
        // A length of 0 is a jumbogram's (RFC 2675), or the sending card was to divide the packet.
        if length != 0 {
            self.bound(at + 40 + length);
        }
        let source = [self.word(8)?, self.word(16)?];
        let destination = [self.word(24)?, self.word(32)?];
        let end = |of: [u64; 2]| mix(mix(u64::from_be(of[0])).wrapping_add(u64::from_be(of[1])));
        self.take_packet(6, source, destination, [end(source), end(destination)]);
        self.past(40, layer::TRANSPORT_6 | u32::from(header[6]))
    }

    /// An IP packet begins here. Addresses are as they lie in memory.
    #[inline(always)]
    fn take_packet(&mut self, version: u8, source: [u64; 2], destination: [u64; 2], ends: [u64; 2]) {
        let (at, end) = (self.at(), self.end());
        self.headers.leave_packet();
        self.headers.key.version = version;
        self.headers.key.source = in_memory(source);
        self.headers.key.destination = in_memory(destination);
        self.headers.ends = ends;
        (self.headers.ip, self.headers.ip_end) = (at, end);
    }

    /// What an IP header announced.
    #[inline(always)]
    fn transport(&mut self, kind: u8, six: bool) -> Option<u32> {
        let next = |number: u8| if six { layer::TRANSPORT_6 } else { layer::TRANSPORT_4 } | u32::from(number);
        match kind {
            TCP | UDP | SCTP => self.ports(kind),
            GRE => self.gre(),
            IPV4_WITHIN if self.load::<20>(0)?[0] >> 4 == 4 => Some(layer::LINK | u32::from(IPV4)),
            IPV6_WITHIN if self.load::<40>(0)?[0] >> 4 == 6 => Some(layer::LINK | u32::from(IPV6)),
            AUTHENTICATION => {
                let header = self.load::<12>(0)?;
                let length = ((u32::from(header[1]) + 2) * 4).max(12);
                self.whole(length)?;
                self.past(length, next(header[0]))
            }
            FRAGMENT if six => {
                let header = self.load::<8>(0)?;
                // One that is whole (RFC 6946) goes on, a part does not.
                if number(header[2], header[3]) & 0xfff9 != 0 {
                    self.headers.is_fragment = 1;
                    return None;
                }
                self.past(8, next(header[0]))
            }
            kind if six && EXTENSIONS.contains(&kind) => {
                let header = self.load::<8>(0)?;
                let length = (u32::from(header[1]) + 1) * 8;
                self.whole(length)?;
                self.past(length, next(header[0]))
            }
            _ => None,
        }
    }

    /// Ports are added to the ends; VXLAN is entered. A header that is not whole has ports for the hash alone.
    #[inline(always)]
    fn ports(&mut self, kind: u8) -> Option<u32> {
        let ports = self.load::<4>(0)?;
        let (source, destination) = (number(ports[0], ports[1]), number(ports[2], ports[3]));
        let ends = self.headers.ends;
        self.headers.ends =
            [mix(ends[0].wrapping_add(u64::from(source))), mix(ends[1].wrapping_add(u64::from(destination)))];
        match kind {
            TCP => {
                let header = self.load::<20>(0)?;
                let length = u32::from(header[12] >> 4) * 4;
                if length < 20 {
                    return None;
                }
                self.whole(length)?;
                self.headers.tcp_flags = u32::from(header[13]);
                self.headers.tcp_payload = self.at() + length;
            }
            UDP => {
                let header = self.load::<8>(0)?;
                let length = u32::from(number(header[4], header[5]));
                if length != 0 {
                    if length < 8 {
                        return None;
                    }
                    let end = self.at() + length;
                    self.bound(end);
                }
            }
            _ => {
                self.load::<12>(0)?;
            }
        }
        self.headers.key.protocol = kind;
        self.headers.key.source_port = source;
        self.headers.key.destination_port = destination;
        self.headers.has_ports = 1;
        // The flag says that the network's number is valid (RFC 7348, section 5).
        if kind == UDP
            && VXLAN_PORTS.contains(&destination)
            && let Some([0x08, 0, 0, 0, _, _, _, 0]) = self.load::<8>(8)
        {
            return self.past(16, layer::ETHERNET);
        }
        None
    }

    /// GRE of version 0 (RFC 2784, 2890), with ERSPAN in it.
    #[inline(always)]
    fn gre(&mut self) -> Option<u32> {
        let header = self.load::<4>(0)?;
        // Another version, or source routing (RFC 1701).
        if header[1] & 0x07 != 0 || header[0] & 0x40 != 0 {
            return None;
        }
        // Checksum, key and sequence number: four bytes each, where its bit is set.
        let flags = u32::from(header[0]);
        let length = 4 + 4 * ((flags >> 7) + (flags >> 5 & 1) + (flags >> 4 & 1));
        match number(header[2], header[3]) {
            BRIDGED => self.past(length, layer::ETHERNET),
            // Type I has neither a sequence number nor a header.
            ERSPAN if flags & 0x10 == 0 => self.past(length, layer::ETHERNET),
            ERSPAN | ERSPAN_3 => self.erspan(length),
            kind => self.past(length, layer::LINK | u32::from(kind)),
        }
    }

    /// ERSPAN of types II and III. The VLAN in its header counts if the frame has no tag.
    #[inline(always)]
    fn erspan(&mut self, before: u32) -> Option<u32> {
        let header = self.load::<8>(before)?;
        let (length, ip) = match header[0] >> 4 {
            1 => (8, false),
            2 => {
                let header = self.load::<12>(before)?;
                let last = number(header[10], header[11]);
                (if last & 1 != 0 { 20 } else { 12 }, last >> 10 & 0x1f == 2)
            }
            _ => return None,
        };
        if ip {
            return self.past(before + length, layer::IP);
        }
        let frame = self.load::<14>(before + length)?;
        if !VLAN.contains(&number(frame[12], frame[13])) {
            self.headers.push_vlan(number(header[0], header[1]));
        }
        self.past(before + length, layer::ETHERNET)
    }

    #[inline(always)]
    fn past(&mut self, bytes: u32, next: u32) -> Option<u32> {
        let at = self.at() + bytes;
        // SAFETY: a field of a value that is borrowed.
        unsafe { write_volatile(&mut self.headers.at, at) };
        Some(next)
    }

    /// The packet ends there, or before.
    #[inline(always)]
    fn bound(&mut self, end: u32) {
        if end < self.end() {
            self.set_end(end);
        }
    }

    #[inline(always)]
    fn set_end(&mut self, end: u32) {
        // SAFETY: a field of a value that is borrowed.
        unsafe { write_volatile(&mut self.headers.end, end) };
    }

    #[inline(always)]
    fn at(&self) -> u32 {
        // SAFETY: a field of a value that is borrowed.
        unsafe { read_volatile(&self.headers.at) & FARTHEST }
    }

    #[inline(always)]
    fn end(&self) -> u32 {
        // SAFETY: a field of a value that is borrowed.
        unsafe { read_volatile(&self.headers.end) }
    }

    /// Does the packet have as many bytes?
    #[inline(always)]
    fn whole(&self, bytes: u32) -> Option<()> {
        (self.at() + bytes <= self.end()).then_some(())
    }

    /// Bytes from so far behind the place reached on, within the packet.
    #[inline(always)]
    fn load<const N: usize>(&self, behind: u32) -> Option<[u8; N]> {
        let at = self.at() + behind;
        if at + N as u32 > self.end() {
            return None;
        }
        self.frame.load(at)
    }

    #[inline(always)]
    fn word(&self, behind: u32) -> Option<u64> {
        let at = self.at() + behind;
        if at + 8 > self.end() {
            return None;
        }
        self.frame.word(at)
    }
}

#[inline(always)]
fn in_memory(words: [u64; 2]) -> [u8; 16] {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (words[0].to_ne_bytes(), words[1].to_ne_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[inline(always)]
fn number(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
