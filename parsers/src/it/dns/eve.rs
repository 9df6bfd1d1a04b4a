//! The record as Suricata 8 lays it out: version 3 of its `dns`.

use std::fmt::Display;

use super::message::{Entry, Section};
use super::name::Spelling;
use super::names::{self, Named, type_name};
use super::rdata::{Soa, Srv, Sshfp};
use super::record::{Exchange, Text};
use crate::dissector::Pairing;
use crate::field::Tree;

const VERSION: u64 = 3;
/// Entries of a section that are written: bounds the length of an event.
const MOST_LISTED: usize = 256;
/// Octets of several character strings in a row; what goes beyond is cut.
const LONGEST_TEXT: usize = 4096;

/// Types of answers that are listed once more by type, where consumers of EVE look for them.
const GROUPED: &[u16] = {
    use names::*;
    &[A, AAAA, CNAME, MX, NS, NULL, PTR, SOA, SRV, SSHFP, TXT]
};

pub(super) fn write(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let (message, header) = (record.message, record.message.header);
    tree.unsigned("version", VERSION);
    tree.text(
        "type",
        match (header.is_response(), record.pairing) {
            (_, Pairing::Unanswered) => "unanswered",
            (false, _) => "request",
            (true, _) => "response",
        },
    );
    tree.unsigned("tx_id", record.transaction.saturating_sub(1));
    tree.unsigned("id", header.id.into());
    text(tree, "flags", format_args!("{:x}", header.flags));
    for (key, flag) in [
        ("qr", header.is_response()),
        ("aa", header.authoritative()),
        ("tc", header.truncated()),
        ("rd", header.recursion_desired()),
        ("ra", header.recursion_available()),
        ("z", header.reserved()),
    ] {
        if flag {
            tree.flag(key, true);
        }
    }
    tree.unsigned("opcode", header.opcode().into());
    text(tree, "rcode", Named(names::RCODES, "RCODE", message.rcode()));
    for (section, key, omitted) in [
        (Section::Question, "queries", "queries_omitted"),
        (Section::Answer, "answers", "answers_omitted"),
        (Section::Authority, "authorities", "authorities_omitted"),
        (Section::Additional, "additionals", "additionals_omitted"),
    ] {
        let mut entries = message.entries(section).peekable();
        if entries.peek().is_none() {
            continue;
        }
        tree.list(key);
        for entry in entries.by_ref().take(MOST_LISTED) {
            tree.object("");
            write_entry(record, &entry, section, tree);
            tree.end();
        }
        tree.end();
        let more = entries.count();
        if more > 0 {
            tree.unsigned(omitted, more as u64);
        }
    }
    write_grouped(record, tree);
}

/// Text that is put together.
fn text(tree: &mut dyn Tree, key: &'static str, value: impl Display) {
    tree.octets(key, Text::of(format_args!("{value}")).as_bytes());
}

fn name(record: &Exchange<'_>, at: usize, key: &'static str, cut: &'static str, tree: &mut dyn Tree) {
    let mut spelling = Spelling::new();
    let spelt = spelling.read(record.message.bytes, at);
    tree.octets(key, spelt.text);
    if spelt.cut {
        tree.flag(cut, true);
    }
}

fn write_entry(record: &Exchange<'_>, entry: &Entry<'_>, section: Section, tree: &mut dyn Tree) {
    name(record, entry.at, "rrname", "rrname_truncated", tree);
    text(tree, "rrtype", type_name(entry.kind));
    if section == Section::Question {
        return;
    }
    if entry.kind == names::OPT {
        let Some(edns) = record.message.edns() else { return };
        tree.unsigned("udp_size", edns.udp_size().into());
        tree.unsigned("edns_version", edns.version().into());
        tree.flag("do", edns.dnssec_ok());
    } else {
        tree.unsigned("ttl", entry.ttl.into());
    }
    let rdata = match entry.kind {
        names::SOA => "soa",
        names::SRV => "srv",
        names::SSHFP => "sshfp",
        _ => "rdata",
    };
    write_data(record, entry, rdata, tree);
}

