//! The syntax tree of a rule, with spans, and the scanner that makes it.
//!
//! Tokens come from `suricatax-rule-parser`. It gives no offsets, so each token is found again in the text, in order;
//! and it lacks a few spellings, so the text is [`normalise`]d first, byte for byte at the same offsets.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use suricatax_rule_parser::scanner::{RuleScanEvent, RuleScanner};

use super::Problem;
use crate::language::said::say;

/// What stands for white space inside the brackets of a header, where the scanner allows none.
pub(crate) const GAP: char = '\u{1f}';

/// A piece of rule text that knows where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// Offset of its first byte in the source.
    pub(crate) start: usize,
}

impl<'a> Word<'a> {
    /// Where it stands in the source.
    pub(crate) fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// A part of it: `part` must be a slice of its text.
    pub(crate) fn part(&self, part: &'a str) -> Word<'a> {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        Word { text: part, start: self.start + offset.min(self.text.len()) }
    }

    /// Without the white space around it.
    pub(crate) fn trim(&self) -> Word<'a> {
        self.part(self.text.trim_matches(|c: char| c.is_whitespace() || c == GAP))
    }

    /// Its parts between separators, trimmed.
    pub(crate) fn split(&self, separator: char) -> impl Iterator<Item = Word<'a>> + use<'a> {
        let word = *self;
        word.text.split(separator).map(move |part| word.part(part).trim())
    }

    /// The part before and the part after the first separator, trimmed.
    pub(crate) fn split_once(&self, separator: char) -> Option<(Word<'a>, Word<'a>)> {
        let (left, right) = self.text.split_once(separator)?;
        Some((self.part(left).trim(), self.part(right).trim()))
    }

    /// Without the quotation marks around it, if it has them.
    pub(crate) fn unquoted(&self) -> Word<'a> {
        let trimmed = self.trim();
        match trimmed.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => trimmed.part(inner),
            None => trimmed,
        }
    }
}

/// One option: `name;` or `name:value;`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument<'a> {
    pub(crate) name: Word<'a>,
    pub(crate) value: Option<Word<'a>>,
}

/// How source and destination of a header relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrow {
    /// `->`: from source to destination.
    Directed,
    /// `<>`: either way.
    Both,
    /// `=>`: a transaction of the client (source) with the server, whichever way the message goes.
    Transaction,
}

/// A rule as it is written.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) action: Word<'a>,
    pub(crate) protocol: Word<'a>,
    pub(crate) source: Word<'a>,
    pub(crate) source_port: Word<'a>,
    pub(crate) arrow: Arrow,
    pub(crate) destination: Word<'a>,
    pub(crate) destination_port: Word<'a>,
    pub(crate) options: Vec<Argument<'a>>,
}

/// The rule on one line, as it is read again: with one space between the parts, and none around them.
impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.arrow {
            Arrow::Directed => "->",
            Arrow::Both => "<>",
            Arrow::Transaction => "=>",
        };
        let list = |word: Word<'_>| word.text.replace(GAP, " ");
        write!(f, "{} {} ", self.action.text, self.protocol.text)?;
        write!(f, "{} {} {arrow} ", list(self.source), list(self.source_port))?;
        write!(f, "{} {} (", list(self.destination), list(self.destination_port))?;
        for (at, Argument { name, value }) in self.options.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            match value {
                Some(value) => write!(f, "{space}{}:{};", name.text, value.text)?,
                None => write!(f, "{space}{};", name.text)?,
            }
        }
        f.write_str(")")
    }
}

/// One statement of a rule file: a line, or several joined by a backslash at the line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

/// The statements of a file, without blank lines and comments.
pub(crate) fn statements(text: &str) -> impl Iterator<Item = Statement<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at;
            let mut end = line_end(text, start);
            let comment = text[start..end].trim_start().starts_with('#');
            while !comment && end < text.len() && text[start..end].trim_end_matches(['\r', '\n']).ends_with('\\') {
                end = line_end(text, end);
            }
            at = end;
            let line = &text[start..end];
            let trimmed = line.trim();
            if !comment && !trimmed.is_empty() {
                return Some(Statement { text: trimmed, start: start + (line.len() - line.trim_start().len()) });
            }
        }
        None
    })
}

/// Offset after the line that begins at `start`.
fn line_end(text: &str, start: usize) -> usize {
    memchr::memchr(b'\n', &text.as_bytes()[start..]).map_or(text.len(), |at| start + at + 1)
}

