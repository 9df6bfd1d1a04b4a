//! `cargo xtask docs`: the pages of the manual that the code knows best.

use anyhow::Result;

use crate::tools::{cargo, root};

/// Arguments of `cargo xtask docs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cargo xtask docs\n  cargo xtask docs --check")]
pub(crate) struct Docs {
    /// Only compare; fail when a page is stale
    #[arg(long)]
    check: bool,
}

impl Docs {
    /// Lets the sensor's own binary write them.
    pub(crate) fn run(&self) -> Result<bool> {
        let mut command = cargo();
        command.args(["run", "--quiet", "--package", "vigia", "--", "docs"]).arg(root().join("docs/src"));
        if self.check {
            command.arg("--check");
        }
        Ok(command.status()?.success())
    }
}
