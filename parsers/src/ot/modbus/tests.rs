mod properties;

use super::message::Transport;
use super::state::State;
use super::{
    FLOODED, INVALID_CHECKSUM, INVALID_PROTOCOL_ID, LONGEST_MESSAGE, PROTOCOL, RTU, UNSOLICITED_RESPONSE, rtu,
};
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{self, ToClient, ToServer};
use crate::dissector::{Anomaly, Dissector, Envelope, Frame, Pairing, Probe, Protocol};
use crate::testing::{Collected, Heard, bytes, envelope};
use crate::time::Timestamp;

/// An MBAP message.
fn mbap(transaction: u16, unit: u8, pdu: &str) -> Vec<u8> {
    let pdu = bytes(pdu);
    let mut message = transaction.to_be_bytes().to_vec();
    message.extend([0, 0]);
    message.extend((pdu.len() as u16 + 1).to_be_bytes());
    message.push(unit);
    message.extend(pdu);
    message
}

/// An RTU frame.
fn frame(unit: u8, pdu: &str) -> Vec<u8> {
    let mut frame = vec![unit];
    frame.extend(bytes(pdu));
    frame.extend(rtu::crc(&frame).to_le_bytes());
    frame
}

/// One flow and what is heard of it.
struct Session {
    state: State,
    sink: Collected,
    now: u64,
    datagram: bool,
}

impl Session {
    fn new(transport: Transport) -> Self {
        Self {
            state: State::new(transport, &crate::Limits::DEFAULT),
            sink: Collected::default(),
            now: 1_000,
            datagram: false,
        }
    }

    fn tcp() -> Self {
        Self::new(Transport::Mbap)
    }

    fn send(&mut self, direction: Direction, message: &[u8]) -> &mut Self {
        self.now += 1;
        let envelope = Envelope { datagram: self.datagram, ..envelope(direction, self.now) };
        self.state.parse(&envelope, message, &mut self.sink);
        self
    }

    fn ask(&mut self, transaction: u16, unit: u8, pdu: &str) -> &mut Self {
        self.send(ToServer, &mbap(transaction, unit, pdu))
    }

    fn answer(&mut self, transaction: u16, unit: u8, pdu: &str) -> &mut Self {
        self.send(ToClient, &mbap(transaction, unit, pdu))
    }

    fn finish(&mut self) -> &mut Self {
        self.state.expire(Timestamp::MAX, &mut self.sink);
        self
    }

    fn last(&self) -> &Heard {
        self.sink.messages.last().expect("a message")
    }

    /// Transaction numbers in the order they were logged.
    fn logged(&self) -> Vec<u64> {
        self.sink.transactions.iter().map(|heard| heard.transaction).collect()
    }
}

/// Anomalies of a lone message over TCP.
fn findings(direction: Direction, pdu: &str) -> Vec<Anomaly> {
    let mut session = Session::tcp();
    session.send(direction, &mbap(1, 1, pdu));
    let all = session.last().anomalies.iter().copied();
    all.filter(|anomaly| anomaly.kind != UNSOLICITED_RESPONSE).collect()
}

fn request_findings(pdu: &str) -> Vec<(&'static str, usize)> {
    findings(ToServer, pdu).iter().map(|anomaly| (anomaly.kind, anomaly.offset)).collect()
}

fn response_findings(pdu: &str) -> Vec<(&'static str, usize)> {
    findings(ToClient, pdu).iter().map(|anomaly| (anomaly.kind, anomaly.offset)).collect()
}

/// Anomalies of an answer to a request.
fn answer_findings(request: &str, response: &str) -> Vec<&'static str> {
    let mut session = Session::tcp();
    session.ask(1, 1, request).answer(1, 1, response);
    session.last().kinds()
}

