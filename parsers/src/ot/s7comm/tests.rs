//! S7 communication from the bytes of TPKT packets to what rules and logs see. Bytes are from real peers (STEP 7 and TIA
//! Portal with an S7-300, snap7, an S7-1200 and an S7-1500) where a test says so; the others are put together in the same
//! layouts.

mod properties;

use super::*;
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{ToClient, ToServer};
use crate::dissector::{Dissector, Pairing};
use crate::limits::Limits;
use crate::testing::{Collected, Heard, bytes, envelope};
use crate::time::Timestamp;

/// A TPKT packet with a data TPDU of class 0.
fn packet(data: &[u8], end: bool) -> Vec<u8> {
    let length = (data.len() + 7) as u16;
    let [high, low] = length.to_be_bytes();
    [&[3, 0, high, low, 2, 0xf0, if end { 0x80 } else { 0 }], data].concat()
}

/// A PDU of S7 communication: type, reference, error as it is (or none), parameters, data.
fn pdu(kind: u8, reference: u16, error: &str, parameter: &str, data: &str) -> Vec<u8> {
    let (error, parameter, data) = (bytes(error), bytes(parameter), bytes(data));
    let mut pdu = vec![0x32, kind, 0, 0];
    pdu.extend(reference.to_be_bytes());
    pdu.extend((parameter.len() as u16).to_be_bytes());
    pdu.extend((data.len() as u16).to_be_bytes());
    [pdu, error, parameter, data].concat()
}

/// One flow and what is heard of it.
struct Session {
    state: State,
    sink: Collected,
    now: u64,
}

impl Session {
    fn new() -> Self {
        Self::within(&Limits::DEFAULT)
    }

    fn within(limits: &Limits) -> Self {
        Self { state: State::new(limits), sink: Collected::default(), now: 1_000 }
    }

    fn packet(&mut self, direction: Direction, packet: &[u8]) -> &mut Self {
        self.now += 1;
        self.state.parse(&envelope(direction, self.now), packet, &mut self.sink);
        self
    }

    /// A whole packet in hexadecimal digits.
    fn send(&mut self, direction: Direction, hex: &str) -> &Heard {
        self.packet(direction, &bytes(hex));
        self.last()
    }

    /// A PDU in a packet of its own.
    fn pdu(&mut self, direction: Direction, pdu: &[u8]) -> &Heard {
        self.packet(direction, &packet(pdu, true));
        self.last()
    }

    fn job(&mut self, reference: u16, parameter: &str, data: &str) -> &Heard {
        self.pdu(ToServer, &pdu(1, reference, "", parameter, data))
    }

    fn answer(&mut self, reference: u16, parameter: &str, data: &str) -> &Heard {
        self.pdu(ToClient, &pdu(3, reference, "0000", parameter, data))
    }

    /// A request of userdata, and its answer.
    fn userdata(&mut self, group: u8, subfunction: u8, asked: &str, answered: &str) -> &Heard {
        let data = |payload: &str| {
            let payload = bytes(payload);
            let head = if payload.is_empty() { "0a000000".into() } else { format!("ff09{:04x}", payload.len()) };
            head + &crate::testing::hex(&payload)
        };
        let request = format!("000112 04 11 {:02x} {subfunction:02x} 00", 0x40 | group);
        let response = format!("000112 08 12 {:02x} {subfunction:02x} 01 00 00 0000", 0x80 | group);
        self.pdu(ToServer, &pdu(7, 9, "", &request, &data(asked)));
        self.pdu(ToClient, &pdu(7, 9, "", &response, &data(answered)))
    }

    fn last(&self) -> &Heard {
        self.sink.messages.last().expect("a message")
    }

    fn finish(&mut self) -> &[Heard] {
        self.state.expire(Timestamp::MAX, &mut self.sink);
        &self.sink.transactions
    }
}

/// The fields of a message as `name=values` for those asked for.
fn fields(heard: &Heard, names: &[&str]) -> String {
    names.iter().map(|name| format!("{name}={}", heard.field(name))).collect::<Vec<_>>().join(" ")
}

/// A connection as STEP 7 makes it (nDPI's capture of an S7-300): rack and slot stand in the called selector.
#[test]
fn a_connection_names_rack_and_slot_and_is_paired() {
    let mut session = Session::new();
    let request = session.send(ToServer, "03000016 11 e0 0000 0007 00 c1020100 c2020142 c0010a");
    assert_eq!(
        fields(request, &["tpdu", "connection_type", "rack", "slot", "message_type"]),
        "tpdu=14 connection_type=1 rack=2 slot=2 message_type="
    );
    let confirm = session.send(ToClient, "03000016 11 d0 0007 0003 00 c0010a c1020100 c2020142");
    assert_eq!((confirm.transaction, confirm.pairing), (1, Pairing::Answered(envelope(ToServer, 1_001).timestamp)));
    assert_eq!(
        fields(confirm, &["tpdu", "rack", "slot", "destination_tsap"]),
        "tpdu=13 rack=2 slot=2 destination_tsap=0142"
    );
    assert_eq!(session.send(ToServer, "03000019 02f080 32010000ffff00080000 f000000100010780").transaction, 2);
}

