//! BACnet: the controller of a ventilation and a workstation, by bacpypes3.

use std::collections::BTreeMap;

use serde_json::Value;
use vigia_testbed::Plant;

use super::said::count;

/// Each request of the workstation, each notification that it got, and each answer.
pub fn records_are_what_the_workstation_says(records: &[Value], said: &BTreeMap<String, u64>) {
    let records = || records.iter().filter(|record| record["event_type"] == "bacnet");
    // The controller tells who it is in a datagram of its own; whose flow a search for all belongs to is the network's affair.
    let paired: Vec<_> = records()
        .filter(|record| record["src_ip"] == Plant::address("workstation") && !record["bacnet"]["response"].is_null())
        .cloned()
        .collect();
    let count = |place: &str| count(&paired, Plant::address("workstation"), "bacnet", place);
    let (reads, refused, multiple) = (said["reads"], said["refused"], said["multiple_reads"]);
    let (writes, subscriptions, notifications) = (said["writes"], said["subscriptions"], said["notifications"]);
    let expected = [
        ("confirmed_cov_notification", notifications),
        ("read_property", reads + refused),
        ("read_property_multiple", multiple),
        ("subscribe_cov", subscriptions),
        ("write_property", writes),
    ];
    assert_eq!(
        count("/bacnet/request/service"),
        BTreeMap::from(expected.map(|(name, times)| (name.to_owned(), times)))
    );
    let expected =
        [("complex_ack", reads + multiple), ("error", refused), ("simple_ack", writes + subscriptions + notifications)];
    assert_eq!(
        count("/bacnet/response/pdu_type"),
        BTreeMap::from(expected.map(|(kind, times)| (kind.to_owned(), times)))
    );
    let written: Vec<_> = paired.iter().filter_map(|record| record.pointer("/ot/points/0/value")).collect();
    assert_eq!(written, [30.5, 31.5]);
    for (fact, told) in
        [("vendor", "Acme"), ("model", "M-1"), ("firmware", "1.2"), ("serial", "S-7"), ("name", "AHU-01")]
    {
        let facts = records().filter_map(|record| record["identity"].as_array()).flatten();
        assert!(facts.clone().any(|entry| entry[fact] == told), "{fact}");
    }
}
