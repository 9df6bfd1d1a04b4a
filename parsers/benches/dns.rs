//! Cost of a DNS message: recognising it, parsing and pairing it, and reading what rules ask for.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::field::Value;
use vigia_parsers::it::dns::PROTOCOL;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// What a worker does: reads some fields of each message.
struct Reader {
    fields: Vec<usize>,
    sum: u64,
}

impl Reader {
    fn new(names: &[&str]) -> Self {
        Self { fields: names.iter().map(|name| PROTOCOL.field(name).expect("a field")).collect(), sum: 0 }
    }
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let mut sum = self.sum + anomalies.len() as u64;
        let mut out = |value: Value<'_>| {
            sum += match value {
                Value::Unsigned(value) => value,
                Value::Bytes(bytes) => bytes.len() as u64,
                _ => 1,
            }
        };
        self.fields.iter().for_each(|index| record.visit(*index, &mut out));
        self.sum = sum;
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        self.sum += record.transaction();
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

fn envelope(direction: Direction) -> Envelope {
    Envelope { direction, timestamp: Timestamp(1), datagram: true }
}

fn dns(c: &mut Criterion) {
    let question = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01";
    let request = [&b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"[..], question].concat();
    let mut response = [&b"\x12\x34\x81\x80\x00\x01\x00\x04\x00\x00\x00\x00"[..], question].concat();
    for host in 1..=4 {
        response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, host]);
    }

    let mut group = c.benchmark_group("dns");
    group.throughput(Throughput::Elements(1));
    for (name, message, direction) in
        [("request", &request, Direction::ToServer), ("response of 4 answers", &response, Direction::ToClient)]
    {
        group.bench_function(format!("probe {name}"), |b| b.iter(|| (PROTOCOL.probe)(black_box(message), direction)));
    }
    group.bench_function("parse unpaired response of 4 answers", |b| {
        let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader::new(&["id"]));
        b.iter(|| flow.parse(&envelope(Direction::ToClient), black_box(&response), &mut sink));
        black_box(sink.sum);
    });
    group.throughput(Throughput::Elements(2));
    for (name, fields) in [
        ("parse request and response", &["id", "rcode"][..]),
        ("parse request and response, with names", &["query", "answers.rrname", "rrtype"][..]),
    ] {
        group.bench_function(name, |b| {
            let (mut flow, mut sink) = ((PROTOCOL.open)(&Limits::DEFAULT), Reader::new(fields));
            b.iter(|| {
                flow.parse(&envelope(Direction::ToServer), black_box(&request), &mut sink);
                flow.parse(&envelope(Direction::ToClient), black_box(&response), &mut sink);
            });
            black_box(sink.sum);
        });
    }
    group.finish();
}

criterion_group!(benches, dns);
criterion_main!(benches);
