//! A worker that panics costs a packet and the memory of its flows, never an event or the balance of the sums.

mod wire;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use vigia::capture::{Each, Interface, Progress, Source, SourceError};
use vigia::config::Config;
use vigia::event::{Output, Ruleset};
use vigia::inspection::Names;
use vigia::journal::Journal;
use vigia::metrics::Metrics;
use vigia::pipeline::{Parts, Rules, Share, Worker};
use vigia::tagging::Tags;
use vigia_parsers::ot::modbus;
use vigia_parsers::packet::{Captured, LinkType};
use vigia_parsers::{Direction, Dissector, Envelope, Frame, Probe, Protocol, Sink, Timestamp};
use vigia_rules::{Engine, Variables};
use wire::{Session, Way, write_register};

/// A protocol with a fault: every message is `!`, its kind, and a number; its dissector fails on some.
static FRAGILE: Protocol = Protocol {
    name: "fragile",
    title: "",
    tcp_ports: &[7],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: 3,
    fields: &[],
    anomalies: &[],
    probe: |bytes, _| if bytes.first() == Some(&b'!') { Probe::Certain } else { Probe::No },
    frame: |bytes, _| match bytes {
        [b'!', _, _, ..] => Frame::Whole(3),
        [b'!', ..] | [] => Frame::Need(3),
        _ => Frame::Not,
    },
    open: |_| Box::new(Fragile { at_the_end: false }),
};

static PROTOCOLS: &[&Protocol] = &[&FRAGILE, &modbus::PROTOCOL];

struct Fragile {
    at_the_end: bool,
}

impl Dissector for Fragile {
    fn parse(&mut self, _: &Envelope, message: &[u8], _: &mut dyn Sink) {
        match message {
            [_, b'n', _] => panic!("now"),
            [_, b'e', _] => self.at_the_end = true,
            _ => {}
        }
    }

    fn gap(&mut self, _: Direction) {}

    fn expire(&mut self, _: Timestamp, _: &mut dyn Sink) {
        assert!(!self.at_the_end, "at the end");
    }
}

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
    metrics: Arc<Metrics>,
    number: u64,
    now_s: u64,
}

impl Bench {
    fn new(eve: &Path) -> Self {
        let rules = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; sid:1;)\n\
                     alert tcp any any -> any 9 (msg:\"stream\"; content:\"attack\"; sid:2;)\n";
        let source = vigia_rules::Source { name: "test.rules".into(), text: rules.into() };
        let engine = Arc::new(Engine::compile(&[source], &Variables::default()).engine);
        let rules = Rules { engine: Arc::clone(&engine), ruleset: Ruleset::default() };
        let (config, metrics) = (Config::default(), Metrics::new());
        let journal = Journal::single_file(eve, 1, &metrics).unwrap();
        let output = Output::new(&config.events, metrics.worker(0, "capture"), journal.submitter(0), engine);
        let worker = Worker::new(Parts {
            share: Share::ALL,
            flow: config.flow.clone(),
            decode: config.decode.limits(),
            dissection: Default::default(),
            verify_checksums: false,
            protocols: PROTOCOLS,
            rules,
            names: Names { interfaces: vec!["capture".to_owned()], capture: String::new() },
            counters: vec![],
            output,
            tags: Tags::new(metrics.shared()),
            histogram: false,
            shunting: None,
        });
        Self { worker, journal, metrics, number: 0, now_s: wire::START_S }
    }

    fn frame(&mut self, frame: &[u8]) {
        self.number += 1;
        let captured = Captured {
            number: self.number,
            timestamp: Timestamp(self.now_s * 1_000_000_000 + self.number * 1_000_000),
            link: LinkType::Ethernet,
            frame,
            wire_length: frame.len() as u32,
            stripped_vlan: None,
        };
        self.worker.frame(&captured, 0);
    }

    fn write(&mut self, session: &mut Session, number: u16) {
        self.frame(&session.say(Way::ToServer, &write_register(number, 1, number)));
    }

