//! The rules in force, and how others take their place.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::config::rules::{Ruleset as Loaded, Settings};
use crate::diagnostic::Diagnostic;
use crate::event::Ruleset;
use crate::metrics::{Counter, Metrics, RulesetInfo};
use crate::pipeline::Rules;

/// The rules in force. Workers look between batches; whoever replaces them never waits for a worker.
pub(super) struct RuleStore {
    rules: ArcSwap<Rules>,
}

/// What came of loading rules.
pub(super) struct Report {
    /// Everything wrong in the files.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Rules in force.
    pub(super) loaded: usize,
    /// Rules left out because they do not compile.
    pub(super) failed: usize,
}

impl RuleStore {
    /// Loads the first rules. Those that do not compile are left out and reported.
    pub(super) fn load(settings: &Settings, metrics: &Metrics) -> (Self, Report) {
        let (rules, report) = install(settings.load(), 1, metrics);
        (Self { rules: ArcSwap::from_pointee(rules) }, report)
    }

    /// Loads the rules again. When any file or rule is at fault the old ones stay in force.
    pub(super) fn reload(&self, settings: &Settings, metrics: &Metrics) -> Result<Report, Vec<Diagnostic>> {
        let loaded = settings.load();
        if loaded.has_errors() {
            metrics.shared().add(Counter::RuleReloadsFailed, 1);
            return Err(loaded.diagnostics);
        }
        let (rules, report) = install(loaded, self.current().ruleset.generation + 1, metrics);
        self.rules.store(Arc::new(rules));
        metrics.shared().add(Counter::RuleReloads, 1);
        Ok(report)
    }

    pub(super) fn current(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The rules, if they are not of `generation`. Costs one atomic load when they are.
    pub(super) fn newer_than(&self, generation: u64) -> Option<Arc<Rules>> {
        let current = self.rules.load();
        (current.ruleset.generation != generation).then(|| Arc::clone(&current))
    }
}

fn install(loaded: Loaded, generation: u64, metrics: &Metrics) -> (Rules, Report) {
    let Loaded { engine, diagnostics, failed, .. } = loaded;
    let report = Report { diagnostics, loaded: engine.rules().len(), failed };
    let ruleset = Ruleset { generation, hash: engine.hash().to_string() };
    metrics.set_ruleset(RulesetInfo {
        generation,
        hash: ruleset.hash.clone(),
        loaded: report.loaded as u64,
        failed: failed as u64,
        loaded_at_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
    });
    (Rules { engine: Arc::new(engine), ruleset }, report)
}
