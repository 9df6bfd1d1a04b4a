//! The ledger of `vigia run` adds up to the frame, by every way to capture, while frames are ignored, shunted, shed, doubled and
//! lost in full rings, and while the settings change. Needs root.
//!
//! `VIGIA_LEDGER_FRAMES` says how many frames; the default is for every day, 10000000 for a release.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use vigia_testbed::Events;
use wire::{Session, Way, ethernet, ipv4, prp, read_registers, udp};

/// One sensor at a time: each wants the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

fn frames_wanted() -> usize {
    std::env::var("VIGIA_LEDGER_FRAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(60_000)
}

/// Frames of every class: polls of Modbus, GOOSE over both LANs, bulk, names looked up, tagged and tunnelled ones.
fn mix() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..200_u16 {
        let host = (number % 250) as u8 + 1;
        let mut polls = Session::new(([10, 1, 0, host], 40_000 + number), ([10, 1, 1, 1], 502));
        frames.extend(polls.handshake());
        for transaction in 0..3 {
            let [request, response] = read_registers(transaction);
            frames.extend([polls.say(Way::ToServer, &request), polls.say(Way::ToClient, &response)]);
        }
        let mut bulk = Session::new(([10, 2, 0, host], 41_000 + number), ([10, 2, 1, 1], 445));
        bulk.tags = [vec![0x81, 0, 0, 7], Vec::new()];
        frames.extend((0..5).map(|_| bulk.say(Way::ToClient, &[0x5a; 1200])));
        let goose = ethernet(&[], 0x88b8, &[0x61; 90]);
        frames.extend([prp(goose.clone(), number, 0), prp(goose, number, 1)]);
        let query = udp(5353, 5353, &[0; 40]);
        frames.push(ethernet(&[], 0x0800, &ipv4(17, [10, 3, 0, host], [224, 0, 0, 251], number, 0, &query)));
        frames.push(ethernet(&[], 0x0800, &ipv4(17, [10, 9, 0, host], [10, 9, 0, 1], number, 0, &udp(9, 9, &[0; 40]))));
    }
    frames
}

/// The beginnings of connections that are encrypted from then on, and what follows.
fn secrets() -> [Vec<Vec<u8>>; 2] {
    let mut frames = [Vec::new(), Vec::new()];
    let record = [&[23, 3, 3, 0, 200][..], &[0xa5; 200]].concat();
    for number in 0..50_u16 {
        let mut secret = Session::new(([10, 4, 0, number as u8], 42_000 + number), ([10, 4, 1, 1], 443));
        frames[0].extend(secret.handshake());
        for of in [0, 1, 1, 1, 1, 1] {
            frames[of].extend([secret.say(Way::ToServer, &record), secret.say(Way::ToClient, &record)]);
        }
    }
    frames
}

fn configure(folder: &Path, capture: &str, ignored: &str) -> std::path::PathBuf {
    let config = folder.join("vigia.toml");
    let text = format!(
        "metrics.enabled = false\n\
         control.socket = {:?}\n\
         journal.directory = {:?}\n\
         [capture]\n{capture}\nblock_count = 8\nblock_bytes = 65536\n\
         tap = {{ ignore = [\"udp/5353\"], {ignored} }}\n",
        folder.join("control.sock"),
        folder.join("journal"),
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// Everything that a ledger says adds up.
fn assert_balanced(ledger: &Value) {
    let number = |key: &str| ledger[key].as_i64().unwrap_or_else(|| panic!("no {key} in {ledger}"));
    let shed: i64 = ledger["shed"].as_object().unwrap().values().filter_map(Value::as_i64).sum();
    let fates = ["ignored", "duplicate", "shunted", "held", "delivered"].map(number).iter().sum::<i64>() + shed;
    assert_eq!((number("received"), number("tap")), (fates, fates), "{ledger}");
    assert_eq!(number("delivered"), number("read") + number("ring_dropped") + number("in_flight"), "{ledger}");
    assert_eq!((number("in_flight"), number("difference")), (0, 0), "{ledger}");
}

fn the_ledger_adds_up(capture: &str, tap: &str) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(plant) = live::Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), capture, "");
    let before = plant.received();
    let sensor = plant.watch(&config);
    let status = sensor.status().unwrap();
    assert_eq!(status["interfaces"][0]["tap"], tap, "{}", sensor.log());
    let [beginnings, rest] = secrets();
    for frame in &beginnings {
        plant.send(frame);
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    live::wait(&sensor, "shunts", |status| live::series(status, "vigia_flows_shunted") > 40);
    let frames = [mix(), rest].concat();
    let rounds = frames_wanted().div_ceil(frames.len());
    for round in 0..rounds {
        if round % rounds.div_ceil(8) == 0 {
            let ignored =
                ["ignore_vlans = [7]", "ignore_networks = [\"10.9.0.0/16\"]", "ot = { pump = [\"udp/9\"] }", ""];
            configure(folder.path(), capture, ignored[round / rounds.div_ceil(8) % ignored.len()]);
            sensor.signal("HUP").unwrap();
        }
        plant.flood(&frames);
    }
    let settled = live::wait(&sensor, "an empty ring", |status| {
        let ledger = &status["interfaces"][0]["ledger"];
        ledger["in_flight"] == 0 && ledger["received"] == ledger["tap"]
    });
    let ledger = &settled["interfaces"][0]["ledger"];
    assert_balanced(ledger);
    assert_eq!(live::series(&settled, "vigia_ledger_difference_frames{interface=\"tap0\"}"), 0);
    let passed = plant.received() - before;
    let early = passed - ledger["received"].as_u64().unwrap();
    assert!(early < 50, "{early} frames of {passed} came before the tap");
    for fate in ["ignored", "duplicate", "shunted"] {
        assert!(ledger[fate].as_u64() > Some(0), "none {fate}: {ledger}");
    }
    println!("{capture}: {ledger}");

    // Whether a frame comes between the order to hold and the end of the tap, the scheduler decides: one stop of a few has to
    // see some.
    let held = stop_amid(&plant, sensor, &frames[..500], folder.path())
        || (0..STOPS).any(|_| stop_amid(&plant, plant.watch(&config), &frames[..500], folder.path()));
    assert!(held, "frames that come during the stop are held");
}

