//! The record: one message, and when its request was made.

use super::message::{Edns, Entry, Message, Section};
use super::name::{Labels, Spelling};
use super::{eve, names};
use crate::dissector::{Pairing, Protocol, Record};
use crate::field::{Tree, Value, Visit};
use crate::identity::{End, Fact, FactKind, VisitFacts};
use crate::text::Line;

/// Octets of a record's data as text; what goes beyond is cut.
pub(super) type Text = Line<1024>;

/// A message with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) protocol: &'static Protocol,
    pub(super) message: &'a Message<'a>,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

impl Record for Exchange<'_> {
    fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        eve::write(self, tree);
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    fn pairing(&self) -> Pairing {
        self.pairing
    }

    /// Who answers in multicast tells its own name: the owner of an address.
    fn facts(&self, out: &mut VisitFacts<'_>) {
        if std::ptr::eq(self.protocol, &super::PROTOCOL) || !self.message.header.is_response() {
            return;
        }
        // In multicast DNS responses go to the group, so it is the client who answers.
        let of = if std::ptr::eq(self.protocol, &super::MDNS) { End::Client } else { End::Server };
        let mut spelling = Spelling::new();
        let mut answers = self.message.entries(Section::Answer).chain(self.message.entries(Section::Additional));
        if let Some(host) = answers.find(|entry| matches!(entry.kind, names::A | names::AAAA)) {
            let name = spelling.read(self.message.bytes, host.at).text;
            out(Fact { of, kind: FactKind::Name, value: Value::Bytes(name) });
        }
        // Apple's, and by its example others' (DNS-SD TXT records, RFC 6763 §6).
        let device_info = |entry: &Entry<'_>| entry.name().nth(1) == Some(b"_device-info");
        for entry in self.message.records().filter(|entry| entry.kind == names::TXT && device_info(entry)) {
            let model = entry.rdata.strings().find_map(|pair| pair.strip_prefix(b"model="));
            if let Some(model) = model {
                out(Fact { of, kind: FactKind::Model, value: Value::Bytes(model) });
            }
        }
    }
}

