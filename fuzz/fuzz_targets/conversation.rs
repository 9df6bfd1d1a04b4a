//! Detection among all protocols on a port of none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::registry::PROTOCOLS;

fuzz_target!(|input: &[u8]| vigia_fuzz::converse(0, PROTOCOLS, false, input));
