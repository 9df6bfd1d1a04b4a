//! The index of alerts gives the answers of the journal, whatever becomes of either.

mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vigia::index::{Builder, Index, Settings};
use vigia::journal::JournalSettings;
use vigia::metrics::{Counter, Metrics};
use wire::{Capture, Session, Way, vigia, write_register};

const IDENTITY: &str = "0123456789abcdef";

/// Alerts of a capture, as lines: 120 of two rules, of six clients.
fn alerts(folder: &Path) -> Vec<String> {
    let mut capture = Capture::default();
    let mut sessions: Vec<_> =
        (0..6).map(|client| Session::new(([10, 0, 0, client], 40_000), ([10, 0, 1, client % 2], 502))).collect();
    for number in 0..60_u16 {
        let session = &mut sessions[usize::from(number) % 6];
        capture.push(&session.say(Way::ToServer, &write_register(number, number, 1)));
        capture.wait_ms(500);
    }
    capture.write(&folder.join("writes.pcap"));
    let rules = "alert modbus any any -> any any (msg:\"write\"; modbus: function 6; sid:1; priority:1;)\n\
                 alert tcp any any -> any 502 (msg:\"to a server\"; flow:to_server; dsize:>0; sid:2; priority:3;)\n";
    fs::write(folder.join("test.rules"), rules).unwrap();
    let mut command = vigia();
    command.arg("replay").arg(folder.join("writes.pcap")).arg("--rules").arg(folder.join("test.rules"));
    assert!(command.arg("--output").arg(folder).output().unwrap().status.success());
    let lines = fs::read_to_string(folder.join("eve.json")).unwrap();
    let alerts = lines.lines().filter(|line| line.contains("\"event_type\":\"alert\""));
    let alerts: Vec<_> = alerts.map(str::to_owned).collect();
    assert_eq!(alerts.len(), 120);
    alerts
}

/// A journal of three segments, the first of them sealed, and its index.
struct Plant {
    folder: tempfile::TempDir,
    journal: PathBuf,
    metrics: Arc<Metrics>,
}

impl Plant {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        fs::create_dir_all(journal.join("alerts")).unwrap();
        fs::write(journal.join("identity"), IDENTITY).unwrap();
        fs::write(folder.path().join("vigia.toml"), format!("journal.directory = {journal:?}\n")).unwrap();
        let plant = Self { metrics: Metrics::new(), journal, folder };
        for (at, part) in alerts(plant.folder.path()).chunks(40).enumerate() {
            plant.write(at + 1, part);
        }
        let plain = fs::read(plant.segment(1)).unwrap();
        fs::write(plant.segment(1).with_extension("ndjson.zst"), zstd::encode_all(&plain[..], 3).unwrap()).unwrap();
        fs::remove_file(plant.segment(1)).unwrap();
        plant
    }

    fn segment(&self, number: usize) -> PathBuf {
        self.journal.join(format!("alerts/{number:08}-20260102T030405.ndjson"))
    }

    fn sealed(&self) -> PathBuf {
        self.segment(1).with_extension("ndjson.zst")
    }

    fn write(&self, number: usize, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.segment(number), text).unwrap();
    }

    fn index(&self) -> PathBuf {
        self.journal.join("index.sqlite")
    }

    fn settings(&self) -> JournalSettings {
        JournalSettings { directory: self.journal.clone(), reserve_bytes: 0, ..JournalSettings::default() }
    }

    fn builder(&self, max_bytes: u64) -> Builder {
        let settings = Settings { max_bytes, ..Settings::default() };
        Builder::new(&self.settings(), (IDENTITY, &Arc::default()), &settings, &self.metrics)
    }

    fn build(&self) {
        while self.builder(1 << 30).round() {}
    }

    fn count(&self, counter: Counter) -> u64 {
        self.metrics.shared().get(counter)
    }

    fn held(&self) -> u64 {
        Index::open(&self.journal, IDENTITY).unwrap().holding().unwrap().alerts
    }

    /// What `vigia alerts` says.
    fn ask(&self, arguments: &[&str]) -> String {
        let mut command = vigia();
        command.arg("alerts").arg("--config").arg(self.folder.path().join("vigia.toml")).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Answers to questions of all kinds.
    fn answers(&self) -> Vec<String> {
        let questions: [&[&str]; 11] = [
            &[],
            &["--json"],
            &["--sid", "1"],
            &["--sid", "1", "--sid", "2", "--src", "10.0.0.3"],
            &["--dst", "10.0.1.1", "--severity", "2"],
            &["--severity", "1", "--json"],
            &["--since", "2026-01-02T03:04:15", "--until", "2026-01-02T03:04:25"],
            &["--since", "2026-01-02T03:04:15", "--sid", "2", "--json"],
            &["--src", "fd00::1"],
            &["--sid", "9"],
            &["--src", "10.0.0.5", "--json"],
        ];
        questions.map(|question| self.ask(question)).to_vec()
    }
}

