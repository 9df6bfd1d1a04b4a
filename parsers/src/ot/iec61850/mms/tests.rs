//! MMS from the packets of a stream to what rules and logs see. Messages are laid out by hand after the syntax of ISO 9506-2
//! and of IEC 61850-8-1, those of the layers below after theirs.

mod properties;

use super::*;
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{ToClient, ToServer};
use crate::dissector::{Dissector, Frame, Pairing};
use crate::limits::Limits;
use crate::testing::{Collected, Heard, bytes, envelope, hex};
use crate::time::Timestamp;

/// An element of the basic encoding rules.
fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    match contents.len() {
        length @ 0..=127 => [&[tag, length as u8], contents].concat(),
        length => [&[tag, 0x82, (length >> 8) as u8, length as u8], contents].concat(),
    }
}

/// An element of which the tag takes two octets or one.
fn service(number: u8, constructed: bool, contents: &[u8]) -> Vec<u8> {
    let form = if constructed { 0xa0 } else { 0x80 };
    match number {
        0..=30 => tlv(form | number, contents),
        _ => [&[form | 0x1f][..], &tlv(number, contents)].concat(),
    }
}

fn text(value: &str) -> Vec<u8> {
    tlv(0x1a, value.as_bytes())
}

/// The name of an object of a domain, `domain/item`, or of the device.
fn object(reference: &str) -> Vec<u8> {
    match reference.split_once('/') {
        Some((domain, item)) => tlv(0xa1, &[text(domain), text(item)].concat()),
        None => tlv(0x80, reference.as_bytes()),
    }
}

/// A list of variables with these names.
fn variables(references: &[&str]) -> Vec<u8> {
    let member = |reference: &&str| tlv(0x30, &tlv(0xa0, &object(reference)));
    tlv(0xa0, &references.iter().flat_map(member).collect::<Vec<_>>())
}

fn request(id: u8, service: &[u8]) -> Vec<u8> {
    tlv(0xa0, &[&tlv(2, &[id]), service].concat())
}

fn response(id: u8, service: &[u8]) -> Vec<u8> {
    tlv(0xa1, &[&tlv(2, &[id]), service].concat())
}

fn read(references: &[&str]) -> Vec<u8> {
    service(4, true, &tlv(0xa1, &variables(references)))
}

/// The results of a read.
fn results(values: &[Vec<u8>]) -> Vec<u8> {
    service(4, true, &tlv(0xa1, &values.concat()))
}

fn write(references: &[&str], values: &[Vec<u8>]) -> Vec<u8> {
    service(5, true, &[variables(references), tlv(0xa0, &values.concat())].concat())
}

/// An information report of variables.
fn reported(access: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    tlv(0xa3, &tlv(0xa0, &[access, &tlv(0xa0, &values.concat())].concat()))
}

/// A report of IEC 61850.
fn report(values: &[Vec<u8>]) -> Vec<u8> {
    reported(&tlv(0xa1, &object("RPT")), values)
}

fn boolean(value: bool) -> Vec<u8> {
    tlv(0x83, &[value.into()])
}

fn integer(value: u8) -> Vec<u8> {
    tlv(0x85, &[value])
}

fn unsigned(value: u8) -> Vec<u8> {
    tlv(0x86, &[value])
}

fn visible(value: &str) -> Vec<u8> {
    tlv(0x8a, value.as_bytes())
}

const UTC: [u8; 8] = [0x65, 0x53, 0xf1, 0x00, 0x80, 0, 0, 0x0a];

/// What is written to `Oper`: value, originator, number, time, test, checks.
fn command(value: &[u8], test: bool) -> Vec<u8> {
    let originator = tlv(0xa2, &[integer(2), tlv(0x89, b"HMI-1")].concat());
    let time = tlv(0x91, &UTC);
    tlv(0xa2, &[value, &originator, &unsigned(7), &time, &boolean(test), &tlv(0x84, &[6, 0xc0])].concat())
}

fn presented(context: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x61, &tlv(0x30, &[tlv(2, &[context]), tlv(0xa0, value)].concat()))
}

/// A data unit of the session layer around a PDU.
fn data(pdu: &[u8]) -> Vec<u8> {
    [&[1, 0, 1, 0], &presented(3, pdu)[..]].concat()
}

/// A session PDU with user data.
fn session(identifier: u8, user_data: &[u8]) -> Vec<u8> {
    let parameters = [&[5, 6, 0x13, 1, 0, 0x16, 1, 2], &long(0xc1, user_data)[..]].concat();
    long(identifier, &parameters)
}

fn long(code: u8, contents: &[u8]) -> Vec<u8> {
    [&[code, 0xff, (contents.len() >> 8) as u8, contents.len() as u8], contents].concat()
}

/// A data TPDU in its packet.
fn tpdu(end: bool, user_data: &[u8]) -> Vec<u8> {
    let length = user_data.len() as u16 + 7;
    let header = [&[3, 0][..], &length.to_be_bytes(), &[2, 0xf0, u8::from(end) << 7]].concat();
    [header, user_data.to_vec()].concat()
}

