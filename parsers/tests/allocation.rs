//! Once a flow has seen its first requests, dissecting it allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vigia_parsers::it::dns;
use vigia_parsers::ot::{bacnet, iec104, iec61850, modbus, mqtt, s7comm};
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates in its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a plain cell only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads every field of every message.
#[derive(Default)]
struct Reader {
    values: usize,
    transactions: usize,
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, _: &[Anomaly]) {
        for index in 0..record.protocol().fields.len() {
            record.visit(index, &mut |_| self.values += 1);
        }
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {
        self.transactions += 1;
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

#[test]
fn dissecting_modbus_allocates_nothing_in_the_steady_state() {
    let mut flow = (modbus::PROTOCOL.open)(&Limits::DEFAULT);
    let mut sink = Reader::default();
    let mut poll = |rounds: u16| {
        for round in 0..rounds {
            // Four requests are outstanding before the first is answered.
            for (direction, pdu) in
                [(Direction::ToServer, &[1, 3, 0, 0, 0, 2][..]), (Direction::ToClient, &[1, 3, 4, 1, 2, 3, 4][..])]
            {
                for id in 0..4 {
                    let mut message = [0; 16];
                    message[..2].copy_from_slice(&(round * 4 + id).to_be_bytes());
                    message[5] = pdu.len() as u8;
                    message[6..6 + pdu.len()].copy_from_slice(pdu);
                    let envelope = Envelope { direction, timestamp: Timestamp(round.into()), datagram: false };
                    flow.parse(&envelope, &message[..6 + pdu.len()], &mut sink);
                }
            }
        }
    };
    poll(1);
    let before = ALLOCATIONS.get();
    poll(1000);
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0);
    assert_eq!(sink.transactions, 4004);
    assert!(sink.values > 0);
}

/// A message of S7 communication: type, reference, parameters, data.
fn s7(kind: u8, reference: u16, parameter: &[u8], data: &[u8]) -> Vec<u8> {
    let error: &[u8] = if kind == 3 { &[0, 0] } else { &[] };
    let length = (17 + error.len() + parameter.len() + data.len()) as u8;
    let [high, low] = reference.to_be_bytes();
    let lengths = [0, parameter.len() as u8, 0, data.len() as u8];
    let header = [3, 0, 0, length, 2, 0xf0, 0x80, 0x32, kind, 0, 0, high, low];
    [&header[..], &lengths, error, parameter, data].concat()
}

#[test]
fn dissecting_s7_communication_allocates_nothing_in_the_steady_state() {
    let mut flow = (s7comm::PROTOCOL.open)(&Limits::DEFAULT);
    let mut sink = Reader::default();
    let read = [4, 1, 0x12, 0x0a, 0x10, 5, 0, 4, 0, 1, 0x84, 0, 0, 0];
    let list =
        [&[0xff, 9, 0, 36, 0, 0x11, 0, 1, 0, 28, 0, 1, 0, 7][..], b"6ES7 315-2EH14-0AB0 ", &[0, 0xc0, b'V', 3, 2, 7]]
            .concat();
    // A read, a read of a system state list, an upload, a mode transition.
    let said = [
        (Direction::ToServer, s7(1, 1, &read, &[])),
        (Direction::ToServer, s7(7, 2, &[0, 1, 0x12, 4, 0x11, 0x44, 1, 0], &[0xff, 9, 0, 4, 0, 0x11, 0, 1])),
        (Direction::ToClient, s7(3, 1, &[4, 1], &[0xff, 5, 0, 64, 0, 1, 0, 2, 0, 3, 0, 4])),
        (Direction::ToClient, s7(7, 2, &[0, 1, 0x12, 8, 0x12, 0x84, 1, 1, 0, 0, 0, 0], &list)),
        (Direction::ToServer, s7(1, 3, b"\x1d\0\0\0\0\0\0\0\x09_0A00001P", &[])),
        (Direction::ToClient, s7(3, 3, b"\x1d\0\x01\0\0\0\0\x07\x070000216", &[])),
        (Direction::ToServer, s7(1, 4, &[0x1e, 0, 0, 0, 0, 0, 0, 7], &[])),
        (Direction::ToClient, s7(3, 4, &[0x1e, 0], &[0, 2, 0, 0xfb, 0x70, 0x70])),
        (Direction::ToClient, s7(7, 0, &[1, 0, 0x10, 0x10, 0, 0, 0, 0], &[])),
    ];
    let mut poll = |rounds: u64| {
        for round in 0..rounds {
            for (direction, packet) in &said {
                let envelope = Envelope { direction: *direction, timestamp: Timestamp(round), datagram: false };
                flow.parse(&envelope, packet, &mut sink);
            }
        }
    };
    // Until each buffer has held the longest request.
    poll(8);
    let before = ALLOCATIONS.get();
    poll(1000);
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0);
    assert_eq!(sink.transactions, 5 * 1008);
    assert!(sink.values > 0);
}

