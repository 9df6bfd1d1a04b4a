//! The journal through its public face: what was written is there, in order, whatever happens to process and disk.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vigia::journal::{
    AlertEntry, Cursor, Journal, JournalError, JournalSettings, Reader, Stream, Submitter, SyncPolicy,
};
use vigia::metrics::Metrics;
use vigia_parsers::Timestamp;
use vigia_rules::{Engine, Match, RuleId};

const START: u64 = 1_767_323_045;

fn settings(directory: &Path) -> JournalSettings {
    JournalSettings {
        directory: directory.join("journal"),
        total_bytes: 64 << 20,
        reserve_bytes: 0,
        segment_bytes: 64 << 10,
        alerts_sync: SyncPolicy::Interval,
        alerts_sync_interval_ms: 1,
        records_sync_interval_ms: 10,
        ..JournalSettings::default()
    }
}

fn engine() -> Arc<Engine> {
    Arc::new(Engine::compile(&[], &Default::default()).engine)
}

fn event(number: u64, padding: usize) -> String {
    format!("{{\"event_type\":\"modbus\",\"n\":{number},\"padding\":\"{}\"}}\n", "x".repeat(padding))
}

fn submit_records(submitter: &Submitter, numbers: impl Iterator<Item = u64>, padding: usize) {
    let mut batch = submitter.record_batch();
    batch.first = Timestamp::new(START, 0);
    for number in numbers {
        batch.lines.append_lines(event(number, padding).as_bytes());
        batch.events += 1;
    }
    submitter.records(batch);
}

fn entry(packet: u64, length: usize) -> AlertEntry {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    AlertEntry {
        packet,
        session: 0,
        admitted: false,
        rule: RuleId(0),
        found: Match {
            source: (nobody, 0),
            destination: (nobody, 0),
            timestamp: Timestamp::new(START, 0),
            noted: Box::default(),
        },
        length,
    }
}

fn submit_alerts(submitter: &Submitter, numbers: impl Iterator<Item = u64>, padding: usize) {
    let mut batch = submitter.alert_batch(engine());
    for number in numbers {
        let line = event(number, padding);
        batch.lines.append_lines(line.as_bytes());
        batch.entries.push(entry(number, line.len()));
        batch.through = number;
    }
    submitter.alerts(batch);
}

fn numbers(reader: &mut Reader) -> Vec<u64> {
    let (mut line, mut numbers) = (Vec::new(), Vec::new());
    while reader.next(&mut line).unwrap() {
        let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
        numbers.push(event["n"].as_u64().unwrap());
    }
    numbers
}

fn read(settings: &JournalSettings, stream: Stream) -> Vec<u64> {
    numbers(&mut Reader::open(&settings.directory, stream, Cursor::default()))
}

fn files(settings: &JournalSettings, stream: Stream) -> Vec<PathBuf> {
    let entries = fs::read_dir(settings.directory.join(stream.name())).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_submitted_is_read_back_in_order_over_segments_sealed_and_not() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let metrics = Metrics::new();
    let (journal, recovery) = Journal::open(&settings, &metrics).unwrap();
    assert_eq!(recovery, Default::default());
    let submitter = journal.submitter(0);
    for batch in 0..100 {
        submit_records(&submitter, batch * 10..batch * 10 + 10, 1000);
        submit_alerts(&submitter, batch..batch + 1, 10);
        // A live journal may refuse what comes faster than the disk; this test is not about that.
        wait("the queue", || metrics.snapshot().sum("vigia_journal_events_total") >= (batch + 1) * 11);
    }
    let sealed = |path: &PathBuf| path.to_string_lossy().ends_with(".ndjson.zst");
    wait("sealing", || files(&settings, Stream::Records).iter().filter(|path| sealed(path)).count() >= 10);
    journal.close().unwrap();

    let names = files(&settings, Stream::Records);
    assert!(names[0].ends_with("00000001-20260102T030405.ndjson.zst"), "{names:?}");
    assert!(!sealed(names.last().unwrap()), "the last one is still open");
    assert_eq!(read(&settings, Stream::Records), (0..1000).collect::<Vec<_>>());
    assert_eq!(read(&settings, Stream::Alerts), (0..100).collect::<Vec<_>>());

    let mut reader = Reader::open(&settings.directory, Stream::Records, Cursor::default());
    let mut line = Vec::new();
    for next in 0..1000u64 {
        let mut resumed = Reader::open(&settings.directory, Stream::Records, reader.cursor());
        assert!(resumed.next(&mut line).unwrap());
        assert!(line.starts_with(format!("{{\"event_type\":\"modbus\",\"n\":{next},").as_bytes()), "{next}");
        assert!(reader.next(&mut line).unwrap());
    }
    assert!(!reader.next(&mut line).unwrap());
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.sum("vigia_journal_lost_events_total"), 0);
    assert_eq!(snapshot.get("vigia_journal_events_total{stream=\"records\"}"), 1000);
    assert_eq!(snapshot.get("vigia_alerts_total{severity=\"other\"}"), 100);
    assert!(metrics.sync_latency(0).count() > 0 && metrics.journal_latency(1).count() > 0);
}

