//! What rules match, over packets, streams and messages.

mod common;

use common::{Flow, Talk, engine, modbus};
use vigia_parsers::Direction::{self, ToClient, ToServer};
use vigia_parsers::ot::modbus::PROTOCOL as MODBUS;

const READ: &[u8] = &[3, 0, 10, 0, 2];
const WRITE_COIL: &[u8] = &[5, 0, 99, 0xff, 0];
const WRITE_REGISTERS: &[u8] = &[16, 1, 0xf3, 0, 2, 4, 0, 100, 3, 0xe8];

#[test]
fn a_field_is_compared_and_the_transaction_alerts_once() {
    let engine = engine(
        "alert modbus any any -> any any (msg:\"w\"; modbus.function:write_single_coil; sid:1;)\n\
         alert modbus any any -> any any (msg:\"r\"; modbus.function:1-5; sid:2;)\n\
         alert modbus any any -> any any (msg:\"v\"; modbus.value:>999; sid:3;)\n",
    );
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, WRITE_COIL)), [1]);
    assert_eq!(talk.answer(&modbus(1, WRITE_COIL)), [] as [u32; 0]);
    assert_eq!(talk.ask(&modbus(2, WRITE_COIL)), [1]);
    assert_eq!(talk.ask(&modbus(3, READ)), [2]);
    assert_eq!(talk.ask(&modbus(4, WRITE_REGISTERS)), [3]);
}

#[test]
fn conditions_on_one_field_may_hold_of_different_values() {
    let engine = engine(
        "alert modbus any any -> any any (msg:\"b\"; modbus.value:100; modbus.value:1000; sid:1;)\n\
         alert modbus any any -> any any (msg:\"n\"; modbus.value:100; modbus.value:101; sid:2;)\n",
    );
    assert_eq!(Talk::new(&engine, &MODBUS).ask(&modbus(1, WRITE_REGISTERS)), [1]);
}

#[test]
fn the_modbus_keyword_speaks_suricatas_grammar() {
    let rule = |sid: u32, what: &str| format!("alert modbus any any -> any any (modbus: {what}; sid:{sid};)\n");
    let rules = [
        rule(1, "function 5"),
        rule(2, "function !5"),
        rule(3, "function assigned"),
        rule(4, "function !reserved"),
        rule(5, "access read holding"),
        rule(6, "access write"),
        rule(7, "access write coils, address 100"),
        rule(8, "access write coils, address <100"),
        rule(9, "access write holding, address 501, value >999"),
        rule(10, "access write holding, address 500, value >999"),
        rule(11, "access write holding, address 400<>600, value 100"),
        rule(12, "function 8, subfunction 4"),
        rule(13, "unit 1"),
        rule(14, "unit 1<>5, function user"),
        rule(15, "access read coils"),
        rule(16, "access read holding, address 12"),
        rule(17, "access read holding, address >12"),
        rule(18, "unit 9<>500"),
    ];
    let engine = engine(&rules.concat());
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, WRITE_COIL)), [1, 3, 4, 6, 7, 13]);
    assert_eq!(talk.ask(&modbus(2, WRITE_REGISTERS)), [2, 3, 4, 6, 9, 11, 13]);
    assert_eq!(talk.ask(&modbus(3, READ)), [2, 3, 4, 5, 13, 16]);
    assert_eq!(talk.ask(&modbus(4, &[8, 0, 4, 0, 0])), [2, 3, 4, 12, 13]);
    assert_eq!(talk.answer(&modbus(3, &[3, 4, 0, 1, 0, 2])), [] as [u32; 0]);
}

#[test]
fn a_response_counts_for_the_modbus_keyword_only_when_its_request_was_lost() {
    let engine = engine("alert modbus any any -> any any (modbus: function 5; sid:1;)");
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.answer(&modbus(7, WRITE_COIL)), [1]);
}

#[test]
fn events_of_the_application_layer_match_with_and_without_a_record() {
    let engine = engine(
        "alert modbus any any -> any any (app-layer-event:modbus.invalid_protocol_id; sid:1;)\n\
         alert modbus any any -> any any (app-layer-event:modbus.invalid_function_code; sid:2;)\n",
    );
    let mut talk = Talk::new(&engine, &MODBUS);
    let mut foreign = modbus(1, READ);
    foreign[3] = 9;
    assert_eq!(talk.ask(&foreign), [1]);
    assert_eq!(talk.ask(&modbus(2, &[0, 1])), [2]);
    assert_eq!(talk.ask(&modbus(3, READ)), [] as [u32; 0]);
}

