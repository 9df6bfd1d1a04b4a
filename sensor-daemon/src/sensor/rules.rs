//! The rules in force, and how others take their place.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::allocator;
use crate::config::rules::{Ruleset as Loaded, Settings};
use crate::diagnostic::Diagnostic;
use crate::event::Ruleset;
use crate::metrics::{Counter, Metrics, RulesetInfo, peak_memory, resident_memory};
use crate::pipeline::Rules;
use crate::priority::Rank;

/// The rules in force. Workers look between batches; whoever replaces them never waits for a worker.
pub(super) struct RuleStore {
    rules: ArcSwap<Rules>,
    /// Bytes of memory that loading takes at its peak for a byte of rule files.
    appetite: f64,
}

/// The same as long as it has not been measured: what a public rule set of 25,000 rules takes when all of it is in force.
const APPETITE: f64 = 9.0;
/// Rule files below this size tell nothing of what others take.
const TELLING: u64 = 1 << 20;

/// How long a reload waits for the workers to let go of the old rules. They do so between two batches.
const LET_GO: Duration = Duration::from_secs(5);

/// What came of loading rules.
pub(super) struct Report {
    /// Everything wrong in the files.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Rules in force.
    pub(super) loaded: usize,
    /// Rules left out because they do not compile.
    pub(super) failed: usize,
    /// The settings allow no rule to be at fault, and one is.
    pub(super) fatal: bool,
}

impl RuleStore {
    /// Loads the first rules. Those that do not compile are left out and reported.
    pub(super) fn load(settings: &Settings, metrics: &Metrics) -> (Self, Report) {
        let (text, before) = (settings.text_bytes(), resident_memory());
        let loaded = settings.load();
        let grown = peak_memory().zip(before).map(|(peak, before)| peak.saturating_sub(before));
        let appetite = grown.filter(|_| text >= TELLING).map_or(APPETITE, |grown| grown as f64 / text as f64);
        let (rules, report) = install(loaded, settings.strict, 1, metrics);
        let store = Self { appetite, ..Self::holding(rules) };
        store.foresee(settings, metrics);
        (store, report)
    }

    /// These rules, for good.
    pub(super) fn holding(rules: Rules) -> Self {
        Self { rules: ArcSwap::from_pointee(rules), appetite: APPETITE }
    }

    /// Memory that a reload will take at its peak, beyond what is resident: the rules in force stay while the new ones are
    /// compiled beside them.
    pub(super) fn foresee(&self, settings: &Settings, metrics: &Metrics) -> u64 {
        let bytes = (settings.text_bytes() as f64 * self.appetite) as u64;
        metrics.shared().set(Counter::ReloadMemory, bytes);
        bytes
    }

    /// Loads the rules again. The old ones stay in force when a file cannot be read, when more rules would be left out
    /// because of errors than are now, and when the settings are strict and any rule is at fault.
    pub(super) fn reload(&self, settings: &Settings, metrics: &Metrics) -> Result<Report, Vec<Diagnostic>> {
        let expected_mib = self.foresee(settings, metrics) >> 20;
        tracing::info!(expected_mib, resident_mib = resident_memory().unwrap_or(0) >> 20, "loading rules again");
        let loaded = aside(|| settings.load());
        let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let worse = loaded.failed as u64 > metrics.ruleset().failed || errors > loaded.failed;
        if worse || settings.strict && errors > 0 {
            metrics.shared().add(Counter::RuleReloadsFailed, 1);
            return Err(loaded.diagnostics);
        }
        let (rules, report) = install(loaded, settings.strict, self.current().ruleset.generation + 1, metrics);
        let old = self.rules.swap(Arc::new(rules)).engine.clone();
        let since = Instant::now();
        // It takes a while to free as many rules; a worker that does it as the last to hold them would lose packets.
        while Arc::strong_count(&old) > 1 && since.elapsed() < LET_GO {
            thread::sleep(Duration::from_millis(10));
        }
        aside(|| {
            drop(old);
            allocator::trim();
        });
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

/// Does work in another thread, which stands back behind the workers where processors are few: the rules come some seconds
/// later. Where no thread can be had, it is done in this one.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut done = None;
    let _ = thread::scope(|scope| {
        let stood_back = || {
            Rank::Behind.take();
            done = work.take().map(|work| work());
        };
        let started = thread::Builder::new().name("rules".to_owned()).spawn_scoped(scope, stood_back)?;
        started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, std::io::Error>(())
    });
    done.or_else(|| work.map(|work| work())).unwrap_or_else(|| unreachable!("the work is done once"))
}

fn install(loaded: Loaded, strict: bool, generation: u64, metrics: &Metrics) -> (Rules, Report) {
    let fatal = strict && loaded.has_errors();
    let Loaded { engine, diagnostics, failed, skipped, .. } = loaded;
    let report = Report { diagnostics, loaded: engine.rules().len(), failed, fatal };
    let loaded_at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let ruleset = Ruleset { generation, hash: engine.hash().to_string(), loaded_at_s };
    metrics.set_ruleset(RulesetInfo {
        generation,
        hash: ruleset.hash.clone(),
        loaded: report.loaded as u64,
        failed: failed as u64,
        skipped: skipped as u64,
        loaded_at_s,
    });
    (Rules { engine: Arc::new(engine), ruleset }, report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "alert tcp any any -> any any (content:\"abcd\"; sid:1;)\n";
    const BAD: &str = "alert tcp any any -> any any (contnt:\"abcd\"; sid:2;)\n";

    /// Rules of one file, and what a reload after it has changed says: the rules that fail, or none when it is refused.
    fn reload(strict: bool, before: &str, after: &str) -> (Report, Option<usize>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plant.rules");
        std::fs::write(&file, before).unwrap();
        let mut settings = Settings::default();
        settings.files = vec![file.clone()];
        settings.strict = strict;
        let metrics = Metrics::new();
        let (store, first) = RuleStore::load(&settings, &metrics);
        std::fs::write(&file, after).unwrap();
        let again = store.reload(&settings, &metrics).ok().map(|report| report.failed);
        (first, again, store.current().ruleset.generation)
    }

    #[test]
    fn rules_at_fault_are_left_out_and_counted() {
        let (first, again, generation) = reload(false, &format!("{GOOD}{BAD}"), &format!("{BAD}{GOOD}"));
        assert_eq!((first.loaded, first.failed, first.fatal), (1, 1, false));
        assert_eq!((again, generation), (Some(1), 2), "as many fail as before");
    }

    #[test]
    fn a_reload_that_would_lose_rules_to_errors_does_not_take_place() {
        let (_, again, generation) = reload(false, GOOD, &format!("{GOOD}{BAD}"));
        assert_eq!((again, generation), (None, 1));
    }

    #[test]
    fn strict_lets_no_rule_be_at_fault() {
        let (first, again, _) = reload(true, &format!("{GOOD}{BAD}"), BAD);
        assert!(first.fatal);
        assert_eq!(again, None);
        assert_eq!(reload(true, GOOD, GOOD).1, Some(0));
    }
}
