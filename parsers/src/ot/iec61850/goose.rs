//! GOOSE: events of a substation, multicast on the link layer (IEC 61850-8-1 §18, annexes A and C), and routed in UDP
//! datagrams (IEC 61850-90-5, see [`super::routed`]).
//!
//! A publisher repeats its state until it changes: the state number counts changes, the sequence number repetitions. Every
//! message is shown to rules and counted; a record is written when a control block is first seen, when its state or
//! configuration changes, and when simulation begins or ends, since repetitions say nothing new.

use super::data;
use super::header::{self, INVALID_ENCODING, MISSING_FIELD, Outer, hash, kind};
use crate::dissector::{AnomalyKind, Dissector, Envelope, Protocol, Record, Sink};
use crate::encoding::ber::{Element, Elements};
use crate::field::{Tree, Value, Visit};
use crate::findings::Findings;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};
use crate::text::Utf8;
use crate::time::Timestamp;

const ENTRY_COUNT: &str = "entry_count_mismatch";
const UNKNOWN_DATA: &str = "unknown_data";
const STATE_BACK: &str = "state_number_stepped_back";
const STATE_SKIPPED: &str = "state_number_skipped";
const SEQUENCE_LOST: &str = "sequence_number_skipped";
const SEQUENCE_BACK: &str = "sequence_number_stepped_back";
const LATE: &str = "time_allowed_to_live_exceeded";
const REVISION: &str = "configuration_revision_changed";
const MANY_BLOCKS: &str = "too_many_control_blocks";

static ANOMALIES: &[AnomalyKind] = &[
    header::ANOMALIES[0],
    header::ANOMALIES[1],
    header::ANOMALIES[2],
    header::ANOMALIES[3],
    kind(ENTRY_COUNT, "The number of data set entries announced is not that of the values"),
    kind(UNKNOWN_DATA, "A value is of no type of MMS data"),
    kind(STATE_BACK, "The state number is less than before: the publisher restarted, or somebody else speaks for it"),
    kind(STATE_SKIPPED, "The state number rose by more than 1: changes of state were missed, or are forged"),
    kind(SEQUENCE_LOST, "The sequence number rose by more than 1: messages were lost, or dropped on purpose"),
    kind(SEQUENCE_BACK, "The sequence number of the same state is less than before: an old message is repeated"),
    kind(LATE, "More time than allowed passed since the message before: subscribers took the publisher for dead"),
    kind(REVISION, "The configuration revision is not that of the message before"),
    kind(MANY_BLOCKS, "More control blocks of one publisher than are followed; numbers of the others are not checked"),
];

/// GOOSE on the link layer.
pub static PROTOCOL: Protocol = TEMPLATE;

/// What the ways of carrying it have in common.
pub(super) const TEMPLATE: Protocol = Protocol {
    name: "goose",
    title: "GOOSE (IEC 61850-8-1)",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[0x88b8],
    ot: true,
    longest_message: 1500,
    fields: FIELDS,
    anomalies: ANOMALIES,
    probe: |bytes, _| header::probe(bytes, PDU),
    frame: |bytes, _| header::frame(bytes),
    open: |limits| Box::new(Publisher::new(limits.requests.into())),
};

/// Tag of a GOOSE PDU, and of the management PDU that asks for control blocks (annex A).
const PDU: u8 = 0x61;

/// The fields of a message that are mandatory, by their tag (annex A): all but goID, simulation and security, and those
/// with a default.
const MANDATORY: [u32; 9] = [0, 1, 2, 4, 5, 6, 8, 10, 11];

/// A GOOSE message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    app_id: u16,
    header_simulated: bool,
    routed: bool,
    control_block: Option<&'a [u8]>,
    time_allowed_to_live: Option<u64>,
    data_set: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    time: Option<(Timestamp, u8)>,
    state_number: Option<u64>,
    sequence_number: Option<u64>,
    simulation: bool,
    configuration_revision: Option<u64>,
    needs_commissioning: bool,
    entries: Option<u64>,
    data: Option<(&'a [u8], usize)>,
    security: Option<&'a [u8]>,
    transaction: u64,
}

