//! The folder of evidence, and the thread that writes it.
//!
//! A file is written beside its place, synced, and renamed, so that no crash leaves half of one. Then its statement is signed
//! ([`crate::journal::chain`]), and an event tells of it. It is not touched again but to be removed, which is stated before.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use sha2::{Digest as _, Sha256};
use vigia_parsers::Timestamp;

use super::pcapng::{Origin, section};
use crate::event::{EvidenceOutput, EvidenceTold, compact_time, text_of};
use crate::journal::chain::{Chain, Reason, Subject};
use crate::metrics::{self, Counter};
use crate::priority::Rank;

/// What evidence leaves free on the disk: alerts need it more.
const LEFT_FREE: u64 = 4 << 20;

/// How often it is looked whether a file is too old.
const TICK: Duration = Duration::from_secs(10);

/// What is known not to be in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Packets up to then had left the buffer.
    pub(super) older_than: Option<Timestamp>,
    /// Packets for which the file, or all that is collected at the same time, had no room.
    pub(super) bound: bool,
    /// Packets that the sensor had no time to keep.
    pub(super) busy: bool,
    /// Packets from then on, which were left to the kernel.
    pub(super) kernel_from: Option<Timestamp>,
    /// Packets that were captured up to a length only.
    pub(super) cut_packets: u64,
}

impl Missing {
    /// By name, for events; and as sentences.
    fn told(&self) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        if let Some(time) = self.older_than {
            told.push(("buffer", format!("packets up to {} had left the buffer", text_of(time))));
        }
        if self.bound {
            told.push(("bound", "there was no room for all packets".to_owned()));
        }
        if self.busy {
            told.push(("busy", "the sensor had no time to keep all packets".to_owned()));
        }
        if let Some(time) = self.kernel_from {
            told.push(("kernel", format!("from {} on the flow was left to the kernel", text_of(time))));
        }
        if self.cut_packets > 0 {
            told.push(("cut", format!("the ends of {} packets were not captured", self.cut_packets)));
        }
        told
    }
}

/// Evidence of a flow that is collected.
pub(super) struct Finished {
    /// The flow; a number beyond 51 bits stands for none.
    pub(super) flow: u64,
    /// The blocks behind the section header.
    pub(super) body: Vec<u8>,
    pub(super) first_alert: Timestamp,
    pub(super) last_alert: Timestamp,
    /// Times of the first packet and the last.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    pub(super) packets: u64,
    pub(super) alerts: u64,
    /// Alerts whose lines are in no comment.
    pub(super) untold: u64,
    /// Lines of alerts that are on no packet.
    pub(super) silent: Vec<Vec<u8>>,
    pub(super) missing: Missing,
}

impl Finished {
    fn flow_id(&self) -> u64 {
        if self.flow >> 51 == 0 { self.flow } else { 0 }
    }

    /// The comment on the file.
    fn comment(&self) -> String {
        let mut text = format!(
            "Evidence of flow {}. Alerts: {}, from {} to {}. Packets: {}",
            self.flow_id(),
            self.alerts,
            text_of(self.first_alert),
            text_of(self.last_alert),
            self.packets
        );
        if let Some((first, last)) = self.span {
            text += &format!(", from {} to {}", text_of(first), text_of(last));
        }
        let missing = self.missing.told();
        match missing.is_empty() {
            true => text += ". Nothing is known to be missing",
            false => text += ". Missing: ",
        }
        let sentences: Vec<_> = missing.into_iter().map(|(_, sentence)| sentence).collect();
        text += &sentences.join("; ");
        if self.untold > 0 {
            text += &format!(". Alerts in no comment: {}", self.untold);
        }
        text + "."
    }
}

