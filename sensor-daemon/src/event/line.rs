//! The line being written: bytes at a cursor.
//!
//! A line is made of hundreds of pieces of a few bytes. Each is written as a block of a fixed size, of which only the
//! piece counts: that spares the call, and the question for room byte by byte, that appending to a vector costs.

/// A buffer with a cursor; it grows as needed and is used again for line after line.
#[derive(Debug, Default)]
pub struct Line {
    /// Written up to `at`; what comes after is room.
    bytes: Vec<u8>,
    at: usize,
}

/// Room that a line begins with, and grows by.
const ROOM: usize = 4096;

/// Longest piece that [`short`] copies.
pub(super) const SHORT: usize = 32;

impl Line {
    /// Begins anew.
    pub fn clear(&mut self) {
        self.at = 0;
    }

    /// What is written.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.at).unwrap_or_default()
    }

    /// Lets `write` fill the first of the next `N` bytes; it returns how many.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) {
        loop {
            if let Some(room) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) {
                self.at += write(room).min(N);
                return;
            }
            self.grow(N);
        }
    }

    #[cold]
    fn grow(&mut self, wanted: usize) {
        self.bytes.resize(self.bytes.len() + wanted.max(ROOM), 0);
    }

    /// Appends one byte.
    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        self.fixed(&[byte]);
    }

    /// Appends bytes whose number is known when the program is built.
    #[inline(always)]
    pub(super) fn fixed<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.put::<N>(|room| {
            *room = *bytes;
            N
        });
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.len() <= SHORT {
            return self.put::<SHORT>(|room| short(room, bytes));
        }
        while self.bytes.len() - self.at < bytes.len() {
            self.grow(bytes.len());
        }
        if let Some(room) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            room.copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }

    /// The byte before the cursor.
    #[inline]
    pub(super) fn last(&self) -> Option<u8> {
        self.at.checked_sub(1).and_then(|last| self.bytes.get(last).copied())
    }

    /// Takes back the byte before the cursor.
    #[inline]
    pub(super) fn pop(&mut self) {
        self.at = self.at.saturating_sub(1);
    }
}

/// Copies at most [`SHORT`] bytes to the beginning of `room`, as two halves of a fixed size that overlap. Returns their
/// number.
#[inline(always)]
pub(super) fn short(room: &mut [u8], bytes: &[u8]) -> usize {
    match bytes.len() {
        0 => {}
        1..=3 => room.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte),
        4..=7 => halves::<4>(room, bytes),
        8..=15 => halves::<8>(room, bytes),
        _ => halves::<16>(room, bytes),
    }
    bytes.len()
}

#[inline(always)]
fn halves<const N: usize>(room: &mut [u8], bytes: &[u8]) {
    let Some((first, last)) = bytes.first_chunk::<N>().zip(bytes.last_chunk::<N>()) else { return };
    if let Some(place) = room.first_chunk_mut::<N>() {
        *place = *first;
    }
    if let Some(place) = room.get_mut(bytes.len() - N..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = *last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length_are_appended_whole() {
        let text: Vec<u8> = (0..=255).collect();
        let (mut line, mut whole) = (Line::default(), Vec::new());
        for length in (0..=80).chain([4095, 4096, 5000]) {
            let piece: Vec<u8> = text.iter().copied().cycle().skip(length).take(length).collect();
            line.append(&piece);
            line.push(b'|');
            line.fixed(b"xy");
            whole.extend_from_slice(&piece);
            whole.extend_from_slice(b"|xy");
            assert_eq!(line.as_bytes(), whole);
        }
        line.pop();
        assert_eq!(line.last(), Some(b'x'));
        line.clear();
        line.pop();
        assert_eq!((line.as_bytes(), line.last()), (&b""[..], None));
    }
}
