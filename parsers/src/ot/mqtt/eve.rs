//! The record of MQTT as Suricata lays it out: one object for each packet of the transaction, named for its type. What
//! Sparkplug says stands beside, in an object of its own.

use super::compound::{Array, DataSet, Named, Template};
use super::names;
use super::packet::{Body, Connect, Packet, connect_flag, kind};
use super::property::Properties;
use super::record::Exchange;
use super::sparkplug::{self, Message, Metric, Topic};
use crate::field::{Tree, Value, name_of};

/// Payload bytes and metrics that are written: bounds the length of an event.
const LONGEST_MESSAGE: usize = 1024;
const MOST_METRICS: usize = 64;
/// Elements of an array, columns or rows of a data set, parameters and properties that are written.
const MOST_VALUES: usize = 64;
const MOST_ROWS: usize = 16;
/// Templates within templates that are written.
const TEMPLATES: usize = 2;

pub(super) fn write(record: &Exchange<'_>, tree: &mut dyn Tree) {
    if let Some(request) = record.request {
        packet(request, record, tree);
    }
    packet(record.packet, record, tree);
    sparkplug(record, tree);
}

fn packet(packet: &Packet<'_>, record: &Exchange<'_>, tree: &mut dyn Tree) {
    let key = name_of(names::TYPES, packet.kind.into()).unwrap_or_default();
    tree.object(key);
    tree.unsigned("qos", packet.qos().into());
    tree.flag("retain", packet.flags & 1 != 0);
    tree.flag("dup", packet.flags & 8 != 0);
    if let Some(id) = packet.id {
        tree.unsigned("message_id", id.into());
    }
    match packet.body {
        Body::Connect(said) => connect(&said, tree),
        Body::Connack { flags, code } => {
            tree.flag("session_present", flags & 1 != 0);
            tree.unsigned("return_code", code.into());
        }
        Body::Publish { payload, .. } => {
            tree.octets("topic", record.topic);
            let written = payload.get(..LONGEST_MESSAGE).unwrap_or(payload);
            let skipped = payload.len() - written.len() + packet.missing;
            tree.octets("message", written);
            if skipped > 0 {
                tree.flag("truncated", true);
                tree.unsigned("skipped_length", skipped as u64);
            }
        }
        Body::Acknowledge { code } | Body::Bare { code } => {
            if let Some(code) = code {
                tree.unsigned("reason_code", code.into());
            }
        }
        Body::Subscribe { filters } => {
            tree.list("topics");
            for (filter, options) in filters.each(true) {
                tree.object("");
                tree.octets("topic", filter);
                tree.unsigned("qos", (options & 3).into());
                tree.end();
            }
            tree.end();
        }
        Body::Unsubscribe { filters } => {
            tree.list("topics");
            filters.each(false).for_each(|(filter, _)| tree.octets("", filter));
            tree.end();
        }
        Body::Codes(codes) => {
            tree.list(if packet.kind == kind::SUBACK { "qos_granted" } else { "reason_codes" });
            codes.iter().for_each(|code| tree.unsigned("", (*code).into()));
            tree.end();
        }
    }
    properties(packet.properties, tree);
    tree.end();
}

fn connect(said: &Connect<'_>, tree: &mut dyn Tree) {
    tree.octets("protocol_string", said.protocol);
    tree.unsigned("protocol_version", said.version.into());
    tree.object("flags");
    for (key, flag) in [
        ("username", connect_flag::USERNAME),
        ("password", connect_flag::PASSWORD),
        ("will_retain", connect_flag::WILL_RETAIN),
        ("will", connect_flag::WILL),
        ("clean_session", connect_flag::CLEAN_SESSION),
    ] {
        tree.flag(key, said.flags & flag != 0);
    }
    tree.end();
    tree.octets("client_id", said.client_id);
    if let Some(username) = said.username {
        tree.octets("username", username);
    }
    if let Some(password) = said.password {
        tree.octets("password", password);
    }
    if let Some(will) = said.will {
        tree.object("will");
        tree.octets("topic", will.topic);
        tree.octets("message", will.message.get(..LONGEST_MESSAGE).unwrap_or(will.message));
        properties(will.properties, tree);
        tree.end();
    }
}

fn properties(properties: Properties<'_>, tree: &mut dyn Tree) {
    if properties.is_empty() {
        return;
    }
    tree.object("properties");
    // User properties may repeat, and have names that are not ours: a list of pairs keeps the object sound.
    for property in properties.filter(|property| property.key.is_none()) {
        value(property.name, property.value, tree);
    }
    let mut pairs = properties.filter_map(|property| Some((property.key?, property.value))).peekable();
    if pairs.peek().is_some() {
        tree.list("user_properties");
        for (name, said) in pairs {
            tree.object("");
            tree.octets("name", name);
            value("value", said, tree);
            tree.end();
        }
        tree.end();
    }
    tree.end();
}

fn value(key: &'static str, value: Value<'_>, tree: &mut dyn Tree) {
    match value {
        Value::Unsigned(number) => tree.unsigned(key, number),
        Value::Signed(number) => tree.signed(key, number),
        Value::Float(number) => tree.float(key, number),
        Value::Flag(flag) => tree.flag(key, flag),
        Value::Bytes(bytes) => tree.octets(key, bytes),
        _ => {}
    }
}

