//! `cargo xtask docs`: the pages of the manual that the code knows best.

use anyhow::Result;

use crate::tools::{cargo, root};

/// Writes the pages of the manual that the code knows best.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask docs\n  cargo xtask docs --check")]
pub struct Arguments {
    /// Only compare; fail when a page is stale.
    #[arg(long)]
    check: bool,
}

/// Lets the sensor's own binary write them.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = root().join("docs/src").display().to_string();
    let mut all = vec!["run", "--quiet", "--package", "vigia", "--", "docs", &folder];
    if arguments.check {
        all.push("--check");
    }
    cargo(&all)
}
