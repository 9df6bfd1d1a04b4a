//! An IEC 60870-5-104 conversation never panics, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::iec104::PROTOCOL;

static ONLY: &[&Protocol] = &[&PROTOCOL];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(2404, ONLY, false, input);
});
