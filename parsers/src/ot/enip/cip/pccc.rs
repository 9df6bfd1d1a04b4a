//! PCCC, the command set of PLC-5, SLC 500 and MicroLogix, carried by class 0x67 (DF1 Protocol and Command Set,
//! Rockwell Automation publication 1770-6.5.16, chapter 7).

use std::fmt;

use super::super::read::{octet, uint};
use super::path::Logical;
use super::service::{Service, class, code};
use crate::field::{Names, name_of};
use crate::operation::Operation;

/// Set in the command of a reply.
const REPLY: u8 = 0x40;
/// Status that says: more follows in an extended status.
const EXTENDED: u8 = 0xf0;

/// Commands (§7).
pub(crate) const COMMANDS: Names = &[
    (0x00, "protected_write"),
    (0x01, "unprotected_read"),
    (0x02, "protected_bit_write"),
    (0x04, "physical_read"),
    (0x05, "unprotected_bit_write"),
    (0x06, "diagnostics"),
    (0x07, "mode"),
    (0x08, "unprotected_write"),
    (0x0f, "extended"),
];

/// Functions, as command × 256 + function.
pub(crate) const FUNCTIONS: Names = &[
    (0x0600, "echo"),
    (0x0601, "read_diagnostic_counters"),
    (0x0602, "set_variables"),
    (0x0603, "diagnostic_status"),
    (0x0604, "set_timeout"),
    (0x0605, "set_naks"),
    (0x0606, "set_enqs"),
    (0x0607, "reset_diagnostic_counters"),
    (0x0608, "set_data_table_size"),
    (0x0609, "read_link_parameters"),
    (0x060a, "set_link_parameters"),
    (0x0700, "disable_outputs"),
    (0x0701, "enable_outputs"),
    (0x0703, "enable_plc_scanning"),
    (0x0704, "enter_download_mode"),
    (0x0705, "exit_download_upload_mode"),
    (0x0706, "enter_upload_mode"),
    (0x0f00, "word_range_write"),
    (0x0f01, "word_range_read"),
    (0x0f02, "bit_write"),
    (0x0f03, "file_write"),
    (0x0f04, "file_read"),
    (0x0f05, "download_request"),
    (0x0f06, "upload"),
    (0x0f07, "shutdown"),
    (0x0f08, "physical_write"),
    (0x0f09, "physical_read"),
    (0x0f0a, "restart_request"),
    (0x0f11, "get_edit_resource"),
    (0x0f12, "return_edit_resource"),
    (0x0f17, "read_bytes_physical"),
    (0x0f18, "write_bytes_physical"),
    (0x0f26, "read_modify_write"),
    (0x0f29, "read_section_size"),
    (0x0f3a, "set_cpu_mode"),
    (0x0f41, "disable_forces"),
    (0x0f50, "download_all_request"),
    (0x0f52, "download_completed"),
    (0x0f53, "upload_all_request"),
    (0x0f55, "upload_completed"),
    (0x0f57, "initialize_memory"),
    (0x0f5e, "modify_plc_2_compatibility_file"),
    (0x0f67, "typed_write"),
    (0x0f68, "typed_read"),
    (0x0f79, "read_modify_write_n"),
    (0x0f80, "change_cpu_mode"),
    (0x0f81, "open_file"),
    (0x0f82, "close_file"),
    (0x0f88, "execute_multiple_commands"),
    (0x0f8f, "apply_port_configuration"),
    (0x0fa1, "protected_typed_logical_read_with_two_address_fields"),
    (0x0fa2, "protected_typed_logical_read_with_three_address_fields"),
    (0x0fa7, "protected_typed_file_read"),
    (0x0fa9, "protected_typed_logical_write_with_two_address_fields"),
    (0x0faa, "protected_typed_logical_write_with_three_address_fields"),
    (0x0fab, "protected_typed_logical_masked_write_with_three_address_fields"),
    (0x0faf, "protected_typed_file_write"),
];

