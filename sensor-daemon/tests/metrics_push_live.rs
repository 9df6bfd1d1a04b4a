//! Metrics that are sent through the binary: to a server that is busy, stalls or refuses, and to Debian's Prometheus.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use delivery::authority::Authority;
use delivery::protobuf::{Any, MetricsRequest, WriteRequest, attribute, partial_success};
use delivery::server::{Request, Security, Server};
use delivery::service::Service;
use delivery::{Clients, TRACE, assert_secrets_are_kept, config, journal_of, wait_for_alerts};
use live::{Tap, series, wait};
use prost::Message as _;
use serde_json::Value;
use vigia::journal::Stream;

const PORT: u16 = 9090;

fn push(format: &str, url: &str, more: &str) -> String {
    format!(
        "[[metrics.push]]\nname = \"up\"\nformat = {format:?}\nurl = \"http://127.0.0.1:{PORT}{url}\"\ninterval_s = 1\n\
         retry_max_s = 1\ntimeout_s = 1\n{more}\n[sensor]\nname = \"planta\"\n"
    )
}

fn outcome(status: &Value, outcome: &str) -> u64 {
    series(status, &format!("vigia_push_samples_total{{push=\"up\",outcome=\"{outcome}\"}}"))
}

/// Samples of the series of a name that a request of remote write holds: labels beside the name, time in ms, value.
fn samples(request: &Request, name: &str) -> Vec<(BTreeMap<String, String>, i64, f64)> {
    let request = WriteRequest::decode(&request.body[..]).unwrap();
    let of_name = request.timeseries.iter().filter(|series| series.label("__name__") == name);
    let one = |series: &delivery::protobuf::TimeSeries| {
        let labels = series.labels.iter().filter(|label| label.name != "__name__");
        let labels = labels.map(|label| (label.name.clone(), label.value.clone())).collect();
        (labels, series.samples[0].timestamp, series.samples[0].value)
    };
    of_name.map(one).collect()
}

#[test]
fn states_that_could_not_be_written_wait_and_fill_the_hole_of_an_outage() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &push("remote_write", "/api/v1/write", ""));
    let asked = AtomicUsize::new(0);
    let server = Server::start(&tap, PORT, Default::default(), move |_| match asked.fetch_add(1, Relaxed) {
        0 => Some((429, "Retry-After: 1\r\n", String::new())),
        1 => Some((500, "", String::new())),
        2 => None,
        _ => Some((204, "", String::new())),
    });
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 30);
    wait_for_alerts(&sensor, 30);
    let status = wait(&sensor, "four states", |status| {
        outcome(status, "delivered") > 4 * series(status, "vigia_push_waiting_samples{push=\"up\"}").max(200)
    });
    assert_eq!((outcome(&status, "refused"), outcome(&status, "dropped")), (0, 0));
    assert!(series(&status, "vigia_push_failures_total{push=\"up\"}") >= 3);
    sensor.stop().unwrap();

    let requests = server.requests();
    let headers = ["content-type", "content-encoding", "x-prometheus-remote-write-version"];
    for request in &requests {
        assert_eq!(request.path, "/api/v1/write");
        let told = headers.map(|name| request.header(name).unwrap());
        assert_eq!(told, ["application/x-protobuf", "snappy", "0.1.0"]);
        for series in WriteRequest::decode(&request.body[..]).unwrap().timeseries {
            let names: Vec<_> = series.labels.iter().map(|label| &label.name).collect();
            assert!(names.is_sorted() && names.len() == BTreeSet::from_iter(&names).len(), "{names:?}");
            assert_eq!((series.label("job"), series.label("instance")), ("vigia", "planta"));
            assert_eq!(series.samples.len(), 1);
        }
    }
    // The first three tries were of the first state; each state is there, second by second, in order.
    let taken = &requests[3..];
    let times: Vec<_> = taken.iter().flat_map(|one| samples(one, "vigia_workers")).map(|(_, time, _)| time).collect();
    assert!(times.is_sorted() && times.windows(2).all(|pair| pair[1] - pair[0] < 1500), "{times:?}");
    // The last value stays; then the series is marked as ended.
    // Of each alert it is counted how soon it was in the journal.
    for name in ["vigia_journal_events_total", "vigia_packet_to_journal_seconds_count"] {
        let alerts: Vec<_> = taken.iter().flat_map(|one| samples(one, name)).collect();
        let alerts: Vec<_> = alerts.into_iter().filter(|(labels, ..)| labels["stream"] == "alerts").collect();
        let [.., (_, _, last), (_, _, end)] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!((*last, end.to_bits()), (30.0, 0x7ff0_0000_0000_0002), "{name}");
    }
    // Histograms are spread out.
    let buckets = samples(&taken[0], "vigia_journal_sync_seconds_bucket");
    let bounds: Vec<_> = buckets.iter().filter(|one| one.0["stream"] == "alerts").map(|one| &*one.0["le"]).collect();
    assert_eq!((bounds[0], bounds[16], bounds[18], bounds.len()), ("0.0001", "1", "+Inf", 19));
    let of_two = |name| samples(&taken[0], name).len();
    assert_eq!((of_two("vigia_journal_sync_seconds_sum"), of_two("vigia_journal_sync_seconds_count")), (2, 2));
}

