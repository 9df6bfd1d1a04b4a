//! `cargo xtask bench`: how fast a capture is replayed, against a bare libpcap read loop over the same file.
//!
//! Whole processes are timed in turn (floor, Vigía, floor, Vigía, ...), and medians compared: what the machine does
//! besides then weighs on both. [`rules`] measures what a public rule set costs.

mod rules;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::release::{self, ALERTS_ONLY, EVERYTHING};
use crate::tools;

/// Measures the speed of a replay against the floor.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask bench --prepare\n  cargo xtask bench\n  cargo xtask bench --live")]
pub struct Arguments {
    /// Make the inputs anew: from the captures beside the project when there, else from the demo plant.
    #[arg(long)]
    prepare: bool,
    /// The rule set to measure: a folder of rule files.
    #[arg(long, default_value = "../shared/rules/et-open-2024-04-21")]
    rules: PathBuf,
    /// Measure the rule set only.
    #[arg(long)]
    rules_only: bool,
    /// Runs of each command; the median counts.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Measure live capture on a veth pair instead; needs root.
    #[arg(long)]
    live: bool,
    /// Measure the journal and delivery on a veth pair instead; needs root.
    #[arg(long)]
    delivery: bool,
    /// Fail when a promise of SPECIFICATION.md is not kept.
    #[arg(long)]
    check: bool,
}

/// An input: name, bytes of packets, and which captures go into it.
struct Mix {
    name: &'static str,
    bytes: u64,
    takes: fn(&Described) -> bool,
}

const MIXES: [Mix; 2] = [
    Mix { name: "ot", bytes: 170_000_000, takes: |capture| capture.is_ot },
    Mix { name: "it", bytes: 300_000_000, takes: |capture| !capture.is_ot && capture.bytes_per_packet > 300.0 },
];

/// What is measured: input, rules, settings, and the share of the floor's speed that SPECIFICATION.md promises.
struct Measurement {
    mix: &'static str,
    what: &'static str,
    /// Files or folders below the shipped signatures.
    rules: &'static [&'static str],
    settings: &'static str,
    promise: f64,
}

const STARTER: &[&str] = &["modbus.rules", "dnp3.rules"];
const SHIPPED: &[&str] = &[""];

const MEASUREMENTS: [Measurement; 4] = [
    Measurement { mix: "ot", what: "alerts, starter rules", rules: STARTER, settings: ALERTS_ONLY, promise: 0.25 },
    Measurement { mix: "ot", what: "alerts, all signatures", rules: SHIPPED, settings: ALERTS_ONLY, promise: 0.2 },
    Measurement { mix: "it", what: "alerts, all signatures", rules: SHIPPED, settings: ALERTS_ONLY, promise: 0.25 },
    Measurement { mix: "ot", what: "every event, all", rules: SHIPPED, settings: EVERYTHING, promise: 0.12 },
];

/// Runs the benchmark.
pub fn run(arguments: &Arguments) -> Result<()> {
    tools::install(&[("libpcap-dev", "/usr/include/pcap/pcap.h")])?;
    tools::cargo(&["build", "--release", "--package", "vigia-bench"])?;
    release::build_as_far_as_possible()?;
    if arguments.live {
        println!("machine: {}", machine());
        ensure!(crate::flood::run()? || !arguments.check, "packets were dropped");
        return Ok(());
    }
    if arguments.delivery {
        println!("machine: {}", machine());
        return crate::flood::delivery();
    }
    let folder = tools::target().join("bench");
    std::fs::create_dir_all(&folder)?;
    for mix in &MIXES {
        if arguments.prepare || !input(mix.name).exists() {
            prepare(mix)?;
        }
    }
    if arguments.prepare {
        return Ok(());
    }
    println!("machine: {}", machine());
    let mut broken = 0;
    if !arguments.rules_only {
        broken += against_the_floor(arguments.runs)?;
    }
    broken += rules::run(&tools::root().join(&arguments.rules), arguments.runs)?;
    if arguments.check && broken > 0 {
        bail!("{broken} promises are not kept");
    }
    Ok(())
}

/// Times every measurement; gives how many promises are not kept.
fn against_the_floor(runs: usize) -> Result<usize> {
    println!(
        "{:<6}{:<24}{:>10}{:>12}{:>12}{:>9}{:>9}",
        "input", "output", "packets", "floor Mp/s", "vigia Mp/s", "share", "promise"
    );
    let mut broken = 0;
    for measurement in &MEASUREMENTS {
        broken += usize::from(!measure(measurement, runs)?);
    }
    println!(
        "command: vigia replay INPUT --rules RULES --workers 1; the starter rules are those for Modbus and DNP3; \
         medians of {runs} whole processes each, in turn"
    );
    Ok(broken)
}

