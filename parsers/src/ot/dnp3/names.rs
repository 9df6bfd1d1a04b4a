//! Enumerations of IEEE 1815-2012, with the names that rules and logs use.

use crate::field::Names;

/// Application function codes (§4.2.2). The spellings are those of the rule keyword `dnp3_func`.
pub const FUNCTIONS: Names = &[
    (0, "confirm"),
    (1, "read"),
    (2, "write"),
    (3, "select"),
    (4, "operate"),
    (5, "direct_operate"),
    (6, "direct_operate_nr"),
    (7, "immed_freeze"),
    (8, "immed_freeze_nr"),
    (9, "freeze_clear"),
    (10, "freeze_clear_nr"),
    (11, "freeze_at_time"),
    (12, "freeze_at_time_nr"),
    (13, "cold_restart"),
    (14, "warm_restart"),
    (15, "initialize_data"),
    (16, "initialize_appl"),
    (17, "start_appl"),
    (18, "stop_appl"),
    (19, "save_config"),
    (20, "enable_unsolicited"),
    (21, "disable_unsolicited"),
    (22, "assign_class"),
    (23, "delay_measure"),
    (24, "record_current_time"),
    (25, "open_file"),
    (26, "close_file"),
    (27, "delete_file"),
    (28, "get_file_info"),
    (29, "authenticate_file"),
    (30, "abort_file"),
    (31, "activate_config"),
    (32, "authenticate_req"),
    (33, "authenticate_err"),
    (129, "response"),
    (130, "unsolicited_response"),
    (131, "authenticate_resp"),
];

/// Link functions of frames from a primary station (§9.2).
pub const PRIMARY_FUNCTIONS: Names = &[
    (0, "reset_link_states"),
    (1, "reset_user_process"),
    (2, "test_link_states"),
    (3, "confirmed_user_data"),
    (4, "unconfirmed_user_data"),
    (9, "request_link_status"),
];

/// Link functions of frames from a secondary station (§9.2).
pub const SECONDARY_FUNCTIONS: Names =
    &[(0, "ack"), (1, "nack"), (11, "link_status"), (14, "not_functioning"), (15, "not_supported")];

/// Internal indications (§4.2.2) by their bit in the 16-bit word whose high octet is IIN1, the first on the wire. The
/// spellings are those of the rule keyword `dnp3_ind`.
pub const INDICATIONS: Names = &[
    (0, "no_func_code_support"),
    (1, "object_unknown"),
    (2, "parameter_error"),
    (3, "event_buffer_overflow"),
    (4, "already_executing"),
    (5, "config_corrupt"),
    (6, "reserved_2"),
    (7, "reserved_1"),
    (8, "all_stations"),
    (9, "class_1_events"),
    (10, "class_2_events"),
    (11, "class_3_events"),
    (12, "need_time"),
    (13, "local_control"),
    (14, "device_trouble"),
    (15, "device_restart"),
];

/// Object groups (annex A).
pub const GROUPS: Names = &[
    (0, "device_attributes"),
    (1, "binary_input"),
    (2, "binary_input_event"),
    (3, "double_bit_input"),
    (4, "double_bit_input_event"),
    (10, "binary_output"),
    (11, "binary_output_event"),
    (12, "binary_output_command"),
    (13, "binary_output_command_event"),
    (20, "counter"),
    (21, "frozen_counter"),
    (22, "counter_event"),
    (23, "frozen_counter_event"),
    (30, "analog_input"),
    (31, "frozen_analog_input"),
    (32, "analog_input_event"),
    (33, "frozen_analog_input_event"),
    (34, "analog_input_deadband"),
    (40, "analog_output_status"),
    (41, "analog_output_command"),
    (42, "analog_output_event"),
    (43, "analog_output_command_event"),
    (50, "time_and_date"),
    (51, "common_time_of_occurrence"),
    (52, "time_delay"),
    (60, "class"),
    (70, "file"),
    (80, "internal_indications"),
    (81, "device_storage"),
    (82, "device_profile"),
    (83, "data_set_registration"),
    (85, "data_set_prototype"),
    (86, "data_set_descriptor"),
    (87, "data_set"),
    (88, "data_set_event"),
    (90, "application_identifier"),
    (91, "activate_configuration_status"),
    (100, "floating_point"),
    (101, "binary_coded_decimal"),
    (102, "unsigned_integer"),
    (110, "octet_string"),
    (111, "octet_string_event"),
    (112, "virtual_terminal_output"),
    (113, "virtual_terminal_event"),
    (114, "extended_octet_string"),
    (120, "authentication"),
    (121, "security_statistic"),
    (122, "security_statistic_event"),
];

