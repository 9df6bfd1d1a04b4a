//! What a worker reports to.

use std::sync::Arc;

use vigia_parsers::packet::Packet;
use vigia_parsers::{Record, Timestamp};
use vigia_rules::{Engine, Match, RuleId, Silence, Told};

use crate::evidence::Recorder;
use crate::journal::{AlertBatch, AlertEntry, BATCH_BYTES, Decision, Outcome, RecordBatch, Submitter};
use crate::metrics::{Counter, Counters, Metrics};

use super::EventSettings;
use super::envelope::Header;
use super::eve::{Alert, Anomalous, Eve, FlowSummary, Ruleset};
use super::relief::Relief;

/// A worker's events: counted, written as lines, and handed to the journal in batches. Counting and writing are one call,
/// so that a line without its counter does not exist.
pub struct Output {
    /// The worker's counters. Published with every [`Output::flush`].
    pub counters: Counters,
    /// Keeps the packets of alerts.
    pub evidence: Option<Recorder>,
    eve: Eve,
    settings: EventSettings,
    journal: Submitter,
    records: RecordBatch,
    alerts: AlertBatch,
    session: u32,
    silence: Option<Silence>,
    forgotten: u64,
    relief: Relief,
}

impl Output {
    /// Events of one worker.
    pub fn new(settings: &EventSettings, counters: Counters, journal: Submitter, engine: Arc<Engine>) -> Self {
        Self {
            counters,
            evidence: None,
            eve: Eve::new(settings),
            settings: settings.clone(),
            records: journal.record_batch(),
            alerts: journal.alert_batch(engine),
            journal,
            session: 0,
            silence: None,
            forgotten: 0,
            relief: Relief::new(settings.shed_at_percent),
        }
    }

    /// Another capture begins: nothing in it has to do with what was before.
    pub fn begin_session(&mut self) {
        self.session = self.session.wrapping_add(1);
    }

    /// Alerts from now on are of these rules.
    pub fn set_engine(&mut self, engine: Arc<Engine>, ruleset: Ruleset) {
        self.submit_alerts();
        self.alerts.engine = engine;
        self.eve.set_ruleset(ruleset);
    }

    /// A signature matched. Whether it becomes an alert is decided in packet order where the rule counts across flows, at
    /// once or by the journal; there it is counted, too. `None` when it is decided that it becomes none: then nothing need
    /// be made of it. `packet` is the number of the packet that raised it, 0 when none did, and live.
    pub fn matched(&mut self, rule: RuleId, packet: u64, found: Match) -> Option<AlertEntry> {
        self.counters.add(Counter::SignatureMatches, 1);
        self.silence = None;
        let mut entry = AlertEntry { packet, session: self.session, admitted: false, rule, found, length: 0 };
        if self.alerts.engine.rule(rule).gated {
            let Some(Decision { outcome, silence, forgotten }) = self.journal.outcome(&self.alerts.engine, &entry)
            else {
                return Some(entry);
            };
            (self.silence, self.forgotten) = (silence, forgotten);
            if outcome == Outcome::Suppressed {
                return None;
            }
            entry.admitted = true;
            // Nobody asks for these any more.
            entry.found.noted = Box::default();
        }
        Some(entry)
    }

    /// For how long the rule of the last match is silent about its ends, when it has said enough.
    pub fn silence(&self) -> Option<Silence> {
        self.silence
    }

    /// How often what counts across flows had forgotten counters at the last match of a rule that does.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// So many signatures matched that were silent: they are counted, as those are of which the journal says so.
    pub fn silenced(&mut self, matches: u64) {
        self.counters.add(Counter::SignatureMatches, matches);
        self.journal.suppressed(matches);
    }

    /// Writes the alert of a match.
    pub fn alert(&mut self, mut entry: AlertEntry, header: &Header<'_>, alert: &Alert<'_>) {
        let start = self.alerts.lines.len();
        if self.settings.alert {
            let about = self.alerts.engine.rule(entry.rule);
            self.eve.alert(&mut self.alerts.lines, header, about, alert);
        }
        entry.length = self.alerts.lines.len() - start;
        self.alerts.entries.push(entry);
        if let (Some(recorder), Some(line @ [_, ..])) = (&mut self.evidence, self.alerts.lines.as_bytes().get(start..))
        {
            let hosts = header.endpoints.map(|ends| [ends.source.0, ends.destination.0]);
            recorder.alert(header.flow_id, hosts, header.timestamp, line, alert.packet.is_some());
        }
        if self.alerts.lines.len() >= BATCH_BYTES {
            self.submit_alerts();
        }
    }

    /// A flow ended, or has gone on for long.
    pub fn flow(&mut self, header: &Header<'_>, flow: &FlowSummary, told: &Told<'_>) {
        self.counters.add(Counter::FlowEvents, 1);
        if self.settings.flow && !self.sheds() {
            self.eve.flow(&mut self.records.lines, header, flow, told);
            self.recorded(header.timestamp);
        }
    }

