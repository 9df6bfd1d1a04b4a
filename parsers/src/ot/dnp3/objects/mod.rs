//! Object headers and the points under them (IEEE 1815-2012 §4.2.2): iterators over a fragment's octets that
//! allocate nothing.

pub mod layout;

use super::application::Fragment;
use layout::{Layout, little_endian};

/// One piece of an object's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum<'a> {
    /// Unsigned number or bit field.
    Unsigned(u64),
    /// Signed number.
    Signed(i64),
    /// Number with a fraction.
    Float(f64),
    /// Milliseconds since 1970-01-01T00:00:00 UTC.
    Milliseconds(u64),
    /// Characters, of an encoding that nothing guarantees.
    Text(&'a [u8]),
    /// Octets.
    Octets(&'a [u8]),
}

impl Datum<'_> {
    /// The number, whichever its type.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(number as f64),
            Self::Signed(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            Self::Milliseconds(_) | Self::Text(_) | Self::Octets(_) => None,
        }
    }
}

/// Something in the objects that the standard does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Name of the anomaly.
    pub kind: &'static str,
    /// Where in the fragment.
    pub offset: usize,
}

/// How each point is prefixed: octets of the prefix by prefix code (§4.2.2).
const PREFIX_OCTETS: [u8; 8] = [0, 1, 2, 4, 1, 2, 4, 0];

/// An object header and the octets of its points.
#[derive(Debug, Clone, Copy)]
pub struct ObjectHeader<'a> {
    /// Object group.
    pub group: u8,
    /// Variation.
    pub variation: u8,
    /// Qualifier octet: prefix code and range specifier code.
    pub qualifier: u8,
    /// First index of a range; 0 when the header gives none.
    pub start: u32,
    /// Last index of a range; 0 when the header gives none.
    pub stop: u32,
    /// Number of points; 0 for "all".
    pub count: u64,
    /// Where in the fragment the header begins.
    pub offset: usize,
    /// Values stand in the fragment, not only indexes.
    values: bool,
    /// The points, as far as the fragment holds them.
    points: &'a [u8],
}

impl<'a> ObjectHeader<'a> {
    /// Prefix code: what stands before each point.
    pub const fn prefix_code(&self) -> u8 {
        self.qualifier >> 4 & 7
    }

    /// Range specifier code: how the points are told.
    pub const fn range_code(&self) -> u8 {
        self.qualifier & 0x0f
    }

    /// Group and variation in one number, as `dnp3_obj` compares them.
    pub const fn object(&self) -> u16 {
        (self.group as u16) << 8 | self.variation as u16
    }

    /// True when the header gives first and last index.
    pub const fn has_range(&self) -> bool {
        self.range_code() <= 5
    }

    const fn index_prefixed(&self) -> bool {
        matches!(self.prefix_code(), 1..=3)
    }

    const fn size_prefixed(&self) -> bool {
        matches!(self.prefix_code(), 4..=6)
    }

    fn prefix_octets(&self) -> u8 {
        PREFIX_OCTETS[usize::from(self.prefix_code())]
    }

