//! Searches the table of places: which of them lie in a circle, the nearest first.
//!
//! Nothing is decoded beforehand. A search reads the records of the bands and longitudes that a box around the
//! circle covers, and no others.

use proxyherd_core::places::{Centre, EARTH_RADIUS_M, Nearest, Point, Query, Separation};

use super::layout::{ANTIMERIDIAN, BAND_COUNT, RECORD_LEN, UNITS_PER_DEGREE, band_of};

/// The places of the world, as the build script laid them out.
#[derive(Debug)]
pub(super) struct Table {
    bands: &'static [u32],
    records: &'static [[u8; RECORD_LEN]],
    names: &'static str,
    regions: &'static [&'static str],
}

/// What the table says of one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) region: &'static str,
    pub(super) location: Point,
}

impl Table {
    /// Puts the parts together. Evaluated while compiling: parts that do not fit do not compile.
    pub(super) const fn new(
        bands: &'static [u32],
        records: &'static [u8],
        names: &'static str,
        regions: &'static [&'static str],
    ) -> Table {
        let (records, rest) = records.as_chunks::<RECORD_LEN>();
        assert!(rest.is_empty(), "the records are whole");
        assert!(bands.len() == BAND_COUNT + 1, "each band has a beginning, and the last one an end");
        assert!(bands[BAND_COUNT] as usize == records.len(), "the bands hold all records");
        Table { bands, records, names, regions }
    }

    /// How many places there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> u32 {
        self.records.len() as u32
    }

    /// The indices of the nearest places in the circle, at most `most`. Of two at the same distance the one
    /// that stands first in the table goes first.
    pub(super) fn nearest(&self, query: &Query, most: usize) -> Nearest<u32> {
        let mut nearest = Nearest::new(most);
        let centre = Centre::new(query.latitude, query.longitude);
        let radius = Separation::of_metres(query.radius_m);
        let around = Bounds::of(query);
        for band in band_of(around.south)..=band_of(around.north) {
            for (west, east) in around.longitudes.into_iter().flatten() {
                let inside =
                    self.between(band, west, east).filter(|(_, record)| around.covers(record.latitude));
                for (index, record) in inside {
                    let separation = centre.separation(degrees(record.latitude), degrees(record.longitude));
                    if separation <= radius {
                        nearest.offer(separation, index);
                    }
                }
            }
        }
        nearest
    }

    /// One place, by an index that [`Table::nearest`] gave.
    pub(super) fn entry(&self, index: u32) -> Entry {
        let at = index as usize;
        let record = Record::decode(&self.records[at]);
        let name_start = at.checked_sub(1).map_or(0, |before| Record::decode(&self.records[before]).name_end);
        Entry {
            name: &self.names[name_start as usize..record.name_end as usize],
            region: self.regions[usize::from(record.region)],
            location: Point::new(degrees(record.latitude), degrees(record.longitude))
                .expect("the build script checks that each place is on Earth"),
        }
    }

    /// The records of a band from one longitude to another, both included, with their indices.
    fn between(&self, band: usize, west: i32, east: i32) -> impl Iterator<Item = (u32, Record)> {
        let (start, end) = (self.bands[band], self.bands[band + 1]);
        let records = &self.records[start as usize..end as usize];
        let skipped = records.partition_point(|bytes| Record::decode(bytes).longitude < west);
        (start + skipped as u32..end)
            .zip(records[skipped..].iter().map(Record::decode))
            .take_while(move |(_, record)| record.longitude <= east)
    }
}

/// One record, decoded.
#[derive(Clone, Copy, Debug)]
struct Record {
    longitude: i32,
    latitude: i32,
    name_end: u32,
    region: u16,
}

impl Record {
    fn decode(bytes: &[u8; RECORD_LEN]) -> Record {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n] = bytes;
        Record {
            longitude: i32::from_le_bytes([a, b, c, d]),
            latitude: i32::from_le_bytes([e, f, g, h]),
            name_end: u32::from_le_bytes([i, j, k, l]),
            region: u16::from_le_bytes([m, n]),
        }
    }
}

/// A box around a circle, in the table's units. It may be a little too large, never too small: the distance
/// decides.
#[derive(Debug)]
struct Bounds {
    south: i32,
    north: i32,
    /// From west to east, both included; two where the box crosses the antimeridian.
    longitudes: [Option<(i32, i32)>; 2],
}

