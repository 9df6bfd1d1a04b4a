//! Sets of values that rules look buffers up in: `dataset` and `datarep`.
//!
//! A worker answers for what a set was loaded with, and for the rest of the values, unless rules add to the set or take
//! from it. What they changed while the sensor runs is the gate's to know, like marks on hosts: it sees the matches of all
//! workers in packet order.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::told::{Note, Remark};
use super::value::Registers;

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
    /// A rule adds to it.
    grows: AtomicBool,
    /// A rule takes from it.
    shrinks: AtomicBool,
}

impl Dataset {
    pub(crate) fn new(kind: Kind, loaded: HashSet<Box<[u8]>>) -> Self {
        let [grows, shrinks] = [false; 2].map(AtomicBool::new);
        Self { kind, loaded, contexts: HashMap::new(), grows, shrinks }
    }

    /// A set of the values of a file of JSON, with what it says of each.
    pub(crate) fn with_contexts(kind: Kind, contexts: HashMap<Box<[u8]>, Arc<str>>) -> Self {
        Self { contexts: contexts.clone(), ..Self::new(kind, contexts.into_keys().collect()) }
    }

    /// A rule uses it so.
    pub(crate) fn expect(&self, how: Use) {
        match how {
            Use::Is(_) => {}
            Use::Add => self.grows.store(true, Ordering::Relaxed),
            Use::Remove => self.shrinks.store(true, Ordering::Relaxed),
        }
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
            let changes = if loaded { &set.shrinks } else { &set.grows };
            if changes.load(Ordering::Relaxed) || matches!((self.how, loaded), (Use::Add, false) | (Use::Remove, true))
            {
                registers.noted.set(note(value, loaded));
                return true;
            }
            self.how == Use::Is(loaded)
        })
    }
}

/// The bit of a noted value that says whether its set was loaded with it.
const LOADED: u64 = 1;

/// A value in 64 bits, never 0.
fn note(value: &[u8], loaded: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    (hasher.finish() & !LOADED).max(LOADED << 1) | if loaded { LOADED } else { 0 }
}

/// Was the set loaded with the value that was noted so?
pub(super) fn was_loaded(noted: u64) -> bool {
    noted & LOADED != 0
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
