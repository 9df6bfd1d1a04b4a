//! IEC 104: a remote terminal unit and its control centre, by c104.

use serde_json::Value;
use vigia_testbed::Plant;

use super::said::{Said, counted, lines, python_text};

/// Each ASDU that the control centre got or sent, each value that it was told, and each command that came to the station.
pub fn records_are_what_the_stations_say(records: &[Value], said: &Said) {
    let asdus = records.iter().filter(|record| record["iec104"]["format"] == "i");
    let of_centre = asdus.clone().filter(|record| record["src_ip"] == Plant::address("centre"));
    let line = |record: &Value, way: &str| {
        let asdu = &record["iec104"];
        let cause = match asdu["cause"].as_str().unwrap_or_default() {
            "activation_confirmation" if way == "sent" => "ACTIVATION".into(),
            "activation_confirmation" => "ACTIVATION_CON".into(),
            "unknown_information_object_address" => "UNKNOWN_IOA".into(),
            cause => cause.to_uppercase(),
        };
        let (kind, negative) = (python_text(&asdu["type"]).to_uppercase(), python_text(&asdu["negative"]));
        let negative = if way == "sent" { "False".into() } else { negative };
        format!("{way} {kind} {cause} {negative} {} {}", asdu["common_address"], asdu["objects"][0]["address"])
    };
    let centre = &said["centre"];
    assert_eq!(counted(of_centre.clone().map(|record| line(record, "got"))), lines(centre, "got "));
    // An activation and its confirmation are one record, with the time between them.
    let answered = of_centre.clone().filter(|record| record["vigia"]["rtt_us"].is_u64());
    let answered = answered.filter(|record| record["iec104"]["cause"] == "activation_confirmation");
    assert_eq!(counted(answered.map(|record| line(record, "sent"))), lines(centre, "sent "));
    let told = of_centre.filter(|record| python_text(&record["iec104"]["type"]).starts_with("m_"));
    let told = told.flat_map(|record| record["iec104"]["objects"].as_array()).flatten().map(|object| {
        let value = object["value"].as_u64().map_or_else(|| object["value"].clone(), |state| (state == 1).into());
        format!("told {} = {}", object["address"], python_text(&value))
    });
    assert_eq!(counted(told), lines(centre, "told "));
    let executed = asdus.filter(|record| record["iec104"]["cause"] == "activation_confirmation").filter_map(|record| {
        let (asdu, object) = (&record["iec104"], &record["iec104"]["objects"][0]);
        let kind = asdu["type"].as_str()?.to_uppercase();
        match kind.as_str() {
            "C_CS_NA_1" => Some(kind),
            "C_IC_NA_1" => None,
            _ if asdu["negative"] == true || object["select"] == true => None,
            _ => {
                let value = object["value"].as_u64().map_or_else(|| object["value"].clone(), |on| (on == 1).into());
                Some(format!("{kind} {} {} = {}", asdu["common_address"], object["address"], python_text(&value)))
            }
        }
    });
    assert_eq!(counted(executed), said["rtu"]);
}
