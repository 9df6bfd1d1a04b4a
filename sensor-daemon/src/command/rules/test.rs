//! `vigia rules test`: the tests that stand beside rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{ConfigArgument, Context, Outcome, print};
use crate::config::rules::{Ruleset, Settings};
use crate::config::{Config, Loaded};
use crate::diagnostic::{Diagnostic, Text};
use crate::language::{Language, Message, Phrase};
use crate::sensor::trial;

/// Arguments of `vigia rules test`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A test file, NAME.test.toml, stands beside the rules. Paths in it are relative to it:

  rules = [\"mine.rules\"]                # files, folders or patterns; the folder of the file by default
  variables = { HOME_NET = \"10.0.0.0/8\" } # addresses and ports

  [[case]]
  about = \"a coil is written\"
  capture = \"write-coil.pcap\"
  expected = { 1000001 = 1 }            # alerts by sid: these and no others; \"2..\" is two or more
  alerts = [{ sid = 1000001, count = 1, fields = { src_ip = \"10.0.0.9\", \"alert.severity\" = 1 } }]

Exit codes:
  0  all passed
  1  a test failed, or a file is at fault

Example:
  vigia rules test rules/signatures
  vigia rules test mine.test.toml --json")]
pub(super) struct Test {
    /// Folders in which, and below which, tests are looked for; or test files
    #[arg(value_name = "DIR", required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Print the outcomes as JSON
    #[arg(long)]
    json: bool,
    /// Name the tests that passed as well
    #[arg(long)]
    all: bool,
}

/// A test file. What it holds besides is for others.
#[derive(Debug, Deserialize)]
struct Suite {
    #[serde(default)]
    rules: Paths,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    case: Vec<Case>,
}

/// One path or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paths {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Default for Paths {
    fn default() -> Self {
        Self::One(PathBuf::from("."))
    }
}

impl Paths {
    fn as_slice(&self) -> &[PathBuf] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Case {
    #[serde(default)]
    about: String,
    capture: PathBuf,
    /// Alerts by signature id: these and no others.
    expected: Option<BTreeMap<String, Count>>,
    /// Alerts with fields.
    #[serde(default)]
    alerts: Vec<Alerts>,
}

/// Alerts of a rule that have these fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alerts {
    sid: u32,
    #[serde(default)]
    count: Count,
    #[serde(default)]
    fields: BTreeMap<String, toml::Value>,
}

/// How many: exactly, or from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
struct Count {
    least: u64,
    most: u64,
}

impl Default for Count {
    /// One or more.
    fn default() -> Self {
        Self { least: 1, most: u64::MAX }
    }
}

impl TryFrom<toml::Value> for Count {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let wrong = || format!("`{value}` is no count: expected a number, \"2..\", \"..3\" or \"2..3\"");
        if let Some(number) = value.as_integer() {
            let number = u64::try_from(number).map_err(|_| wrong())?;
            return Ok(Self { least: number, most: number });
        }
        let (least, most) = value.as_str().and_then(|text| text.split_once("..")).ok_or_else(wrong)?;
        let bound = |text: &str, open| match text.trim() {
            "" => Ok(open),
            text => text.parse().map_err(|_| wrong()),
        };
        Ok(Self { least: bound(least, 0)?, most: bound(most, u64::MAX)? })
    }
}

impl Count {
    fn has(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number)
    }

    fn text(self) -> String {
        match (self.least, self.most) {
            (least, most) if least == most => least.to_string(),
            (least, u64::MAX) => format!("{least}.."),
            (least, most) => format!("{least}..{most}"),
        }
    }
}

/// What became of one case.
struct Verdict {
    file: String,
    about: String,
    capture: PathBuf,
    /// What is not as expected.
    differences: Vec<Difference>,
}

/// Something that is not as expected.
enum Difference {
    Count {
        sid: u32,
        message: String,
        expected: Count,
        raised: u64,
    },
    Fields {
        sid: u32,
        expected: Count,
        wanted: BTreeMap<String, Value>,
        raised: u64,
        nearest: Option<BTreeMap<String, Value>>,
    },
    Capture(Phrase),
    Sid(u32),
}

impl Test {
    pub(super) fn execute(&self, loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        let (mut verdicts, mut diagnostics) = (Vec::new(), Vec::new());
        for path in &self.paths {
            let files = find(path);
            if files.is_empty() {
                let name = path.display().to_string();
                diagnostics.push(Diagnostic::error("no-tests", Message::TestNone.with([name.into()])));
            }
            for file in files {
                match run(&file, &loaded.config)? {
                    Ok(found) => verdicts.extend(found),
                    Err(found) => diagnostics.extend(found),
                }
            }
        }
        let failed = verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).count();
        let passed = verdicts.len() - failed;
        if self.json {
            let cases: Vec<Value> = verdicts.iter().map(Verdict::json).collect();
            let faults: Vec<Value> = diagnostics.iter().map(Diagnostic::json).collect();
            let answer = json!({ "passed": passed, "failed": failed, "cases": cases, "diagnostics": faults });
            print(&format!("{answer:#}\n"))?;
        } else {
            super::super::report(&diagnostics, context);
            let shown = verdicts.iter().filter(|verdict| self.all || !verdict.differences.is_empty());
            let text: String = shown.map(|verdict| verdict.text(context.language)).collect();
            let sum = Message::TestSum.with([passed.into(), failed.into()]).text(context.language);
            print(&format!("{text}{sum}\n"))?;
        }
        let good = failed == 0 && !diagnostics.iter().any(Diagnostic::is_error);
        Ok(if good { Outcome::Done } else { Outcome::Failed })
    }
}

/// The test files that a path stands for, sorted. The bound on depth keeps links that lead back from looping.
fn find(path: &Path) -> Vec<PathBuf> {
    fn below(folder: &Path, depth: u8, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() && depth < 8 {
                below(&path, depth + 1, found);
            } else if path.to_str().is_some_and(|name| name.ends_with(".test.toml")) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    if path.is_dir() {
        below(path, 0, &mut found);
    } else if path.is_file() {
        found.push(path.to_owned());
    }
    found.sort();
    found
}

/// Runs the cases of a file: one replay of all their captures, each of which is a session of its own. The inner error is
/// what is wrong in the file or its rules.
fn run(file: &Path, config: &Config) -> anyhow::Result<Result<Vec<Verdict>, Vec<Diagnostic>>> {
    let (suite, text) = match read(file) {
        Ok(read) => read,
        Err(diagnostic) => return Ok(Err(vec![*diagnostic])),
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let ruleset = settings(&suite, folder, &config.rules).load();
    if ruleset.has_errors() {
        return Ok(Err(ruleset.diagnostics));
    }
    if suite.case.is_empty() {
        return Ok(Err(vec![Diagnostic::error("no-cases", Message::TestNoCase).at(&text, 0..0)]));
    }
    let captures: BTreeSet<PathBuf> = suite.case.iter().map(|case| folder.join(&case.capture)).collect();
    let captures: Vec<PathBuf> = captures.into_iter().collect();
    let Ruleset { engine, .. } = ruleset;
    let engine = Arc::new(engine);
    let done = trial(config, Arc::clone(&engine), &captures, None)?;
    let faults: Vec<(PathBuf, Phrase)> = captures
        .iter()
        .filter_map(|capture| {
            let name = capture.display().to_string();
            let fault = done.faults.iter().find(|fault| fault.to_string().contains(&name))?;
            Some((capture.clone(), fault.phrase()))
        })
        .collect();
    let messages: BTreeMap<u32, String> = engine.rules().iter().map(|rule| (rule.sid, rule.message.clone())).collect();
    let verdict = |case: &Case| {
        let capture = folder.join(&case.capture);
        let name = capture.display().to_string();
        let raised: Vec<&Value> = done.alerts.iter().filter(|alert| alert["pcap_filename"] == *name).collect();
        let mut differences = case.differences(&raised, &messages);
        let fault = faults.iter().find(|fault| fault.0 == capture);
        differences.extend(fault.map(|fault| Difference::Capture(fault.1.clone())));
        Verdict { file: text.name().to_owned(), about: case.about.clone(), capture: case.capture.clone(), differences }
    };
    Ok(Ok(suite.case.iter().map(verdict).collect()))
}

fn read(file: &Path) -> Result<(Suite, Arc<Text>), Box<Diagnostic>> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        let headline = Message::TestUnreadable.with([format!("{name}: {error}").into()]);
        Box::new(Diagnostic::error("tests-unreadable", headline))
    })?;
    let text = Text::new(name, text);
    match toml::from_str(text.text()) {
        Ok(suite) => Ok((suite, text)),
        Err(error) => {
            let headline = Message::TestUnreadable.with([error.message().into()]);
            Err(Box::new(Diagnostic::error("tests-unreadable", headline).at(&text, error.span().unwrap_or(0..0))))
        }
    }
}

