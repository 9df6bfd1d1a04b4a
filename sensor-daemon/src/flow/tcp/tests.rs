mod crossing;
mod window;

use proptest::prelude::*;

use super::*;
use Direction::{ToClient, ToServer};
use StreamEvent::*;

const S: u8 = Tcp::SYN;
const A: u8 = Tcp::ACK;
const F: u8 = Tcp::FIN;
const R: u8 = Tcp::RST;

/// What a direction was handed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Data(Vec<u8>),
    Gap(u64),
}

#[derive(Debug, Default)]
struct Seen {
    items: [Vec<Item>; 2],
    events: Vec<StreamEvent>,
    /// Start of each slice handed on, to tell a copy from the packet's own bytes.
    slices: Vec<*const u8>,
}

impl Deliver for Seen {
    fn data(&mut self, direction: Direction, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.slices.push(bytes.as_ptr());
        match self.items[direction.index()].last_mut() {
            Some(Item::Data(data)) => data.extend_from_slice(bytes),
            _ => self.items[direction.index()].push(Item::Data(bytes.to_vec())),
        }
    }

    fn gap(&mut self, direction: Direction, bytes: u64) {
        self.items[direction.index()].push(Item::Gap(bytes));
    }

    fn event(&mut self, _: Direction, event: StreamEvent) {
        self.events.push(event);
    }
}

/// A connection under test. Client and server sequence numbers count from 0 after the SYN; `base` is added on the wire.
struct Rig {
    reassembler: Reassembler,
    connection: Connection,
    seen: Seen,
    base: [u32; 2],
    now: u64,
}

impl Rig {
    fn with(settings: Settings) -> Self {
        Self {
            reassembler: Reassembler::new(&settings),
            connection: Connection::default(),
            seen: Seen::default(),
            base: [1_000, 50_000],
            now: 0,
        }
    }

    fn new() -> Self {
        Self::with(Settings::default())
    }

    /// With the handshake done.
    fn open() -> Self {
        let mut rig = Self::new();
        rig.handshake();
        rig
    }

    fn handshake(&mut self) {
        self.send(ToServer, S, -1, 0, b"");
        self.send(ToClient, S | A, -1, 0, b"");
        self.send(ToServer, A, 0, 0, b"");
        assert_eq!(self.connection.state(), TcpState::Established);
    }

    fn send(&mut self, direction: Direction, flags: u8, seq: i64, ack: i64, data: &[u8]) {
        self.offer(direction, flags, seq, ack, data, (1, None));
    }

    /// With a window, and the scale that a SYN offers.
    fn offer(
        &mut self,
        direction: Direction,
        flags: u8,
        seq: i64,
        ack: i64,
        data: &[u8],
        (window, window_scale): (u16, Option<u8>),
    ) {
        let (this, other) = (self.base[direction.index()], self.base[direction.opposite().index()]);
        let acknowledgement = if flags & A == 0 { 0 } else { other.wrapping_add(ack as u32) };
        let tcp = Tcp {
            sequence: this.wrapping_add(seq as u32),
            acknowledgement,
            flags,
            window,
            header_length: 20,
            timestamps: None,
            window_scale,
        };
        let now = Timestamp(self.now);
        self.reassembler.push(&mut self.connection, &tcp, data, direction, now, &mut self.seen);
    }

    /// What a handshake consists of, with the value and the echo of its timestamps.
    fn stamped(&mut self, direction: Direction, flags: u8, times: (u32, u32)) {
        let [this, other] = [direction, direction.opposite()].map(|direction| self.base[direction.index()]);
        let tcp = Tcp {
            sequence: this - u32::from(flags & S != 0),
            acknowledgement: if flags & A == 0 { 0 } else { other },
            flags,
            window: 1,
            header_length: 32,
            timestamps: Some(times),
            window_scale: None,
        };
        self.reassembler.push(&mut self.connection, &tcp, b"", direction, Timestamp(0), &mut self.seen);
    }

    fn wait_ms(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1_000_000;
    }

    fn finish(&mut self) {
        self.reassembler.finish(&mut self.connection, &mut self.seen);
        assert_eq!(self.reassembler.stats().memory_bytes, 0);
        assert!(self.connection.waiting.is_none(), "an idle connection keeps no heap");
    }

    fn items(&self, direction: Direction) -> &[Item] {
        &self.seen.items[direction.index()]
    }

    #[track_caller]
    fn expect(&self, direction: Direction, expected: &[Item]) {
        assert_eq!(self.items(direction), expected);
    }
}

fn data(text: &str) -> Item {
    Item::Data(text.as_bytes().to_vec())
}

#[test]
fn an_in_order_segment_is_handed_on_as_the_packets_own_bytes() {
    let mut rig = Rig::open();
    let bytes = *b"request";
    rig.send(ToServer, A, 0, 0, &bytes);
    assert_eq!(rig.seen.slices, [bytes.as_ptr()]);
    rig.send(ToClient, A, 0, 7, b"answer");
    rig.expect(ToServer, &[data("request")]);
    rig.expect(ToClient, &[data("answer")]);
    assert!(rig.seen.events.is_empty());
}