#[test]
fn what_a_server_will_never_take_is_dropped_and_counted_and_what_is_too_much_to_hold_too() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &push("remote_write", "/api/v1/write", "waiting_bytes = 65536"));
    let answer = Arc::new(AtomicU16::new(400));
    let told = Arc::clone(&answer);
    let _server = Server::start(&tap, PORT, Default::default(), move |_| Some((told.load(Relaxed), "", String::new())));
    let sensor = tap.watch(&config);
    let status = wait(&sensor, "a refusal", |status| outcome(status, "refused") > 0);
    assert_eq!(outcome(&status, "delivered"), 0);
    answer.store(503, Relaxed);
    let status = wait(&sensor, "too much", |status| outcome(status, "dropped") > 0);
    assert!(series(&status, "vigia_push_waiting_bytes{push=\"up\"}") <= 65_536);
    answer.store(204, Relaxed);
    wait(&sensor, "all of it", |status| {
        outcome(status, "delivered") > 0 && series(status, "vigia_push_waiting_samples{push=\"up\"}") == 0
    });
    sensor.stop().unwrap();
}

#[test]
fn a_receiver_of_otlp_gets_the_same_numbers() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &push("otlp", "", ""));
    let asked = AtomicUsize::new(0);
    let server = Server::start(&tap, PORT, Default::default(), move |_| match asked.fetch_add(1, Relaxed) {
        0 => Some((503, "", String::new())),
        1 => Some((200, "", partial_success(3, "no"))),
        _ => Some((200, "", String::new())),
    });
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 30);
    wait_for_alerts(&sensor, 30);
    let status = wait(&sensor, "two states", |status| outcome(status, "delivered") > 500);
    assert_eq!(outcome(&status, "refused"), 3);
    sensor.stop().unwrap();
    let last = server.requests().pop().unwrap();
    assert_eq!((&*last.path, last.header("content-type")), ("/v1/metrics", Some("application/x-protobuf")));
    let told = MetricsRequest::decode(&last.body[..]).unwrap();
    let of = &told.resource_metrics[0];
    let instance = attribute(&of.resource.as_ref().unwrap().attributes, "service.instance.id");
    assert_eq!(instance, Some(&Any::Text("planta".to_owned())));
    let metrics = &of.scope_metrics[0].metrics;
    let sum = metrics.iter().find(|metric| metric.name == "vigia_journal_events_total").unwrap().sum.as_ref().unwrap();
    let of_alerts = |attributes: &[_]| attribute(attributes, "stream") == Some(&Any::Text("alerts".to_owned()));
    let point = sum.data_points.iter().find(|point| of_alerts(&point.attributes)).unwrap();
    assert_eq!(point.as_double, Some(30.0));
}

