//! All numbers at one moment: `vigia status`, the summary of a replay, the `stats` event.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde::Serialize;

use super::export::resident_memory;
use super::ledger::Ledger;
use super::subject::Reading;
use super::table::{Counter, DropCause, Layout};
use super::{Metrics, RulesetInfo};

/// Where the packets went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PacketBalance {
    /// Packets that reached the interfaces or were in the captures.
    pub seen: u64,
    /// Packets inspected.
    pub processed: u64,
    /// Packets left to the kernel's counting on purpose.
    pub shunted: u64,
    /// Packets not processed, by cause; causes that never occurred are left out.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Packets seen whose turn has not come: in the ring or in a queue. Negative would be a fault of the accounting.
    pub in_flight: i64,
}

impl PacketBalance {
    /// Is every packet accounted for? While capture runs, some are in flight; at the end none is.
    pub fn balanced(&self) -> bool {
        self.in_flight == 0
    }
}

/// All numbers at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Time since the start in seconds.
    pub uptime_s: u64,
    /// Resident memory in bytes, where the system tells it.
    pub resident_bytes: Option<u64>,
    /// Where the packets went.
    pub packets: PacketBalance,
    /// Where the frames of each interface went, if the kernel's tap is there.
    pub ledgers: BTreeMap<String, Ledger>,
    /// The rules in force.
    pub ruleset: RulesetInfo,
    /// Every series by name and labels, summed over workers: `vigia_alerts_total{severity="1"}`.
    pub series: BTreeMap<String, u64>,
    /// What the `stats` event holds, by dotted path.
    #[serde(skip)]
    pub stats: BTreeMap<String, u64>,
}

impl Snapshot {
    /// A series by name and labels; 0 when there is none.
    pub fn get(&self, series: &str) -> u64 {
        self.series.get(series).copied().unwrap_or(0)
    }

    /// The sum of all series of a family.
    pub fn sum(&self, family: &str) -> u64 {
        let of_family = |name: &str| name.split('{').next() == Some(family);
        self.series.iter().filter(|(name, _)| of_family(name)).map(|(_, value)| value).sum()
    }
}

impl Metrics {
    /// The numbers as they were published last.
    pub fn snapshot(&self) -> Snapshot {
        let blocks = self.blocks();
        let layout = Layout::get();
        let at = |place: usize| blocks.iter().map(|block| block.at(place)).sum::<u64>();
        let mut series = BTreeMap::new();
        let mut stats = BTreeMap::new();
        for (place, one) in layout.series.iter().enumerate() {
            let value = at(place);
            series.insert(name(one.family, &one.labels), value);
            if let Some(path) = &one.stats {
                *stats.entry(path.clone()).or_insert(0) += value;
            }
        }
        for (subject, Reading { family, label, value }) in self.readings() {
            let mut labels = vec![(family.subject.label(), subject.as_str())];
            labels.extend(family.label.map(|key| (key, label.as_str())));
            series.insert(name(family.name, &labels), value);
        }
        let total = at(Counter::FlowsTcp as usize) + at(Counter::FlowsUdp as usize) + at(Counter::FlowsOther as usize);
        stats.insert("flow.total".to_string(), total);
        stats.insert("uptime".to_string(), self.started.elapsed().as_secs());
        Snapshot {
            uptime_s: self.started.elapsed().as_secs(),
            resident_bytes: resident_memory(),
            packets: balance(layout, at),
            ledgers: self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ruleset: self.ruleset(),
            series,
            stats,
        }
    }
}

fn balance(layout: &Layout, at: impl Fn(usize) -> u64) -> PacketBalance {
    // Workers go on meanwhile, and publish what they saw before what became of it. So that is read last: what they do in between is
    // in flight, and not counted twice.
    let processed = at(Counter::PacketsProcessed as usize);
    let shunted = at(Counter::PacketsShunted as usize);
    let dropped: BTreeMap<_, _> = DropCause::ALL
        .iter()
        .map(|cause| (cause.name(), at(layout.drops + *cause as usize)))
        .filter(|(_, packets)| *packets > 0)
        .collect();
    let seen = at(Counter::PacketsSeen as usize);
    let accounted = processed + shunted + dropped.values().sum::<u64>();
    PacketBalance { seen, processed, shunted, dropped, in_flight: seen.wrapping_sub(accounted) as i64 }
}

