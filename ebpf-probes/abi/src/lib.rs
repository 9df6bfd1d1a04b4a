//! What Vigía's kernel programs and the daemon both know: names, sizes and layouts of what they share.
//!
//! Numbers are in the machine's byte order unless said otherwise. What changes here changes the daemon and the object
//! together; both are of one build.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

/// Program of the type `tc` for the egress of a tap interface: drops everything.
pub const GUARD: &str = "guard";
/// Per-CPU array with one [`Tally`]: everything the guard dropped.
pub const GUARD_TOTAL: &str = "GUARD_TOTAL";
/// Per-CPU hash of a kind (EtherType) to its [`Tally`]. Once it is full, further kinds are in the total only.
pub const GUARD_KINDS: &str = "GUARD_KINDS";
/// Ring buffer of [`Dropped`] reports, one for the first frame of each kind.
pub const GUARD_REPORTS: &str = "GUARD_REPORTS";
/// Kinds that are counted apart.
pub const GUARD_KINDS_MAX: u32 = 256;

/// Program of the type socket filter for `PACKET_FANOUT_EBPF`: a hash that is the same for both directions of a flow.
pub const FANOUT: &str = "fanout";

pub mod tap;

/// Frames and their bytes.
pub type Tally = [u64; 2];

/// Bytes of a frame that a report holds.
pub const REPORT_FRAME_BYTES: usize = 64;

/// The first frame of a kind that the guard dropped.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Number of the cgroup (version 2) whose process owned the socket; 0 when it came from no socket.
    pub cgroup: u64,
    /// Number of the interface.
    pub interface: u32,
    /// EtherType; below 0x0600 the kernel's number of a frame without one (`ETH_P_802_2` and the like).
    pub kind: u32,
    /// Bytes of the frame.
    pub length: u32,
    /// User that owned the socket; the kernel's overflow user (65534) when it came from no socket.
    pub user: u32,
    /// How the frame begins; zeros beyond its end.
    pub frame: [u8; REPORT_FRAME_BYTES],
}

const _: () = assert!(size_of::<Dropped>() == 88 && align_of::<Dropped>() == 8);

impl Dropped {
    /// Reads a report as it lies in the ring buffer; `None` if the length is another.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, frame) = bytes.split_first_chunk::<24>()?;
        let word = |at: usize| Some(u32::from_ne_bytes(*head.get(at..)?.first_chunk()?));
        Some(Self {
            cgroup: u64::from_ne_bytes(*head.first_chunk()?),
            interface: word(8)?,
            kind: word(12)?,
            length: word(16)?,
            user: word(20)?,
            frame: frame.try_into().ok()?,
        })
    }
}

/// Headers that are followed before a program takes what it has.
pub const HEADERS_MAX: u32 = 12;

/// Spreads the bits of a number over all of it: neighbouring addresses give unrelated numbers.
#[inline(always)]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^ (value >> 32)
}

/// The hash of a flow from the mixed ends: their sum, so that the order does not matter.
#[inline(always)]
pub const fn meet(one: u64, other: u64) -> u32 {
    (mix(one.wrapping_add(other)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_lies_in_memory() {
        let mut bytes = [0_u8; 88];
        bytes[..8].copy_from_slice(&7_u64.to_ne_bytes());
        for (index, word) in [3_u32, 0x0806, 42, 1000].iter().enumerate() {
            bytes[8 + 4 * index..12 + 4 * index].copy_from_slice(&word.to_ne_bytes());
        }
        bytes[24..].fill(0xff);
        let report = Dropped::from_bytes(&bytes).unwrap();
        let expected = Dropped {
            cgroup: 7,
            interface: 3,
            kind: 0x0806,
            length: 42,
            user: 1000,
            frame: [0xff; REPORT_FRAME_BYTES],
        };
        assert_eq!(report, expected);
        assert_eq!(Dropped::from_bytes(&bytes[..87]), None);
    }
}
