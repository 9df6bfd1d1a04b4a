//! What the service manager is told: that the sensor watches, loads again or stops, and that its workers make progress.
//!
//! The protocol is that of sd_notify(3): lines of `NAME=value` in a datagram to the Unix socket that `NOTIFY_SOCKET` names.
//! Where there is none, nothing is told.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a manager that does not read may hold the sensor up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the workers within the time in which the manager wants to hear of them. A worker may begin a round just after one look,
/// and waits for packets no longer than until the next.
const LOOKS: u32 = 4;

/// The service manager that started us, if one did.
pub(super) struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that the environment names. A socket that is no good is a line in the log.
    pub(super) fn of_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|name| {
            let opened = address(&name).and_then(|address| Ok((open()?, address)));
            opened.inspect_err(|error| tracing::warn!(?name, %error, "the service manager is not told anything")).ok()
        });
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        Self { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// How often the workers are to be looked at; `None` where nobody wants to know.
    pub(super) fn pulse(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / LOOKS)
    }

    /// The sensor works: at the start, and after loading again.
    pub(super) fn ready(&self, status: &str) {
        // A line is a variable.
        self.tell(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// Rules and settings are about to be loaded again; [`Manager::ready`] says when that is over.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// The sensor drains and ends.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Every worker made progress.
    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        let Some((socket, manager)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), manager) {
            tracing::warn!(%error, state, "the service manager cannot be told");
        }
    }
}

fn open() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A path, or behind an `@` a name in the kernel's own space of names.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor @ and a name")),
    }
}

/// Time within which the manager wants to hear of this process: `WATCHDOG_USEC`, unless `WATCHDOG_PID` names another one.
fn watchdog(microseconds: Option<OsString>, of: Option<OsString>, own: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if of.is_some_and(|of| number(of) != Some(own.into())) {
        return None;
    }
    microseconds.and_then(number).filter(|microseconds| *microseconds > 0).map(Duration::from_micros)
}

/// How many rounds of its loop each worker has made. A round takes a batch of packets, or waits for one.
pub(super) struct Rounds(Vec<AtomicU64>);

impl Rounds {
    /// Of so many workers.
    pub(super) fn of(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicU64::new(0)).collect())
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.0.len()
    }

    /// A worker has made one.
    pub(super) fn count(&self, worker: usize) {
        if let Some(rounds) = self.0.get(worker) {
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Knows whether every worker makes progress.
pub(super) struct Watchdog {
    /// The rounds of each worker when the manager was told last.
    told: Vec<u64>,
}

impl Watchdog {
    /// Over so many workers.
    pub(super) fn of(workers: usize) -> Self {
        Self { told: vec![0; workers] }
    }

    /// Has every worker made a round since the last time that this was so? One that hangs within a packet makes none.
    pub(super) fn all_moved(&mut self, rounds: &Rounds) -> bool {
        let now: Vec<_> = rounds.0.iter().map(|rounds| rounds.load(Ordering::Relaxed)).collect();
        let moved = now.iter().zip(&self.told).all(|(now, told)| now != told);
        if moved {
            self.told = now;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager that listens at a name, and what it hears.
    fn heard(name: &str, listener: &UnixDatagram, say: impl Fn(&Manager)) -> String {
        let manager = Manager { socket: Some((open().unwrap(), address(name.as_ref()).unwrap())), watchdog: None };
        say(&manager);
        let mut buffer = [0; 256];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_manager_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(heard(path, &listener, |it| it.ready("two\nlines")), "READY=1\nSTATUS=two lines");
        let name = format!("vigia-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert_eq!(heard(&format!("@{name}"), &listener, Manager::stopping), "STOPPING=1");
        assert!(heard(&format!("@{name}"), &listener, Manager::reloading).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert!(address("relative".as_ref()).is_err());
    }

    #[test]
    fn the_watchdog_is_that_of_the_environment_unless_it_is_for_another_process() {
        let time = |microseconds: &str, of: Option<&str>| watchdog(Some(microseconds.into()), of.map(Into::into), 7);
        assert_eq!(time("30000000", None), Some(Duration::from_secs(30)));
        assert_eq!(time("30000000", Some("7")), Some(Duration::from_secs(30)));
        assert_eq!(time("30000000", Some("8")), None);
        assert_eq!((time("0", None), time("soon", None), watchdog(None, None, 7)), (None, None, None));
    }

    #[test]
    fn one_worker_that_hangs_is_enough_for_silence() {
        let (rounds, mut watchdog) = (Rounds::of(2), Watchdog::of(2));
        assert!(!watchdog.all_moved(&rounds), "nobody has begun");
        rounds.count(0);
        rounds.count(1);
        assert!(watchdog.all_moved(&rounds));
        for _ in 0..3 {
            rounds.count(0);
            assert!(!watchdog.all_moved(&rounds), "the second one hangs");
        }
        rounds.count(1);
        assert!(watchdog.all_moved(&rounds), "it was only slow");
        assert!(!watchdog.all_moved(&rounds));
    }
}
