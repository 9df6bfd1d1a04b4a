//! Bad input: nothing panics, every packet is accounted for, memory stays bounded, and what is wrong is named.

mod wire;

use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wire::{Capture, Session, Way, dnp3, ethernet, fragments, ipv4, modbus, udp, write_register};

/// Resident memory that a replay of hostile files may take at most, in KiB.
const MEMORY_KIB: i64 = 300 << 10;

/// The summary of a replay that must not panic.
fn replay(captures: &[PathBuf], output: &Path, workers: &str) -> Value {
    let output = wire::vigia()
        .args(["replay", "--json", "--no-progress", "--workers", workers, "--output"])
        .arg(output)
        .args(captures)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{captures:?}: {:?}\n{log}", output.status);
    assert!(!log.contains("panicked"), "{captures:?}\n{log}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["series"]["vigia_worker_restarts_total"], 0, "{captures:?}\n{log}");
    assert!(vigia::command::summary::balances(&summary, true), "{captures:?}\n{summary:#}");
    let faults = summary["faults"].as_array().unwrap().len();
    assert_eq!(output.status.code() == Some(3), faults > 0, "damage shows in the exit code\n{log}");
    summary
}

/// The most memory that any process this test waited for had, in KiB.
fn peak_of_children() -> i64 {
    let mut usage = MaybeUninit::uninit();
    // SAFETY: the pointer is to a rusage that the call fills.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    usage.ru_maxrss
}

#[test]
fn every_hostile_capture_is_replayed_to_its_end_or_fault() {
    let Some(folder) = wire::shared("captures/hostile") else { return };
    let output = tempfile::tempdir().unwrap();
    let files = wire::files(&folder);
    let summary = replay(&files, output.path(), "2");
    assert!(summary["packets"]["seen"].as_u64().unwrap() > 1000);
    for fault in summary["faults"].as_array().unwrap() {
        let fault = fault.as_str().unwrap();
        assert!(files.iter().any(|file| fault.starts_with(file.to_str().unwrap())), "{fault}");
    }
    assert!(peak_of_children() < MEMORY_KIB, "{} KiB", peak_of_children());
}

/// Noise that is the same in every run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Sound frames of many kinds.
fn frames() -> Vec<Vec<u8>> {
    let mut session = Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502));
    let mut frames: Vec<_> = session.handshake().into();
    for n in 0..20 {
        frames.push(session.say(Way::ToServer, &write_register(n, n, n)));
        frames.push(session.say(Way::ToClient, &modbus(n, &[0x2b, 0x0e, 1, 1, 0, 0, 1, 0, 4, b'A', b'C', b'M', b'E'])));
    }
    let objects = [0xc0, 0xc0, 0x81, 0, 0, 1, 2, 0, 0, 3, 1, 1, 1, 1, 30, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    for n in 0..20 {
        let message = dnp3(0x44, 1, n, &objects);
        frames.push(ethernet(&[], 0x0800, &ipv4(17, [10, 0, 0, 3], [10, 0, 0, 4], n, 0, &udp(20000, 20000, &message))));
        let inner =
            ethernet(&[0x81, 0, 0, 7], 0x0800, &ipv4(17, [10, 1, 0, 3], [10, 1, 0, 4], n, 0, &udp(1, 502, &message)));
        let vxlan = [&[8, 0, 0, 0, 0, 1, 0, 0][..], &inner].concat();
        frames.push(ethernet(&[], 0x0800, &ipv4(17, [10, 2, 0, 3], [10, 2, 0, 4], n, 0, &udp(5, 4789, &vxlan))));
        frames.push(ethernet(&[], 0x8847, &[&[0, 1, 1, 64][..], &ipv4(6, [1; 4], [2; 4], n, 0, &[0; 20])].concat()));
    }
    frames
}

/// Frames with some bytes changed or cut off: everything from the link to the application layer comes out wrong.
fn damaged_frames() -> Capture {
    let mut noise = Noise(0x5eed);
    let mut capture = Capture::default();
    for _ in 0..60 {
        for mut frame in frames() {
            for _ in 0..noise.below(4) {
                let at = noise.below(frame.len());
                frame[at] = noise.next() as u8;
            }
            if noise.below(4) == 0 {
                frame.truncate(noise.below(frame.len()));
            }
            capture.push(&frame);
        }
    }
    capture
}

