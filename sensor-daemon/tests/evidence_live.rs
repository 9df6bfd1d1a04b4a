//! Evidence of a live sensor: written, signed and found; and what a kill or a full disk leaves of it. Needs root.

#![cfg(target_os = "linux")]

#[path = "wire/disk.rs"]
mod disk;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use disk::Disk;
use live::{Tap, configure, series, wait};
use serde_json::Value;
use vigia::capture::file::FileSource;
use vigia::capture::{FileSettings, Progress, Source as _};
use vigia::journal::verify;
use wire::{Session, Way, read_registers, vigia, write_register};

const RULE: &str = "alert modbus any any -> any 502 (msg:\"write\"; modbus: function 6; sid:1;)\n";
const SETTINGS: &str = "[evidence]\nafter_s = 1\n";
const FILES: &str = "vigia_evidence_files_total";
const LOST: &str = "vigia_evidence_lost_total{cause=\"disk\"}";

/// The frames of a session that polls, and writes in the end.
fn session(port: u16) -> Vec<Vec<u8>> {
    let mut session = Session::new(([10, 0, 0, 1], port), ([10, 0, 0, 2], 502));
    // What a network card takes off is to be in the file.
    session.tags = [vec![0x81, 0, 0x60, 7], vec![0x81, 0, 0x60, 7]];
    let mut frames = session.handshake().to_vec();
    for n in 0..20 {
        let [request, answer] = read_registers(n);
        frames.extend([session.say(Way::ToServer, &request), session.say(Way::ToClient, &answer)]);
    }
    frames.push(session.say(Way::ToServer, &write_register(20, 1, 1)));
    frames.push(session.say(Way::ToClient, &write_register(20, 1, 1)));
    frames
}

fn files(journal: &Path) -> Vec<PathBuf> {
    vigia::evidence::list(&journal.join("evidence")).unwrap().into_iter().map(|(_, path)| path).collect()
}

fn frames(path: &Path) -> Vec<Vec<u8>> {
    let mut source = FileSource::open(path, &FileSettings::default()).unwrap();
    let mut frames = Vec::new();
    while source.batch(&mut |captured, _| frames.push(captured.frame.to_vec())).unwrap() != Progress::End {}
    frames
}

fn ask(config: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let done = vigia().args(arguments).arg("--config").arg(config).output().unwrap();
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

#[test]
fn an_alert_has_its_packets_in_a_file_that_is_signed_and_found_by_its_id() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), RULE, SETTINGS);
    let sensor = tap.watch(&config);
    let (one, other) = (session(40_000), session(40_001));
    // Two flows whose packets come by turns; both write.
    one.iter().zip(&other).for_each(|(one, other)| [one, other].iter().for_each(|frame| tap.send(frame)));
    let status = wait(&sensor, "two files", |status| series(status, FILES) == 2);
    assert_eq!(series(&status, "vigia_evidence_alerts_total"), 2);
    assert_eq!(series(&status, "vigia_evidence_packets_total"), 90);
    assert_eq!(series(&status, "vigia_evidence_open"), 0);
    sensor.stop().unwrap();

    let journal = folder.path().join("journal");
    let mut found: Vec<_> = files(&journal).iter().map(|path| frames(path)).collect();
    found.sort();
    assert_eq!(found, [one, other]);
    let (code, alerts) = ask(&config, &["alerts", "--json"]);
    assert_eq!(code, Some(0));
    let alerts: Vec<Value> = alerts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(alerts.len(), 2);
    for alert in &alerts {
        let (code, shown) = ask(&config, &["evidence", alert["event_id"].as_str().unwrap()]);
        let path = PathBuf::from(shown.lines().next().unwrap());
        assert_eq!(code, Some(0));
        assert!(shown.contains("as it was written and signed"), "{shown}");
        assert!(path.to_str().unwrap().ends_with(&format!("-{}.pcapng", alert["flow_id"])));
        let told = vigia::evidence::read(fs::File::open(path).unwrap()).unwrap();
        let mut comment: Value = serde_json::from_str(&told.of_packets[0]).unwrap();
        comment["event_id"] = alert["event_id"].clone();
        assert_eq!(&comment, alert);
    }
    assert!(verify(&journal, None, &[]).unwrap().holds());
    let no_alert = alerts[0]["event_id"].as_str().unwrap().to_owned() + "9";
    assert_eq!(ask(&config, &["evidence", &no_alert]).0, Some(1));

    let file = &files(&journal)[0];
    let mut bytes = fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
    let flow = file.to_str().unwrap().trim_end_matches(".pcapng").rsplit('-').next().unwrap();
    assert_eq!(ask(&config, &["evidence", flow]).0, Some(2), "it was changed");
    assert!(!verify(&journal, None, &[]).unwrap().holds());
}

