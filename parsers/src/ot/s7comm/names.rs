//! Enumerations of S7 communication, by the terms of STEP 7's manuals where those have one.

use crate::field::Names;

/// Types of messages ("remote operating service control").
pub(super) const MESSAGE_TYPES: Names = &[
    (super::pdu::JOB as u64, "job"),
    (super::pdu::ACK as u64, "ack"),
    (super::pdu::ACK_DATA as u64, "ack_data"),
    (super::pdu::USERDATA as u64, "userdata"),
];

/// Functions of jobs and their acknowledgements.
pub(super) const FUNCTIONS: Names = &[
    (0x00, "cpu_services"),
    (0x04, "read_var"),
    (0x05, "write_var"),
    (0x1a, "request_download"),
    (0x1b, "download_block"),
    (0x1c, "download_ended"),
    (0x1d, "start_upload"),
    (0x1e, "upload"),
    (0x1f, "end_upload"),
    (0x28, "pi_service"),
    (0x29, "plc_stop"),
    (0xf0, "setup_communication"),
];

/// Classes of errors, the high byte of [`ERRORS`].
pub(super) const ERROR_CLASSES: Names = &[
    (0x00, "no_error"),
    (0x81, "application_relationship"),
    (0x82, "object_definition"),
    (0x83, "no_resources_available"),
    (0x84, "error_on_service_processing"),
    (0x85, "error_on_supplies"),
    (0x87, "access_error"),
];

/// Errors, as far as their meaning is published: class and code.
pub(super) const ERRORS: Names = &[
    (0x0000, "no_error"),
    (0x0001, "hardware_fault"),
    (0x0003, "object_access_not_allowed"),
    (0x0005, "address_out_of_range"),
    (0x0006, "data_type_not_supported"),
    (0x0007, "data_type_inconsistent"),
    (0x000a, "object_does_not_exist"),
    (0x8104, "service_not_implemented"),
    (0x8404, "function_not_permitted"),
    (0x8500, "wrong_pdu_size"),
    (0xd209, "block_does_not_exist"),
    (0xd241, "password_required"),
    (0xd602, "password_wrong"),
    (0xd604, "no_password_to_clear"),
    (0xd605, "no_password_set"),
    (0xdc01, "invalid_value"),
];

/// Return codes of data items.
pub(super) const RETURN_CODES: Names = &[
    (0x00, "reserved"),
    (0x01, "hardware_fault"),
    (0x03, "object_access_not_allowed"),
    (0x05, "address_out_of_range"),
    (0x06, "data_type_not_supported"),
    (0x07, "data_type_inconsistent"),
    (0x0a, "object_does_not_exist"),
    (0xff, "success"),
];

/// Syntaxes of the address of a variable.
pub(super) const SYNTAXES: Names = &[
    (0x10, "s7any"),
    (0x13, "pbc_r_id"),
    (0x15, "alarm_lock_free"),
    (0x16, "alarm_indication"),
    (0x19, "alarm_acknowledgement"),
    (0x1a, "alarm_query"),
    (0x1c, "notify_indication"),
    (0x82, "nck"),
    (0x83, "nck_metric"),
    (0x84, "nck_inch"),
    (0xa2, "drive_es"),
    (0xb0, "db_read"),
    (0xb2, "symbolic_1200"),
];

/// Memory areas.
pub(super) const AREAS: Names = &[
    (0x03, "system_info_200"),
    (0x05, "system_flags_200"),
    (0x06, "analog_inputs_200"),
    (0x07, "analog_outputs_200"),
    (0x1c, "counters"),
    (0x1d, "timers"),
    (0x1e, "iec_counters_200"),
    (0x1f, "iec_timers_200"),
    (0x80, "peripherals"),
    (0x81, "inputs"),
    (0x82, "outputs"),
    (0x83, "flags"),
    (0x84, "data_block"),
    (0x85, "instance_data_block"),
    (0x86, "local_data"),
    (0x87, "previous_local_data"),
];

