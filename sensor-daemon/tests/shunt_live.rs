//! Flows that nobody needs to see more of are left to the kernel, and their records are exact all the same. Needs root.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use serde_json::Value;
use vigia_testbed::Events;
use wire::{ACK, FIN, PUSH, Session, Way, ethernet, ipv4, udp};

/// What passes after a flow was left to the kernel, each way.
const REST: u64 = 300;

const RULES: &str = "alert udp any any -> any 7000 (msg:\"passed by\"; content:\"BYPASS\"; bypass; sid:1;)\n";

/// A record of TLS application data.
fn record(bytes: usize) -> Vec<u8> {
    [&[23, 3, 3][..], &(bytes as u16).to_be_bytes(), &vec![0xa5; bytes]].concat()
}

/// A TLS session up to the end of its handshake.
fn encrypted(host: u8, port: u16) -> (Session, Vec<Vec<u8>>) {
    let mut session = Session::new(([10, 1, 0, host], 40_000), ([10, 1, 1, 1], port));
    let mut frames = session.handshake().to_vec();
    frames.push(session.say(Way::ToServer, &[22, 3, 1, 0, 4, 1, 0, 0, 0]));
    frames.push(session.say(Way::ToClient, &[22, 3, 3, 0, 4, 2, 0, 0, 0]));
    frames.push(session.say(Way::ToClient, &record(60)));
    frames.push(session.say(Way::ToServer, &record(60)));
    (session, frames)
}

