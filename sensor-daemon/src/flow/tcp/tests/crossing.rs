//! Handshakes in which both sides send a SYN.

use super::*;

/// With the SYNs of both sides seen.
fn crossed() -> Rig {
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    rig.send(ToClient, S, -1, 0, b"");
    assert_eq!(rig.connection.state(), TcpState::SynSent);
    rig
}

#[track_caller]
fn talks(mut rig: Rig) {
    assert_eq!(rig.connection.state(), TcpState::Established);
    rig.send(ToServer, A, 0, 0, b"ask");
    rig.send(ToClient, A, 0, 3, b"answer");
    rig.send(ToServer, A, 3, 6, b"");
    rig.expect(ToServer, &[data("ask")]);
    rig.expect(ToClient, &[data("answer")]);
    assert_eq!(rig.seen.events, []);
}

#[test]
fn a_simultaneous_open_is_established_and_its_streams_are_read() {
    // RFC 9293, figure 8: each side answers the SYN of the other with a SYN/ACK, in whichever order the tap shows them.
    for [first, second] in [[ToServer, ToClient], [ToClient, ToServer]] {
        let mut rig = crossed();
        rig.send(first, S | A, -1, 0, b"");
        assert_eq!(rig.connection.state(), TcpState::SynRecv);
        rig.send(second, S | A, -1, 0, b"");
        talks(rig);
    }
}

#[test]
fn a_syn_that_answers_a_syn_is_acknowledged_and_the_connection_established() {
    // The handshake that is split into four: SYN, SYN, SYN/ACK, ACK.
    let mut rig = crossed();
    rig.send(ToServer, S | A, -1, 0, b"");
    rig.send(ToClient, A, 0, 0, b"");
    talks(rig);
}

#[test]
fn what_is_sent_again_or_lost_on_the_way_is_nothing_odd() {
    let mut rig = crossed();
    for _ in 0..2 {
        rig.send(ToServer, S, -1, 0, b"");
        rig.send(ToClient, S, -1, 0, b"");
        rig.send(ToServer, S | A, -1, 0, b"");
        rig.send(ToClient, S, -1, 0, b"");
    }
    rig.send(ToClient, S | A, -1, 0, b"");
    talks(rig);
    // The tap lost both answers, and data.
    let mut rig = crossed();
    rig.send(ToServer, A, 30, 20, b"more");
    assert_eq!(rig.connection.state(), TcpState::Established);
    rig.send(ToClient, A, 20, 34, b"answer");
    rig.expect(ToServer, &[Item::Gap(30), data("more")]);
    rig.expect(ToClient, &[Item::Gap(20), data("answer")]);
    assert_eq!(rig.seen.events, [SequenceGap; 2]);
}

#[test]
fn an_answer_to_a_crossing_syn_that_does_not_answer_it_leads_nowhere() {
    for (first, second) in [(ToServer, ToClient), (ToClient, ToServer)] {
        // As the first answer, and as the second one.
        let mut rig = crossed();
        rig.send(first, S | A, -1, 7, b"");
        assert_eq!((rig.connection.state(), &rig.seen.events[..]), (TcpState::SynSent, &[CrossingSynAckWrongAck][..]));
        let mut rig = crossed();
        rig.send(second, S | A, -1, 0, b"");
        rig.send(first, S | A, -1, 7, b"");
        assert_eq!((rig.connection.state(), &rig.seen.events[..]), (TcpState::SynRecv, &[CrossingSynAckWrongAck][..]));
        // The right one is believed all the same.
        rig.seen.events.clear();
        rig.send(first, S | A, -1, 0, b"");
        talks(rig);
    }
}

#[test]
fn a_forged_syn_of_the_server_takes_nothing_from_its_stream() {
    for forged in [4, 5000, -5000, FAR] {
        let mut rig = Rig::new();
        rig.send(ToServer, S, -1, 0, b"");
        rig.send(ToClient, S, forged, 0, b"");
        rig.send(ToClient, S | A, -1, 0, b"");
        assert_eq!((rig.connection.state(), &rig.seen.events[..]), (TcpState::SynRecv, &[CrossingSynAckWrongSyn][..]));
        rig.seen.events.clear();
        rig.send(ToServer, A, 0, 0, b"");
        talks(rig);
    }
}

#[test]
fn a_forged_syn_does_not_keep_a_connection_from_being_followed_whose_answer_the_tap_lost() {
    let mut rig = Rig::new();
    rig.send(ToServer, S, -1, 0, b"");
    rig.send(ToClient, S, FAR, 0, b"");
    rig.send(ToServer, A, 0, 0, b"");
    assert_eq!((rig.connection.state(), &rig.seen.events[..]), (TcpState::SynSent, &[CrossingInvalidAck][..]));
    rig.send(ToServer, A, 0, 0, b"ask");
    assert_eq!(rig.connection.state(), TcpState::Established);
    rig.send(ToClient, A, 0, 3, b"answer");
    rig.expect(ToServer, &[data("ask")]);
    assert!(rig.seen.items[ToClient.index()].ends_with(&[data("answer")]));
}

#[test]
fn the_end_of_a_crossing_handshake_must_go_with_its_beginning() {
    let ended = |sequence, acknowledgement| {
        let mut rig = crossed();
        rig.send(ToServer, S | A, -1, 0, b"");
        rig.send(ToClient, A, sequence, acknowledgement, b"");
        (rig.connection.state(), rig.seen.events)
    };
    assert_eq!(ended(0, 0), (TcpState::Established, vec![]));
    assert_eq!(ended(FAR, 0), (TcpState::SynRecv, vec![CrossingWrongSequence]));
    assert_eq!(ended(0, FAR), (TcpState::SynRecv, vec![CrossingInvalidAck]));
}
