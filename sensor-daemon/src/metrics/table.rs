//! Every series, declared once.

use std::sync::OnceLock;

use vigia_parsers::Protocol;
use vigia_parsers::dissector::AnomalyKind;
use vigia_parsers::packet::DecodeEvent;
use vigia_parsers::registry::PROTOCOLS;

/// What kind of number a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// How a series of several workers is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One series a worker and interface.
    Worker,
    /// The sum of all.
    Sum,
}

/// One series: a place in every [`super::Block`].
#[derive(Debug, Clone)]
pub struct Series {
    /// Name of the metric.
    pub family: &'static str,
    /// One line of doc.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// By worker or summed.
    pub scope: Scope,
    /// Labels that tell it from the others of its family.
    pub labels: Vec<(&'static str, &'static str)>,
    /// Dotted path in the `stats` event. Series of the same path are added up there.
    pub stats: Option<String>,
}

/// Declares [`Counter`]: `Variant: kind scope "name" {label = "value"} "help" => "stats.path";`
macro_rules! counters {
    ($($variant:ident: $kind:ident $scope:ident $family:literal $({$($key:ident = $value:literal),*})? $help:literal
        $(=> $stats:literal)?;)*) => {
        /// The series whose number is fixed. Those by protocol, severity, cause or anomaly have methods of their own
        /// on [`super::Counters`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Counter {
            $(#[doc = concat!("`", $family, "`: ", $help, ".")] $variant),*
        }

        impl Counter {
            /// Every one, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        fn fixed() -> Vec<Series> {
            vec![$(Series {
                family: $family,
                help: $help,
                kind: Kind::$kind,
                scope: Scope::$scope,
                labels: vec![$($((stringify!($key), $value)),*)?],
                stats: [$($stats)?].first().map(|path: &&str| path.to_string()),
            }),*]
        }
    };
}

/// Declares [`DropCause`]: `Variant: "name" "doc" => "stats.path";`
macro_rules! causes {
    ($($variant:ident: $name:literal $doc:literal $(=> $stats:literal)?;)*) => {
        /// Why a packet was not processed. There is no other way to drop one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum DropCause {
            $(#[doc = $doc] $variant),*
        }

        impl DropCause {
            /// Every cause.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Did the packet never reach a worker?
            pub fn is_of_rings(self) -> bool {
                matches!(self, Self::Kernel | Self::NoBuffer | Self::Malformed)
            }

            /// Its name, the `cause` label.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            fn stats(self) -> Option<&'static str> {
                match self { $(Self::$variant => [$($stats)?].first().copied()),* }
            }
        }
    };
}

causes! {
    Kernel: "kernel" "The capture ring was full and the kernel dropped it." => "capture.kernel_drops";
    NoBuffer: "no_buffer" "AF_XDP had no free buffer for it, or none that was long enough.";
    Duplicate: "duplicate" "A second copy: of a redundant network (IEC 62439-3) or of a tap that mirrors twice.";
    DecodeLimit: "decode_limit" "More layers than the bound on decoding.";
    UnsupportedLink: "unsupported_link" "A link type that is not decoded.";
    Malformed: "malformed" "A ring or file described it in a way that makes no sense.";
    Checksum: "checksum" "Its checksum is wrong, and checksums are checked." => "tcp.invalid_checksum";
    WorkerPanic: "worker_panic" "Its worker failed on it and was restarted.";
}

