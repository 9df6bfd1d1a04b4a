//! Userdata: function groups, what their messages carry, and the joining of answers that come in several messages.

use super::block::Block;
use super::item::{Data, Item, Items, single, values};
use super::names;
use super::pdu::{Pdu, USERDATA, dword, word};
use super::szl::Szl;
use crate::dissector::Direction;
use crate::field::{Value, name_of};
use crate::time::Civil;

pub(super) const PUSH: u8 = 0;
pub(super) const REQUEST: u8 = 4;
pub(super) const RESPONSE: u8 = 8;

/// Function groups that the rest of the dissector knows by name.
pub(super) mod group {
    pub(crate) const MODE: u8 = 0;
    pub(crate) const PROGRAMMER: u8 = 1;
    pub(crate) const CYCLIC: u8 = 2;
    pub(crate) const BLOCKS: u8 = 3;
    pub(crate) const CPU: u8 = 4;
    pub(crate) const SECURITY: u8 = 5;
    pub(crate) const PBC: u8 = 6;
    pub(crate) const TIME: u8 = 7;
    pub(crate) const NC: u8 = 15;
}

/// Length of the parameters, and of those that say how an answer is divided.
const SHORT: usize = 8;
const LONG: usize = 12;
/// Return code, transport size and length in front of the payload.
const DATA_HEADER: usize = 4;
/// Length of the description of a block.
const BLOCK_INFO: usize = 78;
/// From 1970 to 1984, when the clock of STEP 7 begins, in days.
const EPOCH_1984: u64 = 5113;

/// A userdata message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Userdata<'a> {
    pub(super) kind: u8,
    pub(super) group: u8,
    pub(super) subfunction: u8,
    pub(super) sequence: u8,
    /// Number of the answer that this is a part of; 0 when it is whole.
    unit: u8,
    /// More messages with parts of the same answer follow.
    pub(super) more: bool,
    pub(super) error: Option<u16>,
    pub(super) return_code: Option<u8>,
    pub(super) payload: &'a [u8],
    /// The payload is as long as the message says.
    pub(super) whole: bool,
}

impl<'a> Userdata<'a> {
    /// `None` of other messages, and of those too short to say what they are.
    pub(super) fn read(pdu: &Pdu<'a>) -> Option<Self> {
        if pdu.kind != USERDATA {
            return None;
        }
        let parameter = pdu.parameter;
        let &[_, _, _, _, _, what, subfunction, sequence, ..] = parameter.get(..SHORT)? else { return None };
        let long = parameter.len() >= LONG;
        let header = pdu.data.get(..DATA_HEADER);
        let rest = pdu.data.get(DATA_HEADER..).unwrap_or_default();
        let (payload, whole) = match header {
            Some(&[_, transport, l1, l0]) => {
                let length = usize::from(u16::from_be_bytes([l1, l0]));
                let length = if matches!(transport, 3..=5) { length.div_ceil(8) } else { length };
                (rest.get(..length).unwrap_or(rest), length == rest.len())
            }
            _ => (rest, pdu.data.is_empty()),
        };
        Some(Self {
            kind: what >> 4,
            group: what & 0xf,
            subfunction,
            sequence,
            unit: if long { parameter.get(8).copied().unwrap_or_default() } else { 0 },
            more: long && parameter.get(9).is_some_and(|last| *last != 0),
            error: if long { word(parameter, 10) } else { None },
            return_code: header.and_then(|header| header.first()).copied(),
            payload,
            whole,
        })
    }

    /// Is it one of several parts of an answer?
    pub(super) fn is_part(&self) -> bool {
        self.kind == RESPONSE && (self.more || self.unit != 0)
    }

    /// Group and subfunction as one number: one of [`names::SERVICES`]. Mode transitions have none.
    pub(super) fn service(&self) -> Option<u16> {
        (self.group != group::MODE).then_some(u16::from(self.group) << 8 | u16::from(self.subfunction))
    }

    /// The mode that the CPU changed to.
    pub(super) fn mode(&self) -> Option<u8> {
        (self.group == group::MODE).then_some(self.subfunction)
    }

    fn is(&self, group: u8, subfunction: u8) -> bool {
        (self.group, self.subfunction) == (group, subfunction)
    }

