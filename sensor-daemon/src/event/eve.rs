//! The lines themselves.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vigia_parsers::field::{Tree as _, Value};
use vigia_parsers::packet::{Carrier, DecodeEvent, Packet};
use vigia_parsers::{Anomaly, Direction, Pairing, Protocol, Record, Timestamp};
use vigia_rules::{Action, Remark, Rule, Target, Told};

use crate::metrics::Snapshot;
use crate::metrics::ledger::Ledger;

use super::address;
use super::clock::text_of;
use super::digits::hex;
use super::envelope::{Endpoints, Envelope, Header};
use super::escape::escape;
use super::evidence::EvidenceTold;
use super::health::Health;
use super::json::JsonWriter;
use super::lines::Lines;
use super::phrases::Phrases;
use super::{EventSettings, headers};

/// What a flow carried until now.
#[derive(Debug, Clone, Copy)]
pub struct FlowSoFar {
    /// Client and server.
    pub endpoints: Endpoints,
    /// Packets to the server and to the client.
    pub packets: [u64; 2],
    /// Bytes on the wire to the server and to the client.
    pub bytes: [u64; 2],
    /// Time of the first packet.
    pub start: Timestamp,
}

/// An alert, besides its header.
#[derive(Clone, Copy)]
pub struct Alert<'a> {
    /// The flow, if there is one.
    pub flow: Option<FlowSoFar>,
    /// The flow's protocol, once detected.
    pub protocol: Option<&'static Protocol>,
    /// The packet in hand.
    pub packet: Option<&'a Packet<'a>>,
    /// The message that matched.
    pub record: Option<&'a dyn Record>,
    /// Direction in the flow of what matched.
    pub direction: Option<Direction>,
    /// What was inspected: payload of the packet, or bytes of the stream.
    pub payload: &'a [u8],
    /// Whether `payload` is of the stream.
    pub stream: bool,
    /// What rules have left on the flow and captured of the packet.
    pub told: &'a Told<'a>,
    /// What the match found out.
    pub remarks: &'a [Remark],
}

/// State of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowState {
    /// Packets of one direction only, or no handshake.
    New,
    /// Both directions seen, or picked up midstream.
    Established,
    /// TCP: closed by FIN or RST.
    Closed,
    /// Shunted on purpose.
    Bypassed,
}

/// Why a flow is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowReason {
    /// It was silent for long enough.
    Timeout,
    /// Evicted: the table was full.
    Forced,
    /// The sensor stops.
    Shutdown,
    /// Its five-tuple begins anew.
    TcpReuse,
    /// It goes on: a report of a long flow.
    Interim,
}

/// State of a TCP session (RFC 9293 §3.3.2).
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpState {
    None,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    TimeWait,
    LastAck,
    CloseWait,
    Closing,
    Closed,
}

/// What a flow event says of TCP.
#[derive(Debug, Clone, Copy)]
pub struct TcpSummary {
    /// All flags seen, to the server and to the client.
    pub flags: [u8; 2],
    /// State of the session.
    pub state: TcpState,
    /// Whether bytes were lost, to the server and to the client.
    pub gap: [bool; 2],
}

/// What a flow event says; the header has the time of the report and the endpoints.
#[derive(Debug, Clone, Copy)]
pub struct FlowSummary {
    /// Packets to the server and to the client.
    pub packets: [u64; 2],
    /// Bytes on the wire to the server and to the client.
    pub bytes: [u64; 2],
    /// Time of the first packet.
    pub start: Timestamp,
    /// Time of the last packet.
    pub end: Timestamp,
    /// State.
    pub state: FlowState,
    /// Why it is reported.
    pub reason: FlowReason,
    /// Whether an alert was raised on it.
    pub alerted: bool,
    /// Its protocol, once detected.
    pub protocol: Option<&'static Protocol>,
    /// Transactions of its protocol.
    pub transactions: u64,
    /// What there is to say of TCP.
    pub tcp: Option<TcpSummary>,
}

