//! The record of S7 communication: a message of it, or one of the transport that it stands on.

use super::block::{Block, Service, Transfer};
use super::item::{Address, Any, Data, Items, lids, values};
use super::pdu::{ACK_DATA, JOB, Pdu, function};
use super::szl::Szl;
use super::userdata::{REQUEST, RESPONSE, Userdata};
use super::{PROTOCOL, eve, names, operation};
use crate::dissector::{Direction, Pairing};
use crate::field::{Value, Visit};
use crate::identity::FactKind;
use crate::layer::cotp::{self, Connection, Header};

/// What a record is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    /// A TPDU without user data: code and header.
    Transport(u8, Header<'a>),
    /// A message of S7 communication.
    Pdu(Pdu<'a>),
}

/// A message with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) body: Body<'a>,
    /// What it answers, if that was seen.
    pub(super) request: Option<Pdu<'a>>,
    /// Of userdata, what it carries; all that came so far of an answer in several parts, unless some of it was lost.
    pub(super) payload: Option<&'a [u8]>,
    /// The block of the upload that the message belongs to.
    pub(super) transferred: Option<Block>,
    pub(super) direction: Direction,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

crate::dissector::record!(Message<'_>, PROTOCOL, visit, eve::write, operation);

impl<'a> Message<'a> {
    pub(super) fn pdu(&self) -> Option<Pdu<'a>> {
        if let Body::Pdu(pdu) = self.body { Some(pdu) } else { None }
    }

    /// What is asked for: the message itself, unless it answers another. What is told unasked asks for itself.
    pub(super) fn asked(&self) -> Option<Pdu<'a>> {
        let pdu = self.pdu()?;
        let own = pdu.kind == JOB || self.userdata().is_some_and(|userdata| userdata.kind != RESPONSE);
        // An answer to a request that was not seen says itself which userdata it answers.
        let answers = || Userdata::read(&pdu).is_some().then_some(pdu);
        if own { Some(pdu) } else { self.request.or_else(answers) }
    }

    pub(super) fn userdata(&self) -> Option<Userdata<'a>> {
        Userdata::read(&self.pdu()?)
    }

    pub(super) fn transport(&self) -> Option<(u8, Header<'a>)> {
        if let Body::Transport(code, header) = self.body { Some((code, header)) } else { None }
    }

    pub(super) fn connection(&self) -> Option<Connection<'a>> {
        match self.transport()?.1 {
            Header::ConnectionRequest(connection) | Header::ConnectionConfirm(connection) => Some(connection),
            _ => None,
        }
    }

    /// The addresses of read and write, or of cyclic services and the like.
    pub(super) fn items(&self) -> Items<'a> {
        let Some(asked) = self.asked() else { return Items::NONE };
        match asked.parameter {
            [function::READ_VAR | function::WRITE_VAR, count, items @ ..] if asked.kind == JOB => {
                Items::new(items, *count)
            }
            _ => Userdata::read(&asked).map_or(Items::NONE, |userdata| userdata.items()),
        }
    }

    /// Results and data of items that the message itself carries.
    pub(super) fn data(&self) -> Data<'a> {
        self.pdu().map_or(Data::NONE, |pdu| data(&pdu))
    }

    /// What is written: by the message, or by the request that it answers.
    pub(super) fn written(&self) -> Data<'a> {
        match self.asked() {
            Some(asked) if asked.function() == Some(function::WRITE_VAR) => data(&asked),
            _ => Data::NONE,
        }
    }

    pub(super) fn transfer(&self) -> Option<Transfer<'a>> {
        Transfer::read(&self.pdu()?)
    }

    /// The block that is transferred.
    pub(super) fn block(&self) -> Option<Block> {
        let named = |pdu: Option<Pdu<'a>>| Transfer::read(&pdu?)?.block;
        named(self.pdu()).or_else(|| named(self.request)).or(self.transferred)
    }

    pub(super) fn service(&self) -> Option<Service<'a>> {
        Service::read(&self.asked()?)
    }

    /// The partial list that is asked for or answered.
    pub(super) fn szl(&self) -> Option<Szl<'a>> {
        let own = || self.userdata()?.szl(self.payload?);
        let asked = || {
            let asked = Userdata::read(&self.request?)?;
            asked.szl(asked.payload)
        };
        own().or_else(asked)
    }

    /// Facts of one kind in the message.
    fn told(&self, wanted: FactKind, out: &mut Visit<'_>) {
        if let Some(szl) = self.szl() {
            szl.identity(&mut |kind, value| match value {
                _ if kind != wanted => {}
                Value::Text(text) => out(Value::Bytes(text.as_bytes())),
                value => out(value),
            });
        }
    }

    fn any(&self) -> impl Iterator<Item = Any> + use<'a> {
        self.items().filter_map(|item| if let Address::Any(any) = item.address { Some(any) } else { None })
    }

    /// The values of items whose type is known.
    fn values(&self, out: &mut Visit<'_>) {
        let mut items = self.items();
        for datum in self.data() {
            if let Some(Address::Any(any)) = items.next().map(|item| item.address) {
                values(any.transport, datum.bytes).for_each(&mut *out);
            }
        }
    }

    /// Every block that the message names.
    pub(super) fn blocks(&self, out: &mut dyn FnMut(Block)) {
        self.block().into_iter().for_each(&mut *out);
        self.service().iter().flat_map(Service::blocks).for_each(&mut *out);
        let described = self.asked().and_then(|asked| Userdata::read(&asked)?.block());
        described.into_iter().for_each(&mut *out);
    }

    /// Rack and slot of the module that the connection is to.
    pub(super) fn place(&self) -> Option<Place> {
        Place::read(self.connection()?.called_tsap()?)
    }
}

