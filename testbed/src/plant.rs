//! A small plant: a hub (a bridge that floods every frame), a host with a protocol peer on each port, and a tap port that
//! sees everything, as a mirror port of a plant switch does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::Namespace;

/// The tap's interface in the sensor's namespace.
pub const TAP: &str = "tap0";

/// What a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Listens on this port; its script is given its own address.
    Server(u16),
    /// Asks this server again and again; its script is given the server's address and the seconds to do so.
    Client(&'static str),
    /// Does to this server what it came for, once; its script is given the server's address.
    Visitor(&'static str),
    /// Nobody listed it; its script is given the seconds between its deeds, and names and addresses of the servers.
    Intruder,
}

use Part::{Client, Intruder, Server, Visitor};

/// The hosts: name, address, the script of the peer that works there, its part.
const HOSTS: &[(&str, &str, &str, Part)] = &[
    ("plc", "10.66.0.10", "plc.py", Server(502)),
    ("hmi", "10.66.0.20", "hmi.py", Client("plc")),
    ("outstation", "10.66.0.30", "outstation.py", Server(20_000)),
    ("master", "10.66.0.40", "master.py", Client("outstation")),
    ("controller", "10.66.0.50", "s7_controller.py", Server(102)),
    ("panel", "10.66.0.51", "s7_panel.py", Client("controller")),
    ("engineer", "10.66.0.52", "s7_engineer.py", Visitor("controller")),
    ("ventilation", "10.66.0.60", "bacnet_device.py", Server(47_808)),
    ("workstation", "10.66.0.61", "bacnet_workstation.py", Client("ventilation")),
    ("intruder", "10.66.0.66", "intruder.py", Intruder),
    ("ied", "10.66.0.70", "ied.py", Server(102)),
    ("station", "10.66.0.71", "ied_client.py", Client("ied")),
    ("commissioner", "10.66.0.72", "ied_client.py", Visitor("ied")),
    ("rtu", "10.66.0.80", "iec104_rtu.py", Server(2404)),
    ("centre", "10.66.0.81", "iec104_centre.py", Client("rtu")),
    ("line", "10.66.0.90", "cip_controller.py", Server(44_818)),
    ("scada", "10.66.0.91", "cip_scada.py", Client("line")),
    ("broker", "10.66.0.100", "mqtt_broker.py", Server(1883)),
    ("edge", "10.66.0.101", "sparkplug_edge.py", Client("broker")),
    ("host", "10.66.0.102", "sparkplug_host.py", Client("broker")),
];

/// A plant; dropping it ends its peers and removes every trace of it.
#[derive(Debug)]
pub struct Plant {
    // Dropped in this order: the peers end before their hosts go.
    peers: BTreeMap<&'static str, Peer>,
    hosts: BTreeMap<&'static str, Namespace>,
    hub: Namespace,
    sensor: Namespace,
    python: PathBuf,
}

impl Plant {
    /// Lays out the plant; nobody speaks yet. `python` has the libraries of the peers.
    ///
    /// # Errors
    /// The system does not let us make namespaces.
    pub fn build(python: &Path) -> Result<Self> {
        let hub = Namespace::new("hub")?;
        // A hub: it learns no address, so it floods every frame; and it says nothing itself, as snooping would.
        hub.ip(&["link", "add", "hub0", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0"])?;
        hub.ip(&["link", "set", "hub0", "up"])?;
        let sensor = Namespace::new("sensor")?;
        let mut plant = Self { peers: BTreeMap::new(), hosts: BTreeMap::new(), hub, sensor, python: python.to_owned() };
        plant.connect("sensor", &plant.sensor, TAP)?;
        for &(host, address, ..) in HOSTS {
            let namespace = Namespace::new(host)?;
            plant.connect(host, &namespace, "eth0")?;
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            plant.hosts.insert(host, namespace);
        }
        Ok(plant)
    }

    /// The address of a host; empty when there is no such host.
    pub fn address(host: &str) -> &'static str {
        HOSTS.iter().find(|(name, ..)| *name == host).map_or("", |(_, address, ..)| *address)
    }

    /// The servers and their clients, with their addresses: who is there every day.
    pub fn stations() -> impl Iterator<Item = (&'static str, &'static str)> {
        let stations = HOSTS.iter().filter(|(.., part)| matches!(part, Server(_) | Client(_)));
        stations.map(|&(host, address, ..)| (host, address))
    }

    /// Where the tap is.
    pub fn sensor(&self) -> &Namespace {
        &self.sensor
    }

    /// The hosts and their addresses.
    pub fn hosts() -> impl Iterator<Item = (&'static str, &'static str)> {
        HOSTS.iter().map(|&(host, address, ..)| (host, address))
    }

    /// Starts all servers; returns when all listen.
    ///
    /// # Errors
    /// One of them does not.
    pub fn start_servers(&mut self) -> Result<()> {
        let servers = HOSTS.iter().filter(|(.., part)| matches!(part, Server(_)));
        servers.clone().try_for_each(|(host, ..)| self.start(host, &[]))?;
        servers.clone().try_for_each(|(host, ..)| self.await_listener(host))
    }

    /// Starts one server; returns when it listens.
    ///
    /// # Errors
    /// It does not.
    pub fn start_server(&mut self, host: &str) -> Result<()> {
        self.start(host, &[])?;
        self.await_listener(host)
    }

    /// Starts all clients, which poll for so many seconds.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start_clients(&mut self, seconds: u64) -> Result<()> {
        let clients = HOSTS.iter().filter(|(.., part)| matches!(part, Client(_)));
        clients.map(|(host, ..)| host).try_for_each(|host| self.start(host, &[&seconds.to_string()]))
    }

    /// Starts one client, which polls for so many seconds.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start_client(&mut self, host: &str, seconds: u64) -> Result<()> {
        self.start(host, &[&seconds.to_string()])
    }

    /// Starts a station that does what it came for, and ends.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start_visitor(&mut self, host: &str) -> Result<()> {
        self.start(host, &[])
    }

    /// Starts the station that nobody listed: it does one harm to each server, with `pause` seconds between them.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start_intruder(&mut self, pause: f32) -> Result<()> {
        self.start("intruder", &[&pause.to_string()])
    }

    /// Waits for a peer that ends by itself, and gives what it counted. A server is asked to end first; those that have
    /// a log of their own give it.
    ///
    /// # Errors
    /// It failed; its last words are in the error.
    pub fn finish(&mut self, host: &str) -> Result<BTreeMap<String, u64>> {
        let peer = self.peers.remove(host).with_context(|| format!("nobody works at {host}"))?;
        if matches!(part(host)?, (_, Server(_))) {
            crate::run(Command::new("kill").args(["-s", "TERM", &peer.0.id().to_string()]))?;
        }
        peer.finish().with_context(|| host.to_owned())
    }

    /// Ends every peer and takes its host off the hub: from here on nothing passes the tap.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn silence(&mut self) -> Result<()> {
        self.peers.clear();
        self.hosts.values().try_for_each(|host| host.ip(&["link", "set", "eth0", "down"]))
    }

    /// Records what passes the tap into a pcap file for so many seconds; returns then.
    ///
    /// # Errors
    /// What the recorder says.
    pub fn record(&self, file: &Path, seconds: u64) -> Result<()> {
        let mut command = self.sensor.command(&self.python);
        command.arg(crate::peers().join("record.py")).arg(TAP).arg(file).arg(seconds.to_string());
        crate::run(&mut command).map(drop)
    }

    /// Starts the peer of a host. Before `more`, its script is given what its part needs to know.
    fn start(&mut self, host: &str, more: &[&str]) -> Result<()> {
        let (&name, namespace) = self.hosts.get_key_value(host).with_context(|| format!("no host {host}"))?;
        let (script, part) = part(host)?;
        let mut command = namespace.command(&self.python);
        command.arg(crate::peers().join(script)).stdout(Stdio::piped()).stderr(Stdio::piped());
        match part {
            Server(_) => command.arg(Self::address(host)),
            Client(server) | Visitor(server) => command.arg(Self::address(server)),
            Intruder => &mut command,
        };
        command.args(more);
        if part == Intruder {
            let servers = HOSTS.iter().filter(|(.., part)| matches!(part, Server(_)));
            command.args(servers.map(|(server, address, ..)| format!("{server}={address}")));
        }
        let process = command.spawn().with_context(|| format!("starting {script} on {host}"))?;
        self.peers.insert(name, Peer(process));
        Ok(())
    }

    /// Waits until a server listens, without a connection that the tap would see.
    fn await_listener(&mut self, host: &str) -> Result<()> {
        let (_, Server(port)) = part(host)? else { anyhow::bail!("{host} is no server") };
        let filter = format!("sport = :{port}");
        for _ in 0..600 {
            let namespace = self.hosts.get(host).with_context(|| format!("no host {host}"))?;
            let listeners = crate::run(namespace.command(Path::new("ss")).args(["-Hltun", &filter]))?;
            if !listeners.is_empty() {
                return Ok(());
            }
            let peer = self.peers.get_mut(host).with_context(|| format!("nobody works at {host}"))?;
            if peer.0.try_wait()?.is_some() {
                let said = self.finish(host)?;
                anyhow::bail!("{host} ended before it listened on port {port}: {said:?}");
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        anyhow::bail!("{host} does not listen on port {port}")
    }

    fn connect(&self, host: &str, namespace: &Namespace, interface: &str) -> Result<()> {
        let port = format!("to-{host}");
        let inner = namespace.name();
        self.hub.ip(&["link", "add", &port, "type", "veth", "peer", "name", interface, "netns", inner])?;
        self.hub.ip(&["link", "set", &port, "master", "hub0"])?;
        self.hub.ip(&["link", "set", &port, "up"])?;
        if interface == TAP {
            namespace.ip(&["link", "set", interface, "arp", "off"])?;
        }
        namespace.ip(&["link", "set", interface, "up"])
    }
}

/// Script and part of a host.
fn part(host: &str) -> Result<(&'static str, Part)> {
    let found = HOSTS.iter().find(|(name, ..)| *name == host);
    found.map(|&(.., script, part)| (script, part)).with_context(|| format!("no host {host}"))
}

/// A running peer; dropping it ends it.
#[derive(Debug)]
struct Peer(Child);

impl Peer {
    /// Its last line is a JSON object of counts.
    fn finish(mut self) -> Result<BTreeMap<String, u64>> {
        let read = |stream: Option<&mut dyn std::io::Read>| {
            let mut text = String::new();
            stream.map_or(Ok(0), |stream| stream.read_to_string(&mut text)).map(|_| text)
        };
        // Peers say a few lines: neither pipe can fill up while the other is read.
        let out = read(self.0.stdout.as_mut().map(|stream| stream as _))?;
        let errors = read(self.0.stderr.as_mut().map(|stream| stream as _))?;
        let status = self.0.wait()?;
        ensure!(status.success(), "the peer ended with {status}: {errors}");
        let last = out.lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("no counts in {out:?}; {errors}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
