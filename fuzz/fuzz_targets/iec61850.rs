//! Conversations of MMS over TCP, of GOOSE and Sampled Values on the link layer and in datagrams never panic, whatever
//! they are fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::ot::iec61850::{goose, mms, routed, sv};

static MMS: &[&Protocol] = &[&mms::PROTOCOL];
static ROUTED: &[&Protocol] = &[&routed::GOOSE, &routed::SV];

fuzz_target!(|input: &[u8]| {
    vigia_fuzz::converse(102, MMS, false, input);
    vigia_fuzz::converse(102, ROUTED, true, input);
    vigia_fuzz::on_link(&goose::PROTOCOL, input);
    vigia_fuzz::on_link(&sv::PROTOCOL, input);
});
