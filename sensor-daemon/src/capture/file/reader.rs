//! The bytes of a file, uncompressed, as they are read one after the other.

use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file behind the decompressor that its first bytes ask for.
pub(super) struct Reader {
    uncompressed: Box<dyn Read + Send>,
    file_position: Arc<AtomicU64>,
}

impl Reader {
    /// Takes off the compression that the first bytes show.
    pub(super) fn new(file: Box<dyn Read + Send>) -> io::Result<Self> {
        let file_position = Arc::new(AtomicU64::new(0));
        let mut file = Counting { file, bytes: Arc::clone(&file_position) };
        let mut magic = Vec::with_capacity(4);
        file.by_ref().take(4).read_to_end(&mut magic)?;
        let compression = Compression::of(&magic);
        let file = Cursor::new(magic).chain(file);
        let uncompressed: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
        };
        Ok(Self { uncompressed, file_position })
    }

    /// Reads once; 0 bytes at the end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.uncompressed.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Bytes read of the file as it is on disk.
    pub(super) fn file_position(&self) -> u64 {
        self.file_position.load(Ordering::Relaxed)
    }
}

/// Counts what is read, under the decompressor.
struct Counting<R> {
    file: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
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
