//! Writes the table of cities for the embedded provider at build time, so that a server parses nothing when it starts.
//! As a run-time dependency, the same data would make the program 22 MB larger, and would take a quarter of a second at
//! the start.

#[path = "src/provider/embedded/layout.rs"]
mod layout;
#[path = "build/table.rs"]
mod table;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use cities_json::CITIES;

use layout::UNITS_PER_DEGREE;
use table::City;

type Outcome<T> = Result<T, Box<dyn Error>>;

const REGIONS: &str = "build/regions.tsv";
const POPULATIONS: &str = "build/populations.tsv";
/// Minimum part of the rows of populations that must belong to a city.
const FITTING_MIN: f64 = 0.9;

fn main() -> Outcome<()> {
    for input in ["build.rs", "build/table.rs", REGIONS, POPULATIONS, "src/provider/embedded/layout.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let regions = fs::read_to_string(REGIONS)?;
    let regions: HashMap<&str, &str> = regions.lines().filter_map(|line| line.split_once('\t')).collect();
    let populations = populations(&fs::read_to_string(POPULATIONS)?)?;
    let cities = CITIES.iter().map(|city| read(city, &regions, &populations));
    let cities = cities.collect::<Outcome<Vec<City>>>()?;
    let points: HashSet<(i32, i32)> = cities.iter().map(|city| (city.latitude, city.longitude)).collect();
    let fitting = populations.keys().filter(|point| points.contains(point)).count();
    if (fitting as f64) < FITTING_MIN * populations.len() as f64 {
        let rows = populations.len();
        return Err(
            format!("only {fitting} of {rows} rows of {POPULATIONS} are cities of cities-json").into()
        );
    }
    let table = table::encode(cities);

    let directory = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    let directory = Path::new(&directory);
    fs::write(directory.join("places.records"), &table.records)?;
    fs::write(directory.join("places.names"), &table.names)?;
    fs::write(directory.join("places.prominent"), &table.prominent)?;
    fs::write(directory.join("places.bands.rs"), format!("{:?}", table.bands))?;
    fs::write(directory.join("places.regions.rs"), format!("{:?}", table.regions))?;
    Ok(())
}

/// The populations by latitude and longitude, units of the table.
fn populations(rows: &str) -> Outcome<HashMap<(i32, i32), u32>> {
    let rows = rows.lines().filter(|row| !row.starts_with('#'));
    rows.map(|row| {
        let mut fields = row.split('\t');
        let mut next =
            || fields.next().ok_or_else(|| format!("{POPULATIONS} has a row without three fields: {row}"));
        let point = (next()?.parse()?, next()?.parse()?);
        Ok((point, next()?.parse()?))
    })
    .collect()
}

fn read(
    city: &cities_json::City,
    regions: &HashMap<&str, &str>,
    populations: &HashMap<(i32, i32), u32>,
) -> Outcome<City> {
    let country = regions
        .get(city.country.as_str())
        .ok_or_else(|| format!("{} lies in {}: name that country in {REGIONS}", city.name, city.country))?;
    let region = match regions.get(format!("{}.{}", city.country, city.admin1).as_str()) {
        Some(region) => format!("{region}, {country}"),
        None => (*country).to_owned(),
    };
    let (latitude, longitude) = (units(city.lat)?, units(city.lng)?);
    let population = populations.get(&(latitude, longitude)).copied().unwrap_or(0);
    Ok(City { longitude, latitude, name: city.name.clone(), region, population })
}

fn units(degrees: f64) -> Outcome<i32> {
    let units = (degrees * f64::from(UNITS_PER_DEGREE)).round();
    if units / f64::from(UNITS_PER_DEGREE) == degrees {
        Ok(units as i32)
    } else {
        Err(format!("{degrees} has more decimals than the table keeps: make UNITS_PER_DEGREE larger").into())
    }
}
