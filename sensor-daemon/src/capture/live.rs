//! A worker's source of live frames: its share of every interface, whatever each is captured by.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::interface;
use super::shed::Pressure;
use super::system::{has_error, readable, wait};
use super::{Each, Interface, InterfaceId, Progress, Source, SourceCounts, SourceError};
use crate::language::Message;

/// How often an interface that is down is looked after. Longer than any block timeout's frames take to be read.
pub(super) const RECOVERY_INTERVAL: Duration = Duration::from_millis(200);

/// A worker's share of one interface.
pub(super) trait Queue: Send {
    /// Takes frames from here on. Called once, when the queues of all workers and interfaces stand, so that no frame is seen
    /// by two of them.
    fn admit(&mut self) -> Result<(), SourceError>;

    /// Hands over the frames that are there, a batch at most; gives how many.
    fn drain(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> Result<usize, SourceError>;

    /// What to wait for.
    fn descriptors(&self, each: &mut dyn FnMut(RawFd));

    /// Looks whether the interface went down or away, and takes it up again; called when no frame came for a while.
    /// `failed` says that a descriptor has an error.
    fn look_after(&mut self, failed: bool);

    /// Takes no more frames from here on.
    fn close(&mut self);

    /// How long after [`Queue::close`] the kernel may still hand over what it took before.
    fn lag(&self) -> Duration;

    /// How full its fullest ring is, from 0 to 1.
    fn fill(&self) -> f32 {
        0.0
    }

    /// The interface and what was counted on it.
    fn report(&mut self) -> Interface;
}

/// One worker's source.
pub(super) struct LiveSource {
    queues: Vec<Box<dyn Queue>>,
    /// The queue whose turn it is.
    turn: usize,
    number: u64,
    poll_timeout_ms: u32,
    /// What is waited for, and the queue that each belongs to; kept for its memory.
    waiting: Vec<libc::pollfd>,
    owners: Vec<usize>,
    closed: Option<Instant>,
    /// Whom to tell how full the rings are.
    pressure: Option<Pressure>,
}

impl LiveSource {
    pub(super) fn new(queues: Vec<Box<dyn Queue>>, poll_timeout_ms: u32, pressure: Option<Pressure>) -> Self {
        let (waiting, owners) = Default::default();
        Self { queues, turn: 0, number: 0, poll_timeout_ms, waiting, owners, closed: None, pressure }
    }

    /// Hands over a batch of the next queue that has one; gives how many frames.
    fn drain(&mut self, each: &mut Each<'_>) -> Result<usize, SourceError> {
        let count = self.queues.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(queue) = self.queues.get_mut(index) else { break };
            let frames = queue.drain(index as InterfaceId, &mut self.number, each)?;
            if frames > 0 {
                self.turn = (index + 1) % count;
                return Ok(frames);
            }
        }
        Ok(0)
    }

    fn wait(&mut self) -> io::Result<()> {
        self.waiting.clear();
        self.owners.clear();
        for (index, queue) in self.queues.iter().enumerate() {
            queue.descriptors(&mut |descriptor| {
                self.waiting.push(readable(descriptor));
                self.owners.push(index);
            });
        }
        wait(&mut self.waiting, self.poll_timeout_ms)
    }

    fn look_after(&mut self) {
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let of_queue = self.waiting.iter().zip(&self.owners).filter(|(_, owner)| **owner == index);
            queue.look_after(of_queue.map(|(waiting, _)| waiting).any(has_error));
        }
    }
}

impl Source for LiveSource {
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        // Before this batch is taken: while it is worked on its room is not free.
        if let Some(pressure) = &self.pressure {
            pressure.report(self.fill());
        }
        let frames = self.drain(each)?;
        if frames > 0 {
            return Ok(Progress::Frames(frames));
        }
        self.wait().map_err(|cause| live_error("all interfaces", Message::StepWait, cause))?;
        self.look_after();
        let lag = self.queues.iter().map(|queue| queue.lag()).max().unwrap_or_default();
        Ok(match self.drain(each)? {
            0 if self.closed.is_some_and(|since| since.elapsed() > lag) => Progress::End,
            0 => Progress::Idle,
            frames => Progress::Frames(frames),
        })
    }

    fn close(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.close());
        self.closed = Some(Instant::now());
    }

    fn fill(&self) -> f32 {
        self.queues.iter().map(|queue| queue.fill()).fold(0.0, f32::max)
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        self.queues.iter_mut().map(|queue| queue.report()).collect()
    }
}

/// Whether an interface can be captured on, as its worker knows it, and how often it could not.
#[derive(Default)]
pub(super) struct Health {
    /// Why nothing can come; `None` while all is well.
    pub(super) fault: Option<String>,
    looked_after: Option<Instant>,
}

impl Health {
    /// The fault of an interface that is administratively down.
    pub(super) const DOWN: &str = "the interface is down";

    /// At the start, with a fault or none.
    pub(super) fn new(fault: Option<String>) -> Self {
        Self { fault, looked_after: None }
    }

    /// Notes that nothing can come.
    pub(super) fn fail(&mut self, fault: impl Into<String>, counts: &mut SourceCounts) {
        if self.fault.is_none() {
            counts.outages += 1;
            self.looked_after = Some(Instant::now());
        }
        self.fault = Some(fault.into());
    }

    /// Whether it is time to look after the interface; says yes once an interval.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.looked_after.is_none_or(|then| then.elapsed() >= RECOVERY_INTERVAL);
        if due {
            self.looked_after = Some(Instant::now());
        }
        due
    }
}

/// That there is no interface of that name.
pub(super) fn no_interface(name: &str) -> SourceError {
    SourceError::NoInterface { name: name.to_owned(), existing: interface::existing().join(", ") }
}

pub(super) fn live_error(name: &str, what: Message, cause: io::Error) -> SourceError {
    SourceError::Live { name: name.to_owned(), what, cause }
}
