//! What is told of whole interfaces, under labels that are known only while the sensor runs: an interface's name, and one
//! more (an EtherType, a cause). Set as a whole once a second by the thread that watches the interfaces.

use super::table::Kind;

/// A metric of interfaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Name of the metric.
    pub name: &'static str,
    /// One line of doc.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// The label beside `interface`.
    pub label: Option<&'static str>,
}

/// Declares families and [`FAMILIES`]: `VARIABLE: kind "name" {label} "help";`
macro_rules! families {
    ($($variable:ident: $kind:ident $name:literal $({$label:literal})? $help:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $help, ".")]
        pub static $variable: Family =
            Family { name: $name, help: $help, kind: Kind::$kind, label: families!(@label $($label)?) };)*

        /// Every metric of interfaces.
        pub static FAMILIES: &[&Family] = &[$(&$variable),*];
    };
    (@label) => { None };
    (@label $label:literal) => { Some($label) };
}

families! {
    TAP_FRAMES: Counter "vigia_tap_frames_total" {"fate"} "Frames that the program in the kernel saw first, by what became of them: delivered to the workers, or dropped as ignored, duplicate, shunted, shed or held (before the start and after the stop)";
    TAP_CLASSES: Counter "vigia_tap_class_frames_total" {"class"} "The same frames by their class";
    TAP_BYTES: Counter "vigia_tap_class_bytes_total" {"class"} "Their bytes";
    TAP_SHED: Counter "vigia_tap_shed_frames_total" {"class"} "Frames dropped under overload, by their class";
    TAP_VLANS: Counter "vigia_tap_vlan_frames_total" {"vlan"} "Tagged frames by their outermost VLAN";
    TAP_SIZES: Counter "vigia_tap_size_frames_total" {"up_to"} "Frames by the most bytes that one of them has, frame check sequence included (RFC 2819)";
    TAP_LANS: Counter "vigia_tap_redundant_frames_total" {"lan"} "Frames of PRP by LAN and of HSR by path";
    TAP_FORGOTTEN: Counter "vigia_tap_forgotten_frames_total" "Frames of which a copy would not have been known, since too many were remembered";
    LEDGER_IN_FLIGHT: Gauge "vigia_ledger_in_flight_frames" "Frames that were delivered to the rings and neither read nor lost there yet";
    LEDGER_DIFFERENCE: Gauge "vigia_ledger_difference_frames" "Frames that are missing between the interface's own count, the count of the program in the kernel, the fates it counted, and what workers read: 0";
    CAPTURE_MODE: Gauge "vigia_capture_mode" {"mode"} "1 for the way by which the interface is captured";
    RECEIVED_PACKETS: Counter "vigia_interface_received_packets_total" "Packets received, by the interface's own count since it came into being";
    RECEIVED_BYTES: Counter "vigia_interface_received_bytes_total" "Bytes received, by the interface's own count";
    LOST_PACKETS: Counter "vigia_interface_lost_packets_total" {"cause"} "Packets that the interface lost before capture, by its own count: dropped for want of room, its buffer full (fifo), damaged (error)";
    TRANSMITTED: Counter "vigia_tap_transmitted_packets_total" "Packets that left by a tap since the start, by the interface's own count: 0 unless something sends past the guard";
    GUARDED: Gauge "vigia_guard_attached" "1 while the guard is on the interface";
    GUARD_DROPPED: Counter "vigia_guard_dropped_packets_total" {"ethertype"} "Packets that something on this machine tried to send on the interface and the guard dropped, since it was attached first";
}

/// One number of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The metric.
    pub family: &'static Family,
    /// Value of [`Family::label`].
    pub label: String,
    /// The number.
    pub value: u64,
}