counters! {
    PacketsSeen: Counter Worker "vigia_packets_seen_total" "Packets that reached the workers' rings or were in the capture, lost ones and those of shunted flows included; what the kernel drops before is in vigia_tap_frames_total" => "capture.kernel_packets";
    PacketsProcessed: Counter Worker "vigia_packets_processed_total" "Packets inspected" => "decoder.pkts";
    PacketsShunted: Counter Worker "vigia_packets_shunted_total" "Packets of flows left to the kernel's counting on purpose" => "flow_bypassed.pkts";
    BytesSeen: Counter Worker "vigia_bytes_seen_total" "Bytes on the wire of the packets taken from the source";
    BytesProcessed: Counter Worker "vigia_bytes_processed_total" "Bytes on the wire of the packets inspected" => "decoder.bytes";
    RingFill: Gauge Worker "vigia_capture_ring_fill_percent" "Share of the worker's fullest capture ring that waits to be read; at 100 the kernel drops" => "capture.ring_fill_percent";
    CaptureErrors: Counter Worker "vigia_capture_errors_total" "Errors that the capture source reported" => "capture.errors";
    TruncatedPackets: Counter Worker "vigia_packets_truncated_total" "Packets of which the capture holds only the beginning";

    Ipv4: Counter Sum "vigia_decoded_packets_total" {layer = "ipv4"} "Packets by decoded layer" => "decoder.ipv4";
    Ipv6: Counter Sum "vigia_decoded_packets_total" {layer = "ipv6"} "Packets by decoded layer" => "decoder.ipv6";
    Arp: Counter Sum "vigia_decoded_packets_total" {layer = "arp"} "Packets by decoded layer" => "decoder.arp";
    Tcp: Counter Sum "vigia_decoded_packets_total" {layer = "tcp"} "Packets by decoded layer" => "decoder.tcp";
    Udp: Counter Sum "vigia_decoded_packets_total" {layer = "udp"} "Packets by decoded layer" => "decoder.udp";
    Sctp: Counter Sum "vigia_decoded_packets_total" {layer = "sctp"} "Packets by decoded layer" => "decoder.sctp";
    Icmpv4: Counter Sum "vigia_decoded_packets_total" {layer = "icmpv4"} "Packets by decoded layer" => "decoder.icmpv4";
    Icmpv6: Counter Sum "vigia_decoded_packets_total" {layer = "icmpv6"} "Packets by decoded layer" => "decoder.icmpv6";
    Vlan: Counter Sum "vigia_decoded_packets_total" {layer = "vlan"} "Packets by decoded layer" => "decoder.vlan";
    Prp: Counter Sum "vigia_decoded_packets_total" {layer = "prp"} "Packets by decoded layer";
    Hsr: Counter Sum "vigia_decoded_packets_total" {layer = "hsr"} "Packets by decoded layer";
    Tunnelled: Counter Sum "vigia_decoded_packets_total" {layer = "tunnel"} "Packets by decoded layer";
    DuplicatesPrp: Counter Sum "vigia_duplicates_total" {kind = "prp"} "Second copies discarded";
    DuplicatesHsr: Counter Sum "vigia_duplicates_total" {kind = "hsr"} "Second copies discarded";
    DuplicatesMirrored: Counter Sum "vigia_duplicates_total" {kind = "mirrored"} "Second copies discarded";
    RedundantLanA: Counter Sum "vigia_redundant_frames_total" {lan = "a"} "PRP and HSR frames by LAN or path: one that falls silent is a fault";
    RedundantLanB: Counter Sum "vigia_redundant_frames_total" {lan = "b"} "PRP and HSR frames by LAN or path: one that falls silent is a fault";
    RedundantMismatch: Counter Sum "vigia_redundant_mismatch_total" "PRP and HSR frames with the number of another but other contents";
    Invalid: Counter Sum "vigia_decode_invalid_packets_total" "Packets with at least one decode event" => "decoder.invalid";
    BadChecksums: Counter Sum "vigia_bad_checksum_packets_total" "Packets with a wrong IP or transport checksum, processed all the same unless checksums are checked";

    FlowsActive: Gauge Sum "vigia_flows_active" "Flows in the table" => "flow.active";
    FlowsLimit: Gauge Sum "vigia_flows_limit" "Flows that the table can hold";
    FlowMemory: Gauge Sum "vigia_flow_memory_bytes" "Memory of the flow tables" => "flow.memuse";
    FlowServers: Gauge Sum "vigia_flow_servers" "Services known by handshakes, where ports alone would mislead about a connection picked up midstream";
    FlowServersForgotten: Counter Sum "vigia_flow_servers_forgotten_total" "Times that all of them were forgotten, because there were too many";
    FlowsTcp: Counter Sum "vigia_flows_created_total" {transport = "tcp"} "Flows created" => "flow.tcp";
    FlowsUdp: Counter Sum "vigia_flows_created_total" {transport = "udp"} "Flows created" => "flow.udp";
    FlowsOther: Counter Sum "vigia_flows_created_total" {transport = "other"} "Flows created";
    FlowsTimeout: Counter Sum "vigia_flows_ended_total" {reason = "timeout"} "Flows ended";
    FlowsForced: Counter Sum "vigia_flows_ended_total" {reason = "forced"} "Flows ended";
    FlowsShutdown: Counter Sum "vigia_flows_ended_total" {reason = "shutdown"} "Flows ended";
    FlowsReused: Counter Sum "vigia_flows_ended_total" {reason = "tcp_reuse"} "Flows ended" => "flow.tcp_reuse";
    FlowsEvicted: Counter Sum "vigia_flows_evicted_total" "Flows evicted because the table was full" => "flow.emerg_mode_entered";

    StreamMemory: Gauge Sum "vigia_reassembly_memory_bytes" "Bytes of out-of-order segments held" => "tcp.reassembly_memuse";
    StreamMemoryLimit: Gauge Sum "vigia_reassembly_memory_limit_bytes" "Bytes of out-of-order segments that may be held";
    StreamGaps: Counter Sum "vigia_reassembly_gaps_total" "Gaps given up in TCP streams" => "tcp.reassembly_gap";
    StreamGapBytes: Counter Sum "vigia_reassembly_gap_bytes_total" "Bytes missing in TCP streams";
    SegmentsBuffered: Counter Sum "vigia_reassembly_segments_buffered_total" "TCP segments held because an earlier one was missing";
    SegmentsRefused: Counter Sum "vigia_reassembly_segments_refused_total" "TCP segments not held because a bound was reached" => "tcp.segment_memcap_drop";
    SegmentOverlaps: Counter Sum "vigia_reassembly_overlaps_total" {data = "same"} "TCP segments that overlap others" => "tcp.overlap";
    SegmentOverlapsDifferent: Counter Sum "vigia_reassembly_overlaps_total" {data = "different"} "TCP segments that overlap others" => "tcp.overlap_diff_data";
    Midstream: Counter Sum "vigia_midstream_pickups_total" "TCP sessions whose beginning was not seen" => "tcp.midstream_pickups";
    TcpSessions: Counter Sum "vigia_tcp_sessions_total" "TCP sessions" => "tcp.sessions";

    DefragMemory: Gauge Sum "vigia_defrag_memory_bytes" "Bytes of IP fragments held" => "defrag.memuse";
    FragmentsIpv4: Counter Sum "vigia_defrag_fragments_total" {version = "4"} "IP fragments" => "defrag.ipv4.fragments";
    FragmentsIpv6: Counter Sum "vigia_defrag_fragments_total" {version = "6"} "IP fragments" => "defrag.ipv6.fragments";
    ReassembledIpv4: Counter Sum "vigia_defrag_reassembled_total" {version = "4"} "Datagrams put together from fragments" => "defrag.ipv4.reassembled";
    ReassembledIpv6: Counter Sum "vigia_defrag_reassembled_total" {version = "6"} "Datagrams put together from fragments" => "defrag.ipv6.reassembled";
    DefragExpired: Counter Sum "vigia_defrag_expired_total" "Datagrams given up because a fragment never came";
    DefragRefused: Counter Sum "vigia_defrag_refused_total" "Fragments refused because a bound was reached" => "defrag.max_frags_reached";

    ConversationMemory: Gauge Sum "vigia_application_memory_bytes" "Bytes of unfinished messages held";
    Requests: Gauge Sum "vigia_dissection_requests" "Requests that wait for their answers";
    RequestMemory: Gauge Sum "vigia_dissection_request_bytes" "Bytes of requests that wait for their answers";
    JoinedMemory: Gauge Sum "vigia_dissection_joined_bytes" "Bytes of messages that are being joined from several frames or segments";
    BoundedRequests: Counter Sum "vigia_dissection_bounded_total" {bound = "requests"} "Times that a bound on what is kept of a flow made a dissector give up the oldest of it, or pass over the end of a message (`message_bytes`)" => "app_layer.bounded.requests";
    BoundedRequestBytes: Counter Sum "vigia_dissection_bounded_total" {bound = "request_bytes"} "Times that a bound on what is kept of a flow made a dissector give up the oldest of it, or pass over the end of a message (`message_bytes`)" => "app_layer.bounded.request_bytes";
    BoundedJoinedBytes: Counter Sum "vigia_dissection_bounded_total" {bound = "joined_bytes"} "Times that a bound on what is kept of a flow made a dissector give up the oldest of it, or pass over the end of a message (`message_bytes`)" => "app_layer.bounded.joined_bytes";
    BoundedMessage: Counter Sum "vigia_dissection_bounded_total" {bound = "message_bytes"} "Times that a bound on what is kept of a flow made a dissector give up the oldest of it, or pass over the end of a message (`message_bytes`)" => "app_layer.bounded.message_bytes";
    BoundedUnfinished: Counter Sum "vigia_dissection_bounded_total" {bound = "unfinished_bytes"} "Times that a bound on what is kept of a flow made a dissector give up the oldest of it, or pass over the end of a message (`message_bytes`)" => "app_layer.bounded.unfinished_bytes";
    Resynchronised: Counter Sum "vigia_application_resync_total" "Times that a conversation found the next message after a gap";
    SkippedBytes: Counter Sum "vigia_application_skipped_bytes_total" "Bytes skipped until the next message";
    StreamAnomalies: Counter Sum "vigia_stream_anomalies_total" "Anomalies of TCP streams";

    SignatureMatches: Counter Sum "vigia_signature_matches_total" "Matches of signatures: alerts, suppressed ones, and those lost before the journal";
    AlertsSuppressed: Counter Sum "vigia_alerts_suppressed_total" "Matches that a threshold keeps from being alerts" => "detect.alerts_suppressed";
    CutPackets: Counter Sum "vigia_inspections_cut_total" {subject = "packet"} "Inspections that ended before all rules were tried, since they took too many steps";
    CutStreams: Counter Sum "vigia_inspections_cut_total" {subject = "stream"} "Inspections that ended before all rules were tried, since they took too many steps";
    CutMessages: Counter Sum "vigia_inspections_cut_total" {subject = "message"} "Inspections that ended before all rules were tried, since they took too many steps";
    GivenUpExpressions: Counter Sum "vigia_rules_given_up_total" {limit = "expression"} "Times that a rule was given up over bytes of which it would have had to try too much";
    GivenUpPlaces: Counter Sum "vigia_rules_given_up_total" {limit = "places"} "Times that a rule was given up over bytes of which it would have had to try too much";
    AlertsForced: Counter Sum "vigia_alert_merge_forced_total" "Alerts released out of packet order because the merge of the workers was at its bound" => "detect.alert_queue_overflow";
    MergeHeld: Gauge Sum "vigia_alert_merge_held_bytes" "Bytes of alerts that wait for a worker that is behind";
    ThresholdEntries: Gauge Sum "vigia_threshold_entries" "Counters that thresholds across flows keep";
    ThresholdsEvicted: Counter Sum "vigia_threshold_evicted_total" "Counters of thresholds given up before their time because there were too many";
    SetValues: Gauge Sum "vigia_rule_set_values" "Values of which rules have changed whether they are in a set, as of the last time that sets were saved";
    SetValuesEvicted: Counter Sum "vigia_rule_set_values_evicted_total" "Values of which it was forgotten that rules have changed whether they are in a set, because there were too many";
    SetValuesLeftOut: Gauge Sum "vigia_rule_set_values_left_out" "Values that files of saved sets do not have because these are full";
    SetSaves: Counter Sum "vigia_rule_set_saves_total" {result = "ok"} "Files of sets that rules change, written";
    SetSavesFailed: Counter Sum "vigia_rule_set_saves_total" {result = "failed"} "Files of sets that rules change, written";
    RuleMemories: Gauge Sum "vigia_rule_flows" "Flows of which rules remember something: flowbits, counts, what they raised";
    BoundedRuleMemory: Counter Sum "vigia_rule_flow_bounded_total" "Times that a bound on what rules remember of a flow made them forget the oldest of it, or remember nothing new";
    RuleWays: Gauge Sum "vigia_rule_ways" "Ways among the groups of rules that are known: flows with the same kind of ends share one";
    RuleWaysForgotten: Counter Sum "vigia_rule_ways_begun_anew_total" "Times that there were too many ways to be known, so that all were looked up anew";
    TaggedHosts: Gauge Sum "vigia_tagged_hosts" "Hosts whose packets are recorded because a rule tagged them";
    TagsRefused: Counter Sum "vigia_tags_refused_total" "Tags on hosts that were not followed because there were too many";
    RuleReloads: Counter Sum "vigia_rule_reloads_total" {result = "ok"} "Rule reloads";
    RuleReloadsFailed: Counter Sum "vigia_rule_reloads_total" {result = "failed"} "Rule reloads";
    ReloadMemory: Gauge Sum "vigia_rule_reload_memory_bytes" "Memory that loading the rules again takes at its peak, beyond what is resident, as far as can be told before";
    ConfigReloads: Counter Sum "vigia_config_reloads_total" {result = "ok"} "Reloads of the settings";
    ConfigReloadsFailed: Counter Sum "vigia_config_reloads_total" {result = "failed"} "Reloads of the settings";

    FlowEvents: Counter Sum "vigia_events_total" {type = "flow"} "Events reported";
    AnomalyEvents: Counter Sum "vigia_events_total" {type = "anomaly"} "Events reported";
    RecordEvents: Counter Sum "vigia_events_total" {type = "record"} "Events reported";
    PacketEvents: Counter Sum "vigia_events_total" {type = "packet"} "Events reported";
    StatsEvents: Counter Sum "vigia_events_total" {type = "stats"} "Events reported";
    HealthEvents: Counter Sum "vigia_events_total" {type = "health"} "Events reported";
    EvidenceEvents: Counter Sum "vigia_events_total" {type = "evidence"} "Events reported";

    JournalAlertEvents: Counter Sum "vigia_journal_events_total" {stream = "alerts"} "Events written to the journal";
    JournalRecordEvents: Counter Sum "vigia_journal_events_total" {stream = "records"} "Events written to the journal";
    JournalAlertBytes: Counter Sum "vigia_journal_bytes_total" {stream = "alerts"} "Bytes written to the journal";
    JournalRecordBytes: Counter Sum "vigia_journal_bytes_total" {stream = "records"} "Bytes written to the journal";
    LostAlertsQueue: Counter Sum "vigia_journal_lost_events_total" {stream = "alerts", cause = "queue"} "Events that could not be written to the journal";
    LostAlertsDisk: Counter Sum "vigia_journal_lost_events_total" {stream = "alerts", cause = "disk"} "Events that could not be written to the journal";
    LostRecordsQueue: Counter Sum "vigia_journal_lost_events_total" {stream = "records", cause = "queue"} "Events that could not be written to the journal";
    LostRecordsDisk: Counter Sum "vigia_journal_lost_events_total" {stream = "records", cause = "disk"} "Events that could not be written to the journal";
    LostRecordsPressure: Counter Sum "vigia_journal_lost_events_total" {stream = "records", cause = "pressure"} "Events that could not be written to the journal" => "journal.records_shed";
    LostAlertBytes: Counter Sum "vigia_journal_lost_bytes_total" {stream = "alerts"} "Bytes of events that could not be written";
    LostRecordBytes: Counter Sum "vigia_journal_lost_bytes_total" {stream = "records"} "Bytes of events that could not be written";
    TornAlerts: Counter Sum "vigia_journal_torn_lines_total" {stream = "alerts"} "Unfinished lines cut off when the journal was opened";
    TornRecords: Counter Sum "vigia_journal_torn_lines_total" {stream = "records"} "Unfinished lines cut off when the journal was opened";
    EvictedAlerts: Counter Sum "vigia_journal_evicted_segments_total" {stream = "alerts"} "Segments removed to keep the journal within its size";
    EvictedRecords: Counter Sum "vigia_journal_evicted_segments_total" {stream = "records"} "Segments removed to keep the journal within its size";
    SealedAlerts: Counter Sum "vigia_journal_sealed_segments_total" {stream = "alerts"} "Segments sealed";
    SealedRecords: Counter Sum "vigia_journal_sealed_segments_total" {stream = "records"} "Segments sealed";
    SealErrors: Counter Sum "vigia_journal_seal_errors_total" "Times that a segment could not be sealed, signed or removed";
    SyncErrors: Counter Sum "vigia_journal_sync_errors_total" "Syncs that the disk refused";
    JournalSize: Gauge Sum "vigia_journal_size_bytes" "Bytes that the journal takes on disk";
    JournalLimit: Gauge Sum "vigia_journal_size_limit_bytes" "Bytes that the journal may take on disk";
    JournalReserve: Gauge Sum "vigia_journal_reserve_bytes" "Bytes reserved on disk for alerts";
    AlertsFull: Gauge Sum "vigia_journal_full" {stream = "alerts"} "1 while the disk refuses the stream";
    RecordsFull: Gauge Sum "vigia_journal_full" {stream = "records"} "1 while the disk refuses the stream";
    AlertsQueue: Gauge Sum "vigia_journal_queue_batches" {stream = "alerts"} "Batches waiting for the journal";
    RecordsQueue: Gauge Sum "vigia_journal_queue_batches" {stream = "records"} "Batches waiting for the journal";
    AlertsQueueLimit: Gauge Sum "vigia_journal_queue_limit_batches" {stream = "alerts"} "Batches that may wait for the journal";
    RecordsQueueLimit: Gauge Sum "vigia_journal_queue_limit_batches" {stream = "records"} "Batches that may wait for the journal";

    EvidencePackets: Counter Sum "vigia_evidence_packets_total" "Packets kept in the buffer of evidence";
    EvidencePacketsLost: Counter Sum "vigia_evidence_packets_lost_total" "Packets that were not kept, since the thread that keeps them was behind, or since they were too long";
    EvidenceBlocks: Gauge Sum "vigia_evidence_waiting_blocks" "Blocks of packets that wait for the thread that keeps them";
    EvidenceMemory: Gauge Sum "vigia_evidence_buffer_bytes" "Bytes that the buffer of evidence holds, compressed";
    EvidenceMemoryLimit: Gauge Sum "vigia_evidence_buffer_limit_bytes" "Bytes that the buffer of evidence may hold";
    EvidenceBlocksGone: Counter Sum "vigia_evidence_blocks_gone_total" "Blocks of packets that left the buffer of evidence to make room";
    EvidenceOpen: Gauge Sum "vigia_evidence_open" "Flows whose evidence is being collected";
    EvidenceOpenBytes: Gauge Sum "vigia_evidence_open_bytes" "Bytes of evidence that is being collected";
    EvidenceOpenBytesLimit: Gauge Sum "vigia_evidence_open_limit_bytes" "Bytes of evidence that may be collected at the same time";
    EvidenceAlerts: Counter Sum "vigia_evidence_alerts_total" "Alerts whose evidence was collected";
    EvidenceLostQueue: Counter Sum "vigia_evidence_lost_total" {cause = "queue"} "Alerts without evidence: what was to be kept or written came too fast (`queue`), too many flows at a time (`bound`), or the disk refused it (`disk`)";
    EvidenceLostBound: Counter Sum "vigia_evidence_lost_total" {cause = "bound"} "Alerts without evidence: what was to be kept or written came too fast (`queue`), too many flows at a time (`bound`), or the disk refused it (`disk`)";
    EvidenceLostDisk: Counter Sum "vigia_evidence_lost_total" {cause = "disk"} "Alerts without evidence: what was to be kept or written came too fast (`queue`), too many flows at a time (`bound`), or the disk refused it (`disk`)";
    EvidenceWaiting: Gauge Sum "vigia_evidence_waiting_files" "Files of evidence that wait for the disk";
    EvidenceFiles: Counter Sum "vigia_evidence_files_total" "Files of evidence written";
    EvidenceIncomplete: Counter Sum "vigia_evidence_incomplete_files_total" "Files of evidence of which it is known that something is missing";
    EvidenceDisk: Gauge Sum "vigia_evidence_disk_bytes" "Bytes that files of evidence take on disk";
    EvidenceDiskLimit: Gauge Sum "vigia_evidence_disk_limit_bytes" "Bytes that files of evidence may take on disk";
    EvidenceRemovedAge: Counter Sum "vigia_evidence_removed_files_total" {reason = "age"} "Files of evidence removed, since they were old or more than there may be";
    EvidenceRemovedSize: Counter Sum "vigia_evidence_removed_files_total" {reason = "size"} "Files of evidence removed, since they were old or more than there may be";
    IndexAlerts: Counter Sum "vigia_index_alerts_total" "Alerts put into the index";
    IndexLagEvents: Gauge Sum "vigia_index_lag_events" "Alerts in the journal that are not in the index yet; 0 where none is kept";
    IndexLagBytes: Gauge Sum "vigia_index_lag_bytes" "Bytes of them, uncompressed";
    IndexBytes: Gauge Sum "vigia_index_bytes" "Bytes of the index of alerts in use";
    IndexLimit: Gauge Sum "vigia_index_limit_bytes" "Bytes that the index of alerts may take";
    IndexLeftOut: Counter Sum "vigia_index_left_out_segments_total" "Segments whose alerts left the index to keep it within its size; they are looked for in the journal";
    IndexDamaged: Counter Sum "vigia_index_rebuilds_total" {cause = "damaged"} "Times that the index of alerts was made anew";
    IndexRemoved: Counter Sum "vigia_index_rebuilds_total" {cause = "removed"} "Times that the index of alerts was made anew";
    IndexOutdated: Counter Sum "vigia_index_rebuilds_total" {cause = "outdated"} "Times that the index of alerts was made anew";
    IndexErrors: Counter Sum "vigia_index_errors_total" "Times that the index of alerts could not be written, or the journal not be read for it";

    FlowsShunted: Gauge Sum "vigia_flows_shunted" "Flows that are left to the kernel to count" => "flow_bypassed.active";
    ShuntsRefused: Counter Sum "vigia_shunts_refused_total" "Directions of flows that were to be left to the kernel, whose table was full";
    ShedLevel: Gauge Sum "vigia_tap_shed_classes" "Classes of frames that are shed now, in their order";

    Workers: Gauge Sum "vigia_workers" "Workers running";
    WorkerRestarts: Counter Sum "vigia_worker_restarts_total" "Workers restarted after a panic";
    HeldMatchesLost: Counter Sum "vigia_held_matches_lost_total" "Flows whose matches waited for an acknowledgement and could not be reported when their worker was restarted";
}

