//! The veth pair `tap0` and `plant0` of a test in a network of its own.

// Every test uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::process::Command;
use std::time::{Duration, Instant};

/// Runs the command `ip`.
pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes the pair and brings it up.
pub fn make_pair() {
    ip(&["link", "add", "tap0", "type", "veth", "peer", "name", "plant0"]);
    bring_up();
}

/// Returns when frames can pass: the kernel takes a while to see the carrier.
pub fn bring_up() {
    for link in ["tap0", "plant0"] {
        ip(&["link", "set", link, "up"]);
    }
    for link in ["tap0", "plant0"] {
        let is_up = || {
            let shown = Command::new("ip").args(["link", "show", link]).output().unwrap();
            String::from_utf8_lossy(&shown.stdout).contains("state UP")
        };
        let end = Instant::now() + Duration::from_secs(10);
        while !is_up() {
            assert!(Instant::now() < end, "{link} does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