#[test]
fn addresses_ports_and_direction_of_the_header_count() {
    let engine = engine(
        "alert modbus 10.0.0.10 any -> any 502 (modbus.function:3; sid:1;)\n\
         alert modbus !10.0.0.10 any -> any 502 (modbus.function:3; sid:2;)\n\
         alert modbus any 502 <> 10.0.0.10 any (modbus.function:3; sid:3;)\n\
         alert modbus any any -> any any (flow:to_client; modbus.function:3; sid:4;)\n\
         alert modbus 10.0.0.10 any => any 502 (flow:to_client; modbus.function:3; sid:5;)\n",
    );
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, READ)), [1, 3]);
    assert_eq!(talk.answer(&modbus(1, &[3, 4, 0, 1, 0, 2])), [4, 5]);
}

#[test]
fn contents_are_searched_in_fields() {
    let engine = engine(
        "alert modbus any any -> any any (modbus.data; content:\"|00 0a|\"; startswith; content:\"|02|\"; endswith; sid:1;)\n\
         alert modbus any any -> any any (modbus.data; content:\"|00 0b|\"; sid:2;)\n",
    );
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, READ)), [1]);
}

#[test]
fn tcp_contents_are_searched_in_the_stream_unless_they_have_a_place_or_packet_fields() {
    let engine = engine(
        "alert tcp any any -> any any (content:\"EVIL\"; sid:1;)\n\
         alert tcp-pkt any any -> any any (content:\"EVIL\"; sid:2;)\n\
         alert tcp-stream any any -> any any (content:\"EVIL\"; sid:3;)\n\
         alert tcp any any -> any any (content:\"EVIL\"; depth:4; sid:4;)\n\
         alert tcp any any -> any any (content:\"EVIL\"; dsize:<10; sid:5;)\n\
         alert ip any any -> any any (content:\"evil\"; nocase; sid:6;)\n\
         alert udp any any -> any any (content:\"EVIL\"; sid:7;)\n",
    );
    assert!(engine.wants_packets() && engine.wants_stream());
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.packet(6, b"EVIL", ToServer), [2, 4, 5]);
    assert_eq!(flow.stream(b"all EVIL", ToServer), [1, 3, 6]);
    assert_eq!(flow.packet(17, b"EVIL", ToServer), [6, 7]);
    assert_eq!(flow.packet(6, b"good", ToServer), [] as [u32; 0]);
}

/// What a rule with a place says of segments that come in turn, as the sensor shows them: as stream bytes, then as packets.
fn segments(rule: &str, segments: &[(&[u8], Direction)]) -> Vec<Vec<u32>> {
    let engine = engine(rule);
    let mut flow = Flow::new(&engine);
    let mut each = |(bytes, way): &(&[u8], _)| [flow.stream(bytes, *way), flow.packet(6, bytes, *way)].concat();
    segments.iter().map(&mut each).collect()
}

#[test]
fn a_content_with_a_place_is_found_in_its_packet_and_over_several() {
    let rule = "alert tcp any any -> any any (content:\"EVIL\"; depth:4; content:\"deed\"; distance:1; sid:1;)";
    let none = Vec::<u32>::new;
    assert_eq!(segments(rule, &[(b"EVIL deed", ToServer), (b" and more", ToServer)]), [vec![1], none()], "whole");
    assert_eq!(
        segments(rule, &[(b"EV", ToServer), (b"IL de", ToServer), (b"ed", ToServer)]),
        [none(), none(), vec![1]]
    );
    assert_eq!(
        segments(rule, &[(b"EVIL", ToServer), (b" deed", ToServer), (b" deed", ToServer)]),
        [none(), vec![1], none()]
    );
    assert_eq!(
        segments(rule, &[(b"an EVIL", ToServer), (b" deed", ToServer)]),
        [none(), none()],
        "not at the beginning"
    );
}

#[test]
fn places_count_from_where_a_sender_takes_its_turn() {
    let rule = "alert tcp any any -> any any (content:\"EVIL\"; depth:4; sid:1;)";
    let none = Vec::<u32>::new;
    let talk: &[(&[u8], _)] =
        &[(b"who?", ToServer), (b"EV", ToClient), (b"EV", ToServer), (b"IL", ToServer), (b"IL", ToClient)];
    assert_eq!(segments(rule, talk), [none(), none(), none(), vec![1], none()], "the answer was interrupted");
    let late: Vec<u8> = [b"EVI".as_slice(), &[b'-'; 1_100]].concat();
    assert_eq!(segments(rule, &[(&late, ToServer), (b"L", ToServer)]), [none(), none()], "begins too far back");
}

#[test]
fn an_app_protocol_header_without_fields_looks_at_bytes_of_its_flows() {
    let engine = engine("alert modbus any any -> any any (content:\"|00 63|\"; sid:1;)");
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream(&modbus(1, WRITE_COIL), ToServer), [] as [u32; 0]);
    flow.protocol = Some(&MODBUS);
    assert_eq!(flow.stream(&modbus(1, WRITE_COIL), ToServer), [1]);
}

