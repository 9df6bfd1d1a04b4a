//! The layout of S7 communication in events: what was asked under `request`, the answer under `response`.

use super::item::{Address, Any, Item, single, values};
use super::names;
use super::pdu::{JOB, Pdu};
use super::record::{Body, Message};
use super::userdata::{self, REQUEST, RESPONSE, Userdata, group};
use crate::dissector::Pairing;
use crate::field::{Names, Tree, Value, name_of};
use crate::layer::cotp::{self, Header};
use crate::text::Line;

/// Room for an address.
const ADDRESS: usize = 128;
/// Bytes of data shown of one item.
const MOST_SHOWN: usize = 256;

pub(super) fn write(message: &Message<'_>, tree: &mut dyn Tree) {
    tree.unsigned("id", message.transaction);
    let Some(pdu) = message.pdu() else { return transport(message, tree) };
    if let Some(request) = &message.request {
        side("request", message, request, tree);
    }
    let own = Userdata::read(&pdu);
    let key = match own.map(|userdata| userdata.kind) {
        Some(REQUEST) => "request",
        Some(RESPONSE) => "response",
        Some(_) => "push",
        None if pdu.kind == JOB => "request",
        None => "response",
    };
    side(key, message, &pdu, tree);
    if message.pairing == Pairing::Unanswered {
        return;
    }
    if let (Some(userdata), Some(payload)) = (own, message.payload) {
        answer(message, &userdata, payload, tree);
    }
}

/// A name, where the value has one.
fn name(key: &'static str, names: Names, value: impl Into<u64>, tree: &mut dyn Tree) {
    let value = value.into();
    match name_of(names, value) {
        Some(name) => tree.text(key, name),
        None => tree.unsigned(key, value),
    }
}

fn transport(message: &Message<'_>, tree: &mut dyn Tree) {
    let Some((code, header)) = message.transport() else { return };
    tree.object("connection");
    name("tpdu", cotp::TPDUS, code, tree);
    if let Some(connection) = message.connection() {
        if let Some(tsap) = connection.calling_tsap() {
            selector("source_tsap", tsap, tree);
        }
        if let Some(tsap) = connection.called_tsap() {
            selector("destination_tsap", tsap, tree);
        }
        if let Some(place) = message.place() {
            name("type", names::CONNECTION_TYPES, place.connection, tree);
            tree.unsigned("rack", place.rack.into());
            tree.unsigned("slot", place.slot.into());
        }
        if let Some(size) = connection.tpdu_size() {
            tree.unsigned("tpdu_size", size.into());
        }
    }
    match header {
        Header::DisconnectRequest { reason } => name("reason", cotp::DISCONNECT_REASONS, reason, tree),
        Header::Error { cause } => name("cause", cotp::REJECT_CAUSES, cause, tree),
        _ => {}
    }
    tree.end();
}

/// A name, or two bytes of numbers.
fn selector(key: &'static str, tsap: &[u8], tree: &mut dyn Tree) {
    if tsap.iter().all(u8::is_ascii_graphic) { tree.octets(key, tsap) } else { tree.hex(key, tsap) }
}

fn side(key: &'static str, message: &Message<'_>, pdu: &Pdu<'_>, tree: &mut dyn Tree) {
    tree.object(key);
    name("message_type", names::MESSAGE_TYPES, pdu.kind, tree);
    tree.unsigned("reference", pdu.reference.into());
    if let Some(code) = pdu.function() {
        tree.unsigned("function_code", code.into());
        tree.text("function", name_of(names::FUNCTIONS, code.into()).unwrap_or("unknown"));
    }
    if let Some(userdata) = Userdata::read(pdu) {
        name("group", names::GROUPS, userdata.group, tree);
        tree.unsigned("subfunction", userdata.subfunction.into());
        if let Some(service) = userdata::service_name(&userdata) {
            tree.text(if userdata.group == group::MODE { "mode" } else { "service" }, service);
        }
        asked(&userdata, tree);
        error(userdata.error, tree);
        if let Some(code) = userdata.return_code.filter(|_| userdata.kind != REQUEST) {
            name("return_code", names::RETURN_CODES, code, tree);
        }
    }
    error(pdu.error, tree);
    if let Some([calling, called, length]) = pdu.setup() {
        tree.unsigned("max_calling", calling.into());
        tree.unsigned("max_called", called.into());
        tree.unsigned("pdu_length", length.into());
    }
    let alone = Message { body: Body::Pdu(*pdu), request: None, ..*message };
    // The types of what is answered stand in the request.
    variables(if key == "request" { &alone } else { message }, tree);
    transfer(&alone, tree);
    tree.end();
}

