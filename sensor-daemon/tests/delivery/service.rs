//! A server of Debian's that a test starts where the tap is.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::live::Tap;

/// A running server; it goes when this is dropped.
pub struct Service(Child);

impl Service {
    /// Is the program there? Says what is skipped for want of it otherwise.
    pub fn is_there(program: &str) -> bool {
        let there = Path::new(program).exists();
        if !there {
            println!("skipped: no {program} (a package of Debian of that name)");
        }
        there
    }

    /// Starts it in `folder`, and waits until it listens on a port.
    pub fn start(tap: &Tap, folder: &Path, program: &str, arguments: &[&str], port: u16) -> Self {
        let log = fs::File::options().create(true).append(true).open(folder.join("service.log")).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdout(log.try_clone().unwrap()).stderr(log);
        let service = Self(tap.inside(|| command.spawn().unwrap()));
        let end = Instant::now() + Duration::from_secs(10);
        while tap.inside(|| TcpStream::connect(("127.0.0.1", port)).is_err()) {
            let told = fs::read_to_string(folder.join("service.log")).unwrap();
            assert!(Instant::now() < end, "{program} does not listen:\n{told}");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
