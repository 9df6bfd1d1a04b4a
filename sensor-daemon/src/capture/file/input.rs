//! The window on a file: what is read of it and not yet taken.
//!
//! A record lies whole in a block that was read, or reaches from one into the next: then its beginning, and nothing
//! else, is copied in front of what follows.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::ahead::Ahead;
use super::block::Block;
use super::reader::Reader;
use crate::capture::FileSettings;

/// Bytes of a file, uncompressed, through a window.
pub(super) struct Input {
    blocks: Blocks,
    block: Block,
    /// The beginning of a record that goes on in the next block.
    begun: Vec<u8>,
    offset: u64,
    file_size: u64,
}

/// Where blocks come from.
enum Blocks {
    /// Read when they are needed.
    Here(Reader),
    /// Read by another thread before they are.
    Ahead(Ahead),
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

    /// The same of any reader.
    pub(super) fn new(reader: Box<dyn Read + Send>, settings: &FileSettings) -> io::Result<Self> {
        let blocks = Blocks::Here(Reader::new(reader)?);
        let block = Block::new(settings.read_bytes as usize);
        Ok(Self { blocks, block, begun: Vec::new(), offset: 0, file_size: 0 })
    }

    /// What is read and not yet taken.
    pub(super) fn window(&self) -> &[u8] {
        self.block.bytes()
    }

    /// Uncompressed offset of the window in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Moves the beginning of the window on.
    pub(super) fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.window().len());
        self.block.take(bytes);
        self.offset += bytes as u64;
    }

    /// Reads until the window has `need` bytes or the file ends; returns what it has. What was read before an error
    /// stays in the window. The buffer grows to `need`, which the callers bound.
    pub(super) fn fill(&mut self, need: usize) -> io::Result<usize> {
        if self.window().len() >= need {
            return Ok(self.window().len());
        }
        self.begun.clear();
        self.begun.extend_from_slice(self.block.bytes());
        let outcome = loop {
            self.block.clear();
            match self.blocks.next(&mut self.block) {
                Ok(read) if read > 0 && self.begun.len() + read < need => {
                    self.begun.extend_from_slice(self.block.bytes());
                }
                outcome => break outcome,
            }
        };
        self.block.precede(&self.begun);
        outcome.map(|_| self.window().len())
    }

    /// Bytes read of the file as it is on disk, up to the end of the window.
    pub(super) fn file_position(&self) -> u64 {
        self.block.file_position()
    }

    /// Size of the file on disk, 0 if unknown.
    pub(super) fn file_size(&self) -> u64 {
        self.file_size
    }

    /// Takes the file for one of this size.
    #[cfg(test)]
    pub(super) fn assume_size(&mut self, bytes: u64) {
        self.file_size = bytes;
    }

    /// Has the rest of the file read by a thread of its own, if there is more of it.
    pub(super) fn read_ahead(mut self) -> Self {
        let more = self.file_size > self.file_position();
        self.blocks = match self.blocks {
            Blocks::Here(reader) if more => match Ahead::start(reader, self.block.room()) {
                Ok(ahead) => Blocks::Ahead(ahead),
                Err(reader) => Blocks::Here(reader),
            },
            blocks => blocks,
        };
        self
    }
}

impl Blocks {
    /// The next block in place of one that is done with; gives its bytes, 0 at the end.
    fn next(&mut self, block: &mut Block) -> io::Result<usize> {
        match self {
            Self::Here(reader) => block.read(reader),
            Self::Ahead(ahead) => ahead.exchange(block),
        }
    }
}
