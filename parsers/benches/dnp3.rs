//! Time per DNP3 frame, from the link header to the walked objects.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigia_parsers::ot::dnp3::{PROTOCOL, link};
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// Asks each record for the values of some fields, as rules do; with none it only hears.
struct Listener(Vec<usize>);

impl Sink for Listener {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        assert!(anomalies.iter().all(|anomaly| anomaly.kind == "flooded"), "{anomalies:?}");
        for field in &self.0 {
            record.visit(*field, &mut |value| {
                black_box(value);
            });
        }
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        black_box(record.transaction());
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, anomaly: Anomaly) {
        panic!("{anomaly:?}");
    }
}

fn frame(control: u8, user_data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x05, 0x64, 5 + user_data.len() as u8, control, 10, 0, 1, 0];
    out.extend_from_slice(&link::crc(&out).to_le_bytes());
    for block in user_data.chunks(link::BLOCK) {
        out.extend_from_slice(block);
        out.extend_from_slice(&link::crc(block).to_le_bytes());
    }
    out
}

/// Frames as they are common, each list one fragment.
fn samples() -> Vec<Vec<Vec<u8>>> {
    let read = [0xc0, 0xc4, 1, 60, 2, 6, 60, 3, 6, 60, 4, 6, 60, 1, 6];
    let respond = [0xc0, 0xc3, 129, 0, 0, 12, 1, 0x28, 1, 0, 10, 0, 3, 1, 100, 0, 0, 0, 100, 0, 0, 0, 0];
    let mut values = vec![0xc0, 0xc5, 129, 0, 0, 1, 2, 0, 0, 39];
    values.extend_from_slice(&[0x81; 40]);
    values.extend_from_slice(&[30, 1, 0, 0, 35]);
    values.extend_from_slice(&[1, 0x10, 0x27, 0, 0].repeat(36));
    let mut long = vec![0xc5, 129, 0, 0, 30, 1, 0, 0, 199];
    long.extend_from_slice(&[1, 0x10, 0x27, 0, 0].repeat(200));
    let count = long.chunks(249).count();
    let long = long.chunks(249).enumerate().map(|(number, chunk)| {
        let fir = if number == 0 { 0x40 } else { 0 };
        let fin = if number + 1 == count { 0x80 } else { 0 };
        frame(0x44, &[&[fir | fin | number as u8], chunk].concat())
    });
    vec![vec![frame(0xc4, &read)], vec![frame(0x44, &respond)], vec![frame(0x44, &values)], long.collect()]
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dnp3");
    let envelope = Envelope { direction: Direction::ToServer, timestamp: Timestamp(0), datagram: false };
    let asked = ["function", "object", "crob_operation"].map(|name| PROTOCOL.field(name).expect("a field"));
    for frames in samples() {
        let octets: usize = frames.iter().map(Vec::len).sum();
        let name = format!("{octets} octets in {} frames", frames.len());
        group.throughput(Throughput::Elements(frames.len() as u64));
        for (what, mut listener) in [("parse", Listener(vec![])), ("parse and ask", Listener(asked.to_vec()))] {
            let mut dissector = (PROTOCOL.open)(&Limits::DEFAULT);
            group.bench_function(format!("{what} {name}"), |bencher| {
                bencher.iter(|| {
                    frames.iter().for_each(|frame| dissector.parse(&envelope, black_box(frame), &mut listener))
                });
            });
        }
        group.bench_function(format!("frame {name}"), |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    black_box((PROTOCOL.frame)(black_box(frame), Direction::ToServer));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
