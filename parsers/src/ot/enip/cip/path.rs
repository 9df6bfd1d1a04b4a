//! Paths: where a CIP service is addressed to, as segments (CIP Networks Library volume 1, appendix C-1).

use std::fmt;

use super::super::read::{octet, udint, uint};
use super::names;
use crate::field::name_of;
use crate::text::Line;

/// One segment of a padded path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// A port of the node and the address of the next node behind it (C-1.4.1).
    Port { port: u16, address: &'a [u8] },
    /// A number of an object model's part (C-1.4.2).
    Logical { kind: Logical, value: u32 },
    /// Electronic key: vendor, device type, product code and revision that the device must have (C-1.4.2).
    Key(&'a [u8]),
    /// Network segment: schedule, production inhibit time and the like (C-1.4.3).
    Network { kind: u8, data: &'a [u8] },
    /// Symbolic segment, or the ANSI extended symbol of a tag (C-1.4.4, C-1.4.5.2).
    Symbol(&'a [u8]),
    /// Simple data segment: configuration for the target (C-1.4.5.1).
    Data(&'a [u8]),
}

/// What a logical segment numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Logical {
    Class = 0,
    Instance = 1,
    Member = 2,
    ConnectionPoint = 3,
    Attribute = 4,
    Service = 6,
}

impl Logical {
    /// Its name in events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Instance => "instance",
            Self::Member => "member",
            Self::ConnectionPoint => "connection_point",
            Self::Attribute => "attribute",
            Self::Service => "service",
        }
    }
}

/// The segments of a path, as far as they can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Path<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Path<'a> {
    pub(crate) fn segments(self) -> Segments<'a> {
        Segments { rest: self.bytes }
    }

    /// Can all of it be read?
    pub(crate) fn is_sound(self) -> bool {
        let mut segments = self.segments();
        segments.by_ref().for_each(drop);
        segments.rest.is_empty()
    }

    /// The numbers of one kind, in order.
    pub(crate) fn numbers(self, wanted: Logical) -> impl Iterator<Item = u32> + use<'a> {
        self.segments().filter_map(move |segment| match segment {
            Segment::Logical { kind, value } if kind == wanted => Some(value),
            _ => None,
        })
    }

    pub(crate) fn first(self, wanted: Logical) -> Option<u32> {
        self.numbers(wanted).next()
    }

    /// The class that a service is of: the last named.
    pub(crate) fn class(self) -> Option<u32> {
        self.numbers(Logical::Class).last()
    }

    /// The parts of a tag's name.
    pub(crate) fn symbols(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.segments().filter_map(|segment| match segment {
            Segment::Symbol(name) => Some(name),
            _ => None,
        })
    }

    pub(crate) fn is_symbolic(self) -> bool {
        self.symbols().next().is_some()
    }
}

/// As an engineer writes it: `Pump1.Speed[3]` of a tag, else `identity 1 attribute 7`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbolic = self.is_symbolic();
        let mut begun = false;
        let mut class = None;
        for segment in self.segments() {
            match segment {
                Segment::Symbol(name) => {
                    if begun {
                        f.write_str(".")?;
                    }
                    for run in name.split_inclusive(|byte| !byte.is_ascii_graphic()) {
                        printable(run, f)?;
                    }
                }
                Segment::Logical { kind: Logical::Member, value } => number(f, "[", value, "]")?,
                Segment::Logical { kind, value } if !symbolic => {
                    if begun {
                        f.write_str(" ")?;
                    }
                    match kind {
                        Logical::Class => {
                            class = Some(value);
                            match name_of(names::CLASSES, value.into()) {
                                Some(name) => f.write_str(name)?,
                                None => number(f, "class ", value, "")?,
                            }
                        }
                        Logical::Instance if class.is_some() => number(f, "", value, "")?,
                        Logical::Instance => number(f, "instance ", value, "")?,
                        Logical::ConnectionPoint => number(f, "connection point ", value, "")?,
                        Logical::Attribute => number(f, "attribute ", value, "")?,
                        Logical::Service => number(f, "service ", value, "")?,
                        Logical::Member => {}
                    }
                }
                _ => continue,
            }
            begun = true;
        }
        Ok(())
    }
}

/// A number between two pieces of text.
fn number(f: &mut fmt::Formatter<'_>, before: &str, number: u32, behind: &str) -> fmt::Result {
    f.write_str(Line::<40>::new().add(before).number(number).add(behind).as_str())
}

/// A run of printable characters, which may end with one that is none.
fn printable(run: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (text, odd) = match run {
        [text @ .., last] if !last.is_ascii_graphic() => (text, "?"),
        _ => (run, ""),
    };
    f.write_str(std::str::from_utf8(text).unwrap_or_default())?;
    f.write_str(odd)
}

