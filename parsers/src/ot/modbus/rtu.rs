//! RTU frames: unit, PDU and CRC, without any length (MODBUS over Serial Line V1.02 §2.5.1).
//!
//! On a serial line silence ends a frame. A TCP stream has none, so the end follows from the function's layout; where
//! that is unknown, or the checksum does not bear it out, from where a checksum is right.

use super::check::findings;
use super::message::{Message, Transport};
use super::pdu::{EXCEPTION, MEI_DEVICE_IDENTIFICATION, function, is_assigned, word};
use crate::dissector::{Direction, Frame, Probe};

/// The longest frame, in bytes (§2.5.1.1).
pub(super) const LONGEST: usize = 256;
/// Unit, function code and CRC.
const SHORTEST: usize = 4;

const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn step(crc: u16, byte: u8) -> u16 {
    crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)]
}

/// The CRC of §6.2.2; 0 over a frame that ends with its own.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| step(crc, *byte))
}

/// How long a frame its first bytes promise.
enum Length {
    Known(usize),
    /// So many bytes are needed to tell.
    Need(usize),
    Unknown,
}

fn length(bytes: &[u8], direction: Direction) -> Length {
    use function::*;
    let Some(raw) = bytes.get(1).copied() else { return Length::Need(SHORTEST) };
    // Length without the bytes counted, and where the count stands.
    let counted = |fixed: usize, at: usize| match bytes.get(at) {
        Some(count) => Length::Known(fixed + usize::from(*count)),
        None => Length::Need(at + 1),
    };
    let request = direction == Direction::ToServer;
    match raw {
        _ if raw & EXCEPTION != 0 => Length::Known(5),
        WRITE_SINGLE_COIL | WRITE_SINGLE_REGISTER | DIAGNOSTICS => Length::Known(8),
        MASK_WRITE_REGISTER => Length::Known(10),
        READ_FILE_RECORD | WRITE_FILE_RECORD => counted(5, 2),
        READ_COILS..=READ_INPUT_REGISTERS if request => Length::Known(8),
        READ_EXCEPTION_STATUS | GET_COMM_EVENT_COUNTER | GET_COMM_EVENT_LOG | REPORT_SERVER_ID if request => {
            Length::Known(4)
        }
        WRITE_MULTIPLE_COILS | WRITE_MULTIPLE_REGISTERS if request => counted(9, 6),
        READ_WRITE_MULTIPLE_REGISTERS if request => counted(13, 10),
        READ_FIFO_QUEUE if request => Length::Known(6),
        ENCAPSULATED_INTERFACE_TRANSPORT if request => match bytes.get(2) {
            Some(&MEI_DEVICE_IDENTIFICATION) => Length::Known(7),
            Some(_) => Length::Unknown,
            None => Length::Need(3),
        },
        READ_COILS..=READ_INPUT_REGISTERS | GET_COMM_EVENT_LOG | REPORT_SERVER_ID | READ_WRITE_MULTIPLE_REGISTERS => {
            counted(5, 2)
        }
        READ_EXCEPTION_STATUS => Length::Known(5),
        GET_COMM_EVENT_COUNTER | WRITE_MULTIPLE_COILS | WRITE_MULTIPLE_REGISTERS => Length::Known(8),
        READ_FIFO_QUEUE => match word(bytes, 2) {
            Some(count) => Length::Known(6 + usize::from(count)),
            None => Length::Need(4),
        },
        _ => Length::Unknown,
    }
}

/// Where the shortest frame ends whose checksum is right.
fn scan(bytes: &[u8]) -> Option<usize> {
    let mut crc = 0xffff;
    bytes.iter().take(LONGEST).enumerate().find_map(|(at, byte)| {
        crc = step(crc, *byte);
        (crc == 0 && at + 1 >= SHORTEST).then_some(at + 1)
    })
}

/// Does a frame of `length` bytes with the right checksum begin here?
fn right(bytes: &[u8], length: usize) -> bool {
    bytes.get(..length).is_some_and(|frame| crc(frame) == 0)
}

/// Where the frame that begins here ends. One whose layout is known is framed with a wrong checksum too, so that it
/// is reported.
pub(super) fn frame(bytes: &[u8], direction: Direction) -> Frame {
    let known = match length(bytes, direction) {
        Length::Need(more) => return Frame::Need(more),
        Length::Known(length) if length > LONGEST => None,
        Length::Known(length) if length > bytes.len() => return Frame::Need(length),
        Length::Known(length) if right(bytes, length) => return Frame::Whole(length),
        Length::Known(length) => Some(length),
        Length::Unknown => None,
    };
    match scan(bytes).or(known) {
        Some(length) => Frame::Whole(length),
        None if bytes.len() < LONGEST => Frame::Need((bytes.len() + 1).max(SHORTEST)),
        None => Frame::Not,
    }
}

/// Certain of a whole, faultless frame of a public function of known length, when what follows it begins like another.
/// Beginnings that nothing contradicts are a Maybe: they say nothing until more is there. A right checksum alone is
/// not enough, since other protocols use the same.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> Probe {
    if !begins(bytes) {
        return Probe::No;
    }
    match length(bytes, direction) {
        Length::Need(_) => Probe::Maybe,
        Length::Known(length) if length > LONGEST => Probe::No,
        Length::Known(length) if length > bytes.len() => Probe::Maybe,
        // Said here, since half of all that is no frame looks like an exception, whose checksum needs no summing up then.
        Length::Known(_) if bytes.get(1).is_some_and(|raw| !is_assigned(raw & !EXCEPTION)) => Probe::No,
        Length::Known(length) => match bytes.split_at_checked(length) {
            Some((frame, rest)) if begins(rest) && faultless(frame, direction) && !is_like_roc(frame) => Probe::Certain,
            _ => Probe::No,
        },
        Length::Unknown => Probe::No,
    }
}

/// A message of the ROC protocol without data has the length and the checksum of a request to read bits, of as many
/// as its operation code times 256.
fn is_like_roc(frame: &[u8]) -> bool {
    let bits = matches!(frame.get(1), Some(&(function::READ_COILS | function::READ_DISCRETE_INPUTS)));
    bits && frame.len() == 8 && frame.get(5) == Some(&0)
}

/// Can a frame begin so? True of no bytes at all.
fn begins(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|unit| *unit <= 247) && bytes.get(1).is_none_or(|raw| raw & !EXCEPTION != 0)
}

fn faultless(frame: &[u8], direction: Direction) -> bool {
    Message::new(Transport::Rtu, frame, direction)
        .is_ok_and(|message| is_assigned(message.function()) && findings(&message, None).is_empty())
}

/// Are these bytes to their end one faultless RTU frame?
pub(super) fn is_frame(bytes: &[u8], direction: Direction) -> bool {
    matches!(length(bytes, direction), Length::Known(length) if length == bytes.len()) && faultless(bytes, direction)
}
