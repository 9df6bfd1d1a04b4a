//! Messages of metrics (`opentelemetry/proto/metrics/v1`, `collector/metrics/v1`).

use prost::{Message, Oneof};

use super::{KeyValue, Resource, Scope};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: values count from the start of the process on.
pub(in super::super) const CUMULATIVE: i32 = 2;

/// The request.
#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct MetricsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(in super::super) resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    pub(in super::super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(in super::super) scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    pub(in super::super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(in super::super) metrics: Vec<Metric>,
}

/// A family of series.
#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Metric {
    #[prost(string, tag = "1")]
    pub(in super::super) name: String,
    #[prost(string, tag = "2")]
    pub(in super::super) description: String,
    #[prost(string, tag = "3")]
    pub(in super::super) unit: String,
    #[prost(oneof = "Data", tags = "5, 7, 9")]
    pub(in super::super) data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in super::super) enum Data {
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    #[prost(message, tag = "7")]
    Sum(Sum),
    #[prost(message, tag = "9")]
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Gauge {
    #[prost(message, repeated, tag = "1")]
    pub(in super::super) data_points: Vec<NumberDataPoint>,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Sum {
    #[prost(message, repeated, tag = "1")]
    pub(in super::super) data_points: Vec<NumberDataPoint>,
    #[prost(int32, tag = "2")]
    pub(in super::super) aggregation_temporality: i32,
    #[prost(bool, tag = "3")]
    pub(in super::super) is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Histogram {
    #[prost(message, repeated, tag = "1")]
    pub(in super::super) data_points: Vec<HistogramDataPoint>,
    #[prost(int32, tag = "2")]
    pub(in super::super) aggregation_temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct NumberDataPoint {
    #[prost(fixed64, tag = "2")]
    pub(in super::super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    pub(in super::super) time_unix_nano: u64,
    /// The one form of a value that is used; the other is for whole numbers.
    #[prost(double, optional, tag = "4")]
    pub(in super::super) as_double: Option<f64>,
    #[prost(message, repeated, tag = "7")]
    pub(in super::super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct HistogramDataPoint {
    #[prost(fixed64, tag = "2")]
    pub(in super::super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    pub(in super::super) time_unix_nano: u64,
    #[prost(fixed64, tag = "4")]
    pub(in super::super) count: u64,
    #[prost(double, optional, tag = "5")]
    pub(in super::super) sum: Option<f64>,
    /// Of each bucket, and of what is beyond the last bound.
    #[prost(fixed64, repeated, tag = "6")]
    pub(in super::super) bucket_counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    pub(in super::super) explicit_bounds: Vec<f64>,
    #[prost(message, repeated, tag = "9")]
    pub(in super::super) attributes: Vec<KeyValue>,
}