/// The data of a record: an object for some types, else text.
fn write_data(record: &Exchange<'_>, entry: &Entry<'_>, key: &'static str, tree: &mut dyn Tree) {
    use names::*;
    match entry.kind {
        SOA => {
            if let Some(soa) = entry.rdata.soa() {
                tree.object(key);
                write_soa(record, &soa, tree);
                tree.end();
            }
        }
        SRV => {
            if let Some(Srv { priority, weight, port, target }) = entry.rdata.srv() {
                tree.object(key);
                tree.unsigned("priority", priority.into());
                tree.unsigned("weight", weight.into());
                tree.unsigned("port", port.into());
                name(record, target, "name", "name_truncated", tree);
                tree.end();
            }
        }
        SSHFP => {
            if let Some(Sshfp { algorithm, kind, fingerprint }) = entry.rdata.sshfp() {
                tree.object(key);
                write_fingerprint(fingerprint, tree);
                tree.unsigned("algo", algorithm.into());
                tree.unsigned("type", kind.into());
                tree.end();
            }
        }
        CNAME | MX | NS | PTR => {
            if let Some(at) = entry.rdata.name_at() {
                tree.octets(key, Spelling::new().read(record.message.bytes, at).text);
            }
        }
        TXT => write_strings(entry, key, tree),
        NULL => tree.octets(key, entry.rdata.bytes()),
        A | AAAA if entry.rdata.address().is_none() => tree.text(key, ""),
        _ => text(tree, key, entry.rdata),
    }
}

fn write_soa(record: &Exchange<'_>, soa: &Soa, tree: &mut dyn Tree) {
    name(record, soa.mname, "mname", "mname_truncated", tree);
    name(record, soa.rname, "rname", "rname_truncated", tree);
    for (key, number) in ["serial", "refresh", "retry", "expire", "minimum"].into_iter().zip(soa.numbers) {
        tree.unsigned(key, number.into());
    }
}

/// A fingerprint as tools print it: pairs of digits with colons between.
fn write_fingerprint(fingerprint: &[u8], tree: &mut dyn Tree) {
    struct Colons<'a>(&'a [u8]);
    impl Display for Colons<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            for (at, octet) in self.0.iter().enumerate() {
                write!(f, "{}{octet:02x}", if at == 0 { "" } else { ":" })?;
            }
            Ok(())
        }
    }
    text(tree, "fingerprint", Colons(fingerprint));
}

/// Character strings in a row, as those that use long texts mean them (RFC 7208 §3.3).
fn write_strings(entry: &Entry<'_>, key: &'static str, tree: &mut dyn Tree) {
    let mut strings = entry.rdata.strings();
    let first = strings.next().unwrap_or_default();
    let Some(second) = strings.next() else { return tree.octets(key, first) };
    let (mut joined, mut length) = ([0; LONGEST_TEXT], 0);
    for string in [first, second].into_iter().chain(strings) {
        let taken = string.get(..LONGEST_TEXT - length).unwrap_or(string);
        if let Some(place) = joined.get_mut(length..length + taken.len()) {
            place.copy_from_slice(taken);
            length += taken.len();
        }
    }
    tree.octets(key, joined.get(..length).unwrap_or_default());
}

fn write_grouped(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let answers = || record.message.entries(Section::Answer).take(MOST_LISTED);
    if !record.message.header.is_response() || !answers().any(|answer| GROUPED.contains(&answer.kind)) {
        return;
    }
    tree.object("grouped");
    for &kind in GROUPED {
        let mut same = answers().filter(|answer| answer.kind == kind).peekable();
        if same.peek().is_none() {
            continue;
        }
        tree.list(crate::field::name_of(names::TYPES, kind.into()).unwrap_or_default());
        same.for_each(|answer| write_data(record, &answer, "", tree));
        tree.end();
    }
    tree.end();
}
