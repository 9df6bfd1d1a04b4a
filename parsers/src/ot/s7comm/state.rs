//! What a flow remembers: parts being joined, requests that wait for their answers, uploads that go on.

use super::block::{Block, Transfer};
use super::check::findings;
use super::pdu::{ACK, ACK_DATA, JOB, LENGTHS, Pdu, USERDATA, function};
use super::record::{Body, Message};
use super::userdata::{Fragments, REQUEST, RESPONSE, Userdata};
use super::{
    EXCEEDS_PDU_LENGTH, INCOMPLETE, INVALID_LENGTH, INVALID_TRANSPORT, PROTOCOL, TOO_LONG, UNKNOWN_PROTOCOL,
    UNSOLICITED_RESPONSE, pdu, plus,
};
use crate::dissector::{Anomaly, Direction, Dissector, Envelope, Pairing, Probe, Sink};
use crate::findings::Findings;
use crate::layer::cotp::{self, Header, Joined, Joiner, Tpdu};
use crate::limits::{Bound, Kept, Limits};
use crate::pairing::{Outstanding, Request};
use crate::time::Timestamp;

/// What a request and its answer have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    /// A connection is asked for.
    Connection {
        asker: Direction,
    },
    /// Either side asks: it is the PLC that asks for the parts of a download.
    Pdu {
        asker: Direction,
        reference: u16,
    },
    Plus {
        asker: Direction,
        function: u16,
        sequence: u16,
    },
}

/// The state of a flow.
pub(super) struct State {
    joiner: Joiner,
    flow: Flow,
}

/// What outlives a message, besides the parts of one.
struct Flow {
    /// Number of the last transaction.
    last: u64,
    waiting: Outstanding<Key>,
    fragments: Fragments,
    uploads: Vec<Upload>,
    /// The longest PDU that was agreed upon.
    pdu_length: Option<u16>,
    /// Each direction is within a message of S7comm-plus that takes several PDUs.
    continued: [bool; 2],
    /// S7comm-plus was spoken: a record of TLS belongs to it.
    is_plus: bool,
}

/// A block on its way from the device.
struct Upload {
    id: u32,
    block: Block,
}

/// Uploads remembered of a flow: devices allow few at once.
const MOST_UPLOADS: usize = 8;

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, packet: &[u8], sink: &mut dyn Sink) {
        let tpdu = match cotp::read(packet) {
            Ok(tpdu) => tpdu,
            Err(offset) => return sink.anomaly(envelope, &PROTOCOL, Anomaly { kind: INVALID_TRANSPORT, offset }),
        };
        let Self { joiner, flow } = self;
        let Header::Data { end, .. } = tpdu.header else {
            return flow.transport(envelope, packet, &tpdu, joiner, sink);
        };
        // Devices acknowledge by data without an end and without data.
        if tpdu.user_data.is_empty() && !end {
            return;
        }
        let begins = |data: &[u8]| upper(data) != Probe::No;
        let mut anomaly = |kind| sink.anomaly(envelope, &PROTOCOL, Anomaly { kind, offset: tpdu.offset });
        match joiner.data(envelope.direction, end, tpdu.user_data, begins) {
            // What came before is not in this message: what is wrong there stands at its beginning.
            Joined::Whole { bytes, before } => flow.unit(envelope, bytes, (tpdu.offset, before), sink),
            Joined::Part => {}
            Joined::Orphan => anomaly(INCOMPLETE),
            Joined::TooLong => {
                anomaly(TOO_LONG);
                sink.bounded(Bound::JoinedBytes);
            }
        }
    }

    fn kept(&self) -> Kept {
        let joined_bytes = (self.joiner.held() + self.flow.fragments.held()) as u32;
        Kept { joined_bytes, ..self.flow.waiting.kept() }
    }

    fn gap(&mut self, direction: Direction) {
        self.joiner.gap(direction);
        self.flow.fragments.lost(direction);
        self.flow.continued[direction.index()] = false;
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        self.flow.waiting.expire(until, |request| unanswered(request, sink));
    }
}