#[test]
fn a_refused_connection_tells_why_and_one_without_an_answer_is_reported() {
    let mut session = Session::new();
    session.send(ToServer, "03000016 11 e0 0000 0007 00 c1020100 c2020102 c0010a");
    let refused = session.send(ToClient, "0300000b 06 80 0007 0000 03");
    assert_eq!(fields(refused, &["tpdu", "disconnect_reason"]), "tpdu=8 disconnect_reason=3");
    assert!(matches!(refused.pairing, Pairing::Answered(_)));
    session.send(ToServer, "03000016 11 e0 0000 0008 00 c1020100 c2020103 c0010a");
    let logged = session.finish();
    assert_eq!(logged.iter().map(|heard| heard.pairing == Pairing::Unanswered).collect::<Vec<_>>(), [false, true]);
    assert_eq!(logged[1].field("slot"), "3");
}

#[test]
fn communication_set_up_bounds_the_length_of_what_follows() {
    let mut session = Session::new();
    session.send(ToServer, "03000019 02f080 32010000020000080000 f0000001000101e0");
    let agreed = session.send(ToClient, "0300001b 02f080 320300000200000800000000 f000000100020020");
    assert_eq!(
        fields(agreed, &["function", "max_calling", "max_called", "pdu_length"]),
        "function=240 max_calling=1 max_called=2 pdu_length=32"
    );
    assert!(session.job(1, "04 01 120a1002000100018400000 0", "").anomalies.is_empty());
    let long = session.job(2, "04 02 120a10020001000184000000 120a10020001000184000008", "");
    assert_eq!(long.anomalies, [crate::Anomaly { kind: EXCEEDS_PDU_LENGTH, offset: 13 }]);
}

/// Each syntax of an address with the words of engineers for it.
#[test]
fn every_syntax_of_an_address_is_read() {
    for (item, target) in [
        ("120a10 01 0001 0005 84 000053", "DB5.DBX10.3"),
        ("120a10 02 0001 0005 84 000050", "DB5.DBB10"),
        ("120a10 05 0001 0005 85 000050", "DI5.DIW10"),
        ("120a10 08 0001 0005 84 000050", "DB5.DBD10"),
        ("120a10 02 0040 0001 84 000000", "P#DB1.DBX0.0 BYTE 64"),
        ("120a10 0f 0001 0001 84 000000", "P#DB1.DBX0.0 DATE_AND_TIME 1"),
        ("120a10 01 0001 0000 83 000053", "M10.3"),
        ("120a10 04 0001 0000 83 000020", "MW4"),
        ("120a10 02 0001 0000 81 000000", "IB0"),
        ("120a10 06 0001 0000 82 000020", "QD4"),
        ("120a10 04 0001 0000 80 000800", "PW256"),
        ("120a10 02 0001 0000 86 000008", "LB1"),
        ("120a10 1d 0001 0000 1d 000005", "T5"),
        ("120a10 1c 0008 0000 1c 000000", "C0-7"),
        ("120a10 04 0001 0000 06 000010", "AIW2"),
        ("120a10 02 0001 0000 42 000010", "area 66 0 2.0"),
        ("1207b0 01 05 0002 0064", "P#DB2.DBX100.0 BYTE 5"),
        ("120eb2 ff 8a0e 0007 11223344 8000000a", "DB7.10"),
        ("1212b2 ff 0000 0052 11223344 80000009 20000003", "M.9.3"),
        ("120882 41 0042 0001 1f 01", "NCK C1 module 31 column 66 line 1"),
        ("120aa2 04 0001 0003 0fa0 0002", "drive 3 p4000[2]"),
        ("12061300 0000002a", "R_ID 0000002A"),
        ("12081602 60000001 0100", "alarm 60000001"),
        ("1203ff 0102", "unknown"),
    ] {
        let mut session = Session::new();
        let heard = session.job(1, &format!("04 01 {item}"), "");
        assert_eq!(heard.operation, format!("read: {target}"));
        assert_eq!(heard.kinds(), Vec::<&str>::new(), "{item}");
    }
}

#[test]
fn odd_items_are_filled_up_to_even_places() {
    let mut session = Session::new();
    let heard = session.job(1, "04 02 1207b0 01 05 0002 0064 00 120a10 02 0001 0001 84 000000", "");
    assert_eq!(heard.operation, "read: P#DB2.DBX100.0 BYTE 5, DB1.DBB0");
    assert_eq!(fields(heard, &["syntax", "db", "address", "area"]), "syntax=176 16 db=2 1 address=0 area=132");
}

#[test]
fn a_write_tells_its_values_and_so_does_its_answer() {
    let mut session = Session::new();
    let parameter = "05 05 120a10 01 0001 0001 84 000003 120a10 02 0001 0001 84 000008 120a10 05 0001 0001 84 000010
        120a10 08 0001 0001 84 000020 120a10 04 0002 0001 84 000040";
    let data = "00 03 0001 01 00  00 04 0008 7f 00  00 05 0010 ff9c  00 07 0004 3fc00000  00 04 0020 0001 0002";
    let heard = session.job(7, parameter, data);
    let operation = "write: DB1.DBX0.3 = 1, DB1.DBB1 = 127, DB1.DBW2 = -100, DB1.DBD4 = 1.5, P#DB1.DBX8.0 WORD 2";
    assert_eq!((heard.operation.as_str(), heard.kinds()), (operation, vec![]));
    assert_eq!(heard.field("value"), "1 127 -100 1.5 1 2");
    let answer = session.answer(7, "05 05", "ff ff 05 ff 0a");
    assert_eq!((answer.operation.as_str(), answer.kinds()), (operation, vec![]));
    assert_eq!(answer.field("return_code"), "255 255 5 255 10");
}

