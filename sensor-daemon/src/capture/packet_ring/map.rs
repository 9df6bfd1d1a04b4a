//! The ring's memory, shared with the kernel: blocks that are either the kernel's or ours.
//!
//! A block is ours from the moment its status word says so until [`RingMap::release`]. Borrows keep to that:
//! [`RingMap::block`] lends a block's bytes from the map, and `release` needs the map for itself. What stands in the
//! bytes is read by safe, checked code elsewhere.

use std::io;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::capture::system::Mapping;

/// Where the status word stands in a block.
const STATUS: usize = offset_of!(libc::tpacket_block_desc, hdr);

/// A mapped receive ring.
pub(super) struct RingMap {
    mapping: Mapping,
    block_bytes: usize,
    block_count: usize,
}

impl RingMap {
    /// Maps the ring that the socket was given with these very sizes.
    pub(super) fn new(socket: BorrowedFd<'_>, block_bytes: usize, block_count: usize) -> io::Result<Self> {
        let length = block_bytes.checked_mul(block_count).ok_or(io::ErrorKind::InvalidInput)?;
        if block_bytes < size_of::<libc::tpacket_block_desc>() || !block_bytes.is_multiple_of(align_of::<u64>()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The kernel refuses a length that is not the ring's.
        let mapping = Mapping::of_socket(socket, length, 0)?;
        Ok(Self { mapping, block_bytes, block_count })
    }

    /// A block's bytes, if the kernel has handed it over.
    pub(super) fn block(&self, index: usize) -> Option<&[u8]> {
        // Acquire: what the kernel wrote before it set the status is seen after it.
        if self.status(index)?.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the index is below the count (`status` checked it), so the block lies within the mapping. It is ours:
        // the kernel does not write to it until `release`, which cannot be called while this borrow lives.
        Some(unsafe {
            std::slice::from_raw_parts(self.mapping.base().as_ptr().add(index * self.block_bytes), self.block_bytes)
        })
    }

    /// Gives a block back to the kernel.
    pub(super) fn release(&mut self, index: usize) {
        if let Some(status) = self.status(index) {
            // Release: our reads of the block are done before the kernel may write to it.
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    /// Number of blocks.
    pub(super) fn block_count(&self) -> usize {
        self.block_count
    }

    fn status(&self, index: usize) -> Option<&AtomicU32> {
        if index >= self.block_count {
            return None;
        }
        // SAFETY: within the mapping (the index is checked, a block is longer than its descriptor) and aligned (blocks
        // are whole multiples of 8 from a page on, and the word's offset is a multiple of 4). The kernel and this
        // process access it as a whole word only; the atomic is how this side does.
        Some(unsafe { AtomicU32::from_ptr(self.mapping.base().as_ptr().add(index * self.block_bytes + STATUS).cast()) })
    }
}
