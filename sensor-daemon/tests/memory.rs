//! What the sensor takes of memory: at the start, and for a million flows.

mod wire;

use std::fs;
use std::process::Command;

use vigia::flow::{self, FlowTable};
use vigia_parsers::conversation::{Conversation, Medium, Opening};
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, decode};
use vigia_parsers::registry::PROTOCOLS;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};
use wire::{Capture, Session};

const FLOWS: u32 = 1_000_000;

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Runs `body` in a process of its own: what a process has of memory is not to be told apart by the tests in it. `name` is
/// that of the test that asks; the process is this one's program, told to run that test only.
fn alone(name: &str, body: impl FnOnce()) {
    const ALONE: &str = "VIGIA_TEST_ALONE";
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([name, "--exact", "--nocapture"]).env(ALONE, name).output().unwrap();
    // Not its own test harness's words, which would be counted as further tests.
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter(|line| line.contains("resident")).for_each(|line| println!("{line}"));
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Hears nothing.
struct Deaf;

impl Sink for Deaf {
    fn message(&mut self, _: &Envelope, _: &dyn Record, _: &[Anomaly]) {}
    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {}
    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

/// Resident bytes that a million flows take in which a client has said `payload` to this port of the server, or nothing
/// yet; and whether a protocol was found in them.
fn a_million(port: u16, payload: &[u8]) -> (u64, bool) {
    let mut table = FlowTable::new(&flow::Settings::default().table);
    // Every flow's first segment is this one, with another client.
    let [mut frame, ..] = Session::new(([10, 0, 0, 0], 40000), ([172, 16, 0, 1], port)).handshake();
    let before = resident();
    let mut found = false;
    for flow in 0..FLOWS {
        frame[14 + 13..14 + 16].copy_from_slice(&flow.to_be_bytes()[1..]);
        let captured = Captured {
            number: flow.into(),
            timestamp: Timestamp(wire::START_S * 1_000_000_000 + u64::from(flow)),
            link: LinkType::Ethernet,
            frame: &frame,
            wire_length: frame.len() as u32,
            stripped_vlan: None,
        };
        let packet = decode(&captured, &DecodeLimits::default());
        let place = table.lookup(&packet).unwrap();
        assert!(place.created && place.replaced.is_none());
        if !payload.is_empty() {
            let opening =
                Opening { client_port: packet.ports[0], server_port: port, medium: Medium::Stream, roles_known: true };
            let mut conversation = Conversation::new(opening, PROTOCOLS, &Limits::DEFAULT);
            let envelope = Envelope { direction: Direction::ToServer, timestamp: packet.timestamp, datagram: false };
            conversation.data(&envelope, payload, &mut Deaf);
            found = conversation.protocol().is_some();
            table.get_mut(place.id).conversation = Some(Box::new(conversation));
        }
        table.settle(place.id);
    }
    let (stats, resident) = (table.stats(), resident() - before);
    println!("{FLOWS} flows: {} MB by their own count, {} MB resident", stats.memory_bytes >> 20, resident >> 20);
    assert_eq!(stats.active, u64::from(FLOWS));
    assert!(stats.memory_bytes <= 256 * u64::from(FLOWS));
    (resident, found)
}

/// What a million flows may take.
const PROMISED: u64 = 400 << 20;

#[test]
#[cfg(target_os = "linux")]
fn a_million_flows_take_at_most_256_bytes_each() {
    alone("a_million_flows_take_at_most_256_bytes_each", || {
        assert!(a_million(502, &[]).0 < PROMISED);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_million_flows_of_no_known_protocol_keep_to_the_promise() {
    alone("a_million_flows_of_no_known_protocol_keep_to_the_promise", || {
        let (resident, found) = a_million(502, b"GET / HTTP/1.1");
        assert!(!found && resident < PROMISED);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_million_modbus_sessions_with_a_request_outstanding_keep_to_the_promise() {
    alone("a_million_modbus_sessions_with_a_request_outstanding_keep_to_the_promise", || {
        let (resident, found) = a_million(502, &[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2]);
        assert!(found && resident < PROMISED);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_million_dnp3_sessions_with_a_request_outstanding_keep_to_the_promise() {
    alone("a_million_dnp3_sessions_with_a_request_outstanding_keep_to_the_promise", || {
        // A read of class 0 by station 1 from station 10, as a master sends it.
        let read = [5, 0x64, 11, 0xc4, 10, 0, 1, 0, 0, 0, 0xc0, 0xc0, 1, 60, 1, 6, 0, 0];
        let read = with_crcs(read);
        let (resident, found) = a_million(20000, &read);
        assert!(found && resident < PROMISED);
    });
}

/// Fills in the two CRCs of a DNP3 frame of one data block (IEEE 1815-2012 §9.2.4.3).
fn with_crcs(mut frame: [u8; 18]) -> [u8; 18] {
    let crc = |octets: &[u8]| {
        let step = |crc: u16, _| if crc & 1 == 1 { crc >> 1 ^ 0xa6bc } else { crc >> 1 };
        !octets.iter().fold(0, |crc, octet| (0..8).fold(crc ^ u16::from(*octet), step))
    };
    let (header, data) = (crc(&frame[..8]), crc(&frame[10..16]));
    frame[8..10].copy_from_slice(&header.to_le_bytes());
    frame[16..18].copy_from_slice(&data.to_le_bytes());
    frame
}

#[test]
#[cfg(target_os = "linux")]
fn a_sensor_at_its_start_takes_less_than_80_megabytes() {
    alone("a_sensor_at_its_start_takes_less_than_80_megabytes", || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.pcap");
        let mut capture = Capture::default();
        let mut session = Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502));
        session.handshake().iter().for_each(|frame| capture.push(frame));
        capture.write(&path);
        let mut command = wire::vigia();
        command.args(["replay", "--no-progress", "--json", "--output"]).args([folder.path(), &path]);
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/signatures");
        if shipped.is_dir() {
            command.arg("--rules").arg(shipped);
        }
        assert!(command.output().unwrap().status.success());
        let mut usage = std::mem::MaybeUninit::uninit();
        // SAFETY: the pointer is to a rusage that the call fills.
        let usage = unsafe {
            assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()), 0);
            usage.assume_init()
        };
        println!("at the start: {} MB resident", usage.ru_maxrss >> 10);
        assert!(usage.ru_maxrss < 80 << 10, "{} KiB", usage.ru_maxrss);
    });
}
