//! Fields of packet headers, and the protocol of the flow.

use vigia_parsers::Protocol;
use vigia_parsers::packet::{Packet, Transport};

use super::{Arity, Draft, Environment, Keyword, Use, names};
use crate::engine::view::{Condition, Key, View, same};
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::set::RangeSet;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "dsize",
        aliases: &[],
        doc: "Length of the packet's payload in bytes",
        arity: Arity::Required,
        compile: |draft, _, it| header(draft, it, 16, |packet, test| test(packet.payload().len() as u64)),
    },
    Keyword {
        name: "ttl",
        aliases: &[],
        doc: "Time to live or hop limit",
        arity: Arity::Required,
        compile: |draft, _, it| {
            header(draft, it, 8, |packet, test| packet.ip.as_ref().is_some_and(|ip| test(ip.ttl.into())))
        },
    },
    Keyword {
        name: "itype",
        aliases: &[],
        doc: "Type of an ICMP or ICMPv6 message",
        arity: Arity::Required,
        compile: |draft, _, it| {
            header(draft, it, 8, |packet, test| match packet.transport {
                Transport::Icmp { kind, .. } => test(kind.into()),
                _ => false,
            })
        },
    },
    Keyword {
        name: "icode",
        aliases: &[],
        doc: "Code of an ICMP or ICMPv6 message",
        arity: Arity::Required,
        compile: |draft, _, it| {
            header(draft, it, 8, |packet, test| match packet.transport {
                Transport::Icmp { code, .. } => test(code.into()),
                _ => false,
            })
        },
    },
    Keyword {
        name: "ip_proto",
        aliases: &[],
        doc: "Protocol of the IP payload, by number or name",
        arity: Arity::Required,
        compile: ip_proto,
    },
    Keyword {
        name: "app-layer-protocol",
        aliases: &[],
        doc: "The flow's detected protocol",
        arity: Arity::Required,
        compile: app_layer_protocol,
    },
];

/// Reads a header field and puts it to a test; false when the packet has no such field.
type Read = fn(&Packet<'_>, &dyn Fn(u64) -> bool) -> bool;

/// An integer in the packet's headers.
struct HeaderField {
    read: Read,
    test: IntegerTest,
}

impl Condition for HeaderField {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.packet.is_some_and(|packet| (self.read)(packet, &|value| self.test.holds(value)))
    }
}

fn header(draft: &mut Draft, it: Use<'_>, bits: u8, read: Read) -> Result<(), Problem> {
    let test = integer::parse(it.value, Domain::unsigned(bits))?;
    draft.conditions.push(Box::new(HeaderField { read, test }));
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
    (4, "ipip"),
    (6, "tcp"),
    (8, "egp"),
    (17, "udp"),
    (41, "ipv6"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (89, "ospf"),
    (103, "pim"),
    (112, "vrrp"),
    (132, "sctp"),
];

fn ip_proto(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    match integer::parse(it.value, Domain { bits: 8, signed: false, names: IP_PROTOCOLS })? {
        IntegerTest::In(set) => {
            // 0 stands for packets without IP.
            draft.conditions.push(Box::new(IpProtocol(set.minus(&RangeSet::one(0)))));
            draft.packet = true;
            Ok(())
        }
        IntegerTest::Mask { .. } => Err(Problem::new("invalid-value", "ip_proto takes no mask", it.value.span())),
    }
}

/// The protocol detected for the flow.
struct AppLayerProtocol {
    protocol: Option<&'static Protocol>,
    negated: bool,
}

impl Condition for AppLayerProtocol {
    fn holds(&self, view: &View<'_>) -> bool {
        // Nothing is said of a flow whose protocol is not known yet, unless the rule asks for just that.
        match self.protocol {
            None => view.moment.protocol.is_none() != self.negated,
            Some(wanted) => view.moment.protocol.is_some_and(|known| same(known, wanted) != self.negated),
        }
    }
}

fn app_layer_protocol(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let mut parts = it.value.split(',');
    let name = parts.next().unwrap_or(it.value);
    if let Some(mode) = parts.next() {
        return Err(Problem::new("not-supported", format!("`{}` is not supported yet", mode.text), mode.span()));
    }
    let (negated, name) = match name.text.strip_prefix('!') {
        Some(rest) => (true, name.part(rest).trim()),
        None => (false, name),
    };
    let protocol = match name.text {
        "unknown" | "failed" => None,
        text => Some(environment.protocol(text).ok_or_else(|| unknown_protocol(name, environment))?),
    };
    draft.conditions.push(Box::new(AppLayerProtocol { protocol, negated }));
    Ok(())
}

/// The problem of a protocol that is not there.
pub(super) fn unknown_protocol(name: Word<'_>, environment: &Environment<'_>) -> Problem {
    if names::PROTOCOLS.contains(&name.text) {
        return Problem::new("not-dissected", format!("{} is not dissected yet", name.text), name.span());
    }
    let known = environment.protocols.iter().map(|protocol| protocol.name).chain(names::PROTOCOLS.iter().copied());
    Problem::new("unknown-protocol", format!("unknown protocol `{}`", name.text), name.span())
        .maybe_help(nearest(name.text, known).map(|near| format!("did you mean `{near}`?")))
}
