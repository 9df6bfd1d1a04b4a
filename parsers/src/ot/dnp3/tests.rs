//! DNP3 from the octets of frames to what rules and logs see.

use proptest::prelude::*;

use super::*;
use crate::dissector::{Frame, Probe};
use crate::testing::{Collected, Json, bytes, envelope};

/// Parses frames in order, requests to the server and responses to the client.
fn parse(frames: &[Vec<u8>]) -> Collected {
    parse_with(&mut Session::new(&Limits::DEFAULT), frames)
}

fn parse_with(session: &mut Session, frames: &[Vec<u8>]) -> Collected {
    let mut sink = Collected::default();
    for frame in frames {
        let master = frame.get(3).is_some_and(|control| control & 0x80 != 0);
        let direction = if master { Direction::ToServer } else { Direction::ToClient };
        session.parse(&envelope(direction, 0), frame, &mut sink);
    }
    sink
}

/// Parses one fragment, in as many frames as it takes.
fn fragment(octets: &[u8]) -> Collected {
    parse(&encode::segments(octets, 0))
}

fn fragment_of(hex: &str) -> Collected {
    fragment(&bytes(hex))
}

/// The last record.
fn last(sink: &Collected) -> &crate::testing::Heard {
    sink.messages.last().expect("a message")
}

#[test]
fn a_read_of_classes_names_its_objects_and_lists_no_points() {
    let sink = fragment_of("c4 01 3c0206 3c0306 3c0406 3c0106");
    let read = last(&sink);
    assert_eq!(read.field("function"), "1");
    assert_eq!(read.field("object"), "15362 15363 15364 15361");
    assert_eq!((read.field("count"), read.field("index")), ("0 0 0 0".into(), String::new()));
    assert_eq!(
        (read.field("fir"), read.field("fin"), read.field("con"), read.field("uns")),
        flags(true, true, false, false)
    );
    assert_eq!(read.field("sequence"), "4");
    assert!(read.anomalies.is_empty());
    assert_eq!(sink.transactions.len(), 1);
}

#[test]
fn within_an_alert_a_message_stands_under_what_it_is() {
    let indented = |json: &str| json.replace('\n', "\n  ");
    for (octets, kind) in [("c0 0d", "request"), ("c0 81 0000", "response"), ("f0 82 0000", "response")] {
        let sink = fragment_of(octets);
        let message = last(&sink);
        assert_eq!(message.alert, format!("{{\n  \"{kind}\": {}\n}}", indented(&message.json)));
    }
}

fn flags(a: bool, b: bool, c: bool, d: bool) -> (String, String, String, String) {
    (a.to_string(), b.to_string(), c.to_string(), d.to_string())
}

#[test]
fn a_control_relay_output_block_is_read_to_its_last_bit() {
    let sink = fragment_of("c0 05 0c0128 0100 0a00 41 02 64000000 c8000000 00");
    let operate = last(&sink);
    assert_eq!(operate.field("function"), "5");
    assert_eq!((operate.field("crob_operation"), operate.field("crob_trip_close")), ("1".into(), "1".into()));
    assert_eq!((operate.field("crob_count"), operate.field("crob_clear")), ("2".into(), "0".into()));
    assert_eq!((operate.field("crob_on_time"), operate.field("crob_off_time")), ("100".into(), "200".into()));
    assert_eq!((operate.field("index"), operate.field("status")), ("10".into(), "0".into()));
    assert_eq!(operate.field("value"), "", "the count of a control is no quantity");
}

#[test]
fn a_class_0_response_gives_states_values_and_indexes() {
    let sink = fragment_of(
        "c5 81 1002  010200 00 02 81 01 81  0a0200 00 00 01  010100 05 0e ff01  030100 00 04 e403  \
         140500 00 01 01000000 02000000  1e0301 0000 0000 9cffffff  1e0517 01 07 01 0000c03f",
    );
    let response = last(&sink);
    assert_eq!(response.anomalies, [], "{:?}", response.anomalies);
    assert_eq!(response.field("object"), "258 2562 257 769 5125 7683 7685");
    assert_eq!(response.field("state"), "1 0 1 0 1 1 1 1 1 1 1 1 1 0 0 1 2 3 3");
    assert_eq!(response.field("value"), "1 2 -100 1.5");
    assert_eq!(response.field("index"), "0 1 2 0 5 6 7 8 9 10 11 12 13 14 0 1 2 3 4 0 1 0 7");
    assert_eq!((response.field("iin"), response.field("indication")), ("4098".into(), "12 1".into()));
    assert_eq!((response.field("start"), response.field("stop")), ("0 0 5 0 0 0".into(), "2 0 14 4 1 0".into()));
}

