//! COTP: the connection-oriented transport protocol (ISO/IEC 8073, ITU-T X.224) in TPKT packets, and the joining of what
//! it splits.
//!
//! Class 0 is what RFC 1006 prescribes, and every protocol of plants uses; the data TPDUs of the other classes are read,
//! too. Protocols that stand on it share its connection TPDUs, so those decide nothing ([`probe`]).

use super::tpkt;
use crate::dissector::{Direction, Probe};
use crate::field::Names;
use crate::limits::Limits;

/// TPDU codes (X.224 §13.2.2.1), the credit left out.
pub const TPDUS: Names = &[
    (EXPEDITED_DATA as u64, "expedited_data"),
    (EXPEDITED_ACKNOWLEDGEMENT as u64, "expedited_data_acknowledgement"),
    (REJECT as u64, "reject"),
    (DATA_ACKNOWLEDGEMENT as u64, "data_acknowledgement"),
    (ERROR as u64, "error"),
    (DISCONNECT_REQUEST as u64, "disconnect_request"),
    (DISCONNECT_CONFIRM as u64, "disconnect_confirm"),
    (CONNECTION_CONFIRM as u64, "connection_confirm"),
    (CONNECTION_REQUEST as u64, "connection_request"),
    (DATA as u64, "data"),
];

/// Reasons of a disconnect request (X.224 §13.5.3).
pub const DISCONNECT_REASONS: Names = &[
    (0, "not_specified"),
    (1, "congestion_at_tsap"),
    (2, "session_entity_not_attached"),
    (3, "address_unknown"),
    (128, "normal_disconnect"),
    (129, "remote_congestion"),
    (130, "negotiation_failed"),
    (131, "duplicate_source_reference"),
    (132, "mismatched_references"),
    (133, "protocol_error"),
    (135, "reference_overflow"),
    (136, "connection_refused_on_network_connection"),
    (138, "invalid_header_or_parameter_length"),
];

/// Causes of an error TPDU (X.224 §13.12.3).
pub const REJECT_CAUSES: Names =
    &[(0, "not_specified"), (1, "invalid_parameter_code"), (2, "invalid_tpdu_type"), (3, "invalid_parameter_value")];

const EXPEDITED_DATA: u8 = 0x1;
const EXPEDITED_ACKNOWLEDGEMENT: u8 = 0x2;
const REJECT: u8 = 0x5;
const DATA_ACKNOWLEDGEMENT: u8 = 0x6;
const ERROR: u8 = 0x7;
const DISCONNECT_REQUEST: u8 = 0x8;
const DISCONNECT_CONFIRM: u8 = 0xc;
const CONNECTION_CONFIRM: u8 = 0xd;
const CONNECTION_REQUEST: u8 = 0xe;
const DATA: u8 = 0xf;

/// Parameters of the variable part (X.224 §13.3.4).
const TPDU_SIZE: u8 = 0xc0;
const CALLING_TSAP: u8 = 0xc1;
const CALLED_TSAP: u8 = 0xc2;
const PREFERRED_SIZE: u8 = 0xf0;

/// The length indicator that X.224 reserves.
const RESERVED_LENGTH: u8 = 255;

/// A transport protocol data unit, borrowed from its TPKT packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tpdu<'a> {
    /// Its code, one of [`TPDUS`] or not defined.
    pub code: u8,
    /// What its header says.
    pub header: Header<'a>,
    /// Where the user data begin in the packet.
    pub offset: usize,
    /// What follows the header: the next layer's bytes, whole or a part of them.
    pub user_data: &'a [u8],
}

/// The header of a TPDU, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// Connection request (CR).
    ConnectionRequest(Connection<'a>),
    /// Connection confirm (CC).
    ConnectionConfirm(Connection<'a>),
    /// Disconnect request (DR), with one of [`DISCONNECT_REASONS`].
    DisconnectRequest {
        /// Why.
        reason: u8,
    },
    /// Disconnect confirm (DC).
    DisconnectConfirm,
    /// Data (DT) or expedited data (ED).
    Data {
        /// Number of the TPDU; 0 in class 0.
        number: u8,
        /// The last part of a transport service data unit.
        end: bool,
    },
    /// Acknowledgement of data or expedited data (AK, EA), or reject (RJ): classes 1 to 4.
    Acknowledgement,
    /// Error (ER), with one of [`REJECT_CAUSES`].
    Error {
        /// Why the TPDU was rejected.
        cause: u8,
    },
    /// A code that X.224 does not define.
    Unknown,
}

/// What a connection request or confirm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Reference of the end that gets it; 0 in a request.
    pub destination: u16,
    /// Reference of the end that sends it.
    pub source: u16,
    /// Transport class, 0 to 4.
    pub class: u8,
    parameters: &'a [u8],
}

