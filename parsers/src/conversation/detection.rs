//! Which protocol is it? By probing what the endpoints say; ports are hints, not conditions.
//!
//! A *certain* probe decides at once, and a possible one does where the port is the protocol's own; that it is the port's
//! own and begins like it (`Probe::OnPort`) comes before what others say of the same bytes. Elsewhere bytes are held back until the messages found in them, two or more in a row, are evidence enough; then they are dissected
//! from the first. What no protocol knows is let go: at once of the bytes, of the flow after a number of tries,
//! unless its port is a protocol's own: such a flow is probed as long as it lives.

use super::{Medium, Opening};
use crate::dissector::{Direction, Envelope, Frame, Probe, Protocol};
use crate::limits::Limits;

/// Bytes held back at the most while a flow's protocol is being detected, both directions together.
pub(super) const HELD_BYTES: usize = 4096;

/// Chunks that fit no protocol before a flow on a port of no protocol is given up.
const TRIES: u8 = 16;

/// Possible messages in a row that decide on a port which is not the protocol's own.
const EVIDENCE: usize = 2;

/// The answer to one chunk.
pub(super) enum Outcome {
    /// Not yet: the chunk is held back, or let go.
    Undecided,
    /// None of the registry.
    Unknown,
    /// It is this one; the chunk in hand is not among those held.
    Found {
        protocol: &'static Protocol,
        /// Client and server are the other way round.
        reversed: bool,
    },
}

pub(super) struct Detection {
    protocols: &'static [&'static Protocol],
    limits: Limits,
    opening: Opening,
    tries: u8,
    /// One of its ports is some protocol's own.
    hinted: bool,
    /// Made when bytes are held back for the first time.
    held: Option<Box<Held>>,
}

/// Bytes held back.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// What lies in them: direction, time and length of each chunk.
    chunks: Vec<(Envelope, usize)>,
}

impl Held {
    fn add(&mut self, envelope: Envelope, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        self.chunks.push((envelope, chunk.len()));
    }

    /// The chunks, in the order in which they came.
    fn chunks(&self) -> impl Iterator<Item = (Envelope, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.chunks.iter().map(move |(envelope, length)| {
            let (chunk, left) = rest.split_at(*length);
            rest = left;
            (*envelope, chunk)
        })
    }
}

