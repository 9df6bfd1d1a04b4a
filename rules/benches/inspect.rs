//! What rules cost: a Modbus message that no rule matches, a packet that no rule asks for, and loading a large set.
// The crate does no I/O; its benches may.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use vigia_parsers::dissector::Envelope;
use vigia_parsers::ot::modbus::PROTOCOL;
use vigia_parsers::{Anomaly, Direction, Limits, Protocol, Record, Sink, Timestamp};
use vigia_rules::{Engine, FlowMemory, Moment, Scratch, Source, Subject, Variables};

/// Fifty rules of the kinds that a starter set has; none matches a read from a known station.
fn starter() -> String {
    let mut text = String::new();
    for (sid, what) in (1..).zip(
        [
            "modbus.function:5",
            "modbus.function:write_multiple_registers",
            "modbus: access write coils, address 100",
            "modbus.function:8; modbus.sub_function:4",
            "modbus.exception_code:2",
            "modbus.write:true; modbus.value:>60000",
            "app-layer-event:modbus.invalid_length",
            "modbus: function user",
            "modbus.function:43; modbus.data; content:\"|0e 01|\"",
            "modbus.unit_id:>247",
        ]
        .into_iter()
        .cycle()
        .take(50),
    ) {
        text += &format!("alert modbus !10.0.0.10 any -> any any (msg:\"m\"; {what}; sid:{sid};)\n");
    }
    text
}

fn engine(text: &str) -> Engine {
    let compiled = Engine::compile(&[Source { name: "bench".into(), text: text.into() }], &Variables::standard());
    assert_eq!(compiled.failed, 0, "{}", compiled.diagnostics[0]);
    compiled.engine
}

fn moment() -> Moment<'static> {
    let address = |last| IpAddr::from([10, 0, 0, last]);
    Moment {
        packet: None,
        source: (address(10), 40_000),
        destination: (address(1), 502),
        direction: Some(Direction::ToServer),
        ip_protocol: 6,
        established: true,
        protocol: Some(&PROTOCOL),
        timestamp: Timestamp::new(1, 0),
        flow: None,
        route: None,
    }
}

/// Measures inspection of the record that a dissector makes of a message.
struct Measure<'a, 'c> {
    criterion: &'a mut Criterion,
    engine: &'c Engine,
    name: &'static str,
}

impl Sink for Measure<'_, '_> {
    fn message(&mut self, _: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let (mut scratch, mut memory): (_, Option<Box<FlowMemory>>) = (Scratch::default(), None);
        let moment = moment();
        let engine = self.engine;
        self.criterion.bench_function(self.name, |bencher| {
            bencher.iter(|| {
                let subject = Subject::Message { record: Some(black_box(record)), anomalies, left: None };
                engine.inspect(black_box(&moment), &subject, &mut memory, &mut scratch);
                scratch.matches().len()
            });
        });
        assert!(scratch.matches().is_empty());
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {}

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

fn inspect(criterion: &mut Criterion) {
    let engine = engine(&starter());
    let cases: [(&'static str, &[u8]); 2] = [
        ("modbus read, 50 rules, none matches", &[0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2]),
        ("modbus write of a known station, 50 rules, none matches", &[0, 1, 0, 0, 0, 6, 1, 5, 0, 99, 0xff, 0]),
    ];
    for (name, message) in cases {
        let envelope = Envelope { direction: Direction::ToServer, timestamp: Timestamp::new(1, 0), datagram: false };
        (PROTOCOL.open)(&Limits::DEFAULT).parse(
            &envelope,
            message,
            &mut Measure { criterion: &mut *criterion, engine: &engine, name },
        );
    }
    let (mut scratch, mut memory) = (Scratch::default(), None);
    let moment = moment();
    criterion.bench_function("packet, no packet rules", |bencher| {
        bencher.iter(|| engine.inspect(black_box(&moment), &Subject::Packet, &mut memory, &mut scratch));
    });
}

fn load(criterion: &mut Criterion) {
    let Some(folder) = std::env::var_os("VIGIA_RULE_SET") else { return };
    let files = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let rules = files.filter(|file| file.extension().is_some_and(|extension| extension == "rules"));
    let sources: Vec<Source> = rules
        .map(|file| Source {
            name: file.to_string_lossy().into(),
            text: std::fs::read_to_string(&file).expect("readable").into(),
        })
        .collect();
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("rule set", |bencher| {
        bencher.iter(|| Engine::compile(&sources, &Variables::standard()).engine.rules().len());
    });
}

criterion_group!(benches, inspect, load);
criterion_main!(benches);
