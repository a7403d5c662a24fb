//! Coordinates as in ISO 6709, stored so that they can be written again byte for byte.

use std::fmt;

use super::{
    digits::{self, POWERS_OF_TEN},
    number::Parts,
};

const MAGNITUDE_BITS: u32 = 48;
const MAGNITUDE_MASK: u64 = (1 << MAGNITUDE_BITS) - 1;
const FRACTION_DIGITS_MAX: usize = 12;
/// The largest angle of a point on Earth, degrees. The number of bits of the magnitude relies on this bound.
const DEGREES_MAX: u64 = 180;
/// The largest latitude, degrees.
const LATITUDE_MAX: u64 = 90;
/// The powers of ten that the digits of a coordinate can have, in units of 10⁻¹² degrees.
const UNITS: [u64; FRACTION_DIGITS_MAX + 3] = {
    let mut units = [1; FRACTION_DIGITS_MAX + 3];
    let mut exponent = 1;
    while exponent < units.len() {
        units[exponent] = units[exponent - 1] * 10;
        exponent += 1;
    }
    units
};
/// 10 to the power 12: a degree in units of [`Decimal`]'s magnitude.
const ONE: u64 = 1_000_000_000_000;

/// A signed decimal number of at most 180 degrees, together with the way it was written, in 64 bits. It has 1 to 3
/// digits and at most 12 decimals, so `+05.5` and `-0` are written again as they were.
///
/// Bits 0..48 hold the magnitude in 10⁻¹² degrees, bit 48 the sign, bits 49..51 the number of integer digits, and
/// bits 51..55 the number of decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(u64);

impl Decimal {
    /// Reads `("+" / "-") 1*3DIGIT ["." 1*12DIGIT]` at the front of `bytes`. Returns the rest, too.
    pub fn parse(bytes: &[u8]) -> Option<(Decimal, &[u8])> {
        let (&sign, rest) = bytes.split_first()?;
        if sign != b'+' && sign != b'-' {
            return None;
        }
        let (integer, integer_digits) = digits::parse::<3>(rest);
        if integer_digits == 0 {
            return None;
        }
        let mut rest = &rest[integer_digits..];
        let mut magnitude = integer * ONE;
        let mut fraction_digits = 0;
        if let [b'.', decimals @ ..] = rest {
            let (fraction, len) = digits::parse::<FRACTION_DIGITS_MAX>(decimals);
            if len == 0 {
                return None;
            }
            fraction_digits = len;
            magnitude += fraction * POWERS_OF_TEN[FRACTION_DIGITS_MAX - len];
            rest = &decimals[len..];
        }
        if magnitude > DEGREES_MAX * ONE {
            return None;
        }
        let packed = magnitude
            | u64::from(sign == b'-') << MAGNITUDE_BITS
            | (integer_digits as u64) << 49
            | (fraction_digits as u64) << 51;
        Some((Decimal(packed), rest))
    }

    /// Takes a number of JSON, as the shortest text of its value: `-118.40e0` is `-118.4`. Decimals after the twelfth
    /// are rounded, half away from zero.
    pub fn from_number(text: &str) -> Option<Decimal> {
        let parts = Parts::of(text.as_bytes())?;
        let (digits, point) = parts.significant();
        let mut magnitude: u64 = 0;
        let mut exponent = point + FRACTION_DIGITS_MAX as i64;
        for digit in digits {
            exponent -= 1;
            match exponent {
                0.. if digit > 0 => {
                    // A digit in front of the third before the point is out of range.
                    let unit = UNITS.get(usize::try_from(exponent).ok()?)?;
                    magnitude += u64::from(digit) * unit;
                }
                0.. => {}
                -1 => magnitude += u64::from(digit >= 5),
                _ => break,
            }
        }
        (magnitude <= DEGREES_MAX * ONE).then(|| Decimal::shortest(magnitude, parts.is_negative))
    }

    /// The shortest text of a value in units of 10⁻¹² degrees.
    fn shortest(magnitude: u64, is_negative: bool) -> Decimal {
        let integer_digits = digits::width(magnitude / ONE);
        let mut fraction_digits = FRACTION_DIGITS_MAX;
        while fraction_digits > 0
            && magnitude.is_multiple_of(POWERS_OF_TEN[FRACTION_DIGITS_MAX - fraction_digits + 1])
        {
            fraction_digits -= 1;
        }
        let sign = u64::from(is_negative && magnitude > 0);
        Decimal(
            magnitude
                | sign << MAGNITUDE_BITS
                | (integer_digits as u64) << 49
                | (fraction_digits as u64) << 51,
        )
    }

