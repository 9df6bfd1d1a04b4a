//! The rings between the kernel and us: a producer's and a consumer's index, each written by one side only, and entries.
//!
//! The kernel produces frames into the [`ReceiveRing`] and consumes free chunks from the [`FillRing`].

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::socket::XdpSocket;
use crate::capture::system::Mapping;

/// What both rings have in common.
struct Ring {
    mapping: Mapping,
    producer: usize,
    consumer: usize,
    flags: usize,
    entries: usize,
    size: u32,
}

impl Ring {
    /// `entry` is the size of an entry; `size`, of the ring, a power of two.
    fn map(socket: &XdpSocket, at: u64, offsets: &libc::xdp_ring_offset, entry: usize, size: u32) -> io::Result<Self> {
        let length = offsets.desc as usize + size as usize * entry;
        let [producer, consumer, flags] = [offsets.producer, offsets.consumer, offsets.flags].map(|at| at as usize);
        let aligned = [producer, consumer, flags].iter().all(|at| at.is_multiple_of(4) && at + 4 <= length);
        if !size.is_power_of_two() || !aligned || !(offsets.desc as usize).is_multiple_of(8) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mapping = socket.map(length, at)?;
        Ok(Self { mapping, producer, consumer, flags, entries: offsets.desc as usize, size })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: one of the three places that `map` found to be aligned and within the mapping. Both sides access it as a
        // whole word only; the atomic is how this side does.
        unsafe { AtomicU32::from_ptr(self.mapping.base().as_ptr().add(at).cast()) }
    }

    /// Where the entry of an index is.
    fn entry<T>(&self, index: u32) -> *mut T {
        let place = (index & (self.size - 1)) as usize;
        // SAFETY: the place is below the size of the ring, for which `map` made room, with entries of this type.
        unsafe { self.mapping.base().as_ptr().add(self.entries).cast::<T>().add(place) }
    }
}

/// Frames that the kernel hands over.
pub(super) struct ReceiveRing {
    ring: Ring,
    /// The next entry to be read; the kernel learns of it by [`ReceiveRing::release`].
    next: u32,
}

impl ReceiveRing {
    /// Maps the ring that the socket was given with this size.
    pub(super) fn map(socket: &XdpSocket, size: u32) -> io::Result<Self> {
        let offsets = socket.offsets()?.rx;
        let at = libc::XDP_PGOFF_RX_RING as u64;
        let ring = Ring::map(socket, at, &offsets, size_of::<libc::xdp_desc>(), size)?;
        Ok(Self { ring, next: 0 })
    }

    /// Frames that wait.
    pub(super) fn waiting(&self) -> u32 {
        // Acquire: what the kernel wrote before it moved the index is seen after it.
        let produced = self.ring.word(self.ring.producer).load(Ordering::Acquire);
        produced.wrapping_sub(self.next).min(self.ring.size)
    }

    /// How full it is, from 0 to 1.
    pub(super) fn fill(&self) -> f32 {
        self.waiting() as f32 / self.ring.size as f32
    }

    /// The descriptor of a waiting frame, counted from the first.
    pub(super) fn descriptor(&self, number: u32) -> libc::xdp_desc {
        // SAFETY: within the ring; the kernel writes an entry only when it is free, and these are not before `release`.
        unsafe { self.ring.entry::<libc::xdp_desc>(self.next.wrapping_add(number)).read() }
    }

    /// Gives the entries of the first waiting frames back.
    pub(super) fn release(&mut self, count: u32) {
        self.next = self.next.wrapping_add(count);
        // Release: our reads of the entries are done before the kernel may write to them.
        self.ring.word(self.ring.consumer).store(self.next, Ordering::Release);
    }
}

/// Free chunks on their way to the kernel.
pub(super) struct FillRing {
    ring: Ring,
    /// The next entry to be written; the kernel learns of it by [`FillRing::publish`].
    next: u32,
}

impl FillRing {
    /// Maps the ring that the socket was given with this size.
    pub(super) fn map(socket: &XdpSocket, size: u32) -> io::Result<Self> {
        let offsets = socket.offsets()?.fr;
        let ring = Ring::map(socket, libc::XDP_UMEM_PGOFF_FILL_RING, &offsets, size_of::<u64>(), size)?;
        Ok(Self { ring, next: 0 })
    }

    /// Adds a free chunk. The ring has room for all chunks there are, so there is room.
    pub(super) fn push(&mut self, chunk: u64) {
        // SAFETY: within the ring; the kernel reads an entry only once it is published, and one that it has not read is not
        // written again, since there are no more chunks than entries.
        unsafe { self.ring.entry::<u64>(self.next).write(chunk) };
        self.next = self.next.wrapping_add(1);
    }

    /// Hands over what was pushed; says whether the kernel wants to be told.
    pub(super) fn publish(&mut self) -> bool {
        // Release: the entries are written before the kernel sees the index.
        self.ring.word(self.ring.producer).store(self.next, Ordering::Release);
        self.ring.word(self.ring.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}
