//! Delivery to Debian's mosquitto through the binary: away, without a subscriber, with one, and by TLS.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::io::{BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use delivery::authority::Authority;
use delivery::service::Service;
use delivery::{
    Clients, TRACE, assert_in_order_by_flow, assert_secrets_are_kept, by_id, config, error, parked, renewal, sink,
    wait_for_alerts, waiting,
};
use live::{Tap, wait};
use serde_json::Value;

const PROGRAM: &str = "/usr/sbin/mosquitto";
const PORT: u16 = 1883;

/// Starts it with further lines of its configuration.
fn start(tap: &Tap, folder: &Path, more: &str) -> Service {
    let config = folder.join("mosquitto.conf");
    // The first is for who subscribes where the second asks for certificates.
    let listeners = format!("listener 1884 127.0.0.1\nallow_anonymous true\nlistener {PORT} 127.0.0.1\n");
    let text = format!("user root\nmax_queued_messages 0\nper_listener_settings true\n{listeners}{more}");
    fs::write(&config, text).unwrap();
    Service::start(tap, folder, PROGRAM, &["-c", config.to_str().unwrap()], PORT)
}

fn export(more: &str) -> String {
    format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\nbatch_events = 50\n[export.mqtt]\n\
         address = \"127.0.0.1:{PORT}\"\ntopic = \"plant/events\"\n{more}"
    )
}

/// Subscribes with QoS 1 (MQTT 3.1.1); gives where the messages will be.
fn subscribe(tap: &Tap, port: u16, user: &str) -> Arc<Mutex<Vec<Value>>> {
    let stream = tap.inside(|| TcpStream::connect(("127.0.0.1", port)).unwrap());
    let mut out = stream.try_clone().unwrap();
    let string = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let packet = |first: u8, body: &[u8]| [&[first, body.len() as u8], body].concat();
    let credentials = if user.is_empty() { Vec::new() } else { [string(user), string("s3cret")].concat() };
    let flags = if user.is_empty() { 0x02 } else { 0xc2 };
    let connect = [string("MQTT"), vec![4, flags, 0, 0], string("subscriber"), credentials].concat();
    out.write_all(&packet(0x10, &connect)).unwrap();
    out.write_all(&packet(0x82, &[&[0, 1][..], &string("plant/#"), &[1]].concat())).unwrap();
    let mut stream = BufReader::new(stream);
    let mut granted = [0; 9];
    stream.read_exact(&mut granted).unwrap();
    assert_eq!(granted, *b"\x20\x02\x00\x00\x90\x03\x00\x01\x01");
    let messages = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&messages);
    std::thread::spawn(move || {
        while let Some((id, payload)) = message(&mut stream) {
            keep.lock().unwrap().push(serde_json::from_slice(&payload).unwrap());
            if out.write_all(&[&[0x40, 2][..], &id].concat()).is_err() {
                return;
            }
        }
    });
    messages
}

/// The next PUBLISH of QoS 1: its identifier and its payload. Nothing when the connection ends.
fn message(stream: &mut impl Read) -> Option<([u8; 2], Vec<u8>)> {
    let mut byte = || {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok().map(|()| usize::from(byte[0]))
    };
    assert_eq!(byte()? & 0xf6, 0x32);
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let part = byte()?;
        length |= (part & 0x7f) << shift;
        if part < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let topic = b"\x00\x0cplant/events";
    let rest = body.strip_prefix(topic).unwrap();
    Some(([rest[0], rest[1]], rest[2..].to_vec()))
}

#[test]
fn a_topic_gets_every_alert_once_the_server_is_there_and_somebody_subscribed() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [password, users] = ["password", "users"].map(|name| folder.path().join(name));
    fs::write(&password, "s3cret\n").unwrap();
    let made =
        Command::new("/usr/bin/mosquitto_passwd").arg("-b").arg("-c").arg(&users).args(["vigia", "s3cret"]).status();
    assert!(made.unwrap().success());
    let server = format!("allow_anonymous false\npassword_file {}\n", users.display());
    let config = config(folder.path(), &export(&format!("user = \"vigia\"\npassword_file = {password:?}\n{TRACE}")));
    let mut clients = Clients::new(3);
    let sensor = tap.watch(&config);
    clients.write(&tap, 300);
    wait_for_alerts(&sensor, 300);
    wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");

    fs::write(&password, "wrong\n").unwrap();
    let running = start(&tap, folder.path(), &server);
    wait(&sensor, "the refusal of the password", |status| error(status).contains("not authorized"));
    fs::write(&password, "s3cret\n").unwrap();
    let status = wait(&sensor, "the want of a subscriber", |status| error(status).contains("nobody"));
    assert_eq!((&sink(&status, "soc")["delivered"], waiting(&status, "soc", "alerts")), (&0.into(), 300));
    let first = subscribe(&tap, PORT, "vigia");
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);

    drop(running);
    clients.write(&tap, 100);
    wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
    let _running = start(&tap, folder.path(), &server);
    wait(&sensor, "the want of a subscriber", |status| error(status).contains("nobody"));
    let second = subscribe(&tap, PORT, "vigia");
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!(sink(&status, "soc")["delivered"], 400);
    wait(&sensor, "the last message", |_| second.lock().unwrap().len() >= 100);
    assert_secrets_are_kept(&sensor);
    sensor.stop().unwrap();
    let events = [first.lock().unwrap().clone(), second.lock().unwrap().clone()].concat();
    assert_eq!(by_id(&events).len(), 400);
    assert_in_order_by_flow(&events);
}

#[test]
fn what_is_too_long_for_a_server_is_parked_with_its_answer() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    // The one says so of each message, the other beforehand.
    for limit in ["message_size_limit 100", "max_packet_size 100"] {
        let Some(tap) = Tap::new() else { return };
        let folder = tempfile::tempdir().unwrap();
        let _server = start(&tap, folder.path(), &format!("allow_anonymous true\n{limit}\n"));
        let config = config(folder.path(), &export(""));
        let sensor = tap.watch(&config);
        Clients::new(1).write(&tap, 20);
        let status = wait(&sensor, "the refusals", |status| sink(status, "soc")["refused"] == 20);
        assert_eq!((&sink(&status, "soc")["delivered"], waiting(&status, "soc", "alerts")), (&0.into(), 0));
        sensor.stop().unwrap();
        let expected: Vec<_> = (0..20).map(|number| (number, "packet too large".to_owned())).collect();
        assert_eq!(parked(folder.path()), expected);
    }
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = format!("tls = {{ {}, server_name = \"soc.example\" }}\n", authority.tls(folder.path()));
    let serve = |last_year| {
        let [ca, cert, key] = authority.files(folder.path(), "server", last_year);
        let tls = format!("cafile {ca}\ncertfile {cert}\nkeyfile {key}\nrequire_certificate true\n");
        start(&tap, folder.path(), &format!("allow_anonymous true\n{tls}"))
    };
    let config = config(folder.path(), &export(&tls));
    let (sensor, _renewed) = renewal(&tap, &config, serve);
    let messages = subscribe(&tap, 1884, "");
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    wait(&sensor, "the last message", |_| messages.lock().unwrap().len() >= 100);
    sensor.stop().unwrap();
    assert_eq!(by_id(&messages.lock().unwrap()).len(), 100);
}
