//! The record of MQTT: a control packet, and the one it answers.

use super::packet::{Body, Connect, Packet};
use super::sparkplug::{self, Aliases, Metric, Payload, Topic};
use super::{PROTOCOL, eve, names, operation};
use crate::dissector::Pairing;
use crate::field::{Value, Visit};

/// A packet with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) packet: &'a Packet<'a>,
    /// What it answers, if that was seen.
    pub(super) request: Option<&'a Packet<'a>>,
    pub(super) from_client: bool,
    /// Of the flow; 0 when it is not known.
    pub(super) version: u8,
    /// Topic of the PUBLISH that the packet is or answers, an alias resolved.
    pub(super) topic: &'a [u8],
    pub(super) aliases: &'a Aliases,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

crate::dissector::record!(Exchange<'_>, PROTOCOL, visit, eve::write, operation);

impl<'a> Exchange<'a> {
    pub(super) fn connect(&self) -> Option<Connect<'a>> {
        match self.packet.body {
            Body::Connect(connect) => Some(connect),
            _ => None,
        }
    }

    pub(super) fn payload(&self) -> Option<&'a [u8]> {
        match self.packet.body {
            Body::Publish { payload, .. } => Some(payload),
            _ => None,
        }
    }

    /// The packet that began the transaction, as far as it was seen.
    pub(super) fn asked(&self) -> &'a Packet<'a> {
        self.request.unwrap_or(self.packet)
    }

    /// Did the client send that one?
    pub(super) fn asked_by_client(&self) -> bool {
        self.from_client == self.request.is_none()
    }

    /// The Sparkplug message that a PUBLISH carries.
    pub(super) fn sparkplug(&self) -> Option<(Topic<'a>, Payload<'a>)> {
        self.carried(self.packet)
    }

    /// The Sparkplug message of the PUBLISH that this is or answers.
    pub(super) fn sparkplug_asked(&self) -> Option<(Topic<'a>, Payload<'a>)> {
        self.carried(self.asked())
    }

    fn carried(&self, packet: &Packet<'a>) -> Option<(Topic<'a>, Payload<'a>)> {
        let Body::Publish { payload, .. } = packet.body else { return None };
        let topic = Topic::new(self.topic)?;
        // A state is text, not a protobuf message.
        let bytes = if topic.message == sparkplug::Message::State { &[] } else { payload };
        Some((topic, Payload::new(bytes)))
    }

    fn place(&self, pick: fn(&Topic<'a>) -> Option<&'a [u8]>, out: &mut Visit<'_>) {
        let topic = self.sparkplug().map(|(topic, _)| topic);
        if let Some(part) = topic.as_ref().and_then(pick) {
            out(Value::Bytes(part));
        }
    }

    fn metrics(&self, out: &mut dyn FnMut(&Topic<'a>, &Metric<'a>)) {
        if let Some((topic, payload)) = self.sparkplug() {
            payload.metrics().for_each(|metric| out(&topic, &metric));
        }
    }

    /// Each value of each metric, of arrays every element, and whether what are bytes is text.
    fn values(&self, wanted: impl Fn(Value<'a>, bool) -> Option<Value<'a>>, out: &mut Visit<'_>) {
        self.metrics(&mut |topic, metric| {
            let kind = self.aliases.kind(topic, metric);
            if let Some(array) = metric.array(kind) {
                return array.filter_map(|value| wanted(value, true)).for_each(&mut *out);
            }
            if let Some(value) = metric.value(kind).and_then(|value| wanted(value, metric.is_text())) {
                out(value);
            }
        });
    }

    fn reason_codes(&self, out: &mut Visit<'_>) {
        match self.packet.body {
            Body::Connack { code, .. } => out(Value::Unsigned(code.into())),
            Body::Acknowledge { code } | Body::Bare { code } => unsigned(code, out),
            Body::Codes(codes) => codes.iter().for_each(|code| out(Value::Unsigned((*code).into()))),
            _ => {}
        }
    }

    /// Topic filters of the SUBSCRIBE or UNSUBSCRIBE that the packet is or answers.
    fn filters(&self, subscribe: bool, out: &mut Visit<'_>) {
        let packets = [Some(self.packet), self.request];
        let body = packets.into_iter().flatten().find_map(|packet| match packet.body {
            Body::Subscribe { filters } if subscribe => Some(filters),
            Body::Unsubscribe { filters } if !subscribe => Some(filters),
            _ => None,
        });
        let filters = body.into_iter().flat_map(|filters| filters.each(subscribe));
        filters.for_each(|(filter, _)| out(Value::Bytes(filter)));
    }
}

fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Bytes(value));
    }
}

