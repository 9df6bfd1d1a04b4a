//! One line of every kind of event, as it is written.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use vigia_parsers::field::{Tree, Visit};
use vigia_parsers::it::dns;
use vigia_parsers::ot::modbus;
use vigia_parsers::packet::{DecodeEvent, Ethernet, Tunnel, Vlans};
use vigia_parsers::{Anomaly, Direction, Protocol, Record, Timestamp};
use vigia_rules::{Reference, Remark, Rule, Told};

use super::*;
use crate::metrics::{Counter, DropCause, Metrics, RulesetInfo};

/// A record with a nested layout; its protocol is one of the registry's.
struct Write;

impl Record for Write {
    fn protocol(&self) -> &'static Protocol {
        &modbus::PROTOCOL
    }

    fn visit(&self, _index: usize, _out: &mut Visit<'_>) {}

    fn tree(&self, tree: &mut dyn Tree) {
        tree.unsigned("id", 3);
        tree.object("request");
        tree.unsigned("transaction_id", 7);
        tree.text("function_code", "WrSingleCoil");
        tree.object("write");
        tree.unsigned("address", 17);
        tree.octets("data", b"\"\xff\x00");
        tree.end();
        tree.end();
    }

    fn transaction(&self) -> u64 {
        3
    }
}

fn at(seconds: u64, nanos: u32) -> Timestamp {
    Timestamp::new(1_767_323_045 + seconds, nanos)
}

fn header() -> Header<'static> {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut vlans = Vlans::default();
    vlans.push(100);
    vlans.push(7);
    Header {
        timestamp: at(0, 123_456_789),
        flow_id: 0xf_ffff_ffff_ffff,
        in_iface: "tap\"0",
        pcap_filename: "",
        number: 42,
        vlans,
        endpoints: Some(Endpoints { source: (ip("10.0.0.5"), 49152), destination: (ip("10.0.0.9"), 502), protocol: 6 }),
        icmp: None,
        ethernet: Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 0xfe], ethertype: 0x800 }),
        source: Some(PacketSource::Wire(Tunnel::None)),
    }
}

fn reference(system: &str, value: &str, link: &str) -> Reference {
    Reference { system: system.into(), value: value.into(), link: link.into() }
}

fn rule() -> Rule {
    Rule {
        gid: 1,
        sid: 1_100_001,
        rev: 2,
        message: "VIGIA Modbus write from an unlisted \"station\"".into(),
        category: "Attempted Administrator Privilege Gain".into(),
        priority: 1,
        references: vec![reference("url", "example.org/a", "http://example.org/a"), reference("x", "y", "x:y")],
        metadata: vec![("mitre_technique_id".into(), vec!["T0855".into(), "T0836".into()])],
        target: Some(vigia_rules::Target::Destination),
        ..Rule::default()
    }
}

fn flow_so_far() -> FlowSoFar {
    FlowSoFar { endpoints: header().endpoints.unwrap(), packets: [3, 2], bytes: [262, 108], start: at(0, 0) }
}

fn line(settings: &EventSettings, write: impl Fn(&mut Eve, &mut Lines)) -> String {
    let mut eve = Eve::new(settings);
    eve.set_ruleset(Ruleset { generation: 2, hash: "cafe".into(), loaded_at_s: 1_767_323_045 });
    let mut lines = Lines::default();
    write(&mut eve, &mut lines);
    let mut out = lines.as_bytes().to_vec();
    write(&mut eve, &mut lines);
    assert_eq!(lines.as_bytes()[out.len()..], out, "what the writer kept of the first line gives the same");
    assert_eq!(out.pop(), Some(b'\n'));
    assert!(!out.contains(&b'\n'));
    let parsed: Value =
        serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)));
    assert!(parsed["timestamp"].is_string() && parsed["event_type"].is_string());
    String::from_utf8(out).unwrap()
}

