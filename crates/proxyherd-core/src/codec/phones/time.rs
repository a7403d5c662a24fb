//! Times as phone apps write them.
//!
//! Besides the forms that [`rfc3339`] reads, apps send milliseconds, offsets without a colon, and times without an
//! offset.

use crate::{
    codec::rfc3339::{self, TimeError},
    types::Timestamp,
};

/// A number from here on is milliseconds, because no time has so many seconds.
pub(super) const MILLISECONDS_MIN: u64 = 10_000_000_000;
/// A number from here on is milliseconds in what Traccar's server reads (traccar/traccar,
/// `OsmAndProtocolDecoder.java`).
pub(super) const TRACCAR_MILLISECONDS_MIN: u64 = i32::MAX as u64;
/// The longest text of a time: a date and a time, a point, nine digits and an offset.
const LEN_MAX: usize = 40;
/// Decimals of a second that a time can have.
const FRACTION_DIGITS_MAX: usize = 9;

/// Reads POSIX seconds, POSIX milliseconds from `milliseconds_min` on, or a date and a time. A time without an offset
/// is in UTC.
pub(super) fn read(text: &[u8], milliseconds_min: u64) -> Result<Timestamp, TimeError> {
    let text = text.trim_ascii();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (integer, fraction) = text.split_at(digits);
    if matches!(fraction, [] | [b'.', ..]) {
        number(integer, fraction, milliseconds_min)
    } else {
        date_time(text)
    }
}

fn number(integer: &[u8], fraction: &[u8], milliseconds_min: u64) -> Result<Timestamp, TimeError> {
    let fraction = fraction.strip_prefix(b".").unwrap_or_default();
    if integer.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return Err(TimeError::Form);
    }
    let whole = integer
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(TimeError::Range)?;
    let milliseconds = if whole < milliseconds_min { 0 } else { 3 };
    // A number of milliseconds has at least ten digits.
    let (seconds, thousandths) = integer.split_at(integer.len() - milliseconds);
    let mut line = Line::default();
    line.push(seconds)?;
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX - milliseconds)];
    if !thousandths.is_empty() || !fraction.is_empty() {
        line.push(b".")?;
        line.push(thousandths)?;
        line.push(fraction)?;
    }
    Timestamp::parse(line.text()).ok_or(TimeError::Range)
}

/// Reads a date and a time, with the offset as RFC 3339 writes it.
fn date_time(text: &[u8]) -> Result<Timestamp, TimeError> {
    let Some((date_time, rest)) = text.split_at_checked(19) else { return Err(TimeError::Form) };
    let fraction = match rest {
        [b'.', digits @ ..] => 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    let (fraction, offset) = rest.split_at(fraction);
    let mut line = Line::default();
    line.push(date_time)?;
    line.push(fraction)?;
    match offset {
        [] => line.push(b"Z")?,
        // A `+` that was not percent-encoded is a space in a query.
        [sign @ (b'+' | b'-' | b' '), hours @ .., b':', _, _] if hours.len() == 2 => {
            line.push(&[if *sign == b' ' { b'+' } else { *sign }])?;
            line.push(&offset[1..])?;
        }
        [sign @ (b'+' | b'-' | b' '), h0, h1, m0, m1] => {
            line.push(&[if *sign == b' ' { b'+' } else { *sign }, *h0, *h1, b':', *m0, *m1])?;
        }
        offset => line.push(offset)?,
    }
    rfc3339::parse(line.text())
}

/// A short text on the stack.
struct Line {
    bytes: [u8; LEN_MAX],
    len: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { bytes: [0; LEN_MAX], len: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) -> Result<(), TimeError> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(TimeError::Form)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, TimeError>) {
        let read = read(text.as_bytes(), TRACCAR_MILLISECONDS_MIN).map(|time| time.to_string());
        assert_eq!(read, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn numbers_are_seconds_up_to_a_bound_and_milliseconds_from_there_on() {
        check("0", Ok("0"));
        check("1497476456", Ok("1497476456"));
        check(" 1497476456.25 ", Ok("1497476456.25"));
        check("1497476456.1234567891", Ok("1497476456.123456789"));
        check("2147483646", Ok("2147483646"));
        check("2147483647", Ok("2147483.647"));
        check("1497476456123", Ok("1497476456.123"));
        check("1497476456007.5", Ok("1497476456.0075"));
        check("9999999999999", Ok("9999999999.999"));
        check("10000000000000", Err(TimeError::Range));
        check("99999999999999999999999999", Err(TimeError::Range));
        let late = read(b"2147483647", MILLISECONDS_MIN).map(|time| time.to_string());
        assert_eq!(late.as_deref(), Ok("2147483647"));
        let late = read(b"10000000000", MILLISECONDS_MIN).map(|time| time.to_string());
        assert_eq!(late.as_deref(), Ok("10000000.000"));
        for text in ["", "-1", "1.7e9", "1.x", ".5", "x", "true"] {
            check(text, Err(TimeError::Form));
        }
    }

    #[test]
    fn dates_have_any_offset_or_none() {
        for text in [
            "2021-05-19T22:53:47Z",
            "2021-05-20T00:53:47+02:00",
            "2021-05-20T00:53:47 02:00",
            "2021-05-20T00:53:47+0200",
            "2021-05-20T00:53:47 0200",
            "2021-05-19T15:53:47-0700",
            "2021-05-19 22:53:47",
            "2021-05-19T22:53:47",
            "2021-05-19t22:53:47z",
        ] {
            check(text, Ok("1621464827"));
        }
        check("2021-05-19T22:53:47.250Z", Ok("1621464827.250"));
        check("2021-05-20T00:53:47.123456+0200", Ok("1621464827.123456"));
        check("2021-05-19T22:53:47.250", Ok("1621464827.250"));
        check("2021-02-30T00:00:00Z", Err(TimeError::NoSuchTime));
        check("1969-12-31T23:59:59Z", Err(TimeError::Range));
        for text in [
            "2021-05-19",
            "2021-05-19T22:53:47X",
            "2021-05-19T22:53:47.Z",
            "2021-05-19T22:53:47+2",
            "2021-05-19T22:53:47.1234567890Z",
            "2021-05-19T22:53:47.123456789123456789123456789Z",
            "20210519T225347Z",
            "\u{fc}2021-05-19T22:53:47Z",
        ] {
            check(text, Err(TimeError::Form));
        }
    }
}
