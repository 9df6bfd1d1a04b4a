//! Live capture through AF_XDP: a program in the driver's receive path hands frames to rings that we share with the kernel,
//! past its network stack.
//!
//! The kernel gives a frame only to sockets on the queue of the interface that it came in by. So each worker has a socket on
//! every queue ([`Receiver`]), and the program chooses among those of a queue by the hash that fanout uses, too. The sockets
//! of a queue share its memory and the ring by which free chunks go back to the kernel ([`Pool`]); a worker takes the lock
//! of that ring once a batch.
//!
//! Losses of AF_XDP are nearly always for want of a free chunk. So there are more chunks than all receive rings of a queue and
//! the driver's own ring hold: however far behind the workers are, the rings are full first, and the loss is counted as
//! such.
//!
//! **Invariant.** Nothing is ever sent: the sockets have no ring to send from.

mod ring;
mod socket;
mod umem;

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};

pub(super) use self::socket::Copying;

use self::ring::{FillRing, ReceiveRing};
use self::socket::XdpSocket;
use self::umem::{HEADROOM, Umem};
use super::interface::{self, Control};
use super::live::{Health, Queue, live_error, no_interface};
use super::packet_ring::socket::PacketSocket;
use super::probes::guard::Guards;
use super::probes::tap::{self, Steer, Tap};
use super::{Each, Interface, InterfaceId, InterfaceSettings, Settings, SourceCounts, SourceError};
use crate::language::{Message, Phrase};

/// Most frames of a batch, and so the longest time that the ring of free chunks waits for them.
const BATCH_FRAMES: u32 = 256;

/// Fewest and most frames that a receive ring holds.
const FRAMES: [u64; 2] = [256, 1 << 20];

/// Fewest chunks beyond those that receive rings can hold: a driver without copies keeps thousands in its own ring.
const LEAST_SPARE: u32 = 4096;

/// Bytes of a chunk: the smallest the kernel has, and a page for longer frames.
const CHUNKS: [u32; 2] = [2048, 4096];

/// Bytes that a frame may have beyond the interface's MTU: Ethernet, and two VLAN tags.
const BEYOND_MTU: u32 = 14 + 8;

/// Time in which the kernel hands over what its program has passed on before: a round of its polling.
const LAG: Duration = Duration::from_millis(50);

/// Why an interface is not captured by AF_XDP.
pub(super) enum Refusal {
    /// It is not made for it; another way may do.
    Unfit(Phrase),
    /// The system's word; another way may do.
    Failed(SourceError),
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// Opens a socket on every queue of an interface for every worker.
///
/// # Errors
/// Why the interface cannot be captured on by AF_XDP, or not this way.
pub(super) fn open(
    interface: &InterfaceSettings,
    settings: &Settings,
    copying: Copying,
    tap: &Arc<Tap>,
    guards: &Arc<Guards>,
) -> Result<Vec<Box<dyn Queue>>, Refusal> {
    let port = Arc::new(Port {
        interface: interface.clone(),
        workers: settings.workers,
        snaplen: settings.snaplen,
        ring_bytes: u64::from(settings.block_count) * u64::from(settings.block_bytes),
        copying,
        tap: Arc::clone(tap),
        guards: Arc::clone(guards),
        opened: Mutex::new(Opened::default()),
    });
    let queue = |worker| {
        let (index, receivers) = port.take(worker)?;
        let queue = XdpQueue {
            port: Arc::clone(&port),
            worker,
            index,
            receivers,
            turn: 0,
            health: Health::default(),
            counts: SourceCounts::default(),
        };
        Ok(Box::new(queue) as Box<dyn Queue>)
    };
    let queues: Result<_, Refusal> = (0..settings.workers).map(queue).collect();
    if queues.is_err() {
        // What cannot be taken off now goes with the program.
        let _ = tap.detach(&interface.name);
    }
    queues
}

/// How much memory a queue of an interface has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    chunk_bytes: u32,
    chunks: u32,
    /// Frames of each worker's receive ring.
    receive_entries: u32,
}

impl Sizes {
    /// Receive rings of `ring_bytes` for every worker, shared out among the queues, and a quarter of that to spare; `None` if
    /// frames do not fit a chunk.
    fn new(mtu: u32, ring_bytes: u64, queues: u32, workers: u16) -> Option<Self> {
        let fits = |chunk: &u32| mtu.saturating_add(BEYOND_MTU) <= chunk - HEADROOM;
        let chunk_bytes = CHUNKS.into_iter().find(fits)?;
        let frames = ring_bytes / u64::from(queues.max(1)) / u64::from(chunk_bytes);
        let [least, most] = FRAMES;
        let receive_entries = 1 << frames.clamp(least, most).ilog2();
        let held = receive_entries * u32::from(workers);
        Some(Self { chunk_bytes, chunks: held + (held / 4).max(LEAST_SPARE), receive_entries })
    }