#[test]
fn reordered_segments_are_put_in_order() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 3, 0, b"def");
    rig.send(ToServer, A, 6, 0, b"ghi");
    rig.expect(ToServer, &[]);
    rig.send(ToServer, A, 0, 0, b"abc");
    rig.expect(ToServer, &[data("abcdefghi")]);
    rig.finish();
    assert!(rig.seen.events.is_empty());
}

#[test]
fn reordering_by_the_tap_is_no_loss_even_when_the_receiver_acknowledged_the_hole() {
    let mut rig = Rig::open();
    // The tap shows answer 2, then the client's acknowledgement of answer 1, then answer 1.
    rig.send(ToClient, A, 3, 0, b"two");
    rig.send(ToServer, A, 0, 3, b"ask");
    rig.send(ToClient, A, 0, 0, b"one");
    rig.expect(ToClient, &[data("onetwo")]);
}

#[test]
fn a_segment_the_tap_lost_is_a_gap_as_soon_as_the_receiver_acknowledges_more() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"aaa");
    // "bbb" is lost.
    rig.send(ToServer, A, 6, 0, b"ccc");
    rig.expect(ToServer, &[data("aaa")]);
    rig.send(ToClient, A, 0, 9, b"");
    rig.expect(ToServer, &[data("aaa"), Item::Gap(3), data("ccc")]);
    assert!(rig.connection.has_gap(ToServer) && !rig.connection.has_gap(ToClient));
    assert_eq!(rig.seen.events, [SequenceGap]);
    assert_eq!(rig.reassembler.stats().gaps_acknowledged, 1);
}

#[test]
fn a_lost_request_that_was_answered_does_not_delay_the_next_one() {
    let mut rig = Rig::open();
    // Request 1 is lost, its answer is seen; request 2 goes on at once.
    rig.send(ToClient, A, 0, 3, b"one");
    rig.send(ToServer, A, 3, 3, b"two");
    rig.expect(ToServer, &[Item::Gap(3), data("two")]);
}

#[test]
fn a_hole_that_the_receiver_has_too_waits_for_the_retransmission() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 3, 0, b"two");
    for _ in 0..40 {
        rig.wait_ms(100);
        rig.send(ToClient, A, 0, 0, b"");
        rig.send(ToServer, A, 3, 0, b"two");
    }
    rig.send(ToServer, A, 0, 0, b"one");
    rig.expect(ToServer, &[data("onetwo")]);
}

#[test]
fn with_one_direction_only_a_hole_is_given_up_after_a_while() {
    let mut rig = Rig::new();
    rig.send(ToServer, A, 0, 0, b"one");
    rig.send(ToServer, A, 6, 0, b"three");
    rig.wait_ms(499);
    rig.send(ToServer, A, 11, 0, b"four");
    rig.expect(ToServer, &[data("one")]);
    rig.wait_ms(1);
    rig.send(ToServer, A, 15, 0, b"five");
    rig.expect(ToServer, &[data("one"), Item::Gap(3), data("threefourfive")]);
    assert_eq!(rig.reassembler.stats().gaps_timed_out, 1);
}

#[test]
fn with_one_direction_only_a_hole_is_given_up_after_many_segments() {
    let mut rig = Rig::new();
    rig.send(ToServer, A, 0, 0, b"x");
    for n in 0..31 {
        rig.send(ToServer, A, 2 + n, 0, b"y");
    }
    rig.expect(ToServer, &[data("x")]);
    rig.send(ToServer, A, 33, 0, b"z");
    assert_eq!(rig.items(ToServer)[1], Item::Gap(1));
    assert_eq!(rig.items(ToServer)[2], data(&("y".repeat(31) + "z")));
}

#[test]
fn bounds_turn_waiting_into_gaps() {
    for (settings, limited) in [
        (Settings { waiting_segments: 3, ..Settings::default() }, true),
        (Settings { waiting_bytes: 12, ..Settings::default() }, true),
        (Settings { memory_bytes: 200, ..Settings::default() }, false),
    ] {
        let mut rig = Rig::with(settings);
        rig.handshake();
        for n in 0..4 {
            rig.send(ToServer, A, 10 + 8 * n, 0, b"abcd");
        }
        let stats = rig.reassembler.stats();
        assert_eq!(rig.items(ToServer)[..2], [Item::Gap(10), data("abcd")]);
        assert_eq!(stats.gaps_limited > 0, limited);
        assert_eq!(stats.gaps_memory > 0, !limited);
        assert!(stats.memory_bytes <= 300);
        rig.finish();
    }
}

