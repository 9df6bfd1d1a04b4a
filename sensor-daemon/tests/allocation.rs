//! Once it is warm, a worker allocates nothing on the heap for a packet that comes in order and raises no event, and nothing for
//! keeping it as evidence.

mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use vigia::capture::{Each, Interface, Progress, Source, SourceError};
use vigia::config::Config;
use vigia::event::{EventSettings, EvidenceOutput, Output, Ruleset};
use vigia::evidence::{self, Evidence};
use vigia::inspection::Names;
use vigia::journal::Journal;
use vigia::metrics::Metrics;
use vigia::pipeline::{Parts, Rules, Share, Worker};
use vigia::tagging::Tags;
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};
use vigia_parsers::registry::PROTOCOLS;
use vigia_rules::{Engine, Variables};
use wire::{Session, Way, dnp3, modbus};

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness and the journal allocate in theirs.
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

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rules as those that ship: on messages, on streams and on packets, most of which never match this traffic.
const RULES: &str = r#"
alert modbus any any -> any any (msg:"write from an unknown station"; modbus: function 6; sid:1;)
alert modbus !10.0.0.0/8 any -> any any (msg:"a stranger"; sid:2;)
alert modbus any any -> any any (msg:"many exceptions"; modbus.exception:true; threshold:type both, track by_src, count 5, seconds 60; sid:3;)
alert modbus any any -> any any (msg:"identification"; modbus.function:43; sid:4;)
alert dnp3 any any -> any any (msg:"restart"; dnp3_func:cold_restart; sid:5;)
alert dnp3 any any -> any any (msg:"restarted"; dnp3_ind:device_restart; sid:6;)
alert dnp3 any any -> any any (msg:"control"; dnp3_obj:12,1; sid:7;)
alert tcp any any -> any [502,20000] (msg:"shell"; flow:established,to_server; content:"/bin/sh"; sid:8;)
alert tcp any any -> any any (msg:"bits"; content:"|de ad be ef|"; flowbits:set,dead; sid:9;)
alert ip any any -> any any (msg:"nearly expired"; ttl:1; sid:10;)
"#;

/// A source without frames: they are handed to the worker directly.
struct Nothing;

impl Source for Nothing {
    fn batch(&mut self, _: &mut Each<'_>) -> Result<Progress, SourceError> {
        Ok(Progress::End)
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        vec![]
    }
}

struct Bench {
    worker: Worker,
    journal: Journal,
    evidence: Evidence,
    metrics: Arc<Metrics>,
    number: u64,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A worker that writes alerts, flows and anomalies, but no record of each message.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config =
            Config { events: EventSettings { records: false, ..EventSettings::default() }, ..Config::default() };
        let compiled = Engine::compile(
            &[vigia_rules::Source { name: "test.rules".into(), text: RULES.into() }],
            &Variables::default(),
        );
        assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
        let engine = Arc::new(compiled.engine);
        let rules = Rules { engine: Arc::clone(&engine), ruleset: Ruleset::default() };
        let metrics = Metrics::new();
        let mut journal = config.journal.clone();
        journal.directory = folder.path().to_owned();
        journal.reserve_bytes = 0;
        let (journal, _) = Journal::open(&journal, &metrics).unwrap();
        let mut output = Output::new(&config.events, metrics.worker(0, "tap0"), journal.submitter(0), engine);
        let told = EvidenceOutput::new(&config.events, Arc::clone(metrics.shared()), journal.submitter(0));
        let place = evidence::Place::beside(&journal, folder.path(), told);
        let interfaces = vec![vec!["tap0".to_owned()]];
        let mut evidence = Evidence::start(&config.evidence, place, interfaces, &metrics).unwrap();
        output.evidence = evidence.recorder(0);
        let worker = Worker::new(Parts {
            share: Share::ALL,
            flow: config.flow.clone(),
            decode: config.decode.limits(),
            dissection: Default::default(),
            verify_checksums: false,
            protocols: PROTOCOLS,
            rules,
            names: Names { interfaces: vec!["tap0".to_owned()], capture: String::new() },
            counters: vec![],
            output,
            tags: Tags::new(metrics.shared()),
            histogram: false,
            shunting: None,
        });
        Self { worker, journal, evidence, metrics, number: 0, _folder: folder }
    }

    /// Hands frames to the worker, one every two milliseconds, and returns how often it allocated.
    fn frames(&mut self, frames: &[Vec<u8>]) -> usize {
        let before = ALLOCATIONS.get();
        for frame in frames {
            self.number += 1;
            let captured = Captured {
                number: self.number,
                timestamp: Timestamp(wire::START_S * 1_000_000_000 + self.number * 2_000_000),
                link: LinkType::Ethernet,
                frame,
                wire_length: frame.len() as u32,
                stripped_vlan: None,
            };
            self.worker.frame(&captured, 0);
        }
        ALLOCATIONS.get() - before
    }

    /// Ends a batch, and returns how often that allocated.
    fn settle(&mut self) -> usize {
        let before = ALLOCATIONS.get();
        self.worker.settle(&mut Nothing, false);
        ALLOCATIONS.get() - before
    }
}