/// A packet with a PDU.
fn packet(pdu: &[u8]) -> Vec<u8> {
    tpdu(true, &data(pdu))
}

/// A request for an association, with a password where there is one.
fn associate(password: Option<&str>) -> Vec<u8> {
    let detail = tlv(0xa4, &bytes("80 01 01 81 03 05 F1 00 82 0C 03 EE 1C 00 00 04 08 00 00 79 EF 18"));
    let initiate = tlv(0xa8, &[bytes("80 03 00 FD E8 81 01 05 82 01 05 83 01 0A"), detail].concat());
    let proof = password.map(|password| tlv(0xac, &tlv(0x80, password.as_bytes()))).unwrap_or_default();
    let aarq = tlv(
        0x60,
        &[
            bytes("A1 07 06 05 28 CA 22 02 03  A2 07 06 05 29 01 87 67 01  A3 03 02 01 0C  A6 06 06 04 29 01 87 67"),
            proof,
            tlv(0xbe, &tlv(0x28, &[bytes("06 02 51 01 02 01 03"), tlv(0xa0, &initiate)].concat())),
        ]
        .concat(),
    );
    let normal = tlv(0xa2, &[bytes("81 04 00000001 82 04 00000001"), presented(1, &aarq)].concat());
    tpdu(true, &session(13, &tlv(0x31, &[bytes("A0 03 80 01 01"), normal].concat())))
}

/// The answer that accepts it.
fn accept() -> Vec<u8> {
    let initiate = tlv(
        0xa9,
        &bytes(
            "80 02 7D 00 81 01 05 82 01 05 83 01 08 A4 16 80 01 01 81 03 05 F1 00 82 0C 03 EE 1C 00 00 00 00 00 00 40 EF 18",
        ),
    );
    let aare = tlv(
        0x61,
        &[
            bytes("A1 07 06 05 28 CA 22 02 03  A2 03 02 01 00  A3 05 A1 03 02 01 00"),
            tlv(0xbe, &tlv(0x28, &[bytes("06 02 51 01 02 01 03"), tlv(0xa0, &initiate)].concat())),
        ]
        .concat(),
    );
    let normal = tlv(0xa2, &[bytes("83 04 00000001"), presented(1, &aare)].concat());
    tpdu(true, &session(14, &tlv(0x31, &[bytes("A0 03 80 01 01"), normal].concat())))
}

/// A connection request.
const CONNECTION: &str = "03000016 11 e0 0000 0001 00 c0010d c2020001 c1020001";

/// One flow and what is heard of it.
struct Session {
    state: state::State,
    sink: Collected,
    now: u64,
}

impl Session {
    fn new() -> Self {
        Self { state: state::State::new(&Limits::DEFAULT), sink: Collected::default(), now: 1_000 }
    }

    fn send(&mut self, direction: Direction, packet: &[u8]) -> &mut Self {
        self.now += 1;
        assert_eq!((PROTOCOL.frame)(packet, direction), Frame::Whole(packet.len()));
        self.state.parse(&envelope(direction, self.now), packet, &mut self.sink);
        self
    }

    fn ask(&mut self, id: u8, service: &[u8]) -> &mut Self {
        self.send(ToServer, &packet(&request(id, service)))
    }

    fn answer(&mut self, id: u8, service: &[u8]) -> &mut Self {
        self.send(ToClient, &packet(&response(id, service)))
    }

    fn last(&self) -> &Heard {
        self.sink.messages.last().expect("a message")
    }

    fn logged(&self) -> &Heard {
        self.sink.transactions.last().expect("a transaction")
    }

    fn finish(&mut self) -> &mut Self {
        self.state.expire(Timestamp::MAX, &mut self.sink);
        self
    }
}

#[test]
fn every_service_has_a_number_and_a_name_of_its_own() {
    assert!(service::SERVICES.is_sorted_by(|one, other| one.0 < other.0));
    let names: std::collections::BTreeSet<_> = service::SERVICES.iter().map(|row| row.1).collect();
    assert_eq!(names.len(), service::SERVICES.len());
    for (number, name) in service::SERVICES {
        let mut session = Session::new();
        session.ask(1, &service(*number as u8, true, &[])).answer(1, &service(*number as u8, true, &[]));
        let [asked, answered] = &session.sink.messages[..] else { panic!("{name}") };
        assert_eq!(
            (asked.field("confirmed_request"), answered.field("confirmed_response")),
            (number.to_string(), number.to_string())
        );
        assert_eq!(
            (asked.field("confirmed_response"), answered.field("confirmed_request")),
            (String::new(), String::new())
        );
        assert!(session.logged().json.contains(&format!("\"service\": \"{name}\"")));
    }
}

#[test]
fn an_association_is_asked_for_and_accepted_in_one_transaction() {
    let mut session = Session::new();
    session.send(ToServer, &associate(None)).send(ToClient, &accept());
    let [asked, answered] = &session.sink.messages[..] else { panic!() };
    assert_eq!(
        (asked.field("session"), asked.field("association"), asked.field("pdu")),
        ("13".into(), "0".into(), "8".into())
    );
    assert_eq!((answered.field("association_result"), answered.field("pdu")), ("0".into(), "9".into()));
    assert_eq!((asked.operation.as_str(), asked.transaction), ("", answered.transaction));
    assert_eq!(session.sink.transactions.len(), 1);
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
    insta::assert_snapshot!(session.logged().json);
}

