//! A client's time, the server's difference from it, and the version that follows from both.

use std::{fmt, num::NonZeroU8};

use super::digits::{self, POWERS_OF_TEN};
use crate::limits::CLOCK_AHEAD_MAX_NS;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECOND_DIGITS_MAX: usize = 10;
const FRACTION_DIGITS_MAX: usize = 9;

/// POSIX time by the client's clock, and the way it was written: 1 to 10 digits, then at most 9 decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    nanos: u64,
    /// The shape. Never 0, because at least one digit was written. So an `Option` of a timestamp takes no more room
    /// than a timestamp.
    shape: NonZeroU8,
}

impl Timestamp {
    /// Reads `1*10DIGIT ["." 1*9DIGIT]` and nothing else.
    pub fn parse(text: &[u8]) -> Option<Timestamp> {
        Timestamp::parse_front(text).filter(|(_, rest)| rest.is_empty()).map(|(timestamp, _)| timestamp)
    }

    /// Reads a timestamp at the front of `text`. Returns the rest, too.
    pub(crate) fn parse_front(text: &[u8]) -> Option<(Timestamp, &[u8])> {
        let (seconds, second_digits) = digits::parse::<SECOND_DIGITS_MAX>(text);
        if second_digits == 0 {
            return None;
        }
        let mut rest = &text[second_digits..];
        let (mut fraction, mut fraction_digits) = (0, 0);
        if let [b'.', decimals @ ..] = rest {
            (fraction, fraction_digits) = digits::parse::<FRACTION_DIGITS_MAX>(decimals);
            if fraction_digits == 0 {
                return None;
            }
            rest = &decimals[fraction_digits..];
        }
        let nanos =
            seconds * NANOS_PER_SECOND + fraction * POWERS_OF_TEN[FRACTION_DIGITS_MAX - fraction_digits];
        let shape = NonZeroU8::new((second_digits << 4 | fraction_digits) as u8)?;
        Some((Timestamp { nanos, shape }, rest))
    }

    /// The server's own clock as a timestamp with nine decimals, for reports without a time.
    ///
    /// Returns `None` past the year 2286, when seconds have more than ten digits.
    pub fn from_nanos(nanos: u64) -> Option<Timestamp> {
        let second_digits = digits::width(nanos / NANOS_PER_SECOND);
        Timestamp::from_parts(nanos, (second_digits << 4 | FRACTION_DIGITS_MAX) as u8)
    }

    /// Nanoseconds since 1970.
    pub fn nanos(self) -> u64 {
        self.nanos
    }

    /// The shape of the written text: the number of digits before the point in the upper half, and after the point in
    /// the lower half.
    pub fn shape(self) -> u8 {
        self.shape.get()
    }

    /// Restores a timestamp from [`Timestamp::nanos`] and [`Timestamp::shape`], unless no text could have produced
    /// it.
    pub fn from_parts(nanos: u64, shape: u8) -> Option<Timestamp> {
        let timestamp = Timestamp { nanos, shape: NonZeroU8::new(shape)? };
        let (second_digits, fraction_digits) = (timestamp.second_digits(), timestamp.fraction_digits());
        let fits = (1..=SECOND_DIGITS_MAX).contains(&second_digits)
            && fraction_digits <= FRACTION_DIGITS_MAX
            && nanos / NANOS_PER_SECOND < POWERS_OF_TEN[second_digits]
            && nanos.is_multiple_of(POWERS_OF_TEN[FRACTION_DIGITS_MAX - fraction_digits]);
        fits.then_some(timestamp)
    }

    /// Trusts parts that were a timestamp before.
    pub(crate) fn from_parts_trusted(nanos: u64, shape: u8) -> Timestamp {
        debug_assert!(Timestamp::from_parts(nanos, shape).is_some(), "the store holds only checked times");
        Timestamp { nanos, shape: NonZeroU8::new(shape).unwrap_or(NonZeroU8::MIN) }
    }

    /// Appends the text that [`Timestamp::parse`] read.
    pub fn write(self, out: &mut Vec<u8>) {
        digits::push_padded(out, self.nanos / NANOS_PER_SECOND, self.second_digits());
        let fraction_digits = self.fraction_digits();
        if fraction_digits > 0 {
            out.push(b'.');
            let unit = POWERS_OF_TEN[FRACTION_DIGITS_MAX - fraction_digits];
            digits::push_padded(out, self.nanos % NANOS_PER_SECOND / unit, fraction_digits);
        }
    }

    fn second_digits(self) -> usize {
        usize::from(self.shape() >> 4)
    }

