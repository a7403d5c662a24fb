//! Imports of extracts with faults that real files have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::extracts::data;
use super::super::index::{BAND_COUNT, Index, Object, degrees};
use super::super::pbf::writing::{
    block, bytes_field, data_frame, deltas_field, frame, header_frame, list_field, number_field, zlib_blob,
};
use super::super::tags::kinds_checksum;
use super::*;

/// The strings of the blocks in these tests, numbered from 1.
const STRINGS: [&str; 8] = ["amenity", "cafe", "name", "Zoom", "Adler", "type", "multipolygon", "outer"];
/// The keys of a café with a name.
const KEYS: [u64; 2] = [1, 3];
const ZOOM: [u64; 2] = [2, 4];
const ADLER: [u64; 2] = [2, 5];

/// The name and the position of each place, by the kind of object and its ID.
type PlacesById = BTreeMap<(Object, i64), (String, [f64; 2])>;

/// All places of an index.
fn places(path: &Path) -> PlacesById {
    let index = Index::open(path, kinds_checksum(), 0).unwrap();
    let mut all = BTreeMap::new();
    for number in (0..BAND_COUNT).flat_map(|band| index.directory().band(band)) {
        let block = index.block(number).unwrap();
        for (at, point) in block.points().iter().enumerate() {
            let record = block.record(at);
            let place = (record.name.to_owned(), [degrees(point.latitude), degrees(point.longitude)]);
            let before = all.insert((record.id.object, record.id.number), place);
            assert!(before.is_none(), "{:?} is there twice", record.id);
        }
    }
    all
}

/// Imports these frames behind a header.
fn imported(frames: &[Vec<u8>]) -> Result<(ImportSummary, PlacesById), ImportError> {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("x.osm.pbf"), dir.path().join("places.idx"));
    fs::write(&source, [&header_frame()[..], &frames.concat()].concat()).unwrap();
    let summary = import(&source, &out, &mut Unseen)?;
    Ok((summary, places(&out)))
}

fn dense(ids: &[i64], north: &[i64], east: &[i64], tags: &[u64], versions: &[u64]) -> Vec<u8> {
    let info = bytes_field(5, &list_field(1, versions));
    let lists =
        [deltas_field(1, ids), info, deltas_field(8, north), deltas_field(9, east), list_field(10, tags)];
    data_frame(&STRINGS, &bytes_field(2, &lists.concat()))
}

/// A frame with one node: a café.
fn cafe(id: i64, north: i64, name: [u64; 2], version: u64) -> Vec<u8> {
    let tags = [KEYS[0], name[0], KEYS[1], name[1], 0];
    dense(&[id], &[north], &[115_750_000], &tags, &[version])
}

/// A frame with one way: a café. `own` are the positions of its nodes that the way itself holds.
fn way(id: i64, refs: &[i64], own: Option<(&[i64], &[i64])>) -> Vec<u8> {
    let own =
        own.map_or(Vec::new(), |(north, east)| [deltas_field(9, north), deltas_field(10, east)].concat());
    let fields =
        [number_field(1, id as u64), list_field(2, &KEYS), list_field(3, &ZOOM), deltas_field(8, refs), own];
    data_frame(&STRINGS, &bytes_field(3, &fields.concat()))
}

#[test]
fn the_same_object_twice_is_one_place_of_the_later_version_or_the_last() {
    for (versions, name) in [([3, 4], "Adler"), ([4, 3], "Zoom"), ([4, 4], "Adler"), ([0, 0], "Adler")] {
        let frames = [cafe(7, 481_370_000, ZOOM, versions[0]), cafe(7, 481_380_000, ADLER, versions[1])];
        let (summary, places) = imported(&frames).unwrap();
        assert_eq!((summary.nodes, summary.places()), (1, 1));
        assert_eq!(places[&(Object::Node, 7)].0, name, "{versions:?}");
    }
    // The same ID of another kind is another object.
    let square = [481_370_000, 481_370_000, 481_380_000, 481_370_000];
    let frames = [
        way(7, &[1, 2, 3, 1], Some((&square, &[0, 10, 10, 0]))),
        cafe(7, 481_370_000, ZOOM, 1),
        way(7, &[1, 2, 3, 1], Some((&square, &[0, 10, 10, 0]))),
    ];
    let (summary, places) = imported(&frames).unwrap();
    assert_eq!((summary.nodes, summary.ways, places.len()), (1, 1, 2));
}

