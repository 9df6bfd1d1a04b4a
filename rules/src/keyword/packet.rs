//! Integers of packet headers: each a function that reads it, and a condition on what was read.

use vigia_parsers::packet::{Packet, Tcp, Transport};

use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::buffer::{IGMP, chunks, ip, is_icmp, is_igmp, segment};
use crate::engine::view::{Condition, Key, View};
use crate::language::Problem;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::Word;
use vigia_parsers::field::Names;

macro_rules! integers {
    ($($name:literal $aliases:tt $bits:literal $doc:literal $read:expr,)*) => {
        pub(super) const KEYWORDS: &[Keyword] = &[
            $(Keyword {
                name: $name,
                aliases: &$aliases,
                doc: $doc,
                arity: Arity::Required,
                compile: |draft, _, it| header(draft, it, Domain::unsigned($bits), $read),
            },)*
            Keyword {
                name: "tos",
                aliases: &[],
                doc: "Type of service of the IPv4 header, also in hexadecimal as x88",
                arity: Arity::Required,
                compile: tos,
            },
            Keyword {
                name: "dsize",
                aliases: &[],
                doc: "Length of the packet's payload in bytes; negated, only of packets that have one",
                arity: Arity::Required,
                compile: dsize,
            },
            Keyword {
                name: "sctp.chunk_type",
                aliases: &[],
                doc: "Type of an SCTP chunk, by number or name: that of any chunk",
                arity: Arity::Required,
                compile: chunk_type,
            },
            Keyword {
                name: "vlan.layers",
                aliases: &[],
                doc: "Number of VLAN tags, 0 to 3",
                arity: Arity::Required,
                compile: vlan_layers,
            },
            Keyword {
                name: "ip_proto",
                aliases: &[],
                doc: "Protocol of the IP payload, by number or name",
                arity: Arity::Required,
                compile: ip_proto,
            },
        ];
    };
}

integers! {
    "ttl" [] 8 "Time to live or hop limit" |packet| Some(packet.ip.as_ref()?.ttl.into()),
    "id" [] 16 "Identification of the IPv4 header" |packet| be16(ip(packet, false)?, 4),
    "fragoffset" [] 16 "Fragment offset of the IP header, in units of 8 bytes" fragment_offset,
    "seq" ["tcp.seq"] 32 "TCP sequence number" |packet| Some(tcp(packet)?.sequence.into()),
    "ack" ["tcp.ack"] 32 "TCP acknowledgement number" |packet| Some(tcp(packet)?.acknowledgement.into()),
    "window" ["tcp.window"] 16 "TCP window, unscaled" |packet| Some(tcp(packet)?.window.into()),
    "tcp.mss" [] 16 "Maximum segment size option of TCP" |packet| be16(tcp_option(packet, 2)?, 0),
    "tcp.wscale" [] 8 "Window scale option of TCP" |packet| Some((*tcp_option(packet, 3)?.first()?).into()),
    "itype" [] 8 "Type of an ICMP or ICMPv6 message" |packet| match packet.transport {
        Transport::Icmp { kind, .. } => Some(kind.into()),
        _ => None,
    },
    "icode" [] 8 "Code of an ICMP or ICMPv6 message" |packet| match packet.transport {
        Transport::Icmp { code, .. } => Some(code.into()),
        _ => None,
    },
    "icmp_id" [] 16 "Identifier of an ICMP or ICMPv6 query" |packet| be16(icmp_query(packet)?, 4),
    "icmp_seq" [] 16 "Sequence number of an ICMP or ICMPv6 query" |packet| be16(icmp_query(packet)?, 6),
    "icmpv6.mtu" [] 32 "MTU of an ICMPv6 message that a packet is too big" icmpv6_mtu,
    "igmp.type" [] 8 "Type of an IGMP message" |packet| {
        is_igmp(packet).then(|| segment(packet)?.first().copied().map(u64::from)).flatten()
    },
    "sctp.vtag" [] 32 "Verification tag of an SCTP packet" |packet| match packet.transport {
        Transport::Sctp => be32(segment(packet)?, 4),
        _ => None,
    },
    "sctp.chunk_cnt" [] 16 "Number of chunks of an SCTP packet" |packet| match packet.transport {
        Transport::Sctp => Some(chunks(packet).count() as u64),
        _ => None,
    },
}

