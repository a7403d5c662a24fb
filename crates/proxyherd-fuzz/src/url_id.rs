//! Client IDs in URLs. They never arrive in pieces, so the check cuts nothing.

use proxyherd_core::{codec::url_id, types::ClientId};

use crate::memory::bounded;

/// An ID that was read is the same after it was written and read again. Every ID can be written.
pub fn check(input: &[u8]) {
    if let Ok(id) = bounded(input.len(), 1, 0, || url_id::parse(input)) {
        check_written(&id);
    }
    if ClientId::new(input).is_some() {
        check_written(input);
    }
}

fn check_written(id: &[u8]) {
    let mut url = Vec::new();
    url_id::write(&mut url, id);
    assert!(url.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte)));
    assert_eq!(url_id::parse(&url).as_deref(), Ok(id));
}