#[test]
fn a_password_authenticates_and_is_not_logged() {
    let mut session = Session::new();
    session.send(ToServer, &associate(Some("secret"))).send(ToClient, &accept());
    assert_eq!(session.sink.messages[0].operation, "authenticate");
    assert_eq!(session.sink.messages[0].field("authentication"), hex(b"secret"));
    assert!(!session.logged().json.contains("secret"));
}

#[test]
fn a_refused_association_answers_its_request() {
    let mut session = Session::new();
    session.send(ToServer, &associate(None)).send(ToClient, &tpdu(true, &[12, 3, 50, 1, 2]));
    assert_eq!(session.logged().field("session"), "12");
    assert_eq!(session.logged().pairing, Pairing::Answered(envelope(ToServer, 1_001).timestamp));
}

#[test]
fn a_release_and_an_abort_are_told() {
    let mut session = Session::new();
    session
        .send(ToServer, &tpdu(true, &session_of(9, &[0x62, 3, 0x80, 1, 0])))
        .send(ToClient, &tpdu(true, &session_of(10, &[0x63, 3, 0x80, 1, 0])))
        .send(ToClient, &tpdu(true, &[25, 3, 17, 1, 3]));
    let told: Vec<_> =
        session.sink.transactions.iter().map(|heard| (heard.field("session"), heard.field("association"))).collect();
    assert_eq!(told, [("10".into(), "3".into()), ("25".into(), String::new())]);
}

/// A session PDU with an APDU of association control.
fn session_of(identifier: u8, apdu: &[u8]) -> Vec<u8> {
    session(identifier, &presented(1, apdu))
}

#[test]
fn values_are_read_with_the_names_asked_for() {
    let mut session = Session::new();
    let structure = tlv(0xa2, &[tlv(0x87, &bytes("08 42 28 00 00")), tlv(0x84, &[3, 0x40, 0])].concat());
    session
        .ask(1, &read(&["IED1LD0/MMXU1$MX$TotW", "IED1LD0/LLN0$ST$Mod$stVal", "name"]))
        .answer(1, &results(&[structure, integer(1), tlv(0x80, &[10])]));
    let [asked, answered] = &session.sink.messages[..] else { panic!() };
    assert_eq!(asked.operation, "read: IED1LD0/MMXU1$MX$TotW, IED1LD0/LLN0$ST$Mod$stVal, name");
    assert_eq!(asked.operation, answered.operation);
    assert_eq!((answered.field("value"), answered.field("access_error")), ("42 1".into(), "10".into()));
    assert_eq!(answered.field("domain"), [hex(b"IED1LD0"), hex(b"IED1LD0")].join(" "));
    assert_eq!(answered.field("constraint"), [hex(b"MX"), hex(b"ST")].join(" "));
    insta::assert_snapshot!(answered.json);
}

#[test]
fn an_operated_switch_is_commanded_with_its_value() {
    let mut session = Session::new();
    let oper = "IED1LD0/XCBR1$CO$Pos$Oper";
    session.ask(3, &write(&[oper], &[command(&boolean(true), false)])).answer(3, &service(5, true, &[0x81, 0]));
    let asked = &session.sink.messages[0];
    assert_eq!(asked.operation, format!("control: {oper} = true"));
    assert_eq!((asked.field("control"), asked.field("originator")), ("3".into(), hex(b"HMI-1")));
    assert_eq!((asked.field("originator_category"), asked.field("control_number")), ("2".into(), "7".into()));
    assert_eq!(asked.field("test"), "false");
    assert_eq!(session.logged().operation, asked.operation);
    insta::assert_snapshot!(session.logged().json);
}

#[test]
fn selections_and_cancellations_are_commands_too() {
    let analogue = tlv(0xa2, &tlv(0x87, &bytes("08 42 28 00 00")));
    let cases = [
        (read(&["LD/XCBR1$CO$Pos$SBO"]), "1", "control: LD/XCBR1$CO$Pos$SBO"),
        (
            write(&["LD/ATCC1$CO$TapPos$SBOw"], &[command(&analogue, true)]),
            "2",
            "control: LD/ATCC1$CO$TapPos$SBOw = 42",
        ),
        (
            write(&["LD/XCBR1$CO$Pos$Cancel"], &[command(&boolean(false), false)]),
            "4",
            "control: LD/XCBR1$CO$Pos$Cancel = false",
        ),
        (write(&["LD/XCBR1$CO$Pos$Oper$ctlVal"], &[boolean(true)]), "3", "control: LD/XCBR1$CO$Pos$Oper$ctlVal = true"),
        (read(&["LD/XCBR1$ST$Pos"]), "", "read: LD/XCBR1$ST$Pos"),
    ];
    for (service, control, operation) in cases {
        let mut session = Session::new();
        session.ask(1, &service);
        assert_eq!((session.last().field("control").as_str(), session.last().operation.as_str()), (control, operation));
    }
}

