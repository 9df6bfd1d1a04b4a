//! Two invented protocols: `strong` begins with a magic byte and ends with a checksum, `weak` is only a length and zeros.

use proptest::prelude::*;

use super::*;
use crate::dissector::{Anomaly, Dissector, Frame, Probe, Record};

/// 0xAA, length of the payload, payload, sum of the payload.
static STRONG: Protocol = Protocol { name: "strong", probe: probe_strong, frame: frame_strong, ..WEAK };

/// 0x00, length of the payload, direction (1 to the server, 2 to the client), payload of that length.
static WEAK: Protocol = Protocol {
    name: "weak",
    title: "",
    tcp_ports: &[7],
    udp_ports: &[7],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: 300,
    fields: &[],
    anomalies: &[],
    probe: probe_weak,
    frame: frame_weak,
    open: |_| Box::new(Echo),
};

static BOTH: &[&Protocol] = &[&STRONG, &WEAK];

fn probe_strong(bytes: &[u8], _: Direction) -> Probe {
    match frame_strong(bytes, ToServer) {
        Frame::Whole(n) if bytes[2..n - 1].iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == bytes[n - 1] => {
            Probe::Certain
        }
        Frame::Need(_) => Probe::Maybe,
        _ => Probe::No,
    }
}

fn frame_strong(bytes: &[u8], _: Direction) -> Frame {
    match bytes {
        [0xaa, length, ..] if bytes.len() >= *length as usize + 3 => Frame::Whole(*length as usize + 3),
        [0xaa, length, ..] => Frame::Need(*length as usize + 3),
        [0xaa] => Frame::Need(2),
        _ => Frame::Not,
    }
}

fn probe_weak(bytes: &[u8], direction: Direction) -> Probe {
    match bytes {
        [0, _, way, ..] if *way as usize == direction.index() + 1 => Probe::Maybe,
        [0] | [0, _] => Probe::Maybe,
        _ => Probe::No,
    }
}

fn frame_weak(bytes: &[u8], _: Direction) -> Frame {
    match bytes {
        [0, length, ..] if bytes.len() >= *length as usize + 3 => Frame::Whole(*length as usize + 3),
        [0, length, ..] => Frame::Need(*length as usize + 3),
        [0] => Frame::Need(2),
        _ => Frame::Not,
    }
}

/// Reports every message's bytes as an anomaly whose offset is its length, and the bytes by a side channel.
struct Echo;

impl Dissector for Echo {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        for (at, byte) in message.iter().enumerate() {
            sink.anomaly(envelope, &WEAK, Anomaly { kind: "byte", offset: (at << 8) | *byte as usize });
        }
    }
}

#[derive(Default)]
struct Heard {
    messages: Vec<(Direction, Vec<u8>)>,
    skipped: usize,
    truncated: usize,
    events: Vec<&'static str>,
}

impl Sink for Heard {
    fn message(&mut self, _: &Envelope, _: &dyn Record, _: &[Anomaly]) {}
    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {}
    fn anomaly(&mut self, envelope: &Envelope, _: &'static Protocol, anomaly: Anomaly) {
        match anomaly.kind {
            "byte" if anomaly.offset >> 8 == 0 => {
                self.messages.push((envelope.direction, vec![anomaly.offset as u8]));
            }
            "byte" => self.messages.last_mut().unwrap().1.push(anomaly.offset as u8),
            "resynchronised" => self.skipped += anomaly.offset,
            _ => self.truncated += 1,
        }
    }
    fn undetected(&mut self, _: &Envelope, event: &'static str) {
        self.events.push(event);
    }
}

fn strong(payload: &[u8]) -> Vec<u8> {
    let sum = payload.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    [&[0xaa, payload.len() as u8], payload, &[sum]].concat()
}

fn weak(direction: Direction, payload: &[u8]) -> Vec<u8> {
    [&[0, payload.len() as u8, direction.index() as u8 + 1], payload].concat()
}

fn on_port(server_port: u16) -> Conversation {
    Conversation::new(
        Opening { client_port: 40000, server_port, medium: Medium::Stream, roles_known: true },
        BOTH,
        &Limits::DEFAULT,
    )
}

fn say(conversation: &mut Conversation, heard: &mut Heard, direction: Direction, bytes: &[u8]) {
    let envelope = Envelope { direction, timestamp: Timestamp::default(), datagram: false };
    conversation.data(&envelope, bytes, heard);
}

use Direction::{ToClient, ToServer};

