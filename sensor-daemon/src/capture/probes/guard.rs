//! The guard: a program on the egress side of every tap interface that drops whatever is to be sent there.
//!
//! It is attached before the interface is listened on and stays when the sensor ends, however it ends: through a pinned
//! link where the kernel has tcx (6.6) and the BPF file system is mounted, through a filter of the qdisc clsact elsewhere.
//! Only [`remove`] takes it away.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aya::maps::{Map, MapData, PerCpuArray, PerCpuHashMap, PerCpuValues, RingBuf};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{NlOptions, TcAttachOptions, TcHandle};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, tc};
use vigia_probes_abi::{Dropped, GUARD, GUARD_KINDS, GUARD_REPORTS, GUARD_TOTAL, Tally};

use super::inventory::{Inventory, MapFiles, ProgramFile};
use super::{OBJECT, ProbeError, pins};
use crate::capture::interface::{self, Control};

/// Names of the pins.
const LINK: &str = "link";
const MAPS: [&str; 3] = [GUARD_TOTAL, GUARD_KINDS, GUARD_REPORTS];

/// Priority and handles of the filter in clsact: before all others, and two, so that the next takes its place before the
/// last one goes.
const PRIORITY: u16 = 1;
const HANDLES: [TcHandle; 2] = [TcHandle::new(0, 0x5647), TcHandle::new(0, 0x5648)];

/// How a guard is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A pinned link of tcx, before every other program.
    Tcx,
    /// A filter of the qdisc clsact.
    Clsact,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcx => "tcx, pinned",
            Self::Clsact => "clsact",
        })
    }
}

/// What a guard dropped since it was attached first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Everything: frames and bytes.
    pub total: Tally,
    /// By EtherType, in ascending order.
    pub kinds: Vec<(u32, Tally)>,
}

/// An attached guard. Dropping this does not detach it.
pub struct Guard {
    /// How it is attached.
    pub how: How,
    maps: Maps,
    reports: RingBuf<MapData>,
    program: ProgramFile,
    files: MapFiles,
}

impl Guard {
    /// Puts a guard on an interface of this thread's network namespace, in the place of one that is there already; at no
    /// moment is there none. Counts go on where they were.
    ///
    /// # Errors
    /// No such interface, no BPF, or no right to (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON).
    pub fn attach(interface: &str) -> Result<Self, ProbeError> {
        // Without the right to write there, a filter does.
        let pins = pins(interface).filter(|pins| std::fs::create_dir_all(pins).is_ok());
        if let Some(pins) = &pins {
            match Self::attach_pinned(interface, pins) {
                // The interface of that pin is gone; this one only has its number.
                Err(_) if pins.join(LINK).exists() => {
                    let cleared = clear(pins).and_then(|()| std::fs::create_dir(pins));
                    cleared.map_err(ProbeError::of("removing the pins of an interface that is gone"))?;
                    if let Ok(guard) = Self::attach_pinned(interface, pins) {
                        return Ok(guard);
                    }
                }
                Err(_) => {}
                attached => return attached,
            }
        }
        Self::attach_filter(interface, pins.as_deref())
    }

    /// By a link of tcx.
    fn attach_pinned(interface: &str, pins: &Path) -> Result<Self, ProbeError> {
        let mut object = load(Some(pins))?;
        let program = program(&mut object)?;
        let pin = pins.join(LINK);
        if let Ok(link) = PinnedLink::from_pin(&pin) {
            let link = FdLink::from(link).try_into().map_err(ProbeError::of("taking over the pinned guard"))?;
            program.attach_to_link(link).map_err(ProbeError::of("replacing the pinned guard"))?;
        } else {
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            let link = program.attach_with_options(interface, TcAttachType::Egress, options);
            let link = link.map_err(ProbeError::of("attaching the guard by tcx"))?;
            let link = program.take_link(link).map_err(ProbeError::of("attaching the guard by tcx"))?;
            let link: FdLink = link.try_into().map_err(ProbeError::of("attaching the guard by tcx"))?;
            link.pin(&pin).map_err(ProbeError::of("pinning the guard"))?;
        }
        Self::of(object, How::Tcx)
    }

