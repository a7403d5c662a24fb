//! Decimal digits, quickly: the hot path reads three numbers and writes one a report.

/// Reads at most `most` digits at the front of `bytes`: their value and how many there were.
///
/// `most` is at most 19, so the value cannot overflow.
pub(super) fn parse(bytes: &[u8], most: usize) -> (u64, usize) {
    debug_assert!(most <= 19, "nineteen digits fit 64 bits, twenty may not");
    let mut value = 0u64;
    let mut len = 0;
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

/// Appends `value` with exactly `width` digits, zeros in front. `value` must fit `width`, `width` at most 20.
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

/// How many digits `value` has; zero has one.
pub(super) fn width(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_at_the_first_other_byte_or_at_the_most() {
        assert_eq!(parse(b"123.5", 10), (123, 3));
        assert_eq!(parse(b"123456", 3), (123, 3));
        assert_eq!(parse(b"-1", 3), (0, 0));
        assert_eq!(parse(b"", 3), (0, 0));
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