/// A file in the folder.
#[derive(Debug)]
struct Kept {
    number: u64,
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

/// What a store is made from.
pub(super) struct Parts {
    pub(super) folder: PathBuf,
    /// Bytes that files may take.
    pub(super) total: u64,
    /// Time that they stay.
    pub(super) age: Duration,
    pub(super) origin: Origin,
    /// Where the files are signed; live.
    pub(super) chain: Option<Chain>,
    /// Sync files, so that they outlast a power cut.
    pub(super) durable: bool,
    pub(super) output: EvidenceOutput,
    pub(super) counters: Arc<metrics::Block>,
}

pub(super) struct Store {
    parts: Parts,
    /// The oldest first.
    files: VecDeque<Kept>,
    bytes: u64,
    next: u64,
    refused: bool,
}

/// Files of evidence in a folder, by number.
pub fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((number, _)) = Subject::Evidence.file(&name) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

impl Store {
    /// Opens the folder: what a crash left unfinished goes, what it left unsigned is signed.
    pub(super) fn open(mut parts: Parts) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&parts.folder)?;
        for entry in fs::read_dir(&parts.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "tmp") {
                fs::remove_file(path)?;
            }
        }
        let mut files = VecDeque::new();
        let mut highest = parts.chain.as_ref().map_or(0, Chain::highest);
        for (number, path) in list(&parts.folder)? {
            let found = fs::metadata(&path)?;
            if let Some(chain) = parts.chain.as_mut().filter(|chain| number > chain.highest()) {
                chain.sealed(&path)?;
            }
            highest = highest.max(number);
            files.push_back(Kept { number, path, bytes: found.len(), written: found.modified()? });
        }
        let bytes = files.iter().map(|file| file.bytes).sum();
        parts.counters.set(Counter::EvidenceDiskLimit, parts.total);
        let mut store = Self { parts, files, bytes, next: highest + 1, refused: false };
        store.look(0);
        Ok(store)
    }

    /// Writes until nothing more can come.
    pub(super) fn run(mut self, finished: &Receiver<Finished>) {
        Rank::Last.take();
        let mut looked = Instant::now();
        loop {
            match finished.recv_timeout(TICK) {
                Ok(finished) => self.write(&finished),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if looked.elapsed() >= TICK {
                self.look(0);
                looked = Instant::now();
            }
        }
        self.look(0);
    }

    /// Removes what is too old, or too much once `more` bytes are added, oldest first.
    fn look(&mut self, more: u64) {
        let now = SystemTime::now();
        while let Some(oldest) = self.files.front() {
            let old = now.duration_since(oldest.written).is_ok_and(|age| age > self.parts.age);
            if !old && self.bytes + more <= self.parts.total {
                break;
            }
            let number = oldest.number;
            // Before it goes, so that nobody misses it; on a full disk it is written as soon as there is room.
            self.state(|chain| chain.removed(number, Reason::Retention));
            let Some(oldest) = self.files.pop_front() else { break };
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(file = %oldest.path.display(), %error, "evidence could not be removed");
                }
                _ => tracing::info!(file = %oldest.path.display(), "evidence removed to keep its bounds"),
            }
            self.bytes -= oldest.bytes;
            let counter = if old { Counter::EvidenceRemovedAge } else { Counter::EvidenceRemovedSize };
            self.parts.counters.add(counter, 1);
        }
        self.state(Chain::flush);
        self.parts.counters.set(Counter::EvidenceDisk, self.bytes);
    }

    /// Has something stated in the chain. What cannot be written now is tried again.
    fn state(&mut self, state: impl FnOnce(&mut Chain) -> io::Result<()>) {
        let Some(chain) = &mut self.parts.chain else { return };
        if let Err(error) = state(chain) {
            self.parts.counters.add(Counter::SealErrors, 1);
            tracing::warn!(%error, "the chain of the evidence cannot be written");
        }
    }

    fn write(&mut self, finished: &Finished) {
        let comment = finished.comment();
        let comments = std::iter::once(comment.as_bytes()).chain(finished.silent.iter().map(Vec::as_slice));
        let header = section(&self.parts.origin, comments);
        let bytes = (header.len() + finished.body.len()) as u64;
        self.look(bytes);
        let name = format!("{:08}-{}-{}.pcapng", self.next, compact_time(finished.first_alert), finished.flow_id());
        let path = self.parts.folder.join(&name);
        if let Err(error) = self.save(&path, &[&header, &finished.body]) {
            self.parts.counters.add(Counter::EvidenceLostDisk, finished.alerts);
            if !std::mem::replace(&mut self.refused, true) {
                tracing::error!(%error, "evidence cannot be written: it is lost until it can");
            }
            return;
        }
        if std::mem::take(&mut self.refused) {
            tracing::info!("evidence can be written again");
        }
        self.files.push_back(Kept { number: self.next, path: path.clone(), bytes, written: SystemTime::now() });
        (self.next, self.bytes) = (self.next + 1, self.bytes + bytes);
        self.state(|chain| chain.sealed(&path));
        let missing: Vec<_> = finished.missing.told().into_iter().map(|(name, _)| name).collect();
        let counters = &self.parts.counters;
        counters.add(Counter::EvidenceFiles, 1);
        counters.add(Counter::EvidenceIncomplete, u64::from(!missing.is_empty()));
        counters.set(Counter::EvidenceDisk, self.bytes);
        let hash = Sha256::new().chain_update(&header).chain_update(&finished.body).finalize();
        self.parts.output.report(&EvidenceTold {
            flow: finished.flow_id(),
            file: &name,
            sha256: &format!("{hash:x}"),
            bytes,
            packets: finished.packets,
            span: finished.span,
            alerts: finished.alerts,
            alerts_span: (finished.first_alert, finished.last_alert),
            missing: &missing,
        });
    }

    fn save(&self, path: &Path, parts: &[&[u8]; 2]) -> io::Result<()> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let disk = rustix::fs::statvfs(&self.parts.folder)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes + LEFT_FREE {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let unfinished = path.with_extension("pcapng.tmp");
        let written = self.save_at(&unfinished, path, parts);
        if written.is_err() {
            // Already gone when the renaming went well.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn save_at(&self, unfinished: &Path, path: &Path, parts: &[&[u8]; 2]) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o640).open(unfinished)?;
        for part in parts {
            file.write_all(part)?;
        }
        if self.parts.durable {
            file.sync_all()?;
        }
        fs::rename(unfinished, path)?;
        if self.parts.durable {
            File::open(&self.parts.folder)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventSettings;
    use crate::journal::{Journal, JournalSettings, verify};
    use crate::metrics::Metrics;

    /// A journal and its store of evidence; dropped before it is opened again.
    fn open(directory: &Path, total: u64) -> (Journal, Arc<Metrics>, Store) {
        let settings =
            JournalSettings { directory: directory.to_owned(), reserve_bytes: 0, ..JournalSettings::default() };
        let metrics = Metrics::new();
        let (journal, _) = Journal::open(&settings, &metrics).unwrap();
        let counters = Arc::clone(metrics.shared());
        let output = EvidenceOutput::new(&EventSettings::default(), Arc::clone(&counters), journal.submitter(0));
        let store = Store::open(Parts {
            folder: directory.join("evidence"),
            total,
            age: Duration::from_secs(3600),
            origin: Origin::of_this_machine(),
            chain: journal.take_evidence_chain(),
            durable: true,
            output,
            counters,
        });
        (journal, metrics, store.unwrap())
    }

    fn close(journal: Journal, store: Store) {
        drop(store);
        journal.close().unwrap();
    }

    fn finished(second: u64) -> Finished {
        let alert = Timestamp::new(1_767_323_045 + second, 0);
        Finished {
            flow: 7,
            body: vec![0; 100_000],
            first_alert: alert,
            last_alert: alert,
            span: None,
            packets: 0,
            alerts: 1,
            untold: 0,
            silent: vec![b"{}".to_vec()],
            missing: Missing::default(),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let files = list(&directory.join("evidence")).unwrap();
        files.iter().map(|(_, path)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_oldest_files_go_when_there_is_too_much_and_that_is_signed() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, metrics, mut store) = open(directory.path(), 250_000);
        (0..5).for_each(|second| store.write(&finished(second)));
        assert_eq!(names(directory.path()), ["00000004-20260102T030408-7.pcapng", "00000005-20260102T030409-7.pcapng"]);
        assert_eq!(metrics.shared().get(Counter::EvidenceRemovedSize), 3);
        let proof = verify(directory.path(), None, &[]).unwrap();
        assert_eq!(proof.evidence.faults, []);
        assert_eq!((proof.evidence.segments, proof.evidence.removed, proof.evidence.statements), (2, 3, 8));

        let file = File::options().write(true).open(&store.files[0].path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
        close(journal, store);
        let (journal, metrics, store) = open(directory.path(), 250_000);
        assert_eq!(names(directory.path()), ["00000005-20260102T030409-7.pcapng"], "one is too old");
        assert_eq!(metrics.shared().get(Counter::EvidenceRemovedAge), 1);
        close(journal, store);
        assert!(verify(directory.path(), None, &[]).unwrap().holds());
    }

    #[test]
    fn what_a_crash_left_is_removed_or_signed_and_what_a_hand_changed_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _, mut store) = open(directory.path(), 1 << 30);
        store.write(&finished(0));
        let folder = directory.path().join("evidence");
        fs::write(folder.join("00000002-20260102T030406-7.pcapng"), "renamed, and not signed yet").unwrap();
        fs::write(folder.join("00000003-20260102T030407-7.pcapng.tmp"), "half").unwrap();
        close(journal, store);
        let (journal, _, mut store) = open(directory.path(), 1 << 30);
        store.write(&finished(2));
        close(journal, store);
        let names = names(directory.path());
        assert_eq!(names.len(), 3);
        assert_eq!(names[2], "00000003-20260102T030407-7.pcapng");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "what was half is gone");
        assert!(verify(directory.path(), None, &[]).unwrap().holds());

        use std::os::unix::fs::PermissionsExt as _;
        let first = folder.join(&names[0]);
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o640);
        fs::write(&first, "changed").unwrap();
        fs::remove_file(folder.join(&names[1])).unwrap();
        let found = verify(directory.path(), None, &[]).unwrap();
        let faults: Vec<_> = found.faults().map(|fault| (fault.kind, fault.place.as_str())).collect();
        let place = |name: &str| format!("evidence/{name}");
        assert_eq!(
            faults,
            [
                (crate::journal::FaultKind::Changed, &*place(&names[0])),
                (crate::journal::FaultKind::Missing, &*place(&names[1]))
            ]
        );
    }
}
