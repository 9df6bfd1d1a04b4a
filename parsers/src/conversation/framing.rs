//! Bytes to messages of a known protocol: in place where a message lies whole in the bytes at hand, through a bounded
//! buffer where it does not, and by sliding to the next message where none begins.

use super::Medium;
use super::detection::is_carried;
use crate::dissector::{Anomaly, Direction, Dissector, Envelope, Frame, Probe, Protocol, Sink};
use crate::limits::{Bound, Kept, Limits};
use crate::registry::PROTOCOLS;
use crate::time::Timestamp;

/// Bytes in which an end that spoke the protocol would have said a message.
const SILENT_BYTES: usize = 4096;

pub(super) struct Framer {
    protocol: &'static Protocol,
    dissector: Box<dyn Dissector>,
    medium: Medium,
    /// Directions in which a message was found.
    framed: [bool; 2],
    /// Directions of which the first bytes are still to come, or are no message so far.
    beginnings: [bool; 2],
    /// It was told that only one direction speaks the protocol, or that the other speaks another.
    told: bool,
    /// Made when a message does not lie whole in the bytes at hand for the first time: in most flows, never.
    sides: Option<Box<[Side; 2]>>,
}

/// One direction of a stream.
#[derive(Default)]
struct Side {
    /// The beginning of a message whose end has not come yet.
    pending: Vec<u8>,
    /// Set while no message boundary is known: the number of bytes skipped so far.
    lost: Option<usize>,
    /// Bytes to pass over: the rest of a message that is too long to be held.
    passing: u64,
}

/// Where the next message begins in bytes without a known boundary.
enum Boundary {
    /// A whole message begins at this offset.
    At(usize),
    /// One may begin at this offset; more bytes will tell.
    Perhaps(usize),
    /// Nowhere.
    Nowhere,
}

impl Framer {
    /// `beginnings` says of which directions the first bytes are among those that come.
    pub(super) fn new(protocol: &'static Protocol, limits: &Limits, medium: Medium, beginnings: [bool; 2]) -> Self {
        let dissector = (protocol.open)(limits);
        Self { protocol, dissector, medium, framed: [false; 2], beginnings, told: false, sides: None }
    }

    pub(super) fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    pub(super) fn buffered(&self) -> usize {
        self.sides.iter().flat_map(|sides| sides.iter()).map(|side| side.pending.len()).sum()
    }

    pub(super) fn kept(&self) -> Kept {
        self.dissector.kept()
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides.get_or_insert_default()[direction.index()]
    }

    /// The number of bytes skipped so far while no message boundary is known.
    fn lost(&self, direction: Direction) -> Option<usize> {
        self.sides.as_ref()?[direction.index()].lost
    }

    pub(super) fn data(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        match self.medium {
            Medium::Stream => self.stream(envelope, bytes, sink),
            Medium::Datagram => self.datagram(envelope, bytes, sink),
            Medium::Frame => self.link_frame(envelope, bytes, sink),
        }
    }

    fn stream(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let side = envelope.direction.index();
        let mut rest = bytes;
        if let Some(sides) = &mut self.sides
            && !sides[side].pending.is_empty()
        {
            let mut joined = std::mem::take(&mut sides[side].pending);
            rest = self.complete(&mut joined, envelope, bytes, sink);
            self.side(envelope.direction).pending = joined;
        }
        let used = self.consume(envelope, rest, sink);
        if used < rest.len() {
            self.side(envelope.direction).pending.extend_from_slice(&rest[used..]);
        }
    }

    /// So many bytes were lost; 0 for what was only let go of.
    pub(super) fn gap(&mut self, direction: Direction, bytes: u64) {
        self.beginnings[direction.index()] = false;
        let side = self.side(direction);
        if side.passing > 0 && bytes <= side.passing {
            // Nothing of them was wanted.
            side.passing -= bytes;
            return;
        }
        side.passing = 0;
        side.lost = Some(side.lost.unwrap_or_default() + side.pending.len());
        side.pending.clear();
        self.dissector.gap(direction);
    }

