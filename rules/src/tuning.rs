//! Changes to rules without touching their files: which rules an [`Override`] is about, and what it does to them.
//!
//! Overrides are applied in their order, so the last word on a rule is the last override's. A rule that its file has
//! commented out can be switched on: its text is uncommented in place, so that everything said of it has its true place.

use std::ops::RangeInclusive;

use vigia_parsers::Protocol;

use crate::engine::build::{Ready, compile_one};
use crate::engine::counter::Threshold;
use crate::engine::gate::{Suppressed, Suppression};
use crate::engine::{Action, Rule};
use crate::keyword::{Environment, Fate, Use, threshold};
use crate::language::header::{Resolver, address_list};
use crate::language::said::{Said, say};
use crate::language::syntax::{Word, statements};
use crate::language::{Problem, Source, Variables, nearest};

/// Which rules an override is about: those of which every kind of name given here holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Signature ids, any of which; all rules when empty.
    pub sids: Vec<RangeInclusive<u32>>,
    /// Short names of classes, any of which; all rules when empty.
    pub classtypes: Vec<String>,
    /// Keys and values of `metadata`, any of which; without a value, any value. All rules when empty.
    pub metadata: Vec<(String, Option<String>)>,
    /// Names of rule files with `*` for any part, any of which; all rules when empty. A name without a folder is the
    /// file's in any folder.
    pub files: Vec<String>,
}

impl Selection {
    /// Does it name anything at all?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Is the rule among those selected?
    pub fn has(&self, rule: &Rule, variables: &Variables) -> bool {
        let class = |name: &String| variables.classifications.get(name).is_some_and(|class| class.0 == rule.category);
        let told = |(key, value): &(String, Option<String>)| {
            let mut entries = rule.metadata.iter().filter(|entry| entry.0 == *key);
            entries.any(|entry| value.as_ref().is_none_or(|value| entry.1.contains(value)))
        };
        any(&self.sids, |sids| sids.contains(&rule.sid))
            && any(&self.classtypes, class)
            && any(&self.metadata, told)
            && any(&self.files, |file| is_of(&rule.origin.0, file))
    }
}

/// Does any of `list` fulfil `test`? An empty list asks for nothing.
fn any<T>(list: &[T], test: impl FnMut(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(test)
}

/// Is `path` what `pattern` names: the whole path, or its last parts?
fn is_of(path: &str, pattern: &str) -> bool {
    let depth = pattern.matches('/').count();
    let tail = path.rmatch_indices('/').nth(depth).map_or(path, |(at, _)| &path[at + 1..]);
    glob(pattern, tail) || glob(pattern, path)
}

/// Does `text` match a pattern in which `*` stands for any characters?
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.len() >= last.len() && text.ends_with(last)
}

/// What an override does, as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Switch off, or on though its file has it commented out.
    pub enabled: Option<bool>,
    /// Another priority.
    pub priority: Option<u8>,
    /// Another `threshold`, spelled as in a rule; `none` takes the rule's away.
    pub threshold: Option<String>,
    /// No alerts for addresses: `track by_src, ip 10.0.0.0/8`.
    pub suppress: Vec<String>,
}

/// A change to some rules.
#[derive(Debug, Clone)]
pub struct Override {
    selection: Selection,
    enabled: Option<bool>,
    priority: Option<u8>,
    /// Within: none takes the threshold away.
    threshold: Option<Option<Threshold>>,
    suppressions: Vec<Suppression>,
    wanted: Wanted,
}

/// Something wrong in an override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key: `threshold`, `suppress`.
    pub key: &'static str,
    /// Index within the key's list.
    pub index: Option<usize>,
    /// What is wrong, and what was expected.
    pub message: Said,
}

impl Override {
    /// An override that does what is wanted to the rules selected.
    pub fn new(selection: Selection, wanted: Wanted, variables: &Variables) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut wrong = |key, index, problem: Problem| {
            let message = match problem.help {
                Some(help) => say!("{} ({})", problem.message, help),
                None => problem.message,
            };
            mistakes.push(Mistake { key, index, message });
        };
        let threshold = match wanted.threshold.as_deref().map(str::trim) {
            None => None,
            Some("none") => Some(None),
            Some(text) => {
                let word = |text| Word { text, start: 0 };
                let read = threshold::read(Use { name: word("threshold"), value: word(text) });
                read.map_err(|problem| wrong("threshold", None, problem)).ok().map(Some)
            }
        };
        let mut suppressions = Vec::new();
        for (index, text) in wanted.suppress.iter().enumerate() {
            match suppression(Word { text, start: 0 }, variables) {
                Ok(suppression) => suppressions.push(suppression),
                Err(problem) => wrong("suppress", Some(index), problem),
            }
        }
        let (enabled, priority) = (wanted.enabled, wanted.priority);
        if mistakes.is_empty() {
            Ok(Self { selection, enabled, priority, threshold, suppressions, wanted })
        } else {
            Err(mistakes)
        }
    }

    /// Does it switch anything on?
    fn enables(&self) -> bool {
        self.enabled == Some(true)
    }
}

