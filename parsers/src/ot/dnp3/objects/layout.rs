//! How the value of each object is laid out (IEEE 1815-2012 annex A): one table, from which sizes, rule fields and the
//! log derive. Names of parts follow Suricata's EVE.

use super::super::names::GROUPS;
use super::Datum;
use crate::field::name_of;

/// How an object's value is laid out.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// No value: classes, and variation 0, which asks for any.
    Nothing,
    /// A few bits, packed with those of the next points, first point lowest.
    Packed {
        /// Name of the value.
        name: &'static str,
        /// Its width in bits.
        bits: u8,
    },
    /// Parts one after the other.
    Parts(&'static [Part]),
}

/// One part of an object's value; multi-octet numbers go low octet first.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// An octet of bit fields with their widths, lowest first.
    Bits(&'static [(&'static str, u8)]),
    /// Unsigned number of so many octets.
    Unsigned(&'static str, u8),
    /// Signed number of so many octets.
    Signed(&'static str, u8),
    /// IEEE 754 number of 4 or 8 octets.
    Float(&'static str, u8),
    /// Milliseconds since 1970 in six octets (DNP3TIME).
    Time(&'static str),
    /// Characters.
    Text(&'static str, Length),
    /// Octets.
    Octets(&'static str, Length),
}

/// Length of a part that has no fixed one.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// The value of the part at this place.
    Of(u8),
    /// The object's variation.
    Variation,
    /// All that the size prefix leaves; the name is for the length itself.
    Rest(&'static str),
}

use Length::{Of, Rest, Variation};
use Part::{Bits, Float, Octets, Signed, Text, Time, Unsigned};

const BINARY: Part = Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("chatter_filter", 1),
    ("reserved", 1),
    ("state", 1),
]);
const DOUBLE_BIT: Part = Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("chatter_filter", 1),
    ("state", 2),
]);
const OUTPUT: Part = Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("reserved0", 1),
    ("reserved1", 1),
    ("state", 1),
]);
const COUNTER: Part = Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("rollover", 1),
    ("discontinuity", 1),
    ("reserved0", 1),
]);
const ANALOG: Part = Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("over_range", 1),
    ("reference_err", 1),
    ("reserved0", 1),
]);
const STATISTIC: Part = Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("reserved0", 1),
    ("discontinuity", 1),
    ("reserved1", 1),
]);
const CONTROL: Part = Bits(&[("op_type", 4), ("qu", 1), ("cr", 1), ("tcc", 2)]);
const STATUS: Part = Bits(&[("status_code", 7), ("reserved", 1)]);
const COMMANDED_STATE: Part = Bits(&[("status_code", 7), ("commanded_state", 1)]);
const TIME: Part = Time("timestamp");

