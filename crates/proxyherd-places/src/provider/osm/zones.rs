//! Finds the time zone of a place and the country whose holidays count there, by the region of the nearest city.
//!
//! The importer asks [`Zones::of`] once for each place. Maps of the zones' borders are derived from OpenStreetMap, and
//! the license of these maps would apply to a program that includes them. So this module uses the cities of the
//! embedded provider. In a country with one time zone the result is right, except near a border, where the nearest city
//! may be in another country. For a country with several zones, `zones.tsv` has boxes that keep a distance from the
//! borders of the zones. Outside of the boxes the zone is unknown. Then answers do not say whether a place is open,
//! which is better than a wrong answer.

use std::collections::HashMap;

use proxyherd_core::limits::RADIUS_M_MAX;
use proxyherd_core::places::{Point, Query};

use super::index::Locale;
use crate::provider::{Embedded, Provider as _};

const TABLE: &str = include_str!("zones.tsv");

/// The world's time zones.
#[derive(Debug)]
pub(super) struct Zones {
    by_region: HashMap<&'static str, Vec<ZoneRow>>,
}

#[derive(Clone, Copy, Debug)]
struct ZoneRow {
    country: &'static str,
    zone: &'static str,
    /// West, south, east, north, degrees.
    within: [f64; 4],
}

impl Zones {
    /// Reads the table, which is part of the program.
    pub(super) fn new() -> Zones {
        let mut by_region: HashMap<_, Vec<ZoneRow>> = HashMap::new();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let (region, row) =
                read(line).expect("every line of the table can be parsed (a test checks this)");
            by_region.entry(region).or_default().push(row);
        }
        Zones { by_region }
    }

    /// The locale of a place. `None` if the table has no locale for the place.
    pub(super) fn of(&self, place: Point) -> Option<Locale> {
        let query = Query::within(place, RADIUS_M_MAX.into()).expect("the largest radius is in range");
        let city = Embedded.nearby_now(&query, 1)?.places.pop()?;
        let rows = self.by_region.get(city.vicinity.as_deref()?)?;
        let row = rows.iter().find(|row| row.holds(place))?;
        Some(Locale { zone: row.zone.to_owned(), country: row.country.to_owned() })
    }
}

impl ZoneRow {
    fn holds(&self, place: Point) -> bool {
        let [west, south, east, north] = self.within;
        (west..=east).contains(&place.longitude()) && (south..=north).contains(&place.latitude())
    }
}

fn read(line: &'static str) -> Option<(&'static str, ZoneRow)> {
    let mut fields = line.split('\t');
    let (region, country, zone) = (fields.next()?, fields.next()?, fields.next()?);
    let edges: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let within = if edges.is_empty() { [-180.0, -90.0, 180.0, 90.0] } else { edges.try_into().ok()? };
    Some((region, ZoneRow { country, zone, within }))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn every_row_names_a_region_and_a_zone_that_there_is() {
        let regions = include_str!("../../../build/regions.tsv");
        let countries =
            regions.lines().filter_map(|line| line.split_once('\t')).filter(|(code, _)| code.len() == 2);
        let names: HashMap<&str, &str> = countries.map(|(code, name)| (name, code)).collect();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let (region, row) = read(line).expect(line);
            let of_country = region.rsplit_once(", ").map_or(region, |(_, country)| country);
            let country = *names.get(region).unwrap_or_else(|| &names[of_country]);
            assert_eq!(country, row.country, "{line}");
            TimeZone::get(row.zone).expect(line);
            let [west, south, east, north] = row.within;
            assert!(west < east && south < north, "{line}");
        }
    }

    #[test]
    fn towns_keep_their_time() {
        let zones = Zones::new();
        for (town, latitude, longitude, expected) in [
            ("München", 48.137, 11.575, Some(("Europe/Berlin", "DE"))),
            ("Andorra la Vella", 42.507, 1.521, Some(("Europe/Andorra", "AD"))),
            ("Monaco", 43.731, 7.42, Some(("Europe/Monaco", "MC"))),
            ("London", 51.507, -0.128, Some(("Europe/London", "GB"))),
            ("Las Palmas", 28.1, -15.43, Some(("Atlantic/Canary", "ES"))),
            ("Los Angeles", 34.0689, -118.445, Some(("America/Los_Angeles", "US"))),
            ("Dallas", 32.78, -96.8, Some(("America/Chicago", "US"))),
            ("El Paso", 31.76, -106.49, Some(("America/Denver", "US"))),
            ("Knoxville", 35.96, -83.92, Some(("America/New_York", "US"))),
            ("Nashville", 36.16, -86.78, Some(("America/Chicago", "US"))),
            ("Toronto", 43.65, -79.38, Some(("America/Toronto", "CA"))),
            ("Perth", -31.95, 115.86, Some(("Australia/Perth", "AU"))),
            ("Brisbane", -27.47, 153.03, Some(("Australia/Brisbane", "AU"))),
            ("Broken Hill", -31.95, 141.45, None),
            ("Vladivostok", 43.12, 131.89, Some(("Asia/Vladivostok", "RU"))),
            ("the sea", -48.9, -123.4, None),
        ] {
            let found = zones.of(Point::new(latitude, longitude).unwrap());
            let expected =
                expected.map(|(zone, country)| Locale { zone: zone.into(), country: country.into() });
            assert_eq!(found, expected, "{town}");
        }
    }
}
