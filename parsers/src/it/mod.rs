//! Protocols of information technology. Where a well-kept library dissects one, its file here is a thin adapter.

pub mod arp;
pub mod dns;
