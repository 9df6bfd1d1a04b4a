//! BACnet from the octets of datagrams to what rules and logs see. Octets called "of Annex F" are the examples of encoding
//! in Annex F of the standard; the others are put together after its tables.

mod properties;

use super::*;
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{self, ToClient, ToServer};
use crate::dissector::{Dissector, Frame, Pairing, Probe};
use crate::limits::{Bound, Limits};
use crate::testing::{Collected, Heard, bytes, envelope};
use crate::time::Timestamp;

/// A datagram: function and data of virtual link control.
fn bvlc(function: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 4).to_be_bytes();
    [&[0x81, function], &length[..], data].concat()
}

/// An APDU in an Original-Unicast-NPDU without routing.
fn unicast(apdu: &[u8]) -> Vec<u8> {
    bvlc(10, &[&[1, 0x04], apdu].concat())
}

struct Session {
    state: State,
    sink: Collected,
    now: u64,
}

impl Session {
    fn new() -> Self {
        Self::with(Limits::DEFAULT)
    }

    fn with(limits: Limits) -> Self {
        Self { state: State::new(Carrier::Ip, &limits), sink: Collected::default(), now: 1_000 }
    }

    fn send(&mut self, direction: Direction, datagram: &[u8]) -> &Heard {
        self.now += 1;
        assert_eq!((PROTOCOL.frame)(datagram, direction), Frame::Whole(datagram.len()));
        self.state.parse(&envelope(direction, self.now), datagram, &mut self.sink);
        self.sink.messages.last().expect("a message")
    }

    /// An APDU, in hexadecimal, in a datagram of its own.
    fn apdu(&mut self, direction: Direction, hex: &str) -> &Heard {
        self.send(direction, &unicast(&bytes(hex)))
    }

    fn finish(&mut self) -> &[Heard] {
        self.state.expire(Timestamp::MAX, &mut self.sink);
        &self.sink.transactions
    }
}

/// One APDU by itself.
fn heard(hex: &str) -> Heard {
    Session::new().apdu(ToServer, hex).clone()
}

/// As [`heard`], of one that is sound; its request was not seen, if it is an answer.
fn sound(hex: &str) -> Heard {
    let heard = heard(hex);
    assert!(heard.anomalies.iter().all(|anomaly| anomaly.kind == UNSOLICITED_RESPONSE), "{hex}: {:?}", heard.anomalies);
    heard
}

/// A request and its answer, both sound, as one logged transaction.
fn exchange(request: &str, answer: &str) -> Heard {
    let mut session = Session::new();
    assert_eq!(session.apdu(ToServer, request).kinds(), [""; 0]);
    assert_eq!(session.apdu(ToClient, answer).kinds(), [""; 0]);
    assert_eq!(session.sink.transactions.len(), 1);
    let logged = session.sink.transactions.remove(0);
    assert!(matches!(logged.pairing, Pairing::Answered(_)));
    logged
}

#[test]
fn read_property_of_annex_f_is_one_transaction() {
    let logged = exchange("00 00 01 0c 0c 00 00 00 05 19 55", "30 01 0c 0c 00 00 00 05 19 55 3e 44 42 90 99 9a 3f");
    for (field, value) in [
        ("bvlc_function", "10"),
        ("pdu_type", "3"),
        ("confirmed_service", "12"),
        ("invoke_id", "1"),
        ("object_type", "0"),
        ("object_instance", "5"),
        ("property", "85"),
        ("value", "72.30000305175781"),
    ] {
        assert_eq!(logged.field(field), value, "{field}");
    }
    assert_eq!(logged.operation, "read: analog_input 5 present_value");
    insta::assert_snapshot!(logged.json);
}

#[test]
fn read_property_multiple_of_annex_f_tells_each_property() {
    let logged = exchange(
        "00 04 f1 0e 0c 00 00 00 10 1e 09 55 09 67 1f",
        "30 f1 0e 0c 00 00 00 10 1e 29 55 4e 44 42 90 99 9a 4f 29 67 4e 91 00 4f 1f",
    );
    assert_eq!(logged.field("property"), "85 103");
    assert_eq!(logged.field("value"), "72.30000305175781 0");
    assert_eq!(logged.operation, "read: analog_input 16 present_value, analog_input 16 reliability");
    insta::assert_snapshot!(logged.json);
}

#[test]
fn a_refused_property_among_several_has_its_error() {
    let ack = sound("30 01 0e 0c 00 00 00 10 1e 29 55 5e 91 02 91 20 5f 1f");
    assert_eq!((ack.field("error_class"), ack.field("error_code")), ("2".into(), "32".into()));
}

