//! Numbers as digits.

use super::lines::Lines;

/// The two digits of 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The last two digits of a number.
#[inline(always)]
pub(super) fn two(number: u32) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

/// Appends an unsigned number.
#[inline]
pub(super) fn number(out: &mut Lines, value: u64) {
    with_comma(out, value);
    out.take_back(b',');
}

/// Appends an unsigned number with a comma behind it.
#[inline]
pub(super) fn with_comma(out: &mut Lines, value: u64) {
    if value < SHORT_NUMBER {
        out.put(|room| short_number(room, value));
    } else {
        out.append(itoa::Buffer::new().format(value).as_bytes());
        out.push(b',');
    }
}

/// Numbers below this have at most eight digits.
pub(super) const SHORT_NUMBER: u64 = 100_000_000;
/// Bytes of such a number and a comma at the most.
pub(super) const NUMBER: usize = 9;

/// Writes a number of at most eight digits with a comma behind it to the beginning of `room`; returns their length.
#[inline(always)]
pub(super) fn short_number(room: &mut [u8; NUMBER], value: u64) -> usize {
    // Most numbers of a record are of one digit.
    if let (0..=9, Some(place)) = (value, room.first_chunk_mut()) {
        *place = [b'0' + value as u8, b','];
        return 2;
    }
    eight_digits(room, value)
}

/// Works out all eight digits at once, then moves them over the zeros that they begin with.
#[inline(always)]
fn eight_digits(room: &mut [u8; NUMBER], value: u64) -> usize {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 5243) >> 19) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((twos - tens * 10) << 8);
    // The last digit stays.
    let zeros = (digits | 1 << 56).trailing_zeros() / 8;
    let text = (digits | 0x3030_3030_3030_3030) >> (8 * zeros);
    let length = 8 - zeros as usize;
    if let Some(place) = room.first_chunk_mut() {
        *place = text.to_le_bytes();
    }
    if let Some(end) = room.get_mut(length) {
        *end = b',';
    }
    length + 1
}

/// Appends lower-case hexadecimal digits.
pub(super) fn hex(out: &mut Lines, bytes: &[u8]) {
    let (blocks, rest) = bytes.as_chunks::<16>();
    for block in blocks {
        out.put::<32>(|room| {
            for (room, word) in room.as_chunks_mut().0.iter_mut().zip(block.as_chunks().0) {
                *room = hex_of_four(*word);
            }
            32
        });
    }
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        out.fixed(&hex_of_four(*word));
    }
    for byte in rest {
        let [high, low, ..] = hex_of_four([*byte, 0, 0, 0]);
        out.fixed(&[high, low]);
    }
}

/// The digits of four bytes, all at once: each half of a byte gets a byte of its own, in which it becomes a character.
#[inline(always)]
const fn hex_of_four(bytes: [u8; 4]) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let [a, b, c, d] = bytes;
    let spread = u64::from_le_bytes([a, 0, b, 0, c, 0, d, 0]);
    let halves = (spread >> 4 | spread << 8) & (ONES * 0x0f);
    // 1 where the digit is a letter.
    let letters = (halves + ONES * 6) >> 4 & ONES;
    (halves + ONES * b'0' as u64 + letters * (b'a' - b'9' - 1) as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Lines)) -> String {
        let mut lines = Lines::default();
        write(&mut lines);
        String::from_utf8(lines.written().to_vec()).unwrap()
    }

    #[test]
    fn numbers_of_every_length_read_back() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back(value in any::<u64>(), shift in 0..64) {
            let value = value >> shift;
            prop_assert_eq!(written(|out| number(out, value)), value.to_string());
        }

        #[test]
        fn bytes_become_two_digits_each(bytes in any::<Vec<u8>>()) {
            let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(written(|out| hex(out, &bytes)), expected);
        }
    }
}
