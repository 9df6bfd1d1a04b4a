//! `cargo xtask demo`: a small plant, a sensor on its tap, and a story in which a station that nobody listed does harm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::plant::{Plant, TAP};
use crate::tools;

/// Shows the sensor at work: live on a plant in network namespaces, or on a capture file.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask demo\n  cargo xtask demo --capture plant.pcap")]
pub struct Arguments {
    /// Show a capture file instead of the live plant; needs no root.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
}

/// The alerts that the story must raise: signature id and what happened.
const STORY: [(u64, &str); 3] = [
    (9_101_001, "an unknown station writes a coil"),
    (9_101_020, "it scans function codes"),
    (9_102_001, "it restarts the outstation"),
];

/// How long the plant polls in peace, and how long the whole story takes at the most.
const PEACE: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(45);

/// Runs the demo.
pub fn run(arguments: &Arguments) -> Result<()> {
    tools::cargo(&["build", "--release", "--package", "vigia"])?;
    match &arguments.capture {
        Some(capture) => replay(capture),
        None => live(),
    }
}

fn replay(capture: &Path) -> Result<()> {
    let out = fresh("demo/replay")?;
    let output = Command::new(tools::release("vigia"))
        .arg("replay")
        .arg(capture)
        .arg("--rules")
        .arg(tools::root().join("rules/signatures"))
        .args(["--json", "--output"])
        .arg(&out)
        .stderr(Stdio::inherit())
        .output()?;
    let eve = out.join("eve.json");
    let mut tail = Tail::default();
    tail.read(&eve)?;
    let summary: Value = serde_json::from_slice(&output.stdout).context("the summary of the replay")?;
    close(&summary, &tail, &eve, "of a running sensor only (cargo xtask demo)");
    ensure!(output.status.success(), "the replay ended with {}", output.status);
    Ok(())
}

fn live() -> Result<()> {
    ensure!(tools::is_root(), "the live demo makes network namespaces: run it as root, or give it --capture FILE");
    tools::install(&[("iproute2", "/usr/sbin/ip"), ("procps", "/usr/sbin/sysctl")])?;
    let python = tools::peers()?;
    let out = fresh("demo/live")?;
    let config = settings(&out)?;
    let mut plant = Plant::build("demo")?;
    println!("plant: PLC 10.66.0.10, HMI 10.66.0.20, outstation 10.66.0.30, master 10.66.0.40; a tap sees it all");
    let mut sensor = Sensor::start(&plant, &config)?;
    let end = PEACE.as_secs() + 15;
    plant.start("plc", &python, "plc.py", &["10.66.0.10"])?;
    plant.start("outstation", &python, "outstation.py", &["10.66.0.30"])?;
    sleep(Duration::from_secs(1));
    plant.start("hmi", &python, "hmi.py", &["10.66.0.10", &end.to_string()])?;
    plant.start("master", &python, "master.py", &["10.66.0.30", &end.to_string()])?;
    println!("story: the HMI and the master poll; nothing is to be said for {} s", PEACE.as_secs());
    let alerts = out.join("journal/alerts");
    let mut tail = Tail::default();
    sensor.watch(&mut tail, &alerts, Instant::now() + PEACE, |_| false)?;
    println!("story: 10.66.0.66, which nobody listed, writes a coil, scans function codes, restarts the outstation");
    plant.start("intruder", &python, "intruder.py", &["10.66.0.10", "10.66.0.30"])?;
    sensor.watch(&mut tail, &alerts, Instant::now() + AT_MOST, |seen| missing(seen).is_empty())?;
    let status = sensor.status(&plant, &config)?;
    drop(plant);
    sensor.stop()?;
    tail.read_all(&alerts)?;
    close(
        &status,
        &tail,
        &out.join("journal"),
        "http://127.0.0.1:9477/metrics in the sensor's namespace while it runs",
    );
    let missing = missing(&tail);
    ensure!(missing.is_empty(), "no alert said that {}", missing.join(", nor that "));
    Ok(())
}

/// What of the story no alert has told yet.
fn missing(tail: &Tail) -> Vec<&'static str> {
    STORY.iter().filter(|(signature, _)| !tail.alerts.contains_key(signature)).map(|(_, what)| *what).collect()
}

