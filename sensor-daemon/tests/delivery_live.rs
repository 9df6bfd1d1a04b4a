//! Delivery through the binary to sinks on this machine: what they get while they are away, while they are there, and over
//! restarts.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/disk.rs"]
mod disk;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

use delivery::{
    Clients, assert_in_order_by_flow, by_id, config, is_alert, journal, number, poll, sink, wait_for_alerts, waiting,
};
use disk::Disk;
use live::{Tap, wait};
use serde_json::Value;

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

#[test]
fn each_sink_gets_what_it_wants_by_type_severity_and_protocol() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sinks = [
        ("severe", "events = [\"alert\"]\nseverity = 1"),
        ("modbus", "protocols = [\"modbus\"]"),
        ("dnp3", "protocols = [\"dnp3\"]"),
        ("flows", "events = [\"flow\"]\nkeep = [\"src_ip\"]"),
    ];
    let export = |(name, wanted): (&str, &str)| {
        format!("[[export]]\nname = {name:?}\n{wanted}\nfile = {{ path = {:?} }}\n", folder.path().join(name))
    };
    let rules = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; priority:1; sid:1;)\n\
                 alert modbus any any -> any any (msg:\"read\"; modbus: function 3; priority:2; sid:2;)\n";
    let config = live::configure(folder.path(), rules, &sinks.map(export).concat());
    let sensor = tap.watch(&config);
    Clients::new(1).write(&tap, 30);
    poll(&tap, 20);
    let filtered = "vigia_export_events_total{sink=\"dnp3\",outcome=\"filtered\"}";
    wait(&sensor, "what is of no use to one", |status| live::series(status, filtered) >= 70);
    sensor.stop().unwrap();

    let got = |name: &str| lines(&folder.path().join(name));
    let count = |events: &[Value], kind: &str| events.iter().filter(|event| event["event_type"] == kind).count();
    let severe = got("severe");
    assert_eq!(severe.iter().map(number).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    assert!(severe.iter().all(|alert| alert["alert"]["severity"] == 1 && alert["alert"]["signature_id"] == 1));
    let modbus = got("modbus");
    assert_eq!((count(&modbus, "alert"), count(&modbus, "flow"), count(&modbus, "stats")), (50, 2, 0));
    assert!(count(&modbus, "modbus") >= 20);
    assert_eq!(got("dnp3"), [Value::Null; 0]);
    let flows = got("flows");
    let members = |flow: &Value| flow.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| members(flow) == ["event_id", "timestamp", "event_type", "src_ip"]), "{flows:?}");
}

#[test]
fn sinks_that_accept_and_never_answer_keep_what_is_theirs_and_delay_no_other() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let listener = tap.inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().map(Result::unwrap).collect::<Vec<_>>());
    let stalling = [
        ("http", format!("url = \"http://127.0.0.1:{port}\"")),
        ("nats", format!("url = \"nats://127.0.0.1:{port}\"")),
        ("mqtt", format!("address = \"127.0.0.1:{port}\"")),
        ("redis", format!("address = \"127.0.0.1:{port}\"")),
    ];
    let shared = "events = [\"alert\"]\ntimeout_s = 1\nretry_max_s = 1\n";
    let exports: String = stalling
        .iter()
        .map(|(kind, at)| format!("[[export]]\nname = {kind:?}\n{shared}{kind} = {{ {at} }}\n"))
        .collect();
    let eve = folder.path().join("eve.json");
    let exports = format!("{exports}[[export]]\nname = \"eve\"\n{shared}file = {{ path = {eve:?} }}\n");
    let config = config(folder.path(), &exports);
    let sensor = tap.watch(&config);
    let mut clients = Clients::new(2);
    clients.write(&tap, 200);
    wait(&sensor, "the first alerts", |status| sink(status, "eve")["delivered"] == 200);
    for (kind, _) in stalling {
        let status = wait(&sensor, kind, |status| sink(status, kind)["failures"].as_u64() >= Some(2));
        assert_eq!((&sink(&status, kind)["delivered"], waiting(&status, kind, "alerts")), (&0.into(), 200));
        assert_eq!(
            (&sink(&status, kind)["error"], &sink(&status, kind)["circuit"]),
            (&"no answer within 1 s".into(), &"open".into())
        );
    }
    // Nor do they hold up the workers, or the sink beside them.
    clients.write(&tap, 200);
    wait(&sensor, "the last alerts", |status| sink(status, "eve")["delivered"] == 400);
    sensor.stop().unwrap();
    assert_eq!(by_id(&lines(&eve)).len(), 400);
}

/// Sinks that are not there, and those that take what they are handed and never answer.
const DEAD: [(&str, bool); 6] =
    [("syslog", false), ("bulk", false), ("unix", false), ("http", true), ("mqtt", true), ("redis", true)];

/// Settings of them, with an hour to answer, and of a server for metrics that never does.
fn dead_sinks(silent: u16) -> String {
    let (away, holding) = ("127.0.0.1:9", format!("127.0.0.1:{silent}"));
    let sink = |(name, holds): (&str, bool)| {
        let at = if holds { holding.as_str() } else { away };
        let settings = match name {
            "http" | "bulk" => format!("http = {{ url = \"http://{at}\", format = \"elasticsearch\" }}"),
            "unix" => "unix = { path = \"/nowhere/soc.sock\" }".to_owned(),
            kind => format!("{kind} = {{ address = {at:?} }}"),
        };
        format!("[[export]]\nname = {name:?}\ntimeout_s = 3600\nretry_max_s = 1\n{settings}\n")
    };
    let push = format!(
        "[[metrics.push]]\nname = \"up\"\nformat = \"otlp\"\nurl = \"http://{holding}\"\ninterval_s = 1\ntimeout_s = 3600\n"
    );
    DEAD.into_iter().map(sink).collect::<String>() + &push
}

