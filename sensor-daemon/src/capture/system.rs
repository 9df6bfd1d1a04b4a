//! System calls that several kinds of capture share, each behind a safe function: sockets and their options, memory
//! shared with the kernel, waiting.
//!
//! **Invariant.** Nothing here sends: there is no call that could.

use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use libc::{c_int, c_void, socklen_t};

/// Opens a socket.
pub(super) fn open_socket(family: c_int, kind: c_int) -> io::Result<OwnedFd> {
    // SAFETY: a call without pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: the descriptor is new, open and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option of a socket.
pub(super) fn set_option<T>(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as socklen_t;
    let value: *const c_void = (&raw const *value).cast();
    // SAFETY: the pointer is to a value that lives during the call, and the length is its size.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) })
}

/// Asks for an option of a socket. What the kernel does not fill is zero.
pub(super) fn get_option<T: Plain>(socket: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<T> {
    // SAFETY: `Plain` types are made of numbers, of which zeros are a valid value.
    let mut value: T = unsafe { mem::zeroed() };
    let mut length = size_of::<T>() as socklen_t;
    let pointer: *mut c_void = (&raw mut value).cast();
    // SAFETY: the pointer is to a value that lives during the call, and the kernel writes at most its size.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, pointer, &raw mut length) })?;
    Ok(value)
}

/// The error that poll announced; reading takes it away.
pub(super) fn pending_error(socket: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    let code: c_int = get_option(socket, libc::SOL_SOCKET, libc::SO_ERROR)?;
    Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
}

/// Types of which every bit pattern is a value.
///
/// # Safety
/// Only for types made of numbers.
pub(super) unsafe trait Plain {}
// SAFETY: a number.
unsafe impl Plain for u32 {}
// SAFETY: a number.
unsafe impl Plain for c_int {}
// SAFETY: three numbers.
unsafe impl Plain for libc::tpacket_stats_v3 {}
// SAFETY: numbers.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: numbers.
unsafe impl Plain for libc::xdp_statistics {}

/// What a system call returned.
pub(super) fn check(result: c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An entry for [`wait`].
pub(super) fn readable(socket: RawFd) -> libc::pollfd {
    libc::pollfd { fd: socket, events: libc::POLLIN | libc::POLLERR, revents: 0 }
}

/// Waits until one of the sockets has something, or an error, or the time is over.
pub(super) fn wait(sockets: &mut [libc::pollfd], timeout_ms: u32) -> io::Result<()> {
    // SAFETY: the pointer and the count are those of a live slice of pollfd.
    let ready = unsafe { libc::poll(sockets.as_mut_ptr(), sockets.len() as libc::nfds_t, timeout_ms as c_int) };
    match check(ready) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        done => done,
    }
}

/// Whether [`wait`] found an error.
pub(super) fn has_error(socket: &libc::pollfd) -> bool {
    socket.revents & (libc::POLLERR | libc::POLLNVAL) != 0
}

/// Memory that is mapped as long as this lives.
pub(super) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is bound to no thread.
unsafe impl Send for Mapping {}
// SAFETY: this type only tells where the memory is; who reads and writes it answers for that.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// A ring of a socket.
    pub(super) fn of_socket(socket: BorrowedFd<'_>, length: usize, offset: libc::off_t) -> io::Result<Self> {
        Self::new(length, libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd(), offset)
    }

    /// New memory of zeros: on huge pages when the machine has some to spare and the length is whole ones, else on those
    /// it has.
    pub(super) fn anonymous(length: usize) -> io::Result<Self> {
        const HUGE_PAGE: usize = 2 << 20;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        if length.is_multiple_of(HUGE_PAGE)
            && let Ok(mapping) = Self::new(length, flags | libc::MAP_HUGETLB | libc::MAP_POPULATE, -1, 0)
        {
            return Ok(mapping);
        }
        let mapping = Self::new(length, flags, -1, 0)?;
        // SAFETY: the mapping just made. That the kernel does not follow the advice is no fault.
        unsafe { libc::madvise(mapping.base.as_ptr().cast(), length, libc::MADV_HUGEPAGE) };
        Ok(mapping)
    }

    fn new(length: usize, flags: c_int, file: RawFd, offset: libc::off_t) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the kernel likes; the kernel refuses what the file does not have.
        let base = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, file, offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Its first byte.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, with its length; no borrow of it outlives this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}
