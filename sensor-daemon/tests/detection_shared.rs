//! Which protocols are found in real captures: none but those that are there, by an independent catalogue of them.
//!
//! The captures stand beside the project, not in it; without them the test says so and passes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

mod wire;

/// Names of the catalogue for what we call otherwise. A protocol that is not listed here has the same name there.
const CALLED: &[(&str, &[&str])] = &[
    // Implicit messages belong to the sessions that open them.
    ("cip_io", &["cip", "enip"]),
    ("enip", &["enip", "cip"]),
    // It is within EtherNet/IP, and of the independent dissector's counts only when that reads it, too.
    ("cip", &["cip", "enip"]),
    ("modbus", &["modbus", "umas"]),
    // The transport is one, and so is the protocol that a flow is found as.
    ("s7comm", &["s7comm", "s7comm-plus"]),
    ("s7comm_plus", &["s7comm-plus"]),
    ("dns", &["dns", "mdns", "llmnr"]),
];

/// What is there although the catalogue does not say so: capture, protocol, how it is known.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "ntop+nDPI/tests/cfgs/default/pcap/coap_mqtt.pcap",
        "mqtt",
        "the collection's own result has 4 flows, on port 17501",
    ),
    (
        "the-tcpdump-group+tcpdump/tests/erspan-type-iii-ft-7.pcap",
        "arp",
        "within ERSPAN type III, which the other does not open",
    ),
    (
        "the-tcpdump-group+tcpdump/tests/erspan-type-iii-ft-7.pcap",
        "dns",
        "within ERSPAN type III, which the other does not open",
    ),
    (
        "zeek+zeek/testing/btest/Traces/auth_change_session_keys.pcap",
        "dnp3",
        "secure authentication of DNP3 on port 20000",
    ),
];

/// The protocols that the replay of a capture found messages of.
fn found(capture: &Path) -> BTreeSet<String> {
    let out = tempfile::tempdir().unwrap();
    let fields = out.path().join("fields.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.env_remove("VIGIA_CONFIG").args(["replay", "--no-progress"]).arg(capture);
    command.arg("--fields").arg(&fields).arg("--output").arg(out.path());
    let output = command.output().unwrap();
    let Ok(text) = std::fs::read_to_string(&fields) else {
        panic!("{}: {}", capture.display(), String::from_utf8_lossy(&output.stderr));
    };
    serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&text).unwrap().into_keys().collect()
}

/// The names that the catalogue may have for a protocol of ours.
fn called(protocol: &str) -> Vec<&str> {
    CALLED.iter().find(|(ours, _)| *ours == protocol).map_or_else(|| vec![protocol], |(_, theirs)| theirs.to_vec())
}

#[test]
fn no_capture_of_one_protocol_is_taken_for_another() {
    let Some(captures) = wire::shared("captures") else { return };
    let catalogue = std::fs::read_to_string(captures.join("catalogue.csv")).unwrap();
    let (mut surprises, mut counts) = (Vec::new(), BTreeMap::<String, u32>::new());
    for line in catalogue.lines().skip(1) {
        // Neither of the first four columns has a comma.
        let columns: Vec<_> = line.splitn(5, ',').collect();
        let &[file, _, _, protocols, ..] = columns.as_slice() else { panic!("{line}") };
        if !file.starts_with("captures/dev/") {
            continue;
        }
        let there: BTreeSet<_> = protocols.split(' ').filter_map(|entry| entry.split(':').next()).collect();
        for protocol in found(&captures.parent().unwrap().join(file)) {
            let is_explained =
                EXPLAINED.iter().any(|(capture, explained, _)| file.ends_with(capture) && *explained == protocol);
            if !is_explained && !called(&protocol).iter().any(|name| there.contains(name)) {
                surprises.push(format!("{file}: {protocol} found, but there is {protocols}"));
            }
            *counts.entry(protocol).or_default() += 1;
        }
    }
    println!("captures by protocol found: {counts:?}");
    surprises.iter().for_each(|surprise| println!("{surprise}"));
    assert!(counts.values().sum::<u32>() > 100);
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
