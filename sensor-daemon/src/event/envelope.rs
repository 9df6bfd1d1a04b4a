//! What all events share: how their lines begin and end.

use std::net::IpAddr;

use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Ethernet, Tunnel, Vlans};
use vigia_rules::{Remark, Told};

use super::clock::TimeText;
use super::digits::{hex, with_comma};
use super::ends::EndsCache;
use super::escape::quoted;
use super::json::JsonWriter;
use super::lines::Lines;
use super::phrases::Phrases;
use super::{EventSettings, SCHEMA, metadata};

/// Who speaks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Address and port of the sender; of the client where the event is about a flow.
    pub source: (IpAddr, u16),
    /// Address and port of the receiver; of the server where the event is about a flow.
    pub destination: (IpAddr, u16),
    /// IP protocol number.
    pub protocol: u8,
}

/// What an event's packet was taken from: EVE's `pkt_src`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketSource {
    /// The wire or a capture file, within a tunnel or not.
    Wire(Tunnel),
    /// No packet: what a flow still held when it ended.
    FlowEnd,
    /// No packet: what a flow held while nothing came.
    Silence,
}

impl PacketSource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wire(Tunnel::None) => "wire/pcap",
            Self::Wire(Tunnel::Ipv4) => "ipv4 tunnel",
            Self::Wire(Tunnel::Ipv6) => "ipv6 tunnel",
            Self::Wire(Tunnel::Gre | Tunnel::Erspan) => "gre tunnel",
            Self::Wire(Tunnel::Vxlan) => "vxlan encapsulation",
            Self::Wire(Tunnel::Geneve) => "geneve encapsulation",
            Self::Wire(Tunnel::Gtp) => "gtp encapsulation",
            Self::Wire(Tunnel::Teredo) => "teredo tunnel",
            Self::FlowEnd => "stream (flow timeout)",
            Self::Silence => "stream (detect/log)",
        }
    }
}

/// What every event begins with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Header<'a> {
    /// Time of the packet.
    pub timestamp: Timestamp,
    /// Id of the flow; only its lower 51 bits are written, so that it is exact as a double. 0: no flow.
    pub flow_id: u64,
    /// Interface; empty for capture files.
    pub in_iface: &'a str,
    /// Capture file; empty for interfaces.
    pub pcap_filename: &'a str,
    /// Number of the packet in its capture, from 1; 0: none (`pcap_cnt`).
    pub number: u64,
    /// VLAN ids, outermost first.
    pub vlans: Vlans,
    /// Who speaks to whom. Alerts and anomalies have the packet's view, everything else the flow's.
    pub endpoints: Option<Endpoints>,
    /// Type and code of an ICMP packet.
    pub icmp: Option<(u8, u8)>,
    /// Outermost Ethernet header.
    pub ethernet: Option<Ethernet>,
    /// What the packet was taken from; none for flow events.
    pub source: Option<PacketSource>,
}

/// Writes what lines begin and end with. It keeps the text of what repeats: the second, the flows seen last, the capture.
pub(super) struct Envelope {
    time: TimeText,
    ends: EndsCache,
    tail: Tail,
    /// Write MAC addresses in every event of a packet?
    ethernet: bool,
}

impl Envelope {
    pub(super) fn new(settings: &EventSettings) -> Self {
        let seed = settings.community_id.then_some(settings.community_id_seed);
        Self {
            time: TimeText::default(),
            ends: EndsCache::new(seed),
            tail: Tail::new(settings),
            ethernet: settings.ethernet,
        }
    }

