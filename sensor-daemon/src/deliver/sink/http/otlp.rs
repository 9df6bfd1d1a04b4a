//! Logs by OTLP, the protocol of OpenTelemetry, over HTTP in protobuf.
//!
//! Each event is a log record; its body is the event in EVE JSON, and the attributes are named by OpenTelemetry's conventions.
//! A request may be taken in part, and the receiver does not say which records it did not want, nor may they be offered
//! again ("the client MUST NOT retry"): so all events of the request are kept apart, of which only some were refused.

use prost::Message as _;
use serde_json::Value;

use super::super::syslog::{severity, text};
use super::super::{Delivery, Event, Failure, Refusal, Settled, Sink};
use super::{Answer, Poster};
use crate::deliver::otlp::logs::{LogRecord, LogsRequest, ResourceLogs, ScopeLogs};
use crate::deliver::otlp::{CONTENT_TYPE, KeyValue, attribute, rejected, resource, scope};

pub(super) struct Logs(Poster);

impl Logs {
    pub(super) fn new(poster: Poster) -> Self {
        Self(poster)
    }

    async fn post(&mut self, events: &[Event<'_>]) -> Result<Settled, Failure> {
        let body = request(events).encode_to_vec();
        let answer = self.0.post(Some("v1/logs"), CONTENT_TYPE, &[], body).await?;
        judge(&answer)?;
        Ok(settle(&answer, events.len()))
    }
}

impl Sink for Logs {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.post(events).await.into() })
    }
}

/// Is it a good answer? 429, 502, 503 and 504 ask for the same again; an answer that is about the way (a token, a path, a
/// detour) has nothing to do with the events. All others must not get the same request again (OTLP, "Failures"): the event at
/// fault is looked for.
fn judge(answer: &Answer) -> Result<(), Failure> {
    match answer.status {
        200..=299 => Ok(()),
        429 | 502..=504 | ..=399 | 401 | 403..=405 | 407 => Err(answer.unavailable()),
        _ => Err(Failure::Refused { answer: answer.text() }),
    }
}

/// What a good answer says of so many events.
fn settle(answer: &Answer, events: usize) -> Settled {
    let Some((rejected, reason)) = rejected(&answer.body) else {
        return Settled { count: events, ..Settled::default() };
    };
    let answer = format!("{rejected} of {events} log records were rejected, it is not said which: {reason}");
    let refused = (0..events).map(|index| Refusal { index, answer: answer.clone() }).collect();
    Settled { count: events, refused, failure: None }
}

/// A request with these events. Those that follow one another and are of one sensor stand together.
fn request(events: &[Event<'_>]) -> LogsRequest {
    let mut request = LogsRequest::default();
    let mut last: Option<String> = None;
    for event in events {
        let value: Value = serde_json::from_slice(event.json).unwrap_or_default();
        let sensor = text(&value, "/host");
        if last.as_deref() != Some(sensor) {
            let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records: Vec::new() }];
            request.resource_logs.push(ResourceLogs { resource: Some(resource(sensor)), scope_logs });
            last = Some(sensor.to_owned());
        }
        let current = request.resource_logs.last_mut().and_then(|logs| logs.scope_logs.last_mut());
        current.into_iter().for_each(|logs| logs.log_records.push(record(event, &value)));
    }
    request
}

fn record(event: &Event<'_>, value: &Value) -> LogRecord {
    let (number, name) = otel_severity(severity(value));
    LogRecord {
        time_unix_nano: event.time.0,
        // The sensor saw it when it happened.
        observed_time_unix_nano: event.time.0,
        severity_number: number,
        severity_text: name.to_owned(),
        body: Some((&*String::from_utf8_lossy(event.json)).into()),
        attributes: attributes(event.id, value),
        event_name: format!("vigia.{}", text(value, "/event_type")),
    }
}

/// A severity of syslog as OpenTelemetry counts them, with syslog's word for it (Logs Data Model, appendix B).
const fn otel_severity(syslog: u16) -> (i32, &'static str) {
    match syslog {
        2 => (18, "critical"),
        4 => (13, "warning"),
        5 => (10, "notice"),
        _ => (9, "informational"),
    }
}

/// Members of an event, and the attributes that OpenTelemetry's conventions have for them.
const NAMED: [(&str, &str); 10] = [
    ("/event_type", "event_type"),
    ("/src_ip", "source.address"),
    ("/src_port", "source.port"),
    ("/dest_ip", "destination.address"),
    ("/dest_port", "destination.port"),
    ("/proto", "network.transport"),
    ("/app_proto", "network.protocol.name"),
    ("/in_iface", "network.interface.name"),
    ("/alert/signature", "security_rule.name"),
    ("/alert/category", "security_rule.category"),
];

