//! Enumerations of Modbus, by the names of the standard.

use super::message::Message;
use super::pdu::{Body, MEI_CANOPEN, MEI_DEVICE_IDENTIFICATION, function};
use crate::field::Names;

pub(super) const FUNCTIONS: Names = &[
    (1, "read_coils"),
    (2, "read_discrete_inputs"),
    (3, "read_holding_registers"),
    (4, "read_input_registers"),
    (5, "write_single_coil"),
    (6, "write_single_register"),
    (7, "read_exception_status"),
    (8, "diagnostics"),
    (9, "program_484"),
    (10, "poll_484"),
    (11, "get_comm_event_counter"),
    (12, "get_comm_event_log"),
    (13, "program_controller"),
    (14, "poll_controller"),
    (15, "write_multiple_coils"),
    (16, "write_multiple_registers"),
    (17, "report_server_id"),
    (18, "program_884"),
    (19, "reset_comm_link"),
    (20, "read_file_record"),
    (21, "write_file_record"),
    (22, "mask_write_register"),
    (23, "read_write_multiple_registers"),
    (24, "read_fifo_queue"),
    (43, "encapsulated_interface_transport"),
    (90, "umas"),
];

pub(super) const EXCEPTIONS: Names = &[
    (1, "illegal_function"),
    (2, "illegal_data_address"),
    (3, "illegal_data_value"),
    (4, "server_device_failure"),
    (5, "acknowledge"),
    (6, "server_device_busy"),
    (7, "negative_acknowledge"),
    (8, "memory_parity_error"),
    (10, "gateway_path_unavailable"),
    (11, "gateway_target_device_failed_to_respond"),
];

pub(super) const DIAGNOSTICS: Names = &[
    (0, "return_query_data"),
    (1, "restart_communications_option"),
    (2, "return_diagnostic_register"),
    (3, "change_ascii_input_delimiter"),
    (4, "force_listen_only_mode"),
    (10, "clear_counters_and_diagnostic_register"),
    (11, "return_bus_message_count"),
    (12, "return_bus_communication_error_count"),
    (13, "return_bus_exception_error_count"),
    (14, "return_server_message_count"),
    (15, "return_server_no_response_count"),
    (16, "return_server_nak_count"),
    (17, "return_server_busy_count"),
    (18, "return_bus_character_overrun_count"),
    (19, "return_overrun_error_count"),
    (20, "clear_overrun_counter_and_flag"),
    (21, "get_clear_modbus_plus_statistics"),
];

pub(super) const MEI_TYPES: Names = &[
    (MEI_CANOPEN as u64, "canopen_general_reference"),
    (MEI_DEVICE_IDENTIFICATION as u64, "read_device_identification"),
];

pub(super) const DEVICE_ID_CODES: Names = &[(1, "basic"), (2, "regular"), (3, "extended"), (4, "specific")];

pub(super) const OBJECTS: Names = &[
    (0, "vendor_name"),
    (1, "product_code"),
    (2, "major_minor_revision"),
    (3, "vendor_url"),
    (4, "product_name"),
    (5, "model_name"),
    (6, "user_application_name"),
];

pub(super) const CATEGORIES: Names = &[
    (0, "none"),
    (PUBLIC_ASSIGNED, "public_assigned"),
    (PUBLIC_UNASSIGNED, "public_unassigned"),
    (USER_DEFINED, "user_defined"),
    (RESERVED, "reserved"),
];
pub(super) const PUBLIC_ASSIGNED: u64 = 1;
pub(super) const PUBLIC_UNASSIGNED: u64 = 2;
pub(super) const USER_DEFINED: u64 = 4;
pub(super) const RESERVED: u64 = 8;

/// The category of a message's function (§5, §6, Annex A). Exceptions to what is not assigned have none.
pub(super) fn category(message: &Message<'_>) -> u64 {
    match (message.raw, message.body) {
        (function::DIAGNOSTICS, Body::Diagnostic { code, .. }) => {
            reserved_unless(named(DIAGNOSTICS, code.into()) && !matches!(code, 19 | 21..))
        }
        (function::ENCAPSULATED_INTERFACE_TRANSPORT, Body::Mei { kind, .. }) => {
            reserved_unless(named(MEI_TYPES, kind.into()))
        }
        (raw, _) if is_assigned(raw) => PUBLIC_ASSIGNED,
        (0x81..=0x98, _) if message.function() != function::DIAGNOSTICS && is_assigned(message.function()) => {
            PUBLIC_ASSIGNED
        }
        (9 | 10 | 13 | 14 | 41 | 42 | 90 | 91 | 125..=127, _) => RESERVED,
        (65..=72 | 100..=110, _) => USER_DEFINED,
        (1..=124, _) => PUBLIC_UNASSIGNED,
        _ => 0,
    }
}

/// Does the standard say what the function is (§6)?
fn is_assigned(function: u8) -> bool {
    matches!(function, 1..=8 | 11 | 12 | 15..=17 | 20..=24 | function::ENCAPSULATED_INTERFACE_TRANSPORT)
}

fn named(names: Names, value: u64) -> bool {
    crate::field::name_of(names, value).is_some()
}

fn reserved_unless(assigned: bool) -> u64 {
    if assigned { PUBLIC_ASSIGNED } else { RESERVED }
}

pub(super) const TABLES: Names = &[
    (Table::Discretes as u64, "discretes"),
    (Table::Coils as u64, "coils"),
    (Table::Input as u64, "input"),
    (Table::Holding as u64, "holding"),
];

/// The primary tables of the data model (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Discretes = 1,
    Coils = 2,
    Input = 3,
    Holding = 4,
}

/// What a function does to which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) table: Table,
    pub(super) read: bool,
    pub(super) write: bool,
}

/// The access of a function to the data model; None for those that touch something else.
pub(super) fn access(code: u8) -> Option<Access> {
    use function::*;
    let (table, read, write) = match code {
        READ_COILS => (Table::Coils, true, false),
        READ_DISCRETE_INPUTS => (Table::Discretes, true, false),
        READ_HOLDING_REGISTERS => (Table::Holding, true, false),
        READ_INPUT_REGISTERS => (Table::Input, true, false),
        WRITE_SINGLE_COIL | WRITE_MULTIPLE_COILS => (Table::Coils, false, true),
        WRITE_SINGLE_REGISTER | WRITE_MULTIPLE_REGISTERS | MASK_WRITE_REGISTER => (Table::Holding, false, true),
        READ_WRITE_MULTIPLE_REGISTERS => (Table::Holding, true, true),
        _ => return None,
    };
    Some(Access { table, read, write })
}
