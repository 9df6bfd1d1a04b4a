//! The guard on a tap in namespaces of its own: what this machine tries to send stays here, the sensor running or killed.
//! Needs root; says loudly when it is skipped.

#![cfg(target_os = "linux")]

mod veth;

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use veth::{bring_up, ip, make_pair};
use vigia::capture::probes::guard::{self, Guard, How};

const VIGIA: &str = env!("CARGO_BIN_EXE_vigia");

const IPV4: u32 = 0x0800;
const ARP: u32 = 0x0806;
const RAW: u32 = 0x88b8;

/// Runs a test on a thread with networks and mounts of its own, with the BPF file system mounted or not, and with a veth
/// pair `tap0` and `plant0` that is up.
fn apart(with_bpf_file_system: bool, test: impl FnOnce() + Send + 'static) {
    // SAFETY: a call without arguments.
    if unsafe { libc::geteuid() } != 0 || Command::new("ip").arg("-V").output().is_err() {
        println!("SKIPPED: the guard on a tap needs root and the command `ip`");
        return;
    }
    let inside = move || {
        // SAFETY: a call without pointers; it concerns this thread alone.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) }, 0);
        mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE);
        // A file system over whatever the machine has there.
        mount("none", "/sys/fs/bpf", if with_bpf_file_system { "bpf" } else { "tmpfs" }, 0);
        for family in ["all", "default"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{family}/disable_ipv6"), "1");
        }
        ip(&["link", "set", "lo", "up"]);
        make_pair();
        test();
    };
    std::thread::spawn(inside).join().unwrap();
}

fn mount(what: &str, at: &str, kind: &str, flags: libc::c_ulong) {
    let [what, to, kind] = [what, at, kind].map(|text| CString::new(text).unwrap());
    // SAFETY: the pointers are to strings that end with 0 and live during the call; the last may be null.
    let done = unsafe { libc::mount(what.as_ptr(), to.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) };
    assert_eq!(done, 0, "mounting {at}: {}", std::io::Error::last_os_error());
}

/// Frames that reached the other end of the cable, when they have had time to.
fn leaked() -> u64 {
    std::thread::sleep(Duration::from_millis(100));
    received("plant0")
}

fn received(interface: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':')).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A frame by a raw socket; whether the kernel says that it went.
fn send_raw(interface: &str) -> bool {
    send_raw_by(interface, false)
}

/// A frame by a raw socket, past the queueing discipline and with it the guard, if that is asked for.
fn send_raw_by(interface: &str, bypass: bool) -> bool {
    // SAFETY: a call without pointers; the descriptor is new and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)) };
    let yes = i32::from(bypass);
    // SAFETY: the pointer is to an int that lives during the call, with its length.
    let set = unsafe {
        let (value, length) = ((&raw const yes).cast(), size_of::<i32>() as u32);
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, value, length)
    };
    assert_eq!(set, 0);
    let name = CString::new(interface).unwrap();
    // SAFETY: a sockaddr_ll of zeros is a valid one.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    // SAFETY: the name ends with 0 and lives during the call.
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
    let mut frame = [0_u8; 60];
    frame[..14].copy_from_slice(&[1, 12, 0xcd, 1, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0xb8]);
    let length = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: both pointers are to values that live during the call, with their lengths.
    let sent = unsafe {
        let address = (&raw const address).cast();
        libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, address, length)
    };
    sent == frame.len() as isize
}