/// An APDU of BACnet in an Original-Unicast-NPDU.
fn unicast(apdu: &[u8]) -> Vec<u8> {
    [&[0x81, 10, 0, apdu.len() as u8 + 6, 1, 4], apdu].concat()
}

#[test]
fn dissecting_bacnet_allocates_nothing_in_the_steady_state() {
    let mut flow = (bacnet::PROTOCOL.open)(&Limits::DEFAULT);
    let mut sink = Reader::default();
    let text = [0x30, 9, 12, 0x0c, 2, 0, 0, 8, 0x19, 121, 0x3e, 0x75, 5, 4, 0, b'A', 0, b'b', 0x3f];
    // A read of a number, one of text in UCS-2, a command, an error, a search, a registration of a foreign device.
    let said = [
        (Direction::ToServer, unicast(&[0, 5, 7, 12, 0x0c, 0, 0, 0, 5, 0x19, 85])),
        (Direction::ToServer, unicast(&[0, 5, 8, 15, 0x0c, 1, 0, 0, 3, 0x19, 85, 0x3e, 0x91, 1, 0x3f, 0x49, 8])),
        (Direction::ToServer, unicast(&[0, 5, 9, 12, 0x0c, 2, 0, 0, 8, 0x19, 121])),
        (Direction::ToClient, unicast(&[0x30, 7, 12, 0x0c, 0, 0, 0, 5, 0x19, 85, 0x3e, 0x44, 0x42, 0x90, 0, 0, 0x3f])),
        (Direction::ToClient, unicast(&[0x50, 8, 15, 0x91, 2, 0x91, 40])),
        (Direction::ToClient, unicast(&text)),
        (Direction::ToServer, unicast(&[0x10, 8, 9, 3, 0x19, 3])),
        (Direction::ToServer, vec![0x81, 5, 0, 6, 0, 60]),
        (Direction::ToClient, vec![0x81, 0, 0, 6, 0, 0]),
    ];
    let mut poll = |rounds: u64| {
        for round in 0..rounds {
            for (direction, datagram) in &said {
                let envelope = Envelope { direction: *direction, timestamp: Timestamp(round), datagram: true };
                flow.parse(&envelope, datagram, &mut sink);
            }
        }
    };
    // Until each buffer has held the longest request.
    poll(8);
    let before = ALLOCATIONS.get();
    poll(1000);
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0);
    assert_eq!(sink.transactions, 5 * 1008);
    assert!(sink.values > 0);
}

/// Reads what messages do to the plant besides, and counts messages and what is wrong with them.
#[derive(Default)]
struct Steady {
    reader: Reader,
    messages: usize,
    anomalies: usize,
}

