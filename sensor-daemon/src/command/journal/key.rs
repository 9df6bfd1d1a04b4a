//! `vigia journal key`: what a journal's statements are checked with.

use std::path::Path;

use crate::command::{ConfigArgument, Context, Outcome, print};
use crate::journal::PublicKey;

/// Arguments of `vigia journal key`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Keep it where those who could change the journal cannot change it.

Example:
  vigia journal key > noted.pem")]
pub(super) struct Key {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
}

impl Key {
    pub(super) fn execute(&self, journal: &Path, _: Context) -> anyhow::Result<Outcome> {
        print(&PublicKey::of_journal(journal)?.to_pem())?;
        Ok(Outcome::Done)
    }
}
