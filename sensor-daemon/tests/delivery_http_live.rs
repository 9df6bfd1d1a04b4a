//! Delivery over HTTP through the binary, to a server that is away, stalls, refuses, or shows the wrong certificate.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/disk.rs"]
mod disk;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use delivery::authority::Authority;
use delivery::outage::{self, Told};
use delivery::server::{self, Request, Security, Server};
use delivery::{
    Clients, TRACE, assert_in_order_by_flow, assert_secrets_are_kept, by_id, config, error, is_alert, journal_of,
    number, parked, parked_in, sink, wait_for_alerts, waiting,
};
use disk::Disk;
use live::{Tap, series, wait};
use serde_json::{Value, json};
use vigia::journal::Stream;

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

#[test]
fn nothing_is_missing_after_an_outage_in_which_the_sensor_was_killed_again_and_again() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = outage::config(folder.path(), &export("elasticsearch", ""));
    let answer = |request: &Request| {
        let lines = request.body.iter().filter(|byte| **byte == b'\n').count();
        Some((200, "", bulk_answer((0..lines / 2).map(|_| 201))))
    };
    let server = outage::survive(&tap, &config, || Server::start(&tap, PORT, plain(), answer));
    let requests = server.requests.lock().unwrap();
    let mut delivered = Vec::new();
    for request in requests.iter() {
        let lines: Vec<_> = request.body.split(|byte| *byte == b'\n').collect();
        for pair in lines.chunks_exact(2) {
            let told = Told::of(pair[1]);
            let action: Value = serde_json::from_slice(pair[0]).unwrap();
            assert_eq!(action["create"]["_id"], *told.event_id);
            delivered.push(told);
        }
    }
    outage::assert_none_is_missing(folder.path(), &delivered);
}

#[test]
fn a_server_that_takes_and_does_not_acknowledge_gets_the_same_events_until_it_does() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    // As systemd hands it over (`LoadCredential=token:/etc/vigia/secrets/token`).
    let credentials = tempfile::tempdir().unwrap();
    fs::write(credentials.path().join("token"), "s3cret\n").unwrap();
    let more = "token_file = \"token\"\nindex = \"ot\"\n";
    let config = config(folder.path(), &(export("splunk", "timeout_s = 1") + more + TRACE));
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
    assert_secrets_are_kept(&sensor);
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

#[test]
fn what_a_server_refuses_is_parked_with_its_answer_and_all_else_goes_on() {
    // One says which of them it does not want; the other only that it does not want all of them.
    for format in ["elasticsearch", "ndjson"] {
        let Some(tap) = Tap::new() else { return };
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &(export(format, "batch_events = 50") + "compression = \"gzip\"\n"));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&taken);
        let mut busy = true;
        let _server = Server::start(&tap, PORT, plain(), move |request| {
            let mut keep = keep.lock().unwrap();
            if std::mem::take(&mut busy) {
                return Some((429, "Retry-After: 1\r\n", String::new()));
            }
            if format == "ndjson" {
                let events = request.lines();
                if events.iter().any(is_refused) {
                    return Some((400, "", "no such field".to_owned()));
                }
                keep.extend(events);
                return Some((204, "", String::new()));
            }
            keep.extend(bulk(request).into_iter().map(|(_, event)| event).filter(|event| !is_refused(event)));
            refuse_tenth(request)
        });
        let sensor = tap.watch(&config);
        Clients::new(3).write(&tap, 300);
        wait_for_alerts(&sensor, 300);
        let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        let counted =
            |outcome| series(&status, &format!("vigia_export_events_total{{sink=\"soc\",outcome=\"{outcome}\"}}"));
        assert_eq!((counted("delivered"), counted("refused")), (270, 30), "{format}");
        assert!(sink(&status, "soc")["failures"].as_u64() >= Some(1), "it was busy at first");
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

/// Takes a bulk request, but for every tenth event.
fn refuse_tenth(request: &Request) -> server::Reply {
    let answer = bulk_answer(bulk(request).iter().map(|(_, event)| if is_refused(event) { 400 } else { 201 }));
    Some((200, "", answer))
}

#[test]
fn on_a_full_disk_refused_events_wait_and_only_the_cursor_falls_behind() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&folder.path().join("journal/delivery")) else { return };
    let config = config(folder.path(), &export("elasticsearch", "batch_events = 50"));
    let _server = Server::start(&tap, PORT, plain(), refuse_tenth);
    let sensor = tap.watch(&config);
    let mut clients = Clients::new(1);
    clients.write(&tap, 100);
    wait(&sensor, "the first alerts", |status| sink(status, "soc")["delivered"] == 90);

    disk.fill();
    clients.write(&tap, 100);
    wait_for_alerts(&sensor, 200);
    let status = wait(&sensor, "the want of room", |status| error(status).contains("cannot be kept"));
    // The file may have had room for some more in its last block.
    let settled = ["delivered", "refused"].map(|outcome| sink(&status, "soc")[outcome].as_u64().unwrap());
    assert!(settled[1] < 20);
    assert_eq!(settled.iter().sum::<u64>() + waiting(&status, "soc", "alerts"), 200);
    disk.free();
    wait(&sensor, "the rest", |status| sink(status, "soc")["refused"] == 20);
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!((&sink(&status, "soc")["delivered"], &sink(&status, "soc")["circuit"]), (&180.into(), &"closed".into()));

    // What is not refused goes on without room.
    disk.fill();
    clients.write(&tap, 9);
    let errors = "vigia_export_cursor_errors_total{sink=\"soc\"}";
    wait(&sensor, "nine more", |status| sink(status, "soc")["delivered"] == 189 && series(status, errors) > 0);
    disk.free();
    sensor.stop().unwrap();
    let parked: Vec<_> = parked(folder.path()).into_iter().map(|(number, _)| number).collect();
    assert_eq!(parked, (9..200).step_by(10).collect::<Vec<_>>());
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