/// Reads a header field; `None` when the packet has no such field.
type Read = fn(&Packet<'_>) -> Option<u64>;

/// An integer in the packet's headers.
struct HeaderField {
    read: Read,
    test: IntegerTest,
    /// What it is the value of, for the index.
    key: Option<Key>,
}

impl Condition for HeaderField {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.packet.and_then(self.read).is_some_and(|value| self.test.holds(value))
    }

    fn seen(&self, view: &View<'_>) -> Vec<String> {
        view.moment.packet.and_then(self.read).map(|value| value.to_string()).into_iter().collect()
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        match &self.test {
            IntegerTest::In(set) => Some((self.key?, set.clone())),
            IntegerTest::Mask { .. } => None,
        }
    }
}

fn header(draft: &mut Draft, it: Use<'_>, domain: Domain, read: Read) -> Result<(), Problem> {
    let test = integer::parse(it.value.unquoted(), domain)?;
    let key = match it.name.text {
        "itype" => Some(Key::IcmpType),
        "dsize" => Some(Key::PayloadLength),
        _ => None,
    };
    draft.conditions.push(Box::new(HeaderField { read, test, key }));
    draft.packet = true;
    Ok(())
}

fn be16(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn be32(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into())
}

pub(super) fn tcp(packet: &Packet<'_>) -> Option<Tcp> {
    match packet.transport {
        Transport::Tcp(tcp) => Some(tcp),
        _ => None,
    }
}

/// The data of a TCP option (RFC 9293, 3.2).
fn tcp_option<'a>(packet: &Packet<'a>, wanted: u8) -> Option<&'a [u8]> {
    let length = usize::from(tcp(packet)?.header_length);
    let mut rest = segment(packet)?.get(20..length)?;
    while let [kind, tail @ ..] = rest {
        match kind {
            0 => return None,
            1 => rest = tail,
            _ => {
                let length = usize::from(*tail.first()?);
                let option = rest.get(2..length)?;
                if *kind == wanted {
                    return Some(option);
                }
                rest = rest.get(length.max(2)..)?;
            }
        }
    }
    None
}

/// In units of 8 bytes; of a datagram that is whole, what its header says.
fn fragment_offset(packet: &Packet<'_>) -> Option<u64> {
    match packet.ip.as_ref()?.fragment {
        Some(fragment) => Some(u64::from(fragment.offset) / 8),
        None => Some(0),
    }
}

/// An ICMP message with an identifier and a sequence number (RFC 792, RFC 950, RFC 4443).
fn icmp_query<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    let Transport::Icmp { kind, .. } = packet.transport else { return None };
    let v6 = is_icmp(packet, true);
    let query = if v6 { matches!(kind, 128 | 129) } else { matches!(kind, 0 | 8 | 13..=18) };
    segment(packet).filter(|_| query)
}

fn icmpv6_mtu(packet: &Packet<'_>) -> Option<u64> {
    match packet.transport {
        Transport::Icmp { kind: 2, .. } if is_icmp(packet, true) => be32(segment(packet)?, 4),
        _ => None,
    }
}

/// Payload behind the headers; an IGMP message is a header as a whole.
pub(crate) fn payload_length(packet: &Packet<'_>) -> u64 {
    match packet.ip.as_ref() {
        Some(ip) if ip.protocol == IGMP => 0,
        _ => packet.payload().len() as u64,
    }
}

fn tos(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let read: Read = |packet| Some((*ip(packet, false)?.get(1)?).into());
    let text = it.value.unquoted().text;
    let hexadecimal = match text.strip_prefix('!').unwrap_or(text).trim_start().strip_prefix('x') {
        Some(digits) => format!("{}0x{digits}", if text.starts_with('!') { "!" } else { "" }),
        None => return header(draft, it, Domain::unsigned(8), read),
    };
    let value = Word { text: &hexadecimal, start: it.value.start };
    let test =
        integer::parse(value, Domain::unsigned(8)).map_err(|problem| Problem { span: it.value.span(), ..problem })?;
    draft.conditions.push(Box::new(HeaderField { read, test, key: None }));
    draft.packet = true;
    Ok(())
}

fn dsize(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    header(draft, it, Domain::unsigned(16), |packet| Some(payload_length(packet)))?;
    if it.value.text.starts_with('!') {
        // "Any size but this" is about packets that carry something.
        let test = IntegerTest::In(RangeSet::new(vec![(1, u64::MAX)]));
        draft.conditions.push(Box::new(HeaderField { read: |packet| Some(payload_length(packet)), test, key: None }));
    }
    Ok(())
}

