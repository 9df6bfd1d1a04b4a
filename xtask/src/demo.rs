//! `cargo xtask demo`: a small plant, a sensor on its tap, and a story in which a station that nobody listed does harm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use vigia_testbed::{Events, Plant, Sensor, TAP};

use crate::tools::{self, Interrupt, Language};

/// Shows the sensor at work: live on a plant in network namespaces, or on a capture file.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask demo\n  cargo xtask demo --capture plant.pcap")]
pub struct Arguments {
    /// Show a capture file instead of the live plant; needs no root.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Language of what is shown [default: as LC_ALL, LC_MESSAGES or LANG say]
    #[arg(long)]
    lang: Option<Language>,
}

/// What the story must raise alerts for: the signature, and what happens, in English and Spanish.
const STORY: [(u64, &str, &str); 9] = [
    (9_101_001, "a station that nobody listed writes a coil", "una estación que nadie declaró escribe una bobina"),
    (9_101_020, "it scans function codes", "explora los códigos de función"),
    (9_102_001, "it restarts the outstation", "reinicia la estación remota (outstation)"),
    (9_104_010, "it stops the S7 controller", "detiene el controlador S7"),
    (9_107_010, "it restarts the controller of the ventilation", "reinicia el controlador de la ventilación"),
    (9_106_001, "it operates an output of the IED", "acciona una salida del IED"),
    (9_103_001, "it commands a set point of the substation", "ordena una consigna a la subestación"),
    (9_105_501, "it writes a tag of the line's controller", "escribe una etiqueta del controlador de la línea"),
    (9_108_010, "it commands a pump through the broker", "ordena a una bomba a través del broker"),
];

/// Who may do what: variables of the rules, and the hosts of the plant that are in them.
const LISTED: [(&str, &[&str]); 12] = [
    ("MODBUS_CLIENT", &["hmi"]),
    ("MODBUS_SERVER", &["plc"]),
    ("DNP3_CLIENT", &["master"]),
    ("DNP3_SERVER", &["outstation"]),
    ("S7_CLIENT", &["panel"]),
    ("BACNET_CLIENT", &["ventilation", "workstation"]),
    ("MMS_CLIENT", &["station"]),
    ("IEC104_CLIENT", &["centre"]),
    ("ENIP_CLIENT", &["scada"]),
    ("MQTT_CLIENT", &["edge", "host"]),
    ("MQTT_SERVER", &["broker"]),
    ("SPARKPLUG_HOST", &["host"]),
];

/// How long the plant polls in peace, and how long the rest of the story takes at the most.
const PEACE: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(30);

/// Where the sensor of the demo serves its metrics: loopback in a namespace of its own, so any port is free.
const METRICS: &str = "http://127.0.0.1:9464/metrics";

/// Runs the demo.
pub fn run(arguments: &Arguments) -> Result<()> {
    let language = arguments.lang.unwrap_or_else(Language::of_environment);
    match &arguments.capture {
        Some(capture) => {
            tools::cargo(&["build", "--release", "--package", "vigia"])?;
            replay(capture, language)
        }
        None => {
            let ready = language.say(
                "the live demo makes network namespaces: run it as root, or give it --capture FILE",
                "la demo en vivo crea espacios de red: ejecútela como root, o dele --capture FILE",
            );
            ensure!(tools::is_root(), "{ready}");
            tools::install(&tools::PLANT)?;
            let python = tools::peers()?;
            tools::cargo(&["build", "--release", "--package", "vigia"])?;
            let interrupt = Interrupt::watch()?;
            let told = live(&python, &interrupt, language);
            interrupt.check()?;
            told
        }
    }
}

fn replay(capture: &Path, language: Language) -> Result<()> {
    let out = fresh("demo/replay")?;
    let output = Command::new(tools::release("vigia"))
        .arg("replay")
        .arg(capture)
        .arg("--config")
        .arg(settings(&out)?)
        .args(["--json", "--output"])
        .arg(&out)
        .stderr(Stdio::inherit())
        .output()?;
    let mut alerts = Alerts::new(&out);
    alerts.show()?;
    let failed = || format!("vigia replay: {}", output.status);
    let summary: Value = serde_json::from_slice(&output.stdout).with_context(failed)?;
    let metrics = language.say("of a running sensor only", "solo de un sensor en marcha");
    close(language, &summary, &alerts, &out.join("eve.json"), metrics)?;
    ensure!(output.status.success(), "{}", failed());
    Ok(())
}