#[test]
fn what_waits_at_the_end_is_handed_on() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 2, 0, b"b");
    rig.send(ToServer, A | F, 5, 0, b"d");
    rig.send(ToClient, A, 1, 0, b"x");
    rig.finish();
    rig.expect(ToServer, &[Item::Gap(2), data("b"), Item::Gap(2), data("d")]);
    rig.expect(ToClient, &[Item::Gap(1), data("x")]);
}

#[test]
fn retransmissions_and_overlaps_are_trimmed() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"abcdef");
    rig.send(ToServer, A, 0, 0, b"abcdef");
    rig.send(ToServer, A, 3, 0, b"defghi");
    rig.expect(ToServer, &[data("abcdefghi")]);
    assert_eq!(rig.seen.events, [Retransmission]);
    assert_eq!(rig.reassembler.stats().retransmitted, 1);
}

#[test]
fn keep_alives_and_window_probes_change_nothing() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"abc");
    rig.send(ToServer, A, 2, 0, b"");
    rig.send(ToServer, A, 2, 0, b"\0");
    rig.send(ToClient, A, 0, 3, b"");
    // A zero-window probe carries the next byte, which comes again with the rest.
    rig.send(ToServer, A, 3, 0, b"d");
    rig.send(ToServer, A, 3, 0, b"def");
    rig.expect(ToServer, &[data("abcdef")]);
    assert!(rig.seen.events.is_empty());
}

#[test]
fn overlapping_data_that_differs_is_an_event_and_the_policy_decides() {
    for (policy, expected) in [(OverlapPolicy::First, "abcdEF"), (OverlapPolicy::Last, "abcXYZ")] {
        let mut rig = Rig::with(Settings { overlap: policy, ..Settings::default() });
        rig.handshake();
        rig.send(ToServer, A, 3, 0, b"dEF");
        rig.send(ToServer, A, 3, 0, b"XYZ");
        rig.send(ToServer, A, 0, 0, b"abc");
        rig.expect(ToServer, &[data(expected)]);
        assert_eq!(rig.seen.events, [OverlapDifferentData]);
    }
    // The segment that fills the hole may itself overlap what waits.
    let mut rig = Rig::with(Settings { overlap: OverlapPolicy::Last, ..Settings::default() });
    rig.handshake();
    rig.send(ToServer, A, 2, 0, b"cd");
    rig.send(ToServer, A, 0, 0, b"abXY");
    rig.expect(ToServer, &[data("abXY")]);
}

#[test]
fn the_state_follows_a_close_by_the_client() {
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::SynSent);
    rig.send(ToClient, S | A, -1, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::SynRecv);
    rig.send(ToServer, A, 0, 0, b"x");
    assert_eq!(rig.connection.state(), TcpState::Established);
    rig.send(ToServer, A | F, 1, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::FinWait1);
    rig.send(ToClient, A, 0, 2, b"");
    assert_eq!(rig.connection.state(), TcpState::FinWait2);
    rig.send(ToClient, A | F, 0, 2, b"");
    assert_eq!(rig.connection.state(), TcpState::TimeWait);
    rig.send(ToServer, A, 2, 1, b"");
    assert_eq!(rig.connection.state(), TcpState::Closed);
}

#[test]
fn the_state_follows_a_close_by_the_server() {
    let mut rig = Rig::open();
    rig.send(ToClient, A | F, 0, 0, b"bye");
    assert_eq!(rig.connection.state(), TcpState::CloseWait);
    rig.send(ToServer, A | F, 0, 4, b"");
    assert_eq!(rig.connection.state(), TcpState::LastAck);
    rig.send(ToClient, A, 4, 1, b"");
    assert_eq!(rig.connection.state(), TcpState::Closed);
    rig.expect(ToClient, &[data("bye")]);
}

#[test]
fn a_fin_counts_when_all_before_it_came() {
    let mut rig = Rig::open();
    rig.send(ToServer, A | F, 3, 0, b"def");
    assert_eq!(rig.connection.state(), TcpState::Established);
    rig.send(ToServer, A, 0, 0, b"abc");
    assert_eq!(rig.connection.state(), TcpState::FinWait1);
    rig.expect(ToServer, &[data("abcdef")]);
    rig.send(ToServer, A | F, 3, 0, b"def");
    assert_eq!(rig.reassembler.stats().retransmitted, 1);
}

#[test]
fn data_behind_a_forged_fin_is_handed_on() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"abc");
    rig.send(ToServer, A | F, 3, 0, b"");
    rig.send(ToServer, A, 3, 0, b"def");
    rig.expect(ToServer, &[data("abcdef")]);
    assert_eq!(rig.connection.state(), TcpState::Established);
    // And one that waits for a hole.
    rig.send(ToServer, A | F, 8, 0, b"");
    rig.send(ToServer, A, 9, 0, b"z");
    rig.finish();
    assert_eq!(rig.items(ToServer)[1..], [Item::Gap(3), data("z")]);
}

