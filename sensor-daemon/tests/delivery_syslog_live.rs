//! Delivery by syslog through the binary: to a receiver of the test's own that goes away, and to rsyslog.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use delivery::authority::Authority;
use delivery::service::Service;
use delivery::{Clients, assert_in_order_by_flow, by_id, config, renewal, sink, wait_for_alerts, waiting};
use live::{Tap, wait};
use serde_json::Value;

const PORT: u16 = 6514;

/// Where rsyslog takes TLS.
const TLS_PORT: u16 = 5143;

/// Messages by their octet counts (RFC 6587 §3.4.1), an unfinished one at the end left out.
fn messages(mut stream: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(space) = stream.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&stream[..space]).unwrap().parse().unwrap();
        let Some(message) = stream.get(space + 1..space + 1 + length) else { break };
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        stream = &stream[space + 1 + length..];
    }
    messages
}

fn events(messages: &[String]) -> Vec<Value> {
    let body = |message: &String| message.split_once(" - {").map(|(_, body)| format!("{{{body}")).unwrap();
    messages.iter().map(|message| serde_json::from_str(&body(message)).unwrap()).collect()
}

#[test]
fn a_receiver_that_breaks_connections_unread_still_gets_every_alert() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let export = format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\nbatch_events = 20\n\
         [export.syslog]\naddress = \"127.0.0.1:{PORT}\"\n"
    );
    let config = config(folder.path(), &export);
    let listener = tap.inside(|| TcpListener::bind(("127.0.0.1", PORT)).unwrap());
    let received = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
    let keep = Arc::clone(&received);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream: TcpStream = stream.unwrap();
            keep.lock().unwrap().push(Vec::new());
            let mut block = [0; 4096];
            // The first three read a little, then go away with the rest unread.
            while let Ok(length @ 1..) = stream.read(&mut block) {
                let mut all = keep.lock().unwrap();
                let last = all.last_mut().unwrap();
                last.extend_from_slice(&block[..length]);
                if number < 3 && last.len() > 8192 {
                    break;
                }
            }
        }
    });
    let sensor = tap.watch(&config);
    let mut clients = Clients::new(3);
    for _ in 0..30 {
        clients.write(&tap, 20);
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for_alerts(&sensor, 600);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    // It notices what went lost when there is more to write.
    std::thread::sleep(Duration::from_millis(200));
    clients.write(&tap, 20);
    wait_for_alerts(&sensor, 620);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let all: Vec<String> = received.lock().unwrap().iter().flat_map(|stream| messages(stream)).collect();
    let events = events(&all);
    assert!(events.len() > 620, "some came again");
    assert_eq!(by_id(&events).len(), 620);
    assert_in_order_by_flow(&events);
    assert!(all.iter().all(|message| message.starts_with("<133>1 20") && message.contains(" vigia ")), "{}", all[0]);
}

const RSYSLOG: &str = "/usr/sbin/rsyslogd";

/// Is rsyslog there, with TLS? Says what is skipped for want of it otherwise.
fn is_rsyslog_there() -> bool {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|folder| folder.unwrap().path());
    let tls = folders.map(|folder| folder.join("rsyslog/lmnsd_gtls.so")).any(|driver| driver.exists());
    let there = tls && Path::new(RSYSLOG).exists();
    if !there {
        println!("skipped: no rsyslog with GnuTLS (packages rsyslog and rsyslog-gnutls)");
    }
    there
}

