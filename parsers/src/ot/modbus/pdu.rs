//! The protocol data unit: function code and data, taken apart (MODBUS Application Protocol Specification V1.1b3 §6).

/// Set in the function code of an exception response (§7).
pub(super) const EXCEPTION: u8 = 0x80;

/// Function codes by the names of §6.
pub(super) mod function {
    pub(crate) const READ_COILS: u8 = 1;
    pub(crate) const READ_DISCRETE_INPUTS: u8 = 2;
    pub(crate) const READ_HOLDING_REGISTERS: u8 = 3;
    pub(crate) const READ_INPUT_REGISTERS: u8 = 4;
    pub(crate) const WRITE_SINGLE_COIL: u8 = 5;
    pub(crate) const WRITE_SINGLE_REGISTER: u8 = 6;
    pub(crate) const READ_EXCEPTION_STATUS: u8 = 7;
    pub(crate) const DIAGNOSTICS: u8 = 8;
    pub(crate) const PROGRAM_484: u8 = 9;
    pub(crate) const POLL_484: u8 = 10;
    pub(crate) const GET_COMM_EVENT_COUNTER: u8 = 11;
    pub(crate) const GET_COMM_EVENT_LOG: u8 = 12;
    pub(crate) const PROGRAM_CONTROLLER: u8 = 13;
    pub(crate) const POLL_CONTROLLER: u8 = 14;
    pub(crate) const WRITE_MULTIPLE_COILS: u8 = 15;
    pub(crate) const WRITE_MULTIPLE_REGISTERS: u8 = 16;
    pub(crate) const REPORT_SERVER_ID: u8 = 17;
    pub(crate) const PROGRAM_884: u8 = 18;
    pub(crate) const RESET_COMM_LINK: u8 = 19;
    pub(crate) const READ_FILE_RECORD: u8 = 20;
    pub(crate) const WRITE_FILE_RECORD: u8 = 21;
    pub(crate) const MASK_WRITE_REGISTER: u8 = 22;
    pub(crate) const READ_WRITE_MULTIPLE_REGISTERS: u8 = 23;
    pub(crate) const READ_FIFO_QUEUE: u8 = 24;
    pub(crate) const ENCAPSULATED_INTERFACE_TRANSPORT: u8 = 43;
    /// UMAS of Schneider Electric's controllers: reserved by the standard, and the one function that may exceed its
    /// longest message.
    pub(crate) const UMAS: u8 = 90;
}

/// MODBUS encapsulated interface types (§6.19).
pub(super) const MEI_CANOPEN: u8 = 13;
/// See [`MEI_CANOPEN`].
pub(super) const MEI_DEVICE_IDENTIFICATION: u8 = 14;

