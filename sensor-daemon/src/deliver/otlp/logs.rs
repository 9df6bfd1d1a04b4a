//! Messages of logs (`opentelemetry/proto/logs/v1`, `collector/logs/v1`).

use prost::Message;

use super::{AnyValue, KeyValue, Resource, Scope};

/// The request.
#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct LogsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(in super::super) resource_logs: Vec<ResourceLogs>,
}

/// Logs of one sensor.
#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(in super::super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(in super::super) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(in super::super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(in super::super) log_records: Vec<LogRecord>,
}

/// One event.
#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(in super::super) time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(in super::super) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(in super::super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(in super::super) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(in super::super) attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "11")]
    pub(in super::super) observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    pub(in super::super) event_name: String,
}