#[test]
fn write_property_of_annex_f_has_its_value() {
    let logged = exchange("00 04 59 0f 0c 00 80 00 01 19 55 3e 44 43 34 00 00 3f", "20 59 0f");
    assert_eq!(logged.field("pdu_type"), "2");
    assert_eq!(logged.operation, "write: analog_value 1 present_value = 180");
}

#[test]
fn a_command_has_its_priority_and_is_control() {
    let command = sound("00 05 07 0f 0c 01 00 00 03 19 55 3e 91 01 3f 49 08");
    assert_eq!((command.field("priority"), command.field("value")), ("8".into(), "1".into()));
    assert_eq!(command.operation, "control: binary_output 3 present_value = 1");
    let relinquish = sound("00 05 07 0f 0c 01 00 00 03 19 55 3e 00 3f 49 08");
    assert_eq!(relinquish.operation, "control: binary_output 3 present_value");
}

#[test]
fn what_is_written_decides_the_operation() {
    for (hex, operation) in [
        // program_change of program 1: run, halt, restart, load
        ("00 05 07 0f 0c 04 00 00 01 19 5a 3e 91 02 3f", "start: program 1 program_change = 2"),
        ("00 05 07 0f 0c 04 00 00 01 19 5a 3e 91 03 3f", "stop: program 1 program_change = 3"),
        ("00 05 07 0f 0c 04 00 00 01 19 5a 3e 91 04 3f", "restart: program 1 program_change = 4"),
        ("00 05 07 0f 0c 04 00 00 01 19 5a 3e 91 01 3f", "program: program 1 program_change = 1"),
        // apdu_timeout of device 9
        ("00 05 07 0f 0c 02 00 00 09 19 0b 3e 22 0b b8 3f", "configure: device 9 apdu_timeout = 3000"),
        // write_property_multiple: an analog value, and an analog output
        (
            "00 05 07 10 0c 00 80 00 01 1e 09 55 2e 44 3f 80 00 00 2f 1f 0c 00 40 00 02 1e 09 55 2e 44 40 00 00 00 2f 39 05 1f",
            "control: analog_value 1 present_value = 1, analog_output 2 present_value = 2",
        ),
        // element 3 of the state_text of multi_state_value 1
        (
            "00 05 07 0f 0c 04 c0 00 01 19 6e 29 03 3e 74 00 61 62 63 3f",
            "write: multi_state_value 1 state_text[3] = 00616263",
        ),
    ] {
        let heard = sound(hex);
        // Text is told without the octet of its set.
        assert_eq!(heard.operation, operation.replace("00616263", "616263"), "{hex}");
    }
}

#[test]
fn device_communication_control_of_annex_f_hides_the_password() {
    let heard = sound("00 04 05 11 09 05 19 01 2d 08 00 23 65 67 62 64 66 21");
    assert_eq!(heard.field("communication"), "1");
    assert_eq!(heard.field("duration_min"), "5");
    assert_eq!(heard.field("has_password"), "true");
    assert_eq!(heard.operation, "configure: communication disable");
    assert!(heard.json.contains("has_password") && !heard.json.contains("egbdf"), "{}", heard.json);
}

#[test]
fn reinitialize_device_of_annex_f_is_a_restart() {
    let logged = exchange("00 04 02 14 09 01 1d 09 00 41 62 43 64 45 66 47 68", "20 02 14");
    assert_eq!(logged.operation, "restart: device warmstart");
    assert!(!logged.json.contains("AbCd"));
    let backup = sound("00 04 02 14 09 02");
    assert_eq!(
        (backup.operation.as_str(), backup.field("has_password").as_str()),
        ("program: device start_backup", "false")
    );
}

#[test]
fn atomic_read_file_of_annex_f_carries_the_file() {
    let logged = exchange(
        "00 02 00 06 c4 02 80 00 01 0e 31 00 21 1b 0f",
        "30 00 06 10 0e 31 00 65 1b 43 68 69 6c 6c 65 72 30 31 20 4f 6e 2d 54 69 6d 65 3d 34 2e 33 20 48 6f 75 72 73 0f",
    );
    assert_eq!(logged.operation, "file: file 1");
    assert_eq!(logged.field("file_start"), "0");
    assert_eq!(bytes(&logged.field("file_data")), b"Chiller01 On-Time=4.3 Hours");
}

#[test]
fn atomic_write_file_by_records_has_each_record() {
    let request = "00 02 55 07 c4 02 80 00 02 1e 31 ff 21 02 62 31 32 61 33 1f";
    let written = sound(request);
    assert_eq!(written.field("file_start"), "-1");
    assert_eq!(written.field("file_data"), "3132 33");
    let logged = exchange(request, "20 55 07");
    assert_eq!(logged.operation, "file: file 2");
    insta::assert_snapshot!(logged.json);
}