#[test]
fn a_reader_follows_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let metrics = Metrics::new();
    let (journal, _) = Journal::open(&settings, &metrics).unwrap();
    let submitter = journal.submitter(0);
    let mut reader = Reader::open(&settings.directory, Stream::Records, Cursor::default());
    assert!(numbers(&mut reader).is_empty());
    let mut all = Vec::new();
    for batch in 0..50 {
        submit_records(&submitter, batch * 8..batch * 8 + 8, 700);
        wait("the events", || {
            all.extend(numbers(&mut reader));
            all.len() as u64 == (batch + 1) * 8
        });
    }
    assert_eq!(all, (0..400).collect::<Vec<_>>());
    journal.close().unwrap();
}

#[test]
fn a_crash_at_any_byte_costs_at_most_the_last_line() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JournalSettings { compress: false, ..settings(directory.path()) };
    let segment = settings.directory.join("alerts").join("00000007-20260102T030405.ndjson");
    let whole = [event(1, 0), event(2, 3), event(3, 0)].concat();
    for cut in 0..=whole.len() {
        let _ = fs::remove_dir_all(&settings.directory);
        fs::create_dir_all(segment.parent().unwrap()).unwrap();
        fs::write(&segment, &whole[..cut]).unwrap();
        let metrics = Metrics::new();
        let (journal, recovery) = Journal::open(&settings, &metrics).unwrap();
        submit_alerts(&journal.submitter(0), 4..5, 0);
        journal.close().unwrap();

        let kept = whole[..cut].rfind('\n').map_or(0, |at| at + 1);
        let torn = (cut - kept) as u64;
        assert_eq!(recovery.torn_bytes, [torn, 0], "cut at {cut}");
        assert_eq!(recovery.torn_lines, [u64::from(torn > 0), 0], "cut at {cut}");
        let counted = metrics.snapshot().get("vigia_journal_torn_lines_total{stream=\"alerts\"}");
        assert_eq!(counted, u64::from(torn > 0));
        let lines = whole[..kept].lines().count() as u64;
        assert_eq!(read(&settings, Stream::Alerts), (1..=lines).chain([4]).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(segment.exists(), kept > 0, "nothing is left of an empty segment");
        assert!(files(&settings, Stream::Alerts).last().unwrap().to_string_lossy().contains("/00000008-"));
    }
}

#[test]
fn zeros_that_a_power_loss_left_are_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JournalSettings { compress: false, ..settings(directory.path()) };
    let segment = settings.directory.join("records").join("00000001-20260102T030405.ndjson");
    fs::create_dir_all(segment.parent().unwrap()).unwrap();
    let mut bytes = event(1, 100_000).into_bytes();
    bytes.extend_from_slice(b"{\"n\":2\0\0\0\n");
    bytes.extend_from_slice(&[0; 150_000]);
    fs::write(&segment, &bytes).unwrap();
    let (journal, recovery) = Journal::open(&settings, &Metrics::new()).unwrap();
    journal.close().unwrap();
    assert_eq!(recovery.torn_lines, [0, 2]);
    assert_eq!(read(&settings, Stream::Records), [1]);
}

#[test]
fn a_crash_while_sealing_leaves_each_event_once() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let folder = settings.directory.join("records");
    fs::create_dir_all(&folder).unwrap();
    let lines = [event(1, 0), event(2, 0)].concat();
    fs::write(folder.join("00000001-a.ndjson"), &lines).unwrap();
    fs::write(folder.join("00000001-a.ndjson.zst"), zstd::encode_all(lines.as_bytes(), 3).unwrap()).unwrap();
    fs::write(folder.join("00000002-a.ndjson"), event(3, 0)).unwrap();
    fs::write(folder.join("00000002-a.ndjson.zst.tmp"), b"half").unwrap();
    let (journal, _) = Journal::open(&settings, &Metrics::new()).unwrap();
    wait("sealing", || folder.join("00000002-a.ndjson.zst").exists() && !folder.join("00000002-a.ndjson").exists());
    journal.close().unwrap();
    assert_eq!(read(&settings, Stream::Records), [1, 2, 3]);
    assert_eq!(files(&settings, Stream::Records).len(), 2);
}

