//! Holding the files of a journal against its chains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Fact, PublicKey, Statement, Subject, beginning, digest, folder, hash, head_file};

/// A sensor that runs may be between a segment and its statement; it is looked again after this long.
const MEANWHILE: Duration = Duration::from_millis(500);

/// How often that is done.
const LOOKS: usize = 3;

/// What is wrong with a file, or with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// A segment is not what was sealed.
    Changed,
    /// A segment is not there, and no statement says that it was removed.
    Missing,
    /// A statement does not follow the one before: one was taken out, put in, or moved.
    Broken,
    /// The chain does not go as far as its head, or one that was noted elsewhere, says.
    Truncated,
    /// No signature by the key: a statement, or a segment that no statement is about.
    Unsigned,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// With what: a file below the journal's directory; a line of it after a colon.
    pub place: String,
}

/// What was found of a stream, or of the evidence, whose files are the segments then.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verification {
    /// Segments that are as they were sealed.
    pub segments: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Segments that were removed, as the chain says.
    pub removed: u64,
    /// Segments that are not sealed yet: nothing is known of them.
    pub open: u64,
    /// Statements in the chain.
    pub statements: u64,
    /// SHA-256 of the last one.
    pub head: String,
    /// What is not as it was written.
    pub faults: Vec<Fault>,
}

/// What was found of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The key that the statements were checked with.
    pub key: PublicKey,
    /// By stream: alerts, records.
    pub streams: [Verification; 2],
    /// Of files of evidence.
    pub evidence: Verification,
}

impl Proof {
    /// Is everything as it was written?
    pub fn holds(&self) -> bool {
        self.faults().next().is_none()
    }

    /// All that is not as it was written.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.streams.iter().chain([&self.evidence]).flat_map(|found| &found.faults)
    }
}

/// Holds the files of a journal against its chains, with a key of one's own or the journal's, and looks whether the
/// chains have the statements of which somebody noted the SHA-256.
pub fn verify(journal: &Path, key: Option<PublicKey>, noted: &[String]) -> io::Result<Proof> {
    let key = key.map_or_else(|| PublicKey::of_journal(journal), Ok)?;
    let mut seen = BTreeSet::new();
    let mut look = |subject: Subject| -> io::Result<Verification> {
        let mut looks = 0;
        loop {
            let chain = Reading::of(journal, subject, &key)?;
            let found = chain.hold_against(journal)?;
            looks += 1;
            if !found.faults.is_empty() && looks < LOOKS {
                std::thread::sleep(MEANWHILE);
                if fs::read(folder(journal).join(subject.name())).unwrap_or_default() != chain.text {
                    continue;
                }
            }
            seen.extend(chain.hashes);
            return Ok(found);
        }
    };
    let [alerts, records, evidence] = Subject::ALL.map(&mut look);
    let mut streams = [alerts?, records?];
    let evidence = evidence?;
    for hash in noted.iter().filter(|hash| !seen.contains(*hash)) {
        // Of which stream it was nobody can tell any more.
        streams[0].faults.push(Fault { kind: FaultKind::Truncated, place: hash.clone() });
    }
    Ok(Proof { key, streams, evidence })
}

/// Is a file as it was sealed? None where no signed statement is about it.
pub(crate) fn is_as_sealed(journal: &Path, subject: Subject, name: &str) -> io::Result<Option<bool>> {
    let chain = Reading::of(journal, subject, &PublicKey::of_journal(journal)?)?;
    let mut sealed = chain.sealed.values();
    let Some((_, bytes, sha256)) = sealed.find(|(file, ..)| file == name) else { return Ok(None) };
    let found = digest(&journal.join(subject.name()).join(name))?;
    Ok(Some((found.0, &found.1) == (*bytes, sha256)))
}

/// A chain as it was read.
struct Reading {
    subject: Subject,
    text: Vec<u8>,
    hashes: Vec<String>,
    /// File, bytes and SHA-256 of the segments that were sealed, by number.
    sealed: BTreeMap<u64, (String, u64, String)>,
    removed: BTreeSet<u64>,
    faults: Vec<Fault>,
}

impl Reading {
    fn of(journal: &Path, subject: Subject, key: &PublicKey) -> io::Result<Self> {
        // First, so that the chain is at least as long.
        let head = read(&folder(journal).join(head_file(subject)))?;
        let text = read(&folder(journal).join(subject.name()))?;
        let mut chain = Self {
            subject,
            text,
            hashes: Vec::new(),
            sealed: BTreeMap::new(),
            removed: BTreeSet::new(),
            faults: Vec::new(),
        };
        let text = String::from_utf8_lossy(&chain.text).into_owned();
        for line in text.split_inclusive('\n') {
            chain.take(line, key);
        }
        chain.check_head(&String::from_utf8_lossy(&head), key);
        Ok(chain)
    }