/// snap7's server gives failed items a length, but no data.
#[test]
fn a_read_gives_the_values_by_the_types_of_its_request() {
    let mut session = Session::new();
    session.job(
        1,
        "04 03 120a10 01 0001 0000 81 000003 120a10 05 0001 0001 84 000000 120a10 08 0001 0001 84 000010",
        "",
    );
    let answer = session.answer(1, "04 03", "ff 03 0001 01 00  0a 00 0004  ff 07 0004 c2c80000");
    assert_eq!((answer.field("value").as_str(), answer.field("return_code").as_str()), ("1 -100", "255 10 255"));
    assert_eq!(answer.operation, "read: I0.3, DB1.DBW0, DB1.DBD2");
    assert_eq!(answer.kinds(), Vec::<&str>::new());
    insta::assert_snapshot!(session.finish()[0].json);
}

/// STEP 7 loads DB 1 into an S7-300: the controller asks for the parts.
#[test]
fn a_download_is_asked_for_by_the_controller_and_names_its_block() {
    let mut session = Session::new();
    let asked = session.send(
        ToServer,
        "03000031 02f080 320100000e0000200000 1a00010000000000 095f30413030303031500d31303030353030303030343030",
    );
    assert_eq!(
        fields(asked, &["block_type", "block_number", "file_system", "load_length"]),
        "block_type=10 block_number=1 file_system=80 load_length=500"
    );
    session.send(ToClient, "03000014 02f080 320300000e00000100000000 1a");
    let part = session.send(ToClient, "03000023 02f080 32010000010000120000 1b00000000000000 095f3041303030303150");
    assert_eq!((part.operation.as_str(), part.direction), ("program: DB 1", ToClient));
    let data = session.send(ToServer, "0300001a 02f080 320300000100000200050000 1b01 0001 00fb 70");
    assert_eq!(fields(data, &["more_follows", "block_data"]), "more_follows=true block_data=70");
    assert!(matches!(data.pairing, Pairing::Answered(_)) && data.anomalies.is_empty());
    let insert = session.send(
        ToServer,
        "0300002b 02f080 320100000f00001a0000 28000000000000fd 000a 0100 3041303030303150 055f494e5345",
    );
    assert_eq!((insert.operation.as_str(), insert.field("pi_service").as_str()), ("program: DB 1", "5f494e5345"));
    let logged = session.finish();
    assert_eq!(logged.len(), 3);
    assert!(logged.iter().all(|heard| heard.operation == "program: DB 1"));
}

/// snap7 reads SDB 0 of an S7-300: only the first message names the block.
#[test]
fn an_upload_is_followed_by_its_number() {
    let mut session = Session::new();
    session.send(ToServer, "03000023 02f080 32010000080000120000 1d00000000000000 095f3042303030303041");
    let begun = session.send(ToClient, "03000023 02f080 320300000800001000000000 1d00010000000007 0730303030323136");
    assert_eq!(fields(begun, &["upload_id", "load_length"]), "upload_id=7 load_length=216");
    for (reference, parameter) in [("0900", "1e00000000000007"), ("0a00", "1f00000000000007")] {
        let next = session.send(ToServer, &format!("03000019 02f080 32010000{reference}00080000 {parameter}"));
        assert_eq!((next.operation.as_str(), next.field("block_number").as_str()), ("program: SDB 0", "0"));
        let function = &parameter[..2];
        let answer = session.send(ToClient, &format!("03000014 02f080 32030000{reference}000100000000 {function}"));
        assert_eq!(answer.operation, "program: SDB 0");
    }
    assert_eq!(session.send(ToServer, "03000019 02f080 320100000b0000080000 1e00000000000007").operation, "program");
}

/// From snap7 and STEP 7 with an S7-300; the service of a numeric control after Sinumerik's list of services.
#[test]
fn services_of_the_program_invocation_are_told_apart() {
    for (parameter, operation) in [
        ("29 0000000000 09 505f50524f4752414d", "stop: P_PROGRAM"),
        ("28 000000000000fd 0000 09 505f50524f4752414d", "start: P_PROGRAM"),
        ("28 000000000000fd 0002 4320 09 505f50524f4752414d", "start: P_PROGRAM"),
        ("28 000000000000fd 0002 4550 05 5f4d4f4455", "program: _MODU"),
        ("28 000000000000fd 0000 05 5f47415242", "configure: _GARB"),
        ("28 000000000000fd 0012 0200 3042303230303041 3038303030333541 05 5f44454c45", "program: SDB 2000, OB 35"),
        ("28 000000000000fd 0006 023130 00 0131 09 5f4e5f4c4f47494e5f", "authenticate: _N_LOGIN_"),
        ("28 000000000000fd 0000 09 5f4e5f465f44454c45", "file: _N_F_DELE"),
        ("28 000000000000fd 0000 09 5f4e5f53454c454354", "control: _N_SELECT"),
    ] {
        let mut session = Session::new();
        let heard = session.job(1, parameter, "");
        assert_eq!((heard.operation.as_str(), heard.kinds()), (operation, vec![]));
    }
    let mut session = Session::new();
    let login = session.job(1, "28 000000000000fd 0006 023130 00 0131 09 5f4e5f4c4f47494e5f", "");
    assert_eq!(login.field("pi_argument"), "3130 31");
}