#[test]
fn writing_is_told_by_what_is_written() {
    let cases = [
        ("LD/LLN0$SP$SGCB$ActSG", "configure: LD/LLN0$SP$SGCB$ActSG = 2"),
        ("LD/PTOC1$SE$StrVal", "configure: LD/PTOC1$SE$StrVal = 2"),
        ("LD/LLN0$GO$gcb01$GoEna", "configure: LD/LLN0$GO$gcb01$GoEna = 2"),
        ("LD/LLN0$BR$brcb01$RptEna", "configure: LD/LLN0$BR$brcb01$RptEna = 2"),
        ("LD/MMXU1$SV$TotW$subVal", "write: LD/MMXU1$SV$TotW$subVal = 2"),
        ("LD/Tank.Level", "write: LD/Tank.Level = 2"),
        ("Tank", "write: Tank = 2"),
    ];
    for (variable, operation) in cases {
        let mut session = Session::new();
        session.ask(1, &write(&[variable], &[integer(2)]));
        assert_eq!(session.last().operation, operation);
    }
    let mut session = Session::new();
    let two = write(
        &["LD/Tank", "LD/XCBR1$CO$Pos$Oper"],
        &[tlv(0xa2, &[integer(1), integer(2)].concat()), command(&boolean(true), false)],
    );
    session.ask(1, &two);
    assert_eq!(session.last().operation, "control: LD/Tank[1] = 1, LD/Tank[2] = 2, LD/XCBR1$CO$Pos$Oper = true");
}

#[test]
fn parts_of_variables_and_addresses_are_named() {
    let part = |access: &[u8]| {
        let member = tlv(0x30, &[tlv(0xa0, &object("LD/Curve")), tlv(0xa5, access)].concat());
        service(4, true, &tlv(0xa1, &tlv(0xa0, &member)))
    };
    let address = |address: &[u8]| service(4, true, &tlv(0xa1, &tlv(0xa0, &tlv(0x30, &tlv(0xa1, address)))));
    let cases = [
        (part(&[0x82, 1, 3]), "read: LD/Curve[3]"),
        (part(&tlv(0xa3, &[0x80, 1, 2, 0x81, 1, 4])), "read: LD/Curve[2..5]"),
        (part(&tlv(0xa0, &[tlv(0x81, b"points"), tlv(0x30, &[0x82, 1, 3])].concat())), "read: LD/Curve.points[3]"),
        (address(&[0x80, 2, 4, 0]), "read: address 1024"),
        (address(&tlv(0x81, b"MW100")), "read: MW100"),
        (address(&tlv(0x82, &[0xab, 1])), "read: address 0xab01"),
    ];
    for (service, operation) in cases {
        let mut session = Session::new();
        session.ask(1, &service);
        assert_eq!(session.last().operation, operation);
    }
}

/// Values of a report with every optional field.
fn full_report() -> Vec<Vec<u8>> {
    vec![
        visible("LD/LLN0$BR$brcb01"),
        tlv(0x84, &[6, 0x7f, 0xc0]),
        unsigned(12),
        tlv(0x8c, &bytes("01000000 3A00")),
        visible("LD/LLN0$events"),
        boolean(false),
        tlv(0x89, &[0, 0, 0, 9]),
        unsigned(1),
        unsigned(0),
        boolean(false),
        tlv(0x84, &[5, 0xa0]),
        visible("LD/XCBR1$ST$Pos"),
        visible("LD/MMXU1$MX$TotW"),
        tlv(0xa2, &[tlv(0x84, &[6, 0x80]), tlv(0x91, &UTC)].concat()),
        tlv(0x87, &bytes("08 42 28 00 00")),
        tlv(0x84, &[2, 0x40]),
        tlv(0x84, &[2, 0x0c]),
    ]
}

#[test]
fn a_report_gives_its_entries_and_why() {
    let mut session = Session::new();
    session.send(ToClient, &packet(&report(&full_report())));
    let heard = session.last();
    assert_eq!((heard.field("unconfirmed_service"), heard.kinds()), ("0".into(), vec![]));
    assert_eq!((heard.field("report"), heard.field("report_sequence")), (hex(b"LD/LLN0$BR$brcb01"), "12".into()));
    assert_eq!((heard.field("data_set"), heard.field("report_overflow")), (hex(b"LD/LLN0$events"), "false".into()));
    assert_eq!(heard.field("value"), "42");
    assert_eq!(heard.operation, "read: LD/XCBR1$ST$Pos, LD/MMXU1$MX$TotW");
    insta::assert_snapshot!(session.logged().json);
}

#[test]
fn a_report_without_references_names_members_by_their_number() {
    let mut session = Session::new();
    let values = [
        visible("rp"),
        tlv(0x84, &[6, 0x08, 0]),
        visible("LD/LLN0$set"),
        tlv(0x84, &[5, 0x60]),
        boolean(true),
        integer(3),
    ];
    session.send(ToClient, &packet(&report(&values)));
    assert_eq!(session.last().operation, "read: LD/LLN0$set[2], LD/LLN0$set[3]");
    assert_eq!(session.last().field("value"), "1 3");
}