/// A flow of UDP that no dissector knows.
fn datagram(way: Way, port: u16, number: u16, payload: &[u8]) -> Vec<u8> {
    let ends = [([10, 2, 0, 1], 50_000), ([10, 2, 1, 1], port)];
    let (from, to) = if way == Way::ToServer { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    ethernet(&[], 0x0800, &ipv4(17, from.0, to.0, number, 0, &udp(from.1, to.1, payload)))
}

/// Packets and bytes that were sent, by direction; and what the record of the flow says.
#[derive(Default)]
struct Sent([u64; 4]);

impl Sent {
    fn add(&mut self, way: Way, frame: &[u8]) {
        self.0[way as usize] += 1;
        self.0[2 + way as usize] += frame.len() as u64;
    }
}

fn counted(flow: &Value) -> [u64; 4] {
    ["pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient"]
        .map(|key| flow["flow"][key].as_u64().unwrap_or_else(|| panic!("no {key} in {flow}")))
}

fn flows_are_left_to_the_kernel(capture: &str) {
    let Some(plant) = live::Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let more = format!("[capture]\n{capture}\ntap = {{ shunt_bulk_bytes = 20000 }}\n");
    let config = live::configure(folder.path(), RULES, "");
    let text = std::fs::read_to_string(&config).unwrap();
    // What this test captures with stands in the place of what the others do.
    let others: Vec<_> = text.lines().filter(|line| !line.starts_with("capture")).collect();
    std::fs::write(&config, others.join("\n") + "\n" + &more).unwrap();
    let sensor = plant.watch(&config);

    // Sent before and after: TLS; TLS on a port of OT (OPC UA), which stays; what a rule passes by; bulk, from one side mostly.
    let mut sent: std::collections::BTreeMap<u16, Sent> = Default::default();
    let mut send = |port: u16, way: Way, frame: &[u8]| {
        sent.entry(port).or_default().add(way, frame);
        plant.send(frame);
    };
    let ways = [Way::ToServer, Way::ToServer, Way::ToClient, Way::ToServer];
    let mut sessions = Vec::new();
    for (host, port) in [(1, 443), (2, 4840)] {
        let (session, frames) = encrypted(host, port);
        let of_handshake = [Way::ToServer, Way::ToClient, Way::ToServer, Way::ToServer, Way::ToClient, Way::ToClient];
        for (frame, way) in frames.iter().zip(of_handshake.into_iter().chain([Way::ToServer])) {
            send(port, way, frame);
        }
        sessions.push((port, session));
    }
    send(7000, Way::ToServer, &datagram(Way::ToServer, 7000, 1, b"BYPASS"));
    // On ports that nobody knows, who speaks first is the client.
    send(7001, Way::ToServer, &datagram(Way::ToServer, 7001, 50, b"send it"));
    for number in 0..30 {
        send(7001, Way::ToClient, &datagram(Way::ToClient, 7001, number, &b"proprietary ".repeat(80)));
    }
    let shunted = "vigia_flows_shunted";
    live::wait(&sensor, "the shunts", |status| status["series"][shunted].as_u64() >= Some(3));
    for number in 0..REST as u16 {
        for (port, session) in &mut sessions {
            for way in ways {
                send(*port, way, &session.say(way, &record(80)));
            }
        }
        for port in [7000, 7001] {
            for way in [Way::ToServer, Way::ToClient] {
                send(port, way, &datagram(way, port, 100 + number, b"more of it"));
            }
        }
        if number == 5 {
            // The other side of a flow is left to the kernel when it speaks.
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    }
    for (port, session) in &mut sessions {
        send(*port, Way::ToServer, &session.segment(Way::ToServer, FIN | ACK, &[]));
        send(*port, Way::ToClient, &session.segment(Way::ToClient, FIN | ACK, &[]));
        send(*port, Way::ToServer, &session.segment(Way::ToServer, ACK, &[]));
    }
    let all: u64 = sent.values().map(|sent| sent.0[0] + sent.0[1]).sum();
    // The kernel's counts are taken over within some seconds.
    let status = live::wait(&sensor, "all packets", |status| status["packets"]["seen"] == all);
    let (packets, ledger) = (&status["packets"], &status["interfaces"][0]["ledger"]);
    assert_eq!(packets["shunted"], ledger["shunted"], "{status:#}");
    let least = 4 * REST + 3 * (REST - 6);
    assert!(ledger["shunted"].as_u64() >= Some(least), "{} of {all} shunted, {least} expected", ledger["shunted"]);
    assert_eq!((&packets["in_flight"], &ledger["difference"]), (&0.into(), &0.into()));
    sensor.stop().unwrap();

    let records = Events::follow(&folder.path().join("journal/records")).fresh().unwrap();
    for (port, sent) in &sent {
        let of_port = |event: &&Value| event["event_type"] == "flow" && event["dest_port"] == *port;
        let records: Vec<_> = records.iter().filter(of_port).collect();
        let [flow] = records.as_slice() else { panic!("port {port}: {records:?}") };
        assert_eq!(counted(flow), sent.0, "port {port}: {flow}");
        if *port == 443 {
            let seen = u64::from_str_radix(flow["tcp"]["tcp_flags"].as_str().unwrap(), 16).unwrap();
            assert_eq!(seen & u64::from(FIN | PUSH | ACK), u64::from(FIN | PUSH | ACK), "{flow}");
            assert_eq!(flow["flow"]["state"], "closed", "its end was seen: {flow}");
        }
    }
}

#[test]
fn flows_are_left_to_the_kernel_by_af_packet() {
    flows_are_left_to_the_kernel("interfaces = [{ name = \"tap0\" }]\nmode = \"af-packet\"");
}

#[test]
fn flows_are_left_to_the_kernel_by_a_filter() {
    flows_are_left_to_the_kernel(
        "interfaces = [{ name = \"tap0\", ignore_outgoing = false }]\nmode = \"af-packet\"\nworkers = 2",
    );
}

#[test]
fn flows_are_left_to_the_kernel_by_af_xdp() {
    flows_are_left_to_the_kernel("interfaces = [{ name = \"tap0\" }]\nmode = \"af-xdp\"\nworkers = 2");
}

/// Without a kernel, too: what a rule passes by still ends when it ends.
#[test]
fn a_connection_that_is_passed_by_ends_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (rules, pcap) = (folder.path().join("test.rules"), folder.path().join("test.pcap"));
    std::fs::write(&rules, "alert tcp any any -> any 9000 (msg:\"by\"; content:\"BYPASS\"; bypass; sid:1;)\n").unwrap();
    let mut capture = wire::Capture::default();
    let mut session = Session::new(([10, 1, 0, 1], 40_000), ([10, 1, 1, 1], 9000));
    session.handshake().iter().for_each(|frame| capture.push(frame));
    for payload in [&b"BYPASS"[..], &[0x5a; 900], &[0x5a; 900]] {
        capture.push(&session.say(Way::ToServer, payload));
    }
    capture.push(&session.segment(Way::ToServer, FIN | ACK, &[]));
    capture.push(&session.segment(Way::ToClient, FIN | ACK, &[]));
    capture.push(&session.segment(Way::ToServer, ACK, &[]));
    capture.wait_ms(100_000);
    capture.push(&datagram(Way::ToServer, 1, 1, b"later"));
    capture.write(&pcap);
    let mut replay = wire::vigia();
    replay.arg("replay").arg(&pcap).arg("--rules").arg(&rules).arg("--output").arg(folder.path());
    assert!(replay.output().unwrap().status.success());
    let events = std::fs::read_to_string(folder.path().join("eve.json")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let flow = events.iter().find(|event| event["event_type"] == "flow" && event["dest_port"] == 9000).unwrap();
    assert_eq!((&flow["flow"]["reason"], &flow["flow"]["state"]), (&"timeout".into(), &"bypassed".into()), "{flow}");
}