/// Something that a standard does not allow.
#[derive(Debug, Clone, Copy)]
pub enum Anomalous {
    /// In packet headers.
    Decode(DecodeEvent),
    /// In a TCP stream, by name.
    Stream(&'static str),
    /// In a message of a protocol.
    Application(&'static Protocol, Anomaly),
}

/// The rules in force, as events name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Counts up with every reload.
    pub generation: u64,
    /// Hash of the rule sources, hexadecimal.
    pub hash: String,
    /// When they were loaded, in seconds since the epoch. Alerts of a replay do not tell: the same bytes give the same events.
    pub loaded_at_s: u64,
}

/// Points of an operation written into one event at the most; the record itself has them all.
const MOST_POINTS: usize = 64;

/// What a message does to the plant, under `ot`: the same members for every protocol.
fn operation(json: &mut JsonWriter<'_>, record: &dyn Record) {
    let Some(operation) = record.operation() else { return };
    json.nested("ot", |json| {
        json.name("operation", operation.name());
        let mut points = 0;
        record.points(&mut |point| {
            points += 1;
            match points {
                1 => json.list("points"),
                ..=MOST_POINTS => {}
                _ => return,
            }
            json.object("");
            json.formatted("target", point.target);
            if let Some(value) = point.value {
                scalar(json, "value", value);
            }
            json.end();
        });
        if points > 0 {
            json.end();
        }
        if points > MOST_POINTS {
            json.number("points_omitted", (points - MOST_POINTS) as u64);
        }
    });
}

/// What a message tells of devices, under `identity`: a list of facts, each with the end of the flow that it is about.
fn identity(json: &mut JsonWriter<'_>, record: &dyn Record) {
    let mut any = false;
    record.facts(&mut |fact| {
        if !std::mem::replace(&mut any, true) {
            json.list("identity");
        }
        json.object("");
        json.name("of", fact.of.name());
        scalar(json, fact.kind.name(), fact.value);
        json.end();
    });
    if any {
        json.end();
    }
}

fn scalar(json: &mut JsonWriter<'_>, key: &'static str, value: Value<'_>) {
    match value {
        Value::Unsigned(number) => json.number(key, number),
        Value::Signed(number) => json.signed(key, number),
        Value::Float(number) => json.float(key, number),
        Value::Flag(flag) => json.boolean(key, flag),
        Value::Text(text) => json.string(key, text),
        Value::Bytes(bytes) => json.octets(key, bytes),
        Value::Address(address) => json.formatted(key, format_args!("{address}")),
        Value::Time(time) => json.formatted(key, format_args!("{}.{:09}", time.seconds(), time.subsec_nanos())),
    }
}

/// Writer of EVE lines. It keeps the text of what repeats: keys and names, the second, the endpoints of the flows seen
/// last.
pub struct Eve {
    settings: EventSettings,
    phrases: Phrases,
    envelope: Envelope,
    ruleset: Ruleset,
    /// When it was loaded, as events spell times.
    loaded_at: String,
}

impl Eve {
    /// A writer.
    pub fn new(settings: &EventSettings) -> Self {
        Self {
            settings: settings.clone(),
            phrases: Phrases::default(),
            envelope: Envelope::new(settings),
            ruleset: Ruleset::default(),
            loaded_at: String::new(),
        }
    }

    /// Alerts from now on are of this ruleset.
    pub fn set_ruleset(&mut self, ruleset: Ruleset) {
        self.loaded_at = text_of(Timestamp::new(ruleset.loaded_at_s, 0));
        self.ruleset = ruleset;
    }

