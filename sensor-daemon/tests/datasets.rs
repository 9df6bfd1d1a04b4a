//! Sets that rules change (`dataset: set` and `unset`) outlive the run that changed them, where a rule says so.

mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use wire::{Capture, ethernet, ipv4, udp, vigia};

/// The first datagram of each sender, and those of senders that are known then.
const LEARN: &str = r#"
alert udp any any -> any 7 (msg:"new"; ip.src; dataset:set,senders,type ip,state senders.lst; sid:1;)
alert udp any any -> any 7 (msg:"known"; ip.src; dataset:isset,senders; sid:2;)
"#;

fn datagram(from: [u8; 4], payload: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(17, from, [10, 9, 0, 1], 1, 0, &udp(40_000, 7, payload)))
}

/// What one rehearsal has: a folder with rules and a capture.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(rules: &str, said: &[([u8; 4], &[u8])]) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let mut capture = Capture::default();
        said.iter().for_each(|(from, payload)| capture.push(&datagram(*from, payload)));
        capture.write(&bench.at("test.pcap"));
        fs::create_dir(bench.at("rules")).unwrap();
        bench.put("rules/test.rules", rules);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn replay(&self, more: &[&str]) -> Output {
        let output = ["--output".into(), self.at("out")];
        vigia().args(["replay", "--no-progress"]).arg(self.at("test.pcap")).args(more).args(output).output().unwrap()
    }

    /// Signature ids of the alerts of a replay, in their order.
    fn alerts(&self, more: &[&str]) -> Vec<u64> {
        let rules = self.at("rules/test.rules");
        let run = self.replay(&[more, &["--rules", rules.to_str().unwrap()]].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        self.reported()
    }

    fn reported(&self) -> Vec<u64> {
        let text = self.text("out/eve.json");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter_map(|event| event["alert"]["signature_id"].as_u64()).collect()
    }
}

const A: [u8; 4] = [10, 9, 1, 1];
const B: [u8; 4] = [10, 9, 1, 2];

#[test]
fn what_one_run_adds_to_a_set_the_next_one_knows() {
    let bench = Bench::new(LEARN, &[(B, b"x"), (A, b"x"), (A, b"x")]);
    assert_eq!(bench.alerts(&[]), [1, 2, 1, 2, 2]);
    assert_eq!(bench.text("out/datasets/senders.lst"), "10.9.1.1\n10.9.1.2\n");
    assert_eq!(bench.alerts(&[]), [2, 2, 2]);
    assert_eq!(bench.text("out/datasets/senders.lst"), "10.9.1.1\n10.9.1.2\n");
    assert!(!bench.at("rules/senders.lst").exists(), "the folder of the rules is left alone");
}

#[test]
fn a_set_is_saved_whole_with_what_it_was_loaded_with_and_without_what_was_taken_out() {
    let rules = r#"
alert udp any any -> any 7 (content:"add "; startswith; pkt_data; subslice:4; dataset:set,words,type string,load words.lst,save kept/words.lst; sid:1;)
alert udp any any -> any 7 (content:"drop "; startswith; pkt_data; subslice:5; dataset:unset,words; sid:2;)
"#;
    let said: [&[u8]; 5] = [b"add \x00\xff", b"drop bad", b"drop nothing", b"add gone", b"drop gone"];
    let bench = Bench::new(rules, &said.map(|payload| (A, payload)));
    let loaded = "# kept by hand\nd29yc2U=\nYmFk\n";
    bench.put("rules/words.lst", loaded);
    for _ in 0..2 {
        assert_eq!(bench.alerts(&[]), [1, 2, 1, 2], "what is only saved is not loaded");
        assert_eq!(bench.text("out/datasets/kept/words.lst"), "AP8=\nd29yc2U=\n");
    }
    assert_eq!(bench.text("rules/words.lst"), loaded);
}

#[test]
fn a_state_begins_with_the_file_beside_the_rules_until_it_was_saved() {
    let bench = Bench::new(LEARN, &[(A, b"x"), (B, b"x")]);
    bench.put("rules/senders.lst", "10.9.1.1\n");
    assert_eq!(bench.alerts(&[]), [2, 1, 2]);
    bench.put("out/datasets/senders.lst", "10.9.1.2\n");
    assert_eq!(bench.alerts(&[]), [1, 2, 2]);
}

