//! `vigia docs`: writes the generated pages of the manual. For `cargo xtask docs`; hidden from users.

use std::path::PathBuf;

use super::{Outcome, print};

/// Arguments of `vigia docs`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Docs {
    /// The manual's `src` folder
    folder: PathBuf,
    /// Only compare; exit with 1 when a page is stale
    #[arg(long)]
    check: bool,
}

impl Docs {
    pub(super) fn execute(&self) -> anyhow::Result<Outcome> {
        let stale = crate::docs::stale(&self.folder);
        for (path, text) in &stale {
            let path = self.folder.join(path);
            if self.check {
                print(&format!("stale: {}\n", path.display()))?;
            } else {
                path.parent().map(std::fs::create_dir_all).transpose()?;
                std::fs::write(&path, text)?;
                print(&format!("wrote {}\n", path.display()))?;
            }
        }
        Ok(if self.check && !stale.is_empty() { Outcome::Failed } else { Outcome::Done })
    }
}
