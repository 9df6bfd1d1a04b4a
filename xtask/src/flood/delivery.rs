//! What the journal takes and how soon, how fast it is delivered, and what sinks that are dead cost the workers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bed, Load};
use crate::tools;

/// Alerts alone, as settings are.
const SETTINGS: &str = "events = { flow = false, anomaly = false, records = false, stats = false }\n";
/// The same, on disk before the next ones are written.
const SYNCED: &str = "journal.alerts_sync = \"always\"\n\
    events = { flow = false, anomaly = false, records = false, stats = false }\n";
const RULE: &str = "alert modbus any any -> any any (msg:\"delivery\"; modbus: function 23; sid:1;)\n";

/// Alerts a second that the journal is to take.
const RATE: u64 = 50_000;
/// Alerts a second at which it is measured how soon they are journalled, and for how many seconds: the first alerts after a start
/// find no memory that is warm, and are not to be all that the slowest of a hundred is about.
const SOON: (u64, u64) = (10_000, 30);
/// When alerts are synced, and the settings for it.
const POLICIES: [(&str, &str); 2] = [("at an interval", SETTINGS), ("always", SYNCED)];

const SECONDS: u64 = 5;
/// Pairs of runs without sinks and with dead ones.
const PAIRS: usize = 5;

const NATS: &str = "/usr/sbin/nats-server";
const PORT: u16 = 4999;

/// Sinks that nobody listens for.
const DEAD: &str = "[[export]]\nname = \"http\"\nhttp = { url = \"http://127.0.0.1:9\", format = \"elasticsearch\" }\n\
    [[export]]\nname = \"nats\"\nnats = { url = \"nats://127.0.0.1:9\" }\n\
    [[export]]\nname = \"mqtt\"\nmqtt = { address = \"127.0.0.1:9\" }\n\
    [[export]]\nname = \"redis\"\nredis = { address = \"127.0.0.1:9\" }\n\
    [[export]]\nname = \"syslog\"\nsyslog = { address = \"127.0.0.1:9\" }\n\
    [[export]]\nname = \"unix\"\nunix = { path = \"/nowhere/socket\" }\n";

/// Prints all of it.
pub(super) fn run() -> Result<()> {
    println!(
        "\n{:<16}{:>10}{:>12}{:>12}{:>8}{:>18}{:>16}",
        "alerts synced", "alerts/s", "sent", "journalled", "lost", "p50, p99 within", "a sync's p99"
    );
    for ((policy, settings), (rate, seconds)) in
        POLICIES.into_iter().flat_map(|policy| [SOON, (RATE, SECONDS)].map(|load| (policy, load)))
    {
        let bed = bed(settings, "")?;
        let (sent, _) = bed.flood(load(Some(rate)), seconds)?;
        let status = written(&bed)?;
        let metrics = metrics(&bed)?;
        let within = |family, share| Ok::<_, anyhow::Error>(format!("{} ms", within(&metrics, family, share)?));
        let latency = [0.5, 0.99].map(|share| within("vigia_packet_to_journal_seconds", share));
        let [p50, p99] = latency;
        println!(
            "{policy:<16}{rate:>10}{sent:>12}{:>12}{:>8}{:>18}{:>16}",
            journalled(&status),
            lost(&status),
            format!("{}, {}", p50?, p99?),
            within("vigia_journal_sync_seconds", 0.99)?
        );
        bed.stop()?;
    }
    println!(
        "frames of 512 bytes for {} and {SECONDS} s, one every 100 µs or as many as the rate needs then; the sender on processor 0, \
         vigia run on processor 1. Times are the upper bounds of buckets, from the capture of a packet until its alert is written, and \
         synced where that is always; each alert counts with the first that was written with it.",
        SOON.1
    );
    println!("\n{:<12}{:>12}{:>12}", "sink", "alerts", "alerts/s");
    let sinks: [(&str, String, &str); 2] = [
        ("http bulk", format!("http = {{ url = \"http://127.0.0.1:{PORT}\", format = \"elasticsearch\" }}"), ""),
        ("nats", format!("nats = {{ url = \"nats://127.0.0.1:{PORT}\", subject = \"vigia\" }}"), NATS),
    ];
    for (name, settings, program) in sinks {
        if !program.is_empty() && !Path::new(program).exists() {
            println!("{name:<12}skipped: no {program}");
            continue;
        }
        let (alerts, rate) = drained(&settings, program)?;
        println!("{name:<12}{alerts:>12}{rate:>12.0}");
    }
    dead()
}

/// A sensor with these settings and sinks, of which every transaction of the load raises an alert.
fn bed(settings: &str, exports: &str) -> Result<Bed> {
    let folder = tools::target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let rules = folder.join("delivery.rules");
    std::fs::write(&rules, RULE)?;
    Bed::with_rules(&rules, settings, &format!("{exports}\n"))
}

fn load(rate: Option<u64>) -> Load<'static> {
    Load { kind: "modbus", bytes: 512, rate }
}