#[test]
fn no_packet_waits_for_a_sink_that_is_dead_or_never_gives_back_what_it_was_handed() {
    const WRITES: u32 = 4000;
    let Some(tap) = Tap::new() else { return };
    let listener = tap.inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().map(Result::unwrap).collect::<Vec<_>>());
    for (exports, dead) in [(String::new(), &[][..]), (dead_sinks(port), &DEAD[..])] {
        let folder = tempfile::tempdir().unwrap();
        // Each alert is on the disk before the next is written.
        let config = config(folder.path(), &format!("alerts_sync = \"always\"\n{exports}"));
        let sensor = tap.watch(&config);
        let mut clients = Clients::new(5);
        // Not faster than they are journalled, so that nothing but a wait could keep one back.
        while clients.written < WRITES {
            clients.write(&tap, 500);
            wait_for_alerts(&sensor, clients.written.into());
        }
        poll(&tap, 500);
        let status = wait(&sensor, "every packet, and the lag", |status| {
            let all = |(name, _): &(&str, bool)| waiting(status, name, "alerts") == u64::from(WRITES);
            status["packets"]["processed"] == WRITES + 1000 && dead.iter().all(all)
        });
        let series = status["series"].as_object().unwrap().iter();
        let lost: Vec<_> = series.filter(|(name, _)| name.starts_with("vigia_journal_lost_events")).collect();
        assert!(!lost.is_empty() && lost.iter().all(|(_, count)| **count == 0), "{lost:?}");
        for &(name, holds) in dead {
            let sink = sink(&status, name);
            // Those that hold what they were handed do so since the first try.
            let told = (&sink["delivered"], sink["failures"] == 0, sink["circuit"] == "closed");
            assert_eq!(told, (&0.into(), holds, holds), "{sink:#}");
        }
        sensor.stop().unwrap();
        let numbers: Vec<_> = journal(folder.path()).iter().map(number).collect();
        assert_eq!(numbers, (0..u64::from(WRITES)).collect::<Vec<_>>(), "{exports}");
    }
}

#[test]
fn what_the_journal_had_to_let_go_is_counted_for_the_sink_that_missed_it() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("soc.sock");
    let export = format!(
        "compress = false\ntotal_bytes = 262_144\nreserve_bytes = 0\n[events]\nrecords = false\nflow = false\n\
         [[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\nbatch_events = 10\n\
         unix = {{ path = {socket:?} }}\n"
    );
    let config = config(folder.path(), &export);
    let sensor = tap.watch(&config);
    let mut clients = Clients::new(1);
    for _ in 0..10 {
        clients.write(&tap, 100);
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for_alerts(&sensor, 1000);
    let evicted = "vigia_journal_evicted_segments_total{stream=\"alerts\"}";
    wait(&sensor, "the removal", |status| live::series(status, evicted) > 0);
    // Until it is over: twice as long as the keeper waits between two looks.
    std::thread::sleep(Duration::from_secs(1));
    let listener = UnixListener::bind(&socket).unwrap();
    let receiver = std::thread::spawn(move || {
        let lines = BufReader::new(listener.accept().unwrap().0).lines();
        lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()).collect::<Vec<_>>()
    });
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    let of = |key| sink(&status, "soc")[key].as_u64().unwrap();
    assert!(of("missed_events") > 0 && of("missed_segments") > 0, "{status:#}");
    assert_eq!(of("delivered") + of("missed_events"), 1000);
    sensor.stop().unwrap();
    assert_eq!(by_id(&receiver.join().unwrap()).len() as u64, of("delivered"));
    assert!(
        vigia::journal::verify(&folder.path().join("journal"), None, &[]).unwrap().holds(),
        "the chain of the segments"
    );
}

#[test]
fn a_file_on_a_full_disk_goes_on_with_whole_lines_once_there_is_room() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&folder.path().join("disk")) else { return };
    let eve = folder.path().join("disk/eve.json");
    let export =
        format!("[[export]]\nname = \"eve\"\nevents = [\"alert\"]\nretry_max_s = 1\nfile = {{ path = {eve:?} }}\n");
    let config = config(folder.path(), &export);
    let sensor = tap.watch(&config);
    let mut clients = Clients::new(1);
    clients.write(&tap, 100);
    wait(&sensor, "the first alerts", |status| sink(status, "eve")["delivered"] == 100);
    disk.fill();
    clients.write(&tap, 200);
    wait_for_alerts(&sensor, 300);
    let status = wait(&sensor, "the failure", |status| sink(status, "eve")["circuit"] == "open");
    let delivered = sink(&status, "eve")["delivered"].as_u64().unwrap();
    assert_eq!(delivered + waiting(&status, "eve", "alerts"), 300);
    disk.free();
    wait(&sensor, "the rest", |status| sink(status, "eve")["delivered"] == 300);
    sensor.stop().unwrap();
    let numbers: Vec<_> = lines(&eve).iter().map(number).collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}
