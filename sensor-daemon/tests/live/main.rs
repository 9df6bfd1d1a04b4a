//! `vigia run` on the tap of a plant with real protocol peers: what the peers say they did is what the sensor saw.
//!
//! Needs root, and the peers' libraries in the Python that `VIGIA_PEERS_PYTHON` names; `cargo xtask test` sees to both.
// A test has no public API: `pub` only opens a module to the others.
#![allow(unreachable_pub)]

mod bacnet;
mod cip;
mod iec104;
mod mms;
mod mqtt;
mod s7comm;
mod said;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use said::{count, counted};
use serde_json::Value;
use vigia_testbed::{Events, PYTHON, Plant, Sensor, TAP};

const VIGIA: &str = env!("CARGO_BIN_EXE_vigia");

/// A write by anybody but the HMI.
const RULE: &str =
    "alert modbus !10.66.0.20 any -> any any (msg:\"write from an unlisted station\"; modbus:access write; sid:1;)\n";

/// The coil that the intruder writes.
const COIL: u64 = 3;

/// One plant at a time: each wants the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

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

/// The events of a stream of the journal.
fn events(folder: &Path, stream: &str) -> Vec<Value> {
    Events::follow(&folder.join("journal").join(stream)).fresh().unwrap()
}

/// Where the packets went, by the last report of a sensor that has ended, in the form of `vigia status`.
fn final_sums(records: &[Value]) -> Value {
    let last = records.iter().rfind(|event| event["event_type"] == "stats").expect("a sensor reports at its end");
    let mut packets = last["vigia"]["packets"].clone();
    packets["in_flight"] = 0.into();
    packets
}

/// HMI, master and intruder at work; then the sums, the records and the alerts are compared with what they said.
fn the_sensor_tells_what_the_peers_did(workers: u16) {
    let Some(python) = python() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), workers, "");
    let mut plant = Plant::build(&python).unwrap();
    let sensor = Sensor::start(plant.sensor().command(Path::new(VIGIA)), Path::new(VIGIA), &config).unwrap();
    plant.start_servers().unwrap();
    plant.start_clients(4).unwrap();
    let mut said = BTreeMap::new();
    let mut hear = |plant: &mut Plant, hosts: &[&'static str]| {
        hosts.iter().for_each(|host| _ = said.insert(*host, plant.finish(host).unwrap()));
    };
    plant.start_visitor("commissioner").unwrap();
    hear(
        &mut plant,
        &["commissioner", "hmi", "master", "panel", "workstation", "station", "centre", "scada", "edge", "host"],
    );
    plant.start_intruder(0.0).unwrap();
    hear(&mut plant, &["intruder", "ied", "rtu", "line", "broker"]);
    plant.silence().unwrap();

    let passed = plant.sensor().received(TAP).unwrap();
    let status = sensor.await_packets(passed).unwrap();
    let packets = &status["packets"];
    assert_eq!(packets["seen"], passed, "the kernel's count on the tap");
    assert_eq!(packets["processed"], passed, "{packets}");
    assert_eq!((&packets["shunted"], &packets["in_flight"]), (&0.into(), &0.into()));
    assert_eq!(packets["dropped"], serde_json::json!({}), "no loss");
    println!("{passed} packets by {workers} workers; {said:?}");
    sensor.stop().unwrap();

    let records = events(folder.path(), "records");
    let from = |host: &str, kind: &str, key: &str| count(&records, Plant::address(host), kind, key);
    let (hmi, intruder) = (&said["hmi"], &said["intruder"]);
    let expected = [("RdCoils", hmi["read_coils"]), ("RdHoldRegs", hmi["read_holding_registers"])];
    let expected = BTreeMap::from(expected.map(|(function, answered)| (function.to_owned(), answered)));
    assert_eq!(from("hmi", "modbus", "/modbus/request/function_code"), expected);
    assert_eq!(from("hmi", "modbus", "/modbus/response/function_code"), expected, "each request has its answer");
    // A message of either kind is one record: READ (1) and RESPONSE (129).
    let polls = said["master"]["integrity_polls"];
    let expected = BTreeMap::from([("1".to_owned(), polls), ("129".to_owned(), polls)]);
    assert_eq!(from("master", "dnp3", "/dnp3/application/function_code"), expected);
    bacnet::records_are_what_the_workstation_says(&records, &said["workstation"]);
    let reinitialized = from("intruder", "bacnet", "/bacnet/request/service").get("reinitialize_device").copied();
    assert_eq!(reinitialized, Some(intruder["reinitialized"]));
    let transactions: u64 = from("intruder", "modbus", "/modbus/request/function_raw").values().sum();
    assert_eq!(transactions, intruder["coils_written"] + intruder["functions_scanned"]);
    let restarts = from("intruder", "dnp3", "/dnp3/application/function_code").get("13").copied();
    assert_eq!(restarts, Some(intruder["cold_restarts"]));
    let functions = from("panel", "s7comm", "/s7comm/request/function");
    assert_eq!(functions.get("read_var"), Some(&said["panel"]["reads"]), "{functions:?}");
    let stops = from("intruder", "s7comm", "/s7comm/request/function").get("plc_stop").copied();
    assert_eq!(stops, Some(intruder["stops"]));

    iec104::records_are_what_the_stations_say(&records, &said);
    cip::records_are_what_the_stations_say(&records, &said);
    mqtt::records_are_what_the_broker_says(&records, &said["broker"]);
    mqtt::metrics_are_what_the_stations_say(&records, &said);
    mms::records_are_what_the_stations_say(&records, &said);

    let alerts = events(folder.path(), "alerts");
    let of_write = |alert: &&Value| alert["modbus"]["request"]["write"]["address"] == COIL;
    assert_eq!(alerts.iter().filter(of_write).count(), 1, "{alerts:?}");
    let strangers = |alert: &Value| alert["src_ip"] == Plant::address("intruder");
    assert!(alerts.iter().all(strangers), "an alert on somebody who only polled: {alerts:?}");
    assert_eq!(final_sums(&records), *packets, "the last report is the last word");
}

