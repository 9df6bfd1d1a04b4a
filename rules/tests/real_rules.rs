//! Rule sets as they are in use compile, or fail for a reason that is stated.
// The crate does no I/O; its tests may.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;

use vigia_rules::{Compiled, Engine, Severity, Source, Variables};

/// A folder of folders of rule files, beside the workspace.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/rules");

#[test]
fn every_rule_of_real_sets_compiles_or_fails_for_a_stated_reason() {
    let Ok(sets) = std::fs::read_dir(Path::new(FOLDER)) else {
        println!("skipped: no rule sets in {FOLDER}");
        return;
    };
    for set in sets.flatten() {
        let sources = sources(&set.path());
        let compiled = Engine::compile(&sources, &Variables::standard());
        let mut reasons: BTreeMap<(Severity, &str), usize> = BTreeMap::new();
        for diagnostic in &compiled.diagnostics {
            *reasons.entry((diagnostic.severity, diagnostic.code)).or_default() += 1;
        }
        let loaded = compiled.engine.rules().len();
        let Compiled { failed, skipped, switched_off, .. } = compiled;
        let name = set.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        println!("{name}: {loaded} loaded, {failed} failed, {skipped} skipped, {switched_off} switched off");
        println!("    {reasons:?}");
        let errors = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        for diagnostic in errors {
            println!("    {diagnostic}");
        }
        let statements: usize = sources.iter().map(|source| statements(&source.text)).sum();
        assert_eq!(loaded + failed + skipped + switched_off, statements, "{}", set.path().display());
    }
}

fn sources(folder: &Path) -> Vec<Source> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with("rules"));
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned();
        Source {
            name: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default().into(),
            text: text.into(),
        }
    };
    files.iter().map(read).collect()
}

/// Lines that begin a rule: neither blank nor a comment nor the continuation of the line before.
fn statements(text: &str) -> usize {
    let mut continued = false;
    let mut count = 0;
    for line in text.lines() {
        let comment = !continued && line.trim_start().starts_with('#');
        count += usize::from(!continued && !comment && !line.trim().is_empty());
        continued = !comment && line.trim_end_matches('\r').ends_with('\\');
    }
    count
}
