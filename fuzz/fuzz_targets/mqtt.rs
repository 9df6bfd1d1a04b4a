//! An MQTT conversation never panics, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::mqtt::PROTOCOL;

static ONLY: &[&Protocol] = &[&PROTOCOL];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(1883, ONLY, false, input);
});
