//! What a flow remembers: parts of data units, requests that wait for their answers, the names of open files.

use super::object::{File, Target};
use super::pdu::{Message, kind};
use super::record::{Exchange, findings};
use super::service::{self, number};
use super::stack::{self, spdu};
use super::{
    DATA_UNIT_TOO_LONG, DUPLICATE_INVOKE_ID, INVALID_TPDU, PART_WITHOUT_BEGINNING, PROTOCOL, SERVICE_MISMATCH,
    TOO_MANY_TRANSACTIONS, UNKNOWN_DATA_UNIT, UNSOLICITED_RESPONSE, association::apdu, probe,
};
use crate::dissector::{Anomaly, Direction, Dissector, Envelope, Pairing, Probe, Sink};
use crate::findings::Findings;
use crate::layer::cotp::{self, Header, Joined, Joiner};
use crate::limits::{Bound, Kept, Limits};
use crate::pairing::{Outstanding, Request};
use crate::time::Timestamp;

/// What a request and its answer have in common, besides who asked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Initiate,
    Confirmed(u32),
    Cancel(u32),
    Conclude,
    Release,
}

type Key = (Direction, Asked);

/// What a message is in a transaction.
enum Role {
    Request(Asked),
    Answer(Asked),
    Alone,
}

impl Message<'_> {
    fn role(&self) -> Role {
        use Role::{Alone, Answer, Request};
        let Some(pdu) = self.pdu else {
            return match (self.association.map(|association| association.kind), self.session) {
                (Some(apdu::REQUEST), _) => Request(Asked::Initiate),
                (Some(apdu::RESPONSE), _) | (None, Some(spdu::REFUSE)) => Answer(Asked::Initiate),
                (Some(apdu::RELEASE_REQUEST), _) => Request(Asked::Release),
                (Some(apdu::RELEASE_RESPONSE), _) => Answer(Asked::Release),
                _ => Alone,
            };
        };
        match (pdu.kind, pdu.invoke_id) {
            (kind::CONFIRMED_REQUEST, Some(id)) => Request(Asked::Confirmed(id)),
            (kind::CONFIRMED_RESPONSE | kind::CONFIRMED_ERROR, Some(id)) => Answer(Asked::Confirmed(id)),
            (kind::CANCEL_REQUEST, Some(id)) => Request(Asked::Cancel(id)),
            (kind::CANCEL_RESPONSE | kind::CANCEL_ERROR, Some(id)) => Answer(Asked::Cancel(id)),
            (kind::REJECT, Some(id)) => match pdu.rejection() {
                Some((1, _)) => Answer(Asked::Confirmed(id)),
                Some((6, _)) => Answer(Asked::Cancel(id)),
                _ => Alone,
            },
            (kind::INITIATE_REQUEST, _) => Request(Asked::Initiate),
            (kind::INITIATE_RESPONSE | kind::INITIATE_ERROR, _) => Answer(Asked::Initiate),
            (kind::CONCLUDE_REQUEST, _) => Request(Asked::Conclude),
            (kind::CONCLUDE_RESPONSE | kind::CONCLUDE_ERROR, _) => Answer(Asked::Conclude),
            _ => Alone,
        }
    }
}

/// The state of a flow.
pub(super) struct State {
    joiner: Joiner,
    dialogue: Dialogue,
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        let dialogue = Dialogue { last: 0, requests: Outstanding::new(limits), open: Open::new(limits) };
        Self { joiner: Joiner::new(limits), dialogue }
    }
}

impl Dissector for State {
    fn parse(&mut self, envelope: &Envelope, packet: &[u8], sink: &mut dyn Sink) {
        let mut anomaly = |kind, offset| sink.anomaly(envelope, &PROTOCOL, Anomaly { kind, offset });
        let tpdu = match cotp::read(packet) {
            Ok(tpdu) => tpdu,
            Err(offset) => return anomaly(INVALID_TPDU, offset),
        };
        let end = match tpdu.header {
            Header::Data { end, .. } => end,
            Header::ConnectionRequest(_) | Header::ConnectionConfirm(_) => return self.joiner.connect(),
            Header::Unknown => return anomaly(INVALID_TPDU, 5),
            _ => return,
        };
        let begins = |bytes: &[u8]| probe(bytes, envelope.direction) != Probe::No;
        match self.joiner.data(envelope.direction, end, tpdu.user_data, begins) {
            // Offsets in a data unit of several packets are counted from its own beginning.
            Joined::Whole { bytes, before } => {
                let offset = if before == 0 { tpdu.offset } else { 0 };
                self.dialogue.unit(envelope, bytes, offset, sink);
            }
            Joined::Part => {}
            Joined::Orphan => anomaly(PART_WITHOUT_BEGINNING, tpdu.offset),
            Joined::TooLong => {
                anomaly(DATA_UNIT_TOO_LONG, tpdu.offset);
                sink.bounded(Bound::JoinedBytes);
            }
        }
    }

