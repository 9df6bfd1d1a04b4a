//! What peers say they did, and records in the same words.

use std::collections::BTreeMap;

use serde_json::Value;

/// What each peer said it did, with how often.
pub type Said = BTreeMap<&'static str, BTreeMap<String, u64>>;

/// How often each line is there.
pub fn counted(lines: impl IntoIterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    lines.into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
    counts
}

/// A value as Python writes it.
pub fn python_text(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => format!("[{}]", values.iter().map(python_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Lines of a peer's log that begin so.
pub fn lines(log: &BTreeMap<String, u64>, beginning: &str) -> BTreeMap<String, u64> {
    let lines = log.iter().filter(|(line, _)| line.starts_with(beginning));
    lines.map(|(line, times)| (line.clone(), *times)).collect()
}

/// Records of a kind from an address, by what stands at a place in them.
pub fn count(records: &[Value], source: &str, kind: &str, place: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records.iter().filter(|record| record["event_type"] == kind && record["src_ip"] == source) {
        let value = record.pointer(place).unwrap_or(&Value::Null);
        *counts.entry(value.as_str().map_or_else(|| value.to_string(), str::to_owned)).or_default() += 1;
    }
    counts
}
