//! The record of BACnet: a message, and the request it answers.

use std::net::{IpAddr, SocketAddrV4};

use super::apdu::{Apdu, Segment};
use super::link::Entry;
use super::message::Message;
use super::network::{self, Npdu};
use super::schema::{DEVICE, INDEX, OBJECT, PASSWORD, PRIORITY, PROPERTY, VALUE, VENDOR};
use super::tag::Primitive;
use super::walk::{Leaf, Step, walk};
use super::{PROTOCOL, eve, names, operation};
use crate::dissector::{Direction, Pairing};
use crate::field::{Value, Visit};

/// A message with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) message: &'a Message<'a>,
    /// What it answers, if that was seen.
    pub(super) request: Option<&'a Message<'a>>,
    /// The segment that it is, or that completed it.
    pub(super) segment: Option<Segment>,
    pub(super) direction: Direction,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

crate::dissector::record!(Exchange<'_>, PROTOCOL, visit, eve::write, operation);

impl<'a> Exchange<'a> {
    fn npdu<T>(&self, get: impl Fn(&Npdu<'a>) -> Option<T>) -> Option<T> {
        self.message.npdu.as_ref().and_then(get)
    }

    fn network_message<T>(&self, get: impl Fn(&network::Message<'a>) -> Option<T>) -> Option<T> {
        self.npdu(|npdu| npdu.message.as_ref().and_then(&get))
    }

    fn apdu<T>(&self, get: impl Fn(&Apdu<'a>) -> Option<T>) -> Option<T> {
        self.message.apdu.as_ref().and_then(get)
    }

    fn segment<T>(&self, get: impl Fn(&Segment) -> T) -> Option<T> {
        self.segment.as_ref().map(get)
    }

    /// Calls `out` for each value that the parameters have under one of these names.
    fn leaves(&self, names: &[&str], out: &mut dyn FnMut(&Leaf<'a>)) {
        if let Some(apdu) = &self.message.apdu {
            walk(apdu, &mut |step| match step {
                Step::Value(leaf) if names.contains(&leaf.name) => out(&leaf),
                _ => {}
            });
        }
    }

    fn unsigned(&self, name: &str, out: &mut Visit<'_>) {
        self.leaves(&[name], &mut |leaf| unsigned(leaf.value.unsigned(), out));
    }

    fn text(&self, name: &str, out: &mut Visit<'_>) {
        self.leaves(&[name], &mut |leaf| text(leaf.value, out));
    }

    fn object(&self, name: &str, out: &mut dyn FnMut(super::tag::Object)) {
        self.leaves(&[name], &mut |leaf| {
            if let Primitive::Object(object) = leaf.value {
                out(object);
            }
        });
    }

    /// Types of the objects that are named, and that of one to be made.
    fn object_types(&self, out: &mut Visit<'_>) {
        self.leaves(&[OBJECT, "object_type"], &mut |leaf| match leaf.value {
            Primitive::Object(object) => out(Value::Unsigned(object.kind.into())),
            value => unsigned(value.unsigned(), out),
        });
    }

    fn addresses(&self, out: &mut dyn FnMut(SocketAddrV4)) {
        let Some(bvlc) = self.message.bvlc else { return };
        bvlc.address().into_iter().for_each(&mut *out);
        bvlc.entries().for_each(|entry| match entry {
            Entry::Distribution { address, .. } | Entry::Foreign { address, .. } => out(address),
        });
    }

    fn starts(&self, out: &mut Visit<'_>) {
        self.leaves(&["start", "start_record"], &mut |leaf| {
            if let Primitive::Signed(start) = leaf.value {
                out(Value::Signed(start));
            }
        });
    }
}

fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

fn flag(value: Option<bool>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Flag(value));
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Bytes(value));
    }
}

fn text(value: Primitive<'_>, out: &mut Visit<'_>) {
    match value {
        Primitive::Text(text) => text.with(|octets| out(Value::Bytes(octets))),
        Primitive::Octets(octets) => out(Value::Bytes(octets)),
        _ => {}
    }
}

crate::fields! {
    /// What a rule can ask of a BACnet message.
    pub(super) static FIELDS, visit(record: &Exchange<'_>, out) {
        bvlc_function: Unsigned { bits: 8, names: names::BVLC_FUNCTIONS }, Optional, "Function of virtual link control, over UDP (J.2)"
            => unsigned(record.message.bvlc.map(|bvlc| bvlc.function), out);
        bvlc_result: Unsigned { bits: 16, names: names::BVLC_RESULTS }, Optional, "Result code of virtual link control (J.2.1)"
            => unsigned(record.message.bvlc.and_then(|bvlc| bvlc.result()), out);
        time_to_live_s: Unsigned { bits: 16, names: &[] }, Optional, "For how long a foreign device registers, in seconds (J.2.6)"
            => unsigned(record.message.bvlc.and_then(|bvlc| bvlc.time_to_live_s()), out);
        bvlc_address: Address, Many, "Whose message is forwarded, who is deleted, or each in a table (J.2)"
            => record.addresses(&mut |address| out(Value::Address(IpAddr::V4(*address.ip()))));
        bvlc_port: Unsigned { bits: 16, names: &[] }, Many, "Ports of these addresses (J.2)"
            => record.addresses(&mut |address| out(Value::Unsigned(address.port().into())));
        priority_of_network as "network_priority": Unsigned { bits: 2, names: names::PRIORITIES }, Optional, "Priority in the network layer (6.2.2)"
            => unsigned(record.npdu(|npdu| Some(npdu.priority())), out);
        expecting_reply: Flag, Optional, "Does the sender wait for an answer? (6.2.2)"
            => flag(record.npdu(|npdu| Some(npdu.expects_reply())), out);
        destination_network: Unsigned { bits: 16, names: &[] }, Optional, "Network that it goes to; 65535 is all (6.2.2)"
            => unsigned(record.npdu(|npdu| Some(npdu.destination?.network)), out);
        destination_address: Bytes, Optional, "Station in that network; none is all of them (6.2.2)"
            => bytes(record.npdu(|npdu| Some(npdu.destination?.station)), out);
        source_network: Unsigned { bits: 16, names: &[] }, Optional, "Network behind a router that it comes from (6.2.2)"
            => unsigned(record.npdu(|npdu| Some(npdu.source?.network)), out);
        source_address: Bytes, Optional, "Station in that network (6.2.2)"
            => bytes(record.npdu(|npdu| Some(npdu.source?.station)), out);
        hop_count: Unsigned { bits: 8, names: &[] }, Optional, "Routers that it may still pass (6.2.3)"
            => unsigned(record.npdu(|npdu| npdu.hop_count), out);
        network_message: Unsigned { bits: 8, names: names::NETWORK_MESSAGES }, Optional, "Type of a network layer message; from 128 on vendors' own (6.2.4)"
            => unsigned(record.network_message(|message| Some(message.kind)), out);
        network_vendor: Unsigned { bits: 16, names: names::VENDORS }, Optional, "Vendor whose network layer message it is (6.2.5)"
            => unsigned(record.network_message(|message| message.vendor), out);
        network_number as "network": Unsigned { bits: 16, names: &[] }, Many, "Networks that a network layer message is about (6.4)"
            => if let Some(message) = record.npdu(|npdu| npdu.message) {
                message.networks().for_each(|network| out(Value::Unsigned(network.into())));
            };
        network_rejection: Unsigned { bits: 8, names: names::NETWORK_REJECTIONS }, Optional, "Why a router rejects a message (6.4.4)"
            => unsigned(record.network_message(|message| message.rejection()), out);
        pdu_type: Unsigned { bits: 4, names: names::PDU_TYPES }, Optional, "Kind of the APDU (20.1)"
            => unsigned(record.apdu(|apdu| Some(apdu.kind)), out);
        confirmed_service: Unsigned { bits: 8, names: names::CONFIRMED }, Optional,
            "Confirmed service that is asked for, acknowledged or failed (21)"
            => unsigned(record.apdu(|apdu| apdu.confirmed_service()), out);
        unconfirmed_service: Unsigned { bits: 8, names: names::UNCONFIRMED }, Optional, "Unconfirmed service (21)"
            => unsigned(record.apdu(|apdu| apdu.unconfirmed_service()), out);
        invoke_id: Unsigned { bits: 8, names: &[] }, Optional, "Invoke identifier, which an answer repeats (20.1.2.6)"
            => unsigned(record.apdu(|apdu| apdu.invoke_id), out);
        max_segments: Unsigned { bits: 8, names: &[] }, Optional, "Segments that the sender of a request accepts, where it says how many (20.1.2.4)"
            => unsigned(record.apdu(|apdu| apdu.max_segments()), out);
        max_length: Unsigned { bits: 16, names: &[] }, Optional, "Octets of an APDU that the sender of a request accepts (20.1.2.5)"
            => unsigned(record.apdu(|apdu| apdu.max_length()), out);
        segmented_accepted: Flag, Optional, "Does the sender of a request accept segments? (20.1.2.3)"
            => flag(record.apdu(|apdu| apdu.segmented_accepted()), out);
        sequence_number: Unsigned { bits: 8, names: &[] }, Optional, "Number of the segment, or of the last one acknowledged (20.1.2.7)"
            => unsigned(record.segment(|segment| segment.sequence), out);
        window_size: Unsigned { bits: 8, names: &[] }, Optional, "Segments that are sent before an acknowledgement (20.1.2.8)"
            => unsigned(record.segment(|segment| segment.window), out);
        more_follows: Flag, Optional, "Do more segments follow? (20.1.2.2)"
            => flag(record.segment(|segment| segment.more), out);
        negative: Flag, Optional, "Does a Segment Ack say that segments are missing? (20.1.6.2)"
            => flag(record.apdu(|apdu| apdu.is_negative()), out);
        by_server: Flag, Optional, "Is a Segment Ack or Abort sent by the server of the transaction? (20.1.6.3)"
            => flag(record.apdu(|apdu| apdu.by_server()), out);
        reject_reason: Unsigned { bits: 8, names: names::REJECT_REASONS }, Optional, "Why a request was rejected (18.9)"
            => unsigned(record.apdu(|apdu| apdu.reject_reason()), out);
        abort_reason: Unsigned { bits: 8, names: names::ABORT_REASONS }, Optional, "Why a transaction was aborted (18.10)"
            => unsigned(record.apdu(|apdu| apdu.abort_reason()), out);
        error_class: Unsigned { bits: 16, names: names::ERROR_CLASSES }, Many, "Class of each error (18.1)"
            => record.unsigned("error_class", out);
        error_code: Unsigned { bits: 16, names: names::ERROR_CODES }, Many, "Code of each error (18.1)"
            => record.unsigned("error_code", out);
        device_instance as "device": Unsigned { bits: 22, names: &[] }, Many, "Instance of the device that speaks of itself (16.10, 13.6)"
            => record.object(DEVICE, &mut |object| out(Value::Unsigned(object.instance.into())));
        vendor_id: Unsigned { bits: 16, names: names::VENDORS }, Many, "Vendor of the device, or of a private transfer (16.10, 16.2)"
            => record.unsigned(VENDOR, out);
        service_number: Unsigned { bits: 32, names: &[] }, Optional, "The vendor's number of a private transfer (16.2)"
            => record.unsigned("service_number", out);
        object_type: Unsigned { bits: 10, names: names::OBJECT_TYPES }, Many, "Type of each object that is named (12)"
            => record.object_types(out);
        object_instance: Unsigned { bits: 22, names: &[] }, Many, "Instance of each object that is named (12)"
            => record.object(OBJECT, &mut |object| out(Value::Unsigned(object.instance.into())));
        object_name: Bytes, Optional, "Name that is asked for, or told (16.9)"
            => record.text("object_name", out);
        property_id as "property": Unsigned { bits: 22, names: names::PROPERTIES }, Many, "Each property that is named (12)"
            => record.unsigned(PROPERTY, out);
        array_index: Unsigned { bits: 32, names: &[] }, Many, "Elements of properties that are arrays (15.5)"
            => record.unsigned(INDEX, out);
        value: Float, Many, "Values of properties that are numbers, enumerations or truth values (0 or 1)"
            => record.leaves(&[VALUE], &mut |leaf| if let Some(number) = leaf.value.number() { out(Value::Float(number)) });
        value_text: Bytes, Many, "Values of properties that are text or octets"
            => record.text(VALUE, out);
        priority: Unsigned { bits: 8, names: &[] }, Many, "Priorities of commands, 1 to 16 (19.2)"
            => record.unsigned(PRIORITY, out);
        low_limit: Unsigned { bits: 22, names: &[] }, Optional, "Lowest device instance asked for (16.9, 16.10)"
            => record.unsigned("low_limit", out);
        high_limit: Unsigned { bits: 22, names: &[] }, Optional, "Highest device instance asked for (16.9, 16.10)"
            => record.unsigned("high_limit", out);
        reinitialize: Unsigned { bits: 8, names: names::REINITIALIZE_STATES }, Optional, "State that a device is to begin in (16.4)"
            => if record.apdu(|apdu| apdu.confirmed_service()) == Some(20) { record.unsigned("state", out) };
        communication: Unsigned { bits: 8, names: names::COMMUNICATION }, Optional, "What a device may still say (16.1)"
            => record.unsigned("communication", out);
        duration_min: Unsigned { bits: 16, names: &[] }, Optional, "For how many minutes; for good where there is none (16.1)"
            => record.unsigned("duration_min", out);
        has_password: Flag, Optional, "Is there a password, where a service has one? (16.1, 16.4)"
            => if matches!(record.apdu(|apdu| apdu.confirmed_service().filter(|_| apdu.is_request())), Some(17 | 20 | 24)) {
                let mut given = false;
                record.leaves(&[PASSWORD], &mut |_| given = true);
                out(Value::Flag(given));
            };
        file_start: Signed(32), Many, "Octet or record that access to a file begins at; -1 appends (14.1, 14.2)"
            => record.starts(out);
        file_data: Bytes, Many, "Contents of files (14.1, 14.2)"
            => if matches!(record.apdu(|apdu| apdu.confirmed_service()), Some(6 | 7)) { record.text("data", out) };
        event_type: Unsigned { bits: 16, names: names::EVENT_TYPES }, Many, "Type of each event (13.3)"
            => record.unsigned("event_type", out);
        event_state: Unsigned { bits: 16, names: names::EVENT_STATES }, Many, "State that each event leads to, or that is acknowledged (13.2)"
            => record.leaves(&["to_state", "event_state"], &mut |leaf| unsigned(leaf.value.unsigned(), out));
        life_safety: Unsigned { bits: 16, names: names::LIFE_SAFETY_OPERATIONS }, Optional, "Operation of life safety that is asked for (13.13)"
            => record.unsigned("request", out);
        text_message: Bytes, Optional, "Text of a message or of an event (16.5, 13.8)"
            => record.text("message", out);
    }
}
