//! A grid of squares on the ground. Queries from one square share an answer.

use super::distance::cosine;
use super::{EARTH_RADIUS_M, Query};

/// A grid that cuts the Earth into cells with sides of at most `side` meters, identically on every machine.
///
/// Bands of equal height run around the Earth. Each band is cut into cells of equal width. The band's longer edge,
/// which is the edge nearer to the equator, determines the number of cells. So no cell is wider or higher than the
/// side, and a query is moved by at most half of a cell's diagonal, 0.7071 sides. Places at the rim of the query's
/// circle may be missing or extra by that distance. At the poles a cell is the whole cap. The meridian of ±180 degrees
/// is an edge of cells, and belongs to the eastern cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    bands: f64,
    cells_at_equator: f64,
}

impl Grid {
    /// A grid of squares with sides of this many meters, at least 1. `None` for a side of 0, which leaves each query
    /// unchanged.
    pub fn new(side_m: u32) -> Option<Grid> {
        let side_m = f64::from(side_m);
        let girth_m = 2.0 * std::f64::consts::PI * EARTH_RADIUS_M;
        let bands = (girth_m / 2.0 / side_m).ceil();
        (side_m > 0.0).then_some(Grid { bands, cells_at_equator: girth_m / side_m })
    }

    /// The same query, moved to the center of its cell.
    pub fn moved(&self, query: &Query) -> Query {
        let (latitude, longitude) = self.middle(query.latitude, query.longitude);
        Query { latitude, longitude, ..query.clone() }
    }

    fn middle(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let height = 180.0 / self.bands;
        let band = ((latitude + 90.0) / height).floor().clamp(0.0, self.bands - 1.0);
        let south = band * height - 90.0;
        let widest = if south < 0.0 { (south + height).min(0.0) } else { south };
        let cells = (self.cells_at_equator * cosine(widest)).ceil().max(1.0);
        let width = 360.0 / cells;
        let cell = ((longitude + 180.0) / width).floor();
        let cell = if cell >= cells { 0.0 } else { cell };
        (south + height / 2.0, cell * width + width / 2.0 - 180.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::f64::consts::FRAC_1_SQRT_2;

    use proptest::prelude::*;

    use super::*;
    use crate::places::{Center, Point, Rank, Wish};

    fn meters(from: (f64, f64), to: (f64, f64)) -> f64 {
        Center::new(from.0, from.1).separation(to.0, to.1).meters()
    }

    #[test]
    fn a_side_of_0_is_no_grid() {
        assert_eq!(Grid::new(0), None);
    }

    #[test]
    fn a_question_keeps_all_but_its_place() {
        let wish = Wish { rank: Rank::Distance, ..Wish::default() };
        let query = Query::within(Point::new(34.068930, -118.445127).unwrap(), 1500.0).unwrap().wishing(wish);
        let moved = Grid::new(100).unwrap().moved(&query);
        assert_ne!((moved.latitude, moved.longitude), (query.latitude, query.longitude));
        let back = Query { latitude: query.latitude, longitude: query.longitude, ..moved };
        assert_eq!(back, query);
    }

    #[test]
    fn both_names_of_a_point_are_in_one_cell() {
        for side_m in [1, 100, 10_000] {
            let grid = Grid::new(side_m).unwrap();
            for latitude in [-90.0, -45.0, 0.0, 45.0, 90.0] {
                assert_eq!(
                    grid.middle(latitude, 180.0),
                    grid.middle(latitude, -180.0),
                    "{side_m} {latitude}"
                );
            }
            assert_eq!(grid.middle(90.0, 10.0).0, grid.middle(90.0, -100.0).0);
        }
    }

    /// Crosses a square kilometer at 60 degrees north in steps of ten meters.
    #[test]
    fn as_many_cells_as_there_is_room_for_share_the_ground() {
        let grid = Grid::new(100).unwrap();
        let step = 10.0 / (EARTH_RADIUS_M.to_radians());
        let mut cells = HashSet::new();
        for (north, east) in (0..100).flat_map(|north| (0..100).map(move |east| (north, east))) {
            let (north, east) = (f64::from(north) * step, f64::from(east) * step * 2.0);
            let (latitude, longitude) = grid.middle(60.0 + north, 20.0 + east);
            cells.insert((latitude.to_bits(), longitude.to_bits()));
        }
        assert!((100..=121).contains(&cells.len()), "{}", cells.len());
    }

    fn anywhere() -> impl Strategy<Value = (f64, f64)> {
        prop_oneof![
            4 => (-90f64..=90.0, -180f64..=180.0),
            1 => (89.9f64..=90.0, -180f64..=180.0),
            1 => (-90f64..=-89.9, -180f64..=180.0),
            1 => (-90f64..=90.0, 179.99f64..=180.0),
            1 => (-1e-4f64..=1e-4, -1e-4f64..=1e-4),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_moved_farther_than_half_a_diagonal(at in anywhere(), side_m in 1u32..=10_000) {
            let middle = Grid::new(side_m).unwrap().middle(at.0, at.1);
            prop_assert!(Point::new(middle.0, middle.1).is_some(), "{middle:?}");
            let moved = meters(at, middle);
            let most = f64::from(side_m) * FRAC_1_SQRT_2;
            // In addition to the rounding, a chord is a little shorter than its arc.
            prop_assert!(moved <= most * (1.0 + 1e-6) + 1e-6, "{moved} {most}");
        }

        #[test]
        fn what_lies_in_a_square_is_asked_at_one_point(
            at in anywhere(), side_m in 1u32..=10_000, within in (-0.49f64..=0.49, -0.49f64..=0.49),
        ) {
            let grid = Grid::new(side_m).unwrap();
            let middle = grid.middle(at.0, at.1);
            prop_assert_eq!(grid.middle(middle.0, middle.1), middle);
            // Any point in the same cell: a cell is as high as its band and as wide as the band determines.
            let height = 180.0 / grid.bands;
            let south = middle.0 - height / 2.0;
            let widest = if south < -height / 2.0 { south + height } else { south.max(0.0) };
            let width = 360.0 / (grid.cells_at_equator * cosine(widest.clamp(-90.0, 90.0))).ceil().max(1.0);
            let inside = (middle.0 + within.0 * height, middle.1 + within.1 * width * 0.99);
            prop_assert_eq!(grid.middle(inside.0, inside.1), middle);
        }

        #[test]
        fn a_neighboring_square_is_another(at in anywhere(), side_m in 1u32..=10_000) {
            let grid = Grid::new(side_m).unwrap();
            let middle = grid.middle(at.0, at.1);
            let height = 180.0 / grid.bands;
            let north = middle.0 + height;
            if north <= 90.0 {
                prop_assert!(grid.middle(north, middle.1).0 > middle.0);
            }
        }
    }
}
