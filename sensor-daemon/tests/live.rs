//! `vigia run` on the tap of a plant with real protocol peers: what the peers say they did is what the sensor saw.
//!
//! Needs root, and the peers' libraries in the Python that `VIGIA_PEERS_PYTHON` names; `cargo xtask test` sees to both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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

/// Records of a kind from an address, by what stands at a place in them.
fn count(records: &[Value], source: &str, kind: &str, place: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records.iter().filter(|record| record["event_type"] == kind && record["src_ip"] == source) {
        let value = record.pointer(place).unwrap_or(&Value::Null);
        *counts.entry(value.as_str().map_or_else(|| value.to_string(), str::to_owned)).or_default() += 1;
    }
    counts
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
    let hmi = plant.finish("hmi").unwrap();
    let master = plant.finish("master").unwrap();
    let panel = plant.finish("panel").unwrap();
    let workstation = plant.finish("workstation").unwrap();
    plant.start_intruder(0.0).unwrap();
    let intruder = plant.finish("intruder").unwrap();
    plant.silence().unwrap();

    let passed = plant.sensor().received(TAP).unwrap();
    let status = sensor.await_packets(passed).unwrap();
    let packets = &status["packets"];
    assert_eq!(packets["seen"], passed, "the kernel's count on the tap");
    assert_eq!(packets["processed"], passed, "{packets}");
    assert_eq!((&packets["shunted"], &packets["in_flight"]), (&0.into(), &0.into()));
    assert_eq!(packets["dropped"], serde_json::json!({}), "no loss");
    println!("{passed} packets by {workers} workers; {hmi:?} {master:?} {panel:?} {workstation:?} {intruder:?}");
    sensor.stop().unwrap();

    let records = events(folder.path(), "records");
    let from = |host: &str, kind: &str, key: &str| count(&records, Plant::address(host), kind, key);
    let expected = [("RdCoils", hmi["read_coils"]), ("RdHoldRegs", hmi["read_holding_registers"])];
    let expected = BTreeMap::from(expected.map(|(function, answered)| (function.to_owned(), answered)));
    assert_eq!(from("hmi", "modbus", "/modbus/request/function_code"), expected);
    assert_eq!(from("hmi", "modbus", "/modbus/response/function_code"), expected, "each request has its answer");
    // A message of either kind is one record: READ (1) and RESPONSE (129).
    let polls = master["integrity_polls"];
    let expected = BTreeMap::from([("1".to_owned(), polls), ("129".to_owned(), polls)]);
    assert_eq!(from("master", "dnp3", "/dnp3/application/function_code"), expected);
    the_bacnet_records_are_what_the_workstation_says(&records, &workstation);
    let reinitialized = from("intruder", "bacnet", "/bacnet/request/service").get("reinitialize_device").copied();
    assert_eq!(reinitialized, Some(intruder["reinitialized"]));
    let transactions: u64 = from("intruder", "modbus", "/modbus/request/function_raw").values().sum();
    assert_eq!(transactions, intruder["coils_written"] + intruder["functions_scanned"]);
    let restarts = from("intruder", "dnp3", "/dnp3/application/function_code").get("13").copied();
    assert_eq!(restarts, Some(intruder["cold_restarts"]));
    let functions = from("panel", "s7comm", "/s7comm/request/function");
    assert_eq!(functions.get("read_var"), Some(&panel["reads"]), "{functions:?}");
    let stops = from("intruder", "s7comm", "/s7comm/request/function").get("plc_stop").copied();
    assert_eq!(stops, Some(intruder["stops"]));

    let alerts = events(folder.path(), "alerts");
    let of_write = |alert: &&Value| alert["modbus"]["request"]["write"]["address"] == COIL;
    assert_eq!(alerts.iter().filter(of_write).count(), 1, "{alerts:?}");
    let strangers = |alert: &Value| alert["src_ip"] == Plant::address("intruder");
    assert!(alerts.iter().all(strangers), "an alert on somebody who only polled: {alerts:?}");
    assert_eq!(final_sums(&records), *packets, "the last report is the last word");
}

