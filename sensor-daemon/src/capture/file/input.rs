//! The window on a file: a large buffer, read ahead, moved only when a record reaches over its end.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::capture::FileSettings;

/// Bytes of a file, uncompressed, through a window.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    file_position: Arc<AtomicU64>,
    file_size: u64,
}

impl Input {
    /// Opens a file.
    pub(super) fn open(path: &Path, settings: &FileSettings) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let mut input = Self::new(Box::new(file), settings)?;
        input.file_size = metadata.len();
        Ok(input)
    }

    /// Takes off the compression that the first bytes show.
    pub(super) fn new(reader: Box<dyn Read + Send>, settings: &FileSettings) -> io::Result<Self> {
        let file_position = Arc::new(AtomicU64::new(0));
        let mut reader = Counting { reader, bytes: Arc::clone(&file_position) };
        let mut magic = Vec::with_capacity(4);
        reader.by_ref().take(4).read_to_end(&mut magic)?;
        let compression = Compression::of(&magic);
        let reader = Cursor::new(magic).chain(reader);
        let reader: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(reader),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
        };
        let buffer = vec![0; settings.read_bytes as usize];
        Ok(Self { reader, buffer, start: 0, end: 0, offset: 0, file_position, file_size: 0 })
    }

    /// What is read and not yet taken.
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Uncompressed offset of the window in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Moves the beginning of the window on.
    pub(super) fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Reads until the window has `need` bytes or the file ends; returns what it has. What was read before an error
    /// stays in the window. The buffer grows to `need`, which the callers bound.
    pub(super) fn fill(&mut self, need: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < need {
            self.buffer.resize(need, 0);
        }
        while self.end < need {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end)
    }

    /// Bytes read of the file as it is on disk.
    pub(super) fn file_position(&self) -> u64 {
        self.file_position.load(Ordering::Relaxed)
    }

    /// Size of the file on disk, 0 if unknown.
    pub(super) fn file_size(&self) -> u64 {
        self.file_size
    }
}

/// Counts what is read, under the decompressor.
struct Counting<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A zstd frame (RFC 8878, 3.1.1), or a skippable one (3.1.2), which parallel compressors put first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }
}
