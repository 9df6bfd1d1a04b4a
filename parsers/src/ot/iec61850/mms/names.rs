//! Names of ISO 9506-2 and of IEC 61850-8-1, in lower snake case.

use crate::field::Names;

/// PDUs of MMS, by the number of their tag (ISO 9506-2 §7.1).
pub(super) const PDUS: Names = &[
    (0, "confirmed_request"),
    (1, "confirmed_response"),
    (2, "confirmed_error"),
    (3, "unconfirmed"),
    (4, "reject"),
    (5, "cancel_request"),
    (6, "cancel_response"),
    (7, "cancel_error"),
    (8, "initiate_request"),
    (9, "initiate_response"),
    (10, "initiate_error"),
    (11, "conclude_request"),
    (12, "conclude_response"),
    (13, "conclude_error"),
];

/// Unconfirmed services (§7.3).
pub(super) const UNCONFIRMED: Names =
    &[(0, "information_report"), (1, "unsolicited_status"), (2, "event_notification")];

/// Session PDUs, by their identifier (ISO 8327-1 §8.3).
pub(super) const SESSION: Names = &[
    (1, "data_transfer"),
    (5, "expedited"),
    (7, "prepare"),
    (8, "not_finished"),
    (9, "finish"),
    (10, "disconnect"),
    (12, "refuse"),
    (13, "connect"),
    (14, "accept"),
    (15, "connect_data_overflow"),
    (25, "abort"),
    (26, "abort_accept"),
    (33, "typed_data"),
];

/// APDUs of the association control service (ISO 8650-1 §9).
pub(super) const ASSOCIATION: Names = &[
    (0, "associate_request"),
    (1, "associate_response"),
    (2, "release_request"),
    (3, "release_response"),
    (4, "abort"),
];

/// Results of an association request.
pub(super) const ASSOCIATION_RESULTS: Names = &[(0, "accepted"), (1, "rejected_permanent"), (2, "rejected_transient")];

/// Classes of objects whose names are listed (§10.5).
pub(super) const OBJECT_CLASSES: Names = &[
    (0, "named_variable"),
    (1, "scattered_access"),
    (2, "named_variable_list"),
    (3, "named_type"),
    (4, "semaphore"),
    (5, "event_condition"),
    (6, "event_action"),
    (7, "event_enrollment"),
    (8, "journal"),
    (9, "domain"),
    (10, "program_invocation"),
    (11, "operator_station"),
    (12, "data_exchange"),
    (13, "access_control_list"),
];

/// Why a variable could not be read or written (§14.4.3).
pub(super) const ACCESS_ERRORS: Names = &[
    (0, "object_invalidated"),
    (1, "hardware_fault"),
    (2, "temporarily_unavailable"),
    (3, "object_access_denied"),
    (4, "object_undefined"),
    (5, "invalid_address"),
    (6, "type_unsupported"),
    (7, "type_inconsistent"),
    (8, "object_attribute_inconsistent"),
    (9, "object_access_unsupported"),
    (10, "object_non_existent"),
    (11, "object_value_invalid"),
];

/// Classes of errors (§7.4.3).
pub(super) const ERROR_CLASSES: Names = &[
    (0, "vmd_state"),
    (1, "application_reference"),
    (2, "definition"),
    (3, "resource"),
    (4, "service"),
    (5, "service_preempt"),
    (6, "time_resolution"),
    (7, "access"),
    (8, "initiate"),
    (9, "conclude"),
    (10, "cancel"),
    (11, "file"),
    (12, "others"),
];