/// What the events of health tell of the server.
fn told_of(folder: &Path) -> Vec<Value> {
    let events = journal_of(folder, Stream::Records);
    events.into_iter().map(|mut event| event["health"].take()).filter(|health| health["push"] == "up").collect()
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    for (format, path) in [("remote_write", "/api/v1/write"), ("otlp", "/v1/metrics")] {
        let Some(tap) = Tap::new() else { return };
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let token = folder.path().join("token");
        std::fs::write(&token, "s3cret\n").unwrap();
        let tls = format!("tls = {{ {}, server_name = \"soc.example\" }}\n", authority.tls(folder.path()));
        let more = format!("{tls}token_file = {token:?}\n");
        let url = if format == "otlp" { "" } else { path };
        let push = push(format, url, &more).replace("http://", "https://") + TRACE;
        let config = config(folder.path(), &push);
        let security: Security = Arc::new(Mutex::new(Some(authority.server(2001))));
        let server = Server::start(&tap, PORT, Arc::clone(&security), |_| Some((200, "", String::new())));
        let sensor = tap.watch(&config);
        let expiry = |status: &Value, of: &str| {
            series(status, &format!("vigia_push_certificate_expiry_seconds{{push=\"up\",certificate={of:?}}}"))
        };
        let failures = "vigia_push_failures_total{push=\"up\"}";
        let status = wait(&sensor, "two tries", |status| series(status, failures) >= 2);
        assert!(sensor.whole_log().to_lowercase().contains("expired"), "{}", sensor.log());
        assert_eq!((expiry(&status, "push"), expiry(&status, "own")), (978_307_200, 4_102_444_800));
        assert_eq!((outcome(&status, "delivered"), server.requests().len()), (0, 0));
        // It is looked at now and then, and told of as it is then.
        wait(&sensor, "the event", |_| !told_of(folder.path()).is_empty());
        *security.lock().unwrap() = Some(authority.server(2100));
        let status = wait(&sensor, "what waited", |status| {
            outcome(status, "delivered") > 0 && series(status, "vigia_push_waiting_samples{push=\"up\"}") == 0
        });
        assert_eq!((expiry(&status, "push"), outcome(&status, "refused")), (4_102_444_800, 0));
        assert_secrets_are_kept(&sensor);
        sensor.stop().unwrap();
        let requests = server.requests();
        assert!(requests.iter().all(|request| request.path == path));
        assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer s3cret")));
        let expected = serde_json::json!({
            "kind": "certificate-expires", "push": "up", "certificate": "push",
            "expires": "2001-01-01T00:00:00.000000+0000"
        });
        assert_eq!(told_of(folder.path()), [expected], "told once");
    }
}

/// What Prometheus answers to a query: labels and value of each series.
fn query(tap: &Tap, query: &str) -> Vec<(Value, f64)> {
    let mut answer = String::new();
    tap.inside(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT)).unwrap();
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut answer).unwrap();
    });
    // It listens before it is ready.
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if !head.starts_with("HTTP/1.0 200") {
        return Vec::new();
    }
    let body: Value = serde_json::from_str(body).unwrap();
    let series = body["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let value = |one: &Value| one["value"][1].as_str().unwrap().parse().unwrap();
    series.iter().map(|one| (one["metric"].clone(), value(one))).collect()
}

const PROMETHEUS: &str = "/usr/bin/prometheus";

#[test]
fn prometheus_knows_what_was_written_until_the_sensor_ends() {
    if !Service::is_there(PROMETHEUS) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prometheus.yml"), "").unwrap();
    let listen = format!("--web.listen-address=127.0.0.1:{PORT}");
    let arguments =
        ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-remote-write-receiver", &listen];
    let config = config(folder.path(), &push("remote_write", "/api/v1/write", ""));
    // It is away when the sensor starts.
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 30);
    wait_for_alerts(&sensor, 30);
    wait(&sensor, "a try", |status| series(status, "vigia_push_failures_total{push=\"up\"}") > 1);
    let _server = Service::start(&tap, folder.path(), PROMETHEUS, &arguments, PORT);
    let patience = Instant::now() + Duration::from_secs(30);
    let alerts = "vigia_journal_events_total%7Bstream=%22alerts%22%7D";
    loop {
        let found = query(&tap, alerts);
        if let [(labels, 30.0)] = &found[..] {
            assert_eq!((&labels["job"], &labels["instance"]), (&"vigia".into(), &"planta".into()));
            break;
        }
        assert!(Instant::now() < patience, "{found:?}\n{}", sensor.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let status =
        wait(&sensor, "nothing that waits", |status| series(status, "vigia_push_waiting_samples{push=\"up\"}") == 0);
    assert_eq!((outcome(&status, "refused"), outcome(&status, "dropped")), (0, 0));
    let buckets = query(&tap, "vigia_journal_sync_seconds_bucket%7Bstream=%22alerts%22%7D");
    assert_eq!(buckets.len(), 19);
    // The first state, of before the server was there, is there too.
    let states = query(&tap, "count_over_time(vigia_workers%5B5m%5D)");
    assert!(states[0].1 >= 2.0, "{states:?}");
    sensor.stop().unwrap();
    assert_eq!(query(&tap, alerts), [], "its series have ended");
}
