//! Evidence of a replay: of each alert a capture file with the packets of its flow, and no others.

mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vigia::capture::file::FileSource;
use vigia::capture::{FileSettings, Progress, Source as _};
use vigia::evidence;
use wire::{Capture, Session, Way, ethernet, fragments, ipv4, read_registers, udp, vigia, write_register};

const RULES: &str = r#"
alert modbus any any -> any any (msg:"each write"; modbus: function 6; sid:1;)
alert modbus any any -> any any (msg:"one of a source"; modbus: function 6; threshold:type limit, track by_src, count 1, seconds 3; sid:2;)
alert modbus any any -> any any (msg:"every fifth"; modbus: function 6; threshold:type threshold, track by_rule, count 5, seconds 60; sid:3;)
alert tcp any any -> any any (msg:"at the end"; content:"never acknowledged"; sid:4;)
"#;

/// A folder with a capture and rules, and what is replayed into it.
struct Plant(tempfile::TempDir);

impl Plant {
    fn new(capture: &Capture, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        capture.write(&folder.path().join("plant.pcap"));
        fs::write(folder.path().join("test.rules"), rules).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replays with the settings of evidence, and gives the output and the folder of evidence.
    fn replay(&self, name: &str, workers: u32, settings: &str) -> (PathBuf, PathBuf) {
        let (output, config) = (self.path(name), self.path(&format!("{name}.toml")));
        fs::write(&config, format!("[evidence]\n{settings}\n")).unwrap();
        let folder = output.join("evidence");
        let mut command = vigia();
        command.arg("replay").arg(self.path("plant.pcap")).arg("--config").arg(&config);
        command.arg("--rules").arg(self.path("test.rules")).arg("--output").arg(&output);
        command.arg("--evidence").arg(&folder).arg("--workers").arg(workers.to_string());
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        (output, folder)
    }
}

/// The frames of a capture with their times.
fn frames(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut source = FileSource::open(path, &FileSettings::default()).unwrap();
    let mut frames = Vec::new();
    while source.batch(&mut |captured, _| frames.push((captured.timestamp.0, captured.frame.to_vec()))).unwrap()
        != Progress::End
    {}
    frames
}

fn events(output: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(output.join("eve.json")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event_type"] == kind).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    evidence::list(folder).unwrap().into_iter().map(|(_, path)| path).collect()
}

fn read(path: &Path) -> evidence::Told {
    evidence::read(fs::File::open(path).unwrap()).unwrap()
}

/// Polls of two stations, every second for a minute; one of them writes at second 30.
fn polls() -> Capture {
    let mut capture = Capture::default();
    let mut sessions = [1, 2].map(|n| Session::new(([10, 0, 0, n], 40_000), ([10, 0, 1, 1], 502)));
    for session in &mut sessions {
        session.handshake().iter().for_each(|frame| capture.push(frame));
    }
    for second in 0..60 {
        for (n, session) in sessions.iter_mut().enumerate() {
            let exchange = if (second, n) == (30, 1) {
                [write_register(1, 2, 3), write_register(1, 2, 3)]
            } else {
                read_registers(second)
            };
            capture.push(&session.say(Way::ToServer, &exchange[0]));
            capture.push(&session.say(Way::ToClient, &exchange[1]));
        }
        capture.push(&ethernet(&[], 0x0806, &[0; 28]));
        capture.wait_ms(995);
    }
    capture
}

const WRITE: &str = "alert modbus any any -> any 502 (msg:\"write\"; modbus: function 6; sid:1;)\n";

#[test]
fn a_file_has_the_packets_of_the_alerts_flow_within_its_window_and_no_others() {
    let plant = Plant::new(&polls(), WRITE);
    let (output, folder) = plant.replay("out", 1, "before_s = 10\nafter_s = 5");
    let alerts = events(&output, "alert");
    let [alert] = &alerts[..] else { panic!("{alerts:?}") };
    let [file] = &files(&folder)[..] else { panic!("one flow, one file") };
    assert_eq!(
        file.file_name().unwrap().to_str(),
        Some(&*format!("00000001-20260102T030435-{}.pcapng", alert["flow_id"]))
    );

    // The client's address stands in each of its packets.
    let of_flow =
        |frame: &[u8]| frame[12..14] == [8, 0] && (frame[26..30] == [10, 0, 0, 2] || frame[30..34] == [10, 0, 0, 2]);
    let all = frames(&plant.path("plant.pcap"));
    let raised = all[alert["pcap_cnt"].as_u64().unwrap() as usize - 1].0;
    let (from, to) = (raised - 10_000_000_000, raised + 5_000_000_000);
    let wanted: Vec<_> = all.into_iter().filter(|(time, frame)| (from..=to).contains(time) && of_flow(frame)).collect();
    assert_eq!(frames(file), wanted);
    assert!(wanted.len() > 25);

    let told = read(file);
    let [comment] = &told.of_packets[..] else { panic!("{told:?}") };
    assert_eq!(&serde_json::from_str::<Value>(comment).unwrap(), alert, "the alert is the comment");
    assert!(told.of_file[0].ends_with("Nothing is known to be missing."), "{told:?}");

    let reported = events(&output, "evidence");
    let [event] = &reported[..] else { panic!("{reported:?}") };
    let bytes = fs::read(file).unwrap();
    assert_eq!(event["flow_id"], alert["flow_id"]);
    let about = &event["evidence"];
    assert_eq!(about["sha256"], format!("{:x}", Sha256::digest(&bytes)));
    assert_eq!(
        (&about["bytes"], &about["packets"], &about["alerts"]),
        (&bytes.len().into(), &wanted.len().into(), &1.into())
    );
    assert_eq!((&about["complete"], &about["first_alert"]), (&true.into(), &alert["timestamp"]));
}

#[test]
fn alerts_of_one_flow_share_a_file_until_a_minute_is_over() {
    let mut capture = Capture::default();
    let mut session = Session::new(([10, 0, 0, 1], 40_000), ([10, 0, 1, 1], 502));
    session.handshake().iter().for_each(|frame| capture.push(frame));
    for n in 0..1000 {
        capture.push(&session.say(Way::ToServer, &write_register(n, 1, n)));
        capture.push(&session.say(Way::ToClient, &write_register(n, 1, n)));
        capture.wait_ms(98);
    }
    let plant = Plant::new(&capture, WRITE);
    let (output, folder) = plant.replay("out", 1, "before_s = 10\nafter_s = 5");
    assert_eq!(events(&output, "alert").len(), 1000);
    let files = files(&folder);
    assert_eq!(files.len(), 2, "a hundred seconds of alerts");
    let alerts: u64 = events(&output, "evidence").iter().filter_map(|event| event["evidence"]["alerts"].as_u64()).sum();
    assert_eq!(alerts, 1000);
    let told = read(&files[0]);
    assert_eq!(told.of_packets.len(), 256, "as many as there is room for");
    let Some(untold) = told.of_file[0].split("Alerts in no comment: ").nth(1) else { panic!("{told:?}") };
    let first = events(&output, "evidence")[0]["evidence"]["alerts"].as_u64().unwrap();
    assert_eq!(untold.trim_end_matches('.').parse(), Ok(first - 256));
}

/// Alerts of many flows that come and go, decided across flows, in fragments and at the end of flows.
fn busy() -> Capture {
    let mut capture = Capture::default();
    let mut sessions: Vec<_> = (0..40u8)
        .map(|n| Session::new(([10, 0, 0, 1 + n % 7], 40_000 + u16::from(n)), ([10, 0, 1, n % 5], 502)))
        .collect();
    for session in &mut sessions {
        session.handshake().iter().for_each(|frame| capture.push(frame));
    }
    for round in 0..60u16 {
        for (n, session) in sessions.iter_mut().enumerate() {
            let writes = (n as u16 + round).is_multiple_of(11);
            let exchange =
                if writes { [write_register(round, 1, 2), write_register(round, 1, 2)] } else { read_registers(round) };
            capture.push(&session.say(Way::ToServer, &exchange[0]));
            capture.push(&session.say(Way::ToClient, &exchange[1]));
        }
        let datagram = udp(50_000, 502, &write_register(round, 4, 2));
        let pieces = fragments(17, [10, 0, 2, (round % 3) as u8], [10, 0, 3, 1], 700 + round, &datagram, 8);
        pieces.iter().for_each(|piece| capture.push(&ethernet(&[], 0x0800, piece)));
        capture.push(&ethernet(
            &[],
            0x0800,
            &ipv4(17, [10, 9, 0, round as u8], [10, 9, 1, 1], 1, 0, &udp(9, 502, &write_register(1, 1, 1))),
        ));
        capture.wait_ms(400);
    }
    sessions.iter_mut().for_each(|session| capture.push(&session.say(Way::ToServer, b"never acknowledged")));
    capture
}

#[test]
fn evidence_does_not_depend_on_the_number_of_workers() {
    let plant = Plant::new(&busy(), RULES);
    // Bounds that bite.
    let settings = "before_s = 3\nafter_s = 1\nmemory_bytes = 4194304\nfile_bytes = 65536";
    let told = |workers| {
        let (output, folder) = plant.replay(&format!("out{workers}"), workers, settings);
        let files: BTreeMap<_, _> = files(&folder)
            .into_iter()
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap()))
            .collect();
        let alerts = events(&output, "alert").len() as u64;
        let events = events(&output, "evidence");
        let collected: u64 = events.iter().filter_map(|event| event["evidence"]["alerts"].as_u64()).sum();
        assert_eq!(collected, alerts, "each alert has evidence");
        (files, events)
    };
    let one = told(1);
    assert!(one.0.len() > 100, "{}", one.0.len());
    for workers in [1, 2, 4] {
        if workers > 1 {
            assert_eq!(told(workers), one, "{workers} workers");
        }
    }
}

