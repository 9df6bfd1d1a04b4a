//! Delivery to Debian's nats-server through the binary: away, without a stream, with one, and all of it again.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::path::Path;

use async_nats::jetstream::{self, consumer, stream};
use delivery::authority::Authority;
use delivery::outage::{self, Told};
use delivery::service::Service;
use delivery::{
    Clients, TRACE, assert_in_order_by_flow, assert_secrets_are_kept, by_id, config, error, parked, renewal, sink,
    wait_for_alerts, waiting,
};
use futures_util::StreamExt as _;
use live::{Tap, wait};
use serde_json::Value;

const PROGRAM: &str = "/usr/sbin/nats-server";
const PORT: u16 = 4222;

fn start(tap: &Tap, folder: &Path) -> Service {
    start_with(tap, folder, &["--user", "vigia", "--pass", "s3cret"])
}

fn start_with(tap: &Tap, folder: &Path, more: &[&str]) -> Service {
    let arguments = [&["-js", "-sd", "store", "-a", "127.0.0.1", "-p", "4222"], more].concat();
    Service::start(tap, folder, PROGRAM, &arguments, PORT)
}

/// Does something with the server's JetStream.
fn with<T: Send>(tap: &Tap, work: impl AsyncFnOnce(jetstream::Context) -> T + Send) -> T {
    tap.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = async_nats::ConnectOptions::with_user_and_password("vigia".into(), "s3cret".into());
            work(jetstream::new(options.connect("nats://127.0.0.1:4222").await.unwrap())).await
        })
    })
}

fn stream(name: &str, max_message_size: i32) -> stream::Config {
    let subjects = vec!["plant.events".to_owned()];
    stream::Config { name: name.to_owned(), subjects, max_message_size, ..Default::default() }
}

/// All messages of a stream: their ids, and the events in them.
async fn messages(context: &jetstream::Context, name: &str) -> Vec<(String, Value)> {
    let mut stream = context.get_stream(name).await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let mut messages = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let id = message.headers.get("Nats-Msg-Id").unwrap().as_str().to_owned();
        messages.push((id, serde_json::from_slice(&message.payload).unwrap()));
    }
    messages
}

/// What was stored.
async fn stored(context: &jetstream::Context, name: &str) -> Vec<Told> {
    let mut stream = context.get_stream(name).await.unwrap();
    let count = stream.info().await.unwrap().state.messages as usize;
    let settings = consumer::pull::Config { ack_policy: consumer::AckPolicy::None, ..Default::default() };
    let consumer = stream.create_consumer(settings).await.unwrap();
    let mut messages = consumer.stream().max_messages_per_batch(1000).messages().await.unwrap();
    let mut told = Vec::with_capacity(count);
    while told.len() < count {
        told.push(Told::of(&messages.next().await.unwrap().unwrap().payload));
    }
    told
}

#[test]
fn nothing_is_missing_after_an_outage_in_which_the_sensor_was_killed_again_and_again() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let export = export(folder.path()).replace("batch_events = 50\n", "");
    let config = outage::config(folder.path(), &export);
    let _server = outage::survive(&tap, &config, || {
        let server = start(&tap, folder.path());
        with(&tap, async |context| drop(context.create_stream(stream("OT", -1)).await.unwrap()));
        server
    });
    outage::assert_none_is_missing(folder.path(), &with(&tap, async |context| stored(&context, "OT").await));
}

#[test]
fn an_expired_certificate_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = format!("tls = {{ {} }}\n", authority.tls(folder.path()));
    let config = config(folder.path(), &(export(folder.path()).replace("nats://", "tls://") + &tls));
    let serve = |last_year| {
        let [ca, cert, key] = authority.files(folder.path(), "server", last_year);
        start_with(&tap, folder.path(), &["--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key])
    };
    let (sensor, _renewed) = renewal(&tap, &config, serve);
    // It is there, and takes the certificate: what is wanting now is a stream.
    wait(&sensor, "the want of a stream", |status| error(status).contains("no stream"));
    sensor.stop().unwrap();
}

fn export(folder: &Path) -> String {
    fs::write(folder.join("password"), "s3cret\n").unwrap();
    format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\nbatch_events = 50\n[export.nats]\n\
         url = \"nats://127.0.0.1:{PORT}\"\nsubject = \"plant.events\"\nuser = \"vigia\"\npassword_file = {:?}\n",
        folder.join("password")
    )
}

#[test]
fn a_stream_stores_every_alert_once_however_often_it_is_delivered() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &(export(folder.path()) + TRACE));
    let mut clients = Clients::new(3);
    let sensor = tap.watch(&config);
    clients.write(&tap, 300);
    wait_for_alerts(&sensor, 300);
    wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");

    let server = start(&tap, folder.path());
    let told = |status: &Value| sink(status, "soc")["error"].as_str().unwrap_or_default().contains("no stream");
    wait(&sensor, "the want of a stream", told);
    with(&tap, async |context| drop(context.create_stream(stream("OT", -1)).await.unwrap()));
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);

    // The server goes and comes back with what it stored.
    drop(server);
    clients.write(&tap, 100);
    wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
    let _server = start(&tap, folder.path());
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!(sink(&status, "soc")["delivered"], 400);
    sensor.stop().unwrap();

    // Without its cursor the sensor delivers all of it again.
    fs::remove_file(folder.path().join("journal/delivery/soc.cursor")).unwrap();
    let sensor = tap.watch(&config);
    wait(&sensor, "all of it", |status| sink(status, "soc")["delivered"] == 400);
    assert_secrets_are_kept(&sensor);
    sensor.stop().unwrap();
    let stored = with(&tap, async |context| messages(&context, "OT").await);
    assert!(stored.iter().all(|(id, event)| event["event_id"] == id.as_str()));
    let events: Vec<Value> = stored.into_iter().map(|(_, event)| event).collect();
    assert_eq!((events.len(), by_id(&events).len()), (400, 400));
    assert_in_order_by_flow(&events);
}

#[test]
fn what_is_too_long_for_a_stream_is_parked_with_its_answer() {
    if !Service::is_there(PROGRAM) {
        return;
    }
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let _server = start(&tap, folder.path());
    with(&tap, async |context| drop(context.create_stream(stream("SHORT", 100)).await.unwrap()));
    let config = config(folder.path(), &export(folder.path()));
    let sensor = tap.watch(&config);
    Clients::new(1).write(&tap, 20);
    let status = wait(&sensor, "the refusals", |status| sink(status, "soc")["refused"] == 20);
    assert_eq!((&sink(&status, "soc")["delivered"], waiting(&status, "soc", "alerts")), (&0.into(), 0));
    sensor.stop().unwrap();
    let parked = parked(folder.path());
    assert_eq!(parked.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(parked.iter().all(|(_, answer)| answer.contains("exceeds")), "{:?}", parked[0]);
}
