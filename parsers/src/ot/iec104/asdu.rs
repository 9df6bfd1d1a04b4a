//! Application service data units: the data unit identifier and the information objects (101 §7.2).

use super::element::{self, Part};
use super::names;
use crate::dissector::Direction;

/// Octets of the fields whose sizes are a matter of the station's settings (101 §7.2.3 to §7.2.5), two bits each: every flow
/// that is being detected has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes(u8);

impl Sizes {
    /// What 60870-5-104 prescribes.
    pub(super) const DEFAULT: Self = Self::new(2, 2, 3);

    /// The standard's, the usual ones of lines carried over TCP, then the others, the likelier first.
    pub(super) const ALL: [Self; 12] = [
        Self::DEFAULT,
        Self::new(1, 1, 2),
        Self::new(2, 2, 2),
        Self::new(1, 2, 2),
        Self::new(2, 1, 2),
        Self::new(1, 2, 3),
        Self::new(2, 1, 3),
        Self::new(1, 1, 3),
        Self::new(1, 1, 1),
        Self::new(1, 2, 1),
        Self::new(2, 1, 1),
        Self::new(2, 2, 1),
    ];

    /// Octets of the cause of transmission (2 with the originator address, 1 without), of the common address (1 or 2) and of
    /// information object addresses (1 to 3). None of them is taken for 1.
    pub const fn new(cause: u8, common: u8, object: u8) -> Self {
        const fn bits(octets: u8) -> u8 {
            if octets & 3 == 0 { 1 } else { octets & 3 }
        }
        Self(bits(cause) << 4 | bits(common) << 2 | bits(object))
    }

    /// Octets of the cause of transmission.
    pub(super) fn cause(self) -> usize {
        usize::from(self.0 >> 4)
    }

    fn common(self) -> usize {
        usize::from(self.0 >> 2 & 3)
    }

    fn object(self) -> usize {
        usize::from(self.0 & 3)
    }

    /// Octets of the data unit identifier: type, variable structure qualifier, cause and common address.
    fn identifier(self) -> usize {
        2 + self.cause() + self.common()
    }
}

/// Which sizes suit the ASDUs of a flow so far.
pub(super) struct Suited {
    /// Stated by who knows the station: nothing is to be found.
    stated: Option<Sizes>,
    /// One bit for each of [`Sizes::ALL`].
    possible: u16,
    /// ASDUs that they all suit, up to [`Self::SURE`].
    asdus: u8,
}

impl Suited {
    /// ASDUs in a row that make other sizes than the two usual ones believable, and a contradiction an error.
    const SURE: u8 = 2;

    pub(super) fn new(stated: Option<Sizes>) -> Self {
        Self { stated, possible: 1, asdus: 0 }
    }

    /// The sizes to read the flow's ASDUs with.
    pub(super) fn sizes(&self) -> Sizes {
        if let Some(stated) = self.stated {
            return stated;
        }
        let usual = self.possible & 3 != 0 || self.asdus >= Self::SURE;
        let first = if usual { self.possible.trailing_zeros() as usize } else { 0 };
        Sizes::ALL.get(first).copied().unwrap_or(Sizes::DEFAULT)
    }

    /// Learns from an ASDU, and reads it. `None` when it is too short for any sizes.
    pub(super) fn read<'a>(&mut self, octets: &'a [u8]) -> Option<Asdu<'a>> {
        let usual = Asdu::read(octets, self.sizes());
        if self.stated.is_some() || self.asdus >= Self::SURE && usual.as_ref().is_some_and(Asdu::fits) {
            return usual;
        }
        let suits = |sizes: &Sizes| Asdu::read(octets, *sizes).is_some_and(|asdu| asdu.fits() && asdu.is_sensible());
        let suited = (0..).zip(&Sizes::ALL).filter(|(_, sizes)| suits(sizes)).fold(0, |set, (at, _)| set | 1 << at);
        if self.possible & suited != 0 && self.asdus > 0 {
            self.possible &= suited;
            self.asdus = (self.asdus + 1).min(Self::SURE);
        } else if suited != 0 && self.asdus < Self::SURE {
            *self = Self { possible: suited, asdus: 1, ..*self };
        }
        Asdu::read(octets, self.sizes()).or(usual)
    }
}

/// One ASDU, borrowed from its octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asdu<'a> {
    pub(super) sizes: Sizes,
    pub(super) type_id: u8,
    /// SQ: one address, and elements from there on.
    pub(super) sequence: bool,
    /// Number of objects or elements.
    pub(super) count: u8,
    pub(super) cause: u8,
    /// P/N: negative confirmation.
    pub(super) negative: bool,
    pub(super) test: bool,
    pub(super) originator: Option<u8>,
    pub(super) common_address: u16,
    /// The information objects.
    pub(super) body: &'a [u8],
}

/// One information object, or one element of a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) address: u32,
    layout: &'static [Part],
    octets: &'a [u8],
    /// Where the element begins in the ASDU's body.
    pub(super) offset: usize,
}

