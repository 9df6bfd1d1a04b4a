//! Sampled Values: currents and voltages of a substation, thousands of messages a second and publisher, multicast on the
//! link layer (IEC 61850-9-2 §8) and routed in UDP datagrams (IEC 61850-90-5, see [`super::routed`]).
//!
//! Every message is shown to rules and counted. A record is written when a stream is first seen and once a minute after,
//! with what was counted until then; samples that are missing are anomalies.

use super::data;
use super::header::{self, INVALID_ENCODING, MISSING_FIELD, Outer, hash, kind};
use crate::dissector::{AnomalyKind, Dissector, Envelope, Protocol, Record, Sink};
use crate::encoding::ber::{Element, Elements};
use crate::field::{Names, Tree, Value, Visit};
use crate::findings::Findings;
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::operation::Operation;
use crate::time::Timestamp;

const ASDU_COUNT: &str = "asdu_count_mismatch";
const SAMPLES_LOST: &str = "samples_lost";
const SAMPLES_BACK: &str = "sample_count_stepped_back";
const SYNCHRONISATION: &str = "synchronisation_changed";
const MANY_STREAMS: &str = "too_many_streams";

static ANOMALIES: &[AnomalyKind] = &[
    header::ANOMALIES[0],
    header::ANOMALIES[1],
    header::ANOMALIES[2],
    header::ANOMALIES[3],
    kind(ASDU_COUNT, "The number of ASDUs announced is not that of the message"),
    kind(SAMPLES_LOST, "The sample count rose by more than 1; the offset is the number of samples missing"),
    kind(SAMPLES_BACK, "The sample count is less than before and not 0: samples are repeated or forged"),
    kind(SYNCHRONISATION, "The publisher's clock lost or gained its synchronisation, smpSynch"),
    kind(MANY_STREAMS, "More streams of one publisher than are followed; the counts of the others are not checked"),
];

const SYNCHRONISATIONS: Names = &[(0, "none"), (1, "local"), (2, "global")];
const SAMPLE_MODES: Names = &[(0, "samples_per_period"), (1, "samples_per_second"), (2, "seconds_per_sample")];

/// Sampled Values on the link layer.
pub static PROTOCOL: Protocol = TEMPLATE;

/// What the ways of carrying it have in common.
pub(super) const TEMPLATE: Protocol = Protocol {
    name: "sv",
    title: "Sampled Values (IEC 61850-9-2)",
    tcp_ports: &[],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[0x88ba],
    ot: true,
    longest_message: 1500,
    fields: FIELDS,
    anomalies: ANOMALIES,
    probe: |bytes, _| header::probe(bytes, PDU),
    frame: |bytes, _| header::frame(bytes),
    open: |limits| Box::new(Publisher::new(limits.requests.into())),
};

/// Tag of the PDU (§8.5).
const PDU: u8 = 0x60;

/// Time between two records of a stream.
const INTERVAL_NS: u64 = 60_000_000_000;

/// One ASDU: a sample of all the quantities of a stream.
#[derive(Debug, Clone, Copy, Default)]
struct Asdu<'a> {
    id: Option<&'a [u8]>,
    data_set: Option<&'a [u8]>,
    sample_count: Option<u16>,
    configuration_revision: Option<u32>,
    refresh_time: Option<Timestamp>,
    synchronisation: Option<u8>,
    sample_rate: Option<u16>,
    samples: Option<&'a [u8]>,
    sample_mode: Option<u16>,
    grandmaster: Option<&'a [u8]>,
}

impl<'a> Asdu<'a> {
    /// Takes over a field; `None` when it is not of its type (§8.5, table 14).
    fn take(&mut self, field: &Element<'a>) -> Option<()> {
        let word = || field.contents.try_into().ok().map(u16::from_be_bytes);
        match field.tag.context()? {
            0 => self.id = Some(field.contents),
            1 => self.data_set = Some(field.contents),
            2 => self.sample_count = Some(word()?),
            3 => self.configuration_revision = Some(u32::from_be_bytes(field.contents.try_into().ok()?)),
            4 => self.refresh_time = Some(data::utc_time(field.contents)?.0),
            5 => self.synchronisation = Some(*field.contents.last()?),
            6 => self.sample_rate = Some(word()?),
            7 => self.samples = Some(field.contents),
            8 => self.sample_mode = Some(word()?),
            9 => self.grandmaster = Some(field.contents),
            _ => return None,
        }
        Some(())
    }