#[test]
fn fragments_that_an_alerts_datagram_came_in_are_evidence() {
    let mut capture = Capture::default();
    let datagram = udp(50_000, 502, &write_register(1, 4, 2));
    let pieces = fragments(17, [10, 0, 2, 1], [10, 0, 3, 1], 700, &datagram, 8);
    pieces.iter().for_each(|piece| capture.push(&ethernet(&[], 0x0800, piece)));
    let gre = [&[0, 0, 8, 0][..], &ipv4(17, [10, 0, 4, 1], [10, 0, 5, 1], 1, 0, &datagram)].concat();
    let tunnel = fragments(47, [192, 0, 2, 1], [192, 0, 2, 2], 5000, &gre, 16);
    tunnel.iter().for_each(|piece| capture.push(&ethernet(&[], 0x0800, piece)));
    let plant = Plant::new(&capture, "alert udp any any -> any 502 (msg:\"write\"; modbus: function 6; sid:1;)\n");
    let (output, folder) = plant.replay("out", 2, "");
    assert_eq!(events(&output, "alert").len(), 2);
    let files = files(&folder);
    let whole = frames(&plant.path("plant.pcap"));
    let mut found: Vec<_> = files.iter().map(|file| frames(file)).collect();
    found.sort();
    assert_eq!(found, [&whole[..pieces.len()], &whole[pieces.len()..]]);
    assert!(files.iter().all(|file| read(file).of_packets.len() == 1), "the alert is on the last fragment");
}