/// Names of groups and subfunctions, what they do, and to what.
#[test]
fn every_function_group_is_mapped() {
    let modify = "0014 0010 00000001000100060001000100010001000100010002 0001 3101 0000 0004 0009 0001 05 00";
    let status = "0014 000e 0000000000010012000100010001000100010000 0002 0106 0000 0000 7201 0003 0008";
    for (group, subfunction, asked, name, operation) in [
        (1, 0x02, status, "variable_status", "read: MB0 x6, DB3.DBW8"),
        (1, 0x08, &modify.replace("00010002 0001", "0001 0001"), "modify_variable", "write: PB4 = 5"),
        (1, 0x0c, "", "memory_reset", "restart"),
        (1, 0x16, "", "flash_led", "discover"),
        (2, 0x01, "0001 01 0a 120a10 02 0002 0001 84 000008", "cyclic_transfer", "read: P#DB1.DBX1.0 BYTE 2"),
        (2, 0x04, "", "unsubscribe", "read"),
        (3, 0x01, "", "list_blocks", "read"),
        (3, 0x02, "3045", "list_blocks_of_type", "read: blocks of type fb"),
        (3, 0x03, "3038 3030303031 41", "get_block_info", "read: OB 1"),
        (4, 0x01, "0424 0000", "read_szl", "read: SZL 0424 index 0000"),
        (4, 0x01, "0111 0001", "read_szl", "discover: SZL 0111 index 0001"),
        (4, 0x02, "0300 5553455231000000", "message_service", "read"),
        (4, 0x0b, "09 01 12081900 60000001 0100", "alarm_acknowledgement", "control: alarm 60000001"),
        (5, 0x01, "213a1b1d6e681b1d", "plc_password", "authenticate"),
        (5, 0x02, "", "clear_password", "authenticate"),
        (7, 0x01, "", "read_clock", "read: clock"),
        (7, 0x02, "00191602082308100002", "set_clock", "configure: clock"),
        (15, 0x01, "", "nc_request_download", "file"),
    ] {
        let mut session = Session::new();
        let answer = session.userdata(group, subfunction, asked, "").clone();
        let request = &session.sink.messages[0];
        let service = request.field("service").parse().unwrap();
        assert_eq!(crate::field::name_of(names::SERVICES, service), Some(name));
        assert_eq!((request.operation.as_str(), request.kinds()), (operation, vec![]), "{name}");
        assert_eq!((answer.operation.as_str(), answer.kinds()), (operation, vec![]), "{name}");
        assert_eq!(
            fields(request, &["userdata_type", "message_type", "request"]),
            "userdata_type=4 message_type=7 request=true"
        );
    }
}

#[test]
fn a_password_is_a_field_but_not_logged() {
    let mut session = Session::new();
    session.userdata(5, 1, "213a1b1d6e681b1d", "");
    assert_eq!(session.sink.messages[0].field("password"), "213a1b1d6e681b1d");
    assert!(!session.finish()[0].json.contains("213a"));
}

/// An S7-300 says what it does unasked: it stopped.
#[test]
fn a_mode_transition_is_told_without_a_subfunction() {
    let mut session = Session::new();
    let heard = session.send(ToClient, "03000019 02f080 32070000000000080000 0100101000000000");
    assert_eq!(
        fields(heard, &["userdata_group", "userdata_subfunction", "mode"]),
        "userdata_group=0 userdata_subfunction= mode=0"
    );
    assert_eq!((heard.operation.as_str(), heard.kinds()), ("read: mode stop", vec![]));
    let event = session.send(
        ToClient,
        "03000031 02f080 32070000000000080018 0001120411040300 ff090014 4304ff8400000000000000009401092153421521",
    );
    assert_eq!(fields(event, &["service", "event", "userdata_type"]), "service=1027 event=17156 userdata_type=0");
    assert_eq!(session.finish().len(), 2);
}

/// An S7-315 identifies its modules (capture of snap7's client).
#[test]
fn the_system_state_list_says_who_the_device_is() {
    let mut session = Session::new();
    let list = "0011 0000 001c 0003
        0001 36455337203331352d32454831342d3041423020 00c0 0003 0001
        0006 36455337203331352d32454831342d3041423020 00c0 0003 0001
        0007 2020202020202020202020202020202020202020 00c0 5603 0207";
    let heard = session.userdata(4, 1, "0011 0000", list);
    assert_eq!(
        heard.facts,
        ["server vendor Siemens", "server model 6ES7 315-2EH14-0AB0", "server hardware 3", "server firmware V3.2.7"]
    );
    assert_eq!(heard.field("firmware"), "56332e322e37");
    assert!(session.sink.messages[0].facts.is_empty());
}

