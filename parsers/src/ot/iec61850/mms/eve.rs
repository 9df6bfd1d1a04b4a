//! The record of MMS as a tree: one transaction, what was asked and what came of it.

use std::fmt::Display;

use super::super::data;
use super::association::Association;
use super::control::Command;
use super::names;
use super::object::{Access, File, Target};
use super::pdu::{Initiation, Message, Pdu, kind};
use super::record::Exchange;
use super::report::Report;
use super::service::{self, SERVICES, number};
use crate::encoding::ber::{Element, Elements, ObjectIdentifier};
use crate::field::{Names, Tree, name_of};
use crate::text::Line;

/// Entries of one list that are written out.
const MOST: usize = 1024;

pub(super) fn write(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let message = record.message;
    if let Some(pdu) = message.pdu {
        name("pdu", names::PDUS, pdu.kind.into(), tree);
    } else if let Some(session) = message.session {
        name("session", names::SESSION, session.into(), tree);
    }
    if let Some(id) = message.pdu.and_then(|pdu| pdu.invoke_id) {
        tree.unsigned("invoke_id", id.into());
    }
    match (record.service(), message.pdu.and_then(|pdu| pdu.of(kind::UNCONFIRMED))) {
        (Some(service), _) => name("service", SERVICES, service.into(), tree),
        (None, Some((service, _))) => name("service", names::UNCONFIRMED, service.into(), tree),
        (None, None) => {}
    }
    associations(record, tree);
    asked(record, tree);
    controls(record, tree);
    answered(record, tree);
    if let Some(report) = record.report() {
        tree.object("report");
        write_report(&report, tree);
        tree.end();
    }
    if let Some(refusal) = record.refusal() {
        tree.object("command_refused");
        tree.octets("object", refusal.object);
        signed_name("error", names::COMMAND_ERRORS, refusal.error, tree);
        originator(refusal.category, refusal.originator, tree);
        if let Some(number) = refusal.number {
            tree.unsigned("number", number);
        }
        if let Some(cause) = refusal.cause {
            signed_name("cause", names::CAUSES, cause, tree);
        }
        tree.end();
    }
    failed(message, tree);
}

/// The name of a number, or the number where it has none.
fn name(key: &'static str, names: Names, number: u64, tree: &mut dyn Tree) {
    match name_of(names, number) {
        Some(name) => tree.text(key, name),
        None => tree.unsigned(key, number),
    }
}

fn signed_name(key: &'static str, names: Names, number: i64, tree: &mut dyn Tree) {
    match u64::try_from(number) {
        Ok(number) => name(key, names, number, tree),
        Err(_) => tree.signed(key, number),
    }
}

fn line(key: &'static str, text: impl Display, tree: &mut dyn Tree) {
    tree.octets(key, Line::<256>::of(format_args!("{text}")).as_bytes());
}

fn octets(key: &'static str, value: Option<Element<'_>>, tree: &mut dyn Tree) {
    if let Some(value) = value {
        tree.octets(key, value.contents);
    }
}

fn unsigned(key: &'static str, value: Option<Element<'_>>, tree: &mut dyn Tree) {
    if let Some(value) = value.and_then(|value| value.unsigned()) {
        tree.unsigned(key, value);
    }
}

fn flag(key: &'static str, value: Option<Element<'_>>, tree: &mut dyn Tree) {
    if let Some(value) = value.and_then(|value| value.boolean()) {
        tree.flag(key, value);
    }
}

fn texts(key: &'static str, list: Option<Element<'_>>, tree: &mut dyn Tree) {
    if let Some(list) = list {
        tree.list(key);
        list.elements().take(MOST).for_each(|text| tree.octets("", text.contents));
        tree.end();
    }
}

