//! Live capture through AF_PACKET rings (TPACKET_V3): the kernel writes blocks of frames into memory it shares with us.
//!
//! Each worker has a ring on each interface ([`RingQueue`]). The rings of an interface form a fanout group: the kernel
//! chooses the ring by a hash that is the same for both directions of a flow. The system calls stand in [`socket`],
//! the shared memory in [`map`], the layout of a block in [`block`].
//!
//! **Invariant.** Nothing is ever sent: the sockets have no call that could.

mod block;
mod map;
pub(super) mod socket;

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vigia_parsers::packet::LinkType;

use self::map::RingMap;
use self::socket::PacketSocket;
use super::inlet::Inlet;
use super::interface::{self, Control};
use super::live::{Health, Queue, live_error, no_interface};
use super::probes::guard::Guards;
use super::{Each, Interface, InterfaceId, InterfaceSettings, Settings, SourceCounts, SourceError};
use crate::language::Message;

/// Opens a ring on an interface for every worker; they share its frames out by the program, or by the kernel's own hash.
/// An interface that is down is waited for.
///
/// # Errors
/// An interface that does not exist or is of no supported kind, no right to capture, or no memory for the rings.
pub(super) fn open(
    interface: &InterfaceSettings,
    settings: &Settings,
    program: Option<&Arc<OwnedFd>>,
    guards: &Arc<Guards>,
    inlet: Option<&Arc<Inlet>>,
) -> Result<Vec<Box<dyn Queue>>, SourceError> {
    let group = Group::default();
    let ring = |_| {
        let membership = Membership { group: Arc::clone(&group), program: program.cloned() };
        let membership = (settings.workers > 1).then_some(membership);
        let plan = Plan {
            interface: interface.clone(),
            block_bytes: settings.block_bytes,
            block_count: settings.block_count,
            block_timeout_ms: settings.block_timeout_ms,
            snaplen: settings.snaplen,
            group: membership,
            guards: Arc::clone(guards),
            inlet: inlet.cloned(),
        };
        let queue = RingQueue::open(plan)?;
        Ok(Box::new(queue) as Box<dyn Queue>)
    };
    (0..settings.workers).map(ring).collect()
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

/// The longest tick that a kernel's clock has (100 Hz).
const TICK: Duration = Duration::from_millis(10);

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
    /// The tap before it, where the kernel has let us load it.
    inlet: Option<Arc<Inlet>>,
}

/// A worker's ring on an interface.
struct RingQueue {
    plan: Plan,
    /// `None` while the interface is away.
    ring: Option<Ring>,
    health: Health,
    counts: SourceCounts,
}

impl RingQueue {
    fn open(plan: Plan) -> Result<Self, SourceError> {
        let ring = Ring::open(&plan)?;
        let fault = ring.is_none().then(|| Health::DOWN.to_owned());
        Ok(Self { plan, ring, health: Health::new(fault), counts: SourceCounts::default() })
    }