#[test]
fn who_is_and_i_am_of_annex_f_discover() {
    assert_eq!(sound("10 08 09 03 19 03").operation, "discover: devices 3-3");
    assert_eq!(sound("10 08").operation, "discover: devices");
    let i_am = sound("10 00 c4 02 00 00 03 22 04 00 91 03 21 63");
    assert_eq!((i_am.field("device"), i_am.field("vendor_id")), ("3".into(), "99".into()));
    assert_eq!(i_am.operation, "discover: device 3");
    assert_eq!(i_am.facts, ["client address 3", "client vendor 99"]);
    insta::assert_snapshot!(i_am.json);
}

#[test]
fn who_has_and_i_have_of_annex_f_name_the_object() {
    let who_has = sound("10 07 3d 07 00 4f 41 54 65 6d 70");
    assert_eq!(bytes(&who_has.field("object_name")), b"OATemp");
    let i_have = sound("10 01 c4 02 00 00 08 c4 00 00 00 03 75 07 00 4f 41 54 65 6d 70");
    assert_eq!(i_have.operation, "discover: analog_input 3");
    assert_eq!(i_have.facts, ["client address 8"]);
}

#[test]
fn time_synchronization_of_annex_f_sets_the_clock() {
    let heard = sound("10 06 a4 5c 0b 11 02 b4 16 2d 1e 46");
    assert_eq!(heard.operation, "configure: clock");
    insta::assert_snapshot!(heard.json);
}

#[test]
fn a_notification_of_a_change_of_annex_f_has_its_values() {
    let heard = sound(
        "00 02 0f 01 09 12 1c 02 00 00 04 2c 00 00 00 0a 39 00 4e 09 55 2e 44 42 82 00 00 2f 09 6f 2e 82 04 00 2f 4f",
    );
    assert_eq!(heard.operation, "read: analog_input 10 present_value, analog_input 10 status_flags");
    assert_eq!((heard.field("device"), heard.field("value")), ("4".into(), "65".into()));
    insta::assert_snapshot!(heard.json);
}

#[test]
fn a_notification_of_an_event_of_annex_f_has_its_values() {
    let heard = sound(
        "00 02 10 02 09 01 1c 02 00 00 04 2c 00 00 00 02 3e 19 10 3f 49 04 59 64 69 05 89 00 99 01 a9 00 b9 03 \
         ce 5e 0c 42 a0 33 33 1a 04 80 2c 3f 80 00 00 3c 42 a0 00 00 5f cf",
    );
    assert_eq!((heard.field("event_type"), heard.field("event_state")), ("5".into(), "3".into()));
    insta::assert_snapshot!(heard.json);
}

#[test]
fn a_device_says_who_it_is() {
    let read = "00 05 01 0e 0c 02 00 00 08 1e 09 79 09 46 09 2c 09 0c 09 4d 09 3a 1a 01 74 1f";
    let answer = "30 01 0e 0c 02 00 00 08 1e \
        29 79 4e 75 05 00 41 63 6d 65 4f \
        29 46 4e 75 04 00 4d 2d 31 4f \
        29 2c 4e 74 00 31 2e 32 4f \
        29 0c 4e 74 00 39 2e 31 4f \
        29 4d 4e 75 07 00 41 48 55 2d 30 31 4f \
        29 3a 4e 75 05 04 00 d1 00 31 4f \
        2a 01 74 4e 74 00 53 2d 37 4f 1f";
    let logged = exchange(read, answer);
    assert_eq!(
        logged.facts,
        [
            "server vendor Acme",
            "server model M-1",
            "server firmware 1.2",
            "server software 9.1",
            "server name AHU-01",
            "server location Ñ1",
            "server serial S-7",
        ]
    );
    assert!(logged.operation.starts_with("discover: device 8 vendor_name"));
}

#[test]
fn what_a_device_behind_a_router_says_is_not_the_routers() {
    let i_am = bytes("10 00 c4 02 00 00 03 22 04 00 91 03 21 63");
    let routed = bvlc(10, &[&bytes("01 08 00 05 01 7f")[..], &i_am].concat());
    let mut session = Session::new();
    let heard = session.send(ToServer, &routed);
    assert_eq!((heard.field("source_network"), heard.field("source_address")), ("5".into(), "7f".into()));
    assert!(heard.facts.is_empty());
    let forwarded = bvlc(4, &[&bytes("c0 a8 00 18 ba c0 01 20 ff ff 00 ff")[..], &i_am].concat());
    let heard = session.send(ToServer, &forwarded);
    assert_eq!((heard.field("bvlc_address"), heard.field("bvlc_port")), ("192.168.0.24".into(), "47808".into()));
    assert_eq!((heard.field("destination_network"), heard.field("hop_count")), ("65535".into(), "255".into()));
    assert!(heard.facts.is_empty() && heard.anomalies.is_empty());
    assert_eq!(heard.operation, "discover: device 3");
}