    /// The list asked for or answered; `payload` is the whole of it, joined.
    pub(super) fn szl<'p>(&self, payload: &'p [u8]) -> Option<Szl<'p>> {
        if self.is(group::CPU, 1) && self.kind != PUSH { Szl::read(payload) } else { None }
    }

    /// The addresses asked for in cyclic services and sent in block transfers.
    pub(super) fn items(&self) -> Items<'a> {
        match (self.group, self.kind, self.subfunction, self.payload) {
            (group::CYCLIC, REQUEST, 1 | 5 | 7, [_, count, _, _, items @ ..]) => Items::new(items, *count),
            (group::PBC, _, _, payload @ [0x12, ..]) => Items::new(payload, 1),
            _ => Items::NONE,
        }
    }

    /// The data of cyclic services, and of the status and modification of variables.
    pub(super) fn data(&self) -> Data<'a> {
        match (self.group, self.kind, self.subfunction, self.payload) {
            (group::CYCLIC, PUSH | RESPONSE, 1 | 5, [_, count, items @ ..]) => Data::new(items, *count),
            (group::PROGRAMMER, ..) => self.test().map_or(Data::NONE, |test| test.data),
            _ => Data::NONE,
        }
    }

    /// The variables that a test function of a programming device shows or changes.
    pub(super) fn test(&self) -> Option<Test<'a>> {
        if !matches!((self.group, self.subfunction), (group::PROGRAMMER, 2 | 8 | 9)) {
            return None;
        }
        // Lengths of parameters and data, then the two.
        let (parameters, body) = (word(self.payload, 0)?, self.payload.get(4..)?);
        let body = body.get(parameters.into()..)?;
        let (&[_, count], rest) = body.split_first_chunk()?;
        if self.kind != REQUEST {
            // What was changed is answered by return codes alone.
            let data = if self.subfunction == 2 { Data::new(rest, count) } else { Data::codes(rest, count) };
            return Some(Test { variables: &[], data });
        }
        let (variables, rest) = rest.split_at_checked(usize::from(count) * Variable::LENGTH)?;
        let changed = if rest.is_empty() { 0 } else { count };
        Some(Test { variables, data: Data::new(rest, changed) })
    }

    /// The type of block asked for.
    pub(super) fn block_type(&self) -> Option<u8> {
        if self.kind == RESPONSE || !self.is(group::BLOCKS, 2) {
            return None;
        }
        hexadecimal(self.payload.get(..2)?)
    }

    /// The block whose description is asked for.
    pub(super) fn block(&self) -> Option<Block> {
        if self.kind == RESPONSE || !self.is(group::BLOCKS, 3) { None } else { Block::read(self.payload) }
    }

    /// How many blocks of each type there are.
    pub(super) fn block_counts<'p>(&self, payload: &'p [u8]) -> impl Iterator<Item = (u8, u16)> + use<'p> {
        let payload = if self.kind == RESPONSE && self.is(group::BLOCKS, 1) { payload } else { &[] };
        let entries = payload.as_chunks::<4>().0.iter();
        entries.filter_map(|entry| Some((hexadecimal(&entry[..2])?, u16::from_be_bytes([entry[2], entry[3]]))))
    }

    /// The numbers of the blocks of one type.
    pub(super) fn block_numbers<'p>(&self, payload: &'p [u8]) -> impl Iterator<Item = u16> + use<'p> {
        let payload = if self.kind == RESPONSE && self.is(group::BLOCKS, 2) { payload } else { &[] };
        payload.as_chunks::<4>().0.iter().map(|entry| u16::from_be_bytes([entry[0], entry[1]]))
    }

    /// The description of a block.
    pub(super) fn block_info<'p>(&self, payload: &'p [u8]) -> Option<BlockInfo<'p>> {
        if self.kind != RESPONSE || !self.is(group::BLOCKS, 3) || payload.len() < BLOCK_INFO {
            return None;
        }
        let text = |from: usize| payload.get(from..from + 8).map(trimmed).unwrap_or_default();
        Some(BlockInfo {
            language: *payload.get(10)?,
            sub_type: *payload.get(11)?,
            number: word(payload, 12)?,
            load_length: dword(payload, 14)?,
            protected: dword(payload, 18)? != 0,
            code_changed: time_of_1984(payload.get(22..28)?)?,
            interface_changed: time_of_1984(payload.get(28..34)?)?,
            code_length: word(payload, 40)?,
            author: text(42),
            family: text(50),
            name: text(58),
            version: *payload.get(66)?,
            checksum: word(payload, 68)?,
        })
    }

    /// The password, obscured as it is on the wire.
    pub(super) fn password(&self) -> Option<&'a [u8]> {
        (self.is(group::SECURITY, 1) && self.kind == REQUEST && !self.payload.is_empty()).then_some(self.payload)
    }

    /// The time of the clock, read or set.
    pub(super) fn clock(&self) -> Option<Civil> {
        if self.group != group::TIME { None } else { civil(self.payload.get(2..10)?) }
    }

    /// Which messages a station wants to get, and what it calls itself.
    pub(super) fn subscription(&self) -> Option<(u8, &'a [u8])> {
        match self.payload {
            [events, _, name @ ..] if self.is(group::CPU, 2) && self.kind == REQUEST => {
                Some((*events, trimmed(name.get(..8).unwrap_or(name))))
            }
            _ => None,
        }
    }

    /// The event of a diagnostic message.
    pub(super) fn event(&self) -> Option<u16> {
        if self.is(group::CPU, 3) && self.kind == PUSH { word(self.payload, 0) } else { None }
    }

    /// The alarms that a message is about.
    pub(super) fn alarms(&self) -> Items<'a> {
        if self.group != group::CPU {
            return Items::NONE;
        }
        match (self.subfunction, self.kind, self.payload) {
            // Time, function, number of objects.
            (0x05 | 0x06 | 0x11 | 0x12 | 0x16, PUSH, [_, _, _, _, _, _, _, _, _, count, items @ ..])
            | (0x07 | 0x08 | 0x0b, REQUEST, [_, count, items @ ..]) => Items::new(items, *count),
            (0x0c, PUSH, [_, _, _, _, _, _, _, _, _, count, items @ ..]) => Items::new(items, *count),
            _ => Items::NONE,
        }
    }

    /// Every address in the message, of whatever kind.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        self.items().chain(self.alarms())
    }
}

