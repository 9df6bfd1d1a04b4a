//! Information elements (101 §7.2.6) and the types that are made of them (101 §7.3, 104 §8).

use super::names;
use crate::field::Names;
use crate::time::Civil;

/// One part of an information element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Single-point information with quality (§7.2.6.1).
    Siq,
    /// Double-point information with quality (§7.2.6.2).
    Diq,
    /// Quality descriptor (§7.2.6.3).
    Qds,
    /// Quality descriptor of protection equipment (§7.2.6.4).
    Qdp,
    /// Value with transient state indication (§7.2.6.5).
    Vti,
    /// Normalized value (§7.2.6.6).
    Nva,
    /// Scaled value (§7.2.6.7).
    Sva,
    /// Short floating point number (§7.2.6.8).
    R32,
    /// Binary counter reading (§7.2.6.9).
    Bcr,
    /// Single event of protection equipment (§7.2.6.10).
    Sep,
    /// Start events of protection equipment (§7.2.6.11).
    Spe,
    /// Output circuit information of protection equipment (§7.2.6.12).
    Oci,
    /// Binary state information of 32 bits (§7.2.6.13).
    Bsi,
    /// Fixed test pattern (§7.2.6.14).
    Fbp,
    /// Single command (§7.2.6.15).
    Sco,
    /// Double command (§7.2.6.16).
    Dco,
    /// Regulating step command (§7.2.6.17).
    Rco,
    /// Date and time of seven octets (§7.2.6.18).
    Cp56,
    /// Minutes and milliseconds, three octets (§7.2.6.19).
    Cp24,
    /// Elapsed time of two octets (§7.2.6.20).
    Cp16,
    /// Cause of initialization (§7.2.6.21).
    Coi,
    /// Qualifier of interrogation (§7.2.6.22).
    Qoi,
    /// Qualifier of counter interrogation (§7.2.6.23).
    Qcc,
    /// Qualifier of parameter of measured values (§7.2.6.24).
    Qpm,
    /// Qualifier of parameter activation (§7.2.6.25).
    Qpa,
    /// Qualifier of reset process (§7.2.6.27).
    Qrp,
    /// Qualifier of set point command (§7.2.6.39).
    Qos,
    /// Status and change detection of 16 points (§7.2.6.40).
    Scd,
    /// Test sequence counter (104 §8.7).
    Tsc,
    /// Name of file (§7.2.6.33).
    Nof,
    /// Name of section (§7.2.6.34).
    Nos,
    /// Length of file or section (§7.2.6.35).
    Lof,
    /// File or section ready qualifier (§7.2.6.28, §7.2.6.29).
    Frq,
    /// Select and call qualifier (§7.2.6.30).
    Scq,
    /// Last section or segment qualifier (§7.2.6.31).
    Lsq,
    /// Acknowledge file or section qualifier (§7.2.6.32).
    Afq,
    /// Checksum (§7.2.6.37).
    Chs,
    /// Status of file (§7.2.6.38).
    Sof,
    /// Length of segment (§7.2.6.36), and the segment.
    Segment,
    /// Begin or end of the range of an archive file (104 §8.9): as [`Part::Cp56`].
    Range,
}

/// A named value of a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Datum<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Flag(bool),
    /// A value with a name.
    Named(u64, Names),
    /// Bits of [`names::QUALITIES`].
    Quality(u8),
    /// As the device states it, and whether it is marked invalid.
    Time(Civil),
    Octets(&'a [u8]),
}

/// Name of what is measured, stated or commanded.
pub(super) const VALUE: &str = "value";
/// Name of the select bit of a command.
pub(super) const SELECT: &str = "select";