#[test]
fn errors_rejects_and_aborts_answer_their_requests() {
    let read = "00 05 07 0c 0c 00 00 00 05 19 55";
    let error = exchange(read, "50 07 0c 91 01 91 1f");
    assert_eq!((error.field("error_class"), error.field("error_code")), ("1".into(), "31".into()));
    assert_eq!(error.operation, "read: analog_input 5 present_value");
    let reject = exchange(read, "60 07 09");
    assert_eq!(reject.field("reject_reason"), "9");
    let abort = exchange(read, "71 07 04");
    assert_eq!((abort.field("abort_reason"), abort.field("by_server")), ("4".into(), "true".into()));
    insta::assert_snapshot!(error.json);
    let of_a_list = exchange("00 05 07 08 0c 03 c0 00 01 19 66 3e 21 01 3f", "50 07 08 0e 91 02 91 28 0f 19 01");
    assert_eq!(of_a_list.field("error_code"), "40");
}

#[test]
fn a_client_can_abort_its_own_request() {
    let mut session = Session::new();
    session.apdu(ToServer, "00 05 07 0c 0c 00 00 00 05 19 55");
    session.apdu(ToServer, "70 07 0a");
    assert_eq!(session.sink.transactions.len(), 1);
    assert!(matches!(session.sink.transactions[0].pairing, Pairing::Answered(_)));
}

#[test]
fn every_service_of_the_standard_has_its_parameters_read() {
    for hex in [
        "00 02 07 00 09 01 1c 00 00 00 02 29 03 3e 19 10 3f 4c 00 4d 44 4c 5e 2e a4 5c 06 15 07 b4 0d 03 29 09 2f 5f",
        "00 02 01 03",
        "30 01 03 c4 00 00 00 02 91 03 82 05 60 c4 00 00 00 03 91 04 82 05 e0",
        "00 02 01 04 09 02 4e 09 06 19 0a 4f",
        "30 01 04 c4 00 00 00 02 91 05 91 03 21 64 21 04 c4 00 00 00 06 91 05 91 00 21 32 21 02",
        "00 02 0f 05 09 12 1c 00 00 00 0a 29 01 39 00",
        "00 02 0f 1c 09 12 1c 00 00 00 0a 29 01 39 3c 4e 09 55 4f 5c 3f 80 00 00",
        "00 02 01 1d",
        "30 01 1d 0e 0c 00 00 00 02 19 03 2a 05 60 3e 0c 0f 22 38 00 0c ff ff ff ff 0c ff ff ff ff 3f 49 00 5a 05 e0 6e 21 0f 21 0f 21 14 6f 0f 19 00",
        "00 02 0f 1b 09 12 1c 00 4d 44 4c 29 04 3c 05 40 00 01",
        "00 02 01 08 0c 02 c0 00 03 19 35 3e 0c 00 00 00 0f 0e 09 55 09 67 0f 3f",
        "00 04 56 0a 0e 09 0a 0f 1e 09 4d 2e 75 08 00 54 72 65 6e 64 20 31 2f 09 29 2e 91 00 2f 1f",
        "30 56 0a c4 02 80 00 0d",
        "00 04 57 0b c4 02 c0 00 06",
        "00 04 02 1a 0c 05 00 00 01 19 83 7e a4 62 03 17 01 b4 13 34 36 00 31 04 7f",
        "30 02 1a 0c 05 00 00 01 19 83 3a 05 c0 49 02 5e 0e a4 62 03 17 01 b4 13 36 1b 00 0f 1e 2c 41 90 00 00 1f 2a 04 00 5f 6b 01 35 b4",
        "00 04 55 12 09 19 19 08 2e 44 42 90 cc cd 62 16 49 2f",
        "30 55 12 09 19 19 08",
        "00 02 03 13 0c 02 00 00 05 29 00 3d 18 00 50 4d 20 72 65 71 75 69 72 65 64 20 66 6f 72 20 50 55 4d 50 33 34 37",
        "00 02 50 15 91 01 21 05",
        "30 50 15 21 1d",
        "00 02 51 17 21 1d 65 03 41 42 43 21 00",
        "30 51 17 09 01",
        "00 02 52 16 21 1d",
        "00 02 0f 1e 09 12 19 01 29 3c 39 05 4e 0c 00 00 00 0a 1e 0e 09 55 0f 1c 3f 80 00 00 29 01 1f 4f",
        "00 02 0f 1f 09 12 1c 02 00 00 04 29 05 3e a4 6d 01 0c 02 b4 0c 00 00 00 3f 4e 0c 00 00 00 0a 1e 09 55 2e 44 42 82 00 00 2f 1f 4f",
        "10 02 09 12 1c 02 00 00 04 2c 00 00 00 0a 39 00 4e 09 55 2e 44 42 82 00 00 2f 4f",
        "10 04 09 19 19 08",
        "10 05 0c 02 00 00 05 1e 1d 04 00 61 62 63 1f 29 01 3d 02 00 78",
        "10 09 a4 5c 0b 11 02 b4 16 2d 1e 46",
        "10 0a 09 17 19 08 2e 09 ff 44 42 86 00 00 09 05 19 0a 21 01 2f 39 00",
        "10 0d 21 63 74 00 61 62 63 74 00 31 32 33",
        "10 0e 21 63 74 00 61 62 63 74 00 31 32 33 c4 02 00 00 03",
    ] {
        sound(hex);
    }
}

