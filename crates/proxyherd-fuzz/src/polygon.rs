//! GeoJSON Polygons. They never arrive in pieces, so the check cuts nothing.

use std::fmt::Write as _;

use proxyherd_core::codec::json::parse_polygon;

use crate::memory::bounded;

/// Maximum number of positions.
const POSITIONS_MAX: usize = 1000;

/// Rings that were read are the same rings after they were written and read again.
pub fn check(input: &[u8]) {
    // A position takes 16 bytes, and its text as an element 16 more. The list of rings may be twice as long as needed.
    let read = bounded(input.len(), 64, 4096, || parse_polygon(input, POSITIONS_MAX));
    let Ok(rings) = read else { return };
    assert!(rings.iter().map(Vec::len).sum::<usize>() <= POSITIONS_MAX);
    let mut text = String::from(r#"{"type":"Polygon","coordinates":["#);
    for (place, ring) in rings.iter().enumerate() {
        let positions: Vec<String> =
            ring.iter().map(|(north, east)| format!("[{east:?},{north:?}]")).collect();
        let comma = if place > 0 { "," } else { "" };
        write!(text, "{comma}[{}]", positions.join(",")).expect("a string takes everything");
    }
    text.push_str("]}");
    assert_eq!(parse_polygon(text.as_bytes(), POSITIONS_MAX), Ok(rings));
}
