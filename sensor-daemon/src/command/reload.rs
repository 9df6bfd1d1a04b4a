//! `vigia reload`: the running sensor loads rules and configuration again.

use super::status::unanswered;
use super::{ConfigArgument, Context, Outcome, print};
use crate::config::Loaded;
use crate::control::ask;
use crate::language::Message;

/// Arguments of `vigia reload`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
It first says how much memory that is going to take: the old rules stay in force until the new ones are compiled.
When the new rules or configuration are bad, the sensor keeps the old ones and this command says why, and exits with 1.

Example:
  vigia reload --config /etc/vigia/vigia.toml")]
pub(super) struct Reload {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
}

impl Reload {
    pub(super) fn execute(&self, loaded: &Loaded, context: Context) -> anyhow::Result<Outcome> {
        let socket = &loaded.config.control.socket;
        let foreseen = ask(socket, "foresee").map_err(|error| unanswered(&error, socket, context))?;
        let mib = |name: &str| (foreseen[name].as_u64().unwrap_or(0) >> 20).to_string();
        let sentence = Message::Reloading.with([mib("expected_bytes").into(), mib("resident_bytes").into()]);
        print(&format!("{}\n", sentence.text(context.language)))?;
        let answer = ask(socket, "reload").map_err(|error| unanswered(&error, socket, context))?;
        let (loaded, hash) = (answer["loaded"].as_u64().unwrap_or(0), answer["hash"].as_str().unwrap_or_default());
        let sentence = Message::Reloaded.with([loaded.to_string().into(), hash.into()]);
        print(&format!("{}\n", sentence.text(context.language)))?;
        if answer["needs_restart"] == true {
            print(&format!("{}\n", Message::NeedsRestart.text(context.language)))?;
        }
        Ok(Outcome::Done)
    }
}
