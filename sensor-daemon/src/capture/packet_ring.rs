//! Live capture through AF_PACKET rings (TPACKET_V3): the kernel writes blocks of frames into memory it shares with us.
//!
//! Each worker has a ring on each interface ([`RingSource`]). The rings of an interface form a fanout group: the kernel
//! chooses the ring by a hash that is the same for both directions of a flow. The system calls stand in [`socket`],
//! the shared memory in [`map`], the layout of a block in [`block`].
//!
//! **Invariant.** Nothing is ever sent: the sockets have no call that could.

mod block;
mod map;
pub(super) mod socket;

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vigia_parsers::packet::LinkType;

use self::map::RingMap;
use self::socket::{PacketSocket, interface_index, wait};
use super::probes::{fanout, guard::Guards};
use super::{Each, Interface, InterfaceId, InterfaceSettings, Progress, Settings, Source, SourceCounts, SourceError};

/// How often an interface that is down is looked after. Longer than any block timeout's frames take to be read.
const RECOVERY_INTERVAL: Duration = Duration::from_millis(200);

/// One worker's share of all live interfaces: a ring on each.
pub struct RingSource {
    taps: Vec<Tap>,
    /// The tap whose turn it is.
    turn: usize,
    number: u64,
    poll_timeout_ms: u32,
    block_timeout: Duration,
    /// When it was closed.
    closed: Option<Instant>,
}

/// Opens a ring on every interface for every worker; one source a worker. An interface that is down is waited for.
///
/// No ring takes a frame before all rings of all interfaces stand, so none is seen by two workers.
///
/// # Errors
/// An interface that does not exist or is of no supported kind, no right to capture, or no memory for the rings.
pub fn open(settings: &Settings) -> Result<Vec<RingSource>, SourceError> {
    settings.validate()?;
    let guards = Arc::new(Guards::new(settings.guard));
    let fanout = fanout_program(settings.workers);
    let groups: Vec<Group> = settings.interfaces.iter().map(|_| Group::default()).collect();
    let mut sources = Vec::new();
    for _ in 0..settings.workers {
        let taps: Result<Vec<_>, _> = settings
            .interfaces
            .iter()
            .zip(&groups)
            .map(|(interface, group)| {
                let group = Membership { group: group.clone(), program: fanout.clone() };
                let group = (settings.workers > 1).then_some(group);
                Tap::open(Plan::new(interface, settings, group, Arc::clone(&guards)))
            })
            .collect();
        sources.push(RingSource {
            taps: taps?,
            turn: 0,
            number: 0,
            poll_timeout_ms: settings.poll_timeout_ms,
            block_timeout: Duration::from_millis(settings.block_timeout_ms.into()),
            closed: None,
        });
    }
    for tap in sources.iter().flat_map(|source| &source.taps) {
        if let Some(ring) = &tap.ring {
            ring.admit(&tap.plan)?;
        }
    }
    Ok(sources)
}

impl RingSource {
    /// Hands over the next block that is ready; returns the number of its frames.
    fn drain(&mut self, each: &mut Each<'_>) -> Option<usize> {
        let count = self.taps.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let frames = self.taps.get_mut(index)?.drain(index as InterfaceId, &mut self.number, each);
            if frames > 0 {
                self.turn = (index + 1) % count;
                return Some(frames);
            }
        }
        None
    }
}

impl Source for RingSource {
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        if let Some(frames) = self.drain(each) {
            return Ok(Progress::Frames(frames));
        }
        let (open, sockets): (Vec<usize>, Vec<RawFd>) = (self.taps.iter().enumerate())
            .filter_map(|(index, tap)| Some((index, tap.ring.as_ref()?.socket.as_raw_fd())))
            .unzip();
        let failed = wait(&sockets, self.poll_timeout_ms)
            .map_err(|cause| live_error("all interfaces", "waiting for packets", cause))?;
        let failed: Vec<usize> =
            open.into_iter().zip(failed).filter_map(|(tap, failed)| failed.then_some(tap)).collect();
        for (index, tap) in self.taps.iter_mut().enumerate() {
            tap.look_after(failed.contains(&index));
        }
        Ok(match self.drain(each) {
            Some(frames) => Progress::Frames(frames),
            // The kernel hands over a block that is not full within two of its timeouts.
            None if self.closed.is_some_and(|since| since.elapsed() > 2 * self.block_timeout) => Progress::End,
            None => Progress::Idle,
        })
    }

    fn close(&mut self) {
        for ring in self.taps.iter().filter_map(|tap| tap.ring.as_ref()) {
            // A filter that the kernel refuses leaves the ring open: more is handed over than need be, nothing is lost.
            let _ = ring.socket.set_filter(&mut [instruction(RETURN, 0)]);
        }
        self.closed = Some(Instant::now());
    }

    fn fill(&self) -> f32 {
        self.taps.iter().filter_map(|tap| tap.ring.as_ref()).map(Ring::fill).fold(0.0, f32::max)
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        self.taps.iter_mut().map(Tap::report).collect()
    }
}

