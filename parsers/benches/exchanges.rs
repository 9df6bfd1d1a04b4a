//! Cost of a message of the protocols that have no bench of their own: parsing an exchange, pairing it, and reading a few
//! fields as rules do.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::Direction::{ToClient, ToServer};
use vigia_parsers::ot::{enip, iec104, mqtt};
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// What a worker does at the least: reads a few fields of each message.
struct Reader {
    protocol: &'static Protocol,
    fields: Vec<usize>,
    values: u64,
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        self.values += anomalies.len() as u64;
        if record.protocol() == self.protocol {
            self.fields.iter().for_each(|index| record.visit(*index, &mut |_| self.values += 1));
        }
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        self.values += record.transaction();
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

fn exchange(
    c: &mut Criterion,
    name: &str,
    protocol: &'static Protocol,
    fields: &[&str],
    said: &[(Direction, Vec<u8>)],
) {
    let mut group = c.benchmark_group(protocol.name);
    group.throughput(Throughput::Elements(said.len() as u64));
    group.bench_function(name, |b| {
        let fields = fields.iter().map(|name| protocol.field(name).expect("a field")).collect();
        let (mut flow, mut sink) = ((protocol.open)(&Limits::DEFAULT), Reader { protocol, fields, values: 0 });
        b.iter(|| {
            for (direction, message) in said {
                let envelope = Envelope { direction: *direction, timestamp: Timestamp(1), datagram: false };
                flow.parse(&envelope, black_box(message), &mut sink);
            }
        });
        black_box(sink.values);
    });
    group.finish();
}

/// Eight measured values with time, and the acknowledgement of them.
fn iec104_values() -> Vec<(Direction, Vec<u8>)> {
    let object = |at: u8| [at, 0, 0, 0, 0, 0x40, 0x40, 0, 0xe8, 3, 30, 15, 25, 11, 26];
    let objects: Vec<u8> = (0..8).flat_map(object).collect();
    let asdu = [&[36, 8, 3, 0, 1, 0][..], &objects].concat();
    let values = [&[0x68, asdu.len() as u8 + 4, 0, 0, 0, 0][..], &asdu].concat();
    vec![(ToClient, values), (ToServer, vec![0x68, 4, 1, 0, 2, 0])]
}

fn exchanges(c: &mut Criterion) {
    exchange(c, "eight measured values, acknowledged", &iec104::PROTOCOL, &["type_id", "cause"], &iec104_values());
    let command = |cause| vec![0x68, 14, 0, 0, 0, 0, 45, 1, cause, 0, 1, 0, 23, 0, 0, 1];
    let said = [(ToServer, command(6)), (ToClient, command(7))];
    exchange(c, "command and confirmation", &iec104::PROTOCOL, &["type_id", "cause"], &said);

    let publish = (ToServer, b"\x34\x1b\0\x0dplant/boiler1\0\x09{\"t\":71.5}".to_vec());
    let said = [publish, (ToClient, b"\x50\x02\0\x09".to_vec())];
    exchange(c, "publish of quality 1, acknowledged", &mqtt::PROTOCOL, &["type", "publish.topic"], &said);

    let unconnected = |cip: &[u8]| {
        let items = [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0xb2, 0, cip.len() as u8, 0];
        let length = (items.len() + cip.len()) as u8;
        let header = [0x6f, 0, length, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        [&header[..], &items, cip].concat()
    };
    let said = [
        (ToServer, unconnected(b"\x4c\x03\x91\x04Pump\x01\0")),
        (ToClient, unconnected(b"\xcc\0\0\0\xca\0\0\0\x8f\x42")),
    ];
    exchange(c, "read of a tag, answered", &enip::PROTOCOL, &["command", "cip_service"], &said);
}

criterion_group!(benches, exchanges);
criterion_main!(benches);
