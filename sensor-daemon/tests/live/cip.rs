//! EtherNet/IP and CIP: a controller and its SCADA, by cpppo.

use serde_json::Value;
use vigia_testbed::Plant;

use super::said::{Said, counted, python_text};

/// Each service that the SCADA asked for with its outcome, and each tag that was read or written at the controller.
pub fn records_are_what_the_stations_say(records: &[Value], said: &Said) {
    let services = records.iter().filter(|record| record["event_type"] == "cip");
    let succeeded = |record: &&Value| record["cip"]["status"] == "success";
    let of_scada = services.clone().filter(|record| record["src_ip"] == Plant::address("scada"));
    // What carries others is not what was asked for, and the closing of the connection is the library's affair.
    let carriers = ["unconnected_send", "multiple_service_packet", "forward_close"];
    let asked = of_scada.filter(|record| carriers.iter().all(|carrier| record["cip"]["service"] != *carrier));
    let asked = asked.map(|record| {
        let outcome = if succeeded(&record) { "success" } else { "refused" };
        format!("{} {outcome}", python_text(&record["cip"]["service"]))
    });
    let found = records.iter().map(|record| &record["enip"]["response"]["identity"]["product_name"]);
    let found = found.filter_map(|name| Some(format!("identity {}", name.as_str()?)));
    assert_eq!(counted(asked.chain(found)), said["scada"]);
    let done = services.filter(succeeded).filter_map(|record| {
        let verb = record["cip"]["service"].as_str()?.strip_suffix("_tag")?;
        let tag = record["cip"]["path"].as_str()?.split('[').next()?;
        Some(format!("{verb} {tag} {}", python_text(&record["cip"]["values"])))
    });
    assert_eq!(counted(done), said["line"]);
    for (fact, told) in [("model", "1756-L61/B LOGIX5561"), ("firmware", "20.11")] {
        let facts = records.iter().filter_map(|record| record["identity"].as_array()).flatten();
        assert!(facts.clone().any(|entry| entry[fact] == told && entry["of"] == "server"), "{fact}");
    }
}
