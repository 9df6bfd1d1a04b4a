use vigia_parsers::packet::{Ethernet, Tcp};

use super::super::testing::*;
use super::*;

const A: (&str, u16) = ("10.0.0.1", 40000);
const B: (&str, u16) = ("10.0.0.2", 502);
const US: u64 = 1_000;
const MS: u64 = 1_000_000;

fn copies(frames: &[Frame]) -> Vec<Option<DuplicateKind>> {
    let mut duplicates = Duplicates::new(&Settings { mirrored: true, ..Settings::default() });
    frames.iter().map(|frame| duplicates.check(&frame.packet())).collect()
}

fn redundant(kind: RedundancyKind, lan: u8, sequence: u16, at: u64, payload: &[u8]) -> Frame {
    let mut frame = udp(A, B, payload).ip_id(sequence).at(at);
    frame.ethernet = Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 2], ethertype: 0x0800 });
    frame.redundancy = Some(Redundancy { kind, lan, sequence });
    frame
}

#[test]
fn the_copy_of_the_other_lan_is_discarded() {
    use DuplicateKind::*;
    for (kind, copy, [a, b]) in [(RedundancyKind::Prp, Prp, [0xa, 0xb]), (RedundancyKind::Hsr, Hsr, [0, 1])] {
        let frames = [
            redundant(kind, a, 7, 100 * MS, b"x"),
            redundant(kind, b, 7, 100 * MS + 300 * US, b"x"),
            redundant(kind, b, 8, 101 * MS, b"y"),
            redundant(kind, a, 8, 150 * MS, b"y"),
        ];
        assert_eq!(copies(&frames), [None, Some(copy), None, Some(copy)]);
    }
}

#[test]
fn a_sequence_number_that_comes_again_is_no_copy() {
    let frame = |lan, at, id| redundant(RedundancyKind::Prp, lan, 7, at, b"x").ip_id(id);
    // The same LAN: wrapped, or the sender restarted; and the other LAN after the aging time.
    let again = [frame(0xa, 100 * MS, 1), frame(0xa, 200 * MS, 1), frame(0xb, 201 * MS, 1)];
    assert_eq!(copies(&again), [None, None, Some(DuplicateKind::Prp)]);
    assert_eq!(copies(&[frame(0xa, 100 * MS, 1), frame(0xb, 501 * MS, 1)]), [None, None]);
}

#[test]
fn a_frame_cannot_hide_behind_the_number_of_another() {
    let frames = [
        redundant(RedundancyKind::Prp, 0xa, 7, 100 * MS, b"harmless"),
        redundant(RedundancyKind::Prp, 0xb, 7, 100 * MS, b"stopplc!"),
    ];
    let mut duplicates = Duplicates::new(&Settings { mirrored: true, ..Settings::default() });
    assert!(frames.iter().all(|frame| duplicates.check(&frame.packet()).is_none()));
    assert_eq!(duplicates.stats().redundant_mismatch, 1);
}

#[test]
fn redundant_frames_without_ip_are_recognised_too() {
    let mut duplicates = Duplicates::new(&Settings { mirrored: true, ..Settings::default() });
    let check = |duplicates: &mut Duplicates, lan| {
        let frame = redundant(RedundancyKind::Hsr, lan, 7, 100 * MS, b"goose");
        let mut packet = frame.packet();
        packet.ip = None;
        duplicates.check(&packet)
    };
    assert_eq!(check(&mut duplicates, 0), None);
    assert_eq!(check(&mut duplicates, 1), Some(DuplicateKind::Hsr));
    let stats = duplicates.stats();
    assert_eq!((stats.hsr_path_a, stats.hsr_path_b, stats.hsr), (1, 1, 1));
}

