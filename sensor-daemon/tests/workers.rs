//! Same bytes in, same events out: once more, and with any number of workers.

mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wire::{Capture, Session, Way, dnp3, ethernet, fragments, ipv4, modbus, prp, read_registers, udp, write_register};

/// Rules that count within a flow, across flows, and look at packets, streams and messages.
const RULES: &str = r#"
alert modbus any any -> any any (msg:"each write"; modbus: function 6; sid:1;)
alert modbus any any -> any any (msg:"one of a source"; modbus: function 6; threshold:type limit, track by_src, count 1, seconds 60; sid:2;)
alert modbus any any -> any any (msg:"every third to a server"; modbus: function 6; threshold:type threshold, track by_dst, count 3, seconds 60; sid:3;)
alert modbus any any -> any any (msg:"once of all"; modbus: function 6; threshold:type both, track by_rule, count 5, seconds 5; sid:4;)
alert modbus any any -> any any (msg:"many of a source"; modbus: function 6; detection_filter:track by_src, count 4, seconds 60; sid:5;)
alert modbus any any -> any any (msg:"one of a flow"; modbus: function 6; threshold:type limit, track by_flow, count 1, seconds 60; sid:6;)
alert tcp any any -> any any (msg:"stream"; content:"|00 01 00 00|"; threshold:type limit, track by_both, count 2, seconds 60; sid:7;)
alert tcp any any -> any any (msg:"first"; modbus: function 3; flowbits:set,read; flowbits:noalert; sid:8;)
alert tcp any any -> any any (msg:"then"; modbus: function 6; flowbits:isset,read; sid:9;)
alert dnp3 any any -> any any (msg:"restart"; dnp3_func:cold_restart; sid:10;)
alert ip any any -> any any (msg:"packet"; ttl:64; dsize:>20; threshold:type limit, track by_dst, count 1, seconds 10; sid:11;)
"#;

/// Everything that could make a worker's events depend on the others.
fn busy_plant() -> Capture {
    let mut capture = Capture::default();
    interleaved_sessions(&mut capture);
    fragments_seen_twice(&mut capture);
    tunnels_in_fragments(&mut capture);
    redundant_networks(&mut capture);
    oddities(&mut capture);
    flows_that_time_out(&mut capture);
    streams_with_a_hole_at_the_end(&mut capture);
    capture
}

fn interleaved_sessions(capture: &mut Capture) {
    let session = |n: u8| {
        let mut session = Session::new(([10, 0, 0, 1 + n % 5], 40000 + u16::from(n)), ([10, 0, 1, n % 7], 502));
        if n.is_multiple_of(3) {
            session.tags = [vec![0x81, 0, 0, 100 + n], vec![]];
        }
        session
    };
    let mut sessions: Vec<_> = (0..40).map(session).collect();
    for session in &mut sessions {
        session.handshake().iter().for_each(|frame| capture.push(frame));
    }
    for round in 0..12 {
        for (n, session) in sessions.iter_mut().enumerate() {
            let [request, answer] = match (n + round) % 4 {
                0 => [write_register(round as u16, n as u16, 7), write_register(round as u16, n as u16, 7)],
                _ => read_registers(round as u16),
            };
            // Some in two segments, some the wrong way round.
            let (first, second) = request.split_at(if n % 5 == 0 { 5 } else { request.len() });
            let first = session.say(Way::ToServer, first);
            let second = (!second.is_empty()).then(|| session.say(Way::ToServer, second));
            let mut frames: Vec<_> = [Some(first), second].into_iter().flatten().collect();
            if n % 2 == 0 {
                frames.reverse();
            }
            frames.iter().for_each(|frame| capture.push(frame));
            capture.push(&session.say(Way::ToClient, &answer));
        }
        capture.wait_ms(700);
    }
    for session in sessions.iter_mut().step_by(2) {
        capture.push(&session.segment(Way::ToServer, wire::FIN | wire::ACK, &[]));
        capture.push(&session.segment(Way::ToClient, wire::FIN | wire::ACK, &[]));
        capture.push(&session.segment(Way::ToServer, wire::ACK, &[]));
    }
}

/// Datagrams in fragments, each mirrored twice, one of the copies after the datagram is whole.
fn fragments_seen_twice(capture: &mut Capture) {
    for n in 0..20u8 {
        let datagram = udp(50000 + u16::from(n), 502, &write_register(n.into(), 4, 2));
        let pieces = fragments(17, [10, 0, 2, n % 4], [10, 0, 3, n], 700 + u16::from(n), &datagram, 8);
        for piece in pieces.iter().chain(pieces.last()) {
            capture.push(&ethernet(&[], 0x0800, piece));
        }
        if n % 2 == 0 {
            pieces.iter().for_each(|piece| capture.push(&ethernet(&[], 0x0800, piece)));
        }
    }
}

