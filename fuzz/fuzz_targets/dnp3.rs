//! A dnp3 conversation over TCP and over UDP never panics, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::dnp3::PROTOCOL;

static ONLY: &[&Protocol] = &[&PROTOCOL];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(20000, ONLY, false, input);
    vigia_fuzz::converse(20000, ONLY, true, input);
});