/// The parts of an element of a type; `None` for types that are not defined, or whose ASDUs may be segmented (60870-5-7).
pub(super) fn layout(type_id: u8) -> Option<&'static [Part]> {
    use Part::*;
    Some(match type_id {
        1 => &[Siq],
        2 => &[Siq, Cp24],
        3 => &[Diq],
        4 => &[Diq, Cp24],
        5 => &[Vti, Qds],
        6 => &[Vti, Qds, Cp24],
        7 => &[Bsi, Qds],
        8 => &[Bsi, Qds, Cp24],
        9 => &[Nva, Qds],
        10 => &[Nva, Qds, Cp24],
        11 => &[Sva, Qds],
        12 => &[Sva, Qds, Cp24],
        13 => &[R32, Qds],
        14 => &[R32, Qds, Cp24],
        15 => &[Bcr],
        16 => &[Bcr, Cp24],
        17 => &[Sep, Cp16, Cp24],
        18 => &[Spe, Qdp, Cp16, Cp24],
        19 => &[Oci, Qdp, Cp16, Cp24],
        20 => &[Scd, Qds],
        21 => &[Nva],
        30 => &[Siq, Cp56],
        31 => &[Diq, Cp56],
        32 => &[Vti, Qds, Cp56],
        33 => &[Bsi, Qds, Cp56],
        34 => &[Nva, Qds, Cp56],
        35 => &[Sva, Qds, Cp56],
        36 => &[R32, Qds, Cp56],
        37 | 41 => &[Bcr, Cp56],
        38 => &[Sep, Cp16, Cp56],
        39 => &[Spe, Qdp, Cp16, Cp56],
        40 => &[Oci, Qdp, Cp16, Cp56],
        45 => &[Sco],
        46 => &[Dco],
        47 => &[Rco],
        48 => &[Nva, Qos],
        49 => &[Sva, Qos],
        50 => &[R32, Qos],
        51 => &[Bsi],
        58 => &[Sco, Cp56],
        59 => &[Dco, Cp56],
        60 => &[Rco, Cp56],
        61 => &[Nva, Qos, Cp56],
        62 => &[Sva, Qos, Cp56],
        63 => &[R32, Qos, Cp56],
        64 => &[Bsi, Cp56],
        70 => &[Coi],
        100 => &[Qoi],
        101 => &[Qcc],
        102 => &[],
        103 => &[Cp56],
        104 => &[Fbp],
        105 => &[Qrp],
        106 => &[Cp16],
        107 => &[Tsc, Cp56],
        110 => &[Nva, Qpm],
        111 => &[Sva, Qpm],
        112 => &[R32, Qpm],
        113 => &[Qpa],
        120 => &[Nof, Lof, Frq],
        121 => &[Nof, Nos, Lof, Frq],
        122 => &[Nof, Nos, Scq],
        123 => &[Nof, Nos, Lsq, Chs],
        124 => &[Nof, Nos, Afq],
        125 => &[Nof, Nos, Segment],
        126 => &[Nof, Lof, Sof, Cp56],
        127 => &[Nof, Range, Range],
        _ => return None,
    })
}

/// Octets of an element with this layout that begins with `octets`.
pub(super) fn length(layout: &[Part], octets: &[u8]) -> usize {
    layout.iter().fold(0, |at, part| at + part.length(octets.get(at..).unwrap_or_default()))
}

/// Hands out name and value of each part of an element.
pub(super) fn each<'a>(layout: &[Part], octets: &'a [u8], out: &mut dyn FnMut(&'static str, Datum<'a>)) {
    let mut rest = octets;
    for part in layout {
        let Some((own, after)) = rest.split_at_checked(part.length(rest)) else { return };
        part.each(own, out);
        rest = after;
    }
}

impl Part {
    fn length(self, octets: &[u8]) -> usize {
        match self {
            Self::Segment => 1 + usize::from(octets.first().copied().unwrap_or_default()),
            Self::Nva | Self::Sva | Self::Fbp | Self::Cp16 | Self::Nof | Self::Tsc => 2,
            Self::Cp24 | Self::Lof => 3,
            Self::R32 | Self::Bsi | Self::Scd => 4,
            Self::Bcr => 5,
            Self::Cp56 | Self::Range => 7,
            _ => 1,
        }
    }