#[test]
fn indications_have_the_spellings_of_the_rule_keyword() {
    let every = fragment_of("c0 81 ffff");
    let names: Vec<_> = last(&every)
        .field("indication")
        .split(' ')
        .map(|bit| crate::field::name_of(names::INDICATIONS, bit.parse().unwrap()).unwrap())
        .collect();
    assert_eq!(names[..3], ["all_stations", "class_1_events", "class_2_events"]);
    assert_eq!(names[8..10], ["no_func_code_support", "object_unknown"]);
    assert_eq!(names.len(), 16);
}

#[test]
fn a_file_opened_and_read_shows_name_mode_and_blocks() {
    let open = fragment_of(
        "c1 19 46035b 01 2400 1a00 0a00 000000000000 0000 00000000 00000000 0100 0004 0100  2f726f6f742f612e7368",
    );
    assert_eq!(last(&open).anomalies, []);
    assert_eq!(last(&open).field("file_name"), crate::testing::hex(b"/root/a.sh"));
    assert_eq!((last(&open).field("file_mode"), last(&open).field("file_size")), ("1".into(), "0".into()));
    let read = fragment_of("c2 01 46055b 01 0800 04030201 00000000");
    assert_eq!((last(&read).field("file_handle"), last(&read).field("file_block")), ("16909060".into(), "0".into()));
    let block = fragment_of("c2 81 0000 46055b 01 0a00 04030201 00000080 6869");
    assert_eq!(
        (last(&block).field("file_data"), last(&block).field("file_block")),
        ("6869".into(), "2147483648".into())
    );
}

#[test]
fn authentication_objects_give_user_sequence_and_algorithm() {
    let challenge = fragment_of("c0 83 0000 78015b 01 0c00 05000000 0100 04 01 aabbccdd");
    let challenge = last(&challenge);
    assert_eq!((challenge.field("auth_user"), challenge.field("auth_challenge_sequence")), ("1".into(), "5".into()));
    assert_eq!(challenge.field("auth_mac_algorithm"), "4");
    let aggressive =
        fragment_of("cc 05 780307 01 09000000 0100 0c0128 0100 0100 03 01 64000000 64000000 00 78095b 01 0200 8db4");
    assert_eq!(last(&aggressive).anomalies, []);
    assert_eq!(last(&aggressive).field("object"), "30723 3073 30729");
    assert_eq!(last(&aggressive).field("crob_operation"), "3");
}

#[test]
fn times_are_nanoseconds_and_those_beyond_the_range_saturate() {
    let sink = fragment_of("c4 02 320107 01 e45a87ff0001");
    assert_eq!(last(&sink).field("time"), (0x0100_ff87_5ae4_u64 * 1_000_000).to_string());
    let sink = fragment_of("c4 02 320107 01 ffffffffffff");
    assert_eq!(last(&sink).field("time"), u64::MAX.to_string());
}

#[test]
fn the_log_record_has_suricatas_layout() {
    insta::assert_snapshot!(Json::of(&Message {
        link: link::Header { length: 26, control: 0x44, destination: 1, source: 10 },
        transport: Some(transport::Header(0xc0)),
        application: Fragment::read(&bytes(
            "c3 82 9200 0c0128 0100 0a00 03 01 64000000 64000000 00 46045b 01 0f00 01000000 02000000 0004 0100 00 6f6b 020307 01 81 0a00"
        )),
        transaction: 1,
    }));
    let quiet = fragment_of("c0 81 0000");
    assert!(last(&quiet).json.contains("\"iin\": {}"), "{}", last(&quiet).json);
}

#[test]
fn the_log_record_is_bounded_and_its_counts_are_not() {
    let mut octets = bytes("c0 81 0000");
    for _ in 0..6 {
        octets.extend_from_slice(&bytes("010101 0000 ff0f"));
        octets.extend_from_slice(&[0x55; 512]);
    }
    let sink = fragment(&octets);
    let json = &last(&sink).json;
    assert_eq!(json.matches("\"state\"").count(), message::LOGGED_POINTS);
    assert_eq!(json.matches("\"count\": 4096").count(), 6);
    assert_eq!(last(&sink).kinds(), ["too_many_points"]);
}

