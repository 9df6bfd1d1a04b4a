//! The reader of pcap files: any file gives frames within it and ends, or names its fault.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// Magic numbers of both byte orders and both resolutions: what the first byte chooses from.
const MAGICS: [u32; 4] = [0xa1b2_c3d4, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x4d3c_b2a1];

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let magic = MAGICS[*choice as usize % MAGICS.len()].to_be_bytes();
    vigia_fuzz::capture([&magic, rest].concat());
});
