//! The tap: a program that sees every frame of an interface before the kernel makes a packet of it, counts it, drops what
//! nobody wants to see, and steers the rest to the workers' sockets.
//!
//! One load of it serves all interfaces: flows and redundant LANs that come over two of them share their memory. Where an
//! interface takes no XDP program, the same decisions are made by a filter on its packet sockets ([`Tap::filter`]). The
//! ingress hook of tc would be of no use for that: packet sockets get their copy before it.
//!
//! **The ledger.** From [`Tap::attach`] on every frame has exactly one fate. Until [`Tap::open`] it is *held*: dropped,
//! because nobody reads yet; so what is delivered is what readers get. What the interface had counted by then is noted
//! ([`Counted::before`]), so that its own count can be held against the tap's.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap as KernelHash, LpmTrie, MapData, PerCpuArray, PerCpuHashMap, PerCpuValues, XskMap};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{SocketFilter, TestRun as _, TestRunOptions, Xdp, XdpMode};
use vigia_probes_abi::Tally;
use vigia_probes_abi::tap::{
    CLASS_ENTRIES, CLASSES_MAX, COMPARED_WORDS, Counts, FILTER, Fate, FlowKey, INTERFACES_MAX, LANS, Numbers, Place,
    SIZES, SOCKETS_MAX, Settings, Shunted, Switch, TAP, TAP_CLASSES, TAP_COUNTS, TAP_INTERFACES, TAP_MIRRORED,
    TAP_NETWORKS, TAP_REDUNDANT, TAP_SETTINGS, TAP_SHUNTS, TAP_SOCKETS, TAP_SWITCHES, TAP_VLANS, vlan_key,
};

use super::inventory::{Inventory, MapFiles, ProgramFile};
use super::raw::Raw;
use super::{OBJECT, ProbeError};
use crate::capture::interface;
use crate::capture::shunt::Shunts;
use crate::capture::tap::{Class, Classes, Network, Number, TapSettings};
use crate::flow::duplicate;

/// What the kernel calls "drop" of XDP.
const XDP_DROP: u32 = 1;

/// What the tap is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is ignored, and which frames go first.
    pub settings: TapSettings,
    /// Which frames are copies.
    pub duplicates: duplicate::Settings,
    /// Bytes that a packet socket takes of a frame.
    pub snaplen: u32,
}

/// How frames are shared out among the sockets of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steer {
    /// Queues of the interface that have sockets.
    pub queues: u32,
    /// Workers; each has a socket on every queue.
    pub workers: u32,
}

/// How an interface takes the tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// XDP in the driver.
    Native,
    /// XDP behind the driver, by the kernel.
    Generic,
    /// A filter on the packet sockets.
    Filter,
}

impl Mode {
    /// Its name in status, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "xdp-native",
            Self::Generic => "xdp-generic",
            Self::Filter => "socket-filter",
        }
    }
}

/// Redundant LANs and paths, as [`Counted::lans`] has them.
pub const LAN_NAMES: [&str; LANS] = ["prp-a", "prp-b", "hsr-a", "hsr-b"];

/// What the tap counted on an interface since it was attached first. Tallies are frames and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Every frame.
    pub total: Tally,
    /// Given to packet sockets or to workers' sockets.
    pub delivered: Tally,
    /// Dropped while nobody was reading yet, or any more.
    pub held: Tally,
    /// Dropped because the configuration says so.
    pub ignored: Tally,
    /// Second copies dropped.
    pub duplicates: Tally,
    /// Dropped as frames of shunted flows.
    pub shunted: Tally,
    /// Dropped under pressure, by class; classes without are left out.
    pub shed: Vec<(String, Tally)>,
    /// Every frame, by class; classes without are left out.
    pub classes: Vec<(String, Tally)>,
    /// Every tagged frame by its outermost VLAN.
    pub vlans: BTreeMap<u16, Tally>,
    /// Every frame by size: the upper bound in bytes with the frame check sequence, `None` for longer ones.
    pub sizes: Vec<(Option<u32>, Tally)>,
    /// Frames of PRP and HSR by [`LAN_NAMES`], and the copies dropped of them.
    pub lans: [[u64; 2]; LANS],
    /// Frames of which a copy would not have been known, since too many were remembered.
    pub forgotten: u64,
    /// Tagged frames whose VLAN is not counted apart, because too many are.
    pub other_vlans: u64,
    /// What the interface's own count is ahead of [`Counted::total`]: what came before the tap was there. Least and most: the
    /// two differ by the frames that came while it was put there.
    pub before: [i64; 2],
    /// Frames that this machine sends count as well.
    pub outgoing: bool,
}

