//! `vigia journal`: what the journal holds, and its events by time. The sensor may run meanwhile, or not.

mod export;
mod index;
mod key;
mod stats;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use vigia_parsers::Timestamp;

use super::{Context, Outcome, tell, with_config};
use crate::event::{identify, time_of};
use crate::index::{Choice, Found, Index, Place};
use crate::journal::{Cursor, JournalError, Reader, Stream, identity_of, span_of};
use crate::language::{Language, Message, help};

/// Arguments of `vigia journal`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  vigia journal stats
  vigia journal export --stream alerts --from 2h > alerts.json
  vigia journal verify")]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    Export(export::Export),
    Stats(stats::Stats),
    Index(index::Arguments),
    Verify(verify::Verify),
    Key(key::Key),
}

impl Arguments {
    pub(super) fn execute(&self, lang: Option<Language>, context: Context) -> anyhow::Result<Outcome> {
        let config = match &self.what {
            What::Export(export) => &export.config,
            What::Stats(stats) => &stats.config,
            What::Index(index) => &index.config,
            What::Verify(verify) => &verify.config,
            What::Key(key) => &key.config,
        };
        with_config(config, lang, context, |loaded, context| {
            let journal = &loaded.config.journal.directory;
            match &self.what {
                What::Export(export) => export.execute(journal, context),
                What::Stats(stats) => stats.execute(journal, context),
                What::Index(index) => index.execute(journal, context),
                What::Verify(verify) => verify.execute(journal, context),
                What::Key(key) => key.execute(journal, context),
            }
        })
    }
}

/// A span of time; part of commands that read events.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Span {
    /// Only events from then on: a date, a time (UTC), or how long ago (`90s`, `15m`, `2h`, `3d`)
    #[arg(long, value_name = "TIME", value_parser = moment, visible_alias = "since")]
    pub(super) from: Option<Timestamp>,
    /// Only events before then
    #[arg(long, value_name = "TIME", value_parser = moment, visible_alias = "until")]
    pub(super) to: Option<Timestamp>,
}

impl Span {
    /// Does the event in a line lie in it?
    pub(super) fn holds(&self, line: &[u8]) -> bool {
        let time = time_of(line);
        self.from.is_none_or(|from| time >= Some(from)) && self.to.is_none_or(|to| time.is_some_and(|time| time < to))
    }
}

/// A date, a time in UTC as far as it is told, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    const EARLIEST: &str = "1970-01-01T00:00:00.000000+0000";
    let wrong = || help::NO_MOMENT.to_owned();
    if let Some((at, unit)) = text.char_indices().next_back()
        && let Ok(count) = text[..at].parse::<u64>()
        && let Some((_, seconds)) =
            [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)].iter().find(|(name, _)| *name == unit)
    {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        return Ok(Timestamp::new(now.saturating_sub(count.saturating_mul(*seconds)), 0));
    }
    let told = text.strip_suffix('Z').unwrap_or(text);
    // What is not told is the earliest that it can be.
    let rest = EARLIEST.get(told.len()..).filter(|_| told.len() >= 10).ok_or_else(wrong)?;
    time_of(format!("{{\"timestamp\":\"{told}{rest}\"").as_bytes()).ok_or_else(wrong)
}

/// The events of a stream, as the commands that print them read it.
pub(super) struct Events {
    journal: PathBuf,
    stream: Stream,
    reader: Reader,
    identity: Option<String>,
    line: Vec<u8>,
    whole: Vec<u8>,
    context: Context,
    damaged: u64,
}

impl Events {
    /// Those of the journal in a directory, from the oldest on.
    pub(super) fn open(journal: &Path, stream: Stream, context: Context) -> Result<Self, JournalError> {
        let at = |cause| JournalError::Io { path: journal.to_path_buf(), cause };
        std::fs::metadata(journal).map_err(at)?;
        Ok(Self {
            journal: journal.to_path_buf(),
            stream,
            reader: Reader::open(journal, stream, Cursor::default()),
            identity: identity_of(journal).map_err(at)?,
            line: Vec::new(),
            whole: Vec::new(),
            context,
            damaged: 0,
        })
    }

