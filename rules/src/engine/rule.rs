//! What callers learn of a rule: who it is, what its alert says, and what is to be done after a match.

use std::sync::Arc;

/// Index of a rule in its engine: also its rank, for rules are inspected and reported in this order. Pass rules come
/// first, then those that set flowbits before those that ask for them, then by priority and signature id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// What an alert says of the rule that raised it, and what `vigia rules list` shows.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Generator id, 1 unless the rule says otherwise.
    pub gid: u32,
    /// Signature id.
    pub sid: u32,
    /// Revision.
    pub rev: u32,
    /// The `msg`.
    pub message: String,
    /// Long name of the class, from the classifications.
    pub category: String,
    /// 1 is the most severe.
    pub priority: u8,
    /// `reference` options: the system, what it has there, and the link to it.
    pub references: Vec<Reference>,
    /// `metadata` keys with their values, in the order of the rule.
    pub metadata: Vec<(String, Vec<String>)>,
    /// What the rule's author asked for; Vigía never blocks, so it is only recorded.
    pub action: Action,
    /// The file it stands in, and its line there.
    pub origin: (Arc<str>, u32),
    /// The endpoint that is the victim, when the rule says so.
    pub target: Option<Target>,
    /// Cross-flow counting: the caller asks a [`Gate`](super::Gate) before it reports the match.
    pub gated: bool,
    /// Packets to be recorded after a match.
    pub tags: Vec<Tag>,
    /// The field of its protocol that is the frame it looks into.
    pub frame: Option<usize>,
}

/// Where to read more of what a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The system: `cve`.
    pub system: String,
    /// What it has there: `2020-7491`.
    pub value: String,
    /// The link, where the system is known; else both with a colon.
    pub link: String,
}

/// What a rule wants recorded after it matched (`tag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Whose packets.
    pub scope: TagScope,
    /// How many of them.
    pub limit: TagLimit,
}

/// Whose packets a tag is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagScope {
    /// The flow's.
    Session,
    /// The sender's of what matched.
    Source,
    /// The receiver's.
    Destination,
}

/// How far a tag goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagLimit {
    /// So many packets.
    Packets(u32),
    /// Packets with so many bytes in all.
    Bytes(u32),
    /// Packets of so many seconds.
    Seconds(u32),
}

/// The action of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Action {
    /// Nothing is to be reported of what it matches.
    Pass,
    /// Raise an alert; would drop the packet in an inline system.
    Drop,
    /// Raise an alert; would reset the connection in an inline system.
    Reject,
    /// Raise an alert.
    #[default]
    Alert,
}

/// The endpoint that a rule calls its target (`target:src_ip`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The sender of what matched.
    Source,
    /// The receiver.
    Destination,
}
