//! `vigia run`: watch live interfaces until told to stop.

use std::path::PathBuf;

use super::{ConfigArgument, Context, Outcome, RulesArgument};
use crate::capture::InterfaceSettings;
use crate::config::Loaded;

/// Arguments of `vigia run`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Signals:
  SIGTERM, SIGINT  drain and exit with 0
  SIGHUP           load rules and configuration again; bad ones do not replace good ones

Example:
  vigia run --config /etc/vigia/vigia.toml
  vigia run --interface tap0 --output /var/lib/vigia --rules modbus.rules")]
pub struct Run {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgument,
    /// Interface to watch, instead of those of the configuration; may be repeated
    #[arg(short, long = "interface", value_name = "NAME")]
    pub interfaces: Vec<String>,
    /// Folder of the journal, instead of that of the configuration
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The rules.
    #[command(flatten)]
    pub rules: RulesArgument,
}

impl Run {
    /// The settings in force: those loaded, with the command line's over them. A reload does the same again.
    pub fn apply(&self, mut loaded: Loaded) -> Loaded {
        self.rules.apply(&mut loaded.config.rules);
        if let Some(folder) = &self.output {
            loaded.config.journal.directory.clone_from(folder);
        }
        if !self.interfaces.is_empty() {
            let named = |name: &String| InterfaceSettings { name: name.clone(), ..InterfaceSettings::default() };
            loaded.config.capture.interfaces = self.interfaces.iter().map(named).collect();
        }
        loaded
    }

    pub(super) fn execute(&self, loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        let loaded = self.apply(loaded);
        super::logging::start(&loaded.config.log, context);
        crate::sensor::run(self, loaded, context)
    }
}
