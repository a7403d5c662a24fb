//! Writes the table of cities for the embedded provider at build time, so that a server parses nothing when it starts.
//! As a run-time dependency, the same data would make the program 22 MB larger, and would take a quarter of a second at
//! the start.

#[path = "src/provider/embedded/layout.rs"]
mod layout;
#[path = "build/table.rs"]
mod table;

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use cities_json::CITIES;

use layout::UNITS_PER_DEGREE;
use table::City;

type Outcome<T> = Result<T, Box<dyn Error>>;

const REGIONS: &str = "build/regions.tsv";

fn main() -> Outcome<()> {
    for input in ["build.rs", "build/table.rs", REGIONS, "src/provider/embedded/layout.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let regions = fs::read_to_string(REGIONS)?;
    let regions: HashMap<&str, &str> = regions.lines().filter_map(|line| line.split_once('\t')).collect();
    let cities = CITIES.iter().map(|city| read(city, &regions)).collect::<Outcome<Vec<City>>>()?;
    let table = table::encode(cities);

    let directory = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    let directory = Path::new(&directory);
    fs::write(directory.join("places.records"), &table.records)?;
    fs::write(directory.join("places.names"), &table.names)?;
    fs::write(directory.join("places.bands.rs"), format!("{:?}", table.bands))?;
    fs::write(directory.join("places.regions.rs"), format!("{:?}", table.regions))?;
    Ok(())
}

fn read(city: &cities_json::City, regions: &HashMap<&str, &str>) -> Outcome<City> {
    let country = regions
        .get(city.country.as_str())
        .ok_or_else(|| format!("{} lies in {}: name that country in {REGIONS}", city.name, city.country))?;
    let region = match regions.get(format!("{}.{}", city.country, city.admin1).as_str()) {
        Some(region) => format!("{region}, {country}"),
        None => (*country).to_owned(),
    };
    Ok(City { longitude: units(city.lng)?, latitude: units(city.lat)?, name: city.name.clone(), region })
}

fn units(degrees: f64) -> Outcome<i32> {
    let units = (degrees * f64::from(UNITS_PER_DEGREE)).round();
    if units / f64::from(UNITS_PER_DEGREE) == degrees {
        Ok(units as i32)
    } else {
        Err(format!("{degrees} has more decimals than the table keeps: make UNITS_PER_DEGREE larger").into())
    }
}
