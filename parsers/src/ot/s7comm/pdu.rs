//! The protocol data unit of S7 communication: header, parameters, data.

use crate::dissector::{Direction, Probe};

/// First byte of a PDU.
pub(super) const PROTOCOL_ID: u8 = 0x32;

pub(super) const JOB: u8 = 1;
pub(super) const ACK: u8 = 2;
pub(super) const ACK_DATA: u8 = 3;
pub(super) const USERDATA: u8 = 7;

/// Functions that the rest of the dissector knows by name.
pub(super) mod function {
    pub(crate) const READ_VAR: u8 = 0x04;
    pub(crate) const WRITE_VAR: u8 = 0x05;
    pub(crate) const REQUEST_DOWNLOAD: u8 = 0x1a;
    pub(crate) const DOWNLOAD_BLOCK: u8 = 0x1b;
    pub(crate) const DOWNLOAD_ENDED: u8 = 0x1c;
    pub(crate) const START_UPLOAD: u8 = 0x1d;
    pub(crate) const UPLOAD: u8 = 0x1e;
    pub(crate) const END_UPLOAD: u8 = 0x1f;
    pub(crate) const PI_SERVICE: u8 = 0x28;
    pub(crate) const PLC_STOP: u8 = 0x29;
    pub(crate) const SETUP_COMMUNICATION: u8 = 0xf0;
}

/// Length of the header without an error.
const HEADER: usize = 10;
/// Length of the header of acknowledgements, which say what went wrong.
const HEADER_WITH_ERROR: usize = 12;
/// Where the two lengths stand.
pub(super) const LENGTHS: usize = 6;

/// A view of one PDU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pdu<'a> {
    pub(super) kind: u8,
    /// What a request and its answer share.
    pub(super) reference: u16,
    /// Class and code of the error, of acknowledgements.
    pub(super) error: Option<u16>,
    pub(super) parameter: &'a [u8],
    pub(super) data: &'a [u8],
    /// Do header, parameters and data fill the bytes exactly?
    pub(super) whole: bool,
    /// Where the parameters begin.
    pub(super) parameter_offset: usize,
}

impl<'a> Pdu<'a> {
    /// Reads a PDU; parameters and data are cut where the bytes end. `None` when there is no header.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let &[PROTOCOL_ID, kind, _, _, p1, p0, pl1, pl0, dl1, dl0, ref rest @ ..] = bytes else { return None };
        let (error, rest) = match kind {
            ACK | ACK_DATA => {
                let (&[class, code], rest) = rest.split_first_chunk()?;
                (Some(u16::from_be_bytes([class, code])), rest)
            }
            _ => (None, rest),
        };
        let parameter_length = usize::from(u16::from_be_bytes([pl1, pl0]));
        let data_length = usize::from(u16::from_be_bytes([dl1, dl0]));
        let (parameter, data) = rest.split_at(parameter_length.min(rest.len()));
        let whole = rest.len() == parameter_length + data_length;
        Some(Self {
            kind,
            reference: u16::from_be_bytes([p1, p0]),
            error,
            parameter,
            data: data.get(..data_length).unwrap_or(data),
            whole,
            parameter_offset: bytes.len() - rest.len(),
        })
    }

    /// Where the data begin.
    pub(super) fn data_offset(&self) -> usize {
        self.parameter_offset + self.parameter.len()
    }

    /// The function of a job or of its acknowledgement.
    pub(super) fn function(&self) -> Option<u8> {
        if self.kind == USERDATA { None } else { self.parameter.first().copied() }
    }

    /// Does somebody ask for something with it?
    pub(super) fn is_job(&self) -> bool {
        self.kind == JOB
    }

    /// What is asked for when communication is set up: jobs in parallel calling and called, and the length of PDUs.
    pub(super) fn setup(&self) -> Option<[u16; 3]> {
        match self.parameter {
            &[function::SETUP_COMMUNICATION, _, c1, c0, d1, d0, l1, l0, ..] => {
                Some([[c1, c0], [d1, d0], [l1, l0]].map(u16::from_be_bytes))
            }
            _ => None,
        }
    }
}

/// Do these bytes begin a PDU? A header whose lengths fill the bytes exactly is no chance.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    if bytes.first() != Some(&PROTOCOL_ID) {
        return Probe::No;
    }
    let Some(&kind) = bytes.get(1) else { return Probe::Maybe };
    let header = match kind {
        JOB | USERDATA => HEADER,
        ACK | ACK_DATA => HEADER_WITH_ERROR,
        _ => return Probe::No,
    };
    match bytes.get(LENGTHS..HEADER) {
        Some(&[p1, p0, d1, d0]) => {
            let parameter = usize::from(u16::from_be_bytes([p1, p0]));
            let length = header + parameter + usize::from(u16::from_be_bytes([d1, d0]));
            match bytes.len().cmp(&length) {
                std::cmp::Ordering::Equal => Probe::Certain,
                // The rest is in the next fragment, or not here yet.
                std::cmp::Ordering::Less => Probe::Maybe,
                std::cmp::Ordering::Greater => Probe::No,
            }
        }
        _ => Probe::Maybe,
    }
}

/// The way that a message of these bytes goes: who asks is the client, unless it is the controller that asks for the parts
/// of a download.
pub(super) fn way(bytes: &[u8]) -> Option<Direction> {
    let by_controller =
        |at: usize| matches!(bytes.get(at), Some(&(function::DOWNLOAD_BLOCK | function::DOWNLOAD_ENDED)));
    Some(match *bytes.get(1)? {
        JOB if by_controller(HEADER) => Direction::ToClient,
        JOB => Direction::ToServer,
        ACK | ACK_DATA if by_controller(HEADER_WITH_ERROR) => Direction::ToServer,
        ACK | ACK_DATA => Direction::ToClient,
        // The type of userdata: a request, or else a response or what is told unasked.
        USERDATA if bytes.get(HEADER + 5)? >> 4 == 4 => Direction::ToServer,
        USERDATA => Direction::ToClient,
        _ => return None,
    })
}

/// A big-endian word at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

/// A big-endian double word at an offset.
pub(super) fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}
