//! What each way of capture takes, at several sizes of frames; what leaving flows to the kernel spares; and what a frame costs
//! in each of the kernel's programs.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bed, Load, STRAY};

/// Ways of capture that a veth pair has, with the settings that ask for them.
const MODES: [(&str, &str); 4] = [
    ("af-packet", "mode = \"af-packet\""),
    ("af-packet, tap as a filter", "mode = \"af-packet\"\ninterfaces = [{ name = \"tap0\", ignore_outgoing = false }]"),
    ("af-packet-ebpf, 2 workers", "mode = \"af-packet-ebpf\"\nworkers = 2"),
    ("af-xdp-copy", "mode = \"af-xdp-copy\""),
];

/// Bytes of a frame without its check sequence.
const SIZES: [usize; 3] = [60, 512, 1514];

/// Seconds of a run.
const SECONDS: u64 = 2;

/// Halvings of the search for the highest rate without loss.
const STEPS: u32 = 4;

const QUIET: &str = "events = { flow = false, anomaly = false, records = false, stats = false }\n";

/// Prints all of it.
pub(super) fn run() -> Result<()> {
    println!(
        "\n{:<28}{:>7}{:>14}{:>18}{:>22}",
        "captured by", "bytes", "offered/s", "without loss/s", "CPU s per M packets"
    );
    for (name, capture) in MODES {
        for bytes in SIZES {
            let offered = measure(capture, Load { kind: "udp", bytes, rate: None })?;
            let (kept, cost) = highest(capture, bytes, &offered)?;
            println!("{name:<28}{bytes:>7}{:>14.0}{kept:>18.0}{cost:>22.2}", offered.rate);
        }
    }
    println!("\n{:<28}{:>14}{:>22}{:>14}", "TLS of 512 bytes, captured", "offered/s", "CPU s per M packets", "shunted");
    for (name, capture) in MODES.iter().filter(|(name, _)| !name.contains("2 workers")) {
        for shunted in [false, true] {
            let capture = format!("{capture}\ntap = {{ shunt_encrypted = {shunted}, shed_at_percent = 0 }}");
            let run = measure(&capture, Load { kind: "tls", bytes: 512, rate: None })?;
            println!("{name:<28}{:>14.0}{:>22.2}{:>14}", run.rate, run.cost(), if shunted { "yes" } else { "no" });
        }
    }
    println!("\n{:<12}{:>16}", "program", "ns per frame");
    let loads = [
        (MODES[2].1, "udp", &["tap", "fanout"][..]),
        (MODES[1].1, "udp", &["filter"]),
        (MODES[0].1, STRAY, &["guard"]),
    ];
    for (capture, kind, programs) in loads {
        let told = cost_of_programs(capture, kind)?;
        for program in told["programs"].as_array().into_iter().flatten() {
            let name = program["name"].as_str().unwrap_or_default();
            if let Some(ns) = program["ns_per_packet"].as_f64().filter(|_| programs.contains(&name)) {
                println!("{name:<12}{ns:>16.0}");
            }
        }
    }
    println!(
        "frames for {SECONDS} s; alerts only, starter rules; the sender on processor 0, vigia run on processor 1. Loss is what \
         the ledger has as shed or lost in rings, and what was sent and not read. CPU is of the sensor's process."
    );
    Ok(())
}

/// One run.
struct Run {
    sent: u64,
    /// Frames that the sender sent a second.
    rate: f64,
    /// Frames that were sent and not read, on purpose or not.
    lost: u64,
    cpu_s: f64,
}

impl Run {
    fn cost(&self) -> f64 {
        1e6 * self.cpu_s / self.sent.max(1) as f64
    }
}

/// The highest rate without loss, and its cost.
fn highest(capture: &str, bytes: usize, offered: &Run) -> Result<(f64, f64)> {
    if offered.lost == 0 {
        return Ok((offered.rate, offered.cost()));
    }
    let (mut kept, mut lost, mut cost) = (0.0, offered.rate, f64::NAN);
    for _ in 0..STEPS {
        let middle = f64::midpoint(kept, lost);
        let run = measure(capture, Load { kind: "udp", bytes, rate: Some(middle as u64) })?;
        if run.lost == 0 {
            (kept, cost) = (run.rate, run.cost());
        } else {
            lost = middle;
        }
    }
    Ok((kept, cost))
}

fn measure(capture: &str, load: Load<'_>) -> Result<Run> {
    let bed = Bed::new(QUIET, capture)?;
    let before = cpu_s(bed.sensor.id())?;
    let (sent, seconds) = bed.flood(load, SECONDS)?;
    let status = bed.settled()?;
    let cpu_s = cpu_s(bed.sensor.id())? - before;
    let ledger = &status["interfaces"][0]["ledger"];
    let read = ledger["read"].as_u64().context("no ledger")? + ledger["shunted"].as_u64().unwrap_or(0);
    bed.stop()?;
    Ok(Run { sent, rate: sent as f64 / seconds, lost: sent.saturating_sub(read), cpu_s })
}

/// What `vigia probes` says while frames come.
fn cost_of_programs(capture: &str, kind: &str) -> Result<Value> {
    let bed = Bed::new(QUIET, capture)?;
    let told = std::thread::scope(|scope| {
        let flood = scope.spawn(|| bed.flood(Load { kind, bytes: 512, rate: None }, SECONDS + 2));
        let told = bed.ask(&["probes", "--seconds", "2", "--json"]);
        let flooded = flood.join().map_err(|_| anyhow::anyhow!("the sender failed"))?;
        flooded.and(told)
    })?;
    bed.stop()?;
    Ok(told)
}

/// Time that a process took of the processors, in seconds.
fn cpu_s(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"))?;
    // Behind the name, which may have anything in it: user and system time are the 12th and 13th.
    let numbers: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| numbers.get(at).and_then(|number| number.parse::<f64>().ok());
    Ok((ticks(11).zip(ticks(12)).map(|(user, system)| user + system)).context("no times of the process")? / 100.0)
}
