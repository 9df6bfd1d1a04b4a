//! An outage of the sink `soc` in which the sensor is killed again and again, and what has to be delivered after it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use vigia::journal::{Reader, Stream};

use super::{Clients, PATIENCE, RULE, sink, wait_for_alerts, waiting};
use crate::live::{Tap, configure, wait, wait_for};

const KILLS: u32 = 5;

/// A configuration with these sinks for so many alerts, and no other events.
pub fn config(folder: &Path, exports: &str) -> PathBuf {
    let more = "segment_bytes = 4_194_304\nsegment_age_s = 5\n[events]\nrecords = false\nflow = false\n";
    configure(folder, RULE, &format!("{more}{exports}"))
}

/// `VIGIA_DELIVERY_ALERTS` is another number than what is promised.
fn alerts_to_raise() -> u32 {
    std::env::var("VIGIA_DELIVERY_ALERTS").ok().and_then(|count| count.parse().ok()).unwrap_or(200_000)
}

/// Numbers by chance (xorshift), the same for a seed: `VIGIA_DELIVERY_SEED` repeats a run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("VIGIA_DELIVERY_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0) >> 32 | 1);
        println!("VIGIA_DELIVERY_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u32) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % u64::from(bound.max(1))
    }
}

/// Says that it is over when it goes.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Raises alerts while the sink is away, and kills the sensor meanwhile; then lets the sink appear, kills the sensor once more
/// while it delivers, and waits until nothing is left. Gives the sink.
pub fn survive<S>(tap: &Tap, config: &Path, appear: impl FnOnce() -> S) -> S {
    let total = alerts_to_raise();
    let folder = config.parent().unwrap();
    let mut random = Random::new();
    let mut clients = Clients::new(7);
    let mut sensor = tap.watch(config);
    for kill in 0..=KILLS {
        let last = kill == KILLS;
        let part = match last {
            true => u64::from(total).saturating_sub(told(folder).len() as u64),
            false => random.below(2 * total / (KILLS + 1)),
        };
        // In the middle of the traffic: the kill comes from another thread.
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Also when it waits in vain.
                let _over = Over(&over);
                wait_for_alerts(&sensor, part);
                if !last {
                    sensor.signal("KILL").unwrap();
                }
            });
            while !over.load(Relaxed) {
                clients.write(tap, 100);
                thread::sleep(Duration::from_millis(5));
            }
        });
        if !last {
            // The lock of the journal goes with the old one.
            drop(sensor);
            sensor = tap.watch(config);
        }
    }
    let status = sensor.status().unwrap();
    assert_eq!((&sink(&status, "soc")["delivered"], &sink(&status, "soc")["circuit"]), (&0.into(), &"open".into()));
    let left = told(folder).len() as u64;
    assert!(left >= total.into(), "{left}");
    wait_for(&sensor, PATIENCE, "the count of what waits", |status| waiting(status, "soc", "alerts") >= left);

    let appeared = appear();
    wait(&sensor, "some deliveries", |status| sink(status, "soc")["delivered"].as_u64() > Some(0));
    sensor.signal("KILL").unwrap();
    drop(sensor);
    let sensor = tap.watch(config);
    clients.write(tap, 50);
    wait_for_alerts(&sensor, 50);
    wait_for(&sensor, PATIENCE, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    appeared
}

/// What tells an alert from others: its id, its client, and its number among those of all.
#[derive(Debug, Deserialize)]
pub struct Told {
    #[serde(default)]
    pub event_id: String,
    src_port: u16,
    modbus: Modbus,
}

#[derive(Debug, Deserialize)]
struct Modbus {
    request: Request,
}

#[derive(Debug, Deserialize)]
struct Request {
    write: Write,
}

#[derive(Debug, Deserialize)]
struct Write {
    address: u64,
    data: u64,
}

impl Told {
    pub fn of(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap()
    }

    fn number(&self) -> u64 {
        let Write { address, data } = self.modbus.request.write;
        address << 16 | data
    }
}

/// The alerts of the journal.
fn told(folder: &Path) -> Vec<u64> {
    let mut reader = Reader::open(&folder.join("journal"), Stream::Alerts, Default::default());
    let mut line = Vec::new();
    std::iter::from_fn(|| reader.next(&mut line).unwrap().then(|| Told::of(&line).number())).collect()
}

/// Every alert of the journal was delivered, each under one id, and those of each client first came in order.
pub fn assert_none_is_missing(folder: &Path, delivered: &[Told]) {
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last: BTreeMap<u16, u64> = BTreeMap::new();
    for told in delivered {
        let number = told.number();
        let known = numbers.insert(&told.event_id, number);
        assert!(known.is_none_or(|known| known == number), "one id, two events: {told:?}");
        if known.is_none() {
            let before = last.insert(told.src_port, number);
            assert!(before.is_none_or(|before| before < number), "{before:?} before {told:?}");
        }
    }
    let expected = told(folder);
    assert_eq!(numbers.len(), expected.len(), "one id an event");
    let got: BTreeSet<u64> = numbers.into_values().collect();
    assert_eq!(got, expected.iter().copied().collect(), "none is missing");
    println!("{} alerts, {} deliveries of them", expected.len(), delivered.len());
}
