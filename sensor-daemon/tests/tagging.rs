//! Packets that are recorded after an alert: of which flows and hosts, and from when on.

mod wire;

use serde_json::Value;
use wire::{Capture, ethernet, ipv4, udp, vigia};

/// A datagram from one host of the plant to another.
fn datagram(from: u8, to: u8, ports: (u16, u16), said: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(17, [10, 4, 0, from], [10, 4, 0, to], 1, 0, &udp(ports.0, ports.1, said)))
}

/// The numbers of the packets that raised alerts, and of those that were recorded.
fn replay(frames: &[Vec<u8>], rule: &str, thresholds: &str, workers: u8) -> [Vec<u64>; 2] {
    replay_all(&[frames], rule, thresholds, workers)
}

/// The same of several captures.
fn replay_all(captures: &[&[Vec<u8>]], rule: &str, thresholds: &str, workers: u8) -> [Vec<u64>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut command = vigia();
    command.arg("replay");
    for (number, frames) in captures.iter().enumerate() {
        let mut capture = Capture::default();
        frames.iter().for_each(|frame| capture.push(frame));
        capture.write(&at(&format!("{number}.pcap")));
        command.arg(at(&format!("{number}.pcap")));
    }
    std::fs::write(at("test.rules"), format!("alert udp any any -> any any ({rule} sid:1;)\n")).unwrap();
    std::fs::write(at("threshold.config"), thresholds).unwrap();
    std::fs::write(at("vigia.toml"), format!("[rules]\nthresholds = {:?}\n", at("threshold.config"))).unwrap();
    command.arg("--rules").arg(at("test.rules")).arg("--output").arg(folder.path());
    command.arg("--config").arg(at("vigia.toml")).args(["--workers", &workers.to_string()]);
    let run = command.output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = std::fs::read_to_string(at("eve.json")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    ["alert", "packet"].map(|kind| {
        let of = events.iter().filter(|event| event["event_type"] == kind);
        of.map(|event| event["pcap_cnt"].as_u64().unwrap()).collect()
    })
}

#[test]
fn a_session_is_recorded_from_an_alert_on_and_not_for_a_match_that_becomes_none() {
    let frames: Vec<_> = (0..8).map(|_| datagram(1, 2, (1000, 2000), b"xxx")).collect();
    for workers in [1, 2] {
        let replay = |rule: &str, thresholds| {
            replay(&frames, &format!("content:\"xxx\"; tag:session,2,packets; {rule}"), thresholds, workers)
        };
        assert_eq!(replay("", ""), [(1..=8).collect::<Vec<_>>(), (2..=8).collect()]);
        for track in ["by_src", "by_flow"] {
            let limit = format!("threshold:type limit, track {track}, count 1, seconds 60;");
            assert_eq!(replay(&limit, ""), [vec![1], vec![2, 3]], "{limit}");
            let every = format!("threshold:type threshold, track {track}, count 4, seconds 60;");
            assert_eq!(replay(&every, ""), [vec![4, 8], vec![5, 6]], "{every}");
            let filter = format!("detection_filter:track {track}, count 6, seconds 60;");
            assert_eq!(replay(&filter, ""), [vec![7, 8], vec![8]], "{filter}");
        }
        assert_eq!(replay("", "suppress gen_id 1, sig_id 1\n"), [vec![0; 0], vec![0; 0]]);
    }
}

#[test]
fn a_host_is_recorded_in_all_its_flows_and_the_other_one_is_not() {
    let frames = [
        datagram(2, 1, (2000, 1000), b"before"),
        // An answer: its sender is the source of the alert, whichever is the client.
        datagram(1, 2, (1000, 2000), b"TAGME"),
        datagram(1, 3, (5, 9), b"a"),
        datagram(3, 1, (9, 5), b"b"),
        datagram(9, 2, (5, 9), b"c"),
        datagram(2, 1, (77, 9), b"d"),
        datagram(8, 9, (5, 9), b"e"),
    ];
    for workers in [1, 3] {
        let recorded =
            |tag: &str| replay(&frames, &format!("content:\"TAGME\"; tag:host,{tag};"), "", workers)[1].clone();
        assert_eq!(recorded("100,packets,src"), [3, 4, 6]);
        assert_eq!(recorded("100,packets,dst"), [5, 6]);
        assert_eq!(recorded("2,packets,src"), [3, 4]);
        assert_eq!(recorded("100,seconds,src"), [3, 4, 6]);
    }
}

#[test]
fn a_tag_on_a_host_ends_with_its_capture() {
    let first = [datagram(1, 2, (1000, 2000), b"TAGME"), datagram(1, 3, (5, 9), b"a")];
    let second = [datagram(1, 3, (5, 9), b"of another plant"), datagram(1, 4, (5, 9), b"too")];
    for workers in [1, 2] {
        let found = replay_all(&[&first, &second], "content:\"TAGME\"; tag:host,100,packets,src;", "", workers);
        assert_eq!(found, [vec![1], vec![2]]);
    }
}