#[test]
fn questions_have_the_answers_of_the_journal() {
    let plant = Plant::new();
    let journal = plant.answers();
    let counts: Vec<_> = journal.iter().map(|answer| answer.lines().count()).collect();
    assert_eq!(counts, [120, 120, 60, 20, 30, 60, 40, 40, 0, 0, 20]);
    plant.build();
    assert_eq!((plant.held(), plant.count(Counter::IndexAlerts)), (120, 120));
    assert_eq!(plant.answers(), journal);
    // What a line needs is in the index: the journal's first segment is not even opened.
    fs::write(plant.sealed(), "no zstd").unwrap();
    assert_eq!(plant.ask(&["--sid", "1"]), journal[2]);
}

#[test]
fn what_is_not_in_the_index_comes_from_the_journal() {
    let plant = Plant::new();
    let journal = plant.answers();
    // As it was read up to the middle of the second segment.
    let (second, third) = (fs::read_to_string(plant.segment(2)).unwrap(), fs::read(plant.segment(3)).unwrap());
    fs::remove_file(plant.segment(3)).unwrap();
    plant.write(2, &second.lines().take(10).map(str::to_owned).collect::<Vec<_>>());
    plant.build();
    assert_eq!(plant.held(), 50);
    fs::write(plant.segment(2), second).unwrap();
    fs::write(plant.segment(3), third).unwrap();
    assert_eq!(plant.answers(), journal);
    // One with a bound that holds no more than the last segment.
    let mut builder = plant.builder(1);
    while builder.round() {}
    assert_eq!(plant.held(), 40);
    assert_eq!([Counter::IndexLimit, Counter::IndexLeftOut].map(|counter| plant.count(counter)), [1, 2]);
    assert_eq!(plant.answers(), journal);
}

#[test]
fn nothing_is_written_while_the_reserve_for_alerts_is_short() {
    let plant = Plant::new();
    let settings = JournalSettings { reserve_bytes: 4096, ..plant.settings() };
    let mut builder = Builder::new(&settings, (IDENTITY, &Arc::default()), &Settings::default(), &plant.metrics);
    assert!(!builder.round() && !plant.index().exists());
    plant.metrics.shared().set(Counter::JournalReserve, 4096);
    while builder.round() {}
    assert_eq!(plant.held(), 120);
}

#[test]
fn rows_go_with_their_segment() {
    let plant = Plant::new();
    plant.build();
    fs::remove_file(plant.sealed()).unwrap();
    let rest = plant.ask(&[]);
    assert_eq!(rest.lines().count(), 80, "not told though they are still there");
    plant.build();
    assert_eq!((plant.held(), plant.ask(&[])), (80, rest));
}

