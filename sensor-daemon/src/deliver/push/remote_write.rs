//! Remote write of Prometheus, version 1.0.
//!
//! Series have the names and labels of `/metrics`, and the labels `job` and `instance` that a server which fetches them would
//! give. One that is there no more (an interface that went) is marked as stale; all are, when the sensor ends.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use prost::Message;

use super::super::host_name;
use super::super::http::{Answer, Body};
use super::{Form, Request, Verdict};

/// Series of one request at the most: some receivers bound what they take at once.
const SERIES: usize = 2000;

/// The value that says that a series ended: a signalling NaN of its own.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

/// Sorted by name within a series.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

pub(super) struct RemoteWrite {
    instance: String,
    /// Labels of the series of the state before.
    before: BTreeSet<Vec<Label>>,
}

impl RemoteWrite {
    pub(super) fn new(sensor: &str) -> Self {
        let instance = if sensor.is_empty() { host_name() } else { sensor.to_owned() };
        Self { instance, before: BTreeSet::new() }
    }

    fn labels(&self, name: &str, own: &[LabelPair], more: Option<(&str, String)>) -> Vec<Label> {
        let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
        let mut labels = vec![label("__name__", name), label("instance", &self.instance), label("job", "vigia")];
        // A label without a value is none.
        labels.extend(own.iter().filter(|one| !one.value().is_empty()).map(|one| label(one.name(), one.value())));
        labels.extend(more.map(|(name, value)| label(name, &value)));
        labels.sort();
        labels
    }

    /// The series of a family, and the value of each.
    fn series(&self, family: &MetricFamily) -> Vec<(Vec<Label>, f64)> {
        let mut series = Vec::new();
        for metric in family.get_metric() {
            let own = metric.get_label();
            let plain = |suffix: &str| self.labels(&format!("{}{suffix}", family.name()), own, None);
            match family.get_field_type() {
                MetricType::COUNTER => series.push((plain(""), metric.get_counter().get_value())),
                MetricType::HISTOGRAM => {
                    let histogram = metric.get_histogram();
                    let count = histogram.get_sample_count() as f64;
                    let bounds = histogram.get_bucket().iter();
                    let bounds = bounds.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count() as f64));
                    let name = format!("{}_bucket", family.name());
                    for (bound, value) in bounds.chain([(f64::INFINITY, count)]) {
                        let bound = if bound == f64::INFINITY { "+Inf".to_owned() } else { bound.to_string() };
                        series.push((self.labels(&name, own, Some(("le", bound))), value));
                    }
                    series.push((plain("_sum"), histogram.get_sample_sum()));
                    series.push((plain("_count"), count));
                }
                _ => series.push((plain(""), metric.get_gauge().get_value())),
            }
        }
        series
    }

    /// All series at a time, those that ended included.
    fn state(&mut self, families: &[MetricFamily], timestamp: i64) -> Vec<TimeSeries> {
        let series: Vec<_> = families.iter().flat_map(|family| self.series(family)).collect();
        let now: BTreeSet<_> = series.iter().map(|(labels, _)| labels.clone()).collect();
        let before = std::mem::replace(&mut self.before, now);
        let ended = before.into_iter().filter(|labels| !self.before.contains(labels)).map(|labels| (labels, STALE));
        let one = |(labels, value)| TimeSeries { labels, samples: vec![Sample { value, timestamp }] };
        series.into_iter().chain(ended).map(one).collect()
    }
}

impl Form for RemoteWrite {
    fn requests(&mut self, families: &[MetricFamily], time: SystemTime, last: bool) -> std::io::Result<Vec<Request>> {
        let milliseconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let timestamp = i64::try_from(milliseconds).unwrap_or(i64::MAX);
        let mut all = self.state(families, timestamp);
        if last {
            // A moment later, so that the last values stay.
            all.extend(self.state(&[], timestamp + 1));
        }
        all.chunks(SERIES).map(request).collect()
    }

    fn path(&self) -> Option<&'static str> {
        None
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("x-prometheus-remote-write-version", "0.1.0")]
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        match answer.status {
            200..=299 => Verdict::all_taken(),
            429 | 500..=599 => Verdict::Again,
            _ => Verdict::Refused,
        }
    }
}

fn request(series: &[TimeSeries]) -> std::io::Result<Request> {
    let message = WriteRequest { timeseries: series.to_vec() }.encode_to_vec();
    let compressed = snap::raw::Encoder::new().compress_vec(&message).map_err(std::io::Error::other)?;
    let body = Body { bytes: compressed.into(), encoding: Some("snappy") };
    Ok(Request { samples: series.len() as u64, body })
}

#[cfg(test)]
impl WriteRequest {
    /// Its series, each as a line: labels, time, value.
    pub(super) fn told(&self) -> Vec<String> {
        let one = |series: &TimeSeries| {
            let labels: Vec<_> = series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
            let Sample { value, timestamp } = series.samples[0];
            let value = if value.to_bits() == STALE.to_bits() { "stale".to_owned() } else { value.to_string() };
            format!("{} {timestamp} {value}", labels.join(" "))
        };
        self.timeseries.iter().map(one).collect()
    }
}
