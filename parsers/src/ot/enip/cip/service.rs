//! One CIP message: a service asked of an object, or its answer (volume 1 §2-4), and the messages embedded in it.

use super::super::read::{octet, uint};
use super::super::{INVALID_OFFSET, INVALID_PATH, INVALID_PDU};
use super::path::{Logical, Path};
use crate::dissector::Anomaly;

/// Set in the service code of a response.
pub(crate) const REPLY: u8 = 0x80;

/// Common services (volume 1 appendix A-3) and those of the Connection Manager (§3-5.5) that are read further.
pub(crate) mod code {
    pub(crate) const GET_ATTRIBUTES_ALL: u8 = 0x01;
    pub(crate) const SET_ATTRIBUTES_ALL: u8 = 0x02;
    pub(crate) const GET_ATTRIBUTE_LIST: u8 = 0x03;
    pub(crate) const SET_ATTRIBUTE_LIST: u8 = 0x04;
    pub(crate) const RESET: u8 = 0x05;
    pub(crate) const START: u8 = 0x06;
    pub(crate) const STOP: u8 = 0x07;
    pub(crate) const CREATE: u8 = 0x08;
    pub(crate) const DELETE: u8 = 0x09;
    pub(crate) const MULTIPLE_SERVICE_PACKET: u8 = 0x0a;
    pub(crate) const APPLY_ATTRIBUTES: u8 = 0x0d;
    pub(crate) const GET_ATTRIBUTE_SINGLE: u8 = 0x0e;
    pub(crate) const SET_ATTRIBUTE_SINGLE: u8 = 0x10;
    pub(crate) const FIND_NEXT_INSTANCE: u8 = 0x11;
    pub(crate) const RESTORE: u8 = 0x15;
    pub(crate) const SAVE: u8 = 0x16;
    pub(crate) const GET_MEMBER: u8 = 0x18;
    pub(crate) const SET_MEMBER: u8 = 0x19;
    pub(crate) const INSERT_MEMBER: u8 = 0x1a;
    pub(crate) const REMOVE_MEMBER: u8 = 0x1b;
    pub(crate) const EXECUTE_PCCC: u8 = 0x4b;
    pub(crate) const READ_TAG: u8 = 0x4c;
    pub(crate) const WRITE_TAG: u8 = 0x4d;
    pub(crate) const FORWARD_CLOSE: u8 = 0x4e;
    pub(crate) const READ_MODIFY_WRITE_TAG: u8 = 0x4e;
    pub(crate) const READ_TAG_FRAGMENTED: u8 = 0x52;
    pub(crate) const UNCONNECTED_SEND: u8 = 0x52;
    pub(crate) const WRITE_TAG_FRAGMENTED: u8 = 0x53;
    pub(crate) const FORWARD_OPEN: u8 = 0x54;
    pub(crate) const GET_INSTANCE_ATTRIBUTE_LIST: u8 = 0x55;
    pub(crate) const GET_CONNECTION_DATA: u8 = 0x56;
    pub(crate) const SEARCH_CONNECTION_DATA: u8 = 0x57;
    pub(crate) const GET_CONNECTION_OWNER: u8 = 0x5a;
    pub(crate) const LARGE_FORWARD_OPEN: u8 = 0x5b;

    /// General status of an answer to a list of attributes that has not all of them.
    pub(crate) const LIST_ERROR: u8 = 0x0a;
}

