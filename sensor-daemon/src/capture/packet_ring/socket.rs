//! The packet socket: every system call of live capture, each behind a safe function.
//!
//! **Invariant.** Nothing here sends: there is no call that could.

use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use libc::{c_int, socklen_t};

use crate::capture::system::{Plain, check, get_option, open_socket, pending_error, set_option};

/// A socket of the family AF_PACKET.
pub(in crate::capture) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a socket that receives nothing yet: without a protocol no frame of any interface is its business.
    pub(in crate::capture) fn open() -> io::Result<Self> {
        open_socket(libc::AF_PACKET, libc::SOCK_RAW).map(Self)
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
    pub(in crate::capture) fn set_promiscuous(&self, interface: u32) -> io::Result<()> {
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

    /// Lets the kernel run this program on every frame, in place of the filter before.
    pub(super) fn set_program(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program.as_raw_fd())
    }

    /// Frames (dropped ones among them), drops and freezes since the last call.
    pub(super) fn statistics(&self) -> io::Result<libc::tpacket_stats_v3> {
        self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS)
    }

    /// The error that poll announced; reading takes it away.
    pub(super) fn pending_error(&self) -> io::Result<Option<io::Error>> {
        pending_error(self.as_fd())
    }

    fn set<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        set_option(self.as_fd(), level, option, value)
    }

    fn get<T: Plain>(&self, level: c_int, option: c_int) -> io::Result<T> {
        get_option(self.as_fd(), level, option)
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
