//! What becomes of packets with a wrong checksum.

mod wire;

use serde_json::Value as Json;
use wire::{Capture, Session, Way, ethernet, ipv4, udp, write_register};

/// A query for www.example.com.
const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";

/// The types of the records and the packets dropped, with these arguments.
fn replayed(arguments: &[&str]) -> (Vec<String>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::default();
    // A datagram whose checksum was left to hardware, and one whose IP header is damaged.
    let mut datagram = udp(40000, 53, QUERY);
    datagram[6..8].copy_from_slice(&[0xbe, 0xef]);
    let packet = |id| ipv4(17, [10, 0, 0, 5], [10, 0, 0, 1], id, 0, &datagram);
    capture.push(&ethernet(&[], 0x0800, &packet(1)));
    let mut damaged = packet(2);
    damaged[10] ^= 1;
    capture.push(&ethernet(&[], 0x0800, &damaged));
    // Segments have no checksum here, which in TCP is a wrong one.
    let mut session = Session::new(([10, 0, 0, 6], 40001), ([10, 0, 0, 2], 502));
    session.handshake().iter().for_each(|frame| capture.push(frame));
    capture.push(&session.say(Way::ToServer, &write_register(1, 2, 3)));
    let file = folder.path().join("wrong.pcap");
    capture.write(&file);
    let run = wire::vigia()
        .args(["replay", "--no-progress", "--json", "--output"])
        .arg(folder.path())
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap();
    let summary: Json = serde_json::from_slice(&run.stdout).unwrap();
    let events = std::fs::read_to_string(folder.path().join("eve.json")).unwrap();
    let types = events.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["event_type"].clone());
    let mut types: Vec<String> = types.map(|kind| kind.as_str().unwrap().to_owned()).collect();
    types.retain(|kind| matches!(kind.as_str(), "dns" | "modbus"));
    types.sort();
    types.dedup();
    (types, summary["packets"]["dropped"]["checksum"].as_u64().unwrap_or(0))
}

#[test]
fn a_wrong_checksum_keeps_segments_and_damaged_headers_out_but_no_datagram() {
    assert_eq!(replayed(&["--checksums", "check"]), (vec!["dns".to_owned()], 5));
}

#[test]
fn wrong_checksums_are_but_counted_unless_they_are_to_be_checked() {
    assert_eq!(replayed(&[]), (vec!["dns".to_owned(), "modbus".to_owned()], 0));
}
