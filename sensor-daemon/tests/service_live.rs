//! What the service manager is told by a sensor that it started. Needs root.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A service manager that only listens.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    /// The next that is told, other than that the workers make progress.
    fn next(&self) -> String {
        loop {
            let told = self.any();
            if told != "WATCHDOG=1" {
                return told;
            }
        }
    }

    fn any(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("the manager is told something");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

const RULES: &str = "alert modbus any any -> any any (msg:\"m\"; modbus.function: 5; sid:1000001;)\n";

#[test]
fn the_manager_is_told_of_start_reloads_and_stop_in_order() {
    let Some(tap) = live::Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::at(&folder.path().join("notify"));
    let config = live::configure(folder.path(), RULES, "");
    let socket = folder.path().join("notify");
    let sensor = tap.watch_with(&config, &[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("LC_ALL", "C")]);
    assert_eq!(manager.next(), "READY=1\nSTATUS=watching tap0; 1 rules in force");

    std::fs::write(folder.path().join("test.rules"), format!("{RULES}{}", RULES.replace("1000001", "1000002")))
        .unwrap();
    sensor.signal("HUP").unwrap();
    let told = manager.next();
    let time: u64 = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(time > 0);
    assert_eq!(manager.next(), "READY=1\nSTATUS=watching tap0; 2 rules in force");

    // What is at fault does not replace what works; the reload is over all the same.
    std::fs::write(folder.path().join("test.rules"), "alert nothing\n").unwrap();
    sensor.signal("HUP").unwrap();
    assert!(manager.next().starts_with("RELOADING=1\n"));
    assert_eq!(manager.next(), "READY=1\nSTATUS=watching tap0; 2 rules in force");

    sensor.stop().unwrap();
    assert_eq!(manager.next(), "STOPPING=1");
}

/// A thread of another process, held still as long as this lives.
struct Held(libc::pid_t);

impl Held {
    fn thread(process: u32, name: &str) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|task| task.unwrap().path());
        let is_it = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let task = tasks.into_iter().find(is_it).unwrap();
        let held = Self(task.file_name().unwrap().to_str().unwrap().parse().unwrap());
        held.ask(libc::PTRACE_SEIZE);
        held.ask(libc::PTRACE_INTERRUPT);
        // SAFETY: a call without pointers that are read or written.
        assert_eq!(unsafe { libc::waitpid(held.0, std::ptr::null_mut(), libc::__WALL) }, held.0);
        held
    }

    fn ask(&self, request: libc::c_uint) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests read and write no memory.
        assert_eq!(unsafe { libc::ptrace(request, self.0, none, none) }, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ask(libc::PTRACE_DETACH);
    }
}

#[test]
fn a_worker_that_hangs_is_told_by_silence_and_a_silent_interface_is_not() {
    let Some(tap) = live::Tap::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = Manager::at(&socket);
    let config = folder.path().join("vigia.toml");
    // By themselves workers would wait for packets far longer than the manager waits for a word.
    let text = format!(
        "metrics.enabled = false\ncontrol.socket = {:?}\njournal.directory = {:?}\n\
         capture = {{ interfaces = [{{ name = \"tap0\" }}], workers = 2, poll_timeout_ms = 60000 }}\n",
        folder.path().join("control.sock"),
        folder.path().join("journal"),
    );
    std::fs::write(&config, text).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let sensor = tap.watch_with(&config, &environment);
    assert!(manager.any().starts_with("READY=1\n"));
    (0..4).for_each(|_| assert_eq!(manager.any(), "WATCHDOG=1"));

    let held = Held::thread(sensor.id(), "worker-1");
    manager.0.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut buffer = [0; 64];
    // What the worker did before it was held may still be told.
    let told = std::iter::from_fn(|| manager.0.recv(&mut buffer).ok()).take(10).count();
    assert!(told < 10, "one worker is enough to feed the watchdog");
    drop(held);
    manager.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(manager.any(), "WATCHDOG=1", "it was only slow");
    sensor.stop().unwrap();
}
