//! Tests with real extracts. An import takes the same places that osmium finds, and a search finds all places in the
//! circle.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use proxyherd_core::places::{self, EARTH_RADIUS_M, Query};

use super::import::Unseen;
use super::index::{BAND_COUNT, Index};
use super::limits::LABEL_BLOCKS_MAX;
use super::*;

const MUENCHEN: &str = "muenchen-valhalla-2020-07-20.osm.pbf";
const MONACO: &str = "monaco-planetiler-2021-04-21.osm.pbf";
const EXTRACTS: [&str; 3] = [MUENCHEN, MONACO, "andorra-planetiler-2021-04-14.osm.pbf"];

/// The filter of osmium for the objects that are places.
const FILTER: [&str; 13] = [
    "nwr/amenity!=no,bench,grit_bin,hunting_stand,parking_entrance,parking_space,waste_basket,waste_disposal",
    "nwr/shop!=no,vacant",
    "nwr/tourism!=no",
    "nwr/leisure!=no",
    "nwr/office!=no,vacant",
    "nwr/healthcare!=no",
    "nwr/craft!=no",
    "nwr/historic!=no",
    "nwr/aeroway=aerodrome,heliport,terminal",
    "nwr/railway=halt,station,tram_stop",
    "nwr/public_transport=station",
    "nwr/highway=bus_stop",
    "nwr/aerialway=station",
];

/// A file of the test data. If the file is missing and the tests may be skipped, this prints a message and returns
/// `None`.
pub(super) fn data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("PROXYHERD_TEST_DATA").map_or_else(beside, PathBuf::from);
    at_hand(dir.join(name).exists().then(|| dir.join(name)), name)
}

/// Whether osmium is installed.
fn osmium() -> Option<()> {
    let runs = Command::new("osmium").arg("--version").output().is_ok();
    at_hand(runs.then_some(()), "osmium")
}

fn at_hand<T>(found: Option<T>, what: &str) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} must be there");
        eprintln!("skipped: {what} is not there");
    }
    found
}

fn run_osmium(arguments: &[&str], dir: &Path) {
    let output =
        Command::new("osmium").args(arguments).arg("--no-progress").current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The places of an extract, found by osmium. The key is an ID such as `n123`. The value is the box that the place
/// covers: west, south, east, north.
fn by_osmium(extract: &Path, dir: &Path) -> BTreeMap<String, [f64; 4]> {
    let extract = extract.to_str().unwrap();
    run_osmium(&[&["tags-filter", "-O", "-o", "kept.osm.pbf", extract], &FILTER[..]].concat(), dir);
    run_osmium(&["tags-filter", "-O", "-o", "named.osm.pbf", "kept.osm.pbf", "nwr/name", "nwr/brand"], dir);
    let types = ["nw/name", "nw/brand", "r/type=multipolygon,boundary"];
    run_osmium(&[&["tags-filter", "-O", "-o", "places.osm.pbf", "named.osm.pbf"], &types[..]].concat(), dir);
    run_osmium(&["cat", "-O", "-f", "opl", "-o", "places.opl", "places.osm.pbf"], dir);
    boxes(&fs::read_to_string(dir.join("places.opl")).unwrap())
}

/// The objects of a file in osmium's OPL format that are places, with the boxes that they cover.
fn boxes(opl: &str) -> BTreeMap<String, [f64; 4]> {
    let mut covered: BTreeMap<String, [f64; 4]> = BTreeMap::new();
    let mut places = BTreeMap::new();
    // Nodes come before ways, and ways before relations. So the parts of an object are known before the object.
    for line in opl.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let of = |key: char| fields[1..].iter().find_map(|field| field.strip_prefix(key)).unwrap_or("");
        let own =
            [of('x'), of('y'), of('x'), of('y')].map(|degrees| degrees.parse::<f64>().unwrap_or(f64::NAN));
        let parts = of('N').split(',').chain(of('M').split(',')).filter(|part| !part.is_empty());
        let parts = parts.filter_map(|part| covered.get(part.split('@').next().unwrap()));
        let all = parts.fold(own, |all, part| {
            [all[0].min(part[0]), all[1].min(part[1]), all[2].max(part[2]), all[3].max(part[3])]
        });
        covered.insert(fields[0].to_owned(), all);
        if is_place(of('T')) {
            places.insert(fields[0].to_owned(), all);
        }
    }
    places
}

