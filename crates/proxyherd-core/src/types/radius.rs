//! The radius of a question about places.

use super::digits::{self, POWERS_OF_TEN};
use crate::limits::RADIUS_M_MAX;

const MICROMETRES_PER_KILOMETRE: u64 = 1_000_000_000;

/// A distance over 0 and at most 50 km, exact to the micrometre: the protocol's nine decimals of a kilometre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Radius {
    micrometres: u64,
}

impl Radius {
    /// Reads kilometres: `1*2DIGIT ["." 1*9DIGIT]` and nothing else.
    pub fn parse_km(text: &[u8]) -> Option<Radius> {
        let (kilometres, len) = digits::parse::<2>(text);
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
        Radius::from_micrometres(kilometres * MICROMETRES_PER_KILOMETRE + decimals)
    }

    /// Takes a distance if it is in range.
    pub fn from_micrometres(micrometres: u64) -> Option<Radius> {
        (1..=u64::from(RADIUS_M_MAX) * 1_000_000).contains(&micrometres).then_some(Radius { micrometres })
    }

    /// The distance in micrometres.
    pub fn micrometres(self) -> u64 {
        self.micrometres
    }

    /// The distance in metres.
    pub fn metres(self) -> f64 {
        self.micrometres as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radius_is_over_0_and_at_most_50_km() {
        for (text, metres) in
            [("10", 10_000.0), ("0.5", 500.0), ("50", 50_000.0), ("50.0", 50_000.0), ("05", 5_000.0)]
        {
            assert_eq!(Radius::parse_km(text.as_bytes()).unwrap().metres(), metres, "{text}");
        }
        assert_eq!(Radius::parse_km(b"0.000000001").unwrap().micrometres(), 1);
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
