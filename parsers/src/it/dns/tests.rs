//! Bytes of the first table were written by dnspython 2.9.2, which says beside them what they mean; the others are made
//! here, octet by octet, after RFC 1035 §4.1.

use proptest::prelude::*;

use super::*;
use crate::conversation::{Conversation, Medium, Opening};
use crate::dissector::Direction::{ToClient, ToServer};
use crate::dissector::{Direction, Envelope, Pairing, Probe};
use crate::limits::Limits;
use crate::registry::PROTOCOLS;
use crate::testing::{Collected, Heard, bytes, envelope, hex};

/// Type, data as text, and a response with one such answer.
const RECORDS: &[(&str, &str, &str)] = &[
    ("A", "192.0.2.1", "1234818000010001000000000161076578616d706c650000010001c00c000100010000012c0004c0000201"),
    (
        "AAAA",
        "2001:db8::1",
        "1234818000010001000000000161076578616d706c6500001c0001c00c001c00010000012c001020010db8000000000000000000000001",
    ),
    (
        "CNAME",
        "a.example.",
        "12348180000100010000000003777777076578616d706c650000050001c00c000500010000012c00040161c010",
    ),
    ("NS", "ns.example.", "123481800001000100000000076578616d706c650000020001c00c000200010000012c0005026e73c00c"),
    (
        "PTR",
        "a.example.",
        "1234818000010001000000000131013201300331393207696e2d61646472046172706100000c0001c00c000c00010000012c000b0161076578616d706c6500",
    ),
    (
        "MX",
        "10 mail.example.",
        "123481800001000100000000076578616d706c6500000f0001c00c000f00010000012c0009000a046d61696cc00c",
    ),
    (
        "TXT",
        r#""v=spf1 -all" "se\"cond""#,
        "123481800001000100000000076578616d706c650000100001c00c001000010000012c00140b763d73706631202d616c6c07736522636f6e64",
    ),
    (
        "SOA",
        r"ns.example. host\.master.example. 2024010101 7200 3600 1209600 300",
        "123481800001000100000000076578616d706c650000060001c00c000600010000012c0027026e73c00c0b686f73742e6d6173746572c00c78a3f17500001c2000000e10001275000000012c",
    ),
    (
        "SRV",
        "10 60 5060 sip.example.",
        "123481800001000100000000045f736970045f746370076578616d706c650000210001c00c002100010000012c0013000a003c13c403736970076578616d706c6500",
    ),
    (
        "SSHFP",
        "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789",
        "12348180000100010000000004686f7374076578616d706c6500002c0001c00c002c00010000012c00220402123456789abcdef67890123456789abcdef67890123456789abcdef123456789",
    ),
    (
        "CAA",
        r#"0 issue "letsencrypt.org""#,
        "123481800001000100000000076578616d706c650001010001c00c010100010000012c0016000569737375656c657473656e63727970742e6f7267",
    ),
    (
        "SVCB",
        "1 svc.example. alpn=h2,h3 port=8443 ipv4hint=192.0.2.7,192.0.2.8 ipv6hint=2001:db8::7",
        "123481800001000100000000076578616d706c650000400001c00c004000010000012c003f000103737663076578616d706c6500000100060268320268330003000220fb00040008c0000207c00002080006001020010db8000000000000000000000007",
    ),
    (
        "HTTPS",
        "0 cdn.example.",
        "123481800001000100000000076578616d706c650000410001c00c004100010000012c000f00000363646e076578616d706c6500",
    ),
    (
        "DS",
        "20326 8 2 e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d",
        "123481800001000100000000076578616d706c6500002b0001c00c002b00010000012c00244f660802e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d",
    ),
    (
        "DNSKEY",
        "257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==",
        "123481800001000100000000076578616d706c650000300001c00c003000010000012c00440101030d99db2cc14cabdc33d6d77da63a2f15f71112584f234e8d1dc428e39e8a4a97e1aa271a555dc90701e17e2a4c4b6f120b7c32d44f4ac02bd894cf2d4be7778a19",
    ),
    (
        "RRSIG",
        "A 13 2 300 1704153600 1704067200 2371 example. ZmFrZSBzaWduYXR1cmU=",
        "123481800001000100000000076578616d706c6500002e0001c00c002e00010000012c002900010d020000012c65935200659200800943076578616d706c650066616b65207369676e6174757265",
    ),
    (
        "NSEC",
        "a.example. NS SOA MX TXT RRSIG NSEC DNSKEY CAA",
        "123481800001000100000000076578616d706c6500002f0001c00c002f00010000012c00170161076578616d706c6500000722018000000380010140",
    ),
    (
        "NSEC3",
        "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG",
        "123481800001000100000000203070396d6861766571766d36743776626c356c6f703275337432727033746f6d076578616d706c650000320001c00c003200010000012c00260101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b0006400000000002",
    ),
    ("NSEC3PARAM", "1 0 0 -", "123481800001000100000000076578616d706c650000330001c00c003300010000012c00050100000000"),
    (
        "TLSA",
        "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
        "123481800001000100000000045f343433045f746370076578616d706c650000340001c00c003400010000012c0023030101d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
    ),
    (
        "NAPTR",
        r#"100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.gatech.example."#,
        "123481800001000100000000076578616d706c650000230001c00c002300010000012c00310064003201730d7a333935302b49324c2b49324300065f7a33393530045f74637006676174656368076578616d706c6500",
    ),
    (
        "URI",
        r#"10 1 "ftp://ftp1.example/public""#,
        "123481800001000100000000076578616d706c650001000001c00c010000010000012c001d000a00016674703a2f2f667470312e6578616d706c652f7075626c6963",
    ),
    (
        "HINFO",
        r#""PC" "Linux""#,
        "123481800001000100000000076578616d706c6500000d0001c00c000d00010000012c0009025043054c696e7578",
    ),
    (
        "DNAME",
        "new.example.",
        "123481800001000100000000036f6c64076578616d706c650000270001c00c002700010000012c000d036e6577076578616d706c6500",
    ),
    (
        "EUI48",
        "00-00-5e-00-53-2a",
        "1234818000010001000000000165076578616d706c6500006c0001c00c006c00010000012c000600005e00532a",
    ),
    (
        "AFSDB",
        "1 afs.example.",
        "123481800001000100000000076578616d706c650000120001c00c001200010000012c000f000103616673076578616d706c6500",
    ),
    ("TYPE65280", r"\# 3 abcdef", "123481800001000100000000076578616d706c6500ff000001c00cff0000010000012c0003abcdef"),
];

