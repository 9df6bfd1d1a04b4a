//! Events that tell of a file of evidence.

use std::sync::Arc;

use vigia_parsers::Timestamp;

use super::EventSettings;
use super::clock::text_of;
use super::envelope::Header;
use super::eve::Eve;
use super::json::JsonWriter;
use crate::journal::Submitter;
use crate::metrics::{Block, Counter};

/// A file of evidence.
#[derive(Debug, Clone, Copy)]
pub struct EvidenceTold<'a> {
    /// Id of the flow; 0: none.
    pub flow: u64,
    /// Its name in the folder of evidence.
    pub file: &'a str,
    /// SHA-256 of it, hexadecimal.
    pub sha256: &'a str,
    /// Bytes of it.
    pub bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Times of the first packet and the last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Alerts that it is of.
    pub alerts: u64,
    /// Times of the first alert and the last.
    pub alerts_span: (Timestamp, Timestamp),
    /// What is known not to be in it.
    pub missing: &'a [&'static str],
}

impl EvidenceTold<'_> {
    pub(super) fn members(&self, json: &mut JsonWriter<'_>) {
        json.string("file", self.file);
        json.string("sha256", self.sha256);
        json.number("bytes", self.bytes);
        json.number("packets", self.packets);
        if let Some((first, last)) = self.span {
            json.string("first", &text_of(first));
            json.string("last", &text_of(last));
        }
        json.number("alerts", self.alerts);
        json.string("first_alert", &text_of(self.alerts_span.0));
        json.string("last_alert", &text_of(self.alerts_span.1));
        json.boolean("complete", self.missing.is_empty());
        if !self.missing.is_empty() {
            json.nested_list("missing", |json| self.missing.iter().for_each(|name| json.string("", name)));
        }
    }

    /// The time that the event is of: the latest in the file.
    fn time(&self) -> Timestamp {
        self.span.map_or(self.alerts_span.1, |(_, last)| last.max(self.alerts_span.1))
    }
}

/// Reports such events: counted, written as lines, and handed to the journal at once.
pub struct EvidenceOutput {
    eve: Eve,
    wanted: bool,
    journal: Submitter,
    counters: Arc<Block>,
}

impl EvidenceOutput {
    /// Events of the thread that writes evidence.
    pub fn new(settings: &EventSettings, counters: Arc<Block>, journal: Submitter) -> Self {
        Self { eve: Eve::new(settings), wanted: settings.evidence, journal, counters }
    }

    /// Reports one.
    pub fn report(&mut self, told: &EvidenceTold<'_>) {
        self.counters.add(Counter::EvidenceEvents, 1);
        if !self.wanted {
            return;
        }
        let mut batch = self.journal.record_batch();
        let header = Header { timestamp: told.time(), flow_id: told.flow, ..Header::default() };
        self.eve.evidence(&mut batch.lines, &header, told);
        (batch.events, batch.first) = (1, header.timestamp);
        self.journal.records(batch);
    }
}
