//! The packet socket: every system call of live capture, each behind a safe function.
//!
//! **Invariant.** Nothing here sends: there is no call that could.

use std::ffi::CString;
use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_void, socklen_t};

/// Waits until one of the sockets has something, or an error, or the time is over. Says which have an error.
pub(in crate::capture) fn wait(sockets: &[RawFd], timeout_ms: u32) -> io::Result<Vec<bool>> {
    let events = libc::POLLIN | libc::POLLERR;
    let mut polled: Vec<_> = sockets.iter().map(|&fd| libc::pollfd { fd, events, revents: 0 }).collect();
    // SAFETY: the pointer and the count are those of a live vector of pollfd.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms as c_int) };
    match ready {
        -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => Err(io::Error::last_os_error()),
        _ => Ok(polled.iter().map(|socket| socket.revents & (libc::POLLERR | libc::POLLNVAL) != 0).collect()),
    }
}

/// The kernel's number of an interface; `None` if there is none of that name.
pub(in crate::capture) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the pointer is to a string that ends with 0 and lives during the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// A socket of the family AF_PACKET.
pub(in crate::capture) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a socket that receives nothing yet: without a protocol no frame of any interface is its business.
    pub(in crate::capture) fn open() -> io::Result<Self> {
        // SAFETY: a call without pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, open and owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Receives all protocols on the interface from here on.
    pub(super) fn bind(&self, interface: u32) -> io::Result<()> {
        // SAFETY: a sockaddr_ll of zeros is a valid one.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface as i32;
        let length = size_of::<libc::sockaddr_ll>() as socklen_t;
        // SAFETY: the pointer is to a sockaddr_ll that lives during the call, and the length is its size.
        check(unsafe { libc::bind(self.as_raw_fd(), (&raw const address).cast(), length) })
    }

    /// Makes this a ring of TPACKET_V3 blocks. Frames longer than a block are cut by the kernel.
    pub(super) fn set_ring(&self, block_bytes: u32, block_count: u32, block_timeout_ms: u32) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        // The frame size only has to divide the block size: in version 3 frames take what they need.
        let frame_bytes = 2048;
        let ring = libc::tpacket_req3 {
            tp_block_size: block_bytes,
            tp_block_nr: block_count,
            tp_frame_size: frame_bytes,
            tp_frame_nr: block_bytes / frame_bytes * block_count,
            tp_retire_blk_tov: block_timeout_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &ring)
    }

    /// Asks the interface for frames to other stations, as long as the socket lives.
    pub(super) fn set_promiscuous(&self, interface: u32) -> io::Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: interface as c_int,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Shares the interface's frames with the other sockets of a group, by a hash that is the same for both
    /// directions of a flow: the program's, or the kernel's own. Without a group the kernel makes a new one. Returns the
    /// group.
    pub(super) fn join_fanout(&self, group: Option<u16>, program: Option<BorrowedFd<'_>>) -> io::Result<u16> {
        let kind = if program.is_some() { libc::PACKET_FANOUT_EBPF } else { libc::PACKET_FANOUT_HASH };
        let mut argument = kind << 16 | u32::from(group.unwrap_or(0));
        if group.is_none() {
            argument |= libc::PACKET_FANOUT_FLAG_UNIQUEID << 16;
        }
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &argument)?;
        if let Some(program) = program {
            self.set(libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, &program.as_raw_fd())?;
        }
        let joined: u32 = self.get(libc::SOL_PACKET, libc::PACKET_FANOUT)?;
        Ok(joined as u16)
    }

    /// Lets the kernel run this filter on every frame, in place of the one before.
    pub(super) fn set_filter(&self, filter: &mut [libc::sock_filter]) -> io::Result<()> {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Frames (dropped ones among them), drops and freezes since the last call.
    pub(super) fn statistics(&self) -> io::Result<libc::tpacket_stats_v3> {
        self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS)
    }

    /// The error that poll announced; reading takes it away.
    pub(super) fn pending_error(&self) -> io::Result<Option<io::Error>> {
        let code: c_int = self.get(libc::SOL_SOCKET, libc::SO_ERROR)?;
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
    }

    /// The hardware type (ARPHRD) of an interface.
    pub(super) fn hardware_type(&self, name: &str) -> io::Result<u16> {
        let answer = self.interface_request(name, libc::SIOCGIFHWADDR)?;
        // SAFETY: SIOCGIFHWADDR fills this member of the union.
        Ok(unsafe { answer.ifr_ifru.ifru_hwaddr.sa_family })
    }

    /// Whether the interface is administratively up.
    pub(super) fn is_up(&self, name: &str) -> io::Result<bool> {
        let answer = self.interface_request(name, libc::SIOCGIFFLAGS)?;
        // SAFETY: SIOCGIFFLAGS fills this member of the union.
        let flags = unsafe { answer.ifr_ifru.ifru_flags };
        Ok(c_int::from(flags) & libc::IFF_UP != 0)
    }

    /// Whether the interface has an IPv4 address.
    pub(in crate::capture) fn has_ipv4(&self, name: &str) -> io::Result<bool> {
        match self.interface_request(name, libc::SIOCGIFADDR) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    fn interface_request(&self, name: &str, request: libc::c_ulong) -> io::Result<libc::ifreq> {
        // SAFETY: an ifreq of zeros is a valid one, and its name ends with 0 as long as its last byte stays.
        let mut argument: libc::ifreq = unsafe { mem::zeroed() };
        let room = argument.ifr_name.len() - 1;
        if name.len() > room {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in argument.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // SAFETY: these requests take a pointer to an ifreq, which lives during the call.
        check(unsafe { libc::ioctl(self.as_raw_fd(), request as _, &raw mut argument) })?;
        Ok(argument)
    }

    fn set<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as socklen_t;
        let value: *const c_void = (&raw const *value).cast();
        // SAFETY: the pointer is to a value that lives during the call, and the length is its size.
        check(unsafe { libc::setsockopt(self.as_raw_fd(), level, option, value, length) })
    }

    fn get<T: Plain>(&self, level: c_int, option: c_int) -> io::Result<T> {
        // SAFETY: `Plain` types are numbers, of which zeros are a valid value.
        let mut value: T = unsafe { mem::zeroed() };
        let mut length = size_of::<T>() as socklen_t;
        let pointer: *mut c_void = (&raw mut value).cast();
        // SAFETY: the pointer is to a value that lives during the call, and the kernel writes at most its size.
        check(unsafe { libc::getsockopt(self.as_raw_fd(), level, option, pointer, &raw mut length) })?;
        Ok(value)
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Types of which every bit pattern is a value.
///
/// # Safety
/// Only for types made of numbers.
unsafe trait Plain {}
// SAFETY: a number.
unsafe impl Plain for u32 {}
// SAFETY: a number.
unsafe impl Plain for c_int {}
// SAFETY: three numbers.
unsafe impl Plain for libc::tpacket_stats_v3 {}

fn check(result: c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
