//! Numbers in the byte order of the machine that wrote the file.

/// Byte order of a file or section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }

    /// The `N` numbers of 32 bits at the beginning of `bytes`, and what follows them.
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> Option<([u32; N], &[u8])> {
        let (chunks, _) = bytes.as_chunks::<4>();
        let words = chunks.first_chunk::<N>()?.map(|word| self.u32(word));
        Some((words, bytes.get(N * 4..)?))
    }
}
