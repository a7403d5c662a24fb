//! Cells of the Earth's surface: the world, halved again and again.
//!
//! The world is halved by longitude, then by latitude, then by longitude again. A [`Code`] has a bit for each halving,
//! the first in its highest bit. So a cell of depth `d` contains the points whose codes have the same `d` highest bits.

use crate::types::Coordinates;

/// The greatest depth of a cell. Such a cell is less than two centimeters wide.
pub(super) const DEPTH_MAX: u32 = 62;

/// The cells that contain a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u64);

impl Code {
    /// The code of a point.
    #[inline]
    pub(super) fn of(point: Coordinates) -> Code {
        let longitude = grid_of_longitude(point.longitude().degrees());
        Code(spread(longitude) << 1 | spread(grid_of_latitude(point.latitude().degrees())))
    }

    /// The half in which the point is when a cell of this depth is halved: 0 is west or south.
    #[inline]
    pub(super) fn side(self, depth: u32) -> usize {
        (self.0 >> (63 - depth) & 1) as usize
    }

    /// The depth of the smallest cell that contains both points.
    #[inline]
    pub(super) fn common_depth(self, other: Code) -> u32 {
        (self.0 ^ other.0).leading_zeros().min(DEPTH_MAX)
    }
}

/// The number of the latitude among 2³² equal steps from pole to pole. It never falls when the latitude grows.
#[inline]
pub(super) fn grid_of_latitude(degrees: f64) -> u32 {
    // A conversion of a number that is too large gives the largest number of 32 bits.
    ((degrees + 90.0) * ((1u64 << 32) as f64 / 180.0)) as u32
}

/// The number of the longitude among 2³² equal steps from -180 to 180 degrees. It never falls when the longitude grows.
#[inline]
pub(super) fn grid_of_longitude(degrees: f64) -> u32 {
    ((degrees + 180.0) * ((1u64 << 32) as f64 / 360.0)) as u32
}

/// Moves the bits of a number to the even bits of a longer one.
#[inline]
fn spread(bits: u32) -> u64 {
    let mut word = u64::from(bits);
    word = (word | word << 16) & 0x0000_FFFF_0000_FFFF;
    word = (word | word << 8) & 0x00FF_00FF_00FF_00FF;
    word = (word | word << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    word = (word | word << 2) & 0x3333_3333_3333_3333;
    (word | word << 1) & 0x5555_5555_5555_5555
}

/// A cell by its southwestern corner and its depth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) south: f64,
    pub(super) west: f64,
    pub(super) depth: u32,
}

impl Cell {
    pub(super) const WORLD: Cell = Cell { south: -90.0, west: -180.0, depth: 0 };

    /// Whether the cell's halves are north and south of each other, and not east and west.
    pub(super) fn halves_latitude(self) -> bool {
        self.depth % 2 == 1
    }

    pub(super) fn north(self) -> f64 {
        self.south + 180.0 * half_to_the(self.depth / 2)
    }

    pub(super) fn east(self) -> f64 {
        self.west + 360.0 * half_to_the(self.depth.div_ceil(2))
    }

    /// One of the cell's halves.
    pub(super) fn half(self, side: usize) -> Cell {
        let mut half = Cell { depth: self.depth + 1, ..self };
        match (side, self.halves_latitude()) {
            (0, _) => {}
            (_, true) => half.south = half.north(),
            (_, false) => half.west = half.east(),
        }
        half
    }
}

/// A power of one half.
fn half_to_the(exponent: u32) -> f64 {
    f64::from_bits(u64::from(1023 - exponent) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(text: &str) -> Coordinates {
        Coordinates::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn each_point_is_in_the_cells_of_its_code() {
        for text in ["+0+0", "-0-0", "+90+180", "-90-180", "+34.068930-118.445127", "-12.5+179.999999999999"]
        {
            let (at, code) = (point(text), Code::of(point(text)));
            let (latitude, longitude) = (at.latitude().degrees(), at.longitude().degrees());
            let mut cell = Cell::WORLD;
            for depth in 0..DEPTH_MAX {
                cell = cell.half(code.side(depth));
                let is_inside = (cell.south - 1e-9..=cell.north() + 1e-9).contains(&latitude)
                    && (cell.west - 1e-9..=cell.east() + 1e-9).contains(&longitude);
                assert!(is_inside, "{text} {cell:?}");
            }
            assert!(cell.north() - cell.south < 1e-7 && cell.east() - cell.west < 2e-7);
        }
    }

    #[test]
    fn two_points_share_the_cells_above_the_halving_that_parts_them() {
        for (one, other, depth) in [
            ("+1-1", "+1+1", 0),
            ("-1+1", "+1+1", 1),
            ("+1+1", "+1+100", 2),
            ("+5+5", "+5+5", DEPTH_MAX),
            ("+5+5", "+5.000000000001+5", DEPTH_MAX),
        ] {
            assert_eq!(Code::of(point(one)).common_depth(Code::of(point(other))), depth, "{one} {other}");
        }
    }
}