/// Request, response, and the fields of the response.
type Example = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The examples of V1.1b3 §6; the lengths in that of §6.21 are put right.
const EXAMPLES: &[Example] = &[
    (
        "01 0013 0013",
        "01 03 CD6B05",
        &[
            ("function", "1"),
            ("address", "19"),
            ("quantity", "19"),
            ("end_address", "37"),
            ("value", "1 0 1 1 0 0 1 1 1 1 0 1 0 1 1 0 1 0 1"),
            ("table", "2"),
            ("byte_count", "3"),
        ],
    ),
    (
        "02 00C4 0016",
        "02 03 ACDB35",
        &[("table", "1"), ("value", "0 0 1 1 0 1 0 1 1 1 0 1 1 0 1 1 1 0 1 0 1 1"), ("read_address", "196")],
    ),
    (
        "03 006B 0003",
        "03 06 022B 0000 0064",
        &[("register", "107 108 109"), ("value", "555 0 100"), ("table", "4"), ("read", "true"), ("write", "false")],
    ),
    ("04 0008 0001", "04 02 000A", &[("address", "8"), ("value", "10"), ("table", "3")]),
    ("05 00AC FF00", "05 00AC FF00", &[("address", "172"), ("value", "1"), ("quantity", "1"), ("write", "true")]),
    ("06 0001 0003", "06 0001 0003", &[("write_address", "1"), ("value", "3"), ("table", "4")]),
    ("07", "07 6D", &[("exception_status", "109"), ("address", ""), ("table", "")]),
    ("08 0000 A537", "08 0000 A537", &[("sub_function", "0"), ("data", "0000a537")]),
    ("0B", "0B FFFF 0108", &[("event_status", "65535"), ("event_count", "264")]),
    ("0C", "0C 08 0000 0108 0121 2000", &[("message_count", "289"), ("events", "2000"), ("event_status", "0")]),
    ("0F 0013 000A 02 CD01", "0F 0013 000A", &[("address", "19"), ("quantity", "10"), ("value", "")]),
    ("10 0001 0002 04 000A 0102", "10 0001 0002", &[("register", "1 2"), ("write_quantity", "2")]),
    ("11", "11 05 2A FF 414243", &[("server_id", "2aff414243"), ("run_indicator", "true")]),
    (
        "14 0E 06 0004 0001 0002 06 0003 0009 0002",
        "14 0C 05 06 0DFE 0020 05 06 33CD 0040",
        &[("file_number", "4 3"), ("record_number", "1 9"), ("record_length", "2 2"), ("value", "3582 32 13261 64")],
    ),
    (
        "15 0D 06 0004 0007 0003 06AF 04BE 100D",
        "15 0D 06 0004 0007 0003 06AF 04BE 100D",
        &[("file_number", "4"), ("record_number", "7"), ("record_length", "3"), ("value", "1711 1214 4109")],
    ),
    ("16 0004 00F2 0025", "16 0004 00F2 0025", &[("address", "4"), ("and_mask", "242"), ("or_mask", "37")]),
    (
        "17 0003 0006 000E 0003 06 00FF 00FF 00FF",
        "17 0C 00FE 0ACD 0001 0003 000D 00FF",
        &[
            ("read_address", "3"),
            ("read_quantity", "6"),
            ("write_address", "14"),
            ("write_quantity", "3"),
            ("address", "14"),
            ("register", "3 4 5 6 7 8 14 15 16"),
            ("value", "254 2765 1 3 13 255"),
        ],
    ),
    ("18 04DE", "18 0006 0002 01B8 1284", &[("address", "1246"), ("fifo_count", "2"), ("value", "440 4740")]),
    (
        "2B 0E 01 00",
        "2B 0E 01 01 00 00 03 00 03 414243 01 02 5858 02 05 56322E3131",
        &[
            ("mei_type", "14"),
            ("device_id_code", "1"),
            ("conformity_level", "1"),
            ("more_follows", "false"),
            ("object_id", "0 1 2"),
            ("vendor", "414243"),
            ("product_code", "5858"),
            ("revision", "56322e3131"),
            ("model", ""),
        ],
    ),
    ("2B 0D 1234", "2B 0D 5678", &[("mei_type", "13"), ("device_id_code", ""), ("category", "1")]),
];

#[test]
fn dissects_the_examples_of_the_standard_over_tcp() {
    for (request, response, expected) in EXAMPLES {
        let mut session = Session::tcp();
        session.ask(0x1501, 255, request).answer(0x1501, 255, response);
        assert_eq!(session.sink.messages[0].kinds(), [""; 0], "{request}");
        assert_eq!(session.last().kinds(), [""; 0], "{response}");
        for (field, value) in
            expected.iter().chain(&[("transaction_id", "5377"), ("unit_id", "255"), ("request", "false")])
        {
            assert_eq!(session.last().field(field), *value, "{field} of {response}");
        }
        assert_eq!((session.logged(), session.last().transaction), (vec![1], 1));
    }
}

#[test]
fn dissects_the_examples_of_the_standard_in_rtu_frames() {
    for (request, response, expected) in EXAMPLES {
        let mut session = Session::new(Transport::Rtu);
        session.send(ToServer, &frame(17, request)).send(ToClient, &frame(17, response));
        assert_eq!(session.last().kinds(), [""; 0], "{response}");
        for (field, value) in expected.iter().chain(&[("transaction_id", ""), ("length", ""), ("unit_id", "17")]) {
            assert_eq!(session.last().field(field), *value, "{field} of {response}");
        }
        assert_eq!(session.logged(), [1]);
    }
}

