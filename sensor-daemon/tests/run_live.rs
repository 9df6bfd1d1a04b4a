//! `vigia run` as an operator has it: with few capabilities, without those for the kernel's programs, killed and started again,
//! asked about its programs. Needs root, which it gives away.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vigia_testbed::Sensor;
use wire::{Session, Way, read_registers};

/// What the manual says that a sensor needs.
const CAPABILITIES: [&str; 5] = ["bpf", "net_admin", "net_raw", "perfmon", "ipc_lock"];

/// A folder that every user may write to, and a configuration in it.
fn folder(capture: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let config = folder.path().join("vigia.toml");
    let text = format!(
        "metrics.enabled = false\ncontrol.socket = {:?}\njournal.directory = {:?}\n\
         [capture]\ninterfaces = [{{ name = \"tap0\" }}]\n{capture}\n",
        folder.path().join("control.sock"),
        folder.path().join("journal"),
    );
    std::fs::write(&config, text).unwrap();
    (folder, config)
}

fn polls(port: u16) -> Vec<Vec<u8>> {
    let mut session = Session::new(([10, 1, 0, 1], port), ([10, 1, 1, 1], 502));
    let mut frames = session.handshake().to_vec();
    for transaction in 0..50 {
        let [request, response] = read_registers(transaction);
        frames.extend([session.say(Way::ToServer, &request), session.say(Way::ToClient, &response)]);
    }
    frames
}

/// All polls arrive and are understood.
fn assert_watches(plant: &live::Tap, sensor: &Sensor, port: u16, before: u64) -> Value {
    let frames = polls(port);
    frames.iter().for_each(|frame| plant.send(frame));
    let messages = |status: &Value| live::series(status, "vigia_messages_total{protocol=\"modbus\"}");
    live::wait(sensor, "the polls", |status| messages(status) == before + 100)
}

#[test]
fn a_user_with_five_capabilities_has_it_all() {
    for mode in ["auto", "af-xdp"] {
        let Some(plant) = live::Tap::new() else { return };
        let (_folder, config) = folder(&format!("mode = {mode:?}\nworkers = 2"));
        let sensor = plant.watch_as_nobody(&config, &CAPABILITIES).unwrap();
        let status = assert_watches(&plant, &sensor, 40_000, 0);
        let interface = &status["interfaces"][0];
        assert_eq!(interface["tap"], "xdp-native", "{}", sensor.log());
        assert_eq!(interface["mode"], if mode == "auto" { "af-packet-ebpf" } else { "af-xdp-copy" });
        assert!(interface["guard"]["attached"].is_string(), "{status:#}");
        assert_eq!(interface["ledger"]["balances"], true);
        sensor.stop().unwrap();
    }
}

#[test]
fn a_user_who_may_not_load_programs_captures_without_them_and_is_told() {
    let Some(plant) = live::Tap::new() else { return };
    let (_folder, config) = folder("workers = 2");
    let sensor = plant.watch_as_nobody(&config, &["net_raw"]).unwrap();
    let status = assert_watches(&plant, &sensor, 40_000, 0);
    let interface = &status["interfaces"][0];
    assert_eq!((&interface["mode"], &interface["tap"]), (&"af-packet-hash".into(), &Value::Null));
    assert_eq!((&interface["guard"], &interface["ledger"]), (&Value::Null, &Value::Null));
    let told = interface["captured"]["en"].as_str().unwrap();
    let why = "the kernel does not let Vig\u{ed}a load its programs (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)";
    assert!(told.contains(&format!("not by af-packet-ebpf: {why}")), "{told}");
    assert!(told.ends_with(&format!("without the kernel's tap: {why}")), "{told}");
    sensor.stop().unwrap();

    let (_folder, config) = folder("mode = \"af-xdp\"");
    let refused = plant.watch_as_nobody(&config, &["net_raw"]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("tap0: cannot be captured") && refused.contains(why), "{refused}");
}

#[test]
fn a_sensor_that_is_killed_leaves_the_interface_as_it_was_but_for_the_guard_and_starts_again() {
    for mode in ["af-packet", "af-xdp"] {
        let Some(plant) = live::Tap::new() else { return };
        let (_folder, config) = folder(&format!("mode = {mode:?}\nworkers = 2"));
        let mut sensor = plant.watch(&config);
        assert_watches(&plant, &sensor, 40_000, 0);
        assert!(plant.ip(&["link", "show", "tap0"]).contains("xdp"));
        sensor.signal("HUP").unwrap();
        let reloads = "vigia_config_reloads_total{result=\"ok\"}";
        live::wait(&sensor, "the reload", |status| live::series(status, reloads) == 1);
        assert_watches(&plant, &sensor, 40_001, 100);
        sensor.signal("KILL").unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while sensor.ended().unwrap().is_none() || plant.ip(&["link", "show", "tap0"]).contains("xdp") {
            assert!(std::time::Instant::now() < end, "the program outlives the sensor");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        drop(sensor);
        let sensor = plant.watch(&config);
        let status = assert_watches(&plant, &sensor, 40_002, 0);
        assert_eq!(status["interfaces"][0]["ledger"]["balances"], true);
        assert!(status["interfaces"][0]["guard"]["attached"].is_string());
        sensor.stop().unwrap();
    }
}

/// What a command says of the sensor.
fn ask(config: &Path, arguments: &[&str]) -> String {
    let output = wire::vigia().args(arguments).arg("--config").arg(config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn programs_are_told_with_their_use_and_what_a_packet_costs() {
    let Some(plant) = live::Tap::new() else { return };
    let (_folder, config) = folder("workers = 2\ntap = { ignore_networks = [\"10.9.0.0/16\", \"fd00::/8\"] }");
    let sensor = plant.watch(&config);
    let told: Value = std::thread::scope(|scope| {
        let asking = scope.spawn(|| serde_json::from_str(&ask(&config, &["probes", "--json"])).unwrap());
        let frames = polls(40_000);
        while !asking.is_finished() {
            plant.flood(&frames);
        }
        asking.join().unwrap()
    });
    let of = |list: &str, name: &str| {
        let found = told[list].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {told:#}")).clone()
    };
    for (program, attached) in [("tap", "tap0 (xdp-native)"), ("fanout", "tap0 (fanout)")] {
        let program = of("programs", program);
        assert_eq!(program["attached"], serde_json::json!([attached]));
        assert!(program["packets"].as_u64() > Some(100) && program["ns_per_packet"].as_f64() > Some(0.0), "{program}");
        assert!(program["verified_instructions"].as_u64() > Some(100), "{program}");
    }
    assert_eq!(of("programs", "filter")["packets"], 0);
    assert!(of("programs", "guard")["attached"][0].as_str().unwrap().starts_with("tap0 ("));
    assert_eq!(of("maps", "TAP_NETWORKS_V4")["used"], 1);
    assert_eq!(of("maps", "TAP_INTERFACES")["used"], 1);
    assert_eq!(of("maps", "TAP_SHUNTS")["used"], 0);
    assert!(of("maps", "TAP_SHUNTS")["entries"].as_u64() > Some(131_000));
    assert_eq!(of("maps", "GUARD_KINDS")["interface"], "tap0");
    let spanish = ask(&config, &["--lang", "es", "probes", "--seconds", "0"]);
    assert!(spanish.contains("ns por paquete") && spanish.contains("tap0 (xdp-native)"), "{spanish}");
    println!("{:#}", told["programs"]);
    sensor.stop().unwrap();
    let gone = wire::vigia().args(["probes", "--config"]).arg(&config).output().unwrap();
    assert_eq!(gone.status.code(), Some(1), "no sensor, no answer");
}