#[test]
fn a_report_that_does_not_keep_to_its_optional_fields_is_told() {
    let mut session = Session::new();
    for cut in 0..full_report().len() {
        session.send(ToClient, &packet(&report(&full_report()[..cut])));
        assert_eq!(session.last().kinds(), ["invalid_report"], "{cut}");
    }
}

#[test]
fn a_refused_command_says_why() {
    let mut session = Session::new();
    let error = tlv(
        0xa2,
        &[
            visible("LD/XCBR1$CO$Pos$Oper"),
            integer(0),
            tlv(0xa2, &[integer(2), tlv(0x89, b"HMI-1")].concat()),
            unsigned(7),
            integer(10),
        ]
        .concat(),
    );
    session.send(ToClient, &packet(&reported(&variables(&["LastApplError"]), &[error])));
    let heard = session.last();
    assert_eq!((heard.field("refused"), heard.field("refusal_cause")), (hex(b"LD/XCBR1$CO$Pos$Oper"), "10".into()));
    insta::assert_snapshot!(heard.json);
}

#[test]
fn a_device_tells_who_it_is() {
    let mut session = Session::new();
    let identity = service(2, true, &[tlv(0x80, b"ACME"), tlv(0x81, b"P123"), tlv(0x82, b"1.2")].concat());
    session.ask(1, &service(2, false, &[])).answer(1, &identity);
    assert_eq!(session.sink.messages[0].operation, "discover");
    assert_eq!(session.logged().facts, ["server vendor ACME", "server model P123", "server firmware 1.2"]);
    assert_eq!(session.logged().field("vendor"), hex(b"ACME"));
    session
        .ask(2, &read(&["LD/LPHD1$DC$PhyNam$serNum", "LD/LPHD1$DC$PhyNam$hwRev", "LD/LPHD1$DC$Other$hwRev"]))
        .answer(2, &results(&[visible("4711"), visible("B"), visible("C")]));
    assert_eq!(session.logged().facts, ["server serial 4711", "server hardware B"]);
}

#[test]
fn names_are_listed_by_class_and_scope() {
    let mut session = Session::new();
    let asked = [tlv(0xa0, &[0x80, 1, 2]), tlv(0xa1, &tlv(0x81, b"LD0")), tlv(0x82, b"LLN0$a")].concat();
    let listed = [tlv(0xa0, &[text("LLN0$b"), text("LLN0$c")].concat()), vec![0x81, 1, 0]].concat();
    session.ask(1, &service(1, true, &asked)).answer(1, &service(1, true, &listed));
    assert_eq!((session.last().field("object_class"), session.last().operation.as_str()), ("2".into(), "discover"));
    assert_eq!(session.last().field("listed"), [hex(b"LLN0$b"), hex(b"LLN0$c")].join(" "));
    insta::assert_snapshot!(session.logged().json);
}

#[test]
fn an_open_file_keeps_its_name_until_it_is_closed() {
    let mut session = Session::new();
    let name = tlv(0x19, b"COMTRADE/1.cfg");
    let opened =
        [vec![0x80, 1, 9], tlv(0xa1, &[&[0x80, 2, 4, 0][..], &tlv(0x81, b"20260101000000Z")].concat())].concat();
    session
        .ask(1, &service(72, true, &[tlv(0xa0, &name), vec![0x81, 1, 0]].concat()))
        .answer(1, &service(72, true, &opened))
        .ask(2, &service(73, false, &[9]))
        .answer(2, &service(73, true, &[tlv(0x80, b"data"), vec![0x81, 1, 0]].concat()))
        .ask(3, &service(74, false, &[9]))
        .answer(3, &service(74, false, &[]))
        .ask(4, &service(73, false, &[9]));
    let operations: Vec<_> = session.sink.messages.iter().map(|heard| heard.operation.as_str()).collect();
    assert_eq!(operations[..6], ["file: file COMTRADE/1.cfg"; 6]);
    assert_eq!(operations[6], "file");
    assert_eq!(session.sink.messages[3].field("file"), "COMTRADE/1.cfg");
    let records: Vec<_> = session.sink.transactions.iter().map(|heard| heard.json.as_str()).collect();
    insta::assert_snapshot!(records.join("\n"));
}

