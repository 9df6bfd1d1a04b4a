//! A modbus conversation over TCP and over UDP never panics, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::modbus::PROTOCOL;

static ONLY: &[&Protocol] = &[&PROTOCOL];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(502, ONLY, false, input);
    vigia_fuzz::converse(502, ONLY, true, input);
});