#[test]
fn a_reset_closes_and_data_after_it_is_suspicious_and_handed_on() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"abc");
    rig.send(ToServer, R, 3, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::Closed);
    assert!(rig.seen.events.is_empty());
    rig.send(ToServer, A, 3, 0, b"def");
    assert_eq!(rig.seen.events, [SuspectedRstInject]);
    assert_eq!(rig.connection.state(), TcpState::Established);
    rig.expect(ToServer, &[data("abcdef")]);
}

#[test]
fn a_reset_out_of_window_closes_nothing() {
    let mut rig = Rig::open();
    rig.send(ToServer, R, 5_000_000, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::Established);
    assert_eq!(rig.seen.events, [OutOfWindow]);
}

#[test]
fn a_refused_connection_is_closed() {
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    rig.send(ToClient, R | A, -50_000, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::Closed);
    assert!(rig.seen.events.is_empty());
}

#[test]
fn a_connection_is_picked_up_midstream() {
    let mut rig = Rig::new();
    rig.send(ToClient, A, 100, 40, b"answer");
    rig.send(ToServer, A, 40, 106, b"request");
    rig.expect(ToClient, &[data("answer")]);
    rig.expect(ToServer, &[data("request")]);
    assert_eq!(rig.connection.state(), TcpState::Established);
    assert_eq!(rig.reassembler.stats().midstream, 1);

    let mut rig = Rig::with(Settings { midstream: false, ..Settings::default() });
    rig.send(ToServer, A, 40, 106, b"request");
    rig.expect(ToServer, &[]);
    assert_eq!(rig.connection.state(), TcpState::None);
}

#[test]
fn midstream_pickup_at_a_keep_alive_loses_nothing() {
    let mut rig = Rig::new();
    rig.send(ToServer, A, 99, 0, b"");
    rig.send(ToServer, A, 100, 0, b"request");
    rig.expect(ToServer, &[data("request")]);
    assert!(rig.seen.events.is_empty());
}

#[test]
fn a_lost_syn_or_syn_ack_does_not_matter() {
    let mut rig = Rig::new();
    rig.send(ToClient, S | A, -1, 0, b"");
    // The first request is lost too: its size is known from the SYN/ACK.
    rig.send(ToServer, A, 4, 0, b"two");
    rig.send(ToClient, A, 0, 7, b"");
    rig.expect(ToServer, &[Item::Gap(4), data("two")]);

    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    rig.send(ToServer, A, 0, 0, b"one");
    rig.send(ToClient, A, 0, 3, b"answer");
    rig.expect(ToServer, &[data("one")]);
    rig.expect(ToClient, &[data("answer")]);
    assert_eq!(rig.connection.state(), TcpState::Established);
}

#[test]
fn data_in_a_syn_is_handed_on_once() {
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"early");
    rig.send(ToClient, S | A, -1, 5, b"");
    rig.send(ToServer, A, 0, 0, b"early");
    rig.send(ToServer, A, 5, 0, b"late");
    rig.expect(ToServer, &[data("earlylate")]);
    assert_eq!(rig.seen.events, [Retransmission, SpuriousRetransmission]);
}

#[test]
fn a_stream_goes_on_where_several_segments_agree_or_the_receiver_does() {
    // One direction only: the third consecutive segment is believed.
    let mut rig = Rig::new();
    rig.send(ToServer, A, 0, 0, b"old");
    let far = 3_000_000;
    rig.send(ToServer, A, far, 0, b"aa");
    rig.send(ToServer, A, far + 2, 0, b"bb");
    rig.expect(ToServer, &[data("old")]);
    rig.send(ToServer, A, far + 4, 0, b"cc");
    rig.expect(ToServer, &[data("old"), Item::Gap(3_000_001), data("cc")]);
    assert_eq!(rig.reassembler.stats().resynchronised, 1);
    // Backwards nobody knows how much is missing.
    for n in 0..3 {
        rig.send(ToServer, A, -2_000_000 + n, 0, b"x");
    }
    assert_eq!(rig.items(ToServer)[3..], [Item::Gap(0), data("x")]);

    // The receiver's acknowledgement confirms the first segment.
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"old");
    rig.send(ToServer, A, far, 0, b"aa");
    rig.send(ToClient, A, 0, far + 2, b"");
    rig.send(ToServer, A, far + 2, 0, b"bb");
    rig.expect(ToServer, &[data("old"), Item::Gap(2_999_999), data("bb")]);

    // Its denial keeps the stream where it is.
    let mut rig = Rig::open();
    for n in 0..9 {
        rig.send(ToServer, A, far + n, 0, b"!");
        rig.send(ToClient, A, 0, 0, b"");
    }
    rig.send(ToServer, A, 0, 0, b"real");
    rig.expect(ToServer, &[data("real")]);
    assert!(rig.seen.events.iter().all(|event| *event == OutOfWindow));
}

