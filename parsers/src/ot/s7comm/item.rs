//! Addresses of variables, in every syntax, and the data that go with them.

use std::fmt;

use super::names;
use super::pdu::{dword, word};
use crate::field::{Value, name_of};
use crate::text::Line;

/// First byte of the specification of a variable.
const SPECIFICATION: u8 = 0x12;

const ANY: u8 = 0x10;
const PBC: u8 = 0x13;
const ALARM: std::ops::RangeInclusive<u8> = 0x15..=0x1c;
const NCK: std::ops::RangeInclusive<u8> = 0x82..=0x84;
const DRIVE: u8 = 0xa2;
const DB_READ: u8 = 0xb0;
const SYMBOLIC: u8 = 0xb2;

/// Areas whose addresses are numbers of timers or counters.
const NUMBERED: [u8; 4] = [0x1c, 0x1d, 0x1e, 0x1f];
const DATA_BLOCK: u8 = 0x84;
const INSTANCE_DATA_BLOCK: u8 = 0x85;

/// First word of a symbolic address in a data block.
const SYMBOLIC_DB: u16 = 0x8a0e;

/// One specification of a variable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) syntax: u8,
    pub(super) address: Address<'a>,
}

/// What is addressed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Address<'a> {
    /// An area, in bytes and bits or by number.
    Any(Any),
    /// Parts of data blocks, five bytes each: length, block, first byte.
    Blocks(&'a [u8]),
    /// A symbol of an S7-1200: where it is looked for, and the numbers of the path to it.
    Symbolic { root: u16, sub_area: u16, path: &'a [u8] },
    /// A variable of a numeric control.
    Nck { area: u8, unit: u8, column: u16, line: u16, module: u8, lines: u8 },
    /// A parameter of a drive.
    Drive { object: u16, parameter: u16, index: u16 },
    /// The identifier that both ends of a block transfer share.
    Pbc { r_id: u32 },
    /// An alarm by its number.
    Alarm { event: u32 },
    /// A syntax that is not known, or cut off.
    Unknown,
}

/// An address of the syntax S7ANY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Any {
    pub(super) transport: u8,
    pub(super) count: u16,
    pub(super) db: u16,
    pub(super) area: u8,
    /// In bits; of timers and counters, the number.
    pub(super) start: u32,
}

impl Any {
    /// First byte, or number of the timer or counter.
    pub(super) fn byte(&self) -> u32 {
        if NUMBERED.contains(&self.area) { self.start } else { self.start >> 3 }
    }

    /// Bit of that byte.
    pub(super) fn bit(&self) -> u32 {
        if NUMBERED.contains(&self.area) { 0 } else { self.start & 7 }
    }

    /// The block addressed, where the area is one of blocks.
    pub(super) fn block(&self) -> Option<u16> {
        matches!(self.area, DATA_BLOCK | INSTANCE_DATA_BLOCK).then_some(self.db)
    }
}

/// Specifications of variables one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Items<'a> {
    /// `count` of them.
    pub(super) fn new(bytes: &'a [u8], count: u8) -> Self {
        Self { rest: bytes, left: count.into() }
    }

    /// None.
    pub(super) const NONE: Self = Self { rest: &[], left: 0 };

    /// How many are missing or not readable once those that are have been taken, and the bytes behind them.
    pub(super) fn remainder(mut self) -> (usize, &'a [u8]) {
        self.by_ref().for_each(drop);
        (self.left, self.rest)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 {
            return None;
        }
        let (&[SPECIFICATION, length], rest) = self.rest.split_first_chunk()? else { return None };
        let (item, rest) = rest.split_at_checked(length.into())?;
        self.left -= 1;
        // Items begin at even offsets.
        let fill = usize::from(length % 2 == 1 && self.left > 0);
        self.rest = rest.get(fill..).unwrap_or_default();
        let (&syntax, body) = item.split_first()?;
        Some(Item { syntax, address: address(syntax, body) })
    }
}

