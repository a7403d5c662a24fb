//! The attributes of a report, as links send them and maps store them. Attributes never arrive in pieces, so the check
//! cuts nothing.

use proxyherd_core::types::{Attributes, AttributesBuf};

use crate::memory::bounded;

/// Bytes are refused, or they are the only encoding of some attributes.
pub fn check(input: &[u8]) {
    let Ok(attributes) = bounded(0, 0, 0, || Attributes::from_bytes(input)) else { return };
    let mut again = AttributesBuf::default();
    let mut pairs: Vec<_> = attributes.iter().collect();
    pairs.reverse();
    for (name, value) in pairs {
        again.set(name, value).expect("what was read can be written");
        assert_eq!(attributes.value(name), Some(value));
    }
    assert_eq!(again.borrow().as_bytes(), input);
}