    /// Begins a line, in the order of Suricata's.
    pub(super) fn begin<'b>(
        &mut self,
        (out, phrases): (&'b mut Lines, &'b mut Phrases),
        header: &Header<'_>,
        event_type: &'static str,
        told: Option<(&Told<'_>, &[Remark])>,
    ) -> JsonWriter<'b> {
        out.begin_line();
        let mut json = JsonWriter::object(out, phrases);
        let ends = self.ends.text(header);
        json.members(|out| {
            out.fixed(b"\"timestamp\":\"");
            out.fixed(self.time.text(header.timestamp));
            out.fixed(b"\",");
            ends.write_flow(out);
            if !header.in_iface.is_empty() {
                out.fixed(b"\"in_iface\":");
                quoted(out, header.in_iface.as_bytes());
                out.push(b',');
            }
            if header.number != 0 {
                out.fixed(b"\"pcap_cnt\":");
                with_comma(out, header.number);
            }
        });
        json.name("event_type", event_type);
        if !header.vlans.ids().is_empty() {
            json.nested_list("vlan", |json| header.vlans.ids().iter().for_each(|id| json.number("", (*id).into())));
        }
        match told.filter(|(told, remarks)| metadata::is_any(told, remarks)) {
            None => json.members(|out| out.append(ends.all)),
            Some((told, remarks)) => {
                let (before, after) = ends.parts();
                json.members(|out| out.append(before));
                metadata::write(&mut json, told, remarks);
                json.members(|out| out.append(after));
            }
        }
        if let Some(ethernet) = header.ethernet.filter(|_| self.ethernet || header.endpoints.is_none()) {
            json.nested("ether", |json| ether(json, &ethernet));
        }
        json
    }

    /// Writes what every event ends with: sensor, capture file, and Vigía's own.
    pub(super) fn close(
        &mut self,
        mut json: JsonWriter<'_>,
        header: &Header<'_>,
        own: impl FnOnce(&mut JsonWriter<'_>),
    ) {
        self.tail.of(header.pcap_filename);
        if self.tail.vigia {
            json.nested_behind(&self.tail.text, own);
        } else {
            json.members(|out| out.append(&self.tail.text));
        }
        json.finish_line();
    }

    /// A member that is a time.
    pub(super) fn time_member(&mut self, json: &mut JsonWriter<'_>, key: &'static str, time: Timestamp) {
        json.raw(key, |out| {
            out.push(b'"');
            out.fixed(self.time.text(time));
            out.push(b'"');
        });
    }
}

/// The members `host` and `pcap_filename`, and the beginning of Vigía's own, as they are written.
struct Tail {
    text: Vec<u8>,
    host: String,
    capture: String,
    /// Is there Vigía's own?
    vigia: bool,
}

impl Tail {
    fn new(settings: &EventSettings) -> Self {
        let (host, vigia) = (settings.sensor_name.clone(), settings.vigia);
        let mut tail = Self { text: Vec::new(), host, capture: String::new(), vigia };
        tail.render();
        tail
    }

    /// Makes it that of events of this capture file.
    fn of(&mut self, capture: &str) {
        if self.capture != capture {
            capture.clone_into(&mut self.capture);
            self.render();
        }
    }

    fn render(&mut self) {
        let mut lines = Lines::default();
        for (key, value) in [("host", &self.host), ("pcap_filename", &self.capture)] {
            if !value.is_empty() {
                quoted(&mut lines, key.as_bytes());
                lines.push(b':');
                quoted(&mut lines, value.as_bytes());
                lines.push(b',');
            }
        }
        if self.vigia {
            lines.fixed(b"\"vigia\":{\"schema\":");
            with_comma(&mut lines, SCHEMA);
        }
        self.text = lines.written().to_vec();
    }
}

fn ether(json: &mut JsonWriter<'_>, ethernet: &Ethernet) {
    mac_member(json, "src_mac", ethernet.source);
    mac_member(json, "dest_mac", ethernet.destination);
    json.number("ether_type", ethernet.ethertype.into());
}

fn mac_member(json: &mut JsonWriter<'_>, key: &'static str, mac: [u8; 6]) {
    json.raw(key, |out| {
        for (at, octet) in mac.into_iter().enumerate() {
            out.push(if at == 0 { b'"' } else { b':' });
            hex(out, &[octet]);
        }
        out.push(b'"');
    });
}
