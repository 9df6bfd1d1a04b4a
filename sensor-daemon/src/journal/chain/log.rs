//! A chain as those write it who write the files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use vigia_parsers::Timestamp;

use super::key::{Key, save};
use super::{Fact, Reason, Statement, Subject, beginning, digest, folder, hash, head_file};
use crate::event::text_of;

/// A chain, open for more.
pub(crate) struct Chain {
    subject: Subject,
    folder: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    key: Arc<Key>,
    /// Statements up to now.
    count: u64,
    /// Hash of the last one.
    last: String,
    /// Numbers of the segments that are sealed and not removed.
    held: BTreeSet<u64>,
    /// The highest number that a statement is about.
    highest: u64,
    /// Lines that are not in the file yet.
    waiting: Vec<u8>,
}

impl Chain {
    /// Opens the chains of a journal: alerts, records, evidence. At the first start their key is made.
    pub(in crate::journal) fn open_all(journal: &Path) -> io::Result<[Self; 3]> {
        let folder = folder(journal);
        fs::create_dir_all(&folder)?;
        let (key, document) = match Key::load(&folder)? {
            Some(key) => (key, None),
            None => Key::make().map(|(key, document)| (key, Some(document)))?,
        };
        let key = Arc::new(key);
        if let Some(document) = document {
            for subject in Subject::ALL {
                Self::begin(&folder, subject, &key)?.save_head()?;
            }
            // Last: where there is a key there are heads, so that one that is taken away is missed.
            Key::keep(&folder, &document)?;
            tracing::info!(folder = %folder.display(), "made the key that signs the journal's segments");
        }
        key.publish(&folder)?;
        let [alerts, records, evidence] = Subject::ALL.map(|subject| Self::open(&folder, subject, &key));
        Ok([alerts?, records?, evidence?])
    }

    /// A chain before its first statement is read or made.
    fn begin(folder: &Path, subject: Subject, key: &Arc<Key>) -> io::Result<Self> {
        Ok(Self {
            subject,
            folder: folder.to_owned(),
            file: File::options().create(true).append(true).open(folder.join(subject.name()))?,
            length: 0,
            key: Arc::clone(key),
            count: 0,
            last: beginning(),
            held: BTreeSet::new(),
            highest: 0,
            waiting: Vec::new(),
        })
    }

