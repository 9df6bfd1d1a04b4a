//! Log Event Extended Format 2.0: a header, then attributes of the names that QRadar defines, apart by tabs.

use std::fmt::Write as _;

use serde_json::Value;
use vigia_parsers::Timestamp;

use super::{scalar, title};

/// Names of attributes, and where their values stand in an event. Those that QRadar does not define keep EVE's names.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("src", "/src_ip"),
    ("dst", "/dest_ip"),
    ("srcPort", "/src_port"),
    ("dstPort", "/dest_port"),
    ("proto", "/proto"),
    ("srcMAC", "/ether/src_mac"),
    ("dstMAC", "/ether/dest_mac"),
    ("cat", "/alert/category"),
    ("action", "/alert/action"),
    ("event_id", "/event_id"),
    ("host", "/host"),
    ("in_iface", "/in_iface"),
    ("app_proto", "/app_proto"),
    ("flow_id", "/flow_id"),
    ("community_id", "/community_id"),
    ("operation", "/ot/operation"),
];

/// The body of an event.
pub(super) fn body(event: &Value, time: Timestamp) -> String {
    let (id, name, severity) = title(event);
    let mut out = format!("LEEF:2.0|Vigia|Vigia|{}|{}|x09|", env!("CARGO_PKG_VERSION"), one_line(&id, '|'));
    let _ = write!(out, "devTime={}\tsev={severity}\tname={}", time.0 / 1_000_000, one_line(name, '\t'));
    for (attribute, place) in ATTRIBUTES {
        if let Some(value) = scalar(event, place) {
            let _ = write!(out, "\t{attribute}={}", one_line(&value, '\t'));
        }
    }
    out
}

/// LEEF has no escapes: what would end a value or its line becomes a space.
fn one_line(value: &str, end: char) -> String {
    value.replace(['\r', '\n', end], " ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALERT, TIME};
    use super::*;

    #[test]
    fn an_alert_becomes_a_leef_event() {
        let event: Value = serde_json::from_slice(ALERT).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            body(&event, TIME),
            format!(
                "LEEF:2.0|Vigia|Vigia|{version}|1:2001:3|x09|devTime=1767323045123\tsev=10\tname=write | to = a\\b\t\
                 src=10.0.0.1\tdst=fd00::2\tsrcPort=40000\tdstPort=502\tproto=TCP\tcat=Policy\taction=allowed\t\
                 event_id=ab-a-1-0\thost=planta ñ\tin_iface=tap0\tapp_proto=modbus\tflow_id=77\toperation=write"
            )
        );
    }

    #[test]
    fn no_value_ends_its_attribute() {
        assert_eq!(one_line("a\tb\r\nc|d", '\t'), "a b  c|d");
    }
}