#[test]
fn evidence_outlives_its_alert_in_the_journal_and_is_found_by_the_flow() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bounds = "compress = false\nsegment_bytes = 65_536\ntotal_bytes = 262_144\nreserve_bytes = 0\n";
    let config =
        configure(folder.path(), RULE, &format!("{bounds}[events]\nrecords = false\nflow = false\n{SETTINGS}"));
    let sensor = tap.watch(&config);
    let sent = session(40_000);
    sent.iter().for_each(|frame| tap.send(frame));
    wait(&sensor, "the file", |status| series(status, FILES) == 1);
    let first: Value = serde_json::from_str(ask(&config, &["alerts", "--json"]).1.lines().next().unwrap()).unwrap();
    let (id, flow) = (first["event_id"].as_str().unwrap(), first["flow_id"].to_string());
    assert_eq!(ask(&config, &["evidence", id]).0, Some(0));

    // A flood of alerts takes the journal to its bound: the oldest go.
    let mut flood = Session::new(([10, 0, 0, 3], 40_000), ([10, 0, 0, 2], 502));
    let removed = "vigia_journal_evicted_segments_total{stream=\"alerts\"}";
    let mut transaction = 0;
    while series(&sensor.status().unwrap(), removed) == 0 {
        assert!(transaction < 20_000, "nothing was removed");
        for _ in 0..200 {
            transaction += 1;
            tap.send(&flood.say(Way::ToServer, &write_register(transaction, 1, transaction)));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    sensor.stop().unwrap();
    assert_eq!(ask(&config, &["evidence", id]).0, Some(1), "the alert is there no more");
    let (code, shown) = ask(&config, &["evidence", &flow]);
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(frames(Path::new(shown.lines().next().unwrap())), sent);
    assert!(verify(&folder.path().join("journal"), None, &[]).unwrap().holds());
}

#[test]
fn a_kill_leaves_no_half_file_and_a_stop_writes_what_is_open() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), RULE, "[evidence]\nafter_s = 600\n");
    let journal = folder.path().join("journal");
    let mut sensor = tap.watch(&config);
    session(40_000).iter().for_each(|frame| tap.send(frame));
    wait(&sensor, "open evidence", |status| series(status, "vigia_evidence_open") == 1);
    sensor.signal("KILL").unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while sensor.ended().unwrap().is_none() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(sensor);
    assert_eq!(fs::read_dir(journal.join("evidence")).unwrap().count(), 0, "what was open is in memory only");

    let sensor = tap.watch(&config);
    let sent = session(40_001);
    sent.iter().for_each(|frame| tap.send(frame));
    sensor.await_packets(sent.len() as u64).unwrap();
    sensor.stop().unwrap();
    assert_eq!(files(&journal).iter().map(|path| frames(path)).collect::<Vec<_>>(), [sent]);
    let proof = verify(&journal, None, &[]).unwrap();
    assert!(proof.holds(), "{:?}", proof.faults().collect::<Vec<_>>());
    assert_eq!(proof.evidence.segments, 1);
}

#[test]
fn on_a_full_disk_evidence_is_lost_and_counted_until_there_is_room() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let Some(disk) = Disk::mount(&journal) else { return };
    let sizes = "total_bytes = 67108864\nsegment_bytes = 4194304\nreserve_bytes = 2097152\n";
    let config = configure(folder.path(), RULE, &format!("{sizes}{SETTINGS}"));
    let sensor = tap.watch(&config);
    let send = |port| session(port).iter().for_each(|frame| tap.send(frame));
    send(40_000);
    wait(&sensor, "a file", |status| series(status, FILES) == 1);
    disk.fill();
    send(40_001);
    let status = wait(&sensor, "the loss", |status| series(status, LOST) == 1);
    assert_eq!(series(&status, FILES), 1);
    assert_eq!(series(&status, "vigia_journal_lost_events_total{stream=\"alerts\",cause=\"disk\"}"), 0);
    disk.free();
    send(40_002);
    let status = wait(&sensor, "another file", |status| series(status, FILES) == 2);
    assert_eq!((series(&status, LOST), status["packets"]["processed"].as_u64()), (1, Some(135)));
    sensor.stop().unwrap();
    assert_eq!(files(&journal).len(), 2);
    assert!(verify(&journal, None, &[]).unwrap().holds());
}