impl<'a> Connection<'a> {
    /// Code and value of each parameter, as far as they are whole.
    pub fn parameters(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.parameters;
        std::iter::from_fn(move || {
            let (&[code, length], after) = rest.split_first_chunk()?;
            let (value, after) = after.split_at_checked(length.into())?;
            rest = after;
            Some((code, value))
        })
    }

    fn parameter(&self, code: u8) -> Option<&'a [u8]> {
        self.parameters().find(|parameter| parameter.0 == code).map(|parameter| parameter.1)
    }

    /// The calling transport selector: who asks for the connection.
    pub fn calling_tsap(&self) -> Option<&'a [u8]> {
        self.parameter(CALLING_TSAP)
    }

    /// The called transport selector: who is asked for.
    pub fn called_tsap(&self) -> Option<&'a [u8]> {
        self.parameter(CALLED_TSAP)
    }

    /// The longest TPDU, in octets (X.224 §13.3.4 b and c).
    pub fn tpdu_size(&self) -> Option<u32> {
        let preferred = self.parameter(PREFERRED_SIZE).filter(|value| (1..=4).contains(&value.len()));
        if let Some(units) = preferred {
            return Some(units.iter().fold(0u32, |units, octet| units << 8 | u32::from(*octet)).saturating_mul(128));
        }
        match self.parameter(TPDU_SIZE) {
            Some(&[power @ 7..=13]) => Some(1 << power),
            _ => None,
        }
    }

    /// Do the parameters fill their place?
    fn is_whole(&self) -> bool {
        self.parameters().map(|(_, value)| 2 + value.len()).sum::<usize>() == self.parameters.len()
    }
}

/// Reads the TPDU of a TPKT packet. The error is the offset of what is wrong: the length indicator does not suit the
/// packet or the code.
pub fn read(packet: &[u8]) -> Result<Tpdu<'_>, usize> {
    let bytes = packet.get(tpkt::HEADER..).unwrap_or_default();
    let Some((&length, rest)) = bytes.split_first() else { return Err(packet.len()) };
    let Some((fixed, user_data)) = rest.split_at_checked(length.into()) else { return Err(tpkt::HEADER) };
    if length == RESERVED_LENGTH {
        return Err(tpkt::HEADER);
    }
    let Some((&octet, fields)) = fixed.split_first() else { return Err(tpkt::HEADER) };
    // The low half is credit in the classes that have it.
    let code = octet >> 4;
    let header = header(code, fields).ok_or(tpkt::HEADER)?;
    Ok(Tpdu { code, header, offset: packet.len() - user_data.len(), user_data })
}

/// `None` when the header is too short for its code.
fn header(code: u8, fields: &[u8]) -> Option<Header<'_>> {
    Some(match (code, fields) {
        (CONNECTION_REQUEST, _) => Header::ConnectionRequest(connection(fields)?),
        (CONNECTION_CONFIRM, _) => Header::ConnectionConfirm(connection(fields)?),
        (DISCONNECT_REQUEST, &[_, _, _, _, reason, ..]) => Header::DisconnectRequest { reason },
        (DISCONNECT_CONFIRM, [_, _, _, _, ..]) => Header::DisconnectConfirm,
        // Class 0 and 1; the others name the connection first.
        (DATA | EXPEDITED_DATA, &[number] | &[_, _, number, ..]) => {
            Header::Data { number: number & 0x7f, end: number & 0x80 != 0 }
        }
        (DATA_ACKNOWLEDGEMENT | EXPEDITED_ACKNOWLEDGEMENT | REJECT, [_, _, _, ..]) => Header::Acknowledgement,
        (ERROR, &[_, _, cause, ..]) => Header::Error { cause },
        _ if crate::field::name_of(TPDUS, code.into()).is_none() => Header::Unknown,
        _ => return None,
    })
}