impl<'a> Object<'a> {
    /// Name and value of each part, in the order of the wire.
    pub(super) fn each(&self, out: &mut dyn FnMut(&'static str, element::Datum<'a>)) {
        element::each(self.layout, self.octets, out);
    }
}

fn little(octets: &[u8]) -> u32 {
    octets.iter().rev().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

impl<'a> Asdu<'a> {
    /// Reads the data unit identifier. `None` when it is cut short.
    pub(super) fn read(octets: &'a [u8], sizes: Sizes) -> Option<Self> {
        let (identifier, body) = octets.split_at_checked(sizes.identifier())?;
        let (&[type_id, structure, cause], rest) = identifier.split_first_chunk()?;
        let (originator, common) = rest.split_at_checked(sizes.cause() - 1)?;
        Some(Self {
            sizes,
            type_id,
            sequence: structure & 0x80 != 0,
            count: structure & 0x7f,
            cause: cause & 0x3f,
            negative: cause & 0x40 != 0,
            test: cause & 0x80 != 0,
            originator: originator.first().copied(),
            common_address: little(common) as u16,
            body,
        })
    }

    /// The parts of its information elements; `None` for types that are not defined or have a layout of their own.
    pub(super) fn layout(&self) -> Option<&'static [Part]> {
        element::layout(self.type_id)
    }

    /// Where the information objects begin in the ASDU.
    pub(super) fn offset(&self) -> usize {
        self.sizes.identifier()
    }

    /// Does the length suit the type and the number of objects?
    pub(super) fn fits(&self) -> bool {
        let Some(layout) = self.layout() else { return false };
        let address = self.sizes.object();
        let expected = if self.sequence {
            element::length(layout, self.body.get(address..).unwrap_or_default()) * usize::from(self.count) + address
        } else {
            let element = element::length(layout, self.body.get(address..).unwrap_or_default());
            (address + element) * usize::from(self.count)
        };
        self.count > 0 && self.body.len() == expected
    }

    /// A defined cause, and an address: what chance seldom gives.
    pub(super) fn is_sensible(&self) -> bool {
        self.common_address != 0 && self.has_known_cause()
    }

    pub(super) fn has_known_cause(&self) -> bool {
        crate::field::name_of(names::CAUSES, self.cause.into()).is_some()
    }

    /// The information objects, as far as they are whole.
    pub(super) fn objects(&self) -> impl Iterator<Item = Object<'a>> + Clone + use<'a> {
        let Self { body, sequence, .. } = *self;
        let size = self.sizes.object();
        let layout = self.layout();
        let mut at = 0;
        let mut next = None;
        (0..self.count).map_while(move |_| {
            let address = match next.filter(|_| sequence) {
                Some(address) => address,
                None => {
                    let address = little(body.get(at..at + size)?);
                    at += size;
                    address
                }
            };
            next = Some(address.wrapping_add(1));
            let layout = layout?;
            let offset = at;
            let rest = body.get(at..)?;
            let octets = rest.get(..element::length(layout, rest))?;
            at += octets.len();
            Some(Object { address, layout, octets, offset })
        })
    }

    /// Does it go the way that its type and cause say? `None` for those that go both ways.
    pub(super) fn goes(&self, direction: Direction) -> Option<bool> {
        let expected = match (self.type_id, self.cause) {
            (1..=41 | 70, _) => Direction::ToClient,
            (45..=64 | 100..=113, 5 | 6 | 8) => Direction::ToServer,
            (45..=64 | 100..=113, 7 | 9 | 10 | 44..=47) => Direction::ToClient,
            _ => return None,
        };
        Some(direction == expected)
    }

    /// Is the cause one that the standard allows for the type (101 §7.3, 104 §8)? True of types that it does not define.
    pub(super) fn has_expected_cause(&self) -> bool {
        const ERRORS: std::ops::RangeInclusive<u8> = 44..=47;
        match self.type_id {
            1..=14 | 20 | 21 | 30..=36 => matches!(self.cause, 1..=3 | 5 | 11 | 12 | 20..=36),
            15 | 16 | 37 | 41 => matches!(self.cause, 3 | 5 | 37..=41),
            17..=19 | 38..=40 => self.cause == 3,
            45..=51 | 58..=64 | 100 | 101 => matches!(self.cause, 6..=10) || ERRORS.contains(&self.cause),
            70 => self.cause == 4,
            102 => self.cause == 5 || ERRORS.contains(&self.cause),
            103 | 106 => matches!(self.cause, 3 | 6 | 7) || ERRORS.contains(&self.cause),
            104 | 105 | 107 => matches!(self.cause, 6 | 7) || ERRORS.contains(&self.cause),
            110..=112 => matches!(self.cause, 5..=7 | 20..=36) || ERRORS.contains(&self.cause),
            113 => matches!(self.cause, 6..=9) || ERRORS.contains(&self.cause),
            122 | 126 => matches!(self.cause, 3 | 5 | 13) || ERRORS.contains(&self.cause),
            120 | 121 | 123..=125 | 127 => self.cause == 13 || ERRORS.contains(&self.cause),
            _ => true,
        }
    }
}
