//! Keywords that are known, but wait for something: for the dissector of their protocol, or for a feature.
//!
//! A rule that uses one is checked like any other and then switched off; one warning for each of these keywords says
//! which rules it costs. A keyword leaves this table when it is implemented.

use super::{Draft, Use, payload};
use crate::engine::Buffer;
use crate::language::Problem;
use crate::language::said::say;

/// What a keyword waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The dissector of this protocol.
    Protocol(&'static str),
    /// Something else that the sensor does not do.
    Feature(&'static str),
}

impl Need {
    /// What it is.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Protocol(name) | Self::Feature(name) => name,
        }
    }
}

/// What a registered keyword takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is a sticky buffer.
    Buffer,
    /// Nothing: it is a sticky buffer, of which there may be several.
    Buffers,
    /// Nothing: it moves the content before it to another buffer.
    Modifier,
    /// A transform of the buffer before it.
    Transform,
    /// An integer of so many bits.
    Integer(u8),
    /// A value.
    Value,
    /// A value or none.
    Optional,
    /// Bytes that are looked for, as of `content`.
    Content,
    /// Nothing.
    Nothing,
}

impl Takes {
    /// In words, for the reference.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Buffer => "sticky buffer",
            Self::Buffers => "sticky buffer, many values",
            Self::Modifier => "modifier of `content`",
            Self::Transform => "transform",
            Self::Integer(_) => "integer",
            Self::Value | Self::Content => "value",
            Self::Optional => "value or none",
            Self::Nothing => "no value",
        }
    }
}

/// The name of the registered keyword with this number.
pub(crate) fn waiting(number: u16) -> &'static str {
    TABLE.iter().flat_map(|(_, _, names)| *names).nth(number.into()).copied().unwrap_or_default()
}

/// Adds a registered keyword, the one with this number, to a rule: what can be checked is.
pub(super) fn apply(draft: &mut Draft, number: u16, takes: Takes, it: Use<'_>) -> Result<(), Problem> {
    let given = !it.value.text.is_empty();
    match takes {
        Takes::Integer(_) | Takes::Value | Takes::Content if !given => {
            let problem = Problem::new("missing-value", say!("`{}` needs a value", it.name.text), it.name.span());
            Err(problem.help(say!("expected `{}:...;`", it.name.text)))
        }
        // A rule about both directions (`=>`) says which of the two buffers it means.
        Takes::Buffer | Takes::Buffers if matches!(it.value.text, "to_server" | "to_client") => {
            draft.stick(Buffer::Waiting(number), true, it.name)
        }
        Takes::Buffer | Takes::Buffers | Takes::Modifier | Takes::Nothing if given => {
            Err(Problem::new("unexpected-value", say!("`{}` takes no value", it.name.text), it.value.span()))
        }
        Takes::Buffer | Takes::Buffers => draft.stick(Buffer::Waiting(number), true, it.name),
        Takes::Modifier => draft.last_content(it.name).map(drop),
        Takes::Content => {
            draft.stick(Buffer::Waiting(number), false, it.name)?;
            payload::content(draft, it)
        }
        _ => Ok(()),
    }
}