    /// The points that stand in the fragment: none where a request only names a range.
    pub fn points(&self) -> Points<'a> {
        self.points_in(self.points)
    }

    fn points_in(&self, octets: &'a [u8]) -> Points<'a> {
        Points { header: *self, layout: self.layout(), extent: self.extent(), octets, number: 0, first_bit: 0 }
    }

    fn extent(&self) -> Extent {
        if self.size_prefixed() {
            return Extent::Prefixed;
        }
        if !self.values {
            return Extent::Octets(0);
        }
        let parts = match self.layout() {
            Some(Layout::Nothing) => return Extent::Octets(0),
            Some(Layout::Packed { bits, .. }) if !self.index_prefixed() => return Extent::Bits(bits),
            Some(Layout::Packed { .. }) => return Extent::Octets(1),
            Some(Layout::Parts(parts)) => parts,
            None => return Extent::Unknown,
        };
        match layout::fixed_size(parts, self.variation) {
            Some(size) => Extent::Octets(size),
            None if layout::needs_size(parts) => Extent::Unknown,
            None => Extent::Variable(parts),
        }
    }

    /// Octets that the points take of `rest`; with fewer than `count` points there, how far the whole ones go.
    fn length_of_points(&self, rest: &'a [u8]) -> Result<usize, usize> {
        let prefix = usize::from(self.prefix_octets());
        let all = |size: u64| match usize::try_from(self.count.saturating_mul(size)) {
            Ok(length) if length <= rest.len() => Ok(length),
            _ => Err(rest.len()),
        };
        match self.extent() {
            Extent::Unknown => Err(0),
            Extent::Octets(size) => all((prefix + size) as u64),
            Extent::Bits(bits) => {
                let length = self.count.saturating_mul(bits.into()).div_ceil(8);
                usize::try_from(length).ok().filter(|&length| length <= rest.len()).ok_or(rest.len())
            }
            Extent::Prefixed | Extent::Variable(_) => {
                let mut points = self.points_in(rest);
                let whole = points.by_ref().fold(0u64, |whole, _| whole + 1);
                let length = rest.len() - points.octets.len();
                if whole == self.count { Ok(length) } else { Err(length) }
            }
        }
    }
}

/// How the value of a point is delimited.
#[derive(Debug, Clone, Copy)]
enum Extent {
    /// So many octets after the prefix.
    Octets(usize),
    /// So many bits, packed.
    Bits(u8),
    /// As many octets as the prefix says.
    Prefixed,
    /// The value itself tells.
    Variable(&'static [layout::Part]),
    /// Nothing tells.
    Unknown,
}

/// The object headers of a fragment. It ends at the end of the fragment or at the first header after which nothing more
/// can be delimited; [`Headers::fault`] then says why. Nothing is cut: the work is linear in the fragment's octets,
/// which are bounded.
#[derive(Clone)]
pub struct Headers<'a> {
    fragment: Fragment<'a>,
    at: usize,
    fault: Option<Fault>,
}

impl<'a> Headers<'a> {
    pub(super) fn new(fragment: Fragment<'a>, at: usize) -> Self {
        Self { fragment, at, fault: None }
    }

    /// What ended the headers before the fragment's end.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn stop(&mut self, kind: &'static str, offset: usize) {
        self.fault = Some(Fault { kind, offset });
        self.at = self.fragment.octets.len();
    }

    /// Reads the range field: start, stop, count and its length; `None` when it is cut off.
    fn range(code: u8, octets: &[u8]) -> Option<(u32, u32, u64, usize)> {
        let number = |at: usize, size: u8| little_endian(octets.get(at..)?, size);
        let (size, pair) = match code {
            0 | 3 => (1, true),
            1 | 4 => (2, true),
            2 | 5 => (4, true),
            7 | 0xb => (1, false),
            8 => (2, false),
            9 => (4, false),
            _ => return Some((0, 0, 0, 0)),
        };
        if !pair {
            return Some((0, 0, number(0, size)?, size.into()));
        }
        let (start, stop) = (number(0, size)?, number(size.into(), size)?);
        Some((start as u32, stop as u32, (stop + 1).saturating_sub(start), 2 * usize::from(size)))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = ObjectHeader<'a>;

    fn next(&mut self) -> Option<ObjectHeader<'a>> {
        let offset = self.at;
        let rest = self.fragment.octets.get(offset..).filter(|rest| !rest.is_empty())?;
        let Some(&[group, variation, qualifier]) = rest.first_chunk::<3>() else {
            self.stop("truncated_object", offset);
            return None;
        };
        let rest = &rest[3..];
        let mut header = ObjectHeader {
            group,
            variation,
            qualifier,
            start: 0,
            stop: 0,
            count: 0,
            offset,
            values: self.fragment.carries_values(group),
            points: &[],
        };
        // Reserved codes: how much follows is anyone's guess.
        if qualifier & 0x80 != 0 || header.prefix_code() == 7 || matches!(header.range_code(), 0xa | 0xc..) {
            self.stop("invalid_qualifier", offset + 2);
            return Some(header);
        }
        let Some((start, stop, count, range)) = Self::range(header.range_code(), rest) else {
            self.stop("truncated_object", offset + 3);
            return Some(header);
        };
        (header.start, header.stop, header.count) = (start, stop, count);
        if header.has_range() && count == 0 {
            self.stop("invalid_range", offset + 3);
            return Some(header);
        }
        let rest = rest.get(range..).unwrap_or_default();
        match header.length_of_points(rest) {
            Ok(length) => {
                header.points = &rest[..length];
                self.at = offset + 3 + range + length;
            }
            Err(whole) => {
                header.points = &rest[..whole];
                let unknown = matches!(header.extent(), Extent::Unknown);
                self.stop(if unknown { "unknown_object" } else { "truncated_object" }, offset);
            }
        }
        Some(header)
    }
}