impl<'a> Exchange<'a> {
    fn entries(&self, section: Section) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.message.entries(section)
    }

    fn names(&self, section: Section, out: &mut Visit<'_>) {
        if self.message.header.counts.get(section as usize) == Some(&0) {
            return;
        }
        let mut spelling = Spelling::new();
        self.entries(section).for_each(|entry| out(Value::Bytes(spelling.read(self.message.bytes, entry.at).text)));
    }

    /// Every name that a response has: owners, and the names that data are or lead to.
    fn response_names(&self, out: &mut Visit<'_>) {
        if !self.message.header.is_response() {
            return;
        }
        self.names(Section::Question, out);
        let mut spelling = Spelling::new();
        let mut spell = |at| out(Value::Bytes(spelling.read(self.message.bytes, at).text));
        for entry in self.message.records().filter(|entry| entry.kind != names::OPT) {
            spell(entry.at);
            entry.rdata.name_at().into_iter().for_each(&mut spell);
        }
    }

    fn numbers(&self, section: Section, number: fn(&Entry<'_>) -> u32, out: &mut Visit<'_>) {
        self.entries(section).for_each(|entry| out(Value::Unsigned(number(&entry).into())));
    }

    /// A class without the bit that multicast gives another meaning.
    fn class(&self, entry: &Entry<'_>) -> u16 {
        if std::ptr::eq(self.protocol, &super::MDNS) { entry.class & 0x7fff } else { entry.class }
    }

    /// Is that bit set in one of the entries?
    fn multicast_bit(&self, mut entries: impl Iterator<Item = Entry<'a>>, out: &mut Visit<'_>) {
        if std::ptr::eq(self.protocol, &super::MDNS) {
            out(Value::Flag(entries.any(|entry| entry.kind != names::OPT && entry.class & 0x8000 != 0)));
        }
    }

    fn edns(&self, out: impl FnOnce(Edns<'a>)) {
        if let Some(edns) = self.message.edns() {
            out(edns);
        }
    }

    /// The subnet that a resolver asks for: address and length of the prefix (RFC 7871 §6).
    fn client_subnet(&self, out: &mut Visit<'_>) {
        self.edns(|edns| {
            for (_, data) in edns.options().filter(|option| option.0 == names::CLIENT_SUBNET) {
                let [_, family, prefix, _, ref address @ ..] = *data else { continue };
                let mut octets = [0; 16];
                octets.iter_mut().zip(address).for_each(|(octet, given)| *octet = *given);
                let [a, b, c, d, ..] = octets;
                let text = match family {
                    1 => Text::of(format_args!("{}/{prefix}", std::net::Ipv4Addr::new(a, b, c, d))),
                    _ => Text::of(format_args!("{}/{prefix}", std::net::Ipv6Addr::from(octets))),
                };
                out(Value::Text(text.as_str()));
            }
        });
    }

    fn extended_errors(&self, out: &mut Visit<'_>) {
        self.edns(|edns| {
            let errors = edns.options().filter(|option| option.0 == names::EXTENDED_ERROR);
            errors
                .filter_map(|(_, data)| super::message::word(data, 0))
                .for_each(|code| out(Value::Unsigned(code.into())));
        });
    }

    fn texts(&self, out: &mut Visit<'_>) {
        let texts = self.entries(Section::Answer).filter(|entry| entry.kind == names::TXT);
        texts.flat_map(|entry| entry.rdata.strings()).for_each(|string| out(Value::Bytes(string)));
    }

    fn rdata(&self, out: &mut Visit<'_>) {
        self.entries(Section::Answer)
            .for_each(|entry| out(Value::Text(Text::of(format_args!("{}", entry.rdata)).as_str())));
    }

    fn label_lengths(&self, out: &mut Visit<'_>) {
        for entry in self.entries(Section::Question) {
            let length: usize = Labels::new(self.message.bytes, entry.at).map(|label| label.len() + 1).sum();
            out(Value::Unsigned(length.saturating_sub(1) as u64));
        }
    }
}

crate::fields! {
    /// What a rule can ask of a DNS message. Names with `rrname` are Suricata's keywords.
    pub(super) static FIELDS, visit(record: &Exchange<'_>, out) {
        frame_pdu as "frame.pdu": Bytes, One, "The whole message, without the length that stands in front in streams"
            => out(Value::Bytes(record.message.bytes));
        id: Unsigned { bits: 16, names: &[] }, One, "Identifier, which a response repeats (RFC 1035 §4.1.1)"
            => out(Value::Unsigned(record.message.header.id.into()));
        flags: Unsigned { bits: 16, names: &[] }, One, "Second word of the header: all flags, opcode and response code"
            => out(Value::Unsigned(record.message.header.flags.into()));
        qr: Flag, One, "Is it a response?" => out(Value::Flag(record.message.header.is_response()));
        opcode: Unsigned { bits: 8, names: names::OPCODES }, One, "Kind of request (RFC 1035 §4.1.1, RFC 1996, RFC 2136)"
            => out(Value::Unsigned(record.message.header.opcode().into()));
        aa: Flag, One, "Is the answer authoritative? In LLMNR: is there a conflict?"
            => out(Value::Flag(record.message.header.authoritative()));
        tc: Flag, One, "Is the message truncated?" => out(Value::Flag(record.message.header.truncated()));
        rd: Flag, One, "Is recursion desired? In LLMNR: is the name tentative?"
            => out(Value::Flag(record.message.header.recursion_desired()));
        ra: Flag, One, "Is recursion available?" => out(Value::Flag(record.message.header.recursion_available()));
        z: Flag, One, "The reserved bit" => out(Value::Flag(record.message.header.reserved()));
        ad: Flag, One, "Are the data authentic? (RFC 4035 §3.2.3)"
            => out(Value::Flag(record.message.header.authentic_data()));
        cd: Flag, One, "Is checking disabled? (RFC 4035 §3.2.2)"
            => out(Value::Flag(record.message.header.checking_disabled()));
        rcode: Unsigned { bits: 16, names: names::RCODES }, One,
            "Response code, with the bits that EDNS adds (RFC 1035 §4.1.1, RFC 6891 §6.1.3)"
            => out(Value::Unsigned(record.message.rcode().into()));
        query_count: Unsigned { bits: 16, names: &[] }, One, "Questions that the header announces"
            => out(Value::Unsigned(record.message.header.counts[0].into()));
        answer_count: Unsigned { bits: 16, names: &[] }, One, "Answers that the header announces"
            => out(Value::Unsigned(record.message.header.counts[1].into()));
        authority_count: Unsigned { bits: 16, names: &[] }, One, "Authority records that the header announces"
            => out(Value::Unsigned(record.message.header.counts[2].into()));
        additional_count: Unsigned { bits: 16, names: &[] }, One, "Additional records that the header announces"
            => out(Value::Unsigned(record.message.header.counts[3].into()));
        query: Bytes, Many, "Names that a request asks for"
            => if !record.message.header.is_response() { record.names(Section::Question, out) };
        queries_rrname as "queries.rrname": Bytes, Many, "Names in the questions of a request or response"
            => record.names(Section::Question, out);
        query_type: Unsigned { bits: 16, names: names::TYPES }, Many, "Types in the questions (RFC 1035 §3.2.3)"
            => record.numbers(Section::Question, |entry| entry.kind.into(), out);
        query_class: Unsigned { bits: 16, names: names::CLASSES }, Many, "Classes in the questions (RFC 1035 §3.2.5)"
            => record.entries(Section::Question).for_each(|entry| out(Value::Unsigned(record.class(&entry).into())));
        query_length: Unsigned { bits: 16, names: &[] }, Many, "Lengths of the names in the questions, in characters"
            => record.label_lengths(out);
        unicast_response: Flag, Optional, "Does multicast DNS ask for a unicast response? (RFC 6762 §5.4)"
            => record.multicast_bit(record.entries(Section::Question), out);
        rrtype: Unsigned { bits: 16, names: names::TYPES }, Many, "Types of the questions and answers (RFC 1035 §3.2.2)"
            => { record.numbers(Section::Question, |entry| entry.kind.into(), out);
                 record.numbers(Section::Answer, |entry| entry.kind.into(), out) };
        answers_rrname as "answers.rrname": Bytes, Many, "Names that answers are about"
            => record.names(Section::Answer, out);
        answer_type: Unsigned { bits: 16, names: names::TYPES }, Many, "Types of the answers"
            => record.numbers(Section::Answer, |entry| entry.kind.into(), out);
        answer_class: Unsigned { bits: 16, names: names::CLASSES }, Many, "Classes of the answers"
            => record.entries(Section::Answer).for_each(|entry| out(Value::Unsigned(record.class(&entry).into())));
        ttl: Unsigned { bits: 32, names: &[] }, Many, "Times to live of the answers, in seconds"
            => record.numbers(Section::Answer, |entry| entry.ttl, out);
        cache_flush: Flag, Optional, "Does multicast DNS have older records of a name forgotten? (RFC 6762 §10.2)"
            => record.multicast_bit(record.message.records(), out);
        address: Address, Many, "Addresses of A and AAAA records in the answers"
            => record.entries(Section::Answer).filter_map(|entry| entry.rdata.address())
                .for_each(|address| out(Value::Address(address)));
        text: Bytes, Many, "Character strings of TXT records in the answers" => record.texts(out);
        answers_rdata as "answers.rdata": Text, Many, "Data of the answers as master files write them (RFC 1035 §5.1)"
            => record.rdata(out);
        authorities_rrname as "authorities.rrname": Bytes, Many, "Names that authority records are about"
            => record.names(Section::Authority, out);
        authority_type: Unsigned { bits: 16, names: names::TYPES }, Many, "Types of the authority records"
            => record.numbers(Section::Authority, |entry| entry.kind.into(), out);
        additionals_rrname as "additionals.rrname": Bytes, Many, "Names that additional records are about"
            => record.names(Section::Additional, out);
        additional_type: Unsigned { bits: 16, names: names::TYPES }, Many, "Types of the additional records"
            => record.numbers(Section::Additional, |entry| entry.kind.into(), out);
        response_rrname as "response.rrname": Bytes, Many,
            "Every name in a response: of questions and records, and those that their data are or lead to"
            => record.response_names(out);
        edns_version: Unsigned { bits: 8, names: &[] }, Optional, "Version of EDNS (RFC 6891 §6.1.3)"
            => record.edns(|edns| out(Value::Unsigned(edns.version().into())));
        edns_udp_size: Unsigned { bits: 16, names: &[] }, Optional, "Octets of a datagram that the sender can take (RFC 6891 §6.2.3)"
            => record.edns(|edns| out(Value::Unsigned(edns.udp_size().into())));
        edns_do: Flag, Optional, "Does the sender want DNSSEC's records? (RFC 3225)"
            => record.edns(|edns| out(Value::Flag(edns.dnssec_ok())));
        edns_option: Unsigned { bits: 16, names: names::OPTIONS }, Many, "Options of EDNS (RFC 6891 §6.1.2)"
            => record.edns(|edns| edns.options().for_each(|option| out(Value::Unsigned(option.0.into()))));
        client_subnet: Text, Many, "Subnet for which is asked, as address/prefix (RFC 7871)" => record.client_subnet(out);
        extended_error: Unsigned { bits: 16, names: &[] }, Many, "Extended error codes (RFC 8914)"
            => record.extended_errors(out);
    }
}
