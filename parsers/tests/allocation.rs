//! Once a flow has seen its first requests, dissecting it allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vigia_parsers::it::dns;
use vigia_parsers::ot::{bacnet, dnp3, enip, iec104, iec61850, modbus, mqtt, s7comm};
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

/// Reads every field of every message and what it does to the plant, and counts.
#[derive(Default)]
struct Steady {
    values: usize,
    messages: usize,
    transactions: usize,
    anomalies: usize,
}

impl Sink for Steady {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        self.messages += 1;
        self.anomalies += anomalies.len();
        for index in 0..record.protocol().fields.len() {
            record.visit(index, &mut |_| self.values += 1);
        }
        record.points(&mut |_| self.values += 1);
        record.facts(&mut |_| self.values += 1);
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {
        self.transactions += 1;
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {
        self.anomalies += 1;
    }
}

type Said = [(Direction, Vec<u8>)];

/// Times that messages are said: until each buffer has held the longest request, and from then on.
const ROUNDS: [usize; 2] = [8, 100];

/// Says the messages over and over; none after the first times may allocate.
fn steady(protocol: &'static Protocol, datagram: bool, said: &Said) -> Steady {
    let (mut flow, mut sink, mut now) = ((protocol.open)(&Limits::DEFAULT), Steady::default(), 0);
    let mut say = |rounds: usize| {
        for (direction, message) in said.iter().cycle().take(rounds * said.len()) {
            now += 1_000_000;
            let envelope = Envelope { direction: *direction, timestamp: Timestamp(now), datagram };
            flow.parse(&envelope, message, &mut sink);
        }
    };
    say(ROUNDS[0]);
    let before = ALLOCATIONS.get();
    say(ROUNDS[1]);
    assert_eq!(ALLOCATIONS.get() - before, 0, "{}", protocol.name);
    assert!(sink.values > sink.messages, "{}", protocol.name);
    sink
}

/// As [`steady`], of messages that are in good order however often they are said: so many transactions each time.
fn assert_steady(protocol: &'static Protocol, datagram: bool, said: &Said, transactions: usize) {
    let sink = steady(protocol, datagram, said);
    let times = ROUNDS.iter().sum::<usize>();
    assert_eq!(sink.anomalies, 0, "{}", protocol.name);
    assert_eq!(sink.transactions, times * transactions, "{}", protocol.name);
    assert!(sink.messages >= times * said.len(), "{}", protocol.name);
}

/// Every request of `exchange` is outstanding before the first is answered.
fn at_once(numbers: std::ops::Range<u8>, exchange: impl Fn(u8) -> [Vec<u8>; 2]) -> Vec<(Direction, Vec<u8>)> {
    let exchanges: Vec<_> = numbers.map(exchange).collect();
    let [asked, answered] = [(Direction::ToServer, 0), (Direction::ToClient, 1)]
        .map(|(direction, at)| exchanges.iter().map(move |exchange| (direction, exchange[at].clone())));
    asked.chain(answered).collect()
}

#[test]
fn dissecting_modbus_allocates_nothing_in_the_steady_state() {
    let said =
        at_once(0..4, |id| [vec![0, id, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2], vec![0, id, 0, 0, 0, 7, 1, 3, 4, 1, 2, 3, 4]]);
    assert_steady(&modbus::PROTOCOL, false, &said, 4);
}

#[test]
fn dissecting_dnp3_allocates_nothing_in_the_steady_state() {
    // A poll of the four classes and its answer, one analog input: a transaction each.
    let said = [
        (
            Direction::ToServer,
            b"\x05\x64\x14\xc4\x0a\0\x01\0\x8f\xed\xc0\xc0\x01\x3c\x02\x06\x3c\x03\x06\x3c\x04\x06\x3c\x01\x06\x8a\x51"
                .to_vec(),
        ),
        (
            Direction::ToClient,
            b"\x05\x64\x12\x44\x01\0\x0a\0\x73\xc7\xc0\xc0\x81\0\0\x1e\x02\0\0\0\x01\xe6\0\x57\x1e".to_vec(),
        ),
    ];
    assert_steady(&dnp3::PROTOCOL, false, &said, 2);
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
    assert_steady(&s7comm::PROTOCOL, false, &said, 5);
}

/// Send RR Data with an unconnected message of CIP.
fn unconnected(context: u8, cip: &[u8]) -> Vec<u8> {
    let items = [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0xb2, 0, cip.len() as u8, 0];
    let header = [0x6f, 0, (items.len() + cip.len()) as u8, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    [&header[..], &[context; 8], &[0; 4], &items, cip].concat()
}

/// Send Unit Data in a connection.
fn connected(connection: u8, sequence: u8, cip: &[u8]) -> Vec<u8> {
    let address = [0xa1, 0, 4, 0, connection, 0, 0, 0];
    let items = [&[0, 0, 0, 0, 0, 0, 2, 0][..], &address, &[0xb1, 0, cip.len() as u8 + 2, 0, sequence, 0]].concat();
    let header = [0x70, 0, (items.len() + cip.len()) as u8, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    [&header[..], &[0; 8], &[0; 4], &items, cip].concat()
}

#[test]
fn dissecting_ethernet_ip_allocates_nothing_in_the_steady_state() {
    // A read and a write of tags, an identity asked for in a Multiple Service Packet and behind an Unconnected Send, a
    // write of PCCC, a read in a connection.
    let said = [
        (Direction::ToServer, unconnected(1, b"\x4c\x03\x91\x04Pump\x01\0")),
        (Direction::ToServer, unconnected(2, b"\x4d\x03\x91\x04Pump\xc4\0\x01\0\x52\x03\0\0")),
        (Direction::ToClient, unconnected(1, b"\xcc\0\0\0\xca\0\0\0\x8f\x42")),
        (Direction::ToClient, unconnected(2, b"\xcd\0\0\0")),
        (Direction::ToServer, unconnected(3, b"\x0a\x02\x20\x02\x24\x01\x01\0\x04\0\x0e\x03\x20\x01\x24\x01\x30\x07")),
        (Direction::ToClient, unconnected(3, b"\x8a\0\0\0\x01\0\x04\0\x8e\0\0\0\x02AB")),
        (
            Direction::ToServer,
            unconnected(4, b"\x52\x02\x20\x06\x24\x01\x07\xf9\x06\0\x01\x02\x20\x01\x24\x01\x01\0\x01\0"),
        ),
        (Direction::ToClient, unconnected(4, b"\x81\0\0\0\x01\0\x0e\0\x36\0\x14\x10\x60\x30\x78\x56\x34\x12\x02AB")),
        (
            Direction::ToServer,
            unconnected(5, b"\x4b\x02\x20\x67\x24\x01\x07\x01\0xV4\x12\x0f\0\x01\0\xaa\x02\x07\x89\x02\0\x05\0"),
        ),
        (Direction::ToClient, unconnected(5, b"\xcb\0\0\0\x07\x01\0xV4\x12\x4f\0\x01\0")),
        (Direction::ToServer, connected(9, 1, b"\x4c\x03\x91\x04Pump\x01\0")),
        (Direction::ToClient, connected(9, 1, b"\xcc\0\0\0\xca\0\0\0\x8f\x42")),
    ];
    // One each of the encapsulation, one of each service, embedded ones too.
    assert_steady(&enip::PROTOCOL, false, &said, 6 + 8);
}

#[test]
fn dissecting_implicit_messages_allocates_nothing_in_the_steady_state() {
    let message = b"\x02\0\x02\x80\x08\0\x44\x33\x22\x11\x07\0\0\0\xb1\0\x04\0\x01\x02\x03\x04".to_vec();
    // The sequence number is always that of the first time.
    assert!(steady(&enip::IO, true, &[(Direction::ToServer, message)]).anomalies > 0);
}

/// An APDU of BACnet in an Original-Unicast-NPDU.
fn unicast(apdu: &[u8]) -> Vec<u8> {
    [&[0x81, 10, 0, apdu.len() as u8 + 6, 1, 4], apdu].concat()
}

#[test]
fn dissecting_bacnet_allocates_nothing_in_the_steady_state() {
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
    assert_steady(&bacnet::PROTOCOL, true, &said, 5);
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
        false,
        &[
            (Direction::ToServer, pdu(0xa0, 1, &read)),
            (Direction::ToServer, pdu(0xa0, 2, &write)),
            (Direction::ToClient, pdu(0xa1, 1, &values)),
            (Direction::ToClient, pdu(0xa1, 2, &[0xa5, 2, 0x81, 0])),
        ],
        2,
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
    assert_eq!(steady(&iec61850::goose::PROTOCOL, false, &[(Direction::ToServer, message)]).anomalies, 0);
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
    assert_eq!(steady(&iec61850::sv::PROTOCOL, false, &said.collect::<Vec<_>>()).anomalies, 0);
}

#[test]
fn dissecting_dns_allocates_nothing_in_the_steady_state() {
    const QUESTION: &[u8] = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01";
    const ANSWER: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01";
    let said = at_once(0..4, |id| {
        let asked = [&[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat();
        [asked, [&[0, id, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], QUESTION, ANSWER].concat()]
    });
    assert_steady(&dns::PROTOCOL, true, &said, 8);
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
    assert!(steady(&iec104::PROTOCOL, false, &said).anomalies > 0);
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
    assert_eq!(steady(&mqtt::PROTOCOL, false, &said).anomalies, 1);
}