    /// Opens a chain. A line that a crash left unfinished is cut off.
    fn open(folder: &Path, subject: Subject, key: &Arc<Key>) -> io::Result<Self> {
        let mut chain = Self::begin(folder, subject, key)?;
        let text = fs::read(folder.join(subject.name()))?;
        let whole = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1);
        chain.length = whole as u64;
        chain.file.set_len(chain.length)?;
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            let text = line.rsplit_once(' ').map_or(line, |(text, _)| text);
            chain.last = hash(text);
            chain.count += 1;
            // One that somebody spoiled is for the verification to tell.
            if let Some(statement) = Statement::parse(text) {
                chain.remember(&statement.fact);
            }
        }
        chain.follow_head();
        Ok(chain)
    }

    /// What the head says is not forgotten when somebody cut the chain: the next statement follows the one that is gone, so
    /// the verification finds that it is. Without a head it follows none.
    fn follow_head(&mut self) {
        let text = fs::read_to_string(self.folder.join(head_file(self.subject))).unwrap_or_default();
        let head = Statement::signed(&text, &self.key.public()).filter(|head| head.fact == Fact::Head);
        let (count, last) = head.map_or((self.count + 1, hash("no head")), |head| (head.index, head.previous));
        if count > self.count {
            tracing::error!(
                subject = self.subject.name(),
                "the chain of the journal's segments is cut: see `vigia journal verify`"
            );
            (self.count, self.last) = (count, last);
        }
    }

    fn remember(&mut self, fact: &Fact) {
        let number = match fact {
            Fact::Sealed { name, .. } => self.subject.file(name).map(|(number, _)| number),
            Fact::Removed { number, .. } => Some(*number),
            Fact::Head => None,
        };
        let Some(number) = number else { return };
        self.highest = self.highest.max(number);
        match fact {
            Fact::Sealed { .. } => self.held.insert(number),
            _ => self.held.remove(&number),
        };
    }

    /// Is a segment of this number sealed, and there?
    pub(crate) fn holds(&self, number: u64) -> bool {
        self.held.contains(&number)
    }

    /// The highest number that was ever sealed or removed.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// States that a file has its last form.
    pub(crate) fn sealed(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (bytes, digest) = digest(path)?;
        self.state(Fact::Sealed { name, bytes, digest });
        self.flush()
    }

    /// States that a segment is removed.
    pub(crate) fn removed(&mut self, number: u64, reason: Reason) -> io::Result<()> {
        self.state(Fact::Removed { number, reason });
        self.flush()
    }

    fn state(&mut self, fact: Fact) {
        self.remember(&fact);
        self.count += 1;
        let text = self.statement(fact);
        self.last = hash(&text);
        self.waiting.extend_from_slice(self.signed(&text).as_bytes());
    }

    fn statement(&self, fact: Fact) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = text_of(Timestamp::new(now.as_secs(), now.subsec_nanos()));
        let previous = self.last.clone();
        Statement { subject: self.subject, index: self.count, time, fact, previous }.to_string()
    }

    fn signed(&self, text: &str) -> String {
        format!("{text} {}\n", self.key.sign(text))
    }

    /// Writes what waits, and the head. What cannot be written goes on waiting.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.waiting).and_then(|()| self.file.sync_data()) {
            // A line that is there in part would be taken for a spoiled one.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        self.save_head()
    }

    fn save_head(&self) -> io::Result<()> {
        let head = self.signed(&self.statement(Fact::Head));
        save(&self.folder, &head_file(self.subject), 0o644, head.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::chain::{FaultKind, verify};

    fn segment(journal: &Path, number: u64) -> PathBuf {
        let folder = journal.join("alerts");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{number:08}-20260102T030405.ndjson.zst"));
        fs::write(&path, format!("segment {number}")).unwrap();
        path
    }

    fn alerts(journal: &Path) -> Chain {
        Chain::open_all(journal).unwrap().into_iter().next().unwrap()
    }

    #[test]
    fn a_chain_goes_on_after_a_crash_in_the_middle_of_a_line() {
        let journal = tempfile::tempdir().unwrap();
        let journal = journal.path();
        let mut chain = alerts(journal);
        chain.sealed(&segment(journal, 1)).unwrap();
        chain.sealed(&segment(journal, 2)).unwrap();
        drop(chain);
        let mut file = File::options().append(true).open(folder(journal).join("alerts")).unwrap();
        file.write_all(b"vigia-journal 1 alerts 3 20").unwrap();

        let mut chain = alerts(journal);
        assert_eq!(([1, 2, 3].map(|number| chain.holds(number)), chain.highest()), ([true, true, false], 2));
        chain.removed(1, Reason::Retention).unwrap();
        fs::remove_file(segment(journal, 1)).unwrap();
        chain.sealed(&segment(journal, 3)).unwrap();
        let proof = verify(journal, None, &[]).unwrap();
        let [alerts, _] = &proof.streams;
        assert_eq!((alerts.segments, alerts.removed, alerts.statements), (2, 1, 4));
        assert!(proof.holds(), "{:?}", alerts.faults);
    }

    #[test]
    fn a_chain_that_was_cut_is_not_mended_by_a_start() {
        for files in [&["alerts"][..], &["alerts", "alerts.head"]] {
            let journal = tempfile::tempdir().unwrap();
            let journal = journal.path();
            alerts(journal).sealed(&segment(journal, 1)).unwrap();
            fs::remove_file(segment(journal, 1)).unwrap();
            files.iter().for_each(|file| fs::remove_file(folder(journal).join(file)).unwrap());
            alerts(journal).sealed(&segment(journal, 2)).unwrap();
            let [alerts, _] = verify(journal, None, &[]).unwrap().streams;
            assert_eq!(
                alerts.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(),
                [FaultKind::Broken, FaultKind::Truncated],
                "{files:?}"
            );
        }
    }
}
