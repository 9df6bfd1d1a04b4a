//! The record of BACnet as an event: one object for each layer, and the APDUs of the transaction by their kind.

use super::apdu::Apdu;
use super::link::{Bvlc, Entry};
use super::names;
use super::network::{Address, Npdu};
use super::record::Exchange;
use super::schema::PASSWORD;
use super::tag::{Object, Primitive};
use super::walk::{Leaf, Step, walk};
use crate::field::{Names, Tree, name_of};
use crate::text::Line;

/// Octets, bits and values that are written: bounds the length of an event.
const MOST_OCTETS: usize = 256;
const MOST_VALUES: usize = 256;

pub(super) fn write(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let message = record.message;
    if let Some(bvlc) = &message.bvlc {
        let request = record.request.and_then(|request| request.bvlc).filter(|_| message.apdu.is_none());
        request.iter().for_each(|request| link("asked", request, tree));
        link("bvlc", bvlc, tree);
    }
    if let Some(npdu) = &message.npdu {
        network(npdu, tree);
    }
    if let Some(apdu) = record.request.and_then(|request| request.apdu) {
        application("request", &apdu, tree);
        if let Some(apdu) = &message.apdu {
            application("response", apdu, tree);
        }
    } else if let Some(apdu) = &message.apdu {
        application(if apdu.is_answer() { "response" } else { "request" }, apdu, tree);
    }
    if let Some(segment) = record.segment {
        tree.object("segment");
        tree.unsigned("sequence_number", segment.sequence.into());
        tree.unsigned("window_size", segment.window.into());
        tree.flag("more_follows", segment.more);
        tree.end();
    }
}

fn link(key: &'static str, bvlc: &Bvlc<'_>, tree: &mut dyn Tree) {
    tree.object(key);
    named("function", bvlc.function.into(), names::BVLC_FUNCTIONS, tree);
    if let Some(result) = bvlc.result() {
        named("result", result.into(), names::BVLC_RESULTS, tree);
    }
    if let Some(time) = bvlc.time_to_live_s() {
        tree.unsigned("time_to_live_s", time.into());
    }
    let address = |key, address: &dyn std::fmt::Display, tree: &mut dyn Tree| {
        tree.formatted(key, format_args!("{address}"));
    };
    if let Some(of) = bvlc.address() {
        address("address", &of, tree);
    }
    let mut entries = bvlc.entries().take(MOST_VALUES).peekable();
    if entries.peek().is_some() {
        tree.list("table");
        for entry in entries {
            tree.object("");
            match entry {
                Entry::Distribution { address: of, mask } => {
                    address("address", &of, tree);
                    address("mask", &mask, tree);
                }
                Entry::Foreign { address: of, time_to_live_s, remaining_s } => {
                    address("address", &of, tree);
                    tree.unsigned("time_to_live_s", time_to_live_s.into());
                    tree.unsigned("remaining_s", remaining_s.into());
                }
            }
            tree.end();
        }
        tree.end();
    }
    tree.end();
}

fn network(npdu: &Npdu<'_>, tree: &mut dyn Tree) {
    tree.object("network");
    named("priority", npdu.priority().into(), names::PRIORITIES, tree);
    tree.flag("expecting_reply", npdu.expects_reply());
    station("destination", npdu.destination, tree);
    station("source", npdu.source, tree);
    if let Some(hops) = npdu.hop_count {
        tree.unsigned("hop_count", hops.into());
    }
    if let Some(message) = &npdu.message {
        named("message", message.kind.into(), names::NETWORK_MESSAGES, tree);
        if let Some(vendor) = message.vendor {
            named("vendor", vendor.into(), names::VENDORS, tree);
        }
        let mut networks = message.networks().take(MOST_VALUES).peekable();
        if networks.peek().is_some() {
            tree.list("networks");
            networks.for_each(|network| tree.unsigned("", network.into()));
            tree.end();
        }
        let mut ports = message.ports().take(MOST_VALUES).peekable();
        if ports.peek().is_some() {
            tree.list("ports");
            for port in ports {
                tree.object("");
                tree.unsigned("network", port.network.into());
                tree.unsigned("port", port.id.into());
                if !port.info.is_empty() {
                    tree.hex("info", port.info);
                }
                tree.end();
            }
            tree.end();
        }
        if let Some(reason) = message.rejection() {
            named("rejection", reason.into(), names::NETWORK_REJECTIONS, tree);
        }
        if let Some(quality) = message.quality() {
            named("quality", quality.into(), names::NETWORK_NUMBER_QUALITY, tree);
        }
        if let Some(index) = message.performance() {
            tree.unsigned("performance", index.into());
        }
        if let Some(minutes) = message.termination_min() {
            tree.unsigned("termination_min", minutes.into());
        }
    }
    tree.end();
}

fn station(key: &'static str, address: Option<Address<'_>>, tree: &mut dyn Tree) {
    let Some(address) = address else { return };
    tree.object(key);
    tree.unsigned("network", address.network.into());
    if !address.station.is_empty() {
        tree.hex("address", address.station);
    }
    tree.end();
}

