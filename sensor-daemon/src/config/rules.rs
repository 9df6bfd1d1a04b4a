//! Rules: which files, what their variables stand for, and loading them into an engine.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use vigia_rules::language::{Source, Variables};
use vigia_rules::tuning::Change;
use vigia_rules::{Compiled, Engine};

use super::Problem;
use super::lists::read_lists;
use super::overrides::{self, Override, Written};
use crate::diagnostic::{Diagnostic, Severity, Text};
use crate::language::{Message, Phrase};

/// The code of the diagnostic that no file is there for a name or pattern.
pub(crate) const NO_RULE_FILE: &str = "no-rule-file";

/// Rules: which files, and what their variables stand for.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Rule files. `*` and `?` stand for parts of a name; a folder stands for the `.rules` files below it. Relative to the folder
    /// of the configuration file.
    pub files: Vec<PathBuf>,
    /// A file in the format of `classification.config`. Its classes are added to those that Vigía knows.
    /// A folder of `rules.files` that holds a `classification.config` brings its own.
    pub classifications: Option<PathBuf>,
    /// Start with no rules that are at fault: an error in any of them keeps the sensor from starting, and a reload from
    /// taking place. Otherwise such rules are left out and counted (`vigia_rules_failed`), and all others load.
    pub strict: bool,
    /// How much may be done to inspect one packet, piece of a stream or message: a rule tried, a place of one of its
    /// contents, 32 bytes searched are a step each; an expression takes as many as it may cost at the worst. What is left
    /// then is not tried, and `vigia_inspections_cut_total` counts it. So no packet can stall the sensor. 0 sets no bound.
    pub inspection_steps: u64,
    /// Changes to rules without touching their files.
    #[serde(rename = "override")]
    pub overrides: Vec<Override>,
    /// A file in the format of `reference.config`. Its systems are added to those that Vigía knows.
    pub references: Option<PathBuf>,
    /// A file in the format of `threshold.config`: `suppress`, `event_filter` and `rate_filter`.
    pub thresholds: Option<PathBuf>,
    /// The categories of reputation (`number,short name,description`) that `iprep` names.
    pub reputation_categories: Option<PathBuf>,
    /// Lists of reputation (`address or network,category number,score`) that `iprep` asks.
    pub reputation: Vec<PathBuf>,
    /// A database of countries in MaxMind's format, which `geoip` asks.
    pub countries: Option<PathBuf>,
    /// The folder of the files that rules name (`dataset: ..., load FILE`); the folders of the rule files unless it is set.
    pub data: Option<PathBuf>,
    /// The folder of sets that rules change (`dataset: ..., state FILE` or `save FILE`): they are saved in it, and `state`
    /// finds them there. Unless it is set, `datasets` in the folder of the journal; of a replay, in that of its output.
    pub saved: Option<PathBuf>,
    /// What the address variables of rules stand for, without the `$`. Names given here are added to the defaults.
    #[serde(deserialize_with = "over_default_addresses")]
    pub addresses: BTreeMap<String, String>,
    /// What the port variables of rules stand for, without the `$`. Names given here are added to the defaults.
    #[serde(deserialize_with = "over_default_ports")]
    pub ports: BTreeMap<String, String>,
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) written: Written,
}

impl Default for Settings {
    fn default() -> Self {
        let Variables { addresses, ports, .. } = standard();
        Self {
            files: Vec::new(),
            classifications: None,
            strict: false,
            inspection_steps: 250_000,
            overrides: Vec::new(),
            references: None,
            thresholds: None,
            reputation_categories: None,
            reputation: Vec::new(),
            countries: None,
            data: None,
            saved: None,
            addresses,
            ports,
            written: Written::default(),
        }
    }
}

/// The variables and classes that public rule sets take for granted. Private addresses of IPv6 are home, too.
fn standard() -> Variables {
    let mut variables = Variables::standard();
    let home = "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12,fc00::/7]";
    variables.addresses.insert("HOME_NET".to_owned(), home.to_owned());
    variables
}

