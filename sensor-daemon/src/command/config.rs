//! `vigia config`: the settings and what they mean.

use clap::Subcommand;

use super::{ConfigArgument, Context, Outcome, print, with_config};
use crate::config::document;
use crate::language::{Language, Message};

/// Arguments of `vigia config`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  vigia config default > /etc/vigia/vigia.toml
  vigia config show --json")]
pub(super) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    #[command(after_help = "\
Example:
  vigia config default > /etc/vigia/vigia.toml")]
    Default,
    #[command(after_help = "\
Example:
  vigia config show --config vigia.toml")]
    Show(Show),
}

#[derive(Debug, Clone, clap::Args)]
struct Show {
    #[command(flatten)]
    config: ConfigArgument,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn execute(&self, lang: Option<Language>, context: Context) -> anyhow::Result<Outcome> {
        match &self.what {
            What::Default => {
                print(&document::toml(&crate::config::Config::default(), true))?;
                Ok(Outcome::Done)
            }
            What::Show(show) => with_config(&show.config, lang, context, |loaded, context| {
                if show.json {
                    print(&format!("{:#}\n", serde_json::to_value(&loaded.config)?))?;
                } else {
                    let origin = match &loaded.path {
                        Some(path) => Message::ConfigFrom.with([path.display().to_string().into()]),
                        None => Message::ConfigFromDefaults.into(),
                    };
                    print(&format!("# {}\n\n", origin.text(context.language)))?;
                    print(&document::toml(&loaded.config, false))?;
                }
                Ok(Outcome::Done)
            }),
        }
    }
}
