//! What MQTT packets are made of (MQTT 5.0 §1.5).

/// Bytes being read from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    pub(super) fn long(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    /// A UTF-8 string or binary data: two octets of length, then as many.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.word()?;
        self.take(length.into())
    }

    /// A variable byte integer (§1.5.5).
    pub(super) fn variable(&mut self) -> Option<u32> {
        match variable(self.rest) {
            Variable::Is { value, length, .. } => {
                self.take(length)?;
                Some(value)
            }
            _ => None,
        }
    }
}

/// A variable byte integer at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Is {
        value: u32,
        length: usize,
        /// Written with as few octets as it needs.
        minimal: bool,
    },
    /// It does not end here.
    Unfinished,
    /// It goes on after four octets.
    TooLong,
}

pub(super) fn variable(bytes: &[u8]) -> Variable {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Variable::Is { value, length: at + 1, minimal: at == 0 || *byte != 0 };
        }
    }
    if bytes.len() < 4 { Variable::Unfinished } else { Variable::TooLong }
}