#[test]
fn a_new_connection_on_the_same_ports_is_recognised() {
    let fresh = |flags, sequence, acknowledgement| Tcp {
        sequence,
        acknowledgement,
        flags,
        window: 1,
        header_length: 20,
        timestamps: None,
        window_scale: None,
    };
    // After a close any other SYN, but not the same one sent again.
    let mut rig = Rig::open();
    rig.send(ToServer, R, 0, 0, b"");
    assert!(rig.connection.replaced_by(&fresh(S, 7, 0), ToServer));
    assert!(!rig.connection.replaced_by(&fresh(S, 999, 0), ToServer));
    // Within an established one only when the other side answers it.
    let mut rig = Rig::open();
    assert!(!rig.connection.replaced_by(&fresh(S, 7, 0), ToServer));
    rig.send(ToServer, S, 7 - 1000, 0, b"");
    assert_eq!(rig.seen.events, [SynResendDifferentSequence]);
    assert!(!rig.connection.replaced_by(&fresh(S | A, 1, 9), ToClient));
    assert!(rig.connection.replaced_by(&fresh(S | A, 1, 8), ToClient));
    // With one direction only, at once.
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    rig.send(ToServer, A, 0, 0, b"x");
    assert!(rig.connection.replaced_by(&fresh(S, 7, 0), ToServer));
}

#[test]
fn a_syn_ack_that_the_tap_shows_late_is_the_first_and_no_other_one() {
    for said in [&b""[..], b"ask"] {
        let mut rig = Rig::new();
        rig.send(ToServer, S, -1, 0, b"");
        rig.send(ToServer, A, 0, 0, said);
        rig.send(ToClient, S | A, -1, 0, b"");
        // The beginning of the server's stream is known by it.
        rig.send(ToClient, A, 6, 0, b"more");
        rig.send(ToClient, A, 0, 0, b"answer");
        rig.expect(ToClient, &[data("answermore")]);
        assert_eq!(rig.seen.events, []);
    }
    // The tap lost the SYN besides.
    let mut rig = Rig::new();
    rig.send(ToServer, A, 0, 0, b"");
    rig.send(ToClient, S | A, -1, 0, b"");
    assert_eq!(rig.seen.events, []);
    // After the answer, too; but not one that leads elsewhere.
    for (sequence, events) in [(-1, vec![]), (FAR, vec![SynAckResendDifferentSequence])] {
        let mut rig = Rig::new();
        rig.send(ToServer, S, -1, 0, b"");
        rig.send(ToServer, A, 0, 0, b"ask");
        rig.send(ToClient, A, 0, 3, b"answer");
        rig.send(ToClient, S | A, sequence, 0, b"");
        assert_eq!(rig.seen.events, events);
    }
}

#[test]
fn the_newest_timestamp_of_a_syn_counts_in_whichever_order_the_tap_shows_them() {
    let mut rig = Rig::new();
    for (direction, flags, times) in
        [(ToServer, S, (3000, 0)), (ToServer, S, (1000, 0)), (ToClient, S | A, (70, 3000)), (ToServer, A, (3001, 70))]
    {
        rig.stamped(direction, flags, times);
    }
    assert_eq!((rig.connection.state(), &rig.seen.events[..]), (TcpState::Established, &[][..]));
    // What no SYN had is not echoed.
    let mut rig = Rig::new();
    rig.stamped(ToServer, S, (3000, 0));
    rig.stamped(ToServer, S, (1000, 0));
    rig.stamped(ToClient, S | A, (70, 3001));
    assert_eq!((rig.connection.state(), &rig.seen.events[..]), (TcpState::SynSent, &[InvalidTimestamp][..]));
}

