//! What the tasks need on the machine: found, or installed where that is possible.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The workspace's folder.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A program of the release build.
pub fn release(program: &str) -> PathBuf {
    target().join("release").join(program)
}

/// Runs cargo to its end.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    step(cargo_command().args(arguments))
}

/// The cargo that runs this task, in the workspace's folder.
pub fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Does it run and succeed? Says nothing.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Are we root?
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Components of the Rust toolchain that the checks need.
pub fn ensure_components() -> Result<()> {
    for (component, program) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if succeeds(cargo_command().args([program, "--version"])) {
            continue;
        }
        println!("installing {component}");
        let added = Command::new("rustup").args(["component", "add", component]).current_dir(root()).status();
        if !added.is_ok_and(|status| status.success()) {
            bail!("{component} is missing and rustup could not add it (is there a network?)");
        }
    }
    Ok(())
}

/// Installs the system packages of which the file that shows their presence is missing.
pub fn install(packages: &[(&str, &str)]) -> Result<()> {
    let missing = packages.iter().filter(|(_, shown_by)| !Path::new(shown_by).exists());
    let missing: Vec<_> = missing.map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    ensure!(is_root(), "missing, and only root can install it: apt-get install {list}");
    println!("installing {list}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-y"]).args(arguments).stdout(Stdio::null());
        step(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"][..], &missing].concat())
}

/// The Python of a private environment under `target/` that holds the protocol peers of the live tests and the demo. It
/// is made when it is not there or not of these requirements.
pub fn peers() -> Result<PathBuf> {
    let requirements = root().join("xtask/plant/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).context("reading the requirements of the peers")?;
    let folder = target().join("peers");
    let (python, stamp) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        install(&[("python3-venv", "")])?;
    }
    println!("installing the protocol peers into {}", folder.display());
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    step(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
    )?;
    // Written last: an environment half made is made again.
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

fn step(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("running {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
