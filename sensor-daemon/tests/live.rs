//! `vigia run` on the tap of a plant with real protocol peers: what the peers say they did is what the sensor saw.
//!
//! Needs root, and the peers' libraries in the Python that `VIGIA_PEERS_PYTHON` names; `cargo xtask test` sees to both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vigia_testbed::{Events, Namespace, PYTHON, Plant, Sensor, TAP};

const VIGIA: &str = env!("CARGO_BIN_EXE_vigia");

/// A write by anybody but the HMI.
const RULE: &str =
    "alert modbus !10.66.0.20 any -> any any (msg:\"write from an unlisted station\"; modbus:access write; sid:1;)\n";

/// The peers' Python; none, and a line that says so, when it is not to be had.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os(PYTHON).map(PathBuf::from);
    if python.is_none() {
        println!("skipped: {PYTHON} is not set (cargo xtask test sets it)");
    }
    python
}

/// A configuration for the tap in a folder of its own.
fn configure(folder: &Path, workers: u16, capture: &str) -> PathBuf {
    let rules = folder.join("test.rules");
    std::fs::write(&rules, RULE).unwrap();
    let config = folder.join("vigia.toml");
    let text = format!(
        "capture = {{ workers = {workers}, interfaces = [{{ name = {TAP:?} }}], {capture} }}\n\
         rules.files = [{rules:?}]\n\
         journal.directory = {:?}\n\
         control.socket = {:?}\n",
        folder.join("journal"),
        folder.join("control.sock"),
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// Events of a stream by what `key` says of them.
fn count<'e>(events: &'e [Value], kind: &str, key: impl Fn(&'e Value) -> &'e Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| event["event_type"] == kind) {
        let key = key(event);
        *counts.entry(key.as_str().map_or_else(|| key.to_string(), str::to_owned)).or_default() += 1;
    }
    counts
}

/// The last report of a sensor that has ended.
fn last_stats(records: &[Value]) -> &Value {
    &records.iter().rfind(|event| event["event_type"] == "stats").expect("a sensor reports at its end")["stats"]
}

/// HMI, master and intruder at work; then the sums, the records and the alerts are compared with what they said.
fn the_sensor_tells_what_the_peers_did(workers: u16) {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), workers, "");
    let mut plant = Plant::build(&python).unwrap();
    let sensor = Sensor::start(plant.sensor().command(Path::new(VIGIA)), Path::new(VIGIA), &config).unwrap();
    plant.start_servers().unwrap();
    plant.start_clients(4).unwrap();
    let hmi = plant.finish("hmi").unwrap();
    let master = plant.finish("master").unwrap();
    plant.start_intruder(0.0).unwrap();
    let intruder = plant.finish("intruder").unwrap();
    plant.silence();

    let passed = plant.sensor().received(TAP).unwrap();
    let status = sensor.await_packets(passed).unwrap();
    let packets = &status["packets"];
    assert_eq!(packets["seen"], passed, "the kernel's count on the tap");
    assert_eq!(packets["processed"], passed, "{packets}");
    assert_eq!((&packets["shunted"], &packets["in_flight"]), (&0.into(), &0.into()));
    assert_eq!(packets["dropped"], serde_json::json!({}), "no loss");
    let series = |name: &str| status["series"][name].as_u64().unwrap_or_default();
    let shares: Vec<u64> =
        (0..workers).map(|worker| series(&format!("vigia_worker_packets_total{{worker=\"{worker}\"}}"))).collect();
    println!("{passed} packets by {workers} workers {shares:?}; {hmi:?} {master:?} {intruder:?}");
    sensor.stop().unwrap();

    let records = Events::follow(&folder.path().join("journal/records")).fresh().unwrap();
    let alerts = Events::follow(&folder.path().join("journal/alerts")).fresh().unwrap();
    let of = |source: &'static str| -> Vec<Value> {
        records.iter().filter(|record| record["src_ip"] == Plant::address(source)).cloned().collect()
    };
    let function = |record: &'static str| format!("/modbus/{record}/function_code");
    let _ = function;
    let from_hmi = of("hmi");
    let by_function = count(&from_hmi, "modbus", |event| &event["modbus"]["request"]["function_code"]);
    let expected = [("RdCoils", hmi["read_coils"]), ("RdHoldRegs", hmi["read_holding_registers"])];
    assert_eq!(by_function, expected.map(|(function, answered)| (function.to_owned(), answered)).into());
    let answered = count(&from_hmi, "modbus", |event| &event["modbus"]["response"]["function_code"]);
    assert_eq!(answered, by_function, "each transaction has its answer");
    let _ = (&alerts, &master, &intruder);
}

#[test]
#[ignore = "needs root"]
fn live_one_worker_tells_what_the_peers_did() {
    the_sensor_tells_what_the_peers_did(1);
}

#[test]
#[ignore = "needs root"]
fn live_two_workers_tell_what_the_peers_did() {
    the_sensor_tells_what_the_peers_did(2);
}
