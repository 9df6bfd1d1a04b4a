//! Sets of values that rules look buffers up in: `dataset` and `datarep`.
//!
//! A worker answers for what a set was loaded with, and for the rest of the values, unless rules add to the set or take
//! from it. What they changed while the sensor runs is the gate's to know, like marks on hosts: it sees the matches of all
//! workers in packet order. So a match notes its values for the gate, with their bytes where the set is saved.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::changes::{Change, SetChanges};
use super::told::{Note, Remark};
use super::value::Registers;
use super::{Engine, RuleId, Scratch};

/// What the values of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any bytes; base64 in files.
    String,
    /// 16 bytes; hexadecimal in files.
    Md5,
    /// 32 bytes; hexadecimal in files.
    Sha256,
    /// 4 bytes.
    Ipv4,
    /// 16 bytes; IPv4 addresses stand mapped in it.
    Ipv6,
    /// 4 or 16 bytes; an IPv4 address is the same mapped into IPv6.
    Ip,
}

impl Kind {
    /// The value that a file spells so.
    pub(crate) fn parse(self, text: &str) -> Option<Box<[u8]>> {
        let hex = |length: usize| {
            let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
            let digits = digits.filter(|digits| digits.len() == 2 * length)?;
            Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        };
        match self {
            Self::String => STANDARD.decode(text).ok().map(Vec::into_boxed_slice),
            Self::Md5 => hex(16),
            Self::Sha256 => hex(32),
            Self::Ipv4 | Self::Ipv6 | Self::Ip => match (text.parse().ok()?, self) {
                (IpAddr::V4(address), Self::Ipv6) => Some(Box::new(address.to_ipv6_mapped().octets())),
                (IpAddr::V4(address), _) => Some(Box::new(address.octets())),
                (IpAddr::V6(_), Self::Ipv4) => None,
                (IpAddr::V6(address), Self::Ip) => Some(unmapped(&address.octets()).into()),
                (IpAddr::V6(address), _) => Some(Box::new(address.octets())),
            },
        }
    }

    /// How a file spells a value; `None` where nothing it could say is read back as this one.
    fn spell(self, value: &[u8]) -> Option<String> {
        let address = || match *value {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
            _ => value.first_chunk::<16>().map(|&octets| IpAddr::from(octets)),
        };
        match self {
            // It would be an empty line.
            Self::String if value.is_empty() => None,
            Self::String => Some(STANDARD.encode(value)),
            Self::Md5 | Self::Sha256 => Some(value.iter().map(|byte| format!("{byte:02x}")).collect()),
            Self::Ipv4 | Self::Ipv6 | Self::Ip => address().map(|address| address.to_string()),
        }
    }

    /// Hands a buffer's value to `look_up` as the set has it; false when it cannot be one.
    fn with(self, buffer: &[u8], look_up: impl FnOnce(&[u8]) -> bool) -> bool {
        match (self, buffer.len()) {
            (Self::String, _) | (Self::Md5 | Self::Ipv6, 16) | (Self::Sha256, 32) | (Self::Ipv4, 4) => look_up(buffer),
            (Self::Ip, 4 | 16) => look_up(unmapped(buffer)),
            (Self::Ipv6, 4) => {
                let address = buffer.first_chunk().map(|octets: &[u8; 4]| Ipv4Addr::from(*octets));
                address.is_some_and(|address| look_up(&address.to_ipv6_mapped().octets()))
            }
            _ => false,
        }
    }
}

/// An address without what maps it into IPv6 (RFC 4291, 2.5.5.2).
fn unmapped(address: &[u8]) -> &[u8] {
    match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, rest @ ..] if rest.len() == 4 => rest,
        _ => address,
    }
}

/// A set of values.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) kind: Kind,
    /// What it was loaded with.
    pub(crate) loaded: HashSet<Box<[u8]>>,
    /// What a file of JSON says of each of its values, as JSON.
    contexts: HashMap<Box<[u8]>, Arc<str>>,
    /// The file that has what rules have made of it, in the next run.
    pub(crate) saved: Option<Box<str>>,
    /// A rule adds to it.
    grows: AtomicBool,
    /// A rule takes from it.
    shrinks: AtomicBool,
}

impl Dataset {
    pub(crate) fn new(kind: Kind, loaded: HashSet<Box<[u8]>>, saved: Option<Box<str>>) -> Self {
        let [grows, shrinks] = [false; 2].map(AtomicBool::new);
        Self { kind, loaded, contexts: HashMap::new(), saved, grows, shrinks }
    }

    /// A set of the values of a file of JSON, with what it says of each.
    pub(crate) fn with_contexts(kind: Kind, contexts: HashMap<Box<[u8]>, Arc<str>>) -> Self {
        Self { contexts: contexts.clone(), ..Self::new(kind, contexts.into_keys().collect(), None) }
    }

    /// A rule uses it so.
    pub(crate) fn expect(&self, how: Use) {
        match how {
            Use::Is(_) => {}
            Use::Add => self.grows.store(true, Ordering::Relaxed),
            Use::Remove => self.shrinks.store(true, Ordering::Relaxed),
        }
    }

