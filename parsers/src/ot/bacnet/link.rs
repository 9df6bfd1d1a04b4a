//! What carries the network layer: BACnet Virtual Link Control over UDP (Annex J), and ISO 8802-3 frames (clause 7).

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{INVALID_LENGTH, UNKNOWN_FUNCTION, network};
use crate::dissector::{Anomaly, Direction, Frame, Probe};

/// First octet of a virtual link control message of BACnet/IP (J.2).
const BACNET_IP: u8 = 0x81;
/// Octets in front of the data of a function: type, function, length.
const HEADER: usize = 4;
/// The LLC header of BACnet: both service access points are 0x82, unnumbered information (7.1).
const LLC: [u8; 3] = [0x82, 0x82, 0x03];
/// What frames of BACnet have where others have an ethertype (IEEE 802.2).
pub(super) const SERVICE_ACCESS_POINT: u16 = 0x82;
/// Octets of an entry of a table of broadcast distribution or of foreign devices.
const ENTRY: usize = 10;

/// The longest message, in bytes: what the length field can say.
pub(super) const LONGEST: usize = 65_535;

/// Functions of virtual link control (J.2).
pub(super) mod function {
    pub(crate) const RESULT: u8 = 0;
    pub(crate) const WRITE_BDT: u8 = 1;
    pub(crate) const READ_BDT: u8 = 2;
    pub(crate) const READ_BDT_ACK: u8 = 3;
    pub(crate) const FORWARDED_NPDU: u8 = 4;
    pub(crate) const REGISTER_FOREIGN_DEVICE: u8 = 5;
    pub(crate) const READ_FDT: u8 = 6;
    pub(crate) const READ_FDT_ACK: u8 = 7;
    pub(crate) const DELETE_FDT_ENTRY: u8 = 8;
    pub(crate) const DISTRIBUTE_BROADCAST: u8 = 9;
    pub(crate) const ORIGINAL_UNICAST_NPDU: u8 = 10;
    pub(crate) const ORIGINAL_BROADCAST_NPDU: u8 = 11;
    pub(crate) const SECURE_BVLL: u8 = 12;
}

/// What carries messages in a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// UDP datagrams (Annex J).
    Ip,
    /// Frames with an LLC header (clause 7).
    Ethernet,
}

/// The virtual link control of a message over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bvlc<'a> {
    pub(super) function: u8,
    /// What stands between the header and the NPDU; of functions without one, all.
    data: &'a [u8],
}

/// An entry of a table: whom broadcasts go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// A device that distributes broadcasts in its subnet, and the mask for directed broadcasts there (J.2.2).
    Distribution { address: SocketAddrV4, mask: Ipv4Addr },
    /// A foreign device, for how long it registered, and seconds until it is forgotten (J.2.8).
    Foreign { address: SocketAddrV4, time_to_live_s: u16, remaining_s: u16 },
}

/// A message's link layer, the NPDU behind it, where that begins, and what is wrong with the link layer.
pub(super) struct Link<'a> {
    pub(super) bvlc: Option<Bvlc<'a>>,
    pub(super) npdu: Option<&'a [u8]>,
    pub(super) offset: usize,
    pub(super) fault: Option<Anomaly>,
}

impl Carrier {
    /// Takes a message apart; `None` when no link layer is there.
    pub(super) fn open(self, message: &[u8]) -> Option<Link<'_>> {
        match self {
            Self::Ethernet => Some(Link { bvlc: None, npdu: message.get(LLC.len()..), offset: LLC.len(), fault: None }),
            Self::Ip => {
                let &[_, function, high, low, ..] = message else { return None };
                let all = message.get(HEADER..)?;
                let stated = usize::from(u16::from_be_bytes([high, low])) == message.len();
                let fault = |kind, offset| Some(Anomaly { kind, offset });
                let Some((own, carries)) = layout(function) else {
                    let bvlc = Bvlc { function, data: all };
                    return Some(Link {
                        bvlc: Some(bvlc),
                        npdu: None,
                        offset: HEADER,
                        fault: fault(UNKNOWN_FUNCTION, 1),
                    });
                };
                let (data, npdu) = match carries {
                    true => all.split_at_checked(own).map_or((all, None), |(data, npdu)| (data, Some(npdu))),
                    false => (all, None),
                };
                let sound = stated && suits(function, all.len());
                let fault = if sound { None } else { fault(INVALID_LENGTH, 2) };
                Some(Link { bvlc: Some(Bvlc { function, data }), npdu, offset: HEADER + own, fault })
            }
        }
    }

    /// States the length of a message that was joined.
    pub(super) fn state_length(self, message: &mut [u8]) {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
        if let (Self::Ip, Some(place)) = (self, message.get_mut(2..4)) {
            place.copy_from_slice(&length);
        }
    }

    /// Where does the message that begins here end? A datagram is one message: some devices state another length than they
    /// send, and others read what there is nevertheless.
    pub(super) fn frame(self, bytes: &[u8]) -> Frame {
        match self {
            Self::Ethernet if bytes.starts_with(&LLC) => Frame::Whole(bytes.len()),
            Self::Ethernet => Frame::Not,
            Self::Ip => match bytes {
                [BACNET_IP, _, _, _, ..] => Frame::Whole(bytes.len()),
                [] | [BACNET_IP, ..] => Frame::Need(HEADER),
                _ => Frame::Not,
            },
        }
    }
}