#[test]
fn virtual_link_control_is_paired_with_its_answers() {
    let mut session = Session::new();
    session.send(ToServer, &bvlc(5, &[0, 60]));
    session.send(ToServer, &bvlc(2, &[]));
    session.send(ToServer, &bvlc(6, &[]));
    session.send(ToClient, &bvlc(3, &bytes("c0 a8 00 01 ba c0 ff ff ff ff")));
    session.send(ToClient, &bvlc(0, &[0, 0x30]));
    session.send(ToClient, &bvlc(7, &bytes("c0 a8 00 32 ba c0 00 3c 00 1e")));
    let logged = &session.sink.transactions;
    assert!(logged.iter().all(|logged| matches!(logged.pairing, Pairing::Answered(_))));
    assert_eq!(logged.iter().map(|logged| logged.transaction).collect::<Vec<_>>(), [2, 1, 3]);
    assert_eq!(logged[0].operation, "discover: broadcast distribution table");
    assert_eq!(logged[1].operation, "configure: foreign device");
    assert_eq!(logged[1].field("bvlc_result"), "48");
    assert_eq!(logged[2].field("bvlc_address"), "192.168.0.50");
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
    insta::assert_snapshot!(logged.iter().map(|logged| logged.json.as_str()).collect::<Vec<_>>().join("\n"));
}

#[test]
fn virtual_link_control_that_changes_tables_is_configuration() {
    let mut session = Session::new();
    let written = session.send(ToServer, &bvlc(1, &bytes("c0 a8 00 01 ba c0 ff ff ff 00")));
    assert_eq!(written.operation, "configure: broadcast distribution table");
    let deleted = session.send(ToServer, &bvlc(8, &bytes("c0 a8 00 32 ba c0")));
    assert_eq!(deleted.operation, "configure: foreign device 192.168.0.50:47808");
    assert_eq!(session.send(ToServer, &bvlc(12, &[1, 2, 3])).field("bvlc_function"), "12");
    // The refusal of a broadcast answers what is otherwise not answered.
    assert_eq!(session.send(ToClient, &bvlc(0, &[0, 0x60])).kinds(), [""; 0]);
    assert_eq!(session.finish().len(), 4);
}

#[test]
fn routers_speak_of_networks() {
    for (hex, networks, operation) in [
        ("01 80 00", "", "discover"),
        ("01 80 00 00 07", "7", "discover: network 7"),
        ("01 80 01 00 07 00 08", "7 8", "discover: network 7, network 8"),
        ("01 80 02 00 07 01", "7", "discover: network 7"),
        ("01 80 03 01 00 07", "7", ""),
        ("01 80 04 00 07", "7", ""),
        ("01 80 05", "", ""),
        ("01 80 06 00", "", "discover"),
        ("01 80 06 01 00 07 02 02 aa bb", "7", "configure: network 7"),
        ("01 80 07", "", "discover"),
        ("01 80 08 00 07 05", "7", "configure: network 7"),
        ("01 80 09 00 07", "7", "configure: network 7"),
        ("01 80 12", "", "discover"),
        ("01 80 13 00 07 01", "7", "discover: network 7"),
        ("01 80 90 00 63 01 02", "", ""),
    ] {
        let mut session = Session::new();
        let heard = session.send(ToServer, &bvlc(10, &bytes(hex)));
        assert_eq!(heard.kinds(), [""; 0], "{hex}");
        assert_eq!((heard.field("network").as_str(), heard.operation.as_str()), (networks, operation), "{hex}");
        assert_eq!(heard.field("pdu_type"), "");
    }
    let vendors = Session::new().send(ToServer, &bvlc(10, &bytes("01 80 90 00 63 01 02"))).clone();
    assert_eq!((vendors.field("network_message"), vendors.field("network_vendor")), ("144".into(), "99".into()));
}