#[test]
fn what_was_said_before_the_protocol_was_detected_may_begin_a_match() {
    let engine = engine("alert modbus any any -> any any (content:\"begin\"; content:\"end\"; distance:0; sid:1;)");
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream(b"begin", ToServer), [] as [u32; 0]);
    flow.protocol = Some(&MODBUS);
    assert_eq!(flow.stream(b"end", ToServer), [1]);
    assert_eq!(flow.packet(17, b"begin to end", ToServer), [1]);
    flow.protocol = Some(&vigia_parsers::registry::FAILED);
    assert_eq!(flow.packet(17, b"begin to end", ToServer), [] as [u32; 0]);
}

#[test]
fn packet_fields_are_compared() {
    let engine = engine(
        "alert icmp any any -> any any (itype:8; icode:0; sid:1;)\n\
         alert ip any any -> any any (ttl:<65; ip_proto:udp; sid:2;)\n\
         alert tcp any any -> any any (dsize:3<>5; sid:3;)\n\
         alert tcp any any -> any any (app-layer-protocol:!modbus; dsize:>0; sid:4;)\n\
         alert icmpv6 any any -> any any (itype:8; sid:5;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.packet(1, b"", ToServer), [1]);
    assert_eq!(flow.packet(17, b"x", ToServer), [2]);
    assert_eq!(flow.packet(6, b"four", ToServer), [3]);
    flow.protocol = Some(&vigia_parsers::ot::dnp3::PROTOCOL);
    assert_eq!(flow.packet(6, b"x", ToServer), [4]);
}

#[test]
fn events_of_decoding_and_of_the_stream_find_their_rules() {
    let engine = engine(
        "alert pkthdr any any -> any any (decode-event:ipv4.trunc_pkt; sid:1;)\n\
         alert tcp any any -> any any (stream-event:reassembly_seq_gap; sid:2;)\n\
         alert tcp any any -> any any (stream-event:pkt_invalid_ack; sid:3;)\n",
    );
    assert!(engine.wants_packets());
    assert!(engine.wants_stream_event("pkt_invalid_ack") && !engine.wants_stream_event("pkt_broken_ack"));
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream_event("reassembly_seq_gap"), [2]);
    let mut frame = common::frame(6, common::CLIENT, common::SERVER, b"payload");
    frame.truncate(frame.len() - 3);
    let packet = vigia_parsers::packet::decode(&common::captured(&frame), &Default::default());
    assert!(engine.wants_packet(&packet));
    let moment = vigia_rules::Moment {
        packet: Some(&packet),
        source: common::CLIENT,
        destination: common::SERVER,
        direction: None,
        ip_protocol: 6,
        established: false,
        protocol: None,
        timestamp: packet.timestamp,
        flow: None,
        route: None,
    };
    assert_eq!(flow.inspect(&moment, &vigia_rules::Subject::Packet), [1]);
}

#[test]
fn flow_state_is_asked_for() {
    let engine = engine(
        "alert tcp any any -> any any (flow:established,to_server; content:\"a\"; sid:1;)\n\
         alert tcp any any -> any any (flow:not_established; content:\"a\"; sid:2;)\n\
         alert tcp any any -> any any (flow:stateless,from_server; content:\"a\"; sid:3;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream(b"a", ToServer), [1]);
    flow.established = false;
    assert_eq!(flow.stream(b"a", ToServer), [2]);
    assert_eq!(flow.stream(b"a", ToClient), [2, 3]);
}

#[test]
fn flowbits_are_set_before_they_are_asked_for() {
    let engine = engine(
        "alert tcp any any -> any any (content:\"b\"; flowbits:isset,seen; sid:1;)\n\
         alert tcp any any -> any any (content:\"a\"; flowbits:set,seen; flowbits:noalert; sid:2;)\n\
         alert tcp any any -> any any (content:\"b\"; flowbits:isnotset,seen; sid:3;)\n\
         alert tcp any any -> any any (content:\"c\"; flowbits:isset,other|seen; flowbits:unset,seen; sid:4;)\n\
         alert tcp any any -> any any (content:\"d\"; flowbits:toggle,seen; noalert; sid:5;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream(b"b", ToServer), [3]);
    assert_eq!(flow.stream(b"ab", ToServer), [1]);
    assert_eq!(engine.told(flow.memory.as_deref(), &flow.scratch).flowbits, ["seen"]);
    assert_eq!(flow.stream(b"c", ToServer), [4]);
    assert_eq!(flow.stream(b"c", ToServer), [] as [u32; 0]);
    assert_eq!(flow.stream(b"d", ToServer), [] as [u32; 0]);
    assert_eq!(flow.stream(b"b", ToServer), [1]);
}

#[test]
fn a_header_may_say_at_which_point_its_rule_is_inspected() {
    let rules = "alert modbus:request_complete any any -> any any (modbus.function:5; sid:1;)\n\
                 alert modbus:response_complete any any -> any any (modbus.function:5; sid:2;)\n\
                 pass:flow modbus:request_started 10.0.0.10 any -> any any (modbus.function:3; sid:3;)\n";
    let engine = engine(rules);
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, WRITE_COIL)), [1]);
    assert_eq!(talk.answer(&modbus(1, WRITE_COIL)), [2]);
    assert_eq!(talk.ask(&modbus(2, READ)), [] as [u32; 0]);
    assert_eq!(talk.ask(&modbus(3, WRITE_COIL)), [] as [u32; 0], "all of the flow passes");
    for (wrong, message) in [
        ("alert modbus:request_line any any -> any any (sid:1;)", "there is no hook `request_line` here"),
        ("alert tcp:flow_strat any any -> any any (sid:1;)", "there is no hook `flow_strat` here"),
        ("accept:hook tcp:all any any -> any any (sid:1;)", "`accept` is of firewalls; a sensor lets all pass"),
        ("pass:world tcp any any -> any any (sid:1;)", "`world` is not how far an action reaches"),
    ] {
        let found = common::compile(wrong).diagnostics;
        assert_eq!(found.iter().map(|it| it.message.to_string()).collect::<Vec<_>>(), [message], "{wrong}");
    }
    // Of what is not dissected the rule waits, hook or not.
    assert_eq!(
        common::compile("alert http1:request_line any any -> any any (http.uri; content:\"ab\"; sid:1;)").switched_off,
        1
    );
}

