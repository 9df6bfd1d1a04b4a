//! The encapsulation header: detection, framing, and a view of one message with its command's data
//! (The EtherNet/IP Specification, CIP Networks Library volume 2, §2-3).

use super::cip::service::Service;
use super::item::{self, Items};
use super::read::{octet, short_string, udint, uint};
use super::{INVALID_PDU, LONGEST_MESSAGE, names};
use crate::dissector::{Anomaly, Direction, Frame, Probe};

/// Length of the header (§2-3.1).
pub(super) const HEADER: usize = 24;
/// The longest data that the length field may state (§2-3.3).
const LONGEST_DATA: usize = LONGEST_MESSAGE - HEADER;

/// Commands with a layout (§2-3.2).
pub(super) mod command {
    pub(in super::super) const NOP: u16 = 0x0000;
    pub(in super::super) const LIST_SERVICES: u16 = 0x0004;
    pub(in super::super) const LIST_IDENTITY: u16 = 0x0063;
    pub(in super::super) const LIST_INTERFACES: u16 = 0x0064;
    pub(in super::super) const REGISTER_SESSION: u16 = 0x0065;
    pub(in super::super) const UNREGISTER_SESSION: u16 = 0x0066;
    pub(in super::super) const SEND_RR_DATA: u16 = 0x006f;
    pub(in super::super) const SEND_UNIT_DATA: u16 = 0x0070;
}

use command::*;

/// Where the message that begins here ends. A command that nobody knows is framed, so that it is reported instead of
/// breaking the framing, when the rest of the header is as the standard wants it.
pub(super) fn frame(bytes: &[u8], _: Direction) -> Frame {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Frame::Need(HEADER) };
    let (Some(command), Some(length), Some(options)) = (uint(header, 0), uint(header, 2), udint(header, 20)) else {
        return Frame::Not;
    };
    let known = names::is_command(command);
    let sound = options == 0 && udint(header, 8).is_some_and(|status| status <= 0xffff);
    if usize::from(length) > LONGEST_DATA || !(known || sound) {
        return Frame::Not;
    }
    let end = HEADER + usize::from(length);
    if bytes.len() >= end { Frame::Whole(end) } else { Frame::Need(end) }
}

/// Certain of a known command whose data have the layout that the command gives them, in a message of this direction.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> Probe {
    let Some(command) = uint(bytes, 0) else { return Probe::Maybe };
    if !names::is_command(command) {
        return Probe::No;
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return if udint(bytes, 8).is_none_or(names::is_status) { Probe::Maybe } else { Probe::No };
    };
    let sound = udint(header, 8).is_some_and(names::is_status) && udint(header, 20) == Some(0);
    let length = uint(header, 2).map_or(0, usize::from);
    if !sound || length > LONGEST_DATA {
        return Probe::No;
    }
    let Some(whole) = bytes.get(..HEADER + length) else { return begun(command, length, bytes) };
    match Message::new(whole, direction) {
        Ok(message) => judge(&message, bytes.len() == whole.len()),
        Err(_) => Probe::No,
    }
}

/// The beginning of a message that is not all there: the lengths that its command does not have speak against it.
fn begun(command: u16, length: usize, bytes: &[u8]) -> Probe {
    let possible = match command {
        SEND_RR_DATA | SEND_UNIT_DATA => {
            udint(bytes, HEADER).is_none_or(|interface| interface == 0) && length >= item::PREFIX + 2
        }
        REGISTER_SESSION => length == 4,
        UNREGISTER_SESSION => length == 0,
        _ => true,
    };
    if possible { Probe::Maybe } else { Probe::No }
}

