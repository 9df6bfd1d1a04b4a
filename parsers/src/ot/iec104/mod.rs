//! IEC 60870-5-104: telecontrol over TCP.
//!
//! Standards: IEC 60870-5-104:2006 with amendment 1 (APCI, types for use over TCP), IEC 60870-5-101:2003 (ASDUs, information
//! elements), IEC TS 60870-5-7 (types of authentication).
//!
//! A *message* is one APDU. Those of the I format carry an ASDU; the sizes of its cause of transmission, common address and
//! information object addresses are a matter of the station's settings ([`Sizes`]), and are found by which of them suit the
//! lengths ([`asdu::Suited`]) where they are not stated ([`crate::Limits::iec104_sizes`]).

mod apci;
mod asdu;
mod element;
mod names;
mod operation;
mod record;
mod state;
#[cfg(test)]
mod tests;

use crate::dissector::{AnomalyKind, Protocol};
pub use asdu::Sizes;
use state::State;

const INVALID_LENGTH: &str = "invalid_length";
const INVALID_CONTROL: &str = "invalid_control_field";
const UNKNOWN_TYPE: &str = "unknown_type";
const UNKNOWN_CAUSE: &str = "unknown_cause";
const UNEXPECTED_CAUSE: &str = "unexpected_cause";
const INVALID_COMMON_ADDRESS: &str = "invalid_common_address";
const NO_OBJECTS: &str = "no_objects";
const INVALID_VALUE: &str = "invalid_value";
const INVALID_TIME: &str = "invalid_time";
const SEQUENCE_LOST: &str = "sequence_lost";
const SEQUENCE_REPEATED: &str = "sequence_repeated";
const ACKNOWLEDGED_UNSENT: &str = "acknowledged_unsent";
const TRANSFER_STOPPED: &str = "transfer_stopped";
const WRONG_DIRECTION: &str = "wrong_direction";
const UNSOLICITED_CONFIRMATION: &str = "unsolicited_confirmation";
const EXECUTE_WITHOUT_SELECT: &str = "execute_without_select";
const EXECUTE_DIFFERS: &str = "execute_differs";

const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

static ANOMALIES: &[AnomalyKind] = &[
    kind(
        INVALID_LENGTH,
        "Length of the APDU does not suit its format, or that of the ASDU its type and number of objects",
    ),
    kind(INVALID_CONTROL, "Control field with a function or bits that the format does not have (104 §5.1)"),
    kind(UNKNOWN_TYPE, "Type identification that the standard does not define (101 §7.2.1)"),
    kind(UNKNOWN_CAUSE, "Cause of transmission that the standard does not define (101 §7.2.3)"),
    kind(UNEXPECTED_CAUSE, "Cause of transmission that the standard does not allow for the type (101 §7.3)"),
    kind(INVALID_COMMON_ADDRESS, "Common address 0, which is not used (101 §7.2.4)"),
    kind(NO_OBJECTS, "ASDU of a defined type without an information object"),
    kind(INVALID_VALUE, "Command state or qualifier that the standard does not allow (101 §7.2.6)"),
    kind(INVALID_TIME, "Time that no clock shows (101 §7.2.6.18)"),
    kind(SEQUENCE_LOST, "Send sequence number beyond the next: APDUs are missing (104 §5.1)"),
    kind(SEQUENCE_REPEATED, "Send sequence number that was there before (104 §5.1)"),
    kind(ACKNOWLEDGED_UNSENT, "Receive sequence number beyond what the other side sent (104 §5.1)"),
    kind(TRANSFER_STOPPED, "User data after data transfer was stopped and not started again (104 §5.3)"),
    kind(
        WRONG_DIRECTION,
        "Control function activated by the controlled station, or confirmed by the controlling (104 §5.3)",
    ),
    kind(UNSOLICITED_CONFIRMATION, "Confirmation of no outstanding activation; that may be lost"),
    kind(
        EXECUTE_WITHOUT_SELECT,
        "Execute command, without its select, to a point that is operated by select and execute",
    ),
    kind(EXECUTE_DIFFERS, "Execute command with another value than was selected"),
];

/// IEC 60870-5-104.
pub static PROTOCOL: Protocol = Protocol {
    name: "iec104",
    title: "Telecontrol over TCP (IEC 60870-5-104:2006)",
    tcp_ports: &[2404],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: apci::LONGEST,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: apci::probe,
    frame: apci::frame,
    open: |limits| Box::new(State::new(limits)),
};
