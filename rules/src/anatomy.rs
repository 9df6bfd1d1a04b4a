//! A rule taken apart: what each of its options added to the compiled rule. Made anew from the text when somebody asks
//! (explanation, lints), so that the engine need not remember it.

use std::ops::Range;

use vigia_parsers::Protocol;

use crate::engine::Buffer;
use crate::engine::build::Ready;
use crate::keyword::{Draft, Environment, Section, draft, finish};
use crate::language::header::Resolver;
use crate::language::syntax::{self, Argument, Statement};
use crate::language::{Problem, Variables};

/// A rule taken apart.
pub(crate) struct Anatomy {
    /// Its header, word by word: action, protocol, source, port, arrow, destination, port.
    pub(crate) header: [String; 7],
    /// Its options in their order.
    pub(crate) parts: Vec<Part>,
    /// What it asks of each buffer.
    pub(crate) sections: Vec<Section>,
    /// What its author calls the buffer of each section: `http.uri`, `payload`.
    pub(crate) buffers: Vec<String>,
    /// It may be looked for before the rule is inspected.
    pub(crate) pattern: Option<(Buffer, Vec<u8>)>,
    /// Names of its flowbits.
    pub(crate) bits: Vec<(u64, String)>,
    /// It is switched off, for a keyword that is not there yet.
    pub(crate) waiting: bool,
    pub(crate) ready: Ready,
}

/// An option, and what it added.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// Where its name and value stand in the source.
    pub(crate) span: Range<usize>,
    /// Conditions of the rule that came with it.
    pub(crate) conditions: Range<usize>,
    /// The section and steps that came with it.
    pub(crate) steps: Option<(usize, Range<usize>)>,
    pub(crate) bit_tests: Range<usize>,
    pub(crate) count_tests: Range<usize>,
    pub(crate) variable_tests: Range<usize>,
}

/// What is counted before and after an option.
#[derive(Default)]
struct Counts {
    conditions: usize,
    steps: Vec<usize>,
    bit_tests: usize,
    count_tests: usize,
    variable_tests: usize,
}

impl Counts {
    fn of(draft: &Draft) -> Self {
        Self {
            conditions: draft.conditions.len(),
            steps: draft.sections.iter().map(|section| section.steps.len()).collect(),
            bit_tests: draft.bit_tests.len(),
            count_tests: draft.count_tests.len(),
            variable_tests: draft.variable_tests.len(),
        }
    }
}

/// Options that say more of the content before them.
pub(crate) const MODIFIERS: &[&str] =
    &["nocase", "depth", "offset", "distance", "within", "startswith", "endswith", "rawbytes", "fast_pattern"];

impl Part {
    /// As the rule spells it.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Some(value) => format!("{}:{value}", self.name),
            None => self.name.clone(),
        }
    }

    pub(crate) fn is_modifier(&self) -> bool {
        MODIFIERS.contains(&self.name.as_str())
    }
}

impl Anatomy {
    /// Takes the rule of a statement apart; none when what it requires is not there.
    pub(crate) fn of(
        statement: Statement<'_>,
        environment: &Environment<'_>,
        resolver: &mut Resolver<'_>,
    ) -> Result<Option<Self>, Problem> {
        let (text, transaction) = syntax::normalise(statement.text);
        let tree = syntax::parse(&text, statement.start, transaction)?;
        let mut parts: Vec<Part> = Vec::new();
        let mut buffers: Vec<String> = Vec::new();
        let mut before = Counts::default();
        let made = draft(&tree, environment, resolver, &mut Vec::new(), |draft, option| {
            let now = Counts::of(draft);
            if let Some(option) = option.and_then(|at| tree.options.get(at)) {
                parts.push(part(option, &before, &now));
            }
            let fresh = now.steps.len().saturating_sub(buffers.len());
            let name = draft.sticking().and_then(|start| tree.options.iter().find(|o| o.name.start == start));
            let name = name.map_or("payload", |option| option.name.text);
            buffers.extend(std::iter::repeat_n(name.to_owned(), fresh));
            before = now;
        })?;
        let Some((draft, header)) = made else { return Ok(None) };
        let arrow = match tree.arrow {
            syntax::Arrow::Directed => "->",
            syntax::Arrow::Both => "<>",
            syntax::Arrow::Transaction => "=>",
        };
        let word = |word: syntax::Word<'_>| word.text.replace(syntax::GAP, " ");
        let (sections, bits, pattern) = (draft.sections.clone(), draft.bits.clone(), draft.pattern());
        let pattern = pattern.map(|it| (it.buffer, it.bytes.to_ascii_lowercase()));
        Ok(Some(Self {
            header: [
                word(tree.action),
                word(tree.protocol),
                word(tree.source),
                word(tree.source_port),
                arrow.to_owned(),
                word(tree.destination),
                word(tree.destination_port),
            ],
            parts,
            sections,
            buffers,
            pattern,
            bits,
            waiting: draft.is_waiting(),
            ready: finish(draft, header),
        }))
    }

    /// The text of the option that added a condition, or a step of a section, with the modifiers that follow it.
    pub(crate) fn text_of(&self, added: impl Fn(&Part) -> bool) -> String {
        // What no option added, the header did, by its protocol.
        let Some(at) = self.parts.iter().position(added) else { return self.header[1].clone() };
        let more = self.parts.iter().skip(at + 1).take_while(|part| part.is_modifier()).map(Part::text);
        let first = self.parts.get(at).map(Part::text);
        first.into_iter().chain(more).collect::<Vec<_>>().join("; ")
    }
}

fn part(option: &Argument<'_>, before: &Counts, now: &Counts) -> Part {
    let end = option.value.map_or(option.name.span().end, |value| value.span().end);
    let steps = now.steps.iter().enumerate().find_map(|(section, &count)| {
        let from = before.steps.get(section).copied().unwrap_or(0);
        (from < count).then_some((section, from..count))
    });
    Part {
        name: option.name.text.to_owned(),
        value: option.value.map(|value| value.text.to_owned()),
        span: option.name.span().start..end,
        conditions: before.conditions..now.conditions,
        steps,
        bit_tests: before.bit_tests..now.bit_tests,
        count_tests: before.count_tests..now.count_tests,
        variable_tests: before.variable_tests..now.variable_tests,
    }
}

/// What rules are taken apart against.
pub(crate) fn environment(variables: &Variables) -> Environment<'_> {
    let protocols: &'static [&'static Protocol] = vigia_parsers::registry::PROTOCOLS;
    Environment::new(variables, protocols)
}
