//! `vigia check`: is the configuration good, and do the rules load?

use serde_json::json;

use super::{ConfigArgument, Context, Outcome, RulesArgument, print, report};
use crate::diagnostic::Diagnostic;
use crate::language::Message;

/// Arguments of `vigia check`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Exits with 0 when all is good, with 1 when there are errors (with --strict: also warnings; with --start: only what \
keeps a sensor from starting, since rules at fault are left out then).

Example:
  vigia check --config vigia.toml
  vigia check --start
  vigia check --rules modbus.rules --strict")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    rules: RulesArgument,
    /// Warnings are errors too
    #[arg(long)]
    strict: bool,
    /// Fail on nothing but what keeps a sensor from starting: settings, no interface, and with `rules.strict` rules at fault
    #[arg(long, conflicts_with = "strict")]
    start: bool,
    /// Print all diagnostics as JSON on standard output
    #[arg(long)]
    json: bool,
}

impl Check {
    fn look(&self) -> Findings {
        let mut loaded = match self.config.load() {
            Ok(loaded) => loaded,
            Err(diagnostics) => return Findings { rules: 0, diagnostics, startable: false },
        };
        self.rules.apply(&mut loaded.config.rules);
        let mut ruleset = loaded.config.rules.load();
        let mut startable = !(loaded.config.rules.strict && ruleset.has_errors());
        if self.start && loaded.config.capture.interfaces.is_empty() {
            startable = false;
            let help = Message::HelpExample.with(["capture.interfaces = [{ name = \"eth1\" }]".into()]);
            let error = Diagnostic::error("no-interface", Message::NoInterface);
            ruleset.diagnostics.insert(0, error.help(help));
        }
        Findings { rules: ruleset.engine.rules().len(), diagnostics: ruleset.diagnostics, startable }
    }

    pub(super) fn execute(&self, context: Context) -> anyhow::Result<Outcome> {
        let Findings { rules, diagnostics, startable } = self.look();
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = diagnostics.len() - errors;
        let failed = if self.start { !startable } else { errors > 0 || (self.strict && warnings > 0) };
        if self.json {
            let found: Vec<_> = diagnostics.iter().map(Diagnostic::json).collect();
            let answer = json!({ "rules": rules, "errors": errors, "warnings": warnings, "diagnostics": found });
            print(&format!("{answer:#}\n"))?;
        } else {
            report(&diagnostics, context);
            let sum = Message::CheckSum.with([rules.into(), errors.into(), warnings.into()]);
            print(&format!("{}\n", sum.text(context.language)))?;
        }
        Ok(if failed { Outcome::Failed } else { Outcome::Done })
    }
}

/// What was found.
struct Findings {
    /// Rules that load.
    rules: usize,
    /// Everything wrong.
    diagnostics: Vec<Diagnostic>,
    /// Would a sensor start all the same?
    startable: bool,
}
