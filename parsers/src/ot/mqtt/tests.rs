use super::state::State;
use super::{
    DOUBLE_CONNECT, HEAD, INVALID_PAYLOAD, INVALID_QOS_LEVEL, MALFORMED_TRAFFIC, MISSING_MSG_ID, MISSING_PUBLISH,
    PROTOCOL, UNASSIGNED_MSG_TYPE, UNINTRODUCED_MESSAGE,
};
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{self, ToClient, ToServer};
use crate::dissector::{Dissector, Frame, Pairing, Probe, Protocol};
use crate::limits::{Bound, Limits};
use crate::testing::{Collected, bytes, envelope};
use crate::time::Timestamp;
use proptest::prelude::*;

static ONLY: &[&Protocol] = &[&PROTOCOL];

/// A control packet: first octet, remaining length, body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        packet.push((length & 0x7f) as u8 | if length > 0x7f { 0x80 } else { 0 });
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn connect(version: u8) -> Vec<u8> {
    let properties: &[u8] = if version == 5 { &[0] } else { &[] };
    let head = [string("MQTT"), vec![version, 0xc2, 0, 60], properties.to_vec()].concat();
    packet(0x10, &[head, string("edge-7"), string("user"), string("pass")].concat())
}

fn publish(flags: u8, topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let id = id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default();
    packet(0x30 | flags, &[string(topic), id, payload.to_vec()].concat())
}

struct Session {
    state: State,
    sink: Collected,
    now: u64,
}

impl Session {
    fn new() -> Self {
        Self { state: State::new(&Limits::DEFAULT), sink: Collected::default(), now: 0 }
    }

    /// A session that began as it should.
    fn connected(version: u8) -> Self {
        let mut session = Self::new();
        let connack: &[u8] = if version == 5 { &[0, 0, 0] } else { &[0, 0] };
        session.send(ToServer, &connect(version)).send(ToClient, &packet(0x20, connack));
        session
    }

    fn send(&mut self, direction: Direction, message: &[u8]) -> &mut Self {
        self.now += 1;
        self.state.parse(&envelope(direction, self.now), message, &mut self.sink);
        self
    }

    fn last(&self) -> &crate::testing::Heard {
        self.sink.messages.last().expect("a message")
    }
}

#[test]
fn connect_and_connack_are_one_transaction() {
    let session = Session::connected(5);
    let [connect, connack] = &session.sink.messages[..] else { panic!("two messages") };
    for (field, value) in [
        ("type", "1"),
        ("protocol_version", "5"),
        ("connect.flags", "194"),
        ("connect.clientid", "656467652d37"),
        ("connect.username", "75736572"),
        ("connect.password", "70617373"),
        ("connect.keep_alive_s", "60"),
    ] {
        assert_eq!(connect.field(field), value, "{field}");
    }
    assert_eq!(connect.facts, ["client name edge-7"]);
    assert_eq!(connack.field("connack.session_present"), "false");
    assert_eq!((connect.transaction, connack.transaction), (1, 1));
    assert_eq!(session.sink.transactions.len(), 1);
    assert_eq!(session.sink.transactions[0].operation, "authenticate");
    insta::assert_snapshot!(session.sink.transactions[0].json);
}

#[test]
fn a_publish_of_quality_2_is_one_transaction_of_four_packets() {
    let mut session = Session::connected(4);
    session.send(ToServer, &publish(4, "plant/a", Some(9), b"17"));
    session.send(ToClient, &packet(0x50, &[0, 9]));
    session.send(ToServer, &packet(0x62, &[0, 9]));
    assert_eq!(session.sink.transactions.len(), 1);
    session.send(ToClient, &packet(0x70, &[0, 9]));
    let numbers: Vec<_> = session.sink.messages[2..].iter().map(|heard| heard.transaction).collect();
    assert_eq!(numbers, [2, 2, 2, 2]);
    let logged = &session.sink.transactions[1];
    assert!(matches!(logged.pairing, Pairing::Answered(_)));
    assert_eq!(session.sink.messages[2].field("publish.topic"), "706c616e742f61");
    assert_eq!(session.sink.messages[2].field("publish.message"), "3137");
    assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
}

