//! Delivery over HTTP through the binary, to a server that is away, stalls, refuses, or shows the wrong certificate.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use delivery::authority::Authority;
use delivery::server::{Request, Security, Server};
use delivery::{
    Clients, PATIENCE, assert_in_order_by_flow, by_id, config, is_alert, number, sink, wait_for_alerts, waiting,
};
use live::{Tap, series, wait, wait_for};
use serde_json::{Value, json};
use vigia::journal::{Reader, Stream};

const PORT: u16 = 9200;

fn export(format: &str, more: &str) -> String {
    format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\n{more}\n\
         [export.http]\nurl = \"http://127.0.0.1:{PORT}\"\nformat = {format:?}\n"
    )
}

fn plain() -> Security {
    Arc::default()
}

/// The events of a bulk request, each with the id that it is created under.
fn bulk(request: &Request) -> Vec<(String, Value)> {
    let lines = request.lines();
    let pairs = lines.chunks(2).map(|pair| (pair[0]["create"]["_id"].as_str().unwrap().to_owned(), pair[1].clone()));
    pairs.collect()
}

/// Answers to a bulk request, item by item.
fn bulk_answer(statuses: impl Iterator<Item = u16>) -> String {
    let items: Vec<_> = statuses.map(|status| json!({ "create": { "status": status, "error": "mapping" } })).collect();
    let errors = items.iter().any(|item| item["create"]["status"] != 201);
    json!({ "errors": errors, "items": items }).to_string()
}

/// The alerts that the journal holds.
fn journal(folder: &Path) -> Vec<Value> {
    let mut reader = Reader::open(&folder.join("journal"), Stream::Alerts, Default::default());
    let (mut line, mut alerts) = (Vec::new(), Vec::new());
    while reader.next(&mut line).unwrap() {
        alerts.push(serde_json::from_slice(&line).unwrap());
    }
    alerts
}

/// `VIGIA_DELIVERY_ALERTS=200000` is the whole of what is promised; without it, less is tried.
fn alerts_to_raise() -> u32 {
    std::env::var("VIGIA_DELIVERY_ALERTS").ok().and_then(|count| count.parse().ok()).unwrap_or(4_000)
}

#[test]
fn nothing_is_missing_after_an_outage_in_which_the_sensor_was_killed_again_and_again() {
    const KILLS: u32 = 5;
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &export("elasticsearch", "batch_events = 200"));
    let mut clients = Clients::new(7);
    let part = u64::from(alerts_to_raise() / (KILLS + 1));
    let mut sensor = tap.watch(&config);
    for _ in 0..KILLS {
        // By chance in the middle of the traffic: the kill comes from another thread.
        let killed = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                wait_for_alerts(&sensor, part);
                sensor.signal("KILL").unwrap();
                killed.store(true, Relaxed);
            });
            while !killed.load(Relaxed) {
                clients.write(&tap, 20);
                thread::sleep(Duration::from_millis(1));
            }
        });
        // The lock of the journal goes with the old one.
        drop(sensor);
        sensor = tap.watch(&config);
    }
    clients.write(&tap, part as u32);
    wait_for_alerts(&sensor, part);
    let status = sensor.status().unwrap();
    assert_eq!((&sink(&status, "soc")["delivered"], &sink(&status, "soc")["circuit"]), (&0.into(), &"open".into()));
    let left = journal(folder.path());
    assert!(left.len() as u64 >= part * u64::from(KILLS + 1));
    wait_for(&sensor, PATIENCE, "the count of what waits", |status| {
        waiting(status, "soc", "alerts") == left.len() as u64
    });

    let server =
        Server::start(&tap, PORT, plain(), |request| Some((200, "", bulk_answer(bulk(request).iter().map(|_| 201)))));
    // Killed while it delivers, too.
    wait(&sensor, "some deliveries", |status| sink(status, "soc")["delivered"].as_u64() > Some(0));
    sensor.signal("KILL").unwrap();
    drop(sensor);
    let sensor = tap.watch(&config);
    clients.write(&tap, 50);
    wait_for_alerts(&sensor, 50);
    wait_for(&sensor, PATIENCE, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();

    let delivered: Vec<_> = server.requests().iter().flat_map(bulk).collect();
    for (id, event) in &delivered {
        assert_eq!(event["event_id"], id.as_str());
        assert!(event["@timestamp"].as_str().unwrap().ends_with('Z'));
    }
    let events: Vec<Value> = delivered.into_iter().map(|(_, event)| event).collect();
    let expected: BTreeSet<u64> = journal(folder.path()).iter().map(number).collect();
    let got = by_id(&events);
    assert_eq!(got.len(), expected.len(), "one id an event");
    assert_eq!(got.into_values().collect::<BTreeSet<_>>(), expected, "none is missing");
    assert_in_order_by_flow(&events);
    println!("{} alerts, {} deliveries of them", expected.len(), events.len());
}

