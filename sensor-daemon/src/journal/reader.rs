//! Reading a stream from a saved position, sealed segments included.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::Stream;
use super::segment::{self, Segment};

/// A position in a stream: between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Deserialize, serde::Serialize)]
pub struct Cursor {
    /// Number of the segment; 0 is before the first.
    pub segment: u64,
    /// Offset in the segment's uncompressed bytes.
    pub offset: u64,
}

/// Reads the events of a stream in order, while it is written. It never blocks: at the end it says so, and may be asked
/// again later.
pub struct Reader {
    directory: PathBuf,
    cursor: Cursor,
    open: Option<Box<dyn BufRead + Send>>,
    /// Beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    skipped: u64,
}

impl Reader {
    /// A reader of a stream of the journal in `journal`, from `cursor` on; [`Cursor::default`] is the oldest event there is.
    pub fn open(journal: &Path, stream: Stream, cursor: Cursor) -> Self {
        Self { directory: journal.join(stream.name()), cursor, open: None, partial: Vec::new(), skipped: 0 }
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
            let Some(next) = self.first_from(self.cursor.segment + 1)? else { return Ok(false) };
            // Before the next one was there, more may have come into this one.
            if self.read_line()? {
                return Ok(self.take(line));
            }
            self.partial.clear();
            self.skipped += next.number - self.cursor.segment - 1;
            self.cursor = Cursor { segment: next.number, offset: 0 };
            self.open = None;
        }
    }

    fn take(&mut self, line: &mut Vec<u8>) -> bool {
        line.clear();
        line.append(&mut self.partial);
        self.cursor.offset += line.len() as u64;
        line.pop();
        true
    }

    /// The position after the event returned last.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Segments that had been removed before they were read.
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
            self.cursor = Cursor { segment: segment.number, offset: 0 };
        }
        let file = match File::open(&segment.path) {
            Ok(file) => file,
            // Sealed or removed since it was listed: the next call finds what became of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut reader: Box<dyn BufRead + Send> = match segment.sealed {
            true => Box::new(BufReader::new(zstd::Decoder::new(file)?)),
            false => Box::new(BufReader::new(file)),
        };
        io::copy(&mut reader.by_ref().take(self.cursor.offset), &mut io::sink())?;
        self.partial.clear();
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
