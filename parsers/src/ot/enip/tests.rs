use super::state::State;
use super::{CIP, INVALID_ITEM, INVALID_OFFSET, INVALID_PATH, INVALID_PDU, IO, PROTOCOL, SEQUENCE_GAP};
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{self, ToClient, ToServer};
use crate::dissector::{Dissector, Frame, Pairing, Probe, Protocol};
use crate::limits::{Bound, Limits};
use crate::testing::{Collected, Heard, bytes, envelope};
use crate::time::Timestamp;
use proptest::prelude::*;

static ONLY: &[&Protocol] = &[&PROTOCOL];
static IMPLICIT: &[&Protocol] = &[&IO];

/// An encapsulation message of this command.
fn encapsulated(command: u16, session: u32, context: u8, data: &[u8]) -> Vec<u8> {
    let mut message = command.to_le_bytes().to_vec();
    message.extend((data.len() as u16).to_le_bytes());
    message.extend(session.to_le_bytes());
    message.extend([0; 4]);
    message.extend([context; 8]);
    message.extend([0; 4]);
    message.extend(data);
    message
}

/// Send RR Data with an unconnected message.
fn unconnected(context: u8, cip: &str) -> Vec<u8> {
    let cip = bytes(cip);
    let mut data = bytes("00000000 0000 0200 0000 0000 b200");
    data.extend((cip.len() as u16).to_le_bytes());
    data.extend(cip);
    encapsulated(0x6f, 1, context, &data)
}

/// Send Unit Data in a connection.
fn connected(connection: u32, sequence: u16, cip: &str) -> Vec<u8> {
    let cip = bytes(cip);
    let mut data = bytes("00000000 0000 0200 a100 0400");
    data.extend(connection.to_le_bytes());
    data.extend(bytes("b100"));
    data.extend((cip.len() as u16 + 2).to_le_bytes());
    data.extend(sequence.to_le_bytes());
    data.extend(cip);
    encapsulated(0x70, 1, 0, &data)
}

struct Session {
    state: State,
    sink: Collected,
    now: u64,
}

impl Session {
    fn new() -> Self {
        Self { state: State::new(&Limits::DEFAULT), sink: Collected::default(), now: 1_000 }
    }

    fn send(&mut self, direction: Direction, message: &[u8]) -> &mut Self {
        self.now += 1;
        self.state.parse(&envelope(direction, self.now), message, &mut self.sink);
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.state.expire(Timestamp::MAX, &mut self.sink);
        self
    }

    fn cip(&self) -> Vec<&Heard> {
        self.sink.messages.iter().filter(|heard| heard.protocol == &CIP).collect()
    }

    fn logged(&self, protocol: &'static Protocol) -> Vec<&Heard> {
        self.sink.transactions.iter().filter(|heard| heard.protocol == protocol).collect()
    }
}

/// Asks and answers, and gives what is heard of CIP.
fn exchange(request: &str, response: &str) -> Session {
    let mut session = Session::new();
    session.send(ToServer, &unconnected(1, request)).send(ToClient, &unconnected(1, response));
    session
}