/// The associations of request and answer, and what they agree on.
fn associations(record: &Exchange<'_>, tree: &mut dyn Tree) {
    for (side, message) in [("request", record.request), ("", Some(record.message))] {
        let Some(message) = message else { continue };
        let initiation = message.pdu.and_then(|pdu| Initiation::read(&pdu));
        if message.association.is_none() && initiation.is_none() {
            continue;
        }
        let answers = record.request.is_some() || message.pdu.is_some_and(|pdu| pdu.kind == kind::INITIATE_RESPONSE);
        tree.object(if side.is_empty() && answers { "response" } else { "request" });
        if let Some(association) = &message.association {
            write_association(association, tree);
        }
        if let Some(initiation) = initiation {
            write_initiation(&initiation, tree);
        }
        tree.end();
    }
}

fn write_association(association: &Association<'_>, tree: &mut dyn Tree) {
    name("association", names::ASSOCIATION, association.kind.into(), tree);
    for (key, value) in [
        ("context", association.context),
        ("called_title", association.called_title),
        ("calling_title", association.calling_title),
        ("responding_title", association.responding_title),
        ("mechanism", association.mechanism),
    ] {
        if let Some(value) = value {
            line(key, ObjectIdentifier(value), tree);
        }
    }
    for (key, value) in [
        ("called_qualifier", association.called_qualifier),
        ("calling_qualifier", association.calling_qualifier),
        ("responding_qualifier", association.responding_qualifier),
    ] {
        if let Some(value) = value {
            tree.signed(key, value);
        }
    }
    // Never the proof itself: it may be a password.
    if let Some(proof) = association.proof {
        tree.unsigned("authentication_bytes", proof.len() as u64);
    }
    if let Some(result) = association.result {
        name("result", names::ASSOCIATION_RESULTS, result, tree);
    }
    if let Some(reason) = association.reason {
        tree.unsigned("reason", reason);
    }
}

fn write_initiation<'a>(initiation: &Initiation<'a>, tree: &mut dyn Tree) {
    for (key, value) in [
        ("longest_pdu", initiation.longest),
        ("outstanding_calling", initiation.calling),
        ("outstanding_called", initiation.called),
        ("nesting_level", initiation.nesting),
        ("version", initiation.version),
    ] {
        if let Some(value) = value {
            tree.unsigned(key, value);
        }
    }
    // The first octet counts the bits of padding.
    let bits = |bits: Option<Element<'a>>| bits.and_then(|bits| bits.contents.get(1..));
    if let Some(parameters) = bits(initiation.parameters) {
        named_bits("parameters", names::PARAMETERS.iter(), parameters, tree);
    }
    if let Some(services) = bits(initiation.services) {
        // Behind the last of the first edition, the bits are no longer the numbers of the confirmed services.
        let confirmed = SERVICES.iter().take_while(|(service, _)| *service <= number::FILE_DIRECTORY.into());
        named_bits("services", confirmed.chain(names::OTHER_SERVICES), services, tree);
    }
}

/// The names of the bits that are set.
fn named_bits(
    key: &'static str,
    names: impl Iterator<Item = &'static (u64, &'static str)>,
    bits: &[u8],
    tree: &mut dyn Tree,
) {
    tree.list(key);
    for (bit, name) in names {
        let bit = *bit as usize;
        if bits.get(bit / 8).is_some_and(|octet| octet >> (7 - bit % 8) & 1 != 0) {
            tree.text("", name);
        }
    }
    tree.end();
}

/// What is addressed, and what is written to it.
fn asked(record: &Exchange<'_>, tree: &mut dyn Tree) {
    if record.report().is_none() {
        match record.access() {
            Some(Access::List(_)) => {
                tree.list("variables");
                record.targets(&mut |target| line("", target, tree));
                tree.end();
            }
            Some(Access::Named(Some(list))) => line("variable_list", list, tree),
            _ => record.targets(&mut |target| match target {
                Target::Domain(domain) => tree.octets("domain", domain),
                Target::Program(program) => tree.octets("program", program),
                Target::Station(station) => tree.octets("station", station),
                Target::File(_) => {}
                target => line("object", target, tree),
            }),
        }
    }
    let Some((service, argument)) = record.asked().request() else { return };
    files(record, tree);
    match service {
        number::WRITE => {
            if let Some(values) = record.asked().pdu.and_then(|pdu| pdu.values()) {
                data::write("values", values, tree);
            }
        }
        number::GET_NAME_LIST => {
            if let Some(class) = record.object_class() {
                name("object_class", names::OBJECT_CLASSES, class, tree);
            }
            let scope = service::field(&argument, 1).and_then(|scope| scope.elements().next());
            octets("domain", scope.filter(|scope| scope.tag.is_context(1)), tree);
            octets("continue_after", service::field(&argument, 2), tree);
        }
        _ => {}
    }
}

