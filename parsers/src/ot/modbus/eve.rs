//! The layout and vocabulary that consumers of EVE know for Modbus.

use super::check::findings;
use super::message::Message;
use super::names::{self, Table};
use super::pdu::{Body, function};
use super::record::Exchange;
use super::{INVALID_EXCEPTION_CODE, INVALID_LENGTH, INVALID_VALUE, VALUE_MISMATCH};
use crate::field::Tree;
use crate::findings::Findings;

/// Writes the transaction: its number, its request, its response.
pub(super) fn write(record: &Exchange<'_>, tree: &mut dyn Tree) {
    let message = record.message;
    tree.unsigned("id", record.transaction);
    let (request, response) = if message.request { (Some(message), None) } else { (record.request, Some(message)) };
    if let Some(request) = request {
        side("request", request, None, tree);
    }
    if let Some(response) = response {
        side("response", response, request, tree);
    }
}

fn side(key: &'static str, message: &Message<'_>, request: Option<&Message<'_>>, tree: &mut dyn Tree) {
    tree.object(key);
    if let Some(mbap) = message.mbap {
        tree.unsigned("transaction_id", mbap.transaction.into());
        tree.unsigned("protocol_id", 0);
    }
    tree.unsigned("unit_id", message.unit.into());
    tree.unsigned("function_raw", message.raw.into());
    tree.text("function_code", function_code(message.function()));
    tree.text("access_type", access_type(message.function()));
    tree.text("category", category(message));
    tree.text("error_flags", error_flags(&findings(message, request)));
    body(message, tree);
    tree.end();
}

fn body(message: &Message<'_>, tree: &mut dyn Tree) {
    match message.body {
        Body::Exception(code) => {
            tree.object("exception");
            tree.unsigned("raw", code.into());
            tree.text("code", exception_code(code));
        }
        Body::Read { address, quantity } => {
            tree.object("read");
            range(address, quantity, tree);
        }
        Body::Values { data, .. } => {
            tree.object("read");
            tree.octets("data", data);
        }
        Body::WriteSingle { address, value: data } | Body::Written { address, quantity: data } => {
            tree.object("write");
            tree.unsigned("address", address.into());
            tree.unsigned("data", data.into());
        }
        Body::WriteMultiple { address, quantity, data, .. } => write_multiple(address, quantity, data, tree),
        Body::Mask { address, and_mask, or_mask } => {
            tree.object("write");
            tree.unsigned("address", address.into());
            tree.unsigned("and_mask", and_mask.into());
            tree.unsigned("or_mask", or_mask.into());
        }
        Body::ReadWrite { read_address, read_quantity, address, quantity, data, .. } => {
            tree.object("read");
            range(read_address, read_quantity, tree);
            tree.end();
            write_multiple(address, quantity, data, tree);
        }
        Body::Diagnostic { code, data } => {
            tree.object("diagnostic");
            tree.unsigned("raw", code.into());
            tree.text("code", diagnostic_code(code));
            tree.octets("data", data);
        }
        Body::Mei { kind, data } => {
            tree.object("mei");
            tree.unsigned("raw", kind.into());
            tree.text("code", mei_code(kind));
            tree.octets("data", data);
        }
        _ => return tree.octets("data", message.data),
    }
    tree.end();
}

fn range(address: u16, quantity: u16, tree: &mut dyn Tree) {
    tree.unsigned("address", address.into());
    tree.unsigned("quantity", quantity.into());
}

fn write_multiple(address: u16, quantity: u16, data: &[u8], tree: &mut dyn Tree) {
    tree.object("write");
    range(address, quantity, tree);
    tree.octets("data", data);
}

fn function_code(code: u8) -> &'static str {
    const NAMES: [&str; 24] = [
        "RdCoils",
        "RdDiscreteInputs",
        "RdHoldRegs",
        "RdInputRegs",
        "WrSingleCoil",
        "WrSingleReg",
        "RdExcStatus",
        "Diagnostic",
        "Program484",
        "Poll484",
        "GetCommEventCtr",
        "GetCommEventLog",
        "ProgramController",
        "PollController",
        "WrMultCoils",
        "WrMultRegs",
        "ReportServerID",
        "Program884",
        "ResetCommLink",
        "RdFileRec",
        "WrFileRec",
        "MaskWrReg",
        "RdWrMultRegs",
        "RdFIFOQueue",
    ];
    match code {
        function::ENCAPSULATED_INTERFACE_TRANSPORT => "MEI",
        _ => usize::from(code).checked_sub(1).and_then(|at| NAMES.get(at)).copied().unwrap_or("Unknown"),
    }
}