/// `track by_src|by_dst|by_either, ip ADDRESSES`.
fn suppression(word: Word<'_>, variables: &Variables) -> Result<Suppression, Problem> {
    let wrong = || {
        Problem::new("invalid-value", say!("`{}` is not a suppression", word.text), word.span())
            .help(say!("expected `track by_src|by_dst|by_either, ip ADDRESSES`"))
    };
    let (track, addresses) = word.split_once(',').ok_or_else(wrong)?;
    let end = match track.text.strip_prefix("track").map(str::trim) {
        Some("by_src") => Suppressed::Source,
        Some("by_dst") => Suppressed::Destination,
        Some("by_either") => Suppressed::Either,
        _ => return Err(wrong()),
    };
    let list = addresses.text.strip_prefix("ip").filter(|rest| rest.starts_with([' ', '\t'])).ok_or_else(wrong)?;
    Ok(Suppression { end, addresses: address_list(variables, addresses.part(list).trim())? })
}

/// One thing that an override did to a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The rule: generator and signature id.
    pub rule: (u32, u32),
    /// Its message; a rule that is switched off is not in the engine.
    pub message: String,
    /// File and line of the rule.
    pub origin: (std::sync::Arc<str>, u32),
    /// Index of the override.
    pub by: usize,
    /// What it did.
    pub what: Effect,
}

/// What an override did to a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Switched it on.
    Enabled,
    /// Switched it off.
    Disabled,
    /// Gave it another priority.
    Priority {
        /// The one before.
        from: u8,
        /// The one now.
        to: u8,
    },
    /// Gave it this threshold; `none` took its own away.
    Threshold(String),
    /// Keeps its alerts for these addresses back.
    Suppressed(String),
}

/// Something that an override names and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// Index of the override.
    pub by: usize,
    /// What it names.
    pub what: Absent,
    /// What comes nearest to it.
    pub nearest: Option<String>,
}

/// What an override names that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// No rule has the signature id at this index.
    Sid(usize, u32),
    /// There is no class of the name at this index.
    Class(usize, String),
    /// No rule is what the override asks for.
    Rule,
}

/// Applies the overrides to the rules that compiled. Rules that end up switched off are taken out.
pub(crate) fn apply(
    ready: &mut Vec<Ready>,
    variables: &Variables,
    overrides: &[Override],
) -> (Vec<Change>, Vec<Unmatched>) {
    if overrides.is_empty() {
        return Default::default();
    }
    let unmatched = unmatched(ready, variables, overrides);
    let mut changes = Vec::new();
    ready.retain_mut(|one| {
        let mut off = false;
        for (by, it) in overrides.iter().enumerate() {
            if !it.selection.has(&one.rule, variables) {
                continue;
            }
            let identity = ((one.rule.gid, one.rule.sid), one.rule.message.clone(), one.rule.origin.clone());
            let mut change = |what| {
                let (rule, message, origin) = identity.clone();
                changes.push(Change { rule, message, origin, by, what });
            };
            match it.enabled {
                Some(true) if off || one.commented => change(Effect::Enabled),
                Some(false) if !off => change(Effect::Disabled),
                _ => {}
            }
            off = it.enabled.map_or(off, |enabled| !enabled);
            if let Some(to) = it.priority.filter(|&to| to != one.rule.priority) {
                change(Effect::Priority { from: one.rule.priority, to });
                one.rule.priority = to;
            }
            if let Some(threshold) = it.threshold {
                change(Effect::Threshold(it.wanted.threshold.clone().unwrap_or_default()));
                one.program.threshold = threshold;
            }
            for (text, suppression) in it.wanted.suppress.iter().zip(&it.suppressions) {
                change(Effect::Suppressed(text.clone()));
                one.program.suppressions.push(suppression.clone());
            }
        }
        one.rule.gated = one.program.is_gated();
        !off
    });
    (changes, unmatched)
}

/// What overrides name in vain. Ranges are not held to be complete.
fn unmatched(ready: &[Ready], variables: &Variables, overrides: &[Override]) -> Vec<Unmatched> {
    let mut known: Vec<u32> = ready.iter().map(|one| one.rule.sid).collect();
    known.sort_unstable();
    let mut found = Vec::new();
    for (by, it) in overrides.iter().enumerate() {
        let before = found.len();
        for (at, sids) in it.selection.sids.iter().enumerate() {
            let sid = *sids.start();
            if sids.end() == sids.start() && known.binary_search(&sid).is_err() {
                found.push(Unmatched { by, what: Absent::Sid(at, sid), nearest: nearest_number(&known, sid) });
            }
        }
        for (at, class) in it.selection.classtypes.iter().enumerate() {
            if !variables.classifications.contains_key(class) {
                let near = nearest(class, variables.classifications.keys().map(String::as_str)).map(str::to_owned);
                found.push(Unmatched { by, what: Absent::Class(at, class.clone()), nearest: near });
            }
        }
        if found.len() == before && !ready.iter().any(|one| it.selection.has(&one.rule, variables)) {
            found.push(Unmatched { by, what: Absent::Rule, nearest: None });
        }
    }
    found
}