/// A request in GRE between two routers in fragments: whose a packet is shows only when it is whole.
fn tunnel_in_fragments(n: u8) -> Vec<Vec<u8>> {
    let request = udp(51000, 502, &write_register(n.into(), 9, n.into()));
    let inner = ipv4(17, [10, 0, 4, n % 6], [10, 0, 5, n], 1 + u16::from(n), 0, &request);
    let gre = [&[0, 0, 8, 0][..], &inner].concat();
    let pieces = fragments(47, [192, 0, 2, 1], [192, 0, 2, 2], 5000 + u16::from(n), &gre, 16);
    pieces.iter().map(|piece| ethernet(&[], 0x0800, piece)).collect()
}

fn tunnels_in_fragments(capture: &mut Capture) {
    for n in 0..30 {
        let pieces = tunnel_in_fragments(n);
        pieces.iter().chain(pieces.first()).chain(pieces.last()).for_each(|piece| capture.push(piece));
    }
}

fn redundant_networks(capture: &mut Capture) {
    let mut session = Session::new(([10, 0, 6, 1], 41000), ([10, 0, 6, 2], 502));
    let mut number = 0;
    let mut both = |frame: &[u8]| {
        number += 1;
        capture.push(&prp(frame.to_vec(), number, 0));
        capture.push(&prp(frame.to_vec(), number, 1));
    };
    session.handshake().iter().for_each(|frame| both(frame));
    (0..20).for_each(|n| both(&session.say(Way::ToServer, &write_register(n, 1, n))));
    // Datagrams that come whole over one LAN, then over the other.
    for n in 30..60 {
        let pieces = tunnel_in_fragments(n);
        for lan in [0, 1] {
            let numbered = pieces.iter().zip(u16::from(n) * 100..);
            numbered.for_each(|(piece, number)| capture.push(&prp(piece.clone(), number, lan)));
        }
    }
}

fn oddities(capture: &mut Capture) {
    capture.push(&ethernet(
        &[],
        0x0806,
        &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2],
    ));
    capture.push(&ethernet(&[], 0x88b8, &[0, 1, 0, 20]));
    capture.push(&ethernet(&[], 0x0800, &[0x41, 0, 0, 20]));
    capture.push(&ethernet(&[], 0x86dd, &[0x60, 0, 0]));
    for n in 0..10u8 {
        let restart = dnp3(0xc4, 10, 1, &[0xc0, 0xc0 | n, 13]);
        let (from, to) = ([10, 0, 7, n], [10, 0, 7, 100]);
        capture.push(&ethernet(&[], 0x0800, &ipv4(17, from, to, 1, 0, &udp(20000, 20000, &restart))));
        // Nonsense on the port, and a wrong header checksum.
        let mut wrong = ipv4(17, from, to, 2, 0, &udp(502, 502, &modbus(1, &[200; 30])));
        wrong[10] ^= 1;
        capture.push(&ethernet(&[], 0x0800, &wrong));
    }
}

/// More flows than a worker ends in one go, and packets on some of them after their end.
fn flows_that_time_out(capture: &mut Capture) {
    let request = |n: u16| {
        let from = [10, 1, (n >> 8) as u8, n as u8];
        ethernet(&[], 0x0800, &ipv4(17, from, [10, 0, 8, 1], 1, 0, &udp(2000, 502, &write_register(n, 3, n))))
    };
    (0..700).for_each(|n| capture.push(&request(n)));
    capture.wait_ms(40_000);
    (0..700).step_by(10).for_each(|n| capture.push(&request(n)));
    capture.wait_ms(4_000_000);
}

/// A lost segment that nothing confirms: what came behind it is seen only when the flow ends, and raises alerts then.
fn streams_with_a_hole_at_the_end(capture: &mut Capture) {
    let session = |n: u8| Session::new(([10, 0, 9, n % 5], 42000 + u16::from(n)), ([10, 0, 10, n % 3], 502));
    let mut sessions: Vec<_> = (0..24).map(session).collect();
    for session in &mut sessions {
        session.handshake().iter().for_each(|frame| capture.push(frame));
        let [request, answer] = read_registers(1);
        capture.push(&session.say(Way::ToServer, &request));
        capture.push(&session.say(Way::ToClient, &answer));
        session.lose(Way::ToServer, 12);
        capture.push(&session.say(Way::ToServer, &write_register(3, 3, 3)));
    }
    // Half of them time out while others go on, the rest are there at the end of the file.
    for _ in 0..3 {
        capture.wait_ms(1_900_000);
        for session in sessions.iter_mut().skip(12) {
            capture.push(&session.segment(Way::ToClient, wire::ACK, &[]));
        }
    }
}

