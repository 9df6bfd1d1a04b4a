//! The numbers of a sensor as a person reads them: `vigia status`, and the end of a replay.

use serde_json::{Map, Value};

use super::table::Table;
use crate::language::{Language, Message, Phrase};

/// Is every packet accounted for? `seen = processed + shunted + dropped by cause + in flight`, where nothing can be in
/// flight once the work is `finished`.
pub fn balances(snapshot: &Value, finished: bool) -> bool {
    let packets = &snapshot["packets"];
    let in_flight = number(packets, "in_flight");
    let dropped: i64 = causes(packets).map(|(_, count)| count).sum();
    let sum = number(packets, "processed") + number(packets, "shunted") + dropped + in_flight;
    let ledgers = interfaces(snapshot).iter().map(|interface| &interface["ledger"]);
    let of_interfaces = ledgers.filter(|ledger| ledger.is_object()).all(|ledger| number(ledger, "difference") == 0);
    let of_packets = sum == number(packets, "seen") && if finished { in_flight == 0 } else { in_flight >= 0 };
    of_packets && of_interfaces
}

fn interfaces(snapshot: &Value) -> &[Value] {
    snapshot["interfaces"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A snapshot of the metrics as tables.
pub fn render(snapshot: &Value, language: Language, finished: bool) -> String {
    let label = |message: Message| message.text(language).to_owned();
    let packets = &snapshot["packets"];
    let mut table = Table::new([Message::ColumnPackets.text(language), Message::ColumnCount.text(language)]);
    table.row([label(Message::PacketsSeen), number(packets, "seen").to_string()]);
    table.row([label(Message::PacketsProcessed), number(packets, "processed").to_string()]);
    table.row([label(Message::PacketsShunted), number(packets, "shunted").to_string()]);
    for (cause, count) in causes(packets) {
        table.row([Message::PacketsDropped.with([cause.into()]).text(language), count.to_string()]);
    }
    if !finished {
        table.row([label(Message::PacketsInFlight), number(packets, "in_flight").to_string()]);
    }
    let verdict = if balances(snapshot, finished) { Message::SumsBalance } else { Message::SumsDoNotBalance };
    let mut out = format!("{table}{}\n\n", label(verdict));

    let mut table = Table::new([Message::ColumnWhat.text(language), Message::ColumnCount.text(language)]);
    let more = if finished { &[] } else { LIVE_ROWS };
    for (message, count) in totals(snapshot, ROWS.iter().chain(more)) {
        table.row([message.text(language), count.to_string()]);
    }
    out.push_str(&table.to_string());
    if !finished {
        out.push_str(&of_evidence(snapshot, language));
        out.push_str(&ledgers(snapshot, language));
        out.push_str(&of_interfaces(snapshot, language));
        out.push_str(&of_sinks(snapshot, language));
        out.push('\n');
        out.push_str(&about(snapshot, language));
    }
    out
}

/// Where the frames of each interface went; empty where no tap counts them.
fn ledgers(snapshot: &Value, language: Language) -> String {
    let headings = [
        Message::ColumnInterface,
        Message::ColumnReceived,
        Message::ColumnTap,
        Message::ColumnIgnored,
        Message::ColumnDuplicate,
        Message::ColumnShunted,
        Message::ColumnShed,
        Message::ColumnHeld,
        Message::ColumnDelivered,
        Message::ColumnRead,
        Message::ColumnRingDropped,
        Message::ColumnInFlight,
        Message::ColumnMissing,
    ];
    let mut table = Table::new(headings.map(|heading| heading.text(language)));
    let mut shed = String::new();
    let with_ledger = interfaces(snapshot).iter().filter(|interface| interface["ledger"].is_object());
    for interface in with_ledger.clone() {
        let (name, ledger) = (interface["interface"].as_str().unwrap_or_default(), &interface["ledger"]);
        let classes: Vec<_> = ledger["shed"].as_object().into_iter().flatten().collect();
        let of_shed: i64 = classes.iter().filter_map(|(_, frames)| frames.as_i64()).sum();
        let of = |key| ledger[key].as_i64().map_or_else(|| "-".to_owned(), |count| count.to_string());
        table.row([
            name.to_owned(),
            of("received"),
            of("tap"),
            of("ignored"),
            of("duplicate"),
            of("shunted"),
            of_shed.to_string(),
            of("held"),
            of("delivered"),
            of("read"),
            of("ring_dropped"),
            of("in_flight"),
            of("difference"),
        ]);
        if !classes.is_empty() {
            let classes: Vec<_> = classes.iter().map(|(class, frames)| format!("{class} {frames}")).collect();
            let sentence = Message::ShedByClass.with([name.into(), classes.join(", ").as_str().into()]);
            shed.push_str(&format!("{}\n", sentence.text(language)));
        }
    }
    if with_ledger.count() == 0 { String::new() } else { format!("\n{table}{shed}") }
}

/// How the interfaces are captured and guarded; empty where there are none.
fn of_interfaces(snapshot: &Value, language: Language) -> String {
    let interfaces = interfaces(snapshot);
    if interfaces.is_empty() {
        return String::new();
    }
    let headings = [
        Message::ColumnInterface,
        Message::ColumnMode,
        Message::ColumnReceived,
        Message::ColumnLost,
        Message::ColumnGuard,
        Message::ColumnHeldBack,
        Message::ColumnSent,
    ];
    let mut table = Table::new(headings.map(|heading| heading.text(language)));
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for interface in interfaces {
        let guard = &interface["guard"];
        let cells = [
            &interface["interface"],
            &interface["mode"],
            &interface["received"],
            &interface["lost"],
            &guard["attached"],
            &guard["dropped"]["frames"],
            &interface["transmitted"],
        ];
        table.row(cells.map(text));
    }
    let key = match language {
        Language::English => "en",
        Language::Spanish => "es",
    };
    let sentences: String =
        interfaces.iter().filter_map(|one| one["captured"][key].as_str()).map(|line| format!("{line}\n")).collect();
    format!("\n{table}{sentences}")
}

/// How far events are delivered to each sink, and why not further; empty where there are none.
fn of_sinks(snapshot: &Value, language: Language) -> String {
    let sinks = snapshot["exports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if sinks.is_empty() {
        return String::new();
    }
    let headings = [
        Message::ColumnSink,
        Message::ColumnCircuit,
        Message::ColumnTaken,
        Message::ColumnRefused,
        Message::ColumnMissed,
        Message::ColumnAlertsWaiting,
        Message::ColumnRecordsWaiting,
        Message::ColumnLag,
    ];
    let mut table = Table::new(headings.map(|heading| heading.text(language)));
    let mut failing = String::new();
    for sink in sinks {
        let [name, target, circuit] = ["name", "target", "circuit"].map(|key| sink[key].as_str().unwrap_or_default());
        let lag = &sink["lag"];
        let waiting =
            |stream| lag[stream]["events"].as_u64().map_or_else(|| "-".to_owned(), |events| events.to_string());
        let seconds = ["alerts", "records"].into_iter().map(|stream| number(&lag[stream], "seconds")).max();
        table.row([
            name.to_owned(),
            circuit.to_owned(),
            number(sink, "delivered").to_string(),
            number(sink, "refused").to_string(),
            number(sink, "missed_events").to_string(),
            waiting("alerts"),
            waiting("records"),
            seconds.unwrap_or_default().to_string(),
        ]);
        if let Some(error) = sink["error"].as_str() {
            let sentence = Message::SinkFails.with([name.into(), target.into(), error.into()]);
            failing.push_str(&format!("{}\n", sentence.text(language)));
        }
    }
    format!("\n{table}{failing}")
}

/// How the evidence of alerts is doing; empty where none is kept.
fn of_evidence(snapshot: &Value, language: Language) -> String {
    let mebibytes = |gauges: [&str; 2]| gauges.map(|gauge| number(&snapshot["series"], gauge) >> 20);
    let (memory, disk) = (mebibytes(EVIDENCE_MEMORY), mebibytes(EVIDENCE_DISK));
    if memory[1] == 0 {
        return String::new();
    }
    let mut table = Table::new([Message::ColumnEvidence.text(language), Message::ColumnCount.text(language)]);
    for (message, count) in totals(snapshot, EVIDENCE_ROWS) {
        table.row([message.text(language), count.to_string()]);
    }
    for (message, [used, limit]) in [(Message::EvidenceBuffer, memory), (Message::EvidenceDisk, disk)] {
        table.row([message.with([limit.to_string().into()]).text(language), used.to_string()]);
    }
    format!("\n{table}")
}

/// A row of a table over families of metrics.
enum Row {
    /// The sum of the families.
    Sum(Message, &'static [&'static str]),
    /// A row for each member of the family that counted something, called by its first label.
    Each(Message, &'static str),
}

const ROWS: &[Row] = &[
    Row::Sum(Message::TotalBytes, &["vigia_bytes_processed_total"]),
    Row::Sum(Message::TotalFlows, &["vigia_flows_created_total"]),
    Row::Sum(Message::TotalFlowsActive, &["vigia_flows_active"]),
    Row::Sum(Message::TotalGaps, &["vigia_reassembly_gaps_total"]),
    Row::Each(Message::TotalMessages, "vigia_messages_total"),
    Row::Sum(Message::TotalAnomalies, &["vigia_anomalies_total", "vigia_stream_anomalies_total"]),
    Row::Sum(Message::TotalAlerts, &["vigia_alerts_total"]),
    Row::Each(Message::TotalAlertsOf, "vigia_alerts_total"),
    Row::Sum(Message::TotalSuppressed, &["vigia_alerts_suppressed_total"]),
    Row::Sum(Message::TotalLost, &["vigia_journal_lost_events_total"]),
];

/// What a replay has not.
const LIVE_ROWS: &[Row] = &[Row::Sum(Message::TotalNotIndexed, &["vigia_index_lag_events"])];

const EVIDENCE_ROWS: &[Row] = &[
    Row::Sum(Message::EvidenceAlerts, &["vigia_evidence_alerts_total"]),
    Row::Sum(Message::EvidenceLost, &["vigia_evidence_lost_total"]),
    Row::Sum(Message::EvidenceFiles, &["vigia_evidence_files_total"]),
    Row::Sum(Message::EvidenceIncomplete, &["vigia_evidence_incomplete_files_total"]),
    Row::Sum(Message::EvidenceOpen, &["vigia_evidence_open"]),
    Row::Sum(Message::EvidencePacketsLost, &["vigia_evidence_packets_lost_total"]),
];

/// What is used, and what may be.
const EVIDENCE_MEMORY: [&str; 2] = ["vigia_evidence_buffer_bytes", "vigia_evidence_buffer_limit_bytes"];
const EVIDENCE_DISK: [&str; 2] = ["vigia_evidence_disk_bytes", "vigia_evidence_disk_limit_bytes"];

/// The rows with their counts. A sum of nothing is shown too: a zero is an answer.
fn totals(snapshot: &Value, rows: impl IntoIterator<Item = &'static Row>) -> Vec<(Phrase, i64)> {
    let empty = Map::new();
    let series = snapshot["series"].as_object().unwrap_or(&empty);
    let mut counted = Vec::new();
    for row in rows {
        match *row {
            Row::Sum(message, families) => {
                let counts = families.iter().flat_map(|family| of_family(series, family));
                counted.push((message.into(), counts.map(|(_, count)| count).sum()));
            }
            Row::Each(message, family) => {
                let busy = of_family(series, family).filter(|(_, count)| *count > 0);
                counted.extend(busy.map(|(name, count)| (message.with([name.into()]), count)));
            }
        }
    }
    counted
}

/// Members of a family: the value of their first label, and their count.
fn of_family<'s>(series: &'s Map<String, Value>, family: &'s str) -> impl Iterator<Item = (&'s str, i64)> {
    series.iter().filter_map(move |(name, count)| {
        let labels = name.strip_prefix(family)?;
        let first = match labels {
            "" => "",
            labels => labels.strip_prefix('{')?.split('"').nth(1)?,
        };
        Some((first, count.as_i64()?))
    })
}

/// What runs, and since when.
fn about(snapshot: &Value, language: Language) -> String {
    let ruleset = &snapshot["ruleset"];
    let (loaded, failed) = (number(ruleset, "loaded"), number(ruleset, "failed"));
    let hash = ruleset["hash"].as_str().unwrap_or_default();
    let short = hash.get(..12).unwrap_or(hash);
    let rules = Message::AboutRuleset.with([loaded.to_string().into(), failed.to_string().into(), short.into()]);
    let uptime = Message::Uptime.with([duration(number(snapshot, "uptime_s")).into()]);
    let memory = Message::Memory.with([(number(snapshot, "resident_bytes") >> 20).to_string().into()]);
    [rules, uptime, memory].map(|line| line.text(language) + "\n").concat()
}

fn duration(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn causes(packets: &Value) -> impl Iterator<Item = (&str, i64)> {
    let dropped = packets["dropped"].as_object().into_iter().flatten();
    dropped.map(|(cause, count)| (cause.as_str(), count.as_i64().unwrap_or(0)))
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(in_flight: i64) -> Value {
        json!({
            "uptime_s": 93784,
            "resident_bytes": 50 << 20,
            "packets": {
                "seen": 110, "processed": 100, "shunted": 2,
                "dropped": {"kernel": 3, "duplicate": 5}, "in_flight": in_flight,
            },
            "interfaces": [{
                "interface": "tap0", "mode": "af-packet", "received": 105, "lost": 2, "transmitted": 0,
                "captured": {"en": "tap0: captured by af-packet", "es": "tap0: se captura por af-packet"},
                "guard": {"attached": "clsact", "dropped": {"frames": 3, "bytes": 180}, "by_ethertype": {}},
                "ledger": {
                    "received": 105, "tap": 105, "ignored": 1, "duplicate": 2, "shunted": 3, "shed": {"bulk": 4, "web": 5},
                    "held": 6, "delivered": 84, "read": 80, "ring_dropped": 3, "in_flight": 1, "difference": 0,
                },
            }, {"interface": "lo", "mode": "af-packet-hash"}],
            "exports": [{
                "name": "soc", "kind": "unix", "target": "/run/soc.sock", "circuit": "open", "error": "connection refused",
                "delivered": 900, "refused": 2, "missed_events": 0,
                "lag": {"alerts": {"events": 7, "bytes": 4200, "seconds": 3}, "records": {"events": 50, "bytes": 9, "seconds": 12}},
            }, {
                "name": "eve", "kind": "file", "target": "/var/log/eve.json", "circuit": "closed", "error": null,
                "delivered": 959, "refused": 0, "missed_events": 0, "lag": {"alerts": {"events": 0, "bytes": 0, "seconds": 0}},
            }],
            "ruleset": {"generation": 1, "hash": "0123456789abcdef", "loaded": 30, "failed": 1, "loaded_at_s": 0},
            "series": {
                "vigia_flows_active": 4,
                "vigia_flows_created_total{transport=\"tcp\"}": 5,
                "vigia_flows_created_total{transport=\"udp\"}": 6,
                "vigia_messages_total{protocol=\"modbus\"}": 70,
                "vigia_messages_total{protocol=\"dnp3\"}": 0,
                "vigia_alerts_total{severity=\"1\"}": 2,
                "vigia_alerts_total{severity=\"2\"}": 1,
                "vigia_index_lag_events": 1,
                "vigia_evidence_alerts_total": 2,
                "vigia_evidence_lost_total{cause=\"queue\"}": 1,
                "vigia_evidence_lost_total{cause=\"disk\"}": 0,
                "vigia_evidence_files_total": 2,
                "vigia_evidence_open": 1,
                "vigia_evidence_buffer_bytes": 5_242_880,
                "vigia_evidence_buffer_limit_bytes": 50_331_648,
                "vigia_evidence_disk_bytes": 3_145_728,
                "vigia_evidence_disk_limit_bytes": 2_147_483_648_u64,
            },
        })
    }

    #[test]
    fn packets_balance_only_when_each_has_one_fate() {
        assert!(balances(&snapshot(0), true) && balances(&snapshot(0), false));
        assert!(!balances(&snapshot(1), false), "one counted that was not seen");
        let mut early = snapshot(1);
        early["packets"]["processed"] = 99.into();
        assert!(balances(&early, false), "one is in flight");
        assert!(!balances(&early, true), "at the end none may be");
        let mut twice = snapshot(-1);
        twice["packets"]["processed"] = 101.into();
        assert!(!balances(&twice, false), "one has two fates");
        assert!(balances(&json!({}), true), "nothing seen, nothing lost");
        let mut missing = snapshot(0);
        missing["interfaces"][0]["ledger"]["difference"] = 1.into();
        assert!(!balances(&missing, false), "a frame is missing before capture");
    }

    #[test]
    fn status_is_a_table_in_both_languages() {
        insta::assert_snapshot!("english", render(&snapshot(0), Language::English, false));
        insta::assert_snapshot!("spanish", render(&snapshot(0), Language::Spanish, false));
        insta::assert_snapshot!("spanish_replay", render(&snapshot(0), Language::Spanish, true));
    }

    /// A renamed metric must not turn into a zero in the tables.
    #[test]
    fn the_totals_are_of_metrics_that_exist() {
        let known: Vec<_> = crate::metrics::table::Layout::get().series.iter().map(|series| series.family).collect();
        for row in ROWS.iter().chain(LIVE_ROWS).chain(EVIDENCE_ROWS) {
            let families = match row {
                Row::Sum(_, families) => families,
                Row::Each(_, family) => std::slice::from_ref(family),
            };
            assert!(families.iter().all(|family| known.contains(family)), "{families:?}");
        }
        for [used, limit] in [EVIDENCE_MEMORY, EVIDENCE_DISK] {
            assert!(known.contains(&used) && known.contains(&limit));
        }
        let metrics = crate::metrics::Metrics::new();
        let snapshot = serde_json::to_value(metrics.snapshot()).unwrap();
        assert!(balances(&snapshot, true));
        for key in ["seen", "processed", "shunted", "dropped", "in_flight"] {
            assert!(!snapshot["packets"][key].is_null(), "{key}");
        }
    }

    #[test]
    fn durations_are_short() {
        assert_eq!([59, 61, 3700, 93_784].map(duration), ["59 s", "1 min 1 s", "1 h 1 min", "1 d 2 h"]);
    }
}
