//! The link layer (IEEE 1815-2012 §9): frames of a ten-octet header and blocks of up to sixteen octets, each with a CRC.

use crate::dissector::{Direction, Frame, Probe};

/// The two octets every frame begins with (§9.2).
pub const START: [u8; 2] = [0x05, 0x64];
/// Length of the header with its CRC.
pub const HEADER: usize = 10;
/// Octets in a full data block, without its CRC.
pub const BLOCK: usize = 16;
/// Length of the CRC after the header and after each block.
pub const CRC: usize = 2;
/// What the length octet counts besides user data: control, destination and source.
pub const COUNTED_HEADER: u8 = 5;
/// The most user data that a frame carries.
pub const USER_DATA: usize = 250;
/// The longest frame.
pub const LONGEST: usize = HEADER + USER_DATA + CRC * USER_DATA.div_ceil(BLOCK);

/// The first eight octets of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Octets that follow up to the end of the user data, CRCs not counted; at least 5.
    pub length: u8,
    /// DIR, PRM, FCB, FCV or DFC, and the function code.
    pub control: u8,
    /// Link address of the receiver; 65533 to 65535 are broadcasts.
    pub destination: u16,
    /// Link address of the sender.
    pub source: u16,
}

impl Header {
    /// Reads the header when it is all there; says nothing about its CRC.
    fn read(bytes: &[u8]) -> Option<Self> {
        let &[_, _, length, control, d0, d1, s0, s1] = bytes.first_chunk::<8>()?;
        let (destination, source) = (u16::from_le_bytes([d0, d1]), u16::from_le_bytes([s0, s1]));
        Some(Self { length, control, destination, source })
    }

    /// DIR: set in frames from a master.
    pub const fn direction(self) -> bool {
        self.control & 0x80 != 0
    }

    /// PRM: set in frames from a primary station, which start a link transaction.
    pub const fn primary(self) -> bool {
        self.control & 0x40 != 0
    }

    /// FCB, the frame count bit of primary stations.
    pub const fn fcb(self) -> bool {
        self.control & 0x20 != 0
    }

    /// FCV of a primary station, DFC of a secondary one: the same bit.
    pub const fn fcv(self) -> bool {
        self.control & 0x10 != 0
    }

    /// The function code; its meaning depends on [`Header::primary`].
    pub const fn function(self) -> u8 {
        self.control & 0x0f
    }

    /// True when the standard defines the function code.
    pub const fn is_known(self) -> bool {
        if self.primary() {
            matches!(self.function(), 0..=4 | 9)
        } else {
            matches!(self.function(), 0 | 1 | 11 | 14 | 15)
        }
    }

    /// True when the frame's function is to carry user data: confirmed or unconfirmed.
    pub const fn is_user_data(self) -> bool {
        self.primary() && matches!(self.function(), 3 | 4)
    }

    /// True when the frame's user data is read. Besides frames that are to carry some, those of a primary station with
    /// another function than reset and status request: what their receiver makes of it nobody can tell.
    pub const fn is_read(self) -> bool {
        self.is_user_data() || (self.primary() && self.user_data() > 0 && !matches!(self.function(), 0 | 9))
    }

    /// Octets of user data, CRCs not counted.
    pub const fn user_data(self) -> usize {
        self.length.saturating_sub(COUNTED_HEADER) as usize
    }

    /// Length of the whole frame.
    pub const fn frame(self) -> usize {
        HEADER + self.user_data() + CRC * self.user_data().div_ceil(BLOCK)
    }
}

/// What the first octets of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// No frame begins here.
    Not,
    /// A frame may begin here; its header is not all there.
    Short,
    /// A header whose CRC is wrong: nothing in it, its length neither, can be trusted.
    BadCrc,
    /// A header with a right CRC and a length octet below 5.
    BadLength,
    /// A header.
    Header(Header),
}

/// Looks at the first octets of a frame.
pub fn start(bytes: &[u8]) -> Start {
    if bytes.iter().zip(START).any(|(octet, expected)| *octet != expected) {
        return Start::Not;
    }
    match (bytes.first_chunk::<HEADER>(), Header::read(bytes)) {
        (Some(all), _) if !crc_holds(all) => Start::BadCrc,
        (Some(_), Some(header)) if header.length < COUNTED_HEADER => Start::BadLength,
        (Some(_), Some(header)) => Start::Header(header),
        _ => Start::Short,
    }
}

