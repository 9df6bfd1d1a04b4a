//! Messages laid out by hand after the syntax of IEC 61850-8-1 annex A and IEC 61850-9-2 §8.5.

use proptest::prelude::*;

use super::{goose, routed, sv};
use crate::Limits;
use crate::dissector::Direction::ToServer;
use crate::dissector::{Frame, Probe, Protocol};
use crate::testing::{Collected, Heard, envelope};

/// An element of the basic encoding rules with a length of one or two octets.
fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    match contents.len() {
        length @ 0..=127 => [&[tag, length as u8], contents].concat(),
        length => [&[tag, 0x82, (length >> 8) as u8, length as u8], contents].concat(),
    }
}

/// The header of the link layer around an APDU.
fn message(app_id: u16, apdu: &[u8]) -> Vec<u8> {
    let length = apdu.len() as u16 + 8;
    [&app_id.to_be_bytes()[..], &length.to_be_bytes(), &[0; 4], apdu].concat()
}

const DATA: &[&[u8]] = &[
    &[0x83, 1, 1],
    &[0x84, 3, 6, 0x40, 0x40],
    &[0x85, 1, 0xfb],
    &[0x86, 2, 1, 0],
    &[0x87, 5, 8, 0x42, 0x28, 0, 0],
    &[0x8a, 3, b'o', b'f', b'f'],
    &[0xa2, 6, 0x83, 1, 0, 0x85, 1, 7],
];

fn goose_apdu(state: u8, sequence: u8, revision: u8, entries: u8) -> Vec<u8> {
    let fields = [
        tlv(0x80, b"IED1/LLN0$GO$gcb01"),
        tlv(0x81, &[0x07, 0xd0]),
        tlv(0x82, b"IED1/LLN0$events"),
        tlv(0x83, b"trip"),
        tlv(0x84, &[0x65, 0x53, 0xf1, 0x00, 0x80, 0, 0, 0x0a]),
        tlv(0x85, &[state]),
        tlv(0x86, &[sequence]),
        tlv(0x87, &[0]),
        tlv(0x88, &[revision]),
        tlv(0x89, &[0]),
        tlv(0x8a, &[entries]),
        tlv(0xab, &DATA.concat()),
    ];
    tlv(0x61, &fields.concat())
}

fn goose(state: u8, sequence: u8) -> Vec<u8> {
    message(0x2000, &goose_apdu(state, sequence, 1, DATA.len() as u8))
}

fn sv(sample: u16) -> Vec<u8> {
    let asdu = [
        tlv(0x80, b"MU01"),
        tlv(0x82, &sample.to_be_bytes()),
        tlv(0x83, &[0, 0, 0, 1]),
        tlv(0x85, &[2]),
        tlv(0x87, &[&(-1000i32).to_be_bytes()[..], &[0; 4], &70_000i32.to_be_bytes()[..], &[0, 0, 0x20, 0]].concat()),
    ];
    let pdu = [tlv(0x80, &[1]), tlv(0xa2, &tlv(0x30, &asdu.concat()))];
    message(0x4000, &tlv(0x60, &pdu.concat()))
}

/// Feeds messages, each some milliseconds after the one before.
fn said(protocol: &'static Protocol, messages: &[(u64, Vec<u8>)]) -> Collected {
    let (mut dissector, mut heard, mut now) = ((protocol.open)(&Limits::DEFAULT), Collected::default(), 0);
    for (wait, message) in messages {
        now += wait;
        dissector.parse(&envelope(ToServer, now), message, &mut heard);
    }
    heard
}

fn kinds(heard: &Collected) -> Vec<Vec<&'static str>> {
    heard.messages.iter().map(Heard::kinds).collect()
}

