//! The reader of pcapng files: any file gives frames within it and ends, or names its fault.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// The type of the block that every file begins with.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

fuzz_target!(|input: &[u8]| vigia_fuzz::capture([&SECTION_HEADER, input].concat()));
