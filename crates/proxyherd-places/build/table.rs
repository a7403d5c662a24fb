//! Encodes the table of cities that the embedded provider searches. The layout is in `embedded/layout.rs`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::layout::{ANTIMERIDIAN, BAND_COUNT, POLE, PROMINENT_LEN, RECORD_LEN, band_of};

/// A city to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct City {
    /// Degrees east, units of the table.
    pub(crate) longitude: i32,
    /// Degrees north, units of the table.
    pub(crate) latitude: i32,
    /// Its name.
    pub(crate) name: String,
    /// Its region in words.
    pub(crate) region: String,
    /// The number of people. 0 if it is not known.
    pub(crate) population: u32,
}

/// The five parts of the table.
#[derive(Debug)]
pub(crate) struct Table {
    /// The index at which the records of each band begin, and the index at which the records of the last band end.
    pub(crate) bands: Vec<u32>,
    /// All records.
    pub(crate) records: Vec<u8>,
    /// The cities whose populations are known, the largest first.
    pub(crate) prominent: Vec<u8>,
    /// The names in the order of the records, without anything between them.
    pub(crate) names: String,
    /// The regions, to which records refer by index.
    pub(crate) regions: Vec<String>,
}

/// Sorts the cities into bands and encodes them.
pub(crate) fn encode(mut cities: Vec<City>) -> Table {
    cities.sort_by(|a, b| (band_of(a.latitude), a).cmp(&(band_of(b.latitude), b)));
    let (regions, indices) = regions(&cities);
    let mut names = String::new();
    let mut records = Vec::with_capacity(cities.len() * RECORD_LEN);
    for city in &cities {
        assert!(city.latitude.abs() <= POLE && city.longitude.abs() <= ANTIMERIDIAN, "{city:?} is on Earth");
        names.push_str(&city.name);
        let name_end = u32::try_from(names.len()).expect("the names are a few megabytes");
        records.extend_from_slice(&city.longitude.to_le_bytes());
        records.extend_from_slice(&city.latitude.to_le_bytes());
        records.extend_from_slice(&name_end.to_le_bytes());
        records.extend_from_slice(&indices[city.region.as_str()].to_le_bytes());
    }
    assert_eq!(records.len(), cities.len() * RECORD_LEN, "a record is as long as its reader takes it to be");
    let prominent = prominent(&cities);
    Table { bands: bands(&cities), records, prominent, names, regions }
}

fn prominent(cities: &[City]) -> Vec<u8> {
    let mut known: Vec<(u32, u32)> = cities
        .iter()
        .zip(0..)
        .map(|(city, index)| (city.population, index))
        .filter(|known| known.0 > 0)
        .collect();
    known.sort_by_key(|&(population, index)| (Reverse(population), index));
    let count = known.len();
    let list: Vec<u8> = known
        .iter()
        .flat_map(|(population, index)| [index.to_le_bytes(), population.to_le_bytes()].concat())
        .collect();
    assert_eq!(list.len(), count * PROMINENT_LEN, "an entry is as long as its reader takes it to be");
    list
}

fn regions(cities: &[City]) -> (Vec<String>, BTreeMap<&str, u16>) {
    let mut indices: BTreeMap<&str, u16> = cities.iter().map(|city| (city.region.as_str(), 0)).collect();
    for (at, index) in indices.values_mut().enumerate() {
        *index = u16::try_from(at).expect("the world has a few hundred regions");
    }
    (indices.keys().map(|&region| region.to_owned()).collect(), indices)
}

fn bands(cities: &[City]) -> Vec<u32> {
    (0..=BAND_COUNT).map(|band| cities.partition_point(|city| band_of(city.latitude) < band) as u32).collect()
}