    fn read(element: &Element<'a>) -> Self {
        let mut asdu = Self::default();
        element.elements().for_each(|field| {
            let _ = asdu.take(&field);
        });
        asdu
    }

    /// What has no field of its own in the message (§8.5).
    fn is_complete(&self) -> bool {
        self.id.is_some()
            && self.sample_count.is_some()
            && self.configuration_revision.is_some()
            && self.synchronisation.is_some()
            && self.samples.is_some()
    }

    /// Values and quality of the samples as IEC 61869-9 and the 9-2LE guideline lay them out: a signed value of 32 bits,
    /// then 32 bits of quality.
    fn values(&self) -> impl Iterator<Item = (i32, u32)> + 'a {
        let words = self.samples.unwrap_or_default().as_chunks::<8>().0.iter();
        words.map(|&[a, b, c, d, e, f, g, h]| (i32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
    }
}

/// A message of Sampled Values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    app_id: u16,
    simulated: bool,
    routed: bool,
    announced: Option<u64>,
    asdus: Option<(&'a [u8], usize)>,
    /// Of the first ASDU's stream, since it is followed.
    counted: Option<Counted>,
    transaction: u64,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    samples: u64,
    lost: u64,
    since: Timestamp,
}

impl<'a> Message<'a> {
    /// Reads an APDU.
    fn read(outer: &mut Outer<'a>) -> Self {
        let Outer { app_id, simulated, routed, .. } = *outer;
        let mut message = Self { app_id, simulated, routed, ..Self::default() };
        let Some((mut fields, _, cut)) = outer.fields(0) else { return message };
        let findings = &mut outer.findings;
        for field in fields.by_ref() {
            match field.tag.context() {
                Some(0) => message.announced = field.unsigned(),
                Some(1) => {}
                Some(2) => message.asdus = Some((field.contents, field.offset)),
                _ => findings.push(INVALID_ENCODING, field.offset),
            }
        }
        if let Some(fault) = fields.fault().filter(|_| !cut) {
            findings.push(INVALID_ENCODING, fault.offset);
        }
        message.check(cut, findings);
        message
    }

    fn check(&self, cut: bool, findings: &mut Findings) {
        let mut count = 0;
        let mut asdus = self.elements();
        for element in asdus.by_ref() {
            count += 1;
            let mut asdu = Asdu::default();
            let mut fields = element.elements();
            for field in fields.by_ref() {
                if asdu.take(&field).is_none() {
                    findings.push(INVALID_ENCODING, field.offset);
                }
            }
            if !asdu.is_complete() && !cut {
                findings.push(MISSING_FIELD, element.offset);
            }
        }
        match (asdus.fault(), self.announced, self.asdus) {
            (Some(fault), ..) if !cut => findings.push(INVALID_ENCODING, fault.offset),
            (None, Some(announced), Some((_, offset))) if announced != count && !cut => {
                findings.push(ASDU_COUNT, offset);
            }
            _ => {}
        }
    }

    fn elements(&self) -> Elements<'a> {
        self.asdus.map_or(Elements::new(&[], 0), |(bytes, offset)| Elements::new(bytes, offset))
    }

    fn asdus(&self) -> impl Iterator<Item = Asdu<'a>> + use<'a> {
        self.elements().map(|element| Asdu::read(&element))
    }

