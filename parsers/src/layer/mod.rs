//! Layers between the transport and several protocols: what they carry is the next layer's bytes.

pub mod cotp;
pub mod tpkt;