    /// Appends an `alert` line.
    pub fn alert(&mut self, out: &mut Lines, header: &Header<'_>, rule: &Rule, alert: &Alert<'_>) {
        let mut json =
            self.envelope.begin((out, &mut self.phrases), header, "alert", Some((alert.told, alert.remarks)));
        if let Some(record) = alert.record {
            json.number("tx_id", record.transaction().saturating_sub(1));
        }
        json.nested("alert", |json| {
            signature(json, rule, header.endpoints.as_ref());
            context(json, alert.remarks);
        });
        if let Some(record) = alert.record {
            json.nested(record.protocol().name, |json| record.alert_tree(json));
            operation(&mut json, record);
        }
        if let Some((record, field)) = alert.record.zip(rule.frame) {
            frame(&self.settings, &mut json, record, field, alert);
        }
        if let Some(packet) = alert.packet {
            headers::members(&mut json, packet);
            if let Some(carrier) = packet.carrier() {
                json.nested("tunnel", |json| tunnel(json, &carrier, packet, header.number));
            }
        }
        if let Some(protocol) = alert.protocol {
            json.name("app_proto", protocol.name);
        }
        if let Some(direction) = alert.direction {
            json.name("direction", direction_name(direction));
        }
        if let Some(flow) = &alert.flow {
            json.nested("flow", |json| flow_so_far(&mut self.envelope, json, flow));
        }
        payload(&self.settings, &mut json, alert);
        let (ruleset, loaded_at) = (&self.ruleset, &self.loaded_at);
        self.envelope.close(json, header, |json| {
            if rule.action != Action::Alert {
                json.name("rule_action", rule.action.name());
            }
            if ruleset.generation > 0 {
                json.nested("ruleset", |json| {
                    json.number("generation", ruleset.generation);
                    json.string("hash", &ruleset.hash);
                    if header.pcap_filename.is_empty() {
                        json.string("loaded_at", loaded_at);
                    }
                });
            }
        });
    }

    /// Appends a `flow` line; `told` is what rules have left on the flow.
    pub fn flow(&mut self, out: &mut Lines, header: &Header<'_>, flow: &FlowSummary, told: &Told<'_>) {
        let mut json = self.envelope.begin((out, &mut self.phrases), header, "flow", Some((told, &[])));
        if let Some(protocol) = flow.protocol {
            json.name("app_proto", protocol.name);
        }
        json.nested("flow", |json| {
            volume(json, flow.packets, flow.bytes);
            self.envelope.time_member(json, "start", flow.start);
            self.envelope.time_member(json, "end", flow.end);
            json.number("age", flow.end.seconds().saturating_sub(flow.start.seconds()));
            json.name("state", flow.state.name());
            json.name("reason", flow.reason.name());
            json.boolean("alerted", flow.alerted);
            if flow.protocol.is_some() {
                json.number("tx_cnt", flow.transactions);
            }
        });
        if let Some(tcp) = &flow.tcp {
            json.nested("tcp", |json| tcp_members(json, tcp));
        }
        self.envelope.close(json, header, |_| {});
    }

    /// Appends an `anomaly` line.
    pub fn anomaly(&mut self, out: &mut Lines, header: &Header<'_>, anomaly: &Anomalous) {
        let mut json = self.envelope.begin((out, &mut self.phrases), header, "anomaly", None);
        json.nested("anomaly", |json| match anomaly {
            Anomalous::Decode(event) => prefixed(json, "decode", "decoder.", event.name()),
            Anomalous::Stream(event) => prefixed(json, "stream", "stream.", event),
            Anomalous::Application(protocol, anomaly) => {
                json.name("app_proto", protocol.name);
                prefixed(json, "applayer", "", anomaly.kind);
                json.name("layer", "proto_parser");
            }
        });
        self.envelope.close(json, header, |json| {
            if let Anomalous::Application(_, anomaly) = anomaly {
                json.number("offset", anomaly.offset as u64);
            }
        });
    }

    /// Appends the line of a protocol record, its type the protocol's name.
    pub fn record(&mut self, out: &mut Lines, header: &Header<'_>, record: &dyn Record) {
        let name = record.protocol().name;
        let mut json = self.envelope.begin((out, &mut self.phrases), header, name, None);
        json.number("tx_id", record.transaction().saturating_sub(1));
        json.nested(name, |json| record.tree(json));
        operation(&mut json, record);
        identity(&mut json, record);
        self.envelope.close(json, header, |json| match record.pairing() {
            Pairing::None => {}
            Pairing::Answered(asked) => json.number("rtt_us", header.timestamp.since(asked) / 1_000),
            Pairing::Unanswered => json.boolean("answered", false),
        });
    }

