//! Changes to rules by the configuration: `[[rules.override]]`.

use std::sync::Arc;

use vigia_rules::Variables;
use vigia_rules::tuning::{self, Absent, Selection, Unmatched, Wanted};

use super::Problem;
use super::check::place;
use crate::diagnostic::{Diagnostic, Severity, Text};
use crate::language::Message;

/// A change to rules without touching their files. It is about the rules of which all that is named here holds: `sid`,
/// `classtype`, `metadata`, `file`; and does all that is said here to them: `enabled`, `priority`, `threshold`, `suppress`.
/// Of several overrides of a rule, the last has the last word.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// Signature ids and ranges of them: `[2100498, "2100500-2100599"]`.
    pub sid: Vec<Sids>,
    /// Short names of classes: `["misc-activity"]`.
    pub classtype: Vec<String>,
    /// Keys of `metadata`, with or without a value: `["confidence Low", "former_category"]`.
    pub metadata: Vec<String>,
    /// Names of rule files; `*` stands for any part: `["emerging-*.rules"]`.
    pub file: Vec<String>,
    /// `false` switches the rules off; `true` switches them on, also those that their file has commented out.
    pub enabled: Option<bool>,
    /// Their priority; 1 is the most severe.
    #[schemars(range(min = 1))]
    pub priority: Option<u8>,
    /// Their threshold, spelled as in a rule: `"type limit, track by_src, count 1, seconds 60"`. `"none"` takes it away.
    pub threshold: Option<String>,
    /// Addresses for which they do not alert: `["track by_src, ip 10.0.0.5", "track by_dst, ip [10.1.0.0/16,$HOME_NET]"]`.
    pub suppress: Vec<String>,
    /// Why; shown by `vigia rules list --effective`.
    pub reason: Option<String>,
}

/// A signature id, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Sids {
    /// One id.
    One(u32),
    /// `first-last`, both included.
    Range(String),
}

impl Sids {
    fn range(&self) -> Option<std::ops::RangeInclusive<u32>> {
        match self {
            Self::One(sid) => Some(*sid..=*sid),
            Self::Range(text) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                (first <= last).then_some(first..=last)
            }
        }
    }
}

impl Override {
    fn selection(&self) -> Selection {
        let told = |text: &String| match text.trim().split_once(char::is_whitespace) {
            Some((key, value)) => (key.to_owned(), Some(value.trim().to_owned())),
            None => (text.trim().to_owned(), None),
        };
        Selection {
            sids: self.sid.iter().filter_map(Sids::range).collect(),
            classtypes: self.classtype.clone(),
            metadata: self.metadata.iter().map(told).collect(),
            files: self.file.clone(),
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            enabled: self.enabled,
            priority: self.priority,
            threshold: self.threshold.clone(),
            suppress: self.suppress.clone(),
        }
    }

    /// As the rule compiler takes it; what is wrong with it has been told when the configuration was read.
    fn compile(&self, variables: &Variables) -> Result<tuning::Override, Vec<tuning::Mistake>> {
        tuning::Override::new(self.selection(), self.wanted(), variables)
    }
}

/// The overrides, as the rule compiler takes them.
pub(super) fn compile(overrides: &[Override], variables: &Variables) -> Vec<tuning::Override> {
    overrides.iter().filter_map(|it| it.compile(variables).ok()).collect()
}

/// What is wrong with overrides whatever the rules are.
pub(super) fn problems(overrides: &[Override], variables: &Variables) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, it) in overrides.iter().enumerate() {
        let base = format!("rules.override[{at}]");
        for (index, sids) in it.sid.iter().enumerate().filter(|(_, sids)| sids.range().is_none()) {
            let Sids::Range(text) = sids else { continue };
            let reason = Message::OverrideNoRange.with([text.as_str().into()]);
            problems.push(Problem { key: format!("{base}.sid[{index}]"), reason: reason.into() });
        }
        if it.selection().is_empty() && it.sid.is_empty() {
            problems.push(Problem { key: base.clone(), reason: Message::OverrideNamesNothing.into() });
        }
        if it.wanted() == Wanted::default() {
            problems.push(Problem { key: base.clone(), reason: Message::OverrideChangesNothing.into() });
        }
        for mistake in it.compile(variables).err().into_iter().flatten() {
            let index = mistake.index.map(|index| format!("[{index}]")).unwrap_or_default();
            problems.push(Problem { key: format!("{base}.{}{index}", mistake.key), reason: mistake.message.into() });
        }
    }
    problems
}

/// The text that the overrides were written in. It is no part of what they say: two are always equal.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(pub(super) Option<Arc<Text>>);

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Written {
    /// File and line of an override.
    pub(super) fn place(&self, at: usize) -> Option<(String, usize)> {
        let text = self.0.as_ref()?;
        let span = place(text, &format!("rules.override[{at}]"));
        Some((text.name().to_owned(), text.position(span.start).0))
    }

    /// What an override names in vain, as a warning at its place.
    pub(super) fn warn(&self, unmatched: &Unmatched) -> Diagnostic {
        let base = format!("rules.override[{}]", unmatched.by);
        let (headline, key) = match &unmatched.what {
            Absent::Sid(at, sid) => {
                (Message::OverrideNoSuchSid.with([sid.to_string().into()]), format!("{base}.sid[{at}]"))
            }
            Absent::Class(at, class) => {
                (Message::OverrideNoSuchClass.with([class.as_str().into()]), format!("{base}.classtype[{at}]"))
            }
            Absent::Rule => (Message::OverrideNoRule.into(), base),
        };
        let help = unmatched.nearest.as_ref().map(|name| Message::HelpDidYouMean.with([name.as_str().into()]));
        let place = self.0.as_ref().map(|text| (Arc::clone(text), place(text, &key)));
        Diagnostic { severity: Severity::Warning, code: "override-unmatched", headline, help, sids: Vec::new(), place }
    }
}
