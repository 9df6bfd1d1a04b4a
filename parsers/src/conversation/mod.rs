//! What two endpoints say to each other, as messages: protocol detection, framing, resynchronisation after gaps.
//!
//! A [`Conversation`] is fed the bytes of a flow as the network gave them: stream bytes in order with gaps told apart,
//! or datagrams. It finds the flow's protocol ([`detection`]), cuts the bytes into messages, handing each out in place
//! where it can ([`framing`]), and lets the protocol's dissector parse them.
//!
//! **Architecture invariant.** No input ends the inspection of a flow: after a gap or garbage the framer slides to the
//! next message, and a flow on a well-known port is probed for as long as it lives. What is buffered is bounded by
//! the protocol's longest message, or 4096 bytes before the protocol is known.

mod detection;
mod framing;

use crate::dissector::{AnomalyKind, Direction, Envelope, Protocol, Sink};
use crate::limits::{Kept, Limits};
use crate::time::Timestamp;
use detection::{Detection, Outcome};
use framing::Framer;

/// The anomaly of bytes skipped until the next message.
pub const RESYNCHRONISED: &str = "resynchronised";

/// Told when the protocol was given up though only one end has spoken ([`Sink::undetected`]).
pub const DETECTION_SKIPPED: &str = "applayer_proto_detection_skipped";

/// Told when one end speaks the protocol, and of the other, which said a lot, nothing was a message of it.
pub const ONE_DIRECTION: &str = "applayer_detect_protocol_only_one_direction";

/// Told when the first that one end says is for certain of another protocol than the one that the other end speaks.
pub const MISMATCH: &str = "applayer_mismatch_protocol_both_directions";

/// Anomalies that framing reports for every protocol, besides the protocol's own.
pub const ANOMALIES: &[AnomalyKind] = &[
    AnomalyKind {
        name: RESYNCHRONISED,
        doc: "Bytes that belong to no message were skipped, after a gap or garbage; the offset is their number",
    },
    AnomalyKind {
        name: "truncated",
        doc: "A datagram or frame ends before its message does; the offset is its length",
    },
];

/// The application layer of one flow.
///
/// A sensor has a million: once the protocol is known it is as small as can be, and what is rarely needed is made when
/// it is.
pub struct Conversation {
    state: State,
    reversed: bool,
}

enum State {
    Detecting(Box<Detection>),
    Known(Framer),
    /// Not a protocol of the registry: an IT flow on other ports. Costs nothing any more.
    Unknown,
}

/// What carries the messages of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A stream: messages follow each other without regard to segments.
    Stream,
    /// Datagrams of whole messages.
    Datagram,
    /// Frames of the link layer, one message each; what follows it is padding.
    Frame,
}

/// What is known of a flow before its first byte.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Port of the client.
    pub client_port: u16,
    /// Port of the server.
    pub server_port: u16,
    /// What carries its messages; [`Medium::Frame`] is for [`Conversation::on_link`].
    pub medium: Medium,
    /// Who is the client was seen (TCP handshake) or follows from a well-known port; else detection may turn it round.
    pub roles_known: bool,
}

