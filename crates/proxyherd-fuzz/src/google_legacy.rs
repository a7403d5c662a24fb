//! What Nearby Search (Legacy) answers, and how answers are told. It comes whole, so there is nothing to cut.

use proxyherd_core::{
    limits::{PLACES_MAX, RESULT_LEN_MAX},
    places::Answer,
};
use proxyherd_places::fuzzing;

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

/// A printed answer is one paragraph, as the line protocol needs it. Reading it and printing it again gives the same text.
pub(crate) fn check_told(answer: &Answer) {
    let told = told(answer);
    assert!(!told.contains("\n\n") && !told.ends_with('\n'));
    let again = fuzzing::google_legacy(200, told.as_bytes());
    let is_short = told.len() <= RESULT_LEN_MAX;
    match again {
        Ok(again) if is_short => assert_eq!(self::told(&again), told),
        Err(failure) if is_short => panic!("{failure}: {told}"),
        // An answer may hold a place that is too long to be passed on, which is then left out.
        _ => {}
    }
}

fn told(answer: &Answer) -> String {
    let mut told = Vec::new();
    answer.write_json(usize::from(PLACES_MAX), &mut told);
    String::from_utf8(told).expect("it is made of text")
}
