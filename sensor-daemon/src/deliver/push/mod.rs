//! Metrics on their way up: what `/metrics` serves, sent at an interval to a server that does not fetch it.
//!
//! Metrics are a state, not events: no journal holds them. What a server did not take waits in memory, within a bound, so
//! that an outage leaves no hole; beyond the bound the oldest goes and is counted. What a server refuses for good (each
//! protocol says which statuses those are) is dropped and counted.

mod otlp;
mod pusher;
mod remote_write;
mod waiting;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use prometheus::proto::MetricFamily;

use super::connection::Tls;
use super::http::{Answer, Body, Server};
use super::{is_name, otlp as protocol};
use crate::config::Problem;
use crate::language::{Argument, Message};
pub(super) use pusher::Pusher;
pub(super) use waiting::Waiting;

/// What a server understands of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// OpenTelemetry: metrics by OTLP in protobuf, `v1/metrics` below the URL.
    Otlp,
    /// Remote write of Prometheus, version 1.0, to the URL as it stands (`http://prometheus.example:9090/api/v1/write`).
    RemoteWrite,
}

/// A server that metrics are sent to.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Name of the server in metrics and the log. Letters, digits, `-` and `_`.
    pub name: String,
    /// What the server understands.
    pub format: Format,
    /// URL of the server, `http` or `https`, without user and password.
    pub url: String,
    /// Time from one state of the metrics to the next, in seconds. Unset: 60 of `otlp`, 15 of `remote_write`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub interval_s: Option<u64>,
    /// Bytes of states, compressed, that may wait while the server does not take them; beyond them the oldest go.
    #[serde(default = "waiting_bytes")]
    #[schemars(range(min = 65_536))]
    pub waiting_bytes: usize,
    /// Time that the server has to take a state, in seconds.
    #[serde(default = "timeout_s")]
    #[schemars(range(min = 1))]
    pub timeout_s: u64,
    /// Longest pause between two tries, in seconds.
    #[serde(default = "retry_max_s")]
    #[schemars(range(min = 1))]
    pub retry_max_s: u64,
    /// File with a token of a bearer. Only the file's first line is read; a path that is not absolute is the name of a
    /// credential of systemd.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// User, where the server wants one with a password.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password, as `token_file`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How `https` is spoken.
    #[serde(default)]
    pub tls: Tls,
}

fn waiting_bytes() -> usize {
    8 << 20
}

fn timeout_s() -> u64 {
    30
}

fn retry_max_s() -> u64 {
    30
}

impl Push {
    fn interval(&self) -> Duration {
        let usual = match self.format {
            Format::Otlp => 60,
            Format::RemoteWrite => 15,
        };
        Duration::from_secs(self.interval_s.unwrap_or(usual))
    }

    fn server(&self) -> Server {
        Server {
            url: self.url.clone(),
            scheme: "Bearer",
            token_file: self.token_file.clone(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
            tls: self.tls.clone(),
        }
    }

    fn form(&self, sensor: &str, started: SystemTime) -> Box<dyn Form> {
        match self.format {
            Format::Otlp => Box::new(otlp::Otlp::new(sensor, started)),
            Format::RemoteWrite => Box::new(remote_write::RemoteWrite::new(sensor)),
        }
    }
}

/// What the types allow of `[[metrics.push]]` and the sensor does not.
pub(crate) fn problems(pushes: &[Push]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, push) in pushes.iter().enumerate() {
        let mut found = |key: &str, reason: Argument| {
            problems.push(Problem { key: format!("metrics.push[{index}].{key}"), reason })
        };
        if !is_name(&push.name) {
            found("name", Message::ExportName.into());
        }
        if pushes[..index].iter().any(|other| other.name == push.name) {
            found("name", Message::ExportNameTwice.into());
        }
        for (key, reason) in push.server().problems() {
            found(key, reason);
        }
    }
    problems
}

/// How a state of the metrics is told to a server.
trait Form: Send {
    /// A state at a time as requests, in the order in which they are sent; the `last` one before the sensor ends.
    fn requests(&mut self, families: &[MetricFamily], time: SystemTime, last: bool) -> std::io::Result<Vec<Request>>;

    /// The path that is posted to below the URL; none: the URL as it stands.
    fn path(&self) -> Option<&'static str>;

    /// Headers beside those of every request.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// What an answer says of so many samples.
    fn judge(&self, answer: &Answer) -> Verdict;
}

/// A finished request.
#[derive(Debug, Clone)]
struct Request {
    samples: u64,
    body: Body,
}

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Taken, but for so many samples, for this reason.
    Taken { rejected: u64, reason: String },
    /// It is to be sent again.
    Again,
    /// It must not be sent again.
    Refused,
}

