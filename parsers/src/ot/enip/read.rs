//! Little-endian numbers, as all of EtherNet/IP and CIP has them.

/// The octet at `at`.
pub(super) fn octet(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// The UINT at `at`.
pub(super) fn uint(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The UDINT at `at`.
pub(super) fn udint(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The SHORT_STRING at `at`: a length octet, then the characters.
pub(super) fn short_string(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(octet(bytes, at)?);
    bytes.get(at + 1..)?.get(..length)
}