    /// Appends the number as JSON writes it: the shortest text of its value, without a plus, and `0` for `-0`.
    pub fn write_shortest(self, out: &mut Vec<u8>) {
        let shortest = Decimal::shortest(self.magnitude(), self.is_negative());
        let start = out.len();
        shortest.write(out);
        if !shortest.is_negative() {
            out.remove(start);
        }
    }

    /// Whether the number is a latitude.
    pub(crate) fn is_latitude(self) -> bool {
        self.is_within(LATITUDE_MAX)
    }

    /// The number's 64 bits, for storing and sending.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Takes 64 bits from outside, unless no text could have produced them.
    pub fn from_bits(bits: u64) -> Option<Decimal> {
        let decimal = Decimal(bits);
        let fraction_digits = decimal.fraction_digits();
        let fits = bits >> 55 == 0
            && (1..=3).contains(&decimal.integer_digits())
            && fraction_digits <= FRACTION_DIGITS_MAX
            && decimal.is_within(DEGREES_MAX)
            && decimal.magnitude() / ONE < POWERS_OF_TEN[decimal.integer_digits()]
            && decimal.magnitude().is_multiple_of(POWERS_OF_TEN[FRACTION_DIGITS_MAX - fraction_digits]);
        fits.then_some(decimal)
    }

    /// Trusts 64 bits that [`Decimal::to_bits`] has returned before.
    pub(crate) fn trusted(bits: u64) -> Decimal {
        debug_assert!(Decimal::from_bits(bits).is_some(), "the store holds only checked numbers");
        Decimal(bits)
    }

    /// Appends the number as it was written.
    pub fn write(self, out: &mut Vec<u8>) {
        out.push(if self.is_negative() { b'-' } else { b'+' });
        digits::push_padded(out, self.magnitude() / ONE, self.integer_digits());
        let fraction_digits = self.fraction_digits();
        if fraction_digits > 0 {
            out.push(b'.');
            let unit = POWERS_OF_TEN[FRACTION_DIGITS_MAX - fraction_digits];
            digits::push_padded(out, self.magnitude() % ONE / unit, fraction_digits);
        }
    }

    /// The number in degrees, as exact as a double can be.
    pub fn degrees(self) -> f64 {
        let magnitude = self.magnitude() as f64 / ONE as f64;
        if self.is_negative() { -magnitude } else { magnitude }
    }

    fn magnitude(self) -> u64 {
        self.0 & MAGNITUDE_MASK
    }

    fn is_negative(self) -> bool {
        self.0 >> MAGNITUDE_BITS & 1 == 1
    }

    fn integer_digits(self) -> usize {
        (self.0 >> 49 & 0b11) as usize
    }

    fn fraction_digits(self) -> usize {
        (self.0 >> 51 & 0b1111) as usize
    }

    fn is_within(self, degrees: u64) -> bool {
        self.magnitude() <= degrees * ONE
    }
}

/// A point on Earth: latitude within ±90 and longitude within ±180 degrees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    latitude: Decimal,
    longitude: Decimal,
}

impl Coordinates {
    /// Reads latitude and longitude, each with its sign and nothing between or after them.
    pub fn parse(text: &[u8]) -> Option<Coordinates> {
        Coordinates::parse_front(text).filter(|(_, rest)| rest.is_empty()).map(|(coordinates, _)| coordinates)
    }

    /// Reads latitude and longitude at the front of `text`. Returns the rest, too.
    pub(crate) fn parse_front(text: &[u8]) -> Option<(Coordinates, &[u8])> {
        let (latitude, rest) = Decimal::parse(text)?;
        let (longitude, rest) = Decimal::parse(rest)?;
        Some((Coordinates::new(latitude, longitude)?, rest))
    }

    /// Combines latitude and longitude, unless one of them is out of its range.
    pub fn new(latitude: Decimal, longitude: Decimal) -> Option<Coordinates> {
        (latitude.is_latitude() && longitude.is_within(DEGREES_MAX))
            .then_some(Coordinates { latitude, longitude })
    }

    /// Trusts two numbers that were coordinates before.
    pub(crate) fn trusted(latitude: Decimal, longitude: Decimal) -> Coordinates {
        debug_assert!(Coordinates::new(latitude, longitude).is_some(), "the store holds only checked points");
        Coordinates { latitude, longitude }
    }

    /// Degrees north of the equator.
    pub fn latitude(&self) -> Decimal {
        self.latitude
    }

    /// Degrees east of Greenwich.
    pub fn longitude(&self) -> Decimal {
        self.longitude
    }

