//! Logs by OTLP through the binary, to a receiver that is busy, stalls, takes requests in part, or refuses an event.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use delivery::protobuf::{Any, LogRecord, LogsRequest, attribute, partial_success};
use delivery::server::{Request, Server};
use delivery::{Clients, assert_in_order_by_flow, by_id, config, number, sink, wait_for_alerts, waiting};
use live::{Tap, series, wait};
use prost::Message as _;
use serde_json::Value;

const PORT: u16 = 4318;

fn export(more: &str) -> String {
    format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\ntimeout_s = 1\nbatch_events = 50\n{more}\n\
         [export.http]\nurl = \"http://127.0.0.1:{PORT}\"\nformat = \"otlp\"\ncompression = \"gzip\"\n\
         [sensor]\nname = \"planta\"\n"
    )
}

fn records(request: &Request) -> Vec<LogRecord> {
    LogsRequest::decode(&request.body[..]).unwrap().records().cloned().collect()
}

fn event(record: &LogRecord) -> Value {
    serde_json::from_str(record.body.as_ref().unwrap().text()).unwrap()
}

fn parked(folder: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(folder.join("journal/delivery/soc.refused.ndjson")).unwrap_or_default();
    let letters = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    letters.map(|letter| (number(&letter["event"]), letter["answer"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn every_alert_is_a_log_record_though_the_receiver_is_busy_or_silent_at_first() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &export(""));
    let asked = AtomicUsize::new(0);
    let server = Server::start(&tap, PORT, Default::default(), move |_| match asked.fetch_add(1, Relaxed) {
        0 => Some((429, "Retry-After: 1\r\n", String::new())),
        1 => Some((503, "", String::new())),
        2 => None,
        _ => Some((200, "", String::new())),
    });
    let sensor = tap.watch(&config);
    Clients::new(3).write(&tap, 200);
    wait_for_alerts(&sensor, 200);
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!((&sink(&status, "soc")["delivered"], &sink(&status, "soc")["refused"]), (&200.into(), &0.into()));
    assert!(sink(&status, "soc")["failures"].as_u64() >= Some(3));
    sensor.stop().unwrap();

    let requests = server.requests();
    for request in &requests {
        assert_eq!((&*request.path, request.header("content-type")), ("/v1/logs", Some("application/x-protobuf")));
        let told = LogsRequest::decode(&request.body[..]).unwrap();
        let of = &told.resource_logs[0].resource.as_ref().unwrap().attributes;
        assert_eq!(attribute(of, "service.name"), Some(&Any::Text("vigia".to_owned())));
        assert_eq!(attribute(of, "service.instance.id"), Some(&Any::Text("planta".to_owned())));
    }
    let records: Vec<_> = requests.iter().flat_map(records).collect();
    for record in &records {
        let event = event(record);
        assert_eq!(
            attribute(&record.attributes, "event_id"),
            Some(&Any::Text(event["event_id"].as_str().unwrap().into()))
        );
        assert_eq!(attribute(&record.attributes, "source.address"), Some(&Any::Text("10.0.0.1".to_owned())));
        assert_eq!(attribute(&record.attributes, "destination.port"), Some(&Any::Number(502)));
        assert!(record.severity_number > 9 && record.time_unix_nano > 1_000_000_000_000_000_000);
    }
    let events: Vec<_> = records.iter().map(event).collect();
    assert_eq!(by_id(&events).len(), 200);
    assert_in_order_by_flow(&events);
}

#[test]
fn what_was_taken_in_part_is_parked_and_never_offered_again() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &export(""));
    let server = Server::start(&tap, PORT, Default::default(), |request| {
        let rejected = records(request).iter().filter(|record| number(&event(record)) % 40 == 7).count();
        Some((200, "", if rejected > 0 { partial_success(rejected as i64, "too old") } else { String::new() }))
    });
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 200);
    wait_for_alerts(&sensor, 200);
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    let counted =
        |outcome| series(&status, &format!("vigia_export_events_total{{sink=\"soc\",outcome=\"{outcome}\"}}"));
    let parked = parked(folder.path());
    assert_eq!((counted("delivered") + counted("refused"), counted("refused")), (200, parked.len() as u64));
    sensor.stop().unwrap();
    for rejected in (7..200).step_by(40) {
        let (_, answer) = parked.iter().find(|(number, _)| *number == rejected).unwrap();
        assert!(answer.contains("too old") && answer.contains("not said which"), "{answer}");
    }
    let events: Vec<_> = server.requests().iter().flat_map(records).map(|record| event(&record)).collect();
    assert_eq!((events.len(), by_id(&events).len()), (200, 200), "each once");
}

#[test]
fn an_event_that_a_receiver_refuses_is_found_and_parked_and_the_others_are_taken() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &export(""));
    let server = Server::start(&tap, PORT, Default::default(), |request| {
        let bad = records(request).iter().any(|record| number(&event(record)) == 33);
        Some(if bad { (500, "", "no such attribute".to_owned()) } else { (200, "", String::new()) })
    });
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    wait_for_alerts(&sensor, 100);
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!((&sink(&status, "soc")["delivered"], &sink(&status, "soc")["refused"]), (&99.into(), &1.into()));
    sensor.stop().unwrap();
    assert_eq!(parked(folder.path()), [(33, "HTTP 500 no such attribute".to_owned())]);
    assert!(server.requests().len() > 3, "it was looked for");
}
