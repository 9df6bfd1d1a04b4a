//! Network namespaces that remove themselves.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

/// How the names of all namespaces made here begin; the id of the process that made it follows.
const PREFIX: &str = "vigia-bed-";

/// A network namespace; dropping it removes it with all its interfaces.
#[derive(Debug)]
pub struct Namespace(String);

impl Namespace {
    /// Makes a namespace with nothing but its loopback. Needs root.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn new(name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            sweep();
        }
        let namespace = Self(format!("{PREFIX}{}-{number}-{name}", std::process::id()));
        crate::run(Command::new("ip").args(["netns", "add", &namespace.0]))?;
        // No address of its own making on any port: what the tap sees is what the hosts say.
        for setting in ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"] {
            crate::run(namespace.command(Path::new("sysctl")).args(["-qw", setting]))?;
        }
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as the command `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs the command `ip` on it.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        crate::run(Command::new("ip").args(["-n", &self.0]).args(arguments)).map(drop)
    }

    /// Frames that an interface received, by the kernel's own count.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn received(&self, interface: &str) -> Result<u64> {
        let out = crate::run(Command::new("ip").args(["-n", &self.0, "-s", "-j", "link", "show", interface]))?;
        let link: serde_json::Value = serde_json::from_slice(&out)?;
        link[0]["stats64"]["rx"]["packets"].as_u64().context("ip gave no count of received packets")
    }

    /// A command that runs a program inside. The process ends with the thread that starts it, at the latest.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, "setpriv", "--pdeathsig", "KILL"]).arg(program);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// Removes what a killed process left behind.
fn sweep() {
    let Ok(list) = crate::run(Command::new("ip").args(["netns", "list"])) else { return };
    for name in String::from_utf8_lossy(&list).lines().filter_map(|line| line.split(' ').next()) {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            remove(name);
        }
    }
}
