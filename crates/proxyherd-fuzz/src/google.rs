//! What Places API (New) answers. It comes whole, so there is nothing to cut.

use proxyherd_places::fuzzing;

use crate::{google_legacy, memory::bounded};

/// An answer that is read can be told as Nearby Search (Legacy), and means the same to whoever reads that.
pub fn check(input: &[u8]) {
    for status in [200, 400] {
        let answer = bounded(input.len(), google_legacy::PER_BYTE, 4096, || fuzzing::google(status, input));
        match answer {
            Ok(answer) => google_legacy::check_told(&answer),
            Err(failure) => drop(failure.to_string()),
        }
    }
}
