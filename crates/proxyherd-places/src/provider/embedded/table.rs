//! Searches the table of cities for the cities in a circle, the nearest first.
//!
//! [`CityTable::nearest`] reads band by band from the center outward, and in each band the records between the
//! longitudes that the circle spans there. When the search has found enough cities, the circle shrinks to the farthest
//! of these cities. Nothing is decoded in advance. This module does not know what an answer looks like.

use std::ops::ControlFlow;

use proxyherd_core::command::Bounds;
use proxyherd_core::places::{Center, Nearest, Point, Query, Separation};

use super::layout::{
    ANTIMERIDIAN, BAND_COUNT, BAND_HEIGHT, POLE, PROMINENT_LEN, RECORD_LEN, UNITS_PER_DEGREE, band_of,
};

/// The world's cities, as the build script has written them.
#[derive(Debug)]
pub(super) struct CityTable {
    bands: &'static [u32],
    records: &'static [[u8; RECORD_LEN]],
    prominent: &'static [[u8; PROMINENT_LEN]],
    names: &'static str,
    regions: &'static [&'static str],
}

/// A city of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct CityEntry {
    pub(super) name: &'static str,
    pub(super) region: &'static str,
    pub(super) location: Point,
}

impl CityTable {
    /// Joins the parts. This runs at compile time, so parts that do not match do not compile.
    pub(super) const fn new(
        bands: &'static [u32],
        records: &'static [u8],
        prominent: &'static [u8],
        names: &'static str,
        regions: &'static [&'static str],
    ) -> CityTable {
        let (records, rest) = records.as_chunks::<RECORD_LEN>();
        assert!(rest.is_empty(), "the records are whole");
        let (prominent, rest) = prominent.as_chunks::<PROMINENT_LEN>();
        assert!(rest.is_empty(), "the list of prominent cities is whole");
        assert!(bands.len() == BAND_COUNT + 1, "each band has a beginning, and the last one an end");
        assert!(bands[BAND_COUNT] as usize == records.len(), "the bands hold all records");
        CityTable { bands, records, prominent, names, regions }
    }

    /// The number of cities.
    #[cfg(test)]
    pub(super) fn len(&self) -> u32 {
        self.records.len() as u32
    }

    /// The indices of the nearest wanted cities in the circle, at most `most`. Two cities at the same distance are in
    /// the order of the table.
    pub(super) fn nearest(&self, query: &Query, most: usize, wanted: impl Fn(u32) -> bool) -> Nearest<u32> {
        let mut search = TableSearch {
            center: Center::new(query.latitude, query.longitude),
            longitude: query.longitude,
            radius: Separation::of_meters(query.radius_m),
            nearest: Nearest::new(most),
            wanted,
        };
        // The search goes outward, so it can end when it has found enough cities.
        let home = band_of(floor_units(query.latitude));
        let _ = (home..BAND_COUNT).try_for_each(|band| search.visit(self, band));
        let _ = (0..home).rev().try_for_each(|band| search.visit(self, band));
        search.nearest
    }

    /// The city with an index that [`CityTable::nearest`] has returned.
    pub(super) fn entry(&self, index: u32) -> CityEntry {
        let at = index as usize;
        let record = CityRecord::decode(&self.records[at]);
        let name_start =
            at.checked_sub(1).map_or(0, |before| CityRecord::decode(&self.records[before]).name_end);
        CityEntry {
            name: &self.names[name_start as usize..record.name_end as usize],
            region: self.regions[usize::from(record.region)],
            location: Point::new(degrees(record.latitude), degrees(record.longitude))
                .expect("the build script checks that each place is on Earth"),
        }
    }

    /// The cities in a box whose populations are known, the largest first, at most `most`.
    pub(super) fn largest(&self, bounds: &Bounds, most: usize) -> Vec<(u32, u32)> {
        let known = self.prominent.iter().map(|&[a, b, c, d, e, f, g, h]| {
            (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
        });
        known.filter(|&(index, _)| self.is_inside(bounds, index)).take(most).collect()
    }

    /// All cities in a box.
    pub(super) fn inside<'t>(&'t self, bounds: &'t Bounds) -> impl Iterator<Item = u32> + 't {
        let (south, north) = bounds.latitudes();
        let bands = band_of(floor_units(south))..=band_of(floor_units(north));
        let [first, second] = bounds.longitudes();
        let ranges = [Some(first), (second != first).then_some(second)];
        let spans = bands.flat_map(move |band| ranges.into_iter().flatten().map(move |range| (band, range)));
        let found = spans
            .flat_map(|(band, (west, east))| self.between(band, floor_units(west), floor_units(east) + 1));
        found.map(|(index, _)| index).filter(|&index| self.is_inside(bounds, index))
    }

    fn is_inside(&self, bounds: &Bounds, index: u32) -> bool {
        let record = CityRecord::decode(&self.records[index as usize]);
        bounds.contains(degrees(record.latitude), degrees(record.longitude))
    }

    /// The records of a band from one longitude to another, both included, with their indices.
    fn between(&self, band: usize, west: i32, east: i32) -> impl Iterator<Item = (u32, CityRecord)> {
        let (start, end) = (self.bands[band], self.bands[band + 1]);
        let records = &self.records[start as usize..end as usize];
        let skipped = records.partition_point(|bytes| CityRecord::decode(bytes).longitude < west);
        (start + skipped as u32..end)
            .zip(records[skipped..].iter().map(CityRecord::decode))
            .take_while(move |(_, record)| record.longitude <= east)
    }
}

