//! Responses of Google's Places API (New). A response is read as a whole, so the check cuts nothing.

use proxyherd_places::fuzzing;

use crate::{google_legacy, memory::bounded};

/// An answer that was read can be written as Nearby Search (Legacy), and reading the written text gives the same
/// answer.
pub fn check(input: &[u8]) {
    for status in [200, 400] {
        let answer = bounded(input.len(), google_legacy::PER_BYTE, 4096, || fuzzing::google(status, input));
        match answer {
            Ok(answer) => google_legacy::check_written(&answer),
            Err(failure) => drop(failure.to_string()),
        }
    }
}
