//! What a public rule set costs: time and memory to load it, the speed that is left with it, and which of its families of
//! rules take most.
//!
//! Times are of the processor, user and system, so that what the machine does besides counts little. From the time of a
//! replay that of replaying an empty capture with the same rules is taken: what remains went by with the packets.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{MIXES, input};
use crate::release::{self, ALERTS_ONLY};
use crate::tools;

/// Promises of SPECIFICATION.md.
const LOAD_S: f64 = 1.5;
const RESIDENT_MB: f64 = 200.0;
const SHARE: f64 = 0.5;
const OT_PACKETS_PER_S: f64 = 600_000.0;

/// Rules of the small set: every so many of the whole.
const FEW: usize = 1000;
/// Families that are listed.
const LISTED: usize = 12;

/// Measures a rule set; gives how many promises are not kept.
pub(super) fn run(folder: &Path, runs: usize) -> Result<usize> {
    let Some(set) = RuleSet::read(folder)? else {
        println!("skipped: no rule set in {}", folder.display());
        return Ok(0);
    };
    println!("\nrules: {} in {} files of {}", set.rules.len(), set.files.len(), folder.display());
    let mut broken = load(folder)?;
    broken += replay(&set, runs)?;
    families(&set, runs.min(3))?;
    Ok(broken)
}

/// A rule set.
struct RuleSet {
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// The lines of its rules.
    rules: Vec<String>,
}

impl RuleSet {
    fn read(folder: &Path) -> Result<Option<Self>> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "rules"));
        files.sort();
        let mut rules = Vec::new();
        for file in &files {
            let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            let text = String::from_utf8_lossy(&text);
            let is_rule = |line: &&str| line.contains("sid:") && !line.trim_start().starts_with('#');
            rules.extend(text.lines().filter(is_rule).map(str::to_owned));
        }
        Ok((!rules.is_empty()).then(|| Self { folder: folder.to_owned(), files, rules }))
    }

    /// A file with some of its rules, from all over it.
    fn few(&self) -> Result<PathBuf> {
        let file = tools::target().join("bench/out/few.rules");
        let count = FEW.min(self.rules.len());
        let some: Vec<&str> = (0..count).map(|at| &*self.rules[at * self.rules.len() / count]).collect();
        std::fs::write(&file, some.join("\n"))?;
        Ok(file)
    }
}

/// Time and memory to compile all rules, those that wait for a dissector among them.
fn load(folder: &Path) -> Result<usize> {
    let output = Command::new(tools::release("vigia-load")).arg(folder).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "vigia-load ended with {}", output.status);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading what vigia-load says")?;
    let number = |name: &str| told[name].as_f64().with_context(|| format!("vigia-load does not tell {name}"));
    let (seconds, resident, peak) = (number("seconds")?, number("resident_mb")?, number("peak_mb")?);
    println!(
        "load, every rule compiled: {} rules in {seconds:.2} s of processor time (promise {LOAD_S}); {resident:.0} MB resident, \
         {peak:.0} MB at the peak (promise {RESIDENT_MB:.0})",
        number("rules")?
    );
    Ok(usize::from(seconds > LOAD_S) + usize::from(peak > RESIDENT_MB))
}

/// The speed that is left with more and more rules.
fn replay(set: &RuleSet, runs: usize) -> Result<usize> {
    let none = tools::target().join("bench/out/none.rules");
    std::fs::write(&none, "")?;
    let sets = [(0, none), (FEW, set.few()?), (set.rules.len(), set.folder.clone())];
    println!(
        "{:<8}{:>8}{:>10}{:>12}{:>12}{:>9}{:>9}",
        "input", "rules", "in force", "packets", "Mp/s", "share", "promise"
    );
    let mut broken = 0;
    for mix in &MIXES {
        let rules: Vec<&Path> = sets.iter().map(|set| &*set.1).collect();
        let costs = measure(mix.name, &rules, runs)?;
        let bare = costs[0].seconds;
        for ((count, _), cost) in sets.iter().zip(&costs) {
            let all = *count == set.rules.len();
            let (speed, share) = (cost.packets / cost.seconds, bare / cost.seconds);
            let promise = if all { format!("{:.0}%", 100.0 * SHARE) } else { String::new() };
            println!(
                "{:<8}{count:>8}{:>10}{:>12}{:>12.2}{:>8.1}%{promise:>9}",
                mix.name,
                cost.rules,
                cost.packets,
                speed / 1e6,
                100.0 * share
            );
            broken += usize::from(all && share < SHARE);
            broken += usize::from(all && mix.name == "ot" && speed < OT_PACKETS_PER_S);
        }
    }
    Ok(broken)
}