#[test]
fn live_one_worker_tells_what_the_peers_did() {
    the_sensor_tells_what_the_peers_did(1);
}

#[test]
fn live_two_workers_tell_what_the_peers_did() {
    the_sensor_tells_what_the_peers_did(2);
}

/// An engineer at work on an S7 controller: the records say what the controller's own log says, line for line.
#[test]
fn live_records_of_an_s7_controller_are_its_own_log() {
    let Some(python) = python() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), 1, "");
    let mut plant = Plant::build(&python).unwrap();
    let sensor = Sensor::start(plant.sensor().command(Path::new(VIGIA)), Path::new(VIGIA), &config).unwrap();
    plant.start_server("controller").unwrap();
    plant.start_visitor("engineer").unwrap();
    let engineer = plant.finish("engineer").unwrap();
    let log = plant.finish("controller").unwrap();
    plant.silence().unwrap();
    sensor.await_packets(plant.sensor().received(TAP).unwrap()).unwrap();
    sensor.stop().unwrap();

    let records = events(folder.path(), "records");
    let of_s7: Vec<_> = records.iter().filter(|record| record["event_type"] == "s7comm").collect();
    let told = of_s7.iter().filter(|record| record["s7comm"]["connection"].is_null());
    println!("{} lines of the controller's log; {engineer:?}", log.len());
    assert!(log.len() > 20 && engineer["refused"] == 1, "{log:?} {engineer:?}");
    assert_eq!(counted(told.flat_map(|record| s7comm::logged(record))), log);
    let facts: Vec<_> = of_s7.iter().flat_map(|record| record["identity"].as_array().into_iter().flatten()).collect();
    for (kind, value) in [("model", "6ES7 315-2EH14-0AB0"), ("serial", "S C-C2UR28922012"), ("name", "SNAP7-SERVER")] {
        assert!(facts.iter().any(|fact| fact[kind] == value && fact["of"] == "server"), "{kind}: {facts:?}");
    }
}

#[test]
fn live_what_waits_in_the_ring_at_the_stop_is_processed() {
    let Some(python) = python() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    // A block that is not full is handed over after seconds only: at the stop it is still with the kernel.
    let config = configure(folder.path(), 2, "block_timeout_ms = 1500, poll_timeout_ms = 50");
    let mut plant = Plant::build(&python).unwrap();
    let sensor = Sensor::start(plant.sensor().command(Path::new(VIGIA)), Path::new(VIGIA), &config).unwrap();
    plant.start_server("plc").unwrap();
    plant.start_client("hmi", 1).unwrap();
    let hmi = plant.finish("hmi").unwrap();
    plant.silence().unwrap();
    sensor.stop().unwrap();
    let records = events(folder.path(), "records");
    let (sums, passed) = (final_sums(&records), plant.sensor().received(TAP).unwrap());
    assert_eq!((&sums["seen"], &sums["processed"]), (&passed.into(), &passed.into()), "{sums}");
    let seen: u64 = count(&records, Plant::address("hmi"), "modbus", "/modbus/request/function_code").values().sum();
    assert_eq!(seen, hmi.values().sum::<u64>());
}
