//! What the tasks need on the machine: found, or installed where that is possible.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A program of the plain release build.
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

/// The signatures that ship.
pub fn signatures() -> PathBuf {
    root().join("rules/signatures")
}

/// A control socket for a sensor of a task. Not under `target/`: a socket's path is 107 bytes at most.
pub fn socket(task: &str) -> PathBuf {
    std::env::temp_dir().join(format!("vigia-{task}-{}.sock", std::process::id()))
}

/// System packages that a plant in namespaces needs, each with a file that shows that it is there.
pub const PLANT: [(&str, &str); 3] =
    [("iproute2", "/usr/sbin/ip"), ("procps", "/usr/sbin/sysctl"), ("mosquitto", "/usr/sbin/mosquitto")];

/// What capture through libpcap is built with.
pub const LIBPCAP: [(&str, &str); 1] = [("libpcap-dev", "/usr/include/pcap/pcap.h")];

/// What delivery to Kafka is built with.
pub const KAFKA: [(&str, &str); 4] = [
    ("make", "/usr/bin/make"),
    ("g++", "/usr/bin/g++"),
    ("pkg-config", "/usr/bin/pkg-config"),
    ("libssl-dev", "/usr/include/openssl/ssl.h"),
];

/// The languages in which a person is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
}

impl Language {
    /// That of the environment, by the first variable of the locale that is set.
    pub fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default();
        if locale.starts_with("es") { Self::Es } else { Self::En }
    }

    /// What is said in this language.
    pub fn say<'s>(self, english: &'s str, spanish: &'s str) -> &'s str {
        match self {
            Self::En => english,
            Self::Es => spanish,
        }
    }
}

/// Turns SIGINT, SIGTERM and SIGHUP into an error, so that what a task made in the system is removed on its way out.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on.
    pub fn watch() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// Fails when a signal has come.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.0.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }
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

/// A program that cargo installs, of this workspace's own: below `target/tools`, put there when it is not there.
pub fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let place = target().join("tools");
    let program = place.join("bin").join(name);
    if !program.exists() {
        println!("installing {name} into {}", place.display());
        let mut command = cargo_command();
        command.args(["install", name, "--version", version, "--locked", "--quiet", "--root"]).arg(&place);
        step(&mut command).with_context(|| format!("{name} could not be installed (is there a network?)"))?;
    }
    Ok(program)
}

/// Installs the system packages of which the file that shows their presence is missing.
pub fn install(packages: &[(&str, &str)]) -> Result<()> {
    let missing = missing(packages);
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

/// Those of the packages that are not there.
pub fn missing<'p>(packages: &[(&'p str, &str)]) -> Vec<&'p str> {
    let missing = packages.iter().filter(|(_, shown_by)| !Path::new(shown_by).exists());
    missing.map(|(package, _)| *package).collect()
}

/// Unpacks packages of Debian into a folder of their own, so that nothing on the machine changes.
pub fn unpack(packages: &[&str], folder: &Path) -> Result<()> {
    println!("unpacking {} into {}", packages.join(" "), folder.display());
    let place = folder.join("packages");
    std::fs::create_dir_all(&place)?;
    let download = || {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "APT::Sandbox::User=root", "download"]).args(packages).current_dir(&place);
        succeeds(&mut command)
    };
    if !download() {
        succeeds(Command::new("apt-get").args(["-q", "update"]));
        ensure!(download(), "apt-get download {} failed", packages.join(" "));
    }
    for entry in std::fs::read_dir(&place)? {
        step(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(folder.join("root")))?;
    }
    Ok(())
}

/// Where packages unpacked into this folder have their libraries.
pub fn libraries(folder: &Path) -> PathBuf {
    folder.join("root/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

/// The Python of a private environment under `target/` that holds the protocol peers of the live tests and the demo. It
/// is made when it is not there or not of these requirements.
pub fn peers() -> Result<PathBuf> {
    let requirements = vigia_testbed::peers().join("requirements.txt");
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

/// Runs a command to its end; an error when it fails.
pub fn step(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("running {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
