//! `cargo xtask bench --live`: what `vigia run` takes from a veth pair while a sender floods it.
//!
//! The sender has a processor of its own and the whole sensor another one. All of it happens in a network namespace made
//! for it, and the sender stops by itself. [`modes`] compares the ways of capture, [`delivery`] measures the way out.

mod delivery;
mod modes;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigia_testbed::{Namespace, Sensor, TAP};

use crate::release;
use crate::tools::{self, Interrupt};

const SECONDS: u64 = 5;

/// Before whatever else the machine does: that is not what is measured.
const NICE: &str = "-15";

/// What the sender sends, and what the sensor writes about it.
const LOADS: [(&str, &str, &str); 3] = [
    ("udp", "alerts only", "events = { flow = false, anomaly = false, records = false, stats = false }\n"),
    ("modbus", "alerts only", "events = { flow = false, anomaly = false, records = false, stats = false }\n"),
    ("modbus", "every record", ""),
];

/// Runs every load once; true when no packet was dropped.
pub fn run() -> Result<bool> {
    ensure!(tools::is_root(), "the live benchmark makes a network namespace: run it as root");
    ensure!(std::thread::available_parallelism()?.get() > 1, "the live benchmark needs two processors");
    tools::install(&tools::PLANT)?;
    let _interrupt = Interrupt::watch()?;
    println!(
        "{:<8}{:<14}{:>12}{:>12}{:>12}{:>10}{:>12}{:>14}",
        "load", "output", "sent", "seen", "processed", "dropped", "frames/s", "events lost"
    );
    let mut kept = true;
    for (load, output, settings) in LOADS {
        kept &= one(load, output, settings)?;
    }
    println!(
        "frames of 512 bytes for {SECONDS} s; the sender on processor 0, vigia run with one worker on processor 1"
    );
    modes::run()?;
    Ok(kept)
}

/// Measures the journal and delivery.
pub fn delivery() -> Result<()> {
    ensure!(tools::is_root(), "the benchmark of delivery makes a network namespace: run it as root");
    tools::install(&tools::PLANT)?;
    let _interrupt = Interrupt::watch()?;
    delivery::run()
}

fn one(load: &str, output: &str, settings: &str) -> Result<bool> {
    let bed = Bed::new(settings, "")?;
    let (sent, seconds) = bed.flood(Load { kind: load, bytes: 512, rate: None }, SECONDS)?;
    let last = bed.settled()?;
    bed.stop()?;
    let packets = &last["packets"];
    let count = |key: &str| packets[key].as_u64().unwrap_or_default();
    let lost: u64 = last["series"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("vigia_journal_lost_events_total"))
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    let of_rings = packets["dropped"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64());
    let shed = last["interfaces"][0]["ledger"]["shed"].as_object().into_iter().flatten();
    let dropped = of_rings.chain(shed.filter_map(|(_, count)| count.as_u64())).sum::<u64>();
    println!(
        "{load:<8}{output:<14}{sent:>12}{:>12}{:>12}{dropped:>10}{:>12.0}{lost:>14}",
        count("seen"),
        count("processed"),
        sent as f64 / seconds
    );
    Ok(dropped == 0 && count("seen") == sent)
}

/// The load that the guard refuses.
const STRAY: &str = "stray";

/// What is sent.
#[derive(Clone, Copy)]
struct Load<'l> {
    kind: &'l str,
    bytes: usize,
    /// Frames a second; as many as can be without.
    rate: Option<u64>,
}

/// A veth pair with a sensor on one end.
struct Bed {
    namespace: Namespace,
    sensor: Sensor,
    config: PathBuf,
}

impl Bed {
    /// With these settings, and these of `capture` besides the interface.
    fn new(settings: &str, capture: &str) -> Result<Self> {
        Self::with_rules(&tools::signatures(), settings, capture)
    }

    /// The same with other rules than those that ship.
    fn with_rules(rules: &Path, settings: &str, capture: &str) -> Result<Self> {
        let folder = tools::target().join("bench/live");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let namespace = Namespace::new("flood")?;
        namespace.ip(&["link", "add", TAP, "type", "veth", "peer", "name", "plant0"])?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        for interface in [TAP, "plant0"] {
            namespace.ip(&["link", "set", interface, "arp", "off", "up"])?;
        }
        let config = folder.join("vigia.toml");
        let interface = format!("interfaces = [{{ name = {TAP:?} }}]");
        let interface = if capture.contains("interfaces") { "" } else { &interface };
        let text = format!(
            "{settings}rules.files = [{:?}]\nrules.addresses.MODBUS_CLIENT = \"10.77.1.0/24\"\n\
             journal.directory = {:?}\ncontrol.socket = {:?}\n[capture]\n{interface}\n{capture}\n",
            rules,
            folder.join("journal"),
            tools::socket("bench"),
        );
        std::fs::write(&config, text)?;
        let vigia = release::program();
        let mut command = namespace.command(Path::new("taskset"));
        command.args(["-c", "1", "nice", "-n", NICE]).arg(&vigia);
        let sensor = Sensor::start(command, &vigia, &config)?;
        Ok(Self { namespace, sensor, config })
    }

    /// Sends for some seconds; gives how many frames, and how long it took.
    fn flood(&self, load: Load<'_>, seconds: u64) -> Result<(u64, f64)> {
        let mut command: Command = self.namespace.command(Path::new("taskset"));
        command.args(["-c", "0", "nice", "-n", NICE]).arg(tools::release("vigia-flood"));
        // What strays is sent by the box itself.
        let interface = if load.kind == STRAY { TAP } else { "plant0" };
        command.args([interface, load.kind, &seconds.to_string(), &load.bytes.to_string()]);
        command.args(load.rate.map(|rate| rate.to_string()));
        let output = command.output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = said.split(' ');
        let sent = words.next().and_then(|word| word.parse().ok()).context("the sender did not say what it sent")?;
        let took = words.nth(1).and_then(|word| word.parse().ok()).context("the sender did not say how long")?;
        Ok((sent, took))
    }

    /// The status once nothing waits in the rings.
    fn settled(&self) -> Result<Value> {
        let end = Instant::now() + Duration::from_secs(10);
        let mut before = Value::Null;
        loop {
            let status = self.sensor.status().with_context(|| self.sensor.log())?;
            let ledger = &status["interfaces"][0]["ledger"];
            if ledger["in_flight"] == 0 && ledger["tap"] == before {
                return Ok(status);
            }
            before = ledger["tap"].clone();
            ensure!(Instant::now() < end, "the rings do not run empty: {ledger}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a command of vigia says of the sensor, in JSON.
    fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(release::program());
        let output = command.args(arguments).arg("--config").arg(&self.config).output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn stop(self) -> Result<()> {
        self.sensor.stop()
    }
}
