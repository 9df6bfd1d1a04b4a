//! Address resolution (RFC 826), reverse (RFC 903) and inverse (RFC 2390).

use std::net::{IpAddr, Ipv4Addr};

use crate::dissector::{Anomaly, AnomalyKind, Direction, Dissector, Envelope, Frame, Probe, Protocol, Record, Sink};
use crate::field::{Names, Tree, Value, Visit};

const TRUNCATED: &str = "truncated_message";
const UNSUPPORTED: &str = "unsupported_addresses";
const UNKNOWN_OPERATION: &str = "unknown_operation";
const SENDER_MISMATCH: &str = "sender_mismatch";

static ANOMALIES: &[AnomalyKind] = &[
    kind(TRUNCATED, "The frame ends before the message does"),
    kind(UNSUPPORTED, "Addresses that are not those of Ethernet and IPv4; only the operation is read"),
    kind(UNKNOWN_OPERATION, "An operation that is not assigned (RFC 5494)"),
    kind(SENDER_MISMATCH, "An IPv4 address that nobody can have speaks: multicast, broadcast or loopback"),
];

const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

const OPERATIONS: Names = &[
    (1, "request"),
    (2, "reply"),
    (3, "reverse_request"),
    (4, "reverse_reply"),
    (5, "drarp_request"),
    (6, "drarp_reply"),
    (7, "drarp_error"),
    (8, "inverse_request"),
    (9, "inverse_reply"),
    (10, "nak"),
];

/// Greatest operation that is assigned (IANA, ARP parameters).
const LAST_OPERATION: u16 = 25;

/// ARP, on the link layer.
pub static PROTOCOL: Protocol = Protocol {
    name: "arp",
    title: "Address Resolution Protocol (RFC 826)",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[0x0806, 0x8035],
    ot: false,
    longest_message: 1500,
    fields: FIELDS,
    anomalies: ANOMALIES,
    probe: |bytes, _| if bytes.len() < HEADER { Probe::No } else { Probe::Maybe },
    frame,
    open: |_| Box::new(Station { messages: 0 }),
};

/// Octets before the addresses.
const HEADER: usize = 8;
/// Octets of a message with addresses of Ethernet and IPv4.
const LENGTH: usize = 28;

fn frame(bytes: &[u8], _: Direction) -> Frame {
    if bytes.len() < HEADER { Frame::Need(HEADER) } else { Frame::Whole(bytes.len().min(LENGTH)) }
}

/// A message.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    hardware: u16,
    protocol: u16,
    operation: u16,
    /// Hardware and protocol address of sender and target, where they are of Ethernet and IPv4.
    addresses: Option<[([u8; 6], Ipv4Addr); 2]>,
    transaction: u64,
}

const ETHERNET: u16 = 1;
const IPV4: u16 = 0x0800;

impl Message {
    fn read(bytes: &[u8]) -> Option<(Self, Option<Anomaly>)> {
        let &[h, hh, p, pp, hardware_length, protocol_length, o, oo] = bytes.first_chunk::<HEADER>()?;
        let mut message = Self {
            hardware: u16::from_be_bytes([h, hh]),
            protocol: u16::from_be_bytes([p, pp]),
            operation: u16::from_be_bytes([o, oo]),
            addresses: None,
            transaction: 0,
        };
        if (message.protocol, hardware_length, protocol_length) != (IPV4, 6, 4) {
            return Some((message, Some(Anomaly { kind: UNSUPPORTED, offset: 0 })));
        }
        let Some(pairs) = bytes.get(HEADER..LENGTH) else {
            return Some((message, Some(Anomaly { kind: TRUNCATED, offset: bytes.len() })));
        };
        let pair = |at: usize| {
            let &[a, b, c, d, e, f, w, x, y, z] = pairs.get(at..)?.first_chunk::<10>()?;
            Some(([a, b, c, d, e, f], Ipv4Addr::new(w, x, y, z)))
        };
        message.addresses = pair(0).zip(pair(10)).map(|(sender, target)| [sender, target]);
        let sender = message.addresses.map(|[sender, _]| sender.1);
        let impossible = |address: Ipv4Addr| address.is_multicast() || address.is_broadcast() || address.is_loopback();
        let anomaly = if message.operation == 0 || message.operation > LAST_OPERATION {
            Some(Anomaly { kind: UNKNOWN_OPERATION, offset: 6 })
        } else if sender.is_some_and(impossible) {
            Some(Anomaly { kind: SENDER_MISMATCH, offset: 14 })
        } else {
            None
        };
        Some((message, anomaly))
    }

    /// A station announces its own address.
    fn is_gratuitous(&self) -> bool {
        self.addresses.is_some_and(|[sender, target]| sender.1 == target.1)
    }
}

