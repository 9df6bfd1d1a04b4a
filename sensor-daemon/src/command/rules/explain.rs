//! `vigia rules explain`: a rule in words, and why it does not fire on a capture.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::{Value, json};
use vigia_rules::Rule;
use vigia_rules::explain::{Explanation, Probe};

use super::super::{ConfigArgument, Context, Outcome, RulesArgument, print, report_faults, tell};
use super::trace::{Trace, Tracer, reason_text, requirement_text};
use super::words;
use crate::capture::directory;
use crate::config::rules::Ruleset;
use crate::config::{Config, Loaded};
use crate::language::{Language, Message};
use crate::sensor::trial;

/// Arguments of `vigia rules explain`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
With --capture, the rule is tried with every packet, piece of stream or message that it is inspected at, condition by \
condition: what came furthest is shown first, with the condition that failed and what was there instead. The other \
rules count as well: they set flowbits, and pass rules silence.

Example:
  vigia rules explain 9101001 --rules rules/signatures
  vigia rules explain 1000001 --rules mine.rules --capture plant.pcap")]
pub(super) struct Explain {
    /// Signature id
    #[arg(value_name = "SID")]
    sid: u32,
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    #[command(flatten)]
    rules: RulesArgument,
    /// Generator id
    #[arg(long, default_value_t = 1)]
    gid: u32,
    /// Try the rule on captures (files or folders) and say how far it comes
    #[arg(long, value_name = "FILE", num_args = 1..)]
    capture: Vec<PathBuf>,
    /// Near misses that are shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn execute(&self, mut loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        self.rules.apply(&mut loaded.config.rules);
        let ruleset = loaded.config.rules.load();
        let rule = ruleset.engine.rules().iter().find(|rule| (rule.gid, rule.sid) == (self.gid, self.sid));
        let Some(rule) = rule.cloned() else {
            return self.unknown(&ruleset, context);
        };
        let (sources, variables) = (&ruleset.read.sources, &ruleset.read.variables);
        let explanation =
            vigia_rules::explain::explain(&rule, sources, variables).context("the rule's text is gone")?;
        let probe = Probe::new(&rule, sources, variables).context("the rule's text is gone")?;
        let run = match self.capture.as_slice() {
            [] => None,
            captures => Some(self.run(probe, &rule, ruleset, &loaded.config, captures, context)?),
        };
        let language = context.language;
        if self.json {
            let mut value = explanation_json(&explanation, language);
            if let Some(run) = &run {
                value["trace"] = run.trace.json(run.probe.requirements());
                value["trace"]["alerts"] = run.alerts.into();
            }
            print(&format!("{value:#}\n"))?;
        } else {
            let mut text = explained(&explanation, language);
            if let Some(run) = &run {
                text.push('\n');
                text.push_str(&run.text(self.top, language));
            }
            print(&text)?;
        }
        let damaged = run.is_some_and(|run| run.damaged);
        Ok(if damaged { Outcome::Damaged } else { Outcome::Done })
    }

    /// There is no such rule: why not, if its text is there, else the nearest ids.
    fn unknown(&self, ruleset: &Ruleset, context: Context) -> anyhow::Result<Outcome> {
        super::super::report(&self.about(ruleset), context);
        let near = ruleset.engine.rules().iter().filter(|rule| rule.gid == self.gid).map(|rule| rule.sid);
        let near = near.min_by_key(|sid| sid.abs_diff(self.sid));
        let mut text = Message::OverrideNoSuchSid.with([self.sid.to_string().into()]).text(context.language);
        if let Some(near) = near {
            let help = Message::HelpDidYouMean.with([near.to_string().into()]);
            let _ = write!(text, " ({})", help.text(context.language));
        }
        tell(&format!("{}: {text}\n", Message::Error.text(context.language)));
        Ok(Outcome::Failed)
    }

    /// What is wrong in the statement that spells this id.
    fn about(&self, ruleset: &Ruleset) -> Vec<crate::diagnostic::Diagnostic> {
        let spelled = format!("sid:{};", self.sid);
        let is_about = |diagnostic: &&crate::diagnostic::Diagnostic| {
            diagnostic.place.as_ref().is_some_and(|(text, span)| {
                let from = text.text().get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
                let line = text.text().get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                line.replace(": ", ":").contains(&spelled)
            })
        };
        ruleset.diagnostics.iter().filter(is_about).cloned().collect()
    }

    fn run(
        &self,
        probe: Probe,
        rule: &Rule,
        ruleset: Ruleset,
        config: &Config,
        captures: &[PathBuf],
        context: Context,
    ) -> anyhow::Result<Run> {
        let captures = directory::expand(captures).map_err(|error| error.told(context.language))?;
        let (probe, trace) = (Arc::new(probe), Arc::new(Mutex::new(Trace::default())));
        let engine = Arc::new(ruleset.engine);
        let mine = |alert: &&Value| alert["alert"]["gid"] == rule.gid && alert["alert"]["signature_id"] == rule.sid;
        let (mut alerts, mut damaged) = (0, false);
        // One by one, so that packets have their numbers in their own capture.
        for capture in captures {
            trace.lock().unwrap_or_else(PoisonError::into_inner).capture = capture.display().to_string().into();
            let tracer = Tracer::new(Arc::clone(&probe), (rule.gid, rule.sid), Arc::clone(&trace));
            let done = trial(config, Arc::clone(&engine), &[capture], Some(Box::new(tracer)))?;
            report_faults(&done.faults, context);
            damaged |= !done.faults.is_empty();
            alerts += done.alerts.iter().filter(mine).count() as u64;
        }
        let trace = std::mem::take(&mut *trace.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Run { probe, trace, alerts, damaged })
    }
}

