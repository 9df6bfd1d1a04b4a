//! A piece of a file, in a buffer that is used again and again.

use std::io;

use super::reader::Reader;

/// Room in front of what is read, for the beginning of a record that ends in it. A longer beginning makes the buffer grow
/// until the block is read into again.
const HEADROOM: usize = 64 << 10;

/// What one read gave, less what was taken of it.
pub(super) struct Block {
    buffer: Vec<u8>,
    size: usize,
    start: usize,
    end: usize,
    file_position: u64,
}

impl Block {
    /// An empty one with room for `read_bytes`.
    pub(super) fn new(read_bytes: usize) -> Self {
        let size = HEADROOM + read_bytes;
        Self { buffer: vec![0; size], size, start: HEADROOM, end: HEADROOM, file_position: 0 }
    }

    /// Bytes that a read may give.
    pub(super) fn room(&self) -> usize {
        self.size - HEADROOM
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Where in the file, as it is on disk, its read ended.
    pub(super) fn file_position(&self) -> u64 {
        self.file_position
    }

    /// Takes bytes off its beginning.
    pub(super) fn take(&mut self, bytes: usize) {
        self.start += bytes.min(self.end - self.start);
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.buffer.truncate(self.size);
        self.buffer.shrink_to_fit();
        (self.start, self.end) = (HEADROOM, HEADROOM);
    }

    /// Holds what the next read gives in place of what it held; gives the number of bytes, 0 at the end.
    pub(super) fn read(&mut self, reader: &mut Reader) -> io::Result<usize> {
        self.clear();
        let read = reader.read(&mut self.buffer[HEADROOM..])?;
        self.end += read;
        self.file_position = reader.file_position();
        Ok(read)
    }

    /// Puts bytes in front of what is in it.
    pub(super) fn precede(&mut self, bytes: &[u8]) {
        if bytes.len() > self.start {
            let (held, room) = (self.end - self.start, bytes.len());
            self.buffer.resize(self.buffer.len().max(room + held), 0);
            self.buffer.copy_within(self.start..self.end, room);
            (self.start, self.end) = (room, room + held);
        }
        let end = self.start;
        self.start -= bytes.len();
        self.buffer[self.start..end].copy_from_slice(bytes);
    }
}