#[test]
fn a_certain_probe_decides_on_any_port() {
    let (mut talk, mut heard) = (on_port(9999), Heard::default());
    say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
    assert_eq!(talk.protocol(), Some(&STRONG));
    assert_eq!(heard.messages, [(ToServer, strong(b"hello"))]);
}

#[test]
fn a_possible_probe_decides_on_its_own_port() {
    let (mut talk, mut heard) = (on_port(7), Heard::default());
    say(&mut talk, &mut heard, ToServer, &weak(ToServer, b"x"));
    assert_eq!(heard.messages, [(ToServer, weak(ToServer, b"x"))]);
}

#[test]
fn possible_messages_in_a_row_decide_on_another_port_and_none_is_lost() {
    let (mut talk, mut heard) = (on_port(9999), Heard::default());
    say(&mut talk, &mut heard, ToServer, &weak(ToServer, b"ask"));
    assert_eq!(talk.protocol(), None);
    say(&mut talk, &mut heard, ToClient, &weak(ToClient, b"answer"));
    assert_eq!(talk.protocol(), Some(&WEAK));
    assert_eq!(heard.messages, [(ToServer, weak(ToServer, b"ask")), (ToClient, weak(ToClient, b"answer"))]);
}

#[test]
fn roles_assumed_wrongly_are_turned_round() {
    let opening = Opening { client_port: 40000, server_port: 9999, medium: Medium::Stream, roles_known: false };
    let (mut talk, mut heard) = (Conversation::new(opening, BOTH, &Limits::DEFAULT), Heard::default());
    say(&mut talk, &mut heard, ToServer, &weak(ToClient, b"answer"));
    say(&mut talk, &mut heard, ToClient, &weak(ToServer, b"ask"));
    assert!(talk.take_reversed() && !talk.take_reversed());
    say(&mut talk, &mut heard, ToServer, &weak(ToServer, b"again"));
    let said = [(ToClient, &b"answer"[..]), (ToServer, b"ask"), (ToServer, b"again")];
    assert_eq!(heard.messages, said.map(|(direction, payload)| (direction, weak(direction, payload))));
}

#[test]
fn a_foreign_flow_is_given_up_and_a_flow_on_a_known_port_never() {
    let (mut elsewhere, mut here, mut heard) = (on_port(9999), on_port(7), Heard::default());
    for _ in 0..100 {
        say(&mut elsewhere, &mut heard, ToServer, b"GET / HTTP/1.1");
        say(&mut here, &mut heard, ToServer, b"GET / HTTP/1.1");
    }
    assert!(elsewhere.is_unknown());
    assert_eq!((here.is_unknown(), here.buffered()), (false, 0));
    say(&mut here, &mut heard, ToServer, &weak(ToServer, b"at last"));
    assert_eq!(heard.messages.len(), 1);
}

#[test]
fn after_a_gap_the_next_message_is_found() {
    let (mut talk, mut heard) = (on_port(7), Heard::default());
    say(&mut talk, &mut heard, ToServer, &strong(b"one"));
    say(&mut talk, &mut heard, ToServer, &strong(b"two")[..4]);
    talk.gap(ToServer, 1);
    say(&mut talk, &mut heard, ToServer, &[&b"rest of three"[..], &strong(b"four")].concat());
    assert_eq!(heard.messages, [(ToServer, strong(b"one")), (ToServer, strong(b"four"))]);
    assert_eq!(heard.skipped, 4 + 13);
}

#[test]
fn a_datagram_that_ends_early_is_told_and_the_next_is_whole() {
    let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Datagram, roles_known: true };
    let (mut talk, mut heard) = (Conversation::new(opening, BOTH, &Limits::DEFAULT), Heard::default());
    let whole = strong(b"datagram");
    say(&mut talk, &mut heard, ToServer, &whole);
    say(&mut talk, &mut heard, ToServer, &whole[..5]);
    say(&mut talk, &mut heard, ToServer, &whole);
    assert_eq!((heard.messages.len(), heard.truncated), (2, 1));
}

/// As `strong`, but of messages beyond twelve bytes only four are read.
static LONG: Protocol = Protocol {
    name: "long",
    longest_message: 12,
    frame: |bytes, direction| match frame_strong(bytes, direction) {
        Frame::Whole(length) | Frame::Need(length) if length > 12 && bytes.len() >= 4 => {
            Frame::Long { head: 4, length }
        }
        Frame::Need(length) if length > 12 => Frame::Need(4),
        other => other,
    },
    ..STRONG
};