#[test]
fn answers_through_a_router_find_the_request_to_the_same_device() {
    let request = |station: u8| {
        bvlc(10, &[&[1, 0x24, 0, 5, 1, station, 255][..], &bytes("00 05 07 0c 0c 00 00 00 05 19 55")].concat())
    };
    let answer = |station: u8| {
        bvlc(10, &[&[1, 0x08, 0, 5, 1, station][..], &bytes("30 07 0c 0c 00 00 00 05 19 55 3e 91 00 3f")].concat())
    };
    let mut session = Session::new();
    session.send(ToServer, &request(1));
    session.send(ToServer, &request(2));
    assert_eq!(session.send(ToClient, &answer(2)).transaction, 2);
    assert_eq!(session.send(ToClient, &answer(1)).transaction, 1);
    assert_eq!(session.send(ToClient, &answer(3)).kinds(), [UNSOLICITED_RESPONSE]);
}

#[test]
fn a_request_sent_again_is_the_same_transaction() {
    let mut session = Session::new();
    let read = "00 05 07 0c 0c 00 00 00 05 19 55";
    assert_eq!(session.apdu(ToServer, read).transaction, 1);
    assert_eq!(session.apdu(ToServer, read).transaction, 1);
    let ack = "30 07 0c 0c 00 00 00 05 19 55 3e 91 00 3f";
    assert_eq!(session.apdu(ToClient, ack).transaction, 1);
    let again = session.apdu(ToClient, ack);
    assert_eq!((again.transaction, again.kinds()), (1, vec![]));
    assert_eq!(session.finish().len(), 1);
}

#[test]
fn requests_without_an_answer_are_reported() {
    let mut session = Session::with(Limits { requests: 2, ..Limits::DEFAULT });
    for id in 1..=3 {
        session.apdu(ToServer, &format!("00 05 {id:02x} 0c 0c 00 00 00 05 19 55"));
    }
    assert_eq!(session.sink.messages[2].kinds(), [TOO_MANY_TRANSACTIONS]);
    assert_eq!(session.sink.bounded, [Bound::Requests]);
    // Another request with the same identifier ends the wait for the first one's answer.
    session.apdu(ToServer, "00 05 03 0c 0c 00 00 00 06 19 55");
    let logged = session.finish();
    assert_eq!(logged.iter().map(|logged| logged.transaction).collect::<Vec<_>>(), [1, 3, 2, 4]);
    assert!(logged.iter().all(|logged| logged.pairing == Pairing::Unanswered));
}

/// The answer to a read of an object list with `count` objects, in segments of so many octets.
fn segments(count: u32, size: usize) -> Vec<Vec<u8>> {
    let list: Vec<u8> = (0..count).flat_map(|number| [0xc4, 0, 0, (number >> 8) as u8, number as u8]).collect();
    let whole = [&bytes("0c 02 00 00 08 19 4c 3e")[..], &list, &[0x3f]].concat();
    let last = whole.chunks(size).count() - 1;
    let chunks = whole.chunks(size).enumerate();
    let part = |(at, part): (usize, &[u8])| {
        unicast(&[&[if at == last { 0x38 } else { 0x3c }, 7, at as u8, 4, 12], part].concat())
    };
    chunks.map(part).collect()
}

const OBJECT_LIST: &str = "00 05 07 0c 0c 02 00 00 08 19 4c";

#[test]
fn segments_of_an_answer_are_joined_in_the_last() {
    let mut session = Session::new();
    session.apdu(ToServer, OBJECT_LIST);
    for datagram in segments(400, 480) {
        session.send(ToClient, &datagram);
        session.apdu(ToServer, "40 07 00 04");
    }
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty() && heard.transaction == 1));
    assert_eq!(session.sink.transactions.len(), 1);
    let logged = &session.sink.transactions[0];
    assert_eq!((logged.field("sequence_number"), logged.field("more_follows")), ("4".into(), "false".into()));
    assert_eq!(logged.json.matches("analog_input").count(), 254);
    assert!(logged.json.contains("\"values_omitted\": 146"), "{}", logged.json);
    assert_eq!(session.state.kept().joined_bytes, 0);
}

#[test]
fn segments_sent_again_are_joined_once() {
    let mut session = Session::new();
    session.apdu(ToServer, OBJECT_LIST);
    let parts = segments(100, 200);
    for at in [0, 1, 1, 0, 1, 2] {
        session.send(ToClient, &parts[at]);
    }
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
    assert_eq!(session.sink.transactions[0].json.matches("analog_input").count(), 100);
}