/// The number nearest to `wanted` in a sorted list.
fn nearest_number(known: &[u32], wanted: u32) -> Option<String> {
    let at = known.partition_point(|&other| other < wanted);
    let around = known.get(at.saturating_sub(1)..known.len().min(at + 1)).unwrap_or_default();
    around.iter().copied().min_by_key(|other| other.abs_diff(wanted)).map(|number| number.to_string())
}

/// The sources with the rules uncommented that an override switches on; none when there is no such.
pub(crate) fn enabled(
    sources: &[Source],
    variables: &Variables,
    protocols: &'static [&'static Protocol],
    overrides: &[Override],
) -> Option<Vec<Source>> {
    overrides.iter().any(Override::enables).then(|| {
        let environment = Environment::new(variables, protocols);
        let mut resolver = Resolver::new(variables);
        let mut wanted = |source: &Source, text: &str| {
            let Some(statement) = statements(text).next() else { return false };
            let Ok(Fate::Ready(mut one)) = compile_one(statement, &environment, &mut resolver, &mut Vec::new()) else {
                return false;
            };
            one.rule.origin.0 = source.name.clone();
            overrides.iter().any(|it| it.enables() && it.selection.has(&one.rule, variables))
        };
        sources.iter().map(|source| uncomment(source, |text| wanted(source, text))).collect()
    })
}

/// The source with those of its commented-out rules uncommented that are `wanted`; every byte keeps its offset.
fn uncomment(source: &Source, mut wanted: impl FnMut(&str) -> bool) -> Source {
    let mut text = String::with_capacity(source.text.len());
    for line in source.text.split_inclusive('\n') {
        let marks = line.len() - line.trim_start_matches([' ', '\t', '#']).len();
        let (head, rule) = line.split_at(marks);
        if head.contains('#') && begins_a_rule(rule) && wanted(rule) {
            // What was a comment is marked by what stands before it: see `is_commented`.
            text.extend(head.chars().map(|c| if c == '#' { COMMENT } else { c }));
            text.push_str(rule);
        } else {
            text.push_str(line);
        }
    }
    Source { name: source.name.clone(), text: text.into() }
}

/// What takes the place of `#` before a rule that is switched on: white space that nobody types.
const COMMENT: char = '\u{c}';

/// Was the rule that stands at `start` of a source's text commented out in its file?
pub(crate) fn is_commented(text: &str, start: usize) -> bool {
    text.get(..start).is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with(COMMENT))
}

fn begins_a_rule(text: &str) -> bool {
    let action = text.split_whitespace().next().unwrap_or_default();
    let named = |action: &str| ["alert", "pass", "drop", "reject", "config"].contains(&action);
    (named(action) || action.starts_with("reject")) && text.contains("sid:")
}

impl Action {
    /// As rules spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Alert => "alert",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;

    const RULES: &str = "alert tcp any any -> any 80 (msg:\"one\"; classtype:misc-attack; metadata:os linux; sid:1;)\n\
                         # alert tcp any any -> any 81 (msg:\"two\"; classtype:bad-unknown; sid:2;)\n\
                         #a remark about sid:3\n\
                         alert tcp any any -> any 82 (msg:\"four\"; sid:40; priority:2;)\n";

    fn source() -> Source {
        Source { name: "/etc/rules/plant.rules".into(), text: RULES.into() }
    }

    fn tuned(overrides: &[(Selection, Wanted)]) -> crate::Compiled {
        let variables = Variables::standard();
        let made = overrides.iter().cloned().map(|(selection, wanted)| Override::new(selection, wanted, &variables));
        Engine::compile_tuned(&[source()], &variables, &made.collect::<Result<Vec<_>, _>>().expect("overrides"))
    }

    fn sids(list: &[u32]) -> Selection {
        Selection { sids: list.iter().map(|&sid| sid..=sid).collect(), ..Selection::default() }
    }

    fn in_force(compiled: &crate::Compiled) -> Vec<u32> {
        let mut sids: Vec<u32> = compiled.engine.rules().iter().map(|rule| rule.sid).collect();
        sids.sort_unstable();
        sids
    }

