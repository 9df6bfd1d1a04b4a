//! Suricata-syntax rules: text to a compiled [`Engine`], engine over views of traffic to matches.
//!
//! **Architecture invariants.** No I/O, no clock, no thread, no async and no unsafe code: rule text and traffic are given
//! to this crate, and what it finds it writes into a [`Scratch`] that the caller owns. An [`Engine`] is immutable; a
//! reload builds a new one aside. A rule that does not compile is a [`Diagnostic`] and never stops the others.
#![forbid(unsafe_code)]

mod anatomy;
pub mod engine;
pub mod explain;
mod keyword;
pub mod language;
pub mod lint;
mod thresholds;
pub mod tuning;

pub use engine::{
    Action, Asked, Compiled, Delayed, Engine, FlowFacts, FlowMemory, Gate, GivenUp, Leaving, Left, Match, Moment,
    Noted, Reference, Remark, Route, Rule, RuleId, SavedSet, Scratch, SetChanges, Silence, Subject, Tag, TagLimit,
    TagScope, Tagged, Target, Told, Verdict, Watch, Ways,
};
pub use keyword::{KeywordInfo, keywords};
pub use language::{Countries, Diagnostic, Library, Part, Reputation, Said, Severity, Source, Variables};
pub use thresholds::Thresholds;