/// A record of the component identification: index, and text in 32 bytes.
fn component(index: u16, text: &[u8]) -> Vec<u8> {
    let mut record = index.to_be_bytes().to_vec();
    record.extend(text);
    record.resize(34, 0);
    record
}

/// Parts of one answer: the first to the request, the next to a request for more.
fn divided(session: &mut Session, parts: [&[u8]; 2]) {
    let response = |more: u8| format!("000112 08 12 84 01 02 d5 {more:02x} 0000");
    let data = |payload: &[u8]| format!("ff09{:04x}{}", payload.len(), crate::testing::hex(payload));
    session.pdu(ToServer, &pdu(7, 2, "", "000112 04 11 44 01 00", "ff090004 001c0000"));
    session.pdu(ToClient, &pdu(7, 2, "", &response(1), &data(parts[0])));
    session.pdu(ToServer, &pdu(7, 3, "", "000112 08 12 44 01 02 00 00 0000", "0a000000"));
    session.pdu(ToClient, &pdu(7, 3, "", &response(0), &data(parts[1])));
}

#[test]
fn an_answer_in_parts_is_joined_before_it_tells_who_the_device_is() {
    let list = [
        bytes("001c 0000 0022 0003"),
        component(1, b"S7300/ET200M station_1"),
        component(5, b"S C-B1U393142011"),
        component(9, &[0x00, 0x2a, 0xf6, 0x00]),
    ]
    .concat();
    let (first, second) = list.split_at(50);
    let mut session = Session::new();
    divided(&mut session, [first, second]);
    assert!(session.sink.messages[..3].iter().all(|heard| heard.facts.is_empty()));
    assert!(session.sink.messages.iter().all(|heard| heard.operation == "discover: SZL 001C index 0000"));
    assert_eq!(
        session.last().facts,
        ["server name S7300/ET200M station_1", "server serial S C-B1U393142011", "server vendor Siemens"]
    );
    assert_eq!(session.state.kept().joined_bytes, 0);
}

#[test]
fn what_is_missing_of_an_answer_makes_nobody_else_of_the_device() {
    let part = [bytes("0011 0000 001c 0001 0001"), vec![b'X'; 26]].concat();
    let mut session = Session::new();
    session.pdu(ToServer, &pdu(7, 3, "", "000112 08 12 44 01 02 00 00 0000", "0a000000"));
    let data = format!("ff09{:04x}{}", part.len(), crate::testing::hex(&part));
    let heard = session.pdu(ToClient, &pdu(7, 3, "", "000112 08 12 84 01 02 d5 00 0000", &data));
    assert_eq!((heard.facts.as_slice(), heard.field("szl_id").as_str()), (&[][..], ""));
}

#[test]
fn answers_in_parts_are_bounded() {
    let mut session = Session::within(&Limits { joined_bytes: 64, ..Limits::DEFAULT });
    divided(&mut session, [&[0; 60], &[0; 60]]);
    assert_eq!(session.sink.bounded, [crate::Bound::JoinedBytes]);
    assert!(session.state.kept().joined_bytes <= 64);
}