/// Do these bytes begin a message of either of the two?
pub(super) fn upper(bytes: &[u8]) -> Probe {
    match bytes.first() {
        Some(&plus::PROTOCOL_ID) => plus::probe(bytes),
        _ => pdu::probe(bytes),
    }
}

/// The way that a message of either goes.
pub(super) fn way(bytes: &[u8]) -> Option<Direction> {
    match bytes.first() {
        Some(&plus::PROTOCOL_ID) => plus::way(bytes),
        _ => pdu::way(bytes),
    }
}

fn unanswered(request: &Request<'_, Key>, sink: &mut dyn Sink) {
    let Request { transaction, envelope, bytes, .. } = request;
    let (transaction, direction, pairing) = (*transaction, envelope.direction, Pairing::Unanswered);
    let message =
        |body| Message { body, request: None, payload: None, transferred: None, direction, transaction, pairing };
    match request.key {
        Key::Connection { .. } => {
            if let Ok(tpdu) = cotp::read(bytes) {
                sink.transaction(envelope, &message(Body::Transport(tpdu.code, tpdu.header)));
            }
        }
        Key::Pdu { .. } => {
            if let Some(pdu) = Pdu::read(bytes) {
                let payload = Userdata::read(&pdu).map(|userdata| userdata.payload);
                sink.transaction(envelope, &Message { payload, ..message(Body::Pdu(pdu)) });
            }
        }
        Key::Plus { .. } => {
            if let Some(pdu) = plus::Pdu::read(bytes, false) {
                sink.transaction(envelope, &plus::Message { pdu, request: None, direction, transaction, pairing });
            }
        }
    }
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            joiner: Joiner::new(limits),
            flow: Flow {
                last: 0,
                waiting: Outstanding::new(limits),
                fragments: Fragments::new(limits.joined_bytes as usize),
                uploads: Vec::new(),
                pdu_length: None,
                continued: [false; 2],
                is_plus: false,
            },
        }
    }
}

impl Flow {
    /// Keeps a request. One with the same key is given up: its asker did so.
    fn keep(&mut self, key: Key, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        if let Some(before) = self.waiting.answered(key) {
            unanswered(&before, sink);
        }
        self.waiting.keep(key, self.last, envelope, bytes, |bound, request| {
            sink.bounded(bound);
            unanswered(request, sink);
        });
    }

    /// A TPDU without a message.
    fn transport(
        &mut self,
        envelope: &Envelope,
        packet: &[u8],
        tpdu: &Tpdu<'_>,
        joiner: &mut Joiner,
        sink: &mut dyn Sink,
    ) {
        let direction = envelope.direction;
        if let Header::Unknown = tpdu.header {
            return sink.anomaly(envelope, &PROTOCOL, Anomaly { kind: INVALID_TRANSPORT, offset: 5 });
        }
        let mut message = Message {
            body: Body::Transport(tpdu.code, tpdu.header),
            request: None,
            payload: None,
            transferred: None,
            direction,
            transaction: self.last + 1,
            pairing: Pairing::None,
        };
        let asked = match tpdu.header {
            Header::ConnectionRequest(_) => {
                joiner.connect();
                self.pdu_length = None;
                self.last += 1;
                sink.message(envelope, &message, &[]);
                return self.keep(Key::Connection { asker: direction }, envelope, packet, sink);
            }
            Header::ConnectionConfirm(_) | Header::DisconnectRequest { .. } => {
                self.waiting.answered(Key::Connection { asker: direction.opposite() })
            }
            _ => None,
        };
        match asked {
            Some(asked) => {
                message.transaction = asked.transaction;
                message.pairing = Pairing::Answered(asked.envelope.timestamp);
            }
            None => self.last += 1,
        }
        sink.message(envelope, &message, &[]);
        sink.transaction(envelope, &message);
    }

