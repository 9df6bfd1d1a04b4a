//! The transport function (IEEE 1815-2012 §8): segments of one octet of header, joined into application fragments.

use super::Anomalies;
use crate::dissector::Direction;
use crate::limits::Limits;

/// Most application octets that one segment carries: a frame's user data without the transport header.
pub const SEGMENT: usize = super::link::USER_DATA - 1;
/// The longest fragment that is joined: one full turn of the six-bit sequence number. (The standard asks devices to
/// keep to 2048 octets unless configured otherwise, §4.2.2.)
pub const LONGEST: usize = 64 * SEGMENT;
/// Fragments that may be in the making at once in one flow (a master that talks to several outstations through one
/// connection), whatever room [`Limits::joined_bytes`] leaves; one more gives up the oldest.
pub const STREAMS: usize = 8;

/// The transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header(pub u8);

impl Header {
    /// FIR: first segment of a fragment.
    pub const fn fir(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// FIN: last segment of a fragment.
    pub const fn fin(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Sequence number, modulo 64.
    pub const fn sequence(self) -> u8 {
        self.0 & 0x3f
    }
}

/// Who speaks to whom: fragments of different pairs may be interleaved on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Which way it goes.
    pub direction: Direction,
    /// Link address of the sender.
    pub source: u16,
    /// Link address of the receiver.
    pub destination: u16,
}

/// A fragment in the making.
struct Stream {
    pair: Pair,
    /// Sequence number of the segment added last.
    sequence: u8,
    /// Length of the segment added last: a retransmission of it is known by it.
    last: usize,
    transaction: u64,
    octets: Vec<u8>,
}

impl Stream {
    fn repeats(&self, header: Header, segment: &[u8]) -> bool {
        header.sequence() == self.sequence && segment.len() == self.last && self.octets.ends_with(segment)
    }
}

/// Joins segments into fragments. Idle, it holds nothing but one buffer for the next long fragment.
pub struct Joiner {
    streams: Vec<Stream>,
    /// The fragment completed last; its memory serves the next one.
    complete: Vec<u8>,
    /// By direction: a first segment was seen since the flow began, bytes were lost or a fragment was given up. Before,
    /// a later segment without its first is no fault of the sender.
    settled: [bool; 2],
    /// Octets that all fragments in the making may have.
    most: u32,
    /// The bound on them bit since it was asked last.
    bounded: bool,
}

/// What a segment made.
pub struct Joined<'a> {
    /// The fragment, when it is whole.
    pub fragment: Option<&'a [u8]>,
    /// Number of the transaction that the fragment is.
    pub transaction: u64,
}

impl Joiner {
    /// Joins as much as the limits allow.
    pub fn new(limits: &Limits) -> Self {
        Self {
            streams: Vec::new(),
            complete: Vec::new(),
            settled: [false; 2],
            most: limits.joined_bytes,
            bounded: false,
        }
    }

    /// Octets of all fragments in the making.
    pub fn octets(&self) -> usize {
        self.streams.iter().map(|stream| stream.octets.len()).sum()
    }

    /// True once after the bound on what is joined bit.
    pub fn take_bounded(&mut self) -> bool {
        std::mem::take(&mut self.bounded)
    }

    fn exceeds(&self, segment: &[u8]) -> bool {
        self.octets() + segment.len() > self.most as usize
    }

    /// Takes the next segment. `transaction` numbers the fragment if it begins here or is unknown. A fragment in one
    /// segment is handed back as it is.
    pub fn segment<'a>(
        &'a mut self,
        pair: Pair,
        header: Header,
        segment: &'a [u8],
        transaction: u64,
        anomalies: &mut Anomalies,
    ) -> Joined<'a> {
        let open = self.streams.iter().position(|stream| stream.pair == pair);
        if header.fir() {
            self.settled[pair.direction.index()] = true;
            if let Some(at) = open {
                let stream = &self.streams[at];
                if !header.fin() && stream.last == stream.octets.len() && stream.repeats(header, segment) {
                    return Joined { fragment: None, transaction: stream.transaction };
                }
                anomalies.add("transport_incomplete", super::link::HEADER);
                self.give_up(at);
            }
            if header.fin() {
                return Joined { fragment: Some(segment), transaction };
            }
            self.begin(pair, header, segment, transaction, anomalies);
            return Joined { fragment: None, transaction };
        }
        match open {
            Some(at) => self.go_on(at, header, segment, anomalies),
            None => {
                if self.settled[pair.direction.index()] {
                    anomalies.add("transport_out_of_sequence", super::link::HEADER);
                }
                Joined { fragment: None, transaction }
            }
        }
    }

    fn begin(&mut self, pair: Pair, header: Header, segment: &[u8], transaction: u64, anomalies: &mut Anomalies) {
        while self.streams.len() == STREAMS || (!self.streams.is_empty() && self.exceeds(segment)) {
            self.bounded = true;
            anomalies.add("too_many_fragments", super::link::HEADER);
            self.give_up(0);
        }
        let mut octets = std::mem::take(&mut self.complete);
        octets.clear();
        octets.extend_from_slice(segment);
        self.streams.push(Stream { pair, sequence: header.sequence(), last: segment.len(), transaction, octets });
    }

    fn go_on(&mut self, at: usize, header: Header, segment: &[u8], anomalies: &mut Anomalies) -> Joined<'_> {
        let exceeds = self.exceeds(segment);
        let stream = &mut self.streams[at];
        let transaction = stream.transaction;
        let pair = stream.pair;
        if stream.repeats(header, segment) {
            return Joined { fragment: None, transaction };
        }
        let fault = if header.sequence() != (stream.sequence + 1) & 0x3f {
            Some("transport_out_of_sequence")
        } else if exceeds || stream.octets.len() + segment.len() > LONGEST {
            self.bounded |= exceeds;
            Some("too_long_reassembly")
        } else {
            None
        };
        if let Some(kind) = fault {
            anomalies.add(kind, super::link::HEADER);
            self.give_up(at);
            self.settled[pair.direction.index()] = false;
            return Joined { fragment: None, transaction };
        }
        stream.sequence = header.sequence();
        stream.last = segment.len();
        stream.octets.extend_from_slice(segment);
        if !header.fin() {
            return Joined { fragment: None, transaction };
        }
        self.complete = self.streams.remove(at).octets;
        Joined { fragment: Some(&self.complete), transaction }
    }

    /// Discards a fragment in the making and keeps its memory.
    fn give_up(&mut self, at: usize) {
        self.complete = self.streams.remove(at).octets;
    }

    /// A segment of this pair was lost or is damaged: what was being joined is void.
    pub fn void(&mut self, pair: Pair) {
        if let Some(at) = self.streams.iter().position(|stream| stream.pair == pair) {
            self.give_up(at);
        }
        self.settled[pair.direction.index()] = false;
    }

    /// Bytes of this direction were lost: all that was being joined is void.
    pub fn void_all(&mut self, direction: Direction) {
        self.streams.retain(|stream| stream.pair.direction != direction);
        self.settled[direction.index()] = false;
    }
}
