//! Reading a stream from a saved position, sealed segments included.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::segment::{self, Segment};
use super::{Stream, identity_of};

/// A position in a stream: between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Deserialize, serde::Serialize)]
pub struct Cursor {
    /// Number of the segment; 0 is before the first.
    pub segment: u64,
    /// Offset in the segment's uncompressed bytes.
    pub offset: u64,
    /// Events of the segment before it.
    pub event: u64,
}

impl Cursor {
    const fn beginning(segment: u64) -> Self {
        Self { segment, offset: 0, event: 0 }
    }
}

/// The event with an id, as its line without the end; none where the journal does not have it, or not any more.
pub fn event_of(journal: &Path, id: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(identity) = identity_of(journal)? else { return Ok(None) };
    let place = id.strip_prefix(&identity).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| {
        let (stream, rest) = rest.split_once('-')?;
        let (segment, offset) = rest.rsplit_once('-')?;
        let stream = Stream::ALL.into_iter().find(|one| one.letter().to_string() == stream)?;
        let segment = segment.split('-').next()?.parse().ok()?;
        Some((stream, Cursor { segment, offset: offset.parse().ok()?, event: 0 }))
    });
    let Some((stream, cursor)) = place else { return Ok(None) };
    let mut reader = Reader::open(journal, stream, cursor);
    let mut line = Vec::new();
    Ok((reader.next(&mut line)? && reader.event_id(&identity) == id).then_some(line))
}

/// Reads the events of a stream in order, while it is written. It never blocks: at the end it says so, and may be asked
/// again later.
pub struct Reader {
    stream: Stream,
    directory: PathBuf,
    cursor: Cursor,
    /// Where the event returned last begins.
    last: Cursor,
    /// Name of the open segment without its ending: the same before and after it is sealed.
    name: String,
    open: Option<Box<dyn BufRead + Send>>,
    /// Beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    skipped: u64,
}

impl Reader {
    /// A reader of a stream of the journal in `journal`, from `cursor` on; [`Cursor::default`] is the oldest event there is.
    pub fn open(journal: &Path, stream: Stream, cursor: Cursor) -> Self {
        let directory = journal.join(stream.name());
        Self {
            stream,
            directory,
            cursor,
            last: cursor,
            name: String::new(),
            open: None,
            partial: Vec::new(),
            skipped: 0,
        }
    }

    /// Puts the next event into `line`, without its end of line; false when there is none yet.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if self.open.is_none() && !self.open_current()? {
                return Ok(false);
            }
            if self.read_line()? {
                return Ok(self.take(line));
            }
            let Some(next) = self.first_from(self.cursor.segment + 1)? else {
                // An unfinished line may be taken back (on a full disk): it is read anew from its beginning.
                if !self.partial.is_empty() {
                    self.open = None;
                }
                return Ok(false);
            };
            // Before the next one was there, more may have come into this one.
            if self.read_line()? {
                return Ok(self.take(line));
            }
            self.partial.clear();
            self.skipped += next.number - self.cursor.segment - 1;
            self.cursor = Cursor::beginning(next.number);
            self.open = None;
        }
    }

    fn take(&mut self, line: &mut Vec<u8>) -> bool {
        line.clear();
        line.append(&mut self.partial);
        self.last = self.cursor;
        self.cursor.offset += line.len() as u64;
        self.cursor.event += 1;
        line.pop();
        true
    }

    /// The position after the event returned last.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Where the event returned last begins.
    pub fn last(&self) -> Cursor {
        self.last
    }

    /// Name of the segment of the event returned last, the same before and after it is sealed.
    pub fn segment_name(&self) -> &str {
        &self.name
    }

    /// The id of the event returned last: its place in the journal of this identity. It is the same whenever it is read,
    /// before and after its segment is sealed.
    pub fn event_id(&self, identity: &str) -> String {
        let stream = self.stream.letter();
        format!("{identity}-{stream}-{}-{}", self.name, self.last.offset)
    }

    /// Gives up the rest of the segment, which cannot be read.
    pub fn give_up_segment(&mut self) {
        self.cursor = Cursor::beginning(self.cursor.segment + 1);
        self.skipped += 1;
        self.open = None;
    }

    /// Segments that had been removed, or were given up, before they were read.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads on until the end of a line; false when the file ends before.
    fn read_line(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.open else { return Ok(false) };
        file.read_until(b'\n', &mut self.partial)?;
        Ok(self.partial.ends_with(b"\n"))
    }

    /// Opens the segment of the cursor, or the first one after it.
    fn open_current(&mut self) -> io::Result<bool> {
        let Some(segment) = self.first_from(self.cursor.segment)? else { return Ok(false) };
        if segment.number > self.cursor.segment {
            if self.cursor.segment > 0 {
                self.skipped += segment.number - self.cursor.segment;
            }
            self.cursor = Cursor::beginning(segment.number);
        }
        let reader = match segment.read_from(self.cursor.offset) {
            Ok(reader) => reader,
            // Sealed or removed since it was listed: the next call finds what became of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        self.partial.clear();
        self.name = segment.name();
        self.open = Some(reader);
        Ok(true)
    }

    fn first_from(&self, number: u64) -> io::Result<Option<Segment>> {
        match segment::list(&self.directory) {
            Ok(segments) => Ok(segments.into_iter().find(|segment| segment.number >= number)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