/// Fills the journal while the sink is away; gives how many alerts, and how many a second it took once it was there.
fn drained(settings: &str, program: &str) -> Result<(u64, f64)> {
    let bed = bed(SYNCED, &format!("[[export]]\nname = \"soc\"\nretry_max_s = 1\nevents = [\"alert\"]\n{settings}"))?;
    bed.flood(load(Some(RATE)), SECONDS)?;
    written(&bed)?;
    sleep(Duration::from_secs(1));
    let waiting = || -> Result<u64> {
        let status = bed.sensor.status()?;
        status["exports"][0]["lag"]["alerts"]["events"].as_u64().context("no lag")
    };
    let all = waiting()?;
    let _server = match program {
        "" => Server::start(&bed, tools::release("vigia-sink"), &["bulk", &PORT.to_string()])?,
        _ => {
            let server = Server::start(&bed, program.into(), &["-js", "-p", &PORT.to_string(), "-sd", "/nonexistent"])?;
            sleep(Duration::from_secs(1));
            let mut command = bed.namespace.command(&tools::release("vigia-sink"));
            let made = command.args(["stream", &PORT.to_string(), "vigia"]).status()?;
            ensure!(made.success(), "no stream was made");
            server
        }
    };
    let mut begun = None;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let left = waiting()?;
        let (first, start) = *begun.get_or_insert((left, Instant::now()));
        if left == 0 {
            ensure!(first > 0, "it was all delivered at once");
            return Ok((all, first as f64 / start.elapsed().as_secs_f64()));
        }
        if left == all {
            begun = None;
        }
        ensure!(Instant::now() < end, "{left} of {all} alerts are still not delivered");
        sleep(Duration::from_millis(20));
    }
}

/// What a worker takes beside sinks that are dead, against what it takes without any.
fn dead() -> Result<()> {
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..PAIRS {
        for (taken, exports) in taken.iter_mut().zip(["", DEAD]) {
            let bed = bed("", exports)?;
            let (_, seconds) = bed.flood(load(None), SECONDS)?;
            let status = bed.settled()?;
            taken.push(status["packets"]["processed"].as_u64().unwrap_or_default() as f64 / seconds);
            bed.stop()?;
        }
    }
    let [without, with] = taken.map(|mut taken| {
        taken.sort_unstable_by(f64::total_cmp);
        taken[PAIRS / 2]
    });
    println!(
        "\npackets/s with every event: {without:.0} without sinks, {with:.0} with six that are dead ({:+.1} %); medians of \
         {PAIRS} runs of {SECONDS} s each, in turn",
        100.0 * (with / without - 1.0)
    );
    Ok(())
}

/// The sensor's metrics.
fn metrics(bed: &Bed) -> Result<String> {
    let mut command = bed.namespace.command(&tools::release("vigia-sink"));
    let output = command.args(["get", "9464", "/metrics"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Within how many milliseconds a share of what a histogram of the alerts counted was.
fn within(metrics: &str, family: &str, share: f64) -> Result<f64> {
    let buckets: Vec<(f64, f64)> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(family)?.strip_prefix("_bucket{")?.split_once("} "))
        .filter(|(labels, _)| labels.contains("stream=\"alerts\""))
        .filter_map(|(labels, count)| {
            let bound = labels.split_once("le=\"")?.1.split('"').next()?;
            Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? }, count.parse().ok()?))
        })
        .collect();
    let all = buckets.last().with_context(|| format!("no histogram {family}"))?.1;
    let bucket = buckets.iter().find(|bucket| bucket.1 >= share * all).context("an empty histogram")?;
    Ok(1e3 * bucket.0)
}

/// The status once all that matched is written or lost.
fn written(bed: &Bed) -> Result<Value> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let status = bed.settled()?;
        let matched = status["series"]["vigia_signature_matches_total"].as_u64().context("no count of matches")?;
        let written = journalled(&status);
        if written + lost(&status) >= matched {
            return Ok(status);
        }
        ensure!(Instant::now() < end, "{written} of {matched} alerts are written");
    }
}

fn journalled(status: &Value) -> u64 {
    status["series"]["vigia_journal_events_total{stream=\"alerts\"}"].as_u64().unwrap_or_default()
}

fn lost(status: &Value) -> u64 {
    let series = status["series"].as_object().into_iter().flatten();
    let lost = series.filter(|(name, _)| name.starts_with("vigia_journal_lost_events_total"));
    lost.filter_map(|(_, count)| count.as_u64()).sum()
}

/// A server where the sensor is; it goes when this is dropped.
struct Server(Child);

impl Server {
    fn start(bed: &Bed, program: PathBuf, arguments: &[&str]) -> Result<Self> {
        // On the processor that the sender had.
        let mut command: Command = bed.namespace.command(Path::new("taskset"));
        command.args(["-c", "0"]).arg(program).args(arguments);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