#[test]
fn a_goose_message_gives_its_fields_and_values() {
    let heard = said(&goose::PROTOCOL, &[(0, goose(1, 0))]);
    let message = &heard.messages[0];
    assert_eq!(message.kinds(), [""; 0]);
    assert_eq!(message.field("app_id"), "8192");
    assert_eq!(message.field("control_block"), crate::testing::hex(b"IED1/LLN0$GO$gcb01"));
    assert_eq!(message.field("time"), "1700000000500000000");
    assert_eq!(message.field("time_allowed_to_live"), "2000");
    assert_eq!(message.field("value"), "1 -5 256 42 0 7");
    assert_eq!(message.field("text"), crate::testing::hex(b"off"));
    assert_eq!(message.facts, ["client name IED1"]);
    insta::assert_snapshot!(message.json);
}

#[test]
fn a_change_of_state_is_a_command_and_a_repetition_is_not() {
    let heard = said(&goose::PROTOCOL, &[(0, goose(1, 0)), (4, goose(1, 1))]);
    assert!(heard.messages[0].operation.starts_with("control: IED1/LLN0$events[1] = true, IED1/LLN0$events[2] = 257"));
    assert!(heard.messages[1].operation.starts_with("read: "));
}

#[test]
fn repetitions_are_counted_and_only_changes_are_recorded() {
    let story = [(0, goose(1, 0)), (4, goose(1, 1)), (8, goose(1, 2)), (500, goose(2, 0)), (4, goose(2, 1))];
    let heard = said(&goose::PROTOCOL, &story);
    assert_eq!(heard.messages.len(), 5);
    assert_eq!(heard.transactions.iter().map(|heard| heard.transaction).collect::<Vec<_>>(), [1, 4]);
    assert!(kinds(&heard).concat().is_empty());
}

#[test]
fn numbers_that_jump_and_silence_that_lasts_are_told() {
    let story = [
        (0, goose(5, 0)),
        (4, goose(5, 3)),
        (4, goose(5, 2)),
        (4, goose(8, 0)),
        (4, goose(7, 0)),
        (3000, goose(7, 1)),
        (4, message(0x2000, &goose_apdu(7, 2, 9, DATA.len() as u8))),
    ];
    assert_eq!(
        kinds(&said(&goose::PROTOCOL, &story)),
        [
            vec![],
            vec!["sequence_number_skipped"],
            vec!["sequence_number_stepped_back"],
            vec!["state_number_skipped"],
            vec!["state_number_stepped_back"],
            vec!["time_allowed_to_live_exceeded"],
            vec!["configuration_revision_changed"],
        ]
    );
}

#[test]
fn a_goose_message_cut_at_any_byte_gives_what_is_there_and_says_so() {
    let whole = goose(1, 0);
    for end in 8..whole.len() {
        let heard = said(&goose::PROTOCOL, &[(0, whole[..end].to_vec())]);
        assert_eq!(heard.messages[0].field("app_id"), "8192", "{end}");
        assert!(heard.messages[0].kinds().contains(&"truncated_message"), "{end}");
    }
    assert_eq!((goose::PROTOCOL.frame)(&whole[..7], ToServer), Frame::Need(8));
}

#[test]
fn what_a_goose_message_lacks_or_counts_wrongly_is_told() {
    let entries = message(1, &goose_apdu(1, 0, 1, 3));
    assert_eq!(said(&goose::PROTOCOL, &[(0, entries)]).messages[0].kinds(), ["entry_count_mismatch"]);
    let lacking = message(1, &tlv(0x61, &tlv(0x80, b"x")));
    assert_eq!(said(&goose::PROTOCOL, &[(0, lacking)]).messages[0].kinds(), ["missing_field"]);
    let foreign = message(1, &tlv(0x30, b""));
    assert_eq!(said(&goose::PROTOCOL, &[(0, foreign)]).messages[0].kinds(), ["invalid_encoding"]);
}

#[test]
fn a_message_of_sampled_values_gives_its_samples() {
    let heard = said(&sv::PROTOCOL, &[(0, sv(7))]);
    let message = &heard.messages[0];
    assert_eq!(message.kinds(), [""; 0]);
    assert_eq!(message.field("id"), crate::testing::hex(b"MU01"));
    assert_eq!((message.field("sample_count"), message.field("value")), ("7".into(), "-1000 70000".into()));
    assert_eq!(message.field("quality"), "0 8192");
    assert_eq!(message.facts, ["client name MU01"]);
    insta::assert_snapshot!(message.json);
}