/// The fanout group of an interface, shared by the workers' taps, once there is one: the interface's index and the
/// kernel's number of the group. An interface that comes back with another index needs another group.
type Group = Arc<Mutex<Option<(u32, u16)>>>;

/// A worker's way into the group of an interface.
struct Membership {
    group: Group,
    /// What shares the frames out, where the kernel has let us load it.
    program: Option<Arc<OwnedFd>>,
}

/// Loads the program that shares frames out among several workers; without it the kernel's own hash does, which does not
/// look into tunnels.
fn fanout_program(workers: u16) -> Option<Arc<OwnedFd>> {
    if workers < 2 {
        return None;
    }
    match fanout::load() {
        Ok(program) => {
            tracing::info!(workers, "frames are shared out by the innermost addresses (eBPF fanout)");
            Some(Arc::new(program))
        }
        Err(error) => {
            tracing::warn!(
                workers,
                "frames are shared out by the kernel's own hash, tunnels by their outside: {error}"
            );
            None
        }
    }
}

/// How a ring is to be opened, again and again if need be.
struct Plan {
    interface: InterfaceSettings,
    block_bytes: u32,
    block_count: u32,
    block_timeout_ms: u32,
    snaplen: u32,
    /// `None` with a single worker.
    group: Option<Membership>,
    guards: Arc<Guards>,
}

impl Plan {
    fn new(interface: &InterfaceSettings, settings: &Settings, group: Option<Membership>, guards: Arc<Guards>) -> Self {
        Self {
            interface: interface.clone(),
            block_bytes: settings.block_bytes,
            block_count: settings.block_count,
            block_timeout_ms: settings.block_timeout_ms,
            snaplen: settings.snaplen,
            group,
            guards,
        }
    }
}

/// One interface, as one worker sees it.
struct Tap {
    plan: Plan,
    /// `None` while the interface is away.
    ring: Option<Ring>,
    fault: Option<String>,
    looked_after: Instant,
    counts: SourceCounts,
}

impl Tap {
    fn open(plan: Plan) -> Result<Self, SourceError> {
        let ring = Ring::open(&plan)?;
        let fault = ring.is_none().then(|| DOWN.to_owned());
        Ok(Self { plan, ring, fault, looked_after: Instant::now(), counts: SourceCounts::default() })
    }

    /// Hands over the next block, if it is ready, and gives it back to the kernel.
    fn drain(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> usize {
        let Some(ring) = &mut self.ring else { return 0 };
        let Some(bytes) = ring.map.block(ring.next) else { return 0 };
        let before = self.counts.received;
        block::frames(bytes, ring.link, number, &mut self.counts, &mut |captured| each(captured, interface));
        ring.map.release(ring.next);
        ring.next = (ring.next + 1) % ring.map.block_count();
        (self.counts.received - before) as usize
    }

    /// Notes that the interface went down or away, and that it is back.
    fn look_after(&mut self, failed: bool) {
        if failed && let Some(ring) = &self.ring {
            match ring.socket.pending_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => self.note_outage(error.to_string()),
            }
        }
        if self.fault.is_some() && self.looked_after.elapsed() >= RECOVERY_INTERVAL {
            self.looked_after = Instant::now();
            self.recover();
        }
    }

    fn note_outage(&mut self, fault: String) {
        if self.fault.is_none() {
            self.counts.outages += 1;
            self.looked_after = Instant::now();
        }
        self.fault = Some(fault);
    }

    fn recover(&mut self) {
        let name = &self.plan.interface.name;
        let index = interface_index(name);
        if let Some(ring) = &self.ring
            && index == Some(ring.interface)
        {
            // The same interface: the kernel takes the socket up again by itself.
            self.fault = match ring.socket.is_up(name) {
                Ok(true) => None,
                Ok(false) => Some(DOWN.to_owned()),
                Err(error) => Some(error.to_string()),
            };
            return;
        }
        self.count_drops();
        self.ring = None;
        let reopened = Ring::open(&self.plan).and_then(|ring| {
            if let Some(ring) = &ring {
                ring.admit(&self.plan)?;
            }
            Ok(ring)
        });
        (self.ring, self.fault) = match reopened {
            Ok(Some(ring)) => (Some(ring), None),
            Ok(None) => (None, Some(DOWN.to_owned())),
            Err(error) => (None, Some(error.to_string())),
        };
    }

    /// Adds what the kernel dropped since the last time.
    fn count_drops(&mut self) {
        if let Some(ring) = &self.ring
            && let Ok(statistics) = ring.socket.statistics()
        {
            self.counts.kernel_dropped += u64::from(statistics.tp_drops);
            self.counts.ring_freezes += u64::from(statistics.tp_freeze_q_cnt);
        }
    }

    fn report(&mut self) -> Interface {
        self.count_drops();
        Interface { name: self.plan.interface.name.clone(), counts: self.counts, fault: self.fault.clone() }
    }
}