fn alert<'a>(record: Option<&'a dyn Record>, payload: &'a [u8]) -> Alert<'a> {
    Alert {
        flow: Some(flow_so_far()),
        protocol: Some(&modbus::PROTOCOL),
        packet: None,
        record,
        direction: Some(Direction::ToServer),
        payload,
        stream: true,
        told: Told::nothing(),
        remarks: &[],
    }
}

#[test]
fn alert_with_all_it_can_hold() {
    let settings = EventSettings {
        payload: true,
        payload_printable: true,
        payload_bytes: 12,
        ethernet: true,
        sensor_name: "substation 7".into(),
        ..EventSettings::default()
    };
    let header = Header { pcap_filename: "/tmp/a.pcap", in_iface: "", ..header() };
    let told = Told {
        flowbits: vec!["modbus.seen", "x", "traffic/id/curl", "traffic/label/cli"],
        flowints: vec![("writes", 3)],
        flow_variables: vec![("unit", (*b"7").into())],
        packet_variables: vec![("user".into(), (*b"ro\"ot").into())],
        entropies: vec![("modbus.data".into(), 1.5)],
    };
    let remarks = [
        Remark::Entropy("modbus.data".into(), 4.25),
        Remark::Context("bad_ones".into(), r#"{"ip":"10.0.0.1","origin":["es",1]}"#.into()),
        Remark::Captured("ua/pkg".into(), (*b"cu\"rl").into()),
    ];
    let alert = Alert { told: &told, remarks: &remarks, ..alert(Some(&Write), b"GET /\r\n\x00\x07\"beyond the bound") };
    insta::assert_snapshot!(line(&settings, |eve, out| eve.alert(out, &header, &rule(), &alert)));
}

/// A message of which nothing but its bytes matters.
struct Framed;

impl Record for Framed {
    fn protocol(&self) -> &'static Protocol {
        &dns::PROTOCOL
    }

    fn visit(&self, _index: usize, out: &mut Visit<'_>) {
        out(vigia_parsers::field::Value::Bytes(b"\x12\x34a \"name\""));
    }

    fn tree(&self, tree: &mut dyn Tree) {
        tree.unsigned("version", 3);
    }

    fn transaction(&self) -> u64 {
        2
    }
}

#[test]
fn alert_of_a_rule_that_looks_into_a_frame() {
    let settings =
        EventSettings { payload: true, payload_printable: true, payload_bytes: 6, ..EventSettings::default() };
    let rule = Rule { sid: 1, frame: dns::PROTOCOL.field("frame.pdu"), ..Rule::default() };
    let alert = Alert { protocol: Some(&dns::PROTOCOL), ..alert(Some(&Framed), &[]) };
    insta::assert_snapshot!(line(&settings, |eve, out| eve.alert(out, &header(), &rule, &alert)));
}

#[test]
fn alert_of_a_packet_without_a_flow() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let endpoints = Endpoints { source: (ip("fe80::1"), 0), destination: (ip("ff02::1"), 0), protocol: 58 };
    let header =
        Header { flow_id: 0, endpoints: Some(endpoints), icmp: Some((135, 0)), vlans: Vlans::default(), ..header() };
    let alert = Alert { flow: None, protocol: None, direction: None, ..alert(None, &[]) };
    let rule = Rule { sid: 1, ..Rule::default() };
    insta::assert_snapshot!(line(&EventSettings::default(), |eve, out| eve.alert(out, &header, &rule, &alert)));
}

#[test]
fn flow_of_tcp() {
    let header = Header { source: None, number: 0, ..header() };
    let flow = FlowSummary {
        packets: [3, 2],
        bytes: [262, 108],
        start: at(0, 0),
        end: at(61, 5_000),
        state: FlowState::Established,
        reason: FlowReason::Interim,
        alerted: true,
        protocol: Some(&modbus::PROTOCOL),
        transactions: 4,
        tcp: Some(TcpSummary { flags: [0x1a, 0x12], state: TcpState::Established, gap: [true, false] }),
    };
    insta::assert_snapshot!(line(&EventSettings::default(), |eve, out| eve.flow(out, &header, &flow, Told::nothing())));
}

