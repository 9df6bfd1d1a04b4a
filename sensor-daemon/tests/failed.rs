//! Flows in which nothing is spoken that is known: when rules are told, and what the record of the flow says.

mod wire;

use serde_json::Value;
use wire::{Capture, Session, Way, ethernet, ipv4, read_registers, udp, vigia};

const RULES: &str = r#"
alert ip any any -> any any (msg:"failed"; app-layer-protocol:failed; dsize:>0; sid:1;)
alert ip any any -> any 502 (msg:"not Modbus"; app-layer-protocol:!modbus; dsize:>0; sid:2;)
alert ip any any -> any any (msg:"skipped"; app-layer-event:applayer_proto_detection_skipped; sid:3;)
alert ip any any -> any any (msg:"one direction"; app-layer-event:applayer_detect_protocol_only_one_direction; sid:4;)
"#;

/// How often each rule alerted, and the protocol in the record of the one flow.
fn replay(capture: &Capture) -> ([usize; 4], Option<String>) {
    let events = events(capture, RULES);
    let flow = events.iter().find(|event| event["event_type"] == "flow").unwrap();
    ([1, 2, 3, 4].map(|sid| alerts(&events, sid)), flow["app_proto"].as_str().map(str::to_owned))
}

fn alerts(events: &[Value], sid: u64) -> usize {
    events.iter().filter(|event| event["alert"]["signature_id"] == sid).count()
}

fn events(capture: &Capture, rules: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    capture.write(&at("test.pcap"));
    std::fs::write(at("test.rules"), rules).unwrap();
    let output = ["--rules".into(), at("test.rules"), "--output".into(), folder.path().to_owned()];
    let run = vigia().arg("replay").arg(at("test.pcap")).args(output).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = std::fs::read_to_string(at("eve.json")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A session with a server at this port, of what its ends say.
fn session(port: u16, handshake: bool, said: &[(Way, &[u8])]) -> Capture {
    let mut session = Session::new(([10, 5, 0, 1], 40_000), ([10, 5, 0, 20], port));
    let mut capture = Capture::default();
    let opening = session.handshake();
    if handshake {
        opening.iter().for_each(|frame| capture.push(frame));
    }
    said.iter().for_each(|(way, bytes)| capture.push(&session.say(*way, bytes)));
    capture
}

const NOISE: &[u8] = b"this is no protocol that anybody knows";

#[test]
fn a_flow_has_failed_as_soon_as_both_ends_have_spoken() {
    let noise = [(Way::ToServer, NOISE), (Way::ToClient, NOISE), (Way::ToServer, NOISE)];
    assert_eq!(replay(&session(9999, true, &noise[..1])), ([0; 4], None), "the server may still answer");
    assert_eq!(replay(&session(9999, true, &noise)), ([2, 0, 0, 0], Some("failed".into())));
    assert_eq!(replay(&session(502, true, &noise)), ([2, 1, 0, 0], Some("failed".into())), "on a port of Modbus");
    let mut datagrams = Capture::default();
    let (client, server) = (([10, 5, 0, 1], 4000), ([10, 5, 0, 2], 9999));
    for [from, to] in [[client, server], [server, client]] {
        datagrams.push(&ethernet(&[], 0x0800, &ipv4(17, from.0, to.0, 1, 0, &udp(from.1, to.1, NOISE))));
    }
    assert_eq!(replay(&datagrams), ([1, 0, 0, 0], Some("failed".into())));
}

#[test]
fn what_is_recognised_later_takes_it_back_and_midstream_nothing_is_said_too_early() {
    let [ask, answer] = read_registers(1);
    let mut said = vec![(Way::ToServer, NOISE), (Way::ToClient, NOISE)];
    for _ in 0..3 {
        said.extend([(Way::ToServer, &*ask), (Way::ToClient, &*answer)]);
    }
    assert_eq!(replay(&session(502, true, &said)), ([1, 0, 0, 0], Some("modbus".into())));
    assert_eq!(replay(&session(502, false, &said)), ([0; 4], Some("modbus".into())), "picked up within a message");
}

#[test]
fn rules_hear_of_an_end_that_never_spoke_and_of_one_that_speaks_something_else() {
    let one_sided: Vec<_> = (0..40).map(|_| (Way::ToServer, NOISE)).collect();
    let ([failed, _, skipped, _], flow) = replay(&session(9999, true, &one_sided));
    assert!(failed > 0 && skipped == 1 && flow.as_deref() == Some("failed"), "{failed} {skipped} {flow:?}");
    let [ask, _] = read_registers(1);
    let mut mixed = vec![(Way::ToServer, &*ask)];
    mixed.extend((0..200).map(|_| (Way::ToClient, NOISE)));
    assert_eq!(replay(&session(502, true, &mixed)), ([0, 0, 0, 1], Some("modbus".into())));
}

#[test]
fn rules_hear_of_ends_that_speak_different_protocols() {
    let rule = "alert tcp any any -> any any (flow:established; app-layer-event:applayer_mismatch_protocol_both_directions; sid:5;)";
    let [ask, answer] = read_registers(1);
    let mismatches = |said: &[(Way, &[u8])]| alerts(&events(&session(502, true, said), rule), 5);
    let iec104 = &[0x68, 4, 0x43, 0, 0, 0];
    assert_eq!(mismatches(&[(Way::ToServer, &ask), (Way::ToClient, iec104), (Way::ToClient, iec104)]), 1);
    assert_eq!(mismatches(&[(Way::ToServer, &ask), (Way::ToClient, &answer), (Way::ToClient, iec104)]), 0);
    assert_eq!(mismatches(&[(Way::ToServer, &ask), (Way::ToClient, NOISE), (Way::ToClient, iec104)]), 0);
}
