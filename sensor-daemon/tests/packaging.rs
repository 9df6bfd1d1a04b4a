//! What stands in `packaging/`, without building a package of it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name)
}

#[test]
fn the_unit_is_exposed_little() {
    let mut command = Command::new("systemd-analyze");
    command
        .args(["security", "--offline=true", "--no-pager", "--threshold=25"])
        .arg(packaging("systemd/vigia.service"));
    let Ok(output) = command.output() else {
        println!("skipped: no systemd-analyze, so the unit's exposure is not known");
        return;
    };
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    let exposure = told.lines().find(|line| line.contains("exposure level"));
    if exposure.is_none() && told.contains("unrecognized option") {
        println!("skipped: this systemd-analyze is too old to look at a unit that is not installed");
        return;
    }
    assert!(output.status.success() && exposure.is_some(), "{told}");
    println!("{}", exposure.unwrap_or_default());
}

#[test]
fn the_shipped_configuration_is_good_and_taps_nothing() {
    let show = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
        let output = command.args(arguments).arg("--config").arg(packaging("vigia.toml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let settings: serde_json::Value = serde_json::from_str(&show(&["config", "show", "--json"])).unwrap();
    assert_eq!(settings["capture"]["interfaces"], serde_json::json!([]));
    assert_eq!(settings["rules"]["files"], serde_json::json!(["/usr/share/vigia/rules", "/etc/vigia/rules"]));
}

#[test]
fn what_the_shipped_configuration_suggests_is_good_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(packaging("vigia.toml")).unwrap();
    let is_suggestion = |line: &&str| line.starts_with('#') && line.len() > 1 && !line.starts_with("# ");
    let suggested = text.lines().filter(is_suggestion).count();
    assert!(suggested >= 14, "{suggested}");
    let line = |line: &str| if is_suggestion(&line) { line[1..].to_owned() } else { line.to_owned() };
    let path = folder.path().join("vigia.toml");
    std::fs::write(&path, text.lines().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    let output = command.args(["check", "--strict", "--config"]).arg(&path).arg("--rules");
    let output = output.arg(packaging("../rules/signatures")).arg(packaging("site.rules")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Lines of the unit that begin so.
fn of_unit(key: &str) -> Vec<String> {
    let unit = std::fs::read_to_string(packaging("systemd/vigia.service")).unwrap();
    unit.lines().filter_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned())).collect()
}

#[test]
fn the_unit_checks_before_it_starts_and_before_it_loads_again() {
    let check = "/usr/bin/vigia check --start";
    assert_eq!(
        (of_unit("ExecStartPre"), of_unit("ExecStart")),
        (vec![check.into()], vec!["/usr/bin/vigia run".into()])
    );
    assert_eq!(of_unit("ExecReload"), [check, "/usr/bin/vigia reload"]);
    assert_eq!(of_unit("AmbientCapabilities"), of_unit("CapabilityBoundingSet"));
}