    fn fill_entries(&self) -> u32 {
        self.chunks.next_power_of_two()
    }
}

/// An interface, as all workers share it.
struct Port {
    interface: InterfaceSettings,
    workers: u16,
    snaplen: u32,
    ring_bytes: u64,
    copying: Copying,
    tap: Arc<Tap>,
    guards: Arc<Guards>,
    opened: Mutex<Opened>,
}

/// The sockets of an interface that is there; when it goes and comes back with another number they are made anew.
#[derive(Default)]
struct Opened {
    index: u32,
    /// By worker; taken by it.
    receivers: Vec<Vec<Receiver>>,
    /// Keeps the interface promiscuous.
    _membership: Option<PacketSocket>,
}

impl Port {
    /// A worker's sockets, one for each queue, and the number of the interface.
    fn take(&self, worker: u16) -> Result<(u32, Vec<Receiver>), Refusal> {
        let name = self.interface.name.as_str();
        let index = interface::index(name).ok_or_else(|| no_interface(name))?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.index != index {
            *opened = Opened::default();
            *opened = self.open(index)?;
        }
        let receivers = opened.receivers.get_mut(usize::from(worker)).map(std::mem::take);
        Ok((index, receivers.unwrap_or_default()))
    }

    fn open(&self, index: u32) -> Result<Opened, Refusal> {
        let name = self.interface.name.as_str();
        let failed = |what| move |cause| live_error(name, what, cause);
        let control = Control::open().map_err(failed(Message::StepAsk))?;
        let mtu = control.mtu(name).map_err(failed(Message::StepMtu))?;
        let queues = control.queues(name).map_err(failed(Message::StepQueues))?;
        let sizes = Sizes::new(mtu, self.ring_bytes, queues, self.workers).ok_or_else(|| {
            let most = CHUNKS[1] - HEADROOM - BEYOND_MTU;
            Refusal::Unfit(Message::WhyMtu.with([mtu.to_string().into(), most.to_string().into()]))
        })?;
        // Before anything makes it talk: it may be down yet.
        self.guards.protect(name);
        if let Err(error) = control.keep_vlan_tags(name) {
            return Err(Refusal::Unfit(Message::WhyVlanTags.with([error.to_string().into()])));
        }
        let steer = Steer { queues, workers: u32::from(self.workers) };
        let modes = [tap::Mode::Native, tap::Mode::Generic];
        self.tap.attach(name, Some(steer), &modes).map_err(|error| Refusal::Unfit(error.phrase()))?;
        let mut receivers: Vec<Vec<Receiver>> = (0..self.workers).map(|_| Vec::new()).collect();
        for queue in 0..queues {
            let made = self.open_queue(index, queue, sizes)?;
            receivers.iter_mut().zip(made).for_each(|(of_worker, receiver)| of_worker.push(receiver));
        }
        let membership = PacketSocket::open().map_err(failed(Message::StepPacketSocket))?;
        if self.interface.promiscuous {
            membership.set_promiscuous(index).map_err(failed(Message::StepPromiscuous))?;
        }
        Ok(Opened { index, receivers, _membership: Some(membership) })
    }

    /// Every worker's socket on a queue.
    fn open_queue(&self, index: u32, queue: u32, sizes: Sizes) -> Result<Vec<Receiver>, SourceError> {
        let failed = |what| move |cause| live_error(&self.interface.name, what, cause);
        let umem = Umem::new(sizes.chunk_bytes, sizes.chunks).map_err(failed(Message::StepMemory))?;
        let first = XdpSocket::open().map_err(failed(Message::StepXdpSocket))?;
        first.register(&umem).map_err(failed(Message::StepRegister))?;
        let fill_entries = sizes.fill_entries();
        let mut fill = first
            .make_fill_ring(fill_entries)
            .and_then(|()| FillRing::map(&first, fill_entries))
            .map_err(failed(Message::StepFillRing))?;
        umem.chunks().for_each(|chunk| fill.push(chunk));
        fill.publish();
        let pool = Arc::new(Pool { umem, fill: Mutex::new(fill) });
        let mut receivers = Vec::new();
        let mut next = Some(first);
        for _ in 0..self.workers {
            let socket = next.take().map_or_else(XdpSocket::open, Ok).map_err(failed(Message::StepXdpSocket))?;
            let ring = socket
                .make_receive_ring(sizes.receive_entries)
                .and_then(|()| ReceiveRing::map(&socket, sizes.receive_entries))
                .map_err(failed(Message::StepReceiveRing))?;
            match receivers.first() {
                None => socket.bind_first(index, queue, self.copying),
                Some(Receiver { socket: first, .. }) => socket.bind_beside(index, queue, first),
            }
            .map_err(failed(Message::StepBindQueue))?;
            let counted = Counted { of_pool: receivers.is_empty(), ..Counted::default() };
            receivers.push(Receiver { ring, socket, pool: Arc::clone(&pool), queue, counted });
        }
        Ok(receivers)
    }
}