/// Types of variables in an address.
pub(super) const TRANSPORT_SIZES: Names = &[
    (0x01, "bit"),
    (0x02, "byte"),
    (0x03, "char"),
    (0x04, "word"),
    (0x05, "int"),
    (0x06, "dword"),
    (0x07, "dint"),
    (0x08, "real"),
    (0x09, "date"),
    (0x0a, "tod"),
    (0x0b, "time"),
    (0x0c, "s5time"),
    (0x0f, "date_and_time"),
    (0x1c, "counter"),
    (0x1d, "timer"),
    (0x1e, "iec_timer"),
    (0x1f, "iec_counter"),
    (0x20, "hs_counter"),
];

/// What the connection is for: first byte of a transport selector of two.
pub(super) const CONNECTION_TYPES: Names = &[(1, "pg"), (2, "op"), (3, "s7_basic")];

/// What a userdata message is.
pub(super) const USERDATA_TYPES: Names = &[(0, "push"), (4, "request"), (8, "response")];

/// Function groups of userdata.
pub(super) const GROUPS: Names = &[
    (0x0, "mode_transition"),
    (0x1, "programmer_commands"),
    (0x2, "cyclic_services"),
    (0x3, "block_functions"),
    (0x4, "cpu_functions"),
    (0x5, "security"),
    (0x6, "pbc"),
    (0x7, "time_functions"),
    (0xf, "nc_programming"),
];

/// Modes that a CPU changes to, reported by the function group 0.
pub(super) const MODES: Names = &[
    (0x0, "stop"),
    (0x1, "warm_restart"),
    (0x2, "run"),
    (0x3, "hot_restart"),
    (0x4, "hold"),
    (0x6, "cold_restart"),
    (0x9, "run_redundant"),
    (0xb, "link_up"),
    (0xc, "update"),
];

/// Function group and subfunction together.
pub(super) const SERVICES: Names = &[
    (0x101, "block_status"),
    (0x102, "variable_status"),
    (0x103, "output_istack"),
    (0x104, "output_bstack"),
    (0x105, "output_lstack"),
    (0x106, "time_measurement"),
    (0x107, "force_selection"),
    (0x108, "modify_variable"),
    (0x109, "force"),
    (0x10a, "breakpoint"),
    (0x10b, "exit_hold"),
    (0x10c, "memory_reset"),
    (0x10d, "disable_job"),
    (0x10e, "enable_job"),
    (0x10f, "delete_job"),
    (0x110, "read_job_list"),
    (0x111, "read_job"),
    (0x112, "replace_job"),
    (0x113, "block_status_2"),
    (0x116, "flash_led"),
    (0x201, "cyclic_transfer"),
    (0x204, "unsubscribe"),
    (0x205, "change_driven_transfer"),
    (0x207, "change_driven_transfer_modify"),
    (0x208, "read_record"),
    (0x301, "list_blocks"),
    (0x302, "list_blocks_of_type"),
    (0x303, "get_block_info"),
    (0x401, "read_szl"),
    (0x402, "message_service"),
    (0x403, "diagnostic_message"),
    (0x405, "alarm_8_indication"),
    (0x406, "notify_indication"),
    (0x407, "alarm_8_lock"),
    (0x408, "alarm_8_unlock"),
    (0x409, "scan_indication"),
    (0x40b, "alarm_acknowledgement"),
    (0x40c, "alarm_acknowledgement_indication"),
    (0x40d, "alarm_lock_indication"),
    (0x40e, "alarm_unlock_indication"),
    (0x411, "alarm_sq_indication"),
    (0x412, "alarm_s_indication"),
    (0x413, "alarm_query"),
    (0x416, "notify_8_indication"),
    (0x501, "plc_password"),
    (0x502, "clear_password"),
    (0x701, "read_clock"),
    (0x702, "set_clock"),
    (0x703, "read_clock_following"),
    (0x704, "set_clock_following"),
    (0xf01, "nc_request_download"),
    (0xf02, "nc_download_block"),
    (0xf03, "nc_continue_download"),
    (0xf04, "nc_download_ended"),
    (0xf06, "nc_start_upload"),
    (0xf07, "nc_upload"),
    (0xf08, "nc_continue_upload"),
];

