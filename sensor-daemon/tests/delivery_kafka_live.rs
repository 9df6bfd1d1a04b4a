//! Delivery to librdkafka's mock cluster through the binary: brokers that are down, refuse, or show the wrong certificate.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use delivery::authority::Authority;
use delivery::kafka::{PARTITIONS, TOPIC, assert_none_is_missing, client, events, export};
use delivery::{Clients, assert_in_order_by_flow, by_id, config, error, parked, sink, wait_for_alerts, waiting};
use live::{Tap, wait};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// One test at a time. What another test starts has, until it runs its own program, the listeners of all brokers; and a broker
/// that goes down meanwhile cannot have its port again, which ends the process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cluster(brokers: i32) -> Cluster {
    let cluster = MockCluster::new(brokers).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, brokers).unwrap();
    cluster
}

#[test]
fn kafka_gets_every_alert_after_an_outage_in_which_the_sensor_was_killed() {
    let _alone = alone();
    let Some(tap) = Tap::new() else { return };
    tap.inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(3);
        let up =
            |up: bool| (1..=3).for_each(|id| if up { cluster.broker_up(id) } else { cluster.broker_down(id) }.unwrap());
        let config = config(
            folder.path(),
            &export(&cluster.bootstrap_servers(), "batch_events = 50", "compression = \"lz4\"\n"),
        );
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

        assert_none_is_missing(folder.path(), &client(&cluster.bootstrap_servers()));
    });
}

#[test]
fn what_kafka_refuses_is_looked_for_by_halves_and_parked() {
    let _alone = alone();
    let Some(tap) = Tap::new() else { return };
    tap.inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(1);
        let config = config(
            folder.path(),
            &export(&cluster.bootstrap_servers(), "batch_events = 64", "compression = \"zstd\"\n"),
        );
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
        let events = events(&client(&cluster.bootstrap_servers()), 199);
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
    let _alone = alone();
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(1);
    let authority = Authority::new();
    let tls = format!("tls = {{ {} }}\n", authority.tls(folder.path()));
    let config = config(folder.path(), &export(&cluster.bootstrap_servers(), "", &tls));
    let security = Arc::new(Mutex::new(authority.server(2001)));
    secure(&tap, &cluster, Arc::clone(&security));
    let sensor = tap.watch(&config);
    Clients::new(2).write(&tap, 100);
    let status = wait(&sensor, "the refusal", |status| error(status).contains("certificate verify failed"));
    assert_eq!(sink(&status, "soc")["delivered"], 0);
    *security.lock().unwrap() = authority.server(2100);
    wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
    sensor.stop().unwrap();
    let events = events(&client(&cluster.bootstrap_servers()), 100);
    assert_eq!(by_id(&events).len(), 100);
    assert_in_order_by_flow(&events);
}

#[test]
fn kafka_that_stalls_gets_the_same_events_until_it_answers() {
    let _alone = alone();
    let Some(tap) = Tap::new() else { return };
    tap.inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(1);
        let config = config(folder.path(), &export(&cluster.bootstrap_servers(), "batch_events = 50", ""));
        cluster.broker_round_trip_time(1, Duration::from_secs(60)).unwrap();
        let sensor = tap.watch(&config);
        Clients::new(2).write(&tap, 100);
        let status = wait(&sensor, "two tries", |status| sink(status, "soc")["failures"].as_u64() >= Some(2));
        assert_eq!((&sink(&status, "soc")["delivered"], waiting(&status, "soc", "alerts")), (&0.into(), 100));
        assert!(error(&status).contains("no answer within 5 s"), "{}", error(&status));
        cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
        wait(&sensor, "the end of the lag", |status| waiting(status, "soc", "alerts") == 0);
        sensor.stop().unwrap();
        let events = events(&client(&cluster.bootstrap_servers()), 100);
        assert_eq!(by_id(&events).len(), 100);
        assert_in_order_by_flow(&events);
    });
}
