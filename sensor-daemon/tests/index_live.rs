//! The index of alerts of a running sensor, which is removed meanwhile, and of one that is killed.

#![cfg(target_os = "linux")]

mod delivery;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use delivery::{Clients, config, wait_for_alerts};
use live::{Tap, series, wait};
use serde_json::Value;
use vigia::index::Index;
use vigia::journal::identity_of;
use wire::vigia;

const INDEXED: &str = "vigia_index_alerts_total";

/// Alerts that the index of the journal below a folder has.
fn held(folder: &Path) -> u64 {
    let journal = folder.join("journal");
    let identity = identity_of(&journal).unwrap().unwrap();
    Index::open(&journal, &identity).unwrap().holding().unwrap().alerts
}

/// What `vigia alerts` says, as events.
fn ask(config: &Path) -> Vec<Value> {
    let output = vigia().args(["alerts", "--json", "--config"]).arg(config).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A command that goes on until this is dropped, and its lines.
struct Following(Child, Receiver<Value>);

impl Following {
    fn start(config: &Path, arguments: &[&str]) -> Self {
        let mut command = vigia();
        command.args(["alerts", "--follow", "--json", "--config"]).arg(config).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (tell, told) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send(serde_json::from_str(&line).unwrap()))
        });
        Self(child, told)
    }

    /// The numbers of the next alerts.
    fn next(&self, count: usize) -> Vec<u64> {
        let one = |_| self.1.recv_timeout(Duration::from_secs(30)).expect("another alert");
        (0..count).map(one).map(|alert| delivery::number(&alert)).collect()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn alerts_are_followed_as_they_come_over_restarts_of_the_sensor() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let mut clients = Clients::new(2);
    let sensor = tap.watch(&config);
    clients.write(&tap, 50);
    wait(&sensor, "the index", |status| series(status, INDEXED) == 50);
    let all = Following::start(&config, &[]);
    let none = Following::start(&config, &["--sid", "2"]);
    assert_eq!(all.next(50), (0..50).collect::<Vec<_>>());
    clients.write(&tap, 50);
    assert_eq!(all.next(50), (50..100).collect::<Vec<_>>());
    sensor.stop().unwrap();
    let sensor = tap.watch(&config);
    clients.write(&tap, 50);
    assert_eq!(all.next(50), (100..150).collect::<Vec<_>>());
    assert!(none.1.try_recv().is_err());
    sensor.stop().unwrap();
}

#[test]
fn an_index_follows_the_journal_whoever_removes_it_or_kills_the_sensor() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let mut clients = Clients::new(3);
    let mut sensor = tap.watch(&config);
    clients.write(&tap, 200);
    wait_for_alerts(&sensor, 200);
    wait(&sensor, "the index", |status| series(status, INDEXED) == 200);
    assert_eq!((held(folder.path()), ask(&config).len()), (200, 200));

    fs::remove_file(folder.path().join("journal/index.sqlite")).unwrap();
    assert_eq!(ask(&config).len(), 200);
    wait(&sensor, "another index", |status| series(status, INDEXED) == 400);
    assert_eq!(series(&wait(&sensor, "", |_| true), "vigia_index_rebuilds_total{cause=\"removed\"}"), 1);
    assert_eq!(held(folder.path()), 200);

    sensor.signal("KILL").unwrap();
    drop(sensor);
    sensor = tap.watch(&config);
    clients.write(&tap, 100);
    wait_for_alerts(&sensor, 100);
    sensor.stop().unwrap();
    // What was written until the stop is in it.
    assert_eq!(held(folder.path()), 300);
    let events = ask(&config);
    fs::remove_file(folder.path().join("journal/index.sqlite")).unwrap();
    assert_eq!(ask(&config), events, "the journal says the same");
    assert_eq!(delivery::by_id(&events).len(), 300);
}