#[test]
fn oddities_have_events() {
    fn events(steps: &[(Direction, u8, i64, i64, &[u8])]) -> Vec<StreamEvent> {
        let mut rig = Rig::new();
        for &(direction, flags, seq, ack, data) in steps {
            rig.send(direction, flags, seq, ack, data);
        }
        rig.seen.events
    }
    let opening: [(Direction, u8, i64, i64, &[u8]); 3] =
        [(ToServer, S, -1, 0, b""), (ToClient, S | A, -1, 0, b""), (ToServer, A, 0, 0, b"")];
    assert_eq!(events(&[(ToServer, F | A, 0, 0, b"")]), [FinWithoutSession]);
    assert_eq!(events(&[(ToServer, R, 0, 0, b"")]), [RstWithoutSession]);
    assert_eq!(events(&[(ToServer, S | F, 0, 0, b"")]), [FinSyn]);
    assert_eq!(events(&[opening[0], (ToClient, S | A, -1, -1, b"")]), [SynAckWrongAck]);
    assert_eq!(events(&[opening[0], opening[1], (ToClient, S | A, 9, 0, b"")]), [HandshakeSynAckDifferentSequence]);
    assert_eq!(events(&[opening[0], opening[1], (ToServer, S, 9, 0, b"")]), [HandshakeSynDifferentSequence]);
    assert_eq!(
        events(&[opening[0], opening[1], opening[2], (ToClient, S | A, 9, 0, b"")]),
        [SynAckResendDifferentSequence]
    );
    let again = |more: &[(Direction, u8, i64, i64, &[u8])]| {
        let talk: [(Direction, u8, i64, i64, &[u8]); 3] =
            [(ToServer, A, 0, 0, b"ask"), (ToClient, A, 0, 3, b"answer"), (ToServer, A, 3, 6, b"")];
        events(&[&opening[..], &talk, more].concat())
    };
    // Who missed the end of the handshake sends its beginning again, and nothing is odd about it.
    assert_eq!(events(&[opening[0], opening[1], opening[2], opening[1]]), []);
    assert_eq!(again(&[opening[0]]), [SynResend]);
    assert_eq!(again(&[opening[1]]), [SynAckResend]);
    assert_eq!(again(&[(ToClient, S | A, -1, 2, b"")]), [SynAckResendDifferentAck]);
    assert_eq!(again(&[(ToClient, S, 9, 0, b"")]), [SynToClient]);
    assert_eq!(again(&[(ToServer, S | A, 9, 0, b"")]), [SynAckToServer]);
    assert_eq!(again(&[(ToServer, F | A, 3, 6, b""), (ToServer, S, 2, 0, b"")]), [ShutdownSynResend]);
    assert_eq!(events(&[opening[0], opening[1], (ToClient, S, 9, 0, b"")]), [HandshakeSynToClient]);
    assert_eq!(events(&[opening[0], opening[1], (ToServer, S | A, 9, 0, b"")]), [HandshakeSynAckToServer]);
    assert_eq!(events(&[opening[0], opening[1], (ToClient, S | A, -1, 9, b"")]), [HandshakeSynAckDifferentAck]);
    assert_eq!(events(&[opening[0], (ToServer, S | A, -1, 0, b"")]), [SynAckInWrongDirection]);
    let far = 1 << 22;
    assert_eq!(again(&[(ToClient, A, 6, far, b"")]), [InvalidAck, EstablishedInvalidAck]);
    assert_eq!(again(&[(ToServer, F | A, 3, 6, b""), (ToClient, A, 6, far, b"")]), [InvalidAck, FinWait1InvalidAck]);
    assert_eq!(again(&[(ToClient, F | A, 6, 3, b""), (ToServer, A, 3, far, b"")]), [InvalidAck, CloseWaitInvalidAck]);
    let mut rig = Rig::open();
    let tcp = Tcp {
        sequence: 1000,
        acknowledgement: 5,
        flags: Tcp::PSH,
        window: 1,
        header_length: 20,
        timestamps: None,
        window_scale: None,
    };
    rig.reassembler.push(&mut rig.connection, &tcp, b"x", ToServer, Timestamp(0), &mut rig.seen);
    assert_eq!(rig.seen.events, [BrokenAck]);
}

#[test]
fn event_names_are_distinct() {
    let names: std::collections::BTreeSet<_> = StreamEvent::ALL.iter().map(|event| event.name()).collect();
    assert_eq!(names.len(), StreamEvent::ALL.len());
}

#[test]
fn reversing_keeps_streams_and_swaps_the_state() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 2, 0, b"c");
    rig.send(ToServer, A | F, 3, 0, b"");
    rig.connection.reverse();
    rig.base.swap(0, 1);
    rig.send(ToClient, A, 0, 0, b"ab");
    rig.expect(ToClient, &[data("abc")]);
    assert_eq!(rig.connection.state(), TcpState::CloseWait);
}

/// Segments of a stream: start and length, in any order, with any overlap.
fn segmentation() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>, u32)> {
    (1usize..400, any::<u32>()).prop_flat_map(|(length, base)| {
        let stream = proptest::collection::vec(any::<u8>(), length);
        let cuts = proptest::collection::vec((0..length, 1..60usize), 0..40);
        (stream, cuts, prop_oneof![Just(base), (0u32..400).prop_map(|n| u32::MAX - n)])
    })
}

/// What is handed on of a stream of which only `sent` was seen: data and gaps up to the FIN.
fn model(stream: &[u8], sent: &[(usize, usize)]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (at, &byte) in stream.iter().enumerate() {
        let seen = sent.iter().any(|&(start, length)| (start..start + length).contains(&at));
        match (items.last_mut(), seen) {
            (Some(Item::Data(data)), true) => data.push(byte),
            (Some(Item::Gap(lost)), false) => *lost += 1,
            (_, true) => items.push(Item::Data(vec![byte])),
            (_, false) => items.push(Item::Gap(1)),
        }
    }
    items
}

fn patient() -> Settings {
    Settings { gap_timeout_ms: u32::MAX, gap_segments: u32::MAX, waiting_segments: u32::MAX, ..Settings::default() }
}

