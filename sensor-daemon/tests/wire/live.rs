//! A tap in a network namespace, and a sensor that watches it.
#![allow(dead_code, unreachable_pub)] // Shared by tests, each a crate of its own, which uses its part.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use vigia_testbed::{Namespace, Sensor};

const VIGIA: &str = env!("CARGO_BIN_EXE_vigia");

/// A veth pair: what is sent into one end, the sensor sees on the other. It goes when this is dropped.
pub struct Tap {
    namespace: Namespace,
    plant: (OwnedFd, libc::sockaddr_ll),
}

impl Tap {
    /// A new one; none, and a line that says so, where that cannot be.
    pub fn new() -> Option<Self> {
        // SAFETY: a call without arguments.
        if unsafe { libc::geteuid() } != 0 {
            println!("skipped: live capture needs root");
            return None;
        }
        let namespace = match Namespace::new("robust") {
            Ok(namespace) => namespace,
            Err(error) => {
                println!("skipped: no network namespace: {error:#}");
                return None;
            }
        };
        namespace.ip(&["link", "add", "tap0", "type", "veth", "peer", "name", "plant0"]).unwrap();
        namespace.ip(&["link", "set", "tap0", "up"]).unwrap();
        namespace.ip(&["link", "set", "plant0", "up"]).unwrap();
        // Only a socket that was made inside sees the interface; the thread that makes it goes there alone.
        let path = format!("/run/netns/{}", namespace.name());
        let plant = std::thread::spawn(move || {
            let file = File::open(path).unwrap();
            // SAFETY: a call without pointers.
            assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            let name = CString::new("plant0").unwrap();
            // SAFETY: a call without pointers; the descriptor is new and owned by nobody else.
            let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)) };
            // SAFETY: a sockaddr_ll of zeros is a valid one; the name ends with 0 and lives during the call.
            let (mut address, index): (libc::sockaddr_ll, _) =
                unsafe { (std::mem::zeroed(), libc::if_nametoindex(name.as_ptr())) };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = index as i32;
            (socket, address)
        });
        let plant = plant.join().unwrap();
        Some(Self { namespace, plant })
    }

    /// Starts a sensor on the tap.
    pub fn watch(&self, config: &Path) -> Sensor {
        Sensor::start(self.namespace.command(Path::new(VIGIA)), Path::new(VIGIA), config).unwrap()
    }

    /// Starts a sensor on the tap that is told more by its environment.
    pub fn watch_with(&self, config: &Path, environment: &[(&str, &str)]) -> Sensor {
        let mut command = self.namespace.command(Path::new(VIGIA));
        command.envs(environment.iter().copied());
        Sensor::start(command, Path::new(VIGIA), config).unwrap()
    }

    /// A command that runs a program where the tap is.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(Path::new(program))
    }

    /// Starts a sensor on the tap as a user without any privilege but these capabilities (`net_raw` and the like).
    pub fn watch_as_nobody(&self, config: &Path, capabilities: &[&str]) -> anyhow::Result<Sensor> {
        let plus: Vec<_> = capabilities.iter().map(|name| format!("+{name}")).collect();
        let plus = plus.join(",");
        let mut command = self.namespace.command(Path::new("setpriv"));
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args([format!("--inh-caps=-all,{plus}"), format!("--ambient-caps=-all,{plus}")]);
        command.arg(format!("--bounding-set=-all,{plus}")).arg(VIGIA);
        Sensor::start(command, Path::new(VIGIA), config)
    }

    /// Runs the command `ip` where the tap is, and gives what it says.
    pub fn ip(&self, arguments: &[&str]) -> String {
        let output = self.namespace.command(Path::new("ip")).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Does something on a thread of its own in the tap's network.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace.name());
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let file = File::open(path).unwrap();
                // SAFETY: a call without pointers.
                assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
                work()
            });
            inside.join().unwrap()
        })
    }

    /// Sends a frame in the plant.
    pub fn send(&self, frame: &[u8]) {
        let (socket, address) = &self.plant;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: both pointers are to values that live during the call, with their lengths.
        let sent = unsafe {
            let address = std::ptr::from_ref(address).cast();
            libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, address, length)
        };
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }

    /// Sends frames in the plant, as fast as the kernel takes them.
    pub fn flood(&self, frames: &[Vec<u8>]) {
        let (socket, address) = &self.plant;
        for chunk in frames.chunks(256) {
            let mut pieces: Vec<libc::iovec> = chunk
                .iter()
                .map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() })
                .collect();
            let message = |piece: &mut libc::iovec| {
                // SAFETY: headers of zeros are valid ones.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_name = std::ptr::from_ref(address).cast_mut().cast();
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
                (header.msg_hdr.msg_iov, header.msg_hdr.msg_iovlen) = (piece, 1);
                header
            };
            let mut messages: Vec<_> = pieces.iter_mut().map(message).collect();
            let mut rest = messages.as_mut_slice();
            while !rest.is_empty() {
                // SAFETY: the headers, and what they point to, live during the call; nothing is written to the frames.
                let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
                let busy = || std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS);
                assert!(sent > 0 || busy(), "{}", std::io::Error::last_os_error());
                rest = rest.split_at_mut(sent.max(0) as usize).1;
            }
        }
    }

    /// Frames that the sensor's end received, by the kernel's own count.
    pub fn received(&self) -> u64 {
        self.namespace.received("tap0").unwrap()
    }
}

/// A configuration for the tap, with files in `folder` and `more` settings of the journal.
pub fn configure(folder: &Path, rules: &str, more: &str) -> PathBuf {
    fs::write(folder.join("test.rules"), rules).unwrap();
    let config = folder.join("vigia.toml");
    // Where other tests keep the processors busy, the worker may stand still for longer than the ring bridges otherwise.
    let text = format!(
        "capture = {{ interfaces = [{{ name = \"tap0\" }}], block_timeout_ms = 20 }}\n\
         metrics.enabled = false\n\
         rules.files = [{:?}]\n\
         control.socket = {:?}\n\
         [journal]\ndirectory = {:?}\n{more}\n",
        folder.join("test.rules"),
        folder.join("control.sock"),
        folder.join("journal"),
    );
    fs::write(&config, text).unwrap();
    config
}

/// Waits until the sensor's status is as wanted, and gives it.
pub fn wait(sensor: &Sensor, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(sensor, Duration::from_secs(30), what, wanted)
}

/// The same with more patience.
pub fn wait_for(sensor: &Sensor, patience: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = sensor.status().unwrap();
        if wanted(&status) {
            return status;
        }
        assert!(start.elapsed() < patience, "{what} did not come:\n{status:#}\n{}", sensor.log());
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// A series of a status.
pub fn series(status: &Value, name: &str) -> u64 {
    status["series"][name].as_u64().unwrap_or_else(|| panic!("no series {name}"))
}