#[test]
fn a_server_that_takes_and_does_not_acknowledge_gets_the_same_events_until_it_does() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    // As systemd hands it over (`LoadCredential=token:/etc/vigia/secrets/token`).
    let credentials = tempfile::tempdir().unwrap();
    fs::write(credentials.path().join("token"), "s3cret\n").unwrap();
    let more = "token_file = \"token\"\nindex = \"ot\"\n";
    let config = config(folder.path(), &(export("splunk", "timeout_s = 1") + more));
    let indexed = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&indexed);
    let server = Server::start(&tap, PORT, plain(), move |request| {
        Some((
            200,
            "",
            match request.path.as_str() {
                "/services/collector/ack" => json!({ "acks": { "7": answers.load(Relaxed) } }).to_string(),
                _ => json!({ "text": "Success", "code": 0, "ackId": 7 }).to_string(),
            },
        ))
    });
    let sensor = tap.watch_with(&config, &[("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())]);
    Clients::new(2).write(&tap, 100);
    let status = wait(&sensor, "two tries", |status| sink(status, "soc")["failures"].as_u64() >= Some(2));
    assert_eq!((&sink(&status, "soc")["delivered"], waiting(&status, "soc", "alerts")), (&0.into(), 100));
    indexed.store(true, Relaxed);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert!(!sensor.log().contains("s3cret"));
    let shown = wire::vigia().args(["config", "show", "--json", "--config"]).arg(&config).output().unwrap();
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("s3cret"));
    sensor.stop().unwrap();
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.header("authorization") == Some("Splunk s3cret")));
    let channels: BTreeSet<_> = requests.iter().map(|request| request.header("x-splunk-request-channel")).collect();
    assert!(channels.len() == 1 && !channels.contains(&None));
    let events: Vec<_> =
        requests.iter().filter(|one| one.path == "/services/collector").flat_map(Request::lines).collect();
    assert!(events.iter().all(|event| event["index"] == "ot" && event["sourcetype"] == "suricata"));
    assert!(events[0]["time"].as_f64() > Some(1.0e9));
    let events: Vec<Value> = events.into_iter().map(|mut event| event["event"].take()).collect();
    assert!(events.len() > 100, "they came again");
    assert_eq!(by_id(&events).len(), 100);
}

/// Every tenth alert is refused.
fn is_refused(event: &Value) -> bool {
    number(event) % 10 == 9
}

/// The events that were parked, with the answers.
fn parked(folder: &Path) -> Vec<(u64, String)> {
    parked_in(&folder.join("journal/delivery/soc.refused.ndjson"))
}