    /// Goes on to the next event in a span of time; false when there is none yet. The rest of a segment that cannot be
    /// read is told and passed over.
    pub(super) fn next(&mut self, span: &Span) -> bool {
        loop {
            match self.reader.next(&mut self.line) {
                Ok(true) if span.holds(&self.line) => return true,
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    self.damaged += 1;
                    let segment = format!("{}/{:08}", self.stream.name(), self.reader.cursor().segment);
                    let told = Message::JournalDamaged.with([segment.into(), error.to_string().into()]);
                    let language = self.context.language;
                    tell(&format!("{}: {}\n", Message::Error.text(language), told.text(language)));
                    self.reader.give_up_segment();
                }
            }
        }
    }

    /// What the journal's index knows of the alerts that are asked for; none where there is none, or it cannot be read.
    pub(super) fn indexed(&self, choice: &Choice) -> Option<(Index, Found)> {
        let index = Index::open(&self.journal, self.identity.as_deref()?)?;
        let oldest = *span_of(&self.journal, self.stream).ok()??.start();
        let found = index.find(choice, oldest).ok()??;
        Some((index, found))
    }

    /// The number of the oldest segment.
    pub(super) fn oldest(&self) -> u64 {
        span_of(&self.journal, self.stream).ok().flatten().map_or(0, |span| *span.start())
    }

    /// Goes to a position: the next event is the one there.
    pub(super) fn go_to(&mut self, cursor: Cursor) {
        self.reader = Reader::open(&self.journal, self.stream, cursor);
    }

    /// Goes to the event at a place; false when it is there no more.
    pub(super) fn at(&mut self, place: Place) -> bool {
        let Cursor { segment, offset, .. } = self.reader.cursor();
        // Within a segment it reads on: what is compressed has no other way.
        if segment != place.segment || offset > place.offset {
            self.go_to(Cursor { segment: place.segment, offset: place.offset, event: 0 });
        }
        while self.next(&Span::default()) {
            let Cursor { segment, offset, .. } = self.reader.last();
            let here = Place { segment, offset };
            if here >= place {
                return here == place;
            }
        }
        false
    }

    /// Its line in the journal.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The segment that it stands in.
    pub(super) fn segment(&self) -> u64 {
        self.reader.cursor().segment
    }

    /// The line that is delivered: with the event's id, and its end.
    pub(super) fn delivered(&mut self) -> &[u8] {
        self.whole.clear();
        match &self.identity {
            Some(identity) => drop(identify(&mut self.whole, &self.reader.event_id(identity), &self.line)),
            None => self.whole.extend_from_slice(&self.line),
        }
        self.whole.push(b'\n');
        &self.whole
    }

    /// Segments that could not be read to their end.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }
}

/// How a command that printed events ended, `damaged` segments apart. A reader of its output that went away is no failure.
pub(super) fn ended(written: io::Result<()>, damaged: u64) -> anyhow::Result<Outcome> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ if damaged > 0 => Ok(Outcome::Damaged),
        _ => Ok(Outcome::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::text_of;

    #[test]
    fn moments_are_told_as_far_as_is_needed() {
        let time = |text| moment(text).map(text_of);
        assert_eq!(time("2026-01-02").unwrap(), "2026-01-02T00:00:00.000000+0000");
        assert_eq!(time("2026-01-02T03:04").unwrap(), "2026-01-02T03:04:00.000000+0000");
        assert_eq!(time("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05.000000+0000");
        assert_eq!(time("2026-01-02T03:04:05.123456+0000").unwrap(), "2026-01-02T03:04:05.123456+0000");
        assert!(moment("15m").unwrap() > moment("1h").unwrap());
        for wrong in ["", "m", "15x", "2026", "2026-13-01", "gestern", "2026-01-02T03:04:05+01:00", "ñ"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_span_holds_its_beginning_and_not_its_end() {
        let line = |second| format!("{{\"timestamp\":\"2026-01-02T03:04:{second:02}.000000+0000\"}}");
        let [from, to] = ["2026-01-02T03:04:01", "2026-01-02T03:04:03"].map(|text| moment(text).ok());
        let span = Span { from, to };
        assert_eq!([0, 1, 2, 3].map(|second| span.holds(line(second).as_bytes())), [false, true, true, false]);
        assert!(!Span { from: None, to }.holds(b"{\"no\":\"time\"}"));
        assert!(Span::default().holds(b"{\"no\":\"time\"}"));
    }
}