    #[test]
    fn rules_are_switched_off_and_on_and_the_last_word_counts() {
        let switch = |enabled| Wanted { enabled: Some(enabled), ..Wanted::default() };
        let all = Selection { files: vec!["plant.*".to_owned()], ..Selection::default() };
        let compiled = tuned(&[(all.clone(), switch(false)), (sids(&[1, 2]), switch(true))]);
        assert_eq!(in_force(&compiled), [1, 2]);
        let two = compiled.engine.rules().iter().find(|rule| rule.sid == 2).expect("switched on");
        assert_eq!(two.origin, ("/etc/rules/plant.rules".into(), 2));
        assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
        let done: Vec<_> = compiled.changes.iter().map(|change| (change.rule.1, change.by, &change.what)).collect();
        assert!(done.contains(&(2, 1, &Effect::Enabled)) && done.contains(&(40, 0, &Effect::Disabled)), "{done:?}");
    }

    #[test]
    fn rules_are_selected_by_class_metadata_and_file() {
        let off = Wanted { enabled: Some(false), ..Wanted::default() };
        let class = Selection { classtypes: vec!["misc-attack".to_owned()], ..Selection::default() };
        assert_eq!(in_force(&tuned(&[(class, off.clone())])), [40]);
        let os = |value: Option<&str>| Selection {
            metadata: vec![("os".to_owned(), value.map(str::to_owned))],
            ..Selection::default()
        };
        assert_eq!(in_force(&tuned(&[(os(None), off.clone())])), [40]);
        assert_eq!(in_force(&tuned(&[(os(Some("windows")), off.clone())])), [1, 40]);
        let elsewhere = Selection { files: vec!["other.rules".to_owned()], ..Selection::default() };
        assert_eq!(in_force(&tuned(&[(elsewhere, off)])), [1, 40]);
    }

    #[test]
    fn priority_threshold_and_suppression_are_changed_and_told() {
        let wanted = Wanted {
            priority: Some(1),
            threshold: Some("type limit, track by_src, count 1, seconds 60".to_owned()),
            suppress: vec!["track by_src, ip $HOME_NET".to_owned()],
            ..Wanted::default()
        };
        let before = tuned(&[]);
        let compiled = tuned(&[(sids(&[40]), wanted)]);
        let rule = compiled.engine.rules().iter().find(|rule| rule.sid == 40).expect("there");
        assert!(rule.priority == 1 && rule.gated);
        assert_eq!(compiled.changes.len(), 3);
        assert_eq!(compiled.changes[0].what, Effect::Priority { from: 2, to: 1 });
        assert_ne!(compiled.engine.hash(), before.engine.hash());
    }

    #[test]
    fn what_is_named_in_vain_is_told_with_what_comes_nearest() {
        let wanted = Wanted { priority: Some(1), ..Wanted::default() };
        let class = Selection { classtypes: vec!["misc-atack".to_owned()], ..Selection::default() };
        let file = Selection { files: vec!["absent.rules".to_owned()], ..Selection::default() };
        let compiled = tuned(&[(sids(&[41]), wanted.clone()), (class, wanted.clone()), (file, wanted)]);
        let named = |by, what, nearest: Option<&str>| Unmatched { by, what, nearest: nearest.map(str::to_owned) };
        let expected = [
            named(0, Absent::Sid(0, 41), Some("40")),
            named(1, Absent::Class(0, "misc-atack".to_owned()), Some("misc-attack")),
            named(2, Absent::Rule, None),
        ];
        assert_eq!(compiled.unmatched, expected);
    }

    #[test]
    fn mistakes_are_named_with_their_key() {
        let wanted = Wanted {
            threshold: Some("type limmit, track by_src, count 1, seconds 60".to_owned()),
            suppress: vec!["track by_src, ip 10.0.0.1".to_owned(), "by_src 10.0.0.1".to_owned()],
            ..Wanted::default()
        };
        let mistakes = Override::new(Selection::default(), wanted, &Variables::standard()).expect_err("wrong");
        let keys: Vec<_> = mistakes.iter().map(|mistake| (mistake.key, mistake.index)).collect();
        assert_eq!(keys, [("threshold", None), ("suppress", Some(1))]);
        assert!(mistakes[0].message.to_string().contains("expected limit"), "{}", mistakes[0].message);
    }

    #[test]
    fn file_patterns_match_names_and_ends_of_paths() {
        for (path, pattern, expected) in [
            ("/etc/rules/a.rules", "a.rules", true),
            ("/etc/rules/a.rules", "*.rules", true),
            ("/etc/rules/a.rules", "rules/a.*", true),
            ("/etc/rules/a.rules", "/etc/*", true),
            ("/etc/rules/a.rules", "b*", false),
            ("a.rules", "a*s", true),
            ("a.rules", "a*x*s", false),
        ] {
            assert_eq!(is_of(path, pattern), expected, "{path} {pattern}");
        }
    }
}
