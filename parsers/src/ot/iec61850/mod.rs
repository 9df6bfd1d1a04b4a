//! IEC 61850: what substations say over Ethernet.
//!
//! [`goose`] and [`sv`] stand on the link layer alone, and under the session layer of IEC 61850-90-5 in UDP datagrams
//! ([`routed`]). [`mms`] is client and server over TCP. All carry data of MMS ([`data`]).

pub mod data;
pub mod goose;
mod header;
pub mod mms;
pub mod routed;
pub mod sv;
#[cfg(test)]
mod tests;
