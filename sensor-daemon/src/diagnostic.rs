//! What is wrong in something a person wrote: file, line, column, what was expected, what comes nearest.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceSpan};

use crate::language::{Language, Message, Phrase};

/// Characters of a line shown on either side of the place: rules are long lines.
const WINDOW: usize = 60;

/// What stands before a help as miette draws it.
const HELP: &str = "  help: ";

/// A text that diagnostics refer to, with the beginnings of its lines.
#[derive(Debug)]
pub struct Text {
    name: String,
    text: Arc<str>,
    lines: Vec<usize>,
}

impl Text {
    /// A file's text under the name that diagnostics show.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Arc<Self> {
        let text = text.into();
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Arc::new(Self { name: name.into(), text, lines })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, from 1; columns count characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        let column = self.text.get(start..self.floor(byte)).unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The nearest character boundary at or before `byte`.
    fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }

    /// The part of the line around `byte` that is shown.
    fn window(&self, byte: usize) -> Range<usize> {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        // The end of a line is no part of it, whichever it is.
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        let end = end.max(byte.min(self.text.len()));
        self.floor(start.max(byte.saturating_sub(WINDOW)))..self.floor(end.min(byte + WINDOW))
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works; it deserves a look.
    Warning,
    /// It does not work.
    Error,
}

/// Something wrong in a configuration or rule file.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable name of the kind of problem: `unknown-key`.
    pub code: &'static str,
    /// One sentence.
    pub headline: Phrase,
    /// What was expected, or the nearest valid name.
    pub help: Option<Phrase>,
    /// Signature ids of the rules that it is about, where these are not the one at its place alone.
    pub sids: Vec<u32>,
    /// Where: the text and the bytes in it. None when the file could not be read at all.
    pub place: Option<(Arc<Text>, Range<usize>)>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(code: &'static str, headline: impl Into<Phrase>) -> Self {
        Self { severity: Severity::Error, code, headline: headline.into(), help: None, sids: Vec::new(), place: None }
    }

    /// The same at a place.
    pub fn at(mut self, text: &Arc<Text>, span: Range<usize>) -> Self {
        self.place = Some((Arc::clone(text), span));
        self
    }

    /// The same with a help.
    pub fn help(mut self, help: impl Into<Phrase>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Is it more than a warning?
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// As a person reads it: headline, `file:line:column`, the line with a mark under the place, help.
    pub fn render(&self, language: Language, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(120).with_context_lines(1);
        let rendering = Rendering {
            headline: self.headline.text(language),
            help: self.help.as_ref().map(|help| help.text(language)),
            diagnostic: self,
        };
        let mut out = String::new();
        if handler.render_report(&mut out, &rendering).is_err() {
            out.push_str(&rendering.headline);
            out.push('\n');
        }
        // The one word that is miette's own.
        if let Some(at) = out.rfind(HELP).filter(|_| rendering.help.is_some()) {
            out.replace_range(at..at + HELP.len(), &format!("  {}: ", Message::Help.text(language)));
        }
        out
    }

    /// As a program reads it; always in English.
    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::json!({
            "severity": self.severity,
            "code": self.code,
            "message": self.headline.text(Language::English),
        });
        if let Some((text, span)) = &self.place {
            let (line, column) = text.position(span.start);
            value["file"] = text.name().into();
            value["line"] = line.into();
            value["column"] = column.into();
        }
        if let Some(help) = &self.help {
            value["help"] = help.text(Language::English).into();
        }
        if !self.sids.is_empty() {
            value["sids"] = self.sids.as_slice().into();
        }
        value
    }
}

/// A diagnostic in its language, in the form that miette draws.
#[derive(Debug)]
struct Rendering<'d> {
    headline: String,
    help: Option<String>,
    diagnostic: &'d Diagnostic,
}

impl fmt::Display for Rendering<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for Rendering<'_> {}

impl miette::Diagnostic for Rendering<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.diagnostic.place.as_ref().map(|(text, _)| &**text as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (text, span) = self.diagnostic.place.as_ref()?;
        let shown = text.window(span.start);
        // Behind the end of the line there is nothing to mark: its last character stands for it.
        let start = if span.start >= shown.end { text.floor(shown.end.saturating_sub(1)) } else { span.start };
        let (start, end) = (start.max(shown.start), span.end.min(shown.end));
        let label = LabeledSpan::new_primary_with_span(None, start..end.max(start));
        Some(Box::new(std::iter::once(label)))
    }
}