#[test]
fn what_had_left_the_buffer_is_told() {
    let mut capture = Capture::default();
    let mut session = Session::new(([10, 0, 0, 1], 40_000), ([10, 0, 1, 1], 502));
    session.handshake().iter().for_each(|frame| capture.push(frame));
    let mut state = 1u64;
    for n in 0..8000u16 {
        let noise: Vec<u8> = (0..1400)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        capture.push(&ethernet(&[], 0x0800, &ipv4(17, [10, 9, 0, 1], [10, 9, 1, 1], n, 0, &udp(9, 9, &noise))));
    }
    capture.push(&session.say(Way::ToServer, &write_register(1, 1, 1)));
    let plant = Plant::new(&capture, WRITE);
    let (output, folder) = plant.replay("out", 1, "memory_bytes = 4194304");
    let told = read(&files(&folder)[0]);
    assert_eq!(told.packets, 1, "the handshake is gone");
    assert!(told.of_file[0].contains("had left the buffer"), "{}", told.of_file[0]);
    let event = &events(&output, "evidence")[0]["evidence"];
    assert_eq!((&event["complete"], &event["missing"][0]), (&false.into(), &"buffer".into()));
}

#[test]
fn a_folder_with_evidence_of_another_replay_is_refused() {
    let plant = Plant::new(&polls(), WRITE);
    let (output, folder) = plant.replay("out", 1, "");
    let mut command = vigia();
    command.arg("replay").arg(plant.path("plant.pcap")).arg("--output").arg(&output).arg("--evidence").arg(&folder);
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("evidence of another replay"));
}

#[test]
fn the_command_finds_files_by_flow_and_copies_them() {
    let plant = Plant::new(&polls(), WRITE);
    let (output, folder) = plant.replay("out", 1, "");
    let flow = events(&output, "alert")[0]["flow_id"].to_string();
    let evidence = |arguments: &[&str]| {
        let done = vigia().arg("evidence").args(arguments).arg("--directory").arg(&folder).output().unwrap();
        (done.status.code(), done.stdout)
    };
    let file = &files(&folder)[0];
    let (code, listed) = evidence(&["--json"]);
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!((code, &listed[0]["flow_id"].to_string(), &listed[0]["number"]), (Some(0), &flow, &1.into()));
    let (code, shown) = evidence(&[&flow]);
    let shown = String::from_utf8(shown).unwrap();
    assert_eq!((code, shown.lines().next()), (Some(0), file.to_str()));
    assert_eq!(evidence(&[&flow, "--output", "-"]), (Some(0), fs::read(file).unwrap()));
    assert_eq!(evidence(&["12345"]).0, Some(1));
    fs::write(file, "no capture").unwrap();
    assert_eq!(evidence(&[&flow]).0, Some(3));
}