/// The layout of a group's variation; `None` where the standard has none or it is not known here.
#[expect(clippy::manual_range_patterns, reason = "groups one by one make the match one jump by group")]
pub fn layout(group: u8, variation: u8) -> Option<Layout> {
    use Layout::{Nothing, Packed, Parts};
    Some(match (group, variation) {
        (0, 1..=253 | 255) => Parts(&[Unsigned("data_type", 1), Unsigned("length", 1), Octets("value", Of(1))]),
        (0, 0 | 254) => Nothing,
        (1 | 10, 1) => Packed { name: "state", bits: 1 },
        (1, 2) | (2, 1) => Parts(&[BINARY]),
        (2, 2) => Parts(&[BINARY, TIME]),
        (2, 3) => Parts(&[BINARY, Unsigned("timestamp", 2)]),
        (3, 1) => Packed { name: "state", bits: 2 },
        (3, 2) | (4, 1) => Parts(&[DOUBLE_BIT]),
        (4, 2) => Parts(&[DOUBLE_BIT, TIME]),
        (4, 3) => Parts(&[DOUBLE_BIT, Unsigned("relative_time_ms", 2)]),
        (10, 2) | (11, 1) => Parts(&[OUTPUT]),
        (11, 2) => Parts(&[OUTPUT, TIME]),
        (12, 1 | 2) => Parts(&[CONTROL, Unsigned("count", 1), Unsigned("ontime", 4), Unsigned("offtime", 4), STATUS]),
        (12, 3) => Packed { name: "point", bits: 1 },
        (13, 1) => Parts(&[COMMANDED_STATE]),
        (13, 2) => Parts(&[COMMANDED_STATE, TIME]),
        (20 | 21 | 22 | 23, 1 | 3) => Parts(&[COUNTER, Unsigned("count", 4)]),
        (20 | 21 | 22 | 23, 2 | 4) => Parts(&[COUNTER, Unsigned("count", 2)]),
        (21 | 22 | 23, 5 | 7) => Parts(&[COUNTER, Unsigned("count", 4), TIME]),
        (21 | 22 | 23, 6 | 8) => Parts(&[COUNTER, Unsigned("count", 2), TIME]),
        (20, 5 | 7) | (21, 9 | 11) => Parts(&[Unsigned("count", 4)]),
        (20, 6 | 8) | (21, 10 | 12) => Parts(&[Unsigned("count", 2)]),
        (30 | 31 | 32 | 33 | 40 | 42, 1) => Parts(&[ANALOG, Signed("value", 4)]),
        (30 | 31 | 32 | 33 | 40 | 42, 2) => Parts(&[ANALOG, Signed("value", 2)]),
        (30, 3) | (31, 5) => Parts(&[Signed("value", 4)]),
        (30, 4) | (31, 6) => Parts(&[Signed("value", 2)]),
        (30, 5) | (31, 7) | (32 | 33 | 42, 5) | (40, 3) => Parts(&[ANALOG, Float("value", 4)]),
        (30, 6) | (31, 8) | (32 | 33 | 42, 6) | (40, 4) => Parts(&[ANALOG, Float("value", 8)]),
        (31 | 32 | 33 | 42, 3) => Parts(&[ANALOG, Signed("value", 4), TIME]),
        (31 | 32 | 33 | 42, 4) => Parts(&[ANALOG, Signed("value", 2), TIME]),
        (32 | 33 | 42, 7) => Parts(&[ANALOG, Float("value", 4), TIME]),
        (32 | 33 | 42, 8) => Parts(&[ANALOG, Float("value", 8), TIME]),
        (34, 1) => Parts(&[Unsigned("deadband_value", 2)]),
        (34, 2) => Parts(&[Unsigned("deadband_value", 4)]),
        (34, 3) => Parts(&[Float("deadband_value", 4)]),
        (41, 1) => Parts(&[Signed("value", 4), Unsigned("control_status", 1)]),
        (41, 2) => Parts(&[Signed("value", 2), Unsigned("control_status", 1)]),
        (41, 3) => Parts(&[Float("value", 4), Unsigned("control_status", 1)]),
        (41, 4) => Parts(&[Float("value", 8), Unsigned("control_status", 1)]),
        (43, 1) => Parts(&[STATUS, Signed("commanded_value", 4)]),
        (43, 2) => Parts(&[STATUS, Signed("commanded_value", 2)]),
        (43, 3) => Parts(&[STATUS, Signed("commanded_value", 4), TIME]),
        (43, 4) => Parts(&[STATUS, Signed("commanded_value", 2), TIME]),
        (43, 5) => Parts(&[STATUS, Float("commanded_value", 4)]),
        (43, 6) => Parts(&[STATUS, Float("commanded_value", 8)]),
        (43, 7) => Parts(&[STATUS, Float("commanded_value", 4), TIME]),
        (43, 8) => Parts(&[STATUS, Float("commanded_value", 8), TIME]),
        (50, 1 | 3) | (51, 1 | 2) => Parts(&[TIME]),
        (50, 2) => Parts(&[TIME, Unsigned("interval", 4)]),
        (50, 4) => Parts(&[TIME, Unsigned("interval_count", 4), Unsigned("interval_units", 1)]),
        (52, 1) => Parts(&[Unsigned("delay_secs", 2)]),
        (52, 2) => Parts(&[Unsigned("delay_ms", 2)]),
        (60, 1..=4) => Nothing,
        (70, 1..=8) => Parts(file(variation)),
        (80, 1) => Packed { name: "state", bits: 1 },
        (81, 1) => Parts(&[
            Bits(&[("fill_percentage", 7), ("overflow_state", 1)]),
            Unsigned("group", 1),
            Unsigned("variation", 1),
        ]),
        (83, 1) => Parts(&[
            Unsigned("vendor_code", 4),
            Unsigned("object_id", 2),
            Unsigned("length", 2),
            Octets("data_objects", Of(2)),
        ]),
        (86, 2) => Parts(&[Bits(&[("rd", 1), ("wr", 1), ("st", 1), ("ev", 1), ("df", 1), ("padding", 3)])]),
        // Sets and descriptors of variable structure: only with a size prefix do they have an end.
        (82, 1) | (83, 2) | (85, 1) | (86, 1 | 3) | (87, 1) | (88, 1) | (90, 1) | (91, 1) | (114, _) => {
            Parts(&[Octets("data", Rest("data_len"))])
        }
        (101, 1) => Parts(&[Unsigned("bcd_value", 2)]),
        (101, 2) => Parts(&[Unsigned("bcd_value", 4)]),
        (101, 3) => Parts(&[Unsigned("bcd_value", 8)]),
        (102, 1) => Parts(&[Unsigned("value", 1)]),
        (110 | 111 | 112 | 113, _) => Parts(&[Text("value", Variation)]),
        (120, 1..=15) => Parts(authentication(variation)),
        (121, 1) | (122, 1) => Parts(&[STATISTIC, Unsigned("association_id", 2), Unsigned("count_value", 4)]),
        (122, 2) => Parts(&[STATISTIC, Unsigned("association_id", 2), Unsigned("count_value", 4), TIME]),
        (_, 0) if name_of(GROUPS, group.into()).is_some() => Nothing,
        _ => return None,
    })
}

