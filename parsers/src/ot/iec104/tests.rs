//! IEC 60870-5-104 from the octets of APDUs to what rules and logs see. Octets are put together after the tables of the
//! standard, unless a test says where they are from.

mod properties;

use super::*;
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{self, ToClient, ToServer};
use crate::dissector::{Dissector, Frame, Pairing, Probe};
use crate::limits::{Bound, Limits};
use crate::testing::{Collected, Heard, bytes, envelope};
use crate::time::Timestamp;

/// An APDU of the I format.
fn information(send: u16, receive: u16, asdu: &[u8]) -> Vec<u8> {
    let mut apdu = vec![0x68, 4 + asdu.len() as u8];
    apdu.extend((send << 1).to_le_bytes());
    apdu.extend((receive << 1).to_le_bytes());
    apdu.extend(asdu);
    apdu
}

fn control(function: u8) -> Vec<u8> {
    vec![0x68, 4, function << 2 | 3, 0, 0, 0]
}

/// One flow and what is heard of it; numbers its I frames itself.
struct Session {
    state: State,
    sink: Collected,
    now: u64,
    sent: [u16; 2],
}

impl Session {
    fn new() -> Self {
        Self { state: State::new(&Limits::DEFAULT), sink: Collected::default(), now: 1_000, sent: [0; 2] }
    }

    fn send(&mut self, direction: Direction, apdu: &[u8]) -> &Heard {
        self.now += 1;
        assert_eq!((PROTOCOL.frame)(apdu, direction), Frame::Whole(apdu.len()));
        self.state.parse(&envelope(direction, self.now), apdu, &mut self.sink);
        self.sink.messages.last().expect("a message")
    }

    fn asdu(&mut self, direction: Direction, hex: &str) -> &Heard {
        let sent = self.sent[direction.index()];
        self.sent[direction.index()] += 1;
        let apdu = information(sent, self.sent[direction.opposite().index()], &bytes(hex));
        self.send(direction, &apdu)
    }

    fn finish(&mut self) -> &[Heard] {
        self.state.expire(Timestamp::MAX, &mut self.sink);
        &self.sink.transactions
    }
}

/// One ASDU of the standard's sizes, as its station or its controlling station sends it.
fn heard(hex: &str) -> Heard {
    let octets = bytes(hex);
    let direction = if matches!(octets[0], 45..=64 | 100..=113) { ToServer } else { ToClient };
    Session::new().asdu(direction, hex).clone()
}

/// Names and offsets of what is wrong with one ASDU.
fn faults(hex: &str) -> Vec<(&'static str, usize)> {
    heard(hex).anomalies.iter().map(|anomaly| (anomaly.kind, anomaly.offset)).collect()
}

/// One octet of cause, two of common address, three of object address: as long as two, two and two.
#[test]
fn stated_sizes_are_kept_to_where_the_lengths_suit_others_too() {
    let asdu = "2d 01 06 0300 a10f00 01";
    assert_ne!(Session::new().asdu(ToServer, asdu).field("object_address"), "4001");
    let sizes = Some(Sizes::new(1, 2, 3));
    let mut session = Session::new();
    session.state = State::new(&Limits { iec104_sizes: sizes, ..Limits::DEFAULT });
    let command = session.asdu(ToServer, asdu);
    assert_eq!((command.field("common_address"), command.field("object_address")), ("3".into(), "4001".into()));
    assert_eq!(session.asdu(ToServer, "2d 01 06 00 0300 a10f00 01").kinds(), ["invalid_length"]);
}

