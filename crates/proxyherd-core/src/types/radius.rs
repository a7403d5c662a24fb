//! The radius of a query for places.

use super::digits::{self, POWERS_OF_TEN};
use crate::limits::RADIUS_M_MAX;

const MICROMETERS_PER_KILOMETER: u64 = 1_000_000_000;

/// A distance over 0 and at most 50 km, exact to the micrometer, because the protocol has nine decimals of a kilometer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Radius {
    micrometers: u64,
}

impl Radius {
    /// Reads kilometers: `1*2DIGIT ["." 1*9DIGIT]` and nothing else.
    pub fn parse_km(text: &[u8]) -> Option<Radius> {
        let (kilometers, len) = digits::parse::<2>(text);
        if len == 0 {
            return None;
        }
        let decimals = match &text[len..] {
            [] => 0,
            [b'.', decimals @ ..] => match digits::parse::<9>(decimals) {
                (fraction, len) if len > 0 && len == decimals.len() => fraction * POWERS_OF_TEN[9 - len],
                _ => return None,
            },
            _ => return None,
        };
        Radius::from_micrometers(kilometers * MICROMETERS_PER_KILOMETER + decimals)
    }

    /// Takes a distance if it is in range.
    pub fn from_micrometers(micrometers: u64) -> Option<Radius> {
        (1..=u64::from(RADIUS_M_MAX) * 1_000_000).contains(&micrometers).then_some(Radius { micrometers })
    }

    /// The distance in micrometers.
    pub fn micrometers(self) -> u64 {
        self.micrometers
    }

    /// The distance in meters.
    pub fn meters(self) -> f64 {
        self.micrometers as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radius_is_over_0_and_at_most_50_km() {
        for (text, meters) in
            [("10", 10_000.0), ("0.5", 500.0), ("50", 50_000.0), ("50.0", 50_000.0), ("05", 5_000.0)]
        {
            assert_eq!(Radius::parse_km(text.as_bytes()).unwrap().meters(), meters, "{text}");
        }
        assert_eq!(Radius::parse_km(b"0.000000001").unwrap().micrometers(), 1);
        for text in [
            "",
            "0",
            "0.0",
            "50.000000001",
            "51",
            "100",
            "-1",
            "+1",
            "1.",
            ".5",
            "1e1",
            "nan",
            "1.0000000001",
        ] {
            assert_eq!(Radius::parse_km(text.as_bytes()), None, "{text}");
        }
    }
}