/// Do these bytes begin a message over UDP going this way? The length should be that of the datagram.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> Probe {
    let &[BACNET_IP, function, high, low, ..] = bytes else { return Probe::No };
    let stated = usize::from(u16::from_be_bytes([high, low]));
    let Some(Link { bvlc: Some(bvlc), npdu, .. }) = Carrier::Ip.open(bytes) else { return Probe::No };
    let sound = suits(function, bvlc.data.len() + npdu.map_or(0, <[u8]>::len));
    let probe = match npdu {
        _ if layout(function).is_none() || !sound => Probe::No,
        Some(npdu) => network::probe(npdu, direction, function != function::ORIGINAL_UNICAST_NPDU),
        // Who asks for tables is the client.
        None if bvlc.answers().is_some() == (direction == Direction::ToClient) => Probe::Certain,
        None => Probe::No,
    };
    if stated == bytes.len() { probe } else { probe.min(Probe::Maybe) }
}

/// Octets that a function has before its NPDU, and whether one follows.
const fn layout(function: u8) -> Option<(usize, bool)> {
    use function::*;
    Some(match function {
        RESULT
        | WRITE_BDT
        | READ_BDT
        | READ_BDT_ACK
        | REGISTER_FOREIGN_DEVICE
        | READ_FDT
        | READ_FDT_ACK
        | DELETE_FDT_ENTRY
        | SECURE_BVLL => (0, false),
        FORWARDED_NPDU => (6, true),
        DISTRIBUTE_BROADCAST | ORIGINAL_UNICAST_NPDU | ORIGINAL_BROADCAST_NPDU => (0, true),
        _ => return None,
    })
}

/// Is this the length that the data of the function may have?
const fn suits(function: u8, length: usize) -> bool {
    use function::*;
    match function {
        RESULT | REGISTER_FOREIGN_DEVICE => length == 2,
        READ_BDT | READ_FDT => length == 0,
        WRITE_BDT | READ_BDT_ACK | READ_FDT_ACK => length.is_multiple_of(ENTRY),
        DELETE_FDT_ENTRY => length == 6,
        FORWARDED_NPDU => length > 6,
        _ => length > 0,
    }
}

impl<'a> Bvlc<'a> {
    fn word(&self, function: u8) -> Option<u16> {
        let octets = self.data.first_chunk().filter(|_| self.function == function)?;
        Some(u16::from_be_bytes(*octets))
    }

    /// What a Result says (J.2.1).
    pub(super) fn result(&self) -> Option<u16> {
        self.word(function::RESULT)
    }

    /// For how many seconds a foreign device registers (J.2.6).
    pub(super) fn time_to_live_s(&self) -> Option<u16> {
        self.word(function::REGISTER_FOREIGN_DEVICE)
    }

    /// Whose message is forwarded (J.2.5), or who is to be deleted from the table (J.2.9).
    pub(super) fn address(&self) -> Option<SocketAddrV4> {
        use function::*;
        matches!(self.function, FORWARDED_NPDU | DELETE_FDT_ENTRY).then(|| socket(self.data)).flatten()
    }

    /// The entries of a table.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + 'a {
        use function::*;
        let function = self.function;
        let data = if matches!(function, WRITE_BDT | READ_BDT_ACK | READ_FDT_ACK) { self.data } else { &[] };
        data.chunks_exact(ENTRY).filter_map(move |entry| {
            let (address, &[.., a, b, c, d]) = (socket(entry)?, entry) else { return None };
            Some(match function {
                READ_FDT_ACK => Entry::Foreign {
                    address,
                    time_to_live_s: u16::from_be_bytes([a, b]),
                    remaining_s: u16::from_be_bytes([c, d]),
                },
                _ => Entry::Distribution { address, mask: Ipv4Addr::new(a, b, c, d) },
            })
        })
    }

    /// The function that a message answers, where it is an answer; of a success, any.
    pub(super) fn answers(&self) -> Option<Option<u8>> {
        match self.function {
            function::READ_BDT_ACK => Some(Some(function::READ_BDT)),
            function::READ_FDT_ACK => Some(Some(function::READ_FDT)),
            function::RESULT => Some(match self.result()? {
                0 => None,
                0x10 => Some(function::WRITE_BDT),
                0x20 => Some(function::READ_BDT),
                0x30 => Some(function::REGISTER_FOREIGN_DEVICE),
                0x40 => Some(function::READ_FDT),
                0x50 => Some(function::DELETE_FDT_ENTRY),
                _ => Some(function::DISTRIBUTE_BROADCAST),
            }),
            _ => None,
        }
    }

    /// Is an answer to be expected?
    pub(super) fn is_request(&self) -> bool {
        use function::*;
        matches!(self.function, WRITE_BDT | READ_BDT | REGISTER_FOREIGN_DEVICE | READ_FDT | DELETE_FDT_ENTRY)
    }
}

fn socket(octets: &[u8]) -> Option<SocketAddrV4> {
    let &[a, b, c, d, high, low] = octets.first_chunk()?;
    Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
}
