//! Reading `classification.config`: the classes of rules, each with its category and priority.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Text};
use crate::language::Message;

/// Adds the classes of lines that read `config classification: name,category,priority`. Lines that are none are
/// diagnostics, and the others count.
pub(super) fn read(text: &Arc<Text>, classes: &mut BTreeMap<String, (String, u8)>) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut at = 0;
    for line in text.text().split('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            match entry(content) {
                Some((name, class)) => {
                    classes.insert(name, class);
                }
                None => diagnostics.push(
                    Diagnostic::error("invalid-classification", Message::InvalidClassification)
                        .help(Message::HelpClassification)
                        .at(text, at..at + line.trim_end().len()),
                ),
            }
        }
        at += line.len() + 1;
    }
    diagnostics
}

fn entry(line: &str) -> Option<(String, (String, u8))> {
    let fields = line.strip_prefix("config")?.trim_start().strip_prefix("classification:")?;
    let (name, rest) = fields.split_once(',')?;
    let (category, priority) = rest.rsplit_once(',')?;
    let (name, category) = (name.trim(), category.trim());
    let priority = priority.trim().parse().ok().filter(|priority| *priority > 0)?;
    (!name.is_empty() && !category.is_empty()).then(|| (name.into(), (category.into(), priority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_added_and_bad_lines_named() {
        let text = Text::new(
            "classes",
            "# mine\nconfig classification: plant, Plant, and its parts,1\nnonsense\nconfig classification: x,Else, 0\r\n",
        );
        let mut classes = BTreeMap::from([("known".to_owned(), ("Known".to_owned(), 3))]);
        let diagnostics = read(&text, &mut classes);
        assert_eq!(classes["plant"], ("Plant, and its parts".to_owned(), 1));
        assert_eq!(classes.len(), 2, "a priority of 0 is refused");
        let places: Vec<_> = diagnostics.iter().map(|d| d.place.as_ref().unwrap()).collect();
        let positions: Vec<_> = places.iter().map(|(text, span)| text.position(span.start)).collect();
        assert_eq!(positions, [(3, 1), (4, 1)]);
    }
}