fn live(python: &Path, interrupt: &Interrupt, language: Language) -> Result<()> {
    let began = Instant::now();
    let say = |english: &str, spanish: &str| {
        println!("[{:>4.1} s] {}", began.elapsed().as_secs_f32(), language.say(english, spanish));
    };
    let out = fresh("demo/live")?;
    let config = settings(&out)?;
    let mut plant = Plant::build(python)?;
    let vigia = tools::release("vigia");
    let mut sensor = Sensor::start(plant.sensor().command(&vigia), &vigia, &config)?;
    let stations = Plant::stations().map(|(host, address)| format!("{host} {address}")).collect::<Vec<_>>().join(", ");
    say(&format!("plant: {stations}; vigia run on its tap"), &format!("planta: {stations}; vigia run en su tap"));
    plant.start_servers()?;
    plant.start_clients((PEACE + AT_MOST).as_secs())?;
    let peace = PEACE.as_secs();
    say(
        &format!("the clients poll their servers; for {peace} s there is nothing to say"),
        &format!("los clientes consultan a sus servidores; durante {peace} s no hay nada que decir"),
    );
    let mut alerts = Alerts::new(&out.join("journal/alerts"));
    alerts.watch(&mut sensor, interrupt, began.elapsed() + PEACE, began, |_| false)?;
    let early: u64 = alerts.by_signature.values().sum();
    ensure!(early == 0, "{early} {}", language.say("alerts on normal polling", "alertas con las consultas normales"));
    let tell = |(_, english, spanish): &(u64, &'static str, &'static str)| language.say(english, spanish);
    let deeds = STORY.iter().map(tell).collect::<Vec<_>>().join("; ");
    say(&format!("10.66.0.66: {deeds}"), &format!("10.66.0.66: {deeds}"));
    plant.start_intruder(1.0)?;
    let missing = |alerts: &Alerts| -> Vec<_> {
        STORY.iter().filter(|(signature, ..)| !alerts.by_signature.contains_key(signature)).map(tell).collect()
    };
    let end = began.elapsed() + AT_MOST;
    alerts.watch(&mut sensor, interrupt, end, began, |alerts| missing(alerts).is_empty())?;
    plant.silence()?;
    let status = sensor.await_packets(plant.sensor().received(TAP)?)?;
    let metrics = scrape(&plant, python, &out)?;
    sensor.stop()?;
    drop(plant);
    alerts.show()?;
    let metrics = format!("{METRICS}; {} {metrics}", language.say("its last answer:", "su última respuesta:"));
    close(language, &status, &alerts, &out.join("journal/{alerts,records}/*.ndjson"), &metrics)?;
    let missing = missing(&alerts).join("; ");
    ensure!(missing.is_empty(), "{}: {missing}", language.say("no alert said", "ninguna alerta dijo"));
    Ok(())
}

/// Keeps the last answer of `/metrics`: the sensor of the demo is gone when a person reads where it was.
fn scrape(plant: &Plant, python: &Path, out: &Path) -> Result<String> {
    let get = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())";
    let output = plant.sensor().command(python).args(["-c", get, METRICS]).output()?;
    ensure!(output.status.success(), "{METRICS}: {}", String::from_utf8_lossy(&output.stderr));
    let file = out.join("metrics.txt");
    fs::write(&file, output.stdout)?;
    Ok(file.display().to_string())
}

/// The settings of the demo. They list the stations of its plant: whoever else writes in a capture is a stranger.
fn settings(out: &Path) -> Result<PathBuf> {
    let path = out.join("vigia.toml");
    let listed = LISTED.map(|(variable, hosts)| {
        let addresses: Vec<_> = hosts.iter().map(|host| Plant::address(host)).collect();
        format!("{variable} = \"[{}]\"", addresses.join(","))
    });
    let text = format!(
        r#"# Written by `cargo xtask demo`.
[sensor]
name = "demo"

[[capture.interfaces]]
name = "{TAP}"

[rules]
files = [{signatures:?}]

[rules.addresses]
{listed}

[journal]
directory = {journal:?}

[control]
socket = {socket:?}
"#,
        listed = listed.join("\n"),
        signatures = tools::signatures(),
        journal = out.join("journal"),
        socket = tools::socket("demo"),
    );
    fs::write(&path, text)?;
    Ok(path)
}

