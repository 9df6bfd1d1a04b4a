//! `vigia alerts`: the alerts in the journal, chosen and followed. The sensor may run meanwhile, or not.
//!
//! What the journal's index knows is asked of it; what is older or younger, or all where there is none, is read from the
//! journal. The answer is the same.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::time::Duration;

use super::journal::{Events, Span, ended};
use super::{ConfigArgument, Context, Outcome};
use crate::config::Loaded;
use crate::event::{AlertColumns, text_of};
use crate::index::{Choice, Found, Index, Place};
use crate::journal::{Cursor, Stream};

/// How often the journal is asked for more.
const POLL: Duration = Duration::from_millis(200);

/// Alerts that are read from the index at once.
const CHUNK: usize = 1000;

/// Arguments of `vigia alerts`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A line an alert: time, severity (1 is the most severe), rule, from whom to whom, protocol, what it says.

Example:
  vigia alerts --since 1h --severity 2
  vigia alerts --sid 2001 --src 10.0.0.1 --json
  vigia alerts --follow")]
pub(super) struct Alerts {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    #[command(flatten)]
    span: Span,
    /// Only of this rule; may be repeated
    #[arg(long, value_name = "SID")]
    sid: Vec<u64>,
    /// Only from this address
    #[arg(long, value_name = "ADDRESS")]
    src: Option<IpAddr>,
    /// Only to this address
    #[arg(long, value_name = "ADDRESS")]
    dst: Option<IpAddr>,
    /// Only this severe or more severe
    #[arg(long, value_name = "NUMBER")]
    severity: Option<u64>,
    /// Print the events as JSON, with their ids
    #[arg(long)]
    json: bool,
    /// Go on with what comes
    #[arg(long)]
    follow: bool,
}

impl Alerts {
    pub(super) fn execute(&self, loaded: &Loaded, context: Context) -> anyhow::Result<Outcome> {
        let mut events = Events::open(&loaded.config.journal.directory, Stream::Alerts, context)?;
        let shown = self.show(&mut events);
        ended(shown, events.damaged())
    }

    fn show(&self, events: &mut Events) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let choice = self.choice();
        if let Some((index, found)) = events.indexed(&choice) {
            self.show_indexed(events, &choice, (&index, &found), &mut out)?;
        }
        loop {
            while events.next(&self.span) {
                self.show_one(events, &choice, &mut out)?;
            }
            out.flush()?;
            if !self.follow {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Shows what the index knows of, and what is older; the next event is the first that is younger.
    fn show_indexed(
        &self,
        events: &mut Events,
        choice: &Choice,
        (index, found): (&Index, &Found),
        out: &mut impl Write,
    ) -> io::Result<()> {
        if events.oldest() < found.begin {
            while events.next(&Span::default()) && events.segment() < found.begin {
                self.show_one(events, choice, out)?;
            }
        }
        for places in found.places.chunks(CHUNK) {
            if self.json {
                for place in places {
                    if events.at(*place) {
                        out.write_all(events.delivered())?;
                    }
                }
            } else if let Ok(alerts) = index.alerts(places) {
                for alert in alerts {
                    writeln!(out, "{}", summary(&alert))?;
                }
            } else {
                // It was damaged, or is being made anew: the journal has the rest.
                let Place { segment, offset } = places[0];
                events.go_to(Cursor { segment, offset, event: 0 });
                return Ok(());
            }
        }
        events.go_to(found.end);
        Ok(())
    }

    /// Shows an event of the journal, if it is asked for.
    fn show_one(&self, events: &mut Events, choice: &Choice, out: &mut impl Write) -> io::Result<()> {
        let alert = AlertColumns::of(events.line());
        match choice.holds(&alert) {
            true if self.json => out.write_all(events.delivered()),
            true => writeln!(out, "{}", summary(&alert)),
            false => Ok(()),
        }
    }

    fn choice(&self) -> Choice {
        Choice {
            from: self.span.from,
            to: self.span.to,
            sids: self.sid.clone(),
            source: self.src,
            destination: self.dst,
            severity: self.severity,
        }
    }
}

/// An alert in a line for a person.
fn summary(alert: &AlertColumns<'_>) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    let end = |address: &Option<Cow<'_, str>>, port: Option<u64>| {
        let address = address.as_deref().unwrap_or("-");
        match port {
            Some(port) if address.contains(':') => format!("[{address}]:{port}"),
            Some(port) => format!("{address}:{port}"),
            None => address.to_owned(),
        }
    };
    let rule = &alert.alert;
    format!(
        "{}  {}  {}  {} -> {}  {}  {}",
        alert.time.map_or_else(|| "-".to_owned(), text_of),
        number(rule.severity),
        number(rule.signature_id),
        end(&alert.src_ip, alert.src_port),
        end(&alert.dest_ip, alert.dest_port),
        alert.app_proto.as_deref().or(alert.proto.as_deref()).unwrap_or("-"),
        rule.signature.as_deref().unwrap_or("-"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_a_line() {
        let line = br#"{"timestamp":"2026-01-02T03:04:05.000000+0000","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"fd00::2","dest_port":502,"proto":"TCP","app_proto":"modbus","alert":{"severity":1,"signature_id":2001,"signature":"a write"}}"#;
        assert_eq!(
            summary(&AlertColumns::of(line)),
            "2026-01-02T03:04:05.000000+0000  1  2001  10.0.0.1:40000 -> [fd00::2]:502  modbus  a write"
        );
        assert_eq!(summary(&AlertColumns::of(br#"{"proto":"ARP"}"#)), "-  null  null  - -> -  ARP  -");
    }
}
