//! Lines being written: bytes at a cursor.
//!
//! A line is made of hundreds of pieces of a few bytes. Each is written as a block of a fixed size, of which only the
//! piece counts: that spares the call, and the question for room byte by byte, that appending to a vector costs.

/// Whole lines and the one being written, in a buffer with a cursor. It grows as needed, and is used again for batch after
/// batch: what stood there before is room. A line that was begun and never ended, since its writer panicked, is none.
#[derive(Debug, Default)]
pub struct Lines {
    /// Written up to `at`; what comes after is room.
    bytes: Vec<u8>,
    at: usize,
    /// Where the last whole line ends.
    whole: usize,
}

/// Room that a buffer begins with.
const ROOM: usize = 4096;

/// Longest piece that [`short`] copies.
pub(super) const SHORT: usize = 32;

impl Lines {
    /// Has room for so many bytes. What of it is never written takes no memory.
    pub fn with_room(bytes: usize) -> Self {
        Self { bytes: vec![0; bytes], ..Self::default() }
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        (self.at, self.whole) = (0, 0);
    }

    /// The whole lines.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.whole).unwrap_or_default()
    }

    /// Bytes of whole lines.
    pub fn len(&self) -> usize {
        self.whole
    }

    /// Is there no whole line?
    pub fn is_empty(&self) -> bool {
        self.whole == 0
    }

    /// Appends whole lines.
    pub fn append_lines(&mut self, lines: &[u8]) {
        self.begin_line();
        self.append(lines);
        self.whole = self.at;
    }

    /// Begins a line, behind the last that is whole.
    pub(super) fn begin_line(&mut self) {
        self.at = self.whole;
    }

    /// Ends the line.
    pub(super) fn end_line(&mut self) {
        self.push(b'\n');
        self.whole = self.at;
    }

    /// All that is written, the unfinished line included.
    pub(super) fn written(&self) -> &[u8] {
        self.bytes.get(..self.at).unwrap_or_default()
    }

    /// Bytes of memory that it takes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Lets `write` fill the first of the next `N` bytes; it returns how many, at most `N`.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) {
        loop {
            if let Some(room) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) {
                self.at += write(room);
                return;
            }
            self.grow(N);
        }
    }

    /// As [`Self::put`], where there is room already; else it writes nothing and returns false.
    #[inline(always)]
    pub(super) fn put_in_room<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) -> bool {
        let Some(room) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) else { return false };
        self.at += write(room);
        true
    }

    /// Doubles the buffer, or adds what is wanted where that is more.
    #[cold]
    fn grow(&mut self, wanted: usize) {
        let length = self.bytes.len();
        self.bytes.resize(length + length.max(wanted).max(ROOM), 0);
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

    /// Puts the end of a container, with a comma, in the place of the comma behind its last member.
    #[inline(always)]
    pub(super) fn close(&mut self, end: u8) {
        let before = self.at.saturating_sub(1);
        loop {
            if let Some([last, next, after]) = self.bytes.get_mut(before..).and_then(|rest| rest.first_chunk_mut()) {
                if *last == b',' {
                    (*last, *next) = (end, b',');
                    self.at = before + 2;
                } else {
                    (*next, *after) = (end, b',');
                    self.at = before + 3;
                }
                return;
            }
            self.grow(3);
        }
    }

    /// Takes back the byte before the cursor, if it is this one.
    #[inline(always)]
    pub(super) fn take_back(&mut self, byte: u8) {
        if let Some(before) = self.at.checked_sub(1) {
            self.at -= usize::from(self.bytes.get(before) == Some(&byte));
        }
    }
}

/// Copies at most [`SHORT`] bytes to the beginning of `room`, as two halves of a fixed size that overlap. Returns their
/// number.
#[inline(always)]
pub(super) fn short(room: &mut [u8], bytes: &[u8]) -> usize {
    match bytes.len() {
        0 => {}
        1..=3 => few(room, bytes),
        4..=7 => halves::<4>(room, bytes),
        8..=15 => halves::<8>(room, bytes),
        _ => halves::<16>(room, bytes),
    }
    bytes.len()
}

/// Copies one to three bytes: the first, the middle and the last, some of which are the same.
#[inline(always)]
fn few(room: &mut [u8], bytes: &[u8]) {
    let middle = bytes.len() / 2;
    if let (Some(first), Some(centre), Some(last)) = (bytes.first(), bytes.get(middle), bytes.last())
        && let Some(place) = room.first_chunk_mut::<4>()
    {
        let word = u32::from(*first) | u32::from(*centre) << (8 * middle) | u32::from(*last) << (8 * (bytes.len() - 1));
        *place = word.to_le_bytes();
    }
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
        let (mut lines, mut whole) = (Lines::default(), Vec::new());
        for length in (0..=80).chain([4095, 4096, 5000, 100_000]) {
            let piece: Vec<u8> = text.iter().copied().cycle().skip(length).take(length).collect();
            lines.append(&piece);
            lines.push(b'|');
            lines.fixed(b"xy");
            whole.extend_from_slice(&piece);
            whole.extend_from_slice(b"|xy");
            assert_eq!(lines.written(), whole);
        }
        lines.take_back(b'x');
        assert_eq!(lines.written(), whole, "the last byte is another");
        lines.take_back(b'y');
        assert_eq!(lines.written().last(), Some(&b'x'));
        lines.clear();
        lines.take_back(b'x');
        assert!(lines.written().is_empty());
    }

    #[test]
    fn a_line_that_was_not_ended_is_none() {
        let mut lines = Lines::default();
        lines.append_lines(b"one\n");
        lines.begin_line();
        lines.append(b"torn");
        assert_eq!(lines.as_bytes(), b"one\n");
        lines.begin_line();
        lines.append(b"two");
        lines.end_line();
        assert_eq!((lines.as_bytes(), lines.len()), (&b"one\ntwo\n"[..], 8));
    }
}
