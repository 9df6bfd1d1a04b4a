//! Settings and bounds of dissectors, through the binary.

mod wire;

use std::path::Path;

use serde_json::Value;
use wire::{Capture, Session, Way, read_registers, vigia, write_register};

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

/// A command with one octet of cause, two of common address and three of object address, which is as long as one with two
/// of each.
const COMMAND: [u8; 15] = [0x68, 13, 0, 0, 0, 0, 45, 1, 6, 3, 0, 0xa1, 0x0f, 0, 1];

fn commanded(settings: &str) -> Value {
    let mut session = Session::new(([10, 4, 0, 1], 40_000), ([10, 4, 0, 17], 2404));
    let mut capture = Capture::default();
    session.handshake().iter().for_each(|frame| capture.push(frame));
    capture.push(&session.say(Way::ToServer, &[0x68, 4, 7, 0, 0, 0]));
    capture.push(&session.say(Way::ToClient, &[0x68, 4, 0x0b, 0, 0, 0]));
    capture.push(&session.say(Way::ToServer, &COMMAND));
    let events = replayed(&capture, settings);
    let command = events.iter().find(|event| event["iec104"]["type"] == "c_sc_na_1").expect("a command");
    command["iec104"].clone()
}

#[test]
fn sizes_of_an_iec_104_station_are_taken_from_the_settings() {
    let entry = |stations: &str| {
        format!("[[dissection.iec104]]\nstations = [{stations}]\ncause = 1\ncommon_address = 2\nobject_address = 3\n")
    };
    for listed in ["\"10.4.0.17\"", "\"10.4.0.0/24\"", ""] {
        let command = commanded(&entry(listed));
        assert_eq!(
            (&command["common_address"], &command["objects"][0]["address"]),
            (&3.into(), &4001.into()),
            "{listed}"
        );
        assert!(command.get("originator").is_none());
    }
    for other in [String::new(), entry("\"10.4.1.0/24\"")] {
        assert_ne!(commanded(&other)["objects"][0]["address"], 4001, "{other}");
    }
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

/// A session of hours must not hide what was asked in it and never answered.
#[test]
fn in_a_flow_that_lasts_what_was_never_answered_is_reported_before_its_end() {
    let mut session = Session::new(([10, 4, 0, 1], 40_000), ([10, 4, 0, 19], 502));
    let mut capture = Capture::default();
    session.handshake().iter().for_each(|frame| capture.push(frame));
    capture.push(&session.say(Way::ToServer, &write_register(1, 7, 850)));
    for minute in 2..8 {
        capture.wait_ms(60_000);
        let [question, answer] = read_registers(minute);
        capture.push(&session.say(Way::ToServer, &question));
        capture.push(&session.say(Way::ToClient, &answer));
    }
    let events = replayed(&capture, "");
    let records: Vec<_> = events.iter().filter(|event| event["event_type"] == "modbus").collect();
    assert_eq!(records.len(), 7, "{records:?}");
    let unanswered =
        records.iter().position(|record| record["vigia"]["answered"] == false).expect("one without an answer");
    assert_eq!(records[unanswered]["modbus"]["request"]["transaction_id"], 1);
    // The interim record is due after five minutes, with the sixth packet or so.
    assert!((4..6).contains(&unanswered), "record {unanswered} of {}", records.len());
}
