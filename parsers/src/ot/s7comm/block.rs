//! Blocks of a program: their names, how they are transferred, and the services that act on them.

use std::fmt;

use super::names;
use super::pdu::{Pdu, dword, function, word};
use crate::field::name_of;

/// A block as it is named in files: two characters of type, five digits, one of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Two hexadecimal digits read as a number: one of [`names::BLOCK_TYPES`].
    pub(super) kind: u8,
    pub(super) number: u32,
    /// One of [`names::FILE_SYSTEMS`].
    pub(super) file_system: u8,
}

/// Characters of a block's name.
const NAME: usize = 8;

impl Block {
    /// Reads a name of eight characters: `0A00001P`.
    pub(super) fn read(name: &[u8]) -> Option<Self> {
        let (name, _) = name.split_first_chunk::<NAME>()?;
        let [k1, k0, digits @ .., file_system] = name;
        let hexadecimal = |digit: &u8| char::from(*digit).to_digit(16);
        let number =
            digits.iter().try_fold(0u32, |number, digit| Some(number * 10 + char::from(*digit).to_digit(10)?))?;
        Some(Self { kind: (hexadecimal(k1)? << 4 | hexadecimal(k0)?) as u8, number, file_system: *file_system })
    }

    /// Reads a file name: the block's name after a character that says what kind of file it is.
    fn of_file(name: &[u8]) -> Option<Self> {
        Self::read(name.get(1..)?)
    }
}

/// As engineers write it: `DB 1`, `OB 35`.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(names::BLOCK_TYPES, self.kind.into()) {
            Some(name) => {
                for letter in name.chars() {
                    fmt::Write::write_char(f, letter.to_ascii_uppercase())?;
                }
                write!(f, " {}", self.number)
            }
            None => write!(f, "block {:02X} {}", self.kind, self.number),
        }
    }
}

/// What a message of a transfer says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Transfer<'a> {
    pub(super) file: Option<&'a [u8]>,
    pub(super) block: Option<Block>,
    /// Number that the messages of an upload share.
    pub(super) upload_id: Option<u32>,
    /// Bytes of the whole in load memory: as announced by a download, or answered to an upload.
    pub(super) load_length: Option<u32>,
    /// Bytes of code, as announced by a download.
    pub(super) code_length: Option<u32>,
    /// Does more of the block follow?
    pub(super) more: Option<bool>,
    /// What an upload or download ended with.
    pub(super) error: Option<u16>,
    /// The part of the block that the message carries.
    pub(super) part: Option<&'a [u8]>,
}

impl<'a> Transfer<'a> {
    /// `None` when the message is of no transfer.
    pub(super) fn read(pdu: &Pdu<'a>) -> Option<Self> {
        use function::*;
        let code = pdu.function()?;
        if !(REQUEST_DOWNLOAD..=END_UPLOAD).contains(&code) {
            return None;
        }
        let parameter = pdu.parameter;
        let mut transfer = Self::default();
        let more = parameter.get(1).map(|status| status & 1 != 0);
        if !pdu.is_job() {
            match code {
                START_UPLOAD => {
                    transfer.upload_id = dword(parameter, 4);
                    transfer.load_length = text(parameter, 8).and_then(|(digits, _)| decimal(digits));
                }
                UPLOAD | DOWNLOAD_BLOCK => {
                    transfer.more = more;
                    transfer.part = word(pdu.data, 0).and_then(|length| pdu.data.get(4..)?.get(..length.into()));
                }
                _ => {}
            }
            return Some(transfer);
        }
        match code {
            UPLOAD => transfer.upload_id = dword(parameter, 4),
            END_UPLOAD => {
                transfer.error = word(parameter, 2);
                transfer.upload_id = dword(parameter, 4);
            }
            _ => {
                let file = text(parameter, 8);
                transfer.file = file.map(|(name, _)| name);
                transfer.block = transfer.file.and_then(Block::of_file);
                if code == DOWNLOAD_ENDED {
                    transfer.error = word(parameter, 2);
                }
                // "1" and twice six digits.
                if code == REQUEST_DOWNLOAD
                    && let Some((lengths, _)) = file.and_then(|(_, next)| text(parameter, next))
                {
                    transfer.load_length = lengths.get(1..7).and_then(decimal);
                    transfer.code_length = lengths.get(7..13).and_then(decimal);
                }
            }
        }
        Some(transfer)
    }
}

/// Text after its length, and where what follows it begins.
fn text(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let end = at + 1 + usize::from(*bytes.get(at)?);
    Some((bytes.get(at + 1..end)?, end))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// A service of the program invocation: its name and what it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Service<'a> {
    pub(super) name: &'a [u8],
    parameter: &'a [u8],
}

const INSERT: &[u8] = b"_INSE";
const INSERT_2: &[u8] = b"_INS2";
const DELETE: &[u8] = b"_DELE";

impl<'a> Service<'a> {
    /// Of a PI service or a stop. `None` when the message is neither, or ends too early.
    pub(super) fn read(pdu: &Pdu<'a>) -> Option<Self> {
        if !pdu.is_job() {
            return None;
        }
        match pdu.function()? {
            function::PI_SERVICE => {
                let length = usize::from(word(pdu.parameter, 8)?);
                let parameter = pdu.parameter.get(10..)?.get(..length)?;
                let (name, _) = text(pdu.parameter, 10 + length)?;
                Some(Self { name, parameter })
            }
            function::PLC_STOP => Some(Self { name: text(pdu.parameter, 6)?.0, parameter: &[] }),
            _ => None,
        }
    }

    /// Is the name one of blocks being linked into the program or deleted?
    fn has_blocks(&self) -> bool {
        [INSERT, INSERT_2, DELETE].contains(&self.name)
    }

    /// The blocks that it acts on.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + use<'a> {
        let blocks = match self.parameter {
            [count, _, blocks @ ..] if self.has_blocks() => blocks.get(..usize::from(*count) * NAME).unwrap_or(blocks),
            _ => &[],
        };
        blocks.as_chunks::<NAME>().0.iter().filter_map(|name| Block::read(name))
    }

    /// What it is given besides blocks: the arguments of a service of a numeric control, each after its length and
    /// filled up to an even one; else all as it is.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let numeric_control = self.name.starts_with(b"_N_");
        let mut rest = if self.has_blocks() { &[][..] } else { self.parameter };
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if !numeric_control {
                return Some(std::mem::take(&mut rest));
            }
            let (argument, end) = text(rest, 0)?;
            rest = rest.get(end + end % 2..).unwrap_or_default();
            Some(argument)
        })
    }
}
