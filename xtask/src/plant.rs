//! A small plant in network namespaces: a hub (a bridge that floods every frame), a host on each port, and a tap port
//! that sees everything, as a mirror port of a plant switch does. Dropping it removes every trace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// The hosts of the plant and their addresses.
pub const HOSTS: [(&str, &str); 5] = [
    ("plc", "10.66.0.10"),
    ("hmi", "10.66.0.20"),
    ("outstation", "10.66.0.30"),
    ("master", "10.66.0.40"),
    ("intruder", "10.66.0.66"),
];

/// The tap's interface, in the namespace that [`Plant::sensor`] names.
pub const TAP: &str = "tap0";

/// A running plant.
pub struct Plant {
    prefix: String,
    children: Vec<Child>,
}

impl Plant {
    /// Builds the plant; `name` and the process id keep it apart from any other.
    pub fn build(name: &str) -> Result<Self> {
        let plant = Self { prefix: format!("vigia-{name}-{}", std::process::id()), children: Vec::new() };
        plant.add_namespace("hub")?;
        ip(&["-n", &plant.namespace("hub"), "link", "add", "hub0", "type", "bridge", "ageing_time", "0"])?;
        ip(&["-n", &plant.namespace("hub"), "link", "set", "hub0", "up"])?;
        plant.add_port("sensor", TAP)?;
        for (host, address) in HOSTS {
            plant.add_port(host, "eth0")?;
            ip(&["-n", &plant.namespace(host), "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        }
        Ok(plant)
    }

    /// The namespace of the sensor, where [`TAP`] is.
    pub fn sensor(&self) -> String {
        self.namespace("sensor")
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// A command that runs in a namespace of the plant.
    pub fn command(&self, host: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Starts a peer on its host; it is stopped with the plant at the latest.
    pub fn start(&mut self, host: &str, python: &Path, script: &str, arguments: &[&str]) -> Result<()> {
        let child = self.peer(host, python, script, arguments).spawn();
        self.children.push(child.with_context(|| format!("starting {script} on {host}"))?);
        Ok(())
    }

    /// Runs a peer on its host to its end.
    pub fn run(&self, host: &str, python: &Path, script: &str, arguments: &[&str]) -> Result<()> {
        let status = self.peer(host, python, script, arguments).status()?;
        if !status.success() {
            bail!("{script} on {host} ended with {status}");
        }
        Ok(())
    }

    fn peer(&self, host: &str, python: &Path, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(host, python);
        command.arg(scripts().join(script)).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn add_namespace(&self, host: &str) -> Result<()> {
        ip(&["netns", "add", &self.namespace(host)])?;
        // No address of its own making on any port: what the tap sees is what the hosts say.
        for setting in ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"] {
            run(Command::new("ip").args(["netns", "exec", &self.namespace(host), "sysctl", "-qw", setting]))?;
        }
        ip(&["-n", &self.namespace(host), "link", "set", "lo", "up"])
    }

    fn add_port(&self, host: &str, interface: &str) -> Result<()> {
        self.add_namespace(host)?;
        let (hub, inner, port) = (self.namespace("hub"), self.namespace(host), format!("to-{host}"));
        ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", interface, "netns", &inner])?;
        ip(&["-n", &hub, "link", "set", &port, "master", "hub0"])?;
        ip(&["-n", &hub, "link", "set", &port, "up"])?;
        if interface == TAP {
            ip(&["-n", &inner, "link", "set", interface, "arp", "off"])?;
        }
        ip(&["-n", &inner, "link", "set", interface, "up"])
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for host in HOSTS.iter().map(|(host, _)| *host).chain(["sensor", "hub"]) {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(host)]).stderr(Stdio::null()).status();
        }
    }
}

/// The folder of the peers' scripts.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plant")
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
