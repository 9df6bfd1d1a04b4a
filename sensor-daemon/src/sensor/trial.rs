//! Rules tried on captures: what the sensor would alert, kept in memory, for those who test and tune rules.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::replay::{Reading, reads_ahead};
use super::{Bench, Place, RuleStore};
use crate::capture::SourceError;
use crate::config::Config;
use crate::event::{EventSettings, Ruleset};
use crate::inspection::{Names, Observer};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::pipeline::{Rules, Share};
use crate::tagging::Tags;

/// What rules did on captures.
pub struct Trial {
    /// The alerts, as events, in their order.
    pub alerts: Vec<Value>,
    /// Captures that could not be read to their end.
    pub faults: Vec<SourceError>,
}

/// Replays captures, each a session of its own, under the rules of an engine. An observer is asked in the engine's place.
pub fn trial(
    config: &Config,
    engine: Arc<vigia_rules::Engine>,
    captures: &[PathBuf],
    observer: Option<Box<dyn Observer>>,
) -> anyhow::Result<Trial> {
    let events = EventSettings {
        alert: true,
        flow: false,
        anomaly: false,
        records: false,
        stats: false,
        ..config.events.clone()
    };
    let config = Config { events, ..config.clone() };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("eve.json");
    let metrics = Metrics::new();
    let journal = Journal::single_file(&path, 1, &metrics)?;
    let ruleset = Ruleset { generation: 1, hash: engine.hash().to_owned(), loaded_at_s: 0 };
    let rules = RuleStore::holding(Rules { engine, ruleset });
    let tags = Tags::new(metrics.shared());
    let bench = Bench { config: &config, journal: &journal, metrics: &metrics, rules: &rules, tags };
    let mut worker = bench.worker(Place {
        index: 0,
        share: Share::ALL,
        names: Names { interfaces: vec!["capture".to_owned()], capture: String::new() },
        histogram: false,
        shunting: None,
        evidence: None,
    });
    if let Some(observer) = observer {
        worker.observe(observer);
    }
    let reading = Reading { captures, settings: &config.capture.file, ahead: reads_ahead(1), metrics: &metrics };
    let (faults, worker) = reading.read(worker, None, None);
    drop(worker);
    journal.close()?;
    let text = std::fs::read_to_string(&path)?;
    let events = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    Ok(Trial { alerts: events.into_iter().filter(|event| event["event_type"] == "alert").collect(), faults })
}
