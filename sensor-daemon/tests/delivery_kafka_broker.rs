//! Delivery through the binary to a broker of Kafka that others wrote. Needs root, and to be told in the environment:
//!
//! - `VIGIA_KAFKA_SERVER`: the command that runs it on 127.0.0.1:9092 until it is killed. What it stores, it keeps below its folder.
//! - `VIGIA_KAFKA_SETTINGS`: further lines of `[export.kafka]`, where the broker wants TLS or a password.
//! - `VIGIA_KAFKA_CLIENT`: the same for the test's own client, properties of librdkafka (`name=value`) with spaces between them.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use delivery::kafka::{PARTITIONS, TOPIC, assert_none_is_missing, client, export};
use delivery::service::Service;
use delivery::{Clients, config, sink, wait_for_alerts, waiting};
use live::{Tap, wait};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use serde_json::Value;

const SERVER: &str = "127.0.0.1:9092";

/// Makes the topic.
fn create_topic(client: &ClientConfig) {
    let client: AdminClient<_> = client.create().unwrap();
    let topic = [NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1))];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let made = runtime.block_on(client.create_topics(&topic, &AdminOptions::new())).unwrap();
    assert!(made[0].is_ok(), "{made:?}");
}

#[test]
fn kafka_of_others_has_every_alert_though_broker_and_sensor_are_killed_again_and_again() {
    let Ok(command) = std::env::var("VIGIA_KAFKA_SERVER") else {
        println!("skipped: no broker: VIGIA_KAFKA_SERVER does not say how it is run");
        return;
    };
    let [settings, properties] =
        ["VIGIA_KAFKA_SETTINGS", "VIGIA_KAFKA_CLIENT"].map(|name| std::env::var(name).unwrap_or_default());
    let mut client = client(SERVER);
    for (name, value) in properties.split_whitespace().filter_map(|one| one.split_once('=')) {
        client.set(name, value);
    }
    let command = format!("exec {command}");
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let serve = || Service::start(&tap, folder.path(), "/bin/sh", &["-c", &command], 9092);
    let mut broker = serve();
    tap.inside(|| create_topic(&client));
    drop(broker);
    let config =
        config(folder.path(), &export(SERVER, "batch_events = 50", &format!("compression = \"lz4\"\n{settings}\n")));
    let mut clients = Clients::new(9);
    let mut sensor = tap.watch(&config);
    clients.write(&tap, 1000);
    wait_for_alerts(&sensor, 1000);
    wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
    for _ in 0..3 {
        broker = serve();
        // Both in the midst of the delivery.
        let begun = |status: &Value| sink(status, "soc")["delivered"].as_u64() > Some(0);
        clients.write(&tap, 1000);
        wait(&sensor, "some deliveries", begun);
        drop(broker);
        clients.write(&tap, 100);
        wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
        broker = serve();
        clients.write(&tap, 1000);
        wait(&sensor, "some deliveries", begun);
        sensor.signal("KILL").unwrap();
        drop(sensor);
        drop(broker);
        sensor = tap.watch(&config);
    }
    let _broker = serve();
    clients.write(&tap, 100);
    wait_for_alerts(&sensor, 100);
    let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    assert_eq!((&sink(&status, "soc")["circuit"], &sink(&status, "soc")["refused"]), (&"closed".into(), &0.into()));
    sensor.stop().unwrap();
    tap.inside(|| assert_none_is_missing(folder.path(), &client));
}
