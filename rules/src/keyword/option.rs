//! Flags and options of packet headers: `tcp.flags`, `fragbits`, `ipopts`, `sameip`, `vlan.id`, and the checksums.

use vigia_parsers::packet::{Checksums, Packet, Transport};

use super::many::{self, Which};
use super::packet::tcp;
use super::payload::literal;
use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::buffer::{ip, is_icmp};
use crate::engine::view::{Condition, Key, View};
use crate::language::Problem;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::Word;

type Outcome = Result<(), Problem>;

const fn keyword(
    name: &'static str,
    doc: &'static str,
    arity: Arity,
    compile: fn(&mut Draft, &Environment<'_>, Use<'_>) -> Outcome,
) -> Keyword {
    Keyword { name, aliases: &[], doc, arity, compile }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "tcp.flags",
        aliases: &["flags"],
        doc: "TCP flags FSRPAUEC, exactly; + these and others, * any of these, ! not these; then flags to ignore",
        arity: Arity::Required,
        compile: tcp_flags,
    },
    keyword(
        "fragbits",
        "Bits M, D and R of the IPv4 header, exactly; with +, * or ! as in tcp.flags",
        Arity::Required,
        fragbits,
    ),
    keyword("ipopts", "An option of the IPv4 header", Arity::Required, ipopts),
    keyword("sameip", "Sender and receiver have the same address", Arity::None, |draft, _, _| {
        packet(draft, |packet| packet.ip.as_ref().is_some_and(|ip| ip.source == ip.destination))
    }),
    keyword("l3_proto", "Network layer: ipv4, ipv6 or arp", Arity::Required, |draft, _, it| match it.value.text {
        "ipv4" | "ip4" => packet(draft, |packet| ip(packet, false).is_some()),
        "ipv6" | "ip6" => packet(draft, |packet| ip(packet, true).is_some()),
        "arp" => packet(draft, is_arp),
        text => Err(Problem::new("unknown-value", say!("`{}` is not a network layer", text), it.value.span())
            .help(say!("expected ipv4, ipv6 or arp"))),
    }),
    keyword("rpc", "A call of ONC RPC: program, version and procedure, each a number or *", Arity::Required, rpc),
    keyword(
        "vlan.id",
        "VLAN id: condition, then which: a layer (0 is the outermost, -1 the innermost), any, all, nb>1",
        Arity::Required,
        vlan_id,
    ),
    keyword("ipv4-csum", "Checksum of the IPv4 header: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| ip(packet, false).is_some(), |sums| sums.ip_bad)
    }),
    keyword("tcpv4-csum", "Checksum of TCP over IPv4: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| tcp(packet).is_some() && ip(packet, false).is_some(), |sums| sums.transport_bad)
    }),
    keyword("tcpv6-csum", "Checksum of TCP over IPv6: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| tcp(packet).is_some() && ip(packet, true).is_some(), |sums| sums.transport_bad)
    }),
    keyword("udpv4-csum", "Checksum of UDP over IPv4: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| is_udp(packet, false), |sums| sums.transport_bad)
    }),
    keyword("udpv6-csum", "Checksum of UDP over IPv6: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| is_udp(packet, true), |sums| sums.transport_bad)
    }),
    keyword("icmpv4-csum", "Checksum of ICMP: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| is_icmp(packet, false), |sums| sums.transport_bad)
    }),
    keyword("icmpv6-csum", "Checksum of ICMPv6: valid or invalid", Arity::Required, |draft, _, it| {
        checksum(draft, it, |packet| is_icmp(packet, true), |sums| sums.transport_bad)
    }),
    keyword("igmp-csum", "Checksum of IGMP: valid or invalid", Arity::Required, igmp_checksum),
];

/// A yes or no about the packet.
struct Is(fn(&Packet<'_>) -> bool);

impl Condition for Is {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.packet.is_some_and(self.0)
    }
}

fn packet(draft: &mut Draft, test: fn(&Packet<'_>) -> bool) -> Outcome {
    draft.conditions.push(Box::new(Is(test)));
    draft.packet = true;
    Ok(())
}

/// The packet is ARP.
pub(super) fn arp() -> impl Condition + 'static {
    Is(is_arp)
}

fn is_arp(packet: &Packet<'_>) -> bool {
    packet.ip.is_none() && packet.ethernet.is_some_and(|ethernet| ethernet.ethertype == 0x0806)
}

/// A call of ONC RPC (RFC 5531, 9), over UDP or behind the record mark of TCP. `None` is any.
struct RpcCall([Option<u32>; 3]);

impl Condition for RpcCall {
    fn holds(&self, view: &View<'_>) -> bool {
        let Some(packet) = view.moment.packet else { return false };
        let payload = match packet.transport {
            Transport::Tcp(_) => packet.payload().get(4..),
            Transport::Udp => Some(packet.payload()),
            _ => None,
        };
        let word = |at: usize| Some(u32::from_be_bytes(*payload?.get(4 * at..)?.first_chunk()?));
        // Identifier, call (0), version of RPC (2), program, its version, procedure.
        word(1) == Some(0)
            && word(2) == Some(2)
            && self.0.iter().zip(3..).all(|(wanted, at)| wanted.is_none_or(|wanted| word(at) == Some(wanted)))
    }
}

fn rpc(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut wanted = [None; 3];
    let mut parts = it.value.split(',');
    for (at, (slot, word)) in wanted.iter_mut().zip(&mut parts).enumerate() {
        // Any version and procedure may be meant, but of one program.
        if at == 0 || word.text != "*" {
            *slot = Some(literal(word, 0, u32::MAX.into())? as u32);
        }
    }
    if let Some(extra) = parts.next() {
        return Err(Problem::new(
            "invalid-value",
            say!("a call has a program, a version and a procedure"),
            extra.span(),
        ));
    }
    draft.conditions.push(Box::new(RpcCall(wanted)));
    draft.packet = true;
    Ok(())
}

/// How bits are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// These and no others.
    Exact,
    /// All of these.
    All,
    /// At least one of these.
    Any,
    /// None of these.
    None,
}