#[test]
fn what_expressions_capture_is_kept_for_the_flow_or_the_packet() {
    let engine = engine(
        "alert udp any any -> any any (content:\"user=\"; pcre:\"/user=(\\w+) id=(\\d+)/, pkt:user, flow:id\"; noalert; sid:1;)\n\
         alert udp any any -> any any (content:\"user=\"; pktvar:user,\"oo\"; sid:2;)\n\
         alert udp any any -> any any (content:\"next\"; flowvar:id,\"7\"; sid:3;)\n\
         alert udp any any -> any any (content:\"next\"; flowvar:id,!\"7\"; sid:4;)\n\
         alert udp any any -> any any (content:\"old\"; pcre:\"/old(?P<flow_age>\\d+)/\"; flowint:seen,+,2; sid:5;)\n",
    );
    let mut flow = Flow::new(&engine);
    // What was not captured neither has bytes nor lacks them.
    assert_eq!(flow.packet(17, b"next", ToServer), [] as [u32; 0]);
    assert_eq!(flow.packet(17, b"user=root id=17", ToServer), [2]);
    let told = engine.told(flow.memory.as_deref(), &flow.scratch);
    assert_eq!(
        (&*told.packet_variables, &*told.flow_variables),
        (&[("user".into(), b"root"[..].into())][..], &[("id", b"17"[..].into())][..])
    );
    assert_eq!(flow.packet(17, b"next", ToServer), [3]);
    assert_eq!(flow.packet(17, b"user=guest id=20", ToServer), [] as [u32; 0]);
    assert_eq!(flow.packet(17, b"next", ToServer), [4]);
    assert_eq!(flow.packet(17, b"old44", ToServer), [5]);
    let told = engine.told(flow.memory.as_deref(), &flow.scratch);
    assert!(told.packet_variables.is_empty());
    assert_eq!(told.flow_variables, [("id", b"20"[..].into()), ("age", b"44"[..].into())]);
    assert_eq!(told.flowints, [("seen", 2)]);
}