    fn kept(&self) -> Kept {
        Kept { joined_bytes: self.joiner.held() as u32, ..self.dialogue.requests.kept() }
    }

    fn gap(&mut self, direction: Direction) {
        self.joiner.gap(direction);
    }

    fn expire(&mut self, until: Timestamp, sink: &mut dyn Sink) {
        let Dialogue { requests, open, .. } = &mut self.dialogue;
        requests.expire(until, |request| unanswered(request, open, sink));
    }
}

/// What is said over the transport connection.
struct Dialogue {
    /// Number of the last transaction.
    last: u64,
    requests: Outstanding<Key>,
    open: Open,
}

impl Dialogue {
    /// A data unit: its presentation data values, each a message, or a session PDU alone.
    fn unit(&mut self, envelope: &Envelope, bytes: &[u8], offset: usize, sink: &mut dyn Sink) {
        let mut found = Findings::NONE;
        let direction = envelope.direction;
        let Some(unit) = stack::read(bytes, offset, &mut found) else {
            return sink.anomaly(envelope, &PROTOCOL, Anomaly { kind: UNKNOWN_DATA_UNIT, offset });
        };
        let (session, mut any) = (unit.session, false);
        for (value, offset) in unit {
            any = true;
            match Message::read(session, direction, value, offset, &mut found) {
                Some(message) => {
                    self.message(envelope, value, &message, std::mem::replace(&mut found, Findings::NONE), sink)
                }
                None => found = told(envelope, &found, sink),
            }
        }
        if session.is_some_and(|session| session != spdu::DATA_TRANSFER) && !any {
            let message = Message { direction, session, association: None, pdu: None };
            return self.message(envelope, &[], &message, found, sink);
        }
        told(envelope, &found, sink);
    }

    fn message(
        &mut self,
        envelope: &Envelope,
        bytes: &[u8],
        message: &Message<'_>,
        mut found: Findings,
        sink: &mut dyn Sink,
    ) {
        match message.role() {
            Role::Request(asked) => self.request(envelope, bytes, message, asked, found, sink),
            Role::Answer(asked) => self.answer(envelope, message, asked, found, sink),
            Role::Alone => {
                self.last += 1;
                findings(message, None, &mut found);
                let record = Exchange::lone(message, self.last);
                sink.message(envelope, &record, found.as_slice());
                sink.transaction(envelope, &record);
            }
        }
    }

    fn request(
        &mut self,
        envelope: &Envelope,
        bytes: &[u8],
        message: &Message<'_>,
        asked: Asked,
        mut found: Findings,
        sink: &mut dyn Sink,
    ) {
        let Self { last, requests, open } = self;
        let key = (envelope.direction, asked);
        findings(message, None, &mut found);
        if let Some(before) = requests.answered(key) {
            found.push(DUPLICATE_INVOKE_ID, 0);
            unanswered(&before, open, sink);
        }
        *last += 1;
        requests.keep(key, *last, envelope, bytes, |bound, request| {
            found.push(TOO_MANY_TRANSACTIONS, 0);
            sink.bounded(bound);
            unanswered(request, open, sink);
        });
        let record = Exchange { open: open.of(message), ..Exchange::lone(message, *last) };
        sink.message(envelope, &record, found.as_slice());
    }

