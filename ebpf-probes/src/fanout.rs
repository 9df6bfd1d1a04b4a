//! The fanout: which worker a frame goes to. Both directions of a flow give the same number, tagged or tunnelled alike or
//! not: what counts is the innermost pair of addresses that is to be found.
//!
//! Frames without IP are told by their MAC addresses. Fragments carry no ports after the first, so they go by their
//! addresses alone, all of them; trailers (PRP) do not matter.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes_relative;
use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;
use vigia_probes_abi::{FANOUT_DEPTH, meet, mix};

/// Start of the link header, of the network header (`enum bpf_hdr_start_off`).
const LINK: u32 = 0;
const NETWORK: u32 = 1;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Customer and service tags, and the older numbers of the latter.
const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
const HSR: u16 = 0x892f;
const MPLS: [u16; 2] = [0x8847, 0x8848];
const PPPOE_SESSION: u16 = 0x8864;
/// Ethernet within GRE (transparent bridging), and ERSPAN of types I/II and III.
const BRIDGED: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
const VXLAN_PORT: u16 = 4789;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const GRE: u8 = 47;
const IPV4_WITHIN: u8 = 4;
const IPV6_WITHIN: u8 = 41;
/// Extension headers of IPv6: hop-by-hop, routing, destination options; fragment.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
const FRAGMENT: u8 = 44;

/// What stands at the place that has been reached.
#[derive(Clone, Copy)]
enum Layer {
    /// What an EtherType announced.
    Link(u16),
    /// What an IP header announced, within the addresses that were hashed already.
    Transport(u8),
    /// An Ethernet header.
    Ethernet,
}

/// How far the headers were followed, and the ends known so far.
struct Walk<'c> {
    context: &'c SkBuffContext,
    at: u32,
    ends: (u64, u64),
}

#[socket_filter]
pub(crate) fn fanout(context: SkBuffContext) -> i64 {
    let mut walk = Walk { context: &context, at: 0, ends: (0, 0) };
    // The frame may have no link header (raw IP): then these are zeros.
    if let Some(addresses) = load::<12>(&context, 0, LINK) {
        walk.take_link_addresses(&addresses);
    }
    let mut layer = Layer::Link(u16::from_be(context.skb.protocol() as u16));
    for _ in 0..FANOUT_DEPTH {
        match walk.step(layer) {
            Some(next) => layer = next,
            None => break,
        }
    }
    i64::from(meet(walk.ends.0, walk.ends.1))
}