/// File objects (group 70).
fn file(variation: u8) -> &'static [Part] {
    match variation {
        1 => &[
            Unsigned("filename_size", 2),
            Unsigned("filetype_code", 1),
            Unsigned("attribute_code", 1),
            Unsigned("start_record", 2),
            Unsigned("end_record", 2),
            Unsigned("file_size", 4),
            Time("created_timestamp"),
            Unsigned("permission", 2),
            Unsigned("file_id", 4),
            Unsigned("owner_id", 4),
            Unsigned("group_id", 4),
            Unsigned("file_function_code", 1),
            Unsigned("status_code", 1),
            Text("filename", Of(0)),
            Unsigned("data_size", 2),
            Octets("data", Of(14)),
        ],
        2 => &[
            Unsigned("username_offset", 2),
            Unsigned("username_size", 2),
            Unsigned("password_offset", 2),
            Unsigned("password_size", 2),
            Unsigned("authentication_key", 4),
            Text("username", Of(1)),
            Text("password", Of(3)),
        ],
        3 => &[
            Unsigned("filename_offset", 2),
            Unsigned("filename_size", 2),
            Time("created"),
            Unsigned("permissions", 2),
            Unsigned("authentication_key", 4),
            Unsigned("file_size", 4),
            Unsigned("operational_mode", 2),
            Unsigned("maximum_block_size", 2),
            Unsigned("request_id", 2),
            Text("filename", Of(1)),
        ],
        4 => &[
            Unsigned("file_handle", 4),
            Unsigned("file_size", 4),
            Unsigned("maximum_block_size", 2),
            Unsigned("request_id", 2),
            Unsigned("status_code", 1),
            Text("optional_text", Rest("optional_text_len")),
        ],
        5 => &[Unsigned("file_handle", 4), Unsigned("block_number", 4), Octets("file_data", Rest("file_data_len"))],
        6 => &[
            Unsigned("file_handle", 4),
            Unsigned("block_number", 4),
            Unsigned("status_code", 1),
            Text("optional_text", Rest("optional_text_len")),
        ],
        7 => &[
            Unsigned("filename_offset", 2),
            Unsigned("filename_size", 2),
            Unsigned("file_type", 2),
            Unsigned("file_size", 4),
            Time("created_timestamp"),
            Unsigned("permissions", 2),
            Unsigned("request_id", 2),
            Text("filename", Of(1)),
        ],
        _ => &[Text("file_specification", Rest("file_specification_len"))],
    }
}