/// One record, decoded.
#[derive(Clone, Copy, Debug)]
struct CityRecord {
    longitude: i32,
    latitude: i32,
    name_end: u32,
    region: u16,
}

impl CityRecord {
    fn decode(bytes: &[u8; RECORD_LEN]) -> CityRecord {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n] = bytes;
        CityRecord {
            longitude: i32::from_le_bytes([a, b, c, d]),
            latitude: i32::from_le_bytes([e, f, g, h]),
            name_end: u32::from_le_bytes([i, j, k, l]),
            region: u16::from_le_bytes([m, n]),
        }
    }
}

/// A search under way.
struct TableSearch<F> {
    center: Center,
    longitude: f64,
    radius: Separation,
    nearest: Nearest<u32>,
    wanted: F,
}

impl<F: Fn(u32) -> bool> TableSearch<F> {
    /// Searches one band. If the band is out of reach, the search ends in this direction, because all further bands are
    /// out of reach too.
    fn visit(&mut self, table: &CityTable, band: usize) -> ControlFlow<()> {
        let reach = self.reach();
        let south = band as i32 * BAND_HEIGHT - POLE;
        let Some(half_width) = self.center.half_width(reach, degrees(south), degrees(south + BAND_HEIGHT))
        else {
            return ControlFlow::Break(());
        };
        for (west, east) in longitudes(self.longitude, half_width).into_iter().flatten() {
            for (index, record) in table.between(band, west, east) {
                let separation = self.center.separation(degrees(record.latitude), degrees(record.longitude));
                // `wanted` reads the name, which takes longer than comparing the distance.
                if separation <= self.reach() && (self.wanted)(index) {
                    self.nearest.offer(separation, index);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The distance within which the search looks now.
    fn reach(&self) -> Separation {
        self.nearest.threshold().map_or(self.radius, |kept| kept.min(self.radius))
    }
}

/// The longitudes of a circle from west to east in the table's units, both ends included. There are two ranges if the
/// circle crosses the antimeridian. The ranges may be a little too wide but are never too narrow. The distance then
/// decides which cities are in the circle.
fn longitudes(center: f64, half_width: f64) -> [Option<(i32, i32)>; 2] {
    let (west, east) = (floor_units(center - half_width), floor_units(center + half_width) + 1);
    if east - west >= 2 * ANTIMERIDIAN {
        [Some((-ANTIMERIDIAN, ANTIMERIDIAN)), None]
    } else if west <= -ANTIMERIDIAN {
        [Some((-ANTIMERIDIAN, east)), Some((west + 2 * ANTIMERIDIAN, ANTIMERIDIAN))]
    } else if east >= ANTIMERIDIAN {
        [Some((-ANTIMERIDIAN, east - 2 * ANTIMERIDIAN)), Some((west, ANTIMERIDIAN))]
    } else {
        [Some((west, east)), None]
    }
}

fn floor_units(degrees: f64) -> i32 {
    (degrees * f64::from(UNITS_PER_DEGREE)).floor() as i32
}

fn degrees(units: i32) -> f64 {
    f64::from(units) / f64::from(UNITS_PER_DEGREE)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::writer::{City, encode};
    use super::*;

    /// The table of these cities, which lives as long as the test run.
    fn table(cities: Vec<City>) -> CityTable {
        let written = encode(cities);
        let regions: Vec<&'static str> = written.regions.into_iter().map(|region| &*region.leak()).collect();
        let [records, prominent] = [written.records, written.prominent].map(|bytes| &*bytes.leak());
        CityTable::new(written.bands.leak(), records, prominent, written.names.leak(), regions.leak())
    }

    fn city(name: &str, latitude: i32, longitude: i32) -> City {
        City { longitude, latitude, name: name.to_owned(), region: format!("{name}ia"), population: 0 }
    }

    fn names(table: &CityTable, query: &Query, most: usize) -> Vec<&'static str> {
        table.nearest(query, most, |_| true).iter().map(|(_, index)| table.entry(index).name).collect()
    }

    fn query(latitude: f64, longitude: f64, radius_m: f64) -> Query {
        Query::within(Point::new(latitude, longitude).unwrap(), radius_m).unwrap()
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(names(&table(vec![]), &query(0.0, 0.0, 50_000.0), 20), Vec::<&str>::new());
    }

    #[test]
    fn entries_tell_what_was_written() {
        let table = table(vec![city("Ost", 4_812_345, 1_100_001), city("West", 4_812_345, -1_100_001)]);
        let found: Vec<CityEntry> = (0..2).map(|index| table.entry(index)).collect();
        assert_eq!((found[0].name, found[0].region), ("West", "Westia"));
        assert_eq!((found[1].name, found[1].region), ("Ost", "Ostia"));
        assert_eq!(found[0].location, Point::new(48.12345, -11.00001).unwrap());
    }

    #[test]
    fn both_ends_of_the_antimeridian_are_one() {
        let table = table(vec![city("a", 0, ANTIMERIDIAN), city("b", 0, -ANTIMERIDIAN), city("c", 0, 0)]);
        for longitude in [180.0, -180.0, 179.999, -179.999] {
            let mut found = names(&table, &query(0.0, longitude, 1000.0), 20);
            found.sort_unstable();
            assert_eq!(found, ["a", "b"], "{longitude}");
        }
    }

    #[test]
    fn a_circle_around_a_pole_meets_every_meridian() {
        let around = |latitude| {
            let at = |name, longitude| city(name, latitude, longitude * UNITS_PER_DEGREE);
            vec![at("a", -180), at("b", -90), at("c", 0), at("d", 90), at("e", 180), at("f", 45)]
        };
        for (latitude, pole) in [(8_999_000, 90.0), (-8_999_000, -90.0)] {
            let mut found = names(&table(around(latitude)), &query(pole, 12.0, 1200.0), 20);
            found.sort_unstable();
            assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
        }
    }

    #[test]
    fn the_largest_cities_of_a_box_are_first_on_both_sides_of_the_antimeridian() {
        let people =
            |name, latitude, longitude, population| City { population, ..city(name, latitude, longitude) };
        let table = table(vec![
            people("a", 0, ANTIMERIDIAN, 5),
            people("b", 10, -ANTIMERIDIAN, 7),
            people("c", 20, 17_900_000, 6),
            people("d", 0, 0, 9),
            people("unknown", 10, 17_950_000, 0),
            people("e", 5_000_000, 17_950_000, 8),
        ]);
        let names = |found: &mut dyn Iterator<Item = u32>| -> Vec<_> {
            found.map(|index| table.entry(index).name).collect()
        };
        let bounds = Bounds::new(-1.0, 178.0, 1.0, -179.0).unwrap();
        let largest = |most| names(&mut table.largest(&bounds, most).into_iter().map(|(index, _)| index));
        assert_eq!(largest(10), ["b", "c", "a"]);
        assert_eq!(largest(1), ["b"]);
        let mut all = names(&mut table.inside(&bounds));
        all.sort_unstable();
        assert_eq!(all, ["a", "b", "c", "unknown"]);
        let world = Bounds::new(-90.0, -180.0, 90.0, 180.0).unwrap();
        assert_eq!(table.inside(&world).count(), 6);
    }

    fn wrapped(longitude: i32) -> i32 {
        (longitude + ANTIMERIDIAN).rem_euclid(2 * ANTIMERIDIAN) - ANTIMERIDIAN
    }

    /// Centers where a search for a circle is most likely to be wrong (poles, the antimeridian, band edges), and random
    /// centers.
    fn center() -> impl Strategy<Value = (i32, i32)> {
        let near = |edge: i32| edge - 60_000..=edge + 60_000;
        let latitude = prop_oneof![
            near(9_000_000),
            near(-9_000_000),
            near(0),
            Just(9_000_000),
            Just(-9_000_000),
            -9_000_000..=9_000_000
        ];
        let longitude = prop_oneof![
            near(ANTIMERIDIAN),
            near(-ANTIMERIDIAN),
            near(0),
            Just(ANTIMERIDIAN),
            Just(-ANTIMERIDIAN),
            -ANTIMERIDIAN..=ANTIMERIDIAN
        ];
        (latitude, longitude).prop_map(|(latitude, longitude)| {
            (latitude.clamp(-9_000_000, 9_000_000), longitude.clamp(-ANTIMERIDIAN, ANTIMERIDIAN))
        })
    }

    /// Cities around a center, some over the pole from it, and some at the edges of the map.
    fn cities((latitude, longitude): (i32, i32)) -> impl Strategy<Value = Vec<City>> {
        let stretch = 1.0 / degrees(latitude).to_radians().cos().max(1e-3);
        let offset = (-60_000i32..=60_000, -60_000i32..=60_000, 0u8..8);
        vec(offset, 0..60).prop_map(move |offsets| {
            let place = |(number, (north, east, kind)): (usize, (i32, i32, u8))| {
                let east = (f64::from(east) * stretch).clamp(-1.8e7, 1.8e7) as i32;
                let longitude = match kind {
                    0 => wrapped(longitude + east + ANTIMERIDIAN),
                    1 => ANTIMERIDIAN,
                    2 => -ANTIMERIDIAN,
                    _ => wrapped(longitude + east),
                };
                let latitude = (latitude + north).clamp(-9_000_000, 9_000_000);
                city(&format!("city {number}"), latitude, longitude)
            };
            offsets.into_iter().enumerate().map(place).collect()
        })
    }

    proptest! {
        #[test]
        fn a_search_finds_what_a_scan_of_everything_finds(
            (center, cities) in center().prop_flat_map(|center| (Just(center), cities(center))),
            radius_m in prop_oneof![1f64..50_000.0, Just(50_000.0), 1e-6f64..100.0],
            most in 0usize..25,
            every in 1u32..4,
        ) {
            let query = query(degrees(center.0), degrees(center.1), radius_m);
            let from = Center::new(query.latitude, query.longitude);
            let table = table(cities);
            let mut scanned: Vec<(Separation, u32)> = (0..table.len())
                .map(|index| {
                    let location = table.entry(index).location;
                    (from.separation(location.latitude(), location.longitude()), index)
                })
                .filter(|(separation, _)| *separation <= Separation::of_meters(radius_m))
                .filter(|(_, index)| index % every == 0)
                .collect();
            scanned.sort();
            scanned.truncate(most.min(20));
            let found = table.nearest(&query, most, |index| index % every == 0);
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), scanned);
        }
    }
}