fn settings(out: &Path) -> Result<PathBuf> {
    let path = out.join("vigia.toml");
    let text = format!(
        r#"# Written by `cargo xtask demo`.
[sensor]
name = "demo"

[[capture.interfaces]]
name = "{TAP}"

[rules]
files = ["{signatures}"]

[rules.addresses]
MODBUS_CLIENT = "10.66.0.20"
DNP3_CLIENT = "10.66.0.40"

[journal]
directory = "{out}/journal"

[metrics]
address = "127.0.0.1:9477"

[control]
socket = "{out}/vigia.sock"
"#,
        signatures = tools::root().join("rules/signatures").display(),
        out = out.display(),
    );
    fs::write(&path, text)?;
    Ok(path)
}

/// The running sensor; stopped at the latest when dropped.
struct Sensor {
    process: Child,
}

impl Sensor {
    fn start(plant: &Plant, config: &Path) -> Result<Self> {
        let log = fs::File::create(config.with_file_name("vigia.log"))?;
        let mut command = plant.command("sensor", &tools::release("vigia"));
        let process = command.arg("run").arg("--config").arg(config).stdout(log.try_clone()?).stderr(log).spawn()?;
        let sensor = Self { process };
        let end = Instant::now() + Duration::from_secs(10);
        while sensor.status(plant, config).is_err() {
            ensure!(
                Instant::now() < end,
                "the sensor did not start: {}",
                last_lines(&config.with_file_name("vigia.log"))
            );
            sleep(Duration::from_millis(100));
        }
        Ok(sensor)
    }

    /// Prints alerts as they are raised, until `enough` or the end.
    fn watch(&mut self, tail: &mut Tail, alerts: &Path, end: Instant, enough: impl Fn(&Tail) -> bool) -> Result<()> {
        while Instant::now() < end && !enough(tail) {
            if let Some(status) = self.process.try_wait()? {
                bail!("the sensor ended with {status}");
            }
            tail.read_all(alerts)?;
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn status(&self, plant: &Plant, config: &Path) -> Result<Value> {
        let mut command = plant.command("sensor", &tools::release("vigia"));
        let output = command.args(["status", "--json", "--config"]).arg(config).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Asks the sensor to drain and end, and waits for it.
    fn stop(&mut self) -> Result<()> {
        Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the sensor ended with {status}");
        Ok(())
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Follows event files that only grow, and prints their alerts.
#[derive(Default)]
struct Tail {
    read: BTreeMap<PathBuf, usize>,
    /// Alerts by signature id.
    alerts: BTreeMap<u64, u64>,
}

impl Tail {
    /// New lines of every plain segment of a stream.
    fn read_all(&mut self, folder: &Path) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
        paths.iter().try_for_each(|path| self.read(path))
    }

    fn read(&mut self, path: &Path) -> Result<()> {
        let text = fs::read(path)?;
        let at = self.read.entry(path.to_owned()).or_default();
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n').filter(|end| end >= at) else { return Ok(()) };
        let lines = String::from_utf8_lossy(&text[*at..=end]).into_owned();
        *at = end + 1;
        for event in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if event["event_type"] == "alert" {
                *self.alerts.entry(event["alert"]["signature_id"].as_u64().unwrap_or_default()).or_default() += 1;
                println!("{}", line(&event));
            }
        }
        Ok(())
    }
}

/// An alert on one line.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!(
        "ALERT {} severity {} {:<45} {}:{} -> {}:{}",
        text(&event["timestamp"]),
        event["alert"]["severity"],
        text(&event["alert"]["signature"]),
        text(&event["src_ip"]),
        event["src_port"],
        text(&event["dest_ip"]),
        event["dest_port"]
    )
}

/// The closing table.
fn close(status: &Value, tail: &Tail, eve: &Path, metrics: &str) {
    let packets = &status["packets"];
    println!();
    println!("packets seen      {:>10}", packets["seen"]);
    println!("  processed       {:>10}", packets["processed"]);
    println!("  shunted         {:>10}", packets["shunted"]);
    let dropped = packets["dropped"].as_object().cloned().unwrap_or_default();
    for (cause, count) in &dropped {
        println!("  dropped {cause:<10}{count:>8}");
    }
    println!(
        "  balance         {:>10}",
        if packets["in_flight"] == 0 { "exact".to_owned() } else { format!("{} in flight", packets["in_flight"]) }
    );
    println!("alerts raised     {:>10}", tail.alerts.values().sum::<u64>());
    println!("events            {}", eve.display());
    println!("metrics           {metrics}");
}

fn fresh(name: &str) -> Result<PathBuf> {
    let folder = tools::target().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