    fn recover(&mut self) {
        let name = &self.plan.interface.name;
        if let Some(ring) = &self.ring
            && interface::index(name) == Some(ring.interface)
        {
            // The same interface: the kernel takes the socket up again by itself.
            self.health.fault = match Control::open().and_then(|control| control.is_up(name)) {
                Ok(true) => None,
                Ok(false) => Some(Health::DOWN.to_owned()),
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
        if let Some(inlet) = &self.plan.inlet {
            inlet.open();
        }
        (self.ring, self.health.fault) = match reopened {
            Ok(Some(ring)) => (Some(ring), None),
            Ok(None) => (None, Some(Health::DOWN.to_owned())),
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
}

impl Queue for RingQueue {
    fn admit(&mut self) -> Result<(), SourceError> {
        self.ring.as_ref().map_or(Ok(()), |ring| ring.admit(&self.plan))
    }

    /// Hands over the next block, if it is ready, and gives it back to the kernel.
    fn drain(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> Result<usize, SourceError> {
        let Some(ring) = &mut self.ring else { return Ok(0) };
        let Some(bytes) = ring.map.block(ring.next) else { return Ok(0) };
        let before = self.counts.received;
        block::frames(bytes, ring.link, number, &mut self.counts, &mut |captured| each(captured, interface));
        ring.map.release(ring.next);
        ring.next = (ring.next + 1) % ring.map.block_count();
        Ok((self.counts.received - before) as usize)
    }

    fn descriptors(&self, each: &mut dyn FnMut(RawFd)) {
        self.ring.iter().for_each(|ring| each(ring.socket.as_raw_fd()));
    }

    fn look_after(&mut self, failed: bool) {
        if failed && let Some(ring) = &self.ring {
            match ring.socket.pending_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => self.health.fail(error.to_string(), &mut self.counts),
            }
        }
        if self.health.fault.is_some() && self.health.is_due() {
            self.recover();
        }
    }

    fn close(&mut self) {
        if let Some(ring) = &self.ring {
            // A filter that the kernel refuses leaves the ring open: more is handed over than need be, nothing is lost.
            let _ = ring.socket.set_filter(&mut [instruction(RETURN, 0)]);
        }
    }

    /// The kernel hands over a block that is not full within two of its timeouts, where it counts them in ticks within two more.
    fn lag(&self) -> Duration {
        2 * (Duration::from_millis(self.plan.block_timeout_ms.into()) + TICK)
    }

    fn fill(&self) -> f32 {
        self.ring.as_ref().map_or(0.0, Ring::fill)
    }

    fn report(&mut self) -> Interface {
        self.count_drops();
        Interface { name: self.plan.interface.name.clone(), counts: self.counts, fault: self.health.fault.clone() }
    }
}

/// An open ring on an interface.
struct Ring {
    map: RingMap,
    socket: PacketSocket,
    interface: u32,
    link: LinkType,
    /// The block to be read next.
    next: usize,
    /// Its filter is the tap.
    is_tapped: bool,
}

impl Ring {
    /// Opens a ring that takes no frames before [`Ring::admit`]; `None` if the interface is down.
    fn open(plan: &Plan) -> Result<Option<Self>, SourceError> {
        let name = plan.interface.name.as_str();
        let failed = |what| move |cause| live_error(name, what, cause);
        let socket = PacketSocket::open().map_err(failed(Message::StepPacketSocket))?;
        let interface = interface::index(name).ok_or_else(|| no_interface(name))?;
        let control = Control::open().map_err(failed(Message::StepAsk))?;
        let kind = control.hardware_type(name).map_err(failed(Message::StepHardware))?;
        let link = link_type(kind).ok_or_else(|| SourceError::UnsupportedLink {
            name: name.to_owned(),
            number: u32::from(kind),
            known_as: Message::LinkArphrd.into(),
        })?;
        // Before anything makes it talk: it may be down yet.
        plan.guards.protect(name);
        let filter = plan.inlet.as_ref().and_then(|inlet| match inlet.enter() {
            Ok(filter) => filter,
            Err(error) => {
                tracing::warn!(interface = name, "frames come without the tap: {error}");
                None
            }
        });
        if !control.is_up(name).map_err(failed(Message::StepIsUp))? {
            return Ok(None);
        }
        socket
            .set_ring(plan.block_bytes, plan.block_count, plan.block_timeout_ms)
            .map_err(failed(Message::StepRing))?;
        let map = RingMap::new(socket.as_fd(), plan.block_bytes as usize, plan.block_count as usize)
            .map_err(failed(Message::StepMap))?;
        socket.set_filter(&mut [instruction(RETURN, 0)]).map_err(failed(Message::StepFilter))?;
        socket.bind(interface).map_err(failed(Message::StepBind))?;
        if plan.interface.promiscuous {
            socket.set_promiscuous(interface).map_err(failed(Message::StepPromiscuous))?;
        }
        if let Some(Membership { group, program }) = &plan.group {
            let program = program.as_ref().map(|program| program.as_fd());
            let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
            let existing = group.and_then(|(index, number)| (index == interface).then_some(number));
            let joined = socket.join_fanout(existing, program).map_err(failed(Message::StepFanout))?;
            *group = Some((interface, joined));
        }
        if let Some(filter) = &filter {
            socket.set_program(filter.as_fd()).map_err(failed(Message::StepTapFilter))?;
        }
        Ok(Some(Self { map, socket, interface, link, next: 0, is_tapped: filter.is_some() }))
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
        if self.is_tapped {
            // The tap says so.
            return Ok(());
        }
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
            .map_err(|cause| live_error(&plan.interface.name, Message::StepSetFilter, cause))
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