#[test]
fn damaged_packets_are_anomalies_with_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pcap");
    damaged_frames().write(&path);
    let summary = replay(&[path], folder.path(), "1");
    assert_eq!(summary["faults"].as_array().unwrap().len(), 0);
    let events = fs::read_to_string(folder.path().join("eve.json")).unwrap();
    let anomalies = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let anomalies: Vec<_> = anomalies.filter(|event| event["event_type"] == "anomaly").collect();
    assert!(anomalies.len() > 100, "{}", anomalies.len());
    let kinds = ["decode", "stream", "applayer"];
    for kind in kinds {
        assert!(anomalies.iter().any(|event| event["anomaly"]["type"] == kind), "none of {kind}");
    }
    assert!(anomalies.iter().all(|event| event["anomaly"]["event"].as_str().is_some_and(|name| !name.is_empty())));
}

#[test]
fn what_is_wrong_in_a_datagram_shows_when_its_fragments_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut capture) = (folder.path().join("fragments.pcap"), Capture::default());
    // A TCP header that says it is 60 bytes long, in a datagram of 24.
    let segment = [&[0; 12][..], &[0xf0, 0x10], &[0; 10]].concat();
    for piece in fragments(6, [10, 0, 0, 1], [10, 0, 0, 2], 9, &segment, 8) {
        capture.push(&ethernet(&[], 0x0800, &piece));
    }
    capture.write(&path);
    replay(&[path], folder.path(), "2");
    let events = fs::read_to_string(folder.path().join("eve.json")).unwrap();
    let anomalies: Vec<_> = events.lines().filter(|line| line.contains(r#""event_type":"anomaly""#)).collect();
    assert_eq!(anomalies.len(), 1, "{events}");
    assert!(anomalies[0].contains(r#""event":"decoder.tcp.invalid_optlen""#), "{events}");
}

#[test]
fn a_capture_cut_anywhere_is_processed_up_to_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::default();
    let mut ends = vec![capture.bytes().len()];
    for frame in &frames()[..6] {
        capture.push(frame);
        ends.push(capture.bytes().len());
    }
    let path = |cut: usize| folder.path().join(format!("{cut:04}.pcap"));
    let cuts: Vec<_> = (ends[0]..capture.bytes().len()).step_by(7).collect();
    cuts.iter().for_each(|&cut| fs::write(path(cut), &capture.bytes()[..cut]).unwrap());
    let files: Vec<_> = cuts.iter().map(|&cut| path(cut)).collect();
    let summary = replay(&files, folder.path(), "1");
    let whole = |cut: usize| ends[1..].iter().filter(|&&end| end <= cut).count() as u64;
    assert_eq!(summary["packets"]["seen"], cuts.iter().map(|&cut| whole(cut)).sum::<u64>());
    let faults = summary["faults"].as_array().unwrap();
    assert_eq!(faults.len(), cuts.iter().filter(|cut| !ends.contains(cut)).count());
    assert!(faults.iter().all(|fault| fault.as_str().unwrap().contains("cut short")), "{faults:#?}");
}

#[test]
fn files_of_noise_are_refused_by_name_and_the_next_one_is_processed() {
    let folder = tempfile::tempdir().unwrap();
    let mut noise = Noise(7);
    let sound = damaged_frames();
    // Valid beginnings, noise behind them: pcap header, pcapng section header, gzip, zstd.
    let pcapng =
        [&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8], &[28, 0, 0, 0]];
    let beginnings = [&sound.bytes()[..24], &pcapng.concat(), &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd], &[]];
    let mut files = Vec::new();
    for (index, beginning) in beginnings.into_iter().enumerate() {
        for round in 0..10 {
            let mut bytes = beginning.to_vec();
            bytes.extend((0..noise.below(5000)).map(|_| noise.next() as u8));
            let path = folder.path().join(format!("{index}-{round}.pcap"));
            fs::write(&path, bytes).unwrap();
            files.push(path);
        }
    }
    let last = folder.path().join("z.pcap");
    sound.write(&last);
    let frames = 60 * frames().len() as u64;
    let alone = replay(std::slice::from_ref(&last), folder.path(), "1")["packets"]["seen"].as_u64().unwrap();
    assert_eq!(alone, frames);
    files.push(last);
    let summary = replay(&files, folder.path(), "1");
    assert!(summary["packets"]["seen"].as_u64().unwrap() >= frames);
    assert!(summary["faults"].as_array().unwrap().len() >= 40, "{summary:#}");
}

