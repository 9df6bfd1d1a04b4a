//! What proves that the journal's sealed segments, and the files of evidence, are as they were written: a chain of signed
//! statements for each kind of them.
//!
//! # Layout on disk
//!
//! ```text
//! journal/chain/
//!   key              the private key (PKCS#8, ed25519), made at the first start; for its owner only
//!   public.pem       the public key (RFC 8410)
//!   alerts           a statement a line, with its signature; only ever grows
//!   alerts.head      signed apart: which statement is the last one
//!   records, records.head
//!   evidence, evidence.head   of files of evidence, each a segment here
//! ```
//!
//! A line is a [`Statement`] as text, a space, and the signature of the text in base64. The text of a statement ends with
//! the SHA-256 of the text of the one before, so none can be changed, left out or moved without the next one telling.
//! The head is there for the last one, which no other follows.
//!
//! # Invariants
//!
//! - A segment's statement is written when its file has its last form, and says the SHA-256 of that. The file is not
//!   touched again but to be removed.
//! - What retention removes is stated before the file goes. Where that cannot be written (on a full disk), as soon as it can.
//! - Numbers of segments that no statement and no file has are missing: nothing but a hand, or a power cut before the
//!   segment was synced, takes a segment away unsaid.
//! - Segments that wait to be sealed are not protected. At the start those are sealed that a crash or a stop left, and
//!   those stated that were sealed and not yet stated: they are newer than all that the chain is about.

mod key;
mod log;
mod verify;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Stream;
use super::segment::Segment;

pub use key::PublicKey;
pub use verify::{Fault, FaultKind, Proof, Verification, verify};

pub(crate) use log::Chain;
pub(crate) use verify::is_as_sealed;

/// Folder of the chains in the journal's directory.
const FOLDER: &str = "chain";
/// What each statement begins with, so that no signature is good for anything else: name and version of the format.
const PREFIX: [&str; 2] = ["vigia-journal", "1"];

/// The folder of the chains of a journal.
pub(super) fn folder(journal: &Path) -> PathBuf {
    journal.join(FOLDER)
}

/// What a chain is about: numbered files in a folder of the journal's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Segments of a stream.
    Stream(Stream),
    /// Files of evidence.
    Evidence,
}

impl Subject {
    /// All.
    const ALL: [Self; 3] = [Self::Stream(Stream::Alerts), Self::Stream(Stream::Records), Self::Evidence];

    /// Its name: of the folder, and in statements.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stream(stream) => stream.name(),
            Self::Evidence => "evidence",
        }
    }

    /// The number of a file, and whether it has its last form; none of what is no such file.
    pub(crate) fn file(self, name: &str) -> Option<(u64, bool)> {
        match self {
            Self::Stream(_) => Segment::parse(name.into()).map(|segment| (segment.number, segment.sealed)),
            Self::Evidence => {
                let number = name.strip_suffix(".pcapng")?.split('-').next()?.parse().ok()?;
                Some((number, true))
            }
        }
    }
}

/// Why a segment went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// To keep the journal within its size.
    Retention,
    /// Nothing was in it: a crash came before its first event was whole.
    Empty,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    /// A segment has its last form: name of the file, its bytes, and their SHA-256.
    Sealed { name: String, bytes: u64, digest: String },
    /// The segment of this number was removed.
    Removed { number: u64, reason: Reason },
    /// The statement before is the last one. It stands in the file of the head only.
    Head,
}

/// A statement about a subject: the `index`th, made at `time`, after the one whose SHA-256 is `previous`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    subject: Subject,
    index: u64,
    time: String,
    fact: Fact,
    previous: String,
}

impl fmt::Display for Statement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, version] = PREFIX;
        let Self { subject, index, time, fact, previous } = self;
        write!(out, "{name} {version} {} {index} {time} ", subject.name())?;
        match fact {
            Fact::Sealed { name, bytes, digest } => write!(out, "sealed {name} {bytes} {digest}")?,
            Fact::Removed { number, reason: Reason::Retention } => write!(out, "removed {number} retention")?,
            Fact::Removed { number, reason: Reason::Empty } => write!(out, "removed {number} empty")?,
            Fact::Head => write!(out, "head")?,
        }
        write!(out, " after {previous}")
    }
}

impl Statement {
    /// The statement in a line, if it is signed by the key.
    fn signed(line: &str, key: &PublicKey) -> Option<Self> {
        let (text, signature) = line.trim_end_matches('\n').rsplit_once(' ')?;
        Self::parse(text).filter(|_| key.verifies(text, signature))
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split(' ').collect();
        let (prefix, words) = words.split_first_chunk()?;
        let ([subject, index, time], words) = words.split_first_chunk()?;
        let (fact, ["after", previous]) = words.split_last_chunk()? else { return None };
        let fact = match *fact {
            ["sealed", name, bytes, digest] => {
                Fact::Sealed { name: name.to_owned(), bytes: bytes.parse().ok()?, digest: digest.to_owned() }
            }
            ["removed", number, "retention"] => {
                Fact::Removed { number: number.parse().ok()?, reason: Reason::Retention }
            }
            ["removed", number, "empty"] => Fact::Removed { number: number.parse().ok()?, reason: Reason::Empty },
            ["head"] => Fact::Head,
            _ => return None,
        };
        let subject = Subject::ALL.into_iter().find(|one| one.name() == *subject).filter(|_| *prefix == PREFIX)?;
        let (time, previous) = ((*time).to_owned(), (*previous).to_owned());
        Some(Self { subject, index: index.parse().ok()?, time, fact, previous })
    }
}

/// The name of the file of a chain's head.
fn head_file(subject: Subject) -> String {
    format!("{}.head", subject.name())
}

/// The hash that the first statement follows.
fn beginning() -> String {
    "0".repeat(64)
}

fn hash(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// Length and SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((bytes, format!("{:x}", hasher.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_read_back() {
        let facts = [
            Fact::Sealed { name: "00000007-20260102T030405.ndjson.zst".to_owned(), bytes: 70, digest: hash("segment") },
            Fact::Removed { number: 3, reason: Reason::Retention },
            Fact::Removed { number: 4, reason: Reason::Empty },
            Fact::Head,
        ];
        for (fact, subject) in facts.into_iter().zip(Subject::ALL.into_iter().cycle()) {
            let time = "2026-01-02T03:04:05.000000+0000".to_owned();
            let statement = Statement { subject, index: 12, time, fact, previous: beginning() };
            assert_eq!(Statement::parse(&statement.to_string()), Some(statement));
        }
        for wrong in
            ["", "vigia-journal 2 alerts 1 t head after x", "vigia-journal 1 alerts 1 t head", "a b c d e f g h i"]
        {
            assert_eq!(Statement::parse(wrong), None, "{wrong}");
        }
    }
}
