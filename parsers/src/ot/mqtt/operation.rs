//! What an MQTT packet does to the plant, and what it tells of devices.
//!
//! A plain PUBLISH says nothing of either: what a topic means is the plant's own affair. Sparkplug says it.

use super::packet::{Body, kind};
use super::record::Exchange;
use super::sparkplug::{Message, Metric, Topic};
use crate::field::Value;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Utf8;

pub(super) fn operation(record: &Exchange<'_>) -> Option<Operation> {
    match record.asked().kind {
        kind::SUBSCRIBE => return Some(Operation::Read),
        kind::CONNECT | kind::AUTH => return Some(Operation::Authenticate),
        _ => {}
    }
    let (topic, payload) = record.sparkplug_asked()?;
    Some(match topic.message {
        // Node Control (Sparkplug 3.0 §6.4.24): Reboot and Rebirth are asked for by writing true.
        Message::NodeCommand | Message::DeviceCommand => {
            let reboots = payload.metrics().any(|metric| {
                record.aliases.name(&topic, &metric).is_some_and(|name| name.ends_with(b"Control/Reboot"))
            });
            if reboots { Operation::Restart } else { Operation::Write }
        }
        Message::State | Message::NodeDeath | Message::DeviceDeath => return None,
        _ => Operation::Read,
    })
}

pub(super) fn points(record: &Exchange<'_>, out: &mut VisitPoints<'_>) {
    if let Some((topic, payload)) = record.sparkplug_asked() {
        for metric in payload.metrics() {
            point(record, &topic, &metric, out);
        }
        return;
    }
    if let Body::Subscribe { filters } = record.asked().body {
        for (filter, _) in filters.each(true) {
            out(Point { target: format_args!("{}", Utf8(filter)), value: None });
        }
    }
}

/// `group/node/device/metric`, with its value when it is commanded.
fn point(record: &Exchange<'_>, topic: &Topic<'_>, metric: &Metric<'_>, out: &mut VisitPoints<'_>) {
    let commanded = metric.value(record.aliases.kind(topic, metric)).filter(|_| topic.message.is_command());
    // Text is no number that a rule could compare, and is shown with the record.
    let value = commanded.filter(|value| !matches!(value, Value::Bytes(_)));
    let (group, node) = (Utf8(topic.group), Utf8(topic.node));
    let name = record.aliases.name(topic, metric);
    match (topic.device, name) {
        (Some(device), Some(name)) => {
            let (device, name) = (Utf8(device), Utf8(name));
            out(Point { target: format_args!("{group}/{node}/{device}/{name}"), value });
        }
        (None, Some(name)) => out(Point { target: format_args!("{group}/{node}/{}", Utf8(name)), value }),
        (device, None) => {
            let device = Utf8(device.unwrap_or_default());
            let alias = metric.alias.unwrap_or_default();
            out(Point { target: format_args!("{group}/{node}/{device} alias {alias}"), value });
        }
    }
}

/// The properties that an edge node or device is born with (names as the specification recommends them, §6.4.24), and
/// the client's own name. Only of what the sender says of itself: over a broker it would be told of the broker.
pub(super) fn facts(record: &Exchange<'_>, out: &mut VisitFacts<'_>) {
    if !record.asked_by_client() {
        return;
    }
    let mut tell = |kind, value| out(Fact { of: End::Client, kind, value });
    if let Body::Connect(connect) = record.asked().body
        && !connect.client_id.is_empty()
    {
        tell(FactKind::Name, Value::Bytes(connect.client_id));
    }
    let Some((topic, payload)) = record.sparkplug_asked() else { return };
    if topic.message != Message::NodeBirth {
        return;
    }
    tell(FactKind::Name, Value::Bytes(topic.node));
    for metric in payload.metrics() {
        let Some(name) = metric.name else { continue };
        let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        let kind = match last {
            b"Hardware Make" | b"HW Make" | b"Manufacturer" | b"Vendor" => FactKind::Vendor,
            b"Hardware Model" | b"HW Model" | b"Model" => FactKind::Model,
            b"Serial Number" | b"Serial" | b"SN" => FactKind::Serial,
            b"FW" | b"Firmware" | b"Firmware Version" | b"FW Version" | b"OS Version" => FactKind::Firmware,
            b"Hardware Version" | b"HW Version" => FactKind::Hardware,
            b"Location" => FactKind::Location,
            _ => continue,
        };
        if let Some(value @ Value::Bytes(_)) = metric.value(None).filter(|_| metric.is_text()) {
            tell(kind, value);
        }
    }
}
