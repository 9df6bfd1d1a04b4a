//! Tagged data (ASHRAE 135 clause 20.2): what service parameters are made of.

use std::fmt::{self, Write as _};

use super::names;
use crate::field::name_of;
use crate::text::Line;

/// Sets of characters that are not UTF-8 (20.2.9). Of DBCS the code page would have to be known.
const UCS_4: u8 = 3;
const UCS_2: u8 = 4;
const LATIN_1: u8 = 5;

/// Longest text that is put into UTF-8, in bytes; what is longer is cut.
const LONGEST_TEXT: usize = 512;

/// What a tag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A primitive of the application type with this number (20.2.1.4).
    Application(u8),
    /// A parameter with this context number.
    Context(u8),
    /// Begins a constructed parameter with this context number.
    Opening(u8),
    /// Ends it.
    Closing(u8),
}

/// A tag and its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// What it is.
    pub(super) kind: Kind,
    /// Contents; of an application boolean, nothing: the value stands in [`Tag::flag`].
    pub(super) contents: &'a [u8],
    /// Value of an application boolean (20.2.3).
    pub(super) flag: bool,
    /// Where in the data it begins.
    pub(super) offset: usize,
}

/// The tags in some data, flat: constructed parameters show as their opening and closing tag. Ends at the first tag that
/// cannot be read; [`Tags::fault`] then says where.
#[derive(Debug, Clone)]
pub(super) struct Tags<'a> {
    data: &'a [u8],
    at: usize,
    fault: Option<usize>,
}

impl<'a> Tags<'a> {
    /// The tags in `data`.
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, fault: None }
    }

    /// Where the next tag begins.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Where the tag begins that could not be read.
    pub(super) const fn fault(&self) -> Option<usize> {
        self.fault
    }

    fn read(&self) -> Option<(Tag<'a>, usize)> {
        let offset = self.at;
        let mut at = offset;
        let mut octet = || {
            let octet = self.data.get(at).copied();
            at += 1;
            octet
        };
        let first = octet()?;
        let mut number = first >> 4;
        if number == 0x0f {
            number = octet()?;
        }
        let context = first & 0x08 != 0;
        let mut length = usize::from(first & 0x07);
        let mut flag = false;
        let kind = match (context, length) {
            (true, 6) => Kind::Opening(number),
            (true, 7) => Kind::Closing(number),
            (true, _) => Kind::Context(number),
            (false, _) => Kind::Application(number),
        };
        match kind {
            Kind::Opening(_) | Kind::Closing(_) => length = 0,
            Kind::Application(1) => {
                flag = length != 0;
                length = 0;
            }
            _ if length == 5 => {
                length = match octet()? {
                    254 => usize::from(u16::from_be_bytes([octet()?, octet()?])),
                    255 => u32::from_be_bytes([octet()?, octet()?, octet()?, octet()?]) as usize,
                    short => short.into(),
                };
            }
            // Application tags have no opening and closing.
            Kind::Application(_) if length > 5 => return None,
            _ => {}
        }
        let contents = self.data.get(at..)?.get(..length)?;
        Some((Tag { kind, contents, flag, offset }, at + length))
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        if self.at >= self.data.len() {
            return None;
        }
        match self.read() {
            Some((tag, end)) => {
                self.at = end;
                Some(tag)
            }
            None => {
                self.fault = Some(self.at);
                self.at = self.data.len();
                None
            }
        }
    }
}

/// A primitive value (20.2.2 to 20.2.14).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Primitive<'a> {
    /// Null: in a command it gives up the priority.
    Null,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Real(f64),
    Octets(&'a [u8]),
    Text(Text<'a>),
    /// Bits, most significant first, and how many of the last octet are none.
    Bits(&'a [u8], u8),
    Enumerated(u64),
    /// Year from 1900, month, day, day of the week; 255 each is any (20.2.12).
    Date([u8; 4]),
    /// Hour, minute, second, hundredths; 255 each is any (20.2.13).
    Time([u8; 4]),
    Object(Object),
}

/// Characters and the number of their set (20.2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    set: u8,
    pub(super) octets: &'a [u8],
}

/// An object identifier (20.2.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object {
    /// Type, 10 bits.
    pub(super) kind: u16,
    /// Instance, 22 bits; 4194303 stands for any.
    pub(super) instance: u32,
}

impl Object {
    /// `analog_output 101`; types without a name as `type_200`.
    pub(super) fn line(&self) -> Line<96> {
        let mut line = Line::new();
        match name_of(names::OBJECT_TYPES, self.kind.into()) {
            Some(name) => line.add(name),
            None => line.add("type_").number(self.kind),
        };
        line.add(" ").number(self.instance);
        line
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line().as_str())
    }
}

