//! The fanout program: which worker a frame goes to, by the innermost addresses.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::programs::SocketFilter;
use vigia_probes_abi::FANOUT;

use super::{OBJECT, ProbeError};

/// Loads the program for `PACKET_FANOUT_EBPF`.
///
/// # Errors
/// The kernel has no BPF, or does not let us.
pub fn load() -> Result<OwnedFd, ProbeError> {
    let mut object = aya::Ebpf::load(OBJECT).map_err(ProbeError::of("loading the programs"))?;
    let program = object.program_mut(FANOUT).ok_or_else(|| ProbeError::because("loading the programs", "no fanout"))?;
    let program: &mut SocketFilter = program.try_into().map_err(ProbeError::of("loading the fanout"))?;
    super::load("loading the fanout", || program.load())?;
    let loaded = program.fd().map_err(ProbeError::of("loading the fanout"))?;
    loaded.as_fd().try_clone_to_owned().map_err(ProbeError::of("keeping the fanout"))
}
