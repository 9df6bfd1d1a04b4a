//! A conversation of S7 communication, or of S7comm-plus, never panics, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::s7comm::PROTOCOL;

static ONLY: &[&Protocol] = &[&PROTOCOL];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(102, ONLY, false, input);
});