    /// A whole data unit of the transport. `place` is where the bytes of this message begin in it, and how many of the
    /// unit's bytes came before.
    fn unit(&mut self, envelope: &Envelope, bytes: &[u8], place: (usize, usize), sink: &mut dyn Sink) {
        let anomaly = |kind| Anomaly { kind, offset: place.0 };
        if let Some(pdu) = Pdu::read(bytes) {
            return self.pdu(envelope, bytes, &pdu, place, sink);
        }
        let continued = self.continued[envelope.direction.index()];
        let tls = if self.is_plus { plus::Pdu::tls(bytes) } else { None };
        if let Some(pdu) = plus::Pdu::read(bytes, continued).or(tls) {
            self.is_plus = true;
            return self.plus(envelope, bytes, pdu, anomaly(INVALID_LENGTH), sink);
        }
        let kind = if bytes.first() == Some(&pdu::PROTOCOL_ID) || bytes.first() == Some(&plus::PROTOCOL_ID) {
            INVALID_LENGTH
        } else {
            UNKNOWN_PROTOCOL
        };
        sink.anomaly(envelope, &PROTOCOL, anomaly(kind));
    }

    /// A message of S7 communication.
    fn pdu(&mut self, envelope: &Envelope, bytes: &[u8], pdu: &Pdu<'_>, place: (usize, usize), sink: &mut dyn Sink) {
        let userdata = Userdata::read(pdu);
        let message = Message {
            body: Body::Pdu(*pdu),
            request: None,
            payload: userdata.map(|userdata| userdata.payload),
            transferred: None,
            direction: envelope.direction,
            transaction: self.last + 1,
            pairing: Pairing::None,
        };
        let tell =
            Tell { envelope, bytes, place, too_long: self.pdu_length.is_some_and(|most| bytes.len() > most.into()) };
        match (pdu.kind, userdata.map(|userdata| userdata.kind)) {
            (JOB, _) | (USERDATA, Some(REQUEST)) => self.request(&tell, pdu, message, sink),
            (ACK | ACK_DATA, _) | (USERDATA, Some(RESPONSE)) => self.answer(&tell, pdu, message, sink),
            _ => {
                self.last += 1;
                tell.message(&message, None, sink);
                sink.transaction(envelope, &message);
            }
        }
    }

    fn request(&mut self, tell: &Tell<'_>, pdu: &Pdu<'_>, mut message: Message<'_>, sink: &mut dyn Sink) {
        self.last += 1;
        message.transferred = uploaded(&self.uploads, pdu);
        // More is asked for of an answer that comes in parts.
        let next = Userdata::read(pdu).filter(|userdata| userdata.sequence != 0);
        let so_far = next.and_then(|userdata| self.fragments.so_far(&userdata, message.direction));
        tell.message(&Message { payload: so_far.or(message.payload), ..message }, None, sink);
        self.keep(key(pdu, message.direction), tell.envelope, tell.bytes, sink);
    }

    fn answer(&mut self, tell: &Tell<'_>, pdu: &Pdu<'_>, message: Message<'_>, sink: &mut dyn Sink) {
        let mut message = message;
        let asker = message.direction.opposite();
        let asked = self.waiting.answered(key(pdu, asker));
        match asked {
            Some(asked) => {
                message.request = Pdu::read(asked.bytes);
                message.transaction = asked.transaction;
                message.pairing = Pairing::Answered(asked.envelope.timestamp);
            }
            None => self.last += 1,
        }
        if let Some(part) = Userdata::read(pdu).filter(Userdata::is_part) {
            let asked = message.request.and_then(|request| Userdata::read(&request));
            let (joined, bit) = self.fragments.add(&part, asker, asked.is_some_and(|asked| asked.sequence == 0));
            message.payload = joined;
            if bit {
                sink.bounded(Bound::JoinedBytes);
            }
        }
        if let Some(request) = &message.request {
            message.transferred = uploaded(&self.uploads, request);
            follow(&mut self.uploads, request, pdu);
            if let Some([_, _, length]) = pdu.setup() {
                self.pdu_length = Some(length).filter(|length| *length > 0);
            }
        }
        tell.message(&message, message.request.is_none().then_some(UNSOLICITED_RESPONSE), sink);
        sink.transaction(tell.envelope, &message);
    }

