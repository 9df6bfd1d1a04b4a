//! The Debian package in a Debian: what it installs works, and goes again. `cargo xtask test` makes both. Needs root.

#![cfg(target_os = "linux")]

#[path = "wire/live.rs"]
mod live;
mod wire;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use vigia_testbed::{DEBIAN, PACKAGE};

const PATIENCE: Duration = Duration::from_secs(60);

/// A Debian that is as new: what is done in it stays in a layer over the one that was made.
struct Debian {
    base: PathBuf,
    folder: tempfile::TempDir,
}

impl Debian {
    /// None, and a line that says so, where there is nothing to test.
    fn with_package() -> Option<Self> {
        let (Some(base), Some(package)) = (std::env::var_os(DEBIAN), std::env::var_os(PACKAGE)) else {
            println!("skipped: no package to install (`cargo xtask test` makes one, as root)");
            return None;
        };
        let debian = Self { base: base.into(), folder: tempfile::tempdir().unwrap() };
        for layer in ["upper", "work", "root"] {
            fs::create_dir(debian.folder.path().join(layer)).unwrap();
        }
        let layers = [debian.base.clone(), debian.layer("upper"), debian.layer("work")];
        let [lower, upper, work] = layers.map(|layer| layer.display().to_string());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount(&["-t", "overlay", "overlay", "-o", &options], &debian.root());
        mount(&["-t", "proc", "proc"], &debian.root().join("proc"));
        mount(&["-t", "sysfs", "sysfs"], &debian.root().join("sys"));
        fs::copy(package, debian.root().join("vigia.deb")).unwrap();
        Some(debian)
    }

    fn layer(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.layer("root")
    }

    fn has(&self, path: &str) -> bool {
        self.root().join(path).symlink_metadata().is_ok()
    }

    /// Runs a program in it by a command that begins so.
    fn enter(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.arg(self.root()).args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.enter(Command::new("chroot"), arguments).output().unwrap()
    }

    /// The same for what has to succeed; what it says.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Files that were not there when it was new.
    fn new_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.layer("upper"), &mut |path, removed| {
            let path = path.strip_prefix(self.layer("upper")).unwrap();
            if !removed && self.base.join(path).symlink_metadata().is_err() {
                found.push(path.display().to_string());
            }
        });
        found.sort();
        found
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--recursive", "--lazy"]).arg(self.root()).status();
    }
}

fn mount(arguments: &[&str], place: &Path) {
    let output = Command::new("mount").args(arguments).arg(place).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Every file below a folder, and whether it only stands for one that was removed.
fn walk(folder: &Path, each: &mut impl FnMut(&Path, bool)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        each(&path, found.file_type().is_char_device() && found.rdev() == 0);
        if found.is_dir() {
            walk(&path, each);
        }
    }
}

/// `vigia run` in the Debian, on the tap, as its unit has it started: user, group, capabilities.
struct Running(Child);

impl Running {
    fn start(debian: &Debian, tap: &live::Tap) -> Self {
        let unit = fs::read_to_string(debian.root().join("lib/systemd/system/vigia.service")).unwrap();
        let capabilities = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
        let plus: Vec<_> = capabilities.split(' ').map(|name| name.replace("CAP_", "+").to_lowercase()).collect();
        let plus = format!("-all,{}", plus.join(","));
        let drop = ["--reuid=vigia", "--regid=vigia", "--init-groups", "--no-new-privs"];
        let caps = ["inh-caps", "ambient-caps", "bounding-set"].map(|set| format!("--{set}={plus}"));
        let caps: Vec<_> = caps.iter().map(String::as_str).collect();
        let arguments = [&["setpriv"][..], &drop, &caps, &["vigia", "run"]].concat();
        Self(debian.enter(tap.command("chroot"), &arguments).spawn().unwrap())
    }

    /// Asks it to end, and waits; true when it did so in peace.
    fn stop(&mut self) -> bool {
        Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        until("the end of the sensor", || self.0.try_wait().unwrap()).success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = there() {
            return it;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The frames of a capture of the shipped signatures (pcap, little endian).
fn frames(capture: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/signatures/captures");
    let bytes = fs::read(folder.join(capture)).unwrap();
    let (mut rest, mut frames) = (&bytes[24..], Vec::new());
    while let Some((header, after)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        frames.push(after[..length].to_vec());
        rest = &after[length..];
    }
    frames
}

#[test]
fn a_package_is_installed_alerts_and_is_removed_without_a_trace() {
    let Some(debian) = Debian::with_package() else { return };
    let Some(tap) = live::Tap::new() else { return };
    debian.done(&["dpkg", "--install", "/vigia.deb"]);
    fs::remove_file(debian.root().join("vigia.deb")).unwrap();
    assert!(
        ["usr/share/man/man1/vigia-run.1.gz", "usr/share/man/es/man1/vigia-run.1.gz"].iter().all(|it| debian.has(it))
    );

    // Nothing is tapped by accident: no interface is named, no unit is enabled, and a start is refused.
    assert!(!debian.has("etc/systemd/system/multi-user.target.wants/vigia.service"));
    let as_vigia = ["setpriv", "--reuid=vigia", "--regid=vigia", "--init-groups"];
    let vigia = |arguments: &[&'static str]| [&as_vigia[..], &["vigia"], arguments].concat();
    debian.done(&vigia(&["check", "--strict"]));
    let refused = debian.run(&vigia(&["check", "--start"]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`capture.interfaces` names none"), "{refused:?}");
    let refused = debian.run(&vigia(&["run"]));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    let config = debian.root().join("etc/vigia/vigia.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\ninterfaces = []", "\ninterfaces = [{ name = \"tap0\" }]")).unwrap();
    debian.done(&vigia(&["check", "--start"]));
    let mut sensor = Running::start(&debian, &tap);
    // A user of the group may ask; any other may not.
    let status = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=vigia", "vigia", "status", "--json"];
    until("the sensor", || debian.run(&status).status.success().then_some(()));
    let stranger = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "vigia", "status"];
    assert_eq!(debian.run(&stranger).status.code(), Some(1));
    let told = debian.done(&status);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["interfaces"][0]["guard"]["attached"].is_string(), "{told:#}");
    assert_eq!(told["interfaces"][0]["ledger"]["balances"], true, "{told:#}");

    frames("9101010-fires.pcap").iter().for_each(|frame| tap.send(frame));
    let alerts = until("an alert", || Some(debian.done(&vigia(&["alerts", "--json"]))).filter(|said| !said.is_empty()));
    assert!(alerts.contains("9101010"), "{alerts}");
    assert!(sensor.stop());

    debian.done(&["dpkg", "--remove", "vigia"]);
    assert!(!debian.has("usr/bin/vigia") && !debian.has("lib/systemd/system/vigia.service"));
    assert!(debian.has("etc/vigia/vigia.toml") && debian.has("var/lib/vigia/journal"), "they are left to a purge");
    debian.done(&["dpkg", "--purge", "vigia"]);
    // The user stays, and so what its tables were before; and what dpkg and others note for themselves.
    let notes = ["var/lib/dpkg/", "var/log/", "var/cache/", "etc/.pwd.lock", "etc/shadow-", "etc/gshadow-"];
    let left: Vec<_> =
        debian.new_files().into_iter().filter(|file| !notes.iter().any(|it| file.starts_with(it))).collect();
    assert_eq!(left, [""; 0]);
    assert!(!debian.new_files().iter().any(|file| file.contains("vigia")), "{:?}", debian.new_files());
}
