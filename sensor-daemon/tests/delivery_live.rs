//! Delivery through the binary: what a sink gets while it is away, while it is there, and while the sensor is killed.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use live::{Tap, configure, wait};
use serde_json::Value;
use vigia_testbed::Sensor;
use wire::{Session, Way, read_registers, write_register};

const RULE: &str = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; sid:1;)\n";

/// A configuration with these sinks, and small segments, so that some are sealed meanwhile.
fn config(folder: &Path, exports: &str) -> PathBuf {
    configure(folder, RULE, &format!("segment_bytes = 65_536\nsegment_age_s = 2\n{exports}"))
}

/// Clients that write numbers, each once: an alert each.
struct Clients {
    sessions: Vec<Session>,
    written: u32,
}

impl Clients {
    fn new(count: u16) -> Self {
        let session = |client| Session::new(([10, 0, 0, 1], 40_000 + client), ([10, 0, 0, 2], 502));
        Self { sessions: (0..count).map(session).collect(), written: 0 }
    }

    fn write(&mut self, tap: &Tap, count: u32) {
        for number in self.written..self.written + count {
            let message = write_register(number as u16, (number >> 16) as u16, number as u16);
            let sessions = self.sessions.len();
            tap.send(&self.sessions[number as usize % sessions].say(Way::ToServer, &message));
        }
        self.written += count;
    }
}

/// A client that reads registers: a record each, and no alert.
fn poll(tap: &Tap, count: u16) {
    let mut session = Session::new(([10, 0, 0, 9], 40_000), ([10, 0, 0, 2], 502));
    for transaction in 0..count {
        let [request, response] = read_registers(transaction);
        tap.send(&session.say(Way::ToServer, &request));
        tap.send(&session.say(Way::ToClient, &response));
    }
}

/// The number that an alert tells of.
fn number(alert: &Value) -> u64 {
    let write = &alert["modbus"]["request"]["write"];
    write["address"].as_u64().unwrap() << 16 | write["data"].as_u64().unwrap()
}

fn is_alert(event: &&Value) -> bool {
    event["event_type"] == "alert"
}

/// Alerts by their id; each id stands for one event.
fn by_id(events: &[Value]) -> BTreeMap<&str, u64> {
    let mut found = BTreeMap::new();
    for alert in events.iter().filter(is_alert) {
        let id = alert["event_id"].as_str().unwrap();
        assert_eq!(*found.entry(id).or_insert(number(alert)), number(alert), "one id, two events");
    }
    found
}

/// The numbers that every flow's alerts first told, in the order of their arrival.
fn assert_in_order_by_flow(events: &[Value]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for alert in events.iter().filter(is_alert).filter(|alert| seen.insert(alert["event_id"].as_str().unwrap())) {
        let before = last.insert(alert["src_port"].as_u64().unwrap(), number(alert));
        assert!(before.is_none_or(|before| before < number(alert)), "{before:?} before {}", number(alert));
    }
}

fn sink<'s>(status: &'s Value, name: &str) -> &'s Value {
    let found = status["exports"].as_array().unwrap().iter().find(|sink| sink["name"] == name);
    found.unwrap_or_else(|| panic!("no sink {name} in {status:#}"))
}

fn waiting(status: &Value, name: &str, stream: &str) -> u64 {
    sink(status, name)["lag"][stream]["events"].as_u64().unwrap()
}

