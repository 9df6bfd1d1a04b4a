//! MMS, the manufacturing message specification (ISO 9506-2), as IEC 61850-8-1, ICCP (IEC 60870-6) and others use it.
//!
//! It stands on TPKT and COTP ([`crate::layer`]), session and presentation ([`stack`]) and association control
//! ([`association`]); some devices send it on COTP alone. All confirmed services are known by one table ([`service`]);
//! what IEC 61850 says by them is read where it says it: control objects ([`control`]) and reports ([`report`]).

mod association;
mod control;
mod eve;
mod names;
mod object;
mod operation;
mod pdu;
mod record;
mod report;
mod service;
mod stack;
mod state;
#[cfg(test)]
mod tests;

use super::header::kind as anomaly;
use crate::dissector::{AnomalyKind, Direction, Probe, Protocol};
use crate::findings::Findings;
use crate::layer::{cotp, tpkt};
use pdu::{Message, kind};
use stack::spdu;

const INVALID_TPDU: &str = "invalid_tpdu";
const UNKNOWN_DATA_UNIT: &str = "unknown_data_unit";
const DATA_UNIT_TOO_LONG: &str = "data_unit_too_long";
const PART_WITHOUT_BEGINNING: &str = "part_without_beginning";
const INVALID_SESSION: &str = "invalid_session";
const INVALID_PRESENTATION: &str = "invalid_presentation";
const INVALID_ASSOCIATION: &str = "invalid_association";
const INVALID_ENCODING: &str = "invalid_encoding";
const MISSING_FIELD: &str = "missing_field";
const UNKNOWN_PDU: &str = "unknown_pdu";
const UNKNOWN_SERVICE: &str = "unknown_service";
const UNKNOWN_DATA: &str = "unknown_data";
const RESULT_COUNT: &str = "result_count_mismatch";
const INVALID_REPORT: &str = "invalid_report";
const UNSOLICITED_RESPONSE: &str = "unsolicited_response";
const SERVICE_MISMATCH: &str = "service_mismatch";
const DUPLICATE_INVOKE_ID: &str = "duplicate_invoke_id";
const TOO_MANY_TRANSACTIONS: &str = "too_many_transactions";

static ANOMALIES: &[AnomalyKind] = &[
    anomaly(INVALID_TPDU, "The COTP header does not suit its packet, or its code is none of X.224"),
    anomaly(UNKNOWN_DATA_UNIT, "What COTP carries is neither a session PDU nor MMS"),
    anomaly(DATA_UNIT_TOO_LONG, "A data unit in several packets is longer than may be held; it is passed over"),
    anomaly(PART_WITHOUT_BEGINNING, "A part of a data unit whose beginning was not seen"),
    anomaly(INVALID_SESSION, "The lengths of a session PDU cannot be (ISO 8327-1 §8.2)"),
    anomaly(INVALID_PRESENTATION, "What the session carries is no presentation PDU (ISO 8823-1 §8)"),
    anomaly(INVALID_ASSOCIATION, "An APDU of association control is broken (ISO 8650-1 §9)"),
    anomaly(INVALID_ENCODING, "The message does not follow the basic encoding rules"),
    anomaly(MISSING_FIELD, "The invoke identifier, the service or the error is not there (ISO 9506-2 §7)"),
    anomaly(UNKNOWN_PDU, "What the presentation layer carries is neither MMS nor association control"),
    anomaly(UNKNOWN_SERVICE, "The number of the service is none of ISO 9506-2"),
    anomaly(UNKNOWN_DATA, "A value is of no type of MMS data"),
    anomaly(RESULT_COUNT, "The number of values or results is not that of the variables"),
    anomaly(INVALID_REPORT, "The values of a report do not follow from its optional fields (IEC 61850-8-1 §17.2.3)"),
    anomaly(UNSOLICITED_RESPONSE, "A response whose request was not seen"),
    anomaly(SERVICE_MISMATCH, "A response is of another service than the request with its invoke identifier"),
    anomaly(DUPLICATE_INVOKE_ID, "A request has the invoke identifier of one that still waits (ISO 9506-2 §7.1)"),
    anomaly(TOO_MANY_TRANSACTIONS, "More requests wait for their answers than are kept; the oldest is given up"),
];

/// MMS on TPKT and COTP.
pub static PROTOCOL: Protocol = Protocol {
    name: "mms",
    title: "MMS (ISO 9506, IEC 61850-8-1)",
    tcp_ports: &[102],
    udp_ports: &[],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: tpkt::LONGEST,
    fields: record::FIELDS,
    anomalies: ANOMALIES,
    probe: |bytes, direction| cotp::probe(bytes, direction, |unit| probe(unit, direction)),
    frame: |bytes, _| tpkt::frame(bytes, tpkt::LONGEST),
    open: |limits| Box::new(state::State::new(limits)),
};

/// Do these bytes begin a data unit of MMS going this way?
fn probe(bytes: &[u8], direction: Direction) -> Probe {
    let mut findings = Findings::NONE;
    let Some(mut unit) = stack::read(bytes, 0, &mut findings) else { return Probe::No };
    let session = unit.session;
    // A session PDU that is cut off may become anything.
    let Some((value, offset)) = unit.next() else {
        let bare = matches!(session, Some(spdu::DATA_TRANSFER)) || bytes.len() < 2;
        return if bare { Probe::No } else { Probe::Shared };
    };
    let Some(message) = Message::read(session, direction, value, offset, &mut findings) else { return Probe::No };
    let certain = match (session, message.association, message.pdu) {
        (_, Some(association), pdu) => pdu.is_some() || association.is_mms(),
        (Some(_), None, _) => true,
        // MMS alone has little that tells it from chance but its lengths, which must be right to the end.
        (None, None, Some(pdu)) => {
            if !findings.is_empty() || pdu.body.offset + pdu.body.contents.len() != bytes.len() {
                return Probe::No;
            }
            match pdu.kind {
                kind::INITIATE_REQUEST | kind::INITIATE_RESPONSE => pdu.field(4).is_some(),
                _ if pdu.service.is_some() => return Probe::Maybe,
                _ => return Probe::Shared,
            }
        }
        (None, None, None) => false,
    };
    match message.pdu.map(|pdu| pdu.kind) {
        _ if !certain => Probe::Shared,
        // Who initiates is the client.
        Some(kind::INITIATE_REQUEST) if direction == Direction::ToClient => Probe::No,
        Some(kind::INITIATE_RESPONSE) if direction == Direction::ToServer => Probe::No,
        // Mostly the client asks; but either end may.
        Some(kind::CONFIRMED_REQUEST) if direction == Direction::ToClient => Probe::Maybe,
        Some(kind::CONFIRMED_RESPONSE | kind::CONFIRMED_ERROR | kind::UNCONFIRMED)
            if direction == Direction::ToServer =>
        {
            Probe::Maybe
        }
        _ => Probe::Certain,
    }
}
