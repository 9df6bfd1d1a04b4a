//! The socket of the family AF_XDP: every system call of it behind a safe function.
//!
//! **Invariant.** Such a socket cannot transmit: it is never given a ring to send from.

use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use libc::{c_int, socklen_t};

use super::umem::Umem;
use crate::capture::system::{Mapping, Plain, check, get_option, open_socket, set_option};

/// Whether the frames are written to our memory by the interface itself, or copied there by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum Copying {
    /// By the interface: its driver has to know how.
    Zero,
    /// By the kernel: works wherever XDP does.
    Each,
}

/// A socket that receives from one queue of an interface.
pub(super) struct XdpSocket(OwnedFd);

impl XdpSocket {
    /// Opens a socket that receives nothing yet.
    pub(super) fn open() -> io::Result<Self> {
        open_socket(libc::AF_XDP, libc::SOCK_RAW).map(Self)
    }

    /// Gives the kernel the memory for frames.
    pub(super) fn register(&self, umem: &Umem) -> io::Result<()> {
        // SAFETY: a description of zeros is a valid one.
        let mut description: libc::xdp_umem_reg = unsafe { mem::zeroed() };
        description.addr = umem.base().addr().get() as u64;
        description.len = umem.length() as u64;
        description.chunk_size = umem.chunk_bytes();
        self.set(libc::XDP_UMEM_REG, &description)
    }

    /// Makes the ring through which buffers go to the kernel. The kernel wants one for the way back from sending, too,
    /// although nothing is ever sent.
    pub(super) fn make_fill_ring(&self, entries: u32) -> io::Result<()> {
        self.set(libc::XDP_UMEM_FILL_RING, &entries)?;
        self.set(libc::XDP_UMEM_COMPLETION_RING, &2_u32)
    }

    /// Makes the ring through which frames come.
    pub(super) fn make_receive_ring(&self, entries: u32) -> io::Result<()> {
        self.set(libc::XDP_RX_RING, &entries)
    }

    /// Where the parts of the rings lie in their mappings.
    pub(super) fn offsets(&self) -> io::Result<libc::xdp_mmap_offsets> {
        self.get(libc::XDP_MMAP_OFFSETS)
    }

    /// Maps one of the rings.
    pub(super) fn map(&self, length: usize, offset: u64) -> io::Result<Mapping> {
        Mapping::of_socket(self.as_fd(), length, offset as libc::off_t)
    }

    /// Binds to a queue as the first socket on it.
    pub(super) fn bind_first(&self, interface: u32, queue: u32, copying: Copying) -> io::Result<()> {
        let how = match copying {
            Copying::Zero => libc::XDP_ZEROCOPY,
            Copying::Each => libc::XDP_COPY,
        };
        self.bind(interface, queue, how | libc::XDP_USE_NEED_WAKEUP, 0)
    }

    /// Binds to a queue on which there is one already, whose memory and fill ring it uses.
    pub(super) fn bind_beside(&self, interface: u32, queue: u32, first: &Self) -> io::Result<()> {
        self.bind(interface, queue, libc::XDP_SHARED_UMEM, first.as_raw_fd().cast_unsigned())
    }

    fn bind(&self, interface: u32, queue: u32, flags: u16, shared: u32) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: shared,
        };
        let length = size_of::<libc::sockaddr_xdp>() as socklen_t;
        // SAFETY: the pointer is to an address that lives during the call, and the length is its size.
        check(unsafe { libc::bind(self.as_raw_fd(), (&raw const address).cast(), length) })
    }

    /// What the kernel counted since the socket was made.
    pub(super) fn statistics(&self) -> io::Result<libc::xdp_statistics> {
        self.get(libc::XDP_STATISTICS)
    }

    /// Tells the kernel that there are buffers again, when it said that it waits for that.
    pub(super) fn wake(&self) {
        // SAFETY: a call that reads nothing into no memory. That there is nothing to read is no fault.
        unsafe { libc::recv(self.as_raw_fd(), std::ptr::null_mut(), 0, libc::MSG_DONTWAIT) };
    }

    fn set<T>(&self, option: c_int, value: &T) -> io::Result<()> {
        set_option(self.as_fd(), libc::SOL_XDP, option, value)
    }

    fn get<T: Plain>(&self, option: c_int) -> io::Result<T> {
        get_option(self.as_fd(), libc::SOL_XDP, option)
    }
}

impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for XdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
