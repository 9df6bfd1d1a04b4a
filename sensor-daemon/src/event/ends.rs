//! The members of an event that follow from its flow and direction, put together once rather than for each event.

use std::hash::BuildHasher;

use super::address::{community_id, members};
use super::digits::with_comma;
use super::envelope::{Endpoints, Header, PacketSource};
use super::escape::quoted;
use super::lines::{Lines, SHORT, short};

/// Flows and directions whose text is kept; a power of two.
const SLOTS: usize = 1024;

/// Text of the ends of the flows seen last, by hash: a newcomer takes the place of whoever stands there.
#[derive(Debug)]
pub(super) struct EndsCache {
    slots: Vec<Slot>,
    hasher: foldhash::fast::FixedState,
    /// Of community ids; none when they are not wanted.
    seed: Option<u16>,
    lines: Lines,
}

/// What the text is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Of {
    flow_id: u64,
    endpoints: Option<Endpoints>,
    icmp: Option<(u8, u8)>,
    source: Option<PacketSource>,
}

#[derive(Debug, Default, Clone)]
struct Slot {
    of: Option<Of>,
    /// `flow_id` (key, 16 digits and a comma are 27 bytes), and its length.
    flow: ([u8; SHORT], usize),
    /// The other members, one after another.
    all: Vec<u8>,
    /// Where `community_id` begins.
    community: usize,
}

/// Members of an event, each with a comma behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    flow: &'a ([u8; SHORT], usize),
    /// `src_ip` to `pkt_src`, then `community_id`.
    pub(super) all: &'a [u8],
    community: usize,
}

impl<'a> Ends<'a> {
    /// Writes `flow_id`, if the event is of a flow.
    #[inline(always)]
    pub(super) fn write_flow(&self, out: &mut Lines) {
        let (text, length) = self.flow;
        out.put(|room| {
            *room = *text;
            *length
        });
    }

    /// What stands before metadata, and what behind.
    pub(super) fn parts(&self) -> (&'a [u8], &'a [u8]) {
        self.all.split_at_checked(self.community).unwrap_or((self.all, &[]))
    }
}

impl EndsCache {
    pub(super) fn new(seed: Option<u16>) -> Self {
        let hasher = foldhash::fast::FixedState::default();
        Self { slots: vec![Slot::default(); SLOTS], hasher, seed, lines: Lines::default() }
    }

    /// The text of an event's flow and direction.
    #[inline]
    pub(super) fn text(&mut self, header: &Header<'_>) -> Ends<'_> {
        let Header { flow_id, endpoints, icmp, source, .. } = *header;
        let of = Of { flow_id, endpoints, icmp, source };
        // A flow's two directions differ in who sends; its records are of no one packet.
        let place = match endpoints {
            Some(endpoints) if flow_id == 0 => self.hasher.hash_one(endpoints),
            Some(endpoints) => {
                let way = u64::from(endpoints.source.1) << 1 | u64::from(source.is_some());
                (flow_id ^ way).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
            }
            None => flow_id,
        };
        let slot = &mut self.slots[place as usize % SLOTS];
        if slot.of != Some(of) {
            slot.render(of, self.seed, &mut self.lines);
        }
        Ends { flow: &slot.flow, all: &slot.all, community: slot.community }
    }
}

impl Slot {
    fn render(&mut self, of: Of, seed: Option<u16>, out: &mut Lines) {
        self.of = Some(of);
        out.clear();
        if of.flow_id != 0 {
            member(out, "flow_id", of.flow_id & ((1 << 51) - 1));
        }
        self.flow.1 = short(&mut self.flow.0, out.written());
        out.clear();
        if let Some(endpoints) = &of.endpoints {
            members(out, endpoints);
        }
        if let Some((kind, code)) = of.icmp {
            member(out, "icmp_type", kind.into());
            member(out, "icmp_code", code.into());
        }
        if let Some(source) = of.source {
            text(out, "pkt_src", source.name());
        }
        self.community = out.written().len();
        if let (Some(seed), Some(endpoints)) = (seed, &of.endpoints) {
            text(out, "community_id", &community_id(endpoints, of.icmp, seed));
        }
        self.all.clear();
        self.all.extend_from_slice(out.written());
    }
}

fn member(out: &mut Lines, key: &str, value: u64) {
    quoted(out, key.as_bytes());
    out.push(b':');
    with_comma(out, value);
}

fn text(out: &mut Lines, key: &str, value: &str) {
    quoted(out, key.as_bytes());
    out.push(b':');
    quoted(out, value.as_bytes());
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn a_newcomer_in_a_slot_gets_its_own_text() {
        let mut cache = EndsCache::new(Some(0));
        for round in 0..2 {
            for host in 0..2000u16 {
                let [high, low] = host.to_be_bytes();
                let source: IpAddr = Ipv4Addr::new(10, round, high, low).into();
                let endpoints = Endpoints { source: (source, host), destination: (source, 502), protocol: 6 };
                let header = Header { endpoints: Some(endpoints), flow_id: (host / 2).into(), ..Header::default() };
                let ends = cache.text(&header);
                let id = if host < 2 { String::new() } else { format!("\"flow_id\":{},", host / 2) };
                let mut flow = Lines::default();
                ends.write_flow(&mut flow);
                assert_eq!(flow.written(), id.as_bytes());
                let (addresses, community) = ends.parts();
                assert!(String::from_utf8_lossy(addresses).contains(&format!("\"src_ip\":\"{source}\"")));
                let id = community_id(&endpoints, None, 0);
                assert_eq!(community, format!("\"community_id\":\"{id}\",").as_bytes());
            }
        }
    }
}