#[test]
fn the_last_segment_answers_even_if_others_were_lost() {
    for kept in [vec![0, 2], vec![1, 2], vec![2]] {
        let mut session = Session::new();
        session.apdu(ToServer, OBJECT_LIST);
        let parts = segments(100, 200);
        for at in kept {
            session.send(ToClient, &parts[at]);
        }
        let logged = &session.sink.transactions;
        assert_eq!((logged.len(), logged[0].transaction), (1, 1));
        assert_eq!(session.sink.messages.last().unwrap().kinds(), [SEGMENT_LOST]);
        assert_eq!(session.state.kept(), crate::Kept::default());
    }
}

#[test]
fn segments_of_a_request_are_joined_and_paired() {
    let data = [&bytes("c4 02 80 00 01 0e 31 00 65 fe 02 58")[..], &[0x41; 600], &[0x0f]].concat();
    let mut session = Session::new();
    let parts: Vec<_> = data.chunks(250).collect();
    for (at, part) in parts.iter().enumerate() {
        let first = if at == parts.len() - 1 { 0x08 } else { 0x0c };
        session.send(ToServer, &unicast(&[&[first, 5, 9, at as u8, 2, 7], *part].concat()));
        session.apdu(ToClient, &format!("41 09 {at:02x} 02"));
    }
    session.apdu(ToClient, "30 09 07 09 00");
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty() && heard.transaction == 1));
    let [logged] = &session.sink.transactions[..] else { panic!("one transaction") };
    assert_eq!(logged.operation, "file: file 1");
    assert!(matches!(logged.pairing, Pairing::Answered(_)));
    let file = &session.sink.messages[4];
    assert_eq!(file.field("file_data").len(), 1200);
}

#[test]
fn a_request_may_be_refused_after_its_first_segment() {
    let mut session = Session::new();
    session.send(ToServer, &unicast(&bytes("0c 05 09 00 02 07 c4 02 80 00 01 0e 31 00")));
    session.apdu(ToClient, "71 09 04");
    let [logged] = &session.sink.transactions[..] else { panic!("one transaction") };
    assert!(matches!(logged.pairing, Pairing::Answered(_)));
    assert_eq!(logged.operation, "file: file 1");
    assert_eq!(session.state.kept(), crate::Kept::default());
}

#[test]
fn what_is_joined_is_bounded() {
    let mut session = Session::with(Limits { joined_bytes: 1000, ..Limits::DEFAULT });
    session.apdu(ToServer, OBJECT_LIST);
    for datagram in segments(400, 480) {
        session.send(ToClient, &datagram);
        assert!(session.state.kept().joined_bytes <= 1000);
    }
    assert!(session.sink.bounded.contains(&Bound::JoinedBytes));
    assert_eq!(session.sink.transactions.len(), 1);
}

#[test]
fn what_the_standard_forbids_is_named_with_its_place() {
    for (apdu, kind, offset) in [
        // Behind four octets of virtual link control and two of the network layer stands the APDU.
        ("80 00", UNKNOWN_PDU_TYPE, 6),
        ("00 05 07", INVALID_APDU, 9),
        ("00 05 07 50 09 01", UNKNOWN_SERVICE, 10),
        ("00 05 07 0c 0c 00 00", INVALID_TAG, 10),
        ("00 05 07 0c 0c 00 00 00 05", MISSING_PARAMETER, 15),
        ("00 05 07 0c 0c 00 00 00 05 19 55 99 01", INVALID_PARAMETER, 17),
        ("00 05 07 0f 0c 00 80 00 01 19 55 3e 44 43 34 00 00", INVALID_TAG, 23),
        ("00 05 07 0f 0c 00 80 00 01 19 55 3e 43 43 34 00 3f", INVALID_VALUE, 18),
        ("00 05 07 0f 0c 00 80 00 01 19 55 3e 00 3f 49 11", INVALID_VALUE, 10),
        ("00 05 07 0f 0c 00 80 00 01 19 55 3e 00 4f 3f", INVALID_TAG, 19),
        ("10 08 09 03 19 03 ff", INVALID_TAG, 12),
    ] {
        let heard = heard(apdu);
        let first = heard.anomalies.first().map(|anomaly| (anomaly.kind, anomaly.offset));
        assert_eq!(first, Some((kind, offset)), "{apdu}");
    }
    for (datagram, kind, offset) in [
        ("81 0d 00 05 00", UNKNOWN_FUNCTION, 1),
        ("81 05 00 05 00", INVALID_LENGTH, 2),
        ("81 0a 00 04", INVALID_LENGTH, 2),
        // Less is stated than is sent: what is sent is read.
        ("81 0a 00 06 01 20 ff ff 00 ff 10 08", INVALID_LENGTH, 2),
        ("81 0a 00 06 02 00", INVALID_NPDU, 4),
        ("81 0a 00 07 01 20 00", INVALID_NPDU, 6),
        ("81 0a 00 08 01 40 10 08", INVALID_NPDU, 5),
        ("81 0a 00 0b 01 08 00 05 00 10 08", INVALID_NPDU, 5),
        ("81 0a 00 07 01 80 20", UNKNOWN_NETWORK_MESSAGE, 6),
        ("81 0a 00 08 01 80 00 07", INVALID_NPDU, 7),
    ] {
        let heard = Session::new().send(ToServer, &bytes(datagram)).clone();
        let first = heard.anomalies.first().map(|anomaly| (anomaly.kind, anomaly.offset));
        assert_eq!(first, Some((kind, offset)), "{datagram}");
    }
}