#[test]
fn a_fragment_over_several_frames_stands_in_the_record_of_the_last() {
    let mut octets = bytes("c0 81 0000 1e0300 00 ff");
    octets.extend((0..256u32).flat_map(u32::to_le_bytes));
    let sink = fragment(&octets);
    assert_eq!(sink.messages.len(), octets.len().div_ceil(transport::SEGMENT));
    assert_eq!(sink.transactions.len(), 1);
    let (last, others) = sink.messages.split_last().unwrap();
    assert_eq!(last.field("data"), crate::testing::hex(&octets));
    assert_eq!(last.field("value").split(' ').count(), 256);
    assert!(others.iter().all(|frame| frame.field("function").is_empty() && frame.transaction == last.transaction));
}

#[test]
fn fragments_of_several_stations_are_joined_side_by_side() {
    let of = |station: u16, fill: u8| -> Vec<Vec<u8>> {
        let mut octets = bytes("c0 81 0000 6e0a00 00 27");
        octets.extend([fill; 400]);
        let chunks: Vec<_> = octets.chunks(transport::SEGMENT).collect();
        let header = |number: usize| [0x40, 0x81][number];
        (0..2).map(|n| encode::frame(0x44, 1, station, &[&[header(n)], chunks[n]].concat())).collect()
    };
    let (a, b) = (of(10, 0xaa), of(11, 0xbb));
    let sink = parse(&[a[0].clone(), b[0].clone(), b[1].clone(), a[1].clone()]);
    let strings: Vec<_> =
        sink.transactions.iter().map(|record| (record.field("source"), record.field("string"))).collect();
    assert_eq!(strings[0], ("11".into(), ["bb".repeat(10).as_str(); 40].join(" ")));
    assert_eq!(strings[1], ("10".into(), ["aa".repeat(10).as_str(); 40].join(" ")));
    assert!(sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

fn long_response() -> Vec<Vec<u8>> {
    let mut octets = bytes("c0 81 0000 6eff07 03");
    octets.extend([0x2a; 3 * 255]);
    encode::segments(&octets, 61)
}

#[test]
fn a_repeated_segment_changes_nothing() {
    let frames = long_response();
    let twice: Vec<_> =
        frames[..3].iter().flat_map(|frame| [frame.clone(), frame.clone()]).chain([frames[3].clone()]).collect();
    let sink = parse(&twice);
    assert_eq!(sink.transactions.len(), 1);
    assert_eq!(sink.transactions[0].field("data"), parse(&frames).transactions[0].field("data"));
    assert!(sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

#[test]
fn a_missing_segment_voids_its_fragment_and_the_next_one_is_read() {
    let mut frames = long_response();
    frames.remove(1);
    frames.push(encode::whole(&bytes("c1 81 0000")));
    let sink = parse(&frames);
    let kinds: Vec<_> = sink.messages.iter().flat_map(|message| message.kinds()).collect();
    assert_eq!(kinds, ["transport_out_of_sequence"]);
    assert_eq!(sink.transactions.len(), 1);
    assert_eq!(sink.transactions[0].field("sequence"), "1");
}

#[test]
fn a_fragment_that_begins_within_another_replaces_it() {
    let frames = long_response();
    let sink = parse(&[frames[0].clone(), frames[1].clone(), encode::whole(&bytes("c1 81 0000"))]);
    assert_eq!(last(&sink).kinds(), ["transport_incomplete"]);
    assert_eq!(sink.transactions.len(), 1);
}

#[test]
fn a_flow_met_in_the_middle_of_a_fragment_is_no_anomaly() {
    let frames = long_response();
    assert!(parse(&frames[1..]).messages.iter().all(|message| message.anomalies.is_empty()));
    let mut session = Session::new(&Limits::DEFAULT);
    parse_with(&mut session, &frames[..2]);
    session.gap(Direction::ToClient);
    let sink = parse_with(&mut session, &frames[2..]);
    assert!(sink.transactions.is_empty() && sink.messages.iter().all(|message| message.anomalies.is_empty()));
    let stray = parse_with(&mut session, &[frames[0].clone(), encode::whole(&bytes("c1 81 0000")), frames[1].clone()]);
    assert_eq!(last(&stray).kinds(), ["transport_out_of_sequence"]);
}

#[test]
fn a_gap_voids_only_its_direction() {
    let frames = long_response();
    let mut session = Session::new(&Limits::DEFAULT);
    parse_with(&mut session, &frames[..2]);
    session.gap(Direction::ToServer);
    assert_eq!(parse_with(&mut session, &frames[2..]).transactions.len(), 1);
}

#[test]
fn a_fragment_beyond_64_segments_is_given_up_once() {
    let sink = fragment(&[&bytes("c0 81 0000")[..], &vec![0; transport::LONGEST + 600]].concat());
    let kinds: Vec<_> = sink.messages.iter().flat_map(|message| message.kinds()).collect();
    assert_eq!(kinds, ["too_long_reassembly"]);
    assert!(sink.transactions.is_empty());
    let longest = fragment(&[&bytes("c0 81 0000")[..], &vec![0; transport::LONGEST - 4]].concat());
    assert_eq!(longest.transactions.len(), 1);
}

#[test]
fn fragments_in_the_making_are_bounded() {
    let first = |station: u16| encode::frame(0x44, 1, station, &[0x40, 0xc0, 0x81, 0, 0]);
    let frames: Vec<_> = (0..=transport::STREAMS as u16).map(first).collect();
    let mut session = Session::new(&Limits::DEFAULT);
    let sink = parse_with(&mut session, &frames);
    assert_eq!(last(&sink).kinds(), ["too_many_fragments"]);
    let end = |station: u16| encode::frame(0x44, 1, station, &[0x81, 0]);
    assert_eq!(parse_with(&mut session, &[end(1)]).transactions.len(), 1);
    assert!(parse_with(&mut session, &[end(0)]).transactions.is_empty(), "the oldest was given up");
}

#[test]
fn the_limit_on_joined_bytes_is_kept_and_told() {
    let first = |station: u16| encode::frame(0x44, 1, station, &[0x40, 0xc0, 0x81, 0, 0]);
    let frames: Vec<_> = (0..3).map(first).collect();
    let mut session = Session::new(&Limits { joined_bytes: 8, ..Limits::DEFAULT });
    let sink = parse_with(&mut session, &frames);
    assert_eq!(last(&sink).kinds(), ["too_many_fragments"]);
    assert_eq!((session.kept().joined_bytes, &sink.bounded[..]), (8, &[Bound::JoinedBytes][..]));
    let longer = encode::frame(0x44, 1, 2, &[0x01, 0, 0]);
    let sink = parse_with(&mut session, &[longer]);
    assert_eq!(last(&sink).kinds(), ["too_long_reassembly"]);
    assert_eq!((session.kept().joined_bytes, &sink.bounded[..]), (4, &[Bound::JoinedBytes][..]));
}

#[test]
fn a_wrong_crc_is_named_with_its_offset_at_every_block() {
    let octets = [&bytes("c0 02 6e")[..], &[240, 7, 1], &[0x11; 240]].concat();
    let good = encode::whole(&octets);
    assert_eq!(good.len(), 10 + 247 + 32);
    for at in 0..good.len() {
        let mut frame = good.clone();
        frame[at] ^= 0x10;
        let sink = parse(&[frame]);
        match at {
            0..2 => assert_eq!(sink.anomalies, [Anomaly { kind: "len_too_small", offset: 0 }], "{at}"),
            2..10 => assert_eq!(sink.anomalies, [Anomaly { kind: "bad_link_crc", offset: 8 }], "{at}"),
            _ => {
                let block = (at - 10) / 18;
                let offset = if block == 15 { good.len() - 2 } else { 10 + 18 * block + 16 };
                assert_eq!(sink.messages[0].anomalies, [Anomaly { kind: "bad_transport_crc", offset }], "{at}");
                assert_eq!(sink.messages[0].field("source"), "1", "{at}");
            }
        }
        assert!(sink.transactions.is_empty(), "{at}");
    }
}

#[test]
fn a_damaged_segment_voids_its_fragment() {
    let mut frames = long_response();
    frames[1][30] ^= 1;
    let sink = parse(&frames);
    let kinds: Vec<_> = sink.messages.iter().flat_map(|message| message.kinds()).collect();
    assert_eq!((kinds, sink.transactions.len()), (vec!["bad_transport_crc"], 0));
}

#[test]
fn link_frames_without_user_data_are_records_of_their_own() {
    let status = |control| encode::frame(control, 10, 1, &[]);
    let sink = parse(&[status(0xc9), status(0x8b), status(0xf2), status(0x91)]);
    let of = |name| sink.messages.iter().map(|message| message.field(name)).collect::<Vec<_>>();
    assert_eq!(of("link_primary_function"), ["9", "", "2", ""]);
    assert_eq!(of("link_secondary_function"), ["", "11", "", "1"]);
    assert_eq!(of("fcb"), ["false", "", "true", ""]);
    assert_eq!(of("fcv"), ["false", "", "true", ""]);
    assert_eq!(of("dfc"), ["", "false", "", "true"]);
    assert_eq!(sink.messages.iter().map(|message| message.transaction).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(sink.transactions.is_empty());
    assert!(sink.messages.iter().all(|message| message.anomalies.is_empty()));
}

#[test]
fn transactions_are_numbered_one_a_fragment() {
    let mut frames = vec![encode::whole(&bytes("c0 01 3c0106"))];
    frames.extend(long_response());
    frames.push(encode::whole(&bytes("c0 00")));
    let sink = parse(&frames);
    assert_eq!(sink.messages.iter().map(|message| message.transaction).collect::<Vec<_>>(), [1, 2, 2, 2, 2, 3]);
}

#[test]
fn malformed_frames_and_fragments_have_names() {
    let kinds = |frame: Vec<u8>| last(&parse(&[frame])).kinds();
    assert_eq!(kinds(encode::frame(0xc4, 10, 1, &[])), ["len_too_small"]);
    assert_eq!(kinds(encode::frame(0xc4, 10, 1, &[0xc0])), ["len_too_small"]);
    assert_eq!(kinds(encode::frame(0xc4, 10, 1, &[0xc0, 0xc0])), ["len_too_small"]);
    assert_eq!(kinds(encode::frame(0x44, 1, 10, &[0xc0, 0xc0, 0x81, 0])), ["len_too_small"]);
    assert_eq!(kinds(encode::frame(0xc4, 65520, 1, &[0xc0, 0xc0, 0])), ["reserved_address"]);
    assert_eq!(kinds(encode::frame(0xc5, 10, 1, &[0xc0, 0xc0, 0])), ["unknown_link_function", "unexpected_user_data"]);
    assert_eq!(kinds(encode::frame(0xc9, 10, 1, &[0xc0, 0xc0, 0])), ["unexpected_user_data"]);
    let kinds = |hex| last(&fragment_of(hex)).kinds();
    assert_eq!(kinds("c0 22"), ["unknown_function"]);
    assert_eq!(kinds("c0 84 0102030405"), ["unknown_function"]);
    assert_eq!(kinds("c0 01 ff0006"), ["unknown_object"]);
    assert_eq!(kinds("c0 02 ff0107 01 00"), ["unknown_object"]);
    assert_eq!(kinds("c0 02 520107 01 00"), ["unknown_object"], "without a size prefix it has no end");
    assert_eq!(kinds("c0 02 52015b 01 0200 abcd"), [""; 0]);
    assert_eq!(kinds("c0 01 01020a"), ["invalid_qualifier"]);
    assert_eq!(kinds("c0 01 010286"), ["invalid_qualifier"]);
    assert_eq!(kinds("c0 01 010270"), ["invalid_qualifier"]);
    assert_eq!(kinds("c0 01 010200 05 04"), ["invalid_range"]);
    assert_eq!(kinds("c0 01 010200 05"), ["truncated_object"]);
    assert_eq!(kinds("c0 01 0102"), ["truncated_object"]);
    assert_eq!(kinds("c0 02 0c0128 0200 0000 0301 64000000 64000000 00"), ["truncated_object"]);
    assert_eq!(kinds("c0 02 700001 0000 ffff"), ["invalid_variation"]);
}

#[test]
fn an_anomaly_in_the_objects_says_where_in_the_frame() {
    let sink = fragment_of("c0 01 3c0206 3c0306 3c0406 3c0106 ff0006");
    // Octet 14 of the fragment is octet 15 of the user data: still the first block.
    assert_eq!(last(&sink).anomalies, [Anomaly { kind: "unknown_object", offset: 25 }]);
    let sink = fragment_of("c0 01 3c0206 3c0306 3c0406 3c0106 3c0106 ff0006");
    assert_eq!(last(&sink).anomalies, [Anomaly { kind: "unknown_object", offset: 30 }]);
    let mut octets = bytes("c0 02 ff0107 01");
    octets.extend([0; 300]);
    assert_eq!(
        last(&fragment(&octets)).anomalies,
        [Anomaly { kind: "unknown_object", offset: 10 }],
        "in an earlier frame"
    );
}

#[test]
fn points_cut_short_are_read_as_far_as_they_go() {
    let sink = fragment_of("c0 05 0c0128 0200 0000 0301 64000000 64000000 00 0100");
    assert_eq!(last(&sink).field("crob_operation"), "3");
    assert!(last(&sink).json.contains("\"complete\": false"));
}

#[test]
fn too_many_of_anything_is_told_and_nothing_is_hidden() {
    let mut octets = bytes("c0 81 0000 010101 0000 ff7f");
    octets.extend([0; 4096]);
    octets.extend(bytes("0c0107 01 0301 64000000 64000000 00"));
    let sink = fragment(&octets);
    assert_eq!(last(&sink).kinds(), ["max_points_per_object", "too_many_points"]);
    assert_eq!(last(&sink).field("crob_operation"), "3");
    let headers = fragment(&[&bytes("c0 01")[..], &bytes("3c0206").repeat(2049)].concat());
    assert_eq!(last(&headers).kinds(), ["too_many_objects"]);
    assert_eq!(last(&headers).field("object").split(' ').count(), 2049);
}

#[test]
fn requests_without_a_response_are_told_once() {
    let request = encode::whole(&bytes("c0 03 0c0128 0100 0100 0301 64000000 64000000 00"));
    let kinds = |sink: &Collected| sink.messages.iter().flat_map(|message| message.kinds()).collect::<Vec<_>>();
    assert_eq!(kinds(&parse(&vec![request.clone(); 32])), [""; 0]);
    assert_eq!(kinds(&parse(&vec![request.clone(); 100])), ["flooded"]);
    let mut answered = vec![request; 32];
    answered.insert(16, encode::whole(&bytes("c0 81 0000")));
    assert_eq!(kinds(&parse(&[answered.clone(), answered].concat())), [""; 0]);
    assert_eq!(kinds(&parse(&vec![encode::whole(&bytes("c0 06")); 100])), [""; 0], "no response is asked for");
}

/// Anything that has the shape of a fragment, so that the tests reach beyond the header.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let function = prop_oneof![0u8..34, 129u8..132, any::<u8>()];
    let group = prop::sample::select(names::GROUPS.iter().map(|entry| entry.0 as u8).collect::<Vec<_>>());
    let qualifier = prop_oneof![
        Just(0x00u8),
        Just(0x01),
        Just(0x06),
        Just(0x07),
        Just(0x08),
        Just(0x17),
        Just(0x28),
        Just(0x5b),
        any::<u8>()
    ];
    let object =
        (group, 0u8..16, qualifier, prop::collection::vec(0u8..8, 0..4), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(group, variation, qualifier, range, data)| {
                [vec![group, variation, qualifier], range, data].concat()
            });
    (any::<u8>(), function, prop::collection::vec(object, 0..8))
        .prop_map(|(control, function, objects)| [vec![control, function], objects.concat()].concat())
}

/// All that can be asked of a record, asked: [`Collected`] visits every field and writes the tree.
fn exercise(frames: &[Vec<u8>]) -> Collected {
    let sink = parse(frames);
    for heard in &sink.messages {
        assert!(
            heard.anomalies.iter().all(|anomaly| PROTOCOL.anomalies.iter().any(|known| known.name == anomaly.kind))
        );
    }
    sink
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let probe = (PROTOCOL.probe)(&octets, direction);
            match (PROTOCOL.frame)(&octets, direction) {
                Frame::Whole(length) => prop_assert!(length >= 1 && length <= octets.len()),
                Frame::Need(length) => prop_assert!(length > octets.len() && length <= PROTOCOL.longest_message),
                Frame::Long { .. } => prop_assert!(false, "this protocol has no such messages"),
                Frame::Not => prop_assert_eq!(probe, Probe::No),
            }
        }
        exercise(&[octets]);
    }

    #[test]
    fn no_user_data_panics(frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..=250)), 0..8)) {
        exercise(&frames.iter().map(|(control, data)| encode::frame(*control, 1, 2, data)).collect::<Vec<_>>());
    }

    #[test]
    fn no_fragment_panics_and_none_is_lost(octets in plausible()) {
        let sink = exercise(&encode::segments(&octets, 7));
        match Fragment::read(&octets) {
            Some(fragment) => {
                prop_assert_eq!(last(&sink).field("function"), fragment.function.to_string());
                prop_assert_eq!(last(&sink).field("data"), crate::testing::hex(&octets));
                let end = fragment.objects().map(|header| header.offset).max().unwrap_or(0);
                prop_assert!(end <= octets.len());
            }
            None => prop_assert_eq!(last(&sink).field("function"), ""),
        }
    }

    #[test]
    fn a_fragment_is_the_same_however_it_is_split(octets in prop::collection::vec(any::<u8>(), 4..1500), size in 1usize..249) {
        let chunks: Vec<_> = octets.chunks(size).collect();
        prop_assume!(chunks.len() <= 64);
        let frames: Vec<_> = chunks.iter().enumerate().map(|(number, chunk)| {
            let fir = if number == 0 { 0x40 } else { 0 };
            let fin = if number + 1 == chunks.len() { 0x80 } else { 0 };
            encode::frame(0xc4, 10, 1, &[&[fir | fin | (number & 0x3f) as u8], *chunk].concat())
        }).collect();
        prop_assert_eq!(last(&parse(&frames)).field("data"), crate::testing::hex(&octets));
    }
}