    /// Appends a `packet` line: one that a rule tagged.
    pub fn packet(&mut self, out: &mut Lines, header: &Header<'_>, packet: &Packet<'_>) {
        let mut json = self.envelope.begin((out, &mut self.phrases), header, "packet", None);
        json.string("packet", &STANDARD.encode(packet.bytes));
        json.nested("packet_info", |json| json.number("linktype", packet.link.number().into()));
        self.envelope.close(json, header, |_| {});
    }

    /// Appends a `stats` line: the counters that have a place in Suricata's layout.
    pub fn stats(&mut self, out: &mut Lines, timestamp: Timestamp, snapshot: &Snapshot) {
        let header = Header { timestamp, ..Header::default() };
        let mut json = self.envelope.begin((out, &mut self.phrases), &header, "stats", None);
        json.nested("stats", |json| {
            // The decode events that never occurred would be most of the line.
            let told = |(path, value): &(&str, u64)| *value > 0 || !path.starts_with("decoder.event.");
            let paths: Vec<_> = snapshot.stats.iter().map(|(path, value)| (&**path, *value)).filter(told).collect();
            stats_members(json, &paths, 0, &mut |json, group| {
                if group == "detect" {
                    engine(&mut self.envelope, json, snapshot);
                }
            });
        });
        let packets = &snapshot.packets;
        self.envelope.close(json, &header, |json| {
            json.nested("packets", |json| {
                json.number("seen", packets.seen);
                json.number("processed", packets.processed);
                json.number("shunted", packets.shunted);
                json.nested("dropped", |json| packets.dropped.iter().for_each(|(cause, n)| json.number_at(cause, *n)));
            });
            if !snapshot.ledgers.is_empty() {
                json.nested("ledgers", |json| {
                    for (interface, ledger) in &snapshot.ledgers {
                        json.nested_at(interface, |json| ledger_members(json, ledger));
                    }
                });
            }
            json.nested("ruleset", |json| {
                json.number("generation", snapshot.ruleset.generation);
                json.string("hash", &snapshot.ruleset.hash);
            });
        });
    }

    /// Appends a `health` line.
    pub fn health(&mut self, out: &mut Lines, header: &Header<'_>, health: &Health<'_>) {
        let mut json = self.envelope.begin((out, &mut self.phrases), header, "health", None);
        json.nested("health", |json| health.members(json));
        self.envelope.close(json, header, |_| {});
    }