fn address(syntax: u8, body: &[u8]) -> Address<'_> {
    match (syntax, body) {
        (ANY, &[transport, c1, c0, d1, d0, area, a2, a1, a0, ..]) => Address::Any(Any {
            transport,
            count: u16::from_be_bytes([c1, c0]),
            db: u16::from_be_bytes([d1, d0]),
            area,
            start: u32::from_be_bytes([0, a2, a1, a0]),
        }),
        (DB_READ, &[count, ref parts @ ..]) => Address::Blocks(parts.get(..usize::from(count) * 5).unwrap_or(parts)),
        (SYMBOLIC, &[_, r1, r0, s1, s0, _, _, _, _, ref path @ ..]) => {
            Address::Symbolic { root: u16::from_be_bytes([r1, r0]), sub_area: u16::from_be_bytes([s1, s0]), path }
        }
        (syntax, &[first, c1, c0, l1, l0, module, lines, ..]) if NCK.contains(&syntax) => Address::Nck {
            area: first >> 5,
            unit: first & 0x1f,
            column: u16::from_be_bytes([c1, c0]),
            line: u16::from_be_bytes([l1, l0]),
            module,
            lines,
        },
        (DRIVE, &[_, _, _, o1, o0, p1, p0, i1, i0, ..]) => Address::Drive {
            object: u16::from_be_bytes([o1, o0]),
            parameter: u16::from_be_bytes([p1, p0]),
            index: u16::from_be_bytes([i1, i0]),
        },
        (PBC, [_, id @ ..]) if id.len() >= 4 => Address::Pbc { r_id: dword(id, 0).unwrap_or_default() },
        (syntax, [_, id @ ..]) if ALARM.contains(&syntax) && id.len() >= 4 => {
            Address::Alarm { event: dword(id, 0).unwrap_or_default() }
        }
        _ => Address::Unknown,
    }
}

impl Any {
    /// The address as STEP 7 writes it: `DB1.DBW4`, `M10.3`, `P#DB1.DBX0.0 BYTE 64`, `T5`.
    pub(super) fn line(&self) -> Line<64> {
        let Self { count, db, .. } = *self;
        let (byte, bit) = (self.byte(), self.bit());
        let letter = match self.area {
            0x03 => "SI",
            0x05 => "SM",
            0x06 => "AI",
            0x07 => "AQ",
            0x1c | 0x1e => "C",
            0x1d | 0x1f => "T",
            0x80 => "P",
            0x81 => "I",
            0x82 => "Q",
            0x83 => "M",
            0x84 => "DB",
            0x85 => "DI",
            0x86 => "L",
            0x87 => "V",
            other => return Line::of(format_args!("area {other} {db} {byte}.{bit}")),
        };
        let mut line = Line::new();
        if NUMBERED.contains(&self.area) {
            line.add(letter).number(byte);
            if let more @ 1.. = u32::from(count).saturating_sub(1) {
                line.add("-").number(byte + more);
            }
            return line;
        }
        let block = self.block().is_some();
        let size = match self.transport {
            0x01 => Some("X"),
            0x02 | 0x03 => Some("B"),
            0x04 | 0x05 | 0x09 | 0x0c => Some("W"),
            0x06..=0x08 | 0x0a | 0x0b => Some("D"),
            _ => None,
        };
        // One element has a short form, where it begins on a whole byte or is a bit; else it is a pointer.
        let size = size.filter(|size| count <= 1 && (bit == 0 || *size == "X"));
        line.add(if size.is_none() { "P#" } else { "" });
        line.add(letter);
        if block {
            line.number(db).add(".").add(letter).add(size.unwrap_or("X"));
        } else {
            line.add(size.filter(|size| *size != "X").unwrap_or_default());
        }
        line.number(byte);
        if matches!(size, None | Some("X")) {
            line.add(".").number(bit);
        }
        if size.is_none() {
            let name = name_of(names::TRANSPORT_SIZES, self.transport.into()).unwrap_or("unknown");
            line.add(" ").capitals(name).add(" ").number(count);
        }
        line
    }
}

impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line().as_str())
    }
}

/// Text in capitals.
struct Upper(&'static str);

impl fmt::Display for Upper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| fmt::Write::write_char(f, letter.to_ascii_uppercase()))
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any(any) => any.fmt(f),
            Self::Blocks(parts) => {
                for (at, part) in parts.as_chunks::<5>().0.iter().enumerate() {
                    let [length, d1, d0, s1, s0] = *part;
                    let (db, start) = (u16::from_be_bytes([d1, d0]), u16::from_be_bytes([s1, s0]));
                    let separator = if at > 0 { " " } else { "" };
                    write!(f, "{separator}P#DB{db}.DBX{start}.0 BYTE {length}")?;
                }
                Ok(())
            }
            Self::Symbolic { root, sub_area, path } => {
                match (root, sub_area) {
                    (SYMBOLIC_DB, db) => write!(f, "DB{db}")?,
                    (0, 0x50) => write!(f, "I")?,
                    (0, 0x51) => write!(f, "Q")?,
                    (0, 0x52) => write!(f, "M")?,
                    (0, 0x53) => write!(f, "C")?,
                    (0, 0x54) => write!(f, "T")?,
                    _ => write!(f, "area {root:04x} {sub_area}")?,
                }
                lids(path).try_for_each(|lid| write!(f, ".{lid}"))
            }
            Self::Nck { area, unit, column, line, module, lines } => {
                let area = name_of(names::NCK_AREAS, area.into()).unwrap_or_default();
                write!(f, "NCK {}{unit} module {module} column {column} line {line}", Upper(area))?;
                if lines > 1 { write!(f, " lines {lines}") } else { Ok(()) }
            }
            Self::Drive { object, parameter, index } => write!(f, "drive {object} p{parameter}[{index}]"),
            Self::Pbc { r_id } => write!(f, "R_ID {r_id:08X}"),
            Self::Alarm { event } => write!(f, "alarm {event:08X}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Local identifiers of a symbol's path, without the flags in their highest four bits.
pub(super) fn lids(path: &[u8]) -> impl Iterator<Item = u32> + '_ {
    path.as_chunks::<4>().0.iter().map(|lid| u32::from_be_bytes(*lid) & 0x0fff_ffff)
}