fn attributes(id: &str, event: &Value) -> Vec<KeyValue> {
    // The first is the convention by which receivers drop what they have already; the second is what every sink calls it.
    let mut attributes = vec![attribute("log.record.uid", id), attribute("event_id", id)];
    for (place, name) in NAMED {
        match event.pointer(place) {
            Some(Value::String(text)) if name == "network.transport" => {
                attributes.push(attribute(name, text.to_lowercase().as_str()));
            }
            Some(Value::String(text)) => attributes.push(attribute(name, text.as_str())),
            Some(Value::Number(number)) => attributes.extend(number.as_u64().map(|number| attribute(name, number))),
            _ => {}
        }
    }
    let number = |place| event.pointer(place).and_then(Value::as_u64);
    if let (Some(gid), Some(sid)) = (number("/alert/gid"), number("/alert/signature_id")) {
        attributes.push(attribute("security_rule.uuid", format!("{gid}:{sid}").as_str()));
    }
    if let Some(revision) = number("/alert/rev") {
        attributes.push(attribute("security_rule.version", revision.to_string().as_str()));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use vigia_parsers::Timestamp;

    use super::*;
    use crate::deliver::host_name;
    use crate::deliver::otlp::{PartialSuccess, Response, told};

    const ALERT: &str = r#"{"event_id":"ab-a-1-0","timestamp":"2026-01-02T03:04:05.123456+0000","in_iface":"tap0","event_type":"alert","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":502,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2001,"rev":3,"signature":"write","category":"Policy","severity":1},"app_proto":"modbus","host":"planta"}"#;
    const RECORD: &str = r#"{"event_id":"ab-r-1-0","timestamp":"2026-01-02T03:04:06.000000+0000","event_type":"arp","proto":"ARP","host":"planta"}"#;
    const NAMELESS: &str = r#"{"event_id":"ab-r-1-9","event_type":"health"}"#;

    fn event<'e>(id: &'e str, json: &'e str) -> Event<'e> {
        Event { id, json: json.as_bytes(), time: Timestamp::new(1_767_323_045, 123_456_000), flow: None }
    }

    #[test]
    fn events_are_log_records_by_the_conventions_of_opentelemetry() {
        let events = [event("ab-a-1-0", ALERT), event("ab-r-1-0", RECORD), event("ab-r-1-9", NAMELESS)];
        let request = request(&events);
        // What is sent reads back as the same.
        assert_eq!(LogsRequest::decode(&request.encode_to_vec()[..]).unwrap(), request);
        let mut lines = Vec::new();
        for of in &request.resource_logs {
            let attributes = told(&of.resource.as_ref().unwrap().attributes);
            let attributes = attributes.replace(&host_name(), "MACHINE").replace(env!("CARGO_PKG_VERSION"), "VERSION");
            lines.push(format!("resource {attributes}"));
            for record in &of.scope_logs[0].log_records {
                let LogRecord { time_unix_nano, severity_number, severity_text, event_name, .. } = record;
                lines.push(format!("{time_unix_nano} {severity_number} {severity_text} {event_name}"));
                lines.push(format!("  {}", told(&record.attributes)));
                assert_eq!(record.observed_time_unix_nano, *time_unix_nano);
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
        let bodies = request.resource_logs.iter().flat_map(|of| &of.scope_logs[0].log_records).map(|one| &one.body);
        assert!(bodies.eq([ALERT, RECORD, NAMELESS].map(|json| Some(json.into())).iter()));
    }

    fn answer(status: u16, body: Vec<u8>) -> Answer {
        Answer { status, retry_after: None, body }
    }

    #[test]
    fn what_was_taken_in_part_is_not_offered_again_and_is_kept_apart() {
        let partial = |rejected, error_message: &str| {
            let partial_success = Some(PartialSuccess { rejected, error_message: error_message.to_owned() });
            settle(&answer(200, Response { partial_success }.encode_to_vec()), 3)
        };
        let settled = partial(2, "too old");
        assert_eq!((settled.count, settled.refused.len(), settled.failure.is_some()), (3, 3, false));
        assert_eq!(settled.refused[2].answer, "2 of 3 log records were rejected, it is not said which: too old");
        for taken in [partial(0, "a hint"), settle(&answer(200, vec![]), 3), settle(&answer(200, b"{}".to_vec()), 3)] {
            assert_eq!((taken.count, taken.refused.len(), taken.failure.is_some()), (3, 0, false));
        }
    }

    #[test]
    fn only_what_the_protocol_calls_retryable_is_offered_again_unchanged() {
        for status in [429, 502, 503, 504, 401, 403, 404, 301] {
            assert!(matches!(judge(&answer(status, vec![])), Err(Failure::Unavailable { .. })), "{status}");
        }
        for status in [400, 413, 422, 500, 501] {
            assert!(matches!(judge(&answer(status, vec![])), Err(Failure::Refused { .. })), "{status}");
        }
        assert!(judge(&answer(200, vec![])).is_ok());
    }
}