/// What the rules of each file cost alone.
fn families(set: &RuleSet, runs: usize) -> Result<()> {
    let none = tools::target().join("bench/out/none.rules");
    let rules: Vec<&Path> = std::iter::once(&*none).chain(set.files.iter().map(PathBuf::as_path)).collect();
    let mut by_file: HashMap<usize, (f64, Vec<f64>)> = HashMap::new();
    for mix in &MIXES {
        let costs = measure(mix.name, &rules, runs)?;
        let a_packet = |cost: &Cost| 1e9 * cost.seconds / cost.packets;
        for (at, cost) in costs.iter().enumerate().skip(1).filter(|(_, cost)| cost.rules > 0.0) {
            let entry = by_file.entry(at).or_insert_with(|| (cost.rules, Vec::new()));
            entry.1.push(a_packet(cost) - a_packet(&costs[0]));
        }
    }
    let mut by_file: Vec<_> = by_file.into_iter().collect();
    let sum = |costs: &[f64]| costs.iter().sum::<f64>();
    by_file.sort_by(|a, b| sum(&b.1.1).total_cmp(&sum(&a.1.1)));
    let names: String = MIXES.iter().map(|mix| format!("{:>14}", format!("{} ns/packet", mix.name))).collect();
    println!("{:<44}{:>10}{names}", "family, alone", "in force");
    for (at, (count, costs)) in by_file.iter().take(LISTED) {
        let name = rules[*at].file_name().unwrap_or_default().to_string_lossy();
        let costs: String = costs.iter().map(|cost| format!("{cost:>14.0}")).collect();
        println!("{name:<44}{count:>10}{costs}");
    }
    println!("({} more files with rules in force cost less)", by_file.len().saturating_sub(LISTED));
    Ok(())
}

/// What a replay took.
struct Cost {
    /// Rules in force.
    rules: f64,
    packets: f64,
    /// Of the processor, loading the rules not counted.
    seconds: f64,
}

/// Replays a mix with each of these rules in turn.
fn measure(mix: &str, rules: &[&Path], runs: usize) -> Result<Vec<Cost>> {
    let out = tools::target().join("bench/out");
    let empty = out.join("empty.pcap");
    let header: Vec<u8> =
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&empty, header)?;
    let settings = out.join("rules.toml");
    std::fs::write(&settings, ALERTS_ONLY)?;
    let replay = |capture: &Path, rules: &Path| {
        let mut command = Command::new(release::program());
        command.arg("replay").arg(capture).args(["--workers", "1", "--json", "--config"]).arg(&settings);
        command.arg("--rules").arg(rules).arg("--output").arg(&out).stderr(Stdio::null());
        let before = children()?;
        let output = command.output().with_context(|| format!("running {command:?}"))?;
        ensure!(output.status.success(), "{command:?} ended with {}", output.status);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        anyhow::Ok((children()? - before, told))
    };
    let mut times = vec![(Vec::new(), Vec::new()); rules.len()];
    let mut told = Vec::new();
    for _ in 0..runs.max(1) {
        told.clear();
        for (rules, times) in rules.iter().zip(&mut times) {
            times.0.push(replay(&empty, rules)?.0);
            let (time, summary) = replay(&input(mix), rules)?;
            times.1.push(time);
            told.push(summary);
        }
    }
    let cost = |(told, (empty, whole)): (&serde_json::Value, (Vec<f64>, Vec<f64>))| {
        let number = |pointer: &str| told.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
        Cost {
            rules: number("/ruleset/loaded"),
            packets: number("/packets/seen"),
            seconds: median(whole) - median(empty),
        }
    };
    Ok(told.iter().zip(times).map(cost).collect())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Processor time of this task's children that have ended, in seconds.
fn children() -> Result<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to memory of the size of an rusage, which lives during the call.
    let done = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    ensure!(done == 0, "getrusage: {}", std::io::Error::last_os_error());
    // SAFETY: it was zeroed, which is a valid rusage, and the kernel has written one.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}