crate::fields! {
    /// What a rule can ask of an ARP message.
    pub(super) static FIELDS, visit(message: &Message, out) {
        operation: Unsigned { bits: 16, names: OPERATIONS }, One, "Operation, ar$op (RFC 826)"
            => out(Value::Unsigned(message.operation.into()));
        hardware_type: Unsigned { bits: 16, names: &[(1, "ethernet")] }, One, "Hardware address space, ar$hrd (RFC 826)"
            => out(Value::Unsigned(message.hardware.into()));
        protocol_type: Unsigned { bits: 16, names: &[(0x0800, "ipv4")] }, One, "Protocol address space, ar$pro (RFC 826)"
            => out(Value::Unsigned(message.protocol.into()));
        sender_mac: Bytes, Optional, "Hardware address of the sender, 6 octets" => mac(message, 0, out);
        sender_ip: Address, Optional, "IPv4 address of the sender" => ip(message, 0, out);
        target_mac: Bytes, Optional, "Hardware address of the target, 6 octets" => mac(message, 1, out);
        target_ip: Address, Optional, "IPv4 address of the target" => ip(message, 1, out);
        gratuitous: Flag, One, "Does a station announce its own address? (RFC 5227)"
            => out(Value::Flag(message.is_gratuitous()));
    }
}

fn mac(message: &Message, which: usize, out: &mut Visit<'_>) {
    if let Some((mac, _)) = message.addresses.as_ref().and_then(|both| both.get(which)) {
        out(Value::Bytes(mac));
    }
}

fn ip(message: &Message, which: usize, out: &mut Visit<'_>) {
    if let Some((_, ip)) = message.addresses.as_ref().and_then(|both| both.get(which)) {
        out(Value::Address(IpAddr::V4(*ip)));
    }
}

/// Writes a member as it is formatted.
fn text(key: &'static str, tree: &mut dyn Tree, value: std::fmt::Arguments<'_>) {
    tree.formatted(key, value);
}

impl Record for Message {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        match self.hardware {
            ETHERNET => tree.text("hw_type", "ethernet"),
            other => text("hw_type", tree, format_args!("{other}")),
        }
        match self.protocol {
            IPV4 => tree.text("proto_type", "ipv4"),
            other => text("proto_type", tree, format_args!("{other}")),
        }
        match crate::field::name_of(OPERATIONS, self.operation.into()) {
            Some(name) => tree.text("opcode", name),
            None => text("opcode", tree, format_args!("{}", self.operation)),
        }
        for ((mac, ip), (mac_key, ip_key)) in
            self.addresses.iter().flatten().zip([("src_mac", "src_ip"), ("dest_mac", "dest_ip")])
        {
            let [a, b, c, d, e, f] = mac;
            text(mac_key, tree, format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
            text(ip_key, tree, format_args!("{ip}"));
        }
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }
}

/// A pair of stations.
struct Station {
    messages: u64,
}

impl Dissector for Station {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        let Some((mut record, anomaly)) = Message::read(message) else { return };
        self.messages += 1;
        record.transaction = self.messages;
        sink.message(envelope, &record, anomaly.as_slice());
        sink.transaction(envelope, &record);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dissector::Direction::ToServer;
    use crate::testing::{Collected, bytes, envelope};

    fn said(message: &[u8]) -> Collected {
        let (mut station, mut heard) = (Station { messages: 0 }, Collected::default());
        station.parse(&envelope(ToServer, 1), message, &mut heard);
        heard
    }

    #[test]
    fn a_request_gives_both_pairs_of_addresses() {
        let request = bytes("0001 0800 06 04 0001 02AABBCCDD01 0A000001 000000000000 0A000002");
        let heard = said(&request);
        let message = &heard.transactions[0];
        assert_eq!((message.field("operation"), message.field("sender_ip")), ("1".into(), "10.0.0.1".into()));
        assert_eq!((message.field("target_ip"), message.field("gratuitous")), ("10.0.0.2".into(), "false".into()));
        assert_eq!(message.field("sender_mac"), "02aabbccdd01");
        insta::assert_snapshot!(message.json);
    }

    #[test]
    fn what_is_odd_is_told() {
        let kinds = |digits: &str| said(&bytes(digits)).messages[0].kinds();
        let pairs = "02AABBCCDD01 0A000001 000000000000 0A000002";
        assert_eq!(kinds("0001 0800 06 04 0001 02AABB"), ["truncated_message"]);
        assert_eq!(kinds(&format!("0001 0800 06 04 6666 {pairs}")), ["unknown_operation"]);
        assert_eq!(kinds(&format!("0006 86DD 06 10 0001 {pairs}")), ["unsupported_addresses"]);
        assert_eq!(kinds("0001 0800 06 04 0002 02AABBCCDD01 E0000001 000000000000 0A000002"), ["sender_mismatch"]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(said(&octets).messages.len() <= 1);
        }
    }
}