    /// By a filter of clsact, which stays as long as its interface.
    fn attach_filter(interface: &str, pins: Option<&Path>) -> Result<Self, ProbeError> {
        let mut object = load(pins)?;
        let program = program(&mut object)?;
        // That it is there already is no fault.
        let _ = tc::qdisc_add_clsact(interface);
        let attach = |program: &mut SchedClassifier, handle| {
            let options = TcAttachOptions::Netlink(NlOptions { priority: PRIORITY, handle, classid: None });
            let link = program.attach_with_options(interface, TcAttachType::Egress, options)?;
            // The filter is to stay: the link's end would take it away.
            std::mem::forget(program.take_link(link)?);
            Ok::<_, aya::programs::ProgramError>(())
        };
        let [one, other] = HANDLES;
        let last = match attach(program, one) {
            Ok(()) => other,
            Err(_) => {
                attach(program, other).map_err(ProbeError::of("attaching the guard by clsact"))?;
                one
            }
        };
        detach_filter(interface, last);
        Self::of(object, How::Clsact)
    }

    fn of(mut object: aya::Ebpf, how: How) -> Result<Self, ProbeError> {
        let file = program(&mut object)?.fd().map_err(ProbeError::of("opening the guard")).and_then(ProgramFile::of)?;
        let files = MapFiles::of(&object, "GUARD_");
        let mut take = |name| {
            object.take_map(name).ok_or_else(|| ProbeError::because("opening the guard's maps", format!("no {name}")))
        };
        let (total, kinds, reports) = (take(GUARD_TOTAL)?, take(GUARD_KINDS)?, take(GUARD_REPORTS)?);
        let reports = RingBuf::try_from(reports).map_err(ProbeError::of("opening the guard's reports"))?;
        Ok(Self { how, maps: Maps::of(total, kinds)?, reports, program: file, files })
    }

    /// What was dropped.
    ///
    /// # Errors
    /// The kernel does not let us read.
    pub fn counts(&self) -> Result<Counts, ProbeError> {
        self.maps.counts()
    }

    /// Its program and maps on an interface.
    fn inventory(&self, interface: &str) -> Inventory {
        let attached = vec![format!("{interface} ({})", self.how)];
        let kinds = || self.maps.kinds.keys().count() as u64;
        let used = |name: &str| (name == GUARD_KINDS).then(kinds);
        Inventory { programs: vec![self.program.describe(GUARD, attached)], maps: self.files.describe(interface, used) }
    }

    /// How it is attached, and what it dropped.
    ///
    /// # Errors
    /// The kernel does not let us read.
    pub fn status(&self) -> Result<Status, ProbeError> {
        Ok(Status { how: self.how, counts: self.counts()? })
    }

    /// Hands over the reports that wait: the first frame of each kind.
    pub fn reports(&mut self, mut each: impl FnMut(&Dropped)) {
        while let Some(report) = self.reports.next() {
            if let Some(report) = Dropped::from_bytes(&report) {
                each(&report);
            }
        }
    }
}

/// The counters.
struct Maps {
    total: PerCpuArray<MapData, Tally>,
    kinds: PerCpuHashMap<MapData, u32, Tally>,
}

impl Maps {
    fn of(total: Map, kinds: Map) -> Result<Self, ProbeError> {
        let what = "opening the guard's counters";
        Ok(Self {
            total: total.try_into().map_err(ProbeError::of(what))?,
            kinds: kinds.try_into().map_err(ProbeError::of(what))?,
        })
    }

    fn pinned(pins: &Path) -> Result<Self, ProbeError> {
        let open = |name| MapData::from_pin(pins.join(name)).map_err(ProbeError::of("opening the guard's counters"));
        Self::of(Map::PerCpuArray(open(GUARD_TOTAL)?), Map::PerCpuHashMap(open(GUARD_KINDS)?))
    }

