//! `vigia alerts`: the alerts in the journal, chosen and followed. The sensor may run meanwhile, or not.

use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::journal::{Events, Span, ended};
use super::{ConfigArgument, Context, Outcome};
use crate::config::Loaded;
use crate::journal::Stream;

/// How often the journal is asked for more.
const POLL: Duration = Duration::from_millis(200);

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
        loop {
            while events.next(&self.span) {
                let alert = serde_json::from_slice::<Value>(events.line()).unwrap_or_default();
                match self.wants(&alert) {
                    true if self.json => out.write_all(events.delivered())?,
                    true => writeln!(out, "{}", summary(&alert))?,
                    false => {}
                }
            }
            out.flush()?;
            if !self.follow {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }

    fn wants(&self, alert: &Value) -> bool {
        let (about, is) = (&alert["alert"], |key: &str, address: Option<IpAddr>| {
            address.is_none_or(|address| alert[key].as_str().and_then(|text| text.parse().ok()) == Some(address))
        });
        let sid = about["signature_id"].as_u64();
        (self.sid.is_empty() || sid.is_some_and(|sid| self.sid.contains(&sid)))
            && self.severity.is_none_or(|least| about["severity"].as_u64().is_some_and(|severity| severity <= least))
            && is("src_ip", self.src)
            && is("dest_ip", self.dst)
    }
}

/// An alert in a line for a person.
fn summary(alert: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let end = |address: &str, port: &str| {
        let port = alert[port].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
        match text(&alert[address]) {
            address if address.contains(':') && !port.is_empty() => format!("[{address}]{port}"),
            address => address + &port,
        }
    };
    let about = &alert["alert"];
    let protocol = alert["app_proto"].as_str().unwrap_or_else(|| alert["proto"].as_str().unwrap_or("-"));
    format!(
        "{}  {}  {}  {} -> {}  {protocol}  {}",
        text(&alert["timestamp"]),
        about["severity"],
        about["signature_id"],
        end("src_ip", "src_port"),
        end("dest_ip", "dest_port"),
        text(&about["signature"]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alert_is_a_line() {
        let alert = json!({
            "timestamp": "2026-01-02T03:04:05.000000+0000", "src_ip": "10.0.0.1", "src_port": 40000, "dest_ip": "fd00::2",
            "dest_port": 502, "proto": "TCP", "app_proto": "modbus",
            "alert": {"severity": 1, "signature_id": 2001, "signature": "a write"},
        });
        assert_eq!(
            summary(&alert),
            "2026-01-02T03:04:05.000000+0000  1  2001  10.0.0.1:40000 -> [fd00::2]:502  modbus  a write"
        );
        assert_eq!(summary(&json!({"proto": "ARP"})), "-  null  null  - -> -  ARP  -");
    }
}