/// Types of blocks, as the two characters in their names are a number in hexadecimal digits.
pub(super) const BLOCK_TYPES: Names = &[
    (0x08, "ob"),
    (0x09, "cmod"),
    (0x0a, "db"),
    (0x0b, "sdb"),
    (0x0c, "fc"),
    (0x0d, "sfc"),
    (0x0e, "fb"),
    (0x0f, "sfb"),
];

/// File systems of the CPU, by the last character of a block's name.
pub(super) const FILE_SYSTEMS: Names =
    &[(b'A' as u64, "active"), (b'B' as u64, "active_and_passive"), (b'P' as u64, "passive")];

/// Languages that blocks are written in.
pub(super) const LANGUAGES: Names = &[
    (0, "undefined"),
    (1, "stl"),
    (2, "lad"),
    (3, "fbd"),
    (4, "scl"),
    (5, "db"),
    (6, "graph"),
    (7, "sdb"),
    (8, "cpu_db"),
    (0x11, "sdb_routing"),
    (0x29, "encrypted"),
];

/// Partial lists of the system state list (SZL), by the low byte of the identifier.
pub(super) const SZL_LISTS: Names = &[
    (0x00, "list_of_szl_ids"),
    (0x11, "module_identification"),
    (0x12, "cpu_characteristics"),
    (0x13, "memory_areas"),
    (0x14, "system_areas"),
    (0x15, "block_types"),
    (0x16, "priority_classes"),
    (0x17, "permitted_sdbs"),
    (0x18, "io_expansion"),
    (0x19, "leds"),
    (0x1c, "component_identification"),
    (0x21, "interrupts_and_errors"),
    (0x22, "interrupt_status"),
    (0x23, "priority_class_status"),
    (0x24, "modes"),
    (0x25, "process_image_partitions"),
    (0x31, "communication_capability"),
    (0x32, "communication_status"),
    (0x33, "diagnostic_stations"),
    (0x37, "ethernet_details"),
    (0x71, "h_cpu_group"),
    (0x74, "module_leds"),
    (0x75, "switched_dp_slaves"),
    (0x81, "start_information"),
    (0x82, "start_events"),
    (0x90, "dp_master_systems"),
    (0x91, "module_status"),
    (0x92, "rack_status"),
    (0x94, "station_status"),
    (0x95, "extended_dp_master_system"),
    (0x96, "extended_module_status"),
    (0xa0, "diagnostic_buffer"),
    (0xb1, "module_diagnostics_4_bytes"),
    (0xb2, "module_diagnostics_physical"),
    (0xb3, "module_diagnostics_logical"),
    (0xb4, "dp_slave_diagnostics"),
];

/// Areas of a numeric control, the three high bits of the first byte of its address.
pub(super) const NCK_AREAS: Names = &[(0, "n"), (1, "b"), (2, "c"), (3, "a"), (4, "t"), (5, "v"), (6, "h"), (7, "m")];

/// Opcodes of S7comm-plus.
pub(super) const OPCODES: Names =
    &[(0x02, "response_2"), (0x31, "request"), (0x32, "response"), (0x33, "notification")];

/// Versions of S7comm-plus in the header of a PDU.
pub(super) const VERSIONS: Names = &[(1, "v1"), (2, "v2"), (3, "v3"), (0xfe, "system_event"), (0xff, "keep_alive")];

/// Functions of S7comm-plus.
pub(super) const PLUS_FUNCTIONS: Names = &[
    (0x04bb, "explore"),
    (0x04ca, "create_object"),
    (0x04d4, "delete_object"),
    (0x04f2, "set_variable"),
    (0x04fc, "get_variable"),
    (0x0524, "get_link"),
    (0x0542, "set_multi_variables"),
    (0x054c, "get_multi_variables"),
    (0x0556, "begin_sequence"),
    (0x0560, "end_sequence"),
    (0x056b, "invoke"),
    (0x057c, "set_var_substreamed"),
    (0x0586, "get_var_substreamed"),
    (0x0590, "get_variables_address"),
    (0x059a, "abort"),
    (0x05a9, "error"),
    (0x05b3, "init_ssl"),
];
