//! The parameters of Nearby Search, which the HTTP door parses and the provider `google_legacy` writes. The parameters
//! never arrive in pieces, so the check cuts nothing.

use proxyherd_places::fuzzing::parameters;
use proxyherd_server::fuzzing::question;

use crate::memory::bounded;

/// A question that was parsed is the same after it is written and parsed again.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Some((query, client)) = bounded(input.len(), 8, 1024, || question(text)) else { return };
    let written = parameters(&query);
    assert!(written.len() <= 3 * input.len() + 256, "{written}");
    match question(&written) {
        Some((again, None)) => assert_eq!(again, query, "{written}"),
        other => panic!("{query:?}, about {client:?}, was written as {written} and parsed as {other:?}"),
    }
}
