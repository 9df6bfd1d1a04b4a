//! The commands through the binary: exit codes, languages, what goes to which stream.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary without a configuration of this machine and without its language.
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

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for arguments in
        [&["dance"][..], &[], &["replay"], &["replay", "x.pcap", "--workers", "0"], &["rules", "fields", "nope"]]
    {
        assert_eq!(code(&vigia(arguments)), 2, "{arguments:?}");
    }
}

/// A capture file without packets.
const EMPTY_CAPTURE: &[u8] = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0";

#[test]
fn a_reader_that_went_away_changes_nothing_in_how_a_command_ends() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(place("empty.pcap"), EMPTY_CAPTURE).unwrap();
    let wrong = file(folder.path(), "wrong.rules", "alert nothing\n");
    let (capture, output) = (place("empty.pcap"), place("out"));
    let replay = ["replay", &capture, "--output", &output, "--no-progress"];
    let commands: [&[&str]; 8] = [
        &replay,
        &[&replay[..], &["--json"]].concat(),
        &[&replay[..], &["--rules", &wrong]].concat(),
        &["check", &place("missing.toml")],
        &["config", "default"],
        &["rules", "fields"],
        &["rules", "check", "--rules", &wrong],
        &["--help"],
    ];
    for arguments in commands {
        let expected = vigia(arguments);
        assert!(expected.stdout.len() + expected.stderr.len() > 0, "{arguments:?} says nothing");
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
        let closed = || std::io::pipe().expect("a pipe").1;
        let found = command.args(arguments).env_remove("VIGIA_CONFIG").stdout(closed()).output().expect("it starts");
        assert_eq!(code(&found), code(&expected), "{arguments:?}: {}", stderr(&found));
        let status = command.stderr(closed()).status().expect("it starts");
        assert_eq!(status.code(), expected.status.code(), "{arguments:?}, with a closed standard error");
    }
}

#[test]
fn what_is_wrong_with_a_capture_is_told_once_in_the_language_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(place("cut.pcap"), &EMPTY_CAPTURE[..20]).unwrap();
    let replay = |capture: &str, lang| vigia(&["replay", capture, "--output", &place("out"), "--lang", lang]);
    for (lang, said) in
        [("en", "cut short in the record at (uncompressed) byte 0"), ("es", "cortado en el registro del byte 0")]
    {
        let output = replay(&place("cut.pcap"), lang);
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        assert!(stdout(&output).trim_end().ends_with(&format!(": {}", place("out/eve.json"))), "{}", stdout(&output));
        assert!(stderr(&output).starts_with("error: ") && stderr(&output).contains(said), "{}", stderr(&output));
    }
    let output = replay(&place("absent.pcap"), "en");
    assert_eq!((code(&output), stderr(&output).matches("No such file").count()), (1, 1), "{}", stderr(&output));
    std::fs::create_dir(place("none")).unwrap();
    let output = replay(&place("none"), "es");
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("no hay ningún fichero de captura"), "{}", stderr(&output));
}

#[test]
fn rules_that_are_named_and_not_there_fail_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(place("empty.pcap"), EMPTY_CAPTURE).unwrap();
    let output = vigia(&["replay", &place("empty.pcap"), "--output", &place("out"), "--rules", &place("absent.rules")]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("absent.rules") && stderr(&output).contains("not there"), "{}", stderr(&output));
}

