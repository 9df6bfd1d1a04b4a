//! A small Debian in a folder, in which a test installs the package: this machine's own version, from where its packages come.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools;

/// What the package depends on, beside what every Debian has: the two programs, without the rest of systemd.
const BESIDE: &str = "--include=systemd-standalone-sysusers,systemd-standalone-tmpfiles";

/// The folder; made where it is not there.
pub fn ensure() -> Result<PathBuf> {
    let place = super::folder().join("debian");
    if place.exists() {
        return Ok(place);
    }
    ensure!(tools::is_root(), "not root");
    tools::install(&super::NEEDS)?;
    let (codename, mirror) = release()?;
    println!("unpacking Debian ({codename}) into {}", place.display());
    // One that was not finished is made again.
    let half = place.with_extension("half");
    let _ = fs::remove_dir_all(&half);
    fs::create_dir_all(&half)?;
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", BESIDE, &codename]).arg(&half).arg(mirror).stdout(Stdio::null());
    tools::step(&mut command)?;
    fs::rename(&half, &place)?;
    Ok(place)
}

/// This machine's version of Debian by name, and where apt gets its packages from.
fn release() -> Result<(String, String)> {
    let system = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let codename = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.context("this system has no codename")?.to_owned();
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages"]);
    let output = command.output().context("running apt-get")?;
    let targets = String::from_utf8_lossy(&output.stdout).into_owned();
    let end = format!(" {codename} main");
    let mirror = targets.lines().find_map(|line| line.strip_suffix(&end));
    Ok((codename, mirror.context("apt has no source of this system's packages")?.to_owned()))
}
