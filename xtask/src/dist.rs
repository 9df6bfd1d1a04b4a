//! `cargo xtask dist`: the Debian package.
//!
//! What stands in `packaging/` and the sensor's own words (pages of man(1), completions, default settings) are put together by
//! cargo-deb, as `sensor-daemon/Cargo.toml` says. The same program gives the same package to the byte: its times are that
//! of the last commit.

mod debian;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tools::{self, root, step, target};
use crate::{licences, release};

pub use debian::ensure as debian;

/// Builds the Debian package: the sensor as it ships, with rules, default configuration, manual and unit of systemd.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask dist\n  cargo xtask dist --plain")]
pub struct Arguments {
    /// Take a plain release build: quicker to make, and a fifth slower than one that is optimised by a profile.
    #[arg(long)]
    plain: bool,
    /// Take the build that tests are run with, and compress it little: to try the package.
    #[arg(long, conflicts_with = "plain")]
    debug: bool,
}

/// What making the package, and a Debian to try it in, takes: each with a file that shows that it is there.
pub const NEEDS: [(&str, &str); 3] =
    [("dpkg-dev", "/usr/bin/dpkg-shlibdeps"), ("binutils", "/usr/bin/strip"), ("debootstrap", "/usr/sbin/debootstrap")];

/// As in the package's metadata (`sensor-daemon/Cargo.toml`).
const MAINTAINER: &str = "The Vigía authors <vigia@vigia.invalid>";

/// How hard the package is compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Usual,
    /// For a test: quick.
    Fast,
}

/// Builds the package and says where it is.
pub fn run(arguments: &Arguments) -> Result<()> {
    let package = if arguments.debug {
        for_tests()?
    } else if arguments.plain {
        tools::cargo(&[&["build", "--release", "--locked", "--package", "vigia"], release::features()].concat())?;
        package(&tools::release("vigia"), Compression::Usual)?
    } else {
        release::build().context("`--plain` does without a profile")?;
        package(&release::program(), Compression::Usual)?
    };
    println!("{}: {} bytes", package.display(), fs::metadata(&package)?.len());
    Ok(())
}

/// The package of the program that tests are run with.
pub fn for_tests() -> Result<PathBuf> {
    tools::cargo(&["build", "--quiet", "--package", "vigia"])?;
    package(&target().join("debug/vigia"), Compression::Fast)
}

fn folder() -> PathBuf {
    target().join("dist")
}

/// Makes the package of a program.
fn package(program: &Path, compression: Compression) -> Result<PathBuf> {
    tools::install(&NEEDS)?;
    let tool = tools::cargo_tool("cargo-deb", "^3.8")?;
    let time = time()?;
    stage(program, &time)?;
    let package = folder().join(if compression == Compression::Fast { "test/vigia.deb" } else { "vigia.deb" });
    fs::create_dir_all(package.parent().unwrap_or(&package))?;
    let mut command = Command::new(tool);
    command.current_dir(root().join("sensor-daemon")).env("CARGO_TARGET_DIR", folder());
    command.env("SOURCE_DATE_EPOCH", time).args(["--no-build", "--strip", "--quiet", "--output"]).arg(&package);
    if compression == Compression::Fast {
        command.arg("--fast");
    }
    step(&mut command)?;
    Ok(package)
}

/// Puts what is built where cargo-deb looks for it: the folder of release builds of a target folder of its own.
fn stage(program: &Path, time: &str) -> Result<()> {
    let stage = folder().join("release");
    let _ = fs::remove_dir_all(&stage);
    fs::create_dir_all(&stage)?;
    fs::copy(program, stage.join("vigia")).with_context(|| program.display().to_string())?;
    let vigia = || {
        let mut command = Command::new(program);
        // Neither this machine's configuration nor its language.
        command.env_remove("VIGIA_CONFIG").env("LC_ALL", "C.UTF-8");
        command
    };
    step(vigia().arg("manual").arg(&stage))?;
    let defaults = vigia().args(["config", "default"]).output()?;
    ensure!(defaults.status.success(), "vigia config default ended with {}", defaults.status);
    fs::write(stage.join("vigia.toml"), defaults.stdout)?;
    fs::write(stage.join("third-party-licences"), licences::texts()?)?;
    fs::write(stage.join("changelog.Debian"), changelog(time)?)?;
    // Neither name nor time of the files.
    let mut compress = Command::new("gzip");
    compress.args(["-9", "--no-name", "--recursive", "man1", "es", "third-party-licences", "changelog.Debian"]);
    step(compress.current_dir(&stage))
}

/// The changelog of the packaging, which Debian wants; what changes in Vigía is told in another.
fn changelog(time: &str) -> Result<String> {
    let output = Command::new("date").args(["--utc", "--rfc-email", "--date", &format!("@{time}")]).output()?;
    ensure!(output.status.success(), "{time} is no time");
    let date = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!(
        "vigia ({version}-1) unstable; urgency=medium\n\n  * What changed is told in changelog.gz.\n\n \
         -- {MAINTAINER}  {date}\n"
    ))
}

/// When the last commit was made, in seconds since 1970; or what the environment says.
fn time() -> Result<String> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(time);
    }
    let output = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()).output()?;
    ensure!(output.status.success(), "git does not tell the time of the last commit; SOURCE_DATE_EPOCH may");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