impl<'a> Message<'a> {
    /// Reads an APDU.
    fn read(outer: &mut Outer<'a>) -> Self {
        let Outer { app_id, simulated: header_simulated, routed, .. } = *outer;
        let mut message = Self { app_id, header_simulated, routed, ..Self::default() };
        let Some((mut fields, offset, cut)) = outer.fields(1) else { return message };
        let findings = &mut outer.findings;
        let mut seen = 0u32;
        for field in fields.by_ref() {
            let Some(number) = field.tag.context().filter(|&number| number < 32) else {
                findings.push(INVALID_ENCODING, field.offset);
                continue;
            };
            seen |= 1 << number;
            if message.take(number, &field).is_none() {
                findings.push(INVALID_ENCODING, field.offset);
            }
        }
        match fields.fault() {
            _ if cut => {}
            Some(fault) => findings.push(INVALID_ENCODING, fault.offset),
            None if MANDATORY.iter().any(|number| seen >> number & 1 == 0) => findings.push(MISSING_FIELD, offset),
            None => {}
        }
        message.check_data(findings);
        message
    }

    /// Takes a field over; `None` when it is not of its type.
    fn take(&mut self, number: u32, field: &Element<'a>) -> Option<()> {
        match number {
            0 => self.control_block = Some(field.contents),
            1 => self.time_allowed_to_live = Some(field.unsigned()?),
            2 => self.data_set = Some(field.contents),
            3 => self.id = Some(field.contents),
            4 => self.time = Some(data::utc_time(field.contents)?),
            5 => self.state_number = Some(field.unsigned()?),
            6 => self.sequence_number = Some(field.unsigned()?),
            7 => self.simulation = field.boolean()?,
            8 => self.configuration_revision = Some(field.unsigned()?),
            9 => self.needs_commissioning = field.boolean()?,
            10 => self.entries = Some(field.unsigned()?),
            11 => self.data = Some((field.contents, field.offset)),
            12 => self.security = Some(field.contents),
            _ => return None,
        }
        Some(())
    }

    fn values(&self) -> Elements<'a> {
        self.data.map_or(Elements::new(&[], 0), |(bytes, offset)| Elements::new(bytes, offset))
    }

    fn check_data(&self, findings: &mut Findings) {
        let (mut count, mut unknown) = (0u64, None);
        let mut values = self.values();
        for value in values.by_ref() {
            count += 1;
            if !data::is_known(&value) {
                unknown = unknown.or(Some(value.offset));
            }
        }
        if let Some(offset) = unknown {
            findings.push(UNKNOWN_DATA, offset);
        }
        match (values.fault(), self.entries, self.data) {
            (Some(fault), ..) => findings.push(INVALID_ENCODING, fault.offset),
            (None, Some(entries), Some((_, offset))) if entries != count => findings.push(ENTRY_COUNT, offset),
            _ => {}
        }
    }

    /// Either of the two places says that the message comes from a test set.
    fn is_simulated(&self) -> bool {
        self.simulation || self.header_simulated
    }

    /// The device that publishes: what stands before the slash of the control block's reference.
    fn device(&self) -> Option<&'a [u8]> {
        let reference = self.control_block?;
        reference.split(|&octet| octet == b'/').next().filter(|name| name.len() < reference.len() && !name.is_empty())
    }
}