fn over_default_addresses<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    over(standard().addresses, from)
}

fn over_default_ports<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    over(standard().ports, from)
}

/// A person who names one variable keeps the others.
fn over<'de, D: serde::Deserializer<'de>>(
    mut variables: BTreeMap<String, String>,
    from: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let given: BTreeMap<String, String> = serde::Deserialize::deserialize(from)?;
    variables.extend(given);
    Ok(variables)
}

/// The rules of a configuration, compiled.
pub struct Ruleset {
    /// The engine over all rules that compile.
    pub engine: Engine,
    /// Everything wrong in the files, in their order.
    pub diagnostics: Vec<Diagnostic>,
    /// Rules left out because they do not compile.
    pub failed: usize,
    /// Rules left out on purpose: a higher revision of them is there, or what they require or wait for is not.
    pub skipped: usize,
    /// The files, in the order in which they were read.
    pub files: Vec<PathBuf>,
    /// What overrides changed.
    pub changes: Vec<Change>,
    /// What it was compiled from.
    pub read: Read,
}

/// Rule files as they were read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// Their texts.
    pub sources: Vec<Source>,
    /// What the rules in them refer to.
    pub variables: Variables,
}

impl Ruleset {
    /// Is anything wrong that is more than a warning?
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

impl Settings {
    /// Makes relative paths absolute to the folder of the configuration file, whose text is `written`.
    pub(super) fn anchor(&mut self, folder: &Path, written: Arc<Text>) {
        let single = [
            &mut self.classifications,
            &mut self.references,
            &mut self.thresholds,
            &mut self.reputation_categories,
            &mut self.countries,
            &mut self.data,
            &mut self.saved,
        ];
        let paths = self.files.iter_mut().chain(&mut self.reputation).chain(single.into_iter().flatten());
        for path in paths {
            if path.is_relative() {
                *path = folder.join(&*path);
            }
        }
        self.written = Written(Some(written));
    }

    /// What the types allow and the rule compiler does not.
    pub(super) fn problems(&self) -> Vec<Problem> {
        overrides::problems(&self.overrides, &self.variables())
    }

    fn variables(&self) -> Variables {
        Variables { addresses: self.addresses.clone(), ports: self.ports.clone(), ..Variables::standard() }
    }

    /// Where an override stands, by its index: file and line.
    pub fn place_of_override(&self, at: usize) -> Option<(String, usize)> {
        self.written.place(at)
    }

    /// Bytes of all rule files, as far as the file system tells.
    pub fn text_bytes(&self) -> u64 {
        let files = self.expand(&mut Vec::new());
        files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|it| it.len()).sum()
    }

    /// Reads and compiles the rules. A file that cannot be read and a rule that does not compile are diagnostics; the
    /// others load.
    pub fn load(&self) -> Ruleset {
        let mut diagnostics = Vec::new();
        let files = self.expand(&mut diagnostics);
        let mut variables = self.variables();
        let beside = read_lists(self, &files, &mut variables, &mut diagnostics);
        let mut texts: Vec<_> = files.iter().filter_map(|file| read(file, &mut diagnostics)).collect();
        let sources: Vec<_> = texts.iter().map(|text| source(text)).collect();
        texts.extend(beside);
        let changed = overrides::compile(&self.overrides, &variables);
        let compiled = Engine::compile_tuned(&sources, &variables, &changed);
        let Compiled { mut engine, diagnostics: found, failed, skipped, switched_off, changes, unmatched } = compiled;
        diagnostics.extend(found.into_iter().map(|diagnostic| translate(diagnostic, &texts)));
        diagnostics.extend(unmatched.iter().map(|unmatched| self.written.warn(unmatched)));
        engine.limit_steps((self.inspection_steps > 0).then_some(self.inspection_steps));
        let skipped = skipped + switched_off;
        Ruleset { engine, diagnostics, failed, skipped, files, changes, read: Read { sources, variables } }
    }

