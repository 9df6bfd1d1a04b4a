//! What is asked of a network interface, and set on it.
//!
//! Everything here is of the network namespace of the calling thread.

use std::ffi::CString;
use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use libc::c_int;

use super::system::{check, open_socket};

/// The kernel's number of an interface; `None` if there is none of that name.
pub(super) fn index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the pointer is to a string that ends with 0 and lives during the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// What an interface counted since it came into being, as its driver tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames that the interface or the kernel had no room for, before capture.
    pub rx_dropped: u64,
    /// Frames lost because the interface's own buffer was full.
    pub rx_fifo: u64,
    /// Frames sent. On a tap there is none.
    pub tx_packets: u64,
}

impl Statistics {
    /// Frames that a capture meets: those received, and those sent where it asks for `outgoing` ones.
    pub fn met(&self, outgoing: bool) -> u64 {
        self.rx_packets + if outgoing { self.tx_packets } else { 0 }
    }
}

/// The statistics of all interfaces.
pub fn statistics() -> Vec<(String, Statistics)> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    table.lines().filter_map(parse_statistics).collect()
}

/// What an interface counted by now; `None` where there is none.
pub(super) fn statistics_of(name: &str) -> Option<Statistics> {
    statistics().into_iter().find(|(known, _)| known == name).map(|(_, statistics)| statistics)
}

/// Name and, after a colon: received bytes, packets, errors, drops, FIFO errors, frame errors, compressed, multicast; then
/// sent bytes, packets and more of it.
fn parse_statistics(line: &str) -> Option<(String, Statistics)> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Option<Vec<u64>> = numbers.split_whitespace().map(|number| number.parse().ok()).collect();
    let &[rx_bytes, rx_packets, rx_errors, rx_dropped, rx_fifo, _, _, _, _, tx_packets, ..] = numbers?.as_slice()
    else {
        return None;
    };
    let statistics = Statistics { rx_packets, rx_bytes, rx_errors, rx_dropped, rx_fifo, tx_packets };
    Some((name.trim().to_owned(), statistics))
}

/// The names of all interfaces.
pub fn existing() -> Vec<String> {
    statistics().into_iter().map(|(name, _)| name).collect()
}

/// Whether its frames begin with an Ethernet header; an interface that cannot be asked is taken for one.
pub(super) fn is_ethernet(name: &str) -> bool {
    let kind = Control::open().and_then(|control| control.hardware_type(name));
    kind.map_or(true, |kind| matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK))
}

/// Asks and sets interfaces. Asking takes no privilege; setting takes CAP_NET_ADMIN.
pub(super) struct Control(OwnedFd);

impl Control {
    /// Opens a way to the kernel.
    pub(super) fn open() -> io::Result<Self> {
        open_socket(libc::AF_INET, libc::SOCK_DGRAM).map(Self)
    }

    /// The hardware type (ARPHRD).
    pub(super) fn hardware_type(&self, name: &str) -> io::Result<u16> {
        let answer = self.request(name, libc::SIOCGIFHWADDR, |_| ())?;
        // SAFETY: SIOCGIFHWADDR fills this member of the union.
        Ok(unsafe { answer.ifr_ifru.ifru_hwaddr.sa_family })
    }

    /// Whether it is administratively up.
    pub(super) fn is_up(&self, name: &str) -> io::Result<bool> {
        Ok(self.flags(name)? & libc::IFF_UP != 0)
    }

    fn flags(&self, name: &str) -> io::Result<c_int> {
        let answer = self.request(name, libc::SIOCGIFFLAGS, |_| ())?;
        // SAFETY: SIOCGIFFLAGS fills this member of the union.
        Ok(c_int::from(unsafe { answer.ifr_ifru.ifru_flags }))
    }

