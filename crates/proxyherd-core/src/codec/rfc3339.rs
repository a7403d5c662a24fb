//! Times as RFC 3339 and as POSIX seconds, read into a [`Timestamp`] and written as RFC 3339 in UTC.
//!
//! A timestamp keeps the digits of its fraction, so `…:00.50Z` is written with two decimals again, in UTC. The range is
//! 1970 to 2286, where POSIX seconds have ten digits. A leap second (`23:59:60` in UTC) has no POSIX time of its own:
//! it is read as the second after it, as POSIX counts it.
//!
//! The date arithmetic is here, and not from a library: a library keeps a fraction as nanoseconds, and does not keep
//! the number of its digits. Apart from fractions, only two functions on days are needed.

use crate::types::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// POSIX seconds have at most ten digits.
const SECONDS_MAX: i64 = 9_999_999_999;
const FRACTION_DIGITS_MAX: usize = 9;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Why a text is no time of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text has neither form.
    #[error(
        "a time is written as RFC 3339, such as 2026-11-30T12:00:00.5Z, or as POSIX seconds, such as 1796040000.5, \
         with at most {FRACTION_DIGITS_MAX} decimals"
    )]
    Form,
    /// A day, an hour or another part is out of its range.
    #[error("the date or the time of day does not exist")]
    NoSuchTime,
    /// The time is before 1970 or after the last second that POSIX writes with ten digits.
    #[error("a time is between 1970-01-01T00:00:00Z and 2286-11-20T17:46:39Z")]
    Range,
}

/// Reads a time in either form.
///
/// ```
/// use proxyherd_core::{codec::rfc3339, types::Timestamp};
/// let time = rfc3339::parse(b"2021-05-20T00:53:47.50+02:00")?;
/// assert_eq!(Some(time), Timestamp::parse(b"1621464827.50"));
/// assert_eq!(rfc3339::parse(b"1621464827.50"), Ok(time));
/// # Ok::<(), rfc3339::TimeError>(())
/// ```
pub fn parse(text: &[u8]) -> Result<Timestamp, TimeError> {
    match Timestamp::parse(text) {
        Some(timestamp) => Ok(timestamp),
        None => parse_rfc3339(text),
    }
}

fn parse_rfc3339(text: &[u8]) -> Result<Timestamp, TimeError> {
    let Some((date_time, rest)) = text.split_first_chunk::<19>() else { return Err(TimeError::Form) };
    let form = [4, 7, 10, 13, 16].map(|at| date_time[at]);
    // RFC 3339, section 5.6, allows lower case, and a space for readability.
    if !matches!(form, [b'-', b'-', b'T' | b't' | b' ', b':', b':']) {
        return Err(TimeError::Form);
    }
    let number = |start: usize, len: usize| digits(&date_time[start..start + len]);
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let (fraction, rest) = split_fraction(rest)?;
    let offset_s = offset_s(rest)?;
    let exists = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !exists {
        return Err(TimeError::NoSuchTime);
    }
    let seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset_s;
    // A leap second is at the end of a day in UTC. Its POSIX time is that of the next day's first second.
    if second == 60 && seconds.rem_euclid(SECONDS_PER_DAY) != 0 {
        return Err(TimeError::NoSuchTime);
    }
    if !(0..=SECONDS_MAX).contains(&seconds) {
        return Err(TimeError::Range);
    }
    timestamp(seconds.unsigned_abs(), fraction)
}

/// A timestamp from seconds, and the digits of the fraction as they came.
fn timestamp(seconds: u64, fraction: &[u8]) -> Result<Timestamp, TimeError> {
    let mut nanos = 0;
    for place in 0..FRACTION_DIGITS_MAX {
        nanos = nanos * 10 + fraction.get(place).map_or(0, |digit| u64::from(digit - b'0'));
    }
    let second_digits = seconds.checked_ilog10().map_or(1, |log| log + 1) as u8;
    let shape = second_digits << 4 | fraction.len() as u8;
    Timestamp::from_parts(seconds * NANOS_PER_SECOND + nanos, shape).ok_or(TimeError::Range)
}

fn digits(text: &[u8]) -> Result<i64, TimeError> {
    text.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(byte - b'0')),
        _ => Err(TimeError::Form),
    })
}

