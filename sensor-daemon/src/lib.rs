//! Vigía: a passive network sensor for plants and substations.
//!
//! The library holds everything; the binary only calls [`command`]. See ARCHITECTURE.md for the way of a packet.

// They panic where nobody reads any more; `command::print` and `command::tell` do not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod allocator;
pub mod capture;
pub mod command;
pub mod config;
pub mod control;
pub mod deliver;
pub mod diagnostic;
pub mod docs;
pub mod event;
pub mod evidence;
pub mod flow;
pub mod histogram;
pub mod index;
pub mod inspection;
pub mod journal;
pub mod language;
pub mod metrics;
pub mod pipeline;
pub mod priority;
pub mod sensor;
pub mod shunting;
pub mod tagging;
