//! Lines read back: what a consumer of the journal asks of an event that was written before.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;
use vigia_parsers::Timestamp;

use super::clock::{self, LENGTH};

/// What every line begins with; the time of the event follows.
const BEGINNING: &[u8] = b"{\"timestamp\":\"";

/// What an event is about, as a filter asks.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Facts<'l> {
    /// Its type: `alert`, `flow`, or a protocol's name where it is a record.
    #[serde(borrow)]
    pub event_type: Cow<'l, str>,
    /// The protocol of its flow.
    #[serde(borrow)]
    app_proto: Option<Cow<'l, str>>,
    alert: Option<Severity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Severity {
    severity: u8,
}

impl<'l> Facts<'l> {
    /// Those of a line; none where it is no event.
    pub fn of(line: &'l [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The protocol that it is about: of the flow, else its own.
    pub fn protocol(&self) -> &str {
        self.app_proto.as_ref().unwrap_or(&self.event_type)
    }

    /// Severity of an alert, 1 the most severe.
    pub fn severity(&self) -> Option<u8> {
        self.alert.map(|alert| alert.severity)
    }
}

/// What an alert is about, so that its packets are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertFacts<'l> {
    /// Its time.
    pub timestamp: Timestamp,
    /// Id of the flow; 0: none.
    pub flow: u64,
    /// Number of the packet that raised it; 0: none.
    pub number: u64,
    /// Whom it is about.
    pub hosts: Option<[IpAddr; 2]>,
    /// The capture file; empty for interfaces.
    pub capture: Cow<'l, str>,
}

#[derive(Deserialize)]
struct AlertLine<'l> {
    #[serde(borrow)]
    event_type: Cow<'l, str>,
    #[serde(default)]
    flow_id: u64,
    #[serde(default)]
    pcap_cnt: u64,
    src_ip: Option<IpAddr>,
    dest_ip: Option<IpAddr>,
    #[serde(borrow, default)]
    pcap_filename: Cow<'l, str>,
}

impl<'l> AlertFacts<'l> {
    /// Those of a line; none where it is no alert.
    pub fn of(line: &'l [u8]) -> Option<Self> {
        let timestamp = time_of(line)?;
        let AlertLine { event_type, flow_id: flow, pcap_cnt: number, src_ip, dest_ip, pcap_filename: capture } =
            serde_json::from_slice(line).ok()?;
        let hosts = src_ip.zip(dest_ip).map(|(source, destination)| [source, destination]);
        (event_type == "alert").then_some(Self { timestamp, flow, number, hosts, capture })
    }
}

/// What people ask alerts by.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AlertColumns<'l> {
    /// When.
    #[serde(skip)]
    pub time: Option<Timestamp>,
    /// From whom, as events write addresses.
    #[serde(borrow)]
    pub src_ip: Option<Cow<'l, str>>,
    /// Its port.
    pub src_port: Option<u64>,
    /// To whom.
    #[serde(borrow)]
    pub dest_ip: Option<Cow<'l, str>>,
    /// Its port.
    pub dest_port: Option<u64>,
    /// Protocol over IP, or what there is instead.
    #[serde(borrow)]
    pub proto: Option<Cow<'l, str>>,
    /// Application protocol.
    #[serde(borrow)]
    pub app_proto: Option<Cow<'l, str>>,
    /// Id of the flow.
    pub flow_id: Option<u64>,
    /// The flow's id that other tools share.
    #[serde(borrow)]
    pub community_id: Option<Cow<'l, str>>,
    /// Of which rule.
    #[serde(borrow)]
    pub alert: RuleColumns<'l>,
}

/// The rule of an alert.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RuleColumns<'l> {
    /// Group.
    pub gid: Option<u64>,
    /// Number.
    pub signature_id: Option<u64>,
    /// Revision.
    pub rev: Option<u64>,
    /// 1 is the most severe.
    pub severity: Option<u64>,
    /// What was done.
    #[serde(borrow)]
    pub action: Option<Cow<'l, str>>,
    /// What it says.
    #[serde(borrow)]
    pub signature: Option<Cow<'l, str>>,
    /// Category.
    #[serde(borrow)]
    pub category: Option<Cow<'l, str>>,
}

impl<'l> AlertColumns<'l> {
    /// Those of a line; nothing but the time where it is no alert.
    pub fn of(line: &'l [u8]) -> Self {
        Self { time: time_of(line), ..serde_json::from_slice(line).unwrap_or_default() }
    }
}

/// The time of the event in a line.
pub fn time_of(line: &[u8]) -> Option<Timestamp> {
    clock::parse(line.strip_prefix(BEGINNING)?.first_chunk()?)
}

/// The time that a text of the form of events says.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    clock::parse(text.as_bytes().try_into().ok()?)
}

/// The flow that an event is of; none where it is of no flow.
pub fn flow_of(line: &[u8]) -> Option<u64> {
    let (_, rest) = line.strip_prefix(BEGINNING)?.split_at_checked(LENGTH)?;
    let number = rest.strip_prefix(b"\",\"flow_id\":")?.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Appends a line with `id` as its first member, `event_id`. Gives where in `out` the id stands.
pub fn identify(out: &mut Vec<u8>, id: &str, line: &[u8]) -> std::ops::Range<usize> {
    out.extend_from_slice(b"{\"event_id\":\"");
    let start = out.len();
    out.extend_from_slice(id.as_bytes());
    let end = out.len();
    out.extend_from_slice(b"\",");
    out.extend_from_slice(line.strip_prefix(b"{").unwrap_or(line));
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_it_is_about() {
        let alert = br#"{"timestamp":"2026-01-02T03:04:05.123456+0000","event_type":"alert","alert":{"severity":2},"app_proto":"modbus"}"#;
        let facts = Facts::of(alert).unwrap();
        assert_eq!((&*facts.event_type, facts.protocol(), facts.severity()), ("alert", "modbus", Some(2)));
        assert_eq!(time_of(alert), Some(Timestamp::new(1_767_323_045, 123_456_000)));
        let facts = Facts::of(br#"{"event_type":"dnp3","dnp3":{"alert":3}}"#).unwrap();
        assert_eq!((facts.protocol(), facts.severity()), ("dnp3", None));
        assert_eq!(Facts::of(b"{\"event_type\":"), None);
        assert_eq!(time_of(b"{}"), None);
    }

    #[test]
    fn a_line_tells_its_flow() {
        let line = |rest: &str| format!("{{\"timestamp\":\"2026-01-02T03:04:05.123456+0000\",{rest}");
        assert_eq!(
            flow_of(line("\"flow_id\":2251799813685247,\"in_iface\":\"tap0\"}").as_bytes()),
            Some(2_251_799_813_685_247)
        );
        assert_eq!(flow_of(line("\"in_iface\":\"tap0\",\"flow_id\":7}").as_bytes()), None);
        assert_eq!(flow_of(b"{\"timestamp\":\"2026"), None);
    }

    #[test]
    fn an_id_is_put_first() {
        let mut out = b"before".to_vec();
        let range = identify(&mut out, "x-1", br#"{"a":1}"#);
        assert_eq!(&out[6..], br#"{"event_id":"x-1","a":1}"#);
        assert_eq!(&out[range], b"x-1");
    }
}
