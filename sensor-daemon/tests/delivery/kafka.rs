//! A topic of Kafka that a sensor publishes to, and what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers as _, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::{assert_in_order_by, by_id, journal, number};

pub const TOPIC: &str = "plant.events";
pub const PARTITIONS: i32 = 4;

/// The sink `soc`, with more settings of all sinks, and of Kafka.
pub fn export(servers: &str, shared: &str, more: &str) -> String {
    let brokers: Vec<_> = servers.split(',').collect();
    format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\ntimeout_s = 5\n{shared}\n[export.kafka]\n\
         brokers = {brokers:?}\ntopic = {TOPIC:?}\n{more}"
    )
}

/// How a client of the test's own reaches these brokers.
pub fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

/// All events of the topic, once there are so many alerts: by partitions, and in the order of each.
pub fn events(client: &ClientConfig, alerts: usize) -> Vec<Value> {
    let consumer: BaseConsumer = client.clone().set("group.id", "test").create().unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let mut found: BTreeMap<i32, Vec<Value>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut keys: BTreeMap<Vec<u8>, i32> = BTreeMap::new();
    let end = Instant::now() + Duration::from_secs(20);
    while ids.len() < alerts {
        assert!(Instant::now() < end, "{} of {alerts} alerts", ids.len());
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let message = message.unwrap();
        let event: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        let id = event["event_id"].as_str().unwrap();
        assert_eq!(message.headers().unwrap().get(0).value.unwrap(), id.as_bytes());
        let key = message.key().unwrap();
        assert_eq!(key, event["flow_id"].to_string().as_bytes());
        assert_eq!(*keys.entry(key.to_vec()).or_insert(message.partition()), message.partition(), "one place a flow");
        ids.insert(id.to_owned());
        found.entry(message.partition()).or_default().push(event);
    }
    found.into_values().flatten().collect()
}

/// Every alert of the journal is in the topic, under one id, and those of each flow in order.
pub fn assert_none_is_missing(folder: &Path, client: &ClientConfig) {
    // What was in the rings at a kill was never an alert.
    let alerts = journal(folder);
    let events = events(client, alerts.len());
    let got = by_id(&events);
    assert_eq!(got.len(), alerts.len(), "one id an event");
    let expected: BTreeSet<u64> = alerts.iter().map(number).collect();
    assert_eq!(got.into_values().collect::<BTreeSet<_>>(), expected, "none is missing");
    // To a sensor that was started anew, the flows of the same clients are others, with other keys.
    assert_in_order_by("flow_id", &events);
    println!("{} alerts, {} deliveries of them", alerts.len(), events.len());
}
