//! What is told of subjects whose names are known only while the sensor runs: interfaces, sinks, and servers that metrics are sent to. A metric has the name of
//! its subject as a label, and one more where it needs it (an EtherType, a cause). Set as a whole by who watches the subject.

use super::table::Kind;

/// What a metric is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An interface.
    Interface,
    /// A sink that events are delivered to.
    Sink,
    /// A server that metrics are sent to.
    Push,
}

impl Subject {
    /// The label with its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Sink => "sink",
            Self::Push => "push",
        }
    }
}

/// A metric of subjects.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// What it is of.
    pub subject: Subject,
    /// Name of the metric.
    pub name: &'static str,
    /// One line of doc.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// The label beside that of the subject.
    pub label: Option<&'static str>,
}

/// Declares families and [`FAMILIES`]: `VARIABLE: subject kind "name" {label} "help";`
macro_rules! families {
    ($($variable:ident: $subject:ident $kind:ident $name:literal $({$label:literal})? $help:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $help, ".")]
        pub static $variable: Family = Family {
            subject: Subject::$subject,
            name: $name,
            help: $help,
            kind: Kind::$kind,
            label: families!(@label $($label)?),
        };)*

        /// Every metric of subjects.
        pub static FAMILIES: &[&Family] = &[$(&$variable),*];
    };
    (@label) => { None };
    (@label $label:literal) => { Some($label) };
}

families! {
    TAP_FRAMES: Interface Counter "vigia_tap_frames_total" {"fate"} "Frames that the program in the kernel saw first, by what became of them: delivered to the workers, or dropped as ignored, duplicate, shunted, shed or held (before the start and after the stop)";
    TAP_CLASSES: Interface Counter "vigia_tap_class_frames_total" {"class"} "The same frames by their class";
    TAP_BYTES: Interface Counter "vigia_tap_class_bytes_total" {"class"} "Their bytes";
    TAP_SHED: Interface Counter "vigia_tap_shed_frames_total" {"class"} "Frames dropped under overload, by their class";
    TAP_VLANS: Interface Counter "vigia_tap_vlan_frames_total" {"vlan"} "Tagged frames by their outermost VLAN";
    TAP_SIZES: Interface Counter "vigia_tap_size_frames_total" {"up_to"} "Frames by the most bytes that one of them has, frame check sequence included (RFC 2819)";
    TAP_LANS: Interface Counter "vigia_tap_redundant_frames_total" {"lan"} "Frames of PRP by LAN and of HSR by path";
    TAP_FORGOTTEN: Interface Counter "vigia_tap_forgotten_frames_total" "Frames of which a copy would not have been known, since too many were remembered";
    LEDGER_IN_FLIGHT: Interface Gauge "vigia_ledger_in_flight_frames" "Frames that were delivered to the rings and neither read nor lost there yet";
    LEDGER_DIFFERENCE: Interface Gauge "vigia_ledger_difference_frames" "Frames that are missing between the interface's own count, the count of the program in the kernel, the fates it counted, and what workers read: 0";
    CAPTURE_MODE: Interface Gauge "vigia_capture_mode" {"mode"} "1 for the way by which the interface is captured";
    RECEIVED_PACKETS: Interface Counter "vigia_interface_received_packets_total" "Packets received, by the interface's own count since it came into being";
    RECEIVED_BYTES: Interface Counter "vigia_interface_received_bytes_total" "Bytes received, by the interface's own count";
    LOST_PACKETS: Interface Counter "vigia_interface_lost_packets_total" {"cause"} "Packets that the interface lost before capture, by its own count: dropped for want of room, its buffer full (fifo), damaged (error)";
    TRANSMITTED: Interface Counter "vigia_tap_transmitted_packets_total" "Packets that left by a tap since the start, by the interface's own count: 0 unless something sends past the guard";
    GUARDED: Interface Gauge "vigia_guard_attached" "1 while the guard is on the interface";
    GUARD_DROPPED: Interface Counter "vigia_guard_dropped_packets_total" {"ethertype"} "Packets that something on this machine tried to send on the interface and the guard dropped, since it was attached first";

    EXPORT_EVENTS: Sink Counter "vigia_export_events_total" {"outcome"} "Events that a sink took (delivered), that it refused and that are kept apart (refused), or that it is not to get (filtered)";
    EXPORT_BYTES: Sink Counter "vigia_export_bytes_total" "Bytes of events that a sink took, uncompressed";
    EXPORT_FAILURES: Sink Counter "vigia_export_failures_total" "Times that a sink did not take what was handed over, for no fault of the events, or could be handed nothing, since the file of refused events was full";
    EXPORT_CIRCUIT: Sink Gauge "vigia_export_circuit" {"state"} "1 for the state of the way to a sink: closed (events are handed over), open (it failed, and is tried again after a pause), blocked (the file of refused events is full)";
    EXPORT_LAG_EVENTS: Sink Gauge "vigia_export_lag_events" {"stream"} "Events in the journal that a sink has not settled";
    EXPORT_LAG_BYTES: Sink Gauge "vigia_export_lag_bytes" {"stream"} "Bytes of them, uncompressed";
    EXPORT_LAG_SECONDS: Sink Gauge "vigia_export_lag_seconds" {"stream"} "Age of the oldest of them, as far as it is known; 0 when there is none";
    EXPORT_MISSED: Sink Counter "vigia_export_missed_events_total" "Events that were removed from the journal, or could not be read, before a sink got them, as far as they were counted";
    EXPORT_MISSED_SEGMENTS: Sink Counter "vigia_export_missed_segments_total" "Segments of them";
    EXPORT_REFUSED_BYTES: Sink Gauge "vigia_export_refused_bytes" "Size of the file of events that a sink refused";
    EXPORT_CERTIFICATE: Sink Gauge "vigia_export_certificate_expiry_seconds" {"certificate"} "When the certificate that was seen last expires, in seconds since 1970: the sensor's (own) or the sink's (sink)";
    EXPORT_CURSOR_ERRORS: Sink Counter "vigia_export_cursor_errors_total" "Times that the disk refused to keep how far a sink is";

    PUSH_SAMPLES: Push Counter "vigia_push_samples_total" {"outcome"} "Samples of metrics that a server took (delivered) or refused, or that went to make room while it took none (dropped)";
    PUSH_FAILURES: Push Counter "vigia_push_failures_total" "Times that a server did not take metrics that are sent to it again";
    PUSH_WAITING: Push Gauge "vigia_push_waiting_samples" "Samples of metrics that wait for a server";
    PUSH_WAITING_BYTES: Push Gauge "vigia_push_waiting_bytes" "Bytes of them, compressed";
    PUSH_CERTIFICATE: Push Gauge "vigia_push_certificate_expiry_seconds" {"certificate"} "When the certificate that was seen last expires, in seconds since 1970: the sensor's (own) or the server's (push)";
}

/// One number of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The metric.
    pub family: &'static Family,
    /// Value of [`Family::label`].
    pub label: String,
    /// The number.
    pub value: u64,
}