fn wait_for_alerts(sensor: &Sensor, written: u64) {
    let alerts = "vigia_journal_events_total{stream=\"alerts\"}";
    wait(sensor, "alerts", |status| live::series(status, alerts) >= written);
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_file_gets_every_event_once_over_a_restart_and_a_rotation() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (eve, moved) = (folder.path().join("eve.json"), folder.path().join("eve.json.1"));
    let export = format!("[[export]]\nname = \"eve\"\nfile = {{ path = {eve:?} }}\n");
    let config = config(folder.path(), &export);
    let mut clients = Clients::new(3);
    let sensor = tap.watch(&config);
    clients.write(&tap, 500);
    wait(&sensor, "the first alerts", |status| sink(status, "eve")["delivered"].as_u64() >= Some(500));
    fs::rename(&eve, &moved).unwrap();
    clients.write(&tap, 500);
    wait_for_alerts(&sensor, 1000);
    sensor.stop().unwrap();
    let sensor = tap.watch(&config);
    clients.write(&tap, 500);
    wait_for_alerts(&sensor, 500);
    sensor.stop().unwrap();
    let mut events = lines(&moved);
    assert!(!events.is_empty());
    events.extend(lines(&eve));
    let alerts: Vec<_> = events.iter().filter(is_alert).collect();
    assert_eq!(alerts.iter().map(|alert| number(alert)).collect::<Vec<_>>(), (0..1500).collect::<Vec<_>>());
    assert_eq!(by_id(&events).len(), 1500);
    let journal = folder.path().join("journal");
    let count = |stream| {
        let mut reader = vigia::journal::Reader::open(&journal, stream, Default::default());
        let mut line = Vec::new();
        std::iter::from_fn(|| reader.next(&mut line).unwrap().then_some(())).count()
    };
    let whole: usize = vigia::journal::Stream::ALL.into_iter().map(count).sum();
    assert_eq!(events.len(), whole, "what the journal has, the file has, the last record at the stop included");
}

#[test]
fn a_socket_that_is_away_gets_alerts_first_when_it_comes_back() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("soc.sock");
    let export = format!("[[export]]\nname = \"soc\"\nretry_max_s = 1\nunix = {{ path = {socket:?} }}\n");
    let config = config(folder.path(), &export);
    let sensor = tap.watch(&config);
    poll(&tap, 100);
    wait(&sensor, "the failure", |status| sink(status, "soc")["circuit"] == "open");
    Clients::new(3).write(&tap, 300);
    poll(&tap, 100);
    let all = |status: &Value| waiting(status, "soc", "alerts") == 300 && waiting(status, "soc", "records") >= 200;
    let status = wait(&sensor, "the lag", all);
    assert!(sink(&status, "soc")["error"].is_string());
    wait(&sensor, "seconds of lag", |status| sink(status, "soc")["lag"]["alerts"]["seconds"].as_u64() > Some(0));
    assert_eq!(live::series(&status, "vigia_export_circuit{sink=\"soc\",state=\"open\"}"), 1);

    let listener = UnixListener::bind(&socket).unwrap();
    let receiver = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let lines = BufReader::new(stream).lines();
        lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()).collect::<Vec<_>>()
    });
    let caught_up = |status: &Value| waiting(status, "soc", "alerts") + waiting(status, "soc", "records") == 0;
    wait(&sensor, "the end of the lag", caught_up);
    sensor.stop().unwrap();
    let events = receiver.join().unwrap();
    assert_eq!(by_id(&events).len(), 300);
    assert_in_order_by_flow(&events);
    // A few records were in hand before the first alert. After them all alerts go first.
    let place = |wanted: &dyn Fn(&Value) -> bool| events.iter().position(wanted).unwrap();
    let first_alert = place(&|event| event["event_type"] == "alert");
    assert!(first_alert <= 100, "the records that were in hand");
    assert!(events[first_alert..first_alert + 300].iter().all(|event| is_alert(&event)), "alerts go first");
    assert!(events.len() >= 500);
}

#[test]
fn datagrams_get_alerts_alone_when_only_these_are_wanted() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("soc.sock");
    let receiver = UnixDatagram::bind(&socket).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let export = format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nkeep = [\"alert.signature_id\", \"modbus.request.write\"]\n\
         unix = {{ path = {socket:?}, mode = \"datagram\" }}\n"
    );
    let config = config(folder.path(), &export);
    let sensor = tap.watch(&config);
    Clients::new(1).write(&tap, 100);
    let mut datagram = [0; 4096];
    for expected in 0..100 {
        let length = receiver.recv(&mut datagram).unwrap();
        let event: Value = serde_json::from_slice(&datagram[..length]).unwrap();
        assert_eq!((number(&event), &event["alert"]), (expected, &serde_json::json!({ "signature_id": 1 })));
        let members: Vec<_> = event.as_object().unwrap().keys().collect();
        assert_eq!(members, ["event_id", "timestamp", "event_type", "alert", "modbus"]);
    }
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert!(sink(&status, "soc")["lag"]["records"].is_null(), "records are not even read");
    sensor.stop().unwrap();
}
