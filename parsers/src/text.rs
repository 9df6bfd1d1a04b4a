//! Text put together without the heap.

use std::fmt;

/// A line of at most `N` bytes. What goes beyond is cut at a character.
#[derive(Clone, Copy)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    /// An empty line.
    pub const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    /// What `text` formats to.
    pub fn of(text: fmt::Arguments<'_>) -> Self {
        let mut line = Self::new();
        // Full is not a failure: the text is cut.
        let _ = fmt::Write::write_fmt(&mut line, text);
        line
    }

    /// Adds text. With [`Line::number`] this is several times as fast as formatting.
    #[inline]
    pub fn add(&mut self, text: &str) -> &mut Self {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text.as_bytes());
            self.length += text.len();
        } else {
            // Full is not a failure: the text is cut.
            let _ = fmt::Write::write_str(self, text);
        }
        self
    }

    /// Adds a number with as many digits as it has.
    #[inline]
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let number = number.into();
        // Most are of one digit.
        if let (0..=9, Some(place)) = (number, self.bytes.get_mut(self.length)) {
            *place = b'0' + number as u8;
            self.length += 1;
            return self;
        }
        self.add(itoa::Buffer::new().format(number))
    }

    /// Adds a name in capital letters.
    pub fn capitals(&mut self, name: &str) -> &mut Self {
        let from = self.length;
        self.add(name);
        self.bytes.get_mut(from..self.length).unwrap_or_default().make_ascii_uppercase();
        self
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Self {
        Self::new()
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
    fn text_is_put_together_piece_by_piece() {
        let mut line = Line::<12>::new();
        line.add("DB").number(17u8).add(".").capitals("dbx").number(0u64);
        assert_eq!(line.as_str(), "DB17.DBX0");
        assert_eq!(line.add("12345").as_str(), "DB17.DBX0123");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let long = "ñ".repeat(200);
        assert_eq!(Line::<256>::of(format_args!("x{long}")).as_str(), format!("x{}", "ñ".repeat(127)));
    }
}