/// The alerts so far.
struct Alerts {
    events: Events,
    by_signature: BTreeMap<u64, u64>,
}

impl Alerts {
    fn new(folder: &Path) -> Self {
        Self { events: Events::follow(folder), by_signature: BTreeMap::new() }
    }

    /// Prints alerts as they are raised, until `enough` or until so long after the beginning.
    fn watch(
        &mut self,
        sensor: &mut Sensor,
        interrupt: &Interrupt,
        end: Duration,
        began: Instant,
        enough: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        while began.elapsed() < end && !enough(self) {
            interrupt.check()?;
            if let Some(status) = sensor.ended()? {
                bail!("the sensor ended with {status}:\n{}", sensor.log());
            }
            self.show()?;
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Prints the alerts raised since the last time.
    fn show(&mut self) -> Result<()> {
        for event in self.events.fresh()?.iter().filter(|event| event["event_type"] == "alert") {
            let signature = event["alert"]["signature_id"].as_u64().unwrap_or_default();
            *self.by_signature.entry(signature).or_default() += 1;
            println!("{}", line(event));
        }
        Ok(())
    }
}

/// An alert on one line.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let end = |address: &Value, port: &Value| match port.as_u64() {
        Some(port) => format!("{}:{port}", text(address)),
        None => text(address),
    };
    format!(
        "  ALERT {} [{}] {} ({}) {} -> {}",
        text(&event["timestamp"]),
        event["alert"]["severity"],
        text(&event["alert"]["signature"]),
        event["alert"]["signature_id"],
        end(&event["src_ip"], &event["src_port"]),
        end(&event["dest_ip"], &event["dest_port"])
    )
}

/// The closing table. Fails when packets are missing from the sum.
fn close(language: Language, status: &Value, alerts: &Alerts, eve: &Path, metrics: &str) -> Result<()> {
    let packets = &status["packets"];
    let row = |english: &str, spanish: &str, value: &dyn std::fmt::Display| {
        println!("{:<28}{value:>10}", language.say(english, spanish));
    };
    let count = |key: &str| packets[key].as_u64().unwrap_or_default();
    println!();
    row("packets seen", "paquetes vistos", &count("seen"));
    row("  = processed", "  = procesados", &count("processed"));
    row("  + shunted", "  + desviados", &count("shunted"));
    let mut dropped = 0;
    for (cause, lost) in packets["dropped"].as_object().into_iter().flatten() {
        dropped += lost.as_u64().unwrap_or_default();
        row(&format!("  + dropped: {cause}"), &format!("  + descartados: {cause}"), lost);
    }
    if dropped == 0 {
        row("  + dropped", "  + descartados", &0);
    }
    row("alerts raised", "alertas emitidas", &alerts.by_signature.values().sum::<u64>());
    println!("{:<20}{}", "EVE", eve.display());
    println!("{:<20}{metrics}", "/metrics");
    let sum = count("processed") + count("shunted") + dropped;
    let unbalanced = language.say("the sum is another one", "la suma es otra");
    ensure!(sum == count("seen"), "{unbalanced}: {packets}");
    Ok(())
}

/// A recording of the plant's polling and of the story, for benchmarks where no other captures are.
pub fn recorded() -> Result<PathBuf> {
    ensure!(tools::is_root(), "without captures beside the project the plant is recorded, which needs root");
    tools::install(&tools::PLANT)?;
    let python = tools::peers()?;
    let _interrupt = Interrupt::watch()?;
    let file = tools::target().join("bench/plant.pcap");
    let mut plant = Plant::build(&python)?;
    println!("recording the demo plant for 15 s: {}", file.display());
    plant.start_servers()?;
    plant.start_clients(20)?;
    plant.start_intruder(1.0)?;
    plant.record(&file, 15)?;
    Ok(file)
}

fn fresh(name: &str) -> Result<PathBuf> {
    let folder = tools::target().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
