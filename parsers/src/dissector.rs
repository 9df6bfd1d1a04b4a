//! The one trait every protocol implements, and what a protocol says about itself.
//!
//! A protocol is a [`Protocol`] value: pure functions that recognise ([`Protocol::probe`]) and delimit
//! ([`Protocol::frame`]) its messages, its field table, and a constructor of the per-flow [`Dissector`] that parses
//! whole messages into [`Record`]s. Nothing in a protocol buffers bytes of an unfinished message: that is
//! [`crate::conversation::Conversation`]'s work, shared by all.

use crate::field::{Field, Tree, Visit};
use crate::identity::VisitFacts;
use crate::limits::{Bound, Kept, Limits};
use crate::operation::{Operation, VisitPoints};
use crate::time::Timestamp;

/// Which way bytes go in a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client (HMI, master, controlling station) to the server (PLC, outstation, controlled station).
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// The other way.
    pub const fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// 0 to the server, 1 to the client: for arrays of two.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Answer of [`Protocol::probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// These bytes do not begin a message of this protocol going this way.
    No,
    /// They may, and nothing in them tells it from others: where the port is this protocol's own they do, elsewhere not.
    OnPort,
    /// They begin a layer that several protocols stand on (a COTP connection request): nothing speaks against this one,
    /// nor for it over the others. What follows decides.
    Shared,
    /// They may: nothing contradicts it, but chance would often produce the like.
    Maybe,
    /// They do: magic, checksum or a chain of consistent lengths says so.
    Certain,
}

/// Answer of [`Protocol::frame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The message is the first `n` bytes; 1 ≤ n ≤ the length of the input.
    Whole(usize),
    /// At least `n` bytes in all are needed to tell or to complete it; n > the length of the input.
    Need(usize),
    /// The message is longer than [`Protocol::longest_message`]. Its first `head` bytes, which are there, are parsed, and
    /// the rest is passed over as it comes, so that the next message is found at its place. In streams only.
    Long {
        /// Bytes to parse; 1 ≤ head ≤ the length of the input.
        head: usize,
        /// Bytes of the message in all.
        length: usize,
    },
    /// No message begins here.
    Not,
}

/// Where a message was met.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    /// Which way it goes.
    pub direction: Direction,
    /// Time of the packet that completed it.
    pub timestamp: Timestamp,
    /// True when it came in a datagram or frame of its own, not out of a stream.
    pub datagram: bool,
}

/// Something a protocol's standard does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// Its name, one of [`Protocol::anomalies`].
    pub kind: &'static str,
    /// Where in the message, in bytes from its first; for lost synchronisation, the number of bytes skipped.
    pub offset: usize,
}

/// One name of [`Protocol::anomalies`].
#[derive(Debug, Clone, Copy)]
pub struct AnomalyKind {
    /// Lower snake case, Suricata's `app-layer-event` spelling where it has one: `invalid_length`.
    pub name: &'static str,
    /// One line of doc.
    pub doc: &'static str,
}

/// One request, reply or message, as the protocol's standard divides them: a view borrowed from the message's bytes.
pub trait Record {
    /// The protocol it belongs to.
    fn protocol(&self) -> &'static Protocol;

    /// Hands the values of field `index` of the protocol's table to `out`, in the order of the wire.
    fn visit(&self, index: usize, out: &mut Visit<'_>);

    /// Writes the record in the layout that consumers of EVE expect. The object around it is open already.
    fn tree(&self, tree: &mut dyn Tree);

    /// As [`Record::tree`], for the record within an alert, where EVE has another layout for some protocols.
    fn alert_tree(&self, tree: &mut dyn Tree) {
        self.tree(tree);
    }

    /// Number of the transaction within the flow, from 1: a request and its answer share it, so that a signature
    /// raises one alert for both.
    fn transaction(&self) -> u64;

    /// How the record came by its answer, for a record handed to [`Sink::transaction`].
    fn pairing(&self) -> Pairing {
        Pairing::None
    }

    /// What the message does to the plant, in the vocabulary of all protocols. A response has that of its request.
    fn operation(&self) -> Option<Operation> {
        None
    }

    /// What [`Record::operation`] is about, point by point in the order of the wire.
    fn points(&self, out: &mut VisitPoints<'_>) {
        let _ = out;
    }

    /// What the message tells of the devices at the ends of its flow.
    fn facts(&self, out: &mut VisitFacts<'_>) {
        let _ = out;
    }
}

/// Implements [`Record`] for a type with `transaction` and `pairing`, where the reading of fields, the layout of events and
/// what is done to the plant are functions of their own:
///
/// ```text
/// record!(Exchange<'_>, PROTOCOL, visit, eve::write, operation);
/// ```
///
/// with `visit` as [`crate::fields!`] gives it, and `operation` a module with `operation`, `points` and `facts`.
macro_rules! record {
    ($type:ty, $protocol:path, $visit:path, $write:path, $operation:ident) => {
        impl $crate::dissector::Record for $type {
            fn protocol(&self) -> &'static $crate::dissector::Protocol {
                &$protocol
            }

            fn visit(&self, index: usize, out: &mut $crate::field::Visit<'_>) {
                $visit(self, index, out);
            }

            fn tree(&self, tree: &mut dyn $crate::field::Tree) {
                $write(self, tree);
            }

            fn transaction(&self) -> u64 {
                self.transaction
            }

            fn pairing(&self) -> $crate::dissector::Pairing {
                self.pairing
            }

            fn operation(&self) -> Option<$crate::operation::Operation> {
                $operation::operation(self)
            }

            fn points(&self, out: &mut $crate::operation::VisitPoints<'_>) {
                $operation::points(self, out);
            }

            fn facts(&self, out: &mut $crate::identity::VisitFacts<'_>) {
                $operation::facts(self, out);
            }
        }
    };
}