/// A condition on flags of a header.
struct Bits {
    read: fn(&Packet<'_>) -> Option<u64>,
    mode: Mode,
    bits: u64,
    ignored: u64,
    /// What they are the value of, for the index.
    key: Option<Key>,
}

impl Bits {
    fn hold(&self, value: u64) -> bool {
        let value = value & !self.ignored;
        match self.mode {
            Mode::Exact => value == self.bits,
            Mode::All => value & self.bits == self.bits,
            Mode::Any => value & self.bits != 0,
            Mode::None => value & self.bits == 0,
        }
    }
}

impl Condition for Bits {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.packet.and_then(self.read).is_some_and(|value| self.hold(value))
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        let values = (0..=255).filter(|&value| self.hold(value)).map(|value| (value, value));
        Some((self.key?, RangeSet::new(values.collect())))
    }
}

/// Splits the modifier off.
fn mode(word: Word<'_>) -> (Mode, Word<'_>) {
    let modifiers = [('+', Mode::All), ('*', Mode::Any), ('!', Mode::None)];
    for (symbol, mode) in modifiers {
        if let Some(rest) = word.text.strip_prefix(symbol) {
            return (mode, word.part(rest).trim());
        }
        if let Some(rest) = word.text.strip_suffix(symbol) {
            return (mode, word.part(rest).trim());
        }
    }
    (Mode::Exact, word)
}

/// The bits that letters stand for.
fn letters(word: Word<'_>, known: &[(char, u64)]) -> Result<u64, Problem> {
    word.text.char_indices().try_fold(0, |bits, (at, letter)| {
        match known.iter().find(|entry| entry.0 == letter.to_ascii_uppercase()) {
            Some((_, bit)) => Ok(bits | bit),
            None => {
                let names: String = known.iter().map(|entry| entry.0).collect();
                let span = word.part(&word.text[at..at + letter.len_utf8()]).span();
                Err(Problem::new("unknown-value", say!("`{}` is not a flag", letter), span)
                    .help(say!("expected letters of {}", names)))
            }
        }
    })
}

const TCP_FLAGS: &[(char, u64)] = &[
    ('F', 0x01),
    ('S', 0x02),
    ('R', 0x04),
    ('P', 0x08),
    ('A', 0x10),
    ('U', 0x20),
    ('E', 0x40),
    ('C', 0x80),
    // ECN's bits were reserved once; old rules call them 1 and 2.
    ('2', 0x40),
    ('1', 0x80),
    ('0', 0),
];