#[test]
fn negative_ids_stay_negative() {
    let own: (&[i64], &[i64]) = (&[100, 200, 200, 100], &[100, 100, 200, 100]);
    let frames = [
        cafe(-5, 481_370_000, ZOOM, 1),
        cafe(5, 481_380_000, ADLER, 1),
        way(-5, &[-1, -2, -3, -1], Some(own)),
        way(5, &[1, 2, 3, 1], None),
    ];
    let (summary, places) = imported(&frames).unwrap();
    assert_eq!((summary.nodes, summary.ways, summary.nowhere), (2, 1, 1));
    let keys: Vec<_> = places.keys().copied().collect();
    assert_eq!(keys, [(Object::Node, -5), (Object::Node, 5), (Object::Way, -5)]);
    assert_eq!(places[&(Object::Node, -5)].0, "Zoom");
    let error = imported(&[cafe(i64::MIN / 2, 481_370_000, ZOOM, 1)]).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn a_way_uses_the_positions_that_it_holds_unless_its_nodes_are_there() {
    let own: (&[i64], &[i64]) =
        (&[481_370_000, 481_370_000, 481_380_000, 481_370_000], &[0, 20_000, 20_000, 0]);
    let (_, places) = imported(&[way(10, &[1, 2, 3, 1], Some(own))]).unwrap();
    assert_eq!(places[&(Object::Way, 10)].1, [48.137_333_3, 0.001_333_3]);
    let nodes = dense(&[1, 2, 3], &[0, 0, 30], &[0, 30, 30], &[0, 0, 0], &[1, 1, 1]);
    let (summary, places) = imported(&[nodes, way(10, &[1, 2, 3, 1], Some(own))]).unwrap();
    assert_eq!(places[&(Object::Way, 10)].1, [0.000_001, 0.000_002]);
    assert_eq!((summary.ways, summary.needed_nodes), (1, 3));
}

#[test]
fn an_outline_uses_the_positions_that_its_ways_hold() {
    let own: (&[i64], &[i64]) = (&[0, 0, 30, 0], &[0, 30, 30, 0]);
    let frames = [way(10, &[1, 2, 3, 1], Some(own)), relation(&[10])];
    let (summary, places) = imported(&frames).unwrap();
    assert_eq!((summary.ways, summary.relations), (1, 1));
    assert_eq!(places[&(Object::Relation, 3)], ("Adler".to_owned(), [0.000_001, 0.000_002]));
}

#[test]
fn undefined_positions_are_ignored_and_places_without_any_are_left_out() {
    const UNDEFINED: i64 = 2_147_483_647;
    let nodes = dense(
        &[1, 2, 3, 4],
        &[481_370_000, 481_370_000, 481_390_000, UNDEFINED],
        &[115_750_000, 115_770_000, 115_770_000, UNDEFINED],
        &[0, 0, 0, 0],
        &[1; 4],
    );
    let frames = [
        nodes,
        way(10, &[1, 2, 3, 4], None),
        way(11, &[4, 4], None),
        way(12, &[5, 6], Some((&[UNDEFINED, UNDEFINED], &[UNDEFINED, UNDEFINED]))),
        cafe(9, UNDEFINED, ZOOM, 1),
        cafe(10, 4_776_000_000, ZOOM, 1),
    ];
    let (summary, places) = imported(&frames).unwrap();
    assert_eq!((summary.places(), summary.nowhere), (1, 4));
    assert_eq!(places[&(Object::Way, 10)].1, [48.138, 11.576]);
}

#[test]
fn violations_of_the_format_are_damage() {
    let sound = cafe(7, 481_370_000, ZOOM, 1);
    assert!(imported(std::slice::from_ref(&sound)).is_ok());
    let claims = |len: &[u8]| {
        let header = [&b"\x0a\x07OSMData\x18"[..], len].concat();
        [&(header.len() as u32).to_be_bytes()[..], &header].concat()
    };
    let content = block(&STRINGS, &[]);
    for (fault, frame) in [
        ("-1 bytes", claims(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
        ("2 GB", claims(b"\xff\xff\xff\xff\x07")),
        ("a header of 2 GB", b"\x7f\xff\xff\xff".to_vec()),
        ("a header of -1 bytes", b"\xff\xff\xff\xff".to_vec()),
        ("a wrong length", frame("OSMData", &zlib_blob(&content, content.len() as u64 + 1))),
        ("a length of -1", frame("OSMData", &zlib_blob(&content, u64::MAX))),
        ("a string that is not there", dense(&[7], &[0], &[0], &[1, 9, 0], &[1])),
        ("fewer latitudes than nodes", dense(&[7, 8], &[0], &[0, 0], &[0, 0], &[1, 1])),
        ("fewer tags than nodes", dense(&[7, 8], &[0, 0], &[0, 0], &[0], &[1, 1])),
    ] {
        let error = imported(&[sound.clone(), frame]).expect_err(fault).to_string();
        assert!(error.contains("is damaged: the block at byte"), "{fault}: {error}");
    }
}

#[test]
fn a_file_shorter_than_a_frame_claims_is_cut() {
    let sound = cafe(7, 481_370_000, ZOOM, 1);
    let long = [&b"\0\0\0\x0e\x0a\x07OSMData\x18\x80\x80\x80\x0f"[..]].concat();
    let error = imported(&[sound, long]).unwrap_err();
    assert!(matches!(error, ImportError::Cut(_)), "{error}");
}

#[test]
fn a_file_that_ends_behind_its_header_is_an_error() {
    let error = imported(&[]).unwrap_err();
    assert!(matches!(error, ImportError::Empty(_)), "{error}");
    assert!(imported(&[data_frame(&[], &[])]).is_ok(), "a block without objects is one");
}

#[test]
fn a_few_bytes_that_unpack_to_millions_of_strings_are_read() {
    let strings = [0x0a, 0].repeat(2_000_000);
    let content = [&bytes_field(1, &strings)[..], &bytes_field(2, &[])].concat();
    let blob = zlib_blob(&content, content.len() as u64);
    assert!(blob.len() < 5_000);
    let (summary, _) = imported(&[frame("OSMData", &blob), cafe(7, 481_370_000, ZOOM, 1)]).unwrap();
    assert_eq!(summary.places(), 1);
}

/// A frame with one relation: a café whose outline is these ways.
fn relation(ways: &[i64]) -> Vec<u8> {
    data_frame(&STRINGS, &relation_group(ways))
}

fn relation_group(ways: &[i64]) -> Vec<u8> {
    let count = ways.len();
    let members = [list_field(8, &vec![8; count]), deltas_field(9, ways), list_field(10, &vec![1; count])];
    let tags = [list_field(2, &[6, 1, 3]), list_field(3, &[7, 2, 5])];
    bytes_field(4, &[number_field(1, 3), tags.concat(), members.concat()].concat())
}

/// Packs a frame as well as zlib can.
fn zipped(group: &[u8]) -> Vec<u8> {
    let content = block(&STRINGS, group);
    frame("OSMData", &zlib_blob(&content, content.len() as u64))
}

#[test]
fn a_small_file_that_unpacks_to_more_than_it_can_mean_is_damaged() {
    const COUNT: u64 = 2_000_000;
    let (ones, tags) = (vec![2; COUNT as usize], [list_field(2, &KEYS), list_field(3, &ZOOM)].concat());
    let way = bytes_field(3, &[number_field(1, 1), tags, list_field(8, &ones)].concat());
    let tags = [list_field(2, &[6, 1, 3]), list_field(3, &[7, 2, 5])].concat();
    let roles = list_field(8, &vec![8; COUNT as usize]);
    let types = list_field(10, &vec![1; COUNT as usize]);
    let relation =
        bytes_field(4, &[number_field(1, 3), tags.clone(), roles, list_field(9, &ones), types].concat());
    let relations = bytes_field(4, &[number_field(1, 3), tags].concat()).repeat(300_000);
    for (what, group) in [("nodes", way), ("members", relation), ("relations", relations)] {
        let frame = zipped(&group);
        assert!(frame.len() < 30_000, "{what}: {}", frame.len());
        let error = imported(&[frame]).expect_err(what).to_string();
        assert!(error.contains("is damaged") && error.contains("can hold"), "{what}: {error}");
    }
}

#[test]
fn a_way_that_very_many_relations_share_is_damage_and_one_that_some_share_is_not() {
    let refs: Vec<i64> = (1..20_000).collect();
    for (relations, is_sound) in [(10, true), (200, false)] {
        let frames = [vec![relation(&[10]); relations].concat(), way(10, &refs, None)];
        assert_eq!(imported(&frames).is_ok(), is_sound, "{relations}");
    }
}

#[test]
fn a_way_that_an_outline_names_again_counts_once() {
    let own: (&[i64], &[i64]) = (&[0, 0, 30, 0], &[0, 30, 30, 0]);
    let frames = [way(10, &[1, 2, 3, 1], Some(own)), zipped(&relation_group(&vec![10; 1_000_000]))];
    let (_, places) = imported(&frames).unwrap();
    assert_eq!(places[&(Object::Relation, 3)].1, [0.000_001, 0.000_002]);
}

#[test]
fn faulty_extracts_from_the_field_are_imported() {
    for (name, expected, nowhere) in [
        ("hours-panic", &[(Object::Node, 1, "x", [48.137, 11.575])][..], 0),
        ("hours-sep31", &[(Object::Node, 1, "x", [48.137, 11.575])], 0),
        (
            "locations-on-ways",
            &[
                (Object::Node, 9, "kept", [48.137, 11.575]),
                (Object::Way, 10, "lost", [48.137_333_3, 11.575_333_3]),
            ],
            0,
        ),
        ("undefined-node-in-way", &[(Object::Way, 10, "w", [48.137_333_3, 11.575_333_3])], 0),
        (
            "bad-utf8",
            &[(Object::Node, 1, "lost", [48.137, 11.575]), (Object::Node, 2, "kept", [48.137, 11.5751])],
            0,
        ),
        ("member-type-3", &[(Object::Node, 1, "kept", [48.137, 11.575])], 1),
        ("wrap-lat", &[], 1),
    ] {
        let Some(source) = data(&format!("osm-faults/{name}.osm.pbf")) else { return };
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("places.idx");
        let summary = import(&source, &out, &mut Unseen).unwrap();
        let found: Vec<_> = places(&out).into_iter().collect();
        let expected: Vec<_> =
            expected.iter().map(|&(object, id, place, at)| ((object, id), (place.to_owned(), at))).collect();
        assert_eq!((found, summary.nowhere), (expected, nowhere), "{name}");
    }
}