fn files(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let mut any = false;
    record.targets(&mut |target| {
        if let Target::File(file) = target {
            if !std::mem::replace(&mut any, true) {
                tree.list("files");
            }
            line("", file, tree);
        }
    });
    if any {
        tree.end();
    }
}

fn controls(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let mut any = false;
    record.controls(&mut |action, variable, command| {
        if !std::mem::replace(&mut any, true) {
            tree.list("controls");
        }
        tree.object("");
        line("object", variable, tree);
        name("action", names::CONTROLS, action as u64, tree);
        if let Some(command) = command {
            write_command(&command, tree);
        }
        tree.end();
    });
    if any {
        tree.end();
    }
}

fn write_command(command: &Command<'_>, tree: &mut dyn Tree) {
    for (key, datum) in [("value", command.value), ("operate_time", command.operate_time)] {
        if let Some(datum) = datum {
            data::write_one(key, datum, tree);
        }
    }
    originator(command.category, command.originator, tree);
    if let Some(number) = command.number {
        tree.unsigned("number", number);
    }
    if let Some(time) = command.time {
        data::write_one("time", time, tree);
    }
    if let Some(test) = command.test {
        tree.flag("test", test);
    }
    if let Some((check, count)) = command.check {
        data::write_bits("check", check, count, tree);
    }
}

fn originator(category: Option<i64>, identifier: Option<&[u8]>, tree: &mut dyn Tree) {
    if let Some(category) = category {
        signed_name("originator_category", names::ORIGINATORS, category, tree);
    }
    if let Some(identifier) = identifier {
        tree.octets("originator", identifier);
    }
}

/// What a response or a report brings.
fn answered(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let Some(pdu) = record.message.pdu else { return };
    if record.report().is_none()
        && let Some(results) = pdu.results()
    {
        write_results(&pdu, results, tree);
    }
    let Some((service, result)) = record.message.response() else { return };
    let field = |number| service::field(&result, number);
    match service {
        number::STATUS => {
            for (key, names, at) in [("logical", names::LOGICAL_STATES, 0), ("physical", names::PHYSICAL_STATES, 1)] {
                if let Some(state) = field(at).and_then(|state| state.unsigned()) {
                    name(key, names, state, tree);
                }
            }
        }
        number::GET_NAME_LIST => {
            tree.list("names");
            record.listed().take(MOST).for_each(|name| tree.octets("", name.contents));
            tree.end();
            flag("more_follows", field(1), tree);
        }
        number::IDENTIFY => {
            for (key, at) in [("vendor", 0), ("model", 1), ("revision", 2)] {
                octets(key, field(at), tree);
            }
        }
        number::GET_NAMED_VARIABLE_LIST_ATTRIBUTES => {
            flag("deletable", field(0), tree);
            if let Some(Access::List(list)) = field(1).map(|list| Access::List(list.elements())) {
                tree.list("members");
                Access::List(list).variables().take(MOST).for_each(|variable| line("", variable, tree));
                tree.end();
            }
        }
        number::DELETE_NAMED_VARIABLE_LIST => {
            unsigned("matched", field(0), tree);
            unsigned("deleted", field(1), tree);
        }
        number::DOWNLOAD_SEGMENT | number::UPLOAD_SEGMENT | number::FILE_READ => {
            // Contents of a segment are a choice of their own, of a file octets.
            let contents = result.elements().next().map_or(0, |contents| contents.contents.len());
            tree.unsigned("data_bytes", contents as u64);
            flag("more_follows", field(1), tree);
        }
        number::INITIATE_UPLOAD_SEQUENCE => texts("capabilities", field(1), tree),
        number::GET_PROGRAM_INVOCATION_ATTRIBUTES => {
            if let Some(state) = field(0).and_then(|state| state.unsigned()) {
                name("state", names::PROGRAM_STATES, state, tree);
            }
            texts("domains", field(1), tree);
        }
        number::FILE_OPEN => file_attributes(field(1), tree),
        number::FILE_DIRECTORY => {
            let list = field(0).map_or(Elements::new(&[], 0), |list| list.elements());
            // The list stands in a sequence of its own.
            let inner = list.clone().next().filter(|inner| inner.tag.class == 0 && list.clone().count() == 1);
            let entries = inner.filter(|inner| inner.elements().all(|entry| entry.tag.class == 0));
            tree.list("entries");
            for entry in entries.map_or(list, |inner| inner.elements()).take(MOST) {
                tree.object("");
                if let Some(file) = service::field(&entry, 0) {
                    line("file", File(file.contents), tree);
                }
                file_attributes(service::field(&entry, 1), tree);
                tree.end();
            }
            tree.end();
            flag("more_follows", field(1), tree);
        }
        _ => {}
    }
}