/// Long messages that never end, in many sessions: the sensor holds what it is told to, and short ones are not lost.
#[test]
fn beginnings_of_long_messages_fill_no_more_than_their_bound() {
    use wire::{Capture, Session, Way, write_register};
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::default();
    let mut plc = Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502));
    plc.handshake().iter().for_each(|frame| capture.push(frame));
    let write = write_register(1, 1, 1);
    capture.push(&plc.say(Way::ToServer, &write[..7]));
    for port in 0..20 {
        let mut client = Session::new(([10, 0, 0, 3], 41000 + port), ([10, 0, 0, 4], 1883));
        client.handshake().iter().for_each(|frame| capture.push(frame));
        // MQTT 3.1.1 CONNECT, then a PUBLISH of a million bytes that never come.
        capture.push(&client.say(Way::ToServer, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"));
        capture.push(&client.say(Way::ToServer, b"\x30\xc0\x84\x3d\x00\x01t"));
        (0..8).for_each(|_| capture.push(&client.say(Way::ToServer, &[b'x'; 1000])));
    }
    capture.push(&plc.say(Way::ToServer, &write[7..]));
    let (pcap, config) = (folder.path().join("flood.pcap"), folder.path().join("vigia.toml"));
    capture.write(&pcap);
    fs::write(&config, "[dissection]\nmax_unfinished_bytes = 40960\n").unwrap();
    let mut command = wire::vigia();
    command.args(["replay", "--json", "--workers", "1", "--config"]).arg(&config).arg("--output").arg(folder.path());
    let output = command.arg(&pcap).output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bounded = "vigia_dissection_bounded_total{bound=\"unfinished_bytes\"}";
    assert!(summary["series"][bounded].as_u64().is_some_and(|count| count > 0), "{summary:#}");
    let events = fs::read_to_string(folder.path().join("eve.json")).unwrap();
    assert_eq!(events.lines().filter(|line| line.contains("\"event_type\":\"modbus\"")).count(), 1);
}

/// A payload made to be looked into for ever: the inspection ends, every limit that ended it is counted, and the packet
/// after it is inspected as ever.
#[test]
fn each_limit_of_inspection_that_bites_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let datagram = |payload: &[u8]| {
        ethernet(&[], 0x0800, &ipv4(17, [10, 0, 0, 1], [10, 0, 0, 2], 1, 0, &udp(4000, 5000, payload)))
    };
    let mut capture = Capture::default();
    capture.push(&datagram(&[vec![b'a'; 400], vec![b'-']].concat()));
    capture.push(&datagram(b"aab"));
    let (pcap, rules) = (folder.path().join("hostile.pcap"), folder.path().join("test.rules"));
    capture.write(&pcap);
    let rule = |sid, what: &str| format!("alert udp any any -> any any (msg:\"m\"; {what}; sid:{sid};)\n");
    let places = rule(2, "content:\"a\"; content:\"a\"; distance:0; content:\"b\"; distance:0");
    let text = [rule(1, "content:\"aa\"; pcre:\"/(a|aa|aaa)+$/\""), places, rule(3, "content:\"a\"")].concat();
    fs::write(&rules, text).unwrap();
    let replay = |steps: u32| -> Value {
        let config = folder.path().join("vigia.toml");
        fs::write(&config, format!("[rules]\ninspection_steps = {steps}\n")).unwrap();
        let mut command = wire::vigia();
        command.args(["replay", "--json", "--workers", "1", "--config"]).arg(&config).arg("--rules").arg(&rules);
        let output = command.arg("--output").arg(folder.path()).arg(&pcap).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let alerts = || {
        let events = fs::read_to_string(folder.path().join("eve.json")).unwrap();
        let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let alerts = events.filter(|event| event["event_type"] == "alert");
        alerts.map(|alert| (alert["pcap_cnt"].clone(), alert["alert"]["signature_id"].clone())).collect::<Vec<_>>()
    };
    let counts = |summary: &Value| {
        [
            "vigia_rules_given_up_total{limit=\"expression\"}",
            "vigia_rules_given_up_total{limit=\"places\"}",
            "vigia_inspections_cut_total{subject=\"packet\"}",
        ]
        .map(|name| summary["series"][name].as_u64().unwrap())
    };
    assert_eq!(counts(&replay(0)), [1, 1, 0]);
    assert_eq!(alerts(), [(1.into(), 3.into()), (2.into(), 2.into()), (2.into(), 3.into())]);
    assert_eq!(counts(&replay(500)), [1, 0, 1], "the rules after the expression have no steps left");
    assert_eq!(alerts(), [(2.into(), 2.into()), (2.into(), 3.into())]);
}
