//! The thread beside the workers that watches the interfaces: what the guards report and what the interfaces count becomes
//! health events and metrics.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use vigia_parsers::Timestamp;
use vigia_probes_abi::Dropped;

use super::lans::{Change, Lans};
use crate::capture::probes::guard;
use crate::capture::probes::tap::{Counted, LAN_NAMES};
use crate::capture::watch::{Observation, Watch};
use crate::event::{Health, HealthOutput};
use crate::language::Language;
use crate::metrics::subject::{
    CAPTURE_MODE, Family, GUARD_DROPPED, GUARDED, LEDGER_DIFFERENCE, LEDGER_IN_FLIGHT, LOST_PACKETS, RECEIVED_BYTES,
    RECEIVED_PACKETS, Reading, TAP_BYTES, TAP_CLASSES, TAP_FORGOTTEN, TAP_FRAMES, TAP_LANS, TAP_SHED, TAP_SIZES,
    TAP_VLANS, TRANSMITTED,
};
use crate::metrics::{Counter, Metrics};

/// How often the guards are asked; how often the interfaces are.
const PAUSE: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches until told to stop, and once more then.
pub(super) fn run(watch: &Watch, metrics: &Metrics, mut health: HealthOutput, lan_silence_s: u32, stop: &AtomicBool) {
    let mut lans = Lans::new(Duration::from_secs(lan_silence_s.into()));
    let mut sent = HashMap::new();
    let mut looked: Option<Instant> = None;
    loop {
        let stopped = stop.load(Ordering::Relaxed);
        watch.reports(|interface, report| tell(&mut health, interface, report));
        if stopped || looked.is_none_or(|then| then.elapsed() >= INTERVAL) {
            looked = Some(Instant::now());
            let observations = publish(watch, metrics);
            for observation in &observations {
                tell_transmitted(&mut health, &mut sent, observation);
            }
            tell_lans(&mut health, &mut lans, &observations);
        }
        if stopped {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Sets the metrics of the interfaces, and gives what they are of.
pub(super) fn publish(watch: &Watch, metrics: &Metrics) -> Vec<Observation> {
    let observations = watch.observe(metrics);
    for observation in &observations {
        let interface = &observation.chosen.interface;
        metrics.set_interface(interface, readings(observation));
        if let Some(ledger) = &observation.ledger {
            metrics.set_ledger(interface, ledger.clone());
        }
    }
    metrics.shared().set(Counter::ShedLevel, watch.shed_level() as u64);
    observations
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(now.as_secs(), now.subsec_nanos())
}

/// A guard's report, in the log and as an event.
fn tell(health: &mut HealthOutput, interface: &str, report: &Dropped) {
    const NOBODY: u32 = 65_534;
    let frame = report.frame.get(..report.length as usize).unwrap_or(&report.frame);
    let cgroup = (report.cgroup != 0).then(|| (report.cgroup, cgroup_path(report.cgroup)));
    tracing::warn!(
        interface,
        kind = format_args!("0x{:04x}", report.kind),
        bytes = report.length,
        user = report.user,
        ?cgroup,
        frame = %frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "something on this machine tried to send on a tap; the guard drops it (further frames of this kind are counted)"
    );
    let dropped = Health::GuardDropped {
        ethertype: report.kind,
        length: report.length,
        user: (report.user != NOBODY).then_some(report.user),
        cgroup,
        frame,
    };
    health.report(now(), interface, &dropped);
}

/// Frames that left past the guard.
fn tell_transmitted(health: &mut HealthOutput, sent: &mut HashMap<String, u64>, observation: &Observation) {
    let Some(total) = observation.transmitted else { return };
    let interface = &observation.chosen.interface;
    let before = sent.insert(interface.clone(), total).unwrap_or(0);
    let packets = total.saturating_sub(before);
    if packets > 0 {
        tracing::error!(interface, packets, "frames left by a tap, past the guard");
        health.report(now(), interface, &Health::Transmitted { packets, total });
    }
}

/// LANs of a redundant network that fell silent, or are heard again. Each may come over an interface of its own.
fn tell_lans(health: &mut HealthOutput, lans: &mut Lans, observations: &[Observation]) {
    let taps = || observations.iter().filter_map(|observation| Some((observation, observation.tap.as_ref()?)));
    let frames = std::array::from_fn(|lan| taps().map(|(_, tap)| tap.lans[lan][0]).sum());
    for (lan, change) in lans.look(Instant::now(), frames) {
        let index = LAN_NAMES.iter().position(|name| *name == lan).unwrap_or_default();
        // The interface by which most of it came.
        let interface = taps().max_by_key(|(_, tap)| tap.lans[index][0]);
        let interface = interface.map_or("", |(observation, _)| observation.chosen.interface.as_str());
        match change {
            Change::Silent(silence) => {
                let seconds = silence.as_secs();
                tracing::error!(
                    interface,
                    lan,
                    seconds,
                    "a LAN of a redundant network is silent; the other one is not"
                );
                health.report(now(), interface, &Health::LanSilent { lan, seconds });
            }
            Change::Heard => {
                tracing::info!(interface, lan, "the LAN is heard again");
                health.report(now(), interface, &Health::LanHeard { lan });
            }
        }
    }
}

/// The path of a cgroup (version 2) in its file system, whose folders have the cgroups' numbers.
fn cgroup_path(number: u64) -> Option<String> {
    const ROOT: &str = "/sys/fs/cgroup";
    const MOST_FOLDERS: usize = 10_000;
    let mut waiting = vec![PathBuf::from(ROOT)];
    for _ in 0..MOST_FOLDERS {
        let folder = waiting.pop()?;
        if folder.metadata().is_ok_and(|metadata| metadata.ino() == number) {
            let path = folder.strip_prefix(ROOT).unwrap_or(Path::new(""));
            return Some(format!("/{}", path.display()));
        }
        let inside = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        waiting.extend(inside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
    }
    None
}

fn readings(observation: &Observation) -> Vec<Reading> {
    let mut readings = Vec::new();
    let mut read = |family: &'static Family, label: &str, value| {
        readings.push(Reading { family, label: label.to_owned(), value });
    };
    read(&CAPTURE_MODE, observation.chosen.mode.name(), 1);
    if let Some(statistics) = &observation.statistics {
        read(&RECEIVED_PACKETS, "", statistics.rx_packets);
        read(&RECEIVED_BYTES, "", statistics.rx_bytes);
        read(&LOST_PACKETS, "dropped", statistics.rx_dropped);
        read(&LOST_PACKETS, "fifo", statistics.rx_fifo);
        read(&LOST_PACKETS, "error", statistics.rx_errors);
    }
    if let Some(transmitted) = observation.transmitted {
        read(&TRANSMITTED, "", transmitted);
    }
    if let Some(tap) = &observation.tap {
        fates(tap).into_iter().for_each(|(fate, frames)| read(&TAP_FRAMES, fate, frames));
        for (class, [frames, bytes]) in &tap.classes {
            read(&TAP_CLASSES, class, *frames);
            read(&TAP_BYTES, class, *bytes);
        }
        tap.shed.iter().for_each(|(class, [frames, _])| read(&TAP_SHED, class, *frames));
        tap.vlans.iter().for_each(|(vlan, [frames, _])| read(&TAP_VLANS, &vlan.to_string(), *frames));
        for (bound, [frames, _]) in &tap.sizes {
            read(&TAP_SIZES, &bound.map_or_else(|| "longer".to_owned(), |bound| bound.to_string()), *frames);
        }
        LAN_NAMES.iter().zip(tap.lans).for_each(|(lan, [frames, _])| read(&TAP_LANS, lan, frames));
        read(&TAP_FORGOTTEN, "", tap.forgotten);
    }
    if let Some(ledger) = &observation.ledger {
        read(&LEDGER_IN_FLIGHT, "", ledger.in_flight.max(0).unsigned_abs());
        read(&LEDGER_DIFFERENCE, "", ledger.difference.unsigned_abs());
    }
    read(&GUARDED, "", observation.guard.is_some().into());
    for (kind, [frames, _]) in observation.guard.iter().flat_map(|guard| &guard.counts.kinds) {
        read(&GUARD_DROPPED, &format!("0x{kind:04x}"), *frames);
    }
    readings
}

/// What became of the frames that the program in the kernel saw.
fn fates(tap: &Counted) -> [(&'static str, u64); 6] {
    let Counted { delivered, ignored, duplicates, shunted, held, .. } = tap;
    [
        ("delivered", delivered[0]),
        ("ignored", ignored[0]),
        ("duplicate", duplicates[0]),
        ("shunted", shunted[0]),
        ("shed", tap.shed_frames()),
        ("held", held[0]),
    ]
}

/// The interfaces as `vigia status` has them. What a person is to read is there in every language: who asks has his own.
pub(super) fn status(watch: &Watch, metrics: &Metrics) -> Value {
    publish(watch, metrics).iter().map(interface_status).collect()
}

fn interface_status(observation: &Observation) -> Value {
    let Observation { chosen, statistics, guard, ledger, transmitted, .. } = observation;
    let sentence = chosen.sentence();
    let languages = [("en", Language::English), ("es", Language::Spanish)];
    let sentence: Map<_, _> =
        languages.into_iter().map(|(key, language)| (key.to_owned(), sentence.text(language).into())).collect();
    json!({
        "interface": chosen.interface,
        "mode": chosen.mode.name(),
        "captured": sentence,
        "received": statistics.map(|statistics| statistics.rx_packets),
        "lost": statistics.map(|statistics| statistics.rx_dropped + statistics.rx_fifo + statistics.rx_errors),
        "transmitted": transmitted,
        "tap": chosen.tap.as_ref().ok().map(|mode| mode.name()),
        "ledger": ledger.as_ref().map(|ledger| {
            let mut entry = json!(ledger);
            entry["balances"] = ledger.balances().into();
            entry
        }),
        "guard": guard.as_ref().map(guard_status),
    })
}

/// A guard in JSON.
pub(crate) fn guard_status(guard::Status { how, counts }: &guard::Status) -> Value {
    let tally = |[frames, bytes]: [u64; 2]| json!({ "frames": frames, "bytes": bytes });
    let kind = |(kind, of): &(u32, [u64; 2])| (format!("0x{kind:04x}"), tally(*of));
    json!({
        "attached": how.to_string(),
        "dropped": tally(counts.total),
        "by_ethertype": counts.kinds.iter().map(kind).collect::<Map<_, _>>(),
    })
}
