//! Names of the encapsulation's numbers (CIP Networks Library volume 2 §2-3 to §2-6).

use crate::field::{Names, name_of};

/// Commands, in Suricata's spelling.
pub(super) const COMMANDS: Names = &[
    (0x00, "nop"),
    (0x04, "list_services"),
    (0x63, "list_identity"),
    (0x64, "list_interfaces"),
    (0x65, "register_session"),
    (0x66, "unregister_session"),
    (0x6f, "send_rr_data"),
    (0x70, "send_unit_data"),
    (0x72, "indicate_status"),
    (0x73, "cancel"),
    (0xc8, "start_dtls"),
];

/// Commands that are in use, if not in the standard any more: 1 is List Targets of early products.
pub(super) fn is_command(command: u16) -> bool {
    command == 1 || name_of(COMMANDS, command.into()).is_some()
}

/// Status of the header, in Suricata's spelling.
pub(super) const STATUS: Names = &[
    (0x00, "success"),
    (0x01, "invalid_cmd"),
    (0x02, "no_resources"),
    (0x03, "incorrect_data"),
    (0x64, "invalid_session"),
    (0x65, "invalid_length"),
    (0x69, "unsupported_prot_rev"),
    (0x6a, "encap_header_error"),
];

pub(super) fn is_status(status: u32) -> bool {
    name_of(STATUS, status.into()).is_some()
}

/// Types of items (§2-6).
pub(super) const ITEMS: Names = &[
    (0x0000, "null"),
    (0x000c, "identity"),
    (0x0086, "cip_security_information"),
    (0x0087, "ethernet_ip_capability"),
    (0x0088, "ethernet_ip_usage"),
    (0x00a1, "connected_address"),
    (0x00b1, "connected_data"),
    (0x00b2, "unconnected_data"),
    (0x0100, "services"),
    (0x8000, "socket_address_o_to_t"),
    (0x8001, "socket_address_t_to_o"),
    (0x8002, "sequenced_address"),
    (0x8003, "unconnected_message_over_udp"),
];