fn parked_in(file: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let letters = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    letters.map(|letter| (number(&letter["event"]), letter["answer"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn what_a_server_refuses_is_parked_with_its_answer_and_all_else_goes_on() {
    // One says which of them it does not want; the other only that it does not want all of them.
    for format in ["elasticsearch", "ndjson"] {
        let Some(tap) = Tap::new() else { return };
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &(export(format, "batch_events = 50") + "compression = \"gzip\"\n"));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&taken);
        let _server = Server::start(&tap, PORT, plain(), move |request| {
            let mut keep = keep.lock().unwrap();
            if format == "ndjson" {
                let events = request.lines();
                if events.iter().any(is_refused) {
                    return Some((400, "", "no such field".to_owned()));
                }
                keep.extend(events);
                return Some((204, "", String::new()));
            }
            let events = bulk(request);
            let answer = bulk_answer(events.iter().map(|(_, event)| if is_refused(event) { 400 } else { 201 }));
            keep.extend(events.into_iter().map(|(_, event)| event).filter(|event| !is_refused(event)));
            Some((200, "", answer))
        });
        let sensor = tap.watch(&config);
        Clients::new(3).write(&tap, 300);
        wait_for_alerts(&sensor, 300);
        let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        let counted =
            |outcome| series(&status, &format!("vigia_export_events_total{{sink=\"soc\",outcome=\"{outcome}\"}}"));
        assert_eq!((counted("delivered"), counted("refused")), (270, 30), "{format}");
        sensor.stop().unwrap();
        let parked = parked(folder.path());
        assert_eq!(
            parked.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            (9..300).step_by(10).collect::<Vec<_>>()
        );
        assert!(parked.iter().all(|(_, answer)| answer.starts_with("HTTP 400 ")), "{parked:?}");
        let taken = taken.lock().unwrap();
        assert_eq!(by_id(&taken).len(), 270);
        assert_in_order_by_flow(&taken);
    }
}

#[test]
fn a_full_file_of_refused_events_stops_delivery_and_loses_none() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &export("ndjson", "batch_events = 5\nrefused_bytes = 4096"));
    let _server = Server::start(&tap, PORT, plain(), |_| Some((422, "", "no".to_owned())));
    let sensor = tap.watch(&config);
    Clients::new(1).write(&tap, 60);
    wait_for_alerts(&sensor, 60);
    let over = |status: &Value| waiting(status, "soc", "alerts") == 0;
    let mut taken = Vec::new();
    loop {
        let blocked = |status: &Value| sink(status, "soc")["circuit"] == "blocked";
        let status = wait(&sensor, "a stop", |status| blocked(status) || over(status));
        assert_eq!(sink(&status, "soc")["delivered"], 0);
        // A person takes it away. What is still written to it goes along, so it is read at the end.
        let away = folder.path().join(format!("taken{}", taken.len()));
        if fs::rename(folder.path().join("journal/delivery/soc.refused.ndjson"), &away).is_ok() {
            taken.push(away);
        }
        if over(&status) {
            break;
        }
    }
    assert!(taken.len() > 1, "the file is full again and again");
    let parked: BTreeMap<_, _> = taken.iter().flat_map(|file| parked_in(file)).collect();
    assert_eq!(parked.into_keys().collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
    sensor.stop().unwrap();
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.issue(2100);
    let file = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let (ca, cert) = (file("ca.pem", authority.pem()), file("own.pem", certificate.pem()));
    let key = file("own.key", key.serialize_pem());
    let tls = format!("tls = {{ ca = {ca:?}, cert = {cert:?}, key = {key:?}, server_name = \"soc.example\" }}\n");
    let export = export("ndjson", "").replace("http://", "https://") + "compression = \"zstd\"\n" + &tls;
    let config = config(folder.path(), &export);
    let security: Security = Arc::new(Mutex::new(Some(authority.server(2001))));
    let server = Server::start(&tap, PORT, Arc::clone(&security), |_| Some((200, "", String::new())));
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    let failed =
        |status: &Value| sink(status, "soc")["error"].as_str().unwrap_or_default().to_lowercase().contains("expired");
    let status = wait(&sensor, "the refusal", failed);
    assert_eq!(sink(&status, "soc")["delivered"], 0);
    *security.lock().unwrap() = Some(authority.server(2100));
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    let events: Vec<Value> = server.requests().iter().flat_map(Request::lines).collect();
    assert_eq!(by_id(&events).len(), 100);
    assert!(events.iter().all(|event| is_alert(&event)));
}
