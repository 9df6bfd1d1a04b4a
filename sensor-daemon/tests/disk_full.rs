//! A full disk: capture goes on, records are lost and counted, alerts use their reserve, the index waits, and writing resumes.

#![cfg(target_os = "linux")]

#[path = "wire/disk.rs"]
mod disk;
#[path = "wire/live.rs"]
mod live;
mod wire;

use std::path::Path;
use std::thread;
use std::time::Duration;

use disk::Disk;
use live::{Tap, configure, series, wait};
use vigia::index::Index;
use vigia::journal::identity_of;
use wire::{Session, Way, read_registers, write_register};

const RULE: &str = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; sid:1;)\n";

const RESERVE: u64 = 4 << 20;

const ALERTS: &str = "vigia_journal_events_total{stream=\"alerts\"}";
const RECORDS: &str = "vigia_journal_events_total{stream=\"records\"}";
const NOT_INDEXED: &str = "vigia_index_lag_events";
const LOST_ALERTS: &str = "vigia_journal_lost_events_total{stream=\"alerts\",cause=\"disk\"}";
const LOST_RECORDS: &str = "vigia_journal_lost_events_total{stream=\"records\",cause=\"disk\"}";

/// Alerts that the index of the journal below a folder has.
fn indexed(folder: &Path) -> u64 {
    let journal = folder.join("journal");
    let index = Index::open(&journal, &identity_of(&journal).unwrap().unwrap()).unwrap();
    index.holding().unwrap().alerts
}

#[test]
fn capture_outlives_a_full_disk() {
    let Some(tap) = Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&folder.path().join("journal")) else { return };
    let sizes = format!("total_bytes = 67108864\nsegment_bytes = 4194304\nreserve_bytes = {RESERVE}\n");
    let config = configure(folder.path(), RULE, &sizes);
    let sensor = tap.watch(&config);
    let mut session = Session::new(([10, 0, 0, 1], 40000), ([10, 0, 0, 2], 502));
    let mut packets = 0;
    // Nine reads and a write: each is a record, the write is an alert, too.
    let mut poll = |rounds: u16| {
        for n in 0..rounds * 10 {
            let exchange =
                if n % 10 == 0 { [write_register(n, 1, n), write_register(n, 1, n)] } else { read_registers(n) };
            tap.send(&session.say(Way::ToServer, &exchange[0]));
            tap.send(&session.say(Way::ToClient, &exchange[1]));
            packets += 2;
        }
        sensor.await_packets(packets).unwrap()
    };
    poll(20);
    let status = wait(&sensor, "writing", |status| series(status, RECORDS) >= 200 && series(status, ALERTS) >= 20);
    assert_eq!(series(&status, "vigia_journal_reserve_bytes"), RESERVE);

    disk.fill();
    poll(50);
    let lost = |status: &_| series(status, LOST_RECORDS);
    let status = wait(&sensor, "loss", |status| lost(status) > 0 && series(status, ALERTS) >= 70);
    assert_eq!(series(&status, "vigia_journal_full{stream=\"records\"}"), 1);
    assert_eq!((series(&status, LOST_ALERTS), series(&status, "vigia_journal_full{stream=\"alerts\"}")), (0, 0));
    assert!(series(&status, "vigia_journal_reserve_bytes") < RESERVE, "alerts take the reserve");
    assert_eq!(status["packets"]["processed"], 1400, "capture goes on");
    // The room that is left is for alerts: the index waits.
    wait(&sensor, "the lag of the index", |status| series(status, NOT_INDEXED) > 0);

    disk.free();
    let status = wait(&sensor, "the reserve", |status| series(status, "vigia_journal_reserve_bytes") == RESERVE);
    let before = series(&status, RECORDS);
    // Records are tried again some time after they were refused.
    let mut rounds = 70;
    while series(&poll(10), RECORDS) == before {
        rounds += 10;
        assert!(rounds < 1000, "records are never written again");
        thread::sleep(Duration::from_millis(100));
    }
    let status = wait(&sensor, "all alerts", |status| series(status, ALERTS) == rounds + 10);
    assert_eq!(status["packets"]["processed"], (rounds + 10) * 20);
    assert_eq!(series(&status, LOST_ALERTS), 0);
    assert_eq!(series(&status, "vigia_journal_full{stream=\"records\"}"), 0);
    let status = wait(&sensor, "the index", |status| series(status, NOT_INDEXED) == 0);
    assert_eq!(series(&status, "vigia_index_rebuilds_total{cause=\"damaged\"}"), 0);
    sensor.stop().unwrap();
    assert_eq!(indexed(folder.path()), rounds + 10);
    assert!(
        vigia::journal::verify(&folder.path().join("journal"), None, &[]).unwrap().holds(),
        "the chain of the segments"
    );
}
