//! Tag services: what is read from and written to variables, with their types (Logix 5000 Controllers Data Access,
//! publication 1756-PM020; types by volume 1 appendix C-5).

use super::super::read::{octet, udint, uint};
use super::service::{Service, class, code};
use crate::field::Value;

/// Mark of a structure in place of a type; a handle follows.
const STRUCTURE: u16 = 0x02a0;

/// What a tag service says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tag<'a> {
    /// Type of the values.
    pub(crate) kind: Option<u16>,
    /// How many elements are asked for or written.
    pub(crate) elements: Option<u16>,
    /// Where in the tag the fragment begins, in bytes.
    pub(crate) offset: Option<u32>,
    /// The values, as many as the message carries.
    pub(crate) values: &'a [u8],
}

/// Does the request read a tag, or write one?
pub(crate) fn writes(request: &Service<'_>) -> Option<bool> {
    let writes = match request.raw {
        code::READ_TAG | code::READ_TAG_FRAGMENTED => false,
        code::WRITE_TAG | code::WRITE_TAG_FRAGMENTED | code::READ_MODIFY_WRITE_TAG => true,
        _ => return None,
    };
    (request.path.is_symbolic() || request.path.class() == Some(class::SYMBOL)).then_some(writes)
}

impl<'a> Tag<'a> {
    /// Reads a request, or the answer to `request`.
    pub(crate) fn new(message: &Service<'a>, request: &Service<'_>) -> Option<Self> {
        let writes = writes(request)?;
        let data = message.data;
        let fragmented = matches!(request.raw, code::READ_TAG_FRAGMENTED | code::WRITE_TAG_FRAGMENTED);
        if request.raw == code::READ_MODIFY_WRITE_TAG {
            return Some(Self::default());
        }
        match (message.is_request(), writes) {
            (true, false) => {
                let offset = if fragmented { udint(data, 2) } else { None };
                Some(Self { elements: uint(data, 0), offset, ..Self::default() })
            }
            (true, true) => {
                let (kind, at) = typed(data)?;
                let offset = if fragmented { udint(data, at + 2) } else { None };
                let values = data.get(at + if fragmented { 6 } else { 2 }..).unwrap_or_default();
                Some(Self { kind: Some(kind), elements: uint(data, at), offset, values })
            }
            // A fragment is the answer to go on from.
            (false, false) if matches!(message.status, 0 | 6) => {
                let (kind, at) = typed(data)?;
                Some(Self { kind: Some(kind), values: data.get(at..)?, ..Self::default() })
            }
            (false, _) => Some(Self::default()),
        }
    }

    /// The values one by one, where the type is an elementary one.
    pub(crate) fn each(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let kind = self.kind.unwrap_or(0);
        let size = match kind {
            0xc1 | 0xc2 | 0xc6 | 0xd1 => 1,
            0xc3 | 0xc7 | 0xcd | 0xd2 => 2,
            0xc4 | 0xc8 | 0xca | 0xcc | 0xce | 0xd3 => 4,
            0xc5 | 0xc9 | 0xcb | 0xd4 => 8,
            _ => usize::MAX,
        };
        self.values.chunks_exact(size.min(isize::MAX as usize)).filter_map(move |value| number(kind, value))
    }
}

/// The type at the beginning of `data`, and where what follows it begins.
fn typed(data: &[u8]) -> Option<(u16, usize)> {
    let kind = uint(data, 0)?;
    Some((kind, if kind == STRUCTURE { 4 } else { 2 }))
}

fn number(kind: u16, bytes: &[u8]) -> Option<Value<'_>> {
    Some(match kind {
        0xc1 => Value::Unsigned(u64::from(octet(bytes, 0)? != 0)),
        0xc2 => Value::Signed((octet(bytes, 0)? as i8).into()),
        0xc6 | 0xd1 => Value::Unsigned(octet(bytes, 0)?.into()),
        0xc3 => Value::Signed((uint(bytes, 0)? as i16).into()),
        0xc7 | 0xcd | 0xd2 => Value::Unsigned(uint(bytes, 0)?.into()),
        0xc4 | 0xcc => Value::Signed((udint(bytes, 0)? as i32).into()),
        0xc8 | 0xce | 0xd3 => Value::Unsigned(udint(bytes, 0)?.into()),
        0xc5 => Value::Signed(i64::from_le_bytes(*bytes.first_chunk()?)),
        0xc9 | 0xd4 => Value::Unsigned(u64::from_le_bytes(*bytes.first_chunk()?)),
        0xca => Value::Float(f32::from_le_bytes(*bytes.first_chunk()?).into()),
        0xcb => Value::Float(f64::from_le_bytes(*bytes.first_chunk()?)),
        _ => return None,
    })
}
