use super::super::writing::{block, bytes_field, deltas_field, folded, list_field, number_field};
use super::*;

const STRINGS: [&str; 4] = ["name", "Café", "amenity", "cafe"];

/// Dense nodes with these lists: IDs, latitudes, longitudes, and keys and values.
fn dense(ids: &[i64], north: &[i64], east: &[i64], tags: &[u64]) -> Vec<u8> {
    let tags = if tags.is_empty() { Vec::new() } else { list_field(10, tags) };
    let lists = [deltas_field(1, ids), deltas_field(8, north), deltas_field(9, east), tags];
    bytes_field(DENSE_NODES, &lists.concat())
}

fn tags(tags: TagIter<'_>) -> Result<Vec<(String, String)>, Damage> {
    tags.map(|tag| tag.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

/// A node: its ID, its latitude and longitude, and its number of tags.
type Seen = (i64, Option<(i32, i32)>, usize);

/// The nodes of a block.
fn nodes(bytes: &[u8]) -> Result<Vec<Seen>, Damage> {
    let (block, mut nodes) = (PbfBlock::read(bytes)?, Vec::new());
    block.nodes(|node| {
        let point = node.point.map(|point| (point.latitude, point.longitude));
        nodes.push((node.id, point, tags(node.tags)?.len()));
        Ok::<(), Damage>(())
    })?;
    Ok(nodes)
}

/// The only way of a block: its nodes, each with its position.
fn refs(group: &[u8]) -> Result<Vec<(i64, Option<i32>)>, Damage> {
    let (bytes, mut refs) = (block(&STRINGS, group), Vec::new());
    PbfBlock::read(&bytes)?.ways(|way| {
        way.refs(|node, point| {
            refs.push((node, point.map(|point| point.latitude)));
            Ok(())
        })
    })?;
    Ok(refs)
}

#[test]
fn dense_nodes_are_read() {
    let group = dense(&[5, 7, -3], &[481_370_000, 0, -1], &[115_750_000, 1, 2], &[1, 2, 3, 4, 0, 0, 3, 4, 0]);
    let read = nodes(&block(&STRINGS, &group)).unwrap();
    assert_eq!(
        read,
        [(5, Some((481_370_000, 115_750_000)), 2), (7, Some((0, 1)), 0), (-3, Some((-1, 2)), 1)]
    );
    assert_eq!(nodes(&block(&[], &dense(&[5], &[1], &[2], &[]))).unwrap(), [(5, Some((1, 2)), 0)]);
}

#[test]
fn dense_nodes_whose_lists_differ_in_length_are_damage() {
    for (ids, north, east, tags) in [
        (&[1, 2][..], &[0][..], &[0, 0][..], &[][..]),
        (&[1, 2], &[0, 0], &[0], &[]),
        (&[1], &[0, 0], &[0], &[]),
        (&[1], &[0], &[0, 0], &[]),
        (&[1, 2], &[0, 0], &[0, 0], &[0]),
        (&[1], &[0], &[0], &[0, 0]),
        (&[1], &[0], &[0], &[1, 0]),
        (&[], &[0], &[0], &[]),
    ] {
        assert!(nodes(&block(&STRINGS, &dense(ids, north, east, tags))).is_err(), "{ids:?} {tags:?}");
    }
    let versions = |count: usize| {
        let info = bytes_field(5, &list_field(1, &vec![4; count]));
        let lists = [deltas_field(1, &[1, 2]), info, deltas_field(8, &[0, 0]), deltas_field(9, &[0, 0])];
        nodes(&block(&[], &bytes_field(DENSE_NODES, &lists.concat())))
    };
    assert!(versions(2).is_ok() && versions(1).is_err() && versions(3).is_err());
}

#[test]
fn a_node_off_the_earth_is_nowhere() {
    let north = [900_000_000, 900_000_001, 4_776_000_000, 2_147_483_647, -900_000_001, i64::MAX / 2];
    let group = dense(&[1, 2, 3, 4, 5, 6], &north, &[0; 6], &[]);
    let read = nodes(&block(&[], &group)).unwrap();
    assert_eq!(read[0].1, Some((900_000_000, 0)));
    assert!(read[1..].iter().all(|node| node.1.is_none()), "{read:?}");
    let east = [1_800_000_000, 1_800_000_001, 2_147_483_647, -1_800_000_001];
    let read = nodes(&block(&[], &dense(&[1, 2, 3, 4], &[0; 4], &east, &[]))).unwrap();
    assert_eq!(read[0].1, Some((0, 1_800_000_000)));
    assert!(read[1..].iter().all(|node| node.1.is_none()), "{read:?}");
}

#[test]
fn the_scale_of_a_block_holds_wherever_it_stands() {
    let group = dense(&[1], &[48_137], &[11_575], &[]);
    let scale = [number_field(17, 1_000_000), number_field(19, 700), number_field(20, (-700_i64) as u64)];
    let expected = [(1, Some((481_370_007, 115_749_993)), 0)];
    assert_eq!(nodes(&[block(&[], &group), scale.concat()].concat()).unwrap(), expected);
    assert_eq!(nodes(&[scale.concat(), block(&[], &group)].concat()).unwrap(), expected);
}

#[test]
fn nodes_that_stand_alone_are_read() {
    let fields = [
        number_field(1, folded(-9)),
        list_field(2, &[1]),
        list_field(3, &[2]),
        bytes_field(4, &number_field(1, 3)),
        number_field(8, folded(-5)),
        number_field(9, folded(6)),
    ];
    let bytes = block(&STRINGS, &bytes_field(NODE, &fields.concat()));
    assert_eq!(nodes(&bytes).unwrap(), [(-9, Some((-5, 6)), 1)]);
    assert_eq!(PbfBlock::read(&bytes).unwrap().contents(), Ok(Content::Nodes as u8));
    let nowhere = block(&STRINGS, &bytes_field(NODE, &fields[..5].concat()));
    assert_eq!(nodes(&nowhere).unwrap(), [(-9, None, 1)]);
    assert_eq!(nodes(&block(&STRINGS, &bytes_field(NODE, &fields[1..].concat()))), Err(NO_ID));
}

#[test]
fn ways_are_read_with_their_own_coordinates_if_they_have_any() {
    let (id, nodes) = (number_field(1, (-8_i64) as u64), deltas_field(8, &[1, 2, 1]));
    let way = |rest: &[Vec<u8>]| refs(&bytes_field(WAY, &[&id[..], &nodes, &rest.concat()].concat()));
    assert_eq!(way(&[]).unwrap(), [(1, None), (2, None), (1, None)]);
    let (north, east) = (deltas_field(9, &[10, 2_147_483_647, 10]), deltas_field(10, &[5, 2_147_483_647, 5]));
    assert_eq!(way(&[north.clone(), east]).unwrap(), [(1, Some(10)), (2, None), (1, Some(10))]);
    assert!(way(std::slice::from_ref(&north)).is_err(), "no longitudes");
    assert!(way(&[north.clone(), deltas_field(10, &[5, 6])]).is_err());
    assert!(way(&[north, deltas_field(10, &[5, 6, 5, 6])]).is_err());
}

#[test]
fn an_object_that_names_a_string_that_is_not_there_is_damage() {
    let way = |keys: &[u64], values: &[u64]| {
        let way = [number_field(1, 8), list_field(2, keys), list_field(3, values)].concat();
        let bytes = block(&STRINGS, &bytes_field(WAY, &way));
        let (block, mut found) = (PbfBlock::read(&bytes).unwrap(), Vec::new());
        block.ways(|way| {
            found = tags(way.tags())?;
            Ok::<(), Damage>(())
        })?;
        Ok::<_, Damage>(found.len())
    };
    assert_eq!(way(&[1, 3], &[2, 4]), Ok(2));
    assert!(way(&[1, 5], &[2, 4]).is_err());
    assert!(way(&[1, 3], &[2, u64::MAX]).is_err());
    assert!(way(&[1, 3], &[2]).is_err() && way(&[1], &[2, 4]).is_err(), "as many values as keys");
    assert!(nodes(&block(&STRINGS, &dense(&[1], &[0], &[0], &[1, 5, 0]))).is_err());
}

#[test]
fn a_tag_that_is_no_text_is_left_out_and_the_others_stay() {
    let table = [&b""[..], b"name", b"lost", b"note", b"cut \xc3", b"\xff"].map(|text| bytes_field(1, text));
    let group = dense(&[1], &[0], &[0], &[3, 4, 1, 2, 5, 1, 0]);
    let bytes = [bytes_field(1, &table.concat()), bytes_field(2, &group)].concat();
    let (block, mut found) = (PbfBlock::read(&bytes).unwrap(), Vec::new());
    block
        .nodes(|node| {
            found = tags(node.tags)?;
            Ok::<(), Damage>(())
        })
        .unwrap();
    assert_eq!(found, [("name".to_owned(), "lost".to_owned())]);
}

#[test]
fn members_of_an_unknown_type_are_left_out() {
    let members = |roles: &[u64], ids: &[i64], types: &[u64]| {
        let lists = [number_field(1, 5), list_field(8, roles), deltas_field(9, ids), list_field(10, types)];
        let bytes = block(&["outer", "inner"], &bytes_field(RELATION, &lists.concat()));
        let (block, mut found) = (PbfBlock::read(&bytes).unwrap(), Vec::new());
        block.relations(|relation| {
            relation.members(|object, id, role| {
                found.push((object, id, role.to_vec()));
                Ok(())
            })
        })?;
        Ok::<_, Damage>(found)
    };
    let found = members(&[1, 2, 0, 1], &[7, -7, 8, 9], &[1, 3, 0, 2]).unwrap();
    let role = |text: &str| text.as_bytes().to_vec();
    let expected =
        [(Object::Way, 7, role("outer")), (Object::Node, 8, role("")), (Object::Relation, 9, role("outer"))];
    assert_eq!(found, expected);
    assert!(members(&[1], &[7, 8], &[1, 1]).is_err() && members(&[1, 1], &[7, 8], &[1]).is_err());
    assert!(members(&[1, 1], &[7], &[1]).is_err() && members(&[9], &[7], &[1]).is_err());
}

#[test]
fn no_cut_block_is_read_to_its_end() {
    let group = dense(&[5, 7], &[1, 2], &[3, 4], &[1, 2, 0, 0]);
    let bytes = block(&STRINGS, &group);
    for len in 0..bytes.len() {
        let read = nodes(&bytes[..len]);
        assert!(read.is_err() || read.is_ok_and(|nodes| nodes.is_empty()), "{len}");
    }
}
