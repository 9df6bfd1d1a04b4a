//! What signals do to a running sensor: `kill -9` costs a torn line at most, SIGTERM nothing, SIGHUP never good rules.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use live::{Tap, configure, series, wait};
use serde_json::Value;
use vigia::journal::{Cursor, Reader, Stream};
use wire::{Session, Way, write_register};

const RULE: &str = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; sid:1;)\n";

/// A client that writes numbers, each once.
struct Writer {
    session: Session,
    next: u32,
}

impl Writer {
    fn new() -> Self {
        Self { session: Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502)), next: 0 }
    }

    fn write(&mut self, tap: &Tap) {
        let message = write_register(self.next as u16, (self.next >> 16) as u16, self.next as u16);
        tap.send(&self.session.say(Way::ToServer, &message));
        self.next += 1;
    }
}

/// Events of a stream in the journal, sealed or not.
fn events(journal: &Path, stream: Stream) -> Vec<Value> {
    let mut reader = Reader::open(journal, stream, Cursor::default());
    let (mut line, mut events) = (Vec::new(), Vec::new());
    while reader.next(&mut line).unwrap() {
        events.push(serde_json::from_slice(&line).unwrap());
    }
    events
}

/// The numbers that alerts tell of.
fn numbers(alerts: &[Value]) -> Vec<u64> {
    let write = |alert: &Value| alert["modbus"]["request"]["write"].clone();
    let number = |write: Value| write["address"].as_u64().unwrap() << 16 | write["data"].as_u64().unwrap();
    alerts.iter().map(write).map(number).collect()
}

/// The segment of a stream that was written last.
fn last_segment(journal: &Path, stream: Stream) -> PathBuf {
    let segments = wire::files(&journal.join(stream.name()));
    segments.into_iter().rfind(|path| path.extension().is_some_and(|kind| kind == "ndjson")).unwrap()
}

#[test]
fn kill_9_costs_at_most_a_torn_line_which_is_cut_and_counted() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (config, journal) = (configure(folder.path(), RULE, ""), folder.path().join("journal"));
    let sensor = tap.watch(&config);
    let mut writer = Writer::new();
    let ended = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let (tap, writer, ended) = (&tap, &mut writer, &ended);
        // Until the sensor is dead and a little longer.
        scope.spawn(move || {
            while !ended.load(Relaxed) {
                (0..20).for_each(|_| writer.write(tap));
                thread::sleep(Duration::from_millis(1));
            }
        });
        let alerts = "vigia_journal_events_total{stream=\"alerts\"}";
        let status = wait(&sensor, "alerts", |status| series(status, alerts) > 2000);
        sensor.signal("KILL").unwrap();
        drop(sensor);
        ended.store(true, Relaxed);
        series(&status, alerts)
    });

    let segment = last_segment(&journal, Stream::Alerts);
    let left = fs::read(&segment).unwrap();
    let whole = left.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let lines = left[..whole].split_inclusive(|byte| *byte == b'\n');
    assert!(lines.clone().all(|line| serde_json::from_slice::<Value>(line).is_ok()), "whole lines are whole");
    assert!(lines.count() as u64 >= written, "what was counted as written is there");
    // Whether the kill tore a line is chance; so one is torn for sure.
    fs::File::options().append(true).open(&segment).unwrap().write_all(b"{\"timestamp\":\"2026-").unwrap();

    let sensor = tap.watch(&config);
    let status = sensor.status().unwrap();
    assert_eq!(series(&status, "vigia_journal_torn_lines_total{stream=\"alerts\"}"), 1);
    assert!(series(&status, "vigia_journal_torn_lines_total{stream=\"records\"}") <= 1);
    // It goes on as if nothing had been.
    let next = u64::from(writer.next);
    (0..10).for_each(|_| writer.write(&tap));
    wait(&sensor, "new alerts", |status| series(status, "vigia_journal_events_total{stream=\"alerts\"}") >= 10);
    sensor.stop().unwrap();
    let numbers = numbers(&events(&journal, Stream::Alerts));
    let kept = numbers.len() as u64 - 10;
    assert!(kept >= written);
    assert_eq!(numbers[..kept as usize], (0..kept).collect::<Vec<_>>());
    assert_eq!(numbers[kept as usize..], (next..next + 10).collect::<Vec<_>>());
    assert!(!events(&journal, Stream::Records).is_empty());
    assert!(vigia::journal::verify(&journal, None, &[]).unwrap().holds(), "the chain of the segments");
}

#[test]
fn sigterm_drains_and_ends_with_success() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), RULE, "");
    let sensor = tap.watch(&config);
    let mut writer = Writer::new();
    (0..3000).for_each(|_| writer.write(&tap));
    sensor.await_packets(3000).unwrap();
    sensor.stop().unwrap();
    let journal = folder.path().join("journal");
    assert_eq!(numbers(&events(&journal, Stream::Alerts)), (0..3000).collect::<Vec<_>>());
    let records = events(&journal, Stream::Records);
    let count = |kind: &str| records.iter().filter(|event| event["event_type"] == kind).count();
    assert_eq!((count("flow"), count("modbus")), (1, 3000), "flows end and what is held goes out");
}