#[test]
fn anomalies() {
    let settings = EventSettings::default();
    let message = Anomaly { kind: "invalid_length", offset: 5 };
    let application = Anomalous::Application(&modbus::PROTOCOL, message);
    let decode = Anomalous::Decode(DecodeEvent::TooManyLayers);
    let without_ip = Header { endpoints: None, flow_id: 0, ..header() };
    let all = [
        line(&settings, |eve, out| eve.anomaly(out, &header(), &application)),
        line(&settings, |eve, out| eve.anomaly(out, &without_ip, &decode)),
        line(&settings, |eve, out| eve.anomaly(out, &header(), &Anomalous::Stream("reassembly_seq_gap"))),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn record_under_the_name_of_its_protocol() {
    insta::assert_snapshot!(line(&EventSettings::default(), |eve, out| eve.record(out, &header(), &Write)));
}

/// A record that cannot be written to its end.
struct Broken;

impl Record for Broken {
    fn protocol(&self) -> &'static Protocol {
        &modbus::PROTOCOL
    }

    fn visit(&self, _index: usize, _out: &mut Visit<'_>) {}

    fn tree(&self, tree: &mut dyn Tree) {
        tree.object("request");
        panic!("amid a line");
    }

    fn transaction(&self) -> u64 {
        1
    }
}

#[test]
fn a_record_that_panics_leaves_no_part_of_its_line() {
    let (mut eve, mut lines) = (Eve::new(&EventSettings::default()), Lines::default());
    eve.record(&mut lines, &header(), &Write);
    let before = lines.as_bytes().to_vec();
    let write = std::panic::AssertUnwindSafe(|| eve.record(&mut lines, &header(), &Broken));
    assert!(std::panic::catch_unwind(write).is_err());
    assert_eq!(lines.as_bytes(), before);
    eve.record(&mut lines, &header(), &Write);
    assert_eq!(lines.as_bytes(), before.repeat(2));
}

#[test]
fn nothing_of_our_own_when_switched_off() {
    let settings = EventSettings { vigia: false, community_id: false, ..EventSettings::default() };
    let line = line(&settings, |eve, out| eve.record(out, &header(), &Write));
    let value: Value = serde_json::from_str(&line).unwrap();
    assert!(value.get("vigia").is_none() && value.get("community_id").is_none(), "{line}");
}

#[test]
fn stats_in_suricatas_shape() {
    let metrics = Metrics::new();
    let mut counters = metrics.worker(0, "tap0");
    counters.add(Counter::PacketsSeen, 10);
    counters.add(Counter::PacketsProcessed, 8);
    counters.add(Counter::BytesProcessed, 800);
    counters.add(Counter::FlowsTcp, 2);
    counters.dropped(DropCause::Kernel, 2);
    counters.record(&modbus::PROTOCOL);
    counters.decode_event(DecodeEvent::TooManyLayers);
    counters.publish();
    metrics.set_ruleset(RulesetInfo {
        generation: 2,
        hash: "cafe".into(),
        loaded: 40,
        failed: 1,
        skipped: 3,
        loaded_at_s: 1_767_323_045,
    });
    metrics.shared().alert(1);
    let mut snapshot = metrics.snapshot();
    snapshot.stats.insert("uptime".into(), 5);
    let line = line(&EventSettings::default(), |eve, out| eve.stats(out, at(0, 0), &snapshot));
    let value: Value = serde_json::from_str(&line).unwrap();
    for (path, expected) in [
        ("/stats/uptime", 5),
        ("/stats/capture/kernel_packets", 10),
        ("/stats/capture/kernel_drops", 2),
        ("/stats/decoder/pkts", 8),
        ("/stats/decoder/bytes", 800),
        ("/stats/flow/tcp", 2),
        ("/stats/flow/total", 2),
        ("/stats/app_layer/tx/modbus", 1),
        ("/stats/detect/alert", 1),
        ("/stats/detect/engines/0/rules_loaded", 40),
        ("/stats/detect/engines/0/rules_failed", 1),
        ("/stats/detect/engines/0/rules_skipped", 3),
        ("/vigia/packets/seen", 10),
        ("/vigia/packets/dropped/kernel", 2),
    ] {
        assert_eq!(value.pointer(path), Some(&expected.into()), "{path} in {line}");
    }
    let event = DecodeEvent::TooManyLayers.name().replace('.', "/");
    assert_eq!(value.pointer(&format!("/stats/decoder/event/{event}")), Some(&1.into()), "{line}");
    assert_eq!(value.pointer("/stats/decoder/event").unwrap().as_object().unwrap().len(), 1, "those that occurred");
    assert_eq!(value.pointer("/stats/detect/engines/0/last_reload").unwrap(), "2026-01-02T03:04:05.000000+0000");
}

/// Records, a flow and an anomaly offered while the ring is at each of `fills` in turn: lines written, and the counts.
fn offered(fills: &[f32], live: bool) -> (usize, crate::metrics::Snapshot) {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let settings = crate::journal::JournalSettings {
        directory: directory.path().to_owned(),
        reserve_bytes: 0,
        ..Default::default()
    };
    let (journal, lines) = if live {
        (crate::journal::Journal::open(&settings, &metrics).unwrap().0, directory.path().join("records"))
    } else {
        let path = directory.path().join("eve.json");
        (crate::journal::Journal::single_file(&path, 1, &metrics).unwrap(), path)
    };
    let engine = Arc::new(vigia_rules::Engine::compile(&[], &Default::default()).engine);
    let events = EventSettings { shed_at_percent: 25, ..EventSettings::default() };
    let mut output = Output::new(&events, metrics.worker(0, "tap0"), journal.submitter(0), engine);
    for fill in fills {
        output.relieve(*fill, at(0, 0));
        output.record(&Write, header);
        output.anomaly(&header(), &Anomalous::Stream("gap"));
    }
    drop(output);
    journal.close().unwrap();
    let files =
        if live { std::fs::read_dir(lines).unwrap().map(|file| file.unwrap().path()).collect() } else { vec![lines] };
    let written = files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum();
    (written, metrics.snapshot())
}

const SHED: &str = "vigia_journal_lost_events_total{stream=\"records\",cause=\"pressure\"}";

#[test]
fn a_ring_that_fills_sheds_records_counted_until_it_has_drained() {
    let (written, snapshot) = offered(&[0.0, 0.3, 0.2, 0.1], true);
    assert_eq!((written, snapshot.get(SHED)), (4, 4));
    assert_eq!(snapshot.get("vigia_records_total{protocol=\"modbus\"}"), 4, "those that are shed are counted too");
}

#[test]
fn a_replay_sheds_nothing() {
    let (written, snapshot) = offered(&[0.0, 1.0, 0.3], false);
    assert_eq!((written, snapshot.get(SHED)), (6, 0));
}

#[test]
fn an_event_is_counted_and_written_by_one_call() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("eve.json");
    let metrics = Metrics::new();
    let journal = crate::journal::Journal::single_file(&path, 1, &metrics).unwrap();
    let engine = Arc::new(vigia_rules::Engine::compile(&[], &Default::default()).engine);
    let off = EventSettings { anomaly: false, ..EventSettings::default() };
    let mut output = Output::new(&off, metrics.worker(0, "tap0"), journal.submitter(0), engine);
    output.record(&Write, header);
    output.anomaly(&header(), &Anomalous::Stream("gap"));
    output.stats(at(0, 0), &metrics);
    drop(output);
    journal.close().unwrap();
    let written = std::fs::read_to_string(path).unwrap();
    let types: Vec<_> =
        written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event_type"].clone()).collect();
    assert_eq!(types, ["modbus", "stats"], "anomalies are switched off");
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.get("vigia_records_total{protocol=\"modbus\"}"), 1);
    assert_eq!(snapshot.get("vigia_stream_anomalies_total"), 1, "but counted");
    assert_eq!(snapshot.get("vigia_journal_events_total{stream=\"records\"}"), 2);
    assert_eq!(snapshot.get("vigia_journal_bytes_total{stream=\"records\"}"), written.len() as u64);
}