#[test]
fn samples_are_counted_over_the_second_and_those_missing_are_told() {
    let counts = [3997, 3998, 3999, 0, 1, 2, 5, 4, 3999, 0, 1];
    let story: Vec<_> = counts.map(|count| (1, sv(count))).into();
    let heard = said(&sv::PROTOCOL, &story);
    let told: Vec<_> = heard.messages.iter().map(|heard| heard.anomalies.first().map(|a| (a.kind, a.offset))).collect();
    let mut expected = vec![None; counts.len()];
    expected[6] = Some(("samples_lost", 2));
    expected[7] = Some(("sample_count_stepped_back", 8));
    expected[8] = Some(("samples_lost", 3994));
    assert_eq!(told, expected);
    assert_eq!(heard.transactions.len(), 1, "one record for the first, none for the others");
}

#[test]
fn a_stream_is_recorded_once_a_minute_with_its_counts() {
    let heard = said(&sv::PROTOCOL, &[(0, sv(0)), (1, sv(1)), (60_000, sv(4))]);
    let last = heard.transactions.last().unwrap();
    assert_eq!(last.transaction, 3);
    assert!(last.json.contains("\"samples\": 3") && last.json.contains("\"samples_lost\": 2"), "{}", last.json);
}

/// The session layer of IEC/TR 61850-90-5 around messages.
fn session(identifier: u8, kind: u8, app_id: u16, apdu: &[u8]) -> Vec<u8> {
    let header = [0; 22];
    let pdu = [&[kind, 0], &app_id.to_be_bytes()[..], &(apdu.len() as u16).to_be_bytes()[..], apdu].concat();
    let mut bytes = vec![0x01, 0x40, identifier, 24, 0x80, header.len() as u8];
    bytes.extend(header);
    bytes.extend((pdu.len() as u32).to_be_bytes());
    bytes.extend(pdu);
    bytes.extend([0x85, 0]);
    bytes
}

#[test]
fn both_are_found_in_datagrams_too() {
    let goose = session(0xa1, 0x81, 0x3001, &goose_apdu(1, 0, 1, DATA.len() as u8));
    let sampled = session(0xa2, 0x82, 0x4001, &sv(7)[8..]);
    for (way, other, bytes, app_id) in
        [(&routed::GOOSE, &routed::SV, &goose, "12289"), (&routed::SV, &routed::GOOSE, &sampled, "16385")]
    {
        assert_eq!((way.probe)(bytes, ToServer), Probe::Certain);
        assert_eq!((other.probe)(bytes, ToServer), Probe::No);
        let heard = said(way, &[(0, bytes.clone())]);
        assert_eq!(
            (heard.messages[0].field("app_id"), heard.messages[0].field("routed")),
            (app_id.into(), "true".into())
        );
        assert_eq!(heard.messages[0].kinds(), [""; 0]);
    }
}

proptest! {
    #[test]
    fn arbitrary_frames_never_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8)) {
        for protocol in [&goose::PROTOCOL, &sv::PROTOCOL, &routed::GOOSE, &routed::SV] {
            let story: Vec<_> = frames.iter().map(|frame| (1, frame.clone())).collect();
            said(protocol, &story);
            for frame in &frames {
                if let Frame::Whole(length) = (protocol.frame)(frame, ToServer) {
                    prop_assert!((1..=frame.len()).contains(&length));
                }
            }
        }
    }

    #[test]
    fn a_damaged_message_never_panics(at in 0usize..200, value: u8) {
        for (protocol, mut message) in [(&goose::PROTOCOL, goose(1, 0)), (&sv::PROTOCOL, sv(1))] {
            let at = at % message.len();
            message[at] = value;
            let heard = said(protocol, &[(0, message.clone()), (1, message)]);
            prop_assert!(heard.messages.len() == 2);
        }
    }
}
