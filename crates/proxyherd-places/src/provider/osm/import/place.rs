//! Makes the record of a place for the index, when the point of the place is known.
//!
//! [`ImportedPlaces::add`] takes places in the order of the extract, and [`ImportedPlaces::finish`] returns them in the
//! order of the index. This module does not know how places are found in an extract.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use proxyherd_core::places;

use super::super::index::{IndexPoint, IndexRecord, Locale, ObjectId, degrees};
use super::super::limits::{LOCALES_MAX, SORT_LEN_MAX};
use super::super::tags::Described;
use super::super::zones::Zones;
use super::super::{cut, hours};
use super::sorter::{Sorted, Sorter};
use super::twins::{Doubles, Twins};

/// The countries in which the number of a house is written before its street.
const NUMBER_FIRST: [&str; 14] =
    ["AU", "CA", "FR", "GB", "HK", "IE", "IN", "MC", "MY", "NZ", "PH", "SG", "US", "ZA"];

/// The places so far.
#[derive(Debug)]
pub(super) struct ImportedPlaces {
    sorter: Sorter,
    zones: Zones,
    locales: Vec<Locale>,
    numbers: HashMap<Locale, u16>,
    twins: Twins,
    buffer: Vec<u8>,
    /// Returns whether opening hours can be parsed. `None` if the parser panics.
    is_readable: fn(&str) -> Option<bool>,
    hours_failed: u64,
}

impl ImportedPlaces {
    /// Makes an empty collection. Places that do not fit into memory go to a temporary file in `directory`.
    pub(super) fn new(directory: &Path) -> io::Result<ImportedPlaces> {
        Ok(ImportedPlaces {
            sorter: Sorter::new(directory, SORT_LEN_MAX)?,
            zones: Zones::new(),
            locales: Vec::new(),
            numbers: HashMap::new(),
            twins: Twins::default(),
            buffer: Vec::new(),
            is_readable: hours::is_readable,
            hours_failed: 0,
        })
    }

    /// Adds a place. Places of one kind of object must come in the order of the extract.
    pub(super) fn add(
        &mut self,
        id: ObjectId,
        version: u32,
        described: &Described,
        at: IndexPoint,
    ) -> io::Result<()> {
        let has_hours = !described.hours.is_empty() && self.can_read(&described.hours);
        let has_number = !described.number.is_empty() && !described.street.is_empty();
        let locale = if has_hours || has_number { self.locale(at) } else { 0 };
        let country = self.locales.get(usize::from(locale).wrapping_sub(1)).map(|locale| &*locale.country);
        let vicinity = vicinity(described, country);
        self.buffer.clear();
        IndexRecord {
            id,
            locale,
            kinds: &described.kinds,
            name: &described.name,
            vicinity: cut(&vicinity),
            hours: if has_hours { &described.hours } else { "" },
            also: &described.also,
        }
        .encode(&mut self.buffer);
        self.twins.rank(id, version, &mut self.buffer);
        self.sorter.push(at, &self.buffer)
    }

    fn can_read(&mut self, hours: &str) -> bool {
        (self.is_readable)(hours).unwrap_or_else(|| {
            self.hours_failed += 1;
            false
        })
    }

    /// The number of places whose opening hours make the parser panic.
    pub(super) fn hours_failed(&self) -> u64 {
        self.hours_failed
    }

    /// The number of the locale at a point.
    fn locale(&mut self, at: IndexPoint) -> u16 {
        let point = places::Point::new(degrees(at.latitude), degrees(at.longitude));
        let Some(locale) = point.and_then(|point| self.zones.of(point)) else { return 0 };
        if let Some(&number) = self.numbers.get(&locale) {
            return number;
        }
        if self.locales.len() == LOCALES_MAX {
            return 0;
        }
        self.locales.push(locale.clone());
        let number = self.locales.len() as u16;
        self.numbers.insert(locale, number);
        number
    }

    /// The number of places that were added.
    pub(super) fn len(&self) -> u64 {
        self.twins.count()
    }

    /// Ends the input, and returns the sorted places.
    pub(super) fn finish(self) -> io::Result<SortedPlaces> {
        let sorted = self.sorter.sorted()?;
        let doubles = self.twins.find(&sorted)?;
        Ok(SortedPlaces { sorted, doubles, locales: self.locales })
    }
}

/// All places, in the order of the index.
#[derive(Debug)]
pub(super) struct SortedPlaces {
    sorted: Sorted,
    doubles: Doubles,
    /// The locales, to which records refer by number.
    pub(super) locales: Vec<Locale>,
}

impl SortedPlaces {
    /// Passes every place to `take`: its point and its record.
    pub(super) fn each(&self, mut take: impl FnMut(IndexPoint, &[u8]) -> io::Result<()>) -> io::Result<()> {
        self.sorted.each(|point, ranked| match self.doubles.record(ranked) {
            Some(record) => take(point, record),
            None => Ok(()),
        })
    }
}

/// `Tal 12, München`: street, number and town, as far as they are known, in the order of the country.
fn vicinity(described: &Described, country: Option<&str>) -> String {
    let Described { street, number, city, .. } = described;
    let number_first = country.is_some_and(|country| NUMBER_FIRST.contains(&country));
    let house = match (street.as_str(), number.as_str()) {
        ("", _) => String::new(),
        (street, "") => street.to_owned(),
        (street, number) if number_first => format!("{number} {street}"),
        (street, number) => format!("{street} {number}"),
    };
    match (house.as_str(), city.as_str()) {
        ("", city) => city.to_owned(),
        (house, "") => house.to_owned(),
        (house, city) => format!("{house}, {city}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::index::Object;
    use super::*;
    use crate::contained::contained;

    #[test]
    fn hours_that_make_the_parser_panic_are_counted_and_cost_the_place_its_hours_alone() {
        let mut places = ImportedPlaces::new(&std::env::temp_dir()).unwrap();
        places.is_readable = |hours| contained(|| hours == "24/7" || panic!("this is meant to happen"));
        for (number, hours) in ["24/7", "bad", "", "worse"].into_iter().enumerate() {
            let described = Described { hours: hours.to_owned(), ..Described::default() };
            let id = ObjectId { object: Object::Node, number: number as i64 };
            places
                .add(id, 1, &described, IndexPoint { longitude: 115_750_000, latitude: 481_370_000 })
                .unwrap();
        }
        assert_eq!(places.hours_failed(), 2);
        let mut found = Vec::new();
        let finished = places.finish().unwrap();
        finished
            .each(|_, record| {
                found.push(IndexRecord::decode(record).unwrap().hours.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(found, ["24/7", "", "", ""]);
    }

    #[test]
    fn an_address_is_written_as_the_country_writes_it() {
        for (street, number, city, country, expected) in [
            ("Tal", "12", "München", Some("DE"), "Tal 12, München"),
            ("Boulevard des Moulins", "2", "Monaco", Some("MC"), "2 Boulevard des Moulins, Monaco"),
            ("Tal", "", "München", Some("DE"), "Tal, München"),
            ("Tal", "12", "", None, "Tal 12"),
            ("", "12", "München", None, "München"),
            ("", "", "", None, ""),
        ] {
            let described = Described {
                street: street.to_owned(),
                number: number.to_owned(),
                city: city.to_owned(),
                ..Described::default()
            };
            assert_eq!(vicinity(&described, country), expected);
        }
    }
}