impl Conversation {
    /// A conversation that has not begun, or that is picked up in the middle, in one of `protocols` (usually
    /// [`crate::registry::PROTOCOLS`], probed in that order), whose dissector keeps to `limits`.
    pub fn new(opening: Opening, protocols: &'static [&'static Protocol], limits: &Limits) -> Self {
        let detection = Detection::new(opening, protocols, limits);
        Self { state: State::Detecting(Box::new(detection)), reversed: false }
    }

    /// A conversation in frames of the link layer, whose ethertype says what is spoken.
    pub fn on_link(protocol: &'static Protocol, limits: &Limits) -> Self {
        Self { state: State::Known(Framer::new(protocol, limits, Medium::Frame, [false; 2])), reversed: false }
    }

    /// The next bytes of one direction of a stream, in order; or one datagram.
    pub fn data(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let envelope = Envelope { direction: self.turned(envelope.direction), ..*envelope };
        match &mut self.state {
            State::Known(framer) => framer.data(&envelope, bytes, sink),
            State::Detecting(detection) => match detection.data(&envelope, bytes) {
                Outcome::Undecided => {}
                Outcome::Unknown { one_sided } => {
                    self.state = State::Unknown;
                    if one_sided {
                        sink.undetected(&envelope, DETECTION_SKIPPED);
                    }
                }
                Outcome::Found { protocol, reversed } => self.begin(protocol, reversed, &envelope, bytes, sink),
            },
            State::Unknown => {}
        }
    }

    /// So many bytes of this direction were lost and will never come.
    pub fn gap(&mut self, direction: Direction, bytes: u64) {
        let direction = self.turned(direction);
        match &mut self.state {
            State::Known(framer) => framer.gap(direction, bytes),
            State::Detecting(detection) => detection.gap(direction),
            State::Unknown => {}
        }
    }

    /// Lets go of the bytes of unfinished messages, as if they had been lost: the next message is found again.
    pub fn forget_unfinished(&mut self) {
        [Direction::ToServer, Direction::ToClient].into_iter().for_each(|direction| self.gap(direction, 0));
    }

    /// Nobody waits any more for answers to what was asked up to this time: these transactions are reported as unanswered.
    /// [`Timestamp::MAX`] is for all, when the flow ended.
    pub fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        if let State::Known(framer) = &mut self.state {
            framer.expire(until, sink);
        }
    }

    /// The protocol, once detected.
    pub fn protocol(&self) -> Option<&'static Protocol> {
        match &self.state {
            State::Known(framer) => Some(framer.protocol()),
            _ => None,
        }
    }

    /// True once no protocol of the registry is to be expected any more: the flow's payload need not be handed on.
    pub fn is_unknown(&self) -> bool {
        matches!(self.state, State::Unknown)
    }

    /// Is what was said so far of no protocol of the registry, as far as can be told? It is once both ends have spoken from the
    /// beginning and nothing was recognised, and once nothing is to be expected any more. While it is not
    /// [unknown](Self::is_unknown) for good, a protocol may still be found.
    pub fn has_failed(&self) -> bool {
        match &self.state {
            State::Detecting(detection) => detection.has_failed(),
            State::Known(_) => false,
            State::Unknown => true,
        }
    }

    /// True once after detection found that client and server are the other way round than the flow assumed. The sink has
    /// been told ([`Sink::turned`]); after this answer, bytes are to be fed with the roles of the flow turned, too.
    pub fn take_reversed(&mut self) -> bool {
        std::mem::take(&mut self.reversed)
    }

    /// What the dissector keeps of the flow at this moment.
    pub fn kept(&self) -> Kept {
        match &self.state {
            State::Known(framer) => framer.kept(),
            State::Detecting(_) | State::Unknown => Kept::default(),
        }
    }

    /// Bytes of unfinished messages held at this moment.
    pub fn buffered(&self) -> usize {
        match &self.state {
            State::Known(framer) => framer.buffered(),
            State::Detecting(detection) => detection.buffered(),
            State::Unknown => 0,
        }
    }

    fn turned(&self, direction: Direction) -> Direction {
        if self.reversed { direction.opposite() } else { direction }
    }

    /// The protocol is found: what was held back while detecting is dissected, then the bytes in hand.
    fn begin(
        &mut self,
        protocol: &'static Protocol,
        reversed: bool,
        envelope: &Envelope,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) {
        let State::Detecting(detection) = &self.state else { return };
        let mut beginnings = [Direction::ToServer, Direction::ToClient].map(|way| detection.has_beginning(way));
        if reversed {
            beginnings.reverse();
        }
        let mut framer = Framer::new(protocol, detection.limits(), detection.medium(), beginnings);
        let turn = |direction: Direction| if reversed { direction.opposite() } else { direction };
        if reversed {
            sink.turned();
        }
        for (held, chunk) in detection.held() {
            framer.data(&Envelope { direction: turn(held.direction), ..held }, chunk, sink);
        }
        framer.data(&Envelope { direction: turn(envelope.direction), ..*envelope }, bytes, sink);
        self.reversed = reversed;
        self.state = State::Known(framer);
    }
}

#[cfg(test)]
mod tests;