fn connection(fields: &[u8]) -> Option<Connection<'_>> {
    let (&[d1, d0, s1, s0, class], parameters) = fields.split_first_chunk()?;
    Some(Connection {
        destination: u16::from_be_bytes([d1, d0]),
        source: u16::from_be_bytes([s1, s0]),
        class: class >> 4,
        parameters,
    })
}

/// Do these bytes begin a packet of a protocol whose data units `upper` knows by their first bytes? Packets that belong
/// to the transport alone, or that carry what may be the middle of a data unit, are shared by all such protocols.
pub fn probe(bytes: &[u8], direction: Direction, upper: impl FnOnce(&[u8]) -> Probe) -> Probe {
    if !tpkt::begins(bytes) {
        return Probe::No;
    }
    let Some(length) = bytes.get(2..4).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))) else {
        return Probe::Shared;
    };
    let (packet, rest) = bytes.split_at(length.min(bytes.len()));
    if !tpkt::begins(rest) {
        return Probe::No;
    }
    let header_end = packet.get(tpkt::HEADER).map(|indicator| tpkt::HEADER + 1 + usize::from(*indicator));
    if header_end.is_none_or(|end| end > packet.len()) {
        let impossible = header_end.is_some_and(|end| end > length) || packet.len() == length;
        return if impossible { Probe::No } else { Probe::Shared };
    }
    match read(packet) {
        Ok(Tpdu { header: Header::Data { .. }, user_data, .. }) => match upper(user_data) {
            Probe::No => Probe::Shared,
            answer => answer,
        },
        Ok(Tpdu { header: Header::ConnectionRequest(connection), .. })
            if direction == Direction::ToServer && connection.is_whole() =>
        {
            Probe::Shared
        }
        Ok(Tpdu { header: Header::ConnectionConfirm(connection), .. })
            if direction == Direction::ToClient && connection.is_whole() =>
        {
            Probe::Shared
        }
        Ok(Tpdu {
            header:
                Header::DisconnectRequest { .. }
                | Header::DisconnectConfirm
                | Header::Acknowledgement
                | Header::Error { .. },
            ..
        }) => Probe::Shared,
        _ => Probe::No,
    }
}

/// Joins the data TPDUs of each direction to the data units that they are parts of. One that lies whole in its TPDU is
/// handed out in place.
pub struct Joiner {
    sides: [Side; 2],
    /// Octets of both directions together.
    most: usize,
}

struct Side {
    bytes: Vec<u8>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// The next TPDU begins a data unit.
    Between,
    /// Parts of one are held.
    Within,
    /// Bytes were lost, or the flow was met in its middle: the next TPDU may be the middle of a data unit.
    Lost,
    /// The data unit cannot be joined any more: its parts are passed over to its end.
    Void,
}

/// Answer of [`Joiner::data`].
#[derive(Debug, PartialEq, Eq)]
pub enum Joined<'a> {
    /// A data unit.
    Whole {
        /// Its octets.
        bytes: &'a [u8],
        /// How many of them came with earlier TPDUs.
        before: usize,
    },
    /// A part of one that is not complete.
    Part,
    /// A part of one whose beginning was lost.
    Orphan,
    /// A data unit longer than can be held: it is given up.
    TooLong,
}

/// What a buffer keeps between two data units.
const KEPT: usize = 8 << 10;

impl Joiner {
    /// For a flow that keeps to these limits.
    pub fn new(limits: &Limits) -> Self {
        let side = || Side { bytes: Vec::new(), state: State::Lost };
        Self { sides: [side(), side()], most: limits.joined_bytes as usize }
    }

    /// A connection was made: both directions begin anew.
    pub fn connect(&mut self) {
        for side in &mut self.sides {
            side.reset(State::Between);
        }
    }

    /// Bytes of this direction were lost.
    pub fn gap(&mut self, direction: Direction) {
        self.sides[direction.index()].reset(State::Lost);
    }

    /// Octets held.
    pub fn held(&self) -> usize {
        self.sides.iter().filter(|side| side.state == State::Within).map(|side| side.bytes.len()).sum()
    }

