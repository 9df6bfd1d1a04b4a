//! `vigia status`: how the running sensor is doing.

use super::{ConfigArgument, Context, Outcome, print, summary};
use crate::config::Loaded;
use crate::control::{AskError, ask};
use crate::language::Message;

/// Arguments of `vigia status`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Exits with 0 when the sensor answers and its packets add up, with 1 otherwise.

Example:
  vigia status
  vigia status --config vigia.toml --json")]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Print the sensor's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn execute(&self, loaded: &Loaded, context: Context) -> anyhow::Result<Outcome> {
        let socket = &loaded.config.control.socket;
        let status = ask(socket, "status").map_err(|error| unanswered(&error, socket, context))?;
        if self.json {
            print(&format!("{status:#}\n"))?;
        } else {
            print(&summary::render(&status, context.language, false))?;
        }
        Ok(if summary::balances(&status, false) { Outcome::Done } else { Outcome::Failed })
    }
}

/// Why there is no answer, and what to look at.
pub(super) fn unanswered(error: &AskError, socket: &std::path::Path, context: Context) -> anyhow::Error {
    let socket = socket.display().to_string();
    let headline = match error {
        AskError::Unreachable(error) => Message::SocketUnreachable.with([socket.into(), error.to_string().into()]),
        AskError::Refused(reason) => Message::SocketRefused.with([reason.as_str().into()]),
        AskError::Answer(reason) => Message::SocketAnswer.with([reason.as_str().into()]),
    };
    let mut text = headline.text(context.language);
    if matches!(error, AskError::Unreachable(_)) {
        text.push('\n');
        text.push_str(Message::SocketHelp.text(context.language));
    }
    anyhow::Error::msg(text)
}
