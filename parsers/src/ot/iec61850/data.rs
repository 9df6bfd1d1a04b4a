//! Data of MMS, as GOOSE and MMS carry them (ISO 9506-2 §14.4.2, `Data`).

use crate::encoding::ber::{Element, Elements};
use crate::field::{Tree, Value, Visit};
use crate::time::Timestamp;

/// Structures and arrays within each other that are followed.
const DEPTH: usize = 16;
/// Values of one message that are written out or shown to rules.
const MOST: usize = 1024;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum<'a> {
    /// Truth value.
    Boolean(bool),
    /// Bits, the first in the highest place of the first octet; the count leaves out the padding.
    Bits(&'a [u8], usize),
    /// Signed integer.
    Integer(i64),
    /// Unsigned integer.
    Unsigned(u64),
    /// Floating point, single or double.
    Float(f64),
    /// Octets.
    Octets(&'a [u8]),
    /// Characters: visible string, MMS string, generalized time, object identifiers.
    Text(&'a [u8]),
    /// UTC time, with its quality octet (IEC 61850-8-1 §8.1.3.6).
    Utc(Timestamp, u8),
    /// Time of day, with or without the day (4 or 6 octets).
    BinaryTime(&'a [u8]),
}

/// UTC time: seconds, fraction of 2^-24 s, quality (IEC 61850-8-1 §8.1.3.6).
pub fn utc_time(octets: &[u8]) -> Option<(Timestamp, u8)> {
    let &[a, b, c, d, e, f, g, quality] = octets.first_chunk::<8>()?;
    let seconds = u32::from_be_bytes([a, b, c, d]);
    let fraction = u64::from(u32::from_be_bytes([0, e, f, g]));
    let nanoseconds = (fraction * 1_000_000_000) >> 24;
    Some((Timestamp::new(seconds.into(), nanoseconds as u32), quality))
}

/// Seconds from 1970 to 1984, where the days of binary times begin.
const DAYS_BEGIN: u64 = 441_763_200;

/// Binary time with its day: milliseconds of the day, days since 1984 (ISO 9506-2, `TimeOfDay`). `None` without the day.
pub fn binary_time(octets: &[u8]) -> Option<Timestamp> {
    let &[a, b, c, d, e, f] = <&[u8; 6]>::try_from(octets).ok()?;
    let milliseconds = u64::from(u32::from_be_bytes([a, b, c, d]));
    let days = u64::from(u16::from_be_bytes([e, f]));
    Some(Timestamp(((DAYS_BEGIN + days * 86_400) * 1000 + milliseconds) * 1_000_000))
}

/// The value of an element; `None` for structures and arrays, and for what is not of its type's form.
pub fn datum<'a>(element: &Element<'a>) -> Option<Datum<'a>> {
    let octets = element.contents;
    Some(match element.tag.context()? {
        3 => Datum::Boolean(element.boolean()?),
        4 => {
            let (&unused, bits) = octets.split_first()?;
            Datum::Bits(bits, (bits.len() * 8).checked_sub(usize::from(unused)).filter(|_| unused < 8)?)
        }
        5 => Datum::Integer(element.signed()?),
        6 => Datum::Unsigned(element.unsigned()?),
        7 => Datum::Float(match *octets {
            [8, a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
            [11, a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return None,
        }),
        9 => Datum::Octets(octets),
        10 | 11 | 15 | 16 => Datum::Text(octets),
        12 => Datum::BinaryTime(octets),
        13 => Datum::Integer(element.signed()?),
        14 => Datum::Octets(octets),
        17 => {
            let (time, quality) = utc_time(octets)?;
            Datum::Utc(time, quality)
        }
        _ => return None,
    })
}

/// Is it a structure (2) or an array (1)?
pub fn is_composite(element: &Element<'_>) -> bool {
    matches!(element.tag.context(), Some(1 | 2))
}

/// Is it any of the types of `Data`?
pub fn is_known(element: &Element<'_>) -> bool {
    element.tag.class == 2 && (is_composite(element) || datum(element).is_some())
}

/// Hands every value to `visit`, those in structures and arrays too, in the order of the wire.
pub fn leaves<'a>(elements: Elements<'a>, visit: &mut dyn FnMut(Datum<'a>)) {
    let mut left = MOST;
    walk(elements, DEPTH, &mut left, visit);
}

fn walk<'a>(elements: Elements<'a>, depth: usize, left: &mut usize, visit: &mut dyn FnMut(Datum<'a>)) {
    for element in elements {
        if *left == 0 {
            return;
        }
        *left -= 1;
        if is_composite(&element) && depth > 0 {
            walk(element.elements(), depth - 1, left, visit);
        } else if let Some(datum) = datum(&element) {
            visit(datum);
        }
    }
}

impl<'a> Datum<'a> {
    /// As the value of a point: bits as the number they are, which for the two of a double point is its state.
    pub fn value(self) -> Value<'a> {
        match self {
            Self::Boolean(flag) => Value::Flag(flag),
            Self::Bits(bits, count @ 0..=64) => Value::Unsigned(number_of(bits, count)),
            Self::BinaryTime(octets) => binary_time(octets).map_or(Value::Bytes(octets), Value::Time),
            Self::Bits(octets, _) | Self::Octets(octets) => Value::Bytes(octets),
            Self::Integer(number) => Value::Signed(number),
            Self::Unsigned(number) => Value::Unsigned(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::Bytes(text),
            Self::Utc(time, _) => Value::Time(time),
        }
    }

    /// The number it is, truth values as 0 and 1.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Boolean(flag) => Some(f64::from(u8::from(flag))),
            Self::Integer(number) => Some(number as f64),
            Self::Unsigned(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            _ => None,
        }
    }
}

/// The number that the first `count` bits are, at most 64.
fn number_of(bits: &[u8], count: usize) -> u64 {
    let whole = bits.iter().take(count.div_ceil(8)).fold(0, |number, &octet| number << 8 | u64::from(octet));
    whole >> (count.next_multiple_of(8) - count)
}

/// Hands the numbers among the values to `out`.
pub fn numbers(elements: Elements<'_>, out: &mut Visit<'_>) {
    leaves(elements, &mut |datum| {
        if let Some(number) = datum.number() {
            out(Value::Float(number));
        }
    });
}

/// Hands the texts among the values to `out`.
pub fn texts(elements: Elements<'_>, out: &mut Visit<'_>) {
    leaves(elements, &mut |datum| {
        if let Datum::Text(text) = datum {
            out(Value::Bytes(text));
        }
    });
}

/// Writes the values as a list: structures and arrays as lists within it, bits as text of zeros and ones, times as seconds
/// since 1970.
pub fn write(key: &'static str, elements: Elements<'_>, tree: &mut dyn Tree) {
    let mut left = MOST;
    tree.list(key);
    write_all(elements, DEPTH, &mut left, tree);
    tree.end();
}

/// Writes one value, as [`write`] does.
pub fn write_value(key: &'static str, element: &Element<'_>, tree: &mut dyn Tree) {
    write_element(key, element, DEPTH, &mut { MOST }, tree);
}

fn write_all(elements: Elements<'_>, depth: usize, left: &mut usize, tree: &mut dyn Tree) {
    for element in elements {
        if *left == 0 {
            return;
        }
        *left -= 1;
        write_element("", &element, depth, left, tree);
    }
}

fn write_element(key: &'static str, element: &Element<'_>, depth: usize, left: &mut usize, tree: &mut dyn Tree) {
    if is_composite(element) && depth > 0 {
        tree.list(key);
        write_all(element.elements(), depth - 1, left, tree);
        tree.end();
    } else {
        match datum(element) {
            Some(datum) => write_one(key, datum, tree),
            None => tree.hex(key, element.contents),
        }
    }
}

/// Writes one value.
pub fn write_one(key: &'static str, datum: Datum<'_>, tree: &mut dyn Tree) {
    match datum {
        Datum::Boolean(flag) => tree.flag(key, flag),
        Datum::Bits(bits, count) => write_bits(key, bits, count, tree),
        Datum::Integer(number) => tree.signed(key, number),
        Datum::Unsigned(number) => tree.unsigned(key, number),
        Datum::Float(number) => tree.float(key, number),
        Datum::BinaryTime(octets) => match binary_time(octets) {
            Some(time) => write_time(key, time, tree),
            None => tree.hex(key, octets),
        },
        Datum::Octets(octets) => tree.hex(key, octets),
        Datum::Text(text) => tree.octets(key, text),
        Datum::Utc(time, _) => write_time(key, time, tree),
    }
}

/// A time as seconds since 1970.
pub fn write_time(key: &'static str, time: Timestamp, tree: &mut dyn Tree) {
    tree.float(key, time.0 as f64 / 1e9);
}

/// Bits as text, the first bit first; long ones as hexadecimal digits.
pub fn write_bits(key: &'static str, bits: &[u8], count: usize, tree: &mut dyn Tree) {
    let mut text = [0; 64];
    let Some(digits) = text.get_mut(..count) else { return tree.hex(key, bits) };
    for (at, digit) in digits.iter_mut().enumerate() {
        let octet = bits.get(at / 8).copied().unwrap_or(0);
        *digit = b'0' + (octet >> (7 - at % 8) & 1);
    }
    tree.octets(key, digits);
}
