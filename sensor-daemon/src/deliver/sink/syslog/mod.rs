//! Syslog (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587, octet counting) and TLS (RFC 5425).
//!
//! Syslog knows no acknowledgement. Over TCP and TLS taken means that the kernel has it, and what was written last is written
//! again when a connection breaks; over UDP it means that it was sent.

mod cef;
mod leef;

use serde_json::Value;
use tokio::net::UdpSocket;

use super::super::connection::{self, Tls};
use super::super::host_name;
use super::datagram::Socket;
use super::stream::OneWay;
use super::{Delivery, Event, Expiry, Kind, Settled, Sink};
use crate::event;
use crate::language::Argument;

/// Longest message in a datagram of IPv4.
const LONGEST_DATAGRAM: usize = 65_507;

/// What messages are carried by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams: what is lost on the way is lost, and nobody knows.
    Udp,
    /// A stream.
    #[default]
    Tcp,
    /// A stream by TLS.
    Tls,
}

/// What messages hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The event as it is, in EVE JSON.
    #[default]
    Eve,
    /// Common Event Format, version 0 (ArcSight).
    Cef,
    /// Log Event Extended Format 2.0 (QRadar).
    Leef,
}

/// A syslog server.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Host and port of the server: `soc.example:6514`.
    pub address: String,
    /// What messages are carried by.
    #[serde(default)]
    pub transport: Transport,
    /// What messages hold.
    #[serde(default)]
    pub body: Body,
    /// Number of the facility (RFC 5424 §6.2.1): 16 to 23 are `local0` to `local7`.
    #[serde(default = "local0")]
    #[schemars(range(max = 23))]
    pub facility: u8,
    /// How TLS is spoken.
    #[serde(default)]
    pub tls: Tls,
}

fn local0() -> u8 {
    16
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        connection::problems(&self.address, Some(&self.tls))
    }

    fn target(&self) -> String {
        self.address.clone()
    }

    fn expiry(&self) -> Option<Expiry> {
        Some(self.tls.expiry.clone())
    }

    fn sink(&self) -> Box<dyn Sink> {
        // A name that is no text is told as the nil value.
        let writer = Writer { body: self.body, facility: self.facility, host: token(&host_name(), 255) };
        Box::new(Syslog { settings: self.clone(), writer, way: OneWay::default() })
    }
}

struct Syslog {
    settings: Settings,
    writer: Writer,
    way: OneWay,
}

impl Sink for Syslog {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move {
            let messages = events.iter().map(|event| self.writer.message(event));
            let address = &self.settings.address;
            let tls = match self.settings.transport {
                Transport::Udp => {
                    return match udp(address).await {
                        Ok(socket) => socket.send(messages, LONGEST_DATAGRAM).await,
                        Err(error) => Settled::failed(error.into()),
                    };
                }
                Transport::Tcp => None,
                Transport::Tls => Some(&self.settings.tls),
            };
            let frames = messages.map(|message| [message.len().to_string().as_bytes(), b" ", &message].concat());
            let written = self.way.write(async || connection::reach(address, tls).await, frames).await;
            written.map(|()| Settled::all(events)).into()
        })
    }
}

async fn udp(address: &str) -> std::io::Result<Socket> {
    let address = tokio::net::lookup_host(address).await?.next();
    let address = address.ok_or_else(|| std::io::Error::other("the host has no address"))?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
    socket.connect(address).await?;
    Ok(Socket::Udp(socket))
}

/// Writes messages.
struct Writer {
    body: Body,
    facility: u8,
    host: String,
}

impl Writer {
    /// A message: its header (RFC 5424 §6.2), no structured data, and the body.
    fn message(&self, event: &Event<'_>) -> Vec<u8> {
        let value: Value = serde_json::from_slice(event.json).unwrap_or_default();
        let kind = text(&value, "/event_type");
        let host = value["host"].as_str().map(|name| token(name, 255));
        let mut message = format!(
            "<{}>1 {} {} vigia {} {} - ",
            u16::from(self.facility) * 8 + severity(&value),
            event::rfc3339(event.time),
            host.as_ref().unwrap_or(&self.host),
            std::process::id(),
            token(kind, 32),
        )
        .into_bytes();
        match self.body {
            Body::Eve => message.extend_from_slice(event.json),
            Body::Cef => message.extend_from_slice(cef::body(&value, event.time).as_bytes()),
            Body::Leef => message.extend_from_slice(leef::body(&value, event.time).as_bytes()),
        }
        message
    }
}

/// A word of a header: printable ASCII without spaces, of a bounded length; `-` when nothing is left.
fn token(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// Severity as syslog counts (RFC 5424 §6.2.1): an alert of severity 1 is critical, of 2 a warning, all others a notice.
pub(super) fn severity(event: &Value) -> u16 {
    match (text(event, "/event_type"), event["alert"]["severity"].as_u64()) {
        ("alert", Some(1)) => 2,
        ("alert", Some(2)) | ("health", _) => 4,
        ("alert" | "anomaly", _) => 5,
        _ => 6,
    }
}

/// The text at a place in an event; empty when there is none.
pub(super) fn text<'e>(event: &'e Value, place: &str) -> &'e str {
    event.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

/// What an event is called: id, name, and severity from 1 to 10 with 10 the most severe.
fn title(event: &Value) -> (String, &str, u8) {
    let kind = text(event, "/event_type");
    let alert = &event["alert"];
    if kind != "alert" {
        let name = Some(text(event, "/anomaly/event")).filter(|name| !name.is_empty());
        return (kind.to_owned(), name.unwrap_or(kind), if kind == "anomaly" { 3 } else { 1 });
    }
    let number = |key| alert[key].as_u64().unwrap_or_default();
    let severity = match number("severity") {
        1 => 10,
        2 => 7,
        3 => 4,
        _ => 2,
    };
    (
        format!("{}:{}:{}", number("gid"), number("signature_id"), number("rev")),
        text(event, "/alert/signature"),
        severity,
    )
}

/// A scalar of an event as text; none for what is missing or has parts.
fn scalar(event: &Value, place: &str) -> Option<String> {
    match event.pointer(place)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use vigia_parsers::Timestamp;

    use super::*;

    pub(super) const ALERT: &[u8] = br#"{"event_id":"ab-a-1-0","timestamp":"2026-01-02T03:04:05.123456+0000","flow_id":77,"in_iface":"tap0","event_type":"alert","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"fd00::2","dest_port":502,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2001,"rev":3,"signature":"write | to = a\\b","category":"Policy","severity":1},"app_proto":"modbus","ot":{"operation":"write"},"host":"planta \u00f1"}"#;
    pub(super) const TIME: Timestamp = Timestamp::new(1_767_323_045, 123_456_000);

    fn message(body: Body, json: &'static [u8]) -> String {
        let writer = Writer { body, facility: 16, host: "sensor".into() };
        String::from_utf8(writer.message(&Event { id: "", json, time: TIME, flow: None })).unwrap()
    }

    #[test]
    fn a_message_has_the_header_of_rfc_5424() {
        let message = message(Body::Eve, ALERT);
        let id = std::process::id();
        let header = format!("<130>1 2026-01-02T03:04:05.123456Z planta vigia {id} alert - ");
        assert_eq!(message.strip_prefix(&header).unwrap().as_bytes(), ALERT);
        assert!(self::message(Body::Eve, b"{}").starts_with("<134>1 2026-01-02T03:04:05.123456Z sensor vigia "));
    }
}