/// Stops until one of them has to fall amid frames.
const STOPS: usize = 10;

/// Stops the sensor amid frames, and checks that its last ledger adds up; true when frames were held.
fn stop_amid(plant: &live::Tap, sensor: vigia_testbed::Sensor, frames: &[Vec<u8>], folder: &Path) -> bool {
    let flooding = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while flooding.load(Ordering::Relaxed) {
                plant.flood(frames);
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        let stopped = sensor.stop();
        flooding.store(false, Ordering::Relaxed);
        stopped.unwrap();
    });
    let records = Events::follow(&folder.join("journal/records")).fresh().unwrap();
    let last = records.iter().rfind(|event| event["event_type"] == "stats").expect("a sensor reports at its end");
    let last = &last["vigia"]["ledgers"]["tap0"];
    let number = |key: &str| last[key].as_i64().unwrap_or_else(|| panic!("no {key} in {last}"));
    assert_eq!((number("in_flight"), number("difference")), (0, 0), "{last}");
    assert_eq!(number("delivered"), number("read") + number("ring_dropped"), "{last}");
    number("held") > 0
}

const TAP: &str = "interfaces = [{ name = \"tap0\" }]";

#[test]
fn the_ledger_adds_up_by_af_packet() {
    the_ledger_adds_up(&format!("{TAP}\nmode = \"af-packet\""), "xdp-native");
}

#[test]
fn the_ledger_adds_up_by_af_packet_shared_out_by_ebpf() {
    the_ledger_adds_up(&format!("{TAP}\nmode = \"af-packet-ebpf\"\nworkers = 2"), "xdp-native");
}

#[test]
fn the_ledger_adds_up_by_af_packet_shared_out_by_the_kernel() {
    the_ledger_adds_up(&format!("{TAP}\nmode = \"af-packet-hash\"\nworkers = 2"), "xdp-native");
}

#[test]
fn the_ledger_adds_up_by_af_packet_with_the_tap_as_a_filter() {
    let capture = "interfaces = [{ name = \"tap0\", ignore_outgoing = false }]\nmode = \"af-packet\"\nworkers = 2";
    the_ledger_adds_up(capture, "socket-filter");
}

#[test]
fn the_ledger_adds_up_by_af_xdp() {
    the_ledger_adds_up(&format!("{TAP}\nmode = \"af-xdp-copy\"\nworkers = 2"), "xdp-native");
}

/// Both LANs of a redundant network pass the tap; then one falls silent.
#[test]
fn a_lan_that_falls_silent_is_a_health_event() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(plant) = live::Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), &format!("{TAP}\nlan_silence_s = 2"), "");
    let sensor = plant.watch(&config);
    let frame = |sequence: u16, lan| prp(ethernet(&[], 0x88b8, &[0x61; 90]), sequence, lan);
    let health = |sensor: &vigia_testbed::Sensor, events: u64, lans: &[u16]| {
        let sequence = std::cell::Cell::new(0);
        live::wait(sensor, "the health event", |status| {
            sequence.set(sequence.get() + 1);
            lans.iter().for_each(|lan| plant.send(&frame(sequence.get(), *lan)));
            live::series(status, "vigia_events_total{type=\"health\"}") >= events
        });
    };
    health(&sensor, 0, &[0, 1]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    health(&sensor, 1, &[0]);
    health(&sensor, 2, &[0, 1]);
    sensor.stop().unwrap();
    let records = Events::follow(&folder.path().join("journal/records")).fresh().unwrap();
    let events: Vec<_> = records.iter().filter(|event| event["event_type"] == "health").collect();
    let told: Vec<_> = events.iter().map(|event| (&event["health"]["kind"], &event["health"]["lan"])).collect();
    assert_eq!(told, [(&"lan-silent".into(), &"prp-b".into()), (&"lan-heard".into(), &"prp-b".into())], "{events:?}");
}
