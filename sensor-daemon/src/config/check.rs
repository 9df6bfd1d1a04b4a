//! What a person wrote against the schema of the settings: every mistake at once, each with its place.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::schema::{Node, Schema, Shape, is_type_bound};
use crate::diagnostic::{Diagnostic, Text};
use crate::language::{Message, Phrase};

type Table<'t> = Spanned<DeTable<'t>>;
type Item<'t> = Spanned<DeValue<'t>>;

/// Three passes, each only when the one before found nothing: syntax, then keys and types, then meaning.
pub(super) fn parse(text: &Arc<Text>) -> Result<Config, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(text.text());
    refuse(errors.iter().map(|error| syntax(text, error)).collect())?;

    let schema = Schema::of::<Config>();
    let mut check = Check { text, found: Vec::new() };
    check.table(schema.node(), table.get_ref(), "", table.span());
    refuse(check.found)?;

    let config = Config::deserialize(toml::de::Deserializer::from(table.clone()))
        .map_err(|error| vec![invalid(text, schema.node(), &table, &error)])?;
    let problems = config.problems();
    refuse(problems.iter().map(|problem| meaning(text, &table, problem)).collect())?;
    Ok(config)
}

fn refuse(mut found: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    found.sort_by_key(|diagnostic| diagnostic.place.as_ref().map_or(0, |(_, span)| span.start));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn syntax(text: &Arc<Text>, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    Diagnostic::error("syntax", Message::ConfigSyntax.with([error.message().into()])).at(text, span)
}

/// What only the type itself can judge: the text of an address, say. The default shows what it looks like.
fn invalid(text: &Arc<Text>, root: Node<'_>, table: &Table<'_>, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let key = key_at(table.get_ref(), &span).unwrap_or_default();
    let reason = error.message().lines().next().unwrap_or_default().to_owned();
    let node = key.split('.').try_fold(root, |node, step| node.key(step));
    let help = node.and_then(|node| Some(Message::HelpExample.with([node.default()?.to_string().into()])));
    let headline = Message::ConfigInvalid.with([key.into(), reason.into()]);
    Diagnostic { help, ..Diagnostic::error("invalid-value", headline).at(text, span) }
}

/// The full key of the value that covers `span`.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, item)| {
        let deeper = item.get_ref().as_table().and_then(|inner| key_at(inner, span));
        match deeper {
            Some(inner) => Some(format!("{}.{inner}", key.get_ref())),
            None => (item.span().start <= span.start && span.end <= item.span().end).then(|| key.get_ref().to_string()),
        }
    })
}

fn meaning(text: &Arc<Text>, table: &Table<'_>, problem: &super::Problem) -> Diagnostic {
    let reason = problem.reason.clone();
    let diagnostic =
        Diagnostic::error("invalid-value", Message::ConfigInvalid.with([problem.key.as_str().into(), reason]));
    diagnostic.at(text, span_of(table.get_ref(), &problem.key))
}

/// Where the value of a key stands in a text that has been read before.
pub(super) fn place(text: &Text, key: &str) -> Range<usize> {
    let (table, _) = DeTable::parse_recoverable(text.text());
    span_of(table.get_ref(), key)
}

/// The value of a key with dots and indexes (`capture.interfaces[1].name`), else of the nearest value around it, else the
/// beginning.
fn span_of(table: &DeTable<'_>, key: &str) -> Range<usize> {
    let mut steps = key.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    let first = steps.next().unwrap_or_default();
    let Some((name, mut item)) = table.iter().find(|(name, _)| name.get_ref() == first) else { return 0..0 };
    // A table spelled `[a]` covers its header only in part: the name marks it better.
    let mut span = if item.get_ref().is_table() { name.span() } else { item.span() };
    for step in steps {
        let inner = match (step.parse::<usize>(), item.get_ref()) {
            (Ok(index), DeValue::Array(items)) => items.get(index),
            (_, value) => value.get(step),
        };
        let Some(inner) = inner else { break };
        (item, span) = (inner, inner.span());
    }
    span
}