/// Polls as stations do all day: four Modbus and four DNP3 sessions, some with a VLAN.
struct Plant {
    modbus: Vec<Session>,
    dnp3: Vec<Session>,
    round: u16,
}

impl Plant {
    fn new() -> Self {
        let sessions = |port: u16| {
            let session = |n: u8| {
                let mut session = Session::new(([10, 0, 0, 1 + n], 40000 + u16::from(n)), ([10, 0, 1, 1 + n], port));
                if n == 3 {
                    session.tags = [vec![0x81, 0, 0, 7], vec![0x81, 0, 0, 7]];
                }
                session
            };
            (0..4).map(session).collect()
        };
        Self { modbus: sessions(502), dnp3: sessions(20000), round: 0 }
    }

    fn handshakes(&mut self) -> Vec<Vec<u8>> {
        self.modbus.iter_mut().chain(&mut self.dnp3).flat_map(Session::handshake).collect()
    }

    fn poll(&mut self, rounds: u16) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for _ in 0..rounds {
            self.round = self.round.wrapping_add(1);
            let count = self.round as u8 & 15;
            for session in &mut self.modbus {
                let function = [1, 2, 3, 4][usize::from(count & 3)];
                let values: &[u8] = if function < 3 { &[function, 2, 0x55, 1] } else { &[function, 4, 0, count, 1, 2] };
                let quantity = if function < 3 { 10 } else { 2 };
                frames.push(session.say(Way::ToServer, &modbus(self.round, &[function, 0, count, 0, quantity])));
                frames.push(session.say(Way::ToClient, &modbus(self.round, values)));
                frames.push(session.segment(Way::ToServer, wire::ACK, &[]));
            }
            for session in &mut self.dnp3 {
                let request = [0xc0 | count, 0xc0 | count, 1, 60, 2, 6, 60, 3, 6, 60, 4, 6, 60, 1, 6];
                let answer = [
                    0xc0 | count,
                    0xc0 | count,
                    0x81,
                    0,
                    0,
                    1,
                    2,
                    0,
                    0,
                    3,
                    0x81,
                    1,
                    0x81,
                    1,
                    30,
                    1,
                    0,
                    0,
                    1,
                    1,
                    count,
                    0,
                    0,
                    0,
                    1,
                    0xff,
                    0xff,
                    0,
                    0,
                ];
                frames.push(session.say(Way::ToServer, &dnp3(0xc4, 10, 1, &request)));
                frames.push(session.say(Way::ToClient, &dnp3(0x44, 1, 10, &answer)));
                frames.push(session.segment(Way::ToServer, wire::ACK, &[]));
            }
        }
        frames
    }
}

#[test]
fn a_packet_in_order_without_an_event_allocates_nothing() {
    let (mut bench, mut plant) = (Bench::new(), Plant::new());
    bench.frames(&plant.handshakes());
    // Until every buffer of a flow has its size: what rules may look back to in a stream is 1 KiB a direction.
    bench.frames(&plant.poll(256));
    bench.settle();
    let (mut of_frames, mut of_batches) = (0, 0);
    for _ in 0..20 {
        let frames = plant.poll(50);
        of_frames += bench.frames(&frames);
        of_batches += bench.settle();
    }
    let packets = bench.number;
    assert_eq!(of_frames, 0, "allocations in {packets} packets");
    assert_eq!(of_batches, 0, "allocations in 20 batches");

    bench.worker.finish(&mut Nothing);
    drop(bench.worker);
    bench.evidence.finish();
    let snapshot = bench.metrics.snapshot();
    bench.journal.close().unwrap();
    // They were kept, block by block, but for what came while the thread that compresses them was behind.
    let kept = snapshot.sum("vigia_evidence_packets_total");
    assert_eq!(kept + snapshot.sum("vigia_evidence_packets_lost_total"), packets);
    assert!(kept > 0);
    // It was all seen: every message dissected, none of them an event.
    assert_eq!(snapshot.sum("vigia_messages_total"), u64::from(plant.round) * 16);
    assert_eq!(snapshot.sum("vigia_packets_processed_total"), packets);
    assert_eq!(snapshot.sum("vigia_anomalies_total") + snapshot.sum("vigia_signature_matches_total"), 0);
    assert_eq!(snapshot.sum("vigia_flows_created_total"), 8);
}