#[test]
fn the_three_formats_are_told_apart_with_their_numbers() {
    let mut session = Session::new();
    let start = session.send(ToServer, &bytes("68 04 07 00 00 00"));
    assert_eq!((start.field("format"), start.field("u_function")), ("3".into(), "1".into()));
    let data = session.send(ToClient, &bytes("68 0e 02 00 04 00  01 01 03 00 0100 000000 00"));
    assert_eq!((data.field("format"), data.field("type_id")), ("0".into(), "1".into()));
    assert_eq!((data.field("send_sequence"), data.field("receive_sequence")), ("1".into(), "2".into()));
    let ack = session.send(ToServer, &bytes("68 04 01 00 04 00"));
    assert_eq!((ack.field("format"), ack.field("receive_sequence")), ("1".into(), "2".into()));
    assert!(session.sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

/// Every type with one object: its octets after address 4001 of station 3, its values, and the rest of what is told.
#[test]
fn every_type_gives_its_values() {
    let time = "b9dd 22 0c 79 0b 1a"; // 2026-11-25 12:34:56.761, a Wednesday
    let short = "b9dd 22";
    let cases: &[(&str, &str, &str)] = &[
        ("01 91", "1", "quality=16 128"),
        ("03 c2", "2", "quality=64 128"),
        ("05 ff 01", "-1", "quality=1;transient=true"),
        ("05 3f 00", "63", "transient=false"),
        ("07 78563412 20", "305419896", "quality=32"),
        ("09 00c0 00", "-0.5", ""),
        ("0b 18fc 01", "-1000", "quality=1"),
        ("0d 0000c03f 00", "1.5", ""),
        ("0f ffffffff e5", "-1", "quality=128;counter_sequence=5;carry=true;adjusted=true"),
        ("14 0100 ffff 00", "1", "changed=65535"),
        ("15 ff7f", "0.999969482421875", ""),
        ("2d 81", "1", "qualifier=0;select=true"),
        ("2e 06", "2", "qualifier=1;select=false"),
        ("2f 8d", "1", "qualifier=3;select=true"),
        ("30 0040 80", "0.5", "qualifier=0;select=true"),
        ("31 18fc 05", "-1000", "qualifier=5;select=false"),
        ("32 0000c03f 00", "1.5", "qualifier=0;select=false"),
        ("33 01000080", "2147483649", ""),
        ("46 82", "", "initialization=2;parameters_changed=true"),
        ("64 14", "", "interrogation=20"),
        ("65 45", "", "counter_request=5;counter_freeze=1"),
        ("66", "", ""),
        ("68 aa55", "", "test_pattern=21930"),
        ("69 01", "", "reset=1"),
        ("6a e803", "", "elapsed_ms=1000"),
        ("6e 0040 c4", "0.5", "parameter=4;local_change=true;in_operation=false"),
        ("6f 0a00 01", "10", "parameter=1;local_change=false;in_operation=true"),
        ("70 0000c03f 03", "1.5", "parameter=3;local_change=false;in_operation=true"),
        ("71 03", "", "parameter_activation=3"),
        ("78 0200 102700 80", "", "file=2;file_length=10000;ready=false"),
        ("79 0200 01 102700 00", "", "file=2;section=1;file_length=10000;ready=true"),
        ("7a 0200 00 42", "", "file=2;section=0;file_call=2;file_error=4"),
        ("7b 0200 01 03 5a", "", "file=2;section=1;file_end=3;checksum=90"),
        ("7c 0200 01 13", "", "file=2;section=1;file_acknowledgement=3;file_error=1"),
        ("7d 0200 01 03 616263", "", "file=2;section=1;segment=616263"),
    ];
    let check = |octets: &[u8], value: &str, rest: &str| {
        let cause = match octets[0] {
            45..=64 | 100 | 101 | 103..=113 => 6,
            102 => 5,
            15 | 16 | 37 => 37,
            70 => 4,
            120..=127 => 13,
            _ => 3,
        };
        let asdu = [&[octets[0], 1, cause, 0, 3, 0, 0xa1, 0x0f, 0], &octets[1..]].concat();
        let heard = heard(&crate::testing::hex(&asdu));
        assert_eq!(heard.kinds(), Vec::<&str>::new(), "type {}", octets[0]);
        assert_eq!(heard.field("object_address"), "4001");
        assert_eq!(heard.field("value"), value, "type {}", octets[0]);
        for (name, value) in rest.split(';').filter_map(|field| field.split_once('=')) {
            assert_eq!(heard.field(name), value, "type {}: {name}", octets[0]);
        }
        heard
    };
    for (octets, value, rest) in cases {
        check(&bytes(octets), value, rest);
    }
    // With a time of three octets, and of seven.
    for (octets, value) in [
        ("02 01", "1"),
        ("04 02", "2"),
        ("06 03 00", "3"),
        ("08 01000000 00", "1"),
        ("0a 0040 00", "0.5"),
        ("0c 0a00 00", "10"),
        ("0e 0000c03f 00", "1.5"),
        ("10 05000000 00", "5"),
        ("11 02 e803", "2"),
        ("12 3f 00 e803", "63"),
        ("13 0f 00 e803", "15"),
    ] {
        let heard = check(&bytes(&format!("{octets} {short}")), value, "time_invalid=false");
        assert_eq!(heard.field("hour_ms"), "2096761");
    }
    for (octets, value) in [
        ("1e 01", "1"),
        ("1f 02", "2"),
        ("20 03 00", "3"),
        ("21 01000000 00", "1"),
        ("22 0040 00", "0.5"),
        ("23 0a00 00", "10"),
        ("24 0000c03f 00", "1.5"),
        ("25 05000000 00", "5"),
        ("26 02 e803", "2"),
        ("27 3f 00 e803", "63"),
        ("28 0f 00 e803", "15"),
        ("3a 01", "1"),
        ("3b 02", "2"),
        ("3c 02", "2"),
        ("3d 0040 00", "0.5"),
        ("3e 0a00 00", "10"),
        ("3f 0000c03f 00", "1.5"),
        ("40 01000000", "1"),
        ("67", ""),
        ("6b 0100", ""),
        ("7e 0200 102700 60", ""),
    ] {
        let heard = check(&bytes(&format!("{octets} {time}")), value, "time_invalid=false");
        assert_eq!(heard.field("time"), "1795610096761000000", "type {}", octets);
    }
    let archive = check(&bytes(&format!("7f 0200 {time} {time}")), "", "file=2");
    assert_eq!(archive.field("range"), "1795610096761000000 1795610096761000000");
}

#[test]
fn a_sequence_counts_its_addresses_and_single_objects_have_their_own() {
    let sequence = heard("0b 83 14 00 0300 641900  0100 00 0200 01 ffff 00");
    assert_eq!(sequence.field("object_address"), "6500 6501 6502");
    assert_eq!((sequence.field("value"), sequence.field("quality")), ("1 2 -1".into(), "1".into()));
    assert_eq!(sequence.field("sequence"), "true");
    let single = heard("01 02 03 00 0300 0a0000 01 140000 00");
    assert_eq!((single.field("object_address"), single.field("value")), ("10 20".into(), "1 0".into()));
    assert!(sequence.anomalies.is_empty() && single.anomalies.is_empty());
}

#[test]
fn cause_bits_originator_and_common_address_are_read() {
    let heard = heard("2d 01 c7 05 0d91 0a0000 01");
    assert_eq!((heard.field("cause"), heard.field("negative"), heard.field("test")), flags("7", true, true));
    assert_eq!((heard.field("originator"), heard.field("common_address")), ("5".into(), "37133".into()));
}

fn flags(cause: &str, negative: bool, test: bool) -> (String, String, String) {
    (cause.into(), negative.to_string(), test.to_string())
}

#[test]
fn sizes_of_lines_carried_over_tcp_are_found_by_the_lengths() {
    let mut session = Session::new();
    let first = session.asdu(ToServer, "64 01 06 05 0000 14").clone();
    assert_eq!((first.field("common_address"), first.field("interrogation")), ("5".into(), "20".into()));
    assert_eq!((first.field("originator"), first.kinds()), (String::new(), vec![]));
    let value = session.asdu(ToClient, "0d 02 14 05 6419 0000c03f 00 6519 00002040 00");
    assert_eq!((value.field("object_address"), value.field("value")), ("6500 6501".into(), "1.5 2.5".into()));
    // From now on the sizes are certain: what would suit others only is wrong.
    assert!(session.asdu(ToServer, "64 01 06 00 0500 000000 14").kinds().contains(&"invalid_length"));
}

#[test]
fn unusual_sizes_are_believed_when_two_asdus_agree() {
    let mut session = Session::new();
    assert_eq!(session.asdu(ToClient, "01 02 03 00 0300 0a00 01 0b00 00").kinds(), ["invalid_length"]);
    let second = session.asdu(ToClient, "01 02 03 00 0300 0a00 01 0b00 00");
    assert_eq!((second.field("common_address"), second.field("object_address")), ("3".into(), "10 11".into()));
    assert_eq!((second.field("value"), second.kinds()), ("1 0".into(), vec![]));
}

#[test]
fn one_malformed_asdu_does_not_change_the_sizes() {
    let mut session = Session::new();
    assert_eq!(session.asdu(ToClient, "01 02 03 00 0300 0a0000 01").kinds(), ["invalid_length"]);
    for _ in 0..3 {
        assert_eq!(session.asdu(ToClient, "01 01 03 00 0300 0a0000 01").field("object_address"), "10");
    }
}

#[test]
fn an_activation_its_confirmation_and_its_termination_are_one_transaction() {
    let mut session = Session::new();
    session.asdu(ToServer, "2d 01 06 00 0300 a10f00 01");
    assert!(session.sink.transactions.is_empty());
    session.asdu(ToClient, "2d 01 07 00 0300 a10f00 01");
    session.asdu(ToClient, "2d 01 0a 00 0300 a10f00 01");
    let [confirmed, terminated] = session.finish() else { panic!("two are logged") };
    assert_eq!((confirmed.transaction, terminated.transaction), (1, 1));
    let asked = Pairing::Answered(envelope(ToServer, 1_001).timestamp);
    assert_eq!((confirmed.pairing, terminated.pairing), (asked, asked));
    assert_eq!(confirmed.operation, "control: ca 3 ioa 4001 = 1");
    assert!(session.sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

#[test]
fn an_activation_without_confirmation_is_reported_at_the_end() {
    let mut session = Session::new();
    session.asdu(ToServer, "67 01 06 00 0300 000000 b9dd 22 0c 79 0b 1a");
    session.send(ToServer, &control(names::TESTFR_ACT));
    let logged = session.finish();
    assert_eq!(logged.iter().map(|heard| heard.pairing).collect::<Vec<_>>(), [Pairing::Unanswered; 2]);
    assert_eq!(logged[0].operation, "configure: ca 3");
}

#[test]
fn refusals_of_what_is_unknown_answer_too() {
    let mut session = Session::new();
    session.asdu(ToServer, "2e 01 06 00 0300 a10f00 01");
    let refusal = session.asdu(ToClient, "2e 01 6f 00 0300 a10f00 01");
    assert_eq!(refusal.pairing, Pairing::Answered(envelope(ToServer, 1_001).timestamp));
    assert_eq!(session.finish().len(), 1);
}

#[test]
fn a_read_command_is_answered_by_the_object_it_asks_for() {
    let mut session = Session::new();
    session.asdu(ToServer, "66 01 05 00 0300 a10f00");
    session.asdu(ToClient, "01 01 05 00 0300 a20f00 01");
    let answer = session.asdu(ToClient, "01 01 05 00 0300 a10f00 01");
    assert_eq!((answer.transaction, answer.pairing), (1, Pairing::Answered(envelope(ToServer, 1_001).timestamp)));
}

#[test]
fn a_confirmation_of_nothing_is_told() {
    let mut session = Session::new();
    assert_eq!(session.asdu(ToClient, "2d 01 07 00 0300 a10f00 01").kinds(), ["unsolicited_confirmation"]);
    assert_eq!(session.send(ToClient, &control(names::STARTDT_CON)).kinds(), ["unsolicited_confirmation"]);
}

#[test]
fn an_execute_command_finds_its_select() {
    let mut session = Session::new();
    let direct = session.asdu(ToServer, "2d 01 06 00 0300 a20f00 01").clone();
    assert_eq!((direct.field("selected"), direct.kinds()), ("false".into(), vec![]));
    let select = session.asdu(ToServer, "2d 01 06 00 0300 a10f00 81").clone();
    assert_eq!((select.field("select"), select.field("selected")), ("true".into(), String::new()));
    session.asdu(ToClient, "2d 01 07 00 0300 a10f00 81");
    let execute = session.asdu(ToServer, "2d 01 06 00 0300 a10f00 01").clone();
    assert_eq!((execute.field("selected"), execute.kinds()), ("true".into(), vec![]));
    // The point is one that is selected first: now it was not.
    let again = session.asdu(ToServer, "2d 01 06 00 0300 a10f00 01").clone();
    assert_eq!((again.field("selected"), again.anomalies[0].offset), ("false".into(), 12));
    assert_eq!(again.kinds(), ["execute_without_select"]);
}

#[test]
fn an_execute_command_with_another_value_than_selected_is_told() {
    let mut session = Session::new();
    session.asdu(ToServer, "32 01 06 00 0300 a10f00 00000041 80");
    assert_eq!(session.asdu(ToServer, "32 01 06 00 0300 a10f00 00001041 00").kinds(), ["execute_differs"]);
}

#[test]
fn a_refused_or_cancelled_selection_is_none() {
    for ending in [(ToClient, "2d 01 47 00 0300 a10f00 81"), (ToServer, "2d 01 08 00 0300 a10f00 81")] {
        let mut session = Session::new();
        session.asdu(ToServer, "2d 01 06 00 0300 a10f00 81");
        session.asdu(ending.0, ending.1);
        assert_eq!(session.asdu(ToServer, "2d 01 06 00 0300 a10f00 01").kinds(), ["execute_without_select"]);
    }
}

#[test]
fn lost_and_repeated_numbers_are_told_and_wrap_at_32768() {
    let point = bytes("01 01 03 00 0300 0a0000 01");
    let mut session = Session::new();
    let mut at = |send| session.send(ToClient, &information(send, 0, &point)).kinds();
    assert_eq!(at(32_766), Vec::<&str>::new());
    assert_eq!(at(32_767), Vec::<&str>::new());
    assert_eq!(at(0), Vec::<&str>::new());
    assert_eq!(at(2), ["sequence_lost"]);
    assert_eq!(at(2), ["sequence_repeated"]);
    assert_eq!(at(3), Vec::<&str>::new());
    session.state.gap(ToClient);
    assert_eq!(session.send(ToClient, &information(9, 0, &point)).kinds(), Vec::<&str>::new());
}

#[test]
fn what_was_not_sent_cannot_be_acknowledged() {
    let mut session = Session::new();
    session.asdu(ToClient, "01 01 03 00 0300 0a0000 01");
    assert_eq!(session.send(ToServer, &bytes("68 04 01 00 02 00")).kinds(), Vec::<&str>::new());
    assert_eq!(session.send(ToServer, &bytes("68 04 01 00 04 00")).kinds(), ["acknowledged_unsent"]);
}

#[test]
fn data_after_the_stop_of_transfer_are_told() {
    let mut session = Session::new();
    for (direction, function) in [(ToServer, names::STOPDT_ACT), (ToClient, names::STOPDT_CON)] {
        assert_eq!(session.send(direction, &control(function)).kinds(), Vec::<&str>::new());
    }
    assert_eq!(session.asdu(ToClient, "01 01 03 00 0300 0a0000 01").kinds(), ["transfer_stopped"]);
    session.send(ToServer, &control(names::STARTDT_ACT));
    assert_eq!(session.asdu(ToClient, "01 01 03 00 0300 0a0000 01").kinds(), Vec::<&str>::new());
}

#[test]
fn what_the_standard_forbids_has_a_name_and_an_offset() {
    let mut session = Session::new();
    let mut control = |hex| {
        let heard = session.send(ToServer, &bytes(hex));
        heard.anomalies.iter().map(|anomaly| (anomaly.kind, anomaly.offset)).collect::<Vec<_>>()
    };
    // The first is from a capture of Snort's tests.
    assert_eq!(control("68 05 07 00 00 00 00"), [("invalid_length", 1)]);
    assert_eq!(control("68 04 17 00 00 00"), [("invalid_control_field", 2)]);
    assert_eq!(control("68 04 43 00 01 00"), [("invalid_control_field", 4)]);
    assert_eq!(control("68 04 05 00 00 00"), [("invalid_control_field", 2)]);
    assert_eq!(control("68 04 00 00 00 00"), [("invalid_length", 1)]);
    assert_eq!(faults("16 01 03 00 0300 0a0000 01"), [("unknown_type", 6)]);
    assert_eq!(faults("01 01 2a 00 0300 0a0000 01"), [("unknown_cause", 8)]);
    assert_eq!(faults("01 01 06 00 0300 0a0000 01"), [("unexpected_cause", 8)]);
    assert_eq!(faults("01 01 03 00 0000 0a0000 01"), [("invalid_common_address", 10)]);
    assert_eq!(faults("01 00 03 00 0300"), [("no_objects", 7)]);
    assert_eq!(faults("01 02 03 00 0300 0a0000 01"), [("invalid_length", 16)]);
    assert_eq!(faults("2e 01 06 00 0300 0a0000 03"), [("invalid_value", 15)]);
    assert_eq!(faults("64 01 06 00 0300 000000 05"), [("invalid_value", 15)]);
    assert_eq!(faults("67 01 06 00 0300 000000 b9dd 22 0c 79 0d 1a"), [("invalid_time", 15)]);
    assert_eq!(faults("67 01 06 00 0300 000000 b9dd a2 0c 79 0d 1a"), []);
    // A year counted from 1900, as a station of a capture of 2009 does.
    assert_eq!(faults("67 01 06 00 0300 000000 d800 19 13 0d 08 6d"), [("invalid_time", 15)]);
}

#[test]
fn start_and_stop_go_one_way() {
    let mut session = Session::new();
    assert_eq!(session.send(ToClient, &control(names::STARTDT_ACT)).kinds(), ["wrong_direction"]);
    assert_eq!(session.send(ToClient, &control(names::TESTFR_ACT)).kinds(), Vec::<&str>::new());
}

#[test]
fn operations_are_those_of_all_protocols() {
    for (hex, operation) in [
        ("01 01 03 00 0300 0a0000 01", "read: ca 3 ioa 10"),
        ("64 01 06 00 0300 000000 14", "read: ca 3"),
        ("65 01 06 00 0300 000000 05", "read: ca 3"),
        ("65 01 06 00 0300 000000 c5", "write: ca 3"),
        ("32 01 06 00 0300 a10f00 0000c03f 00", "control: ca 3 ioa 4001 = 1.5"),
        ("69 01 06 00 0300 000000 01", "restart: ca 3"),
        ("6e 01 06 00 0300 a10f00 0040 01", "configure: ca 3 ioa 4001 = 0.5"),
        ("7a 01 0d 00 0300 a10f00 0200 00 04", "file: ca 3 ioa 4001 file 2"),
        ("68 01 06 00 0300 000000 aa55", ""),
        ("46 01 04 00 0300 000000 00", ""),
    ] {
        assert_eq!(heard(hex).operation, operation);
    }
}

#[test]
fn a_record_is_a_tree_of_the_names_of_the_standard() {
    insta::assert_snapshot!(heard("3b 01 06 00 0300 f91100 82 d800 19 13 0d 08 6d").json);
    insta::assert_snapshot!(heard("0d 02 14 00 0300 140500 0000f041 11 150500 00003144 00").json);
    insta::assert_snapshot!(Session::new().send(ToServer, &control(names::STARTDT_ACT)).json);
}

#[test]
fn certain_is_what_chance_does_not_give() {
    let probe = |direction, hex: &str| (PROTOCOL.probe)(&bytes(hex), direction);
    assert_eq!(probe(ToServer, "68 04 07 00 00 00"), Probe::Certain);
    assert_eq!(probe(ToClient, "68 04 07 00 00 00"), Probe::Maybe);
    assert_eq!(probe(ToClient, "68 04 83 00 00 00"), Probe::Certain);
    assert_eq!(probe(ToServer, "68 04 01 00 02 00"), Probe::Maybe);
    assert_eq!(probe(ToServer, "68 0e 00 00 02 00 64 01 06 00 0300 000000 14"), Probe::Certain);
    assert_eq!(probe(ToServer, "68 0e 00 00 02 00 64 01 06 00 0300 000000 14 68"), Probe::Certain);
    assert_eq!(probe(ToServer, "68 0e 00 00 02 00 64 01 06 00 0300 000000 14 67"), Probe::No);
    assert_eq!(probe(ToServer, "68 0b 00 00 02 00 64 01 06 05 0000 14"), Probe::Certain);
    assert_eq!(probe(ToServer, "68 0e 00 00 02 00 64 02 06 00 0300 000000 14"), Probe::Maybe);
    assert_eq!(probe(ToServer, "68 0e 00 00 02 00 e4 02 06 00 0300 000000 14"), Probe::No);
    assert_eq!(probe(ToServer, "68"), Probe::Maybe);
    assert_eq!(probe(ToServer, "68 03 07 00 00"), Probe::No);
    assert_eq!(probe(ToServer, "68 74 74 70"), Probe::Maybe);
    assert_eq!(probe(ToServer, "68 6f 73 74 65"), Probe::No);
}

/// A conversation on a port of its own, fed in chunks of `size`; the hole, if any, is lost.
fn converse(stream: &[u8], size: usize, hole: Option<std::ops::Range<usize>>) -> Collected {
    let opening = Opening { client_port: 49_152, server_port: 2404, medium: Medium::Stream, roles_known: true };
    let mut conversation = Conversation::new(opening, crate::registry::PROTOCOLS, &Limits::DEFAULT);
    let mut sink = Collected::default();
    let mut at = 0;
    for chunk in stream.chunks(size) {
        match &hole {
            Some(hole) if hole.contains(&at) => conversation.gap(ToClient, 1),
            _ => conversation.data(&envelope(ToClient, 0), chunk, &mut sink),
        }
        at += chunk.len();
    }
    conversation.expire(Timestamp::MAX, &mut sink);
    sink
}

/// Eight I frames of a station, of several lengths.
fn stream() -> Vec<u8> {
    let asdus = ["01 01 03 00 0300 0a0000 01", "0d 02 14 00 0300 140500 0000f041 11 150500 00003144 00"];
    (0..8).flat_map(|at: u16| information(at, 0, &bytes(asdus[usize::from(at) % 2]))).collect()
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_records() {
    let stream = stream();
    let whole = converse(&stream, stream.len(), None);
    assert_eq!(whole.messages.len(), 8);
    for size in 1..stream.len() {
        let cut = converse(&stream, size, None);
        assert_eq!((cut.messages, cut.transactions), (whole.messages.clone(), whole.transactions.clone()), "{size}");
        assert!(cut.anomalies.is_empty());
    }
}

#[test]
fn after_a_hole_the_records_go_on() {
    let stream = stream();
    let whole = converse(&stream, stream.len(), None);
    let holed = converse(&stream, 10, Some(40..60));
    let numbers = |sink: &Collected| sink.messages.iter().map(|heard| heard.field("send_sequence")).collect::<Vec<_>>();
    assert_eq!(numbers(&holed), ["0", "3", "4", "5", "6", "7"]);
    assert!(holed.messages.iter().all(|heard| heard.anomalies.is_empty()));
    let skipped: Vec<_> = holed.anomalies.iter().map(|anomaly| anomaly.kind).collect();
    assert_eq!(skipped, ["resynchronised"]);
    assert_eq!(whole.messages.len(), 8);
}

#[test]
fn outstanding_activations_and_selections_are_bounded() {
    let limits = Limits { requests: 4, ..Limits::DEFAULT };
    let mut session = Session { state: State::new(&limits), ..Session::new() };
    for object in 0..10u8 {
        session.asdu(ToServer, &format!("2d 01 06 00 0300 {object:02x}1000 81"));
    }
    assert_eq!(session.sink.transactions.len(), 6, "the oldest are given up");
    assert_eq!(session.sink.bounded, [Bound::Requests; 12], "six activations and six selections");
    assert_eq!(session.state.kept().requests, 4);
    // The first six selections are forgotten: nothing is known of those points.
    assert_eq!(session.asdu(ToServer, "2d 01 06 00 0300 001000 01").field("selected"), "false");
    assert_eq!(session.asdu(ToServer, "2d 01 06 00 0300 091000 01").field("selected"), "true");
}