#[test]
fn a_suback_shows_the_topics_of_its_subscribe() {
    let mut session = Session::connected(4);
    session.send(ToServer, &packet(0x82, &[&[0, 1][..], &string("plant/#"), &[1]].concat()));
    assert_eq!(session.last().operation, "read: plant/#");
    session.send(ToClient, &packet(0x90, &[0, 1, 1]));
    assert_eq!(session.last().field("subscribe.topic"), "706c616e742f23");
    assert_eq!(session.last().field("reason_code"), "1");
}

#[test]
fn a_topic_alias_stands_for_its_topic() {
    let mut session = Session::connected(5);
    session.send(ToServer, &publish(0, "plant/a", None, &[3, 0x23, 0, 1, b'x']));
    session.send(ToServer, &publish(0, "", None, &[3, 0x23, 0, 1, b'y']));
    assert_eq!(session.last().field("publish.topic"), "706c616e742f61");
    assert_eq!(session.last().field("publish.message"), "79");
    assert_eq!(session.last().kinds(), [""; 0]);
}

/// A Sparkplug payload: time 1, one metric with these fields, sequence 2.
fn sparkplug(metric: &str) -> Vec<u8> {
    let metric = bytes(metric);
    [&bytes("0801 12")[..], &[metric.len() as u8], &metric, &bytes("1802")].concat()
}

#[test]
fn sparkplug_metrics_are_named_by_the_birth_that_gave_the_alias() {
    let mut session = Session::connected(4);
    // name Pump/Speed, alias 5, type Int16, value -2
    let birth = sparkplug("0a0a 50756d702f5370656564 1005 2002 50 feffffff0f");
    session.send(ToServer, &publish(0, "spBv1.0/G/NBIRTH/E", None, &birth));
    assert_eq!(session.last().facts, ["client name E"]);
    assert_eq!(session.last().field("sparkplug.value"), "-2");
    // alias 5, value 1000
    session.send(ToServer, &publish(0, "spBv1.0/G/NDATA/E", None, &sparkplug("1005 50e807")));
    let data = session.last();
    assert_eq!(data.field("sparkplug.metric"), crate::testing::hex(b"Pump/Speed"));
    assert_eq!(data.field("sparkplug.value"), "1000");
    assert_eq!(data.field("sparkplug.datatype"), "2");
    assert_eq!(data.operation, "read: G/E/Pump/Speed");
    session.send(ToClient, &publish(0, "spBv1.0/G/NCMD/E", None, &sparkplug("1005 50e807")));
    assert_eq!(session.last().operation, "write: G/E/Pump/Speed = 1000");
    insta::assert_snapshot!(session.last().json);
}