struct Check<'t> {
    text: &'t Arc<Text>,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn report(&mut self, code: &'static str, headline: Phrase, help: Option<Phrase>, span: Range<usize>) {
        let diagnostic = Diagnostic::error(code, headline).at(self.text, span);
        self.found.push(Diagnostic { help, ..diagnostic });
    }

    fn table(&mut self, node: Node<'_>, table: &DeTable<'_>, path: &str, span: Range<usize>) {
        for (key, item) in table {
            let full = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
            match node.key(key.get_ref()) {
                Some(inner) => self.value(inner, item, &full),
                None => self.unknown_key(node, key.get_ref(), key.span()),
            }
        }
        for missing in node.required().filter(|name| !table.contains_key(*name)) {
            self.report("missing-key", Message::ConfigMissing.with([path.into(), missing.into()]), None, span.clone());
        }
    }

    fn unknown_key(&mut self, node: Node<'_>, key: &str, span: Range<usize>) {
        let known: Vec<_> = node.keys().map(|(name, _)| name).collect();
        let help = match nearest(key, known.iter().copied()) {
            Some(name) => Message::HelpDidYouMean.with([name.into()]),
            None => Message::HelpKnownKeys.with([known.join(", ").into()]),
        };
        self.report("unknown-key", Message::ConfigUnknownKey.with([key.into()]), Some(help), span);
    }

    fn value(&mut self, node: Node<'_>, item: &Item<'_>, path: &str) {
        let shape = node.shape();
        match (&shape, item.get_ref()) {
            (Shape::Table | Shape::Map, DeValue::Table(inner)) => self.table(node, inner, path, item.span()),
            (Shape::List, DeValue::Array(inner)) => {
                let Some(items) = node.items() else { return };
                for (index, element) in inner.iter().enumerate() {
                    self.value(items, element, &format!("{path}[{index}]"));
                }
            }
            (Shape::Integer(low, high), DeValue::Integer(number)) => {
                let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let inside = value.is_some_and(|v| low.is_none_or(|low| low <= v) && high.is_none_or(|high| v <= high));
                let high = high.filter(|high| !is_type_bound(*high));
                self.range(inside, &number.to_string(), (*low, high), item, path);
            }
            (Shape::Number(low, high), DeValue::Float(_) | DeValue::Integer(_)) => {
                let written = self.text.text().get(item.span()).unwrap_or_default().to_owned();
                let value = written.replace('_', "").parse::<f64>().ok();
                let inside = value.is_none_or(|v| low.is_none_or(|low| low <= v) && high.is_none_or(|high| v <= high));
                self.range(inside, &written, (*low, *high), item, path);
            }
            (Shape::Choice(choices), DeValue::String(chosen)) if !choices.contains(&chosen.as_ref()) => {
                let help = match nearest(chosen, choices.iter().copied()) {
                    Some(name) => Message::HelpDidYouMean.with([name.into()]),
                    None => Message::HelpChoices.with([choices.join(", ").into()]),
                };
                self.report(
                    "unknown-choice",
                    Message::ConfigNotAChoice.with([path.into(), chosen.as_ref().into()]),
                    Some(help),
                    item.span(),
                );
            }
            (Shape::Text | Shape::Choice(_), DeValue::String(_))
            | (Shape::Flag, DeValue::Boolean(_))
            | (Shape::Other, _) => {}
            (_, found) => {
                let headline =
                    Message::ConfigWrongType.with([path.into(), expected(&shape).into(), kind(found).into()]);
                self.report("wrong-type", headline, None, item.span());
            }
        }
    }

    fn range<N: std::fmt::Display + Copy>(
        &mut self,
        inside: bool,
        written: &str,
        bounds: (Option<N>, Option<N>),
        item: &Item<'_>,
        path: &str,
    ) {
        if inside {
            return;
        }
        let help = match bounds {
            (Some(low), Some(high)) => {
                Some(Message::HelpBetween.with([low.to_string().into(), high.to_string().into()]))
            }
            (Some(low), None) => Some(Message::HelpAtLeast.with([low.to_string().into()])),
            (None, Some(high)) => Some(Message::HelpAtMost.with([high.to_string().into()])),
            (None, None) => None,
        };
        self.report("out-of-range", Message::ConfigOutOfRange.with([path.into(), written.into()]), help, item.span());
    }
}

fn expected(shape: &Shape<'_>) -> Message {
    match shape {
        Shape::Integer(..) => Message::KindInteger,
        Shape::Number(..) => Message::KindNumber,
        Shape::Text | Shape::Choice(_) | Shape::Other => Message::KindText,
        Shape::Flag => Message::KindFlag,
        Shape::List => Message::KindList,
        Shape::Table | Shape::Map => Message::KindTable,
    }
}

fn kind(value: &DeValue<'_>) -> Message {
    match value {
        DeValue::String(_) => Message::KindText,
        DeValue::Integer(_) => Message::KindInteger,
        DeValue::Float(_) => Message::KindNumber,
        DeValue::Boolean(_) => Message::KindFlag,
        DeValue::Datetime(_) => Message::KindDate,
        DeValue::Array(_) => Message::KindList,
        DeValue::Table(_) => Message::KindTable,
    }
}

/// The known name that a person most likely meant, if one is near enough.
pub(crate) fn nearest<'n>(written: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = written.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= (written.len().max(name.len()) / 3).max(1))
        .map(|(_, name)| name)
}
