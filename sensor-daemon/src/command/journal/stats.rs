//! `vigia journal stats`: how much there is, and from when to when.

use std::path::Path;

use serde_json::json;
use vigia_parsers::Timestamp;

use super::{Events, Span, ended};
use crate::command::table::Table;
use crate::command::{ConfigArgument, Context, Outcome, print};
use crate::event::{text_of, time_of};
use crate::journal::{JournalError, Stream};
use crate::language::Message;

/// Arguments of `vigia journal stats`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
It reads the whole journal.

Example:
  vigia journal stats --json")]
pub(super) struct Stats {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// What a stream holds.
#[derive(Debug, Default)]
struct Holding {
    stream: &'static str,
    segments: u64,
    events: u64,
    /// Of the lines, uncompressed.
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    damaged: u64,
}

impl Holding {
    fn of(journal: &Path, stream: Stream, context: Context) -> Result<Self, JournalError> {
        let mut holding = Self { stream: stream.name(), ..Self::default() };
        let mut events = Events::open(journal, stream, context)?;
        let mut segment = 0;
        while events.next(&Span::default()) {
            holding.segments += u64::from(std::mem::replace(&mut segment, events.segment()) != events.segment());
            holding.events += 1;
            holding.bytes += events.line().len() as u64 + 1;
            let time = time_of(events.line());
            holding.first = holding.first.into_iter().chain(time).min();
            holding.last = holding.last.max(time);
        }
        holding.damaged = events.damaged();
        Ok(holding)
    }
}

impl Stats {
    pub(super) fn execute(&self, journal: &Path, context: Context) -> anyhow::Result<Outcome> {
        let [alerts, records] = Stream::ALL.map(|stream| Holding::of(journal, stream, context));
        let holdings = [alerts?, records?];
        print(&if self.json { json(&holdings) } else { table(&holdings, context) })?;
        ended(Ok(()), holdings.iter().map(|holding| holding.damaged).sum())
    }
}

fn json(holdings: &[Holding]) -> String {
    let one = |Holding { stream, segments, events, bytes, first, last, damaged }: &Holding| {
        let [first, last] = [first, last].map(|time| time.map(text_of));
        let held = json!({
            "segments": segments, "events": events, "bytes": bytes, "first": first, "last": last, "damaged": damaged,
        });
        ((*stream).to_owned(), held)
    };
    let all: serde_json::Map<_, _> = holdings.iter().map(one).collect();
    format!("{:#}\n", serde_json::Value::from(all))
}

fn table(holdings: &[Holding], context: Context) -> String {
    let headings = [
        Message::ColumnStream,
        Message::ColumnSegments,
        Message::ColumnEvents,
        Message::ColumnBytes,
        Message::ColumnFirst,
        Message::ColumnLast,
    ];
    let mut table = Table::new(headings.map(|heading| heading.text(context.language)));
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), text_of);
    for Holding { stream, segments, events, bytes, first, last, .. } in holdings {
        table.row([
            (*stream).to_owned(),
            segments.to_string(),
            events.to_string(),
            bytes.to_string(),
            time(*first),
            time(*last),
        ]);
    }
    table.to_string()
}
