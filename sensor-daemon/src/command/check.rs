//! `vigia check`: is the configuration good, and do the rules load?

use serde_json::json;

use super::{ConfigArgument, Context, Outcome, RulesArgument, print, report};
use crate::diagnostic::Diagnostic;
use crate::language::Message;

/// Arguments of `vigia check`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Exits with 0 when a sensor would start with these, with 1 when there are errors (with --strict: also warnings).

Example:
  vigia check --config vigia.toml
  vigia check --rules modbus.rules --strict")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    rules: RulesArgument,
    /// Warnings are errors too
    #[arg(long)]
    strict: bool,
    /// Print all diagnostics as JSON on standard output
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(&self, context: Context) -> anyhow::Result<Outcome> {
        let mut rules = 0;
        let diagnostics = match self.config.load() {
            Ok(mut loaded) => {
                self.rules.apply(&mut loaded.config.rules);
                let ruleset = loaded.config.rules.load();
                rules = ruleset.engine.rules().len();
                ruleset.diagnostics
            }
            Err(diagnostics) => diagnostics,
        };
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = diagnostics.len() - errors;
        let failed = errors > 0 || (self.strict && warnings > 0);
        if self.json {
            let found: Vec<_> = diagnostics.iter().map(Diagnostic::json).collect();
            let answer = json!({ "rules": rules, "errors": errors, "warnings": warnings, "diagnostics": found });
            print(&format!("{answer:#}\n"))?;
        } else {
            report(&diagnostics, context);
            let sum = match errors {
                0 => Message::CheckOk.with([rules.into(), warnings.into()]),
                _ => Message::CheckFailed.with([rules.into(), errors.into(), warnings.into()]),
            };
            print(&format!("{}\n", sum.text(context.language)))?;
        }
        Ok(if failed { Outcome::Failed } else { Outcome::Done })
    }
}
