//! Evidence: the packets of a flow before and after an alert, as a capture file.
//!
//! ```text
//! worker ─ recorder ─ blocks ─┐
//! worker ─ recorder ─ blocks ─┴─ collector: rolling buffer (zstd), evidence that is open ─ store: files, chain, events
//! ```
//!
//! A worker copies each packet into a block ([`recorder`]) and hands full blocks over; alerts stand in the same blocks, behind
//! their packets. The [`collector`] compresses them into a buffer with a bound in bytes ([`ring`]), and makes of each alert a
//! file with the packets of its flow, or adds it to the one that is open. The [`store`] writes, signs, and removes what is
//! too old.
//!
//! # Constraints
//!
//! - A worker waits for nothing: where no block is free, the one in hand is lost and counted.
//! - Evidence gives way to everything else: its threads have the lowest priority, and it leaves the disk's last bytes to alerts.
//! - What a file does not have, the file says: what had left the buffer, was lost, cut, or left to the kernel.
//! - A flow that raises alerts all the time makes a file a minute, not one an alert.
//!
//! In a replay evidence is collected in a second reading ([`marks`]), so it depends neither on the number of workers nor on
//! how they were scheduled.

mod block;
mod collector;
pub mod marks;
mod opened;
mod pcapng;
mod recorder;
mod ring;
mod store;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::bounded;

use self::block::Block;
use self::collector::Collector;
use self::opened::Limits;
use self::store::Store;
use crate::event::EvidenceOutput;
use crate::journal::Journal;
use crate::journal::chain::Chain;
use crate::metrics::{Counter, Metrics};

pub use pcapng::{Told, read};
pub use recorder::Recorder;
pub use store::list;

/// Folder of the evidence in the journal's directory.
pub const FOLDER: &str = "evidence";

/// Blocks of a worker: one that it fills, the others on their way.
const BLOCKS: usize = 9;

/// Files that may wait to be written.
const WAITING_FILES: usize = 8;

/// What is kept of packets, and for how long.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Keep the packets that were seen last, and of each alert those of its flow. A replay does so only where it is asked to
    /// (`--evidence`).
    pub enabled: bool,
    /// Bytes of memory: three quarters for the packets that were seen last, compressed, the rest for what is collected. Each
    /// worker has 3.4 MiB besides for what is on its way there.
    #[schemars(range(min = 4_194_304))]
    pub memory_bytes: u64,
    /// Seconds before an alert from which on packets of its flow are taken.
    #[schemars(range(min = 1, max = 3600))]
    pub before_s: u32,
    /// Seconds after an alert up to which packets of its flow are taken. Further alerts of the flow in that time prolong it,
    /// for a minute at the most.
    #[schemars(range(min = 1, max = 3600))]
    pub after_s: u32,
    /// Bytes of a file; half of them for what was before the alert.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub file_bytes: u32,
    /// Bytes that all files may take on disk; the oldest go first.
    #[schemars(range(min = 1_048_576))]
    pub total_bytes: u64,
    /// Days that a file is kept.
    #[schemars(range(min = 1))]
    pub keep_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            memory_bytes: 64 << 20,
            before_s: 30,
            after_s: 10,
            file_bytes: 1 << 20,
            total_bytes: 10 << 30,
            keep_days: 90,
        }
    }
}

impl Settings {
    fn limits(&self) -> Limits {
        let nanoseconds = |seconds: u32| u64::from(seconds) * 1_000_000_000;
        Limits { before: nanoseconds(self.before_s), after: nanoseconds(self.after_s), bytes: self.file_bytes as usize }
    }
}

/// Where evidence goes.
pub struct Place {
    folder: PathBuf,
    /// What signs the files, where that can be.
    chain: Option<Chain>,
    /// Else of a replay.
    live: bool,
    output: EvidenceOutput,
}

impl Place {
    /// Beside the segments of a live sensor's journal, signed as they are.
    pub fn beside(journal: &Journal, directory: &Path, output: EvidenceOutput) -> Self {
        Self { folder: folder(directory), chain: journal.take_evidence_chain(), live: true, output }
    }

    /// A folder for a replay. There workers wait, and nothing is signed or synced.
    pub fn of_replay(folder: &Path, output: EvidenceOutput) -> Self {
        Self { folder: folder.to_owned(), chain: None, live: false, output }
    }
}

/// Evidence being kept.
pub struct Evidence {
    threads: Vec<JoinHandle<()>>,
    recorders: Vec<Option<Recorder>>,
}

impl Evidence {
    /// Starts the threads, for workers that capture on these interfaces.
    pub fn start(
        settings: &Settings,
        place: Place,
        interfaces: Vec<Vec<String>>,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let Place { folder, chain, live, output } = place;
        let counters = metrics.shared();
        let store = Store::open(store::Parts {
            folder,
            total: settings.total_bytes,
            age: Duration::from_secs(u64::from(settings.keep_days) * 86_400),
            origin: if live { pcapng::Origin::of_this_machine() } else { pcapng::Origin::default() },
            chain,
            durable: live,
            output,
            counters: Arc::clone(counters),
        })?;
        let workers = interfaces.len();
        let (full, blocks) = bounded((BLOCKS + 2) * workers);
        let (finished, files) = bounded(WAITING_FILES);
        let mut recorders = Vec::new();
        let mut free = Vec::new();
        for worker in 0..workers {
            let (back, again) = bounded(BLOCKS);
            // It has a place for each.
            (1..BLOCKS).for_each(|_| drop(back.try_send(Block::new(worker))));
            let recorder = Recorder::new(Block::new(worker), again, full.clone(), !live, Arc::clone(counters));
            recorders.push(Some(recorder));
            free.push(back);
        }
        let memory = settings.memory_bytes / 4 * 3;
        counters.set(Counter::EvidenceMemoryLimit, memory);
        counters.set(Counter::EvidenceOpenBytesLimit, settings.memory_bytes - memory);
        let collector = Collector::new(collector::Parts {
            limits: settings.limits(),
            memory,
            open_bytes: settings.memory_bytes - memory,
            blocks,
            free,
            finished,
            interfaces,
            live,
            counters: Arc::clone(counters),
        });
        let threads = vec![
            Builder::new().name("evidence".to_owned()).spawn(move || collector.run())?,
            Builder::new().name("evidence-files".to_owned()).spawn(move || store.run(&files))?,
        ];
        Ok(Self { threads, recorders })
    }

    /// The recorder of a worker; each is given once.
    pub fn recorder(&mut self, worker: usize) -> Option<Recorder> {
        self.recorders.get_mut(worker)?.take()
    }

    /// Writes what is open. All workers have to be gone.
    pub fn finish(self) {
        drop(self.recorders);
        for thread in self.threads {
            // What it counted until then stands.
            let _ = thread.join();
        }
    }
}

/// The folder of the evidence of a journal.
pub fn folder(journal: &Path) -> PathBuf {
    journal.join(FOLDER)
}
