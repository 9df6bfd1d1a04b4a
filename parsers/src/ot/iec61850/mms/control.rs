//! Control objects of IEC 61850 (IEC 61850-8-1 §20): switches, taps and set points, commanded at once or after a selection.
//!
//! A client writes `LN$CO$object$Oper`, `SBOw` or `Cancel`, or reads `SBO`.

use super::super::data::{self, Datum};
use crate::encoding::ber::Element;

/// What is done to a control object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Action {
    Select = 1,
    SelectWithValue = 2,
    Operate = 3,
    Cancel = 4,
}

/// What an item does to a control object, and which part of the command it is; `None` for other items.
pub(super) fn action(item: &[u8]) -> Option<(Action, &[u8])> {
    let mut parts = item.split(|&octet| octet == b'$');
    parts.nth(1).filter(|constraint| *constraint == b"CO")?;
    let (mut action, mut rest) = (None, &b""[..]);
    for part in parts {
        let found = match part {
            b"SBO" => Action::Select,
            b"SBOw" => Action::SelectWithValue,
            b"Oper" => Action::Operate,
            b"Cancel" => Action::Cancel,
            _ => {
                rest = part;
                continue;
            }
        };
        (action, rest) = (Some(found), &b""[..]);
    }
    action.map(|action| (action, rest))
}

/// A command.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Command<'a> {
    /// The value commanded, ctlVal.
    pub(super) value: Option<Datum<'a>>,
    /// When it is to be executed, operTm.
    pub(super) operate_time: Option<Datum<'a>>,
    /// Category of the originator, one of [`super::names::ORIGINATORS`].
    pub(super) category: Option<i64>,
    /// Who the originator is, orIdent.
    pub(super) originator: Option<&'a [u8]>,
    /// Number of the command, ctlNum.
    pub(super) number: Option<u64>,
    /// When it was given, T.
    pub(super) time: Option<Datum<'a>>,
    /// It is a test only.
    pub(super) test: Option<bool>,
    /// Checks before execution: synchrocheck, interlocking.
    pub(super) check: Option<(&'a [u8], usize)>,
}

impl<'a> Command<'a> {
    /// Reads what is written to a control object, or to a part of one.
    pub(super) fn read(part: &[u8], value: &Element<'a>) -> Option<Self> {
        if part == b"ctlVal" {
            return Some(Self { value: first(value), ..Self::default() });
        }
        if !part.is_empty() || !data::is_composite(value) {
            return None;
        }
        let mut fields = value.elements();
        let mut command = Self { value: first(&fields.next()?), ..Self::default() };
        for field in fields {
            if data::is_composite(&field) {
                (command.category, command.originator) = originator(&field);
                continue;
            }
            match data::datum(&field) {
                Some(time @ (Datum::Utc(..) | Datum::BinaryTime(_))) if command.number.is_none() => {
                    command.operate_time = Some(time);
                }
                Some(time @ (Datum::Utc(..) | Datum::BinaryTime(_))) => command.time = Some(time),
                Some(Datum::Unsigned(number)) => command.number = Some(number),
                Some(Datum::Integer(number)) => command.number = u64::try_from(number).ok(),
                Some(Datum::Boolean(test)) => command.test = Some(test),
                Some(Datum::Bits(bits, count)) => command.check = Some((bits, count)),
                _ => {}
            }
        }
        Some(command)
    }
}

/// The value itself, or the first within it: an analogue value is a structure of one.
fn first<'a>(value: &Element<'a>) -> Option<Datum<'a>> {
    if data::is_composite(value) {
        return value.elements().find_map(|inner| data::datum(&inner));
    }
    data::datum(value)
}

fn originator<'a>(field: &Element<'a>) -> (Option<i64>, Option<&'a [u8]>) {
    let (mut category, mut identifier) = (None, None);
    for part in field.elements() {
        match data::datum(&part) {
            Some(Datum::Integer(number)) => category = Some(number),
            Some(Datum::Octets(octets)) => identifier = Some(octets),
            _ => {}
        }
    }
    (category, identifier)
}

/// The variable that tells why a command was refused or ended.
pub(super) const LAST_ERROR: &[u8] = b"LastApplError";

/// Why a command was refused or ended (§20.9).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusal<'a> {
    /// Reference of the control object.
    pub(super) object: &'a [u8],
    pub(super) error: i64,
    pub(super) category: Option<i64>,
    pub(super) originator: Option<&'a [u8]>,
    /// Number of the command.
    pub(super) number: Option<u64>,
    /// Additional cause, one of [`super::names::CAUSES`].
    pub(super) cause: Option<i64>,
}

impl<'a> Refusal<'a> {
    /// Reads the value of [`LAST_ERROR`].
    pub(super) fn read(value: &Element<'a>) -> Option<Self> {
        let mut fields = value.elements();
        let mut next = || fields.next();
        let Datum::Text(object) = data::datum(&next()?)? else { return None };
        let Datum::Integer(error) = data::datum(&next()?)? else { return None };
        let (category, originator) = next().map(|field| originator(&field)).unwrap_or_default();
        let number = next().and_then(|number| number.unsigned());
        let cause = next().and_then(|cause| cause.signed());
        Some(Self { object, error, category, originator, number, cause })
    }
}