    fn each<'a>(self, octets: &'a [u8], out: &mut dyn FnMut(&'static str, Datum<'a>)) {
        use Datum::*;
        let first = octets.first().copied().unwrap_or_default();
        let number = octets.iter().rev().fold(0, |value, octet| value << 8 | u64::from(*octet));
        let low = |bits: u32| u64::from(first & ((1u8 << bits) - 1));
        match self {
            Self::Siq => {
                out(VALUE, Unsigned(low(1)));
                out("quality", Quality(first & 0xf0));
            }
            Self::Diq => {
                out(VALUE, Unsigned(low(2)));
                out("quality", Quality(first & 0xf0));
            }
            Self::Qds => out("quality", Quality(first & 0xf1)),
            Self::Qdp => out("quality", Quality(first & 0xf8)),
            Self::Vti => {
                // Seven bits in two's complement.
                out(VALUE, Signed(i64::from((first << 1) as i8 >> 1)));
                out("transient", Flag(first & 0x80 != 0));
            }
            Self::Nva => out(VALUE, Float(f64::from(number as u16 as i16) / 32768.0)),
            Self::Sva => out(VALUE, Signed(i64::from(number as u16 as i16))),
            Self::R32 => out(VALUE, Float(f32::from_bits(number as u32).into())),
            Self::Bsi => out(VALUE, Unsigned(number)),
            Self::Bcr => {
                let notes = octets.get(4).copied().unwrap_or_default();
                out(VALUE, Signed(i64::from(number as u32 as i32)));
                out("counter_sequence", Unsigned(u64::from(notes & 0x1f)));
                out("carry", Flag(notes & 0x20 != 0));
                out("adjusted", Flag(notes & 0x40 != 0));
                out("quality", Quality(notes & 0x80));
            }
            Self::Sep => {
                out(VALUE, Unsigned(low(2)));
                out("quality", Quality(first & 0xf8));
            }
            Self::Spe => out(VALUE, Unsigned(low(6))),
            Self::Oci => out(VALUE, Unsigned(low(4))),
            Self::Scd => {
                out(VALUE, Unsigned(number & 0xffff));
                out("changed", Unsigned(number >> 16));
            }
            Self::Fbp => out("test_pattern", Unsigned(number)),
            Self::Tsc => out("test_counter", Unsigned(number)),
            Self::Sco | Self::Dco | Self::Rco => {
                out(VALUE, Unsigned(low(if self == Self::Sco { 1 } else { 2 })));
                out("qualifier", Named(u64::from(first >> 2 & 0x1f), names::COMMAND_QUALIFIERS));
                out(SELECT, Flag(first & 0x80 != 0));
            }
            Self::Qos => {
                out("qualifier", Unsigned(low(7)));
                out(SELECT, Flag(first & 0x80 != 0));
            }
            Self::Cp56 => time("time", octets, out),
            Self::Range => time("range", octets, out),
            Self::Cp24 => {
                let minute = u64::from(octets.get(2).copied().unwrap_or_default());
                out("hour_ms", Unsigned((minute & 0x3f) * 60_000 + (number & 0xffff)));
                out("time_invalid", Flag(minute & 0x80 != 0));
            }
            Self::Cp16 => out("elapsed_ms", Unsigned(number)),
            Self::Coi => {
                out("initialization", Named(low(7), names::INITIALIZATIONS));
                out("parameters_changed", Flag(first & 0x80 != 0));
            }
            Self::Qoi => out("interrogation", Named(first.into(), names::INTERROGATIONS)),
            Self::Qcc => {
                out("counter_request", Named(low(6), names::COUNTER_REQUESTS));
                out("counter_freeze", Named((first >> 6).into(), names::COUNTER_FREEZES));
            }
            Self::Qrp => out("reset", Named(first.into(), names::RESETS)),
            Self::Qpm => {
                out("parameter", Named(low(6), names::PARAMETERS));
                out("local_change", Flag(first & 0x40 != 0));
                out("in_operation", Flag(first & 0x80 == 0));
            }
            Self::Qpa => out("parameter_activation", Named(first.into(), names::PARAMETER_ACTIVATIONS)),
            Self::Nof => out("file", Named(number, names::FILES)),
            Self::Nos => out("section", Unsigned(number)),
            Self::Lof => out("file_length", Unsigned(number)),
            Self::Frq => out("ready", Flag(first & 0x80 == 0)),
            Self::Scq => {
                out("file_call", Named(low(4), names::FILE_CALLS));
                file_error(first, out);
            }
            Self::Lsq => out("file_end", Named(first.into(), names::FILE_ENDS)),
            Self::Afq => {
                out("file_acknowledgement", Named(low(4), names::FILE_ACKNOWLEDGEMENTS));
                file_error(first, out);
            }
            Self::Chs => out("checksum", Unsigned(number)),
            Self::Sof => {
                out("file_status", Unsigned(low(5)));
                out("last_file", Flag(first & 0x20 != 0));
                out("directory", Flag(first & 0x40 != 0));
                out("file_active", Flag(first & 0x80 != 0));
            }
            Self::Segment => out("segment", Octets(octets.get(1..).unwrap_or_default())),
        }
    }
}

fn file_error<'a>(qualifier: u8, out: &mut dyn FnMut(&'static str, Datum<'a>)) {
    if qualifier >> 4 != 0 {
        out("file_error", Datum::Named((qualifier >> 4).into(), names::FILE_ERRORS));
    }
}

/// CP56Time2a: milliseconds of the minute, minute with IV, hour with SU, day with day of week, month, year of the century.
fn time<'a>(name: &'static str, octets: &'a [u8], out: &mut dyn FnMut(&'static str, Datum<'a>)) {
    let &[low, high, minute, hour, day, month, year] = octets else { return };
    out(
        name,
        Datum::Time(Civil {
            // Beyond 99, which the standard does not allow, stations count from 1900.
            year: if year & 0x7f < 100 { 2000 } else { 1900 } + u16::from(year & 0x7f),
            month: month & 0x0f,
            day: day & 0x1f,
            hour: hour & 0x1f,
            minute: minute & 0x3f,
            millisecond: u16::from_le_bytes([low, high]),
        }),
    );
    if year & 0x7f > 99 {
        out("year_from_1900", Datum::Flag(true));
    }
    out("time_invalid", Datum::Flag(minute & 0x80 != 0));
    out("summer_time", Datum::Flag(hour & 0x80 != 0));
}