static LONGS: &[&Protocol] = &[&LONG];

/// What is heard of a message of `long`.
fn read(message: &[u8]) -> Vec<u8> {
    message[..if message.len() > 12 { 4 } else { message.len() }].to_vec()
}

#[test]
fn the_end_of_a_long_message_may_be_lost_and_the_next_is_at_its_place() {
    let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Stream, roles_known: true };
    let (long, next) = (strong(&[7; 30]), strong(b"next"));
    for lost in [0, 20, 25] {
        let (mut talk, mut heard) = (Conversation::new(opening, LONGS, &Limits::DEFAULT), Heard::default());
        say(&mut talk, &mut heard, ToServer, &strong(b"first"));
        say(&mut talk, &mut heard, ToServer, &long[..8]);
        assert_eq!(talk.buffered(), 0, "nothing is held of what is passed over");
        talk.forget_unfinished();
        talk.gap(ToServer, lost);
        say(&mut talk, &mut heard, ToServer, &[&long[8 + lost as usize..], &next].concat());
        let expected = [strong(b"first"), read(&long), next.clone()].map(|message| (ToServer, message));
        assert_eq!((heard.messages, heard.skipped), (expected.to_vec(), 0), "{lost} bytes lost");
    }
}

#[test]
fn a_gap_beyond_the_end_of_a_long_message_is_one_as_any() {
    let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Stream, roles_known: true };
    let (mut talk, mut heard) = (Conversation::new(opening, LONGS, &Limits::DEFAULT), Heard::default());
    say(&mut talk, &mut heard, ToServer, &strong(b"first"));
    say(&mut talk, &mut heard, ToServer, &strong(&[7; 30])[..8]);
    talk.gap(ToServer, 26);
    say(&mut talk, &mut heard, ToServer, &[&b"rest"[..], &strong(b"next")].concat());
    assert_eq!((heard.messages.last(), heard.skipped), (Some(&(ToServer, strong(b"next"))), 4));
}

proptest! {
    #[test]
    fn segmentation_changes_nothing(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20),
        cuts in prop::collection::vec(1usize..30, 1..60),
    ) {
        let messages: Vec<_> = payloads.iter().map(|payload| strong(payload)).collect();
        let stream = messages.concat();
        let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Stream, roles_known: true };
        let begun = [&strong(b"first")[..], &stream].concat();
        let in_long = messages.iter().map(|message| read(message)).collect::<Vec<_>>();
        for (protocols, stream, expected) in [(BOTH, &stream, messages), (LONGS, &begun, [vec![strong(b"first")], in_long].concat())] {
            let (mut talk, mut heard) = (Conversation::new(opening, protocols, &Limits::DEFAULT), Heard::default());
            let (mut at, mut cut) = (0, cuts.iter().cycle());
            while at < stream.len() {
                let end = (at + cut.next().unwrap()).min(stream.len());
                say(&mut talk, &mut heard, ToServer, &stream[at..end]);
                at = end;
            }
            let heard: Vec<_> = heard.messages.into_iter().map(|(_, message)| message).collect();
            prop_assert_eq!(heard, expected);
            prop_assert_eq!(talk.buffered(), 0);
        }
    }

    #[test]
    fn arbitrary_bytes_and_gaps_never_panic_and_stay_within_bounds(
        chunks in prop::collection::vec((any::<bool>(), any::<bool>(), prop::collection::vec(prop_oneof![Just(0u8), Just(0xaa), any::<u8>()], 0..200)), 0..40),
        port in prop_oneof![Just(7u16), Just(9999)],
    ) {
        let (mut talk, mut heard) = (on_port(port), Heard::default());
        for (to_server, gap, bytes) in chunks {
            let direction = if to_server { ToServer } else { ToClient };
            if gap {
                talk.gap(direction, 1);
            }
            say(&mut talk, &mut heard, direction, &bytes);
            prop_assert!(talk.buffered() <= detection::HELD_BYTES.max(2 * WEAK.longest_message));
        }
    }
}

/// 0xC0 begins what both of the following stand on; then 1 or 2 says which of them it is.
static FIRST: Protocol = Protocol { name: "first", probe: probe_stacked::<1>, frame: frame_pair, ..WEAK };
static SECOND: Protocol = Protocol { name: "second", probe: probe_stacked::<2>, frame: frame_pair, ..WEAK };
static STACKED: &[&Protocol] = &[&FIRST, &SECOND];