fn sparkplug(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let Some((topic, payload)) = record.sparkplug_asked() else { return };
    tree.object("sparkplug");
    tree.text("message", name_of(sparkplug::MESSAGES, topic.message as u64).unwrap_or_default());
    if topic.message == Message::State {
        tree.octets("host", topic.node);
        tree.end();
        return;
    }
    tree.octets("group", topic.group);
    tree.octets("edge_node", topic.node);
    if let Some(device) = topic.device {
        tree.octets("device", device);
    }
    if let Some(time) = payload.timestamp_ms() {
        tree.unsigned("timestamp_ms", time);
    }
    if let Some(sequence) = payload.sequence() {
        tree.unsigned("sequence", sequence);
    }
    tree.list("metrics");
    payload.metrics().take(MOST_METRICS).for_each(|said| metric(record, &topic, &said, TEMPLATES, tree));
    tree.end();
    let more = payload.metrics().count().saturating_sub(MOST_METRICS);
    if more > 0 {
        tree.unsigned("metrics_omitted", more as u64);
    }
    tree.end();
}

fn metric(record: &Exchange<'_>, topic: &Topic<'_>, metric: &Metric<'_>, deeper: usize, tree: &mut dyn Tree) {
    tree.object("");
    if let Some(name) = record.aliases.name(topic, metric) {
        tree.octets("name", name);
    }
    if let Some(alias) = metric.alias {
        tree.unsigned("alias", alias);
    }
    let kind = record.aliases.kind(topic, metric);
    datatype(kind, tree);
    if let Some(elements) = metric.array(kind) {
        array(elements, tree);
    } else {
        match metric.value(kind) {
            Some(Value::Bytes(bytes)) if !metric.is_text() => tree.hex("value", bytes.get(..64).unwrap_or(bytes)),
            Some(said) => value("value", said, tree),
            None => {}
        }
    }
    if let Some(set) = metric.data_set() {
        data_set(&set, tree);
    }
    if let Some(said) = metric.template() {
        template(record, topic, &said, deeper, tree);
    }
    named("properties", metric.properties(), tree);
    if metric.is_null {
        tree.flag("is_null", true);
    }
    if metric.is_historical {
        tree.flag("is_historical", true);
    }
    if let Some(time) = metric.timestamp_ms {
        tree.unsigned("timestamp_ms", time);
    }
    tree.end();
}

fn datatype(kind: Option<u32>, tree: &mut dyn Tree) {
    if let Some(name) = kind.and_then(|kind| name_of(sparkplug::TYPES, kind.into())) {
        tree.text("datatype", name);
    }
}

fn array(mut elements: Array<'_>, tree: &mut dyn Tree) {
    tree.list("value");
    elements.by_ref().take(MOST_VALUES).for_each(|said| value("", said, tree));
    tree.end();
    let more = elements.count();
    if more > 0 {
        tree.unsigned("values_omitted", more as u64);
    }
}

fn data_set(set: &DataSet<'_>, tree: &mut dyn Tree) {
    tree.object("data_set");
    tree.list("columns");
    let mut types = set.types();
    for name in set.columns().take(MOST_VALUES) {
        tree.object("");
        tree.octets("name", name);
        datatype(types.next(), tree);
        tree.end();
    }
    tree.end();
    tree.list("rows");
    let mut rows = set.rows();
    for row in rows.by_ref().take(MOST_ROWS) {
        tree.list("");
        for said in row.take(MOST_VALUES) {
            match said {
                Some(said) => value("", said, tree),
                // A float that is none is written as null.
                None => tree.float("", f64::NAN),
            }
        }
        tree.end();
    }
    tree.end();
    let more = rows.count();
    if more > 0 {
        tree.unsigned("rows_omitted", more as u64);
    }
    tree.end();
}

fn template(record: &Exchange<'_>, topic: &Topic<'_>, said: &Template<'_>, deeper: usize, tree: &mut dyn Tree) {
    tree.object("template");
    if let Some(reference) = said.reference() {
        tree.octets("reference", reference);
    }
    if let Some(version) = said.version() {
        tree.octets("version", version);
    }
    tree.flag("is_definition", said.is_definition());
    named("parameters", said.parameters(), tree);
    if let Some(deeper) = deeper.checked_sub(1) {
        tree.list("metrics");
        said.metrics().take(MOST_METRICS).for_each(|member| metric(record, topic, &member, deeper, tree));
        tree.end();
    }
    tree.end();
}

/// Parameters or properties; nothing where there are none.
fn named<'a>(key: &'static str, all: impl Iterator<Item = Named<'a>>, tree: &mut dyn Tree) {
    let mut all = all.take(MOST_VALUES).peekable();
    if all.peek().is_none() {
        return;
    }
    tree.list(key);
    for one in all {
        tree.object("");
        tree.octets("name", one.name);
        datatype(one.kind, tree);
        if let Some(said) = one.value {
            value("value", said, tree);
        }
        tree.end();
    }
    tree.end();
}
