//! What a client tells a server.

use super::{Attributes, ClientId, Coordinates, Timestamp};

/// A client was here at this time, by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// Who.
    pub client: ClientId<'a>,
    /// Where.
    pub coordinates: Coordinates,
    /// When, by the client's clock.
    pub timestamp: Timestamp,
    /// What else it said.
    pub attributes: Attributes<'a>,
}