fn application(key: &'static str, apdu: &Apdu<'_>, tree: &mut dyn Tree) {
    tree.object(key);
    named("pdu_type", apdu.kind.into(), names::PDU_TYPES, tree);
    for (service, names) in
        [(apdu.confirmed_service(), names::CONFIRMED), (apdu.unconfirmed_service(), names::UNCONFIRMED)]
    {
        if let Some(service) = service {
            named("service", service.into(), names, tree);
        }
    }
    if let Some(id) = apdu.invoke_id {
        tree.unsigned("invoke_id", id.into());
    }
    if let Some(reason) = apdu.reject_reason() {
        named("reason", reason.into(), names::REJECT_REASONS, tree);
    }
    if let Some(reason) = apdu.abort_reason() {
        named("reason", reason.into(), names::ABORT_REASONS, tree);
    }
    if let Some(negative) = apdu.is_negative() {
        tree.flag("negative", negative);
    }
    if let Some(server) = apdu.by_server() {
        tree.flag("by_server", server);
    }
    parameters(apdu, tree);
    tree.end();
}

fn parameters(apdu: &Apdu<'_>, tree: &mut dyn Tree) {
    let mut values = 0usize;
    walk(apdu, &mut |step| match step {
        Step::Begin(name) => tree.object(name),
        Step::BeginList(name) => tree.list(name),
        Step::End => tree.end(),
        Step::Fault(_) => {}
        Step::Value(_) | Step::Unknown(..) if values >= MOST_VALUES => values += 1,
        Step::Value(leaf) => {
            values += 1;
            value(&leaf, tree);
        }
        Step::Unknown(tag, contents) => {
            values += 1;
            tree.object("");
            tree.unsigned("tag", tag.into());
            tree.hex("contents", contents.get(..MOST_OCTETS).unwrap_or(contents));
            tree.end();
        }
    });
    if values > MOST_VALUES {
        tree.unsigned("values_omitted", (values - MOST_VALUES) as u64);
    }
}

fn value(leaf: &Leaf<'_>, tree: &mut dyn Tree) {
    let key = leaf.name;
    if key == PASSWORD {
        // That there is one is worth telling, not which.
        return tree.flag("has_password", true);
    }
    match leaf.value {
        Primitive::Null => tree.text(key, "null"),
        Primitive::Boolean(flag) => tree.flag(key, flag),
        Primitive::Unsigned(number) => tree.unsigned(key, number),
        Primitive::Signed(number) => tree.signed(key, number),
        Primitive::Real(number) => tree.float(key, number),
        Primitive::Octets(octets) => tree.hex(key, octets.get(..MOST_OCTETS).unwrap_or(octets)),
        Primitive::Text(text) => text.with(|octets| tree.octets(key, octets)),
        Primitive::Enumerated(number) => named(key, number, leaf.names, tree),
        Primitive::Bits(octets, unused) => bits(key, octets, unused, leaf.names, tree),
        Primitive::Date(date) => tree.octets(key, calendar(date).as_bytes()),
        Primitive::Time([hour, minute, second, hundredths]) => {
            let part = |part: u8| Unspecified(part, 2);
            let (hour, minute, second, hundredths) = (part(hour), part(minute), part(second), part(hundredths));
            tree.formatted(key, format_args!("{hour}:{minute}:{second}.{hundredths}"));
        }
        Primitive::Object(object) => identifier(key, object, tree),
    }
}

fn identifier(key: &'static str, object: Object, tree: &mut dyn Tree) {
    tree.line(key, object.line().as_str());
}

/// Bits that are set, by name or number.
fn bits(key: &'static str, octets: &[u8], unused: u8, names: Names, tree: &mut dyn Tree) {
    let count = (octets.len() * 8).saturating_sub(unused.into()).min(MOST_VALUES);
    let is_set = |bit: usize| octets.get(bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0);
    tree.list(key);
    for bit in (0..count).filter(|bit| is_set(*bit)) {
        named("", bit as u64, names, tree);
    }
    tree.end();
}

/// A number by its name, where it has one.
fn named(key: &'static str, number: u64, names: Names, tree: &mut dyn Tree) {
    match name_of(names, number) {
        Some(name) => tree.text(key, name),
        None => tree.unsigned(key, number),
    }
}

/// `2024-03-09`; what is not specified as `*`.
fn calendar([year, month, day, _]: [u8; 4]) -> Line<16> {
    let (month, day) = (Unspecified(month, 2), Unspecified(day, 2));
    match year {
        u8::MAX => Line::of(format_args!("*-{month}-{day}")),
        year => Line::of(format_args!("{}-{month}-{day}", 1900 + u16::from(year))),
    }
}

/// A part of a date or time, with so many digits; 255 is any.
struct Unspecified(u8, usize);

impl std::fmt::Display for Unspecified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            u8::MAX => f.write_str("*"),
            number => write!(f, "{number:0width$}", width = self.1),
        }
    }
}