#[test]
fn a_segment_is_closed_when_it_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JournalSettings { segment_age_s: 1, compress: false, ..settings(directory.path()) };
    let metrics = Metrics::new();
    let (journal, _) = Journal::open(&settings, &metrics).unwrap();
    let submitter = journal.submitter(0);
    submit_records(&submitter, 0..1, 0);
    wait("the first", || metrics.snapshot().sum("vigia_journal_events_total") == 1);
    std::thread::sleep(Duration::from_millis(1200));
    submit_records(&submitter, 1..2, 0);
    journal.close().unwrap();
    // On a machine that is busy the second has grown old, too, before the journal is closed.
    assert!(files(&settings, Stream::Records).len() >= 2);
    assert_eq!(read(&settings, Stream::Records), [0, 1]);
}

#[test]
fn at_its_size_the_oldest_sealed_records_go_first_and_alerts_last() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JournalSettings { total_bytes: 1 << 20, compress: false, ..settings(directory.path()) };
    let metrics = Metrics::new();
    let (journal, _) = Journal::open(&settings, &metrics).unwrap();
    let submitter = journal.submitter(0);
    for batch in 0..60 {
        submit_alerts(&submitter, batch * 10..batch * 10 + 10, 1000);
        submit_records(&submitter, batch * 30..batch * 30 + 30, 1000);
        wait("the queue", || metrics.snapshot().sum("vigia_journal_events_total") >= (batch + 1) * 40);
    }
    let size = || metrics.snapshot().get("vigia_journal_size_bytes");
    let evicted =
        |stream| metrics.snapshot().get(&format!("vigia_journal_evicted_segments_total{{stream=\"{stream}\"}}"));
    // More than half of what was written has to go; the size alone may be that of an early look.
    wait("the bound", || evicted("records") > 10 && size() <= 1 << 20);
    journal.close().unwrap();
    let alerts = read(&settings, Stream::Alerts);
    assert_eq!(alerts, (0..600).collect::<Vec<_>>(), "0.6 MB of alerts fit into 1 MB");
    let records = read(&settings, Stream::Records);
    assert_eq!(records.last(), Some(&1799));
    assert!(records[0] > 0 && records.windows(2).all(|pair| pair[1] == pair[0] + 1), "the newest stay");
    assert_eq!(evicted("alerts"), 0);

    // Alerts alone above the bound: now their oldest go.
    let (journal, _) = Journal::open(&settings, &metrics).unwrap();
    let submitter = journal.submitter(0);
    for batch in 60..130 {
        submit_alerts(&submitter, batch * 10..batch * 10 + 10, 1000);
        wait("the queue", || {
            metrics.snapshot().get("vigia_journal_events_total{stream=\"alerts\"}") >= (batch + 1) * 10
        });
    }
    wait("the bound", || evicted("alerts") > 0 && size() <= 1 << 20);
    journal.close().unwrap();
    let alerts = read(&settings, Stream::Alerts);
    assert!(alerts[0] > 0 && alerts.last() == Some(&1299));
}

#[test]
fn two_processes_cannot_write_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let (journal, _) = Journal::open(&settings, &Metrics::new()).unwrap();
    assert!(matches!(Journal::open(&settings, &Metrics::new()), Err(JournalError::InUse(_))));
    journal.close().unwrap();
    Journal::open(&settings, &Metrics::new()).unwrap().0.close().unwrap();
}

#[test]
fn a_queue_that_is_full_loses_and_counts_and_never_waits() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        JournalSettings { records_queue_batches: 1, records_sync: SyncPolicy::Always, ..settings(directory.path()) };
    let metrics = Metrics::new();
    let (journal, _) = Journal::open(&settings, &metrics).unwrap();
    let submitter = journal.submitter(0);
    for batch in 0..500 {
        submit_records(&submitter, batch..batch + 1, 10_000);
    }
    submit_alerts(&submitter, 0..1, 0);
    journal.close().unwrap();
    let snapshot = metrics.snapshot();
    let lost = snapshot.get("vigia_journal_lost_events_total{stream=\"records\",cause=\"queue\"}");
    let written = snapshot.get("vigia_journal_events_total{stream=\"records\"}");
    assert!(lost > 0, "a sync a batch is slower than this loop");
    assert_eq!(lost + written, 500);
    assert_eq!(read(&settings, Stream::Records).len() as u64, written);
    assert_eq!(read(&settings, Stream::Alerts), [0], "bulk does not fill the queue of alerts");
}