/// What a transport selector of two bytes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// One of [`names::CONNECTION_TYPES`], or the number of a resource.
    pub(super) connection: u8,
    pub(super) rack: u8,
    pub(super) slot: u8,
}

impl Place {
    fn read(tsap: &[u8]) -> Option<Self> {
        let &[connection, place] = tsap else { return None };
        Some(Self { connection, rack: place >> 5, slot: place & 0x1f })
    }
}

fn data<'a>(pdu: &Pdu<'a>) -> Data<'a> {
    match (pdu.kind, pdu.parameter) {
        (JOB, [function::WRITE_VAR, count, ..]) | (ACK_DATA, [function::READ_VAR, count, ..]) => {
            Data::new(pdu.data, *count)
        }
        (ACK_DATA, [function::WRITE_VAR, count, ..]) => Data::codes(pdu.data, *count),
        _ => Userdata::read(pdu).map_or(Data::NONE, |userdata| userdata.data()),
    }
}

fn unsigned(value: Option<impl Into<u64>>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Unsigned(value.into()));
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Bytes(value));
    }
}

fn flag(value: Option<bool>, out: &mut Visit<'_>) {
    if let Some(value) = value {
        out(Value::Flag(value));
    }
}

crate::fields! {
    /// What a rule can ask of a message of S7 communication.
    pub(super) static FIELDS, visit(message: &Message<'_>, out) {
        message_type: Unsigned { bits: 8, names: names::MESSAGE_TYPES }, Optional, "Type of the message (ROSCTR)"
            => unsigned(message.pdu().map(|pdu| pdu.kind), out);
        function: Unsigned { bits: 8, names: names::FUNCTIONS }, Optional, "Function of a job or its acknowledgement"
            => unsigned(message.pdu().and_then(|pdu| pdu.function()), out);
        reference: Unsigned { bits: 16, names: &[] }, Optional, "Reference that a request and its answer share"
            => unsigned(message.pdu().map(|pdu| pdu.reference), out);
        request: Flag, Optional, "Is something asked for?"
            => flag(message.pdu().map(|pdu| {
                pdu.kind == JOB || message.userdata().is_some_and(|userdata| userdata.kind == REQUEST)
            }), out);
        error: Unsigned { bits: 16, names: names::ERRORS }, Optional, "Error class and code of an answer, as one number"
            => unsigned(message.error(), out);
        error_class: Unsigned { bits: 8, names: names::ERROR_CLASSES }, Optional, "Error class of an answer"
            => unsigned(message.error().map(|error| error >> 8), out);
        userdata_type: Unsigned { bits: 4, names: names::USERDATA_TYPES }, Optional, "What a userdata message is"
            => unsigned(message.userdata().map(|userdata| userdata.kind), out);
        userdata_group: Unsigned { bits: 4, names: names::GROUPS }, Optional, "Function group of userdata"
            => unsigned(message.userdata().map(|userdata| userdata.group), out);
        userdata_subfunction: Unsigned { bits: 8, names: &[] }, Optional,
            "Subfunction of userdata within its group; mode transitions have none"
            => unsigned(message.userdata().and_then(|userdata| userdata.service()).map(|service| service & 0xff), out);
        service: Unsigned { bits: 12, names: names::SERVICES }, Optional,
            "Function group and subfunction of userdata as one number: 0x401"
            => unsigned(message.userdata().and_then(|userdata| userdata.service()), out);
        mode: Unsigned { bits: 8, names: names::MODES }, Optional, "Mode that the CPU changed to, reported by userdata"
            => unsigned(message.userdata().and_then(|userdata| userdata.mode()), out);
        sequence: Unsigned { bits: 8, names: &[] }, Optional, "Sequence number of userdata"
            => unsigned(message.userdata().map(|userdata| userdata.sequence), out);
        more_follows: Flag, Optional, "Does more of the answer or of the block follow in other messages?"
            => flag(message.userdata().map(|userdata| userdata.more).or_else(|| message.transfer()?.more), out);
        pdu_length: Unsigned { bits: 16, names: &[] }, Optional, "Longest PDU that is asked for or agreed upon"
            => unsigned(message.pdu().and_then(|pdu| pdu.setup()).map(|setup| setup[2]), out);
        max_calling: Unsigned { bits: 16, names: &[] }, Optional, "Jobs in parallel of the calling side"
            => unsigned(message.pdu().and_then(|pdu| pdu.setup()).map(|setup| setup[0]), out);
        max_called: Unsigned { bits: 16, names: &[] }, Optional, "Jobs in parallel of the called side"
            => unsigned(message.pdu().and_then(|pdu| pdu.setup()).map(|setup| setup[1]), out);
        syntax: Unsigned { bits: 8, names: names::SYNTAXES }, Many, "Syntax of each address; in an answer, of its request"
            => message.items().for_each(|item| out(Value::Unsigned(item.syntax.into())));
        area: Unsigned { bits: 8, names: names::AREAS }, Many, "Memory area of each address of the syntax S7ANY"
            => message.any().for_each(|any| out(Value::Unsigned(any.area.into())));
        db: Unsigned { bits: 16, names: &[] }, Many, "Number of the data block of each address in one"
            => message.items().for_each(|item| match item.address {
                Address::Any(any) => unsigned(any.block(), out),
                Address::Symbolic { root: 0x8a0e, sub_area, .. } => out(Value::Unsigned(sub_area.into())),
                Address::Blocks(parts) => parts.as_chunks::<5>().0.iter().for_each(|part| {
                    out(Value::Unsigned(u16::from_be_bytes([part[1], part[2]]).into()));
                }),
                _ => {}
            });
        address: Unsigned { bits: 24, names: &[] }, Many, "First byte of each address S7ANY, or number of the timer or counter"
            => message.any().for_each(|any| out(Value::Unsigned(any.byte().into())));
        bit: Unsigned { bits: 3, names: &[] }, Many, "Bit within the first byte of each address S7ANY"
            => message.any().for_each(|any| out(Value::Unsigned(any.bit().into())));
        transport_size: Unsigned { bits: 8, names: names::TRANSPORT_SIZES }, Many, "Type of the variables of each address S7ANY"
            => message.any().for_each(|any| out(Value::Unsigned(any.transport.into())));
        quantity: Unsigned { bits: 16, names: &[] }, Many, "How many variables of that type, of each address S7ANY"
            => message.any().for_each(|any| out(Value::Unsigned(any.count.into())));
        symbol: Unsigned { bits: 28, names: &[] }, Many, "Local identifiers on the path of each symbolic address"
            => message.items().for_each(|item| if let Address::Symbolic { path, .. } = item.address {
                lids(path).for_each(|lid| out(Value::Unsigned(lid.into())));
            });
        return_code: Unsigned { bits: 8, names: names::RETURN_CODES }, Many, "Return code of each item, or of userdata"
            => {
                message.data().for_each(|datum| out(Value::Unsigned(datum.return_code.into())));
                unsigned(message.userdata().and_then(|userdata| userdata.return_code), out);
            };
        value: Float, Many, "Each value read or written, by the type in its address S7ANY"
            => message.values(&mut |value| out(Value::Float(match value {
                Value::Unsigned(number) => number as f64,
                Value::Signed(number) => number as f64,
                Value::Float(number) => number,
                _ => return,
            })));
        block_type: Unsigned { bits: 8, names: names::BLOCK_TYPES }, Many, "Type of each block named"
            => {
                message.blocks(&mut |block| out(Value::Unsigned(block.kind.into())));
                unsigned(message.userdata().and_then(|userdata| userdata.block_type()), out);
            };
        block_number: Unsigned { bits: 32, names: &[] }, Many, "Number of each block named"
            => message.blocks(&mut |block| out(Value::Unsigned(block.number.into())));
        file_system: Unsigned { bits: 8, names: names::FILE_SYSTEMS }, Many, "File system of each block named"
            => message.blocks(&mut |block| out(Value::Unsigned(block.file_system.into())));
        block_file: Bytes, Optional, "File name of the block that is transferred: _0A00001P"
            => bytes(message.transfer().and_then(|transfer| transfer.file), out);
        load_length: Unsigned { bits: 32, names: &[] }, Optional, "Bytes of the block in load memory, announced by a transfer"
            => unsigned(message.transfer().and_then(|transfer| transfer.load_length), out);
        upload_id: Unsigned { bits: 32, names: &[] }, Optional, "Number that the messages of an upload share"
            => unsigned(message.transfer().and_then(|transfer| transfer.upload_id), out);
        block_data: Bytes, Optional, "The part of the block that the message carries"
            => bytes(message.transfer().and_then(|transfer| transfer.part), out);
        pi_service: Bytes, Optional, "Name of the program invocation service, also of a stop"
            => bytes(message.pdu().and_then(|pdu| Service::read(&pdu)).map(|service| service.name), out);
        pi_argument: Bytes, Many, "What the program invocation service is given, besides blocks"
            => message.pdu().and_then(|pdu| Service::read(&pdu)).iter().flat_map(Service::arguments)
                .for_each(|argument| out(Value::Bytes(argument)));
        szl_id: Unsigned { bits: 16, names: &[] }, Optional, "Partial list of the system state list: class, extract, list"
            => unsigned(message.szl().map(|szl| szl.id), out);
        szl_list: Unsigned { bits: 8, names: names::SZL_LISTS }, Optional, "The list, without class and extract"
            => unsigned(message.szl().map(|szl| szl.list()), out);
        szl_index: Unsigned { bits: 16, names: &[] }, Optional, "Index within the partial list"
            => unsigned(message.szl().map(|szl| szl.index), out);
        model: Bytes, Many, "Order number or type of the module, in the system state list"
            => message.told(FactKind::Model, out);
        serial: Bytes, Many, "Serial number of the module, in the system state list"
            => message.told(FactKind::Serial, out);
        firmware: Bytes, Many, "Version of the firmware, in the system state list"
            => message.told(FactKind::Firmware, out);
        system_name: Bytes, Many, "Name of the automation system, in the system state list"
            => message.told(FactKind::Name, out);
        clock: Time, Optional, "Time of the clock, read or set, as if it were UTC"
            => if let Some(time) = message.userdata().and_then(|userdata| userdata.clock()?.utc()) { out(Value::Time(time)) };
        password: Bytes, Optional, "Password, obscured as it is on the wire"
            => bytes(message.userdata().and_then(|userdata| userdata.password()), out);
        user: Bytes, Optional, "What a station calls itself that subscribes to messages"
            => bytes(message.userdata().and_then(|userdata| userdata.subscription()).map(|(_, name)| name), out);
        event: Unsigned { bits: 16, names: &[] }, Optional, "Event of a diagnostic message"
            => unsigned(message.userdata().and_then(|userdata| userdata.event()), out);
        alarm: Unsigned { bits: 32, names: &[] }, Many, "Number of each alarm"
            => message.userdata().iter().flat_map(Userdata::alarms).for_each(|item| {
                if let Address::Alarm { event } = item.address { out(Value::Unsigned(event.into())) }
            });
        tpdu: Unsigned { bits: 4, names: cotp::TPDUS }, Optional, "Code of a TPDU that has no message in it (X.224 §13.2.2.1)"
            => unsigned(message.transport().map(|(code, _)| code), out);
        source_tsap: Bytes, Optional, "Calling transport selector (X.224 §13.3.4)"
            => bytes(message.connection().and_then(|connection| connection.calling_tsap()), out);
        destination_tsap: Bytes, Optional, "Called transport selector (X.224 §13.3.4)"
            => bytes(message.connection().and_then(|connection| connection.called_tsap()), out);
        connection_type: Unsigned { bits: 8, names: names::CONNECTION_TYPES }, Optional,
            "What the connection is for: first byte of a called transport selector of two"
            => unsigned(message.place().map(|place| place.connection), out);
        rack: Unsigned { bits: 3, names: &[] }, Optional, "Rack of the module that the connection is to"
            => unsigned(message.place().map(|place| place.rack), out);
        slot: Unsigned { bits: 5, names: &[] }, Optional, "Slot of the module that the connection is to"
            => unsigned(message.place().map(|place| place.slot), out);
        disconnect_reason: Unsigned { bits: 8, names: cotp::DISCONNECT_REASONS }, Optional,
            "Why the connection was refused or ended (X.224 §13.5.3)"
            => if let Some((_, Header::DisconnectRequest { reason })) = message.transport() {
                out(Value::Unsigned(reason.into()));
            };
        parameters: Bytes, Optional, "All parameters, function code included"
            => bytes(message.pdu().map(|pdu| pdu.parameter), out);
        data: Bytes, Optional, "All data" => bytes(message.pdu().map(|pdu| pdu.data), out);
    }
}

impl Message<'_> {
    /// Error class and code of an answer.
    pub(super) fn error(&self) -> Option<u16> {
        self.pdu()?.error.or_else(|| self.userdata()?.error)
    }
}