crate::fields! {
    /// What a rule can ask of a GOOSE message.
    pub(super) static FIELDS, visit(message: &Message<'_>, out) {
        app_id: Unsigned { bits: 16, names: &[] }, One, "Application identifier (annex C)"
            => out(Value::Unsigned(message.app_id.into()));
        routed: Flag, One, "Does it come in a UDP datagram? (IEC 61850-90-5)" => out(Value::Flag(message.routed));
        control_block: Bytes, Optional, "Reference of the control block, gocbRef (§18.1)"
            => bytes(message.control_block, out);
        data_set: Bytes, Optional, "Reference of the data set, datSet (§18.1)" => bytes(message.data_set, out);
        id: Bytes, Optional, "Name of the message, goID (§18.1)" => bytes(message.id, out);
        time: Time, Optional, "When the state number was last raised, t (§18.1)"
            => if let Some((time, _)) = message.time { out(Value::Time(time)) };
        time_quality: Unsigned { bits: 8, names: &[] }, Optional, "Quality octet of the time (§8.1.3.6)"
            => if let Some((_, quality)) = message.time { out(Value::Unsigned(quality.into())) };
        state_number: Unsigned { bits: 32, names: &[] }, Optional, "Counts changes of state, stNum (§18.1)"
            => unsigned(message.state_number, out);
        sequence_number: Unsigned { bits: 32, names: &[] }, Optional, "Counts repetitions of the state, sqNum (§18.1)"
            => unsigned(message.sequence_number, out);
        time_allowed_to_live: Unsigned { bits: 32, names: &[] }, Optional,
            "Milliseconds until the next message at the latest (§18.1)"
            => unsigned(message.time_allowed_to_live, out);
        simulation: Flag, One, "Is it from a test set? In the message or in the header (§18.1, annex C)"
            => out(Value::Flag(message.is_simulated()));
        configuration_revision: Unsigned { bits: 32, names: &[] }, Optional, "Revision of the configuration, confRev (§18.1)"
            => unsigned(message.configuration_revision, out);
        needs_commissioning: Flag, One, "Is the control block not wholly configured, ndsCom? (§18.1)"
            => out(Value::Flag(message.needs_commissioning));
        entries: Unsigned { bits: 32, names: &[] }, Optional, "Number of values announced, numDatSetEntries (§18.1)"
            => unsigned(message.entries, out);
        signed: Flag, One, "Does it carry a security field? (IEC 62351-6)"
            => out(Value::Flag(message.security.is_some()));
        value: Float, Many, "Every number and truth value (0 or 1) of the data, in order"
            => data::numbers(message.values(), out);
        text: Bytes, Many, "Every text of the data, in order" => data::texts(message.values(), out);
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Bytes(value));
    }
}

fn unsigned(value: Option<u64>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value));
    }
}

impl Record for Message<'_> {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        tree.unsigned("app_id", self.app_id.into());
        if self.routed {
            tree.flag("routed", true);
        }
        for (key, text) in [("control_block", self.control_block), ("data_set", self.data_set), ("id", self.id)] {
            if let Some(text) = text {
                tree.octets(key, text);
            }
        }
        if let Some((time, quality)) = self.time {
            tree.float("time", time.0 as f64 / 1e9);
            tree.unsigned("time_quality", quality.into());
        }
        for (key, number) in [
            ("state_number", self.state_number),
            ("sequence_number", self.sequence_number),
            ("time_allowed_to_live_ms", self.time_allowed_to_live),
            ("configuration_revision", self.configuration_revision),
            ("entries", self.entries),
        ] {
            if let Some(number) = number {
                tree.unsigned(key, number);
            }
        }
        tree.flag("simulation", self.is_simulated());
        tree.flag("needs_commissioning", self.needs_commissioning);
        if let Some(security) = self.security {
            tree.unsigned("security_bytes", security.len() as u64);
        }
        data::write("data", self.values(), tree);
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    /// A change of state commands whoever subscribes; a repetition only reports it.
    fn operation(&self) -> Option<Operation> {
        Some(if self.sequence_number == Some(0) { Operation::Control } else { Operation::Read })
    }

    fn points(&self, out: &mut VisitPoints<'_>) {
        if let Some(data_set) = self.data_set {
            let (target, mut number) = (Utf8(data_set), 0);
            data::leaves(self.values(), &mut |datum| {
                number += 1;
                out(Point { target: format_args!("{target}[{number}]"), value: Some(datum.value()) });
            });
        }
    }

    fn facts(&self, out: &mut VisitFacts<'_>) {
        if let Some(device) = self.device() {
            out(Fact { of: End::Client, kind: FactKind::Name, value: Value::Bytes(device) });
        }
    }
}

