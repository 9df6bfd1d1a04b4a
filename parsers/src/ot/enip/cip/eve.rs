//! The record of CIP as events show it: a layout of our own.

use super::super::read::udint;
use super::connection::{Opening, Way};
use super::names;
use super::path::Path;
use super::record::Record;
use super::service::Service;
use crate::field::{Names, Tree, Value, name_of};

/// Values of one message that are written: bounds the length of an event.
const MOST_VALUES: usize = 64;

pub(crate) fn write(record: &Record<'_>, tree: &mut dyn Tree) {
    let asked = record.asked();
    service(record.service.code(), asked, tree);
    tree.unsigned("service_code", record.service.code().into());
    if let Some(asked) = asked {
        path("path", asked.path, tree);
        if let Some(class) = asked.path.class() {
            named(tree, "class", names::CLASSES, class.into());
        }
    }
    if let Some(connection) = record.message.connection() {
        tree.unsigned("connection_id", connection.into());
    }
    if let Some(route) = record.asked().and_then(|asked| asked.sent_on()).map(|(_, route)| route) {
        tree.hex("route", route.bytes);
    }
    if let Some(asked) = asked.and_then(|asked| Opening::new(asked, asked)) {
        opening(&asked, record, tree);
    }
    tag(record, tree);
    pccc(record, tree);
    if !record.service.is_request() {
        status(record.service, tree);
    }
    if let Some(identity) = record.identity() {
        tree.object("identity");
        number(tree, "vendor_id", identity.vendor);
        number(tree, "device_type", identity.device_type);
        number(tree, "product_code", identity.product_code);
        number(tree, "revision_major", identity.revision.map(|revision| revision[0]));
        number(tree, "revision_minor", identity.revision.map(|revision| revision[1]));
        number(tree, "status", identity.status);
        number(tree, "serial", identity.serial);
        if let Some(name) = identity.product_name {
            tree.octets("product_name", name);
        }
        tree.end();
    }
}

fn number(tree: &mut dyn Tree, key: &'static str, value: Option<impl Into<u64>>) {
    if let Some(value) = value {
        tree.unsigned(key, value.into());
    }
}

/// A name, or `unknown-N` as Suricata has it.
pub(crate) fn named(tree: &mut dyn Tree, key: &'static str, names: Names, value: u64) {
    spelt(tree, key, name_of(names, value), value);
}

fn spelt(tree: &mut dyn Tree, key: &'static str, name: Option<&'static str>, value: u64) {
    match name {
        Some(name) => tree.text(key, name),
        None => tree.formatted(key, format_args!("unknown-{value}")),
    }
}

pub(crate) fn service(code: u8, asked: Option<&Service<'_>>, tree: &mut dyn Tree) {
    spelt(tree, "service", names::service(code, asked), code.into());
}

/// Status and additional status of a response, in Suricata's words.
pub(crate) fn status(service: &Service<'_>, tree: &mut dyn Tree) {
    named(tree, "status", names::STATUS, service.status.into());
    if !service.extended.is_empty() {
        tree.hex("status_extended", service.extended);
    }
    let meaning = service.extended_status().and_then(|word| name_of(names::EXTENDED_STATUS, word.into()));
    if let Some(meaning) = meaning.filter(|_| service.status == 1) {
        tree.text("status_extended_meaning", meaning);
    }
}

fn path(key: &'static str, path: Path<'_>, tree: &mut dyn Tree) {
    if path.bytes.is_empty() {
        return;
    }
    tree.formatted(key, format_args!("{path}"));
}

fn opening(asked: &Opening<'_>, record: &Record<'_>, tree: &mut dyn Tree) {
    tree.object("connection");
    tree.unsigned("serial", asked.serial.connection.into());
    tree.unsigned("originator_vendor", asked.serial.vendor.into());
    tree.unsigned("originator_serial", asked.serial.originator.into());
    if let Some(transport) = asked.transport {
        tree.unsigned("transport_class", (transport & 0x0f).into());
    }
    path("path", asked.path, tree);
    // What was granted, or else what was asked for.
    let said = record.opening().and_then(|said| said.ways).or(asked.ways);
    if let (Some(ways), Some(wanted)) = (said, asked.ways) {
        for ((key, way), wanted) in ["o_to_t", "t_to_o"].into_iter().zip(ways).zip(wanted) {
            direction(key, way, wanted, tree);
        }
    }
    tree.end();
}

fn direction(key: &'static str, way: Way, wanted: Way, tree: &mut dyn Tree) {
    tree.object(key);
    tree.unsigned("id", way.id.into());
    tree.unsigned("interval_us", way.interval_us.into());
    number(tree, "size", way.size.or(wanted.size));
    tree.end();
}

fn tag(record: &Record<'_>, tree: &mut dyn Tree) {
    let Some(tag) = record.tag() else { return };
    let asked = record.request.and_then(|request| super::tag::Tag::new(request, request));
    if let Some(kind) = tag.kind.or(asked.and_then(|asked| asked.kind)) {
        named(tree, "data_type", names::DATA_TYPES, kind.into());
    }
    number(tree, "elements", tag.elements.or(asked.and_then(|asked| asked.elements)));
    number(tree, "byte_offset", tag.offset.or(asked.and_then(|asked| asked.offset)));
    let carrier = if tag.values.is_empty() { asked.unwrap_or(tag) } else { tag };
    if carrier.values.is_empty() {
        return;
    }
    tree.list("values");
    for value in carrier.each().take(MOST_VALUES) {
        match value {
            Value::Unsigned(value) => tree.unsigned("", value),
            Value::Signed(value) => tree.signed("", value),
            Value::Float(value) => tree.float("", value),
            _ => {}
        }
    }
    tree.end();
}

fn pccc(record: &Record<'_>, tree: &mut dyn Tree) {
    let Some(asked) = record.asked().and_then(|asked| super::pccc::Pccc::new(asked, asked)) else { return };
    tree.object("pccc");
    let code = asked.operation_code().unwrap_or(asked.command.into());
    spelt(tree, "command", asked.name(), code.into());
    tree.unsigned("transaction", asked.transaction.into());
    if let Some(address) = asked.address() {
        tree.formatted("address", format_args!("{address}"));
    }
    if let Some(said) = record.pccc().filter(|said| said.reply) {
        tree.unsigned("status", said.status.into());
        number(tree, "extended_status", said.extended_status);
    }
    // CPU mode and the like: one octet says all.
    if asked.address().is_none() && asked.data.len() <= 4 && !asked.data.is_empty() {
        let word = asked.data.first().map(|byte| u32::from(*byte));
        number(tree, "argument", udint(asked.data, 0).or(word));
    }
    tree.end();
}
