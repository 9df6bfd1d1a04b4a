//! Messages of OTLP, the protocol of OpenTelemetry: those fields that are sent or read here, with the numbers of
//! `opentelemetry-proto` 1.7. What logs and metrics share; each signal has a file.

pub(super) mod logs;
pub(super) mod metrics;

use prost::{Message, Oneof};

/// Content type of requests and answers.
pub(super) const CONTENT_TYPE: &str = "application/x-protobuf";

/// What is told of: this sensor.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

/// What told it: this program.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

/// A value; a text or a number here.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    pub(super) value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl<V: Into<Value>> From<V> for AnyValue {
    fn from(value: V) -> Self {
        Self { value: Some(value.into()) }
    }
}

/// An answer with a good status: both signals have the same form.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// What the receiver did not want of a request that it took. It does not say which.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

pub(super) fn attribute(key: &str, value: impl Into<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value.into()) }
}

/// A sensor as OpenTelemetry's conventions for resources name it. One without a name is told apart by its machine.
pub(super) fn resource(sensor: &str) -> Resource {
    let machine = super::host_name();
    let instance = if sensor.is_empty() { &machine } else { sensor };
    let named = [
        ("service.name", "vigia"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", instance),
        ("host.name", &machine),
    ];
    let attributes = named.into_iter().filter(|(_, value)| !value.is_empty());
    Resource { attributes: attributes.map(|(key, value)| attribute(key, value)).collect() }
}

pub(super) fn scope() -> Scope {
    Scope { name: "vigia".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// What a receiver did not want of a request that it took: how many, and its words. None where it took all; an answer that
/// makes no sense says nothing else than its good status.
pub(super) fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let partial = Response::decode(answer).ok()?.partial_success?;
    let rejected = u64::try_from(partial.rejected).ok().filter(|rejected| *rejected > 0)?;
    Some((rejected, partial.error_message))
}

/// Attributes on one line, for tests.
#[cfg(test)]
pub(super) fn told(attributes: &[KeyValue]) -> String {
    let value = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::Text(text)) => format!("{text:?}"),
        Some(Value::Number(number)) => number.to_string(),
        None => "-".to_owned(),
    };
    let all: Vec<_> = attributes.iter().map(|one| format!("{}={}", one.key, value(one))).collect();
    all.join(" ")
}