/// A view of one command or reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pccc<'a> {
    /// Without the reply bit.
    pub(crate) command: u8,
    pub(crate) status: u8,
    /// Status of a reply beyond `status`.
    pub(crate) extended_status: Option<u8>,
    pub(crate) transaction: u16,
    /// Of a command that has functions.
    pub(crate) function: Option<u8>,
    pub(crate) data: &'a [u8],
    pub(crate) reply: bool,
}

impl<'a> Pccc<'a> {
    /// What Execute PCCC carries, in the request or in the answer to it.
    #[inline]
    pub(crate) fn new(message: &Service<'a>, request: &Service<'_>) -> Option<Self> {
        if request.code() == code::EXECUTE_PCCC { Self::executed(message, request) } else { None }
    }

    fn executed(message: &Service<'a>, request: &Service<'_>) -> Option<Self> {
        if message.status != 0 || request.path.first(Logical::Class) != Some(class::PCCC) {
            return None;
        }
        let requester = usize::from(octet(message.data, 0)?);
        let bytes = message.data.get(requester..)?;
        let raw = octet(bytes, 0)?;
        let (command, status, transaction) = (raw & !REPLY, octet(bytes, 1)?, uint(bytes, 2)?);
        let reply = raw & REPLY != 0;
        let has_function = !reply && matches!(command, 0x06 | 0x07 | 0x0f);
        let has_extended = reply && status & EXTENDED == EXTENDED;
        let data = bytes.get(4 + usize::from(has_function || has_extended)..).unwrap_or_default();
        Some(Self {
            command,
            status,
            extended_status: if has_extended { octet(bytes, 4) } else { None },
            transaction,
            function: if has_function { octet(bytes, 4) } else { None },
            data,
            reply,
        })
    }

    /// Command × 256 + function.
    pub(crate) fn operation_code(&self) -> Option<u16> {
        Some(u16::from(self.command) << 8 | u16::from(self.function?))
    }

    /// The name of the function, or of a command that has none.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self.operation_code() {
            Some(code) => name_of(FUNCTIONS, code.into()),
            None => name_of(COMMANDS, self.command.into()),
        }
    }

    pub(crate) fn operation(&self) -> Option<Operation> {
        let Some(code) = self.operation_code() else {
            return match self.command {
                0x00 | 0x02 | 0x05 | 0x08 => Some(Operation::Write),
                0x01 | 0x04 => Some(Operation::Read),
                _ => None,
            };
        };
        Some(match code {
            0x0600 | 0x0601 | 0x0609 => Operation::Read,
            0x0603 => Operation::Discover,
            0x0602 | 0x0604..=0x0608 | 0x060a => Operation::Configure,
            0x0700 => Operation::Stop,
            0x0701 | 0x0703 => Operation::Start,
            0x0704..=0x0706 => Operation::Program,
            0x0f01 | 0x0f04 | 0x0f09 | 0x0f17 | 0x0f29 | 0x0f68 | 0x0fa1 | 0x0fa2 => Operation::Read,
            0x0f00 | 0x0f02 | 0x0f03 | 0x0f08 | 0x0f18 | 0x0f26 | 0x0f67 | 0x0f79 | 0x0fa9..=0x0fab => Operation::Write,
            0x0f05 | 0x0f06 | 0x0f50 | 0x0f52 | 0x0f53 | 0x0f55 | 0x0f5e => Operation::Program,
            0x0f57 => Operation::Program,
            0x0f07 => Operation::Stop,
            0x0f0a => Operation::Restart,
            0x0f11 | 0x0f12 => Operation::Authenticate,
            0x0f41 => Operation::Control,
            0x0f8f => Operation::Configure,
            0x0f81 | 0x0f82 | 0x0fa7 | 0x0faf => Operation::File,
            0x0f3a | 0x0f80 => self.mode(code)?,
            _ => return None,
        })
    }

    /// Set CPU mode of PLC-5 (0x3a) and change mode of SLC 500 and MicroLogix (0x80).
    fn mode(&self, code: u16) -> Option<Operation> {
        Some(match (code, octet(self.data, 0)?) {
            (0x0f3a, mode) => match mode & 3 {
                2 => Operation::Start,
                1 => Operation::Control,
                _ => Operation::Stop,
            },
            (_, 6) => Operation::Start,
            (_, 1) => Operation::Stop,
            _ => Operation::Control,
        })
    }

    /// What a typed logical command addresses, and how many bytes of it.
    pub(crate) fn address(&self) -> Option<Address> {
        let three = match self.operation_code()? {
            0x0fa2 | 0x0faa | 0x0fab => true,
            0x0fa1 | 0x0fa9 => false,
            _ => return None,
        };
        let mut at = 1;
        let mut number = || {
            let (value, length) = match octet(self.data, at)? {
                0xff => (uint(self.data, at + 1)?, 3),
                short => (short.into(), 1),
            };
            at += length;
            Some(value)
        };
        let file = number()?;
        let kind = number()?;
        let element = number()?;
        let part = if three { number()? } else { 0 };
        Some(Address { file, kind, element, part, length: octet(self.data, 0)?, data_at: at })
    }

    /// The number written, where it is one of one word or a float.
    pub(crate) fn written(&self) -> Option<f64> {
        if self.operation() != Some(Operation::Write) {
            return None;
        }
        let address = self.address()?;
        let data = self.data.get(address.data_at..)?;
        match (address.kind, address.length) {
            (0x8a, 4) => Some(f32::from_bits(super::super::read::udint(data, 0)?).into()),
            (_, 2) if self.function != Some(0xab) => Some(f64::from(uint(data, 0)? as i16)),
            _ => None,
        }
    }
}

