//! Space on disk: the reserve for alerts, and what is free.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use crate::metrics::{Block, Counter};

use super::{At, Catalogue, JournalError, JournalSettings, Stream};

/// The reserve is given up in steps of this many bytes.
const STEP: u64 = 1 << 20;

/// What must be free, besides what is about to be written, before writing is tried again.
const SLACK: u64 = 1 << 20;

/// State of the disk, shared by the writers and the keeper.
#[derive(Debug)]
pub(super) struct Space {
    directory: PathBuf,
    want: u64,
    /// Bytes of the reserve that are left.
    have: AtomicU64,
    file: Mutex<File>,
    full: [AtomicBool; 2],
    /// Number of the segment being written, by stream.
    active: [AtomicU64; 2],
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) counters: Arc<Block>,
}

impl Space {
    pub(super) fn open(settings: &JournalSettings, counters: Arc<Block>) -> Result<Self, JournalError> {
        let path = settings.directory.join("reserve");
        let file = File::options().create(true).read(true).write(true).truncate(false).open(&path).at(&path)?;
        file.set_len(file.metadata().at(&path)?.len().min(settings.reserve_bytes)).at(&path)?;
        let space = Self {
            directory: settings.directory.clone(),
            want: settings.reserve_bytes,
            have: AtomicU64::new(0),
            file: Mutex::new(file),
            full: Default::default(),
            active: Default::default(),
            catalogue: Arc::default(),
            counters,
        };
        space.rebuild();
        if space.short() {
            tracing::warn!("no room on disk for the reserve of the journal");
        }
        Ok(space)
    }

    /// Is the reserve smaller than it should be?
    pub(super) fn short(&self) -> bool {
        self.have.load(Relaxed) < self.want
    }

    /// Gives up part of the reserve, for `bytes` that could not be written; false when nothing is left of it.
    pub(super) fn release(&self, bytes: u64) -> bool {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let have = self.have.load(Relaxed);
        let left = have.saturating_sub(bytes.next_multiple_of(STEP));
        if have == 0 || file.set_len(left).is_err() {
            return false;
        }
        if have == self.want {
            tracing::error!("the disk is full: alerts take the journal's reserve, records are lost");
        }
        self.set(left);
        true
    }

    /// Makes the reserve whole again if there is room.
    pub(super) fn rebuild(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let have = self.have.load(Relaxed);
        if have >= self.want || self.free() < self.want - have + SLACK {
            return;
        }
        if allocate(&file, have, self.want).is_ok() {
            self.set(self.want);
        } else {
            // Part of it may have been allocated; it is tried again from the same length.
            let _ = file.set_len(have);
        }
    }

    fn set(&self, have: u64) {
        self.have.store(have, Relaxed);
        self.counters.set(Counter::JournalReserve, have);
    }

    /// May records be tried again with `bytes` to write?
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        !self.short() && self.free() >= bytes + SLACK
    }

    /// Free bytes on the disk; 0 when it does not tell.
    pub(super) fn free(&self) -> u64 {
        statvfs(&self.directory).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Is a stream refused, or the reserve short, for want of room? An error of another kind is none of a full disk.
    pub(super) fn pressed(&self) -> bool {
        let refused = self.short() || self.full.iter().any(|full| full.load(Relaxed));
        refused && self.free() < self.want - self.have.load(Relaxed) + 4 * SLACK
    }

    pub(super) fn set_full(&self, stream: Stream, full: bool) {
        self.full[stream as usize].store(full, Relaxed);
        self.counters.set(stream.of((Counter::AlertsFull, Counter::RecordsFull)), full.into());
    }

    pub(super) fn active(&self, stream: Stream) -> u64 {
        self.active[stream as usize].load(Relaxed)
    }

    pub(super) fn set_active(&self, stream: Stream, number: u64) {
        self.active[stream as usize].store(number, Relaxed);
    }

    /// The journal's directory.
    pub(super) fn root(&self) -> &Path {
        &self.directory
    }

    pub(super) fn directory(&self, stream: Stream) -> PathBuf {
        self.directory.join(stream.name())
    }

    pub(super) fn reserved(&self) -> u64 {
        self.have.load(Relaxed)
    }
}

/// Takes the bytes from `from` to `to` on disk; by writing them where the file system cannot do it otherwise.
fn allocate(mut file: &File, from: u64, to: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), from, to - from) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        outcome => return Ok(outcome?),
    }
    io::Seek::seek(&mut file, io::SeekFrom::Start(from))?;
    let zeros = vec![0; STEP as usize];
    let mut left = to - from;
    while left > 0 {
        let step = left.min(STEP);
        file.write_all(&zeros[..step as usize])?;
        left -= step;
    }
    Ok(())
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
