//! `vigia journal index`: what the index of alerts holds, or to make it anew.

use std::path::Path;

use serde_json::json;

use crate::command::table::Table;
use crate::command::{ConfigArgument, Context, Outcome, print, tell};
use crate::event::text_of;
use crate::index::{Holding, Index, remove};
use crate::journal::identity_of;
use crate::language::Message;

/// Arguments of `vigia journal index`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  vigia journal index
  vigia journal index --rebuild")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Print as JSON
    #[arg(long, conflicts_with = "rebuild")]
    json: bool,
    /// Remove it: a running sensor makes it anew within seconds, another one when it is started
    #[arg(long)]
    rebuild: bool,
}

impl Arguments {
    pub(super) fn execute(&self, journal: &Path, context: Context) -> anyhow::Result<Outcome> {
        let said = |message: Message| tell(&format!("{}\n", message.text(context.language)));
        if self.rebuild {
            let removed = remove(journal)?;
            said(if removed { Message::IndexRemoved } else { Message::IndexNone });
            return Ok(Outcome::Done);
        }
        let identity = identity_of(journal)?;
        let Some(index) = identity.and_then(|identity| Index::open(journal, &identity)) else {
            said(Message::IndexNone);
            return Ok(Outcome::Failed);
        };
        let holding = index.holding()?;
        print(&if self.json { json(&holding) } else { table(&holding, context) })?;
        Ok(Outcome::Done)
    }
}

fn json(holding: &Holding) -> String {
    let Holding { segments, alerts, bytes, span } = holding;
    let (first, last) = span.map(|(first, last)| (text_of(first), text_of(last))).unzip();
    let held = json!({ "segments": segments, "alerts": alerts, "bytes": bytes, "first": first, "last": last });
    format!("{held:#}\n")
}

fn table(holding: &Holding, context: Context) -> String {
    let headings = [
        Message::ColumnSegments,
        Message::ColumnEvents,
        Message::ColumnBytes,
        Message::ColumnFirst,
        Message::ColumnLast,
    ];
    let mut table = Table::new(headings.map(|heading| heading.text(context.language)));
    let [first, last] = match holding.span {
        Some((first, last)) => [text_of(first), text_of(last)],
        None => ["-".to_owned(), "-".to_owned()],
    };
    let [segments, alerts, bytes] = [holding.segments, holding.alerts, holding.bytes].map(|number| number.to_string());
    table.row([segments, alerts, bytes, first, last]);
    table.to_string()
}