#[test]
fn a_setting_says_in_which_folder_sets_are_saved() {
    let bench = Bench::new(LEARN, &[(A, b"x")]);
    bench.put("vigia.toml", "[rules]\nfiles = [\"rules/\"]\nsaved = \"state\"\n");
    let config = bench.at("vigia.toml");
    assert!(bench.replay(&["--config", config.to_str().unwrap()]).status.success());
    assert_eq!(bench.text("state/senders.lst"), "10.9.1.1\n");
    assert!(!bench.at("out/datasets").exists());
}

#[test]
fn what_cannot_be_saved_is_told_and_counted_and_costs_no_alert() {
    for (language, told) in [("en", "is not saved"), ("es", "no se guarda")] {
        let bench = Bench::new(LEARN, &[(A, b"x"), (A, b"x")]);
        fs::create_dir(bench.at("out")).unwrap();
        bench.put("out/datasets", "no folder");
        let rules = bench.at("rules/test.rules");
        let run = bench.replay(&["--lang", language, "--json", "--rules", rules.to_str().unwrap()]);
        let log = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(0), "{log}");
        assert!(log.contains(told) && log.contains("senders.lst"), "{log}");
        assert_eq!(bench.reported(), [1, 2, 2]);
        let snapshot: Value = serde_json::from_slice(&run.stdout).unwrap();
        let failed = &snapshot["series"]["vigia_rule_set_saves_total{result=\"failed\"}"];
        assert_eq!(failed, 1, "{snapshot:#}");
    }
}

#[test]
fn a_file_that_would_lie_elsewhere_is_an_error_with_its_place() {
    for file in ["/tmp/senders.lst", "../senders.lst"] {
        let rules = LEARN.replace("state senders.lst", &format!("state {file}"));
        let bench = Bench::new(&rules, &[(A, b"x")]);
        let path = bench.at("rules/test.rules");
        let run = vigia().args(["rules", "check", "--lang", "en"]).arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
        let column = rules.lines().nth(1).unwrap().find(file).unwrap() + 1;
        assert!(text.contains(&format!("test.rules:2:{column}")), "{text}");
        assert!(text.contains("does not lie in the folder of saved sets") && !run.status.success(), "{text}");
    }
}

#[test]
fn the_files_do_not_depend_on_the_number_of_workers() {
    let rules = r#"
alert udp any any -> any 7 (content:"in"; ip.src; dataset:set,inside,type ip,state inside.lst; sid:1;)
alert udp any any -> any 7 (content:"out"; pkt_data; subslice:3; dataset:unset,inside; sid:2;)
alert udp any any -> any 7 (content:"out"; ip.src; dataset:unset,inside; sid:3;)
alert udp any any -> any 7 (pkt_data; dataset:set,said,type string,save said.lst; noalert; sid:4;)
"#;
    let host = |n: u32| [10, 9, 1 + (n % 3) as u8, (n * 7 % 50) as u8];
    let said: Vec<([u8; 4], Vec<u8>)> = (0..600)
        .map(|n| (host(n), if n % 7 == 3 { b"out".to_vec() } else { format!("in {}", n % 9).into_bytes() }))
        .collect();
    let said: Vec<_> = said.iter().map(|(from, payload)| (*from, &payload[..])).collect();
    let bench = Bench::new(rules, &said);
    let run = |workers: &str| {
        let _ = fs::remove_dir_all(bench.at("out"));
        let alerts = bench.alerts(&["--workers", workers]);
        (alerts, bench.text("out/datasets/inside.lst"), bench.text("out/datasets/said.lst"))
    };
    let one = run("1");
    assert!(one.0.contains(&1) && one.0.contains(&3) && one.1.lines().count() > 20, "{one:?}");
    assert_eq!(one.2.lines().count(), 10);
    for workers in ["2", "4"] {
        assert_eq!(run(workers), one, "{workers} workers");
    }
}

/// Nothing of a session is of another, so each capture finds the set as it was loaded; what any of them changed is saved.
#[test]
fn of_several_captures_all_changes_are_saved() {
    let bench = Bench::new(LEARN, &[(A, b"x")]);
    let mut other = Capture::default();
    [A, B].iter().for_each(|from| other.push(&datagram(*from, b"x")));
    other.write(&bench.at("other.pcap"));
    let other: &Path = &bench.at("other.pcap");
    assert_eq!(bench.alerts(&[other.to_str().unwrap()]), [1, 2, 1, 2, 1, 2]);
    assert_eq!(bench.text("out/datasets/senders.lst"), "10.9.1.1\n10.9.1.2\n");
}
