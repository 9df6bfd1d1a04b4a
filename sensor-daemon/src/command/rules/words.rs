//! What a rule asks, in words.

use vigia_rules::explain::{Clause, Explanation, IndexKey, Occasion, Role};

use crate::language::{Argument, Language, Message, Phrase};

/// The sentences of an explanation: what the rule does, on what traffic, and what it asks, one line each.
pub(super) fn sentences(it: &Explanation, language: Language) -> Vec<String> {
    let mut lines = vec![header(it).text(language)];
    let mut buffer = "payload";
    for clause in &it.clauses {
        match clause.role {
            Role::Remark => {}
            Role::Buffer if clause.name == "noalert" => lines.push(Message::ExplainQuiet.text(language).to_owned()),
            Role::Buffer => buffer = &clause.name,
            Role::Test => lines.extend(test(clause, buffer).into_iter().map(|phrase| phrase.text(language))),
        }
    }
    if it.once_a_flow {
        lines.push(Message::ExplainOnceAFlow.text(language).to_owned());
    }
    lines
}

fn header(it: &Explanation) -> Phrase {
    let [action, protocol, source, source_port, arrow, destination, destination_port] = &it.header;
    let does = match action.as_str() {
        "alert" => Message::ExplainAlert,
        "pass" => Message::ExplainPass,
        _ => Message::ExplainDrop,
    };
    let between = match arrow.as_str() {
        "<>" => Message::ExplainBetween,
        "=>" => Message::ExplainTransaction,
        _ => Message::ExplainFromTo,
    };
    let between = between.with([end(source, source_port), end(destination, destination_port)]);
    does.with([protocol.as_str().into(), between.into()])
}

fn end(address: &str, port: &str) -> Argument {
    match (address, port) {
        ("any", "any") => Message::ExplainAnywhere.into(),
        ("any", port) => Message::ExplainAnyPort.with([port.into()]).into(),
        (address, "any") => address.into(),
        (address, port) => Message::ExplainPort.with([address.into(), port.into()]).into(),
    }
}

fn test(clause: &Clause, buffer: &str) -> Vec<Phrase> {
    let value = clause.value.as_deref().unwrap_or_default();
    match clause.name.as_str() {
        "flow" => value.split(',').map(|option| flow(option.trim())).collect(),
        "flowbits" => vec![flowbits(value)],
        "content" => vec![content(clause, buffer)],
        "pcre" => vec![match value.strip_prefix('!') {
            Some(expression) => Message::ExplainNoExpression.with([buffer.into(), expression.into()]),
            None => Message::ExplainExpression.with([buffer.into(), value.into()]),
        }],
        "threshold" | "detection_filter" => vec![Message::ExplainThreshold.with([value.into()])],
        "isdataat" | "byte_test" | "byte_jump" | "byte_extract" | "byte_math" => {
            vec![Message::ExplainBytes.with([buffer.into(), clause.name.as_str().into(), value.into()])]
        }
        name if clause.value.is_none() => vec![Message::ExplainFlag.with([name.into()])],
        name if clause.names.is_empty() => vec![Message::ExplainValue.with([name.into(), value.into()])],
        name => {
            vec![Message::ExplainValue.with([name.into(), format!("{value} ({})", clause.names.join(", ")).into()])]
        }
    }
}

fn flow(option: &str) -> Phrase {
    match option {
        "established" => Message::ExplainEstablished.into(),
        "not_established" => Message::ExplainNotEstablished.into(),
        "to_server" | "from_client" => Message::ExplainToServer.into(),
        "to_client" | "from_server" => Message::ExplainToClient.into(),
        "only_stream" => Message::ExplainOnlyStream.into(),
        "no_stream" => Message::ExplainNoStream.into(),
        "stateless" => Message::ExplainStateless.into(),
        option => Message::ExplainValue.with(["flow".into(), option.into()]),
    }
}

fn flowbits(value: &str) -> Phrase {
    let (command, name) = value.split_once(',').map_or((value.trim(), ""), |(a, b)| (a.trim(), b.trim()));
    let message = match command {
        "isset" => Message::ExplainBitSet,
        "isnotset" => Message::ExplainBitNotSet,
        "set" => Message::ExplainSetsBit,
        "unset" => Message::ExplainUnsetsBit,
        "toggle" => Message::ExplainTogglesBit,
        _ => return Message::ExplainQuiet.into(),
    };
    message.with([name.into()])
}

