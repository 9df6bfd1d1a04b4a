//! Vigía's programs in the kernel: [`guard`] keeps the tap interfaces silent, [`tap`] counts their frames and drops what
//! nobody wants to see, [`fanout`] shares frames out among workers.
//!
//! The object is compiled apart (`ebpf-probes/`, `cargo xtask ebpf`) and embedded. What the kernel does not let us load is
//! done without, and said once: capture works without any of it.

pub mod fanout;
pub mod guard;
pub mod inventory;
pub mod raw;
pub mod tap;

use std::error::Error;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::interface;
use crate::language::{Message, Phrase};

/// The compiled programs.
pub static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf-probes/probes.bpf.o"));

/// Why a program is not at work.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct ProbeError {
    /// What was tried.
    pub what: &'static str,
    /// The system's word.
    pub why: String,
    /// The number of the system's error, where there is one.
    errno: Option<i32>,
}

impl ProbeError {
    /// For `map_err`: with the system's word, and where it has none with everything that the error and its causes say.
    pub(super) fn of<E: Error + 'static>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| {
            let causes = std::iter::successors(Some(&error as &(dyn Error + 'static)), |&error| error.source());
            let system = causes.clone().find_map(|cause| cause.downcast_ref::<std::io::Error>());
            let errno = system.and_then(std::io::Error::raw_os_error);
            let mut why = match errno {
                Some(libc::EPERM) => "the kernel does not allow it (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)".to_owned(),
                Some(libc::ENOSYS) => "this kernel has no BPF".to_owned(),
                _ => causes.map(ToString::to_string).collect::<Vec<_>>().join(": "),
            };
            // The verifier's log is long, and of use to a developer only.
            why.truncate(why.find('\n').unwrap_or(why.len()));
            Self { what, why, errno }
        }
    }

    pub(super) fn because(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, why: why.into(), errno: None }
    }

    /// For a person.
    pub fn phrase(&self) -> Phrase {
        match self.errno {
            Some(libc::EPERM) => Message::WhyDenied.into(),
            Some(libc::ENOSYS) => Message::WhyNoBpf.into(),
            _ => Message::Verbatim.with([self.to_string().into()]),
        }
    }
}

/// Tries to load a program before it is given up.
const LOADS: usize = 10;

/// Loads a program: as often as the kernel stops in the middle of verifying it, which it does when a signal waits for this
/// thread (`EAGAIN`).
pub(super) fn load(
    what: &'static str,
    mut program: impl FnMut() -> Result<(), aya::programs::ProgramError>,
) -> Result<(), ProbeError> {
    let mut try_once = || program().map_err(ProbeError::of(what));
    let interrupted =
        |outcome: &Result<(), ProbeError>| outcome.as_ref().is_err_and(|error| error.errno == Some(libc::EAGAIN));
    (1..LOADS).map(|_| try_once()).find(|outcome| !interrupted(outcome)).unwrap_or_else(try_once)
}

/// Where the kernel keeps what is to outlive a process.
const BPF_FILE_SYSTEM: &str = "/sys/fs/bpf";

/// The folder of an interface's pins, whether it is there or not; `None` where the BPF file system is not mounted.
///
/// The interface is told by number, and by its network namespace: names change hands, and may have dots, which the file
/// system refuses.
fn pins(interface: &str) -> Option<PathBuf> {
    const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
    let system = rustix::fs::statfs(BPF_FILE_SYSTEM).ok()?;
    if system.f_type.cast_unsigned() != BPF_FS_MAGIC {
        return None;
    }
    let namespace = std::fs::metadata("/proc/thread-self/ns/net").ok()?.ino();
    let number = interface::index(interface)?;
    Some(Path::new(BPF_FILE_SYSTEM).join("vigia").join(format!("{namespace}-{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya::programs::ProgramError;
    use aya::sys::SyscallError;

    /// A kernel that stops so many times with this error before it loads.
    fn kernel(mut stops: usize, errno: i32) -> impl FnMut() -> Result<(), ProgramError> {
        move || match stops.checked_sub(1) {
            Some(left) => {
                stops = left;
                let io_error = std::io::Error::from_raw_os_error(errno);
                Err(ProgramError::SyscallError(SyscallError { call: "bpf_prog_load", io_error }))
            }
            None => Ok(()),
        }
    }

    #[test]
    fn a_load_that_a_signal_interrupts_is_tried_again_within_bounds() {
        assert!(load("it", kernel(LOADS - 1, libc::EAGAIN)).is_ok());
        assert_eq!(load("it", kernel(LOADS, libc::EAGAIN)).unwrap_err().errno, Some(libc::EAGAIN));
        assert_eq!(load("it", kernel(1, libc::EPERM)).unwrap_err().errno, Some(libc::EPERM));
    }
}