    fn counts(&self) -> Result<Counts, ProbeError> {
        let failed = ProbeError::of("reading the guard's counters");
        let total = sum(&self.total.get(&0, 0).map_err(&failed)?);
        let kinds: Result<Vec<_>, _> = self.kinds.iter().collect();
        let mut kinds: Vec<_> =
            kinds.map_err(&failed)?.into_iter().map(|(kind, tallies)| (kind, sum(&tallies))).collect();
        kinds.sort_unstable();
        Ok(Counts { total, kinds })
    }
}

fn sum(tallies: &PerCpuValues<Tally>) -> Tally {
    tallies.iter().fold([0, 0], |[frames, bytes], tally| [frames + tally[0], bytes + tally[1]])
}

/// Loads the object; with a folder for the pins the maps of a guard that is there are used again.
fn load(pins: Option<&Path>) -> Result<aya::Ebpf, ProbeError> {
    let mut loader = aya::EbpfLoader::new();
    if let Some(pins) = pins {
        for name in MAPS {
            loader.map_pin_path(name, pins.join(name));
        }
    }
    loader.load(OBJECT).map_err(ProbeError::of("loading the programs"))
}

fn program(object: &mut aya::Ebpf) -> Result<&mut SchedClassifier, ProbeError> {
    let program =
        object.program_mut(GUARD).ok_or_else(|| ProbeError::because("loading the guard", "it is not there"))?;
    let program: &mut SchedClassifier = program.try_into().map_err(ProbeError::of("loading the guard"))?;
    if program.fd().is_err() {
        super::load("loading the guard", || program.load())?;
    }
    Ok(program)
}

fn detach_filter(interface: &str, handle: TcHandle) {
    // Dropping such a link detaches it; that there is none is no fault.
    drop(tc::SchedClassifierLink::attached(interface, TcAttachType::Egress, PRIORITY, handle, None));
}

