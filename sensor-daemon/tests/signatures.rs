//! The shipped signatures: each raises its alerts on the capture that is for it, and none on the harmless one beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;
use vigia::config::rules::Settings;
use vigia_rules::Rule;

/// What a file of cases says; the rest is for who runs them and for making the captures.
#[derive(Deserialize)]
struct Cases {
    /// The first and the last signature id that its set may have.
    sids: [u32; 2],
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    capture: PathBuf,
    /// Alerts by signature id.
    expected: BTreeMap<String, u64>,
}

impl Case {
    /// The signature that the case is about, and whether it is to fire.
    fn subject(&self) -> (u32, bool) {
        let name = self.capture.file_stem().unwrap().to_str().unwrap();
        let (sid, what) = name.split_once('-').unwrap_or_else(|| panic!("{name} is not SID-fires or SID-silent"));
        assert!(["fires", "silent"].contains(&what), "{name}");
        (sid.parse().unwrap(), what == "fires")
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/signatures").canonicalize().unwrap()
}

/// The files of cases, in order.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.retain(|file| file.ends_with(".test.toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn cases(file: &str) -> Cases {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The rules that a file of cases is for, as the sensor loads them; nothing may be wrong in them, and no lint find anything.
fn rules(file: &str) -> Vec<Rule> {
    let path = folder().join(file.replace(".test.toml", ".rules"));
    let mut settings = Settings::default();
    settings.files = vec![path.clone()];
    let loaded = settings.load();
    let found: Vec<_> = loaded.diagnostics.iter().chain(&loaded.lint()).map(|diagnostic| diagnostic.code).collect();
    assert!(found.is_empty() && loaded.failed == 0 && loaded.skipped == 0, "{}: {found:?}", path.display());
    loaded.engine.rules().to_vec()
}

fn vigia(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.env_remove("VIGIA_CONFIG").args(arguments).output().unwrap()
}

#[test]
fn each_capture_raises_the_alerts_of_its_case_and_no_others() {
    let output = vigia(&["rules", "test", folder().to_str().unwrap(), "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_str(&text).unwrap();
    let expected: usize = files().iter().map(|file| cases(file).case.len()).sum();
    assert_eq!((&answer["passed"], &answer["failed"]), (&expected.into(), &0.into()));
}

/// The captures of a replay are sessions of their own: a window that one of them opens counts in no other.
#[test]
fn a_capture_raises_the_same_alerts_whatever_was_replayed_before() {
    let scratch = tempfile::tempdir().unwrap();
    let first = folder().join("captures/9101020-fires.pcap");
    let second = scratch.path().join("again.pcap");
    std::fs::copy(&first, &second).unwrap();
    let (first, second, out) = (first.to_str().unwrap(), second.to_str().unwrap(), scratch.path().to_str().unwrap());
    let rules = folder();
    let output = vigia(&["replay", "--no-progress", first, second, "-o", out, "-r", rules.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut alerts: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    for line in std::fs::read_to_string(scratch.path().join("eve.json")).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["event_type"] == "alert" {
            let capture = event["pcap_filename"].as_str().expect("alerts name their capture").to_owned();
            let sid = event["alert"]["signature_id"].as_u64().unwrap();
            *alerts.entry(capture).or_default().entry(sid).or_default() += 1;
        }
    }
    assert!(alerts[first].contains_key(&9_101_020));
    assert_eq!(alerts[first], alerts[second]);
}

#[test]
fn every_signature_has_a_capture_that_fires_it_and_one_that_does_not() {
    for file in files() {
        let cases = cases(&file);
        let mut fires = BTreeSet::new();
        let mut silent = BTreeSet::new();
        for case in &cases.case {
            let (sid, is_to_fire) = case.subject();
            assert_eq!(case.expected.contains_key(&sid.to_string()), is_to_fire, "{}", case.capture.display());
            assert!(is_to_fire || case.expected.is_empty(), "{} is to be silent", case.capture.display());
            let first = if is_to_fire { fires.insert(sid) } else { silent.insert(sid) };
            assert!(first, "{} stands there twice", case.capture.display());
        }
        let sids: BTreeSet<u32> = rules(&file).iter().map(|rule| rule.sid).collect();
        assert_eq!(fires, sids, "{file}");
        assert_eq!(silent, sids, "{file}");
    }
}

#[test]
fn every_signature_says_what_it_is() {
    let mut messages = BTreeSet::new();
    for file in files() {
        let [first, last] = cases(&file).sids;
        let protocol = file.split('.').next().unwrap();
        for rule in rules(&file) {
            let sid = rule.sid;
            let value = |key: &str| {
                let found = rule.metadata.iter().find(|(name, _)| name == key);
                found.and_then(|(_, values)| values.first()).unwrap_or_else(|| panic!("{sid} has no {key}")).as_str()
            };
            assert!((first..=last).contains(&sid), "{sid} is not of {file}");
            let prefix = format!("vigia {protocol} ");
            assert!(rule.message.to_lowercase().starts_with(&prefix), "{sid}: {}", rule.message);
            assert!(messages.insert(rule.message.clone()), "{sid}: another says `{}`, too", rule.message);
            assert!(!rule.category.is_empty(), "{sid} has no classtype");
            assert_eq!(value("protocol"), protocol, "{sid}");
            assert!(is_id(value("mitre_tactic_id"), "TA"), "{sid}");
            assert!(!value("mitre_tactic_name").is_empty() && !value("mitre_technique_name").is_empty(), "{sid}");
            let technique = value("mitre_technique_id");
            assert!(is_id(technique, "T"), "{sid}");
            let page = format!("attack.mitre.org/techniques/{technique}");
            assert!(
                rule.references.iter().any(|it| it.system == "url" && it.value == page),
                "{sid} does not refer to {technique}"
            );
            assert_eq!(value("created_at").len(), "2026_11_23".len(), "{sid}");
        }
    }
}

#[test]
fn the_manual_lists_every_signature() {
    let page = std::fs::read_to_string(folder().join("../../docs/src/signatures.md")).unwrap();
    let (listed, other): (Vec<_>, Vec<_>) = page.lines().partition(|line| line.starts_with("| 9"));
    let mut sids = BTreeSet::new();
    for file in files() {
        for rule in rules(&file) {
            assert!(page.contains(&format!("| {} | {} | ", rule.sid, rule.message)), "{}", rule.sid);
            sids.insert(rule.sid);
        }
    }
    assert_eq!(listed.len(), sids.len(), "the manual lists signatures that are not there");
    // The table of what is told of each protocol names signatures by their ids.
    for word in other.iter().filter(|line| line.starts_with("| ")).flat_map(|line| line.split([' ', ','])) {
        if let Ok(sid @ 9_000_000..) = word.parse() {
            assert!(sids.contains(&sid), "the manual names {sid}, which is not there");
        }
    }
}

/// A prefix and four digits.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
}