/// From STEP 7 and an S7-300.
#[test]
fn what_blocks_there_are_and_what_they_are_is_told() {
    let mut session = Session::new();
    let counts = "30380001 30450000 30430000 3041000a 3042000c 3044000e 3046000f";
    session.userdata(3, 1, "", counts);
    let json = session.sink.transactions[0].json.replace(char::is_whitespace, "");
    assert!(json.contains(r#""block_counts":[{"type":"ob","count":1}"#), "{json}");
    let info = "0100004a220070700101020800010000007e000000000282ce5f2d4c039dcb0c114c001c000800140012
        0000000000000000000000000000000000000000000000000100 01e60000 0000000000000000";
    session.userdata(3, 3, "3038303030303141", &info.replace(char::is_whitespace, ""));
    insta::assert_snapshot!(session.sink.transactions[1].json);
}

#[test]
fn a_clock_that_no_clock_shows_is_an_anomaly() {
    let mut session = Session::new();
    session.userdata(7, 2, "0019 14 08 20 11 59 43 912 4", "");
    let set = &session.sink.messages[0];
    assert_eq!((set.field("clock").as_str(), set.kinds()), ("1408535983912000000", vec![]));
    for impossible in [
        "0019 14 13 20 11 59 43 912 4",
        "0019 14 08 20 11 59 66 912 4",
        "0019 14 08 20 11 59 99 999 4",
        "0019 1f 08 20 11 59 43 912 4",
    ] {
        let mut session = Session::new();
        session.userdata(7, 2, impossible, "");
        assert_eq!(session.sink.messages[0].kinds(), [INVALID_TIME], "{impossible}");
    }
}

#[test]
fn a_message_in_several_tpdus_is_joined() {
    let mut session = Session::new();
    session.send(ToServer, "03000016 11 e0 0000 0007 00 c1020100 c2020102 c0010a");
    let job = pdu(1, 5, "", "04 01 120a1002000100018400000 0", "");
    for (at, part) in job.chunks(7).enumerate() {
        let end = (at + 1) * 7 >= job.len();
        session.packet(ToServer, &packet(part, end));
    }
    assert_eq!((session.sink.messages.len(), session.last().operation.as_str()), (2, "read: DB1.DBB0"));
    assert!(session.sink.anomalies.is_empty());
}

/// STEP 7 acknowledges by data TPDUs without data, and without an end.
#[test]
fn an_empty_tpdu_is_passed_over() {
    let mut session = Session::new();
    session.packet(ToServer, &bytes("03000007 02 f000"));
    assert!(session.sink.messages.is_empty() && session.sink.anomalies.is_empty());
    assert_eq!(session.job(1, "04 01 120a1002000100018400000 0", "").kinds(), Vec::<&str>::new());
}

#[test]
fn the_reference_and_who_asks_pair_and_the_rest_is_reported() {
    let mut session = Session::new();
    session.job(1, "04 01 120a1002000100018400000 0", "");
    session.job(2, "04 01 120a1002000100018400000 8", "");
    let second = session.answer(2, "04 01", "ff 04 0008 01").clone();
    let stray = session.answer(9, "04 01", "ff 04 0008 01").clone();
    let own = session.pdu(ToServer, &pdu(3, 1, "0000", "04 01", "ff 04 0008 01")).clone();
    assert_eq!((second.transaction, second.kinds()), (2, vec![]));
    assert_eq!((stray.transaction, stray.kinds()), (3, vec![UNSOLICITED_RESPONSE]));
    assert_eq!(own.kinds(), [UNSOLICITED_RESPONSE]);
    assert_eq!(session.state.kept().requests, 1);
    let logged = session.finish();
    assert_eq!(logged.iter().map(|heard| heard.transaction).collect::<Vec<_>>(), [2, 3, 4, 1]);
    assert_eq!(logged[3].pairing, Pairing::Unanswered);
}

#[test]
fn the_oldest_request_makes_room_and_is_reported() {
    let mut session = Session::within(&Limits { requests: 2, ..Limits::DEFAULT });
    for reference in 1..=3 {
        session.job(reference, "04 01 120a1002000100018400000 0", "");
    }
    assert_eq!(session.sink.bounded, [crate::Bound::Requests]);
    assert_eq!((session.sink.transactions.len(), session.state.kept().requests), (1, 2));
}

#[test]
fn errors_have_their_names() {
    let mut session = Session::new();
    session.job(1, "1d00000000000000 095f3042303030303041", "");
    let refused = session.pdu(ToClient, &pdu(2, 1, "d241", "", ""));
    assert_eq!(fields(refused, &["message_type", "error", "function"]), "message_type=2 error=53825 function=");
    assert_eq!((refused.operation.as_str(), refused.kinds()), ("program: SDB 0", vec![]));
    assert!(session.finish()[0].json.contains("password_required"));
}

/// Names and offsets of what is wrong with a packet.
fn faults(packet: &[u8]) -> Vec<(&'static str, usize)> {
    let mut session = Session::new();
    session.packet(ToServer, packet);
    let told = session.sink.messages.iter().flat_map(|heard| &heard.anomalies).chain(&session.sink.anomalies);
    told.map(|anomaly| (anomaly.kind, anomaly.offset)).collect()
}

#[test]
fn what_does_not_hold_is_named_with_its_place() {
    let job = |parameter, data| packet(&pdu(1, 1, "", parameter, data), true);
    for (packet, fault) in [
        (bytes("03000008 05 f08032"), (INVALID_TRANSPORT, 4)),
        (bytes("03000008 03 91 0000"), (INVALID_TRANSPORT, 5)),
        (packet(&[0x40; 12], true), (INCOMPLETE, 7)),
        (packet(&bytes("3201000000010002000004"), true), (INVALID_LENGTH, 13)),
        (job("99", ""), (UNKNOWN_FUNCTION, 17)),
        (job("04 02 120a10020001000184000000", ""), (INVALID_ITEM, 31)),
        (job("04 01 130a10020001000184000000", ""), (INVALID_ITEM, 19)),
        (job("04 01 12 20 10020001000184000000", ""), (INVALID_ITEM, 19)),
        (job("05 01 120a10020001000184000000", "00 04 0010 01"), (INVALID_ITEM, 31)),
        (job("f0 00 0001", ""), (INVALID_LENGTH, 17)),
        (job("29 0000000000 20 50", ""), (INVALID_LENGTH, 17)),
        (job("1a00000000000000 03 414243", ""), (INVALID_BLOCK, 25)),
        (packet(&pdu(7, 1, "", "000112", ""), true), (INVALID_USERDATA, 17)),
        (packet(&pdu(7, 1, "", "000112 04 11 44 01 00", "ff090040 0011"), true), (INVALID_USERDATA, 27)),
        (packet(&pdu(7, 1, "", "000112 04 11 4a 01 00", "0a000000"), true), (INVALID_USERDATA, 22)),
    ] {
        assert_eq!(faults(&packet), [fault], "{}", crate::testing::hex(&packet));
    }
    let mut session = Session::new();
    session.job(1, "04 01 120a1002000100018400000 0", "");
    assert_eq!(session.answer(1, "05 01", "ff").kinds(), [FUNCTION_MISMATCH]);
    session.job(1, "04 01 120a1002000100018400000 0", "");
    assert_eq!(session.answer(1, "04 02", "ff 04 0008 01 00 ff 04 0008 01").kinds(), [ITEM_MISMATCH]);
    assert_eq!(session.pdu(ToServer, &pdu(9, 1, "", "04", "")).kinds(), [UNKNOWN_MESSAGE_TYPE]);
    session.packet(ToServer, &packet(b"MMS", true));
    assert_eq!(session.sink.anomalies.last().map(|anomaly| anomaly.kind), Some(UNKNOWN_PROTOCOL));
}

/// The beginning of a session of the TIA Portal with an S7-1200 and a request for its identification.
#[test]
fn plus_is_told_apart_and_says_who_the_device_is() {
    let mut session = Session::new();
    let tsap = "53494d415449432d524f4f542d4553";
    let connect = session.send(ToServer, &format!("03000023 1e e0 0000 0011 00 c1020600 c20f{tsap} c0010a"));
    assert_eq!((connect.field("destination_tsap").as_str(), connect.field("slot").as_str()), (tsap, ""));
    session.send(
        ToServer,
        "03000028 02f080 72010019 31 0000 04ca 0000 0001 00000120 36 0000011d 0004000000000 0a1 00 72010000",
    );
    let device = "313b36455337203231342d31484533302d30584230203b56322e32";
    let created = session.send(
        ToClient,
        &format!("0300003b 02f080 7201002c 32 0000 04ca 0000 0001 36 11 00 823f0015 1b {device} 72010000"),
    );
    assert_eq!(created.protocol.name, "s7comm_plus");
    assert_eq!(
        fields(created, &["version", "opcode", "function", "sequence", "session", "object", "integrity"]),
        "version=1 opcode=50 function=1226 sequence=1 session=288 object=285 integrity=false"
    );
    assert_eq!(created.operation, "authenticate: object 285");
    assert_eq!(created.facts, ["server vendor Siemens", "server model 6ES7 214-1HE30-0XB0", "server firmware V2.2"]);
    assert_eq!((created.kinds(), created.transaction), (vec![], 2));
    session.send(
        ToServer,
        "03000043 02f080 72020034 31 0000 0586 0000 0004 000003c0 34 0000003120 04019d29000004e88969001200000000896a001300896b0004000000010000000072020000",
    );
    let identified = session.send(
        ToClient,
        "0300005f 02f080 72020050 32 0000 0586 0000 0004 34 000000 14003c00 2000380100002a36455337203231342d31484533302d3058423020535a56424459585830313736383520200002560202000000000000010101001e0000000072020000",
    );
    assert_eq!(
        identified.facts,
        [
            "server vendor Siemens",
            "server model 6ES7 214-1HE30-0XB0",
            "server serial SZVBDYXX017685",
            "server hardware 2",
            "server firmware V2.2.0"
        ]
    );
}

/// Set variable of the object 52 (the execution unit), as the TIA Portal does it with an S7-1500, digest left out.
#[test]
fn plus_stops_and_starts_and_its_own_settings_are_no_writes() {
    for (object, value, operation) in [
        ("00000034", "0008 01", "stop: object 52 attribute 2167 = 1"),
        ("00000034", "0008 03", "start: object 52 attribute 2167 = 3"),
        ("00000034", "0008 05", "write: object 52 attribute 2167 = 5"),
        ("70000e51", "0007 00dd", ""),
    ] {
        let mut session = Session::new();
        let content = bytes(&format!("31 0000 04f2 0000 0009 00000e4d 34 {object} 01 9077 {value} 00000000"));
        let mut plus = vec![0x72, 2, 0, content.len() as u8];
        plus.extend(content);
        plus.extend([0x72, 2, 0, 0]);
        let heard = session.pdu(ToServer, &plus);
        assert_eq!((heard.operation.as_str(), heard.kinds()), (operation, vec![]));
    }
}

/// A notification with a digest (capture of an S7-1500), a request that wants no answer, parts, a keep-alive, TLS.
#[test]
fn the_rest_of_plus_is_recorded_by_its_header() {
    let mut session = Session::new();
    let digest = "20".to_owned() + &"ab".repeat(32);
    let notification = format!("72030032 {digest} 33 70000e51 0400000000 00df8ec15e0192 72030000");
    let heard = session.pdu(ToClient, &bytes(&notification));
    assert_eq!(
        fields(heard, &["version", "opcode", "subscription", "integrity", "more_follows"]),
        "version=3 opcode=51 subscription=1879051857 integrity=true more_follows=false"
    );
    let silent = session.pdu(ToServer, &bytes("7202000e 31 0000 04f2 0000 0009 00000e4d 74 72020000"));
    assert_eq!((silent.field("function").as_str(), silent.kinds()), ("1266", vec![]));
    let first = session.pdu(ToClient, &bytes("72020005 33 70000e51"));
    assert_eq!(first.field("more_follows"), "true");
    let rest = session.pdu(ToClient, &bytes("72020003 310000 72020000"));
    assert_eq!(fields(rest, &["opcode", "more_follows"]), "opcode= more_follows=false");
    assert_eq!(fields(session.pdu(ToClient, &bytes("72ff0002 0001")), &["version", "opcode"]), "version=255 opcode=");
    assert_eq!(session.pdu(ToServer, &bytes("1703030003 010203")).field("encrypted"), "true");
    assert_eq!(session.pdu(ToServer, &bytes("72020040 31")).kinds(), [INVALID_LENGTH]);
    assert_eq!(session.finish().len(), 7);
}

fn conversation(port: u16) -> Conversation {
    let opening = Opening { client_port: 50_000, server_port: port, medium: Medium::Stream, roles_known: true };
    Conversation::new(opening, crate::registry::PROTOCOLS, &Limits::DEFAULT)
}

/// Connection, set-up, read and answer.
fn stream() -> Vec<(Direction, Vec<u8>)> {
    vec![
        (ToServer, bytes("03000016 11 e0 0000 0007 00 c1020100 c2020102 c0010a")),
        (ToClient, bytes("03000016 11 d0 0007 0003 00 c0010a c1020100 c2020102")),
        (ToServer, bytes("03000019 02f080 32010000020000080000 f0000001000101e0")),
        (ToClient, bytes("0300001b 02f080 320300000200000800000000 f0000001000100f0")),
        (ToServer, packet(&pdu(1, 3, "", "04 01 120a1002000100018400000 0", ""), true)),
        (ToClient, packet(&pdu(3, 3, "0000", "04 01", "ff 04 0008 2a"), true)),
    ]
}

#[test]
fn it_is_found_on_any_port_and_cut_at_every_byte() {
    for cut in 1..24 {
        let (mut conversation, mut sink) = (conversation(4712), Collected::default());
        for (at, (direction, packet)) in stream().into_iter().enumerate() {
            for part in packet.chunks(cut) {
                conversation.data(&envelope(direction, at as u64), part, &mut sink);
            }
        }
        assert_eq!(conversation.protocol().map(|protocol| protocol.name), Some("s7comm"), "cut at {cut}");
        assert_eq!((sink.messages.len(), sink.transactions.len()), (6, 3));
        assert_eq!(sink.messages[5].field("value"), "42");
        assert!(sink.anomalies.is_empty());
    }
}

#[test]
fn a_flow_met_in_its_middle_goes_on_after_a_gap() {
    let (mut conversation, mut sink) = (conversation(102), Collected::default());
    let read = packet(&pdu(1, 3, "", "04 01 120a1002000100018400000 0", ""), true);
    conversation.data(&envelope(ToServer, 1), &read, &mut sink);
    conversation.data(&envelope(ToServer, 2), &read[..9], &mut sink);
    conversation.gap(ToServer, 1);
    conversation.data(&envelope(ToServer, 3), &[&[0x84, 0, 0, 0], &read[..]].concat(), &mut sink);
    assert_eq!(sink.messages.iter().map(|heard| heard.operation.as_str()).collect::<Vec<_>>(), ["read: DB1.DBB0"; 2]);
    assert_eq!(sink.anomalies, [crate::Anomaly { kind: crate::conversation::RESYNCHRONISED, offset: 13 }]);
}

/// Met in its middle on a port that says nothing: an answer comes from the server, and a controller asks for downloads.
#[test]
fn who_asks_is_the_client_whoever_spoke_first() {
    let ask = packet(&pdu(1, 3, "", "04 01 120a1002000100018400000 0", ""), true);
    let answer = packet(&pdu(3, 3, "0000", "04 01", "ff 04 0008 2a"), true);
    let part = packet(&pdu(1, 3, "", "1b00000000000000 095f3041303030303150", ""), true);
    let list = packet(&pdu(7, 2, "", "000112 04 11 44 01 00", "ff090004 001c0000"), true);
    let plus = packet(&bytes("7202000e 31 0000 04f2 0000 0009 00000e4d 74 72020000"), true);
    for (first, turned) in [(ask, false), (answer, true), (part, true), (list, false), (plus, false)] {
        let opening = Opening { client_port: 50_000, server_port: 4712, medium: Medium::Stream, roles_known: false };
        let mut conversation = Conversation::new(opening, crate::registry::PROTOCOLS, &Limits::DEFAULT);
        conversation.data(&envelope(ToServer, 1), &first, &mut Collected::default());
        assert_eq!(conversation.take_reversed(), turned, "{}", crate::testing::hex(&first));
    }
}

#[test]
fn other_protocols_of_the_same_transport_are_not_taken_for_it() {
    let connect = bytes("03000016 11 e0 0000 0007 00 c1020100 c2020102 c0010a");
    assert_eq!((PROTOCOL.probe)(&connect, ToServer), Probe::Shared);
    let simatic = bytes("03000023 1e e0 0000 0011 00 c1020600 c20f53494d415449432d524f4f542d4553 c0010a");
    assert_eq!((PROTOCOL.probe)(&simatic, ToServer), Probe::Certain);
    // The session layer's connect, that MMS begins with; its data; TLS in the transport.
    for user_data in ["0dad0506130100160102", "01000100 6164", "1603030001 00"] {
        let packet = packet(&bytes(user_data), true);
        assert!((PROTOCOL.probe)(&packet, ToServer) <= Probe::Shared);
    }
    let read = packet(&pdu(1, 3, "", "04 01 120a1002000100018400000 0", ""), true);
    assert_eq!((PROTOCOL.probe)(&read, ToServer), Probe::Certain);
    assert_eq!(
        (PROTOCOL.probe)(&packet(&bytes("7202000e 31 0000 04f2 0000 0009 00000e4d 74 72020000"), true), ToServer),
        Probe::Certain
    );
}
