//! A small plant: a hub (a bridge that floods every frame), a host with a protocol peer on each port, and a tap port that
//! sees everything, as a mirror port of a plant switch does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::Namespace;

/// The tap's interface in the sensor's namespace.
pub const TAP: &str = "tap0";

/// The hosts and their addresses.
const HOSTS: &[(&str, &str)] = &[
    ("plc", "10.66.0.10"),
    ("hmi", "10.66.0.20"),
    ("outstation", "10.66.0.30"),
    ("master", "10.66.0.40"),
    ("controller", "10.66.0.50"),
    ("panel", "10.66.0.51"),
    ("engineer", "10.66.0.52"),
    ("ventilation", "10.66.0.60"),
    ("workstation", "10.66.0.61"),
    ("ied", "10.66.0.70"),
    ("station", "10.66.0.71"),
    ("intruder", "10.66.0.66"),
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
        for &(host, address) in HOSTS {
            let namespace = Namespace::new(host)?;
            plant.connect(host, &namespace, "eth0")?;
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            plant.hosts.insert(host, namespace);
        }
        Ok(plant)
    }

    /// The address of a host; empty when there is no such host.
    pub fn address(host: &str) -> &'static str {
        HOSTS.iter().find(|(name, _)| *name == host).map_or("", |(_, address)| *address)
    }

    /// Where the tap is.
    pub fn sensor(&self) -> &Namespace {
        &self.sensor
    }

    /// Starts the servers, PLC, outstation, S7 controller and the BACnet controller of the ventilation; returns when all listen.
    ///
    /// # Errors
    /// One of them does not.
    pub fn start_servers(&mut self) -> Result<()> {
        self.start("plc", "plc.py", &[Self::address("plc")])?;
        self.start("outstation", "outstation.py", &[Self::address("outstation")])?;
        self.start("controller", "s7_controller.py", &[])?;
        self.start("ventilation", "bacnet_device.py", &[Self::address("ventilation")])?;
        for (host, port) in [("plc", 502), ("outstation", 20_000), ("controller", 102), ("ventilation", 47_808)] {
            self.await_listener(host, port)?;
        }
        Ok(())
    }

    /// Starts the S7 controller alone, and an engineering station that does to it what an engineer does; then the controller
    /// ends by itself.
    ///
    /// # Errors
    /// The controller does not listen, or the station cannot be started.
    pub fn start_engineering(&mut self) -> Result<()> {
        self.start("controller", "s7_controller.py", &["1"])?;
        self.await_listener("controller", 102)?;
        self.start("engineer", "s7_engineer.py", &[Self::address("controller")])
    }

    /// Starts the IED alone, and a station computer that does to it what one does, each once; then the IED ends by itself.
    ///
    /// # Errors
    /// The IED does not listen, or the station computer cannot be started.
    pub fn start_station(&mut self) -> Result<()> {
        self.start("ied", "ied.py", &[])?;
        self.await_listener("ied", 102)?;
        self.start("station", "ied_client.py", &[Self::address("ied")])
    }

    /// Starts the clients, HMI, DNP3 master, S7 panel and BACnet workstation, that poll for so many seconds.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start_clients(&mut self, seconds: u64) -> Result<()> {
        let seconds = seconds.to_string();
        self.start("hmi", "hmi.py", &[Self::address("plc"), &seconds])?;
        self.start("master", "master.py", &[Self::address("outstation"), &seconds])?;
        self.start("panel", "s7_panel.py", &[Self::address("controller"), &seconds])?;
        let (own, device) = (Self::address("workstation"), Self::address("ventilation"));
        self.start("workstation", "bacnet_workstation.py", &[own, device, &seconds])
    }

    /// Starts the station that nobody listed: it writes a coil, scans function codes, restarts the outstation, stops the S7
    /// controller and restarts that of the ventilation, with `pause` seconds between them.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start_intruder(&mut self, pause: f32) -> Result<()> {
        let pause = pause.to_string();
        let victims = ["plc", "outstation", "controller", "ventilation"].map(Self::address);
        self.start("intruder", "intruder.py", &[&victims[..], &[&pause]].concat())
    }

    /// Waits for a peer that ends by itself, and gives what it counted.
    ///
    /// # Errors
    /// It failed; its last words are in the error.
    pub fn finish(&mut self, host: &str) -> Result<BTreeMap<String, u64>> {
        let peer = self.peers.remove(host).with_context(|| format!("nobody works at {host}"))?;
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

    fn start(&mut self, host: &'static str, script: &str, arguments: &[&str]) -> Result<()> {
        let namespace = self.hosts.get(host).with_context(|| format!("no host {host}"))?;
        let mut command = namespace.command(&self.python);
        command.arg(crate::peers().join(script)).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn().with_context(|| format!("starting {script} on {host}"))?;
        self.peers.insert(host, Peer(process));
        Ok(())
    }

    /// Waits until a server listens, without a connection that the tap would see.
    fn await_listener(&mut self, host: &str, port: u16) -> Result<()> {
        let filter = format!("sport = :{port}");
        for _ in 0..200 {
            let namespace = self.hosts.get(host).with_context(|| format!("no host {host}"))?;
            let listeners = crate::run(namespace.command(Path::new("ss")).args(["-Hltun", &filter]))?;
            if !listeners.is_empty() {
                return Ok(());
            }
            let peer = self.peers.get_mut(host).with_context(|| format!("nobody works at {host}"))?;
            if peer.0.try_wait()?.is_some() {
                return self.finish(host).map(drop);
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
