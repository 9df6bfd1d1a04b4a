//! Suricata's keywords of DNS, as its documentation has them, and `frame`.

mod common;

use common::{Talk, compile, engine};
use vigia_parsers::Direction::ToServer;
use vigia_parsers::it::dns::{MDNS, TCP};

/// A query for www.example.com, and its answer: a CNAME to cdn.example.net, and an address; a name server besides.
/// Written octet by octet after RFC 1035 §4.1.
const QUERY: &[u8] = b"\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
const ANSWER: &[u8] = b"\x12\x34\x81\x83\x00\x01\x00\x02\x00\x01\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01\
    \xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x11\x03cdn\x07example\x03net\x00\
    \xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x09\
    \xc0\x10\x00\x02\x00\x01\x00\x00\x00\x3c\x00\x05\x02ns\xc0\x31";

/// With its length in front.
fn in_stream(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// What rules raise at the query and at its answer.
fn raised(rules: &str) -> (Vec<u32>, Vec<u32>) {
    let engine = engine(rules);
    let mut talk = Talk::new(&engine, &TCP);
    (talk.ask(&in_stream(QUERY)), talk.answer(&in_stream(ANSWER)))
}

#[test]
fn names_are_looked_for_where_each_keyword_says() {
    let rules = [
        (1, "dns.query; content:\"example\""),
        (2, "dns_query; content:\"www.example.com\"; startswith; endswith"),
        (3, "dns.queries.rrname; content:\"example.com\""),
        (4, "dns.query.name; content:\"www\"; flow:to_client"),
        (5, "dns.answers.rrname; content:\"cdn.example.net\""),
        (6, "dns.answer.name; content:\"www\""),
        (7, "dns.authorities.rrname; bsize:11; content:\"example.com\""),
        (8, "dns.additionals.rrname; content:\"e\""),
        (9, "dns.response.rrname; content:\"ns.example.net\""),
        (10, "dns.query; dotprefix; content:\".example.com\"; endswith"),
    ];
    let text: String =
        rules.iter().map(|(sid, what)| format!("alert dns any any -> any any ({what}; sid:{sid};)\n")).collect();
    assert_eq!(raised(&text), (vec![1, 2, 3, 10], vec![3, 4, 5, 6, 7, 9]));
}

#[test]
fn numbers_are_compared_by_value_and_by_name() {
    let rules = [
        (1, "dns.opcode:0"),
        (2, "dns_opcode:!0"),
        (3, "dns.rcode:NXDOMAIN"),
        (4, "dns.rcode:3; flow:to_server"),
        (5, "dns.rrtype:A"),
        (6, "dns.rrtype:CNAME"),
        (7, "dns.rcode:>2"),
        (8, "dns.address:192.0.2.0/24"),
        (9, "dns.ttl:<61,all1"),
        (10, "dns.query_length:15"),
    ];
    let text: String =
        rules.iter().map(|(sid, what)| format!("alert dns any any -> any any ({what}; sid:{sid};)\n")).collect();
    assert_eq!(raised(&text), (vec![1, 5, 10], vec![1, 3, 5, 6, 7, 8, 9, 10]));
}

#[test]
fn multicast_has_keywords_of_its_own() {
    let engine = engine(
        "alert mdns any any -> any any (mdns.queries.rrname; content:\"example\"; sid:1;)\n\
         alert udp any any -> any 5353 (mdns.answers.rrname; content:\"example\"; sid:2;)\n\
         alert dns any any -> any any (dns.queries.rrname; content:\"example\"; sid:3;)\n\
         alert llmnr any any -> any any (llmnr.response.rrname; content:\"example\"; sid:4;)\n",
    );
    let mut talk = Talk::new(&engine, &MDNS);
    assert_eq!(talk.say(ToServer, &in_stream(QUERY)), [1]);
}

#[test]
fn a_frame_is_the_message_without_what_the_transport_adds() {
    let rules = "alert tcp any any -> any any (flow:to_server; frame:dns.pdu; content:\"|12 34 01 20|\"; startswith; sid:1;)\n\
         alert dns any any -> any any (frame:pdu; content:\"|01 20 00 01|\"; offset:2; depth:4; content:\"www\"; offset:13; sid:2;)\n\
         alert udp any any -> any any (frame:dns.pdu; content:\"www\"; sid:3;)\n\
         alert dns any any -> any any (frame:dns.pdu; bsize:<34; content:\"www\"; sid:4;)\n";
    assert_eq!(raised(rules), (vec![1, 2, 4], vec![]));
}

#[test]
fn frames_that_there_are_not_are_told_from_those_that_wait() {
    let compiled = compile(
        "alert dns any any -> any any (frame:dns.pdv; content:\"a\"; sid:1;)\n\
         alert tcp any any -> any any (frame:pdu; content:\"a\"; sid:2;)\n\
         alert tcp any any -> any any (frame:websocket.pdu; content:\"a\"; sid:3;)\n\
         alert smb any any -> any any (frame:smb2.data; content:\"a\"; sid:4;)\n\
         alert tcp any any -> any any (frame:nonsense.pdu; content:\"a\"; sid:5;)\n",
    );
    let told: Vec<String> = compiled.diagnostics.iter().map(|problem| problem.code.to_owned()).collect();
    assert_eq!((compiled.failed, compiled.switched_off), (3, 2), "{told:?}");
    let wrong: Vec<&str> = told.iter().map(String::as_str).filter(|code| !code.contains("wait")).collect();
    assert!(
        wrong.contains(&"unknown-frame") && wrong.contains(&"missing-value") && wrong.contains(&"unknown-protocol")
    );
    let text: String = compiled.diagnostics.iter().map(ToString::to_string).collect();
    assert!(text.contains("did you mean `pdu`?"), "{text}");
}
