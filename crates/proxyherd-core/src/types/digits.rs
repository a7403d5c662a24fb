//! Fast decimal digits: for each report the hot path reads three numbers and writes one number.

/// The powers of ten, by exponent.
pub(super) const POWERS_OF_TEN: [u64; 13] = {
    let mut powers = [1; 13];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Reads at most `MOST` digits at the front of `bytes`. Returns their value and their count.
#[inline]
pub(super) fn parse<const MOST: usize>(bytes: &[u8]) -> (u64, usize) {
    const { assert!(MOST <= 16, "sixteen digits are two words of eight") };
    if MOST <= 3 {
        return parse_few(bytes, MOST);
    }
    let (high, high_len) = parse_word(bytes, if MOST < 8 { MOST } else { 8 });
    if high_len < 8 || MOST <= 8 {
        return (high, high_len);
    }
    let (low, low_len) = parse_few(&bytes[8..], MOST - 8);
    (high * POWERS_OF_TEN[low_len] + low, 8 + low_len)
}

/// Reads at most `most` digits one by one, which is faster for up to four digits.
#[inline]
fn parse_few(bytes: &[u8], most: usize) -> (u64, usize) {
    let (mut value, mut len) = (0, 0);
    for &byte in bytes.iter().take(most) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value * 10 + u64::from(digit);
        len += 1;
    }
    (value, len)
}

/// Reads at most `most` digits, eight or fewer, all at once. Each byte of a word is a digit, and three
/// multiplications add neighboring digits up to pairs, fours and eights.
#[inline]
fn parse_word(bytes: &[u8], most: usize) -> (u64, usize) {
    let word = bytes.first_chunk().map_or_else(|| short_word(bytes), |eight| u64::from_le_bytes(*eight));
    let digits = word ^ 0x3030_3030_3030_3030;
    // A lowest byte over 9 gets its top bit set. A carry can only disturb the bytes above it.
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let len = (others.trailing_zeros() as usize / 8).min(most);
    if len == 0 {
        return (0, 0);
    }
    // The first digit is in the lowest byte. Shifting up puts zeros in front of it.
    let digits = digits << (64 - 8 * len);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let odd = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    (even.wrapping_add(odd) >> 32, len)
}

/// Fewer than eight bytes as a word, with zeros above them. Overlapping loads are faster than copying.
fn short_word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4));
    }
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    if len == 0 { 0 } else { byte(0) | byte(len / 2) | byte(len - 1) }
}

/// Appends `value` with exactly `width` digits and leading zeros. `value` must fit `width`, which is at most 20.
pub(super) fn push_padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = width;
    while at >= 2 {
        let pair = (value % 100) as u8;
        value /= 100;
        buffer[at - 1] = b'0' + pair % 10;
        buffer[at - 2] = b'0' + pair / 10;
        at -= 2;
    }
    if at == 1 {
        buffer[0] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    debug_assert_eq!(value, 0, "the number is wider than its field");
    out.extend_from_slice(&buffer[..width]);
}

/// The eight digits of `value` with leading zeros; `value` must be below 10⁸. This is the reverse of `parse_word`:
/// halves, quarters and single digits are separated in parallel in one word.
pub(super) fn eight(value: u32) -> [u8; 8] {
    debug_assert!(value < 100_000_000, "the number is wider than its field");
    let fours = u64::from(value / 10_000) | u64::from(value % 10_000) << 32;
    // 10486 / 2²⁰ is about a hundredth, and exact enough for values below ten thousand.
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007F_0000_007F;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    // 103 / 2¹⁰ is about a tenth, and exact enough for values below a hundred.
    let tens = (twos * 103) >> 10 & 0x000F_000F_000F_000F;
    let ones = tens | (twos - 10 * tens) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

/// The number of digits of `value`. Zero has one digit.
pub(super) fn width(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_at_the_first_other_byte_or_at_the_most() {
        assert_eq!(parse::<10>(b"123.5"), (123, 3));
        assert_eq!(parse::<3>(b"123456"), (123, 3));
        assert_eq!(parse::<3>(b"-1"), (0, 0));
        assert_eq!(parse::<3>(b""), (0, 0));
        assert_eq!(parse::<8>(b"12345678"), (12_345_678, 8));
        assert_eq!(parse::<16>(b"12345678901234567"), (1_234_567_890_123_456, 16));
    }

    #[test]
    fn eight_at_once_are_read_as_one_by_one() {
        for len in 0..=13 {
            for end in [b'/', b':', 0, 0x2F, 0xFF, 0xB0, b'.'] {
                let text: Vec<u8> = (0..len).map(|at| b'0' + (at * 7 + 3) % 10).collect();
                let value = text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
                assert_eq!(parse::<16>(&text), (value, usize::from(len)), "{text:?}");
                for after in [&[end][..], &[end, b'5'], &[end, b'5', b'5', b'5', b'5', b'5', b'5', b'5']] {
                    let text = [&text, after].concat();
                    assert_eq!(parse::<16>(&text), (value, usize::from(len)), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn eight_digits_are_parted_right() {
        for value in (0..100_000_000).step_by(9_973).chain(0..10_000).chain(99_990_000..100_000_000) {
            assert_eq!(eight(value), format!("{value:08}").as_bytes());
        }
    }

    #[test]
    fn padding_keeps_the_width() {
        for (value, width, text) in [
            (5, 1, "5"),
            (5, 2, "05"),
            (123, 9, "000000123"),
            (0, 0, ""),
            (u64::MAX, 20, "18446744073709551615"),
        ] {
            let mut out = Vec::new();
            push_padded(&mut out, value, width);
            assert_eq!(out, text.as_bytes());
        }
        assert_eq!(width(0), 1);
        assert_eq!(width(999), 3);
        assert_eq!(width(1000), 4);
    }
}