#[test]
fn a_list_identity_reply_tells_who_the_device_is() {
    let mut session = Session::new();
    session.send(ToServer, &encapsulated(0x63, 0, 0, &[]));
    let identity = bytes(
        "0100 0c00 2900 0100 0002 af12 0a000001 0000000000000000 0100 0e00 3600 1014 6030 78563412 07 4c6f676978206c 03",
    );
    let reply = encapsulated(0x63, 0, 0, &identity);
    session.send(ToClient, &reply);
    let heard = session.sink.messages.last().expect("a reply");
    assert_eq!(heard.anomalies, []);
    for (field, value) in [
        ("vendor_id", "1"),
        ("device_type", "14"),
        ("product_code", "54"),
        ("revision", "4116"),
        ("identity_status", "12384"),
        ("serial", "305419896"),
        ("product_name", "4c6f676978206c"),
        ("state", "3"),
        ("address", "10.0.0.1"),
        ("port", "44818"),
    ] {
        assert_eq!(heard.field(field), value, "{field}");
    }
    assert_eq!(heard.operation, "discover");
    insta::assert_debug_snapshot!(heard.facts, @r#"
    [
        "server vendor Rockwell Automation/Allen-Bradley",
        "server model Logix l",
        "server serial 305419896",
        "server firmware 16.20",
        "server role programmable_logic_controller",
    ]
    "#);
    assert_eq!((PROTOCOL.probe)(&reply, ToClient), Probe::Certain);
    assert_eq!((PROTOCOL.probe)(&reply, ToServer), Probe::No);
}

#[test]
fn a_written_tag_is_shown_with_its_value() {
    // Write Tag of Pump.Speed[3], one DINT 850 (1756-PM020).
    let session = exchange("4d 08 91 04 50756d70 91 05 5370656564 00 28 03 c400 0100 52030000", "cd 00 00 00");
    let heard = session.cip();
    assert_eq!(heard[0].operation, "write: Pump.Speed[3] = 850");
    assert_eq!(heard[0].field("path"), "Pump.Speed[3]");
    assert_eq!(heard[0].field("value"), "850");
    assert_eq!(heard[0].field("data_type"), "196");
    assert_eq!(heard[1].operation, heard[0].operation);
    assert_eq!(heard[1].field("status"), "0");
    assert_eq!(session.logged(&CIP).len(), 1);
    assert!(matches!(session.logged(&CIP)[0].pairing, Pairing::Answered(_)));
}

#[test]
fn a_read_tag_is_shown_with_what_was_read() {
    let session = exchange("4c 02 91 02 5431 0100", "cc 00 00 00 ca00 0000803f 00000040");
    assert_eq!(session.cip()[1].field("value"), "1 2");
    assert_eq!(session.cip()[1].operation, "read: T1");
}

#[test]
fn each_service_of_a_multiple_service_packet_is_a_message_and_a_transaction() {
    let session = exchange(
        "0a 02 2002 2401 0200 0600 0e00 0e 03 2001 2401 3007 07 02 208e 2401",
        "8a 00 1e 00 0200 0600 0a00 8e 00 00 00 87 00 0f 00",
    );
    let services: Vec<_> = session.cip().iter().map(|heard| heard.field("service")).collect();
    assert_eq!(services, ["10", "14", "7", "10", "14", "7"]);
    let operations: Vec<_> = session.logged(&CIP).iter().map(|heard| heard.operation.clone()).collect();
    assert_eq!(operations, ["", "discover: identity 1 attribute 7", "stop: controller_mode 1"]);
    assert_eq!(session.cip()[5].field("status"), "15");
    let enip = &session.sink.messages[0];
    assert_eq!(enip.field("cip_service"), "10 14 7");
    assert_eq!(enip.field("cip_class"), "2 1 142");
}

#[test]
fn what_an_unconnected_send_carries_is_answered_in_its_place() {
    let session = exchange(
        "52 02 2006 2401 07f9 0600 01 02 2001 2401 01 00 0100",
        "81 00 00 00 0100 0e00 3600 1014 6030 78563412 02 4162",
    );
    let services: Vec<_> = session.cip().iter().map(|heard| (heard.field("service"), heard.field("class"))).collect();
    let expected = [("82", "6"), ("1", "1"), ("1", "6 1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(services, expected);
    assert_eq!(session.cip()[2].field("product_name"), "4162");
    assert_eq!(session.logged(&CIP).len(), 2);
}

/// A Forward Open of a class 3 connection to the Message Router and its answer.
const OPEN: &str =
    "54 02 2006 2401 07f9 00000080 01000980 2b00 0100 78563412 00 000000 80841e00 f443 80841e00 f443 a3 02 2002 2401";
const OPENED: &str = "d4 00 00 00 44332211 01000980 2b00 0100 78563412 80841e00 80841e00 00 00";

#[test]
fn messages_of_an_open_connection_are_paired_and_know_its_path() {
    let mut session = exchange(OPEN, OPENED);
    assert_eq!(session.cip()[0].field("class"), "6 2");
    assert_eq!(session.cip()[1].field("o_to_t_connection_id"), "287454020");
    session.send(ToServer, &connected(0x1122_3344, 7, "0e 03 2001 2401 3007"));
    session.send(ToClient, &connected(0x8009_0001, 7, "8e 00 00 00 02 4142"));
    let heard = session.cip();
    assert_eq!(heard[2].field("class"), "1 2");
    assert_eq!(heard[3].field("class"), "1 2");
    assert_eq!(heard[3].facts, ["server model AB"]);
    session.send(ToServer, &unconnected(2, "4e 02 2006 2401 07f9 2b00 0100 78563412 02 00 2002 2401"));
    assert_eq!(session.cip()[4].field("class"), "6 2 2");
    session.send(ToClient, &unconnected(2, "ce 00 00 00 2b00 0100 78563412 00 00"));
    session.send(ToServer, &connected(0x1122_3344, 8, "0e 03 2001 2401 3007"));
    assert_eq!(session.cip().last().map(|heard| heard.field("class")), Some("1".to_owned()));
}

/// As cpppo does; a real target answers with the identifier of the other direction.
#[test]
fn an_answer_with_the_identifier_of_its_request_is_paired() {
    let mut session = exchange(OPEN, OPENED);
    session.send(ToServer, &connected(0x1122_3344, 7, "0e 03 2001 2401 3007"));
    session.send(ToClient, &connected(0x1122_3344, 7, "8e 00 00 00 02 4142"));
    assert_eq!(session.cip()[3].facts, ["server model AB"]);
    session.send(ToServer, &connected(0x1122_3344, 8, "0e 03 2001 2401 3007"));
    session.send(ToClient, &connected(0x5566_7788, 8, "8e 00 00 00 02 4142"));
    assert_eq!(session.cip()[5].facts, [""; 0], "that of another connection");
}

#[test]
fn open_connections_are_bounded() {
    let mut session = Session { state: State::new(&Limits { requests: 2, ..Limits::DEFAULT }), ..Session::new() };
    for serial in ["2b00", "2c00", "2d00"] {
        session.send(ToServer, &unconnected(1, &OPEN.replace("2b00", serial)));
        session.send(ToClient, &unconnected(1, &OPENED.replace("2b00", serial)));
    }
    assert_eq!(session.sink.bounded, [Bound::Requests]);
    let mut flow = (IO.open)(&Limits { requests: 1, ..Limits::DEFAULT });
    for connection in ["44332211", "45332211"] {
        let message = bytes(&format!("0200 0280 0800 {connection} 01000000 b100 0400 0102 0304"));
        flow.parse(&envelope(ToServer, 1), &message, &mut session.sink);
    }
    assert_eq!(session.sink.bounded, [Bound::Requests; 2]);
}

#[test]
fn pccc_says_what_it_does_to_which_file() {
    // Protected typed logical write with three address fields, N7:2 = 5.
    let session = exchange(
        "4b 02 2067 2401 07 0100 78563412 0f 00 0100 aa 02 07 89 02 00 0500",
        "cb 00 00 00 07 0100 78563412 4f 00 0100",
    );
    assert_eq!(session.cip()[0].operation, "write: N7:2 = 5");
    let stop = exchange("4b 02 2067 2401 07 0100 78563412 0f 00 0100 80 01", "cb 00 00 00 07 0100 78563412 4f 00 0100");
    assert_eq!(stop.cip()[0].operation, "stop");
}

#[test]
fn whatever_names_a_device_is_a_fact() {
    let facts = |request, response| exchange(request, response).cip()[1].facts.join(", ");
    // Get Attribute List of vendor, an attribute that there is not, serial number and product name (volume 1 appendix A-4.3).
    let list = facts(
        "03 02 2001 2401 0400 0100 6400 0600 0700",
        "83 00 0a 00 0400 0100 0000 0100 6400 1400 0600 0000 78563412 0700 0000 04 4c6f6769",
    );
    assert_eq!(list, "server vendor Rockwell Automation/Allen-Bradley, server model Logi, server serial 305419896");
    // The status alone is what development software polls.
    assert_eq!(facts("03 02 2001 2401 0100 0500", "83 00 00 00 0100 0500 0000 6030"), "");
    let host = facts("0e 03 20f5 2401 3006", "8e 00 00 00 0500 706c632d37 00");
    assert_eq!(host, "server name plc-7");
    // Diagnostic status of a MicroLogix 1000 (1770-6.5.16 page 10-6).
    let controller = facts(
        "4b 02 2067 2401 07 0100 78563412 06 00 0200 03",
        "cb 00 00 00 07 0100 78563412 46 00 0200 00 ee 34 58 42 313736312d4d4943524f20 0000",
    );
    assert_eq!(controller, "server model 1761-MICRO, server firmware series C FRN 3");
    // Of a name that is cut off, or of an error, nothing is told.
    assert_eq!(facts("4b 02 2067 2401 07 0100 78563412 06 00 0200 03", "cb 00 00 00 07 0100 78563412 46 10 0200"), "");
}

#[test]
fn a_request_without_an_answer_is_logged_when_the_flow_ends() {
    let mut session = Session::new();
    session.send(ToServer, &unconnected(1, "05 02 2001 2401")).finish();
    let logged = session.logged(&CIP);
    assert_eq!(logged.len(), 1);
    assert_eq!((logged[0].pairing, &logged[0].operation[..]), (Pairing::Unanswered, "restart: identity 1"));
    assert_eq!(session.logged(&PROTOCOL).len(), 1);
}

#[test]
fn what_a_refused_encapsulation_carried_gets_no_answer() {
    let mut session = Session::new();
    session.send(ToServer, &unconnected(1, "05 02 2001 2401"));
    let mut refused = encapsulated(0x6f, 1, 1, &[]);
    refused[8] = 0x64;
    session.send(ToClient, &refused);
    assert_eq!(session.sink.messages.last().map(|heard| heard.field("status")), Some("100".to_owned()));
    let [carried] = session.logged(&CIP)[..] else { panic!("one service") };
    assert_eq!((carried.pairing, &carried.operation[..]), (Pairing::Unanswered, "restart: identity 1"));
    assert!(matches!(session.logged(&PROTOCOL)[0].pairing, Pairing::Answered(_)));
}

#[test]
fn what_the_standard_does_not_allow_is_named_with_its_offset() {
    let kinds = |message: &[u8]| {
        let mut session = Session::new();
        session.send(ToServer, message);
        session.sink.messages[0].anomalies.iter().map(|anomaly| (anomaly.kind, anomaly.offset)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&encapsulated(0x65, 0, 0, &[1, 0])), [(INVALID_PDU, 24)]);
    assert_eq!(kinds(&unconnected(1, "0e 09 2001")), [(INVALID_PATH, 41)]);
    assert_eq!(kinds(&unconnected(1, "0a 02 2002 2401 0100 f000")), [(INVALID_OFFSET, 48)]);
    let mut cut = unconnected(1, "0e 02 2001 2401");
    cut.truncate(cut.len() - 2);
    assert_eq!(kinds(&cut), [(INVALID_ITEM, 36)]);
}

/// What a conversation hears of a stream, as transactions and fields of interest.
fn converse(chunks: &[(Direction, &[u8])]) -> Vec<(String, String)> {
    let opening = Opening { client_port: 40_000, server_port: 44_818, medium: Medium::Stream, roles_known: true };
    let mut conversation = Conversation::new(opening, ONLY, &Limits::DEFAULT);
    let mut sink = Collected::default();
    for (direction, chunk) in chunks {
        conversation.data(&envelope(*direction, 1), chunk, &mut sink);
    }
    sink.messages.iter().map(|heard| (heard.json.clone(), heard.operation.clone())).collect()
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_messages() {
    let stream = [
        encapsulated(0x65, 0, 0, &[1, 0, 0, 0]),
        unconnected(1, "0a 02 2002 2401 0200 0600 0e00 0e 03 2001 2401 3007 07 02 208e 2401"),
        connected(9, 1, "4c 02 91 02 5431 0100"),
    ]
    .concat();
    let whole = converse(&[(ToServer, &stream)]);
    assert_eq!(whole.len(), 3 + 4);
    for cut in 1..stream.len() {
        assert_eq!(converse(&[(ToServer, &stream[..cut]), (ToServer, &stream[cut..])]), whole, "cut at {cut}");
    }
}

#[test]
fn after_a_hole_the_next_message_is_found() {
    let opening = Opening { client_port: 40_000, server_port: 44_818, medium: Medium::Stream, roles_known: true };
    let mut conversation = Conversation::new(opening, ONLY, &Limits::DEFAULT);
    let mut sink = Collected::default();
    let message = unconnected(1, "0e 03 2001 2401 3007");
    conversation.data(&envelope(ToServer, 1), &message, &mut sink);
    conversation.gap(ToServer, 1);
    let rest = [&message[10..], &message[..]].concat();
    conversation.data(&envelope(ToServer, 2), &rest, &mut sink);
    assert_eq!(sink.messages.iter().filter(|heard| heard.protocol == &PROTOCOL).count(), 2);
}

#[test]
fn an_implicit_connection_has_one_record_that_counts() {
    let datagram = |sequence: u32| {
        let mut message = bytes("0200 0280 0800 44332211");
        message.extend(sequence.to_le_bytes());
        message.extend(bytes("b100 0400 0102 0304"));
        message
    };
    let mut flow = (IO.open)(&Limits::DEFAULT);
    let mut sink = Collected::default();
    for sequence in [1, 2, 5] {
        assert_eq!((IO.probe)(&datagram(sequence), ToServer), Probe::Certain);
        flow.parse(&envelope(ToServer, sequence.into()), &datagram(sequence), &mut sink);
    }
    assert_eq!(sink.messages.len(), 3);
    assert_eq!(sink.messages[2].kinds(), [SEQUENCE_GAP]);
    flow.expire(Timestamp::MAX, &mut sink);
    assert_eq!(sink.transactions.len(), 1);
    insta::assert_snapshot!(sink.transactions[0].json, @r#"
    {
      "connection_id": 287454020,
      "direction": "to_server",
      "messages": 3,
      "bytes": 12,
      "lost": 2,
      "repeated": 0,
      "duration_ms": 4
    }
    "#);
}

#[test]
fn an_implicit_connection_that_fell_silent_has_its_record_while_others_go_on() {
    let datagram = |connection: u8| bytes(&format!("0200 0280 0800 {connection:02x}000000 01000000 b100 0200 0102"));
    let mut flow = (IO.open)(&Limits::DEFAULT);
    let mut sink = Collected::default();
    let (silent, going) = (envelope(ToServer, 1), envelope(ToServer, 9));
    flow.parse(&silent, &datagram(1), &mut sink);
    flow.parse(&going, &datagram(2), &mut sink);
    flow.expire(silent.timestamp, &mut sink);
    assert_eq!(sink.transactions.len(), 1);
    assert!(sink.transactions[0].json.contains("\"connection_id\": 1,"), "{}", sink.transactions[0].json);
    flow.expire(going.timestamp, &mut sink);
    assert_eq!(sink.transactions.len(), 2);
}

#[test]
fn an_implicit_message_with_a_broken_item_is_told() {
    let opening = Opening { client_port: 2222, server_port: 2222, medium: Medium::Datagram, roles_known: true };
    let mut conversation = Conversation::new(opening, IMPLICIT, &Limits::DEFAULT);
    let mut sink = Collected::default();
    for data in ["b100 0400 0102 0304", "b100 0900 0102 0304", "b100 0400 0102 0304"] {
        let message = bytes(&format!("0200 0280 0800 44332211 01000000 {data}"));
        conversation.data(&envelope(ToServer, 1), &message, &mut sink);
    }
    assert_eq!(sink.messages.len(), 2);
    assert_eq!(sink.anomalies, [crate::dissector::Anomaly { kind: INVALID_ITEM, offset: 14 }]);
}

#[test]
fn zeros_and_text_are_not_taken_for_a_message() {
    for text in [&[0u8; 100][..], b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"] {
        assert!(!matches!((PROTOCOL.probe)(text, ToServer), Probe::Certain | Probe::Maybe));
    }
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

/// Messages that often get as far as the services.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let service = prop_oneof![
        Just("0a02 2002 2401"),
        Just("8a00 0000"),
        Just("5202 2006 2401"),
        Just("5402 2006 2401"),
        Just("d400 0000"),
        Just("4e02 2006 2401"),
        Just("4b02 2067 2401"),
        Just("cb00 0000"),
        Just("4d02 9102 4142"),
        Just("cc00 0000"),
        Just("0302 2001 2401"),
        Just("8100 0000"),
        Just(""),
    ];
    (service, prop::collection::vec(any::<u8>(), 0..48), any::<bool>(), 0u8..3).prop_map(
        |(service, data, open, number)| {
            let cip = [service, &crate::testing::hex(&data)].concat();
            if open { connected(number.into(), number.into(), &cip) } else { unconnected(number, &cip) }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_to_a_tag_is_what_is_read(name in "[A-Za-z_][A-Za-z0-9_]{0,30}", index in any::<u8>(), value in any::<i32>()) {
        let symbol = [&[0x91, name.len() as u8], name.as_bytes(), &[0][..name.len() % 2], &[0x28, index]].concat();
        let write = [&[0x4d, (symbol.len() / 2) as u8], &symbol[..], &[0xc4, 0, 1, 0], &value.to_le_bytes()].concat();
        let session = exchange(&crate::testing::hex(&write), "cd 00 00 00");
        let operation = format!("write: {name}[{index}] = {value}");
        prop_assert!(session.cip().iter().all(|heard| heard.operation == operation && heard.anomalies.is_empty()));
        prop_assert_eq!(session.logged(&CIP).len(), 1);
    }

    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..300), direction in directions()) {
        for protocol in [&PROTOCOL, &IO] {
            (protocol.probe)(&input, direction);
            match (protocol.frame)(&input, direction) {
                Frame::Whole(n) => prop_assert!((1..=input.len()).contains(&n) && n <= protocol.longest_message),
                Frame::Need(n) => prop_assert!(n > input.len() && n <= protocol.longest_message),
                Frame::Long { .. } => prop_assert!(false, "this protocol has no such messages"),
                Frame::Not => {}
            }
            let mut flow = (protocol.open)(&Limits::DEFAULT);
            let mut sink = Collected::default();
            flow.parse(&envelope(direction, 1), &input, &mut sink);
            flow.expire(Timestamp::MAX, &mut sink);
        }
    }

    #[test]
    fn no_conversation_panics_and_nothing_is_logged_twice(
        said in prop::collection::vec((directions(), messages()), 0..60),
    ) {
        let mut session = Session::new();
        for (direction, message) in &said {
            (PROTOCOL.probe)(message, *direction);
            session.send(*direction, message);
        }
        session.finish();
        let mut logged: Vec<_> = session.sink.transactions.iter().map(|heard| heard.transaction).collect();
        let count = logged.len();
        logged.sort_unstable();
        logged.dedup();
        prop_assert_eq!(logged.len(), count);
    }
}