/// The settings of the rules of a test file: those of the configuration, with its own files and variables.
fn settings(suite: &Suite, folder: &Path, base: &Settings) -> Settings {
    let mut settings = base.clone();
    settings.files = suite.rules.as_slice().iter().map(|path| folder.join(path)).collect();
    for (name, value) in &suite.variables {
        let ports = settings.ports.contains_key(name) || name.ends_with("_PORTS") || name.ends_with("_PORT");
        let table = if ports { &mut settings.ports } else { &mut settings.addresses };
        table.insert(name.clone(), value.clone());
    }
    settings
}

impl Case {
    fn differences(&self, raised: &[&Value], messages: &BTreeMap<u32, String>) -> Vec<Difference> {
        let mut differences = Vec::new();
        if let Some(expected) = &self.expected {
            let sid_of = |alert: &&Value| alert["alert"]["signature_id"].as_u64().unwrap_or(0) as u32;
            let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
            raised.iter().for_each(|alert| *counts.entry(sid_of(alert)).or_default() += 1);
            let wanted: BTreeMap<u32, Count> =
                expected.iter().filter_map(|(sid, count)| Some((sid.parse().ok()?, *count))).collect();
            let sids: BTreeSet<u32> = counts.keys().chain(wanted.keys()).copied().collect();
            for sid in sids {
                let expected = wanted.get(&sid).copied().unwrap_or(Count { least: 0, most: 0 });
                let raised = counts.get(&sid).copied().unwrap_or(0);
                if !expected.has(raised) {
                    let message = messages.get(&sid).cloned().unwrap_or_default();
                    differences.push(Difference::Count { sid, message, expected, raised });
                }
            }
            let unknown = wanted.iter().filter(|(sid, count)| !messages.contains_key(sid) && count.least > 0);
            differences.extend(unknown.map(|(sid, _)| Difference::Sid(*sid)));
        }
        differences.extend(self.alerts.iter().filter_map(|alerts| alerts.difference(raised)));
        differences
    }
}

