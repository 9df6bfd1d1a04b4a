//! Implicit messages: the cyclic data of class 0 and 1 connections, in datagrams of their own (CIP volume 2 §3-2.2.2).
//!
//! They are counted rather than logged each: a connection has one record, when it ends. Its identifier is the one that
//! a Forward Open granted; the record of CIP names it as `o_to_t_connection_id` or `t_to_o_connection_id`.
//!
//! **Addresses are part of a connection's name.** Who receives chooses the identifier (of a multicast, who sends), so that
//! two devices may well have chosen the same: it is looked up in its flow only, by direction, and what joins records is to
//! compare addresses besides.

use super::item::{CONNECTED_DATA, Item, Items, SEQUENCED_ADDRESS};
use super::read::udint;
use super::{INVALID_ITEM, REPEATED_SEQUENCE, SEQUENCE_GAP};
use crate::dissector::{
    Anomaly, AnomalyKind, Direction, Dissector, Envelope, Frame, Pairing, Probe, Protocol, Record, Sink,
};
use crate::field::{Tree, Value, Visit};
use crate::limits::Bound;
use crate::time::Timestamp;

static ANOMALIES: &[AnomalyKind] = &[
    AnomalyKind { name: INVALID_ITEM, doc: "The item of the address or the data is not whole" },
    AnomalyKind { name: SEQUENCE_GAP, doc: "Messages of a connection are missing before this one" },
    AnomalyKind { name: REPEATED_SEQUENCE, doc: "The sequence number of a connection did not grow" },
];

/// Implicit messages of CIP over UDP.
pub static IO: Protocol = Protocol {
    name: "cip_io",
    title: "CIP implicit messages (CIP Networks Library volume 2 §3-2.2)",
    tcp_ports: &[],
    udp_ports: &[2222],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: 65_507,
    fields: FIELDS,
    anomalies: ANOMALIES,
    probe,
    frame,
    open: |limits| Box::new(State { connections: Vec::new(), most: usize::from(limits.requests.max(1)), last: 0 }),
};

/// Two items: sequenced address, connected data. Both have lengths that must fit, so chance hardly makes one.
fn probe(bytes: &[u8], _: Direction) -> Probe {
    match Message::new(bytes) {
        Some(_) => Probe::Certain,
        None => Probe::No,
    }
}

/// A datagram is one message. It is framed by its address, so that what is wrong behind that is reported.
fn frame(bytes: &[u8], _: Direction) -> Frame {
    match bytes {
        [] => Frame::Need(1),
        _ if addressed(bytes).is_some() => Frame::Whole(bytes.len()),
        _ => Frame::Not,
    }
}

/// The sequenced address that every message begins with, and the items behind it.
fn addressed(bytes: &[u8]) -> Option<(Item<'_>, Items<'_>)> {
    let mut items = Items::new(bytes, 0)?;
    let address = items.next().filter(|item| item.kind == SEQUENCED_ADDRESS && item.data.len() == 8)?;
    Some((address, items))
}

/// A view of one message.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    connection: u32,
    sequence: u32,
    data: &'a [u8],
}

impl<'a> Message<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        // Any datagram may be asked whether it is one: the first item tells for nearly all of them.
        let (address, mut items) = addressed(bytes)?;
        let data = items.next().filter(|item| item.kind == CONNECTED_DATA)?;
        if !items.is_whole() {
            return None;
        }
        Some(Self { connection: udint(address.data, 0)?, sequence: udint(address.data, 4)?, data: data.data })
    }
}

/// What is remembered of one connection.
#[derive(Debug, Clone, Copy)]
struct Seen {
    id: u32,
    direction: Direction,
    /// Number of its last message: each is a transaction of its own, so that a rule tells of each.
    transaction: u64,
    first: Timestamp,
    last: Timestamp,
    sequence: u32,
    messages: u64,
    bytes: u64,
    lost: u64,
    repeated: u64,
}

