//! `cargo xtask fuzz`: feeds every entry point of untrusted bytes what nobody would write.
//!
//! The targets are in `fuzz/fuzz_targets/`, what they begin from in `fuzz/seeds/`. What a run learns stays under
//! `target/fuzz/corpus/`, and what it finds under `target/fuzz/artifacts/`: a finding becomes a test of the module concerned.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools::{self, root};

/// Runs the fuzz targets, each for some time; fails when one finds something.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask fuzz --quick\n  cargo xtask fuzz --seconds 3600 modbus dnp3")]
pub struct Arguments {
    /// The targets; all of them when none is named
    targets: Vec<String>,
    /// A minute for each target
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// Seconds for each target
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// How a target ended.
struct Outcome {
    target: String,
    executions: String,
    found: bool,
}

/// Runs the targets one after the other, also after one that found something; true when none did.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let seconds = if arguments.quick { 60 } else { arguments.seconds };
    let all = targets()?;
    for named in &arguments.targets {
        ensure!(all.contains(named), "no target {named}; there are: {}", all.join(", "));
    }
    let targets = if arguments.targets.is_empty() { all } else { arguments.targets.clone() };
    let program = tools::cargo_tool("cargo-fuzz", "^0.13")?;
    let built = command(&program, "build").status()?;
    ensure!(built.success(), "the targets do not build");
    let outcomes: Vec<_> = targets.into_iter().map(|name| fuzz(&program, name, seconds)).collect::<Result<_>>()?;
    println!();
    for Outcome { target, executions, found } in &outcomes {
        println!(
            "{target:<14} {executions:>12} executions in {seconds} s: {}",
            if *found { "FOUND" } else { "nothing" }
        );
    }
    Ok(outcomes.iter().all(|outcome| !outcome.found))
}

/// Names of the targets, in order.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn fuzz(program: &Path, target: String, seconds: u32) -> Result<Outcome> {
    println!("== {target}");
    let place = tools::target().join("fuzz");
    let (corpus, artifacts) = (place.join("corpus").join(&target), place.join("artifacts").join(&target));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut command = command(program, "run");
    command.arg(&target).arg(&corpus);
    let shipped = root().join("rules/signatures");
    let seeds = [root().join("fuzz/seeds").join(&target), shipped];
    command.args(seeds.iter().take(if target == "rules" { 2 } else { 1 }).filter(|folder| folder.exists()));
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    // What takes ten seconds or two gigabytes is a finding, too.
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    let output = command.stderr(Stdio::piped()).stdout(Stdio::inherit()).output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let found = !output.status.success();
    if found {
        println!("{log}");
    }
    let executions = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Ok(Outcome { target, executions: executions.unwrap_or("?").trim().to_owned(), found })
}

/// A command of cargo-fuzz. The stable compiler does what it needs when told that it may. The code under test has no
/// `unsafe`, so that it runs without a sanitizer, several times as fast; overflows and failed assertions are found.
fn command(program: &Path, task: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).env("RUSTC_BOOTSTRAP", "1");
    command.args([task, "--fuzz-dir", "fuzz", "--sanitizer", "none"]);
    command.arg("--target-dir").arg(tools::target().join("fuzz/build"));
    command
}
