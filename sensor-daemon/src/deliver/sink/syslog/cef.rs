//! Common Event Format, version 0: a header with seven parts, then pairs of the keys that ArcSight defines.

use std::fmt::Write as _;

use serde_json::Value;
use vigia_parsers::Timestamp;

use super::{scalar, text, title};

/// Keys of the extension, and where their values stand in an event. Keys for addresses of version 6 are others.
const KEYS: &[(&str, &str)] = &[
    ("externalId", "/event_id"),
    ("dvchost", "/host"),
    ("deviceInboundInterface", "/in_iface"),
    ("spt", "/src_port"),
    ("dpt", "/dest_port"),
    ("proto", "/proto"),
    ("app", "/app_proto"),
    ("act", "/alert/action"),
    ("cat", "/alert/category"),
    ("smac", "/ether/src_mac"),
    ("dmac", "/ether/dest_mac"),
];

/// Keys whose meaning the sender says: the key, its label, and where the value stands.
const LABELLED: &[(&str, &str, &str)] =
    &[("cn1", "flow_id", "/flow_id"), ("cs1", "operation", "/ot/operation"), ("cs2", "community_id", "/community_id")];

/// The body of an event.
pub(super) fn body(event: &Value, time: Timestamp) -> String {
    let (id, name, severity) = title(event);
    let mut out = format!("CEF:0|Vigia|Vigia|{}|", env!("CARGO_PKG_VERSION"));
    for part in [&id, name] {
        escaped(&mut out, part, '|');
        out.push('|');
    }
    let _ = write!(out, "{severity}|rt={}", time.0 / 1_000_000);
    let mut pair = |key: &str, value: &str| {
        let _ = write!(out, " {key}=");
        escaped(&mut out, value, '=');
    };
    for (place, [key, key_v6, label]) in
        [("/src_ip", ["src", "c6a2", "Source IPv6 Address"]), ("/dest_ip", ["dst", "c6a3", "Destination IPv6 Address"])]
    {
        match text(event, place) {
            "" => {}
            address if address.contains(':') => {
                pair(key_v6, address);
                pair(&format!("{key_v6}Label"), label);
            }
            address => pair(key, address),
        }
    }
    for (key, place) in KEYS {
        if let Some(value) = scalar(event, place) {
            pair(key, &value);
        }
    }
    for (key, label, place) in LABELLED {
        if let Some(value) = scalar(event, place) {
            pair(key, &value);
            pair(&format!("{key}Label"), label);
        }
    }
    out
}

/// Appends a value; backslashes, ends of line and what ends a part are escaped.
fn escaped(out: &mut String, value: &str, end: char) {
    for character in value.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            character => {
                if character == end {
                    out.push('\\');
                }
                out.push(character);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALERT, TIME};
    use super::*;

    #[test]
    fn an_alert_becomes_a_cef_event() {
        let event: Value = serde_json::from_slice(ALERT).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            body(&event, TIME),
            format!(
                "CEF:0|Vigia|Vigia|{version}|1:2001:3|write \\| to = a\\\\b|10|rt=1767323045123 src=10.0.0.1 c6a3=fd00::2 \
                 c6a3Label=Destination IPv6 Address externalId=ab-a-1-0 dvchost=planta ñ deviceInboundInterface=tap0 \
                 spt=40000 dpt=502 proto=TCP app=modbus act=allowed cat=Policy cn1=77 cn1Label=flow_id cs1=write \
                 cs1Label=operation"
            )
        );
    }

    #[test]
    fn no_value_ends_its_pair_or_its_line() {
        let mut out = String::new();
        escaped(&mut out, "a=b|c\\d\r\ne", '=');
        assert_eq!(out, "a\\=b|c\\\\d\\r\\ne");
    }
}