/// A tmpfs of some bytes, unmounted at the end. None without root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(directory)),
            _ => {
                eprintln!("SKIPPED: a small tmpfs cannot be mounted here (needs root)");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "tmpfs is left mounted");
    }
}

#[test]
fn on_a_full_disk_alerts_take_their_reserve_losses_are_counted_and_writing_resumes() {
    let Some(disk) = SmallDisk::mount(16 << 20) else { return };
    let settings = JournalSettings { reserve_bytes: 2 << 20, segment_bytes: 32 << 20, ..settings(disk.0.path()) };
    let metrics = Metrics::new();
    let (journal, _) = Journal::open(&settings, &metrics).unwrap();
    let submitter = journal.submitter(0);
    let count = |series: &str| metrics.snapshot().get(series);
    let reserve = || count("vigia_journal_reserve_bytes");
    assert_eq!(reserve(), 2 << 20);

    let handled = || {
        let snapshot = metrics.snapshot();
        snapshot.sum("vigia_journal_events_total") + snapshot.sum("vigia_journal_lost_events_total")
    };
    let mut submitted = 0;
    let mut records = |numbers: std::ops::Range<u64>| {
        submitted += numbers.end - numbers.start;
        submit_records(&submitter, numbers, 1000);
        submitted
    };
    // The disk takes about 14 MiB of records, then no more.
    for batch in 0..200 {
        let all = records(batch * 100..batch * 100 + 100);
        wait("the writer", || handled() >= all);
    }
    let lost = count("vigia_journal_lost_events_total{stream=\"records\",cause=\"disk\"}");
    assert!(lost > 1000, "{lost}");
    assert_eq!(count("vigia_journal_full{stream=\"records\"}"), 1);
    assert_eq!(reserve(), 2 << 20, "records do not touch the reserve");

    for batch in 0..10 {
        submit_alerts(&submitter, batch * 100..batch * 100 + 100, 1000);
    }
    wait("the alerts", || count("vigia_journal_events_total{stream=\"alerts\"}") == 1000);
    assert!(reserve() < 2 << 20, "alerts took part of their reserve");
    assert_eq!(count("vigia_journal_lost_events_total{stream=\"alerts\",cause=\"disk\"}"), 0);
    assert_eq!(count("vigia_journal_full{stream=\"alerts\"}"), 0);

    // More alerts than the reserve holds: what is lost is counted, what is written is whole.
    for batch in 10..40 {
        submit_alerts(&submitter, batch * 100..batch * 100 + 100, 1000);
    }
    let alerts = || metrics.snapshot().get("vigia_journal_events_total{stream=\"alerts\"}");
    let lost_alerts = || count("vigia_journal_lost_events_total{stream=\"alerts\",cause=\"disk\"}");
    wait("the alerts", || alerts() + lost_alerts() == 4000);
    assert!(lost_alerts() > 1000 && alerts() > 1000, "{} {}", lost_alerts(), alerts());
    assert_eq!(reserve(), 0);

    // Room again: the reserve is made whole first, then records go on.
    let records_file = files(&settings, Stream::Records).remove(0);
    let kept = read(&settings, Stream::Records);
    assert_eq!(kept, (0..kept.len() as u64).collect::<Vec<_>>(), "whole lines up to the one that did not fit");
    fs::File::options().write(true).open(&records_file).unwrap().set_len(0).unwrap();
    wait("the reserve", || reserve() == 2 << 20);
    std::thread::sleep(Duration::from_millis(600));
    submit_records(&submitter, 50_000..50_001, 10);
    submit_alerts(&submitter, 50_000..50_001, 10);
    wait("writing", || {
        count("vigia_journal_full{stream=\"records\"}") + count("vigia_journal_full{stream=\"alerts\"}") == 0
    });
    journal.close().unwrap();
    assert_eq!(read(&settings, Stream::Records), [50_000]);
    let alerts_read = read(&settings, Stream::Alerts);
    assert_eq!(alerts_read.last(), Some(&50_000));
    assert_eq!(alerts_read.len() as u64, alerts());
}