/// What SLC 500 and MicroLogix controllers, and modules beside them, say of themselves (chapter 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Diagnosis<'a> {
    /// Bulletin number or name.
    pub(crate) name: &'a [u8],
    /// From 0, which is A.
    pub(crate) series: u8,
    /// Firmware release, from 1.
    pub(crate) release: u8,
}

/// Function that asks for the diagnostic status, with its command.
const DIAGNOSTIC_STATUS: u16 = 0x0603;
/// In the second octet of the status: the types have octets of their own, and a name follows.
const TYPE_EXTENDERS: [u8; 2] = [0xee, 0xfe];

impl<'a> Pccc<'a> {
    /// The diagnostic status in the answer to `asked`, of those that tell their names.
    pub(crate) fn diagnosed(&self, asked: &Pccc<'_>) -> Option<Diagnosis<'a>> {
        if !self.reply || self.status != 0 || asked.operation_code() != Some(DIAGNOSTIC_STATUS) {
            return None;
        }
        let (&[_, extender, _, _, version], rest) = self.data.split_first_chunk()?;
        let name = rest.get(..11)?.trim_ascii();
        let tells = TYPE_EXTENDERS.contains(&extender) && !name.is_empty() && name.is_ascii();
        tells.then_some(Diagnosis { name, series: version >> 5, release: (version & 0x1f) + 1 })
    }
}

/// A place in the data files of a PLC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    file: u16,
    kind: u16,
    element: u16,
    part: u16,
    length: u8,
    data_at: usize,
}

/// As it is written in ladder logic: `N7:0`, `T4:2.1`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: Names = &[
            (0x82, "O"),
            (0x83, "I"),
            (0x84, "S"),
            (0x85, "B"),
            (0x86, "T"),
            (0x87, "C"),
            (0x88, "R"),
            (0x89, "N"),
            (0x8a, "F"),
            (0x8d, "ST"),
            (0x8e, "A"),
            (0x91, "L"),
        ];
        match name_of(LETTERS, self.kind.into()) {
            Some(letter) => write!(f, "{letter}{}:{}", self.file, self.element)?,
            None => write!(f, "file {} type {:#x}:{}", self.file, self.kind, self.element)?,
        }
        if self.part > 0 { write!(f, ".{}", self.part) } else { Ok(()) }
    }
}