/// Whether tags in OPL make a place. The file also contains the parts of places, which are not places themselves.
fn is_place(tags: &str) -> bool {
    let tag = |key: &str| tags.split(',').find_map(|tag| tag.strip_prefix(key)?.strip_prefix('='));
    let named = tag("name").or(tag("brand")).is_some();
    named
        && FILTER.iter().any(|filter| {
            let filter = filter.trim_start_matches("nwr/");
            match filter.split_once("!=") {
                Some((key, refused)) => {
                    tag(key).is_some_and(|value| refused.split(',').all(|one| one != value))
                }
                None => {
                    let (key, taken) = filter.split_once('=').unwrap();
                    tag(key).is_some_and(|value| taken.split(',').any(|one| one == value))
                }
            }
        })
}

/// Every place of an index, by its ID without `osm`.
fn scan(index: &Index) -> BTreeMap<String, (f64, f64)> {
    let numbers = (0..BAND_COUNT).flat_map(|band| index.directory().band(band));
    let mut all = BTreeMap::new();
    for number in numbers {
        let block = index.block(number).unwrap();
        for (at, point) in block.points().iter().enumerate() {
            let id = place_id(&block.record(at));
            all.insert(id[3..].to_owned(), (degrees(point.latitude), degrees(point.longitude)));
        }
    }
    all
}

fn imported(name: &str, dir: &Path) -> Option<(ImportSummary, PathBuf)> {
    let out = dir.join("places.idx");
    Some((import(&data(name)?, &out, &mut Unseen).unwrap(), out))
}

#[test]
fn what_is_imported_is_what_osmium_finds() {
    if osmium().is_none() {
        return;
    }
    for name in EXTRACTS {
        let dir = tempfile::tempdir().unwrap();
        let Some((summary, out)) = imported(name, dir.path()) else { return };
        let expected = by_osmium(&data(name).unwrap(), dir.path());
        let osm = Osm::open(&out, Environment::silent(|| 0, || 0)).unwrap();
        let found = scan(&osm.index);
        assert_eq!((summary.places(), osm.len()), (found.len() as u64, found.len() as u64));
        let (count, known) = (found.len() as f64, expected.len() as f64);
        assert!((count - known).abs() <= known * 0.02, "{name}: {count} places, and {known} by osmium");
        for (id, &(latitude, longitude)) in &found {
            let Some([west, south, east, north]) = expected.get(id) else {
                panic!("{name}: {id} is no place")
            };
            let inside = west - 1e-7 <= longitude && longitude <= east + 1e-7;
            assert!(inside && south - 1e-7 <= latitude && latitude <= north + 1e-7, "{name}: {id}");
        }
    }
}

#[test]
fn an_extract_that_says_in_its_ways_where_they_are_has_the_same_places() {
    if osmium().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some((_, out)) = imported(MONACO, dir.path()) else { return };
    let expected = scan(&Osm::open(&out, Environment::silent(|| 0, || 0)).unwrap().index);
    let monaco = data(MONACO).unwrap();
    // The resulting file has no nodes without tags.
    let arguments = ["add-locations-to-ways", "-O", "-o", "located.osm.pbf", monaco.to_str().unwrap()];
    run_osmium(&arguments, dir.path());
    import(&dir.path().join("located.osm.pbf"), &out, &mut Unseen).unwrap();
    assert_eq!(scan(&Osm::open(&out, Environment::silent(|| 0, || 0)).unwrap().index), expected);
}

#[test]
fn an_extract_that_is_there_twice_in_a_file_is_imported_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some((summary, out)) = imported(MONACO, dir.path()) else { return };
    let once = fs::read(&out).unwrap();
    let twice = dir.path().join("twice.osm.pbf");
    fs::write(&twice, fs::read(data(MONACO).unwrap()).unwrap().repeat(2)).unwrap();
    assert_eq!(import(&twice, &out, &mut Unseen).unwrap(), summary);
    assert_eq!(fs::read(&out).unwrap(), once);
}

/// The distance by the haversine formula, meters.
fn meters(from: (f64, f64), to: (f64, f64)) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let cosines = from.0.to_radians().cos() * to.0.to_radians().cos();
    2.0 * EARTH_RADIUS_M * (half(from.0 - to.0) + cosines * half(from.1 - to.1)).sqrt().asin()
}