impl Bounds {
    fn of(query: &Query) -> Bounds {
        let reach = (query.radius_m / EARTH_RADIUS_M).to_degrees();
        let half_width = half_width(query.latitude, reach);
        let (west, east) =
            (at_or_below(query.longitude - half_width), at_or_above(query.longitude + half_width));
        let longitudes = if east - west >= 2 * ANTIMERIDIAN {
            [Some((-ANTIMERIDIAN, ANTIMERIDIAN)), None]
        } else if west < -ANTIMERIDIAN {
            [Some((-ANTIMERIDIAN, east)), Some((west + 2 * ANTIMERIDIAN, ANTIMERIDIAN))]
        } else if east > ANTIMERIDIAN {
            [Some((-ANTIMERIDIAN, east - 2 * ANTIMERIDIAN)), Some((west, ANTIMERIDIAN))]
        } else {
            [Some((west, east)), None]
        };
        let (south, north) = (at_or_below(query.latitude - reach), at_or_above(query.latitude + reach));
        Bounds { south, north, longitudes }
    }

    fn covers(&self, latitude: i32) -> bool {
        self.south <= latitude && latitude <= self.north
    }
}

/// How many degrees of longitude a circle reaches to either side of its centre: where the meridian touches it,
/// which is farther than along the centre's own latitude. A circle that holds a pole meets every meridian.
fn half_width(latitude: f64, reach: f64) -> f64 {
    if latitude.abs() + reach >= 90.0 {
        return 180.0;
    }
    let sine = reach.to_radians().sin() / latitude.to_radians().cos();
    sine.min(1.0).asin().to_degrees()
}

/// One unit farther out than need be, for the rounding of what came before.
fn at_or_below(degrees: f64) -> i32 {
    (degrees * f64::from(UNITS_PER_DEGREE)).floor() as i32 - 1
}

fn at_or_above(degrees: f64) -> i32 {
    (degrees * f64::from(UNITS_PER_DEGREE)).ceil() as i32 + 1
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
    fn table(cities: Vec<City>) -> Table {
        let written = encode(cities);
        let regions: Vec<&'static str> = written.regions.into_iter().map(|region| &*region.leak()).collect();
        Table::new(written.bands.leak(), written.records.leak(), written.names.leak(), regions.leak())
    }

    fn city(name: &str, latitude: i32, longitude: i32) -> City {
        City { longitude, latitude, name: name.to_owned(), region: format!("{name}ia") }
    }

    fn names(table: &Table, query: &Query, most: usize) -> Vec<&'static str> {
        table.nearest(query, most).iter().map(|(_, index)| table.entry(index).name).collect()
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
        let found: Vec<Entry> = (0..2).map(|index| table.entry(index)).collect();
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

    fn wrapped(longitude: i32) -> i32 {
        (longitude + ANTIMERIDIAN).rem_euclid(2 * ANTIMERIDIAN) - ANTIMERIDIAN
    }

    /// Where circles are likeliest to go wrong: poles, the antimeridian, band edges; and anywhere.
    fn centre() -> impl Strategy<Value = (i32, i32)> {
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

    /// Cities around a centre, some over the pole from it, and some at the edges of the map.
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
            (centre, cities) in centre().prop_flat_map(|centre| (Just(centre), cities(centre))),
            radius_m in prop_oneof![1f64..50_000.0, Just(50_000.0), 1e-6f64..100.0],
            most in 0usize..25,
        ) {
            let query = query(degrees(centre.0), degrees(centre.1), radius_m);
            let from = Centre::new(query.latitude, query.longitude);
            let table = table(cities);
            let mut scanned: Vec<(Separation, u32)> = (0..table.len())
                .map(|index| {
                    let location = table.entry(index).location;
                    (from.separation(location.latitude(), location.longitude()), index)
                })
                .filter(|(separation, _)| *separation <= Separation::of_metres(radius_m))
                .collect();
            scanned.sort();
            scanned.truncate(most.min(20));
            prop_assert_eq!(table.nearest(&query, most).iter().collect::<Vec<_>>(), scanned);
        }
    }
}
