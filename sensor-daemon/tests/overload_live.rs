//! Overload: more comes than the workers can take, and what is lost is IT bulk, in the kernel, counted; not one frame of OT.
//! Needs root.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vigia::capture::{Demand, InterfaceSettings, Progress, Settings, Source, open_live};
use vigia::config::Config;
use vigia::event::{Output, Ruleset};
use vigia::inspection::Names;
use vigia::journal::Journal;
use vigia::metrics::Metrics;
use vigia::pipeline::{Parts, Rules, Share, Worker};
use vigia::tagging::Tags;
use vigia_parsers::registry::PROTOCOLS;
use vigia_rules::{Engine, Variables};
use wire::{Session, Way, dnp3, ethernet, prp, read_registers};

/// What a frame costs a worker of this test beside its work.
const SLOWED_BY: Duration = Duration::from_micros(50);

/// Polls of each OT protocol, and frames of IT bulk for each of them.
const POLLS: u16 = 1500;
const BULK: usize = 60;

/// One at a time: each wants the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

/// The frames of a plant: polls of Modbus and DNP3 with their answers, GOOSE, and file transfers between them.
fn traffic() -> Vec<Vec<u8>> {
    let mut modbus = Session::new(([10, 1, 0, 1], 40_001), ([10, 1, 1, 1], 502));
    let mut points = Session::new(([10, 1, 0, 2], 40_002), ([10, 1, 1, 2], 20_000));
    let mut bulk = Session::new(([10, 2, 0, 1], 40_003), ([10, 2, 1, 1], 445));
    let mut frames = [modbus.handshake(), points.handshake(), bulk.handshake()].concat();
    for number in 0..POLLS {
        let [request, answer] = read_registers(number);
        let sequence = 0xc0 | (number & 15) as u8;
        frames.push(modbus.say(Way::ToServer, &request));
        frames.push(points.say(Way::ToServer, &dnp3(0xc4, 10, 1, &[0xc0, sequence, 1, 60, 1, 6])));
        frames.push(prp(ethernet(&[], 0x88b8, &[0x61; 90]), number, 0));
        frames.extend((0..BULK).map(|_| bulk.say(Way::ToClient, &[0x5a; 1400])));
        frames.push(modbus.say(Way::ToClient, &answer));
        frames.push(points.say(Way::ToClient, &dnp3(0x44, 1, 10, &[0xc0, sequence, 129, 0, 0])));
    }
    frames
}

fn worker(metrics: &Arc<Metrics>, journal: &Journal, index: usize) -> Worker {
    let config = Config::default();
    let engine = Arc::new(Engine::compile(&[], &Variables::default()).engine);
    let rules = Rules { engine: Arc::clone(&engine), ruleset: Ruleset::default() };
    let output = Output::new(&config.events, metrics.worker(index, "tap0"), journal.submitter(index), engine);
    Worker::new(Parts {
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
    })
}

/// A worker's loop, slowed.
fn work(worker: &mut Worker, source: &mut dyn Source, stop: &AtomicBool) {
    loop {
        if stop.load(Ordering::Relaxed) {
            source.close();
        }
        let mut frame = |captured: &vigia_parsers::packet::Captured<'_>, interface| {
            let end = Instant::now() + SLOWED_BY;
            worker.frame(captured, interface);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        };
        match source.batch(&mut frame).unwrap() {
            Progress::Frames(_) => worker.settle(source, false),
            Progress::Idle => worker.settle(source, true),
            Progress::End => return worker.finish(source),
        }
    }
}

fn ot_comes_through(mode: Demand, workers: u16) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(plant) = live::Tap::new() else { return };
    let frames = traffic();
    let (metrics, folder) = (Metrics::new(), tempfile::tempdir().unwrap());
    let journal = Journal::single_file(&folder.path().join("eve.json"), workers.into(), &metrics).unwrap();
    let interfaces = vec![InterfaceSettings { name: "tap0".into(), ..Default::default() }];
    // The rings bridge what the machine itself does meanwhile.
    let settings = Settings { interfaces, mode, workers, block_count: 512, ..Settings::default() };
    let live = plant.inside(|| open_live(&settings, &Default::default())).unwrap();
    let (watch, stop) = (live.watch, AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (index, mut source) in live.sources.into_iter().enumerate() {
            let (metrics, journal, stop) = (&metrics, &journal, &stop);
            scope.spawn(move || work(&mut worker(metrics, journal, index), &mut *source, stop));
        }
        let send = scope.spawn(|| plant.flood(&frames));
        send.join().unwrap();
        // What waits is processed.
        std::thread::sleep(Duration::from_millis(300));
        plant.inside(|| watch.hold());
        stop.store(true, Ordering::Relaxed);
    });
    let (status, ledger) = plant.inside(|| {
        let observation = watch.observe(&metrics).remove(0);
        (observation.tap.unwrap(), observation.ledger.unwrap())
    });
    journal.close().unwrap();
    assert!(ledger.balances() && ledger.in_flight == 0, "{ledger:?}");
    assert!(ledger.shed.contains_key("bulk"), "{ledger:?}");
    assert!(["modbus", "dnp3", "goose", "prp"].iter().all(|ot| !ledger.shed.contains_key(*ot)), "{ledger:?}");
    assert_eq!(ledger.ring_dropped, 0, "{ledger:?}");
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.packets.processed, ledger.delivered);
    let class =
        |name: &str| status.classes.iter().find(|(class, _)| class == name).map_or(0, |(_, [frames, _])| *frames);
    assert_eq!(class("goose"), u64::from(POLLS));
    for (protocol, handshake) in [("modbus", 3), ("dnp3", 3)] {
        assert_eq!(class(protocol), 2 * u64::from(POLLS) + handshake, "{protocol} at the tap");
        let messages = snapshot.get(&format!("vigia_messages_total{{protocol=\"{protocol}\"}}"));
        assert_eq!(messages, 2 * u64::from(POLLS), "{protocol} processed");
    }
    println!("{mode:?}: {ledger:?}");
}

#[test]
fn ot_comes_through_while_bulk_is_shed_by_af_packet() {
    ot_comes_through(Demand::AfPacket, 1);
}

#[test]
fn ot_comes_through_while_bulk_is_shed_by_af_xdp() {
    ot_comes_through(Demand::AfXdpCopy, 1);
}