/// What the conversation that all protocols share makes of DNP3.
mod conversation {
    use super::*;
    use crate::conversation::{Conversation, Medium, Opening};

    fn open(server_port: u16, roles_known: bool) -> Conversation {
        let opening = Opening { client_port: 40000, server_port, medium: Medium::Stream, roles_known };
        Conversation::new(opening, crate::registry::PROTOCOLS, &Limits::DEFAULT)
    }

    #[test]
    fn dnp3_on_any_port_is_found_and_its_dir_bit_turns_the_roles() {
        let mut sink = Collected::default();
        let mut straight = open(4000, false);
        straight.data(&envelope(Direction::ToServer, 0), &encode::whole(&bytes("c0 01 3c0106")), &mut sink);
        assert_eq!((straight.protocol(), straight.take_reversed()), (Some(&PROTOCOL), false));
        let mut turned = open(4000, false);
        turned.data(&envelope(Direction::ToServer, 0), &encode::whole(&bytes("c0 81 0000")), &mut sink);
        assert_eq!((turned.protocol(), turned.take_reversed()), (Some(&PROTOCOL), true));
        assert_eq!(sink.messages[1].direction, Direction::ToClient);
    }

    #[test]
    fn an_outstation_that_opened_the_connection_is_found_by_its_frames() {
        let mut sink = Collected::default();
        let mut flow = open(4000, true);
        let unsolicited = encode::whole(&bytes("f0 82 0000"));
        flow.data(&envelope(Direction::ToServer, 0), &unsolicited, &mut sink);
        flow.data(&envelope(Direction::ToServer, 1), &unsolicited, &mut sink);
        assert_eq!((flow.protocol(), sink.messages.len()), (Some(&PROTOCOL), 2));
    }

    #[test]
    fn after_a_header_with_a_wrong_crc_the_next_frame_is_read() {
        let mut damaged = encode::whole(&bytes("c0 01 3c0206 3c0306 3c0406 3c0106"));
        damaged[4] ^= 1;
        let stream = [damaged, encode::whole(&bytes("c1 0d"))].concat();
        for cut in 0..stream.len() {
            let mut sink = Collected::default();
            let mut flow = open(20000, true);
            flow.data(&envelope(Direction::ToServer, 0), &stream[..cut], &mut sink);
            flow.data(&envelope(Direction::ToServer, 1), &stream[cut..], &mut sink);
            assert_eq!(sink.messages.len(), 1, "{cut}");
            assert_eq!(sink.messages[0].field("function"), "13", "{cut}");
            assert_eq!(sink.anomalies[0], Anomaly { kind: "bad_link_crc", offset: 8 }, "{cut}");
            assert_eq!(sink.anomalies[1], Anomaly { kind: "resynchronised", offset: 17 }, "{cut}");
        }
    }
}