#[test]
fn frames_and_recognises_the_examples() {
    for (request, response, _) in EXAMPLES {
        for (direction, pdu) in [(ToServer, request), (ToClient, response)] {
            // A bare function code is too little to be certain by; CANopen and device identification have no length.
            let bare = pdu.len() == 2;
            let unmeasured = pdu.starts_with("2B 0D") || (pdu.starts_with("2B") && direction == ToClient);
            let over_tcp = if bare { Probe::Maybe } else { Probe::Certain };
            let over_rtu = if unmeasured { Probe::No } else { Probe::Certain };
            for (protocol, message, expected) in
                [(&PROTOCOL, mbap(7, 1, pdu), over_tcp), (&RTU, frame(1, pdu), over_rtu)]
            {
                assert_eq!((protocol.frame)(&message, direction), Frame::Whole(message.len()), "{pdu}");
                assert_eq!((protocol.probe)(&message, direction), expected, "{} {pdu}", protocol.title);
                for cut in 0..message.len() {
                    let frame = (protocol.frame)(&message[..cut], direction);
                    assert!(
                        matches!(frame, Frame::Need(n) if n > cut && n <= message.len()),
                        "{cut} of {pdu}: {frame:?}"
                    );
                }
                let mut two = message.clone();
                two.extend(&message);
                assert_eq!((protocol.frame)(&two, direction), Frame::Whole(message.len()), "{pdu} twice");
            }
        }
    }
}

#[test]
fn every_request_function_can_be_written_and_read_as_values() {
    let mut session = Session::tcp();
    session.ask(1, 1, "0F 0013 000A 02 CD01");
    assert_eq!(session.last().field("value"), "1 0 1 1 0 0 1 1 1 0");
    assert_eq!(session.last().field("request"), "true");
    session.ask(2, 1, "10 0001 0002 04 000A 0102");
    assert_eq!(session.last().field("value"), "10 258");
    session.ask(3, 1, "17 0003 0006 000E 0003 06 00FF 0001 0002");
    assert_eq!(session.last().field("value"), "255 1 2");
    session.ask(4, 1, "05 0000 0000");
    assert_eq!(session.last().field("value"), "0");
}

#[test]
fn categories_follow_the_function_code() {
    let category = |pdu: &str| {
        let mut session = Session::tcp();
        session.ask(1, 1, pdu);
        session.last().field("category")
    };
    for (pdu, expected) in [
        ("01 0000 0001", "1"),
        ("08 0001 0000", "1"),
        ("08 0063 0000", "8"),
        ("08 0013 0000", "8"),
        ("09 00", "8"),
        ("0E 00", "8"),
        ("0B", "1"),
        ("12 00", "2"),
        ("2B 63 00", "8"),
        ("19 00", "2"),
        ("29 00", "8"),
        ("41 00", "4"),
        ("6E 00", "4"),
        ("6F 00", "2"),
        ("5A 0002", "8"),
        ("7D 00", "8"),
        ("00 00", "0"),
    ] {
        assert_eq!(category(pdu), expected, "{pdu}");
    }
}

#[test]
fn exceptions_count_under_the_function_asked() {
    let mut session = Session::tcp();
    session.ask(9, 4, "03 1000 0002").answer(9, 4, "83 02");
    let answer = session.last();
    assert_eq!(
        ["function", "function_raw", "exception", "exception_code", "address", "value"].map(|name| answer.field(name)),
        ["3", "131", "true", "2", "4096", ""]
    );
    assert!(answer.anomalies.is_empty());
}