fn file_attributes(attributes: Option<Element<'_>>, tree: &mut dyn Tree) {
    if let Some(attributes) = attributes {
        unsigned("size", service::field(&attributes, 0), tree);
        octets("last_modified", service::field(&attributes, 1), tree);
    }
}

/// Each value read or reported, or what became of each written; why where it failed.
fn write_results(pdu: &Pdu<'_>, results: Elements<'_>, tree: &mut dyn Tree) {
    let written = matches!(pdu.of(kind::CONFIRMED_RESPONSE), Some((number::WRITE, _)));
    tree.list("results");
    for result in results.take(MOST) {
        if result.tag.is_context(0) {
            tree.object("");
            if let Some(code) = result.unsigned() {
                name("error", names::ACCESS_ERRORS, code, tree);
            }
            tree.end();
        } else if written {
            tree.text("", "success");
        } else {
            data::write_value("", &result, tree);
        }
    }
    tree.end();
}

fn write_report(report: &Report<'_>, tree: &mut dyn Tree) {
    tree.octets("id", report.id);
    if let Some(number) = report.sequence_number {
        tree.unsigned("sequence_number", number);
    }
    if let Some(time) = report.time {
        data::write_time("time", time, tree);
    }
    if let Some(data_set) = report.data_set {
        tree.octets("data_set", data_set);
    }
    if let Some(overflow) = report.overflow {
        tree.flag("buffer_overflow", overflow);
    }
    if let Some(entry) = report.entry {
        tree.hex("entry_id", entry);
    }
    if let Some(revision) = report.revision {
        tree.unsigned("configuration_revision", revision);
    }
    if let Some((number, more)) = report.segment {
        tree.unsigned("segment", number);
        tree.flag("more_segments_follow", more);
    }
    let (inclusion, size) = report.inclusion;
    data::write_bits("inclusion", inclusion, size, tree);
    tree.list("entries");
    for entry in report.entries().take(MOST) {
        tree.object("");
        tree.unsigned("member", entry.number as u64);
        if let Some(reference) = entry.reference {
            tree.octets("reference", reference);
        }
        data::write_value("value", &entry.value, tree);
        if let Some(reason) = entry.reason {
            named_bits("reasons", names::REPORT_REASONS.iter(), reason, tree);
        }
        tree.end();
    }
    tree.end();
}

fn failed(message: &Message<'_>, tree: &mut dyn Tree) {
    let Some(pdu) = message.pdu else { return };
    if let Some(error) = pdu.error() {
        tree.object("error");
        name("class", names::ERROR_CLASSES, error.class, tree);
        name("code", names::error_codes(error.class), error.code, tree);
        if let Some(code) = error.additional_code {
            tree.signed("additional_code", code);
        }
        if let Some(description) = error.description {
            tree.octets("description", description);
        }
        tree.end();
    }
    if let Some((rejected, reason)) = pdu.rejection() {
        tree.object("reject");
        name("rejected", names::REJECTED, rejected.into(), tree);
        name("reason", names::reject_reasons(rejected.into()), reason, tree);
        tree.end();
    }
}