/// Types of application tags (20.2.1.4).
pub(super) mod application {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const BOOLEAN: u8 = 1;
    pub(crate) const UNSIGNED: u8 = 2;
    pub(crate) const SIGNED: u8 = 3;
    pub(crate) const REAL: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const OCTETS: u8 = 6;
    pub(crate) const TEXT: u8 = 7;
    pub(crate) const BITS: u8 = 8;
    pub(crate) const ENUMERATED: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const OBJECT: u8 = 12;
}

fn unsigned(contents: &[u8]) -> Option<u64> {
    (1..=8).contains(&contents.len()).then(|| contents.iter().fold(0, |number, &octet| number << 8 | u64::from(octet)))
}

fn signed(contents: &[u8]) -> Option<i64> {
    let bits = 64 - 8 * contents.len() as u32;
    unsigned(contents).map(|number| (number << bits) as i64 >> bits)
}

impl<'a> Primitive<'a> {
    /// Contents as those of an application tag of type `kind`; `None` when they do not have its form.
    pub(super) fn read(kind: u8, contents: &'a [u8]) -> Option<Self> {
        use application::*;
        Some(match kind {
            NULL => Self::Null,
            BOOLEAN => match contents {
                [flag @ (0 | 1)] => Self::Boolean(*flag == 1),
                _ => return None,
            },
            UNSIGNED => Self::Unsigned(unsigned(contents)?),
            SIGNED if contents.len() <= 8 => Self::Signed(signed(contents)?),
            REAL => Self::Real(f32::from_be_bytes(contents.try_into().ok()?).into()),
            DOUBLE => Self::Real(f64::from_be_bytes(contents.try_into().ok()?)),
            OCTETS => Self::Octets(contents),
            TEXT => {
                let (&set, octets) = contents.split_first()?;
                Self::Text(Text { set, octets })
            }
            BITS => {
                let (&unused, bits) = contents.split_first()?;
                if unused > 7 || (bits.is_empty() && unused > 0) {
                    return None;
                }
                Self::Bits(bits, unused)
            }
            ENUMERATED => Self::Enumerated(unsigned(contents)?),
            DATE => Self::Date(contents.try_into().ok()?),
            TIME => Self::Time(contents.try_into().ok()?),
            OBJECT => {
                let number = u32::from_be_bytes(contents.try_into().ok()?);
                Self::Object(Object { kind: (number >> 22) as u16, instance: number & 0x3f_ffff })
            }
            _ => return None,
        })
    }

    /// As the number that conditions compare.
    pub(super) fn number(&self) -> Option<f64> {
        match *self {
            Self::Boolean(flag) => Some(u8::from(flag).into()),
            Self::Unsigned(number) | Self::Enumerated(number) => Some(number as f64),
            Self::Signed(number) => Some(number as f64),
            Self::Real(number) => Some(number),
            _ => None,
        }
    }

    /// As a number without sign.
    pub(super) fn unsigned(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(number) | Self::Enumerated(number) => Some(number),
            _ => None,
        }
    }
}

impl Text<'_> {
    /// Hands out the text; what is not UTF-8 already is put into it, at most [`LONGEST_TEXT`] bytes of it.
    pub(super) fn with(&self, out: impl FnOnce(&[u8])) {
        let scalar = |number: u32| char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut line = Line::<LONGEST_TEXT>::of(format_args!(""));
        let mut put = |character| {
            let _ = line.write_char(character);
        };
        match self.set {
            UCS_2 => {
                let units = self.octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).for_each(|unit| put(unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            UCS_4 => self
                .octets
                .chunks_exact(4)
                .for_each(|quad| put(scalar(u32::from_be_bytes([quad[0], quad[1], quad[2], quad[3]])))),
            LATIN_1 => self.octets.iter().for_each(|octet| put(char::from(*octet))),
            _ => return out(self.octets),
        }
        out(line.as_str().as_bytes());
    }
}

impl<'a> Tag<'a> {
    /// The value of an application tag; `None` for other tags and for contents that are not of the type's form.
    pub(super) fn primitive(&self) -> Option<Primitive<'a>> {
        match self.kind {
            Kind::Application(application::BOOLEAN) => Some(Primitive::Boolean(self.flag)),
            Kind::Application(kind) => Primitive::read(kind, self.contents),
            _ => None,
        }
    }
}
