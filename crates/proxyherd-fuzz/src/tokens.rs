//! Access tokens: their texts, their scopes, and their records. They never arrive in pieces, so the check cuts nothing.

use proxyherd_core::{
    access::{Scope, TokenRecord, TokenText},
    codec::line::without_tokens,
};

use crate::memory::bounded;

/// What was read is the same after it was written and read again. No text that is shown has a secret. A log shows as
/// many lines as there are.
pub fn check(input: &[u8]) {
    if let Some(text) = bounded(input.len(), 4, 256, || TokenText::parse(input)) {
        assert_eq!(text.reveal().as_bytes(), input, "a token has one form");
        let secret = text.reveal().rsplit('_').next().expect("a token has a secret");
        for shown in [format!("{text}"), format!("{text:?}")] {
            assert!(!shown.contains(secret), "no secret is shown");
        }
        assert!(!String::from_utf8_lossy(&without_tokens(input)).contains(secret), "no log has a secret");
    }
    if let Some(scope) = bounded(input.len(), 4, 256, || Scope::parse(input)) {
        assert_eq!(scope.to_text(), input, "a scope has one form");
    }
    if let Some(record) = bounded(input.len(), 64, 16 * 1024, || TokenRecord::decode(input)) {
        assert_eq!(TokenRecord::decode(&record.encode()), Some(record));
    }
    let count = |lines: &[u8]| lines.iter().filter(|byte| **byte == b'\n').count();
    let shown = bounded(input.len(), 8, 4096, || without_tokens(input));
    assert_eq!(count(&shown), count(input));
    assert_eq!(without_tokens(&shown), shown, "what may be shown stays as it is");
}
