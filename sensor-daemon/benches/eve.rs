//! What an event costs: a line in nanoseconds, the journal in bytes a second.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use vigia::event::{Anomalous, Endpoints, Eve, EventSettings, Header, Lines, PacketSource};
use vigia::journal::{Journal, JournalSettings, SyncPolicy};
use vigia::metrics::Metrics;
use vigia_parsers::field::{Tree, Visit};
use vigia_parsers::ot::modbus;
use vigia_parsers::packet::Tunnel;
use vigia_parsers::{Anomaly, Protocol, Record, Timestamp};

/// A read of ten registers with its answer, in the layout of EVE.
struct Read;

impl Record for Read {
    fn protocol(&self) -> &'static Protocol {
        &modbus::PROTOCOL
    }

    fn visit(&self, _index: usize, _out: &mut Visit<'_>) {}

    fn tree(&self, tree: &mut dyn Tree) {
        tree.unsigned("id", 3);
        for side in ["request", "response"] {
            tree.object(side);
            tree.unsigned("transaction_id", 4711);
            tree.unsigned("protocol_id", 0);
            tree.unsigned("unit_id", 1);
            tree.unsigned("function_raw", 3);
            tree.text("function_code", "RdHoldRegs");
            tree.text("access_type", "READ | HOLDING");
            tree.text("category", "PUBLIC_ASSIGNED");
            tree.text("error_flags", "NONE");
            tree.object("read");
            if side == "request" {
                tree.unsigned("address", 40001);
                tree.unsigned("quantity", 10);
            } else {
                tree.octets("data", b"\x00\x01@3P4W?x#QaBzcd!ee");
            }
            tree.end();
            tree.end();
        }
    }

    fn transaction(&self) -> u64 {
        3
    }
}

fn header(flow: u64, packet: u64) -> Header<'static> {
    let host = |last: u64| IpAddr::V4(Ipv4Addr::new(192, 168, 10, last as u8));
    Header {
        timestamp: Timestamp(1_767_323_045_000_000_000 + packet * 12_345),
        flow_id: (flow + 1) * 987_654_321_987,
        in_iface: "tap0",
        number: packet,
        endpoints: Some(Endpoints {
            source: (host(flow), 49152 + flow as u16),
            destination: (host(7), 502),
            protocol: 6,
        }),
        source: Some(PacketSource::Wire(Tunnel::None)),
        ..Header::default()
    }
}

/// Time that this thread has had on a processor: what a line costs, also on a machine that has other work.
fn on_processor() -> Duration {
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next().and_then(|nanos| nanos.parse().ok()));
    Duration::from_nanos(nanos.expect("Linux tells it"))
}

/// Time on a processor of so many lines.
fn timed(count: u64, out: &mut Lines, mut write: impl FnMut(&mut Lines, u64)) -> Duration {
    let start = on_processor();
    for packet in 0..count {
        if out.len() > 256 << 10 {
            out.clear();
        }
        write(out, packet);
    }
    on_processor() - start
}

fn lines(criterion: &mut Criterion) {
    let mut eve = Eve::new(&EventSettings::default());
    let mut out = Lines::default();
    eve.record(&mut out, &header(1, 1), &Read);
    let mut group = criterion.benchmark_group("line");
    group.throughput(Throughput::Bytes(out.len() as u64));
    // Samples long enough for the scheduler's tick, by which time on a processor is told.
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.bench_function("record", |bencher| {
        bencher.iter_custom(|count| {
            timed(count, &mut out, |out, packet| eve.record(out, &header(packet % 40, packet), &Read))
        });
    });
    let anomaly = Anomalous::Application(&modbus::PROTOCOL, Anomaly { kind: "invalid_length", offset: 4 });
    group.bench_function("anomaly", |bencher| {
        bencher.iter_custom(|count| {
            timed(count, &mut out, |out, packet| eve.anomaly(out, &header(packet % 40, packet), &anomaly))
        });
    });
    group.finish();
}

/// Hands the journal as many batches of 256 KiB as it takes, waiting where it waits.
fn journal(criterion: &mut Criterion) {
    let mut lines = Lines::default();
    let mut eve = Eve::new(&EventSettings::default());
    let mut events = 0;
    while lines.len() < 256 << 10 {
        eve.record(&mut lines, &header(events % 40, events), &Read);
        events += 1;
    }
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Bytes(lines.len() as u64)).sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    group.bench_function("replay", |bencher| {
        bencher.iter_custom(|batches| {
            let directory = tempfile::tempdir().expect("a place for the file");
            let metrics = Metrics::new();
            let journal =
                Journal::single_file(&directory.path().join("eve.json"), 1, &metrics).expect("the file can be made");
            let submitter = journal.submitter(0);
            let start = Instant::now();
            for _ in 0..batches {
                let mut batch = submitter.record_batch();
                batch.lines.append_lines(lines.as_bytes());
                batch.events = events;
                submitter.records(batch);
            }
            journal.close().expect("everything is written");
            start.elapsed()
        });
    });
    group.bench_function("live", |bencher| {
        bencher.iter_custom(|batches| {
            let directory = tempfile::tempdir().expect("a place for the journal");
            let settings = JournalSettings {
                directory: directory.path().to_path_buf(),
                records_sync: SyncPolicy::Never,
                compress: false,
                records_queue_batches: usize::try_from(batches).unwrap_or(usize::MAX).min(1 << 12),
                ..JournalSettings::default()
            };
            let metrics = Metrics::new();
            let (journal, _) = Journal::open(&settings, &metrics).expect("the journal can be opened");
            let submitter = journal.submitter(0);
            let start = Instant::now();
            for _ in 0..batches {
                let mut batch = submitter.record_batch();
                batch.lines.append_lines(lines.as_bytes());
                batch.events = events;
                submitter.records(batch);
            }
            journal.close().expect("everything is written");
            start.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, lines, journal);
criterion_main!(benches);
