//! What any door can ask of the herd. A door turns its bytes into one of these; the herd never sees bytes.

use crate::types::{ClientId, Radius, Report};

/// One question or report from a client, whichever protocol brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// A client says where it is.
    Report(Report<'a>),
    /// Someone asks where a client is and what is near it.
    Nearby {
        /// Whose surroundings.
        client: ClientId<'a>,
        /// How far they reach.
        radius: Radius,
        /// Most places in the answer, 0 to 20.
        limit: u8,
    },
}