    /// The files that `files` stands for, each once.
    fn expand(&self, diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for pattern in &self.files {
            let found = expand(pattern);
            if found.is_empty() {
                let name = pattern.display().to_string();
                diagnostics.push(match pattern.is_dir() {
                    true => Diagnostic::error(NO_RULE_FILE, Message::RulesFolderEmpty.with([name.as_str().into()]))
                        .help(Message::RulesFolderHelp.with([name.into()])),
                    false => Diagnostic::error(NO_RULE_FILE, Message::RulesNoMatch.with([name.into()])),
                });
            }
            files.extend(found.into_iter().filter(|file| !files.contains(file)).collect::<Vec<_>>());
        }
        files
    }

    /// Files of classes: those that lie in folders of rules, then the one that is named, which has the last word.
    pub(super) fn class_files(&self) -> impl Iterator<Item = PathBuf> {
        let beside = self.files.iter().map(|folder| folder.join("classification.config")).filter(|file| file.is_file());
        beside.chain(self.classifications.clone())
    }
}

impl Ruleset {
    /// What the lints find in the rules that compile.
    pub fn lint(&self) -> Vec<Diagnostic> {
        let texts: Vec<_> =
            self.read.sources.iter().map(|source| Text::new(&*source.name, Arc::clone(&source.text))).collect();
        let found = vigia_rules::lint::lint(&self.read.sources, &self.read.variables);
        found.into_iter().map(|diagnostic| translate(diagnostic, &texts)).collect()
    }
}

pub(super) fn source(text: &Text) -> Source {
    Source { name: text.name().into(), text: text.text().into() }
}

/// Rule files of the field are not always UTF-8: what is not is shown as a replacement character. The mark that some editors
/// put before the first line is no part of it.
pub(super) fn read(file: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<Arc<Text>> {
    match std::fs::read(file) {
        Ok(bytes) => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            Some(Text::new(file.display().to_string(), String::from_utf8_lossy(text)))
        }
        Err(error) => {
            let reason = format!("{}: {error}", file.display());
            diagnostics.push(Diagnostic::error("rules-unreadable", Message::RulesUnreadable.with([reason.into()])));
            None
        }
    }
}

pub(super) fn translate(found: vigia_rules::Diagnostic, texts: &[Arc<Text>]) -> Diagnostic {
    let place = texts.iter().find(|text| text.name() == &*found.source.name).map(|text| (Arc::clone(text), found.span));
    Diagnostic {
        severity: match found.severity {
            vigia_rules::Severity::Warning => Severity::Warning,
            vigia_rules::Severity::Error => Severity::Error,
        },
        code: found.code,
        headline: found.message.into(),
        help: found.help.map(Phrase::from),
        sids: found.sids,
        place,
    }
}

/// The files that a path stands for, sorted: itself, the `.rules` files below a folder, or what a pattern matches.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = match part {
            Component::Normal(name) => name.to_str().filter(|name| name.contains(['*', '?'])),
            _ => None,
        };
        found = match name {
            None => found.into_iter().map(|path| path.join(part)).collect(),
            Some(name) => found.iter().flat_map(|folder| entries(folder, |entry| matches(name, entry))).collect(),
        };
    }
    let mut files: Vec<_> =
        found.into_iter().flat_map(|path| if path.is_dir() { below(&path, 0) } else { vec![path] }).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// The `.rules` files below a folder. The bound on depth keeps links that lead back from looping.
fn below(folder: &Path, depth: u8) -> Vec<PathBuf> {
    let inner = |path: PathBuf| match path.is_dir() {
        true if depth < 8 => below(&path, depth + 1),
        true => Vec::new(),
        false if path.extension().is_some_and(|extension| extension == "rules") => vec![path],
        false => Vec::new(),
    };
    entries(folder, |_| true).into_iter().flat_map(inner).collect()
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| wanted(name)).map(|name| folder.join(name)).collect()
}

