//! The Prometheus text format.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as HistogramProto, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Encoder, TextEncoder};

use super::block::Block;
use super::histogram::Histogram;
use super::subject;
use super::table::{Kind, Layout, Scope, Series};
use super::{Metrics, STREAMS};

impl Metrics {
    /// All metrics in the text format of Prometheus (version 0.0.4).
    pub fn encode(&self) -> String {
        let mut text = Vec::new();
        // Writing into memory cannot fail, and every family has a name and a metric.
        let _ = TextEncoder::new().encode(&self.families(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// All metrics as they are now.
    pub(crate) fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.table();
        families.extend(self.of_subjects());
        families.extend(self.histograms());
        families.extend(self.about());
        families
    }

    /// The histograms, each by stream.
    pub(crate) fn histograms(&self) -> [MetricFamily; 2] {
        [
            self.histogram("vigia_journal_sync_seconds", "Time that a sync of a journal stream takes", &self.sync),
            self.histogram(
                "vigia_packet_to_journal_seconds",
                "Time from the capture of a packet until its event is written, and synced where every write is; each event counts with the time of the first that was written with it",
                &self.latency,
            ),
        ]
    }

    /// The families of the table; series of a family stand together there.
    fn table(&self) -> Vec<MetricFamily> {
        let blocks = self.blocks();
        let series = &Layout::get().series;
        let mut families: Vec<MetricFamily> = Vec::new();
        for (place, one) in series.iter().enumerate() {
            let metrics = metrics(one, place, &blocks);
            match families.iter_mut().rev().find(|family| family.name() == one.family) {
                Some(family) => metrics.into_iter().for_each(|metric| family.mut_metric().push(metric)),
                None => families.push(family(one.family, one.help, one.kind, metrics)),
            }
        }
        families.retain(|family| !family.get_metric().is_empty());
        families
    }

    fn of_subjects(&self) -> Vec<MetricFamily> {
        let readings = self.readings();
        let family = |of: &&'static subject::Family| {
            let metrics = readings.iter().filter(|(_, reading)| reading.family == *of).map(|(name, reading)| {
                let own = of.label.map(|key| label(key, &reading.label));
                let labels = own.into_iter().chain([label(of.subject.label(), name)]).collect();
                metric(of.kind, labels, reading.value as f64)
            });
            family(of.name, of.help, of.kind, metrics.collect())
        };
        subject::FAMILIES.iter().map(family).filter(|family| !family.get_metric().is_empty()).collect()
    }

    fn histogram(&self, name: &str, help: &str, streams: &[Histogram; 2]) -> MetricFamily {
        let metrics = STREAMS.iter().zip(streams).map(|(stream, histogram)| {
            let (cumulative, sum) = histogram.cumulative();
            let buckets = cumulative.into_iter().map(|(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            });
            let mut proto = HistogramProto::default();
            proto.set_bucket(buckets.collect());
            proto.set_sample_count(histogram.count());
            proto.set_sample_sum(sum);
            let mut metric = Metric::from_label(vec![label("stream", stream)]);
            metric.set_histogram(proto);
            metric
        });
        let mut family = family(name, help, Kind::Gauge, metrics.collect());
        family.set_field_type(MetricType::HISTOGRAM);
        family
    }

    /// What is in force, and the process itself.
    fn about(&self) -> Vec<MetricFamily> {
        let ruleset = self.ruleset();
        let gauge = |name, help, labels: Vec<LabelPair>, value: f64| {
            family(name, help, Kind::Gauge, vec![metric(Kind::Gauge, labels, value)])
        };
        let generation = ruleset.generation.to_string();
        let ruleset_labels = vec![label("generation", &generation), label("hash", &ruleset.hash)];
        let started = self.started_at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut families = vec![
            gauge("vigia_build_info", "Version of Vigía", vec![label("version", env!("CARGO_PKG_VERSION"))], 1.0),
            gauge("vigia_ruleset_info", "The rules in force", ruleset_labels, 1.0),
            gauge("vigia_rules_loaded", "Rules in force", vec![], ruleset.loaded as f64),
            gauge("vigia_rules_failed", "Rules left out because they do not compile", vec![], ruleset.failed as f64),
            gauge(
                "vigia_rules_skipped",
                "Rules left out on purpose: a higher revision is there, or what they require or wait for is not",
                vec![],
                ruleset.skipped as f64,
            ),
            gauge(
                "vigia_ruleset_loaded_timestamp_seconds",
                "When the rules in force were loaded",
                vec![],
                ruleset.loaded_at_s as f64,
            ),
            gauge("process_start_time_seconds", "Start of the process, since the epoch", vec![], started),
        ];
        if let Some(bytes) = resident_memory() {
            families.push(gauge(
                "process_resident_memory_bytes",
                "Resident memory of the process",
                vec![],
                bytes as f64,
            ));
        }
        families
    }
}

/// Resident memory of this process in bytes, where `/proc` tells it.
pub fn resident_memory() -> Option<u64> {
    memory("VmRSS:")
}

/// The most memory that was ever resident of this process, in bytes.
pub fn peak_memory() -> Option<u64> {
    memory("VmHWM:")
}

fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn metrics(series: &Series, place: usize, blocks: &[std::sync::Arc<Block>]) -> Vec<Metric> {
    let labels = || series.labels.iter().map(|(name, value)| label(name, value));
    match series.scope {
        Scope::Sum => {
            let sum: u64 = blocks.iter().map(|block| block.at(place)).sum();
            vec![metric(series.kind, labels().collect(), sum as f64)]
        }
        Scope::Worker => blocks
            .iter()
            .filter_map(|block| block.owner.as_ref().map(|owner| (owner, block.at(place))))
            .map(|((worker, interface), value)| {
                let own = [label("interface", interface), label("worker", &worker.to_string())];
                metric(series.kind, labels().chain(own).collect(), value as f64)
            })
            .collect(),
    }
}

fn metric(kind: Kind, labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels);
    match kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Kind::Gauge => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

fn family(name: &str, help: &str, kind: Kind, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_string());
    family.set_help(help.to_string());
    family.set_field_type(match kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
    });
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_string());
    pair.set_value(value.to_string());
    pair
}