fn probe_stacked<const WHICH: u8>(bytes: &[u8], _: Direction) -> Probe {
    match bytes {
        [0xc0, 0, ..] | [0xc0] => Probe::Shared,
        [0xc0, which, ..] if *which == WHICH => Probe::Maybe,
        _ => Probe::No,
    }
}

fn frame_pair(bytes: &[u8], _: Direction) -> Frame {
    if bytes.len() < 2 { Frame::Need(2) } else { Frame::Whole(2) }
}

#[test]
fn messages_of_a_shared_layer_decide_for_no_protocol_and_are_dissected_by_the_one_that_follows() {
    let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Stream, roles_known: true };
    let (mut talk, mut heard) = (Conversation::new(opening, STACKED, &Limits::DEFAULT), Heard::default());
    say(&mut talk, &mut heard, ToServer, &[0xc0, 0]);
    say(&mut talk, &mut heard, ToClient, &[0xc0, 0]);
    assert_eq!(talk.protocol(), None);
    say(&mut talk, &mut heard, ToServer, &[0xc0, 2]);
    assert_eq!(talk.protocol(), Some(&SECOND));
    assert_eq!(heard.messages.len(), 3);
}

#[test]
fn a_frame_of_the_link_layer_holds_one_message_and_padding() {
    let (mut talk, mut heard) = (Conversation::on_link(&STRONG, &Limits::DEFAULT), Heard::default());
    say(&mut talk, &mut heard, ToServer, &[strong(b"one"), vec![0; 20]].concat());
    say(&mut talk, &mut heard, ToServer, &[0xaa, 9, 1]);
    say(&mut talk, &mut heard, ToServer, &[1, 2, 3]);
    say(&mut talk, &mut heard, ToServer, &strong(b"two"));
    assert_eq!(heard.messages, [(ToServer, strong(b"one")), (ToServer, strong(b"two"))]);
    assert_eq!((heard.truncated, heard.skipped), (1, 3));
}

#[test]
fn a_protocol_of_the_link_layer_is_not_looked_for_in_streams() {
    static LINK: Protocol = Protocol { name: "link", ethertypes: &[0x88b8], ..STRONG };
    static LINKS: &[&Protocol] = &[&LINK];
    let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Stream, roles_known: true };
    let (mut talk, mut heard) = (Conversation::new(opening, LINKS, &Limits::DEFAULT), Heard::default());
    say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
    assert_eq!(talk.protocol(), None);
}

#[test]
fn a_conversation_is_small_enough_for_a_million() {
    assert!(size_of::<Conversation>() <= 56, "{}", size_of::<Conversation>());
    assert!(size_of::<Detection>() <= 56, "{}", size_of::<Detection>());
}

#[test]
fn a_protocol_with_ports_in_one_medium_is_not_looked_for_in_the_other() {
    static DATAGRAMS: Protocol = Protocol { tcp_ports: &[], ..STRONG };
    static EITHER: Protocol = Protocol { tcp_ports: &[], udp_ports: &[], ..STRONG };
    static ONE: &[&Protocol] = &[&DATAGRAMS];
    static OTHER: &[&Protocol] = &[&EITHER];
    for (protocols, medium, found) in [
        (ONE, Medium::Stream, false),
        (ONE, Medium::Datagram, true),
        (OTHER, Medium::Stream, true),
        (OTHER, Medium::Datagram, true),
    ] {
        let opening = Opening { client_port: 40000, server_port: 9999, medium, roles_known: true };
        let (mut talk, mut heard) = (Conversation::new(opening, protocols, &Limits::DEFAULT), Heard::default());
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        assert_eq!(talk.protocol().is_some(), found, "{medium:?}");
    }
}

#[test]
fn a_protocol_of_its_ports_alone_is_asked_of_no_other_flow() {
    static NARROW: Protocol = Protocol { only_on_ports: true, ..STRONG };
    static ALONE: &[&Protocol] = &[&NARROW];
    for (server_port, found) in [(7, true), (9999, false)] {
        let opening = Opening { client_port: 40000, server_port, medium: Medium::Stream, roles_known: true };
        let (mut talk, mut heard) = (Conversation::new(opening, ALONE, &Limits::DEFAULT), Heard::default());
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        assert_eq!(talk.protocol().is_some(), found, "{server_port}");
    }
}

