//! Sets that rules change outlive reloads, stops and starts of a live sensor.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;

use live::{Tap, configure, series, wait};
use vigia_testbed::Sensor;
use wire::{ethernet, ipv4, udp};

const RULES: &str = r#"
alert udp any any -> any 7 (content:"in "; startswith; pkt_data; subslice:3; dataset:set,names,type string,state names.lst; sid:1;)
alert udp any any -> any 7 (content:"out "; startswith; pkt_data; subslice:4; dataset:unset,names; sid:2;)
"#;

#[test]
fn a_set_is_saved_at_a_reload_and_at_the_stop_and_loaded_at_the_start() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), RULES, "");
    let file = folder.path().join("journal/datasets/names.lst");
    let saved = || fs::read_to_string(&file).unwrap_or_else(|error| format!("{}: {error}", file.display()));
    let say = |payload: &str| {
        let datagram = udp(40_000, 7, payload.as_bytes());
        tap.send(&ethernet(&[], 0x0800, &ipv4(17, [10, 9, 0, 1], [10, 9, 0, 2], 1, 0, &datagram)));
    };
    let matched = |sensor: &Sensor, matches: u64, alerts: u64| {
        let status = wait(sensor, "the matches", |status| series(status, "vigia_signature_matches_total") == matches);
        let suppressed = series(&status, "vigia_alerts_suppressed_total");
        assert_eq!(matches - suppressed, alerts, "{status:#}");
    };
    let reload = |sensor: &Sensor, times: u64| {
        sensor.signal("HUP").unwrap();
        let reloads = "vigia_config_reloads_total{result=\"ok\"}";
        wait(sensor, "the reload", |status| series(status, reloads) == times);
    };
    let sensor = tap.watch(&config);
    ["in b", "in a", "in a"].iter().for_each(|said| say(said));
    matched(&sensor, 3, 2);
    reload(&sensor, 1);
    assert_eq!(saved(), "YQ==\nYg==\n");
    // After the reload both are loaded: what is known is no match any more, or the gate refuses it.
    ["in a", "out a", "out a", "in c"].iter().for_each(|said| say(said));
    matched(&sensor, 7, 4);
    reload(&sensor, 2);
    assert_eq!(saved(), "Yg==\nYw==\n");
    ["in a", "in a"].iter().for_each(|said| say(said));
    matched(&sensor, 9, 5);
    sensor.stop().unwrap();
    assert_eq!(saved(), "YQ==\nYg==\nYw==\n");
    let sensor = tap.watch(&config);
    ["in a", "out b", "in d"].iter().for_each(|said| say(said));
    matched(&sensor, 3, 2);
    sensor.stop().unwrap();
    assert_eq!(saved(), "YQ==\nYw==\nZA==\n");
}
