//! `vigia journal export`: events as the sinks get them.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{Events, Span, ended};
use crate::command::{ConfigArgument, Context, Outcome};
use crate::journal::Stream;

/// Arguments of `vigia journal export`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
The events come as lines of EVE JSON, alerts first, each with the `event_id` by which sinks get it.

Example:
  vigia journal export --from 2026-01-02T03:00 --to 2026-01-02T04:00
  vigia journal export --stream alerts --from 2h | jq .alert.signature")]
pub(super) struct Export {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Only this stream
    #[arg(long)]
    stream: Option<Stream>,
    #[command(flatten)]
    span: Span,
}

impl Export {
    pub(super) fn execute(&self, journal: &Path, context: Context) -> anyhow::Result<Outcome> {
        let mut out = BufWriter::new(io::stdout().lock());
        let (mut damaged, mut written) = (0, Ok(()));
        for stream in Stream::ALL.into_iter().filter(|stream| self.stream.is_none_or(|only| only == *stream)) {
            let mut events = Events::open(journal, stream, context)?;
            while written.is_ok() && events.next(&self.span) {
                written = out.write_all(events.delivered());
            }
            damaged += events.damaged();
        }
        ended(written.and_then(|()| out.flush()), damaged)
    }
}
