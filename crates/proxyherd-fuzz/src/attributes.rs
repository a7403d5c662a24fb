//! The attributes of a report, as links send them and maps store them. Attributes never arrive in pieces, so the check
//! cuts nothing.

use proxyherd_core::types::{AttributeError, Attributes, AttributesBuf};

use crate::memory::bounded;

/// Bytes are refused, or they are attributes that can be written and read again. The run may change, because a text of
/// an earlier version may begin with a byte that is escaped now.
pub fn check(input: &[u8]) {
    let Ok(attributes) = bounded(0, 0, 0, || Attributes::from_bytes(input)) else { return };
    let mut again = AttributesBuf::default();
    let mut pairs: Vec<_> = attributes.iter().collect();
    pairs.reverse();
    for (name, value) in pairs {
        assert_eq!(attributes.value(name), Some(value));
        match again.set(name, value) {
            Ok(()) => assert_eq!(again.borrow().value(name), Some(value)),
            Err(error) => return assert_eq!(error, AttributeError::TooLong, "what was read can be written"),
        }
    }
    if let Some(ttl_s) = attributes.ttl_s()
        && again.set_ttl_s(ttl_s).is_err()
    {
        return;
    }
    let again = again.borrow();
    assert_eq!(again.ttl_s(), attributes.ttl_s());
    assert!(again.iter().eq(attributes.iter()));
    assert_eq!(Attributes::from_bytes(again.as_bytes()), Ok(again));
}