/// Single flags in their order, composite ones after them.
fn access_type(code: u8) -> &'static str {
    let Some(access) = names::access(code) else { return "NONE" };
    match (access.table, access.read, access.write, code) {
        (Table::Coils, true, ..) => "READ | COILS",
        (Table::Discretes, ..) => "READ | DISCRETES",
        (Table::Input, ..) => "READ | INPUT",
        (Table::Holding, true, true, _) => "READ | WRITE | HOLDING | MULTIPLE | WRITE_MULTIPLE",
        (Table::Holding, true, ..) => "READ | HOLDING",
        (Table::Coils, _, _, function::WRITE_SINGLE_COIL) => "WRITE | COILS | SINGLE | WRITE_SINGLE",
        (Table::Coils, ..) => "WRITE | COILS | MULTIPLE | WRITE_MULTIPLE",
        (Table::Holding, _, _, function::WRITE_SINGLE_REGISTER) => "WRITE | HOLDING | SINGLE | WRITE_SINGLE",
        (Table::Holding, _, _, function::MASK_WRITE_REGISTER) => "WRITE | HOLDING",
        (Table::Holding, ..) => "WRITE | HOLDING | MULTIPLE | WRITE_MULTIPLE",
    }
}

fn category(message: &Message<'_>) -> &'static str {
    match names::category(message) {
        names::PUBLIC_ASSIGNED => "PUBLIC_ASSIGNED",
        names::PUBLIC_UNASSIGNED => "PUBLIC_UNASSIGNED",
        names::USER_DEFINED => "USER_DEFINED",
        names::RESERVED => "RESERVED",
        _ => "NONE",
    }
}

fn error_flags(findings: &Findings) -> &'static str {
    let value = findings.has(INVALID_VALUE) || findings.has(VALUE_MISMATCH);
    match (value, findings.has(INVALID_LENGTH), findings.has(INVALID_EXCEPTION_CODE)) {
        (false, false, false) => "NONE",
        (true, false, false) => "DATA_VALUE",
        (false, true, false) => "DATA_LENGTH",
        (true, true, false) => "DATA_VALUE | DATA_LENGTH",
        (false, false, true) => "EXC_CODE",
        (true, false, true) => "DATA_VALUE | EXC_CODE",
        (false, true, true) => "DATA_LENGTH | EXC_CODE",
        (true, true, true) => "DATA_VALUE | DATA_LENGTH | EXC_CODE",
    }
}

fn exception_code(code: u8) -> &'static str {
    match code {
        1 => "IllegalFunction",
        2 => "IllegalDataAddr",
        3 => "IllegalDataValue",
        4 => "ServerDeviceFail",
        5 => "Ack",
        6 => "ServerDeviceBusy",
        7 => "NegAck",
        8 => "MemParityErr",
        10 => "GatewayPathUnavailable",
        11 => "GatewayTargetFailToResp",
        _ => "Unknown",
    }
}

fn diagnostic_code(code: u16) -> &'static str {
    match code {
        0 => "RetQueryData",
        1 => "RestartCommOpt",
        2 => "RetDiagReg",
        3 => "ChangeInputDelimiter",
        4 => "ForceListenOnlyMode",
        10 => "ClearCtrDiagReg",
        11 => "RetBusMsgCount",
        12 => "RetBusCommErrCount",
        13 => "RetBusExcErrCount",
        14 => "RetServerMsgCount",
        15 => "RetServerNoRespCount",
        16 => "RetServerNAKCount",
        17 => "RetServerBusyCount",
        18 => "RetBusCharOverrunCount",
        19 => "RetOverrunErrCount",
        20 => "ClearOverrunCounterFlag",
        21 => "GetClearPlusStats",
        _ => "Reserved",
    }
}

fn mei_code(kind: u8) -> &'static str {
    match kind {
        13 => "CANOpenGenRefReqResp",
        14 => "RdDevId",
        _ => "Unknown",
    }
}
