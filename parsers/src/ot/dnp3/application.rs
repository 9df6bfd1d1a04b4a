//! The application layer (IEEE 1815-2012 §4): a fragment's header; its objects are read by [`super::objects`].

use super::objects::Headers;

/// An application fragment: a view over its octets.
#[derive(Debug, Clone, Copy)]
pub struct Fragment<'a> {
    /// FIR, FIN, CON, UNS and the sequence number.
    pub control: u8,
    /// Function code.
    pub function: u8,
    /// Internal indications of a response: IIN1 in the high octet, IIN2 in the low one.
    pub iin: Option<u16>,
    /// The whole fragment, from the control octet.
    pub octets: &'a [u8],
    /// Where in it the objects begin.
    objects_at: usize,
}

/// Length of a request's header, and of a response's.
const REQUEST: usize = 2;
const RESPONSE: usize = 4;

impl<'a> Fragment<'a> {
    /// Reads the header; `None` when the fragment is shorter than its function's header.
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let &[control, function] = octets.first_chunk::<REQUEST>()?;
        let mut fragment = Self { control, function, iin: None, octets, objects_at: REQUEST };
        if fragment.is_response() {
            let &[_, _, iin1, iin2] = octets.first_chunk::<RESPONSE>()?;
            fragment.iin = Some(u16::from_be_bytes([iin1, iin2]));
            fragment.objects_at = RESPONSE;
        }
        Some(fragment)
    }

    /// FIR: first fragment of the message.
    pub const fn fir(&self) -> bool {
        self.control & 0x80 != 0
    }

    /// FIN: last fragment of the message.
    pub const fn fin(&self) -> bool {
        self.control & 0x40 != 0
    }

    /// CON: the sender asks for a confirmation.
    pub const fn con(&self) -> bool {
        self.control & 0x20 != 0
    }

    /// UNS: the sequence number counts unsolicited responses.
    pub const fn uns(&self) -> bool {
        self.control & 0x10 != 0
    }

    /// Sequence number, modulo 16.
    pub const fn sequence(&self) -> u8 {
        self.control & 0x0f
    }

    /// True for responses, solicited or not, and authentication responses.
    pub const fn is_response(&self) -> bool {
        matches!(self.function, 129..=131)
    }

    /// True when the standard defines the function code.
    pub const fn is_known(&self) -> bool {
        matches!(self.function, 0..=33 | 129..=131)
    }

    /// True for a request that the outstation has to answer.
    pub const fn wants_response(&self) -> bool {
        matches!(self.function, 1..=5 | 7 | 9 | 11 | 13..=32)
    }

    /// True when objects of this group stand in the fragment with their values, false when it only names points
    /// (§4.2.2, annex B).
    pub const fn carries_values(&self, group: u8) -> bool {
        match self.function {
            // write, controls, file operations, authentication
            2..=6 | 25..=33 => true,
            // the time that a freeze is to happen at
            11 | 12 => matches!(group, 50 | 120),
            // Aggressive mode puts authentication objects into any request.
            _ => self.is_response() || group == 120,
        }
    }

    /// The object headers, in order. Those of an unknown function cannot be read: there are none.
    pub fn objects(&self) -> Headers<'a> {
        let at = if self.is_known() { self.objects_at } else { self.octets.len() };
        Headers::new(*self, at)
    }
}
