//! The memory of a receive queue: equal chunks, each with a frame or free for one.
//!
//! A chunk is ours from the moment its descriptor stands in a receive ring until it is pushed to the fill ring; then it is
//! the kernel's.

use std::io;
use std::ptr::NonNull;

use vigia_probes_abi::tap::{ARRIVAL_MARK, Arrival};

use crate::capture::system::Mapping;

/// Bytes that the kernel keeps before a frame (XDP_PACKET_HEADROOM), where what the program says of it stands.
pub(super) const HEADROOM: u32 = 256;

/// Bytes of what the program in the kernel says of a frame, right before it.
const ARRIVAL_BYTES: usize = size_of::<Arrival>();

/// Chunks of memory shared with the kernel.
pub(super) struct Umem {
    mapping: Mapping,
    chunk_bytes: u32,
    chunks: u32,
}

impl Umem {
    /// Memory for so many frames. `chunk_bytes` is a power of two of at least 2048.
    pub(super) fn new(chunk_bytes: u32, chunks: u32) -> io::Result<Self> {
        let length = chunk_bytes as usize * chunks as usize;
        Ok(Self { mapping: Mapping::anonymous(length)?, chunk_bytes, chunks })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    pub(super) fn length(&self) -> usize {
        self.mapping.length()
    }

    pub(super) fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// The addresses of all chunks.
    pub(super) fn chunks(&self) -> impl Iterator<Item = u64> {
        let bytes = u64::from(self.chunk_bytes);
        (0..u64::from(self.chunks)).map(move |chunk| chunk * bytes)
    }

    /// The address of the chunk that an address lies in.
    pub(super) fn chunk_of(&self, address: u64) -> u64 {
        address & !(u64::from(self.chunk_bytes) - 1)
    }

    /// The frame that a descriptor tells of, and when it arrived by the monotonic clock in nanoseconds, where the program in
    /// the kernel could say so. `None` when the descriptor does not make sense.
    ///
    /// # Safety
    /// The chunk is the caller's, by a descriptor from a receive ring, as long as the borrow lives.
    pub(super) unsafe fn frame(&self, descriptor: &libc::xdp_desc) -> Option<(&[u8], Option<u64>)> {
        let chunk = self.chunk_of(descriptor.addr);
        let end = descriptor.addr.checked_add(u64::from(descriptor.len))?;
        if end > self.length() as u64 || end > chunk + u64::from(self.chunk_bytes) {
            return None;
        }
        let start = descriptor.addr as usize;
        let before = (descriptor.addr - chunk) as usize;
        let arrival = (before >= ARRIVAL_BYTES).then(|| {
            // SAFETY: the bytes lie in the caller's own chunk, before the frame.
            unsafe { self.take_arrival(start - ARRIVAL_BYTES) }
        });
        // SAFETY: within the mapping (checked above), and the caller's own as long as the borrow lives.
        let frame = unsafe { std::slice::from_raw_parts(self.base().as_ptr().add(start), descriptor.len as usize) };
        Some((frame, arrival.flatten()))
    }

    /// Reads what the program wrote there, and takes it away: what stays would be taken for the next frame's.
    ///
    /// # Safety
    /// The bytes lie in a chunk that is the caller's.
    unsafe fn take_arrival(&self, at: usize) -> Option<u64> {
        // SAFETY: the caller's own memory, of which every bit pattern is a value; unaligned, as frames are.
        let Arrival { mark, monotonic_ns } = unsafe { self.base().as_ptr().add(at).cast::<Arrival>().read_unaligned() };
        if mark != ARRIVAL_MARK {
            return None;
        }
        // SAFETY: as above.
        unsafe { self.base().as_ptr().add(at).cast::<u64>().write_unaligned(0) };
        Some(monotonic_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(addr: u64, len: u32) -> libc::xdp_desc {
        libc::xdp_desc { addr, len, options: 0 }
    }

    fn write(umem: &Umem, at: usize, bytes: &[u8]) {
        // SAFETY: the test owns the whole memory, and writes within it.
        unsafe { umem.base().as_ptr().add(at).copy_from(bytes.as_ptr(), bytes.len()) };
    }

    #[test]
    fn a_frame_is_lent_with_its_arrival_which_is_told_once() {
        let umem = Umem::new(2048, 4).unwrap();
        write(&umem, 2048 + 256, b"frame");
        write(&umem, 2048 + 240, &ARRIVAL_MARK.to_ne_bytes());
        write(&umem, 2048 + 248, &77_u64.to_ne_bytes());
        let descriptor = descriptor(2048 + 256, 5);
        // SAFETY: the test owns the whole memory.
        unsafe {
            assert_eq!(umem.frame(&descriptor), Some((&b"frame"[..], Some(77))));
            assert_eq!(umem.frame(&descriptor), Some((&b"frame"[..], None)));
        }
    }

    #[test]
    fn descriptors_beyond_their_chunk_or_the_memory_are_refused() {
        let umem = Umem::new(2048, 4).unwrap();
        for (address, length) in [(256, 1793), (8192, 1), (8192, 0), (u64::MAX, 2), (u64::MAX - 4096, 60)] {
            // SAFETY: the test owns the whole memory.
            let frame = unsafe { umem.frame(&descriptor(address, length)) };
            assert!(frame.is_none_or(|(bytes, _)| bytes.is_empty()), "{address} {length}");
        }
        // SAFETY: the test owns the whole memory.
        assert!(unsafe { umem.frame(&descriptor(0, 2048)) }.is_some());
        assert_eq!(umem.chunks().collect::<Vec<_>>(), [0, 2048, 4096, 6144]);
        assert_eq!(umem.chunk_of(4500), 4096);
    }
}
