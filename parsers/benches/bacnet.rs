//! Cost of a BACnet PDU: parsing it, pairing it, and reading a few of its fields as rules do.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::field::Value;
use vigia_parsers::ot::bacnet::PROTOCOL;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// What a worker does at the least: reads kind, service and invoke identifier of each message.
struct Reader {
    fields: [usize; 3],
    values: bool,
    sum: f64,
}

impl Reader {
    fn new(values: bool) -> Self {
        let fields = ["pdu_type", "confirmed_service", "invoke_id"];
        Self { fields: fields.map(|name| PROTOCOL.field(name).expect("a field")), values, sum: 0.0 }
    }
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let mut sum = self.sum + anomalies.len() as f64;
        let mut out = |value: Value<'_>| match value {
            Value::Unsigned(number) => sum += number as f64,
            Value::Float(number) => sum += number,
            _ => {}
        };
        self.fields.iter().for_each(|index| record.visit(*index, &mut out));
        if self.values {
            record.visit(PROTOCOL.field("value").expect("a field"), &mut out);
        }
        self.sum = sum;
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        self.sum += record.transaction() as f64;
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

fn envelope(direction: Direction) -> Envelope {
    Envelope { direction, timestamp: Timestamp(1), datagram: true }
}

/// An APDU in an Original-Unicast-NPDU.
fn datagram(apdu: &[u8]) -> Vec<u8> {
    [&[0x81, 10, 0, apdu.len() as u8 + 6, 1, 4], apdu].concat()
}

fn bacnet(c: &mut Criterion) {
    let request = datagram(&[0, 5, 7, 12, 0x0c, 0, 0, 0, 5, 0x19, 85]);
    let answer = datagram(&[0x30, 7, 12, 0x0c, 0, 0, 0, 5, 0x19, 85, 0x3e, 0x44, 0x42, 0x90, 0x99, 0x9a, 0x3f]);
    let who_is = datagram(&[0x10, 8, 9, 3, 0x19, 3]);
    // Twenty properties of one object.
    let properties: Vec<u8> =
        (0..20).flat_map(|at| [0x29, 85 + at, 0x4e, 0x44, 0x42, 0x90, 0x99, 0x9a, 0x4f]).collect();
    let multiple = datagram(&[&[0x30, 7, 14, 0x0c, 0, 0, 0, 16, 0x1e][..], &properties, &[0x1f]].concat());

    let mut group = c.benchmark_group("bacnet");
    group.throughput(Throughput::Elements(1));
    group.bench_function("probe", |b| b.iter(|| (PROTOCOL.probe)(black_box(&request), Direction::ToServer)));
    for (name, message, direction) in [
        ("parse unpaired request", &request, Direction::ToServer),
        ("parse unconfirmed request", &who_is, Direction::ToServer),
        ("parse unpaired answer with 20 properties", &multiple, Direction::ToClient),
    ] {
        group.bench_function(name, |b| {
            let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader::new(false));
            b.iter(|| flow.parse(&envelope(direction), black_box(message), &mut sink));
            black_box(sink.sum);
        });
    }
    group.throughput(Throughput::Elements(2));
    for values in [false, true] {
        let name = if values { "parse request and answer, with values" } else { "parse request and answer" };
        group.bench_function(name, |b| {
            let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader::new(values));
            b.iter(|| {
                flow.parse(&envelope(Direction::ToServer), black_box(&request), &mut sink);
                flow.parse(&envelope(Direction::ToClient), black_box(&answer), &mut sink);
            });
            black_box(sink.sum);
        });
    }
    group.finish();
}

criterion_group!(benches, bacnet);
criterion_main!(benches);
