//! Rule text to syntax tree with spans, and the diagnostics a person can act on.

pub(crate) mod decimal;
pub(crate) mod header;
pub(crate) mod integer;
mod lists;
pub(crate) mod said;
pub(crate) mod set;
pub(crate) mod syntax;
mod variables;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use lists::{Countries, Library, Reputation};
pub use said::{Part, Said};
pub use variables::Variables;

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

/// Something wrong in a rule file: where, what was expected, what comes nearest. Its `Display` is one line:
/// `file:line:column: error[code]: message (help)`.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable name of the kind of problem: `unknown-keyword`.
    pub code: &'static str,
    /// One sentence.
    pub message: Said,
    /// What was expected, or the nearest valid name.
    pub help: Option<Said>,
    /// Signature ids of the rules that it is about, where that is not the one at its place alone.
    pub sids: Vec<u32>,
    /// The file.
    pub source: Source,
    /// Bytes of the text it is about.
    pub span: Range<usize>,
}

impl Diagnostic {
    /// Line and column of the beginning, both from 1; columns count characters.
    pub fn position(&self) -> (usize, usize) {
        let mut start = self.span.start.min(self.source.text.len());
        while !self.source.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &self.source.text[..start];
        let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The diagnostic with the text around it, for a terminal.
    pub fn report(&self) -> miette::Report {
        miette::Report::new(Pretty(self.clone()))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}:{line}:{column}: {severity}[{}]: {}", self.source.name, self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// A diagnostic as miette shows it: the position is in its margin, so the message stands alone.
#[derive(Debug)]
struct Pretty(Diagnostic);

impl fmt::Display for Pretty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.message.fmt(f)
    }
}

impl std::error::Error for Pretty {}

impl miette::Diagnostic for Pretty {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.0.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.0.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let label = miette::LabeledSpan::new_with_span(Some("here".into()), self.0.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

impl miette::SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let contents = self.text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.name.to_string(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// The rules of a text as they are understood, each on one line: printed from its syntax tree. What is no rule is a
/// diagnostic. The print of a print is the same.
pub fn reprint(source: &Source) -> Vec<Result<String, Box<Diagnostic>>> {
    let print = |statement: syntax::Statement<'_>| {
        let (text, transaction) = syntax::normalise(statement.text);
        let printed = syntax::parse(&text, statement.start, transaction).map(|tree| tree.to_string());
        printed.map_err(|problem| Box::new(problem.diagnostic(Severity::Error, source)))
    };
    syntax::statements(&source.text).map(print).collect()
}

/// A problem while a rule is compiled; it becomes a [`Diagnostic`] when the source is added.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: Said,
    pub(crate) help: Option<Said>,
    pub(crate) span: Range<usize>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: Said, span: Range<usize>) -> Self {
        Self { code, message, help: None, span }
    }

    pub(crate) fn help(self, help: Said) -> Self {
        Self { help: Some(help), ..self }
    }

    pub(crate) fn maybe_help(self, help: Option<Said>) -> Self {
        Self { help, ..self }
    }

    pub(crate) fn diagnostic(self, severity: Severity, source: &Source) -> Diagnostic {
        Diagnostic {
            severity,
            code: self.code,
            message: self.message,
            help: self.help,
            sids: Vec::new(),
            source: source.clone(),
            span: self.span,
        }
    }
}

/// Longer names than any there is have no likeness: comparing is quadratic in the length.
const LIKELY: usize = 64;

/// How often each letter stands in a name. Other characters are counted with one of the letters.
fn letters(name: &str) -> [u8; 32] {
    let mut counts = [0; 32];
    name.bytes().for_each(|byte| counts[letter(byte)] += 1);
    counts
}

fn letter(byte: u8) -> usize {
    usize::from(byte.to_ascii_lowercase() & 31)
}

/// The candidate most like `name`, when it is like it at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LIKELY {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let letters = letters(&name);
    // Names that have too few letters in common cannot be alike. To compare those would be slow: a file full of mistakes asks
    // for each of them.
    let close = |candidate: &&str| {
        let mut left = letters;
        let common = candidate.bytes().filter(|&byte| {
            let count = &mut left[letter(byte)];
            let there = *count > 0;
            *count = count.saturating_sub(1);
            there
        });
        5 * common.count() >= 3 * name.len().max(candidate.len())
    };
    candidates
        .filter(close)
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is passed over unseen is never the nearest.
        #[test]
        fn the_nearest_name_is_the_most_alike(name in "[a-c.]{1,8}", names in prop::collection::vec("[a-c._]{1,8}", 0..12)) {
            let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&name, other);
            let best = names.iter().map(|other| likeness(other)).filter(|it| *it >= 0.6).max_by(f64::total_cmp);
            prop_assert_eq!(nearest(&name, names.iter().map(String::as_str)).map(likeness), best);
        }
    }
}
