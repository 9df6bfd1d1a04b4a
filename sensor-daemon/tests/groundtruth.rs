//! Records of real captures against the logs that the captures' own collections have of them, for protocols that the
//! independent dissector of the accuracy check does not know, and as a second opinion on others.
//!
//! The captures and logs stand beside the project, not in it; without them the test says so and passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

/// A column of a log of Zeek's, and the field that has the same values: of messages alike, counted once each.
struct Column {
    log: &'static str,
    column: &'static str,
    /// Lines that have this text in this column alone count.
    only: Option<(&'static str, &'static str)>,
    field: &'static str,
}

const fn column(log: &'static str, column: &'static str, field: &'static str) -> Column {
    Column { log, column, only: None, field }
}

/// A capture, the folder of its logs, and what is compared.
struct Case {
    capture: &'static str,
    logs: &'static str,
    columns: &'static [Column],
}

const CASES: &[Case] = &[
    Case {
        capture: "cisagov+icsnpp-s7comm/tests/traces/s7comm_plus.pcap",
        logs: "cisagov+icsnpp-s7comm/tests/baseline/analyzer.s7comm_plus",
        columns: &[
            column("s7comm_plus.log", "version", "s7comm_plus.version"),
            column("s7comm_plus.log", "opcode", "s7comm_plus.opcode"),
            column("s7comm_plus.log", "function_code", "s7comm_plus.function"),
            column("s7comm.log", "rosctr_code", "s7comm.message_type"),
        ],
    },
    Case {
        capture: "haolipeng+icsnpp-iec61850-goose/testing/Traces/GOOSE.pcap",
        logs: "haolipeng+icsnpp-iec61850-goose/testing/Baseline/tests.test-GOOSE",
        columns: &[
            column("goose.log", "appid", "goose.app_id"),
            column("goose.log", "gocb_ref", "goose.control_block"),
            column("goose.log", "st_num", "goose.state_number"),
        ],
    },
    Case {
        capture: "zeek+zeek/testing/btest/Traces/mqtt.pcap",
        logs: "zeek+zeek/testing/btest/Baseline/scripts.base.protocols.mqtt.mqtt",
        columns: &[
            column("mqtt_publish.log", "topic", "mqtt.publish.topic"),
            column("mqtt_connect.log", "client_id", "mqtt.connect.clientid"),
        ],
    },
    Case {
        capture: "zeek+zeek/testing/btest/Traces/tunnels/gre-sample.pcap",
        logs: "zeek+zeek/testing/btest/Baseline/core.tunnels.gre",
        columns: &[column("dns.log", "query", "dns.query"), column("dns.log", "trans_id", "dns.id")],
    },
    Case {
        capture: "zeek+zeek/testing/btest/Traces/dns/mdns-no-assoc.pcap",
        logs: "zeek+zeek/testing/btest/Baseline/scripts.base.protocols.dns.mdns-no-assoc",
        columns: &[Column { log: "dns.log", column: "query", only: Some(("rcode_name", "-")), field: "dns.query" }],
    },
];

type Counts = BTreeMap<String, u64>;

/// How often each value stands in a column.
fn logged(path: &Path, wanted: &Column) -> Counts {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let fields =
        text.lines().find_map(|line| line.strip_prefix("#fields\t")).expect("a log with the names of its fields");
    let place = |name: &str| fields.split('\t').position(|field| field == name).unwrap_or_else(|| panic!("no {name}"));
    let (at, only) = (place(wanted.column), wanted.only.map(|(name, value)| (place(name), value)));
    let mut counts = Counts::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        if columns[at] != "-" && only.is_none_or(|(at, value)| columns[at] == value) {
            let number = columns[at].strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
            *counts.entry(number.map_or_else(|| columns[at].to_owned(), |number| number.to_string())).or_default() += 1;
        }
    }
    counts
}

/// The counts of every field of a capture.
fn dissected(capture: &Path) -> Json {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fields.json");
    let run = Command::new(env!("CARGO_BIN_EXE_vigia"))
        .arg("replay")
        .arg(capture)
        .arg("--fields")
        .arg(&file)
        .arg("--output")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
}

/// The folder of shared captures and logs, if it is there.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?.join("shared");
    if beside.join("groundtruth").is_dir() {
        return Some(beside);
    }
    println!("skipped: no captures and logs beside the project");
    None
}

#[test]
fn records_have_the_values_that_the_collections_own_logs_have() {
    let Some(shared) = shared() else { return };
    let mut wrong = Vec::new();
    for case in CASES {
        let fields = dissected(&shared.join("captures/dev").join(case.capture));
        for wanted in case.columns {
            let theirs = logged(&shared.join("groundtruth").join(case.logs).join(wanted.log), wanted);
            assert!(!theirs.is_empty(), "{} of {} says nothing", wanted.column, wanted.log);
            let (protocol, field) = wanted.field.split_once('.').unwrap();
            let ours: Counts = serde_json::from_value(fields[protocol]["fields"][field].clone()).unwrap_or_default();
            println!("{} {}: {theirs:?}", case.capture, wanted.field);
            if ours != theirs {
                wrong.push(format!("{} {}: {ours:?}, but {} has {theirs:?}", case.capture, wanted.field, wanted.log));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