#[test]
fn a_wrong_command_line_is_told_in_the_language_asked_for_with_what_comes_nearest() {
    let told = |arguments: &[&str]| {
        let output = vigia(arguments);
        assert_eq!((code(&output), stdout(&output)), (2, String::new()), "{arguments:?}");
        stderr(&output)
    };
    let english = told(&["replay", "a.pcap", "--wrkers", "2"]);
    assert!(
        english.starts_with("error: unknown argument `--wrkers`\n  help: did you mean `--workers`?\n"),
        "{english}"
    );
    let spanish = told(&["--lang", "es", "replay", "a.pcap", "--wrkers", "2"]);
    assert!(spanish.contains("argumento desconocido `--wrkers`\n  ayuda: ¿quería decir `--workers`?\n"), "{spanish}");
    assert!(spanish.contains("\nUso: vigia replay "), "{spanish}");
    for (arguments, said) in [
        (&["rples"][..], "no existe la orden `rples`\n  ayuda: ¿quería decir `rules`?"),
        (&["replay"], "falta: <CAPTURE>"),
        (&["replay", "--rules", "a.rules", "a.pcap"], "ayuda: las capturas van antes de `--rules`"),
        (&["replay", "x", "--output"], "`--output <DIR>` necesita un valor"),
        (&["replay", "x", "--checksums", "foo"], "ayuda: una de: ignore, check"),
        (&["replay", "x", "--workers", "0"], "0 no está en 1..=1024"),
        (&["alerts", "--from", "5x"], "se espera una fecha"),
        (&["check", "--strict", "--start"], "`--strict` no va con `--start`"),
    ] {
        let told = told(&[&["--lang", "es"], arguments].concat());
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_sensor_without_an_interface_does_not_begin_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let output = vigia(&["run", "--output", journal.to_str().unwrap()]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("`capture.interfaces` names none"), "{}", stderr(&output));
    assert!(!journal.exists());
}

#[test]
fn every_help_shows_an_example() {
    for command in ["run", "replay", "check", "rules", "status", "reload", "config"] {
        let help = vigia(&[command, "--help"]);
        assert_eq!(code(&help), 0);
        assert!(stdout(&help).contains(&format!("Example:\n  vigia {command}")), "{}", stdout(&help));
    }
}

#[test]
fn help_is_in_the_language_asked_for() {
    assert!(stdout(&vigia(&["--lang", "es", "--help"])).contains("Comprueba la configuración"));
    let run = stdout(&vigia(&["--lang", "es", "run", "--help"]));
    assert!(
        ["Uso: vigia run", "Interfaz que vigilar", "Muestra la ayuda", "Señales:"].iter().all(|it| run.contains(it)),
        "{run}"
    );
    assert!(stdout(&vigia(&["--help"])).contains("Check the configuration"));
}

#[test]
fn the_language_of_the_environment_is_enough() {
    let help = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
        for name in ["VIGIA_CONFIG", "LC_ALL", "LC_MESSAGES", "LANG"] {
            command.env_remove(name);
        }
        command.arg("--help").envs(variables.iter().copied());
        stdout(&command.output().expect("the binary starts")).contains("Comprueba la configuración")
    };
    assert!(help(&[("LANG", "es_MX.UTF-8")]));
    assert!(help(&[("LC_ALL", "es_MX.UTF-8"), ("LANG", "en_US.UTF-8")]));
    assert!(help(&[("LC_ALL", ""), ("LC_MESSAGES", "es_ES")]));
    assert!(!help(&[("LC_ALL", "en_GB.UTF-8"), ("LANG", "es_MX.UTF-8")]));
    assert!(!help(&[("LANG", "C.UTF-8")]));
}

#[test]
fn the_printed_default_is_a_good_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let default = vigia(&["config", "default"]);
    assert_eq!(code(&default), 0);
    let path = file(folder.path(), "vigia.toml", &stdout(&default));
    let check = vigia(&["check", "--config", &path]);
    assert_eq!(code(&check), 0, "{}", stderr(&check));
    let show = |arguments: &[&str]| {
        let text = stdout(&vigia(arguments));
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(show(&["config", "show", "--config", &path]), show(&["config", "show"]));
}

#[test]
fn a_bad_configuration_fails_with_its_place_on_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "bad.toml", "[log]\nlevle = \"info\"\n");
    for arguments in [&["check", "--config", &path][..], &["config", "show", "-c", &path], &["status", "-c", &path]] {
        let output = vigia(arguments);
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(stderr(&output).contains("bad.toml:2:1") && stderr(&output).contains("`level`"), "{}", stderr(&output));
    }
    let spanish = stderr(&vigia(&["check", "--lang", "es", "-c", &path]));
    assert!(spanish.contains("clave desconocida") && !spanish.contains("help: "), "{spanish}");
}

#[test]
fn the_configuration_chooses_the_language_and_the_command_line_has_the_last_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "vigia.toml", "language = \"es\"\ncontrol.socket = \"/nonexistent/socket\"\n");
    assert!(stderr(&vigia(&["status", "-c", &path])).contains("ningún sensor responde"));
    assert!(stderr(&vigia(&["status", "-c", &path, "--lang", "en"])).contains("no sensor answers"));
}

#[test]
fn check_tells_programs_where_the_faults_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "bad.toml", "nonsense = 1\n[sensor]\nname = 2\n");
    let output = vigia(&["check", "--json", "--config", &path]);
    assert_eq!(code(&output), 1);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["errors"], 2);
    assert_eq!(answer["diagnostics"][0]["code"], "unknown-key");
    assert_eq!(answer["diagnostics"][1]["line"], 3);
    assert_eq!(answer["diagnostics"][1]["column"], 8);
}

#[test]
fn rules_that_are_not_there_fail_the_check() {
    let output = vigia(&["check", "--rules", "/nonexistent/x.rules"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("/nonexistent/x.rules"), "{}", stderr(&output));
}

#[test]
fn the_environment_names_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "mine.toml", "sensor.name = \"mine\"\n");
    let output =
        Command::new(env!("CARGO_BIN_EXE_vigia")).env("VIGIA_CONFIG", &path).args(["config", "show"]).output().unwrap();
    assert!(stdout(&output).contains("name = \"mine\""), "{}", stdout(&output));
}

#[test]
fn the_fields_of_every_protocol_are_listed() {
    let output = vigia(&["rules", "fields", "--json"]);
    assert_eq!(code(&output), 0);
    let fields: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).unwrap();
    let expected: usize = vigia::docs::protocols().map(|protocol| protocol.fields.len()).sum();
    assert_eq!(fields.len(), expected);
}