#[test]
fn names_of_captured_values_may_have_a_slash_and_be_captured_too() {
    let engine = engine(
        "alert udp any any -> any any (content:\"of/\"; pcre:\"/of\\/(\\w+)\\/(.+)\\/x$/i, flow:ua/repo,alert:al/u\"; sid:1;)\n\
         alert udp any any -> any any (content:\": \"; pcre:\"/(\\w+): (\\w+)/, pkt:key,pkt:value\"; sid:2;)\n\
         alert udp any any -> any any (content:\"a/b\"; pcre:\"/a/b/i\"; sid:3;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.packet(17, b"of/fr/curl/X", ToServer), [1]);
    let remark = vigia_rules::Remark::Captured("al/u".into(), b"curl"[..].into());
    assert_eq!(flow.scratch.remarks(flow.scratch.matches()[0]), [remark]);
    let told = engine.told(flow.memory.as_deref(), &flow.scratch);
    assert_eq!(told.flow_variables, [("ua/repo", b"fr"[..].into())]);
    assert_eq!(flow.packet(17, b"Host: example", ToServer), [2]);
    let told = engine.told(flow.memory.as_deref(), &flow.scratch);
    assert_eq!(told.packet_variables, [("Host".into(), b"example"[..].into())]);
    assert_eq!(flow.packet(17, b"a/B a/b", ToServer), [3]);
}

#[test]
fn a_datagram_put_together_from_fragments_is_told_from_others() {
    let engine = engine(
        "alert udp any any -> any any (flow:only_frag; content:\"a\"; sid:1;)\n\
         alert udp any any -> any any (flow:no_frag; content:\"a\"; sid:2;)\n",
    );
    let frame = common::frame(17, common::CLIENT, common::SERVER, b"a");
    let whole = vigia_parsers::packet::decode(&common::captured(&frame), &Default::default());
    let joined = vigia_parsers::packet::decode_ip(&frame[14..], &whole, &Default::default());
    for (packet, expected) in [(&whole, 2), (&joined, 1)] {
        assert_eq!(Flow::new(&engine).shown(packet, Some(ToServer)), [expected]);
    }
}

#[test]
fn stateless_is_what_is_of_a_flow() {
    let engine = engine("alert udp any any -> any any (flow:stateless; content:\"a\"; sid:1;)\n");
    let frame = common::frame(17, common::CLIENT, common::SERVER, b"a");
    let packet = vigia_parsers::packet::decode(&common::captured(&frame), &Default::default());
    assert_eq!(Flow::new(&engine).shown(&packet, Some(ToServer)), [1]);
    assert_eq!(Flow::new(&engine).shown(&packet, None), [] as [u32; 0]);
}

#[test]
fn a_rule_that_configures_is_silent_or_left_out() {
    let found = common::compile(
        "config udp any any -> any any (content:\"a\"; flowbits:set,seen; sid:1;)\n\
         alert udp any any -> any any (content:\"a\"; flowbits:isset,seen; sid:2;)\n\
         config dns any any -> any any (dns.query; content:\"a\"; config: logging disable, type tx, scope tx; sid:3;)\n\
         config tcp:pre_flow any any <> any 666 (config: tracking disable, type flow, scope packet; sid:4;)\n",
    );
    assert_eq!((found.failed, found.switched_off), (0, 2));
    assert_eq!(Flow::new(&found.engine).packet(17, b"a", ToServer), [2]);
}

#[test]
fn what_a_rule_requires_of_the_sensor_is_there_or_it_is_left_out() {
    for (requirement, loads) in [
        ("version >= 8", true),
        ("version >= 9.0.0", true),
        ("version >= 7.0.4 < 8 | >= 8.0.3", true),
        ("version >= 7.0.10 < 8 | >= 8.0.5 < 9 | >= 9.0.3", false),
        ("version < 9", false),
        ("feature geoip, version >= 7.0.0", true),
        ("feature lua", false),
        ("keyword foobar", false),
    ] {
        let found = common::compile(&format!("alert udp any any -> any any (requires: {requirement}; sid:1;)"));
        assert_eq!(
            (found.engine.rules().len() == 1, found.skipped == 1, found.failed),
            (loads, !loads, 0),
            "{requirement}"
        );
    }
}

#[test]
fn xbits_of_a_transaction_are_its_own() {
    let engine = engine(
        "alert modbus any any -> any any (xbits:isset,written,track tx; flow:to_client; sid:1;)\n\
         alert modbus any any -> any any (modbus.write:true; flow:to_server; xbits:set,written,track tx; noalert; sid:2;)\n\
         alert modbus any any -> any any (xbits:isnotset,written,track tx; flow:to_client; sid:3;)\n\
         alert modbus any any -> any any (modbus.unit_id:1; xbits:toggle,odd,track tx; noalert; sid:4;)\n\
         alert tcp any any -> any any (content:\"|01 05|\"; flow:to_client; flowbits:isset,written; sid:5;)\n",
    );
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, WRITE_COIL)), [] as [u32; 0]);
    assert_eq!(talk.ask(&modbus(2, READ)), [] as [u32; 0]);
    assert_eq!(talk.answer(&modbus(2, &[3, 4, 0, 1, 0, 2])), [3]);
    assert_eq!(talk.answer(&modbus(1, WRITE_COIL)), [1]);
}

