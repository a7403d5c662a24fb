//! Seeds of OpenStreetMap's extracts, in Protocol Buffers' wire format.

use super::Seed;

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

/// A field with a number, in Protocol Buffers' wire format.
fn number_field(field: u8, number: u64) -> Vec<u8> {
    [vec![field << 3], varint(number)].concat()
}

/// A field with bytes, in Protocol Buffers' wire format.
fn bytes_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![field << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn frame(kind: &str, blob: &[u8]) -> Vec<u8> {
    let header = [bytes_field(1, kind.as_bytes()), number_field(3, blob.len() as u64)].concat();
    [&(header.len() as u32).to_be_bytes()[..], &header, blob].concat()
}

/// A block whose strings are the tags of a café and the roles of a relation's members.
fn extract_block(group: &[u8]) -> Vec<u8> {
    let strings = ["", "amenity", "cafe", "name", "Zoom", "outer", "inner"];
    let table: Vec<u8> = strings.iter().flat_map(|text| bytes_field(1, text.as_bytes())).collect();
    [bytes_field(1, &table), bytes_field(2, group), vec![0x88, 1, 100]].concat()
}

/// Two nodes in the dense form. The first is a café.
fn dense_nodes() -> Vec<u8> {
    let lists = [(1, &[2, 2][..]), (8, &[40, 1]), (9, &[60, 3]), (10, &[1, 2, 3, 4, 0, 0])];
    let lists: Vec<u8> = lists.iter().flat_map(|(field, list)| bytes_field(*field, list)).collect();
    bytes_field(2, &[bytes_field(5, &bytes_field(1, &[1, 1])), lists].concat())
}

pub(super) fn extract() -> Vec<Seed> {
    let tags = || [bytes_field(2, &[1, 3]), bytes_field(3, &[2, 4])].concat();
    let info = || bytes_field(4, &number_field(1, 3));
    let node = [number_field(1, 7), tags(), info(), number_field(8, 40), number_field(9, 60)].concat();
    let located = [bytes_field(9, &[40, 2, 2, 3]), bytes_field(10, &[60, 2, 3, 1])].concat();
    let way = [number_field(1, 8), tags(), info(), bytes_field(8, &[2, 2, 2, 3]), located].concat();
    let members =
        [bytes_field(8, &[5, 6, 0]), bytes_field(9, &[16, 1, 2]), bytes_field(10, &[1, 0, 3])].concat();
    let relation = [number_field(1, 9), tags(), info(), members].concat();
    let features = [bytes_field(4, b"OsmSchema-V0.6"), bytes_field(4, b"DenseNodes")].concat();
    let header = || frame("OSMHeader", &bytes_field(1, &features));
    let data = |group: &[u8]| frame("OSMData", &bytes_field(1, &extract_block(group)));
    let stored = |content: &[u8]| {
        // A zlib block that is stored without compression, and its checksum.
        let (mut low, mut high) = (1_u32, 0_u32);
        for &byte in content {
            low = (low + u32::from(byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        let len = content.len() as u16;
        let head = [&[0x78, 1, 1][..], &len.to_le_bytes(), &(!len).to_le_bytes()].concat();
        let zlib = [&head[..], content, &(high << 16 | low).to_be_bytes()].concat();
        [number_field(2, content.len() as u64), bytes_field(3, &zlib)].concat()
    };
    let all = [data(&[bytes_field(1, &node), dense_nodes()].concat()), data(&bytes_field(3, &way))];
    vec![
        ("empty", header()),
        ("all", [header(), all.concat(), data(&bytes_field(4, &relation))].concat()),
        ("packed", [header(), frame("OSMData", &stored(&extract_block(&dense_nodes())))].concat()),
        (
            "lz4",
            [header(), frame("OSMData", &[number_field(2, 3), bytes_field(6, b"abc")].concat())].concat(),
        ),
        ("block", extract_block(&[dense_nodes(), bytes_field(3, &way), bytes_field(4, &relation)].concat())),
        ("cut", header()[..20].to_vec()),
        ("endless", b"\0\0\0\x14\x0a\x07OSMData\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec()),
    ]
}