/// Times one measurement in pairs and prints its row; true when the promise is kept.
fn measure(measurement: &Measurement, runs: usize) -> Result<bool> {
    let input = input(measurement.mix);
    let out = tools::target().join("bench/out");
    std::fs::create_dir_all(&out)?;
    let settings = out.join("vigia.toml");
    std::fs::write(&settings, measurement.settings)?;
    let mut floor = Command::new(tools::release("vigia-floor"));
    floor.arg(&input);
    let mut vigia = Command::new(release::program());
    vigia.arg("replay").arg(&input).args(["--workers", "1", "--json", "--config"]).arg(&settings);
    vigia.arg("--rules").args(measurement.rules.iter().map(|rules| tools::signatures().join(rules)));
    vigia.arg("--output").arg(&out);
    let packets = packets(&time(&mut floor)?.1)?;
    time(&mut vigia)?;
    let (mut floors, mut vigias) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        // To discard what the run before wrote is no part of a replay.
        std::fs::remove_file(out.join("eve.json"))?;
        floors.push(time(&mut floor)?.0);
        vigias.push(time(&mut vigia)?.0);
    }
    let (floor, vigia) = (median(floors), median(vigias));
    let speed = |time: Duration| packets as f64 / time.as_secs_f64() / 1e6;
    let share = floor.as_secs_f64() / vigia.as_secs_f64();
    println!(
        "{:<6}{:<24}{packets:>10}{:>12.2}{:>12.2}{:>8.1}%{:>8.1}%",
        measurement.mix,
        measurement.what,
        speed(floor),
        speed(vigia),
        100.0 * share,
        100.0 * measurement.promise
    );
    Ok(share >= measurement.promise)
}

fn time(command: &mut Command) -> Result<(Duration, String)> {
    let start = Instant::now();
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("running {command:?}"))?;
    let elapsed = start.elapsed();
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok((elapsed, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn packets(floor: &str) -> Result<u64> {
    floor.split(' ').next().and_then(|number| number.parse().ok()).context("the floor did not say how many packets")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A capture of the catalogue beside the project.
struct Described {
    path: PathBuf,
    is_ot: bool,
    bytes_per_packet: f64,
}

fn input(mix: &str) -> PathBuf {
    tools::target().join(format!("bench/{mix}.pcap"))
}

fn prepare(mix: &Mix) -> Result<()> {
    let described = catalogue()?;
    let captures: Vec<PathBuf> = if described.is_empty() {
        vec![crate::demo::recorded()?]
    } else {
        described.into_iter().filter(|capture| (mix.takes)(capture)).map(|capture| capture.path).collect()
    };
    let mut command = Command::new(tools::release("vigia-mix"));
    command.arg("--output").arg(input(mix.name)).args(["--bytes", &mix.bytes.to_string()]).args(captures);
    let status = command.status()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// The captures that `catalogue.csv` beside the project describes; none when it is not there.
fn catalogue() -> Result<Vec<Described>> {
    let folder = tools::root().join("../shared");
    let Ok(text) = std::fs::read_to_string(folder.join("captures/catalogue.csv")) else { return Ok(Vec::new()) };
    let ot: HashSet<&str> = OT_PROTOCOLS.into_iter().collect();
    let describe = |line: &str| {
        let mut columns = line.split(',');
        let path = columns.next()?;
        let bytes: f64 = columns.next()?.parse().ok()?;
        let packets: f64 = columns.next()?.parse().ok()?;
        let mut protocols = columns.next()?.split(' ').filter_map(|entry| entry.split(':').next());
        path.starts_with("captures/dev/").then(|| Described {
            path: folder.join(path),
            is_ot: protocols.any(|protocol| ot.contains(protocol)),
            bytes_per_packet: bytes / packets,
        })
    };
    Ok(text.lines().skip(1).filter_map(describe).collect())
}

const OT_PROTOCOLS: [&str; 20] = [
    "modbus",
    "dnp3",
    "enip",
    "cip",
    "s7comm",
    "iec104",
    "mms",
    "goose",
    "sv",
    "bacnet",
    "opcua",
    "ethercat",
    "hart-ip",
    "c37.118",
    "omron-fins",
    "profinet-rt",
    "profinet-cm",
    "profinet-dcp",
    "powerlink",
    "cotp",
];

fn machine() -> String {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read(Path::new("/proc/cpuinfo"));
    let models: Vec<&str> = cpus.lines().filter_map(|line| line.strip_prefix("model name\t: ")).collect();
    let kernel = read(Path::new("/proc/sys/kernel/osrelease"));
    format!("{} x {}, Linux {}", models.len(), models.first().unwrap_or(&"unknown processor"), kernel.trim())
}
