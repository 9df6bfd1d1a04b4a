//! Cost of a message of S7 communication: parsing it, pairing it, and reading a few of its fields as rules do.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::Direction::{self, ToClient, ToServer};
use vigia_parsers::field::Value;
use vigia_parsers::ot::s7comm::{PLUS, PROTOCOL};
use vigia_parsers::{Anomaly, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// What a worker does at the least: reads a few fields of each message.
struct Reader {
    fields: Vec<usize>,
    sum: u64,
}

impl Reader {
    fn of(protocol: &'static Protocol, names: &[&str]) -> Self {
        Self { fields: names.iter().map(|name| protocol.field(name).expect("a field")).collect(), sum: 0 }
    }
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        assert!(anomalies.is_empty(), "{anomalies:?}");
        let mut sum = self.sum;
        for index in &self.fields {
            record.visit(*index, &mut |value| {
                if let Value::Unsigned(value) = value {
                    sum += value;
                }
            });
        }
        self.sum = sum;
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        self.sum += record.transaction();
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, anomaly: Anomaly) {
        panic!("{anomaly:?}");
    }
}

/// A packet with a message: type, parameters, data.
fn packet(kind: u8, parameter: &[u8], data: &[u8]) -> Vec<u8> {
    let error: &[u8] = if kind == 3 { &[0, 0] } else { &[] };
    let length = (17 + error.len() + parameter.len() + data.len()) as u8;
    let header =
        [3, 0, 0, length, 2, 0xf0, 0x80, 0x32, kind, 0, 0, 0, 1, 0, parameter.len() as u8, 0, data.len() as u8];
    [&header[..], error, parameter, data].concat()
}

/// Requests with their answers, as stations send them over and over.
fn exchanges() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let address = [0x12, 0x0a, 0x10, 2, 0, 64, 0, 1, 0x84, 0, 0, 0];
    let values = [&[0xff, 4, 2, 0][..], &[7; 64]].concat();
    let read = [&[4, 1][..], &address].concat();
    let many = [&[4, 8][..], &address.repeat(8)].concat();
    let list = [&[0xff, 9, 0, 36, 0, 0x11, 0, 1, 0, 28, 0, 1][..], &[b'6'; 28]].concat();
    vec![
        ("read and answer of 64 bytes", packet(1, &read, &[]), packet(3, &[4, 1], &values)),
        ("read and answer of 8 items", packet(1, &many, &[]), packet(3, &[4, 8], &[0xff, 4, 0, 16, 1, 2].repeat(8))),
        (
            "system state list and answer",
            packet(7, &[0, 1, 0x12, 4, 0x11, 0x44, 1, 0], &[0xff, 9, 0, 4, 0, 0x11, 0, 1]),
            packet(7, &[0, 1, 0x12, 8, 0x12, 0x84, 1, 1, 0, 0, 0, 0], &list),
        ),
    ]
}

fn envelope(direction: Direction) -> Envelope {
    Envelope { direction, timestamp: Timestamp(1), datagram: false }
}

fn s7comm(c: &mut Criterion) {
    let mut group = c.benchmark_group("s7comm");
    for (name, request, response) in exchanges() {
        group.throughput(Throughput::Elements(2));
        for (what, fields) in [
            ("", &["function", "service"][..]),
            (", with addresses", &["function", "service", "area", "db", "address"]),
        ] {
            group.bench_function(format!("{name}{what}"), |b| {
                let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader::of(&PROTOCOL, fields));
                b.iter(|| {
                    flow.parse(&envelope(ToServer), black_box(&request), &mut sink);
                    flow.parse(&envelope(ToClient), black_box(&response), &mut sink);
                });
                black_box(sink.sum);
            });
        }
    }
    let plus = [
        &[3, 0, 0, 29, 2, 0xf0, 0x80, 0x72, 2, 0, 14, 0x31, 0, 0, 4, 0xf2, 0, 0, 0, 9, 0, 0, 14, 0x4d, 0x74][..],
        &[0x72, 2, 0, 0],
    ]
    .concat();
    group.throughput(Throughput::Elements(1));
    group.bench_function("request of S7comm-plus", |b| {
        let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader::of(&PLUS, &["function", "opcode"]));
        b.iter(|| flow.parse(&envelope(ToServer), black_box(&plus), &mut sink));
        black_box(sink.sum);
    });
    group.finish();
}

criterion_group!(benches, s7comm);
criterion_main!(benches);