/// Without the zeros and spaces at the end.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    text.trim_ascii()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Date and time in binary coded decimals: year to seconds, milliseconds in three digits, day of the week.
pub(super) fn civil(bytes: &[u8]) -> Option<Civil> {
    let decimal = |byte: u8| (byte >> 4 <= 9 && byte & 0xf <= 9).then_some((byte >> 4) * 10 + (byte & 0xf));
    let &[year, month, day, hour, minute, second, fraction, last] = bytes else { return None };
    let year = u16::from(decimal(year)?);
    let milliseconds = u16::from(decimal(fraction)?) * 10 + u16::from(last >> 4).min(9);
    Some(Civil {
        year: if year >= 90 { 1900 + year } else { 2000 + year },
        month: decimal(month)?,
        day: decimal(day)?,
        hour: decimal(hour)?,
        minute: decimal(minute)?,
        // More seconds than a minute has, up to 99, are no time either way.
        millisecond: u16::from(decimal(second)?).saturating_mul(1000).saturating_add(milliseconds),
    })
}

/// Milliseconds of the day and days since 1984, in seconds since 1970.
fn time_of_1984(bytes: &[u8]) -> Option<u64> {
    let (milliseconds, days) = (dword(bytes, 0)?, word(bytes, 4)?);
    Some((EPOCH_1984 + u64::from(days)) * 86_400 + u64::from(milliseconds) / 1000)
}

/// What a CPU tells of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockInfo<'a> {
    pub(super) language: u8,
    pub(super) sub_type: u8,
    pub(super) number: u16,
    pub(super) load_length: u32,
    pub(super) protected: bool,
    /// Seconds since 1970, by the clock of the programming device.
    pub(super) code_changed: u64,
    pub(super) interface_changed: u64,
    pub(super) code_length: u16,
    pub(super) author: &'a [u8],
    pub(super) family: &'a [u8],
    pub(super) name: &'a [u8],
    /// Two digits of four bits.
    pub(super) version: u8,
    pub(super) checksum: u16,
}

/// What a test function is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test<'a> {
    variables: &'a [u8],
    pub(super) data: Data<'a>,
}

impl<'a> Test<'a> {
    pub(super) fn variables(&self) -> impl Iterator<Item = Variable> + use<'a> {
        self.variables.as_chunks().0.iter().map(|bytes| Variable::read(*bytes))
    }
}

/// One variable of a test function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variable {
    /// Area in the high half, size in the low one: bit, byte, word, double word.
    what: u8,
    /// How many; of a bit, its number.
    repetition: u8,
    db: u16,
    start: u16,
}

impl Variable {
    const LENGTH: usize = 6;

    fn read([what, repetition, d1, d0, s1, s0]: [u8; Self::LENGTH]) -> Self {
        Self { what, repetition, db: u16::from_be_bytes([d1, d0]), start: u16::from_be_bytes([s1, s0]) }
    }