impl Counted {
    /// Frames that were shed.
    pub fn shed_frames(&self) -> u64 {
        self.shed.iter().map(|(_, tally)| tally[0]).sum()
    }

    /// The total less all fates: 0.
    pub fn difference(&self) -> i64 {
        let fates = [self.delivered, self.held, self.ignored, self.duplicates, self.shunted];
        let sum = fates.iter().map(|tally| tally[0]).sum::<u64>() + self.shed_frames();
        self.total[0].wrapping_sub(sum) as i64
    }
}

/// The tap, loaded. Dropping it takes it off its interfaces.
pub struct Tap {
    inner: Mutex<Inner>,
    shunts: Mutex<ShuntTable>,
    switches: Mutex<Array<MapData, u32>>,
    /// Directions that may still be shunted.
    room: Mutex<usize>,
    shunts_most: usize,
    programs: [(&'static str, ProgramFile); 2],
    files: MapFiles,
}

type ShuntTable = PerCpuHashMap<MapData, Raw<FlowKey>, Raw<Shunted>>;

struct Inner {
    object: aya::Ebpf,
    interfaces: HashMap<String, Attached>,
    next_slot: u32,
    next_socket: u32,
    classes: Classes,
    /// The level of shedding.
    level: usize,
    networks: Vec<Network>,
    secrets: [[u32; 2]; COMPARED_WORDS + 1],
    masks: [u32; 2],
    /// The entries of the classes that were written.
    told_classes: Vec<Option<[u8; 8]>>,
    maps: Maps,
}

struct Maps {
    settings: Array<MapData, Raw<Settings>>,
    places: KernelHash<MapData, u32, Raw<Place>>,
    counts: PerCpuArray<MapData, Raw<Counts>>,
    vlans: PerCpuHashMap<MapData, u32, Tally>,
    classes: Array<MapData, [u8; 8]>,
    networks_v4: LpmTrie<MapData, [u8; 4], u32>,
    networks_v6: LpmTrie<MapData, [u8; 16], u32>,
    sockets: XskMap<MapData>,
}

/// An interface that the tap knows. It keeps its slot, and so its counts, when the interface comes and goes.
struct Attached {
    /// The kernel's number of it; `None` while the tap is off it.
    number: Option<u32>,
    link: Option<XdpLinkId>,
    mode: Mode,
    place: Place,
    before: [i64; 2],
    earlier: Earlier,
}

/// What was counted by classes that have other numbers now.
#[derive(Default)]
struct Earlier {
    /// The counters at that time, which go on.
    counts: Option<Box<Counts>>,
    classes: BTreeMap<String, Tally>,
    shed: BTreeMap<String, Tally>,
}

impl Earlier {
    /// The tallies by the names of classes: earlier ones, and those of `list` since then.
    fn by_name(&self, list: &[Class], now: &Counts) -> [BTreeMap<String, Tally>; 2] {
        let base = self.counts.as_deref().unwrap_or(&Counts::ZERO);
        let sum = |earlier: &BTreeMap<String, Tally>, base: &[Tally], now: &[Tally]| {
            let mut sum = earlier.clone();
            for (class, (base, now)) in list.iter().zip(base.iter().zip(now)).filter(|(_, (base, now))| base != now) {
                let tally = sum.entry(class.name.clone()).or_default();
                *tally = [tally[0] + now[0] - base[0], tally[1] + now[1] - base[1]];
            }
            sum
        };
        [sum(&self.classes, &base.classes, &now.classes), sum(&self.shed, &base.shed, &now.shed)]
    }
}

impl Tap {
    /// Loads the programs, with nothing attached. The tap is closed: everything is held.
    ///
    /// # Errors
    /// The kernel has no BPF, or does not let us (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON).
    pub fn load(plan: &Plan) -> Result<Self, ProbeError> {
        Self::load_with_secret(plan, random)
    }

    /// Loads the programs with a secret of the caller's: by it frames share the memory in which copies are looked for, so
    /// that a test which draws the same one always sees the same frames forgotten. Outside of tests nobody may know it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with_secret(plan: &Plan, mut secret: impl FnMut() -> u64) -> Result<Self, ProbeError> {
        let what = "loading the tap";
        // Two directions a flow, and room that the kernel sets aside for each processor, so that it never has to forget one.
        let processors = aya::util::nr_cpus().map_or(256, |count| count as u32);
        let shunts = 2 * plan.settings.shunt_flows + 256 * processors;
        let sizes = [plan.duplicates.redundant_entries, plan.duplicates.mirrored_entries];
        let sizes = sizes.map(|entries| entries.clamp(1, 1 << 24).next_power_of_two());
        let mut object = aya::EbpfLoader::new()
            .map_max_entries(TAP_SHUNTS, shunts)
            .map_max_entries(TAP_REDUNDANT, sizes[0])
            .map_max_entries(TAP_MIRRORED, sizes[1])
            .load(OBJECT)
            .map_err(ProbeError::of(what))?;
        let program: &mut Xdp = program(&mut object, TAP)?.try_into().map_err(ProbeError::of(what))?;
        super::load(what, || program.load())?;
        let tap = ProgramFile::of(program.fd().map_err(ProbeError::of(what))?)?;
        let program: &mut SocketFilter =
            self::program(&mut object, FILTER)?.try_into().map_err(ProbeError::of(what))?;
        super::load(what, || program.load())?;
        let filter = ProgramFile::of(program.fd().map_err(ProbeError::of(what))?)?;
        let files = MapFiles::of(&object, "TAP_");
        macro_rules! map {
            ($name:expr) => {
                object
                    .take_map($name)
                    .ok_or_else(|| ProbeError::because(what, format!("no map {}", $name)))?
                    .try_into()
                    .map_err(ProbeError::of(what))?
            };
        }
        let maps = Maps {
            settings: map!(TAP_SETTINGS),
            places: map!(TAP_INTERFACES),
            counts: map!(TAP_COUNTS),
            vlans: map!(TAP_VLANS),
            classes: map!(TAP_CLASSES),
            networks_v4: map!(TAP_NETWORKS[0]),
            networks_v6: map!(TAP_NETWORKS[1]),
            sockets: map!(TAP_SOCKETS),
        };
        let (shunts, switches) = (map!(TAP_SHUNTS), map!(TAP_SWITCHES));
        let mut secrets = [[0; 2]; COMPARED_WORDS + 1];
        for pair in &mut secrets {
            let drawn = secret();
            *pair = [drawn as u32, (drawn >> 32) as u32];
        }
        let inner = Inner {
            object,
            interfaces: HashMap::new(),
            next_slot: 0,
            next_socket: 0,
            classes: Classes::new(&plan.settings),
            level: 0,
            networks: Vec::new(),
            secrets,
            masks: sizes.map(|size| size - 1),
            told_classes: vec![None; CLASS_ENTRIES as usize],
            maps,
        };
        let shunts_most = 2 * plan.settings.shunt_flows as usize;
        let room = Mutex::new(shunts_most);
        let programs = [(TAP, tap), (FILTER, filter)];
        let tap = Self {
            inner: Mutex::new(inner),
            shunts: Mutex::new(shunts),
            switches: Mutex::new(switches),
            room,
            shunts_most,
            programs,
            files,
        };
        tap.configure(plan)?;
        Ok(tap)
    }

    /// Takes new settings over, while frames come. Sizes of tables stay as they are.
    ///
    /// # Errors
    /// The kernel does not let us write.
    pub fn configure(&self, plan: &Plan) -> Result<(), ProbeError> {
        let mut inner = self.lock();
        // Classes change their numbers: until all have them, none is shed, lest it be the wrong one.
        self.keep(CLASSES_MAX)?;
        inner.configure(plan)?;
        self.keep(inner.kept())
    }

    /// Puts the tap on an interface of this thread's network namespace, by the first of `modes` of XDP that works. Everything
    /// is held there until [`Tap::open`]. Counts go on where they were. One that is there already is exchanged.
    ///
    /// # Errors
    /// No such interface, no right to, or another program is there.
    pub fn attach(&self, interface: &str, steer: Option<Steer>, modes: &[Mode]) -> Result<Mode, ProbeError> {
        let mut inner = self.lock();
        let number = inner.enter(interface, steer, false)?;
        let mut last = None;
        for &mode in modes {
            let flags = match mode {
                Mode::Native => XdpMode::Driver,
                Mode::Generic => XdpMode::Skb,
                Mode::Filter => continue,
            };
            let program: &mut Xdp =
                program(&mut inner.object, TAP)?.try_into().map_err(ProbeError::of("attaching the tap"))?;
            match program.attach_to_if_index(number, flags) {
                Ok(link) => {
                    if let Some(attached) = inner.interfaces.get_mut(interface) {
                        (attached.link, attached.mode) = (Some(link), mode);
                    }
                    inner.note_before(interface);
                    return Ok(mode);
                }
                Err(error) => last = Some(error),
            }
        }
        inner.leave(interface)?;
        let error = last.map_or_else(|| "it is nowhere".to_owned(), |error| ProbeError::of("")(error).why);
        Err(ProbeError::because("attaching the tap", error))
    }

    /// The tap as a filter for the packet sockets of an interface that takes no XDP program: to be set on each of them.
    /// Frames that this machine sends are taken if `outgoing`.
    ///
    /// # Errors
    /// No such interface, or no right to.
    pub fn filter(&self, interface: &str, outgoing: bool) -> Result<OwnedFd, ProbeError> {
        let what = "making a filter of the tap";
        let mut inner = self.lock();
        inner.enter(interface, None, outgoing)?;
        let program: &mut SocketFilter =
            program(&mut inner.object, FILTER)?.try_into().map_err(ProbeError::of(what))?;
        let loaded = program.fd().map_err(ProbeError::of(what))?;
        loaded.as_fd().try_clone_to_owned().map_err(ProbeError::of(what))
    }

    /// Takes the tap off an interface; its counts stay. Does nothing where it is not.
    ///
    /// # Errors
    /// No right to.
    pub fn detach(&self, interface: &str) -> Result<(), ProbeError> {
        self.lock().leave(interface)
    }

    /// Gives the frames of a queue that are a worker's to its socket (AF_XDP).
    ///
    /// # Errors
    /// The tap is not on the interface, there is no such queue or worker, or the socket is not bound to the queue.
    pub fn set_socket(&self, interface: &str, queue: u32, worker: u32, socket: impl AsRawFd) -> Result<(), ProbeError> {
        let mut inner = self.lock();
        let index = inner.socket(interface, queue, worker)?;
        inner.maps.sockets.set(index, socket, 0).map_err(ProbeError::of("steering to a socket"))
    }

    /// Gives them to the kernel's stack, and so to packet sockets, again.
    ///
    /// # Errors
    /// The tap is not on the interface, or there is no such queue or worker.
    pub fn clear_socket(&self, interface: &str, queue: u32, worker: u32) -> Result<(), ProbeError> {
        let mut inner = self.lock();
        let index = inner.socket(interface, queue, worker)?;
        inner.maps.sockets.unset(index).map_err(ProbeError::of("steering away from a socket"))
    }

    /// Lets the frames of an interface through from now on: everybody reads.
    ///
    /// # Errors
    /// The tap is not there, or the kernel does not let us write.
    pub fn open(&self, interface: &str) -> Result<(), ProbeError> {
        self.lock().turn(interface, true)
    }

    /// Holds every frame of an interface from now on: what was delivered by now is all there is to read.
    ///
    /// # Errors
    /// The tap is not there, or the kernel does not let us write.
    pub fn hold(&self, interface: &str) -> Result<(), ProbeError> {
        self.lock().turn(interface, false)
    }

    /// Sheds the classes that go first: none at level 0, one more at each, all of IT at the highest.
    ///
    /// # Errors
    /// The kernel does not let us write.
    pub fn shed(&self, level: usize) -> Result<(), ProbeError> {
        let mut inner = self.lock();
        inner.level = level;
        self.keep(inner.kept())
    }

    fn keep(&self, classes: usize) -> Result<(), ProbeError> {
        self.switch(Switch::Keep, classes as u32)
    }

    /// Levels of shedding beside none.
    pub fn levels(&self) -> usize {
        self.lock().classes.levels()
    }

    /// The programs and maps, with where they are and how much of them is used.
    pub fn inventory(&self) -> Inventory {
        let room = *self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = self.lock();
        let there = |filter: bool| {
            let there = inner.interfaces.iter().filter(|(_, at)| at.number.is_some());
            let there = there.filter(|(_, at)| (at.mode == Mode::Filter) == filter);
            let mut there: Vec<_> = there.map(|(name, at)| format!("{name} ({})", at.mode.name())).collect();
            there.sort_unstable();
            there
        };
        let describe = |(name, file): &(&'static str, ProgramFile)| file.describe(name, there(*name == FILTER));
        let used = |name: &str| {
            let networks = |four: bool| inner.networks.iter().filter(|one| one.address.is_ipv4() == four).count();
            let used = match name {
                TAP_SHUNTS => self.shunts_most - room,
                TAP_INTERFACES => inner.interfaces.values().filter(|at| at.number.is_some()).count(),
                TAP_COUNTS => inner.next_slot as usize,
                TAP_SOCKETS => inner.interfaces.values().map(|at| (at.place.queues * at.place.workers) as usize).sum(),
                TAP_VLANS => inner.maps.vlans.keys().count(),
                _ if name == TAP_NETWORKS[0] => networks(true),
                _ if name == TAP_NETWORKS[1] => networks(false),
                _ => return None,
            };
            Some(used as u64)
        };
        Inventory { programs: self.programs.iter().map(describe).collect(), maps: self.files.describe("", used) }
    }

    /// The interfaces that the tap is on.
    pub fn interfaces(&self) -> Vec<String> {
        let inner = self.lock();
        let there = inner.interfaces.iter().filter(|(_, attached)| attached.number.is_some());
        there.map(|(name, _)| name.clone()).collect()
    }

    /// How an interface takes the tap; `None` where it is not.
    pub fn mode(&self, interface: &str) -> Option<Mode> {
        let inner = self.lock();
        let attached = inner.interfaces.get(interface)?;
        attached.number.map(|_| attached.mode)
    }

    /// What was counted on an interface.
    ///
    /// # Errors
    /// The tap was never there, or the kernel does not let us read.
    pub fn counts(&self, interface: &str) -> Result<Counted, ProbeError> {
        self.lock().counts(interface)
    }

    /// Runs the program on a frame as if it came in on the loopback, as often as wanted (BPF_PROG_TEST_RUN): whether it
    /// delivers it, and the time it took for each. For tests and benchmarks.
    ///
    /// # Errors
    /// The kernel does not run it: fewer than 14 bytes, or more than fit a page.
    pub fn trial(&self, mode: Mode, frame: &[u8], times: u32) -> Result<(bool, Duration), ProbeError> {
        let mut inner = self.lock();
        let what = "running the tap";
        // The kernel takes a link header off what a filter is given; this one wants to see one.
        let behind_header = [&[0; 12][..], &[0x90, 0], frame].concat();
        let options = |data| TestRunOptions { data_in: Some(data), repeat: times, ..Default::default() };
        let result = if mode == Mode::Filter {
            let program: &mut SocketFilter =
                program(&mut inner.object, FILTER)?.try_into().map_err(ProbeError::of(what))?;
            program.test_run(options(&behind_header))
        } else {
            let program: &mut Xdp = program(&mut inner.object, TAP)?.try_into().map_err(ProbeError::of(what))?;
            program.test_run(options(frame))
        };
        let result = result.map_err(ProbeError::of(what))?;
        let dropped = if mode == Mode::Filter { 0 } else { XDP_DROP };
        Ok((result.return_value != dropped, result.duration))
    }

    fn switch(&self, which: Switch, value: u32) -> Result<(), ProbeError> {
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.set(which as u32, value, 0).map_err(ProbeError::of("switching the tap"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shunts for Tap {
    /// TCP segments that begin or end a connection are not dropped.
    fn shunt(&self, keys: &[FlowKey]) -> usize {
        let mut shunts = self.shunts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let processors = aya::util::nr_cpus().unwrap_or(1);
        let taken = keys.iter().take(*room).filter(|key| {
            let Ok(nothing) = PerCpuValues::try_from(vec![Raw(Shunted::default()); processors]) else { return false };
            shunts.insert(Raw(**key), nothing, 0).is_ok()
        });
        let taken = taken.count();
        *room -= taken;
        drop((shunts, room));
        // Without the switch they would only not take effect.
        if taken > 0 {
            let _ = self.switch(Switch::Shunting, 1);
        }
        taken
    }

    fn shunted(&self, key: &FlowKey) -> Option<Shunted> {
        let shunts = self.shunts.lock().unwrap_or_else(PoisonError::into_inner);
        let values = shunts.get(&Raw(*key), 0).ok()?;
        Some(values.iter().fold(Shunted::default(), |sum, Raw(one)| Shunted {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
            last_ns: sum.last_ns.max(one.last_ns),
            tcp_flags: sum.tcp_flags | one.tcp_flags,
        }))
    }

    /// A frame that comes at this very moment may be missing in the count; the totals have it.
    fn unshunt(&self, key: &FlowKey) -> Option<Shunted> {
        let shunted = self.shunted(key);
        if self.shunts.lock().unwrap_or_else(PoisonError::into_inner).remove(&Raw(*key)).is_ok() {
            *self.room.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        shunted
    }

    fn is_ot(&self, protocol: u8, ports: [u16; 2]) -> bool {
        let of = match protocol {
            6 => Numbers::Tcp,
            17 => Numbers::Udp,
            _ => Numbers::Sctp,
        };
        let inner = self.lock();
        ports.into_iter().any(|number| inner.classes.is_ot(Number { of, number }))
    }
}

impl Inner {
    fn configure(&mut self, plan: &Plan) -> Result<(), ProbeError> {
        let failed = |error| ProbeError::of("telling the tap its settings")(error);
        let settings = &plan.settings;
        self.use_classes(Classes::new(settings))?;
        // New networks first: what stays ignored is so at every moment.
        for network in &settings.ignore_networks {
            self.maps.ignore(network).map_err(failed)?;
        }
        for network in std::mem::replace(&mut self.networks, settings.ignore_networks.clone()) {
            if !settings.ignore_networks.contains(&network) {
                self.maps.heed(&network).map_err(failed)?;
            }
        }
        let mut ignored_vlans = [0_u64; 64];
        for vlan in &settings.ignore_vlans {
            ignored_vlans[usize::from(vlan >> 6 & 63)] |= 1 << (vlan & 63);
        }
        let duplicates = &plan.duplicates;
        let if_wanted = |wanted: bool, ns: u64| if wanted { ns } else { 0 };
        let told = Settings {
            secrets: self.secrets,
            ignored_vlans,
            redundant_window_ns: if_wanted(duplicates.redundant, u64::from(duplicates.redundant_window_ms) * 1_000_000),
            mirrored_window_ns: if_wanted(duplicates.mirrored, u64::from(duplicates.mirrored_window_us) * 1_000),
            mirrored_unidentified_ns: u64::from(duplicates.mirrored_unidentified_us) * 1_000,
            redundant_mask: self.masks[0],
            mirrored_mask: self.masks[1],
            networks: [4, 6].map(|version| {
                let mut networks = settings.ignore_networks.iter();
                u32::from(networks.any(|network| network.address.is_ipv4() == (version == 4)))
            }),
            class_of_ip: self.classes.of_ip().into(),
            class_of_fragments: self.classes.of_fragments().into(),
            snaplen: plan.snaplen,
            reserved: 0,
        };
        self.maps.settings.set(0, Raw(told), 0).map_err(failed)
    }

    /// Classes that are kept at the level of shedding.
    fn kept(&self) -> usize {
        if self.level == 0 { CLASSES_MAX } else { self.classes.kept(self.level) }
    }

    /// Tells the programs the class of every number. Frames that come meanwhile may be counted under another class.
    fn use_classes(&mut self, classes: Classes) -> Result<(), ProbeError> {
        let what = "telling the tap the classes";
        if classes.list() != self.classes.list() {
            let slots: Vec<_> = self.interfaces.iter().map(|(name, at)| (name.clone(), at.place.slot)).collect();
            for (name, slot) in slots {
                let now = self.read(slot)?;
                let Some(attached) = self.interfaces.get_mut(&name) else { continue };
                let [by_class, shed] = attached.earlier.by_name(self.classes.list(), &now);
                attached.earlier = Earlier { counts: Some(Box::new(now)), classes: by_class, shed };
            }
        }
        for (index, (entry, before)) in classes.table().iter().zip(&mut self.told_classes).enumerate() {
            if before.as_ref() != Some(entry) {
                self.maps.classes.set(index as u32, entry, 0).map_err(ProbeError::of(what))?;
                *before = Some(*entry);
            }
        }
        self.classes = classes;
        Ok(())
    }

    /// Lets frames through, or holds them.
    fn turn(&mut self, interface: &str, open: bool) -> Result<(), ProbeError> {
        let what = "opening or closing the tap";
        let attached = self.interfaces.get_mut(interface);
        let (number, attached) = attached
            .and_then(|attached| attached.number.map(|number| (number, attached)))
            .ok_or_else(|| ProbeError::because(what, "it is not there"))?;
        attached.place.open = open.into();
        self.maps.places.insert(number, Raw(attached.place), 0).map_err(ProbeError::of(what))?;
        if open && attached.mode == Mode::Filter {
            // Frames that came while the sockets were given the filter one by one.
            self.note_before(interface);
        }
        Ok(())
    }

    /// Notes the most that the interface's count may be ahead of the tap's.
    fn note_before(&mut self, interface: &str) {
        let Some(place) = self.interfaces.get(interface).map(|attached| attached.place) else { return };
        let total = self.read(place.slot).map_or(0, |counts| counts.total[0]);
        let met = interface::statistics_of(interface).map_or(0, |now| now.met(place.outgoing != 0));
        if let Some(attached) = self.interfaces.get_mut(interface) {
            attached.before[1] = attached.before[1].max(met.wrapping_sub(total) as i64);
        }
    }

    fn read(&self, slot: u32) -> Result<Counts, ProbeError> {
        let values = self.maps.counts.get(&slot, 0).map_err(ProbeError::of("reading the tap's counters"))?;
        Ok(values.iter().fold(Counts::ZERO, |sum, Raw(one)| plus(sum, one)))
    }

    /// Makes an interface known to the programs; returns its number.
    fn enter(&mut self, interface: &str, steer: Option<Steer>, outgoing: bool) -> Result<u32, ProbeError> {
        let what = "attaching the tap";
        let number =
            interface::index(interface).ok_or_else(|| ProbeError::because(what, "there is no such interface"))?;
        self.leave(interface)?;
        let steer = steer.unwrap_or(Steer { queues: 0, workers: 0 });
        let known = self.interfaces.get(interface).map(|attached| attached.place);
        let slot = known.map_or(self.next_slot, |place| place.slot);
        if slot >= INTERFACES_MAX {
            return Err(ProbeError::because(what, format!("it serves {INTERFACES_MAX} interfaces at most")));
        }
        let sockets = match known {
            Some(place) if place.queues == steer.queues && place.workers == steer.workers => place.sockets,
            _ => self.next_socket,
        };
        let end = sockets + steer.queues * steer.workers;
        if end > SOCKETS_MAX {
            return Err(ProbeError::because(what, format!("it serves {SOCKETS_MAX} sockets at most")));
        }
        let link = u32::from(!interface::is_ethernet(interface));
        let place = Place {
            slot,
            link,
            sockets,
            queues: steer.queues,
            workers: steer.workers,
            outgoing: outgoing.into(),
            open: 0,
        };
        let total = self.read(slot)?.total[0];
        let met = interface::statistics_of(interface).map_or(0, |now| now.met(outgoing));
        let before = met.wrapping_sub(total) as i64;
        self.maps.places.insert(number, Raw(place), 0).map_err(ProbeError::of(what))?;
        self.next_slot = self.next_slot.max(slot + 1);
        self.next_socket = self.next_socket.max(end);
        let earlier = self.interfaces.remove(interface).map(|attached| attached.earlier).unwrap_or_default();
        let attached =
            Attached { number: Some(number), link: None, mode: Mode::Filter, place, before: [before; 2], earlier };
        self.interfaces.insert(interface.to_owned(), attached);
        Ok(number)
    }

    fn leave(&mut self, interface: &str) -> Result<(), ProbeError> {
        let Some(attached) = self.interfaces.get_mut(interface) else { return Ok(()) };
        let (number, link) = (attached.number.take(), attached.link.take());
        if let Some(link) = link {
            let program: &mut Xdp =
                program(&mut self.object, TAP)?.try_into().map_err(ProbeError::of("detaching the tap"))?;
            // It is off already where the interface is gone.
            let _ = program.detach(link);
        }
        if let Some(number) = number {
            let _ = self.maps.places.remove(&number);
        }
        Ok(())
    }

    fn socket(&self, interface: &str, queue: u32, worker: u32) -> Result<u32, ProbeError> {
        let place = self.interfaces.get(interface).map(|attached| attached.place);
        place
            .filter(|place| queue < place.queues && worker < place.workers)
            .map(|place| place.sockets + queue * place.workers + worker)
            .ok_or_else(|| ProbeError::because("steering to a socket", "there is no such queue or worker"))
    }

    fn counts(&self, interface: &str) -> Result<Counted, ProbeError> {
        let what = "reading the tap's counters";
        let attached = self.interfaces.get(interface).ok_or_else(|| ProbeError::because(what, "it is not there"))?;
        let slot = attached.place.slot;
        let counts = self.read(slot)?;
        let mut vlans = BTreeMap::new();
        for key in self.maps.vlans.keys() {
            let key = key.map_err(ProbeError::of(what))?;
            if key >> 16 == slot {
                let tallies = self.maps.vlans.get(&key, 0).map_err(ProbeError::of(what))?;
                let tally = tallies.iter().fold([0; 2], |sum: Tally, one| [sum[0] + one[0], sum[1] + one[1]]);
                vlans.insert(key as u16, tally);
            }
        }
        debug_assert!(vlans.keys().all(|vlan| vlan_key(slot, *vlan) >> 16 == slot));
        let fate = |fate: Fate| counts.fates[fate as usize];
        let [classes, shed] = attached.earlier.by_name(self.classes.list(), &counts);
        let bounds = SIZES.iter().copied().map(Some).chain([None]);
        Ok(Counted {
            total: counts.total,
            delivered: fate(Fate::Delivered),
            held: fate(Fate::Held),
            ignored: fate(Fate::Ignored),
            duplicates: fate(Fate::Duplicate),
            shunted: fate(Fate::Shunted),
            shed: self.in_order(shed),
            classes: self.in_order(classes),
            vlans,
            sizes: bounds.zip(counts.sizes).collect(),
            lans: counts.lans,
            forgotten: counts.forgotten,
            other_vlans: counts.other_vlans,
            before: attached.before,
            outgoing: attached.place.outgoing != 0,
        })
    }

    /// By the importance of the classes; those that are no more come last.
    fn in_order(&self, tallies: BTreeMap<String, Tally>) -> Vec<(String, Tally)> {
        let place = |name: &str| self.classes.list().iter().position(|class| class.name == name).unwrap_or(usize::MAX);
        let mut tallies: Vec<_> = tallies.into_iter().collect();
        tallies.sort_by_key(|(name, _)| place(name));
        tallies
    }
}

impl Maps {
    fn ignore(&mut self, network: &Network) -> Result<(), aya::maps::MapError> {
        let prefix = u32::from(network.prefix);
        match network.address {
            std::net::IpAddr::V4(address) => self.networks_v4.insert(&Key::new(prefix, address.octets()), 1, 0),
            std::net::IpAddr::V6(address) => self.networks_v6.insert(&Key::new(prefix, address.octets()), 1, 0),
        }
    }

    fn heed(&mut self, network: &Network) -> Result<(), aya::maps::MapError> {
        let prefix = u32::from(network.prefix);
        match network.address {
            std::net::IpAddr::V4(address) => self.networks_v4.remove(&Key::new(prefix, address.octets())),
            std::net::IpAddr::V6(address) => self.networks_v6.remove(&Key::new(prefix, address.octets())),
        }
    }
}

fn program<'o>(object: &'o mut aya::Ebpf, name: &'static str) -> Result<&'o mut aya::programs::Program, ProbeError> {
    object.program_mut(name).ok_or_else(|| ProbeError::because("loading the tap", format!("no program {name}")))
}

fn plus(mut sum: Counts, one: &Counts) -> Counts {
    fn add<'t>(sum: impl IntoIterator<Item = &'t mut Tally>, one: impl IntoIterator<Item = &'t Tally>) {
        for (sum, one) in sum.into_iter().zip(one) {
            *sum = [sum[0] + one[0], sum[1] + one[1]];
        }
    }
    add([&mut sum.total], [&one.total]);
    add(&mut sum.fates, &one.fates);
    add(&mut sum.classes, &one.classes);
    add(&mut sum.shed, &one.shed);
    add(&mut sum.sizes, &one.sizes);
    add(&mut sum.lans, &one.lans);
    sum.forgotten += one.forgotten;
    sum.other_vlans += one.other_vlans;
    sum
}

/// A number that nobody can guess: the key of a hasher comes from the system's random numbers.
fn random() -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(0_u8)
}
