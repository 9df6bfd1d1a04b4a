//! Windows that are taken back.

use super::*;

/// A client that takes 10,000 bytes and a server that takes as many, in units of what both scale by.
fn open(scale: Option<u8>) -> Rig {
    let mut rig = Rig::new();
    rig.offer(ToServer, S, -1, 0, b"", (60_000, scale));
    rig.offer(ToClient, S | A, -1, 0, b"", (60_000, scale));
    rig.offer(ToServer, A, 0, 0, b"", (10_000, None));
    rig.offer(ToServer, A, 0, 0, b"ask", (10_000, None));
    rig.offer(ToClient, A, 0, 3, b"answer", (10_000, None));
    rig.offer(ToServer, A, 3, 6, b"", (10_000, None));
    assert_eq!(rig.seen.events, []);
    rig
}

#[test]
fn an_acknowledgement_of_nothing_that_shuts_the_window_is_told_and_not_believed() {
    for scale in [None, Some(7)] {
        let mut rig = open(scale);
        rig.offer(ToClient, A, 100, 50, b"", (10, None));
        assert_eq!(rig.seen.events, [BadWindowUpdate]);
        // What the client goes on to say is no gap, though "acknowledged" beyond it.
        rig.offer(ToServer, A, 8, 6, b"two", (10_000, None));
        rig.offer(ToServer, A, 3, 6, b"and a", (10_000, None));
        rig.expect(ToServer, &[data("askand atwo")]);
    }
}

#[test]
fn a_receiver_that_falls_behind_takes_nothing_back() {
    let mut rig = open(Some(7));
    // Its window shrinks by what it has taken.
    rig.offer(ToServer, A, 3, 6, &[7; 1280], (10_000, None));
    rig.offer(ToClient, A, 6, 1283, b"", (9_990, None));
    // The tap lost what both said, and the receiver has not read it yet; a scaled window is rounded down.
    rig.offer(ToClient, A, 100, 1283 + 5000, b"", (9_950, None));
    assert_eq!(rig.seen.events, []);
}

#[test]
fn a_smaller_window_is_nothing_odd_where_nothing_is_acknowledged_too_early() {
    let mut rig = open(None);
    rig.offer(ToClient, A, 6, 3, b"", (10, None));
    rig.offer(ToClient, A, 6, 3, b"more", (0, None));
    // In order, of what the tap lost; then out of order, of what was seen.
    rig.offer(ToClient, A, 10, 50, b"", (0, None));
    rig.offer(ToClient, A, 100, 3, b"", (0, None));
    assert!(!rig.seen.events.contains(&BadWindowUpdate), "{:?}", rig.seen.events);
}

#[test]
fn of_windows_whose_scale_is_not_known_nothing_is_said() {
    let mut rig = Rig::new();
    rig.offer(ToServer, A, 0, 0, b"ask", (10_000, None));
    rig.offer(ToClient, A, 0, 3, b"answer", (10_000, None));
    rig.offer(ToClient, A, 100, 50, b"", (10, None));
    assert_eq!(rig.seen.events, []);
}