/// A query for www.example.com with EDNS: 1232 octets, DNSSEC wanted, client subnet and cookie (dnspython, too).
const EDNS: &str = "beef0100000100000000000103777777076578616d706c6503636f6d000001000100002904d00000800000170008000700011800c00002000a00080102030405060708";

fn datagram(direction: Direction, milliseconds: u64) -> Envelope {
    Envelope { datagram: true, ..envelope(direction, milliseconds) }
}

/// What a flow of datagrams, a millisecond apart, tells.
fn said(protocol: &'static Protocol, datagrams: &[(Direction, &[u8])]) -> Collected {
    let (mut flow, mut sink) = ((protocol.open)(&Limits::DEFAULT), Collected::default());
    for (at, (direction, bytes)) in datagrams.iter().enumerate() {
        flow.parse(&datagram(*direction, at as u64), bytes, &mut sink);
    }
    flow.expire(Timestamp::MAX, &mut sink);
    sink
}

use crate::time::Timestamp;

fn one(protocol: &'static Protocol, direction: Direction, message: &[u8]) -> Heard {
    said(protocol, &[(direction, message)]).messages.remove(0)
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut name: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    name.push(0);
    name
}

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags].iter().chain(&counts).flat_map(|word| word.to_be_bytes()).collect()
}

