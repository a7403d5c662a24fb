//! Searches the index for the places in a circle, the nearest first.
//!
//! [`nearest`] goes outward from the center band by band, and within a band from the meridian of the center to the east
//! and to the west. When the search has found enough places, the circle shrinks to the farthest of these places, and
//! the area that remains to be searched shrinks too. Around a busy street, one or two blocks remain. The search reads
//! only the points of places, unless the question wishes for certain places. This module does not know where blocks
//! come from.

use std::ops::ControlFlow;
use std::sync::Arc;

use proxyherd_core::places::{Center, Nearest, Query, Separation};

use super::index::{BAND_COUNT, Directory, GIRTH, IndexBlock, UNITS_PER_DEGREE, band_of, degrees, edges_of};

/// A place in the index: the number of its block and its position in the block. Such values have the order of the
/// places in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoundPlace {
    pub(super) block: u32,
    pub(super) at: u32,
}

/// The nearest `wanted` places in the circle, at most `most`. `fetch` returns blocks. Its error ends the search.
pub(super) fn nearest<E>(
    directory: &Directory,
    query: &Query,
    most: usize,
    fetch: impl FnMut(u32) -> Result<Arc<IndexBlock>, E>,
    wanted: impl FnMut(&IndexBlock, usize) -> bool,
) -> Result<Nearest<FoundPlace>, E> {
    let mut search = CircleSearch {
        directory,
        center: Center::new(query.latitude, query.longitude),
        meridian: (query.longitude * UNITS_PER_DEGREE).round() as i64,
        reach: Separation::of_meters(query.radius_m),
        nearest: Nearest::new(most),
        fetch,
        wanted,
    };
    let home = band_of((query.latitude * UNITS_PER_DEGREE).floor() as i32);
    search.visit_all(home..BAND_COUNT)?;
    search.visit_all((0..home).rev())?;
    Ok(search.nearest)
}

/// A search under way.
struct CircleSearch<'a, F, W> {
    directory: &'a Directory,
    center: Center,
    /// The longitude of the center, units.
    meridian: i64,
    /// The radius of the circle. When enough places are found, the distance of the farthest place.
    reach: Separation,
    nearest: Nearest<FoundPlace>,
    fetch: F,
    wanted: W,
}