/// What the workers share of a queue.
struct Pool {
    umem: Umem,
    fill: Mutex<FillRing>,
}

/// A worker's socket on a queue.
struct Receiver {
    ring: ReceiveRing,
    socket: XdpSocket,
    pool: Arc<Pool>,
    queue: u32,
    counted: Counted,
}

/// What of the kernel's statistics has been counted.
#[derive(Default)]
struct Counted {
    /// Counts what is the pool's, and so every socket's of the queue.
    of_pool: bool,
    ring_full: u64,
    dropped: u64,
    starved: u64,
}

impl Receiver {
    /// Hands over the waiting frames, a batch at most, and gives their chunks back.
    fn drain(&mut self, snaplen: usize, counts: &mut SourceCounts, each: &mut dyn FnMut(Received<'_>)) -> u32 {
        let count = self.ring.waiting().min(BATCH_FRAMES);
        if count == 0 {
            return 0;
        }
        let clock = Clock::read();
        for number in 0..count {
            let descriptor = self.ring.descriptor(number);
            // SAFETY: the descriptor stands in our receive ring, so its chunk is ours until it is pushed below, after the
            // borrow of the frame has ended.
            match unsafe { self.pool.umem.frame(&descriptor) } {
                Some((frame, arrival)) => {
                    let kept = frame.get(..snaplen).unwrap_or(frame);
                    counts.received += 1;
                    counts.bytes += kept.len() as u64;
                    each(Received { frame: kept, wire_length: descriptor.len, timestamp: clock.timestamp(arrival) });
                }
                None => counts.malformed += 1,
            }
        }
        let hungry = {
            let mut fill = self.pool.fill.lock().unwrap_or_else(PoisonError::into_inner);
            for number in 0..count {
                fill.push(self.pool.umem.chunk_of(self.ring.descriptor(number).addr));
            }
            fill.publish()
        };
        self.ring.release(count);
        if hungry {
            self.socket.wake();
        }
        count
    }

    /// Adds what the kernel dropped since the last time.
    fn count(&mut self, counts: &mut SourceCounts) {
        let Ok(now) = self.socket.statistics() else { return };
        let grown = |now: u64, before: &mut u64| now.saturating_sub(std::mem::replace(before, now));
        counts.kernel_dropped += grown(now.rx_ring_full, &mut self.counted.ring_full);
        counts.no_buffer += grown(now.rx_dropped, &mut self.counted.dropped);
        let starved = grown(now.rx_fill_ring_empty_descs, &mut self.counted.starved);
        if self.counted.of_pool {
            counts.starved += starved;
        }
    }
}

/// A frame from a ring.
struct Received<'a> {
    frame: &'a [u8],
    wire_length: u32,
    timestamp: Timestamp,
}

/// Turns the kernel's monotonic times into those of the day.
struct Clock {
    /// Now, in nanoseconds since 1970.
    now: u64,
    /// What the day's clock is ahead of the monotonic one.
    ahead: u64,
}

impl Clock {
    fn read() -> Self {
        let [monotonic, now] = [ClockId::Monotonic, ClockId::Realtime].map(|clock| {
            let time = clock_gettime(clock);
            time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
        });
        Self { now, ahead: now.wrapping_sub(monotonic) }
    }

    /// A frame of which the kernel does not say when it arrived arrives now.
    fn timestamp(&self, arrival: Option<u64>) -> Timestamp {
        Timestamp(arrival.map_or(self.now, |monotonic| monotonic.wrapping_add(self.ahead)))
    }
}

/// A worker's sockets on an interface.
struct XdpQueue {
    port: Arc<Port>,
    worker: u16,
    /// The interface's number.
    index: u32,
    receivers: Vec<Receiver>,
    /// The receiver whose turn it is.
    turn: usize,
    health: Health,
    counts: SourceCounts,
}

