//! What the sensor takes of memory: at the start, and for a million flows.

mod wire;

use std::fs;

use vigia::flow::{self, FlowTable};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, decode};
use wire::{Capture, Session};

const FLOWS: u32 = 1_000_000;

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
#[cfg(target_os = "linux")]
fn a_million_flows_take_at_most_256_bytes_each() {
    let mut table = FlowTable::new(&flow::Settings::default().table);
    // Every flow's first segment is this one, with another client.
    let [mut frame, ..] = Session::new(([10, 0, 0, 0], 40000), ([172, 16, 0, 1], 502)).handshake();
    let before = resident();
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
        let found = table.lookup(&decode(&captured, &DecodeLimits::default())).unwrap();
        assert!(found.created && found.replaced.is_none());
        table.settle(found.id);
    }
    let (stats, resident) = (table.stats(), resident() - before);
    println!("{FLOWS} flows: {} MB by their own count, {} MB resident", stats.memory_bytes >> 20, resident >> 20);
    assert_eq!(stats.active, u64::from(FLOWS));
    assert!(stats.memory_bytes <= 256 * u64::from(FLOWS));
    assert!(resident < 400 << 20);
}

#[test]
#[cfg(target_os = "linux")]
fn a_sensor_at_its_start_takes_less_than_80_megabytes() {
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
}