    /// Appends an `evidence` line.
    pub fn evidence(&mut self, out: &mut Lines, header: &Header<'_>, told: &EvidenceTold<'_>) {
        let mut json = self.envelope.begin((out, &mut self.phrases), header, "evidence", None);
        json.nested("evidence", |json| told.members(json));
        self.envelope.close(json, header, |_| {});
    }
}

fn engine(envelope: &mut Envelope, json: &mut JsonWriter<'_>, snapshot: &Snapshot) {
    let ruleset = &snapshot.ruleset;
    json.nested_list("engines", |json| {
        json.nested("", |json| {
            json.number("id", 0);
            envelope.time_member(json, "last_reload", Timestamp::new(ruleset.loaded_at_s, 0));
            json.number("rules_loaded", ruleset.loaded);
            json.number("rules_failed", ruleset.failed);
            json.number("rules_skipped", ruleset.skipped);
        });
    });
}

fn flow_so_far(envelope: &mut Envelope, json: &mut JsonWriter<'_>, flow: &FlowSoFar) {
    volume(json, flow.packets, flow.bytes);
    envelope.time_member(json, "start", flow.start);
    let Endpoints { source, destination, protocol } = flow.endpoints;
    address_member(json, "src_ip", source.0);
    address_member(json, "dest_ip", destination.0);
    if address::has_ports(protocol) {
        json.number("src_port", source.1.into());
        json.number("dest_port", destination.1.into());
    }
}

/// The frame that a rule looked into.
fn frame(settings: &EventSettings, json: &mut JsonWriter<'_>, record: &dyn Record, field: usize, alert: &Alert<'_>) {
    let Some(name) = record.protocol().fields.get(field).and_then(|field| field.frame()) else { return };
    json.nested("frame", |json| {
        json.name("type", name);
        json.number("tx_id", record.transaction().saturating_sub(1));
        if let Some(direction) = alert.direction {
            json.name("direction", if direction == Direction::ToServer { "toserver" } else { "toclient" });
        }
        let mut first = true;
        record.visit(field, &mut |value| {
            let Value::Bytes(bytes) = value else { return };
            if !std::mem::take(&mut first) {
                return;
            }
            let beginning = &bytes[..bytes.len().min(settings.payload_bytes)];
            json.number("length", bytes.len() as u64);
            json.boolean("complete", true);
            if settings.payload {
                json.string("payload", &STANDARD.encode(beginning));
            }
            if settings.payload_printable {
                json.raw("payload_printable", |out| printable(out, beginning));
            }
        });
    });
}

fn payload(settings: &EventSettings, json: &mut JsonWriter<'_>, alert: &Alert<'_>) {
    if alert.payload.is_empty() || !(settings.payload || settings.payload_printable) {
        return;
    }
    let payload = &alert.payload[..alert.payload.len().min(settings.payload_bytes)];
    if settings.payload {
        json.string("payload", &STANDARD.encode(payload));
    }
    json.number("payload_length", alert.payload.len() as u64);
    if settings.payload_printable {
        json.raw("payload_printable", |out| printable(out, payload));
    }
    json.number("stream", alert.stream.into());
}

/// Printable ASCII and line ends as they are, a dot for the rest.
fn printable(out: &mut Lines, payload: &[u8]) {
    out.push(b'"');
    for byte in payload {
        match byte {
            b' '..=b'~' | b'\r' | b'\n' => escape(out, &[*byte]),
            _ => out.push(b'.'),
        }
    }
    out.push(b'"');
}

fn signature(json: &mut JsonWriter<'_>, rule: &Rule, endpoints: Option<&Endpoints>) {
    json.name("action", "allowed");
    json.number("gid", rule.gid.into());
    json.number("signature_id", rule.sid.into());
    json.number("rev", rule.rev.into());
    json.string("signature", &rule.message);
    json.string("category", &rule.category);
    json.number("severity", rule.priority.into());
    if let (Some(target), Some(endpoints)) = (rule.target, endpoints) {
        let (attacker, victim) = match target {
            Target::Source => (endpoints.destination, endpoints.source),
            Target::Destination => (endpoints.source, endpoints.destination),
        };
        for (key, (ip, port)) in [("source", attacker), ("target", victim)] {
            json.nested(key, |json| {
                address_member(json, "ip", ip);
                if address::has_ports(endpoints.protocol) {
                    json.number("port", port.into());
                }
            });
        }
    }
    if !rule.metadata.is_empty() {
        json.nested("metadata", |json| {
            for (key, values) in &rule.metadata {
                json.nested_list_at(key, |json| values.iter().for_each(|value| json.string("", value)));
            }
        });
    }
    if !rule.references.is_empty() {
        json.nested_list("references", |json| {
            rule.references.iter().for_each(|reference| json.string("", &reference.link));
        });
    }
}

/// What sets know of the values in them that the match is about, and what expressions captured for the alert.
fn context(json: &mut JsonWriter<'_>, remarks: &[Remark]) {
    if remarks.iter().all(|remark| matches!(remark, Remark::Entropy(..))) {
        return;
    }
    json.nested("context", |json| {
        for remark in remarks {
            match remark {
                Remark::Context(key, known) => json.raw_at(key, |out| out.append(known.as_bytes())),
                Remark::Captured(key, value) => json.octets_at(key, value),
                Remark::Entropy(..) => {}
            }
        }
    });
}

/// The packet that carries the one an alert is about.
fn tunnel(json: &mut JsonWriter<'_>, carrier: &Carrier, packet: &Packet<'_>, number: u64) {
    address_member(json, "src_ip", carrier.source.0);
    address_member(json, "dest_ip", carrier.destination.0);
    if address::has_ports(carrier.protocol) {
        json.number("src_port", carrier.source.1.into());
        json.number("dest_port", carrier.destination.1.into());
    }
    json.raw("proto", |out| {
        out.push(b'"');
        address::protocol(out, carrier.protocol);
        out.push(b'"');
    });
    json.number("depth", packet.tunnel_depth.into());
    if number != 0 {
        json.number("pcap_cnt", number);
    }
}

fn volume(json: &mut JsonWriter<'_>, packets: [u64; 2], bytes: [u64; 2]) {
    json.number("pkts_toserver", packets[0]);
    json.number("pkts_toclient", packets[1]);
    json.number("bytes_toserver", bytes[0]);
    json.number("bytes_toclient", bytes[1]);
}

fn tcp_members(json: &mut JsonWriter<'_>, tcp: &TcpSummary) {
    let all = tcp.flags[0] | tcp.flags[1];
    json.raw("tcp_flags", |out| quoted_hex(out, all));
    json.raw("tcp_flags_ts", |out| quoted_hex(out, tcp.flags[0]));
    json.raw("tcp_flags_tc", |out| quoted_hex(out, tcp.flags[1]));
    for (bit, name) in ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"].into_iter().enumerate() {
        if all & (1 << bit) != 0 {
            json.boolean(name, true);
        }
    }
    json.name("state", tcp.state.name());
    for (name, gap) in ["ts_gap", "tc_gap"].into_iter().zip(tcp.gap) {
        if gap {
            json.boolean(name, true);
        }
    }
}

