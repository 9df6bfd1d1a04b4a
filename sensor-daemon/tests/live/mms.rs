//! MMS: an IED and a station computer, by libiec61850.

use serde_json::Value;
use vigia_testbed::Plant;

use super::said::{Said, counted};

/// The deeds of the station computer and of the engineer, and what the IED was commanded, by the intruder too.
pub fn records_are_what_the_stations_say(records: &[Value], said: &Said) {
    let of_mms: Vec<_> = records.iter().filter(|record| record["event_type"] == "mms").collect();
    let reports = of_mms.iter().filter(|record| record["mms"]["report"]["id"] == "events").count() as u64;
    assert_eq!(reports, said["station"]["reports"]);
    for host in ["station", "commissioner"] {
        let deeds =
            of_mms.iter().filter(|record| record["src_ip"] == Plant::address(host)).filter_map(|it| deed_of(it));
        let told = counted(deeds);
        // A service may take more than one exchange.
        for (deed, times) in said[host].iter().filter(|(deed, _)| *deed != "reports") {
            assert!(told.get(deed) >= Some(times), "{deed}, {times} times: {told:?}");
        }
    }
    let commands = of_mms.iter().flat_map(|record| record["mms"]["controls"].as_array()).flatten();
    assert_eq!(counted(commands.map(command_of)), said["ied"]);
    assert!(of_mms.iter().all(|record| record["vigia"].get("answered").is_none()));
}

/// What a record of MMS says was done, as the station computer writes it.
fn deed_of(record: &Value) -> Option<String> {
    let operation = record["ot"]["operation"].as_str()?;
    if record["mms"]["service"] == "get_name_list" {
        return Some("get_name_list".into());
    }
    let point = &record["ot"]["points"][0];
    let target = point["target"].as_str()?;
    let refused = record["mms"]["results"][0].get("error").is_some();
    Some(match (&point["value"], refused) {
        (_, true) => format!("refused {target}"),
        (Value::Null, _) => format!("{operation} {target}"),
        (value, _) => format!("{operation} {target} = {value}"),
    })
}

/// A command as the IED writes what it was commanded.
fn command_of(command: &Value) -> String {
    let truth = |value: &Value| if value == true { "True" } else { "False" };
    let (value, number, test) = (truth(&command["value"]), &command["number"], truth(&command["test"]));
    format!("operate {value} {number} b'{}' {test}", command["originator"].as_str().unwrap_or_default())
}