    /// May rules change whether a value is in it that it was loaded with, or without?
    fn may_change(&self, loaded: bool) -> bool {
        let changes = if loaded { &self.shrinks } else { &self.grows };
        changes.load(Ordering::Relaxed)
    }

    fn changes(&self) -> bool {
        self.may_change(true) || self.may_change(false)
    }
}

/// What a rule does with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The value is (or is not) in it.
    Is(bool),
    /// Adds the value; matches when it is new.
    Add,
    /// Takes the value out; matches when it was there.
    Remove,
}

/// `dataset`.
#[derive(Debug, Clone)]
pub(crate) struct DatasetTest {
    pub(crate) set: Arc<Dataset>,
    pub(crate) how: Use,
    /// Which of the rule's uses of sets it is.
    pub(crate) step: usize,
    /// Under which key alerts have what the set knows of the value.
    pub(crate) context: Option<Arc<str>>,
}

impl DatasetTest {
    /// Holds as far as the worker can tell; what is left to the gate is in the registers.
    pub(crate) fn holds(&self, buffer: &[u8], registers: &Registers) -> bool {
        let set = &self.set;
        set.kind.with(buffer, |value| {
            let loaded = set.loaded.contains(value);
            if let (true, Some(key)) = (loaded, &self.context)
                && let Some(known) = set.contexts.get(value)
            {
                registers.note(Note::Remark(Remark::Context(Arc::clone(key), Arc::clone(known))));
            }
            let as_loaded = match self.how {
                Use::Is(wanted) => wanted == loaded,
                Use::Add => !loaded,
                Use::Remove => loaded,
            };
            if !as_loaded && !set.may_change(loaded) {
                return false;
            }
            if set.changes() {
                let bytes = (self.how == Use::Add && set.saved.is_some()).then(|| value.into());
                registers.note(Note::Value(Noted { step: self.step, value: number(value), loaded, bytes }));
            }
            true
        })
    }
}

/// A value that a match looked up in a set which rules change: the gate knows whether it is in there now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Noted {
    /// Which of the rule's uses of sets it was.
    pub(super) step: usize,
    pub(super) value: u64,
    /// Was the set loaded with it?
    pub(super) loaded: bool,
    /// The value itself, when it may be added to a set that is saved.
    pub(super) bytes: Option<Arc<[u8]>>,
}

impl Noted {
    /// Bytes that the value takes here.
    pub(super) fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }
}

impl Scratch {
    /// The values that a match of the last inspection noted for the gate ([`Match::noted`](super::Match::noted)).
    pub fn noted(&self, rule: RuleId) -> Box<[Noted]> {
        self.noted.iter().filter(|noted| noted.0 == rule).map(|noted| noted.1.clone()).collect()
    }
}

/// A value in 64 bits.
fn number(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Values of a set that are saved at the most.
const SAVED_VALUES: usize = 1 << 20;

/// A set that is to be saved as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSet {
    /// Its file, below the folder for such files.
    pub file: Box<str>,
    /// What the file is to hold: one value a line, sorted.
    pub text: String,
    /// Values left out because there are too many.
    pub left_out: usize,
}

impl Engine {
    /// Is any set to be saved?
    pub fn saves_sets(&self) -> bool {
        self.sets.iter().any(|(_, set)| set.saved.is_some() && set.changes())
    }

    /// The sets that rules change and that are to be saved, with what these have changed.
    pub fn saved_sets(&self, changes: &SetChanges) -> Vec<SavedSet> {
        let changing = self.sets.iter().filter(|(_, set)| set.changes());
        changing.filter_map(|(name, set)| Some(saved(set, set.saved.clone()?, &changes.of(*name)))).collect()
    }
}

/// The set with its changes as a file: what it was loaded with and still has comes before what was added.
fn saved(set: &Dataset, file: Box<str>, changes: &HashMap<u64, &Change>) -> SavedSet {
    let stays = |value: &&[u8]| changes.get(&number(value)).is_none_or(|change| change.is_in);
    let loaded: BTreeSet<&[u8]> = set.loaded.iter().map(|value| &**value).filter(stays).collect();
    let added = changes.values().filter(|change| change.is_in).filter_map(|change| change.bytes.as_deref());
    let added: BTreeSet<&[u8]> = added.collect();
    let added: Vec<&[u8]> = added.difference(&loaded).copied().collect();
    let room = SAVED_VALUES.saturating_sub(loaded.len());
    let kept = loaded.iter().copied().chain(added.iter().copied().take(room));
    let mut lines: Vec<String> = kept.filter_map(|value| set.kind.spell(value)).collect();
    lines.sort_unstable();
    let text = lines.into_iter().map(|line| line + "\n").collect();
    SavedSet { file, text, left_out: added.len().saturating_sub(room) }
}

/// `datarep`: a set whose values have a reputation.
#[derive(Debug, Clone)]
pub(crate) struct ReputationTest {
    pub(crate) kind: Kind,
    pub(crate) scores: Arc<HashMap<Box<[u8]>, u16>>,
    pub(crate) compare: fn(u16, u16) -> bool,
    pub(crate) score: u16,
}

impl ReputationTest {
    pub(crate) fn holds(&self, buffer: &[u8]) -> bool {
        self.kind.with(buffer, |value| self.scores.get(value).is_some_and(|&found| (self.compare)(found, self.score)))
    }
}