/// When a certificate expires, by the metric.
fn expiry(status: &Value, of: &str) -> u64 {
    series(status, &format!("vigia_export_certificate_expiry_seconds{{sink=\"soc\",certificate=\"{of}\"}}"))
}

/// What the events of health tell of the sink.
fn certificates_told(folder: &Path) -> Vec<Value> {
    let events = journal_of(folder, Stream::Records);
    events.into_iter().map(|mut event| event["health"].take()).filter(|health| health["sink"] == "soc").collect()
}

#[test]
fn a_certificate_of_the_sensors_own_that_expired_is_told_and_a_renewed_one_is_shown_without_a_restart() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = format!("tls = {{ {}, server_name = \"soc.example\" }}\n", authority.tls(folder.path()));
    authority.files(folder.path(), "own", 2001);
    let config = config(folder.path(), &(export("ndjson", "").replace("http://", "https://") + &tls));
    let security: Security = Arc::new(Mutex::new(Some(authority.server(2100))));
    let server = Server::start(&tap, PORT, security, |_| Some((200, "", String::new())));
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    // Whether the reason arrives before the end of the connection is chance.
    let status = wait(&sensor, "two tries", |status| sink(status, "soc")["failures"].as_u64() >= Some(2));
    assert_eq!((&sink(&status, "soc")["delivered"], server.requests().len()), (&0.into(), 0));
    assert_eq!((expiry(&status, "sink"), expiry(&status, "own")), (4_102_444_800, 978_307_200));
    wait(&sensor, "the event", |_| !certificates_told(folder.path()).is_empty());
    authority.files(folder.path(), "own", 2100);
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!(expiry(&status, "own"), 4_102_444_800);
    sensor.stop().unwrap();
    let events: Vec<Value> = server.requests().iter().flat_map(Request::lines).collect();
    assert_eq!(by_id(&events).len(), 100);
    let told = certificates_told(folder.path());
    assert_eq!((told.len(), &told[0]["certificate"]), (1, &"own".into()), "{told:?}");
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = format!("tls = {{ {}, server_name = \"soc.example\" }}\n", authority.tls(folder.path()));
    let export = export("ndjson", "").replace("http://", "https://") + "compression = \"zstd\"\n" + &tls;
    let config = config(folder.path(), &export);
    let security: Security = Arc::new(Mutex::new(Some(authority.server(2001))));
    let server = Server::start(&tap, PORT, Arc::clone(&security), |_| Some((200, "", String::new())));
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    let status = wait(&sensor, "the refusal", |status| error(status).to_lowercase().contains("expired"));
    assert_eq!(sink(&status, "soc")["delivered"], 0);
    assert_eq!((expiry(&status, "sink"), expiry(&status, "own")), (978_307_200, 4_102_444_800));
    let told = || certificates_told(folder.path());
    // It is looked at now and then, and told of as it is then.
    wait(&sensor, "the event", |_| !told().is_empty());
    *security.lock().unwrap() = Some(authority.server(2100));
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!(expiry(&status, "sink"), 4_102_444_800);
    sensor.stop().unwrap();
    let events: Vec<Value> = server.requests().iter().flat_map(Request::lines).collect();
    assert_eq!(by_id(&events).len(), 100);
    assert!(events.iter().all(|event| is_alert(&event)));
    let expected = json!({
        "kind": "certificate-expires", "sink": "soc", "certificate": "sink", "expires": "2001-01-01T00:00:00.000000+0000"
    });
    assert_eq!(told(), [expected], "told once");
}

#[test]
fn a_key_that_is_none_of_the_pins_is_not_accepted() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = authority.tls(folder.path());
    let config_with = |pin: &str| {
        let tls = format!("tls = {{ {tls}, server_name = \"soc.example\", pins = [{pin:?}] }}\n");
        config(folder.path(), &(export("ndjson", "").replace("http://", "https://") + &tls))
    };
    let security: Security = Arc::new(Mutex::new(Some(authority.server(2100))));
    let _server = Server::start(&tap, PORT, security, |_| Some((200, "", String::new())));
    let sensor = tap.watch(&config_with("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    Clients::new(2).write(&tap, 100);
    let status = wait(&sensor, "the refusal", |status| error(status).contains("none of the pins: "));
    assert_eq!(sink(&status, "soc")["delivered"], 0);
    sensor.stop().unwrap();
    let sensor = tap.watch(&config_with(error(&status).rsplit(' ').next().unwrap()));
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
}