    fn each<T: Into<u64>>(&self, get: impl Fn(&Asdu<'a>) -> Option<T>, out: &mut Visit<'_>) {
        self.asdus().filter_map(|asdu| get(&asdu)).for_each(|number| out(Value::Unsigned(number.into())));
    }
}

crate::fields! {
    /// What a rule can ask of a message of Sampled Values.
    pub(super) static FIELDS, visit(message: &Message<'_>, out) {
        app_id: Unsigned { bits: 16, names: &[] }, One, "Application identifier (§5.3.3)"
            => out(Value::Unsigned(message.app_id.into()));
        routed: Flag, One, "Does it come in a UDP datagram? (IEC 61850-90-5)" => out(Value::Flag(message.routed));
        simulation: Flag, One, "Is it from a test set? (S bit of the header)" => out(Value::Flag(message.simulated));
        asdu_count: Unsigned { bits: 16, names: &[] }, Optional, "Number of ASDUs announced, noASDU (§8.5)"
            => if let Some(count) = message.announced { out(Value::Unsigned(count)) };
        id: Bytes, Many, "Name of each ASDU's stream, svID (§8.5)"
            => message.asdus().filter_map(|asdu| asdu.id).for_each(|id| out(Value::Bytes(id)));
        data_set: Bytes, Many, "Reference of each ASDU's data set (§8.5)"
            => message.asdus().filter_map(|asdu| asdu.data_set).for_each(|name| out(Value::Bytes(name)));
        sample_count: Unsigned { bits: 16, names: &[] }, Many, "Counts samples, 0 at the second, smpCnt (§8.5)"
            => message.each(|asdu| asdu.sample_count, out);
        configuration_revision: Unsigned { bits: 32, names: &[] }, Many, "Revision of the configuration, confRev (§8.5)"
            => message.each(|asdu| asdu.configuration_revision, out);
        synchronisation: Unsigned { bits: 8, names: SYNCHRONISATIONS }, Many, "What the clock follows, smpSynch (§8.5)"
            => message.each(|asdu| asdu.synchronisation, out);
        sample_rate: Unsigned { bits: 16, names: &[] }, Many, "Samples, in the unit of the mode, smpRate (§8.5)"
            => message.each(|asdu| asdu.sample_rate, out);
        sample_mode: Unsigned { bits: 16, names: SAMPLE_MODES }, Many, "Unit of the rate, smpMod (§8.5)"
            => message.each(|asdu| asdu.sample_mode, out);
        value: Float, Many, "Each sample, where value and quality have 32 bits each (IEC 61869-9)"
            => message.asdus().for_each(|asdu| asdu.values().for_each(|(value, _)| out(Value::Float(value.into()))));
        quality: Unsigned { bits: 32, names: &[] }, Many, "Quality of each sample (IEC 61850-7-3 §6.2)"
            => message.asdus().for_each(|asdu| asdu.values().for_each(|(_, quality)| out(Value::Unsigned(quality.into()))));
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
        tree.flag("simulation", self.simulated);
        if let Some(counted) = self.counted {
            tree.unsigned("samples", counted.samples);
            tree.unsigned("samples_lost", counted.lost);
            tree.float("since", counted.since.0 as f64 / 1e9);
        }
        tree.list("asdus");
        for asdu in self.asdus() {
            tree.object("");
            asdu.write(tree);
            tree.end();
        }
        tree.end();
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    fn operation(&self) -> Option<Operation> {
        Some(Operation::Read)
    }

    fn facts(&self, out: &mut VisitFacts<'_>) {
        if let Some(id) = self.asdus().next().and_then(|asdu| asdu.id).filter(|id| !id.is_empty()) {
            out(Fact { of: End::Client, kind: FactKind::Name, value: Value::Bytes(id) });
        }
    }
}

impl Asdu<'_> {
    fn write(&self, tree: &mut dyn Tree) {
        for (key, text) in [("id", self.id), ("data_set", self.data_set)] {
            if let Some(text) = text {
                tree.octets(key, text);
            }
        }
        for (key, number) in [
            ("sample_count", self.sample_count.map(u64::from)),
            ("configuration_revision", self.configuration_revision.map(u64::from)),
            ("sample_rate", self.sample_rate.map(u64::from)),
        ] {
            if let Some(number) = number {
                tree.unsigned(key, number);
            }
        }
        if let Some(number) = self.synchronisation {
            match crate::field::name_of(SYNCHRONISATIONS, number.into()) {
                Some(name) => tree.text("synchronisation", name),
                None => tree.unsigned("synchronisation", number.into()),
            }
        }
        if let Some(name) = self.sample_mode.and_then(|mode| crate::field::name_of(SAMPLE_MODES, mode.into())) {
            tree.text("sample_mode", name);
        }
        if let Some(identity) = self.grandmaster {
            tree.hex("grandmaster", identity);
        }
        tree.list("values");
        self.values().for_each(|(value, _)| tree.signed("", value.into()));
        tree.end();
    }
}

/// A stream that is followed.
struct Stream {
    /// Hash of its name.
    id: u64,
    last: u16,
    /// Samples of a second or period, once the count was seen to begin anew.
    modulus: Option<u16>,
    synchronisation: u8,
    samples: u64,
    lost: u64,
    since: Timestamp,
    reported: Timestamp,
}

impl Stream {
    /// Counts a sample; gives the number of those missing before it, or `None` when the count stepped back.
    fn count(&mut self, sample: u16) -> Option<u64> {
        let expected = self.last.wrapping_add(1);
        let before = std::mem::replace(&mut self.last, sample);
        self.samples += 1;
        if sample == expected {
            return Some(0);
        }
        let missing = match self.modulus {
            _ if sample > before => u64::from(sample - before - 1),
            Some(modulus) if expected <= modulus => u64::from(modulus - expected) + u64::from(sample),
            // Not known, or known wrongly: samples were missing where it was learnt.
            _ if sample == 0 => 0,
            _ => return None,
        };
        if sample == 0 && missing == 0 {
            self.modulus = Some(expected);
        }
        // A count that steps back by little is an old sample, not a second with nearly all samples lost.
        let stepped_back = sample != 0 && sample <= before && before - sample < before / 2;
        if stepped_back {
            return None;
        }
        self.lost += missing;
        Some(missing)
    }
}

/// The streams of one publisher, at most as many as its bound says.
pub(super) struct Publisher {
    streams: Vec<Stream>,
    most: usize,
    full: bool,
    transactions: u64,
}

impl Publisher {
    pub(super) fn new(most: usize) -> Self {
        Self { streams: Vec::new(), most: most.max(1), full: false, transactions: 0 }
    }

