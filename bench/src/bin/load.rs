//! What it takes to load rules: processor time and memory of parsing and compiling whole folders of rule files. Rules
//! that wait for a dissector are compiled as if it were there. What it finds is printed as JSON.
//!
//! Usage: vigia-load FOLDER...

use std::path::Path;

use anyhow::{Context, Result};
use vigia_rules::{Engine, Source, Variables};

fn main() -> Result<()> {
    let mut sources = Vec::new();
    for folder in std::env::args().skip(1) {
        read(Path::new(&folder), &mut sources)?;
    }
    let (text, before) = (sources.iter().map(|source: &Source| source.text.len()).sum::<usize>(), processor_time());
    let compiled = Engine::compile_whole(&sources, &Variables::standard());
    let seconds = processor_time() - before;
    let peak = memory("VmHWM:");
    drop(sources);
    println!(
        "{{\"rules\": {}, \"failed\": {}, \"skipped\": {}, \"text_mb\": {:.1}, \"seconds\": {seconds:.3}, \
         \"resident_mb\": {:.0}, \"peak_mb\": {:.0}}}",
        compiled.engine.rules().len(),
        compiled.failed,
        compiled.skipped,
        text as f64 / 1e6,
        memory("VmRSS:") / 1e3,
        peak / 1e3,
    );
    Ok(())
}

/// The rule files of a folder, in the order of their names.
fn read(folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rules"));
    files.sort();
    for file in files {
        let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        sources.push(Source { name: file.to_string_lossy().into(), text: text.into() });
    }
    Ok(())
}

/// Processor time of this process, in seconds.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// A line of the process's status, in kB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN)
}