#[test]
fn datagrams_that_never_decide_are_given_up_soon_and_hold_little() {
    let opening = Opening { client_port: 40000, server_port: 9999, medium: Medium::Datagram, roles_known: true };
    // No bytes tell less than zeros: several protocols may begin so, and none goes on.
    for length in [1, 24, 500] {
        let mut talk = Conversation::new(opening, crate::registry::PROTOCOLS, &Limits::DEFAULT);
        let mut heard = Heard::default();
        for _ in 0..16 {
            assert!(!talk.is_unknown());
            say(&mut talk, &mut heard, ToServer, &vec![0; length]);
        }
        assert!(talk.is_unknown(), "datagrams of {length} bytes");
    }
}

#[test]
fn no_number_of_small_pieces_is_held_without_bound() {
    let opening = Opening { client_port: 40000, server_port: 7, medium: Medium::Stream, roles_known: true };
    let (mut talk, mut heard) = (Conversation::new(opening, STACKED, &Limits::DEFAULT), Heard::default());
    for at in 0..10_000 {
        say(&mut talk, &mut heard, ToServer, if at % 2 == 0 { &[0xc0] } else { &[0] });
        assert!(talk.buffered() <= detection::HELD_CHUNKS);
    }
}

#[test]
fn every_protocol_of_the_registry_has_a_place_in_detection() {
    assert!(crate::registry::PROTOCOLS.len() <= 64);
}

#[test]
fn what_only_the_port_tells_apart_is_decided_by_the_port() {
    /// What `strong` speaks, with another name on its own port.
    static NAMESAKE: Protocol = Protocol {
        name: "namesake",
        tcp_ports: &[8],
        probe: |bytes, direction| probe_strong(bytes, direction).min(Probe::OnPort),
        ..STRONG
    };
    static SAME: &[&Protocol] = &[&STRONG, &NAMESAKE];
    for (server_port, found) in [(7, &STRONG), (8, &NAMESAKE), (9999, &STRONG)] {
        let opening = Opening { client_port: 40000, server_port, medium: Medium::Stream, roles_known: true };
        let (mut talk, mut heard) = (Conversation::new(opening, SAME, &Limits::DEFAULT), Heard::default());
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        assert_eq!(talk.protocol(), Some(found), "{server_port}");
        talk.gap(ToServer, 1);
        say(&mut talk, &mut heard, ToServer, &[b"lost".as_slice(), &strong(b"again")].concat());
        assert_eq!(heard.messages.last(), Some(&(ToServer, strong(b"again"))));
    }
}

#[test]
fn what_both_ends_said_from_the_beginning_and_nobody_knows_has_failed_until_a_protocol_is_found() {
    let opening = |server_port, medium, roles_known| Opening { client_port: 40000, server_port, medium, roles_known };
    for (server_port, medium) in [(7, Medium::Stream), (9999, Medium::Stream), (9999, Medium::Datagram)] {
        let mut talk = Conversation::new(opening(server_port, medium, true), BOTH, &Limits::DEFAULT);
        let mut heard = Heard::default();
        say(&mut talk, &mut heard, ToServer, b"noise");
        assert!(!talk.has_failed(), "one end has not spoken");
        say(&mut talk, &mut heard, ToClient, b"noise");
        assert!(talk.has_failed() && !talk.is_unknown());
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        assert!(!talk.has_failed() && talk.protocol() == Some(&STRONG), "{server_port} {medium:?}");
    }
    // Neither what was picked up midstream, nor what lost its beginning, nor what may still be a message.
    let failed = |roles_known: bool, lost: bool, answer: &[u8]| {
        let mut talk = Conversation::new(opening(9999, Medium::Stream, roles_known), BOTH, &Limits::DEFAULT);
        let mut heard = Heard::default();
        if lost {
            talk.gap(ToServer, 10);
        }
        say(&mut talk, &mut heard, ToServer, b"noise");
        say(&mut talk, &mut heard, ToClient, answer);
        talk.has_failed()
    };
    // What may become a message does not take it back, unless it does.
    let mut talk = Conversation::new(opening(9999, Medium::Stream, true), BOTH, &Limits::DEFAULT);
    let mut heard = Heard::default();
    [ToServer, ToClient].into_iter().for_each(|way| say(&mut talk, &mut heard, way, b"noise"));
    say(&mut talk, &mut heard, ToServer, &[0xaa, 1]);
    assert!(talk.has_failed() && talk.buffered() == 2);
    say(&mut talk, &mut heard, ToServer, &strong(b"x")[2..]);
    assert!(!talk.has_failed() && talk.protocol() == Some(&STRONG));
    // A datagram that ends before its message does is none; one that is a message of a kind may be one.
    for (datagram, fails) in [(vec![0xaa, 9, 1], true), (weak(ToServer, b"x"), false)] {
        let mut talk = Conversation::new(opening(9999, Medium::Datagram, true), BOTH, &Limits::DEFAULT);
        let mut heard = Heard::default();
        say(&mut talk, &mut heard, ToServer, &datagram);
        say(&mut talk, &mut heard, ToClient, b"noise");
        assert_eq!(talk.has_failed(), fails, "{datagram:?}");
    }
    assert!(failed(true, false, b"noise"));
    assert!(!failed(false, false, b"noise") && !failed(true, true, b"noise") && !failed(true, false, &[0xaa, 9]));
}

