//! `vigia replay`: process capture files as if they were live.

use std::path::PathBuf;

use super::{ConfigArgument, Context, Outcome, RulesArgument};
use crate::config::{Checksums, Loaded};

/// Arguments of `vigia replay`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Captures are pcap and pcapng files, plain or compressed with gzip or zstd. A folder stands for every capture below it.
Events go to DIR/eve.json, in place of what was there. A damaged capture is processed up to the damage, which is \
named; the exit code is then 3.

Example:
  vigia replay plant.pcapng --rules modbus.rules --output out
  vigia replay captures/ --rules rules/ --output out --workers 4 --json
  vigia replay plant.pcapng --rules modbus.rules --output out --evidence out/evidence")]
pub struct Replay {
    /// Capture file, or a folder of them
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgument,
    /// The rules.
    #[command(flatten)]
    pub rules: RulesArgument,
    /// Folder of the event files; made if it does not exist [default: the current one]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Read the captures again for the packets of alerts, and put them into this folder, a file for each flow
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,
    /// Threads that process packets; the events are the same with any number
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,
    /// What is done with wrong checksums [default: as the configuration says]
    #[arg(long, value_name = "WHAT")]
    pub checksums: Option<Checksums>,
    /// Write the histogram of every field of every dissected message to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub fields: Option<PathBuf>,
    /// Print the summary as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// No progress bar, even on a terminal
    #[arg(long)]
    pub no_progress: bool,
}

impl Replay {
    /// The settings in force: those loaded, with the command line's over them.
    pub fn apply(&self, mut loaded: Loaded) -> Loaded {
        self.rules.apply(&mut loaded.config.rules);
        if let Some(checksums) = self.checksums {
            loaded.config.decode.checksums = checksums;
        }
        loaded
    }

    pub(super) fn execute(&self, loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        let loaded = self.apply(loaded);
        super::logging::start(&loaded.config.log, context);
        crate::sensor::replay(self, loaded, context)
    }
}
