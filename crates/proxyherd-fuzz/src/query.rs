//! The parameters of Nearby Search, as the HTTP door reads them and as Google is asked by them. They come whole, so there
//! is nothing to cut.

use proxyherd::fuzzing::question;
use proxyherd_places::fuzzing::parameters;

use crate::memory::bounded;

/// A question that is put as parameters again is the same question.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Some((query, client)) = bounded(input.len(), 8, 1024, || question(text)) else { return };
    let written = parameters(&query);
    assert!(written.len() <= 3 * input.len() + 256, "{written}");
    match question(&written) {
        Some((again, None)) => assert_eq!(again, query, "{written}"),
        other => panic!("{query:?}, about {client:?}, was written as {written}, and read as {other:?}"),
    }
}
