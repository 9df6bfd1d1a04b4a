//! Bytes to typed values.
//!
//! Two halves: [`packet`] turns a captured frame into a [`packet::Packet`] (link to transport), and the protocols of
//! [`registry`] turn the payload of a flow into records through [`conversation::Conversation`].
//!
//! **Architecture invariants.** This crate has no I/O, no clock, no thread, no async and no unsafe code. Parsing never
//! fails: it yields records, the state to resume from, and the anomalies it met. No input panics and no input ends the
//! inspection of a flow. On the common path nothing is allocated.
#![forbid(unsafe_code)]

pub mod conversation;
pub mod dissector;
pub mod encoding;
pub mod field;
pub mod findings;
pub mod identity;
pub mod it;
pub mod layer;
pub mod limits;
pub mod operation;
pub mod ot;
pub mod packet;
pub mod pairing;
pub mod registry;
pub mod requests;
#[cfg(test)]
mod testing;
pub mod text;
pub mod time;

pub use dissector::{Anomaly, Direction, Dissector, Envelope, Frame, Pairing, Probe, Protocol, Record, Sink};
pub use limits::{Bound, Kept, Limits};
pub use operation::Operation;
pub use time::Timestamp;