/// The data of a PDU. What is too short for its function's layout, and what has no public layout, is [`Body::Opaque`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Body<'a> {
    /// Response with an exception code (§7).
    Exception(u8),
    /// Request of functions 1 to 4.
    Read { address: u16, quantity: u16 },
    /// Response of functions 1 to 4 and 23: `data` is everything after the byte count.
    Values { count: u8, data: &'a [u8] },
    /// Functions 5 and 6, both ways.
    WriteSingle { address: u16, value: u16 },
    /// Request of functions 15 and 16: `data` is everything after the byte count.
    WriteMultiple { address: u16, quantity: u16, count: u8, data: &'a [u8] },
    /// Response of functions 15 and 16.
    Written { address: u16, quantity: u16 },
    /// Function 22, both ways.
    Mask { address: u16, and_mask: u16, or_mask: u16 },
    /// Request of function 23.
    ReadWrite { read_address: u16, read_quantity: u16, address: u16, quantity: u16, count: u8, data: &'a [u8] },
    /// Function 8, both ways.
    Diagnostic { code: u16, data: &'a [u8] },
    /// Response of function 7.
    ExceptionStatus(u8),
    /// Response of function 11.
    EventCounter { status: u16, events: u16 },
    /// Response of function 12: `log` is everything after the message count.
    EventLog { count: u8, status: u16, events: u16, messages: u16, log: &'a [u8] },
    /// Response of function 17: `data` is everything after the byte count.
    ServerId { count: u8, data: &'a [u8] },
    /// Functions 20 and 21: `groups` is everything after the byte count.
    File { count: u8, layout: FileLayout, groups: &'a [u8] },
    /// Request of function 24.
    Fifo { address: u16 },
    /// Response of function 24: `data` is everything after the FIFO count.
    FifoValues { count: u16, fifo_count: u16, data: &'a [u8] },
    /// Function 43, both ways: `data` is everything after the MEI type.
    Mei { kind: u8, data: &'a [u8] },
    /// Anything else.
    Opaque(&'a [u8]),
}

/// Layout of the groups of functions 20 and 21 (§6.14, §6.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileLayout {
    /// Request of function 20: what to read.
    ReadRequest,
    /// Response of function 20: what was read.
    ReadResponse,
    /// Function 21, both ways.
    Write,
}

/// One group of functions 20 and 21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileRecord<'a> {
    /// Always 6.
    pub(super) reference: u8,
    /// File and record number and length in registers: absent in what was read.
    pub(super) place: Option<(u16, u16, u16)>,
    /// The registers, if the group carries them.
    pub(super) data: &'a [u8],
}

/// The groups of functions 20 and 21, as far as they are complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileRecords<'a> {
    pub(super) layout: FileLayout,
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for FileRecords<'a> {
    type Item = FileRecord<'a>;

    fn next(&mut self) -> Option<FileRecord<'a>> {
        let (record, rest) = match self.layout {
            FileLayout::ReadResponse => {
                let (length, rest) = self.rest.split_first()?;
                let (group, rest) = rest.split_at_checked((*length).into())?;
                let (reference, data) = group.split_first()?;
                (FileRecord { reference: *reference, place: None, data }, rest)
            }
            FileLayout::ReadRequest | FileLayout::Write => {
                let (head, rest) = self.rest.split_at_checked(7)?;
                let place = (word(head, 1)?, word(head, 3)?, word(head, 5)?);
                let carried = if self.layout == FileLayout::Write { usize::from(place.2) * 2 } else { 0 };
                let (data, rest) = rest.split_at_checked(carried)?;
                (FileRecord { reference: *head.first()?, place: Some(place), data }, rest)
            }
        };
        self.rest = rest;
        Some(record)
    }
}

/// Response to Read Device Identification (§6.21), without the MEI type.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceIdentification<'a> {
    pub(super) code: u8,
    pub(super) conformity: u8,
    pub(super) more_follows: u8,
    pub(super) next_object: u8,
    pub(super) count: u8,
    pub(super) objects: Objects<'a>,
}

impl<'a> DeviceIdentification<'a> {
    /// From what follows the MEI type.
    pub(super) fn new(data: &'a [u8]) -> Option<Self> {
        let (head, rest) = data.split_first_chunk::<5>()?;
        let [code, conformity, more_follows, next_object, count] = *head;
        Some(Self { code, conformity, more_follows, next_object, count, objects: Objects { rest } })
    }
}

/// Identifier and value of each object, as far as they are complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objects<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Objects<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([id, length], rest) = self.rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked((*length).into())?;
        self.rest = rest;
        Some((*id, value))
    }
}

/// The big-endian 16-bit word at `at`.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

impl<'a> Body<'a> {
    /// Takes apart what follows the function code `raw`.
    pub(super) fn new(raw: u8, data: &'a [u8], request: bool) -> Self {
        let known = if raw & EXCEPTION != 0 {
            data.first().copied().map(Self::Exception)
        } else if request {
            Self::of_request(raw, data)
        } else {
            Self::of_response(raw, data)
        };
        known.unwrap_or(Self::Opaque(data))
    }

    fn of_request(function: u8, data: &'a [u8]) -> Option<Self> {
        use function::*;
        Some(match function {
            READ_COILS..=READ_INPUT_REGISTERS => Self::Read { address: word(data, 0)?, quantity: word(data, 2)? },
            WRITE_MULTIPLE_COILS | WRITE_MULTIPLE_REGISTERS => Self::WriteMultiple {
                address: word(data, 0)?,
                quantity: word(data, 2)?,
                count: *data.get(4)?,
                data: data.get(5..)?,
            },
            READ_WRITE_MULTIPLE_REGISTERS => Self::ReadWrite {
                read_address: word(data, 0)?,
                read_quantity: word(data, 2)?,
                address: word(data, 4)?,
                quantity: word(data, 6)?,
                count: *data.get(8)?,
                data: data.get(9..)?,
            },
            READ_FILE_RECORD => Self::file(FileLayout::ReadRequest, data)?,
            READ_FIFO_QUEUE => Self::Fifo { address: word(data, 0)? },
            _ => return Self::of_either(function, data),
        })
    }

    fn of_response(function: u8, data: &'a [u8]) -> Option<Self> {
        use function::*;
        Some(match function {
            READ_COILS..=READ_INPUT_REGISTERS | READ_WRITE_MULTIPLE_REGISTERS => {
                let (count, data) = data.split_first()?;
                Self::Values { count: *count, data }
            }
            WRITE_MULTIPLE_COILS | WRITE_MULTIPLE_REGISTERS => {
                Self::Written { address: word(data, 0)?, quantity: word(data, 2)? }
            }
            READ_EXCEPTION_STATUS => Self::ExceptionStatus(*data.first()?),
            GET_COMM_EVENT_COUNTER => Self::EventCounter { status: word(data, 0)?, events: word(data, 2)? },
            GET_COMM_EVENT_LOG => Self::EventLog {
                count: *data.first()?,
                status: word(data, 1)?,
                events: word(data, 3)?,
                messages: word(data, 5)?,
                log: data.get(7..)?,
            },
            REPORT_SERVER_ID => {
                let (count, data) = data.split_first()?;
                Self::ServerId { count: *count, data }
            }
            READ_FILE_RECORD => Self::file(FileLayout::ReadResponse, data)?,
            READ_FIFO_QUEUE => {
                Self::FifoValues { count: word(data, 0)?, fifo_count: word(data, 2)?, data: data.get(4..)? }
            }
            _ => return Self::of_either(function, data),
        })
    }

    /// Functions whose request and response have one layout.
    fn of_either(function: u8, data: &'a [u8]) -> Option<Self> {
        use function::*;
        Some(match function {
            WRITE_SINGLE_COIL | WRITE_SINGLE_REGISTER => {
                Self::WriteSingle { address: word(data, 0)?, value: word(data, 2)? }
            }
            DIAGNOSTICS => Self::Diagnostic { code: word(data, 0)?, data: data.get(2..)? },
            WRITE_FILE_RECORD => Self::file(FileLayout::Write, data)?,
            MASK_WRITE_REGISTER => {
                Self::Mask { address: word(data, 0)?, and_mask: word(data, 2)?, or_mask: word(data, 4)? }
            }
            ENCAPSULATED_INTERFACE_TRANSPORT => {
                let (kind, data) = data.split_first()?;
                Self::Mei { kind: *kind, data }
            }
            _ => return None,
        })
    }

    fn file(layout: FileLayout, data: &'a [u8]) -> Option<Self> {
        let (count, groups) = data.split_first()?;
        Some(Self::File { count: *count, layout, groups })
    }

    /// Where it begins to read, and how many coils, inputs or registers.
    pub(super) fn read_range(&self) -> Option<(u16, u16)> {
        match *self {
            Self::Read { address, quantity } => Some((address, quantity)),
            Self::ReadWrite { read_address, read_quantity, .. } => Some((read_address, read_quantity)),
            _ => None,
        }
    }

    /// Where it begins to write, and how many coils or registers.
    pub(super) fn write_range(&self) -> Option<(u16, u16)> {
        match *self {
            Self::WriteSingle { address, .. } | Self::Mask { address, .. } => Some((address, 1)),
            Self::WriteMultiple { address, quantity, .. }
            | Self::Written { address, quantity }
            | Self::ReadWrite { address, quantity, .. } => Some((address, quantity)),
            _ => None,
        }
    }

    /// The groups of functions 20 and 21.
    pub(super) fn file_records(&self) -> Option<FileRecords<'a>> {
        match *self {
            Self::File { layout, groups, .. } => Some(FileRecords { layout, rest: groups }),
            _ => None,
        }
    }

    /// The byte count that the message states.
    pub(super) fn byte_count(&self) -> Option<u16> {
        match *self {
            Self::Values { count, .. }
            | Self::WriteMultiple { count, .. }
            | Self::ReadWrite { count, .. }
            | Self::EventLog { count, .. }
            | Self::ServerId { count, .. }
            | Self::File { count, .. } => Some(count.into()),
            Self::FifoValues { count, .. } => Some(count),
            _ => None,
        }
    }
}

/// Does the function read or write single bits (coils, discrete inputs) rather than registers?
pub(super) fn is_bits(function: u8) -> bool {
    use function::*;
    matches!(function, READ_COILS | READ_DISCRETE_INPUTS | WRITE_SINGLE_COIL | WRITE_MULTIPLE_COILS)
}

/// Bytes that carry `quantity` bits or registers of a function.
pub(super) fn bytes_for(function: u8, quantity: u16) -> usize {
    if is_bits(function) { usize::from(quantity).div_ceil(8) } else { usize::from(quantity) * 2 }
}

/// The public functions that the standard defines (§5.1).
pub(super) fn is_assigned(function: u8) -> bool {
    matches!(function, 1..=8 | 11 | 12 | 15..=17 | 20..=24 | 43)
}
