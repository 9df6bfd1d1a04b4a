//! The network layer (clause 6): where a message goes, where it comes from, and what routers say to each other.

use super::apdu;
use super::{INVALID_NPDU, UNKNOWN_NETWORK_MESSAGE};
use crate::dissector::{Anomaly, Direction, Probe};

const VERSION: u8 = 1;
/// Bits of the control octet (6.2.2).
const MESSAGE: u8 = 0x80;
const RESERVED: u8 = 0x50;
const DESTINATION: u8 = 0x20;
const SOURCE: u8 = 0x08;
const EXPECTING_REPLY: u8 = 0x04;
const PRIORITY: u8 = 0x03;
/// Network number of a broadcast to all networks.
const EVERYWHERE: u16 = 0xffff;
/// Message types from here on are vendors' own, and followed by the vendor's number.
const PROPRIETARY: u8 = 0x80;

/// Types of messages (6.2.4).
pub(super) mod kind {
    pub(crate) const WHO_IS_ROUTER: u8 = 0;
    pub(crate) const I_AM_ROUTER: u8 = 1;
    pub(crate) const I_COULD_BE_ROUTER: u8 = 2;
    pub(crate) const REJECT: u8 = 3;
    pub(crate) const ROUTER_BUSY: u8 = 4;
    pub(crate) const ROUTER_AVAILABLE: u8 = 5;
    pub(crate) const INITIALIZE_ROUTING_TABLE: u8 = 6;
    pub(crate) const INITIALIZE_ROUTING_TABLE_ACK: u8 = 7;
    pub(crate) const ESTABLISH_CONNECTION: u8 = 8;
    pub(crate) const DISCONNECT: u8 = 9;
    pub(crate) const WHAT_IS_NETWORK_NUMBER: u8 = 18;
    pub(crate) const NETWORK_NUMBER_IS: u8 = 19;
}

/// A station, or all of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// Number of the network; 65535 is all of them.
    pub(super) network: u16,
    /// Address in its network; none is a broadcast there.
    pub(super) station: &'a [u8],
}

/// A message between routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    /// Whose message it is, where it is none of the standard's.
    pub(super) vendor: Option<u16>,
    pub(super) data: &'a [u8],
}

/// A port in a routing table (6.4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port<'a> {
    pub(super) network: u16,
    /// 0: the network is to be removed.
    pub(super) id: u8,
    pub(super) info: &'a [u8],
}

/// The header of an NPDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Npdu<'a> {
    control: u8,
    pub(super) destination: Option<Address<'a>>,
    pub(super) source: Option<Address<'a>>,
    pub(super) hop_count: Option<u8>,
    pub(super) message: Option<Message<'a>>,
}

/// A header, the APDU behind it, and where that begins.
pub(super) struct Network<'a> {
    pub(super) npdu: Npdu<'a>,
    pub(super) apdu: Option<&'a [u8]>,
    pub(super) offset: usize,
    pub(super) fault: Option<Anomaly>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn address(&mut self) -> Option<Address<'a>> {
        let network = self.word()?;
        let length = self.octet()?;
        Some(Address { network, station: self.take(length.into())? })
    }
}

/// Reads an NPDU; what stands in front of it has `base` octets. An error is where it cannot be read.
pub(super) fn read(bytes: &[u8], base: usize) -> Result<Network<'_>, Anomaly> {
    let mut reader = Reader { bytes, at: 0 };
    header(&mut reader, base).ok_or(Anomaly { kind: INVALID_NPDU, offset: base + reader.at.min(bytes.len()) })
}

fn header<'a>(reader: &mut Reader<'a>, base: usize) -> Option<Network<'a>> {
    if *reader.bytes.first()? != VERSION {
        return None;
    }
    reader.at = 1;
    let control = reader.octet()?;
    let destination = if control & DESTINATION != 0 { Some(reader.address()?) } else { None };
    let source = if control & SOURCE != 0 { Some(reader.address()?) } else { None };
    let hop_count = if destination.is_some() { Some(reader.octet()?) } else { None };
    let mut offset = base + reader.at;
    let nowhere = destination.is_some_and(|to| to.network == 0);
    // A source is one station (6.2.2.1).
    let nobody = source.is_some_and(|from| matches!(from.network, 0 | EVERYWHERE) || from.station.is_empty());
    let bad = |kind, offset| Some(Anomaly { kind, offset });
    let mut fault = if control & RESERVED != 0 || nowhere || nobody { bad(INVALID_NPDU, base + 1) } else { None };
    let mut npdu = Npdu { control, destination, source, hop_count, message: None };
    let rest = |reader: &Reader<'a>| reader.bytes.get(reader.at..).unwrap_or_default();
    if control & MESSAGE == 0 {
        return Some(Network { npdu, apdu: Some(rest(reader)), offset, fault });
    }
    let kind = reader.octet()?;
    let vendor = if kind >= PROPRIETARY { Some(reader.word()?) } else { None };
    let message = Message { kind, vendor, data: rest(reader) };
    if fault.is_none() && kind > kind::NETWORK_NUMBER_IS && kind < PROPRIETARY {
        fault = bad(UNKNOWN_NETWORK_MESSAGE, offset);
    }
    offset = base + reader.at;
    if fault.is_none() && !message.is_sound() {
        fault = bad(INVALID_NPDU, offset);
    }
    npdu.message = Some(message);
    Some(Network { npdu, apdu: None, offset, fault })
}