fn error(error: Option<u16>, tree: &mut dyn Tree) {
    if let Some(error) = error.filter(|error| *error != 0) {
        tree.unsigned("error_code", error.into());
        if let Some(name) = name_of(names::ERRORS, error.into()) {
            tree.text("error", name);
        }
    }
}

/// Addresses and data, item by item.
fn variables(message: &Message<'_>, tree: &mut dyn Tree) {
    let (mut items, mut data) = (message.items(), message.data());
    let test = message.userdata().and_then(|userdata| userdata.test());
    let mut variables = test.iter().flat_map(|test| test.variables());
    let asks = message.pdu().is_some_and(|pdu| pdu.kind == JOB)
        || message.userdata().is_some_and(|userdata| userdata.kind == REQUEST);
    let mut opened = false;
    loop {
        let (item, variable, datum) = (items.next(), variables.next(), data.next());
        let told = datum.is_some() || message.request.is_none() && (item.is_some() || variable.is_some());
        if !told {
            break;
        }
        if !std::mem::replace(&mut opened, true) {
            tree.list("items");
        }
        tree.object("");
        let any = item.and_then(|item| if let Address::Any(any) = item.address { Some(any) } else { None });
        if let Some(item) = item.filter(|_| message.request.is_none()) {
            address(&item, any, tree);
        }
        if let Some(variable) = variable {
            tree.octets("target", Line::<ADDRESS>::of(format_args!("{variable}")).as_bytes());
        }
        if let Some(datum) = datum {
            if !asks {
                name("return_code", names::RETURN_CODES, datum.return_code, tree);
            }
            if !datum.bytes.is_empty() {
                tree.hex("data", datum.bytes.get(..MOST_SHOWN).unwrap_or(datum.bytes));
            }
            if let Some(value) = any.and_then(|any| single(values(any.transport, datum.bytes))) {
                number("value", value, tree);
            }
        }
        tree.end();
    }
    if opened {
        tree.end();
    }
}

fn address(item: &Item<'_>, any: Option<Any>, tree: &mut dyn Tree) {
    match any {
        Some(any) => tree.line("target", any.line().as_str()),
        None => tree.octets("target", Line::<ADDRESS>::of(format_args!("{}", item.address)).as_bytes()),
    }
    name("syntax", names::SYNTAXES, item.syntax, tree);
    let Some(any) = any else { return };
    name("area", names::AREAS, any.area, tree);
    if let Some(db) = any.block() {
        tree.unsigned("db", db.into());
    }
    tree.unsigned("address", any.byte().into());
    tree.unsigned("bit", any.bit().into());
    name("transport_size", names::TRANSPORT_SIZES, any.transport, tree);
    tree.unsigned("quantity", any.count.into());
}

fn number(key: &'static str, value: Value<'_>, tree: &mut dyn Tree) {
    match value {
        Value::Unsigned(number) => tree.unsigned(key, number),
        Value::Signed(number) => tree.signed(key, number),
        Value::Float(number) => tree.float(key, number),
        _ => {}
    }
}

/// Blocks and services.
fn transfer(message: &Message<'_>, tree: &mut dyn Tree) {
    let mut any = false;
    message.blocks(&mut |_| any = true);
    if any {
        tree.list("blocks");
        message.blocks(&mut |block| {
            tree.object("");
            name("type", names::BLOCK_TYPES, block.kind, tree);
            tree.unsigned("number", block.number.into());
            name("file_system", names::FILE_SYSTEMS, block.file_system, tree);
            tree.end();
        });
        tree.end();
    }
    if let Some(transfer) = message.transfer() {
        if let Some(file) = transfer.file {
            tree.octets("file", file);
        }
        for (key, value) in [
            ("upload_id", transfer.upload_id),
            ("load_length", transfer.load_length),
            ("code_length", transfer.code_length),
            ("part_length", transfer.part.map(|part| part.len() as u32)),
        ] {
            if let Some(value) = value {
                tree.unsigned(key, value.into());
            }
        }
        if let Some(more) = transfer.more {
            tree.flag("more_follows", more);
        }
        error(transfer.error, tree);
    }
    if let Some(service) = message.service() {
        tree.octets("pi_service", service.name);
        let mut arguments = service.arguments().peekable();
        if arguments.peek().is_some() {
            tree.list("arguments");
            arguments.for_each(|argument| tree.octets("", argument));
            tree.end();
        }
    }
}

