//! What is forged to hide a stream from the rules, through the binary.

mod wire;

use serde_json::Value;
use wire::{ACK, Capture, FIN, RST, Session, Way, vigia};

const RULE: &str = r#"alert tcp any any -> any any (msg:"spread"; content:"reprogram the relay"; sid:1;)"#;

/// How often the rule speaks of a session in which a pattern is spread over two segments, with `forged` between them.
fn alerts(forged: &[(Way, u8)]) -> usize {
    let mut session = Session::new(([10, 4, 0, 1], 40_000), ([10, 4, 0, 17], 7000));
    let mut capture = Capture::default();
    session.handshake().iter().for_each(|frame| capture.push(frame));
    capture.push(&session.say(Way::ToServer, b"please repro"));
    for &(way, flags) in forged {
        let mut elsewhere = session.clone();
        capture.push(&elsewhere.segment(way, flags, &[]));
    }
    capture.push(&session.say(Way::ToServer, b"gram the relay"));
    capture.push(&session.segment(Way::ToClient, ACK, &[]));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    capture.write(&at("test.pcap"));
    std::fs::write(at("test.rules"), RULE).unwrap();
    let mut command = vigia();
    command.arg("replay").arg(at("test.pcap")).arg("--rules").arg(at("test.rules")).arg("--output").arg(folder.path());
    let run = command.output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let events = std::fs::read_to_string(at("eve.json")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event_type"] == "alert" && event["alert"]["signature_id"] == 1).count()
}

#[test]
fn a_pattern_is_found_across_forged_ends_of_its_stream() {
    let (server, client) = (Way::ToServer, Way::ToClient);
    assert_eq!(alerts(&[]), 1);
    assert_eq!(alerts(&[(client, FIN | ACK)]), 1);
    assert_eq!(alerts(&[(server, FIN | ACK), (client, FIN | ACK)]), 1);
    assert_eq!(alerts(&[(client, RST | ACK)]), 1);
    assert_eq!(alerts(&[(server, RST)]), 1);
}