#[test]
fn files_are_listed_renamed_deleted_and_obtained() {
    let name = |tag: u8, name: &str| tlv(tag, &tlv(0x19, name.as_bytes()));
    let cases = [
        (service(77, true, &name(0xa0, "/")), "file: file /"),
        (service(75, true, &[name(0xa0, "a"), name(0xa1, "b")].concat()), "file: file a, file b"),
        (service(76, true, &[tlv(0x19, b"a"), tlv(0x19, b"b")].concat()), "file: file a/b"),
        (service(46, true, &[name(0xa1, "a"), name(0xa2, "b")].concat()), "file: file a, file b"),
    ];
    for (service, operation) in cases {
        let mut session = Session::new();
        session.ask(1, &service);
        assert_eq!(session.last().operation, operation);
    }
    let entry = |file: &str| tlv(0x30, &[name(0xa0, file), tlv(0xa1, &[0x80, 1, 8])].concat());
    let listed = [entry("x"), entry("y")].concat();
    for list in [tlv(0xa0, &listed), tlv(0xa0, &tlv(0x30, &listed))] {
        let mut session = Session::new();
        session.ask(1, &service(77, true, &[])).answer(1, &service(77, true, &list));
        let json = &session.logged().json;
        assert!(
            json.contains("\"file\": \"x\"") && json.contains("\"file\": \"y\"") && json.contains("\"size\": 8"),
            "{json}"
        );
    }
}

#[test]
fn programs_and_domains_are_named_by_what_is_done_to_them() {
    let field = |name: &str| tlv(0x80, name.as_bytes());
    let cases = [
        (service(40, true, &field("Main")), "start: program Main"),
        (service(41, true, &field("Main")), "stop: program Main"),
        (service(42, true, &field("Main")), "start: program Main"),
        (service(43, true, &field("Main")), "restart: program Main"),
        (service(44, true, &field("Main")), "stop: program Main"),
        (service(39, false, b"Main"), "program: program Main"),
        (service(38, true, &[field("Main"), tlv(0xa1, &text("Logic"))].concat()), "program: program Main"),
        (service(26, true, &field("Logic")), "program: domain Logic"),
        (service(27, false, b"Logic"), "program: domain Logic"),
        (service(36, false, b"Logic"), "program: domain Logic"),
        (service(34, true, &[field("Logic"), tlv(0xa4, &tlv(0x19, b"f"))].concat()), "program: domain Logic, file f"),
        (service(11, true, &[object("LD/LLN0$set"), tlv(0xa0, &[])].concat()), "configure: LD/LLN0$set"),
        (service(13, true, &tlv(0xa1, &[object("LD/a"), tlv(0x82, b"b")].concat())), "configure: LD/a, @b"),
        (service(19, true, &tlv(0xa0, &object("sem"))), "authenticate: sem"),
        (service(67, true, &tlv(0xa0, &object("LD/LLN0$log"))), "configure: LD/LLN0$log"),
        (service(6, true, &tlv(0xa0, &object("LD/XCBR1"))), "read: LD/XCBR1"),
        (service(0, false, &[0]), "read"),
    ];
    for (service, operation) in cases {
        let mut session = Session::new();
        session.ask(1, &service);
        assert_eq!(session.last().operation, operation);
    }
}

#[test]
fn an_upload_keeps_the_name_of_its_domain() {
    let mut session = Session::new();
    session
        .ask(1, &service(29, false, b"Logic"))
        .answer(1, &service(29, true, &[0x80, 1, 5, 0xa1, 0]))
        .ask(2, &service(30, false, &[5]))
        .answer(2, &service(30, true, &[tlv(0x80, b"abc"), vec![0x81, 1, 0]].concat()))
        .ask(3, &service(31, false, &[5]))
        .answer(3, &service(31, false, &[]));
    assert!(session.sink.messages.iter().all(|heard| heard.operation == "program: domain Logic"));
}

#[test]
fn errors_and_rejections_answer_their_requests() {
    let mut session = Session::new();
    session
        .ask(1, &service(76, true, &tlv(0x19, b"f")))
        .send(ToClient, &packet(&tlv(0xa2, &bytes("80 01 01 A2 0D A0 03 8B 01 07 81 01 05 82 03 616263"))))
        .ask(2, &service(2, false, &[]))
        .send(ToClient, &packet(&tlv(0xa4, &[0x80, 1, 2, 0x81, 1, 1])));
    let [_, error, _, reject] = &session.sink.messages[..] else { panic!() };
    assert_eq!(
        (error.field("error_class"), error.field("error_code"), error.field("service")),
        ("11".into(), "7".into(), "76".into())
    );
    assert_eq!(
        (reject.field("rejected"), reject.field("reject_reason"), reject.field("service")),
        ("1".into(), "1".into(), "2".into())
    );
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
    let records: Vec<_> = session.sink.transactions.iter().map(|heard| heard.json.as_str()).collect();
    insta::assert_snapshot!(records.join("\n"));
}

#[test]
fn both_ends_may_ask_with_the_same_number() {
    let mut session = Session::new();
    session
        .ask(1, &read(&["a"]))
        .send(ToClient, &packet(&request(1, &read(&["b"]))))
        .answer(1, &results(&[integer(1)]))
        .send(ToServer, &packet(&response(1, &results(&[integer(2)]))));
    let told: Vec<_> =
        session.sink.transactions.iter().map(|heard| (heard.operation.as_str(), heard.field("value"))).collect();
    assert_eq!(told, [("read: a", "1".to_owned()), ("read: b", "2".to_owned())]);
}

