//! Responses of Google's Nearby Search (Legacy), which is also the form in which the herd writes answers. A response is
//! read as a whole, so the check cuts nothing.

use proxyherd_core::{
    limits::{PLACES_MAX, RESULT_LEN_MAX},
    places::Answer,
};
use proxyherd_places::fuzzing;

use crate::memory::bounded;

/// Maximum memory for one byte of JSON. In `[0,0,`, two bytes are a value of 32 bytes, in a vector that grows by
/// doubling.
pub(crate) const PER_BYTE: usize = 128;

/// An answer that was read is the same after it was written and read again.
pub fn check(input: &[u8]) {
    for status in [200, 500] {
        let answer = bounded(input.len(), PER_BYTE, 4096, || fuzzing::google_legacy(status, input));
        match answer {
            Ok(answer) => check_written(&answer),
            Err(failure) => drop(failure.to_string()),
        }
    }
}

/// A written answer has no empty line, which would end it in the line protocol. Reading and writing the answer again
/// gives the same text.
pub(crate) fn check_written(answer: &Answer) {
    let text = written(answer);
    assert!(!text.contains("\n\n") && !text.ends_with('\n'));
    let again = fuzzing::google_legacy(200, text.as_bytes());
    let is_short = text.len() <= RESULT_LEN_MAX;
    match again {
        Ok(again) if is_short => assert_eq!(written(&again), text),
        Err(failure) if is_short => panic!("{failure}: {text}"),
        // A place may be too long to be read again. Such a place is left out.
        _ => {}
    }
}

fn written(answer: &Answer) -> String {
    let mut text = Vec::new();
    answer.write_json(usize::from(PLACES_MAX), &mut text);
    String::from_utf8(text).expect("an answer is UTF-8")
}