/// Takes `"." 1*9DIGIT` from the front of the text, and returns its digits.
fn split_fraction(text: &[u8]) -> Result<(&[u8], &[u8]), TimeError> {
    let [b'.', rest @ ..] = text else { return Ok((&[], text)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if (1..=FRACTION_DIGITS_MAX).contains(&len) { Ok(rest.split_at(len)) } else { Err(TimeError::Form) }
}

/// The offset from UTC, seconds.
fn offset_s(text: &[u8]) -> Result<i64, TimeError> {
    let (sign, hours, minutes) = match text {
        [b'Z' | b'z'] => return Ok(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => (sign, digits(&[*h0, *h1])?, digits(&[*m0, *m1])?),
        _ => return Err(TimeError::Form),
    };
    if hours >= 24 || minutes >= 60 {
        return Err(TimeError::NoSuchTime);
    }
    let magnitude = hours * 3600 + minutes * 60;
    Ok(if *sign == b'-' { -magnitude } else { magnitude })
}

/// Appends a time as RFC 3339 in UTC, with as many decimals as it was written with.
pub fn write(out: &mut Vec<u8>, time: Timestamp) {
    write_nanos(out, time.nanos(), usize::from(time.shape() & 0b1111));
}

/// Appends a time of a server's clock as RFC 3339 in UTC, with nine decimals.
pub fn write_received(out: &mut Vec<u8>, nanos: u64) {
    write_nanos(out, nanos, FRACTION_DIGITS_MAX);
}

fn write_nanos(out: &mut Vec<u8>, nanos: u64, fraction_digits: usize) {
    let (seconds, fraction) = ((nanos / NANOS_PER_SECOND).cast_signed(), nanos % NANOS_PER_SECOND);
    let (days, second) = (seconds / SECONDS_PER_DAY, (seconds % SECONDS_PER_DAY).unsigned_abs());
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let mut put = |end: usize, len: usize, mut value: u64| {
        for place in text[end - len..end].iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(4, 4, year);
    put(7, 2, month);
    put(10, 2, day);
    put(13, 2, second / 3600);
    put(16, 2, second / 60 % 60);
    put(19, 2, second % 60);
    put(29, 9, fraction);
    out.extend_from_slice(&text[..if fraction_digits == 0 { 19 } else { 20 + fraction_digits }]);
    out.push(b'Z');
}

/// Days from 1970-01-01. Here a year begins in March, so that a leap day is the last day of a year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - EPOCH_DAYS
}

/// Year, month and day of a day from 1970 on.
fn civil_from_days(days: i64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs())
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(time: Timestamp) -> String {
        let mut out = Vec::new();
        write(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_read_and_written_in_utc_with_their_digits() {
        for (text, posix, utc) in [
            ("1970-01-01T00:00:00Z", "0", "1970-01-01T00:00:00Z"),
            ("2021-05-19T22:53:47.959498503Z", "1621464827.959498503", "2021-05-19T22:53:47.959498503Z"),
            ("2021-05-20t00:53:47.50+02:00", "1621464827.50", "2021-05-19T22:53:47.50Z"),
            ("2021-05-19 14:53:47.0-08:00", "1621464827.0", "2021-05-19T22:53:47.0Z"),
            ("1969-12-31T23:30:00-01:00", "1800", "1970-01-01T00:30:00Z"),
            ("2000-02-29T12:00:00z", "951825600", "2000-02-29T12:00:00Z"),
            ("2286-11-20T17:46:39.999999999Z", "9999999999.999999999", "2286-11-20T17:46:39.999999999Z"),
            ("2016-12-31T23:59:60.5Z", "1483228800.5", "2017-01-01T00:00:00.5Z"),
            ("2017-01-01T00:59:60+01:00", "1483228800", "2017-01-01T00:00:00Z"),
            ("1621464827.50", "1621464827.50", "2021-05-19T22:53:47.50Z"),
        ] {
            let time = parse(text.as_bytes()).unwrap();
            assert_eq!((time.to_string(), written(time)), (posix.to_owned(), utc.to_owned()), "{text}");
        }
        let mut received = Vec::new();
        write_received(&mut received, 1_621_464_827_500_000_000);
        assert_eq!(received, b"2021-05-19T22:53:47.500000000Z");
        received.clear();
        write_received(&mut received, u64::MAX);
        assert_eq!(received, b"2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn a_time_that_does_not_exist_is_refused() {
        for (text, error) in [
            ("", TimeError::Form),
            ("now", TimeError::Form),
            ("-1", TimeError::Form),
            ("1.6e9", TimeError::Form),
            ("1621464827.1234567890", TimeError::Form),
            ("2021-05-19", TimeError::Form),
            ("2021-05-19T22:53:47", TimeError::Form),
            ("2021-05-19T22:53:47+0200", TimeError::Form),
            ("2021-05-19T22:53Z", TimeError::Form),
            ("2021-05-19T22:53:47.Z", TimeError::Form),
            ("2021-05-19T22:53:47.1234567890Z", TimeError::Form),
            ("2021-05-19T22:53:47Z ", TimeError::Form),
            ("2021-05-1xT22:53:47Z", TimeError::Form),
            ("2021-00-19T22:53:47Z", TimeError::NoSuchTime),
            ("2021-13-19T22:53:47Z", TimeError::NoSuchTime),
            ("2021-02-29T22:53:47Z", TimeError::NoSuchTime),
            ("2100-02-29T22:53:47Z", TimeError::NoSuchTime),
            ("2021-04-31T22:53:47Z", TimeError::NoSuchTime),
            ("2021-05-19T24:00:00Z", TimeError::NoSuchTime),
            ("2021-05-19T22:60:00Z", TimeError::NoSuchTime),
            ("2021-05-19T22:53:60Z", TimeError::NoSuchTime),
            ("2021-05-19T22:53:61Z", TimeError::NoSuchTime),
            ("2021-05-19T22:53:47+24:00", TimeError::NoSuchTime),
            ("1969-12-31T23:59:59Z", TimeError::Range),
            ("1970-01-01T00:00:00+00:01", TimeError::Range),
            ("2286-11-20T17:46:40Z", TimeError::Range),
            ("9999-12-31T23:59:59Z", TimeError::Range),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_that_was_written_is_read_again(seconds in 0..=SECONDS_MAX, fraction in "[0-9]{0,9}") {
            let point = if fraction.is_empty() { "" } else { "." };
            let time = Timestamp::parse(format!("{seconds}{point}{fraction}").as_bytes()).unwrap();
            prop_assert_eq!(parse(written(time).as_bytes()), Ok(time));
        }

        #[test]
        fn days_are_counted_as_they_are_named(days in 0_i64..300_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year as i64, month as i64, day as i64), days);
        }
    }
}
