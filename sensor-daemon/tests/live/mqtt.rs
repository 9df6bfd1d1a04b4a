//! MQTT with Sparkplug: an edge node and its host, by paho-mqtt and pysparkplug, at mosquitto.

use std::collections::BTreeMap;

use serde_json::Value;
use vigia_testbed::Plant;

use super::said::{Said, counted, python_text};

/// Each client that mosquitto let in, and each message that it took or gave.
pub fn records_are_what_the_broker_says(records: &[Value], log: &BTreeMap<String, u64>) {
    let mut logged = BTreeMap::<_, u64>::new();
    for (line, times) in log {
        let words: Vec<_> = line.split([' ', ',', '(', ')', '\'']).filter(|word| !word.is_empty()).collect();
        let key = match words[..] {
            ["Received" | "Sending", "PUBLISH", _, client, duplicate, quality, retain, id, topic, ..] => {
                format!("{client} {duplicate} {quality} {retain} {id} {topic}")
            }
            ["Sending", "CONNACK", _, client, _, code] => format!("{client} connected {code}"),
            _ => continue,
        };
        *logged.entry(key).or_default() += times;
    }
    let told = records.iter().filter_map(|record| {
        let (client, packet) = (client_of(record)?, &record["mqtt"]["publish"]);
        if let Some(code) = record["mqtt"]["connack"]["return_code"].as_u64() {
            return Some(format!("{client} connected {code}"));
        }
        let [duplicate, retain] = ["dup", "retain"].map(|flag| u8::from(packet[flag] == true));
        let (topic, id) = (packet["topic"].as_str()?, packet["message_id"].as_u64().unwrap_or_default());
        Some(format!("{client} d{duplicate} q{} r{retain} m{id} {topic}", packet["qos"]))
    });
    assert_eq!(counted(told), logged);
}

/// The client of a record of MQTT: the name that it connects with is that of its host.
fn client_of(record: &Value) -> Option<&'static str> {
    let source = record["mqtt"].as_object().and(record["src_ip"].as_str())?;
    Plant::hosts().find(|(_, address)| *address == source).map(|(host, _)| host)
}

/// Each metric of Sparkplug, as the edge node told it and as its host was told.
pub fn metrics_are_what_the_stations_say(records: &[Value], said: &Said) {
    for host in ["edge", "host"] {
        let payloads = records.iter().filter(|record| client_of(record) == Some(host));
        let metrics =
            payloads.map(|record| &record["mqtt"]["sparkplug"]).filter(|payload| payload["message"] != "ndeath");
        let told = metrics.flat_map(|payload| {
            let kind = payload["message"].as_str().unwrap_or_default().to_uppercase();
            let metrics = payload["metrics"].as_array().into_iter().flatten();
            metrics.map(move |metric| {
                format!("{kind} {} = {}", python_text(&metric["name"]), python_text(&metric["value"]))
            })
        });
        assert_eq!(counted(told), said[host], "{host}");
    }
}