#[test]
fn pairs_answers_that_come_out_of_order() {
    let mut session = Session::tcp();
    session.ask(1, 1, "03 0064 0001").ask(2, 1, "03 00C8 0001").ask(2, 2, "03 012C 0001");
    session.answer(2, 2, "03 02 0003").answer(2, 1, "03 02 0002").answer(1, 1, "03 02 0001");
    let answers: Vec<_> = session.sink.messages[3..].iter().map(|m| (m.field("address"), m.field("value"))).collect();
    assert_eq!(answers, [("300", "3"), ("200", "2"), ("100", "1")].map(|(a, v)| (a.into(), v.into())));
    assert_eq!(session.logged(), [3, 2, 1]);
    assert!(session.sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

#[test]
fn an_answer_from_another_unit_is_paired_only_without_doubt() {
    let mut session = Session::tcp();
    session.ask(5, 0, "03 0000 0001").answer(5, 255, "03 02 0001");
    assert_eq!((session.last().transaction, session.last().kinds()), (1, vec!["invalid_unit_identifier"]));
    session.ask(6, 1, "03 0000 0001").ask(6, 2, "03 0000 0001").answer(6, 3, "03 02 0001");
    assert_eq!((session.last().transaction, session.last().kinds()), (4, vec![UNSOLICITED_RESPONSE]));
}

#[test]
fn an_answer_without_request_is_a_transaction_of_its_own() {
    let mut session = Session::tcp();
    session.answer(5, 1, "03 02 0001");
    assert_eq!(session.last().anomalies, [Anomaly { kind: UNSOLICITED_RESPONSE, offset: 0 }]);
    assert_eq!((session.last().field("value"), session.last().field("address")), ("1".into(), "".into()));
    assert_eq!(session.logged(), [1]);
    // However much else is wrong with it: a rule for lost requests asks for this.
    session.answer(5, 250, "14 20 02 00 02 00 02 00 02 00 02");
    assert_eq!((session.last().kinds()[0], session.last().kinds().len()), (UNSOLICITED_RESPONSE, 4));
}

#[test]
fn a_reused_transaction_identifier_gives_up_the_request_before() {
    let mut session = Session::tcp();
    session.ask(0, 1, "03 0000 0001").ask(0, 1, "03 0000 0001").answer(0, 1, "03 02 0001");
    assert_eq!(session.logged(), [1, 2]);
    assert!(!session.sink.transactions[0].json.contains("response"));
    assert_eq!(session.last().transaction, 2);
}

#[test]
fn a_datagram_seen_twice_is_one_transaction() {
    let mut session = Session { datagram: true, ..Session::tcp() };
    session.ask(7, 1, "05 0001 FF00").ask(7, 1, "05 0001 FF00");
    session.answer(7, 1, "05 0001 FF00").answer(7, 1, "05 0001 FF00");
    assert_eq!(session.sink.messages.iter().map(|m| m.transaction).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert!(session.sink.messages.iter().all(|message| message.anomalies.is_empty()));
    assert_eq!(session.finish().logged(), [1]);
    // Asked again after a time-out it is another.
    session.now += 1_000;
    session.ask(7, 1, "05 0001 FF00");
    session.now += 1_000;
    session.ask(7, 1, "05 0001 FF00");
    assert_eq!(session.finish().logged(), [1, 2, 3]);
}

#[test]
fn outstanding_requests_are_bounded_and_all_logged() {
    let mut session = Session::tcp();
    for id in 0..100 {
        session.ask(id, 1, "03 0000 0001");
    }
    assert_eq!(session.logged(), (1..=68).collect::<Vec<_>>());
    assert_eq!(session.sink.transactions[0].direction, ToServer);
    assert_eq!(session.finish().logged(), (1..=100).collect::<Vec<_>>());
    let flooded: Vec<_> = (1..).zip(&session.sink.messages).filter(|(_, m)| m.kinds() == [FLOODED]).collect();
    assert_eq!(flooded.len(), 1, "said once");
    assert_eq!(flooded[0].0, 33);
}

#[test]
fn the_limits_on_requests_and_their_bytes_are_kept_and_told() {
    let limits = crate::Limits { requests: 3, request_bytes: 30, ..crate::Limits::DEFAULT };
    let mut session = Session { state: State::new(Transport::Mbap, &limits), ..Session::tcp() };
    // Twelve bytes each: the third has no room.
    for id in 0..3 {
        session.ask(id, 1, "03 0000 0001");
    }
    assert_eq!((session.logged(), session.state.kept().request_bytes), (vec![1], 24));
    assert_eq!(session.sink.bounded, [crate::Bound::RequestBytes]);
    let limits = crate::Limits { requests: 2, ..limits };
    let mut session = Session { state: State::new(Transport::Mbap, &limits), ..Session::tcp() };
    for id in 0..3 {
        session.ask(id, 1, "07");
    }
    assert_eq!((session.logged(), session.state.kept().requests), (vec![1], 2));
    assert_eq!(session.sink.bounded, [crate::Bound::Requests]);
}

#[test]
fn lost_answers_over_a_long_time_are_no_flood() {
    let mut session = Session::tcp();
    for id in 0..100 {
        session.now += 1_000;
        session.ask(id, 1, "03 0000 0001");
    }
    assert!(session.sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

#[test]
fn rtu_answers_are_paired_in_order_and_by_what_suits() {
    let mut session = Session::new(Transport::Rtu);
    let mut send = |direction, pdu: &str| {
        session.send(direction, &frame(1, pdu));
    };
    send(ToServer, "03 0000 0002");
    send(ToServer, "03 0010 0001");
    send(ToClient, "03 02 0007");
    assert_eq!((session.last().field("address"), session.last().transaction), ("16".into(), 2));
    assert_eq!(session.logged(), [1, 2]);
    assert!(session.last().anomalies.is_empty());
}

#[test]
fn rtu_broadcasts_wait_for_no_answer() {
    let mut session = Session::new(Transport::Rtu);
    session.send(ToServer, &frame(0, "06 0001 0003"));
    assert_eq!(session.logged(), [1]);
}

#[test]
fn rtu_requests_from_before_a_gap_are_given_up() {
    let mut session = Session::new(Transport::Rtu);
    session.send(ToServer, &frame(1, "03 0000 0001"));
    session.state.gap(ToClient);
    session.send(ToClient, &frame(1, "03 02 0007"));
    assert_eq!(session.last().kinds(), [UNSOLICITED_RESPONSE]);
    assert_eq!(session.logged(), [1, 2]);
}

#[test]
fn an_rtu_frame_with_a_wrong_checksum_is_framed_and_reported() {
    let mut bad = frame(1, "03 0000 0001");
    bad[7] ^= 1;
    assert_eq!((RTU.frame)(&bad, ToServer), Frame::Whole(8));
    assert_eq!((RTU.probe)(&bad, ToServer), Probe::No);
    let mut session = Session::new(Transport::Rtu);
    session.send(ToServer, &bad);
    assert_eq!(session.sink.anomalies, [Anomaly { kind: INVALID_CHECKSUM, offset: 6 }]);
    assert!(session.sink.messages.is_empty());
}

#[test]
fn rtu_frames_of_unknown_functions_end_where_the_checksum_is_right() {
    let mut stream = frame(1, "41 0102030405");
    let length = stream.len();
    stream.extend(frame(1, "03 0000 0001"));
    assert_eq!((RTU.frame)(&stream, ToServer), Frame::Whole(length));
    assert_eq!((RTU.frame)(&[1, 0x41, 0, 0, 0], ToServer), Frame::Need(6));
    assert_eq!((RTU.frame)(&[[1, 0x41], [0, 0]].concat().repeat(64), ToServer), Frame::Not);
}

#[test]
fn rtu_reads_from_address_0_are_not_taken_for_an_mbap_header() {
    // Quantity 2 stands where the length does, and the checksum c40b ends with a function code.
    let read = bytes("01 03 0000 0002 C40B");
    assert_eq!(read, frame(1, "03 0000 0002"));
    assert_eq!((PROTOCOL.probe)(&read, ToServer), Probe::No);
    assert_eq!((RTU.probe)(&read, ToServer), Probe::Certain);
    // Where the length promises more, the checksum can end with a function code too.
    for unit in 1..=247 {
        assert_eq!((PROTOCOL.probe)(&frame(unit, "03 0000 000A"), ToServer), Probe::No, "{unit}");
    }
}

#[test]
fn a_wrong_protocol_identifier_in_a_session_is_reported_without_a_record() {
    let mut message = mbap(1, 1, "05 0001 FF00");
    message[3] = 0x10;
    assert_eq!((PROTOCOL.frame)(&message, ToServer), Frame::Whole(12));
    assert_eq!((PROTOCOL.probe)(&message, ToServer), Probe::No);
    let mut session = Session::tcp();
    session.send(ToServer, &message);
    assert_eq!(session.sink.anomalies, [Anomaly { kind: INVALID_PROTOCOL_ID, offset: 2 }]);
    assert!(session.sink.messages.is_empty());
}

#[test]
fn impossible_lengths_are_not_framed() {
    for length in [0u16, 1, LONGEST_MESSAGE as u16 - 5, 0xffff] {
        let mut message = mbap(1, 1, "03 0000 0001");
        message[4..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!((PROTOCOL.frame)(&message, ToServer), Frame::Not, "{length}");
        assert_eq!((PROTOCOL.probe)(&message, ToServer), Probe::No, "{length}");
    }
    // With a wrong protocol identifier only what the standard allows is believed.
    assert_eq!((PROTOCOL.frame)(&bytes("0000 0001 00FF 01 03"), ToServer), Frame::Not);
}

#[test]
fn longer_messages_than_the_standard_allows_are_dissected() {
    let long = "00".repeat(300);
    let umas = mbap(1, 0, &format!("5A {long}"));
    assert_eq!((PROTOCOL.frame)(&umas, ToServer), Frame::Whole(umas.len()));
    assert_eq!((PROTOCOL.probe)(&umas, ToServer), Probe::Maybe);
    assert_eq!(request_findings(&format!("5A {long}")), []);
    assert_eq!(request_findings(&format!("41 {long}")), [("invalid_length", 4)]);
}

#[test]
fn probe_needs_more_than_zeros_and_a_length() {
    // Nothing contradicts too few bytes.
    assert_eq!((PROTOCOL.probe)(&[], ToServer), Probe::Maybe);
    assert_eq!((PROTOCOL.probe)(&[0, 1, 0, 0, 0], ToServer), Probe::Maybe);
    assert_eq!((PROTOCOL.probe)(b"GET / HTTP/1.1\r\n", ToServer), Probe::No);
    // What follows must begin like a message.
    let mut two = mbap(1, 1, "03 0000 0001");
    two.extend(mbap(2, 1, "03 0000 0001"));
    assert_eq!((PROTOCOL.probe)(&two, ToServer), Probe::Certain);
    two[15] = 1;
    assert_eq!((PROTOCOL.probe)(&two, ToServer), Probe::No);
    // Values the standard does not allow: perhaps malformed, perhaps something else.
    assert_eq!((PROTOCOL.probe)(&mbap(1, 1, "03 0000 0000"), ToServer), Probe::Maybe);
    // LDAP of Windows: bind response.
    let ldap = bytes("30 84 00 00 00 10 02 01 01 61 84 00 00 00 07 0A 01 00 04 00 04 00");
    assert_eq!((PROTOCOL.probe)(&ldap, ToClient), Probe::No);
    // ROC: as long and with the same checksum as a request to read 1536 bits.
    assert_eq!((RTU.probe)(&frame(1, "02 0304 0600"), ToServer), Probe::No);
}

#[test]
fn requests_outside_the_standard_are_anomalies() {
    for (pdu, expected) in [
        ("01 0000 07D0", &[][..]),
        ("01 0000 07D1", &[("invalid_value", 10)]),
        ("01 0000 0000", &[("invalid_value", 10)]),
        ("01 FFFF 0002", &[("invalid_value", 10)]),
        ("03 0000 007E", &[("invalid_value", 10)]),
        ("03 0000 0001 00", &[("invalid_length", 12)]),
        ("03 0000", &[("invalid_length", 10)]),
        ("05 0000 0001", &[("invalid_value", 10)]),
        ("06 0000", &[("invalid_length", 10)]),
        ("07 00", &[("invalid_length", 8)]),
        ("08 0001 1234", &[("invalid_value", 10)]),
        ("08 0003 1200", &[]),
        ("08 0003 0012", &[("invalid_value", 10)]),
        ("08 000A 0000 00", &[("invalid_length", 12)]),
        ("08 0000", &[]),
        ("0F 0000 07B1 00", &[("invalid_value", 10), ("invalid_value", 12)]),
        ("0F 0000 0009 01 FF", &[("invalid_value", 12)]),
        ("10 0000 0001 02 00", &[("invalid_value", 12)]),
        ("10 0000 007C F8", &[("invalid_value", 10), ("invalid_value", 12)]),
        ("14 06 06 0001 0001", &[("invalid_value", 8), ("invalid_value", 8), ("invalid_length", 9)]),
        ("14 07 05 0001 0001 0001", &[("invalid_value", 9)]),
        ("15 09 06 0001 0001 0002 0000", &[("invalid_length", 9)]),
        ("16 0000 0000 0000 00", &[("invalid_length", 14)]),
        ("17 0000 007E 0000 0001 02 0000", &[("invalid_value", 10)]),
        ("17 0000 0001 0000 007A 02 0000", &[("invalid_value", 14), ("invalid_value", 16)]),
        ("18 0000 00", &[("invalid_length", 10)]),
        ("2B 0E 05 00", &[("invalid_value", 9)]),
        ("2B 0E 01", &[("invalid_length", 10)]),
        ("2B 0F 01 00", &[("invalid_value", 8)]),
        ("2B", &[("invalid_length", 8)]),
        ("00 00", &[("invalid_function_code", 7)]),
        ("83 02", &[("invalid_function_code", 7)]),
        ("41 00", &[]),
        ("64 0000", &[]),
        ("09 00", &[]),
    ] {
        assert_eq!(request_findings(pdu), expected, "{pdu}");
    }
}

#[test]
fn responses_outside_the_standard_are_anomalies() {
    for (pdu, expected) in [
        ("83 00", &[("invalid_exception_code", 8)][..]),
        ("83 09", &[("invalid_exception_code", 8)]),
        ("83 0B", &[]),
        ("83 01 00", &[("invalid_length", 9)]),
        ("83", &[("invalid_length", 8)]),
        ("01 00", &[("invalid_value", 8)]),
        ("01 02 00", &[("invalid_value", 8)]),
        ("03 03 000000", &[("invalid_value", 8)]),
        ("03", &[("invalid_length", 8)]),
        ("07", &[("invalid_length", 8)]),
        ("0B 1234 0000", &[("invalid_value", 8)]),
        ("0C 05 0000 0000 0000", &[("invalid_value", 8)]),
        ("0C 06 0000 0000", &[("invalid_length", 13)]),
        ("0F 0000 0000", &[("invalid_value", 10)]),
        ("11 03 00FF", &[("invalid_value", 8)]),
        ("14 05 04 06 0000", &[("invalid_value", 8), ("invalid_length", 9)]),
        ("18 0042 0020", &[("invalid_value", 10), ("invalid_value", 8)]),
        ("2B 0E 01 01 00 00 02 00 01 41", &[("invalid_length", 13)]),
        ("2B 0E 01 07 01 00 00", &[("invalid_value", 10), ("invalid_value", 11)]),
        ("2B 0E 01 01", &[("invalid_length", 11)]),
        ("80 01", &[("invalid_function_code", 7)]),
    ] {
        assert_eq!(response_findings(pdu), expected, "{pdu}");
    }
}

#[test]
fn reserved_units_are_anomalies() {
    let mut session = Session::tcp();
    session.ask(1, 250, "03 0000 0001");
    assert_eq!(session.last().anomalies, [Anomaly { kind: "invalid_unit_identifier", offset: 6 }]);
    let mut session = Session::new(Transport::Rtu);
    session.send(ToServer, &frame(255, "03 0000 0001"));
    assert_eq!(session.last().anomalies, [Anomaly { kind: "invalid_unit_identifier", offset: 0 }]);
}

#[test]
fn answers_that_do_not_suit_the_request_are_anomalies() {
    for (request, response, expected) in [
        ("03 0000 0002", "03 02 0000", "value_mismatch"),
        ("01 0000 0009", "01 01 00", "value_mismatch"),
        ("05 0000 FF00", "05 0000 0000", "value_mismatch"),
        ("06 0001 0001", "06 0002 0001", "value_mismatch"),
        ("10 0000 0001 02 0000", "10 0000 0002", "value_mismatch"),
        ("16 0000 0001 0002", "16 0000 0001 0003", "value_mismatch"),
        ("08 0000 1234", "08 0000 1235", "value_mismatch"),
        ("08 000B 0000", "08 000C 0000", "value_mismatch"),
        ("15 09 06 0001 0001 0001 0000", "15 09 06 0001 0001 0001 0001", "value_mismatch"),
        ("17 0000 0002 0000 0001 02 0000", "17 02 0000", "value_mismatch"),
        ("2B 0E 01 00", "2B 0E 02 02 00 00 00", "value_mismatch"),
        ("2B 0E 01 00", "2B 0D 01", "value_mismatch"),
        ("03 0000 0001", "04 02 0000", "invalid_function_code"),
        ("03 0000 0001", "86 01", "invalid_function_code"),
    ] {
        assert_eq!(answer_findings(request, response), [expected], "{request} answered by {response}");
    }
}

#[test]
fn every_anomaly_is_declared_and_no_name_twice() {
    let mut names: Vec<_> = PROTOCOL.anomalies.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PROTOCOL.anomalies.len());
    let source = include_str!("mod.rs");
    assert_eq!(source.matches(": &str = \"").count(), names.len());
}

#[test]
fn tree_has_the_layout_that_consumers_of_eve_expect() {
    let mut session = Session::tcp();
    session.ask(1, 1, "03 006B 0002").answer(1, 1, "03 04 4142 4344");
    session.ask(2, 1, "0F 0013 000A 02 4101").answer(2, 1, "0F 0013 000A");
    session.ask(3, 1, "05 00AC 1234").answer(3, 1, "85 03");
    session.ask(4, 1, "17 0003 0001 000E 0001 02 4142").answer(4, 1, "17 02 4344");
    session.ask(5, 1, "16 0004 00F2 0025").answer(5, 1, "16 0004 00F2 0025");
    session.ask(6, 1, "08 0001 FF00").answer(6, 1, "88 0C");
    session.ask(7, 1, "2B 0E 01 00").answer(7, 1, "2B 0E 01 01 00 00 01 00 03 414243");
    session.ask(8, 1, "11").answer(8, 1, "11 03 2A FF 41");
    session.ask(9, 0, "5A 0002");
    session.finish();
    let mut rtu = Session::new(Transport::Rtu);
    rtu.send(ToServer, &frame(3, "06 0001 0003")).send(ToClient, &frame(3, "06 0001 0003"));
    let all = session.sink.transactions.iter().chain(&rtu.sink.transactions);
    insta::assert_snapshot!(all.map(|heard| heard.json.as_str()).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_conversation_on_any_port_tells_the_two_ways_apart() {
    let opening = Opening { client_port: 50_000, server_port: 4001, medium: Medium::Stream, roles_known: true };
    for (expected, request, response) in [
        (&PROTOCOL, mbap(1, 1, "03 0000 0002"), mbap(1, 1, "03 04 0001 0002")),
        (&RTU, frame(1, "03 0000 0002"), frame(1, "03 04 0001 0002")),
    ] {
        let mut conversation = Conversation::new(opening, crate::registry::PROTOCOLS, &crate::Limits::DEFAULT);
        let mut sink = Collected::default();
        conversation.data(&envelope(ToServer, 1), &request, &mut sink);
        // A serial gateway forwards what it has.
        let (head, tail) = response.split_at(4);
        conversation.data(&envelope(ToClient, 2), head, &mut sink);
        conversation.data(&envelope(ToClient, 3), tail, &mut sink);
        assert_eq!(conversation.protocol().map(|protocol| protocol.title), Some(expected.title));
        let answers: Vec<_> = sink.transactions.iter().map(|answer| (answer.protocol, answer.field("value"))).collect();
        assert_eq!(answers, [(&PROTOCOL, "1 2".to_owned())]);
    }
}

#[test]
fn a_message_says_what_it_does_to_the_plant_and_its_answer_says_the_same() {
    let cases = [
        ("03 006B 0003", "03 06 022B 0000 0064", "read: holding 107-109"),
        ("01 0013 0013", "01 03 CD6B05", "read: coils 19-37"),
        ("05 00AC FF00", "05 00AC FF00", "write: coils 172 = 1"),
        ("06 0001 0003", "06 0001 0003", "write: holding 1 = 3"),
        ("10 0001 0001 02 000A", "10 0001 0001", "write: holding 1 = 10"),
        ("10 0001 0002 04 000A 0102", "10 0001 0002", "write: holding 1-2"),
        ("16 0004 00F2 0025", "16 0004 00F2 0025", "write: holding 4"),
        (
            "17 0003 0006 000E 0001 02 00FF",
            "17 0C 00FE 0ACD 0001 0003 000D 00FF",
            "write: holding 3-8, holding 14 = 255",
        ),
        ("08 0001 0000", "08 0001 0000", "restart"),
        ("08 0004 0000", "", "stop"),
        ("08 0000 A537", "08 0000 A537", "read"),
        ("0D 00", "0D 00", "program"),
        ("11", "11 02 01 FF", "discover"),
        ("14 0E 06 0004 0001 0002 06 0003 0009 0002", "94 02", "file"),
        ("5A 00 40 FF00", "5A 00 FE", "start"),
        ("5A 00 41 FF00", "5A 00 FE", "stop"),
        ("5A 00 34 0001", "5A 00 FE", "program"),
        ("41 00", "41 00", ""),
    ];
    for (request, response, operation) in cases {
        let mut session = Session::tcp();
        session.ask(1, 1, request);
        assert_eq!(session.last().operation, operation, "{request}");
        if !response.is_empty() {
            session.answer(1, 1, response);
            assert_eq!(session.last().operation, operation, "{response}");
        }
    }
}

#[test]
fn a_device_identification_tells_facts_of_the_server() {
    let mut session = Session::tcp();
    session.ask(1, 1, "2B 0E 01 00").answer(1, 1, "2B 0E 01 01 00 00 03 00 04 41434D45 01 03 503132 02 03 312E32");
    assert_eq!(
        session.last().facts,
        ["server vendor ACME", "server model P12", "server firmware 1.2"].map(str::to_owned)
    );
}

#[test]
fn a_transaction_says_when_it_was_asked_or_that_it_was_not_answered() {
    let mut session = Session::tcp();
    session.ask(1, 1, "03 0000 0001");
    let asked = envelope(ToServer, session.now).timestamp;
    session.answer(1, 1, "03 02 0001").ask(2, 1, "03 0000 0001").finish();
    let pairings: Vec<_> = session.sink.transactions.iter().map(|heard| heard.pairing).collect();
    assert_eq!(pairings, [Pairing::Answered(asked), Pairing::Unanswered]);
}