/// The registered keywords.
pub(super) const TABLE: &[(Need, Takes, &[&str])] = &[
    (Need::Feature("states of transactions"), Takes::Value, &["app-layer-state"]),
    (Need::Protocol("dcerpc"), Takes::Buffer, &["dce_stub_data", "dcerpc.stub_data"]),
    (Need::Protocol("dcerpc"), Takes::Value, &["dce_iface", "dce_opnum", "dcerpc.iface", "dcerpc.opnum"]),
    (Need::Protocol("dhcp"), Takes::Integer(64), &["dhcp.leasetime", "dhcp.rebinding_time", "dhcp.renewal_time"]),
    (Need::Protocol("enip"), Takes::Buffer, &["enip.product_name", "enip.service_name"]),
    (
        Need::Protocol("enip"),
        Takes::Integer(16),
        &[
            "enip.capabilities",
            "enip.cip_extendedstatus",
            "enip.device_type",
            "enip.identity_status",
            "enip.product_code",
            "enip.protocol_version",
            "enip.revision",
            "enip.vendor_id",
            "enip_command",
        ],
    ),
    (
        Need::Protocol("enip"),
        Takes::Integer(32),
        &["enip.cip_attribute", "enip.cip_class", "enip.cip_instance", "enip.serial", "enip.status"],
    ),
    (Need::Protocol("enip"), Takes::Integer(8), &["enip.cip_status", "enip.state"]),
    (Need::Protocol("enip"), Takes::Value, &["cip_service"]),
    (
        Need::Feature("extracted files"),
        Takes::Buffers,
        &["file.data", "file.magic", "file.name", "file_data", "file_name"],
    ),
    (Need::Feature("extracted files"), Takes::Integer(64), &["filesize"]),
    (
        Need::Feature("extracted files"),
        Takes::Value,
        &["fileext", "filemagic", "filemd5", "filename", "filesha1", "filesha256"],
    ),
    (Need::Feature("extracted files"), Takes::Optional, &["filestore"]),
    (Need::Feature("elephant flows"), Takes::Value, &["flow.elephant"]),
    (Need::Protocol("ftp"), Takes::Buffer, &["ftp.command", "ftp.command_data"]),
    (Need::Protocol("ftp"), Takes::Buffers, &["ftp.completion_code", "ftp.reply"]),
    (Need::Protocol("ftp"), Takes::Integer(16), &["ftp.dynamic_port"]),
    (Need::Protocol("ftp"), Takes::Nothing, &["ftpbounce"]),
    (Need::Protocol("ftp"), Takes::Value, &["ftp.mode", "ftp.reply_received", "ftpdata_command"]),
    (
        Need::Protocol("http"),
        Takes::Buffer,
        &[
            "http.accept",
            "http.accept_enc",
            "http.accept_lang",
            "http.connection",
            "http.content_len",
            "http.content_type",
            "http.cookie",
            "http.header",
            "http.header.raw",
            "http.header_names",
            "http.host",
            "http.host.raw",
            "http.location",
            "http.method",
            "http.protocol",
            "http.referer",
            "http.request_body",
            "http.request_line",
            "http.response_body",
            "http.response_line",
            "http.server",
            "http.start",
            "http.stat_code",
            "http.stat_msg",
            "http.uri",
            "http.uri.raw",
            "http.user_agent",
            "http_accept",
            "http_accept_enc",
            "http_accept_lang",
            "http_body",
            "http_connection",
            "http_content_len",
            "http_content_type",
            "http_header_names",
            "http_location",
            "http_protocol",
            "http_referer",
            "http_request_body",
            "http_request_line",
            "http_response_body",
            "http_response_line",
            "http_server",
            "http_start",
        ],
    ),
    (Need::Protocol("http"), Takes::Buffers, &["http.request_header", "http.response_header"]),
    (Need::Protocol("http"), Takes::Content, &["uricontent"]),
    (Need::Protocol("http"), Takes::Value, &["urilen"]),
    (Need::Feature("ASN.1 checks"), Takes::Value, &["asn1"]),
    (Need::Feature("rules that configure"), Takes::Value, &["config"]),
    (Need::Feature("sessions of TCP"), Takes::Value, &["tcp.session"]),
    (
        Need::Protocol("http"),
        Takes::Modifier,
        &[
            "http_client_body",
            "http_cookie",
            "http_header",
            "http_host",
            "http_method",
            "http_raw_header",
            "http_raw_host",
            "http_raw_uri",
            "http_server_body",
            "http_stat_code",
            "http_stat_msg",
            "http_uri",
            "http_user_agent",
        ],
    ),
    (Need::Protocol("http2"), Takes::Buffers, &["http2.header_name"]),
    (Need::Protocol("http2"), Takes::Integer(32), &["http2.errorcode", "http2.window"]),
    (Need::Protocol("http2"), Takes::Integer(64), &["http2.size_update"]),
    (Need::Protocol("http2"), Takes::Integer(8), &["http2.frametype", "http2.priority"]),
    (Need::Protocol("http2"), Takes::Value, &["http2.settings"]),
    (
        Need::Protocol("ike"),
        Takes::Buffer,
        &["ike.init_spi", "ike.key_exchange_payload", "ike.nonce_payload", "ike.resp_spi"],
    ),
    (Need::Protocol("ike"), Takes::Buffers, &["ike.vendor"]),
    (Need::Protocol("ike"), Takes::Integer(32), &["ike.key_exchange_payload_length", "ike.nonce_payload_length"]),
    (Need::Protocol("ike"), Takes::Integer(8), &["ike.exchtype"]),
    (Need::Protocol("ike"), Takes::Value, &["ike.chosen_sa_attribute"]),
    (Need::Protocol("krb5"), Takes::Buffers, &["krb5.cname", "krb5.sname", "krb5_cname", "krb5_sname"]),
    (Need::Protocol("krb5"), Takes::Integer(32), &["krb5_err_code", "krb5_msg_type"]),
    (Need::Protocol("krb5"), Takes::Value, &["krb5.ticket_encryption"]),
    (Need::Protocol("ldap"), Takes::Buffer, &["ldap.request.dn"]),
    (
        Need::Protocol("ldap"),
        Takes::Buffers,
        &[
            "ldap.request.attribute_type",
            "ldap.responses.attribute_type",
            "ldap.responses.dn",
            "ldap.responses.message",
        ],
    ),
    (Need::Protocol("ldap"), Takes::Integer(32), &["ldap.responses.count", "ldap.responses.result_code"]),
    (Need::Protocol("ldap"), Takes::Integer(8), &["ldap.request.operation", "ldap.responses.operation"]),
    (Need::Feature("Lua scripts"), Takes::Transform, &["luaxform"]),
    (Need::Feature("Lua scripts"), Takes::Value, &["lua"]),
    (
        Need::Protocol("mqtt"),
        Takes::Buffer,
        &[
            "mqtt.connect.clientid",
            "mqtt.connect.password",
            "mqtt.connect.protocol_string",
            "mqtt.connect.username",
            "mqtt.connect.willmessage",
            "mqtt.connect.willtopic",
            "mqtt.publish.message",
            "mqtt.publish.topic",
        ],
    ),
    (Need::Protocol("mqtt"), Takes::Buffers, &["mqtt.subscribe.topic", "mqtt.unsubscribe.topic"]),
    (
        Need::Protocol("mqtt"),
        Takes::Integer(8),
        &["mqtt.connect.flags", "mqtt.flags", "mqtt.protocol_version", "mqtt.reason_code", "mqtt.type"],
    ),
    (Need::Protocol("mqtt"), Takes::Value, &["mqtt.connack.session_present", "mqtt.qos"]),
    (Need::Protocol("nfs"), Takes::Integer(32), &["nfs.version", "nfs_procedure"]),
    (Need::Protocol("ntp"), Takes::Buffer, &["ntp.reference_id"]),
    (Need::Protocol("ntp"), Takes::Integer(8), &["ntp.mode", "ntp.stratum", "ntp.version"]),
    (Need::Protocol("pgsql"), Takes::Buffer, &["pgsql.query"]),
    (Need::Protocol("quic"), Takes::Buffer, &["quic.sni", "quic.ua", "quic.version"]),
    (Need::Protocol("quic"), Takes::Buffers, &["quic.cyu.hash", "quic.cyu.string"]),
    (Need::Protocol("rfb"), Takes::Buffer, &["rfb.name"]),
    (Need::Protocol("rfb"), Takes::Integer(32), &["rfb.secresult", "rfb.sectype"]),
    (
        Need::Protocol("sdp"),
        Takes::Buffer,
        &[
            "sdp.connection_data",
            "sdp.email",
            "sdp.encryption_key",
            "sdp.origin",
            "sdp.phone_number",
            "sdp.session_info",
            "sdp.session_name",
            "sdp.timezone",
            "sdp.uri",
        ],
    ),
    (
        Need::Protocol("sdp"),
        Takes::Buffers,
        &[
            "sdp.attribute",
            "sdp.bandwidth",
            "sdp.media.connection_data",
            "sdp.media.encryption_key",
            "sdp.media.media",
            "sdp.media.media_info",
            "sdp.repeat_time",
            "sdp.time",
        ],
    ),
    (
        Need::Protocol("sip"),
        Takes::Buffer,
        &[
            "sip.method",
            "sip.protocol",
            "sip.request_line",
            "sip.response_line",
            "sip.stat_code",
            "sip.stat_msg",
            "sip.uri",
        ],
    ),
    (
        Need::Protocol("sip"),
        Takes::Buffers,
        &["sip.content_length", "sip.content_type", "sip.from", "sip.to", "sip.user_agent", "sip.via"],
    ),
    (
        Need::Protocol("smb"),
        Takes::Buffer,
        &["smb.named_pipe", "smb.ntlmssp_domain", "smb.ntlmssp_user", "smb.share", "smb_named_pipe", "smb_share"],
    ),
    (Need::Protocol("smb"), Takes::Value, &["smb.version"]),
    (
        Need::Protocol("smtp"),
        Takes::Buffer,
        &[
            "email.body_md5",
            "email.cc",
            "email.date",
            "email.from",
            "email.message_id",
            "email.subject",
            "email.to",
            "email.x_mailer",
            "smtp.helo",
            "smtp.mail_from",
        ],
    ),
    (Need::Protocol("smtp"), Takes::Buffers, &["email.received", "email.url", "smtp.rcpt_to"]),
    (Need::Protocol("snmp"), Takes::Buffer, &["snmp.community", "snmp.trap_address", "snmp.trap_oid", "snmp.usm"]),
    (Need::Protocol("snmp"), Takes::Integer(32), &["snmp.pdu_type", "snmp.version", "snmp_version"]),
    (Need::Protocol("snmp"), Takes::Integer(8), &["snmp.trap_type"]),
    (
        Need::Protocol("ssh"),
        Takes::Buffer,
        &[
            "ssh.hassh",
            "ssh.hassh.server",
            "ssh.hassh.server.string",
            "ssh.hassh.string",
            "ssh.proto",
            "ssh.software",
            "ssh_proto",
            "ssh_software",
        ],
    ),
    (Need::Protocol("ssh"), Takes::Value, &["ssh.protoversion", "ssh.softwareversion"]),
    (
        Need::Protocol("tls"),
        Takes::Buffer,
        &[
            "ja3.hash",
            "ja3.string",
            "ja3_hash",
            "ja3_string",
            "ja3s.hash",
            "ja3s.string",
            "ja3s_hash",
            "ja3s_string",
            "ja4.hash",
            "tls.cert_fingerprint",
            "tls.cert_issuer",
            "tls.cert_serial",
            "tls.cert_subject",
            "tls.random",
            "tls.random_bytes",
            "tls.random_time",
            "tls.sni",
            "tls_cert_fingerprint",
            "tls_cert_issuer",
            "tls_cert_serial",
            "tls_cert_subject",
            "tls_sni",
        ],
    ),
    (Need::Protocol("tls"), Takes::Buffers, &["tls.alpn", "tls.certs", "tls.subjectaltname"]),
    (Need::Protocol("tls"), Takes::Integer(32), &["tls.cert_chain_len"]),
    (Need::Protocol("tls"), Takes::Nothing, &["tls.store", "tls_cert_expired", "tls_cert_valid", "tls_store"]),
    (
        Need::Protocol("tls"),
        Takes::Value,
        &[
            "ssl_state",
            "ssl_version",
            "tls.fingerprint",
            "tls.issuerdn",
            "tls.subject",
            "tls.version",
            "tls_cert_notafter",
            "tls_cert_notbefore",
        ],
    ),
    (Need::Protocol("websocket"), Takes::Buffer, &["websocket.payload"]),
    (Need::Protocol("websocket"), Takes::Integer(32), &["websocket.mask"]),
    (Need::Protocol("websocket"), Takes::Integer(8), &["websocket.flags", "websocket.opcode"]),
];