    /// Ends the worker and gives what is in the end: the metrics and the events.
    fn finish(mut self, eve: &Path) -> (Value, Vec<Value>) {
        self.worker.finish(&mut Nothing);
        drop(self.worker);
        self.journal.close().unwrap();
        let events = fs::read_to_string(eve).unwrap();
        let events = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (serde_json::to_value(self.metrics.snapshot()).unwrap(), events)
    }
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["event_type"] == kind).count()
}

#[test]
fn a_packet_that_makes_a_worker_panic_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let eve = folder.path().join("eve.json");
    let mut bench = Bench::new(&eve);
    let mut plc = Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502));
    let mut fragile = Session::new(([10, 0, 0, 3], 40001), ([10, 0, 0, 4], 7));
    plc.handshake().iter().chain(&fragile.handshake()).for_each(|frame| bench.frame(frame));
    bench.write(&mut plc, 1);
    bench.frame(&fragile.say(Way::ToServer, b"!n1"));
    bench.write(&mut plc, 2);
    bench.frame(&fragile.say(Way::ToServer, b"!ok"));
    bench.frame(&fragile.say(Way::ToServer, b"!n2"));
    bench.write(&mut plc, 3);
    let packets = bench.number;
    let (snapshot, events) = bench.finish(&eve);

    assert!(vigia::command::summary::balances(&snapshot, true), "{snapshot:#}");
    assert_eq!(snapshot["packets"]["seen"], packets);
    assert_eq!(snapshot["packets"]["processed"], packets - 2);
    assert_eq!(snapshot["packets"]["dropped"]["worker_panic"], 2);
    assert_eq!(snapshot["series"]["vigia_worker_restarts_total"], 2);
    // The alert before the panic is there, and so are those of the session that was picked up again after it.
    assert_eq!(count(&events, "alert"), 3, "{events:#?}");
}

#[test]
fn a_flow_that_makes_a_worker_panic_when_it_ends_costs_no_packet() {
    let folder = tempfile::tempdir().unwrap();
    let eve = folder.path().join("eve.json");
    let mut bench = Bench::new(&eve);
    let mut plc = Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502));
    let mut fragile = Session::new(([10, 0, 0, 3], 40001), ([10, 0, 0, 4], 7));
    plc.handshake().iter().chain(&fragile.handshake()).for_each(|frame| bench.frame(frame));
    bench.write(&mut plc, 1);
    bench.frame(&fragile.say(Way::ToServer, b"!e1"));
    // It times out: the timers fail.
    bench.now_s += 4000;
    bench.write(&mut plc, 2);
    bench.worker.settle(&mut Nothing, false);
    bench.write(&mut plc, 3);
    // Another is open at the end: the end fails.
    let mut fragile = Session::new(([10, 0, 0, 3], 40002), ([10, 0, 0, 4], 7));
    fragile.handshake().iter().for_each(|frame| bench.frame(frame));
    bench.frame(&fragile.say(Way::ToServer, b"!e2"));
    let packets = bench.number;
    let (snapshot, events) = bench.finish(&eve);

    assert!(vigia::command::summary::balances(&snapshot, true), "{snapshot:#}");
    assert_eq!(snapshot["packets"]["processed"], packets);
    assert_eq!(snapshot["series"]["vigia_worker_restarts_total"], 2);
    assert_eq!(count(&events, "alert"), 3, "{events:#?}");
}

#[test]
fn alerts_that_wait_for_an_acknowledgement_are_not_lost_when_a_worker_panics() {
    let folder = tempfile::tempdir().unwrap();
    let eve = folder.path().join("eve.json");
    let mut bench = Bench::new(&eve);
    let mut other = Session::new(([10, 0, 0, 5], 40000), ([10, 0, 0, 6], 9));
    let mut fragile = Session::new(([10, 0, 0, 3], 40001), ([10, 0, 0, 4], 7));
    other.handshake().iter().chain(&fragile.handshake()).for_each(|frame| bench.frame(frame));
    bench.frame(&other.say(Way::ToServer, b"an attack"));
    bench.frame(&fragile.say(Way::ToServer, b"!n1"));
    let (snapshot, events) = bench.finish(&eve);

    assert_eq!(snapshot["series"]["vigia_worker_restarts_total"], 1);
    assert_eq!(count(&events, "alert"), 1, "{events:#?}");
}