#[test]
fn a_replay_writes_everything_into_one_file_with_alerts_in_packet_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = BTreeMap::new();
    for workers in [1, 2, 4] {
        let path = directory.path().join(format!("eve-{workers}.json"));
        let metrics = Metrics::new();
        let journal = Journal::single_file(&path, workers, &metrics).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let submitter = journal.submitter(worker);
                scope.spawn(move || {
                    for batch in 0..40u64 {
                        let range = batch * 100 + 1..batch * 100 + 101;
                        let mine = |number: &u64| number.wrapping_mul(0x9e37_79b9) % workers as u64 == worker as u64;
                        submit_records(&submitter, range.clone().filter(mine).map(|number| 1_000_000 + number), 500);
                        let mut alerts = submitter.alert_batch(engine());
                        for packet in range.clone().filter(mine).filter(|number| number % 3 == 0) {
                            let line = event(packet, 0);
                            alerts.lines.append_lines(line.as_bytes());
                            alerts.entries.push(entry(packet, line.len()));
                        }
                        alerts.through = range.end - 1;
                        submitter.alerts(alerts);
                    }
                });
            }
        });
        journal.close().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let mut all: Vec<u64> = Vec::new();
        for line in text.lines() {
            all.push(serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap());
        }
        let alerts: Vec<_> = all.iter().copied().filter(|number| *number < 1_000_000).collect();
        assert_eq!(alerts, (1..=4000).filter(|number| number % 3 == 0).collect::<Vec<_>>(), "{workers} workers");
        all.sort_unstable();
        files.insert(workers, all);
        assert_eq!(metrics.snapshot().sum("vigia_journal_lost_events_total"), 0);
    }
    assert_eq!(files[&1].len(), 4000 + 1333);
    assert!(files.values().all(|all| *all == files[&1]));
}

#[test]
fn a_rule_that_counts_across_flows_gives_the_same_alerts_with_any_number_of_workers() {
    let rule = "alert tcp any any -> any any (msg:\"x\"; sid:7; priority:2; threshold:type limit, track by_src, count 2, seconds 30;)";
    let source = vigia_rules::Source { name: "test.rules".into(), text: rule.into() };
    let compiled = Engine::compile(&[source], &Default::default());
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
    let engine = Arc::new(compiled.engine);
    assert!(engine.rule(RuleId(0)).gated);
    let sender = |packet: u64| IpAddr::V4(Ipv4Addr::new(10, 0, 0, (packet % 7) as u8));
    let one = |packet: u64, length| AlertEntry {
        found: Match {
            source: (sender(packet), 0),
            timestamp: Timestamp::new(START + packet, 0),
            ..entry(packet, length).found
        },
        ..entry(packet, length)
    };

    let mut gate = vigia_rules::Gate::default();
    let expected: Vec<_> = (1..=1000u64)
        .filter(|packet| {
            let entry = one(*packet, 0);
            let verdict = gate.admit(&engine, RuleId(0), &entry.found);
            verdict == vigia_rules::Verdict::Report
        })
        .collect();
    assert!((100..900).contains(&expected.len()));

    let directory = tempfile::tempdir().unwrap();
    for workers in [1, 2, 4] {
        let path = directory.path().join("eve.json");
        let metrics = Metrics::new();
        let journal = Journal::single_file(&path, workers, &metrics).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (submitter, engine) = (journal.submitter(worker), Arc::clone(&engine));
                scope.spawn(move || {
                    for first in (1..=1000).step_by(50) {
                        let mut batch = submitter.alert_batch(Arc::clone(&engine));
                        // The packets of one sender go to several workers: thresholds count across flows.
                        for packet in (first..first + 50).filter(|packet| packet / 3 % workers as u64 == worker as u64)
                        {
                            let line = event(packet, 0);
                            batch.lines.append_lines(line.as_bytes());
                            batch.entries.push(one(packet, line.len()));
                        }
                        batch.through = first + 49;
                        submitter.alerts(batch);
                    }
                });
            }
        });
        journal.close().unwrap();
        let written: Vec<_> = fs::read_to_string(&path).unwrap().lines().map(str::to_string).collect();
        let reference: Vec<_> = expected.iter().map(|packet| event(*packet, 0).trim_end().to_string()).collect();
        assert_eq!(written, reference, "{workers} workers");
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.get("vigia_alerts_total{severity=\"2\"}"), expected.len() as u64);
        assert_eq!(snapshot.get("vigia_alerts_suppressed_total"), 1000 - expected.len() as u64);
    }
}