/// `alone` says that nothing follows the message.
fn judge(message: &Message<'_>, alone: bool) -> Probe {
    let certain = |yes: bool| if yes { Probe::Certain } else { Probe::No };
    let failed = message.status != 0;
    match message.command {
        SEND_RR_DATA | SEND_UNIT_DATA if failed && message.data.is_empty() => Probe::Shared,
        SEND_RR_DATA | SEND_UNIT_DATA => match message.contents.and_then(|contents| contents.cip) {
            // Devices may ask each other over one connection, so the reply bit decides less than the layout.
            Some(Ok(service)) if service.is_request() == message.request => Probe::Certain,
            Some(_) => Probe::Maybe,
            None => certain(message.items().is_some_and(|mut items| items.any(|item| item.kind != 0))),
        },
        REGISTER_SESSION => match message.register() {
            Some((version, 0)) => certain((1..=2).contains(&version) && message.request == (message.session == 0)),
            _ => Probe::No,
        },
        UNREGISTER_SESSION if !message.data.is_empty() || !message.request || message.session == 0 => Probe::No,
        UNREGISTER_SESSION => {
            if alone {
                Probe::Maybe
            } else {
                Probe::Shared
            }
        }
        LIST_IDENTITY | LIST_SERVICES | LIST_INTERFACES => match message.data {
            // Nothing but zeros and one octet: chance has that within other bytes, so it counts alone. A context, where
            // there is one, begins with what counts or marks.
            [] if message.request && message.session == 0 => match message.context {
                [0, 0, 0, 0, 0, 0, 0, 0] if alone => Probe::Certain,
                [first, second, ..] if alone && (*first, *second) != (0, 0) => Probe::Maybe,
                _ => Probe::Shared,
            },
            [] => Probe::No,
            _ if message.request => Probe::No,
            _ => certain(message.listed().is_some_and(|items| items.is_whole())),
        },
        // Any data, or none: a row of zeros is a row of these.
        _ => Probe::Shared,
    }
}

/// A view of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) command: u16,
    pub(super) length: u16,
    pub(super) session: u32,
    pub(super) status: u32,
    pub(super) context: &'a [u8],
    pub(super) options: u32,
    /// What follows the header.
    pub(super) data: &'a [u8],
    pub(super) request: bool,
    /// What the items of Send RR Data and Send Unit Data carry; `None` when there are no items.
    pub(super) contents: Option<Contents<'a>>,
}

/// What items carry. It is read once, since a message is asked for it many times.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contents<'a> {
    /// Where the item begins that is not whole.
    pub(super) fault: Option<usize>,
    /// The connection that a connected message travels in, as its receiver numbers it.
    connection: Option<u32>,
    /// Sequence count of a connected message (volume 1 §3-6.2).
    sequence: Option<u16>,
    /// The CIP message, unconnected or behind the sequence count.
    pub(super) cip: Option<Result<Service<'a>, Anomaly>>,
}

impl<'a> Contents<'a> {
    /// Of items of one kind the first counts.
    fn new(mut items: Items<'a>) -> Self {
        let (mut addressed, mut connected) = (false, false);
        let mut contents = Self::default();
        for item in items.by_ref() {
            let skip = match item.kind {
                item::UNCONNECTED_DATA => 0,
                item::CONNECTED_DATA => {
                    if !std::mem::replace(&mut connected, true) {
                        contents.sequence = uint(item.data, 0);
                    }
                    2
                }
                item::CONNECTED_ADDRESS => {
                    if !std::mem::replace(&mut addressed, true) {
                        contents.connection = udint(item.data, 0);
                    }
                    continue;
                }
                _ => continue,
            };
            let message = item.data.get(skip..).filter(|message| !message.is_empty());
            if let (Some(message), None) = (message, contents.cip) {
                contents.cip = Some(Service::new(message, item.offset + skip));
            }
        }
        contents.fault = items.fault();
        contents
    }
}

/// The identity item of a List Identity reply (§2-4.3.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) protocol_version: u16,
    pub(super) port: u16,
    pub(super) address: std::net::Ipv4Addr,
    pub(super) vendor: u16,
    pub(super) device_type: u16,
    pub(super) product_code: u16,
    pub(super) revision: [u8; 2],
    pub(super) status: u16,
    pub(super) serial: u32,
    pub(super) product_name: &'a [u8],
    pub(super) state: Option<u8>,
}