/// Labels of alert severities: 1 is the most severe, whatever is beyond 4 is shown together.
const SEVERITIES: [&str; 5] = ["1", "2", "3", "4", "other"];

/// Where the series by cause, severity, protocol and anomaly stand in a block, and what every place means.
#[derive(Debug)]
pub struct Layout {
    /// All series, by place.
    pub series: Vec<Series>,
    pub(super) drops: usize,
    pub(super) alerts: usize,
    pub(super) messages: usize,
    pub(super) records: usize,
    pub(super) flows: usize,
    pub(super) decode: usize,
    /// By place in the registry.
    protocols: Vec<Places>,
}

/// Where a protocol's numbers stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// Its place among the protocols, those of one name counted once (Modbus has several framings).
    pub(super) index: usize,
    /// Where its anomalies begin; as many as `kinds`, and one for kinds that are missing there.
    pub(super) anomalies: usize,
    /// Its anomalies.
    pub(super) kinds: &'static [AnomalyKind],
}

impl Layout {
    /// The layout of this build.
    pub fn get() -> &'static Self {
        static LAYOUT: OnceLock<Layout> = OnceLock::new();
        LAYOUT.get_or_init(Self::build)
    }

    fn build() -> Self {
        let mut layout = Self {
            series: fixed(),
            drops: 0,
            alerts: 0,
            messages: 0,
            records: 0,
            flows: 0,
            decode: 0,
            protocols: Vec::new(),
        };
        layout.drops = layout.set(
            ("vigia_packets_dropped_total", "Packets not processed, by cause", Scope::Worker),
            DropCause::ALL.iter().map(|cause| (vec![("cause", cause.name())], cause.stats().map(String::from))),
        );
        layout.alerts = layout.set(
            ("vigia_alerts_total", "Alerts, by severity (1 is the most severe)", Scope::Sum),
            SEVERITIES.map(|severity| (vec![("severity", severity)], Some("detect.alert".to_string()))),
        );
        layout.messages = layout.by_protocol("vigia_messages_total", "Application messages parsed, by protocol", None);
        layout.records =
            layout.by_protocol("vigia_records_total", "Application records reported, by protocol", Some("tx"));
        layout.flows =
            layout.by_protocol("vigia_application_flows_total", "Flows whose protocol was detected", Some("flow"));
        layout.decode = layout.set(
            ("vigia_anomalies_total", ANOMALIES, Scope::Sum),
            DecodeEvent::ALL.iter().map(|event| {
                let stats = format!("decoder.event.{}", event.name());
                (vec![("protocol", "decode"), ("kind", event.name())], Some(stats))
            }),
        );
        let named: Vec<_> = named().collect();
        let places: Vec<_> = named.iter().enumerate().map(|(index, one)| layout.places_of(index, one)).collect();
        let place = |protocol: &&Protocol| named.iter().position(|one| one.name == protocol.name).map(|at| places[at]);
        layout.protocols = PROTOCOLS.iter().filter_map(place).collect();
        layout
    }

    fn set(
        &mut self,
        (family, help, scope): (&'static str, &'static str, Scope),
        members: impl IntoIterator<Item = (Vec<(&'static str, &'static str)>, Option<String>)>,
    ) -> usize {
        let first = self.series.len();
        self.series.extend(members.into_iter().map(|(labels, stats)| Series {
            family,
            help,
            kind: Kind::Counter,
            scope,
            labels,
            stats,
        }));
        first
    }

    fn by_protocol(&mut self, family: &'static str, help: &'static str, stats: Option<&str>) -> usize {
        let name = |protocol: &Protocol| stats.map(|group| format!("app_layer.{group}.{}", protocol.name));
        self.set(
            (family, help, Scope::Sum),
            named().map(|protocol| (vec![("protocol", protocol.name)], name(protocol))),
        )
    }

    fn places_of(&mut self, index: usize, protocol: &'static Protocol) -> Places {
        let kinds = protocol.anomalies.iter().map(|kind| kind.name).chain(["other"]);
        let stats = format!("app_layer.error.{}.parser", protocol.name);
        let anomalies = self.set(
            ("vigia_anomalies_total", ANOMALIES, Scope::Sum),
            kinds.map(|kind| (vec![("protocol", protocol.name), ("kind", kind)], Some(stats.clone()))),
        );
        Places { index, anomalies, kinds: protocol.anomalies }
    }

    /// Where a protocol's numbers stand.
    #[inline]
    pub(super) fn places(&self, protocol: &'static Protocol) -> Option<Places> {
        let at = PROTOCOLS.iter().position(|known| std::ptr::eq(*known, protocol))?;
        self.protocols.get(at).copied()
    }
}

/// The protocols, the first of each name.
fn named() -> impl Iterator<Item = &'static Protocol> {
    let first = |at: usize, name| !PROTOCOLS.iter().take(at).any(|earlier| earlier.name == name);
    PROTOCOLS.iter().enumerate().filter(move |(at, protocol)| first(*at, protocol.name)).map(|(_, protocol)| *protocol)
}

const ANOMALIES: &str = "What standards do not allow, by protocol (decode: packet headers) and kind";
