//! `pcre`: Perl-compatible regular expressions, compiled to machine code where the processor allows.

use std::ops::Range;
use std::sync::Arc;

use pcre2::bytes::{Regex, RegexBuilder};

use super::told::{Name, Note, Remark};
use super::value::Registers;

/// Steps of a match before it is given up: no payload may stall the sensor.
const MATCH_LIMIT: u32 = 3500;
/// Depth of backtracking before a match is given up.
const DEPTH_LIMIT: u32 = 1500;

/// Bytes of a captured value that are kept.
const LONGEST_VALUE: usize = 256;

fn bounded(value: &[u8]) -> Box<[u8]> {
    value.get(..LONGEST_VALUE).unwrap_or(value).into()
}

/// A match would take too many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManySteps;

/// A compiled expression.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    regex: Regex,
    /// Searched from the end of the match before.
    pub(crate) relative: bool,
    pub(crate) negated: bool,
    /// Values that groups capture: the number of the group, and what is done with it.
    pub(crate) captures: Vec<(usize, Kept)>,
}

/// Where a captured value is kept.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// For the flow, under the name of this number.
    Flow(u64),
    /// For the packet.
    Packet(u64),
    /// For the packet, as the name of what this group captures.
    Pair(usize),
    /// For the alert, under this name.
    Alert(Arc<str>),
}

/// Flags of an expression that PCRE2 knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) caseless: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
    pub(crate) extended: bool,
    pub(crate) ungreedy: bool,
    pub(crate) anchored: bool,
}

impl Expression {
    /// Compiles `pattern`; the error is in PCRE2's words.
    pub(crate) fn new(pattern: &str, flags: Flags, relative: bool, negated: bool) -> Result<Self, String> {
        let anchor = if flags.anchored { r"\A" } else { "" };
        let lazy = if flags.ungreedy { "(?U)" } else { "" };
        // A comment at the end of an extended pattern must not swallow the closing bracket.
        let close = if flags.extended { "\n)" } else { ")" };
        // The limits are settings of the pattern itself, and hold for its compiled form as well.
        let text = format!("(*LIMIT_MATCH={MATCH_LIMIT})(*LIMIT_DEPTH={DEPTH_LIMIT}){lazy}{anchor}(?:{pattern}{close}");
        let regex = RegexBuilder::new()
            .caseless(flags.caseless)
            .multi_line(flags.multi_line)
            .dotall(flags.dot_all)
            .extended(flags.extended)
            .jit_if_available(true)
            .build(&text)
            .map_err(|error| error.to_string())?;
        Ok(Self { regex, relative, negated, captures: Vec::new() })
    }

    /// The first match in `buffer` that begins at `from` or later; an error when that would take too many steps.
    pub(crate) fn find(&self, buffer: &[u8], from: usize) -> Result<Option<Range<usize>>, TooManySteps> {
        let found = self.regex.find_at(buffer, from).map_err(|_| TooManySteps)?;
        Ok(found.map(|found| found.start()..found.end()))
    }

    /// The names of the groups, by their numbers.
    pub(crate) fn groups(&self) -> &[Option<String>] {
        self.regex.capture_names()
    }

    /// Notes what the groups of the match that begins at `from` hold.
    #[cold]
    pub(crate) fn note(&self, buffer: &[u8], from: usize, registers: &Registers) {
        let mut places = self.regex.capture_locations();
        if self.regex.captures_read_at(&mut places, buffer, from).is_err() {
            return;
        }
        let captured = |group| places.get(group).and_then(|(start, end)| buffer.get(start..end)).map(bounded);
        for (group, kept) in &self.captures {
            let Some(value) = captured(*group) else { continue };
            registers.note(match kept {
                Kept::Flow(name) => Note::Flow(*name, value),
                Kept::Packet(name) => Note::Packet(Name::Stated(*name), value),
                Kept::Alert(name) => Note::Remark(Remark::Captured(Arc::clone(name), value)),
                Kept::Pair(of) => match captured(*of) {
                    Some(paired) => Note::Packet(Name::Captured(value), paired),
                    None => continue,
                },
            });
        }
    }

    /// The first group of the first match (the whole match without a group).
    pub(crate) fn capture<'b>(&self, buffer: &'b [u8], registers: &Registers) -> Option<&'b [u8]> {
        let captures = self.regex.captures(buffer).inspect_err(|_| registers.gave_up_expression()).ok().flatten()?;
        let found = captures.get(1).or_else(|| captures.get(0))?;
        buffer.get(found.start()..found.end())
    }
}