    fn fraction_digits(self) -> usize {
        usize::from(self.shape() & 0b1111)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(20);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("digits and points are ASCII"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The server's clock at receipt minus the client's timestamp, nanoseconds; negative when the client's
/// clock is ahead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference(i64);

impl Difference {
    /// The difference between `now_ns`, the server's POSIX time in nanoseconds, and a report's timestamp.
    ///
    /// The timestamp may be 292 years ahead of a server whose clock was never set. The difference is clamped to that,
    /// because every neighbor would refuse a difference that wrapped around.
    pub fn at_receipt(now_ns: u64, timestamp: Timestamp) -> Difference {
        let farthest = if now_ns < timestamp.nanos { i64::MIN } else { i64::MAX };
        Difference(now_ns.checked_signed_diff(timestamp.nanos).unwrap_or(farthest))
    }

    /// Takes a difference from outside, unless it puts the receipt of `timestamp` before 1970.
    pub fn from_nanos(nanos: i64, timestamp: Timestamp) -> Option<Difference> {
        timestamp.nanos.checked_add_signed(nanos).map(|_| Difference(nanos))
    }

    /// Trusts a difference that was valid before.
    pub(crate) fn trusted(nanos: i64) -> Difference {
        Difference(nanos)
    }

    /// The difference in nanoseconds.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// The time at which the server took the report, POSIX time in nanoseconds.
    pub fn received_ns(self, timestamp: Timestamp) -> u64 {
        timestamp.nanos.saturating_add_signed(self.0)
    }

    /// Appends the difference as in an AT line: always with a sign and nine decimals.
    pub fn write(self, out: &mut Vec<u8>) {
        let sign = if self.0 < 0 { b'-' } else { b'+' };
        let magnitude = self.0.unsigned_abs();
        let (seconds, nanos) = (magnitude / NANOS_PER_SECOND, (magnitude % NANOS_PER_SECOND) as u32);
        if seconds < 10 {
            // Differences of right clocks take this branch. It copies a length that the compiler knows.
            let mut text =
                [sign, b'0' + seconds as u8, b'.', 0, 0, 0, 0, 0, 0, 0, 0, b'0' + (nanos % 10) as u8];
            text[3..11].copy_from_slice(&digits::eight(nanos / 10));
            out.extend_from_slice(&text);
            return;
        }
        out.push(sign);
        digits::push_padded(out, seconds, digits::width(seconds));
        out.push(b'.');
        digits::push_padded(out, nanos.into(), FRACTION_DIGITS_MAX);
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(21);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("signs, digits and points are ASCII"))
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The version that orders the records of a key, nanoseconds: the client's timestamp. The server's clock limits the
/// version only if the client's clock is more than five seconds ahead. The version can be computed from an AT line
/// alone, so it is the same at every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// `timestamp + min(difference + 5 s, 0)`.
    pub fn of(timestamp: Timestamp, difference: Difference) -> Version {
        let bound = difference.0.saturating_add(CLOCK_AHEAD_MAX_NS).min(0);
        Version(timestamp.nanos.saturating_add_signed(bound))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn timestamps_are_plain_decimals() {
        for text in ["0", "1621464827.959498503", "9999999999.999999999", "0001.50", "1.0"] {
            assert_eq!(at(text).to_string(), text);
        }
        for text in [
            "",
            ".",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "12345678901",
            "1.1234567890",
            "nan",
            "1 ",
            "1.5x",
            "1..",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_difference_is_signed_with_nine_decimals() {
        let sent = at("1621464827.959498503");
        for (now, text) in [
            (1_621_464_828_223_371_889, "+0.263873386"),
            (1_621_464_827_959_498_503, "+0.000000000"),
            (1_621_464_837_959_498_502, "+9.999999999"),
            (1_621_464_837_959_498_503, "+10.000000000"),
            (1_621_464_827_959_498_502, "-0.000000001"),
            (1_621_464_817_959_498_502, "-10.000000001"),
        ] {
            let difference = Difference::at_receipt(now, sent);
            assert_eq!(difference.to_string(), text);
            assert_eq!(difference.received_ns(sent), now);
        }
    }

    #[test]
    fn a_difference_is_one_that_neighbors_accept_however_wrong_the_clocks_are() {
        for now in [0, 1, 1_700_000_000_000_000_000, 9_999_999_999_999_999_999] {
            for sent in [at("0"), at("1700000000"), at("9999999999.999999999")] {
                let difference = Difference::at_receipt(now, sent);
                assert_eq!(Difference::from_nanos(difference.nanos(), sent), Some(difference));
            }
        }
    }

    #[test]
    fn only_a_clock_more_than_five_seconds_ahead_is_bounded() {
        let now = 1_000_000_000_000_000_000;
        for (sent, version) in [
            ("999999999", 999_999_999_000_000_000),
            ("1000000005", 1_000_000_005_000_000_000),
            ("1000000005.000000001", 1_000_000_005_000_000_000),
            ("9999999999", 1_000_000_005_000_000_000),
        ] {
            let sent = at(sent);
            assert_eq!(Version::of(sent, Difference::at_receipt(now, sent)), Version(version));
        }
    }

    proptest! {
        #[test]
        fn text_and_parts_round_trip(text in "[0-9]{1,10}(\\.[0-9]{1,9})?") {
            let timestamp = at(&text);
            prop_assert_eq!(timestamp.to_string(), text);
            prop_assert_eq!(Timestamp::from_parts(timestamp.nanos(), timestamp.shape()), Some(timestamp));
        }

        #[test]
        fn foreign_parts_are_either_a_time_or_refused(nanos: u64, shape: u8) {
            if let Some(timestamp) = Timestamp::from_parts(nanos, shape) {
                prop_assert_eq!(at(&timestamp.to_string()), timestamp);
            }
        }
    }
}