impl Verdict {
    const fn all_taken() -> Self {
        Self::Taken { rejected: 0, reason: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use prost::Message as _;

    use super::protocol::metrics::{Data, NumberDataPoint};
    use super::remote_write::{RemoteWrite, WriteRequest};
    use super::*;
    use crate::metrics::Metrics;
    use crate::metrics::subject::{GUARD_DROPPED, Reading};

    /// A state with a counter, a gauge and a histogram of all that a sensor has.
    fn state(metrics: &Metrics) -> Vec<MetricFamily> {
        let chosen = ["vigia_alerts_total", "vigia_workers", "vigia_journal_sync_seconds", GUARD_DROPPED.name];
        let mut families = metrics.families();
        families.retain(|family| chosen.contains(&family.name()));
        families
    }

    fn metrics() -> std::sync::Arc<Metrics> {
        let metrics = Metrics::new();
        metrics.shared().alert(1);
        metrics.shared().set(crate::metrics::Counter::Workers, 2);
        metrics.sync_latency(0).observe(Duration::from_millis(3));
        metrics.sync_latency(0).observe(Duration::from_secs(60));
        let reading = Reading { family: &GUARD_DROPPED, label: "0x0800".to_owned(), value: 7 };
        metrics.set_interface("tap0", vec![reading]);
        metrics
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 5)
    }

    fn series(requests: &[Request]) -> Vec<String> {
        let plain = |request: &Request| snap::raw::Decoder::new().decompress_vec(&request.body.bytes).unwrap();
        let read = requests.iter().map(|request| WriteRequest::decode(&plain(request)[..]).unwrap());
        read.flat_map(|request| request.told()).collect()
    }

    #[test]
    fn a_state_is_written_as_prometheus_would_fetch_it() {
        let mut form = RemoteWrite::new("planta");
        let requests = form.requests(&state(&metrics()), at(100), false).unwrap();
        assert_eq!(requests.iter().map(|request| request.samples).sum::<u64>() as usize, series(&requests).len());
        insta::assert_snapshot!(series(&requests).join("\n"));
    }

    #[test]
    fn a_series_that_is_there_no_more_is_marked_once_and_all_are_at_the_end() {
        let metrics = metrics();
        let mut form = RemoteWrite::new("planta");
        form.requests(&state(&metrics), at(100), false).unwrap();
        metrics.set_interface("tap0", vec![]);
        let stale = |requests: Vec<Request>| -> Vec<_> {
            series(&requests).into_iter().filter(|one| one.ends_with("stale")).collect()
        };
        assert_eq!(
            stale(form.requests(&state(&metrics), at(115), false).unwrap()),
            ["__name__=vigia_guard_dropped_packets_total ethertype=0x0800 instance=planta interface=tap0 job=vigia \
              115005 stale"]
        );
        assert_eq!(stale(form.requests(&state(&metrics), at(130), false).unwrap()), [""; 0]);
        let last = form.requests(&state(&metrics), at(145), true).unwrap();
        assert_eq!(stale(last.clone()).len() * 2, series(&last).len());
    }

    #[test]
    fn a_state_is_told_to_opentelemetry_with_the_same_names() {
        let form = otlp::Otlp::new("planta", at(7));
        let told = form.message(&state(&metrics()), 100_000_000_000);
        assert_eq!(protocol::metrics::MetricsRequest::decode(&told.encode_to_vec()[..]).unwrap(), told);
        let mut lines = Vec::new();
        for metric in &told.resource_metrics[0].scope_metrics[0].metrics {
            let number = |point: &NumberDataPoint| {
                let NumberDataPoint { start_time_unix_nano: start, time_unix_nano: time, as_double, attributes } =
                    point;
                format!("  {start} {time} {as_double:?} {}", protocol::told(attributes))
            };
            let head = |kind: String| format!("{} {kind} {:?} {:?}", metric.name, metric.unit, metric.description);
            match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => {
                    lines.push(head("gauge".to_owned()));
                    lines.extend(gauge.data_points.iter().map(number));
                }
                Data::Sum(sum) => {
                    lines.push(head(format!("sum {} {}", sum.aggregation_temporality, sum.is_monotonic)));
                    lines.extend(sum.data_points.iter().map(number));
                }
                Data::Histogram(histogram) => {
                    lines.push(head(format!("histogram {}", histogram.aggregation_temporality)));
                    for point in &histogram.data_points {
                        let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                        let attributes = protocol::told(&point.attributes);
                        lines.push(format!("  {start} {time} {} {:?} {attributes}", point.count, point.sum));
                        lines.push(format!("  {:?}", point.explicit_bounds));
                        lines.push(format!("  {:?}", point.bucket_counts));
                    }
                }
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn statuses_say_whether_the_same_is_sent_again() {
        let answer = |status| Answer { status, retry_after: None, body: Vec::new() };
        let verdicts = |form: &dyn Form| [204, 429, 503, 500, 400, 404].map(|status| form.judge(&answer(status)));
        use Verdict::{Again, Refused};
        let taken = Verdict::all_taken;
        assert_eq!(verdicts(&RemoteWrite::new("")), [taken(), Again, Again, Again, Refused, Refused]);
        let otlp = otlp::Otlp::new("", at(0));
        assert_eq!(verdicts(&otlp), [taken(), Again, Again, Refused, Refused, Refused]);
    }

    #[test]
    fn what_cannot_work_is_told() {
        let keys = |more: &str| -> Vec<_> {
            let push: Push = toml::from_str(more).unwrap();
            problems(&[push.clone(), push]).into_iter().map(|problem| problem.key).collect()
        };
        let good = "name = \"up\"\nformat = \"otlp\"\nurl = \"https://a\"\n";
        assert_eq!(keys(good), ["metrics.push[1].name"], "twice the same");
        let bad = "name = \"a b\"\nformat = \"remote_write\"\nurl = \"a\"\nuser = \"u\"";
        assert_eq!(&keys(bad)[..3], ["metrics.push[0].name", "metrics.push[0].url", "metrics.push[0].user"]);
    }
}