struct State {
    connections: Vec<Seen>,
    most: usize,
    last: u64,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let Some(message) = Message::new(bytes) else {
            let fault = Items::new(bytes, 0).and_then(Items::fault);
            return sink.anomaly(envelope, &IO, Anomaly { kind: INVALID_ITEM, offset: fault.unwrap_or(bytes.len()) });
        };
        let known = self
            .connections
            .iter()
            .position(|seen| seen.id == message.connection && seen.direction == envelope.direction);
        let mut anomaly = None;
        let at = known.unwrap_or_else(|| self.begin(envelope, &message, sink));
        let Some(seen) = self.connections.get_mut(at) else { return };
        if known.is_some() {
            // Sequence numbers go round; half the circle is behind.
            match message.sequence.wrapping_sub(seen.sequence) {
                1 => {}
                0 | 0x8000_0000.. => {
                    seen.repeated += 1;
                    anomaly = Some(Anomaly { kind: REPEATED_SEQUENCE, offset: 0 });
                }
                step => {
                    seen.lost += u64::from(step - 1);
                    anomaly = Some(Anomaly { kind: SEQUENCE_GAP, offset: 0 });
                }
            }
        }
        self.last += 1;
        seen.transaction = self.last;
        seen.sequence = message.sequence;
        seen.last = envelope.timestamp;
        seen.messages += 1;
        seen.bytes += message.data.len() as u64;
        sink.message(envelope, &Implicit { message: Some(message), seen }, anomaly.as_slice());
    }

    /// A connection that fell silent has ended.
    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        self.connections.retain(|seen| {
            let goes_on = seen.last > until;
            if !goes_on {
                end(seen, sink);
            }
            goes_on
        });
    }
}

impl State {
    /// Takes up a connection; the one seen longest ago makes room.
    fn begin(&mut self, envelope: &Envelope, message: &Message<'_>, sink: &mut dyn Sink) -> usize {
        if self.connections.len() >= self.most {
            let oldest = self.connections.iter().enumerate().min_by_key(|(_, seen)| seen.last);
            if let Some((at, _)) = oldest {
                sink.bounded(Bound::Requests);
                end(&self.connections.swap_remove(at), sink);
            }
        }
        self.connections.push(Seen {
            id: message.connection,
            direction: envelope.direction,
            transaction: 0,
            first: envelope.timestamp,
            last: envelope.timestamp,
            sequence: message.sequence,
            messages: 0,
            bytes: 0,
            lost: 0,
            repeated: 0,
        });
        self.connections.len() - 1
    }
}

fn end(seen: &Seen, sink: &mut dyn Sink) {
    let envelope = Envelope { direction: seen.direction, timestamp: seen.last, datagram: true };
    sink.transaction(&envelope, &Implicit { message: None, seen });
}

/// A message, or all of a connection.
struct Implicit<'a> {
    message: Option<Message<'a>>,
    seen: &'a Seen,
}

impl Record for Implicit<'_> {
    fn protocol(&self) -> &'static Protocol {
        &IO
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        let seen = self.seen;
        tree.unsigned("connection_id", seen.id.into());
        tree.text("direction", if seen.direction == Direction::ToServer { "to_server" } else { "to_client" });
        match self.message {
            Some(message) => {
                tree.unsigned("sequence", message.sequence.into());
                tree.hex("data", message.data);
            }
            None => {
                tree.unsigned("messages", seen.messages);
                tree.unsigned("bytes", seen.bytes);
                tree.unsigned("lost", seen.lost);
                tree.unsigned("repeated", seen.repeated);
                tree.unsigned("duration_ms", seen.last.since(seen.first) / 1_000_000);
            }
        }
    }

    fn transaction(&self) -> u64 {
        self.seen.transaction
    }

    fn pairing(&self) -> Pairing {
        Pairing::None
    }
}

crate::fields! {
    /// What a rule can ask of an implicit message.
    static FIELDS, visit(record: &Implicit<'_>, out) {
        connection_id: Unsigned { bits: 32, names: &[] }, One,
            "Connection identifier, as a Forward Open granted it (CIP volume 2 §2-6.2.4)"
            => out(Value::Unsigned(record.seen.id.into()));
        sequence: Unsigned { bits: 32, names: &[] }, Optional, "Encapsulation sequence number"
            => if let Some(message) = record.message { out(Value::Unsigned(message.sequence.into())) };
        data: Bytes, Optional, "The data sent, sequence count and run/idle header included where the connection has them"
            => if let Some(message) = record.message { out(Value::Bytes(message.data)) };
    }
}