impl Alerts {
    fn difference(&self, raised: &[&Value]) -> Option<Difference> {
        let wanted: BTreeMap<String, Value> = self
            .fields
            .iter()
            .map(|(path, value)| (path.clone(), serde_json::to_value(value).unwrap_or_default()))
            .collect();
        let ours: Vec<&&Value> = raised.iter().filter(|alert| alert["alert"]["signature_id"] == self.sid).collect();
        let differing = |alert: &Value| wanted.iter().filter(|(path, value)| !is(field(alert, path), value)).count();
        let count = ours.iter().filter(|alert| differing(alert) == 0).count() as u64;
        if self.count.has(count) {
            return None;
        }
        let nearest = ours.iter().map(|alert| (differing(alert), alert)).filter(|near| near.0 > 0);
        let nearest = nearest.min_by_key(|near| near.0).map(|(_, alert)| {
            let differing = wanted.iter().filter(|(path, value)| !is(field(alert, path), value));
            differing.map(|(path, _)| (path.clone(), field(alert, path).clone())).collect()
        });
        Some(Difference::Fields { sid: self.sid, expected: self.count, wanted, raised: count, nearest })
    }
}

/// The value at a path with dots; null when there is none.
fn field<'v>(event: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(event, |value, key| match key.parse::<usize>() {
        Ok(index) if value.is_array() => &value[index],
        _ => &value[key],
    })
}