crate::fields! {
    /// What a rule can ask of an MQTT control packet. Names with a dot are Suricata's keywords.
    pub(super) static FIELDS, visit(record: &Exchange<'_>, out) {
        kind as "type": Unsigned { bits: 4, names: names::TYPES }, One, "Control packet type (MQTT 5.0 §2.1.2)"
            => out(Value::Unsigned(record.packet.kind.into()));
        flags: Unsigned { bits: 4, names: &[] }, One, "Flags of the fixed header: duplicate 8, quality of service 6, retain 1 (§2.1.3)"
            => out(Value::Unsigned(record.packet.flags.into()));
        qos: Unsigned { bits: 2, names: &[] }, One, "Quality of service in the fixed header (§3.3.1.2)"
            => out(Value::Unsigned(record.packet.qos().into()));
        dup: Flag, One, "Is it sent again? (§3.3.1.1)" => out(Value::Flag(record.packet.flags & 8 != 0));
        retain: Flag, One, "Is the server to keep the message? (§3.3.1.3)" => out(Value::Flag(record.packet.flags & 1 != 0));
        remaining_length: Unsigned { bits: 28, names: &[] }, One, "Remaining length, in bytes (§2.1.4)"
            => out(Value::Unsigned(record.packet.length.into()));
        protocol_version: Unsigned { bits: 8, names: names::VERSIONS }, Optional,
            "Protocol level of the connection: of its CONNECT, or as packets look where that was not seen (§3.1.2.2)"
            => unsigned((record.version > 0).then_some(record.version), out);
        message_id: Unsigned { bits: 16, names: &[] }, Optional, "Packet identifier (§2.2.1)"
            => unsigned(record.packet.id, out);
        reason_code: Unsigned { bits: 8, names: names::REASONS }, Many,
            "Reason codes by the names of version 5, or return codes before it (§2.4)"
            => record.reason_codes(out);
        property: Bytes, Many, "Names of the properties (§2.2.2)"
            => record.packet.properties.for_each(|property| out(Value::Bytes(property.name.as_bytes())));
        user_property: Bytes, Many, "Values of the user properties (§2.2.2.2)"
            => record.packet.properties.filter(|property| property.key.is_some()).for_each(|property| out(property.value));
        connect_protocol_string as "connect.protocol_string": Bytes, Optional, "Protocol name of CONNECT (§3.1.2.1)"
            => bytes(record.connect().map(|connect| connect.protocol), out);
        connect_flags as "connect.flags": Unsigned { bits: 8, names: &[] }, Optional, "Flags of CONNECT (§3.1.2.3)"
            => unsigned(record.connect().map(|connect| connect.flags), out);
        connect_keep_alive as "connect.keep_alive_s": Unsigned { bits: 16, names: &[] }, Optional, "Keep alive of CONNECT, in seconds (§3.1.2.10)"
            => unsigned(record.connect().map(|connect| connect.keep_alive_s), out);
        connect_clientid as "connect.clientid": Bytes, Optional, "Client identifier of CONNECT (§3.1.3.1)"
            => bytes(record.connect().map(|connect| connect.client_id), out);
        connect_username as "connect.username": Bytes, Optional, "User name of CONNECT (§3.1.3.5)"
            => bytes(record.connect().and_then(|connect| connect.username), out);
        connect_password as "connect.password": Bytes, Optional, "Password of CONNECT (§3.1.3.6)"
            => bytes(record.connect().and_then(|connect| connect.password), out);
        connect_willtopic as "connect.willtopic": Bytes, Optional, "Topic of the will (§3.1.3.3)"
            => bytes(record.connect().and_then(|connect| connect.will).map(|will| will.topic), out);
        connect_willmessage as "connect.willmessage": Bytes, Optional, "Payload of the will (§3.1.3.4)"
            => bytes(record.connect().and_then(|connect| connect.will).map(|will| will.message), out);
        connack_session_present as "connack.session_present": Flag, Optional, "Does the server go on with an old session? (§3.2.2.1)"
            => if let Body::Connack { flags, .. } = record.packet.body { out(Value::Flag(flags & 1 != 0)) };
        publish_topic as "publish.topic": Bytes, Optional, "Topic of a PUBLISH, an alias of version 5 resolved (§3.3.2.1)"
            => bytes(record.payload().map(|_| record.topic), out);
        publish_message as "publish.message": Bytes, Optional, "Payload of a PUBLISH (§3.3.3)"
            => bytes(record.payload(), out);
        subscribe_topic as "subscribe.topic": Bytes, Many, "Topic filters of a SUBSCRIBE, also with its SUBACK (§3.8.3)"
            => record.filters(true, out);
        unsubscribe_topic as "unsubscribe.topic": Bytes, Many, "Topic filters of an UNSUBSCRIBE, also with its UNSUBACK (§3.10.3)"
            => record.filters(false, out);
        sparkplug_message as "sparkplug.message": Unsigned { bits: 4, names: sparkplug::MESSAGES }, Optional, "Type of a Sparkplug message (Sparkplug 3.0 §4.1.4)"
            => unsigned(record.sparkplug().map(|(topic, _)| topic.message as u8), out);
        sparkplug_group as "sparkplug.group": Bytes, Optional, "Group of a Sparkplug topic (§4.1.2)"
            => record.place(|topic| (!topic.group.is_empty()).then_some(topic.group), out);
        sparkplug_node as "sparkplug.edge_node": Bytes, Optional, "Edge node of a Sparkplug topic, or the host of a STATE (§4.1.3)"
            => record.place(|topic| Some(topic.node), out);
        sparkplug_device as "sparkplug.device": Bytes, Optional, "Device of a Sparkplug topic (§4.1.4)"
            => record.place(|topic| topic.device, out);
        sparkplug_sequence as "sparkplug.sequence": Unsigned { bits: 64, names: &[] }, Optional, "Sequence number of a Sparkplug payload (§6.4.5)"
            => unsigned(record.sparkplug().and_then(|(_, payload)| payload.sequence()), out);
        sparkplug_metric as "sparkplug.metric": Bytes, Many, "Names of the metrics, those of aliases from the birth (§6.4.6)"
            => record.metrics(&mut |topic, metric| bytes(record.aliases.name(topic, metric), out));
        sparkplug_alias as "sparkplug.alias": Unsigned { bits: 64, names: &[] }, Many, "Aliases of the metrics (§6.4.7)"
            => record.metrics(&mut |_, metric| unsigned(metric.alias, out));
        sparkplug_datatype as "sparkplug.datatype": Unsigned { bits: 32, names: sparkplug::TYPES }, Many, "Types of the metrics (§6.4.16)"
            => record.metrics(&mut |topic, metric| unsigned(record.aliases.kind(topic, metric), out));
        sparkplug_value as "sparkplug.value": Float, Many, "Values of the metrics that are numbers or flags, of arrays each element"
            => record.values(|value, _| match value {
                Value::Unsigned(value) => Some(Value::Float(value as f64)),
                Value::Signed(value) => Some(Value::Float(value as f64)),
                Value::Flag(flag) => Some(Value::Float(u8::from(flag).into())),
                Value::Float(_) => Some(value),
                _ => None,
            }, out);
        sparkplug_text as "sparkplug.text": Bytes, Many, "Values of the metrics that are text, of arrays each element"
            => record.values(|value, is_text| (is_text && matches!(value, Value::Bytes(_))).then_some(value), out);
    }
}