#[test]
fn bacnet_is_told_by_its_lengths_and_from_which_side_it_speaks() {
    let read = unicast(&bytes("00 05 07 0c 0c 00 00 00 05 19 55"));
    let ack = unicast(&bytes("30 07 0c 0c 00 00 00 05 19 55 3e 91 00 3f"));
    let notification = unicast(&bytes("00 02 0f 01 09 12 1c 02 00 00 04 2c 00 00 00 0a 39 00 4e 4f"));
    let i_am = unicast(&bytes("10 00 c4 02 00 00 03 22 04 00 91 03 21 63"));
    for (datagram, direction) in [(&read, ToServer), (&ack, ToClient), (&notification, ToClient), (&i_am, ToClient)] {
        assert_eq!((PROTOCOL.probe)(datagram, direction), Probe::Certain);
        assert_eq!((PROTOCOL.probe)(datagram, direction.opposite()), Probe::No);
        // Another length than is stated happens, but does not convince.
        assert_eq!((PROTOCOL.probe)(&datagram[..datagram.len() - 1], direction), Probe::Maybe);
    }
    assert_eq!((PROTOCOL.probe)(&bvlc(2, &[]), ToServer), Probe::Certain);
    assert_eq!((PROTOCOL.probe)(&bytes("81 0a 00 06 02 00"), ToServer), Probe::No);
}

#[test]
fn a_flow_met_at_an_answer_is_turned_round() {
    static ONLY: &[&Protocol] = &[&PROTOCOL];
    let opening = Opening { client_port: 47808, server_port: 47808, medium: Medium::Datagram, roles_known: false };
    let mut conversation = Conversation::new(opening, ONLY, &Limits::DEFAULT);
    let mut sink = Collected::default();
    let ack = unicast(&bytes("30 07 0c 0c 00 00 00 05 19 55 3e 91 00 3f"));
    conversation.data(&envelope(ToServer, 1), &ack, &mut sink);
    assert!(conversation.take_reversed());
    assert_eq!(sink.messages[0].direction, ToClient);
}

#[test]
fn a_cut_datagram_is_read_as_far_as_it_goes_and_the_next_whole() {
    static ONLY: &[&Protocol] = &[&PROTOCOL];
    let opening = Opening { client_port: 50000, server_port: 47808, medium: Medium::Datagram, roles_known: false };
    let read = unicast(&bytes("00 05 07 0c 0c 00 00 00 05 19 55"));
    for cut in 1..read.len() {
        let mut conversation = Conversation::new(opening, ONLY, &Limits::DEFAULT);
        let mut sink = Collected::default();
        for (number, datagram) in [&read[..], &read[..cut], &read[..]].iter().enumerate() {
            conversation.data(&envelope(ToServer, number as u64), datagram, &mut sink);
        }
        if cut < 4 {
            assert_eq!((sink.messages.len(), sink.anomalies.len()), (2, 1), "{cut}");
            assert_eq!((sink.anomalies[0].kind, sink.anomalies[0].offset), ("truncated", cut));
        } else {
            assert_eq!((sink.messages.len(), sink.messages[1].kinds()[0]), (3, INVALID_LENGTH), "{cut}");
        }
        assert_eq!(sink.messages.last().unwrap().field("property"), "85");
    }
}

#[test]
fn frames_of_ethernet_give_the_same_records() {
    let mut sink = Collected::default();
    let mut conversation = Conversation::on_link(&ETHERNET, &Limits::DEFAULT);
    conversation.data(&envelope(ToServer, 1), &bytes("82 82 03 01 20 ff ff 00 ff 10 08"), &mut sink);
    assert_eq!(sink.messages[0].operation, "discover: devices");
    assert_eq!(sink.messages[0].field("bvlc_function"), "");
    assert!(sink.messages[0].anomalies.is_empty());
}