fn play(stream: &[u8], sent: &[(usize, usize)], base: u32, overlap: OverlapPolicy) -> Rig {
    let mut rig = Rig::with(Settings { overlap, ..patient() });
    rig.base[0] = base;
    rig.send(ToServer, S, -1, 0, b"");
    for &(start, length) in sent {
        let end = (start + length).min(stream.len());
        rig.send(ToServer, A, start as i64, 0, &stream[start..end]);
    }
    rig.send(ToServer, A | F, stream.len() as i64, 0, b"");
    rig.finish();
    rig
}

fn policies() -> impl Strategy<Value = OverlapPolicy> {
    use OverlapPolicy::*;
    prop_oneof![Just(First), Just(Last), Just(Bsd), Just(Linux), Just(Windows)]
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_stream((stream, cuts, base) in segmentation(), overlap in policies(), seed in any::<u64>()) {
        // The cuts, and then as many segments as cover the stream, in an order that the seed gives.
        let mut sent = cuts;
        sent.extend((0..stream.len()).step_by(37).map(|start| (start, 37)));
        sent.sort_by_key(|&(start, length)| (start as u64 * 31 + length as u64).wrapping_mul(seed | 1));
        let rig = play(&stream, &sent, base, overlap);
        prop_assert_eq!(rig.items(ToServer), &[Item::Data(stream)]);
        prop_assert!(!rig.seen.events.contains(&OverlapDifferentData));
        prop_assert_eq!(rig.connection.state(), TcpState::FinWait1);
    }

    #[test]
    fn losses_are_gaps_of_their_size((stream, sent, base) in segmentation(), overlap in policies()) {
        let rig = play(&stream, &sent, base, overlap);
        let expected = model(&stream, &sent);
        prop_assert_eq!(rig.items(ToServer), &expected[..]);
        let lost: u64 = expected.iter().map(|item| if let Item::Gap(lost) = item { *lost } else { 0 }).sum();
        prop_assert_eq!(rig.reassembler.stats().gap_bytes, lost);
    }

    /// Anything at all: no panic, bounds kept, memory accounted for.
    #[test]
    fn arbitrary_segments_never_panic(
        steps in proptest::collection::vec(
            (any::<bool>(), any::<u8>(), prop_oneof![-30i64..300, any::<i64>()], prop_oneof![-30i64..300, any::<i64>()],
             0usize..40, 0u64..400), 0..120),
    ) {
        let settings = Settings { waiting_bytes: 200, waiting_segments: 10, memory_bytes: 1500, ..Settings::default() };
        let mut rig = Rig::with(settings);
        for (to_server, flags, seq, ack, length, wait) in steps {
            let direction = if to_server { ToServer } else { ToClient };
            rig.wait_ms(wait);
            rig.send(direction, flags, seq, ack, &[7; 40][..length]);
            prop_assert!(rig.reassembler.stats().memory_bytes <= 1500);
        }
        rig.finish();
    }
}

#[test]
fn rules_about_every_event_are_in_force() {
    let rules: String = (1u32..)
        .zip(StreamEvent::ALL)
        .map(|(sid, event)| format!("alert tcp any any -> any any (stream-event:{}; sid:{sid};)\n", event.name()))
        .collect();
    let source = vigia_rules::Source { name: "events".into(), text: rules.as_str().into() };
    let compiled = vigia_rules::Engine::compile(&[source], &vigia_rules::Variables::standard());
    assert_eq!((compiled.engine.rules().len(), compiled.switched_off), (StreamEvent::ALL.len(), 0));
}

/// Further than any window reaches.
const FAR: i64 = 5 << 20;

#[test]
fn what_is_far_outside_is_named_by_the_state_of_its_connection() {
    let events = |prepare: &dyn Fn(&mut Rig), flags: u8| {
        let mut rig = Rig::open();
        prepare(&mut rig);
        rig.seen.events.clear();
        rig.send(ToServer, A | flags, FAR, 0, b"far");
        rig.seen.events
    };
    let client_ends = |rig: &mut Rig| rig.send(ToServer, A | F, 0, 0, b"");
    let acknowledged = |rig: &mut Rig| {
        client_ends(rig);
        rig.send(ToClient, A, 0, 1, b"");
    };
    let server_ends = |rig: &mut Rig| rig.send(ToClient, A | F, 0, 0, b"");
    let last = |rig: &mut Rig| {
        server_ends(rig);
        client_ends(rig);
    };
    let closing = |rig: &mut Rig| {
        client_ends(rig);
        server_ends(rig);
    };
    let over = |rig: &mut Rig| {
        acknowledged(rig);
        rig.send(ToClient, A | F, 0, 1, b"");
    };
    assert_eq!(events(&|_| {}, 0), [OutOfWindow]);
    assert_eq!(events(&|_| {}, F), [OutOfWindow, FinOutOfWindow]);
    assert_eq!(events(&client_ends, 0), [FinWait1WrongSequence]);
    assert_eq!(events(&client_ends, F), [FinWait1FinWrongSequence]);
    assert_eq!(events(&acknowledged, 0), [FinWait2WrongSequence]);
    assert_eq!(events(&acknowledged, F), [FinWait2FinWrongSequence]);
    assert_eq!(events(&server_ends, 0), [CloseWaitOutOfWindow]);
    assert_eq!(events(&server_ends, F), [CloseWaitFinOutOfWindow]);
    assert_eq!(events(&last, 0), [LastAckWrongSequence]);
    assert_eq!(events(&closing, 0), [ClosingWrongSequence]);
    assert_eq!(events(&over, 0), [TimeWaitWrongSequence]);
}