pub(crate) use record;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// It is a message that has, or is, no answer.
    None,
    /// Its request was seen at this time; the answer is the record's own message.
    Answered(Timestamp),
    /// Its request was given up: no answer was seen.
    Unanswered,
}

/// What a dissector tells while it parses. The worker implements it: rules, events and counters.
pub trait Sink {
    /// Client and server are the other way round than the flow assumed. It is told before the first message: directions
    /// from here on are the right ones.
    fn turned(&mut self) {}

    /// A message was parsed: rules see it now, and counters count it, exactly once a message on the wire.
    fn message(&mut self, envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]);

    /// A transaction is complete (answered, or given up): it is logged. For protocols without pairing, called right
    /// after [`Sink::message`] with the same record.
    fn transaction(&mut self, envelope: &Envelope, record: &dyn Record);

    /// Bytes that do not parse as far as a record.
    fn anomaly(&mut self, envelope: &Envelope, protocol: &'static Protocol, anomaly: Anomaly);

    /// Detection of the flow's protocol met something that rules may ask for ([`crate::conversation`] has the names).
    fn undetected(&mut self, envelope: &Envelope, event: &'static str) {
        let _ = (envelope, event);
    }

    /// A bound of what is kept of the flow bit: the oldest was given up.
    fn bounded(&mut self, bound: Bound) {
        let _ = bound;
    }
}

/// The state one flow keeps for its protocol: outstanding requests, fragments being joined, negotiated sizes. Every
/// part of it is bounded.
pub trait Dissector: Send {
    /// Parses one whole message as [`Protocol::frame`] delimited it and tells `sink` what it is. Never panics.
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink);

    /// What it keeps of the flow at this moment, for the gauges.
    fn kept(&self) -> Kept {
        Kept::default()
    }

    /// Bytes were lost in this direction: what was being joined is void.
    fn gap(&mut self, direction: Direction) {
        let _ = direction;
    }

    /// Nobody waits any more for answers to what was asked up to this time: these transactions are handed to
    /// [`Sink::transaction`]. [`Timestamp::MAX`] is for all, as when the flow ends.
    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        let _ = (until, sink);
    }
}

/// A protocol: all that the rest of Vigía knows of it.
pub struct Protocol {
    /// Lower-case name: the prefix of its fields, its EVE key and its name in rule headers.
    pub name: &'static str,
    /// Full name and the standard it follows.
    pub title: &'static str,
    /// Well-known TCP ports: hints, not conditions. A protocol that has ports in TCP or UDP only is carried there only.
    pub tcp_ports: &'static [u16],
    /// Well-known UDP ports: hints, not conditions.
    pub udp_ports: &'static [u16],
    /// It is looked for on its ports alone (and without any, nowhere): what tells its messages from another protocol's is
    /// the port, or nothing.
    pub only_on_ports: bool,
    /// Ethertypes, for a protocol that stands on the link layer alone; such a protocol is not looked for in TCP or UDP.
    /// Below 256 they are service access points of IEEE 802.2.
    pub ethertypes: &'static [u16],
    /// Operational technology: exempt from depth limits, evicted and shed last.
    pub ot: bool,
    /// The longest message the standard allows, in bytes: what a conversation buffers at the most.
    pub longest_message: usize,
    /// Its field table.
    pub fields: &'static [Field],
    /// Its anomalies.
    pub anomalies: &'static [AnomalyKind],
    /// Do these bytes begin a message of this protocol going this way? May be given fewer bytes than a header has.
    pub probe: fn(&[u8], Direction) -> Probe,
    /// Where does the message that begins here end?
    pub frame: fn(&[u8], Direction) -> Frame,
    /// A dissector for a new flow, which keeps no more of it than these bounds allow.
    pub open: fn(&Limits) -> Box<dyn Dissector>,
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Protocol {
    /// The index of a field in the table, by name.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// Protocols are compared by identity: each is one static.
impl PartialEq for Protocol {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Protocol {}
