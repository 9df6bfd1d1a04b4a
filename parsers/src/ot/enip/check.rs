//! What the standard does not allow, looked for in one message.

use super::cip::service::REPLY;
use super::encapsulation::{Contents, HEADER, Message, command};
use super::item::PREFIX;
use super::{INVALID_ITEM, INVALID_PATH, INVALID_PDU, UNKNOWN_COMMAND, names};
use crate::findings::Findings;

/// Everything wrong with `message` by itself.
pub(super) fn findings(message: &Message<'_>) -> Findings {
    let mut findings = Findings::NONE;
    header(message, &mut findings);
    body(message, &mut findings);
    findings
}

fn header(message: &Message<'_>, findings: &mut Findings) {
    if !names::is_command(message.command) {
        findings.push(UNKNOWN_COMMAND, 0);
    }
    if message.options != 0 {
        findings.push(INVALID_PDU, 20);
    }
}

fn body(message: &Message<'_>, findings: &mut Findings) {
    use command::*;
    match message.command {
        // A failed command has no data to speak of.
        _ if message.status != 0 => {}
        REGISTER_SESSION if message.register().is_none() => findings.push(INVALID_PDU, HEADER),
        SEND_RR_DATA | SEND_UNIT_DATA => match &message.contents {
            None => findings.push(INVALID_PDU, HEADER),
            Some(contents) => match contents.fault {
                Some(offset) => findings.push(INVALID_ITEM, offset),
                None => service(contents, findings),
            },
        },
        LIST_IDENTITY | LIST_SERVICES | LIST_INTERFACES if !message.request => match message.listed() {
            None => findings.push(INVALID_PDU, HEADER),
            Some(items) => {
                if let Some(offset) = items.fault() {
                    findings.push(INVALID_ITEM, offset);
                }
            }
        },
        _ => {}
    }
}

fn service(contents: &Contents<'_>, findings: &mut Findings) {
    match &contents.cip {
        None => findings.push(INVALID_PDU, HEADER + PREFIX),
        Some(Err(anomaly)) => findings.push(anomaly.kind, anomaly.offset),
        Some(Ok(service)) => {
            let mut unsound = None;
            let mut faults = [None; 2];
            let mut found = 0;
            service.walk(
                &mut |service| {
                    if service.raw & REPLY == 0 && !service.path.is_sound() {
                        unsound = unsound.or(Some(service.offset + 2));
                    }
                },
                &mut |fault| {
                    if let Some(free) = faults.get_mut(found) {
                        *free = Some(fault);
                        found += 1;
                    }
                },
            );
            if let Some(offset) = unsound {
                findings.push(INVALID_PATH, offset);
            }
            faults.into_iter().flatten().for_each(|fault| findings.push(fault.kind, fault.offset));
        }
    }
}