#[test]
fn matches_are_reported_by_action_priority_and_sid() {
    let engine = engine(
        "alert tcp any any -> any any (content:\"a\"; priority:3; sid:1;)\n\
         alert tcp any any -> any any (content:\"a\"; priority:1; sid:9;)\n\
         drop tcp any any -> any any (content:\"a\"; priority:3; sid:5;)\n\
         alert tcp any any -> any any (content:\"a\"; classtype:attempted-admin; sid:3;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream(b"a", ToServer), [5, 3, 9, 1]);
    let rule = engine.rules().iter().find(|rule| rule.sid == 3).expect("loaded");
    assert_eq!((rule.priority, rule.category.as_str()), (1, "Attempted Administrator Privilege Gain"));
}

#[test]
fn thresholds_by_flow_count_in_the_flow_and_others_at_the_gate() {
    let engine = engine(
        "alert tcp any any -> any any (content:\"a\"; threshold:type backoff, track by_flow, count 1, multiplier 10; sid:1;)\n\
         alert tcp any any -> any any (content:\"a\"; threshold:type limit, track by_src, count 1, seconds 60; sid:2;)\n\
         alert tcp any any -> any any (content:\"a\"; detection_filter:track by_flow, count 2, seconds 60; sid:3;)\n\
         alert tcp any any -> any any (content:\"a\"; threshold:type both, track by_flow, count 2, multiplier 2; sid:4;)\n\
         alert tcp any any -> any any (content:\"a\"; threshold:type limit, track by_flow, count 2; sid:5;)\n",
    );
    let gated: Vec<bool> = engine.rules().iter().map(|rule| rule.gated).collect();
    assert_eq!(gated, [false, true, false, false, false]);
    let mut flow = Flow::new(&engine);
    let mut said = |seconds| {
        flow.seconds = seconds;
        flow.stream(b"a", ToServer)
    };
    let raised: Vec<_> = (0..10).map(&mut said).collect();
    assert_eq!(raised[..4], [vec![1, 2, 5], vec![2, 4, 5], vec![2, 3], vec![2, 3, 4]]);
    assert_eq!(raised[7], [2, 3, 4]);
    assert_eq!(raised[9], [1, 2, 3]);
    let mut gate = vigia_rules::Gate::default();
    let mut admit = |seconds| {
        let id = vigia_rules::RuleId(1);
        let timestamp = vigia_parsers::Timestamp::new(seconds, 0);
        gate.admit(
            &engine,
            id,
            &vigia_rules::Match {
                source: common::CLIENT,
                destination: common::SERVER,
                timestamp,
                noted: Box::default(),
            },
        )
    };
    use vigia_rules::Verdict::{Report, Suppress};
    assert_eq!([admit(0), admit(30), admit(61)], [Report, Suppress, Report]);
}

#[test]
fn packets_of_another_size_or_port_than_rules_ask_for_are_not_wanted() {
    let wanted = |rules: &str, length: usize| {
        let frame = common::frame(6, common::CLIENT, common::SERVER, &vec![0; length]);
        let packet = vigia_parsers::packet::decode(&common::captured(&frame), &Default::default());
        engine(rules).wants_packet(&packet)
    };
    let rules =
        "alert tcp any any -> any 502 (dsize:10<>64; sid:1;)\nalert tcp any any -> any 502 (dsize:100; sid:2;)\n";
    assert_eq!([0, 10, 11, 63, 100, 101].map(|length| wanted(rules, length)), [false, false, true, true, true, false]);
    assert!(!wanted("alert tcp any any -> any 503 (dsize:11; sid:1;)", 11));
    assert!(wanted(
        "alert tcp any any -> any 502 (dsize:11; sid:1;)\nalert tcp any any -> any 502 (flags:A; sid:2;)",
        0
    ));
}

/// What is said at these seconds, with the ids that it raises and the matches that are found silent.
#[test]
fn packets_without_payload_are_left_alone_once_it_is_known_that_no_rule_is_about_them() {
    // It is known of a direction after its first packet.
    let of_contents = "alert tcp any any -> any any (content:\"x\"; depth:9; sid:1;)";
    let engine = engine(&format!("{of_contents}\nalert tcp any any -> any 503 (dsize:0; sid:2;)"));
    let mut flow = Flow::new(&engine);
    assert!(!flow.leaves_alone(ToServer));
    assert!(flow.packet(6, b"", ToServer).is_empty());
    assert!(flow.leaves_alone(ToServer) && !flow.leaves_alone(ToClient));
    // With the protocol the rules on it may be others.
    flow.protocol = Some(&MODBUS);
    assert!(!flow.leaves_alone(ToServer));
    assert_eq!(flow.packet(6, b"x", ToServer), [1]);
    assert!(flow.leaves_alone(ToServer));
    // Nor are they left alone where a rule may be about any of them.
    for rule in ["dsize:0;", "flags:A;", "tcp.hdr; content:\"|50|\";", "flowbits:isset,a;"] {
        let engine = common::engine(&format!("alert tcp any any -> any 502 ({rule} sid:2;)"));
        let mut flow = Flow::new(&engine);
        flow.packet(6, b"", ToServer);
        assert!(!flow.leaves_alone(ToServer), "{rule}");
    }
}

fn counted(rule: &str, gate: vigia_rules::Gate, said: &[(u64, Direction, u16)]) -> Vec<(Vec<u32>, u64)> {
    let engine = engine(rule);
    let mut talk = Talk::new(&engine, &MODBUS);
    talk.flow.gate = Some(gate);
    let said = said.iter().map(|&(seconds, direction, transaction)| {
        talk.flow.seconds = seconds;
        let pdu: &[u8] = if direction == ToServer { &[3, 0, 0, 0, 1] } else { &[3, 2, 0, 7] };
        let raised = talk.say(direction, &modbus(transaction, pdu));
        (raised, std::mem::take(&mut talk.flow.silent))
    });
    said.collect()
}

#[test]
fn a_rule_that_has_said_enough_is_not_inspected_until_its_window_ends_and_says_the_same() {
    let rule = |options: &str| format!("alert modbus any any -> any any (modbus.function:3; {options} sid:1;)");
    let limited = rule("threshold:type limit, track by_both, count 1, seconds 60;");
    let said = [
        (0, ToServer, 1),
        (10, ToServer, 2),
        (20, ToServer, 3),
        // The answer to what was asked before.
        (30, ToClient, 3),
        (60, ToServer, 4),
        // Its rule has matched for its request.
        (61, ToClient, 4),
        (62, ToServer, 5),
    ];
    let raised = |at, silent| (if at { vec![1] } else { Vec::new() }, silent);
    assert_eq!(
        counted(&limited, vigia_rules::Gate::default(), &said),
        [
            raised(true, 0),
            raised(false, 1),
            raised(false, 1),
            raised(false, 0),
            raised(false, 1),
            raised(false, 0),
            raised(true, 0)
        ]
    );
    // Every match counts.
    let nth = rule("threshold:type threshold, track by_both, count 3, seconds 600;");
    let third = counted(&nth, vigia_rules::Gate::default(), &said);
    let at: Vec<usize> = third.iter().enumerate().filter(|(_, said)| !said.0.is_empty()).map(|(at, _)| at).collect();
    assert_eq!((at, third.iter().map(|said| said.1).sum::<u64>()), (vec![2], 0));
    // What a match does besides goes on.
    let marking = rule("flowint:asked,+,1; threshold:type limit, track by_both, count 1, seconds 60;");
    assert_eq!(counted(&marking, vigia_rules::Gate::default(), &said).iter().map(|said| said.1).sum::<u64>(), 0);
}

#[test]
fn whom_a_full_gate_forgot_is_asked_anew() {
    let text = "alert modbus any any -> any any (modbus.function:3; threshold:type limit, track by_both, count 1, seconds 60; sid:1;)\n\
                alert modbus any any -> any any (modbus.function:6; threshold:type limit, track by_both, count 1, seconds 60; sid:2;)";
    let engine = engine(text);
    let mut talk = Talk::new(&engine, &MODBUS);
    talk.flow.gate = Some(vigia_rules::Gate::new(1));
    let mut transaction = 0;
    let mut ask = |function| {
        transaction += 1;
        talk.flow.seconds += 1;
        talk.ask(&modbus(transaction, &[function, 0, 0, 0, 1]))
    };
    // There is room for one counter, so the other rule's match makes it forget this one's.
    assert_eq!([3, 3, 3, 6, 3].map(&mut ask), [vec![1], vec![], vec![], vec![2], vec![1]]);
}

#[test]
fn what_a_rule_says_of_itself_is_kept() {
    let engine = engine(
        "alert tcp any any -> any any (msg:\"a \\\"b\\\"\\; c\"; content:\"x\"; reference:url,example.org/a\\;b; \
         metadata:mitre_technique_id T0855, mitre_technique_id T0836, created_at 2026_01_02; target:dest_ip; \
         gid:3; sid:7; rev:2;)",
    );
    let rule = &engine.rules()[0];
    assert_eq!(rule.message, "a \"b\"; c");
    assert_eq!((rule.gid, rule.sid, rule.rev), (3, 7, 2));
    assert_eq!(rule.references[0].link, "http://example.org/a;b");
    assert_eq!(rule.metadata[0], ("mitre_technique_id".to_owned(), vec!["T0855".to_owned(), "T0836".to_owned()]));
    assert_eq!(rule.target, Some(vigia_rules::Target::Destination));
    assert_eq!((&*rule.origin.0, rule.origin.1), ("test.rules", 1));
}

#[test]
fn the_hash_is_of_the_rules_in_force() {
    let hash = |text: &str| common::compile(text).engine.hash().to_owned();
    let one = "alert tcp any any -> any any (content:\"a\"; sid:1;)";
    let two = "alert tcp any any -> any any (content:\"b\"; sid:2;)";
    assert_eq!(hash(&format!("{one}\n{two}")), hash(&format!("# c\n{two}\n\n{one}\nalert nonsense\n")));
    assert_ne!(hash(one), hash(two));
    assert_eq!(hash(one).len(), 32);
}

#[test]
fn dnp3_keywords_ask_for_its_fields() {
    use vigia_parsers::ot::dnp3::PROTOCOL as DNP3;
    let engine = engine(
        "alert dnp3 any any -> any any (dnp3_func:cold_restart; sid:1;)\n\
         alert dnp3 any any -> any any (dnp3_func:13; sid:2;)\n\
         alert dnp3 any any -> any any (dnp3_ind:device_restart,need_time; sid:3;)\n\
         alert dnp3 any any -> any any (dnp3_obj:60,1; sid:4;)\n\
         alert dnp3 any any -> any any (dnp3_data; content:|c0 01|; sid:5;)\n\
         alert dnp3 any any -> any any (dnp3.source:3; sid:6;)\n\
         alert dnp3 any any -> any any (dnp3.group:60,all1; sid:7;)\n",
    );
    let mut talk = Talk::new(&engine, &DNP3);
    assert_eq!(talk.ask(&dnp3(0x44, 10, 3, &[0xc0, 0xc1, 13])), [1, 2, 6]);
    assert_eq!(talk.ask(&dnp3(0x44, 10, 3, &[0xc1, 0xc0, 1, 60, 1, 6])), [4, 5, 6, 7]);
    assert_eq!(talk.answer(&dnp3(0x44, 3, 10, &[0xc0, 0xc1, 0x81, 0x80, 0])), [3]);
}

/// A DNP3 frame: link header and user data, each with its CRC (IEEE 1815 §9.2).
fn dnp3(control: u8, destination: u16, source: u16, user: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x05, 0x64, user.len() as u8 + 5, control | 0x80];
    if source > destination {
        frame[3] = control;
    }
    frame.extend(destination.to_le_bytes());
    frame.extend(source.to_le_bytes());
    frame.extend(crc(&frame).to_le_bytes());
    for block in user.chunks(16) {
        frame.extend(block);
        frame.extend(crc(block).to_le_bytes());
    }
    frame
}

