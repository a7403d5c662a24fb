//! Opening hours, as anybody may have written them into OpenStreetMap. They come whole, and are never written.

use proxyherd_places::fuzzing::is_open;

use crate::memory::bounded;

/// Longest text that gets here: an index holds no longer one.
const TEXT_LEN_MAX: usize = 1024;

/// Hours are read and evaluated, at any time of the year, without harm.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(TEXT_LEN_MAX)];
    let Ok(hours) = str::from_utf8(input) else { return };
    // What a country's holidays and a zone's rules take, once they have been looked up, is not the text's doing.
    let warm = |at_s| is_open("24/7", "Europe/Berlin", "DE", at_s);
    for at_s in [1_609_455_599, 1_621_464_828, 1_709_164_800, 1_761_440_400] {
        warm(at_s);
        bounded(input.len(), 2048, 1 << 20, || is_open(hours, "Europe/Berlin", "DE", at_s));
    }
}
