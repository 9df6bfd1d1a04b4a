//! What does not hold in a message, by itself and against the request it answers. Siemens published no standard: what is
//! looked for are layouts that no peer of a real device accepts.

use super::block::{Service, Transfer};
use super::item::{Data, Items};
use super::pdu::{ACK, ACK_DATA, JOB, LENGTHS, Pdu, USERDATA, function};
use super::record::Message;
use super::userdata::{Userdata, group};
use super::{
    FUNCTION_MISMATCH, INVALID_BLOCK, INVALID_ITEM, INVALID_LENGTH, INVALID_TIME, INVALID_USERDATA, ITEM_MISMATCH,
    UNKNOWN_FUNCTION, UNKNOWN_MESSAGE_TYPE, names,
};
use crate::field::name_of;
use crate::findings::Findings;

/// Everything wrong with `message`. Offsets count from the first byte of the PDU.
pub(super) fn findings(message: &Message<'_>) -> Findings {
    let mut findings = Findings::NONE;
    let Some(pdu) = message.pdu() else { return findings };
    if !pdu.whole {
        // What is cut off says nothing of the rest.
        findings.push(INVALID_LENGTH, LENGTHS);
        return findings;
    }
    match pdu.kind {
        JOB | ACK_DATA => job(message, &pdu, &mut findings),
        USERDATA => userdata(&pdu, &mut findings),
        ACK => {}
        _ => findings.push(UNKNOWN_MESSAGE_TYPE, 1),
    }
    findings
}

fn job(message: &Message<'_>, pdu: &Pdu<'_>, findings: &mut Findings) {
    let at = pdu.parameter_offset;
    let failed = pdu.error.is_some_and(|error| error != 0);
    let Some(code) = pdu.function() else {
        if !failed {
            findings.push(INVALID_LENGTH, at);
        }
        return;
    };
    if name_of(names::FUNCTIONS, code.into()).is_none() {
        return findings.push(UNKNOWN_FUNCTION, at);
    }
    if let Some(request) = message.request
        && request.function() != Some(code)
    {
        findings.push(FUNCTION_MISMATCH, at);
    }
    match code {
        function::READ_VAR | function::WRITE_VAR if !failed => variables(message, pdu, findings),
        function::SETUP_COMMUNICATION if pdu.setup().is_none() && !failed => findings.push(INVALID_LENGTH, at),
        function::PI_SERVICE | function::PLC_STOP if pdu.kind == JOB && Service::read(pdu).is_none() => {
            findings.push(INVALID_LENGTH, at);
        }
        _ => {}
    }
    if let Some(transfer) = Transfer::read(pdu)
        && transfer.file.is_some()
        && transfer.block.is_none()
    {
        findings.push(INVALID_BLOCK, at + 8);
    }
}

/// As many items as are said, each whole, and as many data as items.
fn variables(message: &Message<'_>, pdu: &Pdu<'_>, findings: &mut Findings) {
    let Some(&count) = pdu.parameter.get(1) else { return findings.push(INVALID_LENGTH, pdu.parameter_offset) };
    if pdu.kind == JOB {
        let (missing, rest) = Items::new(pdu.parameter.get(2..).unwrap_or_default(), count).remainder();
        if missing > 0 || !rest.is_empty() || count == 0 {
            findings.push(INVALID_ITEM, pdu.data_offset() - rest.len());
        }
    } else if let Some(asked) = message.request.and_then(|request| request.parameter.get(1).copied())
        && asked != count
    {
        findings.push(ITEM_MISMATCH, pdu.parameter_offset + 1);
    }
    let (missing, rest): (_, &[u8]) = message.data().remainder();
    let data = pdu.kind == ACK_DATA || pdu.function() == Some(function::WRITE_VAR);
    // The last item may be filled up, too.
    if data && (missing > 0 || rest.len() > 1) {
        findings.push(INVALID_ITEM, pdu.data_offset() + pdu.data.len() - rest.len());
    }
}

fn userdata(pdu: &Pdu<'_>, findings: &mut Findings) {
    let Some(userdata) = Userdata::read(pdu) else { return findings.push(INVALID_USERDATA, pdu.parameter_offset) };
    if !userdata.whole {
        findings.push(INVALID_USERDATA, pdu.data_offset() + 2);
    }
    if name_of(names::GROUPS, userdata.group.into()).is_none()
        || name_of(names::USERDATA_TYPES, userdata.kind.into()).is_none()
    {
        findings.push(INVALID_USERDATA, pdu.parameter_offset + 5);
    }
    let set = userdata.group == group::TIME && !userdata.payload.is_empty();
    if set && userdata.clock().is_none_or(|clock| !clock.is_valid()) {
        findings.push(INVALID_TIME, pdu.data_offset() + 6);
    }
    for (missing, rest) in [userdata.items().remainder(), Data::remainder(userdata.data())] {
        if missing > 0 {
            findings.push(INVALID_ITEM, pdu.data_offset() + pdu.data.len() - rest.len());
        }
    }
}
