//! `cargo xtask test`: every check of the project. Its last line states the counts.
//!
//! A test that lacks what it needs (root and network namespaces, files that are not in this repository) does nothing but
//! print a line that begins with `skipped:` and says why; here it counts as skipped.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::dist;
use crate::tools::{self, cargo_command, succeeds};

/// Installs what is missing and runs every check: format, lints, unit, property, golden and live tests.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask test")]
pub struct Arguments {}

/// A feature of the daemon that needs more than Rust and gcc.
struct Feature {
    name: &'static str,
    /// The packages of these, each with a file that shows that it is there.
    packages: &'static [(&'static str, &'static str)],
    /// Where its tests are. The names of these tests have the feature's.
    tests: &'static [&'static str],
}

const FEATURES: [Feature; 2] = [
    Feature {
        name: "libpcap",
        packages: &tools::LIBPCAP,
        tests: &["--test", "capture_live", "--test", "capture_shared"],
    },
    Feature { name: "kafka", packages: &tools::KAFKA, tests: &["--lib", "--test", "delivery_kafka_live"] },
];

/// What the checks came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    fn check(&mut self, passed: bool) {
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs every check, also after one that failed; true when none did.
pub fn run(_: &Arguments) -> Result<bool> {
    for packages in [&tools::PLANT[..], &tools::LIBPCAP, &tools::KAFKA, &dist::NEEDS] {
        if let Err(error) = tools::install(packages) {
            println!("{error:#}; what needs it is skipped");
        }
    }
    tools::ensure_components()?;
    // Mostly waits for the network, so the other checks need not.
    let debian = std::thread::spawn(dist::debian);
    // The benchmark's crate links to libpcap; without it the other crates are checked.
    let scope: &[&str] = if tools::missing(&tools::LIBPCAP).is_empty() { &["--workspace"] } else { &[] };
    let (features, absent): (Vec<_>, Vec<_>) =
        FEATURES.iter().partition(|feature| tools::missing(feature.packages).is_empty());
    let names: Vec<_> = features.iter().map(|feature| feature.name).collect();
    let with = ["--package", "vigia", "--features", &names.join(",")];
    let mut tally = Tally::default();

    heading("format");
    tally.check(cargo_command().args(["fmt", "--all", "--check"]).status()?.success());

    heading("lints");
    let lints = ["--all-targets", "--quiet", "--", "-D", "warnings"];
    tally.check(cargo_command().arg("clippy").args(scope).args(lints).status()?.success());
    if !features.is_empty() {
        tally.check(cargo_command().arg("clippy").args(with).args(lints).status()?.success());
    }

    heading("licences and advisories");
    dependencies(&mut tally);

    heading("programs of the kernel");
    match crate::ebpf::check()? {
        Some(same) => tally.check(same),
        None => tally.skipped += 1,
    }

    heading("unit, property, golden and live tests");
    let mut tests = cargo_command();
    match peers() {
        Ok(python) => _ = tests.env(vigia_testbed::PYTHON, python),
        Err(error) => println!("{error:#}; what needs real protocol peers is skipped"),
    }
    let debian = debian.join().unwrap_or_else(|_| Err(anyhow::anyhow!("making it panicked")));
    match debian.and_then(|debian| Ok((debian, dist::for_tests()?))) {
        Ok((debian, package)) => _ = tests.env(vigia_testbed::DEBIAN, debian).env(vigia_testbed::PACKAGE, package),
        Err(error) => println!("{error:#}; the package is not installed in a Debian"),
    }
    run_tests(tests.arg("test").args(scope).args(["--no-fail-fast", "--", "--show-output"]), &mut tally)?;
    if !features.is_empty() {
        heading("features that need more than Rust and gcc");
        let mut tests = cargo_command();
        tests.arg("test").args(with).args(features.iter().flat_map(|feature| feature.tests)).arg("--no-fail-fast");
        run_tests(tests.args(["--", "--show-output"]).args(&names), &mut tally)?;
    }
    for feature in absent {
        println!("skipped: {} is not built for want of {}", feature.name, tools::missing(feature.packages).join(" "));
        tally.skipped += 1;
    }
    if tally.skipped > 0 {
        println!("\n!!!! {} SKIPPED: what they check is not known to work", tally.skipped);
    }
    println!("\n{tally}");
    Ok(tally.failed == 0)
}

