//! What is loaded into the kernel: programs with what the verifier and the kernel's statistics say of them, and their maps.
//!
//! The kernel tells of a program or map through its descriptor (`/proc/self/fdinfo`), without a privilege of its own. It counts
//! and times the runs of programs only while somebody asks it to (`BPF_ENABLE_STATS`, or `kernel.bpf_stats_enabled`).

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use aya::maps::{Map, MapData};
use serde::Serialize;

use super::ProbeError;

/// A program in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The kernel's number of it.
    pub id: u64,
    /// Where it is: an interface, and how it is attached there.
    pub attached: Vec<String>,
    /// Instructions that the verifier went through; `None` before Linux 5.16.
    pub verified_instructions: Option<u64>,
    /// Memory that it takes, in bytes.
    pub memory_bytes: u64,
    /// Runs that the kernel timed: one a frame.
    pub runs: u64,
    /// Time of these runs, in nanoseconds.
    pub run_ns: u64,
}

/// A map in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MapUse {
    /// Its name.
    pub name: String,
    /// Interface that it belongs to; empty for all.
    pub interface: String,
    /// Room for entries.
    pub entries: u64,
    /// Entries in use; `None` where every entry always is.
    pub used: Option<u64>,
    /// Memory that it takes, in bytes.
    pub memory_bytes: u64,
}

/// Everything of ours that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Inventory {
    /// Programs.
    pub programs: Vec<Program>,
    /// Maps.
    pub maps: Vec<MapUse>,
}

/// Descriptor of a program that is kept to ask the kernel about it.
#[derive(Debug)]
pub(in crate::capture) struct ProgramFile(OwnedFd);

impl ProgramFile {
    pub(in crate::capture) fn of(program: &impl AsFd) -> Result<Self, ProbeError> {
        program.as_fd().try_clone_to_owned().map(Self).map_err(ProbeError::of("keeping a program"))
    }

    pub(in crate::capture) fn describe(&self, name: &'static str, attached: Vec<String>) -> Program {
        let told = told(&self.0);
        let of = |key: &str| told.get(key).copied().unwrap_or(0);
        Program {
            name,
            id: of("prog_id"),
            attached,
            verified_instructions: told.get("verified_insns").copied(),
            memory_bytes: of("memlock"),
            runs: of("run_cnt"),
            run_ns: of("run_time_ns"),
        }
    }
}

/// Descriptors of an object's maps, kept to ask the kernel about them.
#[derive(Debug, Default)]
pub(super) struct MapFiles(Vec<(String, OwnedFd)>);

impl MapFiles {
    /// Those whose name begins with `prefix`.
    pub(super) fn of(object: &aya::Ebpf, prefix: &str) -> Self {
        let named = object.maps().filter(|(name, _)| name.starts_with(prefix));
        let kept = named.filter_map(|(name, map)| {
            let kept = data(map)?.fd().as_fd().try_clone_to_owned().ok()?;
            Some((name.to_owned(), kept))
        });
        let mut files: Vec<_> = kept.collect();
        files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Self(files)
    }

    pub(super) fn describe(&self, interface: &str, used: impl Fn(&str) -> Option<u64>) -> Vec<MapUse> {
        let describe = |(name, file): &(String, OwnedFd)| {
            let told = told(file);
            let of = |key: &str| told.get(key).copied().unwrap_or(0);
            MapUse {
                name: name.clone(),
                interface: interface.to_owned(),
                entries: of("max_entries"),
                used: used(name),
                memory_bytes: of("memlock"),
            }
        };
        self.0.iter().map(describe).collect()
    }
}

/// The kinds of maps that our programs have.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(map)
        | Map::PerCpuArray(map)
        | Map::HashMap(map)
        | Map::PerCpuHashMap(map)
        | Map::PerCpuLruHashMap(map)
        | Map::LpmTrie(map)
        | Map::XskMap(map)
        | Map::RingBuf(map) => Some(map),
        _ => None,
    }
}

/// The numbers that the kernel tells of a descriptor.
fn told(file: &OwnedFd) -> HashMap<String, u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap_or_default();
    let number = |line: &str| {
        let (key, value) = line.split_once(':')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(number).collect()
}

/// Has the kernel time the runs of all programs, as long as what is returned lives.
///
/// # Errors
/// No right to (CAP_SYS_ADMIN).
pub fn time_runs() -> Result<OwnedFd, ProbeError> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(ProbeError::of("having the kernel time its programs"))
}
