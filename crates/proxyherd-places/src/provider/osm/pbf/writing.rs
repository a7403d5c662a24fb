//! Writes extracts for tests, both sound and faulty ones.

use crate::provider::osm::index::put_varint;

/// A field whose value is a number.
pub(in crate::provider::osm) fn number_field(field: u64, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(field << 3, &mut out);
    put_varint(number, &mut out);
    out
}

/// A field whose value is bytes.
pub(in crate::provider::osm) fn bytes_field(field: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(field << 3 | 2, &mut out);
    put_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// A field whose value is a list of numbers.
pub(in crate::provider::osm) fn list_field(field: u64, numbers: &[u64]) -> Vec<u8> {
    let mut list = Vec::new();
    numbers.iter().for_each(|&number| put_varint(number, &mut list));
    bytes_field(field, &list)
}

/// A field whose value is a list of differences.
pub(in crate::provider::osm) fn deltas_field(field: u64, numbers: &[i64]) -> Vec<u8> {
    let mut last = 0;
    let deltas: Vec<u64> =
        numbers.iter().map(|&number| folded(number - std::mem::replace(&mut last, number))).collect();
    list_field(field, &deltas)
}

/// Encodes a signed number in ZigZag coding.
pub(in crate::provider::osm) fn folded(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// A packed blob that claims this length of its content.
pub(in crate::provider::osm) fn zlib_blob(content: &[u8], len: u64) -> Vec<u8> {
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(content, 6);
    [number_field(2, len), bytes_field(3, &zlib)].concat()
}

/// A frame around a blob.
pub(in crate::provider::osm) fn frame(kind: &str, blob: &[u8]) -> Vec<u8> {
    let header = [bytes_field(1, kind.as_bytes()), number_field(3, blob.len() as u64)].concat();
    [&(header.len() as u32).to_be_bytes()[..], &header, blob].concat()
}

/// The first frame of a file.
pub(in crate::provider::osm) fn header_frame() -> Vec<u8> {
    let features = ["OsmSchema-V0.6", "DenseNodes"].map(|feature| bytes_field(4, feature.as_bytes()));
    frame("OSMHeader", &bytes_field(1, &features.concat()))
}

/// A frame of one block with these strings, after an empty one, and this group.
pub(in crate::provider::osm) fn data_frame(strings: &[&str], group: &[u8]) -> Vec<u8> {
    frame("OSMData", &bytes_field(1, &block(strings, group)))
}

/// A block with these strings, after an empty one, and this group.
pub(in crate::provider::osm) fn block(strings: &[&str], group: &[u8]) -> Vec<u8> {
    let table: Vec<u8> =
        [&[""], strings].concat().iter().flat_map(|text| bytes_field(1, text.as_bytes())).collect();
    [bytes_field(1, &table), bytes_field(2, group)].concat()
}
