//! What stands between the transport and MMS: session (ISO 8327-1), presentation (ISO 8823-1).
//!
//! Devices use the same few of their many forms, so only what tells where the next layer lies is read. Some send MMS on
//! the transport alone; that is read, too.

use super::{INVALID_PRESENTATION, INVALID_SESSION};
use crate::encoding::ber::{Element, Elements};
use crate::findings::Findings;

/// Identifiers of session PDUs (ISO 8327-1 §8.3).
pub(super) mod spdu {
    /// Data transfer, and in front of it give tokens.
    pub(in super::super) const DATA_TRANSFER: u8 = 1;
    pub(super) const PLEASE_TOKENS: u8 = 2;
    pub(in super::super) const REFUSE: u8 = 12;
    pub(super) const TYPED_DATA: u8 = 33;
}

/// User data, and user data of more than 512 octets (§8.3.1.18, §8.3.1.19).
const USER_DATA: u8 = 193;
const EXTENDED_USER_DATA: u8 = 194;

/// A data unit of the transport.
#[derive(Debug, Clone)]
pub(super) struct Unit<'a> {
    /// Identifier of the session PDU; none where MMS stands on the transport alone.
    pub(super) session: Option<u8>,
    values: Values<'a>,
}

#[derive(Debug, Clone)]
enum Values<'a> {
    None,
    /// MMS alone.
    Bare(&'a [u8], usize),
    /// Presentation data values.
    Lists(Elements<'a>),
}

/// Reads a data unit whose first octet has the number `offset`; `None` when it is of no session PDU that is known.
pub(super) fn read<'a>(bytes: &'a [u8], offset: usize, findings: &mut Findings) -> Option<Unit<'a>> {
    let &first = bytes.first()?;
    if first >> 6 == 2 {
        return Some(Unit { session: None, values: Values::Bare(bytes, offset) });
    }
    crate::field::name_of(super::names::SESSION, first.into()).filter(|_| first != spdu::PLEASE_TOKENS)?;
    let Some(session) = session(bytes, offset) else {
        findings.push(INVALID_SESSION, offset);
        return Some(Unit { session: Some(first), values: Values::None });
    };
    let mut elements = Elements::new(session.user_data, session.offset);
    let values = match user_data(elements.clone(), DEPTH) {
        Some(lists) => Values::Lists(lists.elements()),
        None => Values::None,
    };
    elements.by_ref().for_each(drop);
    let lacks = session.identifier == spdu::DATA_TRANSFER && matches!(values, Values::None);
    if let Some(fault) = elements.fault() {
        findings.push(INVALID_PRESENTATION, fault.offset);
    } else if lacks {
        findings.push(INVALID_PRESENTATION, session.offset);
    }
    Some(Unit { session: Some(session.identifier), values })
}

struct Session<'a> {
    identifier: u8,
    user_data: &'a [u8],
    offset: usize,
}

/// A session PDU and its user data; `None` when its lengths cannot be.
fn session(bytes: &[u8], offset: usize) -> Option<Session<'_>> {
    let (identifier, parameters, rest) = field(bytes)?;
    if identifier == spdu::DATA_TRANSFER {
        // Give tokens (or please tokens) comes first, concatenated with what it allows (§6.3.7).
        let (identifier, _, user_data) = field(rest)?;
        let data = matches!(identifier, spdu::DATA_TRANSFER | spdu::TYPED_DATA);
        return data.then(|| Session { identifier, user_data, offset: offset + bytes.len() - user_data.len() });
    }
    let end = bytes.len() - rest.len();
    let mut left = parameters;
    while !left.is_empty() {
        let (code, value, after) = field(left)?;
        if matches!(code, USER_DATA | EXTENDED_USER_DATA) {
            return Some(Session { identifier, user_data: value, offset: offset + end - after.len() - value.len() });
        }
        left = after;
    }
    Some(Session { identifier, user_data: &[], offset: offset + bytes.len() })
}

/// Identifier, contents by the length indicator of one or three octets (§8.2.5), and what follows.
fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&identifier, rest) = bytes.split_first()?;
    let (length, rest) = match *rest {
        [0xff, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        [0xff, ..] => return None,
        [length, ref rest @ ..] => (length.into(), rest),
        [] => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((identifier, contents, rest))
}

/// Elements around the user data of a presentation PDU: a set, its normal mode parameters.
const DEPTH: u8 = 2;

/// Fully encoded data (ISO 8823-1 §8.4.2), the same in every presentation PDU.
fn user_data<'a>(elements: Elements<'a>, depth: u8) -> Option<Element<'a>> {
    for element in elements {
        if element.tag.is_application(1) {
            return Some(element);
        }
        if let Some(depth) = depth.checked_sub(1).filter(|_| element.tag.constructed)
            && let Some(found) = user_data(element.elements(), depth)
        {
            return Some(found);
        }
    }
    None
}

/// Each presentation data value: its octets, and the number of their first.
impl<'a> Iterator for Unit<'a> {
    type Item = (&'a [u8], usize);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.values {
            Values::None => None,
            Values::Bare(bytes, offset) => {
                let value = (*bytes, *offset);
                self.values = Values::None;
                Some(value)
            }
            Values::Lists(lists) => {
                // Context and transfer syntax first; then one ASN.1 value, or octets (ISO 8823-1 §8.4.2).
                let value = lists.next()?.elements().find(|element| matches!(element.tag.context(), Some(0 | 1)))?;
                Some((value.contents, value.offset))
            }
        }
    }
}