impl Detection {
    pub(super) fn new(opening: Opening, protocols: &'static [&'static Protocol], limits: &Limits) -> Self {
        let mut detection = Self { protocols, limits: *limits, opening, tries: 0, hinted: true, held: None };
        detection.hinted = protocols.iter().any(|protocol| detection.hints(protocol));
        detection
    }

    /// What the protocol's dissector is to keep to.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the messages come in.
    pub(super) fn medium(&self) -> Medium {
        self.opening.medium
    }

    pub(super) fn buffered(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes.len())
    }

    /// The chunks held back, in the order in which they came.
    pub(super) fn held(&self) -> impl Iterator<Item = (Envelope, &[u8])> {
        self.held.iter().flat_map(|held| held.chunks())
    }

    /// Bytes of this direction were lost: what was held of it no longer joins what comes.
    pub(super) fn gap(&mut self, direction: Direction) {
        self.release(direction);
    }

    pub(super) fn data(&mut self, envelope: &Envelope, chunk: &[u8]) -> Outcome {
        let held = self.joined(envelope.direction, chunk);
        let bytes = held.as_deref().unwrap_or(chunk);
        let carried = self.protocols.iter().copied().filter(|protocol| self.may_carry(protocol));
        let on_port = |protocol: &&'static Protocol| {
            self.hints(protocol) && (protocol.probe)(bytes, envelope.direction) == Probe::OnPort
        };
        if self.hinted
            && let Some(protocol) = carried.clone().find(on_port)
        {
            return Outcome::Found { protocol, reversed: false };
        }
        let mut possible = false;
        for protocol in carried {
            match self.judge(protocol, envelope.direction, bytes) {
                Judgement::Decided { reversed } => return Outcome::Found { protocol, reversed },
                Judgement::Possible => possible = true,
                Judgement::No => {}
            }
        }
        if possible && self.buffered() + chunk.len() <= HELD_BYTES {
            self.held.get_or_insert_default().add(*envelope, chunk);
            return Outcome::Undecided;
        }
        self.release(envelope.direction);
        self.tries = self.tries.saturating_add(1);
        if self.tries >= TRIES && !self.hinted { Outcome::Unknown } else { Outcome::Undecided }
    }

    /// What is held of this direction with `chunk` behind it; `None` when nothing is held (then `chunk` is all).
    fn joined(&self, direction: Direction, chunk: &[u8]) -> Option<Vec<u8>> {
        if self.is_datagram() || !self.held().any(|(held, _)| held.direction == direction) {
            return None;
        }
        Some(self.side(direction, chunk))
    }

    /// What is held of this direction, and `more` behind it.
    fn side(&self, direction: Direction, more: &[u8]) -> Vec<u8> {
        let mut side = Vec::with_capacity(self.buffered() + more.len());
        let chunks = self.held().filter(|(envelope, _)| envelope.direction == direction);
        chunks.for_each(|(_, chunk)| side.extend_from_slice(chunk));
        side.extend_from_slice(more);
        side
    }

    fn release(&mut self, direction: Direction) {
        let Some(held) = self.held.take() else { return };
        for (envelope, chunk) in held.chunks().filter(|(envelope, _)| envelope.direction != direction) {
            self.held.get_or_insert_default().add(envelope, chunk);
        }
    }

    fn judge(&self, protocol: &'static Protocol, direction: Direction, bytes: &[u8]) -> Judgement {
        let straight = (protocol.probe)(bytes, direction);
        match straight {
            Probe::Certain => return Judgement::Decided { reversed: false },
            Probe::Maybe if self.hints(protocol) => return Judgement::Decided { reversed: false },
            _ => {}
        }
        let turned = if self.opening.roles_known { Probe::No } else { (protocol.probe)(bytes, direction.opposite()) };
        if turned == Probe::Certain {
            return Judgement::Decided { reversed: true };
        }
        // Most protocols end here: what does not begin as one of their messages is no evidence either.
        let evidence = |probe, reversed| {
            if probe <= Probe::OnPort { None } else { self.evidence(protocol, direction, bytes, reversed) }
        };
        match (evidence(straight, false), evidence(turned, true)) {
            (Some(evidence), _) if self.suffices(evidence, protocol) => Judgement::Decided { reversed: false },
            (_, Some(evidence)) if self.suffices(evidence, protocol) => Judgement::Decided { reversed: true },
            (None, None) => Judgement::No,
            _ => Judgement::Possible,
        }
    }

    /// Is this enough to decide? Messages that other protocols share count for none of them.
    fn suffices(&self, evidence: Evidence, protocol: &Protocol) -> bool {
        let after_shared = evidence.shared && evidence.own > 0 && self.hints(protocol);
        evidence.certain || evidence.own >= EVIDENCE || after_shared
    }

    /// What speaks for `protocol` in both directions; `None` when these bytes speak against it.
    fn evidence(
        &self,
        protocol: &'static Protocol,
        direction: Direction,
        bytes: &[u8],
        reversed: bool,
    ) -> Option<Evidence> {
        let turn = |direction: Direction| if reversed { direction.opposite() } else { direction };
        let here = messages(protocol, turn(direction), bytes)?;
        let there = if self.is_datagram() {
            self.held()
                .map_while(|(held, chunk)| messages(protocol, turn(held.direction), chunk))
                .fold(Evidence::default(), Evidence::and)
        } else {
            let other = direction.opposite();
            messages(protocol, turn(other), &self.side(other, &[])).unwrap_or_default()
        };
        Some(here.and(there))
    }

    fn is_datagram(&self) -> bool {
        self.opening.medium == Medium::Datagram
    }

    /// A protocol that has ports in one medium only is not looked for in the other; one without ports may be in either.
    fn may_carry(&self, protocol: &Protocol) -> bool {
        let anywhere = protocol.tcp_ports.is_empty() && protocol.udp_ports.is_empty();
        protocol.ethertypes.is_empty() && (anywhere || !self.ports(protocol).is_empty())
    }

    fn ports(&self, protocol: &Protocol) -> &'static [u16] {
        if self.is_datagram() { protocol.udp_ports } else { protocol.tcp_ports }
    }

    fn hints(&self, protocol: &Protocol) -> bool {
        let ports = if self.hinted { self.ports(protocol) } else { &[] };
        ports.contains(&self.opening.server_port) || ports.contains(&self.opening.client_port)
    }
}

enum Judgement {
    Decided { reversed: bool },
    Possible,
    No,
}

/// What whole messages in a row say for a protocol.
#[derive(Clone, Copy, Default)]
struct Evidence {
    /// Messages that are possible or certain.
    own: usize,
    /// One of them is certain.
    certain: bool,
    /// There are messages that other protocols share.
    shared: bool,
}

impl Evidence {
    fn and(self, other: Self) -> Self {
        Self { own: self.own + other.own, certain: self.certain || other.certain, shared: self.shared || other.shared }
    }
}

/// Judges the whole messages that `bytes` begin with; `None` when something in them is no message.
fn messages(protocol: &Protocol, direction: Direction, mut bytes: &[u8]) -> Option<Evidence> {
    let mut evidence = Evidence::default();
    while !bytes.is_empty() {
        let probe = (protocol.probe)(bytes, direction);
        if probe <= Probe::OnPort {
            return None;
        }
        match (protocol.frame)(bytes, direction) {
            Frame::Whole(length) if (1..=bytes.len()).contains(&length) => bytes = &bytes[length..],
            Frame::Need(length) if length <= protocol.longest_message => break,
            _ => return None,
        }
        evidence.shared |= probe == Probe::Shared;
        evidence.certain |= probe == Probe::Certain;
        evidence.own += usize::from(probe != Probe::Shared);
    }
    Some(evidence)
}