/// Each request of the workstation, each notification that it got, and each answer.
fn the_bacnet_records_are_what_the_workstation_says(records: &[Value], said: &BTreeMap<String, u64>) {
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

#[test]
fn live_one_worker_tells_what_the_peers_did() {
    the_sensor_tells_what_the_peers_did(1);
}

#[test]
fn live_two_workers_tell_what_the_peers_did() {
    the_sensor_tells_what_the_peers_did(2);
}

/// The lines that snap7's server writes into its log for a transaction, from the record of it.
fn logged(record: &Value) -> Vec<String> {
    let (request, response) = (&record["s7comm"]["request"], &record["s7comm"]["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let control = |what: &str| vec![format!("CPU Control request : {what} --> OK")];
    let variables = |what: &str| {
        let answered = response["items"].as_array().into_iter().flatten();
        let items = request["items"].as_array().into_iter().flatten().zip(answered);
        items
            .map(|(item, answer)| {
                let area = if item["area"] == "data_block" { format!("DB{}", item["db"]) } else { "MK".to_owned() };
                let outcome = if answer["return_code"] == "success" { "OK" } else { "not OK" };
                let (start, size) = (&item["address"], &item["quantity"]);
                format!("{what} request, Area : {area}, Start : {start}, Size : {size} --> {outcome}")
            })
            .collect()
    };
    let block = &request["blocks"][0];
    match request["function"].as_str().or(request["service"].as_str()).unwrap_or_default() {
        "setup_communication" => vec![format!("The client requires a PDU size of {} bytes", request["pdu_length"])],
        "read_var" => variables("Read"),
        "write_var" => variables("Write"),
        "read_szl" => {
            let list = &request["szl"];
            vec![format!("Read SZL request, ID:0x{} INDEX:0x{} --> OK", text(&list["id"]), text(&list["index"]))]
        }
        "list_blocks" => vec!["Block list requested --> OK".into()],
        "list_blocks_of_type" => {
            let kind = text(&request["block_type"]).to_uppercase();
            vec![format!("Block of type {kind} list requested (start sequence) --> OK")]
        }
        "get_block_info" => {
            vec![format!("Block info requested {} {} --> OK", text(&block["type"]).to_uppercase(), block["number"])]
        }
        "start_upload" if response["error"] == "password_required" => {
            vec!["Block upload requested --> NOT PERFORMED (due to invalid security level)".into()]
        }
        "read_clock" => vec!["System clock read requested".into()],
        "set_clock" => vec!["System clock write requested".into()],
        "plc_password" => vec!["Security request : Set session password --> OK".into()],
        "clear_password" => vec!["Security request : Clear session password --> OK".into()],
        "plc_stop" => control("STOP"),
        "pi_service" => match (text(&request["pi_service"]).as_str(), request["arguments"].is_array()) {
            ("_INSE" | "_DELE", _) => control("Block Insert or Delete"),
            ("_GARB", _) => control("Memory compress"),
            ("_MODU", _) => control("Copy Ram to Rom"),
            ("P_PROGRAM", false) => control("Warm START"),
            ("P_PROGRAM", true) => control("Cold START"),
            other => vec![format!("{other:?}")],
        },
        other => vec![other.to_owned()],
    }
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
    plant.start_engineering().unwrap();
    let engineer = plant.finish("engineer").unwrap();
    let log = plant.finish("controller").unwrap();
    plant.silence().unwrap();
    sensor.await_packets(plant.sensor().received(TAP).unwrap()).unwrap();
    sensor.stop().unwrap();

    let records = events(folder.path(), "records");
    let of_s7: Vec<_> = records.iter().filter(|record| record["event_type"] == "s7comm").collect();
    let mut told = BTreeMap::<_, u64>::new();
    for line in of_s7.iter().filter(|record| record["s7comm"]["connection"].is_null()).flat_map(|record| logged(record))
    {
        *told.entry(line).or_default() += 1;
    }
    println!("{} lines of the controller's log; {engineer:?}", log.len());
    assert!(log.len() > 20 && engineer["refused"] == 1, "{log:?} {engineer:?}");
    assert_eq!(told, log);
    let facts: Vec<_> = of_s7.iter().flat_map(|record| record["identity"].as_array().into_iter().flatten()).collect();
    for (kind, value) in [("model", "6ES7 315-2EH14-0AB0"), ("serial", "S C-C2UR28922012"), ("name", "SNAP7-SERVER")] {
        assert!(facts.iter().any(|fact| fact[kind] == value && fact["of"] == "server"), "{kind}: {facts:?}");
    }
}

/// A station computer at work on an IED: the records say what it says it did, and what the IED says it was commanded.
#[test]
fn live_records_of_an_ied_are_what_its_client_did() {
    let Some(python) = python() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), 1, "");
    let mut plant = Plant::build(&python).unwrap();
    let sensor = Sensor::start(plant.sensor().command(Path::new(VIGIA)), Path::new(VIGIA), &config).unwrap();
    plant.start_station().unwrap();
    let mut did = plant.finish("station").unwrap();
    let commanded = plant.finish("ied").unwrap();
    plant.silence().unwrap();
    sensor.await_packets(plant.sensor().received(TAP).unwrap()).unwrap();
    sensor.stop().unwrap();

    let records = events(folder.path(), "records");
    let of_mms: Vec<_> = records.iter().filter(|record| record["event_type"] == "mms").collect();
    let reports = of_mms.iter().filter(|record| record["mms"]["report"]["id"] == "events").count() as u64;
    assert_eq!(Some(reports), did.remove("reports"));
    for (deed, times) in &did {
        let told = of_mms.iter().filter(|record| deed_of(record).as_ref() == Some(deed)).count() as u64;
        assert!(told >= *times, "{deed}: told {told} of {times}");
    }
    let commands: Vec<_> = of_mms.iter().flat_map(|record| record["mms"]["controls"].as_array()).flatten().collect();
    let told: BTreeMap<_, _> = commands.iter().map(|command| (command_of(command), 1)).collect();
    println!("{} records of MMS; {did:?}; {commanded:?}", of_mms.len());
    assert_eq!(told, commanded);
    assert!(of_mms.iter().all(|record| record.get("answered") != Some(&Value::Bool(false))));
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

#[test]
fn live_what_waits_in_the_ring_at_the_stop_is_processed() {
    let Some(python) = python() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    // A block that is not full is handed over after seconds only: at the stop it is still with the kernel.
    let config = configure(folder.path(), 2, "block_timeout_ms = 1500, poll_timeout_ms = 50");
    let mut plant = Plant::build(&python).unwrap();
    let sensor = Sensor::start(plant.sensor().command(Path::new(VIGIA)), Path::new(VIGIA), &config).unwrap();
    plant.start_servers().unwrap();
    plant.start_clients(1).unwrap();
    let hmi = plant.finish("hmi").unwrap();
    plant.silence().unwrap();
    sensor.stop().unwrap();
    let records = events(folder.path(), "records");
    let (sums, passed) = (final_sums(&records), plant.sensor().received(TAP).unwrap());
    assert_eq!((&sums["seen"], &sums["processed"]), (&passed.into(), &passed.into()), "{sums}");
    let seen: u64 = count(&records, Plant::address("hmi"), "modbus", "/modbus/request/function_code").values().sum();
    assert_eq!(seen, hmi.values().sum::<u64>());
}
