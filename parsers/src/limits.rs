//! What a dissector may keep of one flow, what it does keep, and which bound bit.

use crate::ot::iec104::Sizes;

/// Bounds of what one flow's dissector keeps between messages, the same for every protocol. A dissector that reaches one
/// gives up the oldest of what it keeps, and says so by [`crate::Sink::bounded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests that wait for their answers.
    pub requests: u16,
    /// Bytes kept of these requests, all together.
    pub request_bytes: u32,
    /// Bytes of messages that are being joined from several frames or segments, all together.
    pub joined_bytes: u32,
    /// What no message tells for sure, but who runs the plant knows: the sizes of the fields of IEC 104 in this flow. `None`
    /// to find them.
    pub iec104_sizes: Option<Sizes>,
}

impl Limits {
    /// What nearly every device keeps to.
    pub const DEFAULT: Self =
        Self { requests: 32, request_bytes: 16 << 10, joined_bytes: 128 << 10, iec104_sizes: None };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One of [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// [`Limits::requests`].
    Requests,
    /// [`Limits::request_bytes`].
    RequestBytes,
    /// [`Limits::joined_bytes`].
    JoinedBytes,
    /// [`crate::Protocol::longest_message`]: the end of a message was passed over.
    MessageBytes,
}

/// What is kept of a flow at a moment; each part has its bound in [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Requests that wait for their answers.
    pub requests: u32,
    /// Bytes of these requests.
    pub request_bytes: u32,
    /// Bytes of messages being joined.
    pub joined_bytes: u32,
}
