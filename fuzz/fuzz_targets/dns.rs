//! A DNS conversation over TCP and over UDP, and one of multicast DNS and LLMNR, never panics, whatever it is fed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_parsers::Protocol;
use vigia_parsers::it::dns::{LLMNR, LLMNR_TCP, MDNS, PROTOCOL, TCP};

static ALL: &[&Protocol] = &[&PROTOCOL, &TCP, &MDNS, &LLMNR, &LLMNR_TCP];

fuzz_target!(|input: &[u8]| {
    for (port, datagram) in [(53, false), (53, true), (5353, true), (5355, true), (5355, false), (0, true)] {
        vigia_fuzz::converse(port, ALL, datagram, input);
    }
});
