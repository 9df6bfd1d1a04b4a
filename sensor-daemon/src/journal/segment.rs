//! Segment files of a stream: names, repair after a crash.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use vigia_parsers::Timestamp;

use crate::metrics::{Block, Counter};

use super::Stream;
use super::keeper::Closed;

/// Ending of plain segments.
pub(super) const PLAIN: &str = "ndjson";
/// Ending of sealed segments.
pub(super) const SEALED: &str = "ndjson.zst";

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// Its number in the stream.
    pub(super) number: u64,
    /// Compressed?
    pub(super) sealed: bool,
    /// Where it is.
    pub(super) path: PathBuf,
}

impl Segment {
    /// The segment that a path names, unless it names none.
    pub(super) fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (stem, ending) = name.split_once('.')?;
        let sealed = match ending {
            PLAIN => false,
            SEALED => true,
            _ => return None,
        };
        let number = stem.split('-').next()?.parse().ok()?;
        Some(Self { number, sealed, path })
    }

    /// Its name without the ending.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.split('.').next().unwrap_or_default().to_owned()
    }

    /// Its lines, from the first on.
    pub(super) fn read(&self) -> io::Result<Box<dyn BufRead + Send>> {
        self.read_from(0)
    }

    /// Its lines from an offset in its uncompressed bytes on.
    pub(super) fn read_from(&self, offset: u64) -> io::Result<Box<dyn BufRead + Send>> {
        let mut file = File::open(&self.path)?;
        if self.sealed {
            let mut reader = BufReader::new(zstd::Decoder::new(file)?);
            io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
            return Ok(Box::new(reader));
        }
        file.seek(SeekFrom::Start(offset.min(file.metadata()?.len())))?;
        Ok(Box::new(BufReader::new(file)))
    }
}

/// All segments of a directory by number; where a plain and a sealed file stand together, the plain one comes first.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        segments.extend(Segment::parse(entry?.path()));
    }
    segments.sort();
    Ok(segments)
}

/// Name of a new segment: number and time of its first event, so that a listing reads as a history.
pub(super) fn file_name(number: u64, first: Timestamp) -> String {
    let time = crate::event::compact_time(first);
    format!("{number:08}-{time}.{PLAIN}")
}

/// What was repaired when the journal was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Unfinished lines cut off (alerts, records).
    pub torn_lines: [u64; 2],
    /// Bytes of them.
    pub torn_bytes: [u64; 2],
}

impl Recovery {
    pub(super) fn count(&self, counters: &Block) {
        counters.add(Counter::TornAlerts, self.torn_lines[0]);
        counters.add(Counter::TornRecords, self.torn_lines[1]);
        for stream in Stream::ALL {
            let (lines, bytes) = (self.torn_lines[stream as usize], self.torn_bytes[stream as usize]);
            if lines > 0 {
                tracing::warn!(stream = stream.name(), lines, bytes, "cut off what a crash left unfinished");
            }
        }
    }
}

/// Makes a stream's directory whole again: unfinished compressions are removed, of a segment and its sealed copy the
/// sealed one stays, unfinished lines are cut off, empty segments removed. Returns the segments to be sealed, or to be stated
/// as empty, and the number of the next.
pub(super) fn repair(directory: &Path, stream: Stream, recovery: &mut Recovery) -> io::Result<(Vec<Closed>, u64)> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "tmp") {
            fs::remove_file(path)?;
        }
    }
    let segments = list(directory)?;
    let next = segments.last().map_or(1, |last| last.number + 1);
    let mut closed = Vec::new();
    for segment in &segments {
        if segment.sealed {
            continue;
        }
        let twin = segments.iter().any(|other| other.sealed && other.number == segment.number);
        let empty = !twin && cut_torn(&segment.path, stream, recovery)? == 0;
        if twin || empty {
            fs::remove_file(&segment.path)?;
        }
        if !twin {
            closed.push(Closed { stream, path: segment.path.clone(), empty });
        }
    }
    Ok((closed, next))
}

/// Cuts off what is not a whole line at the end of a file and returns the length that is left. A line that ends but does
/// not look like an event is cut off too: after loss of power a file system may show zeros where data never arrived.
fn cut_torn(path: &Path, stream: Stream, recovery: &mut Recovery) -> io::Result<u64> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut whole = length;
    loop {
        let (start, line) = last_line(&mut file, whole)?;
        if whole == 0 || is_event(&line) {
            break;
        }
        recovery.torn_lines[stream as usize] += 1;
        whole = start;
    }
    if whole < length {
        recovery.torn_bytes[stream as usize] += length - whole;
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(whole)
}

fn is_event(line: &[u8]) -> bool {
    line.starts_with(b"{") && line.ends_with(b"}\n") && !line.contains(&0)
}

/// The last line of the first `end` bytes, its end of line included, and where it begins.
fn last_line(file: &mut File, end: u64) -> io::Result<(u64, Vec<u8>)> {
    const STEP: u64 = 64 * 1024;
    let mut tail = Vec::new();
    let mut start = end;
    while start > 0 {
        let step = STEP.min(start);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; step as usize];
        file.read_exact(&mut block)?;
        // The last byte may be the end of the very line that is looked for.
        let searched = if tail.is_empty() { &block[..block.len() - 1] } else { &block[..] };
        let found = memchr::memrchr(b'\n', searched);
        block.append(&mut tail);
        tail = block;
        if let Some(at) = found {
            return Ok((start + at as u64 + 1, tail.split_off(at + 1)));
        }
    }
    Ok((0, tail))
}

/// Removes a segment.
pub(super) fn remove(path: &Path) -> io::Result<u64> {
    let length = fs::metadata(path)?.len();
    fs::remove_file(path)?;
    Ok(length)
}