/// Does `name` match a pattern of literal characters, `*` (any number) and `?` (any one)?
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn the_mark_before_the_first_line_and_carriage_returns_are_no_part_of_rules() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("windows.rules");
        let rules = "\u{feff}# first\r\nalert tcp any any -> any any ( \\\r\n msg:\"m\"; sid:1;)\r\n";
        std::fs::write(&file, rules).unwrap();
        let loaded = Settings { files: vec![file], ..Settings::default() }.load();
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        assert_eq!(loaded.engine.rules().len(), 1);
    }

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*.rules", "modbus.rules", true),
            ("*.rules", "modbus.rules.bak", false),
            ("a?c*", "abcdef", true),
            ("a?c*", "ac", false),
            ("*a*b", "xaybzab", true),
            ("*a*b", "xayz", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_folder_a_pattern_and_a_file_stand_for_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for name in ["b.rules", "a.rules", "notes.txt", "deep/c.rules"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = expand(&folder.path().join(pattern));
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(""), ["a.rules", "b.rules", "c.rules"]);
        assert_eq!(names("*.txt"), ["notes.txt"]);
        assert_eq!(names("b.rules"), ["b.rules"]);
        assert!(names("absent.rules").is_empty());
    }

    #[test]
    fn a_folder_whose_files_have_other_names_is_told_from_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plant.txt"), "alert tcp any any -> any any (sid:1;)\n").unwrap();
        let found = |path: PathBuf| {
            let settings = Settings { files: vec![path], ..Settings::default() };
            settings.load().diagnostics.iter().map(|found| found.headline.text(Language::English)).collect::<String>()
        };
        assert!(found(folder.path().into()).contains("ends in `.rules`"));
        assert!(found(folder.path().join("absent")).contains("no rule file matches"));
        assert_eq!(found(folder.path().join("*.txt")), "");
    }

    #[test]
    fn what_is_wrong_in_a_rule_is_said_in_the_readers_language() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rules");
        std::fs::write(&file, "alert tcp $HOME_NETT any -> any any (content:\"abcd\"; sid:1;)\n").unwrap();
        let settings = Settings { files: vec![file], ..Settings::default() };
        let found = &settings.load().diagnostics[0];
        assert_eq!(found.headline.text(Language::Spanish), "la variable `$HOME_NETT` no está definida");
        assert_eq!(found.help.as_ref().unwrap().text(Language::Spanish), "¿quiso decir `$HOME_NET`?");
        assert_eq!(found.headline.text(Language::English), "variable `$HOME_NETT` is not defined");
    }

    #[test]
    fn naming_one_variable_keeps_the_others() {
        let settings: Settings = toml::from_str("addresses = { HOME_NET = \"10.1.0.0/16\" }").unwrap();
        assert_eq!(settings.addresses["HOME_NET"], "10.1.0.0/16");
        assert_eq!(settings.addresses["EXTERNAL_NET"], "!$HOME_NET");
        assert_eq!(settings.ports, standard().ports);
    }

    #[test]
    fn classes_of_a_file_are_added_and_its_bad_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let (classes, rules) = (folder.path().join("classification.config"), folder.path().join("a.rules"));
        std::fs::write(&classes, "config classification: plant,Plant,1\nnonsense\n").unwrap();
        std::fs::write(&rules, "alert tcp any any -> any any (msg:\"x\"; classtype:plant; sid:1; rev:1;)\n").unwrap();
        let settings = Settings { files: vec![rules], classifications: Some(classes), ..Settings::default() };
        let loaded = settings.load();
        assert_eq!(loaded.engine.rules()[0].category, "Plant");
        assert_eq!(loaded.diagnostics.len(), 1);
        let (text, span) = loaded.diagnostics[0].place.clone().unwrap();
        assert_eq!(text.position(span.start), (2, 1));
    }

    #[test]
    fn files_that_are_missing_are_named() {
        let settings = Settings { files: vec!["/nonexistent/x.rules".into()], ..Settings::default() };
        let loaded = settings.load();
        assert!(loaded.has_errors());
        assert_eq!(loaded.diagnostics[0].code, "no-rule-file");
    }
}
