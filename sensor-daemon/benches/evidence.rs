//! What evidence costs a packet: `cargo bench -p vigia --bench evidence -- CAPTURE`.
//!
//! A worker without rules takes the frames of a capture from memory, with and without a recorder, in turns. Told is processor
//! time, of the worker's thread and of all threads; the worker waits for free blocks, so that none is lost.

use std::path::Path;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use vigia::capture::file::FileSource;
use vigia::capture::{Each, FileSettings, Interface, Progress, Source, SourceError};
use vigia::config::Config;
use vigia::event::{EventSettings, EvidenceOutput, Output, Ruleset};
use vigia::evidence::{Evidence, Place};
use vigia::inspection::Names;
use vigia::journal::Journal;
use vigia::metrics::Metrics;
use vigia::pipeline::{Parts, Rules, Share, Worker};
use vigia::tagging::Tags;
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};
use vigia_parsers::registry::PROTOCOLS;
use vigia_rules::{Engine, Variables};

const ROUNDS: usize = 7;

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

/// A capture in memory.
struct Frames {
    bytes: Vec<u8>,
    /// Time, link, length on the wire, and where the next begins.
    frames: Vec<(Timestamp, LinkType, u32, usize)>,
}

impl Frames {
    fn read(path: &Path) -> Self {
        let mut all = Self { bytes: Vec::new(), frames: Vec::new() };
        let mut source = FileSource::open(path, &FileSettings::default()).expect("a capture");
        let mut each = |captured: &Captured<'_>, _: u16| {
            all.bytes.extend(captured.frame);
            all.frames.push((captured.timestamp, captured.link, captured.wire_length, all.bytes.len()));
        };
        while source.batch(&mut each).expect("a whole capture") != Progress::End {}
        all
    }
}

/// Nanoseconds of processor time: of this thread, of all.
fn processor() -> [f64; 2] {
    [ClockId::ThreadCPUTime, ClockId::ProcessCPUTime].map(|clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    })
}

/// A pass of all frames through a new worker: nanoseconds a packet of its thread, and of the others.
fn pass(all: &Frames, with_evidence: bool) -> ([f64; 2], Arc<Metrics>) {
    let folder = tempfile::tempdir().expect("a folder");
    let events =
        EventSettings { records: false, flow: false, anomaly: false, stats: false, ..EventSettings::default() };
    let config = Config { events, ..Config::default() };
    let metrics = Metrics::new();
    let journal = Journal::single_file(&folder.path().join("eve.json"), 1, &metrics).expect("the file can be made");
    let engine = Arc::new(Engine::compile(&[], &Variables::default()).engine);
    let mut output = Output::new(&config.events, metrics.worker(0, "tap0"), journal.submitter(0), Arc::clone(&engine));
    let evidence = with_evidence.then(|| {
        let told = EvidenceOutput::new(&config.events, Arc::clone(metrics.shared()), journal.submitter(0));
        let place = Place::of_replay(folder.path(), told);
        let mut evidence =
            Evidence::start(&config.evidence, place, vec![vec![]], &metrics).expect("the threads can be made");
        output.evidence = evidence.recorder(0);
        evidence
    });
    let mut worker = Worker::new(Parts {
        share: Share::ALL,
        flow: config.flow.clone(),
        decode: config.decode.limits(),
        dissection: Default::default(),
        verify_checksums: false,
        protocols: PROTOCOLS,
        rules: Rules { engine, ruleset: Ruleset::default() },
        names: Names { interfaces: vec!["tap0".to_owned()], capture: String::new() },
        counters: vec![],
        output,
        tags: Tags::new(metrics.shared()),
        histogram: false,
        shunting: None,
    });
    let before = processor();
    let mut start = 0;
    for (number, (timestamp, link, wire_length, end)) in (1..).zip(&all.frames) {
        let captured = Captured {
            number,
            timestamp: *timestamp,
            link: *link,
            frame: &all.bytes[start..*end],
            wire_length: *wire_length,
            stripped_vlan: None,
        };
        worker.frame(&captured, 0);
        if number % 1024 == 0 {
            worker.settle(&mut Nothing, false);
        }
        start = *end;
    }
    let thread = processor()[0] - before[0];
    drop(worker);
    evidence.into_iter().for_each(Evidence::finish);
    let all_threads = processor()[1] - before[1];
    journal.close().expect("the file can be written");
    let packets = all.frames.len() as f64;
    ([thread / packets, (all_threads - thread) / packets], metrics)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[allow(clippy::print_stdout)] // It is what the benchmark is for.
fn main() {
    let Some(path) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        println!("no capture is named: cargo bench -p vigia --bench evidence -- CAPTURE");
        return;
    };
    let all = Frames::read(Path::new(&path));
    let mut figures: [Vec<[f64; 2]>; 2] = Default::default();
    for round in 0..2 * ROUNDS {
        let (times, metrics) = pass(&all, round % 2 == 1);
        figures[round % 2].push(times);
        if round == 1 {
            let snapshot = metrics.snapshot();
            let [kept, gone] =
                ["vigia_evidence_packets_total", "vigia_evidence_blocks_gone_total"].map(|name| snapshot.sum(name));
            println!(
                "{} frames of {} bytes; {kept} were kept, {gone} blocks made room",
                all.frames.len(),
                all.bytes.len()
            );
        }
    }
    for (name, figures) in ["without", "with"].iter().zip(&figures) {
        let [worker, others] = [0, 1].map(|at| median(figures.iter().map(|times| times[at]).collect()));
        println!("{name} evidence: worker {worker:.1} ns a packet, other threads {others:.1}");
    }
}
