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

/// The last four digits of a number.
#[inline(always)]
fn four(number: u32) -> [u8; 4] {
    let ([a, b], [c, d]) = (two(number / 100), two(number));
    [a, b, c, d]
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
    match value {
        // Most numbers of a record are of one digit.
        0..=9 => out.fixed(&[b'0' + value as u8, b',']),
        10..=9999 => up_to_four(out, value as u32),
        _ => longer(out, value),
    }
}

/// Appends a number below 10,000 with a comma: all four of its digits, moved over the zeros that they begin with.
#[inline(always)]
fn up_to_four(out: &mut Lines, value: u32) {
    let zeros = usize::from(value < 1000) + usize::from(value < 100) + usize::from(value < 10);
    let [a, b, c, d] = four(value);
    let digits = u64::from_le_bytes([a, b, c, d, b',', 0, 0, 0]) >> (8 * zeros);
    out.put::<8>(|room| {
        *room = digits.to_le_bytes();
        5 - zeros
    });
}

#[inline(never)]
fn longer(out: &mut Lines, value: u64) {
    match value {
        ..=99_999_999 => {
            up_to_four(out, value as u32 / 10_000);
            out.take_back(b',');
            let [a, b, c, d] = four(value as u32 % 10_000);
            out.fixed(&[a, b, c, d, b',']);
        }
        _ => {
            out.append(itoa::Buffer::new().format(value).as_bytes());
            out.push(b',');
        }
    }
}

/// Appends lower-case hexadecimal digits.
pub(super) fn hex(out: &mut Lines, bytes: &[u8]) {
    let (words, rest) = bytes.as_chunks::<4>();
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