/// What trying the rule on captures gave.
struct Run {
    probe: Arc<Probe>,
    trace: Trace,
    alerts: u64,
    damaged: bool,
}

impl Run {
    fn text(&self, top: usize, language: Language) -> String {
        let trace = &self.trace;
        let held = trace.matched.saturating_sub(self.alerts);
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        let sum = [trace.tried, trace.matched, self.alerts].map(|number| number.to_string().into());
        line(Message::TraceSum.with(sum).text(language));
        if held > 0 {
            line(format!("  {}", Message::TraceHeld.with([held.to_string().into()]).text(language)));
        }
        for (silenced, count) in trace.silent.values() {
            let why = silenced.message().with([count.to_string().into()]);
            line(format!("  {}", why.text(language)));
        }
        if trace.tried == 0 {
            let seen: Vec<String> = trace.seen.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            let seen = if seen.is_empty() { "0".to_owned() } else { seen.join(", ") };
            line(Message::TraceNothing.with([seen.into()]).text(language));
        }
        let requirements = self.probe.requirements();
        for (at, (met, stop, reasons)) in trace.near_misses().take(top).enumerate() {
            if at == 0 {
                line(String::new());
                line(Message::TraceNear.text(language).to_owned());
            }
            let counts = [stop.count.to_string().into(), met.into(), requirements.len().into()];
            line(format!("  {}", Message::TraceReached.with(counts).text(language)));
            if at == 0 {
                for requirement in requirements.iter().take(met) {
                    line(format!("    ✓ {}", requirement_text(requirement).text(language)));
                }
            }
            if let Some(failed) = requirements.get(met) {
                line(format!("    ✗ {}", requirement_text(failed).text(language)));
            }
            for (reason, count, example) in reasons.iter().take(3) {
                // Answers hold the other way round as a matter of course: that is a hint only where nothing came further.
                let reason = reason_text(reason, at == 0).text(language);
                line(format!("        {count} × {reason}; {}", example.text(language)));
            }
            if reasons.len() > 3 {
                line(format!("        {}", Message::TraceMore.with([(reasons.len() - 3).into()]).text(language)));
            }
            if at == 0 {
                for requirement in requirements.iter().skip(met + 1) {
                    line(format!("    · {}", requirement_text(requirement).text(language)));
                }
            }
        }
        let hidden = trace.stops.len().saturating_sub(top);
        if hidden > 0 {
            line(format!("  {}", Message::TraceHidden.with([hidden.into()]).text(language)));
        }
        out
    }
}

/// The rule in words, for a terminal.
fn explained(it: &Explanation, language: Language) -> String {
    let rule = &it.rule;
    let mut out = format!("{}:{}:{}  {}\n", rule.gid, rule.sid, rule.rev, rule.message);
    let mut row = |label: Option<Message>, text: &str| {
        let label = label.map_or("", |label| label.text(language));
        let _ = writeln!(out, "  {label:<14}{text}");
    };
    row(Some(Message::LabelFile), &format!("{}:{}", rule.origin.0, rule.origin.1));
    row(Some(Message::LabelClass), format!("{} ({})", rule.category, rule.priority).trim_start());
    for (at, sentence) in words::sentences(it, language).iter().enumerate() {
        row((at == 0).then_some(Message::LabelAsks), sentence);
    }
    for (at, occasion) in it.occasions.iter().enumerate() {
        row((at == 0).then_some(Message::LabelGroup), &words::occasion(occasion).text(language));
    }
    for key in &it.keys {
        row(None, &words::key(key));
    }
    let pattern = match &it.fast_pattern {
        Some((buffer, bytes)) => Message::FastPatternIn
            .with([words::spelled(bytes).into(), buffer.as_str().into(), bytes.len().into()])
            .text(language),
        None => Message::FastPatternNone.text(language).to_owned(),
    };
    row(Some(Message::LabelPattern), &pattern);
    if !it.buffers.is_empty() {
        row(Some(Message::LabelBuffers), &it.buffers.join(", "));
    }
    row(Some(Message::LabelCost), words::cost(it).text(language));
    let work = [it.work.contents, it.work.expressions, it.work.steps, it.work.conditions].map(Into::into);
    row(None, &Message::Work.with(work).text(language));
    out
}

fn explanation_json(it: &Explanation, language: Language) -> Value {
    let keys: serde_json::Map<_, _> = it.keys.iter().map(|key| (key.name.clone(), json!(key.values))).collect();
    let pattern = it.fast_pattern.as_ref().map(|(buffer, bytes)| {
        json!({ "buffer": buffer, "bytes": words::spelled(bytes).trim_matches('"'), "length": bytes.len() })
    });
    let occasions: Vec<String> =
        it.occasions.iter().map(|occasion| words::occasion(occasion).text(Language::English)).collect();
    json!({
        "gid": it.rule.gid,
        "sid": it.rule.sid,
        "rev": it.rule.rev,
        "msg": it.rule.message,
        "file": &*it.rule.origin.0,
        "line": it.rule.origin.1,
        "text": it.text,
        "words": words::sentences(it, language),
        "group": { "inspected_at": occasions, "keys": keys },
        "fast_pattern": pattern,
        "buffers": it.buffers,
        "cost": {
            "why": words::cost(it).text(Language::English),
            "contents": it.work.contents,
            "expressions": it.work.expressions,
            "other_steps": it.work.steps,
            "conditions": it.work.conditions,
        },
    })
}