#[test]
fn a_replay_onto_a_full_disk_says_so() {
    let Some(disk) = SmallDisk::mount(1 << 20) else { return };
    let metrics = Metrics::new();
    let journal = Journal::single_file(&disk.0.path().join("eve.json"), 1, &metrics).unwrap();
    submit_records(&journal.submitter(0), 0..2000, 1000);
    assert!(matches!(journal.close(), Err(JournalError::Io { .. })));
    assert_eq!(metrics.snapshot().get("vigia_journal_lost_events_total{stream=\"records\",cause=\"disk\"}"), 2000);
}

fn vigia(arguments: &[&str], config: &Path) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vigia")).args(arguments).arg("--config").arg(config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_show_what_the_journal_holds() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let config = folder.path().join("vigia.toml");
    fs::write(&config, format!("journal.directory = {:?}\n", settings.directory)).unwrap();
    let alert = |second: u32, sid: u32, severity: u32| {
        format!(
            "{{\"timestamp\":\"2026-01-02T03:04:{second:02}.000000+0000\",\"event_type\":\"alert\",\"src_ip\":\"10.0.0.{sid}\",\
             \"src_port\":1,\"dest_ip\":\"10.0.1.1\",\"dest_port\":502,\"alert\":{{\"signature_id\":{sid},\
             \"signature\":\"s{sid}\",\"severity\":{severity}}}}}\n"
        )
    };
    let (journal, _) = Journal::open(&settings, &Metrics::new()).unwrap();
    let submitter = journal.submitter(0);
    let mut batch = submitter.alert_batch(engine());
    for line in [alert(1, 1, 1), alert(2, 2, 3), alert(3, 1, 1)] {
        batch.lines.append_lines(line.as_bytes());
        batch.entries.push(entry(0, line.len()));
    }
    submitter.alerts(batch);
    submit_records(&submitter, 0..5, 10);
    journal.close().unwrap();

    let ids = |arguments: &[&str]| -> Vec<(u64, String)> {
        let text = vigia(arguments, &config);
        let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let one = |event: serde_json::Value| {
            (event["alert"]["signature_id"].as_u64().unwrap_or(0), event["event_id"].as_str().unwrap().to_owned())
        };
        events.map(one).collect()
    };
    let all = ids(&["journal", "export"]);
    assert_eq!(all.iter().map(|(sid, _)| *sid).collect::<Vec<_>>(), [1, 2, 1, 0, 0, 0, 0, 0]);
    let different: std::collections::BTreeSet<_> = all.iter().map(|(_, id)| id).collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(ids(&["journal", "export", "--stream", "alerts"]), all[..3]);
    let span = ["journal", "export", "--from", "2026-01-02T03:04:02", "--to", "2026-01-02T03:04:03Z"];
    assert_eq!(ids(&span), all[1..2], "records of this test have no time");
    assert_eq!(ids(&["alerts", "--json", "--sid", "1", "--since", "2026-01-02T03:04:02"]), all[2..3]);
    assert_eq!(ids(&["alerts", "--json", "--severity", "2"]), [all[0].clone(), all[2].clone()]);
    assert_eq!(ids(&["alerts", "--json", "--src", "10.0.0.2", "--dst", "10.0.1.1"]), all[1..2]);
    let lines = vigia(&["alerts", "--sid", "2"], &config);
    assert_eq!(lines, "2026-01-02T03:04:02.000000+0000  3  2  10.0.0.2:1 -> 10.0.1.1:502  -  s2\n");

    let stats: serde_json::Value = serde_json::from_str(&vigia(&["journal", "stats", "--json"], &config)).unwrap();
    assert_eq!((&stats["alerts"]["events"], &stats["records"]["events"]), (&3.into(), &5.into()));
    assert_eq!(stats["alerts"]["last"], "2026-01-02T03:04:03.000000+0000");
    assert!(vigia(&["--lang", "es", "journal", "stats"], &config).starts_with("secuencia"));

    fs::write(settings.directory.join("alerts/00000002-20260102T030406.ndjson.zst"), "not zstd").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vigia"))
        .args(["journal", "export", "--lang", "en", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.split(|byte| *byte == b'\n').count()), (Some(3), all.len() + 1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("alerts/00000002"));
}