/// An echo request, as the command `ping` sends it.
fn ping(to: [u8; 4]) {
    // SAFETY: a call without pointers; the descriptor is new and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)) };
    // SAFETY: a sockaddr_in of zeros is a valid one.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_addr.s_addr = u32::from_ne_bytes(to);
    let request = [8_u8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
    // SAFETY: both pointers are to values that live during the call, with their lengths.
    unsafe {
        let length = size_of::<libc::sockaddr_in>() as u32;
        libc::sendto(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0, (&raw const address).cast(), length)
    };
}

/// What a host does on a network it has an address on: asks for a neighbour (ARP), sends to one it knows (IPv4), and a raw
/// frame.
///
/// The neighbour is a new one each time: the kernel asks for the same one only every second.
fn try_everything(stranger: u8) {
    let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
    for neighbour in [2, stranger] {
        let _ = socket.send_to(b"hello", (std::net::Ipv4Addr::new(10, 9, 0, neighbour), 9));
    }
    ping([10, 9, 0, 2]);
    send_raw("tap0");
    // A question for a neighbour is asked at once; the answer never comes.
    std::thread::sleep(Duration::from_millis(100));
}

/// Somebody makes a host of the tap: gives it an address, and lets it ask for neighbours again.
fn give_address() {
    ip(&["link", "set", "tap0", "arp", "on"]);
    ip(&["address", "add", "10.9.0.1/24", "dev", "tap0"]);
    ip(&["neighbour", "replace", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "tap0"]);
}

/// Dropped so far, by kind.
fn dropped(counts: &guard::Counts) -> [u64; 3] {
    [IPV4, ARP, RAW].map(|kind| counts.kinds.iter().find(|(of, _)| *of == kind).map_or(0, |(_, tally)| tally[0]))
}

/// A running sensor on the tap.
struct Sensor(Child, std::path::PathBuf);

impl Sensor {
    fn start(folder: &Path) -> Self {
        Self::start_by(Command::new(VIGIA), folder, 1)
    }

    /// With these capabilities and no others.
    fn start_with(capabilities: &str, folder: &Path) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", &format!("-all,{capabilities}"), VIGIA]);
        Self::start_by(command, folder, 2)
    }

    fn start_by(mut command: Command, folder: &Path, workers: u16) -> Self {
        let (config, log) = (folder.join("vigia.toml"), folder.join("vigia.log"));
        let text = format!(
            "capture = {{ interfaces = [{{ name = \"tap0\" }}], workers = {workers}, block_count = 8 }}\n\
             journal.directory = {:?}\ncontrol.socket = {:?}\nmetrics.listen = \"127.0.0.1:0\"\n",
            folder.join("journal"),
            folder.join("control.sock"),
        );
        std::fs::write(&config, text).unwrap();
        let output = File::create(&log).unwrap();
        command.args(["run", "--config"]).arg(config).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let sensor = Self(command.spawn().unwrap(), log);
        sensor.await_log("watching");
        sensor
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap()
    }

    fn await_log(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "no {text:?} in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn status(&self) -> serde_json::Value {
        // The interfaces are looked at once a second.
        std::thread::sleep(Duration::from_millis(1500));
        let folder = self.1.parent().unwrap();
        let config = folder.join("vigia.toml");
        let output = Command::new(VIGIA).args(["status", "--json", "--config"]).arg(config).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// SIGTERM: it ends in peace.
    fn stop(mut self) {
        // SAFETY: a call without pointers, about a process of our own.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) }, 0);
        assert!(self.0.wait().unwrap().success(), "{}", self.log());
    }

    /// SIGKILL: it has no say in it.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_leaves_the_tap_with_the_sensor_running_killed_and_started_again() {
    apart(true, || {
        assert!(send_raw("tap0"));
        assert_eq!(leaked(), 1, "without a guard a frame leaves");
        let folder = tempfile::tempdir().unwrap();

        let mut sensor = Sensor::start(folder.path());
        sensor.await_log("guarded: the kernel drops");
        give_address();
        try_everything(77);
        assert_eq!(leaked(), 1, "the sensor runs");
        let running = guard::status("tap0").unwrap().unwrap();
        assert!(dropped(&running.counts).iter().all(|&frames| frames > 0), "{running:?}");
        sensor.await_log("something on this machine tried to send on a tap");
        sensor.await_log("kind=0x0806");

        sensor.kill();
        try_everything(78);
        assert_eq!(leaked(), 1, "the sensor is killed");
        let killed = guard::status("tap0").unwrap().unwrap();
        let grown = dropped(&killed.counts).into_iter().zip(dropped(&running.counts)).all(|(now, then)| now > then);
        assert!(grown, "{running:?} then {killed:?}");
        let sum: u64 = killed.counts.kinds.iter().map(|(_, tally)| tally[0]).sum();
        assert_eq!(killed.counts.total[0], sum);

        ip(&["address", "flush", "dev", "tap0"]);
        let mut sensor = Sensor::start(folder.path());
        sensor.await_log("guarded: the kernel drops");
        assert!(!send_raw("tap0"));
        assert_eq!(leaked(), 1, "the sensor is back");
        let back = guard::status("tap0").unwrap().unwrap();
        assert!(back.counts.total[0] > killed.counts.total[0], "counts go on");
        sensor.kill();

        let shown = Command::new(VIGIA).arg("guard").output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("tap0") && shown.contains("tcx, pinned") && shown.contains("0x0806"), "{shown}");
        let removed = Command::new(VIGIA).args(["guard", "--remove", "tap0"]).output().unwrap();
        assert!(removed.status.success(), "{removed:?}");
        assert_eq!(guard::status("tap0").unwrap(), None);
        assert!(send_raw("tap0"));
        assert_eq!(leaked(), 2, "the guard is removed");
    });
}