impl miette::SourceCode for Text {
    /// Asked without context for the place itself, and with context for what to draw: one line, cut to a window.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        _lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, MietteError> {
        let mut window = self.window(span.offset());
        if lines_before == 0 {
            window.start = self.floor(span.offset()).clamp(window.start, window.end);
        }
        let data = self.text.get(window.clone()).ok_or(MietteError::OutOfBounds)?;
        let (line, _) = self.position(span.offset());
        let (_, column) = self.position(window.start);
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data.as_bytes(),
            window.into(),
            line - 1,
            column - 1,
            1,
        )))
    }
}

/// How often a headline is shown with its place before it is only counted.
const ALIKE: usize = 3;

/// Headlines that are counted by name below the diagnostics that are shown.
const COUNTED: usize = 10;

/// The diagnostics in the order of their files, at most as many as a person wants to see: a file for another tool can
/// have thousands that are alike.
pub fn render_all(diagnostics: &[Diagnostic], language: Language, colour: bool, most: usize) -> String {
    let mut out = String::new();
    let mut shown = 0;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut hidden: HashMap<String, usize> = HashMap::new();
    for diagnostic in diagnostics {
        let headline = diagnostic.headline.text(language);
        let times = seen.entry(headline.clone()).or_insert(0);
        *times += 1;
        if shown < most && *times <= ALIKE {
            shown += 1;
            out.push_str(&diagnostic.render(language, colour));
            out.push('\n');
        } else {
            *hidden.entry(headline).or_insert(0) += 1;
        }
    }
    let mut hidden: Vec<_> = hidden.into_iter().collect();
    hidden.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let (named, rest) = hidden.split_at(hidden.len().min(COUNTED));
    for (headline, count) in named {
        let line = Message::MoreDiagnostics.with([(*count).into(), headline.as_str().into()]);
        out.push_str(&(line.text(language) + "\n"));
    }
    if !rest.is_empty() {
        let count = rest.iter().map(|(_, count)| count).sum::<usize>();
        out.push_str(&(Message::OtherDiagnostics.with([count.into()]).text(language) + "\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = Text::new("t", "a\nñb = 1\n");
        assert_eq!(text.position(0), (1, 1));
        assert_eq!(text.position(2), (2, 1));
        assert_eq!(text.position(4), (2, 2));
        assert_eq!(text.position(999), (3, 1));
    }

    #[test]
    fn a_long_line_is_shown_in_part_with_its_true_column() {
        let line = format!("# first\n{}WRONG{}\n", "x".repeat(5000), "y".repeat(5000));
        let at = line.find("WRONG").unwrap();
        let text = Text::new("long.rules", line);
        let shown = Diagnostic::error("c", Message::SumsBalance).at(&text, at..at + 5).render(Language::English, false);
        assert!(shown.contains("long.rules:2:5001"), "{shown}");
        assert!(shown.contains("WRONG"), "{shown}");
        assert!(shown.len() < 3000, "{}", shown.len());
    }

    #[test]
    fn diagnostics_that_are_alike_are_shown_a_few_times_and_counted() {
        let text = Text::new("t", "x");
        let alike = |message: Message| Diagnostic::error("c", message).at(&text, 0..1);
        let mut all: Vec<_> = (0..50).map(|_| alike(Message::SumsBalance)).collect();
        all.push(alike(Message::SumsDoNotBalance));
        let shown = render_all(&all, Language::English, false, 20);
        assert_eq!(shown.matches("t:1:1").count(), 4, "{shown}");
        assert!(shown.contains("not shown, 47 times: every packet is accounted for"), "{shown}");
        assert!(shown.contains("THE SUMS"), "{shown}");
    }

    #[test]
    fn lines_that_end_with_a_carriage_return_have_their_numbers() {
        let text = Text::new("t", "a\r\nbad = 1\r\n");
        let shown = Diagnostic::error("c", Message::SumsBalance).at(&text, 3..6).render(Language::English, false);
        assert!(shown.contains("t:2:1") && shown.contains("\n 2 │ bad = 1\n"), "{shown}");
    }

    #[test]
    fn a_place_at_the_end_of_a_line_is_marked_at_its_last_character() {
        for end in ["", "\n", "\r\n"] {
            let text = Text::new("t", format!("short{end}"));
            let shown = Diagnostic::error("c", Message::SumsBalance).at(&text, 5..5).render(Language::English, false);
            assert!(shown.contains("t:1:5") && shown.contains("1 │ short\n   ·     ─\n"), "{end:?}: {shown}");
        }
    }

    #[test]
    fn a_place_at_the_end_of_an_empty_text_is_drawn() {
        let text = Text::new("empty", "");
        let shown = Diagnostic::error("c", Message::SumsBalance).at(&text, 0..0).render(Language::English, false);
        assert!(shown.contains("accounted for"), "{shown}");
    }
}
