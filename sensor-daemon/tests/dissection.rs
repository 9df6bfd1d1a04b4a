//! Settings and bounds of dissectors, through the binary.

mod wire;

use std::path::Path;

use serde_json::Value;
use wire::{Capture, Session, Way, vigia};

/// The events of a replay of `capture` with these settings.
fn replayed(capture: &Capture, settings: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    capture.write(&at("test.pcap"));
    std::fs::write(at("vigia.toml"), settings).unwrap();
    let run = vigia()
        .arg("replay")
        .arg(at("test.pcap"))
        .arg("--config")
        .arg(at("vigia.toml"))
        .arg("--output")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    lines(&at("eve.json"))
}

fn lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A message of two mebibytes, of which segments are lost, and a short one.
#[test]
fn of_a_long_mqtt_message_the_topic_is_recorded_and_the_next_message_is_found() {
    let mut session = Session::new(([10, 4, 0, 1], 40_000), ([10, 4, 0, 18], 1883));
    let mut capture = Capture::default();
    session.handshake().iter().for_each(|frame| capture.push(frame));
    capture.push(&session.say(Way::ToServer, b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c"));
    capture.push(&session.say(Way::ToClient, &[0x20, 2, 0, 0]));
    let body = [&[0, 5][..], b"video", &[0x30; 2 << 20]].concat();
    let length = body.len() as u32;
    let header =
        [0x30, length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8 | 0x80, (length >> 21) as u8];
    for (number, piece) in [&header[..], &body].concat().chunks(1400).enumerate() {
        if (200..203).contains(&number) {
            session.lose(Way::ToServer, piece.len() as u32);
        } else {
            capture.push(&session.say(Way::ToServer, piece));
        }
        if number % 16 == 0 {
            capture.push(&session.say(Way::ToClient, &[]));
        }
    }
    capture.push(&session.say(Way::ToServer, b"\x30\x08\0\x04next10"));
    let events = replayed(&capture, "");
    let published: Vec<_> = events.iter().map(|event| &event["mqtt"]["publish"]).filter(|it| it.is_object()).collect();
    assert_eq!(published.len(), 2, "{events:?}");
    assert_eq!((&published[0]["topic"], &published[1]["topic"]), (&"video".into(), &"next".into()));
    assert_eq!(published[0]["skipped_length"], (2 << 20) - 1024);
    let applayer = |event: &&Value| event["anomaly"]["app_proto"] == "mqtt";
    assert_eq!(events.iter().find(applayer), None);
    let last = events.iter().rfind(|event| event["event_type"] == "stats").expect("statistics");
    assert_eq!(last["stats"]["app_layer"]["bounded"]["message_bytes"], 1, "{last}");
}