/// Is a value as expected? A list is when it holds all that is expected of it.
fn is(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Array(values), Value::Array(expected)) => {
            expected.iter().all(|expected| values.iter().any(|value| is(value, expected)))
        }
        (Value::Object(values), Value::Object(expected)) => {
            expected.iter().all(|(key, expected)| values.get(key).is_some_and(|value| is(value, expected)))
        }
        _ => value == expected || value.as_f64().is_some_and(|number| expected.as_f64() == Some(number)),
    }
}

fn shown(fields: &BTreeMap<String, Value>) -> String {
    fields.iter().map(|(path, value)| format!("{path} = {value}")).collect::<Vec<_>>().join(", ")
}

impl Difference {
    fn phrases(&self) -> Vec<Phrase> {
        match self {
            Self::Count { sid, message, expected, raised } => {
                let name = format!("{sid} {message}");
                vec![Message::TestCount.with([
                    name.trim_end().into(),
                    expected.text().into(),
                    raised.to_string().into(),
                ])]
            }
            Self::Fields { sid, expected, wanted, raised, nearest } => {
                let (sid, raised) = (sid.to_string().into(), raised.to_string().into());
                let first = Message::TestFields.with([sid, expected.text().into(), shown(wanted).into(), raised]);
                let near = nearest.as_ref().map(|fields| Message::TestNearest.with([shown(fields).into()]));
                std::iter::once(first).chain(near).collect()
            }
            Self::Capture(fault) => vec![Message::TestNoCapture.with([fault.clone().into()])],
            Self::Sid(sid) => vec![Message::TestUnknownSid.with([sid.to_string().into()])],
        }
    }

    fn json(&self) -> Value {
        let text: Vec<String> = self.phrases().iter().map(|phrase| phrase.text(Language::English)).collect();
        let text = text.join("; ");
        match self {
            Self::Count { sid, expected, raised, .. } => {
                json!({ "kind": "count", "sid": sid, "expected": expected.text(), "raised": raised, "text": text })
            }
            Self::Fields { sid, expected, wanted, raised, nearest } => json!({
                "kind": "fields",
                "sid": sid,
                "expected": expected.text(),
                "raised": raised,
                "fields": wanted,
                "nearest": nearest,
                "text": text,
            }),
            Self::Capture(_) => json!({ "kind": "capture", "text": text }),
            Self::Sid(sid) => json!({ "kind": "unknown_sid", "sid": sid, "text": text }),
        }
    }
}

impl Verdict {
    fn name(&self) -> String {
        let about = if self.about.is_empty() { String::new() } else { format!(": {}", self.about) };
        format!("{} {}{about}", self.file, self.capture.display())
    }

    fn text(&self, language: Language) -> String {
        let message = if self.differences.is_empty() { Message::TestPassed } else { Message::TestFailed };
        let mut out = message.with([self.name().into()]).text(language) + "\n";
        for phrase in self.differences.iter().flat_map(Difference::phrases) {
            out.push_str(&format!("        {}\n", phrase.text(language)));
        }
        out
    }

    fn json(&self) -> Value {
        json!({
            "file": self.file,
            "capture": self.capture,
            "about": self.about,
            "passed": self.differences.is_empty(),
            "differences": self.differences.iter().map(Difference::json).collect::<Vec<_>>(),
        })
    }
}
