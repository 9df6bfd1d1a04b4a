//! The record of EtherNet/IP as Suricata 8 lays it out: `request` and `response`, with the CIP message in each.

use super::cip::eve::{named, service, status};
use super::cip::names as cip_names;
use super::cip::path::{Logical, Path, Segment};
use super::cip::service::Service;
use super::encapsulation::Message;
use super::names;
use super::record::Exchange;
use crate::field::{Tree, name_of};

pub(super) fn write(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let (request, response) = match record.message.request {
        true => (Some(record.message), None),
        false => (record.request, Some(record.message)),
    };
    let asked = request.and_then(Message::service);
    if let Some(request) = request {
        tree.object("request");
        message(request, None, tree);
        tree.end();
    }
    if let Some(response) = response {
        tree.object("response");
        message(response, asked, tree);
        tree.end();
    }
}

fn message(message: &Message<'_>, asked: Option<&Service<'_>>, tree: &mut dyn Tree) {
    named(tree, "command", names::COMMANDS, message.command.into());
    named(tree, "status", names::STATUS, message.status.into());
    if message.session != 0 {
        tree.unsigned("session", message.session.into());
    }
    if let Some((version, options)) = message.register() {
        tree.object("register_session");
        tree.unsigned("protocol_version", version.into());
        tree.unsigned("options", options.into());
        tree.end();
    }
    if let Some(offer) = message.offers().next() {
        tree.object("list_services");
        tree.unsigned("protocol_version", offer.protocol_version.into());
        tree.unsigned("capabilities", offer.capabilities.into());
        tree.octets("service_name", offer.name);
        tree.end();
    }
    identity(message, tree);
    if let Some(service) = message.service() {
        tree.object("cip");
        cip(service, asked, tree);
        tree.end();
    }
}

fn identity(message: &Message<'_>, tree: &mut dyn Tree) {
    let Some(identity) = message.identity() else { return };
    tree.object("identity");
    tree.unsigned("protocol_version", identity.protocol_version.into());
    let [major, minor] = identity.revision;
    tree.formatted("revision", format_args!("{major}.{minor}"));
    named(tree, "vendor_id", cip_names::VENDORS, identity.vendor.into());
    named(tree, "device_type", cip_names::DEVICE_TYPES, identity.device_type.into());
    tree.unsigned("product_code", identity.product_code.into());
    tree.unsigned("status", identity.status.into());
    tree.unsigned("serial", identity.serial.into());
    tree.octets("product_name", identity.product_name);
    if let Some(state) = identity.state {
        tree.unsigned("state", state.into());
    }
    tree.end();
}

fn cip(message: &Service<'_>, asked: Option<&Service<'_>>, tree: &mut dyn Tree) {
    let sent_on = asked.and_then(|asked| asked.sent_on()).and_then(|(embedded, _)| embedded.ok());
    let asked = match sent_on.as_ref() {
        Some(embedded) if embedded.code() == message.code() => Some(embedded),
        _ => asked,
    };
    one(message, asked, tree);
    let embedded = message.sent_on().map(|(embedded, _)| embedded);
    let mut all = embedded.into_iter().chain(message.packed()).flatten().peekable();
    if all.peek().is_none() {
        return;
    }
    let mut requests = asked.into_iter().flat_map(|asked| asked.packed());
    tree.list("multiple");
    for message in all {
        let request = requests.next().and_then(Result::ok);
        tree.object("");
        one(&message, request.as_ref(), tree);
        tree.end();
    }
    tree.end();
}

fn one(message: &Service<'_>, asked: Option<&Service<'_>>, tree: &mut dyn Tree) {
    let request = if message.is_request() { Some(message) } else { asked };
    service(message.code(), request, tree);
    if message.is_request() {
        path(message.path, tree);
    } else {
        status(message, tree);
    }
}

fn path(path: Path<'_>, tree: &mut dyn Tree) {
    if path.bytes.is_empty() {
        return;
    }
    tree.list("path");
    for segment in path.segments() {
        let (kind, value) = match segment {
            Segment::Logical { kind, value } => (kind.name(), value),
            Segment::Port { port, .. } => ("port", port.into()),
            Segment::Symbol(name) => {
                tree.object("");
                tree.text("segment_type", "symbol");
                tree.octets("name", name);
                tree.end();
                continue;
            }
            Segment::Key(_) | Segment::Network { .. } | Segment::Data(_) => continue,
        };
        tree.object("");
        tree.text("segment_type", kind);
        tree.unsigned("value", value.into());
        tree.end();
    }
    tree.end();
    if let Some(name) = path.first(Logical::Class).and_then(|class| name_of(cip_names::CLASSES, class.into())) {
        tree.text("class_name", name);
    }
}