#[test]
fn cancelling_and_concluding_are_answered_too() {
    let mut session = Session::new();
    for (asked, answered) in
        [("85 01 05", "86 01 05"), ("85 01 06", "A7 0A 80 01 06 A1 05 A0 03 8A 01 01"), ("8B 00", "8C 00")]
    {
        session.send(ToServer, &packet(&bytes(asked))).send(ToClient, &packet(&bytes(answered)));
        assert!(matches!(session.logged().pairing, Pairing::Answered(_)), "{asked}");
        assert!(session.last().anomalies.is_empty());
    }
}

#[test]
fn what_does_not_pair_is_told() {
    let mut session = Session::new();
    session.answer(4, &results(&[integer(1)]));
    assert_eq!(session.last().kinds(), ["unsolicited_response"]);
    session.ask(5, &read(&["a"])).ask(5, &read(&["b"]));
    assert_eq!(session.last().kinds(), ["duplicate_invoke_id"]);
    assert_eq!((session.logged().operation.as_str(), session.logged().pairing), ("read: a", Pairing::Unanswered));
    session.answer(5, &service(5, true, &[0x81, 0]));
    assert_eq!(session.last().kinds(), ["service_mismatch"]);
    session.ask(6, &read(&["a", "b"])).answer(6, &results(&[integer(1)]));
    assert_eq!(session.last().kinds(), ["result_count_mismatch"]);
}

#[test]
fn requests_that_wait_are_bounded_and_told_at_the_end() {
    let mut session = Session::new();
    for id in 0..40 {
        session.ask(id, &read(&["a"]));
    }
    assert_eq!(session.last().kinds(), ["too_many_transactions"]);
    assert_eq!(session.sink.bounded.len(), 40 - usize::from(Limits::DEFAULT.requests));
    session.finish();
    assert_eq!(session.sink.transactions.len(), 40);
    assert!(session.sink.transactions.iter().all(|heard| heard.pairing == Pairing::Unanswered));
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    let faults = |unit: &[u8]| {
        let mut session = Session::new();
        session.send(ToServer, &bytes(CONNECTION)).send(ToServer, &tpdu(true, unit));
        let anomalies =
            session.sink.messages.iter().flat_map(|heard| heard.anomalies.clone()).chain(session.sink.anomalies);
        anomalies.map(|anomaly| (anomaly.kind, anomaly.offset)).collect::<Vec<_>>()
    };
    assert_eq!(faults(&[0x32, 1]), [("unknown_data_unit", 7)]);
    assert_eq!(faults(&[13, 9, 1]), [("invalid_session", 7)]);
    assert_eq!(faults(&[1, 0, 1, 0, 0x62, 0]), [("invalid_presentation", 11)]);
    assert_eq!(faults(&data(&[0x30, 0])), [("unknown_pdu", 20)]);
    assert_eq!(faults(&data(&[0xae, 0])), [("unknown_pdu", 20)]);
    assert_eq!(faults(&data(&[0xa0, 2, 2, 5])), [("invalid_encoding", 22), ("missing_field", 22)]);
    assert_eq!(faults(&data(&[0xa0, 3, 2, 1, 7])), [("missing_field", 22)]);
    assert_eq!(faults(&data(&request(1, &service(99, true, &[])))), [("unknown_service", 28)]);
    assert_eq!(
        faults(&data(&request(1, &write(&["a"], &[vec![0x90, 0], vec![0x9e, 0]])))),
        [("unknown_data", 42), ("result_count_mismatch", 22)]
    );
    let mut session = Session::new();
    session.send(ToServer, &bytes("03 00 00 07 09 F0 80"));
    assert_eq!(session.sink.anomalies[0].kind, "invalid_tpdu");
}

#[test]
fn a_data_unit_in_several_packets_is_joined() {
    let unit = data(&request(1, &read(&["LD/LLN0$ST$Mod", "LD/LLN0$ST$Beh"])));
    for size in [1, 7, 20, 50] {
        let mut session = Session::new();
        session.state.parse(&envelope(ToServer, 0), &bytes(CONNECTION), &mut session.sink);
        let mut parts = unit.chunks(size).peekable();
        while let Some(part) = parts.next() {
            session.send(ToServer, &tpdu(parts.peek().is_none(), part));
        }
        assert_eq!(session.last().operation, "read: LD/LLN0$ST$Mod, LD/LLN0$ST$Beh");
        assert_eq!((session.sink.messages.len(), session.sink.anomalies.len()), (1, 0), "{size}");
    }
}

#[test]
fn the_middle_of_a_data_unit_is_passed_over() {
    let unit = data(&request(1, &read(&["LD/LLN0$ST$Mod"])));
    let mut session = Session::new();
    session.send(ToServer, &tpdu(true, &unit[10..])).send(ToServer, &tpdu(true, &unit));
    assert_eq!(
        session.sink.anomalies.iter().map(|anomaly| anomaly.kind).collect::<Vec<_>>(),
        ["part_without_beginning"]
    );
    assert_eq!(session.sink.messages.len(), 1);
    session.send(ToServer, &tpdu(false, &unit[..20]));
    session.state.gap(ToServer);
    session.send(ToServer, &tpdu(true, &unit[20..])).send(ToServer, &tpdu(true, &unit));
    assert_eq!(session.sink.messages.len(), 2);
}

