//! The tools for those who write and tune rules, through the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn vigia(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    for name in ["VIGIA_CONFIG", "LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(name);
    }
    command.args(arguments).output().expect("the binary starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output))
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// Files in a folder of their own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn signatures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/signatures").canonicalize().unwrap()
}

/// A station writes a coil, 10.66.0.66 to 10.66.0.10:502, and is answered.
fn capture() -> String {
    signatures().join("captures/9101001-fires.pcap").to_str().unwrap().to_owned()
}

const GOOD: &str = "alert modbus any any -> any any (msg:\"Coil written\"; modbus.function:5; sid:1;)\n";

#[test]
fn check_exits_with_0_1_and_2_and_names_every_finding() {
    let folder = Folder::new();
    let good = folder.file("good.rules", GOOD);
    let warned = folder.file("warned.rules", "alert tcp any any -> any any (content:\"ab\"; sid:2;)\n");
    let bad = folder.file("bad.rules", &format!("{GOOD}alert tcp any any -> any any (contnt:\"ab\"; sid:3;)\n"));
    for (arguments, expected) in [
        (&[good.as_str()][..], 0),
        (&[&good, "--strict"], 0),
        (&[&warned], 0),
        (&[&warned, "--strict"], 1),
        (&[&bad], 2),
        (&[folder.path()], 2),
        (&["/nonexistent.rules"], 2),
    ] {
        let output = vigia(&[&["rules", "check"], arguments].concat());
        assert_eq!(code(&output), expected, "{arguments:?}: {}", stdout(&output));
    }
    let text = stdout(&vigia(&["rules", "check", folder.path()]));
    assert!(text.contains("bad.rules:2:31: error[unknown-keyword]: unknown keyword `contnt`"), "{text}");
    assert!(text.contains("(did you mean `content`?)"), "{text}");
    assert!(text.contains("warned.rules:1:31: warning[short-pattern]"), "{text}");
    assert!(text.contains("good.rules:1:1: warning[duplicate-sid]"), "{text}");
    let spanish = stdout(&vigia(&["--lang", "es", "rules", "check", &warned]));
    assert!(
        spanish.contains("aviso[short-pattern]: el patrón rápido tiene 2 de al menos 3 bytes (busque más bytes"),
        "{spanish}"
    );
    let rules = (1..=7).map(|sid| format!("alert http any any -> any any (http.uri; content:\"abcd\"; sid:{sid};)\n"));
    let waiting = folder.file("waiting.txt", &rules.collect::<String>());
    let answer = json(&vigia(&["rules", "check", &waiting, "--json"]));
    let warned = &answer["diagnostics"][0];
    assert!(warned["message"].as_str().unwrap().ends_with("7 rules off (sid 1, 2, 3, 4, 5 and 2 more)"), "{warned}");
    assert_eq!(warned["sids"], serde_json::json!([1, 2, 3, 4, 5, 6, 7]));
    let answer = json(&vigia(&["rules", "check", &bad, "--json"]));
    assert_eq!((&answer["errors"], &answer["failed"], &answer["rules"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(answer["diagnostics"][0]["line"], 2);
}

/// The properties that the schema of SARIF 2.1.0 requires, and the types it gives to those that are there.
#[test]
fn check_writes_sarif() {
    let folder = Folder::new();
    let rules = folder.file(
        "my rules.rules",
        "alert tcp any any -> any any (content:\"ab\"; sid:2;)\nalert tcp any any -> any any (contnt:\"ab\"; sid:3;)\n",
    );
    let output = vigia(&["rules", "check", &rules, "/nonexistent.rules", "--sarif"]);
    assert_eq!(code(&output), 2);
    let log = json(&output);
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(log["$schema"], "https://json.schemastore.org/sarif-2.1.0.json");
    let runs = log["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!(driver["name"], "vigia");
    let rules = driver["rules"].as_array().expect("rules");
    assert!(rules.iter().all(|rule| rule["id"].is_string()));
    let results = runs[0]["results"].as_array().expect("results");
    assert_eq!(results.len(), 3);
    for result in results {
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let index = result["ruleIndex"].as_u64().expect("index") as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().expect("level")));
        for location in result["locations"].as_array().expect("locations") {
            let physical = &location["physicalLocation"];
            let uri = physical["artifactLocation"]["uri"].as_str().expect("uri");
            assert!(uri.starts_with("file:///") && uri.ends_with("my%20rules.rules"), "{uri}");
            let region = |key: &str| physical["region"][key].as_u64().filter(|&number| number >= 1).expect("from 1");
            assert_eq!(region("startLine"), region("endLine"));
            assert!(region("startColumn") < region("endColumn"));
        }
    }
    let lines: Vec<_> =
        results.iter().map(|r| r["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64()).collect();
    assert_eq!(lines, [None, Some(1), Some(2)], "a file that is not there has no place");
}

#[test]
fn explain_says_in_words_what_a_rule_asks() {
    let folder = Folder::new();
    let rules = folder.file(
        "mine.rules",
        "alert tcp $EXTERNAL_NET any -> $HOME_NET 80 (msg:\"Admin page\"; flow:established,to_server; \
         flowbits:isset,seen; content:\"GET /\"; depth:5; content:\"admin\"; nocase; distance:0; \
         pcre:\"/admin[0-9]/i\"; classtype:web-application-attack; sid:1000001; rev:3;)\n",
    );
    let text = stdout(&vigia(&["rules", "explain", "1000001", "--rules", &rules]));
    for expected in [
        "1:1000001:3  Admin page",
        "mine.rules:1",
        "alerts on tcp, from $EXTERNAL_NET to $HOME_NET port 80",
        "the flow is established",
        "it goes to the server",
        "flowbit seen is set",
        "payload contains \"admin\", in upper or lower case, 0 bytes or more after the match before",
        "payload matches the expression \"/admin[0-9]/i\"",
        "destination_port 80",
        "\"get /\" in payload, 5 bytes",
        "low: inspected only where its fast pattern stands",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    let spanish = stdout(&vigia(&["--lang", "es", "rules", "explain", "1000001", "--rules", &rules]));
    assert!(spanish.contains("alerta sobre tcp, de $EXTERNAL_NET a $HOME_NET puerto 80"), "{spanish}");
    assert!(spanish.contains("payload contiene \"admin\"; en mayúsculas o minúsculas"), "{spanish}");
    let answer = json(&vigia(&["rules", "explain", "1000001", "--rules", &rules, "--json"]));
    assert_eq!(answer["cost"]["contents"], 2);
    assert_eq!(answer["group"]["keys"]["destination_port"][0][0], 80);
    let unknown = vigia(&["rules", "explain", "1000002", "--rules", &rules]);
    assert_eq!(code(&unknown), 1);
    assert!(stderr(&unknown).contains("no rule has the sid 1000002 (did you mean `1000001`?)"), "{}", stderr(&unknown));
}

#[test]
fn explain_says_how_far_a_rule_comes_and_what_stood_in_its_way() {
    let folder = Folder::new();
    let rules = folder.file(
        "mine.rules",
        "alert modbus 10.66.0.66 any -> any any (msg:\"Register\"; modbus.request; modbus.function:6; sid:1;)\n\
         alert tcp any any -> any 502 (msg:\"Place\"; flow:to_server; content:\"|01 05|\"; offset:7; depth:2; sid:2;)\n\
         alert tcp 10.66.0.10 any -> any any (msg:\"Swapped\"; content:\"|01 05 00 03 ff|\"; offset:6; depth:5; \
         flow:to_server; sid:3;)\n\
         alert dnp3 any any -> any any (msg:\"Other\"; dnp3.function:1; sid:4;)\n\
         alert modbus any any -> any any (msg:\"Fires\"; modbus.request; modbus.function:5; sid:5;)\n",
    );
    let explain = |sid: &str| stdout(&vigia(&["rules", "explain", sid, "--rules", &rules, "--capture", &capture()]));
    let text = explain("1");
    for expected in [
        "tried 2 times, matched 0 times, 0 alerts",
        "✓ application protocol modbus",
        "✓ sender 10.66.0.66",
        "✓ modbus.request",
        "✗ modbus.function:6",
        "1 × was 5 (write_single_coil); packet 4, 10.66.0.66:",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    let text = explain("2");
    assert!(text.contains("✗ content:\"|01 05|\"; offset:7; depth:2"), "{text}");
    assert!(text.contains("looked from byte 7 to 9; the bytes stand at 6"), "{text}");
    let text = explain("3");
    assert!(text.contains("✓ sender 10.66.0.10"), "{text}");
    assert!(text.contains("✗ flow to_server") && text.contains("3 × was to the client"), "{text}");
    let text = explain("4");
    assert!(text.contains("there is nothing in the capture that the rule is asked of; seen:"), "{text}");
    assert!(text.contains("2 messages of modbus"), "{text}");
    let text = explain("5");
    assert!(text.contains("tried 2 times, matched 1 times, 1 alerts"), "{text}");

    let answer = json(&vigia(&["rules", "explain", "2", "--rules", &rules, "--capture", &capture(), "--json"]));
    let near = &answer["trace"]["near_misses"][0];
    assert_eq!(answer["trace"]["disagreed"], 0);
    assert_eq!(near["failed"]["text"], "content:\"|01 05|\"; offset:7; depth:2");
    let reasons = near["reasons"].as_array().expect("reasons");
    assert_eq!(reasons[0]["reason"]["elsewhere"], 6, "what stands elsewhere is nearest");
    assert_eq!(reasons[0]["first"]["packet"], 4);
}

#[test]
fn explain_tells_what_a_threshold_or_a_pass_rule_held_back() {
    let folder = Folder::new();
    let capture = signatures().join("captures/9101043-fires.pcap").to_str().unwrap().to_owned();
    let limited = "alert modbus any any -> any any (modbus.request; \
                   threshold:type limit, track by_src, count 1, seconds 60; sid:1;)\n";
    let rules = folder.file("limited.rules", limited);
    let answer = json(&vigia(&["rules", "explain", "1", "--rules", &rules, "--capture", &capture, "--json"]));
    assert_eq!(answer["trace"]["alerts"], 1);
    assert!(answer["trace"]["matched"].as_u64().is_some_and(|matched| matched > 1), "{answer}");
    let pass = "pass modbus any any -> any any (modbus.request; sid:2;)\n";
    let rules = folder.file("passed.rules", &format!("{limited}{pass}"));
    let answer = json(&vigia(&["rules", "explain", "1", "--rules", &rules, "--capture", &capture, "--json"]));
    assert_eq!(answer["trace"]["matched"], 0);
    assert!(answer["trace"]["matched_silently"]["passed"].as_u64().is_some_and(|count| count > 1), "{answer}");
}

#[test]
fn explain_counts_marks_that_rules_before_it_set_on_the_same_message() {
    let folder = Folder::new();
    let rules = folder.file(
        "marks.rules",
        "alert modbus any any -> any any (modbus.request; flowbits:set,asked; noalert; sid:1;)\n\
         alert modbus any any -> any any (modbus.request; flowbits:isset,asked; sid:2;)\n\
         alert modbus any any -> any any (modbus.request; flowbits:isset,asked; modbus.function:6; sid:3;)\n\
         alert modbus any any -> any any (modbus.request; flowbits:isnotset,asked; sid:4;)\n\
         alert modbus any any -> any any (modbus.function:5; threshold:type threshold, track by_flow, count 9, \
         seconds 60; sid:5;)\n",
    );
    let trace = |sid: &str| {
        let output = vigia(&["rules", "explain", sid, "--rules", &rules, "--capture", &capture(), "--json"]);
        json(&output)["trace"].clone()
    };
    let of = trace("2");
    assert_eq!((&of["alerts"], &of["matched"], &of["disagreed"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(trace("3")["near_misses"][0]["failed"]["text"], "modbus.function:6");
    assert_eq!(trace("4")["matched_silently"]["marks_changed"], 1);
    // The answer belongs to the transaction of the request, which was counted.
    let silent = trace("5")["matched_silently"].clone();
    assert_eq!((&silent["threshold"], &silent["repeated"]), (&1.into(), &1.into()));
}

#[test]
fn a_test_that_fails_says_what_differs() {
    let folder = Folder::new();
    folder.file("mine.rules", GOOD);
    std::fs::copy(capture(), folder.0.path().join("write.pcap")).unwrap();
    let tests = |name: &str, text: &str| folder.file(name, text);
    let good = tests(
        "good.test.toml",
        "[[case]]\nabout = \"written\"\ncapture = \"write.pcap\"\nexpected = { 1 = 1 }\n\
         alerts = [{ sid = 1, count = \"1..\", fields = { src_ip = \"10.66.0.66\", \"alert.severity\" = 3 } }]\n",
    );
    assert_eq!(code(&vigia(&["rules", "test", &good])), 0);
    let bad = tests(
        "deep/bad.test.toml",
        "rules = \"../mine.rules\"\n[[case]]\nabout = \"two\"\ncapture = \"../write.pcap\"\nexpected = { 1 = 2 }\n\
         [[case]]\nabout = \"none\"\ncapture = \"../write.pcap\"\nexpected = {}\n\
         [[case]]\nabout = \"fields\"\ncapture = \"../write.pcap\"\n\
         alerts = [{ sid = 1, fields = { src_ip = \"10.66.0.66\", dest_port = 503 } }]\n\
         [[case]]\nabout = \"gone\"\ncapture = \"absent.pcap\"\nexpected = {}\n",
    );
    let output = vigia(&["rules", "test", folder.path()]);
    assert_eq!(code(&output), 1);
    let text = stdout(&output);
    for expected in [
        "1 Coil written: 2 expected, 1 raised",
        "1 Coil written: 0 expected, 1 raised",
        "1: 1.. expected with dest_port = 503, src_ip = \"10.66.0.66\", 0 raised",
        "the nearest has dest_port = 502",
        "cannot read the capture",
        "1 tests passed, 4 failed",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    let answer = json(&vigia(&["rules", "test", &bad, "--json"]));
    assert_eq!((&answer["passed"], &answer["failed"]), (&0.into(), &4.into()));
    assert_eq!(answer["cases"][0]["differences"][0]["kind"], "count");
    let empty = Folder::new();
    assert_eq!(code(&vigia(&["rules", "test", empty.path()])), 1, "no tests are no success");
    let broken = tests("broken.test.toml", "[[case]]\ncapture = 5\n");
    let output = vigia(&["rules", "test", &broken]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("broken.test.toml:2:"), "{}", stderr(&output));
}

#[test]
fn profile_counts_checks_and_matches_by_rule() {
    let folder = Folder::new();
    let rules = folder.file(
        "mine.rules",
        &format!("{GOOD}alert modbus any any -> any any (msg:\"Other\"; modbus.request; sid:2;)\n"),
    );
    let arguments = ["rules", "profile", "--capture", &capture(), "--rules", &rules];
    let answer = json(&vigia(&[&arguments[..], &["--json"]].concat()));
    let rules = answer["rules"].as_array().expect("rules");
    let of = |sid: u64| rules.iter().find(|rule| rule["sid"] == sid).expect("listed");
    // The answer carries the function code as well.
    assert_eq!((&of(1)["matches"], &of(2)["matches"]), (&2.into(), &1.into()));
    assert!(of(2)["checks"].as_u64() >= Some(1) && of(2)["nanoseconds"].as_u64() > Some(0));
    assert_eq!(answer["loaded"], 2);
    let table = stdout(&vigia(&[&arguments[..], &["--top", "1"]].concat()));
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("of 2 rules were inspected"), "{table}");
}

const TUNED: &str = "alert modbus any any -> any any (msg:\"one\"; modbus.request; classtype:misc-attack; sid:1;)\n\
                     # alert modbus any any -> any any (msg:\"two\"; modbus.request; sid:2;)\n\
                     alert modbus any any -> any any (msg:\"three\"; modbus.request; sid:3;)\n\
                     alert modbus any any -> any any (msg:\"four\"; modbus.request; sid:4;)\n";

const OVERRIDES: &str = "[rules]\nfiles = [\"plant.rules\"]\n\n\
                         [[rules.override]]\nsid = [2]\nenabled = true\n\n\
                         [[rules.override]]\nclasstype = [\"misc-attack\"]\npriority = 4\nreason = \"seen daily\"\n\n\
                         [[rules.override]]\nsid = [\"3-3\"]\nenabled = false\n\n\
                         [[rules.override]]\nsid = [4]\nsuppress = [\"track by_src, ip 10.66.0.0/16\"]\n";

#[test]
fn overrides_change_what_is_in_force_and_say_where_they_stand() {
    let folder = Folder::new();
    folder.file("plant.rules", TUNED);
    let config = folder.file("vigia.toml", OVERRIDES);
    let answer = json(&vigia(&["rules", "list", "--effective", "--json", "-c", &config]));
    let rules = answer.as_array().expect("rules");
    let of = |sid: u64| rules.iter().find(|rule| rule["sid"] == sid).unwrap_or_else(|| panic!("{sid}: {answer}"));
    assert_eq!((&of(1)["priority"], &of(2)["enabled"], &of(3)["enabled"]), (&4.into(), &true.into(), &false.into()));
    assert_eq!(of(1)["changes"][0]["reason"], "seen daily");
    assert_eq!(of(1)["changes"][0]["line"], 8);
    assert_eq!(of(4)["changes"][0]["what"], "suppress");
    let table = stdout(&vigia(&["rules", "list", "--effective", "--changed", "-c", &config]));
    assert!(table.contains("priority 4 instead of 2 by") && table.contains("vigia.toml:8 (seen daily)"), "{table}");

    let out = folder.0.path().join("out");
    let replay = vigia(&["replay", &capture(), "-c", &config, "-o", out.to_str().unwrap()]);
    assert_eq!(code(&replay), 0, "{}", stderr(&replay));
    let events = std::fs::read_to_string(out.join("eve.json")).unwrap();
    let sids = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["event_type"] == "alert").then(|| event["alert"]["signature_id"].as_u64().unwrap())
    };
    let mut sids: Vec<u64> = events.lines().filter_map(sids).collect();
    sids.sort_unstable();
    assert_eq!(sids, [1, 2], "3 is off, 4 is suppressed for this sender");
}

#[test]
fn mistakes_in_overrides_are_named_at_their_place() {
    let folder = Folder::new();
    folder.file("plant.rules", TUNED);
    let check = |overrides: &str| {
        let config = folder.file("vigia.toml", &format!("[rules]\nfiles = [\"plant.rules\"]\n{overrides}"));
        let output = vigia(&["check", "-c", &config]);
        (code(&output), stderr(&output))
    };
    let (code, text) = check("[[rules.override]]\nsid = [1, 31]\nenabled = false\n");
    assert_eq!(code, 0, "a warning: {text}");
    assert!(text.contains("vigia.toml:4:11") && text.contains("no rule has the sid 31"), "{text}");
    assert!(text.contains("did you mean `4`?"), "{text}");
    for (overrides, place, expected) in [
        ("[[rules.override]]\nsid = [1]\nthreshold = \"type limitt\"\n", "vigia.toml:5:13", "track"),
        ("[[rules.override]]\nsid = [\"9-1\"]\nenabled = false\n", "vigia.toml:4:8", "no range first-last"),
        ("[[rules.override]]\nenabled = false\n", "vigia.toml:3:", "it names no rules"),
        ("[[rules.override]]\nsid = [1]\n", "vigia.toml:3:", "it changes nothing"),
        ("[[rules.override]]\nsid = [1]\nsuppress = [\"by_src\"]\n", "vigia.toml:5:13", "track by_src|by_dst"),
        ("[[rules.override]]\nsids = [1]\n", "vigia.toml:4:1", "`sid`"),
        ("[[rules.override]]\nsid = [1]\npriority = 0\n", "vigia.toml:5:12", "out of range"),
    ] {
        let (code, text) = check(overrides);
        assert_eq!(code, 1, "{overrides}: {text}");
        assert!(text.contains(place) && text.contains(expected), "{overrides}: {text}");
    }
}

/// As suricata-update writes it: all rules in one file, those that are off as comments, the classes beside it.
#[test]
fn a_folder_of_suricata_update_works_as_it_is() {
    let folder = Folder::new();
    folder.file(
        "rules/suricata.rules",
        "alert tcp $EXTERNAL_NET any -> $HOME_NET 502 (msg:\"A\"; content:\"|00 05|\"; classtype:plant-stop; sid:1; rev:2;)\n\
         # alert tcp any any -> any 502 (msg:\"B\"; content:\"xyz\"; classtype:plant-stop; sid:2; rev:1;)\n",
    );
    folder.file("rules/classification.config", "config classification: plant-stop,The plant stops,1\n");
    let rules = folder.0.path().join("rules");
    let rules = rules.to_str().unwrap();
    let check = vigia(&["rules", "check", rules]);
    assert_eq!(code(&check), 0, "{}", stdout(&check));
    let list = json(&vigia(&["rules", "list", "--rules", rules, "--json"]));
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!((&list[0]["category"], &list[0]["priority"]), (&"The plant stops".into(), &1.into()));
}

#[test]
fn strict_makes_an_error_fatal_and_otherwise_it_is_counted() {
    let folder = Folder::new();
    folder.file("plant.rules", &format!("{GOOD}alert tcp any any -> any any (contnt:\"ab\"; sid:3;)\n"));
    let out = folder.0.path().join("out");
    let replay = |strict: bool| {
        let config = folder.file("vigia.toml", &format!("[rules]\nfiles = [\"plant.rules\"]\nstrict = {strict}\n"));
        vigia(&["replay", &capture(), "-c", &config, "-o", out.to_str().unwrap(), "--json"])
    };
    let lenient = replay(false);
    assert_eq!(code(&lenient), 0, "{}", stderr(&lenient));
    let summary = json(&lenient);
    assert_eq!((&summary["ruleset"]["loaded"], &summary["ruleset"]["failed"]), (&1.into(), &1.into()));
    let strict = replay(true);
    assert_eq!(code(&strict), 1);
    assert!(stderr(&strict).contains("rules.strict allows none"), "{}", stderr(&strict));
    let absent = folder.file("vigia.toml", "[rules]\nfiles = [\"absent.rules\"]\nstrict = true\n");
    assert_eq!(code(&vigia(&["replay", &capture(), "-c", &absent, "-o", out.to_str().unwrap()])), 1);
}
