//! What Nearby Search (Legacy) answers, and how answers are told. It comes whole, so there is nothing to cut.

use proxyherd::fuzzing;
use proxyherd_core::{limits::PLACES_MAX, places::Answer};

use crate::memory::bounded;

/// The memory that one byte of JSON may take: `[0,` is a value of 32 bytes for two, in a vector that doubles.
pub(crate) const PER_BYTE: usize = 128;

/// An answer that is read can be told again, and means the same.
pub fn check(input: &[u8]) {
    for status in [200, 500] {
        let answer = bounded(input.len(), PER_BYTE, 4096, || fuzzing::google_legacy(status, input));
        match answer {
            Ok(answer) => check_told(&answer),
            Err(failure) => drop(failure.to_string()),
        }
    }
}

/// What is told is one paragraph, as the line protocol needs it, and is read as what it was.
pub(crate) fn check_told(answer: &Answer) {
    let mut told = Vec::new();
    answer.write_json(usize::from(PLACES_MAX), &mut told);
    assert!(!told.windows(2).any(|two| two == b"\n\n") && told.last() != Some(&b'\n'));
    let again = fuzzing::google_legacy(200, &told);
    assert_eq!(again.as_ref(), Ok(answer), "{}", String::from_utf8_lossy(&told));
}