#[derive(Debug, Clone)]
pub(crate) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    #[inline]
    fn next(&mut self) -> Option<Segment<'a>> {
        // Nearly all segments are logical ones of one octet.
        if let [kind, value, rest @ ..] = self.rest
            && kind & 0xe3 == 0x20
            && let Some(kind) = logical_kind(*kind)
        {
            self.rest = rest;
            return Some(Segment::Logical { kind, value: (*value).into() });
        }
        self.longer()
    }
}

impl<'a> Segments<'a> {
    /// The next segment, if it is not a logical one of one octet.
    fn longer(&mut self) -> Option<Segment<'a>> {
        let kind = octet(self.rest, 0)?;
        let (segment, length) = match kind >> 5 {
            0 => port(self.rest)?,
            1 => logical(self.rest)?,
            2 => network(self.rest)?,
            3 => symbol(self.rest)?,
            4 => data(self.rest)?,
            // Data types and reserved segments address nothing.
            _ => return None,
        };
        self.rest = self.rest.get(length..)?;
        Some(segment)
    }
}

type Read<'a> = Option<(Segment<'a>, usize)>;

fn even(length: usize) -> usize {
    length.next_multiple_of(2)
}

fn port(bytes: &[u8]) -> Read<'_> {
    let kind = octet(bytes, 0)?;
    let extended = kind & 0x10 != 0;
    let mut at = 1;
    let size = if extended {
        at += 1;
        usize::from(octet(bytes, 1)?)
    } else {
        1
    };
    let port = match kind & 0x0f {
        0x0f => {
            at += 2;
            uint(bytes, at - 2)?
        }
        port => port.into(),
    };
    let address = bytes.get(at..at + size)?;
    Some((Segment::Port { port, address }, if extended { even(at + size) } else { at + size }))
}

fn logical(bytes: &[u8]) -> Read<'_> {
    const ELECTRONIC_KEY: u8 = 0x34;
    let kind = octet(bytes, 0)?;
    if kind == ELECTRONIC_KEY {
        // Key format 4 has eight octets; another format says so itself.
        let length = if octet(bytes, 1)? == 4 { 10 } else { return None };
        return Some((Segment::Key(bytes.get(2..length)?), length));
    }
    let (value, length) = match kind & 3 {
        0 => (octet(bytes, 1)?.into(), 2),
        1 => (uint(bytes, 2)?.into(), 4),
        2 => (udint(bytes, 2)?, 6),
        _ => return None,
    };
    Some((Segment::Logical { kind: logical_kind(kind)?, value }, length))
}

fn logical_kind(kind: u8) -> Option<Logical> {
    Some(match kind >> 2 & 7 {
        0 => Logical::Class,
        1 => Logical::Instance,
        2 => Logical::Member,
        3 => Logical::ConnectionPoint,
        4 => Logical::Attribute,
        6 => Logical::Service,
        _ => return None,
    })
}

fn network(bytes: &[u8]) -> Read<'_> {
    let kind = octet(bytes, 0)?;
    let length = if kind & 0x10 == 0 { 2 } else { 2 + 2 * usize::from(octet(bytes, 1)?) };
    let from = if kind & 0x10 == 0 { 1 } else { 2 };
    Some((Segment::Network { kind: kind & 0x1f, data: bytes.get(from..length)? }, length))
}

fn symbol(bytes: &[u8]) -> Read<'_> {
    let size = usize::from(octet(bytes, 0)? & 0x1f);
    if size > 0 {
        return Some((Segment::Symbol(bytes.get(1..1 + size)?), even(1 + size)));
    }
    // Extended string: two or three octets a character, or a number.
    let format = octet(bytes, 1)?;
    let count = usize::from(format & 0x1f);
    let size = match format >> 5 {
        1 => 2 * count,
        2 => 3 * count,
        6 => match count {
            6 => 1,
            7 => 2,
            8 => 4,
            _ => return None,
        },
        _ => return None,
    };
    Some((Segment::Symbol(bytes.get(2..2 + size)?), even(2 + size)))
}

fn data(bytes: &[u8]) -> Read<'_> {
    const SIMPLE: u8 = 0x80;
    const ANSI_EXTENDED_SYMBOL: u8 = 0x91;
    let size = usize::from(octet(bytes, 1)?);
    match octet(bytes, 0)? {
        SIMPLE => Some((Segment::Data(bytes.get(2..2 + 2 * size)?), 2 + 2 * size)),
        ANSI_EXTENDED_SYMBOL => {
            // The pad octet is left out by some at the end of a path.
            let name = bytes.get(2..2 + size)?;
            Some((Segment::Symbol(name), even(2 + size).min(bytes.len())))
        }
        _ => None,
    }
}