#[test]
fn the_nearest_are_those_that_looking_at_all_finds() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_, out)) = imported(MUENCHEN, dir.path()) else { return };
    let osm = Osm::open(&out, Environment::silent(|| 0, || 0)).unwrap();
    let all = scan(&osm.index);
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, b"one thousand points in Munich...");
    let mut within =
        |low: f64, high: f64| low + (high - low) * f64::from(random.next_u32()) / f64::from(u32::MAX);
    for _ in 0..1000 {
        let center = (within(48.125, 48.15), within(11.555, 11.6));
        let query = Query::within(places::Point::new(center.0, center.1).unwrap(), 500.0).unwrap();
        let mut expected: Vec<f64> =
            all.values().map(|&place| meters(center, place)).filter(|&meters| meters <= 500.0).collect();
        expected.sort_by(f64::total_cmp);
        expected.truncate(20);
        let near = osm.near(&query, 20).unwrap();
        assert_eq!(near.len(), expected.len(), "{center:?}");
        for ((separation, place), expected) in near.iter().zip(expected) {
            let id = &place.place_id[3..];
            assert!((separation.meters() - expected).abs() < 1e-3, "{center:?} {id}");
            assert!((meters(center, all[id]) - expected).abs() < 1e-3, "{center:?} {id}");
        }
    }
}

#[test]
fn a_damaged_or_cut_extract_is_refused_and_the_old_index_stays() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_, out)) = imported(MONACO, dir.path()) else { return };
    let old = fs::read(&out).unwrap();
    let sound = fs::read(data(MONACO).unwrap()).unwrap();
    let source = dir.path().join("changed.osm.pbf");
    let refused = |bytes: &[u8]| {
        fs::write(&source, bytes).unwrap();
        let error = import(&source, &out, &mut Unseen).expect_err("this is no sound extract");
        assert_eq!(fs::read(&out).unwrap(), old);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
        error
    };
    for part in 1..9 {
        let at = sound.len() * part / 9;
        let error = refused(&sound[..at]);
        assert!(matches!(error, ImportError::Cut(_)), "{at}: {error}");
        let mut changed = sound.clone();
        changed[at] ^= 4;
        let error = refused(&changed);
        assert!(matches!(error, ImportError::Damaged(..)), "{at}: {error}");
    }
    let error = refused(&[&sound[..], b"\0\0"].concat());
    assert!(matches!(error, ImportError::Cut(_)), "{error}");
    for foreign in [b"".as_slice(), b"x", b"PK\x03\x04 is not PBF at all", &old] {
        let error = refused(foreign);
        assert!(matches!(error, ImportError::Foreign(_)), "{error}");
    }
}

#[test]
fn a_compression_that_is_not_read_is_named_with_what_to_do() {
    let Some(source) = data("monaco-lz4-negative-test.osm.pbf") else { return };
    let dir = tempfile::tempdir().unwrap();
    let error = import(&source, &dir.path().join("places.idx"), &mut Unseen).unwrap_err().to_string();
    assert!(error.contains("compressed with LZ4") && error.contains("osmium cat"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn real_places_are_told_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let Some((summary, out)) = imported(MUENCHEN, dir.path()) else { return };
    assert!(summary.with_hours > 1300, "{summary:?}");
    let osm = Osm::open(&out, Environment::silent(|| 0, || 0)).unwrap();
    let query = Query::within(places::Point::new(48.1374, 11.5755).unwrap(), 300.0).unwrap();
    let answer: Vec<Place> = osm.near(&query, 20).unwrap().into_iter().map(|(_, place)| place).collect();
    assert!(answer.iter().any(|place| place.open_now.is_some()), "{answer:?}");
    assert!(
        answer.iter().any(|place| place.vicinity.as_deref().is_some_and(|text| text.contains("München")))
    );
    for place in &answer {
        let end = &place.types[place.types.len() - 2..];
        assert_eq!(end, ["point_of_interest", "establishment"], "{place:?}");
    }
}

#[tokio::test]
async fn the_labels_of_a_real_town_are_its_sights_and_the_world_reads_few_blocks() {
    let Some(extract) = data(MUENCHEN) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("places.idx");
    import(&extract, &path, &mut Unseen).unwrap();
    let osm = Osm::open(&path, Environment::silent(|| 0, || 0)).unwrap();
    let center = Bounds::new(48.130, 11.565, 48.145, 11.590).unwrap();
    let labels = osm.labels(center, 100).await.labels;
    assert_eq!(labels.len(), 100);
    assert!(labels.is_sorted_by_key(|label| std::cmp::Reverse(label.prominence)));
    for label in &labels {
        assert!(center.contains(label.location.latitude(), label.location.longitude()), "{label:?}");
    }
    let museums = labels.iter().filter(|label| label.kind == "museum").count();
    assert!(museums >= 3, "{museums} in {labels:?}");
    let few = osm.labels(center, 10).await.labels;
    assert_eq!(few, labels[..10]);
    let world = Bounds::new(-90.0, -180.0, 90.0, 180.0).unwrap();
    let all = osm.labels(world, 1000).await.labels;
    let is_small = osm.index.directory().len() <= LABEL_BLOCKS_MAX;
    assert_eq!(all.len(), if is_small { 1000 } else { 0 });
}
