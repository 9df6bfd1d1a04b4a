//! Histogram of every field of every dissected message: `vigia replay --fields FILE`.
//!
//! The file is `{"<protocol>": {"messages": N, "fields": {"<field>": {"<value>": count}}}}`; integers in decimal, text as
//! it is, bytes that are not UTF-8 in hexadecimal. Counted once a message and value, repeats within a message included.
//! Protocols that share a field table speak the same messages: they are counted together, under the name of the first.
//! It holds every distinct value in memory, so it is made by a replay only, never by a running sensor.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use serde_json::{Map, Value as Json, json};
use vigia_parsers::field::Value;
use vigia_parsers::{Record, registry};

/// Counts of one worker; workers' counts are added up with [`Histogram::merge`].
#[derive(Debug, Default)]
pub struct Histogram {
    protocols: BTreeMap<&'static str, Counts>,
    text: String,
}

#[derive(Debug, Default)]
struct Counts {
    messages: u64,
    fields: Vec<HashMap<String, u64>>,
}

impl Histogram {
    /// Counts a message.
    pub fn count(&mut self, record: &dyn Record) {
        let protocol = registry::first_with_fields_of(record.protocol());
        let counts = self.protocols.entry(protocol.name).or_default();
        counts.messages += 1;
        counts.fields.resize_with(protocol.fields.len(), HashMap::new);
        // Whole messages are no values to count.
        let counted =
            counts.fields.iter_mut().enumerate().filter(|(index, _)| protocol.fields[*index].frame().is_none());
        for (index, values) in counted {
            let text = &mut self.text;
            record.visit(index, &mut |value| {
                render(value, text);
                match values.get_mut(text.as_str()) {
                    Some(count) => *count += 1,
                    None => drop(values.insert(text.clone(), 1)),
                }
            });
        }
    }

    /// Adds another worker's counts.
    pub fn merge(&mut self, other: Self) {
        for (protocol, theirs) in other.protocols {
            let ours = self.protocols.entry(protocol).or_default();
            ours.messages += theirs.messages;
            ours.fields.resize_with(theirs.fields.len().max(ours.fields.len()), HashMap::new);
            for (ours, theirs) in ours.fields.iter_mut().zip(theirs.fields) {
                for (value, count) in theirs {
                    *ours.entry(value).or_default() += count;
                }
            }
        }
    }

    /// The whole as JSON, fields without a value left out.
    pub fn to_json(&self) -> Json {
        let protocols = self.protocols.iter().map(|(name, counts)| (name.to_string(), counts.to_json(name)));
        Json::Object(protocols.collect())
    }
}

impl Counts {
    fn to_json(&self, protocol: &str) -> Json {
        let names = registry::by_name(protocol).map(|protocol| protocol.fields).unwrap_or_default();
        let mut fields = Map::new();
        for (field, values) in names.iter().zip(&self.fields).filter(|(_, values)| !values.is_empty()) {
            let sorted: BTreeMap<_, _> = values.iter().collect();
            fields.insert(field.name.to_owned(), json!(sorted));
        }
        json!({ "messages": self.messages, "fields": fields })
    }
}

/// Writes a value as the histogram names it.
fn render(value: Value<'_>, text: &mut String) {
    text.clear();
    let written = match value {
        Value::Unsigned(number) => write!(text, "{number}"),
        Value::Signed(number) => write!(text, "{number}"),
        Value::Float(number) => write!(text, "{number}"),
        Value::Flag(flag) => write!(text, "{flag}"),
        Value::Address(address) => write!(text, "{address}"),
        Value::Time(time) => write!(text, "{}.{:09}", time.seconds(), time.subsec_nanos()),
        Value::Text(string) => write!(text, "{string}"),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(string) => write!(text, "{string}"),
            Err(_) => bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        },
    };
    // Writing to a String cannot fail.
    debug_assert!(written.is_ok());
}
