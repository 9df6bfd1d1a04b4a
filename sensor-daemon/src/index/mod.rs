//! An index of the journal's alerts in SQLite, so that a question about a few of them does not read all.
//!
//! # Constraints
//!
//! - It is made from the journal and holds nothing else: losing it loses nothing. One that is removed, damaged, of another
//!   journal or of another version is made anew.
//! - Nothing waits for it. It is made on a thread that runs when nothing else would, and its file has a bound of its own
//!   ([`Settings::max_bytes`]). While the journal's reserve is short, it is not written: that room is for alerts. It is not
//!   synced before it is closed: on one disk that holds up the alerts' own syncs. So it tells which start of the machine it
//!   was opened in, and one that the machine stopped with is made anew, too.
//!
//! # What is in it
//!
//! A row an alert, under its place in the journal (segment and offset), with what people ask alerts by; the alert itself
//! stays in the journal. Rows, and how far the journal was read, are committed together. It knows a run of whole segments
//! and the beginning of one more: from the oldest segment that it has a row of, up to where it was read. Whoever asks it
//! reads the journal for what comes before and after ([`Index::find`]), so that an answer is whole however far it is.
//!
//! # Invariants
//!
//! - A row goes with its segment: what retention removed from the journal is removed here, and not told before.
//! - After a power cut the journal may be shorter than what was read of it. So at each start the last segment that both know
//!   is read again, and all after it.

mod builder;
mod choice;
mod query;
mod store;

use std::io;
use std::path::{Path, PathBuf};

pub use builder::{Builder, follow};
pub use choice::Choice;
pub use query::{Found, Holding, Index};

/// Its file in the journal's directory.
const FILE: &str = "index.sqlite";

/// Endings of the files that SQLite keeps beside it.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Version of the tables: with another one the index is made anew.
const VERSION: i64 = 2;

/// An index of the journal's alerts, for `vigia alerts`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Keep an index of alerts (`index.sqlite` in the journal's directory). It is made from the journal alone.
    pub enabled: bool,
    /// Bytes that it may take on disk, beside those of the journal; beyond them the oldest alerts are left out, and looked
    /// for in the journal itself. An alert takes some 300.
    #[schemars(range(min = 1_048_576))]
    pub max_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, max_bytes: 1 << 30 }
    }
}

/// Where an alert stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in the segment's uncompressed bytes.
    pub offset: u64,
}

/// Why the index cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file of the journal, or the index's own.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl IndexError {
    /// Does it say that the file is not what was written?
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(self, Self::Sqlite(error) if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)))
    }
}

/// Removes the index of a journal; false when there was none. A running sensor makes it anew.
pub fn remove(journal: &Path) -> io::Result<bool> {
    let path = path(journal);
    // First: nobody is to open it without the others.
    let there = gone(std::fs::remove_file(&path))?;
    for ending in BESIDE {
        gone(std::fs::remove_file(beside(&path, ending)))?;
    }
    Ok(there)
}

/// Was it there?
fn gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn path(journal: &Path) -> PathBuf {
    journal.join(FILE)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// SQLite's whole numbers have a sign; none of ours comes near it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