#[test]
fn detection_tells_of_an_end_that_never_spoke_and_of_one_that_speaks_something_else() {
    let opening = Opening { client_port: 40000, server_port: 9999, medium: Medium::Stream, roles_known: true };
    let (mut talk, mut heard) = (Conversation::new(opening, BOTH, &Limits::DEFAULT), Heard::default());
    (0..20).for_each(|_| say(&mut talk, &mut heard, ToServer, b"noise"));
    assert_eq!(heard.events, [DETECTION_SKIPPED]);
    let (mut talk, mut heard) = (Conversation::new(opening, BOTH, &Limits::DEFAULT), Heard::default());
    for _ in 0..20 {
        say(&mut talk, &mut heard, ToServer, b"noise");
        say(&mut talk, &mut heard, ToClient, b"noise");
    }
    assert!(talk.is_unknown() && heard.events.is_empty());
    for answered in [false, true] {
        let (mut talk, mut heard) = (Conversation::new(opening, BOTH, &Limits::DEFAULT), Heard::default());
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        if answered {
            say(&mut talk, &mut heard, ToClient, &strong(b"hello"));
        }
        (0..100).for_each(|_| say(&mut talk, &mut heard, ToClient, &[b'n'; 100]));
        assert_eq!(heard.events, if answered { vec![] } else { vec![ONE_DIRECTION] });
    }
}

/// A test of the connection as IEC 104 has it: of no other protocol.
const TEST_104: [u8; 6] = [0x68, 4, 0x43, 0, 0, 0];

#[test]
fn an_end_that_begins_with_another_protocol_than_the_other_is_told() {
    let opening = |roles_known| Opening { client_port: 40000, server_port: 9999, medium: Medium::Stream, roles_known };
    let told = |roles_known, prepare: &dyn Fn(&mut Conversation, &mut Heard), answer: &[u8]| {
        let mut talk = Conversation::new(opening(roles_known), BOTH, &Limits::DEFAULT);
        let mut heard = Heard::default();
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        prepare(&mut talk, &mut heard);
        say(&mut talk, &mut heard, ToClient, answer);
        (0..100).for_each(|_| say(&mut talk, &mut heard, ToClient, &[b'n'; 100]));
        heard.events
    };
    assert_eq!(told(true, &|_, _| {}, &TEST_104), [MISMATCH]);
    assert_eq!(told(true, &|_, _| {}, b"noise"), [ONE_DIRECTION]);
    // The rest of a message may be anything: after a loss, and where the flow is picked up.
    assert_eq!(told(true, &|talk, _| talk.gap(ToClient, 9), &TEST_104), [ONE_DIRECTION]);
    assert_eq!(told(false, &|_, _| {}, &TEST_104), [ONE_DIRECTION]);
    // Nor is it the first.
    assert_eq!(told(true, &|talk, heard| say(talk, heard, ToClient, &strong(b"hello")), &TEST_104), [""; 0]);
    assert_eq!(told(true, &|talk, heard| say(talk, heard, ToClient, b"noise"), &TEST_104), [ONE_DIRECTION]);
}

#[test]
fn what_was_let_go_while_the_protocol_was_sought_is_a_beginning_no_more() {
    for (first, events) in [(&b""[..], &[MISMATCH][..]), (b"noise", &[])] {
        let (mut talk, mut heard) = (on_port(9999), Heard::default());
        if !first.is_empty() {
            say(&mut talk, &mut heard, ToClient, first);
        }
        say(&mut talk, &mut heard, ToServer, &strong(b"hello"));
        say(&mut talk, &mut heard, ToClient, &TEST_104);
        assert_eq!(heard.events, events);
    }
}