    pub(super) fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        self.dissector.expire(until, sink);
    }

    /// Completes the message begun in `joined` with as few of `bytes` as it needs, so that what follows is parsed in
    /// place. Gives the bytes it did not take; when it took them all, `joined` may hold an unfinished message again.
    fn complete<'b>(
        &mut self,
        joined: &mut Vec<u8>,
        envelope: &Envelope,
        bytes: &'b [u8],
        sink: &mut dyn Sink,
    ) -> &'b [u8] {
        let mut rest = bytes;
        while !joined.is_empty() && !rest.is_empty() {
            let wanted = match (self.protocol.frame)(joined, envelope.direction) {
                Frame::Need(length) => length.saturating_sub(joined.len()).clamp(1, rest.len()),
                Frame::Whole(_) | Frame::Long { .. } | Frame::Not => rest.len(),
            };
            let (taken, left) = rest.split_at(wanted);
            joined.extend_from_slice(taken);
            rest = left;
            let used = self.consume(envelope, joined, sink);
            joined.drain(..used);
        }
        rest
    }

    /// Parses every whole message at the beginning of `bytes`, sliding over what is none. Gives the number of bytes
    /// used; the rest is the beginning of a message, shorter than the protocol's longest.
    fn consume(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) -> usize {
        let direction = envelope.direction;
        let mut at = self.pass(direction, bytes.len());
        while at < bytes.len() {
            if let Some(skipped) = self.lost(direction) {
                match self.boundary(direction, &bytes[at..]) {
                    Boundary::At(offset) => {
                        at += offset;
                        self.side(direction).lost = None;
                        self.resynchronised(envelope, skipped + offset, sink);
                    }
                    Boundary::Perhaps(offset) => {
                        self.side(direction).lost = Some(skipped + offset);
                        self.doubt(envelope, skipped + offset, sink);
                        return at + offset;
                    }
                    Boundary::Nowhere => {
                        let skipped = skipped + bytes.len() - at;
                        self.side(direction).lost = Some(skipped);
                        self.doubt(envelope, skipped, sink);
                        return bytes.len();
                    }
                }
            }
            match self.frame(direction, &bytes[at..]) {
                Frame::Whole(length) => {
                    self.framed[direction.index()] = true;
                    self.dissector.parse(envelope, &bytes[at..at + length], sink);
                    at += length;
                }
                Frame::Long { head, length } => {
                    self.framed[direction.index()] = true;
                    self.dissector.parse(envelope, &bytes[at..at + head], sink);
                    sink.bounded(Bound::MessageBytes);
                    self.side(direction).passing = (length - head) as u64;
                    at += head;
                    at += self.pass(direction, bytes.len() - at);
                }
                Frame::Need(_) => return at,
                Frame::Not => {
                    self.compare(envelope, &bytes[at..], sink);
                    self.side(direction).lost = Some(0);
                }
            }
        }
        at
    }

    /// Passes over what is left of a message that is too long, at the most so many bytes. Gives their number.
    fn pass(&mut self, direction: Direction, most: usize) -> usize {
        let Some(sides) = &mut self.sides else { return 0 };
        let passing = &mut sides[direction.index()].passing;
        let passed = usize::try_from(*passing).unwrap_or(usize::MAX).min(most);
        *passing -= passed as u64;
        passed
    }

    /// The protocol's answer, held to its contract: lengths that cannot be are no message.
    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        match (self.protocol.frame)(bytes, direction) {
            Frame::Whole(length) if (1..=bytes.len()).contains(&length) => Frame::Whole(length),
            Frame::Need(length) if length > bytes.len() && length <= self.protocol.longest_message => {
                Frame::Need(length)
            }
            Frame::Long { head, length } if (1..=bytes.len()).contains(&head) && head < length => {
                if self.medium == Medium::Stream { Frame::Long { head, length } } else { Frame::Not }
            }
            _ => Frame::Not,
        }
    }

    /// Slides over `bytes` until `frame` and `probe` agree. A message that is only possible is believed when what
    /// follows it is possible too; a whole message is preferred to the beginning of one.
    fn boundary(&self, direction: Direction, bytes: &[u8]) -> Boundary {
        let mut perhaps = None;
        for offset in 0..bytes.len() {
            let here = &bytes[offset..];
            match self.frame(direction, here) {
                Frame::Whole(length) => match (self.protocol.probe)(here, direction) {
                    Probe::Certain => return Boundary::At(offset),
                    Probe::Maybe | Probe::Shared | Probe::OnPort if self.possible(direction, &here[length..]) => {
                        return Boundary::At(offset);
                    }
                    _ => {}
                },
                Frame::Need(_) if perhaps.is_none() && (self.protocol.probe)(here, direction) != Probe::No => {
                    perhaps = Some(offset);
                }
                _ => {}
            }
        }
        perhaps.map_or(Boundary::Nowhere, Boundary::Perhaps)
    }

    fn possible(&self, direction: Direction, bytes: &[u8]) -> bool {
        bytes.is_empty()
            || (self.frame(direction, bytes) != Frame::Not && (self.protocol.probe)(bytes, direction) != Probe::No)
    }

    /// So many bytes of a stream were skipped, and no message is in sight: tells once that only the other end speaks the
    /// protocol, if it does and this one never has.
    fn doubt(&mut self, envelope: &Envelope, skipped: usize, sink: &mut dyn Sink) {
        let [here, there] = [envelope.direction, envelope.direction.opposite()].map(|way| self.framed[way.index()]);
        if skipped > SILENT_BYTES && there && !here && !self.told {
            self.told = true;
            sink.undetected(envelope, super::ONE_DIRECTION);
        }
    }

    /// These bytes are no message. Where they are the first that an end says, tells if they are one of another protocol.
    fn compare(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let side = envelope.direction.index();
        let first = std::mem::take(&mut self.beginnings[side]) && !self.framed[side];
        if !first || self.told {
            return;
        }
        let certain = |other: &&Protocol| {
            let is_other = other.name != self.protocol.name && !other.only_on_ports && is_carried(other, self.medium);
            is_other && (other.probe)(bytes, envelope.direction) == Probe::Certain
        };
        // All that there are: to keep with each flow which ones were looked for in it would take more than this is worth.
        if PROTOCOLS.iter().copied().any(|other| certain(&other)) {
            self.told = true;
            sink.undetected(envelope, super::MISMATCH);
        }
    }

    fn resynchronised(&self, envelope: &Envelope, skipped: usize, sink: &mut dyn Sink) {
        if skipped > 0 {
            sink.anomaly(envelope, self.protocol, Anomaly { kind: super::RESYNCHRONISED, offset: skipped });
        }
    }

    /// A datagram holds whole messages; nothing is carried over to the next.
    fn datagram(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let used = self.consume(envelope, bytes, sink);
        let lost = self.sides.as_mut().and_then(|sides| sides[envelope.direction.index()].lost.take());
        if let Some(skipped) = lost {
            let skipped = skipped + bytes.len() - used;
            self.resynchronised(envelope, skipped, sink);
        } else if used < bytes.len() {
            sink.anomaly(envelope, self.protocol, Anomaly { kind: "truncated", offset: bytes.len() });
        }
    }
    /// A frame of the link layer holds one message, then padding. A frame that holds none is reported, and says nothing
    /// of the next.
    fn link_frame(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        match self.frame(envelope.direction, bytes) {
            Frame::Whole(length) => self.dissector.parse(envelope, &bytes[..length], sink),
            Frame::Need(_) => {
                sink.anomaly(envelope, self.protocol, Anomaly { kind: "truncated", offset: bytes.len() });
            }
            Frame::Long { .. } | Frame::Not => self.resynchronised(envelope, bytes.len(), sink),
        }
    }
}
