//! What the flow module costs a packet: `cargo bench -p vigia --bench flow`.
//!
//! Before the timings it fills a table with a million flows and prints its memory and the slowest insertion.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use vigia::flow::{self, Connection, Deliver, Duplicates, FlowTable, Reassembler, StreamEvent};
use vigia_parsers::packet::{DecodeEvents, Ip, Packet, Tcp, Transport, Tunnel, Vlans};
use vigia_parsers::{Direction, Timestamp};

const TCP: Tcp = Tcp {
    sequence: 0,
    acknowledgement: 0,
    flags: Tcp::ACK,
    window: 1,
    header_length: 20,
    timestamps: None,
    window_scale: None,
};

/// An IPv4 TCP packet; the bytes matter only to duplicate discard.
fn packet(bytes: &[u8], client: u32, tcp: Tcp) -> Packet<'_> {
    Packet {
        number: 1,
        timestamp: Timestamp::new(1_000, 0),
        bytes,
        wire_length: bytes.len() as u32 + 14,
        ethernet: None,
        ethernet_header: None,
        joined: false,
        link: vigia_parsers::packet::LinkType::Ethernet,
        vlans: Vlans::default(),
        redundancy: None,
        tunnel: Tunnel::None,
        tunnel_depth: 0,
        tunnel_header: None,
        ip: Some(Ip {
            source: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + client)),
            destination: IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1)),
            protocol: 6,
            ttl: 64,
            header: 0..20,
            payload: 20..bytes.len(),
            fragment: None,
        }),
        transport: Transport::Tcp(tcp),
        ports: [40_000, 502],
        payload: 40..bytes.len(),
        events: DecodeEvents::default(),
    }
}

fn frame(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; length];
    bytes[0] = 0x45;
    bytes
}

struct Count(u64);

impl Deliver for Count {
    fn data(&mut self, _: Direction, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
    fn gap(&mut self, _: Direction, _: u64) {}
    fn event(&mut self, _: Direction, _: StreamEvent) {}
}

fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

fn million() -> FlowTable {
    let bytes = frame(170);
    let before = resident_megabytes();
    let mut table = FlowTable::new(&flow::table::Settings::default());
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    for client in 0..1_000_000 {
        let one = Instant::now();
        let found = table.lookup(&packet(&bytes, client, TCP)).expect("it is IP");
        table.settle(found.id);
        slowest = slowest.max(one.elapsed());
    }
    println!(
        "1,000,000 flows: {} bytes each, {:.0} MB more resident, {:.0} ns an insertion, the slowest {slowest:?}",
        table.stats().memory_bytes / 1_000_000,
        resident_megabytes() - before,
        start.elapsed().as_nanos() as f64 / 1e6,
    );
    table
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let bytes = frame(170);

    let mut table = million();
    criterion.bench_function("lookup and settle, one of a million flows", |b| {
        let mut client = 0u32;
        b.iter(|| {
            client = client.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let found = table.lookup(black_box(&packet(&bytes, client % 1_000_000, TCP))).expect("it is IP");
            table.settle(found.id);
        });
    });
    drop(table);

    let mut table = FlowTable::new(&flow::table::Settings::default());
    let one = packet(&bytes, 1, TCP);
    criterion.bench_function("lookup and settle, hot flow", |b| {
        b.iter(|| {
            let found = table.lookup(black_box(&one)).expect("it is IP");
            table.settle(found.id);
        });
    });

    criterion.bench_function("in-order segment", |b| {
        let mut reassembler = Reassembler::new(&flow::tcp::Settings::default());
        let (mut connection, mut count) = (Connection::default(), Count(0));
        let mut tcp = TCP;
        b.iter(|| {
            let now = Timestamp(0);
            reassembler.push(&mut connection, black_box(&tcp), &bytes[40..], Direction::ToServer, now, &mut count);
            tcp.sequence = tcp.sequence.wrapping_add(130);
        });
        assert!(count.0 > 0);
    });

    let mut group = criterion.benchmark_group("duplicate check");
    for length in [60, 156, 536, 1500] {
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length} bytes"), |b| {
            let mut duplicates = Duplicates::new(&flow::duplicate::Settings { mirrored: true, ..Default::default() });
            // As many frames in turn as keep each out of the window of its last time.
            let frames: Vec<Vec<u8>> = (0..64u32)
                .map(|number| {
                    let mut bytes = frame(length);
                    bytes[24..28].copy_from_slice(&number.to_be_bytes());
                    bytes
                })
                .collect();
            let mut packets: Vec<Packet<'_>> = frames.iter().map(|bytes| packet(bytes, 1, TCP)).collect();
            let mut number = 0usize;
            b.iter(|| {
                number += 1;
                let packet = &mut packets[number % 64];
                packet.timestamp = Timestamp(number as u64 * 100_000);
                duplicates.check(black_box(packet))
            });
            assert_eq!(duplicates.stats().mirrored, 0);
        });
    }
    group.finish();
    criterion.final_summary();
}