/// The service item of a List Services reply (§2-4.6.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer<'a> {
    pub(super) protocol_version: u16,
    pub(super) capabilities: u16,
    pub(super) name: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message as [`frame`] delimited it.
    pub(super) fn new(bytes: &'a [u8], direction: Direction) -> Result<Self, Anomaly> {
        let short = Anomaly { kind: INVALID_PDU, offset: bytes.len() };
        let (header, data) = bytes.split_at_checked(HEADER).ok_or(short)?;
        let command = uint(header, 0).ok_or(short)?;
        Ok(Self {
            command,
            length: uint(header, 2).ok_or(short)?,
            session: udint(header, 4).ok_or(short)?,
            status: udint(header, 8).ok_or(short)?,
            context: header.get(12..20).ok_or(short)?,
            options: udint(header, 20).ok_or(short)?,
            data,
            request: direction == Direction::ToServer,
            contents: items(command, data).map(Contents::new),
        })
    }

    /// Protocol version and option flags of Register Session (§2-4.4).
    pub(super) fn register(&self) -> Option<(u16, u16)> {
        if self.command != REGISTER_SESSION || self.data.len() != 4 {
            return None;
        }
        Some((uint(self.data, 0)?, uint(self.data, 2)?))
    }

    /// The items of Send RR Data and Send Unit Data.
    pub(super) fn items(&self) -> Option<Items<'a>> {
        items(self.command, self.data)
    }

    /// The items of a reply to one of the list commands.
    pub(super) fn listed(&self) -> Option<Items<'a>> {
        if self.request || !matches!(self.command, LIST_IDENTITY | LIST_SERVICES | LIST_INTERFACES) {
            return None;
        }
        Items::new(self.data, HEADER)
    }

    /// The connection that a connected message travels in, as its receiver numbers it.
    pub(super) fn connection(&self) -> Option<u32> {
        self.contents?.connection
    }

    /// Sequence count of a connected message (volume 1 §3-6.2).
    pub(super) fn sequence(&self) -> Option<u16> {
        self.contents?.sequence
    }

    /// The CIP message within, as far as it can be read.
    pub(super) fn service(&self) -> Option<&Service<'a>> {
        self.contents.as_ref()?.cip.as_ref()?.as_ref().ok()
    }

    /// What List Identity answers.
    pub(super) fn identity(&self) -> Option<Identity<'a>> {
        let data = self.listed()?.find(|item| item.kind == item::IDENTITY)?.data;
        let name = short_string(data, 32)?;
        let address: [u8; 4] = data.get(6..10)?.try_into().ok()?;
        Some(Identity {
            protocol_version: uint(data, 0)?,
            port: uint(data, 4)?.swap_bytes(),
            address: address.into(),
            vendor: uint(data, 18)?,
            device_type: uint(data, 20)?,
            product_code: uint(data, 22)?,
            revision: [octet(data, 24)?, octet(data, 25)?],
            status: uint(data, 26)?,
            serial: udint(data, 28)?,
            product_name: name,
            state: octet(data, 33 + name.len()),
        })
    }

    /// What List Services answers, one an item.
    pub(super) fn offers(&self) -> impl Iterator<Item = Offer<'a>> + use<'a> {
        let items = self.listed().filter(|_| self.command == LIST_SERVICES);
        items.into_iter().flatten().filter(|item| item.kind == item::SERVICES).filter_map(|item| {
            let name = item.data.get(4..)?;
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            let name = name.get(..end.min(16))?;
            Some(Offer { protocol_version: uint(item.data, 0)?, capabilities: uint(item.data, 2)?, name })
        })
    }
}

/// The items that a message of this command has, behind interface handle and timeout (§2-4.7).
fn items(command: u16, data: &[u8]) -> Option<Items<'_>> {
    if !matches!(command, SEND_RR_DATA | SEND_UNIT_DATA) || udint(data, 0)? != 0 {
        return None;
    }
    Items::new(data.get(item::PREFIX..)?, HEADER + item::PREFIX)
}