fn quoted_hex(out: &mut Lines, byte: u8) {
    out.push(b'"');
    hex(out, &[byte]);
    out.push(b'"');
}

fn address_member(json: &mut JsonWriter<'_>, key: &'static str, ip: IpAddr) {
    json.raw(key, |out| {
        out.push(b'"');
        address::address(out, ip);
        out.push(b'"');
    });
}

fn prefixed(json: &mut JsonWriter<'_>, kind: &'static str, prefix: &str, name: &str) {
    json.name("type", kind);
    json.raw("event", |out| {
        out.push(b'"');
        escape(out, prefix.as_bytes());
        escape(out, name.as_bytes());
        out.push(b'"');
    });
}

/// Dotted paths, sorted, as nested objects: `skip` bytes of each are written already. `extra` may add members to a
/// top-level group.
fn ledger_members(json: &mut JsonWriter<'_>, ledger: &Ledger) {
    if let Some(received) = ledger.received {
        json.number("received", received);
    }
    json.number("tap", ledger.tap);
    json.number("ignored", ledger.ignored);
    json.number("duplicate", ledger.duplicate);
    json.number("shunted", ledger.shunted);
    json.nested("shed", |json| ledger.shed.iter().for_each(|(class, frames)| json.number_at(class, *frames)));
    json.number("held", ledger.held);
    json.number("delivered", ledger.delivered);
    json.number("read", ledger.read);
    json.number("ring_dropped", ledger.ring_dropped);
    json.signed("in_flight", ledger.in_flight);
    json.signed("difference", ledger.difference);
}

fn stats_members(
    json: &mut JsonWriter<'_>,
    paths: &[(&str, u64)],
    skip: usize,
    extra: &mut dyn FnMut(&mut JsonWriter<'_>, &str),
) {
    let mut rest = paths;
    while let Some((path, value)) = rest.first() {
        let path = &path[skip..];
        let Some((group, _)) = path.split_once('.') else {
            json.number_at(path, *value);
            rest = &rest[1..];
            continue;
        };
        let inside = |other: &str| other[skip..].strip_prefix(group).is_some_and(|tail| tail.starts_with('.'));
        let end = rest.iter().position(|(other, _)| !inside(other)).unwrap_or(rest.len());
        json.nested_at(group, |json| {
            stats_members(json, &rest[..end], skip + group.len() + 1, extra);
            if skip == 0 {
                extra(json, group);
            }
        });
        rest = &rest[end..];
    }
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::ToServer => "to_server",
        Direction::ToClient => "to_client",
    }
}

impl FlowState {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Closed => "closed",
            Self::Bypassed => "bypassed",
        }
    }
}

impl FlowReason {
    fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Forced => "forced",
            Self::Shutdown => "shutdown",
            Self::TcpReuse => "tcp_reuse",
            Self::Interim => "interim",
        }
    }
}

impl TcpState {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_recv",
            Self::Established => "established",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::LastAck => "last_ack",
            Self::CloseWait => "close_wait",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}