    /// A PDU of S7comm-plus.
    fn plus(&mut self, envelope: &Envelope, bytes: &[u8], pdu: plus::Pdu<'_>, length: Anomaly, sink: &mut dyn Sink) {
        let direction = envelope.direction;
        self.continued[direction.index()] = pdu.more;
        let mut message =
            plus::Message { pdu, request: None, direction, transaction: self.last + 1, pairing: Pairing::None };
        let key = |asker| match (pdu.function(), pdu.sequence()) {
            (Some(function), Some(sequence)) => Some(Key::Plus { asker, function, sequence }),
            _ => None,
        };
        let mut found = Findings::NONE;
        if !pdu.whole {
            found.push(INVALID_LENGTH, length.offset + 2);
        }
        if pdu.is_answered()
            && let Some(key) = key(direction)
        {
            self.last += 1;
            sink.message(envelope, &message, found.as_slice());
            return self.keep(key, envelope, bytes, sink);
        }
        let answers = matches!(pdu.opcode(), Some(plus::RESPONSE | plus::RESPONSE_2));
        let asked = key(direction.opposite()).filter(|_| answers).and_then(|key| self.waiting.answered(key));
        match asked {
            Some(asked) => {
                message.request = plus::Pdu::read(asked.bytes, false);
                message.transaction = asked.transaction;
                message.pairing = Pairing::Answered(asked.envelope.timestamp);
            }
            None => self.last += 1,
        }
        if answers && message.request.is_none() {
            found.put_first(UNSOLICITED_RESPONSE);
        }
        sink.message(envelope, &message, found.as_slice());
        sink.transaction(envelope, &message);
    }
}

/// What a request and its answer have in common: the reference, and who asked.
fn key(pdu: &Pdu<'_>, asker: Direction) -> Key {
    Key::Pdu { asker, reference: pdu.reference }
}

/// Tells of a message what does not hold in it.
struct Tell<'a> {
    envelope: &'a Envelope,
    bytes: &'a [u8],
    place: (usize, usize),
    /// Longer than was agreed upon.
    too_long: bool,
}

impl Tell<'_> {
    fn message(&self, message: &Message<'_>, first: Option<&'static str>, sink: &mut dyn Sink) {
        let mut found = findings(message);
        if self.too_long {
            found.push(EXCEEDS_PDU_LENGTH, LENGTHS);
        }
        let mut found = placed(found, self.place, self.bytes.len());
        if let Some(kind) = first {
            found.put_first(kind);
        }
        sink.message(self.envelope, message, found.as_slice());
    }
}

/// Findings with offsets in the message at hand, instead of the PDU's.
fn placed(findings: Findings, (offset, before): (usize, usize), length: usize) -> Findings {
    let mut placed = Findings::NONE;
    for anomaly in findings.as_slice() {
        placed.push(anomaly.kind, offset + anomaly.offset.min(length).saturating_sub(before));
    }
    placed
}

/// The block of the upload that a request goes on with.
fn uploaded(uploads: &[Upload], request: &Pdu<'_>) -> Option<Block> {
    if !matches!(request.function(), Some(function::UPLOAD | function::END_UPLOAD)) {
        return None;
    }
    let id = Transfer::read(request)?.upload_id?;
    uploads.iter().find(|upload| upload.id == id).map(|upload| upload.block)
}

/// Remembers an upload that begins, and forgets one that ends.
fn follow(uploads: &mut Vec<Upload>, request: &Pdu<'_>, answer: &Pdu<'_>) {
    let Some(asked) = Transfer::read(request) else { return };
    match request.function() {
        Some(function::START_UPLOAD) => {
            let id = Transfer::read(answer).and_then(|answer| answer.upload_id);
            let (Some(id), Some(block)) = (id, asked.block) else { return };
            uploads.retain(|upload| upload.id != id);
            if uploads.len() >= MOST_UPLOADS {
                uploads.remove(0);
            }
            uploads.push(Upload { id, block });
        }
        Some(function::END_UPLOAD) => uploads.retain(|upload| Some(upload.id) != asked.upload_id),
        _ => {}
    }
}
