//! What the tasks need on the machine: found, or installed where that is possible.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The cargo that runs this task, in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Does it run and succeed? Says nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Are we root?
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Why no network namespace can be made; none when it can.
pub(crate) fn no_namespaces() -> Option<&'static str> {
    if !is_root() {
        return Some("not root");
    }
    if !succeeds(Command::new("ip").arg("-V")) {
        return Some("the ip command (iproute2) is missing");
    }
    let name = format!("vigia-probe-{}", std::process::id());
    let made = succeeds(Command::new("ip").args(["netns", "add", &name]));
    let removed = made && succeeds(Command::new("ip").args(["netns", "del", &name]));
    (!removed).then_some("this system does not let root make network namespaces")
}

/// Components of the Rust toolchain that the checks need.
pub(crate) fn ensure_components() -> Result<()> {
    for (component, program) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if succeeds(cargo().args([program, "--version"])) {
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

/// A system package, and how one sees that it is there.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const PACKAGES: &[Package] = &[
    Package { name: "iproute2", present: || succeeds(Command::new("ip").arg("-V")) },
    Package { name: "procps", present: || succeeds(Command::new("sysctl").arg("--version")) },
    Package { name: "libpcap-dev", present: has_libpcap },
    Package {
        name: "python3-venv",
        present: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
    },
];

/// Are the headers of libpcap there? The benchmark and the fallback capture link to it.
pub(crate) fn has_libpcap() -> bool {
    ["/usr/include/pcap/pcap.h", "/usr/local/include/pcap/pcap.h"].iter().any(|header| Path::new(header).exists())
}

/// Installs the system packages that are missing, as root; else says what is missing and goes on.
pub(crate) fn ensure_packages() {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !(package.present)()).map(|package| package.name).collect();
    if missing.is_empty() {
        return;
    }
    let list = missing.join(" ");
    if !is_root() {
        println!("missing, and only root can install it: apt-get install {list}");
        return;
    }
    println!("installing {list}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-y"]).args(arguments).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let install = [&["install", "--no-install-recommends"][..], &missing].concat();
    if !apt(&["update"]) || !apt(&install) {
        println!("apt-get could not install {list}; what needs it is skipped");
    }
}

/// The Python of a private environment under `target/` that holds the protocol peers of the live tests and the demo. It
/// is made when it is not there or not of these requirements.
pub(crate) fn python_peers() -> Result<PathBuf> {
    let requirements = root().join("xtask/plant/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).context("reading the requirements of the peers")?;
    let folder = root().join("target/peers");
    let (python, stamp) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
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