    /// Parses an APDU, and tells it.
    pub(super) fn apdu(&mut self, envelope: &Envelope, mut outer: Outer<'_>, sink: &mut dyn Sink) {
        let mut message = Message::read(&mut outer);
        self.transactions += 1;
        message.transaction = self.transactions;
        let mut news = false;
        for asdu in message.asdus() {
            news |= self.follow(envelope.timestamp, &asdu, outer.offset, &mut outer.findings);
        }
        if news {
            message.counted = message.asdus().next().and_then(|asdu| self.counted(&asdu));
        }
        sink.message(envelope, &message, outer.findings.as_slice());
        if news {
            sink.transaction(envelope, &message);
        }
    }

    fn counted(&self, asdu: &Asdu<'_>) -> Option<Counted> {
        let id = hash(asdu.id?);
        let stream = self.streams.iter().find(|stream| stream.id == id)?;
        Some(Counted { samples: stream.samples, lost: stream.lost, since: stream.since })
    }

    /// Counts a sample of its stream. Is it time for a record?
    fn follow(&mut self, now: Timestamp, asdu: &Asdu<'_>, offset: usize, findings: &mut Findings) -> bool {
        let (Some(id), Some(sample)) = (asdu.id, asdu.sample_count) else { return true };
        let synchronisation = asdu.synchronisation.unwrap_or(0);
        let id = hash(id);
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
            if self.streams.len() >= self.most {
                if !std::mem::replace(&mut self.full, true) {
                    findings.push(MANY_STREAMS, offset);
                }
                return false;
            }
            self.streams.push(Stream {
                id,
                last: sample,
                modulus: None,
                synchronisation,
                samples: 1,
                lost: 0,
                since: now,
                reported: now,
            });
            return true;
        };
        match stream.count(sample) {
            Some(0) => {}
            Some(missing) => findings.push(SAMPLES_LOST, missing as usize),
            None => findings.push(SAMPLES_BACK, offset),
        }
        if std::mem::replace(&mut stream.synchronisation, synchronisation) != synchronisation {
            findings.push(SYNCHRONISATION, offset);
        }
        let due = now.since(stream.reported) >= INTERVAL_NS;
        if due {
            stream.reported = now;
        }
        due
    }
}

impl Dissector for Publisher {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        if let Some(outer) = Outer::of_frame(message) {
            self.apdu(envelope, outer, sink);
        }
    }
}
