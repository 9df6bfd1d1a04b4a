//! `vigia guard`: what the kernel keeps from leaving over the tap interfaces; and its removal.

use super::table::Table;
use super::{Context, Outcome, print};
use crate::capture::interface;
use crate::capture::probes::guard;
use crate::language::Message;
use crate::sensor::watch::guard_status;

/// Arguments of `vigia guard`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
The sensor attaches the guard when it starts (capture.guard); it stays when the sensor ends.

Example:
  vigia guard
  vigia guard --remove tap0")]
pub(super) struct Arguments {
    /// Take the guard off this interface; may be repeated
    #[arg(long, value_name = "INTERFACE", num_args = 1..)]
    remove: Vec<String>,
    /// Print as JSON
    #[arg(long, conflicts_with = "remove")]
    json: bool,
}

impl Arguments {
    pub(super) fn execute(&self, context: Context) -> anyhow::Result<Outcome> {
        if self.remove.is_empty() { self.show(context) } else { self.take_off(context) }
    }

    fn take_off(&self, context: Context) -> anyhow::Result<Outcome> {
        for interface in &self.remove {
            let removed = guard::remove(interface).map_err(|error| anyhow::anyhow!("{interface}: {error}"))?;
            let message = if removed { Message::GuardRemoved } else { Message::GuardAbsent };
            print(&format!("{}\n", message.with([interface.as_str().into()]).text(context.language)))?;
        }
        Ok(Outcome::Done)
    }

    fn show(&self, context: Context) -> anyhow::Result<Outcome> {
        let mut guards = Vec::new();
        for interface in interface::existing() {
            let status = guard::status(&interface).map_err(|error| anyhow::anyhow!("{interface}: {error}"))?;
            guards.extend(status.map(|status| (interface, status)));
        }
        if self.json {
            let entry = |(interface, status): &(String, guard::Status)| {
                let mut entry = guard_status(status);
                entry["interface"] = interface.as_str().into();
                entry
            };
            print(&format!("{:#}\n", guards.iter().map(entry).collect::<serde_json::Value>()))?;
            return Ok(Outcome::Done);
        }
        if guards.is_empty() {
            print(&format!("{}\n", Message::GuardNone.text(context.language)))?;
            return Ok(Outcome::Done);
        }
        let mut table = Table::new(["interface", "attached", "ethertype", "frames", "bytes"]);
        for (interface, guard::Status { how, counts }) in guards {
            let mut row = |kind: String, [frames, bytes]: [u64; 2]| {
                table.row([interface.clone(), how.to_string(), kind, frames.to_string(), bytes.to_string()]);
            };
            row("*".into(), counts.total);
            counts.kinds.iter().for_each(|(kind, tally)| row(format!("0x{kind:04x}"), *tally));
        }
        print(&table.to_string())?;
        Ok(Outcome::Done)
    }
}