    /// Something that a standard does not allow was met.
    pub fn anomaly(&mut self, header: &Header<'_>, anomaly: &Anomalous) {
        self.counters.add(Counter::AnomalyEvents, 1);
        match anomaly {
            Anomalous::Decode(event) => self.counters.decode_event(*event),
            Anomalous::Stream(_) => self.counters.add(Counter::StreamAnomalies, 1),
            Anomalous::Application(protocol, anomaly) => self.counters.anomaly(protocol, anomaly.kind),
        }
        if self.settings.anomaly && !self.sheds() {
            self.eve.anomaly(&mut self.records.lines, header, anomaly);
            self.recorded(header.timestamp);
        }
    }

    /// A transaction of a protocol is complete. `header` is asked for when the record is to be written.
    #[inline]
    pub fn record<'h>(&mut self, record: &dyn Record, header: impl FnOnce() -> Header<'h>) {
        self.counters.add(Counter::RecordEvents, 1);
        self.counters.record(record.protocol());
        if self.settings.records && !self.sheds() {
            let header = header();
            self.eve.record(&mut self.records.lines, &header, record);
            self.recorded(header.timestamp);
        }
    }

    /// A packet that a rule tagged.
    #[cold]
    pub fn packet(&mut self, header: &Header<'_>, packet: &Packet<'_>) {
        self.counters.add(Counter::PacketEvents, 1);
        if self.settings.packets {
            self.eve.packet(&mut self.records.lines, header, packet);
            self.recorded(header.timestamp);
        }
    }

    /// Reports the counters of the whole sensor; called by one worker every [`EventSettings::stats_interval_s`].
    pub fn stats(&mut self, timestamp: Timestamp, metrics: &Metrics) {
        self.counters.add(Counter::StatsEvents, 1);
        if self.settings.stats {
            self.counters.publish();
            self.eve.stats(&mut self.records.lines, timestamp, &metrics.snapshot());
            self.recorded(timestamp);
        }
    }

    /// Packets come before records: while the capture ring is this full (0 to 1), or the journal takes no more records,
    /// none is written any more, each is counted as lost instead. Alerts are not touched. Told between batches of packets;
    /// in a replay nothing is ever shed, since it is the capture that waits.
    pub fn relieve(&mut self, fill: f32, now: Timestamp) {
        if !self.journal.in_order() {
            self.relief.judge(fill, self.journal.refuses_records(), now);
        }
    }

    /// Is a record to be shed? Then it is counted.
    #[inline]
    fn sheds(&mut self) -> bool {
        let cause = self.relief.shed();
        cause.is_some_and(|cause| {
            self.counters.add(cause, 1);
            true
        })
    }

    /// What an alert keeps of the bytes that were inspected.
    pub fn kept<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let wanted = self.settings.payload || self.settings.payload_printable;
        bytes.get(..if wanted { bytes.len().min(self.settings.payload_bytes) } else { 0 }).unwrap_or_default()
    }

    /// Are records written at all? Lets the caller skip what only a record needs.
    pub fn wants_records(&self) -> bool {
        self.settings.records
    }

    /// A batch of packets is done: all of them up to number `through` have been seen by the workers they belong to, this
    /// one's share included. Publishes the counters and hands the alerts on; the records when there are enough of them or
    /// `idle` says that no packet is waiting.
    pub fn flush(&mut self, through: u64, idle: bool) {
        self.counters.publish();
        if idle || (self.journal.in_order() && !self.alerts.entries.is_empty()) {
            self.submit_records();
        }
        // Where workers are merged, the others wait to hear how far this one is, alerts or not.
        let news = self.journal.is_merged() && through > self.alerts.through;
        self.alerts.through = self.alerts.through.max(through);
        if news || !self.alerts.entries.is_empty() {
            self.submit_alerts();
        }
    }

    /// As [`Output::flush`], when a capture file is at its end.
    pub fn finish(&mut self, through: u64) {
        self.alerts.capture_ends = self.journal.in_order();
        self.flush(through, true);
        if self.alerts.capture_ends {
            self.submit_alerts();
        }
    }

    fn recorded(&mut self, timestamp: Timestamp) {
        if self.records.events == 0 {
            self.records.first = timestamp;
        }
        self.records.events += 1;
        if self.records.lines.len() >= BATCH_BYTES {
            self.submit_records();
        }
    }

    fn submit_records(&mut self) {
        if self.records.events > 0 {
            let batch = std::mem::replace(&mut self.records, self.journal.record_batch());
            self.journal.records(batch);
        }
    }

    fn submit_alerts(&mut self) {
        let mut next = self.journal.alert_batch(Arc::clone(&self.alerts.engine));
        next.through = self.alerts.through;
        self.journal.alerts(std::mem::replace(&mut self.alerts, next));
    }
}

/// What is still held goes to the journal, also when the worker ends by a panic.
impl Drop for Output {
    fn drop(&mut self) {
        self.flush(0, true);
    }
}