/// The events of a kind in the journal of a sensor that has ended.
fn health(folder: &Path, kind: &str) -> Vec<serde_json::Value> {
    let events = vigia_testbed::Events::follow(&folder.join("journal/records")).fresh().unwrap();
    let is_one = |event: &serde_json::Value| event["event_type"] == "health" && event["health"]["kind"] == kind;
    events.into_iter().filter(is_one).collect()
}

#[test]
fn a_tap_is_silenced_and_guarded_while_it_is_down_yet() {
    apart(true, || {
        let ipv6 = "/proc/sys/net/ipv6/conf/tap0/disable_ipv6";
        ip(&["link", "set", "tap0", "down"]);
        std::fs::write(ipv6, "0").unwrap();
        let flags = || {
            String::from_utf8(Command::new("ip").args(["-d", "link", "show", "tap0"]).output().unwrap().stdout).unwrap()
        };
        assert!(!flags().contains("NOARP"));
        let folder = tempfile::tempdir().unwrap();
        let _sensor = Sensor::start(folder.path());
        assert!(
            flags().contains("NOARP") && flags().contains("promiscuity 0") && !flags().contains(",UP"),
            "{}",
            flags()
        );
        assert_eq!(std::fs::read_to_string(ipv6).unwrap().trim(), "1");
        let before = leaked();
        ip(&["link", "set", "tap0", "up"]);
        assert!(!send_raw("tap0"), "guarded from the first moment");
        // Time for what an interface says when it comes up: neighbour discovery, IGMP and MLD.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(leaked(), before);
        assert!(flags().contains("promiscuity 1"), "{}", flags());
    });
}

#[test]
fn what_the_guard_drops_and_what_passes_it_are_metrics_and_events() {
    apart(true, || {
        let folder = tempfile::tempdir().unwrap();
        let sensor = Sensor::start(folder.path());
        assert!(!send_raw("tap0") && !send_raw("tap0"));
        let before = leaked();
        assert!(send_raw_by("tap0", true) && send_raw_by("tap0", true), "this way leads past any guard");
        assert_eq!(leaked(), before + 2);
        sensor.await_log("frames left by a tap, past the guard");
        let status = sensor.status();
        let interface = &status["interfaces"][0];
        assert_eq!(interface["transmitted"], 2, "{interface}");
        assert_eq!(interface["guard"]["by_ethertype"]["0x88b8"]["frames"], 2, "{interface}");
        assert_eq!(interface["mode"], "af-packet");
        let series = |name: &str| status["series"][name].as_u64();
        assert_eq!(series("vigia_tap_transmitted_packets_total{interface=\"tap0\"}"), Some(2));
        let dropped = "vigia_guard_dropped_packets_total{interface=\"tap0\",ethertype=\"0x88b8\"}";
        assert_eq!(series(dropped), Some(2));
        assert_eq!(series("vigia_capture_mode{interface=\"tap0\",mode=\"af-packet\"}"), Some(1));
        sensor.stop();
        let dropped = health(folder.path(), "guard-dropped");
        assert_eq!(dropped.len(), 1, "only the first of a kind: {dropped:?}");
        assert_eq!(dropped[0]["in_iface"], "tap0");
        let told = &dropped[0]["health"];
        assert_eq!(
            (&told["ethertype"], &told["length"], &told["uid"]),
            (&"0x88b8".into(), &60.into(), &0.into()),
            "{told}"
        );
        assert!(told["frame"].as_str().unwrap().starts_with("010ccd01"), "{told}");
        let sent = health(folder.path(), "tap-transmitted");
        let packets: u64 = sent.iter().filter_map(|event| event["health"]["packets"].as_u64()).sum();
        assert_eq!(packets, 2, "{sent:?}");
    });
}