fn tcp_flags(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let read: fn(&Packet<'_>) -> Option<u64> = |packet| Some(tcp(packet)?.flags.into());
    draft.packet = true;
    if it.value.text.starts_with(['&', '<', '>', '=']) || it.value.text.starts_with("0x") {
        let test = integer::parse(it.value, Domain::unsigned(8))?;
        draft.conditions.push(Box::new(Flags { read, test }));
        return Ok(());
    }
    let (wanted, ignored) = it.value.split_once(',').unwrap_or((it.value, it.value.part("")));
    let (mode, wanted) = mode(wanted);
    if wanted.text.is_empty() {
        return Err(Problem::new("missing-value", say!("no flag is named"), it.value.span()));
    }
    let (bits, ignored) = (letters(wanted, TCP_FLAGS)?, letters(ignored, TCP_FLAGS)?);
    draft.conditions.push(Box::new(Bits { read, mode, bits: bits & !ignored, ignored, key: Some(Key::TcpFlags) }));
    Ok(())
}

/// Flags as a number.
struct Flags {
    read: fn(&Packet<'_>) -> Option<u64>,
    test: IntegerTest,
}

impl Condition for Flags {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.packet.and_then(self.read).is_some_and(|value| self.test.holds(value))
    }
}

fn fragbits(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let (mode, wanted) = mode(it.value);
    let bits = letters(wanted, &[('M', 1), ('D', 2), ('R', 4)])?;
    let read = |packet: &Packet<'_>| Some(u64::from(*ip(packet, false)?.get(6)? >> 5));
    draft.conditions.push(Box::new(Bits { read, mode, bits, ignored: 0, key: None }));
    draft.packet = true;
    Ok(())
}

/// Options of the IPv4 header (IANA) by the names that rules have for them.
const IP_OPTIONS: &[(&str, u8)] = &[
    ("eol", 0),
    ("nop", 1),
    ("rr", 7),
    ("qs", 25),
    ("ts", 68),
    ("sec", 130),
    ("lsrr", 131),
    ("esec", 133),
    ("cipso", 134),
    ("satid", 136),
    ("ssrr", 137),
    ("rtralt", 148),
];

/// The packet has this option, or any.
struct IpOption(Option<u8>);

impl Condition for IpOption {
    fn holds(&self, view: &View<'_>) -> bool {
        let options = view.moment.packet.and_then(|packet| ip(packet, false)?.get(20..));
        let mut rest = options.unwrap_or_default();
        while let [kind, tail @ ..] = rest {
            if self.0.is_none_or(|wanted| wanted == *kind) {
                return true;
            }
            rest = match kind {
                0 => return false,
                1 => tail,
                _ => rest.get(usize::from(tail.first().copied().unwrap_or(0)).max(2)..).unwrap_or_default(),
            };
        }
        false
    }
}

fn ipopts(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let wanted = match it.value.text {
        "any" => None,
        text => match IP_OPTIONS.iter().find(|option| option.0 == text) {
            Some(option) => Some(option.1),
            None => {
                let names: Vec<_> = IP_OPTIONS.iter().map(|option| option.0).collect();
                return Err(Problem::new("unknown-value", say!("`{}` is not an IP option", text), it.value.span())
                    .help(say!("expected any, {}", names.join(", "))));
            }
        },
    };
    draft.conditions.push(Box::new(IpOption(wanted)));
    draft.packet = true;
    Ok(())
}

struct VlanId {
    test: IntegerTest,
    which: Which,
}

impl Condition for VlanId {
    fn holds(&self, view: &View<'_>) -> bool {
        let Some(packet) = view.moment.packet else { return false };
        self.which.holds(|meet| packet.vlans.ids().iter().for_each(|&id| meet(self.test.holds(id.into()))))
    }
}

fn vlan_id(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    let (test, which) = many::integer(it.value.unquoted(), Domain::unsigned(12), Some(-3..=2))?;
    draft.conditions.push(Box::new(VlanId { test, which }));
    draft.packet = true;
    Ok(())
}

fn is_udp(packet: &Packet<'_>, v6: bool) -> bool {
    packet.transport == Transport::Udp && ip(packet, v6).is_some()
}

/// What a checksum says.
struct Checksum {
    has: fn(&Packet<'_>) -> bool,
    bad: fn(Checksums) -> bool,
    wanted_bad: bool,
}

impl Condition for Checksum {
    fn holds(&self, view: &View<'_>) -> bool {
        let packet = view.moment.packet.filter(|packet| (self.has)(packet));
        packet.is_some_and(|packet| (self.bad)(packet.checksums()) == self.wanted_bad)
    }
}

/// `valid` or `invalid`; true is the latter.
fn invalid(word: Word<'_>) -> Result<bool, Problem> {
    match word.unquoted().text {
        "valid" => Ok(false),
        "invalid" => Ok(true),
        text => Err(Problem::new("unknown-value", say!("`{}` is not a state of a checksum", text), word.span())
            .help(say!("expected valid or invalid"))),
    }
}

fn checksum(draft: &mut Draft, it: Use<'_>, has: fn(&Packet<'_>) -> bool, bad: fn(Checksums) -> bool) -> Outcome {
    draft.conditions.push(Box::new(Checksum { has, bad, wanted_bad: invalid(it.value)? }));
    draft.packet = true;
    Ok(())
}

/// The checksum of an IGMP message (RFC 3376, 4.1.2), which decoding leaves alone.
fn igmp_checksum(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    fn sum(packet: &Packet<'_>) -> Option<u32> {
        use crate::engine::buffer::{is_igmp, segment};
        let message = segment(packet).filter(|_| is_igmp(packet))?;
        let words = message.chunks(2).map(|pair| match *pair {
            [high, low] => u32::from(high) << 8 | u32::from(low),
            [high] => u32::from(high) << 8,
            _ => 0,
        });
        let mut sum: u32 = words.sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        Some(sum)
    }
    match invalid(it.value)? {
        true => packet(draft, |packet| sum(packet).is_some_and(|sum| sum != 0xffff)),
        false => packet(draft, |packet| sum(packet) == Some(0xffff)),
    }
}
