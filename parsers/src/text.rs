//! Text put together without the heap.

use std::fmt;

/// A line of at most `N` bytes. What goes beyond is cut at a character.
#[derive(Clone, Copy)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    /// What `text` formats to.
    pub fn of(text: fmt::Arguments<'_>) -> Self {
        let mut line = Self { bytes: [0; N], length: 0 };
        // Full is not a failure: the text is cut.
        let _ = fmt::Write::write_fmt(&mut line, text);
        line
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes.get(..self.length).unwrap_or_default()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = N - self.length;
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (taken, left) = text.split_at(end);
        if let Some(place) = self.bytes.get_mut(self.length..self.length + end) {
            place.copy_from_slice(taken.as_bytes());
            self.length += end;
        }
        if left.is_empty() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Text from the wire, of which the parts that are no UTF-8 are left out.
#[derive(Debug, Clone, Copy)]
pub struct Utf8<'a>(pub &'a [u8]);

impl fmt::Display for Utf8<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.utf8_chunks().try_for_each(|chunk| f.write_str(chunk.valid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf8_is_left_out() {
        assert_eq!(Utf8(b"Pump\xff1").to_string(), "Pump1");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let long = "ñ".repeat(200);
        assert_eq!(Line::<256>::of(format_args!("x{long}")).as_str(), format!("x{}", "ñ".repeat(127)));
    }
}
