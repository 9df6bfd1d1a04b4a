//! A conversation of EtherNet/IP, with CIP within, never panics over TCP and UDP, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::enip::PROTOCOL;

static ONLY: &[&Protocol] = &[&PROTOCOL];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(44818, ONLY, false, input);
    vigia_fuzz::converse(44818, ONLY, true, input);
});