fn clear(pins: &Path) -> io::Result<()> {
    for name in MAPS.iter().chain(&[LINK]) {
        match std::fs::remove_file(pins.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::remove_dir(pins)
}

/// A guard as its pins show it, whether a sensor runs or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How it is attached.
    pub how: How,
    /// What it dropped.
    pub counts: Counts,
}

/// The guard on an interface of this thread's network namespace; `None` if there are no pins of one. A filter of clsact on
/// a machine without the BPF file system is not seen.
///
/// # Errors
/// There are pins that cannot be read.
pub fn status(interface: &str) -> Result<Option<Status>, ProbeError> {
    let Some(pins) = pins(interface).filter(|pins| pins.exists()) else { return Ok(None) };
    let counts = Maps::pinned(&pins)?.counts()?;
    let how = if pins.join(LINK).exists() { How::Tcx } else { How::Clsact };
    Ok(Some(Status { how, counts }))
}

/// Takes the guard off an interface; false if there was none.
///
/// # Errors
/// No right to, or no such interface.
pub fn remove(interface: &str) -> Result<bool, ProbeError> {
    if interface::index(interface).is_none() {
        return Err(ProbeError::because("removing the guard", "there is no such interface"));
    }
    let filter = tc::qdisc_detach_program(interface, TcAttachType::Egress, GUARD).is_ok();
    let Some(pins) = pins(interface).filter(|pins| pins.exists()) else { return Ok(filter) };
    let link = PinnedLink::from_pin(pins.join(LINK)).and_then(|link| FdLink::from(link).info());
    clear(&pins).map_err(ProbeError::of("removing the guard's pins"))?;
    if let Ok(link) = link {
        await_detached(interface, link.program_id());
    }
    Ok(true)
}

/// The kernel takes a link without a pin away in its own time: this waits for it, a moment at most.
fn await_detached(interface: &str, program: u32) {
    let attached = || {
        let programs = SchedClassifier::query_tcx(interface, TcAttachType::Egress);
        programs.is_ok_and(|(_, programs)| programs.iter().any(|attached| attached.id() == program))
    };
    let end = Instant::now() + Duration::from_secs(1);
    while attached() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether an interface is guarded.
pub enum Standing {
    /// It is.
    Guarded(Box<Guard>),
    /// It should be, but cannot, or is not to.
    Unguarded,
    /// It has an address of its own, and so is no mere tap.
    Host,
}

/// The guards of a sensor's interfaces.
pub struct Guards {
    /// Attach any?
    wanted: bool,
    /// By interface: its number, and whether it is guarded.
    standings: Mutex<HashMap<String, (u32, Standing)>>,
}

impl Guards {
    /// None yet. Those that are attached already stay, wanted or not.
    pub fn new(wanted: bool) -> Self {
        Self { wanted, standings: Mutex::default() }
    }

    /// Sees to it that an interface is guarded and keeps quiet, and logs how, or why not. Does nothing when it was asked
    /// before for the same interface.
    pub fn protect(&self, interface: &str) {
        let Some(number) = interface::index(interface) else { return };
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        if standings.get(interface).is_some_and(|(of, _)| *of == number) {
            return;
        }
        standings.insert(interface.to_owned(), (number, protect(interface, self.wanted)));
    }

    /// Asks whether an interface is guarded.
    pub(in crate::capture) fn standing<T>(&self, interface: &str, ask: impl FnOnce(&Standing) -> T) -> T {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        ask(standings.get(interface).map_or(&Standing::Unguarded, |(_, standing)| standing))
    }

    /// Programs and maps of all of them.
    pub(in crate::capture) fn inventory(&self) -> Inventory {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Inventory::default();
        for (interface, (_, standing)) in standings.iter() {
            if let Standing::Guarded(guard) = standing {
                let Inventory { programs, maps } = guard.inventory(interface);
                all.programs.extend(programs);
                all.maps.extend(maps);
            }
        }
        all
    }

    /// Hands over the reports that wait, with the interface: the first frame of each kind.
    pub(in crate::capture) fn reports(&self, mut each: impl FnMut(&str, &Dropped)) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        for (interface, (_, standing)) in standings.iter_mut() {
            if let Standing::Guarded(guard) = standing {
                guard.reports(|report| each(interface, report));
            }
        }
    }
}

fn protect(interface: &str, wanted: bool) -> Standing {
    if let Some(address) = own_address(interface) {
        tracing::warn!(
            interface,
            "not guarded: it has {address}, so it is no mere tap; take the address off, or set capture.guard = false"
        );
        return Standing::Host;
    }
    if !wanted {
        return Standing::Unguarded;
    }
    let standing = match Guard::attach(interface) {
        Ok(guard) => {
            tracing::info!(interface, how = %guard.how, "guarded: the kernel drops whatever is to be sent there");
            Standing::Guarded(Box::new(guard))
        }
        Err(error) => {
            tracing::warn!(interface, "not guarded: {error}");
            Standing::Unguarded
        }
    };
    // Guarded or not, it has no reason to speak.
    if let Err(error) = Control::open().and_then(|control| control.silence(interface)) {
        tracing::warn!(interface, "not silenced (ARP and IPv6 off): {error}");
    }
    standing
}

/// An address by which this machine itself is reached over an interface: a guard there would cut it off.
fn own_address(interface: &str) -> Option<&'static str> {
    if interface == "lo" {
        return Some("the loopback's addresses");
    }
    if Control::open().and_then(|control| control.has_ipv4(interface)).unwrap_or(false) {
        return Some("an IPv4 address");
    }
    // Address, number, prefix, scope (0x20: link-local, which every interface gives itself), flags, name.
    let table = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let of_interface = |line: &str| line.split_whitespace().nth(5) == Some(interface);
    let global = |line: &str| line.split_whitespace().nth(3).is_some_and(|scope| scope != "20");
    table.lines().any(|line| of_interface(line) && global(line)).then_some("an IPv6 address")
}
