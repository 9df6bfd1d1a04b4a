//! What alerts say beside the signature: marks and values that rules left on the flow, and what the match found out.

mod wire;

use serde_json::{Value, json};
use wire::{Capture, Session, Way, vigia};

const RULES: &str = r#"
alert tcp any any -> any any (content:"user="; pcre:"/user=(\w+)/, flow:user"; flowbits:set,login; flowbits:set,traffic/id/shell; flowint:logins,+,1; noalert; sid:1;)
alert tcp any any -> any any (msg:"Used"; content:"open"; flowbits:isset,login; flowvar:user,"oo"; entropy:value > 0; sid:2;)
alert tcp any any -> any any (pkt_data; content:"open valve"; dataset:isset,valves,type string,load valves.json,format json,value_key name,context_key valve; sid:3;)
alert tcp:flow_start any any -> any any (msg:"A flow begins"; sid:4;)
alert tcp any any -> any any (msg:"Never"; content:"root"; entropy:value > 7.9; sid:5;)
"#;

/// The events of a kind.
fn events(kind: &str) -> Vec<Value> {
    let mut session = Session::new(([10, 4, 0, 1], 40_000), ([10, 4, 0, 20], 7));
    let mut capture = Capture::default();
    session.handshake().iter().for_each(|frame| capture.push(frame));
    for said in [&b"user=root"[..], b"open valve"] {
        capture.push(&session.say(Way::ToServer, said));
        capture.push(&session.say(Way::ToClient, b"ok"));
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    capture.write(&at("test.pcap"));
    std::fs::write(at("test.rules"), RULES).unwrap();
    std::fs::write(at("valves.json"), r#"[{"name": "open valve", "plant": "north"}]"#).unwrap();
    let output = ["--rules".into(), at("test.rules"), "--output".into(), folder.path().to_owned()];
    let run = vigia().arg("replay").arg(at("test.pcap")).args(output).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = std::fs::read_to_string(at("eve.json")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event_type"] == kind).collect()
}

#[test]
fn an_alert_tells_what_rules_left_on_its_flow_and_what_its_match_found_out() {
    let alerts = events("alert");
    let of = |sid: u64| alerts.iter().filter(|it| it["alert"]["signature_id"] == sid).collect::<Vec<_>>();
    assert_eq!(of(4).len(), 2, "the first packet of each direction");
    assert_eq!(of(4)[0].get("metadata"), None);
    let [used] = of(2)[..] else { panic!("{alerts:?}") };
    let entropy = used["metadata"]["entropy"]["payload"].as_f64().unwrap();
    assert!((entropy - 2.9219).abs() < 0.001, "{entropy}");
    assert_eq!(used["metadata"]["flowbits"], json!(["login"]));
    assert_eq!(used["metadata"]["flowints"], json!({"logins": 1}));
    assert_eq!(used["metadata"]["flowvars"], json!([{"user": "root"}]));
    assert_eq!(used["traffic"], json!({"id": ["shell"]}));
    let [valve] = of(3)[..] else { panic!("{alerts:?}") };
    assert_eq!(valve["alert"]["context"], json!({"valve": {"name": "open valve", "plant": "north"}}));
    assert!(of(5).is_empty());
}

#[test]
fn the_record_of_a_flow_tells_what_rules_left_on_it_and_entropies_be_they_matched_or_not() {
    let [flow] = &events("flow")[..] else { panic!("one flow") };
    assert_eq!(flow["metadata"]["flowbits"], json!(["login"]));
    assert_eq!(flow["metadata"]["flowints"], json!({"logins": 1}));
    assert_eq!(flow["metadata"]["flowvars"], json!([{"user": "root"}]));
    assert_eq!(flow["traffic"], json!({"id": ["shell"]}));
    assert!(flow["metadata"]["entropy"]["payload"].as_f64().is_some_and(|found| found < 7.9), "{flow}");
}

/// A session whose roles the ports mislead about: what its messages, its packets and its flow say.
#[test]
fn what_is_told_of_a_packet_names_its_sender_even_if_the_packet_itself_shows_who_serves() {
    // Picked up at an answer; neither port is one of Modbus, and the one who answers has the higher.
    let (plc, hmi) = (([10, 4, 0, 20], 40_000), ([10, 4, 0, 1], 7));
    let mut session = Session::new(hmi, plc);
    let mut capture = Capture::default();
    let [ask, answer] = wire::read_registers(1);
    for said in [(Way::ToClient, &answer), (Way::ToServer, &ask), (Way::ToClient, &answer)] {
        capture.push(&session.say(said.0, said.1));
    }
    let rules = r#"
alert tcp any any -> any any (msg:"packet"; dsize:>0; sid:1;)
alert tcp any any -> any any (msg:"stream"; content:"|00 01 00 00 00|"; sid:2;)
alert modbus any any -> any any (msg:"message"; modbus.function:3; sid:3;)
"#;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    capture.write(&at("test.pcap"));
    std::fs::write(at("test.rules"), rules).unwrap();
    let output = ["--rules".into(), at("test.rules"), "--output".into(), folder.path().to_owned()];
    let run = vigia().arg("replay").arg(at("test.pcap")).args(output).output().unwrap();
    assert!(run.status.success());
    let text = std::fs::read_to_string(at("eve.json")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (hmi, plc) = ("10.4.0.1", "10.4.0.20");
    let of = |sid: u64| {
        let alerts = events.iter().filter(move |event| event["alert"]["signature_id"] == sid);
        alerts.map(|it| [&it["src_ip"], &it["direction"], &it["flow"]["src_ip"]].map(|value| value.as_str().unwrap()))
    };
    let (asked, answered) = ([hmi, "to_server", hmi], [plc, "to_client", hmi]);
    assert_eq!(of(1).collect::<Vec<_>>(), [answered, asked, answered], "packets");
    assert_eq!(of(2).collect::<Vec<_>>(), [answered, asked, answered], "stream");
    assert_eq!(of(3).collect::<Vec<_>>(), [answered, asked], "transactions: the second answer is of the first request");
    let sent = |event: &Value| [&event["flow"]["pkts_toserver"], &event["flow"]["pkts_toclient"]].map(|it| it.as_u64());
    let first = events.iter().find(|event| event["event_type"] == "alert").unwrap();
    assert_eq!(sent(first), [Some(0), Some(1)]);
    let records = events.iter().filter(|event| event["event_type"] == "modbus" || event["event_type"] == "flow");
    assert!(records.clone().count() > 2 && records.clone().all(|record| record["src_ip"] == hmi), "{events:?}");
}
