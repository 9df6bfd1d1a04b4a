//! `cargo xtask bench --live`: what `vigia run` takes from a veth pair while a sender floods it.
//!
//! The sender has a processor of its own and the whole sensor another one. All of it happens in a network namespace made
//! for it, and the sender stops by itself.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigia_testbed::{Namespace, Sensor, TAP};

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
    Ok(kept)
}

fn one(load: &str, output: &str, settings: &str) -> Result<bool> {
    let folder = tools::target().join("bench/live");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let namespace = Namespace::new("flood")?;
    namespace.ip(&["link", "add", TAP, "type", "veth", "peer", "name", "plant0"])?;
    for interface in [TAP, "plant0"] {
        namespace.ip(&["link", "set", interface, "arp", "off", "up"])?;
    }
    let config = folder.join("vigia.toml");
    let text = format!(
        "{settings}capture.interfaces = [{{ name = {TAP:?} }}]\nrules.files = [{:?}]\n\
         rules.addresses.MODBUS_CLIENT = \"10.77.1.0/24\"\njournal.directory = {:?}\ncontrol.socket = {:?}\n",
        tools::signatures(),
        folder.join("journal"),
        tools::socket("bench"),
    );
    std::fs::write(&config, text)?;
    let vigia = tools::release("vigia");
    let mut command = namespace.command(Path::new("taskset"));
    command.args(["-c", "1", "nice", "-n", NICE]).arg(&vigia);
    let sensor = Sensor::start(command, &vigia, &config)?;
    let sender = pinned(&namespace, &tools::release("vigia-flood"), load)?;
    let mut words = sender.split(' ');
    let sent: u64 = words.next().and_then(|word| word.parse().ok()).context("the sender did not say what it sent")?;
    let seconds: f64 = words.nth(1).and_then(|word| word.parse().ok()).context("the sender did not say how long")?;
    let status = sensor.await_packets(sent);
    let last = status.as_ref().map_or(Value::Null, Clone::clone);
    let log = sensor.log();
    sensor.stop()?;
    status.with_context(|| log)?;
    let packets = &last["packets"];
    let count = |key: &str| packets[key].as_u64().unwrap_or_default();
    let lost: u64 = last["series"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("vigia_journal_lost_events_total"))
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    let dropped: u64 =
        packets["dropped"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    println!(
        "{load:<8}{output:<14}{sent:>12}{:>12}{:>12}{dropped:>10}{:>12.0}{lost:>14}",
        count("seen"),
        count("processed"),
        sent as f64 / seconds
    );
    std::fs::remove_dir_all(folder.join("journal"))?;
    Ok(dropped == 0 && count("seen") == sent)
}

fn pinned(namespace: &Namespace, sender: &Path, load: &str) -> Result<String> {
    let mut command: Command = namespace.command(Path::new("taskset"));
    command.args(["-c", "0", "nice", "-n", NICE]).arg(sender).args(["plant0", load, &SECONDS.to_string()]);
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