/// Secure authentication objects (group 120).
fn authentication(variation: u8) -> &'static [Part] {
    match variation {
        1 => &[
            Unsigned("csq", 4),
            Unsigned("usr", 2),
            Unsigned("mal", 1),
            Unsigned("reason", 1),
            Octets("challenge_data", Rest("challenge_data_len")),
        ],
        2 => &[Unsigned("csq", 4), Unsigned("usr", 2), Octets("mac_value", Rest("mac_value_len"))],
        3 => &[Unsigned("csq", 4), Unsigned("user_number", 2)],
        4 => &[Unsigned("user_number", 2)],
        5 => &[
            Unsigned("ksq", 4),
            Unsigned("user_number", 2),
            Unsigned("key_wrap_alg", 1),
            Unsigned("key_status", 1),
            Unsigned("mal", 1),
            Unsigned("challenge_data_len", 2),
            Octets("challenge_data", Of(5)),
            Octets("mac_value", Rest("mac_value_len")),
        ],
        6 => &[Unsigned("ksq", 4), Unsigned("usr", 2), Octets("wrapped_key_data", Rest("wrapped_key_data_len"))],
        7 => &[
            Unsigned("sequence_number", 4),
            Unsigned("usr", 2),
            Unsigned("association_id", 2),
            Unsigned("error_code", 1),
            Time("time_of_error"),
            Text("error_text", Rest("error_text_len")),
        ],
        8 => &[
            Unsigned("key_change_method", 1),
            Unsigned("certificate_type", 1),
            Octets("certificate", Rest("certificate_len")),
        ],
        9 => &[Octets("mac_value", Rest("mac_value_len"))],
        10 => &[
            Unsigned("key_change_method", 1),
            Unsigned("operation", 1),
            Unsigned("scs", 4),
            Unsigned("user_role", 2),
            Unsigned("user_role_expiry_interval", 2),
            Unsigned("username_len", 2),
            Unsigned("user_public_key_len", 2),
            Unsigned("certification_data_len", 2),
            Text("username", Of(5)),
            Octets("user_public_key", Of(6)),
            Octets("certification_data", Of(7)),
        ],
        11 => &[
            Unsigned("key_change_method", 1),
            Unsigned("username_len", 2),
            Unsigned("master_challenge_data_len", 2),
            Text("username", Of(1)),
            Octets("master_challenge_data", Of(2)),
        ],
        12 => &[
            Unsigned("ksq", 4),
            Unsigned("user_number", 2),
            Unsigned("challenge_data_len", 2),
            Octets("challenge_data", Of(2)),
        ],
        13 => &[
            Unsigned("ksq", 4),
            Unsigned("user_number", 2),
            Unsigned("encrypted_update_key_len", 2),
            Octets("encrypted_update_key_data", Of(2)),
        ],
        14 => &[Octets("digital_signature", Rest("digital_signature_len"))],
        _ => &[Octets("mac", Rest("mac_len"))],
    }
}

/// The size of a value made of `parts`; `None` when it depends on the value.
pub fn fixed_size(parts: &[Part], variation: u8) -> Option<usize> {
    parts.iter().try_fold(0, |sum, part| {
        Some(
            sum + match part {
                Bits(_) => 1,
                Unsigned(_, size) | Signed(_, size) | Float(_, size) => usize::from(*size),
                Time(_) => 6,
                Text(_, Variation) | Octets(_, Variation) => usize::from(variation),
                Text(..) | Octets(..) => return None,
            },
        )
    })
}

/// True when only a size prefix tells where a value made of `parts` ends.
pub fn needs_size(parts: &[Part]) -> bool {
    matches!(parts.last(), Some(Text(_, Rest(_)) | Octets(_, Rest(_))))
}

/// Parts that an object has at the most.
const MOST_PARTS: usize = 16;