/// The events of a replay without `stats`, which tells of the process, too: in order.
fn replay(folder: &Path, capture: &[PathBuf], workers: u16) -> Vec<String> {
    let rules = folder.join("test.rules");
    fs::write(&rules, RULES).unwrap();
    let output = folder.join(format!("out-{workers}"));
    let replayed = wire::vigia()
        .args(["replay", "--no-progress", "--workers", &workers.to_string(), "--rules"])
        .args([&rules, Path::new("--output"), &output])
        .args(capture)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&replayed.stderr);
    assert!(matches!(replayed.status.code(), Some(0 | 3)), "{workers} workers: {:?}\n{log}", replayed.status);
    let text = fs::read_to_string(output.join("eve.json")).unwrap();
    let events = text.lines().filter(|line| !line.contains(r#""event_type":"stats""#));
    events.map(str::to_owned).collect()
}

#[test]
fn the_last_report_counts_what_all_workers_did() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("busy.pcap");
    busy_plant().write(&capture);
    let mut packets = Vec::new();
    for workers in [1, 4] {
        replay(folder.path(), std::slice::from_ref(&capture), workers);
        let text = fs::read_to_string(folder.path().join(format!("out-{workers}/eve.json"))).unwrap();
        let report = text.lines().rfind(|line| line.contains(r#""event_type":"stats""#)).unwrap();
        let report: serde_json::Value = serde_json::from_str(report).unwrap();
        packets.push(report["stats"]["decoder"]["pkts"].as_u64().unwrap());
    }
    assert!(packets[0] > 2000, "{packets:?}");
    assert_eq!(packets[0], packets[1]);
}

/// Panics with the first events that one replay has and the other has not.
fn assert_same(of: &str, workers: u16, expected: &[String], mut found: Vec<String>) {
    found.sort_unstable();
    if expected == found {
        return;
    }
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    expected.iter().for_each(|event| *counts.entry(event).or_default() += 1);
    found.iter().for_each(|event| *counts.entry(event).or_default() -= 1);
    let different: Vec<_> = counts.into_iter().filter(|(_, count)| *count != 0).collect();
    let shown: String = different.iter().take(12).map(|(event, count)| format!("{count:+} {event}\n")).collect();
    panic!("{of}: {} events differ between 1 worker (+) and {workers} (-):\n{shown}", different.len());
}

fn assert_any_number_of_workers(of: &str, captures: &[PathBuf]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut one = replay(folder.path(), captures, 1);
    one.sort_unstable();
    for workers in [2, 4] {
        assert_same(of, workers, &one, replay(folder.path(), captures, workers));
    }
    one.len()
}

#[test]
fn the_events_do_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("busy.pcap");
    busy_plant().write(&capture);
    let events = assert_any_number_of_workers("busy plant", std::slice::from_ref(&capture));
    assert!(events > 1500, "{events}");
    // Every rule is put to the test: each alerts, those that count less often than those that do not.
    let alerts = replay(folder.path(), &[capture], 1);
    let count = |sid: u32| alerts.iter().filter(|event| event.contains(&format!("\"signature_id\":{sid},"))).count();
    for sid in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
        assert!(count(sid) > 0, "rule {sid} never alerts");
    }
    assert!((2..=6).all(|sid| count(sid) < count(1)));
}

#[test]
fn a_replay_with_one_worker_gives_the_same_bytes_again() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("busy.pcap");
    busy_plant().write(&capture);
    let first = replay(folder.path(), std::slice::from_ref(&capture), 1);
    assert!(first == replay(folder.path(), &[capture], 1));
}

#[test]
fn real_sessions_give_the_same_events_with_any_number_of_workers() {
    let Some(folder) = wire::shared("sessions/captures") else { return };
    assert_any_number_of_workers("sessions", &wire::files(&folder));
}

#[test]
fn real_captures_give_the_same_events_with_any_number_of_workers() {
    let Some(folder) = wire::shared("captures/dev") else { return };
    // Small ones: the differences between captures count, not their length.
    let small = |path: &PathBuf| path.metadata().is_ok_and(|found| found.len() < 64 << 10);
    let captures: Vec<_> = wire::files(&folder).into_iter().filter(small).collect();
    assert_any_number_of_workers("captures", &captures);
}