#[test]
fn a_frame_mirrored_twice_is_discarded_once() {
    let frame = tcp(A, B, Tcp::ACK, 1, 1, b"write").ip_id(77);
    let frames = [
        frame.clone().at(100 * MS),
        frame.clone().at(100 * MS + 50 * US),
        // The other side of a router, in its other VLAN.
        frame.clone().at(104 * MS).ttl(63).vlan(&[200]),
    ];
    let copy = Some(DuplicateKind::Mirrored);
    assert_eq!(copies(&frames), [None, copy, copy]);
}

#[test]
fn what_a_station_sends_again_is_no_copy() {
    let request = |id, at| tcp(A, B, Tcp::ACK, 1, 1, b"write").ip_id(id).at(at);
    // Another identification at once; the same one later.
    assert_eq!(copies(&[request(1, 100 * MS), request(2, 100 * MS + US)]), [None, None]);
    assert_eq!(copies(&[request(1, 100 * MS), request(1, 106 * MS)]), [None, None]);
    // Without identification: within microseconds a copy, after a millisecond not, and never with another TTL.
    let copy = Some(DuplicateKind::Mirrored);
    assert_eq!(copies(&[request(0, 100 * MS), request(0, 100 * MS + 50 * US)]), [None, copy]);
    assert_eq!(copies(&[request(0, 100 * MS), request(0, 101 * MS)]), [None, None]);
    assert_eq!(copies(&[request(0, 100 * MS), request(0, 100 * MS).ttl(63)]), [None, None]);
    let acknowledgement = tcp(A, B, Tcp::ACK, 1, 1, b"").ip_id(0).at(100 * MS);
    assert_eq!(copies(&[acknowledgement.clone(), acknowledgement]), [None, None]);
    let six = |at| udp(("2001:db8::1", 1), ("2001:db8::2", 2), b"poll").at(at);
    assert_eq!(copies(&[six(100 * MS), six(100 * MS + 50 * US), six(101 * MS)]), [None, copy, None]);
}

#[test]
fn another_byte_anywhere_makes_another_frame() {
    let frame = tcp(A, B, Tcp::ACK, 1, 1, &[0; 100]).ip_id(5);
    for at in (0..frame.bytes.len()).filter(|at| ![8, 10, 11].contains(at)) {
        let mut other = frame.clone();
        // Version and identification stay: they choose the rule.
        other.bytes[at] ^= if at == 0 { 0x01 } else { 0x40 };
        assert_eq!(copies(&[frame.clone(), other]), [None, None], "byte {at}");
    }
}

#[test]
fn settings_switch_both_rules_off() {
    let settings = Settings { redundant: false, mirrored: false, ..Settings::default() };
    let mut duplicates = Duplicates::new(&settings);
    for lan in [0xa, 0xb, 0xa] {
        assert_eq!(duplicates.check(&redundant(RedundancyKind::Prp, lan, 7, MS, b"x").packet()), None);
    }
}

#[test]
fn memory_is_bounded_and_forgetting_is_counted() {
    let settings = Settings { mirrored: true, mirrored_entries: 64, ..Settings::default() };
    let mut duplicates = Duplicates::new(&settings);
    for id in 1..=1000 {
        assert_eq!(duplicates.check(&udp(A, B, b"x").ip_id(id).packet()), None);
    }
    assert!((900..1000).contains(&duplicates.stats().forgotten_early));
    assert_eq!(duplicates.mirrored.sets.len() * WAYS, 64);
}

#[test]
fn a_clock_that_stepped_back_does_not_spoil_the_memory() {
    let settings = Settings { mirrored: true, mirrored_entries: WAYS as u32, ..Settings::default() };
    let mut duplicates = Duplicates::new(&settings);
    for id in 1..=WAYS as u16 {
        duplicates.check(&udp(A, B, b"x").ip_id(id).at(1_000_000 * MS).packet());
    }
    for round in [None, Some(DuplicateKind::Mirrored)] {
        for id in 1..=WAYS as u16 {
            assert_eq!(duplicates.check(&udp(A, B, b"y").ip_id(id).at(1_000 * MS).packet()), round);
        }
    }
}