/// Operation of a control relay output block (group 12, low four bits of the control code).
pub const OPERATIONS: Names = &[(0, "nul"), (1, "pulse_on"), (2, "pulse_off"), (3, "latch_on"), (4, "latch_off")];

/// Trip-close code of a control relay output block (group 12, high two bits of the control code).
pub const TRIP_CLOSE: Names = &[(0, "nul"), (1, "close"), (2, "trip"), (3, "reserved")];

/// Status of a control (groups 12, 13, 41, 43).
pub const CONTROL_STATUS: Names = &[
    (0, "success"),
    (1, "timeout"),
    (2, "no_select"),
    (3, "format_error"),
    (4, "not_supported"),
    (5, "already_active"),
    (6, "hardware_error"),
    (7, "local"),
    (8, "too_many_objs"),
    (9, "not_authorized"),
    (10, "automation_inhibit"),
    (11, "processing_limited"),
    (12, "out_of_range"),
    (13, "downstream_local"),
    (14, "already_complete"),
    (15, "blocked"),
    (16, "canceled"),
    (17, "blocked_other_master"),
    (18, "downstream_fail"),
    (126, "non_participating"),
    (127, "undefined"),
];

/// Mode of a file command (group 70).
pub const FILE_MODES: Names = &[(0, "null"), (1, "read"), (2, "write"), (3, "append")];

/// Status of a file operation (group 70).
pub const FILE_STATUS: Names = &[
    (0, "success"),
    (1, "permission_denied"),
    (2, "invalid_mode"),
    (3, "file_not_found"),
    (4, "file_locked"),
    (5, "too_many_open"),
    (6, "invalid_handle"),
    (7, "write_block_size"),
    (8, "comm_lost"),
    (9, "cannot_abort"),
    (16, "not_opened"),
    (17, "handle_expired"),
    (18, "buffer_overrun"),
    (19, "fatal"),
    (20, "block_sequence"),
    (255, "undefined"),
];

/// MAC algorithms of secure authentication (group 120).
pub const MAC_ALGORITHMS: Names = &[
    (1, "hmac_sha1_4"),
    (2, "hmac_sha1_10"),
    (3, "hmac_sha256_8"),
    (4, "hmac_sha256_16"),
    (5, "hmac_sha1_8"),
    (6, "aes_gmac"),
];

/// Status of the session keys (group 120).
pub const KEY_STATUS: Names = &[(1, "ok"), (2, "not_init"), (3, "comm_fail"), (4, "auth_fail")];

/// Error codes of secure authentication (group 120).
pub const AUTHENTICATION_ERRORS: Names = &[
    (1, "authentication_failed"),
    (2, "unexpected_response"),
    (3, "no_response"),
    (4, "aggressive_mode_not_supported"),
    (5, "mac_algorithm_not_supported"),
    (6, "key_wrap_algorithm_not_supported"),
    (7, "authorization_failed"),
    (8, "key_change_method_not_permitted"),
    (9, "invalid_signature"),
    (10, "invalid_certification_data"),
    (11, "unknown_user"),
    (12, "too_many_key_status_requests"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_enumeration_is_sorted_so_that_lookup_by_bisection_holds() {
        let tables = [
            FUNCTIONS,
            PRIMARY_FUNCTIONS,
            SECONDARY_FUNCTIONS,
            INDICATIONS,
            GROUPS,
            OPERATIONS,
            TRIP_CLOSE,
            CONTROL_STATUS,
            FILE_MODES,
            FILE_STATUS,
            MAC_ALGORITHMS,
            KEY_STATUS,
            AUTHENTICATION_ERRORS,
        ];
        for table in tables {
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0), "{table:?}");
        }
    }
}
