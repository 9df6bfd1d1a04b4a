//! The application protocol control information: start octet, length, and the control field of the three formats
//! (104 §5.1).

use super::asdu::{Asdu, Sizes};
use super::{INVALID_CONTROL, INVALID_LENGTH, names};
use crate::dissector::{Direction, Frame, Probe};
use crate::findings::Findings;

const START: u8 = 0x68;
/// Start octet, length and control field.
pub(super) const HEADER: usize = 6;
/// The control field, which the length counts.
const CONTROL: usize = 4;
/// What the length may be at the most (104 §5.1).
const LONGEST_LENGTH: u8 = 253;
/// What one octet of length can say.
pub(super) const LONGEST: usize = 2 + 255;

/// The control field, by its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// Information transfer, numbered.
    I { send: u16, receive: u16 },
    /// Numbered supervisory functions: acknowledges.
    S { receive: u16 },
    /// Unnumbered control functions: one bit each of [`names::U_FUNCTIONS`].
    U { function: u8 },
}

/// One APDU, borrowed from its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apdu<'a> {
    pub(super) length: u8,
    pub(super) control: Control,
    /// What follows the control field.
    pub(super) asdu: &'a [u8],
    octets: [u8; CONTROL],
}

impl<'a> Apdu<'a> {
    /// Reads an APDU as [`frame`] delimited it.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[START, length, a, b, c, d], asdu) = bytes.split_first_chunk()? else { return None };
        let number = |low: u8, high: u8| u16::from_le_bytes([low, high]) >> 1;
        let control = match a & 3 {
            1 => Control::S { receive: number(c, d) },
            3 => Control::U { function: a >> 2 },
            _ => Control::I { send: number(a, b), receive: number(c, d) },
        };
        Some(Self { length, control, asdu, octets: [a, b, c, d] })
    }

    /// The value of the format bits: 0 I, 1 S, 3 U.
    pub(super) fn format(&self) -> u8 {
        match self.control {
            Control::I { .. } => 0,
            Control::S { .. } => 1,
            Control::U { .. } => 3,
        }
    }

    /// What is wrong with the control field and the length.
    pub(super) fn check(&self, findings: &mut Findings) {
        let [a, b, c, d] = self.octets;
        let wrong = match self.control {
            Control::I { .. } => self.length > LONGEST_LENGTH || self.asdu.is_empty(),
            _ => usize::from(self.length) != CONTROL,
        };
        if wrong {
            findings.push(INVALID_LENGTH, 1);
        }
        let fault = match self.control {
            Control::I { .. } => (c & 1 != 0).then_some(4),
            Control::S { .. } if a != 1 || b != 0 => Some(2),
            Control::S { .. } => (c & 1 != 0).then_some(4),
            Control::U { function } if !is_function(function) => Some(2),
            Control::U { .. } => [b, c, d].iter().position(|octet| *octet != 0).map(|at| at + 3),
        };
        if let Some(offset) = fault {
            findings.push(INVALID_CONTROL, offset);
        }
    }

    fn is_faultless(&self) -> bool {
        let mut findings = Findings::NONE;
        self.check(&mut findings);
        findings.is_empty()
    }
}

fn is_function(function: u8) -> bool {
    crate::field::name_of(names::U_FUNCTIONS, function.into()).is_some()
}

/// Where the APDU that begins here ends. Lengths beyond the standard's are framed, so that they are reported.
pub(super) fn frame(bytes: &[u8], _: Direction) -> Frame {
    match *bytes {
        [START, length, ..] if usize::from(length) >= CONTROL => match 2 + usize::from(length) {
            end if bytes.len() >= end => Frame::Whole(end),
            end => Frame::Need(end),
        },
        [] | [START] => Frame::Need(HEADER),
        _ => Frame::Not,
    }
}

/// Certain of a faultless APDU with a control function, or an ASDU whose length suits its type, when what follows it
/// begins like another. What else has the form of an APDU is a Maybe.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> Probe {
    let whole = match frame(bytes, direction) {
        Frame::Long { .. } | Frame::Not => return Probe::No,
        Frame::Need(_) => return beginning(bytes),
        Frame::Whole(end) => bytes.split_at_checked(end),
    };
    let Some((apdu, rest)) = whole.and_then(|(apdu, rest)| Some((Apdu::read(apdu)?, rest))) else { return Probe::No };
    if matches!(frame(rest, direction), Frame::Not) {
        return Probe::No;
    }
    let faultless = apdu.is_faultless();
    match apdu.control {
        // Sent by the controlled station when confirming (104 §5.3).
        Control::U { function } if faultless => match is_confirmation(function) == (direction == Direction::ToClient) {
            _ if matches!(function, names::TESTFR_ACT | names::TESTFR_CON) => Probe::Certain,
            true => Probe::Certain,
            false => Probe::Maybe,
        },
        Control::U { function } if is_function(function) => Probe::Maybe,
        Control::U { .. } => Probe::No,
        Control::S { .. } => Probe::Maybe,
        Control::I { .. } => match Sizes::ALL.iter().find_map(|sizes| Asdu::read(apdu.asdu, *sizes).filter(Asdu::fits))
        {
            Some(asdu) if faultless && asdu.is_sensible() && asdu.goes(direction) != Some(false) => Probe::Certain,
            Some(_) => Probe::Maybe,
            None if Asdu::read(apdu.asdu, Sizes::DEFAULT).is_some_and(|asdu| asdu.layout().is_some()) => Probe::Maybe,
            None => Probe::No,
        },
    }
}

/// The beginning of an APDU says nothing, unless it contradicts itself.
fn beginning(bytes: &[u8]) -> Probe {
    match *bytes {
        [_, length, first, ..] if first & 1 != 0 && usize::from(length) != CONTROL => Probe::No,
        [_, length, _, _, third, ..] if usize::from(length) > CONTROL && third & 1 != 0 => Probe::No,
        _ => Probe::Maybe,
    }
}

pub(super) fn is_confirmation(function: u8) -> bool {
    matches!(function, names::STARTDT_CON | names::STOPDT_CON | names::TESTFR_CON)
}