#[test]
fn an_index_that_is_removed_damaged_or_of_another_journal_is_made_anew() {
    let plant = Plant::new();
    let journal = plant.answers();
    let mut builder = plant.builder(1 << 30);
    while builder.round() {}
    fs::remove_file(plant.index()).unwrap();
    assert_eq!(plant.ask(&[]), journal[0]);
    while builder.round() {}
    assert_eq!((plant.held(), plant.count(Counter::IndexRemoved)), (120, 1));
    drop(builder);

    let mut bytes = fs::read(plant.index()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5a);
    for damaged in [bytes, b"no database at all".repeat(500)] {
        fs::write(plant.index(), damaged).unwrap();
        plant.build();
        assert!(plant.journal.join("index.sqlite.damaged").exists());
        plant.build();
        assert_eq!((plant.held(), plant.answers()), (120, journal.clone()));
    }
    assert_eq!(plant.count(Counter::IndexDamaged), 2);

    fs::write(plant.journal.join("identity"), "fedcba9876543210").unwrap();
    assert_eq!(plant.ask(&[]), journal[0]);
    assert!(Index::open(&plant.journal, "fedcba9876543210").is_none());
    let mut other =
        Builder::new(&plant.settings(), ("fedcba9876543210", &Arc::default()), &Settings::default(), &plant.metrics);
    while other.round() {}
    assert_eq!(plant.count(Counter::IndexOutdated), 1);
    assert_eq!(plant.ask(&[]), journal[0]);
}

#[test]
fn an_index_that_was_open_when_the_machine_stopped_is_made_anew_and_not_asked() {
    let plant = Plant::new();
    let mut builder = plant.builder(1 << 30);
    while builder.round() {}
    let boot = || rusqlite::Connection::open(plant.index()).unwrap();
    let told = |connection: rusqlite::Connection| {
        connection.query_row("SELECT boot FROM state", [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_ne!(told(boot()), "");
    builder.close();
    assert_eq!(told(boot()), "", "one that was closed is good after any number of starts");
    assert_eq!(plant.held(), 120);
    plant.build();
    assert_eq!(plant.count(Counter::IndexOutdated), 0);

    boot().execute("UPDATE state SET boot = 'another'", []).unwrap();
    assert!(Index::open(&plant.journal, IDENTITY).is_none());
    plant.build();
    assert_eq!((plant.held(), plant.count(Counter::IndexOutdated)), (120, 1));
}

#[test]
fn what_a_power_cut_took_from_the_journal_goes_from_the_index_at_the_next_start() {
    let plant = Plant::new();
    plant.build();
    let second = fs::read_to_string(plant.segment(2)).unwrap();
    let kept: Vec<_> = second.lines().take(30).map(str::to_owned).collect();
    plant.write(2, &kept);
    fs::remove_file(plant.segment(3)).unwrap();
    plant.build();
    assert_eq!(plant.held(), 70);
    // The number is used again, as no consumer but the index had read so far.
    plant.write(3, &kept[..7]);
    plant.build();
    let indexed = plant.answers();
    fs::remove_file(plant.index()).unwrap();
    assert_eq!(plant.answers(), indexed);
    assert_eq!(indexed[0].lines().count(), 77);
}

#[test]
fn the_command_shows_the_index_and_removes_it() {
    let plant = Plant::new();
    let command = |more: &[&str]| {
        let config = plant.folder.path().join("vigia.toml");
        vigia().args(["journal", "index", "--config"]).arg(config).args(more).output().unwrap()
    };
    assert_eq!(command(&[]).status.code(), Some(1));
    plant.build();
    let told: serde_json::Value = serde_json::from_slice(&command(&["--json"]).stdout).unwrap();
    assert_eq!((&told["alerts"], &told["segments"]), (&120.into(), &3.into()));
    assert!(command(&["--rebuild"]).status.success());
    assert!(!plant.index().exists());
    // People may look into it themselves.
    plant.build();
    let connection = rusqlite::Connection::open(plant.index()).unwrap();
    let sql = "SELECT event_id, timestamp FROM alerts WHERE sid = 1 ORDER BY timestamp LIMIT 1";
    let row = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (id, time): (String, String) = row.unwrap();
    let first: serde_json::Value =
        serde_json::from_str(plant.ask(&["--sid", "1", "--json"]).lines().next().unwrap()).unwrap();
    assert_eq!(first["event_id"], id.as_str());
    assert_eq!(first["timestamp"].as_str().unwrap().replace("+0000", "Z"), time);
}
