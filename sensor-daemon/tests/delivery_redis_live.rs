//! Delivery to Debian's redis-server through the binary: away, full, gone and back.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::path::Path;
use std::process::Command;

use delivery::authority::Authority;
use delivery::service::Service;
use delivery::{
    Clients, TRACE, assert_in_order_by_flow, assert_secrets_are_kept, by_id, config, renewal, sink, wait_for_alerts,
    waiting,
};
use live::{Tap, wait};
use serde_json::Value;

const PROGRAM: &str = "/usr/bin/redis-server";
const PORT: u16 = 6379;

fn start(tap: &Tap, folder: &Path, more: &[&str]) -> Service {
    let dir = folder.display().to_string();
    let arguments =
        ["--port", "6379", "--bind", "127.0.0.1", "--dir", &dir, "--appendonly", "yes", "--appendfsync", "always"];
    let arguments = [&arguments[..], &["--requirepass", "s3cret"], more].concat();
    Service::start(tap, folder, PROGRAM, &arguments, PORT)
}

/// What the server says to a command.
fn ask(tap: &Tap, words: &[&str]) -> String {
    let mut command = Command::new("/usr/bin/redis-cli");
    command.args(["-a", "s3cret", "--no-auth-warning"]).args(words);
    let output = tap.inside(|| command.output().unwrap());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_stream_gets_every_alert_when_the_server_comes_back_and_has_room() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "s3cret\n").unwrap();
    let export = format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\nbatch_events = 50\n[export.redis]\n\
         address = \"127.0.0.1:{PORT}\"\nstream = \"plant\"\nmax_entries = 100_000\npassword_file = {:?}\n{TRACE}",
        folder.path().join("password")
    );
    let config = config(folder.path(), &export);
    let mut clients = Clients::new(3);
    let sensor = tap.watch(&config);
    clients.write(&tap, 200);
    wait_for_alerts(&sensor, 200);
    wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
    let server = start(&tap, folder.path(), &[]);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);

    // Its memory is full: no event's fault.
    assert_eq!(ask(&tap, &["CONFIG", "SET", "maxmemory", "1"]).trim(), "OK");
    clients.write(&tap, 100);
    let told = |status: &Value| sink(status, "soc")["error"].as_str().unwrap_or_default().starts_with("OOM");
    let status = wait(&sensor, "the refusal", told);
    assert_eq!((&sink(&status, "soc")["delivered"], &sink(&status, "soc")["refused"]), (&200.into(), &0.into()));
    drop(server);
    let _server = start(&tap, folder.path(), &[]);
    let status = wait(&sensor, "the end of the lag", |status| {
        sink(status, "soc")["delivered"] == 300 && waiting(status, "soc", "alerts") == 0
    });
    assert_eq!(sink(&status, "soc")["circuit"], "closed");
    assert_secrets_are_kept(&sensor);
    sensor.stop().unwrap();

    let told = ask(&tap, &["XRANGE", "plant", "-", "+"]);
    let events: Vec<Value> =
        told.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() >= 300);
    assert_eq!(by_id(&events).len(), 300);
    assert_in_order_by_flow(&events);
    assert!(events.iter().all(|event| told.contains(&format!("event_id\n{}\n", event["event_id"].as_str().unwrap()))));
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "s3cret\n").unwrap();
    let authority = Authority::new();
    let export = format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\n[export.redis]\naddress = \"127.0.0.1:6380\"\n\
         password_file = {:?}\ntls = {{ {}, server_name = \"soc.example\" }}\n",
        folder.path().join("password"),
        authority.tls(folder.path())
    );
    let config = config(folder.path(), &export);
    let serve = |last_year| {
        let [ca, cert, key] = authority.files(folder.path(), "server", last_year);
        let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
        start(&tap, folder.path(), &[&["--tls-port", "6380"], &files[..]].concat())
    };
    let (sensor, _renewed) = renewal(&tap, &config, serve);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    assert_eq!(ask(&tap, &["XLEN", "vigia"]).trim(), "100");
}