impl ObjectHeader<'_> {
    /// True when the standard, as known here, has no such object.
    pub fn is_unknown(&self) -> bool {
        self.layout().is_none()
    }

    fn layout(&self) -> Option<Layout> {
        layout::layout(self.group, self.variation)
    }

    /// True when values are announced of variation 0, which only a request for values can name.
    pub fn values_of_any(&self) -> bool {
        self.values && self.variation == 0 && !self.is_unknown()
    }

    /// Points that stand in the fragment as the header counts them; 0 where it only names a range.
    pub fn listed(&self) -> u64 {
        if self.points.is_empty() { 0 } else { self.count }
    }
}

/// The points under an object header.
#[derive(Clone)]
pub struct Points<'a> {
    header: ObjectHeader<'a>,
    layout: Option<Layout>,
    extent: Extent,
    octets: &'a [u8],
    number: u64,
    /// Of packed points: the bit of the next one in the first octet.
    first_bit: u8,
}

/// One point.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The prefix: an index or a size; 0 when points have none.
    pub prefix: u32,
    /// The point's index, counted from the range's start or 0 when the prefix does not give it.
    pub index: u32,
    /// Size of the value, when the prefix gives it.
    pub size: Option<u32>,
    variation: u8,
    layout: Option<Layout>,
    octets: &'a [u8],
    bit: u8,
}

impl<'a> Iterator for Points<'a> {
    type Item = Point<'a>;

    fn next(&mut self) -> Option<Point<'a>> {
        if self.number >= self.header.count || self.octets.is_empty() {
            return None;
        }
        let width = self.header.prefix_octets();
        let prefix = little_endian(self.octets, width)? as u32;
        let value = &self.octets[usize::from(width)..];
        let (octets, bit, taken) = match self.extent {
            Extent::Bits(bits) => {
                let bit = self.first_bit;
                self.first_bit = (bit + bits) % 8;
                (value.get(..1)?, bit, usize::from(self.first_bit == 0))
            }
            Extent::Octets(size) => (value.get(..size)?, 0, size),
            Extent::Prefixed => (value.get(..prefix as usize)?, 0, prefix as usize),
            Extent::Variable(parts) => {
                let size = layout::read(parts, self.header.variation, value, &mut |_, _| {})?;
                (value.get(..size)?, 0, size)
            }
            Extent::Unknown => return None,
        };
        self.octets = &value[taken..];
        let counted = self.header.start.wrapping_add(self.number as u32);
        self.number += 1;
        Some(Point {
            prefix,
            index: if self.header.index_prefixed() { prefix } else { counted },
            size: self.header.size_prefixed().then_some(prefix),
            variation: self.header.variation,
            layout: self.layout,
            octets,
            bit,
        })
    }
}

impl<'a> Point<'a> {
    /// Hands the parts of the value to `visit`; nothing where the point is only named.
    pub fn parts(&self, visit: &mut dyn FnMut(&'static str, Datum<'a>)) {
        if self.octets.is_empty() {
            return;
        }
        match self.layout {
            Some(Layout::Packed { name, bits }) => {
                let octet = self.octets.first().copied().unwrap_or(0);
                visit(name, Datum::Unsigned(u64::from(octet >> self.bit & ((1 << bits) - 1))));
            }
            Some(Layout::Parts(parts)) => {
                layout::read(parts, self.variation, self.octets, visit);
            }
            Some(Layout::Nothing) | None => visit("data", Datum::Octets(self.octets)),
        }
    }
}
