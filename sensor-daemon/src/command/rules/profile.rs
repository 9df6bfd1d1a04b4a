//! `vigia rules profile`: what each rule costs on a capture.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigia_rules::{Engine, FlowMemory, Moment, RuleId, Scratch, Subject, Watch};

use super::super::table::Table;
use super::super::{ConfigArgument, Context, Outcome, RulesArgument, print, report, report_faults};
use crate::capture::directory;
use crate::config::Loaded;
use crate::inspection::Observer;
use crate::language::Message;
use crate::sensor::trial;

/// Arguments of `vigia rules profile`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Times include the measuring itself, some 50 ns a check: compare rules with each other, not with a stopwatch.

Example:
  vigia rules profile --capture plant.pcap --rules rules/
  vigia rules profile --capture captures/ --top 50 --json")]
pub(super) struct Profile {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    #[command(flatten)]
    rules: RulesArgument,
    /// Captures (files or folders) to measure on
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    capture: Vec<PathBuf>,
    /// Rules that are shown, the most expensive first
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// What was measured of one rule.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    checks: u64,
    matches: u64,
    time: Duration,
}

/// What was measured, by rule.
#[derive(Debug, Default)]
struct Costs {
    rules: Vec<Cost>,
    /// All of detection: finding the candidates as well.
    detection: Duration,
}

impl Watch for Costs {
    fn rule(&mut self, rule: RuleId, inspect: impl FnOnce() -> bool) -> bool {
        let start = Instant::now();
        let matched = inspect();
        let time = start.elapsed();
        if let Some(cost) = self.rules.get_mut(rule.0 as usize) {
            cost.checks += 1;
            cost.matches += u64::from(matched);
            cost.time += time;
        }
        matched
    }
}

/// Measures every inspection of a rule.
struct Profiler(Arc<Mutex<Costs>>);

impl Observer for Profiler {
    fn inspect(
        &mut self,
        engine: &Engine,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    ) {
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        engine.inspect_watched(moment, subject, memory, scratch, &mut *costs);
        costs.detection += start.elapsed();
    }
}

impl Profile {
    pub(super) fn execute(&self, mut loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        self.rules.apply(&mut loaded.config.rules);
        let ruleset = loaded.config.rules.load();
        report(&ruleset.diagnostics, context);
        let captures = directory::expand(&self.capture).map_err(|error| error.told(context.language))?;
        let engine = Arc::new(ruleset.engine);
        let costs = Arc::new(Mutex::new(Costs {
            rules: vec![Cost::default(); engine.rules().len()],
            detection: Duration::ZERO,
        }));
        let done = trial(&loaded.config, Arc::clone(&engine), &captures, Some(Box::new(Profiler(Arc::clone(&costs)))))?;
        report_faults(&done.faults, context);
        let costs = std::mem::take(&mut *costs.lock().unwrap_or_else(PoisonError::into_inner));
        let text = if self.json { self.json(&engine, &costs) } else { self.table(&engine, &costs, context) };
        print(&text)?;
        Ok(if done.faults.is_empty() { Outcome::Done } else { Outcome::Damaged })
    }

    fn json(&self, engine: &Engine, costs: &Costs) -> String {
        let rules: Vec<Value> = costs
            .dearest(self.top)
            .into_iter()
            .map(|(at, cost)| {
                let rule = engine.rule(RuleId(at));
                json!({
                    "gid": rule.gid,
                    "sid": rule.sid,
                    "rev": rule.rev,
                    "msg": rule.message,
                    "checks": cost.checks,
                    "matches": cost.matches,
                    "nanoseconds": cost.time.as_nanos() as u64,
                })
            })
            .collect();
        let sum = costs.sum();
        let answer = json!({
            "rules": rules,
            "loaded": engine.rules().len(),
            "inspected": costs.rules.iter().filter(|cost| cost.checks > 0).count(),
            "checks": sum.checks,
            "matches": sum.matches,
            "nanoseconds": sum.time.as_nanos() as u64,
            "detection_nanoseconds": costs.detection.as_nanos() as u64,
        });
        format!("{answer:#}\n")
    }

    fn table(&self, engine: &Engine, costs: &Costs, context: Context) -> String {
        let sum = costs.sum();
        let headings = [
            Message::ColumnSid,
            Message::ColumnChecks,
            Message::ColumnMatches,
            Message::ColumnTime,
            Message::ColumnShare,
            Message::ColumnEach,
            Message::ColumnMessage,
        ];
        let mut table = Table::new(headings.map(|heading| heading.text(context.language)));
        for (at, cost) in costs.dearest(self.top) {
            let rule = engine.rule(RuleId(at));
            let share = 100.0 * cost.time.as_secs_f64() / sum.time.as_secs_f64().max(1e-9);
            table.row([
                format!("{}:{}:{}", rule.gid, rule.sid, rule.rev),
                cost.checks.to_string(),
                cost.matches.to_string(),
                milliseconds(cost.time),
                format!("{share:.1}"),
                (cost.time.as_nanos() / u128::from(cost.checks.max(1))).to_string(),
                rule.message.clone(),
            ]);
        }
        let inspected = costs.rules.iter().filter(|cost| cost.checks > 0).count();
        let line = Message::Profiled.with([
            inspected.into(),
            engine.rules().len().into(),
            sum.checks.to_string().into(),
            milliseconds(sum.time).into(),
            milliseconds(costs.detection).into(),
        ]);
        format!("{table}{}\n", line.text(context.language))
    }
}

impl Costs {
    /// The rules that took most time, with their place in the engine.
    fn dearest(&self, most: usize) -> Vec<(u32, Cost)> {
        let mut rules: Vec<(u32, Cost)> = self
            .rules
            .iter()
            .enumerate()
            .map(|(at, cost)| (at as u32, *cost))
            .filter(|rule| rule.1.checks > 0)
            .collect();
        rules.sort_by_key(|(at, cost)| (std::cmp::Reverse(cost.time), *at));
        rules.truncate(most);
        rules
    }

    fn sum(&self) -> Cost {
        self.rules.iter().fold(Cost::default(), |sum, cost| Cost {
            checks: sum.checks + cost.checks,
            matches: sum.matches + cost.matches,
            time: sum.time + cost.time,
        })
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1000.0)
}