    /// Whether it has an IPv4 address.
    pub(super) fn has_ipv4(&self, name: &str) -> io::Result<bool> {
        match self.request(name, libc::SIOCGIFADDR, |_| ()) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Bytes that a packet may have on it.
    pub(super) fn mtu(&self, name: &str) -> io::Result<u32> {
        let answer = self.request(name, libc::SIOCGIFMTU, |_| ())?;
        // SAFETY: SIOCGIFMTU fills this member of the union.
        Ok(unsafe { answer.ifr_ifru.ifru_mtu }.cast_unsigned())
    }

    /// Its receive queues; 1 where the driver does not say.
    pub(super) fn queues(&self, name: &str) -> io::Result<u32> {
        // Command; most of receive, send, other and combined; then how many there are of each.
        let mut channels = [ETHTOOL_GCHANNELS, 0, 0, 0, 0, 0, 0, 0, 0];
        match self.ethtool(name, &mut channels) {
            Ok(()) => Ok((channels[5] + channels[8]).max(1)),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
            Err(error) => Err(error),
        }
    }

    /// Has it leave VLAN tags in the frames: what it takes off a program in the driver never sees.
    pub(super) fn keep_vlan_tags(&self, name: &str) -> io::Result<()> {
        let mut flags = [ETHTOOL_GFLAGS, 0];
        match self.ethtool(name, &mut flags) {
            // A driver without these flags takes nothing off.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
            asked => asked?,
        }
        if flags[1] & ETH_FLAG_RXVLAN == 0 {
            return Ok(());
        }
        self.ethtool(name, &mut [ETHTOOL_SFLAGS, flags[1] & !ETH_FLAG_RXVLAN])
    }

    /// Has it hand over every frame as it came, instead of joining segments of a flow to longer ones (GRO, LRO).
    pub(super) fn keep_frames_apart(&self, name: &str) -> io::Result<()> {
        let unless_unknown = |done: io::Result<()>| match done {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            done => done,
        };
        unless_unknown(self.ethtool(name, &mut [ETHTOOL_SGRO, 0]))?;
        let mut flags = [ETHTOOL_GFLAGS, 0];
        unless_unknown(self.ethtool(name, &mut flags))?;
        if flags[1] & ETH_FLAG_LRO == 0 {
            return Ok(());
        }
        self.ethtool(name, &mut [ETHTOOL_SFLAGS, flags[1] & !ETH_FLAG_LRO])
    }

    /// Keeps it from speaking by itself: no ARP, and no IPv6 (no address of its own making, no neighbour discovery, no
    /// router solicitation). What has an address is not to be silenced.
    pub(super) fn silence(&self, name: &str) -> io::Result<()> {
        let ipv6 = Path::new("/proc/sys/net/ipv6/conf").join(name).join("disable_ipv6");
        if ipv6.exists() {
            std::fs::write(ipv6, "1")?;
        }
        let flags = self.flags(name)? | libc::IFF_NOARP;
        self.request(name, libc::SIOCSIFFLAGS, |request| request.ifr_ifru.ifru_flags = flags as i16).map(|_| ())
    }

    /// A command of ethtool and what follows it, made of numbers of 32 bits only.
    fn ethtool<const N: usize>(&self, name: &str, command: &mut [u32; N]) -> io::Result<()> {
        let pointer = command.as_mut_ptr();
        // The kernel writes to the array as long as the structure of its command is, which is the whole of it.
        self.request(name, libc::SIOCETHTOOL, |request| request.ifr_ifru.ifru_data = pointer.cast()).map(|_| ())
    }

    fn request(
        &self,
        name: &str,
        request: libc::c_ulong,
        fill: impl FnOnce(&mut libc::ifreq),
    ) -> io::Result<libc::ifreq> {
        // SAFETY: an ifreq of zeros is a valid one, and its name ends with 0 as long as its last byte stays.
        let mut argument: libc::ifreq = unsafe { mem::zeroed() };
        let room = argument.ifr_name.len() - 1;
        if name.len() > room {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in argument.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        fill(&mut argument);
        // SAFETY: these requests take a pointer to an ifreq, which lives during the call, as does what it points to.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, &raw mut argument) })?;
        Ok(argument)
    }
}

// linux/ethtool.h
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_SFLAGS: u32 = 0x26;
const ETHTOOL_SGRO: u32 = 0x2c;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETH_FLAG_LRO: u32 = 1 << 15;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const _: () = assert!(size_of::<[u32; 9]>() == 36, "struct ethtool_channels");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_from_the_kernel_s_table() {
        let line = "  tap0: 1000 10 1 2 3 4 5 6 2000 20 0 0 0 0 0 0";
        let expected =
            Statistics { rx_packets: 10, rx_bytes: 1000, rx_errors: 1, rx_dropped: 2, rx_fifo: 3, tx_packets: 20 };
        assert_eq!(parse_statistics(line), Some(("tap0".to_owned(), expected)));
        assert_eq!(parse_statistics(" face |bytes    packets errs"), None);
    }

    #[test]
    fn the_loopback_is_there_and_asked_without_privilege() {
        let control = Control::open().unwrap();
        assert!(existing().contains(&"lo".to_owned()) && index("lo").is_some());
        assert_eq!(control.hardware_type("lo").unwrap(), libc::ARPHRD_LOOPBACK);
        assert_eq!(control.queues("lo").unwrap(), 1);
        assert!(control.mtu("lo").unwrap() >= 1500);
        assert!(control.mtu("no-such-interface-0").is_err());
    }
}