/// The result or the data of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datum<'a> {
    pub(super) return_code: u8,
    pub(super) transport: u8,
    pub(super) bytes: &'a [u8],
}

/// Data of items one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'a> {
    rest: &'a [u8],
    left: usize,
    /// Of each item the return code only: the answer to a write.
    codes_only: bool,
}

impl<'a> Data<'a> {
    /// `count` of them.
    pub(super) fn new(bytes: &'a [u8], count: u8) -> Self {
        Self { rest: bytes, left: count.into(), codes_only: false }
    }

    /// `count` return codes.
    pub(super) fn codes(bytes: &'a [u8], count: u8) -> Self {
        Self { codes_only: true, ..Self::new(bytes, count) }
    }

    /// None.
    pub(super) const NONE: Self = Self { rest: &[], left: 0, codes_only: false };

    /// As [`Items::remainder`].
    pub(super) fn remainder(mut self) -> (usize, &'a [u8]) {
        self.by_ref().for_each(drop);
        (self.left, self.rest)
    }
}

impl<'a> Iterator for Data<'a> {
    type Item = Datum<'a>;

    fn next(&mut self) -> Option<Datum<'a>> {
        if self.left == 0 {
            return None;
        }
        if self.codes_only {
            let (&return_code, rest) = self.rest.split_first()?;
            self.left -= 1;
            self.rest = rest;
            return Some(Datum { return_code, transport: 0, bytes: &[] });
        }
        let (&[return_code, transport, l1, l0], rest) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        let length = match transport {
            // What failed has no data, whatever length some devices put there.
            0 => 0,
            // Bits, bytes and integers are counted in bits, the rest in bytes.
            3..=5 => length.div_ceil(8),
            _ => length,
        };
        let (bytes, rest) = rest.split_at_checked(length)?;
        self.left -= 1;
        let fill = usize::from(length % 2 == 1 && self.left > 0);
        self.rest = rest.get(fill..).unwrap_or_default();
        Some(Datum { return_code, transport, bytes })
    }
}

/// Bytes of one variable of this type; `None` of types that have no number.
fn size(transport: u8) -> Option<usize> {
    Some(match transport {
        0x01..=0x03 => 1,
        0x04 | 0x05 | 0x09 | 0x0c | 0x1c | 0x1d => 2,
        0x06..=0x08 | 0x0a | 0x0b => 4,
        _ => return None,
    })
}

/// The values of variables of this type that stand in these bytes.
pub(super) fn values(transport: u8, bytes: &[u8]) -> impl Iterator<Item = Value<'static>> + '_ {
    let size = size(transport);
    bytes.chunks_exact(size.unwrap_or(1)).filter(move |_| size.is_some()).map(move |bytes| number(transport, bytes))
}

/// The value, where there is just one.
pub(super) fn single(mut values: impl Iterator<Item = Value<'static>>) -> Option<Value<'static>> {
    values.next().filter(|_| values.next().is_none())
}

fn number(transport: u8, bytes: &[u8]) -> Value<'static> {
    let double = || dword(bytes, 0).unwrap_or_default();
    let single = || word(bytes, 0).unwrap_or_default();
    match (transport, bytes) {
        (0x01, [bit]) => Value::Unsigned((bit & 1).into()),
        (_, [byte]) => Value::Unsigned((*byte).into()),
        (0x05, _) => Value::Signed(single().cast_signed().into()),
        (0x07 | 0x0b, _) => Value::Signed(double().cast_signed().into()),
        (0x08, _) => Value::Float(f32::from_bits(double()).into()),
        (_, [_, _]) => Value::Unsigned(single().into()),
        _ => Value::Unsigned(double().into()),
    }
}
