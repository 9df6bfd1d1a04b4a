//! A plant in network namespaces with real protocol peers, and a sensor on its tap: what the demo, the live tests and the
//! live benchmark have in common.
//!
//! **Invariant.** What is made here is gone when its owner is dropped: namespaces, interfaces, processes. Processes end
//! even when the owner is killed; namespaces that a killed owner left are removed by the next one.

mod events;
mod namespace;
mod plant;
mod sensor;

pub use events::Events;
pub use namespace::Namespace;
pub use plant::{Plant, TAP};
pub use sensor::Sensor;

/// The environment variable that names the Python with the protocol peers' libraries.
pub const PYTHON: &str = "VIGIA_PEERS_PYTHON";

/// The environment variable that names the Debian package to test.
pub const PACKAGE: &str = "VIGIA_PACKAGE";

/// The environment variable that names the folder of a small Debian to install it in.
pub const DEBIAN: &str = "VIGIA_DEBIAN";

/// The folder of the protocol peers: Python scripts and their requirements.
pub fn peers() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Runs a command to its end; what it says becomes the error.
fn run(command: &mut std::process::Command) -> anyhow::Result<Vec<u8>> {
    use anyhow::Context as _;
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim(),
        String::from_utf8_lossy(&output.stdout).trim()
    );
    Ok(output.stdout)
}