impl Sink for Steady {
    fn message(&mut self, envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        self.messages += 1;
        self.anomalies += anomalies.len();
        self.reader.message(envelope, record, anomalies);
        record.points(&mut |_| self.reader.values += 1);
        record.facts(&mut |_| self.reader.values += 1);
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {}

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {
        self.anomalies += 1;
    }
}

/// Says the messages over and over; none after the first times may allocate, and none may be wrong.
fn assert_steady(protocol: &'static Protocol, said: &[(Direction, Vec<u8>)]) {
    assert_eq!(steady(protocol, said), 0, "{}", protocol.name);
}

/// As [`assert_steady`], of messages that cannot be said again and again without being wrong: how often they were.
fn steady(protocol: &'static Protocol, said: &[(Direction, Vec<u8>)]) -> usize {
    let (mut flow, mut sink, mut now) = ((protocol.open)(&Limits::DEFAULT), Steady::default(), 0);
    let mut say = |rounds: usize| {
        for (direction, message) in said.iter().cycle().take(rounds * said.len()) {
            now += 1_000_000;
            let envelope = Envelope { direction: *direction, timestamp: Timestamp(now), datagram: false };
            flow.parse(&envelope, message, &mut sink);
        }
    };
    say(8);
    let before = ALLOCATIONS.get();
    say(100);
    assert_eq!(ALLOCATIONS.get() - before, 0, "{}", protocol.name);
    assert_eq!(sink.messages, 108 * said.len(), "{}", protocol.name);
    assert!(sink.reader.values > sink.messages);
    sink.anomalies
}

/// An element of the basic encoding rules.
fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    assert!(contents.len() < 128);
    [&[tag, contents.len() as u8], &contents[..]].concat()
}

#[test]
fn dissecting_mms_allocates_nothing_in_the_steady_state() {
    let variable = tlv(0xa1, &[&tlv(0x1a, &[b"LD"]), &tlv(0x1a, &[b"XCBR1$CO$Pos$Oper"])]);
    let list = tlv(0xa0, &[&tlv(0x30, &[&tlv(0xa0, &[&variable])])]);
    let pdu = |tag: u8, id: u8, service: &[u8]| {
        let pdu = tlv(tag, &[&[2, 1, id], service]);
        let unit = tlv(0x61, &[&tlv(0x30, &[&[2, 1, 3], &tlv(0xa0, &[&pdu])])]);
        [&[3, 0, 0, unit.len() as u8 + 11, 2, 0xf0, 0x80, 1, 0, 1, 0], &unit[..]].concat()
    };
    let read = tlv(0xa4, &[&tlv(0xa1, &[&list])]);
    let values = tlv(0xa4, &[&tlv(0xa1, &[&[0x85, 1, 7]])]);
    let write = tlv(0xa5, &[&list, &tlv(0xa0, &[&tlv(0xa2, &[&[0x83, 1, 1, 0x86, 1, 3, 0x83, 1, 0]])])]);
    assert_steady(
        &iec61850::mms::PROTOCOL,
        &[
            (Direction::ToServer, pdu(0xa0, 1, &read)),
            (Direction::ToServer, pdu(0xa0, 2, &write)),
            (Direction::ToClient, pdu(0xa1, 1, &values)),
            (Direction::ToClient, pdu(0xa1, 2, &[0xa5, 2, 0x81, 0])),
        ],
    );
}

/// The header of the link layer around an APDU.
fn on_link(app_id: u16, apdu: &[u8]) -> Vec<u8> {
    [&app_id.to_be_bytes()[..], &[0, apdu.len() as u8 + 8, 0, 0, 0, 0], apdu].concat()
}

#[test]
fn dissecting_goose_allocates_nothing_in_the_steady_state() {
    let fields = [
        tlv(0x80, &[b"IED1/LLN0$GO$gcb01"]),
        vec![0x81, 2, 7, 0xd0],
        tlv(0x82, &[b"IED1/LLN0$events"]),
        tlv(0x84, &[&[0; 8]]),
        vec![0x85, 1, 1, 0x86, 1, 1, 0x87, 1, 0, 0x88, 1, 1, 0x89, 1, 0, 0x8a, 1, 1],
        tlv(0xab, &[&[0x83, 1, 1]]),
    ];
    let message = on_link(0x2000, &tlv(0x61, &[&fields.concat()]));
    assert_steady(&iec61850::goose::PROTOCOL, &[(Direction::ToServer, message)]);
}

#[test]
fn dissecting_sampled_values_allocates_nothing_in_the_steady_state() {
    // A second of two samples: the count is followed from the last one back to 0.
    let said = (0u8..2).map(|sample| {
        let values = [0, 0, 3, 0xe8, 0, 0, 0, 0];
        let asdu =
            [tlv(0x80, &[b"MU01"]), vec![0x82, 2, 0, sample, 0x83, 4, 0, 0, 0, 1, 0x85, 1, 2], tlv(0x87, &[&values])];
        let pdu = tlv(0x60, &[&[0x80, 1, 1], &tlv(0xa2, &[&tlv(0x30, &[&asdu.concat()])])]);
        (Direction::ToServer, on_link(0x4000, &pdu))
    });
    assert_steady(&iec61850::sv::PROTOCOL, &said.collect::<Vec<_>>());
}

