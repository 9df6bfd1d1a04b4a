//! Encodings that several protocols share.

pub mod ber;