    /// Appends the text that [`Coordinates::parse`] read.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.latitude.write(out);
        self.longitude.write(out);
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(34);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("signs, digits and points are ASCII"))
    }
}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(17);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("signs, digits and points are ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, valid: bool) {
        let parsed = Coordinates::parse(text.as_bytes());
        assert_eq!(parsed.is_some(), valid, "{text}");
        if let Some(coordinates) = parsed {
            assert_eq!(coordinates.to_string(), text);
        }
    }

    #[test]
    fn coordinates_are_two_signed_decimals_in_range() {
        for text in [
            "+34.068930-118.445127",
            "+0-0",
            "-0+0",
            "+05.5-005.50",
            "+90-180",
            "-90.000000000000+180.000000000000",
            "+1.123456789012-1.123456789012",
        ] {
            check(text, true);
        }
        for text in [
            "",
            "+",
            "+1",
            "+1-",
            "1-1",
            "+1 -1",
            "+.5+1",
            "+34.+1",
            "+1+34.",
            "+90.000000000001+0",
            "+0-180.1",
            "+0001+0",
            "+1+1+1",
            "+1+1 ",
            "+1e1+1",
            "+nan+1",
            "+inf+1",
            "+1.1234567890123+1",
            "++1+1",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_number_too_large_for_its_bits_is_refused() {
        assert_eq!(Decimal::parse(b"+281.5"), None);
        assert_eq!(Decimal::parse(b"+999"), None);
    }

    #[test]
    fn degrees_have_their_sign_and_size() {
        let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
        assert_eq!(coordinates.latitude().degrees(), 34.068930);
        assert_eq!(coordinates.longitude().degrees(), -118.445127);
    }

    #[test]
    fn numbers_become_the_shortest_decimals() {
        for (number, text, json) in [
            ("34.0700", "+34.07", "34.07"),
            ("-118.445127", "-118.445127", "-118.445127"),
            ("-0", "+0", "0"),
            ("-0.0e5", "+0", "0"),
            ("180", "+180", "180"),
            ("1.8e2", "+180", "180"),
            ("-1800000E-4", "-180", "-180"),
            ("0.5e-3", "+0.0005", "0.0005"),
            ("5e-12", "+0.000000000005", "0.000000000005"),
            ("0.0000000000005", "+0.000000000001", "0.000000000001"),
            ("0.00000000000049", "+0", "0"),
            ("-1e-999999999999999999999", "+0", "0"),
            ("0e999999999999999999999", "+0", "0"),
            ("9.9999999999995", "+10", "10"),
            ("100000000000000000000000e-21", "+100", "100"),
            ("34.06893000000000111", "+34.06893", "34.06893"),
        ] {
            let decimal = Decimal::from_number(number).unwrap();
            let (mut written, mut shortest) = (Vec::new(), Vec::new());
            decimal.write(&mut written);
            decimal.write_shortest(&mut shortest);
            assert_eq!((written, shortest), (text.into(), json.into()), "{number}");
            assert_eq!(Decimal::from_bits(decimal.to_bits()), Some(decimal));
            assert_eq!(Decimal::from_number(json), Some(decimal));
        }
        for number in
            ["", "x", "+1", "01", "181", "-180.000000000001", "180.0000000000005", "1e3", "1e99999999999"]
        {
            assert_eq!(Decimal::from_number(number), None, "{number}");
        }
        for (text, json) in [("+005.500", "5.5"), ("-0.0", "0"), ("-00.10", "-0.1")] {
            let (decimal, _) = Decimal::parse(text.as_bytes()).unwrap();
            let mut shortest = Vec::new();
            decimal.write_shortest(&mut shortest);
            assert_eq!(String::from_utf8(shortest).unwrap(), json);
        }
    }

    proptest! {
        #[test]
        fn text_and_bits_round_trip(text in "[+-](0?[0-9]{1,2}|1[0-7][0-9])(\\.[0-9]{1,12})?") {
            let (decimal, rest) = Decimal::parse(text.as_bytes()).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(format!("{decimal:?}"), text);
            prop_assert_eq!(Decimal::from_bits(decimal.to_bits()), Some(decimal));
        }

        #[test]
        fn foreign_bits_are_either_a_number_or_refused(bits: u64) {
            for bits in [bits, bits >> 9] {
                if let Some(decimal) = Decimal::from_bits(bits) {
                    let text = format!("{decimal:?}");
                    prop_assert_eq!(Decimal::parse(text.as_bytes()).unwrap().0.to_bits(), bits);
                }
            }
        }
    }
}
