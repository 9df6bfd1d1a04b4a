//! Delivery to librdkafka's mock cluster through the binary: brokers that are down, refuse, or show the wrong certificate.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use delivery::authority::Authority;
use delivery::{
    Clients, assert_in_order_by, assert_in_order_by_flow, by_id, config, error, journal, number, parked, sink,
    wait_for_alerts, waiting,
};
use live::{Tap, wait};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers as _, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

const TOPIC: &str = "plant.events";
const PARTITIONS: i32 = 4;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(brokers: i32) -> Cluster {
    let cluster = MockCluster::new(brokers).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, brokers).unwrap();
    cluster
}

fn export(cluster: &Cluster, shared: &str, more: &str) -> String {
    let servers = cluster.bootstrap_servers();
    let brokers: Vec<_> = servers.split(',').collect();
    format!(
        "[[export]]\nname = \"soc\"\nevents = [\"alert\"]\nretry_max_s = 1\ntimeout_s = 5\n{shared}\n[export.kafka]\n\
         brokers = {brokers:?}\ntopic = {TOPIC:?}\n{more}"
    )
}

/// All events of the topic, once there are so many alerts: by partitions, and in the order of each.
fn events(cluster: &Cluster, alerts: usize) -> Vec<Value> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    let consumer: BaseConsumer = config.create().unwrap();
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

#[test]
fn kafka_gets_every_alert_after_an_outage_in_which_the_sensor_was_killed() {
    let Some(tap) = Tap::new() else { return };
    tap.inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(3);
        let up =
            |up: bool| (1..=3).for_each(|id| if up { cluster.broker_up(id) } else { cluster.broker_down(id) }.unwrap());
        let config = config(folder.path(), &export(&cluster, "batch_events = 50", "compression = \"lz4\"\n"));
        let mut clients = Clients::new(9);
        up(false);
        let sensor = tap.watch(&config);
        clients.write(&tap, 300);
        wait_for_alerts(&sensor, 300);
        let status = wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
        assert!(error(&status).contains("Connection refused"), "{}", error(&status));
        sensor.signal("KILL").unwrap();
        drop(sensor);

        up(true);
        let mut sensor = tap.watch(&config);
        // Killed while it delivers, too.
        for _ in 0..3 {
            clients.write(&tap, 200);
            wait(&sensor, "some deliveries", |status| sink(status, "soc")["delivered"].as_u64() > Some(0));
            sensor.signal("KILL").unwrap();
            drop(sensor);
            sensor = tap.watch(&config);
        }
        clients.write(&tap, 50);
        wait_for_alerts(&sensor, 50);
        let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        assert_eq!(sink(&status, "soc")["circuit"], "closed");

        // The brokers go again, while it is connected.
        up(false);
        clients.write(&tap, 50);
        wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
        up(true);
        wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        sensor.stop().unwrap();

        // What was in the rings at a kill was never an alert.
        let alerts = journal(folder.path());
        let events = events(&cluster, alerts.len());
        let got = by_id(&events);
        assert_eq!(got.len(), alerts.len(), "one id an event");
        let expected: BTreeSet<u64> = alerts.iter().map(number).collect();
        assert_eq!(got.into_values().collect::<BTreeSet<_>>(), expected, "none is missing");
        // To a sensor that was started anew, the flows of the same clients are others, with other keys.
        assert_in_order_by("flow_id", &events);
        println!("{} alerts, {} deliveries of them", alerts.len(), events.len());
    });
}