fn crc(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa6bc } else { crc >> 1 })
    })
}

#[test]
fn a_pattern_across_segments_is_found_once() {
    let engine = engine(
        "alert tcp any any -> any any (content:\"Please Let Me In\"; sid:1;)\n\
         alert tcp any any -> any any (content:\"Please\"; content:\"Me\"; distance:5; within:2; sid:2;)\n\
         alert tcp any any -> any any (content:\"Let\"; pcre:\"/^ Me/R\"; sid:3;)",
    );
    let mut flow = Flow::new(&engine);
    let mut raised = |text: &str| flow.stream(text.as_bytes(), ToServer);
    assert_eq!(raised("Please "), [] as [u32; 0]);
    assert_eq!(raised("Let "), [] as [u32; 0]);
    assert_eq!(raised("Me "), [2, 3]);
    assert_eq!(raised("In"), [1]);
    assert_eq!(raised("!"), [] as [u32; 0]);
    let mut other = Flow::new(&engine);
    assert_eq!(other.stream(b"Please ", ToServer), [] as [u32; 0]);
    assert_eq!(other.stream(b"Let Me In", ToClient), [3]);
    other.memory.as_mut().expect("kept").gap(ToServer);
    assert_eq!(other.stream(b"Let Me In", ToServer), [3]);
}