#[test]
fn an_invalid_acknowledgement_is_named_by_the_end_that_carries_it_too() {
    for (flag, event) in [(F, FinInvalidAck), (R, RstInvalidAck)] {
        let mut rig = Rig::open();
        rig.send(ToServer, A, 0, 0, b"ask");
        rig.send(ToClient, A | flag, 0, FAR, b"");
        assert!(rig.seen.events.contains(&InvalidAck) && rig.seen.events.contains(&event), "{:?}", rig.seen.events);
    }
}

#[test]
fn what_is_sent_again_after_it_was_acknowledged_is_told_apart() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, b"abcdef");
    rig.send(ToServer, A, 0, 0, b"abcdef");
    rig.send(ToClient, A, 0, 6, b"");
    rig.send(ToServer, A, 3, 0, b"def");
    rig.send(ToServer, A, 0, 0, b"abc");
    let spurious = [Retransmission, SpuriousRetransmission];
    assert_eq!(rig.seen.events, [&[Retransmission], &spurious[..], &spurious, &[EstablishedBeforeLastAck]].concat());
}

#[test]
fn what_is_before_all_that_is_known_is_no_retransmission() {
    // Before the SYN there is nothing, and a keep-alive repeats one byte.
    let mut rig = Rig::open();
    rig.send(ToServer, A, -1, 0, b"\0");
    rig.send(ToServer, A, 0, 0, b"abcd");
    rig.send(ToServer, A, 0, 0, b"ab");
    assert_eq!(rig.seen.events, [Retransmission]);
    rig.send(ToServer, A, -4, 0, b"zzzz");
    // The SYN/ACK acknowledged as far as there.
    assert_eq!(rig.seen.events, [Retransmission, BeforeBeginning, SpuriousRetransmission]);
    // What is picked up midstream begins where it was picked up.
    let mut rig = Rig::new();
    rig.send(ToServer, A, 100, 0, b"abcd");
    rig.send(ToServer, A, 102, 0, b"cd");
    rig.send(ToServer, A, 90, 0, b"0123456789");
    assert_eq!(rig.seen.events, [Retransmission, BeforeBeginning]);
    rig.expect(ToServer, &[data("abcd")]);
}

#[test]
fn a_stream_that_has_come_round_repeats_nothing_from_before_its_beginning() {
    let mut rig = Rig::open();
    rig.send(ToServer, A, 0, 0, &vec![7; WINDOW as usize + 1]);
    // 4 GiB further on.
    rig.connection.sides[0].next = rig.base[0];
    rig.send(ToServer, A, -11, 0, b"0123456789");
    assert_eq!(rig.seen.events.first(), Some(&Retransmission));
    assert!(!rig.seen.events.contains(&BeforeBeginning), "{:?}", rig.seen.events);
}

#[test]
fn beginnings_that_contradict_each_other_are_a_flood_in_the_end() {
    let mut rig = Rig::new();
    (0..11).for_each(|number| rig.send(ToServer, S, -1 - 1000 * number, 0, b""));
    assert_eq!(rig.seen.events, []);
    rig.send(ToServer, S, -1, 0, b"");
    assert_eq!(rig.seen.events, [SynFlood]);
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    (0..6).for_each(|number| rig.send(ToClient, S | A, -1 - 1000 * number, 0, b""));
    assert_eq!(rig.seen.events, [HandshakeSynAckDifferentSequence; 5]);
    rig.send(ToClient, S | A, -7001, 0, b"");
    assert!(rig.seen.events.ends_with(&[SynAckFlood]), "{:?}", rig.seen.events);
}

#[test]
fn the_end_of_a_handshake_must_go_with_its_beginning() {
    for (sequence, acknowledgement, event) in
        [(0, FAR, Some(HandshakeWrongAck)), (FAR, FAR, Some(HandshakeWrongSequenceAndAck)), (0, 0, None), (3, 0, None)]
    {
        let mut rig = Rig::new();
        rig.send(ToServer, S, -1, 0, b"");
        rig.send(ToClient, S | A, -1, 0, b"");
        rig.send(ToServer, A, sequence, acknowledgement, b"");
        assert_eq!(rig.seen.events.first().copied(), event, "{:?}", rig.seen.events);
    }
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"early");
    rig.send(ToClient, S | A, -1, 0, b"");
    assert_eq!(rig.seen.events, [SynDataIgnored]);
}
