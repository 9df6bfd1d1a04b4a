//! Time of decoding one packet, by kind of frame, beside `etherparse`'s slicing of the same frames.
//!
//! `cargo bench -p vigia-parsers --bench decode`. The comparison decides what of `etherparse` the decoder uses; the last
//! figures stand in the documentation of `vigia_parsers::packet`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use etherparse::{LaxSlicedPacket, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, decode};
use vigia_parsers::time::Timestamp;

/// Payload of a bench frame: a Modbus request's length.
const PAYLOAD: [u8; 12] = [0x17; 12];

fn ethernet() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

fn tcp_ipv4() -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = ethernet().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40_000, 502, 1000, 64_000).ack(2000).psh();
    builder.write(&mut frame, &PAYLOAD).expect("a frame");
    frame
}

fn tcp_ipv4_timestamps() -> Vec<u8> {
    let mut frame = Vec::new();
    let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let builder = ethernet().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40_000, 502, 1000, 64_000).ack(2000);
    builder.options_raw(&options).expect("options").write(&mut frame, &PAYLOAD).expect("a frame");
    frame
}

fn tcp_vlan() -> Vec<u8> {
    let mut frame = Vec::new();
    let vlan = etherparse::VlanId::try_new(100).expect("an id");
    let builder = ethernet().single_vlan(vlan).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40_000, 502, 1000, 64_000);
    builder.ack(1).write(&mut frame, &PAYLOAD).expect("a frame");
    frame
}

fn udp_ipv6() -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = ethernet().ipv6([0xfd; 16], [0xfe; 16], 64).udp(40_000, 20_000);
    builder.write(&mut frame, &PAYLOAD).expect("a frame");
    frame
}

fn prp(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(60), 0);
    let size = u16::try_from(frame.len() - 14 + 6).expect("a short frame");
    frame.extend_from_slice(&[0, 7]);
    frame.extend_from_slice(&(0xa000 | size).to_be_bytes());
    frame.extend_from_slice(&[0x88, 0xfb]);
    frame
}

fn vxlan(inner: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let payload = [&[8, 0, 0, 0, 0, 0, 42, 0], inner].concat();
    let builder = ethernet().ipv4([192, 168, 0, 1], [192, 168, 0, 2], 64).udp(50_000, 4789);
    builder.write(&mut frame, &payload).expect("a frame");
    frame
}

/// What a worker asks of a packet, taken from `etherparse`'s slices.
fn read_slices(net: &Option<NetSlice<'_>>, transport: &Option<TransportSlice<'_>>) -> u64 {
    let mut sum = 0u64;
    match net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            sum += u64::from(u32::from_be_bytes(header.source())) + u64::from(u32::from_be_bytes(header.destination()));
            sum += u64::from(header.ttl()) + u64::from(header.more_fragments());
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            sum += u64::from(header.source()[15]) + u64::from(header.destination()[15]) + u64::from(header.hop_limit());
        }
        _ => {}
    }
    match transport {
        Some(TransportSlice::Tcp(tcp)) => {
            sum += u64::from(tcp.source_port()) + u64::from(tcp.destination_port()) + u64::from(tcp.sequence_number());
            sum += u64::from(tcp.acknowledgment_number()) + u64::from(tcp.window_size()) + tcp.payload().len() as u64;
        }
        Some(TransportSlice::Udp(udp)) => {
            sum += u64::from(udp.source_port()) + u64::from(udp.destination_port()) + udp.payload().len() as u64;
        }
        _ => {}
    }
    sum
}

fn captured(frame: &[u8]) -> Captured<'_> {
    Captured {
        number: 1,
        timestamp: Timestamp(0),
        link: LinkType::Ethernet,
        frame,
        wire_length: u32::try_from(frame.len()).expect("a short frame"),
        stripped_vlan: None,
    }
}

fn bench(criterion: &mut Criterion) {
    let limits = DecodeLimits::default();
    let plain = tcp_ipv4();
    let frames = [
        ("tcp_ipv4", plain.clone()),
        ("tcp_ipv4_timestamps", tcp_ipv4_timestamps()),
        ("tcp_ipv4_vlan", tcp_vlan()),
        ("udp_ipv6", udp_ipv6()),
        ("tcp_ipv4_prp", prp(plain.clone())),
        ("tcp_ipv4_vxlan", vxlan(&plain)),
    ];
    for (name, frame) in &frames {
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("vigia", |bencher| bencher.iter(|| decode(&captured(black_box(frame)), &limits)));
        group.bench_function("etherparse_strict", |bencher| {
            bencher.iter(|| {
                let packet = SlicedPacket::from_ethernet(black_box(frame));
                packet.map(|packet| read_slices(&packet.net, &packet.transport)).ok()
            });
        });
        group.bench_function("etherparse_lax", |bencher| {
            bencher.iter(|| LaxSlicedPacket::from_ethernet(black_box(frame)).map(|packet| packet.transport.is_some()));
        });
        group.finish();
    }
    // A mix defeats the branch predictor's memory of one frame.
    let mix: Vec<&[u8]> = (0..997usize).map(|i| frames[(i * i + i / 3) % frames.len()].1.as_slice()).collect();
    let mut group = criterion.benchmark_group("mix");
    group.throughput(Throughput::Elements(mix.len() as u64));
    group.bench_function("vigia", |bencher| {
        bencher.iter(|| {
            for frame in &mix {
                black_box(decode(&captured(frame), &limits));
            }
        });
    });
    group.bench_function("etherparse_strict", |bencher| {
        bencher.iter(|| {
            for frame in &mix {
                let packet = SlicedPacket::from_ethernet(frame);
                black_box(packet.map(|packet| read_slices(&packet.net, &packet.transport)).ok());
            }
        });
    });
    group.finish();
    let packet = decode(&captured(&plain), &limits);
    criterion.bench_function("checksums_tcp_ipv4", |bencher| {
        bencher.iter_batched(|| packet.clone(), |packet| black_box(packet.checksums()), BatchSize::SmallInput);
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