/// What is known of a control block since its message before.
#[derive(Clone, Copy)]
struct Before {
    /// Hash of the reference.
    block: u64,
    state_number: u64,
    sequence_number: u64,
    configuration_revision: u64,
    simulated: bool,
    seen: Timestamp,
    /// 0: not told.
    time_allowed_to_live_ms: u64,
}

/// The control blocks of one publisher, at most as many as its bound says.
pub(super) struct Publisher {
    blocks: Vec<Before>,
    most: usize,
    full: bool,
    transactions: u64,
}

impl Publisher {
    pub(super) fn new(most: usize) -> Self {
        Self { blocks: Vec::new(), most: most.max(1), full: false, transactions: 0 }
    }

    /// Parses an APDU, and tells it.
    pub(super) fn apdu(&mut self, envelope: &Envelope, mut outer: Outer<'_>, sink: &mut dyn Sink) {
        let mut message = Message::read(&mut outer);
        self.transactions += 1;
        message.transaction = self.transactions;
        let news = self.follow(envelope, &message, outer.offset, &mut outer.findings);
        sink.message(envelope, &message, outer.findings.as_slice());
        if news {
            sink.transaction(envelope, &message);
        }
    }

    /// Compares a message with the one before of its control block. Does it say something new?
    fn follow(&mut self, envelope: &Envelope, message: &Message<'_>, offset: usize, findings: &mut Findings) -> bool {
        let (Some(reference), Some(state_number), Some(sequence_number)) =
            (message.control_block, message.state_number, message.sequence_number)
        else {
            return true;
        };
        let now = Before {
            block: hash(reference),
            state_number,
            sequence_number,
            configuration_revision: message.configuration_revision.unwrap_or(0),
            simulated: message.is_simulated(),
            seen: envelope.timestamp,
            time_allowed_to_live_ms: message.time_allowed_to_live.unwrap_or(0),
        };
        // Simulated messages run beside the real ones and count by themselves.
        let same = |before: &&mut Before| before.block == now.block && before.simulated == now.simulated;
        let Some(before) = self.blocks.iter_mut().find(same) else {
            return self.begin(now, offset, findings);
        };
        let earlier = std::mem::replace(before, now);
        compare(&earlier, &now, offset, findings);
        now.state_number != earlier.state_number || now.configuration_revision != earlier.configuration_revision
    }

    fn begin(&mut self, block: Before, offset: usize, findings: &mut Findings) -> bool {
        if self.blocks.len() < self.most {
            self.blocks.push(block);
            return true;
        }
        if !std::mem::replace(&mut self.full, true) {
            findings.push(MANY_BLOCKS, offset);
        }
        block.sequence_number == 0
    }
}

fn compare(earlier: &Before, now: &Before, offset: usize, findings: &mut Findings) {
    if now.configuration_revision != earlier.configuration_revision {
        findings.push(REVISION, offset);
    }
    let waited_ms = now.seen.since(earlier.seen) / 1_000_000;
    if earlier.time_allowed_to_live_ms > 0 && waited_ms > earlier.time_allowed_to_live_ms {
        findings.push(LATE, offset);
    }
    // After its greatest value the sequence number begins at 1, not at 0 (§18.1.2.5).
    let following = if earlier.sequence_number >= u32::MAX.into() { 1 } else { earlier.sequence_number + 1 };
    match now.state_number.cmp(&earlier.state_number) {
        std::cmp::Ordering::Less => findings.push(STATE_BACK, offset),
        std::cmp::Ordering::Greater if now.state_number > earlier.state_number + 1 => {
            findings.push(STATE_SKIPPED, offset);
        }
        std::cmp::Ordering::Greater => {}
        std::cmp::Ordering::Equal
            if now.sequence_number < earlier.sequence_number && now.sequence_number != following =>
        {
            findings.push(SEQUENCE_BACK, offset);
        }
        std::cmp::Ordering::Equal if now.sequence_number > following => findings.push(SEQUENCE_LOST, offset),
        std::cmp::Ordering::Equal => {}
    }
}

impl Dissector for Publisher {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        if let Some(outer) = Outer::of_frame(message) {
            self.apdu(envelope, outer, sink);
        }
    }
}