#[test]
fn a_pattern_across_segments_of_any_size_is_found() {
    let engine = engine("alert tcp any any -> any any (content:\"Please Let Me In\"; sid:1;)");
    for (before, behind) in [(0, 0), (1, 2000), (3000, 5), (10, 3000), (70_000, 70_000)] {
        for cut in 1..b"Please Let Me In".len() {
            let (first, second) = b"Please Let Me In".split_at(cut);
            let mut flow = Flow::new(&engine);
            assert_eq!(flow.stream(&[&vec![b'.'; before], first].concat(), ToServer), [] as [u32; 0]);
            assert_eq!(flow.stream(&[second, &vec![b'.'; behind]].concat(), ToServer), [1], "{before} {cut} {behind}");
        }
    }
    let mut flow = Flow::new(&engine);
    let raised: Vec<u32> = b"Please Let Me In".iter().flat_map(|&byte| flow.stream(&[byte], ToServer)).collect();
    assert_eq!(raised, [1], "byte by byte");
}

#[test]
fn what_waits_for_more_of_a_stream_is_forgotten_in_the_end() {
    let engine = engine("alert tcp any any -> any any (content:\"begin\"; content:\"end\"; distance:0; sid:1;)");
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.stream(b"begin", ToServer), [] as [u32; 0]);
    for _ in 0..20 {
        assert_eq!(flow.stream(&[b'.'; 100], ToServer), [] as [u32; 0]);
    }
    assert_eq!(flow.stream(b"end", ToServer), [] as [u32; 0]);
}

#[test]
fn the_fields_of_every_industrial_protocol_are_asked_without_naming_one() {
    let engine = engine(
        "alert tcp any any -> any any (ot.operation:write; sid:1;)\n\
         alert tcp any any -> any any (ot.operation:read,restart; sid:2;)\n\
         alert tcp any any -> any any (ot.operation:!write; ot.target; content:\"holding 10\"; startswith; sid:3;)\n\
         alert tcp any any -> any any (ot.value:>0.5; sid:4;)\n",
    );
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, WRITE_COIL)), [1, 4]);
    assert_eq!(talk.ask(&modbus(2, READ)), [2, 3]);
    assert_eq!(talk.ask(&modbus(3, WRITE_REGISTERS)), [1]);
}
