//! Cost of a Modbus PDU: parsing it, pairing it, and reading a few of its fields as rules do.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::ot::modbus::PROTOCOL;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// What a worker does at the least: reads function, unit and address of each message.
struct Reader {
    fields: [usize; 3],
    values: bool,
    sum: u64,
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let mut sum = self.sum + anomalies.len() as u64;
        let mut out = |value: vigia_parsers::field::Value<'_>| {
            if let vigia_parsers::field::Value::Unsigned(value) = value {
                sum += value;
            }
        };
        self.fields.iter().for_each(|index| record.visit(*index, &mut out));
        if self.values {
            record.visit(PROTOCOL.field("value").expect("a field"), &mut out);
        }
        self.sum = sum;
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        self.sum += record.transaction();
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

fn envelope(direction: Direction) -> Envelope {
    Envelope { direction, timestamp: Timestamp(1), datagram: false }
}

fn modbus(c: &mut Criterion) {
    let request = [0, 1, 0, 0, 0, 6, 1, 3, 0, 100, 0, 10];
    let mut response = vec![0, 1, 0, 0, 0, 23, 1, 3, 20];
    response.extend([7; 20]);
    let fields = ["function", "unit_id", "address"].map(|name| PROTOCOL.field(name).expect("a field"));

    let mut group = c.benchmark_group("modbus");
    group.throughput(Throughput::Elements(1));
    for (name, message, direction) in
        [("request", &request[..], Direction::ToServer), ("response", &response[..], Direction::ToClient)]
    {
        group.bench_function(format!("probe {name}"), |b| b.iter(|| (PROTOCOL.probe)(black_box(message), direction)));
        group.bench_function(format!("frame {name}"), |b| b.iter(|| (PROTOCOL.frame)(black_box(message), direction)));
    }
    // Requests that reuse a transaction identifier give each other up, so this includes logging the one before.
    group.bench_function("parse request", |b| {
        let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader { fields, values: false, sum: 0 });
        b.iter(|| flow.parse(&envelope(Direction::ToServer), black_box(&request), &mut sink));
        black_box(sink.sum);
    });
    group.bench_function("parse unpaired response of 10 registers", |b| {
        let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader { fields, values: false, sum: 0 });
        b.iter(|| flow.parse(&envelope(Direction::ToClient), black_box(&response), &mut sink));
        black_box(sink.sum);
    });
    group.throughput(Throughput::Elements(2));
    for values in [false, true] {
        let name = if values { "parse request and response, with values" } else { "parse request and response" };
        group.bench_function(name, |b| {
            let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader { fields, values, sum: 0 });
            b.iter(|| {
                flow.parse(&envelope(Direction::ToServer), black_box(&request), &mut sink);
                flow.parse(&envelope(Direction::ToClient), black_box(&response), &mut sink);
            });
            black_box(sink.sum);
        });
    }
    group.finish();
}

criterion_group!(benches, modbus);
criterion_main!(benches);
