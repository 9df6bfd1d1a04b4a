//! Rule text to syntax tree with spans, and the diagnostics a person can act on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One rule file (or an inline text) with its name for diagnostics.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path or label, as diagnostics show it.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rule loads; something in it deserves a look.
    Warning,
    /// The rule is left out.
    Error,
}

/// Something wrong in a rule file: where, what was expected, what comes nearest.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable name of the kind of problem: `unknown-keyword`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What was expected, or the nearest valid name.
    pub help: Option<String>,
    /// The file.
    pub source: Source,
    /// Bytes of the text it is about.
    pub span: Range<usize>,
}

impl Diagnostic {
    /// Line and column of the beginning, both from 1; columns count characters.
    pub fn position(&self) -> (usize, usize) {
        let before = &self.source.text[..self.span.start.min(self.source.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// What rules and their headers refer to.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Address variables without `$`: `HOME_NET` to `[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]`.
    pub addresses: BTreeMap<String, String>,
    /// Port variables without `$`: `HTTP_PORTS` to `80`.
    pub ports: BTreeMap<String, String>,
    /// Classification to (description, priority), from `classification.config`.
    pub classifications: BTreeMap<String, (String, u8)>,
}