#[test]
fn sighup_takes_good_rules_and_keeps_them_from_bad_ones() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), RULE, "");
    let sensor = tap.watch(&config);
    let mut writer = Writer::new();
    let mut sent = 0;
    let mut alerts = |sensor: &_| {
        writer.write(&tap);
        sent += 1;
        let written = |status: &Value| series(status, "vigia_journal_events_total{stream=\"alerts\"}");
        wait(sensor, "an alert", |status| written(status) >= sent)
    };
    assert_eq!(alerts(&sensor)["ruleset"]["generation"], 1);

    fs::write(folder.path().join("test.rules"), "alert modbus any any -> any any (msg:\"bad\"; modbuss: 1; sid:2;)")
        .unwrap();
    sensor.signal("HUP").unwrap();
    let failed = |status: &Value| series(status, "vigia_rule_reloads_total{result=\"failed\"}");
    wait(&sensor, "the failure", |status| failed(status) == 1);
    assert_eq!(alerts(&sensor)["ruleset"]["generation"], 1, "the old rules stay");

    fs::write(folder.path().join("test.rules"), RULE.replace("sid:1", "sid:3")).unwrap();
    sensor.signal("HUP").unwrap();
    let status = wait(&sensor, "the new rules", |status| status["ruleset"]["generation"] == 2);
    assert_eq!(failed(&status), 1);
    // Workers take new rules between batches, so at the latest after the poll timeout of 100 ms.
    thread::sleep(Duration::from_millis(500));
    alerts(&sensor);
    sensor.stop().unwrap();
    let alerts = events(&folder.path().join("journal"), Stream::Alerts);
    let rules: Vec<_> = alerts.iter().map(|alert| alert["alert"]["signature_id"].as_u64().unwrap()).collect();
    assert_eq!(rules, [1, 1, 3]);
}

#[test]
fn a_reload_of_many_rules_drops_no_packet_and_says_beforehand_what_memory_it_takes() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let many: String = (10..5_000)
        .map(|sid| format!("alert tcp any any -> any any (msg:\"m\"; content:\"never {sid} said\"; sid:{sid};)\n"))
        .collect();
    let config = configure(folder.path(), &(RULE.to_owned() + &many), "");
    let sensor = tap.watch(&config);
    let expected = "vigia_rule_reload_memory_bytes";
    assert!(series(&sensor.status().unwrap(), expected) > many.len() as u64, "the new rules stand beside the old ones");
    let mut writer = Writer::new();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let (tap, writer, ended) = (&tap, &mut writer, &ended);
        scope.spawn(move || {
            // For a minute at the most: should the test fail, this ends all the same.
            let start = Instant::now();
            while !ended.load(Relaxed) && start.elapsed() < Duration::from_secs(60) {
                (0..4).for_each(|_| writer.write(tap));
                thread::sleep(Duration::from_millis(1));
            }
        });
        let alerts = "vigia_journal_events_total{stream=\"alerts\"}";
        wait(&sensor, "alerts", |status| series(status, alerts) > 100);
        fs::write(folder.path().join("test.rules"), format!("{RULE}{many}{}", many.replace("sid:", "sid:10"))).unwrap();
        let before = series(&sensor.status().unwrap(), expected);
        sensor.signal("HUP").unwrap();
        let status = wait(&sensor, "the new rules", |status| status["ruleset"]["generation"] == 2);
        assert!(series(&status, expected) > 3 * before / 2, "twice the rules take more");
        let since = series(&status, alerts);
        wait(&sensor, "alerts of the new rules", |status| series(status, alerts) > since + 100);
        ended.store(true, Relaxed);
    });
    let sent = Some(u64::from(writer.next));
    let all = |status: &Value| status["packets"]["seen"].as_u64() >= sent && status["packets"]["in_flight"] == 0;
    let status = wait(&sensor, "every packet", all);
    sensor.stop().unwrap();
    assert_eq!(status["packets"]["seen"], status["packets"]["processed"], "{}", status["packets"]);
    let alerts = events(&folder.path().join("journal"), Stream::Alerts);
    assert_eq!(numbers(&alerts), (0..u64::from(writer.next)).collect::<Vec<_>>(), "each write raised its alert");
    let rulesets: Vec<&Value> = alerts.iter().map(|alert| &alert["vigia"]["ruleset"]).collect();
    let mut generations: Vec<_> = rulesets.iter().map(|ruleset| ruleset["generation"].as_u64()).collect();
    generations.dedup();
    assert_eq!(generations, [Some(1), Some(2)]);
    assert!(rulesets.iter().all(|ruleset| ruleset["hash"].is_string() && ruleset["loaded_at"].is_string()));
    assert_ne!(rulesets[0]["hash"], rulesets[rulesets.len() - 1]["hash"]);
}
