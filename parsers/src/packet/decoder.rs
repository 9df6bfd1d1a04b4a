//! The walk over a frame's headers: one loop, one function a header.
//!
//! Each header's function reads it at the front of what is not decoded yet, takes it off, cuts the end where the header
//! states a length, and says which [`Layer`] stands next. What is left when the walk stops is the payload.

use super::event::DecodeEvent;
use super::{DecodeLimits, Packet, Transport, Tunnel};

/// A header that can stand next in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Ethernet,
    Vlan,
    VnTag,
    ETag,
    ServiceTag,
    FabricPath,
    Metadata,
    Hsr,
    Llc,
    Arp,
    Mpls,
    Nsh,
    PppoeDiscovery,
    PppoeSession,
    Ppp,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Igmp,
    Sctp,
    Gre,
    /// Nothing more to decode: what is left is payload.
    Payload,
}

/// The packet as far as it is known. What of the frame is not decoded yet is its payload: between [`Decoder::at`], where
/// the next header begins, and [`Decoder::end`], where the enclosing layer ends as far as it was captured.
pub(super) struct Decoder<'a, 'p> {
    pub(super) packet: &'p mut Packet<'a>,
    /// The enclosing layer goes on beyond `end`: the capture cut it, or an event has said already that bytes are
    /// missing. A header cut short is then no fault of its own.
    pub(super) cut: bool,
    layers_left: u8,
    tunnels: u8,
}

impl<'a, 'p> Decoder<'a, 'p> {
    /// A decoder of all bytes of `packet`.
    pub(super) fn new(packet: &'p mut Packet<'a>, cut: bool, limits: &DecodeLimits) -> Self {
        Self { packet, cut, layers_left: limits.layers, tunnels: limits.tunnels }
    }

    /// Offset of the header being decoded.
    pub(super) fn at(&self) -> usize {
        self.packet.payload.start
    }

    /// Where the enclosing layer ends, as far as it was captured.
    pub(super) fn end(&self) -> usize {
        self.packet.payload.end
    }

    /// Walks the headers from `layer` on.
    pub(super) fn run(&mut self, mut layer: Layer) {
        while layer != Layer::Payload && self.enter() {
            layer = match layer {
                Layer::Ethernet => self.ethernet(),
                Layer::Ipv4 => self.ipv4(),
                Layer::Tcp => self.tcp(),
                Layer::Udp => self.udp(),
                Layer::Ipv6 => self.ipv6(),
                Layer::Vlan => self.vlan(),
                Layer::VnTag => self.vn_tag(),
                Layer::ETag => self.e_tag(),
                Layer::ServiceTag => self.service_tag(),
                Layer::FabricPath => self.fabric_path(),
                Layer::Metadata => self.metadata(),
                Layer::Hsr => self.hsr(),
                Layer::Llc => self.llc(),
                Layer::Arp => self.arp(),
                Layer::Mpls => self.mpls(),
                Layer::Nsh => self.nsh(),
                Layer::PppoeDiscovery => self.pppoe_discovery(),
                Layer::PppoeSession => self.pppoe_session(),
                Layer::Ppp => self.ppp(),
                Layer::Icmp => self.icmp(),
                Layer::Icmpv6 => self.icmpv6(),
                Layer::Igmp => self.igmp(),
                Layer::Sctp => self.sctp(),
                Layer::Gre if self.may_tunnel() => self.gre(),
                Layer::Gre => Layer::Payload,
                Layer::Payload => Layer::Payload,
            };
        }
    }

    /// Accounts for one more header; false, with the event, when there are too many.
    pub(super) fn enter(&mut self) -> bool {
        match self.layers_left.checked_sub(1) {
            Some(left) => {
                self.layers_left = left;
                true
            }
            None => {
                self.event(DecodeEvent::TooManyLayers);
                false
            }
        }
    }

    /// The next `N` bytes, if the layer has them.
    pub(super) fn header<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.rest().first_chunk()
    }

    /// The bytes of the layer from `at` on.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.packet.payload()
    }

    /// Moves behind a header of `length` bytes, which have been read.
    pub(super) fn skip(&mut self, length: usize) {
        self.packet.payload.start = (self.at() + length).min(self.end());
    }

    /// The header at `at` states that it and its payload are `length` bytes long: what follows is not theirs. If that is
    /// more than there is, `too_long` is raised, unless the capture explains it.
    pub(super) fn bound(&mut self, length: usize, too_long: DecodeEvent) {
        let end = self.at().saturating_add(length);
        if end <= self.end() {
            self.packet.payload.end = end;
            self.cut = false;
        } else if !self.cut {
            self.event(too_long);
            self.cut = true;
        }
    }

    /// Raises an event at the current header.
    pub(super) fn event(&mut self, event: DecodeEvent) {
        self.packet.events.push(event, self.at());
    }

    /// The header at `at` is cut short: stops, and raises the event unless the capture cut it.
    pub(super) fn short(&mut self, event: DecodeEvent) -> Layer {
        if !self.cut {
            self.event(event);
        }
        Layer::Payload
    }

    /// The header at `at` cannot be decoded: stops, and raises the event.
    pub(super) fn fault(&mut self, event: DecodeEvent) -> Layer {
        self.event(event);
        Layer::Payload
    }

    /// May another tunnel be entered?
    pub(super) fn may_tunnel(&self) -> bool {
        self.packet.tunnel_depth < self.tunnels
    }

    /// What follows stands in a tunnel that the innermost IP packet carries.
    pub(super) fn enter_tunnel(&mut self, tunnel: Tunnel) {
        self.packet.tunnel = tunnel;
        self.packet.tunnel_depth = self.packet.tunnel_depth.saturating_add(1);
        self.packet.tunnel_header = self.packet.ip.as_ref().and_then(|ip| u32::try_from(ip.header.start).ok());
        self.packet.transport = Transport::None;
        self.packet.ports = [0, 0];
    }
}

/// Big-endian 16 bits at `offset`; 0 beyond the end.
pub(super) fn be16(bytes: &[u8], offset: usize) -> u16 {
    bytes.get(offset..).and_then(|tail| tail.first_chunk()).map_or(0, |two| u16::from_be_bytes(*two))
}
