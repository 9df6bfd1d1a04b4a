//! Whatever is done to a journal's sealed segments or their chain is found, and what the sensor does itself is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vigia::journal::{Fault, FaultKind, Journal, JournalSettings, Proof, PublicKey, Verification, verify};
use vigia::metrics::Metrics;
use vigia_parsers::Timestamp;

fn settings(folder: &Path) -> JournalSettings {
    JournalSettings {
        directory: folder.join("journal"),
        total_bytes: 64 << 20,
        reserve_bytes: 0,
        segment_bytes: 64 << 10,
        records_sync_interval_ms: 10,
        ..JournalSettings::default()
    }
}

/// Writes `count` segments of records.
fn write(journal: &Journal, count: u64) {
    let submitter = journal.submitter(0);
    for number in 0..count {
        let mut batch = submitter.record_batch();
        batch.first = Timestamp::new(1_767_323_045, 0);
        // A batch fills a segment; each looks different, and does not compress to nothing.
        let mut state = number + 1;
        for _ in 0..1000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            batch
                .lines
                .append_lines(format!("{{\"event_type\":\"modbus\",\"n\":{number},\"x\":{state}}}\n").as_bytes());
            batch.events += 1;
        }
        submitter.records(batch);
    }
}

fn statements(settings: &JournalSettings) -> Vec<String> {
    let chain = fs::read_to_string(settings.directory.join("chain/records")).unwrap_or_default();
    chain.lines().map(str::to_owned).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        // The keeper has the lowest priority.
        assert!(start.elapsed() < Duration::from_secs(120), "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a sensor's journal: writes segments and waits until the chain has that many statements.
fn run(settings: &JournalSettings, segments: u64, stated: usize) {
    let (journal, _) = Journal::open(settings, &Metrics::new()).unwrap();
    write(&journal, segments);
    until("the chain", || statements(settings).len() >= stated);
    journal.close().unwrap();
}

/// A journal of four sealed segments and one that is not.
fn journal() -> (tempfile::TempDir, JournalSettings) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    run(&settings, 5, 4);
    assert_eq!(faults(&settings), []);
    (folder, settings)
}

fn proof(settings: &JournalSettings) -> Proof {
    verify(&settings.directory, None, &[]).unwrap()
}

fn faults(settings: &JournalSettings) -> Vec<(FaultKind, String)> {
    let [alerts, records] = proof(settings).streams;
    alerts.faults.into_iter().chain(records.faults).map(|Fault { kind, place }| (kind, place)).collect()
}

/// The sealed segment of a number.
fn segment(settings: &JournalSettings, number: u64) -> PathBuf {
    let entries = fs::read_dir(settings.directory.join("records")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{number:08}-"))).unwrap()
}

fn place(path: &Path) -> String {
    format!("records/{}", path.file_name().unwrap().to_str().unwrap())
}

fn rewrite_chain(settings: &JournalSettings, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines = statements(settings);
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(settings.directory.join("chain/records"), text).unwrap();
}

#[test]
fn what_was_sealed_is_proven_over_restarts() {
    let (_folder, settings) = journal();
    let [_, records] = proof(&settings).streams;
    assert_eq!((records.segments, records.open, records.statements), (4, 1, 4));
    let noted = [records.head];
    run(&settings, 2, 6);
    let [_, records] = verify(&settings.directory, None, &noted).unwrap().streams;
    assert_eq!((records.segments, records.open, records.statements, records.faults), (6, 1, 6, vec![]));
}

#[test]
fn segments_that_stay_uncompressed_are_proven_too() {
    let folder = tempfile::tempdir().unwrap();
    let plain = JournalSettings { compress: false, ..settings(folder.path()) };
    run(&plain, 3, 2);
    // From now on they are compressed; what was stated stays as it is.
    run(&settings(folder.path()), 1, 3);
    let [_, records] = proof(&plain).streams;
    assert_eq!((records.segments, records.open, records.faults), (3, 1, vec![]));
    let path = segment(&plain, 2);
    let text = fs::read_to_string(&path).unwrap().replacen("modbus", "dnp3", 1);
    fs::write(&path, text).unwrap();
    assert_eq!(faults(&plain), [(FaultKind::Changed, place(&path))]);
}

#[test]
fn what_retention_removes_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    // Room for some of the segments also before they are compressed, and far from all of them after.
    let settings = JournalSettings { total_bytes: 256 << 10, ..settings(folder.path()) };
    let (journal, _) = Journal::open(&settings, &Metrics::new()).unwrap();
    write(&journal, 30);
    // All but the one being written: one that waits to be sealed is in no statement.
    let settled = |records: &Verification| records.removed >= 10 && records.removed + records.segments == 29;
    until("retention", || settled(&proof(&settings).streams[1]));
    journal.close().unwrap();
    assert_eq!(faults(&settings), []);
    // A statement of removal covers that segment, and no other.
    let [_, records] = proof(&settings).streams;
    let last = segment(&settings, records.removed + records.segments);
    fs::remove_file(&last).unwrap();
    assert_eq!(faults(&settings), [(FaultKind::Missing, place(&last))]);
}

#[test]
fn a_segment_that_was_changed_is_found() {
    let (_folder, settings) = journal();
    let path = segment(&settings, 2);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(faults(&settings), [(FaultKind::Changed, place(&path))]);
}

#[test]
fn segments_that_were_exchanged_are_found() {
    let (_folder, settings) = journal();
    let [one, other] = [2, 3].map(|number| segment(&settings, number));
    let bytes = [&one, &other].map(|path| fs::read(path).unwrap());
    fs::write(&one, &bytes[1]).unwrap();
    fs::write(&other, &bytes[0]).unwrap();
    assert_eq!(faults(&settings), [(FaultKind::Changed, place(&one)), (FaultKind::Changed, place(&other))]);
}

#[test]
fn a_segment_that_is_missing_is_found_also_after_a_start() {
    let (_folder, settings) = journal();
    let path = segment(&settings, 3);
    fs::remove_file(&path).unwrap();
    let expected = [(FaultKind::Missing, place(&path))];
    assert_eq!(faults(&settings), expected);
    run(&settings, 1, 5);
    assert_eq!(faults(&settings), expected);
}

#[test]
fn a_segment_is_missed_with_its_statement() {
    let (_folder, settings) = journal();
    fs::remove_file(segment(&settings, 3)).unwrap();
    rewrite_chain(&settings, |lines| drop(lines.remove(2)));
    let expected = [
        (FaultKind::Broken, "chain/records:3".to_owned()),
        (FaultKind::Truncated, "chain/records.head".to_owned()),
        (FaultKind::Missing, "records/00000003".to_owned()),
    ];
    assert_eq!(faults(&settings), expected);
}

#[test]
fn statements_that_were_reordered_are_found() {
    let (_folder, settings) = journal();
    rewrite_chain(&settings, |lines| lines.swap(1, 2));
    let places = ["chain/records:2", "chain/records:3", "chain/records:4"];
    assert_eq!(faults(&settings), places.map(|place| (FaultKind::Broken, place.to_owned())));
}

#[test]
fn an_end_that_was_cut_off_is_found() {
    let (_folder, settings) = journal();
    let before = proof(&settings).streams[1].head.clone();
    let head = settings.directory.join("chain/records.head");
    let truncated = (FaultKind::Truncated, "chain/records.head".to_owned());
    let files = [4, 5].map(|number| segment(&settings, number));
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    rewrite_chain(&settings, |lines| lines.truncate(3));
    assert_eq!(faults(&settings), [truncated]);

    fs::remove_file(&head).unwrap();
    assert_eq!(faults(&settings), [(FaultKind::Unsigned, "chain/records.head".to_owned())]);

    // Everything as it was one segment before: only who noted the head finds out.
    let (other, again) = journal();
    let copy = other.path().join("copy");
    copy_folder(&again.directory, &copy);
    run(&again, 1, 5);
    let noted = [proof(&again).streams[1].head.clone()];
    assert!(verify(&copy, None, &[]).unwrap().holds());
    let found = verify(&copy, None, &noted).unwrap();
    assert_eq!(found.streams[0].faults, [Fault { kind: FaultKind::Truncated, place: noted[0].clone() }]);
    assert_ne!(before, noted[0]);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

#[test]
fn what_is_not_signed_is_found() {
    let (_folder, settings) = journal();
    rewrite_chain(&settings, |lines| lines[3] = lines[3].replacen(" sealed ", " sealed x", 1));
    let found = faults(&settings);
    assert_eq!(found[0], (FaultKind::Unsigned, "chain/records:4".to_owned()));
    assert!(found.contains(&(FaultKind::Unsigned, place(&segment(&settings, 4)))), "{found:?}");

    let (_folder, settings) = journal();
    let added = settings.directory.join("records/00000002-20200101T000000.ndjson");
    fs::write(&added, "{}\n").unwrap();
    assert_eq!(faults(&settings), [(FaultKind::Unsigned, place(&added))]);
}

#[test]
fn another_key_proves_nothing() {
    let (folder, settings) = journal();
    let noted = PublicKey::of_journal(&settings.directory).unwrap();
    // Somebody has all of it written anew, with a key of their own.
    fs::rename(&settings.directory, folder.path().join("before")).unwrap();
    run(&settings, 5, 4);
    assert_eq!(faults(&settings), []);
    let found = verify(&settings.directory, Some(noted), &[]).unwrap();
    assert!(found.streams.iter().flat_map(|stream| &stream.faults).all(|fault| fault.kind == FaultKind::Unsigned));
    assert!(!found.holds());
}

#[test]
fn the_commands_say_so() {
    let (folder, settings) = journal();
    let config = folder.path().join("vigia.toml");
    fs::write(&config, format!("journal.directory = {:?}\n", settings.directory)).unwrap();
    let vigia = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
        let output = command.args(arguments).arg("--config").arg(&config).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (_, pem) = vigia(&["journal", "key"]);
    assert_eq!(pem, fs::read_to_string(settings.directory.join("chain/public.pem")).unwrap());
    let noted = folder.path().join("noted.pem");
    fs::write(&noted, pem).unwrap();
    let head = proof(&settings).streams[1].head.clone();
    let with = ["journal", "verify", "--lang", "en", "--key", noted.to_str().unwrap(), "--head", &head];
    let (code, text) = vigia(&with);
    assert_eq!((code, text.lines().last()), (Some(0), Some("nothing was changed or taken out")), "{text}");

    fs::remove_file(segment(&settings, 3)).unwrap();
    let (code, text) = vigia(&["journal", "verify", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &found["holds"], &found["records"]["segments"]), (Some(2), &false.into(), &3.into()));
    assert_eq!(found["records"]["faults"][0]["kind"], "missing");
    let (code, text) = vigia(&["journal", "verify", "--lang", "es"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("falta, y no se quitó para hacer sitio"), "{text}");
    assert_eq!(vigia(&["journal", "verify", "--directory", "no-such-folder"]).0, Some(1));
}

#[test]
fn openssl_verifies_a_statement() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: no openssl");
        return;
    }
    let (_folder, settings) = journal();
    let script = "set -e; line=$(tail -n 1 chain/records); printf %s \"${line% *}\" > text; \
        printf %s \"${line##* }\" | base64 -d > signature; \
        openssl pkeyutl -verify -pubin -inkey chain/public.pem -rawin -in text -sigfile signature";
    let mut command = Command::new("sh");
    let output = command.args(["-c", script]).current_dir(&settings.directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
