//! The numbers themselves: a worker's own, and the shared ones that they are published to.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use vigia_parsers::Protocol;
use vigia_parsers::packet::DecodeEvent;

use super::table::{Counter, DropCause, Kind, Layout};

/// Shared numbers of one worker on one interface, or of the threads beside the workers; one for each [`Layout::series`].
#[derive(Debug)]
pub struct Block {
    /// The worker, and what it captures from; none for the threads beside the workers.
    pub(super) owner: Option<(usize, String)>,
    values: Box<[AtomicU64]>,
}

impl Block {
    fn new(owner: Option<(usize, String)>) -> Self {
        Self { owner, values: Layout::get().series.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn shared() -> Self {
        Self::new(None)
    }

    pub(super) fn of(worker: usize, interface: &str) -> Self {
        Self::new(Some((worker, interface.to_string())))
    }

    pub(super) fn is(&self, worker: usize, interface: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.0 == worker && owner.1 == interface)
    }

    pub(super) fn is_of(&self, interface: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.1 == interface)
    }

    pub(super) fn dropped_by(&self, cause: DropCause) -> u64 {
        self.at(Layout::get().drops + cause as usize)
    }

    /// Adds to a counter.
    pub fn add(&self, counter: Counter, n: u64) {
        self.values[counter as usize].fetch_add(n, Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Counter, value: u64) {
        self.values[gauge as usize].store(value, Relaxed);
    }

    /// Its value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize].load(Relaxed)
    }

    /// An alert of a severity is reported (1 is the most severe).
    pub fn alert(&self, severity: u8) {
        self.values[Layout::get().alerts + severity_index(severity)].fetch_add(1, Relaxed);
    }

    /// Packets dropped, outside a worker.
    pub fn dropped(&self, cause: DropCause, packets: u64) {
        self.values[Layout::get().drops + cause as usize].fetch_add(packets, Relaxed);
    }

    pub(super) fn at(&self, place: usize) -> u64 {
        self.values.get(place).map_or(0, |value| value.load(Acquire))
    }
}

fn severity_index(severity: u8) -> usize {
    usize::from(severity).wrapping_sub(1).min(4)
}

/// A worker's numbers: plain integers, published by [`Counters::publish`].
#[derive(Debug)]
pub struct Counters {
    values: Box<[u64]>,
    layout: &'static Layout,
    block: Arc<Block>,
}

impl Counters {
    pub(super) fn resume(block: Arc<Block>) -> Self {
        let layout = Layout::get();
        let value = |(place, series): (usize, &super::table::Series)| match series.kind {
            Kind::Counter => block.at(place),
            Kind::Gauge => 0,
        };
        Self { values: layout.series.iter().enumerate().map(value).collect(), layout, block }
    }

    /// Adds to a counter.
    #[inline]
    pub fn add(&mut self, counter: Counter, n: u64) {
        self.values[counter as usize] += n;
    }

    /// Sets a gauge, or a counter that is kept elsewhere and only grows.
    #[inline]
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.values[counter as usize] = value;
    }

    /// Its value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize]
    }

    /// Packets were dropped.
    #[inline]
    pub fn dropped(&mut self, cause: DropCause, packets: u64) {
        self.values[self.layout.drops + cause as usize] += packets;
    }

    /// A message was parsed.
    #[inline]
    pub fn message(&mut self, protocol: &'static Protocol) {
        self.by_protocol(self.layout.messages, protocol);
    }

    /// A record was reported.
    #[inline]
    pub fn record(&mut self, protocol: &'static Protocol) {
        self.by_protocol(self.layout.records, protocol);
    }

    /// The protocol of a flow was detected.
    pub fn detected(&mut self, protocol: &'static Protocol) {
        self.by_protocol(self.layout.flows, protocol);
    }

    #[inline]
    fn by_protocol(&mut self, base: usize, protocol: &'static Protocol) {
        if let Some(places) = self.layout.places(protocol) {
            self.values[base + places.index] += 1;
        }
    }

    /// A packet's headers had this event.
    pub fn decode_event(&mut self, event: DecodeEvent) {
        if let Some(index) = DecodeEvent::ALL.iter().position(|known| *known == event) {
            self.values[self.layout.decode + index] += 1;
        }
    }

    /// A protocol's anomaly was met; a kind missing in its table counts as `other`.
    pub fn anomaly(&mut self, protocol: &'static Protocol, kind: &str) {
        let Some(places) = self.layout.places(protocol) else { return };
        let index = places.kinds.iter().position(|known| known.name == kind).unwrap_or(places.kinds.len());
        self.values[places.anomalies + index] += 1;
    }

    /// Makes the numbers visible to the rest of the process, one after another; called once a batch of packets. Who sees one of
    /// them sees those before it, too.
    pub fn publish(&self) {
        for (shared, own) in self.block.values.iter().zip(&self.values) {
            shared.store(*own, Release);
        }
    }
}
