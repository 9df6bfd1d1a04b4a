//! What the tests of every protocol share: a [`Tree`] that renders JSON, and a [`Sink`] that keeps what it hears.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::dissector::{Anomaly, Direction, Envelope, Pairing, Protocol, Record, Sink};
use crate::field::{Tree, Value};
use crate::time::Timestamp;

/// Renders a tree as indented JSON.
#[derive(Default)]
pub(crate) struct Json {
    text: String,
    /// One entry an open object or list: is it a list, and how many members has it so far?
    open: Vec<(bool, usize)>,
}

impl Json {
    /// The whole tree of a record, as one JSON object.
    pub(crate) fn of(record: &dyn Record) -> String {
        Self::whole(|json| record.tree(json))
    }

    /// The whole tree of a record within an alert, as one JSON object.
    pub(crate) fn of_alert(record: &dyn Record) -> String {
        Self::whole(|json| record.alert_tree(json))
    }

    fn whole(write: impl FnOnce(&mut Self)) -> String {
        let mut json = Self { text: "{".into(), open: vec![(false, 0)] };
        write(&mut json);
        assert_eq!(json.open.len(), 1, "the record closes what it opens");
        json.end();
        json.text
    }

    fn member(&mut self, key: &str) {
        let depth = self.open.len();
        let (list, count) = self.open.last_mut().expect("inside an object or list");
        if *count > 0 {
            self.text.push(',');
        }
        *count += 1;
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", depth));
        if !*list {
            self.quoted(key.as_bytes());
            self.text.push_str(": ");
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.text.push('"');
        for character in String::from_utf8_lossy(bytes).chars() {
            match character {
                '"' | '\\' => self.text.extend(['\\', character]),
                c if c.is_control() => write!(self.text, "\\u{:04x}", u32::from(c)).unwrap(),
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.member(key);
        write!(self.text, "{value}").unwrap();
    }

    fn begin(&mut self, key: &str, list: bool) {
        self.member(key);
        self.text.push(if list { '[' } else { '{' });
        self.open.push((list, 0));
    }
}

impl Tree for Json {
    fn unsigned(&mut self, key: &'static str, value: u64) {
        self.plain(key, value);
    }

    fn signed(&mut self, key: &'static str, value: i64) {
        self.plain(key, value);
    }

    fn float(&mut self, key: &'static str, value: f64) {
        if value.is_finite() { self.plain(key, value) } else { self.plain(key, "null") }
    }

    fn flag(&mut self, key: &'static str, value: bool) {
        self.plain(key, value);
    }

    fn text(&mut self, key: &'static str, value: &'static str) {
        self.octets(key, value.as_bytes());
    }

    fn formatted(&mut self, key: &'static str, value: std::fmt::Arguments<'_>) {
        self.octets(key, value.to_string().as_bytes());
    }

    fn octets(&mut self, key: &'static str, value: &[u8]) {
        self.member(key);
        self.quoted(value);
    }

    fn hex(&mut self, key: &'static str, value: &[u8]) {
        self.member(key);
        let digits = hex(value);
        self.quoted(digits.as_bytes());
    }

    fn object(&mut self, key: &'static str) {
        self.begin(key, false);
    }

    fn list(&mut self, key: &'static str) {
        self.begin(key, true);
    }

    fn end(&mut self) {
        let (list, count) = self.open.pop().expect("something is open");
        if count > 0 {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", self.open.len()));
        }
        self.text.push(if list { ']' } else { '}' });
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits, with any white space between, as bytes.
pub(crate) fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// An envelope of a stream, `milliseconds` after the epoch.
pub(crate) fn envelope(direction: Direction, milliseconds: u64) -> Envelope {
    Envelope { direction, timestamp: Timestamp(milliseconds * 1_000_000), datagram: false }
}

/// One record as a [`Sink`] was given it, owned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) direction: Direction,
    pub(crate) protocol: &'static Protocol,
    pub(crate) transaction: u64,
    /// The values of each field that has any, as text: numbers in decimal, bytes in hexadecimal.
    pub(crate) fields: BTreeMap<&'static str, Vec<String>>,
    pub(crate) json: String,
    pub(crate) alert: String,
    pub(crate) anomalies: Vec<Anomaly>,
    pub(crate) pairing: Pairing,
    /// What it does to the plant, and to what: `write: holding 100 = 7, holding 108`; empty when it does nothing.
    pub(crate) operation: String,
    /// What it tells of devices: `server vendor Acme`, text as it is.
    pub(crate) facts: Vec<String>,
}

impl Heard {
    fn new(envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) -> Self {
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for (index, field) in record.protocol().fields.iter().enumerate() {
            record.visit(index, &mut |value| fields.entry(field.name).or_default().push(rendered(value)));
        }
        Self {
            direction: envelope.direction,
            protocol: record.protocol(),
            transaction: record.transaction(),
            fields,
            json: Json::of(record),
            alert: Json::of_alert(record),
            anomalies: anomalies.to_vec(),
            pairing: record.pairing(),
            operation: operation(record),
            facts: facts(record),
        }
    }

    /// The values of a field, joined by spaces; empty when it has none.
    pub(crate) fn field(&self, name: &str) -> String {
        assert!(self.protocol.field(name).is_some(), "{name} is a field");
        self.fields.get(name).map(|values| values.join(" ")).unwrap_or_default()
    }

    /// The names of its anomalies, in order.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.anomalies.iter().map(|anomaly| anomaly.kind).collect()
    }
}

fn operation(record: &dyn Record) -> String {
    let Some(operation) = record.operation() else { return String::new() };
    let mut points = Vec::new();
    record.points(&mut |point| {
        points.push(match point.value {
            Some(value) => format!("{} = {}", point.target, rendered(value)),
            None => point.target.to_string(),
        });
    });
    if points.is_empty() { operation.name().to_owned() } else { format!("{}: {}", operation.name(), points.join(", ")) }
}

fn facts(record: &dyn Record) -> Vec<String> {
    let mut facts = Vec::new();
    record.facts(&mut |fact| {
        let value = match fact.value {
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            value => rendered(value),
        };
        facts.push(format!("{} {} {value}", fact.of.name(), fact.kind.name()));
    });
    facts
}

fn rendered(value: Value<'_>) -> String {
    match value {
        Value::Unsigned(v) => v.to_string(),
        Value::Signed(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Text(v) => v.to_string(),
        Value::Bytes(v) => hex(v),
        Value::Flag(v) => v.to_string(),
        Value::Address(v) => v.to_string(),
        Value::Time(v) => v.0.to_string(),
    }
}

/// Keeps everything it is told.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) messages: Vec<Heard>,
    pub(crate) transactions: Vec<Heard>,
    pub(crate) anomalies: Vec<Anomaly>,
    pub(crate) bounded: Vec<crate::Bound>,
}

impl Sink for Collected {
    fn bounded(&mut self, bound: crate::Bound) {
        self.bounded.push(bound);
    }

    fn message(&mut self, envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        self.messages.push(Heard::new(envelope, record, anomalies));
    }

    fn transaction(&mut self, envelope: &Envelope, record: &dyn Record) {
        self.transactions.push(Heard::new(envelope, record, &[]));
    }

    fn anomaly(&mut self, _envelope: &Envelope, protocol: &'static Protocol, anomaly: Anomaly) {
        assert!(!protocol.name.is_empty());
        self.anomalies.push(anomaly);
    }
}
