//! What is forged to hide a stream from the rules, through the binary.

mod wire;

use serde_json::Value;
use wire::{ACK, Capture, FIN, RST, SYN, Session, Way, vigia};

const RULE: &str =
    r#"alert tcp any any -> any any (msg:"spread"; flow:established; content:"reprogram the relay"; sid:1;)"#;

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
    spoken(&capture)
}

/// How often the rule speaks of a capture.
fn spoken(capture: &Capture) -> usize {
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

/// The same of a session that both ends open with a SYN; `answers` are those of them that answer with a SYN/ACK.
fn alerts_after_crossing(answers: &[Way]) -> usize {
    let mut session = Session::new(([10, 4, 0, 1], 40_000), ([10, 4, 0, 17], 7000));
    let mut capture = Capture::default();
    let mut answering = [session.clone(), session.clone()];
    for way in [Way::ToServer, Way::ToClient] {
        capture.push(&session.segment(way, SYN, &[]));
        // Who answers has had the other's SYN, and its own stands where it stood.
        answering[1 - way as usize].segment(way, SYN, &[]);
    }
    for &way in answers {
        capture.push(&answering[way as usize].segment(way, SYN | ACK, &[]));
    }
    capture.push(&session.segment(Way::ToClient, ACK, &[]));
    for part in [&b"please repro"[..], b"gram the relay"] {
        capture.push(&session.say(Way::ToServer, part));
    }
    capture.push(&session.segment(Way::ToClient, ACK, &[]));
    spoken(&capture)
}

#[test]
fn a_pattern_is_found_in_a_session_whose_ends_both_began() {
    assert_eq!(alerts_after_crossing(&[Way::ToServer, Way::ToClient]), 1, "a simultaneous open");
    assert_eq!(alerts_after_crossing(&[Way::ToServer]), 1, "a handshake split into four");
}
