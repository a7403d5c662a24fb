//! Numbers as JSON writes them, compared exactly.
//!
//! A number keeps its text. So nothing is lost that a double cannot hold, and two texts of one number are equal here:
//! `1`, `1.0` and `10e-1`. The comparison looks at digits and allocates nothing.

use std::{cmp::Ordering, iter};

/// All exponents beyond this are treated alike, because no text that fits into an attribute has that many digits.
const EXPONENT_MAX: i64 = 1_000_000_000_000;

/// Whether a text is a number of JSON: `["-"] int ["." digits] [("e" / "E") ["+" / "-"] digits]`, without leading
/// zeros.
pub fn is_json(text: &[u8]) -> bool {
    Parts::of(text).is_some()
}

/// Compares two numbers by their values. `None` if a text is not a number of JSON.
pub fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (Parts::of(one.as_bytes())?, Parts::of(other.as_bytes())?);
    let (one_sign, other_sign) = (one.sign(), other.sign());
    Some(one_sign.cmp(&other_sign).then_with(|| match one_sign {
        0 => Ordering::Equal,
        sign => {
            let magnitudes = one.compare_magnitudes(&other);
            if sign < 0 { magnitudes.reverse() } else { magnitudes }
        }
    }))
}

/// The parts of a number's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) is_negative: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Parts<'a> {
    /// Takes a number of JSON apart.
    pub(super) fn of(text: &'a [u8]) -> Option<Parts<'a>> {
        let (is_negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (integer, rest) = digits(rest)?;
        if integer.len() > 1 && integer[0] == b'0' {
            return None;
        }
        let (fraction, rest): (&[u8], _) = match rest {
            [b'.', rest @ ..] => digits(rest)?,
            rest => (&[], rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        Some(Parts { is_negative, integer, fraction, exponent })
    }

    /// The digits without leading zeros. The first one is followed by the number of digits in front of the point.
    pub(super) fn significant(&self) -> (impl Iterator<Item = u8> + use<'a>, i64) {
        let all = self.integer.iter().chain(self.fraction);
        let zeros = all.clone().take_while(|digit| **digit == b'0').count();
        let point = self.integer.len() as i64 - zeros as i64 + self.exponent;
        (all.skip(zeros).map(|digit| digit - b'0'), point)
    }

    fn sign(&self) -> i8 {
        let is_zero = self.significant().0.all(|digit| digit == 0);
        match (is_zero, self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Compares without signs. Neither number is zero.
    fn compare_magnitudes(&self, other: &Parts<'_>) -> Ordering {
        let ((one, one_point), (other, other_point)) = (self.significant(), other.significant());
        one_point.cmp(&other_point).then_with(|| {
            let (mut one, mut other) = (one.fuse(), other.fuse());
            let mut pairs = iter::from_fn(|| match (one.next(), other.next()) {
                (None, None) => None,
                (one, other) => Some(one.unwrap_or(0).cmp(&other.unwrap_or(0))),
            });
            pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        })
    }
}

/// Splits one or more digits off.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (len > 0).then(|| text.split_at(len))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let (digits, rest) = digits(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let magnitude =
        digits.iter().fold(0_i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    Some(if is_negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-0", "7", "10", "-1.50", "1e5", "1E+05", "0.0e-0", "1e999999999999999999999"] {
            assert!(is_json(text.as_bytes()), "{text}");
        }
        for text in ["", "-", "+1", "01", "-01", ".5", "5.", "1e", "1e+", "1.e1", "1x", "0x1", "NaN", "1 "] {
            assert!(!is_json(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let ascending: [&[&str]; 13] = [
            &["-1e999", "-1e0999"],
            &["-10", "-1e1", "-10.0"],
            &["-9.5"],
            &["-1e-999"],
            &["0", "-0", "0.0", "0e9"],
            &["1e-999"],
            &["0.1", "1e-1", "100e-3"],
            &["0.10000000000000000000000000001"],
            &["9007199254740992"],
            &["9007199254740993", "9007199254740993.0", "9007199254740.993e3"],
            &["123456789012345678901234567890", "1.2345678901234567890123456789e29"],
            &["123456789012345678901234567891"],
            &["1e999"],
        ];
        for (at, ones) in ascending.iter().enumerate() {
            for (place, others) in ascending.iter().enumerate() {
                for (one, other) in ones.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
                    assert_eq!(compare(one, other), Some(at.cmp(&place)), "{one} {other}");
                }
            }
        }
        assert_eq!(compare("1", "one"), None);
    }
}
