//! Evidence put together with the rest: beside live workers, and by a second reading of the captures of a replay.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use vigia_rules::{Engine, Variables};

use super::replay::{Reading, reads_ahead};
use super::{Bench, Place, RuleStore};
use crate::capture::Source;
use crate::config::Config;
use crate::event::{EventSettings, Ruleset};
use crate::evidence::marks::Marks;
use crate::evidence::{self, Evidence};
use crate::inspection::Names;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::pipeline::{Rules, Share};
use crate::tagging::Tags;

/// Starts it for live workers. What is in its way keeps no sensor from starting.
pub(super) fn start(bench: &Bench<'_>, sources: &mut [Box<dyn Source>]) -> Option<Evidence> {
    let settings = &bench.config.evidence;
    if !settings.enabled {
        return None;
    }
    let names = |source: &mut Box<dyn Source>| source.interfaces().into_iter().map(|found| found.name).collect();
    let interfaces = sources.iter_mut().map(names).collect();
    let place = evidence::Place::beside(bench.journal, &bench.config.journal.directory, bench.evidence());
    let started = Evidence::start(settings, place, interfaces, bench.metrics);
    started.inspect_err(|error| tracing::error!(%error, "alerts have no evidence: it cannot be kept")).ok()
}

/// Is there evidence of another replay in a folder?
pub(super) fn is_used(folder: &Path) -> bool {
    evidence::list(folder).is_ok_and(|files| !files.is_empty())
}

/// Reads the captures of a replay again, for the evidence of the alerts in its `events`. The packets are not counted again.
pub(super) fn collect(config: &Config, first: &Reading<'_>, (events, folder): (&Path, &Path)) -> anyhow::Result<()> {
    let mut marks = Marks::open(events).with_context(|| events.display().to_string())?;
    let nothing = EventSettings {
        alert: false,
        flow: false,
        anomaly: false,
        records: false,
        packets: false,
        stats: false,
        ..config.events.clone()
    };
    let config = Config { events: nothing, ..config.clone() };
    let journal = Journal::more_of_file(events, 1, first.metrics)?;
    let engine = Arc::new(Engine::compile(&[], &Variables::default()).engine);
    let rules = RuleStore::holding(Rules { engine, ruleset: Ruleset::default() });
    let tags = Tags::new(first.metrics.shared());
    let told = Bench { config: &config, journal: &journal, metrics: first.metrics, rules: &rules, tags };
    let place = evidence::Place::of_replay(folder, told.evidence());
    let mut evidence = Evidence::start(&config.evidence, place, vec![Vec::new()], first.metrics)
        .with_context(|| folder.display().to_string())?;
    let apart = Metrics::new();
    let worker = Bench { metrics: &apart, ..told }.worker(Place {
        index: 0,
        share: Share::ALL,
        names: Names { interfaces: vec!["capture".to_owned()], capture: String::new() },
        histogram: false,
        shunting: None,
        evidence: evidence.recorder(0),
    });
    // What is at fault with the captures the first reading has told.
    let (_, worker) = Reading { ahead: reads_ahead(1), ..*first }.read(worker, None, Some(&mut marks));
    drop(worker);
    evidence.finish();
    journal.close()?;
    Ok(())
}