impl Walk<'_> {
    /// Takes what stands at the place reached; `None` at the end of what can be followed.
    #[inline(always)]
    fn step(&mut self, layer: Layer) -> Option<Layer> {
        match layer {
            Layer::Ethernet => {
                let header = self.load::<14>()?;
                self.take_link_addresses(&[
                    header[0], header[1], header[2], header[3], header[4], header[5], header[6], header[7], header[8],
                    header[9], header[10], header[11],
                ]);
                self.past(14, Layer::Link(number(header[12], header[13])))
            }
            Layer::Link(IPV4) => self.ipv4(),
            Layer::Link(IPV6) => self.ipv6(),
            Layer::Link(kind) if VLAN.contains(&kind) => {
                let tag = self.load::<4>()?;
                self.past(4, Layer::Link(number(tag[2], tag[3])))
            }
            Layer::Link(HSR) => {
                let tag = self.load::<6>()?;
                self.past(6, Layer::Link(number(tag[4], tag[5])))
            }
            Layer::Link(kind) if MPLS.contains(&kind) => self.mpls(kind),
            Layer::Link(PPPOE_SESSION) => match self.load::<8>()? {
                [.., 0x00, 0x21] => self.past(8, Layer::Link(IPV4)),
                [.., 0x00, 0x57] => self.past(8, Layer::Link(IPV6)),
                _ => None,
            },
            Layer::Link(_) => None,
            Layer::Transport(GRE) => self.gre(),
            Layer::Transport(IPV4_WITHIN) => Some(Layer::Link(IPV4)),
            Layer::Transport(IPV6_WITHIN) => Some(Layer::Link(IPV6)),
            Layer::Transport(kind) => self.ports(kind),
        }
    }

    #[inline(always)]
    fn ipv4(&mut self) -> Option<Layer> {
        let header = self.load::<20>()?;
        let words = u32::from(header[0] & 0x0f);
        if header[0] >> 4 != 4 || words < 5 {
            return None;
        }
        let address = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        self.ends = (mix(u64::from(address(12))), mix(u64::from(address(16))));
        // More fragments, or an offset: a part of a datagram.
        if number(header[6], header[7]) & 0x3fff != 0 {
            return None;
        }
        self.past(words * 4, Layer::Transport(header[9]))
    }

    #[inline(always)]
    fn ipv6(&mut self) -> Option<Layer> {
        let header = self.load::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let half = |at: usize| {
            u64::from_be_bytes([
                header[at],
                header[at + 1],
                header[at + 2],
                header[at + 3],
                header[at + 4],
                header[at + 5],
                header[at + 6],
                header[at + 7],
            ])
        };
        self.ends = (mix(mix(half(8)).wrapping_add(half(16))), mix(mix(half(24)).wrapping_add(half(32))));
        self.past(40, Layer::Transport(header[6]))
    }

    /// A label; below the last one a first half-byte tells IP.
    #[inline(always)]
    fn mpls(&mut self, kind: u16) -> Option<Layer> {
        let label = self.load::<4>()?;
        self.at += 4;
        if label[2] & 1 == 0 {
            return Some(Layer::Link(kind));
        }
        match self.load::<1>()?[0] >> 4 {
            4 => Some(Layer::Link(IPV4)),
            6 => Some(Layer::Link(IPV6)),
            // A pseudowire's control word, and Ethernet behind it.
            0 => self.past(4, Layer::Ethernet),
            _ => None,
        }
    }

    /// GRE of version 0 (RFC 2784, 2890), with ERSPAN in it.
    #[inline(always)]
    fn gre(&mut self) -> Option<Layer> {
        let header = self.load::<4>()?;
        if header[1] & 0x07 != 0 {
            return None;
        }
        let (checksum, key, sequence) = (header[0] & 0x80 != 0, header[0] & 0x20 != 0, header[0] & 0x10 != 0);
        self.at += 4 + 4 * (u32::from(checksum) + u32::from(key) + u32::from(sequence));
        match number(header[2], header[3]) {
            BRIDGED => Some(Layer::Ethernet),
            // Type II has a sequence number and a header, type I has neither.
            ERSPAN => self.past(if sequence { 8 } else { 0 }, Layer::Ethernet),
            ERSPAN_3 => {
                let subheader = self.load::<12>()?[11] & 1 != 0;
                self.past(if subheader { 20 } else { 12 }, Layer::Ethernet)
            }
            kind => Some(Layer::Link(kind)),
        }
    }

    /// Extension headers are passed over; ports are added to the ends; VXLAN is entered.
    #[inline(always)]
    fn ports(&mut self, kind: u8) -> Option<Layer> {
        if EXTENSIONS.contains(&kind) {
            let header = self.load::<2>()?;
            return self.past((u32::from(header[1]) + 1) * 8, Layer::Transport(header[0]));
        }
        if kind == FRAGMENT {
            // One that is whole (RFC 6946) goes on, a part does not.
            let header = self.load::<8>()?;
            let whole = number(header[2], header[3]) & 0xfff9 == 0;
            return if whole { self.past(8, Layer::Transport(header[0])) } else { None };
        }
        if kind != TCP && kind != UDP && kind != SCTP {
            return None;
        }
        let ports = self.load::<4>()?;
        let (source, destination) = (number(ports[0], ports[1]), number(ports[2], ports[3]));
        self.ends.0 = mix(self.ends.0.wrapping_add(u64::from(source)));
        self.ends.1 = mix(self.ends.1.wrapping_add(u64::from(destination)));
        // The flag says that the network's number is valid (RFC 7348, section 5).
        if kind == UDP && destination == VXLAN_PORT && self.load::<9>()?[8] & 0x08 != 0 {
            return self.past(16, Layer::Ethernet);
        }
        None
    }

    #[inline(always)]
    fn take_link_addresses(&mut self, of: &[u8; 12]) {
        let end =
            |at: usize| u64::from_be_bytes([0, 0, of[at], of[at + 1], of[at + 2], of[at + 3], of[at + 4], of[at + 5]]);
        self.ends = (mix(end(6)), mix(end(0)));
    }

    #[inline(always)]
    fn past(&mut self, bytes: u32, next: Layer) -> Option<Layer> {
        self.at += bytes;
        Some(next)
    }

    #[inline(always)]
    fn load<const N: usize>(&self) -> Option<[u8; N]> {
        load(self.context, self.at, NETWORK)
    }
}

/// Bytes of the frame from the start of a header on; `None` if there are not as many.
#[inline(always)]
fn load<const N: usize>(context: &SkBuffContext, at: u32, from: u32) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the pointer is to `bytes`, and the length is its size.
    let failed =
        unsafe { bpf_skb_load_bytes_relative(context.as_ptr(), at, bytes.as_mut_ptr().cast(), N as u32, from) };
    (failed == 0).then_some(bytes)
}

#[inline(always)]
fn number(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
