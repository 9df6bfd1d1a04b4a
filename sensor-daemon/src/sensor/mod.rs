//! The sensor: sources, workers, journal and services put together.

use crate::command::{Context, Outcome, Replay, Run};
use crate::config::Loaded;

/// Watches live interfaces until told to stop. `loaded` has the command line's settings over it already.
pub fn run(arguments: &Run, loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
    let _ = (arguments, loaded, context);
    anyhow::bail!("live capture is not built into this version")
}

/// Processes capture files. `loaded` has the command line's settings over it already.
pub fn replay(arguments: &Replay, loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
    let _ = (arguments, loaded, context);
    anyhow::bail!("replay is not built into this version")
}