    /// The next data TPDU of a direction. `begins` says, where nothing else does, whether a data unit begins with it.
    pub fn data<'a>(
        &'a mut self,
        direction: Direction,
        end: bool,
        user_data: &'a [u8],
        begins: impl FnOnce(&[u8]) -> bool,
    ) -> Joined<'a> {
        let room = self.most.saturating_sub(self.held());
        let side = &mut self.sides[direction.index()];
        if side.state == State::Lost && !begins(user_data) {
            return Joined::Orphan;
        }
        match (&side.state, end) {
            (State::Void, _) => {
                side.state = if end { State::Between } else { State::Void };
                Joined::Orphan
            }
            (State::Between | State::Lost, true) => {
                side.state = State::Between;
                Joined::Whole { bytes: user_data, before: 0 }
            }
            _ if user_data.len() > room => {
                side.reset(if end { State::Between } else { State::Void });
                Joined::TooLong
            }
            (State::Between | State::Lost, false) => {
                side.reset(State::Within);
                side.bytes.extend_from_slice(user_data);
                Joined::Part
            }
            (State::Within, false) => {
                side.bytes.extend_from_slice(user_data);
                Joined::Part
            }
            (State::Within, true) => {
                let before = side.bytes.len();
                side.bytes.extend_from_slice(user_data);
                side.state = State::Between;
                Joined::Whole { bytes: &side.bytes, before }
            }
        }
    }
}

impl Side {
    fn reset(&mut self, state: State) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dissector::Direction::{ToClient, ToServer};
    use crate::testing::bytes;

    /// A connection request as STEP 7 sends it to rack 0, slot 2.
    const REQUEST: &str = "03000016 11 e0 0000 0001 00 c00109 c1020100 c2020102";

    #[test]
    fn a_connection_request_names_both_ends_and_the_size() {
        let packet = bytes(REQUEST);
        let tpdu = read(&packet).unwrap();
        let Header::ConnectionRequest(connection) = tpdu.header else { panic!("{tpdu:?}") };
        assert_eq!((connection.destination, connection.source, connection.class), (0, 1, 0));
        assert_eq!(connection.calling_tsap(), Some(&[1, 0][..]));
        assert_eq!(connection.called_tsap(), Some(&[1, 2][..]));
        assert_eq!(connection.tpdu_size(), Some(512));
        assert!(tpdu.user_data.is_empty());
    }

    #[test]
    fn the_preferred_size_counts_units_of_128_octets() {
        let packet = bytes("03000010 0b d0 0001 0002 00 f0020200 c00109");
        let Header::ConnectionConfirm(connection) =
            read(&packet[..15]).unwrap_or_else(|_| read(&packet).unwrap()).header
        else {
            panic!("a confirm")
        };
        assert_eq!(connection.tpdu_size(), Some(65_536));
    }

    #[test]
    fn data_of_class_0_and_of_class_2_are_read() {
        let class_0 = bytes("03000008 02 f0 80 32");
        let class_2 = bytes("0300000a 04 f0 0001 05 32");
        let zero = read(&class_0).unwrap();
        let two = read(&class_2).unwrap();
        assert_eq!((zero.header, zero.offset, zero.user_data), (Header::Data { number: 0, end: true }, 7, &[0x32][..]));
        assert_eq!((two.header, two.offset, two.user_data), (Header::Data { number: 5, end: false }, 9, &[0x32][..]));
    }

    #[test]
    fn the_other_kinds_say_why() {
        let read = |hex| read(&bytes(hex)).map(|tpdu| format!("{:?}", tpdu.header));
        assert_eq!(read("0300000b 06 80 0001 0002 80"), Ok("DisconnectRequest { reason: 128 }".into()));
        assert_eq!(read("0300000a 05 c0 0001 0002"), Ok("DisconnectConfirm".into()));
        assert_eq!(read("0300000b 04 70 0001 02 c100"), Ok("Error { cause: 2 }".into()));
        assert_eq!(read("03000009 04 61 0001 05"), Ok("Acknowledgement".into()));
        assert_eq!(read("03000009 04 90 0001 05"), Ok("Unknown".into()));
    }

    #[test]
    fn a_length_indicator_beyond_the_packet_or_below_its_code_is_told() {
        assert_eq!(read(&bytes("03000007 03 f0 80")), Err(4));
        assert_eq!(read(&bytes("03000007 00 f0 80")), Err(4));
        assert_eq!(read(&bytes("03000009 04 e0 000000")), Err(4));
        assert_eq!(read(&bytes("03000007")), Err(4));
    }