#[test]
fn what_kafka_refuses_is_looked_for_by_halves_and_parked() {
    let Some(tap) = Tap::new() else { return };
    tap.inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(1);
        let config = config(folder.path(), &export(&cluster, "batch_events = 64", "compression = \"zstd\"\n"));
        cluster.broker_down(1).unwrap();
        let sensor = tap.watch(&config);
        // One client, so one partition: each try is one request.
        Clients::new(1).write(&tap, 200);
        wait_for_alerts(&sensor, 200);
        wait(&sensor, "a try", |status| sink(status, "soc")["circuit"] == "open");
        // 64, 32, 16, 8, 4, 2, and one alone.
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        cluster.request_errors(RDKafkaApiKey::Produce, &[refusal; 7]);
        cluster.broker_up(1).unwrap();
        let status = wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        assert_eq!((&sink(&status, "soc")["refused"], &sink(&status, "soc")["delivered"]), (&1.into(), &199.into()));
        sensor.stop().unwrap();
        let parked = parked(folder.path());
        assert_eq!(parked.len(), 1);
        assert!(parked[0].0 == 0 && parked[0].1.contains("too large"), "{parked:?}");
        let events = events(&cluster, 199);
        assert_eq!(by_id(&events).into_values().collect::<BTreeSet<_>>(), (1..200).collect());
        assert_in_order_by_flow(&events);
    });
}

/// A way to the cluster by TLS: inside, at the place that the broker tells of itself, which is outside.
fn secure(tap: &Tap, cluster: &Cluster, security: Arc<Mutex<Arc<ServerConfig>>>) {
    let place = cluster.bootstrap_servers();
    let listener = tap.inside(|| TcpListener::bind(&place).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&security.lock().unwrap())).unwrap();
            let (stream, broker) = (stream.unwrap(), TcpStream::connect(&place).unwrap());
            std::thread::spawn(move || relay(StreamOwned::new(connection, stream), broker));
        }
    });
}

/// Carries bytes both ways until one end is gone.
fn relay(mut client: StreamOwned<ServerConnection, TcpStream>, mut broker: TcpStream) -> Option<()> {
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock).ok()?;
    }
    client.sock.set_nonblocking(true).unwrap();
    broker.set_nonblocking(true).unwrap();
    let mut block = vec![0; 1 << 16];
    let mut carry = |from: &mut dyn Read, to: &mut dyn Write| {
        match from.read(&mut block) {
            Ok(0) => return None,
            Ok(length) => {
                let mut rest = &block[..length];
                while !rest.is_empty() {
                    match to.write(rest) {
                        Ok(written) => rest = &rest[written..],
                        Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                        Err(_) => return None,
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        Some(())
    };
    loop {
        carry(&mut client, &mut broker)?;
        carry(&mut broker, &mut client)?;
        let _ = client.flush();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_expired_certificate_of_kafka_is_not_accepted_and_a_renewed_one_is_without_a_restart() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(1);
    let authority = Authority::new();
    let tls = format!("tls = {{ {} }}\n", authority.tls(folder.path()));
    let config = config(folder.path(), &export(&cluster, "", &tls));
    let security = Arc::new(Mutex::new(authority.server(2001)));
    secure(&tap, &cluster, Arc::clone(&security));
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    let status = wait(&sensor, "the refusal", |status| error(status).contains("certificate verify failed"));
    assert_eq!(sink(&status, "soc")["delivered"], 0);
    *security.lock().unwrap() = authority.server(2100);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    let events = events(&cluster, 100);
    assert_eq!(by_id(&events).len(), 100);
    assert_in_order_by_flow(&events);
}

#[test]
fn kafka_that_stalls_gets_the_same_events_until_it_answers() {
    let Some(tap) = Tap::new() else { return };
    tap.inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(1);
        let config = config(folder.path(), &export(&cluster, "batch_events = 50", ""));
        cluster.broker_round_trip_time(1, Duration::from_secs(60)).unwrap();
        let sensor = tap.watch(&config);
        Clients::new(2).write(&tap, 100);
        let status = wait(&sensor, "two tries", |status| sink(status, "soc")["failures"].as_u64() >= Some(2));
        assert_eq!((&sink(&status, "soc")["delivered"], waiting(&status, "soc", "alerts")), (&0.into(), 100));
        assert!(error(&status).contains("no answer within 5 s"), "{}", error(&status));
        cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
        wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        sensor.stop().unwrap();
        let events = events(&cluster, 100);
        assert_eq!(by_id(&events).len(), 100);
        assert_in_order_by_flow(&events);
    });
}
