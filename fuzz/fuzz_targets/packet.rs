//! Packet decoding: any frame on any link type gives a packet whose ranges lie within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, decode};

const LINKS: [u32; 8] = [0, 1, 9, 101, 104, 108, 113, 276];

fuzz_target!(|input: &[u8]| {
    let Some((link, frame)) = input.split_first() else { return };
    let Some(link) = LinkType::from_number(LINKS[*link as usize % LINKS.len()]) else { return };
    let captured = Captured {
        number: 1,
        timestamp: Timestamp::default(),
        link,
        frame,
        wire_length: frame.len() as u32,
        stripped_vlan: None,
    };
    let packet = decode(&captured, &DecodeLimits::default());
    assert!(packet.payload.end <= frame.len() && packet.payload.start <= packet.payload.end);
    packet.checksums();
});