/// The JSON of a Sparkplug message with this one metric.
fn metric(fields: &str) -> String {
    let mut session = Session::connected(4);
    session.send(ToServer, &publish(0, "spBv1.0/G/DDATA/E/D", None, &sparkplug(fields)));
    let json = session.last().json.split_whitespace().collect::<String>();
    json.split_once(r#""metrics":"#).expect("metrics").1.to_owned()
}

#[test]
fn arrays_of_sparkplug_have_each_element() {
    // Int8, Int16 and Boolean are the examples of Sparkplug 3.0 §6.4.16.2.
    for (kind, packed, values) in [
        ("16", "e9 7b", "[-23,123]"),
        ("17", "d0 8a 30 75", "[-30000,30000]"),
        ("1d", "52 04 b4 f7 ff 00 00 00", "[1099372430418]"),
        ("1e", "00 00 80 3f 00 00 00 c0", "[1,-2]"),
        ("20", "0c 00 00 00 34 d0", "[false,false,true,true,false,true,false,false,true,true,false,true]"),
        ("21", "41 42 43 00 68 65 00", r#"["ABC","he"]"#),
    ] {
        let packed = bytes(packed);
        let json = metric(&format!("0a0161 20{kind} 8201{:02x} {}", packed.len(), crate::testing::hex(&packed)));
        assert!(json.contains(&format!(r#""value":{values}"#)), "{kind}: {json}");
    }
    // A count of truth values that are not there claims none.
    assert!(metric("0a0161 2020 820104 ffffffff").contains(r#""value":[]"#));
    // Rules see each element.
    let mut session = Session::connected(4);
    session.send(ToServer, &publish(0, "spBv1.0/G/DDATA/E/D", None, &sparkplug("0a0161 2017 820104 d08a3075")));
    assert_eq!(session.last().field("sparkplug.value"), "-30000 30000");
}

#[test]
fn data_sets_templates_and_properties_are_written_as_they_are_made() {
    // Two columns, named a and b, of Int8 and String; a row with -1 and "x", one with nothing and "y".
    let set = "0802 1201 61 1201 62 1a02 010c 220d 0a06 08ffffffff0f 0a03 320178".replace(' ', "");
    let set = bytes(&format!("{set}2207 0a00 0a03 320179"));
    let json = metric(&format!("0a0161 2010 8a01{:02x} {}", set.len(), crate::testing::hex(&set)));
    let table = r#""data_set":{"columns":[{"name":"a","datatype":"int8"},{"name":"b","datatype":"string"}],"rows":[[-1,"x"],[null,"y"]]}"#;
    assert!(json.contains(table), "{json}");
    // An instance of "Motor" with a parameter and a member.
    let template = bytes("0a0131 1207 0a0172 2003 5007 1a07 0a0170 1003 1809 2205 4d6f746f72 2800");
    let json = metric(&format!("0a0161 2013 9201{:02x} {}", template.len(), crate::testing::hex(&template)));
    let motor = r#""template":{"reference":"Motor","version":"1","is_definition":false,"parameters":[{"name":"p","datatype":"int32","value":9}],"metrics":[{"name":"r","datatype":"int32","value":7}]}"#;
    assert!(json.contains(motor), "{json}");
    // A property: its engineering unit.
    let json = metric("0a0161 2003 4a0f 0a04 756e6974 1207 080c 4203 72706d 5007");
    assert!(json.contains(r#""properties":[{"name":"unit","datatype":"string","value":"rpm"}]"#), "{json}");
}

#[test]
fn the_record_of_an_acknowledged_publish_says_what_it_carried() {
    let mut session = Session::connected(4);
    let command = sparkplug("0a05 5370656564 2003 50e807");
    session.send(ToServer, &publish(2, "spBv1.0/G/DCMD/E/Pump", Some(7), &command));
    session.send(ToClient, &packet(0x40, &[0, 7]));
    let logged = session.sink.transactions.last().expect("a transaction");
    assert_eq!(logged.operation, "write: G/E/Pump/Speed = 1000");
    assert!(logged.json.contains(r#""value": 1000"#), "{}", logged.json);
    let birth = sparkplug("0a0b 48572f4d6f64656c202020 200c 7a03 503334");
    session.send(ToServer, &publish(2, "spBv1.0/G/NBIRTH/E", Some(8), &birth));
    session.send(ToClient, &packet(0x40, &[0, 8]));
    assert_eq!(session.sink.transactions.last().map(|logged| logged.facts.clone()), Some(vec!["client name E".into()]));
    assert_eq!(session.sink.transactions[0].facts, ["client name edge-7"]);
}

#[test]
fn what_stands_for_topics_and_metrics_is_bounded() {
    let limits = Limits { requests: 2, request_bytes: 10, joined_bytes: 200, ..Limits::DEFAULT };
    let mut session = Session { state: State::new(&limits), ..Session::connected(5) };
    session.state.parse(&envelope(ToServer, 1), &connect(5), &mut session.sink);
    session.sink.bounded.clear();
    for (alias, topic) in [(1, "abcd"), (2, "abc"), (3, "ab"), (1, "abcdefgh"), (1, "abcdefg")] {
        session.send(ToServer, &publish(0, topic, None, &[3, 0x23, 0, alias, b'x']));
    }
    // A third alias, and a topic that would make them longer than eleven octets.
    assert_eq!(session.sink.bounded, [Bound::RequestBytes; 2]);
    session.sink.bounded.clear();
    // Three metrics of one octet take 65 octets each; the fourth has no room.
    for metric in 0..4 {
        let birth = sparkplug(&format!("0a01 6{metric} 100{metric} 2002 5001"));
        session.send(ToServer, &publish(0, "spBv1.0/G/DBIRTH/E/D", None, &[&[0][..], &birth].concat()));
    }
    assert_eq!(session.sink.bounded, [Bound::JoinedBytes]);
    assert_eq!(session.state.kept().joined_bytes, 195);
}

#[test]
fn a_reboot_commanded_by_sparkplug_is_a_restart() {
    let mut session = Session::connected(4);
    let reboot = sparkplug("0a13 4e6f646520436f6e74726f6c2f5265626f6f74 200b 7001");
    session.send(ToClient, &publish(0, "spBv1.0/G/NCMD/E", None, &reboot));
    assert_eq!(session.last().operation, "restart: G/E/Node Control/Reboot = true");
}

#[test]
fn what_the_standard_does_not_allow_is_named() {
    let mut session = Session::connected(4);
    for (message, kind) in [
        (packet(0x36, &string("a")), INVALID_QOS_LEVEL),
        (packet(0x00, &[]), UNASSIGNED_MSG_TYPE),
        (packet(0x30, &[0, 9, b'a']), MALFORMED_TRAFFIC),
    ] {
        session.send(ToServer, &message);
        assert_eq!(session.sink.anomalies.last().map(|anomaly| anomaly.kind), Some(kind));
    }
    for (direction, message, kind) in [
        (ToServer, publish(2, "a", Some(0), b""), MISSING_MSG_ID),
        (ToClient, packet(0x40, &[0, 7]), MISSING_PUBLISH),
        (ToServer, connect(4), DOUBLE_CONNECT),
        (ToServer, publish(0, "spBv1.0/G/NDATA/E", None, b"no protobuf"), INVALID_PAYLOAD),
    ] {
        session.send(direction, &message);
        assert_eq!(session.last().kinds(), [kind]);
    }
    let mut picked_up = Session::new();
    picked_up.send(ToServer, &publish(0, "a", None, b"1")).send(ToServer, &publish(0, "a", None, b"2"));
    assert_eq!(picked_up.sink.messages[0].kinds(), [UNINTRODUCED_MESSAGE]);
    assert_eq!(picked_up.sink.messages[1].kinds(), [""; 0]);
}

#[test]
fn only_a_connect_is_certain() {
    assert_eq!((PROTOCOL.probe)(&connect(5), ToServer), Probe::Certain);
    assert_eq!((PROTOCOL.probe)(&connect(5), ToClient), Probe::No);
    assert_eq!((PROTOCOL.probe)(&publish(0, "a", None, b"1"), ToServer), Probe::Maybe);
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"0\x84\0\0\0\x10abcd",
        b"0\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0",
    ] {
        assert_eq!((PROTOCOL.probe)(other, ToServer), Probe::No, "{other:?}");
    }
}

#[test]
fn of_a_packet_that_is_too_long_the_beginning_is_read_and_the_next_is_at_its_place() {
    let opening = Opening { client_port: 40000, server_port: 1883, medium: Medium::Stream, roles_known: true };
    let mut conversation = Conversation::new(opening, crate::registry::PROTOCOLS, &Limits::DEFAULT);
    let mut sink = Collected::default();
    let long = vec![0x10; 3 << 20];
    let stream = [
        connect(4),
        publish(2, "spBv1.0/G/NDATA/E", Some(7), &long),
        publish(0, "plant/b", None, b"short"),
        publish(0, "plant/c", None, &long),
        packet(0xc0, &[]),
    ];
    for piece in stream.concat().chunks(1460) {
        conversation.data(&envelope(ToServer, 1), piece, &mut sink);
        assert!(conversation.buffered() <= HEAD);
    }
    conversation.data(&envelope(ToClient, 2), &packet(0x40, &[0, 7]), &mut sink);
    let topics: Vec<_> = sink.messages.iter().map(|heard| heard.field("publish.topic")).collect();
    let named = |topic: &str| crate::testing::hex(topic.as_bytes());
    assert_eq!(topics[1..4], [named("spBv1.0/G/NDATA/E"), named("plant/b"), named("plant/c")]);
    assert_eq!(sink.messages[1].field("remaining_length"), (long.len() + 21).to_string());
    assert_eq!(sink.messages.last().map(|heard| heard.field("type")), Some("4".into()));
    assert_eq!(sink.messages.len(), 6);
    let anomalies = sink.messages.iter().flat_map(|heard| &heard.anomalies).chain(&sink.anomalies);
    assert_eq!(anomalies.map(|anomaly| anomaly.kind).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(sink.bounded, [Bound::MessageBytes; 2]);
    for transaction in sink.transactions.iter().filter(|heard| heard.json.contains("skipped")) {
        let skipped = format!("\"skipped_length\": {}", long.len() - 1024);
        assert!(transaction.json.contains(&skipped), "{}", transaction.json);
    }
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_messages() {
    let stream = [connect(4), publish(2, "plant/a", Some(3), b"17"), packet(0xc0, &[]), packet(0xe0, &[])].concat();
    let converse = |chunks: &[&[u8]]| {
        let opening = Opening { client_port: 40_000, server_port: 1883, medium: Medium::Stream, roles_known: true };
        let mut conversation = Conversation::new(opening, ONLY, &Limits::DEFAULT);
        let mut sink = Collected::default();
        chunks.iter().for_each(|chunk| conversation.data(&envelope(ToServer, 1), chunk, &mut sink));
        sink.messages.iter().map(|heard| heard.json.clone()).collect::<Vec<_>>()
    };
    let whole = converse(&[&stream]);
    assert_eq!(whole.len(), 4);
    for cut in 1..stream.len() {
        assert_eq!(converse(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
    }
}

#[test]
fn after_a_hole_the_next_packet_is_found() {
    let opening = Opening { client_port: 40_000, server_port: 1883, medium: Medium::Stream, roles_known: true };
    let mut conversation = Conversation::new(opening, ONLY, &Limits::DEFAULT);
    let mut sink = Collected::default();
    let message = publish(0, "plant/boiler/pressure", None, b"17");
    conversation.data(&envelope(ToServer, 1), &connect(4), &mut sink);
    conversation.data(&envelope(ToServer, 2), &message, &mut sink);
    conversation.gap(ToServer, 9);
    let rest = [&message[9..], &message, &message, &message].concat();
    conversation.data(&envelope(ToServer, 3), &rest, &mut sink);
    let topic = crate::testing::hex(b"plant/boiler/pressure");
    let published = sink.messages.iter().filter(|heard| heard.field("publish.topic") == topic);
    assert_eq!(published.count(), 4);
    assert!(sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
}

#[test]
fn what_is_not_acknowledged_is_logged_when_the_flow_ends() {
    let mut session = Session::connected(4);
    session.send(ToServer, &publish(2, "plant/a", Some(3), b"17"));
    session.state.expire(Timestamp::MAX, &mut session.sink);
    let logged = session.sink.transactions.last().expect("a transaction");
    assert_eq!((logged.pairing, logged.field("publish.topic")), (Pairing::Unanswered, crate::testing::hex(b"plant/a")));
}

#[test]
fn a_connect_tells_its_will_and_its_properties() {
    // Version 5: session expiry 10, a user property; the will with a delay of 5.
    let head = [string("MQTT"), bytes("05 e6 003c 0d 11 0000000a 26 0001 61 0002 6263")].concat();
    let will = [bytes("05 18 00000005"), string("plant/gone"), string("yes")].concat();
    let connect = packet(0x10, &[head, string("edge-7"), will, string("user"), string("pass")].concat());
    let mut session = Session::new();
    session.send(ToServer, &connect);
    let heard = session.last();
    assert_eq!(heard.kinds(), [""; 0]);
    for (field, value) in [
        ("connect.clientid", &b"edge-7"[..]),
        ("connect.willtopic", b"plant/gone"),
        ("connect.willmessage", b"yes"),
        ("connect.username", b"user"),
        ("connect.password", b"pass"),
        ("user_property", b"bc"),
    ] {
        assert_eq!(heard.field(field), crate::testing::hex(value), "{field}");
    }
    assert_eq!((heard.field("protocol_version"), heard.field("connect.keep_alive_s")), ("5".into(), "60".into()));
    assert_eq!(heard.facts, ["client name edge-7"]);
}

#[test]
fn mqtt_3_1_has_another_name_for_itself() {
    let connect = packet(0x10, &[string("MQIsdp"), bytes("03 02 003c"), string("edge-7")].concat());
    assert_eq!((PROTOCOL.probe)(&connect, ToServer), Probe::Certain);
    let mut session = Session::new();
    session.send(ToServer, &connect);
    assert_eq!(session.last().field("protocol_version"), "3");
    assert_eq!(session.last().field("connect.protocol_string"), crate::testing::hex(b"MQIsdp"));
}

#[test]
fn the_version_shows_where_its_connect_was_not_seen() {
    for (properties, version) in [(&[][..], "4"), (&[2, 1, 1], "5")] {
        let mut session = Session::new();
        session.send(ToServer, &publish(0, "plant/a", None, &[properties, b"17"].concat()));
        assert_eq!(session.last().field("protocol_version"), version);
        assert_eq!(session.last().field("publish.message"), crate::testing::hex(b"17"));
    }
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

proptest! {
    #[test]
    fn what_is_published_is_what_is_read(
        topic in "[ -~&&[^#+]]{1,60}",
        quality in 0u8..3,
        id in 1u16..,
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut session = Session::connected(4);
        session.send(ToServer, &publish(quality << 1, &topic, (quality > 0).then_some(id), &payload));
        let heard = session.last();
        prop_assert_eq!(heard.field("publish.topic"), crate::testing::hex(topic.as_bytes()));
        prop_assert_eq!(heard.field("publish.message"), crate::testing::hex(&payload));
        prop_assert_eq!(heard.field("qos"), quality.to_string());
        prop_assert_eq!(heard.field("message_id"), if quality > 0 { id.to_string() } else { String::new() });
    }

    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..200), direction in directions()) {
        (PROTOCOL.probe)(&input, direction);
        match (PROTOCOL.frame)(&input, direction) {
            Frame::Whole(n) => prop_assert!((1..=input.len()).contains(&n) && n <= PROTOCOL.longest_message),
            Frame::Need(n) => prop_assert!(n > input.len() && n <= PROTOCOL.longest_message),
            Frame::Long { head, length } => prop_assert!((1..=input.len()).contains(&head) && head < length),
            Frame::Not => {}
        }
        Session::new().send(direction, &input);
    }

    #[test]
    fn no_conversation_panics_and_nothing_is_logged_twice(
        said in prop::collection::vec((directions(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..6)), 0..60),
        version in 3u8..=5,
        payload in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut session = Session::connected(version);
        for (direction, first, body) in &said {
            session.send(*direction, &packet(*first, body));
        }
        for topic in ["spBv1.0/G/NBIRTH/E", "spBv1.0/G/DDATA/E/D", "STATE/H"] {
            session.send(ToServer, &publish(0, topic, None, &payload));
        }
        session.state.expire(Timestamp::MAX, &mut session.sink);
        let mut logged: Vec<_> = session.sink.transactions.iter().map(|heard| heard.transaction).collect();
        let count = logged.len();
        logged.sort_unstable();
        logged.dedup();
        prop_assert_eq!(logged.len(), count);
    }
}
