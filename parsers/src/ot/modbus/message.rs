//! One application data unit: the header of its transport, unit, function code and the PDU's data.

use super::pdu::{Body, EXCEPTION, word};
use super::{INVALID_CHECKSUM, INVALID_LENGTH, INVALID_PROTOCOL_ID, rtu};
use crate::dissector::{Anomaly, Direction};

/// Length of the MBAP header up to and including its length field: what the length does not count.
pub(super) const MBAP: usize = 6;

/// How PDUs are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// MBAP header (MODBUS Messaging on TCP/IP Implementation Guide V1.0b §3.1.3), over TCP or UDP.
    Mbap,
    /// Serial line frame with CRC (MODBUS over Serial Line V1.02 §2.5.1), in a TCP stream.
    Rtu,
}

/// What the MBAP header says besides the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mbap {
    pub(super) transaction: u16,
    pub(super) length: u16,
}

/// A view of one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Message<'a> {
    /// None for RTU frames.
    pub(super) mbap: Option<Mbap>,
    pub(super) unit: u8,
    /// The function code as it stands on the wire.
    pub(super) raw: u8,
    pub(super) request: bool,
    /// What follows the function code.
    pub(super) data: &'a [u8],
    pub(super) body: Body<'a>,
}

impl<'a> Message<'a> {
    /// Reads a message as its transport's `frame` delimited it. The error says why it cannot be one: a receiver
    /// discards such a message too.
    pub(super) fn new(transport: Transport, bytes: &'a [u8], direction: Direction) -> Result<Self, Anomaly> {
        let (mbap, pdu) = match transport {
            Transport::Mbap => {
                let (mbap, pdu) = bytes.split_at_checked(MBAP).ok_or(short(bytes))?;
                if word(mbap, 2) != Some(0) {
                    return Err(Anomaly { kind: INVALID_PROTOCOL_ID, offset: 2 });
                }
                (word(mbap, 0).zip(word(mbap, 4)).map(|(transaction, length)| Mbap { transaction, length }), pdu)
            }
            Transport::Rtu => {
                let (pdu, _) = bytes.split_last_chunk::<2>().ok_or(short(bytes))?;
                if rtu::crc(bytes) != 0 {
                    return Err(Anomaly { kind: INVALID_CHECKSUM, offset: pdu.len() });
                }
                (None, pdu)
            }
        };
        let &[unit, raw, ref data @ ..] = pdu else { return Err(short(bytes)) };
        let request = direction == Direction::ToServer;
        Ok(Self { mbap, unit, raw, request, data, body: Body::new(raw, data, request) })
    }

    /// The function code without the exception bit.
    pub(super) fn function(&self) -> u8 {
        self.raw & !EXCEPTION
    }

    /// Where the unit stands in the message.
    pub(super) fn unit_offset(&self) -> usize {
        if self.mbap.is_some() { MBAP } else { 0 }
    }

    /// Where the PDU's data begin in the message.
    pub(super) fn data_offset(&self) -> usize {
        self.unit_offset() + 2
    }
}

fn short(bytes: &[u8]) -> Anomaly {
    Anomaly { kind: INVALID_LENGTH, offset: bytes.len() }
}