#[test]
fn a_data_unit_that_is_too_long_is_given_up() {
    let limits = Limits { joined_bytes: 100, ..Limits::DEFAULT };
    let mut session = Session { state: state::State::new(&limits), ..Session::new() };
    let unit = data(&request(1, &read(&["a"; 40])));
    for part in unit.chunks(60) {
        session.send(ToServer, &tpdu(false, part));
    }
    session.send(ToServer, &tpdu(true, &[])).ask(2, &read(&["a"]));
    assert!(session.sink.anomalies.iter().any(|anomaly| anomaly.kind == "data_unit_too_long"));
    assert_eq!((session.sink.messages.len(), session.sink.bounded.len()), (1, 1));
    assert_eq!(session.state.kept().joined_bytes, 0);
}

#[test]
fn mms_on_the_transport_alone_is_read_too() {
    let mut session = Session::new();
    session.send(ToServer, &tpdu(true, &request(1, &service(41, true, &tlv(0x80, b"Main")))));
    assert_eq!(
        (session.last().operation.as_str(), session.last().field("session")),
        ("stop: program Main", String::new())
    );
}

const ONLY: &[&Protocol] = &[&PROTOCOL];

fn conversation(server_port: u16, roles_known: bool) -> Conversation {
    let opening = Opening { client_port: 50_000, server_port, medium: Medium::Stream, roles_known };
    Conversation::new(opening, ONLY, &Limits::DEFAULT)
}

/// A whole dialogue: connection, association, a read and its answer.
fn dialogue() -> Vec<(Direction, Vec<u8>)> {
    vec![
        (ToServer, bytes(CONNECTION)),
        (ToClient, bytes("03000016 11 d0 0001 0002 00 c0010d c2020001 c1020001")),
        (ToServer, associate(None)),
        (ToClient, accept()),
        (ToServer, packet(&request(1, &read(&["LD/LLN0$ST$Mod"])))),
        (ToClient, packet(&response(1, &results(&[integer(1)])))),
    ]
}

#[test]
fn it_is_found_on_any_port_from_its_beginning_or_its_middle() {
    for from in 0..4 {
        let (mut conversation, mut sink) = (conversation(4711, true), Collected::default());
        for (direction, packet) in &dialogue()[from..] {
            conversation.data(&envelope(*direction, 1), packet, &mut sink);
        }
        assert_eq!(conversation.protocol(), Some(&PROTOCOL));
        assert_eq!(
            sink.transactions.last().map(|heard| heard.operation.as_str()),
            Some("read: LD/LLN0$ST$Mod"),
            "{from}"
        );
    }
}

#[test]
fn who_initiates_is_the_client() {
    let (mut conversation, mut sink) = (conversation(4711, false), Collected::default());
    for (direction, packet) in dialogue() {
        conversation.data(&envelope(direction.opposite(), 1), &packet, &mut sink);
    }
    assert!(conversation.take_reversed());
    assert_eq!(sink.messages.first().map(|heard| heard.direction), Some(ToServer));
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_records() {
    let whole: Vec<u8> = [associate(None), packet(&request(1, &read(&["LD/a"])))].concat();
    let said = |pieces: &[&[u8]]| {
        let (mut conversation, mut sink) = (conversation(102, true), Collected::default());
        pieces.iter().for_each(|piece| conversation.data(&envelope(ToServer, 1), piece, &mut sink));
        sink.messages
    };
    let expected = said(&[&whole]);
    assert_eq!(expected.len(), 2);
    for at in 1..whole.len() {
        assert_eq!(said(&[&whole[..at], &whole[at..]]), expected, "{at}");
    }
}

#[test]
fn after_a_gap_the_next_message_is_found() {
    let (mut conversation, mut sink) = (conversation(102, true), Collected::default());
    let one = packet(&request(1, &read(&["LD/a"])));
    conversation.data(&envelope(ToServer, 1), &one, &mut sink);
    conversation.data(&envelope(ToServer, 1), &one[..20], &mut sink);
    conversation.gap(ToServer, 1);
    conversation.data(
        &envelope(ToServer, 1),
        &[&one[30..], &packet(&request(2, &read(&["LD/b"])))].concat(),
        &mut sink,
    );
    assert_eq!(
        sink.messages.iter().map(|heard| heard.operation.as_str()).collect::<Vec<_>>(),
        ["read: LD/a", "read: LD/b"]
    );
}

#[test]
fn other_protocols_on_the_same_transport_are_not_taken_for_it() {
    for unit in
        ["32 01 00 00 00 01 00 08 00 00 f0 00 00 01 00 01 01 e0", "72 01 00 00", "7f 65 82 01 94 04 01 01", "64 00 08"]
    {
        let packet = tpdu(true, &bytes(unit));
        assert_eq!((PROTOCOL.probe)(&packet, ToServer), Probe::Shared, "{unit}");
    }
    assert_eq!((PROTOCOL.probe)(b"GET / HTTP/1.1", ToServer), Probe::No);
}