/// The codes within each class of errors.
pub(super) fn error_codes(class: u64) -> Names {
    match class {
        0 => &[
            (0, "other"),
            (1, "vmd_state_conflict"),
            (2, "vmd_operational_problem"),
            (3, "domain_transfer_problem"),
            (4, "state_machine_id_invalid"),
        ],
        1 => &[
            (0, "other"),
            (1, "application_unreachable"),
            (2, "connection_lost"),
            (3, "application_reference_invalid"),
            (4, "context_unsupported"),
        ],
        2 => &[
            (0, "other"),
            (1, "object_undefined"),
            (2, "invalid_address"),
            (3, "type_unsupported"),
            (4, "type_inconsistent"),
            (5, "object_exists"),
            (6, "object_attribute_inconsistent"),
        ],
        3 => &[
            (0, "other"),
            (1, "memory_unavailable"),
            (2, "processor_resource_unavailable"),
            (3, "mass_storage_unavailable"),
            (4, "capability_unavailable"),
            (5, "capability_unknown"),
        ],
        4 => &[
            (0, "other"),
            (1, "primitives_out_of_sequence"),
            (2, "object_state_conflict"),
            (3, "pdu_size"),
            (4, "continuation_invalid"),
            (5, "object_constraint_conflict"),
        ],
        5 => &[(0, "other"), (1, "timeout"), (2, "deadlock"), (3, "cancel")],
        6 => &[(0, "other"), (1, "unsupportable_time_resolution")],
        7 => &[
            (0, "other"),
            (1, "object_access_unsupported"),
            (2, "object_non_existent"),
            (3, "object_access_denied"),
            (4, "object_invalidated"),
        ],
        8 => &[
            (0, "other"),
            (3, "max_services_outstanding_calling_insufficient"),
            (4, "max_services_outstanding_called_insufficient"),
            (5, "service_cbb_insufficient"),
            (6, "parameter_cbb_insufficient"),
            (7, "nesting_level_insufficient"),
        ],
        9 => &[(0, "other"), (1, "further_communication_required")],
        10 => &[(0, "other"), (1, "invoke_id_unknown"), (2, "cancel_not_possible")],
        11 => &[
            (0, "other"),
            (1, "filename_ambiguous"),
            (2, "file_busy"),
            (3, "filename_syntax_error"),
            (4, "content_type_invalid"),
            (5, "position_invalid"),
            (6, "file_access_denied"),
            (7, "file_non_existent"),
            (8, "duplicate_filename"),
            (9, "insufficient_space_in_filestore"),
        ],
        _ => &[],
    }
}

/// What was rejected, by the tag of the reason (§7.5).
pub(super) const REJECTED: Names = &[
    (1, "confirmed_request"),
    (2, "confirmed_response"),
    (3, "confirmed_error"),
    (4, "unconfirmed"),
    (5, "pdu_error"),
    (6, "cancel_request"),
    (7, "cancel_response"),
    (8, "cancel_error"),
    (9, "conclude_request"),
    (10, "conclude_response"),
    (11, "conclude_error"),
];

/// The reasons to reject each of them.
pub(super) fn reject_reasons(rejected: u64) -> Names {
    match rejected {
        1 => &[
            (0, "other"),
            (1, "unrecognized_service"),
            (2, "unrecognized_modifier"),
            (3, "invalid_invoke_id"),
            (4, "invalid_argument"),
            (5, "invalid_modifier"),
            (6, "max_serv_outstanding_exceeded"),
            (8, "max_recursion_exceeded"),
            (9, "value_out_of_range"),
        ],
        2 => &[
            (0, "other"),
            (1, "unrecognized_service"),
            (2, "invalid_invoke_id"),
            (3, "invalid_result"),
            (5, "max_recursion_exceeded"),
            (6, "value_out_of_range"),
        ],
        3 => &[
            (0, "other"),
            (1, "unrecognized_service"),
            (2, "invalid_invoke_id"),
            (3, "invalid_service_error"),
            (4, "value_out_of_range"),
        ],
        4 => &[
            (0, "other"),
            (1, "unrecognized_service"),
            (2, "invalid_argument"),
            (3, "max_recursion_exceeded"),
            (4, "value_out_of_range"),
        ],
        5 => &[(0, "unknown_pdu_type"), (1, "invalid_pdu"), (2, "illegal_acse_mapping")],
        6 | 7 => &[(0, "other"), (1, "invalid_invoke_id")],
        8 => &[(0, "other"), (1, "invalid_invoke_id"), (2, "invalid_service_error"), (3, "value_out_of_range")],
        9 => &[(0, "other"), (1, "invalid_argument")],
        10 => &[(0, "other"), (1, "invalid_result")],
        11 => &[(0, "other"), (1, "invalid_service_error"), (2, "value_out_of_range")],
        _ => &[],
    }
}