fn content(clause: &Clause, buffer: &str) -> Phrase {
    let value = clause.value.as_deref().unwrap_or_default();
    let (message, bytes) = match value.strip_prefix('!') {
        Some(bytes) => (Message::ExplainNoContent, bytes),
        None => (Message::ExplainContent, value),
    };
    let offset = clause.modifiers.iter().any(|modifier| modifier.0 == "offset");
    let mut whole = message.with([buffer.into(), bytes.into()]);
    for (name, value) in &clause.modifiers {
        let value = || value.as_deref().unwrap_or_default().into();
        let more = match name.as_str() {
            "nocase" => Message::ExplainNocase.into(),
            "offset" => Message::ExplainOffset.with([value()]),
            "depth" if !offset => Message::ExplainFirst.with([value()]),
            "depth" => Message::ExplainDepth.with([value()]),
            "distance" => Message::ExplainDistance.with([value()]),
            "within" => Message::ExplainWithin.with([value()]),
            "startswith" => Message::ExplainStartsWith.into(),
            "endswith" => Message::ExplainEndsWith.into(),
            "fast_pattern" => Message::ExplainChosen.into(),
            _ => continue,
        };
        whole = Message::ExplainAnd.with([whole.into(), more.into()]);
    }
    whole
}

/// When a rule is asked.
pub(super) fn occasion(occasion: &Occasion) -> Phrase {
    match occasion {
        Occasion::Packets => Message::OccasionPackets.into(),
        Occasion::DecodeEvent(event) => Message::OccasionDecodeEvent.with([event.as_str().into()]),
        Occasion::Streams => Message::OccasionStreams.into(),
        Occasion::Turns => Message::OccasionTurns.into(),
        Occasion::StreamEvent(event) => Message::OccasionStreamEvent.with([event.as_str().into()]),
        Occasion::Messages(protocol) => Message::OccasionMessages.with([(*protocol).into()]),
        Occasion::Anomalies(Some(protocol)) => Message::OccasionAnomalies.with([(*protocol).into()]),
        Occasion::Anomalies(None) => Message::OccasionAnyAnomalies.into(),
    }
}

/// A key of the index with the values that pass: `destination_port 502, 1024-2048`.
pub(super) fn key(key: &IndexKey) -> String {
    let range = |range: &(u64, u64)| match *range {
        (0, 0) if key.name == "direction" => "to_server".to_owned(),
        (1, 1) if key.name == "direction" => "to_client".to_owned(),
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low}-{high}"),
    };
    let mut values: Vec<String> = key.values.iter().take(8).map(range).collect();
    if key.values.len() > values.len() {
        values.push("...".to_owned());
    }
    format!("{} {}", key.name, values.join(", "))
}

/// How much a rule costs, and why.
pub(super) fn cost(it: &Explanation) -> Message {
    let searched = it.occasions.iter().any(|occasion| matches!(occasion, Occasion::Packets | Occasion::Streams));
    let ports = it.keys.iter().any(|key| key.name.ends_with("_port"));
    match &it.fast_pattern {
        _ if it.once_a_flow => Message::CostOnce,
        _ if !searched => Message::CostMessages,
        Some((_, pattern)) if pattern.len() >= 4 => Message::CostPattern,
        Some(_) => Message::CostShort,
        None if ports => Message::CostPorts,
        None => Message::CostEverything,
    }
}

/// Bytes as rules spell them: what is printable as it is, the rest between bars.
pub(super) fn spelled(bytes: &[u8]) -> String {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'|' | b'"' | b';' | b'\\');
    let mut out = String::from("\"");
    for run in bytes.chunk_by(|&a, &b| plain(a) == plain(b)) {
        match run {
            [first, ..] if plain(*first) => out.push_str(&String::from_utf8_lossy(run)),
            run => {
                let hex: Vec<String> = run.iter().map(|byte| format!("{byte:02x}")).collect();
                out.push_str(&format!("|{}|", hex.join(" ")));
            }
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spelled_as_in_rules() {
        assert_eq!(spelled(b"GET \r\n/"), "\"GET |0d 0a|/\"");
        assert_eq!(spelled(b"|"), "\"|7c|\"");
    }
}