/// Do these bytes begin an NPDU going this way?
pub(super) fn probe(bytes: &[u8], direction: Direction, broadcast: bool) -> Probe {
    match read(bytes, 0) {
        Ok(Network { fault: None, apdu: Some(apdu), .. }) => apdu::probe(apdu, direction, broadcast),
        Ok(Network { fault: None, .. }) => Probe::Certain,
        _ => Probe::No,
    }
}

impl<'a> Npdu<'a> {
    /// Does the sender wait for an answer?
    pub(super) fn expects_reply(&self) -> bool {
        self.control & EXPECTING_REPLY != 0
    }

    /// Priority, 0 to 3.
    pub(super) fn priority(&self) -> u8 {
        self.control & PRIORITY
    }
}

impl<'a> Message<'a> {
    fn word(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(*self.data.get(at..)?.first_chunk()?))
    }

    /// Do the data have the layout of the type?
    fn is_sound(&self) -> bool {
        let length = self.data.len();
        match self.kind {
            kind::WHO_IS_ROUTER => length == 0 || length == 2,
            kind::I_AM_ROUTER | kind::ROUTER_BUSY | kind::ROUTER_AVAILABLE => length.is_multiple_of(2),
            kind::I_COULD_BE_ROUTER | kind::REJECT | kind::ESTABLISH_CONNECTION | kind::NETWORK_NUMBER_IS => {
                length == 3
            }
            kind::INITIALIZE_ROUTING_TABLE => length > 0 && self.ports().count() == usize::from(self.data[0]),
            kind::INITIALIZE_ROUTING_TABLE_ACK => {
                self.data.first().is_none_or(|&count| self.ports().count() == usize::from(count))
            }
            kind::DISCONNECT => length == 2,
            kind::WHAT_IS_NETWORK_NUMBER => length == 0,
            _ => true,
        }
    }

    /// The ports of a routing table.
    pub(super) fn ports(&self) -> impl Iterator<Item = Port<'a>> + 'a {
        let is_table = matches!(self.kind, kind::INITIALIZE_ROUTING_TABLE | kind::INITIALIZE_ROUTING_TABLE_ACK);
        let mut reader = Reader { bytes: if is_table { self.data } else { &[] }, at: 0 };
        let count = reader.octet().unwrap_or_default();
        (0..count).map_while(move |_| {
            let (network, id, length) = (reader.word()?, reader.octet()?, reader.octet()?);
            Some(Port { network, id, info: reader.take(length.into())? })
        })
    }

    /// The networks that it is about.
    pub(super) fn networks(&self) -> impl Iterator<Item = u16> + 'a {
        let message = *self;
        let (at, most) = match self.kind {
            kind::WHO_IS_ROUTER | kind::I_AM_ROUTER | kind::ROUTER_BUSY | kind::ROUTER_AVAILABLE => (0, usize::MAX),
            kind::I_COULD_BE_ROUTER | kind::ESTABLISH_CONNECTION | kind::DISCONNECT | kind::NETWORK_NUMBER_IS => (0, 1),
            kind::REJECT => (1, 1),
            _ => (0, 0),
        };
        let listed = (0..most).map_while(move |number| message.word(at + 2 * number));
        listed.chain(self.ports().map(|port| port.network))
    }

    /// Why a message was rejected (6.4.4).
    pub(super) fn rejection(&self) -> Option<u8> {
        self.data.first().copied().filter(|_| self.kind == kind::REJECT)
    }

    /// Whether a network number is set or learned (6.4.20).
    pub(super) fn quality(&self) -> Option<u8> {
        self.data.get(2).copied().filter(|_| self.kind == kind::NETWORK_NUMBER_IS)
    }

    /// Performance index of a router that could be one (6.4.3).
    pub(super) fn performance(&self) -> Option<u8> {
        self.data.get(2).copied().filter(|_| self.kind == kind::I_COULD_BE_ROUTER)
    }

    /// Minutes that an idle connection is to be kept; 0: for ever (6.4.9).
    pub(super) fn termination_min(&self) -> Option<u8> {
        self.data.get(2).copied().filter(|_| self.kind == kind::ESTABLISH_CONNECTION)
    }
}
