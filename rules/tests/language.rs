//! Keyword families, one table each: a rule, and the payloads (or packets) that it does and does not match.

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::{CLIENT, Flow, SERVER, captured, compile, engine, frame};
use proptest::prelude::*;
use vigia_parsers::Direction::ToServer;
use vigia_parsers::packet::{DecodeLimits, decode};
use vigia_rules::{Engine, FlowFacts, Moment, Subject};

/// Rule options, payloads of UDP that match, and payloads that do not.
type Case = (&'static str, &'static [&'static [u8]], &'static [&'static [u8]]);

#[track_caller]
fn check(cases: &[Case]) {
    for (options, matching, other) in cases {
        let engine = engine(&format!("alert udp any any -> any any ({options} sid:1;)"));
        let raised = |payload: &[u8]| !Flow::new(&engine).packet(17, payload, ToServer).is_empty();
        for payload in *matching {
            assert!(raised(payload), "{options} matches {}", payload.escape_ascii());
        }
        for payload in *other {
            assert!(!raised(payload), "{options} does not match {}", payload.escape_ascii());
        }
    }
}

#[test]
fn numbers_in_the_payload() {
    check(&[
        ("byte_test:1,=,5,0;", &[b"\x05"], &[b"\x06", b""]),
        ("byte_test:2,>,0x0100,1;", &[b"-\x01\x01"], &[b"-\x01\x00", b"-\x01"]),
        ("byte_test:2,=,1,0,little;", &[b"\x01\x00"], &[b"\x00\x01"]),
        ("byte_test:1,!=,5,0;", &[b"\x06"], &[b"\x05", b""]),
        ("byte_test:1,&,0x81,0;", &[b"\x80", b"\x01"], &[b"\x7e"]),
        ("byte_test:1,!&,0x81,0;", &[b"\x7e"], &[b"\x01"]),
        ("byte_test:1,=,9,0,bitmask 0xf8;", &[b"H"], &[b"@"]),
        ("byte_test:4,=,123,0,string,dec;", &[b"123 ", b" 123"], &[b"1234", b"abcd"]),
        ("byte_test:4,=,0x1f,0,string,hex;", &[b"1f  ", b"0x1f"], &[b"1e  "]),
        ("content:\"ab\"; byte_test:1,=,7,1,relative;", &[b"ab-\x07", b"ab..ab-\x07"], &[b"ab\x07"]),
        ("byte_jump:1,0; content:\"x\"; distance:0; within:1;", &[b"\x02--x"], &[b"\x01--x", b"\x09x"]),
        (
            "byte_jump:1,0,multiplier 2,post_offset -1; content:\"x\"; distance:0; within:1;",
            &[b"\x02---x"],
            &[b"\x02x"],
        ),
        ("byte_jump:1,0,align; content:\"x\"; distance:0; within:1;", &[b"\x03----x"], &[b"\x03---x"]),
        ("byte_jump:1,0,from_beginning; content:\"x\"; distance:0; within:1;", &[b"\x02-x"], &[b"\x02--x"]),
        ("byte_jump:0,0,from_end,post_offset -2; content:\"xy\"; distance:0;", &[b"--xy"], &[b"xy-"]),
        ("byte_jump:2,0; isdataat:!1,relative;", &[b"\x00\x02ab"], &[b"\x00\x02abc", b"\x00\x02a"]),
        ("byte_extract:1,0,n; content:\"x\"; offset:n;", &[b"\x02-x"], &[b"\x03-x"]),
        ("byte_extract:1,0,n,multiplier 2; byte_test:1,=,n,1;", &[b"\x03\x06"], &[b"\x03\x03"]),
        ("byte_extract:1,0,n; content:\"ab\"; distance:n; within:2;", &[b"\x01-ab"], &[b"\x00-ab"]),
        ("byte_math:bytes 1, offset 0, oper +, rvalue 2, result r; byte_test:1,=,r,1;", &[b"\x01\x03"], &[b"\x01\x02"]),
        (
            "byte_extract:1,0,n; byte_math:bytes 1, offset 1, oper /, rvalue n, result r; byte_test:1,=,r,2;",
            &[b"\x02\x08\x04"],
            &[b"\x00\x08\x00"],
        ),
        (
            "byte_math:bytes 1, offset 0, oper <<, rvalue 3, result r; byte_test:1,=,r,1;",
            &[b"\x01\x08"],
            &[b"\x01\x01"],
        ),
    ]);
}

#[test]
fn places_in_the_payload() {
    check(&[
        ("isdataat:3;", &[b"abcd"], &[b"abc"]),
        ("isdataat:!3;", &[b"abc"], &[b"abcd"]),
        ("content:\"ab\"; isdataat:2,relative;", &[b"abcd"], &[b"abc"]),
        ("bsize:3; content:\"a\";", &[b"abc"], &[b"ab", b"abcd"]),
        ("bsize:<3; content:\"a\";", &[b"ab"], &[b"abc"]),
        ("dsize:!3;", &[b"ab"], &[b"abc", b""]),
        ("dsize:0;", &[b""], &[b"a"]),
    ]);
}

#[test]
fn expressions() {
    check(&[
        ("pcre:\"/^a.c$/\";", &[b"abc"], &[b"xabc", b"ABC", b"a\nc"]),
        ("pcre:\"/^a.c$/is\";", &[b"ABC", b"a\nc"], &[b"ab"]),
        ("pcre:!\"/evil/\";", &[b"good"], &[b"evil"]),
        ("pcre:\"/a b # comment/x\";", &[b"ab"], &[b"a b"]),
        ("content:\"key=\"; pcre:\"/^[0-9]{3}/R\";", &[b"key=123", b"key=x key=123"], &[b"123key=", b"key=12"]),
        ("pcre:\"/k[a-z]+=/\"; content:\"1\"; distance:0; within:1;", &[b"key=1", b"ka=2 kb=1"], &[b"key=21"]),
        ("pcre:\"/a\\/b\\;c/\";", &[b"a/b;c"], &[b"abc"]),
    ]);
}

#[test]
fn transforms_and_base64() {
    check(&[
        ("pkt_data; to_lowercase; content:\"evil\";", &[b"EviL"], &[b"good"]),
        ("pkt_data; strip_whitespace; content:\"evil\"; bsize:4;", &[b" e v\til"], &[b"e-vil"]),
        ("pkt_data; xor:\"01\"; content:\"a\"; bsize:1;", &[b"`"], &[b"a"]),
        ("pkt_data; url_decode; to_uppercase; content:\"A B\";", &[b"%61+b"], &[b"a-b"]),
        ("pkt_data; pcrexform:\"id=([0-9]+)\"; content:\"12\"; bsize:2;", &[b"id=12;"], &[b"id=123", b"12"]),
        ("pkt_data; subslice:1,2; content:\"bc\"; bsize:2;", &[b"abcd"], &[b"bcd"]),
        ("pkt_data; subslice:1,9,truncate; content:\"bcd\"; bsize:3;", &[b"abcd"], &[b"bcd"]),
        ("pkt_data; subslice:1,9; bsize:0;", &[b"abcd"], &[b"0123456789"]),
        ("base64_decode:bytes 8, offset 2; base64_data; content:\"Hello\";", &[b"--SGVsbG8="], &[b"SGVsbG8=--", b"--"]),
        ("content:\"b64:\"; base64_decode:relative; base64_data; content:\"Hi\";", &[b"b64:SGk="], &[b"SGk= b64:"]),
        ("pkt_data; to_md5; content:\"|90 01 50 98|\"; startswith; bsize:16;", &[b"abc"], &[b"abd"]),
        ("pkt_data; from_base64; content:\"Hel\";", &[b"SGVsbG8=!", b"SGVs-"], &[b"-SGVs"]),
        ("pkt_data; from_base64:bytes 4, mode: strict; content:\"Hel\";", &[b"SGVs!"], &[b"SGV!"]),
        ("pkt_data; from_base64:mode strict; content:\"Hel\";", &[b"SGVsbG8="], &[b"SGVsbG8=!", b"SGVs-"]),
    ]);
}

/// A frame of TCP, UDP or ICMP from the client, after `change`.
fn changed(ip_protocol: u8, payload: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = frame(ip_protocol, CLIENT, SERVER, payload);
    change(&mut bytes);
    bytes
}

/// Does the rule match the frame?
fn matches(engine: &Engine, bytes: &[u8], facts: Option<FlowFacts>) -> bool {
    let packet = decode(&captured(bytes), &DecodeLimits::default());
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let ends = packet.ip.as_ref().map_or([nowhere; 2], |ip| [ip.source, ip.destination]);
    let moment = Moment {
        packet: Some(&packet),
        source: (ends[0], packet.ports[0]),
        destination: (ends[1], packet.ports[1]),
        direction: Some(ToServer),
        ip_protocol: packet.ip.as_ref().map_or(0, |ip| ip.protocol),
        established: true,
        protocol: None,
        timestamp: packet.timestamp,
        flow: facts,
        route: None,
    };
    !Flow::new(engine).inspect(&moment, &Subject::Packet).is_empty()
}

#[test]
fn fields_of_headers() {
    const IP: usize = 14;
    const L4: usize = 34;
    type Change = fn(&mut Vec<u8>);
    let cases: &[(&str, u8, &str, Change, Change)] = &[
        ("tcp", 6, "tcp.flags:PA;", |_| {}, |f| f[L4 + 13] = 0x10),
        ("tcp", 6, "flags:S,12;", |f| f[L4 + 13] = 0xc2, |f| f[L4 + 13] = 0x12),
        ("tcp", 6, "flags:+S;", |f| f[L4 + 13] = 0x12, |f| f[L4 + 13] = 0x10),
        ("tcp", 6, "flags:*SF;", |f| f[L4 + 13] = 0x11, |f| f[L4 + 13] = 0x10),
        ("tcp", 6, "flags:!S;", |_| {}, |f| f[L4 + 13] = 0x02),
        ("tcp", 6, "seq:1; ack:1; window:8192;", |_| {}, |f| f[L4 + 14] = 0),
        ("tcp", 6, "tcp.hdr; content:\"|50 18|\"; offset:12; depth:2;", |_| {}, |f| f[L4 + 13] = 0),
        ("udp", 17, "udp.hdr; content:\"|00 0a|\"; offset:4; depth:2;", |_| {}, |f| f[L4 + 5] = 9),
        ("ip", 17, "ttl:64;", |_| {}, |f| f[IP + 8] = 63),
        ("ip", 17, "tos:8;", |f| f[IP + 1] = 8, |_| {}),
        ("ip", 17, "tos:x88;", |f| f[IP + 1] = 0x88, |f| f[IP + 1] = 88),
        ("ip", 17, "tos:!x88;", |f| f[IP + 1] = 88, |f| f[IP + 1] = 0x88),
        ("ip", 17, "ipopts:qs;", quick_start, |_| {}),
        ("ip", 17, "id:1;", |_| {}, |f| f[IP + 5] = 2),
        ("ip", 17, "fragbits:D;", |_| {}, |f| f[IP + 6] = 0),
        ("ip", 17, "fragbits:!D;", |f| f[IP + 6] = 0, |_| {}),
        ("ip", 17, "sameip;", |f| f.copy_within(IP + 12..IP + 16, IP + 16), |_| {}),
        ("ip", 17, "ipv4.hdr; content:\"|40 11|\"; offset:8; depth:2;", |_| {}, |f| f[IP + 8] = 63),
        ("ip", 17, "ip.src; content:\"|0a 00 00 0a|\"; bsize:4;", |_| {}, |f| f[IP + 15] = 11),
        ("ip", 17, "ether.hdr; content:\"|08 00|\"; offset:12; depth:2;", |_| {}, |f| f[13] = 6),
        ("udp", 17, "ipv4-csum:invalid;", |_| {}, |f| repair(f)),
        ("icmp", 1, "icmp_id:1; icmp_seq:1; itype:8; icode:0;", |_| {}, |f| f[L4 + 5] = 2),
        ("icmp", 1, "icmpv4.hdr; content:\"|08|\"; startswith;", |_| {}, |f| f[L4] = 0),
        ("ip", 17, "vlan.id:5;", |f| vlan(f, 5), |f| vlan(f, 6)),
        ("ip", 17, "vlan.id:5,0;", |f| vlan(f, 5), |_| {}),
        ("ip", 17, "vlan.id:>4,all; vlan.layers:1;", |f| vlan(f, 5), |f| vlan(f, 3)),
        ("ip", 17, "vlan.id:5,nb1; vlan.id:count <2;", |f| vlan(f, 5), |f| vlan(f, 3)),
        ("ip", 17, "vlan.id:5,or_absent;", |_| {}, |f| vlan(f, 3)),
        ("ip", 58, "ip_proto:ipv6-icmp;", |_| {}, |f| f[14 + 9] = 17),
    ];
    for (protocol, number, options, yes, no) in cases {
        let engine = engine(&format!("alert {protocol} any any -> any any ({options} sid:1;)"));
        assert!(matches(&engine, &changed(*number, b"ab", yes), None), "{options} matches");
        assert!(!matches(&engine, &changed(*number, b"ab", no), None), "{options} does not match");
    }
}

/// Gives the IPv4 header a Quick-Start option (RFC 4782, 3.1).
fn quick_start(frame: &mut Vec<u8>) {
    frame[14] = 0x47;
    frame[17] += 8;
    frame.splice(34..34, [25, 8, 0, 0, 0, 0, 0, 0]);
}

/// Tags a frame.
fn vlan(frame: &mut Vec<u8>, id: u8) {
    frame.splice(12..12, [0x81, 0, 0, id]);
}

/// Puts in the checksum of the IPv4 header, which stands as 0.
fn repair(frame: &mut [u8]) {
    let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn size_and_age_of_the_flow() {
    let facts = FlowFacts { packets: [5, 2], bytes: [500, 200], sent: [101, 51], ..FlowFacts::default() };
    for (options, expected) in [
        ("flow.pkts:toserver,>4;", true),
        ("flow.pkts:either,2;", true),
        ("flow.pkts:both,>4;", false),
        ("flow.bytes_toclient:200;", true),
        ("flow.bytes:toclient,>200;", false),
        ("stream_size:client,>,100;", true),
        ("stream_size:server,<,51;", false),
        ("stream_size:both,>=,51;", true),
        ("stream_size:either,=,51;", true),
        ("flow.age:<1;", true),
        ("flow.age:>20;", false),
    ] {
        let engine = engine(&format!("alert ip any any -> any any ({options} sid:1;)"));
        let packet = frame(17, CLIENT, SERVER, b"");
        assert_eq!(matches(&engine, &packet, Some(facts)), expected, "{options}");
        assert!(!matches(&engine, &packet, None), "{options} without a flow");
    }
}

#[test]
fn counts_on_the_flow() {
    let engine = engine(
        "alert udp any any -> any any (content:\"login\"; flowint:n,notset; flowint:n,=,1; noalert; sid:1;)\n\
         alert udp any any -> any any (content:\"login\"; flowint:n,isset; flowint:n,+,1; noalert; sid:2;)\n\
         alert udp any any -> any any (content:\"go\"; flowint:n,>,2; sid:3;)",
    );
    let mut flow = Flow::new(&engine);
    let mut raised = |payload: &[u8]| flow.packet(17, payload, ToServer);
    assert_eq!(raised(b"login"), [] as [u32; 0]);
    assert_eq!(raised(b"go"), [] as [u32; 0]);
    assert_eq!(raised(b"login"), [] as [u32; 0]);
    assert_eq!(raised(b"go"), [3]);
}

#[test]
fn a_division_by_zero_never_matches_and_is_pointed_at() {
    let rule = "content:\"a\"; byte_math:bytes 1, offset 0, oper /, rvalue 0, result r;";
    let compiled = compile(&format!("alert udp any any -> any any ({rule} sid:1;)"));
    assert_eq!(compiled.diagnostics.iter().map(|it| it.code).collect::<Vec<_>>(), ["never-matches"]);
    assert_eq!(Flow::new(&compiled.engine).packet(17, b"a", ToServer), [] as [u32; 0]);
}

#[test]
fn mistakes_are_refused() {
    for (options, code) in [
        ("byte_test:9,=,1,0;", "value-out-of-range"),
        ("byte_test:1,~,1,0;", "unknown-value"),
        ("byte_test:1,=,n,0;", "unknown-value"),
        ("byte_math:bytes 1, offset 0, oper +, rvalue 1, result r, endian big, endian little;", "conflict"),
        ("byte_extract:1,0,n,align 3;", "invalid-value"),
        ("byte_jump:1;", "missing-value"),
        ("pcre:\"/(/\";", "invalid-expression"),
        ("pcre:\"/a/Z\";", "unknown-value"),
        ("base64_data; content:\"a\";", "misplaced"),
        ("to_md5;", "misplaced"),
        ("absent;", "misplaced"),
        ("tcp.hdr;", "empty-buffer"),
        ("flags:X;", "unknown-value"),
        ("ipopts:none;", "unknown-value"),
        ("xbits:set,a;", "missing-value"),
        ("flowint:a,~,1;", "unknown-value"),
        ("vlan.id:5,9;", "invalid-value"),
        ("vlan.layers:4;", "never-matches"),
        ("vlan.layers:>3;", "never-matches"),
        ("rpc:*,2,3;", "invalid-value"),
        ("tos:x1ff;", "value-out-of-range"),
        ("content:\"abc\"; startswith; depth:5;", "conflict"),
        ("content:\"abc\"; startswith; distance:1;", "conflict"),
        ("content:\"abc\"; bsize:2;", "never-matches"),
        ("content:\"abc\"; bsize:<3;", "never-matches"),
        ("content:\"abc\"; fast_pattern; content:\"def\"; fast_pattern;", "conflict"),
        ("base64_decode; base64_data; content:\"abc\"; fast_pattern;", "misplaced"),
        ("content:\"abc\"; replace:\"de\";", "conflict"),
        ("detection_filter:track by_src, count 1, seconds 1, unique_on src_port;", "conflict"),
        ("threshold:type both, track by_src, count 1, multiplier 2;", "conflict"),
        ("hostbits:set,a,src,never;", "invalid-value"),
        ("hostbits:set,a,src,9,9;", "unknown-value"),
        ("requires: version >= 7, version < 10;", "conflict"),
        ("requires: version >= 7; requires: version < 10;", "conflict"),
        ("pcre:\"/(a)/, pkt:key\";", "conflict"),
    ] {
        let compiled = compile(&format!("alert ip any any -> any any ({options} sid:1;)"));
        let codes: Vec<_> = compiled.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, [code], "{options}");
    }
}

proptest! {
    #[test]
    fn no_packet_breaks_a_keyword(
        ip_protocol in prop::sample::select(vec![1u8, 2, 6, 17, 58, 132]),
        payload in prop::collection::vec(any::<u8>(), 0..80),
        cut in 0usize..120,
        noise in prop::collection::vec((0usize..120, any::<u8>()), 0..6),
    ) {
        let engine = everything();
        let mut bytes = frame(ip_protocol, CLIENT, SERVER, &payload);
        for (at, value) in noise {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.max(1));
        matches(engine, &bytes, Some(FlowFacts::default()));
    }
}

/// One rule of each family, compiled once.
fn everything() -> &'static Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    ENGINE.get_or_init(|| {
        let options = [
            "ttl:>0; id:>=0; tos:>=0; fragoffset:>=0;",
            "tcp.mss:>0;",
            "tcp.wscale:>0;",
            "icmp_id:>0;",
            "icmpv6.mtu:>0;",
            "igmp.type:>0; igmp-csum:invalid;",
            "sctp.vtag:>0; sctp.chunk_cnt:>0; sctp.chunk_type:data;",
            "sctp.chunk_data; content:\"a\";",
            "sctp.hdr; content:\"a\";",
            "ipopts:any;",
            "ipv6.hdr; content:\"a\";",
            "byte_jump:2,0; byte_test:8,>,1,-4,relative; isdataat:!1,relative;",
            "byte_extract:1,0,n; byte_math:bytes n, offset n, oper *, rvalue n, result r; content:\"a\"; offset:r;",
            "base64_decode; base64_data; pcre:\"/a+/\";",
            "pcre:\"/(a|.)*b/s\"; content:\"c\"; distance:-3;",
        ];
        let rule = |(at, options): (usize, &&str)| format!("alert ip any any -> any any ({options} sid:{};)", at + 1);
        engine(&options.iter().enumerate().map(rule).collect::<Vec<_>>().join("\n"))
    })
}
