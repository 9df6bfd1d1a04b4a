//! What the packets of one direction of a flow have in common, as far as groups are concerned: addresses, ports, protocols and
//! direction choose the same sieves and leave the same rules without a pattern for all of them. Looking these up costs more
//! than a short payload does, so the last ones are remembered.

use std::net::IpAddr;

use super::Moment;
use super::column::direction;
use super::group::{Group, Path};
use super::view::View;

/// Flows and directions remembered; one more takes the place of another.
const ENTRIES: usize = 2048;
/// The groups that remember: packets, streams, turns.
const GROUPS: usize = 3;

/// The paths of the last flows. Right whatever was forgotten: an entry counts only for exactly what it was made of.
#[derive(Debug, Default)]
pub(super) struct Paths {
    entries: Box<[Entry]>,
    /// The engine that they are of.
    engine: u64,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    key: Option<FlowKey>,
    paths: [Option<Path>; GROUPS],
}

/// All that a path depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FlowKey {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    ip_protocol: u8,
    direction: u64,
    /// Where the flow's protocol stands; 0 before it is detected.
    protocol: usize,
}

impl FlowKey {
    fn of(moment: &Moment<'_>) -> Self {
        Self {
            source: moment.source,
            destination: moment.destination,
            ip_protocol: moment.ip_protocol,
            direction: direction(moment.direction),
            protocol: moment.protocol.map_or(0, |protocol| std::ptr::from_ref(protocol).addr()),
        }
    }

    /// Its place among the entries.
    fn place(&self) -> usize {
        let low = |address: IpAddr| match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits() as u64,
        };
        let ports = u64::from(self.source.1) << 16 | u64::from(self.destination.1);
        let mixed = low(self.source.0).wrapping_mul(3) ^ low(self.destination.0).wrapping_mul(5) ^ ports << 20;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ENTRIES.trailing_zeros())) as usize
    }
}

impl Paths {
    /// The path through a group (its number among those that remember) of what is inspected.
    #[inline]
    pub(super) fn find(&mut self, number: usize, group: &Group, engine: u64, view: &View<'_>) -> Path {
        if self.entries.is_empty() || self.engine != engine {
            self.entries = vec![Entry::default(); ENTRIES].into();
            self.engine = engine;
        }
        let key = FlowKey::of(view.moment);
        let Some(entry) = self.entries.get_mut(key.place()) else { return group.path(view) };
        if entry.key != Some(key) {
            *entry = Entry { key: Some(key), paths: Default::default() };
        }
        match entry.paths.get_mut(number) {
            Some(path) => *path.get_or_insert_with(|| group.path(view)),
            None => group.path(view),
        }
    }
}
