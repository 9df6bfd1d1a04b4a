//! `vigia rules check`: everything that is wrong in rule files, or worth a look.

use std::path::PathBuf;

use serde_json::json;

use super::super::{ConfigArgument, Context, Outcome, print};
use super::sarif;
use crate::config::Loaded;
use crate::diagnostic::Diagnostic;
use crate::language::{Language, Message};

/// Arguments of `vigia rules check`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
One line a finding: file:line:column: severity[code]: what is wrong (what was expected).
Besides what the rule compiler finds, the lints: no-fast-pattern, short-pattern, pcre-without-content, shadowed-rule, \
never-matches, flowbit-never-set, flowbit-never-checked.

Exit codes:
  0  no errors; without --strict, warnings may be
  1  warnings, and --strict
  2  errors: such rules do not load

Example:
  vigia rules check mine.rules
  vigia rules check rules/ --strict
  vigia rules check rules/ --sarif > rules.sarif")]
pub(super) struct Check {
    /// Rule files, folders or patterns [default: those of the configuration]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Exit with 1 when there are warnings
    #[arg(long)]
    strict: bool,
    /// Print the findings as JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print the findings in the Static Analysis Results Interchange Format (SARIF 2.1.0)
    #[arg(long)]
    sarif: bool,
}

impl Check {
    pub(super) fn execute(&self, mut loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        if !self.files.is_empty() {
            loaded.config.rules.files.clone_from(&self.files);
        }
        let ruleset = loaded.config.rules.load();
        let mut found = ruleset.diagnostics.clone();
        found.extend(ruleset.lint());
        in_order(&mut found, &ruleset.files);
        let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = found.len() - errors;
        let rules = ruleset.engine.rules().len();
        if self.sarif {
            print(&format!("{:#}\n", sarif::log(&found)))?;
        } else if self.json {
            let findings: Vec<_> = found.iter().map(Diagnostic::json).collect();
            let answer = json!({
                "rules": rules,
                "failed": ruleset.failed,
                "skipped": ruleset.skipped,
                "errors": errors,
                "warnings": warnings,
                "diagnostics": findings,
            });
            print(&format!("{answer:#}\n"))?;
        } else {
            let lines: String = found.iter().map(|diagnostic| line(diagnostic, context.language) + "\n").collect();
            let counts = [rules, ruleset.failed, ruleset.skipped, errors, warnings];
            let sum = Message::RulesChecked.with(counts.map(Into::into));
            print(&format!("{lines}{}\n", sum.text(context.language)))?;
        }
        Ok(match (errors, warnings) {
            (1.., _) => Outcome::Faulty,
            (0, 1..) if self.strict => Outcome::Failed,
            _ => Outcome::Done,
        })
    }
}

/// In the order of the files, and of the places in them; what has no place first.
fn in_order(found: &mut [Diagnostic], files: &[PathBuf]) {
    found.sort_by_cached_key(|diagnostic| {
        diagnostic.place.as_ref().map(|(text, span)| {
            let file = files.iter().position(|file| file.as_os_str() == text.name());
            (file, text.name().to_owned(), span.start)
        })
    });
}

/// A finding on one line, as compilers print it.
fn line(diagnostic: &Diagnostic, language: Language) -> String {
    let place = diagnostic.place.as_ref().map(|(text, span)| {
        let (line, column) = text.position(span.start);
        format!("{}:{line}:{column}: ", text.name())
    });
    let severity = if diagnostic.is_error() { Message::Error } else { Message::Warning };
    let help = diagnostic.help.as_ref().map(|help| format!(" ({})", help.text(language)));
    format!(
        "{}{}[{}]: {}{}",
        place.unwrap_or_default(),
        severity.text(language),
        diagnostic.code,
        diagnostic.headline.text(language),
        help.unwrap_or_default()
    )
}