    fn answer(
        &mut self,
        envelope: &Envelope,
        message: &Message<'_>,
        asked: Asked,
        mut found: Findings,
        sink: &mut dyn Sink,
    ) {
        let Self { last, requests, open } = self;
        let Some(waited) = requests.answered((envelope.direction.opposite(), asked)) else {
            findings(message, None, &mut found);
            found.push(UNSOLICITED_RESPONSE, 0);
            *last += 1;
            let record = Exchange::lone(message, *last);
            sink.message(envelope, &record, found.as_slice());
            return sink.transaction(envelope, &record);
        };
        let request = again(&waited);
        findings(message, request.as_ref(), &mut found);
        let services = (message.response(), request.as_ref().and_then(Message::request));
        if let (Some((answered, _)), Some((asked, _))) = services
            && answered != asked
        {
            found.push(SERVICE_MISMATCH, 0);
        }
        let record = Exchange {
            request: request.as_ref(),
            open: request.as_ref().and_then(|request| open.of(request)),
            transaction: waited.transaction,
            pairing: Pairing::Answered(waited.envelope.timestamp),
            ..Exchange::lone(message, 0)
        };
        sink.message(envelope, &record, found.as_slice());
        sink.transaction(envelope, &record);
        if let Some(request) = request {
            open.follow(&request, message, sink);
        }
    }
}

/// Tells what is wrong with bytes that gave no message.
fn told(envelope: &Envelope, found: &Findings, sink: &mut dyn Sink) -> Findings {
    found.as_slice().iter().for_each(|anomaly| sink.anomaly(envelope, &PROTOCOL, *anomaly));
    Findings::NONE
}

/// Reads a request that waited.
fn again<'a>(request: &Request<'a, Key>) -> Option<Message<'a>> {
    Message::read(None, request.envelope.direction, request.bytes, 0, &mut Findings::NONE.clone())
}

fn unanswered(request: &Request<'_, Key>, open: &Open, sink: &mut dyn Sink) {
    let Some(message) = again(request) else { return };
    let record = Exchange {
        open: open.of(&message),
        pairing: Pairing::Unanswered,
        ..Exchange::lone(&message, request.transaction)
    };
    sink.transaction(&request.envelope, &record);
}

/// Names of the files and domains that are open for transfer: the requests that follow have their number only.
struct Open {
    list: Vec<Transfer>,
    most: usize,
}

struct Transfer {
    asker: Direction,
    upload: bool,
    handle: i64,
    name: Box<[u8]>,
}

/// Octets that are kept of a name.
const LONGEST_NAME: usize = 255;

impl Open {
    fn new(limits: &Limits) -> Self {
        Self { list: Vec::new(), most: limits.requests.max(1).into() }
    }

    /// What a request is about that has a number only.
    fn of(&self, request: &Message<'_>) -> Option<Target<'_>> {
        let at = self.find(request)?;
        let Transfer { upload, name, .. } = self.list.get(at)?;
        Some(if *upload { Target::Domain(name) } else { Target::File(File(name)) })
    }

    fn find(&self, request: &Message<'_>) -> Option<usize> {
        let (service, argument) = request.request()?;
        let handle = service::handle(service, &argument)?;
        let upload = is_upload(service);
        self.list.iter().position(|open| (open.asker, open.upload, open.handle) == (request.direction, upload, handle))
    }

    /// Takes over what an answered request opened or closed.
    fn follow(&mut self, request: &Message<'_>, answer: &Message<'_>, sink: &mut dyn Sink) {
        let (Some((service, argument)), Some((_, result))) = (request.request(), answer.response()) else { return };
        match service {
            number::FILE_OPEN | number::INITIATE_UPLOAD_SEQUENCE => {
                let handle = service::field(&result, 0).and_then(|handle| handle.signed());
                let mut name = None;
                service::targets(service, &argument, &mut |target| {
                    if let Target::File(File(octets)) | Target::Domain(octets) = target {
                        name = Some(octets);
                    }
                });
                let Some((handle, name)) = handle.zip(name.filter(|name| name.len() <= LONGEST_NAME)) else { return };
                let (asker, upload) = (request.direction, is_upload(service));
                self.list.retain(|open| (open.asker, open.upload, open.handle) != (asker, upload, handle));
                if self.list.len() >= self.most {
                    self.list.remove(0);
                    sink.bounded(Bound::Requests);
                }
                self.list.push(Transfer { asker, upload, handle, name: name.into() });
            }
            number::FILE_CLOSE | number::TERMINATE_UPLOAD_SEQUENCE => {
                if let Some(at) = self.find(request) {
                    self.list.remove(at);
                }
            }
            _ => {}
        }
    }
}

fn is_upload(service: u32) -> bool {
    (number::INITIATE_UPLOAD_SEQUENCE..=number::TERMINATE_UPLOAD_SEQUENCE).contains(&service)
}