/// Checks licences, versions and sources of the dependencies, and what is known against them.
fn dependencies(tally: &mut Tally) {
    let program = match tools::cargo_tool("cargo-deny", "^0.20") {
        Ok(program) => program,
        Err(error) => {
            println!("skipped: dependencies are not checked: {error:#}");
            tally.skipped += 1;
            return;
        }
    };
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(tools::root()).args(["--log-level", "error"]).args(arguments);
        command
    };
    let passes = |arguments: &[&str]| deny(arguments).status().is_ok_and(|status| status.success());
    tally.check(passes(&["check", "bans", "licenses", "sources"]));
    if succeeds(&mut deny(&["fetch", "db"])) {
        tally.check(passes(&["check", "advisories"]));
    } else {
        println!("skipped: the database of advisories is not to be had");
        tally.skipped += 1;
    }
}

/// The Python of the protocol peers. The plant they live in is made of network namespaces, which take root.
fn peers() -> Result<std::path::PathBuf> {
    anyhow::ensure!(tools::is_root(), "not root");
    tools::peers()
}

fn heading(text: &str) {
    println!("\n== {text}");
}

/// Runs a `cargo test` and adds what it says to the tally.
fn run_tests(command: &mut Command, tally: &mut Tally) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("running {command:?}"))?;
    let output = child.stdout.take().context("the tests have no output")?;
    let mut reading = Reading::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if reading.line(&line) {
            println!("{line}");
        }
    }
    let succeeded = child.wait()?.success();
    // A crate that does not compile, or a test that brought its process down, fails without a line of its own.
    if !succeeded && reading.tally.failed == 0 {
        reading.tally.failed = 1;
    }
    tally.passed += reading.tally.passed;
    tally.failed += reading.tally.failed;
    tally.skipped += reading.tally.skipped;
    Ok(())
}

/// What the output of `cargo test -- --show-output` says.
#[derive(Debug, Default)]
struct Reading {
    tally: Tally,
    /// The test whose output is read.
    name: String,
    /// Within the output of tests that passed.
    in_successes: bool,
    /// Within it, a test that is counted as skipped already.
    counted: bool,
}

impl Reading {
    /// Takes one line; true when a person wants to see it.
    fn line(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            return !result.starts_with("ok. 0 passed; 0 failed; 0 ignored");
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        if self.in_successes {
            return self.success(line);
        }
        match line.strip_prefix("test ").and_then(|test| test.rsplit_once(" ... ")) {
            Some((name, result)) => self.result(name, result),
            None => !line.trim().is_empty() && !line.starts_with("running "),
        }
    }

    fn result(&mut self, name: &str, result: &str) -> bool {
        if result.starts_with("ok") {
            self.tally.passed += 1;
        } else if result.starts_with("FAILED") {
            self.tally.failed += 1;
            return true;
        } else if !name.contains(" (line ") {
            // A code block in the documentation marked `ignore` is an illustration, not a test.
            self.tally.skipped += 1;
        }
        false
    }

    /// A line of a test that passed: it may say that it did nothing.
    fn success(&mut self, line: &str) -> bool {
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            name.clone_into(&mut self.name);
            self.counted = false;
        }
        let skipped = line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("skipped:"));
        if skipped && !self.counted {
            self.counted = true;
            self.tally.passed -= 1;
            self.tally.skipped += 1;
            println!("test {} ... skipped", self.name);
        }
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Reading {
        let mut reading = Reading::default();
        output.lines().for_each(|line| {
            reading.line(line);
        });
        reading
    }

    #[test]
    fn results_are_counted() {
        let reading = read(
            "running 4 tests\n\
             test a::fast ... ok\n\
             test a::odd ... FAILED\n\
             test a::slow ... ignored\n\
             test src/field.rs - field (line 120) ... ignored\n\
             test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out",
        );
        assert_eq!(reading.tally, Tally { passed: 1, failed: 1, skipped: 1 });
    }

    #[test]
    fn a_test_that_says_that_it_did_nothing_is_not_counted_as_passed() {
        let reading = read(
            "test a::uses_captures ... ok\n\
             test a::other ... ok\n\
             \n\
             successes:\n\
             \n\
             ---- a::uses_captures stdout ----\n\
             SKIPPED: no captures here\n\
             skipped: and no truth\n\
             ---- a::other stdout ----\n\
             skipping is not what this says\n\
             \n\
             successes:\n\
             \x20   a::uses_captures\n\
             test result: ok. 2 passed; 0 failed; 0 ignored",
        );
        assert_eq!(reading.tally, Tally { passed: 1, failed: 0, skipped: 1 });
    }

    #[test]
    fn the_last_line_is_the_counts_alone() {
        assert_eq!(Tally { passed: 3, failed: 0, skipped: 2 }.to_string(), "3 passed, 0 failed, 2 skipped");
    }
}