/// The statement with the same bytes at the same offsets, except: line continuations become spaces, white space in
/// brackets of the header becomes [`GAP`], the character of that name white space, and the arrow `=>` becomes `->` (the second
/// value tells).
pub(crate) fn normalise(text: &str) -> (Cow<'_, str>, bool) {
    if is_normal(text) {
        return (Cow::Borrowed(text), false);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let (mut header, mut depth, mut transaction) = (true, 0usize, false);
    while let Some(c) = characters.next() {
        match c {
            '\\' if matches!(characters.peek(), Some('\r' | '\n')) => {
                out.push(if header && depth > 0 { GAP } else { ' ' });
            }
            '(' => {
                header = false;
                out.push(c);
            }
            '[' if header => {
                depth += 1;
                out.push(c);
            }
            ']' if header => {
                depth = depth.saturating_sub(1);
                out.push(c);
            }
            ' ' | '\t' | '\r' | '\n' if header && depth > 0 => out.push(GAP),
            '\r' | '\n' => out.push(' '),
            GAP if header && depth == 0 => out.push(' '),
            '=' if header && depth == 0 && characters.peek() == Some(&'>') => {
                transaction = true;
                out.push('-');
            }
            _ => out.push(c),
        }
    }
    (Cow::Owned(out), transaction)
}

/// Has it nothing to be normalised? Nearly every rule of the public sets has not.
fn is_normal(text: &str) -> bool {
    let header = text.split_once('(').map_or(text, |(header, _)| header);
    let gap = || {
        let mut depth = 0usize;
        header.bytes().any(|byte| {
            match byte {
                b'[' => depth += 1,
                b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth > 0 && matches!(byte, b' ' | b'\t')
        })
    };
    memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_none()
        && !header.contains("=>")
        && !header.contains(GAP)
        && !gap()
}

/// Parses a normalised statement that stands at `start` of its source.
pub(crate) fn parse(text: &str, start: usize, transaction: bool) -> Result<Tree<'_>, Problem> {
    let mut cursor = Cursor { text, start, at: 0 };
    let mut header: [Option<Word<'_>>; 7] = [None; 7];
    let mut options = Vec::new();
    let mut closed = false;
    for event in RuleScanner::new(text) {
        let event = event.map_err(|error| explain(&error, text, start))?;
        match event {
            RuleScanEvent::Action(word) => header[0] = Some(cursor.take(&word)),
            RuleScanEvent::Protocol(word) => header[1] = Some(cursor.take(&word)),
            RuleScanEvent::SourceIp(word) => header[2] = Some(cursor.take(&word)),
            RuleScanEvent::SourcePort(word) => header[3] = Some(cursor.take(&word)),
            RuleScanEvent::Direction(word) => header[4] = Some(cursor.take(&word)),
            RuleScanEvent::DestIp(word) => header[5] = Some(cursor.take(&word)),
            RuleScanEvent::DestPort(word) => header[6] = Some(cursor.take(&word)),
            RuleScanEvent::StartOfOptions => drop(cursor.take("(")),
            RuleScanEvent::Option { name, value } => {
                let name = cursor.take(&name).trim();
                cursor.take(if value.is_some() { ":" } else { ";" });
                let value = value.map(|value| {
                    let value = cursor.take(&value).trim();
                    cursor.take(";");
                    value
                });
                options.push(Argument { name, value });
            }
            RuleScanEvent::EndOfOptions => {
                cursor.take(")");
                closed = true;
            }
            _ => {}
        }
    }
    let rest = cursor.rest();
    let [Some(action), Some(protocol), Some(source), Some(source_port), Some(arrow), Some(destination), Some(port)] =
        header
    else {
        return Err(Problem::new("syntax", say!("the rule ends before its header does"), rest.span())
            .help(say!("a rule is `action protocol source port -> destination port (options)`")));
    };
    if !closed {
        return Err(Problem::new("syntax", say!("the options are not closed"), rest.span()).help(say!("expected `)`")));
    }
    if !rest.text.is_empty() {
        return Err(Problem::new("syntax", say!("text after the end of the rule"), rest.span()));
    }
    let arrow = match arrow.text {
        "<>" => Arrow::Both,
        _ if transaction => Arrow::Transaction,
        _ => Arrow::Directed,
    };
    Ok(Tree { action, protocol, source, source_port, arrow, destination, destination_port: port, options })
}

/// The scanner's error in words for the author of the rule.
fn explain(error: &suricatax_rule_parser::Error, text: &str, start: usize) -> Problem {
    let at = error.offset.min(text.len());
    let blank = text.get(at..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    let at = at + blank;
    let next = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let expected = match error.reason.split(':').next().unwrap_or_default() {
        "protocol" => say!("expected a protocol"),
        "source-ip" => say!("expected source addresses"),
        "source-port" => say!("expected source ports"),
        "direction" => say!("expected `->`, `<>` or `=>`"),
        "destination-ip" => say!("expected destination addresses"),
        "destination-port" => say!("expected destination ports"),
        "start of options" => say!("expected `(`"),
        "option name" => say!("expected an option or `)`"),
        "option separator" => say!("expected `;` or `:`"),
        "option value" => say!("expected `;` after the value"),
        _ => say!("expected an action"),
    };
    let here = if next == 0 { say!("the rule ends too early") } else { say!("this is not a rule") };
    Problem::new("syntax", here, start + at..start + at + next).help(expected)
}

/// Finds the scanner's tokens again in the text they came from.
struct Cursor<'a> {
    text: &'a str,
    start: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next token, which reads `token`; white space before it is skipped.
    fn take(&mut self, token: &str) -> Word<'a> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        // Nearly always it is what comes next.
        let offset = if trimmed.starts_with(token) { Some(rest.len() - trimmed.len()) } else { rest.find(token) };
        let from = offset.map_or(self.at, |offset| self.at + offset);
        let to = self.text.len().min(from + token.len());
        self.at = to;
        Word { text: self.text.get(from..to).unwrap_or_default(), start: self.start + from }
    }

    fn rest(&self) -> Word<'a> {
        Word { text: &self.text[self.at..], start: self.start + self.at }.trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_join_continued_lines_and_skip_comments() {
        let text = "# a comment \\\nalert one \\\r\n two\r\n\n  alert three";
        let found: Vec<_> = statements(text).map(|s| (s.text, s.start)).collect();
        assert_eq!(found, [("alert one \\\r\n two", 14), ("alert three", text.len() - 11)]);
    }

    #[test]
    fn a_rule_is_printed_as_it_is_read() {
        let text = "alert  tcp ![1.1.1.1, 2.2.2.2] any =>  any [80,\\\n 81] (msg:\"a\\;b\" ; content: \"x\" ;nocase; )";
        let (normal, transaction) = normalise(text);
        let printed = parse(&normal, 0, transaction).expect("parses").to_string();
        assert_eq!(
            printed,
            "alert tcp ![1.1.1.1, 2.2.2.2] any => any [80,   81] (msg:\"a\\;b\"; content:\"x\"; nocase;)"
        );
    }

    #[test]
    fn the_character_that_stands_for_white_space_is_white_space_in_a_header_and_itself_in_an_option() {
        let read = |text: &str| {
            let (normal, transaction) = normalise(text);
            parse(&normal, 0, transaction).map(|tree| tree.to_string()).map_err(|problem| problem.code)
        };
        let between = read("alert\u{1f}tcp any any -> any any (msg:\"a\u{1f}b\"; sid:1;)");
        assert_eq!(between.as_deref(), Ok("alert tcp any any -> any any (msg:\"a\u{1f}b\"; sid:1;)"));
        assert!(read("alert tcp any a\u{1f}ny -> any any (sid:1;)").is_err());
    }

    #[test]
    fn every_word_stands_where_its_span_says() {
        let text = "alert tcp ![1.1.1.1, 2.2.2.2] any => any [80, 81] (msg:\"a\\;b\" ; content: \"x\" ;nocase; sid:1;)";
        let (normal, transaction) = normalise(text);
        let tree = parse(&normal, 0, transaction).expect("parses");
        assert_eq!(tree.arrow, Arrow::Transaction);
        assert_eq!(&text[tree.source.span()], "![1.1.1.1, 2.2.2.2]");
        assert_eq!(&text[tree.destination_port.span()], "[80, 81]");
        let options: Vec<_> =
            tree.options.iter().map(|o| (&text[o.name.span()], o.value.map(|v| &text[v.span()]))).collect();
        assert_eq!(
            options,
            [("msg", Some("\"a\\;b\"")), ("content", Some("\"x\"")), ("nocase", None), ("sid", Some("1"))]
        );
    }
}