/// Logical states of a device (§10.2).
pub(super) const LOGICAL_STATES: Names = &[
    (0, "state_changes_allowed"),
    (1, "no_state_changes_allowed"),
    (2, "limited_services_permitted"),
    (3, "support_services_allowed"),
];

/// Physical states of a device (§10.2).
pub(super) const PHYSICAL_STATES: Names =
    &[(0, "operational"), (1, "partially_operational"), (2, "inoperable"), (3, "needs_commissioning")];

/// States of a program invocation (§12.1).
pub(super) const PROGRAM_STATES: Names = &[
    (0, "non_existent"),
    (1, "unrunnable"),
    (2, "idle"),
    (3, "running"),
    (4, "stopped"),
    (5, "starting"),
    (6, "stopping"),
    (7, "resuming"),
    (8, "resetting"),
];

/// What is done to a control object (IEC 61850-8-1 §20).
pub(super) const CONTROLS: Names = &[(1, "select"), (2, "select_with_value"), (3, "operate"), (4, "cancel")];

/// Who commands: categories of the originator (IEC 61850-7-3 §6.8).
pub(super) const ORIGINATORS: Names = &[
    (0, "not_supported"),
    (1, "bay_control"),
    (2, "station_control"),
    (3, "remote_control"),
    (4, "automatic_bay"),
    (5, "automatic_station"),
    (6, "automatic_remote"),
    (7, "maintenance"),
    (8, "process"),
];

/// Why a command was refused or ended, additional cause (IEC 61850-8-1 §20.9).
pub(super) const CAUSES: Names = &[
    (0, "unknown"),
    (1, "not_supported"),
    (2, "blocked_by_switching_hierarchy"),
    (3, "select_failed"),
    (4, "invalid_position"),
    (5, "position_reached"),
    (6, "parameter_change_in_execution"),
    (7, "step_limit"),
    (8, "blocked_by_mode"),
    (9, "blocked_by_process"),
    (10, "blocked_by_interlocking"),
    (11, "blocked_by_synchrocheck"),
    (12, "command_already_in_execution"),
    (13, "blocked_by_health"),
    (14, "one_of_n_control"),
    (15, "abortion_by_cancel"),
    (16, "time_limit_over"),
    (17, "abortion_by_trip"),
    (18, "object_not_selected"),
    (19, "object_already_selected"),
    (20, "no_access_authority"),
    (21, "ended_with_overshoot"),
    (22, "abortion_due_to_deviation"),
    (23, "abortion_by_communication_loss"),
    (24, "blocked_by_command"),
    (25, "none"),
    (26, "inconsistent_parameters"),
    (27, "locked_by_other_client"),
];

/// Errors of a command (IEC 61850-8-1 §20.9).
pub(super) const COMMAND_ERRORS: Names =
    &[(0, "no_error"), (1, "unknown"), (2, "timeout_test_not_ok"), (3, "operator_test_not_ok")];

/// Parameter building blocks, by their bit (ISO 9506-2 §8.2).
pub(super) const PARAMETERS: Names = &[
    (0, "str1"),
    (1, "str2"),
    (2, "vnam"),
    (3, "valt"),
    (4, "vadr"),
    (5, "vsca"),
    (6, "tpy"),
    (7, "vlis"),
    (8, "real"),
    (10, "cei"),
];

/// Services that are not confirmed ones, by their bit among those supported (ISO 9506-2 §8.2).
pub(super) const OTHER_SERVICES: Names = &[
    (78, "unsolicited_status"),
    (79, "information_report"),
    (80, "event_notification"),
    (81, "attach_to_event_condition"),
    (82, "attach_to_semaphore"),
    (83, "conclude"),
    (84, "cancel"),
];

/// Why a member of a data set is reported, by its bit (IEC 61850-8-1 §8.1.3.11).
pub(super) const REPORT_REASONS: Names = &[
    (1, "data_change"),
    (2, "quality_change"),
    (3, "data_update"),
    (4, "integrity"),
    (5, "general_interrogation"),
    (6, "application_trigger"),
];
