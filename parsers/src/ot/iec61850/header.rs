//! What GOOSE and Sampled Values begin with on the link layer (IEC 61850-8-1 annex C, IEC 61850-9-2 §5.3.3).

/// Octets before the APDU.
pub(super) const LENGTH: usize = 8;

/// The header of a frame, and the APDU behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// Application identifier: GOOSE 0x0000 to 0x3FFF, Sampled Values 0x4000 to 0x7FFF.
    pub(super) app_id: u16,
    /// Octets of header and APDU, as the sender says.
    pub(super) length: u16,
    /// The S bit: the message comes from a test set.
    pub(super) simulated: bool,
    /// The APDU, without padding.
    pub(super) apdu: &'a [u8],
    /// The sender announced more than the frame holds.
    pub(super) short: bool,
}

impl<'a> Header<'a> {
    /// Reads it; `None` when the frame is shorter than the header.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let &[a, b, c, d, reserved, ..] = frame.first_chunk::<LENGTH>()?;
        let length = u16::from_be_bytes([c, d]);
        let end = usize::from(length).clamp(LENGTH, frame.len());
        Some(Self {
            app_id: u16::from_be_bytes([a, b]),
            length,
            simulated: reserved & 0x80 != 0,
            apdu: frame.get(LENGTH..end).unwrap_or_default(),
            short: usize::from(length) > frame.len(),
        })
    }

    /// The length is less than the header's own.
    pub(super) fn length_is_impossible(&self) -> bool {
        usize::from(self.length) < LENGTH
    }
}
