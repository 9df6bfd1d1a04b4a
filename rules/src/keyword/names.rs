//! Names that rules may use, beyond what is implemented: so that what is not there yet is told from what does not exist.

use vigia_parsers::conversation;

/// The protocol of the `modbus` keyword.
pub(super) const MODBUS: &str = "modbus";
/// The protocol of the `dnp3_*` keywords.
pub(super) const DNP3: &str = "dnp3";
/// The protocol that `enip_command` and `cip_service` are spelt over.
pub(super) const ENIP: &str = "enip";
/// The protocol that `dns_query` and its like are spelt over.
pub(super) const DNS: &str = "dns";
/// The protocol of the `mqtt.*` keywords.
pub(super) const MQTT: &str = "mqtt";

/// Every protocol that a rule header or `app-layer-protocol` can name.
pub(super) const PROTOCOLS: &[&str] = &[
    "arp",
    "bittorrent-dht",
    "dcerpc",
    "dhcp",
    "dnp3",
    "dns",
    "doh2",
    "enip",
    "ether",
    "ftp",
    "ftp-data",
    "http",
    "http1",
    "http2",
    "ike",
    "ikev2",
    "imap",
    "irc",
    "jabber",
    "krb5",
    "ldap",
    "llmnr",
    "mdns",
    "modbus",
    "mqtt",
    "msn",
    "nbss",
    "nfs",
    "ntp",
    "pgsql",
    "pop3",
    "quic",
    "rdp",
    "rfb",
    "sdp",
    "sip",
    "smb",
    "smtp",
    "snmp",
    "ssh",
    "ssl",
    "telnet",
    "template",
    "tftp",
    "tls",
    "websocket",
];

/// The events of TCP reassembly that are told.
pub(super) const STREAM_EVENTS: &[&str] = &[
    "3whs_right_seq_wrong_ack_evasion",
    "3whs_syn_flood",
    "3whs_syn_resend_diff_seq_on_syn_recv",
    "3whs_syn_toclient_on_syn_recv",
    "3whs_synack_flood",
    "3whs_synack_in_wrong_direction",
    "3whs_synack_resend_with_diff_seq",
    "3whs_synack_resend_with_different_ack",
    "3whs_synack_tfo_data_ignored",
    "3whs_synack_toserver_on_syn_recv",
    "3whs_synack_with_wrong_ack",
    "3whs_wrong_seq_wrong_ack",
    "4whs_invalid_ack",
    "4whs_synack_with_wrong_ack",
    "4whs_synack_with_wrong_syn",
    "4whs_wrong_seq",
    "closewait_ack_out_of_window",
    "closewait_fin_out_of_window",
    "closewait_invalid_ack",
    "closewait_pkt_before_last_ack",
    "closing_ack_wrong_seq",
    "closing_invalid_ack",
    "est_invalid_ack",
    "est_packet_out_of_window",
    "est_pkt_before_last_ack",
    "est_syn_resend",
    "est_syn_resend_diff_seq",
    "est_syn_toclient",
    "est_synack_resend",
    "est_synack_resend_with_diff_seq",
    "est_synack_resend_with_different_ack",
    "est_synack_toserver",
    "fin1_ack_wrong_seq",
    "fin1_fin_wrong_seq",
    "fin1_invalid_ack",
    "fin2_ack_wrong_seq",
    "fin2_fin_wrong_seq",
    "fin2_invalid_ack",
    "fin_but_no_session",
    "fin_invalid_ack",
    "fin_out_of_window",
    "fin_syn",
    "lastack_ack_wrong_seq",
    "lastack_invalid_ack",
    "pkt_bad_window_update",
    "pkt_broken_ack",
    "pkt_invalid_ack",
    "pkt_invalid_timestamp",
    "pkt_retransmission",
    "pkt_spurious_retransmission",
    "reassembly_overlap_different_data",
    "reassembly_segment_before_base_seq",
    "reassembly_seq_gap",
    "rst_but_no_session",
    "rst_invalid_ack",
    "shutdown_syn_resend",
    "suspected_rst_inject",
    "timewait_ack_wrong_seq",
    "timewait_invalid_ack",
];

/// Those that Suricata tells besides, of which a rule waits.
pub(super) const OTHER_STREAM_EVENTS: &[&str] = &[
    "3whs_ack_data_inject",
    "3whs_ack_in_wrong_dir",
    "3whs_async_wrong_seq",
    "reassembly_depth_reached",
    "reassembly_urgent_oob_limit_reached",
    "wrong_thread",
];

/// Events of the application layer that belong to no protocol, and are told.
pub(super) const APP_LAYER_EVENTS: &[&str] =
    &[conversation::ONE_DIRECTION, conversation::MISMATCH, conversation::DETECTION_SKIPPED];

/// Those that Suricata tells besides, of which a rule waits.
pub(super) const OTHER_APP_LAYER_EVENTS: &[&str] =
    &["applayer_no_tls_after_starttls", "applayer_unexpected_protocol", "applayer_wrong_direction_first_data"];