/// [`crate::Protocol::probe`] of DNP3: start octets and header CRC agree by chance once in 2^32 positions. A header
/// whose DIR bit goes against the direction is only possible: it tells that client and server are the other way round,
/// or that an outstation opened the connection.
pub fn probe(bytes: &[u8], direction: Direction) -> Probe {
    match start(bytes) {
        Start::Header(header) if header.direction() == (direction == Direction::ToServer) => Probe::Certain,
        Start::Not => Probe::No,
        Start::Short if bytes.is_empty() => Probe::No,
        Start::Header(_) | Start::Short | Start::BadCrc | Start::BadLength => Probe::Maybe,
    }
}

/// [`crate::Protocol::frame`] of DNP3. Of a frame whose header cannot be trusted only the header is taken: its length
/// would lead astray, so what follows is searched for the next start.
pub fn frame(bytes: &[u8]) -> Frame {
    let needed = match start(bytes) {
        Start::Not => return Frame::Not,
        Start::Short => return Frame::Need(HEADER),
        Start::BadCrc | Start::BadLength => HEADER,
        Start::Header(header) => header.frame(),
    };
    if bytes.len() < needed { Frame::Need(needed) } else { Frame::Whole(needed) }
}

/// User data of one frame, free of CRCs.
pub struct UserData {
    octets: [u8; USER_DATA],
    length: usize,
}

impl UserData {
    /// Copies the blocks after the header of `frame` without their CRCs, and tells `bad` the offset of each CRC in the
    /// frame that does not hold.
    pub fn read(header: Header, frame: &[u8], mut bad: impl FnMut(usize)) -> Self {
        let mut data = Self { octets: [0; USER_DATA], length: 0 };
        let mut offset = HEADER;
        let mut left = header.user_data();
        while left > 0 {
            let size = left.min(BLOCK);
            let block = frame.get(offset..offset + size + CRC);
            let place = data.octets.get_mut(data.length..data.length + size);
            let (Some(block), Some(place)) = (block, place) else { break };
            if !crc_holds(block) {
                bad(offset + size);
            }
            place.copy_from_slice(&block[..size]);
            data.length += size;
            offset += size + CRC;
            left -= size;
        }
        data
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// Where in a frame the octet `index` of its user data stands.
pub const fn offset_of(index: usize) -> usize {
    HEADER + index + CRC * (index / BLOCK)
}

/// True when the last two octets are the CRC of those before.
fn crc_holds(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<CRC>().is_some_and(|(data, sent)| crc(data) == u16::from_le_bytes(*sent))
}

/// The CRC of a header or block (§9.2): polynomial 0x3D65, reflected, complemented; sent low octet first.
pub fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        // A CRC is linear, so each octet's share stands in a table of its own and eight are added at once.
        let [c0, c1] = crc.to_le_bytes();
        crc = TABLES[7][usize::from(eight[0] ^ c0)]
            ^ TABLES[6][usize::from(eight[1] ^ c1)]
            ^ TABLES[5][usize::from(eight[2])]
            ^ TABLES[4][usize::from(eight[3])]
            ^ TABLES[3][usize::from(eight[4])]
            ^ TABLES[2][usize::from(eight[5])]
            ^ TABLES[1][usize::from(eight[6])]
            ^ TABLES[0][usize::from(eight[7])];
    }
    for &octet in rest {
        crc = crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ octet)];
    }
    !crc
}

