//! Metrics by OTLP: names and labels are those of `/metrics`, values count from the start of the process on.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::proto::{LabelPair, Metric as Series, MetricFamily, MetricType};
use prost::Message as _;

use super::super::http::{Answer, Compression};
use super::protocol::metrics::{
    CUMULATIVE, Data, Gauge, Histogram, HistogramDataPoint, Metric, MetricsRequest, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use super::protocol::{KeyValue, Resource, attribute, rejected, resource, scope};
use super::{Form, Request, Verdict};

pub(super) struct Otlp {
    resource: Resource,
    start: u64,
}

impl Otlp {
    pub(super) fn new(sensor: &str, started: SystemTime) -> Self {
        Self { resource: resource(sensor), start: nanos(started) }
    }

    pub(super) fn message(&self, families: &[MetricFamily], time: u64) -> MetricsRequest {
        let metrics = families.iter().map(|family| self.metric(family, time)).collect();
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics }];
        MetricsRequest {
            resource_metrics: vec![ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics }],
        }
    }

    fn metric(&self, family: &MetricFamily, time: u64) -> Metric {
        let series = family.get_metric().iter();
        let number = |one: &Series, start, value| NumberDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            as_double: Some(value),
            attributes: attributes(one.get_label()),
        };
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: series.map(|one| number(one, self.start, one.get_counter().get_value())).collect(),
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            }),
            MetricType::HISTOGRAM => Data::Histogram(Histogram {
                data_points: series.map(|one| self.distribution(one, time)).collect(),
                aggregation_temporality: CUMULATIVE,
            }),
            _ => Data::Gauge(Gauge {
                // A gauge has no beginning.
                data_points: series.map(|one| number(one, 0, one.get_gauge().get_value())).collect(),
            }),
        };
        Metric {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            unit: unit(family.name()).to_owned(),
            data: Some(data),
        }
    }

    fn distribution(&self, series: &Series, time: u64) -> HistogramDataPoint {
        let histogram = series.get_histogram();
        // Here buckets hold their own only.
        let mut below = 0;
        let mut own = |cumulative: u64| cumulative.saturating_sub(std::mem::replace(&mut below, cumulative));
        let cumulative = histogram.get_bucket().iter().map(|bucket| bucket.cumulative_count());
        HistogramDataPoint {
            start_time_unix_nano: self.start,
            time_unix_nano: time,
            count: histogram.get_sample_count(),
            sum: Some(histogram.get_sample_sum()),
            bucket_counts: cumulative.chain([histogram.get_sample_count()]).map(&mut own).collect(),
            explicit_bounds: histogram.get_bucket().iter().map(|bucket| bucket.upper_bound()).collect(),
            attributes: attributes(series.get_label()),
        }
    }
}

impl Form for Otlp {
    fn requests(&mut self, families: &[MetricFamily], time: SystemTime, _last: bool) -> std::io::Result<Vec<Request>> {
        let body = Compression::Gzip.apply(self.message(families, nanos(time)).encode_to_vec())?;
        let samples = families.iter().map(|family| family.get_metric().len() as u64).sum();
        Ok(vec![Request { samples, body }])
    }

    fn path(&self) -> Option<&'static str> {
        Some("v1/metrics")
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        match answer.status {
            200..=299 => match rejected(&answer.body) {
                Some((rejected, reason)) => Verdict::Taken { rejected, reason },
                None => Verdict::all_taken(),
            },
            429 | 502..=504 => Verdict::Again,
            _ => Verdict::Refused,
        }
    }
}

/// The unit that a name of Prometheus ends with, in the code of OpenTelemetry (UCUM).
fn unit(name: &str) -> &'static str {
    match name.strip_suffix("_total").unwrap_or(name).rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    labels.iter().map(|label| attribute(label.name(), label.value())).collect()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