/// Reads the parts of a value that begins `octets`, hands each to `visit` and returns the value's size; `None` when the
/// octets end before the value, after the parts that are whole.
pub fn read<'a>(
    parts: &[Part],
    variation: u8,
    octets: &'a [u8],
    visit: &mut dyn FnMut(&'static str, Datum<'a>),
) -> Option<usize> {
    let mut at = 0;
    let mut numbers = [0u64; MOST_PARTS];
    for (place, part) in parts.iter().enumerate() {
        let rest = octets.get(at..)?;
        let length = |length: &Length| match *length {
            Of(place) => numbers.get(usize::from(place)).map_or(0, |&number| number as usize),
            Variation => usize::from(variation),
            Rest(_) => rest.len(),
        };
        match part {
            Bits(fields) => {
                let mut octet = *rest.first()?;
                for &(name, width) in *fields {
                    visit(name, Datum::Unsigned(u64::from(octet & (0xff >> (8 - width)))));
                    octet = octet.checked_shr(width.into()).unwrap_or(0);
                }
                at += 1;
            }
            Unsigned(name, size) => {
                let number = little_endian(rest, *size)?;
                if let Some(slot) = numbers.get_mut(place) {
                    *slot = number;
                }
                visit(name, Datum::Unsigned(number));
                at += usize::from(*size);
            }
            Signed(name, size) => {
                let unused = 64 - 8 * u32::from(*size);
                let number = (little_endian(rest, *size)? << unused) as i64 >> unused;
                visit(name, Datum::Signed(number));
                at += usize::from(*size);
            }
            Float(name, 4) => {
                visit(name, Datum::Float(f32::from_bits(little_endian(rest, 4)? as u32).into()));
                at += 4;
            }
            Float(name, size) => {
                visit(name, Datum::Float(f64::from_bits(little_endian(rest, 8)?)));
                at += usize::from(*size);
            }
            Time(name) => {
                visit(name, Datum::Milliseconds(little_endian(rest, 6)?));
                at += 6;
            }
            Text(name, how) | Octets(name, how) => {
                let value = rest.get(..length(how))?;
                if let Rest(name) = how {
                    visit(name, Datum::Unsigned(value.len() as u64));
                }
                visit(name, if matches!(part, Text(..)) { Datum::Text(value) } else { Datum::Octets(value) });
                at += value.len();
            }
        }
    }
    Some(at)
}

