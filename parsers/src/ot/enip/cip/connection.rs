//! Connections: what Forward Open and Forward Close say of them (volume 1 §3-5.5), and those that a flow has open.

use super::super::read::{octet, udint, uint};
use super::path::Path;
use super::service::{Service, code};
use crate::dissector::Sink;
use crate::limits::{Bound, Limits};

/// What names a connection for its whole life: connection serial number, vendor and serial number of the originator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serial {
    pub(crate) connection: u16,
    pub(crate) vendor: u16,
    pub(crate) originator: u32,
}

impl Serial {
    fn read(data: &[u8], at: usize) -> Option<Self> {
        Some(Self { connection: uint(data, at)?, vendor: uint(data, at + 2)?, originator: udint(data, at + 4)? })
    }
}

/// One direction of a connection as it is asked for or granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Connection identifier in the network.
    pub(crate) id: u32,
    /// Requested or actual packet interval, in microseconds.
    pub(crate) interval_us: u32,
    /// Size of what is sent each time, in bytes; only a request says.
    pub(crate) size: Option<u16>,
}

/// What a Forward Open, its answer, or a Forward Close says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) serial: Serial,
    /// Originator to target, target to originator.
    pub(crate) ways: Option<[Way; 2]>,
    /// Class and trigger (§3-4.4.3): direction, trigger, class.
    pub(crate) transport: Option<u8>,
    pub(crate) path: Path<'a>,
}

impl<'a> Opening<'a> {
    /// Reads a request, or the answer to `request`.
    pub(crate) fn new(message: &Service<'a>, request: &Service<'a>) -> Option<Self> {
        if !request.is_about_connection() {
            return None;
        }
        match (message.is_request(), request.raw) {
            (true, code::FORWARD_CLOSE) => Self::close(message.data),
            (true, kind) => Self::open(message.data, kind == code::LARGE_FORWARD_OPEN),
            (false, code::FORWARD_CLOSE) => Self::bare(Serial::read(message.data, 0)?),
            (false, _) if message.status == 0 => Self::granted(message.data),
            (false, _) => Self::bare(Serial::read(message.data, 0)?),
        }
    }

    fn bare(serial: Serial) -> Option<Self> {
        Some(Self { serial, ways: None, transport: None, path: Path::default() })
    }

    fn open(data: &'a [u8], large: bool) -> Option<Self> {
        let size = if large { 4 } else { 2 };
        let way = |id, at| {
            let parameters = if large { udint(data, at + 4)? & 0xffff } else { u32::from(uint(data, at + 4)? & 0x1ff) };
            Some(Way { id, interval_us: udint(data, at)?, size: Some(parameters as u16) })
        };
        let (first, second) = (22, 26 + size);
        let ways = [way(udint(data, 2)?, first)?, way(udint(data, 6)?, second)?];
        let transport = second + 4 + size;
        let words = usize::from(octet(data, transport + 1)?);
        let path = data.get(transport + 2..)?;
        Some(Self {
            serial: Serial::read(data, 10)?,
            ways: Some(ways),
            transport: octet(data, transport),
            path: Path { bytes: path.get(..2 * words).unwrap_or(path) },
        })
    }

    fn granted(data: &'a [u8]) -> Option<Self> {
        let way = |id, at| Some(Way { id: udint(data, id)?, interval_us: udint(data, at)?, size: None });
        Some(Self {
            serial: Serial::read(data, 8)?,
            ways: Some([way(0, 16)?, way(4, 20)?]),
            transport: None,
            path: Path::default(),
        })
    }

    fn close(data: &'a [u8]) -> Option<Self> {
        let words = usize::from(octet(data, 10)?);
        let path = data.get(12..).unwrap_or_default();
        let path = Path { bytes: path.get(..2 * words).unwrap_or(path) };
        Some(Self { path, ..Self::bare(Serial::read(data, 2)?)? })
    }
}

/// An open connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    serial: Serial,
    /// Identifiers, originator to target and back.
    ids: [u32; 2],
    path: Vec<u8>,
}

impl Connection {
    pub(crate) fn path(&self) -> Path<'_> {
        Path { bytes: &self.path }
    }

    /// Are these identifiers of its two directions? Some targets answer with that of the request.
    pub(crate) fn joins(&self, one: u32, other: u32) -> bool {
        self.ids.contains(&one) && self.ids.contains(&other)
    }
}

/// The connections that a flow has open, oldest first. Bounded like the requests that wait.
#[derive(Debug)]
pub(crate) struct Connections {
    open: Vec<Connection>,
    most: usize,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { open: Vec::new(), most: usize::from(limits.requests.max(1)) }
    }

    /// The one that has this identifier in one of its directions.
    pub(crate) fn by_id(&self, id: u32) -> Option<&Connection> {
        self.open.iter().rev().find(|connection| connection.ids.contains(&id))
    }

    /// The one that `request`, a Forward Close, is to close.
    pub(crate) fn closed_by(&self, request: &Service<'_>) -> Option<&Connection> {
        if request.raw != code::FORWARD_CLOSE {
            return None;
        }
        let serial = Opening::new(request, request)?.serial;
        self.open.iter().rev().find(|connection| connection.serial == serial)
    }

    /// Follows what an answer says: a connection is opened or closed. The oldest makes room.
    pub(crate) fn follow(&mut self, answer: &Service<'_>, request: &Service<'_>, sink: &mut dyn Sink) {
        if answer.status != 0 || !request.is_about_connection() {
            return;
        }
        let Some(asked) = Opening::new(request, request) else { return };
        self.open.retain(|connection| connection.serial != asked.serial);
        if let Some([one, other]) = Opening::new(answer, request).and_then(|granted| granted.ways) {
            if self.open.len() >= self.most {
                self.open.remove(0);
                sink.bounded(Bound::Requests);
            }
            let path = asked.path.bytes.to_vec();
            self.open.push(Connection { serial: asked.serial, ids: [one.id, other.id], path });
        }
    }
}
