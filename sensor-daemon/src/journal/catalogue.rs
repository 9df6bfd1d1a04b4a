//! How much each segment holds, so that a consumer can be told how far behind it is.
//!
//! The writers tell what they append. Segments of earlier runs are counted once, by reading them, and only where a
//! consumer has them still before it. What was removed stays known for a while: a consumer that had not read it is told
//! how much it missed.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::ops::Bound::{Excluded, Unbounded};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::segment::{self, Segment};
use super::{Cursor, Stream};

/// Removed segments of a stream that are remembered.
const REMOVED: usize = 4096;

/// Events and their bytes, uncompressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Events.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

impl Extent {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
    }

    /// What is left of it after `cursor`, a position in the same segment.
    fn after(self, cursor: Cursor) -> Self {
        Self { events: self.events.saturating_sub(cursor.event), bytes: self.bytes.saturating_sub(cursor.offset) }
    }
}

#[derive(Debug, Default)]
struct Entries {
    /// The first segment that this process writes.
    own: u64,
    there: BTreeMap<u64, Extent>,
    removed: BTreeMap<u64, Extent>,
}

/// What the segments of a journal hold.
#[derive(Debug, Default)]
pub struct Catalogue([Mutex<Entries>; 2]);

impl Catalogue {
    fn entries(&self, stream: Stream) -> MutexGuard<'_, Entries> {
        self.0[stream as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines were appended to a segment.
    pub(super) fn wrote(&self, stream: Stream, number: u64, extent: Extent) {
        self.entries(stream).there.entry(number).or_default().add(extent);
    }

    /// A segment was removed to make room.
    pub(super) fn removed(&self, stream: Stream, number: u64) {
        let mut entries = self.entries(stream);
        let Some(extent) = entries.there.remove(&number) else { return };
        entries.removed.insert(number, extent);
        if entries.removed.len() > REMOVED {
            entries.removed.pop_first();
        }
    }

    /// What the journal holds after `cursor`, as far as it was counted.
    pub fn ahead(&self, stream: Stream, cursor: Cursor) -> Extent {
        Self::sum_after(&self.entries(stream).there, cursor, u64::MAX)
    }

    /// What there is or was between `cursor` and the segment `next`, as far as it was counted: what a consumer missed that
    /// went on there.
    pub fn missed(&self, stream: Stream, cursor: Cursor, next: u64) -> Extent {
        let entries = self.entries(stream);
        let mut missed = Self::sum_after(&entries.removed, cursor, next);
        missed.add(Self::sum_after(&entries.there, cursor, next));
        missed
    }

    fn sum_after(segments: &BTreeMap<u64, Extent>, cursor: Cursor, end: u64) -> Extent {
        let first = segments.get(&cursor.segment).filter(|_| cursor.segment < end);
        let mut sum = first.map(|extent| extent.after(cursor)).unwrap_or_default();
        let later = segments.range((Excluded(cursor.segment), Unbounded)).take_while(|(number, _)| **number < end);
        later.for_each(|(_, extent)| sum.add(*extent));
        sum
    }

    /// Segments of a stream from this number on are written by this process.
    pub(super) fn begin(&self, stream: Stream, number: u64) {
        self.entries(stream).own = number;
    }

    /// Counts what the segments of earlier runs hold, from the one of `from` on. Reads them all.
    pub fn count(&self, journal: &Path, stream: Stream, from: Cursor) -> io::Result<()> {
        let directory = journal.join(stream.name());
        let own = self.entries(stream).own;
        for segment in segment::list(&directory)? {
            let known = self.entries(stream).there.contains_key(&segment.number);
            if known || !(from.segment..own).contains(&segment.number) {
                continue;
            }
            let Ok(extent) = segment.read().or_else(|_| sealed(&segment).read()).and_then(extent_of) else { continue };
            self.entries(stream).there.insert(segment.number, extent);
            // The keeper removes a file first and tells of it then: so whoever comes last finds that it is gone.
            if !segment.path.exists() && !sealed(&segment).path.exists() {
                self.removed(stream, segment.number);
            }
        }
        Ok(())
    }
}

/// The same segment after it was sealed.
fn sealed(segment: &Segment) -> Segment {
    let path = segment.path.with_file_name(format!("{}.{}", segment.name(), segment::SEALED));
    Segment { sealed: true, path, ..segment.clone() }
}

fn extent_of(mut reader: Box<dyn BufRead + Send>) -> io::Result<Extent> {
    let mut extent = Extent::default();
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok(extent);
        }
        let length = block.len();
        extent.add(Extent { events: memchr::memchr_iter(b'\n', block).count() as u64, bytes: length as u64 });
        reader.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream::Alerts;

    fn extent(events: u64, bytes: u64) -> Extent {
        Extent { events, bytes }
    }

    #[test]
    fn what_is_ahead_is_told_from_any_position() {
        let catalogue = Catalogue::default();
        catalogue.wrote(STREAM, 1, extent(10, 1000));
        catalogue.wrote(STREAM, 2, extent(5, 500));
        catalogue.wrote(STREAM, 2, extent(1, 100));
        assert_eq!(catalogue.ahead(STREAM, Cursor::default()), extent(16, 1600));
        assert_eq!(catalogue.ahead(STREAM, Cursor { segment: 1, offset: 400, event: 4 }), extent(12, 1200));
        assert_eq!(catalogue.ahead(STREAM, Cursor { segment: 2, offset: 600, event: 6 }), extent(0, 0));
        assert_eq!(catalogue.ahead(Stream::Records, Cursor::default()), extent(0, 0));
    }

    #[test]
    fn what_was_removed_before_it_was_read_is_told() {
        let catalogue = Catalogue::default();
        (1..=3).for_each(|number| catalogue.wrote(STREAM, number, extent(10, 1000)));
        (1..=2).for_each(|number| catalogue.removed(STREAM, number));
        assert_eq!(catalogue.ahead(STREAM, Cursor::default()), extent(10, 1000));
        assert_eq!(catalogue.missed(STREAM, Cursor { segment: 1, offset: 700, event: 7 }, 3), extent(13, 1300));
        assert_eq!(catalogue.missed(STREAM, Cursor { segment: 3, offset: 0, event: 0 }, 3), extent(0, 0));
    }

    #[test]
    fn segments_of_earlier_runs_are_counted_sealed_or_not() {
        let journal = tempfile::tempdir().unwrap();
        let folder = journal.path().join(STREAM.name());
        std::fs::create_dir(&folder).unwrap();
        let plain = b"{\"a\":1}\n{\"a\":2}\n".as_slice();
        let sealed = zstd::encode_all(plain, 3).unwrap();
        std::fs::write(folder.join("00000001-20260102T030405.ndjson.zst"), sealed).unwrap();
        std::fs::write(folder.join("00000002-20260102T030405.ndjson"), plain).unwrap();
        std::fs::write(folder.join("00000003-20260102T030405.ndjson"), plain).unwrap();
        let catalogue = Catalogue::default();
        catalogue.begin(STREAM, 3);
        catalogue.count(journal.path(), STREAM, Cursor::default()).unwrap();
        assert_eq!(catalogue.ahead(STREAM, Cursor::default()), extent(4, 32));
        assert_eq!(catalogue.ahead(STREAM, Cursor { segment: 1, offset: 8, event: 1 }), extent(3, 24));
    }
}
