//! Every protocol Vigía dissects: one line each.

use crate::dissector::{Dissector, Envelope, Frame, Probe, Protocol, Sink};
use crate::it;
use crate::ot;

/// In the order in which they are probed.
#[rustfmt::skip]
pub static PROTOCOLS: &[&Protocol] = &[
    &ot::bacnet::PROTOCOL,
    &ot::bacnet::ETHERNET,
    &ot::dnp3::PROTOCOL,
    &ot::enip::PROTOCOL,
    &ot::enip::CIP,
    &ot::enip::IO,
    &ot::iec104::PROTOCOL,
    &ot::iec61850::mms::PROTOCOL,
    &ot::modbus::PROTOCOL,
    &ot::modbus::RTU,
    &ot::mqtt::PROTOCOL,
    &ot::s7comm::PROTOCOL,
    &ot::s7comm::PLUS,
    &ot::iec61850::goose::PROTOCOL,
    &ot::iec61850::sv::PROTOCOL,
    &ot::iec61850::routed::GOOSE,
    &ot::iec61850::routed::SV,
    &it::arp::PROTOCOL,
    &it::dns::PROTOCOL,
    &it::dns::TCP,
    &it::dns::MDNS,
    &it::dns::LLMNR,
    &it::dns::LLMNR_TCP,
];

/// What flows speak in which no protocol is to be expected any more. Nothing dissects it.
pub static FAILED: Protocol = Protocol {
    name: "failed",
    title: "No protocol that is known",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: false,
    longest_message: 1,
    fields: &[],
    anomalies: &[],
    probe: |_, _| Probe::No,
    frame: |_, _| Frame::Not,
    open: |_| Box::new(Nothing),
};

struct Nothing;

impl Dissector for Nothing {
    fn parse(&mut self, _: &Envelope, _: &[u8], _: &mut dyn Sink) {}
}

/// The protocol of that name; of several ways to carry one, that whose records the others give.
pub fn by_name(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().copied().find(|protocol| protocol.name == name)
}

/// The protocol that stands on the link layer with this ethertype.
pub fn by_ethertype(ethertype: u16) -> Option<&'static Protocol> {
    PROTOCOLS.iter().copied().find(|protocol| protocol.ethertypes.contains(&ethertype))
}

/// The first protocol that has this one's very field table: itself, unless it is a variant of another.
pub fn first_with_fields_of(protocol: &'static Protocol) -> &'static Protocol {
    PROTOCOLS.iter().copied().find(|first| std::ptr::eq(first.fields, protocol.fields)).unwrap_or(protocol)
}