    #[test]
    fn what_belongs_to_the_transport_is_shared_and_data_are_the_next_layers() {
        let upper = |data: &[u8]| if data.first() == Some(&0x32) { Probe::Certain } else { Probe::No };
        let judge = |hex, direction| probe(&bytes(hex), direction, upper);
        assert_eq!(judge(REQUEST, ToServer), Probe::Shared);
        assert_eq!(judge(REQUEST, ToClient), Probe::No);
        assert_eq!(judge("03000008 02 f0 80 32", ToServer), Probe::Certain);
        assert_eq!(judge("03000008 02 f0 80 33", ToServer), Probe::Shared);
        assert_eq!(judge("03000008 02 f0 80 32 03", ToServer), Probe::Certain);
        assert_eq!(judge("03000008 02 f0 80 32 16", ToServer), Probe::No);
        assert_eq!(judge("0300 0008 02", ToServer), Probe::Shared);
        assert_eq!(judge("03", ToServer), Probe::Shared);
        assert_eq!(judge("0300 0008 09", ToServer), Probe::No);
        assert_eq!(judge("0300 0009 04 90 0001 05", ToServer), Probe::No);
    }

    fn joiner() -> Joiner {
        let mut joiner = Joiner::new(&Limits { joined_bytes: 8, ..Limits::DEFAULT });
        joiner.connect();
        joiner
    }

    fn whole(bytes: &[u8], before: usize) -> Joined<'_> {
        Joined::Whole { bytes, before }
    }

    #[test]
    fn parts_are_joined_to_the_end_mark_in_each_direction_by_itself() {
        let mut joiner = joiner();
        assert_eq!(joiner.data(ToServer, true, b"ab", |_| false), whole(b"ab", 0));
        assert_eq!(joiner.data(ToServer, false, b"ab", |_| false), Joined::Part);
        assert_eq!(joiner.data(ToClient, true, b"x", |_| false), whole(b"x", 0));
        assert_eq!(joiner.data(ToServer, false, b"cd", |_| false), Joined::Part);
        assert_eq!(joiner.held(), 4);
        assert_eq!(joiner.data(ToServer, true, b"e", |_| false), whole(b"abcde", 4));
        assert_eq!(joiner.held(), 0);
        assert_eq!(joiner.data(ToServer, true, b"f", |_| false), whole(b"f", 0));
    }

    #[test]
    fn what_is_too_long_is_given_up_to_its_end() {
        let mut joiner = joiner();
        assert_eq!(joiner.data(ToServer, false, b"abcdef", |_| false), Joined::Part);
        assert_eq!(joiner.data(ToServer, false, b"ghi", |_| false), Joined::TooLong);
        assert_eq!(joiner.data(ToServer, true, b"j", |_| true), Joined::Orphan);
        assert_eq!(joiner.data(ToServer, true, b"k", |_| false), whole(b"k", 0));
    }

    #[test]
    fn after_a_gap_only_what_begins_a_data_unit_is_taken() {
        let mut joiner = joiner();
        assert_eq!(joiner.data(ToServer, false, b"ab", |_| false), Joined::Part);
        joiner.gap(ToServer);
        assert_eq!(joiner.data(ToServer, true, b"cd", |_| false), Joined::Orphan);
        assert_eq!(joiner.data(ToServer, true, b"ef", |bytes| bytes == b"ef"), whole(b"ef", 0));
        assert_eq!(joiner.data(ToServer, true, b"gh", |_| false), whole(b"gh", 0));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = tpkt::frame(&input, tpkt::LONGEST);
            for direction in [ToServer, ToClient] {
                let _ = probe(&input, direction, |_| Probe::Maybe);
            }
            if let Ok(tpdu) = read(&input) {
                prop_assert_eq!(tpdu.offset + tpdu.user_data.len(), input.len());
                if let Header::ConnectionRequest(connection) = tpdu.header {
                    let _ = (connection.tpdu_size(), connection.is_whole(), connection.called_tsap());
                }
            }
        }

        #[test]
        fn what_is_cut_is_joined_again(
            units in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6),
            size in 1usize..12,
        ) {
            let mut joiner = Joiner::new(&Limits::DEFAULT);
            joiner.connect();
            for unit in &units {
                let count = unit.chunks(size).count();
                for (at, part) in unit.chunks(size).enumerate() {
                    match joiner.data(ToServer, at + 1 == count, part, |_| false) {
                        Joined::Whole { bytes, before } => {
                            prop_assert_eq!(bytes, &unit[..]);
                            prop_assert_eq!(before, size * at);
                        }
                        joined => prop_assert_eq!(joined, Joined::Part),
                    }
                }
            }
        }
    }
}