/// `TABLES[n][octet]`: share of an octet that n others follow.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    const REFLECTED: u16 = 0xa6bc;
    let mut tables = [[0u16; 256]; 8];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ REFLECTED } else { crc >> 1 };
            bit += 1;
        }
        tables[0][octet] = crc;
        octet += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut octet = 0;
        while octet < 256 {
            let before = tables[n - 1][octet];
            tables[n][octet] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            octet += 1;
        }
        n += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;
    use proptest::prelude::*;

    /// The CRC by its definition, bit by bit.
    fn crc_by_bits(bytes: &[u8]) -> u16 {
        !bytes.iter().fold(0u16, |crc, &octet| {
            (0..8).fold(crc ^ u16::from(octet), |crc, _| if crc & 1 != 0 { crc >> 1 ^ 0xa6bc } else { crc >> 1 })
        })
    }

    #[test]
    fn crc_has_the_check_value_of_its_catalogue_entry() {
        assert_eq!(crc(b"123456789"), 0xea82);
    }

    #[test]
    fn a_header_seen_on_the_wire_is_read() {
        let bytes = [0x05, 0x64, 0x0b, 0xc4, 0x05, 0x00, 0x64, 0x00, 0x6f, 0x36];
        let Start::Header(header) = start(&bytes) else { panic!("{:?}", start(&bytes)) };
        assert_eq!((header.source, header.destination, header.user_data()), (100, 5, 6));
        assert!(header.direction() && header.primary() && !header.fcb() && !header.fcv() && header.is_user_data());
        assert_eq!(frame(&bytes), Frame::Need(18));
        assert_eq!(probe(&bytes, Direction::ToServer), Probe::Certain);
        assert_eq!(probe(&bytes, Direction::ToClient), Probe::Maybe);
    }

    #[test]
    fn the_longest_frame_is_292_octets() {
        let longest = encode::frame(0xc4, 1, 2, &[7; USER_DATA]);
        assert_eq!((longest.len(), LONGEST), (292, 292));
        assert_eq!(frame(&longest), Frame::Whole(292));
    }

    #[test]
    fn a_length_below_five_and_a_wrong_crc_leave_the_header_alone() {
        let mut bytes = vec![0x05, 0x64, 4, 0xc0, 1, 0, 2, 0];
        bytes.extend_from_slice(&crc(&bytes).to_le_bytes());
        bytes.extend_from_slice(&[0; 20]);
        assert_eq!(start(&bytes), Start::BadLength);
        assert_eq!(frame(&bytes), Frame::Whole(HEADER));
        bytes[2] = 5;
        assert_eq!(start(&bytes), Start::BadCrc);
        assert_eq!((frame(&bytes), probe(&bytes, Direction::ToServer)), (Frame::Whole(HEADER), Probe::Maybe));
    }

    #[test]
    fn nothing_but_the_start_octets_begins_a_frame() {
        assert_eq!((frame(&[]), probe(&[], Direction::ToServer)), (Frame::Need(HEADER), Probe::No));
        assert_eq!((frame(&[0x05]), probe(&[0x05], Direction::ToServer)), (Frame::Need(HEADER), Probe::Maybe));
        assert_eq!((frame(&[0x05, 0x65]), probe(&[0x05, 0x65], Direction::ToServer)), (Frame::Not, Probe::No));
        assert_eq!((frame(&[0x64]), probe(&[0x64], Direction::ToServer)), (Frame::Not, Probe::No));
    }

    proptest! {
        #[test]
        fn crc_by_table_equals_crc_by_bits(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(crc(&bytes), crc_by_bits(&bytes));
        }

        #[test]
        fn what_is_encoded_is_read(
            control: u8, destination: u16, source: u16, data in prop::collection::vec(any::<u8>(), 0..=USER_DATA)
        ) {
            let bytes = encode::frame(control, destination, source, &data);
            prop_assert_eq!(frame(&bytes), Frame::Whole(bytes.len()));
            let Start::Header(header) = start(&bytes) else { panic!() };
            prop_assert_eq!((header.control, header.destination, header.source), (control, destination, source));
            let read = UserData::read(header, &bytes, |offset| panic!("CRC at {offset} holds"));
            prop_assert_eq!(read.octets(), &data[..]);
            for index in 0..data.len() {
                prop_assert_eq!(bytes[offset_of(index)], data[index]);
            }
        }

        #[test]
        fn any_beginning_of_a_frame_asks_for_more(length in 0..=USER_DATA, cut in 0..LONGEST) {
            let bytes = encode::frame(0xc4, 1, 2, &vec![0x55; length]);
            let cut = cut % bytes.len();
            let Frame::Need(more) = frame(&bytes[..cut]) else { panic!() };
            prop_assert!(more > cut && more <= bytes.len());
        }
    }
}