    /// The value in the data that go with it, where it is one.
    pub(super) fn value(&self, bytes: &[u8]) -> Option<Value<'static>> {
        let transport = match self.what & 0xf {
            0 => 0x01,
            1 => 0x02,
            2 => 0x04,
            _ => 0x06,
        };
        single(values(transport, bytes))
    }
}

impl std::fmt::Display for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, repetition, db, start } = *self;
        let size = match what & 0xf {
            0 => "X",
            1 => "B",
            2 => "W",
            _ => "D",
        };
        let area = match what >> 4 {
            0 => "M",
            1 => "I",
            2 => "Q",
            3 => "P",
            5 => return write!(f, "T{start}"),
            6 => return write!(f, "C{start}"),
            7 if size == "X" => return write!(f, "DB{db}.DBX{start}.{repetition}"),
            7 => return write!(f, "DB{db}.DB{size}{start}{}", Times(repetition)),
            other => return write!(f, "area {other} {db} {start}"),
        };
        if size == "X" {
            write!(f, "{area}{start}.{repetition}")
        } else {
            write!(f, "{area}{size}{start}{}", Times(repetition))
        }
    }
}

/// How many, where it is more than one.
struct Times(u8);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 > 1 { write!(f, " x{}", self.0) } else { Ok(()) }
    }
}

/// The name of the service, or of the mode.
pub(super) fn service_name(userdata: &Userdata<'_>) -> Option<&'static str> {
    match userdata.service() {
        Some(service) => name_of(names::SERVICES, service.into()),
        None => name_of(names::MODES, userdata.subfunction.into()),
    }
}

/// Answers of userdata that come in several messages, joined; bounded in number and in bytes.
pub(super) struct Fragments {
    open: Vec<Fragment>,
    /// The one completed last, until the next message.
    complete: Vec<u8>,
    most_bytes: usize,
}

struct Fragment {
    service: (u8, u8),
    sequence: u8,
    asker: Direction,
    bytes: Vec<u8>,
}

/// Answers being joined at once in a flow.
const MOST_FRAGMENTS: usize = 4;
/// Bytes that the buffer of completed answers keeps.
const KEPT: usize = 1 << 10;

impl Fragments {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { open: Vec::new(), complete: Vec::new(), most_bytes }
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.open.iter().map(|fragment| fragment.bytes.len()).sum()
    }

    /// Bytes of this direction were lost: the answers that go so cannot be joined.
    pub(super) fn lost(&mut self, direction: Direction) {
        self.open.retain(|fragment| fragment.asker == direction);
    }

    /// What has been gathered so far of the answer that a request asks the next part of.
    pub(super) fn so_far(&self, userdata: &Userdata<'_>, asker: Direction) -> Option<&[u8]> {
        self.position(userdata, asker).and_then(|at| self.open.get(at)).map(|fragment| fragment.bytes.as_slice())
    }

    /// Takes a part of an answer, the first where it `begins`. Gives all that came of it so far, if nothing is missing;
    /// true when bytes had to be given up.
    pub(super) fn add(&mut self, userdata: &Userdata<'_>, asker: Direction, begins: bool) -> (Option<&[u8]>, bool) {
        let known = self.position(userdata, asker);
        if known.is_none() && !begins {
            return (None, false);
        }
        let room = self.most_bytes.saturating_sub(self.held());
        if userdata.payload.len() > room {
            if let Some(at) = known {
                self.open.swap_remove(at);
            }
            return (None, true);
        }
        let mut bit = false;
        let at = known.unwrap_or_else(|| {
            if self.open.len() >= MOST_FRAGMENTS {
                self.open.remove(0);
                bit = true;
            }
            self.open.push(Fragment {
                service: (userdata.group, userdata.subfunction),
                sequence: userdata.sequence,
                asker,
                bytes: Vec::new(),
            });
            self.open.len() - 1
        });
        let Some(fragment) = self.open.get_mut(at) else { return (None, bit) };
        fragment.bytes.extend_from_slice(userdata.payload);
        if userdata.more {
            return (self.open.get(at).map(|fragment| fragment.bytes.as_slice()), bit);
        }
        self.complete.clear();
        self.complete.shrink_to(KEPT);
        self.complete.extend_from_slice(&self.open.swap_remove(at).bytes);
        (Some(&self.complete), bit)
    }

    fn position(&self, userdata: &Userdata<'_>, asker: Direction) -> Option<usize> {
        let service = (userdata.group, userdata.subfunction);
        self.open.iter().position(|fragment| {
            fragment.service == service && fragment.sequence == userdata.sequence && fragment.asker == asker
        })
    }
}
