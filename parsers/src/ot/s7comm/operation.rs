//! What a message does to the plant, in the vocabulary of all protocols.

use super::block::{Service, Transfer};
use super::item::{Address, single, values};
use super::pdu::{JOB, Pdu, function};
use super::record::Message;
use super::userdata::{PUSH, RESPONSE, Userdata, group};
use super::{names, userdata};
use crate::field::name_of;
use crate::identity::{End, VisitFacts};
use crate::operation::{Operation, Point, VisitPoints};

pub(super) fn operation(message: &Message<'_>) -> Option<Operation> {
    let asked = message.asked()?;
    match asked.kind {
        JOB => job(&asked),
        _ => of_userdata(message, &Userdata::read(&asked)?),
    }
}

fn job(pdu: &Pdu<'_>) -> Option<Operation> {
    use function::*;
    Some(match pdu.function()? {
        READ_VAR => Operation::Read,
        WRITE_VAR => Operation::Write,
        REQUEST_DOWNLOAD..=END_UPLOAD => Operation::Program,
        PLC_STOP => Operation::Stop,
        PI_SERVICE => service(Service::read(pdu)?.name),
        _ => return None,
    })
}

/// Services of the program invocation. Those of numeric controls begin with `_N_`.
fn service(name: &[u8]) -> Operation {
    match name {
        b"P_PROGRAM" => Operation::Start,
        b"_INSE" | b"_INS2" | b"_DELE" | b"_MODU" => Operation::Program,
        b"_GARB" | b"_N_CONFIG" | b"_N_DASAVE" | b"_N_SCALE_" | b"_N_SETUFR" | b"_N_SETTST" | b"_N_IBN_SS"
        | b"_N_NCKMOD" | b"_N_CREACE" | b"_N_CREATO" | b"_N_DELECE" | b"_N_DELETO" | b"_N_DELVAR" => {
            Operation::Configure
        }
        b"_N_LOGIN_" | b"_N_LOGOUT" | b"_N_NEWPWD" => Operation::Authenticate,
        b"_N_EXTERN" | b"_N_EXTMOD" => Operation::File,
        _ if name.starts_with(b"_N_F_") => Operation::File,
        // Tool management.
        _ if name.starts_with(b"_N_TM") => Operation::Configure,
        _ => Operation::Control,
    }
}

fn of_userdata(message: &Message<'_>, asked: &Userdata<'_>) -> Option<Operation> {
    if asked.kind == PUSH {
        return Some(Operation::Read);
    }
    Some(match (asked.group, asked.subfunction) {
        (group::PROGRAMMER, 0x01..=0x07 | 0x10 | 0x11 | 0x13) => Operation::Read,
        (group::PROGRAMMER, 0x08) => Operation::Write,
        (group::PROGRAMMER, 0x09..=0x0b) => Operation::Control,
        (group::PROGRAMMER, 0x0c) => Operation::Restart,
        // The lamps flash so that the device is found.
        (group::PROGRAMMER, 0x16) => Operation::Discover,
        (group::CYCLIC | group::BLOCKS | group::PBC, _) => Operation::Read,
        (group::CPU, 0x01) if message.szl().is_some_and(|szl| szl.identifies()) => Operation::Discover,
        (group::CPU, 0x07 | 0x08 | 0x0b) => Operation::Control,
        (group::CPU, _) => Operation::Read,
        (group::SECURITY, _) => Operation::Authenticate,
        (group::TIME, 0x02 | 0x04) => Operation::Configure,
        (group::TIME, _) => Operation::Read,
        (group::NC, _) => Operation::File,
        _ => return None,
    })
}

pub(super) fn points(message: &Message<'_>, out: &mut VisitPoints<'_>) {
    let Some(asked) = message.asked() else { return };
    if asked.kind != JOB {
        return userdata_points(message, &asked, out);
    }
    if let Some(service) = Service::read(&asked) {
        let mut blocks = service.blocks().peekable();
        if blocks.peek().is_none() {
            let name = String::from_utf8_lossy(service.name);
            return out(Point { target: format_args!("{name}"), value: None });
        }
        return blocks.for_each(|block| out(Point { target: format_args!("{block}"), value: None }));
    }
    if Transfer::read(&asked).is_some() {
        if let Some(block) = message.block() {
            out(Point { target: format_args!("{block}"), value: None });
        }
        return;
    }
    // What is read was not written.
    let mut data = message.written();
    for item in message.items() {
        let datum = data.next();
        let value = match (item.address, datum) {
            (Address::Any(any), Some(datum)) => single(values(any.transport, datum.bytes)),
            _ => None,
        };
        out(Point { target: format_args!("{}", item.address), value });
    }
}

fn userdata_points(message: &Message<'_>, asked: &Pdu<'_>, out: &mut VisitPoints<'_>) {
    let Some(asked) = Userdata::read(asked) else { return };
    if let Some(szl) = message.szl() {
        out(Point { target: format_args!("SZL {:04X} index {:04X}", szl.id, szl.index), value: None });
    }
    if let Some(block) = asked.block() {
        out(Point { target: format_args!("{block}"), value: None });
    }
    if let Some(kind) = asked.block_type().and_then(|kind| name_of(names::BLOCK_TYPES, kind.into())) {
        out(Point { target: format_args!("blocks of type {kind}"), value: None });
    }
    if asked.group == group::TIME {
        out(Point { target: format_args!("clock"), value: None });
    }
    if asked.group == group::MODE
        && let Some(mode) = userdata::service_name(&asked)
    {
        out(Point { target: format_args!("mode {mode}"), value: None });
    }
    if let Some(test) = asked.test() {
        let mut data = test.data;
        for variable in test.variables() {
            let value = data.next().and_then(|datum| variable.value(datum.bytes));
            out(Point { target: format_args!("{variable}"), value });
        }
    }
    for item in asked.addresses() {
        out(Point { target: format_args!("{}", item.address), value: None });
    }
}

/// What the answer to a read of the system state list says of the device.
pub(super) fn facts(message: &Message<'_>, out: &mut VisitFacts<'_>) {
    let Some(userdata) = message.userdata() else { return };
    if userdata.kind != RESPONSE || userdata.more {
        return;
    }
    let of = match message.direction {
        crate::dissector::Direction::ToClient => End::Server,
        crate::dissector::Direction::ToServer => End::Client,
    };
    if let Some(szl) = message.szl() {
        szl.facts(of, out);
    }
}