/// The fault of an interface that is administratively down.
const DOWN: &str = "the interface is down";

/// An open ring on an interface.
struct Ring {
    map: RingMap,
    socket: PacketSocket,
    interface: u32,
    link: LinkType,
    /// The block to be read next.
    next: usize,
}

impl Ring {
    /// Opens a ring that takes no frames before [`Ring::admit`]; `None` if the interface is down.
    fn open(plan: &Plan) -> Result<Option<Self>, SourceError> {
        let name = plan.interface.name.as_str();
        let failed = |what| move |cause| live_error(name, what, cause);
        let socket =
            PacketSocket::open().map_err(failed("opening a packet socket (the capability CAP_NET_RAW is needed)"))?;
        let interface = interface_index(name).ok_or_else(|| SourceError::NoInterface {
            name: name.to_owned(),
            existing: existing_interfaces().join(", "),
        })?;
        let kind = socket.hardware_type(name).map_err(failed("asking for the hardware type"))?;
        let link = link_type(kind).ok_or_else(|| SourceError::UnsupportedLink {
            name: name.to_owned(),
            number: u32::from(kind),
            known_as: "the kernel's ARPHRD number",
        })?;
        // Before anything makes it talk: it may be down yet.
        plan.guards.protect(name);
        if !socket.is_up(name).map_err(failed("asking whether it is up"))? {
            return Ok(None);
        }
        socket
            .set_ring(plan.block_bytes, plan.block_count, plan.block_timeout_ms)
            .map_err(failed("making a ring of block_count blocks of block_bytes"))?;
        let map = RingMap::new(socket.as_raw_fd(), plan.block_bytes as usize, plan.block_count as usize)
            .map_err(failed("mapping the ring"))?;
        socket.set_filter(&mut [instruction(RETURN, 0)]).map_err(failed("closing the filter"))?;
        socket.bind(interface).map_err(failed("binding to the interface"))?;
        if plan.interface.promiscuous {
            socket.set_promiscuous(interface).map_err(failed("making it promiscuous"))?;
        }
        if let Some(Membership { group, program }) = &plan.group {
            let program = program.as_ref().map(|program| program.as_fd());
            let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
            let existing = group.and_then(|(index, number)| (index == interface).then_some(number));
            let joined =
                socket.join_fanout(existing, program).map_err(failed("sharing it among the workers (fanout)"))?;
            *group = Some((interface, joined));
        }
        Ok(Some(Self { map, socket, interface, link, next: 0 }))
    }

    /// The share of the blocks that wait to be read. They stand in a row from the next one on, so the end of the row is
    /// found by halving.
    fn fill(&self) -> f32 {
        let count = self.map.block_count();
        let (mut waiting, mut beyond) = (0, count);
        while waiting < beyond {
            let middle = usize::midpoint(waiting, beyond);
            match self.map.block((self.next + middle) % count) {
                Some(_) => waiting = middle + 1,
                None => beyond = middle,
            }
        }
        waiting as f32 / count as f32
    }

    /// Takes frames from here on: up to the snap length, and those that come in, not those that go out.
    fn admit(&self, plan: &Plan) -> Result<(), SourceError> {
        let incoming_only = [
            instruction(LOAD_BYTE, (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned()),
            libc::sock_filter { jf: 1, ..instruction(JUMP_IF_EQUAL, u32::from(libc::PACKET_OUTGOING)) },
            instruction(RETURN, 0),
        ];
        let mut filter = Vec::new();
        if plan.interface.ignore_outgoing {
            filter.extend(incoming_only);
        }
        filter.push(instruction(RETURN, plan.snaplen));
        self.socket
            .set_filter(&mut filter)
            .map_err(|cause| live_error(&plan.interface.name, "setting the filter", cause))
    }
}

const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;

/// An instruction of the classic packet filter.
fn instruction(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Raw IP without any link layer (linux/if_arp.h).
const ARPHRD_RAWIP: u16 = 519;

/// What the frames of a raw packet socket on such an interface begin with.
fn link_type(hardware_type: u16) -> Option<LinkType> {
    match hardware_type {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::Ethernet),
        libc::ARPHRD_NONE | ARPHRD_RAWIP | libc::ARPHRD_TUNNEL | libc::ARPHRD_TUNNEL6 => Some(LinkType::RawIp),
        _ => None,
    }
}

/// Do frames of the interface begin with an Ethernet header? What cannot be asked is taken for one that does.
pub(super) fn is_ethernet(name: &str) -> bool {
    let kind = PacketSocket::open().and_then(|socket| socket.hardware_type(name));
    kind.map_or(true, |kind| link_type(kind) != Some(LinkType::RawIp))
}

fn live_error(name: &str, what: &'static str, cause: io::Error) -> SourceError {
    SourceError::Live { name: name.to_owned(), what, cause }
}

/// The names of the interfaces of this thread's network namespace.
pub fn existing_interfaces() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}