/// Classes whose services are read further.
pub(crate) mod class {
    pub(crate) const IDENTITY: u32 = 0x01;
    pub(crate) const MESSAGE_ROUTER: u32 = 0x02;
    pub(crate) const CONNECTION_MANAGER: u32 = 0x06;
    pub(crate) const FILE: u32 = 0x37;
    pub(crate) const TIME_SYNC: u32 = 0x43;
    pub(crate) const SECURITY: u32 = 0x5d;
    pub(crate) const SECURITY_EIP: u32 = 0x5e;
    pub(crate) const SECURITY_CERTIFICATE: u32 = 0x5f;
    pub(crate) const CONTROLLER: u32 = 0x64;
    pub(crate) const PCCC: u32 = 0x67;
    pub(crate) const PROGRAM: u32 = 0x68;
    pub(crate) const MODULE: u32 = 0x69;
    pub(crate) const BACKUP: u32 = 0x6a;
    pub(crate) const SYMBOL: u32 = 0x6b;
    pub(crate) const TEMPLATE: u32 = 0x6c;
    pub(crate) const ROUTINE: u32 = 0x6d;
    pub(crate) const TASK: u32 = 0x70;
    pub(crate) const DATA_TABLE: u32 = 0x72;
    pub(crate) const SEMAPHORE: u32 = 0x74;
    pub(crate) const WALL_CLOCK: u32 = 0x8b;
    pub(crate) const MODE: u32 = 0x8e;
    pub(crate) const NONVOLATILE_STORAGE: u32 = 0xa1;
    pub(crate) const TAG_LIST: u32 = 0xb2;
    pub(crate) const TCP_IP_INTERFACE: u32 = 0xf5;
}

/// Messages embedded within embedded messages: deeper ones are not looked for.
const DEEPEST: usize = 3;

/// A view of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service<'a> {
    /// Where it begins in the encapsulation message.
    pub(crate) offset: usize,
    /// The service code as on the wire.
    pub(crate) raw: u8,
    /// What is addressed; empty in a response.
    pub(crate) path: Path<'a>,
    /// General status of a response (volume 1 appendix B-1).
    pub(crate) status: u8,
    /// Additional status of a response, in words.
    pub(crate) extended: &'a [u8],
    /// What follows path or status.
    pub(crate) data: &'a [u8],
    /// Where `data` begins in the encapsulation message.
    pub(crate) data_offset: usize,
}

impl<'a> Service<'a> {
    pub(crate) fn new(bytes: &'a [u8], offset: usize) -> Result<Self, Anomaly> {
        let short = Anomaly { kind: INVALID_PDU, offset: offset + bytes.len() };
        let raw = octet(bytes, 0).ok_or(short)?;
        if raw & REPLY == 0 {
            let end = 2 + 2 * usize::from(octet(bytes, 1).ok_or(short)?);
            let path = Path { bytes: bytes.get(2..end).ok_or(Anomaly { kind: INVALID_PATH, offset: offset + 1 })? };
            let data = bytes.get(end..).unwrap_or_default();
            let data_offset = offset + end;
            return Ok(Self { offset, raw, path, status: 0, extended: &[], data, data_offset });
        }
        let status = octet(bytes, 2).ok_or(short)?;
        // Some leave the size of the additional status out when there is none.
        let end = 4 + 2 * usize::from(octet(bytes, 3).unwrap_or(0));
        let extended = bytes.get(4.min(bytes.len())..end.min(bytes.len())).unwrap_or_default();
        if end > 4 && bytes.len() < end {
            return Err(short);
        }
        let data = bytes.get(end..).unwrap_or_default();
        Ok(Self { offset, raw, path: Path::default(), status, extended, data, data_offset: offset + end })
    }

    pub(crate) fn is_request(&self) -> bool {
        self.raw & REPLY == 0
    }

    /// The service code without the reply bit.
    pub(crate) fn code(&self) -> u8 {
        self.raw & !REPLY
    }

    /// The first word of the additional status.
    pub(crate) fn extended_status(&self) -> Option<u16> {
        uint(self.extended, 0)
    }

    /// A request of the Connection Manager.
    fn is_of_connection_manager(&self) -> bool {
        self.path.first(Logical::Class) == Some(class::CONNECTION_MANAGER)
    }

    /// Is it the request for sending a message on?
    pub(crate) fn is_unconnected_send(&self) -> bool {
        self.raw == code::UNCONNECTED_SEND && self.is_of_connection_manager()
    }

    /// Is it a Forward Open, large or not, or a Forward Close?
    pub(crate) fn is_about_connection(&self) -> bool {
        matches!(self.raw, code::FORWARD_OPEN | code::LARGE_FORWARD_OPEN | code::FORWARD_CLOSE)
            && self.is_of_connection_manager()
    }

