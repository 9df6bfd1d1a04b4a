//! What a condition sees, and what a condition is.

use vigia_parsers::field::{Kind, Value};
use vigia_parsers::packet::Packet;
use vigia_parsers::{Anomaly, Protocol, Record, operation};

use super::Moment;
use super::buffer::Buffer;
use super::chain::Chain;
use super::value::Registers;
use crate::language::integer::ordered;
use crate::language::set::RangeSet;

/// One subject with the moment around it.
pub(crate) struct View<'a> {
    pub(crate) moment: &'a Moment<'a>,
    /// Stream bytes, or the packet's payload.
    pub(crate) payload: &'a [u8],
    /// Bytes at the beginning of `payload` that were inspected before.
    pub(crate) seen: usize,
    /// How many of these, at their end, its sender has said in the same turn as the new ones.
    pub(crate) turn: usize,
    /// Where bytes of a stream meet those that were inspected before: fast patterns may stand across.
    pub(crate) seam: &'a [u8],
    pub(crate) record: Option<&'a dyn Record>,
    pub(crate) anomalies: &'a [Anomaly],
    pub(crate) registers: &'a Registers,
}

impl<'a> View<'a> {
    /// Nothing of what is inspected yet, at this moment.
    pub(crate) fn new(moment: &'a Moment<'a>, registers: &'a Registers) -> Self {
        Self { moment, payload: &[], seen: 0, turn: 0, seam: &[], record: None, anomalies: &[], registers }
    }

    /// The packet in hand in place of what is inspected.
    pub(crate) fn of_packet(&self) -> Self {
        let payload = self.moment.packet.map(Packet::payload).unwrap_or_default();
        Self { payload, ..View::new(self.moment, self.registers) }
    }

    /// Hands the values of a field of the record to `out`.
    pub(crate) fn visit(&self, field: usize, out: &mut dyn FnMut(Value<'_>)) {
        if let Some(record) = self.record {
            operation::visit_any(record, field, out);
        }
    }

    /// Hands a buffer to `out`, as often as it is there.
    pub(crate) fn buffer(&self, buffer: Buffer, out: &mut dyn FnMut(&[u8])) {
        match buffer {
            Buffer::Payload => out(self.payload),
            Buffer::Field(field) => self.visit(field, &mut |value| match value {
                Value::Bytes(bytes) => out(bytes),
                Value::Text(text) => out(text.as_bytes()),
                _ => {}
            }),
            Buffer::Header(header) => {
                if let Some(packet) = self.moment.packet {
                    header.visit(packet, out);
                }
            }
            Buffer::Waiting(_) => {}
            Buffer::Decoded => {
                let decoded = self.registers.decoded.borrow();
                if !decoded.is_empty() {
                    out(&decoded);
                }
            }
        }
    }

    /// Does any value of a field fulfil `test`?
    pub(crate) fn any(&self, field: usize, test: impl Fn(Value<'_>) -> bool) -> bool {
        let mut found = false;
        self.visit(field, &mut |value| found = found || test(value));
        found
    }

    /// The values of a field of the record, as a person reads them.
    pub(crate) fn words(&self, field: usize) -> Vec<String> {
        let description = self.record.and_then(|record| record.protocol().fields.get(field));
        let names = match description.map(|field| field.kind) {
            Some(Kind::Unsigned { names, .. }) => names,
            _ => &[],
        };
        let mut words = Vec::new();
        self.visit(field, &mut |value| {
            words.push(match value {
                Value::Unsigned(value) => match names.iter().find(|name| name.0 == value) {
                    Some((_, name)) => format!("{value} ({name})"),
                    None => value.to_string(),
                },
                Value::Signed(value) => value.to_string(),
                Value::Float(value) => value.to_string(),
                Value::Flag(value) => value.to_string(),
                Value::Address(value) => value.to_string(),
                Value::Text(text) => format!("\"{text}\""),
                _ => return,
            });
        });
        words
    }

    /// Was this anomaly met?
    pub(crate) fn has_anomaly(&self, kind: &str) -> bool {
        self.anomalies.iter().any(|anomaly| anomaly.kind == kind)
    }
}

/// Something exact that a group of rules is indexed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// Number of the IP payload's protocol.
    IpProtocol,
    /// 0 to the server, 1 to the client, 2 without a flow.
    Direction,
    /// Port of the receiver.
    DestinationPort,
    /// Port of the sender.
    SourcePort,
    /// Address of the sender: that of IPv4 as a number, one number for all of IPv6.
    Source,
    /// Address of the receiver.
    Destination,
    /// The flow's protocol, once it is detected: [`protocol_number`].
    Protocol,
    /// Flags of the TCP header.
    TcpFlags,
    /// Type of the ICMP or ICMPv6 message.
    IcmpType,
    /// Length of the packet's payload, as `dsize` counts it.
    PayloadLength,
    /// A field of the record.
    Field(usize),
}

/// One thing a rule asks of what it inspects.
pub(crate) trait Condition: Send + Sync {
    /// Is it so?
    fn holds(&self, view: &View<'_>) -> bool;

    /// The steps in a buffer, when the condition is made of such.
    fn chain(&self) -> Option<&Chain> {
        None
    }

    /// The values that it looked at, in words.
    fn seen(&self, view: &View<'_>) -> Vec<String> {
        let _ = view;
        Vec::new()
    }

    /// When the condition says no more than that a key has one of these values: that, for the index.
    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        None
    }
}

/// Is it the same protocol? One protocol may have several framings, each a [`Protocol`] of its own with the same name.
pub(crate) fn same(a: &Protocol, b: &Protocol) -> bool {
    std::ptr::eq(a, b) || a.name == b.name
}

/// A flow's protocol as the value of [`Key::Protocol`]: 0 before it is detected, the same for all framings of one. Two
/// protocols may share a number.
pub(crate) fn protocol_number(protocol: Option<&Protocol>) -> u64 {
    let name = protocol.map_or("", |protocol| protocol.name);
    name.bytes().fold(0, |number, byte| number.rotate_left(8) ^ u64::from(byte))
}

/// A value as a number that keeps its order; `None` for what is none.
pub(crate) fn as_number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Unsigned(value) => Some(value),
        Value::Signed(value) => Some(ordered(value)),
        Value::Flag(value) => Some(value.into()),
        _ => None,
    }
}
