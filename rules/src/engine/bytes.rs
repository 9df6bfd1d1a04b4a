//! `byte_test`, `byte_jump`, `byte_extract` and `byte_math`: numbers read from a buffer.

use super::value::{Number, Registers};

/// How a number stands in a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Bytes; of text, digits at the most.
    pub(crate) length: Number,
    /// Where, from the beginning or from the end of the match before.
    pub(crate) offset: Number,
    pub(crate) relative: bool,
    pub(crate) little: bool,
    /// Digits in this base rather than binary.
    pub(crate) text: Option<u32>,
    /// Bits that count; the value is shifted to its lowest.
    pub(crate) mask: Option<u64>,
}

/// A number that was read.
struct Read {
    value: u64,
    /// Where its bytes end.
    end: usize,
}

/// Longest text that is read as a number: 64 bits in octal.
const DIGITS: usize = 23;

impl Reading {
    fn read(&self, buffer: &[u8], previous: usize, registers: &Registers) -> Option<Read> {
        let base = if self.relative { previous as i64 } else { 0 };
        let start = usize::try_from(base.checked_add(self.offset.signed(registers))?).ok()?;
        let length = match self.length.count(registers) {
            0 if self.text.is_some() => buffer.len().saturating_sub(start).min(DIGITS),
            length => length,
        };
        let end = start.checked_add(length)?;
        let bytes = buffer.get(start..end)?;
        let value = match self.text {
            Some(radix) => digits(bytes.get(..length.min(DIGITS))?, radix)?,
            None if length > 8 => return None,
            None if self.little => bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)),
            None => bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)),
        };
        let value = match self.mask {
            Some(mask) if mask != 0 => (value & mask) >> mask.trailing_zeros(),
            _ => value,
        };
        Some(Read { value, end })
    }
}

/// Blanks, then digits up to the first character that is none; `None` without a digit.
fn digits(bytes: &[u8], radix: u32) -> Option<u64> {
    let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut rest = bytes.get(blank..)?;
    if radix == 16
        && let [b'0', b'x' | b'X', tail @ ..] = rest
    {
        rest = tail;
    }
    let count = rest.iter().take_while(|&&byte| char::from(byte).is_digit(radix)).count();
    u64::from_str_radix(std::str::from_utf8(rest.get(..count)?).ok()?, radix).ok()
}

/// How `byte_test` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    /// They have a bit in common.
    And,
    /// They differ in a bit.
    Xor,
}

/// `byte_test`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteTest {
    pub(crate) reading: Reading,
    pub(crate) comparison: Comparison,
    pub(crate) negated: bool,
    pub(crate) value: Number,
}

impl ByteTest {
    pub(crate) fn holds(&self, buffer: &[u8], previous: usize, registers: &Registers) -> bool {
        let Some(Read { value, .. }) = self.reading.read(buffer, previous, registers) else { return false };
        let wanted = self.value.unsigned(registers);
        let holds = match self.comparison {
            Comparison::Less => value < wanted,
            Comparison::LessOrEqual => value <= wanted,
            Comparison::Greater => value > wanted,
            Comparison::GreaterOrEqual => value >= wanted,
            Comparison::Equal => value == wanted,
            Comparison::And => value & wanted != 0,
            Comparison::Xor => value ^ wanted != 0,
        };
        holds != self.negated
    }
}

/// What a jump counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The end of the bytes read.
    Here,
    Beginning,
    End,
}

/// `byte_jump`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteJump {
    pub(crate) reading: Reading,
    pub(crate) multiplier: u64,
    /// Rounds up to a multiple of four.
    pub(crate) align: bool,
    pub(crate) origin: Origin,
    pub(crate) post_offset: Number,
}

impl ByteJump {
    /// Where it leads; `None` outside of the buffer.
    pub(crate) fn target(&self, buffer: &[u8], previous: usize, registers: &Registers) -> Option<usize> {
        let Read { value, end } = self.reading.read(buffer, previous, registers)?;
        let mut distance = value.wrapping_mul(self.multiplier);
        if self.align {
            distance = distance.checked_next_multiple_of(4)?;
        }
        let origin = match self.origin {
            Origin::Here => end,
            Origin::Beginning => 0,
            Origin::End => buffer.len(),
        };
        let target = i128::from(distance) + origin as i128 + i128::from(self.post_offset.signed(registers));
        usize::try_from(target).ok().filter(|&target| target <= buffer.len())
    }
}

/// `byte_extract`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteExtract {
    pub(crate) reading: Reading,
    pub(crate) multiplier: u64,
    /// Rounds up to a multiple of this.
    pub(crate) align: Option<u64>,
    /// Where the value goes.
    pub(crate) slot: u8,
}

impl ByteExtract {
    /// Stores the value and says where its bytes end.
    pub(crate) fn extract(&self, buffer: &[u8], previous: usize, registers: &Registers) -> Option<usize> {
        let Read { value, end } = self.reading.read(buffer, previous, registers)?;
        let mut value = value.wrapping_mul(self.multiplier);
        if let Some(align) = self.align.filter(|&align| align > 1) {
            value = value.checked_next_multiple_of(align)?;
        }
        registers.store(self.slot, value);
        Some(end)
    }
}

/// What `byte_math` computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    ShiftLeft,
    ShiftRight,
}

/// `byte_math`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteMath {
    pub(crate) reading: Reading,
    pub(crate) operation: Operation,
    pub(crate) operand: Number,
    /// Where the result goes.
    pub(crate) slot: u8,
}

impl ByteMath {
    /// Stores the result (in 64 bits, wrapping) and says where the bytes read end; `None` for a division by zero.
    pub(crate) fn compute(&self, buffer: &[u8], previous: usize, registers: &Registers) -> Option<usize> {
        let Read { value, end } = self.reading.read(buffer, previous, registers)?;
        let operand = self.operand.unsigned(registers);
        let shift = u32::try_from(operand).unwrap_or(u32::MAX);
        let result = match self.operation {
            Operation::Add => value.wrapping_add(operand),
            Operation::Subtract => value.wrapping_sub(operand),
            Operation::Multiply => value.wrapping_mul(operand),
            Operation::Divide => value.checked_div(operand)?,
            Operation::ShiftLeft => value.checked_shl(shift).unwrap_or(0),
            Operation::ShiftRight => value.checked_shr(shift).unwrap_or(0),
        };
        registers.store(self.slot, result);
        Some(end)
    }
}
