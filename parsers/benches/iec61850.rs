//! Cost of a message of IEC 61850: parsing it, pairing it where it is answered, and reading a few of its fields as rules do.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::Direction::{self, ToClient, ToServer};
use vigia_parsers::field::Value;
use vigia_parsers::ot::iec61850::{goose, mms, sv};
use vigia_parsers::{Anomaly, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// What a worker does at the least: reads a few fields of each message.
struct Reader {
    fields: Vec<usize>,
    sum: u64,
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let mut sum = self.sum + anomalies.len() as u64;
        let mut out = |value: Value<'_>| match value {
            Value::Unsigned(value) => sum += value,
            Value::Bytes(bytes) => sum += bytes.len() as u64,
            _ => {}
        };
        self.fields.iter().for_each(|index| record.visit(*index, &mut out));
        self.sum = sum;
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        self.sum += record.transaction();
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

/// An element of the basic encoding rules.
fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    match contents.len() {
        length @ 0..=127 => [&[tag, length as u8], &contents[..]].concat(),
        length => [&[tag, 0x82, (length >> 8) as u8, length as u8], &contents[..]].concat(),
    }
}

fn packet(pdu: &[u8]) -> Vec<u8> {
    let unit = tlv(0x61, &[&tlv(0x30, &[&[2, 1, 3], &tlv(0xa0, &[pdu])])]);
    let length = unit.len() as u16 + 11;
    [&[3, 0][..], &length.to_be_bytes(), &[2, 0xf0, 0x80, 1, 0, 1, 0], &unit].concat()
}

/// Messages in the order in which they are said.
type Said = Vec<(Direction, Vec<u8>)>;

/// A read of three variables and its answer, a command and its answer, a report of eight values.
fn dialogues() -> [(&'static str, Said); 3] {
    let variable = |item: &str| {
        let name = tlv(0xa1, &[&tlv(0x1a, &[b"IED1LD0"]), &tlv(0x1a, &[item.as_bytes()])]);
        tlv(0x30, &[&tlv(0xa0, &[&name])])
    };
    let items = ["MMXU1$MX$TotW$mag$f", "MMXU1$MX$Hz$mag$f", "XCBR1$ST$Pos$stVal"].map(variable).concat();
    let float = tlv(0x87, &[&[8, 0x42, 0x28, 0, 0]]);
    let read = tlv(0xa0, &[&[2, 1, 1], &tlv(0xa4, &[&tlv(0xa1, &[&tlv(0xa0, &[&items])])])]);
    let values = tlv(0xa1, &[&[2, 1, 1], &tlv(0xa4, &[&tlv(0xa1, &[&float, &float, &[0x84, 2, 6, 0x80]])])]);
    let origin = tlv(0xa2, &[&[0x85, 1, 2], &tlv(0x89, &[b"HMI-1"])]);
    let command =
        tlv(0xa2, &[&[0x83, 1, 1], &origin, &[0x86, 1, 7], &tlv(0x91, &[&[0; 8]]), &[0x83, 1, 0, 0x84, 2, 6, 0]]);
    let oper = tlv(0xa0, &[&variable("XCBR1$CO$Pos$Oper")]);
    let write = tlv(0xa0, &[&[2, 1, 1], &tlv(0xa5, &[&oper, &tlv(0xa0, &[&command])])]);
    let report = [
        tlv(0x8a, &[b"IED1LD0/LLN0$BR$brcb01"]),
        vec![0x84, 3, 6, 0x78, 0],
        vec![0x86, 1, 9],
        tlv(0x8c, &[&[0; 6]]),
        tlv(0x8a, &[b"IED1LD0/LLN0$events"]),
        vec![0x84, 2, 0, 0xff],
        float.repeat(8),
        [0x84, 2, 2, 0x40].repeat(8),
    ];
    let report = tlv(0xa3, &[&tlv(0xa0, &[&tlv(0xa1, &[&tlv(0x80, &[b"RPT"])]), &tlv(0xa0, &[&report.concat()])])]);
    [
        ("read of 3 variables and response", vec![(ToServer, packet(&read)), (ToClient, packet(&values))]),
        (
            "command and response",
            vec![(ToServer, packet(&write)), (ToClient, packet(&tlv(0xa1, &[&[2, 1, 1], &[0xa5, 2, 0x81, 0]])))],
        ),
        ("report of 8 values", vec![(ToClient, packet(&report))]),
    ]
}

fn on_link(app_id: u16, apdu: &[u8]) -> Vec<u8> {
    [&app_id.to_be_bytes()[..], &(apdu.len() as u16 + 8).to_be_bytes(), &[0; 4], apdu].concat()
}

/// A repetition of a state of eight values.
fn goose_message() -> Vec<u8> {
    let fields = [
        tlv(0x80, &[b"IED1LD0/LLN0$GO$gcb01"]),
        vec![0x81, 2, 7, 0xd0],
        tlv(0x82, &[b"IED1LD0/LLN0$events"]),
        tlv(0x83, &[b"trip"]),
        tlv(0x84, &[&[0; 8]]),
        vec![0x85, 1, 1, 0x86, 1, 1, 0x87, 1, 0, 0x88, 1, 1, 0x89, 1, 0, 0x8a, 1, 8],
        tlv(0xab, &[&[0x83, 1, 1, 0x84, 3, 3, 0, 0].repeat(4)]),
    ];
    on_link(0x2000, &tlv(0x61, &[&fields.concat()]))
}

/// A sample of four currents and four voltages, as IEC 61850-9-2LE has them.
fn sample() -> Vec<u8> {
    let asdu = [tlv(0x80, &[b"MU01"]), vec![0x82, 2, 0, 0, 0x83, 4, 0, 0, 0, 1, 0x85, 1, 2], tlv(0x87, &[&[1; 64]])];
    on_link(0x4000, &tlv(0x60, &[&[0x80, 1, 1], &tlv(0xa2, &[&tlv(0x30, &[&asdu.concat()])])]))
}

fn messages(
    c: &mut Criterion,
    protocol: &'static Protocol,
    fields: &[&str],
    name: &str,
    said: &[(Direction, Vec<u8>)],
) {
    let fields: Vec<_> = fields.iter().map(|name| protocol.field(name).expect("a field")).collect();
    let mut sink = Reader { fields, sum: 0 };
    let mut group = c.benchmark_group(protocol.name);
    group.throughput(Throughput::Elements(said.len() as u64));
    group.bench_function(name, |b| {
        let mut flow = (protocol.open)(&Limits::DEFAULT);
        b.iter(|| {
            for (direction, message) in said {
                let envelope = Envelope { direction: *direction, timestamp: Timestamp(1), datagram: false };
                flow.parse(&envelope, black_box(message), &mut sink);
            }
        });
    });
    black_box(sink.sum);
    group.finish();
}

fn iec61850(c: &mut Criterion) {
    for (name, said) in dialogues() {
        messages(c, &mms::PROTOCOL, &["pdu", "service", "item"], name, &said);
    }
    let goose = [(ToServer, goose_message())];
    messages(c, &goose::PROTOCOL, &["app_id", "state_number", "control_block"], "repetition of 8 values", &goose);
    messages(c, &sv::PROTOCOL, &["app_id", "sample_count", "id"], "sample of 8 channels", &[(ToServer, sample())]);
}

criterion_group!(benches, iec61850);
criterion_main!(benches);
