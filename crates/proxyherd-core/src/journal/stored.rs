//! What a store holds, in the order in which it was written.

use crate::{flood::Update, types::Kind};

/// One change that a store holds.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// This update was held.
    Update(Update<'a>),
    /// The record of this key was removed. The store may not hold the record.
    Removed {
        /// The kind of the key.
        kind: Kind,
        /// The key.
        key: &'a [u8],
    },
}