/// Rules know of so many VLAN tags.
const VLAN_LAYERS: u64 = 3;

fn vlan_layers(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let test = integer::parse(it.value.unquoted(), Domain::unsigned(8))?;
    if !(0..=VLAN_LAYERS).any(|layers| test.holds(layers)) {
        return Err(Problem::new("never-matches", say!("no value fulfils `{}`", it.value.text), it.value.span())
            .help(say!("expected {} to {}", 0u32, VLAN_LAYERS)));
    }
    header(draft, it, Domain::unsigned(8), |packet| Some(packet.vlans.ids().len() as u64))
}

/// SCTP chunk types (IANA; RFC 9260, 3.2).
const CHUNK_TYPES: Names = &[
    (0, "data"),
    (1, "init"),
    (2, "init_ack"),
    (3, "sack"),
    (4, "heartbeat"),
    (5, "hb_ack"),
    (5, "heartbeat_ack"),
    (6, "abort"),
    (7, "shutdown"),
    (8, "shutdown_ack"),
    (9, "error"),
    (10, "cookie_echo"),
    (11, "cookie_ack"),
    (12, "ecne"),
    (13, "cwr"),
    (14, "shutdown_complete"),
    (15, "auth"),
    (64, "i_data"),
    (128, "asconf_ack"),
    (130, "re_config"),
    (132, "pad"),
    (192, "forward_tsn"),
    (193, "asconf"),
    (194, "i_forward_tsn"),
];

/// The type of any SCTP chunk.
struct ChunkType(IntegerTest);

impl Condition for ChunkType {
    fn holds(&self, view: &View<'_>) -> bool {
        let Some(packet) = view.moment.packet else { return false };
        chunks(packet).filter_map(|chunk| chunk.first()).any(|&kind| self.0.holds(kind.into()))
    }
}

fn chunk_type(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let test = integer::parse(it.value, Domain { bits: 8, signed: false, names: CHUNK_TYPES })?;
    draft.conditions.push(Box::new(ChunkType(test)));
    draft.packet = true;
    Ok(())
}

/// The IP protocol number.
struct IpProtocol(RangeSet<u64>);

impl Condition for IpProtocol {
    fn holds(&self, view: &View<'_>) -> bool {
        self.0.contains(view.moment.ip_protocol.into())
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        Some((Key::IpProtocol, self.0.clone()))
    }
}

/// IP protocols that rules know by name (IANA's assigned numbers).
const IP_PROTOCOLS: &[(u64, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (3, "ggp"),
    (4, "ipip"),
    (4, "ipencap"),
    (5, "st"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (12, "pup"),
    (17, "udp"),
    (20, "hmp"),
    (22, "xns-idp"),
    (27, "rdp"),
    (29, "iso-tp4"),
    (33, "dccp"),
    (36, "xtp"),
    (37, "ddp"),
    (38, "idpr-cmtp"),
    (41, "ipv6"),
    (43, "ipv6-route"),
    (44, "ipv6-frag"),
    (45, "idrp"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (57, "skip"),
    (58, "icmpv6"),
    (58, "ipv6-icmp"),
    (59, "ipv6-nonxt"),
    (60, "ipv6-opts"),
    (73, "rspf"),
    (81, "vmtp"),
    (88, "eigrp"),
    (89, "ospf"),
    (89, "ospfigp"),
    (93, "ax.25"),
    (97, "etherip"),
    (98, "encap"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (124, "isis"),
    (132, "sctp"),
    (133, "fc"),
    (135, "mobility-header"),
    (136, "udplite"),
    (137, "mpls-in-ip"),
    (139, "hip"),
    (140, "shim6"),
    (141, "wesp"),
    (142, "rohc"),
];

fn ip_proto(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    match integer::parse(it.value, Domain { bits: 8, signed: false, names: IP_PROTOCOLS })? {
        IntegerTest::In(set) => {
            // 0 stands for packets without IP.
            draft.conditions.push(Box::new(IpProtocol(set.minus(&RangeSet::one(0)))));
            draft.packet = true;
            Ok(())
        }
        IntegerTest::Mask { .. } => Err(Problem::new("invalid-value", say!("ip_proto takes no mask"), it.value.span())),
    }
}