impl<E, F, W> CircleSearch<'_, F, W>
where
    F: FnMut(u32) -> Result<Arc<IndexBlock>, E>,
    W: FnMut(&IndexBlock, usize) -> bool,
{
    /// Searches bands until a band is out of reach. All bands after it are out of reach too.
    fn visit_all(&mut self, bands: impl Iterator<Item = usize>) -> Result<(), E> {
        for band in bands {
            if self.visit(band)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn visit(&mut self, band: usize) -> Result<ControlFlow<()>, E> {
        let Some(half) = self.half_width(band) else { return Ok(ControlFlow::Break(())) };
        if self.directory.band(band).is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if 2 * half >= GIRTH {
            self.walk_around(band)?;
        } else {
            self.walk(band, self.meridian, half)?;
            // Places beyond the antimeridian have longitudes that differ by a full turn.
            for meridian in [self.meridian - GIRTH, self.meridian + GIRTH] {
                if meridian.abs() - half <= GIRTH / 2 {
                    self.walk(band, meridian, half)?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Searches a whole band near a pole, where every meridian is near.
    fn walk_around(&mut self, band: usize) -> Result<(), E> {
        for number in self.directory.band(band) {
            let block = (self.fetch)(number)?;
            for at in 0..block.points().len() as u32 {
                self.look(band, &block, FoundPlace { block: number, at }, GIRTH);
            }
        }
        Ok(())
    }

    fn walk(&mut self, band: usize, meridian: i64, half: i64) -> Result<(), E> {
        let half = self.walk_east(band, meridian, half)?;
        self.walk_west(band, meridian, half)
    }

    /// Searches on a meridian and east of it. Returns the half width of the circle afterward.
    fn walk_east(&mut self, band: usize, meridian: i64, mut half: i64) -> Result<i64, E> {
        let numbers = self.directory.band(band);
        let first = self.first_east(band, meridian);
        for number in first..numbers.end {
            if i64::from(self.directory.entry(number).west) > meridian + half {
                break;
            }
            let block = (self.fetch)(number)?;
            let points = block.points();
            let start = points.partition_point(|point| i64::from(point.longitude) < meridian);
            for (at, point) in points.iter().enumerate().skip(start) {
                if i64::from(point.longitude) > meridian + half {
                    return Ok(half);
                }
                half = self.look(band, &block, FoundPlace { block: number, at: at as u32 }, half);
            }
        }
        Ok(half)
    }

    /// Searches west of a meridian.
    fn walk_west(&mut self, band: usize, meridian: i64, mut half: i64) -> Result<(), E> {
        let numbers = self.directory.band(band);
        let last = self.first_east(band, meridian).min(numbers.end - 1);
        for number in (numbers.start..=last).rev() {
            if i64::from(self.directory.entry(number).east) < meridian - half {
                break;
            }
            if i64::from(self.directory.entry(number).west) >= meridian {
                continue;
            }
            let block = (self.fetch)(number)?;
            let points = block.points();
            let end = points.partition_point(|point| i64::from(point.longitude) < meridian);
            for (at, point) in points[..end].iter().enumerate().rev() {
                if i64::from(point.longitude) < meridian - half {
                    return Ok(());
                }
                half = self.look(band, &block, FoundPlace { block: number, at: at as u32 }, half);
            }
        }
        Ok(())
    }

    /// The first block of a band with a place on a meridian or east of it.
    fn first_east(&self, band: usize, meridian: i64) -> u32 {
        let numbers = self.directory.band(band);
        let (mut low, mut high) = (numbers.start, numbers.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if i64::from(self.directory.entry(middle).east) < meridian {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Takes a place if it is near enough and wanted. Returns the half width of the circle in this band afterward.
    fn look(&mut self, band: usize, block: &IndexBlock, found: FoundPlace, half: i64) -> i64 {
        let point = block.points()[found.at as usize];
        let separation = self.center.separation(degrees(point.latitude), degrees(point.longitude));
        if separation > self.reach || !(self.wanted)(block, found.at as usize) {
            return half;
        }
        self.nearest.offer(separation, found);
        match self.nearest.threshold() {
            Some(farthest) if farthest < self.reach => {
                self.reach = farthest;
                self.half_width(band).map_or(-1, |shrunk| shrunk.min(half))
            }
            _ => half,
        }
    }

    /// The half width of the circle within a band, units. `None` if the circle does not touch the band.
    fn half_width(&self, band: usize) -> Option<i64> {
        let (south, north) = edges_of(band);
        let half = self.center.half_width(self.reach, south, north)?;
        Some((half * UNITS_PER_DEGREE).ceil() as i64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proxyherd_core::places;

    use super::super::index::{
        ANTIMERIDIAN, Index, IndexPoint, IndexRecord, IndexWriter, Object, ObjectId, POLE,
    };
    use super::*;

    /// An index of these points. The ID of a place is the number of its point.
    fn index(points: &[IndexPoint]) -> Index {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("places.idx");
        let mut writer = IndexWriter::create(&path).unwrap();
        let mut order: Vec<(usize, IndexPoint, i64)> =
            points.iter().zip(0..).map(|(&point, number)| (band_of(point.latitude), point, number)).collect();
        order.sort_by_key(|&(band, point, number)| (band, point.longitude, number));
        for (_, point, number) in order {
            let id = ObjectId { object: Object::Node, number };
            let mut bytes = Vec::new();
            IndexRecord { id, locale: 0, kinds: &[], name: "x", vicinity: "", hours: "", also: "" }
                .encode(&mut bytes);
            writer.push(point, &bytes).unwrap();
        }
        writer.finish(&[], 0, 0).unwrap();
        Index::open(&path, 0, 1 << 24).unwrap()
    }

    fn query(latitude: f64, longitude: f64, radius_m: f64) -> Query {
        Query::within(places::Point::new(latitude, longitude).unwrap(), radius_m).unwrap()
    }

    /// The distance and the number of each place that a search finds.
    fn found(index: &Index, query: &Query, most: usize) -> Vec<(Separation, i64)> {
        let nearest =
            nearest(index.directory(), query, most, |number| index.block(number), |_, _| true).unwrap();
        let id = |found: FoundPlace| index.block(found.block).unwrap().record(found.at as usize).id.number;
        nearest.iter().map(|(separation, found)| (separation, id(found))).collect()
    }

    /// Compares a search with a scan of all points.
    fn check(points: &[IndexPoint], query: &Query, most: usize) {
        let (center, radius) =
            (Center::new(query.latitude, query.longitude), Separation::of_meters(query.radius_m));
        let away = |point: &IndexPoint| center.separation(degrees(point.latitude), degrees(point.longitude));
        let mut all: Vec<Separation> =
            points.iter().map(away).filter(|&separation| separation <= radius).collect();
        all.sort();
        all.truncate(most);
        let found = found(&index(points), query, most);
        assert_eq!(found.iter().map(|&(separation, _)| separation).collect::<Vec<_>>(), all, "{query:?}");
        let ids: BTreeSet<i64> = found.iter().map(|&(_, id)| id).collect();
        assert_eq!(ids.len(), found.len(), "each place is told once: {query:?}");
        assert!(found.iter().all(|&(separation, id)| away(&points[id as usize]) == separation));
    }

    /// Points around a point, as near as `spread`, units.
    fn around(latitude: i32, longitude: i32, spread: i32) -> impl Strategy<Value = Vec<IndexPoint>> {
        let one = (-spread..=spread, -spread..=spread).prop_map(move |(north, east)| {
            let east = (i64::from(longitude) + i64::from(east) + GIRTH / 2).rem_euclid(GIRTH) - GIRTH / 2;
            IndexPoint { longitude: east as i32, latitude: (latitude + north).clamp(-POLE, POLE) }
        });
        proptest::collection::vec(one, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_search_finds_what_looking_at_all_finds(
            points in around(481_370_000, 115_750_000, 400_000),
            north in -0.05..0.05, east in -0.05..0.05, radius_m in 1.0..9_000.0, most in 1usize..=20,
        ) {
            check(&points, &query(48.137 + north, 11.575 + east, radius_m), most);
        }

        #[test]
        fn the_antimeridian_is_no_border(
            points in around(-170_000_000, ANTIMERIDIAN, 3_000_000),
            north in -0.3..0.3, east in 0.0..0.4, most in 1usize..=20,
        ) {
            check(&points, &query(-17.0 + north, 179.9 - east / 2.0, 50_000.0), most);
            check(&points, &query(-17.0 + north, -179.9 + east / 2.0, 50_000.0), most);
        }

        #[test]
        fn the_poles_are_places_like_others(
            points in proptest::collection::vec((-ANTIMERIDIAN..=ANTIMERIDIAN, 0..6_000_000i32), 0..200),
            from_pole in 0.0..0.5, longitude in -180.0..180.0, most in 1usize..=20,
        ) {
            let points: Vec<IndexPoint> =
                points.iter().map(|&(longitude, south)| IndexPoint { longitude, latitude: POLE - south }).collect();
            check(&points, &query(90.0 - from_pole, longitude, 50_000.0), most);
            check(&points, &query(90.0, longitude, 50_000.0), most);
        }
    }

    #[test]
    fn an_empty_index_finds_nothing_and_one_point_is_found_on_it() {
        check(&[], &query(0.0, 0.0, 50_000.0), 20);
        let points = [IndexPoint { longitude: 115_750_000, latitude: 481_370_000 }; 300];
        check(&points, &query(48.137, 11.575, 0.001), 20);
    }

    #[test]
    fn little_is_read_where_much_is_near() {
        let points: Vec<IndexPoint> = (0..100_000)
            .map(|number| IndexPoint {
                longitude: 115_000_000 + number * 10,
                latitude: 481_370_000 + number % 7 * 10,
            })
            .collect();
        let index = index(&points);
        let mut read = 0;
        let fetch = |number| {
            read += 1;
            index.block(number)
        };
        nearest(index.directory(), &query(48.137, 11.55, 50_000.0), 20, fetch, |_, _| true).unwrap();
        assert!(read <= 4, "{read} of {} blocks", index.directory().len());
    }
}