    fn fault(&mut self, kind: FaultKind, place: String) {
        self.faults.push(Fault { kind, place });
    }

    /// Takes the next line. The one after it is held against what it is, so that each fault is told once.
    fn take(&mut self, line: &str, key: &PublicKey) {
        let place = format!("chain/{}:{}", self.subject.name(), self.hashes.len() + 1);
        let Some(line) = line.strip_suffix('\n') else {
            // Being written, or what a crash left: it is cut off at the next start.
            return;
        };
        let before = self.hashes.last().cloned().unwrap_or_else(beginning);
        self.hashes.push(hash(line.rsplit_once(' ').map_or(line, |(text, _)| text)));
        let statement = Statement::signed(line, key).filter(|statement| statement.subject == self.subject);
        let Some(statement) = statement else {
            return self.fault(FaultKind::Unsigned, place);
        };
        if statement.previous != before || statement.index != self.hashes.len() as u64 {
            self.fault(FaultKind::Broken, place);
        }
        match statement.fact {
            Fact::Sealed { name, bytes, digest } => {
                let number = self.subject.file(&name).map_or(0, |(number, _)| number);
                self.sealed.insert(number, (name, bytes, digest));
                self.removed.remove(&number);
            }
            Fact::Removed { number, .. } => drop(self.removed.insert(number)),
            Fact::Head => {}
        }
    }

    /// The head is signed, and its statement is in the chain.
    fn check_head(&mut self, head: &str, key: &PublicKey) {
        let place = format!("chain/{}", head_file(self.subject));
        let signed = Statement::signed(head, key);
        let Some(head) = signed.filter(|head| head.fact == Fact::Head && head.subject == self.subject) else {
            return self.fault(FaultKind::Unsigned, place);
        };
        let mut hashes = std::iter::once(beginning()).chain(self.hashes.iter().cloned());
        if hashes.nth(head.index as usize) != Some(head.previous) {
            self.fault(FaultKind::Truncated, place);
        }
    }

    fn hold_against(&self, journal: &Path) -> io::Result<Verification> {
        let name = self.subject.name();
        let mut found = Verification {
            removed: self.removed.len() as u64,
            statements: self.hashes.len() as u64,
            head: self.hashes.last().cloned().unwrap_or_else(beginning),
            faults: self.faults.clone(),
            ..Verification::default()
        };
        let mut fault = |kind, place: &str| found.faults.push(Fault { kind, place: format!("{name}/{place}") });
        for (number, (file, bytes, sha256)) in &self.sealed {
            match digest(&journal.join(name).join(file)) {
                Ok((length, digest)) if (length, &digest) == (*bytes, sha256) => {
                    found.segments += 1;
                    found.bytes += length;
                }
                Ok(_) => fault(FaultKind::Changed, file),
                // Stated before it goes; a crash between the two leaves it there for a while.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.removed.contains(number) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => fault(FaultKind::Missing, file),
                Err(error) => return Err(error),
            }
        }
        let mut numbers: BTreeSet<_> = self.sealed.keys().chain(&self.removed).copied().collect();
        for (number, sealed, file) in list(&journal.join(name), self.subject)? {
            let stated = self.sealed.get(&number).is_some_and(|(name, ..)| *name == file);
            if !stated && (sealed || numbers.contains(&number)) {
                fault(FaultKind::Unsigned, &file);
            } else if !stated {
                found.open += 1;
            }
            numbers.insert(number);
        }
        for (before, after) in numbers.iter().zip(numbers.iter().skip(1)) {
            match after - before {
                1 => {}
                2 => fault(FaultKind::Missing, &format!("{:08}", before + 1)),
                _ => fault(FaultKind::Missing, &format!("{:08}..{:08}", before + 1, after - 1)),
            }
        }
        Ok(found)
    }
}

/// The bytes of a file; none of one that is not there.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// The files of a subject in order: number, whether it has its last form, name.
fn list(directory: &Path, subject: Subject) -> io::Result<Vec<(u64, bool, String)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.extend(subject.file(&name).map(|(number, sealed)| (number, sealed, name)));
    }
    files.sort();
    Ok(files)
}
