//! `vigia rules list`: the rules that load, and with `--effective` what overrides did to them.

use serde_json::{Value, json};
use vigia_rules::Rule;
use vigia_rules::tuning::{Change, Effect};

use super::super::table::Table;
use super::super::{ConfigArgument, Context, Outcome, RulesArgument, print, report};
use crate::config::Loaded;
use crate::config::rules::{Ruleset, Settings};
use crate::language::{Language, Message, Phrase};

/// Arguments of `vigia rules list`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
With --effective, rules that overrides of the configuration switched off are listed too, and each change says where \
it comes from: file:line of the override, and its reason.

Example:
  vigia rules list --rules modbus.rules
  vigia rules list --effective --config vigia.toml")]
pub(super) struct List {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    #[command(flatten)]
    rules: RulesArgument,
    /// Show what is in force and where each change came from
    #[arg(long)]
    effective: bool,
    /// With --effective, only the rules that are changed
    #[arg(long, requires = "effective")]
    changed: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn execute(&self, mut loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        self.rules.apply(&mut loaded.config.rules);
        let settings = &loaded.config.rules;
        let ruleset = settings.load();
        report(&ruleset.diagnostics, context);
        let text = match (self.effective, self.json) {
            (false, false) => table(&ruleset, context.language),
            (false, true) => format!("{:#}\n", json!(ruleset.engine.rules().iter().map(rule_json).collect::<Vec<_>>())),
            (true, false) => self.effective_table(&ruleset, settings, context.language),
            (true, true) => {
                let rules = self.effective(&ruleset);
                let rules: Vec<Value> = rules.iter().map(|rule| rule.json(settings)).collect();
                format!("{:#}\n", json!(rules))
            }
        };
        print(&text)?;
        Ok(if ruleset.has_errors() { Outcome::Failed } else { Outcome::Done })
    }

    /// The rules in force, then those that were switched off.
    fn effective<'r>(&self, ruleset: &'r Ruleset) -> Vec<Effective<'r>> {
        let changes =
            |rule: (u32, u32)| ruleset.changes.iter().filter(|change| change.rule == rule).collect::<Vec<_>>();
        let on = ruleset.engine.rules().iter().map(|rule| Effective {
            rule: (rule.gid, rule.sid),
            message: &rule.message,
            priority: Some(rule.priority),
            origin: &rule.origin,
            changes: if ruleset.changes.is_empty() { Vec::new() } else { changes((rule.gid, rule.sid)) },
        });
        let mut rules: Vec<_> = on.collect();
        let known: std::collections::HashSet<_> = rules.iter().map(|rule| rule.rule).collect();
        let mut off: Vec<&Change> = ruleset.changes.iter().filter(|change| !known.contains(&change.rule)).collect();
        off.dedup_by_key(|change| change.rule);
        rules.extend(off.into_iter().map(|change| Effective {
            rule: change.rule,
            message: &change.message,
            priority: None,
            origin: &change.origin,
            changes: changes(change.rule),
        }));
        rules.retain(|rule| !self.changed || !rule.changes.is_empty());
        rules
    }

    fn effective_table(&self, ruleset: &Ruleset, settings: &Settings, language: Language) -> String {
        let headings = [
            Message::ColumnSid,
            Message::ColumnState,
            Message::ColumnPriority,
            Message::ColumnMessage,
            Message::ColumnChanges,
        ];
        let mut table = Table::new(headings.map(|heading| heading.text(language)));
        for rule in self.effective(ruleset) {
            let state = if rule.priority.is_some() { Message::StateOn } else { Message::StateOff };
            let told: Vec<String> =
                rule.changes.iter().map(|change| change_text(change, settings).text(language)).collect();
            table.row([
                format!("{}:{}", rule.rule.0, rule.rule.1),
                state.text(language).to_owned(),
                rule.priority.map(|priority| priority.to_string()).unwrap_or_default(),
                rule.message.to_owned(),
                told.join("; "),
            ]);
        }
        table.to_string()
    }
}

fn table(ruleset: &Ruleset, language: Language) -> String {
    let headings = [Message::ColumnSid, Message::ColumnPriority, Message::ColumnCategory, Message::ColumnMessage];
    let mut table = Table::new(headings.map(|heading| heading.text(language)));
    for rule in ruleset.engine.rules() {
        let (sid, priority) = (format!("{}:{}:{}", rule.gid, rule.sid, rule.rev), rule.priority.to_string());
        table.row([sid, priority, rule.category.clone(), rule.message.clone()]);
    }
    table.to_string()
}

fn rule_json(rule: &Rule) -> Value {
    let metadata: serde_json::Map<_, _> =
        rule.metadata.iter().map(|(key, values)| (key.clone(), values.clone().into())).collect();
    let references: Vec<_> = rule.references.iter().map(|it| format!("{},{}", it.system, it.value)).collect();
    json!({
        "gid": rule.gid,
        "sid": rule.sid,
        "rev": rule.rev,
        "msg": rule.message,
        "category": rule.category,
        "priority": rule.priority,
        "references": references,
        "metadata": metadata,
    })
}

/// A rule with what was done to it.
struct Effective<'r> {
    rule: (u32, u32),
    message: &'r str,
    /// None when it is switched off.
    priority: Option<u8>,
    origin: &'r (std::sync::Arc<str>, u32),
    changes: Vec<&'r Change>,
}

impl Effective<'_> {
    fn json(&self, settings: &Settings) -> Value {
        let changes: Vec<Value> = self.changes.iter().map(|change| change_json(change, settings)).collect();
        json!({
            "gid": self.rule.0,
            "sid": self.rule.1,
            "msg": self.message,
            "enabled": self.priority.is_some(),
            "priority": self.priority,
            "file": &*self.origin.0,
            "line": self.origin.1,
            "changes": changes,
        })
    }
}

/// Where an override stands, and its reason.
fn by(change: &Change, settings: &Settings) -> Phrase {
    let place = settings.place_of_override(change.by);
    let place = place.map_or_else(|| format!("override {}", change.by + 1), |(file, line)| format!("{file}:{line}"));
    match settings.overrides.get(change.by).and_then(|it| it.reason.as_ref()) {
        Some(reason) => Message::BecauseOf.with([place.into(), reason.as_str().into()]),
        None => Message::Verbatim.with([place.into()]),
    }
}

fn change_text(change: &Change, settings: &Settings) -> Phrase {
    let by = by(change, settings).into();
    match &change.what {
        Effect::Enabled => Message::ChangeEnabled.with([by]),
        Effect::Disabled => Message::ChangeDisabled.with([by]),
        Effect::Priority { from, to } => {
            Message::ChangePriority.with([to.to_string().into(), from.to_string().into(), by])
        }
        Effect::Threshold(text) => Message::ChangeThreshold.with([text.as_str().into(), by]),
        Effect::Suppressed(text) => Message::ChangeSuppressed.with([text.as_str().into(), by]),
    }
}

fn change_json(change: &Change, settings: &Settings) -> Value {
    let mut value = match &change.what {
        Effect::Enabled => json!({ "what": "enabled" }),
        Effect::Disabled => json!({ "what": "disabled" }),
        Effect::Priority { from, to } => json!({ "what": "priority", "from": from, "to": to }),
        Effect::Threshold(text) => json!({ "what": "threshold", "to": text }),
        Effect::Suppressed(text) => json!({ "what": "suppress", "to": text }),
    };
    if let Some((file, line)) = settings.place_of_override(change.by) {
        value["file"] = file.into();
        value["line"] = line.into();
    }
    value["reason"] = settings.overrides.get(change.by).map_or(Value::Null, |it| json!(it.reason));
    value
}
