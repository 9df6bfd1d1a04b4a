//! What is known of the rules on the messages of a protocol for all those of a flow's direction: which of them allow its
//! ends, and which are silent about them for a while.

use std::net::IpAddr;

use super::Moment;
use super::column::direction;
use super::gate::Silence;

/// Flows and directions remembered; one more takes the place of another.
const ENTRIES: usize = 2048;

/// What is known of the last flows. Right whatever was forgotten: an entry counts only for exactly what it was made of.
#[derive(Debug, Default)]
pub(super) struct Standings {
    entries: Box<[Entry]>,
    /// The engine that they are of.
    engine: u64,
    /// How often the gate had forgotten counters when it was heard last.
    forgotten: u64,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    key: Option<FlowKey>,
    standing: Option<Standing>,
}

/// A bit for each rule.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// The rules that allow them.
    allowed: u64,
    /// Those of them whose matches nobody is to see within this time.
    silent: u64,
    silence: Silence,
}

/// All that it depends on.
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
        let ends = low(self.source.0).wrapping_mul(3) ^ low(self.destination.0).wrapping_mul(5) ^ ports << 20;
        // A flow may carry messages of two protocols in turn.
        let mixed = ends ^ (self.protocol as u64) << 8;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ENTRIES.trailing_zeros())) as usize
    }
}

impl Standings {
    /// Those of the rules on a message that this moment allows, as `allowed` tells once a flow and direction; those of them
    /// that are silent now; and the place of what is known of both.
    #[inline]
    pub(super) fn standing(
        &mut self,
        engine: u64,
        moment: &Moment<'_>,
        allowed: impl FnOnce() -> u64,
    ) -> (u64, u64, usize) {
        let Some((place, entry)) = self.entry(engine, moment) else { return (allowed(), 0, 0) };
        let unknown = || Standing { allowed: allowed(), silent: 0, silence: Silence::ALWAYS };
        let standing = entry.standing.get_or_insert_with(unknown);
        if standing.silent != 0 && !standing.silence.covers(moment.timestamp) {
            (standing.silent, standing.silence) = (0, Silence::ALWAYS);
        }
        (standing.allowed, standing.silent, place)
    }

    /// This rule, a bit, is silent for a while about the moment that was said to stand at this place.
    pub(super) fn hush(&mut self, place: usize, rule: u64, silence: Silence) {
        let standing = self.entries.get_mut(place).and_then(|entry| entry.standing.as_mut());
        if let Some(standing) = standing {
            standing.silent |= rule;
            standing.silence = standing.silence.and(silence);
        }
    }

    /// Whom the gate silenced is asked anew, once it has forgotten counters.
    #[inline]
    pub(super) fn hear(&mut self, forgotten: u64) {
        if self.forgotten != forgotten {
            self.forgotten = forgotten;
            self.entries.iter_mut().for_each(|entry| entry.standing = None);
        }
    }

    /// What is known of a moment's flow and direction.
    #[inline]
    fn entry(&mut self, engine: u64, moment: &Moment<'_>) -> Option<(usize, &mut Entry)> {
        if self.entries.is_empty() || self.engine != engine {
            self.entries = vec![Entry::default(); ENTRIES].into();
            self.engine = engine;
        }
        let key = FlowKey::of(moment);
        let place = key.place();
        let entry = self.entries.get_mut(place)?;
        if entry.key != Some(key) {
            *entry = Entry { key: Some(key), ..Entry::default() };
        }
        Some((place, entry))
    }
}