#[test]
fn without_the_bpf_file_system_the_guard_is_a_filter_that_stays_too() {
    apart(false, || {
        let folder = tempfile::tempdir().unwrap();
        let mut sensor = Sensor::start(folder.path());
        sensor.await_log("how=clsact");
        assert!(!send_raw("tap0"));
        sensor.kill();
        assert!(!send_raw("tap0"));
        let first = Guard::attach("tap0").unwrap();
        let second = Guard::attach("tap0").unwrap();
        assert!(!send_raw("tap0"));
        assert_eq!((first.counts().unwrap().total[0], second.counts().unwrap().total[0]), (0, 1));
        assert_eq!(leaked(), 0);
        assert!(guard::remove("tap0").unwrap());
        assert!(send_raw("tap0"));
        assert_eq!(leaked(), 1);
        assert!(!guard::remove("tap0").unwrap());
    });
}

#[test]
fn frames_from_the_plant_pass_the_guard() {
    apart(true, || {
        let guard = Guard::attach("tap0").unwrap();
        assert_eq!(guard.how, How::Tcx);
        for _ in 0..10 {
            assert!(send_raw("plant0"));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(received("tap0"), 10);
        assert_eq!(guard.counts().unwrap().total, [0, 0]);
    });
}

#[test]
fn pins_of_an_interface_that_is_gone_do_not_keep_its_successor_open() {
    apart(true, || {
        drop(Guard::attach("tap0").unwrap());
        assert!(!send_raw("tap0"));
        // SAFETY: the name ends with 0 and lives during the call.
        let number = unsafe { libc::if_nametoindex(c"tap0".as_ptr()) }.to_string();
        ip(&["link", "del", "tap0"]);
        // The same number again, so the same folder of pins.
        ip(&["link", "add", "name", "tap0", "index", &number, "type", "veth", "peer", "name", "plant0"]);
        let stale = Path::new("/sys/fs/bpf/vigia").read_dir().unwrap().count();
        assert_eq!(stale, 1);
        bring_up();
        let guard = Guard::attach("tap0").unwrap();
        assert_eq!(guard.counts().unwrap().total, [0, 0], "counts of another interface");
        assert!(!send_raw("tap0"));
        assert_eq!(guard.counts().unwrap().total[0], 1);
    });
}

#[test]
fn an_interface_with_an_address_of_its_own_is_left_alone() {
    apart(true, || {
        ip(&["address", "add", "10.9.0.1/24", "dev", "tap0"]);
        let folder = tempfile::tempdir().unwrap();
        let sensor = Sensor::start(folder.path());
        sensor.await_log("not guarded: it has an IPv4 address");
        assert!(send_raw("tap0"));
    });
}

#[test]
fn few_capabilities_are_enough_and_without_them_capture_goes_on_and_says_so() {
    apart(true, || {
        let folder = tempfile::tempdir().unwrap();
        let sensor = Sensor::start_with("+net_raw", folder.path());
        sensor.await_log("not guarded: ");
        sensor.await_log("tap0: captured by af-packet-hash; not by af-xdp-zero-copy: the kernel does not let");
        assert!(send_raw("tap0"));
        drop(sensor);
        let sensor = Sensor::start_with("+net_raw,+net_admin,+bpf,+perfmon", folder.path());
        sensor.await_log("guarded: the kernel drops");
        sensor.await_log("tap0: captured by af-packet-ebpf");
        assert!(!send_raw("tap0"));
    });
}