#[cfg(test)]
mod tests {
    use super::super::table::{Counter, DropCause};
    use super::*;

    #[test]
    fn text_has_workers_apart_and_sums_the_rest() {
        let metrics = Metrics::new();
        for worker in 0..2 {
            let mut counters = metrics.worker(worker, "eth0");
            counters.add(Counter::PacketsSeen, 5);
            counters.add(Counter::FlowsTcp, 1);
            counters.dropped(DropCause::Kernel, worker as u64);
            counters.publish();
        }
        metrics.shared().alert(1);
        metrics.shared().alert(9);
        let text = metrics.encode();
        for line in [
            r#"vigia_packets_seen_total{interface="eth0",worker="1"} 5"#,
            r#"vigia_packets_dropped_total{cause="kernel",interface="eth0",worker="1"} 1"#,
            r#"vigia_flows_created_total{transport="tcp"} 2"#,
            r#"vigia_alerts_total{severity="1"} 1"#,
            r#"vigia_alerts_total{severity="other"} 1"#,
            "# TYPE vigia_journal_sync_seconds histogram",
            "# TYPE vigia_flows_active gauge",
            r#"vigia_journal_sync_seconds_bucket{stream="alerts",le="+Inf"} 0"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn interfaces_are_told_as_they_are_now() {
        let metrics = Metrics::new();
        let dropped = |ethertype: &str, value| subject::Reading {
            family: &subject::GUARD_DROPPED,
            label: ethertype.to_owned(),
            value,
        };
        metrics.set_interface("tap0", vec![dropped("0x0800", 1)]);
        metrics.set_interface("tap0", vec![dropped("0x0806", 7)]);
        let text = metrics.encode();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("vigia_guard_dropped")).collect();
        assert_eq!(lines, [r#"vigia_guard_dropped_packets_total{ethertype="0x0806",interface="tap0"} 7"#]);
        let series = r#"vigia_guard_dropped_packets_total{interface="tap0",ethertype="0x0806"}"#;
        assert_eq!(metrics.snapshot().get(series), 7);
    }

    #[test]
    fn families_of_subjects_are_named_as_prometheus_asks_and_apart_from_the_table() {
        for family in subject::FAMILIES {
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(Layout::get().series.iter().all(|series| series.family != family.name), "{}", family.name);
        }
    }

    #[test]
    fn a_family_is_told_once() {
        let metrics = Metrics::new();
        metrics.worker(0, "eth0").publish();
        let text = metrics.encode();
        let mut names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
