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

/// Chunks held back at the most: each is looked at again with every one that follows.
pub(super) const HELD_CHUNKS: usize = 128;

/// Chunks that fit no protocol before a flow on a port of no protocol is given up.
const TRIES: u8 = 16;

/// Possible messages in a row that decide on a port which is not the protocol's own.
const EVIDENCE: usize = 2;

/// The answer to one chunk.
pub(super) enum Outcome {
    /// Not yet: the chunk is held back, or let go.
    Undecided,
    /// None of the registry. `one_sided` says that only one end has spoken.
    Unknown { one_sided: bool },
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
    medium: Medium,
    seen: Seen,
    tries: u8,
    /// The protocols that the flow may speak, by their place.
    asked: Places,
    /// Those of them that have one of its ports as their own.
    hinted: Places,
    /// Made when bytes are held back for the first time.
    held: Option<Box<Held>>,
}

/// Places of protocols, one bit each: the first 64 of a registry have one.
#[derive(Clone, Copy, Default)]
struct Places(u64);

impl Places {
    fn add(&mut self, place: usize) {
        self.0 |= u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default();
    }

    fn has(self, place: usize) -> bool {
        self.0 >> place & 1 != 0
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// From the first to the last.
    fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(place)
        })
    }
}

/// What was seen of the flow, one bit each; the first two say which ends have spoken, by [`Direction::index`].
#[derive(Clone, Copy)]
struct Seen(u8);

impl Seen {
    const BOTH: u8 = 0b11;
    /// As [`Opening::roles_known`].
    const ROLES: u8 = 1 << 2;
    /// Nothing is missing: the flow was seen from its beginning, or its datagrams are whole each.
    const WHOLE: u8 = 1 << 3;
    /// A datagram was a whole message of some protocol, which is not decided.
    const PROMISING: u8 = 1 << 4;
    /// Both ends have spoken, and nothing was recognised.
    const FAILED: u8 = 1 << 5;

    fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
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
        let (mut asked, mut hinted) = (Places::default(), Places::default());
        for (place, protocol) in protocols.iter().enumerate() {
            if !is_carried(protocol, opening.medium) {
                continue;
            }
            let own = |port: &u16| *port == opening.server_port || *port == opening.client_port;
            let hints = ports(protocol, opening.medium).iter().any(own);
            if hints {
                hinted.add(place);
            }
            if hints || !protocol.only_on_ports {
                asked.add(place);
            }
        }
        let Opening { medium, roles_known, .. } = opening;
        let whole = roles_known || medium == Medium::Datagram;
        let seen = Seen(if roles_known { Seen::ROLES } else { 0 } | if whole { Seen::WHOLE } else { 0 });
        Self { protocols, limits: *limits, medium, seen, tries: 0, asked, hinted, held: None }
    }

    /// What the protocol's dissector is to keep to.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the messages come in.
    pub(super) fn medium(&self) -> Medium {
        self.medium
    }

    pub(super) fn buffered(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes.len())
    }

    /// The chunks held back, in the order in which they came.
    pub(super) fn held(&self) -> impl Iterator<Item = (Envelope, &[u8])> {
        self.held.iter().flat_map(|held| held.chunks())
    }

    /// Are the first bytes of this direction still to come, or held?
    pub(super) fn has_beginning(&self, direction: Direction) -> bool {
        let spoken = self.seen.has(1 << direction.index());
        self.seen.has(Seen::WHOLE) && (!spoken || self.held().any(|(held, _)| held.direction == direction))
    }

    /// Bytes of this direction were lost: what was held of it no longer joins what comes.
    pub(super) fn gap(&mut self, direction: Direction) {
        self.seen.0 &= !Seen::WHOLE;
        self.release(direction);
    }

    /// Have both ends begun to speak, and what they said is nothing that is known? What they go on to say may be all the same.
    pub(super) fn has_failed(&self) -> bool {
        self.seen.has(Seen::FAILED)
    }

    pub(super) fn data(&mut self, envelope: &Envelope, chunk: &[u8]) -> Outcome {
        self.seen.0 |= 1 << envelope.direction.index();
        let held = self.joined(envelope.direction, chunk);
        let bytes = held.as_deref().unwrap_or(chunk);
        let on_port = |protocol: &&'static Protocol| (protocol.probe)(bytes, envelope.direction) == Probe::OnPort;
        if let Some(protocol) = self.at(self.hinted).map(|(_, protocol)| protocol).find(on_port) {
            return Outcome::Found { protocol, reversed: false };
        }
        let (mut possible, mut promising) = (false, false);
        for (place, protocol) in self.at(self.asked) {
            match self.judge(protocol, self.hinted.has(place), envelope.direction, bytes) {
                Judgement::Decided { reversed } => return Outcome::Found { protocol, reversed },
                Judgement::Possible { whole } => {
                    possible = true;
                    promising |= whole;
                }
                Judgement::No => {}
            }
        }
        let holds = possible && self.has_room(chunk);
        if holds {
            self.held.get_or_insert_default().add(*envelope, chunk);
        } else {
            self.release(envelope.direction);
        }
        self.give_hope(promising);
        // Datagrams are whole: one that does not tell is no beginning of what will.
        if !holds || self.is_datagram() {
            self.tries = self.tries.saturating_add(1);
        }
        if self.tries >= TRIES && self.hinted.is_empty() {
            return Outcome::Unknown { one_sided: !self.seen.has(Seen::BOTH) };
        }
        Outcome::Undecided
    }

    /// Notes whether there is still something that may become a message: once there was nothing, the flow has failed until a
    /// protocol is found.
    fn give_hope(&mut self, promising: bool) {
        let hope = if self.is_datagram() {
            self.seen.0 |= if promising { Seen::PROMISING } else { 0 };
            self.seen.has(Seen::PROMISING)
        } else {
            self.held.is_some()
        };
        if !hope && self.seen.has(Seen::WHOLE | Seen::BOTH) {
            self.seen.0 |= Seen::FAILED;
        }
    }

    /// The protocols at these places, in their order.
    fn at(&self, places: Places) -> impl Iterator<Item = (usize, &'static Protocol)> + use<'_> {
        places.iter().filter_map(|place| Some((place, *self.protocols.get(place)?)))
    }

    /// May this chunk be held back, too?
    fn has_room(&self, chunk: &[u8]) -> bool {
        let chunks = self.held.as_ref().map_or(0, |held| held.chunks.len());
        chunks < HELD_CHUNKS && self.buffered() + chunk.len() <= HELD_BYTES
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

    /// `hinted` says that the flow is on the protocol's port.
    fn judge(&self, protocol: &'static Protocol, hinted: bool, direction: Direction, bytes: &[u8]) -> Judgement {
        let straight = (protocol.probe)(bytes, direction);
        match straight {
            Probe::Certain => return Judgement::Decided { reversed: false },
            Probe::Maybe if hinted => return Judgement::Decided { reversed: false },
            _ => {}
        }
        let turned = if self.seen.has(Seen::ROLES) { Probe::No } else { (protocol.probe)(bytes, direction.opposite()) };
        if turned == Probe::Certain {
            return Judgement::Decided { reversed: true };
        }
        // Most protocols end here: what does not begin as one of their messages is no evidence either.
        if straight.max(turned) <= Probe::OnPort {
            return Judgement::No;
        }
        let evidence = |probe, reversed| {
            if probe <= Probe::OnPort { None } else { self.evidence(protocol, direction, bytes, reversed) }
        };
        match (evidence(straight, false), evidence(turned, true)) {
            (Some(evidence), _) if evidence.suffices(hinted) => Judgement::Decided { reversed: false },
            (_, Some(evidence)) if evidence.suffices(hinted) => Judgement::Decided { reversed: true },
            (None, None) => Judgement::No,
            found => {
                let whole = |evidence: Option<Evidence>| evidence.is_some_and(|found| found.own > 0 || found.shared);
                Judgement::Possible { whole: whole(found.0) || whole(found.1) }
            }
        }
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
        self.medium == Medium::Datagram
    }
}

/// A protocol that has ports in one medium only is not looked for in the other; one without ports may be in either.
pub(super) fn is_carried(protocol: &Protocol, medium: Medium) -> bool {
    let anywhere = protocol.tcp_ports.is_empty() && protocol.udp_ports.is_empty();
    protocol.ethertypes.is_empty() && (anywhere || !ports(protocol, medium).is_empty())
}

fn ports(protocol: &Protocol, medium: Medium) -> &'static [u16] {
    if medium == Medium::Datagram { protocol.udp_ports } else { protocol.tcp_ports }
}

enum Judgement {
    Decided {
        reversed: bool,
    },
    /// It may be; `whole` says that there is a message, not only the beginning of one.
    Possible {
        whole: bool,
    },
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
    /// Is this enough to decide? Messages that other protocols share count for none of them.
    fn suffices(self, hinted: bool) -> bool {
        let after_shared = self.shared && self.own > 0 && hinted;
        self.certain || self.own >= EVIDENCE || after_shared
    }

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
