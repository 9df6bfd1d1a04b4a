//! A plant whose clients raise alerts, and what is asked of those that are delivered.
#![allow(dead_code, unreachable_pub)] // Shared by tests, each a crate of its own, which uses its part.

pub mod authority;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod outage;
pub mod protobuf;
pub mod server;
pub mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use vigia::journal::{Reader, Stream};
use vigia_testbed::Sensor;

use crate::live::{self, Tap, configure, wait, wait_for};
use crate::wire::{Session, Way, read_registers, write_register};

const RULE: &str = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; sid:1;)\n";

/// For what takes as long as there are alerts.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Has everything logged, the libraries' words too.
pub const TRACE: &str = "[log]\nlevel = \"trace\"\n";

/// What was logged, all of it, has no secret in it (`s3cret`).
pub fn assert_secrets_are_kept(sensor: &Sensor) {
    let log = sensor.whole_log();
    assert!(log.contains(" DEBUG "), "not all is logged");
    assert!(!log.contains("s3cret"));
}

/// A configuration with these sinks, and small segments, so that some are sealed meanwhile.
pub fn config(folder: &Path, exports: &str) -> PathBuf {
    configure(folder, RULE, &format!("segment_bytes = 65_536\nsegment_age_s = 2\n{exports}"))
}

/// Clients that write numbers, each once: an alert each.
pub struct Clients {
    sessions: Vec<Session>,
    pub written: u32,
}

impl Clients {
    pub fn new(count: u16) -> Self {
        let session = |client| Session::new(([10, 0, 0, 1], 40_000 + client), ([10, 0, 0, 2], 502));
        Self { sessions: (0..count).map(session).collect(), written: 0 }
    }

    pub fn write(&mut self, tap: &Tap, count: u32) {
        for number in self.written..self.written + count {
            let message = write_register(number as u16, (number >> 16) as u16, number as u16);
            let sessions = self.sessions.len();
            tap.send(&self.sessions[number as usize % sessions].say(Way::ToServer, &message));
        }
        self.written += count;
    }
}

/// A client that reads registers: a record each, and no alert.
pub fn poll(tap: &Tap, count: u16) {
    let mut session = Session::new(([10, 0, 0, 9], 40_000), ([10, 0, 0, 2], 502));
    for transaction in 0..count {
        let [request, response] = read_registers(transaction);
        tap.send(&session.say(Way::ToServer, &request));
        tap.send(&session.say(Way::ToClient, &response));
    }
}

/// A server of the sink `soc` that shows a certificate valid until a year, first one that has expired, then a renewed one. Gives the
/// sensor, which has raised 100 alerts and delivered none, and the server with the renewed one.
pub fn renewal<S>(tap: &Tap, config: &Path, serve: impl Fn(i32) -> S) -> (Sensor, S) {
    let expired = serve(2001);
    let sensor = tap.watch(config);
    Clients::new(2).write(tap, 100);
    let status = wait(&sensor, "the refusal", |status| error(status).to_lowercase().contains("expired"));
    assert_eq!(sink(&status, "soc")["delivered"], 0);
    drop(expired);
    (sensor, serve(2100))
}

/// The number that an alert tells of.
pub fn number(alert: &Value) -> u64 {
    let write = &alert["modbus"]["request"]["write"];
    write["address"].as_u64().unwrap() << 16 | write["data"].as_u64().unwrap()
}

pub fn is_alert(event: &&Value) -> bool {
    event["event_type"] == "alert"
}

/// Alerts by their id; each id stands for one event.
pub fn by_id(events: &[Value]) -> BTreeMap<&str, u64> {
    let mut found = BTreeMap::new();
    for alert in events.iter().filter(is_alert) {
        let id = alert["event_id"].as_str().unwrap();
        assert_eq!(*found.entry(id).or_insert(number(alert)), number(alert), "one id, two events");
    }
    found
}

/// The numbers that every client's alerts first told, in the order of their arrival.
pub fn assert_in_order_by_flow(events: &[Value]) {
    assert_in_order_by("src_port", events);
}

/// The same, by another number than that of the client.
pub fn assert_in_order_by(flow: &str, events: &[Value]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for alert in events.iter().filter(is_alert).filter(|alert| seen.insert(alert["event_id"].as_str().unwrap())) {
        let before = last.insert(alert[flow].as_u64().unwrap(), number(alert));
        assert!(before.is_none_or(|before| before < number(alert)), "{before:?} before {}", number(alert));
    }
}

/// The alerts that the journal holds.
pub fn journal(folder: &Path) -> Vec<Value> {
    journal_of(folder, Stream::Alerts)
}

/// The events that a stream of the journal holds.
pub fn journal_of(folder: &Path, stream: Stream) -> Vec<Value> {
    let mut reader = Reader::open(&folder.join("journal"), stream, Default::default());
    let (mut line, mut events) = (Vec::new(), Vec::new());
    while reader.next(&mut line).unwrap() {
        events.push(serde_json::from_slice(&line).unwrap());
    }
    events
}

/// The events of the sink `soc` that were parked: their numbers, with the answers.
pub fn parked(folder: &Path) -> Vec<(u64, String)> {
    parked_in(&folder.join("journal/delivery/soc.refused.ndjson"))
}

/// Those of one file.
pub fn parked_in(file: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let letters = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    letters.map(|letter| (number(&letter["event"]), letter["answer"].as_str().unwrap().to_owned())).collect()
}

/// What went wrong last at the sink `soc`.
pub fn error(status: &Value) -> &str {
    sink(status, "soc")["error"].as_str().unwrap_or_default()
}

pub fn sink<'s>(status: &'s Value, name: &str) -> &'s Value {
    let found = status["exports"].as_array().unwrap().iter().find(|sink| sink["name"] == name);
    found.unwrap_or_else(|| panic!("no sink {name} in {status:#}"))
}

pub fn waiting(status: &Value, name: &str, stream: &str) -> u64 {
    sink(status, name)["lag"][stream]["events"].as_u64().unwrap()
}

pub fn wait_for_alerts(sensor: &Sensor, written: u64) {
    let alerts = "vigia_journal_events_total{stream=\"alerts\"}";
    wait_for(sensor, PATIENCE, "alerts", |status| live::series(status, alerts) >= written);
}