    /// The message that an Unconnected Send is to send on (§3-5.5.4), and where it is sent.
    pub(crate) fn sent_on(&self) -> Option<(Result<Self, Anomaly>, Path<'a>)> {
        if !self.is_unconnected_send() {
            return None;
        }
        let size = usize::from(uint(self.data, 2)?);
        let embedded = Self::new(self.data.get(4..4 + size)?, self.data_offset + 4);
        let after = 4 + size.next_multiple_of(2);
        let words = octet(self.data, after).map_or(0, usize::from);
        let route = self.data.get(after + 2..after + 2 + 2 * words).unwrap_or_default();
        Some((embedded, Path { bytes: route }))
    }

    /// The messages of a Multiple Service Packet (appendix ), or of its response.
    pub(crate) fn packed(&self) -> Packed<'a> {
        // 0x1e: some of the embedded services have failed, and all are there.
        let is_packed = self.code() == code::MULTIPLE_SERVICE_PACKET && matches!(self.status, 0 | 0x1e);
        let count = if is_packed { uint(self.data, 0).unwrap_or(0) } else { 0 };
        Packed { data: self.data, offset: self.data_offset, count, next: 0 }
    }

    /// May messages be embedded in it? Of nearly all the service code says that there are none.
    fn embeds(&self) -> bool {
        matches!(self.code(), code::MULTIPLE_SERVICE_PACKET | code::UNCONNECTED_SEND)
    }

    /// How many messages it is, with those embedded.
    pub(crate) fn count(&self) -> u64 {
        self.count_within(DEEPEST)
    }

    fn count_within(&self, depth: usize) -> u64 {
        let mut count = 1;
        if !self.embeds() {
            return count;
        }
        self.each_embedded(depth, &mut |embedded, depth| count += embedded.count_within(depth), &mut |_| {});
        count
    }

    /// Calls `visit` for this and then each embedded message, in order; `faults` hears of those that cannot be read.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Self), faults: &mut dyn FnMut(Anomaly)) {
        self.walk_within(DEEPEST, visit, faults);
    }

    fn walk_within(&self, depth: usize, visit: &mut dyn FnMut(&Self), faults: &mut dyn FnMut(Anomaly)) {
        visit(self);
        if !self.embeds() {
            return;
        }
        // Two closures cannot borrow `faults` at once, so what is wrong below is told after.
        let mut wrong = [None; 4];
        let mut found = 0;
        self.each_embedded(
            depth,
            &mut |embedded, depth| {
                embedded.walk_within(depth, visit, &mut |fault| {
                    if let Some(free) = wrong.get_mut(found) {
                        *free = Some(fault);
                        found += 1;
                    }
                });
            },
            faults,
        );
        wrong.into_iter().flatten().for_each(faults);
    }

    fn each_embedded(&self, depth: usize, visit: &mut dyn FnMut(&Self, usize), faults: &mut dyn FnMut(Anomaly)) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let sent_on = self.sent_on().map(|(embedded, _)| embedded);
        for embedded in sent_on.into_iter().chain(self.packed()) {
            match embedded {
                Ok(embedded) => visit(&embedded, depth),
                Err(fault) => faults(fault),
            }
        }
    }
}

/// The messages of a Multiple Service Packet, by their offsets.
#[derive(Debug, Clone)]
pub(crate) struct Packed<'a> {
    data: &'a [u8],
    offset: usize,
    count: u16,
    next: u16,
}

impl<'a> Iterator for Packed<'a> {
    type Item = Result<Service<'a>, Anomaly>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.count {
            return None;
        }
        let place = 2 + 2 * usize::from(self.next);
        self.next += 1;
        let fault = Anomaly { kind: INVALID_OFFSET, offset: self.offset + place };
        let Some(from) = uint(self.data, place).map(usize::from) else {
            self.next = self.count;
            return Some(Err(fault));
        };
        let end = match self.next < self.count {
            true => uint(self.data, place + 2).map_or(self.data.len(), usize::from),
            false => self.data.len(),
        };
        let first = 2 + 2 * usize::from(self.count);
        let bytes = if from >= first { self.data.get(from..end) } else { None };
        Some(match bytes {
            Some(bytes) => Service::new(bytes, self.offset + from),
            None => Err(fault),
        })
    }
}
