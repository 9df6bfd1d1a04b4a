//! TITLE.
//!
//! Standard: name it here with its edition; the comments below cite its clauses.

use crate::dissector::{Anomaly, AnomalyKind, Direction, Dissector, Envelope, Frame, Probe, Protocol, Record, Sink};
use crate::field::{Names, Tree, Value, Visit};

const INVALID_LENGTH: &str = "invalid_length";

static ANOMALIES: &[AnomalyKind] =
    &[AnomalyKind { name: INVALID_LENGTH, doc: "The length does not fit the kind of message" }];

/// Kinds of messages, by the standard's own terms in lower snake case.
const KINDS: Names = &[(1, "request"), (2, "response")];

/// What the rest of Vigía knows of the protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "NAME",
    title: "TITLE",
    tcp_ports: &[TCP_PORTS],
    udp_ports: &[UDP_PORTS],
    only_on_ports: false,
    ethertypes: &[],
    ot: OT,
    longest_message: HEADER + u16::MAX as usize,
    fields: FIELDS,
    anomalies: ANOMALIES,
    probe,
    frame,
    open: |_| Box::new(State { messages: 0 }),
};

/// Octets before the body: kind, a reserved octet, length of the body.
const HEADER: usize = 4;

/// Nothing is taken for it until it says what speaks for it: magic, a checksum, a chain of consistent lengths.
fn probe(_: &[u8], _: Direction) -> Probe {
    Probe::No
}

fn frame(bytes: &[u8], _: Direction) -> Frame {
    let Some(&[_, _, high, low]) = bytes.first_chunk() else { return Frame::Need(HEADER) };
    let length = HEADER + usize::from(u16::from_be_bytes([high, low]));
    if bytes.len() < length { Frame::Need(length) } else { Frame::Whole(length) }
}

/// A view of one message.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    kind: u8,
    body: &'a [u8],
    transaction: u64,
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8], transaction: u64) -> Result<Self, Anomaly> {
        let short = Anomaly { kind: INVALID_LENGTH, offset: bytes.len() };
        let (header, body) = bytes.split_first_chunk::<HEADER>().ok_or(short)?;
        Ok(Self { kind: header[0], body, transaction })
    }
}

crate::fields! {
    /// What a rule can ask of a message.
    static FIELDS, visit(message: &Message<'_>, out) {
        kind: Unsigned { bits: 8, names: KINDS }, One, "Kind of the message"
            => out(Value::Unsigned(message.kind.into()));
        data: Bytes, One, "Body of the message"
            => out(Value::Bytes(message.body));
    }
}

impl Record for Message<'_> {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        match crate::field::name_of(KINDS, self.kind.into()) {
            Some(name) => tree.text("kind", name),
            None => tree.unsigned("kind", self.kind.into()),
        }
        tree.hex("data", self.body);
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }
}

/// What a flow remembers. Each part of it has a bound.
struct State {
    messages: u64,
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        self.messages += 1;
        match Message::read(bytes, self.messages) {
            Ok(message) => {
                sink.message(envelope, &message, &[]);
                sink.transaction(envelope, &message);
            }
            Err(anomaly) => sink.anomaly(envelope, &PROTOCOL, anomaly),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_ends_where_its_length_says() {
        assert_eq!(frame(&[1, 0, 0], Direction::ToServer), Frame::Need(4));
        assert_eq!(frame(&[1, 0, 0, 2, 7], Direction::ToServer), Frame::Need(6));
        assert_eq!(frame(&[1, 0, 0, 2, 7, 8, 9], Direction::ToServer), Frame::Whole(6));
        let message = Message::read(&[1, 0, 0, 2, 7, 8], 1).unwrap();
        assert_eq!((message.kind, message.body), (1, &[7, 8][..]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_frame_claims_more_than_there_is(bytes in any::<Vec<u8>>()) {
            for direction in [Direction::ToServer, Direction::ToClient] {
                probe(&bytes, direction);
                if let Frame::Whole(length) = frame(&bytes, direction) {
                    prop_assert!((1..=bytes.len()).contains(&length));
                }
            }
            let _ = Message::read(&bytes, 1);
        }
    }
}
