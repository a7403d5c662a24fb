//! Opening hours in OpenStreetMap's notation, which anybody may have written. Opening hours never arrive in pieces, so
//! the check cuts nothing. The program never writes them, so the check writes nothing.

use proxyherd_places::fuzzing::is_open;

use crate::memory::bounded;

/// Maximum length of a text, bytes. An index of places holds no longer text.
const TEXT_LEN_MAX: usize = 1024;

/// Hours can be parsed and evaluated at any time of the year.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(TEXT_LEN_MAX)];
    let Ok(hours) = str::from_utf8(input) else { return };
    // The holidays of a country and the rules of a time zone are loaded once, here. Their memory does not depend on the
    // text.
    let warm = |at_s| is_open("24/7", "Europe/Berlin", "DE", at_s);
    for at_s in [1_609_455_599, 1_621_464_828, 1_709_164_800, 1_761_440_400] {
        warm(at_s);
        bounded(input.len(), 2048, 1 << 20, || is_open(hours, "Europe/Berlin", "DE", at_s));
    }
}