fn name(family: &str, labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return family.to_string();
    }
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{family}{{{}}}", labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::table::Kind;
    use super::*;

    #[test]
    fn packets_balance_when_each_has_one_fate() {
        let metrics = Metrics::new();
        let mut counters = metrics.worker(0, "eth0");
        counters.add(Counter::PacketsSeen, 10);
        counters.add(Counter::PacketsProcessed, 6);
        counters.add(Counter::PacketsShunted, 1);
        counters.dropped(DropCause::Kernel, 2);
        counters.publish();
        assert_eq!(metrics.snapshot().packets.in_flight, 1);
        counters.dropped(DropCause::Duplicate, 1);
        counters.publish();
        let packets = metrics.snapshot().packets;
        assert!(packets.balanced());
        assert_eq!(packets.dropped, BTreeMap::from([("kernel", 2), ("duplicate", 1)]));
        counters.add(Counter::PacketsProcessed, 1);
        counters.publish();
        assert_eq!(metrics.snapshot().packets.in_flight, -1, "counted twice");
    }

    #[test]
    fn what_workers_do_while_their_numbers_are_read_is_in_flight() {
        // Each look finds ten packets more, seen and processed.
        let now = std::cell::Cell::new(0);
        let at = |place| {
            now.set(now.get() + 10);
            let both = [Counter::PacketsSeen, Counter::PacketsProcessed].map(|counter| counter as usize);
            if both.contains(&place) { now.get() } else { 0 }
        };
        let packets = balance(Layout::get(), at);
        assert!(packets.in_flight > 0 && packets.seen > packets.processed, "{packets:?}");
    }

    #[test]
    fn a_restarted_worker_goes_on_counting_where_it_stood() {
        let metrics = Metrics::new();
        let mut counters = metrics.worker(3, "eth0");
        counters.add(Counter::PacketsSeen, 10);
        counters.set(Counter::FlowsActive, 7);
        counters.publish();
        let counters = metrics.worker(3, "eth0");
        assert_eq!(counters.get(Counter::PacketsSeen), 10);
        assert_eq!(counters.get(Counter::FlowsActive), 0);
    }

    #[test]
    fn every_series_is_declared_once_and_named_as_prometheus_asks() {
        let series = &Layout::get().series;
        let mut names: Vec<_> = series.iter().map(|one| name(one.family, &one.labels)).collect();
        names.sort_unstable();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        for one in series {
            assert!(one.family.starts_with("vigia_"), "{}", one.family);
            assert_eq!(one.family.ends_with("_total"), one.kind == Kind::Counter, "{}", one.family);
            let first = series.iter().find(|other| other.family == one.family).unwrap();
            assert_eq!((first.help, first.kind, first.scope), (one.help, one.kind, one.scope), "{}", one.family);
            let keys = |labels: &[(&'static str, &'static str)]| labels.iter().map(|l| l.0).collect::<Vec<_>>();
            assert_eq!(keys(&first.labels), keys(&one.labels), "{}", one.family);
        }
    }

    #[test]
    fn every_protocol_of_the_registry_is_counted() {
        let metrics = Metrics::new();
        let mut counters = metrics.worker(0, "eth0");
        for protocol in vigia_parsers::registry::PROTOCOLS {
            let series = format!("vigia_records_total{{protocol=\"{}\"}}", protocol.name);
            let before = metrics.snapshot().get(&series);
            counters.record(protocol);
            counters.anomaly(protocol, "missing in its table");
            counters.publish();
            assert_eq!(metrics.snapshot().get(&series), before + 1);
        }
        assert_eq!(metrics.snapshot().sum("vigia_anomalies_total"), vigia_parsers::registry::PROTOCOLS.len() as u64);
    }

    #[test]
    fn no_stats_path_is_inside_another() {
        let stats = Metrics::new().snapshot().stats;
        for path in stats.keys() {
            let inside = format!("{path}.");
            assert!(!stats.keys().any(|other| other.starts_with(&inside)), "{path}");
        }
    }

    #[test]
    fn the_enumerations_match_their_places() {
        for (place, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, place);
        }
        let layout = Layout::get();
        for cause in DropCause::ALL {
            assert_eq!(layout.series[layout.drops + *cause as usize].labels, [("cause", cause.name())]);
        }
    }
}