#[test]
fn dissecting_dns_allocates_nothing_in_the_steady_state() {
    const QUESTION: &[u8] = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01";
    const ANSWER: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01";
    let mut flow = (dns::PROTOCOL.open)(&Limits::DEFAULT);
    let mut sink = Reader::default();
    let mut ask = |rounds: u16| {
        for round in 0..rounds {
            // Four requests are outstanding before the first is answered.
            for direction in [Direction::ToServer, Direction::ToClient] {
                for id in 0..4 {
                    let mut message = [0; 64];
                    let mut length = 0;
                    let mut add = |bytes: &[u8]| {
                        message[length..length + bytes.len()].copy_from_slice(bytes);
                        length += bytes.len();
                    };
                    add(&(round * 4 + id).to_be_bytes());
                    let answered = direction == Direction::ToClient;
                    add(&[if answered { 0x81 } else { 1 }, 0, 0, 1, 0, answered.into(), 0, 0, 0, 0]);
                    add(QUESTION);
                    if answered {
                        add(ANSWER);
                    }
                    let envelope = Envelope { direction, timestamp: Timestamp(round.into()), datagram: true };
                    flow.parse(&envelope, &message[..length], &mut sink);
                }
            }
        }
    };
    ask(1);
    let before = ALLOCATIONS.get();
    ask(1000);
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0);
    assert_eq!(sink.transactions, 8008);
    assert!(sink.values > 0);
}

#[test]
fn dissecting_iec_104_allocates_nothing_in_the_steady_state() {
    let said = [
        // A command, its confirmation and its end.
        (Direction::ToServer, vec![0x68, 14, 0, 0, 0, 0, 45, 1, 6, 0, 1, 0, 23, 0, 0, 1]),
        (Direction::ToClient, vec![0x68, 14, 0, 0, 2, 0, 45, 1, 7, 0, 1, 0, 23, 0, 0, 1]),
        (Direction::ToClient, vec![0x68, 14, 0, 0, 2, 0, 45, 1, 10, 0, 1, 0, 23, 0, 0, 1]),
        // A measured value with time, its acknowledgement, a test of the connection.
        (
            Direction::ToClient,
            vec![0x68, 25, 2, 0, 2, 0, 36, 1, 3, 0, 1, 0, 10, 0, 0, 0, 0, 0x40, 0x40, 0, 0xe8, 3, 30, 15, 25, 11, 26],
        ),
        (Direction::ToServer, vec![0x68, 4, 1, 0, 4, 0]),
        (Direction::ToServer, vec![0x68, 4, 0x43, 0, 0, 0]),
        (Direction::ToClient, vec![0x68, 4, 0x83, 0, 0, 0]),
    ];
    // The sequence numbers are always those of the first time.
    assert!(steady(&iec104::PROTOCOL, &said) > 0);
}

#[test]
fn dissecting_mqtt_allocates_nothing_in_the_steady_state() {
    let said = [
        (Direction::ToServer, b"\x34\x0a\0\x03a/b\0\x09172".to_vec()),
        (Direction::ToClient, b"\x50\x02\0\x09".to_vec()),
        (Direction::ToServer, b"\x62\x02\0\x09".to_vec()),
        (Direction::ToClient, b"\x70\x02\0\x09".to_vec()),
        (Direction::ToServer, b"\x82\x08\0\x01\0\x03a/#\x01".to_vec()),
        (Direction::ToClient, b"\x90\x03\0\x01\x01".to_vec()),
        (Direction::ToClient, b"\x30\x07\0\x03a/b17".to_vec()),
        (Direction::ToServer, b"\xc0\0".to_vec()),
        (Direction::ToClient, b"\xd0\0".to_vec()),
    ];
    // Nobody introduced himself, which is told once.
    assert_eq!(steady(&mqtt::PROTOCOL, &said), 1);
}