/// What a request of userdata asks for. A password is not told.
fn asked(userdata: &Userdata<'_>, tree: &mut dyn Tree) {
    if let Some((events, user)) = userdata.subscription() {
        tree.unsigned("events", events.into());
        tree.octets("user", user);
    }
    if let Some(kind) = userdata.block_type() {
        name("block_type", names::BLOCK_TYPES, kind, tree);
    }
    if let Some(event) = userdata.event() {
        tree.unsigned("event", event.into());
    }
    if let Some(clock) = userdata.clock() {
        tree.formatted("clock", format_args!("{clock}"));
    }
    if userdata.kind == REQUEST
        && let Some(szl) = userdata.szl(userdata.payload)
    {
        list(szl.id, szl.index, tree);
    }
    let mut alarms = userdata.alarms().peekable();
    if alarms.peek().is_some() {
        tree.list("alarms");
        for item in alarms {
            if let Address::Alarm { event } = item.address {
                tree.unsigned("", event.into());
            }
        }
        tree.end();
    }
}

fn list(id: u16, index: u16, tree: &mut dyn Tree) {
    tree.object("szl");
    tree.hex("id", &id.to_be_bytes());
    tree.hex("index", &index.to_be_bytes());
    if let Some(name) = name_of(names::SZL_LISTS, u64::from(id & 0xff)) {
        tree.text("list", name);
    }
    tree.end();
}

/// What an answer of userdata tells, the whole of it.
fn answer(message: &Message<'_>, userdata: &Userdata<'_>, payload: &[u8], tree: &mut dyn Tree) {
    if userdata.kind != RESPONSE || userdata.more {
        return;
    }
    if let Some(szl) = message.szl() {
        list(szl.id, szl.index, tree);
        let mut told = false;
        szl.identity(&mut |kind, value| {
            if !std::mem::replace(&mut told, true) {
                tree.object("module");
            }
            match value {
                Value::Text(text) => tree.octets(kind.name(), text.as_bytes()),
                Value::Bytes(bytes) => tree.octets(kind.name(), bytes),
                _ => {}
            }
        });
        if told {
            tree.end();
        }
    }
    let mut counts = userdata.block_counts(payload).peekable();
    if counts.peek().is_some() {
        tree.list("block_counts");
        for (kind, count) in counts {
            tree.object("");
            name("type", names::BLOCK_TYPES, kind, tree);
            tree.unsigned("count", count.into());
            tree.end();
        }
        tree.end();
    }
    let mut numbers = userdata.block_numbers(payload).peekable();
    if numbers.peek().is_some() {
        tree.list("block_numbers");
        numbers.for_each(|number| tree.unsigned("", number.into()));
        tree.end();
    }
    if let Some(info) = userdata.block_info(payload) {
        tree.object("block_info");
        name("type", names::BLOCK_TYPES, info.sub_type, tree);
        tree.unsigned("number", info.number.into());
        name("language", names::LANGUAGES, info.language, tree);
        tree.octets("name", info.name);
        tree.octets("family", info.family);
        tree.octets("author", info.author);
        tree.formatted("version", format_args!("{}.{}", info.version >> 4, info.version & 0xf));
        tree.unsigned("load_length", info.load_length.into());
        tree.unsigned("code_length", info.code_length.into());
        tree.unsigned("checksum", info.checksum.into());
        tree.flag("protected", info.protected);
        tree.unsigned("code_changed", info.code_changed);
        tree.unsigned("interface_changed", info.interface_changed);
        tree.end();
    }
}