/// The number in the first `size` octets, low octet first; `size` ≤ 8.
pub fn little_endian(octets: &[u8], size: u8) -> Option<u64> {
    let octets = octets.get(..usize::from(size))?;
    Some(octets.iter().rev().fold(0, |number, &octet| number << 8 | u64::from(octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets of each fixed-size object, as the standard draws them; an independent statement of the table above.
    const SIZES: &[(u8, &[usize])] = &[
        (2, &[1, 7, 3]),
        (4, &[1, 7, 3]),
        (11, &[1, 7]),
        (13, &[1, 7]),
        (20, &[5, 3, 5, 3, 4, 2, 4, 2]),
        (21, &[5, 3, 5, 3, 11, 9, 11, 9, 4, 2, 4, 2]),
        (22, &[5, 3, 5, 3, 11, 9, 11, 9]),
        (23, &[5, 3, 5, 3, 11, 9, 11, 9]),
        (30, &[5, 3, 4, 2, 5, 9]),
        (31, &[5, 3, 11, 9, 4, 2, 5, 9]),
        (32, &[5, 3, 11, 9, 5, 9, 11, 15]),
        (33, &[5, 3, 11, 9, 5, 9, 11, 15]),
        (34, &[2, 4, 4]),
        (40, &[5, 3, 5, 9]),
        (41, &[5, 3, 5, 9]),
        (42, &[5, 3, 11, 9, 5, 9, 11, 15]),
        (43, &[5, 3, 11, 9, 5, 9, 11, 15]),
        (50, &[6, 10, 6, 11]),
        (51, &[6, 6]),
        (52, &[2, 2]),
        (81, &[3]),
        (101, &[2, 4, 8]),
        (102, &[1]),
        (121, &[7]),
        (122, &[7, 13]),
    ];

    /// Fixed sizes that stand between other layouts of their group.
    const OTHER_SIZES: &[(u8, u8, usize)] =
        &[(1, 2, 1), (3, 2, 1), (10, 2, 1), (12, 1, 11), (12, 2, 11), (86, 2, 1), (110, 7, 7), (113, 255, 255)];

    fn parts(group: u8, variation: u8) -> &'static [Part] {
        match layout(group, variation) {
            Some(Layout::Parts(parts)) => parts,
            other => panic!("{group}.{variation}: {other:?}"),
        }
    }

    fn every() -> impl Iterator<Item = (u8, u8, Layout)> {
        (0..=255).flat_map(|group| {
            (0..=255).filter_map(move |variation| Some((group, variation, layout(group, variation)?)))
        })
    }

    #[test]
    fn fixed_objects_have_the_sizes_of_the_standard() {
        let listed = SIZES
            .iter()
            .flat_map(|(group, sizes)| (1..).zip(*sizes).map(|(variation, size)| (*group, variation, *size)));
        for (group, variation, size) in listed.chain(OTHER_SIZES.iter().copied()) {
            assert_eq!(fixed_size(parts(group, variation), variation), Some(size), "{group}.{variation}");
        }
        for (group, sizes) in SIZES {
            assert!(layout(*group, sizes.len() as u8 + 1).is_none(), "group {group} has no more variations");
        }
    }

    #[test]
    fn packed_objects_have_one_or_two_bits() {
        for (group, variation, width) in [(1, 1, 1), (3, 1, 2), (10, 1, 1), (12, 3, 1), (80, 1, 1)] {
            assert!(
                matches!(layout(group, variation), Some(Layout::Packed { bits, .. }) if bits == width),
                "{group}.{variation}"
            );
        }
    }

    #[test]
    fn reading_takes_exactly_the_fixed_size_and_not_one_octet_less() {
        for (group, variation, layout) in every() {
            let Layout::Parts(parts) = layout else { continue };
            let Some(size) = fixed_size(parts, variation) else { continue };
            let octets = vec![0xa5; size + 3];
            assert_eq!(read(parts, variation, &octets, &mut |_, _| {}), Some(size), "{group}.{variation}");
            if size > 0 {
                assert_eq!(read(parts, variation, &octets[..size - 1], &mut |_, _| {}), None, "{group}.{variation}");
            }
        }
    }

    #[test]
    fn lengths_name_an_earlier_number_and_only_the_last_part_takes_the_rest() {
        for (group, variation, layout) in every() {
            let Layout::Parts(parts) = layout else { continue };
            assert!(parts.len() <= MOST_PARTS);
            for (place, part) in parts.iter().enumerate() {
                match part {
                    Text(_, Of(from)) | Octets(_, Of(from)) => {
                        assert!(
                            usize::from(*from) < place && matches!(parts[usize::from(*from)], Unsigned(..)),
                            "{group}.{variation}"
                        );
                    }
                    Text(_, Rest(_)) | Octets(_, Rest(_)) => assert_eq!(place + 1, parts.len(), "{group}.{variation}"),
                    Bits(fields) => {
                        assert_eq!(fields.iter().map(|field| field.1).sum::<u8>(), 8, "{group}.{variation}")
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn every_named_group_has_a_layout_and_every_layout_a_named_group() {
        for (group, name) in GROUPS {
            assert!(every().any(|(of, ..)| u64::from(of) == *group), "{name}");
        }
        assert!(every().all(|(group, ..)| name_of(GROUPS, group.into()).is_some()));
    }

    #[test]
    fn numbers_keep_their_sign_and_fraction() {
        let mut seen = Vec::new();
        read(parts(30, 2), 2, &[0x01, 0xfe, 0xff], &mut |name, datum| {
            if name == "value" {
                seen.push(datum)
            }
        });
        read(parts(30, 1), 1, &[0x01, 0, 0, 0, 0x80], &mut |name, datum| {
            if name == "value" {
                seen.push(datum)
            }
        });
        read(parts(40, 4), 4, &[1, 0, 0, 0, 0, 0, 0, 0x04, 0xc0], &mut |name, datum| {
            if name == "value" {
                seen.push(datum)
            }
        });
        read(parts(20, 1), 1, &[0x01, 0xff, 0xff, 0xff, 0xff], &mut |name, datum| {
            if name == "count" {
                seen.push(datum)
            }
        });
        assert_eq!(
            seen,
            [Datum::Signed(-2), Datum::Signed(i32::MIN.into()), Datum::Float(-2.5), Datum::Unsigned(u32::MAX.into()),]
        );
    }

    #[test]
    fn variable_objects_are_read_by_their_own_lengths() {
        let mut texts = Vec::new();
        let user = [&[1, 2][..], &[0; 4], &[1, 0, 2, 0], &[3, 0, 2, 0, 1, 0], b"bobKKC", b"next"].concat();
        let size = read(parts(120, 10), 10, &user, &mut |_, datum| {
            if let Datum::Text(octets) | Datum::Octets(octets) = datum {
                texts.push(octets);
            }
        });
        assert_eq!((size, texts), (Some(user.len() - 4), vec![&b"bob"[..], b"KK", b"C"]));
        assert_eq!(read(parts(0, 252), 252, &[1, 3, b'a', b'b', b'c', 9], &mut |_, _| {}), Some(5));
        assert_eq!(read(parts(0, 252), 252, &[1, 9, b'a'], &mut |_, _| {}), None, "longer than what is there");
    }
}