impl XdpQueue {
    /// Why nothing can come from the interface; `None` while all is well.
    fn examine(&self) -> Option<String> {
        let name = &self.port.interface.name;
        if interface::index(name) != Some(self.index) || self.receivers.is_empty() {
            return Some("the interface is gone".to_owned());
        }
        match Control::open().and_then(|control| control.is_up(name)) {
            Ok(true) => None,
            Ok(false) => Some(Health::DOWN.to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Takes up the interface that now has the name.
    fn reopen(&mut self) -> Result<(), Refusal> {
        self.count_drops();
        self.receivers.clear();
        (self.index, self.receivers) = self.port.take(self.worker)?;
        self.admit()?;
        let name = &self.port.interface.name;
        let opened = self.port.tap.open(name);
        Ok(opened.map_err(|error| live_error(name, Message::StepTap, io::Error::other(error)))?)
    }

    fn count_drops(&mut self) {
        self.receivers.iter_mut().for_each(|receiver| receiver.count(&mut self.counts));
    }
}

impl Queue for XdpQueue {
    fn admit(&mut self) -> Result<(), SourceError> {
        let name = &self.port.interface.name;
        for receiver in &self.receivers {
            self.port
                .tap
                .set_socket(name, receiver.queue, u32::from(self.worker), receiver.socket.as_raw_fd())
                .map_err(|error| live_error(name, Message::StepHandOver, io::Error::other(error)))?;
        }
        Ok(())
    }

    fn drain(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> Result<usize, SourceError> {
        let (count, snaplen) = (self.receivers.len(), self.port.snaplen as usize);
        for step in 0..count {
            let turn = (self.turn + step) % count;
            let Some(receiver) = self.receivers.get_mut(turn) else { break };
            let frames = receiver.drain(snaplen, &mut self.counts, &mut |received| {
                *number += 1;
                let captured = Captured {
                    number: *number,
                    timestamp: received.timestamp,
                    link: LinkType::Ethernet,
                    frame: received.frame,
                    wire_length: received.wire_length,
                    stripped_vlan: None,
                };
                each(&captured, interface);
            });
            if frames > 0 {
                self.turn = (turn + 1) % count;
                return Ok(frames as usize);
            }
        }
        Ok(0)
    }

    fn descriptors(&self, each: &mut dyn FnMut(RawFd)) {
        self.receivers.iter().for_each(|receiver| each(receiver.socket.as_raw_fd()));
    }

    /// The kernel says nothing of an interface that goes down or away: it is asked.
    fn look_after(&mut self, _failed: bool) {
        if !self.health.is_due() {
            return;
        }
        match self.examine() {
            None => self.health.fault = None,
            Some(fault) => {
                self.health.fail(fault, &mut self.counts);
                let is_another = interface::index(&self.port.interface.name).is_some_and(|index| index != self.index);
                if is_another || self.receivers.is_empty() {
                    self.health.fault = match self.reopen() {
                        Ok(()) => self.examine(),
                        Err(Refusal::Unfit(reason)) => Some(reason.text(crate::language::Language::English)),
                        Err(Refusal::Failed(error)) => Some(error.to_string()),
                    };
                }
            }
        }
    }

    fn close(&mut self) {
        for receiver in &self.receivers {
            // One that stays gets frames that nobody takes; they count as dropped. Without a socket they are held.
            let _ = self.port.tap.clear_socket(&self.port.interface.name, receiver.queue, u32::from(self.worker));
        }
    }

    fn lag(&self) -> Duration {
        LAG
    }

    fn fill(&self) -> f32 {
        self.receivers.iter().map(|receiver| receiver.ring.fill()).fold(0.0, f32::max)
    }

    fn report(&mut self) -> Interface {
        self.count_drops();
        Interface { name: self.port.interface.name.clone(), counts: self.counts, fault: self.health.fault.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_chunks_than_the_rings_hold_and_the_fill_ring_holds_them_all() {
        for (ring_bytes, queues, workers) in [(64 << 20, 1, 1), (64 << 20, 8, 4), (1 << 13, 1, 3), (1 << 40, 1, 256)] {
            let sizes = Sizes::new(1500, ring_bytes, queues, workers).unwrap();
            assert_eq!(sizes.chunk_bytes, 2048);
            assert!(sizes.receive_entries.is_power_of_two() && sizes.receive_entries >= 256);
            assert!(sizes.chunks >= u32::from(workers) * sizes.receive_entries + 4096);
            assert!(sizes.fill_entries() >= sizes.chunks);
        }
        let default = Sizes::new(1500, 64 << 20, 1, 1).unwrap();
        assert_eq!(
            (default.chunks, default.receive_entries),
            (40_960, 32_768),
            "the memory of the settings and a quarter"
        );
    }

    #[test]
    fn longer_frames_have_longer_chunks_and_the_longest_none() {
        assert_eq!(Sizes::new(1770, 64 << 20, 1, 1).unwrap().chunk_bytes, 2048);
        assert_eq!(Sizes::new(1771, 64 << 20, 1, 1).unwrap().chunk_bytes, 4096);
        assert_eq!(Sizes::new(9000, 64 << 20, 1, 1), None);
    }

    #[test]
    fn kernel_times_become_times_of_the_day() {
        let clock = Clock { now: 1_000, ahead: 900 };
        assert_eq!((clock.timestamp(Some(50)), clock.timestamp(None)), (Timestamp(950), Timestamp(1_000)));
    }
}