/// Starts rsyslog with a certificate that is valid until then.
fn rsyslog(tap: &Tap, folder: &Path, authority: &Authority, last_year: i32) -> Service {
    let [ca, cert, key] = authority.files(folder, "server", last_year);
    let out = folder.display();
    let text = format!(
        r#"
global(workDirectory="{out}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="{ca}"
  DefaultNetstreamDriverCertFile="{cert}" DefaultNetstreamDriverKeyFile="{key}")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="whole" type="string" string="%syslogfacility-text%.%syslogseverity-text% %app-name% %msgid% %msg%\n")
input(type="imudp" address="127.0.0.1" port="5141" ruleset="udp")
input(type="imptcp" address="127.0.0.1" port="5142" ruleset="tcp")
input(type="imtcp" address="127.0.0.1" port="5143" ruleset="tls")
ruleset(name="udp") {{ action(type="omfile" file="{out}/udp.log" template="whole") }}
ruleset(name="tcp") {{ action(type="omfile" file="{out}/tcp.log" template="whole") }}
ruleset(name="tls") {{ action(type="omfile" file="{out}/tls.log" template="whole") }}
"#
    );
    let config = folder.join("rsyslog.conf");
    fs::write(&config, text).unwrap();
    Service::start(tap, folder, RSYSLOG, &["-n", "-iNONE", "-f", config.to_str().unwrap()], TLS_PORT)
}

/// A sink of rsyslog.
fn export(name: &str, transport: &str, port: u16, body: &str, more: &str) -> String {
    format!(
        "[[export]]\nname = {name:?}\nevents = [\"alert\"]\nretry_max_s = 1\n[export.syslog]\n\
         address = \"127.0.0.1:{port}\"\ntransport = {transport:?}\nbody = {body:?}\n{more}\n"
    )
}

/// The lines of a log, once there are so many.
fn lines(log: PathBuf, count: usize) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count {
            return lines;
        }
        assert!(Instant::now() < end, "{} of {count} lines in {}", lines.len(), log.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn rsyslog_understands_every_transport_and_body() {
    if !is_rsyslog_there() {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let _rsyslog = rsyslog(&tap, folder.path(), &authority, 2100);
    let tls = format!("tls = {{ {}, server_name = \"soc.example\" }}", authority.tls(folder.path()));
    let exports = [
        export("udp", "udp", 5141, "cef", "facility = 4"),
        export("tcp", "tcp", 5142, "leef", ""),
        export("tls", "tls", TLS_PORT, "eve", &tls),
    ];
    let config = config(folder.path(), &exports.concat());
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    wait_for_alerts(&sensor, 100);
    for name in ["udp", "tcp", "tls"] {
        let status = wait(&sensor, name, |status| waiting(status, name, "alerts") == 0);
        assert_eq!(sink(&status, name)["delivered"], 100);
    }
    sensor.stop().unwrap();

    let udp = lines(folder.path().join("udp.log"), 100);
    let start = format!("auth.notice vigia alert CEF:0|Vigia|Vigia|{}|1:1:0|write|4|rt=", env!("CARGO_PKG_VERSION"));
    assert!(
        udp.iter().all(|line| line.starts_with(&start) && line.contains(" src=10.0.0.1 dst=10.0.0.2 ")),
        "{}",
        udp[0]
    );
    let tcp = lines(folder.path().join("tcp.log"), 100);
    let start =
        format!("local0.notice vigia alert LEEF:2.0|Vigia|Vigia|{}|1:1:0|x09|devTime=", env!("CARGO_PKG_VERSION"));
    assert!(
        tcp.iter().all(|line| line.starts_with(&start) && line.contains("\tsrc=10.0.0.1\tdst=10.0.0.2\t")),
        "{}",
        tcp[0]
    );
    let events = events_of_rsyslog(folder.path());
    assert_eq!(by_id(&events).len(), 100);
    assert_in_order_by_flow(&events);
}

/// The events that came by TLS, once there are 100.
fn events_of_rsyslog(folder: &Path) -> Vec<Value> {
    let event = |line: &String| {
        let body = line.strip_prefix("local0.notice vigia alert ").unwrap();
        serde_json::from_str(body).unwrap()
    };
    lines(folder.join("tls.log"), 100).iter().map(event).collect()
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    if !is_rsyslog_there() {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = format!("tls = {{ {}, server_name = \"soc.example\" }}", authority.tls(folder.path()));
    let config = config(folder.path(), &export("soc", "tls", TLS_PORT, "eve", &tls));
    let (sensor, _renewed) = renewal(&tap, &config, |year| rsyslog(&tap, folder.path(), &authority, year));
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    assert_eq!(by_id(&events_of_rsyslog(folder.path())).len(), 100);
}