fn question(text: &str, kind: u16) -> Vec<u8> {
    [name(text), kind.to_be_bytes().to_vec(), vec![0, 1]].concat()
}

fn query(id: u16, text: &str) -> Vec<u8> {
    [header(id, 0x0100, [1, 0, 0, 0]), question(text, names::A)].concat()
}

fn response(id: u16, text: &str) -> Vec<u8> {
    let answer = [&[0xc0, 12][..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]].concat();
    [header(id, 0x8180, [1, 1, 0, 0]), question(text, names::A), answer].concat()
}

fn text(hexadecimal: &str) -> String {
    String::from_utf8(bytes(hexadecimal)).unwrap()
}

fn prefixed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

#[test]
fn data_of_every_type_are_what_another_implementation_says_they_are() {
    for (kind, data, octets) in RECORDS {
        let heard = one(&PROTOCOL, ToClient, &bytes(octets));
        assert_eq!(heard.field("answers.rdata"), *data, "{kind}");
        assert_eq!(heard.kinds(), [""; 0], "{kind}");
        assert!(heard.json.contains(&format!(r#""rrtype": "{kind}""#)), "{kind}: {}", heard.json);
        assert_eq!((PROTOCOL.probe)(&bytes(octets), ToClient), Probe::Certain, "{kind}");
    }
}

#[test]
fn the_layout_of_each_type_is_that_of_eve() {
    let records: Vec<String> = RECORDS
        .iter()
        .filter(|record| ["A", "MX", "TXT", "SOA", "SRV", "SSHFP", "SVCB"].contains(&record.0))
        .map(|record| one(&PROTOCOL, ToClient, &bytes(record.2)).json)
        .collect();
    insta::assert_snapshot!(records.join("\n"));
}

#[test]
fn edns_tells_of_its_sender_and_of_whom_it_asks_for() {
    let heard = one(&PROTOCOL, ToServer, &bytes(EDNS));
    let fields =
        ["edns_version", "edns_udp_size", "edns_do", "edns_option", "client_subnet", "additional_type", "rcode"];
    assert_eq!(fields.map(|name| heard.field(name)), ["0", "1232", "true", "8 10", "192.0.2.0/24", "41", "0"]);
    insta::assert_snapshot!(heard.json);
    let mut refused = bytes(EDNS);
    refused[2] |= 0x80;
    // The extended code is the first octet of what is the time to live elsewhere.
    let at = refused.len() - 23 - 6;
    refused[at] = 1;
    let heard = one(&PROTOCOL, ToClient, &refused);
    assert_eq!(heard.field("rcode"), "16");
    assert!(heard.json.contains(r#""rcode": "BADVERS""#), "{}", heard.json);
}

#[test]
fn a_response_answers_the_request_with_its_identifier() {
    let sink = said(
        &PROTOCOL,
        &[
            (ToServer, &query(1, "a.example")),
            (ToServer, &query(2, "b.example")),
            (ToServer, &query(3, "lost.example")),
            (ToClient, &response(2, "B.example")),
            (ToClient, &response(1, "a.example")),
        ],
    );
    assert_eq!(sink.messages.iter().map(|message| message.transaction).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(sink.messages.iter().all(|message| message.anomalies.is_empty()));
    let pairings: Vec<_> = sink.transactions.iter().map(|record| (record.transaction, record.pairing)).collect();
    let asked = |milliseconds: u64| Pairing::Answered(Timestamp(milliseconds * 1_000_000));
    assert_eq!(
        pairings,
        [
            (1, Pairing::None),
            (2, Pairing::None),
            (3, Pairing::None),
            (4, asked(1)),
            (5, asked(0)),
            (3, Pairing::Unanswered)
        ]
    );
    assert!(sink.transactions[5].json.contains(r#""type": "unanswered""#));
}

#[test]
fn what_asks_again_gives_up_what_it_asked_before() {
    let sink = said(
        &PROTOCOL,
        &[
            (ToServer, &query(7, "a.example")),
            (ToServer, &query(7, "a.example")),
            (ToClient, &response(7, "a.example")),
        ],
    );
    let pairings: Vec<_> = sink.transactions.iter().map(|record| record.pairing).collect();
    assert_eq!(pairings, [Pairing::None, Pairing::None, Pairing::Unanswered, Pairing::Answered(Timestamp(1_000_000))]);
}

#[test]
fn responses_that_nobody_asked_for_are_told_where_requests_are_seen() {
    let kinds = |datagrams: &[(Direction, &[u8])]| said(&PROTOCOL, datagrams).messages.pop().unwrap().kinds();
    let (asked, answered, forged) = (query(1, "a.example"), response(1, "a.example"), response(1, "evil.example"));
    assert_eq!(kinds(&[(ToClient, &answered)]), [""; 0], "a tap that sees one way");
    assert_eq!(kinds(&[(ToServer, &asked), (ToClient, &answered)]), [""; 0]);
    assert_eq!(kinds(&[(ToServer, &asked), (ToClient, &answered), (ToClient, &answered)]), ["unsolicited_response"]);
    assert_eq!(kinds(&[(ToServer, &asked), (ToClient, &forged)]), ["question_mismatch"]);
    let sink = said(&PROTOCOL, &[(ToServer, &asked), (ToClient, &forged), (ToClient, &answered)]);
    assert_eq!(
        sink.transactions.last().unwrap().pairing,
        Pairing::Answered(Timestamp(0)),
        "the right answer still counts"
    );
}

#[test]
fn the_answers_to_a_transfer_may_be_many() {
    let (mut flow, mut sink) = ((TCP.open)(&Limits::DEFAULT), Collected::default());
    let mut asked = query(5, "example");
    let kind = asked.len() - 4;
    asked[kind..kind + 2].copy_from_slice(&names::AXFR.to_be_bytes());
    let mut answered = response(5, "example");
    answered[kind..kind + 2].copy_from_slice(&names::AXFR.to_be_bytes());
    flow.parse(&envelope(ToServer, 0), &prefixed(&asked), &mut sink);
    flow.parse(&envelope(ToClient, 1), &prefixed(&answered), &mut sink);
    flow.parse(&envelope(ToClient, 2), &prefixed(&answered), &mut sink);
    assert!(sink.messages.iter().all(|message| message.anomalies.is_empty()));
    assert_eq!(sink.messages[0].field("query_type"), "252");
}

#[test]
fn requests_that_wait_are_bounded() {
    let limits = Limits { requests: 2, ..Limits::DEFAULT };
    let (mut flow, mut sink) = ((PROTOCOL.open)(&limits), Collected::default());
    for id in 0..5 {
        flow.parse(&datagram(ToServer, id.into()), &query(id, "a.example"), &mut sink);
    }
    assert_eq!((sink.bounded.len(), flow.kept().requests), (3, 2));
    let unanswered = sink.transactions.iter().filter(|record| record.pairing == Pairing::Unanswered);
    assert_eq!(unanswered.count(), 3);
    flow.parse(&datagram(ToClient, 9), &response(0, "a.example"), &mut sink);
    assert_eq!(sink.messages.last().unwrap().kinds(), [""; 0], "its request was given up");
}

#[test]
fn names_are_read_through_pointers_that_lead_back_and_ahead() {
    // The first question is spelt at the end of the second (RFC 1035 forbids no such thing).
    let ahead =
        [header(1, 0x0100, [2, 0, 0, 0]), vec![0xc0, 18, 0, 1, 0, 1], question("code.example", names::A)].concat();
    let heard = one(&PROTOCOL, ToServer, &ahead);
    assert_eq!(heard.fields["query"].iter().map(|name| text(name)).collect::<Vec<_>>(), ["code.example"; 2]);
    assert_eq!(heard.kinds(), [""; 0]);
}

#[test]
fn pointers_that_lead_in_circles_end_the_name() {
    let looping = |name: &[u8]| [&header(1, 0x0100, [1, 0, 0, 0]), name, &[0, 1, 0, 1][..]].concat();
    let circles: [&[u8]; 3] = [&[0xc0, 12], &[1, b'a', 0xc0, 12], &[0xc0, 14, 0xc0, 12]];
    for circle in &circles[..2] {
        let heard = one(&PROTOCOL, ToServer, &looping(circle));
        assert_eq!(heard.kinds(), ["infinite_loop"], "{circle:?}");
        assert!(heard.json.contains(r#""rrname_truncated": true"#));
    }
    // Two pointers at each other: the second lies where the type is.
    let heard = one(&PROTOCOL, ToServer, &[&header(1, 0x0100, [1, 0, 0, 0])[..], circles[2], &[0, 1]].concat());
    assert_eq!(heard.kinds(), ["infinite_loop"]);
    // A chain of pointers without end in sight.
    let mut chain = header(1, 0x0100, [1, 0, 0, 0]);
    (0..200u16).for_each(|link| chain.extend((0xc000 | (14 + 2 * link)).to_be_bytes()));
    chain.extend([0, 0, 1, 0, 1]);
    assert!(one(&PROTOCOL, ToServer, &chain).kinds().contains(&"infinite_loop"));
}

#[test]
fn names_beyond_what_the_standard_allows_are_read_and_reported() {
    let long = ["abcdefghijklmnopqrstuvwxyz0123456789"; 8].join(".");
    let heard = one(&PROTOCOL, ToServer, &query(1, &long));
    assert_eq!((heard.kinds(), text(&heard.field("query"))), (vec!["name_too_long"], long.clone()));
    assert_eq!(heard.field("query_length"), long.len().to_string());
    let longer = ["abcdefghijklmnopqrstuvwxyz0123456789"; 40].join(".");
    let heard = one(&PROTOCOL, ToServer, &query(1, &longer));
    assert!(longer.starts_with(&text(&heard.field("query"))) && heard.json.contains(r#""rrname_truncated": true"#));
    let labels = ["a"; 300].join(".");
    assert_eq!(one(&PROTOCOL, ToServer, &query(1, &labels)).kinds(), ["too_many_labels"]);
}

#[test]
fn what_the_standard_does_not_allow_is_named_with_its_place() {
    let whole = response(1, "a.example");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = whole.clone();
        change(&mut message);
        let heard = one(&PROTOCOL, ToClient, &message);
        heard.anomalies.iter().map(|anomaly| (anomaly.kind, anomaly.offset)).collect::<Vec<_>>()
    };
    assert_eq!(with(&|_| {}), []);
    assert_eq!(with(&|message| message[3] |= 0x40), [(Z_FLAG_SET, 2)]);
    assert_eq!(with(&|message| message[2] |= 0x40), [(INVALID_OPCODE, 2)]);
    assert_eq!(with(&|message| message[2] &= 0x7f), [(NOT_RESPONSE, 2)]);
    assert_eq!(with(&|message| message.truncate(40)), [(MALFORMED_DATA, 27)]);
    assert_eq!(with(&|message| message[9] = 1), [(INVALID_AUTHORITIES, 43)]);
    assert_eq!(with(&|message| message[11] = 1), [(INVALID_ADDITIONALS, 43)]);
    assert_eq!(with(&|message| message.push(0)), [(TRAILING_DATA, 43)]);
    assert_eq!(with(&|message| (message[38] = 3, message.pop()).0), [(INVALID_RDATA, 39)]);
    assert_eq!(with(&|message| (message[2] |= 2, message.truncate(40)).0), [], "truncated on purpose");
    assert_eq!(one(&PROTOCOL, ToServer, &whole).kinds(), ["not_request"]);
    let empty = [&whole[..37], &[0, 0]].concat();
    assert_eq!(one(&PROTOCOL, ToClient, &empty).kinds(), [""; 0], "an update deletes with empty data");
    let sink = said(&PROTOCOL, &[(ToServer, &whole[..11])]);
    assert_eq!((sink.messages.len(), sink.anomalies[0].kind), (0, MALFORMED_DATA));
}

#[test]
fn many_records_are_read_up_to_a_bound() {
    let mut message = header(1, 0x8180, [0, 3000, 0, 0]);
    (0..3000).for_each(|_| message.extend([0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]));
    let heard = one(&PROTOCOL, ToClient, &message);
    assert_eq!((heard.kinds(), heard.fields["address"].len()), (vec!["too_many_records"], 2048));
    assert!(heard.json.contains(r#""answers_omitted": 1792"#));
}

#[test]
fn multicast_has_neither_pairs_nor_directions_and_tells_who_speaks() {
    let asked = [header(0, 0, [1, 0, 0, 0]), question("_ipp._tcp.local", names::PTR)].concat();
    let mut answered = [header(0, 0x8400, [0, 1, 0, 0]), name("plc7.local"), vec![0, 1, 0x80, 1]].concat();
    answered.extend([0, 0, 0, 120, 0, 4, 192, 0, 2, 7]);
    let sink = said(&MDNS, &[(ToServer, &asked), (ToServer, &answered)]);
    assert!(sink.messages.iter().all(|message| message.anomalies.is_empty() && message.protocol == &MDNS));
    assert_eq!(sink.transactions.len(), 2);
    assert_eq!(sink.messages[1].facts, ["client name plc7.local"]);
    let fields = ["answer_class", "cache_flush", "address"].map(|name| sink.messages[1].field(name));
    assert_eq!(fields, ["1", "true", "192.0.2.7"]);
    let heard = one(&LLMNR, ToClient, &response(9, "plc7"));
    assert_eq!((heard.facts, heard.protocol.name), (vec!["server name plc7".to_owned()], "llmnr"));
    assert_eq!(one(&PROTOCOL, ToClient, &response(9, "plc7")).facts, [""; 0]);
}

fn conversation(port: u16, medium: Medium) -> Conversation {
    Conversation::new(
        Opening { client_port: 40000, server_port: port, medium, roles_known: port != 0 },
        PROTOCOLS,
        &Limits::DEFAULT,
    )
}

#[test]
fn it_is_found_on_any_port_and_its_namesakes_on_theirs() {
    for (port, found) in [(53, "dns"), (10053, "dns"), (5353, "mdns"), (5355, "llmnr")] {
        let (mut talk, mut sink) = (conversation(port, Medium::Datagram), Collected::default());
        talk.data(&datagram(ToServer, 0), &query(1, "a.example"), &mut sink);
        assert_eq!(talk.protocol().map(|protocol| protocol.name), Some(found), "{port}");
        assert_eq!(sink.messages.len(), 1);
    }
    for (port, found) in [(53, "dns"), (10053, "dns"), (5355, "llmnr")] {
        let (mut talk, mut sink) = (conversation(port, Medium::Stream), Collected::default());
        let octets = prefixed(&query(1, "a.example"));
        // Some clients send the length in a segment of its own.
        talk.data(&envelope(ToServer, 0), &octets[..2], &mut sink);
        talk.data(&envelope(ToServer, 0), &octets[2..], &mut sink);
        assert_eq!(talk.protocol().map(|protocol| protocol.name), Some(found), "{port}");
        assert_eq!(sink.messages.len(), 1);
    }
}

#[test]
fn a_response_seen_first_turns_the_roles_round() {
    let opening = Opening { client_port: 10053, server_port: 40000, medium: Medium::Datagram, roles_known: false };
    let (mut talk, mut sink) = (Conversation::new(opening, PROTOCOLS, &Limits::DEFAULT), Collected::default());
    talk.data(&datagram(ToServer, 0), &response(1, "a.example"), &mut sink);
    assert_eq!((sink.messages[0].direction, talk.take_reversed()), (ToClient, true));
}

#[test]
fn the_name_service_of_netbios_is_not_taken_for_it() {
    // A name query for WORKGROUP<1c> to the broadcast address (RFC 1002 §4.2.12).
    let asked = bytes(
        "8001 0110 0001 0000 0000 0000 20 464845504643454c45484643455046464641434143414341434143414341424d 00 0020 0001",
    );
    let letters = asked[13..45].iter().all(|octet| (b'A'..=b'P').contains(octet));
    assert!(letters, "{}", hex(&asked));
    let mut changed = asked.clone();
    changed[20] = b'u';
    changed[46..48].fill(0x71);
    assert_eq!((PROTOCOL.probe)(&changed, ToServer), Probe::No);
    changed[45] = 0x77;
    assert_eq!((PROTOCOL.probe)(&changed, ToServer), Probe::No, "nor when its name does not end");
    for direction in [ToServer, ToClient] {
        assert_eq!((PROTOCOL.probe)(&asked, direction), Probe::No);
        assert_eq!((TCP.probe)(&prefixed(&asked), direction), Probe::No);
    }
}

#[test]
fn a_certificate_query_of_dnscrypt_with_an_odd_record_behind_it_is_dns() {
    // What pads the query is a record of type 0 and class 0, as clients of DNSCrypt send it to port 443.
    let mut asked = query(1, "2.dnscrypt-cert.example");
    asked[11] = 1;
    asked.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 12, 0, 0]);
    assert_eq!((PROTOCOL.probe)(&asked, ToServer), Probe::Certain);
}

#[test]
fn a_question_of_no_known_class_is_believed_on_the_port_alone() {
    let mut asked = query(1, "a.example");
    let class = asked.len() - 2;
    asked[class..].fill(0x6b);
    assert_eq!((PROTOCOL.probe)(&asked, ToServer), Probe::OnPort);
    asked[12] = 0x41;
    assert_eq!((PROTOCOL.probe)(&asked, ToServer), Probe::OnPort, "the name begins with a reserved label type");
    asked[5] = 9;
    assert_eq!((PROTOCOL.probe)(&asked, ToServer), Probe::No, "nine questions are longer");
}

#[test]
fn malformed_messages_are_believed_on_the_port_alone() {
    let mut cut = response(1, "a.example");
    cut.truncate(36);
    assert_eq!((PROTOCOL.probe)(&cut, ToClient), Probe::OnPort);
    assert_eq!((TCP.probe)(&prefixed(&cut), ToClient), Probe::OnPort);
    let (mut talk, mut sink) = (conversation(53, Medium::Datagram), Collected::default());
    talk.data(&datagram(ToClient, 0), &cut, &mut sink);
    assert_eq!(sink.messages[0].kinds(), ["malformed_data"]);
    let (mut talk, mut sink) = (conversation(999, Medium::Datagram), Collected::default());
    talk.data(&datagram(ToClient, 0), &cut, &mut sink);
    assert!(talk.protocol().is_none() && sink.messages.is_empty());
}

/// Names as queries of a client on one TCP connection, pipelined, and their answers.
fn pipelined() -> (Vec<u8>, Vec<u8>) {
    let names = ["a.example", "b.example", "c.example"];
    let numbered = || (1u16..4).zip(names);
    let asked = numbered().flat_map(|(id, name)| prefixed(&query(id, name))).collect();
    let answered = numbered().rev().flat_map(|(id, name)| prefixed(&response(id, name))).collect();
    (asked, answered)
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_messages() {
    let (asked, answered) = pipelined();
    let told = |cut: usize| {
        let (mut talk, mut sink) = (conversation(53, Medium::Stream), Collected::default());
        for (direction, octets) in [(ToServer, &asked), (ToClient, &answered)] {
            let (before, behind) = octets.split_at(cut.min(octets.len()));
            for part in [before, behind].into_iter().filter(|part| !part.is_empty()) {
                talk.data(&envelope(direction, 0), part, &mut sink);
            }
        }
        sink.transactions
    };
    let whole = told(0);
    assert_eq!(whole.len(), 6);
    assert!(whole[3..].iter().all(|record| record.pairing == Pairing::Answered(Timestamp(0))));
    (1..answered.len()).for_each(|cut| assert!(told(cut) == whole, "{cut}"));
}

#[test]
fn after_a_gap_the_next_message_is_found() {
    let (asked, answered) = pipelined();
    let (mut talk, mut sink) = (conversation(53, Medium::Stream), Collected::default());
    talk.data(&envelope(ToServer, 0), &asked, &mut sink);
    talk.data(&envelope(ToClient, 0), &answered[..20], &mut sink);
    talk.gap(ToClient, 1);
    talk.data(&envelope(ToClient, 0), &answered[30..], &mut sink);
    let answers: Vec<_> = sink.messages[3..].iter().map(|message| message.field("id")).collect();
    assert_eq!(answers, ["2", "1"]);
    assert!(sink.messages[3..].iter().all(|message| message.anomalies.is_empty()));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        counts in prop::array::uniform4(0u16..4),
        response in any::<bool>(),
    ) {
        let message = [header(1, u16::from(response) << 15, counts), octets].concat();
        for (protocol, direction) in [(&PROTOCOL, ToServer), (&MDNS, ToServer), (&LLMNR, ToClient)] {
            let sink = said(protocol, &[(direction, &message)]);
            prop_assert_eq!(sink.messages.len(), 1);
            let declared = |kind: &str| ANOMALIES.iter().any(|anomaly| anomaly.name == kind);
            prop_assert!(sink.messages[0].kinds().into_iter().all(declared));
        }
        for protocol in [&PROTOCOL, &TCP, &MDNS, &LLMNR, &LLMNR_TCP] {
            (protocol.probe)(&message, ToServer);
            if let crate::Frame::Whole(length) = (protocol.frame)(&message, ToServer) {
                prop_assert!(length <= message.len());
            }
        }
    }

    /// Names of octets that pointers are made of: every read ends.
    #[test]
    fn names_of_pointers_end(octets in prop::collection::vec(prop_oneof![Just(0xc0u8), 0u8..80], 20..200)) {
        let message = [header(1, 0x8000, [2, 2, 1, 1]), octets].concat();
        prop_assert_eq!(said(&PROTOCOL, &[(ToClient, &message)]).messages.len(), 1);
    }

    #[test]
    fn what_is_asked_is_read(labels in prop::collection::vec("[a-z0-9_-]{1,20}", 1..8), kind in 1u16..300, id in any::<u16>()) {
        let asked = labels.join(".");
        let message = [header(id, 0x0100, [1, 0, 0, 0]), question(&asked, kind)].concat();
        let heard = one(&PROTOCOL, ToServer, &message);
        prop_assert_eq!(text(&heard.field("query")), asked);
        prop_assert_eq!((heard.field("query_type"), heard.field("id")), (kind.to_string(), id.to_string()));
        prop_assert!(heard.kinds().is_empty());
    }

    #[test]
    fn no_conversation_panics(chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..12)) {
        for medium in [Medium::Stream, Medium::Datagram] {
            let (mut talk, mut sink) = (conversation(53, medium), Collected::default());
            for (direction, chunk) in &chunks {
                let direction = if *direction { ToServer } else { ToClient };
                talk.data(&Envelope { datagram: medium == Medium::Datagram, ..envelope(direction, 0) }, chunk, &mut sink);
            }
            talk.expire(Timestamp::MAX, &mut sink);
        }
    }
}
